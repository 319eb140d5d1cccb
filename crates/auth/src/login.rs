//! From what a client sends as user name and password to a session.

use keyward_iam::{Session, Slug};

use crate::access_key::{AccessKeyId, KEY_ID_LEN};
use crate::session_token::SessionId;

/// User name that means password-only, as the empty one does.
///
/// Source: clients of Valkey and Redis send it for `AUTH <password>`.
pub const PASSWORD_ONLY_USER: &str = "default";

/// A login that succeeded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// The session, not marked secure: whether the connection is, its owner knows.
    pub session: Session,
    /// What followed the key id in the user name, without its dot: a database (`sessions`), or a
    /// database and its organisation (`sessions.acme`).
    pub suffix: Option<String>,
}

/// Why a login failed. Tells nobody more than that it did: an unknown key, a disabled one, another
/// secret and a malformed one are the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// User name and password open nothing.
    #[error("invalid username-password pair or user is disabled")]
    WrongPass,
    /// The session is good, and was opened by a later state than this node has: only who has its
    /// secret is told so.
    #[error("this node does not know yet what opened the session: try again")]
    NotYetKnown,
    /// The keys of the token's issuer are being fetched: nothing was judged yet. Ask again.
    #[error("the keys of the token's issuer did not come in time: try again")]
    Pending,
    /// The token is good for several roles: only who has it is told so.
    #[error("several roles take this token: name one, as `AUTH <role> <token>`")]
    SeveralRoles,
    /// The token is good for the role, by several trusts that pass on different things.
    #[error(
        "several trusts of this role take the token: make them one, or narrow their conditions"
    )]
    SeveralTrusts,
    /// The token is good, and its audience names no organisation.
    #[error(
        "the token's audience names no organisation: log in as `<role>.<database>.<organisation>`"
    )]
    NoOrganisation,
}

/// A user name, taken apart.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct UserName {
    key_id: Option<String>,
    pub(crate) suffix: Option<String>,
}

impl UserName {
    /// Whether it is the name for this credential, or for whichever the password is.
    pub(crate) fn names(&self, key_id: &str) -> bool {
        self.key_id.as_ref().is_none_or(|named| named == key_id)
    }

    /// `KWAK…` or `KWTK…`, with `.<database>` or `.<database>.<organisation>` or without, `default`
    /// or nothing.
    pub(crate) fn parse(user: &[u8]) -> Option<Self> {
        if user.is_empty() || user == PASSWORD_ONLY_USER.as_bytes() {
            return Some(Self {
                key_id: None,
                suffix: None,
            });
        }
        let (key_id, rest) = user.split_at_checked(KEY_ID_LEN)?;
        let key_id = match AccessKeyId::parse(key_id) {
            Ok(key_id) => key_id.to_string(),
            Err(_) => SessionId::parse(key_id)?.to_string(),
        };
        let suffix = match rest {
            [] => None,
            [b'.', suffix @ ..] => {
                let suffix = std::str::from_utf8(suffix).ok()?;
                let ids = suffix.split('.').collect::<Vec<_>>();
                let fits = ids.len() <= 2 && ids.iter().all(|id| id.parse::<Slug>().is_ok());
                Some(fits.then(|| suffix.to_owned())?)
            }
            _ => return None,
        };
        Some(Self {
            key_id: Some(key_id),
            suffix,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names() {
        let id = "KWAKAAAAAAAAAAAAAAAA";
        let name = |key_id: Option<&str>, suffix: Option<&str>| {
            Some(UserName {
                key_id: key_id.map(str::to_owned),
                suffix: suffix.map(str::to_owned),
            })
        };
        let cases = [
            ("", name(None, None)),
            ("default", name(None, None)),
            ("KWAKAAAAAAAAAAAAAAAA", name(Some(id), None)),
            (
                "KWAKAAAAAAAAAAAAAAAA.sessions",
                name(Some(id), Some("sessions")),
            ),
            (
                "KWAKAAAAAAAAAAAAAAAA.sessions.acme",
                name(Some(id), Some("sessions.acme")),
            ),
            (
                "KWTKAAAAAAAAAAAAAAAA.sessions",
                name(Some("KWTKAAAAAAAAAAAAAAAA"), Some("sessions")),
            ),
            ("KWXKAAAAAAAAAAAAAAAA", None),
            ("KWAKAAAAAAAAAAAAAAAA.sessions.acme.x", None),
            ("KWAKAAAAAAAAAAAAAAAA.", None),
            ("KWAKAAAAAAAAAAAAAAAA..acme", None),
            ("KWAKAAAAAAAAAAAAAAAA.sessions.", None),
            ("KWAKAAAAAAAAAAAAAAAA.Sessions", None),
            ("KWAKAAAAAAAAAAAAAAAA.a/b", None),
            ("KWAKAAAAAAAAAAAAAAAAsessions", None),
            ("KWAKAAAAAAAAAAAAAAA", None),
            ("kwakAAAAAAAAAAAAAAAA", None),
            ("default.sessions", None),
            ("Default", None),
            ("app", None),
            ("KWAKAAAAAAAAAAAAAAA\u{e9}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(UserName::parse(text.as_bytes()), expected, "{text:?}");
        }
    }
}
