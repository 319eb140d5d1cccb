//! Lists of policies, and named policies with their versions.

use std::sync::Arc;

use keyward_commands::CATALOGUE_VERSION;
use keyward_policy::{Policy, PolicyKind};

use super::{ChangeError, Editor, MAX_POLICIES, MAX_VERSIONS, Outcome};
use crate::change::PolicyInput;
use crate::directory::{Entity, name_key};
use crate::documents::{self, PolicyText};
use crate::entities::{Attachment, NamedPolicy, PolicyVersion, TrustKind};
use crate::ids::{PathParts, PolicyIx, Slug, full_path};
use crate::system::{SYSTEM_POLICIES, SystemPolicy};

/// What a list of policies is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// The policies of a trust.
    Grant,
    /// A boundary or guardrails.
    Limit,
}

/// Whether two attachments are the same by reference.
fn same_reference(a: &Attachment, b: &Attachment) -> bool {
    match (a, b) {
        (Attachment::Named(a), Attachment::Named(b)) => a == b,
        (Attachment::System(a, _), Attachment::System(b, _)) => a == b,
        _ => false,
    }
}

fn check_length(found: usize) -> Outcome {
    if found > MAX_POLICIES {
        return Err(ChangeError::Limit {
            what: "policies in one list",
            max: MAX_POLICIES,
        });
    }
    Ok(())
}

impl Editor<'_> {
    /// Reads a list of policies in the scope of an organisation.
    pub(super) fn attachments(
        &mut self,
        policies: &[PolicyInput],
        organisation: &str,
        purpose: Purpose,
    ) -> Result<Vec<Attachment>, ChangeError> {
        check_length(policies.len())?;
        let mut all = Vec::with_capacity(policies.len());
        for (number, input) in policies.iter().enumerate() {
            all.push(match input {
                PolicyInput::Document(text) => {
                    documents::read(None, text, PolicyKind::Identity, organisation)
                        .map(Attachment::Inline)
                        .map_err(|findings| ChangeError::Policy { number, findings })?
                }
                PolicyInput::Written(document) => {
                    let PolicyText { text, dialect } = document;
                    documents::read(*dialect, text, PolicyKind::Identity, organisation)
                        .map(Attachment::Inline)
                        .map_err(|findings| ChangeError::Policy { number, findings })?
                }
                PolicyInput::Named(reference) => {
                    self.reference(reference, organisation, purpose)?
                }
            });
        }
        Ok(all)
    }

    /// The policy that a reference means in an organisation: a path, shorthand, an id, or a name.
    fn reference(
        &mut self,
        reference: &str,
        organisation: &str,
        purpose: Purpose,
    ) -> Result<Attachment, ChangeError> {
        if !reference.contains('/') {
            let path = format!("org/{organisation}/policy/{reference}");
            if let Some(ix) = self.directory.policy_at(&path) {
                return Ok(Attachment::Named(ix));
            }
            let named = self.directory.paths.get(&*name_key(&path, reference));
            if let Some(Entity::Policy(ix)) = named {
                return Ok(Attachment::Named(*ix));
            }
            return match SystemPolicy::named(reference) {
                Some(policy) => self.system_policy(policy, organisation, purpose),
                None => Err(ChangeError::NotFound { path }),
            };
        }
        let path = full_path(reference, organisation);
        if path.starts_with(SYSTEM_POLICIES) {
            return match SystemPolicy::at(&path) {
                Some(policy) => self.system_policy(policy, organisation, purpose),
                None => Err(ChangeError::NotFound { path }),
            };
        }
        if PathParts::of(&path).and_then(|p| p.organisation) != Some(organisation) {
            let reason = format!("`{path}` belongs to another organisation and cannot be attached");
            return Err(ChangeError::Invalid { reason });
        }
        Ok(Attachment::Named(self.policy_at(&path)?))
    }

    fn system_policy(
        &mut self,
        policy: SystemPolicy,
        organisation: &str,
        purpose: Purpose,
    ) -> Result<Attachment, ChangeError> {
        if purpose == Purpose::Grant && !policy.grants() {
            let reason = format!(
                "`{}` limits and is not for trusts: use it as a guardrail or a boundary",
                policy.path()
            );
            return Err(ChangeError::Invalid { reason });
        }
        let read = self.directory.system_policy(policy, organisation);
        read.map_err(|findings| ChangeError::Policy {
            number: 0,
            findings,
        })
    }

    pub(super) fn attach_policy(&mut self, path: &str, policy: &str) -> Outcome {
        let (ix, trust) = self.trust_at(path)?;
        refuse_ownership(trust.kind)?;
        let organisation = organisation_of(path);
        let attachment = self.reference(policy, organisation, Purpose::Grant)?;
        let policies = &mut self.trust_mut(ix).policies;
        if !policies
            .iter()
            .any(|known| same_reference(known, &attachment))
        {
            check_length(policies.len() + 1)?;
            policies.push(attachment);
        }
        self.changed(path);
        Ok(())
    }

    pub(super) fn detach_policy(&mut self, path: &str, policy: &str) -> Outcome {
        let (ix, trust) = self.trust_at(path)?;
        refuse_ownership(trust.kind)?;
        let organisation = organisation_of(path);
        let attachment = self.reference(policy, organisation, Purpose::Limit)?;
        let policies = &mut self.trust_mut(ix).policies;
        let before = policies.len();
        policies.retain(|known| !same_reference(known, &attachment));
        if policies.len() == before {
            let path = format!("{policy} in {path}");
            return Err(ChangeError::NotFound { path });
        }
        // Without a policy a membership passes everything on: taking one away must not widen it.
        if policies.is_empty() && trust.kind == TrustKind::Membership {
            let reason = format!(
                "`{path}` would pass on everything that the group may: without a policy a \
                 membership is not narrowed; update the trust with an empty list to say so"
            );
            return Err(ChangeError::Invalid { reason });
        }
        self.changed(path);
        Ok(())
    }

    fn read_named(&self, path: &str, document: &PolicyText) -> Result<Arc<Policy>, ChangeError> {
        let PolicyText { text, dialect } = document;
        let read = documents::read_at(path, *dialect, text, organisation_of(path));
        read.map_err(|findings| ChangeError::Policy {
            number: 0,
            findings,
        })
    }

    pub(super) fn create_policy(
        &mut self,
        organisation: &str,
        id: &str,
        name: Option<&str>,
        document: &PolicyText,
    ) -> Outcome {
        self.organisation(organisation)?;
        let path = format!("org/{organisation}/policy/{}", id.parse::<Slug>()?);
        self.claim(&path)?;
        let version = PolicyVersion {
            number: 1,
            policy: self.read_named(&path, document)?,
            created: self.context.stamp(),
            catalogue: CATALOGUE_VERSION,
        };
        let ix = self.directory.policies.push(NamedPolicy {
            path: path.as_str().into(),
            name: name.map(Into::into),
            versions: vec![version],
            default_version: 1,
            last_version: 1,
            created: self.context.stamp(),
        });
        self.place(&path, Entity::Policy(PolicyIx(ix)));
        self.claim_name(&path, None, name)
    }

    pub(super) fn update_policy(
        &mut self,
        path: &str,
        document: &PolicyText,
        make_default: bool,
    ) -> Outcome {
        let ix = self.policy_at(path)?;
        let read = self.read_named(path, document)?;
        let created = self.context.stamp();
        let policy = self.policy_mut(ix);
        if policy.versions.len() >= MAX_VERSIONS {
            return Err(ChangeError::Limit {
                what: "versions of one policy (delete one first)",
                max: MAX_VERSIONS,
            });
        }
        let number = policy.last_version.saturating_add(1);
        policy.last_version = number;
        policy.versions.push(PolicyVersion {
            number,
            policy: read,
            created,
            catalogue: CATALOGUE_VERSION,
        });
        if make_default {
            policy.default_version = number;
        }
        self.changed(path);
        Ok(())
    }

    pub(super) fn set_default_version(&mut self, path: &str, version: u32) -> Outcome {
        let ix = self.policy_at(path)?;
        let policy = self.policy_mut(ix);
        has_version(policy, version)?;
        policy.default_version = version;
        self.changed(path);
        Ok(())
    }

    pub(super) fn delete_version(&mut self, path: &str, version: u32) -> Outcome {
        let ix = self.policy_at(path)?;
        let policy = self.policy_mut(ix);
        has_version(policy, version)?;
        if policy.default_version == version {
            let reason = format!(
                "version {version} of `{path}` is the default: make another one the default first"
            );
            return Err(ChangeError::Invalid { reason });
        }
        policy.versions.retain(|found| found.number != version);
        self.changed(path);
        Ok(())
    }

    pub(super) fn delete_policy(&mut self, path: &str) -> Outcome {
        let ix = self.policy_at(path)?;
        let carriers = self.directory.policy_carriers(path, None);
        if !carriers.is_empty() {
            return Err(ChangeError::Conflict {
                path: path.to_owned(),
                dependents: carriers
                    .iter()
                    .map(|found| found.path().to_owned())
                    .collect(),
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

fn organisation_of(path: &str) -> &str {
    PathParts::of(path)
        .and_then(|parts| parts.organisation)
        .unwrap_or_default()
}

fn refuse_ownership(kind: TrustKind) -> Outcome {
    if kind == TrustKind::Ownership {
        let reason = "ownership is moved, never edited".to_owned();
        return Err(ChangeError::Invalid { reason });
    }
    Ok(())
}

fn has_version(policy: &NamedPolicy, number: u32) -> Outcome {
    if policy.version(number).is_some() {
        return Ok(());
    }
    let known: Vec<String> = policy
        .versions
        .iter()
        .map(|v| v.number.to_string())
        .collect();
    let reason = format!(
        "`{}` has no version {number}, only {}",
        policy.path,
        known.join(", ")
    );
    Err(ChangeError::Invalid { reason })
}
