//! What sessions of temporary credentials came from, and whether it still holds.

use std::collections::HashSet;
use std::sync::Arc;

use keyward_commands::ActionId;
use keyward_policy::{Effect, Policy, PolicyKind};

use crate::directory::Directory;
use crate::documents::{self, PolicyText};
use crate::entities::{Revocations, Trust, TrustKind};
use crate::ids::{IdentityIx, PathParts, UnixMillis};
use crate::people::LoginSession;
use crate::session::{Principal, Session, SessionEnded};
use crate::system::SystemPolicy;
use crate::temporary::{Origin, SessionPolicy, TemporarySession};
use crate::terms::lists_who_may_assume;
use crate::{conditions, grounds};

fn assume_role() -> Option<ActionId> {
    keyward_commands::action("sts:AssumeRole")
}

fn is_revoked(revocations: Option<&Revocations>, id: Option<&str>, issued: UnixMillis) -> bool {
    revocations.is_some_and(|revocations| {
        revocations.before.is_some_and(|before| issued < before)
            || id.is_some_and(|id| revocations.sessions.iter().any(|(known, _)| **known == *id))
    })
}

impl Directory {
    /// Whether somebody ended one session of an identity: by its id, or by the fingerprint of the
    /// client certificate that opens it.
    pub(crate) fn is_session_revoked(&self, identity: IdentityIx, id: &str) -> bool {
        let revocations = self
            .identity(identity)
            .and_then(|i| i.revocations.as_deref());
        revocations.is_some_and(|all| all.sessions.iter().any(|(known, _)| **known == *id))
    }

    /// Whether somebody ended the sessions of an identity that were open at a moment.
    pub(crate) fn are_sessions_revoked(&self, identity: IdentityIx, opened: UnixMillis) -> bool {
        let identity = self.identity(identity);
        is_revoked(
            identity.and_then(|i| i.revocations.as_deref()),
            None,
            opened,
        )
    }

    /// Whether a session of temporary credentials holds.
    pub(crate) fn check_temporary(
        &self,
        session: &TemporarySession,
        at: UnixMillis,
    ) -> Result<(), SessionEnded> {
        if at >= session.expires {
            return Err(SessionEnded::Expired);
        }
        if session.revision > self.revision {
            return Err(SessionEnded::NotYetKnown);
        }
        let ix = self
            .identity_at(&session.principal)
            .ok_or(SessionEnded::IdentityDeleted)?;
        let revocations = self.identity(ix).and_then(|i| i.revocations.as_deref());
        if is_revoked(revocations, Some(&session.id), session.issued) {
            return Err(SessionEnded::Revoked);
        }
        let named = session.policies.iter().filter_map(|policy| match policy {
            SessionPolicy::Named(path) => Some(path),
            SessionPolicy::Text(_) => None,
        });
        for path in named {
            if SystemPolicy::at(path).is_none() && self.policy_at(path).is_none() {
                return Err(SessionEnded::PolicyGone);
            }
        }
        let mut of = ix;
        for origin in &session.origins {
            of = self.check_origin(origin, of, session.revision, at)?;
        }
        Ok(())
    }

    /// Whether what one session of an identity was opened by still holds, and whose session that
    /// was.
    fn check_origin(
        &self,
        origin: &Origin,
        of: IdentityIx,
        revision: u64,
        at: UnixMillis,
    ) -> Result<IdentityIx, SessionEnded> {
        let ix = self
            .identity_at(&origin.principal)
            .ok_or(SessionEnded::IdentityDeleted)?;
        let identity = self.identity(ix).ok_or(SessionEnded::IdentityDeleted)?;
        if let Some(key_id) = &origin.access_key {
            let (_, key) = self
                .access_key(key_id)
                .ok_or(SessionEnded::AccessKeyDeleted)?;
            self.check_key(key, Some(revision), at)?;
        }
        if let Some(certificate) = &origin.certificate {
            self.check_origin_certificate(certificate, &origin.principal, at)?;
        }
        if let Some(login) = &origin.login {
            self.check_login(ix, login, at)?;
        }
        if let Some(issued) = origin.issued {
            let revocations = identity.revocations.as_deref();
            if is_revoked(revocations, origin.session.as_deref(), issued) {
                return Err(SessionEnded::Revoked);
            }
        }
        if ix != of && !self.still_lets_in(origin, ix, of, revision, at) {
            return Err(SessionEnded::TrustEnded);
        }
        Ok(ix)
    }

    /// Whether a login session of a person holds.
    pub(crate) fn check_login(
        &self,
        user: IdentityIx,
        login: &str,
        at: UnixMillis,
    ) -> Result<(), SessionEnded> {
        let open = self.login_session(user, login, at);
        open.map(drop).ok_or(SessionEnded::LoginEnded)
    }

    /// Whether the trust through which a role was assumed is there, under the conditions of then,
    /// and still reaches who assumed it; without a trust, whether the role still accepts it. The
    /// conditions themselves were those of the moment.
    fn still_lets_in(
        &self,
        origin: &Origin,
        caller: IdentityIx,
        role: IdentityIx,
        revision: u64,
        at: UnixMillis,
    ) -> bool {
        let reached = self.reached_now(caller, at);
        if let Some(path) = &origin.trust {
            let trust = self.trust_at(path).and_then(|ix| self.trust(ix));
            return trust.is_some_and(|trust| {
                trust.trustor == role
                    && trust.accepted
                    && trust.expires_at.is_none_or(|end| at < end)
                    && trust.conditions_revision <= revision
                    && reached.contains(&trust.trustee)
            });
        }
        let Some(role) = self.identity(role) else {
            return false;
        };
        // A vendor's trust document tells everybody who may, the owner included.
        let listed = self.resource_policy(&role.path);
        let listed = listed.is_some_and(|policy| lists_who_may_assume(policy));
        let owner = role.organisation.filter(|_| !listed);
        if owner.is_some_and(|owner| reached.contains(&owner)) {
            return true;
        }
        let caller = self.identity(caller).map_or("", |i| &i.path);
        self.names_for_assuming(&role.path, caller, &reached, at)
    }

    /// Whether the resource policy of a role accepts one of the identities for assuming it,
    /// whatever its conditions.
    fn names_for_assuming(
        &self,
        role: &str,
        caller: &str,
        reached: &HashSet<IdentityIx>,
        at: UnixMillis,
    ) -> bool {
        let (Some(ix), Some(action)) = (self.identity_at(caller), assume_role()) else {
            return false;
        };
        let grounds = self.grounds(&Session::of_identity(ix), role, false, at);
        let own = grounds.resource_policy.len() - grounds.assumable.len();
        let of_reached = |node: &grounds::Node| {
            let known = self.identity_at(&node.path);
            known.is_some_and(|ix| reached.contains(&ix))
        };
        let federated = keyward_commands::action("sts:AssumeRoleWithWebIdentity");
        grounds.resource_policy[..own].iter().any(|policy| {
            policy.statements().iter().any(|statement| {
                let speaks = statement.vendor.is_some()
                    || statement.actions.contains(action)
                    || federated.is_some_and(|action| statement.actions.contains(action));
                let mut nodes = grounds.nodes.iter().enumerate();
                statement.effect == Effect::Allow
                    && speaks
                    && nodes.any(|(at, node)| of_reached(node) && grounds.names(statement, at))
            })
        })
    }

    /// The identities that are reached by trusts that are accepted and have not expired, whatever
    /// their conditions.
    fn reached_now(&self, from: IdentityIx, at: UnixMillis) -> HashSet<IdentityIx> {
        let mut reached = HashSet::from([from]);
        let mut open = vec![from];
        while let Some(ix) = open.pop() {
            for trust in self.standing_above(ix).filter(|t| is_now(t, at)) {
                if reached.insert(trust.trustor) {
                    open.push(trust.trustor);
                }
            }
        }
        reached
    }

    fn standing_above(&self, ix: IdentityIx) -> impl Iterator<Item = &Trust> {
        let trusts = self.identity(ix).map_or(&[][..], |i| &i.trusted_by);
        let trusts = trusts.iter().filter_map(|trust| self.trust(*trust));
        trusts.filter(|trust| trust.accepted && trust.kind != TrustKind::Assumable)
    }

    /// The next moment at which a session may end by itself.
    pub fn session_end(&self, session: &Session, at: UnixMillis) -> Option<UnixMillis> {
        let mut ends: Vec<UnixMillis> = Vec::new();
        let key = session.access_key.and_then(|ix| self.access_key_by_ix(ix));
        ends.extend(key.and_then(|key| self.access_key_end(key)));
        ends.extend(session.certificate.as_ref().map(|found| found.ends));
        ends.extend(self.login_of(session, at).map(|login| login.expires_at));
        if let Some(temporary) = &session.temporary {
            ends.push(temporary.expires);
            for origin in &temporary.origins {
                let key = origin
                    .access_key
                    .as_deref()
                    .and_then(|id| self.access_key(id));
                ends.extend(key.and_then(|(_, key)| self.access_key_end(key)));
                ends.extend(origin.certificate.as_ref().map(|found| found.ends));
                let user = self.identity_at(&origin.principal);
                let login = user.zip(origin.login.as_deref());
                let login = login.and_then(|(user, id)| self.login_session(user, id, at));
                ends.extend(login.map(|login| login.expires_at));
                let trust = origin.trust.as_deref().and_then(|path| self.trust_at(path));
                ends.extend(trust.and_then(|ix| self.trust(ix)?.expires_at));
                ends.extend(self.expiries_above(&origin.principal));
            }
        }
        // What is over already ended the session, or does not matter.
        let next = ends.into_iter().filter(|end| *end > at).min();
        let over = session.temporary.as_ref().is_some_and(|t| t.expires <= at);
        if over { Some(at) } else { next }
    }

    /// The login session of a person, of which a session is.
    pub(crate) fn login_of(&self, session: &Session, at: UnixMillis) -> Option<&LoginSession> {
        let Principal::Identity(user) = session.principal else {
            return None;
        };
        self.login_session(user, session.login.as_deref()?, at)
    }

    /// What signed a person in, or vouched for a program, by the path of the provider.
    pub(crate) fn login_provider(&self, session: &Session, at: UnixMillis) -> Option<&str> {
        if let Some(login) = self.login_of(session, at) {
            return login.provider.as_deref();
        }
        let token = session.token.as_ref().and(match session.principal {
            Principal::Identity(ix) => self.identity(ix),
            Principal::Unauthenticated => None,
        });
        if let Some(provider) = token {
            return Some(&provider.path);
        }
        let origins = session.temporary.as_deref().map_or(&[][..], |t| &t.origins);
        origins.iter().find_map(|origin| {
            let ix = self.identity_at(&origin.principal)?;
            match (&origin.login, &origin.token) {
                (Some(login), _) => self.login_session(ix, login, at)?.provider.as_deref(),
                (None, Some(_)) => Some(&*self.identity(ix)?.path),
                (None, None) => None,
            }
        })
    }

    /// The ends of all standing trusts that are reached from an identity.
    fn expiries_above(&self, path: &str) -> Vec<UnixMillis> {
        let Some(from) = self.identity_at(path) else {
            return Vec::new();
        };
        let (mut seen, mut open) = (HashSet::from([from]), vec![from]);
        let mut ends = Vec::new();
        while let Some(ix) = open.pop() {
            for trust in self.standing_above(ix) {
                ends.extend(trust.expires_at);
                if seen.insert(trust.trustor) {
                    open.push(trust.trustor);
                }
            }
        }
        ends
    }

    /// The policies of a session, compiled; `None` if one cannot be found or read any more.
    pub(crate) fn session_documents(&self, session: &TemporarySession) -> Option<Vec<Arc<Policy>>> {
        let organisation = PathParts::of(&session.principal).and_then(|parts| parts.organisation);
        let organisation = organisation.unwrap_or_default();
        let compile = |written: &PolicyText| {
            let kind = PolicyKind::Identity;
            documents::read(written.dialect, &written.text, kind, organisation).ok()
        };
        let found = session.policies.iter().map(|policy| match policy {
            SessionPolicy::Text(written) => compile(written),
            SessionPolicy::Named(path) => self.named_document(path, organisation),
        });
        found.collect()
    }

    /// A named policy of an organisation, or one of the system.
    fn named_document(&self, path: &str, organisation: &str) -> Option<Arc<Policy>> {
        if let Some(system) = SystemPolicy::at(path) {
            return system.read(organisation).ok();
        }
        let of = PathParts::of(path).and_then(|parts| parts.organisation);
        if of != Some(organisation) {
            return None;
        }
        Some(Arc::clone(self.policy(self.policy_at(path)?)?.default()))
    }

    /// What the assumable trusts of a role say as statements of its resource policy, and which
    /// they are.
    pub(crate) fn assumable_acceptance(
        &self,
        resource: &str,
        at: UnixMillis,
    ) -> (Vec<Arc<Policy>>, Vec<Arc<str>>) {
        let trusts = self.assumable_trusts(resource, at);
        let accepting = trusts.filter_map(|trust| {
            let accepted = self.acceptance(trust, None)?;
            Some((accepted, Arc::clone(&trust.path)))
        });
        accepting.unzip()
    }

    /// The assumable trusts of a role that are accepted and have not expired.
    pub(crate) fn assumable_trusts(
        &self,
        role: &str,
        at: UnixMillis,
    ) -> impl Iterator<Item = &Trust> {
        let role = self.identity_at(role).and_then(|ix| self.identity(ix));
        let trusts = role.and_then(|identity| Some(&identity.role.as_deref()?.assumable));
        let trusts = trusts.into_iter().flatten();
        trusts
            .filter_map(|ix| self.trust(*ix))
            .filter(move |trust| trust.accepted && is_now(trust, at))
    }

    /// See [`conditions::acceptance`].
    pub(crate) fn acceptance(&self, trust: &Trust, tag: Option<&str>) -> Option<Arc<Policy>> {
        let trustee = self.identity(trust.trustee)?;
        let organisation = PathParts::of(&trust.path)?.organisation?;
        conditions::acceptance(trust, &trustee.path, organisation, tag)
    }
}

fn is_now(trust: &Trust, at: UnixMillis) -> bool {
    trust.expires_at.is_none_or(|end| at < end)
}
