//! Real servers for tests: where their programs are, and how one is started on a free port.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// How long a server may take to be ready: generous, since the machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many ports are tried before the tests give up.
const PORTS: usize = 20;

/// Which real server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServerKind {
    /// Redis 7, of the system.
    Redis,
    /// The Valkey 9 that `./test` installs.
    Valkey,
}

impl ServerKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Valkey, Self::Redis];

    /// The server's program: the one that `KEYWARD_REDIS_SERVER` or `KEYWARD_VALKEY_SERVER` names,
    /// else `.tools/valkey-server` of this repository, or `redis-server` on the path.
    ///
    /// Panics with what to do where there is none: a test that misses its server fails.
    pub fn program(self) -> PathBuf {
        let (variable, hint) = match self {
            Self::Redis => (
                "KEYWARD_REDIS_SERVER",
                "install it with `apt-get install redis-server`",
            ),
            Self::Valkey => ("KEYWARD_VALKEY_SERVER", "`./test` installs it"),
        };
        let named = std::env::var_os(variable).filter(|path| !path.is_empty());
        let places = match (named, self) {
            (Some(path), _) => vec![PathBuf::from(path)],
            (None, Self::Valkey) => {
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
                vec![root.join(".tools/valkey-server")]
            }
            (None, Self::Redis) => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                let folders = std::env::split_paths(&path);
                folders.map(|folder| folder.join("redis-server")).collect()
            }
        };
        places
            .into_iter()
            .find(|path| path.is_file())
            .unwrap_or_else(|| panic!("no {self} server: {hint}, or name one in {variable}"))
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        })
    }
}

/// A running server that keeps nothing. Dropping it kills it.
#[derive(Debug)]
pub struct ServerProcess {
    kind: ServerKind,
    child: Child,
    port: u16,
    log: Arc<Mutex<String>>,
}

impl ServerProcess {
    /// Starts a server on a free port of 127.0.0.1 and waits until it accepts connections.
    /// `options` are added to its command line, one word each, for example
    /// `["--requirepass", "secret"]`.
    ///
    /// Panics with what the server wrote if it does not start.
    pub fn start(kind: ServerKind, options: &[&str]) -> Self {
        let mut log = String::new();
        // Another process may take the port between our look and the server's start.
        for _ in 0..PORTS {
            match Self::start_on(kind, free_port(), options) {
                Ok(server) => return server,
                Err(said) => log = said,
            }
        }
        panic!("{kind} does not start:\n{log}");
    }

    /// Starts a server on this port, where another was, for example.
    ///
    /// # Errors
    ///
    /// What the server wrote, if it ended instead of serving: somebody else has the port.
    pub fn start_on(kind: ServerKind, port: u16, options: &[&str]) -> Result<Self, String> {
        let program = kind.program();
        let mut child = Command::new(&program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--dir", &std::env::temp_dir().to_string_lossy()])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let output = child.stdout.take();
        let log = Arc::new(Mutex::new(String::new()));
        let ready = output.map(|output| follow(output, Arc::clone(&log)));
        let server = Self {
            kind,
            child,
            port,
            log,
        };
        // A connection would not tell whose port it is: the server says so itself.
        match ready.map(|ready| ready.recv_timeout(PATIENCE)) {
            Some(Ok(())) => Ok(server),
            Some(Err(mpsc::RecvTimeoutError::Timeout)) => {
                panic!("{kind} is not ready after {PATIENCE:?}:\n{}", server.log())
            }
            Some(Err(mpsc::RecvTimeoutError::Disconnected)) | None => Err(server.log()),
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

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already: nothing that a test could mend.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Collects what a server writes, and tells once that it accepts connections. The channel ends
/// without it if the server does.
fn follow(output: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> mpsc::Receiver<()> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut tell = Some(tell);
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
            drop(log);
            if line.contains("eady to accept connections")
                && let Some(tell) = tell.take()
            {
                // Nobody waits any longer where the test has given up.
                tell.send(()).ok();
            }
        }
    });
    told
}

/// A loopback port that nobody uses now.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("the loopback interface has a free port")
        .port()
}
