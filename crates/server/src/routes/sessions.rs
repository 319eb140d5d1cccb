//! Sessions of temporary credentials: listing and ending them.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use keyward_auth::{LONGEST_SESSION, ListedSession, SessionId};
use keyward_iam::{Change, UnixMillis};
use serde::Deserialize;
use serde_json::{Value, json};

use super::trusts::ExpiresAt;
use super::{Endpoint, Target, delete, get, post};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;
use crate::show;

const ROLE: &str = "/v1/org/{organisation}/role/{id}/session";
const ROLE_ONE: &str = "/v1/org/{organisation}/role/{id}/session/{session}";
const ROLE_ALL: &str = "/v1/org/{organisation}/role/{id}/revoke_sessions";
const IDENTITY: &str = "/v1/org/{organisation}/programmatic_identity/{id}/session";
const IDENTITY_ONE: &str = "/v1/org/{organisation}/programmatic_identity/{id}/session/{session}";
const IDENTITY_ALL: &str = "/v1/org/{organisation}/programmatic_identity/{id}/revoke_sessions";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut all = Vec::new();
    for (list_path, one, revoke, of) in [
        (ROLE, ROLE_ONE, ROLE_ALL, "of a role"),
        (
            IDENTITY,
            IDENTITY_ONE,
            IDENTITY_ALL,
            "of an identity itself",
        ),
    ] {
        let is_role = of == "of a role";
        let tell =
            |role: &'static str, identity: &'static str| if is_role { role } else { identity };
        all.extend([
            get(list_path, list)
                .tells(
                    tell(
                        "Lists the sessions of a role that were opened or used here and still hold.",
                        "Lists the sessions of an identity itself that were opened or used here and still hold.",
                    ),
                    "iam:ListSession on it",
                )
                .lists(),
            get(one, describe).tells(
                tell("Shows a session of a role.", "Shows a session of an identity itself."),
                "iam:ListSession on it",
            ),
            delete(one, revoke_one).tells(
                tell("Ends a session of a role.", "Ends a session of an identity itself."),
                "iam:RevokeSession on it",
            ),
            post(revoke, revoke_all)
                .tells(
                    tell(
                        "Ends every session of a role that was issued before a moment.",
                        "Ends every session of an identity itself that was issued before a moment.",
                    ),
                    "iam:RevokeSession on it",
                )
                .takes(&[(
                    "before",
                    "string?",
                    "RFC 3339, or milliseconds since 1970; now if it is left out",
                )]),
        ]);
    }
    all
}

/// A session, as lists show it. Never any of its credentials.
fn shown(identity: &str, listed: &ListedSession) -> Value {
    let session = &listed.session;
    let origin = session.origins.first();
    json!({
        "id": session.id,
        "path": format!("{identity}/session/{}", session.id),
        "kind": "session",
        "principal": session.principal,
        "name": session.name,
        "issued_at": show::time(session.issued),
        "expires_at": show::time(session.expires),
        "opened_by": origin.map(|origin| &origin.principal),
        "access_key": origin.and_then(|origin| origin.access_key.as_ref()),
        "opened_with_session": origin.and_then(|origin| origin.session.as_ref()),
        "token": origin.and_then(|origin| origin.token.as_ref()).map(|(issuer, subject)| json!({
            "issuer": issuer, "subject": subject,
        })),
        "trust": session.trust,
        "tags": session.tags,
        "source_identity": session.source_identity,
        "mfa": session.mfa.map(show::time),
        "last_used": listed.last_used.as_ref().map(last_used),
        "connections": connections(&listed.connections),
    })
}

/// The last use of a credential.
pub(super) fn last_used(last: &keyward_auth::LastUse) -> Value {
    json!({
        "at": show::time(last.at),
        "source": last.source,
        "database": last.database,
        "command": last.command,
    })
}

/// Open connections of a credential.
pub(super) fn connections(connections: &keyward_auth::Connections) -> Value {
    let count: u64 = connections.iter().map(|(_, count)| u64::from(*count)).sum();
    let sources = connections
        .iter()
        .map(|(source, count)| json!({ "source": source, "count": count }));
    json!({ "count": count, "sources": sources.collect::<Vec<_>>() })
}

/// Refuses whoever may not see the sessions of an identity.
fn may_list(call: &Call, identity: &str) -> Result<(), Problem> {
    match call.decide("iam:ListSession", identity) {
        Some(decision) if !decision.is_allow() => Err(call.denied(&decision)),
        Some(_) if call.directory.identity_at(identity).is_some() => Ok(()),
        _ => Err(Problem::not_found(identity)),
    }
}

/// Whether a session that is remembered still holds.
fn holds(call: &Call, listed: &ListedSession) -> bool {
    call.directory.session_of(&listed.session, call.now).is_ok()
}

async fn list(call: Call, target: Target) -> Result<Response, Problem> {
    let identity = target.of("session");
    may_list(&call, identity)?;
    let found = call.api.verifier.usage.sessions_of(identity, call.now);
    let mut held: Vec<(String, ListedSession)> = found
        .into_iter()
        .filter(|listed| holds(&call, listed))
        .map(|listed| (listed.session.id.clone(), listed))
        .collect();
    held.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(call.list_of(held, |_, listed| Some(shown(identity, &listed))))
}

/// The identity and the id of the session that a URL names.
fn one(target: &Target) -> Result<(&str, SessionId), Problem> {
    let not_found = || Problem::not_found(&target.0);
    let (rest, id) = target.0.rsplit_once('/').ok_or_else(not_found)?;
    let identity = rest.strip_suffix("/session").ok_or_else(not_found)?;
    Ok((identity, SessionId::parse(id).ok_or_else(not_found)?))
}

/// A session that is remembered, of this identity.
fn remembered(call: &Call, identity: &str, id: SessionId) -> Option<ListedSession> {
    let listed = call.api.verifier.usage.session(id.as_str())?;
    (listed.session.principal == identity).then_some(listed)
}

async fn describe(call: Call, target: Target) -> Result<Response, Problem> {
    let (identity, id) = one(&target)?;
    may_list(&call, identity).map_err(|_| Problem::not_found(&target.0))?;
    let listed = remembered(&call, identity, id).filter(|listed| holds(&call, listed));
    let listed = listed.ok_or_else(|| Problem::not_found(&target.0))?;
    Ok(axum::Json(shown(identity, &listed)).into_response())
}

async fn revoke_one(call: Call, target: Target) -> Result<Response, Problem> {
    let (identity, id) = one(&target)?;
    // A session that another process, or this one before its last start, has opened is ended like
    // any other: it ends within the longest time that a session lasts.
    let longest = u64::try_from(LONGEST_SESSION.as_millis()).unwrap_or(u64::MAX);
    let expires = remembered(&call, identity, id)
        .map_or(UnixMillis(call.now.0.saturating_add(longest)), |listed| {
            listed.session.expires
        });
    let changed = call
        .change(Change::RevokeSession {
            identity: identity.to_owned(),
            id: id.to_string(),
            expires,
        })
        .await?;
    let mut shown = json!({ "path": target.0, "id": id.as_str(), "revoked": true });
    show::insert(
        &mut shown,
        "directory_revision",
        changed.directory.revision(),
    );
    if call.dry_run {
        show::insert(&mut shown, "dry_run", true);
    }
    Ok(axum::Json(shown).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    #[serde(default)]
    before: ExpiresAt,
}

async fn revoke_all(
    call: Call,
    target: Target,
    Body(body): Body<Revoke>,
) -> Result<Response, Problem> {
    let identity = target.of("revoke_sessions");
    let before = body.before.0.flatten().unwrap_or(call.now);
    let change = Change::RevokeSessions {
        identity: identity.to_owned(),
        before,
    };
    call.change_and_show(change, identity, StatusCode::OK).await
}
