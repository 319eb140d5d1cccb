//! Who the caller is, and what operators look at.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use keyward_iam::{Kind, PathParts, Principal};
use serde_json::json;

use super::{Endpoint, get};
use crate::api::{Api, Call};
use crate::problem::Problem;
use crate::show;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/v1/whoami", whoami).tells("Shows who the caller is.", "nothing, but a credential"),
        get("/v1/status", status)
            .tells("Shows what serves, and where.", "nothing, but a credential"),
        get("/openapi.json", openapi).tells("Shows this document.", "nothing"),
        get("/ui/api", crate::browse::show).tells("Shows this document as a page.", "nothing"),
        get("/ui/api.css", crate::browse::style).tells("How the page looks.", "nothing"),
        get("/livez", livez).tells("Tells that the process runs.", "nothing"),
        get("/readyz", readyz).tells("Tells that the process serves.", "nothing"),
        get("/metrics", metrics).tells("Shows counters for Prometheus.", "nothing"),
    ]
}

async fn whoami(call: Call) -> Result<Response, Problem> {
    let directory = &call.directory;
    let session = &call.caller.session;
    let key = session
        .access_key
        .and_then(|ix| directory.access_key_by_ix(ix));
    let identity = match session.principal {
        Principal::Identity(ix) => directory.identity(ix),
        Principal::Unauthenticated => None,
    };
    let organisation = identity
        .and_then(|identity| identity.organisation)
        .and_then(|ix| directory.identity(ix));
    let mut shown = json!({
        "principal": call.caller.path,
        "kind": PathParts::of(&call.caller.path).map(|parts| parts.kind.as_str()),
        "organisation": organisation.map(|organisation| &organisation.path),
        "access_key": key.map(|key| directory.access_key_path(key)),
        "source": session.source,
        "directory_revision": directory.revision(),
    });
    if let Principal::Identity(ix) = session.principal
        && identity.is_some_and(|identity| identity.kind == Kind::User)
    {
        show::insert(&mut shown, "memberships", directory.memberships(ix));
    }
    Ok(axum::Json(shown).into_response())
}

async fn status(call: Call) -> Response {
    axum::Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "directory_revision": call.directory.revision(),
        "redis_address": call.api.redis_address,
        "redis_tls": call.api.redis_tls,
        "administration_permitted": call.api.allow_administration,
    }))
    .into_response()
}

async fn openapi() -> Response {
    axum::Json(crate::openapi()).into_response()
}

async fn livez() -> &'static str {
    "ok\n"
}

/// The listener opens only after the directory was loaded: whoever is answered is served.
async fn readyz() -> &'static str {
    "ok\n"
}

async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let revision = api.control.directory().revision();
    let mut text = String::new();
    for (name, help, value) in [
        (
            "keyward_directory_revision",
            "Revision of the directory that decides.",
            revision,
        ),
        (
            "keyward_directory_lag_seconds",
            "How far the directory is behind the store: in one process it never is.",
            0,
        ),
    ] {
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
        );
    }
    let failures = api.throttle.failures();
    let _ = writeln!(
        text,
        "# HELP keyward_failed_credentials_total Credentials, codes and tokens that were refused, \
         at the gateway and at the API.\n# TYPE keyward_failed_credentials_total counter\n\
         keyward_failed_credentials_total {failures}"
    );
    if let Some(more) = &api.metrics {
        more(&mut text);
    }
    let mut response = text.into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}
