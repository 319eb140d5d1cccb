//! Sessions of temporary credentials that were opened: written down with who, when and from where
//! before their credentials are handed out, and found again after a restart; and the keys that sign
//! them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use keyward_auth::{KeptSession, SigningKeys, Usage, Verifier};
use keyward_iam::{Change, ChangeError, Kind, PathParts, TemporarySession, UnixMillis};
use keyward_store::{AuditRecord, EventEntry, ReadAuditError, SessionRow, StoreError};
use serde_json::{Value, json};

use crate::api::Api;
use crate::control::{ControlPlane, Refusal};
use crate::problem::Problem;
use crate::request_id::RequestId;

/// Rows that are written at once: the control plane goes on in between.
const ROWS_AT_ONCE: usize = 2_000;

/// The action that opened a session: what its first origin came with tells.
fn action(session: &TemporarySession) -> &'static str {
    let is_role = PathParts::of(&session.principal).is_some_and(|parts| parts.kind == Kind::Role);
    let of_token = |origin: &keyward_iam::Origin| origin.token.is_some();
    match session.origins.first() {
        Some(origin) if of_token(origin) => "sts:AssumeRoleWithWebIdentity",
        _ if is_role => "sts:AssumeRole",
        _ => "sts:GetSessionToken",
    }
}

/// The audit record of a session that was opened. None of its credentials.
fn record(
    session: &TemporarySession,
    source: Option<IpAddr>,
    request_id: Option<String>,
) -> AuditRecord {
    let origin = session.origins.first();
    let action = action(session);
    let token = origin.and_then(|origin| {
        let (issuer, subject) = origin.token.as_ref()?;
        Some(json!({ "issuer": issuer, "subject": subject, "id": origin.token_id }))
    });
    let certificate = origin.and_then(|origin| origin.certificate.as_ref());
    let mut summary = json!({
        "change": "open_session", "session": session.id, "name": session.name,
        "expires_at": session.expires,
    });
    let more = [
        ("trust", session.trust.as_deref().map(Value::from)),
        (
            "source_identity",
            session.source_identity.as_deref().map(Value::from),
        ),
        (
            "tags",
            (!session.tags.is_empty()).then(|| json!(session.tags)),
        ),
        ("mfa", session.mfa.map(|at| json!(at))),
        (
            "access_key",
            origin
                .and_then(|o| o.access_key.as_deref())
                .map(Value::from),
        ),
        (
            "login",
            origin.and_then(|o| o.login.as_deref()).map(Value::from),
        ),
        (
            "opened_with_session",
            origin.and_then(|o| o.session.as_deref()).map(Value::from),
        ),
        ("certificate", certificate.map(|one| json!(one.fingerprint))),
        ("token", token),
        (
            "policies",
            (!session.policies.is_empty()).then(|| session.policies.len().into()),
        ),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            crate::show::insert(&mut summary, name, value);
        }
    }
    AuditRecord {
        at: session.issued,
        principal: origin.map_or_else(|| "unknown".to_owned(), |origin| origin.principal.clone()),
        actions: vec![format!("{action} on {}", session.principal)],
        resource: session.principal.clone(),
        summary,
        source,
        request_id,
    }
}

fn row(kept: &KeptSession) -> Option<SessionRow> {
    Some(SessionRow {
        id: kept.session.id.clone(),
        expires: kept.session.expires.0,
        body: serde_json::to_string(kept).ok()?,
    })
}

impl ControlPlane {
    /// Finds the sessions again that were open before the process started.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn restore_sessions(&self, usage: &Usage, now: UnixMillis) -> Result<(), StoreError> {
        let stored = self.store().sessions(now.0)?;
        let kept = stored
            .iter()
            .filter_map(|body| serde_json::from_str(body).ok());
        usage.restore_sessions(kept, now);
        Ok(())
    }

    /// Writes down sessions that the gateway has opened, with their audit. Blocks while the disk is
    /// written.
    ///
    /// # Errors
    /// They could not be written.
    pub fn keep_opened(&self, usage: &Usage) -> Result<(), StoreError> {
        let told = usage.take_opened();
        if told.lost > 0 {
            tracing::error!(
                sessions = told.lost,
                "more sessions were opened at once than could be written down"
            );
        }
        for (number, some) in told.opened.chunks(ROWS_AT_ONCE).enumerate() {
            let rows: Vec<SessionRow> = some
                .iter()
                .filter_map(|(session, opened_from)| {
                    row(&KeptSession {
                        session: (**session).clone(),
                        opened_from: *opened_from,
                        last_used: None,
                    })
                })
                .collect();
            let audit: Vec<AuditRecord> = some
                .iter()
                .map(|(session, source)| record(session, *source, None))
                .collect();
            let written = self.store().put_sessions(&rows, &audit);
            if let Err(error) = written {
                usage.return_opened(&told.opened[number * ROWS_AT_ONCE..]);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes down what is new about sessions, and forgets those that have ended. Blocks while the
    /// disk is written.
    ///
    /// # Errors
    /// It could not be written.
    pub fn keep_sessions(&self, usage: &Usage, now: UnixMillis) -> Result<(), StoreError> {
        let new = usage.take_new_sessions(now);
        for some in new.chunks(ROWS_AT_ONCE) {
            let rows: Vec<SessionRow> = some.iter().filter_map(row).collect();
            self.store().put_sessions(&rows, &[])?;
        }
        self.store().prune_sessions(now.0)
    }

    /// Makes a new key that signs sessions. It signs only after it was stored; the former ones
    /// verify until their sessions end, or not at all if sessions are to end. Open connections of
    /// these end, too. Blocks while the disk is written.
    ///
    /// # Errors
    /// It could not be stored, or sessions not be ended. The former keys stay in use if it was not
    /// stored.
    pub fn rotate_signing_keys(
        &self,
        verifier: &Verifier,
        end_sessions: bool,
        now: UnixMillis,
    ) -> Result<(), RotateError> {
        {
            // One at a time: the store is held from the keys that there are to those that follow.
            let mut store = self.store();
            let next = match end_sessions {
                true => SigningKeys::generate(now),
                false => verifier.issuer.keys().rotated(now),
            };
            let record = AuditRecord {
                at: now,
                principal: "system".to_owned(),
                actions: Vec::new(),
                resource: "signing_keys".to_owned(),
                summary: json!({ "change": "rotate_signing_keys", "end_sessions": end_sessions }),
                source: None,
                request_id: RequestId::current().map(|id| id.to_string()),
            };
            store.put_sealed(SigningKeys::NAME, &next.seal(&verifier.master_key))?;
            verifier.issuer.install(next);
            store.put_sessions(&[], &[record])?;
        }
        if end_sessions {
            for identity in verifier.usage.principals_of_sessions(now) {
                // Who was deleted meanwhile has no sessions.
                let change = Change::RevokeSessions {
                    identity,
                    before: now,
                };
                match self.change_as_operator(&change, now) {
                    Ok(_) | Err(Refusal::Change(ChangeError::NotFound { .. })) => {}
                    Err(error) => return Err(RotateError::Sessions(Box::new(error))),
                }
            }
        }
        Ok(())
    }

    /// Looks after the signing keys: a new one when it is time, and none whose sessions have all
    /// ended. Blocks while the disk is written.
    ///
    /// # Errors
    /// They could not be stored. The former keys stay in use.
    pub fn keep_signing_keys(
        &self,
        verifier: &Verifier,
        period: Duration,
        now: UnixMillis,
    ) -> Result<(), RotateError> {
        if verifier.issuer.keys().is_due(period, now) {
            return self.rotate_signing_keys(verifier, false, now);
        }
        let mut store = self.store();
        if let Some(fewer) = verifier.issuer.keys().without_idle(now) {
            store.put_sealed(SigningKeys::NAME, &fewer.seal(&verifier.master_key))?;
            verifier.issuer.install(fewer);
        }
        Ok(())
    }

    /// What happened after an event without changing the directory (sessions that were opened),
    /// oldest first, at most `limit`.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn events_since(
        &self,
        number: u64,
        limit: usize,
    ) -> Result<Vec<EventEntry>, ReadAuditError> {
        self.store().events_since(number, limit)
    }
}

/// Why signing keys were not rotated, or not wholly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The new keys could not be stored; the former ones stay in use.
    #[error("a new signing key could not be stored")]
    Store(#[from] StoreError),
    /// The keys are new, and not all open sessions were ended.
    #[error("the keys were rotated, but open connections of sessions could not be ended")]
    Sessions(#[source] Box<Refusal>),
}

/// Writes a session down, with its audit, before anybody gets its credentials.
pub(crate) async fn keep(
    api: &Api,
    session: &Arc<TemporarySession>,
    source: IpAddr,
) -> Result<(), Problem> {
    let kept = KeptSession {
        session: (**session).clone(),
        opened_from: Some(source),
        last_used: None,
    };
    let request_id = RequestId::current().map(|id| id.to_string());
    let audit = record(session, Some(source), request_id);
    let control = Arc::clone(&api.control);
    let written = tokio::task::spawn_blocking(move || {
        let row = row(&kept).into_iter().collect::<Vec<_>>();
        control.store().put_sessions(&row, &[audit])
    });
    match written.await {
        Ok(Ok(())) => {
            api.verifier.usage.issued(session, Some(source));
            Ok(())
        }
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(
                error,
                "a session could not be written down: it is not opened"
            );
            Err(failed())
        }
        Err(_) => Err(failed()),
    }
}

fn failed() -> Problem {
    let text = "the session could not be written down, and is not opened";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", text)
}
