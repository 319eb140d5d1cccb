//! Sessions of temporary credentials: listing and ending them.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use keyward_auth::{LONGEST_SESSION, ListedCertificate, ListedSession, SessionId};
use keyward_iam::{CertificateNameKind, Change, UnixMillis};
use serde::Deserialize;
use serde_json::{Value, json};

use super::trusts::ExpiresAt;
use super::{Endpoint, Target, delete, get, post};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;
use crate::show;

/// For how long a client certificate is refused whose end is not known, in milliseconds.
const TEN_YEARS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;

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
                        "Lists the sessions of a role that hold, and the client certificates that are connected as it.",
                        "Lists the sessions of an identity itself that hold, and the client certificates that are connected as it.",
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
        "created": {
            "at": show::time(session.issued), "by": origin.map(|origin| &origin.principal),
        },
        "issued_at": show::time(session.issued),
        "expires_at": show::time(session.expires),
        "opened_by": origin.map(|origin| &origin.principal),
        "opened_from": listed.opened_from,
        "access_key": origin.and_then(|origin| origin.access_key.as_ref()),
        "opened_with_session": origin.and_then(|origin| origin.session.as_ref()),
        "token": origin.and_then(token),
        "trust": session.trust,
        "tags": session.tags,
        "source_identity": session.source_identity,
        "mfa": session.mfa.map(show::time),
        "last_used": listed.last_used.as_ref().map(last_used),
        "connections": connections(&listed.connections),
    })
}

/// The token that vouched for whoever opened a session.
fn token(origin: &keyward_iam::Origin) -> Option<Value> {
    let (issuer, subject) = origin.token.as_ref()?;
    Some(json!({ "issuer": issuer, "subject": subject, "id": origin.token_id }))
}

/// A client certificate that is connected, as lists show it beside sessions.
fn shown_certificate(identity: &str, listed: &ListedCertificate) -> Value {
    let certificate = &listed.certificate;
    let kind = match certificate.name.0 {
        CertificateNameKind::Uri => "uri",
        CertificateNameKind::Dns => "dns",
    };
    json!({
        "id": certificate.fingerprint,
        "path": format!("{identity}/session/{}", certificate.fingerprint),
        "kind": "certificate_session",
        "principal": listed.principal,
        "name": certificate.name.1,
        "expires_at": show::time(certificate.ends),
        "opened_by": certificate.provider,
        "certificate": { "fingerprint": certificate.fingerprint, "name_kind": kind },
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
    let mut held: Vec<(String, Value)> = found
        .into_iter()
        .filter(|listed| holds(&call, listed))
        .map(|listed| (listed.session.id.clone(), shown(identity, &listed)))
        .collect();
    let certificates = call.api.verifier.usage.certificates_of(identity);
    held.extend(certificates.iter().map(|listed| {
        let shown = shown_certificate(identity, listed);
        (listed.certificate.fingerprint.to_string(), shown)
    }));
    held.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(call.list_of(held, |_, shown| Some(shown)))
}

/// What a URL names.
enum Named {
    Session(SessionId),
    /// The fingerprint of a client certificate.
    Certificate(String),
}

/// The identity, and which session of it a URL names.
fn one(target: &Target) -> Result<(&str, Named), Problem> {
    let not_found = || Problem::not_found(&target.0);
    let (rest, id) = target.0.rsplit_once('/').ok_or_else(not_found)?;
    let identity = rest.strip_suffix("/session").ok_or_else(not_found)?;
    let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if id.len() == 64 && id.bytes().all(hexadecimal) {
        return Ok((identity, Named::Certificate(id.to_owned())));
    }
    let id = SessionId::parse(id).ok_or_else(not_found)?;
    Ok((identity, Named::Session(id)))
}

/// A session that is remembered, of this identity.
fn remembered(call: &Call, identity: &str, id: SessionId) -> Option<ListedSession> {
    let listed = call.api.verifier.usage.session(id.as_str())?;
    (listed.session.principal == identity).then_some(listed)
}

async fn describe(call: Call, target: Target) -> Result<Response, Problem> {
    let (identity, id) = one(&target)?;
    may_list(&call, identity).map_err(|_| Problem::not_found(&target.0))?;
    let shown = match &id {
        Named::Session(id) => remembered(&call, identity, *id)
            .filter(|listed| holds(&call, listed))
            .map(|listed| shown(identity, &listed)),
        Named::Certificate(fingerprint) => {
            let connected = call.api.verifier.usage.certificates_of(identity);
            let mut connected = connected.iter();
            let found = connected.find(|one| *one.certificate.fingerprint == **fingerprint);
            found.map(|listed| shown_certificate(identity, listed))
        }
    };
    let shown = shown.ok_or_else(|| Problem::not_found(&target.0))?;
    Ok(axum::Json(shown).into_response())
}

async fn revoke_one(call: Call, target: Target) -> Result<Response, Problem> {
    let (identity, id) = one(&target)?;
    let longest = u64::try_from(LONGEST_SESSION.as_millis()).unwrap_or(u64::MAX);
    let longest = UnixMillis(call.now.0.saturating_add(longest));
    let (id, expires) = match id {
        // One that is not remembered is ended like any other: within the longest time that a
        // session lasts. A token can be shown again to open its session again: not in that time.
        Named::Session(id) => {
            let listed = remembered(&call, identity, id);
            let of_token = |listed: &ListedSession| {
                let origin = listed.session.origins.first();
                origin.is_some_and(|origin| origin.token.is_some())
            };
            let end = listed.filter(|listed| !of_token(listed));
            let end = end.map_or(longest, |listed| listed.session.expires);
            (id.to_string(), end)
        }
        // A certificate opens nothing any more as this identity, as long as it lasts.
        Named::Certificate(fingerprint) => {
            let connected = call.api.verifier.usage.certificates_of(identity);
            let mut connected = connected.iter();
            let found = connected.find(|one| *one.certificate.fingerprint == *fingerprint);
            // How long one lasts that is not connected now, nobody has seen.
            let end = found.map_or(UnixMillis(call.now.0.saturating_add(TEN_YEARS)), |one| {
                one.certificate.ends
            });
            (fingerprint, end)
        }
    };
    let changed = call
        .change(Change::RevokeSession {
            identity: identity.to_owned(),
            id: id.clone(),
            expires,
        })
        .await?;
    let mut shown = json!({ "path": target.0, "id": id, "revoked": true });
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
