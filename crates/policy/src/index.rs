//! The key fields of many statements as one index: the compiled residual of a decision table.
//!
//! The answer is always that of asking each [`KeyPatterns`] in turn. A pattern is found by what
//! it begins with, and where many begin alike, by what it ends with or else by the longest text
//! inside it; only such as have none of it (`[ab]?`) are tried one after another. A call with several keys asks for one statement that
//! covers them all: its cost is at most the statements that cover the first key times the keys.

use std::collections::{BTreeMap, BTreeSet};

use crate::keys::access;
use crate::trie::{End, Trie};
use crate::{ChannelUse, Glob, KeyPatterns, KeyUse, Touch};

/// Access bits of a pattern: what it allows or denies.
const READ: u8 = 1;
const WRITE: u8 = 2;
const BOTH: u8 = READ | WRITE;

/// More globs than this with one literal beginning are found by another part of them as well.
const MANY: usize = 8;

/// What the statements that concern one action, with key fields, say about keys and channels.
#[derive(Clone, Debug)]
pub struct KeyIndex {
    deny: bool,
    /// Statements, equal ones counted once.
    statements: usize,
    /// Answers for every key, by access bits.
    every: [bool; 4],
    /// The answer for enumerations.
    enumeration: bool,
    /// Some statement speaks of reading or of writing alone.
    split: bool,
    keys: Table,
    channels: Table,
    /// All channel patterns by text, with the statements that have them: a pattern as argument is
    /// compared with the text.
    channel_patterns: Box<[(Glob, Group)]>,
}

/// Patterns by their literal beginnings.
#[derive(Clone, Debug, Default)]
struct Table {
    beginnings: Trie,
    /// One for each beginning.
    slots: Box<[Slot]>,
    globs: Box<[(Glob, Group)]>,
    /// Statements and their access, ascending within a group.
    members: Box<[(u32, u8)]>,
}

/// The patterns with one literal beginning.
#[derive(Clone, Debug, Default)]
struct Slot {
    /// `literal*`
    prefix: Group,
    /// `literal`
    exact: Group,
    /// All others: a range of the table's globs.
    globs: Range,
    /// If they are many.
    parts: Option<Box<Parts>>,
}

/// Many globs with one literal beginning, by another part that a key must have to match.
#[derive(Clone, Debug)]
struct Parts {
    /// By what the key must end with (reversed).
    ends: Places,
    /// By what it must have somewhere behind the beginning.
    middles: Places,
    /// Those without a literal part.
    others: Range,
}

/// Ranges of globs by a part that they have in common.
#[derive(Clone, Debug)]
struct Places {
    parts: Trie,
    ranges: Box<[Range]>,
}

/// The statements that have one pattern.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    /// Access that some statement speaks of.
    any: u8,
    /// One statement speaks of both kinds by this pattern.
    both: bool,
    members: Range,
}

#[derive(Clone, Copy, Debug, Default)]
struct Range {
    from: u32,
    to: u32,
}

impl Range {
    fn of<T>(self, all: &[T]) -> &[T] {
        &all[self.from as usize..self.to as usize]
    }
}

impl KeyIndex {
    /// Index over Allow statements: some *one* of them must cover all of a touch.
    pub fn for_allow(statements: &[&KeyPatterns]) -> Self {
        Self::new(statements, false)
    }

    /// Index over Deny statements: any of them that meets a part of a touch denies.
    pub fn for_deny(statements: &[&KeyPatterns]) -> Self {
        Self::new(statements, true)
    }

    fn new(statements: &[&KeyPatterns], deny: bool) -> Self {
        let mut seen = BTreeSet::new();
        let distinct: Vec<&KeyPatterns> = statements
            .iter()
            .copied()
            .filter(|patterns| seen.insert(texts(patterns)))
            .collect();
        let every = |bits: u8, enumeration| {
            let (reads, writes) = (bits & READ != 0, bits & WRITE != 0);
            let touch = Touch::EveryKey {
                reads,
                writes,
                enumeration,
            };
            distinct.iter().any(|patterns| {
                if deny {
                    patterns.denies(&touch)
                } else {
                    patterns.allows(&touch)
                }
            })
        };
        let mut keys = TableBuilder::default();
        let mut channels = TableBuilder::default();
        for (i, patterns) in distinct.iter().enumerate() {
            for (globs, access) in [
                (&patterns.keys, BOTH),
                (&patterns.read_keys, READ),
                (&patterns.write_keys, WRITE),
            ] {
                globs
                    .iter()
                    .for_each(|glob| keys.add(glob, i as u32, access));
            }
            patterns
                .channels
                .iter()
                .for_each(|glob| channels.add(glob, i as u32, BOTH));
        }
        let mut members = Vec::new();
        let channel_patterns = channels
            .patterns
            .iter()
            .map(|(_, (glob, statements))| ((*glob).clone(), group(statements, &mut members)))
            .collect();
        let mut channels = channels.finish();
        let offset = channels.members.len() as u32;
        channels.members = channels.members.iter().copied().chain(members).collect();
        let mut index = Self {
            deny,
            statements: distinct.len(),
            every: [0, READ, WRITE, BOTH].map(|bits| every(bits, false)),
            enumeration: every(READ, true),
            split: distinct
                .iter()
                .any(|patterns| !patterns.read_keys.is_empty() || !patterns.write_keys.is_empty()),
            keys: keys.finish(),
            channels,
            channel_patterns,
        };
        for (_, group) in &mut index.channel_patterns {
            group.members.from += offset;
            group.members.to += offset;
        }
        index
    }

    /// Built for an Allow: does some one statement cover all that is touched? For a Deny: does any
    /// statement meet a part of it?
    pub fn matches(&self, touch: &Touch<'_>) -> bool {
        match *touch {
            Touch::None => self.deny && self.statements > 0,
            Touch::Keyless => !self.deny && self.statements > 0,
            Touch::EveryKey {
                enumeration: true, ..
            } => self.enumeration,
            Touch::EveryKey { reads, writes, .. } => self.every[usize::from(bits(reads, writes))],
            Touch::Named {
                keys: [],
                channels: [],
            } => self.every[usize::from(BOTH)],
            Touch::Named {
                keys: [key],
                channels: [],
            } => self.matches_key(key.key, key.reads, key.writes),
            Touch::Named { keys, channels } if self.deny => {
                keys.iter()
                    .any(|key| self.matches_key(key.key, key.reads, key.writes))
                    || channels.iter().any(|channel| self.meets_channel(channel))
            }
            Touch::Named { keys, channels } => self.covers(keys, channels),
        }
    }

    /// As [`Self::matches`] for a call that names one key and no channel.
    pub fn matches_key(&self, key: &[u8], reads: bool, writes: bool) -> bool {
        let need = bits(reads, writes);
        if self.deny {
            return self.keys.find(key, |group| group.any & need != 0);
        }
        if self.every[usize::from(need)] {
            return true;
        }
        if need != BOTH {
            return self.keys.find(key, |group| group.any & need != 0);
        }
        self.keys.find(key, |group| group.both)
            || self.split
                && self.keys.find(key, |group| {
                    let members = group.members.of(&self.keys.members);
                    members
                        .iter()
                        .any(|(statement, _)| self.keys.covers(key, need, *statement))
                })
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        self.keys.heap_bytes() + self.channels.heap_bytes() + globs_bytes(&self.channel_patterns)
    }

    /// Is there one statement for all of it? Tries those that cover the first part.
    fn covers(&self, keys: &[KeyUse<'_>], channels: &[ChannelUse<'_>]) -> bool {
        let by_statement = |statement: u32| {
            keys.iter().all(|key| {
                self.keys
                    .covers(key.key, bits(key.reads, key.writes), statement)
            }) && channels
                .iter()
                .all(|channel| self.covers_channel(channel, statement))
        };
        // A key that no statement covers is common, and cheaper to see.
        if !keys
            .iter()
            .all(|key| self.matches_key(key.key, key.reads, key.writes))
        {
            return false;
        }
        if self.statements == 1 {
            return by_statement(0);
        }
        match (keys, channels) {
            ([first, ..], _) => self.keys.find(first.key, |group| {
                let members = group.members.of(&self.keys.members);
                members
                    .iter()
                    .any(|(statement, _)| by_statement(*statement))
            }),
            ([], [first, ..]) => self.channel_groups(first, |group| {
                let members = group.members.of(&self.channels.members);
                members
                    .iter()
                    .any(|(statement, _)| by_statement(*statement))
            }),
            ([], []) => false,
        }
    }

    fn covers_channel(&self, channel: &ChannelUse<'_>, statement: u32) -> bool {
        self.channel_groups(channel, |group| self.channels.access(group, statement) != 0)
    }

    /// On an Allow: the patterns that cover one channel, until one satisfies `found`.
    fn channel_groups(
        &self,
        channel: &ChannelUse<'_>,
        mut found: impl FnMut(&Group) -> bool,
    ) -> bool {
        if !channel.pattern {
            return self.channels.find(channel.channel, found);
        }
        let mut with_text = |text: &[u8]| {
            self.channel_patterns
                .binary_search_by(|(glob, _)| glob.text().cmp(text))
                .is_ok_and(|at| found(&self.channel_patterns[at].1))
        };
        with_text(b"*") || with_text(channel.channel)
    }

    /// On a Deny.
    fn meets_channel(&self, channel: &ChannelUse<'_>) -> bool {
        if channel.pattern {
            let globs = self.channel_patterns.iter().map(|(glob, _)| glob);
            return Glob::any_may_overlap(globs, channel.channel);
        }
        self.channels.find(channel.channel, |_| true)
    }
}

fn bits(reads: bool, writes: bool) -> u8 {
    let (reads, writes) = access(reads, writes);
    (u8::from(reads) * READ) | (u8::from(writes) * WRITE)
}

/// The fields as texts: what makes two statements equal.
fn texts(patterns: &KeyPatterns) -> [Vec<&[u8]>; 4] {
    [
        &patterns.keys,
        &patterns.read_keys,
        &patterns.write_keys,
        &patterns.channels,
    ]
    .map(|globs| globs.iter().map(Glob::text).collect())
}

impl Table {
    /// Calls `found` with the group of each pattern that `key` matches, until it answers `true`.
    #[inline]
    fn find(&self, key: &[u8], mut found: impl FnMut(&Group) -> bool) -> bool {
        self.beginnings.walk(key, End::Front, |number, len| {
            let slot = &self.slots[number as usize];
            (slot.prefix.any != 0 && found(&slot.prefix))
                || (slot.exact.any != 0 && len == key.len() && found(&slot.exact))
                || (slot.globs.from != slot.globs.to
                    && self.find_in_globs(slot, key, len, &mut found))
        })
    }

    /// `len` bytes of the key are the slot's literal beginning.
    #[inline(never)]
    fn find_in_globs(
        &self,
        slot: &Slot,
        key: &[u8],
        len: usize,
        found: &mut impl FnMut(&Group) -> bool,
    ) -> bool {
        let mut try_all = |range: Range| {
            let globs = range.of(&self.globs);
            globs
                .iter()
                .any(|(glob, group)| glob.matches(key) && found(group))
        };
        let Some(parts) = &slot.parts else {
            return try_all(slot.globs);
        };
        let Parts {
            ends,
            middles,
            others,
        } = &**parts;
        try_all(*others)
            || ends.parts.walk(key, End::Back, |part, _| {
                try_all(ends.ranges[part as usize])
            })
            || (!middles.ranges.is_empty()
                && (len..key.len()).any(|at| {
                    let at_part = |part: u32, _| try_all(middles.ranges[part as usize]);
                    middles.parts.walk(&key[at..], End::Front, at_part)
                }))
    }

    /// Does this one statement give all of `need` on the key?
    fn covers(&self, key: &[u8], need: u8, statement: u32) -> bool {
        let mut given = 0;
        self.find(key, |group| {
            given |= self.access(group, statement);
            given & need == need
        })
    }

    /// What the statement gives by this pattern.
    fn access(&self, group: &Group, statement: u32) -> u8 {
        let members = group.members.of(&self.members);
        match members.binary_search_by_key(&statement, |(statement, _)| *statement) {
            Ok(at) => members[at].1,
            Err(_) => 0,
        }
    }

    fn heap_bytes(&self) -> usize {
        let parts = self.slots.iter().flat_map(|slot| &slot.parts);
        let places = parts
            .clone()
            .flat_map(|parts| [&parts.ends, &parts.middles]);
        let ranges = |places: &Places| places.parts.heap_bytes() + size_of_val(&*places.ranges);
        self.beginnings.heap_bytes()
            + size_of_val(&*self.slots)
            + globs_bytes(&self.globs)
            + size_of_val(&*self.members)
            + parts.count() * size_of::<Parts>()
            + places.map(ranges).sum::<usize>()
    }
}

fn globs_bytes(globs: &[(Glob, Group)]) -> usize {
    size_of_val(globs)
        + globs
            .iter()
            .map(|(glob, _)| glob.heap_bytes())
            .sum::<usize>()
}

/// Statements of one pattern with their access.
type Statements = BTreeMap<u32, u8>;

#[derive(Default)]
struct TableBuilder<'a> {
    /// By text, so that equal patterns are one.
    patterns: BTreeMap<&'a [u8], (&'a Glob, Statements)>,
}

impl<'a> TableBuilder<'a> {
    fn add(&mut self, glob: &'a Glob, statement: u32, access: u8) {
        let (_, statements) = self
            .patterns
            .entry(glob.text())
            .or_insert_with(|| (glob, Statements::new()));
        *statements.entry(statement).or_default() |= access;
    }

    fn finish(self) -> Table {
        let mut by_literal: BTreeMap<&[u8], Vec<(&Glob, Statements)>> = BTreeMap::new();
        for (glob, statements) in self.patterns.into_values() {
            by_literal
                .entry(glob.literal_prefix())
                .or_default()
                .push((glob, statements));
        }
        let literals: Vec<&[u8]> = by_literal.keys().copied().collect();
        let beginnings = Trie::new(&literals);
        let (mut slots, mut globs, mut members) = (Vec::new(), Vec::new(), Vec::new());
        for patterns in by_literal.into_values() {
            let mut slot = Slot::default();
            let mut prefix = Statements::new();
            let mut exact = Statements::new();
            let mut others = Vec::new();
            for (glob, statements) in patterns {
                // Different texts may be one pattern: `a*` and `\a*`.
                let same = match (glob.as_prefix(), glob.as_exact()) {
                    (Some(_), _) => &mut prefix,
                    (_, Some(_)) => &mut exact,
                    _ => {
                        others.push((glob, statements));
                        continue;
                    }
                };
                for (statement, access) in statements {
                    *same.entry(statement).or_default() |= access;
                }
            }
            slot.prefix = group(&prefix, &mut members);
            slot.exact = group(&exact, &mut members);
            let from = globs.len() as u32;
            if others.len() > MANY {
                slot.parts = Some(Box::new(by_parts(others, &mut globs, &mut members)));
            } else {
                for (glob, statements) in others {
                    globs.push((glob.clone(), group(&statements, &mut members)));
                }
            }
            slot.globs = Range {
                from,
                to: globs.len() as u32,
            };
            slots.push(slot);
        }
        Table {
            beginnings,
            slots: slots.into(),
            globs: globs.into(),
            members: members.into(),
        }
    }
}

/// Adds many globs to the table so that they are found by a part: each by its end, else by the
/// longest text inside it.
fn by_parts(
    patterns: Vec<(&Glob, Statements)>,
    globs: &mut Vec<(Glob, Group)>,
    members: &mut Vec<(u32, u8)>,
) -> Parts {
    let mut ends = BTreeMap::<Vec<u8>, Vec<_>>::new();
    let mut middles = BTreeMap::<Vec<u8>, Vec<_>>::new();
    let mut others = Vec::new();
    for (glob, statements) in patterns {
        let end: Vec<u8> = glob.literal_suffix().iter().rev().copied().collect();
        let middle = glob.longest_literal_inside();
        match (&end[..], &middle[..]) {
            ([], []) => others.push((glob, statements)),
            ([], _) => middles.entry(middle).or_default().push((glob, statements)),
            _ => ends.entry(end).or_default().push((glob, statements)),
        }
    }
    let mut add = |patterns: Vec<(&Glob, Statements)>| {
        let from = globs.len() as u32;
        for (glob, statements) in patterns {
            globs.push((glob.clone(), group(&statements, members)));
        }
        Range {
            from,
            to: globs.len() as u32,
        }
    };
    let mut places = |by_part: BTreeMap<Vec<u8>, Vec<_>>| {
        let (parts, patterns): (Vec<_>, Vec<_>) = by_part.into_iter().unzip();
        Places {
            parts: Trie::new(&parts),
            ranges: patterns.into_iter().map(&mut add).collect(),
        }
    };
    let (ends, middles) = (places(ends), places(middles));
    Parts {
        ends,
        middles,
        others: add(others),
    }
}

fn group(statements: &Statements, members: &mut Vec<(u32, u8)>) -> Group {
    let from = members.len() as u32;
    members.extend(
        statements
            .iter()
            .map(|(statement, access)| (*statement, *access)),
    );
    Group {
        any: statements.values().fold(0, |any, access| any | access),
        both: statements.values().any(|access| *access == BOTH),
        members: Range {
            from,
            to: members.len() as u32,
        },
    }
}

#[cfg(test)]
mod tests;
