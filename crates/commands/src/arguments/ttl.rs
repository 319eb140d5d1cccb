//! For how long what a call writes is to live.

use super::rules::{Clock, TtlRule, Unit};
use super::{integer, is};
use crate::Words;

/// The time in milliseconds from `now`; `None` if the call sets none.
pub(super) fn find<W: Words + ?Sized>(rule: TtlRule, words: &W, now: i64) -> Option<i64> {
    match rule {
        TtlRule::Word { at, clock } => {
            let at = usize::from(at);
            (at < words.len()).then(|| read(words.word(at), clock, now))?
        }
        TtlRule::Options { from } => options(words, usize::from(from), words.len(), now),
        TtlRule::BeforeFields { from } => {
            let from = usize::from(from);
            let fields = (from..words.len()).find(|at| is(words, *at, "fields"))?;
            options(words, from, fields, now)
        }
        TtlRule::AfterPairs => {
            let pairs = usize::try_from(integer(words.word(1))?).ok()?;
            let from = pairs.checked_mul(2)?.checked_add(2)?;
            options(words, from, words.len(), now)
        }
        TtlRule::Restore => restore(words, now),
    }
}

/// A time as a word tells it.
fn read(word: &[u8], clock: Clock, now: i64) -> Option<i64> {
    let number = integer(word)?;
    let time = match clock.unit {
        Unit::Seconds => number.checked_mul(1000)?,
        Unit::Milliseconds => number,
    };
    // The least number is a date, too, long past.
    Some(if clock.date {
        time.saturating_sub(now)
    } else {
        time
    })
}

/// The last `EX`, `PX`, `EXAT` or `PXAT` among options. Different ones, and `KEEPTTL` or `PERSIST`
/// beside one, are a syntax error.
fn options<W: Words + ?Sized>(words: &W, from: usize, end: usize, now: i64) -> Option<i64> {
    const EXPIRIES: [(&str, Clock); 4] = [
        ("ex", Clock::SECONDS),
        ("px", Clock::MILLISECONDS),
        ("exat", Clock::DATE),
        ("pxat", Clock::DATE_MILLISECONDS),
    ];
    const FLAGS: [&str; 5] = ["nx", "xx", "get", "fnx", "fxx"];
    let mut found = None;
    let mut at = from;
    while at < end {
        if let Some((_, clock)) = EXPIRIES.iter().find(|(name, _)| is(words, at, name)) {
            if at + 1 == end || found.is_some_and(|(known, _)| known != *clock) {
                return None;
            }
            found = Some((*clock, at + 1)); // of several the last one is read, and no other
            at += 2;
        } else if is(words, at, "ifeq") {
            at += 2;
        } else if FLAGS.iter().any(|name| is(words, at, name)) {
            at += 1;
        } else {
            return None; // KEEPTTL, PERSIST, or no option at all
        }
    }
    let (clock, word) = found.filter(|_| at == end)?;
    let word = words.word(word);
    // The server refuses what is not after now.
    integer(word).filter(|number| *number > 0)?;
    read(word, clock, now)
}

/// `RESTORE key ttl value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`: 0 is no expiry.
fn restore<W: Words + ?Sized>(words: &W, now: i64) -> Option<i64> {
    let time = integer(words.word(2)).filter(|time| *time > 0)?;
    let mut date = false;
    let mut at = 4;
    while at < words.len() {
        if is(words, at, "absttl") {
            date = true;
        } else if is(words, at, "idletime") || is(words, at, "freq") {
            at += 1;
        } else if !is(words, at, "replace") {
            return None;
        }
        at += 1;
    }
    if date {
        time.checked_sub(now)
    } else {
        Some(time)
    }
}
