//! What the names in rules stand for, as Valkey 9 has them.

use std::collections::HashMap;
use std::sync::LazyLock;

use keyward_commands::{
    ActionBits, Categories, ChannelRule, Command, CommandId, Flags, KeyFlags, execute_actions,
};

/// What a command's name in a rule stands for.
pub(super) struct Named {
    /// The command itself; a container that cannot run alone is none.
    pub(super) id: Option<CommandId>,
    /// Its actions: of a container, those of all its subcommands.
    pub(super) actions: ActionBits,
    /// Whether it has subcommands.
    pub(super) container: bool,
    /// Whether it is a subcommand.
    pub(super) subcommand: bool,
}

/// The command of that name, in any letter case: `get`, `config`, `config|get`.
pub(super) fn named(name: &str) -> Option<&'static Named> {
    static NAMES: LazyLock<HashMap<&str, Named>> = LazyLock::new(names);
    NAMES.get(&*name.to_ascii_lowercase())
}

fn names() -> HashMap<&'static str, Named> {
    let mut names: HashMap<&'static str, Named> = HashMap::new();
    let blank = || Named {
        id: None,
        actions: ActionBits::EMPTY,
        container: false,
        subcommand: false,
    };
    for id in CommandId::all() {
        let name = id.command().name;
        let own = names.entry(name).or_insert_with(blank);
        own.id = Some(id);
        own.actions.insert(id.action());
        if let Some((container, _)) = name.split_once('|') {
            own.subcommand = true;
            let container = names.entry(container).or_insert_with(blank);
            container.container = true;
            container.actions.insert(id.action());
        }
    }
    names
}

/// The actions that a category, in any letter case, gives and takes.
///
/// Of a container in the category all subcommands belong to it.
pub(super) fn category(name: &str) -> Option<&'static ActionBits> {
    static CATEGORIES: LazyLock<Vec<(&str, ActionBits)>> = LazyLock::new(|| {
        let slow = containers_but_command();
        let actions = |category| {
            let in_it = |id: &CommandId| id.command().categories.contains(category);
            let own: ActionBits = CommandId::all()
                .filter(in_it)
                .map(CommandId::action)
                .collect();
            let mut all = own.clone();
            if category == Categories::SLOW {
                all = all.union(&slow);
            }
            // `COMMAND` is a container that runs alone, too.
            let command = named("command");
            if let Some(command) = command
                && command.id.is_some_and(|id| own.contains(id.action()))
            {
                all = all.union(&command.actions);
            }
            all
        };
        Categories::all()
            .map(|(category, name)| (name, actions(category)))
            .collect()
    });
    let found = CATEGORIES
        .iter()
        .find(|(known, _)| name.eq_ignore_ascii_case(known));
    found.map(|(_, actions)| actions)
}

/// The names of all categories.
pub(super) fn categories() -> impl Iterator<Item = &'static str> {
    Categories::all().map(|(_, name)| name)
}

/// Containers are `@slow` themselves and in no other category: measured on both servers.
fn containers_but_command() -> ActionBits {
    CommandId::all()
        .filter(|id| id.command().name.contains('|'))
        .map(CommandId::action)
        .collect()
}

/// All commands.
pub(super) fn every() -> &'static ActionBits {
    execute_actions()
}

/// Whether the server looks for keys in a call of it.
pub(super) fn has_keys(command: &Command) -> bool {
    command
        .key_specs
        .iter()
        .any(|spec| !spec.flags.contains(KeyFlags::NOT_KEY))
}

/// Whether a call uses some key in a way that any pattern allows: it only tells about it.
pub(super) fn needs_any_pattern(command: &Command) -> bool {
    command.key_specs.iter().any(|spec| {
        let flags = spec.flags;
        !flags.contains(KeyFlags::NOT_KEY) && !flags.contains(KeyFlags::ACCESS) && !flags.writes()
    })
}

/// Which channels of a call the server checks: the first word of them, and how.
pub(super) fn channels(command: &Command) -> Option<(u16, bool, bool)> {
    match (command.channels, command.name) {
        (ChannelRule::One(at), _) => Some((at, false, true)),
        (ChannelRule::From { first, pattern }, "subscribe" | "ssubscribe" | "psubscribe") => {
            Some((first, pattern, false))
        }
        // What `PUBSUB` and `CLIENT TRACKING` show, the server checks for nobody.
        _ => None,
    }
}

/// What a command has to do with databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Databases {
    /// Nothing: it needs none.
    None,
    /// It works in the current one.
    Current,
    /// It works in all of them: nothing less than `alldbs` will do.
    All,
    /// `SELECT`: the one it names.
    Select,
    /// `SWAPDB`: the two it names.
    Swap,
    /// `MOVE`: the current one and the one it names.
    Move,
    /// `COPY`: the current one and those after `DB`.
    Copy,
}

/// What a command has to do with databases, as Valkey 9.1 sees it.
pub(super) fn databases(command: CommandId) -> Databases {
    static KINDS: LazyLock<Vec<Databases>> = LazyLock::new(|| {
        CommandId::all()
            .map(|id| kind_of_databases(id.command()))
            .collect()
    });
    KINDS[command.index()]
}

fn kind_of_databases(command: &Command) -> Databases {
    match command.name {
        "select" => Databases::Select,
        "swapdb" => Databases::Swap,
        "move" => Databases::Move,
        "copy" => Databases::Copy,
        "flushall"
        | "cluster|cancelslotmigrations"
        | "cluster|flushslot"
        | "cluster|migrateslots" => Databases::All,
        // In the category of its container.
        "object|help" => Databases::Current,
        _ if has_keys(command)
            || command
                .flags
                .intersects(Flags::WRITE.union(Flags::READONLY)) =>
        {
            Databases::Current
        }
        _ => Databases::None,
    }
}

/// Whether it works before login, and so for every user.
pub(super) fn is_always_allowed(command: &Command) -> bool {
    command.flags.contains(Flags::NO_AUTH)
}
