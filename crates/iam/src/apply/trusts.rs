//! Trusts.

use std::sync::Arc;

use keyward_policy::Policy;

use super::policies::Purpose;
use super::{ChangeError, Editor, MAX_CHAIN, Outcome};
use crate::change::PolicyInput;
use crate::conditions;
use crate::directory::Entity;
use crate::entities::{Trust, TrustKind};
use crate::ids::{IdentityIx, Kind, PathParts, Slug, TrustIx, UnixMillis};

/// What a trust says beside its ends.
#[derive(Default)]
pub(super) struct Terms<'a> {
    pub(super) policies: &'a [PolicyInput],
    pub(super) expires_at: Option<UnixMillis>,
    pub(super) conditions: Option<&'a str>,
}

impl Editor<'_> {
    pub(super) fn new_trust(
        &self,
        path: &str,
        trustor: IdentityIx,
        trustee: IdentityIx,
        kind: TrustKind,
    ) -> Trust {
        Trust {
            path: path.into(),
            trustor,
            trustee,
            kind,
            policies: Vec::new(),
            expires_at: None,
            conditions: None,
            conditions_revision: 0,
            accepted: true,
            created: self.context.stamp(),
        }
    }

    pub(super) fn create_trust(
        &mut self,
        id: &str,
        (trustor, trustee): (&str, &str),
        kind: Option<TrustKind>,
        terms: &Terms<'_>,
    ) -> Outcome {
        let id: Slug = id.parse()?;
        let (from, to) = (self.identity_at(trustor)?, self.identity_at(trustee)?);
        let kind = self.kind_between(from, to, kind)?;
        let organisation = PathParts::of(trustor)
            .and_then(|p| p.organisation)
            .unwrap_or_default();
        let path = format!("org/{organisation}/trust/{id}");
        self.claim(&path)?;
        let twin = self
            .identity(to)
            .trusted_by
            .iter()
            .filter_map(|ix| self.directory.trust(*ix));
        if kind != TrustKind::Assumable
            && let Some(twin) = twin.into_iter().find(|twin| twin.trustor == from)
        {
            let reason = format!(
                "`{trustor}` trusts `{trustee}` already ({}): change that trust",
                twin.path
            );
            return Err(ChangeError::Exists { reason });
        }
        let mut trust = self.new_trust(&path, from, to, kind);
        trust.policies = self.attachments(terms.policies, organisation, Purpose::Grant)?;
        trust.expires_at = terms.expires_at;
        trust.conditions = self.conditions(terms.conditions, trustee, organisation)?;
        trust.accepted = self.context.accepts;
        self.check_provider_trust(&trust)?;
        if kind != TrustKind::Assumable {
            self.check_chain(from, to)?;
        }
        self.add_trust(trust)
    }

    pub(super) fn conditions(
        &self,
        text: Option<&str>,
        trustee: &str,
        organisation: &str,
    ) -> Result<Option<Arc<Policy>>, ChangeError> {
        let Some(text) = text else {
            return Ok(None);
        };
        let read = conditions::read(text, trustee, organisation);
        read.map(Some)
            .map_err(|findings| ChangeError::Conditions { findings })
    }

    /// What a trust between two identities is, and whether it may be.
    fn kind_between(
        &self,
        trustor: IdentityIx,
        trustee: IdentityIx,
        asked: Option<TrustKind>,
    ) -> Result<TrustKind, ChangeError> {
        let refuse = |reason: String| Err(ChangeError::Invalid { reason });
        let (from, to) = (self.identity(trustor), self.identity(trustee));
        let natural = match from.kind {
            Kind::Role => TrustKind::Assumable,
            Kind::Group => TrustKind::Membership,
            Kind::User => {
                let path = &from.path;
                return refuse(format!(
                    "`{path}` is a person: nobody else acts as a person"
                ));
            }
            Kind::OrganisationUser => {
                return refuse(format!(
                    "`{}` is a person's membership: invite somebody to it instead",
                    from.path
                ));
            }
            Kind::IdentityProvider => {
                return refuse(format!(
                    "`{}` vouches for others: nobody acts as it",
                    from.path
                ));
            }
            _ => TrustKind::Standing,
        };
        let path = &from.path;
        match asked {
            None => {}
            Some(TrustKind::Ownership) => {
                return refuse("ownership is moved, never made".to_owned());
            }
            Some(TrustKind::Assumable) if natural != TrustKind::Assumable => {
                return refuse(format!("only roles are assumed, and `{path}` is none"));
            }
            Some(TrustKind::Standing | TrustKind::Membership) if from.kind == Kind::Role => {
                return refuse(format!(
                    "`{path}` is a role: it is assumed, for a limited time; use a group for what \
                     is always on"
                ));
            }
            Some(TrustKind::Membership) if natural != TrustKind::Membership => {
                return refuse(format!("only groups have members, and `{path}` is none"));
            }
            Some(_) => {}
        }
        if to.kind == Kind::IdentityProvider && natural != TrustKind::Assumable {
            return refuse(format!(
                "`{}` vouches for others, and only roles trust it",
                to.path
            ));
        }
        Ok(natural)
    }

    /// "Standing trusts form no cycle and no path longer than 8."
    pub(super) fn check_chain(&self, trustor: IdentityIx, trustee: IdentityIx) -> Outcome {
        let above = self.directory.longest_above(trustor);
        if trustor == trustee || above.reaches(trustee) {
            let path = |ix| self.identity(ix).path.to_string();
            return Err(ChangeError::Cycle {
                trustor: path(trustor),
                trustee: path(trustee),
            });
        }
        let found = above.longest() + 1 + self.directory.longest_below(trustee);
        if found > MAX_CHAIN {
            return Err(ChangeError::TooLong { found });
        }
        Ok(())
    }

    pub(super) fn add_trust(&mut self, trust: Trust) -> Outcome {
        self.claim(&trust.path)?;
        self.put_trust(trust);
        Ok(())
    }

    /// Puts a trust at its path, whatever was there before.
    pub(super) fn put_trust(&mut self, trust: Trust) {
        let (path, from, to) = (trust.path.clone(), trust.trustor, trust.trustee);
        let ix = TrustIx(self.directory.trusts.push(trust));
        self.identity_mut(to).trusted_by.push(ix);
        let trustor = self.identity_mut(from);
        trustor.trustees += 1;
        if let Some(role) = &mut trustor.role {
            role.assumable.push(ix);
        }
        self.place(&path, Entity::Trust(ix));
    }

    pub(super) fn update_trust(
        &mut self,
        path: &str,
        policies: Option<&[PolicyInput]>,
        expires_at: Option<Option<UnixMillis>>,
        conditions: Option<Option<&str>>,
    ) -> Outcome {
        let (ix, trust) = self.trust_at(path)?;
        if trust.kind == TrustKind::Ownership {
            let reason = "ownership is moved, never edited".to_owned();
            return Err(ChangeError::Invalid { reason });
        }
        if let Some(policies) = policies {
            let organisation = PathParts::of(path)
                .and_then(|p| p.organisation)
                .unwrap_or_default();
            let policies = self.attachments(policies, organisation, Purpose::Grant)?;
            self.trust_mut(ix).policies = policies;
        }
        if let Some(expires_at) = expires_at {
            self.trust_mut(ix).expires_at = expires_at;
        }
        if conditions.is_some()
            && let Some(provider) = trust.managed_by()
        {
            let reason = format!("`{path}` is what a mapping of `{provider}` says: change that");
            return Err(ChangeError::Invalid { reason });
        }
        if let Some(text) = conditions {
            let organisation = PathParts::of(path)
                .and_then(|p| p.organisation)
                .unwrap_or_default();
            let trustee = self.identity(trust.trustee).path.clone();
            let conditions = self.conditions(text, &trustee, organisation)?;
            let revision = self.directory.revision + 1;
            let trust = self.trust_mut(ix);
            trust.conditions = conditions;
            trust.conditions_revision = revision;
            let trust = trust.clone();
            self.check_provider_trust(&trust)?;
        }
        self.changed(path);
        Ok(())
    }

    pub(super) fn delete_trust(&mut self, path: &str) -> Outcome {
        let (_, trust) = self.trust_at(path)?;
        if trust.kind == TrustKind::Ownership {
            let reason = "ownership is moved, never deleted".to_owned();
            return Err(ChangeError::Invalid { reason });
        }
        self.remove_trust(path)
    }

    pub(super) fn remove_trust(&mut self, path: &str) -> Outcome {
        let (ix, trust) = self.trust_at(path)?;
        self.identity_mut(trust.trustee)
            .trusted_by
            .retain(|found| *found != ix);
        let trustor = self.identity_mut(trust.trustor);
        trustor.trustees -= 1;
        if let Some(role) = &mut trustor.role {
            role.assumable.retain(|found| *found != ix);
        }
        if let Some(slot) = self.directory.trusts.slot(ix.0) {
            *slot = None;
        }
        self.bury(path);
        Ok(())
    }

    pub(super) fn transfer_ownership(&mut self, organisation: &str, owner: &str) -> Outcome {
        let (from, to) = (self.identity_at(organisation)?, self.identity_at(owner)?);
        if self.identity(to).kind != Kind::User {
            let reason = format!("an organisation belongs to a user, and `{owner}` is none");
            return Err(ChangeError::Invalid { reason });
        }
        // Who belongs to it has agreed to that, so nobody is made the owner of what he never saw.
        if !self.directory.is_member(to, from) {
            let reason = format!(
                "`{owner}` is no member of `{organisation}`: invite the user first, as an \
                 organisation user"
            );
            return Err(ChangeError::Invalid { reason });
        }
        let path = format!("{organisation}/trust/owner");
        let (ix, trust) = self.trust_at(&path)?;
        self.identity_mut(trust.trustee)
            .trusted_by
            .retain(|found| *found != ix);
        self.identity_mut(to).trusted_by.push(ix);
        self.trust_mut(ix).trustee = to;
        if let Some(details) = self.identity_mut(from).details.as_mut() {
            details.owner = to;
        }
        self.changed(&path);
        self.changed(organisation);
        Ok(())
    }
}
