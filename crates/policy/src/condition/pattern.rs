//! One wanted value of a condition, compiled for its operator.

use std::net::IpAddr;

use super::{Operator, Wanted};
use crate::facts::Value;
use crate::glob::check_pattern;
use crate::number::Number;
use crate::template::{Piece, glob_text, plain};
use crate::wildcard::Wildcard;
use crate::{Glob, time};

/// A compiled value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Text(Box<str>),
    /// In lower case.
    Folded(Box<str>),
    Like(Wildcard),
    Glob(Glob),
    Number(Number),
    Time(i64),
    Boolean(bool),
    Binary {
        bytes: Box<[u8]>,
        text: Box<str>,
    },
    Network(Network),
    Arn(Box<[Wildcard; 6]>),
    /// The lone `*` where an ARN is wanted.
    AnyArn,
}

/// A network in CIDR notation; host bits do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    len: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address. A network inside `::ffff:0:0/96`
    /// is one of IPv4 addresses.
    fn parse(text: &str) -> Option<Self> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => {
                let plain = !len.is_empty() && len.bytes().all(|byte| byte.is_ascii_digit());
                (address, Some(len.parse::<u8>().ok().filter(|_| plain)?))
            }
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let len = len.unwrap_or(width);
        if len > width {
            return None;
        }
        Some(match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(inner)) if len >= 96 => Self {
                address: IpAddr::V4(inner),
                len: len - 96,
            },
            _ => Self { address, len },
        })
    }

    /// Whether an address is inside. Addresses and networks of different families never are.
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.len);
                (u64::from(own.to_bits()) >> shift) == (u64::from(other.to_bits()) >> shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.len);
                self.len == 0 || own.to_bits() >> shift == other.to_bits() >> shift
            }
            _ => false,
        }
    }
}

impl Pattern {
    pub(super) fn wanted(&self) -> Wanted<'_> {
        match self {
            Self::Text(text) => Wanted::Text(text),
            Self::Folded(text) => Wanted::IgnoringCase(text),
            Self::Like(pattern) => Wanted::Like(pattern),
            Self::Glob(pattern) => Wanted::Glob(pattern),
            Self::Number(number) => Wanted::Number(*number),
            Self::Time(time) => Wanted::Time(*time),
            Self::Boolean(truth) => Wanted::Boolean(*truth),
            Self::Binary { bytes, .. } => Wanted::Bytes(bytes),
            Self::Network(network) => Wanted::Network(network.address, network.len),
            Self::Arn(parts) => Wanted::Arn(Some(parts)),
            Self::AnyArn => Wanted::Arn(None),
        }
    }

    /// Compiles a value for an operator. The error says what was found and what is wanted.
    pub(super) fn compile(operator: Operator, pieces: &[Piece<'_>]) -> Result<Self, String> {
        use Operator as O;
        let text = plain(pieces);
        let shown = crate::finding::quoted(&text);
        Ok(match operator.positive() {
            O::StringEquals => Self::Text(text.into()),
            O::StringEqualsIgnoreCase => Self::Folded(text.to_lowercase().into()),
            O::StringLike => {
                let pattern = Wildcard::of_pieces(pieces);
                pattern.check().map_err(|error| error.to_string())?;
                Self::Like(pattern)
            }
            O::GlobLike => {
                let pattern = glob_text(pieces);
                check_pattern(&pattern).map_err(|error| error.to_string())?;
                Self::Glob(Glob::new(&pattern))
            }
            O::NumericEquals
            | O::NumericLessThan
            | O::NumericLessThanEquals
            | O::NumericGreaterThan
            | O::NumericGreaterThanEquals => Self::Number(
                Number::parse(&text).ok_or_else(|| format!("expected a number, found {shown}"))?,
            ),
            O::DateEquals
            | O::DateLessThan
            | O::DateLessThanEquals
            | O::DateGreaterThan
            | O::DateGreaterThanEquals => Self::Time(time::parse(&text).ok_or_else(|| {
                format!(
                    "expected a date as in `2026-01-02T03:04:05Z`, or seconds since 1970, found {shown}"
                )
            })?),
            O::Bool | O::Null => Self::Boolean(
                Value::Text(text.as_bytes())
                    .boolean()
                    .ok_or_else(|| format!("expected `true` or `false`, found {shown}"))?,
            ),
            O::BinaryEquals => Self::Binary {
                bytes: base64(&text)
                    .ok_or_else(|| format!("expected bytes in base64, found {shown}"))?
                    .into(),
                text: text.into(),
            },
            O::IpAddress => Self::Network(Network::parse(&text).ok_or_else(|| {
                format!("expected an address or a network as in `10.0.0.0/8`, found {shown}")
            })?),
            O::ArnEquals | O::ArnLike => Self::arn(pieces).ok_or_else(|| {
                format!("expected an ARN of six parts as in `arn:aws:iam::123456789012:user/*`, found {shown}")
            })?,
            _ => return Err(format!("`{operator}` is not supported")),
        })
    }

    /// Splits at the first five colons that are not inside a variable.
    fn arn(pieces: &[Piece<'_>]) -> Option<Self> {
        if plain(pieces) == "*" && pieces.iter().all(|piece| !piece.literal) {
            return Some(Self::AnyArn);
        }
        let mut parts: Vec<Vec<Piece<'_>>> = vec![Vec::new()];
        for piece in pieces {
            let mut rest = &*piece.text;
            while parts.len() < 6
                && !piece.literal
                && let Some((part, after)) = rest.split_once(':')
            {
                push(&mut parts, part, false);
                parts.push(Vec::new());
                rest = after;
            }
            push(&mut parts, rest, piece.literal);
        }
        let patterns: Vec<Wildcard> = parts.iter().map(|part| Wildcard::of_pieces(part)).collect();
        let fine = patterns.iter().all(|pattern| pattern.check().is_ok());
        let parts: [Wildcard; 6] = patterns.try_into().ok()?;
        fine.then(|| Self::Arn(Box::new(parts)))
    }

    /// Whether a value matches; `None` if it is no value of the operator's type.
    pub(super) fn matches(&self, operator: Operator, value: &Value<'_>) -> Option<bool> {
        use Operator as O;
        Some(match self {
            Self::Text(wanted) => value.with_text(|text| text == wanted.as_bytes()),
            Self::Folded(wanted) => value.with_text(|text| {
                std::str::from_utf8(text).is_ok_and(|text| text.to_lowercase() == **wanted)
            }),
            Self::Like(wanted) => value.with_text(|text| wanted.matches(text)),
            Self::Glob(wanted) => value.with_text(|text| wanted.matches(text)),
            Self::Number(wanted) => {
                let number = value.number()?;
                match operator {
                    O::NumericLessThan => number < *wanted,
                    O::NumericLessThanEquals => number <= *wanted,
                    O::NumericGreaterThan => number > *wanted,
                    O::NumericGreaterThanEquals => number >= *wanted,
                    _ => number == *wanted,
                }
            }
            Self::Time(wanted) => {
                let time = value.time()?;
                match operator {
                    O::DateLessThan => time < *wanted,
                    O::DateLessThanEquals => time <= *wanted,
                    O::DateGreaterThan => time > *wanted,
                    O::DateGreaterThanEquals => time >= *wanted,
                    _ => time == *wanted,
                }
            }
            Self::Boolean(wanted) => value.boolean()? == *wanted,
            Self::Binary { bytes, text } => {
                value.with_text(|value| *value == **bytes || value == text.as_bytes())
            }
            Self::Network(wanted) => wanted.contains(value.address()?),
            Self::AnyArn => true,
            Self::Arn(wanted) => value.with_text(|text| {
                let mut parts = text.splitn(6, |byte| *byte == b':');
                let all = wanted
                    .iter()
                    .all(|wanted| parts.next().is_some_and(|part| wanted.matches(part)));
                all && parts.next().is_none()
            }),
        })
    }

    /// Whether every text matches.
    pub(super) fn is_everything(&self) -> bool {
        match self {
            Self::Like(wanted) => wanted.is_everything(),
            Self::Glob(wanted) => wanted.is_everything(),
            _ => false,
        }
    }

    /// As a pattern in the server's syntax, if it compares text.
    pub(super) fn to_glob(&self, operator: Operator) -> Option<Glob> {
        let literal = |text: &str| {
            let piece = Piece {
                text: text.into(),
                literal: true,
            };
            Glob::new(&glob_text(&[piece]))
        };
        match self {
            Self::Text(text) => Some(literal(text)),
            Self::Like(wanted) => Some(wanted.as_glob().clone()),
            Self::Glob(wanted) => Some(wanted.clone()),
            _ => {
                debug_assert!(operator.positive() != Operator::StringLike);
                None
            }
        }
    }
}

fn push<'a>(parts: &mut [Vec<Piece<'a>>], text: &'a str, literal: bool) {
    if let Some(part) = parts.last_mut()
        && !text.is_empty()
    {
        part.push(Piece {
            text: text.into(),
            literal,
        });
    }
}

/// Bytes of standard base64 (RFC 4648, section 4) with padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let (mut value, mut bits) = (0_u32, 0);
    for byte in &bytes[..bytes.len() - padding] {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        value = (value << 6 | u32::from(six)) & 0xfff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((value >> bits & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let cases = [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.9.9.9/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("::/0", "10.0.0.1", false),
            ("2001:db8::/32", "2001:db8:1::5", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ];
        for (network, address, expected) in cases {
            let network = Network::parse(network).unwrap();
            let address = Value::Text(address.as_bytes()).address().unwrap();
            assert_eq!(network.contains(address), expected, "{network:?} {address}");
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0",
            "::/129",
            "x",
        ] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bytes() {
        let cases = [
            ("", Some(&b""[..])),
            ("YQ==", Some(b"a")),
            ("YWI=", Some(b"ab")),
            ("YWJj", Some(b"abc")),
            ("/+8A", Some(b"\xff\xef\x00")),
            ("YWJ", None),
            ("Y===", None),
            ("YW_j", None),
            ("Y=Jj", None),
        ];
        for (text, expected) in cases {
            assert_eq!(base64(text).as_deref(), expected, "{text}");
        }
    }
}
