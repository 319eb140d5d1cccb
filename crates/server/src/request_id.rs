//! One id for each request: in its answer, in problems, in the log and in audit.

use std::fmt;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

/// The header that carries it, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that a caller may choose, in bytes.
pub const MAX_REQUEST_ID: usize = 128;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The id of a request: the caller's, or one of ours. Tells which lines belong together and proves
/// nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestId(Arc<str>); // INVARIANT: only what `parse` accepts, so that no log line breaks

impl RequestId {
    /// An id that a caller chose: 1 to [`MAX_REQUEST_ID`] letters, digits and `-._~:/+=`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/+=".contains(&byte);
        let is_id = (1..=MAX_REQUEST_ID).contains(&text.len()) && text.bytes().all(fits);
        is_id.then(|| Self(text.into()))
    }

    /// A new random id.
    #[must_use]
    pub fn generate() -> Self {
        Self(keyward_auth::decision_id().into())
    }

    /// The id of the request that this task answers.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs something that answers this request in a task of its own, which knows the same id.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    let span = tracing::Span::current();
    match RequestId::current() {
        Some(id) => tokio::spawn(CURRENT.scope(id, work.instrument(span))),
        None => tokio::spawn(work.instrument(span)),
    }
}

/// Gives every request its id.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID);
    let id = given
        .and_then(|value| value.to_str().ok())
        .and_then(RequestId::parse)
        .unwrap_or_else(RequestId::generate);
    let span = tracing::info_span!(
        "request", %id, method = %request.method(), path = request.uri().path(),
    );
    let answer = async {
        let response = next.run(request).await;
        tracing::info!(status = response.status().as_u16(), "answered");
        response
    };
    let mut response = CURRENT.scope(id.clone(), answer.instrument(span)).await;
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_ids_are_taken() {
        let long = "x".repeat(MAX_REQUEST_ID + 1);
        let cases = [
            ("a", true),
            ("3f8c-1:2/3+4=5.6_7~", true),
            ("", false),
            ("a b", false),
            ("a\nb", false),
            ("ä", false),
            ("\u{1b}[31m", false),
            (long.as_str(), false),
        ];
        for (text, expected) in cases {
            assert_eq!(RequestId::parse(text).is_some(), expected, "{text:?}");
        }
        assert!(RequestId::parse(RequestId::generate().as_str()).is_some());
    }
}
