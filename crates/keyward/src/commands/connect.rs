//! `keyward connect`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::Value;

use super::Context;
use crate::failure::{Exit, Failure};

/// Programs that can be started, with the variable that each takes the password from.
const PROGRAMS: [(&str, &str); 2] = [
    ("redis-cli", "REDISCLI_AUTH"),
    ("valkey-cli", "VALKEYCLI_AUTH"),
];

/// Starts redis-cli (or valkey-cli) on a database, with your access key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward connect main
  keyward connect second -- SET k v")]
pub(crate) struct Arguments {
    /// The database.
    database: String,
    /// Arguments for redis-cli, after `--`.
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments, context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    let path = client.path("kvdb", &arguments.database)?;
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
    let key = &client.profile().access_key_id;
    let user = format!("{key}.{database}.{organisation}");
    let host = match host.trim_matches(['[', ']']) {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let mut tls: Vec<OsString> = Vec::new();
    if status.get("redis_tls").and_then(Value::as_bool) == Some(true) {
        tls.push("--tls".into());
        if let Some(file) = &client.profile().ca_file {
            tls.extend(["--cacert".into(), file.into()]);
        }
    }
    for (program, variable) in PROGRAMS {
        // The secret goes through the environment: arguments are seen by everybody.
        let error = Command::new(program)
            .args(["-h", host, "-p", port, "--user", &user])
            .args(&tls)
            .args(&arguments.arguments)
            .env(variable, &*client.profile().secret)
            .env_remove("KEYWARD_SECRET_ACCESS_KEY")
            .exec();
        if error.kind() != std::io::ErrorKind::NotFound {
            return Err(Failure::new(Exit::Failed, format!("{program}: {error}")));
        }
    }
    let text = "neither redis-cli nor valkey-cli is installed (Debian: apt install redis-tools)";
    Err(Failure::new(Exit::Failed, text))
}
