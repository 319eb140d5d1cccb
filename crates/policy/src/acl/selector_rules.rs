//! The rules of one selector: commands, keys, channels and databases.

use std::collections::{BTreeMap, HashMap, HashSet};

use keyward_commands::{ActionBits, CommandId};

use super::commands::{self, named};
use super::rules::is_blank;
use super::selector::{FirstArguments, KeyPattern, Selector};
use crate::Glob;
use crate::finding::quoted;
use crate::glob::{GlobError, check_pattern};
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

/// A selector while rules are applied.
pub(super) struct SelectorRules {
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
    pub(super) fn finish(mut self) -> Selector {
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
    pub(super) fn apply(
        &mut self,
        rule: &[u8],
        after_password: bool,
        inside: bool,
    ) -> Result<(), String> {
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
