//! The calls of the API that do what a plan says, in the order in which they can be made.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use keyward_policy::Dialect;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::entity::{self, Entity, PasswordFrom};
use super::kind::ACCEPTANCE;
use super::plan::{Action, FieldChange, Plan, Step};
use crate::failure::{Exit, Failure};
use crate::output::printable;

/// When a call is made: what is referred to first, what limits before what gives, what gives
/// before what is taken away, whoever does it last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Phase {
    DeleteTrustsFirst,
    GiveNamesBack,
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

/// Fields of a provider that stand in the call that makes it as they stand in files.
const PROVIDER_FIELDS: [&str; 11] = [
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
];

/// One call. May hold a password: never shown.
pub(super) struct Call {
    pub(super) phase: Phase,
    /// Index of the step that it is part of.
    pub(super) step: usize,
    pub(super) method: &'static str,
    pub(super) url: String,
    /// JSON text.
    pub(super) body: Option<Zeroizing<String>>,
    /// What it does, for reports.
    pub(super) what: String,
}

/// All calls of a plan, in order; `me` is the path of whoever makes them. Passwords of backends are
/// read where files say that they are.
pub(super) fn calls(plan: &Plan, me: &str) -> Result<Vec<Call>, Failure> {
    let mut calls = Vec::new();
    let wanted = wanted_names(plan);
    for (at, step) in plan.steps.iter().enumerate() {
        let from = calls.len();
        if gives_name_back(step, &wanted) {
            let url = format!("/v1/{}", step.entity.path);
            let body = json!({ "name": null });
            let what = "give the name back";
            calls.push(call(Phase::GiveNamesBack, "PATCH", url, Some(body), what));
        }
        of_step(step, &mut calls)?;
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
    Ok(calls)
}

/// The kind of a thing and a name, as names are told apart.
type NameOf = (&'static str, String);

fn name_of(entity: &Entity, name: &str) -> NameOf {
    (entity.kind.word, name.to_lowercase())
}

/// The names that things are to get that are not theirs yet.
fn wanted_names(plan: &Plan) -> BTreeSet<NameOf> {
    let steps = plan.steps.iter();
    let renamed = steps.flat_map(|step| step.changes.iter().map(move |change| (step, change)));
    renamed
        .filter(|(_, change)| change.field.name == "name")
        .filter_map(|(step, change)| {
            let name = change.after.as_ref()?.as_str()?;
            Some(name_of(&step.entity, name))
        })
        .collect()
}

/// Whether a thing has a name that another one is to get, and loses it anyway.
fn gives_name_back(step: &Step, wanted: &BTreeSet<NameOf>) -> bool {
    let loses = step.action == Action::Delete
        || step.changes.iter().any(|change| {
            let after = change.after.as_ref().and_then(Value::as_str);
            let same =
                after.map(str::to_lowercase) == step.name_before.as_deref().map(str::to_lowercase);
            change.field.name == "name" && !same
        });
    let before = step.name_before.as_deref();
    loses && before.is_some_and(|name| wanted.contains(&name_of(&step.entity, name)))
}

fn of_step(step: &Step, calls: &mut Vec<Call>) -> Result<(), Failure> {
    let entity = &step.entity;
    match step.action {
        Action::Delete => {
            let mut deletion = deletion(entity);
            if step.goes_first {
                deletion.phase = Phase::DeleteTrustsFirst;
            }
            calls.push(deletion);
        }
        Action::Create if entity.kind.word == "policy" => creation_of_policy(entity, calls),
        Action::Create => {
            let (creation, covered) = creation(entity)?;
            calls.push(creation);
            for change in &step.changes {
                if !covered.contains(&change.field.name) {
                    calls.extend(of_field(entity, change)?);
                }
            }
        }
        Action::Change if entity.kind.word == "trust" => {
            if let Some(call) = trust_change(entity, &step.changes) {
                calls.push(call);
            }
        }
        Action::Change => {
            // What stands in the thing itself is changed at once.
            let mut own = Map::new();
            for change in &step.changes {
                match of_field(entity, change)? {
                    Some(call) => calls.push(call),
                    None => {
                        let after = change.after.clone().unwrap_or_default();
                        own.insert(change.field.name.to_owned(), after);
                    }
                }
            }
            if !own.is_empty() {
                calls.push(change_of(entity, own));
            }
        }
    }
    Ok(())
}

/// The call that changes fields of the thing itself.
fn change_of(entity: &Entity, fields: Map<String, Value>) -> Call {
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    let what = format!("set {}", names.join(", "));
    let url = format!("/v1/{}", entity.path);
    call(Phase::Names, "PATCH", url, Some(fields.into()), &what)
}

fn call(phase: Phase, method: &'static str, url: String, body: Option<Value>, what: &str) -> Call {
    Call {
        phase,
        step: 0,
        method,
        url,
        body: body.map(|body| Zeroizing::new(body.to_string())),
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
fn creation(entity: &Entity) -> Result<(Call, Vec<&'static str>), Failure> {
    if entity.kind.word == ACCEPTANCE {
        let url = format!("/v1/{}/accept", entity.path);
        let accept = call(Phase::Trusts, "POST", url, None, "accept");
        return Ok((accept, vec!["trustor", "trustee"]));
    }
    let collection = entity
        .path
        .rsplit_once('/')
        .map_or("org", |(above, _)| above);
    let url = format!("/v1/{collection}");
    let of = |name: &str| entity.fields.get(name);
    let mut body = json!({ "id": entity.id });
    let (phase, plain): (_, &[&str]) = match entity.kind.word {
        "org" => (Phase::Organisation, &["name"]),
        "kvdb" => (Phase::Databases, &["name", "description"]),
        "trust" => (
            Phase::Trusts,
            &["trustor", "trustee", "expires_at", "conditions"],
        ),
        "role" => (
            Phase::Identities,
            &["name", "description", "max_session_seconds"],
        ),
        "identity_provider" => (Phase::Providers, &PROVIDER_FIELDS),
        _ => (Phase::Identities, &["name"]),
    };
    let mut covered = plain.to_vec();
    for field in plain {
        if let Some(value) = of(field) {
            body[*field] = value.clone();
        }
    }
    match entity.kind.word {
        "kvdb" => {
            if let Some(backend) = backend(entity)? {
                body["backend"] = backend;
            }
            covered.push("backend");
        }
        "trust" => {
            if let Some(kind) = of("trust_kind") {
                body["kind"] = kind.clone();
            }
            body["policies"] = policies(of("policies"));
            covered.extend(["trust_kind", "policies"]);
        }
        _ => {}
    }
    Ok((call(phase, "POST", url, Some(body), "create"), covered))
}

/// The calls that make a policy with its versions. A number that no version has is used up by one
/// that goes again.
fn creation_of_policy(entity: &Entity, calls: &mut Vec<Call>) {
    let of = |name: &str| entity.fields.get(name);
    let written = of("versions").and_then(Value::as_object);
    let mut versions: BTreeMap<u64, &Value> = written
        .into_iter()
        .flatten()
        .filter_map(|(number, document)| Some((number.parse().ok()?, document)))
        .collect();
    let next = versions
        .last_key_value()
        .map_or(1, |(number, _)| number + 1);
    let default = of("default_version")
        .and_then(Value::as_u64)
        .unwrap_or(next);
    if let Some(document) = of("document") {
        versions.insert(default, document);
    }
    let url = format!("/v1/{}", entity.path);
    let mut add = |method, url: String, body: Option<Value>, what: &str| {
        calls.push(call(Phase::Policies, method, url, body, what));
    };
    let last = versions.last_key_value().map_or(0, |(number, _)| *number);
    let set_default = |number: u64| {
        let body = json!({ "version": number });
        (
            "POST",
            format!("{url}/default_version"),
            Some(body),
            "set the default version",
        )
    };
    let mut is_default = 1;
    for number in 1..=last {
        let Some((_, written)) = versions.range(number..).next() else {
            break;
        };
        let mut body = document(written);
        if number == 1 {
            body.insert("id".to_owned(), entity.id.as_str().into());
            if let Some(name) = of("name") {
                body.insert("name".to_owned(), name.clone());
            }
            let collection = url.rsplit_once('/').map_or("", |(above, _)| above);
            add("POST", collection.to_owned(), Some(body.into()), "create");
            continue;
        }
        body.insert("default".to_owned(), false.into());
        add("PUT", url.clone(), Some(body.into()), "add a version");
        if versions.contains_key(&(number - 1)) {
            continue;
        }
        if is_default == number - 1 {
            is_default = number;
            let (method, url, body, what) = set_default(number);
            add(method, url, body, what);
        }
        let gone = format!("{url}/versions/{}", number - 1);
        add("DELETE", gone, None, "pass over a version");
    }
    if is_default != default {
        let (method, url, body, what) = set_default(default);
        add(method, url, body, what);
    }
}

/// Longest password that is read.
const MAX_PASSWORD: u64 = 4096;

/// The backend of a database in a call, with its password from where the file says that it is.
fn backend(entity: &Entity) -> Result<Option<Value>, Failure> {
    let Some(mut backend) = entity.fields.get("backend").cloned() else {
        return Ok(None);
    };
    if let Some(from) = &entity.password {
        let password = password(from).map_err(|reason| {
            let place = entity.place_of("backend");
            let text = format!("{place}: the password of {}: {reason}", entity.path);
            Failure::new(Exit::Usage, printable(&text))
        })?;
        backend["password"] = password.as_str().into();
    }
    Ok(Some(backend))
}

fn password(from: &PasswordFrom) -> Result<Zeroizing<String>, String> {
    let text = match from {
        PasswordFrom::Variable(name) => match std::env::var(name) {
            Ok(text) => Zeroizing::new(text),
            Err(_) => return Err(format!("the variable `{name}` is not set")),
        },
        PasswordFrom::File(path) => {
            let failed = |error: std::io::Error| format!("`{}`: {error}", path.display());
            let file = std::fs::File::open(path).map_err(failed)?;
            let mut text = Zeroizing::new(String::new());
            file.take(MAX_PASSWORD)
                .read_to_string(&mut text)
                .map_err(failed)?;
            text
        }
    };
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
        _ => Err("it is empty".to_owned()),
    }
}

fn deletion(entity: &Entity) -> Call {
    if entity.kind.word == ACCEPTANCE {
        let url = format!("/v1/{}/decline", entity.path);
        return call(Phase::DeleteTrusts, "POST", url, None, "leave");
    }
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

/// The call that brings one field of a thing to its value; none for a field of the thing itself.
fn of_field(entity: &Entity, change: &FieldChange) -> Result<Option<Call>, Failure> {
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
        "backend" => (Phase::Names, "PUT", below("backend"), backend(entity)?),
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
                return Ok(Some(Call {
                    body: Some(Zeroizing::new(text.to_owned())),
                    ..call(Phase::ResourcePolicies, "PUT", url, None, &what)
                }));
            }
            None => (Phase::ResourcePolicies, "DELETE", below(name), None),
        },
        "document" => {
            let body = after.map(document).unwrap_or_default();
            (Phase::Policies, "PUT", base, Some(Value::Object(body)))
        }
        _ => return Ok(None),
    };
    Ok(Some(call(phase, method, url, body, &what)))
}
