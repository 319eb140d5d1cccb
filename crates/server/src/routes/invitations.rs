//! What people do who were invited to an organisation.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::login::From;
use super::{Endpoint, post};
use crate::api::{Api, Call};
use crate::body::Body;
use crate::people::SignedInPerson;
use crate::people::invitations::{self, NewPerson};
use crate::people::sign_in::slow_down;
use crate::problem::Problem;
use crate::show::no_store;

pub(super) fn endpoints() -> Vec<Endpoint> {
    const TOKEN: (&str, &str, &str) = ("token", "string", "of the invitation: the end of its link");
    const HOLDS: &str = "nothing, but the invitation's token";
    vec![
        post("/v1/invitation", shown)
            .tells("Shows what an invitation offers.", HOLDS)
            .takes(&[TOKEN]),
        post("/v1/invitation/accept", accept)
            .tells(
                "Takes an invitation: the caller becomes the member.",
                "nothing, but a person's own credential; iam:AcceptTrust on the person",
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    token: Zeroizing<String>,
}

/// Whoever guesses tokens is slowed, by source.
async fn slowed<T>(api: &Api, from: &From, outcome: Result<T, Problem>) -> Result<T, Problem> {
    let is_guess = |problem: &Problem| problem.status == StatusCode::NOT_FOUND;
    if outcome.as_ref().is_err_and(is_guess) {
        slow_down(api, from.source).await;
    }
    outcome
}

async fn shown(
    State(api): State<Arc<Api>>,
    from: From,
    Body(body): Body<Held>,
) -> Result<Response, Problem> {
    let offer = invitations::offer(&api, &api.control.directory(), &body.token);
    let offer = slowed(&api, &from, offer).await?;
    Ok(no_store(StatusCode::OK, offer.shown()))
}

async fn accept(call: Call, Body(body): Body<Held>) -> Result<Response, Problem> {
    let person = SignedInPerson::of_caller(&call)
        .ok_or_else(|| Problem::invalid("an invitation is taken by a person who is signed in: `keyward login`, or the link in a browser"))?;
    let offer = invitations::accept(&call.api, &person, &body.token).await?;
    Ok(no_store(StatusCode::OK, offer.shown()))
}

async fn decline(
    State(api): State<Arc<Api>>,
    from: From,
    Body(body): Body<Held>,
) -> Result<Response, Problem> {
    let offer = invitations::decline(&api, &from.client(None), &body.token).await;
    let offer = slowed(&api, &from, offer).await?;
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
    let login = invitations::register(&api, &client, from.secure, &body.token, new).await;
    let login = slowed(&api, &from, login).await?;
    let mut response = super::login::session(&login);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}
