//! Temporary credentials.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use keyward_auth::{Credentials, IssueError, SessionId};
use keyward_iam::{
    AssumeRole, AssumeRoleError, Kind, PathParts, PolicyInput, PolicyText, Principal, Session,
    SessionPolicy, SessionTokenError, TemporarySession, full_path,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Endpoint, get, post};
use crate::api::{Api, Call};
use crate::body::Body;
use crate::opened;
use crate::policies::policy_inputs;
use crate::problem::Problem;
use crate::show::{self, no_store};

/// What narrows a session, in every call that opens one of a role.
pub(super) const SESSION_POLICIES: (&str, &str, &str) = (
    "policies",
    "array?",
    "documents or {\"policy\": \"policy/<id>\"} that narrow the session",
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/v1/sts/assume_role", assume_role)
            .tells(
                "Opens a session of a role and shows its credentials, once.",
                "sts:AssumeRole on the role, and sts:TagSession where tags are given",
            )
            .takes(&[
                ("role", "string", "the role: its path, or `role/<id>` in the own organisation"),
                ("session_name", "string", "what the session is called"),
                ("duration_seconds", "integer?", "from 900 to the role's maximum; 3600 at most from a role's session"),
                SESSION_POLICIES,
                ("tags", "object?", "tags of the session"),
                ("transitive_tag_keys", "array?", "keys of tags that sessions opened with this one inherit"),
                ("external_id", "string?", "what the role's side asks its callers to say"),
                ("source_identity", "string?", "who is behind the session; once set it stays along chains"),
                ("trust", "string?", "the trust that is meant, where several let the caller in"),
            ]),
        post("/v1/sts/session_token", session_token)
            .tells(
                "Opens a session of the caller itself, which ends with the credential that opened it, and shows its credentials, once.",
                "nothing, but a credential; a Deny of sts:GetSessionToken on the caller refuses",
            )
            .takes(&[("duration_seconds", "integer?", "from 900 to 43200; 43200 if it is left out")]),
        get("/v1/sts/caller_identity", caller_identity)
            .tells("Shows who calls, and with what.", "nothing, but a credential"),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assume {
    role: String,
    session_name: String,
    duration_seconds: Option<u32>,
    #[serde(default)]
    policies: Vec<Box<RawValue>>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    transitive_tag_keys: Vec<String>,
    external_id: Option<String>,
    source_identity: Option<String>,
    trust: Option<String>,
}

/// A path as it was given, in the organisation that shorthand is of.
fn in_full(path: &str, organisation: &str) -> String {
    full_path(path, organisation)
}

/// Policies of a session of a role: references are to the role's organisation.
pub(super) fn session_policies(
    given: &[Box<RawValue>],
    role: &str,
) -> Result<Vec<SessionPolicy>, Problem> {
    let inputs = policy_inputs(given).map_err(|error| Problem::invalid(error.to_string()))?;
    let organisation = PathParts::of(role).and_then(|parts| parts.organisation);
    let organisation = organisation.unwrap_or_default();
    let one = |input: PolicyInput| match input {
        PolicyInput::Document(text) => SessionPolicy::Text(PolicyText {
            text,
            dialect: None,
        }),
        PolicyInput::Written(written) => SessionPolicy::Text(written),
        PolicyInput::Named(path) if path.starts_with("policy/system/") => {
            SessionPolicy::Named(path)
        }
        PolicyInput::Named(path) => SessionPolicy::Named(full_path(&path, organisation)),
    };
    Ok(inputs.into_iter().map(one).collect())
}

/// Why no session of a role is opened, as the API shows it.
pub(super) fn refused(call: &Call, error: AssumeRoleError) -> Problem {
    match error {
        AssumeRoleError::Denied(decision) => call.denied(&decision),
        AssumeRoleError::NoRole { role } => Problem::not_found(&role),
        AssumeRoleError::Ended(ended) => Problem::unauthenticated(ended.to_string()),
        AssumeRoleError::Ambiguous { .. } => {
            Problem::new(StatusCode::CONFLICT, "ambiguous_trust", error.to_string())
        }
        AssumeRoleError::Policy { number, findings } => Problem::findings(Some(number), &findings),
        error => Problem::invalid(error.to_string()),
    }
}

async fn assume_role(call: Call, Body(body): Body<Assume>) -> Result<Response, Problem> {
    let own = call.own_organisation().unwrap_or_default();
    let role = in_full(&body.role, &own);
    let ask = AssumeRole {
        policies: session_policies(&body.policies, &role)?,
        role,
        session_name: body.session_name,
        duration_seconds: body.duration_seconds,
        tags: body.tags,
        transitive_tag_keys: body.transitive_tag_keys,
        external_id: body.external_id,
        source_identity: body.source_identity,
        trust: body.trust.map(|trust| in_full(&trust, &own)),
    };
    let id = SessionId::generate();
    let assumed = call
        .directory
        .assume_role(&call.caller.session, &ask, id.as_str(), call.now);
    let assumed = assumed.map_err(|error| refused(&call, error))?;
    issue(&call, assumed.session).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionToken {
    duration_seconds: Option<u32>,
}

async fn session_token(call: Call, Body(body): Body<SessionToken>) -> Result<Response, Problem> {
    let id = SessionId::generate();
    let session = call.directory.session_token(
        &call.caller.session,
        body.duration_seconds,
        id.as_str(),
        call.now,
    );
    let session = session.map_err(|error| match error {
        SessionTokenError::Denied(decision) => call.denied(&decision),
        SessionTokenError::Ended(ended) => Problem::unauthenticated(ended.to_string()),
        error => Problem::invalid(error.to_string()),
    })?;
    issue(&call, session).await
}

/// Makes the credentials of a session. Nothing is kept of them.
pub(super) fn made(api: &Api, session: &TemporarySession) -> Result<Credentials, Problem> {
    let made = api.verifier.issuer.issue(session);
    made.map_err(|error| match error {
        IssueError::TooLong { .. } => Problem::invalid(error.to_string()),
        _ => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the session could not be written",
        ),
    })
}

/// Makes the credentials of a session and shows them, once.
async fn issue(call: &Call, session: TemporarySession) -> Result<Response, Problem> {
    let made = made(&call.api, &session)?;
    let mut shown = credentials(&session, &made);
    if call.dry_run {
        hide_credentials(&mut shown);
    } else {
        let source = call.caller.session.source;
        let source = source.unwrap_or(std::net::Ipv4Addr::LOCALHOST.into());
        opened::keep(&call.api, &Arc::new(session), source).await?;
    }
    Ok(no_store(StatusCode::OK, shown))
}

/// What a dry run shows of credentials.
pub(super) fn hide_credentials(shown: &mut Value) {
    for field in [
        "access_key_id",
        "secret_access_key",
        "session_token",
        "session_key",
    ] {
        show::insert(shown, field, Value::Null);
    }
    show::insert(shown, "dry_run", true);
}

pub(super) fn credentials(session: &TemporarySession, made: &Credentials) -> Value {
    let is_role = PathParts::of(&session.principal).is_some_and(|parts| parts.kind == Kind::Role);
    let mut shown = json!({
        "access_key_id": made.key_id.as_str(),
        "secret_access_key": *made.secret_access_key,
        "session_token": *made.session_token,
        "session_key": *made.session_key,
        "expiration": show::time(made.expires),
        "principal": session.principal,
        "session_name": session.name,
        "packed_size_percent": made.packed_size_percent,
    });
    if is_role {
        show::insert(&mut shown, "assumed_role", session.principal.as_str());
    }
    if let Some(source) = &session.source_identity {
        show::insert(&mut shown, "source_identity", source.as_str());
    }
    if let Some(trust) = &session.trust {
        show::insert(&mut shown, "trust", trust.as_str());
    }
    shown
}

/// What is known of a caller's temporary credentials.
pub(super) fn of_session(session: &Session) -> Value {
    let Some(temporary) = &session.temporary else {
        return Value::Null;
    };
    json!({
        "id": temporary.id,
        "name": temporary.name,
        "issued_at": show::time(temporary.issued),
        "expires_at": show::time(temporary.expires),
        "trust": temporary.trust,
        "tags": temporary.tags,
        "source_identity": temporary.source_identity,
        "opened_by": temporary.origins.first().map(|origin| &origin.principal),
    })
}

async fn caller_identity(call: Call) -> Result<Response, Problem> {
    let directory = &call.directory;
    let session = &call.caller.session;
    let identity = match session.principal {
        Principal::Identity(ix) => directory.identity(ix),
        Principal::Unauthenticated => None,
    };
    let organisation = identity
        .and_then(|identity| identity.organisation)
        .and_then(|ix| directory.identity(ix));
    let account = organisation.and_then(|organisation| organisation.organisation_details());
    let key = session
        .access_key
        .and_then(|ix| directory.access_key_by_ix(ix));
    let key_id = session
        .temporary
        .as_ref()
        .map(|temporary| temporary.id.as_str())
        .or(key.map(|key| &*key.key_id));
    Ok(axum::Json(json!({
        "principal": call.caller.path,
        "kind": PathParts::of(&call.caller.path).map(|parts| parts.kind.as_str()),
        "organisation": organisation.map(|organisation| &organisation.path),
        "account": account.map(|details| &details.account),
        "access_key_id": key_id,
        "session": of_session(session),
        "mfa": session.mfa.map(show::time),
        "source": session.source,
    }))
    .into_response())
}
