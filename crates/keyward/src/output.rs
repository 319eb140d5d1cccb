//! How answers are written: for people, or as JSON, one document a line.

use std::io::{self, Write as _};

use serde_json::Value;

/// How to answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON document a line.
    Json,
    /// SARIF 2.1.0, for code review: of `policy check` only.
    Sarif,
}

/// A remark on standard error. That nobody can read it is no reason to fail.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Standard output in one of the formats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// One line, flushed.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// One document: as JSON, or in the words of `text`.
    pub(crate) fn document(
        &self,
        document: &Value,
        text: impl FnOnce(&Value) -> String,
    ) -> io::Result<()> {
        match self.format {
            Format::Json => self.line(&document.to_string()),
            Format::Text | Format::Sarif => self.line(text(document).trim_end()),
        }
    }

    /// An entity, field by field.
    pub(crate) fn entity(&self, entity: &Value) -> io::Result<()> {
        self.document(entity, entity_text)
    }

    /// A list: a document a line, or a table with these columns (title, field).
    pub(crate) fn list(&self, items: &[Value], columns: &[(&str, &str)]) -> io::Result<()> {
        match self.format {
            Format::Json => {
                let mut out = io::stdout().lock();
                for item in items {
                    writeln!(out, "{item}")?;
                }
                out.flush()
            }
            Format::Text | Format::Sarif => self.line(table(items, columns).trim_end()),
        }
    }
}

/// A value in a table or behind a field's name.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

/// Text of others without what a terminal would take for a command.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// A list of words or a few fields on one line; else JSON.
fn inline(value: &Value) -> String {
    let is_scalar = |value: &Value| !value.is_object() && !value.is_array();
    let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    match value {
        Value::Array(list) if list.is_empty() => "-".to_owned(),
        Value::Array(list) if list.iter().all(Value::is_string) => {
            let words: Vec<String> = list.iter().map(cell).collect();
            words.join(", ")
        }
        Value::Object(fields) if fields.values().all(|v| is_scalar(v) || is_empty(v)) => {
            let said = fields
                .iter()
                .filter(|(_, value)| !value.is_null() && !is_empty(value));
            let said: Vec<String> = said
                .map(|(name, value)| format!("{}={}", printable(name), cell(value)))
                .collect();
            said.join(", ")
        }
        other => cell(other),
    }
}

/// The fields of an entity, a line each.
pub(crate) fn entity_text(entity: &Value) -> String {
    let Some(object) = entity.as_object() else {
        return cell(entity);
    };
    let width = object.keys().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in object {
        let shown = match value {
            Value::Object(inner) if name == "created" => {
                let of = |field: &str| inner.get(field).map(cell).unwrap_or_default();
                format!("{} by {}", of("at"), of("by"))
            }
            other => inline(other),
        };
        text.push_str(&format!("{name:width$}  {shown}\n"));
    }
    text
}

fn table(items: &[Value], columns: &[(&str, &str)]) -> String {
    let row = |item: &Value| -> Vec<String> {
        let of = |field: &str| match item.pointer(field) {
            Some(value) => cell(value),
            None => "-".to_owned(),
        };
        columns.iter().map(|(_, field)| of(field)).collect()
    };
    let titles: Vec<String> = columns
        .iter()
        .map(|(title, _)| title.to_uppercase())
        .collect();
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            let cells = rows.iter().map(|row| &row[column]);
            cells
                .chain(std::iter::once(&titles[column]))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(&rows) {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables() {
        let items = [
            json!({"id": "main", "backend": {"type": "embedded"}}),
            json!({"id": "é"}),
        ];
        let columns = [("id", "/id"), ("backend", "/backend/type")];
        assert_eq!(
            table(&items, &columns),
            "ID    BACKEND\nmain  embedded\né     -\n"
        );
    }

    #[test]
    fn what_stands_on_one_line() {
        let cases = [
            (json!([]), "-"),
            (json!(["org/a", "org/b"]), "org/a, org/b"),
            (json!({"count": 0, "sources": []}), "count=0"),
            (json!({"team": "a", "stage": "b"}), "team=a, stage=b"),
            (json!({"at": "now", "database": null}), "at=now"),
            (json!({"Bool": {"a": "b"}}), r#"{"Bool":{"a":"b"}}"#),
            (json!(null), "-"),
        ];
        for (value, expected) in cases {
            assert_eq!(inline(&value), expected);
        }
    }

    #[test]
    fn no_terminal_commands() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\u{fffd}[2Jb");
    }
}
