//! The reader: rules in their order, as `ACL SETUSER` and `ACL LOAD` apply them to a new user.

use std::collections::{BTreeMap, HashMap, HashSet};

use keyward_commands::{ActionBits, CommandId};
use sha2::{Digest as _, Sha256};

use super::commands::{self, named};
use super::selector::{FirstArguments, KeyPattern, Selector};
use super::{AclLogin, AclUser, MAX_SELECTORS};
use crate::Glob;
use crate::finding::{Code, Collector, Findings, path_name, quoted};
use crate::glob::{GlobError, check_pattern};
use crate::json::MAX_DOCUMENT_LEN;
use crate::nearest::suggestion;

const USER_WORDS: &[&str] = &[
    "on",
    "off",
    "nopass",
    "resetpass",
    "reset",
    "clearselectors",
    "sanitize-payload",
    "skip-sanitize-payload",
];
const SELECTOR_WORDS: &[&str] = &[
    "allkeys",
    "resetkeys",
    "allchannels",
    "resetchannels",
    "allcommands",
    "nocommands",
    "alldbs",
    "resetdbs",
];

/// The document `text`, or a part of it: rules and where they are.
#[derive(Clone, Copy)]
struct Token<'a> {
    at: usize,
    text: &'a str,
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
        if Self::parse(text).is_err() {
            return String::new();
        }
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
fn is_blank(c: char) -> bool {
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

/// Whether the last quote of a selector is closed. Blanks inside quotes do not end them.
fn quotes_end(tokens: &[Token<'_>]) -> bool {
    let mut open = None;
    for token in tokens {
        let bytes = token.text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            at += match (open, byte) {
                (None, b'"' | b'\'') => {
                    open = Some(*byte);
                    1
                }
                (Some(b'"'), b'\\') => 2,
                (Some(b'\''), b'\\') if bytes.get(at + 1) == Some(&b'\'') => 2,
                (Some(quote), byte) if quote == *byte => {
                    open = None;
                    1
                }
                _ => 1,
            };
        }
    }
    open.is_none()
}

/// A word with quotes, as the server reads it inside parentheses. `None` if quotes are not
/// balanced, or something follows the closing one.
fn unquoted(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'"' => {
                loop {
                    rest = match rest {
                        [] => return None,
                        [b'"', after @ ..] => {
                            rest = after;
                            break;
                        }
                        [b'\\', b'x', high, low, after @ ..]
                            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                        {
                            let digits = [*high, *low];
                            let digits = std::str::from_utf8(&digits).ok()?;
                            out.push(u8::from_str_radix(digits, 16).ok()?);
                            after
                        }
                        [b'\\', escaped, after @ ..] => {
                            out.push(match escaped {
                                b'n' => b'\n',
                                b'r' => b'\r',
                                b't' => b'\t',
                                b'b' => 0x08,
                                b'a' => 0x07,
                                other => *other,
                            });
                            after
                        }
                        [byte, after @ ..] => {
                            out.push(*byte);
                            after
                        }
                    };
                }
                if !rest.is_empty() {
                    return None;
                }
            }
            b'\'' => {
                loop {
                    rest = match rest {
                        [] => return None,
                        [b'\'', after @ ..] => {
                            rest = after;
                            break;
                        }
                        [b'\\', b'\'', after @ ..] => {
                            out.push(b'\'');
                            after
                        }
                        [byte, after @ ..] => {
                            out.push(*byte);
                            after
                        }
                    };
                }
                if !rest.is_empty() {
                    return None;
                }
            }
            byte => out.push(*byte),
        }
    }
    Some(out)
}

/// A selector while rules are applied.
struct SelectorRules {
    commands: ActionBits,
    future: bool,
    first_arguments: BTreeMap<CommandId, Arguments>,
    /// `None`: all keys.
    keys: Option<Keys>,
    /// `None`: all channels.
    channels: Option<Channels>,
    databases: Option<Vec<u32>>,
}

#[derive(Default)]
struct Arguments {
    words: Vec<Box<str>>,
    known: HashSet<String>,
}

/// Patterns of keys in their order; equal ones are one, with the permissions of all.
#[derive(Default)]
struct Keys {
    patterns: Vec<KeyPattern>,
    places: HashMap<Box<[u8]>, usize>,
}

/// Patterns of channels in their order, each once.
#[derive(Default)]
struct Channels {
    patterns: Vec<Glob>,
    known: HashSet<Box<[u8]>>,
}

impl Default for SelectorRules {
    fn default() -> Self {
        Self {
            commands: ActionBits::EMPTY,
            future: false,
            first_arguments: BTreeMap::new(),
            keys: Some(Keys::default()),
            channels: Some(Channels::default()),
            databases: None,
        }
    }
}

impl SelectorRules {
    fn finish(mut self) -> Selector {
        self.first_arguments
            .retain(|_, arguments| !arguments.words.is_empty());
        Selector {
            commands: self.commands,
            future: self.future,
            first_arguments: self
                .first_arguments
                .into_iter()
                .map(|(command, arguments)| FirstArguments {
                    command,
                    words: arguments.words.into(),
                })
                .collect(),
            keys: self.keys.map(|keys| keys.patterns.into()),
            channels: self.channels.map(|channels| channels.patterns.into()),
            databases: self.databases.map(Into::into),
        }
    }

    /// Applies one rule; it is not empty.
    fn apply(&mut self, rule: &[u8], after_password: bool, inside: bool) -> Result<(), String> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        if is("allkeys") || is("~*") {
            self.keys = None;
        } else if is("resetkeys") {
            self.keys = Some(Keys::default());
        } else if is("allchannels") || is("&*") {
            self.channels = None;
        } else if is("resetchannels") {
            self.channels = Some(Channels::default());
        } else if is("allcommands") || is("+@all") {
            self.set_all(true);
        } else if is("nocommands") || is("-@all") {
            self.set_all(false);
        } else if is("alldbs") {
            self.databases = None;
        } else if is("resetdbs") {
            self.databases = Some(Vec::new());
        } else {
            return match rule {
                [b'~' | b'%', ..] => self.add_key(rule),
                [b'&', pattern @ ..] => self.add_channel(pattern),
                [b'+', b'@', name @ ..] => self.set_category(name, true),
                [b'-', b'@', name @ ..] => self.set_category(name, false),
                [b'+', name @ ..] => self.add_command(name),
                [b'-', name @ ..] => self.remove_command(name),
                _ if rule
                    .get(..3)
                    .is_some_and(|word| word.eq_ignore_ascii_case(b"db=")) =>
                {
                    self.set_databases(&rule[3..])
                }
                _ => Err(unknown_word(rule, after_password, inside)),
            };
        }
        Ok(())
    }

    fn set_all(&mut self, allowed: bool) {
        self.commands = if allowed {
            commands::every().clone()
        } else {
            ActionBits::EMPTY
        };
        self.future = allowed;
        self.first_arguments.clear();
    }

    fn set(&mut self, actions: &ActionBits, allowed: bool) {
        if allowed {
            self.commands = self.commands.union(actions);
        } else {
            self.commands = self.commands.subtract(actions);
        }
    }

    fn add_key(&mut self, rule: &[u8]) -> Result<(), String> {
        let Some(keys) = &mut self.keys else {
            return Err(
                "a pattern of keys after all keys were allowed: write `resetkeys` before it".into(),
            );
        };
        let (mut reads, mut writes, mut rest) = (true, true, &rule[1..]);
        if rule[0] == b'%' {
            (reads, writes) = (false, false);
            loop {
                rest = match rest {
                    [b'r' | b'R', after @ ..] if !reads => {
                        reads = true;
                        after
                    }
                    [b'w' | b'W', after @ ..] if !writes => {
                        writes = true;
                        after
                    }
                    [b'~', after @ ..] if reads || writes => {
                        rest = after;
                        break;
                    }
                    // The server takes `%R` for the empty pattern.
                    [] if reads || writes => break,
                    _ => {
                        return Err(
                            "permissions on keys are written `%R~pattern`, `%W~pattern` \
                                    or `%RW~pattern`"
                                .into(),
                        );
                    }
                };
            }
        }
        check(rest, "keys")?;
        match keys.places.get(rest) {
            Some(at) => {
                let known = &mut keys.patterns[*at];
                known.reads |= reads;
                known.writes |= writes;
            }
            None => {
                keys.places.insert(rest.into(), keys.patterns.len());
                keys.patterns.push(KeyPattern {
                    glob: Glob::new(rest),
                    reads,
                    writes,
                });
            }
        }
        Ok(())
    }

    fn add_channel(&mut self, pattern: &[u8]) -> Result<(), String> {
        let Some(channels) = &mut self.channels else {
            return Err(
                "a pattern of channels after all channels were allowed: write `resetchannels` \
                 before it"
                    .into(),
            );
        };
        check(pattern, "channels")?;
        if channels.known.insert(pattern.into()) {
            channels.patterns.push(Glob::new(pattern));
        }
        Ok(())
    }

    fn set_category(&mut self, name: &[u8], allowed: bool) -> Result<(), String> {
        let name = String::from_utf8_lossy(name);
        let Some(actions) = commands::category(&name) else {
            return Err(unknown_category(&name, allowed));
        };
        self.set(actions, allowed);
        self.first_arguments
            .retain(|id, _| !actions.contains(id.action()));
        Ok(())
    }

    fn add_command(&mut self, name: &[u8]) -> Result<(), String> {
        let name = String::from_utf8_lossy(name);
        let Some((command, argument)) = name.rsplit_once('|') else {
            let Some(found) = named(&name) else {
                return Err(unknown_command(&name, true));
            };
            self.set(&found.actions, true);
            self.forget_first_arguments(&found.actions);
            return Ok(());
        };
        let Some(found) = named(command) else {
            return Err(unknown_command(command, true));
        };
        if found.subcommand {
            return Err(format!(
                "{} is a subcommand: a first argument of one cannot be allowed alone",
                quoted(command)
            ));
        }
        if argument.is_empty() {
            return Err(format!(
                "a subcommand or a first argument is missing after {}",
                quoted(&name)
            ));
        }
        if found.container {
            let Some(found) = named(&name) else {
                return Err(unknown_command(&name, true));
            };
            self.set(&found.actions, true);
            self.forget_first_arguments(&found.actions);
            return Ok(());
        }
        if let Some(id) = found.id {
            let arguments = self.first_arguments.entry(id).or_default();
            if arguments.known.insert(argument.to_ascii_lowercase()) {
                arguments.words.push(argument.into());
            }
        }
        Ok(())
    }

    fn remove_command(&mut self, name: &[u8]) -> Result<(), String> {
        let name = String::from_utf8_lossy(name);
        let Some(found) = named(&name) else {
            return Err(unknown_command(&name, false));
        };
        self.set(&found.actions, false);
        self.forget_first_arguments(&found.actions);
        Ok(())
    }

    fn forget_first_arguments(&mut self, actions: &ActionBits) {
        if !self.first_arguments.is_empty() {
            self.first_arguments
                .retain(|id, _| !actions.contains(id.action()));
        }
    }

    fn set_databases(&mut self, list: &[u8]) -> Result<(), String> {
        let mut databases = Vec::new();
        for number in list.split(|byte| *byte == b',') {
            databases.push(database(number)?);
        }
        databases.sort_unstable();
        databases.dedup();
        self.databases = Some(databases);
        Ok(())
    }
}

fn database(text: &[u8]) -> Result<u32, String> {
    let refusal = || {
        format!(
            "{} is no number of a database: write `db=0`, or several with commas between them",
            quoted(&String::from_utf8_lossy(text))
        )
    };
    let digits = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(refusal());
    }
    let zero = digits.iter().all(|digit| *digit == b'0');
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse::<i32>().ok())
        .and_then(|number| u32::try_from(number).ok())
        .filter(|_| zero || text[0] != b'-');
    number.ok_or_else(|| {
        format!(
            "the number of a database is out of range: {} is not from 0 to {}",
            quoted(&String::from_utf8_lossy(text)),
            i32::MAX
        )
    })
}

/// Checks a pattern. What is too much for the server's matcher, or not the same on every server, is
/// refused here, too.
fn check(pattern: &[u8], of: &str) -> Result<(), String> {
    if pattern
        .iter()
        .any(|byte| is_blank(char::from(*byte)) || *byte == 0)
    {
        return Err(format!("a pattern of {of} has no blanks and no NUL"));
    }
    match check_pattern(pattern) {
        // Only the lone `*` means all; others of that kind mean here what they mean there.
        Ok(()) | Err(GlobError::OnlyStars) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn unknown_command(name: &str, allowed: bool) -> String {
    let names: Vec<&'static str> = CommandId::all()
        .map(|id| id.command().name)
        .chain(containers())
        .collect();
    let advice = suggestion(name, &names);
    if !advice.is_empty() || name.is_empty() {
        return format!("unknown command {}{advice}", quoted(name));
    }
    let advice = if allowed {
        "leave the rule out if no server of yours has it"
    } else {
        "it would have to stay denied, which cannot be promised for a command that nobody knows"
    };
    format!("unknown command {}: {advice}", quoted(name))
}

fn containers() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    CommandId::all().filter_map(move |id| {
        let (container, _) = id.command().name.split_once('|')?;
        (container != last).then(|| {
            last = container;
            container
        })
    })
}

fn unknown_category(name: &str, allowed: bool) -> String {
    let names: Vec<&'static str> = commands::categories().chain(["all"]).collect();
    let advice = suggestion(name, &names);
    if !advice.is_empty() {
        return format!("unknown category {}{advice}", quoted(name));
    }
    let advice = if allowed {
        "leave the rule out if no server of yours has it"
    } else {
        "which commands it takes away cannot be told, so that the user cannot be taken over"
    };
    format!("unknown category {}: {advice}", quoted(name))
}

fn unknown_word(rule: &[u8], after_password: bool, inside: bool) -> String {
    if after_password {
        return "this is no rule (not shown: it may be a part of a password, which has no blanks)"
            .into();
    }
    let text = String::from_utf8_lossy(rule);
    let is = |word: &&&str| text.eq_ignore_ascii_case(word);
    if inside && USER_WORDS.iter().any(|word| is(&word)) {
        return format!(
            "{} is a rule of the whole user: write it outside the parentheses",
            quoted(&text)
        );
    }
    if inside && text.starts_with(['>', '<', '#', '!']) {
        return "a password is of the whole user: write it outside the parentheses".into();
    }
    let known: Vec<&'static str> = USER_WORDS.iter().chain(SELECTOR_WORDS).copied().collect();
    match suggestion(&text, &known) {
        none if none.is_empty() => {
            let named = named(&text).is_some();
            let advice = if named {
                ": write `+` or `-` before a command"
            } else {
                ": expected `+command`, `-command`, `+@category`, `~keys`, `&channels` or the like"
            };
            format!("{} is no rule{advice}", quoted(&text))
        }
        advice => format!("{} is no rule{advice}", quoted(&text)),
    }
}
