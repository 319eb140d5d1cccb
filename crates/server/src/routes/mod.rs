//! Every call of the API, in one table: the router and the OpenAPI document are made of it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use crate::api::{self, Api};
use crate::caller::Caller;
use crate::conditional;
use crate::idempotency::{self, Answers};
use crate::problem::Problem;

pub(crate) mod databases;
mod decisions;
mod entities;
mod invitations;
mod keys;
mod limits;
mod login;
mod members;
mod operations;
mod operator;
mod organisations;
mod people;
mod policies;
mod providers;
mod questions;
mod roles;
mod sessions;
mod snapshots;
mod state;
mod sts;
mod tags;
mod trusts;
mod web_identity;

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
    /// Whether it is a list, which is answered a page at a time.
    pub list: bool,
    /// Whether it cannot be tried without being done.
    pub at_once: bool,
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
            list: false,
            at_once: false,
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

    /// A list, which is answered a page at a time.
    fn lists(mut self) -> Self {
        self.list = true;
        self
    }

    /// Cannot be tried: whoever asks for a dry run is refused, rather than taken at her word.
    fn at_once(mut self) -> Self {
        self.at_once = true;
        self.handler = self
            .handler
            .layer(axum::middleware::from_fn(refuse_dry_run));
        self
    }

    /// The query parameters: its own, and those that every call of its kind has.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        const DRY_RUN: (&str, &str, &str) = (
            "dry_run",
            "boolean",
            "decide and check, but change nothing: answered with 200",
        );
        const LIMIT: (&str, &str, &str) = (
            "limit",
            "integer",
            "items of the answer at most, from 1 to 1000; 100 if it is left out",
        );
        const CURSOR: (&str, &str, &str) = (
            "cursor",
            "string",
            "the `next_cursor` of an answer before: goes on behind it",
        );
        let mut all = self.query.to_vec();
        if self.list {
            all.extend([LIMIT, CURSOR]);
        }
        if self.changes() && !self.at_once {
            all.push(DRY_RUN);
        }
        all
    }

    /// Refuses query parameters that it does not have: a `dry_run` with a slip in its name must not
    /// be the change itself.
    fn strict_about_queries(mut self, api: &Arc<Api>) -> Self {
        if !self.path.starts_with("/v1/") {
            return self;
        }
        let all = self.parameters();
        let names: Arc<[&str]> = all.iter().map(|(name, _, _)| *name).collect();
        let caller = match self.credential() {
            TakesCredential::Any => Some(Arc::clone(api)),
            TakesCredential::None | TakesCredential::Operators => None,
        };
        let check = async move |State((names, caller)): State<Strict>, request, next| {
            refuse_other_parameters(&names, caller, request, next).await
        };
        let layer = axum::middleware::from_fn_with_state((names, caller), check);
        self.handler = self.handler.layer(layer);
        self
    }

    /// Whose credential it takes.
    pub(crate) fn credential(&self) -> TakesCredential {
        let is_open = self.decided.starts_with("nothing") && !self.decided.contains("credential");
        match self.path {
            path if path.ends_with("/assume_role_with_web_identity") => TakesCredential::None,
            path if path.starts_with("/v1/operator/") => TakesCredential::Operators,
            _ if is_open => TakesCredential::None,
            _ => TakesCredential::Any,
        }
    }

    /// Whether it changes something: then `dry_run` can be asked for, unless it is done at once.
    #[must_use]
    pub fn changes(&self) -> bool {
        let asks = ["/v1/decide", "/v1/policy/check"];
        let is_test = self.path.ends_with("/test_token");
        self.method != Method::GET && !asks.contains(&self.path) && !is_test
    }
}

/// What a call asks for before it is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TakesCredential {
    /// What it is told is proof enough: a password, a token, a code.
    None,
    /// That of the operator.
    Operators,
    /// That of an identity.
    Any,
}

/// The parameters of a call, and where to ask who calls, where that must be known.
type Strict = (Arc<[&'static str]>, Option<Arc<Api>>);

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

/// Refuses a dry run of a call that has none.
async fn refuse_dry_run(request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let asked = query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        name == "dry_run" && value != "false"
    });
    if asked {
        let text = "this call has no dry run: it is done, or not asked for";
        return Problem::malformed(text).into_response();
    }
    next.run(request).await
}

async fn refuse_other_parameters(
    names: &[&str],
    caller: Option<Arc<Api>>,
    request: Request,
    next: Next,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let mut given = query.split('&').filter(|pair| !pair.is_empty());
    let other = given.find_map(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        // Calls that are done at once tell themselves that they have no dry run.
        let is_known = names.contains(&name) || name == "dry_run";
        (!is_known).then_some(name)
    });
    let Some(other) = other else {
        return next.run(request).await;
    };
    let other: String = other.chars().take(64).collect();
    // Who calls comes first: a stranger gets 401 from every call that wants a credential.
    let mut parts = request.into_parts().0;
    if let Some(api) = caller
        && let Err(problem) = Caller::from_request_parts(&mut parts, &api).await
    {
        return problem.into_response();
    }
    let text = match names {
        [] => format!("`{other}` is no parameter of this call, which has none"),
        names => {
            let known = names.join("`, `");
            format!("`{other}` is no parameter of this call: it has `{known}`")
        }
    };
    Problem::malformed(text).into_response()
}

/// Every call, in the order of the documentation.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    let mut all = organisations::endpoints();
    all.extend(entities::endpoints());
    all.extend(databases::endpoints());
    all.extend(snapshots::endpoints());
    all.extend(roles::endpoints());
    all.extend(members::endpoints());
    all.extend(policies::endpoints());
    all.extend(keys::endpoints());
    all.extend(sts::endpoints());
    all.extend(sessions::endpoints());
    all.extend(trusts::endpoints());
    all.extend(providers::endpoints());
    all.extend(web_identity::endpoints());
    all.extend(limits::endpoints());
    all.extend(tags::endpoints());
    all.extend(state::endpoints());
    all.extend(decisions::endpoints());
    all.extend(questions::endpoints());
    let at_once = login::endpoints().into_iter().map(|endpoint| {
        // Signing out is a change like others.
        match endpoint.path {
            "/v1/logout" => endpoint,
            _ => endpoint.at_once(),
        }
    });
    all.extend(at_once);
    all.extend(people::endpoints());
    let at_once = invitations::endpoints().into_iter();
    let at_once = at_once.chain(operator::endpoints());
    all.extend(at_once.map(|endpoint| match endpoint.path {
        path if path.contains("/org/") => endpoint,
        _ => endpoint.at_once(),
    }));
    all.extend(operations::endpoints());
    all
}

/// The router of all calls.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let routes = endpoints()
        .into_iter()
        .fold(Router::new(), |router, endpoint| {
            router.route(endpoint.path, endpoint.strict_about_queries(&api).handler)
        });
    routes
        .merge(crate::pages::routes())
        .fallback(async || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such path; see /openapi.json",
            )
            .into_response()
        })
        .method_not_allowed_fallback(other_method)
        .with_state(Arc::clone(&api))
        .layer(axum::middleware::from_fn_with_state(
            (Arc::clone(&api), Arc::new(Answers::default())),
            idempotency::layer,
        ))
        .layer(axum::middleware::from_fn_with_state(
            api,
            conditional::layer,
        ))
        .layer(axum::middleware::from_fn(
            crate::caller::hash_of_signed_body,
        ))
}

/// What can be done at a path: for `OPTIONS`, and in the refusal of other methods.
fn methods_at(path: &str) -> String {
    let fits = |template: &str| {
        let (mut wanted, mut given) = (template.split('/'), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(wanted), Some(given)) if wanted.starts_with('{') || wanted == given => {}
                _ => return false,
            }
        }
    };
    let mut methods = vec!["OPTIONS".to_owned()];
    for endpoint in endpoints() {
        if fits(endpoint.path) {
            methods.push(endpoint.method.to_string());
            if endpoint.method == Method::GET {
                methods.push("HEAD".to_owned());
            }
        }
    }
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}

/// `OPTIONS` tells what else there is, and allows no other site anything.
async fn other_method(method: Method, uri: Uri) -> Response {
    let allow = methods_at(uri.path());
    if method == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, [(header::ALLOW, allow)]).into_response();
    }
    Problem {
        allow: Some(allow),
        ..Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path has other methods; see /openapi.json",
        )
    }
    .into_response()
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
