//! Bodies of requests.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::api::Api;
use crate::problem::Problem;

/// Longest body, in bytes.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// Bytes of a body that is too long that are read and thrown away.
const MAX_DISCARDED: usize = 32 * 1024 * 1024;

/// A body as JSON text, not yet read: a policy keeps its positions.
pub(crate) struct Text(pub(crate) String);

/// A body, read. An empty one counts as an empty object.
pub(crate) struct Body<T>(pub(crate) T);

/// Reads a body of at most [`MAX_BODY`] bytes. Of a longer one the rest is read, too, up to
/// [`MAX_DISCARDED`]: whoever still sends would otherwise see a broken connection, not the answer.
pub(crate) async fn read(mut body: axum::body::Body) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::malformed("the body broke off"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        seen += data.len();
        if seen <= MAX_BODY {
            bytes.extend_from_slice(&data);
        } else if seen > MAX_DISCARDED {
            break;
        }
    }
    if seen > MAX_BODY {
        let detail = format!("a body has at most {MAX_BODY} bytes");
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            detail,
        ));
    }
    Ok(bytes)
}

impl FromRequest<Arc<Api>> for Text {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self, Problem> {
        let headers = request.headers();
        let is_json = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
        // Pages of other sites can send any type but this one without asking first; programs
        // that are no browser need not say it.
        let from_page =
            headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
        let bytes = read(request.into_body()).await?;
        if !bytes.is_empty() && !is_json && from_page {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media_type",
                "send JSON, with the header `content-type: application/json`",
            ));
        }
        match String::from_utf8(bytes) {
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
