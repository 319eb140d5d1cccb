//! YAML with the line of every value.

use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::Value;

/// Nesting that is read; deeper is refused.
const MAX_DEPTH: usize = 64;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) content: Content,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// Text, a number, true or false: as written. `plain`: without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file; no key twice.
    Map(Vec<(String, usize, Node)>),
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct YamlError {
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.text)
    }
}

pub(crate) fn error<T>(line: usize, text: impl Into<String>) -> Result<T, YamlError> {
    Err(YamlError {
        line,
        text: text.into(),
    })
}

/// Something that is being read.
enum Open {
    List(usize, Vec<Node>),
    Map(usize, Vec<(String, usize, Node)>, Option<(String, usize)>),
}

/// Reads the one document of a file.
pub(crate) fn read(text: &str) -> Result<Node, YamlError> {
    let mut open: Vec<Open> = Vec::new();
    let mut document: Option<Node> = None;
    for event in Parser::new_from_str(text) {
        let (event, span): (Event<'_>, Span) = event.map_err(|found| YamlError {
            line: found.marker().line(),
            text: found.info().to_owned(),
        })?;
        let line = span.start.line();
        let done = match event {
            Event::Scalar(text, style, ..) => Node {
                line,
                content: Content::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                },
            },
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= MAX_DEPTH => {
                return error(line, format!("nested deeper than {MAX_DEPTH} levels"));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(line, Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(line, Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(line, items)) => Node {
                    line,
                    content: Content::List(items),
                },
                Some(Open::Map(line, entries, _)) => Node {
                    line,
                    content: Content::Map(entries),
                },
                None => return error(line, "an end without a beginning"),
            },
            Event::Alias(_) => {
                return error(
                    line,
                    "aliases are not read; a text that begins with `*` needs quotes",
                );
            }
            Event::DocumentStart(_) if document.is_some() => {
                return error(line, "a file has one document");
            }
            _ => continue,
        };
        match open.last_mut() {
            None => document = Some(done),
            Some(Open::List(_, items)) => items.push(done),
            Some(Open::Map(_, entries, key)) => match key.take() {
                Some((name, at)) => entries.push((name, at, done)),
                None => {
                    let Content::Scalar { text, .. } = done.content else {
                        return error(line, "a key is a text");
                    };
                    if entries.iter().any(|(known, ..)| *known == text) {
                        return error(line, format!("`{text}` stands here twice"));
                    }
                    *key = Some((text, line));
                }
            },
        }
    }
    match document {
        Some(document) => Ok(document),
        None => error(1, "the file is empty"),
    }
}

impl Node {
    /// Text, a number, true or false, as written.
    pub(crate) fn text(&self, what: &str) -> Result<&str, YamlError> {
        match &self.content {
            Content::Scalar { text, .. } => Ok(text),
            _ => error(self.line, format!("{what}: expected a text")),
        }
    }

    pub(crate) fn list(&self, what: &str) -> Result<&[Node], YamlError> {
        match &self.content {
            Content::List(items) => Ok(items),
            _ => error(self.line, format!("{what}: expected a list")),
        }
    }

    pub(crate) fn map(&self, what: &str) -> Result<&[(String, usize, Node)], YamlError> {
        match &self.content {
            Content::Map(entries) => Ok(entries),
            // `key:` with nothing behind it
            Content::Scalar { text, plain: true } if text.is_empty() || text == "~" => Ok(&[]),
            _ => error(self.line, format!("{what}: expected `name: value` entries")),
        }
    }

    /// The texts of a list, or the one text.
    pub(crate) fn texts(&self, what: &str) -> Result<Vec<&str>, YamlError> {
        match &self.content {
            Content::List(items) => items.iter().map(|item| item.text(what)).collect(),
            _ => Ok(vec![self.text(what)?]),
        }
    }

    /// As JSON: plain scalars by the core schema.
    pub(crate) fn json(&self) -> Value {
        match &self.content {
            Content::Scalar { text, plain: false } => text.as_str().into(),
            Content::Scalar { text, plain: true } => match text.as_str() {
                "" | "~" | "null" | "Null" | "NULL" => Value::Null,
                "true" | "True" | "TRUE" => true.into(),
                "false" | "False" | "FALSE" => false.into(),
                // Only what JSON writes as a number, too; `007` and `1_000` are texts.
                text => serde_json::from_str::<serde_json::Number>(text)
                    .map_or_else(|_| text.into(), Value::Number),
            },
            Content::List(items) => items.iter().map(Self::json).collect(),
            Content::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(name, _, value)| (name.clone(), value.json()))
                    .collect(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values() {
        let cases = [
            (
                "a: 1\nb: [x, 'y', \"z\\n\"]",
                json!({"a": 1, "b": ["x", "y", "z\n"]}),
            ),
            (
                "- true\n- 'true'\n- ~\n- 007\n- 10.0.0.7",
                json!([true, "true", null, "007", "10.0.0.7"]),
            ),
            ("a: |\n  x\n  y\n", json!({"a": "x\ny\n"})),
            ("{\"a\": {\"b\": []}}", json!({"a": {"b": []}})),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text).unwrap().json(), expected, "{text}");
        }
    }

    #[test]
    fn refusals_tell_the_line() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let cases = [
            ("", 1),
            ("a: 1\nb: [", 2),
            ("a: 1\na: 2", 2),
            ("a: &x 1\nb: *x", 2),
            ("Keys: [*]", 1),
            ("a: 1\n---\nb: 2", 2),
            ("a: 1\n\n[x]: 2", 3),
            (&deep, 1),
        ];
        for (text, line) in cases {
            let found = read(text).unwrap_err();
            assert!(
                found.line == line || found.line == line + 1,
                "{text}: {found}"
            );
        }
    }
}
