//! `keyward org-user`: people in an organisation.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::entity::{Deletion, Renaming};
use super::{Context, DryRun};
use crate::failure::{Exit, Failure};
use crate::output::{note, printable};
use crate::secret_input::secret_line;

const KIND: &str = "org_user";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  keyward org-user invite bob --email bob@example.com
  keyward group member add developers org_user/bob")]
pub(crate) enum Command {
    /// Invite somebody: shows a link, once, that whoever has it can accept.
    #[command(after_help = "Examples:
  keyward org-user invite bob --email bob@example.com --name Bob
  keyward org-user invite bob --again")]
    Invite {
        /// Id of the organisation user, for ever: a-z, 0-9 and -.
        id: String,
        /// What people call the member.
        #[arg(long, conflicts_with = "again")]
        name: Option<String>,
        /// Where you will send the link; proves nothing.
        #[arg(long)]
        email: Option<String>,
        /// How long it can be accepted: 60 to 2592000; seven days if left out.
        #[arg(long, value_name = "SECONDS")]
        valid_seconds: Option<u64>,
        /// Make a new link for an organisation user that nobody has accepted, or who left.
        #[arg(long)]
        again: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Make a user a member, who then has to accept.
    #[command(
        visible_alias = "add",
        after_help = "Example:\n  keyward org-user create alice --user user/abc"
    )]
    Create {
        /// Id of the organisation user, for ever: a-z, 0-9 and -.
        id: String,
        /// Path of the user.
        #[arg(long)]
        user: String,
        /// What people call the member.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Accept an invitation, as whoever has signed in.
    #[command(after_help = "Example:\n  keyward org-user accept - < token.txt")]
    Accept {
        /// The token or the link of the invitation; `-` reads it from standard input, so that it
        /// is in no process list.
        token: String,
    },
    /// Show what an invitation offers; its token opens this without signing in.
    #[command(after_help = "Example:\n  keyward org-user show-invitation - < token.txt")]
    ShowInvitation {
        /// The token or the link of the invitation; `-` reads it from standard input.
        token: String,
    },
    /// Decline an invitation.
    #[command(after_help = "Example:\n  keyward org-user decline - < token.txt")]
    Decline {
        /// The token or the link of the invitation; `-` reads it from standard input.
        token: String,
    },
    /// List the people of an organisation.
    #[command(visible_alias = "ls", after_help = "Example:\n  keyward org-user list")]
    List,
    /// Show an organisation user.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward org-user describe bob")]
    Describe {
        /// Its id.
        id: String,
    },
    /// Rename an organisation user.
    #[command(after_help = "Example:\n  keyward org-user rename bob \"Bob Smith\"")]
    Rename(Renaming),
    /// Delete an organisation user: the person is no member any more.
    #[command(
        visible_aliases = ["rm", "delete"],
        after_help = "Example:\n  keyward org-user remove bob --cascade"
    )]
    #[command(mut_arg("cascade", |cascade| cascade.help("Delete its trusts, too: memberships of groups and the like")))]
    Remove(Deletion),
}

/// The token of an invitation in a call, out of itself or its link.
fn held(token: String) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(token);
    if *text == "-" {
        text = secret_line("the token or link of the invitation: ")?;
    }
    let token = text.trim().rsplit('/').next().unwrap_or_default();
    Ok(Zeroizing::new(json!({ "token": token }).to_string()))
}

/// Shows an invitation, once.
fn invited(made: &Value, dry_run: DryRun, context: &Context<'_>) -> Result<(), Failure> {
    let link = ["invitation_link", "invitation_url"]
        .iter()
        .find_map(|field| made.get(*field).and_then(Value::as_str));
    match link {
        None => dry_run.done(context.output, made, "invited"),
        Some(link) => Ok(context.output.document(made, |made| {
            let path = made["path"].as_str().unwrap_or_default();
            printable(&format!(
                "invited {path}; whoever has this link can accept:\n{link}\n\nIt is not shown again."
            ))
        })?),
    }
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Command::Invite {
            id,
            name,
            email,
            valid_seconds,
            again,
            dry_run,
        } => {
            if id.contains('@') {
                let text = format!("`{id}` is no id of an organisation user: a-z, 0-9 and -");
                let short = id.split('@').next().unwrap_or_default();
                let hint = format!("keyward org-user invite {short} --email {id}");
                return Err(Failure::new(Exit::Usage, printable(&text)).with_hint(printable(&hint)));
            }
            let mut body = json!({ "email": email, "valid_seconds": valid_seconds });
            let url = match again {
                true => format!("{}/invite", client.url(KIND, &id)?),
                false => {
                    body["id"] = id.into();
                    body["name"] = name.into();
                    client.collection(KIND)?
                }
            };
            invited(&client.post(&dry_run.url(&url), &body)?, dry_run, context)
        }
        Command::Create {
            id,
            user,
            name,
            dry_run,
        } => {
            let body = json!({ "id": id, "name": name, "user": user });
            let made = client.post(&dry_run.url(&client.collection(KIND)?), &body)?;
            if made["state"].as_str() == Some("offered") {
                note("the person accepts with `keyward trust pending` and `keyward trust accept`");
            }
            dry_run.done(output, &made, "created")
        }
        Command::Accept { token } => {
            let body = held(token)?;
            let accepted = client.send("POST", "/v1/invitation/accept", Some(&body))?;
            Ok(output.document(&accepted, |accepted| {
                let path = accepted["path"].as_str().unwrap_or_default();
                printable(&format!("accepted {path}"))
            })?)
        }
        Command::ShowInvitation { token } => {
            let body = held(token)?;
            Ok(output.entity(&client.send("POST", "/v1/invitation", Some(&body))?)?)
        }
        Command::Decline { token } => {
            let body = held(token)?;
            let declined = client.send("POST", "/v1/invitation/decline", Some(&body))?;
            Ok(output.document(&declined, |_| "declined".to_owned())?)
        }
        Command::List => {
            let columns = [
                ("id", "/id"),
                ("name", "/name"),
                ("state", "/state"),
                ("user", "/user"),
                ("created", "/created/at"),
            ];
            context.list(&client.collection(KIND)?, &columns)
        }
        Command::Describe { id } => context.show(&client.url(KIND, &id)?),
        Command::Rename(renaming) => renaming.run(KIND, context),
        Command::Remove(deletion) => deletion.run(KIND, context),
    }
}
