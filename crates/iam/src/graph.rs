//! Questions about the graph of standing trusts.

use std::collections::HashMap;

use crate::directory::Directory;
use crate::entities::{Attachment, Trust, TrustKind};
use crate::ids::{IdentityIx, Kind};
use crate::system::SystemPolicy;

/// What carries a policy by reference.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum PolicyCarrier {
    /// A trust.
    Trust {
        /// Its path.
        path: String,
        /// Path of the identity whose power it gives away.
        trustor: String,
    },
    /// The boundary of an identity.
    Boundary {
        /// Path of the identity.
        identity: String,
    },
    /// The guardrails of an organisation.
    Guardrails {
        /// Path of the organisation.
        organisation: String,
    },
}

impl PolicyCarrier {
    /// Path of the trust, the bounded identity or the organisation.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Trust { path, .. } => path,
            Self::Boundary { identity } => identity,
            Self::Guardrails { organisation } => organisation,
        }
    }
}

/// What lies above an identity: where its trusts lead, with the longest way to the end of each.
pub(crate) struct Above {
    depths: HashMap<IdentityIx, usize>,
    start: IdentityIx,
}

impl Above {
    /// Whether the identity can act as this one.
    pub(crate) fn reaches(&self, ix: IdentityIx) -> bool {
        self.depths.contains_key(&ix)
    }

    /// Trusts on the longest path that begins at the identity.
    pub(crate) fn longest(&self) -> usize {
        self.depths.get(&self.start).copied().unwrap_or(0)
    }
}

impl Directory {
    /// Walks up from an identity. Trusts that wait for acceptance count, so that accepting one
    /// cannot close a cycle.
    pub(crate) fn longest_above(&self, start: IdentityIx) -> Above {
        fn visit(
            directory: &Directory,
            ix: IdentityIx,
            depths: &mut HashMap<IdentityIx, usize>,
        ) -> usize {
            if let Some(depth) = depths.get(&ix) {
                return *depth;
            }
            let trusts = directory.identity(ix).map_or(&[][..], |i| &i.trusted_by);
            let above = trusts.iter().filter_map(|trust| directory.trust(*trust));
            let depth = above
                .filter(|trust| trust.kind != TrustKind::Assumable)
                .map(|t| 1 + visit(directory, t.trustor, depths))
                .max()
                .unwrap_or(0);
            depths.insert(ix, depth);
            depth
        }
        let mut depths = HashMap::new();
        visit(self, start, &mut depths);
        Above { depths, start }
    }

    /// Trusts on the longest path that ends at an identity. Cheap for whoever trusts nobody, which
    /// is nearly every identity; else it looks at all trusts once.
    pub(crate) fn longest_below(&self, end: IdentityIx) -> usize {
        if self
            .identity(end)
            .is_none_or(|identity| identity.trustees == 0)
        {
            return 0;
        }
        let mut trustees: HashMap<IdentityIx, Vec<IdentityIx>> = HashMap::new();
        let standing = self.trusts();
        for (_, trust) in standing.filter(|(_, trust)| trust.kind != TrustKind::Assumable) {
            trustees
                .entry(trust.trustor)
                .or_default()
                .push(trust.trustee);
        }
        fn visit(
            ix: IdentityIx,
            trustees: &HashMap<IdentityIx, Vec<IdentityIx>>,
            depths: &mut HashMap<IdentityIx, usize>,
        ) -> usize {
            if let Some(depth) = depths.get(&ix) {
                return *depth;
            }
            let below = trustees.get(&ix).map_or(&[][..], |t| t);
            let depth = below
                .iter()
                .map(|t| 1 + visit(*t, trustees, depths))
                .max()
                .unwrap_or(0);
            depths.insert(ix, depth);
            depth
        }
        visit(end, &trustees, &mut HashMap::new())
    }

    /// Whether a user has accepted to be an organisation user of an organisation, or owns it.
    #[must_use]
    pub fn is_member(&self, user: IdentityIx, organisation: IdentityIx) -> bool {
        let trusts = self.identity(user).map_or(&[][..], |i| &i.trusted_by);
        let mut trusts = trusts.iter().filter_map(|ix| self.trust(*ix));
        trusts.any(|trust| {
            let trustor = self.identity(trust.trustor);
            let of_it = trustor.is_some_and(|identity| {
                identity.kind == Kind::OrganisationUser
                    && identity.organisation == Some(organisation)
            });
            (of_it && trust.accepted)
                || (trust.kind == TrustKind::Ownership && trust.trustor == organisation)
        })
    }

    /// Paths of the trusts at either end of which an identity stands.
    pub(crate) fn trusts_of_identity(&self, ix: IdentityIx) -> Vec<String> {
        let found = self
            .trusts()
            .filter(|(_, t)| t.trustor == ix || t.trustee == ix);
        found.map(|(_, trust)| trust.path.to_string()).collect()
    }

    /// The trust that makes an organisation user a person's, accepted or not yet.
    #[must_use]
    pub fn membership(&self, member: IdentityIx) -> Option<&Trust> {
        let identity = self.identity(member)?;
        if identity.kind != Kind::OrganisationUser || identity.trustees == 0 {
            return None;
        }
        // Almost always of this name; a search needs every trust there is.
        let organisation = identity.path.split("/org_user/").next().unwrap_or_default();
        let usual = format!("{organisation}/trust/member-{}", identity.id());
        let usual = self.trust_at(&usual).and_then(|ix| self.trust(ix));
        usual.filter(|trust| trust.trustor == member).or_else(|| {
            let mut trusts = self.trusts().map(|(_, trust)| trust);
            trusts.find(|trust| trust.trustor == member)
        })
    }

    /// The organisation users that a user is: their paths.
    #[must_use]
    pub fn memberships(&self, user: IdentityIx) -> Vec<String> {
        let trusts = self
            .identity(user)
            .into_iter()
            .flat_map(|user| &user.trusted_by);
        let trusts = trusts.filter_map(|ix| self.trust(*ix));
        let members = trusts
            .filter(|trust| trust.accepted)
            .filter_map(|trust| self.identity(trust.trustor))
            .filter(|member| member.kind == Kind::OrganisationUser);
        let mut paths: Vec<String> = members.map(|member| member.path.to_string()).collect();
        paths.sort_unstable();
        paths
    }

    /// Everything that carries the named or system policy at a path, in an organisation or in all.
    #[must_use]
    pub fn policy_carriers(
        &self,
        policy: &str,
        organisation: Option<IdentityIx>,
    ) -> Vec<PolicyCarrier> {
        let (named, system) = (self.policy_at(policy), SystemPolicy::at(policy));
        let is_it = |attachment: &Attachment| match attachment {
            Attachment::Inline(_) => false,
            Attachment::Named(ix) => Some(*ix) == named,
            Attachment::System(which, _) => Some(*which) == system,
        };
        let is_in = |of: Option<IdentityIx>| organisation.is_none() || of == organisation;
        let mut carriers = Vec::new();
        if named.is_none() && system.is_none() {
            return carriers;
        }
        for (_, trust) in self.trusts() {
            if trust.policies.iter().any(is_it)
                && let Some(trustor) = self.identity(trust.trustor)
                && is_in(trustor.organisation)
            {
                carriers.push(PolicyCarrier::Trust {
                    path: trust.path.to_string(),
                    trustor: trustor.path.to_string(),
                });
            }
        }
        for (_, identity) in self.identities() {
            if !is_in(identity.organisation) {
                continue;
            }
            if identity.boundary.iter().any(is_it) {
                let identity = identity.path.to_string();
                carriers.push(PolicyCarrier::Boundary { identity });
            }
            let details = identity.organisation_details();
            if details.is_some_and(|details| details.guardrails.iter().any(is_it)) {
                let organisation = identity.path.to_string();
                carriers.push(PolicyCarrier::Guardrails { organisation });
            }
        }
        carriers
    }
}
