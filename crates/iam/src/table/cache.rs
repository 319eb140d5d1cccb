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

/// Principal, database, administration, the temporary credentials; and the session's own facts
/// where a policy reads them.
type TableKey = (
    Principal,
    DatabaseIx,
    bool,
    Option<Arc<str>>,
    Option<SessionKey>,
);

/// What differs between sessions of one principal.
type SessionKey = (Option<IpAddr>, bool, Option<UnixMillis>, Option<UnixMillis>);

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
        let temporary: Option<Arc<str>> = session.temporary.as_ref().map(|t| t.id.as_str().into());
        let login = session.login.clone();
        let of_session = temporary.or(login);
        let facts = (session.source, session.secure, session.issued, session.mfa);
        let key = |facts| {
            let of_session = of_session.clone();
            (
                session.principal,
                database,
                administration,
                of_session,
                facts,
            )
        };
        let (shared, own) = (key(None), key(Some(facts)));
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
            return directory.ending_with(session, table, at);
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
        drop(tables);
        directory.ending_with(session, &table, at)
    }
}

impl Directory {
    /// A shared table as a session has it, which may end by itself.
    fn ending_with(
        &self,
        session: &Session,
        table: &Arc<DecisionTable>,
        at: UnixMillis,
    ) -> Arc<DecisionTable> {
        match self.session_end(session, at) {
            None => Arc::clone(table),
            Some(end) => Arc::new(table.until(end)),
        }
    }
}
