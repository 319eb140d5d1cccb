//! Header lines: a type byte, a decimal number, CR LF.

/// Number and end of a header of up to five digits, which nearly all are. `None`: it is longer,
/// unfinished, or wrong; the slow path tells which.
///
/// A word or bulk string of one digit is at least 6 bytes long, and one of two digits 17, so that the
/// bytes looked at are there wherever it is whole.
#[inline(always)]
pub(crate) fn short(input: &[u8], at: usize, kind: u8) -> Option<(usize, usize)> {
    let input = input.get(at..)?;
    let line = u64::from(u32::from_le_bytes(*input.first_chunk()?));
    if ends_after::<1>(line, kind) {
        return Some((digits::<1>(line)?, at + 4));
    }
    let line = u64::from_le_bytes(*input.first_chunk()?);
    if ends_after::<2>(line, kind) {
        return Some((digits::<2>(line)?, at + 5));
    }
    if ends_after::<3>(line, kind) {
        return Some((digits::<3>(line)?, at + 6));
    }
    if ends_after::<4>(line, kind) {
        return Some((digits::<4>(line)?, at + 7));
    }
    if ends_after::<5>(line, kind) {
        return Some((digits::<5>(line)?, at + 8));
    }
    None
}

/// Whether the line, lowest byte first, is `kind`, `N` bytes, CR LF.
#[inline(always)]
fn ends_after<const N: u32>(line: u64, kind: u8) -> bool {
    let mask = 0xff | 0xffff << (8 * (N + 1));
    line & mask == u64::from(kind) | 0x0a0d << (8 * (N + 1))
}

/// The number in the `N` bytes behind the type byte. No leading zero: the server takes none.
#[inline(always)]
fn digits<const N: u32>(line: u64) -> Option<usize> {
    let mut value = 0;
    for i in 1..=N {
        let digit = (line >> (8 * i)) as u8;
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 || (i == 1 && N > 1 && digit == 0) {
            return None;
        }
        value = value * 10 + usize::from(digit);
    }
    Some(value)
}

/// End of the line that `at` is in, CR LF included. `None`: it is unfinished or wrong; the slow path
/// tells which.
#[inline(always)]
pub(crate) fn line_end(input: &[u8], mut at: usize) -> Option<usize> {
    // The first byte that is CR or LF, eight at a time: a byte equal to `c` is the lowest one that
    // borrows when 1 is taken from every byte of `x ^ c…c`.
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    while let Some(eight) = input.get(at..).and_then(|rest| rest.first_chunk()) {
        let eight = u64::from_le_bytes(*eight);
        let cr = eight ^ (ONES * b'\r' as u64);
        let lf = eight ^ (ONES * b'\n' as u64);
        let found = ((cr.wrapping_sub(ONES) & !cr) | (lf.wrapping_sub(ONES) & !lf)) & HIGH;
        if found != 0 {
            at += (found.trailing_zeros() / 8) as usize;
            return ends_at(input, at);
        }
        at += 8;
    }
    at += input
        .get(at..)?
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n'))?;
    ends_at(input, at)
}

#[inline(always)]
fn ends_at(input: &[u8], at: usize) -> Option<usize> {
    (input.get(at..)?.first_chunk() == Some(b"\r\n")).then_some(at + 2)
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
        for value in (0..1200).chain(9_990..10_010).chain(99_990..100_010) {
            let header = format!("${value}\r\n");
            let text = format!("{header}{}\r\n", "x".repeat(value));
            let expected = (value < 100_000).then_some((value, header.len()));
            assert_eq!(short(text.as_bytes(), 0, b'$'), expected, "{header:?}");
        }
        let wrong = [
            "01", "001", "0001", "-1", "1a", "a", "", "1 ", "12a4", "1\r", "1\n", "/", ":",
        ];
        for number in wrong {
            let text = format!("${number}\r\n0123456789");
            assert_eq!(short(text.as_bytes(), 0, b'$'), None, "{text:?}");
        }
        for text in ["", "$", "$1\r", "$1\rx\r\n", "$12\rx\r\n1234", "*1\r\n"] {
            assert_eq!(short(text.as_bytes(), 0, b'$'), None, "{text:?}");
        }
    }

    #[test]
    fn line_end_finds_the_first() {
        // Bytes that differ from CR and LF in one bit, and those that could borrow.
        let fillings = [
            b"x", b"\x0c", b"\x0b", b"\x0e", b"\x8d", b"\x8a", b"\0", b"\xff",
        ];
        for filling in fillings {
            for len in 0..40 {
                let line = filling.repeat(len);
                let cases = [
                    ("\r\n", Some(len + 2)),
                    ("\r\n\r\n1234567", Some(len + 2)),
                    ("", None),
                    ("\r", None),
                    ("\n\r\n", None),
                    ("\rx\r\n", None),
                ];
                for (end, expected) in cases {
                    let input = [&line, end.as_bytes()].concat();
                    assert_eq!(line_end(&input, 0), expected, "{}", input.escape_ascii());
                }
            }
        }
    }
}
