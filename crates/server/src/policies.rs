//! Policies as they come in JSON: kept as text, so that positions hold and that what our reader
//! refuses (a name twice in one object) reaches it.

use keyward_iam::{PolicyInput, PolicyText};
use keyward_policy::Dialect;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Why something is no policy, before its document is even read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct InputError(String);

/// One element of a list that is no bare document.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Element<'a> {
    dialect: Option<String>,
    #[serde(borrow)]
    document: Option<&'a RawValue>,
    policy: Option<String>,
}

/// The text of a document that is given as a JSON value, or as a string that holds the text.
///
/// # Errors
/// A string that is none.
pub fn document_text(value: &RawValue) -> Result<String, InputError> {
    let text = value.get();
    if text.starts_with('"') {
        serde_json::from_str(text).map_err(|error| InputError(error.to_string()))
    } else {
        Ok(text.to_owned())
    }
}

/// Reads one element: a document in place (array or object), `{"dialect": "native", "document": …}`,
/// `{"policy": "policy/<id>"}`, or the reference alone as a string.
fn policy_input(value: &RawValue) -> Result<PolicyInput, InputError> {
    let text = value.get();
    if text.starts_with('"') {
        let reference = document_text(value)?;
        if reference.starts_with("policy/") || reference.starts_with("org/") {
            return Ok(PolicyInput::Named(reference));
        }
        return Ok(PolicyInput::Document(reference));
    }
    if !text.starts_with('{') || !is_element(text) {
        return Ok(PolicyInput::Document(text.to_owned()));
    }
    let element: Element<'_> =
        serde_json::from_str(text).map_err(|error| InputError(format!("a policy: {error}")))?;
    let dialect = element.dialect.as_deref().map(dialect).transpose()?;
    match (element.document, element.policy, dialect) {
        (Some(document), None, None) => Ok(PolicyInput::Document(document_text(document)?)),
        (Some(document), None, dialect) => Ok(PolicyInput::Written(PolicyText {
            text: document_text(document)?,
            dialect,
        })),
        (None, Some(policy), None) => Ok(PolicyInput::Named(policy)),
        _ => Err(InputError(
            "a policy is a document, {\"dialect\": \"native\", \"document\": …} or {\"policy\": \"policy/<id>\"}"
                .to_owned(),
        )),
    }
}

/// The dialect of a name.
///
/// # Errors
/// There is none.
pub fn dialect(name: &str) -> Result<Dialect, InputError> {
    Dialect::by_name(name).ok_or_else(|| {
        let reason = format!("no dialect `{name}`: native, aws, tencent, alibaba or acl");
        InputError(reason)
    })
}

/// Whether an object is an element and no document: it has a name that no document has.
fn is_element(text: &str) -> bool {
    struct Names(bool);
    impl<'de> Deserialize<'de> for Names {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> serde::de::Visitor<'de> for Visitor {
                type Value = bool;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<bool, A::Error> {
                    let mut found = false;
                    while let Some(name) = map.next_key::<String>()? {
                        map.next_value::<serde::de::IgnoredAny>()?;
                        found |= matches!(&*name, "dialect" | "document" | "policy");
                    }
                    Ok(found)
                }
            }
            deserializer.deserialize_map(Visitor).map(Names)
        }
    }
    serde_json::from_str::<Names>(text).is_ok_and(|names| names.0)
}

/// Reads a list of policies.
///
/// # Errors
/// The first element that is none.
pub fn policy_inputs(values: &[Box<RawValue>]) -> Result<Vec<PolicyInput>, InputError> {
    values.iter().map(|value| policy_input(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        let document = |text: &str| Ok(PolicyInput::Document(text.to_owned()));
        let written = |text: &str, dialect| {
            Ok(PolicyInput::Written(PolicyText {
                text: text.to_owned(),
                dialect: Some(dialect),
            }))
        };
        let named = |text: &str| Ok(PolicyInput::Named(text.to_owned()));
        let cases = [
            (
                r#"[ {"Effect":"Allow"} ]"#,
                document(r#"[ {"Effect":"Allow"} ]"#),
            ),
            (
                r#"{"Version":"keyward-1","Statement":[]}"#,
                document(r#"{"Version":"keyward-1","Statement":[]}"#),
            ),
            // What the reader refuses must reach it as it was written.
            (
                r#"{"Version":"a","Version":"b"}"#,
                document(r#"{"Version":"a","Version":"b"}"#),
            ),
            (
                r#"{"dialect":"native","document":[ ]}"#,
                written("[ ]", Dialect::Native),
            ),
            (
                r#"{"dialect":"acl","document":"+get ~*"}"#,
                written("+get ~*", Dialect::Acl),
            ),
            (r#"{"document":"[\n]"}"#, document("[\n]")),
            (r#""[]""#, document("[]")),
            (r#""policy/x""#, named("policy/x")),
            (r#""org/dev/policy/x""#, named("org/dev/policy/x")),
            (r#"{"policy":"policy/x"}"#, named("policy/x")),
            ("7", document("7")),
        ];
        for (text, expected) in cases {
            let value = RawValue::from_string(text.to_owned()).unwrap();
            assert_eq!(policy_input(&value), expected, "{text}");
        }
        for text in [
            r#"{"dialect":"azure","document":[]}"#,
            r#"{"dialect":"native"}"#,
            r#"{"document":[],"policy":"policy/x"}"#,
            r#"{"document":[],"document":[]}"#,
            r#"{"document":[],"Statement":[]}"#,
        ] {
            let value = RawValue::from_string(text.to_owned()).unwrap();
            assert!(policy_input(&value).is_err(), "{text}");
        }
    }
}
