//! What actions have in common, and which are good examples.

use std::collections::HashMap;

use keyward_commands::{
    ActionBits, ActionId, Argument, CONNECT, Command, CommandClass, CommandId, CommandScope,
};

use crate::analysis::call::FormScope;
use crate::analysis::request::whole_database_actions;
use crate::analysis::solve::known_families;
use crate::condition::Fact;

/// Whether an action can be implied by `kvdb:Connect`.
pub(super) fn is_implied(action: ActionId) -> bool {
    let class = action.command().map(|id| id.command().class);
    action == CONNECT || class == Some(CommandClass::ConnectOnly)
}

/// Whether a request for an action can have a fact.
pub(super) fn can_have(action: ActionId, fact: &Fact) -> bool {
    match (fact.argument(), fact) {
        (Some(argument), _) => action.command().is_some_and(|id| id.can_have(argument)),
        (
            None,
            Fact::DatabaseIndex | Fact::Key | Fact::ReadKey | Fact::WriteKey | Fact::Channel,
        ) => action.is_execute(),
        _ => true,
    }
}

/// Whether no request for an action names keys or channels: it is about none, or about all.
pub(super) fn names_nothing(action: ActionId) -> bool {
    action.command().is_none_or(|command| {
        let mut families = known_families(command).iter();
        families.all(|family| family.least.scope != FormScope::Named)
    })
}

fn commands_that(wanted: impl Fn(&Command) -> bool) -> ActionBits {
    CommandId::all()
        .filter(|id| wanted(id.command()))
        .map(CommandId::action)
        .collect()
}

fn of_class(wanted: &[CommandClass]) -> ActionBits {
    commands_that(|command| wanted.contains(&command.class))
}

/// Always possible, or decided on all statements at once.
pub(super) fn never_told() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> = std::sync::LazyLock::new(|| {
        of_class(&[CommandClass::Always, CommandClass::WholeDatabase]).union(snapshot_actions())
    });
    &BITS
}

/// What is decided as the use of all keys at once though it is no command.
pub(super) fn snapshot_actions() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> =
        std::sync::LazyLock::new(|| ActionId::all().filter(|a| a.uses_keyspace()).collect());
    &BITS
}

pub(super) fn script_actions() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> =
        std::sync::LazyLock::new(|| of_class(&[CommandClass::WholeDatabase]));
    &BITS
}

/// What gives a reason to connect, or says so.
pub(super) fn connecting_actions() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> = std::sync::LazyLock::new(|| {
        let mut bits = whole_database_actions().clone();
        bits.insert(CONNECT);
        bits
    });
    &BITS
}

pub(super) fn ordinary_keyed() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> = std::sync::LazyLock::new(|| {
        commands_that(|command| {
            command.class == CommandClass::Ordinary && command.scope == CommandScope::Keyed
        })
    });
    &BITS
}

/// What tells the names of keys, and shows those that may be read.
pub(super) fn enumerations() -> &'static ActionBits {
    static BITS: std::sync::LazyLock<ActionBits> = std::sync::LazyLock::new(|| {
        commands_that(|command| command.scope == CommandScope::Enumeration)
    });
    &BITS
}

/// A number for what a policy can tell of an action beside its name: its class, its forms, what its
/// arguments can say.
pub(super) fn likeness(action: ActionId) -> usize {
    static NUMBERS: std::sync::LazyLock<Vec<usize>> = std::sync::LazyLock::new(|| {
        let mut known = HashMap::new();
        CommandId::all()
            .map(|id| {
                let arguments: Vec<bool> = Argument::ALL
                    .iter()
                    .map(|argument| id.can_have(*argument))
                    .collect();
                let class = format!("{:?}", id.command().class);
                let next = known.len() + 1;
                *known
                    .entry((class, known_families(id).to_vec(), arguments))
                    .or_insert(next)
            })
            .collect()
    });
    match action.command() {
        Some(id) => NUMBERS[id.index()],
        None if action == CONNECT => usize::MAX,
        None => 0,
    }
}

/// How good an example an action is: less is better.
pub(super) fn rank(action: ActionId) -> usize {
    const LIKELY: &[&str] = &[
        "del",
        "set",
        "get",
        "flushall",
        "mget",
        "publish",
        "subscribe",
        "psubscribe",
        "config|get",
    ];
    let Some(command) = action.command() else {
        return LIKELY.len() + 1;
    };
    let command = command.command();
    let place = LIKELY.iter().position(|name| *name == command.name);
    let class = match command.class {
        CommandClass::Ordinary => 0,
        CommandClass::Administrative => 2,
        _ => 4,
    };
    place.unwrap_or(LIKELY.len() + class)
}
