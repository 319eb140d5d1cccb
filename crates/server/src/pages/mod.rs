//! Pages for what needs a browser: rendered here, whole, and usable without script but for passkeys.
//!
//! Every page has a policy that lets nothing in from elsewhere, every form a token that only a page
//! of ours can have, and cookies go to no request that another site caused.

mod account;
mod grants;
mod sign_in;
mod sso;
mod visit;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::{DOCTYPE, Markup, html};

use crate::api::Api;

/// The pages' routes, beside those of the API.
pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/", get(home))
        .route("/ui", get(home))
        .route("/ui/", get(home))
        .route("/ui/style.css", get(style))
        .route("/ui/passkey.js", get(script))
        .merge(sign_in::routes())
        .merge(sso::routes())
        .merge(account::routes())
        .merge(grants::routes())
}

async fn home() -> Response {
    see_other("/ui/account")
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

async fn style() -> Response {
    asset("text/css; charset=utf-8", include_str!("style.css"))
}

async fn script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("passkey.js"))
}

fn see_other(to: &str) -> Response {
    let location = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/ui/account"));
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether a page may run our own script.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Script {
    None,
    Passkeys,
}

/// A whole page.
fn page(
    status: StatusCode,
    title: &str,
    script: Script,
    refresh: Option<&str>,
    body: &Markup,
) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if let Some(url) = refresh {
                    meta http-equiv="refresh" content={ "0;url=" (url) };
                }
                title { (title) " - Keyward" }
                link rel="stylesheet" href="/ui/style.css";
                @if script == Script::Passkeys {
                    script src="/ui/passkey.js" defer {}
                }
            }
            body {
                header { a href="/ui/account" { "Keyward" } }
                main { h1 { (title) } (body) }
            }
        }
    };
    let mut response = (status, page.into_string()).into_response();
    let policy = match script {
        Script::None => {
            "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        }
        Script::Passkeys => {
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
    response
}

/// A notice above the rest: what went wrong, or what was done.
fn notice(kind: &str, text: Option<&str>) -> Markup {
    html! {
        @if let Some(text) = text {
            p class={ "notice " (kind) } role={ @if kind == "error" { "alert" } @else { "status" } } { (text) }
        }
    }
}

/// A moment for people: `2026-11-22 08:15 UTC`.
fn moment(at: keyward_iam::UnixMillis) -> String {
    let millis = i64::try_from(at.0).ok();
    let at = millis.and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    at.map_or_else(
        || "unknown".to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}
