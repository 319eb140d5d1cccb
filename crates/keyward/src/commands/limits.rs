//! `keyward boundary` and `keyward guardrail`: policies that grant nothing and limit everything.

use serde_json::{Value, json};

use super::{Context, DryRun};
use crate::failure::{Exit, Failure};
use crate::output::note;
use crate::policy_argument;

/// What makes a list of Denies limit nothing else.
const EVERYTHING: &str = r#"{"Effect":"Allow","Actions":["*"],"Resources":["**"]}"#;

/// The policies of a list, as arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Policies {
    /// Files, `-`, or JSON.
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// A file, `-`, JSON, policy/ID or the name of a policy; may be given several times.
    #[arg(long = "policy", value_name = "POLICY")]
    policies: Vec<String>,
}

impl Policies {
    fn body(&self) -> Result<Value, Failure> {
        let all = [&self.files[..], &self.policies].concat();
        if all.is_empty() {
            return Err(Failure::new(
                Exit::Usage,
                "which policy? give a file or --policy",
            ));
        }
        Ok(json!({ "policies": policy_argument::list(&all)? }))
    }
}

/// Whether none of these policies can allow anything: then everything that they limit is refused.
/// Of policies that are named here the server alone knows what they say.
fn allows_nothing(body: &Value) -> bool {
    let said = |document: &Value| document.as_str().is_some_and(|text| !has_allow(text));
    let policies = body["policies"].as_array();
    policies.is_some_and(|all| all.iter().all(|policy| said(&policy["document"])))
}

/// Whether a document has an Allow, in whatever dialect.
fn has_allow(document: &str) -> bool {
    fn within(value: &Value) -> bool {
        match value {
            Value::Array(list) => list.iter().any(within),
            Value::Object(fields) => fields.iter().any(|(name, value)| {
                let is_effect = name.eq_ignore_ascii_case("effect");
                let allows = |text: &str| text.eq_ignore_ascii_case("allow");
                (is_effect && value.as_str().is_some_and(allows)) || within(value)
            }),
            _ => false,
        }
    }
    match serde_json::from_str::<Value>(document) {
        Ok(document) => within(&document),
        Err(_) => true, // the server tells what is wrong with it, or it is no JSON
    }
}

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  keyward boundary put worker --policy KvdbReadWrite
  keyward boundary put group/readers boundary.json")]
pub(crate) enum Boundary {
    /// Limit what is done by or as an identity: one policy must allow, none may deny.
    #[command(
        visible_alias = "set",
        after_help = "Example:\n  keyward boundary put worker --policy KvdbReadWrite"
    )]
    Put {
        /// The identity: worker, group/readers, org/dev.
        identity: String,
        #[command(flatten)]
        policies: Policies,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Show what limits an identity.
    #[command(visible_aliases = ["get", "describe"], after_help = "Example:\n  keyward boundary show worker")]
    Show {
        /// The identity.
        identity: String,
    },
    /// Take a boundary away.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward boundary delete worker"
    )]
    Delete {
        /// The identity.
        identity: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  keyward guardrail put --policy OwnOrganisationOnly
  keyward --organisation partner guardrail put guardrails.json")]
pub(crate) enum Guardrail {
    /// Bind every request by the organisation's identities and on its resources: one policy must
    /// allow, none may deny.
    #[command(
        visible_alias = "set",
        after_help = "Example:\n  keyward guardrail put guardrails.json --policy OrgAdministrator"
    )]
    Put {
        #[command(flatten)]
        policies: Policies,
        /// Also if they allow nothing: everything is refused then, to you too.
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Show the guardrails of the organisation.
    #[command(visible_aliases = ["get", "describe"], after_help = "Example:\n  keyward guardrail show")]
    Show,
    /// Take the guardrails away.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward guardrail delete"
    )]
    Delete {
        #[command(flatten)]
        dry_run: DryRun,
    },
}

/// Shows a list of policies.
fn show(url: &str, context: &Context<'_>) -> Result<(), Failure> {
    let shown = context.client.get(url)?;
    let text = |shown: &Value| match shown["policies"].as_array() {
        Some(list) if !list.is_empty() => format!("{:#}", shown["policies"]),
        _ => "none".to_owned(),
    };
    Ok(context.output.document(&shown, text)?)
}

pub(crate) fn boundary(command: Boundary, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    let url = |identity: &str| {
        let path = client.url("programmatic_identity", identity)?;
        Ok::<_, Failure>(format!("{path}/boundary"))
    };
    match command {
        Boundary::Put {
            identity,
            policies,
            dry_run,
        } => {
            let body = policies.body()?;
            let changed = client.put(&dry_run.url(&url(&identity)?), &body)?;
            dry_run.done(output, &changed, "set the boundary of")?;
            if allows_nothing(&body) {
                note(
                    "no statement of it allows anything: everything is refused; add an Allow, such as",
                );
                note(EVERYTHING);
            }
            Ok(())
        }
        Boundary::Show { identity } => show(&url(&identity)?, context),
        Boundary::Delete { identity, dry_run } => {
            let changed = client.delete(&dry_run.url(&url(&identity)?))?;
            dry_run.done(output, &changed, "took away the boundary of")
        }
    }
}

pub(crate) fn guardrail(command: Guardrail, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    let url = client.collection("guardrails")?;
    match command {
        Guardrail::Put {
            policies,
            yes,
            dry_run,
        } => {
            let body = policies.body()?;
            if allows_nothing(&body) && !yes {
                let text = "no statement of these allows anything: everything in the organisation \
                            would be refused, to you too; nothing was done";
                let hint = format!("add {EVERYTHING}, or say --yes");
                return Err(Failure::new(Exit::Conflict, text).with_hint(hint));
            }
            let changed = client.put(&dry_run.url(&url), &body)?;
            dry_run.done(output, &changed, "set the guardrails of")
        }
        Guardrail::Show => show(&url, context),
        Guardrail::Delete { dry_run } => {
            let changed = client.delete(&dry_run.url(&url))?;
            dry_run.done(output, &changed, "took away the guardrails of")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_allows_nothing() {
        let cases = [
            ("[]", true),
            (
                r#"[{"Effect":"Deny","Actions":["*"],"Resources":["**"]}]"#,
                true,
            ),
            (
                r#"[{"Effect":"Allow","Actions":["*"],"Resources":["**"]}]"#,
                false,
            ),
            (
                r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow"}}"#,
                false,
            ),
            (
                r#"{"version":"2.0","statement":[{"effect":"allow"}]}"#,
                false,
            ),
            ("+@all ~*", false),
        ];
        for (document, expected) in cases {
            let body = json!({ "policies": [{ "document": document }] });
            assert_eq!(allows_nothing(&body), expected, "{document}");
        }
        let named = json!({ "policies": [{ "document": "[]" }, { "policy": "policy/p" }] });
        assert!(!allows_nothing(&named));
    }
}
