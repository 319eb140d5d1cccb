//! `keyward identity`.

use serde_json::json;

use super::entity::{Creation, Deletion, Renaming};
use super::{Context, DryRun, limits};
use crate::failure::Failure;

const KIND: &str = "programmatic_identity";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward identity create worker")]
pub(crate) enum Command {
    /// Create an identity, without permissions.
    #[command(after_help = "Example:\n  keyward identity create worker")]
    Create(Creation),
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
    Rename(Renaming),
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
    #[command(mut_arg("cascade", |cascade| cascade.help("Delete its trusts and the access keys that open it, too")))]
    Delete(Deletion),
    /// As `keyward boundary`.
    #[command(subcommand, hide = true)]
    Boundary(limits::Boundary),
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Command::Create(creation) => creation.run(&client.collection(KIND)?, context),
        Command::List => {
            let columns = [
                ("id", "/id"),
                ("name", "/name"),
                ("default database", "/default_database"),
                ("created", "/created/at"),
            ];
            context.list(&client.collection(KIND)?, &columns)
        }
        Command::Describe { id } => context.show(&client.url(KIND, &id)?),
        Command::Rename(renaming) => renaming.run(KIND, context),
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
        Command::Delete(deletion) => deletion.run(KIND, context),
        Command::Boundary(command) => limits::boundary(command, context),
    }
}
