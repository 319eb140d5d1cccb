//! Decision tables: what a session may do on a database, with everything folded in that cannot
//! change before the directory does. A command then costs one look-up, and a key check where
//! keys decide.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use keyward_commands::{
    ACTION_COUNT, ActionBits, ActionId, CommandClass, CommandId, CommandScope, KeyRule, Scope,
    Touched, Words,
};
use keyward_policy::{
    Clause, Conditions, Effect, Fact, Glob, KeyFields, KeyIndex, KeyPatterns, KeyUse, Match,
    NoFacts, Policy, Statement, Touch,
};

use crate::bits::{Bits, Weight, keyless_commands, statements};
use crate::decide::{CommandTouch, touches_keys};
use crate::decision::Outcome;
use crate::directory::Directory;
use crate::evaluate::Question;
use crate::facts::{Call, CallWords, EarlyFacts, RequestFacts, never_has};
use crate::grounds::{Grant, Grounds};
use crate::ids::{DatabaseIx, UnixMillis};
use crate::session::{Principal, Session};

/// A request as it came: the words to decide on, and the bytes to forward.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a, 'c, W: ?Sized> {
    /// The command that the words name; its arity fits.
    pub command: CommandId,
    /// The words, name first.
    pub words: &'a W,
    /// The same request in bytes, ready to be forwarded.
    pub bytes: &'a [u8],
    /// What the connection adds.
    pub call: Call<'c>,
}

/// Proof that a request was authorised. [`DecisionTable::authorize`] is the only place that makes
/// one, and an upstream accepts nothing else.
#[derive(Debug)]
#[must_use]
pub struct Permit<'a> {
    command: CommandId, // private: no literal, no `Clone`
    bytes: &'a [u8],
    filter: Option<Arc<KeyFilter>>,
}

impl<'a> Permit<'a> {
    /// The command that was authorised.
    #[must_use]
    pub fn command(&self) -> CommandId {
        self.command
    }

    /// The request, ready to be forwarded.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Which keys the reply may tell the names of, if not all: of `SCAN`, `KEYS` and their like. A
    /// reply must not pass without it.
    #[must_use]
    pub fn filter(&self) -> Option<&Arc<KeyFilter>> {
        self.filter.as_ref()
    }
}

/// Which keys an enumeration may show: those that the same call would be allowed to read if it
/// named them.
#[derive(Debug)]
pub struct KeyFilter {
    compiled: Arc<Compiled>,
    command: CommandId,
    words: Box<[Box<[u8]>]>,
    touched: Touched,
    database_index: u32,
    client_name: Option<Box<[u8]>>,
    now: UnixMillis,
}

impl KeyFilter {
    /// Whether the name of a key may be shown.
    #[must_use]
    pub fn shows(&self, key: &[u8]) -> bool {
        let call = Call {
            database_index: self.database_index,
            client_name: self.client_name.as_deref(),
            now: self.now,
        };
        let of_call = CallWords {
            command: self.command,
            words: &*self.words,
            touched: &self.touched,
        };
        let key = KeyUse {
            key,
            reads: true,
            writes: false,
        };
        let action = self.command.action();
        let grounds = &self.compiled.grounds;
        let asked = Question {
            action,
            touch: Touch::Named {
                keys: &[key],
                channels: &[],
            },
            request: &RequestFacts::new(&grounds.facts, call, Some(of_call)),
        };
        self.compiled.residual(action).allows(grounds, &asked)
    }
}

/// The table refuses; [`Directory::decide_command`] tells why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused;

/// Whether a session may connect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Connect {
    /// It may: some command is possible, or `kvdb:Connect` is allowed.
    Allowed,
    /// A `Deny` on `kvdb:Connect` matched.
    ExplicitDeny,
    /// Nothing is allowed.
    ImplicitDeny,
}

/// What one session may do on one database: two bits an action (sure, or for some keys), and the
/// checks that are left for each action that depends on keys. Shared between sessions with equal
/// inputs, and valid as long as the directory has the table's revision.
#[derive(Debug)]
pub struct DecisionTable {
    sure: ActionBits,
    maybe: ActionBits,
    revision: u64,
    compiled: Arc<Compiled>,
}

struct Compiled {
    grounds: Grounds,
    administration: bool,
    connect: Connect,
    /// Whether what needs only Connect is allowed with it.
    implied: bool,
    whole_database: bool,
    /// Keys that one command may name.
    most_keys: usize,
    denied: ActionBits,
    /// Commands that may run on some keys: what they may read, `WATCH` may watch.
    readers: Vec<CommandId>,
    /// By action, compiled when it is first asked for.
    residuals: Box<[OnceLock<Residual>]>,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled")
            .field("resource", &self.grounds.resource)
            .finish_non_exhaustive()
    }
}

impl DecisionTable {
    fn new(grounds: Grounds, administration: bool, revision: u64) -> Self {
        let bits = Bits::of(&grounds, administration);
        let readers = bits.possible_readers();
        let connect = match grounds.evaluate_connect().outcome {
            Outcome::ExplicitDeny => Connect::ExplicitDeny,
            Outcome::Allow => Connect::Allowed,
            Outcome::ImplicitDeny if bits.first_possible_command().is_some() => Connect::Allowed,
            Outcome::ImplicitDeny => Connect::ImplicitDeny,
        };
        let implied = connect == Connect::Allowed
            && (bits.implies_connect_only() || grounds.evaluate_connect().is_allow());
        let (mut sure, mut maybe) = (bits.runnable.sure.clone(), bits.runnable.maybe.clone());
        let reads_everything = readers
            .iter()
            .any(|command| sure.contains(command.action()));
        for id in CommandId::all() {
            let (action, command) = (id.action(), id.command());
            match command.class {
                CommandClass::Always => sure.insert(action),
                CommandClass::ConnectOnly if implied => {
                    maybe.insert(action);
                    let untouched = keyless_commands().contains(action) || reads_everything;
                    if untouched && !bits.denied.maybe.contains(action) {
                        sure.insert(action);
                    }
                }
                // `BY` and `GET` of SORT reach keys that nobody can name beforehand.
                _ if matches!(command.keys, KeyRule::Sort | KeyRule::SortReadOnly)
                    && !bits.holds_whole_database() =>
                {
                    sure.remove(action);
                }
                _ => {}
            }
        }
        maybe = maybe.union(&sure);
        let compiled = Compiled {
            administration,
            connect,
            implied,
            whole_database: bits.holds_whole_database(),
            denied: bits.denied.maybe.clone(),
            most_keys: grounds.most_keys(),
            readers,
            residuals: (0..ACTION_COUNT).map(|_| OnceLock::new()).collect(),
            grounds,
        };
        Self {
            sure,
            maybe,
            revision,
            compiled: Arc::new(compiled),
        }
    }

    /// The revision of the directory that it was compiled for.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the session may connect.
    #[must_use]
    pub fn may_connect(&self) -> Connect {
        self.compiled.connect
    }

    /// Whether every command that is not administrative is allowed on everything.
    #[must_use]
    pub fn holds_whole_database(&self) -> bool {
        self.compiled.whole_database
    }

    /// Whether what is allowed depends on the number of the selected database.
    #[must_use]
    pub fn reads_database_index(&self) -> bool {
        self.compiled.grounds.reads_database_index
    }

    /// When the table must be asked for again although the directory has not changed: the end of
    /// a trust.
    #[must_use]
    pub fn valid_until(&self) -> Option<UnixMillis> {
        self.compiled.grounds.valid_until
    }

    /// Bytes that the table and its compiled checks take, without the policies themselves.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let residuals = &self.compiled.residuals;
        let compiled: usize = residuals
            .iter()
            .filter_map(OnceLock::get)
            .map(Residual::heap_bytes)
            .sum();
        size_of::<Self>() + size_of::<Compiled>() + size_of_val(&**residuals) + compiled
    }

    /// Decides one request. Its arity must fit. `touched` is scratch space, reused between calls.
    ///
    /// # Errors
    /// The request is not allowed; [`Directory::decide_command`] tells why.
    #[inline]
    pub fn authorize<'a, W: Words + ?Sized>(
        &self,
        request: &Request<'a, '_, W>,
        touched: &mut Touched,
    ) -> Result<Permit<'a>, Refused> {
        let action = request.command.action();
        let sure = self.sure.contains(action);
        if sure || (self.maybe.contains(action) && self.allows_these(request, touched)) {
            let filtered = !sure && request.command.command().scope == CommandScope::Enumeration;
            return Ok(Permit {
                command: request.command,
                bytes: request.bytes,
                filter: filtered.then(|| self.filter(request, touched)),
            });
        }
        Err(Refused)
    }

    #[cold]
    fn filter<W: Words + ?Sized>(
        &self,
        request: &Request<'_, '_, W>,
        touched: &Touched,
    ) -> Arc<KeyFilter> {
        let words = (0..request.words.len()).map(|at| request.words.word(at).into());
        Arc::new(KeyFilter {
            compiled: Arc::clone(&self.compiled),
            command: request.command,
            words: words.collect(),
            touched: touched.clone(),
            database_index: request.call.database_index,
            client_name: request.call.client_name.map(Into::into),
            now: request.call.now,
        })
    }

    /// The part that depends on the words.
    fn allows_these<W: Words + ?Sized>(
        &self,
        request: &Request<'_, '_, W>,
        touched: &mut Touched,
    ) -> bool {
        if keyward_commands::touched(request.command, request.words, touched).is_err()
            || (touched.whole_database && !self.compiled.whole_database)
            || touched.keys.len() > self.compiled.most_keys
        {
            return false;
        }
        let action = request.command.action();
        let connect_only = request.command.command().class == CommandClass::ConnectOnly;
        let touched = &*touched;
        let of_call = CallWords {
            command: request.command,
            words: request.words,
            touched,
        };
        let facts = RequestFacts::new(&self.compiled.grounds.facts, request.call, Some(of_call));
        let ask = |touch: &Touch<'_>| {
            let asked = Question {
                action,
                touch: *touch,
                request: &facts,
            };
            if connect_only {
                self.compiled.allows_connect_only(action, &asked)
            } else {
                let compiled = &self.compiled;
                compiled.residual(action).allows(&compiled.grounds, &asked)
            }
        };
        // Up to four keys fit on the stack.
        let none = KeyUse {
            key: b"",
            reads: true,
            writes: true,
        };
        let mut keys = [none; 4];
        let few = touched.keys.len() <= keys.len()
            && touched.channels.is_empty()
            && !touched.every_channel;
        if few && touched.scope == Scope::Named {
            for (place, key) in keys.iter_mut().zip(&touched.keys) {
                *place = KeyUse {
                    key: request.words.word(key.word as usize),
                    reads: key.flags.reads(),
                    writes: key.flags.writes(),
                };
            }
            return ask(&Touch::Named {
                keys: &keys[..touched.keys.len()],
                channels: &[],
            });
        }
        ask(&CommandTouch::new(request.command, touched, request.words).touch())
    }
}

impl Compiled {
    fn residual(&self, action: ActionId) -> &Residual {
        self.residuals[action.index()].get_or_init(|| Residual::compile(&self.grounds, action))
    }

    fn allows_connect_only(&self, action: ActionId, asked: &Question<'_>) -> bool {
        let own = self.residual(action);
        if own.allows(&self.grounds, asked) {
            return true;
        }
        if self.denied.contains(action) && own.denies(&self.grounds, asked) {
            return false;
        }
        self.implied
            && (!touches_keys(&asked.touch)
                || self.readers.iter().any(|command| {
                    let action = command.action();
                    self.residual(action)
                        .allows(&self.grounds, &Question { action, ..*asked })
                }))
    }
}

/// What is left to check for one action: a formula over key checks, constants folded. Shared parts
/// are computed once, so its size is linear in the trusts reached.
struct Residual {
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
    fn compile(grounds: &Grounds, action: ActionId) -> Self {
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
                ways.push(builder.all([in_force, way, nodes[edge.from]]));
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

    fn denies(&self, grounds: &Grounds, asked: &Question<'_>) -> bool {
        self.deny.holds(grounds, asked)
    }

    fn allows(&self, grounds: &Grounds, asked: &Question<'_>) -> bool {
        !self.deny.holds(grounds, asked) && self.allow.holds(grounds, asked)
    }

    fn heap_bytes(&self) -> usize {
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

/// Tables that were compiled, so that sessions with equal inputs share one.
#[derive(Debug, Default)]
pub struct TableCache {
    tables: std::sync::Mutex<HashMap<TableKey, Arc<DecisionTable>>>,
}

/// Principal, database, administration; and the session's own facts where a policy reads them.
type TableKey = (Principal, DatabaseIx, bool, Option<SessionKey>);

/// What differs between sessions of one principal.
type SessionKey = (Option<IpAddr>, bool, Option<UnixMillis>);

/// Tables kept at most; beyond that all are dropped and compiled again when asked for.
const MAX_CACHED_TABLES: usize = 65_536;

impl TableCache {
    /// The table of a session on a database at the directory's revision. `administration`: the
    /// operator permits it for the backend. After a change that does not concern the session
    /// this costs only a comparison.
    #[must_use]
    pub fn table(
        &self,
        directory: &Directory,
        session: &Session,
        database: DatabaseIx,
        administration: bool,
        at: UnixMillis,
    ) -> Arc<DecisionTable> {
        if session.simulated.is_some() {
            return directory.table(session, database, administration, at);
        }
        let shared = (session.principal, database, administration, None);
        let own = (
            session.principal,
            database,
            administration,
            Some((session.source, session.secure, session.issued)),
        );
        let lock = || {
            self.tables
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        let old = {
            let tables = lock();
            tables.get(&shared).or_else(|| tables.get(&own)).cloned()
        };
        if let Some(table) = &old
            && table.revision == directory.revision()
            && table.valid_until().is_none_or(|end| at < end)
        {
            return Arc::clone(table);
        }
        let table = Arc::new(directory.table_after(session, database, administration, at, old));
        let mut tables = lock();
        if tables.len() >= MAX_CACHED_TABLES {
            tables.clear();
        }
        // Shared only as long as no policy reads what is the session's own.
        if table.compiled.grounds.reads_session {
            tables.remove(&shared);
            tables.insert(own, Arc::clone(&table));
        } else {
            tables.insert(shared, Arc::clone(&table));
        }
        table
    }
}

impl Directory {
    /// Compiles the table of a session on a database. `administration`: the operator permits it
    /// for the backend; the database's own switch is looked up here.
    #[must_use]
    pub fn table(
        &self,
        session: &Session,
        database: DatabaseIx,
        administration: bool,
        at: UnixMillis,
    ) -> Arc<DecisionTable> {
        Arc::new(self.table_after(session, database, administration, at, None))
    }

    fn table_after(
        &self,
        session: &Session,
        database: DatabaseIx,
        administration: bool,
        at: UnixMillis,
        old: Option<Arc<DecisionTable>>,
    ) -> DecisionTable {
        // A deleted database has no owner, so nothing is allowed on it.
        let target = self.database(database);
        let resource = target.map_or("deleted", |database| &database.path);
        let administration = administration && target.is_some_and(|d| d.administration);
        let grounds = self.grounds(session, resource, false, at);
        match old {
            Some(old)
                if old.compiled.administration == administration
                    && old.compiled.grounds.same_as(&grounds) =>
            {
                DecisionTable {
                    sure: old.sure.clone(),
                    maybe: old.maybe.clone(),
                    revision: self.revision,
                    compiled: Arc::clone(&old.compiled),
                }
            }
            _ => DecisionTable::new(grounds, administration, self.revision),
        }
    }
}
