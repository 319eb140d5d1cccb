//! Bodies of requests.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::api::Api;
use crate::problem::Problem;

/// Longest body, in bytes.
pub(crate) const MAX_BODY: usize = 2 * 1024 * 1024;

/// A body as JSON text, not yet read: a policy keeps its positions.
pub(crate) struct Text(pub(crate) String);

/// A body, read. An empty one counts as an empty object.
pub(crate) struct Body<T>(pub(crate) T);

impl FromRequest<Arc<Api>> for Text {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<Api>) -> Result<Self, Problem> {
        // Pages of other sites can send any type but this one without asking first.
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| {
                let status = rejection.status();
                if status == StatusCode::PAYLOAD_TOO_LARGE {
                    let detail = format!("a body has at most {MAX_BODY} bytes");
                    Problem::new(status, "too_large", detail)
                } else {
                    Problem::malformed("the body broke off")
                }
            })?;
        if !bytes.is_empty() && !is_json {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media_type",
                "send JSON, with the header `content-type: application/json`",
            ));
        }
        match String::from_utf8(bytes.into()) {
            Ok(text) => Ok(Self(text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let detail = format!("the body is not UTF-8 (byte {at})");
                Err(Problem::malformed(detail))
            }
        }
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<Api>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<Api>) -> Result<Self, Problem> {
        let Text(text) = Text::from_request(request, state).await?;
        let text = if text.trim().is_empty() { "{}" } else { &text };
        serde_json::from_str(text)
            .map(Self)
            .map_err(|error| match error.classify() {
                Category::Data => Problem::invalid(format!("the body: {error}")),
                _ => Problem::malformed(format!("the body is not JSON: {error}")),
            })
    }
}
