//! Temporary credentials as text: what goes with signatures, and what opens a session by itself.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::access_key::checksum;
use crate::random::random_base32;

/// What the id of temporary credentials begins with.
pub const SESSION_ID_PREFIX: &str = "KWTK";

/// What a session token begins with: it goes with signatures and opens nothing by itself.
pub const SESSION_TOKEN_PREFIX: &str = "kwt_";

/// What a session key begins with: a password, or a bearer token.
pub const SESSION_KEY_PREFIX: &str = "kwk_";

/// Longest text of either that is looked at, in bytes.
pub const MAX_SESSION_TEXT_LEN: usize = 16 * 1024;

const ID_LEN: usize = 20;
const CHECKSUM_LEN: usize = 6;

/// Id of temporary credentials: `KWTK` and 16 of `[A-Z2-7]`. Not secret.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct SessionId([u8; ID_LEN]); // INVARIANT: holds only what `parse` accepts

impl SessionId {
    /// A new id: 80 random bits.
    #[must_use]
    pub fn generate() -> Self {
        let mut id = [0; ID_LEN];
        let (prefix, rest) = id.split_at_mut(SESSION_ID_PREFIX.len());
        prefix.copy_from_slice(SESSION_ID_PREFIX.as_bytes());
        rest.copy_from_slice(&random_base32::<16>());
        Self(id)
    }

    /// The id of the session that a credential of another system opens: the same credential in the
    /// same place opens the same session again, so that whoever ends it ends it for good.
    #[must_use]
    pub fn derived(parts: &[&str]) -> Self {
        let mut hash = Sha256::new_with_prefix(b"keyward derived session 1\0");
        for part in parts {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let mut id = [0; ID_LEN];
        let (prefix, rest) = id.split_at_mut(SESSION_ID_PREFIX.len());
        prefix.copy_from_slice(SESSION_ID_PREFIX.as_bytes());
        for (letter, byte) in rest.iter_mut().zip(hash.finalize()) {
            *letter = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(byte % 32)];
        }
        Self(id)
    }

    /// Reads an id, in its one spelling; `None` for any other text.
    #[must_use]
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Self> {
        let id: [u8; ID_LEN] = text.as_ref().try_into().ok()?;
        let rest = id.strip_prefix(SESSION_ID_PREFIX.as_bytes())?;
        let fits = rest
            .iter()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
        fits.then_some(Self(id))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a session id is ASCII")
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which of the two texts it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Token,
    Key,
}

impl Form {
    fn prefix(self) -> &'static str {
        match self {
            Self::Token => SESSION_TOKEN_PREFIX,
            Self::Key => SESSION_KEY_PREFIX,
        }
    }
}

/// `<prefix><id>_<base64url>_<checksum>`. As with access keys the checksum guards nothing: it tells
/// a text that was cut off from another one, and scanners a real one from a lookalike.
pub(crate) fn write(form: Form, id: SessionId, bytes: &[u8]) -> Zeroizing<String> {
    let room = SESSION_KEY_PREFIX.len() + ID_LEN + 2 + bytes.len().div_ceil(3) * 4 + CHECKSUM_LEN;
    let mut text = Zeroizing::new(String::with_capacity(room));
    text.push_str(form.prefix());
    text.push_str(id.as_str());
    text.push('_');
    URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
    let checksum = checksum(text.as_bytes());
    text.push('_');
    text.extend(checksum.iter().map(|&byte| char::from(byte)));
    text
}

/// The id and the bytes of a text of this form; `None` for any other, and for another spelling.
pub(crate) fn read(form: Form, text: &[u8]) -> Option<(SessionId, Zeroizing<Vec<u8>>)> {
    if text.len() > MAX_SESSION_TEXT_LEN {
        return None;
    }
    let rest = text.strip_prefix(form.prefix().as_bytes())?;
    let (id, rest) = rest.split_at_checked(ID_LEN)?;
    let id = SessionId::parse(id)?;
    let rest = rest.strip_prefix(b"_")?;
    let (rest, given) = rest.split_last_chunk::<CHECKSUM_LEN>()?;
    let encoded = rest.strip_suffix(b"_")?;
    let summed = text.len() - CHECKSUM_LEN - 1;
    if *given != checksum(&text[..summed]) {
        return None;
    }
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
    Some((id, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn print_then_parse_is_the_identity() {
        for form in [Form::Token, Form::Key] {
            for length in [0, 1, 2, 3, 100, 6000] {
                let (id, bytes) = (SessionId::generate(), vec![0xA5; length]);
                let text = write(form, id, &bytes);
                let (read_id, read_bytes) = read(form, text.as_bytes()).unwrap();
                assert_eq!((read_id, &*read_bytes), (id, &bytes));
                let other = match form {
                    Form::Token => Form::Key,
                    Form::Key => Form::Token,
                };
                assert!(read(other, text.as_bytes()).is_none());
            }
        }
    }

    #[test]
    fn every_change_of_one_byte_is_noticed() {
        let good = write(Form::Key, SessionId::generate(), b"some bytes")
            .as_bytes()
            .to_vec();
        for at in 0..good.len() {
            for byte in 0..=255 {
                let mut bad = good.clone();
                bad[at] = byte;
                assert_eq!(read(Form::Key, &bad).is_some(), bad == good, "{at} {byte}");
            }
        }
        for length in 0..good.len() {
            assert!(read(Form::Key, &good[..length]).is_none());
        }
    }

    #[test]
    fn ids() {
        for (text, good) in [
            ("KWTKABCDEFGHIJKLMNOP", true),
            ("KWAKABCDEFGHIJKLMNOP", false),
            ("KWTKABCDEFGHIJKLMNO1", false),
            ("KWTKABCDEFGHIJKLMNO", false),
            ("", false),
        ] {
            assert_eq!(SessionId::parse(text).is_some(), good, "{text}");
        }
        assert!(SessionId::parse(SessionId::generate().as_str()).is_some());
    }
}
