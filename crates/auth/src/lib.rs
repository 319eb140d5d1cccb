//! Verification of credentials, hashing and sealing of their secrets, and the slowing of those who
//! guess.
//!
//! [`Verifier`] judges what clients log in with, by its form: access keys, session keys, signed
//! connect tokens, tokens of identity providers ([`oidc`]); [`certificate_login`] client
//! certificates; [`hash_password`], [`TotpSecret`], [`passkey`] and [`PersonToken`] are for people.
//! [`SessionIssuer`] makes temporary credentials, [`MasterKey`] seals what has to be
//! read again, [`LoginThrottle`] and [`AccountThrottle`] count what failed. Keeps no files and knows
//! no clock; random values come from the operating system.

mod access_key;
mod account_throttle;
mod certificate;
mod hash;
mod issuer;
mod last_used;
mod login;
mod master_key;
pub mod oidc;
pub mod passkey;
mod password;
mod person_token;
mod random;
mod sealed_stream;
mod session_token;
mod sigv4;
mod throttle;
mod totp;
mod verifier;

pub use access_key::{
    AccessKeyId, AccessKeyIdError, AccessKeySecret, AccessKeySecretError, KEY_ID_LEN,
    KEY_ID_PREFIX, SECRET_LEN, SECRET_PREFIX,
};
pub use account_throttle::{
    ATTEMPT_WINDOW, AccountThrottle, Admission, FREE_ATTEMPTS, Guessed, LONGEST_DELAY,
};
pub use certificate::{
    Authority, CertificateError, ClientCertificate, MAX_CHAIN_LEN, MAX_NAMES, certificate_login,
};
pub use hash::{HASH_KEY_LEN, HashKey, PersonSecret, hash_person_secret, hash_secret};
pub use issuer::{
    Credentials, IssueError, LONGEST_SESSION, MAX_SESSION_LEN, NoSession, SIGNING_PERIOD,
    SessionIssuer, SigningKeys,
};
pub use last_used::{
    Connections, InUse, KeptSession, LastUse, ListedCertificate, ListedSession, MAX_SESSIONS,
    OpenedSessions, Usage,
};
pub use login::{Login, LoginError, PASSWORD_ONLY_USER};
pub use master_key::{
    MASTER_KEY_LEN, MAX_PURPOSE_LEN, MIN_PASSPHRASE_LEN, MasterKey, MasterKeyError, MasterKeyId,
    PASSPHRASE_SALT_LEN, SealError, backend_purpose, sealed_of_text, text_of_sealed,
};
pub use password::{
    MAX_PASSWORD_LEN, MIN_PASSWORD_CHARS, WeakPassword, check_password, hash_password,
    verify_password,
};
pub use person_token::{
    INVITATION_PREFIX, LOGIN_TOKEN_PREFIX, PersonToken, RECOVERY_CODES, SETUP_PREFIX,
    hash_recovery_code, recovery_code,
};
pub use random::{account_number, decision_id, random_bytes, random_secret_bytes, random_slug};
pub use sealed_stream::{
    FRAME_LEN, SealedFile, SealedFileError, SealedKeys, SealedReader, SealedWriter,
};
pub use session_token::{
    MAX_SESSION_TEXT_LEN, SESSION_ID_PREFIX, SESSION_KEY_PREFIX, SESSION_TOKEN_PREFIX, SessionId,
};
pub use sigv4::{
    CONNECT_TOKEN_LIFE, CONNECT_TOKEN_SKEW, REQUEST_SKEW, SIGNING_SERVICES, SignedRequest,
    UNSIGNED_PAYLOAD, body_hash,
};
pub use throttle::{
    FAILURE_SPACING, FAILURE_WINDOW, FREE_FAILURES, LONGEST_WAIT, LoginThrottle, MAX_SOURCES,
};
pub use totp::{TOTP_SECRET_LEN, TOTP_STEP_SECONDS, TotpSecret};
pub use verifier::{TokenVerifier, Verifier, seal_secret};
