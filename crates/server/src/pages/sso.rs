//! Single sign-on: people sign in at a provider of the deployment.
//!
//! A person is found by issuer and subject of a verified token, and by nothing else that the
//! provider says. What it says besides is for organisations' mappings.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use keyward_auth::oidc::{Discovery, KnownKeys, SignedIn};
use keyward_iam::{Change, LinkedLogin, PersonChange, UnixMillis, UsedFactor};
use maud::html;
use serde::Deserialize;

use super::visit::{PageQuery, Submitted, Visit, cookie, next_page, percent};
use crate::api::Api;
use crate::control::Refusal;
use crate::federation::{LinkTo, SignIn, SsoStep};
use crate::people::sign_in::{self, Came, after, random_text};

/// How long somebody may take at the provider.
const STEP_SECONDS: u64 = 10 * 60;

/// Binds a sign-in to the browser that began it.
const COOKIE: &str = "sso";

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/ui/sso/{provider}/start", get(start))
        .route("/ui/sso/{provider}/link", post(begin_link))
        .route("/ui/sso/{provider}/callback", get(callback))
}

#[derive(Deserialize)]
struct Asked {
    next: Option<String>,
    /// `link`: logins are linked on the page of the account.
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

/// Where a sign-in that begins leads to, and what the browser keeps until then.
struct Begun {
    url: String,
    secret: zeroize::Zeroizing<String>,
}

/// Begins a sign-in at a provider.
async fn begin(
    visit: &Visit,
    provider: &SignIn,
    next: &str,
    link: Option<LinkTo>,
) -> Result<Begun, Response> {
    let known = known(visit, provider).await?;
    let id = &provider.id;
    let callback = format!("{}/ui/sso/{id}/callback", visit.api.people.origin());
    // Who is signed in and signs in again means to prove that she is there.
    let again = visit.person.is_some() && link.is_none();
    let begun = known
        .discovery
        .as_deref()
        .map(|discovery| provider.client.begin(discovery, &callback, again));
    let Some(Ok((url, step))) = begun else {
        let text = "The provider signs nobody in.";
        return Err(failed(visit, StatusCode::BAD_GATEWAY, text));
    };
    let secret = random_text();
    let kept = SsoStep {
        provider: id.clone(),
        step,
        next: next.to_owned(),
        link,
    };
    let until = after(visit.now, std::time::Duration::from_secs(STEP_SECONDS));
    let steps = &visit.api.federation.steps;
    if !steps.insert(&secret, until, kept, visit.now) {
        let text = "Too many people sign in right now: try again in a moment.";
        return Err(failed(visit, StatusCode::SERVICE_UNAVAILABLE, text));
    }
    Ok(Begun { url, secret })
}

/// A browser on this machine may have come by another of its names than the one that the provider
/// sends it back to; cookies belong to names.
fn own_name_of_this_machine(headers: &HeaderMap, origin: &str) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default();
    let is_address = host.starts_with("127.0.0.1") || host.starts_with("[::1]");
    !(is_address && origin.contains("://localhost"))
}

async fn start(
    visit: Visit,
    Path(id): Path<String>,
    headers: HeaderMap,
    PageQuery(asked): PageQuery<Asked>,
) -> Response {
    let Some(provider) = visit.api.federation.sign_in(&id) else {
        return unknown(&visit);
    };
    if asked.to.as_deref() == Some("link") {
        return visit.redirect("/ui/account");
    }
    let next = next_page(asked.next.as_deref());
    let origin = visit.api.people.origin();
    if !own_name_of_this_machine(&headers, origin) {
        let here = format!("{origin}/ui/sso/{id}/start?next={}", percent(next));
        return visit.redirect(&here);
    }
    match begin(&visit, provider, next, None).await {
        Ok(begun) => {
            let mut response = visit.redirect(&begun.url);
            visit.set_lax_cookie(&mut response, COOKIE, &begun.secret, STEP_SECONDS);
            response
        }
        Err(response) => response,
    }
}

/// A login of the person who is signed in is to be linked: a form of ours asks for it, so that no
/// other site's page can link its own login to whoever follows its link.
async fn begin_link(Path(id): Path<String>, headers: HeaderMap, form: Submitted) -> Response {
    let visit = &form.visit;
    let Some(provider) = visit.api.federation.sign_in(&id) else {
        return unknown(visit);
    };
    let person = match visit.person("/ui/account") {
        Ok(person) => person,
        Err(response) => return response,
    };
    if !visit.is_fresh() {
        let text = "Sign in again first: it was a while ago.";
        return failed(visit, StatusCode::FORBIDDEN, text);
    }
    let origin = visit.api.people.origin();
    if !own_name_of_this_machine(&headers, origin) {
        let text = format!("Do this at {origin}/ui/account, where the provider sends you back to.");
        return failed(visit, StatusCode::BAD_REQUEST, &text);
    }
    let link = LinkTo {
        user: person.path.clone(),
        login: Arc::clone(&person.login.id),
    };
    match begin(visit, provider, "/ui/account", Some(link)).await {
        Ok(begun) => {
            // Forms lead to pages of ours only; this one goes on by itself.
            let body = html! { p { a href=(begun.url) { "Go on to " (provider.name) } } };
            let mut response = visit.onward("One moment", &begun.url, &body);
            visit.set_lax_cookie(&mut response, COOKIE, &begun.secret, STEP_SECONDS);
            response
        }
        Err(response) => response,
    }
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
    PageQuery(answer): PageQuery<Answer>,
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
    let known = match known(&visit, provider).await {
        Ok(known) => known,
        Err(response) => return response,
    };
    let is_its = is_of_provider(answer.iss.as_deref(), provider, known.discovery.as_deref());
    let Some(code) = answer.code.filter(|_| is_its && answer.error.is_none()) else {
        let text = "The provider did not sign you in.";
        return failed(&visit, StatusCode::FORBIDDEN, text);
    };
    match finish(&visit, provider, &step, known, code).await {
        Ok(signed_in) => enter(&visit, provider, &step, signed_in).await,
        Err(response) => response,
    }
}

/// Which of several providers answers, it says itself (RFC 9207), where it says that it does.
fn is_of_provider(said: Option<&str>, provider: &SignIn, discovery: Option<&Discovery>) -> bool {
    match said {
        Some(issuer) => *issuer == provider.client.issuer,
        None => discovery.is_some_and(|d| !d.authorization_response_iss_parameter_supported),
    }
}

async fn finish(
    visit: &Visit,
    provider: &SignIn,
    step: &SsoStep,
    known: KnownKeys,
    code: String,
) -> Result<SignedIn, Response> {
    let tokens = Arc::clone(&visit.api.federation.tokens);
    let (client, kept, now) = (provider.client.clone(), step.step.clone(), visit.now);
    let finished = tokio::task::spawn_blocking(move || {
        let (Some(discovery), Some(keys)) = (known.discovery, known.keys) else {
            return None;
        };
        let issuer = &client.issuer;
        let first = client.finish(tokens.keys(), (&discovery, &keys), &kept, &code, now);
        if let Err(error) = &first {
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

/// Takes away what sign-ins at an issuer gave to a person whose login there is not linked any more.
pub(super) async fn forget(visit: &Visit, user: &str, issuer: &str) -> Result<(), Response> {
    let sign_ins = &visit.api.federation.sign_ins;
    for sign_in in sign_ins.iter().filter(|one| one.client.issuer == issuer) {
        let sync = Change::SyncSignIn {
            user: user.to_owned(),
            sign_in: sign_in.id.clone(),
            claims: std::collections::BTreeMap::new(),
        };
        let directory = visit.api.control.directory();
        if directory.would_sync(&sync, visit.now)
            && let Err(error) = make(visit, user, sync).await
        {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                user,
                error,
                "memberships of an unlinked login were not ended"
            );
            let text =
                "The login is unlinked, but the memberships that it gave could not be ended.";
            return Err(failed(visit, StatusCode::INTERNAL_SERVER_ERROR, text));
        }
    }
    Ok(())
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
        (Some(user), Some(asking)) if user != asking.user => {
            let text = "This login belongs to somebody else here.";
            Err(failed(visit, StatusCode::CONFLICT, text))
        }
        (Some(user), _) => Ok(user),
        (None, Some(asking)) => {
            // Whoever was signed out meanwhile links nothing any more.
            let user = directory.identity_at(&asking.user);
            let open = user.and_then(|ix| directory.login_session(ix, &asking.login, visit.now));
            if open.is_none() {
                let text = "You were signed out meanwhile: sign in and link the login again.";
                return Err(failed(visit, StatusCode::FORBIDDEN, text));
            }
            let change = Change::Person {
                user: asking.user.clone(),
                change: link(signed_in, visit),
            };
            match make(visit, &asking.user, change).await {
                Ok(()) => Ok(asking.user.clone()),
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

/// When a second factor was given at the provider, where it says that there were several: a session
/// there may be older than the sign-in here.
fn second_factor(signed_in: &SignedIn, now: UnixMillis) -> Option<UnixMillis> {
    let claim = |name: &str| signed_in.claims.get(name).map(Vec::as_slice);
    let methods = claim("amr").unwrap_or_default();
    if !methods.iter().any(|method| method == "mfa") {
        return None;
    }
    let seconds = match claim("auth_time") {
        None => return Some(now),
        Some([one]) => one.parse::<u64>().ok()?,
        Some(_) => return None,
    };
    Some(UnixMillis(seconds.saturating_mul(1000)).min(now))
}

async fn enter(visit: &Visit, provider: &SignIn, step: &SsoStep, signed_in: SignedIn) -> Response {
    let user = match user_of(visit, provider, step, &signed_in).await {
        Ok(user) => user,
        Err(response) => return response,
    };
    let mfa = second_factor(&signed_in, visit.now);
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
    let came = Came::Provider {
        issuer: provider.client.issuer.clone(),
        mfa,
    };
    let client = visit.client();
    let begun = sign_in::begin(&visit.api, &user, &client, UsedFactor::None, false, came);
    match begun.await {
        Ok(login) => visit.signed_in_from_elsewhere(&login, &step.next),
        Err(error) => failed(visit, StatusCode::FORBIDDEN, &error.text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_factors_of_providers() {
        let now = UnixMillis(1_800_000_000_000);
        type Claims<'a> = &'a [(&'a str, &'a [&'a str])];
        let cases: [(Claims<'_>, Option<u64>); 8] = [
            (&[], None),
            (&[("amr", &["pwd"])], None),
            (&[("amr", &["pwd", "mfa"])], Some(now.0)),
            (
                &[("amr", &["mfa"]), ("auth_time", &["1799999000"])],
                Some(1_799_999_000_000),
            ),
            (
                &[("amr", &["mfa"]), ("auth_time", &["1900000000"])],
                Some(now.0),
            ),
            (&[("amr", &["mfa"]), ("auth_time", &["soon"])], None),
            (&[("amr", &["mfa"]), ("auth_time", &["1", "2"])], None),
            (&[("amr", &["mfas"]), ("acr", &["mfa"])], None),
        ];
        for (claims, expected) in cases {
            let texts = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
            let claims = claims
                .iter()
                .map(|(name, values)| ((*name).to_owned(), texts(values)));
            let signed_in = SignedIn {
                issuer: "https://id.example".to_owned(),
                subject: "bob".to_owned(),
                claims: claims.collect(),
            };
            let found = second_factor(&signed_in, now).map(|at| at.0);
            assert_eq!(found, expected, "{:?}", signed_in.claims);
        }
    }

    #[test]
    fn names_of_this_machine() {
        let cases = [
            ("localhost:6381", "http://localhost:6381", true),
            ("127.0.0.1:6381", "http://localhost:6381", false),
            ("[::1]:6381", "http://localhost:6381", false),
            ("127.0.0.1:6381", "https://k.example", true), // behind a proxy
            ("k.example", "https://k.example", true),
        ];
        for (host, origin, own) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(own_name_of_this_machine(&headers, origin), own, "{host}");
        }
    }
}
