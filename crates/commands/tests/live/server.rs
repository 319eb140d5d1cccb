//! A server of our own on a free port, and the little of the protocol that the tests need.

use keyward_test_servers::ServerProcess;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

pub(crate) use keyward_test_servers::ServerKind;

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

/// A running server and a connection to it.
pub(crate) struct Server {
    _process: ServerProcess,
    stream: BufReader<TcpStream>,
}

impl Server {
    pub(crate) fn start(kind: ServerKind) -> Self {
        Self::start_with(kind, &[])
    }

    /// With more arguments.
    pub(crate) fn start_with(kind: ServerKind, more: &[&str]) -> Self {
        let options = [&["--enable-debug-command", "yes"], more].concat();
        let process = ServerProcess::start(kind, &options);
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, process.port())).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            _process: process,
            stream: BufReader::new(stream),
        }
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
