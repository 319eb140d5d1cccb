//! A small JSON reader (RFC 8259) that keeps positions, tells of names that stand twice, and is
//! linear in time and memory.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::finding::{Code, Collector, path_name, quoted};

/// Largest document, in bytes: 1 MiB.
pub const MAX_DOCUMENT_LEN: usize = 1 << 20;

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 32;

/// A value and the offset of its first byte.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) at: usize,
    pub(crate) value: Value<'a>,
}

#[derive(Debug)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<Member<'a>>),
}

/// One member of an object.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) name_at: usize,
    pub(crate) node: Node<'a>,
}

impl Value<'_> {
    /// What it is, for "found …".
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Boolean(_) => "a boolean".into(),
            Self::Number(text) => format!("the number {}", quoted(text)),
            Self::String(text) => format!("the string {}", quoted(text)),
            Self::Array(_) => "an array".into(),
            Self::Object(_) => "an object".into(),
        }
    }
}

/// Reads a whole text. What breaks the syntax ends the reading (`None`); names that stand twice
/// are collected beside the value.
pub(crate) fn parse<'a>(text: &'a str, findings: &mut Collector) -> Option<Node<'a>> {
    if text.len() > MAX_DOCUMENT_LEN {
        let message = format!(
            "document of {} bytes: at most {MAX_DOCUMENT_LEN} (1 MiB)",
            text.len()
        );
        findings.add(0, Code::TooLarge, "", message);
        return None;
    }
    if text.starts_with('\u{feff}') {
        let message = "begins with a byte order mark: save the text as UTF-8 without one";
        findings.add(0, Code::NotJson, "", message);
        return None;
    }
    let mut reader = Reader {
        text,
        at: 0,
        path: Vec::new(),
        findings,
    };
    match reader.document() {
        Ok(node) => Some(node),
        Err(Broken { at, code, message }) => {
            let path = shown(&reader.path);
            findings.add(at, code, path, message);
            None
        }
    }
}

/// Where and why the syntax is broken.
struct Broken {
    at: usize,
    code: Code,
    message: String,
}

struct Reader<'a, 'f> {
    text: &'a str,
    at: usize,
    /// Where in the document the reader is.
    path: Vec<Part<'a>>,
    findings: &'f mut Collector,
}

/// One step of a path into the document.
enum Part<'a> {
    Index(usize),
    Name(Cow<'a, str>),
}

/// The path as findings have it: `Statement[0].Actions[1]`.
fn shown(path: &[Part<'_>]) -> String {
    let mut out = String::new();
    for part in path {
        match part {
            Part::Index(i) => out += &format!("[{i}]"),
            Part::Name(name) => {
                out += if out.is_empty() { "" } else { "." };
                out += &path_name(name);
            }
        }
    }
    out
}

impl<'a> Reader<'a, '_> {
    fn document(&mut self) -> Result<Node<'a>, Broken> {
        self.skip_space();
        if self.at == self.text.len() {
            return Err(self.broken("the document is empty"));
        }
        let node = self.value(0)?;
        self.skip_space();
        if self.at < self.text.len() {
            let found = self.found();
            return Err(self.broken(format!("expected the end of the document, found {found}")));
        }
        Ok(node)
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, Broken> {
        let at = self.at;
        let value = match self.peek() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => {
                let message = format!("nested more than {MAX_DEPTH} levels deep");
                return Err(Broken {
                    at,
                    code: Code::TooDeep,
                    message,
                });
            }
            Some(b'{') => self.object(depth + 1)?,
            Some(b'[') => self.array(depth + 1)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ if self.take("null") => Value::Null,
            _ if self.take("true") => Value::Boolean(true),
            _ if self.take("false") => Value::Boolean(false),
            _ => {
                let found = self.found();
                return Err(self.broken(format!("expected a value, found {found}")));
            }
        };
        Ok(Node { at, value })
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>, Broken> {
        self.at += 1;
        let mut nodes = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Value::Array(nodes));
        }
        loop {
            self.skip_space();
            self.path.push(Part::Index(nodes.len()));
            nodes.push(self.value(depth)?);
            self.path.pop();
            self.skip_space();
            if self.eat(b']') {
                nodes.shrink_to_fit();
                return Ok(Value::Array(nodes));
            }
            self.comma(b']')?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Broken> {
        self.at += 1;
        let mut members: Vec<Member<'a>> = Vec::new();
        self.skip_space();
        if !self.eat(b'}') {
            loop {
                self.skip_space();
                let name_at = self.at;
                if self.peek() != Some(b'"') {
                    let found = self.found();
                    return Err(self.broken(format!("expected a name in `\"`, found {found}")));
                }
                let name = self.string()?;
                self.skip_space();
                if !self.eat(b':') {
                    let found = self.found();
                    return Err(self.broken(format!("expected `:` after the name, found {found}")));
                }
                self.skip_space();
                self.path.push(Part::Name(name.clone()));
                let node = self.value(depth)?;
                self.path.pop();
                members.push(Member {
                    name,
                    name_at,
                    node,
                });
                self.skip_space();
                if self.eat(b'}') {
                    break;
                }
                self.comma(b'}')?;
            }
        }
        members.shrink_to_fit();
        self.report_names_that_stand_twice(&members);
        Ok(Value::Object(members))
    }

    /// Two parsers may take two different ones of such members: never accepted.
    fn report_names_that_stand_twice(&mut self, members: &[Member<'a>]) {
        let mut report = |member: &Member<'a>| {
            let message = format!("{} stands twice in this object", quoted(&member.name));
            self.path.push(Part::Name(member.name.clone()));
            let path = shown(&self.path);
            self.path.pop();
            self.findings
                .add(member.name_at, Code::DuplicateName, path, message);
        };
        if members.len() <= 16 {
            for (i, member) in members.iter().enumerate() {
                if members[..i]
                    .iter()
                    .any(|earlier| earlier.name == member.name)
                {
                    report(member);
                }
            }
            return;
        }
        let mut seen = HashSet::with_capacity(members.len());
        for member in members {
            if !seen.insert(member.name.as_ref()) {
                report(member);
            }
        }
    }

    fn comma(&mut self, close: u8) -> Result<(), Broken> {
        let comma = self.at;
        if !self.eat(b',') {
            let (found, close) = (self.found(), char::from(close));
            return Err(self.broken(format!("expected `,` or `{close}`, found {found}")));
        }
        self.skip_space();
        if self.peek() == Some(close) {
            self.at = comma;
            let close = char::from(close);
            return Err(self.broken(format!("`,` before `{close}`: remove it")));
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value<'a>, Broken> {
        let from = self.at;
        self.eat(b'-');
        let first = self.peek();
        let whole = self.digits();
        let leading_zero = first == Some(b'0') && whole > 1;
        let fraction = !self.eat(b'.') || self.digits() > 0;
        let mut exponent = true;
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            exponent = self.digits() > 0;
        }
        let text = &self.text[from..self.at];
        if whole == 0 || leading_zero || !fraction || !exponent {
            self.at = from;
            return Err(self.broken(format!("malformed number {}", quoted(text))));
        }
        Ok(Value::Number(text))
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - from
    }

    /// Borrowed from the text unless it has escapes.
    fn string(&mut self) -> Result<Cow<'a, str>, Broken> {
        let open = self.at;
        self.at += 1;
        let mut owned: Option<String> = None;
        loop {
            let from = self.at;
            while self
                .peek()
                .is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= b' ')
            {
                self.at += 1;
            }
            let plain = &self.text[from..self.at];
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(plain),
                        Some(text) => Cow::Owned(text + plain),
                    });
                }
                Some(b'\\') => {
                    let c = self.escape()?;
                    let text = owned.get_or_insert_default();
                    text.push_str(plain);
                    text.push(c);
                }
                Some(_) => {
                    let found = self.found();
                    return Err(self.broken(format!("{found} in a string: write it as an escape")));
                }
                None => {
                    self.at = open;
                    return Err(self.broken("string without an end: its closing `\"` is missing"));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Broken> {
        let at = self.at;
        self.at += 1;
        let byte = self.peek();
        self.at += 1;
        let c = match byte {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(at),
            _ => {
                self.at = at;
                let message = "unknown escape: one of `\\\"`, `\\\\`, `\\/`, `\\b`, `\\f`, `\\n`, \
                               `\\r`, `\\t`, `\\u` and four hex digits";
                return Err(self.broken(message));
            }
        };
        Ok(c)
    }

    fn unicode_escape(&mut self, at: usize) -> Result<char, Broken> {
        let high = self.four_hex_digits(at)?;
        let code = match high {
            0xd800..=0xdbff => {
                let low = if self.take("\\u") {
                    self.four_hex_digits(at)?
                } else {
                    0
                };
                if !(0xdc00..=0xdfff).contains(&low) {
                    0xd800
                } else {
                    0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| {
            let message = "half of a surrogate pair stands alone".to_owned();
            Broken {
                at,
                code: Code::NotJson,
                message,
            }
        })
    }

    fn four_hex_digits(&mut self, escape: usize) -> Result<u32, Broken> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let mut code = 0;
        for digit in digits.unwrap_or(b"-") {
            let Some(digit) = char::from(*digit).to_digit(16) else {
                let message = "`\\u` without four hex digits".to_owned();
                return Err(Broken {
                    at: escape,
                    code: Code::NotJson,
                    message,
                });
            };
            code = code << 4 | digit;
        }
        self.at += 4;
        Ok(code)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The next character, with a hint where people often err.
    fn found(&self) -> String {
        match self.text[self.at..].chars().next() {
            None => "the end of the document".into(),
            Some('/' | '#') => "a comment, which JSON does not have".into(),
            Some('\'') => "`'`: JSON quotes with `\"`".into(),
            Some('“' | '”') => "a typographic quote: JSON quotes with `\"`".into(),
            Some(c) => quoted(c.encode_utf8(&mut [0; 4])),
        }
    }

    fn broken(&self, message: impl Into<String>) -> Broken {
        Broken {
            at: self.at,
            code: Code::NotJson,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests;
