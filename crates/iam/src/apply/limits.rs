//! Resource policies, boundaries and guardrails.

use keyward_policy::{
    Dialect, Effect, IdentityPattern, Policy, PolicyKind, VendorPrincipal, path_of_resource,
};

use super::policies::Purpose;
use super::{ChangeError, Editor, Outcome};
use crate::change::PolicyInput;
use crate::directory::{Entity, account_key};
use crate::documents::{self, PolicyText};
use crate::ids::{IdentityIx, PathParts};

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
            Entity::AccessKey(_) | Entity::Trust(_) | Entity::Policy(_) | Entity::Snapshot(_) => {
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
        self.check_vendor_principals(resource, policy, owner)?;
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

    /// The same for the principals of a vendor's document: an account is one of this directory or
    /// the organisation's alias, a user or group in it exists, and a Deny does not name the
    /// owner.
    fn check_vendor_principals(
        &self,
        resource: &str,
        policy: &Policy,
        owner: Option<IdentityIx>,
    ) -> Outcome {
        let dialect = policy.dialect();
        let own = self.directory.organisation(policy.organisation());
        for (number, statement) in policy.statements().iter().enumerate() {
            let Some(vendor) = &statement.vendor else {
                continue;
            };
            let Some((negated, texts)) = vendor.principal_texts() else {
                continue;
            };
            let refuse = |text: String| {
                let reason = format!("statement {}: {text}", number + 1);
                Err(ChangeError::Invalid { reason })
            };
            for text in texts.iter().filter(|text| **text != "*") {
                let Ok(principal) = VendorPrincipal::parse(dialect, text) else {
                    continue;
                };
                let Some(account) = principal.account() else {
                    continue; // a service or a provider: nobody here
                };
                let Some(organisation) = self.account_holder(dialect, account, own) else {
                    return refuse(format!(
                        "no organisation has the account `{account}` of `{text}`;                          `keyward org alias` tells what yours is called"
                    ));
                };
                let of = self.identity(organisation).path.to_string();
                let path = path_of_resource(dialect, text).map(|(_, path)| format!("{of}/{path}"));
                if let Some(path) = path
                    && !principal.is_account()
                    && self.directory.identity_at(&path).is_none()
                {
                    return refuse(format!("`{text}` means `{path}`, which does not exist"));
                }
            }
            let is_everyone = texts.contains(&"*");
            if statement.effect != Effect::Deny || negated || is_everyone {
                continue;
            }
            let Some(owner) = owner else { continue };
            let address = self.directory.vendor_address(dialect, owner, own);
            let account = address.map(|address| address.account).unwrap_or_default();
            let path = &self.identity(owner).path;
            let principal = VendorPrincipal::of_identity(dialect, path, &account, None);
            if principal.is_some_and(|principal| vendor.names(&principal)) {
                return refuse(format!(
                    "a Deny that names the owner itself (`{path}`) would lock everyone out of                      `{resource}`; use a guardrail to bind the owner"
                ));
            }
        }
        Ok(())
    }

    /// The organisation that a vendor's account number is, in documents of an organisation.
    fn account_holder(
        &self,
        dialect: Dialect,
        account: &str,
        documents_of: Option<IdentityIx>,
    ) -> Option<IdentityIx> {
        let own = documents_of?;
        let address = self.directory.vendor_address(dialect, own, documents_of)?;
        if address.account == account {
            return Some(own);
        }
        match self.directory.paths.get(&*account_key(account)) {
            // With an alias one's own number is nobody any more.
            Some(Entity::Identity(ix)) if *ix != own => Some(*ix),
            _ => None,
        }
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
