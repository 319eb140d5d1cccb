//! The table of all commands: the generated rows joined with the checked-in lists, at compile time.

use crate::actions::ActionId;
use crate::arguments::{ArgumentRules, rules};
use crate::command::{
    Categories, ChannelRule, Command, CommandClass, CommandScope, Flags, KeyRule, Servers,
};
pub(crate) use crate::command::{category, flag, server};
pub(crate) use crate::keyspec::key_flag;
use crate::keyspec::{BeginSearch, FindKeys, KeyFlags, KeySpec};
use crate::lists;

#[rustfmt::skip]
#[path = "generated.rs"]
pub(crate) mod generated;

use generated::ROWS;

/// How many commands and subcommands can run.
pub const COMMAND_COUNT: usize = generated::COMMAND_COUNT;

/// What the servers say about one command.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) action: &'static str,
    pub(crate) arity: i16,
    pub(crate) flags: u32,
    pub(crate) categories: u32,
    pub(crate) servers: u8,
    pub(crate) group: &'static str,
    pub(crate) since: &'static str,
    pub(crate) key_specs: &'static [KeySpec],
}

pub(crate) const fn spec(flags: u16, begin: BeginSearch, find: FindKeys) -> KeySpec {
    KeySpec {
        flags: KeyFlags(flags),
        begin,
        find,
    }
}

pub(crate) const fn index(at: u16) -> BeginSearch {
    BeginSearch::Index(at)
}

pub(crate) const fn keyword(word: &'static str, start: i16) -> BeginSearch {
    BeginSearch::Keyword { word, start }
}

pub(crate) const fn range(last: i16, step: u16, limit: u16) -> FindKeys {
    FindKeys::Range { last, step, limit }
}

pub(crate) const fn keynum(count: u16, first: u16, step: u16) -> FindKeys {
    FindKeys::KeyNum { count, first, step }
}

/// Commands whose keys the specifications do not tell for every call.
const KEY_RULES: &[(&str, KeyRule)] = &[
    ("bitfield", KeyRule::Bitfield),
    ("eval", KeyRule::Script),
    ("eval_ro", KeyRule::Script),
    ("evalsha", KeyRule::Script),
    ("evalsha_ro", KeyRule::Script),
    ("fcall", KeyRule::Script),
    ("fcall_ro", KeyRule::Script),
    ("georadius", KeyRule::GeoRadius { options: 6 }),
    ("georadiusbymember", KeyRule::GeoRadius { options: 5 }),
    ("migrate", KeyRule::Migrate),
    ("set", KeyRule::Set),
    ("sort", KeyRule::Sort),
    ("sort_ro", KeyRule::SortReadOnly),
    ("xread", KeyRule::Streams),
    ("xreadgroup", KeyRule::Streams),
];

/// Commands with channels. Those of the `UNSUBSCRIBE`s are not checked: leaving is always allowed.
const CHANNEL_RULES: &[(&str, ChannelRule)] = &[
    ("client|tracking", ChannelRule::Tracking),
    (
        "psubscribe",
        ChannelRule::From {
            first: 1,
            pattern: true,
        },
    ),
    ("publish", ChannelRule::One(1)),
    ("pubsub|channels", ChannelRule::Listing),
    (
        "pubsub|numsub",
        ChannelRule::From {
            first: 2,
            pattern: false,
        },
    ),
    ("pubsub|shardchannels", ChannelRule::Listing),
    (
        "pubsub|shardnumsub",
        ChannelRule::From {
            first: 2,
            pattern: false,
        },
    ),
    ("spublish", ChannelRule::One(1)),
    (
        "ssubscribe",
        ChannelRule::From {
            first: 1,
            pattern: false,
        },
    ),
    (
        "subscribe",
        ChannelRule::From {
            first: 1,
            pattern: false,
        },
    ),
];

static COMMANDS: [Command; COMMAND_COUNT] = build();

/// One command or subcommand: its place in the catalogue, dense from 0 to [`COMMAND_COUNT`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CommandId(pub(crate) u16); // INVARIANT: below COMMAND_COUNT

impl CommandId {
    /// What the catalogue knows of it.
    #[must_use]
    #[inline]
    pub fn command(self) -> &'static Command {
        &COMMANDS[self.index()]
    }

    /// Its action.
    #[must_use]
    #[inline]
    pub const fn action(self) -> ActionId {
        ActionId(self.0)
    }

    /// Its place, from 0 to [`COMMAND_COUNT`].
    #[must_use]
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// All of them, in the order of names.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..COMMAND_COUNT as u16).map(Self)
    }
}

/// The command of that catalogue name: `get`, `config|get`. Lower case only.
#[must_use]
pub fn by_name(name: &str) -> Option<CommandId> {
    find(name).map(|at| CommandId(at as u16))
}

/// The place of a name among the rows.
pub(crate) const fn find(name: &str) -> Option<usize> {
    let (mut low, mut high) = (0, COMMAND_COUNT);
    while low < high {
        let middle = (low + high) / 2;
        match order(ROWS[middle].name, name) {
            0 => return Some(middle),
            1 => high = middle,
            _ => low = middle + 1,
        }
    }
    None
}

/// The place of a name in a checked-in list; a name that the catalogue does not have does not compile.
pub(crate) const fn find_listed(name: &str) -> usize {
    match find(name) {
        Some(at) => at,
        None => panic!("{}", name),
    }
}

/// 0: equal, 1: `a` comes after `b`, 2: before.
const fn order(a: &str, b: &str) -> u8 {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return if a[at] > b[at] { 1 } else { 2 };
        }
        at += 1;
    }
    if a.len() == b.len() {
        0
    } else if a.len() > b.len() {
        1
    } else {
        2
    }
}

const fn build() -> [Command; COMMAND_COUNT] {
    const BLANK: Command = Command {
        name: "",
        action: "",
        arity: 0,
        flags: Flags::EMPTY,
        categories: Categories::EMPTY,
        key_specs: &[],
        keys: KeyRule::BySpecs,
        channels: ChannelRule::None,
        arguments: ArgumentRules::NONE,
        scope: CommandScope::Keyed,
        class: CommandClass::Ordinary,
        stateless: false,
        servers: Servers::EMPTY,
        group: "",
        since: "",
    };
    let mut commands = [const { BLANK }; COMMAND_COUNT];
    let mut at = 0;
    while at < COMMAND_COUNT {
        let row = &ROWS[at];
        let command = &mut commands[at];
        command.name = row.name;
        command.action = row.action;
        command.arity = row.arity;
        command.flags = Flags(row.flags);
        command.categories = Categories(row.categories);
        command.key_specs = row.key_specs;
        command.keys = rule(row.key_specs);
        command.servers = Servers(row.servers);
        command.group = row.group;
        command.since = row.since;
        at += 1;
    }

    let mut at = 0;
    while at < KEY_RULES.len() {
        commands[find_listed(KEY_RULES[at].0)].keys = KEY_RULES[at].1;
        at += 1;
    }
    let mut at = 0;
    while at < CHANNEL_RULES.len() {
        commands[find_listed(CHANNEL_RULES[at].0)].channels = CHANNEL_RULES[at].1;
        at += 1;
    }
    let mut at = 0;
    while at < lists::STATELESS.len() {
        commands[find_listed(lists::STATELESS[at])].stateless = true;
        at += 1;
    }

    let mut at = 0;
    while at < rules::TTL.len() {
        commands[find_listed(rules::TTL[at].0)].arguments.ttl = Some(rules::TTL[at].1);
        at += 1;
    }
    let mut at = 0;
    while at < rules::VALUE.len() {
        commands[find_listed(rules::VALUE[at].0)].arguments.value = Some(rules::VALUE[at].1);
        at += 1;
    }
    let mut at = 0;
    while at < rules::COUNTS.len() {
        commands[find_listed(rules::COUNTS[at].0)].arguments.count = Some(rules::COUNTS[at].1);
        at += 1;
    }
    let mut at = 0;
    while at < rules::BLOCKING.len() {
        commands[find_listed(rules::BLOCKING[at].0)]
            .arguments
            .blocking = Some(rules::BLOCKING[at].1);
        at += 1;
    }
    let mut at = 0;
    while at < rules::SCRIPTS.len() {
        commands[find_listed(rules::SCRIPTS[at].0)].arguments.script = Some(rules::SCRIPTS[at].1);
        at += 1;
    }

    set_scope(&mut commands, lists::KEYLESS, CommandScope::Keyless);
    set_scope(
        &mut commands,
        lists::WHOLE_KEYSPACE,
        CommandScope::WholeKeyspace,
    );
    set_scope(
        &mut commands,
        lists::ENUMERATIONS,
        CommandScope::Enumeration,
    );
    set_class(&mut commands, lists::ALWAYS, CommandClass::Always);
    set_class(
        &mut commands,
        lists::CONNECT_ONLY,
        CommandClass::ConnectOnly,
    );
    set_class(
        &mut commands,
        lists::ADMINISTRATIVE,
        CommandClass::Administrative,
    );
    set_class(
        &mut commands,
        lists::WHOLE_DATABASE,
        CommandClass::WholeDatabase,
    );

    let mut at = 0;
    while at < COMMAND_COUNT {
        let command = &commands[at];
        let listed = !matches!(command.scope, CommandScope::Keyed);
        // A command without keys must be listed as keyless, whole keyspace or enumeration, and no
        // other may be.
        if listed == has_keys(command.key_specs) {
            panic!("{}", command.name);
        }
        let touches = has_keys(command.key_specs)
            || matches!(command.scope, CommandScope::WholeKeyspace)
            || matches!(command.channels, ChannelRule::Tracking);
        commands[at].arguments.keys = touches;
        at += 1;
    }
    commands
}

/// The rule by which specifications are followed.
const fn rule(specs: &[KeySpec]) -> KeyRule {
    let hard = KeyFlags::NOT_KEY
        .union(KeyFlags::INCOMPLETE)
        .union(KeyFlags::VARIABLE_FLAGS);
    if let [
        KeySpec {
            flags,
            begin: BeginSearch::Index(at),
            find,
        },
    ] = specs
        && let FindKeys::Range { last: 0, .. } = find
        && !flags.intersects(hard)
    {
        return KeyRule::One(*at);
    }
    KeyRule::BySpecs
}

/// Whether some specification is of keys, not of channels.
const fn has_keys(specs: &[KeySpec]) -> bool {
    let mut at = 0;
    while at < specs.len() {
        if !specs[at].flags.contains(KeyFlags::NOT_KEY) {
            return true;
        }
        at += 1;
    }
    false
}

const fn set_scope(
    commands: &mut [Command; COMMAND_COUNT],
    names: &[&'static str],
    scope: CommandScope,
) {
    let mut at = 0;
    while at < names.len() {
        let command = &mut commands[find_listed(names[at])];
        if !matches!(command.scope, CommandScope::Keyed) {
            panic!("{}", names[at]); // listed twice
        }
        command.scope = scope;
        at += 1;
    }
}

const fn set_class(
    commands: &mut [Command; COMMAND_COUNT],
    names: &[&'static str],
    class: CommandClass,
) {
    let mut at = 0;
    while at < names.len() {
        let command = &mut commands[find_listed(names[at])];
        if !matches!(command.class, CommandClass::Ordinary) {
            panic!("{}", names[at]); // listed twice
        }
        command.class = class;
        at += 1;
    }
}
