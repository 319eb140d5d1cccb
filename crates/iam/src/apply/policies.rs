//! Lists of policies, and named policies.

use std::sync::Arc;

use keyward_policy::{Policy, PolicyKind};

use super::{ChangeError, Editor, MAX_POLICIES, Outcome};
use crate::change::PolicyInput;
use crate::directory::Entity;
use crate::entities::{Attachment, NamedPolicy};
use crate::ids::{PathParts, PolicyIx, Slug, full_path};

impl Editor<'_> {
    /// Reads a list of policies in the scope of an organisation.
    pub(super) fn attachments(
        &self,
        policies: &[PolicyInput],
        organisation: &str,
    ) -> Result<Vec<Attachment>, ChangeError> {
        if policies.len() > MAX_POLICIES {
            return Err(ChangeError::Limit {
                what: "policies in one list",
                max: MAX_POLICIES,
            });
        }
        let read = |(number, input): (usize, &PolicyInput)| match input {
            PolicyInput::Document(text) => {
                keyward_policy::read(text, PolicyKind::Identity, organisation)
                    .map(|policy| Attachment::Inline(Arc::new(policy)))
                    .map_err(|findings| ChangeError::Policy { number, findings })
            }
            PolicyInput::Named(reference) => {
                let path = full_path(reference, organisation);
                if PathParts::of(&path).and_then(|p| p.organisation) != Some(organisation) {
                    let reason =
                        format!("`{path}` belongs to another organisation and cannot be attached");
                    return Err(ChangeError::Invalid { reason });
                }
                Ok(Attachment::Named(self.policy_at(&path)?))
            }
        };
        policies.iter().enumerate().map(read).collect()
    }

    pub(super) fn read_named(
        &self,
        organisation: &str,
        document: &str,
    ) -> Result<Arc<Policy>, ChangeError> {
        keyward_policy::read(document, PolicyKind::Identity, organisation)
            .map(Arc::new)
            .map_err(|findings| ChangeError::Policy {
                number: 0,
                findings,
            })
    }

    pub(super) fn create_policy(
        &mut self,
        organisation: &str,
        id: &str,
        name: Option<&str>,
        document: &str,
    ) -> Outcome {
        self.organisation(organisation)?;
        let path = format!("org/{organisation}/policy/{}", id.parse::<Slug>()?);
        self.claim(&path)?;
        let version = self.read_named(organisation, document)?;
        let ix = self.directory.policies.push(NamedPolicy {
            path: path.as_str().into(),
            name: name.map(Into::into),
            versions: vec![version],
            default_version: 1,
            created: self.context.stamp(),
        });
        self.place(&path, Entity::Policy(PolicyIx(ix)));
        self.claim_name(&path, None, name)
    }

    pub(super) fn update_policy(&mut self, path: &str, document: &str) -> Outcome {
        let ix = self.policy_at(path)?;
        let organisation = PathParts::of(path)
            .and_then(|p| p.organisation)
            .unwrap_or_default();
        let version = self.read_named(organisation, document)?;
        let policy = self.policy_mut(ix);
        policy.versions.push(version);
        policy.default_version = u32::try_from(policy.versions.len()).unwrap_or(u32::MAX);
        self.changed(path);
        Ok(())
    }

    pub(super) fn delete_policy(&mut self, path: &str) -> Outcome {
        let ix = self.policy_at(path)?;
        let dependents: Vec<String> = self.directory.carriers(ix).collect();
        if !dependents.is_empty() {
            return Err(ChangeError::Conflict {
                path: path.to_owned(),
                dependents,
            });
        }
        let name = self.policy_mut(ix).name.clone();
        if name.is_some() {
            self.claim_name(path, name.as_deref(), None)?;
        }
        if let Some(slot) = self.directory.policies.slot(ix.0) {
            *slot = None;
        }
        self.bury(path);
        Ok(())
    }
}
