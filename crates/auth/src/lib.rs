//! Verification of credentials, hashing of their secrets, and the slowing of those who guess.
//!
//! Access keys only, so far: [`AccessKeyId`], [`AccessKeySecret`], [`hash_secret`] under the
//! deployment's [`HashKey`], and [`login`] with them; [`LoginThrottle`] counts what failed. Keeps no files and knows no clock;
//! random values come from the operating system.

mod access_key;
mod hash;
mod login;
mod random;
mod throttle;

pub use access_key::{
    AccessKeyId, AccessKeyIdError, AccessKeySecret, AccessKeySecretError, KEY_ID_LEN,
    KEY_ID_PREFIX, SECRET_LEN, SECRET_PREFIX,
};
pub use hash::{HASH_KEY_LEN, HashKey, hash_secret};
pub use login::{Login, LoginError, PASSWORD_ONLY_USER, login};
pub use random::{account_number, decision_id, random_bytes, random_secret_bytes, random_slug};
pub use throttle::{
    FAILURE_SPACING, FAILURE_WINDOW, FREE_FAILURES, LONGEST_WAIT, LoginThrottle, MAX_SOURCES,
};
