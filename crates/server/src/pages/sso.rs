//! Single sign-on: people sign in at a provider of the deployment.
//!
//! A person is found by issuer and subject of a verified token, and by nothing else that the
//! provider says. What it says besides is for organisations' mappings.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use keyward_auth::oidc::{KnownKeys, SignedIn};
use keyward_iam::{Change, LinkedLogin, PersonChange, UsedFactor};
use maud::html;
use serde::Deserialize;

use super::visit::{Visit, cookie, next_page};
use crate::api::Api;
use crate::control::Refusal;
use crate::federation::{SignIn, SsoStep};
use crate::people::sign_in::{self, Came, after, random_text};

/// How long somebody may take at the provider.
const STEP_SECONDS: u64 = 10 * 60;

/// Binds a sign-in to the browser that began it.
const COOKIE: &str = "sso";

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/ui/sso/{provider}/start", get(start))
        .route("/ui/sso/{provider}/callback", get(callback))
}

#[derive(Deserialize)]
struct Asked {
    next: Option<String>,
    /// `link`: the login is to be linked to the person who is signed in.
    to: Option<String>,
}

fn failed(visit: &Visit, status: StatusCode, text: &str) -> Response {
    let body = html! {
        p class="notice error" role="alert" { (text) }
        p { a href="/ui/sign-in" { "Sign in in another way" } }
    };
    visit.page(status, "Not signed in", false, &body)
}

fn unknown(visit: &Visit) -> Response {
    failed(visit, StatusCode::NOT_FOUND, "There is no such provider.")
}

/// The provider's keys and places, or why there are none.
async fn known(visit: &Visit, provider: &SignIn) -> Result<KnownKeys, Response> {
    let api = &visit.api;
    let known = api
        .federation
        .known(&provider.client.issuer, api.clock)
        .await;
    if known.discovery.is_some() && known.keys.is_some() {
        return Ok(known);
    }
    if let Some(failure) = &known.failure {
        let failure = failure as &dyn std::error::Error;
        tracing::warn!(
            provider = provider.id,
            error = failure,
            "sign-in provider away"
        );
    }
    let text = "The provider cannot be reached right now: try again in a moment.";
    Err(failed(visit, StatusCode::BAD_GATEWAY, text))
}

async fn start(visit: Visit, Path(id): Path<String>, Query(asked): Query<Asked>) -> Response {
    let Some(provider) = visit.api.federation.sign_in(&id) else {
        return unknown(&visit);
    };
    let next = next_page(asked.next.as_deref()).to_owned();
    let link = match asked.to.as_deref() {
        Some("link") => match visit.person("/ui/account") {
            // Another site's page must not link its own login to whoever follows its link.
            Ok(_) if visit.from_elsewhere => return unknown(&visit),
            Ok(person) if visit.is_fresh() => Some(person.path.clone()),
            Ok(_) => {
                let text = "Sign in again first: it was a while ago.";
                return failed(&visit, StatusCode::FORBIDDEN, text);
            }
            Err(response) => return response,
        },
        _ => None,
    };
    let known = match known(&visit, provider).await {
        Ok(known) => known,
        Err(response) => return response,
    };
    let callback = format!("{}/ui/sso/{id}/callback", visit.api.people.origin());
    let begun = known
        .discovery
        .as_deref()
        .map(|discovery| provider.client.begin(discovery, &callback));
    let Some(Ok((url, step))) = begun else {
        let text = "The provider signs nobody in.";
        return failed(&visit, StatusCode::BAD_GATEWAY, text);
    };
    let secret = random_text();
    let kept = SsoStep {
        provider: id,
        step,
        next,
        link,
    };
    let until = after(visit.now, std::time::Duration::from_secs(STEP_SECONDS));
    let steps = &visit.api.federation.steps;
    if !steps.insert(&secret, until, kept, visit.now) {
        let text = "Too many people sign in right now: try again in a moment.";
        return failed(&visit, StatusCode::SERVICE_UNAVAILABLE, text);
    }
    let mut response = visit.redirect(&url);
    visit.set_lax_cookie(&mut response, COOKIE, &secret, STEP_SECONDS);
    response
}

#[derive(Deserialize)]
struct Answer {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

async fn callback(
    visit: Visit,
    Path(id): Path<String>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Response {
    let over = "This sign-in took too long, or was begun in another browser: start again.";
    let secret = cookie(&headers, &Visit::cookie_name(&visit.api, COOKIE));
    let step = secret.and_then(|secret| visit.api.federation.steps.take(secret, visit.now));
    let Some(step) = step.filter(|step| step.provider == id) else {
        return failed(&visit, StatusCode::BAD_REQUEST, over);
    };
    let Some(provider) = visit.api.federation.sign_in(&id) else {
        return unknown(&visit);
    };
    if answer.state.as_deref() != Some(&*step.step.state) {
        return failed(&visit, StatusCode::BAD_REQUEST, over);
    }
    // Which of several providers answers, it says itself (RFC 9207).
    let other = answer
        .iss
        .as_ref()
        .is_some_and(|issuer| *issuer != provider.client.issuer);
    let Some(code) = answer.code.filter(|_| !other && answer.error.is_none()) else {
        let text = "The provider did not sign you in.";
        return failed(&visit, StatusCode::FORBIDDEN, text);
    };
    match finish(&visit, provider, &step, code).await {
        Ok(signed_in) => enter(&visit, provider, &step, signed_in).await,
        Err(response) => response,
    }
}

async fn finish(
    visit: &Visit,
    provider: &SignIn,
    step: &SsoStep,
    code: String,
) -> Result<SignedIn, Response> {
    let known = known(visit, provider).await?;
    let tokens = Arc::clone(&visit.api.federation.tokens);
    let (client, kept, now) = (provider.client.clone(), step.step.clone(), visit.now);
    let finished = tokio::task::spawn_blocking(move || {
        let (Some(discovery), Some(keys)) = (known.discovery, known.keys) else {
            return None;
        };
        let issuer = &client.issuer;
        let first = client.finish(tokens.keys(), (&discovery, &keys), &kept, &code, now);
        if let Err(error) = &first {
            // The next sign-in has the newer keys; this code is used up.
            let _ = tokens.keys().look(issuer, true, now);
            tracing::warn!(
                issuer,
                error = error as &dyn std::error::Error,
                "sign-in failed"
            );
        }
        first.ok()
    });
    finished.await.ok().flatten().ok_or_else(|| {
        let text = "The provider's answer was not accepted: try again.";
        failed(visit, StatusCode::BAD_GATEWAY, text)
    })
}

/// Makes a change for a person, without a session of hers.
async fn make(visit: &Visit, user: &str, change: Change) -> Result<(), Refusal> {
    let control = Arc::clone(&visit.api.control);
    let (by, source, now) = (user.to_owned(), visit.source, visit.now);
    let made = tokio::task::spawn_blocking(move || {
        control.change_for_person(&by, Some(source), &change, now)
    });
    match made.await {
        Ok(made) => made.map(drop),
        Err(_) => Err(Refusal::Change(keyward_iam::ChangeError::Invalid {
            reason: "it failed inside Keyward".to_owned(),
        })),
    }
}

fn link(signed_in: &SignedIn, visit: &Visit) -> PersonChange {
    PersonChange::Link(LinkedLogin {
        issuer: signed_in.issuer.as_str().into(),
        subject: signed_in.subject.as_str().into(),
        added: visit.now,
    })
}

/// The user whose login this is: known, linked now, or new.
async fn user_of(
    visit: &Visit,
    provider: &SignIn,
    step: &SsoStep,
    signed_in: &SignedIn,
) -> Result<String, Response> {
    let directory = visit.api.control.directory();
    let known = directory.user_by_linked_login(&signed_in.issuer, &signed_in.subject);
    let known = known.and_then(|ix| directory.identity(ix));
    let known = known.map(|user| user.path.to_string());
    match (known, &step.link) {
        (Some(user), Some(asking)) if user != *asking => {
            let text = "This login belongs to somebody else here.";
            Err(failed(visit, StatusCode::CONFLICT, text))
        }
        (Some(user), _) => Ok(user),
        (None, Some(asking)) => {
            let change = Change::Person {
                user: asking.clone(),
                change: link(signed_in, visit),
            };
            match make(visit, asking, change).await {
                Ok(()) => Ok(asking.clone()),
                Err(error) => Err(failed(visit, StatusCode::CONFLICT, &error.to_string())),
            }
        }
        (None, None) if provider.allow_sign_up => {
            let id = keyward_auth::random_slug();
            let user = format!("user/{id}");
            // A name is no proof of anything, and may be somebody else's: people see it, no policy.
            let create = Change::CreateUser { id, name: None };
            let linking = Change::Person {
                user: user.clone(),
                change: link(signed_in, visit),
            };
            for change in [create, linking] {
                if let Err(error) = make(visit, &user, change).await {
                    return Err(failed(visit, StatusCode::CONFLICT, &error.to_string()));
                }
            }
            Ok(user)
        }
        (None, None) => {
            let text = "Nobody here has this login. Sign in in another way, and link it to your account; or ask whoever runs this Keyward.";
            Err(failed(visit, StatusCode::FORBIDDEN, text))
        }
    }
}

async fn enter(visit: &Visit, provider: &SignIn, step: &SsoStep, signed_in: SignedIn) -> Response {
    let user = match user_of(visit, provider, step, &signed_in).await {
        Ok(user) => user,
        Err(response) => return response,
    };
    // What the provider's organisation says of factors, where it says that there were several.
    let methods = signed_in.claims.get("amr").map(Vec::as_slice);
    let mfa = methods
        .unwrap_or_default()
        .iter()
        .any(|method| method == "mfa");
    let sync = Change::SyncSignIn {
        user: user.clone(),
        sign_in: provider.id.clone(),
        claims: signed_in.claims,
    };
    let directory = visit.api.control.directory();
    if directory.would_sync(&sync, visit.now)
        && let Err(error) = make(visit, &user, sync).await
    {
        // Whoever comes in without what the mappings give, or with what they took, is not let in.
        let error = &error as &dyn std::error::Error;
        tracing::error!(user, error, "memberships of a sign-in were not set");
        let text = "Your memberships could not be set: try again.";
        return failed(visit, StatusCode::INTERNAL_SERVER_ERROR, text);
    }
    if step.link.is_some() {
        let body = html! { p { "The login is linked." } };
        return visit.onward("Linked", "/ui/account", &body);
    }
    let came = Came::Provider(provider.client.issuer.clone());
    let client = visit.client();
    let begun = sign_in::begin(&visit.api, &user, &client, UsedFactor::None, mfa, came);
    match begun.await {
        Ok(login) => visit.signed_in_from_elsewhere(&login, &step.next),
        Err(error) => failed(visit, StatusCode::FORBIDDEN, &error.text()),
    }
}
