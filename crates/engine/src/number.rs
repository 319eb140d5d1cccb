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

/// A scan cursor, read as the server reads it (`string2ull`): a plain integer must not be negative;
/// anything else is left to `strtoull`, where white space and a sign may stand before the digits, a
/// negative number wraps, and a zero byte ends the text.
pub(crate) fn parse_cursor(text: &[u8]) -> Option<u64> {
    if let Some(plain) = parse_integer(text) {
        return u64::try_from(plain).ok();
    }
    let text = std::str::from_utf8(text.split(|byte| *byte == 0).next()?).ok()?;
    let text = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match text.starts_with('-') {
        true => value.wrapping_neg(),
        false => value,
    })
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

/// A bound of a range of scores, read as the server reads it: up to a zero byte, nothing is 0, and
/// what is too great is infinite.
pub(crate) fn parse_range_bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next()?;
    if text.is_empty() {
        return Some(0.0);
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

/// A number with 17 significant digits at most: `%.17g` of C.
pub(crate) fn seventeen_digits(value: f64) -> String {
    if !value.is_finite() {
        return keyward_resp::format_double(value);
    }
    let scientific = format!("{value:.16e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..17).contains(&exponent) {
        let decimals = usize::try_from(16 - exponent).unwrap_or(0);
        return trimmed(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
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
    fn seventeen_digits_are_those_of_c() {
        let cases = [
            (0.1, "0.10000000000000001"),
            (3.0, "3"),
            (-2.5, "-2.5"),
            (1e20, "1e+20"),
            (1e-7, "9.9999999999999995e-08"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123_456_789.123, "123456789.123"),
            (-0.0, "-0"),
            (f64::INFINITY, "inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(seventeen_digits(value), expected);
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
