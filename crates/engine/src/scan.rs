//! The SCAN family: iteration in steps, with a cursor in between.

use crate::call::{Arguments, Call};
use crate::failure::{Failure, Outcome};
use crate::glob;
use crate::number::{parse_cursor, parse_integer, seventeen_digits};
use crate::reply::Reply;
use keyward_resp::format_double;

/// Names that `SCAN … TYPE` knows, those included that this engine has no values of.
const TYPES: &[&str] = &["string", "list", "set", "zset", "hash", "stream"];

/// Options of one call.
struct Options<'a> {
    pattern: Option<&'a [u8]>,
    count: u64,
    type_name: Option<&'static str>,
    no_values: bool,
    no_scores: bool,
}

/// Which options a command has besides MATCH and COUNT.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Scanned {
    Keys,
    Set,
    Hash,
    SortedSet,
}

impl<'a> Options<'a> {
    fn parse(arguments: Arguments<'a>, from: usize, scanned: Scanned) -> Result<Self, Failure> {
        let mut options = Self {
            pattern: None,
            count: 10,
            type_name: None,
            no_values: false,
            no_scores: false,
        };
        let mut at = from;
        while at < arguments.len() {
            let more = at + 1 < arguments.len();
            if more && arguments.is(at, "count") {
                let count = parse_integer(arguments.word(at + 1)).ok_or(Failure::NOT_AN_INTEGER)?;
                options.count = match u64::try_from(count) {
                    Ok(count) if count > 0 => count,
                    _ => return Err(Failure::SYNTAX),
                };
                at += 2;
            } else if more && arguments.is(at, "match") {
                options.pattern = Some(arguments.word(at + 1)).filter(|pattern| *pattern != b"*");
                at += 2;
            } else if more && scanned == Scanned::Keys && arguments.is(at, "type") {
                let known = TYPES.iter().find(|name| arguments.is(at + 1, name));
                options.type_name = Some(known.ok_or_else(|| {
                    let name = String::from_utf8_lossy(arguments.word(at + 1));
                    Failure::of(format!("ERR unknown type name '{name}'"))
                })?);
                at += 2;
            } else if arguments.is(at, "novalues") {
                if scanned != Scanned::Hash {
                    return Err(Failure::new(
                        "ERR NOVALUES option can only be used in HSCAN",
                    ));
                }
                options.no_values = true;
                at += 1;
            } else if arguments.is(at, "noscores") {
                if scanned != Scanned::SortedSet {
                    return Err(Failure::new(
                        "ERR NOSCORES option can only be used in ZSCAN",
                    ));
                }
                options.no_scores = true;
                at += 1;
            } else {
                return Err(Failure::SYNTAX);
            }
        }
        Ok(options)
    }

    fn matches(&self, text: &[u8]) -> bool {
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, text))
    }

    /// Takes steps until enough was found, everything was seen, or too much looked at. `step` makes
    /// one and tells how many elements it found.
    fn steps(&self, mut cursor: u64, mut step: impl FnMut(u64) -> (u64, u64)) -> u64 {
        let mut left = self.count.saturating_mul(10);
        let mut found = 0;
        loop {
            let (next, more) = step(cursor);
            cursor = next;
            found += more;
            left -= 1;
            if cursor == 0 || left == 0 || found >= self.count {
                return cursor;
            }
        }
    }
}

fn cursor_of(arguments: Arguments<'_>, at: usize) -> Result<u64, Failure> {
    parse_cursor(arguments.word(at)).ok_or(Failure::INVALID_CURSOR)
}

fn answer_header(reply: &mut Reply<'_>, cursor: u64, elements: usize) {
    reply.array(2);
    reply.bulk(cursor.to_string().as_bytes());
    reply.array(elements);
}

pub(crate) fn scan(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let cursor = cursor_of(arguments, 1)?;
    let options = Options::parse(arguments, 2, Scanned::Keys)?;
    let now = call.space.now();
    let keyspace = call.space.keyspace();
    let mut found: Vec<&[u8]> = Vec::new();
    let cursor = options.steps(cursor, |cursor| {
        let mut seen = 0;
        let next = keyspace.scan(cursor, now, |key, value| {
            seen += 1;
            if options
                .type_name
                .is_none_or(|name| name == value.type_name())
                && options.matches(key)
            {
                found.push(key);
            }
        });
        (next, seen)
    });
    answer_header(&mut call.reply, cursor, found.len());
    for key in found {
        call.reply.bulk(key);
    }
    Ok(())
}

pub(crate) fn sscan(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let cursor = cursor_of(arguments, 2)?;
    let Some(set) = call.space.set(arguments.word(1))? else {
        answer_header(&mut call.reply, 0, 0);
        return Ok(());
    };
    let options = Options::parse(arguments, 3, Scanned::Set)?;
    let mut found: Vec<&[u8]> = Vec::new();
    let cursor = options.steps(cursor, |cursor| {
        let mut seen = 0;
        let next = set.scan(cursor, |member, ()| {
            seen += 1;
            if options.matches(member) {
                found.push(member);
            }
        });
        (next, seen)
    });
    answer_header(&mut call.reply, cursor, found.len());
    for member in found {
        call.reply.bulk(member);
    }
    Ok(())
}

pub(crate) fn hscan(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let cursor = cursor_of(arguments, 2)?;
    let Some(hash) = call.space.hash(arguments.word(1))? else {
        answer_header(&mut call.reply, 0, 0);
        return Ok(());
    };
    let options = Options::parse(arguments, 3, Scanned::Hash)?;
    let mut found: Vec<(&[u8], &[u8])> = Vec::new();
    let cursor = options.steps(cursor, |cursor| {
        let mut seen = 0;
        let next = hash.scan(cursor, |field, value| {
            seen += 1;
            if options.matches(field) {
                found.push((field, value));
            }
        });
        (next, seen)
    });
    let words = if options.no_values { 1 } else { 2 };
    answer_header(&mut call.reply, cursor, found.len() * words);
    for (field, value) in found {
        call.reply.bulk(field);
        if !options.no_values {
            call.reply.bulk(value);
        }
    }
    Ok(())
}

pub(crate) fn zscan(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let cursor = cursor_of(arguments, 2)?;
    let Some(set) = call.space.sorted_set(arguments.word(1))? else {
        answer_header(&mut call.reply, 0, 0);
        return Ok(());
    };
    let options = Options::parse(arguments, 3, Scanned::SortedSet)?;
    let mut found: Vec<(&[u8], f64)> = Vec::new();
    let cursor = options.steps(cursor, |cursor| {
        let mut seen = 0;
        let next = set.scan(cursor, |member, score| {
            seen += 1;
            if options.matches(member) {
                found.push((member, score));
            }
        });
        (next, seen)
    });
    let words = if options.no_scores { 1 } else { 2 };
    answer_header(&mut call.reply, cursor, found.len() * words);
    for (member, score) in found {
        call.reply.bulk(member);
        if !options.no_scores {
            // The server writes the scores of its two forms in two ways.
            let text = if set.is_compact() {
                format_double(score)
            } else {
                seventeen_digits(score)
            };
            call.reply.bulk(text.as_bytes());
        }
    }
    Ok(())
}
