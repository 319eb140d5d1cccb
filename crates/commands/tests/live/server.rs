//! A server of our own on a free port, and the little of the protocol that the tests need.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Which server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ServerKind {
    Valkey,
    Redis,
}

impl ServerKind {
    pub(crate) const ALL: [Self; 2] = [Self::Valkey, Self::Redis];

    /// The program. A test that needs it fails if it is not there.
    fn program(self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let (variable, places, hint) = match self {
            Self::Valkey => (
                "KEYWARD_VALKEY_SERVER",
                vec![root.join(".tools/valkey-server")],
                "`./test` installs it",
            ),
            Self::Redis => (
                "KEYWARD_REDIS_SERVER",
                std::env::split_paths(&path)
                    .map(|folder| folder.join("redis-server"))
                    .collect(),
                "install it with `apt-get install redis-server`",
            ),
        };
        let named = std::env::var_os(variable)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        let found = match named {
            Some(path) => Some(path).filter(|path| path.is_file()),
            None => places.into_iter().find(|path| path.is_file()),
        };
        found.unwrap_or_else(|| panic!("no {self}: {hint}, or name one in {variable}"))
    }
}

impl std::fmt::Display for ServerKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Valkey => "valkey",
            Self::Redis => "redis",
        })
    }
}

/// A reply in RESP2. Null is an empty bulk or array: no test needs to tell them apart.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Array(Vec<Reply>),
}

impl Reply {
    /// The bytes of a string.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Simple(text) => text.as_bytes(),
            Self::Bulk(bytes) => bytes,
            other => panic!("not a string: {other:?}"),
        }
    }
}

/// A running server that keeps nothing. Dropping it stops it.
pub(crate) struct Server {
    process: Child,
    stream: BufReader<TcpStream>,
}

impl Server {
    pub(crate) fn start(kind: ServerKind) -> Self {
        Self::start_with(kind, &[])
    }

    /// With more arguments.
    pub(crate) fn start_with(kind: ServerKind, more: &[&str]) -> Self {
        let program = kind.program();
        for _ in 0..5 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let mut process = Command::new(&program)
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
                .args(["--enable-debug-command", "yes"])
                .args(more)
                .current_dir(std::env::temp_dir())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
            let deadline = Instant::now() + Duration::from_secs(30);
            // Another process may have taken the port since: then this one ends.
            while process.try_wait().unwrap().is_none() && Instant::now() < deadline {
                if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    stream
                        .set_read_timeout(Some(Duration::from_secs(60)))
                        .unwrap();
                    stream.set_nodelay(true).unwrap();
                    return Self {
                        process,
                        stream: BufReader::new(stream),
                    };
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            process.kill().ok();
            process.wait().ok();
        }
        panic!("{} does not start", program.display());
    }

    pub(crate) fn call(&mut self, words: &[&[u8]]) -> Reply {
        self.pipeline(vec![words.to_vec()]).remove(0)
    }

    /// Sends all calls, then reads their replies.
    pub(crate) fn pipeline(&mut self, calls: Vec<Vec<&[u8]>>) -> Vec<Reply> {
        let mut out = Vec::new();
        for call in &calls {
            write!(out, "*{}\r\n", call.len()).unwrap();
            for word in call {
                write!(out, "${}\r\n", word.len()).unwrap();
                out.extend_from_slice(word);
                out.extend_from_slice(b"\r\n");
            }
        }
        self.stream.get_mut().write_all(&out).unwrap();
        calls.iter().map(|_| self.read()).collect()
    }

    fn read(&mut self) -> Reply {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).unwrap();
        let line = String::from_utf8_lossy(&line);
        let rest = line.get(1..).unwrap_or_default().trim_end().to_owned();
        let length = || rest.parse::<i64>().unwrap();
        match line.as_bytes().first() {
            Some(b'+') => Reply::Simple(rest),
            Some(b'-') => Reply::Error(rest),
            Some(b':') => Reply::Integer(length()),
            Some(b'$') => {
                let Ok(length) = usize::try_from(length()) else {
                    return Reply::Bulk(Vec::new());
                };
                let mut bytes = vec![0; length + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                bytes.truncate(length);
                Reply::Bulk(bytes)
            }
            Some(b'*') => Reply::Array((0..length().max(0)).map(|_| self.read()).collect()),
            _ => panic!("no reply: {line:?}"),
        }
    }

    /// Empties the server and makes these calls. Tells what there is then.
    pub(crate) fn prepare(&mut self, calls: &[Vec<Vec<u8>>]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let flush: Vec<&[u8]> = vec![b"flushall"];
        let calls = calls
            .iter()
            .map(|call| call.iter().map(Vec::as_slice).collect());
        self.pipeline(std::iter::once(flush).chain(calls).collect());
        self.contents()
    }

    /// Every key of every database in use, with a digest of its value.
    pub(crate) fn contents(&mut self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let Reply::Array(keys) = self.call(&[b"keys", b"*"]) else {
            panic!("KEYS")
        };
        let digests = keys
            .iter()
            .map(|key| vec![&b"debug"[..], b"digest-value", key.bytes()]);
        let digests = self.pipeline(digests.collect());
        keys.iter()
            .zip(digests)
            .map(|(key, digest)| match digest {
                Reply::Array(digest) => (key.bytes().to_vec(), digest[0].bytes().to_vec()),
                other => panic!("{other:?}"),
            })
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
