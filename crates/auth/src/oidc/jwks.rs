//! Keys of an issuer: RFC 7517, those that verify signatures.

use keyward_iam::SignatureAlgorithm;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;

use super::{base64url, json};

/// Longest set of keys, in bytes.
pub const MAX_JWKS_LEN: usize = 256 * 1024;

/// Most keys of a set that are looked at.
pub const MAX_JWKS_KEYS: usize = 100;

/// The public keys of an issuer that can verify a token: RSA from 2048 bits, P-256, P-384 and
/// Ed25519. Others of its set, secret ones (`oct`) among them, are left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Jwks {
    keys: Vec<Jwk>,
}

/// Why a text is no set of keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// Too long, or too many keys.
    #[error("a set of keys has at most {MAX_JWKS_LEN} bytes and {MAX_JWKS_KEYS} keys")]
    TooLarge,
    /// Not the form of RFC 7517.
    #[error("this is no set of keys (RFC 7517)")]
    Form(#[source] serde_json::Error),
    /// No key in it could ever verify a token.
    #[error(
        "the set has no key that verifies signatures: RSA from 2048 bits, EC P-256 or P-384, or Ed25519"
    )]
    Empty,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Jwk {
    id: Option<String>,
    algorithm: Option<String>,
    public: Public,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// One key as it is written.
#[derive(Deserialize)]
struct Written {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct WrittenSet {
    keys: Vec<serde_json::Value>,
}

/// What became of the look for a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// A key of the set made the signature.
    Verified,
    /// The key that the token names made another one.
    Wrong,
    /// No key fits the name and the algorithm: the set may be old.
    UnknownKey,
}

impl Jwks {
    /// Reads a set of keys.
    ///
    /// # Errors
    /// Why it is none that verifies anything.
    pub fn parse(text: &[u8]) -> Result<Self, JwksError> {
        if text.len() > MAX_JWKS_LEN {
            return Err(JwksError::TooLarge);
        }
        let set: WrittenSet = json::parse(text).map_err(JwksError::Form)?;
        if set.keys.len() > MAX_JWKS_KEYS {
            return Err(JwksError::TooLarge);
        }
        // A key that is malformed is not ours to judge: it verifies nothing.
        let keys = set
            .keys
            .into_iter()
            .filter_map(|key| Jwk::read(serde_json::from_value(key).ok()?))
            .collect::<Vec<_>>();
        if keys.is_empty() {
            return Err(JwksError::Empty);
        }
        Ok(Self { keys })
    }

    /// Verifies a signature with the key that a token names, or, where it names none, with the only
    /// key that fits the algorithm.
    pub(super) fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        key_id: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Verdict {
        let mut fitting = self.keys.iter().filter(|key| {
            let named = key_id.is_none_or(|id| key.id.as_deref() == Some(id));
            named && key.fits(algorithm)
        });
        let Some(key) = fitting.next() else {
            return Verdict::UnknownKey;
        };
        // Two keys of one name, or none named among several: which is meant nobody can tell.
        if fitting.next().is_some() {
            return Verdict::UnknownKey;
        }
        match key.verifies(algorithm, message, signature) {
            true => Verdict::Verified,
            false => Verdict::Wrong,
        }
    }
}

impl Jwk {
    fn read(key: Written) -> Option<Self> {
        let signs = key
            .purpose
            .as_deref()
            .is_none_or(|purpose| purpose == "sig");
        let verifies = key
            .key_ops
            .as_ref()
            .is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !signs || !verifies {
            return None;
        }
        let bytes = |field: &Option<String>| base64url(field.as_deref()?.as_bytes());
        let point = |len: usize| {
            let (x, y) = (bytes(&key.x)?, bytes(&key.y)?);
            (x.len() == len && y.len() == len).then(|| [&[4][..], &x, &y].concat())
        };
        let public = match (key.kty.as_str(), key.crv.as_deref()) {
            ("RSA", _) => {
                let trimmed = |bytes: Vec<u8>| {
                    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                    bytes[zeros..].to_vec()
                };
                let (n, e) = (trimmed(bytes(&key.n)?), trimmed(bytes(&key.e)?));
                if !(256..=1024).contains(&n.len()) || !(1..=4).contains(&e.len()) {
                    return None;
                }
                Public::Rsa { n, e }
            }
            ("EC", Some("P-256")) => Public::P256(point(32)?),
            ("EC", Some("P-384")) => Public::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Public::Ed25519(bytes(&key.x)?),
            _ => return None,
        };
        Some(Self {
            id: key.kid,
            algorithm: key.alg,
            public,
        })
    }

    fn fits(&self, algorithm: SignatureAlgorithm) -> bool {
        use SignatureAlgorithm as A;
        let told = self.algorithm.as_deref().is_none_or(|told| {
            told == algorithm.as_str() || (told == "Ed25519" && algorithm == A::EdDsa)
        });
        let kind = matches!(
            (&self.public, algorithm),
            (
                Public::Rsa { .. },
                A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512
            ) | (Public::P256(_), A::Es256)
                | (Public::P384(_), A::Es384)
                | (Public::Ed25519(_), A::EdDsa)
        );
        told && kind
    }

    fn verifies(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        use SignatureAlgorithm as A;
        let rsa: &RsaParameters = match algorithm {
            A::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            A::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            A::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            A::Ps256 => &RSA_PSS_2048_8192_SHA256,
            A::Ps384 => &RSA_PSS_2048_8192_SHA384,
            A::Ps512 => &RSA_PSS_2048_8192_SHA512,
            A::Es256 | A::Es384 | A::EdDsa => {
                let (curve, point): (&dyn VerificationAlgorithm, _) = match &self.public {
                    Public::P256(point) => (&ECDSA_P256_SHA256_FIXED, point),
                    Public::P384(point) => (&ECDSA_P384_SHA384_FIXED, point),
                    Public::Ed25519(point) => (&ED25519, point),
                    Public::Rsa { .. } => return false,
                };
                let key = UnparsedPublicKey::new(curve, point);
                return key.verify(message, signature).is_ok();
            }
        };
        match &self.public {
            Public::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(rsa, message, signature)
                .is_ok(),
            _ => false,
        }
    }
}
