//! Quotes in selectors, as the server reads them.

use super::rules::Token;

/// Whether the last quote of a selector is closed. Blanks inside quotes do not end them.
pub(super) fn quotes_end(tokens: &[Token<'_>]) -> bool {
    let mut open = None;
    for token in tokens {
        let bytes = token.text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            at += match (open, byte) {
                (None, b'"' | b'\'') => {
                    open = Some(*byte);
                    1
                }
                (Some(b'"'), b'\\') => 2,
                (Some(b'\''), b'\\') if bytes.get(at + 1) == Some(&b'\'') => 2,
                (Some(quote), byte) if quote == *byte => {
                    open = None;
                    1
                }
                _ => 1,
            };
        }
    }
    open.is_none()
}

/// A word with quotes, as the server reads it inside parentheses. `None` if quotes are not
/// balanced, or something follows the closing one.
pub(super) fn unquoted(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match first {
            b'"' => double_quoted(after, &mut out)?,
            b'\'' => single_quoted(after, &mut out)?,
            byte => {
                out.push(*byte);
                after
            }
        };
        if matches!(first, b'"' | b'\'') && !rest.is_empty() {
            return None;
        }
    }
    Some(out)
}

/// What follows the closing quote; `text` follows the opening one.
fn double_quoted<'a>(mut text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        text = match text {
            [] => return None,
            [b'"', after @ ..] => return Some(after),
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok()?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
                after
            }
            [b'\\', escaped, after @ ..] => {
                out.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                after
            }
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        };
    }
}

/// What follows the closing quote; `text` follows the opening one.
fn single_quoted<'a>(mut text: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match text {
            [] => return None,
            [b'\'', after @ ..] => return Some(after),
            [b'\\', b'\'', after @ ..] => (b'\'', after),
            [byte, after @ ..] => (*byte, after),
        };
        out.push(byte);
        text = after;
    }
}
