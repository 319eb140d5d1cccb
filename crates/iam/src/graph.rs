//! Questions about the graph of standing trusts.

use std::collections::HashMap;

use crate::directory::Directory;
use crate::entities::Attachment;
use crate::ids::{IdentityIx, PolicyIx};

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
        for (_, trust) in self.trusts() {
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

    /// Paths of the trusts at either end of which an identity stands.
    pub(crate) fn trusts_of_identity(&self, ix: IdentityIx) -> Vec<String> {
        let found = self
            .trusts()
            .filter(|(_, t)| t.trustor == ix || t.trustee == ix);
        found.map(|(_, trust)| trust.path.to_string()).collect()
    }

    /// Paths of everything that carries a named policy: trusts, bounded identities, organisations.
    pub(crate) fn carriers(&self, policy: PolicyIx) -> impl Iterator<Item = String> + '_ {
        let carries = move |list: &[Attachment]| {
            list.iter()
                .any(|a| matches!(a, Attachment::Named(ix) if *ix == policy))
        };
        let trusts = self
            .trusts()
            .filter(move |(_, trust)| carries(&trust.policies));
        let identities = self.identities().filter(move |(_, identity)| {
            carries(&identity.boundary)
                || identity
                    .organisation_details()
                    .is_some_and(|o| carries(&o.guardrails))
        });
        trusts
            .map(|(_, trust)| trust.path.to_string())
            .chain(identities.map(|(_, identity)| identity.path.to_string()))
    }
}
