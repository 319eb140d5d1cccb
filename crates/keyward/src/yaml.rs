//! YAML and JSON with the place of every value, and values written as YAML.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};
use serde_json::Value;

/// Nesting that is read; deeper is refused.
const MAX_DEPTH: usize = 64;

/// Where something stands in a file: both from 1, the column in characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    const START: Self = Self { line: 1, column: 1 };
}

impl From<&Marker> for Place {
    fn from(marker: &Marker) -> Self {
        Self {
            line: marker.line(),
            column: marker.col() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) content: Content,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// Text, a number, true or false: as written.
    Scalar {
        text: String,
        /// Without quotes.
        plain: bool,
        /// Where its first character stands, of a text that stands in the file line by line.
        block: Option<Place>,
    },
    List(Vec<Node>),
    /// In the order of the file; no key twice.
    Map(Vec<Entry>),
}

/// A name, where it stands, and its value.
pub(crate) type Entry = (String, Place, Node);

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct YamlError {
    pub(crate) at: Place,
    pub(crate) text: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.text)
    }
}

pub(crate) fn error<T>(at: Place, text: impl Into<String>) -> Result<T, YamlError> {
    Err(YamlError {
        at,
        text: text.into(),
    })
}

/// The lines of a file.
struct Lines<'a>(Vec<&'a str>);

impl Lines<'_> {
    /// Where the first character of a block stands whose `|` is on or before this line.
    fn block(&self, line: usize, text: &str) -> Option<Place> {
        let (empty, first) = text
            .lines()
            .enumerate()
            .find(|(_, line)| !line.is_empty())?;
        // The parser tells the place of the sign, of what follows it, or of the first character.
        [line, line + 1, line.saturating_sub(empty)]
            .into_iter()
            .filter(|line| *line > 0)
            .find_map(|line| {
                let found = self.0.get((line + empty).checked_sub(1)?)?;
                let indent = found.strip_suffix(first)?;
                let is_indent = !indent.is_empty() && indent.bytes().all(|b| b == b' ');
                let column = indent.len() + 1;
                is_indent.then_some(Place { line, column })
            })
    }
}

/// Something that is being read.
enum Open {
    List(Place, Vec<Node>),
    /// With the name whose value comes next, and all names so far.
    Map(Place, Vec<Entry>, Option<(String, Place)>, HashSet<String>),
}

/// Reads the one document of a file.
pub(crate) fn read(text: &str) -> Result<Node, YamlError> {
    let mut documents = read_all(text)?.into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) => Ok(document),
        (None, _) => error(Place::START, "the file is empty"),
        (Some(_), Some(second)) => error(second.at, "a file has one document"),
    }
}

/// Reads every document of a stream; empty ones are passed over.
pub(crate) fn read_all(text: &str) -> Result<Vec<Node>, YamlError> {
    let mut open: Vec<Open> = Vec::new();
    let mut documents: Vec<Node> = Vec::new();
    let lines = Lines(text.lines().collect());
    for event in Parser::new_from_str(text) {
        let (event, span): (Event<'_>, Span) = event.map_err(|found| YamlError {
            at: found.marker().into(),
            text: found.info().to_owned(),
        })?;
        let at = Place::from(&span.start);
        let done = match event {
            Event::Scalar(text, style, ..) => Node {
                at,
                content: Content::Scalar {
                    block: (style == ScalarStyle::Literal)
                        .then(|| lines.block(at.line, &text))
                        .flatten(),
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                },
            },
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= MAX_DEPTH => {
                return error(at, format!("nested deeper than {MAX_DEPTH} levels"));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(at, Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(at, Vec::new(), None, HashSet::new()));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(at, items)) => Node {
                    at,
                    content: Content::List(items),
                },
                Some(Open::Map(at, entries, ..)) => Node {
                    at,
                    content: Content::Map(entries),
                },
                None => return error(at, "an end without a beginning"),
            },
            Event::Alias(_) => {
                return error(
                    at,
                    "aliases are not read; a text that begins with `*` needs quotes",
                );
            }
            _ => continue,
        };
        match open.last_mut() {
            None if done.is_nothing() => {}
            None => documents.push(done),
            Some(Open::List(_, items)) => items.push(done),
            Some(Open::Map(_, entries, key, known)) => match key.take() {
                Some((name, key_at)) => entries.push((name, key_at, done)),
                None => {
                    let Content::Scalar { text, .. } = done.content else {
                        return error(at, "a key is a text");
                    };
                    if !known.insert(text.clone()) {
                        return error(at, format!("`{text}` stands here twice"));
                    }
                    *key = Some((text, at));
                }
            },
        }
    }
    Ok(documents)
}

/// Reads every document of a stream of JSON.
pub(crate) fn read_json(text: &str) -> Result<Vec<Node>, YamlError> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<JsonNode>();
    let mut documents = Vec::new();
    let mut cursor = Cursor {
        rest: text,
        at: Place::START,
    };
    loop {
        match stream.next() {
            None => return Ok(documents),
            Some(Ok(JsonNode(mut document))) => {
                cursor.value(&mut document)?;
                documents.push(document);
            }
            Some(Err(found)) => {
                let at = Place {
                    line: found.line().max(1),
                    column: found.column().max(1),
                };
                let text = found.to_string();
                let text = text.split(" at line ").next().unwrap_or_default();
                return error(at, format!("no JSON: {text}"));
            }
        }
    }
}

/// Walks through a JSON text that was read already, to tell where each of its values stands.
struct Cursor<'a> {
    rest: &'a str,
    at: Place,
}

impl Cursor<'_> {
    /// Passes over so many bytes.
    fn pass(&mut self, length: usize) {
        let (passed, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        for c in passed.chars() {
            if c == '\n' {
                (self.at.line, self.at.column) = (self.at.line + 1, 1);
            } else {
                self.at.column += 1;
            }
        }
        self.rest = rest;
    }

    /// Passes over what stands between values, and tells where the next begins.
    fn next(&mut self) -> Place {
        let is_between = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | ':');
        let behind = self.rest.trim_start_matches(is_between).len();
        self.pass(self.rest.len() - behind);
        self.at
    }

    /// Passes over a text in quotes, a number or a word.
    fn scalar(&mut self) {
        let bytes = self.rest.as_bytes();
        let mut length = 0;
        if bytes.first() == Some(&b'"') {
            length = 1;
            while let Some(byte) = bytes.get(length) {
                length += match byte {
                    b'"' => break,
                    b'\\' => 2,
                    _ => 1,
                };
            }
            length += 1;
        } else {
            let is_end = |b: &u8| b.is_ascii_whitespace() || b",:]}".contains(b);
            length += bytes.iter().position(is_end).unwrap_or(bytes.len());
        }
        self.pass(length);
    }

    /// Passes over a value, and notes where it and all in it begin.
    fn value(&mut self, node: &mut Node) -> Result<(), YamlError> {
        node.at = self.next();
        match &mut node.content {
            Content::Scalar { .. } => self.scalar(),
            Content::List(items) => {
                self.pass(1);
                for item in items {
                    self.value(item)?;
                }
                self.next();
                self.pass(1);
            }
            Content::Map(entries) => {
                self.pass(1);
                let mut known = HashSet::new();
                for (name, at, value) in entries {
                    *at = self.next();
                    if !known.insert(&*name) {
                        return error(*at, format!("`{name}` stands here twice"));
                    }
                    self.scalar();
                    self.value(value)?;
                }
                self.next();
                self.pass(1);
            }
        }
        Ok(())
    }
}

/// A value out of JSON, without its place.
struct JsonNode(Node);

impl<'de> serde::Deserialize<'de> for JsonNode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        fn placeless<E>(content: Content) -> Result<Node, E> {
            let at = Place::START;
            Ok(Node { at, content })
        }
        fn scalar<E>(text: impl Into<String>, plain: bool) -> Result<Node, E> {
            placeless(Content::Scalar {
                text: text.into(),
                plain,
                block: None,
            })
        }
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                scalar("null", true)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                scalar(value.to_string(), true)
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                scalar(value.to_string(), true)
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                scalar(value.to_string(), true)
            }

            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                scalar(Value::from(value).to_string(), true)
            }

            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                scalar(value, false)
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(JsonNode(item)) = list.next_element()? {
                    items.push(item);
                }
                placeless(Content::List(items))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries: Vec<Entry> = Vec::new();
                while let Some((name, JsonNode(value))) = map.next_entry::<String, JsonNode>()? {
                    entries.push((name, Place::START, value));
                }
                placeless(Content::Map(entries))
            }
        }
        deserializer.deserialize_any(Visitor).map(JsonNode)
    }
}

/// A value as YAML, in blocks. Texts of several lines are written as they are.
pub(crate) fn write(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value, 0, false);
    out
}

/// `behind_key`: something stands on the line already.
fn write_value(out: &mut String, value: &Value, depth: usize, behind_key: bool) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            let mut first = !behind_key;
            if behind_key {
                out.push('\n');
            }
            for (name, value) in entries {
                if !first || behind_key {
                    out.push_str(&indent);
                }
                first = false;
                write_text(out, name, depth, false);
                out.push(':');
                write_value(out, value, depth + 1, true);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            if behind_key {
                out.push('\n');
            }
            for (at, item) in items.iter().enumerate() {
                if at > 0 || behind_key {
                    out.push_str(&indent);
                }
                out.push_str("- ");
                write_value(out, item, depth + 1, false);
            }
        }
        other => {
            if behind_key {
                out.push(' ');
            }
            match other {
                Value::String(text) => write_text(out, text, depth.max(1), true),
                // `{}` and `[]`, numbers, true, false and null are written as in JSON.
                other => {
                    let _ = write!(out, "{other}");
                }
            }
            out.push('\n');
        }
    }
}

/// A text: as it is where nothing can be mistaken, in lines, or in quotes.
fn write_text(out: &mut String, text: &str, depth: usize, may_be_block: bool) {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'/' | b'.' | b'-');
    let begins = text
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    if begins
        && text.bytes().all(is_word)
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
    {
        out.push_str(text);
        return;
    }
    if may_be_block && is_block(text) {
        out.push_str(if text.ends_with('\n') { "|" } else { "|-" });
        for line in text.lines() {
            out.push('\n');
            if !line.is_empty() {
                out.push_str(&"  ".repeat(depth));
                out.push_str(line);
            }
        }
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
        }
    }
    out.push('"');
}

/// Whether every reader of YAML takes a character as it is.
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// Whether a text can stand in lines of its own and be read back as it is.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.ends_with('\n')
        && body
            .lines()
            .all(|line| line.is_empty() || !line.trim().is_empty())
        && !body.starts_with([' ', '\t', '\n'])
        && body
            .chars()
            .all(|c| c == '\n' || c == '\t' || is_printable(c))
}

impl Node {
    /// A document in which nothing stands.
    fn is_nothing(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true, .. } if text.is_empty())
    }

    /// Text, a number, true or false, as written.
    pub(crate) fn text(&self, what: &str) -> Result<&str, YamlError> {
        match &self.content {
            Content::Scalar { text, .. } => Ok(text),
            _ => error(self.at, format!("{what}: expected a text")),
        }
    }

    pub(crate) fn list(&self, what: &str) -> Result<&[Node], YamlError> {
        match &self.content {
            Content::List(items) => Ok(items),
            _ => error(self.at, format!("{what}: expected a list")),
        }
    }

    pub(crate) fn map(&self, what: &str) -> Result<&[Entry], YamlError> {
        match &self.content {
            Content::Map(entries) => Ok(entries),
            // `key:` with nothing behind it
            Content::Scalar {
                text, plain: true, ..
            } if text.is_empty() || text == "~" => Ok(&[]),
            _ => error(self.at, format!("{what}: expected `name: value` entries")),
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
            Content::Scalar {
                text, plain: false, ..
            } => text.as_str().into(),
            Content::Scalar {
                text, plain: true, ..
            } => match text.as_str() {
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
    fn places_of_texts_in_lines() {
        for (text, at) in [
            ("a: |\n  x\n  y\n", Some((2, 3))),
            ("a: |-\n\n    x\n  y\n", None), // no YAML
            ("a:\n- b: |2\n      x\n", Some((3, 5))),
            ("a: |  # why\n\n   x", Some((2, 4))),
            ("a: x\n", None),
            ("a: >\n  x\n  y\n", None),
        ] {
            let found = read(text).ok().and_then(|node| text_of(&node));
            let at = at.map(|(line, column)| Place { line, column });
            assert_eq!(found, at, "{text:?}");
        }
        fn text_of(node: &Node) -> Option<Place> {
            match &node.content {
                Content::Scalar { block, .. } => *block,
                Content::List(items) => items.iter().find_map(text_of),
                Content::Map(entries) => entries.iter().find_map(|(_, _, node)| text_of(node)),
            }
        }
    }

    #[test]
    fn several_documents() {
        let all = read_all("---\na: 1\n---\n---\nb: 2\n").unwrap();
        let all: Vec<Value> = all.iter().map(Node::json).collect();
        assert_eq!(all, [json!({"a": 1}), json!({"b": 2})]);
        let all = read_json("{\"a\": 1}\n [true, 1.5, null]").unwrap();
        assert_eq!(all[1].at, Place { line: 2, column: 2 });
        assert_eq!(all[1].json(), json!([true, 1.5, null]));
        let all = read_json("{\"a\\\"b\": [1, {\"é\":true}],\n \"c\": {}}").unwrap();
        let Content::Map(entries) = &all[0].content else {
            panic!("{all:?}")
        };
        let Content::List(items) = &entries[0].2.content else {
            panic!("{all:?}")
        };
        let Content::Map(inner) = &items[1].content else {
            panic!("{all:?}")
        };
        let places = [
            items[0].at,
            items[1].at,
            inner[0].1,
            inner[0].2.at,
            entries[1].1,
        ];
        let told = places.map(|at| at.to_string());
        assert_eq!(told, ["1:11", "1:14", "1:15", "1:19", "2:2"]);
        let twice = read_json("{\"a\": 1,\n\"a\": 2}").unwrap_err();
        assert_eq!(twice.to_string(), "2:1: `a` stands here twice");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let texts = [
            "",
            " ",
            "plain",
            "a b",
            "null",
            "Yes",
            "~",
            "1",
            "007",
            "- a",
            "a: b",
            "#",
            "[x",
            "x\ny",
            "x\ny\n",
            "x\n\ny\n",
            "x\n\n",
            "\nx\ny",
            "  x\ny",
            "\tx\ny",
            "x\n\ty",
            "x \ny ",
            "x\n  \ny",
            "x\r\ny",
            "x\u{85}y\nz",
            "\u{feff}x",
            "\u{1f600}\n\u{1f600}",
            "\"\\\u{1b}[2J",
            "*",
            "&a",
            "!x",
            "%x",
            "@x",
            "`x",
            "'x'",
            "key: |\n  x",
            "...",
            "---",
            "---\nx",
            "...\nx\n",
            "x\n---\ny",
        ];
        for text in texts {
            for value in [
                json!(text),
                json!([text, [text], {"a": text}]),
                json!({"a": {"b": text, "c": [text]}}),
                json!({ text: text }),
                json!([[text, {}], [], {"a": [[text]]}]),
            ] {
                let written = write(&value);
                if value == json!("") {
                    continue; // quotes, and not nothing
                }
                let read = read(&written);
                let read = read.unwrap_or_else(|error| panic!("{error}:\n{written}"));
                assert_eq!(read.json(), value, "{written}");
            }
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
                found.at.line == line || found.at.line == line + 1,
                "{text}: {found}"
            );
        }
    }

    /// Names are not compared with all before them.
    #[test]
    fn many_names() {
        let text: String = (0..100_000).map(|n| format!("t{n}: v\n")).collect();
        let all = read_all(&text).unwrap();
        assert!(matches!(&all[0].content, Content::Map(entries) if entries.len() == 100_000));
        let twice = read_all(&(text + "t7: v\n")).unwrap_err();
        assert_eq!(twice.to_string(), "100001:1: `t7` stands here twice");
    }
}
