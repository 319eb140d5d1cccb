//! Identities worth a search.

use std::collections::HashSet;
use std::sync::Arc;

use keyward_commands::{ActionBits, ActionId};
use keyward_policy::{Effect, IdentityPattern, Policy};

use super::Search;
use crate::analysis::risk::Risk;
use crate::analysis::ways::all_actions;
use crate::analysis::who_can::acts;
use crate::directory::Directory;
use crate::entities::TrustKind;
use crate::ids::IdentityIx;

/// Actions that some step is decided on.
fn powerful() -> ActionBits {
    let mut bits = ActionBits::EMPTY;
    for action in ActionId::all() {
        let matters = matches!(
            Risk::of(action),
            Risk::HandOut | Risk::Administer | Risk::Scripts | Risk::Remove
        ) || matches!(
            action.name(),
            "iam:CreateProgrammaticIdentity"
                | "iam:CreateGroup"
                | "iam:SetDefaultPolicyVersion"
                | "iam:UpdateOrgUser"
                | "kvdb:RestoreSnapshot"
        );
        if matters {
            bits.insert(action);
        }
    }
    bits
}

pub(super) fn says_any(policies: &[Arc<Policy>], effect: Effect, actions: &ActionBits) -> bool {
    let mut statements = policies.iter().flat_map(|policy| policy.statements());
    statements.any(|s| s.effect == effect && s.actions.intersects(actions))
}

impl Search<'_> {
    /// Identities that some statement lets do anything on the way to more.
    pub(super) fn suspects(&self, directory: &Directory) -> Vec<IdentityIx> {
        let powerful = powerful();
        let own = directory.organisation(self.organisation);
        let mut named: HashSet<&str> = HashSet::new();
        let mut everyone = false;
        let mut ends: Vec<IdentityIx> = Vec::new();
        for path in &self.resources {
            let Some(policy) = directory.resource_policy(path) else {
                continue;
            };
            for statement in policy.statements() {
                if statement.effect == Effect::Allow && statement.actions.intersects(&powerful) {
                    for identity in &statement.identities {
                        match identity {
                            IdentityPattern::Path(path) => {
                                named.insert(path);
                                ends.extend(directory.identity_at(path));
                            }
                            IdentityPattern::Everyone => everyone = true,
                            IdentityPattern::Unauthenticated => {}
                        }
                    }
                }
            }
        }
        let mut trusted: HashSet<IdentityIx> = ends.iter().copied().collect();
        for (_, trust) in directory.trusts() {
            if organisation_id(directory, trust.trustor) == Some(self.organisation) {
                trusted.insert(trust.trustee);
            }
        }
        let worth = |ix: IdentityIx| {
            let reached = directory.with_trustors(&[ix]);
            let is_named = reached
                .iter()
                .filter_map(|ix| directory.identity(*ix))
                .any(|i| named.contains(&*i.path));
            let trusts = reached
                .iter()
                .filter_map(|ix| directory.identity(*ix))
                .flat_map(|identity| &identity.trusted_by)
                .filter_map(|ix| directory.trust(*ix));
            let mut trusts = trusts;
            is_named
                || everyone
                || trusts.any(|trust| {
                    let policies = directory.documents(&trust.policies);
                    // Whoever may leave sheds what the trust denies.
                    !trust.accepted
                        || trust.kind != TrustKind::Standing
                        || says_any(&policies, Effect::Allow, &powerful)
                        || says_any(&policies, Effect::Deny, &all_actions())
                })
        };
        let mut found: Vec<IdentityIx> = directory
            .identities()
            .filter(|(ix, identity)| {
                let inside = identity.organisation.is_some() && identity.organisation == own;
                let known = trusted.contains(ix);
                (acts(identity.kind) && (inside || known))
                    || (known && identity.organisation.is_some() && identity.organisation != own)
            })
            .map(|(ix, _)| ix)
            .filter(|ix| worth(*ix))
            .collect();
        found.sort_unstable();
        found
    }
}

fn organisation_id(directory: &Directory, ix: IdentityIx) -> Option<&str> {
    let organisation = directory.identity(ix)?.organisation?;
    Some(directory.identity(organisation)?.id())
}
