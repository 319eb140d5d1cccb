//! How much a call writes.

use super::rules::ValueRule;
use super::{Limit, integer, is};
use crate::Words;

/// The longest piece of data.
pub(super) fn find<W: Words + ?Sized>(rule: ValueRule, words: &W) -> Limit {
    match rule {
        ValueRule::Word(at) => longest(words, usize::from(at)..usize::from(at) + 1),
        ValueRule::From { first, step } => longest(
            words,
            (usize::from(first)..words.len()).step_by(usize::from(step)),
        ),
        ValueRule::Tuples {
            options,
            size,
            place,
        } => {
            let flag = |at: &usize| !options.iter().any(|option| is(words, *at, option));
            let from = (2..words.len()).find(flag).unwrap_or(words.len());
            let (size, place) = (usize::from(size), usize::from(place));
            longest(words, (from + place..words.len()).step_by(size))
        }
        ValueRule::Pairs => {
            let pairs = integer(words.word(1)).and_then(|pairs| usize::try_from(pairs).ok());
            match pairs.and_then(|pairs| pairs.checked_mul(2)) {
                Some(span) if span <= words.len() - 2 => longest(words, (3..span + 2).step_by(2)),
                _ => Limit::Infinite,
            }
        }
        ValueRule::AfterFields => match (2..words.len()).find(|at| is(words, *at, "fields")) {
            Some(at) => longest(words, at + 2..words.len()),
            None => Limit::Infinite,
        },
        ValueRule::Stream => match stream_entry(words) {
            Some(from) => longest(words, from..words.len()),
            None => Limit::Infinite,
        },
        ValueRule::Range => {
            let len = length(words.word(3));
            match integer(words.word(2)) {
                Some(offset) if offset >= 0 && len > 0 => Limit::At(offset.saturating_add(len)),
                Some(offset) if offset >= 0 => Limit::At(0), // nothing is written
                _ => Limit::Infinite,
            }
        }
        ValueRule::Bit => match integer(words.word(2)) {
            Some(offset) if offset >= 0 => Limit::At(offset / 8 + 1),
            _ => Limit::Infinite,
        },
        ValueRule::Bitfield => bitfield(words),
    }
}

fn length(word: &[u8]) -> i64 {
    i64::try_from(word.len()).unwrap_or(i64::MAX)
}

fn longest<W: Words + ?Sized>(words: &W, places: impl Iterator<Item = usize>) -> Limit {
    let lengths = places
        .take_while(|at| *at < words.len())
        .map(|at| length(words.word(at)));
    Limit::of(lengths.max())
}

/// `XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field value …`: the first
/// field.
fn stream_entry<W: Words + ?Sized>(words: &W) -> Option<usize> {
    let count = words.len();
    let mut at = 2;
    while at < count {
        if is(words, at, "nomkstream") {
            at += 1;
        } else if is(words, at, "maxlen") || is(words, at, "minid") {
            let exact = at + 1 < count && matches!(words.word(at + 1), b"=" | b"~");
            at += if exact { 3 } else { 2 };
        } else if is(words, at, "limit") {
            at += 2;
        } else {
            return Some(at + 1);
        }
    }
    None
}

/// `BITFIELD key [GET type offset] [OVERFLOW how] [SET type offset value] [INCRBY type offset increment]`.
/// An offset `#n` counts in fields of the type.
fn bitfield<W: Words + ?Sized>(words: &W) -> Limit {
    let end = |kind: &[u8], offset: &[u8]| -> Option<i64> {
        let bits = match kind {
            [b'i' | b'I' | b'u' | b'U', digits @ ..] => integer(digits)?,
            _ => return None,
        };
        let first = match offset {
            [b'#', digits @ ..] => integer(digits)?.checked_mul(bits)?,
            digits => integer(digits)?,
        };
        if !(1..=64).contains(&bits) || first < 0 {
            return None;
        }
        Some((first.checked_add(bits)? - 1) / 8 + 1)
    };
    let mut most = None;
    let count = words.len();
    let mut at = 2;
    while at < count {
        let follow = count - at - 1;
        if is(words, at, "get") && follow >= 2 {
            at += 3;
        } else if is(words, at, "overflow") && follow >= 1 {
            at += 2;
        } else if (is(words, at, "set") || is(words, at, "incrby")) && follow >= 3 {
            let Some(end) = end(words.word(at + 1), words.word(at + 2)) else {
                return Limit::Infinite;
            };
            most = most.max(Some(end));
            at += 4;
        } else {
            return Limit::Infinite;
        }
    }
    most.map_or(Limit::Absent, Limit::At)
}
