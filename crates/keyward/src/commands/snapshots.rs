//! `keyward snapshot`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Context, DryRun};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{Format, Output, cell, note};

const KIND: &str = "kvdb";

/// Time between two looks at work that is waited for.
const PAUSE: Duration = Duration::from_millis(300);

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  keyward snapshot create main nightly --wait
  keyward snapshot restore main/nightly --to staging --wait")]
pub(crate) enum Command {
    /// Begin a snapshot: a copy of all keys of a database.
    #[command(after_help = "Examples:
  keyward snapshot create main
  keyward snapshot create main nightly --description \"before the move\" --wait")]
    Create {
        /// Id of the database.
        database: String,
        /// Id of the snapshot, for ever: a-z, 0-9 and -. Left out, it is made of the time.
        id: Option<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// Wait until it is ready, and show how far it is.
        #[arg(long, conflicts_with = "dry_run")]
        wait: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List the snapshots of a database.
    #[command(
        visible_alias = "ls",
        after_help = "Example:\n  keyward snapshot list main"
    )]
    List {
        /// Id of the database.
        database: String,
    },
    /// Show a snapshot, and how far it is.
    #[command(
        visible_aliases = ["get", "info"],
        after_help = "Example:\n  keyward snapshot describe main/nightly"
    )]
    Describe {
        /// `<database>/<snapshot>`
        snapshot: String,
    },
    /// Change what a snapshot is for.
    #[command(
        after_help = "Example:\n  keyward snapshot update main/nightly --description \"keep until spring\""
    )]
    Update {
        /// `<database>/<snapshot>`
        snapshot: String,
        /// What it is for; an empty one is taken away.
        #[arg(long)]
        description: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Put the keys of a snapshot into a database.
    #[command(after_help = "Examples:
  keyward snapshot restore main/nightly --to staging --wait
  keyward snapshot restore main/nightly --existing flush --yes --wait")]
    Restore {
        /// `<database>/<snapshot>`
        snapshot: String,
        /// Database to put them into; left out: the one that the snapshot is of.
        #[arg(long, value_name = "DATABASE")]
        to: Option<String>,
        /// Keys that are there: `refuse`, there must be none; `replace`, those of the same name are
        /// replaced; `flush`, all are removed first.
        #[arg(long, value_parser = ["refuse", "replace", "flush"], default_value = "refuse")]
        existing: String,
        /// Do not ask before keys are replaced or removed.
        #[arg(long, short)]
        yes: bool,
        /// Wait until it is done, and show how far it is.
        #[arg(long, conflicts_with = "dry_run")]
        wait: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// The restores of a snapshot that run or have ended lately, or one of them.
    #[command(after_help = "Examples:
  keyward snapshot restores main/nightly
  keyward snapshot restores main/nightly r57")]
    Restores {
        /// `<database>/<snapshot>`
        snapshot: String,
        /// Id of a restore.
        restore: Option<String>,
    },
    /// Ask a restore to stop. What it has written by then stays.
    #[command(after_help = "Example:\n  keyward snapshot cancel main/nightly r57")]
    Cancel {
        /// `<database>/<snapshot>`
        snapshot: String,
        /// Id of the restore.
        restore: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Delete a snapshot and what is in it, after asking. One that is being made is given up.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward snapshot delete main/nightly --yes"
    )]
    Delete {
        /// `<database>/<snapshot>`
        snapshot: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

/// URL path of `main/nightly`, `kvdb/main/snapshot/nightly` or a full path.
fn url_of(client: &Client, snapshot: &str) -> Result<String, Failure> {
    let named = snapshot.trim_matches('/');
    if named.contains("/snapshot/") {
        return client.url(KIND, named);
    }
    match named.split_once('/') {
        Some((database, id)) if !database.is_empty() && !id.is_empty() && !id.contains('/') => {
            Ok(format!("{}/snapshot/{id}", client.url(KIND, database)?))
        }
        _ => {
            let text = format!("`{snapshot}` names no snapshot: write <database>/<snapshot>");
            Err(Failure::new(Exit::Usage, text))
        }
    }
}

/// Asks before something is done that cannot be undone.
fn confirm(what: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let question = format!("This {what}. Type `yes` to go on:");
    crate::confirm::confirm(&question, &["yes", "y"], format!("{what}: give --yes"))
}

fn text_of<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or("")
}

/// `1200 of about 5000 keys, 34000 bytes`
fn progress_text(progress: &Value) -> String {
    let number = |field: &str| progress.get(field).and_then(Value::as_u64);
    let done = number("keys_done").unwrap_or(0);
    let of = number("keys_total").map_or_else(String::new, |all| format!(" of about {all}"));
    let bytes = number("bytes").unwrap_or(0);
    format!("{done}{of} keys, {bytes} bytes")
}

/// Looks at work again and again until it has ended.
fn wait(client: &Client, url: &str, running: &str) -> Result<Value, Failure> {
    let mut told = String::new();
    loop {
        let shown = client.get(url)?;
        if text_of(&shown, "state") != running {
            return Ok(shown);
        }
        let now = shown.get("progress").map(progress_text).unwrap_or_default();
        if now != told {
            note(&now);
            told = now;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Says how work ended.
fn ended(output: &Output, shown: &Value, done: &str, what: &str) -> Result<(), Failure> {
    let path = text_of(shown, "path");
    if text_of(shown, "state") != done {
        let text = format!("{path} failed: {}", text_of(shown, "reason"));
        if output.format() == Format::Json {
            output.line(&shown.to_string())?;
        }
        let refused = text.contains("the target is not empty");
        let failure = Failure::new(Exit::Failed, text);
        return Err(match refused {
            true => failure.with_hint("--existing replace, or --existing flush"),
            false => failure,
        });
    }
    let keys = shown.get("keys").map(cell).unwrap_or_default();
    Ok(output.document(shown, |_| format!("{what} {path}: {keys} keys"))?)
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Command::Create {
            database,
            id,
            description,
            wait: waits,
            dry_run,
        } => {
            let all = format!("{}/snapshot", client.url(KIND, &database)?);
            let body = json!({ "id": id, "description": description });
            let made = client.post(&dry_run.url(&all), &body)?;
            if !waits {
                return dry_run.done(output, &made, "begun");
            }
            let url = format!("/v1/{}", text_of(&made, "path"));
            let shown = wait(client, &url, "creating")?;
            ended(output, &shown, "ready", "made")
        }
        Command::List { database } => {
            let columns = [
                ("id", "/id"),
                ("state", "/state"),
                ("keys", "/keys"),
                ("bytes", "/bytes"),
                ("created", "/created/at"),
                ("by", "/created/by"),
                ("description", "/description"),
            ];
            let all = format!("{}/snapshot", client.url(KIND, &database)?);
            context.list(&all, &columns)
        }
        Command::Describe { snapshot } => context.show(&url_of(client, &snapshot)?),
        Command::Update {
            snapshot,
            description,
            dry_run,
        } => {
            let text = Some(description).filter(|text| !text.is_empty());
            let url = dry_run.url(&url_of(client, &snapshot)?);
            let changed = client.patch(&url, &json!({ "description": text }))?;
            dry_run.done(output, &changed, "changed")
        }
        Command::Restore {
            snapshot,
            to,
            existing,
            yes,
            wait: waits,
            dry_run,
        } => {
            let url = url_of(client, &snapshot)?;
            let target = match to {
                Some(to) => Some(client.path(KIND, &to)?),
                None => None,
            };
            let into = target.as_deref().unwrap_or("the database of the snapshot");
            let yes = yes || dry_run.dry_run;
            match existing.as_str() {
                "flush" => confirm(&format!("removes all keys of {into} first"), yes)?,
                "replace" => confirm(&format!("replaces keys of {into}"), yes)?,
                _ => {}
            }
            let body = json!({ "target": target, "existing": existing });
            let made = client.post(&dry_run.url(&format!("{url}/restore")), &body)?;
            if !waits {
                return dry_run.done(output, &made, "begun");
            }
            let job = format!("/v1/{}", text_of(&made, "path"));
            let shown = wait(client, &job, "running")?;
            ended(output, &shown, "done", "done:")
        }
        Command::Restores { snapshot, restore } => {
            let all = format!("{}/restore", url_of(client, &snapshot)?);
            if let Some(id) = restore {
                return context.show(&format!("{all}/{id}"));
            }
            let columns = [
                ("id", "/id"),
                ("target", "/target"),
                ("existing", "/existing"),
                ("state", "/state"),
                ("keys", "/keys"),
                ("started", "/started/at"),
                ("by", "/started/by"),
            ];
            context.list(&all, &columns)
        }
        Command::Cancel {
            snapshot,
            restore,
            dry_run,
        } => {
            let url = format!("{}/restore/{restore}", url_of(client, &snapshot)?);
            dry_run.done(output, &client.delete(&dry_run.url(&url))?, "cancelled")
        }
        Command::Delete {
            snapshot,
            yes,
            dry_run,
        } => {
            let url = url_of(client, &snapshot)?;
            let what = format!("deletes `{snapshot}` and what is in it");
            confirm(&what, yes || dry_run.dry_run)?;
            dry_run.done(output, &client.delete(&dry_run.url(&url))?, "deleted")
        }
    }
}
