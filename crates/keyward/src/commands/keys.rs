//! `keyward key`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Context, DryRun};
use crate::failure::{Exit, Failure};
use crate::profile::{self, StoredProfile};

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward key create worker")]
pub(crate) enum Command {
    /// Create an access key and show its secret, once.
    #[command(
        after_help = "Examples:\n  keyward key create worker --description \"night jobs\"\n  keyward \
                      key create worker --save-profile worker"
    )]
    Create {
        /// The identity.
        identity: String,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// Keep the key as a profile of this name instead of showing it, for `--profile NAME`.
        #[arg(long, value_name = "NAME")]
        save_profile: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List the access keys of an identity.
    #[command(
        visible_alias = "ls",
        after_help = "Example:\n  keyward key list worker"
    )]
    List {
        /// The identity.
        identity: String,
    },
    /// Show an access key.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward key describe KWAK…")]
    Describe {
        /// Its id, or full path.
        key: String,
    },
    /// Refuse an access key from now on, without forgetting it.
    #[command(after_help = "Example:\n  keyward key disable KWAK…")]
    Disable {
        /// Its id, or full path.
        key: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Accept an access key again.
    #[command(after_help = "Example:\n  keyward key enable KWAK…")]
    Enable {
        /// Its id, or full path.
        key: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Delete an access key: the next command on any connection that it opened is refused.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward key delete KWAK…"
    )]
    Delete {
        /// Its id, or full path.
        key: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

/// URL path of a key that may be named by its id alone.
fn find(key: &str, context: &Context<'_>) -> Result<String, Failure> {
    if key.contains('/') {
        return context.client.url("access_key", key);
    }
    if !key.bytes().all(|b| b.is_ascii_alphanumeric()) || key.is_empty() {
        return Err(Failure::new(Exit::Usage, "a key is named by its id, KWAK…"));
    }
    let found = context.client.get(&format!("/v1/access_key/{key}"))?;
    let path = found.get("path").and_then(Value::as_str);
    path.map(|path| format!("/v1/{path}"))
        .ok_or_else(|| Failure::new(Exit::Failed, "the server told no path"))
}

/// Keeps a new key as a profile; its secret is shown nowhere.
fn save(name: &str, made: &mut Value, context: &Context<'_>) -> Result<PathBuf, Failure> {
    let take = |field: &str| match made.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(Failure::new(
            Exit::Failed,
            format!("the server told no `{field}`"),
        )),
    };
    let stored = StoredProfile {
        url: context.client.profile().url.clone(),
        access_key_id: take("access_key_id")?,
        secret_access_key: take("secret_access_key")?.into(),
        organisation: None, // the key's own, which the server tells
        ca_file: context.client.profile().ca_file.clone(),
    };
    if let Some(shown) = made.as_object_mut() {
        shown.remove("secret_access_key");
    }
    profile::save(name, stored)
}

fn set_status(
    key: &str,
    status: &str,
    dry_run: DryRun,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let url = dry_run.url(&find(key, context)?);
    let changed = context.client.patch(&url, &json!({ "status": status }))?;
    let what = if status == "active" {
        "enabled"
    } else {
        "disabled"
    };
    dry_run.done(context.output, &changed, what)
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Command::Create {
            identity,
            description,
            save_profile,
            dry_run,
        } => {
            let identity = client.url("programmatic_identity", &identity)?;
            let url = dry_run.url(&format!("{identity}/access_key"));
            let mut made = client.post(&url, &json!({ "description": description }))?;
            if made.get("secret_access_key").is_none() {
                return dry_run.done(output, &made, "created a key for");
            }
            if let Some(name) = save_profile {
                let place = save(&name, &mut made, context)?;
                let text = |made: &Value| {
                    let id = made
                        .get("access_key_id")
                        .and_then(Value::as_str)
                        .unwrap_or("");
                    format!(
                        "created {id}, kept as profile `{name}` in {}",
                        place.display()
                    )
                };
                return Ok(output.document(&made, text)?);
            }
            let text = |made: &Value| {
                let field = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or("");
                format!(
                    "access_key_id      {}\nsecret_access_key  {}\n\n\
                     The secret is not shown again.",
                    field("access_key_id"),
                    field("secret_access_key")
                )
            };
            Ok(output.document(&made, text)?)
        }
        Command::List { identity } => {
            let identity = client.url("programmatic_identity", &identity)?;
            let columns = [
                ("id", "/id"),
                ("status", "/status"),
                ("description", "/description"),
                ("created", "/created/at"),
            ];
            Ok(output.list(&client.items(&format!("{identity}/access_key"))?, &columns)?)
        }
        Command::Describe { key } => Ok(output.entity(&client.get(&find(&key, context)?)?)?),
        Command::Disable { key, dry_run } => set_status(&key, "disabled", dry_run, context),
        Command::Enable { key, dry_run } => set_status(&key, "active", dry_run, context),
        Command::Delete { key, dry_run } => {
            let gone = client.delete(&dry_run.url(&find(&key, context)?))?;
            dry_run.done(output, &gone, "deleted")
        }
    }
}
