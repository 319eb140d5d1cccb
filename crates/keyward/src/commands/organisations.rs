//! `keyward org`.

use serde_json::{Value, json};

use super::entity::{Creation, Renaming, in_use_by_name};
use super::{Context, DryRun, limits};
use crate::failure::{Exit, Failure};

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward org create partner")]
pub(crate) enum Command {
    /// Create an organisation, owned by the user that owns yours.
    #[command(after_help = "Example:\n  keyward org create partner --name \"Partner Ltd\"")]
    Create(Creation),
    /// List the organisations that you may see.
    #[command(visible_alias = "ls", after_help = "Example:\n  keyward org list")]
    List,
    /// Show an organisation.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward org describe dev")]
    Describe {
        /// Its id; yours if left out.
        id: Option<String>,
    },
    /// Rename an organisation.
    #[command(after_help = "Example:\n  keyward org rename partner \"Partner Ltd\"")]
    Rename(Renaming),
    /// Delete an organisation that has nothing in it.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward org delete partner"
    )]
    Delete {
        /// Its id.
        id: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Move an organisation to another user.
    #[command(after_help = "Example:\n  keyward org transfer partner user/abc")]
    Transfer {
        /// Its id.
        id: String,
        /// Path of the user.
        owner: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Set what holds for the access keys of an organisation; what is left out stays.
    #[command(after_help = "Examples:
  keyward org settings --max-key-lifetime-seconds 7776000
  keyward org settings --max-active-keys 3 --max-key-lifetime-seconds none")]
    Settings {
        /// Id of the organisation; yours if left out.
        id: Option<String>,
        /// Seconds after which a key opens nothing; `none`: no limit.
        #[arg(long, value_name = "SECONDS")]
        max_key_lifetime_seconds: Option<String>,
        /// Active keys of one identity: 1 to 5.
        #[arg(long, value_name = "NUMBER")]
        max_active_keys: Option<u8>,
        /// Also if the key that you use now would open nothing any more.
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// What AWS, Tencent and Alibaba call the organisation: whom its documents in their dialects mean.
    #[command(subcommand)]
    Alias(Alias),
    /// As `keyward guardrail`.
    #[command(subcommand, hide = true)]
    Guardrails(limits::Guardrail),
}

#[derive(Debug, clap::Subcommand)]
#[command(
    after_help = "Example:\n  keyward org alias set --aws-account 123456789012 --aws-region eu-west-1"
)]
pub(crate) enum Alias {
    /// Show the names that hold.
    #[command(visible_aliases = ["get", "list"], after_help = "Example:\n  keyward org alias show")]
    Show {
        /// Id of the organisation; yours if left out.
        id: Option<String>,
    },
    /// Set names; the others stay.
    #[command(
        after_help = "Example:\n  keyward org alias set --tencent-uin 100000000001 --tencent-region ap-shanghai"
    )]
    Set {
        /// Id of the organisation; yours if left out.
        id: Option<String>,
        /// AWS's account: twelve digits.
        #[arg(long, value_name = "ACCOUNT")]
        aws_account: Option<String>,
        /// AWS's region of the databases.
        #[arg(long, value_name = "REGION")]
        aws_region: Option<String>,
        /// What AWS calls a database.
        #[arg(long, value_parser = ["replicationgroup", "serverlesscache", "cluster"])]
        aws_kind: Option<String>,
        /// Tencent's main account.
        #[arg(long, value_name = "UIN")]
        tencent_uin: Option<String>,
        /// Tencent's region of the databases.
        #[arg(long, value_name = "REGION")]
        tencent_region: Option<String>,
        /// Alibaba's account.
        #[arg(long, value_name = "ACCOUNT")]
        alibaba_account: Option<String>,
        /// Alibaba's region of the databases.
        #[arg(long, value_name = "REGION")]
        alibaba_region: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Give all names back: the organisation's own number and the vendors' first regions hold.
    #[command(after_help = "Example:\n  keyward org alias reset")]
    Reset {
        /// Id of the organisation; yours if left out.
        id: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

fn own(id: Option<String>, context: &Context<'_>) -> Result<String, Failure> {
    match id {
        Some(id) => Ok(id),
        None => context.client.organisation().map(str::to_owned),
    }
}

/// Refuses a longest life of keys under which the very key that asks would open nothing any more.
fn check_own_key(seconds: u64, context: &Context<'_>) -> Result<(), Failure> {
    let me = context.client.get("/v1/whoami")?;
    let Some(path) = me["access_key"].as_str() else {
        return Ok(());
    };
    // Who may not look at it learns nothing.
    let Ok(key) = context.client.get(&format!("/v1/{path}")) else {
        return Ok(());
    };
    let made = key["created"]["at"].as_str().and_then(|at| at.parse().ok());
    let Some(made) = made.map(jiff::Timestamp::as_second) else {
        return Ok(());
    };
    let end = made.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
    if end > jiff::Timestamp::now().as_second() {
        return Ok(());
    }
    let text = format!(
        "the key that you use is older than {seconds} seconds and would open nothing any more: \
         nothing was done"
    );
    Err(Failure::new(Exit::Conflict, text).with_hint("use a newer key, sign in, or say --yes"))
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Command::Create(creation) => creation.run("/v1/org", context),
        Command::List => {
            let columns = [
                ("id", "/id"),
                ("name", "/name"),
                ("account", "/account"),
                ("owner", "/owner"),
            ];
            context.list("/v1/org", &columns)
        }
        Command::Describe { id } => {
            let url = client.url("org", &own(id, context)?)?;
            context.show(&url)
        }
        Command::Rename(renaming) => renaming.run("org", context),
        Command::Delete { id, dry_run } => {
            let url = dry_run.url(&client.url("org", &id)?);
            let gone = client.delete(&url).map_err(in_use_by_name)?;
            dry_run.done(output, &gone, "deleted")
        }
        Command::Transfer { id, owner, dry_run } => {
            let url = dry_run.url(&format!("{}/owner", client.url("org", &id)?));
            let changed = client.put(&url, &json!({ "owner": owner }))?;
            dry_run.done(output, &changed, "transferred")
        }
        Command::Settings {
            id,
            max_key_lifetime_seconds,
            max_active_keys,
            yes,
            dry_run,
        } => {
            let url = client.url("org", &own(id, context)?)?;
            let known = client.get(&url)?;
            if max_key_lifetime_seconds.is_none() && max_active_keys.is_none() {
                let text =
                    "nothing to change: give --max-key-lifetime-seconds or --max-active-keys";
                return Err(Failure::new(Exit::Usage, text)
                    .with_hint("`keyward org describe` shows what holds"));
            }
            let lifetime = match max_key_lifetime_seconds.as_deref() {
                None => known["max_key_lifetime_seconds"].clone(),
                Some("none") => Value::Null,
                Some(text) => match text.parse::<u64>() {
                    Ok(seconds) => seconds.into(),
                    Err(_) => {
                        let text = "--max-key-lifetime-seconds is a number, or `none`";
                        return Err(Failure::new(Exit::Usage, text));
                    }
                },
            };
            if let Some(seconds) = lifetime.as_u64().filter(|_| !yes && !dry_run.dry_run) {
                check_own_key(seconds, context)?;
            }
            let active = match max_active_keys {
                Some(number) => number.into(),
                None => known["max_active_keys"].clone(),
            };
            let body = json!({ "max_key_lifetime_seconds": lifetime, "max_active_keys": active });
            let changed = client.put(&dry_run.url(&format!("{url}/key_limits")), &body)?;
            dry_run.done(output, &changed, "set what holds for keys of")
        }
        Command::Alias(command) => alias(command, context),
        Command::Guardrails(command) => limits::guardrail(command, context),
    }
}

fn alias(command: Alias, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    let url = |id: Option<String>| {
        let path = client.url("org", &own(id, context)?)?;
        Ok::<_, Failure>(format!("{path}/aliases"))
    };
    match command {
        Alias::Show { id } => context.show(&url(id)?),
        Alias::Set {
            id,
            aws_account,
            aws_region,
            aws_kind,
            tencent_uin,
            tencent_region,
            alibaba_account,
            alibaba_region,
            dry_run,
        } => {
            let url = url(id)?;
            let mut names = client.get(&url)?["set"].take();
            for (vendor, field, value) in [
                ("aws", "account", aws_account),
                ("aws", "region", aws_region),
                ("aws", "kind", aws_kind),
                ("tencent", "uin", tencent_uin),
                ("tencent", "region", tencent_region),
                ("alibaba", "account", alibaba_account),
                ("alibaba", "region", alibaba_region),
            ] {
                if let Some(value) = value {
                    names[vendor][field] = value.into();
                }
            }
            let changed = client.put(&dry_run.url(&url), &names)?;
            dry_run.done(output, &changed, "set the names of")
        }
        Alias::Reset { id, dry_run } => {
            let changed = client.put(&dry_run.url(&url(id)?), &json!({}))?;
            dry_run.done(output, &changed, "gave back the names of")
        }
    }
}
