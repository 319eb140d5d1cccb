//! The algorithm of the design's section 3, to the letter: deny, reach, accept, allow.

use std::sync::Arc;

use keyward_commands::ActionId;
use keyward_policy::{
    AclCall, ConditionKey, Dialect, Effect, Facts, Found, IdentityPattern, Match, Policy,
    Statement, Touch, VendorRequest,
};

use crate::decision::{Decision, Outcome, StatementRef, Subject};
use crate::grounds::{Edge, Grant, Grounds, Layer, PolicySource};
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
#[derive(Clone, Debug)]
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
    /// Whether a resource policy's statement names this node.
    pub(crate) fn names(&self, statement: &Statement, node: usize) -> bool {
        if statement.vendor.is_some() {
            return self.vendor_names(statement, node);
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
    fn resource_reference(&self, at: At<'_>) -> StatementRef {
        let own = self.resource_policy.len() - self.assumable.len();
        match at
            .document
            .checked_sub(own)
            .and_then(|n| self.assumable.get(n))
        {
            Some(trust) => StatementRef {
                document: 0,
                ..at.reference(&PolicySource::Conditions(Arc::clone(trust)))
            },
            None => at.reference(&PolicySource::ResourcePolicy(self.resource.clone())),
        }
    }

    fn explicit_deny(&self, question: &Question<'_>) -> Option<StatementRef> {
        for layer in self.layers.iter().filter(|layer| layer.binding) {
            if let Said::Deny(at) = self.say(&layer.documents, question, |_| true) {
                return Some(at.reference(&layer.source));
            }
        }
        for edge in self
            .nodes
            .iter()
            .flat_map(|n| &n.edges)
            .filter(|edge| edge.binding)
        {
            if let Grant::Documents(documents) = &edge.grant
                && let Said::Deny(at) = self.say(documents, question, |_| true)
            {
                return Some(at.reference(&edge.source));
            }
        }
        let denies = |statement: &Statement| {
            statement.effect == Effect::Deny && self.deny_names_reached(statement, question.action)
        };
        match self.say(&self.resource_policy, question, denies) {
            Said::Deny(at) => Some(self.resource_reference(at)),
            _ => None,
        }
    }

    /// Steps 2 to 5 of the design for one question, without what is implied.
    pub(crate) fn evaluate(&self, question: &Question<'_>) -> Decision {
        if let Some(statement) = self.explicit_deny(question) {
            return self.denied(question, statement);
        }
        let only_owner = is_resource_policy_action(question.action)
            && matches!(
                self.say(&self.resource_policy, question, |statement| {
                    statement.effect == Effect::Deny && names_everyone(statement)
                }),
                Said::Deny(_)
            );
        let mut misses = Misses::default();
        let layers: Vec<Result<StatementRef, Stop>> = self
            .layers
            .iter()
            .map(|layer| self.ask_layer(layer, question))
            .collect();

        // How each node is passed: from which node, and by which statements.
        let mut passed: Vec<Option<Step>> = Vec::with_capacity(self.nodes.len());
        for (position, node) in self.nodes.iter().enumerate() {
            let mut step = (position == 0).then(Step::default);
            for edge in &node.edges {
                let Some(before) = passed[edge.from].as_ref() else {
                    continue;
                };
                let (depth, statements) = (before.depth, before.statements.len());
                let conditions = edge.conditions.map(|layer| &layers[layer]);
                let held = match conditions {
                    Some(Err(stop)) => Err(stop.clone()),
                    _ => Ok(()),
                };
                match held.and_then(|()| self.ask_edge(edge, question)) {
                    Ok(statement) => {
                        let shorter = step.as_ref().is_none_or(|s| depth + 1 < s.depth);
                        if shorter {
                            let mut all = Vec::with_capacity(statements + 1);
                            all.extend(before.statements.iter().cloned());
                            all.extend(statement);
                            step = Some(Step {
                                from: edge.from,
                                depth: depth + 1,
                                statements: all,
                            });
                        }
                    }
                    Err(stop) => misses.add(depth, 1, stop),
                }
            }
            if let Some(reached) = step.as_mut() {
                for layer in &node.layers {
                    match &layers[*layer] {
                        Ok(statement) => reached.statements.push(statement.clone()),
                        Err(stop) => {
                            misses.add(reached.depth, 2, stop.clone());
                            step = None;
                            break;
                        }
                    }
                }
            }
            passed.push(step);
        }

        let mut best: Option<(usize, Step)> = None;
        for (position, node) in self.nodes.iter().enumerate() {
            let Some(step) = &passed[position] else {
                continue;
            };
            if best
                .as_ref()
                .is_some_and(|(_, found)| found.depth <= step.depth)
            {
                continue;
            }
            let mut statements = step.statements.clone();
            if !node.owner {
                let refused = if only_owner {
                    Err(Stop::not_accepted(self))
                } else {
                    self.ask_resource(position, question)
                };
                match refused {
                    Ok(statement) => statements.push(statement),
                    Err(stop) => {
                        misses.add(step.depth, 0, stop);
                        continue;
                    }
                }
            }
            let stop = self
                .request_layers
                .iter()
                .find_map(|layer| match &layers[*layer] {
                    Ok(statement) => {
                        statements.push(statement.clone());
                        None
                    }
                    Err(stop) => Some(stop.clone()),
                });
            match stop {
                Some(stop) => misses.add(step.depth + 1, 3, stop),
                None => {
                    best = Some((
                        position,
                        Step {
                            statements,
                            ..step.clone()
                        },
                    ))
                }
            }
        }
        match best {
            Some((position, step)) => self.allowed(question, position, step, &passed),
            None => self.missed(question, misses),
        }
    }

    fn ask_layer(&self, layer: &Layer, question: &Question<'_>) -> Result<StatementRef, Stop> {
        match self.say(&layer.documents, question, |_| true) {
            Said::Allow(at) => Ok(at.reference(&layer.source)),
            Said::Deny(at) => Err(Stop::breaks(&layer.source, at)),
            Said::Silent(near) => Err(Stop::silent(&layer.source, near, self, question)),
        }
    }

    fn ask_edge(&self, edge: &Edge, question: &Question<'_>) -> Result<Option<StatementRef>, Stop> {
        if !edge.in_force {
            return Err(Stop {
                rank: Match::Full,
                statement: None,
                source: Some(edge.source.clone()),
                subject: Subject::Command,
                text: format!("{} has expired", edge.source.describe()),
            });
        }
        let documents = match &edge.grant {
            Grant::Everything => return Ok(None),
            Grant::Documents(documents) => documents,
        };
        match self.say(documents, question, |_| true) {
            Said::Allow(at) => Ok(Some(at.reference(&edge.source))),
            Said::Deny(at) => Err(Stop::breaks(&edge.source, at)),
            Said::Silent(near) => Err(Stop::silent(&edge.source, near, self, question)),
        }
    }

    fn ask_resource(&self, node: usize, question: &Question<'_>) -> Result<StatementRef, Stop> {
        let named = |statement: &Statement| {
            statement.effect == Effect::Allow && self.names(statement, node)
        };
        match self.say(&self.resource_policy, question, named) {
            Said::Allow(at) => Ok(self.resource_reference(at)),
            Said::Silent(near @ Some((_, at))) => {
                let source = self.resource_reference(at).source;
                Err(Stop::silent(&source, near, self, question))
            }
            _ => Err(Stop::not_accepted(self)),
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

    fn allowed(
        &self,
        question: &Question<'_>,
        position: usize,
        step: Step,
        passed: &[Option<Step>],
    ) -> Decision {
        let mut chain = vec![self.nodes[position].path.clone()];
        let (mut at, mut from) = (position, step.from);
        while at != 0 {
            chain.push(self.nodes[from].path.clone());
            at = from;
            from = passed[at].as_ref().map_or(0, |s| s.from);
        }
        chain.reverse();
        let message = match step.statements.first() {
            Some(statement) => format!("allowed by {}", statement.describe()),
            None => "allowed: the owner".to_owned(),
        };
        Decision {
            chain,
            statements: step.statements,
            public_message: message.clone(),
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

    fn missed(&self, question: &Question<'_>, misses: Misses) -> Decision {
        let stop = misses
            .nearest
            .map_or_else(|| Stop::not_accepted(self), |(_, stop)| stop);
        let told = stop
            .source
            .as_ref()
            .is_none_or(|source| self.may_be_told(source));
        let public_message = if told {
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

fn is_resource_policy_action(action: ActionId) -> bool {
    matches!(
        action.name(),
        "iam:GetResourcePolicy" | "iam:PutResourcePolicy" | "iam:DeleteResourcePolicy"
    )
}

/// How a node was passed.
#[derive(Clone, Debug, Default)]
struct Step {
    from: usize,
    depth: usize,
    statements: Vec<StatementRef>,
}
