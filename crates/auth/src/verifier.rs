//! What every login is judged with, whatever the credential.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use keyward_iam::{Directory, Session, SessionEnded, Slug, UnixMillis};
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::access_key::{AccessKeyId, AccessKeySecret, ENTROPY_LEN};
use crate::hash::{HashKey, hash_secret};
use crate::issuer::{SessionIssuer, SigningKeys};
use crate::last_used::Usage;
use crate::login::{Login, LoginError, UserName};
use crate::master_key::MasterKey;
use crate::session_token::{SESSION_KEY_PREFIX, SessionId};
use crate::sigv4::{ConnectToken, SignedHeaders, SignedRequest, is_connect_token};

/// Judges the tokens of identity providers (`eyJ…`), which others than this crate's own forms know.
pub trait TokenVerifier: Send + Sync {
    /// Opens the session that a token stands for. `user` names the role, with or without a database.
    ///
    /// # Errors
    /// [`LoginError::WrongPass`] for everything that is wrong with it.
    fn login(
        &self,
        directory: &Directory,
        user: &[u8],
        token: &[u8],
        source: Option<IpAddr>,
        now: UnixMillis,
    ) -> Result<Login, LoginError>;
}

/// What every login is judged with. One value serves the whole process.
#[derive(Clone)]
pub struct Verifier {
    /// Key of the hashes of access-key secrets.
    pub hash_key: Arc<HashKey>,
    /// Key under which secrets that sign are sealed.
    pub master_key: Arc<MasterKey>,
    /// Sessions of temporary credentials.
    pub issuer: Arc<SessionIssuer>,
    /// What credentials are used for.
    pub usage: Arc<Usage>,
    /// Tokens of identity providers, where there are any.
    pub tokens: Option<Arc<dyn TokenVerifier>>,
    /// What follows a database's qualified name in its host name (`sessions.acme.<domain>`).
    pub domain: Option<Arc<str>>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// Seals the secret of an access key that is to sign: the row of the key keeps it.
#[must_use]
pub fn seal_secret(master_key: &MasterKey, secret: &AccessKeySecret) -> Vec<u8> {
    let purpose = secret_purpose(secret.key_id().as_str());
    master_key.seal(&purpose, secret.expose().as_bytes())
}

fn secret_purpose(key_id: &str) -> String {
    format!("access_key/{key_id}")
}

/// Which credential a password is, by its form alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    /// `kws_…`, and everything that has no form.
    AccessKey,
    /// `kwk_…`
    SessionKey,
    /// `<host>/?Action=connect&…&X-Amz-Signature=…`
    ConnectToken,
    /// `eyJ….….…`
    ProviderToken,
}

impl Form {
    fn of(password: &[u8]) -> Self {
        if password.starts_with(SESSION_KEY_PREFIX.as_bytes()) {
            Self::SessionKey
        } else if password.starts_with(b"eyJ")
            && password.iter().filter(|byte| **byte == b'.').count() == 2
        {
            Self::ProviderToken
        } else if is_connect_token(password) {
            Self::ConnectToken
        } else {
            Self::AccessKey
        }
    }
}

/// Whose signature it would be, and the secret that it was made with if it is good.
struct Signer {
    secret: Zeroizing<String>,
    session: Option<Session>,
}

impl Verifier {
    /// A verifier with these keys, for which nothing has been used yet.
    #[must_use]
    pub fn new(hash_key: HashKey, master_key: MasterKey, keys: SigningKeys) -> Self {
        Self {
            hash_key: Arc::new(hash_key),
            master_key: Arc::new(master_key),
            issuer: Arc::new(SessionIssuer::new(keys)),
            usage: Arc::new(Usage::new()),
            tokens: None,
            domain: None,
        }
    }

    /// Judges user name and password of a Redis client; the form of the password tells which
    /// credential it is. Within a form the same work is done and the same answer given, whatever
    /// is wrong.
    ///
    /// # Errors
    /// [`LoginError::WrongPass`]. Show it to [`LoginThrottle::failed`] and wait as long as that says.
    ///
    /// [`LoginThrottle::failed`]: crate::LoginThrottle::failed
    pub fn login(
        &self,
        directory: &Directory,
        user: &[u8],
        password: &[u8],
        source: Option<IpAddr>,
        now: UnixMillis,
    ) -> Result<Login, LoginError> {
        let login = match Form::of(password) {
            Form::AccessKey => self.access_key(directory, user, password, now),
            Form::SessionKey => self.session_key(directory, user, password, now),
            Form::ConnectToken => self.connect_token(directory, user, password, now),
            Form::ProviderToken => match &self.tokens {
                Some(tokens) => tokens.login(directory, user, password, source, now),
                None => Err(LoginError::WrongPass),
            },
        }?;
        let session = Session {
            source,
            ..login.session
        };
        Ok(Login { session, ..login })
    }

    /// Judges a session key that came by itself, as a bearer token.
    ///
    /// # Errors
    /// As [`Verifier::login`].
    pub fn bearer(
        &self,
        directory: &Directory,
        token: &[u8],
        source: Option<IpAddr>,
        now: UnixMillis,
    ) -> Result<Session, LoginError> {
        let session = self.session_key(directory, b"", token, now)?.session;
        Ok(Session { source, ..session })
    }

    /// Judges the signature of an HTTP request.
    ///
    /// # Errors
    /// As [`Verifier::login`].
    pub fn signed_request(
        &self,
        directory: &Directory,
        request: &SignedRequest<'_>,
        source: Option<IpAddr>,
        now: UnixMillis,
    ) -> Result<Session, LoginError> {
        let Some(signed) = SignedHeaders::parse(request) else {
            let _ = ConnectToken::nothing(no_secret().expose());
            return Err(LoginError::WrongPass);
        };
        let token = signed.session_token.as_ref().map(|token| token.as_slice());
        let signer = self.signer(directory, &signed.scope.key_id, token, now)?;
        let fits = signed.is_signed_with(&signer.secret) & choice(signed.is_current(now));
        match signer.session {
            Some(session) if bool::from(fits) => Ok(Session { source, ..session }),
            _ => Err(LoginError::WrongPass),
        }
    }

    fn access_key(
        &self,
        directory: &Directory,
        user: &[u8],
        password: &[u8],
        now: UnixMillis,
    ) -> Result<Login, LoginError> {
        let user = UserName::parse(user);
        let given = AccessKeySecret::parse(password).ok();
        let well_formed = given.is_some();
        let secret = given.unwrap_or_else(no_secret);
        let named = user
            .as_ref()
            .is_some_and(|user| user.names(secret.key_id().as_str()));
        let found = directory
            .access_key(secret.key_id().as_str())
            .map(|(ix, key)| {
                let session = directory.session_of_key(ix, key.identity);
                let in_force = directory.check_session(&session, now).is_ok();
                (session, key.secret_hash, in_force)
            });
        let (stored, in_force) = found
            .as_ref()
            .map_or(([0; 32], false), |found| (found.1, found.2));
        let fits = hash_secret(&self.hash_key, &secret).ct_eq(&stored);
        let passes = fits & choice(well_formed) & choice(named) & choice(in_force);
        match (found, user) {
            (Some((session, ..)), Some(user)) if bool::from(passes) => Ok(Login {
                session,
                suffix: user.suffix,
            }),
            _ => Err(LoginError::WrongPass),
        }
    }

    fn session_key(
        &self,
        directory: &Directory,
        user: &[u8],
        password: &[u8],
        now: UnixMillis,
    ) -> Result<Login, LoginError> {
        let user = UserName::parse(user);
        let session = self.issuer.verify_session_key(password);
        let (Some(user), Ok(session)) = (user, session) else {
            return Err(LoginError::WrongPass);
        };
        if !user.names(&session.id) {
            return Err(LoginError::WrongPass);
        }
        Ok(Login {
            session: directory.session_of(&session, now).map_err(of_ended)?,
            suffix: user.suffix,
        })
    }

    fn connect_token(
        &self,
        directory: &Directory,
        user: &[u8],
        password: &[u8],
        now: UnixMillis,
    ) -> Result<Login, LoginError> {
        let Some(token) = ConnectToken::parse(password) else {
            let _ = ConnectToken::nothing(no_secret().expose());
            return Err(LoginError::WrongPass);
        };
        let session_token = token.session_token.as_ref().map(|token| token.as_slice());
        let signer = self.signer(directory, &token.scope.key_id, session_token, now)?;
        let fits = token.is_signed_with(&signer.secret);
        // The name in the token, the name that comes with it and who signs are the same.
        let named = user == token.user.as_bytes()
            && signer
                .session
                .as_ref()
                .is_some_and(|session| is_name_of(directory, session, &token.user));
        let passes = fits & choice(named) & choice(token.is_current(now));
        let suffix = self.database_of(&token.host);
        match (signer.session, suffix) {
            (Some(session), Some(suffix)) if bool::from(passes) => Ok(Login {
                session,
                suffix: Some(suffix),
            }),
            _ => Err(LoginError::WrongPass),
        }
    }

    /// Who signs with a key id. Where nobody may, the secret is one that has signed nothing.
    fn signer(
        &self,
        directory: &Directory,
        key_id: &str,
        session_token: Option<&[u8]>,
        now: UnixMillis,
    ) -> Result<Signer, LoginError> {
        let nobody = || Signer {
            secret: Zeroizing::new(no_secret().expose().to_owned()),
            session: None,
        };
        if let Some(text) = session_token {
            let Ok(verified) = self.issuer.verify_session_token(text) else {
                return Ok(nobody());
            };
            if verified.session.id != key_id {
                return Ok(nobody());
            }
            return match directory.session_of(&verified.session, now) {
                Ok(session) => Ok(Signer {
                    secret: verified.secret_access_key,
                    session: Some(session),
                }),
                Err(SessionEnded::NotYetKnown) => Err(LoginError::NotYetKnown),
                Err(_) => Ok(nobody()),
            };
        }
        // Temporary credentials sign with their token, or not at all.
        if SessionId::parse(key_id).is_some() {
            return Ok(nobody());
        }
        let found = directory.access_key(key_id).and_then(|(ix, key)| {
            let session = directory.session_of_key(ix, key.identity);
            directory.check_session(&session, now).ok()?;
            let sealed = key.sealed_secret.as_ref()?;
            let secret = self.master_key.open(&secret_purpose(key_id), sealed).ok()?;
            let secret = std::str::from_utf8(&secret).ok()?;
            Some(Signer {
                secret: Zeroizing::new(secret.to_owned()),
                session: Some(session),
            })
        });
        Ok(found.unwrap_or_else(nobody))
    }

    /// The database that a host names: `<database>.<organisation>`, with the domain or without.
    fn database_of(&self, host: &str) -> Option<String> {
        let name = match &self.domain {
            Some(domain) => host
                .strip_suffix(&**domain)
                .and_then(|rest| rest.strip_suffix('.'))
                .unwrap_or(host),
            None => host,
        };
        let (database, organisation) = name.split_once('.')?;
        let is_id = |id: &str| id.parse::<Slug>().is_ok();
        (is_id(database) && is_id(organisation)).then(|| name.to_owned())
    }
}

/// Whether a text names the principal of a session: its id, its path, or that without organisation.
fn is_name_of(directory: &Directory, session: &Session, name: &str) -> bool {
    let path = directory.principal_path(session.principal);
    if name == path {
        return true;
    }
    let Some((rest, id)) = path.rsplit_once('/') else {
        return false;
    };
    let kind = rest.rsplit('/').next().unwrap_or(rest);
    name == id || name.strip_prefix(kind).and_then(|n| n.strip_prefix('/')) == Some(id)
}

fn of_ended(ended: SessionEnded) -> LoginError {
    match ended {
        SessionEnded::NotYetKnown => LoginError::NotYetKnown,
        _ => LoginError::WrongPass,
    }
}

pub(crate) fn choice(holds: bool) -> Choice {
    Choice::from(u8::from(holds))
}

/// What is worked on in the place of a password that is no secret. That its bits are known opens
/// nothing: what was not well-formed does not pass.
fn no_secret() -> AccessKeySecret {
    let key_id = AccessKeyId::parse("KWAKAAAAAAAAAAAAAAAA").expect("this is a key id");
    AccessKeySecret::of_entropy(key_id, &[0; ENTROPY_LEN])
}

#[cfg(test)]
mod tests;
