//! `keyward identity`.

use serde_json::json;

use super::{Context, DryRun, limits};
use crate::failure::Failure;

const KIND: &str = "programmatic_identity";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward identity create worker")]
pub(crate) enum Command {
    /// Create an identity, without permissions.
    #[command(after_help = "Example:\n  keyward identity create worker")]
    Create {
        /// Its id, for ever: a-z, 0-9 and -.
        id: String,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List identities.
    #[command(visible_alias = "ls", after_help = "Example:\n  keyward identity list")]
    List,
    /// Show an identity.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward identity describe worker")]
    Describe {
        /// Its id.
        id: String,
    },
    /// Rename an identity.
    #[command(after_help = "Example:\n  keyward identity rename worker \"Night worker\"")]
    Rename {
        /// Its id.
        id: String,
        /// Its new name; without one the name is taken away.
        name: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Set where its connections go that name no database.
    #[command(after_help = "Example:\n  keyward identity default-database worker second")]
    DefaultDatabase {
        /// Its id.
        id: String,
        /// The database; without one the default is taken away.
        database: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Delete an identity and its access keys.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward identity delete worker --cascade"
    )]
    Delete {
        /// Its id.
        id: String,
        /// Delete its trusts and the access keys that open it, too.
        #[arg(long)]
        cascade: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// As `keyward boundary`.
    #[command(subcommand, hide = true)]
    Boundary(limits::Boundary),
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
                ("default database", "/default_database"),
                ("created", "/created/at"),
            ];
            Ok(output.list(&client.items(&client.collection(KIND)?)?, &columns)?)
        }
        Command::Describe { id } => Ok(output.entity(&client.get(&client.url(KIND, &id)?)?)?),
        Command::Rename { id, name, dry_run } => {
            dry_run.rename(&client.url(KIND, &id)?, name.as_deref(), context)
        }
        Command::DefaultDatabase {
            id,
            database,
            dry_run,
        } => {
            let url = dry_run.url(&format!("{}/default_database", client.url(KIND, &id)?));
            let database = database
                .map(|name| client.path("kvdb", &name))
                .transpose()?;
            let changed = client.put(&url, &json!({ "database": database }))?;
            dry_run.done(output, &changed, "set the default database of")
        }
        Command::Delete {
            id,
            cascade,
            dry_run,
        } => {
            let url = format!("{}?cascade={cascade}", client.url(KIND, &id)?);
            let gone = client.delete(&dry_run.url(&url)).map_err(super::in_use)?;
            dry_run.done(output, &gone, "deleted")
        }
        Command::Boundary(command) => limits::boundary(command, context),
    }
}
