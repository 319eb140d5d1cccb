//! Exact decimal numbers, as numeric conditions compare them.

use std::fmt;

/// Fraction digits that are kept.
const DIGITS: u32 = 18;
const ONE: i128 = 10_i128.pow(DIGITS);

/// A decimal number with up to 18 digits after the point and magnitude below 10^20, or infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(i128);

impl Number {
    /// Larger than any other: a limit that a command leaves open.
    pub const INFINITE: Self = Self(i128::MAX);

    /// A number of thousandths: seconds from milliseconds.
    pub fn milli(thousandths: i64) -> Self {
        Self(i128::from(thousandths) * (ONE / 1000))
    }

    /// A whole number.
    pub fn from_i64(whole: i64) -> Self {
        Self(i128::from(whole) * ONE)
    }

    /// In thousandths, rounded down; `None` if it is infinite or too large.
    pub fn to_milli(self) -> Option<i64> {
        if self == Self::INFINITE {
            return None;
        }
        i64::try_from(self.0.div_euclid(ONE / 1000)).ok()
    }

    /// Reads `-12.50`: digits, one point, a sign, and no exponent beyond what the number of a JSON
    /// document may have (`1e3`). `None` for anything else, and for what is out of range.
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.as_bytes().first()? {
            b'-' => (true, &mantissa[1..]),
            b'+' => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let empty = whole.is_empty() && fraction.is_empty();
        if empty || !is_number(whole) || !is_number(fraction) || whole.len() + fraction.len() > 400
        {
            return None;
        }
        // value = digits * 10^(exponent - fraction digits), kept as digits * 10^shift.
        let all = || whole.bytes().chain(fraction.bytes());
        let mut shift = i64::from(exponent) - fraction.len() as i64 + i64::from(DIGITS);
        let mut value: i128 = 0;
        let mut dropped = 0;
        let total = whole.len() + fraction.len();
        if shift < 0 {
            // Digits beyond the eighteenth after the point.
            dropped = usize::try_from(-shift).ok()?.min(total);
            shift = 0;
        }
        for digit in all().take(total - dropped) {
            value = value
                .checked_mul(10)?
                .checked_add(i128::from(digit - b'0'))?;
        }
        if value != 0 {
            let factor = 10_i128.checked_pow(u32::try_from(shift).ok()?)?;
            value = value.checked_mul(factor)?;
        }
        (value < i128::MAX / 2).then_some(Self(if negative { -value } else { value }))
    }
}

impl From<u64> for Number {
    fn from(whole: u64) -> Self {
        Self(i128::from(whole) * ONE)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::INFINITE {
            return f.write_str("infinite");
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, fraction) = (
            self.0.unsigned_abs() / ONE as u128,
            self.0.unsigned_abs() % ONE as u128,
        );
        write!(f, "{sign}{whole}")?;
        if fraction != 0 {
            let digits = format!("{fraction:018}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written() {
        let cases = [
            ("0", Some("0")),
            ("-0", Some("0")),
            ("+7", Some("7")),
            ("12.50", Some("12.5")),
            (".5", Some("0.5")),
            ("5.", Some("5")),
            ("-3.25", Some("-3.25")),
            ("1e3", Some("1000")),
            ("25e-1", Some("2.5")),
            ("18446744073709551615", Some("18446744073709551615")),
            ("0.000000000000000001", Some("0.000000000000000001")),
            ("0.0000000000000000001", Some("0")),
            ("1e-30", Some("0")),
            ("", None),
            (".", None),
            ("-", None),
            ("1e", None),
            ("1x", None),
            ("1 ", None),
            ("0x10", None),
            ("1e30", None),
            ("1e999999999999", None),
            ("99999999999999999999999", None),
            ("NaN", None),
            ("Infinity", None),
        ];
        for (text, expected) in cases {
            let number = Number::parse(text).map(|number| number.to_string());
            assert_eq!(number.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn compared() {
        let number = |text| Number::parse(text).unwrap();
        assert!(number("1.10") == number("1.1"));
        assert!(number("-2") < number("-1.5"));
        assert!(Number::from(u64::MAX) < Number::INFINITE);
        assert_eq!(Number::milli(1500), number("1.5"));
        assert_eq!(number("1.5").to_milli(), Some(1500));
        assert_eq!(Number::INFINITE.to_milli(), None);
    }
}
