//! `keyward role`.

use serde_json::{Map, Value, json};

use super::entity::{Deletion, Renaming};
use super::sts::{self, Ask};
use super::{Context, DryRun};
use crate::failure::{Exit, Failure};

const KIND: &str = "role";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  keyward role create deployer --max-session-seconds 900
  keyward trust create programmatic_identity/ci --trustor role/deployer
  keyward trust create role/deployer --policy KvdbReadWrite
  keyward --profile ci role assume deployer")]
pub(crate) enum Command {
    /// Create a role: an identity without keys, assumed for a limited time.
    #[command(after_help = "Examples:
  keyward role create deployer
  keyward role create deployer --max-session-seconds 900 --description \"GitHub Actions\"")]
    Create {
        /// Its id, for ever: a-z, 0-9 and -.
        id: String,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// How long its sessions last at most: 900 to 43200; 3600 if left out.
        #[arg(long, value_name = "SECONDS")]
        max_session_seconds: Option<u32>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List roles.
    #[command(visible_alias = "ls", after_help = "Example:\n  keyward role list")]
    List,
    /// Show a role.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward role describe deployer")]
    Describe {
        /// Its id.
        id: String,
    },
    /// Rename a role.
    #[command(after_help = "Example:\n  keyward role rename deployer Deployer")]
    Rename(Renaming),
    /// Change what a role is for, or how long its sessions last at most.
    #[command(after_help = "Examples:
  keyward role update deployer --max-session-seconds 3600
  keyward role update deployer --description \"\"")]
    Update {
        /// Its id.
        id: String,
        /// What it is for; an empty one is taken away.
        #[arg(long)]
        description: Option<String>,
        /// How long its sessions last at most: 900 to 43200.
        #[arg(long, value_name = "SECONDS")]
        max_session_seconds: Option<u32>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Assume a role: temporary credentials.
    #[command(after_help = "Examples:
  keyward role assume deployer
  keyward role assume org/acme/role/reader --external-id 4711 --duration-seconds 900")]
    Assume {
        /// Its id or path.
        id: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Delete a role: its sessions end.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward role delete deployer --cascade"
    )]
    Delete(Deletion),
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Command::Create {
            id,
            name,
            description,
            max_session_seconds,
            dry_run,
        } => {
            let body = json!({
                "id": id, "name": name, "description": description,
                "max_session_seconds": max_session_seconds,
            });
            dry_run.create(&client.collection(KIND)?, &body, context)
        }
        Command::List => {
            let columns = [
                ("id", "/id"),
                ("name", "/name"),
                ("max session seconds", "/max_session_seconds"),
                ("description", "/description"),
                ("created", "/created/at"),
            ];
            context.list(&client.collection(KIND)?, &columns)
        }
        Command::Describe { id } => context.show(&client.url(KIND, &id)?),
        Command::Rename(renaming) => renaming.run(KIND, context),
        Command::Update {
            id,
            description,
            max_session_seconds,
            dry_run,
        } => {
            let mut body = Map::new();
            if let Some(text) = description {
                let text = Some(text).filter(|text| !text.is_empty());
                body.insert("description".to_owned(), text.into());
            }
            if let Some(seconds) = max_session_seconds {
                body.insert("max_session_seconds".to_owned(), seconds.into());
            }
            if body.is_empty() {
                let text = "nothing to change: give --description or --max-session-seconds";
                return Err(Failure::new(Exit::Usage, text));
            }
            let url = dry_run.url(&client.url(KIND, &id)?);
            let changed = client.patch(&url, &Value::Object(body))?;
            dry_run.done(output, &changed, "changed")
        }
        Command::Assume { id, ask } => sts::assume_role(&id, &ask, context),
        Command::Delete(deletion) => deletion.run(KIND, context),
    }
}
