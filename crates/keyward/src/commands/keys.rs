//! `keyward key`.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::{Context, DryRun};
use crate::failure::{Exit, Failure};
use crate::output::{cell, note, printable};
use crate::profile::{self, StoredKeyProfile, StoredProfile};

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
        /// When it opens nothing any more, such as 2030-01-01T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        /// Keep the secret, sealed, so that it can sign: AWS signatures, connect tokens.
        #[arg(long)]
        sigv4: bool,
        /// Keep the key as a profile of this name instead of showing it, for `--profile NAME`.
        #[arg(long, value_name = "NAME")]
        save_profile: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Change what a key is for, or when it ends.
    #[command(after_help = "Examples:
  keyward key update KWAK… --description \"night jobs\"
  keyward key update KWAK… --expires-at 2030-01-01T00:00:00Z")]
    Update {
        /// Its id, or full path.
        key: String,
        /// What it is for; an empty one is taken away.
        #[arg(long)]
        description: Option<String>,
        /// When it opens nothing any more; `never` takes the end away.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Replace the key of an identity: first makes a second one and tells who uses the old one, then
    /// with --finish disables the old one.
    #[command(after_help = "Examples:
  keyward key rotate worker
  keyward key rotate worker --finish")]
    Rotate {
        /// The identity.
        identity: String,
        /// Disable the older key, unless it is still used.
        #[arg(long)]
        finish: bool,
        /// Disable it although it is still used.
        #[arg(long, requires = "finish")]
        force: bool,
        /// What the new key is for.
        #[arg(long, conflicts_with = "finish")]
        description: Option<String>,
        /// Keep the new secret, sealed, so that it can sign.
        #[arg(long, conflicts_with = "finish")]
        sigv4: bool,
        /// Keep the new key as a profile of this name instead of showing it.
        #[arg(long, value_name = "NAME", conflicts_with = "finish")]
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

fn no_key_id(found: &str) -> Failure {
    let text = format!("`{found}` is no access key: one is named by its id, KWAK…");
    Failure::new(Exit::Usage, printable(&text))
        .with_hint("`keyward key list <identity>` shows the keys of an identity")
}

/// URL path of a key that may be named by its id alone.
fn find(key: &str, context: &Context<'_>) -> Result<String, Failure> {
    if key.contains('/') {
        return context.client.url("access_key", key);
    }
    if !key.bytes().all(|b| b.is_ascii_alphanumeric()) || key.is_empty() {
        return Err(no_key_id(key));
    }
    if !key.starts_with("KWAK") {
        return Err(no_key_id(key));
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
    let stored = StoredKeyProfile {
        url: context.client.profile().url.clone(),
        access_key_id: take("access_key_id")?,
        secret_access_key: take("secret_access_key")?.into(),
        organisation: None, // the key's own, which the server tells
        ca_file: context.client.profile().ca_file.clone(),
    };
    if let Some(shown) = made.as_object_mut() {
        shown.remove("secret_access_key");
    }
    profile::save(name, StoredProfile::Key(stored))
}

/// What a new key is asked to be. What is not asked for is not said.
fn wanted(
    description: Option<String>,
    expires_at: Option<String>,
    sigv4: bool,
) -> Result<Value, Failure> {
    let mut body = Map::new();
    if let Some(text) = description {
        body.insert("description".to_owned(), text.into());
    }
    if let Some(end) = expires_at {
        let end = super::time("--expires-at", &end)?;
        body.insert("expires_at".to_owned(), end.into());
    }
    if sigv4 {
        body.insert("sigv4".to_owned(), true.into());
    }
    Ok(Value::Object(body))
}

/// The active keys of an identity, oldest first.
fn active(identity: &str, context: &Context<'_>) -> Result<Vec<Value>, Failure> {
    let mut keys = context.client.items(&format!("{identity}/access_key"))?;
    keys.retain(|key| key["status"] == "active");
    keys.sort_by_key(|key| key["created"]["at"].as_str().map(str::to_owned));
    Ok(keys)
}

/// Who uses a key.
fn usage(key: &Value) -> String {
    let id = cell(&key["id"]);
    let mut text = match &key["last_used"] {
        Value::Object(last) => {
            let of = |name: &str| last.get(name).filter(|value| !value.is_null()).map(cell);
            let mut text = format!(
                "{id} was used last at {} from {}",
                of("at").unwrap_or_default(),
                of("source").unwrap_or_default()
            );
            if let Some(database) = of("database") {
                text.push_str(&format!(" on {database}"));
            }
            if let Some(command) = of("command") {
                text.push_str(&format!(" by `{command}`"));
            }
            text
        }
        _ => format!("{id} was not used yet, as far as is known"),
    };
    let sources = key["connections"]["sources"].as_array();
    for source in sources.into_iter().flatten() {
        let (count, address) = (cell(&source["count"]), cell(&source["source"]));
        text.push_str(&format!("\n  open now: {count} from {address}"));
    }
    printable(&text)
}

/// The id of an identity, out of its URL.
fn short(identity: &str) -> &str {
    identity.rsplit('/').next().unwrap_or_default()
}

/// Disables the older of two active keys.
fn finish_rotation(
    identity: &str,
    force: bool,
    dry_run: DryRun,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let keys = active(identity, context)?;
    let [old, _, ..] = &keys[..] else {
        let text = "there is no second active key";
        return Err(Failure::new(Exit::Conflict, text).with_hint(format!(
            "`keyward key rotate {}` makes one",
            short(identity)
        )));
    };
    let open = old["connections"]["count"].as_u64().unwrap_or(0);
    if open > 0 && !force {
        let text = format!(
            "{}\nit stays active: --force ends these connections",
            usage(old)
        );
        return Err(Failure::new(Exit::Conflict, text));
    }
    let path = old["path"].as_str().unwrap_or_default();
    set_status(path, "disabled", dry_run, context)
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
            expires_at,
            sigv4,
            save_profile,
            dry_run,
        } => {
            let identity = client.url("programmatic_identity", &identity)?;
            let url = dry_run.url(&format!("{identity}/access_key"));
            let made = client.post(&url, &wanted(description, expires_at, sigv4)?)?;
            show_new(made, save_profile.as_deref(), dry_run, context)
        }
        Command::Update {
            key,
            description,
            expires_at,
            dry_run,
        } => {
            let mut body = Map::new();
            if let Some(text) = description {
                let text = Some(text).filter(|text| !text.is_empty());
                body.insert("description".to_owned(), text.into());
            }
            if let Some(end) = expires_at {
                let end = (end != "never").then(|| super::time("--expires-at", &end));
                let end = end.transpose()?;
                body.insert("expires_at".to_owned(), end.into());
            }
            if body.is_empty() {
                let text = "nothing to change: give --description or --expires-at";
                return Err(Failure::new(Exit::Usage, text));
            }
            let url = dry_run.url(&find(&key, context)?);
            let changed = client.patch(&url, &Value::Object(body))?;
            dry_run.done(output, &changed, "changed")
        }
        Command::Rotate {
            identity,
            finish,
            force,
            description,
            sigv4,
            save_profile,
            dry_run,
        } => {
            let identity = client.url("programmatic_identity", &identity)?;
            if finish {
                return finish_rotation(&identity, force, dry_run, context);
            }
            let old = active(&identity, context)?;
            let url = dry_run.url(&format!("{identity}/access_key"));
            let made = client.post(&url, &wanted(description, None, sigv4)?);
            let made = made.map_err(|failure| match failure.code() {
                Some("limit") => failure.with_hint(format!(
                    "`keyward key rotate {} --finish` disables the older one",
                    short(&identity)
                )),
                _ => failure,
            })?;
            show_new(made, save_profile.as_deref(), dry_run, context)?;
            for key in &old {
                note(&usage(key));
            }
            note(&format!(
                "give the new key to whoever uses the old one, then: keyward key rotate {} --finish",
                short(&identity)
            ));
            Ok(())
        }
        Command::List { identity } => {
            let identity = client.url("programmatic_identity", &identity)?;
            let columns = [
                ("id", "/id"),
                ("status", "/status"),
                ("description", "/description"),
                ("last used", "/last_used/at"),
                ("from", "/last_used/source"),
                ("database", "/last_used/database"),
                ("command", "/last_used/command"),
                ("connections", "/connections/count"),
                ("expires", "/expires_at"),
                ("created", "/created/at"),
            ];
            context.list(&format!("{identity}/access_key"), &columns)
        }
        Command::Describe { key } => context.show(&find(&key, context)?),
        Command::Disable { key, dry_run } => set_status(&key, "disabled", dry_run, context),
        Command::Enable { key, dry_run } => set_status(&key, "active", dry_run, context),
        Command::Delete { key, dry_run } => {
            let gone = client.delete(&dry_run.url(&find(&key, context)?))?;
            dry_run.done(output, &gone, "deleted")
        }
    }
}

/// Shows a new key, once, or keeps it as a profile.
fn show_new(
    mut made: Value,
    save_profile: Option<&str>,
    dry_run: DryRun,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let output = context.output;
    if made.get("secret_access_key").is_none() {
        return dry_run.done(output, &made, "created a key for");
    }
    if let Some(name) = save_profile {
        let place = save(name, &mut made, context)?;
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
