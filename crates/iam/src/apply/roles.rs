//! Roles, and the end of sessions.

use super::{ChangeError, Editor, Outcome};
use crate::entities::{DEFAULT_SESSION_SECONDS, RoleDetails};
use crate::ids::{IdentityIx, Kind, UnixMillis};

/// Shortest and longest sessions that a role may give, in seconds.
const SESSION_SECONDS: std::ops::RangeInclusive<u32> = 900..=43_200;

/// Sessions that one identity can have ended one by one and that would still run.
const MAX_REVOKED: usize = 1000;

fn check_seconds(seconds: u32) -> Outcome {
    if SESSION_SECONDS.contains(&seconds) {
        return Ok(());
    }
    let reason = format!("sessions of a role last 900 to 43200 seconds, not {seconds}");
    Err(ChangeError::Invalid { reason })
}

impl Editor<'_> {
    pub(super) fn create_role(
        &mut self,
        organisation: &str,
        id: &str,
        name: Option<&str>,
        description: Option<&str>,
        max_session_seconds: Option<u32>,
    ) -> Outcome {
        let max_session_seconds = max_session_seconds.unwrap_or(DEFAULT_SESSION_SECONDS);
        check_seconds(max_session_seconds)?;
        let ix = self.create_member(Kind::Role, organisation, id, name)?;
        self.identity_mut(ix).role = Some(Box::new(RoleDetails {
            description: description.map(Into::into),
            max_session_seconds,
            assumable: Vec::new(),
        }));
        Ok(())
    }

    fn role_at(&mut self, path: &str) -> Result<(IdentityIx, &mut RoleDetails), ChangeError> {
        let ix = self.identity_at(path)?;
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let role = self.identity_mut(ix).role.as_deref_mut();
        Ok((ix, role.ok_or_else(missing)?))
    }

    pub(super) fn update_role(
        &mut self,
        path: &str,
        name: Option<Option<&str>>,
        description: Option<Option<&str>>,
        max_session_seconds: Option<u32>,
    ) -> Outcome {
        self.role_at(path)?;
        if let Some(name) = name {
            self.rename(path, name)?;
        }
        let (_, role) = self.role_at(path)?;
        if let Some(seconds) = max_session_seconds {
            check_seconds(seconds)?;
            role.max_session_seconds = seconds;
        }
        if let Some(description) = description {
            role.description = description.map(Into::into);
        }
        self.changed(path);
        Ok(())
    }

    pub(super) fn revoke_sessions(&mut self, identity: &str, before: UnixMillis) -> Outcome {
        let ix = self.identity_at(identity)?;
        if before > self.context.at {
            let reason = "sessions that are not open yet cannot be ended".to_owned();
            return Err(ChangeError::Invalid { reason });
        }
        let revocations = self.identity_mut(ix).revocations.get_or_insert_default();
        revocations.before = revocations.before.max(Some(before));
        self.changed(identity);
        Ok(())
    }

    pub(super) fn revoke_session(
        &mut self,
        identity: &str,
        id: &str,
        expires: UnixMillis,
    ) -> Outcome {
        let ix = self.identity_at(identity)?;
        let now = self.context.at;
        let revocations = self.identity_mut(ix).revocations.get_or_insert_default();
        // What has ended anyway is forgotten.
        revocations.sessions.retain(|(_, end)| *end > now);
        if expires > now && !revocations.sessions.iter().any(|(known, _)| **known == *id) {
            if revocations.sessions.len() >= MAX_REVOKED {
                return Err(ChangeError::Limit {
                    what: "sessions ended one by one (end all before a moment instead)",
                    max: MAX_REVOKED,
                });
            }
            revocations.sessions.push((id.into(), expires));
        }
        self.changed(identity);
        Ok(())
    }
}
