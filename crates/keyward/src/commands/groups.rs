//! `keyward group`.

use super::{Context, DryRun};
use crate::failure::Failure;

const KIND: &str = "group";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  keyward group create readers
  keyward trust create programmatic_identity/worker --trustor group/readers")]
pub(crate) enum Command {
    /// Create a group.
    #[command(after_help = "Example:\n  keyward group create readers")]
    Create {
        /// Its id, for ever: a-z, 0-9 and -.
        id: String,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List groups.
    #[command(visible_alias = "ls", after_help = "Example:\n  keyward group list")]
    List,
    /// Show a group.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward group describe readers")]
    Describe {
        /// Its id.
        id: String,
    },
    /// Delete a group.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward group delete readers --cascade"
    )]
    Delete {
        /// Its id.
        id: String,
        /// Delete its trusts, too.
        #[arg(long)]
        cascade: bool,
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
            let columns = [("id", "/id"), ("name", "/name"), ("created", "/created/at")];
            Ok(output.list(&client.items(&client.collection(KIND)?)?, &columns)?)
        }
        Command::Describe { id } => Ok(output.entity(&client.get(&client.url(KIND, &id)?)?)?),
        Command::Delete {
            id,
            cascade,
            dry_run,
        } => {
            let url = format!("{}?cascade={cascade}", client.url(KIND, &id)?);
            let gone = client.delete(&dry_run.url(&url))?;
            dry_run.done(output, &gone, "deleted")
        }
    }
}
