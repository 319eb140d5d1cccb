//! `keyward group`.

use serde_json::json;

use super::entity::{Creation, Deletion, Renaming};
use super::{Context, DryRun};
use crate::failure::{Exit, Failure};

const KIND: &str = "group";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  keyward group create readers
  keyward group member add readers worker")]
pub(crate) enum Command {
    /// Create a group.
    #[command(after_help = "Example:\n  keyward group create readers")]
    Create(Creation),
    /// List groups.
    #[command(visible_alias = "ls", after_help = "Example:\n  keyward group list")]
    List,
    /// Show a group.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward group describe readers")]
    Describe {
        /// Its id.
        id: String,
    },
    /// Rename a group.
    #[command(after_help = "Example:\n  keyward group rename readers \"All readers\"")]
    Rename(Renaming),
    /// Who belongs to a group.
    #[command(
        subcommand,
        after_help = "Examples:\n  keyward group member add readers worker\n  keyward group member list readers"
    )]
    Member(Member),
    /// Delete a group.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward group delete readers --cascade"
    )]
    Delete(Deletion),
}

/// Members: trusts of a group in them.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Member {
    /// Let an identity do what the group may do.
    #[command(after_help = "Examples:
  keyward group member add readers worker
  keyward group member add developers org_user/bob --expires-at 2030-01-01T00:00:00Z")]
    Add {
        /// Id of the group.
        group: String,
        /// The identity: worker, org_user/bob, group/interns.
        member: String,
        /// When the membership ends.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// End a membership.
    #[command(
        visible_aliases = ["rm", "delete"],
        after_help = "Example:\n  keyward group member remove readers worker"
    )]
    Remove {
        /// Id of the group.
        group: String,
        /// The identity.
        member: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List the members of a group.
    #[command(
        visible_alias = "ls",
        after_help = "Example:\n  keyward group member list readers"
    )]
    List {
        /// Id of the group.
        group: String,
    },
}

fn member(command: Member, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Member::Add {
            group,
            member,
            expires_at,
            dry_run,
        } => {
            let url = dry_run.url(&format!("{}/member", client.url(KIND, &group)?));
            let member = client.path("programmatic_identity", &member)?;
            let expires_at = expires_at.map(|end| super::time("--expires-at", &end));
            let body = json!({ "member": member, "expires_at": expires_at.transpose()? });
            let made = client.post(&url, &body)?;
            super::trusts::done(output, &made, dry_run, "created")
        }
        Member::Remove {
            group,
            member,
            dry_run,
        } => {
            let url = client.url(KIND, &group)?;
            let member = client.path("programmatic_identity", &member)?;
            let same = format!("{}/", client.path("org", client.organisation()?)?);
            let Some(below) = member.strip_prefix(&same) else {
                let text =
                    "a member of another organisation goes with its trust: keyward trust delete";
                return Err(Failure::new(Exit::Usage, text));
            };
            let gone = client.delete(&dry_run.url(&format!("{url}/member/{below}")))?;
            dry_run.done(output, &gone, "deleted")
        }
        Member::List { group } => {
            let columns = [
                ("member", "/member"),
                ("trust", "/trust"),
                ("accepted", "/accepted"),
                ("expires", "/expires_at"),
            ];
            let url = format!("{}/member", client.url(KIND, &group)?);
            context.list(&url, &columns)
        }
    }
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    match command {
        Command::Create(creation) => creation.run(&client.collection(KIND)?, context),
        Command::List => {
            let columns = [("id", "/id"), ("name", "/name"), ("created", "/created/at")];
            context.list(&client.collection(KIND)?, &columns)
        }
        Command::Describe { id } => context.show(&client.url(KIND, &id)?),
        Command::Rename(renaming) => renaming.run(KIND, context),
        Command::Member(command) => member(command, context),
        Command::Delete(deletion) => deletion.run(KIND, context),
    }
}
