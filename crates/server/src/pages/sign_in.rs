//! Signing in and out.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use keyward_iam::{Change, PersonChange};
use maud::{Markup, html};
use serde::Deserialize;

use super::notice;
use super::visit::{PageQuery, Submitted, Visit, next_page};
use crate::api::Api;
use crate::people::factors;
use crate::people::invitations::for_person;
use crate::people::sign_in::{self, NotSignedIn, Progress};
use crate::problem::Problem;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/ui/sign-in", get(show).post(password))
        .route("/ui/sign-in/code", post(code))
        .route("/ui/sign-in/passkey/challenge", post(challenge))
        .route("/ui/sign-in/passkey", post(passkey))
        .route("/ui/sign-out", post(sign_out))
}

#[derive(Deserialize)]
struct Asked {
    next: Option<String>,
}

fn passkey_form(visit: &Visit, next: &str, step: &str, label: &str) -> Markup {
    html! {
        form method="post" action="/ui/sign-in/passkey" data-passkey="get"
            data-challenge="/ui/sign-in/passkey/challenge" hidden {
            (visit.hidden())
            input type="hidden" name="next" value=(next);
            input type="hidden" name="step" value=(step);
            input type="hidden" name="passkey";
            button type="submit" class="second" { (label) }
            p class="notice error" role="alert" hidden {}
        }
    }
}

fn first_page(visit: &Visit, status: StatusCode, next: &str, error: Option<&str>) -> Response {
    let body = html! {
        (notice("error", error))
        form method="post" action="/ui/sign-in" {
            (visit.hidden())
            input type="hidden" name="next" value=(next);
            label for="name" { "Sign-in name" }
            input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false"
                required autofocus maxlength="254";
            label for="password" { "Password" }
            input id="password" name="password" type="password" autocomplete="current-password" required;
            button type="submit" { "Sign in" }
        }
        (passkey_form(visit, next, "", "Sign in with a passkey"))
        @for button in &visit.api.people.buttons {
            a class="button second" href={ (button.path) "?next=" (super::visit::percent(next)) } {
                "Continue with " (button.name)
            }
        }
        p class="hint" {
            "No account yet? You get one with an invitation, or from whoever runs this Keyward."
        }
    };
    visit.page(status, "Sign in", true, &body)
}

fn second_page(
    visit: &Visit,
    status: StatusCode,
    next: &str,
    step: &str,
    methods: &[&str],
    error: Option<&str>,
) -> Response {
    let has = |method: &str| methods.contains(&method);
    let body = html! {
        (notice("error", error))
        @if has("totp") || has("recovery_code") {
            form method="post" action="/ui/sign-in/code" {
                (visit.hidden())
                input type="hidden" name="next" value=(next);
                input type="hidden" name="step" value=(step);
                label for="code" {
                    @if has("totp") { "Code of your authenticator app" } @else { "Recovery code" }
                }
                input id="code" name="code" autocomplete="one-time-code" autocapitalize="none"
                    spellcheck="false" required autofocus maxlength="64";
                @if has("totp") && has("recovery_code") {
                    p class="hint" { "A recovery code does, too. Each is good for once." }
                }
                button type="submit" { "Go on" }
            }
        }
        @if has("passkey") {
            (passkey_form(visit, next, step, "Use a passkey"))
            noscript { p { "Passkeys need JavaScript." } }
        }
        p { a href="/ui/sign-in" { "Start again" } }
    };
    visit.page(status, "Second factor", has("passkey"), &body)
}

async fn show(visit: Visit, PageQuery(asked): PageQuery<Asked>) -> Response {
    first_page(
        &visit,
        StatusCode::OK,
        next_page(asked.next.as_deref()),
        None,
    )
}

fn status_of(error: &NotSignedIn) -> StatusCode {
    Problem::from(error.clone()).status
}

async fn password(form: Submitted) -> Response {
    let visit = &form.visit;
    let next = next_page(Some(form.field("next")));
    let client = visit.client();
    let (name, password) = (form.field("name"), form.secret("password"));
    match sign_in::with_password(&visit.api, name, password, &client).await {
        Ok(Progress::Done(login)) => visit.signed_in(&login, next),
        Ok(Progress::SecondFactor { step, methods }) => {
            second_page(visit, StatusCode::OK, next, &step, &methods, None)
        }
        Err(error) => first_page(visit, status_of(&error), next, Some(&error.text())),
    }
}

/// What a person whose password was right has.
fn methods(visit: &Visit, step: &str) -> Vec<&'static str> {
    let user = sign_in::user_of_step(&visit.api, step).ok();
    let user = user.and_then(|user| visit.directory.identity_at(&user));
    let Some(person) = user.and_then(|user| visit.directory.person(user)) else {
        return Vec::new();
    };
    [
        ("totp", person.totp.is_some()),
        ("passkey", !person.passkeys.is_empty()),
        ("recovery_code", !person.recovery_codes.is_empty()),
    ]
    .into_iter()
    .filter_map(|(method, there)| there.then_some(method))
    .collect()
}

/// The page again, or the first one if the step is over.
fn again(visit: &Visit, next: &str, step: &str, error: &NotSignedIn) -> Response {
    let methods = methods(visit, step);
    let text = error.text();
    if methods.is_empty() {
        return first_page(visit, status_of(error), next, Some(&text));
    }
    second_page(visit, status_of(error), next, step, &methods, Some(&text))
}

async fn code(form: Submitted) -> Response {
    let visit = &form.visit;
    let (next, step) = (next_page(Some(form.field("next"))), form.field("step"));
    match sign_in::with_code(&visit.api, step, form.field("code"), &visit.client()).await {
        Ok(login) => visit.signed_in(&login, next),
        Err(error) => again(visit, next, step, &error),
    }
}

async fn challenge(form: Submitted) -> Response {
    let step = Some(form.field("step")).filter(|step| !step.is_empty());
    match factors::ask_to_sign_in(&form.visit.api, step) {
        Ok(options) => axum::Json(options).into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}

async fn passkey(form: Submitted) -> Response {
    let visit = &form.visit;
    let (next, step) = (next_page(Some(form.field("next"))), form.field("step"));
    let given = Some(step).filter(|step| !step.is_empty());
    let answer = serde_json::from_str(form.field("passkey"));
    let signed_in = match answer {
        Ok(answer) => factors::sign_in(&visit.api, given, &answer, &visit.client()).await,
        Err(_) => Err(NotSignedIn::Passkey(
            "the passkey's answer is malformed".to_owned(),
        )),
    };
    match signed_in {
        Ok(login) => visit.signed_in(&login, next),
        Err(error) => again(visit, next, step, &error),
    }
}

async fn sign_out(form: Submitted) -> Response {
    let visit = &form.visit;
    if let Some(person) = &visit.person {
        let change = Change::Person {
            user: person.path.clone(),
            change: PersonChange::EndLogin(person.login.id.to_string()),
        };
        // A session that has ended meanwhile is what was asked for.
        let _ = for_person(&visit.api, &person.path, &visit.client(), change).await;
    }
    visit.signed_out("/ui/sign-in")
}
