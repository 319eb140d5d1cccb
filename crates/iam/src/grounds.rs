//! Everything that has a say about one principal and one resource, gathered once: the trusts that
//! are reached, the policies on them, the limits, the resource's policy.
//!
//! Gathering is linear in the trusts reached; no path is ever enumerated. The evaluator, the
//! decision table and the simulator all work on the same value.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use keyward_policy::{Dialect, Policy};

use crate::directory::Directory;
use crate::entities::{Attachment, Trust, TrustKind};
use crate::facts::{EarlyFacts, Inputs, SessionFacts};
use crate::ids::{IdentityIx, Kind, UnixMillis};
use crate::session::{Principal, Session};
use crate::terms::{Terms, TermsAddress, organisation};

/// Which list of policies a statement stands in.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum PolicySource {
    /// The policies of a trust, by its path.
    Trust(Arc<str>),
    /// The resource's policy, by the path of the resource.
    ResourcePolicy(Arc<str>),
    /// The boundary of an identity, by its path.
    Boundary(Arc<str>),
    /// The guardrails of an organisation, by its path.
    Guardrails(Arc<str>),
    /// The conditions of a trust, by its path.
    Conditions(Arc<str>),
    /// What an assumable trust accepts, which stands beside the role's policy, by the trust's path.
    Acceptance(Arc<str>),
    /// The policies of a session of temporary credentials, by the path of its principal.
    SessionPolicy(Arc<str>),
    /// A bounding layer of a simulated request, by number.
    Layer(usize),
}

/// A bounding layer: without documents it is not here at all; one must allow and none deny.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) source: PolicySource,
    pub(crate) documents: Vec<Arc<Policy>>,
    /// Whether a Deny in it denies whatever else is there; otherwise it only breaks the chains
    /// that the layer is on.
    pub(crate) binding: bool,
}

/// What a trust passes on.
#[derive(Clone, Debug)]
pub(crate) enum Grant {
    /// Everything: ownership, and membership of a group that nobody narrowed.
    Everything,
    /// What the documents, read as one list, allow and do not deny.
    Documents(Vec<Arc<Policy>>),
}

/// A trust between two reached identities.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// The trustee, as a position in [`Grounds::nodes`].
    pub(crate) from: usize,
    pub(crate) source: PolicySource,
    pub(crate) grant: Grant,
    /// Accepted and not expired.
    pub(crate) in_force: bool,
    /// Position in [`Grounds::layers`] of what must hold besides. What it denies it denies either
    /// way.
    pub(crate) conditions: Option<usize>,
    /// Whether a Deny in it denies whatever else is there: the trustor belongs to the
    /// organisation of the principal or of the resource.
    pub(crate) binding: bool,
}

/// A reached identity.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) path: Arc<str>,
    /// Positions in [`Grounds::layers`]: its boundary, its organisation's guardrails.
    pub(crate) layers: Vec<usize>,
    /// Whether the resource accepts it without any statement.
    pub(crate) owner: bool,
    /// The trusts that lead to it from nodes before it.
    pub(crate) edges: Vec<Edge>,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub(crate) struct Grounds {
    /// Full path of the resource.
    pub(crate) resource: Arc<str>,
    /// Trustees before trustors; the first is the principal.
    pub(crate) nodes: Vec<Node>,
    pub(crate) layers: Vec<Layer>,
    /// Layers that bind the request whatever the chain: the guardrails of the resource's
    /// organisation, the session's policy.
    pub(crate) request_layers: Vec<usize>,
    /// The resource's policy; of a role also what its assumable trusts accept.
    pub(crate) resource_policy: Vec<Arc<Policy>>,
    /// The assumable trusts whose acceptance stands at the end of the resource policy, by path.
    pub(crate) assumable: Vec<Arc<str>>,
    pub(crate) authenticated: bool,
    /// The earliest end of a trust in force: afterwards the grounds must be gathered again.
    pub(crate) valid_until: Option<UnixMillis>,
    /// What is known of the session and the resource.
    pub(crate) facts: SessionFacts,
    /// When they were gathered.
    pub(crate) now: UnixMillis,
    /// Whether some document reads what differs between sessions of one principal.
    pub(crate) reads_session: bool,
    /// Whether some document reads the number of the selected database.
    pub(crate) reads_database_index: bool,
    /// What vendors call all this.
    pub(crate) terms: Terms,
}

impl Grounds {
    pub(crate) fn documents(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let edges = self.nodes.iter().flat_map(|node| &node.edges);
        let lists = edges.filter_map(|edge| match &edge.grant {
            Grant::Everything => None,
            Grant::Documents(documents) => Some(documents),
        });
        lists
            .chain(self.layers.iter().map(|layer| &layer.documents))
            .chain([&self.resource_policy])
            .flatten()
    }

    /// Whether ACL rules have a say.
    pub(crate) fn has_acl(&self) -> bool {
        self.documents()
            .any(|policy| policy.dialect() == Dialect::Acl)
    }

    /// Whether nothing but ACL rules has a say.
    pub(crate) fn is_of_acl_alone(&self) -> bool {
        self.has_acl()
            && self
                .documents()
                .all(|policy| policy.dialect() == Dialect::Acl)
    }

    /// What is known before a command comes.
    pub(crate) fn early(&self) -> EarlyFacts<'_> {
        EarlyFacts {
            session: &self.facts,
            now: self.now,
        }
    }

    /// All lists of documents that have a say.
    fn lists(&self) -> impl Iterator<Item = &Vec<Arc<Policy>>> {
        let edges = self.nodes.iter().flat_map(|node| &node.edges);
        let granted = edges.filter_map(|edge| match &edge.grant {
            Grant::Everything => None,
            Grant::Documents(documents) => Some(documents),
        });
        let layers = self.layers.iter().map(|layer| &layer.documents);
        granted.chain(layers).chain([&self.resource_policy])
    }

    /// Notes what the documents read, and until when that stays the same.
    fn note_inputs(&mut self) {
        let mut inputs = Inputs::default();
        for policy in self.lists().flatten() {
            inputs.read(policy, &self.facts, self.now);
        }
        self.reads_session = inputs.session;
        self.reads_database_index = inputs.database_index;
        self.valid_until = match (self.valid_until, inputs.until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Whether another gathering came to the very same documents, so that what was compiled from
    /// this one is still right.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        fn same(a: &[Arc<Policy>], b: &[Arc<Policy>]) -> bool {
            // Policies of a session are compiled each time.
            let equal = |a: &Arc<Policy>, b: &Arc<Policy>| {
                Arc::ptr_eq(a, b)
                    || (a.text() == b.text()
                        && a.dialect() == b.dialect()
                        && a.organisation() == b.organisation())
            };
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        let same_grant = |a: &Grant, b: &Grant| match (a, b) {
            (Grant::Everything, Grant::Everything) => true,
            (Grant::Documents(a), Grant::Documents(b)) => same(a, b),
            _ => false,
        };
        self.resource == other.resource
            && self.authenticated == other.authenticated
            && self.valid_until == other.valid_until
            && self.terms == other.terms
            && self.reads_session == other.reads_session
            && self.facts.same_as(&other.facts, self.reads_session)
            && self.request_layers == other.request_layers
            && same(&self.resource_policy, &other.resource_policy)
            && self.layers.len() == other.layers.len()
            && self.layers.iter().zip(&other.layers).all(|(a, b)| {
                a.source == b.source && a.binding == b.binding && same(&a.documents, &b.documents)
            })
            && self.nodes.len() == other.nodes.len()
            && self.nodes.iter().zip(&other.nodes).all(|(a, b)| {
                a.path == b.path
                    && a.owner == b.owner
                    && a.layers == b.layers
                    && a.edges.len() == b.edges.len()
                    && a.edges.iter().zip(&b.edges).all(|(a, b)| {
                        a.from == b.from
                            && a.in_force == b.in_force
                            && a.conditions == b.conditions
                            && a.binding == b.binding
                            && a.source == b.source
                            && same_grant(&a.grant, &b.grant)
                    })
            })
    }
}

/// Where identities stand among those that are reached.
type Positions = HashMap<IdentityIx, usize, BuildHasherDefault<IndexHasher>>;

/// Hashes indices of the directory: dense numbers, which nobody outside chooses.
#[derive(Clone, Copy, Debug, Default)]
struct IndexHasher(u64);

impl Hasher for IndexHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // Odd, and its bits spread: Knuth's multiplicative hashing.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Whether a trust is a step of chains.
fn passes_on(trust: &Trust) -> bool {
    trust.accepted && trust.kind != TrustKind::Assumable
}

/// Gathers layers, each at most once.
struct Layers<'a> {
    directory: &'a Directory,
    layers: Vec<Layer>,
}

impl Layers<'_> {
    /// A list of documents that are known already; an empty one allows nothing.
    fn push(&mut self, source: PolicySource, documents: Vec<Arc<Policy>>, binding: bool) -> usize {
        self.layers.push(Layer {
            source,
            documents,
            binding,
        });
        self.layers.len() - 1
    }

    /// What limits a session of temporary credentials: the policy of the trust it was assumed
    /// through, and its own. What cannot be found or read any more allows nothing.
    fn add_session(&mut self, session: &Session) -> Vec<usize> {
        let directory = self.directory;
        let Some(temporary) = &session.temporary else {
            return Vec::new();
        };
        let mut added = Vec::new();
        if let Some(path) = &temporary.trust {
            let trust = directory.trust_at(path).and_then(|ix| directory.trust(ix));
            let documents = match trust {
                Some(trust) if trust.policies.is_empty() => None,
                Some(trust) => Some(directory.documents(&trust.policies)),
                None => Some(Vec::new()),
            };
            let source = PolicySource::Trust(path.as_str().into());
            added.extend(documents.map(|documents| self.push(source, documents, true)));
        }
        if !temporary.policies.is_empty() {
            let documents = directory.session_documents(temporary).unwrap_or_default();
            let source = PolicySource::SessionPolicy(temporary.principal.as_str().into());
            added.push(self.push(source, documents, true));
        }
        added
    }

    fn add(
        &mut self,
        source: PolicySource,
        attachments: &[Attachment],
        binding: bool,
    ) -> Option<usize> {
        if attachments.is_empty() {
            return None;
        }
        if let Some(at) = self.layers.iter().position(|layer| layer.source == source) {
            return Some(at);
        }
        let documents = self.directory.documents(attachments);
        self.layers.push(Layer {
            source,
            documents,
            binding,
        });
        Some(self.layers.len() - 1)
    }
}

impl Directory {
    /// The identities reached from a principal by standing trusts, trustees before trustors, and
    /// the position of each.
    fn reached(&self, principal: IdentityIx) -> (Vec<IdentityIx>, Positions) {
        // Depth first, children before parents, then reversed: an order of a graph without
        // cycles, which `apply` guarantees together with the longest path.
        fn visit(
            directory: &Directory,
            ix: IdentityIx,
            positions: &mut Positions,
            done: &mut Vec<IdentityIx>,
        ) {
            if positions.insert(ix, usize::MAX).is_some() {
                return;
            }
            let Some(identity) = directory.identity(ix) else {
                return;
            };
            for trust in identity
                .trusted_by
                .iter()
                .filter_map(|t| directory.trust(*t))
            {
                if passes_on(trust) && !positions.contains_key(&trust.trustor) {
                    visit(directory, trust.trustor, positions, done);
                }
            }
            done.push(ix);
        }
        let (mut done, mut positions) = (Vec::new(), Positions::default());
        visit(self, principal, &mut positions, &mut done);
        done.reverse();
        for (position, ix) in done.iter().enumerate() {
            positions.insert(*ix, position);
        }
        (done, positions)
    }

    /// Everything that has a say about what a session does to a resource.
    pub(crate) fn grounds(
        &self,
        session: &Session,
        resource: &str,
        exempt_guardrails: bool,
        at: UnixMillis,
    ) -> Grounds {
        let resource: Arc<str> = resource.into();
        let resource_organisation = self.organisation_of(&resource);
        let owner = self.owner_of(&resource);
        let mut layers = Layers {
            directory: self,
            layers: Vec::new(),
        };
        let mut request_layers = Vec::new();
        let guardrails = |ix: IdentityIx| {
            let organisation = self.identity(ix)?;
            Some((
                &*organisation.path,
                &*organisation.organisation_details()?.guardrails,
            ))
        };
        if let Some((path, attachments)) = resource_organisation.and_then(guardrails)
            && !exempt_guardrails
        {
            let source = PolicySource::Guardrails(path.into());
            request_layers.extend(layers.add(source, attachments, true));
        }
        request_layers.extend(layers.add_session(session));
        let (accepting, assumable) = self.assumable_acceptance(&resource, at);
        let mut grounds = Grounds {
            facts: self.session_facts(session, &resource, at),
            assumable,
            nodes: Vec::new(),
            layers: Vec::new(),
            request_layers,
            resource_policy: self
                .resource_policy(&resource)
                .cloned()
                .into_iter()
                .chain(accepting)
                .collect(),
            authenticated: session.principal != Principal::Unauthenticated,
            valid_until: None,
            resource,
            now: at,
            reads_session: false,
            reads_database_index: false,
            terms: Terms::default(),
        };
        let Principal::Identity(principal) = session.principal else {
            grounds.layers = layers.layers;
            grounds.nodes.push(Node {
                path: "unauthenticated".into(),
                layers: Vec::new(),
                owner: false,
                edges: Vec::new(),
            });
            grounds.note_inputs();
            self.note_terms(&mut grounds);
            return grounds;
        };
        let principal_organisation = self.identity(principal).and_then(|i| i.organisation);
        let (order, positions) = self.reached(principal);
        for (position, ix) in order.iter().enumerate() {
            let Some(identity) = self.identity(*ix) else {
                continue;
            };
            let mut on_node = Vec::new();
            let boundary = PolicySource::Boundary(identity.path.clone());
            on_node.extend(layers.add(boundary, &identity.boundary, position == 0));
            if let Some(organisation) = identity.organisation
                && let Some((path, attachments)) = guardrails(organisation)
                && !(exempt_guardrails && Some(organisation) == resource_organisation)
            {
                let binding = Some(organisation) == principal_organisation
                    || Some(organisation) == resource_organisation;
                let source = PolicySource::Guardrails(path.into());
                on_node.extend(layers.add(source, attachments, binding));
            }
            // "an organisation also accepts itself"
            let accepts_itself =
                identity.kind == Kind::Organisation && *identity.path == *grounds.resource;
            grounds.nodes.push(Node {
                path: identity.path.clone(),
                layers: on_node,
                owner: Some(*ix) == owner || accepts_itself,
                edges: Vec::new(),
            });
        }
        for (position, ix) in order.iter().enumerate() {
            let trusts = self.identity(*ix).map_or(&[][..], |i| &i.trusted_by);
            for trust in trusts
                .iter()
                .filter_map(|t| self.trust(*t))
                .filter(|trust| passes_on(trust))
            {
                let to = positions.get(&trust.trustor).copied();
                let Some(to) = to.filter(|to| *to < order.len()) else {
                    continue;
                };
                let grant = match trust.kind {
                    TrustKind::Ownership => Grant::Everything,
                    TrustKind::Membership if trust.policies.is_empty() => Grant::Everything,
                    _ => Grant::Documents(self.documents(&trust.policies)),
                };
                let in_force = trust.expires_at.is_none_or(|end| at < end);
                if in_force && let Some(end) = trust.expires_at {
                    grounds.valid_until =
                        Some(grounds.valid_until.map_or(end, |until| until.min(end)));
                }
                let conditions = trust.conditions.as_ref().map(|conditions| {
                    let source = PolicySource::Conditions(trust.path.clone());
                    layers.push(source, vec![Arc::clone(conditions)], false)
                });
                let organisation = self.identity(trust.trustor).and_then(|i| i.organisation);
                let binding = organisation.is_some()
                    && (organisation == principal_organisation
                        || organisation == resource_organisation);
                grounds.nodes[to].edges.push(Edge {
                    from: position,
                    source: PolicySource::Trust(trust.path.clone()),
                    grant,
                    in_force,
                    conditions,
                    binding,
                });
            }
        }
        grounds.layers = layers.layers;
        grounds.note_inputs();
        self.note_terms(&mut grounds);
        grounds
    }

    /// Notes the accounts of the organisations, where a vendor's document asks for them.
    fn note_terms(&self, grounds: &mut Grounds) {
        let vendors = |policy: &Arc<Policy>| {
            matches!(
                policy.dialect(),
                Dialect::Aws | Dialect::Tencent | Dialect::Alibaba
            )
        };
        if !grounds.lists().flatten().any(vendors) {
            return;
        }
        let paths = grounds.nodes.iter().map(|node| &*node.path);
        let mut ids: Vec<&str> = paths
            .chain([&*grounds.resource])
            .map(organisation)
            .collect();
        ids.extend(
            grounds
                .lists()
                .flatten()
                .map(|policy| policy.organisation()),
        );
        ids.sort_unstable();
        ids.dedup();
        let mut addresses = Vec::new();
        for dialect in [Dialect::Aws, Dialect::Tencent, Dialect::Alibaba] {
            for (documents_of, id) in ids.iter().flat_map(|of| ids.iter().map(move |id| (of, id))) {
                let organisation = self.organisation(id);
                let address = organisation.and_then(|ix| {
                    self.vendor_address(dialect, ix, self.organisation(documents_of))
                });
                addresses.extend(address.map(|address| TermsAddress {
                    dialect,
                    documents_of: (*documents_of).into(),
                    organisation: (*id).into(),
                    address,
                }));
            }
        }
        let own = grounds
            .nodes
            .first()
            .map(|node| organisation(&node.path).to_owned());
        grounds.terms.addresses = addresses;
        if let Some(own) = own {
            grounds.note_vendor_names(&own);
        }
    }
}
