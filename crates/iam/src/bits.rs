//! Which actions are sure, and which depend on keys: the decision of all actions at once, by set
//! arithmetic over the same grounds that the evaluator asks.

use std::sync::{Arc, OnceLock};

use keyward_commands::{
    ActionBits, ActionId, CONNECT, ChannelRule, Command, CommandClass, CommandId, CommandScope,
    Flags, administrative_actions, connect_only_actions,
};
use keyward_policy::{Effect, Facts, KeyFields, KeyPatterns, Policy, Statement, Touch};

use crate::grounds::{Grant, Grounds};

/// A lower and an upper bound of a set of actions: `sure` whatever the keys are, `maybe` for some
/// keys (a superset).
#[derive(Clone)]
pub(crate) struct Bounds {
    pub(crate) sure: ActionBits,
    pub(crate) maybe: ActionBits,
}

impl Bounds {
    fn none() -> Self {
        Self {
            sure: ActionBits::EMPTY,
            maybe: ActionBits::EMPTY,
        }
    }

    fn all() -> Self {
        Self {
            sure: all_actions().clone(),
            maybe: all_actions().clone(),
        }
    }

    fn and(&mut self, other: &Self) {
        self.sure = self.sure.intersect(&other.sure);
        self.maybe = self.maybe.intersect(&other.maybe);
    }

    fn or(&mut self, other: &Self) {
        self.sure = self.sure.union(&other.sure);
        self.maybe = self.maybe.union(&other.maybe);
    }

    fn but_not(&mut self, denied: &Self) {
        self.sure = self.sure.subtract(&denied.maybe);
        self.maybe = self.maybe.subtract(&denied.sure);
    }

    fn add_allow(&mut self, statement: &Statement, weight: Weight, facts: &dyn Facts) {
        if let Some(user) = &statement.acl {
            self.sure = self.sure.union(&user.sure());
            self.maybe = self.maybe.union(&statement.actions);
            return;
        }
        let fields = statement.key_fields(facts);
        let (mut sure, maybe) = match &fields {
            KeyFields::Unrestricted => (statement.actions.clone(), statement.actions.clone()),
            KeyFields::Later => (ActionBits::EMPTY, statement.actions.clone()),
            KeyFields::Patterns(keys) => (
                statement.actions.intersect(covered_by(keys)),
                statement
                    .actions
                    .intersect(&meetable_by(keys).union(untouching_actions())),
            ),
        };
        if weight == Weight::Conditional {
            sure = ActionBits::EMPTY;
        }
        self.sure = self.sure.union(&sure);
        self.maybe = self.maybe.union(&maybe);
    }

    fn add_deny(&mut self, statement: &Statement, weight: Weight, facts: &dyn Facts) {
        match statement.key_fields(facts) {
            KeyFields::Unrestricted if weight == Weight::Sure => {
                self.sure = self.sure.union(&statement.actions);
                self.maybe = self.maybe.union(&statement.actions);
            }
            KeyFields::Unrestricted | KeyFields::Later => {
                self.maybe = self.maybe.union(&statement.actions);
            }
            KeyFields::Patterns(keys) => {
                let met = statement.actions.intersect(meetable_by(&keys));
                self.maybe = self.maybe.union(&met);
            }
        }
    }
}

/// How much of a statement's match is known before the call, its key fields aside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Weight {
    /// It holds for every call.
    Sure,
    /// It may hold: a condition or a variable waits for the call.
    Conditional,
}

/// The statements of some documents, each with its document.
pub(crate) fn statements(
    documents: &[Arc<Policy>],
) -> impl Iterator<Item = (&Arc<Policy>, &Statement)> {
    documents
        .iter()
        .flat_map(|policy| policy.statements().iter().map(move |one| (policy, one)))
}

/// What the documents of one list allow and deny.
fn read_list(
    documents: &[Arc<Policy>],
    grounds: &Grounds,
    facts: &dyn Facts,
    acl: bool,
) -> (Bounds, Bounds) {
    let (mut allows, mut denies) = (Bounds::none(), Bounds::none());
    for (policy, statement) in statements(documents) {
        if statement.acl.is_some() && !acl {
            continue;
        }
        if let Some(weight) = grounds.weigh(policy, statement, facts) {
            match statement.effect {
                Effect::Allow => allows.add_allow(statement, weight, facts),
                Effect::Deny => denies.add_deny(statement, weight, facts),
            }
        }
    }
    (allows, denies)
}

/// The decision of every action on one resource.
pub(crate) struct Bits {
    /// What some binding Deny meets.
    pub(crate) denied: Bounds,
    /// Commands that may run: what statements allow, without those that administer the server and, where the
    /// whole database is not held, without those that need it.
    pub(crate) runnable: Bounds,
    whole_database: bool,
    implies_connect_only: bool,
}

impl Bits {
    pub(crate) fn of(grounds: &Grounds, administration: bool) -> Self {
        let mut bits = Self::with(grounds, administration, true);
        // ACL rules name all that they allow: what they allow implies nothing.
        bits.implies_connect_only = !grounds.has_acl()
            || Self::with(grounds, administration, false)
                .first_possible_command()
                .is_some();
        bits
    }

    /// With what ACL rules allow, or without.
    fn with(grounds: &Grounds, administration: bool, acl: bool) -> Self {
        let facts = &grounds.early();
        let mut denied = Bounds::none();
        let layers: Vec<Bounds> = grounds
            .layers
            .iter()
            .map(|layer| {
                let (mut allows, denies) = read_list(&layer.documents, grounds, facts, acl);
                allows.but_not(&denies);
                if layer.binding {
                    denied.or(&denies);
                }
                allows
            })
            .collect();
        let mut nodes: Vec<Bounds> = Vec::with_capacity(grounds.nodes.len());
        for (position, node) in grounds.nodes.iter().enumerate() {
            let mut reach = if position == 0 {
                Bounds::all()
            } else {
                Bounds::none()
            };
            for edge in &node.edges {
                let mut through = match &edge.grant {
                    Grant::Everything => Bounds::all(),
                    Grant::Documents(documents) => {
                        let (mut allows, denies) = read_list(documents, grounds, facts, acl);
                        allows.but_not(&denies);
                        if edge.binding {
                            denied.or(&denies);
                        }
                        allows
                    }
                };
                if !edge.in_force {
                    through = Bounds::none();
                }
                if let Some(conditions) = edge.conditions {
                    through.and(&layers[conditions]);
                }
                through.and(&nodes[edge.from]);
                reach.or(&through);
            }
            for layer in &node.layers {
                reach.and(&layers[*layer]);
            }
            nodes.push(reach);
        }
        let mut stated = Bounds::none();
        for (position, node) in grounds.nodes.iter().enumerate() {
            let mut accepted = if node.owner {
                Bounds::all()
            } else {
                Bounds::none()
            };
            if !node.owner {
                for (policy, statement) in statements(&grounds.resource_policy) {
                    if statement.effect == Effect::Allow
                        && grounds.names(statement, position)
                        && let Some(weight) = grounds.weigh(policy, statement, facts)
                    {
                        accepted.add_allow(statement, weight, facts);
                    }
                }
            }
            accepted.and(&nodes[position]);
            stated.or(&accepted);
        }
        for layer in &grounds.request_layers {
            stated.and(&layers[*layer]);
        }
        for (policy, statement) in statements(&grounds.resource_policy) {
            if statement.effect == Effect::Deny
                && grounds.deny_names_reached(statement, CONNECT)
                && let Some(weight) = grounds.weigh(policy, statement, facts)
            {
                denied.add_deny(statement, weight, facts);
            }
        }
        stated.but_not(&denied);

        let mut runnable = stated.clone();
        let permitted = if administration {
            ActionBits::EMPTY
        } else {
            administrative_actions().clone()
        };
        runnable.sure = runnable.sure.subtract(&permitted);
        runnable.maybe = runnable.maybe.subtract(&permitted);
        let whole_database = whole_database_commands().subtract(&stated.sure).is_empty()
            && denied.maybe.intersect(connect_only_actions()).is_empty();
        if !whole_database {
            runnable.sure = runnable.sure.subtract(script_commands());
            runnable.maybe = runnable.maybe.subtract(script_commands());
        }
        Self {
            denied,
            runnable,
            whole_database,
            implies_connect_only: true,
        }
    }

    /// Whether what needs only Connect is implied by some command that a policy allows, or by
    /// Connect itself: ACL rules do not imply it.
    pub(crate) fn implies_connect_only(&self) -> bool {
        self.implies_connect_only
    }

    /// Whether every command that is not administrative is allowed, on all keys and channels, and
    /// no Deny matches any.
    pub(crate) fn holds_whole_database(&self) -> bool {
        self.whole_database
    }

    /// Commands that some statement lets run, at least for some keys.
    pub(crate) fn possible_commands(&self) -> impl Iterator<Item = CommandId> + '_ {
        self.runnable
            .maybe
            .intersect(ordinary_commands())
            .iter()
            .filter_map(ActionId::command)
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Those of them whose calls name keys: what they may read, `WATCH` may watch.
    pub(crate) fn possible_readers(&self) -> Vec<CommandId> {
        self.possible_commands()
            .filter(|id| keyed_commands().contains(id.action()))
            .collect()
    }

    pub(crate) fn first_possible_command(&self) -> Option<CommandId> {
        self.possible_commands().next()
    }
}

/// Declares sets of actions that are computed once from the catalogue.
macro_rules! action_sets {
    ($($(#[$doc:meta])* $name:ident: $command:ident => $condition:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name() -> &'static ActionBits {
            static BITS: OnceLock<ActionBits> = OnceLock::new();
            BITS.get_or_init(|| {
                let mut bits = ActionBits::EMPTY;
                for id in CommandId::all() {
                    let $command = id.command();
                    if $condition {
                        bits.insert(id.action());
                    }
                }
                bits
            })
        }
    )*};
}

action_sets! {
    /// Commands that never touch a key or a channel, whatever their arguments.
    keyless_commands: command =>
        command.scope == CommandScope::Keyless
            && command.key_specs.is_empty()
            && command.keys == keyward_commands::KeyRule::BySpecs
            && command.channels == keyward_commands::ChannelRule::None;
    /// Commands whose calls name keys.
    keyed_commands: command => command.scope == CommandScope::Keyed;
    /// Commands that are always possible, or need only Connect, are no reason to connect.
    ordinary_commands: command =>
        !matches!(command.class, CommandClass::Always | CommandClass::ConnectOnly);
    /// What whoever holds the whole database may do.
    whole_database_commands: command =>
        matches!(command.class, CommandClass::Ordinary | CommandClass::WholeDatabase);
    /// Commands that need the whole database.
    script_commands: command => command.class == CommandClass::WholeDatabase;
}

fn all_actions() -> &'static ActionBits {
    static BITS: OnceLock<ActionBits> = OnceLock::new();
    BITS.get_or_init(|| {
        let mut bits = ActionBits::EMPTY;
        for action in ActionId::all() {
            bits.insert(action);
        }
        bits
    })
}

/// Actions that key fields say nothing about: keyless commands, and what uses no keys.
fn untouching_actions() -> &'static ActionBits {
    static BITS: OnceLock<ActionBits> = OnceLock::new();
    BITS.get_or_init(|| {
        let mut bits = keyless_commands().clone();
        for action in ActionId::all().filter(|action| !action.has_keys()) {
            bits.insert(action);
        }
        bits
    })
}

/// Actions that an Allow with these fields allows whatever keys and channels they touch.
fn covered_by(keys: &KeyPatterns) -> &'static ActionBits {
    // By whether every key may be read, every key written, every channel used.
    static COVERED: [OnceLock<ActionBits>; 8] = [const { OnceLock::new() }; 8];
    let access = |reads, writes| {
        keys.allows(&Touch::EveryKey {
            reads,
            writes,
            enumeration: false,
        })
    };
    let (reads, writes) = (access(true, false), access(false, true));
    let channels = keys
        .channels
        .iter()
        .any(keyward_policy::Glob::is_everything);
    let place = usize::from(reads) | usize::from(writes) << 1 | usize::from(channels) << 2;
    COVERED[place].get_or_init(|| {
        let mut bits = untouching_actions().clone();
        for action in ActionId::all().filter(|action| action.uses_keyspace()) {
            // INVARIANT: as `Touch::of_action` has it.
            if reads && (writes || action.name() == "kvdb:CreateSnapshot") {
                bits.insert(action);
            }
        }
        for id in CommandId::all() {
            let command = id.command();
            let (needs_read, needs_write) = widest_access(command);
            let no_channels = !has_channels(command);
            if (reads || !needs_read) && (writes || !needs_write) && (channels || no_channels) {
                bits.insert(id.action());
            }
        }
        bits
    })
}

/// How a command may use keys, by the widest of its calls: reading, writing.
fn widest_access(command: &Command) -> (bool, bool) {
    let read_only = command.flags.contains(Flags::READONLY);
    let write_only = command.flags.contains(Flags::WRITE) && command.key_specs.is_empty();
    match command.scope {
        // It may tell the name of every key that changes.
        _ if command.channels == ChannelRule::Tracking => (true, false),
        CommandScope::Keyless if command.key_specs.is_empty() => (false, false),
        CommandScope::Enumeration => (true, false),
        _ if read_only => (true, false),
        // `FLUSHALL`; of a keyed command a call may read, too (`SET` with `GET`).
        _ if write_only => (false, true),
        _ => (true, true),
    }
}

/// Whether calls name channels: the prefixes of `CLIENT TRACKING` are of keys.
fn has_channels(command: &Command) -> bool {
    !matches!(command.channels, ChannelRule::None | ChannelRule::Tracking)
}

/// Whether a call may name none of the channels that others name (`PUBSUB NUMSUB`).
fn names_none(command: &Command) -> bool {
    match command.channels {
        ChannelRule::From { first, .. } => command.arity.unsigned_abs() <= first,
        _ => false,
    }
}

/// Commands some call of which uses a key or channel that such fields can speak of.
fn meetable_by(keys: &KeyPatterns) -> &'static ActionBits {
    // By whether the fields speak of keys that are read, keys that are written, channels.
    static MEETABLE: [OnceLock<ActionBits>; 8] = [const { OnceLock::new() }; 8];
    let reads = !keys.keys.is_empty() || !keys.read_keys.is_empty();
    let writes = !keys.keys.is_empty() || !keys.write_keys.is_empty();
    let channels = !keys.channels.is_empty();
    let place = usize::from(reads) | usize::from(writes) << 1 | usize::from(channels) << 2;
    MEETABLE[place].get_or_init(|| {
        let mut bits = ActionBits::EMPTY;
        for action in ActionId::all().filter(|action| action.uses_keyspace()) {
            if reads || writes {
                bits.insert(action);
            }
        }
        for id in CommandId::all() {
            let command = id.command();
            let (may_read, may_write) = widest_access(command);
            let has_channels = has_channels(command);
            if (reads && may_read)
                || (writes && may_write)
                || (channels && has_channels)
                || names_none(command)
            {
                bits.insert(id.action());
            }
        }
        bits
    })
}
