//! What is left of the statements for one action once everything that a session cannot change was
//! put in.

use std::borrow::Cow;
use std::sync::Arc;

use keyward_commands::ActionId;
use keyward_policy::{
    Clause, Conditions, Effect, Fact, Glob, KeyFields, KeyIndex, KeyPatterns, Match, NoFacts,
    Policy, Statement, Touch,
};

use crate::bits::{Weight, statements};
use crate::evaluate::Question;
use crate::facts::{EarlyFacts, never_has};
use crate::grounds::{Grant, Grounds};

/// What is left to check for one action: a formula over key checks, constants folded. Shared parts
/// are computed once, so its size is linear in the trusts reached.
pub(super) struct Residual {
    /// `Deny` statements that nothing overrides.
    deny: Check,
    /// The allow side.
    allow: Formula,
}

enum Formula {
    /// The common case: one list decides.
    Check(Check),
    /// Operands of a gate stand before it; the last is the result.
    Gates(Vec<Gate>),
}

/// One step of the formula.
enum Gate {
    Check(Check),
    Not(usize),
    All(Vec<usize>),
    Any(Vec<usize>),
}

/// A constant, or what is left of the statements that concern the action.
enum Check {
    Never,
    Always,
    /// Key patterns alone.
    Keys(Box<KeyIndex>),
    /// Key patterns, and statements that ask for more.
    Mixed(Box<Mixed>),
}

/// What is left of some statements of one effect; one that matches is enough.
struct Mixed {
    effect: Effect,
    /// Those with key fields alone.
    fields: Option<KeyIndex>,
    /// Those whose one condition compares `kvdb:Key` with patterns.
    keys: Option<KeyIndex>,
    others: Vec<Conditional>,
}

/// A statement with what is left of its conditions.
struct Conditional {
    fields: Option<KeyPatterns>,
    clauses: Vec<Clause>,
    /// The statement itself, by its policy and place, where a variable waits for the call.
    whole: Option<(Arc<Policy>, usize)>,
}

impl Mixed {
    fn matches(&self, grounds: &Grounds, asked: &Question<'_>) -> bool {
        self.fields
            .as_ref()
            .is_some_and(|index| index.matches(&asked.touch))
            || self
                .keys
                .as_ref()
                .is_some_and(|index| matches_keys_alone(index, &asked.touch))
            || self
                .others
                .iter()
                .any(|statement| statement.matches(self.effect, grounds, asked))
    }

    fn heap_bytes(&self) -> usize {
        let indices = [&self.fields, &self.keys].into_iter().flatten();
        let clauses = self.others.iter().map(|other| {
            let clauses = other.clauses.iter().map(Clause::heap_bytes).sum::<usize>();
            size_of_val(&*other.clauses) + clauses
        });
        size_of::<Self>()
            + indices.map(KeyIndex::heap_bytes).sum::<usize>()
            + size_of_val(&*self.others)
            + clauses.sum::<usize>()
    }
}

/// As a plain condition on `kvdb:Key`: without keys it does not hold.
fn matches_keys_alone(index: &KeyIndex, touch: &Touch<'_>) -> bool {
    match *touch {
        Touch::None | Touch::Keyless => false,
        Touch::Named {
            keys: [],
            channels: [_, ..],
        } => false,
        Touch::Named { keys, .. } => index.matches(&Touch::Named {
            keys,
            channels: &[],
        }),
        Touch::EveryKey { .. } => index.matches(touch),
    }
}

impl Conditional {
    fn matches(&self, effect: Effect, grounds: &Grounds, asked: &Question<'_>) -> bool {
        if let Some(whole) = &self.whole {
            let (policy, at) = whole;
            let statement = policy.statements().get(*at);
            return statement
                .is_some_and(|statement| grounds.matches(policy, statement, asked) == Match::Full);
        }
        let fields = match (&self.fields, effect) {
            (None, _) => true,
            (Some(fields), Effect::Allow) => fields.allows(&asked.touch),
            (Some(fields), Effect::Deny) => fields.denies(&asked.touch),
        };
        let unknown = (effect == Effect::Deny) != asked.touch.is_enumeration();
        fields
            && self
                .clauses
                .iter()
                .all(|clause| clause.holds(effect, asked).unwrap_or(unknown))
    }
}

impl Check {
    fn holds(&self, grounds: &Grounds, asked: &Question<'_>) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Keys(index) => index.matches(&asked.touch),
            Self::Mixed(mixed) => mixed.matches(grounds, asked),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Keys(index) => size_of::<KeyIndex>() + index.heap_bytes(),
            Self::Mixed(mixed) => mixed.heap_bytes(),
            _ => 0,
        }
    }
}

/// What is left of the statements that concern an action, by effect.
#[derive(Default)]
struct Relevant<'a> {
    allows: Left<'a>,
    denies: Left<'a>,
}

/// Statements of one effect, once everything is folded in that is known before the call.
#[derive(Clone, Default)]
struct Left<'a> {
    always: bool,
    statements: Vec<(&'a Arc<Policy>, &'a Statement, Weight)>,
}

impl<'a> Left<'a> {
    fn extend(&mut self, other: &Self) {
        self.always |= other.always;
        self.statements.extend(&other.statements);
    }

    fn check(&self, effect: Effect, action: ActionId, grounds: &Grounds) -> Check {
        if self.always {
            return Check::Always;
        }
        let early = &grounds.early();
        let mut fields: Vec<Cow<'_, KeyPatterns>> = Vec::new();
        let mut keys: Vec<KeyPatterns> = Vec::new();
        let mut others = Vec::new();
        for &(policy, statement, weight) in &self.statements {
            let own = match statement.key_fields(early) {
                KeyFields::Unrestricted => None,
                KeyFields::Patterns(patterns) => Some(patterns),
                KeyFields::Later => {
                    others.push(Conditional::whole(policy, statement));
                    continue;
                }
            };
            if weight == Weight::Sure {
                // INVARIANT: without fields it is `always`
                fields.extend(own);
                continue;
            }
            let concerns = grounds.concerns_surely(policy, statement, early);
            let Some(clauses) = left_clauses(statement, action, early).filter(|_| concerns) else {
                others.push(Conditional::whole(policy, statement));
                continue;
            };
            match (&*clauses, &own) {
                // Known to fail for this action.
                _ if clauses.iter().any(|clause| fails(clause, effect, action)) => {}
                ([], _) => match own {
                    Some(own) => fields.push(own),
                    None => return Check::Always,
                },
                _ => match key_globs(&clauses).filter(|_| own.is_none()) {
                    Some(globs) => keys.push(KeyPatterns {
                        keys: globs.into(),
                        ..KeyPatterns::default()
                    }),
                    None => others.push(Conditional {
                        fields: own.map(Cow::into_owned),
                        clauses,
                        whole: None,
                    }),
                },
            }
        }
        let index = |patterns: &[&KeyPatterns]| match (patterns, effect) {
            ([], _) => None,
            (patterns, Effect::Allow) => Some(KeyIndex::for_allow(patterns)),
            (patterns, Effect::Deny) => Some(KeyIndex::for_deny(patterns)),
        };
        let fields = index(
            &fields
                .iter()
                .map(|patterns| &**patterns)
                .collect::<Vec<_>>(),
        );
        let keys = index(&keys.iter().collect::<Vec<_>>());
        match (fields, keys, &*others) {
            (None, None, []) => Check::Never,
            (Some(fields), None, []) => Check::Keys(Box::new(fields)),
            (fields, keys, _) => Check::Mixed(Box::new(Mixed {
                effect,
                fields,
                keys,
                others,
            })),
        }
    }
}

impl Conditional {
    fn whole(policy: &Arc<Policy>, statement: &Statement) -> Self {
        let at = policy
            .statements()
            .iter()
            .position(|own| std::ptr::eq(own, statement));
        Self {
            fields: None,
            clauses: Vec::new(),
            whole: at.map(|at| (Arc::clone(policy), at)),
        }
    }
}

/// The patterns of a lone clause that compares `kvdb:Key` with patterns.
fn key_globs(clauses: &[Clause]) -> Option<Vec<Glob>> {
    match clauses {
        [clause] if *clause.key.fact() == Fact::Key => clause.globs(),
        _ => None,
    }
}

/// The clauses that wait for the call, with their variables put in; `None` if one of those waits.
fn left_clauses(
    statement: &Statement,
    action: ActionId,
    early: &EarlyFacts<'_>,
) -> Option<Vec<Clause>> {
    let clauses = statement
        .conditions
        .as_ref()
        .map_or(&[][..], Conditions::clauses);
    let mut left = Vec::new();
    for clause in clauses {
        match clause.holds(statement.effect, early) {
            Some(true) => {}
            Some(false) => return None, // INVARIANT: such a statement was not taken
            None => {
                let clause = clause.resolved(early)?;
                if !always_holds(&clause, statement.effect, action) {
                    left.push(clause);
                }
            }
        }
    }
    Some(left)
}

/// What a clause on an argument answers for a command that never has it.
fn without_argument(clause: &Clause, effect: Effect, action: ActionId) -> Option<bool> {
    let command = action.command()?;
    never_has(command, clause.key.fact())
        .then(|| clause.holds(effect, &NoFacts))
        .flatten()
}

fn always_holds(clause: &Clause, effect: Effect, action: ActionId) -> bool {
    without_argument(clause, effect, action) == Some(true)
}

fn fails(clause: &Clause, effect: Effect, action: ActionId) -> bool {
    without_argument(clause, effect, action) == Some(false)
}

impl<'a> Relevant<'a> {
    fn add(&mut self, policy: &'a Arc<Policy>, statement: &'a Statement, weight: Weight) {
        let left = match statement.effect {
            Effect::Allow => &mut self.allows,
            Effect::Deny => &mut self.denies,
        };
        if weight == Weight::Sure && statement.keys.is_none() {
            left.always = true;
        } else {
            left.statements.push((policy, statement, weight));
        }
    }

    fn of(documents: &'a [Arc<Policy>], grounds: &Grounds, action: ActionId) -> Self {
        let mut relevant = Self::default();
        let early = &grounds.early();
        for (policy, statement) in statements(documents) {
            if statement.actions.contains(action)
                && let Some(weight) = grounds.weigh(policy, statement, early)
            {
                relevant.add(policy, statement, weight);
            }
        }
        relevant
    }
}

/// Builds a formula, folding constants.
struct Builder<'a> {
    grounds: &'a Grounds,
    action: ActionId,
    gates: Vec<Gate>,
}

/// An operand: a constant or a gate.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Operand {
    Constant(bool),
    Gate(usize),
}

impl Builder<'_> {
    fn push(&mut self, gate: Gate) -> Operand {
        self.gates.push(gate);
        Operand::Gate(self.gates.len() - 1)
    }

    fn check(&mut self, check: Check) -> Operand {
        match check {
            Check::Never => Operand::Constant(false),
            Check::Always => Operand::Constant(true),
            keys => self.push(Gate::Check(keys)),
        }
    }

    fn all(&mut self, operands: impl IntoIterator<Item = Operand>) -> Operand {
        let mut gates = Vec::new();
        for operand in operands {
            match operand {
                Operand::Constant(false) => return operand,
                Operand::Constant(true) => {}
                Operand::Gate(gate) => gates.push(gate),
            }
        }
        match gates[..] {
            [] => Operand::Constant(true),
            [gate] => Operand::Gate(gate),
            _ => self.push(Gate::All(gates)),
        }
    }

    fn any(&mut self, operands: impl IntoIterator<Item = Operand>) -> Operand {
        let mut gates = Vec::new();
        for operand in operands {
            match operand {
                Operand::Constant(true) => return operand,
                Operand::Constant(false) => {}
                Operand::Gate(gate) => gates.push(gate),
            }
        }
        match gates[..] {
            [] => Operand::Constant(false),
            [gate] => Operand::Gate(gate),
            _ => self.push(Gate::Any(gates)),
        }
    }

    /// Some statement of the list allows and none denies. A Deny of a binding list has been
    /// looked at before anything else.
    fn list(&mut self, relevant: &Relevant<'_>, binding: bool) -> Operand {
        let denies = match binding {
            true => Check::Never,
            false => relevant
                .denies
                .check(Effect::Deny, self.action, self.grounds),
        };
        let deny = match denies {
            Check::Never => Operand::Constant(true),
            Check::Always => return Operand::Constant(false),
            check => self.push(Gate::Check(check)),
        };
        let allows = relevant
            .allows
            .check(Effect::Allow, self.action, self.grounds);
        let allow = self.check(allows);
        match deny {
            Operand::Constant(_) => allow,
            Operand::Gate(denied) => {
                let kept = self.push(Gate::Not(denied));
                self.all([allow, kept])
            }
        }
    }

    fn finish(mut self, result: Operand) -> Formula {
        match result {
            Operand::Constant(true) => Formula::Check(Check::Always),
            Operand::Constant(false) => Formula::Check(Check::Never),
            Operand::Gate(gate) => {
                self.gates.truncate(gate + 1);
                match (self.gates.len(), self.gates.pop()) {
                    (1, Some(Gate::Check(check))) => Formula::Check(check),
                    (_, last) => {
                        self.gates.extend(last);
                        Formula::Gates(self.gates)
                    }
                }
            }
        }
    }
}

impl Residual {
    pub(super) fn compile(grounds: &Grounds, action: ActionId) -> Self {
        let mut builder = Builder {
            grounds,
            action,
            gates: Vec::new(),
        };
        let mut denies = Left::default();
        let mut layers = Vec::with_capacity(grounds.layers.len());
        for layer in &grounds.layers {
            let relevant = Relevant::of(&layer.documents, grounds, action);
            if layer.binding {
                denies.extend(&relevant.denies);
            }
            layers.push(builder.list(&relevant, layer.binding));
        }
        let mut nodes: Vec<Operand> = Vec::with_capacity(grounds.nodes.len());
        let mut ends = Vec::new();
        for (position, node) in grounds.nodes.iter().enumerate() {
            let mut ways = vec![Operand::Constant(position == 0)];
            for edge in &node.edges {
                let way = match &edge.grant {
                    Grant::Everything => Operand::Constant(true),
                    Grant::Documents(documents) => {
                        let relevant = Relevant::of(documents, grounds, action);
                        if edge.binding {
                            denies.extend(&relevant.denies);
                        }
                        builder.list(&relevant, edge.binding)
                    }
                };
                let in_force = Operand::Constant(edge.in_force);
                let holds = match edge.conditions {
                    Some(conditions) => layers[conditions],
                    None => Operand::Constant(true),
                };
                ways.push(builder.all([in_force, holds, way, nodes[edge.from]]));
            }
            let way = builder.any(ways);
            let limits = node.layers.iter().map(|layer| layers[*layer]);
            let reached = builder.all(std::iter::once(way).chain(limits));
            nodes.push(reached);
            let accepted = if node.owner {
                Operand::Constant(true)
            } else {
                let accepted = accepted(grounds, position, action);
                builder.check(accepted.allows.check(Effect::Allow, action, grounds))
            };
            ends.push(builder.all([reached, accepted]));
        }
        let mut of_resource = Relevant::default();
        for (policy, statement) in statements(&grounds.resource_policy) {
            if statement.effect == Effect::Deny
                && statement.actions.contains(action)
                && grounds.deny_names_reached(statement, action)
                && let Some(weight) = grounds.weigh(policy, statement, &grounds.early())
            {
                of_resource.add(policy, statement, weight);
            }
        }
        denies.extend(&of_resource.denies);
        let end = builder.any(ends);
        let request = grounds.request_layers.iter().map(|layer| layers[*layer]);
        let result = builder.all(std::iter::once(end).chain(request));
        Self {
            deny: denies.check(Effect::Deny, action, grounds),
            allow: builder.finish(result),
        }
    }

    pub(super) fn denies(&self, grounds: &Grounds, asked: &Question<'_>) -> bool {
        self.deny.holds(grounds, asked)
    }

    pub(super) fn allows(&self, grounds: &Grounds, asked: &Question<'_>) -> bool {
        !self.deny.holds(grounds, asked) && self.allow.holds(grounds, asked)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let allow = match &self.allow {
            Formula::Check(check) => check.heap_bytes(),
            Formula::Gates(gates) => gates
                .iter()
                .map(|gate| {
                    size_of::<Gate>()
                        + match gate {
                            Gate::Check(check) => check.heap_bytes(),
                            Gate::Not(_) => 0,
                            Gate::All(of) | Gate::Any(of) => size_of_val(&**of),
                        }
                })
                .sum(),
        };
        self.deny.heap_bytes() + allow
    }
}

/// The resource policy's `Allow` statements that name a node.
fn accepted(grounds: &Grounds, node: usize, action: ActionId) -> Relevant<'_> {
    let mut relevant = Relevant::default();
    for (policy, statement) in statements(&grounds.resource_policy) {
        if statement.effect == Effect::Allow
            && statement.actions.contains(action)
            && grounds.names(statement, node)
            && let Some(weight) = grounds.weigh(policy, statement, &grounds.early())
        {
            relevant.add(policy, statement, weight);
        }
    }
    relevant
}

impl Formula {
    fn holds(&self, grounds: &Grounds, asked: &Question<'_>) -> bool {
        let gates = match self {
            Self::Check(check) => return check.holds(grounds, asked),
            Self::Gates(gates) => gates,
        };
        // Sixty-four gates cover all but the strangest graphs of trusts without allocating.
        let (mut few, mut many) = ([false; 64], Vec::new());
        let values = if gates.len() <= few.len() {
            &mut few[..gates.len()]
        } else {
            many.resize(gates.len(), false);
            &mut many[..]
        };
        for (at, gate) in gates.iter().enumerate() {
            values[at] = match gate {
                Gate::Check(check) => check.holds(grounds, asked),
                Gate::Not(of) => !values[*of],
                Gate::All(of) => of.iter().all(|gate| values[*gate]),
                Gate::Any(of) => of.iter().any(|gate| values[*gate]),
            };
        }
        values.last().copied().unwrap_or(false)
    }
}
