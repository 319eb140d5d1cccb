//! Condition keys that no request for the actions has.

use keyward_commands::{ActionBits, ActionId, ChannelRule, CommandScope, KeyFlags};

use super::term::Term;
use crate::check::Document;
use crate::check::native::names;
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::condition::Fact;

/// Can a request for the action have the fact?
fn can_have(action: ActionId, fact: &Fact) -> bool {
    let Some(id) = action.command() else {
        return !fact.is_of_command() && *fact != Fact::DatabaseIndex;
    };
    let command = id.command();
    let may_touch = |of: fn(KeyFlags) -> bool| {
        let keyed = command.scope == CommandScope::Keyed && !command.key_specs.is_empty();
        let some = command.key_specs.iter().any(|spec| of(spec.flags));
        command.scope != CommandScope::Keyless && (!keyed || some || is_open(action))
    };
    match (fact.argument(), fact) {
        (Some(argument), _) => id.can_have(argument),
        (None, Fact::Key) => command.scope != CommandScope::Keyless,
        (None, Fact::ReadKey) => may_touch(KeyFlags::reads),
        (None, Fact::WriteKey) => may_touch(KeyFlags::writes),
        (None, Fact::Channel) => command.channels != ChannelRule::None,
        _ => true,
    }
}

/// Its access depends on its arguments.
fn is_open(action: ActionId) -> bool {
    let command = action.command().map(|id| id.command());
    command.is_some_and(|command| {
        command.flags.contains(keyward_commands::Flags::MOVABLEKEYS)
            || matches!(command.name, "set" | "bitfield")
    })
}

/// A key that none of the actions has.
pub(super) fn never_has(
    document: &Document<'_>,
    at: usize,
    term: &Term<'_, '_>,
    out: &mut Reporter<'_>,
) {
    let fact = term.key.fact();
    if !fact.is_of_command() && *fact != Fact::DatabaseIndex {
        return;
    }
    let actions = &document.meanings[at].actions;
    if actions.is_empty() || actions.iter().any(|action| can_have(action, fact)) {
        return;
    }
    let consequence = if term.needs_presence() {
        "the statement never matches"
    } else {
        "the condition always holds"
    };
    let shown: ActionBits = actions.iter().take(20).collect();
    let message = format!(
        "{} is never part of {}: {consequence}",
        term.name(),
        names(&shown)
    );
    out.add(Kind::NeverHasKey, term.wanted.key_at, &*term.path, message);
}
