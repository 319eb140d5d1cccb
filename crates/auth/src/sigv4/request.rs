//! Signed HTTP requests: the signature stands in the `Authorization` header.

use std::time::Duration;

use keyward_iam::UnixMillis;
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use super::{
    ALGORITHM, Scope, SignedAt, canonical_query, encode, parameters, sign, signature_of_text,
};

/// How far the time of a signature may be from the clock here, as with AWS. Within that time whoever
/// sees a signed request may send the same once more.
pub const REQUEST_SKEW: Duration = Duration::from_secs(15 * 60);

/// What a signer says in the place of the body's hash if it has not hashed it.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Services that a signature may be for: ours, and what SDKs choose for addresses like ours.
pub const SIGNING_SERVICES: [&str; 4] = ["keyward", "execute-api", "sts", "elasticache"];

/// Most headers that a signature may speak of.
const MAX_SIGNED_HEADERS: usize = 64;

/// An HTTP request as it came, as far as a signature speaks of it.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    /// In upper case, as it was sent.
    pub method: &'a str,
    /// As it was sent, without the query.
    pub path: &'a str,
    /// As it was sent, without its `?`.
    pub query: &'a str,
    /// Every header: its name in lower case, its value.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// [`body_hash`](crate::body_hash) of the body.
    pub body_hash: &'a str,
    /// Whether nobody on the way can change the body: only then it may be unsigned.
    pub secure: bool,
}

/// A signature, and everything that it was made of.
#[derive(Debug)]
pub(crate) struct SignedHeaders {
    pub(crate) scope: Scope,
    pub(crate) session_token: Option<Zeroizing<Vec<u8>>>,
    at: SignedAt,
    canonical: String,
    signature: [u8; 32],
}

impl SignedHeaders {
    /// Reads the signature of a request; `None` if it has none that could be good.
    pub(crate) fn parse(request: &SignedRequest<'_>) -> Option<Self> {
        let authorization = std::str::from_utf8(one(request, "authorization")?).ok()?;
        let (algorithm, rest) = authorization.split_once(' ')?;
        let (mut credential, mut names, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=')?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut names,
                "Signature" => &mut signature,
                _ => return None,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        let (scope, names) = (Scope::parse(credential?)?, names?);
        if algorithm != ALGORITHM || !SIGNING_SERVICES.contains(&&*scope.service) {
            return None;
        }
        let date = std::str::from_utf8(one(request, "x-amz-date")?).ok()?;
        let at = SignedAt::parse(date, &scope)?;
        let body_hash = match one(request, "x-amz-content-sha256") {
            None if has(request, "x-amz-content-sha256") => return None,
            None => request.body_hash,
            Some(said) if said == request.body_hash.as_bytes() => request.body_hash,
            Some(said) if said == UNSIGNED_PAYLOAD.as_bytes() && request.secure => UNSIGNED_PAYLOAD,
            Some(_) => return None,
        };
        let session_token = one(request, "x-amz-security-token");
        if session_token.is_none() && has(request, "x-amz-security-token") {
            return None;
        }
        let headers = canonical_headers(request, names)?;
        let query = canonical_query(&parameters(request.query.as_bytes())?);
        let canonical = format!(
            "{}\n{}\n{query}\n{headers}\n{names}\n{body_hash}",
            request.method,
            canonical_path(request.path),
        );
        Some(Self {
            scope,
            session_token: session_token.map(|token| Zeroizing::new(token.to_vec())),
            at,
            canonical,
            signature: signature_of_text(signature?.as_bytes())?,
        })
    }

    /// Whether it was made with this secret: the same time is taken whatever is wrong.
    pub(crate) fn is_signed_with(&self, secret: &str) -> Choice {
        sign(secret, &self.scope, &self.at, &self.canonical).ct_eq(&self.signature)
    }

    /// Whether it may be used at this moment.
    pub(crate) fn is_current(&self, now: UnixMillis) -> bool {
        u128::from(self.at.at.0.abs_diff(now.0)) <= REQUEST_SKEW.as_millis()
    }
}

/// The one value of a header; `None` if it is missing or stands twice.
fn one<'a>(request: &SignedRequest<'a>, name: &str) -> Option<&'a [u8]> {
    let mut found = request.headers.iter().filter(|(found, _)| *found == name);
    let (_, value) = found.next()?;
    found.next().is_none().then_some(*value)
}

fn has(request: &SignedRequest<'_>, name: &str) -> bool {
    request.headers.iter().any(|(found, _)| *found == name)
}

/// The signed headers in their canonical form, a line each; `None` if one is missing, or if one is
/// not signed that has to be: the host, and everything that means something to the signature.
fn canonical_headers(request: &SignedRequest<'_>, names: &str) -> Option<String> {
    let names: Vec<&str> = names.split(';').collect();
    let sorted = names.is_sorted_by(|a, b| a < b) && names.len() <= MAX_SIGNED_HEADERS;
    let all_signed = request.headers.iter().all(|(name, _)| {
        let must = *name == "host" || name.starts_with("x-amz-");
        !must || names.contains(name)
    });
    if !sorted || !all_signed || !names.contains(&"host") {
        return None;
    }
    let mut lines = String::new();
    for name in names {
        let mut values = request
            .headers
            .iter()
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value)
            .peekable();
        values.peek()?;
        lines.push_str(name);
        lines.push(':');
        for (at, value) in values.enumerate() {
            if at > 0 {
                lines.push(',');
            }
            let value = std::str::from_utf8(value).ok()?;
            let words: Vec<&str> = value.split_ascii_whitespace().collect();
            lines.push_str(&words.join(" "));
        }
        lines.push('\n');
    }
    Some(lines)
}

/// A path without `.`, `..` and empty segments, encoded once more than it was sent.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &segments {
        out.push('/');
        encode(segment.as_bytes(), b"", &mut out);
    }
    if segments.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::EMPTY_SHA256;
    use super::*;
    use crate::body_hash;

    const SECRET: &str =
        "kws_KWAKAAAAAAAAAAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE_4D8XzN";

    struct Case {
        method: &'static str,
        path: &'static str,
        query: &'static str,
        headers: Vec<(&'static str, String)>,
        body: &'static [u8],
    }

    impl Case {
        /// Whether the request bears a signature of this secret.
        fn is_signed_with(&self, secret: &str, secure: bool) -> bool {
            let headers: Vec<(&str, &[u8])> = self
                .headers
                .iter()
                .map(|(name, value)| (*name, value.as_bytes()))
                .collect();
            let parsed = SignedHeaders::parse(&SignedRequest {
                method: self.method,
                path: self.path,
                query: self.query,
                headers: &headers,
                body_hash: &body_hash(self.body),
                secure,
            });
            parsed.is_some_and(|signed| bool::from(signed.is_signed_with(secret)))
        }
    }

    fn authorization(service: &str, names: &str, signature: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=KWAKAAAAAAAAAAAAAAAA/20261122/us-east-1/{service}/aws4_request, \
             SignedHeaders={names}, Signature={signature}"
        )
    }

    /// What botocore 1.44's `SigV4Auth` makes of requests at 2026-11-22 08:15:00.
    fn of_botocore() -> [Case; 3] {
        let host = || ("host", "127.0.0.1:6381".to_owned());
        let date = || ("x-amz-date", "20261122T081500Z".to_owned());
        [
            Case {
                method: "GET",
                path: "/v1/whoami",
                query: "",
                headers: vec![
                    host(),
                    date(),
                    ("user-agent", "not signed".to_owned()),
                    (
                        "authorization",
                        authorization(
                            "keyward",
                            "host;x-amz-date",
                            "41b6b948ecb139b5ffa25ec8cd8ffe1561200f9116ca7b783172b66da7572651",
                        ),
                    ),
                ],
                body: b"",
            },
            Case {
                method: "POST",
                path: "/v1/sts/assume_role",
                query: "dry_run=true&a=%20x",
                headers: vec![
                    host(),
                    date(),
                    ("content-type", "application/json".to_owned()),
                    ("x-amz-extra", "  a   b  ".to_owned()),
                    ("x-amz-security-token", "kwt_t".to_owned()),
                    (
                        "authorization",
                        authorization(
                            "keyward",
                            "content-type;host;x-amz-date;x-amz-extra;x-amz-security-token",
                            "e45758cdb4a124912503936861c2ce26e4711b993a376e73e4ab67c85d65c4b1",
                        ),
                    ),
                ],
                body: b"{\"role\":\"role/x\"}",
            },
            Case {
                method: "GET",
                path: "/v1//org/./a/../%c3%bc b~/",
                query: "",
                headers: vec![
                    host(),
                    date(),
                    (
                        "authorization",
                        authorization(
                            "keyward",
                            "host;x-amz-date",
                            "39226739b0ef4dac9859514504c8d7f8303b95f9da180990d7e3a0c418fcdadf",
                        ),
                    ),
                ],
                body: b"",
            },
        ]
    }

    #[test]
    fn what_botocore_signs() {
        for (at, case) in of_botocore().iter().enumerate() {
            assert!(case.is_signed_with(SECRET, false), "{at}");
            assert!(!case.is_signed_with("kws_other", false), "{at}");
        }
    }

    type Change = fn(&mut Case);

    #[test]
    fn what_is_not_as_it_was_signed() {
        let changes: [(&str, Change); 13] = [
            ("method", |case| case.method = "PUT"),
            ("path", |case| case.path = "/v1/sts/assume_rolf"),
            ("query", |case| case.query = "dry_run=true&a=%20y"),
            ("body", |case| case.body = b"{\"role\":\"role/y\"}"),
            ("host", |case| case.headers[0].1 = "evil".into()),
            ("date", |case| case.headers[1].1 = "20261122T081501Z".into()),
            ("type", |case| case.headers[2].1 = "text/plain".into()),
            ("another header", |case| case.headers[3].1 = "a c".into()),
            ("token", |case| case.headers[4].1 = "kwt_u".into()),
            ("a second token", |case| {
                case.headers.push(("x-amz-security-token", "kwt_t".into()));
            }),
            ("an unsigned header that counts", |case| {
                case.headers.push(("x-amz-target", "x".into()));
            }),
            ("another hash", |case| {
                case.headers
                    .push(("x-amz-content-sha256", EMPTY_SHA256.into()));
            }),
            ("two signatures", |case| {
                let again = case.headers[5].clone();
                case.headers.push(again);
            }),
        ];
        for (name, change) in changes {
            let [_, mut case, _] = of_botocore();
            change(&mut case);
            assert!(!case.is_signed_with(SECRET, true), "{name}");
        }
    }

    /// Signs as a client would.
    fn signed(service: &str, names: &str, content: Option<&str>, body: &'static [u8]) -> Case {
        let text = authorization(service, names, &"0".repeat(64));
        let mut headers = vec![
            ("host", "h".to_owned()),
            ("x-amz-date", "20261122T081500Z".to_owned()),
            ("authorization", text),
        ];
        if let Some(content) = content {
            headers.push(("x-amz-content-sha256", content.to_owned()));
        }
        let mut case = Case {
            method: "GET",
            path: "/",
            query: "",
            headers,
            body,
        };
        let given: Vec<(&str, &[u8])> = case
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let parsed = SignedHeaders::parse(&SignedRequest {
            method: case.method,
            path: case.path,
            query: case.query,
            headers: &given,
            body_hash: &body_hash(case.body),
            secure: true,
        });
        if let Some(parsed) = parsed {
            let signature = sign(SECRET, &parsed.scope, &parsed.at, &parsed.canonical);
            case.headers[2].1 = authorization(service, names, &super::super::hex(&signature));
        }
        case
    }

    #[test]
    fn what_may_be_signed() {
        let all = "host;x-amz-content-sha256;x-amz-date";
        let cases = [
            (
                "ours",
                signed("keyward", "host;x-amz-date", None, b""),
                true,
                true,
            ),
            (
                "a gateway's",
                signed("execute-api", "host;x-amz-date", None, b"x"),
                true,
                true,
            ),
            (
                "sts",
                signed("sts", "host;x-amz-date", None, b"x"),
                true,
                true,
            ),
            (
                "elasticache",
                signed("elasticache", "host;x-amz-date", None, b""),
                true,
                true,
            ),
            (
                "another service",
                signed("s3", "host;x-amz-date", None, b""),
                false,
                false,
            ),
            (
                "no host",
                signed("keyward", "x-amz-date", None, b""),
                false,
                false,
            ),
            (
                "no date",
                signed("keyward", "host", None, b""),
                false,
                false,
            ),
            (
                "not sorted",
                signed("keyward", "x-amz-date;host", None, b""),
                false,
                false,
            ),
            (
                "no such header",
                signed("keyward", "host;x;x-amz-date", None, b""),
                false,
                false,
            ),
            (
                "hash",
                signed("keyward", all, Some(EMPTY_SHA256), b""),
                true,
                true,
            ),
            (
                "another hash",
                signed("keyward", all, Some(EMPTY_SHA256), b"x"),
                false,
                false,
            ),
            (
                "no hash",
                signed("keyward", all, Some(UNSIGNED_PAYLOAD), b"x"),
                true,
                false,
            ),
            (
                "hash not signed",
                signed("keyward", "host;x-amz-date", Some(EMPTY_SHA256), b""),
                false,
                false,
            ),
            (
                "parts",
                signed(
                    "keyward",
                    all,
                    Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
                    b"",
                ),
                false,
                false,
            ),
        ];
        for (name, case, secure, insecure) in cases {
            assert_eq!(case.is_signed_with(SECRET, true), secure, "{name}");
            assert_eq!(case.is_signed_with(SECRET, false), insecure, "{name}");
        }
    }

    #[test]
    fn paths() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/a/b", "/a/b"),
            ("/a//b/", "/a/b/"),
            ("/./a/../b", "/b"),
            ("/../..", "/"),
            ("/%20/~", "/%2520/~"),
        ] {
            assert_eq!(canonical_path(path), expected, "{path}");
        }
    }
}
