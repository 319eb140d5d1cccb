//! What all workers share with the rest of the process.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use keyward_auth::{LoginThrottle, Verifier, backend_purpose};
use keyward_engine::{Engine, Settings};
use keyward_iam::{DatabaseIx, DecisionLog, Directory, TableCache, UnixMillis};
use keyward_net::BackendRules;
use tokio::net::TcpStream;

/// A password of an upstream server. Never shown, wiped when dropped.
#[derive(Clone)]
pub struct UpstreamPassword(zeroize::Zeroizing<String>);

impl UpstreamPassword {
    /// Takes a password over.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(zeroize::Zeroizing::new(password))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for UpstreamPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What all workers of a gateway share with the rest of the process.
pub struct Shared {
    /// Everything that decisions are made from.
    pub directory: Arc<ArcSwap<Directory>>,
    /// Raised after each change of `directory`; workers look at it once per batch of commands.
    pub revision: Arc<AtomicU64>,
    /// Denials, and while somebody watches, every decision.
    pub log: Arc<DecisionLog>,
    /// What every login is judged with.
    pub verifier: Arc<Verifier>,
    /// Failed logins, by source.
    pub throttle: Arc<LoginThrottle>,
    tables: TableCache,
    engines: RwLock<HashMap<DatabaseIx, Arc<Mutex<Engine>>>>,
    passwords: RwLock<HashMap<Box<str>, UpstreamPassword>>,
    backends: BackendRules,
    next_connection: AtomicU64,
}

impl Shared {
    /// Puts together what the workers need. `revision` is that of `directory`.
    #[must_use]
    pub fn new(
        directory: Arc<ArcSwap<Directory>>,
        revision: Arc<AtomicU64>,
        log: Arc<DecisionLog>,
        verifier: Arc<Verifier>,
        throttle: Arc<LoginThrottle>,
    ) -> Self {
        Self {
            directory,
            revision,
            log,
            verifier,
            throttle,
            tables: TableCache::default(),
            engines: RwLock::default(),
            passwords: RwLock::default(),
            backends: BackendRules::default(),
            next_connection: AtomicU64::new(1),
        }
    }

    /// With the addresses that may be backends, and for whom.
    #[must_use]
    pub fn with_backends(mut self, rules: BackendRules) -> Self {
        self.backends = rules;
        self
    }

    /// Connects to a backend: one that an organisation named only where the operator permits it.
    pub(crate) async fn reach(
        &self,
        organisation: Option<&str>,
        address: &str,
        within: Duration,
    ) -> io::Result<TcpStream> {
        match organisation {
            Some(organisation) => self.backends.connect(organisation, address, within).await,
            None => tokio::time::timeout(within, TcpStream::connect(address)).await?,
        }
    }

    /// The password in the directory of the server behind a database.
    pub(crate) fn opened_password(
        &self,
        database: &str,
        sealed: &[u8],
    ) -> Option<UpstreamPassword> {
        let key = &self.verifier.master_key;
        let opened = key.open(&backend_purpose(database), sealed);
        let opened = opened.inspect_err(|error| {
            tracing::error!(%error, database, "the password of the backend cannot be opened");
        });
        let text = String::from_utf8(opened.ok()?.to_vec()).ok()?;
        Some(UpstreamPassword::new(text))
    }

    /// Sets the password of the server behind a database; `None` takes it away.
    pub fn set_upstream_password(&self, database: &str, password: Option<UpstreamPassword>) {
        let mut passwords = self
            .passwords
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match password {
            Some(password) => passwords.insert(database.into(), password),
            None => passwords.remove(database),
        };
    }

    /// The engine of a database, empty when it is first asked for.
    #[must_use]
    pub fn engine(&self, database: DatabaseIx) -> Arc<Mutex<Engine>> {
        let engines = self.engines.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engines.get(&database) {
            return Arc::clone(engine);
        }
        drop(engines);
        let mut engines = self.engines.write().unwrap_or_else(PoisonError::into_inner);
        let engine = engines.entry(database).or_insert_with(|| {
            let [a, b] = [(); 2].map(|()| u64::from_le_bytes(keyward_auth::random_bytes::<8>()));
            let started_at = keyward_engine::UnixMillis(i64::try_from(now().0).unwrap_or(i64::MAX));
            Arc::new(Mutex::new(Engine::new(Settings {
                hash_seed: [a, b],
                started_at,
            })))
        });
        Arc::clone(engine)
    }

    /// Every engine that was asked for, with its database.
    #[must_use]
    pub fn engines(&self) -> Vec<(DatabaseIx, Arc<Mutex<Engine>>)> {
        let engines = self.engines.read().unwrap_or_else(PoisonError::into_inner);
        engines
            .iter()
            .map(|(database, engine)| (*database, Arc::clone(engine)))
            .collect()
    }

    /// Forgets the data of databases that are gone.
    pub(crate) fn drop_engines_of_deleted(&self, directory: &Directory) {
        let mut engines = self.engines.write().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|database, _| directory.database(*database).is_some());
    }

    pub(crate) fn upstream_password(&self, database: &str) -> Option<UpstreamPassword> {
        let passwords = self
            .passwords
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        passwords.get(database).cloned()
    }

    pub(crate) fn tables(&self) -> &TableCache {
        &self.tables
    }

    /// The next connection's id, never used again.
    pub(crate) fn connection_id(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// The time now.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
