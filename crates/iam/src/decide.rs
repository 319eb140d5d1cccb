//! The decision: the algorithm of the design, to the letter, with its explanation.

use std::sync::Arc;

use keyward_commands::{
    ActionId, CONNECT, ChannelRule, CommandClass, CommandId, ResolveError, Scope, Touched, Words,
};
use keyward_policy::{
    ChannelUse, Effect, IdentityPattern, KeyUse, Match, Policy, Statement, Touch,
};

use crate::bits::Bits;
use crate::directory::Directory;
use crate::grounds::{Edge, Grant, Grounds, Layer, PolicySource};
use crate::ids::{DatabaseIx, PathParts, UnixMillis};
use crate::session::{Principal, Session};

/// What was decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A chain allows, the resource accepts, nothing denies.
    Allow,
    /// A `Deny` statement matched. Nothing overrides it.
    ExplicitDeny,
    /// Nothing allowed it.
    ImplicitDeny,
}

/// What a denial speaks of: it picks the server's wording.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The command itself.
    Command,
    /// One of its keys.
    Key,
    /// One of its channels.
    Channel,
}

/// Where a statement stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatementRef {
    /// In which list.
    pub source: PolicySource,
    /// Position of its document in the list, from 0.
    pub document: usize,
    /// Position in its document, from 0.
    pub statement: usize,
    /// Its `Sid`.
    pub sid: Option<Box<str>>,
}

impl StatementRef {
    /// For people: `statement 1 (ReadSessions) of trust org/acme/trust/t`.
    #[must_use]
    pub fn describe(&self) -> String {
        let statement = match &self.sid {
            Some(sid) => format!("statement {} ({sid})", self.statement + 1),
            None => format!("statement {}", self.statement + 1),
        };
        let document = if self.document == 0 {
            String::new()
        } else {
            format!(" of policy {}", self.document + 1)
        };
        format!("{statement}{document} of {}", self.source.describe())
    }
}

impl PolicySource {
    /// For people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Trust(path) => format!("trust {path}"),
            Self::ResourcePolicy(path) => format!("the resource policy of {path}"),
            Self::Boundary(path) => format!("the boundary of {path}"),
            Self::Guardrails(path) => format!("the guardrails of {path}"),
            Self::Layer(layer) => format!("boundary layer {}", layer + 1),
        }
    }

    /// Path of the thing whose policies these are.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Trust(p) | Self::ResourcePolicy(p) | Self::Boundary(p) | Self::Guardrails(p) => {
                Some(p)
            }
            Self::Layer(_) => None,
        }
    }
}

/// A decision and why.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What was decided.
    pub outcome: Outcome,
    /// What a denial speaks of.
    pub subject: Subject,
    /// Name of the action; empty for an unknown command.
    pub action: &'static str,
    /// Full path of the resource.
    pub resource: Arc<str>,
    /// The identities of the chain that allowed, from the principal on.
    pub chain: Vec<Arc<str>>,
    /// Allow: one statement of each list that had to allow. Explicit deny: the statement that
    /// denied. Implicit deny: the nearest miss, or none.
    pub statements: Vec<StatementRef>,
    /// Why, with everything named.
    pub message: String,
    /// Why, for the principal: statements of other organisations are not named.
    pub public_message: String,
}

impl Decision {
    /// Whether the request may happen.
    #[must_use]
    pub fn is_allow(&self) -> bool {
        self.outcome == Outcome::Allow
    }
}

/// One request, as the evaluator asks every statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) action: ActionId,
    pub(crate) touch: Touch<'a>,
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
struct At<'a> {
    document: usize,
    index: usize,
    statement: &'a Statement,
}

impl At<'_> {
    fn reference(&self, source: &PolicySource) -> StatementRef {
        StatementRef {
            source: source.clone(),
            document: self.document,
            statement: self.index,
            sid: self.statement.sid.clone(),
        }
    }
}

fn statements(documents: &[Arc<Policy>]) -> impl Iterator<Item = At<'_>> {
    documents.iter().enumerate().flat_map(|(document, policy)| {
        let statements = policy.statements().iter().enumerate();
        statements.map(move |(index, statement)| At {
            document,
            index,
            statement,
        })
    })
}

/// What a list of identity documents says: Deny before Allow before silence.
fn say<'a>(documents: &'a [Arc<Policy>], resource: &str, question: &Question<'_>) -> Said<'a> {
    let mut allow = None;
    let mut nearest: Option<(Match, At<'a>)> = None;
    for at in statements(documents) {
        match (
            at.statement
                .matches(question.action, resource, &question.touch),
            at.statement.effect,
        ) {
            (Match::Full, Effect::Deny) => return Said::Deny(at),
            (Match::Full, Effect::Allow) => allow = allow.or(Some(at)),
            (found, Effect::Allow) if nearest.is_none_or(|(best, _)| found > best) => {
                nearest = Some((found, at));
            }
            _ => {}
        }
    }
    allow.map_or(Said::Silent(nearest), Said::Allow)
}

impl Grounds {
    /// Whether a resource policy's statement names this node.
    pub(crate) fn names(&self, statement: &Statement, node: usize) -> bool {
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
        statement.identities.iter().any(|pattern| match pattern {
            IdentityPattern::Path(path) => {
                self.authenticated && self.nodes.iter().any(|node| *node.path == **path)
            }
            IdentityPattern::Everyone => !is_resource_policy_action(action),
            IdentityPattern::Unauthenticated => !self.authenticated,
        })
    }

    fn explicit_deny(&self, question: &Question<'_>) -> Option<StatementRef> {
        for layer in self.layers.iter().filter(|layer| layer.binding) {
            if let Said::Deny(at) = say(&layer.documents, &self.resource, question) {
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
                && let Said::Deny(at) = say(documents, &self.resource, question)
            {
                return Some(at.reference(&edge.source));
            }
        }
        statements(&self.resource_policy)
            .find(|at| {
                at.statement.effect == Effect::Deny
                    && at
                        .statement
                        .matches(question.action, &self.resource, &question.touch)
                        == Match::Full
                    && self.deny_names_reached(at.statement, question.action)
            })
            .map(|at| at.reference(&PolicySource::ResourcePolicy(self.resource.clone())))
    }

    /// Steps 2 to 5 of the design for one question, without what is implied.
    pub(crate) fn evaluate(&self, question: &Question<'_>) -> Decision {
        if let Some(statement) = self.explicit_deny(question) {
            return self.denied(question, statement);
        }
        let only_owner = is_resource_policy_action(question.action)
            && statements(&self.resource_policy).any(|at| {
                at.statement.effect == Effect::Deny
                    && at
                        .statement
                        .identities
                        .iter()
                        .any(|i| matches!(i, IdentityPattern::Everyone))
                    && at
                        .statement
                        .matches(question.action, &self.resource, &question.touch)
                        == Match::Full
            });
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
                match self.ask_edge(edge, question) {
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
        match say(&layer.documents, &self.resource, question) {
            Said::Allow(at) => Ok(at.reference(&layer.source)),
            Said::Deny(at) => Err(Stop::breaks(&layer.source, at)),
            Said::Silent(near) => Err(Stop::silent(&layer.source, near, &self.resource, question)),
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
        match say(documents, &self.resource, question) {
            Said::Allow(at) => Ok(Some(at.reference(&edge.source))),
            Said::Deny(at) => Err(Stop::breaks(&edge.source, at)),
            Said::Silent(near) => Err(Stop::silent(&edge.source, near, &self.resource, question)),
        }
    }

    fn ask_resource(&self, node: usize, question: &Question<'_>) -> Result<StatementRef, Stop> {
        let source = PolicySource::ResourcePolicy(self.resource.clone());
        let mut near: Option<(Match, At<'_>)> = None;
        for at in statements(&self.resource_policy) {
            if at.statement.effect != Effect::Allow || !self.names(at.statement, node) {
                continue;
            }
            match at
                .statement
                .matches(question.action, &self.resource, &question.touch)
            {
                Match::Full => return Ok(at.reference(&source)),
                found if near.is_none_or(|(best, _)| found > best) => near = Some((found, at)),
                _ => {}
            }
        }
        Err(match near {
            Some(_) => Stop::silent(&source, near, &self.resource, question),
            None => Stop::not_accepted(self),
        })
    }

    fn decision(&self, question: &Question<'_>, outcome: Outcome) -> Decision {
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

/// Where a chain stopped.
#[derive(Clone, Debug)]
struct Stop {
    rank: Match,
    statement: Option<StatementRef>,
    source: Option<PolicySource>,
    subject: Subject,
    text: String,
}

impl Stop {
    fn breaks(source: &PolicySource, at: At<'_>) -> Self {
        let statement = at.reference(source);
        Self {
            rank: Match::Full,
            text: format!("{} denies, which breaks the chain", statement.describe()),
            statement: Some(statement),
            source: Some(source.clone()),
            subject: Subject::Command,
        }
    }

    fn not_accepted(grounds: &Grounds) -> Self {
        let principal = grounds.nodes.first().map_or("deleted", |n| &n.path);
        Self {
            rank: Match::Action,
            statement: None,
            source: None,
            subject: Subject::Command,
            text: format!(
                "no chain of trusts leads from {principal} to an identity that {} accepts for it",
                grounds.resource
            ),
        }
    }

    fn silent(
        source: &PolicySource,
        near: Option<(Match, At<'_>)>,
        resource: &str,
        question: &Question<'_>,
    ) -> Self {
        let action = question.action.name();
        let from = source.describe();
        let Some((rank, at)) = near.filter(|(rank, _)| *rank > Match::Action) else {
            return Self {
                rank: Match::Action,
                statement: None,
                source: Some(source.clone()),
                subject: Subject::Command,
                text: format!("no statement of {from} allows {action}"),
            };
        };
        let statement = at.reference(source);
        let (subject, text) = match rank {
            Match::Resource => (
                Subject::Command,
                format!(
                    "{} allows {action}, but not on {resource}",
                    statement.describe()
                ),
            ),
            _ => explain_keys(at.statement, &question.touch, &statement.describe(), action),
        };
        Self {
            rank,
            statement: Some(statement),
            source: Some(source.clone()),
            subject,
            text,
        }
    }
}

/// Why an `Allow` that fits otherwise does not cover the keys or channels.
fn explain_keys(
    statement: &Statement,
    touch: &Touch<'_>,
    described: &str,
    action: &str,
) -> (Subject, String) {
    let alone = |keys: &[KeyUse<'_>], channels: &[ChannelUse<'_>]| {
        statement
            .keys
            .as_ref()
            .is_none_or(|p| p.allows(&Touch::Named { keys, channels }))
    };
    match touch {
        Touch::EveryKey {
            enumeration: true, ..
        } => (
            Subject::Key,
            format!(
                "{described} allows {action} only on some keys, and an enumeration under a key \
                 restriction is refused: it would show every key"
            ),
        ),
        Touch::EveryKey { .. } => (
            Subject::Key,
            format!(
                "{described} allows {action} only on some keys, and the command touches every \
                 key, which only the pattern `*` covers"
            ),
        ),
        Touch::Named { keys, channels } => {
            if let Some(key) = keys
                .iter()
                .find(|key| !alone(std::slice::from_ref(key), &[]))
            {
                let shown = String::from_utf8_lossy(key.key);
                let access = match (key.reads, key.writes) {
                    (true, true) => "read and written",
                    (false, true) => "written",
                    _ => "read",
                };
                let text = format!(
                    "{described} allows {action}, but not on key `{shown}`, which is {access}; keys granted by two statements do not add up"
                );
                return (Subject::Key, text);
            }
            if let Some(channel) = channels
                .iter()
                .find(|c| !alone(&[], std::slice::from_ref(c)))
            {
                let shown = String::from_utf8_lossy(channel.channel);
                let text = format!("{described} allows {action}, but not on channel `{shown}`");
                return (Subject::Channel, text);
            }
            (
                Subject::Key,
                format!("{described} allows {action}, but not on all its keys at once"),
            )
        }
        Touch::None | Touch::Keyless => (
            Subject::Command,
            format!("{described} allows {action}, but not this request"),
        ),
    }
}

/// The nearest miss: the longest chain prefix that allowed, then how far its best statement came;
/// ties by text.
#[derive(Default)]
struct Misses {
    nearest: Option<((usize, u8, Match), Stop)>,
}

impl Misses {
    /// `stage`: 0 the resource did not accept, 1 a trust, 2 a limit of an identity on the chain,
    /// 3 a limit of the request after a chain allowed.
    fn add(&mut self, depth: usize, stage: u8, stop: Stop) {
        // A resource statement that names the identity came nearer than a trust that says nothing.
        let stage = if stage == 0 && stop.rank > Match::Action {
            2
        } else {
            stage
        };
        let rank = (depth, stage, stop.rank);
        let nearer = self
            .nearest
            .as_ref()
            .is_none_or(|(best, found)| rank > *best || (rank == *best && stop.text < found.text));
        if nearer {
            self.nearest = Some((rank, stop));
        }
    }
}

/// What one command touches, in the evaluator's terms.
pub(crate) struct CommandTouch<'a> {
    keys: Vec<KeyUse<'a>>,
    channels: Vec<ChannelUse<'a>>,
    scope: Scope,
}

impl<'a> CommandTouch<'a> {
    pub(crate) fn new<W: Words + ?Sized>(
        command: CommandId,
        touched: &Touched,
        words: &'a W,
    ) -> Self {
        let announces = touched.every_channel || !touched.channels.is_empty();
        if command.command().channels == ChannelRule::Tracking && announces {
            // Prefixes are of keys: whoever is told of changed keys reads their names.
            let scope = Scope::EveryKey {
                reads: true,
                writes: false,
                enumeration: false,
            };
            return Self {
                keys: Vec::new(),
                channels: Vec::new(),
                scope,
            };
        }
        let keys = touched.keys.iter().map(|key| KeyUse {
            key: words.word(key.word as usize),
            reads: key.flags.reads(),
            writes: key.flags.writes(),
        });
        let channels = touched.channels.iter().map(|channel| ChannelUse {
            channel: words.word(channel.word as usize),
            pattern: channel.pattern,
        });
        let mut found = Self {
            keys: keys.collect(),
            channels: channels.collect(),
            scope: touched.scope,
        };
        if touched.every_channel {
            found.channels.push(ChannelUse {
                channel: b"*",
                pattern: true,
            });
            found.scope = Scope::Named;
        }
        found
    }

    pub(crate) fn touch(&self) -> Touch<'_> {
        match self.scope {
            Scope::Keyless => Touch::Keyless,
            Scope::EveryKey {
                reads,
                writes,
                enumeration,
            } => Touch::EveryKey {
                reads,
                writes,
                enumeration,
            },
            Scope::Named => Touch::Named {
                keys: &self.keys,
                channels: &self.channels,
            },
        }
    }
}

/// Whether a touch names or covers any key.
pub(crate) fn touches_keys(touch: &Touch<'_>) -> bool {
    match touch {
        Touch::None | Touch::Keyless => false,
        Touch::EveryKey { .. } => true,
        Touch::Named { keys, .. } => !keys.is_empty(),
    }
}

impl Grounds {
    /// A denial that no statement is to blame for.
    fn refused(&self, action: &'static str, text: String) -> Decision {
        Decision {
            outcome: Outcome::ImplicitDeny,
            subject: Subject::Command,
            action,
            resource: self.resource.clone(),
            chain: Vec::new(),
            statements: Vec::new(),
            public_message: text.clone(),
            message: text,
        }
    }

    /// Decides an action by name: what is implied by Connect included.
    pub(crate) fn decide_action(&self, question: &Question<'_>, administration: bool) -> Decision {
        let Some(command) = question.action.command() else {
            if question.action == CONNECT {
                return self.decide_connect(administration);
            }
            return self.evaluate(question);
        };
        match command.command().class {
            CommandClass::Always => {
                let mut decision = self.decision(question, Outcome::Allow);
                "always possible".clone_into(&mut decision.message);
                "always possible".clone_into(&mut decision.public_message);
                decision
            }
            CommandClass::ConnectOnly => self.decide_connect_only(question, administration),
            _ => self.evaluate(question),
        }
    }

    fn decide_connect(&self, administration: bool) -> Decision {
        let question = Question {
            action: CONNECT,
            touch: Touch::None,
        };
        let decision = self.evaluate(&question);
        if decision.outcome != Outcome::ImplicitDeny {
            return decision;
        }
        match Bits::of(self, administration).first_possible_command() {
            Some(command) => {
                let mut implied = self.decision(&question, Outcome::Allow);
                implied.message = format!("implied: {} is possible", command.command().action);
                implied.public_message.clone_from(&implied.message);
                implied
            }
            None => decision,
        }
    }

    fn decide_connect_only(&self, question: &Question<'_>, administration: bool) -> Decision {
        let own = self.evaluate(question);
        if own.outcome != Outcome::ImplicitDeny {
            return own;
        }
        let connect = self.decide_connect(administration);
        if !connect.is_allow() {
            return Decision {
                action: question.action.name(),
                ..connect
            };
        }
        if touches_keys(&question.touch) {
            // Its keys are reads: some command must be allowed to read them.
            let bits = Bits::of(self, administration);
            let readable = bits.possible_readers().into_iter().any(|command| {
                let question = Question {
                    action: command.action(),
                    touch: question.touch,
                };
                self.evaluate(&question).is_allow()
            });
            if !readable {
                return Decision {
                    subject: Subject::Key,
                    ..own
                };
            }
        }
        let mut implied = self.decision(question, Outcome::Allow);
        implied.message = format!("needs only kvdb:Connect: {}", connect.message);
        implied.public_message.clone_from(&implied.message);
        implied.statements = connect.statements;
        implied.chain = connect.chain;
        implied
    }

    /// Decides a command as a client sends it.
    pub(crate) fn decide_words<W: Words + ?Sized>(
        &self,
        words: &W,
        administration: bool,
    ) -> Decision {
        let command = match keyward_commands::resolve(words) {
            Ok(command) => command,
            Err(error) => return self.refused("", unknown_command(words, &error)),
        };
        let info = command.command();
        if !info.arity_fits(words.len()) {
            let text = format!("wrong number of arguments for `{}`", info.name);
            return self.refused(info.action, text);
        }
        if info.class == CommandClass::Administrative && !administration {
            return self.refused(info.action, administrative_text(command));
        }
        let mut touched = Touched::default();
        if let Err(error) = keyward_commands::touched(command, words, &mut touched) {
            return self.refused(info.action, format!("{}: {error}", info.name));
        }
        if touched.keys.len() > self.most_keys() {
            return self.refused(info.action, too_many_keys_text(self.most_keys()));
        }
        let touch = CommandTouch::new(command, &touched, words);
        let question = Question {
            action: command.action(),
            touch: touch.touch(),
        };
        let decision = self.decide_action(&question, administration);
        let whole = touched.whole_database || info.class == CommandClass::WholeDatabase;
        if decision.is_allow() && whole && !Bits::of(self, administration).holds_whole_database() {
            return self.refused(info.action, whole_database_text(command));
        }
        decision
    }
}

fn unknown_command<W: Words + ?Sized>(words: &W, error: &ResolveError) -> String {
    let shown = |n: usize| String::from_utf8_lossy(words.word(n)).into_owned();
    match error {
        ResolveError::UnknownCommand => {
            format!(
                "unknown command `{}`: denied, since its keys cannot be known",
                shown(0)
            )
        }
        ResolveError::UnknownSubcommand { container } if words.len() > 1 => {
            format!("unknown subcommand `{}` of `{container}`: denied", shown(1))
        }
        ResolveError::UnknownSubcommand { container } => {
            format!("`{container}` needs a subcommand")
        }
        _ => "empty command".to_owned(),
    }
}

/// Keys times statements that one decision may compare: beyond it the request is refused, so that
/// no command keeps a worker busy for seconds.
const MAX_COMPARISONS: usize = 20_000_000;

impl Grounds {
    /// Keys that one command may name under so many statements. Never below a thousand.
    pub(crate) fn most_keys(&self) -> usize {
        let count = |documents: &[Arc<Policy>]| -> usize {
            documents
                .iter()
                .map(|policy| policy.statements().len())
                .sum()
        };
        let edges = self
            .nodes
            .iter()
            .flat_map(|node| &node.edges)
            .map(|edge| match &edge.grant {
                Grant::Everything => 0,
                Grant::Documents(documents) => count(documents),
            });
        let layers = self.layers.iter().map(|layer| count(&layer.documents));
        let statements =
            edges.sum::<usize>() + layers.sum::<usize>() + count(&self.resource_policy);
        (MAX_COMPARISONS / statements.max(1)).max(1_000)
    }
}

fn too_many_keys_text(most: usize) -> String {
    format!("it names more than {most} keys, too many to compare with so many statements")
}

fn administrative_text(command: CommandId) -> String {
    format!(
        "`{}` administers the server: denied whatever a policy says, unless the operator permits \
         administration and it is turned on for the database",
        command.command().name
    )
}

fn whole_database_text(command: CommandId) -> String {
    format!(
        "`{}` can reach keys and commands that Keyward cannot see: it needs the whole database \
         (every command allowed on all keys and channels, without conditions, and no Deny)",
        command.command().name
    )
}

/// Actions on an organisation that its owner may do whatever its guardrails say.
fn is_guardrail_action(action: ActionId) -> bool {
    matches!(action.name(), "org:PutGuardrail" | "org:DescribeGuardrail")
}

/// A command's action that was asked for without its keys stands for a call that names none.
fn stated<'a>(action: ActionId, touch: &Touch<'a>) -> Touch<'a> {
    match touch {
        Touch::None => Touch::of_action(action),
        stated => *stated,
    }
}

impl Directory {
    /// Decides any action of either plane on any resource.
    #[must_use]
    pub fn decide(
        &self,
        session: &Session,
        action: ActionId,
        resource: &str,
        touch: &Touch<'_>,
        at: UnixMillis,
    ) -> Decision {
        let exempt = is_guardrail_action(action)
            && matches!(session.principal, Principal::Identity(ix)
                if self.identity(ix).is_some_and(|i| i.kind == crate::Kind::User)
                    && self.owner_of(resource) == Some(ix));
        let administration = self
            .database_at(resource)
            .and_then(|ix| self.database(ix))
            .is_some_and(|database| database.administration);
        self.grounds(session, resource, exempt, at).decide_action(
            &Question {
                action,
                touch: stated(action, touch),
            },
            administration,
        )
    }

    /// Decides a command as a client sends it, with the full explanation. `administration`: the
    /// operator permits it for the backend (the database's own switch is looked up here).
    #[must_use]
    pub fn decide_command<W: Words + ?Sized>(
        &self,
        session: &Session,
        database: DatabaseIx,
        words: &W,
        administration: bool,
        at: UnixMillis,
    ) -> Decision {
        let Some(target) = self.database(database) else {
            let grounds = self.grounds(session, "deleted", false, at);
            return grounds.refused("", "the database was deleted".to_owned());
        };
        let administration = administration && target.administration;
        self.grounds(session, &target.path, false, at)
            .decide_words(words, administration)
    }
}
