//! `keyward session`: sessions of roles, of identities and of people.

use serde_json::{Value, json};

use super::Context;
use crate::failure::{Exit, Failure};
use crate::output::printable;

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  keyward session list role/deployer
  keyward session kill role/deployer KWTK…
  keyward session kill 4711
  keyward session revoke-before role/deployer")]
pub(crate) enum Command {
    /// List the sessions of a role or an identity; without one, where you are signed in.
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  keyward session list\n  keyward session list role/deployer"
    )]
    List {
        /// role/deployer, worker, org/acme/role/reader.
        of: Option<String>,
    },
    /// Show a session of a role or an identity.
    #[command(
        visible_alias = "get",
        after_help = "Example:\n  keyward session describe role/deployer KWTK…"
    )]
    Describe {
        /// role/deployer, worker.
        of: String,
        /// Id of the session.
        session: String,
    },
    /// End a session: connections that it opened, too.
    #[command(
        visible_aliases = ["revoke", "delete"],
        after_help = "Examples:\n  keyward session kill role/deployer KWTK…\n  keyward session kill 4711",
        override_usage = "keyward session kill [OPTIONS] [OF] <SESSION>"
    )]
    Kill {
        /// role/deployer, worker; left out, or `me`, for where you are signed in. Then the id of the
        /// session.
        #[arg(required = true, num_args = 1..=2, value_names = ["OF", "SESSION"])]
        session: Vec<String>,
    },
    /// End every session that was issued before a moment.
    #[command(after_help = "Examples:
  keyward session revoke-before role/deployer
  keyward session revoke-before role/deployer 2030-01-01T00:00:00Z
  keyward session revoke-before me")]
    RevokeBefore {
        /// role/deployer, worker; `me` for where you are signed in, but here.
        of: String,
        /// The moment; now if left out.
        moment: Option<String>,
    },
}

/// Whose sessions are meant.
enum Of {
    /// URL of a role or an identity.
    Identity(String),
    /// URL of the person who signed in.
    Me(String),
}

fn of(name: Option<&str>, context: &Context<'_>) -> Result<Of, Failure> {
    let client = &context.client;
    match name {
        Some(name) if name != "me" => Ok(Of::Identity(client.url("programmatic_identity", name)?)),
        _ => {
            let me = client.get("/v1/whoami")?;
            let path = me["principal"].as_str().unwrap_or_default();
            match path.starts_with("user/") {
                true => Ok(Of::Me(format!("/v1/{path}"))),
                false => {
                    let text =
                        format!("{path} is no person who signed in: name a role or an identity");
                    Err(Failure::new(Exit::Usage, printable(&text)))
                }
            }
        }
    }
}

/// Refuses what cannot be an id, since it becomes part of a URL.
fn id(session: &str) -> Result<&str, Failure> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    match !session.is_empty() && session.bytes().all(fits) {
        true => Ok(session),
        false => Err(Failure::new(Exit::Usage, "that is no id of a session")),
    }
}

/// What is told of a person's login sessions in a list.
pub(super) const LOGIN_SESSION: [(&str, &str); 6] = [
    ("id", "/id"),
    ("client", "/client"),
    ("source", "/source"),
    ("created", "/created/at"),
    ("last seen", "/last_seen"),
    ("expires", "/expires_at"),
];

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Command::List { of: name } => match of(name.as_deref(), context)? {
            Of::Identity(url) => {
                let columns = [
                    ("id", "/id"),
                    ("name", "/name"),
                    ("opened by", "/opened_by"),
                    ("issued", "/issued_at"),
                    ("expires", "/expires_at"),
                    ("last used", "/last_used/at"),
                    ("connections", "/connections/count"),
                ];
                context.list(&format!("{url}/session"), &columns)
            }
            Of::Me(url) => {
                let columns = [&LOGIN_SESSION[..], &[("current", "/current")]].concat();
                context.list(&format!("{url}/session"), &columns)
            }
        },
        Command::Describe { of, session } => {
            let url = client.url("programmatic_identity", &of)?;
            let url = format!("{url}/session/{}", id(&session)?);
            context.show(&url)
        }
        Command::Kill { session } => {
            let (name, session) = match &session[..] {
                [name, session] => (Some(name.as_str()), id(session)?),
                [session] if session.starts_with("KWTK") => {
                    let text = format!("whose session is `{session}`?");
                    let hint = format!("keyward session kill role/<id> {session}");
                    return Err(Failure::new(Exit::Usage, printable(&text)).with_hint(hint));
                }
                [session, ..] => (None, id(session)?),
                [] => (None, id("")?),
            };
            let url = match of(name, context)? {
                Of::Identity(url) | Of::Me(url) => url,
            };
            let ended = client.delete(&format!("{url}/session/{session}"))?;
            Ok(output.document(&ended, |_| format!("ended session {session}"))?)
        }
        Command::RevokeBefore { of: name, moment } => {
            let ended = match of(Some(&name), context)? {
                Of::Identity(url) => {
                    let body = match moment {
                        Some(moment) => json!({ "before": super::time("the moment", &moment)? }),
                        None => json!({}),
                    };
                    client.post(&format!("{url}/revoke_sessions"), &body)?
                }
                Of::Me(_) if moment.is_some() => {
                    let text = "of your own sessions all others end: give no moment";
                    return Err(Failure::new(Exit::Usage, text));
                }
                Of::Me(url) => client.delete(&format!("{url}/session"))?,
            };
            let text = |_: &Value| "ended the sessions that were issued before".to_owned();
            Ok(output.document(&ended, text)?)
        }
    }
}
