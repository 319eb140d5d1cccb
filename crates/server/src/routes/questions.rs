//! Questions about a whole organisation: who can do this, what can this identity do.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use keyward_commands::{ActionId, ChannelRule};
use keyward_iam::{
    AccessGroup, AclLoss, Asked, AskedAbout, ContextNames, Escalation, EscalationStep, Exception,
    Holder, OpenCondition, PathParts, ResourceAccess, Session, StatementRef, Way, full_path,
};
use keyward_policy::{Glob, KeyPatterns};
use serde_json::{Map, Value, json};

use super::{Endpoint, Target, get};
use crate::api::Call;
use crate::problem::Problem;
use crate::query::Query;
use crate::show::{self, Detail};

const CONTEXT: (&str, &str, &str) = (
    "context",
    "string",
    "`key=value` of connection, session or moment; may be given several times. What is not given is left open",
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/v1/org/{organisation}/who_can", who_can)
            .tells(
                "Lists the identities that can do something to a resource of the organisation, each with how.",
                "iam:Simulate on the organisation",
            )
            .asks(&[
                ("command", "string", "name of a command, as `GET` or `CONFIG GET`; or `action`"),
                ("action", "string", "name of an action"),
                ("resource", "string", "the database, or what the action is on"),
                ("key", "string", "a key, or a channel, of the command; may be given several times"),
                CONTEXT,
            ])
            .lists(),
        get("/v1/org/{organisation}/access", access)
            .tells(
                "Shows everything that an identity can do, by resource, risk and key pattern.",
                "iam:Simulate on the identity",
            )
            .asks(&[("identity", "string", "the identity, or `unauthenticated`"), CONTEXT]),
        get("/v1/org/{organisation}/acl_rules", acl_rules)
            .tells(
                "Shows what an identity may do on a database as ACL rules of a server that never allow more, and what they leave out.",
                "iam:Simulate on the identity",
            )
            .asks(&[
                ("identity", "string", "the identity, or `unauthenticated`"),
                ("database", "string", "the database"),
            ]),
        get("/v1/org/{organisation}/escalation", escalation).tells(
            "Lists the identities that can become more than they are, each step with what allows it.",
            "iam:Simulate on the organisation",
        )
        .lists(),
    ]
}

type Parameters = Query<Vec<(String, String)>>;

/// The only value of a parameter.
fn one<'a>(parameters: &'a [(String, String)], name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = parameters.iter().filter(|(found, _)| found == name);
    let value = values.next().map(|(_, value)| value.as_str());
    match values.next() {
        None => Ok(value),
        Some(_) => Err(Problem::malformed(format!("`{name}` is given twice"))),
    }
}

/// Refuses parameters that mean nothing here.
fn known(parameters: &[(String, String)], names: &[&str]) -> Result<(), Problem> {
    match parameters
        .iter()
        .find(|(name, _)| !names.contains(&name.as_str()))
    {
        None => Ok(()),
        Some((name, _)) => {
            let shown: String = name.chars().take(64).collect();
            Err(Problem::malformed(format!("unknown parameter `{shown}`")))
        }
    }
}

/// What is known of the request: `context=key=value`.
fn context(parameters: &[(String, String)]) -> Result<Vec<keyward_iam::KnownValue>, Problem> {
    let mut known: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
    for (_, text) in parameters.iter().filter(|(name, _)| name == "context") {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Problem::malformed(
                "`context` is given as `key=value`".to_owned(),
            ));
        };
        let value = value.as_bytes().to_vec();
        match known.iter_mut().find(|(name, _)| name == key) {
            Some((_, values)) => values.push(value),
            None => known.push((key.to_owned(), vec![value])),
        }
    }
    Ok(known)
}

/// The action that was asked about.
fn action(parameters: &[(String, String)]) -> Result<ActionId, Problem> {
    let refuse = |text: String| Err(Problem::invalid(text));
    match (one(parameters, "command")?, one(parameters, "action")?) {
        (Some(command), None) => {
            let words: Vec<&[u8]> = command
                .split_ascii_whitespace()
                .map(str::as_bytes)
                .collect();
            match keyward_commands::resolve(&words) {
                Ok(id) if id.command().name_words() == words.len() => Ok(id.action()),
                Ok(id) => refuse(format!(
                    "`{command}` is more than the name of a command: its keys are parameters of \
                     their own, and `{}` alone is the command",
                    id.command().name.replace('|', " ").to_uppercase()
                )),
                Err(error) => refuse(format!("`{command}`: {error}")),
            }
        }
        (None, Some(name)) => match keyward_commands::action(name) {
            Some(action) => Ok(action),
            None => match keyward_commands::action_pattern(name) {
                Err(error) => refuse(error.to_string()),
                Ok(_) => refuse(format!("`{name}` is a pattern; a question has one action")),
            },
        },
        _ => refuse("a question has `command` or `action`".to_owned()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        Problem::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the question failed inside Keyward",
        )
    })
}

async fn who_can(
    call: Call,
    target: Target,
    Query(parameters): Parameters,
) -> Result<Response, Problem> {
    known(
        &parameters,
        &[
            "command", "action", "resource", "key", "context", "limit", "cursor",
        ],
    )?;
    let organisation = target.of("who_can").to_owned();
    call.list("iam:Simulate", &organisation)?;
    let action = action(&parameters)?;
    let resource = one(&parameters, "resource")?
        .ok_or_else(|| Problem::invalid("a question has a `resource`"))?;
    let resource = full_path(resource, target.organisation());
    let inside = resource == organisation || resource.starts_with(&format!("{organisation}/"));
    let exists = !matches!(
        call.directory.entity(&resource),
        None | Some(keyward_iam::Entity::Tombstone)
    );
    if !inside || !exists {
        return Err(Problem::not_found(&resource));
    }
    let mut names = ContextNames::default();
    let given = parameters.iter().filter(|(name, _)| name == "key");
    let given: Vec<Vec<u8>> = given.map(|(_, key)| key.as_bytes().to_vec()).collect();
    let any_call = given.is_empty();
    let channels = action.command().is_some_and(|id| {
        let command = id.command();
        command.channels != ChannelRule::None && command.key_specs.is_empty()
    });
    if channels {
        names.channels = given;
    } else {
        names.keys = given;
    }
    let asked = Asked {
        action,
        resource: resource.clone(),
        about: if any_call {
            AskedAbout::AnyCall
        } else {
            AskedAbout::Names(names)
        },
        administration: call.api.allow_administration,
        known: context(&parameters)?,
    };
    let (directory, now) = (Arc::clone(&call.directory), call.now);
    let answer = blocking(move || directory.who_can(&asked, now)).await?;
    let mut more = Map::new();
    more.insert("action".to_owned(), action.name().into());
    more.insert("resource".to_owned(), resource.into());
    more.insert("everyone".to_owned(), answer.everyone.into());
    more.insert("nobody_because".to_owned(), json!(answer.nobody_because));
    more.insert("truncated".to_owned(), answer.truncated.into());
    let holders = answer.holders.iter().enumerate();
    let holders: BTreeMap<String, &Holder> = holders
        .map(|(at, holder)| (format!("{} {at:08}", holder.identity), holder))
        .collect();
    Ok(call.list_with(holders, |_, found| Some(holder(found)), more))
}

/// The identity that a question is about, as far as the caller may ask about it.
fn asked_identity(
    call: &Call,
    target: &Target,
    organisation: &str,
    parameters: &[(String, String)],
) -> Result<(String, Session), Problem> {
    let identity = one(parameters, "identity")?
        .ok_or_else(|| Problem::invalid("a question has an `identity`"))?;
    let identity = full_path(identity, target.organisation());
    let session = Session::of_path(&call.directory, &identity);
    if session.as_ref().is_some_and(Session::is_unauthenticated) {
        call.list("iam:Simulate", organisation)?;
    } else {
        call.read("iam:Simulate", &identity)?;
    }
    let session = session.ok_or_else(|| Problem::not_found(&identity))?;
    Ok((identity, session))
}

async fn acl_rules(
    call: Call,
    target: Target,
    Query(parameters): Parameters,
) -> Result<Response, Problem> {
    known(&parameters, &["identity", "database"])?;
    let organisation = target.of("acl_rules").to_owned();
    let (identity, session) = asked_identity(&call, &target, &organisation, &parameters)?;
    let database = one(&parameters, "database")?
        .ok_or_else(|| Problem::invalid("a question has a `database`"))?;
    let database = full_path(database, target.organisation());
    let own = call.own_organisation();
    let inside = PathParts::of(&database).and_then(|parts| parts.organisation) == own.as_deref();
    let whole = call.allows("iam:ExplainDecision", &database);
    let found = call.directory.database_at(&database);
    let ix = found
        .filter(|_| inside || whole)
        .ok_or_else(|| Problem::not_found(&database))?;
    let (directory, now) = (Arc::clone(&call.directory), call.now);
    let rules = blocking(move || directory.acl_rules(&session, ix, now)).await?;
    let detail = if whole {
        Detail::Whole
    } else {
        Detail::Own(own.as_deref())
    };
    let loss = |loss: &AclLoss| match &loss.statement {
        Some(statement) if detail.tells(statement) => {
            format!("{} {}", statement.describe(), loss.text)
        }
        Some(_) => format!("a policy of another organisation {}", loss.text),
        None => loss.text.clone(),
    };
    let user = identity.rsplit('/').next().unwrap_or(&identity);
    Ok(axum::Json(json!({
        "identity": identity,
        "database": database,
        "rules": format!("user {user} {}", rules.user),
        "losses": rules.losses.iter().map(loss).collect::<Vec<_>>(),
    }))
    .into_response())
}

async fn access(
    call: Call,
    target: Target,
    Query(parameters): Parameters,
) -> Result<Response, Problem> {
    known(&parameters, &["identity", "context"])?;
    let organisation = target.of("access").to_owned();
    let (identity, session) = asked_identity(&call, &target, &organisation, &parameters)?;
    let (directory, now) = (Arc::clone(&call.directory), call.now);
    let administration = call.api.allow_administration;
    let asked = session.clone();
    let context = context(&parameters)?;
    let found = blocking(move || directory.access(&asked, &context, administration, now)).await?;
    let own = call.own_organisation();
    let show = |list: &[ResourceAccess]| -> Vec<Value> {
        list.iter()
            .filter(|found| {
                // Of nobody in particular: what the organisation itself gives away.
                !session.is_unauthenticated()
                    || found
                        .resources
                        .iter()
                        .all(|path| path.starts_with(&format!("{organisation}/")))
            })
            .map(|found| {
                let told = found.resources.iter().all(|resource| {
                    let of = PathParts::of(resource).and_then(|parts| parts.organisation);
                    of == own.as_deref() || call.allows("iam:ExplainDecision", resource)
                });
                let detail = if told {
                    Detail::Whole
                } else {
                    Detail::Own(own.as_deref())
                };
                resource_access(found, detail)
            })
            .collect()
    };
    Ok(axum::Json(json!({
        "identity": identity,
        "databases": show(&found.databases),
        "others": show(&found.others),
        "truncated": found.truncated,
    }))
    .into_response())
}

async fn escalation(call: Call, target: Target) -> Result<Response, Problem> {
    let organisation = target.of("escalation").to_owned();
    call.list("iam:Simulate", &organisation)?;
    let (directory, now) = (Arc::clone(&call.directory), call.now);
    let administration = call.api.allow_administration;
    let id = target.organisation().to_owned();
    let answer = blocking(move || directory.escalations(&id, administration, now)).await?;
    let own = Detail::Own(Some(target.organisation()));
    let shown = |found: &Escalation| {
        json!({
            "identity": found.identity,
            "means": found.means,
            "conditions": found.conditions(),
            "steps": found.steps.iter().map(|found| step(found, own)).collect::<Vec<_>>(),
            "gain": found.gain.as_ref().map(|gain| json!({
                "action": gain.action,
                "resource": gain.resource,
                "key": gain.key.as_ref().map(|key| String::from_utf8_lossy(key)),
                "by": gain.by,
                "conditions": gain.when.words,
            })),
        })
    };
    let mut more = Map::new();
    more.insert("truncated".to_owned(), answer.truncated.into());
    // The ways of one identity stay together, in the order in which they were found.
    let found = answer.found.iter().enumerate();
    let found: BTreeMap<String, &Escalation> = found
        .map(|(at, found)| (format!("{} {at:08}", found.identity), found))
        .collect();
    Ok(call.list_with(found, |_, found| Some(shown(found)), more))
}

fn step(found: &EscalationStep, detail: Detail<'_>) -> Value {
    let needs = found
        .needs
        .iter()
        .map(|(action, resource)| json!({ "action": action, "resource": resource }));
    let statements = found.statements.iter().filter(|s| detail.tells(s));
    json!({
        "by": found.by,
        "needs": needs.collect::<Vec<_>>(),
        "statements": statements.map(show::statement).collect::<Vec<_>>(),
        "text": found.text,
        "opens": found.opens,
        "conditions": found.when.words,
    })
}

fn holder(holder: &Holder) -> Value {
    json!({
        "identity": holder.identity,
        "always": holder.always,
        "only": holder.only,
        "ways": holder.ways.iter().map(|found| way(found, Detail::Whole)).collect::<Vec<_>>(),
        "more_ways": holder.more_ways,
        "assumed_by": holder.assumed_by.iter().map(|by| json!({
            "identity": by.identity,
            "always": by.always,
            "ways": by.ways.iter().map(|found| way(found, Detail::Whole)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}

fn resource_access(found: &ResourceAccess, detail: Detail<'_>) -> Value {
    let group = |group: &AccessGroup| {
        json!({
            "risk": group.risk,
            "actions": group.actions,
            "complete": group.complete,
            "way": way(&group.way, detail),
        })
    };
    json!({
        "resources": found.resources,
        "connects": found.connects,
        "groups": found.groups.iter().map(group).collect::<Vec<_>>(),
        "truncated": found.truncated,
    })
}

fn way(found: &Way, detail: Detail<'_>) -> Value {
    let told = |statement: &StatementRef| detail.tells(statement);
    let exception = |exception: &Exception| {
        json!({
            "statement": show::statement(&exception.statement),
            "keys": exception.keys.as_ref().map(key_patterns),
            "conditions": conditions(&exception.conditions),
        })
    };
    let statements = found.statements.iter().filter(|s| told(s));
    let exceptions = found.exceptions.iter().filter(|e| told(&e.statement));
    json!({
        "chain": found.chain,
        "statements": statements.map(show::statement).collect::<Vec<_>>(),
        "keys": found.keys.iter().map(key_patterns).collect::<Vec<_>>(),
        "conditions": conditions(&found.conditions),
        "exceptions": exceptions.map(exception).collect::<Vec<_>>(),
        "left_out": found.left_out,
    })
}

fn conditions(found: &[OpenCondition]) -> Value {
    let one = |condition: &OpenCondition| {
        json!({
            "operator": condition.operator,
            "key": condition.key,
            "values": condition.values,
        })
    };
    found.iter().map(one).collect()
}

fn key_patterns(keys: &KeyPatterns) -> Value {
    let globs = |list: &[Glob]| -> Vec<String> {
        list.iter()
            .map(|glob| String::from_utf8_lossy(glob.text()).into_owned())
            .collect()
    };
    json!({
        "keys": globs(&keys.keys),
        "read_keys": globs(&keys.read_keys),
        "write_keys": globs(&keys.write_keys),
        "channels": globs(&keys.channels),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_about() {
        let of = |name: &str, value: &str| {
            let found = action(&[(name.to_owned(), value.to_owned())]);
            found.ok().map(ActionId::name)
        };
        let cases = [
            ("command", "GET", Some("kvdb:ExecuteGet")),
            ("command", "config  get", Some("kvdb:ExecuteConfigGet")),
            ("command", "config", None),
            ("command", "get a", None),
            ("command", "nope", None),
            ("command", "", None),
            ("action", "kvdb:Delete", Some("kvdb:Delete")),
            ("action", "kvdb:*", None),
            ("action", "kvdb:delete", None),
            ("word", "GET", None),
        ];
        for (name, value, expected) in cases {
            assert_eq!(of(name, value), expected, "{name}={value}");
        }
    }
}
