//! What a user has beyond an identity: how the person signs in, and the login sessions.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::directory::{Directory, Entity};
use crate::ids::{IdentityIx, UnixMillis};

/// Longest life of a login session, in milliseconds: 12 hours.
pub const LONGEST_LOGIN: u64 = 12 * 60 * 60 * 1000;

/// For how long after signing in a person may change how she signs in, in milliseconds: 15 minutes.
/// A session that was stolen later opens no new way in.
pub const FRESH_LOGIN: u64 = 15 * 60 * 1000;

/// Login sessions of one person; the oldest makes room for a new one.
pub const MAX_LOGINS: usize = 32;

/// Passkeys of one person.
pub const MAX_PASSKEYS: usize = 20;

/// Logins at the deployment's providers that are linked to one person.
pub const MAX_LINKED: usize = 20;

/// Addresses that are remembered as usual for one person.
pub(crate) const MAX_SOURCES: usize = 8;

/// Longest sign-in name, in bytes: as long as an e-mail address can be.
pub const MAX_SIGN_IN_NAME: usize = 254;

/// How a person signs in, and where she is signed in. Hashes and sealed secrets only; still nothing
/// of it but names and dates is ever shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Person {
    /// What is typed at the sign-in page: unique in the deployment, ignoring case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in_name: Option<Box<str>>,
    /// Hash of the password, as a PHC string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Box<str>>,
    /// When the password was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_set: Option<UnixMillis>,
    /// The authenticator app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totp: Option<Totp>,
    /// Hashes of the recovery codes that were not used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recovery_codes: Vec<Hash>,
    /// Passkeys, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passkeys: Vec<Passkey>,
    /// Logins at the deployment's providers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub linked: Vec<LinkedLogin>,
    /// A link of the operator's with which the password is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup: Option<SetupLink>,
    /// Login sessions, oldest first; some may be over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logins: Vec<LoginSession>,
    /// From where the person signed in last, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<IpAddr>,
}

/// A keyed hash of a random secret.
#[derive(Clone, Copy, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(pub [u8; 32]);

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hash]")
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        crate::row::hex(&hash.0)
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        crate::row::unhex_hash(&text)
            .map(Self)
            .ok_or("a hash has 64 hexadecimal digits")
    }
}

/// Bytes as hexadecimal digits: what is sealed is found in rows by its form.
mod hex_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&crate::row::hex(bytes))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let wrong = || D::Error::custom("expected hexadecimal digits");
        if text.len() % 2 != 0 || !text.is_ascii() {
            return Err(wrong());
        }
        let pairs = text.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        pairs.map(byte).collect::<Option<_>>().ok_or_else(wrong)
    }
}

/// An authenticator app (RFC 6238).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totp {
    /// The secret under the master key.
    #[serde(with = "hex_bytes")]
    pub sealed: Vec<u8>,
    /// The step of the last code that was taken: no code is taken twice.
    pub last_step: u64,
    /// When it was set up.
    pub added: UnixMillis,
}

/// A passkey.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passkey {
    /// Id in URLs.
    pub id: Box<str>,
    /// What the person calls it.
    pub name: Box<str>,
    /// What authenticators know it by.
    #[serde(with = "hex_bytes")]
    pub credential: Vec<u8>,
    /// The public key, as the crate that verifies it writes it.
    pub key: serde_json::Value,
    /// How often it has signed, as it said last.
    pub count: u32,
    /// When it was added.
    pub added: UnixMillis,
    /// When it was used last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<UnixMillis>,
}

/// A login at a provider of the deployment. Never matched by e-mail.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkedLogin {
    /// The provider.
    pub issuer: Box<str>,
    /// Whom the provider means.
    pub subject: Box<str>,
    /// When it was linked.
    pub added: UnixMillis,
}

/// A link of the operator's with which a person sets a password.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupLink {
    /// Hash of its token.
    pub token_hash: Hash,
    /// When it opens nothing any more.
    pub expires_at: UnixMillis,
}

/// A person signed in somewhere.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginSession {
    /// Its id, unique among the person's.
    pub id: Arc<str>,
    /// Hash of its token.
    pub token_hash: Hash,
    /// When a second factor was given, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa: Option<UnixMillis>,
    /// The provider that signed the person in, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Box<str>>,
    /// What the person's program says of itself.
    pub client: Box<str>,
    /// Address of the direct peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// When it began.
    pub created: UnixMillis,
    /// When the person gave her credentials in it; `None` where another session let it in, as for
    /// a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<UnixMillis>,
    /// When it ends at the latest.
    pub expires_at: UnixMillis,
}

/// With what else than a password a person signed in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UsedFactor {
    /// Nothing else.
    None,
    /// A code of the authenticator app, of this step.
    Totp {
        /// The step.
        step: u64,
    },
    /// A recovery code.
    RecoveryCode(Hash),
    /// A passkey.
    Passkey {
        /// Id of the passkey.
        id: String,
        /// How often it has signed, as it says.
        count: u32,
    },
}

/// A change of how a person signs in, or where she is signed in. All are the user's own, acting
/// directly, or the operator's, but where it says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub enum PersonChange {
    /// What is typed at the sign-in page.
    SetSignInName(String),
    /// Sets or takes away the password; all login sessions end.
    SetPassword {
        /// Its hash; `None` takes it away.
        hash: Option<String>,
    },
    /// Sets up an authenticator app; new recovery codes come with it.
    SetTotp {
        /// The secret under the master key.
        sealed: Vec<u8>,
        /// The step of the code that proved it.
        step: u64,
        /// Hashes of the recovery codes.
        recovery_codes: Vec<Hash>,
    },
    /// Takes the authenticator app away; without passkeys the recovery codes go with it.
    RemoveTotp,
    /// Replaces the recovery codes.
    SetRecoveryCodes(Vec<Hash>),
    /// Adds a passkey.
    AddPasskey(Passkey),
    /// Gives a passkey another name.
    RenamePasskey {
        /// Which one, by id.
        id: String,
        /// What the person calls it from now on.
        name: String,
    },
    /// Takes a passkey away, by id.
    RemovePasskey(String),
    /// Links a login at a provider of the deployment.
    Link(LinkedLogin),
    /// Takes a linked login away.
    Unlink {
        /// The provider.
        issuer: String,
        /// Whom the provider means.
        subject: String,
    },
    /// Signs the person in: whoever asks has verified what she gave. Never asked for by a session.
    BeginLogin {
        /// The new login session.
        session: LoginSession,
        /// What is used up by it.
        factor: UsedFactor,
    },
    /// Ends a login session, by id.
    EndLogin(String),
    /// Ends all login sessions, but perhaps one.
    EndLogins {
        /// Id of the session that stays.
        except: Option<String>,
    },
    /// A link with which the person sets a password; the operator's alone. `None` takes it away.
    SetSetupLink(Option<SetupLink>),
    /// Sets a password by such a link; all login sessions end. Never asked for by a session.
    UseSetupLink {
        /// Hash of the link's token.
        token_hash: Hash,
        /// Hash of the new password.
        hash: String,
    },
    /// Takes all second factors away and ends all login sessions; the operator's alone.
    ResetFactors,
}

impl PersonChange {
    /// Its name in audit records.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetSignInName(_) => "set_sign_in_name",
            Self::SetPassword { .. } => "set_password",
            Self::SetTotp { .. } => "set_totp",
            Self::RemoveTotp => "remove_totp",
            Self::SetRecoveryCodes(_) => "set_recovery_codes",
            Self::AddPasskey(_) => "add_passkey",
            Self::RenamePasskey { .. } => "rename_passkey",
            Self::RemovePasskey(_) => "remove_passkey",
            Self::Link(_) => "link_login",
            Self::Unlink { .. } => "unlink_login",
            Self::BeginLogin { .. } => "begin_login",
            Self::EndLogin(_) => "end_login",
            Self::EndLogins { .. } => "end_logins",
            Self::SetSetupLink(_) => "set_setup_link",
            Self::UseSetupLink { .. } => "use_setup_link",
            Self::ResetFactors => "reset_factors",
        }
    }

    /// Who may ask for it.
    pub(crate) fn asked_by(&self) -> AskedBy {
        match self {
            Self::EndLogin(_) | Self::EndLogins { .. } => AskedBy::User,
            Self::BeginLogin { .. }
            | Self::SetSetupLink(_)
            | Self::UseSetupLink { .. }
            | Self::ResetFactors => AskedBy::Operator,
            _ => AskedBy::FreshUser,
        }
    }
}

/// Who may ask for a change of a person.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AskedBy {
    /// The user, directly.
    User,
    /// The user, directly, who signed in a short time ago.
    FreshUser,
    /// Nobody but the operator.
    Operator,
}

impl Person {
    /// Whether signing in with a password needs something else, too.
    #[must_use]
    pub fn has_second_factor(&self) -> bool {
        self.totp.is_some() || !self.passkeys.is_empty()
    }

    /// A passkey by what authenticators know it by.
    #[must_use]
    pub fn passkey(&self, credential: &[u8]) -> Option<&Passkey> {
        self.passkeys
            .iter()
            .find(|passkey| passkey.credential == credential)
    }

    /// A login session by id, if it is not over.
    #[must_use]
    pub fn login(&self, id: &str, at: UnixMillis) -> Option<&LoginSession> {
        self.logins
            .iter()
            .find(|login| &*login.id == id && at < login.expires_at)
    }
}

/// Where the index of paths keeps a sign-in name.
pub(crate) fn sign_in_key(name: &str) -> String {
    format!("sign-in?{}", name.to_ascii_lowercase())
}

/// Where the index of paths keeps a linked login.
pub(crate) fn linked_key(issuer: &str, subject: &str) -> String {
    // Issuers are URLs: no line ends in them.
    format!("linked?{issuer}\n{subject}")
}

/// Where the index of paths keeps a passkey.
pub(crate) fn passkey_key(credential: &[u8]) -> String {
    use std::fmt::Write as _;
    credential
        .iter()
        .fold("passkey?".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing into a string cannot fail
            text
        })
}

impl Directory {
    /// How a user signs in; `None` if it is no user, or nobody ever said.
    #[must_use]
    pub fn person(&self, user: IdentityIx) -> Option<&Person> {
        self.identity(user)?.person.as_deref()
    }

    fn indexed_user(&self, key: &str) -> Option<IdentityIx> {
        match self.paths.get(key)? {
            Entity::Identity(ix) => Some(*ix),
            _ => None,
        }
    }

    /// The user who signs in by a name.
    #[must_use]
    pub fn user_by_sign_in_name(&self, name: &str) -> Option<IdentityIx> {
        self.indexed_user(&sign_in_key(name))
    }

    /// The user to whom a login at a provider of the deployment is linked.
    #[must_use]
    pub fn user_by_linked_login(&self, issuer: &str, subject: &str) -> Option<IdentityIx> {
        self.indexed_user(&linked_key(issuer, subject))
    }

    /// The user who has a passkey.
    #[must_use]
    pub fn user_by_passkey(&self, credential: &[u8]) -> Option<IdentityIx> {
        self.indexed_user(&passkey_key(credential))
    }

    /// A login session of a user that is not over.
    #[must_use]
    pub fn login_session(
        &self,
        user: IdentityIx,
        id: &str,
        at: UnixMillis,
    ) -> Option<&LoginSession> {
        self.person(user)?.login(id, at)
    }

    /// Every user who has ever said how to sign in.
    pub fn people(&self) -> impl Iterator<Item = (IdentityIx, &Person)> {
        self.identities()
            .filter_map(|(ix, identity)| Some((ix, identity.person.as_deref()?)))
    }
}
