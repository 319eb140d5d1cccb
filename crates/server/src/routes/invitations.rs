//! Inviting people to organisations, and what the invited do.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyward_iam::{Change, full_path};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::login::From;
use super::{Endpoint, Target, post};
use crate::api::{Api, Call};
use crate::body::Body;
use crate::people::SignedInPerson;
use crate::people::invitations::{self, NewPerson};
use crate::problem::Problem;
use crate::show;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const TOKEN: (&str, &str, &str) = ("token", "string", "of the invitation: the end of its link");
    const HOLDS: &str = "nothing, but the invitation's token";
    vec![
        post("/v1/org/{organisation}/org_user", create)
            .tells(
                "Creates a membership: for a user, or with an invitation whose link is shown once.",
                "iam:CreateOrgUser on org/<organisation>",
            )
            .takes(&[
                super::entities::ID,
                super::entities::NAME,
                (
                    "user",
                    "string?",
                    "path of a user who is known; without it somebody is invited",
                ),
                ("email", "string?", "where the invitation goes; only noted"),
            ])
            .creates(),
        post("/v1/org/{organisation}/org_user/{id}/invitation", renew)
            .tells(
                "Invites anew to a membership that nobody has; the former link is void.",
                "iam:UpdateOrgUser on it",
            )
            .takes(&[("email", "string?", "where the invitation goes; only noted")]),
        post("/v1/invitation", shown)
            .tells("Shows what an invitation offers.", HOLDS)
            .takes(&[TOKEN]),
        post("/v1/invitation/accept", accept)
            .tells(
                "Takes an invitation: the caller becomes the member.",
                "iam:AcceptTrust on the caller, a user",
            )
            .takes(&[TOKEN]),
        post("/v1/invitation/decline", decline)
            .tells("Declines an invitation.", HOLDS)
            .takes(&[TOKEN]),
        post("/v1/invitation/register", register)
            .tells(
                "Makes an account for whoever has an invitation, signs in, and takes it.",
                HOLDS,
            )
            .takes(&[
                TOKEN,
                ("sign_in_name", "string", "what to sign in with"),
                ("name", "string?", "what people call the person"),
                ("password", "string", "the password"),
                ("client", "string?", "what the program calls itself"),
            ])
            .creates(),
    ]
}

fn no_store(status: StatusCode, value: Value) -> Response {
    let mut response = (status, axum::Json(value)).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

fn check_email(email: Option<&str>) -> Result<(), Problem> {
    let fits = |email: &str| {
        !email.is_empty() && email.len() <= 254 && !email.chars().any(char::is_control)
    };
    match email {
        Some(email) if !fits(email) => Err(Problem::invalid(
            "an e-mail address has 1 to 254 bytes and no control characters",
        )),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    id: String,
    name: Option<String>,
    user: Option<String>,
    email: Option<String>,
}

/// The answer of a call that made an invitation.
fn invited(
    call: &Call,
    shown: Option<Value>,
    path: &str,
    token: Option<&str>,
    status: StatusCode,
) -> Result<Response, Problem> {
    let mut shown = shown.ok_or_else(|| Problem::not_found(path))?;
    if call.dry_run {
        show::insert(&mut shown, "dry_run", true);
        return Ok(no_store(StatusCode::OK, shown));
    }
    if let Some(token) = token {
        let link = invitations::link(&call.api, token);
        show::insert(&mut shown, "invitation_token", token);
        show::insert(&mut shown, "invitation_link", link);
    }
    Ok(no_store(status, shown))
}

async fn create(call: Call, target: Target, Body(body): Body<Create>) -> Result<Response, Problem> {
    check_email(body.email.as_deref())?;
    let organisation = target.organisation().to_owned();
    let path = format!("org/{organisation}/org_user/{}", body.id);
    let user = body.user.map(|user| full_path(&user, &organisation));
    let (token, invitation) = if user.is_some() {
        (None, None)
    } else {
        let (token, invitation) =
            invitations::new_invitation(&call.api, &organisation, &body.id, body.email);
        (Some(token), Some(invitation))
    };
    let change = Change::CreateOrganisationUser {
        organisation,
        id: body.id,
        name: body.name,
        user,
        invitation,
    };
    let changed = call.change(change).await?;
    let shown = show::entity(&changed.directory, &path);
    let token = token.as_ref().map(|token| token.as_str());
    invited(&call, shown, &path, token, StatusCode::CREATED)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renew {
    email: Option<String>,
}

async fn renew(call: Call, target: Target, Body(body): Body<Renew>) -> Result<Response, Problem> {
    check_email(body.email.as_deref())?;
    let path = target.of("invitation").to_owned();
    let id = path.rsplit('/').next().unwrap_or_default();
    let (token, invitation) =
        invitations::new_invitation(&call.api, target.organisation(), id, body.email);
    let change = Change::Invite {
        path: path.clone(),
        invitation,
    };
    let changed = call.change(change).await?;
    let shown = show::entity(&changed.directory, &path);
    invited(&call, shown, &path, Some(&token), StatusCode::OK)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    token: Zeroizing<String>,
}

async fn shown(
    State(api): State<Arc<Api>>,
    _: From,
    Body(body): Body<Held>,
) -> Result<Response, Problem> {
    let offer = invitations::offer(&api, &api.control.directory(), &body.token)?;
    Ok(no_store(StatusCode::OK, offer.shown()))
}

async fn accept(call: Call, Body(body): Body<Held>) -> Result<Response, Problem> {
    let person = SignedInPerson::of_caller(&call)
        .ok_or_else(|| Problem::invalid("an invitation is taken by a person who is signed in"))?;
    let offer = invitations::accept(&call.api, &person, &body.token).await?;
    Ok(no_store(StatusCode::OK, offer.shown()))
}

async fn decline(
    State(api): State<Arc<Api>>,
    from: From,
    Body(body): Body<Held>,
) -> Result<Response, Problem> {
    let offer = invitations::decline(&api, &from.client(None), &body.token).await?;
    let declined = json!({ "path": offer.path, "declined": true });
    Ok(no_store(StatusCode::OK, declined))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Register {
    token: Zeroizing<String>,
    sign_in_name: String,
    name: Option<String>,
    password: Zeroizing<String>,
    client: Option<String>,
}

async fn register(
    State(api): State<Arc<Api>>,
    from: From,
    Body(body): Body<Register>,
) -> Result<Response, Problem> {
    let client = from.client(body.client.as_deref());
    let new = NewPerson {
        name: body.name.unwrap_or_default(),
        sign_in_name: body.sign_in_name,
        password: body.password,
    };
    let login = invitations::register(&api, &client, from.secure, &body.token, new).await?;
    let mut response = super::login::session(&login);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}
