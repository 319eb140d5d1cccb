//! The calls of the API that do what a plan says, in the order in which they can be made.

use keyward_policy::Dialect;
use serde_json::{Map, Value, json};

use super::entity::{self, Entity};
use super::plan::{Action, FieldChange, Plan, Step};

/// When a call is made: what is referred to first, what limits before what gives, what gives
/// before what is taken away, whoever does it last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Phase {
    Organisation,
    Databases,
    Identities,
    Providers,
    Policies,
    Names,
    Limits,
    ResourcePolicies,
    Trusts,
    OwnTrusts,
    DeleteTrusts,
    DeleteIdentities,
    DeletePolicies,
    DeleteDatabases,
}

/// What a provider is, besides what every identity has.
const PROVIDER_FIELDS: [&str; 10] = [
    "type",
    "issuer",
    "audiences",
    "algorithms",
    "jwks",
    "shared",
    "max_token_age_seconds",
    "sign_in",
    "pem",
    "mappings",
];

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) phase: Phase,
    /// Index of the step that it is part of.
    pub(super) step: usize,
    pub(super) method: &'static str,
    pub(super) url: String,
    /// JSON text.
    pub(super) body: Option<String>,
    /// What it does, for reports.
    pub(super) what: String,
}

/// All calls of a plan, in order; `me` is the path of whoever makes them.
pub(super) fn calls(plan: &Plan, me: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        let from = calls.len();
        of_step(step, &mut calls);
        let trustee = step.entity.fields.get("trustee").and_then(Value::as_str);
        for call in calls.iter_mut().skip(from) {
            call.step = at;
            if call.phase == Phase::Trusts && trustee == Some(me) {
                call.phase = Phase::OwnTrusts;
            }
        }
    }
    // Stable: calls of one thing stay in order.
    calls.sort_by_key(|call| call.phase);
    calls
}

fn of_step(step: &Step, calls: &mut Vec<Call>) {
    let entity = &step.entity;
    match step.action {
        Action::Delete => calls.push(deletion(entity)),
        Action::Create => {
            let (creation, covered) = creation(entity);
            calls.push(creation);
            for change in &step.changes {
                if !covered.contains(&change.field.name) {
                    calls.push(of_field(entity, change));
                }
            }
        }
        Action::Change if entity.kind.word == "trust" => {
            if let Some(call) = trust_change(entity, &step.changes) {
                calls.push(call);
            }
        }
        Action::Change => calls.extend(step.changes.iter().map(|change| of_field(entity, change))),
    }
}

fn call(phase: Phase, method: &'static str, url: String, body: Option<Value>, what: &str) -> Call {
    Call {
        phase,
        step: 0,
        method,
        url,
        body: body.map(|body| body.to_string()),
        what: what.to_owned(),
    }
}

/// A document in a call, with its dialect where its form does not tell it.
fn document(document: &Value) -> Map<String, Value> {
    let (dialect, text) = entity::document_parts(document);
    let mut body = Map::new();
    if keyward_policy::detect(text).map(Dialect::name).ok() != Some(dialect) {
        body.insert("dialect".to_owned(), dialect.into());
    }
    body.insert("document".to_owned(), text.into());
    body
}

/// A list of policies in a call.
fn policies(list: Option<&Value>) -> Value {
    let list = list.and_then(Value::as_array);
    let one = |policy: &Value| match policy.get("policy") {
        Some(_) => policy.clone(),
        None => Value::Object(document(policy)),
    };
    list.into_iter().flatten().map(one).collect()
}

/// The call that makes a thing, and the fields that it sets.
fn creation(entity: &Entity) -> (Call, &'static [&'static str]) {
    let collection = entity
        .path
        .rsplit_once('/')
        .map_or("org", |(above, _)| above);
    let url = format!("/v1/{collection}");
    let of = |name: &str| entity.fields.get(name);
    let mut body = json!({ "id": entity.id });
    let mut set = |name: &str, value: Option<Value>| {
        if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
            body.insert(name.to_owned(), value);
        }
    };
    let (phase, covered): (_, &[&str]) = match entity.kind.word {
        "org" => (Phase::Organisation, &["name"]),
        "kvdb" => {
            set("backend", of("backend").cloned());
            (Phase::Databases, &["name", "backend"])
        }
        "policy" => {
            for (name, value) in of("document").map(document).unwrap_or_default() {
                set(&name, Some(value));
            }
            (Phase::Policies, &["name", "document"])
        }
        "trust" => {
            for name in ["trustor", "trustee", "expires_at", "conditions"] {
                set(name, of(name).cloned());
            }
            set("kind", of("trust_kind").cloned());
            set("policies", Some(policies(of("policies"))));
            (
                Phase::Trusts,
                &[
                    "trustor",
                    "trustee",
                    "trust_kind",
                    "expires_at",
                    "conditions",
                    "policies",
                ],
            )
        }
        "role" => {
            for name in ["description", "max_session_seconds"] {
                set(name, of(name).cloned());
            }
            (
                Phase::Identities,
                &["name", "description", "max_session_seconds"],
            )
        }
        "identity_provider" => {
            for field in PROVIDER_FIELDS {
                set(field, of(field).cloned());
            }
            (
                Phase::Providers,
                &[
                    "name",
                    "type",
                    "issuer",
                    "audiences",
                    "algorithms",
                    "jwks",
                    "shared",
                    "max_token_age_seconds",
                    "sign_in",
                    "pem",
                    "mappings",
                ],
            )
        }
        _ => (Phase::Identities, &["name"]),
    };
    if covered.contains(&"name") {
        set("name", of("name").cloned());
    }
    (call(phase, "POST", url, Some(body), "create"), covered)
}

fn deletion(entity: &Entity) -> Call {
    let phase = match entity.kind.word {
        "kvdb" => Phase::DeleteDatabases,
        "policy" => Phase::DeletePolicies,
        "trust" => Phase::DeleteTrusts,
        _ => Phase::DeleteIdentities,
    };
    let mut url = format!("/v1/{}", entity.path);
    if entity.kind.word == "kvdb" {
        // Whoever applies has seen the plan.
        let id = entity.path.rsplit('/').next().unwrap_or_default();
        url = format!("{url}?confirm={id}");
    }
    call(phase, "DELETE", url, None, "delete")
}

fn trust_change(entity: &Entity, changes: &[FieldChange]) -> Option<Call> {
    let mut body = Map::new();
    for change in changes {
        let after = change.after.as_ref();
        let value = match change.field.name {
            "policies" => policies(after),
            _ => after.cloned().unwrap_or_default(),
        };
        body.insert(change.field.name.to_owned(), value);
    }
    if body.is_empty() {
        return None;
    }
    let url = format!("/v1/{}", entity.path);
    let body = Value::Object(body);
    Some(call(Phase::Trusts, "PATCH", url, Some(body), "change"))
}

/// The call that brings one field of a thing to its value.
fn of_field(entity: &Entity, change: &FieldChange) -> Call {
    let name = change.field.name;
    let after = change.after.as_ref();
    let what = match after {
        Some(_) => format!("set {name}"),
        None => format!("take {name} away"),
    };
    let base = format!("/v1/{}", entity.path);
    let below = |last: &str| format!("{base}/{last}");
    let list = || Some(json!({ "policies": policies(after) }));
    let (phase, method, url, body) = match name {
        "tags" => {
            let gone = change.before.as_ref().and_then(Value::as_object);
            let mut tags: Map<String, Value> = gone
                .into_iter()
                .flatten()
                .map(|(key, _)| (key.clone(), Value::Null))
                .collect();
            let set = after.and_then(Value::as_object);
            tags.extend(
                set.into_iter()
                    .flatten()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
            let body = json!({ "tags": tags });
            (Phase::Names, "PATCH", below("tags"), Some(body))
        }
        "max_key_lifetime_seconds" | "max_active_keys" => {
            // One call sets both.
            let body = json!({
                "max_key_lifetime_seconds": entity.fields.get("max_key_lifetime_seconds"),
                "max_active_keys": entity.fields.get("max_active_keys"),
            });
            (Phase::Names, "PUT", below("key_limits"), Some(body))
        }
        "aliases" => {
            let body = after.cloned().unwrap_or_else(|| json!({}));
            (Phase::Names, "PUT", below("aliases"), Some(body))
        }
        "backend" => (Phase::Names, "PUT", below("backend"), after.cloned()),
        "administration" => {
            let body = json!({ "on": after.is_some() });
            (Phase::Names, "PUT", below("administration"), Some(body))
        }
        "default_database" => {
            let body = json!({ "database": after });
            (Phase::Names, "PUT", below("default_database"), Some(body))
        }
        "boundary" | "guardrails" => match after {
            Some(_) => (Phase::Limits, "PUT", below(name), list()),
            None => (Phase::Limits, "DELETE", below(name), None),
        },
        "resource_policy" => match after {
            Some(document) => {
                let (dialect, text) = entity::document_parts(document);
                let url = format!("{}?dialect={dialect}", below(name));
                return Call {
                    body: Some(text.to_owned()),
                    ..call(Phase::ResourcePolicies, "PUT", url, None, &what)
                };
            }
            None => (Phase::ResourcePolicies, "DELETE", below(name), None),
        },
        "document" => {
            let body = after.map(document).unwrap_or_default();
            (Phase::Policies, "PUT", base, Some(Value::Object(body)))
        }
        "shared" => {
            let body = json!({ "shared": after.is_some() });
            (Phase::Names, "PATCH", base, Some(body))
        }
        _ => {
            let body = json!({ name: after });
            (Phase::Names, "PATCH", base, Some(body))
        }
    };
    call(phase, method, url, body, &what)
}
