//! How things look in answers.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use keyward_iam::{
    Attachment, Decision, DecisionRecord, Directory, Entity, IdentityIx, Kind, Outcome, PathParts,
    PolicySource, StatementRef, UnixMillis,
};
use keyward_policy::Policy;
use serde_json::{Map, Value, json};

use crate::explain;

/// A time as RFC 3339, in UTC.
pub(crate) fn time(at: UnixMillis) -> Value {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).map_or(Value::Null, |time| time.to_string().into())
}

/// An answer that nobody on the way keeps.
pub(crate) fn no_store(status: StatusCode, value: Value) -> Response {
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    (status, no_store, axum::Json(value)).into_response()
}

/// Adds a field to an object.
pub(crate) fn insert(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value.into());
    }
}

/// An entity: its row without hashes, times as text.
pub(crate) fn entity(directory: &Directory, path: &str) -> Option<Value> {
    let mut shown = directory.describe(path)?;
    let object = shown.as_object_mut()?;
    let millis = |value: &Value| {
        value
            .as_u64()
            .map_or(Value::Null, |at| time(UnixMillis(at)))
    };
    if let Some(at) = object.get_mut("created").and_then(|c| c.get_mut("at")) {
        *at = millis(at);
    }
    let versions = object.get_mut("versions").and_then(Value::as_array_mut);
    for version in versions.into_iter().flatten() {
        if let Some(at) = version.get_mut("created").and_then(|c| c.get_mut("at")) {
            *at = millis(at);
        }
    }
    for field in ["expires_at", "finished_at"] {
        if let Some(end) = object.get_mut(field) {
            *end = millis(end);
        }
    }
    if let Some(revocations) = object.get_mut("revocations") {
        if let Some(before) = revocations.get_mut("before") {
            *before = millis(before);
        }
        if let Some(Value::Array(sessions)) = revocations.get_mut("sessions") {
            for session in sessions {
                let (id, until) = (session[0].take(), millis(&session[1]));
                *session = json!({ "id": id, "until": until });
            }
        }
    }
    let invitation = object.get_mut("invitation");
    if let Some(end) = invitation.and_then(|invitation| invitation.get_mut("expires_at")) {
        *end = millis(end);
    }
    if let Some(restore) = object.get_mut("last_restore") {
        if let Some(at) = restore.get_mut("started").and_then(|s| s.get_mut("at")) {
            *at = millis(at);
        }
        if let Some(at) = restore.get_mut("finished_at") {
            *at = millis(at);
        }
    }
    if let Some(Entity::Identity(ix)) = directory.entity(path)
        && directory
            .identity(ix)
            .is_some_and(|identity| identity.kind == Kind::OrganisationUser)
    {
        member(directory, ix, &mut shown);
    }
    Some(shown)
}

/// Whose an organisation user is, and whether she has accepted.
fn member(directory: &Directory, ix: IdentityIx, shown: &mut Value) {
    let invited = shown.get("invitation").is_some();
    let membership = directory.membership(ix);
    let state = match membership {
        Some(trust) if trust.accepted => "member",
        Some(_) => "offered",
        None if invited => "invited",
        None => "nobody",
    };
    let user = membership.and_then(|trust| directory.identity(trust.trustee));
    insert(shown, "state", state);
    insert(shown, "user", user.map(|user| &*user.path));
}

/// Policies of a list.
pub(crate) fn attachments(directory: &Directory, list: &[Attachment]) -> Value {
    let one = |attachment: &Attachment| match attachment {
        Attachment::Inline(policy) => {
            json!({ "dialect": policy.dialect().name(), "document": document(policy) })
        }
        Attachment::System(policy, _) => json!({ "policy": policy.path() }),
        Attachment::Named(ix) => {
            json!({ "policy": directory.policy(*ix).map(|policy| policy.path.to_string()) })
        }
    };
    list.iter().map(one).collect()
}

/// A document: its JSON.
pub(crate) fn document(policy: &Policy) -> Value {
    serde_json::from_str(policy.text()).unwrap_or_else(|_| policy.text().into())
}

/// The words for an outcome that `simulate` uses, too.
pub(crate) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allow => "allow",
        Outcome::ExplicitDeny => "explicit_deny",
        Outcome::ImplicitDeny => "implicit_deny",
    }
}

/// Where a statement stands.
pub(crate) fn statement(statement: &StatementRef) -> Value {
    let list = match statement.source {
        PolicySource::Trust(_) => "trust",
        PolicySource::ResourcePolicy(_) => "resource_policy",
        PolicySource::Boundary(_) => "boundary",
        PolicySource::Guardrails(_) => "guardrails",
        PolicySource::Conditions(_) => "conditions",
        PolicySource::Acceptance(_) => "assumable_trust",
        PolicySource::SessionPolicy(_) => "session_policy",
        PolicySource::Layer(_) => "layer",
    };
    json!({
        "list": list, "of": statement.source.path(), "document": statement.document,
        "statement": statement.statement, "sid": statement.sid, "policy": statement.policy,
        "text": statement.describe(),
    })
}

/// How much of a decision is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Detail<'a> {
    /// All of it.
    Whole,
    /// What the policies of this organisation (by id) had to do with it.
    Own(Option<&'a str>),
}

impl Detail<'_> {
    /// Whether a statement is shown.
    pub(crate) fn tells(self, statement: &StatementRef) -> bool {
        match self {
            Self::Whole => true,
            Self::Own(organisation) => {
                let of = statement.source.path().and_then(PathParts::of);
                organisation.is_some() && of.and_then(|of| of.organisation) == organisation
            }
        }
    }
}

/// A decision, and with all of its details the smallest change that would allow it.
pub(crate) fn decision(decision: &Decision, detail: Detail<'_>) -> Map<String, Value> {
    let statements: Vec<Value> = decision
        .statements
        .iter()
        .filter(|statement| detail.tells(statement))
        .map(self::statement)
        .collect();
    let (chain, message) = match detail {
        Detail::Whole => (Some(&decision.chain), &decision.message),
        Detail::Own(_) => (None, &decision.public_message),
    };
    let mut shown = Map::new();
    shown.insert("decision".to_owned(), outcome(decision.outcome).into());
    shown.insert("action".to_owned(), decision.action.into());
    shown.insert("resource".to_owned(), (&*decision.resource).into());
    if let Some(chain) = chain {
        shown.insert("chain".to_owned(), json!(chain));
    }
    shown.insert("statements".to_owned(), statements.into());
    shown.insert("message".to_owned(), message.as_str().into());
    shown
}

/// A record of the decision log.
pub(crate) fn record(record: &DecisionRecord, detail: Detail<'_>) -> Value {
    let mut shown = Map::new();
    shown.insert("id".to_owned(), record.id.as_str().into());
    shown.insert("at".to_owned(), time(record.at));
    shown.insert("principal".to_owned(), record.principal.as_str().into());
    let source = record.source.map(|source| source.to_string());
    shown.insert("source".to_owned(), source.into());
    shown.insert("command".to_owned(), record.command.as_str().into());
    shown.insert("keys".to_owned(), json!(record.keys));
    shown.extend(decision(&record.decision, detail));
    if detail == Detail::Whole
        && let Some(hint) = explain::smallest_change(record)
    {
        shown.insert("smallest_change".to_owned(), hint);
    }
    Value::Object(shown)
}
