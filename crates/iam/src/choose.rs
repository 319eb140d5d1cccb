//! Which database a connection goes to.

use crate::directory::Directory;
use crate::ids::{DatabaseIx, IdentityIx, PathParts, UnixMillis};
use crate::session::{Principal, Session};
use crate::table::Connect;

/// What speaks of the database of a connection. Where several speak they must agree.
#[derive(Clone, Copy, Debug, Default)]
pub struct AskedDatabase<'a> {
    /// The listener is bound to it.
    pub binding: Option<DatabaseIx>,
    /// The name in TLS: `sessions.acme`.
    pub server_name: Option<&'a str>,
    /// The suffix of the user name: `sessions` or `sessions.acme`.
    pub suffix: Option<&'a str>,
    /// Where connections of this listener go that name none.
    pub listener_default: Option<DatabaseIx>,
}

/// Why no database was chosen.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChooseDatabaseError {
    /// Several are possible and nothing says which.
    #[error("which database? log in as `<key id>.<database>`; possible: {}", names.join(", "))]
    Ambiguous {
        /// Ids of the possible ones.
        names: Vec<String>,
    },
    /// Nothing names one, and there is none to connect to.
    #[error("no database: log in as `<key id>.<database>`")]
    None,
    /// The own organisation has no such database.
    #[error("no database `{name}` in {organisation}")]
    NotFound {
        /// What was asked for.
        name: String,
        /// Path of the organisation.
        organisation: String,
    },
    /// The listener, the name in TLS and the user name do not say the same.
    #[error("the listener, the server name in TLS and the user name name different databases")]
    Disagree,
    /// Another organisation's, existing or not, and the caller may not connect: answered as a
    /// wrong password.
    #[error("invalid username-password pair or user is disabled")]
    Foreign,
}

impl Directory {
    /// Chooses the database of a new session.
    ///
    /// # Errors
    /// Why none was chosen.
    pub fn choose_database(
        &self,
        session: &Session,
        asked: &AskedDatabase<'_>,
        at: UnixMillis,
    ) -> Result<DatabaseIx, ChooseDatabaseError> {
        let own = match session.principal {
            Principal::Identity(ix) => self.identity(ix).and_then(|identity| identity.organisation),
            Principal::Unauthenticated => None,
        };
        let is_own = |ix: DatabaseIx| {
            self.database(ix)
                .is_some_and(|d| self.belongs(session.principal, d.organisation))
        };
        let may_connect =
            |ix: DatabaseIx| self.table(session, ix, false, at).may_connect() == Connect::Allowed;
        let visible = |ix: DatabaseIx| {
            if is_own(ix) || may_connect(ix) {
                Ok(ix)
            } else {
                Err(ChooseDatabaseError::Foreign)
            }
        };

        let own_path = own
            .and_then(|ix| self.identity(ix))
            .map(|organisation| organisation.path.to_string());
        let of_name = |name: &str| {
            let (name, organisation) = match name.split_once('.') {
                Some((name, organisation)) => (name, format!("org/{organisation}")),
                None => (name, own_path.clone().ok_or(ChooseDatabaseError::Foreign)?),
            };
            match self.database_at(&format!("{organisation}/kvdb/{name}")) {
                Some(found) => visible(found),
                None if self
                    .identity_at(&organisation)
                    .is_some_and(|ix| self.belongs(session.principal, ix)) =>
                {
                    Err(ChooseDatabaseError::NotFound {
                        name: name.to_owned(),
                        organisation,
                    })
                }
                None => Err(ChooseDatabaseError::Foreign),
            }
        };
        let said = [
            asked.suffix.map(of_name),
            asked.server_name.map(of_name),
            asked.binding.map(visible),
        ];
        let mut said = said.into_iter().flatten();
        if let Some(first) = said.next() {
            let first = first?;
            for other in said {
                if other? != first {
                    return Err(ChooseDatabaseError::Disagree);
                }
            }
            return Ok(first);
        }
        if let Principal::Identity(ix) = session.principal
            && let Some(default) = self.identity(ix).and_then(|i| i.default_database)
            && self.database(default).is_some()
        {
            return Ok(default);
        }
        // What other organisations grant never takes part in the choice, but the operator's
        // setting does: a foreign default is chosen only where connecting is allowed.
        if let Some(default) = asked
            .listener_default
            .filter(|ix| self.database(*ix).is_some())
            && (is_own(default) || own.is_none() || may_connect(default))
        {
            return visible(default);
        }
        let Some(own) = own else {
            return Err(ChooseDatabaseError::None);
        };
        let possible: Vec<DatabaseIx> = self
            .databases()
            .filter(|(ix, database)| database.organisation == own && may_connect(*ix))
            .map(|(ix, _)| ix)
            .collect();
        match possible[..] {
            [] => Err(ChooseDatabaseError::None),
            [only] => Ok(only),
            _ => {
                let name = |ix: &DatabaseIx| self.database(*ix).map(|d| d.id().to_owned());
                Err(ChooseDatabaseError::Ambiguous {
                    names: possible.iter().filter_map(name).collect(),
                })
            }
        }
    }

    /// Whether a path lies in the organisation of a principal; of a person, in one that she is a
    /// member or the owner of.
    #[must_use]
    pub fn is_own_resource(&self, principal: Principal, path: &str) -> bool {
        let organisation = PathParts::of(path).and_then(|parts| parts.organisation);
        let organisation = organisation.and_then(|id| self.identity_at(&format!("org/{id}")));
        organisation.is_some_and(|organisation| self.belongs(principal, organisation))
    }

    /// Whether an organisation is a principal's own; of a person, whether she is a member or the
    /// owner of it.
    #[must_use]
    pub fn belongs(&self, principal: Principal, organisation: IdentityIx) -> bool {
        let Principal::Identity(ix) = principal else {
            return false;
        };
        let own = self.identity(ix).and_then(|identity| identity.organisation);
        own == Some(organisation) || self.is_member(ix, organisation)
    }
}
