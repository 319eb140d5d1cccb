//! What every answer of the API has: its entity tag, how it may be kept, and `304` where the caller
//! has it already.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use keyward_iam::Directory;

use crate::api::Api;
use crate::etag::{self, EntityTag, Tags};

/// The directory that a request was answered from; the handler's [`crate::api::Call`] puts it in.
#[derive(Clone, Default)]
pub(crate) struct AnsweredFrom(pub(crate) Arc<OnceLock<Arc<Directory>>>);

/// In the extensions of an answer that shows more than the row of its entity, as how far something
/// is: its tag is that of what it shows.
#[derive(Clone, Copy)]
pub(crate) struct Moving;

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// Adds the headers that the handler has not set itself.
fn defaults(headers: &mut HeaderMap) {
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-cache"));
    headers
        .entry(header::X_CONTENT_TYPE_OPTIONS)
        .or_insert(HeaderValue::from_static("nosniff"));
    headers
        .entry(header::VARY)
        .or_insert(HeaderValue::from_static("authorization"));
}

/// Tags answers, and leaves out what the caller has already.
pub(crate) async fn layer(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let Some(path) = path.strip_prefix("/v1/").map(str::to_owned) else {
        return next.run(request).await;
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = if reads {
        match Tags::of(request.headers(), &header::IF_NONE_MATCH) {
            Ok(known) => known,
            Err(problem) => return problem.into_response(),
        }
    } else {
        None
    };
    let from = AnsweredFrom::default();
    request.extensions_mut().insert(from.clone());
    let mut response = next.run(request).await;
    defaults(response.headers_mut());
    if !reads || response.status() != StatusCode::OK || !is_json(response.headers()) {
        return response;
    }
    let moves = response.extensions().get::<Moving>().is_some();
    let entity = etag::subject(&path).zip(from.0.get()).filter(|_| !moves);
    let tag =
        entity.and_then(|(entity, directory)| EntityTag::of(&api.hash_key, directory, entity));
    let tag = match tag {
        Some(tag) => tag.quoted(),
        None => {
            let (parts, body) = response.into_parts();
            let Ok(body) = body.collect().await else {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            };
            let body = body.to_bytes();
            let tag = etag::of_body(&api.hash_key, &body);
            response = Response::from_parts(parts, Body::from(body));
            tag
        }
    };
    if let Ok(value) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    if known.is_some_and(|known| known.names(&tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}
