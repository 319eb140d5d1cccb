//! `keyward policy`.

use keyward_policy::{Dialect, Effect, PolicyKind};
use serde_json::{Value, json};

use super::entity::{Renaming, exists, in_use, is_missing};
use super::policy_check::DialectName;
use super::{Context, DryRun, policy_check, policy_diff, policy_translate};
use crate::failure::{Exit, Failure};
use crate::output::{entity_text, printable};
use crate::policy_argument;

const KIND: &str = "policy";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward policy check policy.json")]
pub(crate) enum Command {
    Check(policy_check::Arguments),
    Diff(policy_diff::Arguments),
    /// Write a document in another dialect, without a server.
    Translate(policy_translate::Arguments),
    /// Create a named policy.
    #[command(after_help = "Examples:
  keyward policy create read-only read-only.json
  keyward policy create read-only --policy '[{\"Effect\":\"Allow\",\"Actions\":[\"kvdb:@read\"],\"Resources\":[\"kvdb/*\"]}]'")]
    Create {
        /// Its id, for ever: a-z, 0-9 and -.
        id: String,
        #[command(flatten)]
        document: Document,
        #[command(flatten)]
        dialect: InDialect,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Add a version and make it the default; create the policy if it does not exist.
    #[command(
        visible_alias = "update",
        after_help = "Example:\n  keyward policy put read-only read-only.json"
    )]
    Put {
        /// Its id.
        id: String,
        #[command(flatten)]
        document: Document,
        #[command(flatten)]
        dialect: InDialect,
        /// Only add it: the default stays.
        #[arg(long)]
        no_default: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Rename a policy.
    #[command(after_help = "Example:\n  keyward policy rename read-only ReadOnly")]
    Rename(Renaming),
    /// List the versions: who made each, and when.
    #[command(after_help = "Example:\n  keyward policy versions read-only")]
    Versions {
        /// Its id.
        id: String,
    },
    /// Make an existing version the default: roll back or forward.
    #[command(
        visible_alias = "set-default",
        after_help = "Example:\n  keyward policy set-default read-only 1"
    )]
    DefaultVersion {
        /// Its id.
        id: String,
        /// Which version, from 1.
        version: u32,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Make an earlier version the default again.
    #[command(after_help = "Example:\n  keyward policy rollback read-only")]
    Rollback {
        /// Its id.
        id: String,
        /// Which version; the one before the default if left out.
        version: Option<u32>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Delete a version that is not the default.
    #[command(after_help = "Example:\n  keyward policy delete-version read-only 1")]
    DeleteVersion {
        /// Its id.
        id: String,
        /// Which version.
        version: u32,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List named policies: the organisation's and the system's.
    #[command(visible_alias = "ls", after_help = "Example:\n  keyward policy list")]
    List {
        /// The organisation's alone.
        #[arg(long)]
        own: bool,
    },
    /// Show a named policy with its text.
    #[command(visible_aliases = ["get", "info", "show"], after_help = "Examples:
  keyward policy describe read-only
  keyward policy describe read-only --version 1
  keyward policy describe KvdbReadOnly")]
    Describe {
        /// Its id, or the name of a policy of the system.
        id: String,
        /// One version alone.
        #[arg(long = "version", value_name = "VERSION")]
        number: Option<u32>,
    },
    /// Attach a policy to a trust, by reference.
    #[command(after_help = "Example:\n  keyward policy attach KvdbReadOnly --trust worker")]
    Attach {
        /// Its id or path, or the name of a policy of the system.
        policy: String,
        /// Id of the trust.
        #[arg(long)]
        trust: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Detach a policy from a trust.
    #[command(after_help = "Example:\n  keyward policy detach KvdbReadOnly --trust worker")]
    Detach {
        /// Its id or path, or the name of a policy of the system.
        policy: String,
        /// Id of the trust.
        #[arg(long)]
        trust: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List the trusts, boundaries and guardrails that carry a policy.
    #[command(after_help = "Example:\n  keyward policy entities KvdbReadOnly")]
    Entities {
        /// Its id or path, or the name of a policy of the system.
        policy: String,
    },
    /// Delete a named policy that nothing carries.
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  keyward policy delete read-only\n  keyward policy delete read-only --cascade"
    )]
    Delete {
        /// Its id.
        id: String,
        /// Take it from the trusts that carry it first, if none of them gives more without it.
        #[arg(long)]
        cascade: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

/// A document as an argument.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Document {
    /// A file, `-`, or JSON.
    #[arg(value_name = "FILE")]
    file: Option<String>,
    /// The same, as an option.
    #[arg(long = "policy")]
    policy: Option<String>,
}

/// The dialect of a document as an argument.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct InDialect {
    /// The dialect it is written in; told by its form if left out.
    #[arg(long, value_enum)]
    dialect: Option<DialectName>,
}

impl InDialect {
    fn name(self) -> Option<&'static str> {
        self.dialect.map(|dialect| dialect.dialect().name())
    }
}

impl Document {
    fn text(&self) -> Result<String, Failure> {
        let argument = self.file.as_ref().or(self.policy.as_ref());
        policy_argument::document(argument.map_or("-", |argument| argument))
    }
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        // These run without a server: see `policy_check`, `policy_diff` and `policy_translate`.
        Command::Check(_) | Command::Diff(_) | Command::Translate(_) => Ok(()),
        Command::Create {
            id,
            document,
            dialect,
            name,
            dry_run,
        } => {
            let body = json!({
                "id": id, "name": name, "document": document.text()?, "dialect": dialect.name(),
            });
            let made = client.post(&dry_run.url(&client.collection(KIND)?), &body);
            let made = made.map_err(|failure| exists(failure, KIND, &id, context))?;
            dry_run.done(output, &made, "created")
        }
        Command::Put {
            id,
            document,
            dialect,
            no_default,
            dry_run,
        } => {
            let url = client.url(KIND, &id)?;
            let (text, dialect) = (document.text()?, dialect.name());
            if !no_default && is_missing(&url, context) {
                let body = json!({ "id": id, "document": text, "dialect": dialect });
                let made = client.post(&dry_run.url(&client.collection(KIND)?), &body)?;
                return dry_run.done(output, &made, "created");
            }
            let body = json!({ "document": text, "dialect": dialect, "default": !no_default });
            let changed = client.put(&dry_run.url(&url), &body)?;
            dry_run.done(output, &changed, "changed")
        }
        Command::Rename(renaming) => renaming.run(KIND, context),
        Command::Versions { id } => {
            let columns = [
                ("version", "/version"),
                ("default", "/default"),
                ("dialect", "/dialect"),
                ("created", "/created/at"),
                ("by", "/created/by"),
            ];
            Ok(output.list(&versions(&id, context)?, &columns)?)
        }
        Command::DefaultVersion {
            id,
            version,
            dry_run,
        } => set_default(&id, version, dry_run, context),
        Command::Rollback {
            id,
            version,
            dry_run,
        } => {
            let version = match version {
                Some(version) => version,
                None => previous(&versions(&id, context)?)?,
            };
            set_default(&id, version, dry_run, context)
        }
        Command::DeleteVersion {
            id,
            version,
            dry_run,
        } => {
            let url = format!("{}/versions/{version}", client.url(KIND, &id)?);
            let changed = client.delete(&dry_run.url(&url))?;
            dry_run.done(output, &changed, &format!("deleted version {version} of"))
        }
        Command::List { own } => {
            let columns = [
                ("id", "/id"),
                ("name", "/name"),
                ("path", "/path"),
                ("default version", "/default_version"),
                ("created", "/created/at"),
            ];
            let mut all = client.items(&client.collection(KIND)?)?;
            if !own {
                all.extend(client.items("/v1/policy/system")?);
            }
            Ok(output.list(&all, &columns)?)
        }
        Command::Describe { id, number } => {
            let url = client.url(KIND, &id)?;
            match number {
                Some(number) => {
                    let shown = client.get(&format!("{url}/versions/{number}"))?;
                    Ok(output.document(&shown, |shown| document_text(&shown["document"]))?)
                }
                None => Ok(output.document(&client.get(&url)?, describe)?),
            }
        }
        Command::Attach {
            policy,
            trust,
            dry_run,
        } => {
            let url = dry_run.url(&format!("{}/attach", client.url("trust", &trust)?));
            let body = json!({ "policy": client.path(KIND, &policy)? });
            dry_run.done(output, &client.post(&url, &body)?, "attached it to")
        }
        Command::Detach {
            policy,
            trust,
            dry_run,
        } => {
            let url = dry_run.url(&format!("{}/detach", client.url("trust", &trust)?));
            let body = json!({ "policy": client.path(KIND, &policy)? });
            dry_run.done(output, &client.post(&url, &body)?, "detached it from")
        }
        Command::Entities { policy } => {
            let mut url = format!("{}/entities", client.url(KIND, &policy)?);
            if url.starts_with("/v1/policy/") {
                url = format!("{url}?organisation={}", client.organisation()?);
            }
            let columns = [
                ("as", "/as"),
                ("path", "/path"),
                ("trustor", "/trustor"),
                ("trustee", "/trustee"),
            ];
            context.list(&url, &columns)
        }
        Command::Delete {
            id,
            cascade,
            dry_run,
        } => {
            if cascade {
                detach_everywhere(&id, dry_run, context)?;
                if dry_run.dry_run {
                    return Ok(()); // it would still be carried
                }
            }
            let url = dry_run.url(&client.url(KIND, &id)?);
            let gone = client.delete(&url).map_err(in_use)?;
            dry_run.done(output, &gone, "deleted")
        }
    }
}

/// Takes a policy from every trust that carries it; from none if that could give more to anybody, or
/// if something else carries it.
fn detach_everywhere(id: &str, dry_run: DryRun, context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    let path = client.path(KIND, id)?;
    let carriers = client.items(&format!("/v1/{path}/entities"))?;
    if carriers.is_empty() {
        return Ok(());
    }
    let denies = has_deny(&client.get(&format!("/v1/{path}"))?);
    let (mut trusts, mut stays) = (Vec::new(), Vec::new());
    for carrier in &carriers {
        let of = carrier["path"].as_str().unwrap_or_default();
        if carrier["as"] != "trust" || denies {
            stays.push(of);
            continue;
        }
        let trust = client.get(&format!("/v1/{of}"))?;
        // Without a policy a standing trust passes nothing on, every other one everything.
        let others = trust["policies"].as_array().map_or(0, Vec::len);
        match others > 1 || trust["trust_kind"] == "standing" {
            true => trusts.push(of),
            false => stays.push(of),
        }
    }
    if !stays.is_empty() {
        let why = match denies {
            true => "it has a Deny, without which these give more",
            false => "these are limited by it",
        };
        let text = format!(
            "`{path}` stays: {why}: {}; nothing was done",
            stays.join(", ")
        );
        return Err(Failure::new(Exit::Conflict, printable(&text)));
    }
    for trust in trusts {
        let url = dry_run.url(&format!("/v1/{trust}/detach"));
        let changed = client.post(&url, &json!({ "policy": path }))?;
        dry_run.done(context.output, &changed, "detached it from")?;
    }
    Ok(())
}

/// Whether the default version of a policy has a Deny; also if it cannot be read.
fn has_deny(policy: &Value) -> bool {
    let versions = policy["versions"].as_array();
    let mut versions = versions.into_iter().flatten();
    let default = versions.find(|version| version["version"] == policy["default_version"]);
    let text = match default.map(|version| &version["document"]) {
        Some(Value::String(text)) => text.clone(),
        Some(document) => document.to_string(),
        None => return true,
    };
    let dialect = default.and_then(|version| version["dialect"].as_str());
    let dialect = dialect.and_then(Dialect::by_name);
    let organisation = policy["path"]
        .as_str()
        .and_then(|path| path.split('/').nth(1));
    let organisation = organisation.unwrap_or_default();
    let read = keyward_policy::read_as(dialect, &text, PolicyKind::Identity, organisation);
    read.map_or(true, |policy| {
        let mut statements = policy.statements().iter();
        statements.any(|statement| statement.effect == Effect::Deny)
    })
}

fn versions(id: &str, context: &Context<'_>) -> Result<Vec<Value>, Failure> {
    let client = &context.client;
    client.items(&format!("{}/versions", client.url(KIND, id)?))
}

/// The version before the default one.
fn previous(versions: &[Value]) -> Result<u32, Failure> {
    let before = versions
        .iter()
        .take_while(|version| version["default"] != true);
    let number = before
        .last()
        .and_then(|version| version["version"].as_u64());
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| {
        let text = "there is no version before the default one; see `keyward policy versions`";
        Failure::new(Exit::NotFound, text)
    })
}

fn set_default(
    id: &str,
    version: u32,
    dry_run: DryRun,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let client = &context.client;
    let url = dry_run.url(&format!("{}/default_version", client.url(KIND, id)?));
    let changed = client.post(&url, &json!({ "version": version }))?;
    let what = format!("made version {version} the default of");
    dry_run.done(context.output, &changed, &what)
}

/// A document as people read it: text as it is, JSON in lines.
fn document_text(document: &Value) -> String {
    match document {
        Value::String(text) => printable(text),
        json => format!("{json:#}"),
    }
}

/// The fields of a policy, and the text of its default version.
fn describe(policy: &Value) -> String {
    let mut fields = policy.clone();
    let versions = fields
        .as_object_mut()
        .and_then(|fields| fields.remove("versions"));
    let versions = versions.as_ref().and_then(Value::as_array);
    let mut versions = versions.into_iter().flatten();
    let default = versions.find(|version| version["version"] == policy["default_version"]);
    let document = default.map(|version| document_text(&version["document"]));
    format!("{}{}", entity_text(&fields), document.unwrap_or_default())
}
