//! Real servers: Redis 7 and Valkey 9.

use std::fmt;
use std::ops::Deref;
use std::process::Command;

use crate::client::{Client, simple};
use crate::process::{PATIENCE, Process, free_port, wait_until};
use crate::programs;

/// Which real server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServerKind {
    /// `redis-server` of the system.
    Redis,
    /// The Valkey server that `./test` installs.
    Valkey,
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        })
    }
}

/// A running server that keeps nothing. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    process: Process,
    kind: ServerKind,
    port: u16,
}

impl Server {
    /// Starts a server on a free port and waits until it answers. `options` are added to its command
    /// line, one word each, for example `["--requirepass", "secret"]` or
    /// `["--user", "app", "on", ">pw", "~*", "+@all"]`.
    pub fn start(kind: ServerKind, options: &[&str]) -> Self {
        // Another process may take the port between our look and the server's start.
        let mut log = String::new();
        for _ in 0..5 {
            match Self::try_start(kind, free_port(), options) {
                Ok(server) => return server,
                Err(said) => log = said,
            }
        }
        panic!("{kind} ended at start:\n{log}");
    }

    /// Starts a server where another was.
    ///
    /// Panics if somebody else has the port now.
    pub fn start_on(kind: ServerKind, port: u16) -> Self {
        Self::try_start(kind, port, &[])
            .unwrap_or_else(|log| panic!("{kind} ended at start:\n{log}"))
    }

    /// An `Err` is what it wrote when it ended instead of serving.
    fn try_start(kind: ServerKind, port: u16, options: &[&str]) -> Result<Self, String> {
        let mut command = Command::new(programs::server(kind));
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.args(options);
        let mut process = Process::start(command, false);
        let served = wait_until(PATIENCE, || match process.ended() {
            Some(_) => Some(false),
            None => answers(port).then_some(true),
        });
        match served {
            Some(true) => Ok(Self {
                process,
                kind,
                port,
            }),
            Some(false) => Err(process.log()),
            None => panic!("{kind} does not answer on port {port}:\n{}", process.log()),
        }
    }

    /// Which server this is.
    pub fn kind(&self) -> ServerKind {
        self.kind
    }

    /// The port on 127.0.0.1 that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:<port>`, without a user.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A new connection that has not logged in.
    pub fn client(&self) -> Client {
        Client::connect(&self.url())
    }

    /// Id of its process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Kills it now, as a crash would.
    pub fn kill(self) {}
}

/// Whether a server on this port serves: `PONG`, or that it wants a password first.
fn answers(port: u16) -> bool {
    let Ok(mut client) = Client::open(&format!("127.0.0.1:{port}")) else {
        return false;
    };
    client.send(&["PING"]);
    match client.try_read() {
        Ok(reply) => reply == simple("PONG") || crate::error_text(&reply).starts_with("NOAUTH"),
        Err(_) => false,
    }
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
