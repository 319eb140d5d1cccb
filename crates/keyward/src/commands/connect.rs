//! `keyward connect`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use zeroize::Zeroizing;

use super::Context;
use super::sts::{Ask, Credentials, percent};
use crate::failure::{Exit, Failure};

/// Programs that can be started, with the variable that each takes the password from.
const PROGRAMS: [(&str, &str); 2] = [
    ("redis-cli", "REDISCLI_AUTH"),
    ("valkey-cli", "VALKEYCLI_AUTH"),
];

/// Starts redis-cli (or valkey-cli) on a database, with your credentials or those of a role.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward connect main
  keyward connect second -- SET k v
  keyward connect main --role deployer -- GET k")]
pub(crate) struct Arguments {
    /// The database.
    database: String,
    /// Assume this role first: the connection ends with its session.
    #[arg(long)]
    role: Option<String>,
    #[command(flatten)]
    ask: Ask,
    /// Arguments for redis-cli, after `--`.
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// Where a database is served.
pub(super) struct Target {
    host: String,
    port: String,
    tls: bool,
    organisation: String,
    database: String,
    ca_file: Option<PathBuf>,
}

impl Target {
    pub(super) fn find(database: &str, context: &Context<'_>) -> Result<Self, Failure> {
        let client = &context.client;
        let path = client.path("kvdb", database)?;
        let status = client.get("/v1/status")?;
        let address = status.get("redis_address").and_then(Value::as_str);
        let Some((host, port)) = address.and_then(|address| address.rsplit_once(':')) else {
            return Err(Failure::new(
                Exit::Failed,
                "the server serves no Redis clients",
            ));
        };
        let segments: Vec<&str> = path.split('/').collect();
        let ["org", organisation, "kvdb", database] = segments[..] else {
            let text = format!("`{path}` is no database");
            return Err(Failure::new(Exit::Usage, text));
        };
        let host = match host.trim_matches(['[', ']']) {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            host => host,
        };
        Ok(Self {
            host: host.to_owned(),
            port: port.to_owned(),
            tls: status.get("redis_tls").and_then(Value::as_bool) == Some(true),
            organisation: organisation.to_owned(),
            database: database.to_owned(),
            ca_file: client.profile().ca_file.clone(),
        })
    }

    /// The name to log in with.
    fn user(&self, credentials: &Credentials) -> String {
        format!("{}.{}.{}", credentials.id, self.database, self.organisation)
    }

    /// The address with the credentials, for any client.
    pub(super) fn url(&self, credentials: &Credentials) -> Zeroizing<String> {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        let (user, password) = (self.user(credentials), percent(&credentials.password));
        Zeroizing::new(format!(
            "{scheme}://{user}:{password}@{host}:{}/0",
            self.port
        ))
    }
}

pub(crate) fn run(arguments: &Arguments, context: &Context<'_>) -> Result<(), Failure> {
    let target = Target::find(&arguments.database, context)?;
    let credentials = Credentials::find(arguments.role.as_deref(), &arguments.ask, context)?;
    let mut tls: Vec<OsString> = Vec::new();
    if target.tls {
        tls.push("--tls".into());
        if let Some(file) = &target.ca_file {
            tls.extend(["--cacert".into(), file.into()]);
        }
    }
    for (program, variable) in PROGRAMS {
        // The secret goes through the environment: arguments are seen by everybody.
        let error = Command::new(program)
            .args(["-h", &target.host, "-p", &target.port])
            .args(["--user", &target.user(&credentials)])
            .args(&tls)
            .args(&arguments.arguments)
            .env(variable, &*credentials.password)
            .env_remove("KEYWARD_SECRET_ACCESS_KEY")
            .env_remove("KEYWARD_SESSION_KEY")
            .exec();
        if error.kind() != std::io::ErrorKind::NotFound {
            return Err(Failure::new(Exit::Failed, format!("{program}: {error}")));
        }
    }
    let text = "neither redis-cli nor valkey-cli is installed (Debian: apt install redis-tools)";
    Err(Failure::new(Exit::Failed, text))
}
