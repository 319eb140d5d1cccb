//! Condition keys that no request for the actions has.

use keyward_commands::{ActionBits, ActionId, Argument, ChannelRule, CommandScope};

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
    let argument = match fact {
        Fact::TtlSeconds => Argument::Ttl,
        Fact::ValueBytes => Argument::ValueBytes,
        Fact::KeyCount => Argument::KeyCount,
        Fact::Count => Argument::Count,
        Fact::BlockingSeconds => Argument::Blocking,
        Fact::ScriptSha256 => Argument::Script,
        Fact::Key => return command.scope != CommandScope::Keyless,
        Fact::ReadKey => {
            let keyed = command.scope == CommandScope::Keyed && !command.key_specs.is_empty();
            let reads = command.key_specs.iter().any(|spec| spec.flags.reads());
            return command.scope != CommandScope::Keyless && (!keyed || reads || is_open(action));
        }
        Fact::WriteKey => {
            let keyed = command.scope == CommandScope::Keyed && !command.key_specs.is_empty();
            let writes = command.key_specs.iter().any(|spec| spec.flags.writes());
            return command.scope != CommandScope::Keyless && (!keyed || writes || is_open(action));
        }
        Fact::Channel => return command.channels != ChannelRule::None,
        _ => return true,
    };
    id.can_have(argument)
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
