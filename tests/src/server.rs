//! Real servers: Redis 7 and Valkey 9.

use std::ops::Deref;

use keyward_test_servers::ServerProcess;

use crate::client::Client;

pub use keyward_test_servers::ServerKind;

/// A running server that keeps nothing. Dropping it stops it.
#[derive(Debug)]
pub struct Server(ServerProcess);

impl Server {
    /// Starts a server on a free port and waits until it answers. `options` are added to its command
    /// line, one word each, for example `["--requirepass", "secret"]` or
    /// `["--user", "app", "on", ">pw", "~*", "+@all"]`.
    pub fn start(kind: ServerKind, options: &[&str]) -> Self {
        Self(ServerProcess::start(kind, options))
    }

    /// Starts a server where another was.
    ///
    /// Panics if somebody else has the port now.
    pub fn start_on(kind: ServerKind, port: u16) -> Self {
        let started = ServerProcess::start_on(kind, port, &[]);
        Self(started.unwrap_or_else(|log| panic!("{kind} ended at start:\n{log}")))
    }

    /// Which server this is.
    pub fn kind(&self) -> ServerKind {
        self.0.kind()
    }

    /// The port on 127.0.0.1 that it listens on.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// `redis://127.0.0.1:<port>`, without a user.
    pub fn url(&self) -> String {
        format!("redis://{}", self.0.address())
    }

    /// A new connection that has not logged in.
    pub fn client(&self) -> Client {
        Client::connect(&self.url())
    }

    /// Id of its process.
    pub fn process_id(&self) -> u32 {
        self.0.id()
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Kills it now, as a crash would.
    pub fn kill(self) {}
}

/// A running Redis 7.
#[derive(Debug)]
pub struct RedisServer(Server);

impl RedisServer {
    /// Starts it on a free port and waits until it answers.
    pub fn start() -> Self {
        Self(Server::start(ServerKind::Redis, &[]))
    }
}

impl Deref for RedisServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

/// A running Valkey 9.
#[derive(Debug)]
pub struct ValkeyServer(Server);

impl ValkeyServer {
    /// Starts it on a free port and waits until it answers.
    pub fn start() -> Self {
        Self(Server::start(ServerKind::Valkey, &[]))
    }
}

impl Deref for ValkeyServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}
