//! The reader: rules in their order, as `ACL SETUSER` and `ACL LOAD` apply them to a new user.

use std::collections::HashSet;

use sha2::{Digest as _, Sha256};

use super::quotes::{quotes_end, unquoted};
use super::selector::Selector;
use super::selector_rules::SelectorRules;
use super::{AclLogin, AclUser, MAX_SELECTORS};
use crate::finding::{Code, Collector, Findings, path_name, quoted};
use crate::json::MAX_DOCUMENT_LEN;

/// The document `text`, or a part of it: rules and where they are.
#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) text: &'a str,
}

/// A line of a file: `user name rule…`.
struct Line<'a> {
    name: &'a str,
    at: usize,
    rules: Vec<Token<'a>>,
}

impl AclUser {
    /// Reads the rules of one user: bare rules between blanks, or one line `user name rule…` of a
    /// file or of `ACL LIST`. They are applied in their order to a user as `reset` leaves it.
    ///
    /// # Errors
    ///
    /// What the server refuses, each with its place; in addition patterns that servers do not
    /// agree on, and what is larger than a document may be.
    pub fn parse(text: &str) -> Result<Self, Findings> {
        let mut findings = Collector::default();
        let user = parse_one(text, &mut findings);
        match user {
            Some(user) if findings.is_empty() => Ok(user),
            _ => Err(findings.finish(text)),
        }
    }

    /// Reads a `users.acl` file, or what `ACL LIST` prints: a user a line, in their order.
    ///
    /// # Errors
    ///
    /// What `ACL LOAD` refuses, each with its place: one error and nothing is taken.
    pub fn parse_file(text: &str) -> Result<Vec<(String, Self)>, Findings> {
        let mut findings = Collector::default();
        let mut users = Vec::new();
        let mut names = HashSet::new();
        for line in lines(text, &mut findings) {
            if !names.insert(line.name) {
                let message = format!(
                    "the user {} stands twice: a file has each user once",
                    quoted(line.name)
                );
                findings.add(line.at, Code::AclRule, path_name(line.name), message);
            }
            let path = path_name(line.name);
            if let Some(user) = user_of(&line.rules, &path, &mut findings) {
                users.push((line.name.to_owned(), user));
            }
            if findings.is_full() {
                break;
            }
        }
        if findings.is_empty() {
            Ok(users)
        } else {
            Err(findings.finish(text))
        }
    }

    /// The rules of one user as they were written, but without passwords and their hashes: what may
    /// be stored and shown.
    ///
    /// A text that [`Self::parse`] refuses is emptied, since it cannot be told where passwords are.
    pub fn without_passwords(text: &str) -> String {
        match Self::parse(text) {
            Ok(_) => Self::without_passwords_of(text),
            Err(_) => String::new(),
        }
    }

    /// The same of a text that [`Self::parse`] accepted.
    pub(super) fn without_passwords_of(text: &str) -> String {
        let is_password = |token: &Token<'_>| token.text.starts_with(['>', '<', '#', '!']);
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        // The words inside parentheses are never passwords, though they may begin so.
        let mut inside = false;
        for token in rules(text, &mut Collector::default()) {
            let opens = !inside && token.text.starts_with('(');
            if !inside && !opens && is_password(&token) {
                out.push_str(&text[from..token.at]);
                from = token.at + token.text.len();
            }
            inside = (inside || opens) && !token.text.ends_with(')');
        }
        out.push_str(&text[from..]);
        out
    }
}

fn parse_one(text: &str, findings: &mut Collector) -> Option<AclUser> {
    if !fits(text, findings) {
        return None;
    }
    if !is_line(text) {
        return user_of(&rules(text, findings), "", findings);
    }
    let lines = lines(text, findings);
    if let Some(second) = lines.get(1) {
        let message = format!(
            "a second user, {}: a document is the rules of one; a file of several is imported with \
             `keyward acl import`",
            quoted(second.name)
        );
        findings.add(second.at, Code::AclRule, path_name(second.name), message);
    }
    let line = lines.first()?;
    user_of(&line.rules, &path_name(line.name), findings)
}

/// The rules of a text that [`AclUser::parse`] accepts.
fn rules<'a>(text: &'a str, findings: &mut Collector) -> Vec<Token<'a>> {
    if is_line(text) {
        let line = lines(text, findings).into_iter().next();
        return line.map(|line| line.rules).unwrap_or_default();
    }
    words(text, &|c: char| c.is_ascii_whitespace()).collect()
}

/// Whether the text is a line of a file, not bare rules.
fn is_line(text: &str) -> bool {
    text.split_ascii_whitespace().next() == Some("user")
}

fn fits(text: &str, findings: &mut Collector) -> bool {
    if text.len() > MAX_DOCUMENT_LEN {
        let message = format!(
            "document of {} bytes: at most {MAX_DOCUMENT_LEN} (1 MiB)",
            text.len()
        );
        findings.add(0, Code::TooLarge, "", message);
    }
    text.len() <= MAX_DOCUMENT_LEN
}

/// The words between characters of a kind, without empty ones.
fn words<'a>(text: &'a str, between: &'a dyn Fn(char) -> bool) -> impl Iterator<Item = Token<'a>> {
    let start = text.as_ptr() as usize;
    text.split(between)
        .filter(|word| !word.is_empty())
        .map(move |word| Token {
            at: word.as_ptr() as usize - start,
            text: word,
        })
}

/// The lines of a file that are not blank.
fn lines<'a>(text: &'a str, findings: &mut Collector) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    if !fits(text, findings) {
        return lines;
    }
    let mut next = 0;
    for line in text.split('\n') {
        let begin = next;
        next += line.len() + 1;
        let trimmed = line.trim_start_matches([' ', '\t', '\r']);
        let at = begin + line.len() - trimmed.len();
        let trimmed = trimmed.trim_end_matches([' ', '\t', '\r']);
        if trimmed.is_empty() {
            continue;
        }
        if findings.is_full() {
            break;
        }
        let mut tokens = words(trimmed, &|c| c == ' ').map(|token| Token {
            at: at + token.at,
            text: token.text,
        });
        let word = tokens.next().map_or("", |token| token.text);
        // Two blanks after `user` would be an empty name.
        let Some(name) = tokens
            .next()
            .filter(|_| word == "user" && !trimmed[4..].starts_with("  "))
        else {
            findings.add(at, Code::AclRule, "", not_a_user(word, trimmed));
            continue;
        };
        if name.text.contains(|c: char| is_blank(c) || c == '\0') {
            let message = "a name of a user has no blanks and no NUL";
            findings.add(name.at, Code::AclRule, "", message);
            continue;
        }
        let rules = tokens.collect();
        lines.push(Line {
            name: name.text,
            at: name.at,
            rules,
        });
    }
    lines
}

fn not_a_user(word: &str, line: &str) -> String {
    if line.starts_with('#') {
        return "an ACL file has no comments: the server refuses them, since it rewrites the file"
            .into();
    }
    if word.eq_ignore_ascii_case("user") {
        return "expected `user name rule…`, with `user` in lower case and one blank before the name"
            .into();
    }
    // Not shown: it may be a password.
    "expected a line `user name rule…`".into()
}

/// What the server's `isspace` takes for a blank.
pub(super) fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

/// Applies rules to a new user. `path` is where they are in the document.
fn user_of(rules: &[Token<'_>], path: &str, findings: &mut Collector) -> Option<AclUser> {
    let mut user = UserRules::default();
    let mut after_password = false;
    let mut number = 0;
    let mut at = 0;
    while at < rules.len() && !findings.is_full() {
        let token = rules[at];
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}rules[{number}]");
        number += 1;
        at += 1;
        if !token.text.starts_with('(') {
            let password = token.text.starts_with(['>', '<', '#', '!']);
            if let Err(refusal) = user.apply(token.text, after_password) {
                findings.add(token.at, Code::AclRule, path, refusal);
            }
            after_password = password;
            continue;
        }
        after_password = false;
        let first = at - 1;
        let mut last = first;
        while !rules[last].text.ends_with(')') {
            last += 1;
            if last == rules.len() {
                let message = "this parenthesis is not closed: a selector ends with the rule that \
                               ends with `)`";
                findings.add(token.at, Code::AclRule, path, message);
                return None;
            }
        }
        at = last + 1;
        let inner: Vec<Token<'_>> = rules[first..=last].to_vec();
        user.add_selector(&inner, &path, findings);
    }
    findings.is_empty().then(|| user.finish())
}

/// A user while rules are applied.
#[derive(Default)]
struct UserRules {
    login: AclLogin,
    passwords: HashSet<[u8; 32]>,
    root: SelectorRules,
    others: Vec<Selector>,
}

impl UserRules {
    fn finish(self) -> AclUser {
        let mut selectors = Vec::with_capacity(1 + self.others.len());
        selectors.push(self.root.finish());
        selectors.extend(self.others);
        let login = AclLogin {
            passwords: self.passwords.len(),
            ..self.login
        };
        AclUser::new(selectors, login)
    }

    /// Applies one rule that is no selector. An unknown word is not shown after a password, of
    /// which it may be a part.
    fn apply(&mut self, rule: &str, after_password: bool) -> Result<(), String> {
        if rule.contains('\0') {
            return Err("a rule has no NUL".into());
        }
        let hash = |text: &str| -> [u8; 32] { Sha256::digest(text.as_bytes()).into() };
        match rule.as_bytes()[0] {
            b'>' => {
                self.passwords.insert(hash(&rule[1..]));
                self.login.any_password = false;
                return Ok(());
            }
            b'#' => {
                self.passwords.insert(hash_of(&rule[1..])?);
                self.login.any_password = false;
                return Ok(());
            }
            b'<' => return self.remove_password(hash(&rule[1..])),
            b'!' => return self.remove_password(hash_of(&rule[1..])?),
            _ => {}
        }
        match &*rule.to_ascii_lowercase() {
            "on" => self.login.enabled = true,
            "off" => self.login.enabled = false,
            "sanitize-payload" | "skip-sanitize-payload" => {}
            "nopass" => {
                self.login.any_password = true;
                self.passwords.clear();
            }
            "resetpass" => {
                self.login.any_password = false;
                self.passwords.clear();
            }
            "clearselectors" => self.others.clear(),
            "reset" => *self = Self::default(),
            _ => return self.root.apply(rule.as_bytes(), after_password, false),
        }
        Ok(())
    }

    fn remove_password(&mut self, hash: [u8; 32]) -> Result<(), String> {
        if self.passwords.remove(&hash) {
            Ok(())
        } else {
            Err(
                "the password to remove is none that the rules before it add: leave this rule out"
                    .into(),
            )
        }
    }

    fn add_selector(&mut self, tokens: &[Token<'_>], path: &str, findings: &mut Collector) {
        let begin = tokens[0].at;
        if self.others.len() == MAX_SELECTORS {
            let message = format!("more than {MAX_SELECTORS} selectors");
            findings.add(begin, Code::AclRule, path, message);
            return;
        }
        let mut selector = SelectorRules::default();
        let opens_again = tokens[1..].iter().any(|token| token.text.starts_with('('));
        if !quotes_end(tokens) && !opens_again {
            // The server reads nothing at all then, and says nothing. Of a parenthesis inside
            // servers make different things: that is a mistake, below.
            self.others.push(selector.finish());
            return;
        }
        for (number, token) in tokens.iter().enumerate() {
            let mut token = *token;
            if number == 0 {
                token.at += 1;
                token.text = &token.text[1..];
            }
            if number + 1 == tokens.len() {
                token.text = &token.text[..token.text.len() - 1];
            }
            if token.text.is_empty() {
                continue;
            }
            let applied = if token.text.contains('\0') {
                Err("a rule has no NUL".into())
            } else if token.text.contains(['"', '\'']) {
                // Blanks inside quotes are refused in every rule, so quotes end with their word.
                match unquoted(token.text) {
                    Some(rule) if rule.is_empty() => {
                        Err("an empty rule: leave the quotes out".into())
                    }
                    Some(rule) => selector.apply(&rule, false, true),
                    None => Err(
                        "quotes inside parentheses end with their rule, and servers do not \
                                 agree on others: leave them out"
                            .into(),
                    ),
                }
            } else {
                selector.apply(token.text.as_bytes(), false, true)
            };
            if let Err(refusal) = applied {
                findings.add(token.at, Code::AclRule, path, refusal);
            }
            if findings.is_full() {
                return;
            }
        }
        self.others.push(selector.finish());
    }
}

fn hash_of(text: &str) -> Result<[u8; 32], String> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    bytes
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .ok_or_else(|| "a hash of a password is 64 hexadecimal digits in lower case".into())
}
