//! `COMMAND` and its subcommands, from our own catalogue: for the embedded engine. A server
//! answers for itself.

use keyward_commands::{
    BeginSearch, Categories, Command, CommandId, FindKeys, Flags, Touched, Words as _, by_name,
    resolve, touched,
};
use keyward_resp::{Protocol, encode};

use super::words::RequestWords;

/// Appends the reply to `COMMAND …`.
pub(crate) fn answer(words: RequestWords<'_>, protocol: Protocol, out: &mut Vec<u8>) {
    let Some(subcommand) = words.get(1) else {
        let all: Vec<_> = top_level().collect();
        encode::array(out, all.len());
        all.into_iter().for_each(|name| info(name, protocol, out));
        return;
    };
    match subcommand.to_ascii_lowercase().as_slice() {
        b"count" => encode::integer(out, i64::try_from(top_level().count()).unwrap_or(i64::MAX)),
        b"list" => list(words, out),
        b"info" if words.len() == 2 => {
            let all: Vec<_> = top_level().collect();
            encode::array(out, all.len());
            all.into_iter().for_each(|name| info(name, protocol, out));
        }
        b"info" => {
            encode::array(out, words.len() - 2);
            for name in words.from(2) {
                match known(name) {
                    Some(name) => info(name, protocol, out),
                    None => encode::null_array(out, protocol),
                }
            }
        }
        b"docs" => docs(words, protocol, out),
        b"getkeys" => keys(words, false, protocol, out),
        b"getkeysandflags" => keys(words, true, protocol, out),
        _ => encode::error(out, "ERR keyward: not available on the embedded engine"),
    }
}

/// Names of the commands without their subcommands.
fn top_level() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    CommandId::all().filter_map(move |id| {
        let name = id.command().name;
        let name = name.split('|').next().unwrap_or(name);
        let new = name != last;
        last = name;
        new.then_some(name)
    })
}

/// A command or container of this name in any letter case.
fn known(name: &[u8]) -> Option<&'static str> {
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    match by_name(&name) {
        Some(id) => Some(id.command().name),
        None => top_level().find(|container| *container == name),
    }
}

fn subcommands(name: &str) -> impl Iterator<Item = CommandId> {
    CommandId::all().filter(move |id| {
        id.command()
            .name
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('|'))
    })
}

/// First key, last key and step, as servers told them before key specifications.
fn key_range(command: &Command) -> (i64, i64, i64) {
    let Some(spec) = command.key_specs.first() else {
        return (0, 0, 0);
    };
    let (
        BeginSearch::Index(first),
        FindKeys::Range {
            last,
            step,
            limit: 0 | 1,
        },
    ) = (spec.begin, spec.find)
    else {
        return (0, 0, 0);
    };
    let first = i64::from(first);
    let last = if i64::from(last) < 0 {
        i64::from(last)
    } else {
        first + i64::from(last)
    };
    (first, last, i64::from(step))
}

fn info(name: &'static str, protocol: Protocol, out: &mut Vec<u8>) {
    let own = by_name(name).map(CommandId::command);
    encode::array(out, 10);
    encode::bulk(out, name.as_bytes());
    encode::integer(out, own.map_or(-2, |command| i64::from(command.arity)));
    let flags: Vec<_> = own
        .map(|command| command.flags.names().collect())
        .unwrap_or_default();
    encode::set(out, protocol, flags.len());
    flags.iter().for_each(|flag| encode::simple(out, flag));
    let (first, last, step) = own.map_or((0, 0, 0), key_range);
    [first, last, step]
        .iter()
        .for_each(|value| encode::integer(out, *value));
    let categories: Vec<_> = own
        .map(|command| command.categories.names().collect())
        .unwrap_or_default();
    encode::set(out, protocol, categories.len());
    categories
        .iter()
        .for_each(|category| encode::simple(out, format!("@{category}")));
    encode::array(out, 0); // tips
    encode::array(out, 0); // key specifications: `COMMAND GETKEYS` tells
    let below: Vec<_> = match own.is_some_and(|command| command.name.contains('|')) {
        true => Vec::new(),
        false => subcommands(name).collect(),
    };
    encode::array(out, below.len());
    below
        .into_iter()
        .for_each(|id| info(id.command().name, protocol, out));
}

fn list(words: RequestWords<'_>, out: &mut Vec<u8>) {
    let all = || CommandId::all().map(CommandId::command);
    let names: Vec<_> = if words.len() == 2 {
        top_level().collect()
    } else if words.len() == 5 && words.is(2, "FILTERBY") && words.is(3, "ACLCAT") {
        let asked = words.word(4);
        let category =
            Categories::all().find(|(_, name)| asked.eq_ignore_ascii_case(name.as_bytes()));
        let category = category.map(|(category, _)| category);
        all()
            .filter(|command| category.is_some_and(|asked| command.categories.contains(asked)))
            .map(|command| command.name)
            .collect()
    } else if words.len() == 5 && words.is(2, "FILTERBY") && words.is(3, "PATTERN") {
        let pattern = keyward_policy::Glob::new(&words.word(4).to_ascii_lowercase());
        all()
            .map(|command| command.name)
            .filter(|name| pattern.matches(name.as_bytes()))
            .collect()
    } else if words.len() == 5 && words.is(2, "FILTERBY") && words.is(3, "MODULE") {
        Vec::new()
    } else {
        encode::error(out, "ERR syntax error");
        return;
    };
    encode::array(out, names.len());
    names
        .iter()
        .for_each(|name| encode::bulk(out, name.as_bytes()));
}

fn docs(words: RequestWords<'_>, protocol: Protocol, out: &mut Vec<u8>) {
    let names: Vec<_> = match words.len() {
        2 => top_level().collect(),
        _ => words.from(2).filter_map(known).collect(),
    };
    encode::map(out, protocol, names.len());
    names.into_iter().for_each(|name| doc(name, protocol, out));
}

fn doc(name: &'static str, protocol: Protocol, out: &mut Vec<u8>) {
    encode::bulk(out, name.as_bytes());
    let below: Vec<_> = subcommands(name).collect();
    let first = by_name(name)
        .or(below.first().copied())
        .map(CommandId::command);
    encode::map(out, protocol, 2 + usize::from(!below.is_empty()));
    let (since, group) = first.map_or(("", ""), |command| (command.since, command.group));
    for (field, value) in [("since", since), ("group", group)] {
        encode::bulk(out, field.as_bytes());
        encode::bulk(out, value.as_bytes());
    }
    if !below.is_empty() {
        encode::bulk(out, b"subcommands");
        encode::map(out, protocol, below.len());
        below
            .into_iter()
            .for_each(|id| doc(id.command().name, protocol, out));
    }
}

fn keys(words: RequestWords<'_>, with_flags: bool, protocol: Protocol, out: &mut Vec<u8>) {
    let inner: Vec<&[u8]> = words.from(2).collect();
    let Ok(command) = resolve(&inner) else {
        return encode::error(out, "ERR Invalid command specified");
    };
    if !command.command().arity_fits(inner.len()) {
        return encode::error(out, "ERR Invalid number of arguments specified for command");
    }
    let mut found = Touched::default();
    match touched(command, &inner, &mut found) {
        Err(_) => encode::error(out, "ERR Invalid arguments specified for command"),
        Ok(())
            if found.keys.is_empty() && !command.command().flags.contains(Flags::MOVABLEKEYS) =>
        {
            encode::error(out, "ERR The command has no key arguments");
        }
        Ok(()) => {
            encode::array(out, found.keys.len());
            for key in &found.keys {
                let word = inner[key.word as usize];
                if !with_flags {
                    encode::bulk(out, word);
                    continue;
                }
                let flags: Vec<_> = key.flags.names().collect();
                encode::array(out, 2);
                encode::bulk(out, word);
                encode::set(out, protocol, flags.len());
                flags.iter().for_each(|flag| encode::simple(out, flag));
            }
        }
    }
}
