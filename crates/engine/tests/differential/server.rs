//! A server of this test's own, and connections to it.

use keyward_resp::{Value, encode::encode_request};
use keyward_test_servers::ServerProcess;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) use keyward_test_servers::ServerKind;

/// A running server; stopped when dropped.
pub(crate) struct Server(ServerProcess);

impl Server {
    pub(crate) fn start(kind: ServerKind) -> Self {
        Self(ServerProcess::start(kind, &[]))
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.0.port())).unwrap();
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
