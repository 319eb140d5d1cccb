//! Tokens in the compact form of RFC 7515, as RFC 8725 says that they are to be verified.

use std::collections::BTreeMap;

use keyward_iam::{SignatureAlgorithm, UnixMillis};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::claims::{ClaimsError, flatten};
use super::jwks::{Jwks, Verdict};
use super::{base64url, json};

/// Longest token, in bytes.
pub const MAX_TOKEN_LEN: usize = 16 * 1024;

/// How far the clocks of an issuer and of this machine may differ.
pub const LEEWAY_SECONDS: u64 = 60;

/// The age beyond which no token is taken, unless its provider says less: a day.
pub const MAX_TOKEN_AGE_SECONDS: u32 = 24 * 60 * 60;

/// A token, taken apart but not verified: says which issuer to ask, and nothing that can be relied
/// on.
#[derive(Clone, Debug)]
pub struct UnverifiedToken {
    algorithm: String,
    key_id: Option<String>,
    claims: Map<String, Value>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// What a token must be to pass.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// Exactly what its `iss` says.
    pub issuer: &'a str,
    /// One of them must be among its `aud`.
    pub audiences: &'a [String],
    /// Its `alg` must be one of these.
    pub algorithms: &'a [SignatureAlgorithm],
    /// The oldest `iat` that is taken.
    pub max_age_seconds: u32,
}

/// A token whose signature, issuer, audience and times were verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedToken {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// `aud`
    pub audiences: Vec<String>,
    /// Every claim by its path: see [`flatten`].
    pub claims: BTreeMap<String, Vec<String>>,
    /// `jti`, or else a digest of the token.
    pub token_id: String,
    /// `exp`
    pub expires: UnixMillis,
}

/// Why a token is refused. For its holder, and for logs: holds nothing of the token but what names
/// its issuer, audience and key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN_LEN`].
    #[error("the token is longer than {MAX_TOKEN_LEN} bytes")]
    TooLong,
    /// Not three parts of base64url with JSON in them.
    #[error("this is no signed token: {0}")]
    Form(String),
    /// An algorithm that its provider does not use.
    #[error("the token is signed with `{0}`, which the provider does not list in `algorithms`")]
    Algorithm(String),
    /// An extension that must be understood.
    #[error("the token has the header `{0}`, which is not supported")]
    Header(&'static str),
    /// A kind of token that is no proof of who its holder is.
    #[error("a token of type `{0}` opens nothing")]
    Type(String),
    /// No key of the issuer has the token's `kid`, or fits its algorithm.
    #[error("the issuer has no key `{}` for this token", .0.as_deref().unwrap_or("(none named)"))]
    UnknownKey(Option<String>),
    /// The signature is not the issuer's.
    #[error("the signature is not that of the issuer")]
    Signature,
    /// Another issuer.
    #[error("the token was issued by `{found}`, not by `{expected}`")]
    Issuer {
        /// `iss`
        found: String,
        /// The provider's issuer.
        expected: String,
    },
    /// Made for somebody else.
    #[error("the token is for `{}`; this provider takes `{}`", found.join("`, `"), expected.join("`, `"))]
    Audience {
        /// `aud`
        found: Vec<String>,
        /// The provider's audiences.
        expected: Vec<String>,
    },
    /// Over.
    #[error("the token expired {0} s ago")]
    Expired(u64),
    /// Not begun.
    #[error("the token is valid only in {0} s; look at the clocks")]
    NotYet(u64),
    /// Too old, or made for longer than tokens are taken.
    #[error("the token is older, or valid for longer, than the {0} s that are taken")]
    Age(u32),
    /// A claim that every token must have.
    #[error("the token has no `{0}`, or one of another form")]
    Missing(&'static str),
    /// Claims that cannot be read one way only.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    cty: Option<Value>,
    crit: Option<Value>,
    b64: Option<Value>,
    zip: Option<Value>,
    enc: Option<Value>,
}

impl UnverifiedToken {
    /// Takes a token apart. Keys that it brings along (`jwk`, `jku`, `x5c`, `x5u`) are never looked
    /// at.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(token: &[u8]) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(TokenError::TooLong);
        }
        let form = |reason: &str| TokenError::Form(reason.to_owned());
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(form("three parts with a dot between them are expected"));
        };
        let signed = token[..header.len() + 1 + claims.len()].to_vec();
        let decode = |part| base64url(part).ok_or_else(|| form("a part is not base64url"));
        let header: Header =
            json::parse(&decode(header)?).map_err(|error| form(&error.to_string()))?;
        for (name, value) in [
            ("crit", &header.crit),
            ("b64", &header.b64),
            ("zip", &header.zip),
            ("enc", &header.enc),
            ("cty", &header.cty),
        ] {
            if value.is_some() {
                return Err(TokenError::Header(name));
            }
        }
        // Logout tokens, security events and proofs of possession are signed by issuers, too.
        if let Some(kind) = &header.typ {
            let lower = kind.to_ascii_lowercase();
            let bare = lower.strip_prefix("application/").unwrap_or(&lower);
            if !["jwt", "at+jwt", "id_token+jwt"].contains(&bare) {
                return Err(TokenError::Type(kind.chars().take(64).collect()));
            }
        }
        let claims = json::read(&decode(claims)?).map_err(|error| form(&error.to_string()))?;
        let Value::Object(claims) = claims else {
            return Err(form("the claims are no object"));
        };
        Ok(Self {
            algorithm: header.alg,
            key_id: header.kid,
            claims,
            signed,
            signature: decode(signature)?,
        })
    }

    /// What `iss` says.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// What `kid` says.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// What `aud` says: a text, or an array of texts.
    #[must_use]
    pub fn audiences(&self) -> Vec<String> {
        match self.claims.get("aud") {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(list)) => {
                let texts = list.iter().filter_map(Value::as_str);
                texts.map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What the token says, without anything having been verified: for showing what it would give.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn unverified(&self) -> Result<VerifiedToken, TokenError> {
        let text = |name| self.text(name).unwrap_or_default().to_owned();
        Ok(VerifiedToken {
            issuer: text("iss"),
            subject: text("sub"),
            audiences: self.audiences(),
            claims: flatten(&self.claims)?,
            token_id: text("jti"),
            expires: UnixMillis(self.moment("exp")?.unwrap_or(0).saturating_mul(1000)),
        })
    }

    /// Verifies everything that can be verified of a token.
    ///
    /// # Errors
    /// The first thing that is wrong; [`TokenError::UnknownKey`] where a newer set of keys may help.
    pub fn verify(
        &self,
        expected: &Expected<'_>,
        keys: &Jwks,
        now: UnixMillis,
    ) -> Result<VerifiedToken, TokenError> {
        let issuer = self.issuer().ok_or(TokenError::Missing("iss"))?;
        if issuer != expected.issuer {
            return Err(TokenError::Issuer {
                found: issuer.to_owned(),
                expected: expected.issuer.to_owned(),
            });
        }
        self.verify_signature(expected, keys)?;
        let subject = self.text("sub").filter(|subject| !subject.is_empty());
        let subject = subject.ok_or(TokenError::Missing("sub"))?;
        let audiences = self.audiences();
        if !audiences.iter().any(|one| expected.audiences.contains(one)) {
            return Err(TokenError::Audience {
                found: audiences,
                expected: expected.audiences.to_vec(),
            });
        }
        let expires = self.verify_times(expected.max_age_seconds, now)?;
        let token_id = match self
            .text("jti")
            .filter(|id| !id.is_empty() && id.len() <= 256)
        {
            Some(id) => id.to_owned(),
            None => digest(&self.signed),
        };
        Ok(VerifiedToken {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            audiences,
            claims: flatten(&self.claims)?,
            token_id,
            expires,
        })
    }

    fn verify_signature(&self, expected: &Expected<'_>, keys: &Jwks) -> Result<(), TokenError> {
        let algorithm = SignatureAlgorithm::from_name(&self.algorithm)
            .filter(|algorithm| expected.algorithms.contains(algorithm))
            .ok_or_else(|| TokenError::Algorithm(self.algorithm.chars().take(32).collect()))?;
        match keys.verify(algorithm, self.key_id(), &self.signed, &self.signature) {
            Verdict::Verified => Ok(()),
            Verdict::Wrong => Err(TokenError::Signature),
            Verdict::UnknownKey => {
                let id = self.key_id().map(|id| id.chars().take(128).collect());
                Err(TokenError::UnknownKey(id))
            }
        }
    }

    /// Not over, begun, and neither older nor longer valid than a provider takes.
    fn verify_times(&self, max_age: u32, now: UnixMillis) -> Result<UnixMillis, TokenError> {
        let seconds = now.0 / 1000;
        let expires = self.moment("exp")?.ok_or(TokenError::Missing("exp"))?;
        let issued = self.moment("iat")?;
        let begins = self.moment("nbf")?.max(issued);
        if expires.saturating_add(LEEWAY_SECONDS) <= seconds {
            return Err(TokenError::Expired(seconds - expires));
        }
        if let Some(begins) = begins
            && begins > seconds.saturating_add(LEEWAY_SECONDS)
        {
            return Err(TokenError::NotYet(begins - seconds));
        }
        let max = u64::from(max_age) + LEEWAY_SECONDS;
        let too_old = match issued {
            Some(issued) => seconds.saturating_sub(issued) > max,
            None => expires.saturating_sub(seconds) > max,
        };
        if too_old {
            return Err(TokenError::Age(max_age));
        }
        Ok(UnixMillis(expires.saturating_mul(1000)))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// A number of seconds since the epoch; some issuers write fractions.
    fn moment(&self, name: &'static str) -> Result<Option<u64>, TokenError> {
        let Some(value) = self.claims.get(name) else {
            return Ok(None);
        };
        let whole = value.as_u64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked"
        )]
        let fraction = value
            .as_f64()
            .filter(|seconds| (0.0..1e12).contains(seconds))
            .map(|seconds| seconds as u64);
        whole
            .or(fraction)
            .map(Some)
            .ok_or(TokenError::Missing(name))
    }
}

/// What names a token that has no id of its own.
fn digest(signed: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, signed);
    let hex = digest.as_ref().iter().take(16);
    hex.fold("sha256:".to_owned(), |text, byte| {
        format!("{text}{byte:02x}")
    })
}
