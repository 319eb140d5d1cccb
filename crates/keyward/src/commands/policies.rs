//! `keyward policy`.

use serde_json::{Value, json};

use super::{Context, DryRun, policy_check};
use crate::failure::Failure;
use crate::policy_argument;

const KIND: &str = "policy";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward policy check policy.json")]
pub(crate) enum Command {
    Check(policy_check::Arguments),
    /// Create a named policy.
    #[command(
        after_help = "Example:\n  keyward policy create read-only --policy '[{\"Effect\":\"Allow\",\"Actions\":[\"kvdb:@read\"],\"Resources\":[\"kvdb/*\"]}]'"
    )]
    Create {
        /// Its id, for ever: a-z, 0-9 and -.
        id: String,
        /// A file, `-`, or JSON.
        #[arg(long = "policy")]
        policy: String,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Add a version and make it the default.
    #[command(after_help = "Example:\n  keyward policy put read-only --policy read-only.json")]
    Put {
        /// Its id.
        id: String,
        /// A file, `-`, or JSON.
        #[arg(long = "policy")]
        policy: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Make an existing version the default: roll back or forward.
    #[command(after_help = "Example:\n  keyward policy default-version read-only 1")]
    DefaultVersion {
        /// Its id.
        id: String,
        /// Which version, from 1.
        version: u32,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List named policies.
    #[command(visible_alias = "ls", after_help = "Example:\n  keyward policy list")]
    List,
    /// Show a named policy with its versions.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward policy describe read-only")]
    Describe {
        /// Its id.
        id: String,
    },
    /// Delete a named policy that nothing carries.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward policy delete read-only"
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
        // Runs without a server: see `policy_check`.
        Command::Check(_) => Ok(()),
        Command::Create {
            id,
            policy,
            name,
            dry_run,
        } => {
            let document = policy_argument::document(&policy)?;
            let body = json!({ "id": id, "name": name, "document": document });
            let made = client.post(&dry_run.url(&client.collection(KIND)?), &body)?;
            dry_run.done(output, &made, "created")
        }
        Command::Put {
            id,
            policy,
            dry_run,
        } => {
            let document = policy_argument::document(&policy)?;
            let url = dry_run.url(&client.url(KIND, &id)?);
            let changed = client.put(&url, &json!({ "document": document }))?;
            dry_run.done(output, &changed, "changed")
        }
        Command::DefaultVersion {
            id,
            version,
            dry_run,
        } => {
            let url = dry_run.url(&format!("{}/default_version", client.url(KIND, &id)?));
            let changed = client.post(&url, &json!({ "version": version }))?;
            dry_run.done(output, &changed, "changed")
        }
        Command::List => {
            let columns = [
                ("id", "/id"),
                ("name", "/name"),
                ("default version", "/default_version"),
                ("created", "/created/at"),
            ];
            Ok(output.list(&client.items(&client.collection(KIND)?)?, &columns)?)
        }
        Command::Describe { id } => {
            let shown: Value = client.get(&client.url(KIND, &id)?)?;
            Ok(output.entity(&shown)?)
        }
        Command::Delete { id, dry_run } => {
            let gone = client.delete(&dry_run.url(&client.url(KIND, &id)?))?;
            dry_run.done(output, &gone, "deleted")
        }
    }
}
