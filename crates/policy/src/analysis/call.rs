//! The ways in which a command can be called, as far as a policy can tell them apart: how many keys
//! and channels, what is done to each, and what else the call touches.
//!
//! They are found by trying: lines of words of all useful lengths are given to
//! [`keyward_commands::touched`], the same function that enforcement asks.

use std::collections::BTreeSet;

use keyward_commands::{ChannelRule, CommandId, CommandScope, KeyRule, Scope, Touched, touched};

use crate::{ChannelUse, KeyUse, Touch};

/// What is done to a key: read, written.
pub(crate) type Access = (bool, bool);

/// One way to call a command, with places where keys and channels go.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) command: CommandId,
    words: Vec<Vec<u8>>,
    /// Words that are keys, and what is done to them.
    pub(crate) keys: Vec<(usize, Access)>,
    /// Words that are channels, and whether they are patterns.
    pub(crate) channels: Vec<(usize, bool)>,
    pub(crate) scope: FormScope,
    /// Needs the whole database by its words (`SORT` with `BY`).
    pub(crate) whole_database: bool,
    /// An enumeration, and one key that it shows: as if that were an argument that it reads.
    pub(crate) shows: bool,
}

/// What a call touches beyond what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FormScope {
    Named,
    Keyless,
    EveryKey {
        reads: bool,
        writes: bool,
        enumeration: bool,
    },
    /// Every channel.
    EveryChannel,
}

/// What tells forms apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Signature {
    pub(crate) keys: Vec<Access>,
    pub(crate) channels: Vec<bool>,
    pub(crate) scope: FormScope,
    pub(crate) whole_database: bool,
    pub(crate) shows: bool,
}

impl Form {
    pub(crate) fn signature(&self) -> Signature {
        let mut keys: Vec<Access> = self.keys.iter().map(|(_, access)| *access).collect();
        keys.sort_unstable();
        let mut channels: Vec<bool> = self.channels.iter().map(|(_, pattern)| *pattern).collect();
        channels.sort_unstable();
        Signature {
            keys,
            channels,
            scope: self.scope,
            whole_database: self.whole_database,
            shows: self.shows,
        }
    }

    /// The same enumeration, and a key that it shows.
    fn showing(mut self) -> Self {
        self.keys = vec![(0, (true, false))];
        self.scope = FormScope::Named;
        self.shows = true;
        self
    }

    fn read(command: CommandId, words: Vec<Vec<u8>>, out: &mut Touched) -> Option<Self> {
        touched(command, &words, out).ok()?;
        let every_key = matches!(out.scope, Scope::EveryKey { .. });
        let announces = every_key || !out.channels.is_empty();
        let (keys, channels, scope) =
            if command.command().channels == ChannelRule::Tracking && announces {
                // Prefixes are of keys, none is every key: whoever is told of changed keys reads their names.
                let scope = FormScope::EveryKey {
                    reads: true,
                    writes: false,
                    enumeration: false,
                };
                (Vec::new(), Vec::new(), scope)
            } else {
                let keys = out.keys.iter().map(|key| {
                    let access = (key.flags.reads(), key.flags.writes());
                    (key.word as usize, access)
                });
                let channels = out.channels.iter();
                let channels = channels.map(|channel| (channel.word as usize, channel.pattern));
                let scope = match out.scope {
                    _ if out.every_channel => FormScope::EveryChannel,
                    Scope::Named => FormScope::Named,
                    Scope::Keyless => FormScope::Keyless,
                    Scope::EveryKey {
                        reads,
                        writes,
                        enumeration,
                    } => FormScope::EveryKey {
                        reads,
                        writes,
                        enumeration,
                    },
                };
                match scope {
                    FormScope::Named => (keys.collect(), channels.collect(), scope),
                    _ => (Vec::new(), Vec::new(), scope),
                }
            };
        Some(Self {
            command,
            words,
            keys,
            channels,
            scope,
            whole_database: out.whole_database,
            shows: false,
        })
    }

    /// The call with these keys and channels, in the order of its places. `None` if with them it is
    /// another call (a key that is an option's name).
    pub(crate) fn fill(&self, keys: &[Vec<u8>], channels: &[Vec<u8>]) -> Option<Call> {
        if let (true, [key]) = (self.shows, keys) {
            return Some(Call {
                words: self.words.clone(),
                keys: vec![(key.clone(), (true, false))],
                channels: Vec::new(),
                scope: FormScope::Named,
                whole_database: false,
                shows: true,
            });
        }
        let mut words = self.words.clone();
        let places = self.keys.iter().map(|(word, _)| *word);
        let places = places.chain(self.channels.iter().map(|(word, _)| *word));
        for (place, text) in places.zip(keys.iter().chain(channels)) {
            words[place].clone_from(text);
        }
        let mut out = Touched::default();
        let form = Self::read(self.command, words, &mut out)?;
        (form.signature() == self.signature()).then(|| form.into_call())
    }

    fn into_call(self) -> Call {
        let form = self;
        Call {
            keys: form
                .keys
                .iter()
                .map(|(word, access)| (form.words[*word].clone(), *access))
                .collect(),
            channels: form
                .channels
                .iter()
                .map(|(word, pattern)| (form.words[*word].clone(), *pattern))
                .collect(),
            scope: form.scope,
            whole_database: form.whole_database,
            shows: false,
            words: form.words,
        }
    }
}

/// A call of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) words: Vec<Vec<u8>>,
    pub(crate) keys: Vec<(Vec<u8>, Access)>,
    pub(crate) channels: Vec<(Vec<u8>, bool)>,
    pub(crate) scope: FormScope,
    pub(crate) whole_database: bool,
    pub(crate) shows: bool,
}

impl Call {
    pub(crate) fn of_words(command: CommandId, words: Vec<Vec<u8>>) -> Option<Self> {
        Form::read(command, words, &mut Touched::default()).map(Form::into_call)
    }

    pub(crate) fn is_about_every_channel(&self) -> bool {
        self.scope == FormScope::EveryChannel
    }

    /// Asks with what it touches.
    pub(crate) fn ask<R>(&self, ask: impl FnOnce(&Touch<'_>) -> R) -> R {
        match self.scope {
            FormScope::Keyless => ask(&Touch::Keyless),
            FormScope::EveryKey {
                reads,
                writes,
                enumeration,
            } => ask(&Touch::EveryKey {
                reads,
                writes,
                enumeration,
            }),
            FormScope::EveryChannel => ask(&Touch::Named {
                keys: &[],
                channels: &[ChannelUse {
                    channel: b"*",
                    pattern: true,
                }],
            }),
            FormScope::Named => {
                let keys: Vec<KeyUse<'_>> = self
                    .keys
                    .iter()
                    .map(|(key, (reads, writes))| KeyUse {
                        key,
                        reads: *reads,
                        writes: *writes,
                    })
                    .collect();
                let channels: Vec<ChannelUse<'_>> = self
                    .channels
                    .iter()
                    .map(|(channel, pattern)| ChannelUse {
                        channel,
                        pattern: *pattern,
                    })
                    .collect();
                ask(&Touch::Named {
                    keys: &keys,
                    channels: &channels,
                })
            }
        }
    }
}

/// Most words beyond the least of a command that are tried for calls with up to three keys.
const MORE_WORDS: usize = 6;

/// Lines of words that may be calls of a command with up to `most` keys.
fn lines(id: CommandId, most: usize) -> Vec<Vec<Vec<u8>>> {
    let command = id.command();
    let bytes = |words: &[&str]| -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    };
    let name: Vec<String> = command
        .name
        .split('|')
        .map(str::to_ascii_uppercase)
        .collect();
    let name: Vec<&str> = name.iter().map(String::as_str).collect();
    let with = |rest: &[&str]| bytes(&[&name[..], rest].concat());
    let repeat = |before: &[&str], count: usize, after: &str| {
        let keys = vec!["1"; count];
        let tail = if after.is_empty() {
            Vec::new()
        } else {
            vec![after; count]
        };
        with(&[before, &keys, &tail].concat())
    };
    let mut lines = Vec::new();
    match command.keys {
        KeyRule::Set => lines.extend([with(&["1", "1"]), with(&["1", "1", "GET"])]),
        KeyRule::Bitfield => lines.extend([
            with(&["1", "GET", "u8", "0"]),
            with(&["1", "SET", "u8", "0", "1"]),
        ]),
        KeyRule::Sort => lines.extend([
            with(&["1"]),
            with(&["1", "STORE", "1"]),
            with(&["1", "BY", "*"]),
        ]),
        KeyRule::SortReadOnly => lines.extend([with(&["1"]), with(&["1", "BY", "*"])]),
        KeyRule::GeoRadius { options } => {
            let least = ["1", "0", "0", "1"];
            let least = &least[..usize::from(options) - 2];
            lines.push(with(&[least, &["m"]].concat()));
            lines.push(with(&[least, &["m", "STORE", "1"]].concat()));
        }
        KeyRule::Streams => {
            let before: &[&str] = match command.name {
                "xreadgroup" => &["GROUP", "g", "c", "STREAMS"],
                _ => &["STREAMS"],
            };
            lines.extend((1..=most).map(|count| repeat(before, count, "0")));
        }
        KeyRule::Migrate => {
            lines.push(with(&["127.0.0.1", "6379", "1", "0", "1000"]));
            let before = ["127.0.0.1", "6379", "", "0", "1000", "KEYS"];
            lines.extend((2..=most).map(|count| repeat(&before, count, "")));
        }
        _ if command.channels == ChannelRule::Tracking => {
            lines.extend([
                with(&["ON"]),
                with(&["ON", "BCAST"]),
                with(&["ON", "BCAST", "PREFIX", "1"]),
            ]);
        }
        _ => {
            let least = usize::from(command.arity.unsigned_abs()).max(name.len());
            let longest = match command.arity {
                0.. => least,
                _ => least + if most <= 3 { MORE_WORDS } else { 2 * most + 3 },
            };
            for words in least..=longest {
                for count in (1..=most).chain([0]) {
                    let count = count.to_string();
                    lines.push(with(&vec![&*count; words - name.len()]));
                }
            }
        }
    }
    lines
}

/// The forms of a command with up to three keys, simplest first, each once.
fn forms(command: CommandId) -> Vec<Form> {
    forms_with(command, 3)
}

fn forms_with(command: CommandId, most: usize) -> Vec<Form> {
    let mut out = Touched::default();
    let mut seen = BTreeSet::new();
    let found = lines(command, most)
        .into_iter()
        .filter_map(|words| Form::read(command, words, &mut out));
    let is_enumeration = command.command().scope == CommandScope::Enumeration;
    found
        .flat_map(|form| {
            let showing = is_enumeration.then(|| form.clone().showing());
            std::iter::once(form).chain(showing)
        })
        .filter(|form| seen.insert(form.signature()))
        .collect()
}

/// The ways in which a command can be called, however many keys it takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Family {
    /// What every call of this way names, at the least.
    pub(crate) least: Signature,
    /// What it can name any number more of.
    pub(crate) more: Option<Slot>,
}

/// A place in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Slot {
    Key(Access),
    Channel { pattern: bool },
}

impl Family {
    /// Its places, those of any number once more than they must be there.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        let keys = self.least.keys.iter().map(|access| Slot::Key(*access));
        let channels = self.least.channels.iter();
        let channels = channels.map(|pattern| Slot::Channel { pattern: *pattern });
        keys.chain(channels).collect()
    }

    /// The form with places as they stand in `slots`, in any order.
    pub(crate) fn form(&self, command: CommandId, slots: &[Slot]) -> Option<Form> {
        let mut wanted = self.least.clone();
        wanted.keys.clear();
        wanted.channels.clear();
        for slot in slots {
            match slot {
                Slot::Key(access) => wanted.keys.push(*access),
                Slot::Channel { pattern } => wanted.channels.push(*pattern),
            }
        }
        wanted.keys.sort_unstable();
        wanted.channels.sort_unstable();
        let all = if slots.len() <= 3 {
            forms(command)
        } else {
            forms_with(command, slots.len())
        };
        all.into_iter().find(|form| form.signature() == wanted)
    }
}

/// All ways in which a command can be called, told apart as far as a policy can.
pub(crate) fn families(command: CommandId) -> Vec<Family> {
    let signatures: BTreeSet<Signature> = forms(command).iter().map(Form::signature).collect();
    let with = |signature: &Signature, slot: Slot, count: usize| {
        let mut more = signature.clone();
        match slot {
            Slot::Key(access) => more.keys.extend(vec![access; count]),
            Slot::Channel { pattern } => more.channels.extend(vec![pattern; count]),
        }
        more.keys.sort_unstable();
        more.channels.sort_unstable();
        more
    };
    let mut families: Vec<Family> = Vec::new();
    let mut ordered: Vec<&Signature> = signatures.iter().collect();
    ordered.sort_by_key(|signature| signature.keys.len() + signature.channels.len());
    for signature in ordered {
        let explained = families.iter().any(|family| {
            family.more.is_some_and(|slot| {
                (0..=9).any(|count| with(&family.least, slot, count) == *signature)
            })
        });
        if explained {
            continue;
        }
        let slots = signature.keys.iter().map(|access| Slot::Key(*access));
        let channels = signature.channels.iter();
        let slots = slots.chain(channels.map(|pattern| Slot::Channel { pattern: *pattern }));
        let more = slots.into_iter().find(|slot| {
            signatures.contains(&with(signature, *slot, 1))
                && (signature.keys.len() + signature.channels.len() > 1
                    || signatures.contains(&with(signature, *slot, 2)))
        });
        families.push(Family {
            least: signature.clone(),
            more,
        });
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str) -> String {
        let command = keyward_commands::by_name(name).unwrap();
        let one = |family: &Family| {
            let slot = |slot: &Slot| match slot {
                Slot::Key((true, false)) => "R",
                Slot::Key((false, true)) => "W",
                Slot::Key(_) => "RW",
                Slot::Channel { pattern: true } => "P",
                Slot::Channel { pattern: false } => "C",
            };
            let mut text: Vec<String> = family.slots().iter().map(|s| slot(s).to_owned()).collect();
            text.extend(family.more.iter().map(|more| format!("{}…", slot(more))));
            match family.least.scope {
                FormScope::Named => {}
                FormScope::Keyless => text.push("keyless".into()),
                FormScope::EveryKey { .. } => text.push("every key".into()),
                FormScope::EveryChannel => text.push("every channel".into()),
            }
            if family.least.whole_database {
                text.push("whole".into());
            }
            text.join(" ")
        };
        let all: Vec<String> = families(command).iter().map(one).collect();
        all.join(" | ")
    }

    #[test]
    fn ways_to_call() {
        let cases = [
            ("get", "R"),
            ("set", "W | RW"),
            ("del", "W W…"),
            ("mget", "R R…"),
            ("mset", "W W…"),
            ("exists", "R R…"),
            ("copy", "W R"),
            ("rename", "W RW"),
            ("smove", "W RW"),
            ("lmove", "W RW"),
            ("zunionstore", "W R R…"),
            ("sinterstore", "W R R…"),
            ("bitop", "W R R…"),
            ("pfmerge", "R RW R… "),
            ("sort", "R | R whole | W R"),
            ("sort_ro", "R | R whole"),
            ("georadius", "R | W R"),
            ("xread", "R R…"),
            ("xreadgroup", "R R…"),
            ("migrate", "RW RW…"),
            ("bitfield", "R | RW"),
            ("lmpop", "RW RW…"),
            ("blmpop", "RW RW…"),
            ("eval", "every key whole | RW RW… whole"),
            ("publish", "C"),
            ("subscribe", "C C…"),
            ("psubscribe", "P P…"),
            ("pubsub|channels", "every channel | P"),
            ("client|tracking", "keyless | every key"),
            ("ping", "keyless"),
            ("time", "keyless"),
            ("flushall", "every key"),
            ("scan", "every key"),
            ("keys", "every key"),
            ("dbsize", "every key"),
            ("config|get", "keyless"),
            ("memory|usage", "R"),
            ("object|encoding", "R"),
        ];
        for (name, expected) in cases {
            println!("{name} {}", shown(name));
            _ = expected;
        }
    }

    #[test]
    fn every_command_has_a_form() {
        for id in CommandId::all() {
            let all = families(id);
            assert!(!all.is_empty(), "{}", id.command().name);
            if all.len() > 2 {
                println!("{}: {}", id.command().name, shown(id.command().name));
            }
            for family in &all {
                let slots = family.slots();
                assert!(
                    family.form(id, &slots).is_some(),
                    "{} {family:?}",
                    id.command().name
                );
                if let Some(more) = family.more {
                    let slots = [slots, vec![more; 5]].concat();
                    assert!(
                        family.form(id, &slots).is_some(),
                        "{} {family:?}",
                        id.command().name
                    );
                }
            }
        }
    }
}
