//! `keyward resource-policy`.

use super::{Context, DryRun};
use crate::failure::Failure;
use crate::policy_argument;

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  keyward resource-policy put kvdb/main --policy '[{\"Effect\":\"Allow\",\"Identities\":[\"unauthenticated\"],\"Actions\":[\"kvdb:ExecuteGet\"],\"Keys\":[\"public:*\"]}]'")]
pub(crate) enum Command {
    /// Show which identities a resource accepts besides its owner.
    #[command(
        visible_alias = "describe",
        after_help = "Example:\n  keyward resource-policy get kvdb/main"
    )]
    Get {
        /// The resource: kvdb/main, programmatic_identity/worker, org/dev, …
        resource: String,
    },
    /// Set it.
    #[command(
        visible_alias = "create",
        after_help = "Example:
  keyward resource-policy put kvdb/main --policy '[{\"Effect\":\"Allow\",\"Identities\":[\"org/partner/programmatic_identity/reader\"],\"Actions\":[\"kvdb:@read\"],\"Keys\":[\"public:*\"]}]'"
    )]
    Put {
        /// The resource: kvdb/main, programmatic_identity/worker, org/dev, …
        resource: String,
        /// A file, `-`, or JSON.
        #[arg(long = "policy")]
        policy: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Take it away: the owner alone is accepted.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward resource-policy delete kvdb/main"
    )]
    Delete {
        /// The resource: kvdb/main, programmatic_identity/worker, org/dev, …
        resource: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    let url = |resource: &str| {
        Ok::<_, Failure>(format!("{}/resource_policy", client.url("kvdb", resource)?))
    };
    match command {
        Command::Get { resource } => {
            let shown = client.get(&url(&resource)?)?;
            Ok(output.document(&shown, |shown| format!("{shown:#}"))?)
        }
        Command::Put {
            resource,
            policy,
            dry_run,
        } => {
            let document = policy_argument::document(&policy)?;
            let changed = client.send("PUT", &dry_run.url(&url(&resource)?), Some(&document))?;
            dry_run.done(output, &changed, "set the resource policy of")
        }
        Command::Delete { resource, dry_run } => {
            let changed = client.delete(&dry_run.url(&url(&resource)?))?;
            dry_run.done(output, &changed, "took away the resource policy of")
        }
    }
}
