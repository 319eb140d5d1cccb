//! `keyward trust`.

use serde_json::{Map, Value, json};

use super::entity::{exists, is_missing};
use super::{Context, DryRun};
use crate::failure::{Exit, Failure};
use crate::output::note;
use crate::policy_argument;

const KIND: &str = "trust";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:
  keyward trust create worker --policy '[{\"Effect\":\"Allow\",\"Actions\":[\"kvdb:@read\"],\"Resources\":[\"kvdb/*\"]}]'")]
pub(crate) enum Command {
    /// Let an identity act as the organisation, or as another trustor, within policies.
    #[command(after_help = "Examples:
  keyward trust create worker --policy '[{\"Effect\":\"Allow\",\"Actions\":[\"kvdb:Execute*\"],\"Resources\":[\"kvdb/main\"]}]'
  keyward trust create worker --policy policy/read-only
  keyward trust create org/partner/programmatic_identity/reader --id partner-reader --policy read.json
  keyward trust create worker --trustor group/readers
  keyward trust create org/partner/programmatic_identity/reader --id partner --trustor role/reader --conditions '{\"StringEquals\":{\"keyward:ExternalId\":\"4711\"}}'")]
    Create {
        /// The identity that is trusted.
        trustee: String,
        /// A file, `-`, JSON, or policy/ID; may be given several times.
        #[arg(long = "policy", value_name = "POLICY")]
        policies: Vec<String>,
        /// Id of the trust; the identity's if left out.
        #[arg(long)]
        id: Option<String>,
        /// Whose power it gives away; the organisation if left out.
        #[arg(long)]
        trustor: Option<String>,
        /// When it ends, such as 2030-01-01T00:00:00Z.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        /// Only by assuming the trustor; of a role every trust of this kind is.
        #[arg(long)]
        assumable: bool,
        /// Always on, also of a role.
        #[arg(long, conflicts_with = "assumable")]
        standing: bool,
        /// What must hold for it to count: a file, or a `Conditions` object in JSON.
        #[arg(long, value_name = "CONDITIONS")]
        conditions: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Replace the policies or the expiry of a trust; create it if it does not exist.
    #[command(
        visible_alias = "update",
        after_help = "Example:
  keyward trust put worker --policy '[{\"Effect\":\"Allow\",\"Actions\":[\"kvdb:@read\"],\"Resources\":[\"kvdb/main\"]}]'"
    )]
    Put {
        /// Id of the trust, or the identity that is trusted by a trust of its id.
        id: String,
        /// A file, `-`, JSON, or policy/ID; may be given several times.
        #[arg(long = "policy", value_name = "POLICY")]
        policies: Vec<String>,
        /// When it ends; `never` takes the end away.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        /// What must hold for it to count: a file, or a `Conditions` object in JSON; `none` takes
        /// conditions away.
        #[arg(long, value_name = "CONDITIONS")]
        conditions: Option<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List trusts: of the organisation, or all in which an identity is the trustor or the trustee.
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  keyward trust list\n  keyward trust list worker\n  keyward trust list role/deployer"
    )]
    List {
        /// What it may act as, such as its groups, and who may act as it.
        of: Option<String>,
        /// Those instead that trust identities of the organisation, also from others.
        #[arg(long, conflicts_with = "of")]
        incoming: bool,
        /// Only those that wait for their trustee.
        #[arg(long)]
        pending: bool,
    },
    /// List the trusts that wait for you to accept: in yourself, and in identities of your
    /// organisation.
    #[command(
        after_help = "Examples:\n  keyward trust pending\n  keyward -O partner trust pending"
    )]
    Pending,
    /// Decline a trust that waits for its trustee, or leave a role or an organisation.
    #[command(after_help = "Example:\n  keyward trust decline org/dev/trust/partner-reader")]
    Decline {
        /// Its id, or full path.
        id: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Show a trust.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward trust describe worker")]
    Describe {
        /// Its id, or full path.
        id: String,
    },
    /// Accept a trust for its trustee.
    #[command(after_help = "Example:\n  keyward trust accept org/dev/trust/partner-reader")]
    Accept {
        /// Its id, or full path.
        id: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// End a trust.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward trust delete worker"
    )]
    Delete {
        /// Its id, or full path.
        id: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

pub(super) fn done(
    output: &crate::output::Output,
    trust: &Value,
    dry_run: DryRun,
    what: &str,
) -> Result<(), Failure> {
    let waits = trust.get("accepted") == Some(&Value::Bool(false));
    if waits {
        let path = trust.get("path").and_then(Value::as_str).unwrap_or("");
        note(&format!(
            "the trust waits for its trustee: keyward trust accept {path}"
        ));
    }
    dry_run.done(output, trust, what)
}

fn list(incoming: bool, pending: bool, context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    let url = format!("{}?incoming={incoming}", client.collection(KIND)?);
    show(client.items(&url)?, pending, context)
}

/// Lists the trusts that have an identity on one of their sides.
fn list_of(identity: &str, pending: bool, context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    let path = client.path("programmatic_identity", identity)?;
    if path.starts_with("org/") {
        client.get(&format!("/v1/{path}"))?; // a misspelt name is no empty list
    }
    let url = client.collection(KIND)?;
    let mut found = client.items(&url)?;
    found.extend(client.items(&format!("{url}?incoming=true"))?);
    found.retain(|trust| trust["trustor"] == *path || trust["trustee"] == *path);
    found.sort_by_key(|trust| trust["path"].as_str().map(str::to_owned));
    found.dedup_by(|a, b| a["path"] == b["path"]);
    show(found, pending, context)
}

fn show(mut found: Vec<Value>, pending: bool, context: &Context<'_>) -> Result<(), Failure> {
    found.retain(|trust| !pending || trust["accepted"] == false);
    let columns = [
        ("path", "/path"),
        ("trustor", "/trustor"),
        ("trustee", "/trustee"),
        ("kind", "/trust_kind"),
        ("accepted", "/accepted"),
        ("expires", "/expires_at"),
    ];
    Ok(context.output.list(&found, &columns)?)
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Command::Create {
            trustee,
            policies,
            id,
            trustor,
            expires_at,
            assumable,
            standing,
            conditions,
            dry_run,
        } => {
            let trustee = client.path("programmatic_identity", &trustee)?;
            let id = id.unwrap_or_else(|| trustee.rsplit('/').next().unwrap_or("").to_owned());
            let trustor = match trustor {
                Some(trustor) => client.path("group", &trustor)?,
                None => format!("org/{}", client.organisation()?),
            };
            let organisation = trustor.split('/').nth(1).unwrap_or_default().to_owned();
            let expires_at = expires_at.map(|end| super::time("--expires-at", &end));
            let body = json!({
                "id": id, "trustor": trustor, "trustee": trustee,
                "policies": policy_argument::list(&policies)?,
                "expires_at": expires_at.transpose()?,
            });
            let mut body = body;
            if assumable || standing {
                body["kind"] = if assumable { "assumable" } else { "standing" }.into();
            }
            if let Some(conditions) = conditions {
                body["conditions"] = policy_argument::document(&conditions)?.into();
            }
            let url = dry_run.url(&format!("/v1/org/{organisation}/trust"));
            let made = client.post(&url, &body);
            let full = format!("org/{organisation}/trust/{id}");
            let made = made.map_err(|failure| exists(failure, KIND, &full, context))?;
            done(output, &made, dry_run, "created")
        }
        Command::Put {
            id,
            policies,
            expires_at,
            conditions,
            dry_run,
        } => {
            let mut body = Map::new();
            if !policies.is_empty() {
                body.insert("policies".to_owned(), policy_argument::list(&policies)?);
            }
            if let Some(end) = &expires_at {
                let end = (end != "never").then(|| super::time("--expires-at", end));
                let end = end.transpose()?;
                body.insert("expires_at".to_owned(), end.into());
            }
            if let Some(conditions) = &conditions {
                let conditions = match conditions.as_str() {
                    "none" => Value::Null,
                    text => policy_argument::document(text)?.into(),
                };
                body.insert("conditions".to_owned(), conditions);
            }
            if body.is_empty() {
                let text = "nothing to change: give --policy, --conditions or --expires-at";
                return Err(Failure::new(Exit::Usage, text));
            }
            // A path of anything but a trust is that of the trustee.
            let trustee = match id.split('/').rev().nth(1) {
                None | Some("trust") => None,
                Some(_) => Some(client.path("programmatic_identity", &id)?),
            };
            let last = id.rsplit('/').next().unwrap_or_default().to_owned();
            let url = match &trustee {
                Some(_) => client.url(KIND, &last)?,
                None => client.url(KIND, &id)?,
            };
            if !policies.is_empty() && is_missing(&url, context) {
                let create = Command::Create {
                    trustee: trustee.unwrap_or_else(|| last.clone()),
                    policies,
                    id: Some(last),
                    trustor: None,
                    expires_at: expires_at.filter(|end| end != "never"),
                    assumable: false,
                    standing: false,
                    conditions: conditions.filter(|text| text != "none"),
                    dry_run,
                };
                return run(create, context);
            }
            let changed = client.put(&dry_run.url(&url), &Value::Object(body))?;
            done(output, &changed, dry_run, "changed")
        }
        Command::List {
            of: Some(identity),
            pending,
            ..
        } => list_of(&identity, pending, context),
        Command::List {
            incoming, pending, ..
        } => list(incoming, pending, context),
        Command::Pending => {
            // A person's wait for the person, an organisation's identities' for the organisation.
            let me = client.get("/v1/whoami")?;
            let user = me["principal"]
                .as_str()
                .filter(|path| path.starts_with("user/"));
            let Some(user) = user else {
                return list(true, true, context);
            };
            let mut found = client.items(&format!("/v1/{user}/trust"))?;
            if client.profile().organisation.is_some() {
                let url = format!("{}?incoming=true", client.collection(KIND)?);
                match client.items(&url) {
                    Ok(incoming) => found.extend(incoming),
                    // Who is no member yet sees nothing of it, but what waits for the person.
                    Err(failure) if [Exit::Denied, Exit::NotFound].contains(&failure.exit()) => {}
                    Err(failure) => return Err(failure),
                }
            }
            show(found, true, context)
        }
        Command::Decline { id, dry_run } => {
            let url = dry_run.url(&format!("{}/decline", client.url(KIND, &id)?));
            let gone = client.post(&url, &json!({}))?;
            dry_run.done(output, &gone, "declined")
        }
        Command::Describe { id } => context.show(&client.url(KIND, &id)?),
        Command::Accept { id, dry_run } => {
            let url = dry_run.url(&format!("{}/accept", client.url(KIND, &id)?));
            let changed = client.post(&url, &json!({}))?;
            dry_run.done(output, &changed, "accepted")
        }
        Command::Delete { id, dry_run } => {
            let gone = client.delete(&dry_run.url(&client.url(KIND, &id)?))?;
            dry_run.done(output, &gone, "deleted")
        }
    }
}
