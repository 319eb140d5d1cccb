//! Header lines: a type byte, a decimal number, CR LF.

/// Number and end of a header of up to three digits, which nearly all are. `None`: it is longer,
/// unfinished, or wrong; the slow path tells which.
///
/// Six bytes are there wherever a word or bulk string is: the shortest is `$0\r\n\r\n`.
#[inline(always)]
pub(crate) fn short(input: &[u8], at: usize, kind: u8) -> Option<(usize, usize)> {
    let &[found, a, b, c, d, e] = input.get(at..)?.first_chunk::<6>()?;
    if found != kind {
        return None;
    }
    let a = a.wrapping_sub(b'0');
    if b == b'\r' {
        return (a <= 9 && c == b'\n').then_some((usize::from(a), at + 4));
    }
    let b = b.wrapping_sub(b'0');
    // No leading zero: the server takes none.
    if !(1..=9).contains(&a) || b > 9 {
        return None;
    }
    let two = usize::from(a) * 10 + usize::from(b);
    if c == b'\r' {
        return (d == b'\n').then_some((two, at + 5));
    }
    let c = c.wrapping_sub(b'0');
    (c <= 9 && d == b'\r' && e == b'\n').then(|| (two * 10 + usize::from(c), at + 6))
}

/// A decimal number as the server reads them: no sign but `-`, no leading zero, no blank, and
/// within 64 bits.
pub(crate) fn number(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        b"0" if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value = 0_i64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Built negative, since there is one more negative number than positive ones.
        value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if negative {
        Some(value)
    } else {
        value.checked_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_is_the_servers() {
        let cases: [(&str, Option<i64>); 16] = [
            ("0", Some(0)),
            ("7", Some(7)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("99999999999999999999", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("1a", None),
            ("--1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn short_agrees_with_number() {
        for value in 0..1200 {
            let text = format!("${value}\r\n\r\n");
            let expected = (value < 1000).then(|| (value, text.len() - 2));
            assert_eq!(short(text.as_bytes(), 0, b'$'), expected, "{text:?}");
        }
        for text in [
            "$01\r\n\r\n",
            "$-1\r\n\r\n",
            "$1\rx\r\n",
            "$12\rx\r\n",
            "$\r\n\r\n\r\n",
            "$1\r\n",
        ] {
            assert_eq!(short(text.as_bytes(), 0, b'$'), None, "{text:?}");
        }
    }
}
