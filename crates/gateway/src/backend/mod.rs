//! Where a database's data is: a server of its own, or the engine inside Keyward.

pub(crate) mod embedded;
pub(crate) mod upstream;

use keyward_iam::{DatabaseIx, Directory};
use keyward_resp::Protocol;

use self::embedded::Embedded;
use self::upstream::Upstream;
use crate::shared::Shared;

/// The backend of one client connection.
#[derive(Debug)]
pub(crate) enum Backend {
    /// Not logged in.
    None,
    /// A connection of its own to a Valkey or Redis server.
    Server(Box<Upstream>),
    /// The engine of the database.
    Embedded(Box<Embedded>),
}

/// Id of the organisation of a database.
pub(crate) fn organisation_of(database: &str) -> &str {
    database.split('/').nth(1).unwrap_or_default()
}

impl Backend {
    /// The backend that the directory names for a database.
    pub(crate) fn of(
        shared: &Shared,
        directory: &Directory,
        database: DatabaseIx,
        protocol: Protocol,
    ) -> Self {
        match directory.database(database) {
            None => Self::None,
            Some(found) => match &found.backend {
                keyward_iam::Backend::Embedded => {
                    Self::Embedded(Box::new(Embedded::new(shared.engine(database), protocol)))
                }
                keyward_iam::Backend::Server {
                    address,
                    user,
                    password: sealed,
                    operator,
                } => {
                    // INVARIANT: the operator's password goes to the operator's server only.
                    let password = match sealed {
                        Some(sealed) => shared.opened_password(&found.path, sealed),
                        None if *operator => shared.upstream_password(&found.path),
                        None => None,
                    };
                    let upstream = Upstream::new(address, user.as_deref(), password);
                    let organisation = (!*operator).then(|| organisation_of(&found.path));
                    Self::Server(Box::new(upstream.of(organisation, sealed.as_deref())))
                }
            },
        }
    }

    /// Whether it is the one that the directory names now.
    pub(crate) fn is_current(&self, directory: &Directory, database: DatabaseIx) -> bool {
        match (
            self,
            directory
                .database(database)
                .map(|database| &database.backend),
        ) {
            (Self::None, _) => true,
            (Self::Embedded(_), Some(keyward_iam::Backend::Embedded)) => true,
            (
                Self::Server(upstream),
                Some(keyward_iam::Backend::Server {
                    address,
                    user,
                    password,
                    operator,
                }),
            ) => {
                upstream.leads_to(address, user.as_deref())
                    && upstream.has(password.as_deref())
                    && upstream.organisation().is_none() == *operator
            }
            _ => false,
        }
    }
}
