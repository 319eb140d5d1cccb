//! `keyward db`.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::entity::{Renaming, in_use_by_name, taken};
use super::{Context, DryRun};
use crate::failure::{Exit, Failure};
use crate::secret_input::secret_line;

const KIND: &str = "kvdb";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward db create second")]
pub(crate) enum Command {
    /// Create a database: on the embedded engine, or on a server that the operator permits.
    #[command(after_help = "Examples:
  keyward db create second
  keyward db create sessions --backend redis://keyward@10.0.0.7:6379 --password-stdin < password.txt")]
    Create {
        /// Its id, for ever: a-z, 0-9 and -.
        id: String,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        /// `embedded`, or `redis://[user@]host:port`.
        #[arg(long, value_name = "BACKEND")]
        backend: Option<String>,
        /// Read the server's password from standard input.
        #[arg(long, requires = "backend")]
        password_stdin: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List databases.
    #[command(visible_alias = "ls", after_help = "Example:\n  keyward db list")]
    List,
    /// Show a database.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward db describe main")]
    Describe {
        /// Its id.
        id: String,
    },
    /// Rename a database.
    #[command(after_help = "Example:\n  keyward db rename second \"Sessions\"")]
    Rename(Renaming),
    /// Change what a database is for.
    #[command(
        after_help = "Example:\n  keyward db update second --description \"Sessions of the shop\""
    )]
    Update {
        /// Its id.
        id: String,
        /// What it is for; an empty one is taken away.
        #[arg(long)]
        description: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Show whether the server behind a database answers.
    #[command(after_help = "Example:\n  keyward db health second")]
    Health {
        /// Its id.
        id: String,
    },
    /// Turn commands that administer the server on or off; the operator must permit them, too.
    #[command(after_help = "Example:\n  keyward db set-administration main on")]
    SetAdministration {
        /// Its id.
        id: String,
        /// On or off.
        #[arg(value_parser = ["on", "off"])]
        state: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Put a database on another backend. Its data stays where it was.
    #[command(after_help = "Examples:
  keyward db set-backend second embedded
  keyward db set-backend second redis://keyward@10.0.0.7:6379 --password-stdin < password.txt")]
    SetBackend {
        /// Its id.
        id: String,
        #[command(flatten)]
        backend: BackendArguments,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Delete a database and its data, after asking.
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  keyward db delete second\n  keyward db delete second --yes\n  keyward db delete second --confirm second"
    )]
    Delete {
        /// Its id.
        id: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
        /// The id again, in place of an answer.
        #[arg(long, value_name = "ID", conflicts_with = "yes")]
        confirm: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

/// A backend on the command line.
#[derive(Debug, clap::Args)]
pub(crate) struct BackendArguments {
    /// `embedded`, or `redis://[user@]host:port`.
    backend: String,
    /// Read the server's password from standard input.
    #[arg(long)]
    password_stdin: bool,
}

/// A backend in a call. Its password is never an argument, which everybody sees.
fn backend_of(text: &str, password_stdin: bool) -> Result<Value, Failure> {
    if text == "embedded" {
        return Ok(json!({ "type": "embedded" }));
    }
    let Some(server) = text.strip_prefix("redis://") else {
        let text = "a backend is `embedded` or `redis://[user@]host:port`";
        return Err(Failure::new(Exit::Usage, text));
    };
    let (user, address) = match server.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, server),
    };
    if user.is_some_and(|user| user.contains(':')) {
        let text = "no password in a backend's address: --password-stdin reads it";
        return Err(Failure::new(Exit::Usage, text));
    }
    let mut backend = json!({ "type": "server", "address": address.trim_end_matches('/') });
    if let Some(user) = user.filter(|user| !user.is_empty()) {
        backend["user"] = user.into();
    }
    if password_stdin {
        let password = secret_line("password of the server: ")?;
        backend["password"] = password.as_str().into();
    }
    Ok(backend)
}

/// Asks before data is deleted.
fn confirm_deletion(id: &str, yes: bool, confirm: Option<&str>) -> Result<(), Failure> {
    match confirm {
        Some(said) if said == id => return Ok(()),
        Some(_) => {
            let text = format!("--confirm says another id than `{id}`: nothing was done");
            return Err(Failure::new(Exit::Usage, text));
        }
        None if yes => return Ok(()),
        None => {}
    }
    let question = format!("Delete `{id}` and its data? Type `{id}` to go on:");
    let unasked = format!("deletes `{id}` and its data: give --yes or --confirm {id}");
    crate::confirm::confirm(&question, &[id], unasked)
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Command::Create {
            id,
            name,
            backend,
            password_stdin,
            dry_run,
        } => {
            let mut body = json!({ "id": id, "name": name });
            if let Some(backend) = backend {
                body["backend"] = backend_of(&backend, password_stdin)?;
            }
            let body = Zeroizing::new(body.to_string());
            let collection = client.collection(KIND)?;
            let made = client.send("POST", &dry_run.url(&collection), Some(&body));
            let made = made.map_err(|failure| taken(failure, &collection, &id, context))?;
            dry_run.done(output, &made, "created")
        }
        Command::List => {
            let columns = [
                ("id", "/id"),
                ("name", "/name"),
                ("backend", "/backend/type"),
                ("address", "/backend/address"),
                ("created", "/created/at"),
            ];
            context.list(&client.collection(KIND)?, &columns)
        }
        Command::Describe { id } => context.show(&client.url(KIND, &id)?),
        Command::Rename(renaming) => renaming.run(KIND, context),
        Command::Update {
            id,
            description,
            dry_run,
        } => {
            let text = Some(description).filter(|text| !text.is_empty());
            let url = dry_run.url(&client.url(KIND, &id)?);
            let changed = client.patch(&url, &json!({ "description": text }))?;
            dry_run.done(output, &changed, "changed")
        }
        Command::Health { id } => {
            let url = format!("{}/health", client.url(KIND, &id)?);
            context.show(&url)
        }
        Command::SetAdministration { id, state, dry_run } => {
            let url = dry_run.url(&format!("{}/administration", client.url(KIND, &id)?));
            let changed = client.put(&url, &json!({ "on": state == "on" }))?;
            dry_run.done(output, &changed, "set the administration of")
        }
        Command::SetBackend {
            id,
            backend,
            dry_run,
        } => {
            let url = dry_run.url(&format!("{}/backend", client.url(KIND, &id)?));
            let body = backend_of(&backend.backend, backend.password_stdin)?;
            let body = Zeroizing::new(body.to_string());
            let changed = client.send("PUT", &url, Some(&body))?;
            dry_run.done(output, &changed, "set the backend of")
        }
        Command::Delete {
            id,
            yes,
            confirm,
            dry_run,
        } => {
            let url = client.url(KIND, &id)?;
            let own = url.rsplit('/').next().unwrap_or_default().to_owned();
            confirm_deletion(&own, yes || dry_run.dry_run, confirm.as_deref())?;
            let url = dry_run.url(&format!("{url}?confirm={own}"));
            let gone = client.delete(&url).map_err(in_use_by_name)?;
            dry_run.done(output, &gone, "deleted")
        }
    }
}
