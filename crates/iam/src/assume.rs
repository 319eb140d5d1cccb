//! Opening sessions of temporary credentials: who may assume a role, through which trust, and what
//! the session is then.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_commands::ActionId;
use keyward_policy::{Findings, PolicyKind, Touch};

use crate::certificates::CertificateSession;
use crate::decision::{Decision, Outcome};
use crate::directory::Directory;
use crate::documents;
use crate::entities::Trust;
use crate::evaluate::Question;
use crate::facts::{AskedFacts, RequestFacts};
use crate::grounds::Grounds;
use crate::ids::{Kind, PathParts, UnixMillis};
use crate::session::{Principal, Session, SessionEnded};
use crate::system::SystemPolicy;
use crate::tags::{TagError, Tags};
use crate::temporary::{Origin, SessionPolicy, TemporarySession};

/// Seconds that a session lasts at most that was opened with one of another role.
pub const MAX_CHAINED_SECONDS: u32 = 3600;

/// Shortest session, in seconds.
const MIN_SECONDS: u32 = 900;

/// Longest session of `GetSessionToken`, and how long it lasts where nobody says, in seconds.
const MAX_TOKEN_SECONDS: u32 = 43_200;

/// Session policies of one session, and all their text together, in bytes: what has to fit into a
/// signed token.
const MAX_SESSION_POLICIES: usize = 10;
const MAX_SESSION_POLICY_BYTES: usize = 8192;

/// What is asked for when a role is assumed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AssumeRole {
    /// Path of the role.
    pub role: String,
    /// What the session is called: 2 to 64 of letters, digits and `_+=,.@-`.
    pub session_name: String,
    /// How long it is to last; `None`: an hour, or as long as the role permits.
    pub duration_seconds: Option<u32>,
    /// What limits the session.
    pub policies: Vec<SessionPolicy>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Keys of those that sessions opened with it inherit.
    pub transitive_tag_keys: Vec<String>,
    /// What the role's side told the caller, so that it cannot be made to act for somebody else.
    pub external_id: Option<String>,
    /// Who is behind the session. Once set it stays along a chain of roles.
    pub source_identity: Option<String>,
    /// Path of the assumable trust that is meant, where several let the caller in.
    pub trust: Option<String>,
}

/// A session that may be opened, and the decision that says so.
#[derive(Clone, Debug)]
pub struct AssumedRole {
    /// The session.
    pub session: TemporarySession,
    /// Why.
    pub decision: Decision,
}

/// Why no session of a role is opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssumeRoleError {
    /// It is not allowed.
    #[error("{}", .0.public_message)]
    Denied(Box<Decision>),
    /// What the caller came with has ended.
    #[error(transparent)]
    Ended(#[from] SessionEnded),
    /// There is no such role. Told only to whom it would be allowed.
    #[error("there is no role `{role}`")]
    NoRole {
        /// What was asked for.
        role: String,
    },
    /// Several trusts let the caller in, and they pass on different things.
    #[error("several trusts let you assume it; say which: {}", trusts.join(", "))]
    Ambiguous {
        /// Their paths.
        trusts: Vec<String>,
    },
    /// A length that no session of it may have.
    #[error("a session lasts {MIN_SECONDS} to {max} seconds here, not {found}")]
    Duration {
        /// What was asked for.
        found: u32,
        /// The longest.
        max: u32,
    },
    /// A session policy that validation refuses.
    #[error("session policy {}: {findings}", number + 1)]
    Policy {
        /// Position in the list.
        number: usize,
        /// Where and why.
        findings: Findings,
    },
    /// A tag that breaks a rule.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// Something else in the request is wrong.
    #[error("{reason}")]
    Invalid {
        /// What, and what to do.
        reason: String,
    },
}

/// Why an identity gets no session of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionTokenError {
    /// A policy denies it.
    #[error("{}", .0.public_message)]
    Denied(Box<Decision>),
    /// What the caller came with has ended.
    #[error(transparent)]
    Ended(#[from] SessionEnded),
    /// A length that no session may have.
    #[error("a session lasts {MIN_SECONDS} to {MAX_TOKEN_SECONDS} seconds, not {found}")]
    Duration {
        /// What was asked for.
        found: u32,
    },
    /// The caller has temporary credentials already, or none of its own.
    #[error("temporary credentials are given for a permanent key, a certificate or a login alone")]
    NotPermanent,
}

fn invalid(reason: impl Into<String>) -> AssumeRoleError {
    AssumeRoleError::Invalid {
        reason: reason.into(),
    }
}

/// Names of sessions and source identities: what AWS permits.
fn check_name(what: &str, text: &str, longest: usize, more: &str) -> Result<(), AssumeRoleError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) || more.contains(c);
    if (2..=longest).contains(&text.len()) && text.chars().all(fits) {
        return Ok(());
    }
    Err(invalid(format!(
        "{what} has 2 to {longest} letters, digits and `_+=,.@-{more}`"
    )))
}

/// What a request for a session comes to before anything is decided.
struct Asked<'a> {
    ask: &'a AssumeRole,
    /// Those that are asked for.
    tags: Tags,
    /// Those that the session will have, the inherited included.
    all_tags: BTreeMap<String, String>,
    transitive: Vec<String>,
    source_identity: Option<String>,
}

impl<'a> Asked<'a> {
    fn of(ask: &'a AssumeRole, caller: &Session) -> Result<Self, AssumeRoleError> {
        check_name("the name of a session", &ask.session_name, 64, "")?;
        if let Some(id) = &ask.external_id {
            check_name("an external id", id, 1224, ":/")?;
        }
        if let Some(name) = &ask.source_identity {
            check_name("a source identity", name, 64, "")?;
        }
        let earlier = caller.temporary.as_deref();
        let known = earlier.and_then(|session| session.source_identity.clone());
        let source_identity = match (known, &ask.source_identity) {
            (Some(known), Some(asked)) if known != *asked => {
                return Err(invalid("the source identity of a session stays what it is"));
            }
            (known, asked) => known.or_else(|| asked.clone()),
        };
        let tags = Tags::default().changed(&ask.tags, &[])?;
        let mut inherited: BTreeMap<String, String> = BTreeMap::new();
        for key in earlier.map_or(&[][..], |session| &session.transitive_tags) {
            let value = earlier.and_then(|session| session.tags.get(key));
            inherited.extend(value.map(|value| (key.clone(), value.clone())));
        }
        let mut transitive: Vec<String> = inherited.keys().cloned().collect();
        for key in ask.tags.keys() {
            let same = |known: &String| known.to_lowercase() == key.to_lowercase();
            if inherited.keys().any(same) {
                return Err(invalid(format!("the tag `{key}` is inherited and stays")));
            }
        }
        for key in &ask.transitive_tag_keys {
            if !ask.tags.contains_key(key) {
                return Err(invalid(format!(
                    "`{key}` is none of the tags that are given"
                )));
            }
            if !transitive.contains(key) {
                transitive.push(key.clone());
            }
        }
        inherited.extend(ask.tags.clone());
        let all = Tags::default().changed(&inherited, &[])?; // too many together is an error, too
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Ok(Self {
            ask,
            tags,
            all_tags: all.iter().map(own).collect(),
            transitive,
            source_identity,
        })
    }

    fn facts(&self, tag_key: Option<&'a str>) -> AskedFacts<'_> {
        let all = self.ask.tags.keys().map(String::as_str);
        AskedFacts {
            session_name: &self.ask.session_name,
            external_id: self.ask.external_id.as_deref(),
            source_identity: self.source_identity.as_deref(),
            tags: self.tags.clone(),
            tag_keys: tag_key.map_or_else(|| all.collect(), |key| vec![key]),
        }
    }
}

fn evaluate(grounds: &Grounds, action: ActionId) -> Decision {
    let request = &RequestFacts::plain(&grounds.facts, grounds.now);
    grounds.evaluate(&Question {
        action,
        touch: Touch::None,
        request,
    })
}

/// The grounds as one assumable trust has them: it alone accepts, and it accepts nobody but its
/// trustee.
fn of_trust(
    mut grounds: Grounds,
    accepted: Arc<keyward_policy::Policy>,
    path: &Arc<str>,
) -> Grounds {
    grounds.resource_policy = vec![accepted];
    grounds.assumable = vec![Arc::clone(path)];
    for node in &mut grounds.nodes {
        node.owner = false;
    }
    grounds
}

/// The grounds as the role itself has them, its assumable trusts left out.
fn of_role(mut grounds: Grounds) -> Grounds {
    let own = grounds.resource_policy.len() - grounds.assumable.len();
    grounds.resource_policy.truncate(own);
    grounds.assumable.clear();
    grounds
}

impl Directory {
    /// Decides whether the caller may assume a role, and what session that gives. `id` is that of
    /// the new credentials.
    ///
    /// # Errors
    /// Why not.
    pub fn assume_role(
        &self,
        caller: &Session,
        ask: &AssumeRole,
        id: &str,
        at: UnixMillis,
    ) -> Result<AssumedRole, AssumeRoleError> {
        self.check_session(caller, at)?;
        self.assume(caller, "sts:AssumeRole", ask, id, at)
    }

    /// Decides whether whoever presents a verified token may assume a role. `provider` is the path
    /// of the identity provider that vouches for it: one of the role's own organisation.
    ///
    /// # Errors
    /// Why not.
    pub fn assume_role_with_token(
        &self,
        provider: &str,
        token: &Arc<crate::temporary::TokenFacts>,
        ask: &AssumeRole,
        connection: &Session,
        id: &str,
        at: UnixMillis,
    ) -> Result<AssumedRole, AssumeRoleError> {
        let vouching = self.identity_at(provider).filter(|ix| {
            self.identity(*ix)
                .is_some_and(|identity| identity.kind == Kind::IdentityProvider)
        });
        let vouching = vouching.ok_or(SessionEnded::IdentityDeleted)?;
        let organisation = |path: &str| {
            let parts = PathParts::of(path)?;
            Some(parts.organisation?.to_owned())
        };
        if organisation(provider) != organisation(&ask.role) {
            return Err(invalid(
                "a provider speaks for roles of its own organisation alone",
            ));
        }
        let caller = Session {
            source: connection.source,
            secure: connection.secure,
            token: Some(Arc::clone(token)),
            ..Session::of_identity(vouching)
        };
        self.assume(&caller, "sts:AssumeRoleWithWebIdentity", ask, id, at)
    }

    fn assume(
        &self,
        caller: &Session,
        action: &'static str,
        ask: &AssumeRole,
        id: &str,
        at: UnixMillis,
    ) -> Result<AssumedRole, AssumeRoleError> {
        let asked = Asked::of(ask, caller)?;
        self.check_session_policies(&ask.role, &ask.policies)?;
        let (trust, decision) = self.let_in(caller, action, &asked, at)?;
        let role = self.identity_at(&ask.role).and_then(|ix| self.identity(ix));
        let details = role.and_then(|identity| identity.role.as_deref());
        let details = details.ok_or_else(|| AssumeRoleError::NoRole {
            role: ask.role.clone(),
        })?;
        let earlier = caller.temporary.as_deref();
        let chained = earlier.is_some_and(|session| self.is_role(&session.principal));
        let max = match chained {
            true => details.max_session_seconds.min(MAX_CHAINED_SECONDS),
            false => details.max_session_seconds,
        };
        let seconds = ask
            .duration_seconds
            .unwrap_or_else(|| crate::DEFAULT_SESSION_SECONDS.min(max));
        if !(MIN_SECONDS..=max).contains(&seconds) {
            return Err(AssumeRoleError::Duration {
                found: seconds,
                max,
            });
        }
        let mut expires = UnixMillis(at.0.saturating_add(u64::from(seconds) * 1000));
        // Not longer than what it comes from.
        let ends = [
            trust.and_then(|trust| trust.expires_at),
            earlier.map(|session| session.expires),
            caller
                .certificate
                .as_ref()
                .map(|certificate| certificate.ends),
            self.login_of(caller, at).map(|login| login.expires_at),
            caller
                .access_key
                .and_then(|ix| self.access_key_end(self.access_key_by_ix(ix)?)),
        ];
        for end in ends.into_iter().flatten() {
            expires = expires.min(end);
        }
        let trust = trust.map(|trust| trust.path.to_string());
        let mut origins = vec![self.origin(caller, trust.clone())];
        origins.extend(
            earlier
                .map_or(&[][..], |session| &session.origins)
                .iter()
                .cloned(),
        );
        let session = TemporarySession {
            id: id.to_owned(),
            principal: ask.role.clone(),
            name: ask.session_name.clone(),
            issued: at,
            expires,
            revision: self.revision,
            trust,
            policies: ask.policies.clone(),
            tags: asked.all_tags,
            transitive_tags: asked.transitive,
            source_identity: asked.source_identity,
            mfa: caller.mfa,
            origins,
        };
        Ok(AssumedRole { session, decision })
    }

    pub(crate) fn is_role(&self, path: &str) -> bool {
        PathParts::of(path).is_some_and(|parts| parts.kind == Kind::Role)
    }

    /// Where a session comes from that a caller opens.
    fn origin(&self, caller: &Session, trust: Option<String>) -> Origin {
        let key = caller.access_key.and_then(|ix| self.access_key_by_ix(ix));
        let token = caller.token.as_deref();
        Origin {
            principal: self.principal_path(caller.principal).to_owned(),
            access_key: key.map(|key| key.key_id.to_string()),
            login: caller.login.as_deref().map(str::to_owned),
            session: caller.temporary.as_ref().map(|session| session.id.clone()),
            trust,
            token: token.map(|token| (token.issuer.clone(), token.subject.clone())),
            token_id: token.and_then(|token| token.token_id.clone()),
            issued: caller.temporary.as_ref().map(|session| session.issued),
            certificate: caller
                .certificate
                .as_deref()
                .map(CertificateSession::origin),
        }
    }

    /// By which trust a caller is let in, if not by the role itself.
    fn let_in(
        &self,
        caller: &Session,
        action: &'static str,
        asked: &Asked<'_>,
        at: UnixMillis,
    ) -> Result<(Option<&Trust>, Decision), AssumeRoleError> {
        let missing = || invalid(format!("the action `{action}` is not in the catalogue"));
        let action = keyward_commands::action(action).ok_or_else(missing)?;
        let role = &asked.ask.role;
        let mut grounds = self.grounds(caller, role, false, at);
        grounds.facts.ask(&asked.facts(None));
        let by_any = evaluate(&grounds, action);
        if by_any.outcome != Outcome::Allow {
            return Err(AssumeRoleError::Denied(Box::new(by_any)));
        }
        let mut through: Vec<(&Trust, Decision)> = Vec::new();
        for trust in self.assumable_trusts(role, at) {
            let named = asked.ask.trust.as_deref();
            if named.is_some_and(|named| *named != *trust.path) {
                continue;
            }
            let Some(accepted) = self.acceptance(trust, None) else {
                continue;
            };
            let decision = evaluate(&of_trust(grounds.clone(), accepted, &trust.path), action);
            if decision.is_allow() {
                through.push((trust, decision));
            }
        }
        let (trust, decision): (Option<&Trust>, Decision) = match (through.len(), &asked.ask.trust)
        {
            (0, Some(named)) => {
                return Err(invalid(format!("`{named}` does not let you assume it")));
            }
            // What a trust in a provider must fix, a resource policy need not.
            (0, None) if caller.token.is_some() => {
                return Err(invalid(
                    "a token is let in by an assumable trust in its provider alone",
                ));
            }
            (0, None) => (None, evaluate(&of_role(grounds.clone()), action)),
            (1, _) => {
                let (trust, decision) = through.remove(0);
                (Some(trust), decision)
            }
            _ => {
                let trusts = through.iter().map(|(trust, _)| trust.path.to_string());
                return Err(AssumeRoleError::Ambiguous {
                    trusts: trusts.collect(),
                });
            }
        };
        if !decision.is_allow() {
            return Err(AssumeRoleError::Denied(Box::new(decision)));
        }
        self.may_tag_session(grounds, trust, asked)?;
        Ok((trust, decision))
    }

    /// Each tag of a session is accepted by itself, by what lets the caller in.
    fn may_tag_session(
        &self,
        grounds: Grounds,
        trust: Option<&Trust>,
        asked: &Asked<'_>,
    ) -> Result<(), AssumeRoleError> {
        let Some(action) = keyward_commands::action("sts:TagSession") else {
            return Err(invalid(
                "the action `sts:TagSession` is not in the catalogue",
            ));
        };
        for key in asked.ask.tags.keys() {
            let mut whole = grounds.clone();
            whole.facts.ask(&asked.facts(Some(key)));
            let of_this = match trust {
                None => of_role(whole.clone()),
                Some(trust) => match self.acceptance(trust, Some(key)) {
                    None => return Err(invalid("the trust cannot be read")),
                    Some(accepted) => of_trust(whole.clone(), accepted, &trust.path),
                },
            };
            let mut decision = evaluate(&of_this, action);
            // What the role's own policy says of tags counts for whom a trust lets in, too.
            let of_role = evaluate(&of_role(whole), action);
            if of_role.outcome == Outcome::ExplicitDeny
                || (!decision.is_allow() && of_role.is_allow())
            {
                decision = of_role;
            }
            if !decision.is_allow() {
                for message in [&mut decision.message, &mut decision.public_message] {
                    *message = format!("tag `{key}`: {message}");
                }
                return Err(AssumeRoleError::Denied(Box::new(decision)));
            }
        }
        Ok(())
    }

    fn check_session_policies(
        &self,
        role: &str,
        policies: &[SessionPolicy],
    ) -> Result<(), AssumeRoleError> {
        let organisation = PathParts::of(role).and_then(|parts| parts.organisation);
        let organisation = organisation.unwrap_or_default();
        if policies.len() > MAX_SESSION_POLICIES {
            return Err(invalid(format!(
                "a session has {MAX_SESSION_POLICIES} policies at most"
            )));
        }
        let size = policies.iter().map(|policy| match policy {
            SessionPolicy::Text(written) => written.text.len(),
            SessionPolicy::Named(path) => path.len(),
        });
        if size.sum::<usize>() > MAX_SESSION_POLICY_BYTES {
            return Err(invalid(format!(
                "the policies of a session have {MAX_SESSION_POLICY_BYTES} bytes at most"
            )));
        }
        for (number, policy) in policies.iter().enumerate() {
            match policy {
                SessionPolicy::Text(written) => {
                    let kind = PolicyKind::Identity;
                    documents::read(written.dialect, &written.text, kind, organisation)
                        .map_err(|findings| AssumeRoleError::Policy { number, findings })?;
                }
                SessionPolicy::Named(path) => {
                    let of = PathParts::of(path).and_then(|parts| parts.organisation);
                    let known = SystemPolicy::at(path).is_some()
                        || (of == Some(organisation) && self.policy_at(path).is_some());
                    if !known {
                        return Err(invalid(format!(
                            "session policy {}: there is no policy `{path}` in org/{organisation}",
                            number + 1
                        )));
                    }
                }
            }
        }
        Ok(())
    }

    /// A session of the caller itself, with temporary credentials in the place of a permanent key
    /// or a login.
    ///
    /// # Errors
    /// Why not.
    pub fn session_token(
        &self,
        caller: &Session,
        duration_seconds: Option<u32>,
        id: &str,
        at: UnixMillis,
    ) -> Result<TemporarySession, SessionTokenError> {
        self.check_session(caller, at)?;
        let permanent =
            caller.access_key.is_some() || caller.login.is_some() || caller.certificate.is_some();
        let identity = match caller.principal {
            Principal::Identity(ix) => self.identity(ix),
            Principal::Unauthenticated => None,
        };
        let (Some(identity), true, None) = (identity, permanent, &caller.temporary) else {
            return Err(SessionTokenError::NotPermanent);
        };
        let seconds = duration_seconds.unwrap_or(MAX_TOKEN_SECONDS);
        if !(MIN_SECONDS..=MAX_TOKEN_SECONDS).contains(&seconds) {
            return Err(SessionTokenError::Duration { found: seconds });
        }
        // Everybody may have temporary credentials of its own, unless that is denied.
        if let Some(action) = keyward_commands::action("sts:GetSessionToken") {
            let decision = self.decide(caller, action, &identity.path, &Touch::None, at);
            if decision.outcome == Outcome::ExplicitDeny {
                return Err(SessionTokenError::Denied(Box::new(decision)));
            }
        }
        let mut expires = UnixMillis(at.0.saturating_add(u64::from(seconds) * 1000));
        let key = caller.access_key.and_then(|ix| self.access_key_by_ix(ix));
        let certificate = caller.certificate.as_ref().map(|found| found.ends);
        let login = self.login_of(caller, at).map(|login| login.expires_at);
        let key = key.and_then(|key| self.access_key_end(key));
        let ends = [key, certificate, login];
        for end in ends.into_iter().flatten() {
            expires = expires.min(end);
        }
        Ok(TemporarySession {
            id: id.to_owned(),
            principal: identity.path.to_string(),
            name: identity.id().to_owned(),
            issued: at,
            expires,
            revision: self.revision,
            trust: None,
            policies: Vec::new(),
            tags: BTreeMap::new(),
            transitive_tags: Vec::new(),
            source_identity: None,
            mfa: caller.mfa,
            origins: vec![self.origin(caller, None)],
        })
    }
}
