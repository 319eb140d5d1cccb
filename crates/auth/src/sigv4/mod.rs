//! AWS Signature Version 4: what is signed, and the signature.
//!
//! Source: "AWS Signature Version 4 for API requests" in the IAM user guide of AWS. Of its services
//! only the algorithm is taken: requests are Keyward's own.

mod connect_token;
mod request;

use hmac::{Hmac, KeyInit as _, Mac as _};
use keyward_iam::UnixMillis;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

pub use connect_token::{CONNECT_TOKEN_LIFE, CONNECT_TOKEN_SKEW};
pub(crate) use connect_token::{ConnectToken, is_connect_token};
pub(crate) use request::SignedHeaders;
pub use request::{REQUEST_SKEW, SIGNING_SERVICES, SignedRequest, UNSIGNED_PAYLOAD};

/// The one algorithm.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Hash of an empty body.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// SHA-256 of a body, as the header of a signed request says it.
#[must_use]
pub fn body_hash(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

/// 32 bytes from 64 lower-case hexadecimal digits.
fn signature_of_text(text: &[u8]) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != 32 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

/// Whose signature, and for what: `<key id>/<date>/<region>/<service>/aws4_request`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Scope {
    pub(crate) key_id: String,
    date: String,
    region: String,
    pub(crate) service: String,
}

impl Scope {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let mut part = || parts.next().filter(|part| !part.is_empty());
        let (key_id, date, region, service, end) = (part()?, part()?, part()?, part()?, part()?);
        let fits = end == "aws4_request" && parts.next().is_none() && text.len() <= 256;
        fits.then(|| Self {
            key_id: key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

/// `20260131T235959Z` as it stands, and the moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SignedAt {
    text: String,
    pub(crate) at: UnixMillis,
}

impl SignedAt {
    /// Reads a moment in the one form that is signed; it must be of the scope's day.
    fn parse(text: &str, scope: &Scope) -> Option<Self> {
        let bytes: &[u8; 16] = text.as_bytes().try_into().ok()?;
        if bytes[8] != b'T' || bytes[15] != b'Z' || text.get(..8)? != scope.date {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<u32> {
            bytes[from..to].iter().try_fold(0, |number, byte| {
                byte.is_ascii_digit()
                    .then(|| number * 10 + u32::from(byte - b'0'))
            })
        };
        let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
        let (hour, minute, second) = (number(9, 11)?, number(11, 13)?, number(13, 15)?);
        let fits = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        fits.then(|| {
            let seconds = u64::from(days_since_1970(year, month, day)) * 86_400
                + u64::from(hour * 3600 + minute * 60 + second);
            Self {
                text: text.to_owned(),
                at: UnixMillis(seconds * 1000),
            }
        })
    }
}

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_1970(year: u32, month: u32, day: u32) -> u32 {
    // `year` is at least 1970, so that nothing here is negative.
    let before = year.saturating_sub(1);
    let leap_days = before / 4 - before / 100 + before / 400 - 477; // 477 until 1969
    let months: u32 = (1..month).map(|month| days_in(year, month)).sum();
    year.saturating_sub(1970) * 365 + leap_days + months + day.saturating_sub(1)
}

/// The signature of a canonical request.
fn sign(secret: &str, scope: &Scope, at: &SignedAt, canonical_request: &str) -> [u8; 32] {
    let Scope {
        date,
        region,
        service,
        ..
    } = scope;
    let to_sign = format!(
        "{ALGORITHM}\n{}\n{date}/{region}/{service}/aws4_request\n{}",
        at.text,
        body_hash(canonical_request.as_bytes())
    );
    let secret = Zeroizing::new(format!("AWS4{secret}"));
    let mut key = Zeroizing::new(mac(secret.as_bytes(), date.as_bytes()));
    for part in [region, service, "aws4_request"] {
        *key = mac(&*key, part.as_bytes());
    }
    mac(&*key, to_sign.as_bytes())
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any length");
    hmac.update(text);
    hmac.finalize().into_bytes().into()
}

/// Percent-encodes what is not unreserved, and not in `kept`.
fn encode(bytes: &[u8], kept: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// Percent-decodes; `None` where a `%` is not followed by two digits.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, rest) {
            (b'%', [high, low, tail @ ..]) => {
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                rest = tail;
            }
            (b'%', _) => return None,
            (other, _) => bytes.push(*other),
        }
    }
    Some(bytes)
}

/// The parameters of a query, decoded, in their order.
fn parameters(query: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let parts = query.split(|byte| *byte == b'&');
    parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            let at = part.iter().position(|byte| *byte == b'=');
            let (name, value) = match at {
                Some(at) => (&part[..at], &part[at + 1..]),
                None => (part, &b""[..]),
            };
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

/// The canonical form of a query: every name and value encoded, sorted by both.
fn canonical_query(parameters: &[(Vec<u8>, Vec<u8>)]) -> String {
    let encoded = |text: &[u8]| {
        let mut out = String::with_capacity(text.len());
        encode(text, b"", &mut out);
        out
    };
    let mut all: Vec<(String, String)> = parameters
        .iter()
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    all.sort();
    let all: Vec<String> = all
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    all.join("&")
}

/// Signs as clients do.
#[cfg(test)]
pub(crate) mod tests_support {
    use super::{Scope, SignedAt, canonical_query, hex, sign};

    /// A connect token as signers make it, at 2026-11-22 08:15:00.
    pub(crate) fn presign(
        host: &str,
        user: &str,
        key_id: &str,
        secret: &str,
        session_token: Option<&str>,
    ) -> String {
        let credential = format!("{key_id}/20261122/us-east-1/elasticache/aws4_request");
        let scope = Scope::parse(&credential).unwrap();
        let at = SignedAt::parse("20261122T081500Z", &scope).unwrap();
        let mut all: Vec<(Vec<u8>, Vec<u8>)> = [
            ("Action", "connect"),
            ("User", user),
            ("X-Amz-Algorithm", super::ALGORITHM),
            ("X-Amz-Credential", &credential),
            ("X-Amz-Date", "20261122T081500Z"),
            ("X-Amz-Expires", "900"),
            ("X-Amz-SignedHeaders", "host"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        all.extend(session_token.map(|token| (b"X-Amz-Security-Token".into(), token.into())));
        let query = canonical_query(&all);
        let canonical = format!(
            "GET\n/\n{query}\nhost:{host}\n\nhost\n{}",
            super::EMPTY_SHA256
        );
        let signature = hex(&sign(secret, &scope, &at, &canonical));
        format!("{host}/?{query}&X-Amz-Signature={signature}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let scope = |date: &str| Scope::parse(&format!("K/{date}/r/s/aws4_request")).unwrap();
        let cases = [
            ("20150830T123600Z", "20150830", Some(1_440_938_160_000)),
            ("19700101T000000Z", "19700101", Some(0)),
            ("20000229T235959Z", "20000229", Some(951_868_799_000)),
            ("20240229T000000Z", "20240229", Some(1_709_164_800_000)),
            ("20261122T081500Z", "20261122", Some(1_795_335_300_000)),
            ("99991231T235959Z", "99991231", Some(253_402_300_799_000)),
            ("20150830T123600Z", "20150831", None),
            ("20230229T000000Z", "20230229", None),
            ("19000229T000000Z", "19000229", None),
            ("20151301T000000Z", "20151301", None),
            ("20150830T240000Z", "20150830", None),
            ("20150830T126000Z", "20150830", None),
            ("20150830 123600Z", "20150830", None),
            ("20150830T123600", "20150830", None),
            ("2015-830T123600Z", "2015-830", None),
        ];
        for (text, date, expected) in cases {
            let found = SignedAt::parse(text, &scope(date)).map(|found| found.at.0);
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn scopes() {
        for (text, good) in [
            ("KWAK/20150830/us-east-1/elasticache/aws4_request", true),
            ("KWAK/20150830/us-east-1/elasticache", false),
            ("KWAK/20150830/us-east-1/elasticache/aws4_request/x", false),
            ("KWAK/20150830//elasticache/aws4_request", false),
            ("KWAK/20150830/us-east-1/elasticache/aws4", false),
            ("", false),
        ] {
            assert_eq!(Scope::parse(text).is_some(), good, "{text}");
        }
    }

    #[test]
    fn queries() {
        let canonical = |query: &str| parameters(query.as_bytes()).map(|all| canonical_query(&all));
        let cases = [
            ("", Some("")),
            ("b=2&a=1", Some("a=1&b=2")),
            ("a=2&a=1&a", Some("a=&a=1&a=2")),
            ("a=%e2%98%83", Some("a=%E2%98%83")),
            ("a=x/y+z%20~", Some("a=x%2Fy%2Bz%20~")),
            ("a=%2", None),
            ("a=%zz", None),
        ];
        for (query, expected) in cases {
            assert_eq!(canonical(query).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn signing_keys_are_those_that_aws_publishes() {
        // "Examples of how to derive a signing key" in AWS's documentation: secret, 20120215,
        // us-east-1, iam. The signature over the empty text stands for the key.
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let mut key = mac(format!("AWS4{secret}").as_bytes(), b"20120215");
        for part in ["us-east-1", "iam", "aws4_request"] {
            key = mac(&key, part.as_bytes());
        }
        assert_eq!(
            hex(&key),
            "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"
        );
    }
}
