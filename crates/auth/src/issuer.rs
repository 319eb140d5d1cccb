//! Makes temporary credentials, and verifies them without asking anybody.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use keyward_iam::{TemporarySession, UnixMillis};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::access_key::{ENTROPY_LEN, session_secret};
use crate::master_key::{MasterKey, SealError, sealed_of_text, text_of_sealed};
use crate::random::{random_bytes, random_secret_bytes};
use crate::session_token::{Form, SessionId, read, write};

/// How long a signing key signs, unless the operator says otherwise: 30 days.
pub const SIGNING_PERIOD: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Longest time that any session lasts: as long a signing key verifies after its last signature.
pub const LONGEST_SESSION: Duration = Duration::from_secs(12 * 60 * 60);

/// Most bytes that a session may say of itself, as JSON. Its tags and policies count.
pub const MAX_SESSION_LEN: usize = 6 * 1024;

/// Most signing keys that are kept.
const MAX_SIGNING_KEYS: usize = 32;

/// Under which purpose signing keys are sealed, and under which name they are stored.
const PURPOSE: &str = "signing_keys";

const KEY_ID_LEN: usize = 8;
const SALT_LEN: usize = 16;
const MAC_LEN: usize = 32;

// As in `hash`: each ends with a zero byte, which is in no other.
const SEAL_DOMAIN: &[u8] = b"keyward session 1\0";
const KEY_DOMAIN: &[u8] = b"keyward session key 1\0";
const SECRET_DOMAIN: &[u8] = b"keyward session secret 1\0";

/// One key that signs sessions, or has signed.
#[derive(Clone)]
struct SigningKey {
    id: [u8; KEY_ID_LEN],
    secret: Zeroizing<[u8; 32]>,
    /// From when on it signs.
    made: UnixMillis,
}

/// The keys of all sessions that may still be open, the newest first.
#[derive(Clone)]
pub struct SigningKeys(Vec<SigningKey>); // INVARIANT: not empty

#[derive(Serialize, Deserialize)]
struct StoredKey {
    id: [u8; KEY_ID_LEN],
    secret: [u8; 32],
    made: u64,
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeys({})", self.0.len())
    }
}

impl SigningKeys {
    /// Name under which the store keeps them.
    pub const NAME: &'static str = PURPOSE;

    /// A first key.
    #[must_use]
    pub fn generate(now: UnixMillis) -> Self {
        Self(vec![SigningKey::generate(now)])
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether the newest key has signed for a period.
    #[must_use]
    pub fn is_due(&self, period: Duration, now: UnixMillis) -> bool {
        let period = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        self.0[0].made.0.saturating_add(period) <= now.0
    }

    /// The same keys with a new one that signs, without those whose sessions have all ended.
    #[must_use]
    pub fn rotated(&self, now: UnixMillis) -> Self {
        let mut keys = vec![SigningKey::generate(now)];
        keys.extend(self.0.iter().take(MAX_SIGNING_KEYS - 1).cloned());
        let keys = Self(keys);
        keys.without_idle(now).unwrap_or(keys)
    }

    /// The keys without those whose sessions have all ended; `None` if there are none of these.
    #[must_use]
    pub fn without_idle(&self, now: UnixMillis) -> Option<Self> {
        let longest = u64::try_from(LONGEST_SESSION.as_millis()).unwrap_or(u64::MAX);
        // A key signs until the one after it is made.
        let over = |next: &SigningKey| next.made.0.saturating_add(longest) < now.0;
        let kept = self.0.iter().position(over)? + 1;
        (kept < self.0.len()).then(|| Self(self.0[..kept].to_vec()))
    }

    /// The keys under the master key, as text.
    #[must_use]
    pub fn seal(&self, master_key: &MasterKey) -> String {
        let stored: Vec<StoredKey> = self
            .0
            .iter()
            .map(|key| StoredKey {
                id: key.id,
                secret: *key.secret,
                made: key.made.0,
            })
            .collect();
        let text =
            Zeroizing::new(serde_json::to_vec(&stored).expect("numbers can be written as JSON"));
        text_of_sealed(&master_key.seal(PURPOSE, &text))
    }

    /// The keys that [`SigningKeys::seal`] wrote.
    ///
    /// # Errors
    /// The text is something else, or of another master key.
    pub fn unseal(master_key: &MasterKey, text: &str) -> Result<Self, SealError> {
        let opened = master_key.open(PURPOSE, &sealed_of_text(text)?)?;
        let stored: Vec<StoredKey> =
            serde_json::from_slice(&opened).map_err(|_| SealError::Form)?;
        let keys: Vec<SigningKey> = stored
            .into_iter()
            .map(|key| SigningKey {
                id: key.id,
                secret: Zeroizing::new(key.secret),
                made: UnixMillis(key.made),
            })
            .collect();
        if keys.is_empty() {
            return Err(SealError::Form);
        }
        Ok(Self(keys))
    }
}

impl SigningKey {
    fn generate(now: UnixMillis) -> Self {
        Self {
            id: random_bytes(),
            secret: random_secret_bytes(),
            made: now,
        }
    }

    fn mac(&self, domain: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; MAC_LEN]> {
        let mut hmac = Hmac::<Sha256>::new_from_slice(&*self.secret).expect("any length is taken");
        hmac.update(domain);
        for part in parts {
            hmac.update(part);
        }
        Zeroizing::new(hmac.finalize().into_bytes().into())
    }

    /// The cipher of one session: every session has a key of its own.
    fn cipher(&self, id: SessionId, salt: &[u8]) -> LessSafeKey {
        let key = self.mac(SEAL_DOMAIN, &[id.as_str().as_bytes(), salt]);
        let key = UnboundKey::new(&AES_256_GCM, &*key).expect("the key has the cipher's length");
        LessSafeKey::new(key)
    }
}

/// Temporary credentials: shown once, kept nowhere. Never printed.
pub struct Credentials {
    /// `KWTK…`
    pub key_id: SessionId,
    /// Signs requests, together with `session_token`.
    pub secret_access_key: Zeroizing<String>,
    /// Goes with signatures. Opens nothing by itself, since it travels where others may read it.
    pub session_token: Zeroizing<String>,
    /// Opens the session by itself: a password for `AUTH`, or a bearer token.
    pub session_key: Zeroizing<String>,
    /// When all of it ends.
    pub expires: UnixMillis,
    /// How much of [`MAX_SESSION_LEN`] the session takes, in percent.
    pub packed_size_percent: u8,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("key_id", &self.key_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Why no credentials were made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// Tags, policies and origins are too long together.
    #[error(
        "the session's policies and tags are too long: {found} bytes of at most {MAX_SESSION_LEN}"
    )]
    TooLong {
        /// Bytes that there are.
        found: usize,
    },
    /// The session's id is none.
    #[error("the id of the session is malformed")]
    Id,
}

/// Why a text opens no session. Tells nobody more than that.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a session that this deployment has opened")]
pub struct NoSession;

/// A session whose token was verified, with the secret that signs for it.
pub(crate) struct Verified {
    pub(crate) session: Arc<TemporarySession>,
    pub(crate) secret_access_key: Zeroizing<String>,
}

/// Makes temporary credentials and verifies them. What a session is stands in its token, encrypted
/// and authenticated; nothing is stored. Whether it still holds is the directory's answer.
pub struct SessionIssuer(RwLock<Arc<SigningKeys>>);

impl fmt::Debug for SessionIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionIssuer").field(&*self.keys()).finish()
    }
}

impl SessionIssuer {
    /// An issuer with these keys.
    #[must_use]
    pub fn new(keys: SigningKeys) -> Self {
        Self(RwLock::new(Arc::new(keys)))
    }

    /// The keys in use.
    #[must_use]
    pub fn keys(&self) -> Arc<SigningKeys> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&keys)
    }

    /// Uses other keys from now on. They are stored first: a session that is signed with a key that
    /// is lost ends with the process.
    pub fn install(&self, keys: SigningKeys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// Makes the credentials of a session that the directory has opened.
    ///
    /// # Errors
    /// It says too much of itself.
    pub fn issue(&self, session: &TemporarySession) -> Result<Credentials, IssueError> {
        let id = SessionId::parse(&session.id).ok_or(IssueError::Id)?;
        let plain =
            Zeroizing::new(serde_json::to_vec(session).expect("a session can be written as JSON"));
        if plain.len() > MAX_SESSION_LEN {
            return Err(IssueError::TooLong { found: plain.len() });
        }
        let keys = self.keys();
        let key = &keys.0[0];
        let salt = random_bytes::<SALT_LEN>();
        let mut body = Vec::with_capacity(KEY_ID_LEN + SALT_LEN + plain.len() + 16);
        body.extend_from_slice(&key.id);
        body.extend_from_slice(&salt);
        body.extend_from_slice(&plain);
        let (head, sealed) = body.split_at_mut(KEY_ID_LEN + SALT_LEN);
        let tag = key
            .cipher(id, &salt)
            .seal_in_place_separate_tag(nonce(), Aad::from(&*head), sealed)
            .expect("a session is shorter than what AES-GCM can seal");
        body.extend_from_slice(tag.as_ref());
        let session_token = write(Form::Token, id, &body);
        let secret_access_key = secret(key, id, &body);
        let mac = key.mac(KEY_DOMAIN, &[id.as_str().as_bytes(), &body]);
        let with_mac = Zeroizing::new([&body[..], &*mac].concat());
        Ok(Credentials {
            key_id: id,
            secret_access_key,
            session_token,
            session_key: write(Form::Key, id, &with_mac),
            expires: session.expires,
            packed_size_percent: u8::try_from(
                plain.len().saturating_mul(100).div_ceil(MAX_SESSION_LEN),
            )
            .unwrap_or(100),
        })
    }

    /// The session of a session key: who has it, has the session.
    ///
    /// # Errors
    /// It is none of ours. Whether the session still holds, `Directory::session_of` tells.
    pub fn verify_session_key(&self, text: &[u8]) -> Result<Arc<TemporarySession>, NoSession> {
        let (id, bytes) = read(Form::Key, text).ok_or(NoSession)?;
        let (body, given) = bytes.split_last_chunk::<MAC_LEN>().ok_or(NoSession)?;
        let keys = self.keys();
        let key = key_of(&keys, body).ok_or(NoSession)?;
        let mac = key.mac(KEY_DOMAIN, &[id.as_str().as_bytes(), body]);
        if !bool::from(mac.ct_eq(given)) {
            return Err(NoSession);
        }
        open(key, id, body)
    }

    /// The session of a session token. The token opens nothing: use the session only together with
    /// a signature that the secret access key of the same session has made.
    ///
    /// # Errors
    /// It is none of ours.
    pub(crate) fn verify_session_token(&self, text: &[u8]) -> Result<Verified, NoSession> {
        let (id, body) = read(Form::Token, text).ok_or(NoSession)?;
        let keys = self.keys();
        let key = key_of(&keys, &body).ok_or(NoSession)?;
        Ok(Verified {
            session: open(key, id, &body)?,
            secret_access_key: secret(key, id, &body),
        })
    }
}

/// The signing key that a body names.
fn key_of<'a>(keys: &'a SigningKeys, body: &[u8]) -> Option<&'a SigningKey> {
    let id = body.first_chunk::<KEY_ID_LEN>()?;
    keys.0.iter().find(|key| key.id == *id)
}

/// Decrypts what a session says of itself.
fn open(key: &SigningKey, id: SessionId, body: &[u8]) -> Result<Arc<TemporarySession>, NoSession> {
    let (head, sealed) = body
        .split_at_checked(KEY_ID_LEN + SALT_LEN)
        .ok_or(NoSession)?;
    let mut plain = Zeroizing::new(sealed.to_vec());
    let plain = key
        .cipher(id, &head[KEY_ID_LEN..])
        .open_in_place(nonce(), Aad::from(head), &mut plain)
        .map_err(|_| NoSession)?;
    let session: TemporarySession = serde_json::from_slice(plain).map_err(|_| NoSession)?;
    if session.id != id.as_str() {
        return Err(NoSession);
    }
    Ok(Arc::new(session))
}

/// The secret access key of a session, in the form of that of an access key, so that scanners find
/// it. It belongs to this one token.
fn secret(key: &SigningKey, id: SessionId, body: &[u8]) -> Zeroizing<String> {
    let mac: Zeroizing<[u8; ENTROPY_LEN]> = key.mac(SECRET_DOMAIN, &[id.as_str().as_bytes(), body]);
    session_secret(id.as_str(), &mac)
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use keyward_iam::Origin;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const HOUR: u64 = 3_600_000;

    fn issuer() -> SessionIssuer {
        SessionIssuer::new(SigningKeys::generate(NOW))
    }

    fn session() -> TemporarySession {
        let origin = Origin {
            principal: "org/acme/programmatic_identity/ci".into(),
            ..Origin::default()
        };
        let text = serde_json::json!({
            "id": SessionId::generate().as_str(),
            "principal": "org/acme/role/deployer",
            "name": "build-7",
            "issued": NOW.0,
            "expires": NOW.0 + HOUR,
            "revision": 7,
            "origins": [origin],
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_was_issued_is_verified() {
        let (issuer, session) = (issuer(), session());
        let made = issuer.issue(&session).unwrap();
        let found = issuer
            .verify_session_key(made.session_key.as_bytes())
            .unwrap();
        assert_eq!(*found, session);
        let found = issuer
            .verify_session_token(made.session_token.as_bytes())
            .unwrap();
        assert_eq!(*found.session, session);
        assert_eq!(*found.secret_access_key, *made.secret_access_key);
        assert!(made.packed_size_percent < 10, "{made:?}");
    }

    #[test]
    fn forms() {
        let made = issuer().issue(&session()).unwrap();
        let id = made.key_id.as_str();
        for (text, prefix) in [
            (&made.session_key, "kwk_"),
            (&made.session_token, "kwt_"),
            (&made.secret_access_key, "kws_"),
        ] {
            assert!(text.starts_with(&format!("{prefix}{id}_")), "{prefix}");
        }
        assert_eq!(made.secret_access_key.len(), 75);
    }

    #[test]
    fn a_token_opens_nothing_and_makes_no_key() {
        let issuer = issuer();
        let made = issuer.issue(&session()).unwrap();
        let as_key = made.session_token.replacen("kwt_", "kwk_", 1);
        for text in [&*made.session_token, &as_key, &made.secret_access_key] {
            assert!(issuer.verify_session_key(text.as_bytes()).is_err());
        }
        // The same bytes as a key, with a guessed end and a right checksum.
        let (id, body) = read(Form::Token, made.session_token.as_bytes()).unwrap();
        for end in [[0; MAC_LEN], [255; MAC_LEN]] {
            let forged = write(Form::Key, id, &[&body[..], &end].concat());
            assert!(issuer.verify_session_key(forged.as_bytes()).is_err());
        }
    }

    #[test]
    fn every_change_of_one_bit_is_noticed() {
        let issuer = issuer();
        let made = issuer.issue(&session()).unwrap();
        let (id, bytes) = read(Form::Key, made.session_key.as_bytes()).unwrap();
        let (_, body) = read(Form::Token, made.session_token.as_bytes()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let text = write(Form::Key, id, &changed);
            assert!(issuer.verify_session_key(text.as_bytes()).is_err(), "{at}");
            if at < body.len() {
                let text = write(Form::Token, id, &changed[..body.len()]);
                assert!(
                    issuer.verify_session_token(text.as_bytes()).is_err(),
                    "{at}"
                );
            }
        }
        let other = SessionId::generate();
        for (form, bytes) in [(Form::Key, &bytes), (Form::Token, &body)] {
            let text = write(form, other, bytes);
            assert!(issuer.verify_session_key(text.as_bytes()).is_err());
            assert!(issuer.verify_session_token(text.as_bytes()).is_err());
        }
        for length in 0..bytes.len() {
            let text = write(Form::Key, id, &bytes[..length]);
            assert!(
                issuer.verify_session_key(text.as_bytes()).is_err(),
                "{length}"
            );
        }
    }

    #[test]
    fn signing_keys_follow_each_other() {
        let issuer = issuer();
        let made = issuer.issue(&session()).unwrap();
        let still = |issuer: &SessionIssuer| {
            issuer
                .verify_session_key(made.session_key.as_bytes())
                .is_ok()
        };
        let period = Duration::from_secs(24 * 60 * 60);
        assert!(!issuer.keys().is_due(period, UnixMillis(NOW.0 + 23 * HOUR)));
        let day = UnixMillis(NOW.0 + 24 * HOUR);
        assert!(issuer.keys().is_due(period, day));
        issuer.install(issuer.keys().rotated(day));
        assert!(!issuer.keys().is_due(period, day));
        assert!(
            issuer
                .keys()
                .without_idle(UnixMillis(day.0 + 12 * HOUR))
                .is_none()
        );
        let idle = issuer.keys().without_idle(UnixMillis(day.0 + 13 * HOUR));
        assert_eq!(
            idle.map(|keys| keys.count()),
            Some(1),
            "dropped without a rotation, too"
        );
        assert!(
            still(&issuer),
            "an older key verifies until its sessions end"
        );
        let next = issuer.issue(&session()).unwrap();
        let later = UnixMillis(day.0 + 13 * HOUR);
        issuer.install(issuer.keys().rotated(later));
        assert!(
            !still(&issuer),
            "twelve hours after its last signature it is gone"
        );
        assert!(
            issuer
                .verify_session_key(next.session_key.as_bytes())
                .is_ok()
        );
        assert!(
            SessionIssuer::new(SigningKeys::generate(NOW))
                .verify_session_key(next.session_key.as_bytes())
                .is_err()
        );
        for n in 0..100 {
            issuer.install(issuer.keys().rotated(UnixMillis(later.0 + n)));
        }
        assert_eq!(issuer.keys().0.len(), MAX_SIGNING_KEYS);
    }

    #[test]
    fn sealed_and_opened_again() {
        let issuer = issuer();
        let made = issuer.issue(&session()).unwrap();
        let master_key = MasterKey::generate();
        let text = issuer.keys().seal(&master_key);
        let again = SessionIssuer::new(SigningKeys::unseal(&master_key, &text).unwrap());
        assert!(
            again
                .verify_session_key(made.session_key.as_bytes())
                .is_ok()
        );
        assert!(SigningKeys::unseal(&MasterKey::generate(), &text).is_err());
    }

    #[test]
    fn too_long() {
        let mut session = session();
        session.name = "x".repeat(MAX_SESSION_LEN);
        assert!(matches!(
            issuer().issue(&session),
            Err(IssueError::TooLong { .. })
        ));
    }

    #[test]
    fn never_printed() {
        let issuer = issuer();
        let made = issuer.issue(&session()).unwrap();
        let printed = format!("{made:?} {issuer:?} {:?}", issuer.keys());
        for secret in [
            &made.secret_access_key,
            &made.session_key,
            &made.session_token,
        ] {
            assert!(!printed.contains(&secret[25..40]), "{printed}");
        }
    }
}
