//! A connection to a server, for one thread that waits for it.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use keyward_iam::{Backend, DatabaseIx};
use keyward_resp::encode_request;
use zeroize::Zeroizing;

use crate::backend::organisation_of;
use crate::shared::Shared;
use crate::snapshot::error::{Answer, SnapshotError};
use crate::snapshot::progress::SnapshotProgress;

/// Time to reach a server.
const CONNECT: Duration = Duration::from_secs(5);

/// Time in which a server has to send or take something.
const SILENCE: Duration = Duration::from_secs(60);

/// The same for a command that takes as long as there are keys.
const LONG_COMMAND: Duration = Duration::from_secs(15 * 60);

/// How long one look at the connection takes at most, before it is asked whether to go on.
const LOOK: Duration = Duration::from_millis(250);

/// Bytes that are read and written together.
const BUFFER: usize = 64 * 1024;

/// Longest line of an answer; longer ones are of no server.
const MAX_LINE: usize = 4096;

/// Values in an answer to `HELLO`, at most.
const MAX_GREETING: u64 = 64;

/// Longest text other than a payload that is taken from a server: keys, `INFO`.
const MAX_TEXT: usize = super::file::MAX_KEY_LEN;

/// A connection to the server behind a database, logged in.
pub(crate) struct Connection<'a> {
    stream: TcpStream,
    progress: &'a SnapshotProgress,
    input: Box<[u8]>,
    from: usize,
    to: usize,
    output: Vec<u8>,
    /// Time in which the server has to send or take something.
    patience: Duration,
    /// What answers: `valkey 9.1.0`.
    pub(crate) server: String,
}

/// The beginning of one value of an answer.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Head {
    /// `+OK`, and whatever else is one line.
    Line(Vec<u8>),
    /// `-ERR …`
    Error(Answer),
    Integer(i64),
    /// A text of this length follows.
    Bulk(u64),
    /// So many values follow.
    Array(u64),
    /// There is none.
    Null,
}

impl<'a> Connection<'a> {
    /// Connects to the server behind a database, where the operator's rules permit it, logs in, and
    /// looks who answers.
    pub(crate) fn open(
        shared: &Shared,
        database: DatabaseIx,
        progress: &'a SnapshotProgress,
    ) -> Result<Self, SnapshotError> {
        let directory = shared.directory.load_full();
        let found = directory.database(database).ok_or(SnapshotError::Gone)?;
        let Backend::Server {
            address,
            user,
            password,
            operator,
        } = &found.backend
        else {
            return Err(SnapshotError::Gone);
        };
        let organisation = (!*operator).then(|| organisation_of(&found.path));
        // INVARIANT: the operator's password goes to the operator's server only.
        let password = match password {
            Some(sealed) => Some(
                shared
                    .opened_password(&found.path, sealed)
                    .ok_or(SnapshotError::Password)?,
            ),
            None if *operator => shared.upstream_password(&found.path),
            None => None,
        };
        let stream = reach(shared, organisation, address)?;
        let mut connection = Self::of(stream, progress).map_err(SnapshotError::Connection)?;
        if let Some(password) = &password {
            let mut line = Zeroizing::new(Vec::new());
            match user {
                Some(user) => encode_request(
                    [b"AUTH", user.as_bytes(), password.expose()].into_iter(),
                    &mut line,
                ),
                None => encode_request([b"AUTH", password.expose()].into_iter(), &mut line),
            }
            connection.write(&line)?;
            connection.flush()?;
            connection.expect_line("AUTH")?;
        }
        connection.greet()?;
        Ok(connection)
    }

    /// A connection that is there already.
    pub(crate) fn of(stream: TcpStream, progress: &'a SnapshotProgress) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK))?;
        stream.set_write_timeout(Some(LOOK))?;
        Ok(Self {
            stream,
            progress,
            input: vec![0; BUFFER].into_boxed_slice(),
            from: 0,
            to: 0,
            output: Vec::with_capacity(BUFFER),
            patience: SILENCE,
            server: String::new(),
        })
    }

    /// Asks who the server is. One that is part of a cluster has only some of the keys.
    fn greet(&mut self) -> Result<(), SnapshotError> {
        self.send(&[b"HELLO", b"2"])?;
        let count = self.expect_array("HELLO")?;
        if count > MAX_GREETING {
            return Err(SnapshotError::NoServer { command: "HELLO" });
        }
        let (mut server, mut version) = (String::new(), String::new());
        let mut mode = String::new();
        for _ in 0..count / 2 {
            let field = self.text("HELLO")?;
            let value = self.any_text("HELLO", 4)?;
            let value = || String::from_utf8_lossy(&value).chars().take(40).collect();
            match field.as_slice() {
                b"server" => server = value(),
                b"version" => version = value(),
                b"mode" => mode = value(),
                _ => {}
            }
        }
        let plain = |text: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
            !text.is_empty() && text.bytes().all(known)
        };
        if !plain(&server) || !plain(&version) {
            return Err(SnapshotError::NoServer { command: "HELLO" });
        }
        if mode == "cluster" || mode == "sentinel" {
            return Err(SnapshotError::Mode { mode });
        }
        self.server = format!("{server} {version}");
        Ok(())
    }

    /// Adds a request to what is to be sent.
    pub(crate) fn request(&mut self, words: &[&[u8]]) -> Result<(), SnapshotError> {
        encode_request(words.iter().copied(), &mut self.output);
        if self.output.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds bytes to what is to be sent.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), SnapshotError> {
        while !bytes.is_empty() {
            let room = BUFFER.saturating_sub(self.output.len());
            let (now, rest) = bytes.split_at(bytes.len().min(room));
            self.output.extend_from_slice(now);
            bytes = rest;
            if self.output.len() >= BUFFER {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self) -> Result<(), SnapshotError> {
        let mut sent = 0;
        let mut since = Instant::now();
        while sent < self.output.len() {
            match self.stream.write(&self.output[sent..]) {
                Ok(0) => return Err(SnapshotError::Lost),
                Ok(bytes) => {
                    sent += bytes;
                    since = Instant::now();
                }
                Err(error) => self.go_on(error, since)?,
            }
        }
        self.output.clear();
        // Values can be large; the buffer need not stay so.
        self.output.shrink_to(BUFFER);
        Ok(())
    }

    /// Sends one request, and what waited before it.
    pub(crate) fn send(&mut self, words: &[&[u8]]) -> Result<(), SnapshotError> {
        self.request(words)?;
        self.flush()
    }

    /// The command that was sent takes as long as there are keys, or is over.
    pub(crate) fn wait_for_long_command(&mut self, long: bool) {
        self.patience = if long { LONG_COMMAND } else { SILENCE };
    }

    /// Whether something has arrived that was not looked at yet.
    pub(crate) fn has_input(&self) -> bool {
        self.from < self.to
    }

    /// Bytes that arrived, at least one; they come again until [`Self::consume`] is called.
    pub(crate) fn chunk(&mut self) -> Result<&[u8], SnapshotError> {
        if self.from == self.to {
            let since = Instant::now();
            (self.from, self.to) = (0, 0);
            while self.to == 0 {
                if self.progress.is_cancelled() {
                    return Err(SnapshotError::Cancelled);
                }
                match self.stream.read(&mut self.input) {
                    Ok(0) => return Err(SnapshotError::Lost),
                    Ok(bytes) => self.to = bytes,
                    Err(error) => self.go_on(error, since)?,
                }
            }
        }
        Ok(&self.input[self.from..self.to])
    }

    pub(crate) fn consume(&mut self, bytes: usize) {
        self.from = (self.from + bytes).min(self.to);
    }

    /// Whether to try again after an error.
    fn go_on(&self, error: io::Error, since: Instant) -> Result<(), SnapshotError> {
        if self.progress.is_cancelled() {
            return Err(SnapshotError::Cancelled);
        }
        match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                if since.elapsed() > self.patience {
                    Err(SnapshotError::Silent {
                        after: self.patience,
                    })
                } else {
                    Ok(())
                }
            }
            _ => Err(SnapshotError::Lost),
        }
    }

    fn line(&mut self, command: &'static str) -> Result<Vec<u8>, SnapshotError> {
        let mut line = Vec::new();
        loop {
            let chunk = self.chunk()?;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |end| end + 1);
            line.extend_from_slice(&chunk[..taken]);
            self.consume(taken);
            if line.len() > MAX_LINE {
                return Err(SnapshotError::NoServer { command });
            }
            if end.is_some() {
                let text = line.strip_suffix(b"\r\n").map(<[u8]>::len);
                line.truncate(text.ok_or(SnapshotError::NoServer { command })?);
                return Ok(line);
            }
        }
    }

    /// The beginning of the next value of an answer to `command`.
    pub(crate) fn head(&mut self, command: &'static str) -> Result<Head, SnapshotError> {
        let line = self.line(command)?;
        let no_server = || SnapshotError::NoServer { command };
        let (kind, rest) = line.split_first().ok_or_else(no_server)?;
        let number = || -> Result<i64, SnapshotError> {
            let text = std::str::from_utf8(rest).map_err(|_| no_server())?;
            text.parse().map_err(|_| no_server())
        };
        let length = |length: i64| u64::try_from(length).map_err(|_| no_server());
        Ok(match kind {
            b'+' => Head::Line(rest.to_vec()),
            b'-' => Head::Error(Answer::of(rest)),
            b':' => Head::Integer(number()?),
            b'$' => match number()? {
                -1 => Head::Null,
                other => Head::Bulk(length(other)?),
            },
            b'*' => match number()? {
                -1 => Head::Null,
                other => Head::Array(length(other)?),
            },
            b'_' => Head::Null,
            _ => return Err(no_server()),
        })
    }

    /// Reads the CR LF behind a text.
    pub(crate) fn text_end(&mut self, command: &'static str) -> Result<(), SnapshotError> {
        for expected in *b"\r\n" {
            let found = self.chunk()?.first().copied();
            if found != Some(expected) {
                return Err(SnapshotError::NoServer { command });
            }
            self.consume(1);
        }
        Ok(())
    }

    fn bulk(&mut self, command: &'static str, length: u64) -> Result<Vec<u8>, SnapshotError> {
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= MAX_TEXT);
        let length = length.ok_or(SnapshotError::LongKey { most: MAX_TEXT })?;
        let mut text = Vec::new();
        while text.len() < length {
            let chunk = self.chunk()?;
            let taken = chunk.len().min(length - text.len());
            text.extend_from_slice(&chunk[..taken]);
            self.consume(taken);
        }
        self.text_end(command)?;
        Ok(text)
    }

    /// A text, and nothing else.
    pub(crate) fn text(&mut self, command: &'static str) -> Result<Vec<u8>, SnapshotError> {
        match self.head(command)? {
            Head::Bulk(length) => self.bulk(command, length),
            Head::Line(line) => Ok(line),
            other => Err(other.unexpected(command)),
        }
    }

    /// A value as text; lists are passed over, up to so many levels.
    fn any_text(&mut self, command: &'static str, depth: u8) -> Result<Vec<u8>, SnapshotError> {
        match self.head(command)? {
            Head::Bulk(length) => self.bulk(command, length),
            Head::Line(line) => Ok(line),
            Head::Integer(number) => Ok(number.to_string().into_bytes()),
            Head::Null => Ok(Vec::new()),
            Head::Array(count) if depth > 0 && count <= 4096 => {
                for _ in 0..count {
                    self.any_text(command, depth - 1)?;
                }
                Ok(Vec::new())
            }
            other => Err(other.unexpected(command)),
        }
    }

    pub(crate) fn expect_line(&mut self, command: &'static str) -> Result<(), SnapshotError> {
        match self.head(command)? {
            Head::Line(_) => Ok(()),
            other => Err(other.unexpected(command)),
        }
    }

    pub(crate) fn expect_array(&mut self, command: &'static str) -> Result<u64, SnapshotError> {
        match self.head(command)? {
            Head::Array(count) => Ok(count),
            other => Err(other.unexpected(command)),
        }
    }

    /// Keyspaces with keys, and how many each has.
    pub(crate) fn keyspaces(&mut self) -> Result<Vec<(u32, u64)>, SnapshotError> {
        self.send(&[b"INFO", b"keyspace"])?;
        let text = self.text("INFO")?;
        Ok(keyspaces_in(&String::from_utf8_lossy(&text)))
    }
}

impl Head {
    /// What it means that this answers `command`.
    pub(crate) fn unexpected(self, command: &'static str) -> SnapshotError {
        match self {
            Self::Error(answer) => SnapshotError::Refused { command, answer },
            _ => SnapshotError::NoServer { command },
        }
    }
}

/// The lines `db0:keys=3,expires=0,…` of `INFO keyspace`.
fn keyspaces_in(text: &str) -> Vec<(u32, u64)> {
    let line = |line: &str| {
        let (name, figures) = line.trim().strip_prefix("db")?.split_once(':')?;
        let keys = figures
            .split(',')
            .find_map(|part| part.strip_prefix("keys="))?;
        Some((name.parse().ok()?, keys.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// Connects, on a runtime of its own: the rules about addresses are asked as everywhere.
fn reach(
    shared: &Shared,
    organisation: Option<&str>,
    address: &str,
) -> Result<TcpStream, SnapshotError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(SnapshotError::Connection)?;
    let reached = runtime.block_on(shared.reach(organisation, address, CONNECT));
    let stream = match reached {
        Ok(stream) => stream.into_std(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(SnapshotError::NotPermitted);
        }
        Err(error) => Err(error),
    };
    let stream = stream.map_err(SnapshotError::Connection)?;
    stream
        .set_nonblocking(false)
        .map_err(SnapshotError::Connection)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What is read of the bytes that a server sends.
    fn heads(bytes: &'static [u8], count: usize) -> Vec<Result<Head, String>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.accept().unwrap().0.write_all(bytes).unwrap();
        let progress = SnapshotProgress::default();
        let mut connection = Connection::of(stream, &progress).unwrap();
        let head = |_| connection.head("SCAN").map_err(|error| error.to_string());
        (0..count).map(head).collect()
    }

    #[test]
    fn heads_of_answers() {
        let found = heads(b"+OK\r\n:-7\r\n$3\r\n", 3);
        let expected = [Head::Line(b"OK".to_vec()), Head::Integer(-7), Head::Bulk(3)];
        assert_eq!(found, expected.map(Ok));
        let found = heads(b"*2\r\n*-1\r\n$-1\r\n_\r\n", 4);
        let expected = [Head::Array(2), Head::Null, Head::Null, Head::Null];
        assert_eq!(found, expected.map(Ok));
        for odd in [
            &b"HTTP/1.1 400\r\n"[..],
            b"$-2\r\n",
            b":x\r\n",
            b"\r\n",
            b"+OK\n",
            &[b'+'; 9000],
        ] {
            let text = "what answers SCAN is no Valkey or Redis server";
            assert_eq!(heads(odd, 1), [Err(text.to_owned())], "{odd:?}");
        }
        let lost = "the connection to the server was lost";
        assert_eq!(heads(b"+O", 1), [Err(lost.to_owned())]);
    }

    #[test]
    fn keyspaces_of_info() {
        let text = "# Keyspace\r\ndb0:keys=3,expires=0,avg_ttl=0\r\ndb12:keys=1,x=2\r\nodd\r\n";
        assert_eq!(keyspaces_in(text), [(0, 3), (12, 1)]);
        assert_eq!(keyspaces_in("# Keyspace\r\n"), []);
    }
}
