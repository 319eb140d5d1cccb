//! The keys that Valkey 9.1 looks at when it checks a call: exactly what its ACL sees, also of
//! calls that fail when they run.
//!
//! What a call touches is another question, which [`keyward_commands::touched`] answers.

use keyward_commands::{BeginSearch, Command, FindKeys, KeyFlags, KeySpec, Words};

/// A key that is checked: its word and whether it is read and written. Neither: any pattern will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) word: usize,
    pub(super) reads: bool,
    pub(super) writes: bool,
}

const READ: (bool, bool) = (true, false);
const WRITE: (bool, bool) = (false, true);
const BOTH: (bool, bool) = (true, true);
const ANY: (bool, bool) = (false, false);

/// Lists the keys of a call in the order in which they are checked.
pub(super) fn checked<W: Words + ?Sized>(command: &Command, words: &W) -> Vec<Checked> {
    let mut keys = Vec::new();
    if !super::commands::has_keys(command) {
        return keys;
    }
    let varies = |spec: &KeySpec| spec.flags.contains(KeyFlags::VARIABLE_FLAGS);
    let by_specs = !command.key_specs.iter().any(varies);
    if by_specs && by_key_specs(command, words, &mut keys) {
        return keys;
    }
    keys.clear();
    by_own_rule(command.name, words, &mut keys);
    keys
}

fn access(flags: KeyFlags) -> (bool, bool) {
    (flags.contains(KeyFlags::ACCESS), flags.writes())
}

fn push(keys: &mut Vec<Checked>, word: usize, (reads, writes): (bool, bool)) {
    keys.push(Checked {
        word,
        reads,
        writes,
    });
}

/// By the key specifications. `false` if one of them does not fit the call.
fn by_key_specs<W: Words + ?Sized>(command: &Command, words: &W, keys: &mut Vec<Checked>) -> bool {
    let specs = command.key_specs.iter();
    specs
        .filter(|spec| !spec.flags.contains(KeyFlags::NOT_KEY))
        .all(|spec| by_key_spec(spec, words, keys))
}

fn by_key_spec<W: Words + ?Sized>(spec: &KeySpec, words: &W, keys: &mut Vec<Checked>) -> bool {
    let count = words.len();
    let begin = match spec.begin {
        BeginSearch::Index(at) => usize::from(at),
        BeginSearch::Keyword { word, start } => match find_keyword(words, word, start) {
            Some(at) => at + 1,
            None => return true,
        },
        BeginSearch::Unknown => return false,
    };
    let (first, last, step) = match spec.find {
        FindKeys::Range { last, step, limit } => {
            let last = match usize::try_from(last) {
                Ok(last) => Some(begin + last),
                Err(_) => {
                    let before = usize::from(last.unsigned_abs());
                    let end = match usize::from(limit) {
                        0 | 1 => count,
                        limit => begin + count.saturating_sub(begin) / limit,
                    };
                    end.checked_sub(before)
                }
            };
            (begin, last, step)
        }
        FindKeys::KeyNum {
            count: number,
            first,
            step,
        } => {
            let at = begin + usize::from(number);
            let number = if at < count {
                strict_number(words.word(at))
            } else {
                None
            };
            let Some(number) = number.and_then(|number| usize::try_from(number).ok()) else {
                return false;
            };
            let first = begin + usize::from(first);
            let steps = number.checked_sub(1);
            let span = steps.and_then(|steps| steps.checked_mul(usize::from(step).max(1)));
            let last = span.and_then(|span| first.checked_add(span));
            (first, last, step)
        }
        FindKeys::Unknown => return false,
    };
    match last {
        Some(last) if first <= last && last < count => {
            let all = (first..=last).step_by(usize::from(step).max(1));
            all.for_each(|word| push(keys, word, access(spec.flags)));
            !spec.flags.contains(KeyFlags::INCOMPLETE)
        }
        _ => false,
    }
}

/// The word that is a keyword in any letter case. The search ends before the last word, and
/// backwards before the first argument: no keys could follow, or it is none.
fn find_keyword<W: Words + ?Sized>(words: &W, keyword: &str, start: i16) -> Option<usize> {
    let count = words.len();
    let is = |at: &usize| equals(words.word(*at), keyword);
    let distance = usize::from(start.unsigned_abs());
    if start > 0 {
        (distance..count.saturating_sub(1)).find(is)
    } else {
        let from = count.checked_sub(distance)?;
        (2..=from.min(count.checked_sub(1)?)).rev().find(is)
    }
}

/// The rules that the server has beside the specifications: for what these cannot tell, and as a
/// second try where they do not fit.
fn by_own_rule<W: Words + ?Sized>(name: &str, words: &W, keys: &mut Vec<Checked>) {
    match name {
        "set" => {
            let reads = (3..words.len()).any(|at| equals(words.word(at), "get"));
            push(keys, 1, if reads { BOTH } else { WRITE });
        }
        "bitfield" => push(keys, 1, if only_gets(words) { READ } else { BOTH }),
        "sort" => sort(words, keys),
        "sort_ro" => push(keys, 1, READ),
        "migrate" => migrate(words, keys),
        "georadius" | "georadiusbymember" => georadius(words, keys),
        "xread" | "xreadgroup" => streams(words, keys),
        "eval" | "eval_ro" | "evalsha" | "evalsha_ro" | "fcall" | "fcall_ro" | "blmpop"
        | "bzmpop" => counted(words, 2, None, keys),
        "lmpop" | "zmpop" | "sintercard" | "zdiff" | "zinter" | "zintercard" | "zunion" => {
            counted(words, 1, None, keys);
        }
        "zdiffstore" | "zinterstore" | "zunionstore" => counted(words, 2, Some(1), keys),
        _ => {}
    }
}

/// As many keys as a word tells, behind it. A number that does not fit means no key at all.
fn counted<W: Words + ?Sized>(
    words: &W,
    number: usize,
    destination: Option<usize>,
    keys: &mut Vec<Checked>,
) {
    if number >= words.len() {
        return;
    }
    let room = (words.len() - number - 1) as i64;
    let count = lenient_number(words.word(number));
    if count < 1 || count > room {
        return;
    }
    for word in number + 1..=number + count as usize {
        push(keys, word, ANY);
    }
    if let Some(destination) = destination {
        push(keys, destination, ANY);
    }
}

/// `BITFIELD`: whether there is nothing but `GET` and `OVERFLOW`.
fn only_gets<W: Words + ?Sized>(words: &W) -> bool {
    let mut at = 2;
    while at < words.len() {
        let word = words.word(at);
        let follow = words.len() - at - 1;
        at += if equals(word, "get") && follow >= 2 {
            3
        } else if equals(word, "overflow") && follow >= 1 {
            2
        } else {
            return false;
        };
    }
    true
}

fn sort<W: Words + ?Sized>(words: &W, keys: &mut Vec<Checked>) {
    push(keys, 1, READ);
    let mut destination = None;
    let mut at = 2;
    while at < words.len() {
        let word = words.word(at);
        if equals(word, "limit") {
            at += 2;
        } else if equals(word, "get") || equals(word, "by") {
            at += 1;
        } else if equals(word, "store") && at + 1 < words.len() {
            destination = Some(at + 1); // the last one is used
        }
        at += 1;
    }
    if let Some(word) = destination {
        push(keys, word, WRITE);
    }
}

fn migrate<W: Words + ?Sized>(words: &W, keys: &mut Vec<Checked>) {
    let mut at = 6;
    while at < words.len() {
        let word = words.word(at);
        if equals(word, "keys") {
            if words.word(3).is_empty() {
                (at + 1..words.len()).for_each(|word| push(keys, word, BOTH));
            }
            return;
        }
        at += match word {
            word if equals(word, "auth") => 2,
            word if equals(word, "auth2") => 3,
            _ => 1,
        };
    }
    push(keys, 3, BOTH);
}

fn georadius<W: Words + ?Sized>(words: &W, keys: &mut Vec<Checked>) {
    push(keys, 1, READ);
    let mut destination = None;
    let mut at = 5;
    while at + 1 < words.len() {
        let word = words.word(at);
        if equals(word, "store") || equals(word, "storedist") {
            at += 1;
            destination = Some(at); // the last one is used
        }
        at += 1;
    }
    if let Some(word) = destination {
        push(keys, word, WRITE);
    }
}

fn streams<W: Words + ?Sized>(words: &W, keys: &mut Vec<Checked>) {
    let mut at = 1;
    while at < words.len() {
        let word = words.word(at);
        if equals(word, "streams") {
            let rest = words.len() - at - 1;
            if rest > 0 && rest.is_multiple_of(2) {
                (at + 1..=at + rest / 2).for_each(|word| push(keys, word, ANY));
            }
            return;
        }
        at += match word {
            word if equals(word, "block") || equals(word, "count") => 2,
            word if equals(word, "group") => 3,
            word if equals(word, "noack") => 1,
            _ => return,
        };
    }
}

/// Whether a word is this keyword, as the server compares them: up to the first NUL.
pub(super) fn equals(word: &[u8], keyword: &str) -> bool {
    until_nul(word).eq_ignore_ascii_case(keyword.as_bytes())
}

/// What the server sees of a word where it takes it for text that ends with a NUL.
pub(super) fn until_nul(word: &[u8]) -> &[u8] {
    let end = word.iter().position(|byte| *byte == 0);
    &word[..end.unwrap_or(word.len())]
}

/// A whole number without anything around it: no `+`, no blanks, no leading zero.
pub(super) fn strict_number(word: &[u8]) -> Option<i64> {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    let plain = match digits {
        [b'0'] => word.len() == 1,
        [b'1'..=b'9', ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !plain {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The number that a word begins with, blanks before it; else 0.
fn lenient_number(word: &[u8]) -> i64 {
    let text = until_nul(word);
    let blanks = text
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b)
        .count();
    let text = &text[blanks..];
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let number = digits.fold(0_i64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    });
    // As the server's `int`: what is larger wraps, and then is no number of words either way.
    let number = number as i32;
    i64::from(if negative {
        number.wrapping_neg()
    } else {
        number
    })
}
