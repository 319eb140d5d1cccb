//! The keyed hash under which secrets are stored.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::access_key::AccessKeySecret;
use crate::random::random_secret_bytes;

/// Length of a [`HashKey`], in bytes.
pub const HASH_KEY_LEN: usize = 32;

// What is hashed begins with one of these, so that no hash can stand for another purpose. Each
// ends with a zero byte, which is in no other: none begins another.
const SECRET_DOMAIN: &[u8] = b"keyward access key secret 1\0";
const KEYED_DOMAIN: &[u8] = b"keyward keyed hash 1\0";
const FINGERPRINT_DOMAIN: &[u8] = b"keyward hash key fingerprint 1\0";

/// The deployment's key for keyed hashes of secrets. Kept apart from the store, so that a copy of
/// the store alone cannot even be used to check a guess. Wiped when dropped.
#[derive(Clone)]
pub struct HashKey(Zeroizing<[u8; HASH_KEY_LEN]>);

impl HashKey {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self(random_secret_bytes())
    }

    /// The key with these bytes, as [`HashKey::expose`] gave them.
    #[must_use]
    pub fn new(bytes: [u8; HASH_KEY_LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key itself: for the file that keeps it.
    #[must_use]
    pub fn expose(&self) -> &[u8; HASH_KEY_LEN] {
        &self.0
    }

    /// Tells keys apart without telling anything about them: the store keeps it, so that a key
    /// file that belongs to another store is noticed at the start and not at every login.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.hash(FINGERPRINT_DOMAIN, &[])
    }

    /// A keyed hash for another purpose than secrets, of which two that differ have nothing in
    /// common. The parts are told apart by their lengths.
    #[must_use]
    pub fn keyed(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut text = Vec::new();
        for part in [purpose.as_bytes()].iter().chain(parts) {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        self.hash(KEYED_DOMAIN, &[&text])
    }

    fn hash(&self, domain: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut hmac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes any length");
        hmac.update(domain);
        for part in parts {
            hmac.update(part);
        }
        hmac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What is stored of a secret: HMAC-SHA256 over a domain, the key id and the random bits, the last
/// two of fixed length. With the key id in it, the hash of one key verifies no other.
#[must_use]
pub fn hash_secret(hash_key: &HashKey, secret: &AccessKeySecret) -> [u8; 32] {
    let key_id = secret.key_id();
    hash_key.hash(
        SECRET_DOMAIN,
        &[key_id.as_str().as_bytes(), &*secret.entropy()],
    )
}

/// Random secrets of people that are kept as keyed hashes only. One secret never stands for another
/// purpose or owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PersonSecret {
    /// Of a login session.
    Login,
    /// A recovery code.
    Recovery,
    /// Of an invitation to an organisation.
    Invitation,
    /// Of a link of the operator's with which a password is set.
    Setup,
    /// Of a form, so that no other site's page can have made it.
    Form,
}

/// What is stored of a random secret of a person. `owner`: the path of the user, or of what one is
/// invited to.
#[must_use]
pub fn hash_person_secret(
    hash_key: &HashKey,
    kind: PersonSecret,
    owner: &str,
    secret: &[u8],
) -> [u8; 32] {
    let domain: &[u8] = match kind {
        PersonSecret::Login => b"keyward login session 1\0",
        PersonSecret::Recovery => b"keyward recovery code 1\0",
        PersonSecret::Invitation => b"keyward invitation 1\0",
        PersonSecret::Setup => b"keyward setup link 1\0",
        PersonSecret::Form => b"keyward form 1\0",
    };
    // Paths have no zero byte: the end of the owner is plain.
    hash_key.hash(domain, &[owner.as_bytes(), b"\0", secret])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_key::{AccessKeyId, ENTROPY_LEN};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn frozen_values() {
        // Computed with another implementation of HMAC-SHA256: stored hashes must stay valid.
        let key = HashKey::new([7; HASH_KEY_LEN]);
        let key_id = AccessKeyId::parse("KWAKAAAAAAAAAAAAAAAA").unwrap();
        let secret = AccessKeySecret::of_entropy(key_id, &[1; ENTROPY_LEN]);
        assert_eq!(
            hex(&hash_secret(&key, &secret)),
            "c8d1cb29fee4515948659221ceb4d465dab457174c5b04565d637e22821f0426"
        );
        assert_eq!(
            hex(&key.fingerprint()),
            "c84e674dd56ac3e4b155a1b450a5c6158e9ee3bab8e9648fc0052b0685310237"
        );
    }

    #[test]
    fn everything_counts() {
        let key = HashKey::generate();
        let ids = [AccessKeyId::generate(), AccessKeyId::generate()];
        let secret = |id, byte| AccessKeySecret::of_entropy(id, &[byte; ENTROPY_LEN]);
        let hash = hash_secret(&key, &secret(ids[0], 1));
        assert_eq!(hash, hash_secret(&key.clone(), &secret(ids[0], 1)));
        assert_ne!(hash, hash_secret(&key, &secret(ids[0], 2)), "random bits");
        assert_ne!(hash, hash_secret(&key, &secret(ids[1], 1)), "key id");
        assert_ne!(
            hash,
            hash_secret(&HashKey::generate(), &secret(ids[0], 1)),
            "hash key"
        );
    }

    #[test]
    fn never_printed() {
        assert_eq!(format!("{:?}", HashKey::generate()), "[secret]");
    }
}
