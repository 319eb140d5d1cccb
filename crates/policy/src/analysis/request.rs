//! One request, complete: what a witness is, and what a document says about it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use keyward_commands::{
    ActionBits, ActionId, CONNECT, ChannelRule, Command, CommandClass, CommandId, CommandScope,
    Flags, connect_only_actions,
};

use super::call::{Call, FormScope};
use super::line::argument;
use crate::condition::Fact;
use crate::facts::{Facts, Found, touched};
use crate::{
    ConditionKey, Effect, IdentityPattern, KeyFields, KeyUse, Match, Number, Policy, Statement,
    Touch, Value,
};

/// What a request has for one condition key.
#[derive(Clone, Debug, PartialEq)]
pub enum FactValue {
    /// Nothing.
    Absent,
    /// Any number of texts.
    Texts(Vec<Vec<u8>>),
    /// A number.
    Number(Number),
    /// Milliseconds since 1970.
    Time(i64),
    /// An address.
    Address(IpAddr),
    /// A truth value.
    Boolean(bool),
}

impl FactValue {
    /// The values as a simulated request gives them.
    pub fn texts(&self) -> Vec<Vec<u8>> {
        let one = |value: Value<'_>| vec![value.with_text(<[u8]>::to_vec)];
        match self {
            Self::Absent => Vec::new(),
            Self::Texts(texts) => texts.clone(),
            Self::Number(number) => one(Value::Number(*number)),
            Self::Time(time) => one(Value::Time(*time)),
            Self::Address(address) => one(Value::Address(*address)),
            Self::Boolean(truth) => one(Value::Boolean(*truth)),
        }
    }

    fn found(&self) -> Found<'_> {
        match self {
            Self::Absent => Found::Absent,
            Self::Texts(texts) => Found::Texts(texts),
            Self::Number(number) => Found::One(Value::Number(*number)),
            Self::Time(time) => Found::One(Value::Time(*time)),
            Self::Address(address) => Found::One(Value::Address(*address)),
            Self::Boolean(truth) => Found::One(Value::Boolean(*truth)),
        }
    }
}

/// Which facts are one and the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Variable {
    /// The moment, however it is written.
    Now,
    Fact(Fact),
    Name(Box<str>),
}

impl Variable {
    pub(crate) fn of(key: &ConditionKey) -> Self {
        match key.fact() {
            Fact::CurrentTime | Fact::EpochTime => Self::Now,
            Fact::Other => Self::Name(key.folded().into()),
            fact => Self::Fact(fact.clone()),
        }
    }
}

/// Values for some variables; all others are absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Assignment(pub(crate) Vec<(Variable, ConditionKey, FactValue)>);

impl Assignment {
    pub(crate) fn get(&self, variable: &Variable) -> Option<&FactValue> {
        let found = self.0.iter().find(|(own, ..)| own == variable);
        found.map(|(.., value)| value)
    }
}

/// The facts of a request: what it touches, and values for the rest.
pub(crate) struct RequestFacts<'a> {
    pub(crate) assignment: &'a Assignment,
    pub(crate) touch: &'a Touch<'a>,
    /// It is a call about every channel, which counts as one about every key.
    pub(crate) every_channel: bool,
    /// The command as a client sends it: what its arguments are, where nothing else is assumed.
    pub(crate) line: Option<(CommandId, &'a [Vec<u8>])>,
    /// Another action is asked about than the request's: its arguments are not that one's.
    pub(crate) of_another: bool,
}

impl<'a> RequestFacts<'a> {
    pub(crate) fn new(assignment: &'a Assignment, touch: &'a Touch<'a>) -> Self {
        Self {
            assignment,
            touch,
            every_channel: false,
            line: None,
            of_another: false,
        }
    }
}

impl RequestFacts<'_> {
    /// An argument of the line as it is.
    fn argument(&self, fact: &Fact) -> Found<'_> {
        let found = self.line.and_then(|(id, words)| argument(fact, id, words));
        found.map_or(Found::Absent, |number| Found::One(Value::Number(number)))
    }
}

impl Facts for RequestFacts<'_> {
    fn find(&self, key: &ConditionKey) -> Found<'_> {
        match key.fact() {
            fact if fact.is_of_touch() => touched(fact, self.touch),
            Fact::KeyCount => match self.touch {
                _ if self.every_channel => Found::One(Value::Number(Number::INFINITE)),
                Touch::Named { keys: [], .. } => Found::Absent,
                Touch::Named { keys, .. } => {
                    Found::One(Value::Number(Number::from(keys.len() as u64)))
                }
                Touch::EveryKey {
                    enumeration: false, ..
                } => Found::One(Value::Number(Number::INFINITE)),
                _ => Found::Absent,
            },
            fact if self.of_another && fact.is_of_command() => Found::Absent,
            fact => match self.assignment.get(&Variable::of(key)) {
                Some(FactValue::Absent) | None => self.argument(fact),
                Some(value) => value.found(),
            },
        }
    }
}

/// One request: what can be told to a person, and tried.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) action: ActionId,
    pub(crate) resource: Box<str>,
    /// Of a resource policy: which identity is accepted.
    pub(crate) identity: Option<Box<str>>,
    pub(crate) call: Option<Call>,
    pub(crate) facts: Assignment,
}

impl Request {
    /// A command as a client sends it, to a database; `None` if it is no call of a known command.
    /// Of a resource policy `identity` asks, and `resource` may be empty.
    pub fn of_command(
        words: Vec<Vec<u8>>,
        resource: &str,
        identity: Option<&str>,
        facts: Vec<(ConditionKey, FactValue)>,
    ) -> Option<Self> {
        let command = keyward_commands::resolve(&words).ok()?;
        let call = Call::of_words(command, words)?;
        Some(Self {
            call: Some(call),
            ..Self::of_action(command.action(), resource, identity, facts)
        })
    }

    /// An action that is no command's, on a resource.
    pub fn of_action(
        action: ActionId,
        resource: &str,
        identity: Option<&str>,
        facts: Vec<(ConditionKey, FactValue)>,
    ) -> Self {
        let facts = facts
            .into_iter()
            .map(|(key, value)| (Variable::of(&key), key, value));
        Self {
            action,
            resource: resource.into(),
            identity: identity.map(Into::into),
            call: None,
            facts: Assignment(facts.collect()),
        }
    }

    /// What is asked for.
    pub fn action(&self) -> ActionId {
        self.action
    }

    /// Full path of the resource.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Of a resource policy: the identity that asks, or `unauthenticated`.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// The command as a client sends it, if the action is one's.
    pub fn words(&self) -> Option<&[Vec<u8>]> {
        self.call.as_ref().map(|call| &*call.words)
    }

    /// Keys that it names, in the order of the words: key, read, written.
    pub fn keys(&self) -> impl Iterator<Item = (&[u8], bool, bool)> {
        let keys = self.call.iter().flat_map(|call| &call.keys);
        keys.map(|(key, (reads, writes))| (&**key, *reads, *writes))
    }

    /// Channels that it names, in the order of the words: channel, pattern.
    pub fn channels(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let channels = self.call.iter().flat_map(|call| &call.channels);
        channels.map(|(channel, pattern)| (&**channel, *pattern))
    }

    /// What it has besides: condition keys as the documents name them, absent ones left out.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &FactValue)> {
        let facts = self.facts.0.iter();
        facts
            .filter(|(.., value)| *value != FactValue::Absent)
            .map(|(_, key, value)| (key.name(), value))
    }

    /// The command that it also is, if it sets an expiry that is over.
    fn deletes(&self) -> Option<CommandId> {
        let (id, call) = (self.action.command()?, self.call.as_ref()?);
        let deletes = id.expiring_deletes_as()?;
        let assigned = self.facts.get(&Variable::Fact(Fact::TtlSeconds));
        let ttl = match assigned {
            Some(FactValue::Number(number)) => *number,
            _ => argument(&Fact::TtlSeconds, id, &call.words)?,
        };
        (ttl.to_milli()? <= 0).then_some(deletes)
    }

    /// Whether it is the same call at the same place with the same facts.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.action == other.action
            && self.resource == other.resource
            && self.identity == other.identity
            && self.call == other.call
            && self.facts == other.facts
    }

    /// Asks with what it touches.
    pub fn ask<R>(&self, ask: impl FnOnce(&Touch<'_>) -> R) -> R {
        match &self.call {
            Some(call) => call.ask(ask),
            None => ask(&Touch::None),
        }
    }
}

/// Whether a pattern of a resource policy speaks of an identity.
pub(crate) fn names(pattern: &IdentityPattern, effect: Effect, identity: &str) -> bool {
    match pattern {
        IdentityPattern::Path(path) => **path == *identity,
        IdentityPattern::Everyone => identity != "unauthenticated" || effect == Effect::Deny,
        IdentityPattern::Unauthenticated => identity == "unauthenticated",
    }
}

/// Whether a document, as the only one that speaks, allows a request: on the one trust from the
/// owner to who asks, or as the policy of the resource. What is implied by `kvdb:Connect`, and what
/// needs the whole database, is as in any decision.
pub fn allows(policy: &Policy, request: &Request) -> bool {
    let statements: Vec<&Statement> = policy.statements().iter().collect();
    allowed_by(&statements, request)
}

/// As [`allows`], of a document that has these statements.
pub(crate) fn allowed_by(statements: &[&Statement], request: &Request) -> bool {
    request.ask(|touch| verdict(statements, request, request.action, touch))
        && request.deletes().is_none_or(|deletes| {
            // A time that is over deletes at once, which is a write of every key.
            let keys = request.call.iter().flat_map(|call| &call.keys);
            let keys: Vec<KeyUse<'_>> = keys
                .map(|(key, _)| KeyUse {
                    key,
                    reads: false,
                    writes: true,
                })
                .collect();
            let touch = Touch::Named {
                keys: &keys,
                channels: &[],
            };
            verdict(statements, request, deletes.action(), &touch)
        })
}

fn verdict(policy: &[&Statement], request: &Request, action: ActionId, touch: &Touch<'_>) -> bool {
    let Some(command) = action.command() else {
        return match stated(policy, request, action, touch) {
            Some(true) if action.uses_keyspace() => holds_keyspace(policy, request),
            Some(stated) => stated,
            None => action == CONNECT && possible(policy, request).next().is_some(),
        };
    };
    match command.command().class {
        CommandClass::Always => true,
        CommandClass::ConnectOnly => match stated(policy, request, action, touch) {
            Some(stated) => stated,
            None => {
                let connects = verdict(policy, request, CONNECT, &Touch::None);
                connects
                    && (!touches_keys(touch)
                        || possible(policy, request)
                            .filter(|id| id.command().scope == CommandScope::Keyed)
                            .any(|id| stated(policy, request, id.action(), touch) == Some(true)))
            }
        },
        class => {
            let whole = class == CommandClass::WholeDatabase
                || request
                    .call
                    .as_ref()
                    .is_some_and(|call| call.whole_database);
            stated(policy, request, action, touch) == Some(true)
                && (!whole || holds_whole_database(policy, request))
        }
    }
}

/// Whether a call is about keys, some or all.
fn touches_keys(touch: &Touch<'_>) -> bool {
    match touch {
        Touch::None | Touch::Keyless => false,
        Touch::EveryKey { .. } => true,
        Touch::Named { keys, .. } => !keys.is_empty(),
    }
}

/// What statements say: allowed, denied, nothing.
fn stated(
    policy: &[&Statement],
    request: &Request,
    action: ActionId,
    touch: &Touch<'_>,
) -> Option<bool> {
    // Another command's arguments are not these.
    let own = action == request.action;
    let facts = RequestFacts {
        every_channel: request
            .call
            .as_ref()
            .is_some_and(Call::is_about_every_channel),
        line: request.call.as_ref().and_then(|call| {
            let id = action.command().filter(|_| own && !call.shows)?;
            Some((id, &*call.words))
        }),
        of_another: !own,
        ..RequestFacts::new(&request.facts, touch)
    };
    let mut allowed = None;
    for statement in policy {
        if !concerned(statement, request) {
            continue;
        }
        if statement.matches(action, &request.resource, touch, &facts) == Match::Full {
            match statement.effect {
                Effect::Deny => return Some(false),
                Effect::Allow => allowed = Some(true),
            }
        }
    }
    allowed
}

/// Whether a statement of a resource policy names who asks.
fn concerned(statement: &Statement, request: &Request) -> bool {
    statement.identities.is_empty()
        || request.identity.as_deref().is_none_or(|identity| {
            let patterns = &mut statement.identities.iter();
            patterns.any(|pattern| names(pattern, statement.effect, identity))
        })
}

/// Statements about the resource and who asks whose conditions may hold, and whether these do,
/// whatever the keys are.
fn about<'a>(
    policy: &'a [&'a Statement],
    request: &'a Request,
) -> impl Iterator<Item = (&'a Statement, bool)> {
    policy.iter().copied().filter_map(|statement| {
        let facts = OpenTouch(&request.facts);
        let named = !statement.names_resources()
            || statement.concerns(&request.resource, &facts) == Some(true);
        if !named || !concerned(statement, request) {
            return None;
        }
        match statement
            .conditions
            .as_ref()
            .map(|c| c.holds(statement.effect, &facts))
        {
            None | Some(Some(true)) => Some((statement, true)),
            Some(None) => Some((statement, false)),
            Some(Some(false)) => None,
        }
    })
}

/// Facts of which those that a command's own words decide are open.
struct OpenTouch<'a>(&'a Assignment);

impl Facts for OpenTouch<'_> {
    fn find(&self, key: &ConditionKey) -> Found<'_> {
        if key.fact().is_of_command() {
            return Found::Later;
        }
        let value = self.0.get(&Variable::of(key));
        value.map_or(Found::Absent, FactValue::found)
    }
}

/// Commands that may run, at least for some keys: reasons to connect.
fn possible<'a>(
    policy: &'a [&'a Statement],
    request: &'a Request,
) -> impl Iterator<Item = CommandId> + use<'a> {
    let mut maybe = ActionBits::EMPTY;
    let mut never = ActionBits::EMPTY;
    for (statement, sure) in about(policy, request) {
        match statement.effect {
            Effect::Allow => match &statement.keys {
                None => maybe = maybe.union(&statement.actions),
                Some(_) => {
                    let facts = OpenTouch(&request.facts);
                    let fields = match statement.key_fields(&facts) {
                        KeyFields::Patterns(fields) => Some(fields),
                        _ => None,
                    };
                    let met = statement.actions.iter().filter(|action| {
                        let command = action.command().map(CommandId::command);
                        command.is_none_or(|command| {
                            fields
                                .as_deref()
                                .is_none_or(|fields| meets_some_call(fields, command))
                        })
                    });
                    maybe = maybe.union(&met.collect());
                }
            },
            Effect::Deny if sure && statement.keys.is_none() => {
                never = never.union(&statement.actions);
            }
            Effect::Deny => {}
        }
    }
    let whole = std::cell::OnceCell::new();
    let possible = maybe.subtract(&never);
    possible
        .iter()
        .filter_map(ActionId::command)
        .filter(move |id| match id.command().class {
            CommandClass::Ordinary => true,
            CommandClass::WholeDatabase => {
                *whole.get_or_init(|| holds_whole_database(policy, request))
            }
            _ => false,
        })
        .collect::<Vec<_>>()
        .into_iter()
}

/// Whether every command that does not administer the server is allowed whatever it touches, and
/// no Deny meets any.
fn holds_whole_database(policy: &[&Statement], request: &Request) -> bool {
    let mut missing = whole_database_actions().clone();
    let denied = missing.union(connect_only_actions());
    for (statement, sure) in about(policy, request) {
        match statement.effect {
            Effect::Deny => {
                let facts = OpenTouch(&request.facts);
                let fields = statement.key_fields(&facts);
                let met = |action: ActionId| match (&fields, action.command()) {
                    (KeyFields::Patterns(fields), Some(id)) => speaks_of(fields, id.command()),
                    _ => true,
                };
                if statement.actions.intersect(&denied).iter().any(met) {
                    return false;
                }
            }
            Effect::Allow if sure && statement.actions.intersects(&missing) => {
                let facts = OpenTouch(&request.facts);
                let covered = match statement.key_fields(&facts) {
                    KeyFields::Unrestricted => statement.actions.clone(),
                    KeyFields::Patterns(fields) => {
                        let covers = |action: &ActionId| {
                            action
                                .command()
                                .is_some_and(|id| covers_any_call(&fields, id.command()))
                        };
                        statement.actions.iter().filter(covers).collect()
                    }
                    KeyFields::Later => continue,
                };
                missing = missing.subtract(&covered);
            }
            _ => {}
        }
    }
    missing.is_empty()
}

/// Whether what uses all keys at once without being a command is allowed what it does: the commands
/// that the work consists of, on every key whatever the call, and no Deny meets any command that reads
/// (writes) keys.
fn holds_keyspace(policy: &[&Statement], request: &Request) -> bool {
    let of_snapshot = request.resource.contains("/snapshot/");
    let reads = request.action.name() == "kvdb:CreateSnapshot" || of_snapshot;
    let (names, flag): (&[&str], _) = match reads {
        true => (&["kvdb:ExecuteDump", "kvdb:ExecuteScan"], Flags::READONLY),
        false => (&["kvdb:ExecuteRestore"], Flags::WRITE),
    };
    let needed = names
        .iter()
        .filter_map(|name| keyward_commands::action(name));
    let mut missing: ActionBits = needed.collect();
    let own = missing.clone();
    let is_used = |action: ActionId| {
        own.contains(action)
            || action.command().is_some_and(|id| {
                let command = id.command();
                command.class == CommandClass::Ordinary
                    && command.scope == CommandScope::Keyed
                    && command.flags.contains(flag)
            })
    };
    if stated(policy, request, CONNECT, &Touch::None) == Some(false) {
        return false;
    }
    let everything = Touch::EveryKey {
        reads,
        writes: !reads,
        enumeration: false,
    };
    for (statement, sure) in about(policy, request) {
        let facts = OpenTouch(&request.facts);
        let fields = statement.key_fields(&facts);
        match statement.effect {
            Effect::Deny => {
                let met = |action: ActionId| {
                    let Some(command) = action.command().filter(|_| is_used(action)) else {
                        return false;
                    };
                    match &fields {
                        KeyFields::Patterns(fields) => meets_some_call(fields, command.command()),
                        _ => true,
                    }
                };
                if statement.actions.iter().any(met) {
                    return false;
                }
            }
            Effect::Allow if sure => {
                let covered = match &fields {
                    KeyFields::Unrestricted => true,
                    KeyFields::Patterns(fields) => fields.allows(&everything),
                    KeyFields::Later => false,
                };
                if covered {
                    missing = missing.subtract(&statement.actions);
                }
            }
            Effect::Allow => {}
        }
    }
    missing.is_empty()
}

/// How a command may use keys, by the widest of its calls: reading, writing.
fn widest_access(command: &Command) -> (bool, bool) {
    match command.scope {
        // It may tell the name of every key that changes.
        _ if command.channels == ChannelRule::Tracking => (true, false),
        CommandScope::Keyless if command.key_specs.is_empty() => (false, false),
        CommandScope::Enumeration => (true, false),
        _ if command.flags.contains(Flags::READONLY) => (true, false),
        _ if command.flags.contains(Flags::WRITE) && command.key_specs.is_empty() => (false, true),
        _ => (true, true),
    }
}

/// Whether calls name channels: the prefixes of `CLIENT TRACKING` are of keys.
fn has_channels(command: &Command) -> bool {
    !matches!(command.channels, ChannelRule::None | ChannelRule::Tracking)
}

/// Whether some call of the command uses a key or channel that such fields can speak of, or names
/// none of the channels that others name (`PUBSUB NUMSUB`).
fn speaks_of(fields: &crate::KeyPatterns, command: &Command) -> bool {
    let (reads, writes) = widest_access(command);
    let own = |globs: &[crate::Glob]| !globs.is_empty();
    let names_none = match command.channels {
        ChannelRule::From { first, .. } => command.arity.unsigned_abs() <= first,
        _ => false,
    };
    names_none
        || (reads && (own(&fields.keys) || own(&fields.read_keys)))
        || (writes && (own(&fields.keys) || own(&fields.write_keys)))
        || (has_channels(command) && own(&fields.channels))
}

/// Whether an Allow with these fields may let some call of the command run.
fn meets_some_call(fields: &crate::KeyPatterns, command: &Command) -> bool {
    let untouching = command.scope == CommandScope::Keyless
        && command.key_specs.is_empty()
        && !has_channels(command);
    untouching || speaks_of(fields, command)
}

fn covers_any_call(fields: &crate::KeyPatterns, command: &Command) -> bool {
    let access = |reads, writes| {
        fields.allows(&Touch::EveryKey {
            reads,
            writes,
            enumeration: false,
        })
    };
    let (reads, writes) = widest_access(command);
    let channels = !has_channels(command) || fields.channels.iter().any(crate::Glob::is_everything);
    (!reads || access(true, false)) && (!writes || access(false, true)) && channels
}

/// What whoever holds the whole database may do.
pub(crate) fn whole_database_actions() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> = std::sync::LazyLock::new(|| {
        CommandId::all()
            .filter(|id| {
                let class = id.command().class;
                matches!(class, CommandClass::Ordinary | CommandClass::WholeDatabase)
            })
            .map(CommandId::action)
            .collect()
    });
    &BITS
}

/// Bytes as a person reads them: quoted where they would be misread.
pub(crate) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\,".contains(byte);
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && bytes.iter().all(plain) => Cow::Borrowed(text),
        _ => Cow::Owned(format!("\"{}\"", bytes.escape_ascii())),
    }
}

/// A path as documents of its organisation write it.
pub(crate) fn short<'a>(path: &'a str, organisation: &str) -> &'a str {
    path.strip_prefix("org/")
        .and_then(|rest| rest.strip_prefix(organisation))
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(path)
}

impl Request {
    /// For a person: `DEL on session:1 in kvdb/prod from 10.0.0.7`. Paths of `organisation` are in
    /// shorthand.
    pub fn describe(&self, organisation: &str) -> String {
        use fmt::Write as _;
        let mut text = String::new();
        let list = |items: Vec<Cow<'_, str>>| match items.split_last() {
            Some((last, [])) => last.to_string(),
            Some((last, before)) => format!("{} and {last}", before.join(", ")),
            None => String::new(),
        };
        match (&self.call, self.action.command()) {
            (Some(call), Some(id)) => {
                text.push_str(&id.command().name.replace('|', " ").to_ascii_uppercase());
                let keys = call
                    .keys
                    .iter()
                    .map(|(key, _)| shown(key))
                    .collect::<Vec<_>>();
                let channels = call.channels.iter().map(|(channel, _)| shown(channel));
                let channels = channels.collect::<Vec<_>>();
                match call.scope {
                    FormScope::EveryKey { .. } => text.push_str(" on every key"),
                    FormScope::EveryChannel => text.push_str(" of every channel"),
                    FormScope::Keyless | FormScope::Named => {}
                }
                if call.shows {
                    _ = write!(text, " showing {}", list(keys));
                } else if !keys.is_empty() {
                    _ = write!(text, " on {}", list(keys));
                }
                if !channels.is_empty() {
                    let pattern = call.channels.iter().any(|(_, pattern)| *pattern);
                    let what = if pattern { "pattern" } else { "channel" };
                    let plural = if channels.len() > 1 { "s" } else { "" };
                    _ = write!(text, " on {what}{plural} {}", list(channels));
                }
                if !self.resource.is_empty() {
                    _ = write!(text, " in {}", short(&self.resource, organisation));
                }
            }
            _ => {
                text.push_str(self.action.name());
                if !self.resource.is_empty() {
                    _ = write!(text, " on {}", short(&self.resource, organisation));
                }
            }
        }
        if let Some(identity) = &self.identity {
            let identity = short(identity, organisation);
            _ = match identity {
                "unauthenticated" => write!(text, " by whoever is not authenticated"),
                identity => write!(text, " by {identity}"),
            };
        }
        let mut others = Vec::new();
        for (_, key, value) in &self.facts.0 {
            let values = value.texts();
            let values = || list(values.iter().map(|value| shown(value)).collect());
            match (key.fact(), value) {
                (_, FactValue::Absent) => {}
                (Fact::SourceIp, _) => _ = write!(text, " from {}", values()),
                (Fact::CurrentTime | Fact::EpochTime, _) => _ = write!(text, " at {}", values()),
                _ => others.push(format!("{}={}", key.name(), values())),
            }
        }
        if !others.is_empty() {
            _ = write!(text, " with {}", others.join(", "));
        }
        if let Some(id) = self.action.command()
            && id.command().class == CommandClass::Administrative
        {
            text.push_str(" (where administration is on)");
        }
        text
    }
}
