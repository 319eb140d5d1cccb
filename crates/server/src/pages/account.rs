//! The account: how the person signs in, and where she is signed in.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use keyward_iam::{Change, Person, PersonChange, UsedFactor};
use maud::{Markup, html};
use qrcode::{Color, EcLevel, QrCode};

use super::visit::{Submitted, Visit};
use super::{moment, notice};
use crate::api::Api;
use crate::people::factors::{self, TotpOffer};
use crate::people::sign_in::{self, Came};
use crate::people::{SignedInPerson, invitations::for_session};
use crate::problem::Problem;

const HERE: &str = "/ui/account";

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route(HERE, get(show))
        .route("/ui/account/password", post(password))
        .route("/ui/account/totp", post(offer_totp))
        .route("/ui/account/totp/confirm", post(confirm_totp))
        .route("/ui/account/totp/remove", post(remove_totp))
        .route("/ui/account/recovery-codes", post(recovery_codes))
        .route("/ui/account/passkey/challenge", post(challenge))
        .route("/ui/account/passkey", post(add_passkey))
        .route("/ui/account/passkey/remove", post(remove_passkey))
        .route("/ui/account/linked/remove", post(unlink))
        .route("/ui/account/session/end", post(end_session))
        .route("/ui/account/session/end-others", post(end_others))
}

/// What was done, or what went wrong.
enum Told<'a> {
    Nothing,
    Done(&'a str),
    Failed(&'a str),
}

async fn show(visit: Visit) -> Response {
    account(&visit, StatusCode::OK, &Told::Nothing)
}

fn button(visit: &Visit, path: &str, field: Option<(&str, &str)>, label: &str) -> Markup {
    html! {
        form method="post" action=(path) {
            (visit.hidden())
            @if let Some((name, value)) = field { input type="hidden" name=(name) value=(value); }
            button type="submit" class="second small" { (label) }
        }
    }
}

fn account(visit: &Visit, status: StatusCode, told: &Told<'_>) -> Response {
    let signed_in = match visit.person(HERE) {
        Ok(person) => person,
        Err(response) => return response,
    };
    // What was changed just now is newer than the visit.
    let directory = visit.api.control.directory();
    let person = directory
        .person(signed_in.user)
        .cloned()
        .unwrap_or_default();
    let identity = directory.identity(signed_in.user);
    let name = identity.and_then(|identity| identity.name.as_deref());
    let body = html! {
        @match told {
            Told::Nothing => {}
            Told::Done(text) => (notice("done", Some(text))),
            Told::Failed(text) => (notice("error", Some(text))),
        }
        dl {
            @if let Some(name) = name { dt { "Name" } dd { (name) } }
            dt { "Sign-in name" } dd { (person.sign_in_name.as_deref().unwrap_or("none")) }
            dt { "User" } dd { code { (signed_in.path) } }
        }
        form method="post" action="/ui/sign-out" { (visit.hidden()) button type="submit" class="second" { "Sign out" } }
        @if !visit.is_fresh() {
            p class="notice" {
                "To change how you sign in, "
                a href="/ui/sign-in?next=/ui/account" { "sign in again" }
                ": your last sign-in here was more than 15 minutes ago."
            }
        }
        (password_part(visit, &person))
        (totp_part(visit, &person))
        (passkey_part(visit, &person))
        (recovery_part(visit, &person))
        (linked_part(visit, &person))
        (sessions_part(visit, signed_in, &person))
        (memberships_part(&directory, signed_in))
    };
    visit.page(status, "Your account", true, &body)
}

fn password_part(visit: &Visit, person: &Person) -> Markup {
    html! {
        h2 { "Password" }
        @if let Some(at) = person.password_set { p class="hint" { "Set " (moment(at)) "." } }
        form method="post" action="/ui/account/password" {
            (visit.hidden())
            input type="hidden" name="username" autocomplete="username"
                value=(person.sign_in_name.as_deref().unwrap_or_default());
            label for="new-password" { "New password" }
            input id="new-password" name="password" type="password" autocomplete="new-password" required minlength="12";
            p class="hint" { "12 characters or more, best several words. All your sessions end." }
            button type="submit" class="second" { "Change the password" }
        }
    }
}

fn totp_part(visit: &Visit, person: &Person) -> Markup {
    html! {
        h2 { "Authenticator app" }
        @match &person.totp {
            Some(totp) => div class="row" {
                span { "Set up" small { (moment(totp.added)) } }
                (button(visit, "/ui/account/totp/remove", None, "Remove"))
            },
            None => {
                p class="hint" { "A second factor keeps others out who know your password." }
                form method="post" action="/ui/account/totp" {
                    (visit.hidden()) button type="submit" class="second" { "Set up an authenticator app" }
                }
            }
        }
    }
}

fn passkey_part(visit: &Visit, person: &Person) -> Markup {
    html! {
        h2 { "Passkeys" }
        @for passkey in &person.passkeys {
            div class="row" {
                span {
                    (passkey.name)
                    small {
                        "Added " (moment(passkey.added))
                        @if let Some(used) = passkey.used { ", used " (moment(used)) }
                    }
                }
                (button(visit, "/ui/account/passkey/remove", Some(("id", &passkey.id)), "Remove"))
            }
        }
        form method="post" action="/ui/account/passkey" data-passkey="create"
            data-challenge="/ui/account/passkey/challenge" hidden {
            (visit.hidden())
            input type="hidden" name="passkey";
            label for="passkey-name" { "Name of the new passkey" }
            input id="passkey-name" name="name" value="Passkey" required maxlength="100";
            button type="submit" class="second" { "Add a passkey" }
            p class="notice error" role="alert" hidden {}
        }
        noscript { p { "Passkeys need JavaScript." } }
    }
}

fn recovery_part(visit: &Visit, person: &Person) -> Markup {
    html! {
        @if person.has_second_factor() {
            h2 { "Recovery codes" }
            div class="row" {
                span { (person.recovery_codes.len()) " left" }
                (button(visit, "/ui/account/recovery-codes", None, "Make new ones"))
            }
        }
    }
}

fn linked_part(visit: &Visit, person: &Person) -> Markup {
    let sign_ins = &visit.api.federation.sign_ins;
    let name = |issuer: &str| {
        let known = sign_ins.iter().find(|one| one.client.issuer == issuer);
        known.map_or_else(|| issuer.to_owned(), |one| one.name.clone())
    };
    html! {
        @if !sign_ins.is_empty() || !person.linked.is_empty() {
            h2 { "Single sign-on" }
            @for linked in &person.linked {
                div class="row" {
                    span {
                        (name(&linked.issuer)) ": " code { (linked.subject) }
                        small { "Linked " (moment(linked.added)) }
                    }
                    form method="post" action="/ui/account/linked/remove" {
                        (visit.hidden())
                        input type="hidden" name="issuer" value=(linked.issuer);
                        input type="hidden" name="subject" value=(linked.subject);
                        button type="submit" class="second small" { "Unlink" }
                    }
                }
            }
            @for sign_in in sign_ins {
                form method="post" action={ "/ui/sso/" (sign_in.id) "/link" } {
                    (visit.hidden())
                    button type="submit" class="second" { "Link a login of " (sign_in.name) }
                }
            }
        }
    }
}

fn sessions_part(visit: &Visit, signed_in: &SignedInPerson, person: &Person) -> Markup {
    let open = person.logins.iter();
    let open: Vec<_> = open.filter(|login| visit.now < login.expires_at).collect();
    html! {
        h2 { "Where you are signed in" }
        @for login in &open {
            div class="row" {
                span {
                    (login.client)
                    @if login.id == signed_in.login.id { " (here)" }
                    small {
                        @if let Some(source) = login.source { (source) ", " }
                        "since " (moment(login.created))
                        ", last used " (moment(visit.api.people.last_seen(login)))
                        @if login.mfa.is_some() { ", with a second factor" }
                    }
                }
                (button(visit, "/ui/account/session/end", Some(("id", &login.id)), "End"))
            }
        }
        @if open.len() > 1 {
            form method="post" action="/ui/account/session/end-others" {
                (visit.hidden()) button type="submit" class="second" { "End all others" }
            }
        }
    }
}

fn memberships_part(directory: &keyward_iam::Directory, signed_in: &SignedInPerson) -> Markup {
    let trustors = directory
        .trusts()
        .filter(|(_, trust)| trust.trustee == signed_in.user && trust.accepted)
        .filter_map(|(_, trust)| directory.identity(trust.trustor));
    let mut paths: Vec<&str> = trustors.map(|trustor| &*trustor.path).collect();
    paths.sort_unstable();
    html! {
        @if !paths.is_empty() {
            h2 { "Memberships" }
            @for path in paths { div class="row" { code { (path) } } }
        }
    }
}

/// Makes a change for the person of a visit.
async fn make(visit: &Visit, change: PersonChange) -> Result<(), Response> {
    let person = visit.person(HERE)?;
    let change = Change::Person {
        user: person.path.clone(),
        change,
    };
    for_session(&visit.api, person, change)
        .await
        .map_err(|problem| failed(visit, &problem))
}

fn failed(visit: &Visit, problem: &Problem) -> Response {
    account(visit, problem.status, &Told::Failed(&problem.detail))
}

async fn done(visit: &Visit, change: PersonChange, text: &str) -> Response {
    match make(visit, change).await {
        Ok(()) => account(visit, StatusCode::OK, &Told::Done(text)),
        Err(response) => response,
    }
}

async fn password(form: Submitted) -> Response {
    let visit = &form.visit;
    let person = match visit.person(HERE) {
        Ok(person) => person,
        Err(response) => return response,
    };
    let names = factors::names(&visit.directory, person.user);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hash = match factors::new_password(&visit.api, form.secret("password"), &names).await {
        Ok(hash) => hash,
        Err(problem) => return failed(visit, &problem),
    };
    let mfa = person.login.mfa;
    if let Err(response) = make(visit, PersonChange::SetPassword { hash: Some(hash) }).await {
        return response;
    }
    // The session that changed it has ended, too; the browser gets another one.
    let came = Came::Approved { mfa };
    let client = visit.client();
    let begun = sign_in::begin(
        &visit.api,
        &person.path,
        &client,
        UsedFactor::None,
        false,
        came,
    )
    .await;
    match begun {
        Ok(login) => visit.signed_in(&login, HERE),
        Err(_) => visit.signed_out("/ui/sign-in"),
    }
}

fn account_name(visit: &Visit, person: &SignedInPerson) -> String {
    let known = visit.directory.person(person.user);
    let name = known.and_then(|known| known.sign_in_name.as_deref());
    name.unwrap_or(&person.path).to_owned()
}

/// A QR code as a picture in the page: nothing that could be kept elsewhere.
fn picture(text: &str) -> Markup {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else {
        return html! {};
    };
    let width = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            use std::fmt::Write as _;
            let (x, y) = (at % width + 4, at / width + 4);
            let _ = write!(path, "M{x} {y}h1v1h-1z"); // writing into a string cannot fail
        }
    }
    let side = width + 8;
    html! {
        svg class="qr" role="img" aria-label="QR code for the authenticator app"
            viewBox={ "0 0 " (side) " " (side) } shape-rendering="crispEdges" {
            rect width=(side) height=(side) fill="#fff" {}
            path d=(path) fill="#000" {}
        }
    }
}

fn totp_page(
    visit: &Visit,
    status: StatusCode,
    offer: &TotpOffer,
    error: Option<&str>,
) -> Response {
    let body = html! {
        (notice("error", error))
        p { "Take a picture of this with your authenticator app, then type the code that it shows." }
        (picture(&offer.uri))
        details {
            summary { "Without a camera" }
            p { "Type this secret into the app:" }
            pre id="totp-secret" { (*offer.secret) }
        }
        form method="post" action="/ui/account/totp/confirm" {
            (visit.hidden())
            input type="hidden" name="enrolment" value=(offer.enrolment);
            label for="code" { "Code" }
            input id="code" name="code" inputmode="numeric" autocomplete="one-time-code" required autofocus maxlength="10";
            button type="submit" { "Set it up" }
        }
        p { a href=(HERE) { "Not now" } }
    };
    visit.page(status, "Authenticator app", false, &body)
}

async fn offer_totp(form: Submitted) -> Response {
    let visit = &form.visit;
    let person = match visit.person(HERE) {
        Ok(person) => person,
        Err(response) => return response,
    };
    if !visit.is_fresh() {
        return account(
            visit,
            StatusCode::FORBIDDEN,
            &Told::Failed("Sign in again first."),
        );
    }
    let offer = factors::offer_totp(&visit.api, &person.path, &account_name(visit, person));
    totp_page(visit, StatusCode::OK, &offer, None)
}

async fn confirm_totp(form: Submitted) -> Response {
    let visit = &form.visit;
    let person = match visit.person(HERE) {
        Ok(person) => person,
        Err(response) => return response,
    };
    let (enrolment, code) = (form.field("enrolment"), form.field("code"));
    match factors::accept_totp(&visit.api, &person.path, enrolment, code) {
        Ok((change, codes)) => match make(visit, change).await {
            Ok(()) => codes_page(visit, &codes),
            Err(response) => response,
        },
        Err(problem) => {
            let name = account_name(visit, person);
            match factors::offered_totp(&visit.api, &person.path, &name, enrolment) {
                Some(offer) => totp_page(visit, problem.status, &offer, Some(&problem.detail)),
                None => failed(visit, &problem),
            }
        }
    }
}

fn codes_page(visit: &Visit, codes: &[zeroize::Zeroizing<String>]) -> Response {
    let body = html! {
        p {
            "Keep these where you find them without your devices: on paper, or in a password manager. "
            "Each lets you in once in the place of your second factor. They are shown only now."
        }
        ul class="codes" { @for code in codes { li { code { (**code) } } } }
        a class="button" href=(HERE) { "I have kept them" }
    };
    visit.page(StatusCode::OK, "Recovery codes", false, &body)
}

async fn remove_totp(form: Submitted) -> Response {
    done(
        &form.visit,
        PersonChange::RemoveTotp,
        "The authenticator app was removed.",
    )
    .await
}

async fn recovery_codes(form: Submitted) -> Response {
    let visit = &form.visit;
    let person = match visit.person(HERE) {
        Ok(person) => person,
        Err(response) => return response,
    };
    let (codes, hashes) = factors::new_recovery_codes(&visit.api, &person.path);
    match make(visit, PersonChange::SetRecoveryCodes(hashes)).await {
        Ok(()) => codes_page(visit, &codes),
        Err(response) => response,
    }
}

async fn challenge(form: Submitted) -> Response {
    let visit = &form.visit;
    let Some(person) = &visit.person else {
        return Problem::unauthenticated("sign in first").into_response();
    };
    let known = visit
        .directory
        .person(person.user)
        .cloned()
        .unwrap_or_default();
    let name = account_name(visit, person);
    match factors::ask_to_register(&visit.api, &person.path, &name, &known) {
        Ok(options) => axum::Json(options).into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}

async fn add_passkey(form: Submitted) -> Response {
    let visit = &form.visit;
    let person = match visit.person(HERE) {
        Ok(person) => person,
        Err(response) => return response,
    };
    let malformed = || Problem::malformed("the passkey's answer is malformed");
    let passkey = serde_json::from_str(form.field("passkey"))
        .map_err(|_| malformed())
        .and_then(|answer| {
            factors::registered(&visit.api, &person.path, form.field("name"), &answer)
                .map_err(|error| Problem::invalid(error.text()))
        });
    let passkey = match passkey {
        Ok(passkey) => passkey,
        Err(problem) => return failed(visit, &problem),
    };
    let first = visit
        .directory
        .person(person.user)
        .is_none_or(|person| person.recovery_codes.is_empty());
    if let Err(response) = make(visit, PersonChange::AddPasskey(passkey)).await {
        return response;
    }
    if first {
        // Whoever loses the only device should not be locked out.
        let (codes, hashes) = factors::new_recovery_codes(&visit.api, &person.path);
        return match make(visit, PersonChange::SetRecoveryCodes(hashes)).await {
            Ok(()) => codes_page(visit, &codes),
            Err(response) => response,
        };
    }
    account(visit, StatusCode::OK, &Told::Done("The passkey was added."))
}

async fn remove_passkey(form: Submitted) -> Response {
    let change = PersonChange::RemovePasskey(form.field("id").to_owned());
    done(&form.visit, change, "The passkey was removed.").await
}

async fn unlink(form: Submitted) -> Response {
    let visit = &form.visit;
    let issuer = form.field("issuer").to_owned();
    let change = PersonChange::Unlink {
        issuer: issuer.clone(),
        subject: form.field("subject").to_owned(),
    };
    if let Err(response) = make(visit, change).await {
        return response;
    }
    let directory = visit.api.control.directory();
    let Ok(signed_in) = visit.person(HERE) else {
        return visit.signed_out("/ui/sign-in");
    };
    let person = directory.person(signed_in.user);
    let is_linked = |person: &Person| person.linked.iter().any(|one| *one.issuer == *issuer);
    if !person.is_some_and(is_linked)
        && let Err(response) = super::sso::forget(visit, &signed_in.path, &issuer).await
    {
        return response;
    }
    let id = &signed_in.login.id;
    match directory.login_session(signed_in.user, id, visit.now) {
        Some(_) => account(visit, StatusCode::OK, &Told::Done("The login is unlinked.")),
        None => visit.signed_out("/ui/sign-in"),
    }
}

async fn end_session(form: Submitted) -> Response {
    let visit = &form.visit;
    let id = form.field("id").to_owned();
    let own = visit
        .person
        .as_ref()
        .is_some_and(|person| *person.login.id == *id);
    match make(visit, PersonChange::EndLogin(id)).await {
        Ok(()) if own => visit.signed_out("/ui/sign-in"),
        Ok(()) => account(visit, StatusCode::OK, &Told::Done("The session has ended.")),
        Err(response) => response,
    }
}

async fn end_others(form: Submitted) -> Response {
    let visit = &form.visit;
    let own = visit
        .person
        .as_ref()
        .map(|person| person.login.id.to_string());
    let change = PersonChange::EndLogins { except: own };
    done(visit, change, "All other sessions have ended.").await
}
