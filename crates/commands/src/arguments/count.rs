//! How many elements a call asks for, and how long it may wait.

use super::rules::{BlockingRule, CountOption, CountRule, Start};
use super::{Limit, integer, is};
use crate::Words;

/// The number of elements.
pub(super) fn find<W: Words + ?Sized>(rule: CountRule, words: &W) -> Limit {
    let has = |at: u16| usize::from(at) < words.len();
    let number = |at: u16| integer(words.word(usize::from(at)));
    match rule {
        CountRule::All => Limit::Infinite,
        CountRule::Word { at, none } if !has(at) => Limit::At(none),
        CountRule::Word { at, .. } => Limit::of(number(at).map(i64::saturating_abs)),
        CountRule::WordOrAll { at } if !has(at) => Limit::Infinite,
        CountRule::WordOrAll { at } => {
            let number = number(at).filter(|number| *number != 0);
            Limit::of(number.map(i64::saturating_abs))
        }
        CountRule::WordOrNegative { at, none } if !has(at) => Limit::At(none),
        CountRule::WordOrNegative { at, .. } => Limit::of(number(at).filter(|number| *number >= 0)),
        CountRule::Option(option) => Limit::of(greatest(&option, words, |at| {
            integer(words.word(at)).filter(|number| *number > 0)
        })),
        CountRule::Limit(option) => Limit::of(greatest_limit(&option, words)),
        CountRule::Indexes { at } => Limit::of(indexes(words, usize::from(at))),
        CountRule::Range(option) => {
            let Start::At(from) = option.start else {
                return Limit::Infinite;
            };
            let from = usize::from(from);
            let by_value = |at| is(words, at, "byscore") || is(words, at, "bylex");
            if (from..words.len()).any(by_value) {
                Limit::of(greatest_limit(&option, words))
            } else {
                Limit::of(indexes(words, from - 2))
            }
        }
        CountRule::Streams => match stream_option(words, "count") {
            Some(Some(at)) => Limit::of(integer(words.word(at)).filter(|number| *number > 0)),
            _ => Limit::Infinite,
        },
        CountRule::Pending => {
            let idle = words.len() > 3 && is(words, 3, "idle");
            let at = if idle { 7 } else { 5 };
            let word = (at < words.len()).then(|| words.word(at));
            Limit::of(word.and_then(integer).filter(|number| *number >= 0))
        }
    }
}

/// The greatest number of `LIMIT offset count`.
fn greatest_limit<W: Words + ?Sized>(option: &CountOption, words: &W) -> Option<i64> {
    greatest(option, words, |at| {
        integer(words.word(at + 1)).filter(|number| *number >= 0)
    })
}

/// The greatest number that an option gives; what it is without the option. `None`: no limit, a
/// number that `read` does not take, or no option of the command.
fn greatest<W: Words + ?Sized>(
    option: &CountOption,
    words: &W,
    read: impl Fn(usize) -> Option<i64>,
) -> Option<i64> {
    let mut at = match option.start {
        Start::At(at) => usize::from(at),
        Start::AfterKeys { number, more } => {
            let keys = usize::try_from(integer(words.word(usize::from(number)))?).ok()?;
            keys.checked_add(usize::from(number) + usize::from(more) + 1)?
        }
    };
    let mut found = None;
    while at < words.len() {
        let known = option.grammar.iter().find(|(name, _)| is(words, at, name));
        let (name, follow) = known?;
        let follow = match *follow {
            u8::MAX => {
                let corners = (at + 1 < words.len()).then(|| integer(words.word(at + 1)))??;
                usize::try_from(corners)
                    .ok()?
                    .checked_mul(2)?
                    .checked_add(1)?
            }
            follow => usize::from(follow),
        };
        if follow >= words.len() - at {
            return None;
        }
        if *name == option.name {
            found = found.max(Some(read(at + 1)?));
        }
        at += 1 + follow;
    }
    found.or(option.none)
}

/// How many elements two indexes can span at most; `None` if that depends on how many there are.
fn indexes<W: Words + ?Sized>(words: &W, at: usize) -> Option<i64> {
    let (first, last) = (integer(words.word(at))?, integer(words.word(at + 1))?);
    match (first < 0, last < 0) {
        // Both from the same end.
        (false, false) | (true, true) => Some(last.saturating_sub(first).saturating_add(1).max(0)),
        (false, true) => None,
        // From the last few to one of the first few: no more than either.
        (true, false) => Some(first.saturating_neg().min(last.saturating_add(1))),
    }
}

/// The word after an option of `XREAD` or `XREADGROUP`, which use the last one. `None` if the call has no `STREAMS` where options end.
fn stream_option<W: Words + ?Sized>(words: &W, option: &str) -> Option<Option<usize>> {
    let mut found = None;
    let mut at = 1;
    while at < words.len() {
        if is(words, at, "streams") {
            return Some(found);
        }
        let follow = if is(words, at, "group") {
            2
        } else if is(words, at, "noack") {
            0
        } else if ["count", "block", "claim"]
            .iter()
            .any(|name| is(words, at, name))
        {
            1
        } else {
            return None;
        };
        if is(words, at, option) {
            found = Some(at + 1);
        }
        at += 1 + follow;
    }
    None
}

/// The time out in milliseconds.
pub(super) fn blocking<W: Words + ?Sized>(rule: BlockingRule, words: &W) -> Limit {
    let seconds = |at: usize| {
        Limit::of(
            (at < words.len())
                .then(|| seconds(words.word(at)))
                .flatten(),
        )
    };
    let milliseconds = |at: usize| {
        let number = (at < words.len())
            .then(|| integer(words.word(at)))
            .flatten();
        Limit::of(number.filter(|number| *number > 0))
    };
    match rule {
        BlockingRule::Seconds(at) => seconds(usize::from(at)),
        BlockingRule::LastSeconds => seconds(words.len() - 1),
        BlockingRule::Milliseconds(at) => milliseconds(usize::from(at)),
        BlockingRule::Streams => match stream_option(words, "block") {
            Some(None) => Limit::Absent,
            Some(Some(at)) => milliseconds(at),
            None => Limit::Infinite,
        },
    }
}

/// Seconds with a fraction and an exponent, in milliseconds, rounded up. `None` for 0, for what is less
/// than a millisecond (some servers take it for 0), and for what is no such number.
fn seconds(word: &[u8]) -> Option<i64> {
    let (number, exponent) = match word.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&word[..at], exponent(&word[at + 1..])?),
        None => (word, 0),
    };
    let number = number.strip_prefix(b"+").unwrap_or(number);
    if number.len() > 40 || !number.iter().any(u8::is_ascii_digit) {
        return None;
    }
    // The digits as one number, and how far left of its end the point is.
    let (mut digits, mut point, mut fraction) = (0_u128, 0_i32, false);
    for byte in number {
        match byte {
            b'0'..=b'9' => {
                digits = digits
                    .checked_mul(10)?
                    .checked_add(u128::from(byte - b'0'))?;
                point += i32::from(fraction);
            }
            b'.' if !fraction => fraction = true,
            _ => return None,
        }
    }
    let shift = exponent + 3 - point;
    let scale = 10_u128.checked_pow(shift.unsigned_abs())?;
    let milliseconds = if shift >= 0 {
        digits.checked_mul(scale)?
    } else if digits < scale {
        return None;
    } else {
        digits.div_ceil(scale)
    };
    i64::try_from(milliseconds).ok().filter(|time| *time > 0)
}

fn exponent(word: &[u8]) -> Option<i32> {
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 3 {
        return None;
    }
    let number = digits.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i32::from(byte - b'0'))
    })?;
    Some(if negative { -number } else { number })
}
