//! `keyward acl`: from ACL files of Redis and Valkey, and back.

use std::collections::HashSet;

use keyward_commands::execute_actions;
use keyward_policy::{AclLogin, AclUser, Policy, PolicyKind, read_as};
use serde_json::{Value, json};

use super::Context;
use super::questions::encoded;
use crate::failure::{Exit, Failure};
use crate::output::{Output, cell, note};
use crate::policy_argument;

/// Ids that no identity can have.
const RESERVED: [&str; 4] = ["default", "oidc", "system", "unauthenticated"];

/// Longest id, in bytes.
const MAX_ID: usize = 64;

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward acl import users.acl --database main --plan")]
pub(crate) enum Command {
    /// Make an identity of each user of an ACL file, which may do exactly what the user may.
    #[command(
        long_about = "Make an identity of each user of an ACL file (users.acl, or what ACL LIST prints), \
                      which may do on one database exactly what the user may: the rules stay the \
                      policy, and are decided as the server decides.\n\n\
                      The organisation trusts a group for all commands on the database, and the \
                      group trusts each identity within its rules. Passwords are not taken over. \
                      The user `default` is left out: whoever gives no name is nobody here.",
        after_help = "Examples:
  keyward acl import users.acl --database main --plan
  keyward acl import users.acl --database main --create-keys"
    )]
    Import(Import),
    /// Print ACL rules that never allow more than what an identity may do, or than policies say, and
    /// what they leave out.
    #[command(
        long_about = "Print ACL rules for a server that never allow more than what an identity may do on a \
                      database by all policies, boundaries and guardrails (asks Keyward), or, with --policy, \
                      than documents say (asks nobody). What the rules leave out is told on standard error.\n\n\
                      The rules are of this moment: print them again when policies, tags or names change.",
        after_help = "Examples:
  keyward acl export worker main
  keyward acl export --policy policy.json --database main"
    )]
    Export(Export),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The file, or `-`.
    file: String,
    /// The database that the users are of.
    #[arg(long)]
    database: String,
    /// Id of the group; `acl-` and the database's if left out.
    #[arg(long)]
    group: Option<String>,
    /// Create an access key for each user that is on, and show its secret, once.
    #[arg(long)]
    create_keys: bool,
    /// Say what would be made, and make nothing.
    #[arg(long, visible_alias = "dry-run")]
    plan: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The identity whose rights are meant.
    #[arg(required_unless_present = "policies", conflicts_with = "policies")]
    identity: Option<String>,
    /// The database.
    #[arg(value_name = "DATABASE", required_unless_present = "policies")]
    of_identity: Option<String>,
    /// Instead of an identity: a file, `-`, or JSON; several are read as one list.
    #[arg(long = "policy", value_name = "POLICY", requires = "database")]
    policies: Vec<String>,
    /// With --policy: the database.
    #[arg(long, requires = "policies")]
    database: Option<String>,
    /// With --policy: the organisation that short names are of.
    #[arg(long, default_value = "dev")]
    of: String,
    /// The name of the user; the identity's id, or `exported`, if left out.
    #[arg(long)]
    user: Option<String>,
}

impl Export {
    /// The identity and the database, if the question is about an identity.
    pub(crate) fn of_identity(&self) -> Option<(&str, &str)> {
        Some((self.identity.as_deref()?, self.of_identity.as_deref()?))
    }
}

/// One user, and what becomes of it.
struct Planned {
    name: String,
    id: String,
    user: AclUser,
}

/// What is told about a user's way to log in.
fn notes(login: AclLogin) -> String {
    let mut notes = Vec::new();
    if !login.enabled {
        notes.push("off: no access key is made".to_owned());
    }
    if login.any_password {
        notes.push("nopass: any password was right, from now on a key is needed".to_owned());
    }
    match login.passwords {
        0 => {}
        1 => notes.push("1 password is not taken over".to_owned()),
        count => notes.push(format!("{count} passwords are not taken over")),
    }
    notes.join("; ")
}

/// An id made of a name, and not taken yet.
fn id_of(name: &str, taken: &mut HashSet<String>) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(MAX_ID - 8);
    let slug = slug.trim_matches('-');
    let slug = match slug {
        "" => "user".to_owned(),
        reserved if RESERVED.contains(&reserved) => format!("acl-{reserved}"),
        slug => slug.to_owned(),
    };
    let mut id = slug.clone();
    let mut number = 2;
    while !taken.insert(id.clone()) {
        id = format!("{slug}-{number}");
        number += 1;
    }
    id
}

fn plan(text: &str) -> Result<Vec<Planned>, Failure> {
    let users = AclUser::parse_file(text)
        .map_err(|findings| Failure::new(Exit::Failed, findings.to_string()))?;
    let mut taken = HashSet::new();
    let mut planned = Vec::new();
    for (name, user) in users {
        if name == "default" {
            note(
                "user `default` is left out: whoever gives no name is nobody here, and may do \
                 what the database's own policy gives to `unauthenticated`",
            );
            continue;
        }
        let id = id_of(&name, &mut taken);
        planned.push(Planned { name, id, user });
    }
    Ok(planned)
}

pub(crate) fn import(arguments: &Import, context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    let planned = plan(&policy_argument::text(&arguments.file)?)?;
    let database = client.path("kvdb", &arguments.database)?;
    client.get(&format!("/v1/{database}"))?;
    let database_id = database.rsplit('/').next().unwrap_or("");
    let group = match &arguments.group {
        Some(group) => group.clone(),
        None => format!("acl-{database_id}"),
    };
    // Nothing is made if some identity is there already.
    for user in &planned {
        let url = client.url("programmatic_identity", &user.id)?;
        if client.get(&url).is_ok() {
            let text = format!(
                "user `{}` would become the identity `{}`, which exists: rename the user in the \
                 file, or delete the identity",
                user.name, user.id
            );
            return Err(Failure::new(Exit::Failed, text));
        }
    }
    let mut made = Vec::new();
    let group_path = client.path("group", &group)?;
    if !arguments.plan {
        make_group(&group, &group_path, &database, context)?;
    }
    for user in &planned {
        let login = user.user.login();
        let mut shown = json!({
            "user": user.name, "identity": user.id, "group": group, "database": database,
            "rules": user.user.to_string(), "notes": notes(login),
        });
        if !arguments.plan {
            make_user(user, &group_path, context)?;
            if arguments.create_keys && login.enabled {
                let url = client.url("programmatic_identity", &user.id)?;
                let key = client.post(
                    &format!("{url}/access_key"),
                    &json!({ "description": "imported from an ACL file" }),
                )?;
                for field in ["access_key_id", "secret_access_key"] {
                    shown[field] = key.get(field).cloned().unwrap_or(Value::Null);
                }
            }
        }
        made.push(shown);
    }
    if arguments.plan {
        note("nothing was changed: this is a plan");
    }
    let mut columns = vec![
        ("user", "/user"),
        ("identity", "/identity"),
        ("notes", "/notes"),
    ];
    if arguments.create_keys && !arguments.plan {
        columns.push(("access key", "/access_key_id"));
        columns.push(("secret", "/secret_access_key"));
    }
    Ok(context.output.list(&made, &columns)?)
}

/// The group through which all users of a database reach it, and nothing else.
fn make_group(
    group: &str,
    group_path: &str,
    database: &str,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let client = &context.client;
    let organisation = client.organisation()?;
    if client.get(&format!("/v1/{group_path}")).is_err() {
        let body = json!({ "id": group, "name": Value::Null });
        client.post(&client.collection("group")?, &body)?;
    }
    if client.get(&client.url("trust", group)?).is_ok() {
        return Ok(());
    }
    let document = json!([{
        "Sid": "OneDatabase", "Effect": "Allow", "Actions": ["kvdb:Execute*"], "Resources": [database],
    }]);
    let body = json!({
        "id": group, "trustor": format!("org/{organisation}"), "trustee": group_path,
        "policies": [{ "dialect": "native", "document": document.to_string() }],
    });
    client.post(&client.collection("trust")?, &body)?;
    Ok(())
}

fn make_user(user: &Planned, group_path: &str, context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    let name = (user.name != user.id).then_some(&user.name);
    let made = client.post(
        &client.collection("programmatic_identity")?,
        &json!({ "id": user.id, "name": name }),
    )?;
    let trustee = made.get("path").map(cell).unwrap_or_default();
    client.post(
        &client.collection("trust")?,
        &json!({
            "id": user.id, "trustor": group_path, "trustee": trustee,
            "policies": [{ "dialect": "acl", "document": user.user.to_string() }],
        }),
    )?;
    Ok(())
}

/// What an identity may do, as rules.
pub(crate) fn export_identity(
    arguments: &Export,
    (identity, database): (&str, &str),
    context: &Context<'_>,
) -> Result<(), Failure> {
    let client = &context.client;
    let identity = match identity {
        "unauthenticated" => identity.to_owned(),
        identity => client.path("programmatic_identity", identity)?,
    };
    let database = client.path("kvdb", database)?;
    let of = |path: &str| -> Result<String, Failure> {
        match path
            .strip_prefix("org/")
            .and_then(|rest| rest.split_once('/'))
        {
            Some((organisation, _)) => Ok(organisation.to_owned()),
            None => Ok(client.organisation()?.to_owned()),
        }
    };
    let url = format!(
        "/v1/org/{}/acl_rules?identity={}&database={}",
        encoded(&of(&identity)?),
        encoded(&identity),
        encoded(&database)
    );
    let mut answer = client.get(&url)?;
    let line = answer.get("rules").map(cell).unwrap_or_default();
    let line = match (&arguments.user, line.splitn(3, ' ').nth(2)) {
        (Some(user), Some(rules)) => format!("user {user} {rules}"),
        _ => line,
    };
    answer["rules"] = json!(line);
    let losses = answer.get("losses").and_then(Value::as_array);
    for loss in losses.into_iter().flatten() {
        note(&format!("left out: {}", cell(loss)));
    }
    Ok(context.output.document(&answer, |_| line.clone())?)
}

pub(crate) fn export(arguments: &Export, output: &Output) -> Result<(), Failure> {
    let read = |argument: &String| -> Result<Policy, Failure> {
        let text = policy_argument::document(argument)?;
        read_as(None, &text, PolicyKind::Identity, &arguments.of).map_err(|findings| {
            Failure::new(Exit::Failed, format!("policy `{argument}`: {findings}"))
        })
    };
    let policies: Vec<Policy> = arguments
        .policies
        .iter()
        .map(read)
        .collect::<Result<_, _>>()?;
    let database = match arguments.database.as_deref().unwrap_or_default() {
        full if full.starts_with("org/") => full.to_owned(),
        short => format!(
            "org/{}/kvdb/{}",
            arguments.of,
            short.strip_prefix("kvdb/").unwrap_or(short)
        ),
    };
    let export = AclUser::of_policies(&policies, &database, execute_actions());
    for loss in &export.losses {
        note(&format!("left out: {loss}"));
    }
    let user = arguments.user.as_deref().unwrap_or("exported");
    let line = format!("user {user} {}", export.user);
    let shown = json!({ "rules": line, "losses": export.losses });
    Ok(output.document(&shown, |_| line.clone())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_names() {
        let mut taken = HashSet::new();
        let cases = [
            ("alice", "alice"),
            ("Alice", "alice-2"),
            ("svc_Orders.v2", "svc-orders-v2"),
            ("--x--", "x"),
            ("system", "acl-system"),
            ("Ж", "user"),
        ];
        for (name, expected) in cases {
            assert_eq!(id_of(name, &mut taken), expected, "{name}");
        }
        assert!(id_of(&"a".repeat(500), &mut taken).len() <= MAX_ID);
    }

    #[test]
    fn what_happens_to_logins_is_told() {
        let login = |rules: &str| notes(AclUser::parse(rules).unwrap().login());
        assert_eq!(login("on >a"), "1 password is not taken over");
        assert_eq!(
            login("nopass"),
            "off: no access key is made; nopass: any password was right, from now on a key is needed"
        );
        let planned = plan("user default on nopass +@all ~*\nuser a on >x +get ~a\n").unwrap();
        assert_eq!(planned.len(), 1);
        assert!(!planned[0].user.to_string().contains('>'));
    }
}
