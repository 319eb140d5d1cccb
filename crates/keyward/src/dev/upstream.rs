//! The server that `--upstream` names.

use std::io::Read as _;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use keyward_iam::Backend;
use zeroize::Zeroizing;

use super::Arguments;
use crate::failure::{Exit, Failure};

/// Longest password, in bytes.
const MAX_PASSWORD_LEN: u64 = 64 * 1024;

/// How long a server may take to answer when it is tried.
const PATIENCE: Duration = Duration::from_secs(1);

/// Which backend is wanted, and the password for it.
pub(super) struct Wanted {
    pub(super) backend: Backend,
    pub(super) password: Option<Zeroizing<String>>,
}

/// A URL, taken apart.
struct Parsed {
    address: String,
    user: Option<String>,
    password: Option<Zeroizing<String>>,
}

impl Wanted {
    /// What the arguments and the environment say. Without `--upstream` only a password: for the
    /// backend that is recorded.
    pub(super) fn of(arguments: &Arguments) -> Result<Option<Self>, Failure> {
        let Some(url) = &arguments.upstream else {
            return Ok(None);
        };
        if url == "embedded" {
            return Ok(Some(Self {
                backend: Backend::Embedded,
                password: None,
            }));
        }
        let parsed = parse(url)
            .map_err(|reason| Failure::new(Exit::Usage, format!("--upstream: {reason}")))?;
        let mut password = password(arguments)?;
        if let Some(given) = parsed.password {
            crate::output::note(
                "warning: a password on the command line is seen by everybody on this machine; \
                 use KEYWARD_UPSTREAM_PASSWORD or --upstream-password-file",
            );
            password = password.or(Some(given));
        }
        Ok(Some(Self {
            backend: Backend::of_operator(parsed.address, parsed.user),
            password,
        }))
    }
}

/// The password that does not stand on the command line.
pub(super) fn password(arguments: &Arguments) -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(file) = &arguments.upstream_password_file {
        return read(file).map(Some);
    }
    let variable = std::env::var("KEYWARD_UPSTREAM_PASSWORD").ok();
    Ok(variable.filter(|v| !v.is_empty()).map(Zeroizing::new))
}

/// A remark if the server behind the database does not answer now. It may later.
pub(super) fn unreachable(backend: Option<&Backend>) -> Option<String> {
    let Some(Backend::Server { address, .. }) = backend else {
        return None;
    };
    let found = address.to_socket_addrs().ok().into_iter().flatten();
    let reached = found
        .take(4)
        .any(|address| TcpStream::connect_timeout(&address, PATIENCE).is_ok());
    (!reached).then(|| {
        format!("{address} cannot be reached now: commands on kvdb/main fail until it can")
    })
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |reason: String| {
        let text = format!("--upstream-password-file `{}`: {reason}", path.display());
        Failure::new(Exit::Failed, text)
    };
    let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_PASSWORD_LEN)
        .read_to_string(&mut text)
        .map_err(|error| failed(error.to_string()))?;
    Ok(Zeroizing::new(
        text.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}

/// Takes `redis://[user[:password]@]host[:port]` apart. Errors do not quote the URL: a password
/// may be in it.
fn parse(url: &str) -> Result<Parsed, String> {
    let rest = ["redis://", "valkey://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest else {
        return Err(
            if url.starts_with("rediss://") || url.starts_with("valkeys://") {
                "TLS to the server is not supported yet: use redis:// on a network that you trust"
                    .to_owned()
            } else {
                "expected redis://[user@]host:port, or `embedded`".to_owned()
            },
        );
    };
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if !matches!(path, "" | "/") {
        return Err(
            "a database owns its whole server: a database number or a query is refused".to_owned(),
        );
    }
    let (login, address) = match authority.rsplit_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, authority),
    };
    let (user, password) = match login {
        None => (None, None),
        Some(login) => {
            let (user, password) = match login.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (login, None),
            };
            let user = decode(user)?;
            let user = (!user.is_empty() && *user != "default").then(|| user.to_string());
            (user, password.map(decode).transpose()?)
        }
    };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port))
            if !host.ends_with(':') && (!host.contains(':') || host.ends_with(']')) =>
        {
            let port: u16 = port.parse().map_err(|_| "the port is none".to_owned())?;
            (host, port)
        }
        _ => (address, 6379),
    };
    if host.is_empty() || port == 0 || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("expected redis://[user@]host:port".to_owned());
    }
    Ok(Parsed {
        address: format!("{host}:{port}"),
        user,
        password: password.filter(|password| !password.is_empty()),
    })
}

/// Percent-decoding.
fn decode(text: &str) -> Result<Zeroizing<String>, String> {
    let malformed = || "a `%` in the login is not followed by two hexadecimal digits".to_owned();
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte == b'%' {
            let [high, low, tail @ ..] = rest else {
                return Err(malformed());
            };
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                return Err(malformed());
            };
            bytes.push((high * 16 + low) as u8);
            rest = tail;
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes.to_vec())
        .map(Zeroizing::new)
        .map_err(|_| "the login is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        type Case = (
            &'static str,
            Option<(&'static str, Option<&'static str>, Option<&'static str>)>,
        );
        let cases: [Case; 18] = [
            ("redis://h:1", Some(("h:1", None, None))),
            ("redis://h", Some(("h:6379", None, None))),
            ("redis://h:1/", Some(("h:1", None, None))),
            (
                "valkey://127.0.0.1:7000",
                Some(("127.0.0.1:7000", None, None)),
            ),
            ("redis://[::1]:7000", Some(("[::1]:7000", None, None))),
            ("redis://[::1]", Some(("[::1]:6379", None, None))),
            ("redis://u@h:1", Some(("h:1", Some("u"), None))),
            ("redis://default@h:1", Some(("h:1", None, None))),
            (
                "redis://u:p%40%3A@h:1",
                Some(("h:1", Some("u"), Some("p@:"))),
            ),
            ("redis://:p@h:1", Some(("h:1", None, Some("p")))),
            ("redis://h:1/0", None),
            ("redis://h:1/3", None),
            ("redis://h:1?db=1", None),
            ("rediss://h:1", None),
            ("h:1", None),
            ("redis://", None),
            ("redis://h:99999", None),
            ("redis://u%4@h:1", None),
        ];
        for (url, expected) in cases {
            let found = parse(url).ok();
            let found = found.as_ref().map(|parsed| {
                let password = parsed.password.as_deref().map(String::as_str);
                (&*parsed.address, parsed.user.as_deref(), password)
            });
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn errors_tell_no_password() {
        for url in [
            "redis://u:hunter2@h:1/3",
            "redis://u:hunter2@",
            "x://u:hunter2@h",
        ] {
            let error = parse(url).err().unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
