//! Inline requests: one line of words, with the server's own quoting.

use crate::Words;

/// A quote was not closed, or a closing quote was followed by something else than a blank.
pub(crate) struct Unbalanced;

/// Splits a line (without its end) into words.
///
/// Source: the behaviour of the servers' `sdssplitargs`. Words are separated by blanks. `"…"` knows
/// `\n`, `\r`, `\t`, `\b`, `\a`, `\xhh` and `\` before any other byte; `'…'` knows `\'` only. A quote may
/// begin inside a word and ends it. Valkey 9.1 lets a word go on after a quote; this is refused, since
/// the others refuse it.
pub(crate) fn split(line: &[u8], words: &mut Words) -> Result<(), Unbalanced> {
    let mut rest = line;
    loop {
        rest = trim_blanks(rest);
        if rest.is_empty() {
            return Ok(());
        }
        let start = words.begin_unquoted();
        rest = word(rest, words)?;
        words.end_unquoted(start);
    }
}

/// Unquotes one word; returns what follows it.
fn word<'a>(mut rest: &'a [u8], words: &mut Words) -> Result<&'a [u8], Unbalanced> {
    loop {
        match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(rest),
            [b'"', inside @ ..] => return double_quoted(inside, words),
            [b'\'', inside @ ..] => return single_quoted(inside, words),
            [byte, after @ ..] => {
                words.push_unquoted(*byte);
                rest = after;
            }
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], words: &mut Words) -> Result<&'a [u8], Unbalanced> {
    loop {
        let byte;
        (byte, rest) = match rest {
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (hex(*high) << 4 | hex(*low), after)
            }
            [b'\\', escaped, after @ ..] => (unescape(*escaped), after),
            [b'"', after @ ..] => return closed(after),
            [byte, after @ ..] => (*byte, after),
            [] => return Err(Unbalanced),
        };
        words.push_unquoted(byte);
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], words: &mut Words) -> Result<&'a [u8], Unbalanced> {
    loop {
        let byte;
        (byte, rest) = match rest {
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [b'\'', after @ ..] => return closed(after),
            [byte, after @ ..] => (*byte, after),
            [] => return Err(Unbalanced),
        };
        words.push_unquoted(byte);
    }
}

fn closed(after: &[u8]) -> Result<&[u8], Unbalanced> {
    match after.first() {
        Some(&byte) if !is_blank(byte) => Err(Unbalanced),
        _ => Ok(after),
    }
}

fn trim_blanks(mut rest: &[u8]) -> &[u8] {
    while let [byte, after @ ..] = rest
        && is_blank(*byte)
    {
        rest = after;
    }
    rest
}

/// As C's `isspace`.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}
