//! How a person signs in, and where she is signed in: by the person alone.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyward_iam::{Change, LoginSession, Passkey, Person, PersonChange, Principal, UnixMillis};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Endpoint, Target, delete, get, patch, post, put};
use crate::api::{Api, Call};
use crate::body::Body;
use crate::people::factors;
use crate::problem::Problem;
use crate::show::{no_store, time};

pub(super) fn endpoints() -> Vec<Endpoint> {
    const OWN: &str = "iam:UpdateUser on it, by the user itself who signed in a short time ago";
    const ITSELF: &str = "iam:UpdateUser on it, by the user itself";
    const SEES: &str = "iam:DescribeUser on it, by the user itself";
    vec![
        get("/v1/user/{id}/sign_in", shown).tells("Shows how a person signs in.", SEES),
        patch("/v1/user/{id}/sign_in", rename)
            .tells("Changes what a person signs in with.", OWN)
            .takes(&[("sign_in_name", "string", "the new sign-in name")]),
        put("/v1/user/{id}/password", set_password)
            .tells("Sets the password; all sessions end.", OWN)
            .takes(&[("password", "string", "the new password")]),
        post("/v1/user/{id}/totp", offer_totp).tells(
            "Offers a secret for an authenticator app; nothing is changed yet.",
            SEES,
        ),
        put("/v1/user/{id}/totp", set_totp)
            .tells(
                "Sets an authenticator app up; answers with new recovery codes.",
                OWN,
            )
            .takes(&[
                ("enrolment", "string", "what the offer gave"),
                ("code", "string", "what the app shows"),
            ]),
        delete("/v1/user/{id}/totp", remove_totp).tells("Takes the authenticator app away.", OWN),
        post("/v1/user/{id}/recovery_codes", recovery_codes)
            .tells("Makes new recovery codes; the old ones are void.", OWN),
        post("/v1/user/{id}/passkey/challenge", passkey_challenge).tells(
            "Asks for a new passkey: options of navigator.credentials.create in JSON.",
            SEES,
        ),
        get("/v1/user/{id}/passkey", passkeys)
            .tells("Lists the passkeys of a person.", SEES)
            .lists(),
        post("/v1/user/{id}/passkey", add_passkey)
            .tells("Adds a passkey.", OWN)
            .takes(&[
                ("name", "string", "what the person calls it"),
                (
                    "passkey",
                    "object",
                    "PublicKeyCredential.toJSON() of the answer",
                ),
            ])
            .creates(),
        patch("/v1/user/{id}/passkey/{passkey}", rename_passkey)
            .tells("Gives a passkey another name.", OWN)
            .takes(&[("name", "string", "what the person calls it")]),
        delete("/v1/user/{id}/passkey/{passkey}", remove_passkey)
            .tells("Takes a passkey away.", OWN),
        get("/v1/user/{id}/session", sessions)
            .tells("Lists where a person is signed in.", SEES)
            .lists(),
        delete("/v1/user/{id}/session", end_others).tells(
            "Ends all sessions of a person but the one that asks.",
            ITSELF,
        ),
        delete("/v1/user/{id}/session/{session}", end_session)
            .tells("Ends a session of a person.", ITSELF),
    ]
}

/// The person that the URL names, if it is the caller itself. To anybody else there is none.
struct Itself {
    path: String,
    person: Person,
    name: String,
}

fn itself(call: &Call, target: &Target) -> Result<Itself, Problem> {
    let id = target.0.split('/').nth(1).unwrap_or_default();
    let path = format!("user/{id}");
    let missing = || Problem::not_found(&path);
    let user = call.directory.identity_at(&path).ok_or_else(missing)?;
    let is_itself = call.caller.session.principal == Principal::Identity(user)
        && call.caller.session.login.is_some();
    if !is_itself || !call.allows("iam:DescribeUser", &path) {
        return Err(missing());
    }
    let person = call.directory.person(user).cloned().unwrap_or_default();
    let name = call
        .directory
        .identity(user)
        .and_then(|u| u.name.as_deref());
    let name = name.or(person.sign_in_name.as_deref()).unwrap_or(id);
    Ok(Itself {
        name: name.to_owned(),
        path,
        person,
    })
}

fn shown_passkey(passkey: &Passkey) -> Value {
    json!({
        "id": passkey.id, "name": passkey.name, "added": time(passkey.added),
        "used": passkey.used.map(time),
    })
}

/// How a person signs in.
pub(super) fn shown_person(path: &str, person: &Person) -> Value {
    let linked = person.linked.iter();
    let linked: Vec<Value> = linked
        .map(|login| json!({ "issuer": login.issuer, "subject": login.subject, "added": time(login.added) }))
        .collect();
    let passkeys: Vec<Value> = person.passkeys.iter().map(shown_passkey).collect();
    json!({
        "path": path, "sign_in_name": person.sign_in_name, "password_set": person.password_set.map(time),
        "totp_added": person.totp.as_ref().map(|totp| time(totp.added)),
        "recovery_codes_left": person.recovery_codes.len(),
        "passkeys": passkeys, "linked": linked, "second_factor": person.has_second_factor(),
    })
}

/// Where a person is signed in.
pub(super) fn open_logins(person: &Person, now: UnixMillis) -> impl Iterator<Item = &LoginSession> {
    let logins = person.logins.iter();
    logins.filter(move |login| now < login.expires_at)
}

pub(super) fn shown_session(api: &Api, user: &str, login: &LoginSession, own: bool) -> Value {
    json!({
        "id": login.id, "client": login.client, "source": login.source,
        "created": { "at": time(login.created), "by": user }, "last_seen": time(api.people.last_seen(login)),
        "expires_at": time(login.expires_at),
        "mfa": login.mfa, "provider": login.provider, "current": own,
    })
}

async fn make(call: &Call, path: &str, change: PersonChange) -> Result<Person, Problem> {
    let change = Change::Person {
        user: path.to_owned(),
        change,
    };
    let changed = call.change(change).await?;
    let user = changed.directory.identity_at(path);
    let person = user.and_then(|user| changed.directory.person(user));
    Ok(person.cloned().unwrap_or_default())
}

/// Makes a change; answers how the person signs in then.
async fn change(call: &Call, path: &str, change: PersonChange) -> Result<Response, Problem> {
    let person = make(call, path, change).await?;
    Ok(axum::Json(shown_person(path, &person)).into_response())
}

async fn shown(call: Call, target: Target) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    Ok(axum::Json(shown_person(&itself.path, &itself.person)).into_response())
}

/// What a person signs in with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSignInName {
    pub(super) sign_in_name: String,
}

async fn rename(
    call: Call,
    target: Target,
    Body(body): Body<NewSignInName>,
) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    change(
        &call,
        &itself.path,
        PersonChange::SetSignInName(body.sign_in_name),
    )
    .await
}

/// What a person is known by.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    pub(super) password: Zeroizing<String>,
}

async fn set_password(
    call: Call,
    target: Target,
    Body(body): Body<NewPassword>,
) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    let sign_in_name = itself.person.sign_in_name.as_deref().unwrap_or_default();
    let names = [itself.name.as_str(), sign_in_name];
    let hash = factors::new_password(&call.api, body.password, &names).await?;
    change(
        &call,
        &itself.path,
        PersonChange::SetPassword { hash: Some(hash) },
    )
    .await
}

async fn offer_totp(call: Call, target: Target) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    let account = itself
        .person
        .sign_in_name
        .as_deref()
        .unwrap_or(&itself.name);
    let offer = factors::offer_totp(&call.api, &itself.path, account);
    Ok(no_store(
        StatusCode::OK,
        json!({ "secret": *offer.secret, "uri": *offer.uri, "enrolment": offer.enrolment }),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetTotp {
    enrolment: String,
    code: Zeroizing<String>,
}

async fn set_totp(
    call: Call,
    target: Target,
    Body(body): Body<SetTotp>,
) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    let (change, codes) =
        factors::accept_totp(&call.api, &itself.path, &body.enrolment, &body.code)?;
    make(&call, &itself.path, change).await?;
    let codes: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    Ok(no_store(StatusCode::OK, json!({ "recovery_codes": codes })))
}

async fn remove_totp(call: Call, target: Target) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    change(&call, &itself.path, PersonChange::RemoveTotp).await
}

async fn recovery_codes(call: Call, target: Target) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    let (codes, hashes) = factors::new_recovery_codes(&call.api, &itself.path);
    make(&call, &itself.path, PersonChange::SetRecoveryCodes(hashes)).await?;
    let codes: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    Ok(no_store(StatusCode::OK, json!({ "recovery_codes": codes })))
}

async fn passkey_challenge(call: Call, target: Target) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    let asked = factors::ask_to_register(&call.api, &itself.path, &itself.name, &itself.person)?;
    Ok(no_store(StatusCode::OK, asked))
}

async fn passkeys(call: Call, target: Target) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    let passkeys = itself.person.passkeys.iter();
    let passkeys = passkeys.map(|passkey| (passkey.id.to_string(), passkey));
    Ok(call.list_of(passkeys, |_, passkey| Some(shown_passkey(passkey))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddPasskey {
    name: String,
    passkey: Value,
}

async fn add_passkey(
    call: Call,
    target: Target,
    Body(body): Body<AddPasskey>,
) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    let answer: factors::Registration = serde_json::from_value(body.passkey)
        .map_err(|error| Problem::invalid(format!("`passkey`: {error}")))?;
    let passkey = factors::registered(&call.api, &itself.path, &body.name, &answer)?;
    let shown = shown_passkey(&passkey);
    make(&call, &itself.path, PersonChange::AddPasskey(passkey)).await?;
    Ok((StatusCode::CREATED, axum::Json(shown)).into_response())
}

fn last(target: &Target) -> String {
    target.0.rsplit('/').next().unwrap_or_default().to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenamePasskey {
    name: String,
}

async fn rename_passkey(
    call: Call,
    target: Target,
    Body(body): Body<RenamePasskey>,
) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    let (id, name) = (last(&target), body.name);
    change(
        &call,
        &itself.path,
        PersonChange::RenamePasskey { id, name },
    )
    .await
}

async fn remove_passkey(call: Call, target: Target) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    change(
        &call,
        &itself.path,
        PersonChange::RemovePasskey(last(&target)),
    )
    .await
}

async fn sessions(call: Call, target: Target) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    let own = call.caller.session.login.as_deref();
    let open = open_logins(&itself.person, call.now);
    let open = open.map(|login| (login.id.to_string(), login));
    Ok(call.list_of(open, |id, login| {
        Some(shown_session(
            &call.api,
            &itself.path,
            login,
            own == Some(id),
        ))
    }))
}

async fn end_others(call: Call, target: Target) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    let except = call.caller.session.login.as_deref().map(str::to_owned);
    let person = make(&call, &itself.path, PersonChange::EndLogins { except }).await?;
    Ok(axum::Json(json!({ "path": itself.path, "sessions": person.logins.len() })).into_response())
}

async fn end_session(call: Call, target: Target) -> Result<Response, Problem> {
    let itself = itself(&call, &target)?;
    let id = last(&target);
    make(&call, &itself.path, PersonChange::EndLogin(id.clone())).await?;
    Ok(axum::Json(json!({ "session": id, "ended": true })).into_response())
}
