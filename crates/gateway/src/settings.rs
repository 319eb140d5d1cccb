//! What the operator decides about the gateway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use keyward_iam::DatabaseIx;
use keyward_net::Tls;

/// How a gateway listens and what it lets clients do.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Where clients connect; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Threads, each with its own listener and runtime; 0 means one per core.
    pub workers: usize,
    /// The database of clients that name none and whose identity has no default.
    pub default_database: Option<DatabaseIx>,
    /// Whether the operator permits administrative commands where a database turns them on.
    pub allow_administration: bool,
    /// Certificate and key of the listener; without, it speaks plainly.
    pub tls: Option<Arc<Tls>>,
    /// Below which names of databases stand in TLS: `sessions.acme.<domain>`.
    pub domain: Option<Box<str>>,
    /// Whether credentials are taken from other machines without TLS.
    pub allow_remote: bool,
    /// What clients may use up.
    pub limits: Limits,
}

impl GatewaySettings {
    /// A gateway at `listen`, one worker per core, the usual limits, no default database.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            workers: 0,
            default_database: None,
            allow_administration: false,
            tls: None,
            domain: None,
            allow_remote: false,
            limits: Limits::default(),
        }
    }
}

/// What clients may use up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections over all workers.
    pub connections: usize,
    /// Time to log in.
    pub login: Duration,
    /// Replies that a client has not taken, in bytes. Beyond it nothing more is run for this
    /// client, and if it takes nothing for `stall` either, its connection is closed.
    pub unsent: usize,
    /// How long a client may take nothing of more than `unsent` bytes.
    pub stall: Duration,
    /// Bytes of requests queued by `MULTI`, kept to be decided again at `EXEC`.
    pub transaction: usize,
    /// Bytes of channel names that one connection subscribes to.
    pub subscriptions: usize,
    /// Time to reach a backend.
    pub connect: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            login: Duration::from_secs(10),
            unsent: 64 * 1024 * 1024,
            stall: Duration::from_secs(10),
            transaction: 256 * 1024 * 1024,
            subscriptions: 64 * 1024 * 1024,
            connect: Duration::from_secs(5),
        }
    }
}
