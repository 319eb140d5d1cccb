//! Who asks, and what is known of the connection since login.

use std::net::IpAddr;
use std::sync::Arc;

use keyward_policy::ListedFacts;

use crate::certificates::CertificateSession;
use crate::directory::Directory;
use crate::entities::{AccessKey, KeyStatus};
use crate::ids::{AccessKeyIx, IdentityIx, UnixMillis};
use crate::temporary::{TemporarySession, TokenFacts};

/// Who makes a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Principal {
    /// A user, a programmatic identity, a role, or an identity provider that vouches for somebody.
    Identity(IdentityIx),
    /// Nobody: a connection without login. Can be no trustee.
    Unauthenticated,
}

/// A principal and what it came with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// Who asks. Of a role session: the role.
    pub principal: Principal,
    /// The access key that opened the session.
    pub access_key: Option<AccessKeyIx>,
    /// Revision of the directory by which the key opened it, where that was noted.
    pub revision: Option<u64>,
    /// Address of the direct peer.
    pub source: Option<IpAddr>,
    /// Whether the connection is encrypted or local.
    pub secure: bool,
    /// When a second factor was given, if one was.
    pub mfa: Option<UnixMillis>,
    /// When its temporary credentials were issued, if it has some.
    pub issued: Option<UnixMillis>,
    /// Id of the login session of a person.
    pub login: Option<Arc<str>>,
    /// The temporary credentials that opened it.
    pub temporary: Option<Arc<TemporarySession>>,
    /// The token that vouches for the principal: only while it asks for a session of a role.
    pub token: Option<Arc<TokenFacts>>,
    /// The client certificate that opened it.
    pub certificate: Option<Arc<CertificateSession>>,
    /// What a simulated session says of itself: connection, moment, tags. What it does not say is
    /// absent, but for what the directory knows.
    pub simulated: Option<Arc<ListedFacts>>,
}

/// Why a session holds no longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionEnded {
    /// The credential was deleted.
    #[error("access key deleted")]
    AccessKeyDeleted,
    /// The credential was disabled.
    #[error("access key disabled")]
    AccessKeyDisabled,
    /// The credential is older than it may be.
    #[error("access key expired")]
    AccessKeyExpired,
    /// The principal was deleted.
    #[error("identity deleted")]
    IdentityDeleted,
    /// Its time is over.
    #[error("session expired")]
    Expired,
    /// Somebody ended it.
    #[error("session revoked")]
    Revoked,
    /// The trust that it was assumed through is gone, or lets its caller in no longer.
    #[error("the trust that the role was assumed through has ended")]
    TrustEnded,
    /// The login that it came from is over.
    #[error("login session ended")]
    LoginEnded,
    /// It was opened by a later state than this node has.
    #[error("this node does not know yet what opened the session")]
    NotYetKnown,
    /// The client certificate has come to its end.
    #[error("client certificate expired")]
    CertificateExpired,
    /// The authority, or the mapping of the certificate's name, is gone.
    #[error("the client certificate is trusted no longer")]
    CertificateNotTrusted,
    /// One of its session policies can no longer be read.
    #[error("a session policy is gone")]
    PolicyGone,
    /// The database that the connection was on was deleted.
    #[error("database deleted")]
    DatabaseDeleted,
}

impl Session {
    fn of(principal: Principal) -> Self {
        Self {
            principal,
            access_key: None,
            revision: None,
            source: None,
            secure: false,
            mfa: None,
            issued: None,
            login: None,
            temporary: None,
            token: None,
            certificate: None,
            simulated: None,
        }
    }

    /// Nobody.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::of(Principal::Unauthenticated)
    }

    /// The identity of an access key that was verified.
    #[must_use]
    pub fn of_key(key: AccessKeyIx, identity: IdentityIx) -> Self {
        Self {
            access_key: Some(key),
            ..Self::of(Principal::Identity(identity))
        }
    }

    /// An identity acting without a credential: simulation, and what the operator does on the
    /// machine itself.
    #[must_use]
    pub fn of_identity(identity: IdentityIx) -> Self {
        Self {
            secure: true,
            ..Self::of(Principal::Identity(identity))
        }
    }
}

impl Session {
    /// The same session, saying of itself what a list says and nothing else.
    #[must_use]
    pub fn simulating(self, facts: impl IntoIterator<Item = (String, Vec<Vec<u8>>)>) -> Self {
        let listed = ListedFacts::new(keyward_policy::Dialect::Native, facts);
        Self {
            simulated: Some(Arc::new(listed)),
            ..self
        }
    }
}

impl Directory {
    /// When an access key opens nothing any more: by its own setting, or by the longest life that
    /// its organisation gives to keys.
    #[must_use]
    pub fn access_key_end(&self, key: &AccessKey) -> Option<UnixMillis> {
        let organisation = self.identity(key.identity).and_then(|i| i.organisation);
        let details = organisation.and_then(|ix| self.identity(ix)?.organisation_details());
        let longest = details.and_then(|details| details.max_key_lifetime_seconds);
        let by_age = longest.map(|seconds| {
            let life = seconds.saturating_mul(1000);
            UnixMillis(key.created.at.0.saturating_add(life))
        });
        match (key.expires_at, by_age) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Whether an access key holds for a session that was opened by a revision.
    pub(crate) fn check_key(
        &self,
        key: &AccessKey,
        revision: Option<u64>,
        at: UnixMillis,
    ) -> Result<(), SessionEnded> {
        let was_disabled = revision.is_some_and(|revision| revision < key.enabled_revision);
        if key.status != KeyStatus::Active || was_disabled {
            return Err(SessionEnded::AccessKeyDisabled);
        }
        match self.access_key_end(key) {
            Some(end) if at >= end => Err(SessionEnded::AccessKeyExpired),
            _ => Ok(()),
        }
    }

    /// Whether everything that the session came from is still in force.
    ///
    /// # Errors
    /// What ended it.
    pub fn check_session(&self, session: &Session, at: UnixMillis) -> Result<(), SessionEnded> {
        if let Some(key) = session.access_key {
            let key = self
                .access_key_by_ix(key)
                .ok_or(SessionEnded::AccessKeyDeleted)?;
            self.check_key(key, session.revision, at)?;
        }
        if let Principal::Identity(ix) = session.principal
            && self.identity(ix).is_none()
        {
            return Err(SessionEnded::IdentityDeleted);
        }
        if session.login.is_some() {
            let Principal::Identity(user) = session.principal else {
                return Err(SessionEnded::LoginEnded);
            };
            self.check_login(user, session.login.as_deref().unwrap_or_default(), at)?;
        }
        if let Some(certificate) = &session.certificate {
            self.check_certificate(certificate, session.principal, at)?;
        }
        match &session.temporary {
            Some(temporary) => self.check_temporary(temporary, at),
            None => Ok(()),
        }
    }

    /// The session that an access key opens, once its secret was verified.
    #[must_use]
    pub fn session_of_key(&self, key: AccessKeyIx, identity: IdentityIx) -> Session {
        Session {
            revision: Some(self.revision()),
            ..Session::of_key(key, identity)
        }
    }

    /// The session of temporary credentials that were verified.
    ///
    /// # Errors
    /// Why it holds no longer.
    pub fn session_of(
        &self,
        temporary: &Arc<TemporarySession>,
        at: UnixMillis,
    ) -> Result<Session, SessionEnded> {
        let principal = self
            .identity_at(&temporary.principal)
            .ok_or(SessionEnded::IdentityDeleted)?;
        let session = Session {
            mfa: temporary.mfa,
            issued: Some(temporary.issued),
            temporary: Some(Arc::clone(temporary)),
            ..Session::of(Principal::Identity(principal))
        };
        self.check_session(&session, at)?;
        Ok(session)
    }

    /// Path of a principal: `user/…`, `org/…/programmatic_identity/…` or `unauthenticated`.
    #[must_use]
    pub fn principal_path(&self, principal: Principal) -> &str {
        match principal {
            Principal::Identity(ix) => self.identity(ix).map_or("deleted", |i| &i.path),
            Principal::Unauthenticated => "unauthenticated",
        }
    }
}
