//! Every call of the API, in one table: the router and the OpenAPI document are made of it.

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use axum::routing::MethodRouter;

use crate::api::{self, Api};
use crate::problem::Problem;

mod decisions;
mod entities;
mod keys;
mod limits;
mod operations;
mod organisations;
mod policies;
mod questions;
mod tags;
mod trusts;

/// One call.
pub struct Endpoint {
    /// HTTP method.
    pub method: Method,
    /// Path, with parameters in braces.
    pub path: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// The action it is decided on, and on which resource; `nothing` where everybody may.
    pub decided: &'static str,
    /// Fields of the body: name, JSON type (with `?` if it may be left out), meaning.
    pub body: &'static [(&'static str, &'static str, &'static str)],
    /// Query parameters: name, JSON type, meaning.
    pub query: &'static [(&'static str, &'static str, &'static str)],
    /// Status of a success.
    pub status: u16,
    handler: MethodRouter<Arc<Api>>,
}

impl Endpoint {
    fn new(method: Method, path: &'static str, handler: MethodRouter<Arc<Api>>) -> Self {
        Self {
            method,
            path,
            summary: "",
            decided: "nothing",
            body: &[],
            query: &[],
            status: 200,
            handler,
        }
    }

    fn tells(mut self, summary: &'static str, decided: &'static str) -> Self {
        (self.summary, self.decided) = (summary, decided);
        self
    }

    fn takes(mut self, body: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        self.body = body;
        self
    }

    fn asks(mut self, query: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    fn creates(mut self) -> Self {
        self.status = 201;
        self
    }

    /// Whether it changes something: then `dry_run` can be asked for.
    #[must_use]
    pub fn changes(&self) -> bool {
        let asks = ["/v1/decide", "/v1/policy/check"];
        self.method != Method::GET && !asks.contains(&self.path)
    }
}

macro_rules! methods {
    ($($name:ident $method:ident),*) => {$(
        fn $name<H, T>(path: &'static str, handler: H) -> Endpoint
        where
            H: axum::handler::Handler<T, Arc<Api>>,
            T: 'static,
        {
            Endpoint::new(Method::$method, path, axum::routing::$name(handler))
        }
    )*};
}

methods! { get GET, post POST, put PUT, patch PATCH, delete DELETE }

/// Every call, in the order of the documentation.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    let mut all = organisations::endpoints();
    all.extend(entities::endpoints());
    all.extend(policies::endpoints());
    all.extend(keys::endpoints());
    all.extend(trusts::endpoints());
    all.extend(limits::endpoints());
    all.extend(tags::endpoints());
    all.extend(decisions::endpoints());
    all.extend(questions::endpoints());
    all.extend(operations::endpoints());
    all
}

/// The router of all calls.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let routes = endpoints()
        .into_iter()
        .fold(Router::new(), |router, endpoint| {
            router.route(endpoint.path, endpoint.handler)
        });
    routes
        .fallback(async || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such path; see /openapi.json",
            )
            .into_response()
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "this path has other methods; see /openapi.json",
            )
            .into_response()
        })
        .with_state(api)
}

/// The full path that the URL names: what follows `/v1/`.
struct Target(String);

impl Target {
    /// The path of what the subresource belongs to.
    fn of(&self, subresource: &str) -> &str {
        self.0
            .strip_suffix(subresource)
            .and_then(|path| path.strip_suffix('/'))
            .unwrap_or(&self.0)
    }

    /// Id of the organisation.
    fn organisation(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let path = parts.uri.path();
        let path = path.strip_prefix("/v1/").unwrap_or(path);
        api::path(&path.split('/').collect::<Vec<_>>()).map(Self)
    }
}
