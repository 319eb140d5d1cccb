//! People in organisations, and members of groups.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyward_auth::PersonToken;
use keyward_iam::{Change, Invitation, UnixMillis, full_path};
use serde::Deserialize;
use serde_json::{Value, json};

use super::entities::{CASCADE, ID, NAME, NEW_NAME, delete_identity, describe, list, rename};
use super::trusts::{EXPIRES_AT, ExpiresAt};
use super::{Endpoint, Target, delete, get, patch, post, put};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;
use crate::show;

const PEOPLE: &str = "/v1/org/{organisation}/org_user";
const PERSON: &str = "/v1/org/{organisation}/org_user/{id}";
const MEMBERS: &str = "/v1/org/{organisation}/group/{id}/member";
const MEMBER: &str = "/v1/org/{organisation}/group/{id}/member/{kind}/{member}";
const EMAIL: (&str, &str, &str) = (
    "email",
    "string?",
    "where the invitation is sent by whoever makes it; proves nothing",
);
const VALID: (&str, &str, &str) = (
    "valid_seconds",
    "integer?",
    "how long the invitation can be accepted: 60 to 2592000, seven days unless said otherwise",
);

/// Seconds in which an invitation can be accepted, unless said otherwise.
const USUALLY_VALID: u64 = 7 * 24 * 60 * 60;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut all = people();
    all.extend([
        get(MEMBERS, members)
            .tells(
                "Lists the members of a group, as far as the caller may see each membership.",
                "iam:DescribeGroup on it; each member iam:DescribeTrust on the group or the member",
            )
            .lists(),
        post(MEMBERS, add)
            .tells(
                "Adds a member: a trust from the group. It waits until the member's side accepts, unless the caller may.",
                "iam:CreateTrust on the group; accepted at once with iam:AcceptTrust on the member",
            )
            .takes(&[
                ("member", "string", "path of an identity"),
                ("id", "string?", "id of the trust; generated if it is left out"),
                EXPIRES_AT,
            ])
            .creates(),
        delete(MEMBER, remove).tells(
            "Takes a member of the same organisation out of a group.",
            "iam:DeleteTrust on the group",
        ),
    ]);
    all
}

fn people() -> Vec<Endpoint> {
    vec![
        get(PEOPLE, list)
            .tells(
                "Lists the people of an organisation.",
                "iam:ListOrgUser on org/<organisation>",
            )
            .lists(),
        post(PEOPLE, create)
            .tells(
                "Makes a user a member, or invites somebody: the token of the invitation is shown once. Either has to accept.",
                "iam:CreateOrgUser on org/<organisation>; with a user accepted at once with iam:AcceptTrust on it",
            )
            .takes(&[
                ID,
                NAME,
                ("user", "string?", "path of the user; without one, whoever has the token"),
                EMAIL,
                VALID,
            ])
            .creates(),
        get(PERSON, describe).tells("Shows an organisation user.", "iam:DescribeOrgUser on it"),
        patch(PERSON, rename)
            .tells("Renames an organisation user.", "iam:UpdateOrgUser on it")
            .takes(&[NEW_NAME]),
        put(PERSON, rename)
            .tells("Renames an organisation user.", "iam:UpdateOrgUser on it")
            .takes(&[NEW_NAME]),
        delete(PERSON, delete_identity)
            .tells(
                "Deletes an organisation user: the person is no member any more.",
                "iam:DeleteOrgUser on it; with cascade iam:DeleteTrust on each trustor",
            )
            .asks(&[CASCADE]),
        post("/v1/org/{organisation}/org_user/{id}/invite", invite)
            .tells(
                "Invites somebody anew: earlier tokens of the organisation user open nothing any more.",
                "iam:UpdateOrgUser and iam:CreateTrust on it",
            )
            .takes(&[EMAIL, VALID])
            .creates(),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    id: String,
    name: Option<String>,
    user: Option<String>,
    email: Option<String>,
    valid_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invite {
    email: Option<String>,
    valid_seconds: Option<u64>,
}

/// An invitation and its token.
fn invitation(
    call: &Call,
    organisation: &str,
    id: &str,
    email: Option<String>,
    valid_seconds: Option<u64>,
) -> Result<(Invitation, PersonToken), Problem> {
    let seconds = valid_seconds.unwrap_or(USUALLY_VALID);
    if !(60..=2_592_000).contains(&seconds) {
        let text = "`valid_seconds` is a number from 60 to 2592000 (30 days)";
        return Err(Problem::invalid(text));
    }
    if let Some(email) = &email
        && (email.len() > 254 || !email.contains('@') || email.chars().any(char::is_control))
    {
        return Err(Problem::invalid("`email` is no address"));
    }
    let token = PersonToken::invitation(organisation, id);
    let invitation = Invitation {
        token_hash: token.hash(&call.api.hash_key),
        expires_at: UnixMillis(call.now.0.saturating_add(seconds * 1000)),
        email: email.map(Into::into),
    };
    Ok((invitation, token))
}

/// Makes the change, and shows the token once.
async fn offer(
    call: &Call,
    change: Change,
    path: &str,
    token: Option<PersonToken>,
) -> Result<Response, Problem> {
    let changed = call.change(change).await?;
    let mut shown = show::entity(&changed.directory, path).unwrap_or_default();
    if call.dry_run {
        show::insert(&mut shown, "dry_run", true);
        return Ok(axum::Json(shown).into_response());
    }
    if let Some(token) = token {
        let text = token.expose();
        let base = call.api.people.origin();
        let url = format!("{base}/ui/invitation/{}", &*text);
        show::insert(&mut shown, "invitation_token", text.as_str());
        show::insert(&mut shown, "invitation_url", url);
    }
    let mut response = show::no_store(StatusCode::CREATED, shown);
    call.tag(&mut response, &changed.directory, path);
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/{path}")) {
        headers.insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn create(call: Call, target: Target, Body(body): Body<Create>) -> Result<Response, Problem> {
    let organisation = target.organisation();
    let path = format!("{}/{}", target.0, body.id);
    let (invitation, token) = if body.user.is_some() {
        if body.email.is_some() || body.valid_seconds.is_some() {
            let text = "an invitation is for somebody who is no `user` yet";
            return Err(Problem::invalid(text));
        }
        (None, None)
    } else {
        // A token holds the id, so that it must be one.
        if let Err(error) = body.id.parse::<keyward_iam::Slug>() {
            return Err(Problem::invalid(error.to_string()));
        }
        let made = invitation(
            &call,
            organisation,
            &body.id,
            body.email,
            body.valid_seconds,
        )?;
        (Some(made.0), Some(made.1))
    };
    let change = Change::CreateOrganisationUser {
        organisation: organisation.to_owned(),
        id: body.id,
        name: body.name,
        user: body.user.map(|user| full_path(&user, organisation)),
        invitation,
    };
    offer(&call, change, &path, token).await
}

async fn invite(call: Call, target: Target, Body(body): Body<Invite>) -> Result<Response, Problem> {
    let path = target.of("invite").to_owned();
    let id = path.rsplit('/').next().unwrap_or_default();
    let organisation = target.organisation();
    // To the same address, unless another one is given.
    let known = call.directory.identity_at(&path);
    let known = known.and_then(|ix| call.directory.identity(ix)?.invitation.as_deref());
    let known = known.and_then(|invitation| invitation.email.as_deref());
    let email = body.email.or_else(|| known.map(str::to_owned));
    let (invitation, token) = invitation(&call, organisation, id, email, body.valid_seconds)?;
    let change = Change::Invite {
        path: path.clone(),
        invitation,
    };
    offer(&call, change, &path, Some(token)).await
}

async fn members(call: Call, target: Target) -> Result<Response, Problem> {
    let group = target.of("member");
    call.read("iam:DescribeGroup", group)?;
    let directory = &call.directory;
    let ix = directory.identity_at(group);
    let trusts = directory.trusts().map(|(_, trust)| trust);
    let paths: Vec<String> = trusts
        .filter(|trust| Some(trust.trustor) == ix)
        .map(|trust| trust.path.to_string())
        .collect();
    Ok(call.list_of_paths(paths, |path| {
        let trust = directory.trust(directory.trust_at(path)?)?;
        let member = directory.identity(trust.trustee)?;
        call.sees(path).then(|| {
            json!({
                "member": member.path, "kind": member.kind.as_str(), "trust": path,
                "accepted": trust.accepted,
                "expires_at": trust.expires_at.map_or(Value::Null, show::time),
                "created": { "at": show::time(trust.created.at), "by": trust.created.by },
            })
        })
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    member: String,
    id: Option<String>,
    #[serde(default)]
    expires_at: ExpiresAt,
}

async fn add(call: Call, target: Target, Body(body): Body<Add>) -> Result<Response, Problem> {
    let organisation = target.organisation();
    let id = body.id.unwrap_or_else(keyward_auth::random_slug);
    let path = format!("org/{organisation}/trust/{id}");
    let change = Change::CreateTrust {
        id,
        trustor: target.of("member").to_owned(),
        trustee: full_path(&body.member, organisation),
        policies: Vec::new(),
        expires_at: body.expires_at.0.flatten(),
        kind: None,
        conditions: None,
    };
    call.change_and_show(change, &path, StatusCode::CREATED)
        .await
}

async fn remove(call: Call, target: Target) -> Result<Response, Problem> {
    let missing = || Problem::not_found(&target.0);
    let (group, member) = target.0.split_once("/member/").ok_or_else(missing)?;
    let member = full_path(member, target.organisation());
    let directory = &call.directory;
    let sides = directory
        .identity_at(group)
        .zip(directory.identity_at(&member));
    let found = sides.and_then(|(group, member)| {
        let mut trusts = directory.trusts().map(|(_, trust)| trust);
        trusts.find(|trust| trust.trustor == group && trust.trustee == member)
    });
    // Whoever may not see the group does not learn whether somebody is in it.
    let trust = found.filter(|trust| call.sees(group) || call.sees(&trust.path));
    let path = trust.ok_or_else(missing)?.path.to_string();
    let change = Change::DeleteTrust { path: path.clone() };
    call.change_and_show(change, &path, StatusCode::OK).await
}
