//! What is wrong with a document, and where.

use std::borrow::Cow;
use std::fmt;

/// Most findings that are collected from one document; reading stops there.
pub const MAX_FINDINGS: usize = 250;

/// All that is wrong with a document, in its order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1, in characters.
    pub column: u32,
    /// Path into the document, such as `[0].Actions[1]` or `Statement[0].Actions[1]`; empty for
    /// the document itself.
    pub path: String,
    /// What was found and what would be right, with the nearest names.
    pub message: String,
    /// Stable code, one of [`CODES`].
    pub code: &'static str,
}

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    NotJson,
    TooLarge,
    TooDeep,
    DuplicateName,
    Version,
    Dialect,
    Legacy,
    WrongType,
    UnknownField,
    MissingField,
    EmptyArray,
    Effect,
    Action,
    Resource,
    Identity,
    Pattern,
    DuplicateSid,
    /// Nothing is reported with it any more.
    #[expect(dead_code, reason = "codes are never reused")]
    NotYet,
    KeysWithoutExecute,
    Everyone,
    EveryOrganisation,
    TooMany,
    Sid,
    AclRule,
    Operator,
    ConditionKey,
    ConditionValue,
    Variable,
    Character,
}

/// Every code and what it stands for. Codes are stable: they are never reused or renumbered.
pub const CODES: &[(&str, &str)] = &[
    ("E001", "the text is not JSON"),
    ("E002", "the document is too large"),
    ("E003", "the document is nested too deeply"),
    ("E004", "a name stands twice in one object"),
    ("E005", "the version is missing or unknown"),
    ("E006", "the document is of a dialect that is not read yet"),
    ("E007", "the document has the old lower-case form"),
    ("E008", "a value has the wrong type"),
    ("E009", "a field is unknown"),
    ("E010", "a field is missing"),
    ("E011", "an array is empty"),
    ("E012", "the effect is neither `Allow` nor `Deny`"),
    ("E013", "an action is not in the catalogue"),
    ("E014", "a resource pattern is malformed"),
    ("E015", "an identity is malformed"),
    ("E016", "a key or channel pattern is refused"),
    ("E017", "a `Sid` stands twice in one document"),
    ("E018", "a part of the language is not supported yet"),
    ("E019", "key fields stand beside actions that use no keys"),
    (
        "E020",
        "an allow for everyone speaks of more than `kvdb:` actions",
    ),
    ("E021", "an allow speaks of every organisation"),
    ("E022", "there are more findings than are listed"),
    ("E023", "a `Sid` is empty or too long"),
    ("E024", "an ACL rule is refused"),
    (
        "E025",
        "a condition operator is unknown or does not fit its key",
    ),
    ("E026", "a condition key is unknown"),
    (
        "E027",
        "a condition value is none that its operator compares",
    ),
    (
        "E028",
        "a variable is malformed, unknown, or stands where none may",
    ),
    (
        "E029",
        "a character stands in the document that its dialect does not allow",
    ),
];

impl Code {
    /// The stable code.
    pub(crate) fn text(self) -> &'static str {
        CODES[self as usize].0
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}

/// Findings while a document is read: by offset, so that lines are counted once, at the end.
#[derive(Default)]
pub(crate) struct Collector {
    found: Vec<(usize, Code, String, String)>,
}

impl Collector {
    /// Adds one; further ones than [`MAX_FINDINGS`] are dropped.
    pub(crate) fn add(
        &mut self,
        at: usize,
        code: Code,
        path: impl Into<String>,
        message: impl Into<String>,
    ) {
        if self.found.len() <= MAX_FINDINGS {
            self.found.push((at, code, path.into(), message.into()));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Is there no use in looking further?
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() > MAX_FINDINGS
    }

    /// The findings with their places in `text`, in its order.
    pub(crate) fn finish(mut self, text: &str) -> Findings {
        if self.is_full() {
            self.found.truncate(MAX_FINDINGS);
            let message = format!("more than {MAX_FINDINGS} findings: the rest is not listed");
            self.found
                .push((text.len(), Code::TooMany, String::new(), message));
        }
        self.found.sort_by_key(|(at, ..)| *at);
        let mut places = Places::new(text);
        let place = |(at, code, path, message): (usize, Code, String, String)| {
            let (line, column) = places.advance(at);
            Finding {
                line,
                column,
                path,
                message,
                code: code.text(),
            }
        };
        Findings(self.found.into_iter().map(place).collect())
    }
}

/// Lines and columns of growing offsets, in one pass over the text.
pub(crate) struct Places<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    column: u32,
}

impl<'a> Places<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
            line: 1,
            column: 1,
        }
    }

    /// Line and column of an offset that is not before the last one. `\n`, `\r\n` and a lone `\r`
    /// end a line.
    pub(crate) fn advance(&mut self, to: usize) -> (u32, u32) {
        while self.at < to.min(self.text.len()) {
            let byte = self.text[self.at];
            self.at += 1;
            let lone_return = byte == b'\r' && self.text.get(self.at) != Some(&b'\n');
            if byte == b'\n' || lone_return {
                self.line += 1;
                self.column = 1;
            } else if byte & 0xc0 != 0x80 {
                self.column += 1;
            }
        }
        (self.line, self.column)
    }
}

/// Text of a document inside a message: shortened and without control characters, so that a
/// document can neither flood nor fake a log.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut out = String::from("`");
    for (i, c) in text.chars().enumerate() {
        if i == SHOWN {
            out.push('…');
            break;
        }
        if c.is_control() || is_invisible(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out.push('`');
    out
}

/// A name for use in a path.
pub(crate) fn path_name(name: &str) -> Cow<'_, str> {
    let plain = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(quoted(name))
    }
}

/// Characters that reorder or hide text on a terminal.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_the_order_of_the_enum() {
        assert_eq!(Code::NotJson.text(), "E001");
        assert_eq!(Code::Character.text(), CODES[CODES.len() - 1].0);
        for (i, (code, _)) in CODES.iter().enumerate() {
            assert_eq!(*code, format!("E{:03}", i + 1));
        }
    }

    #[test]
    fn columns_are_characters() {
        let mut places = Places::new("é\"x\r\ny\rz\n\nw");
        let found: Vec<_> = [0, 2, 3, 6, 8, 10, 11, 99]
            .map(|at| places.advance(at))
            .into();
        let expected = [
            (1, 1),
            (1, 2),
            (1, 3),
            (2, 1),
            (3, 1),
            (4, 1),
            (5, 1),
            (5, 2),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn quoted_text_is_tame() {
        assert_eq!(quoted("a\nb\u{202e}"), "`a\\u{a}b\\u{202e}`");
        assert_eq!(quoted(&"x".repeat(200)).chars().count(), 83);
    }
}
