//! The algorithm of the design's section 3, to the letter: deny, reach, accept, allow.

use std::sync::Arc;

use keyward_commands::ActionId;
use keyward_policy::{
    AclCall, ConditionKey, Dialect, Effect, Facts, Found, IdentityPattern, Match, Policy,
    Statement, Touch, VendorRequest,
};

use crate::decision::{Decision, Outcome, StatementRef, Subject};
use crate::grounds::{Edge, Grant, Grounds, PolicySource};
use crate::ids::PathParts;
use crate::miss::{Misses, Stop};

/// One request, as the evaluator asks every statement.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) action: ActionId,
    pub(crate) touch: Touch<'a>,
    /// The request beside its keys and channels.
    pub(crate) request: &'a dyn Facts,
}

impl Facts for Question<'_> {
    fn find(&self, key: &ConditionKey) -> Found<'_> {
        if !key.fact().is_of_touch() {
            return self.request.find(key);
        }
        match &self.touch {
            // A command's action without a call stands for one that names no key.
            Touch::None => keyward_policy::touched(key.fact(), &Touch::of_action(self.action)),
            touch => keyward_policy::touched(key.fact(), touch),
        }
    }

    fn call(&self) -> Option<AclCall<'_>> {
        self.request.call()
    }

    fn is_enumeration(&self) -> bool {
        match &self.touch {
            Touch::None => Touch::of_action(self.action).is_enumeration(),
            touch => touch.is_enumeration(),
        }
    }
}

/// The strongest thing that a list of documents says, and where.
#[derive(Clone, Copy, Debug)]
enum Said<'a> {
    Deny(At<'a>),
    Allow(At<'a>),
    /// Nothing; with the `Allow` statement that came nearest.
    Silent(Option<(Match, At<'a>)>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    document: usize,
    index: usize,
    pub(crate) policy: &'a Policy,
    pub(crate) statement: &'a Statement,
}

impl At<'_> {
    pub(crate) fn reference(&self, source: &PolicySource) -> StatementRef {
        StatementRef {
            source: source.clone(),
            document: self.document,
            statement: self.index,
            sid: self.statement.sid.clone(),
            policy: self.policy.path().map(Into::into),
        }
    }
}

/// Whether a statement of a resource policy speaks of everybody.
fn names_everyone(statement: &Statement) -> bool {
    let native = statement
        .identities
        .iter()
        .any(|identity| matches!(identity, IdentityPattern::Everyone));
    native
        || statement
            .vendor
            .as_ref()
            .is_some_and(|vendor| vendor.is_public())
}

fn statements(documents: &[Arc<Policy>]) -> impl Iterator<Item = At<'_>> {
    documents.iter().enumerate().flat_map(|(document, policy)| {
        let statements = policy.statements().iter().enumerate();
        statements.map(move |(index, statement)| At {
            document,
            index,
            policy,
            statement,
        })
    })
}

/// What the documents of one vendor's dialect allow, by request in its terms.
struct VendorAllows<'a> {
    dialect: Dialect,
    requests: Vec<VendorRequest>,
    allowed: Vec<Option<At<'a>>>,
}

impl Grounds {
    /// What a list of documents says, of the statements that `counts` accepts: Deny before Allow
    /// before silence. Native documents decide the question; what it is in a vendor's terms is
    /// decided by all documents of that dialect together: all of its requests must be allowed,
    /// and one that is denied is enough.
    fn say<'a>(
        &self,
        documents: &'a [Arc<Policy>],
        question: &Question<'_>,
        counts: impl Fn(&Statement) -> bool,
    ) -> Said<'a> {
        let mut allow = None;
        let mut nearest: Option<(Match, At<'a>)> = None;
        let mut vendors: Vec<VendorAllows<'a>> = Vec::new();
        for at in statements(documents).filter(|at| counts(at.statement)) {
            let mut note = |found: Match| match (found, at.statement.effect) {
                (Match::Full, Effect::Deny) => true,
                (found, Effect::Allow) if nearest.is_none_or(|(best, _)| found > best) => {
                    nearest = Some((found, at));
                    false
                }
                _ => false,
            };
            let Some(vendor) = &at.statement.vendor else {
                let found = self.matches(at.policy, at.statement, question);
                if note(found) {
                    return Said::Deny(at);
                }
                if found == Match::Full {
                    allow = allow.or(Some(at));
                }
                continue;
            };
            let dialect = vendor.dialect();
            let known = vendors.iter().position(|vendor| vendor.dialect == dialect);
            let known = known.unwrap_or_else(|| {
                let requests =
                    self.vendor_requests(dialect, at.policy.organisation(), question.action);
                vendors.push(VendorAllows {
                    dialect,
                    allowed: vec![None; requests.len()],
                    requests,
                });
                vendors.len() - 1
            });
            let vendor = &mut vendors[known];
            for (request, allowed) in vendor.requests.iter().zip(&mut vendor.allowed) {
                let found = self.matches_request(at.policy, at.statement, request, question);
                if note(found) {
                    return Said::Deny(at);
                }
                if found == Match::Full {
                    *allowed = allowed.or(Some(at));
                }
            }
        }
        let by_vendor = vendors.iter().find_map(|vendor| {
            let all = vendor.allowed.iter().all(Option::is_some);
            vendor.allowed.first().copied().flatten().filter(|_| all)
        });
        match allow.or(by_vendor) {
            Some(at) => Said::Allow(at),
            // What fits one request of several is no Allow.
            None => Said::Silent(nearest.filter(|(found, _)| *found < Match::Full)),
        }
    }
}

impl Grounds {
    /// Whether an Allow of the resource policy names this node.
    pub(crate) fn names(&self, statement: &Statement, node: usize) -> bool {
        if statement.vendor.is_some() {
            return self.vendor_accepts(statement, node);
        }
        statement.identities.iter().any(|pattern| match pattern {
            IdentityPattern::Path(path) => **path == *self.nodes[node].path && self.authenticated,
            IdentityPattern::Everyone => node == 0 && self.authenticated,
            IdentityPattern::Unauthenticated => node == 0 && !self.authenticated,
        })
    }

    /// Whether a `Deny` of the resource policy names a reached identity. For reading, replacing
    /// and deleting this very policy a Deny for everyone does not count here: it leaves only the
    /// owner accepted, so that nobody locks the owner out.
    pub(crate) fn deny_names_reached(&self, statement: &Statement, action: ActionId) -> bool {
        if statement.vendor.is_some() {
            return !(is_resource_policy_action(action) && names_everyone(statement))
                && self.vendor_deny_names_reached(statement);
        }
        statement.identities.iter().any(|pattern| match pattern {
            IdentityPattern::Path(path) => {
                self.authenticated && self.nodes.iter().any(|node| *node.path == **path)
            }
            IdentityPattern::Everyone => !is_resource_policy_action(action),
            IdentityPattern::Unauthenticated => !self.authenticated,
        })
    }

    /// Where a statement of the resource policy stands: of a role perhaps in the conditions of an
    /// assumable trust.
    pub(crate) fn resource_reference(&self, at: At<'_>) -> StatementRef {
        let own = self.resource_policy.len() - self.assumable.len();
        match at
            .document
            .checked_sub(own)
            .and_then(|n| self.assumable.get(n))
        {
            Some(trust) => StatementRef {
                document: 0,
                ..at.reference(&PolicySource::Acceptance(Arc::clone(trust)))
            },
            None => at.reference(&PolicySource::ResourcePolicy(self.resource.clone())),
        }
    }

    /// Steps 2 to 5 of the design for one question, without what is implied.
    pub(crate) fn evaluate(&self, question: &Question<'_>) -> Decision {
        let layers: Vec<Said<'_>> = self
            .layers
            .iter()
            .map(|layer| self.say(&layer.documents, question, |_| true))
            .collect();
        let edges: Vec<Said<'_>> = self
            .nodes
            .iter()
            .flat_map(|node| &node.edges)
            .map(|edge| match &edge.grant {
                Grant::Everything => Said::Silent(None),
                Grant::Documents(documents) => self.say(documents, question, |_| true),
            })
            .collect();
        if let Some(by) = self.explicit_deny(question, &layers, &edges) {
            return self.denied(question, by.reference(self));
        }
        let mut misses = Misses::new(self, question);
        let steps = self.pass(&layers, &edges, &mut misses);
        match self.accepted(question, &layers, &steps, &mut misses) {
            Some((position, by)) => self.allowed(question, position, by, &layers, &steps),
            None => self.missed(question, misses),
        }
    }

    fn explicit_deny<'a>(
        &'a self,
        question: &Question<'_>,
        layers: &[Said<'a>],
        edges: &[Said<'a>],
    ) -> Option<By<'a>> {
        let of_layers = self.layers.iter().zip(layers);
        let of_layers = of_layers.map(|(layer, said)| (layer.binding, &layer.source, said));
        let of_edges = self.nodes.iter().flat_map(|node| &node.edges).zip(edges);
        let of_edges = of_edges.map(|(edge, said)| (edge.binding, &edge.source, said));
        for (binding, source, said) in of_layers.chain(of_edges) {
            if binding && let Said::Deny(at) = *said {
                return Some(By::List(source, at));
            }
        }
        let denies = |statement: &Statement| {
            statement.effect == Effect::Deny && self.deny_names_reached(statement, question.action)
        };
        match self.say(&self.resource_policy, question, denies) {
            Said::Deny(at) => Some(By::Resource(at)),
            _ => None,
        }
    }

    /// Which nodes are passed, each from which: trusts that allow, limits that do not forbid.
    fn pass<'a>(
        &'a self,
        layers: &[Said<'a>],
        edges: &[Said<'a>],
        misses: &mut Misses<'a, '_>,
    ) -> Vec<Option<Step<'a>>> {
        let mut steps: Vec<Option<Step<'a>>> = Vec::with_capacity(self.nodes.len());
        let mut said = edges.iter();
        for (position, node) in self.nodes.iter().enumerate() {
            let mut step = (position == 0).then(Step::default);
            for (edge, said) in node.edges.iter().zip(&mut said) {
                let Some(depth) = steps[edge.from].as_ref().map(|before| before.depth) else {
                    continue;
                };
                let held = edge.conditions.map(|at| self.ask_layer(at, &layers[at]));
                let passed = match held {
                    Some(Err(stop)) => Err(stop),
                    _ => ask_edge(edge, said),
                };
                match passed {
                    Ok(by) if step.as_ref().is_none_or(|found| depth + 1 < found.depth) => {
                        step = Some(Step {
                            from: edge.from,
                            depth: depth + 1,
                            by,
                        });
                    }
                    Ok(_) => {}
                    Err(stop) => misses.add(depth, 1, stop),
                }
            }
            if let Some(depth) = step.as_ref().map(|step| step.depth)
                && let Some(stop) = self.first_stop(&node.layers, layers)
            {
                misses.add(depth, 2, stop);
                step = None;
            }
            steps.push(step);
        }
        steps
    }

    /// The nearest node that the resource accepts, and by which of its statements.
    fn accepted<'a>(
        &'a self,
        question: &Question<'_>,
        layers: &[Said<'a>],
        steps: &[Option<Step<'a>>],
        misses: &mut Misses<'a, '_>,
    ) -> Option<(usize, Option<By<'a>>)> {
        let only_owner = is_resource_policy_action(question.action)
            && matches!(
                self.say(&self.resource_policy, question, |statement| {
                    statement.effect == Effect::Deny && names_everyone(statement)
                }),
                Said::Deny(_)
            );
        let named_alone = self.is_of_trust_document(question.action);
        let of_request = self.first_stop(&self.request_layers, layers);
        let mut best: Option<(usize, usize, Option<By<'a>>)> = None;
        for (position, node) in self.nodes.iter().enumerate() {
            let Some(depth) = steps[position].as_ref().map(|step| step.depth) else {
                continue;
            };
            if best.as_ref().is_some_and(|(found, ..)| *found <= depth) {
                continue;
            }
            let by = match (node.owner && !named_alone, only_owner) {
                (true, _) => Ok(None),
                (false, true) => Err(Stop::NotAccepted),
                (false, false) => self.ask_resource(position, question).map(Some),
            };
            match (by, of_request) {
                (Err(stop), _) => misses.add(depth, 0, stop),
                (Ok(_), Some(stop)) => misses.add(depth + 1, 3, stop),
                (Ok(by), None) => best = Some((depth, position, by)),
            }
        }
        best.map(|(_, position, by)| (position, by))
    }

    /// The first of some layers that does not allow.
    fn first_stop<'a>(&'a self, of: &[usize], layers: &[Said<'a>]) -> Option<Stop<'a>> {
        let mut asked = of.iter().map(|&at| self.ask_layer(at, &layers[at]));
        asked.find_map(Result::err)
    }

    fn ask_layer<'a>(&'a self, at: usize, said: &Said<'a>) -> Result<By<'a>, Stop<'a>> {
        let source = &self.layers[at].source;
        match *said {
            Said::Allow(at) => Ok(By::List(source, at)),
            Said::Deny(at) => Err(Stop::Breaks(source, at)),
            Said::Silent(near) => Err(Stop::Silent(source, near)),
        }
    }

    fn ask_resource<'a>(
        &'a self,
        node: usize,
        question: &Question<'_>,
    ) -> Result<By<'a>, Stop<'a>> {
        let named = |statement: &Statement| {
            statement.effect == Effect::Allow && self.names(statement, node)
        };
        match self.say(&self.resource_policy, question, named) {
            Said::Allow(at) => Ok(By::Resource(at)),
            Said::Silent(Some((rank, at))) => Err(Stop::SilentResource(rank, at)),
            _ => Err(Stop::NotAccepted),
        }
    }

    pub(crate) fn decision(&self, question: &Question<'_>, outcome: Outcome) -> Decision {
        Decision {
            outcome,
            subject: Subject::Command,
            action: question.action.name(),
            resource: self.resource.clone(),
            chain: Vec::new(),
            statements: Vec::new(),
            message: String::new(),
            public_message: String::new(),
        }
    }

    /// The chain that ends at a node, with a statement of each list on it that had to allow.
    fn allowed(
        &self,
        question: &Question<'_>,
        position: usize,
        by: Option<By<'_>>,
        layers: &[Said<'_>],
        steps: &[Option<Step<'_>>],
    ) -> Decision {
        let mut nodes = vec![(position, None)];
        let mut at = position;
        while let Some(step) = steps[at].as_ref().filter(|_| at != 0) {
            if let Some((_, last)) = nodes.last_mut() {
                *last = step.by;
            }
            nodes.push((step.from, None));
            at = step.from;
        }
        let mut statements = Vec::new();
        let mut add = |by: By<'_>| {
            // Guardrails bind an organisation's every identity on the chain, and its resources.
            let statement = by.reference(self);
            if !statements.contains(&statement) {
                statements.push(statement);
            }
        };
        let allowing = |at: &usize| self.ask_layer(*at, &layers[*at]).ok();
        for (node, by) in nodes.iter().rev() {
            by.iter().copied().for_each(&mut add);
            let limits = self.nodes[*node].layers.iter();
            limits.filter_map(allowing).for_each(&mut add);
        }
        by.into_iter().for_each(&mut add);
        let limits = self.request_layers.iter();
        limits.filter_map(allowing).for_each(&mut add);
        let chain = nodes.iter().rev();
        let chain = chain.map(|(node, _)| self.nodes[*node].path.clone());
        let chain: Vec<_> = chain.collect();
        let message = told(&statements, &chain);
        let public = statements.iter().all(|by| self.may_be_told(&by.source));
        let public_message = if public {
            message.clone()
        } else {
            "allowed by policies, some of them of the resource's organisation".to_owned()
        };
        Decision {
            chain,
            statements,
            public_message,
            message,
            ..self.decision(question, Outcome::Allow)
        }
    }

    fn denied(&self, question: &Question<'_>, statement: StatementRef) -> Decision {
        let message = format!("denied by {}", statement.describe());
        let public_message = if self.may_be_told(&statement.source) {
            message.clone()
        } else {
            "denied by a policy of the resource's organisation".to_owned()
        };
        Decision {
            statements: vec![statement],
            message,
            public_message,
            ..self.decision(question, Outcome::ExplicitDeny)
        }
    }

    fn missed(&self, question: &Question<'_>, misses: Misses<'_, '_>) -> Decision {
        let stop = misses.nearest().explain(self, question);
        let source = stop.source.as_ref();
        let public_message = if source.is_none_or(|source| self.may_be_told(source)) {
            stop.text.clone()
        } else {
            "a policy of the resource's organisation does not allow it".to_owned()
        };
        Decision {
            subject: stop.subject,
            statements: stop.statement.into_iter().collect(),
            message: stop.text,
            public_message,
            ..self.decision(question, Outcome::ImplicitDeny)
        }
    }

    /// Whether the principal may be told of a statement: it stands in its own organisation.
    fn may_be_told(&self, source: &PolicySource) -> bool {
        let organisation = |path: &str| {
            let parts = PathParts::of(path)?;
            Some(parts.organisation?.to_owned())
        };
        let Some(path) = source.path() else {
            return true;
        };
        let Some(own) = self.nodes.first().and_then(|node| organisation(&node.path)) else {
            // A user belongs to no organisation; tell it of the organisations it reaches.
            return self
                .nodes
                .iter()
                .skip(1)
                .any(|n| organisation(&n.path) == organisation(path));
        };
        organisation(path) == Some(own)
    }
}

/// The evidence of an allow, for people: what grants, what limits and lets it, and through whom.
fn told(statements: &[StatementRef], chain: &[Arc<str>]) -> String {
    let limits = |statement: &&StatementRef| {
        matches!(
            statement.source,
            PolicySource::Boundary(_)
                | PolicySource::Guardrails(_)
                | PolicySource::SessionPolicy(_)
                | PolicySource::Conditions(_)
                | PolicySource::Layer(_)
        )
    };
    let list = |limiting: bool| {
        let of_kind = statements.iter().filter(|found| limits(found) == limiting);
        let all: Vec<String> = of_kind.map(StatementRef::describe).collect();
        all.join(" and ")
    };
    let mut text = match list(false) {
        none if none.is_empty() => "allowed: the owner".to_owned(),
        grants => format!("allowed by {grants}"),
    };
    let within = list(true);
    if !within.is_empty() {
        text.push_str(", within ");
        text.push_str(&within);
    }
    if let [_, through @ .., _] = chain
        && !through.is_empty()
    {
        text.push_str(", through ");
        text.push_str(&through.join(", "));
    }
    text
}

fn is_resource_policy_action(action: ActionId) -> bool {
    matches!(
        action.name(),
        "iam:GetResourcePolicy" | "iam:PutResourcePolicy" | "iam:DeleteResourcePolicy"
    )
}

/// Whether a trust lets through, and by which statement.
fn ask_edge<'a>(edge: &'a Edge, said: &Said<'a>) -> Result<Option<By<'a>>, Stop<'a>> {
    if !edge.in_force {
        return Err(Stop::Expired(&edge.source));
    }
    match (&edge.grant, *said) {
        (Grant::Everything, _) => Ok(None),
        (_, Said::Allow(at)) => Ok(Some(By::List(&edge.source, at))),
        (_, Said::Deny(at)) => Err(Stop::Breaks(&edge.source, at)),
        (_, Said::Silent(near)) => Err(Stop::Silent(&edge.source, near)),
    }
}

/// A statement, and in which list it stands.
#[derive(Clone, Copy, Debug)]
enum By<'a> {
    List(&'a PolicySource, At<'a>),
    Resource(At<'a>),
}

impl By<'_> {
    fn reference(&self, grounds: &Grounds) -> StatementRef {
        match self {
            Self::List(source, at) => at.reference(source),
            Self::Resource(at) => grounds.resource_reference(*at),
        }
    }
}

/// How a node was passed: from which, over how many trusts, and by which statement of the last.
#[derive(Clone, Debug, Default)]
struct Step<'a> {
    from: usize,
    depth: usize,
    by: Option<By<'a>>,
}
