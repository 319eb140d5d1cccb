//! A client that sees exactly what the server sends: every reply as a value, errors and pushes
//! included.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use keyward_resp::Value;

/// How long a reply may take before a test fails.
const REPLY_LIMIT: Duration = Duration::from_secs(20);

/// A `redis://` address in its parts, percent-encoding taken off.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedisUrl {
    /// User name; empty if there is none.
    pub user: String,
    /// Password, if there is one.
    pub password: Option<String>,
    /// Host without port.
    pub host: String,
    /// Port; 6379 if not given.
    pub port: u16,
    /// Database number; 0 if not given.
    pub database: u32,
}

impl RedisUrl {
    /// Reads `redis://[[user]:password@]host[:port][/database]`.
    ///
    /// Panics on anything else.
    #[track_caller]
    pub fn parse(url: &str) -> Self {
        let rest = url
            .strip_prefix("redis://")
            .unwrap_or_else(|| panic!("`{url}` is no redis://"));
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':')) {
            None => (String::new(), None),
            Some(Some((user, password))) => (decoded(user), Some(decoded(password))),
            Some(None) => (decoded(login.unwrap_or_default()), None),
        };
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = place.rsplit_once(':').unwrap_or((place, "6379"));
        let number = |text: &str| {
            text.parse()
                .unwrap_or_else(|_| panic!("`{text}` in `{url}` is not a number"))
        };
        Self {
            user,
            password,
            host: host.to_owned(),
            port: u16::try_from(number(port)).unwrap_or_else(|_| panic!("port `{port}`")),
            database: if database.is_empty() {
                0
            } else {
                number(database)
            },
        }
    }

    /// The address as text, user and password encoded.
    pub fn text(&self) -> String {
        let login = match &self.password {
            Some(password) => format!("{}:{}@", encoded(&self.user), encoded(password)),
            None => String::new(),
        };
        format!(
            "redis://{login}{}:{}/{}",
            self.host, self.port, self.database
        )
    }

    /// The same place under another user name, such as `<key id>.<database>`.
    pub fn with_login(&self, user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: Some(password.to_owned()),
            ..self.clone()
        }
    }

    /// The same place without a login.
    pub fn without_login(&self) -> Self {
        Self {
            user: String::new(),
            password: None,
            ..self.clone()
        }
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex
            .filter(|_| byte == b'%')
            .map(|hex| u8::from_str_radix(hex, 16))
        {
            Some(Ok(value)) => {
                bytes.push(value);
                rest = &tail[2..];
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    pushes: VecDeque<Value>,
}

impl Client {
    /// Connects to `host:port` and sends nothing.
    pub fn open(place: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(place)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.set_write_timeout(Some(REPLY_LIMIT))?;
        Ok(Self {
            stream,
            input: Vec::new(),
            pushes: VecDeque::new(),
        })
    }

    /// Connects and, as far as the URL tells, logs in and selects.
    ///
    /// Panics if one of them is refused.
    #[track_caller]
    pub fn connect(url: &str) -> Self {
        match Self::try_connect(url) {
            Ok(client) => client,
            Err(reply) => panic!("login was refused: {}", error_text(&reply)),
        }
    }

    /// Connects as [`Client::connect`] does; an `Err` is the reply that refused it.
    ///
    /// Panics if there is no server.
    #[track_caller]
    pub fn try_connect(url: &str) -> Result<Self, Value> {
        let url = RedisUrl::parse(url);
        let place = format!("{}:{}", url.host, url.port);
        let mut client = Self::open(&place).unwrap_or_else(|error| panic!("{place}: {error}"));
        if let Some(password) = &url.password {
            let reply = match url.user.as_str() {
                "" => client.call(&["AUTH", password]),
                user => client.call(&["AUTH", user, password]),
            };
            if reply != ok() {
                return Err(reply);
            }
        }
        if url.database != 0 {
            let reply = client.call(&["SELECT", &url.database.to_string()]);
            if reply != ok() {
                return Err(reply);
            }
        }
        Ok(client)
    }

    /// Sends one command and returns its reply. Pushes that come before it are kept for
    /// [`Client::push`].
    #[track_caller]
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Value {
        self.send(words);
        self.reply()
    }

    /// Sends the commands in one write and returns their replies.
    #[track_caller]
    pub fn pipeline<W: AsRef<[u8]>>(&mut self, commands: &[&[W]]) -> Vec<Value> {
        let mut bytes = Vec::new();
        for words in commands {
            bytes.extend(request(words));
        }
        self.send_bytes(&bytes);
        commands.iter().map(|_| self.reply()).collect()
    }

    /// Sends one command and waits for nothing.
    #[track_caller]
    pub fn send<W: AsRef<[u8]>>(&mut self, words: &[W]) {
        self.send_bytes(&request(words));
    }

    /// Sends bytes as they are. A connection that the peer has closed is noticed at the next read.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).ok();
    }

    /// The next reply that is not a push.
    ///
    /// Panics when none comes.
    #[track_caller]
    pub fn reply(&mut self) -> Value {
        loop {
            match self.read() {
                push @ Value::Push(_) => self.pushes.push_back(push),
                reply => return reply,
            }
        }
    }

    /// The oldest push that was not yet returned; waits for one.
    #[track_caller]
    pub fn push(&mut self) -> Value {
        self.pushes.pop_front().unwrap_or_else(|| self.read())
    }

    /// The next value, whatever it is: also a message of RESP2's publish and subscribe.
    #[track_caller]
    pub fn read(&mut self) -> Value {
        self.try_read()
            .unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// The next value, or why there is none: `UnexpectedEof` when the peer closed the connection,
    /// `WouldBlock` or `TimedOut` when nothing came in time.
    pub fn try_read(&mut self) -> io::Result<Value> {
        loop {
            match Value::decode(&self.input) {
                Ok(Some((value, len))) => {
                    self.input.drain(..len);
                    return Ok(value);
                }
                Ok(None) => {}
                Err(error) => {
                    let seen = String::from_utf8_lossy(&self.input).into_owned();
                    return Err(io::Error::other(format!("not RESP: {error}: {seen:?}")));
                }
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.input.extend_from_slice(&chunk[..len]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether nothing comes for `duration` on an open connection.
    #[track_caller]
    pub fn is_silent(&mut self, duration: Duration) -> bool {
        self.set_limit(duration);
        let read = self.try_read();
        self.set_limit(REPLY_LIMIT);
        match read {
            Err(error) => {
                matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                )
            }
            Ok(_) => false,
        }
    }

    /// Whether the peer closes the connection within `limit`, whatever it sends before.
    pub fn is_closed(&mut self, limit: Duration) -> bool {
        self.set_limit(limit);
        loop {
            match self.try_read() {
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::UnexpectedEof,
            }
        }
    }

    fn set_limit(&self, limit: Duration) {
        self.stream
            .set_read_timeout(Some(limit))
            .expect("the limit is not zero");
    }
}

/// One request as bytes, written here and not by the code under test.
fn request<W: AsRef<[u8]>>(words: &[W]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// `+OK`.
pub fn ok() -> Value {
    simple("OK")
}

/// A simple string.
pub fn simple(text: &str) -> Value {
    Value::Simple(text.into())
}

/// A bulk string.
pub fn bulk(text: impl AsRef<[u8]>) -> Value {
    Value::Bulk(text.as_ref().to_vec())
}

/// The text of an error reply; of another reply, how it looks in brackets.
pub fn error_text(reply: &Value) -> String {
    match reply {
        Value::Error(text) => String::from_utf8_lossy(text).into_owned(),
        other => format!("[{other:?}]"),
    }
}

/// Panics unless the reply is an error that begins with `prefix`.
#[track_caller]
pub fn assert_error(reply: &Value, prefix: &str) {
    let text = error_text(reply);
    assert!(
        text.starts_with(prefix),
        "expected an error `{prefix}…`, found `{text}`"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_written() {
        let cases = [
            (
                "redis://127.0.0.1:7000",
                "",
                None,
                7000,
                0,
                "redis://127.0.0.1:7000/0",
            ),
            (
                "redis://:pw@127.0.0.1",
                "",
                Some("pw"),
                6379,
                0,
                "redis://:pw@127.0.0.1:6379/0",
            ),
            (
                "redis://a.b:p%40w@h:1/3",
                "a.b",
                Some("p@w"),
                1,
                3,
                "redis://a.b:p%40w@h:1/3",
            ),
        ];
        for (text, user, password, port, database, again) in cases {
            let url = RedisUrl::parse(text);
            assert_eq!(url.user, user, "{text}");
            assert_eq!(url.password.as_deref(), password, "{text}");
            assert_eq!((url.port, url.database), (port, database), "{text}");
            assert_eq!(url.text(), again);
        }
    }
}
