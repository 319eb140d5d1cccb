//! Tables shared between sessions with equal inputs.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use super::DecisionTable;
use crate::directory::Directory;
use crate::ids::{DatabaseIx, UnixMillis};
use crate::session::{Principal, Session};

/// Tables that were compiled, so that sessions with equal inputs share one.
#[derive(Debug, Default)]
pub struct TableCache {
    tables: Mutex<HashMap<TableKey, Arc<DecisionTable>>>,
}

/// Principal, database, administration; and the session's own facts where a policy reads them.
type TableKey = (Principal, DatabaseIx, bool, Option<SessionKey>);

/// What differs between sessions of one principal.
type SessionKey = (Option<IpAddr>, bool, Option<UnixMillis>);

/// Tables kept at most; beyond that all are dropped and compiled again when asked for.
const MAX_CACHED_TABLES: usize = 65_536;

impl TableCache {
    /// The table of a session on a database at the directory's revision. `administration`: the
    /// operator permits it for the backend. After a change that does not concern the session
    /// this costs only a comparison.
    #[must_use]
    pub fn table(
        &self,
        directory: &Directory,
        session: &Session,
        database: DatabaseIx,
        administration: bool,
        at: UnixMillis,
    ) -> Arc<DecisionTable> {
        if session.simulated.is_some() {
            return directory.table(session, database, administration, at);
        }
        let shared = (session.principal, database, administration, None);
        let own = (
            session.principal,
            database,
            administration,
            Some((session.source, session.secure, session.issued)),
        );
        let lock = || {
            self.tables
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        let old = {
            let tables = lock();
            tables.get(&shared).or_else(|| tables.get(&own)).cloned()
        };
        if let Some(table) = &old
            && table.revision == directory.revision()
            && table.valid_until().is_none_or(|end| at < end)
        {
            return Arc::clone(table);
        }
        let table = Arc::new(directory.table_after(session, database, administration, at, old));
        let mut tables = lock();
        if tables.len() >= MAX_CACHED_TABLES {
            tables.clear();
        }
        // Shared only as long as no policy reads what is the session's own.
        if table.compiled.grounds.reads_session {
            tables.remove(&shared);
            tables.insert(own, Arc::clone(&table));
        } else {
            tables.insert(shared, Arc::clone(&table));
        }
        table
    }
}
