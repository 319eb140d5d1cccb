//! Public keys of passkeys: COSE keys (RFC 9053) of the three algorithms that authenticators use.

use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

use super::cbor::Cbor;

/// COSE numbers of the algorithms that are taken, best first: EdDSA, ES256, RS256.
pub const COSE_ALGORITHMS: [i32; 3] = [-8, -7, -257];

/// A public key, with its algorithm.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "algorithm")]
pub enum PasskeyKey {
    /// ECDSA on P-256 with SHA-256: the uncompressed point.
    Es256 {
        /// 65 bytes.
        #[serde(with = "base64url")]
        point: Vec<u8>,
    },
    /// Ed25519.
    EdDsa {
        /// 32 bytes.
        #[serde(with = "base64url")]
        key: Vec<u8>,
    },
    /// RSA PKCS#1 1.5 with SHA-256, of 2048 bits or more.
    Rs256 {
        /// Modulus, big-endian.
        #[serde(with = "base64url")]
        n: Vec<u8>,
        /// Exponent, big-endian.
        #[serde(with = "base64url")]
        e: Vec<u8>,
    },
}

mod base64url {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        URL_SAFE_NO_PAD.decode(text).map_err(D::Error::custom)
    }
}

impl PasskeyKey {
    pub(super) fn of_cose(key: &Cbor<'_>) -> Option<Self> {
        let integer = |label| key.integer_entry(label).and_then(Cbor::as_integer);
        let bytes = |label| key.integer_entry(label).and_then(Cbor::as_bytes);
        // 1: type of key, 3: algorithm, -1: curve, and the coordinates.
        match (integer(1)?, integer(3)?) {
            (2, -7) if integer(-1)? == 1 => {
                let (x, y) = (bytes(-2)?, bytes(-3)?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                let point = [&[4], x, y].concat();
                Some(Self::Es256 { point })
            }
            (1, -8) if integer(-1)? == 6 => {
                let key = bytes(-2)?.to_vec();
                (key.len() == 32).then_some(Self::EdDsa { key })
            }
            (3, -257) => {
                let (n, e) = (bytes(-1)?, bytes(-2)?);
                let fits = (256..=1024).contains(&n.len()) && (1..=4).contains(&e.len());
                fits.then(|| Self::Rs256 {
                    n: n.to_vec(),
                    e: e.to_vec(),
                })
            }
            _ => None,
        }
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Es256 { point } => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point)
                .verify(message, signature)
                .is_ok(),
            Self::EdDsa { key } => UnparsedPublicKey::new(&ED25519, key)
                .verify(message, signature)
                .is_ok(),
            Self::Rs256 { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
        }
    }
}
