//! Trusts.

use super::policies::Purpose;
use super::{ChangeError, Editor, MAX_CHAIN, Outcome};
use crate::change::PolicyInput;
use crate::directory::Entity;
use crate::entities::{Trust, TrustKind};
use crate::ids::{IdentityIx, Kind, PathParts, Slug, TrustIx, UnixMillis};

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
            accepted: true,
            created: self.context.stamp(),
        }
    }

    pub(super) fn create_trust(
        &mut self,
        id: &str,
        trustor: &str,
        trustee: &str,
        policies: &[PolicyInput],
        expires_at: Option<UnixMillis>,
    ) -> Outcome {
        let id: Slug = id.parse()?;
        let (from, to) = (self.identity_at(trustor)?, self.identity_at(trustee)?);
        let kind = match self.identity(from).kind {
            Kind::Group => TrustKind::Membership,
            Kind::User => {
                let reason = format!("`{trustor}` is a person: nobody else acts as a person");
                return Err(ChangeError::Invalid { reason });
            }
            _ => TrustKind::Standing,
        };
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
        if let Some(twin) = twin.into_iter().find(|twin| twin.trustor == from) {
            let reason = format!(
                "`{trustor}` trusts `{trustee}` already ({}): change that trust",
                twin.path
            );
            return Err(ChangeError::Invalid { reason });
        }
        let mut trust = self.new_trust(&path, from, to, kind);
        trust.policies = self.attachments(policies, organisation, Purpose::Grant)?;
        trust.expires_at = expires_at;
        trust.accepted = self.context.accepts;
        self.check_chain(from, to)?;
        self.add_trust(trust)
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
        let (path, from, to) = (trust.path.clone(), trust.trustor, trust.trustee);
        self.claim(&path)?;
        let ix = TrustIx(self.directory.trusts.push(trust));
        self.identity_mut(to).trusted_by.push(ix);
        self.identity_mut(from).trustees += 1;
        self.place(&path, Entity::Trust(ix));
        Ok(())
    }

    pub(super) fn update_trust(
        &mut self,
        path: &str,
        policies: Option<&[PolicyInput]>,
        expires_at: Option<Option<UnixMillis>>,
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
        self.identity_mut(trust.trustor).trustees -= 1;
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
