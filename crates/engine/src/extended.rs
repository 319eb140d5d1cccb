//! The 80-bit floating-point numbers in which the server computes `INCRBYFLOAT`.
//!
//! The server adds in C's `long double`, on x86-64 a sign, 64 bits of mantissa and 15 of exponent,
//! and prints with 17 decimals. Replies equal the server's only if the rounding does: with 64-bit
//! numbers 0.1 + 0.2 would be 0.30000000000000004.

/// Finite number `mantissa * 2^exponent`. INVARIANT: the mantissa is zero or has its top bit set,
/// unless the exponent is the least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extended {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

/// Result of reading: the format also has infinities, which the commands refuse later than text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Parsed {
    Finite(Extended),
    Infinite,
}

/// Exponent of the smallest numbers: 2^-16445 is the least positive one.
const LEAST_EXPONENT: i32 = -16445;
/// Greatest exponent of a 64-bit mantissa: numbers are below 2^16384.
const GREATEST_EXPONENT: i32 = 16384 - 64;
/// Longest text of a number, as the server's buffer.
const MAX_TEXT: usize = 5 * 1024 - 1;

impl Extended {
    /// Reads a decimal or hexadecimal number; `None` if it is none, or not representable.
    pub(crate) fn parse(text: &[u8]) -> Option<Parsed> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return None;
        }
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            return Some(Parsed::Infinite);
        }
        if let [b'0', b'x' | b'X', rest @ ..] = rest {
            let (big, exponent) = hexadecimal(rest)?;
            if big.is_zero() {
                return Some(Parsed::Finite(Self::zero(negative)));
            }
            let value = Self::round(negative, &big, exponent, false)?;
            return (value.mantissa != 0).then_some(Parsed::Finite(value));
        }
        let (digits, exponent) = decimal(rest)?;
        let leading_zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        let digits = &digits[leading_zeros..];
        if digits.is_empty() {
            return Some(Parsed::Finite(Self::zero(negative)));
        }
        // Outside of what can be represented, which is 10^-4951 to 10^4932; bounds the work below.
        let magnitude = digits.len() as i64 + exponent;
        if !(-4960..=4940).contains(&magnitude) {
            return None;
        }
        let mut big = Big::default();
        for group in digits.chunks(9) {
            let value = group
                .iter()
                .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
            big.multiply_add(10u32.pow(group.len() as u32), value);
        }
        let mut shift = 0;
        let mut inexact = false;
        if exponent >= 0 {
            let mut left = exponent;
            while left > 0 {
                let step = left.min(9);
                big.multiply_add(10u32.pow(step as u32), 0);
                left -= step;
            }
        } else {
            // Enough bits that the quotient keeps 64 and a rest: log2(10) < 3.33.
            shift = 130 + ((-exponent) * 333 / 100) as i32;
            big.shift_left(shift as usize);
            let mut left = -exponent;
            while left > 0 {
                let step = left.min(9);
                inexact |= big.divide(10u32.pow(step as u32)) != 0;
                left -= step;
            }
        }
        let value = Self::round(negative, &big, -shift, inexact)?;
        // The server refuses a text that underflows to zero.
        (value.mantissa != 0).then_some(Parsed::Finite(value))
    }

    fn zero(negative: bool) -> Self {
        Self {
            negative,
            mantissa: 0,
            exponent: LEAST_EXPONENT,
        }
    }

    /// Nearest number to `big * 2^exponent` (and a bit more if `inexact`), ties to even; `None` if
    /// it is too great.
    fn round(negative: bool, big: &Big, exponent: i32, mut inexact: bool) -> Option<Self> {
        let bits = big.bits() as i32;
        let mut drop = bits - 64;
        if exponent + drop < LEAST_EXPONENT {
            drop = LEAST_EXPONENT - exponent;
        }
        let mut exponent = exponent + drop;
        let mut mantissa;
        if drop > 0 {
            let drop = drop as usize;
            mantissa = big.bits_from(drop);
            let half = big.bit(drop - 1);
            inexact |= big.any_below(drop - 1);
            if half && (inexact || mantissa & 1 == 1) {
                match mantissa.checked_add(1) {
                    Some(next) => mantissa = next,
                    None => {
                        mantissa = 1 << 63;
                        exponent += 1;
                    }
                }
            }
        } else {
            // Exact: shifted up to the top bit.
            mantissa = big.bits_from(0) << -drop;
        }
        (exponent <= GREATEST_EXPONENT).then_some(Self {
            negative,
            mantissa,
            exponent,
        })
    }

    /// Sum, rounded once; `None` if it overflows.
    pub(crate) fn add(self, other: Self) -> Option<Self> {
        let (large, small) = if (self.exponent, self.mantissa) >= (other.exponent, other.mantissa) {
            (self, other)
        } else {
            (other, self)
        };
        if small.mantissa == 0 || large.mantissa == 0 {
            let sum = if small.mantissa == 0 { large } else { small };
            let both_zero = large.mantissa == 0 && small.mantissa == 0;
            let negative = if both_zero {
                large.negative && small.negative
            } else {
                sum.negative
            };
            return Some(Self { negative, ..sum });
        }
        // Below the last bit that can matter the small one is only "a bit more than nothing":
        // a distance of 200 bits keeps its sign and place in the rounding.
        let distance = (large.exponent - small.exponent).min(200);
        let base = large.exponent - distance;
        let mut sum = Big::from(large.mantissa);
        sum.shift_left(distance as usize);
        let small_big = Big::from(small.mantissa);
        let mut negative = large.negative;
        if large.negative == small.negative {
            sum.add(&small_big);
        } else if sum.less_than(&small_big) {
            let mut other = small_big;
            other.subtract(&sum);
            sum = other;
            negative = small.negative;
        } else {
            sum.subtract(&small_big);
        }
        if sum.is_zero() {
            return Some(Self::zero(false));
        }
        Self::round(negative, &sum, base, false)
    }

    /// With 17 decimals, trailing zeros removed: the server's text.
    pub(crate) fn text(self) -> String {
        let mut scaled = Big::from(self.mantissa);
        for _ in 0..17 {
            scaled.multiply_add(10, 0);
        }
        if self.exponent >= 0 {
            scaled.shift_left(self.exponent as usize);
        } else {
            scaled.shift_right_to_even(self.exponent.unsigned_abs() as usize);
        }
        let mut digits = scaled.digits();
        while digits.len() < 18 {
            digits.insert(0, b'0');
        }
        let point = digits.len() - 17;
        let mut text = String::new();
        if self.negative {
            text.push('-');
        }
        text.extend(digits[..point].iter().map(|digit| char::from(*digit)));
        let decimals: String = digits[point..]
            .iter()
            .map(|digit| char::from(*digit))
            .collect();
        let decimals = decimals.trim_end_matches('0');
        if !decimals.is_empty() {
            text.push('.');
            text.push_str(decimals);
        }
        if text == "-0" { "0".to_owned() } else { text }
    }
}

/// Digits and decimal exponent of an unsigned decimal number such as `12.5e-3`.
fn decimal(text: &[u8]) -> Option<(Vec<u8>, i64)> {
    let mut digits = Vec::new();
    let mut exponent: i64 = 0;
    let mut at = 0;
    let mut point = false;
    let mut some = false;
    while let Some(byte) = text.get(at) {
        match byte {
            b'0'..=b'9' => {
                some = true;
                digits.push(*byte);
                exponent -= i64::from(point);
            }
            b'.' if !point => point = true,
            _ => break,
        }
        at += 1;
    }
    if !some {
        return None;
    }
    exponent += match &text[at..] {
        [] => 0,
        [b'e' | b'E', rest @ ..] => signed(rest)?,
        _ => return None,
    };
    Some((digits, exponent))
}

/// Digits and binary exponent of a hexadecimal number such as `1.8p-3`, behind its `0x`.
fn hexadecimal(text: &[u8]) -> Option<(Big, i32)> {
    let mut big = Big::default();
    let (mut exponent, mut point, mut some) = (0, false, false);
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        match (byte, char::from(*byte).to_digit(16)) {
            (_, Some(digit)) => {
                some = true;
                big.multiply_add(16, digit);
                exponent -= 4 * i64::from(point);
            }
            (b'.', None) if !point => point = true,
            _ => break,
        }
        rest = tail;
    }
    big.trim();
    exponent += match rest {
        [] => 0,
        [b'p' | b'P', rest @ ..] => signed(rest)?,
        _ => return None,
    };
    // At most a million and the length of the text: fits.
    some.then_some((big, i32::try_from(exponent).ok()?))
}

/// A decimal integer with an optional sign, cut at a million, which is out of every range.
fn signed(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0i64, |sum, digit| {
        (sum * 10 + i64::from(digit - b'0')).min(1_000_000)
    });
    Some(if negative { -number } else { number })
}

/// Natural number of any size, least significant word first, without leading zero words.
#[derive(Clone, Debug, Default)]
struct Big(Vec<u32>);

impl From<u64> for Big {
    fn from(value: u64) -> Self {
        let mut big = Self(vec![value as u32, (value >> 32) as u32]);
        big.trim();
        big
    }
}

impl Big {
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn bits(&self) -> usize {
        self.0
            .last()
            .map_or(0, |top| self.0.len() * 32 - top.leading_zeros() as usize)
    }

    fn bit(&self, at: usize) -> bool {
        self.0
            .get(at / 32)
            .is_some_and(|word| word >> (at % 32) & 1 == 1)
    }

    /// Is one of the bits below `at` set?
    fn any_below(&self, at: usize) -> bool {
        let whole = (at / 32).min(self.0.len());
        self.0[..whole].iter().any(|word| *word != 0)
            || self
                .0
                .get(at / 32)
                .is_some_and(|word| word & ((1u32 << (at % 32)) - 1) != 0)
    }

    /// The 64 bits from `at` on; the caller knows that there are no more.
    fn bits_from(&self, at: usize) -> u64 {
        let (word, bit) = (at / 32, at % 32);
        let part = |index: usize| u128::from(self.0.get(word + index).copied().unwrap_or(0));
        ((part(0) | part(1) << 32 | part(2) << 64) >> bit) as u64
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for word in &mut self.0 {
            carry += u64::from(*word) * u64::from(factor);
            *word = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
    }

    /// Divides and returns the remainder.
    fn divide(&mut self, divisor: u32) -> u32 {
        let mut rest = 0u64;
        for word in self.0.iter_mut().rev() {
            rest = rest << 32 | u64::from(*word);
            *word = (rest / u64::from(divisor)) as u32;
            rest %= u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    fn shift_left(&mut self, by: usize) {
        if self.is_zero() {
            return;
        }
        let bits = by % 32;
        if bits != 0 {
            let mut carry = 0;
            for word in &mut self.0 {
                let next = *word >> (32 - bits);
                *word = *word << bits | carry;
                carry = next;
            }
            if carry != 0 {
                self.0.push(carry);
            }
        }
        self.0.splice(0..0, std::iter::repeat_n(0, by / 32));
    }

    /// Divides by a power of two, rounding to nearest, ties to even.
    fn shift_right_to_even(&mut self, by: usize) {
        if by == 0 {
            return;
        }
        let half = self.bit(by - 1);
        let more = self.any_below(by - 1);
        self.0.drain(..(by / 32).min(self.0.len()));
        let bits = by % 32;
        if bits != 0 {
            let mut carry = 0;
            for word in self.0.iter_mut().rev() {
                let next = *word << (32 - bits);
                *word = *word >> bits | carry;
                carry = next;
            }
        }
        self.trim();
        if half && (more || self.bit(0)) {
            self.add(&Self::from(1));
        }
    }

    fn add(&mut self, other: &Self) {
        let mut carry = 0u64;
        let mut at = 0;
        while at < other.0.len() || carry != 0 {
            if at == self.0.len() {
                self.0.push(0);
            }
            carry += u64::from(self.0[at]) + u64::from(other.0.get(at).copied().unwrap_or(0));
            self.0[at] = carry as u32;
            carry >>= 32;
            at += 1;
        }
    }

    /// `self - other`, where `other` is not greater.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = 0i64;
        for (at, word) in self.0.iter_mut().enumerate() {
            let mut value =
                i64::from(*word) - i64::from(other.0.get(at).copied().unwrap_or(0)) - borrow;
            borrow = i64::from(value < 0);
            if value < 0 {
                value += 1 << 32;
            }
            *word = value as u32;
        }
        self.trim();
    }

    fn less_than(&self, other: &Self) -> bool {
        (self.0.len(), self.0.iter().rev().collect::<Vec<_>>())
            < (other.0.len(), other.0.iter().rev().collect::<Vec<_>>())
    }

    fn digits(mut self) -> Vec<u8> {
        let mut digits = Vec::new();
        while !self.is_zero() {
            let mut group = self.divide(1_000_000_000);
            for _ in 0..9 {
                digits.push(b'0' + (group % 10) as u8);
                group /= 10;
            }
        }
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        digits.reverse();
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finite(text: &str) -> Extended {
        match Extended::parse(text.as_bytes()) {
            Some(Parsed::Finite(value)) => value,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn sums_print_as_the_server_prints_them() {
        // Taken from Valkey 9.1.2 on x86-64: SET k <first>, INCRBYFLOAT k <second>.
        let cases = [
            ("0.1", "0.2", "0.3"),
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3.0", "1.1", "4.1"),
            ("1", "-1", "0"),
            ("-1.5", "0.5", "-1"),
            ("1e20", "1", "100000000000000000000"),
            ("1e19", "1", "10000000000000000001"),
            ("0", "1e-17", "0.00000000000000001"),
            ("0", "1e-18", "0"),
            ("1", "0x1p3", "9"),
            ("9", "0x.8", "9.5"),
            ("9.5", "-0X1F", "-21.5"),
        ];
        for (first, second, expected) in cases {
            let sum = finite(first).add(finite(second)).map(Extended::text);
            assert_eq!(sum.as_deref(), Some(expected), "{first} + {second}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "-",
            "a",
            "1a",
            "1e",
            "1e+",
            ".",
            " 1",
            "1 ",
            "nan",
            "1..2",
            "1e99999",
            "0x",
            "0x.",
            "0x1p",
            "0x1p99999",
            "0x1p-99999",
        ] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Extended::parse(b"-inf"), Some(Parsed::Infinite));
    }

    #[test]
    fn the_greatest_numbers_overflow() {
        let great = finite("1e4932");
        assert_eq!(great.add(great), None);
        assert!(great.text().len() == 4933);
    }
}
