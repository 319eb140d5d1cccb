//! Connect tokens: a signed URL without its scheme, as ElastiCache takes it for a password.

use std::time::Duration;

use keyward_iam::UnixMillis;
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use super::{
    ALGORITHM, EMPTY_SHA256, Scope, SignedAt, UNSIGNED_PAYLOAD, canonical_query, parameters, sign,
    signature_of_text,
};

/// How long a connect token opens a connection, whatever it says itself.
pub const CONNECT_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// How far the clocks of who signs and of the gateway may be apart.
pub const CONNECT_TOKEN_SKEW: Duration = Duration::from_secs(5 * 60);

/// The one service whose tokens are taken.
const SERVICE: &str = "elasticache";

/// Longest token, in bytes.
const MAX_LEN: usize = 32 * 1024;

/// Most parameters of its query.
const MAX_PARAMETERS: usize = 32;

/// Whether a password has the form of a connect token; whether it is one is another question.
pub(crate) fn is_connect_token(password: &[u8]) -> bool {
    let query = password.iter().position(|byte| *byte == b'?');
    query.is_some_and(|at| {
        let names = password[at + 1..].split(|byte| *byte == b'&');
        names.into_iter().any(|part| part.starts_with(b"X-Amz-"))
    })
}

/// A connect token, taken apart.
#[derive(Debug)]
pub(crate) struct ConnectToken {
    /// The database, as its qualified name.
    pub(crate) host: String,
    /// Who connects, which is also the user name that comes with the token.
    pub(crate) user: String,
    pub(crate) scope: Scope,
    pub(crate) session_token: Option<Zeroizing<Vec<u8>>>,
    at: SignedAt,
    expires: Duration,
    /// Everything that was signed but the hash of the body that there is not.
    canonical: String,
    signature: [u8; 32],
}

impl ConnectToken {
    /// Reads `<host>/?Action=connect&User=…&X-Amz-…`; `None` for everything else.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_LEN {
            return None;
        }
        // Signers work on URLs, and some clients forget to take the scheme away.
        let text = ["https://", "http://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme.as_bytes()))
            .unwrap_or(text);
        let at = text.iter().position(|byte| *byte == b'?')?;
        let host = std::str::from_utf8(&text[..at]).ok()?;
        let host = host.strip_suffix('/').unwrap_or(host);
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        if host.is_empty() || host.len() > 253 || !host.bytes().all(is_host) {
            return None;
        }
        let mut all = parameters(&text[at + 1..])?;
        if all.len() > MAX_PARAMETERS {
            return None;
        }
        // INVARIANT: what is read is what was signed. A name that stands twice has no meaning.
        let one = |name: &str| {
            let mut found = all.iter().filter(|(found, _)| found == name.as_bytes());
            let (_, value) = found.next()?;
            found.next().is_none().then(|| value.clone())
        };
        let text_of = |name: &str| String::from_utf8(one(name)?).ok();
        let (scope, algorithm) = (
            Scope::parse(&text_of("X-Amz-Credential")?)?,
            text_of("X-Amz-Algorithm")?,
        );
        let fits = algorithm == ALGORITHM
            && scope.service == SERVICE
            && text_of("Action")? == "connect"
            && text_of("X-Amz-SignedHeaders")? == "host";
        if !fits {
            return None;
        }
        let seconds: u64 = text_of("X-Amz-Expires")?.parse().ok().filter(|s| *s > 0)?;
        let session_token = one("X-Amz-Security-Token").map(Zeroizing::new);
        let repeated = all
            .iter()
            .filter(|(name, _)| name == b"X-Amz-Security-Token");
        if repeated.count() > 1 {
            return None;
        }
        let token = Self {
            host: host.to_ascii_lowercase(),
            user: text_of("User")?,
            at: SignedAt::parse(&text_of("X-Amz-Date")?, &scope)?,
            scope,
            session_token,
            expires: Duration::from_secs(seconds).min(CONNECT_TOKEN_LIFE),
            canonical: String::new(),
            signature: signature_of_text(&one("X-Amz-Signature")?)?,
        };
        all.retain(|(name, _)| name != b"X-Amz-Signature");
        let query = canonical_query(&all);
        Some(Self {
            canonical: format!("GET\n/\n{query}\nhost:{host}\n\nhost\n"),
            ..token
        })
    }

    /// Whether it was made with this secret: the same time is taken whatever is wrong.
    pub(crate) fn is_signed_with(&self, secret: &str) -> Choice {
        // There is no body. Signers hash the empty one; some say that they do not sign it.
        let mut fits = Choice::from(0);
        for body in [EMPTY_SHA256, UNSIGNED_PAYLOAD] {
            let request = format!("{}{body}", self.canonical);
            fits |= sign(secret, &self.scope, &self.at, &request).ct_eq(&self.signature);
        }
        fits
    }

    /// Whether it may be used at this moment.
    pub(crate) fn is_current(&self, now: UnixMillis) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let skew = millis(CONNECT_TOKEN_SKEW);
        let end = self.at.at.0.saturating_add(millis(self.expires));
        self.at.at.0 <= now.0.saturating_add(skew) && now.0 <= end.saturating_add(skew)
    }

    /// What the signature stands for, where no token could be read: some work is done all the same.
    pub(crate) fn nothing(secret: &str) -> Choice {
        let scope = Scope {
            key_id: String::new(),
            date: "19700101".to_owned(),
            region: "none".to_owned(),
            service: SERVICE.to_owned(),
        };
        let at = SignedAt {
            text: "19700101T000000Z".to_owned(),
            at: UnixMillis(0),
        };
        let signature = sign(secret, &scope, &at, "");
        signature.ct_eq(&[0; 32]) & Choice::from(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by botocore 1.x: `RequestSigner(…, "elasticache", "us-east-1", "elasticache", "v4", …)
    /// .generate_presigned_url({"method": "GET", "url": "https://main.acme/?Action=connect&User=app",
    /// …}, "connect", expires_in=900)`, the clock at 2026-11-22 08:15:00.
    const OF_BOTOCORE: &str = "main.acme/?Action=connect&User=app&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=KWAKAAAAAAAAAAAAAAAA%2F20261122%2Fus-east-1%2Felasticache%2Faws4_request&X-Amz-Date=20261122T081500Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=7ecc9ad0edf27defd7abf322ca9de7add16294e1f51ee916a33998744c228528";
    const OF_BOTOCORE_WITH_TOKEN: &str = "main.acme/?Action=connect&User=app&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=KWAKAAAAAAAAAAAAAAAA%2F20261122%2Fus-east-1%2Felasticache%2Faws4_request&X-Amz-Date=20261122T081500Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Security-Token=kwt_a%2Fb%2Bc%3D&X-Amz-Signature=e03d8109a3739687dcc0fc776f7871d5f47385e3c9914af73d5a63e641296967";
    const SECRET: &str =
        "kws_KWAKAAAAAAAAAAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE_4D8XzN";
    const AT: u64 = 1_795_335_300_000;

    fn parse(text: &str) -> Option<ConnectToken> {
        ConnectToken::parse(text.as_bytes())
    }

    #[test]
    fn what_botocore_signs() {
        for (text, token) in [
            (OF_BOTOCORE, None),
            (OF_BOTOCORE_WITH_TOKEN, Some("kwt_a/b+c=")),
        ] {
            assert!(is_connect_token(text.as_bytes()));
            let found = parse(text).unwrap();
            assert_eq!((&*found.host, &*found.user), ("main.acme", "app"));
            assert_eq!(found.scope.key_id, "KWAKAAAAAAAAAAAAAAAA");
            let session = found.session_token.as_ref().map(|token| token.as_slice());
            assert_eq!(session, token.map(str::as_bytes));
            assert!(bool::from(found.is_signed_with(SECRET)));
            assert!(!bool::from(found.is_signed_with("kws_other")));
            let with_scheme = parse(&format!("https://{text}")).unwrap();
            assert!(bool::from(with_scheme.is_signed_with(SECRET)));
        }
    }

    #[test]
    fn every_change_breaks_it() {
        for (from, to) in [
            ("main.acme", "main.evil"),
            ("User=app", "User=admin"),
            ("X-Amz-Expires=900", "X-Amz-Expires=901"),
            ("T081500Z", "T081501Z"),
            ("us-east-1", "us-east-2"),
            ("KWAKAAAAAAAAAAAAAAAA", "KWAKAAAAAAAAAAAAAAAB"),
        ] {
            let changed = OF_BOTOCORE.replacen(from, to, 1);
            assert_ne!(changed, OF_BOTOCORE, "{from}");
            let good = parse(&changed).is_some_and(|t| bool::from(t.is_signed_with(SECRET)));
            assert!(!good, "{from}");
        }
        let added = format!("{OF_BOTOCORE}&X-Amz-Security-Token=kwt_x");
        assert!(!bool::from(parse(&added).unwrap().is_signed_with(SECRET)));
    }

    #[test]
    fn what_is_none() {
        let cases = [
            (
                "another action",
                OF_BOTOCORE.replace("Action=connect", "Action=drop"),
            ),
            ("no action", OF_BOTOCORE.replace("Action=connect&", "")),
            ("two users", format!("{OF_BOTOCORE}&User=admin")),
            ("another service", OF_BOTOCORE.replace("elasticache", "s3")),
            (
                "another algorithm",
                OF_BOTOCORE.replace("HMAC-SHA256", "HMAC-SHA512"),
            ),
            (
                "more headers",
                OF_BOTOCORE.replace("SignedHeaders=host", "SignedHeaders=host%3Bx"),
            ),
            ("no host", OF_BOTOCORE.replace("main.acme", "")),
            ("a path", OF_BOTOCORE.replace("main.acme/", "main.acme/x/")),
            ("a port", OF_BOTOCORE.replace("main.acme", "main.acme:6379")),
            (
                "no end",
                OF_BOTOCORE.replace("X-Amz-Expires=900", "X-Amz-Expires=0"),
            ),
            (
                "no signature",
                OF_BOTOCORE.replace("X-Amz-Signature=", "X-Amz-Signature=x"),
            ),
            (
                "another day",
                OF_BOTOCORE.replace("Date=20261122T", "Date=20261123T"),
            ),
            ("nothing", String::new()),
            (
                "too long",
                format!("{OF_BOTOCORE}&a={}", "x".repeat(MAX_LEN)),
            ),
            (
                "too many",
                format!("{OF_BOTOCORE}{}", "&a=b".repeat(MAX_PARAMETERS)),
            ),
        ];
        for (name, text) in cases {
            assert!(parse(&text).is_none(), "{name}");
        }
        for text in ["", "kws_x", "a?b", "eyJ.eyJ.x", "?"] {
            assert!(!is_connect_token(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn life() {
        let minute = 60_000;
        let token = parse(OF_BOTOCORE).unwrap();
        let short = parse(&OF_BOTOCORE.replace("Expires=900", "Expires=60")).unwrap();
        let long = parse(&OF_BOTOCORE.replace("Expires=900", "Expires=604800")).unwrap();
        for (token, minutes, current) in [
            (&token, 0, true),
            (&token, 20, true),
            (&token, -5, true),
            (&short, 6, true),
            (&long, 20, true),
        ] {
            let now = |past: i64| UnixMillis(AT.saturating_add_signed(minutes * minute + past));
            assert_eq!(token.is_current(now(0)), current, "{minutes}");
            let outside = if minutes < 0 { -1 } else { 1 };
            if minutes != 0 {
                assert!(!token.is_current(now(outside)), "{minutes}");
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_are_no_fault() {
        let good = OF_BOTOCORE_WITH_TOKEN.as_bytes();
        for at in 0..good.len() {
            for byte in [0, b'%', b'&', b'=', b'?', 0xFF] {
                let mut bad = good.to_vec();
                bad[at] = byte;
                let _ = ConnectToken::parse(&bad).map(|token| token.is_signed_with(SECRET));
            }
            let _ = ConnectToken::parse(&good[..at]);
        }
    }
}
