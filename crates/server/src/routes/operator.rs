//! What the operator does with people and with the keys that sign sessions: a token that only the
//! machine's own files hold, taken on loopback connections only.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;
use keyward_iam::{Change, Directory, Kind, PersonChange};
use keyward_net::is_loopback;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::people::{NewPassword, NewSignInName, open_logins, shown_person, shown_session};
use super::{Endpoint, delete, get, post, put};
use crate::api::Api;
use crate::body::Body;
use crate::caller::{Peer, bearer};
use crate::people::factors;
use crate::problem::Problem;
use crate::show::{no_store, time};

pub(super) fn endpoints() -> Vec<Endpoint> {
    const OPERATOR: &str = "nothing, but the operator's credential, from this machine";
    vec![
        get("/v1/operator/user", list).tells("Lists the people of the deployment.", OPERATOR),
        post("/v1/operator/user", create)
            .tells(
                "Creates a person; without a password, with a link to set one.",
                OPERATOR,
            )
            .takes(&[
                ("sign_in_name", "string", "what the person signs in with"),
                ("name", "string?", "what people call the person"),
                ("password", "string?", "the password"),
            ])
            .creates(),
        delete("/v1/operator/user/{id}", remove)
            .tells("Deletes a person, with all memberships.", OPERATOR),
        put("/v1/operator/user/{id}/sign_in_name", rename)
            .tells("Sets what a person signs in with.", OPERATOR)
            .takes(&[("sign_in_name", "string", "the sign-in name")]),
        put("/v1/operator/user/{id}/password", set_password)
            .tells("Sets a person's password; all sessions end.", OPERATOR)
            .takes(&[("password", "string", "the new password")]),
        post("/v1/operator/user/{id}/setup_link", setup_link).tells(
            "Makes a link with which a person sets a password, once.",
            OPERATOR,
        ),
        post("/v1/operator/rotate_signing_keys", rotate_signing_keys)
            .tells(
                "Makes a new key for signing sessions of temporary credentials.",
                OPERATOR,
            )
            .takes(&[(
                "end_sessions",
                "boolean?",
                "whether every session that was signed before ends",
            )]),
        get("/v1/operator/user/{id}/session", sessions)
            .tells("Lists where a person is signed in.", OPERATOR),
        delete("/v1/operator/user/{id}/session", end_sessions)
            .tells("Ends all sessions of a person.", OPERATOR),
        post("/v1/operator/user/{id}/reset_factors", reset_factors).tells(
            "Takes all second factors of a person away; all sessions end.",
            OPERATOR,
        ),
    ]
}

/// Whoever may read the files of the process.
struct Operator;

impl FromRequestParts<Arc<Api>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        crate::caller::refuse_other_sites(parts)?;
        let Some(peer) = parts.extensions.get::<Peer>() else {
            return Err(Problem::unauthenticated("the peer is not known"));
        };
        let peer = peer.address.ip();
        let given = parts.headers.get(header::AUTHORIZATION);
        let token = given.and_then(|given| bearer(given.as_bytes()));
        if is_loopback(peer) && token.is_some_and(|token| api.people.is_operator(token)) {
            return Ok(Self);
        }
        let wait = api.throttle.failed(peer, (api.clock)());
        tokio::time::sleep(wait).await;
        Err(Problem::unauthenticated(
            "this is for the operator, on the machine itself: `keyward admin user`",
        ))
    }
}

fn shown(api: &Api, directory: &Directory, path: &str) -> Value {
    let Some(user) = directory.identity_at(path) else {
        return json!({ "path": path, "deleted": true });
    };
    let person = directory.person(user).cloned().unwrap_or_default();
    let mut shown = shown_person(path, &person);
    let now = (api.clock)();
    if let (Some(object), Some(identity)) = (shown.as_object_mut(), directory.identity(user)) {
        let created = json!({ "at": time(identity.created.at), "by": identity.created.by });
        object.insert("created".to_owned(), created);
        object.insert("name".to_owned(), identity.name.as_deref().into());
        object.insert(
            "sessions".to_owned(),
            open_logins(&person, now).count().into(),
        );
        let owned = directory.organisations().filter(|(_, organisation)| {
            let details = organisation.organisation_details();
            details.is_some_and(|details| details.owner == user)
        });
        let owned: Vec<Value> = owned.map(|(_, o)| (&*o.path).into()).collect();
        object.insert("owns".to_owned(), owned.into());
    }
    shown
}

async fn make(api: &Arc<Api>, change: Change) -> Result<Arc<Directory>, Problem> {
    let (control, now) = (Arc::clone(&api.control), (api.clock)());
    let made = tokio::task::spawn_blocking(move || control.change_by_operator(&change, now));
    match made.await {
        Ok(made) => made.map_err(Problem::from),
        Err(_) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the change failed inside Keyward, and has no effect",
        )),
    }
}

async fn change_person(
    api: &Arc<Api>,
    id: &str,
    change: PersonChange,
) -> Result<(String, Arc<Directory>), Problem> {
    let path = crate::api::path(&["user", id])?;
    let user = path.clone();
    let directory = make(api, Change::Person { user, change }).await?;
    Ok((path, directory))
}

async fn list(_: Operator, State(api): State<Arc<Api>>) -> Response {
    let directory = api.control.directory();
    let users = directory.identities();
    let users = users.filter(|(_, identity)| identity.kind == Kind::User);
    let shown: Vec<Value> = users
        .map(|(_, user)| shown(&api, &directory, &user.path))
        .collect();
    no_store(StatusCode::OK, json!({ "items": shown }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    sign_in_name: String,
    name: Option<String>,
    password: Option<Zeroizing<String>>,
}

async fn create(
    _: Operator,
    State(api): State<Arc<Api>>,
    Body(body): Body<Create>,
) -> Result<Response, Problem> {
    let id = keyward_auth::random_slug();
    let password = match body.password {
        None => None,
        Some(password) => {
            let name = body.name.as_deref().unwrap_or_default();
            let names = [&*body.sign_in_name, name];
            Some(factors::new_password(&api, password, &names).await?)
        }
    };
    let without_password = password.is_none();
    let change = Change::RegisterUser {
        id: id.clone(),
        name: body.name,
        sign_in_name: body.sign_in_name,
        password,
    };
    let path = format!("user/{id}");
    let mut directory = make(&api, change).await?;
    let mut link = Value::Null;
    if without_password {
        let (url, kept) = factors::setup_link(&api, &id);
        let change = PersonChange::SetSetupLink(Some(kept));
        (_, directory) = change_person(&api, &id, change).await?;
        link = url.as_str().into();
    }
    let mut shown = shown(&api, &directory, &path);
    crate::show::insert(&mut shown, "setup_link", link);
    Ok(no_store(StatusCode::CREATED, shown))
}

async fn remove(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let path = crate::api::path(&["user", &id])?;
    let change = Change::DeleteUser {
        path: path.clone(),
        cascade: true,
    };
    make(&api, change).await?;
    Ok(no_store(
        StatusCode::OK,
        json!({ "path": path, "deleted": true }),
    ))
}

async fn rename(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Body(body): Body<NewSignInName>,
) -> Result<Response, Problem> {
    let change = PersonChange::SetSignInName(body.sign_in_name);
    let (path, directory) = change_person(&api, &id, change).await?;
    Ok(no_store(StatusCode::OK, shown(&api, &directory, &path)))
}

async fn set_password(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    Body(body): Body<NewPassword>,
) -> Result<Response, Problem> {
    let directory = api.control.directory();
    let path = crate::api::path(&["user", &id])?;
    let user = directory.identity_at(&path);
    let names = user.map(|user| factors::names(&directory, user));
    let names = names.unwrap_or_default();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hash = factors::new_password(&api, body.password, &names).await?;
    let change = PersonChange::SetPassword { hash: Some(hash) };
    let (path, directory) = change_person(&api, &id, change).await?;
    Ok(no_store(StatusCode::OK, shown(&api, &directory, &path)))
}

async fn setup_link(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (url, kept) = factors::setup_link(&api, &id);
    let expires_at = kept.expires_at;
    let change = PersonChange::SetSetupLink(Some(kept));
    let (path, _) = change_person(&api, &id, change).await?;
    Ok(no_store(
        StatusCode::OK,
        json!({ "path": path, "setup_link": url.as_str(), "expires_at": time(expires_at) }),
    ))
}

async fn sessions(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (path, now) = (crate::api::path(&["user", &id])?, (api.clock)());
    let directory = api.control.directory();
    let user = directory.identity_at(&path);
    let is_user = |user| {
        directory
            .identity(user)
            .is_some_and(|u| u.kind == Kind::User)
    };
    let user = user.filter(|user| is_user(*user));
    let user = user.ok_or_else(|| Problem::not_found(&path))?;
    let person = directory.person(user).cloned().unwrap_or_default();
    let items: Vec<Value> = open_logins(&person, now)
        .map(|login| shown_session(&api, &path, login, false))
        .collect();
    Ok(no_store(StatusCode::OK, json!({ "items": items })))
}

async fn end_sessions(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let change = PersonChange::EndLogins { except: None };
    let (path, directory) = change_person(&api, &id, change).await?;
    Ok(no_store(StatusCode::OK, shown(&api, &directory, &path)))
}

async fn reset_factors(
    _: Operator,
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (path, directory) = change_person(&api, &id, PersonChange::ResetFactors).await?;
    Ok(no_store(StatusCode::OK, shown(&api, &directory, &path)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateSigningKeys {
    #[serde(default)]
    end_sessions: bool,
}

async fn rotate_signing_keys(
    _: Operator,
    State(api): State<Arc<Api>>,
    Body(body): Body<RotateSigningKeys>,
) -> Result<Response, Problem> {
    let (shared, now) = (Arc::clone(&api), (api.clock)());
    let rotated = tokio::task::spawn_blocking(move || {
        let (control, verifier) = (&shared.control, &shared.verifier);
        control.rotate_signing_keys(verifier, body.end_sessions, now)
    });
    let failed = |text: String| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", text);
    match rotated.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "signing keys");
            return Err(failed(error.to_string()));
        }
        Err(_) => return Err(failed("the rotation failed inside Keyward".to_owned())),
    }
    let shown = json!({
        "rotated": true, "sessions_ended": body.end_sessions,
        "keys": api.verifier.issuer.keys().count(),
    });
    Ok(no_store(StatusCode::OK, shown))
}
