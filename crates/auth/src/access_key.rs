//! Access keys: their ids and their secrets.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::random::{random_base32, random_secret_bytes};

/// What the id of a permanent access key begins with.
pub const KEY_ID_PREFIX: &str = "KWAK";

/// Length of an access key's id, in bytes.
pub const KEY_ID_LEN: usize = 20;

/// What every secret begins with, so that secret scanners find it.
pub const SECRET_PREFIX: &str = "kws_";

/// Length of a secret, in bytes: `kws_`, the key id, `_`, 43 characters, `_`, 6 characters.
pub const SECRET_LEN: usize = SECRET_PREFIX.len() + KEY_ID_LEN + 1 + ENTROPY_TEXT_LEN + 1 + 6;

/// Random bytes in a secret.
pub(crate) const ENTROPY_LEN: usize = 32;

/// Their length as unpadded base64url.
const ENTROPY_TEXT_LEN: usize = 43;

// Where the parts of a secret begin.
const KEY_ID_AT: usize = SECRET_PREFIX.len();
const ENTROPY_AT: usize = KEY_ID_AT + KEY_ID_LEN + 1;
const CHECKSUM_AT: usize = ENTROPY_AT + ENTROPY_TEXT_LEN + 1;

/// Id of a permanent access key: `KWAK` and 16 of `[A-Z2-7]`. Not secret.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccessKeyId([u8; KEY_ID_LEN]); // INVARIANT: holds only what `parse` accepts

/// Why a text is no [`AccessKeyId`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an access key id is `KWAK` and 16 characters of `A-Z` and `2-7`")]
pub struct AccessKeyIdError;

impl AccessKeyId {
    /// A new id: 80 random bits.
    #[must_use]
    pub fn generate() -> Self {
        let mut id = [0; KEY_ID_LEN];
        let (prefix, rest) = id.split_at_mut(KEY_ID_PREFIX.len());
        prefix.copy_from_slice(KEY_ID_PREFIX.as_bytes());
        rest.copy_from_slice(&random_base32::<16>());
        Self(id)
    }

    /// Reads an id, in its one spelling.
    ///
    /// # Errors
    /// The text is none.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, AccessKeyIdError> {
        let id: [u8; KEY_ID_LEN] = text.as_ref().try_into().map_err(|_| AccessKeyIdError)?;
        let rest = id
            .strip_prefix(KEY_ID_PREFIX.as_bytes())
            .ok_or(AccessKeyIdError)?;
        let fits = rest
            .iter()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
        fits.then_some(Self(id)).ok_or(AccessKeyIdError)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an access key id is ASCII")
    }
}

impl FromStr for AccessKeyId {
    type Err = AccessKeyIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AccessKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The secret of an access key: `kws_<key id>_<43 base64url>_<6 checksum>`, 256 random bits.
///
/// Shown once, to whom the key was made for; stored nowhere but as [`hash_secret`] of it. The
/// checksum tells a mistyped or cut-off secret from a wrong one, and a scanner a real one from a
/// lookalike; it guards nothing. Wiped when dropped; neither `Display` nor `Serialize`.
///
/// [`hash_secret`]: crate::hash_secret
#[derive(Clone)]
pub struct AccessKeySecret {
    text: Zeroizing<[u8; SECRET_LEN]>, // INVARIANT: ASCII, only what `parse` accepts
    key_id: AccessKeyId,
}

/// Why a text is no [`AccessKeySecret`]. Never holds any part of the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessKeySecretError {
    /// Another length, another beginning, or a separator missing.
    #[error("an access key secret has the form `kws_<key id>_<43 characters>_<6 characters>`")]
    Form,
    /// The part that should be the key id is none.
    #[error("the key id inside the access key secret is malformed")]
    KeyId,
    /// The random part is not unpadded base64url of 32 bytes, in its one spelling.
    #[error("the random part of the access key secret is malformed")]
    Random,
    /// Every part has its form, and they do not belong together.
    #[error("the checksum of the access key secret does not fit: mistyped, or cut off?")]
    Checksum,
}

impl AccessKeySecret {
    /// A new secret for a key: 256 random bits.
    #[must_use]
    pub fn generate(key_id: AccessKeyId) -> Self {
        Self::of_entropy(key_id, &random_secret_bytes())
    }

    /// The secret with these random bits.
    pub(crate) fn of_entropy(key_id: AccessKeyId, entropy: &[u8; ENTROPY_LEN]) -> Self {
        let mut text = Zeroizing::new([b'_'; SECRET_LEN]);
        text[..KEY_ID_AT].copy_from_slice(SECRET_PREFIX.as_bytes());
        text[KEY_ID_AT..KEY_ID_AT + KEY_ID_LEN].copy_from_slice(&key_id.0);
        let written = URL_SAFE_NO_PAD
            .encode_slice(
                entropy,
                &mut text[ENTROPY_AT..ENTROPY_AT + ENTROPY_TEXT_LEN],
            )
            .expect("32 bytes are 43 characters of base64url");
        debug_assert_eq!(written, ENTROPY_TEXT_LEN);
        let checksum = checksum(&text[..CHECKSUM_AT - 1]);
        text[CHECKSUM_AT..].copy_from_slice(&checksum);
        Self { text, key_id }
    }

    /// Reads a secret, in its one spelling.
    ///
    /// # Errors
    /// Which part of the text is wrong, without the text.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, AccessKeySecretError> {
        let text = text.as_ref();
        let separators_fit = text.len() == SECRET_LEN
            && text.starts_with(SECRET_PREFIX.as_bytes())
            && text[ENTROPY_AT - 1] == b'_'
            && text[CHECKSUM_AT - 1] == b'_';
        if !separators_fit {
            return Err(AccessKeySecretError::Form);
        }
        let key_id = AccessKeyId::parse(&text[KEY_ID_AT..KEY_ID_AT + KEY_ID_LEN])
            .map_err(|_| AccessKeySecretError::KeyId)?;
        entropy_of(&text[ENTROPY_AT..ENTROPY_AT + ENTROPY_TEXT_LEN])
            .ok_or(AccessKeySecretError::Random)?;
        if text[CHECKSUM_AT..] != checksum(&text[..CHECKSUM_AT - 1]) {
            return Err(AccessKeySecretError::Checksum);
        }
        let mut kept = Zeroizing::new([0; SECRET_LEN]);
        kept.copy_from_slice(text);
        Ok(Self { text: kept, key_id })
    }

    /// The key that the secret belongs to.
    #[must_use]
    pub fn key_id(&self) -> AccessKeyId {
        self.key_id
    }

    /// The secret as text: for the one answer that shows it, and for clients that send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&*self.text).expect("an access key secret is ASCII")
    }

    /// The random bits.
    pub(crate) fn entropy(&self) -> Zeroizing<[u8; ENTROPY_LEN]> {
        entropy_of(&self.text[ENTROPY_AT..ENTROPY_AT + ENTROPY_TEXT_LEN])
            .expect("what was parsed or generated decodes")
    }
}

impl FromStr for AccessKeySecret {
    type Err = AccessKeySecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Debug for AccessKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The secret of temporary credentials, in the form of that of an access key: the same text with
/// another id. No [`AccessKeySecret`]: it signs, and logs in nowhere.
pub(crate) fn session_secret(id: &str, entropy: &[u8; ENTROPY_LEN]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(SECRET_LEN));
    text.push_str(SECRET_PREFIX);
    text.push_str(id);
    text.push('_');
    URL_SAFE_NO_PAD.encode_string(entropy, &mut text);
    let checksum = checksum(text.as_bytes());
    text.push('_');
    text.extend(checksum.iter().map(|&byte| char::from(byte)));
    text
}

/// Decodes the random part; `None` unless it is the one spelling of exactly 32 bytes.
fn entropy_of(text: &[u8]) -> Option<Zeroizing<[u8; ENTROPY_LEN]>> {
    // The decoder asks for room in whole groups of four characters.
    let mut room = Zeroizing::new([0; ENTROPY_LEN + 1]);
    let written = URL_SAFE_NO_PAD.decode_slice(text, &mut *room).ok()?;
    let mut entropy = Zeroizing::new([0; ENTROPY_LEN]);
    entropy.copy_from_slice(room[..written].get(..ENTROPY_LEN)?);
    (written == ENTROPY_LEN).then_some(entropy)
}

/// CRC-32 (IEEE 802.3) as six base-62 digits: letters and digits only, so that a secret ends at a
/// word boundary.
pub(crate) fn checksum(text: &[u8]) -> [u8; 6] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32(text) as usize;
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[rest % 62];
        rest /= 62;
    }
    digits
}

/// CRC-32 with the reflected polynomial `0xEDB88320`, bit by bit: 68 bytes, once a login.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret whose random bits are all 0 but the last, which spells out the format for good.
    const FROZEN: &str = "kws_KWAKAAAAAAAAAAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE_";

    fn secret() -> AccessKeySecret {
        let mut entropy = [0; ENTROPY_LEN];
        entropy[31] = 1;
        let key_id = AccessKeyId::parse("KWAKAAAAAAAAAAAAAAAA").unwrap();
        AccessKeySecret::of_entropy(key_id, &entropy)
    }

    #[test]
    fn checksum_is_the_common_crc32() {
        // The check value of the catalogues of CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn ids() {
        let cases = [
            ("KWAKABCDEFGHIJKLMNOP", true),
            ("KWAK234567ABCDEFGHIJ", true),
            ("KWAKABCDEFGHIJKLMNO", false),
            ("KWAKABCDEFGHIJKLMNOPQ", false),
            ("KWTKABCDEFGHIJKLMNOP", false),
            ("kwakABCDEFGHIJKLMNOP", false),
            ("KWAKABCDEFGHIJKLMNOp", false),
            ("KWAKABCDEFGHIJKLMNO1", false),
            ("KWAKABCDEFGHIJKLMNO8", false),
            ("KWAKABCDEFGHIJKLMN\u{e9}", false),
            ("", false),
        ];
        for (text, accepted) in cases {
            assert_eq!(AccessKeyId::parse(text).is_ok(), accepted, "{text:?}");
        }
        let id = AccessKeyId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(id, AccessKeyId::generate());
    }

    #[test]
    fn frozen_form() {
        let secret = secret();
        assert_eq!(secret.expose().len(), 75);
        assert!(secret.expose().starts_with(FROZEN), "{}", secret.expose());
        assert_eq!(&secret.expose()[FROZEN.len()..], "4D8XzN");
    }

    #[test]
    fn print_then_parse_is_the_identity() {
        for _ in 0..200 {
            let made = AccessKeySecret::generate(AccessKeyId::generate());
            let read = AccessKeySecret::parse(made.expose()).unwrap();
            assert_eq!(read.expose(), made.expose());
            assert_eq!(read.key_id(), made.key_id());
            assert_eq!(*read.entropy(), *made.entropy());
        }
    }

    #[test]
    fn every_change_of_one_byte_is_noticed() {
        let good = secret().expose().as_bytes().to_vec();
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut bad = good.clone();
                bad[at] = byte;
                assert_eq!(
                    AccessKeySecret::parse(&bad).is_ok(),
                    bad == good,
                    "{at} {byte}"
                );
            }
        }
        for length in 0..good.len() {
            assert!(AccessKeySecret::parse(&good[..length]).is_err());
        }
        let longer = [good.as_slice(), b"0"].concat();
        assert_eq!(
            AccessKeySecret::parse(longer).err(),
            Some(AccessKeySecretError::Form)
        );
    }

    #[test]
    fn errors_tell_the_part() {
        use AccessKeySecretError::{Checksum, Form, KeyId, Random};
        let good = secret().expose().to_owned();
        let cases = [
            (String::new(), Form),
            ("x".repeat(SECRET_LEN), Form),
            (good.replace("kws_", "kwt_"), Form),
            (good.replace("_A", "-A"), Form),
            (good.replace("KWAK", "KWTK"), KeyId),
            // The same 32 bytes with an unused bit set: another spelling is no spelling.
            (good.replace("AAE_", "AAF_"), Random),
            (good.replace("_AAA", "_A=A"), Random),
            (good.replace("_AAAAAA", "_AAABAA"), Checksum),
            (good.replace("KWAKA", "KWAKB"), Checksum),
        ];
        for (text, expected) in cases {
            assert_eq!(
                AccessKeySecret::parse(&text).err(),
                Some(expected),
                "{text:?}"
            );
        }
    }

    #[test]
    fn never_printed() {
        let secret = secret();
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret)),
            "[secret] Some(\n    [secret],\n)"
        );
    }
}
