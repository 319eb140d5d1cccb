//! Text with variables: `${keyward:PrincipalTag/team}`.
//!
//! What is put in for a variable is literal in patterns of every kind: a tag that contains `*` is
//! no wildcard.

use std::borrow::Cow;

use crate::Dialect;
use crate::condition::ConditionKey;
use crate::facts::{Facts, Found, Value};

/// Text in which variables may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    /// Empty if the text is all there is, as nearly always.
    parts: Box<[Part]>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// As written; wildcards in it are wildcards.
    Text(Box<str>),
    /// `${*}`, `${?}` or `${$}`: the character itself, never a wildcard.
    Literal(char),
    /// A variable.
    Variable {
        /// What is put in.
        key: ConditionKey,
        /// What is put in if the request does not have it.
        default: Option<Box<str>>,
    },
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `${` without `}`.
    #[error("`${{` is not closed by `}}`")]
    Open,
    /// `${}`.
    #[error("`${{}}` names nothing: write a condition key, as in `${{keyward:PrincipalTag/team}}`")]
    Empty,
    /// A blank or a brace inside the name.
    #[error("`{0}` is no name of a condition key")]
    Name(String),
    /// What follows the comma is no text in single quotes.
    #[error(
        "a default is written in single quotes, as in `${{keyward:PrincipalTag/team, 'none'}}`"
    )]
    Default,
}

/// A template with its variables put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expanded<'a> {
    /// The pieces in order; a literal one has no wildcards.
    Pieces(Vec<Piece<'a>>),
    /// A variable has no value.
    Missing,
    /// A variable is not known yet.
    Later,
}

/// A piece of an expanded template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The text.
    pub text: Cow<'a, str>,
    /// Whether wildcards in it are ordinary characters.
    pub literal: bool,
}

impl Template {
    /// Text without variables, whatever is in it.
    pub fn literal(text: &str) -> Self {
        Self {
            text: text.into(),
            parts: Box::default(),
        }
    }

    /// Reads the variables of a dialect: `${key}`, `${key, 'default'}`, `${*}`, `${?}`, `${$}` in
    /// the native dialect and AWS's; `${uin}`, `${owner_uin}` and `${app_id}` in Tencent's; none
    /// in the others.
    ///
    /// # Errors
    /// What begins with `${` and is no variable.
    pub fn parse(dialect: Dialect, text: &str) -> Result<Self, TemplateError> {
        let parts = match dialect {
            Dialect::Native | Dialect::Aws => parse_parts(dialect, text)?,
            Dialect::Tencent => tencent_parts(text),
            Dialect::Alibaba | Dialect::Acl => return Ok(Self::literal(text)),
        };
        if matches!(parts[..], [Part::Text(_)]) {
            return Ok(Self::literal(text));
        }
        Ok(Self {
            text: text.into(),
            parts: parts.into(),
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its parts in order; none if its text is all there is.
    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether it is its own text: no variable and no escape.
    pub fn is_literal(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether it is the same for every request.
    pub fn is_fixed(&self) -> bool {
        self.variables().next().is_none()
    }

    /// What its variables ask for.
    pub fn variables(&self) -> impl Iterator<Item = &ConditionKey> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable { key, .. } => Some(key),
            _ => None,
        })
    }

    /// The text with `word` in place of each variable and escaped character.
    pub(crate) fn sample(&self, word: &str) -> String {
        if self.is_literal() {
            return self.text.to_string();
        }
        let part = |part: &Part| match part {
            Part::Text(text) => text.to_string(),
            Part::Literal(_) | Part::Variable { .. } => word.to_owned(),
        };
        self.parts.iter().map(part).collect()
    }

    /// Puts the variables in. A variable with several values, or one that is no text, counts as
    /// missing; so does an empty one in the native dialect.
    pub fn expand(&self, facts: &dyn Facts) -> Expanded<'_> {
        if self.is_literal() {
            return Expanded::Pieces(vec![Piece {
                text: Cow::Borrowed(&self.text),
                literal: false,
            }]);
        }
        let mut pieces = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let piece = match part {
                Part::Text(text) => Piece {
                    text: Cow::Borrowed(text),
                    literal: false,
                },
                Part::Literal(c) => Piece {
                    text: Cow::Owned(c.to_string()),
                    literal: true,
                },
                Part::Variable { key, default } => {
                    let found = match facts.find(key) {
                        Found::Later => return Expanded::Later,
                        // AWS puts in no key that has a list of values.
                        Found::Texts(_) if key.dialect() == Dialect::Aws => None,
                        found => only_text(found),
                    };
                    // Empty is as good as missing: `${…}*` must not become `*`. AWS says the same
                    // ("Policy variables with no value").
                    let usable = |text: &String| !text.is_empty();
                    let default = || default.as_deref().map(str::to_owned);
                    match found.filter(usable).or_else(default) {
                        Some(text) => Piece {
                            text: Cow::Owned(text),
                            literal: true,
                        },
                        None => return Expanded::Missing,
                    }
                }
            };
            pieces.push(piece);
        }
        Expanded::Pieces(pieces)
    }

    /// What it asks for that the request has no value of, if it cannot be filled in.
    pub fn missing(&self, facts: &dyn Facts) -> Option<&ConditionKey> {
        let alone = |part: &Part| Self {
            text: self.text.clone(),
            parts: [part.clone()].into(),
        };
        self.parts.iter().find_map(|part| match part {
            Part::Variable { key, .. } => {
                matches!(alone(part).expand(facts), Expanded::Missing).then_some(key)
            }
            _ => None,
        })
    }
}

/// The one value that was found, as text.
fn only_text(found: Found<'_>) -> Option<String> {
    let text = |value: Value<'_>| {
        value.with_text(|text| std::str::from_utf8(text).ok().map(str::to_owned))
    };
    match found {
        Found::One(value) => text(value),
        Found::Texts([only]) => text(Value::Text(only)),
        Found::Keys {
            keys: [only],
            access,
        } if access.includes(only) => text(Value::Text(only.key)),
        Found::Channels([only]) if !only.pattern => text(Value::Text(only.channel)),
        _ => None,
    }
}

fn parse_parts(dialect: Dialect, text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if start > 0 {
            parts.push(Part::Text(rest[..start].into()));
        }
        let inside = &rest[start + 2..];
        let (part, len) = variable(dialect, inside)?;
        parts.push(part);
        rest = &inside[len..];
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    Ok(parts)
}

/// The variable that `inside` begins with, after its `${`, and its length with the closing brace.
fn variable(dialect: Dialect, inside: &str) -> Result<(Part, usize), TemplateError> {
    for c in ['*', '?', '$'] {
        if inside.starts_with(c) && inside[1..].starts_with('}') {
            return Ok((Part::Literal(c), 2));
        }
    }
    let end = inside.find(['}', ',']).ok_or(TemplateError::Open)?;
    let name = inside[..end].trim();
    if name.is_empty() {
        return Err(TemplateError::Empty);
    }
    if name.contains(|c: char| c.is_whitespace() || "{$'\"*?".contains(c)) {
        return Err(TemplateError::Name(name.chars().take(80).collect()));
    }
    let key = ConditionKey::new(dialect, name);
    if inside[end..].starts_with('}') {
        let variable = Part::Variable { key, default: None };
        return Ok((variable, end + 1));
    }
    // A default in single quotes; blanks around it do not count.
    let after = &inside[end + 1..];
    let quoted = after.trim_start();
    let open = end + 1 + (after.len() - quoted.len());
    let quoted = quoted.strip_prefix('\'').ok_or(TemplateError::Default)?;
    let close = quoted.find('\'').ok_or(TemplateError::Default)?;
    let tail = &quoted[close + 1..];
    let brace = tail.trim_start();
    if !brace.starts_with('}') {
        return Err(TemplateError::Default);
    }
    let variable = Part::Variable {
        key,
        default: Some(quoted[..close].into()),
    };
    let len = open + 1 + close + 1 + (tail.len() - brace.len()) + 1;
    Ok((variable, len))
}

/// Tencent documents three variables; any other `${` is text.
fn tencent_parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        let name = ["uin", "owner_uin", "app_id"].into_iter().find(|name| {
            text[start + 2..]
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('}'))
        });
        let Some(name) = name else {
            at = start + 2;
            continue;
        };
        if from < start {
            parts.push(Part::Text(text[from..start].into()));
        }
        parts.push(Part::Variable {
            key: ConditionKey::new(Dialect::Tencent, name),
            default: None,
        });
        at = start + 2 + name.len() + 1;
        from = at;
    }
    if from < text.len() || parts.is_empty() {
        parts.push(Part::Text(text[from..].into()));
    }
    parts
}

/// The pieces as one text, wildcards being whatever they are.
pub(crate) fn plain(pieces: &[Piece<'_>]) -> String {
    pieces.iter().map(|piece| &*piece.text).collect()
}

/// The pieces as a pattern in the server's own syntax, literal pieces escaped.
pub(crate) fn glob_text(pieces: &[Piece<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        for byte in piece.text.bytes() {
            if piece.literal && b"*?[]\\^-".contains(&byte) {
                out.push(b'\\');
            }
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ListedFacts;

    fn shown(dialect: Dialect, text: &str) -> String {
        let facts = [
            ("keyward:PrincipalTag/team", "a*b"),
            ("keyward:PrincipalTag/empty", ""),
        ];
        let facts = facts.map(|(name, value)| (name.to_owned(), vec![value.as_bytes().to_vec()]));
        let several = (
            "keyward:TagKeys".to_owned(),
            vec![b"a".to_vec(), b"b".to_vec()],
        );
        let facts = ListedFacts::new(Dialect::Native, facts.into_iter().chain([several]));
        let template = match Template::parse(dialect, text) {
            Ok(template) => template,
            Err(error) => return error.to_string(),
        };
        assert_eq!(template.text(), text);
        match template.expand(&facts) {
            Expanded::Pieces(pieces) => String::from_utf8(glob_text(&pieces)).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn put_in() {
        let native = [
            ("", ""),
            ("plain:*", "plain:*"),
            ("$5 {x}", "$5 {x}"),
            ("${keyward:PrincipalTag/team}:*", "a\\*b:*"),
            (
                "x${keyward:PrincipalTag/team}${keyward:PrincipalTag/team}",
                "xa\\*ba\\*b",
            ),
            ("${keyward:PrincipalTag/none}:*", "Missing"),
            ("${keyward:PrincipalTag/empty}*", "Missing"),
            ("${keyward:TagKeys}", "Missing"),
            ("${keyward:PrincipalTag/none, 'de*f'}:*", "de\\*f:*"),
            ("${keyward:PrincipalTag/empty,'d'}", "d"),
            ("${keyward:PrincipalTag/none,  ''  }:*", ":*"),
            ("${*}${?}${$}*", "\\*\\?$*"),
            ("${", "`${` is not closed by `}`"),
            ("a${keyward:SourceIp", "`${` is not closed by `}`"),
            (
                "${}",
                "`${}` names nothing: write a condition key, as in `${keyward:PrincipalTag/team}`",
            ),
            ("${a b}", "`a b` is no name of a condition key"),
            (
                "${a, b}",
                "a default is written in single quotes, as in `${keyward:PrincipalTag/team, 'none'}`",
            ),
            (
                "${a, 'b}",
                "a default is written in single quotes, as in `${keyward:PrincipalTag/team, 'none'}`",
            ),
        ];
        for (text, expected) in native {
            assert_eq!(shown(Dialect::Native, text), expected, "{text}");
        }
        let aws = [
            ("${aws:PrincipalTag/team}:*", "a\\*b:*"),
            ("${aws:PrincipalTag/none}:*", "Missing"),
            ("${aws:PrincipalTag/empty}*", "Missing"),
            ("${aws:PrincipalTag/empty, 'd'}", "d"),
        ];
        for (text, expected) in aws {
            assert_eq!(shown(Dialect::Aws, text), expected, "{text}");
        }
        let tencent = [("${uin}", "Missing"), ("${x}*", "${x}*"), ("a${", "a${")];
        for (text, expected) in tencent {
            assert_eq!(shown(Dialect::Tencent, text), expected, "{text}");
        }
        assert_eq!(shown(Dialect::Alibaba, "${uin}"), "${uin}");
    }
}
