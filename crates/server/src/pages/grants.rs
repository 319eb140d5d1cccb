//! Pages that let somebody in: invitations, links of the operator's, devices, programs.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use keyward_iam::{Change, PersonChange};
use maud::{Markup, html};
use serde::Deserialize;

use super::visit::{PageQuery, Submitted, Visit, percent};
use super::{moment, notice};
use crate::api::Api;
use crate::people::device::{is_challenge, normal_user_code};
use crate::people::factors;
use crate::people::invitations::{self, NewPerson, Offer, OfferedTrust};
use crate::people::sign_in::slow_down;
use crate::problem::Problem;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route(
            "/ui/invitation/{token}",
            get(invitation).post(answer_invitation),
        )
        .route("/ui/setup/{token}", get(setup).post(set_up))
        .route("/ui/device", get(device).post(answer_device))
        .route("/ui/cli", get(cli).post(answer_cli))
}

fn gone(visit: &Visit, text: &str) -> Response {
    let body =
        html! { (notice("error", Some(text))) p { a href="/ui/account" { "To your account" } } };
    visit.page(
        StatusCode::NOT_FOUND,
        "This link opens nothing",
        false,
        &body,
    )
}

const INVITATION_GONE: &str =
    "The invitation was used, withdrawn or declined, or has expired. Ask for another one.";

// ---- invitations ----

fn offered(offer: &Offer) -> Markup {
    html! {
        p {
            strong { (offer.organisation_name.as_deref().unwrap_or(&offer.organisation)) }
            " invites you to become " code { (offer.path) } "."
        }
        dl {
            dt { "Organisation" } dd { code { (offer.organisation) } }
            dt { "Invited by" }
            dd {
                @if let Some(name) = &offer.inviter_name { (name) " " }
                code { (offer.invited_by) }
            }
            @if let Some(email) = &offer.email { dt { "Sent to" } dd { (email) } }
            dt { "Open until" } dd { (moment(offer.expires_at)) }
        }
        h2 { "What you will be trusted with" }
        @if offer.trusts.is_empty() { p { "Nothing yet: the organisation decides later." } }
        @for trust in &offer.trusts { (trusted_with(trust)) }
        p class="hint" {
            "The organisation sees what you do in it. It cannot sign in as you, nor change how you sign in."
        }
    }
}

fn trusted_with(trust: &OfferedTrust) -> Markup {
    html! {
        @match (trust.is_membership, trust.policies.is_empty()) {
            (true, true) => { p { "To do what " code { (trust.trustor) } " may do." } }
            (false, true) => { p { "To act as " code { (trust.trustor) } ", with no policy yet." } }
            (_, false) => { p { "To act as " code { (trust.trustor) } " within:" } }
        }
        @for policy in &trust.policies { pre { (policy) } }
        @match &trust.conditions {
            Some(_) if trust.needs_second_factor => {
                p class="notice" {
                    "Only when you signed in with a second factor: an authenticator app or a passkey, which "
                    "you can set up as soon as you have an account."
                }
            }
            Some(conditions) => { p { "Only while this holds:" } pre { (conditions) } }
            None => {}
        }
        @if let Some(end) = trust.expires_at { p { "Until " (moment(end)) "." } }
    }
}

fn invitation_page(
    visit: &Visit,
    status: StatusCode,
    token: &str,
    offer: &Offer,
    error: Option<&str>,
) -> Response {
    let here = format!("/ui/invitation/{token}");
    let body = html! {
        (notice("error", error))
        (offered(offer))
        @match &visit.person {
            Some(person) => {
                p { "You are signed in as " code { (person.path) } "." }
                div class="choice" {
                    form method="post" action=(here) {
                        (visit.hidden()) input type="hidden" name="answer" value="accept";
                        button type="submit" { "Accept" }
                    }
                    (decline(visit, &here))
                }
            }
            None => {
                a class="button" href={ "/ui/sign-in?next=" (percent(&here)) } { "Sign in and go on" }
                h2 { "No account yet?" }
                form method="post" action=(here) {
                    (visit.hidden()) input type="hidden" name="answer" value="register";
                    label for="display" { "Your name" }
                    input id="display" name="display" autocomplete="name" maxlength="100";
                    label for="name" { "Sign-in name, such as your e-mail address" }
                    input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false"
                        required maxlength="254" value=(offer.email.as_deref().unwrap_or_default());
                    label for="password" { "Password" }
                    input id="password" name="password" type="password" autocomplete="new-password" required minlength="12";
                    p class="hint" { "12 characters or more, best several words." }
                    button type="submit" { "Create an account and accept" }
                }
                (decline(visit, &here))
            }
        }
    };
    visit.page(status, "Invitation", false, &body)
}

fn decline(visit: &Visit, here: &str) -> Markup {
    html! {
        form method="post" action=(here) {
            (visit.hidden()) input type="hidden" name="answer" value="decline";
            button type="submit" class="second" { "Decline" }
        }
    }
}

async fn invitation(visit: Visit, Path(token): Path<String>) -> Response {
    if visit.from_elsewhere && visit.person.is_none() {
        // The link was followed on another site; on a page of ours our cookies come along.
        let body = html! { p { "One moment." } };
        return visit.onward(
            "Invitation",
            &format!("/ui/invitation/{}", percent(&token)),
            &body,
        );
    }
    match invitations::offer(&visit.api, &visit.directory, &token) {
        Ok(offer) => invitation_page(&visit, StatusCode::OK, &token, &offer, None),
        Err(_) => {
            slow_down(&visit.api, visit.source).await;
            gone(&visit, INVITATION_GONE)
        }
    }
}

async fn answer_invitation(Path(token): Path<String>, form: Submitted) -> Response {
    let visit = &form.visit;
    let offer = match invitations::offer(&visit.api, &visit.directory, &token) {
        Ok(offer) => offer,
        Err(_) => {
            slow_down(&visit.api, visit.source).await;
            return gone(visit, INVITATION_GONE);
        }
    };
    let failed = |problem: &Problem| {
        invitation_page(visit, problem.status, &token, &offer, Some(&problem.detail))
    };
    match (form.field("answer"), &visit.person) {
        ("accept", Some(person)) => match invitations::accept(&visit.api, person, &token).await {
            Ok(_) => visit.redirect("/ui/account"),
            Err(problem) => failed(&problem),
        },
        ("decline", _) => match invitations::decline(&visit.api, &visit.client(), &token).await {
            Ok(_) => {
                let body = html! { p { "You declined the invitation of " code { (offer.organisation) } "." } };
                visit.page(StatusCode::OK, "Declined", false, &body)
            }
            Err(problem) => failed(&problem),
        },
        ("register", None) => {
            let new = NewPerson {
                name: form.field("display").trim().to_owned(),
                sign_in_name: form.field("name").trim().to_owned(),
                password: form.secret("password"),
            };
            let client = visit.client();
            match invitations::register(&visit.api, &client, visit.secure, &token, new).await {
                Ok(login) => visit.signed_in(&login, "/ui/account"),
                Err(problem) => failed(&problem),
            }
        }
        _ => invitation_page(visit, StatusCode::BAD_REQUEST, &token, &offer, None),
    }
}

// ---- links of the operator's ----

const LINK_GONE: &str = "The link was used or replaced, or has expired. Ask for another one.";

fn setup_page(
    visit: &Visit,
    status: StatusCode,
    token: &str,
    user: &str,
    error: Option<&str>,
) -> Response {
    let known = visit.directory.identity_at(user);
    let known = known.and_then(|user| visit.directory.person(user));
    let name = known.and_then(|known| known.sign_in_name.as_deref());
    let body = html! {
        (notice("error", error))
        form method="post" action={ "/ui/setup/" (token) } {
            (visit.hidden())
            @match name {
                Some(name) => {
                    p { "You sign in as " strong { (name) } "." }
                    input type="hidden" name="name" autocomplete="username" value=(name);
                }
                None => {
                    label for="name" { "Sign-in name, such as your e-mail address" }
                    input id="name" name="name" autocomplete="username" autocapitalize="none" spellcheck="false"
                        required maxlength="254";
                }
            }
            label for="password" { "New password" }
            input id="password" name="password" type="password" autocomplete="new-password" required minlength="12";
            p class="hint" { "12 characters or more, best several words." }
            button type="submit" { "Set the password" }
        }
    };
    visit.page(status, "Set your password", false, &body)
}

async fn setup(visit: Visit, Path(token): Path<String>) -> Response {
    match factors::user_of_setup_link(&visit.api, &visit.directory, &token, visit.now) {
        Some((user, _)) => setup_page(&visit, StatusCode::OK, &token, &user, None),
        None => gone(&visit, LINK_GONE),
    }
}

async fn set_up(Path(token): Path<String>, form: Submitted) -> Response {
    let visit = &form.visit;
    let api = &visit.api;
    let found = factors::user_of_setup_link(api, &visit.directory, &token, visit.now);
    let Some((user, token_hash)) = found else {
        return gone(visit, LINK_GONE);
    };
    let failed =
        |problem: &Problem| setup_page(visit, problem.status, &token, &user, Some(&problem.detail));
    let Some(ix) = visit.directory.identity_at(&user) else {
        return gone(visit, LINK_GONE);
    };
    let known = visit.directory.person(ix);
    let has_name = known.is_some_and(|known| known.sign_in_name.is_some());
    let mut names = factors::names(&visit.directory, ix);
    names.push(form.field("name").to_owned());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hash = match factors::new_password(api, form.secret("password"), &names).await {
        Ok(hash) => hash,
        Err(problem) => return failed(&problem),
    };
    let client = visit.client();
    let change = |change| Change::Person {
        user: user.clone(),
        change,
    };
    if !has_name {
        let name = form.field("name").trim().to_owned();
        let named = change(PersonChange::SetSignInName(name));
        if let Err(problem) = invitations::for_person(api, &user, &client, named).await {
            return failed(&problem);
        }
    }
    let set = change(PersonChange::UseSetupLink { token_hash, hash });
    match invitations::for_person(api, &user, &client, set).await {
        // The second factor, if there is one, is asked for there.
        Ok(_) => visit.signed_out("/ui/sign-in"),
        Err(problem) => failed(&problem),
    }
}

// ---- devices ----

#[derive(Deserialize)]
struct AskedDevice {
    code: Option<String>,
}

fn code_page(visit: &Visit, status: StatusCode, error: Option<&str>) -> Response {
    let body = html! {
        (notice("error", error))
        form method="get" action="/ui/device" {
            label for="code" { "Code that your device shows" }
            input id="code" name="code" autocomplete="off" autocapitalize="characters" spellcheck="false"
                placeholder="XXXX-XXXX" required autofocus maxlength="20";
            button type="submit" { "Go on" }
        }
    };
    visit.page(status, "Let a device in", false, &body)
}

async fn device(visit: Visit, PageQuery(asked): PageQuery<AskedDevice>) -> Response {
    let code = asked.code.as_deref().map(normal_user_code);
    let here = match code.as_deref().unwrap_or_default() {
        "" => "/ui/device".to_owned(),
        code => format!("/ui/device?code={code}"),
    };
    let person = match visit.person(&here) {
        Ok(person) => person,
        Err(response) => return response,
    };
    let Some(code) = code.filter(|code| !code.is_empty()) else {
        return code_page(&visit, StatusCode::OK, None);
    };
    let Some(asking) = visit.api.people.devices.asking(&code, visit.now) else {
        let wait = visit.api.throttle.failed(visit.source, visit.now);
        tokio::time::sleep(wait).await;
        let text = "No device asks with this code. Codes are good for ten minutes.";
        return code_page(&visit, StatusCode::NOT_FOUND, Some(text));
    };
    let body = html! {
        p { "Something asks to be signed in as you, " code { (person.path) } ":" }
        dl {
            dt { "Program" } dd { (asking.client) }
            dt { "Address" } dd { (asking.source) }
            dt { "Code" } dd { code { (code) } }
        }
        p class="notice error" {
            "Allow it only if you started it yourself just now and it shows this code. "
            "Nobody who helps you will ever send you a code."
        }
        div class="choice" {
            form method="post" action="/ui/device" {
                (visit.hidden())
                input type="hidden" name="code" value=(code);
                input type="hidden" name="answer" value="allow";
                button type="submit" { "Allow" }
            }
            form method="post" action="/ui/device" {
                (visit.hidden())
                input type="hidden" name="code" value=(code);
                input type="hidden" name="answer" value="refuse";
                button type="submit" class="second" { "Refuse" }
            }
        }
    };
    visit.page(StatusCode::OK, "Let a device in", false, &body)
}

async fn answer_device(form: Submitted) -> Response {
    let visit = &form.visit;
    let person = match visit.person("/ui/device") {
        Ok(person) => person,
        Err(response) => return response,
    };
    let code = normal_user_code(form.field("code"));
    let allow = form.field("answer") == "allow";
    let devices = &visit.api.people.devices;
    if !devices.answer(&code, person, allow, visit.now) {
        let text = "No device asks with this code any more.";
        return code_page(visit, StatusCode::NOT_FOUND, Some(text));
    }
    let (title, text) = if allow {
        (
            "Allowed",
            "The device is signed in. You can close this page.",
        )
    } else {
        (
            "Refused",
            "The device was sent away. You can close this page.",
        )
    };
    let body = html! {
        p { (text) }
        p { a href="/ui/account" { "See where you are signed in" } }
    };
    visit.page(StatusCode::OK, title, false, &body)
}

// ---- programs on this machine ----

#[derive(Deserialize)]
struct AskedCli {
    port: String,
    state: String,
    challenge: String,
}

/// A program's question, if it can be answered.
fn checked_cli<'a>(
    port: &str,
    state: &'a str,
    challenge: &'a str,
) -> Option<(u16, &'a str, &'a str)> {
    let port: u16 = port.parse().ok().filter(|port| *port >= 1024)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let good = (8..=128).contains(&state.len()) && state.bytes().all(fits);
    (good && is_challenge(challenge)).then_some((port, state, challenge))
}

const CLI_MALFORMED: &str = "The program asked in a way that cannot be answered: start it again.";

async fn cli(visit: Visit, PageQuery(asked): PageQuery<AskedCli>) -> Response {
    let checked = checked_cli(&asked.port, &asked.state, &asked.challenge);
    let Some((port, state, challenge)) = checked else {
        return gone(&visit, CLI_MALFORMED);
    };
    let here = format!("/ui/cli?port={port}&state={state}&challenge={challenge}");
    let person = match visit.person(&here) {
        Ok(person) => person,
        Err(response) => return response,
    };
    let body = html! {
        p { "A program on this computer asks to be signed in as you, " code { (person.path) } "." }
        p class="hint" { "Allow it only if you just ran " code { "keyward login" } "." }
        form method="post" action="/ui/cli" {
            (visit.hidden())
            input type="hidden" name="port" value=(port);
            input type="hidden" name="state" value=(state);
            input type="hidden" name="challenge" value=(challenge);
            button type="submit" { "Allow" }
        }
        p { a href="/ui/account" { "Not now" } }
    };
    visit.page(StatusCode::OK, "Let a program in", false, &body)
}

async fn answer_cli(form: Submitted) -> Response {
    let visit = &form.visit;
    let (port, state, challenge) = (
        form.field("port"),
        form.field("state"),
        form.field("challenge"),
    );
    let Some((port, state, challenge)) = checked_cli(port, state, challenge) else {
        return gone(visit, CLI_MALFORMED);
    };
    let person = match visit.person("/ui/account") {
        Ok(person) => person,
        Err(response) => return response,
    };
    let code = match visit
        .api
        .people
        .devices
        .loopback_code(person, challenge, visit.now)
    {
        Ok(code) => code,
        Err(error) => {
            let body = notice("error", Some(&error.text()));
            return visit.page(StatusCode::SERVICE_UNAVAILABLE, "Not now", false, &body);
        }
    };
    // A form must not lead to another origin, so the page goes there by itself.
    let url = format!(
        "http://127.0.0.1:{port}/callback?code={}&state={state}",
        *code
    );
    let body = html! {
        p { "The program on this computer is being signed in." }
        p { a href=(url) { "Go on, if nothing happens" } }
    };
    visit.onward("Allowed", &url, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_may_ask() {
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let cases = [
            ("40000", "statestate", challenge, true),
            ("80", "statestate", challenge, false),
            ("99999", "statestate", challenge, false),
            ("40000@evil.example", "statestate", challenge, false),
            ("40000", "short", challenge, false),
            ("40000", "state&state", challenge, false),
            ("40000", "statestate", "plain", false),
        ];
        for (port, state, challenge, expected) in cases {
            let found = checked_cli(port, state, challenge);
            assert_eq!(found.is_some(), expected, "{port} {state} {challenge}");
        }
    }
}
