//! Sealing of secrets that have to be read again.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::random::{random_bytes, random_secret_bytes};

/// Length of a [`MasterKey`], in bytes.
pub const MASTER_KEY_LEN: usize = 32;

/// Length of the salt that goes with a passphrase, in bytes.
pub const PASSPHRASE_SALT_LEN: usize = 16;

/// Shortest passphrase that is taken, in bytes.
pub const MIN_PASSPHRASE_LEN: usize = 16;

/// Longest purpose of a sealed text, in bytes.
pub const MAX_PURPOSE_LEN: usize = 255;

/// What every sealed text begins with: a mark, and the version of the form.
const MARK: &[u8; 4] = b"KWS\x01";

/// Random bytes that make a key of its own for every sealed text.
const SALT_LEN: usize = 24;

/// What stands before the purpose: mark, key id, length of the purpose.
const PURPOSE_AT: usize = MARK.len() + KEY_ID_LEN + 1;

const KEY_ID_LEN: usize = 8;

// As in `hash`: each ends with a zero byte, which is in no other.
const KEY_ID_DOMAIN: &[u8] = b"keyward master key id 1\0";
const SEAL_DOMAIN: &[u8] = b"keyward sealed text 1\0";
const EXPORT_DOMAIN: &[u8] = b"keyward derived key 1\0";

/// Tells one master key from another, and nothing else about it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct MasterKeyId([u8; KEY_ID_LEN]);

impl fmt::Display for MasterKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The key under which secrets are sealed that Keyward itself has to read again: those of access
/// keys that sign, second factors, signing keys, passwords of backends. Kept apart from the store,
/// so that a copy of the store alone opens none of them. Wiped when dropped.
#[derive(Clone)]
pub struct MasterKey {
    key: Zeroizing<[u8; MASTER_KEY_LEN]>,
    id: MasterKeyId,
}

/// For what the password of a database's backend is sealed.
#[must_use]
pub fn backend_purpose(database: &str) -> String {
    format!("backend/{database}")
}

/// Why a text is no master key, or no key can be made of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// Not 32 bytes in base64.
    #[error("a master key is 32 random bytes in base64: make one with `openssl rand -base64 32`")]
    Form,
    /// Too short to keep anybody out.
    #[error("the passphrase of the master key is shorter than {MIN_PASSPHRASE_LEN} bytes")]
    Passphrase,
    /// The machine lacks memory to stretch the passphrase.
    #[error("the passphrase could not be turned into a key: memory is short")]
    Stretch,
}

/// Why a sealed text could not be opened. Holds no part of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No sealed text, or cut off.
    #[error("this is no sealed text")]
    Form,
    /// Sealed for something else: it was moved from where it belongs.
    #[error("the sealed text is for another purpose")]
    Purpose,
    /// Sealed under another master key.
    #[error("the text is sealed under another master key: put that key back")]
    AnotherKey,
    /// Changed since it was sealed.
    #[error("the sealed text was changed")]
    Changed,
}

impl MasterKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self::of(random_secret_bytes())
    }

    /// The key with these bytes, as [`MasterKey::expose`] gave them.
    #[must_use]
    pub fn new(bytes: [u8; MASTER_KEY_LEN]) -> Self {
        Self::of(Zeroizing::new(bytes))
    }

    /// The key in a text: base64 of either alphabet, padded or not.
    ///
    /// # Errors
    /// The text is none.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim().trim_end_matches('=');
        let standard = Zeroizing::new(text.replace('-', "+").replace('_', "/") + "=");
        let decoded = Zeroizing::new(
            STANDARD
                .decode(standard.as_bytes())
                .map_err(|_| MasterKeyError::Form)?,
        );
        let bytes = <[u8; MASTER_KEY_LEN]>::try_from(decoded.as_slice());
        Ok(Self::new(bytes.map_err(|_| MasterKeyError::Form)?))
    }

    /// The key that a passphrase makes: argon2id with 64 MiB, three times over it. `salt` is
    /// random, kept beside the store, and not secret.
    ///
    /// # Errors
    /// The passphrase is too short.
    pub fn of_passphrase(
        passphrase: &[u8],
        salt: &[u8; PASSPHRASE_SALT_LEN],
    ) -> Result<Self, MasterKeyError> {
        if passphrase.len() < MIN_PASSPHRASE_LEN {
            return Err(MasterKeyError::Passphrase);
        }
        let cost = Params::new(64 * 1024, 3, 1, Some(MASTER_KEY_LEN));
        let cost = cost.expect("these costs are within argon2's limits");
        let mut key = Zeroizing::new([0; MASTER_KEY_LEN]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, cost)
            .hash_password_into(passphrase, salt, &mut *key)
            .map_err(|_| MasterKeyError::Stretch)?;
        Ok(Self::of(key))
    }

    fn of(key: Zeroizing<[u8; MASTER_KEY_LEN]>) -> Self {
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&derive(&key, KEY_ID_DOMAIN, &[])[..KEY_ID_LEN]);
        Self {
            key,
            id: MasterKeyId(id),
        }
    }

    /// Tells this key from others: the store keeps it, so that another key is noticed at the start.
    #[must_use]
    pub fn id(&self) -> MasterKeyId {
        self.id
    }

    /// The key itself: for the file that keeps it.
    #[must_use]
    pub fn expose(&self) -> &[u8; MASTER_KEY_LEN] {
        &self.key
    }

    /// A key of its own for one use, for what is neither stored nor sealed.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        derive(&self.key, EXPORT_DOMAIN, &[purpose.as_bytes()])
    }

    /// Seals a secret. The purpose says what it is and whose (`access_key/KWAK…`): the text opens
    /// for that purpose only, so that nobody who can write to the store can move it elsewhere.
    ///
    /// # Panics
    /// If the purpose is longer than [`MAX_PURPOSE_LEN`]: it is made of paths, which are shorter.
    #[must_use]
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Vec<u8> {
        let length = u8::try_from(purpose.len()).expect("a purpose is at most 255 bytes");
        let salt = random_bytes::<SALT_LEN>();
        let mut sealed =
            Vec::with_capacity(PURPOSE_AT + purpose.len() + SALT_LEN + plain.len() + 16);
        sealed.extend_from_slice(MARK);
        sealed.extend_from_slice(&self.id.0);
        sealed.push(length);
        sealed.extend_from_slice(purpose.as_bytes());
        sealed.extend_from_slice(&salt);
        let head = sealed.len();
        sealed.extend_from_slice(plain);
        let (header, body) = sealed.split_at_mut(head);
        let tag = self
            .cipher(header)
            .seal_in_place_separate_tag(nonce(), Aad::from(&*header), body)
            .expect("a secret is shorter than what AES-GCM can seal");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what [`MasterKey::seal`] made for this purpose. The secret is wiped when dropped.
    ///
    /// # Errors
    /// It is something else, for another purpose, of another key, or was changed.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let parts = Parts::of(sealed)?;
        if parts.purpose != purpose.as_bytes() {
            return Err(SealError::Purpose);
        }
        if !bool::from(parts.key_id.ct_eq(&self.id.0)) {
            return Err(SealError::AnotherKey);
        }
        let mut body = Zeroizing::new(parts.body.to_vec());
        let plain = self
            .cipher(parts.header)
            .open_in_place(nonce(), Aad::from(parts.header), &mut body)
            .map_err(|_| SealError::Changed)?
            .len();
        body.truncate(plain);
        Ok(body)
    }

    /// Seals what another key sealed, for the same purpose: `None` if it is no sealed text at all.
    ///
    /// # Errors
    /// It is sealed under a third key, or was changed.
    pub fn reseal(&self, former: &Self, sealed: &[u8]) -> Option<Result<Vec<u8>, SealError>> {
        let parts = Parts::of(sealed).ok()?;
        let purpose = std::str::from_utf8(parts.purpose).ok()?;
        let opened = former.open(purpose, sealed);
        Some(opened.map(|plain| self.seal(purpose, &plain)))
    }

    /// Every sealed text has a key of its own, made of the master key and 192 random bits: a
    /// nonce, which would have to differ, is not needed then.
    fn cipher(&self, header: &[u8]) -> LessSafeKey {
        let key = derive(&self.key, SEAL_DOMAIN, &[header]);
        let key = UnboundKey::new(&AES_256_GCM, &*key).expect("the key has the cipher's length");
        LessSafeKey::new(key)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// HMAC-SHA256 over a domain and parts; only the last may have a length of its own.
fn derive(key: &[u8; MASTER_KEY_LEN], domain: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any length");
    hmac.update(domain);
    for part in parts {
        hmac.update(part);
    }
    Zeroizing::new(hmac.finalize().into_bytes().into())
}

/// A sealed text, taken apart.
struct Parts<'a> {
    /// Everything before the sealed bytes; sealed with them.
    header: &'a [u8],
    key_id: &'a [u8],
    purpose: &'a [u8],
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a [u8]) -> Result<Self, SealError> {
        let rest = sealed.strip_prefix(MARK).ok_or(SealError::Form)?;
        let (key_id, rest) = rest.split_at_checked(KEY_ID_LEN).ok_or(SealError::Form)?;
        let (length, rest) = rest.split_first().ok_or(SealError::Form)?;
        let length = usize::from(*length);
        let purpose = rest.get(..length).ok_or(SealError::Form)?;
        let (header, body) = sealed
            .split_at_checked(PURPOSE_AT + length + SALT_LEN)
            .filter(|(_, body)| body.len() >= AES_256_GCM.tag_len())
            .ok_or(SealError::Form)?;
        Ok(Self {
            header,
            key_id,
            purpose,
            body,
        })
    }
}

/// A sealed text for a file or a row, as text; [`sealed_of_text`] reads it.
#[must_use]
pub fn text_of_sealed(sealed: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sealed)
}

/// The sealed text that [`text_of_sealed`] wrote.
///
/// # Errors
/// [`SealError::Form`].
pub fn sealed_of_text(text: &str) -> Result<Vec<u8>, SealError> {
    let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| SealError::Form)?;
    Parts::of(&sealed)?;
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_for_its_purpose_alone() {
        let key = MasterKey::generate();
        for plain in [&b""[..], b"x", &[7; 4096]] {
            let sealed = key.seal("access_key/KWAK", plain);
            assert_eq!(*key.open("access_key/KWAK", &sealed).unwrap(), plain);
            let opened = |key: &MasterKey, purpose| key.open(purpose, &sealed).err();
            assert_eq!(opened(&key, "access_key/KWAL"), Some(SealError::Purpose));
            assert_eq!(opened(&key, ""), Some(SealError::Purpose));
            assert_eq!(
                opened(&MasterKey::generate(), "access_key/KWAK"),
                Some(SealError::AnotherKey)
            );
            assert_ne!(
                sealed,
                key.seal("access_key/KWAK", plain),
                "never twice the same"
            );
            assert_eq!(sealed_of_text(&text_of_sealed(&sealed)), Ok(sealed));
        }
    }

    #[test]
    fn every_change_of_one_bit_is_noticed() {
        let key = MasterKey::generate();
        let sealed = key.seal("p", b"secret");
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(key.open("p", &changed).is_err(), "{at} {bit}");
            }
        }
        for length in 0..sealed.len() {
            assert!(key.open("p", &sealed[..length]).is_err());
        }
    }

    #[test]
    fn frozen_forms() {
        // Computed with Python's `hmac` and `cryptography`: sealed texts must stay readable.
        let key = MasterKey::new([7; MASTER_KEY_LEN]);
        assert_eq!(key.id().to_string(), FROZEN_ID);
        let sealed = sealed_of_text(FROZEN_SEALED).unwrap();
        assert_eq!(**key.open("totp/user/u-1", &sealed).unwrap(), *b"hello");
    }

    const FROZEN_ID: &str = "d6ca5c84b2f6dfda";
    const FROZEN_SEALED: &str = "S1dTAdbKXISy9t_aDXRvdHAvdXNlci91LTEAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcn-QwgA6uQJu11sPnBHiZ8yF2s38A";

    #[test]
    fn resealing() {
        let (old, new) = (MasterKey::generate(), MasterKey::generate());
        let sealed = old.seal("totp/user/u", b"seed");
        let again = new.reseal(&old, &sealed).unwrap().unwrap();
        assert_eq!(**new.open("totp/user/u", &again).unwrap(), *b"seed");
        assert_eq!(old.open("totp/user/u", &again), Err(SealError::AnotherKey));
        assert!(new.reseal(&old, b"{\"name\": \"KWS\"}").is_none());
        let third = MasterKey::generate().seal("p", b"");
        assert_eq!(new.reseal(&old, &third), Some(Err(SealError::AnotherKey)));
    }

    #[test]
    fn texts_of_keys() {
        let text = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
        let expected = MasterKey::new([7; MASTER_KEY_LEN]).id();
        for given in [text.to_owned(), format!("{text}=\n")] {
            assert_eq!(MasterKey::parse(&given).unwrap().id(), expected);
        }
        let other = format!("{}=", "__--".repeat(10) + "AAA");
        assert!(MasterKey::parse(&other).is_ok());
        for bad in ["", "BwcH", &text[1..], &format!("{text}A"), "secret!"] {
            assert_eq!(
                MasterKey::parse(bad).err(),
                Some(MasterKeyError::Form),
                "{bad}"
            );
        }
    }

    #[test]
    fn passphrases() {
        let salt = [1; PASSPHRASE_SALT_LEN];
        let key = |text: &[u8], salt| MasterKey::of_passphrase(text, salt).map(|key| key.id());
        let phrase = b"correct horse battery staple";
        assert_eq!(key(phrase, &salt), key(phrase, &salt));
        assert_ne!(key(phrase, &salt), key(phrase, &[2; PASSPHRASE_SALT_LEN]));
        assert_eq!(
            key(b"fifteen bytes..", &salt),
            Err(MasterKeyError::Passphrase)
        );
    }

    #[test]
    fn never_printed() {
        assert_eq!(format!("{:?}", MasterKey::generate()), "[secret]");
    }
}
