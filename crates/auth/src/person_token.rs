//! Tokens of people: login sessions (`kwl_…`), invitations (`kwi_…`), links of the operator's
//! (`kwu_…`), and recovery codes. All are random; what is stored of them are keyed hashes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::hash::{HashKey, PersonSecret, hash_person_secret};
use crate::random::{random_base32, random_secret_bytes, random_slug};

/// With what tokens of login sessions begin.
pub const LOGIN_TOKEN_PREFIX: &str = "kwl_";

/// With what invitations begin.
pub const INVITATION_PREFIX: &str = "kwi_";

/// With what links of the operator's begin.
pub const SETUP_PREFIX: &str = "kwu_";

/// Longest token, in bytes.
const MAX_LEN: usize = 4 + 64 + 1 + 64 + 1 + SECRET_CHARS;

const SECRET_LEN: usize = 32;
const SECRET_CHARS: usize = 43;

/// A token of a person: a prefix that tells its kind, two ids, and 256 random bits. Ids are slugs,
/// in which `_` never is.
pub struct PersonToken {
    kind: PersonSecret,
    owner: Box<str>,
    id: Box<str>,
    secret: Zeroizing<[u8; SECRET_LEN]>,
}

impl fmt::Debug for PersonToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl PersonToken {
    fn prefix(kind: PersonSecret) -> Option<&'static str> {
        match kind {
            PersonSecret::Login => Some(LOGIN_TOKEN_PREFIX),
            PersonSecret::Invitation => Some(INVITATION_PREFIX),
            PersonSecret::Setup => Some(SETUP_PREFIX),
            PersonSecret::Recovery | PersonSecret::Form => None,
        }
    }

    fn generate(kind: PersonSecret, owner: &str, id: &str) -> Self {
        Self {
            kind,
            owner: owner.into(),
            id: id.into(),
            secret: random_secret_bytes(),
        }
    }

    /// A new login session of a user (by id), with an id of its own.
    #[must_use]
    pub fn login(user: &str) -> Self {
        Self::generate(PersonSecret::Login, user, &random_slug())
    }

    /// A new invitation to an organisation, by the ids of organisation and organisation user.
    #[must_use]
    pub fn invitation(organisation: &str, org_user: &str) -> Self {
        Self::generate(PersonSecret::Invitation, organisation, org_user)
    }

    /// A new link with which a user (by id) sets a password.
    #[must_use]
    pub fn setup(user: &str) -> Self {
        Self::generate(PersonSecret::Setup, user, &random_slug())
    }

    /// Reads a token of a kind. Whether it opens anything is another question.
    #[must_use]
    pub fn parse(kind: PersonSecret, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(Self::prefix(kind)?)?;
        if text.len() > MAX_LEN {
            return None;
        }
        let mut parts = rest.splitn(3, '_');
        let (owner, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
        let is_slug = |id: &str| {
            let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            (1..=64).contains(&id.len()) && id.bytes().all(fits)
        };
        if !is_slug(owner) || !is_slug(id) || secret.len() != SECRET_CHARS {
            return None;
        }
        let decoded = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret).ok()?);
        Some(Self {
            kind,
            owner: owner.into(),
            id: id.into(),
            secret: Zeroizing::new(decoded.as_slice().try_into().ok()?),
        })
    }

    /// Id of the user, or of the organisation that invites.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Id of the login session, or of the organisation user.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Path of the user, or of the organisation user.
    #[must_use]
    pub fn path(&self) -> String {
        match self.kind {
            PersonSecret::Invitation => format!("org/{}/org_user/{}", self.owner, self.id),
            _ => format!("user/{}", self.owner),
        }
    }

    /// The token itself: shown once.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<String> {
        let prefix = Self::prefix(self.kind).unwrap_or_default();
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(*self.secret));
        Zeroizing::new(format!("{prefix}{}_{}_{}", self.owner, self.id, *secret))
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self, hash_key: &HashKey) -> [u8; 32] {
        let owner = format!("{}/{}", self.path(), self.id);
        hash_person_secret(hash_key, self.kind, &owner, &*self.secret)
    }
}

/// How many recovery codes a person gets.
pub const RECOVERY_CODES: usize = 10;

/// A code that stands for a second factor once: 80 random bits, written `abcd-efgh-ijkl-mnop`.
#[must_use]
pub fn recovery_code() -> Zeroizing<String> {
    let letters = random_base32::<16>();
    let mut text = String::with_capacity(19);
    for (at, letter) in letters.iter().enumerate() {
        if at > 0 && at % 4 == 0 {
            text.push('-');
        }
        text.push(char::from(letter.to_ascii_lowercase()));
    }
    Zeroizing::new(text)
}

/// What is stored of a recovery code of a user (by path). Blanks, hyphens and letter case do not
/// matter; `None` if it is no such code.
#[must_use]
pub fn hash_recovery_code(hash_key: &HashKey, user: &str, code: &str) -> Option<[u8; 32]> {
    if code.len() > 64 {
        return None;
    }
    let letters: Zeroizing<Vec<u8>> = Zeroizing::new(
        code.bytes()
            .filter(|b| !matches!(b, b' ' | b'-'))
            .map(|b| b.to_ascii_lowercase())
            .collect(),
    );
    let fits = |b: &u8| matches!(b, b'a'..=b'z' | b'2'..=b'7');
    (letters.len() == 16 && letters.iter().all(fits))
        .then(|| hash_person_secret(hash_key, PersonSecret::Recovery, user, &letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn print_then_parse() {
        let made = [
            (PersonSecret::Login, PersonToken::login("u7")),
            (
                PersonSecret::Invitation,
                PersonToken::invitation("acme", "bob-1"),
            ),
            (PersonSecret::Setup, PersonToken::setup("u7")),
        ];
        let key = HashKey::generate();
        for (kind, token) in made {
            let text = token.expose();
            let again = PersonToken::parse(kind, &text).unwrap();
            assert_eq!((again.owner(), again.id()), (token.owner(), token.id()));
            assert_eq!(again.hash(&key), token.hash(&key));
            assert_eq!(*again.expose(), *text);
            assert_eq!(format!("{token:?}"), "[secret]");
            for other in [
                PersonSecret::Login,
                PersonSecret::Invitation,
                PersonSecret::Setup,
            ] {
                assert_eq!(PersonToken::parse(other, &text).is_some(), other == kind);
            }
        }
    }

    #[test]
    fn what_is_no_token() {
        let good = PersonToken::login("u7").expose();
        let secret = good.rsplit_once('_').unwrap().1.to_owned();
        let cases = [
            String::new(),
            "kwl_".to_owned(),
            "kwl_u7_x".to_owned(),
            format!("kwl_u7_x_{secret}A"),
            format!("kwl__x_{secret}"),
            format!("kwl_u7__{secret}"),
            format!("kwl_U7_x_{secret}"),
            format!("kwl_u/7_x_{secret}"),
            format!("kwl_{}_x_{secret}", "u".repeat(65)),
            format!("kwl_u7_x_{}", "=".repeat(43)),
            good.to_uppercase(),
        ];
        for text in cases {
            assert!(
                PersonToken::parse(PersonSecret::Login, &text).is_none(),
                "{text}"
            );
        }
    }

    #[test]
    fn everything_counts() {
        let key = HashKey::generate();
        let token = PersonToken::login("u7");
        let text = token.expose();
        for changed in [
            text.replace("_u7_", "_u8_"),
            text.replace(token.id(), "other"),
        ] {
            let other = PersonToken::parse(PersonSecret::Login, &changed).unwrap();
            assert_ne!(other.hash(&key), token.hash(&key), "{changed}");
        }
        assert_ne!(token.hash(&HashKey::generate()), token.hash(&key));
    }

    #[test]
    fn recovery_codes() {
        let key = HashKey::generate();
        let code = recovery_code();
        assert_eq!(code.len(), 19);
        let hash = hash_recovery_code(&key, "user/a", &code).unwrap();
        for same in [
            code.to_uppercase(),
            code.replace('-', ""),
            code.replace('-', " "),
        ] {
            assert_eq!(hash_recovery_code(&key, "user/a", &same), Some(hash));
        }
        assert_ne!(hash_recovery_code(&key, "user/b", &code), Some(hash));
        for none in ["", "abcd", "abcd-efgh-ijkl-mno1", &"a".repeat(100)] {
            assert_eq!(hash_recovery_code(&key, "user/a", none), None, "{none}");
        }
    }
}
