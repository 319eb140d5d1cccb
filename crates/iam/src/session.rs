//! Who asks, and what is known of the connection since login.

use std::net::IpAddr;
use std::sync::Arc;

use keyward_policy::ListedFacts;

use crate::directory::Directory;
use crate::entities::KeyStatus;
use crate::ids::{AccessKeyIx, IdentityIx, UnixMillis};

/// Who makes a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Principal {
    /// A user or a programmatic identity.
    Identity(IdentityIx),
    /// Nobody: a connection without login. Can be no trustee.
    Unauthenticated,
}

/// A principal and the credential it came with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// Who asks.
    pub principal: Principal,
    /// The access key that opened the session.
    pub access_key: Option<AccessKeyIx>,
    /// Address of the direct peer.
    pub source: Option<IpAddr>,
    /// Whether the connection is encrypted or local.
    pub secure: bool,
    /// When its temporary credentials were issued, if it has some.
    pub issued: Option<UnixMillis>,
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
    /// The principal was deleted.
    #[error("identity deleted")]
    IdentityDeleted,
}

impl Session {
    /// Nobody.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self {
            principal: Principal::Unauthenticated,
            access_key: None,
            source: None,
            secure: false,
            issued: None,
            simulated: None,
        }
    }

    /// The identity of an access key that was verified.
    #[must_use]
    pub fn of_key(key: AccessKeyIx, identity: IdentityIx) -> Self {
        Self {
            principal: Principal::Identity(identity),
            access_key: Some(key),
            source: None,
            secure: false,
            issued: None,
            simulated: None,
        }
    }

    /// An identity acting without a credential: simulation, and what the operator does on the
    /// machine itself.
    #[must_use]
    pub fn of_identity(identity: IdentityIx) -> Self {
        Self {
            principal: Principal::Identity(identity),
            access_key: None,
            source: None,
            secure: true,
            issued: None,
            simulated: None,
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
    /// Whether everything that the session came from is still in force.
    ///
    /// # Errors
    /// What ended it.
    pub fn check_session(&self, session: &Session) -> Result<(), SessionEnded> {
        if let Some(key) = session.access_key {
            let key = self
                .access_key_by_ix(key)
                .ok_or(SessionEnded::AccessKeyDeleted)?;
            if key.status != KeyStatus::Active {
                return Err(SessionEnded::AccessKeyDisabled);
            }
        }
        match session.principal {
            Principal::Identity(ix) if self.identity(ix).is_none() => {
                Err(SessionEnded::IdentityDeleted)
            }
            _ => Ok(()),
        }
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
