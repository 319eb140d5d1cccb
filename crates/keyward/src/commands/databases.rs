//! `keyward db`.

use serde_json::json;

use super::{Context, DryRun};
use crate::failure::Failure;

const KIND: &str = "kvdb";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward db create second")]
pub(crate) enum Command {
    /// Create a database on the embedded engine.
    #[command(after_help = "Example:\n  keyward db create second")]
    Create {
        /// Its id, for ever: a-z, 0-9 and -.
        id: String,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
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
    Rename {
        /// Its id.
        id: String,
        /// Its new name; without one the name is taken away.
        name: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
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
    #[command(after_help = "Example:\n  keyward db set-backend second embedded")]
    SetBackend {
        /// Its id.
        id: String,
        /// `embedded`.
        backend: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Delete a database and its data.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward db delete second"
    )]
    Delete {
        /// Its id.
        id: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Command::Create { id, name, dry_run } => {
            dry_run.create(&client.collection(KIND)?, &id, name.as_deref(), context)
        }
        Command::List => {
            let columns = [
                ("id", "/id"),
                ("name", "/name"),
                ("backend", "/backend/type"),
                ("address", "/backend/address"),
                ("created", "/created/at"),
            ];
            Ok(output.list(&client.items(&client.collection(KIND)?)?, &columns)?)
        }
        Command::Describe { id } => Ok(output.entity(&client.get(&client.url(KIND, &id)?)?)?),
        Command::Rename { id, name, dry_run } => {
            dry_run.rename(&client.url(KIND, &id)?, name.as_deref(), context)
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
            let changed = client.put(&url, &json!({ "type": backend }))?;
            dry_run.done(output, &changed, "set the backend of")
        }
        Command::Delete { id, dry_run } => {
            let url = client.url(KIND, &id)?;
            let confirm = url.rsplit('/').next().unwrap_or_default();
            let url = dry_run.url(&format!("{url}?confirm={confirm}"));
            let gone = client.delete(&url)?;
            dry_run.done(output, &gone, "deleted")
        }
    }
}
