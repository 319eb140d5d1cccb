//! What `keyward dev` says when it runs: ready to paste, or one line of JSON.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use keyward_auth::AccessKeySecret;
use keyward_gateway::GatewayHandle;
use keyward_iam::Backend;
use serde_json::json;

use super::ApiAddress;
use super::credentials::Keys;
use super::setup::{self, SetUp};
use crate::output::{Format, Output, note};
use crate::profile::DATA_DIR;

pub(super) struct Announcement<'a> {
    pub(super) redis: SocketAddr,
    pub(super) tls: bool,
    pub(super) api: &'a ApiAddress,
    pub(super) keys: &'a Keys,
    pub(super) set_up: &'a SetUp,
    pub(super) ephemeral: bool,
    pub(super) data_dir: &'a Path,
}

/// An address that a client on this machine can use.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// How this program is started from here: by its name if that is found, else by its path.
fn program() -> String {
    const NAME: &str = "keyward";
    let Ok(own) = std::env::current_exe() else {
        return NAME.to_owned();
    };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&folders)
        .map(|folder| folder.join(NAME))
        .find(|candidate| candidate.is_file());
    if on_path.and_then(|found| found.canonicalize().ok()) == own.canonicalize().ok() {
        return NAME.to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    match own.strip_prefix(&here) {
        Ok(inside) => format!("./{}", inside.display()),
        Err(_) => own.display().to_string(),
    }
}

fn id(key: &Option<AccessKeySecret>) -> Option<String> {
    key.as_ref().map(|key| key.key_id().to_string())
}

fn secret(key: &Option<AccessKeySecret>) -> Option<&str> {
    key.as_ref().map(AccessKeySecret::expose)
}

impl Announcement<'_> {
    fn redis_url(&self) -> Option<String> {
        let key = self.keys.app.as_ref()?;
        let address = reachable(self.redis);
        Some(format!(
            "{}://{}:{}@{address}/0",
            if self.tls { "rediss" } else { "redis" },
            key.key_id(),
            key.expose()
        ))
    }

    pub(super) fn write(&self, output: &Output) -> io::Result<()> {
        for text in &self.set_up.notes {
            note(&format!("note: {text}"));
        }
        match output.format() {
            Format::Json => output.line(
                &json!({
                    "redis_url": self.redis_url(),
                    "api_url": self.api.url,
                    "organisation": setup::ORGANISATION,
                    "database": "main",
                    "identity": "app",
                    "access_key_id": id(&self.keys.app),
                    "secret_access_key": secret(&self.keys.app),
                    "admin_access_key_id": id(&self.keys.admin),
                    "admin_secret_access_key": secret(&self.keys.admin),
                })
                .to_string(),
            ),
            Format::Text | Format::Sarif => output.line(self.text().trim_end()),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut say = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        let (redis, api) = (reachable(self.redis), &self.api.url);
        let with = if self.tls { " with TLS" } else { "" };
        say(&format!(
            "Keyward serves Redis clients on {redis}{with} and its HTTP API on {api}"
        ));
        let ca_file = self.api.ca_file.as_ref().map(|file| file.display());
        if let Some(file) = &ca_file {
            say(&format!("Clients trust it by {file}"));
        }
        match &self.set_up.backend {
            Some(Backend::Embedded) => say(
                "kvdb/main is on the embedded engine, in memory: its data is gone when this process ends.",
            ),
            Some(backend) => say(&format!("kvdb/main is on {}", setup::describe(backend))),
            None => say("kvdb/main was deleted."),
        }
        if self.ephemeral {
            say("--ephemeral: databases, identities and policies are gone then, too.");
        } else {
            say(&format!(
                "Databases, identities and policies are kept in {}",
                self.data_dir.display()
            ));
        }
        if let (Some(url), Some(key)) = (self.redis_url(), &self.keys.app) {
            say("\nRead and write, as the application:\n");
            say(&format!(
                "  REDISCLI_AUTH={} redis-cli{} -h {} -p {} --user {} SET greeting hello",
                key.expose(),
                match (&ca_file, self.tls) {
                    (Some(file), true) => format!(" --tls --cacert {file}"),
                    (None, true) => " --tls".to_owned(),
                    (_, false) => String::new(),
                },
                redis.ip(),
                redis.port(),
                key.key_id()
            ));
            say("\nIn Python (redis-py):\n");
            say("  import redis");
            say(&format!(
                "  r = redis.from_url(\"{url}\", decode_responses=True{})",
                match &ca_file {
                    Some(file) => format!(", ssl_ca_certs=\"{file}\""),
                    None => String::new(),
                }
            ));
            say("  print(r.get(\"greeting\"))");
        }
        if let Some(key) = &self.keys.admin {
            say("\nAdminister, in another terminal in this directory:\n");
            let program = program();
            let mut prefix = String::new();
            if self.ephemeral {
                say(&format!(
                    "  export KEYWARD_URL={api} KEYWARD_ACCESS_KEY_ID={} KEYWARD_SECRET_ACCESS_KEY={}",
                    key.key_id(),
                    key.expose()
                ));
            } else if self.data_dir != Path::new(DATA_DIR) {
                // Writing into a string cannot fail.
                let _ = write!(prefix, " --data-dir {}", self.data_dir.display());
            }
            for command in [
                "db create second",
                "identity create worker",
                "key create worker",
                "trust create worker --policy '[{\"Effect\":\"Allow\",\"Actions\":[\"kvdb:Execute*\"],\"Resources\":[\"kvdb/second\"]}]'",
                "can worker second -- SET k v",
            ] {
                say(&format!("  {program}{prefix} {command}"));
            }
        }
        text
    }
}

/// The gateway's counters for Prometheus.
pub(super) fn metrics(gateway: &GatewayHandle, text: &mut String) {
    let counted = gateway.metrics();
    /// Name, help, and a value for each set of labels.
    type Counter<'a> = (&'a str, &'a str, &'a [(&'a str, u64)]);
    let counters: [Counter<'_>; 7] = [
        (
            "keyward_connections_total",
            "Connections of Redis clients that were accepted.",
            &[("", counted.connections)],
        ),
        (
            "keyward_connections_refused_total",
            "Connections beyond the limit.",
            &[("", counted.connections_refused)],
        ),
        (
            "keyward_tls_handshake_failures_total",
            "TLS handshakes of Redis clients that failed.",
            &[("", counted.failed_handshakes)],
        ),
        (
            "keyward_auth_attempts_total",
            "Logins of Redis clients.",
            &[
                ("{result=\"success\"}", counted.logins),
                ("{result=\"failure\"}", counted.failed_logins),
            ],
        ),
        (
            "keyward_commands_total",
            "Commands that were read.",
            &[("", counted.commands)],
        ),
        (
            "keyward_decisions_total",
            "Commands that were decided.",
            &[
                ("{result=\"allow\"}", counted.allowed),
                ("{result=\"explicit_deny\"}", counted.explicitly_denied),
                ("{result=\"implicit_deny\"}", counted.implicitly_denied),
            ],
        ),
        (
            "keyward_upstream_errors_total",
            "Backends that could not be reached or were lost.",
            &[("", counted.upstream_errors)],
        ),
    ];
    // Writing into a string cannot fail.
    for (name, help, values) in counters {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for (labels, value) in values {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    }
    let _ = writeln!(
        text,
        "# HELP keyward_connections Connections of Redis clients that are open.\n\
         # TYPE keyward_connections gauge\nkeyward_connections {}",
        counted.connections_open
    );
}
