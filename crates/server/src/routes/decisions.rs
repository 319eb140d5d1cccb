//! Asking for decisions, and for what was decided.

use std::collections::HashMap;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use keyward_commands::CONNECT;
use keyward_iam::{
    Connect, ContextNames, Decision, DecisionRecord, Outcome, Session, UnixMillis, full_path,
};
use keyward_policy::Touch;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Endpoint, get, post};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;
use crate::query::Query;
use crate::show::{self, Detail};

/// How long every decision is kept after somebody asked for them.
const WATCH_MILLIS: u64 = 5_000;

/// Records in one answer.
const MAX_RECORDS: usize = 1_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/v1/decide", decide)
            .tells(
                "Decides one request from the live directory, without making it.",
                "iam:Simulate on the principal",
            )
            .takes(&[
                ("principal", "string", "path of the identity, or `unauthenticated`"),
                (
                    "request",
                    "object",
                    "{\"action\", \"resource\", \"context\"?} or {\"command\": […], \"database\", \"context\"?}",
                ),
            ]),
        get("/v1/decision/{id}", explain).tells(
            "Shows why something was denied, and the smallest change that would allow it.",
            "iam:ExplainDecision on the resource; the principal itself sees its own organisation's part",
        ),
        get("/v1/tail", tail)
            .tells(
                "Shows what was decided, as it happens.",
                "iam:ExplainDecision on the resource of each decision",
            )
            .asks(&[
                ("after", "integer", "the `next` of the answer before; without it, from now on"),
                ("denied", "boolean", "denials only"),
            ]),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decide {
    principal: String,
    request: Asked,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    action: Option<String>,
    resource: Option<String>,
    command: Option<Vec<Bytes>>,
    database: Option<String>,
    #[serde(default)]
    context: HashMap<String, Values>,
}

/// Text, or bytes as `{"base64": …}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Base64 { base64: String },
}

impl Bytes {
    fn bytes(&self) -> Result<Vec<u8>, Problem> {
        use base64::Engine as _;
        match self {
            Self::Text(text) => Ok(text.as_bytes().to_vec()),
            Self::Base64 { base64 } => base64::engine::general_purpose::STANDARD
                .decode(base64)
                .map_err(|error| Problem::invalid(format!("base64: {error}"))),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Values {
    fn bytes(&self) -> Result<Vec<Vec<u8>>, Problem> {
        match self {
            Self::One(one) => Ok(vec![one.bytes()?]),
            Self::Many(many) => many.iter().map(Bytes::bytes).collect(),
        }
    }
}

/// Keys and channels of a request that is asked for by its action.
fn names_of(context: &HashMap<String, Values>) -> Result<ContextNames, Problem> {
    let values = |name: &str| {
        context
            .get(name)
            .map_or_else(|| Ok(Vec::new()), Values::bytes)
    };
    Ok(ContextNames {
        keys: values("kvdb:Key")?,
        read_keys: values("kvdb:ReadKey")?,
        write_keys: values("kvdb:WriteKey")?,
        channels: values("kvdb:Channel")?,
    })
}

async fn decide(call: Call, Body(body): Body<Decide>) -> Result<Response, Problem> {
    let organisation = call.own_organisation().unwrap_or_default();
    let principal = full_path(&body.principal, &organisation);
    let session = if principal == "unauthenticated" {
        Session::unauthenticated()
    } else {
        let found = call.directory.identity_at(&principal);
        Session::of_identity(found.ok_or_else(|| Problem::not_found(&principal))?)
    };
    let known = body.request.context.iter();
    let known: Vec<(String, Vec<Vec<u8>>)> = known
        .map(|(name, values)| Ok((name.clone(), values.bytes()?)))
        .collect::<Result<_, Problem>>()?;
    let session = session.simulating(known);
    let target = match (&body.request.resource, &body.request.database) {
        (Some(resource), None) => full_path(resource, &organisation),
        (None, Some(database)) => full_path(database, &organisation),
        _ => {
            return Err(Problem::invalid(
                "a request has `action` and `resource`, or `command` and `database`",
            ));
        }
    };
    // Nobody in particular is simulated for whoever may explain decisions on the resource.
    let simulated = if principal == "unauthenticated" {
        &target
    } else {
        &principal
    };
    match call.decide("iam:Simulate", simulated) {
        Some(decision) if !decision.is_allow() => return Err(call.denied(&decision)),
        _ => {}
    }
    let decision = match (&body.request.action, &body.request.command) {
        (Some(action), None) if body.request.resource.is_some() => {
            let known = keyward_commands::action(action).ok_or_else(|| {
                Problem::invalid(format!("the action `{action}` is not in the catalogue"))
            })?;
            names_of(&body.request.context)?.ask(known, |touch| {
                call.directory
                    .decide(&session, known, &target, touch, call.now)
            })
        }
        (None, Some(command)) if body.request.database.is_some() => {
            let words: Vec<Vec<u8>> = command.iter().map(Bytes::bytes).collect::<Result<_, _>>()?;
            decide_command(&call, &session, &target, &words)?
        }
        _ => {
            return Err(Problem::invalid(
                "a request has `action` and `resource`, or `command` and `database`",
            ));
        }
    };
    let own = Some(organisation.as_str());
    let whole = call.allows("iam:ExplainDecision", &decision.resource);
    let detail = if whole {
        Detail::Whole
    } else {
        Detail::Own(own)
    };
    let mut shown = show::decision(&decision, detail);
    shown.insert("principal".to_owned(), principal.into());
    Ok(axum::Json(Value::Object(shown)).into_response())
}

fn decide_command(
    call: &Call,
    session: &Session,
    path: &str,
    words: &[Vec<u8>],
) -> Result<Decision, Problem> {
    let permitted = call.api.allow_administration;
    let directory = &call.directory;
    let found = directory.database_at(path);
    // A database of another organisation is known to whom it accepts, or who may describe it.
    let visible = |ix| {
        directory.is_own_resource(call.caller.session.principal, path)
            || call.sees(path)
            || directory
                .table(session, ix, permitted, call.now)
                .may_connect()
                == Connect::Allowed
    };
    let Some(ix) = found.filter(|ix| visible(*ix)) else {
        return Err(Problem::not_found(path));
    };
    let decision = directory.decide_command(
        session,
        ix,
        words,
        permitted,
        &keyward_iam::Call::at(call.now),
    );
    if !decision.is_allow() {
        return Ok(decision);
    }
    // Nobody runs a command who may not connect.
    let connect = directory.decide(session, CONNECT, path, &Touch::None, call.now);
    if connect.outcome != Outcome::ExplicitDeny {
        return Ok(decision);
    }
    let why = |message: &str| format!("it may not connect: {message}");
    Ok(Decision {
        message: why(&connect.message),
        public_message: why(&connect.public_message),
        ..connect
    })
}

async fn explain(call: Call, Path(id): Path<String>) -> Result<Response, Problem> {
    let unknown = || {
        let shown: String = id.chars().take(64).collect();
        let detail = format!("no decision `{shown}`: forgotten, or not yours to see");
        Problem::new(axum::http::StatusCode::NOT_FOUND, "not_found", detail)
    };
    let record = call.api.log.find(&id).ok_or_else(unknown)?;
    let shown = if call.allows("iam:ExplainDecision", &record.decision.resource) {
        show::record(&record, Detail::Whole)
    } else if record.principal == call.caller.path {
        let organisation = call.own_organisation();
        show::record(&record, Detail::Own(organisation.as_deref()))
    } else {
        return Err(unknown());
    };
    Ok(axum::Json(shown).into_response())
}

#[derive(Deserialize)]
struct Tail {
    after: Option<u64>,
    #[serde(default)]
    denied: bool,
}

async fn tail(call: Call, Query(query): Query<Tail>) -> Result<Response, Problem> {
    let log = &call.api.log;
    let mut explainable: HashMap<Box<str>, bool> = HashMap::new();
    let mut may_explain = |resource: &str| match explainable.get(resource) {
        Some(known) => *known,
        None => {
            let allowed = call.allows("iam:ExplainDecision", resource);
            explainable.insert(resource.into(), allowed);
            allowed
        }
    };
    if !query.denied {
        // Recording everything costs: it is done only for whoever may see something of it.
        let mut databases = call.directory.databases();
        if databases.any(|(_, database)| may_explain(&database.path)) {
            log.watch_until(UnixMillis(call.now.0.saturating_add(WATCH_MILLIS)));
        }
    }
    let end = log.next_sequence();
    let from = query.after.unwrap_or(end).min(end);
    let records = log.since(from, MAX_RECORDS);
    let next = records.last().map_or(from, |(sequence, _)| sequence + 1);
    let mut show = |(sequence, record): &(u64, DecisionRecord)| {
        let denied = record.decision.outcome != Outcome::Allow;
        if (query.denied && !denied) || !may_explain(&record.decision.resource) {
            return None;
        }
        let mut shown = show::record(record, Detail::Whole);
        show::insert(&mut shown, "sequence", *sequence);
        Some(shown)
    };
    let shown: Vec<Value> = records.iter().filter_map(&mut show).collect();
    Ok(axum::Json(json!({ "items": shown, "next": next })).into_response())
}
