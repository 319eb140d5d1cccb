//! The format of a file of policy tests: see `docs/policy-tests.md`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use keyward_iam::{TEST_ORGANISATION, full_path};

use crate::yaml::{self, Content, Node, Place, YamlError, error};

/// Longest file that is read, in bytes.
const MAX_LEN: u64 = 16 * 1024 * 1024;

/// A document that tests speak of.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// What it is called in answers: its file, or where it stands.
    pub(crate) label: String,
    pub(crate) dialect: Option<String>,
    pub(crate) text: String,
}

/// A name and its documents, by their place in [`TestFile::documents`].
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    pub(crate) name: String,
    pub(crate) documents: Vec<usize>,
}

/// What a test wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expected {
    Allow,
    Deny,
    ExplicitDeny,
    ImplicitDeny,
}

impl Expected {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::ExplicitDeny => "explicit_deny",
            Self::ImplicitDeny => "implicit_deny",
        }
    }
}

/// What is done: a command, or an action by name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Doing {
    Command(Vec<Vec<u8>>),
    Action(String),
}

/// One question and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    pub(crate) line: usize,
    pub(crate) name: Option<String>,
    pub(crate) identity: String,
    /// As it was written.
    pub(crate) doing: String,
    pub(crate) request: Doing,
    pub(crate) on: String,
    pub(crate) with: Vec<keyward_iam::KnownValue>,
    pub(crate) expect: Expected,
    /// Sids, or numbers of statements from 1.
    pub(crate) because: Vec<String>,
}

/// A file that was read.
#[derive(Debug)]
pub(crate) struct TestFile {
    pub(crate) path: PathBuf,
    pub(crate) documents: Vec<Document>,
    pub(crate) policies: Vec<Holder>,
    pub(crate) boundaries: Vec<Holder>,
    /// By full path of the resource.
    pub(crate) resource_policies: Vec<Holder>,
    pub(crate) tests: Vec<Test>,
}

/// Reads a file of tests, and the policies that it names.
pub(crate) fn read(path: &Path) -> Result<TestFile, String> {
    let text = read_text(path)?;
    let told = |found: YamlError| format!("{}:{found}", path.display());
    let root = yaml::read(&text).map_err(told)?;
    let mut file = TestFile {
        path: path.to_owned(),
        documents: Vec::new(),
        policies: Vec::new(),
        boundaries: Vec::new(),
        resource_policies: Vec::new(),
        tests: Vec::new(),
    };
    file.fill(&root).map_err(told)?;
    Ok(file)
}

fn read_text(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(failed)?;
    let mut text = String::new();
    file.take(MAX_LEN)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 == MAX_LEN {
        return Err(format!("{}: longer than {MAX_LEN} bytes", path.display()));
    }
    Ok(text)
}

/// What tests take that say nothing themselves.
#[derive(Clone, Default)]
struct Defaults {
    identities: Vec<String>,
    on: Option<String>,
    with: Vec<keyward_iam::KnownValue>,
}

fn unknown<T>(name: &str, at: Place, known: &str) -> Result<T, YamlError> {
    error(at, format!("unknown field `{name}`: expected {known}"))
}

impl TestFile {
    fn fill(&mut self, root: &Node) -> Result<(), YamlError> {
        let mut defaults = Defaults::default();
        let mut tests = None;
        for (name, at, value) in root.map("a file of tests")? {
            match name.as_str() {
                "policies" => self.policies = self.holders(value, "policies")?,
                "boundaries" => self.boundaries = self.holders(value, "boundaries")?,
                "resource_policies" => {
                    self.resource_policies = self.holders(value, "resource_policies")?;
                    for holder in &mut self.resource_policies {
                        holder.name = full_path(&holder.name, TEST_ORGANISATION);
                    }
                }
                "defaults" => defaults = self.defaults(value)?,
                "tests" => tests = Some(value),
                _ => {
                    return unknown(
                        name,
                        *at,
                        "`policies`, `boundaries`, `resource_policies`, `defaults` or `tests`",
                    );
                }
            }
        }
        let Some(tests) = tests else {
            return error(root.at, "a file of tests has `tests`");
        };
        for test in tests.list("`tests`")? {
            self.test(test, &defaults)?;
        }
        for holder in &self.boundaries {
            if !self.policies.iter().any(|known| known.name == holder.name) {
                let text = format!(
                    "`boundaries` names `{}`, which has no policies",
                    holder.name
                );
                return error(root.at, text);
            }
        }
        Ok(())
    }

    fn holders(&mut self, node: &Node, what: &str) -> Result<Vec<Holder>, YamlError> {
        let mut holders = Vec::new();
        for (name, _, value) in node.map(what)? {
            let label = format!("{what}.{name}");
            holders.push(Holder {
                name: name.clone(),
                documents: self.documents_of(value, &label)?,
            });
        }
        Ok(holders)
    }

    /// A file, a document in place, or a list of either.
    fn documents_of(&mut self, node: &Node, label: &str) -> Result<Vec<usize>, YamlError> {
        let Content::List(items) = &node.content else {
            return Ok(vec![self.document(node, label)?]);
        };
        let is_statement = |item: &Node| match &item.content {
            Content::Map(entries) => !entries
                .iter()
                .any(|(name, ..)| ["file", "document", "Version"].contains(&name.as_str())),
            _ => false,
        };
        if !items.is_empty() && items.iter().all(is_statement) {
            return Ok(vec![self.document(node, label)?]);
        }
        let mut documents = Vec::new();
        for (n, item) in items.iter().enumerate() {
            documents.push(self.document(item, &format!("{label}[{n}]"))?);
        }
        Ok(documents)
    }

    fn document(&mut self, node: &Node, label: &str) -> Result<usize, YamlError> {
        let (mut dialect, mut file, mut text) = (None, None, None);
        match &node.content {
            Content::Scalar { text, .. } => file = Some(text.clone()),
            Content::Map(entries)
                if entries
                    .iter()
                    .any(|(name, ..)| ["file", "document"].contains(&name.as_str())) =>
            {
                for (name, at, value) in entries {
                    match name.as_str() {
                        "file" => file = Some(value.text("`file`")?.to_owned()),
                        "dialect" => dialect = Some(value.text("`dialect`")?.to_owned()),
                        "document" => {
                            text = Some(match &value.content {
                                Content::Scalar { text, .. } => text.clone(),
                                _ => value.json().to_string(),
                            });
                        }
                        _ => return unknown(name, *at, "`file` or `document`, and `dialect`"),
                    }
                }
                if file.is_some() == text.is_some() {
                    return error(node.at, "either `file` or `document`");
                }
            }
            _ => text = Some(node.json().to_string()),
        }
        let (label, text) = match (file, text) {
            (Some(name), _) => {
                let path = self.path.parent().unwrap_or(Path::new("")).join(&name);
                let text = read_text(&path).map_err(|text| YamlError { at: node.at, text })?;
                (path.display().to_string(), text)
            }
            (None, text) => (
                format!("{}:{} {label}", self.path.display(), node.at.line),
                text.unwrap_or_default(),
            ),
        };
        let same = self
            .documents
            .iter()
            .position(|known| known.label == label && known.dialect == dialect);
        Ok(same.unwrap_or_else(|| {
            self.documents.push(Document {
                label,
                dialect,
                text,
            });
            self.documents.len() - 1
        }))
    }

    fn defaults(&self, node: &Node) -> Result<Defaults, YamlError> {
        let mut defaults = Defaults::default();
        for (name, at, value) in node.map("`defaults`")? {
            match name.as_str() {
                "as" => defaults.identities = owned(value.texts("`as`")?),
                "on" => defaults.on = Some(value.text("`on`")?.to_owned()),
                "with" => defaults.with = context(value)?,
                _ => return unknown(name, *at, "`as`, `on` or `with`"),
            }
        }
        Ok(defaults)
    }

    fn test(&mut self, node: &Node, defaults: &Defaults) -> Result<(), YamlError> {
        let (mut label, mut expect, mut because) = (None, None, Vec::new());
        let mut doing: Vec<(Place, &str)> = Vec::new();
        let Defaults {
            mut identities,
            mut on,
            mut with,
        } = defaults.clone();
        for (name, at, value) in node.map("a test")? {
            match name.as_str() {
                "name" => label = Some(value.text("`name`")?.to_owned()),
                "as" => identities = owned(value.texts("`as`")?),
                "do" => {
                    doing = match &value.content {
                        Content::List(items) => items
                            .iter()
                            .map(|item| Ok((item.at, item.text("`do`")?)))
                            .collect::<Result<_, _>>()?,
                        _ => vec![(value.at, value.text("`do`")?)],
                    };
                }
                "on" => on = Some(value.text("`on`")?.to_owned()),
                "with" => {
                    for (name, values) in context(value)? {
                        with.retain(|(known, _)| *known != name);
                        with.push((name, values));
                    }
                }
                "expect" => {
                    expect = Some(match value.text("`expect`")? {
                        "allow" => Expected::Allow,
                        "deny" => Expected::Deny,
                        "explicit_deny" => Expected::ExplicitDeny,
                        "implicit_deny" => Expected::ImplicitDeny,
                        other => {
                            let text = format!(
                                "`expect: {other}`: one of `allow`, `deny`, `explicit_deny`, \
                                 `implicit_deny`"
                            );
                            return error(value.at, text);
                        }
                    });
                }
                "because" => because = owned(value.texts("`because`")?),
                _ => {
                    return unknown(
                        name,
                        *at,
                        "`name`, `as`, `do`, `on`, `with`, `expect` or `because`",
                    );
                }
            }
        }
        let missing = |what: &str| format!("a test has {what}");
        let Some(expect) = expect else {
            return error(node.at, missing("`expect`"));
        };
        if doing.is_empty() {
            return error(node.at, missing("`do`"));
        }
        if identities.is_empty() {
            return error(node.at, missing("`as`, itself or in `defaults`"));
        }
        let Some(on) = on else {
            return error(node.at, missing("`on`, itself or in `defaults`"));
        };
        for identity in &identities {
            let known = self.policies.iter().any(|holder| holder.name == *identity);
            if !known && identity != "unauthenticated" && !identity.contains(['/', ':']) {
                let text = format!(
                    "`as: {identity}`: `policies` has no such name (of an identity without \
                     policies give the path, such as `programmatic_identity/{identity}`)"
                );
                return error(node.at, text);
            }
            for (at, text) in &doing {
                self.tests.push(Test {
                    line: at.line,
                    name: label.clone(),
                    identity: identity.clone(),
                    doing: (*text).to_owned(),
                    request: request(text).or_else(|text| error(*at, text))?,
                    on: on.clone(),
                    with: with.clone(),
                    expect,
                    because: because.clone(),
                });
            }
        }
        Ok(())
    }
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn context(node: &Node) -> Result<Vec<keyward_iam::KnownValue>, YamlError> {
    let mut all = Vec::new();
    for (name, at, value) in node.map("`with`")? {
        // A misspelt key would be absent, and what asks for it never hold.
        if let Some(message) = keyward_policy::unknown_native_key(name) {
            return error(*at, format!("`with`: {message}"));
        }
        let values = value.texts(&format!("`{name}`"))?;
        let values = values.into_iter().map(|text| text.as_bytes().to_vec());
        all.push((name.clone(), values.collect()));
    }
    Ok(all)
}

/// One word with a colon is the name of an action; no command has such a name.
fn request(text: &str) -> Result<Doing, String> {
    let words = words(text)?;
    match &words[..] {
        [] => Err("`do` is empty".to_owned()),
        [only] if only.contains(&b':') => Ok(Doing::Action(text.trim().to_owned())),
        _ => Ok(Doing::Command(words)),
    }
}

/// The words of a line as `redis-cli` reads it: quotes, and escapes between double quotes.
fn words(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        rest = rest.trim_ascii_start();
        let Some(first) = rest.first().copied() else {
            return Ok(words);
        };
        let mut word = Vec::new();
        if matches!(first, b'"' | b'\'') {
            rest = quoted(&rest[1..], first, &mut word)
                .ok_or_else(|| format!("`{text}`: a quote has no end"))?;
            if rest.first().is_some_and(|byte| !byte.is_ascii_whitespace()) {
                return Err(format!("`{text}`: a quote ends inside a word"));
            }
        } else {
            let end = rest.iter().position(u8::is_ascii_whitespace);
            let (found, after) = rest.split_at(end.unwrap_or(rest.len()));
            word.extend_from_slice(found);
            rest = after;
        }
        words.push(word);
    }
}

/// What follows the closing quote.
fn quoted<'a>(mut rest: &'a [u8], quote: u8, word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            _ if byte == quote => return Some(rest),
            b'\\' if quote == b'"' => {
                let (&escaped, after) = rest.split_first()?;
                rest = after;
                match escaped {
                    b'n' => word.push(b'\n'),
                    b'r' => word.push(b'\r'),
                    b't' => word.push(b'\t'),
                    b'x' => {
                        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                        word.push(u8::from_str_radix(digits, 16).ok()?);
                        rest = &rest[2..];
                    }
                    other => word.push(other),
                }
            }
            b'\\' if rest.first() == Some(&b'\'') => {
                word.push(b'\'');
                rest = &rest[1..];
            }
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let command = |words: &[&[u8]]| {
            Some(Doing::Command(
                words.iter().map(|word| word.to_vec()).collect(),
            ))
        };
        let cases = [
            ("GET user:1", command(&[b"GET", b"user:1"])),
            ("  PING ", command(&[b"PING"])),
            (r#"SET k "a b""#, command(&[b"SET", b"k", b"a b"])),
            (r#"SET k "\xff\n\"""#, command(&[b"SET", b"k", b"\xff\n\""])),
            (r"SET k 'it\'s \n'", command(&[b"SET", b"k", b"it's \\n"])),
            ("kvdb:Delete", Some(Doing::Action("kvdb:Delete".into()))),
            ("", None),
            (r#"SET k "a"#, None),
            (r#"SET k "a"b"#, None),
            (r#"SET k "\xf"#, None),
        ];
        for (text, expected) in cases {
            assert_eq!(request(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_tell_where() {
        let cases = [
            ("tests: 1", "1: `tests`: expected a list"),
            ("policies: {}", "1: a file of tests has `tests`"),
            ("polices: {}\ntests: []", "1: unknown field `polices`"),
            ("tests:\n- as: a", "2: a test has `expect`"),
            (
                "tests:\n- expect: allow\n  do: GET a\n  as: a\n  on: kvdb/x",
                "2: `as: a`: `policies` has no such name",
            ),
            (
                "policies: {a: []}\ntests:\n- expect: yes\n",
                "3: `expect: yes`: one of",
            ),
            (
                "policies: {a: []}\ntests:\n- expect: deny\n  wiht: {}",
                "4: unknown field `wiht`",
            ),
            (
                "policies: {a: []}\ntests:\n- expect: deny\n  do: GET a\n  with: {keyward:SourceIP: 1}",
                "5: `with`: unknown condition key `keyward:SourceIP`: did you mean `keyward:SourceIp`?",
            ),
            (
                "policies: {a: {file: x, document: y}}\ntests: []",
                "1: either `file` or `document`",
            ),
            (
                "policies:\n  a: /nowhere/at-all.json\ntests: []",
                "2: /nowhere/at-all.json: ",
            ),
        ];
        for (text, expected) in cases {
            let mut file = TestFile {
                path: PathBuf::new(),
                documents: Vec::new(),
                policies: Vec::new(),
                boundaries: Vec::new(),
                resource_policies: Vec::new(),
                tests: Vec::new(),
            };
            let found = yaml::read(text)
                .and_then(|root| file.fill(&root))
                .unwrap_err();
            let (line, expected) = expected.split_once(": ").unwrap();
            assert_eq!(found.at.line.to_string(), line, "{text}: {found}");
            assert!(found.text.starts_with(expected), "{text}: {found}");
        }
    }
}
