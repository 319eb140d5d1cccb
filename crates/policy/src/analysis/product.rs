//! Many patterns read the same string: which of them can accept it together, and a shortest string
//! for it.
//!
//! The patterns are automata; a state is the set of places where they can be. Of the places within
//! one pattern those before the last star that was reached say nothing more and are dropped, so
//! that the usual pattern (literals and stars) is in one place of few. Patterns made to hurt have
//! exponentially many states: every state is paid for from [`Work`], and whoever runs out says so.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::language::{Language, Step};

/// What may still be spent. One unit is about a nanosecond.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work(u64);

/// The work was too much: nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Work {
    pub(crate) fn new(units: u64) -> Self {
        Self(units)
    }

    /// As much, but no more than that.
    pub(crate) fn at_most(self, units: u64) -> Self {
        Self(self.0.min(units))
    }

    /// What was spent since.
    pub(crate) fn used(self, left: &Self) -> usize {
        self.0.saturating_sub(left.0) as usize
    }

    pub(crate) fn spend(&mut self, units: usize) -> Result<(), Exhausted> {
        match self.0.checked_sub(units as u64) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => {
                self.0 = 0;
                Err(Exhausted)
            }
        }
    }
}

/// Bytes in the order in which people like to read them.
const READABLE: &[u8] = b"1abcdefghijklmnopqrstuvwxyz023456789:-_./ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// All bytes, readable ones first.
fn readable_first() -> Vec<u8> {
    let mut bytes = READABLE.to_vec();
    let printable = |byte: &u8| byte.is_ascii_graphic() && !READABLE.contains(byte);
    bytes.extend((0..=u8::MAX).filter(printable));
    bytes.extend((0..=u8::MAX).filter(|byte| !byte.is_ascii_graphic()));
    bytes
}

/// What the patterns say about a string, and about all that begin with it.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    accepted: &'a [bool],
    alive: &'a [bool],
    settled: &'a [bool],
}

impl Seen<'_> {
    /// It accepts the string.
    pub(crate) fn accepts(&self, language: usize) -> bool {
        self.accepted[language]
    }

    /// It may accept a longer one.
    pub(crate) fn is_alive(&self, language: usize) -> bool {
        self.alive[language]
    }

    /// It accepts every longer one.
    pub(crate) fn is_settled(&self, language: usize) -> bool {
        self.settled[language]
    }
}

/// What to do after a string was looked at.
pub(crate) enum Next {
    /// Look at longer ones, too.
    Longer,
    /// No longer one is of use.
    Enough,
}

/// Languages that read one string together.
pub(crate) struct Product<'a> {
    languages: &'a [&'a Language],
    /// The place of each language's beginning; one more for the end.
    offsets: Vec<u32>,
    /// One byte of each class of bytes that no step tells apart, readable ones first.
    classes: Vec<u8>,
}

impl<'a> Product<'a> {
    pub(crate) fn new(languages: &'a [&'a Language]) -> Self {
        let mut offsets = Vec::with_capacity(languages.len() + 1);
        let mut at = 0_u32;
        for language in languages {
            offsets.push(at);
            // One place more: the end.
            at = at.saturating_add(language.steps.len() as u32 + 1);
        }
        offsets.push(at);
        Self {
            languages,
            offsets,
            classes: classes(languages),
        }
    }

    /// Looks at strings, shortest first, each class of them once, until `look` breaks off.
    ///
    /// Every way in which the languages can accept or refuse a string together is seen, unless
    /// `look` says [`Next::Enough`] of a beginning of it.
    pub(crate) fn strings<B>(
        &self,
        work: &mut Work,
        mut look: impl FnMut(&[u8], &Seen<'_>) -> ControlFlow<B, Next>,
    ) -> Result<Option<B>, Exhausted> {
        let count = self.languages.len();
        let mut accepted: Vec<bool> = self.languages.iter().map(|l| l.empty).collect();
        let mut alive = vec![true; count];
        // The empty string has rules of its own: nothing is settled before the first byte.
        let mut settled = vec![false; count];
        let seen = Seen {
            accepted: &accepted,
            alive: &alive,
            settled: &settled,
        };
        match look(b"", &seen) {
            ControlFlow::Break(found) => return Ok(Some(found)),
            ControlFlow::Continue(Next::Enough) => return Ok(None),
            ControlFlow::Continue(Next::Longer) => {}
        }
        let first = self.beginning();
        work.spend(first.len() + count)?;
        // Where each state came from, to tell its string; the beginning has none.
        let mut states: Vec<(Box<[u32]>, u32, u8)> = vec![(first, u32::MAX, 0)];
        let mut known: HashSet<Box<[u32]>> = HashSet::new();
        let mut at = 0;
        let mut next = Vec::new();
        let mut bytes = Vec::new();
        let mut string = Vec::new();
        while at < states.len() {
            self.bytes_of_use(&states[at].0, &mut bytes);
            for byte in &bytes {
                let state = &states[at].0;
                work.spend(16 * state.len() + 4 * count + 64)?;
                self.follow(state, *byte, &mut next);
                if known.contains(next.as_slice()) {
                    continue;
                }
                accepted.fill(false);
                alive.fill(false);
                settled.fill(false);
                self.tell(&next, &mut accepted, &mut alive, &mut settled);
                let seen = Seen {
                    accepted: &accepted,
                    alive: &alive,
                    settled: &settled,
                };
                string.clear();
                string.push(*byte);
                let mut from = at;
                while let (_, before, last) = &states[from]
                    && *before != u32::MAX
                {
                    string.push(*last);
                    from = *before as usize;
                }
                string.reverse();
                work.spend(string.len())?;
                let state: Box<[u32]> = next.as_slice().into();
                known.insert(state.clone());
                match look(&string, &seen) {
                    ControlFlow::Break(found) => return Ok(Some(found)),
                    ControlFlow::Continue(Next::Enough) => {}
                    ControlFlow::Continue(Next::Longer) => states.push((state, at as u32, *byte)),
                }
            }
            at += 1;
        }
        Ok(None)
    }

    fn beginning(&self) -> Box<[u32]> {
        let mut state = Vec::new();
        for language in 0..self.languages.len() {
            let begin = state.len();
            self.enter(language, 0, &mut state);
            self.drop_dominated(language, begin, &mut state);
        }
        state.into()
    }

    /// Puts a place of a language into the state, with all that follow it without a byte.
    fn enter(&self, language: usize, place: usize, state: &mut Vec<u32>) {
        let steps = &self.languages[language].steps;
        let mut place = place;
        loop {
            let global = self.offsets[language] + place as u32;
            if state.last() != Some(&global) {
                state.push(global);
            }
            match steps.get(place) {
                Some(Step::Star) => place += 1,
                _ => return,
            }
        }
    }

    /// Of one language's places, from `begin` of the state on: sorts them and leaves those from the
    /// last star on.
    fn drop_dominated(&self, language: usize, begin: usize, state: &mut Vec<u32>) {
        let places = &mut state[begin..];
        places.sort_unstable();
        let steps = &self.languages[language].steps;
        let offset = self.offsets[language];
        let star = |place: &u32| matches!(steps.get((*place - offset) as usize), Some(Step::Star));
        let first = places.iter().rposition(star).unwrap_or(0);
        state.drain(begin..begin + first);
        let mut last = None;
        let mut kept = begin;
        for at in begin..state.len() {
            let place = state[at];
            if last != Some(place) {
                state[kept] = place;
                kept += 1;
                last = Some(place);
            }
        }
        state.truncate(kept);
    }

    fn follow(&self, state: &[u32], byte: u8, next: &mut Vec<u32>) {
        next.clear();
        let mut at = 0;
        let mut language = 0;
        while at < state.len() {
            // States hold the places of one language beside each other.
            language = self.language_of(state[at], language);
            let offset = self.offsets[language];
            let end = self.offsets[language + 1];
            let steps = &self.languages[language].steps;
            let begin = next.len();
            while at < state.len() && state[at] < end {
                let place = (state[at] - offset) as usize;
                match steps.get(place) {
                    Some(Step::Star) => self.enter(language, place, next),
                    Some(step) if step.takes(byte) => self.enter(language, place + 1, next),
                    _ => {}
                }
                at += 1;
            }
            self.drop_dominated(language, begin, next);
        }
    }

    fn language_of(&self, place: u32, from: usize) -> usize {
        if place < self.offsets[from + 1] {
            return from;
        }
        self.offsets.partition_point(|offset| *offset <= place) - 1
    }

    fn tell(&self, state: &[u32], accepted: &mut [bool], alive: &mut [bool], settled: &mut [bool]) {
        let mut language = 0;
        for place in state {
            language = self.language_of(*place, language);
            let steps = &self.languages[language].steps;
            let place = (*place - self.offsets[language]) as usize;
            alive[language] |= place < steps.len();
            accepted[language] |= place == steps.len();
            settled[language] |=
                place + 1 == steps.len() && matches!(steps.last(), Some(Step::Star));
        }
    }

    /// Bytes that lead to all the states there are after this one.
    fn bytes_of_use(&self, state: &[u32], bytes: &mut Vec<u8>) {
        bytes.clear();
        let mut told_apart = [false; 256];
        let mut language = 0;
        for place in state {
            language = self.language_of(*place, language);
            let place = (*place - self.offsets[language]) as usize;
            match self.languages[language].steps.get(place) {
                Some(Step::Byte(byte)) => told_apart[usize::from(*byte)] = true,
                Some(Step::Set(_)) => {
                    bytes.extend_from_slice(&self.classes);
                    return;
                }
                _ => {}
            }
        }
        // Those that some place asks for, and one for all others.
        let mut other = false;
        for byte in readable_bytes() {
            if told_apart[usize::from(*byte)] {
                bytes.push(*byte);
            } else if !other {
                other = true;
                bytes.push(*byte);
            }
        }
    }
}

fn readable_bytes() -> &'static [u8] {
    static BYTES: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(readable_first);
    &BYTES
}

/// One byte of each class that no step of any language tells apart.
fn classes(languages: &[&Language]) -> Vec<u8> {
    let mut class = [0_u16; 256];
    let mut count = 1_u16;
    let mut split = |contains: &dyn Fn(u8) -> bool| {
        if count == 256 {
            return;
        }
        // The new number of each old class that is cut in two.
        let mut renamed = [None; 256];
        let mut outside = [false; 256];
        for byte in 0..=u8::MAX {
            outside[usize::from(class[usize::from(byte)])] |= !contains(byte);
        }
        for byte in (0..=u8::MAX).filter(|byte| contains(*byte)) {
            let own = &mut class[usize::from(byte)];
            if outside[usize::from(*own)] {
                *own = *renamed[usize::from(*own)].get_or_insert_with(|| {
                    count += 1;
                    count - 1
                });
            }
        }
    };
    let steps = || languages.iter().flat_map(|language| language.steps.iter());
    if !steps().any(|step| matches!(step, Step::Set(_))) {
        return Vec::new();
    }
    let mut singles = [false; 256];
    for step in steps() {
        match step {
            Step::Byte(byte) => singles[usize::from(*byte)] = true,
            Step::Set(set) => split(&|byte| set.contains(byte)),
            Step::Star | Step::Any => {}
        }
    }
    for single in (0..=u8::MAX).filter(|byte| singles[usize::from(*byte)]) {
        split(&|byte| byte == single);
    }
    let mut seen = [false; 256];
    readable_bytes()
        .iter()
        .copied()
        .filter(|byte| !std::mem::replace(&mut seen[usize::from(class[usize::from(*byte)])], true))
        .collect()
}
