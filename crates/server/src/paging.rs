//! Lists, a page at a time.
//!
//! A cursor names the last item that was shown, so that a page begins where the one before ended,
//! whatever was made or deleted meanwhile. It is sealed with a keyed hash, holds only what the
//! caller was shown, and is good for the list that it came from.

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_auth::HashKey;
use serde_json::{Map, Value};

use crate::problem::Problem;

/// Items of a page, if the caller does not say how many.
pub(crate) const USUAL_PAGE: usize = 100;

/// Items of a page at most.
pub(crate) const MAX_PAGE: usize = 1_000;

/// Bytes of the keyed hash in a cursor.
const SEAL: usize = 12;

/// Longest cursor, in characters.
const MAX_CURSOR: usize = 1_024;

/// Which part of a list is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    limit: usize,
    /// Name of the last item that was shown.
    after: Option<String>,
}

fn seal(key: &HashKey, url: &str, name: &str) -> Vec<u8> {
    let hash = key.keyed("cursor 1", &[url.as_bytes(), b"\0", name.as_bytes()]);
    hash[..SEAL].to_vec()
}

fn cursor(key: &HashKey, url: &str, name: &str) -> String {
    let mut bytes = seal(key, url, name);
    bytes.extend_from_slice(name.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn opened(key: &HashKey, url: &str, cursor: &str) -> Option<String> {
    if cursor.len() > MAX_CURSOR {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (found, name) = bytes.split_at_checked(SEAL)?;
    let name = std::str::from_utf8(name).ok()?;
    // Not a secret: whoever makes one up names an item, and learns nothing that the list hides.
    (found == seal(key, url, name)).then(|| name.to_owned())
}

impl Page {
    /// What the caller asked for at this URL path.
    pub(crate) fn of(
        key: &HashKey,
        url: &str,
        limit: Option<usize>,
        cursor: Option<&str>,
    ) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(USUAL_PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            let detail = format!("`limit` is a number from 1 to {MAX_PAGE}");
            return Err(Problem::malformed(detail));
        }
        let after = match cursor {
            None => None,
            Some(text) => Some(opened(key, url, text).ok_or_else(|| {
                Problem::malformed(
                    "`cursor` is the `next_cursor` of an earlier answer of this list",
                )
            })?),
        };
        Ok(Self { limit, after })
    }

    /// Answers a list: `entries` are sorted by their names, of which no two are equal; `show` leaves
    /// out what the caller may not see. `more` is what the answer holds beside the items.
    pub(crate) fn answer<T>(
        &self,
        key: &HashKey,
        url: &str,
        entries: impl IntoIterator<Item = (String, T)>,
        mut show: impl FnMut(&str, T) -> Option<Value>,
        more: Map<String, Value>,
    ) -> Response {
        let mut items = Vec::new();
        let mut last = None;
        let mut next = None;
        for (name, entry) in entries {
            if self.after.as_ref().is_some_and(|after| name <= *after) {
                continue;
            }
            let Some(shown) = show(&name, entry) else {
                continue;
            };
            // There is a next page only if something on it would be shown.
            if items.len() == self.limit {
                next = last;
                break;
            }
            items.push(shown);
            last = Some(name);
        }
        let mut body = more;
        body.insert("items".to_owned(), items.into());
        if let Some(name) = next {
            body.insert("next_cursor".to_owned(), cursor(key, url, &name).into());
        }
        axum::Json(Value::Object(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_list_only() {
        let key = HashKey::new([1; 32]);
        let text = cursor(&key, "/v1/org/a/kvdb", "org/a/kvdb/x");
        assert_eq!(
            opened(&key, "/v1/org/a/kvdb", &text).as_deref(),
            Some("org/a/kvdb/x")
        );
        assert_eq!(opened(&key, "/v1/org/b/kvdb", &text), None);
        assert_eq!(
            opened(&HashKey::new([2; 32]), "/v1/org/a/kvdb", &text),
            None
        );
        for text in ["", "x", "!!", &text[1..], &"A".repeat(MAX_CURSOR + 4)] {
            assert_eq!(opened(&key, "/v1/org/a/kvdb", text), None, "{text}");
        }
    }
}
