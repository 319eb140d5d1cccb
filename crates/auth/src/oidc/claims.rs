//! Claims of a token as the values that conditions and mappings read.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Most values of all claims together.
pub const MAX_CLAIM_VALUES: usize = 2000;

/// Deepest claim.
const MAX_DEPTH: usize = 8;

/// Why claims could not be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// `{"a.b": …, "a": {"b": …}}`
    #[error("two claims of the token are called `{0}`")]
    Ambiguous(String),
    /// Too many values, or too deep.
    #[error(
        "the token has more than {MAX_CLAIM_VALUES} values, or is nested deeper than {MAX_DEPTH}"
    )]
    TooLarge,
}

/// Every claim by its path, with `.` between the names of nested ones (`kubernetes.io.namespace`,
/// `realm_access.roles`); numbers and truth values as text, arrays as several values. What an array
/// of objects says is left out, and so is `null`.
///
/// # Errors
/// Two claims with one path: nobody could tell which of them a condition means.
pub fn flatten(claims: &Map<String, Value>) -> Result<BTreeMap<String, Vec<String>>, ClaimsError> {
    let mut flat = BTreeMap::new();
    let mut room = MAX_CLAIM_VALUES;
    walk("", claims, &mut flat, &mut room, 0)?;
    Ok(flat)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn walk(
    prefix: &str,
    claims: &Map<String, Value>,
    flat: &mut BTreeMap<String, Vec<String>>,
    room: &mut usize,
    depth: usize,
) -> Result<(), ClaimsError> {
    if depth > MAX_DEPTH {
        return Err(ClaimsError::TooLarge);
    }
    for (name, value) in claims {
        let path = match prefix {
            "" => name.clone(),
            _ => format!("{prefix}.{name}"),
        };
        let values = match value {
            Value::Object(inner) => {
                walk(&path, inner, flat, room, depth + 1)?;
                continue;
            }
            Value::Array(list) => list.iter().filter_map(text).collect(),
            value => match text(value) {
                Some(text) => vec![text],
                None => continue,
            },
        };
        *room = room
            .checked_sub(values.len().max(1))
            .ok_or(ClaimsError::TooLarge)?;
        if flat.insert(path.clone(), values).is_some() {
            return Err(ClaimsError::Ambiguous(path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &str) -> Result<Vec<(String, String)>, ClaimsError> {
        let Value::Object(claims) = serde_json::from_str(text).unwrap() else {
            panic!("an object");
        };
        let list = flatten(&claims)?.into_iter();
        Ok(list
            .map(|(name, values)| (name, values.join(",")))
            .collect())
    }

    #[test]
    fn paths_and_values() {
        let cases = [
            (r#"{"sub":"x"}"#, vec![("sub", "x")]),
            (
                r#"{"n":7,"b":true,"z":null}"#,
                vec![("b", "true"), ("n", "7")],
            ),
            (r#"{"groups":["a","b"]}"#, vec![("groups", "a,b")]),
            (r#"{"groups":[]}"#, vec![("groups", "")]),
            (
                r#"{"kubernetes.io":{"namespace":"prod","pod":{"name":"x"}}}"#,
                vec![
                    ("kubernetes.io.namespace", "prod"),
                    ("kubernetes.io.pod.name", "x"),
                ],
            ),
            (
                r#"{"https://acme.example/groups":["a"]}"#,
                vec![("https://acme.example/groups", "a")],
            ),
            (r#"{"list":[{"a":1},"b"]}"#, vec![("list", "b")]),
        ];
        for (text, expected) in cases {
            let expected = expected
                .into_iter()
                .map(|(name, values)| (name.to_owned(), values.to_owned()));
            assert_eq!(flat(text).unwrap(), expected.collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn what_two_readers_could_take_for_different_things() {
        let text = r#"{"a.b":"x","a":{"b":"y"}}"#;
        assert_eq!(flat(text), Err(ClaimsError::Ambiguous("a.b".to_owned())));
        let many = format!("{{\"g\":[{}1]}}", "1,".repeat(MAX_CLAIM_VALUES));
        assert_eq!(flat(&many), Err(ClaimsError::TooLarge));
        let deep = format!("{}1{}", "{\"a\":".repeat(20), "}".repeat(20));
        assert_eq!(flat(&deep), Err(ClaimsError::TooLarge));
    }
}
