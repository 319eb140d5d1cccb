//! Numbers as the server reads and writes them.

/// The integer that `text` is the canonical spelling of: no sign `+`, space or leading zero.
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // 19 digits are below 10^19, which fits into 64 bits.
        value = value * 10 + u64::from(digit - b'0');
    }
    if negative {
        (value <= i64::MIN.unsigned_abs()).then(|| (value as i64).wrapping_neg())
    } else {
        i64::try_from(value).ok()
    }
}

/// A scan cursor: decimal digits of an unsigned 64-bit number.
pub(crate) fn parse_cursor(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| digits.parse().ok())
        .flatten()
}

/// A floating-point number: no spaces, no NaN; infinities in words.
pub(crate) fn parse_double(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let value: f64 = text.parse().ok()?;
    // The server refuses what overflows or underflows, and takes infinities only in words.
    let spelled = || text.trim_start_matches(['+', '-']).starts_with(['i', 'I']);
    let mantissa = || text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E'));
    let underflow = value == 0.0 && mantissa().any(|byte| matches!(byte, b'1'..=b'9'));
    (!value.is_nan() && !underflow && (value.is_finite() || spelled())).then_some(value)
}

/// Decimal text of an integer without allocation.
pub(crate) struct IntegerText {
    bytes: [u8; 20],
    start: usize,
}

impl IntegerText {
    pub(crate) fn new(value: i64) -> Self {
        let mut bytes = [0; 20];
        let mut start = bytes.len();
        let mut rest = value.unsigned_abs();
        loop {
            start -= 1;
            bytes[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            start -= 1;
            bytes[start] = b'-';
        }
        Self { bytes, start }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_in_their_canonical_spelling_only() {
        let cases: &[(&str, Option<i64>)] = &[
            ("0", Some(0)),
            ("-0", None),
            ("", None),
            ("-", None),
            ("+1", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("12", Some(12)),
            ("-12", Some(-12)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775809", None),
            ("99999999999999999999", None),
            ("1.0", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_integer(text.as_bytes()), *expected, "{text:?}");
        }
    }

    #[test]
    fn integers_are_written_and_read_back() {
        for value in [0, 1, -1, 10, -10, 123_456_789, i64::MAX, i64::MIN] {
            let text = IntegerText::new(value);
            assert_eq!(text.as_bytes(), value.to_string().as_bytes());
            assert_eq!(parse_integer(text.as_bytes()), Some(value));
        }
    }

    #[test]
    fn doubles_are_read_as_the_server_does() {
        let cases: &[(&str, Option<f64>)] = &[
            ("1", Some(1.0)),
            ("-1.5e3", Some(-1500.0)),
            ("inf", Some(f64::INFINITY)),
            ("+inf", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("nan", None),
            ("", None),
            (" 1", None),
            ("1 ", None),
            ("1e400", None),
            ("1e-310", Some(1e-310)),
            ("1e-400", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_double(text.as_bytes()), *expected, "{text:?}");
        }
    }
}
