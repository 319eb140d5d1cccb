//! Bodies of requests.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
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

/// Whether a body is what it must be by what its head says. Pages of other sites can send any type
/// but JSON without asking first; programs that are no browser need not name one, and `curl -d`
/// says form of everything.
fn is_taken(headers: &HeaderMap) -> bool {
    let all = |name: HeaderName| headers.get_all(name).into_iter();
    let is_plain = |encoding: &HeaderValue| encoding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !all(header::CONTENT_ENCODING).all(is_plain) {
        return false;
    }
    let from_page = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    let is_json = |kind: &HeaderValue| {
        let kind = kind.to_str().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        match &*kind.trim().to_ascii_lowercase() {
            "application/json" => true,
            "application/x-www-form-urlencoded" => !from_page,
            kind => kind.starts_with("application/") && kind.ends_with("+json"),
        }
    };
    let is_named = headers.contains_key(header::CONTENT_TYPE);
    (is_named || !from_page) && all(header::CONTENT_TYPE).all(is_json)
}

/// What a reader says of a body that has another shape, in words of JSON.
fn shape(error: &serde_json::Error) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("expected a map", "expected an object"),
        ("expected a sequence", "expected an array"),
        ("invalid type: map", "invalid type: object"),
        ("invalid type: sequence", "invalid type: array"),
        ("expected u8", "expected a small whole number"),
        ("expected u32", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected usize", "expected a whole number"),
    ];
    let mut text = error.to_string();
    if let Some((before, after)) = text.split_once("expected struct ") {
        let rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let rest = match rest.split_once(" element") {
            Some((count, rest)) if count.starts_with(" with ") => rest.trim_start_matches('s'),
            _ => rest,
        };
        text = format!("{before}expected an object{rest}");
    }
    for (ours, theirs) in WORDS {
        text = text.replacen(ours, theirs, 1);
    }
    text
}

impl FromRequest<Arc<Api>> for Text {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<Self, Problem> {
        let is_taken = is_taken(request.headers());
        let bytes = read(request.into_body()).await?;
        if !bytes.is_empty() && !is_taken {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media_type",
                "send JSON as it is, with the header `content-type: application/json`",
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
        let malformed = |error: serde_json::Error| match error.classify() {
            Category::Data => Problem::invalid(format!("the body: {}", shape(&error))),
            _ => Problem::malformed(format!("the body is not JSON: {error}")),
        };
        // An array would be taken for the fields in their order.
        if !text.trim_start().starts_with('{') {
            serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(malformed)?;
            return Err(Problem::invalid("the body: an object is expected"));
        }
        serde_json::from_str(text).map(Self).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_for_json() {
        let cases: [(&[(HeaderName, &str)], bool); 14] = [
            (&[], true),
            (&[(header::CONTENT_TYPE, "application/json")], true),
            (
                &[(header::CONTENT_TYPE, "Application/JSON; charset=utf-8")],
                true,
            ),
            (
                &[(header::CONTENT_TYPE, "application/merge-patch+json")],
                true,
            ),
            (
                &[(header::CONTENT_TYPE, "application/x-www-form-urlencoded")],
                true,
            ),
            (&[(header::CONTENT_TYPE, "text/plain")], false),
            (&[(header::CONTENT_TYPE, "application/xml")], false),
            (
                &[(header::CONTENT_TYPE, "multipart/form-data; boundary=x")],
                false,
            ),
            (&[(header::CONTENT_TYPE, "")], false),
            (&[(header::CONTENT_ENCODING, "gzip")], false),
            (&[(header::CONTENT_ENCODING, "identity")], true),
            (&[(header::ORIGIN, "https://evil.example")], false),
            (
                &[
                    (header::ORIGIN, "https://evil.example"),
                    (header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
                ],
                false,
            ),
            (
                &[
                    (header::ORIGIN, "https://evil.example"),
                    (header::CONTENT_TYPE, "application/json"),
                ],
                true,
            ),
        ];
        for (head, expected) in cases {
            let head = head
                .iter()
                .map(|(name, value)| (name.clone(), value.parse().unwrap()));
            let head = head.collect::<HeaderMap>();
            assert_eq!(is_taken(&head), expected, "{head:?}");
        }
    }

    #[test]
    fn shapes_are_told_without_names_of_our_code() {
        #[derive(Debug, serde::Deserialize)]
        struct Inner {
            #[expect(dead_code, reason = "only read")]
            value: u8,
        }
        let error = |text: &str| shape(&serde_json::from_str::<Inner>(text).unwrap_err());
        let cases = [
            (
                "7",
                "invalid type: integer `7`, expected an object at line 1 column 1",
            ),
            (
                "[]",
                "invalid length 0, expected an object at line 1 column 2",
            ),
            (
                r#"{"value":-1}"#,
                "invalid value: integer `-1`, expected a small whole number at line 1 column 11",
            ),
            (
                r#"{"value":{}}"#,
                "invalid type: object, expected a small whole number at line 1 column 9",
            ),
            ("{}", "missing field `value` at line 1 column 2"),
        ];
        for (text, expected) in cases {
            assert_eq!(error(text), expected);
        }
    }
}
