//! Resource policies, boundaries and guardrails.

use keyward_policy::{Effect, IdentityPattern, Policy, PolicyKind};

use super::policies::Purpose;
use super::{ChangeError, Editor, Outcome};
use crate::change::PolicyInput;
use crate::directory::Entity;
use crate::documents::{self, PolicyText};
use crate::ids::PathParts;

impl Editor<'_> {
    pub(super) fn put_resource_policy(
        &mut self,
        path: &str,
        document: Option<&PolicyText>,
    ) -> Outcome {
        let missing = || ChangeError::NotFound {
            path: path.to_owned(),
        };
        let entity = self.directory.entity(path).ok_or_else(missing)?;
        let organisation = PathParts::of(path)
            .and_then(|p| p.organisation)
            .unwrap_or_default();
        let policy = match document {
            None => None,
            Some(PolicyText { text, dialect }) => {
                let policy = documents::read(*dialect, text, PolicyKind::Resource, organisation)
                    .map_err(|findings| ChangeError::Policy {
                        number: 0,
                        findings,
                    })?;
                self.check_identities(path, &policy)?;
                Some(policy)
            }
        };
        match entity {
            Entity::Identity(ix) => self.identity_mut(ix).resource_policy = policy,
            Entity::Database(_) => self.database_mut(path)?.1.resource_policy = policy,
            Entity::Tombstone => return Err(missing()),
            Entity::AccessKey(_) | Entity::Trust(_) | Entity::Policy(_) => {
                let reason = format!("`{path}` has no resource policy of its own");
                return Err(ChangeError::Invalid { reason });
            }
        }
        self.changed(path);
        Ok(())
    }

    /// Names in a resource policy mean entities that exist when it is written, and a Deny does
    /// not name the owner.
    pub(super) fn check_identities(&self, resource: &str, policy: &Policy) -> Outcome {
        let owner = self.directory.owner_of(resource);
        for (number, statement) in policy.statements().iter().enumerate() {
            for identity in &statement.identities {
                let IdentityPattern::Path(path) = identity else {
                    continue;
                };
                let Some(ix) = self.directory.identity_at(path) else {
                    let reason = format!(
                        "statement {}: identity `{path}` does not exist; a name means what it \
                         means when the policy is written",
                        number + 1
                    );
                    return Err(ChangeError::Invalid { reason });
                };
                if statement.effect == Effect::Deny && Some(ix) == owner {
                    let reason = format!(
                        "statement {}: a Deny that names the owner itself (`{path}`) would lock \
                         everyone out; use a guardrail to bind the owner",
                        number + 1
                    );
                    return Err(ChangeError::Invalid { reason });
                }
            }
        }
        Ok(())
    }

    pub(super) fn put_boundary(&mut self, identity: &str, policies: &[PolicyInput]) -> Outcome {
        let ix = self.identity_at(identity)?;
        let Some(organisation) = PathParts::of(identity).and_then(|p| p.organisation) else {
            let reason = "the boundary of a person belongs to no organisation".to_owned();
            return Err(ChangeError::Invalid { reason });
        };
        let boundary = self.attachments(policies, organisation, Purpose::Limit)?;
        self.identity_mut(ix).boundary = boundary;
        self.changed(identity);
        Ok(())
    }

    pub(super) fn put_guardrails(
        &mut self,
        organisation: &str,
        policies: &[PolicyInput],
    ) -> Outcome {
        let ix = self.identity_at(organisation)?;
        let id = PathParts::of(organisation)
            .map(|parts| parts.id)
            .unwrap_or_default();
        let guardrails = self.attachments(policies, id, Purpose::Limit)?;
        let missing = || ChangeError::NotFound {
            path: organisation.to_owned(),
        };
        self.identity_mut(ix)
            .details
            .as_mut()
            .ok_or_else(missing)?
            .guardrails = guardrails;
        self.changed(organisation);
        Ok(())
    }
}
