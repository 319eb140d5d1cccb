//! Commands on keys of any type.

use crate::call::Call;
use crate::failure::{Failure, Outcome};
use crate::glob;
use crate::server::database;
use crate::value::Value;

pub(crate) fn del(call: &mut Call<'_>) -> Outcome {
    let mut removed = 0;
    for key in call.arguments.from(1) {
        if call.space.remove(key) {
            call.space.changed(key, 1);
            removed += 1;
        }
    }
    call.reply.count(removed);
    Ok(())
}

pub(crate) fn exists(call: &mut Call<'_>) -> Outcome {
    let count = call
        .arguments
        .from(1)
        .filter(|key| call.space.contains(key))
        .count();
    call.reply.count(count);
    Ok(())
}

pub(crate) fn type_of(call: &mut Call<'_>) -> Outcome {
    let at = call.space.find(call.arguments.word(1));
    call.reply
        .simple(at.map_or("none", |at| call.space.value_at(at).type_name()));
    Ok(())
}

pub(crate) fn rename(call: &mut Call<'_>) -> Outcome {
    rename_unless(call, false)?;
    call.reply.ok();
    Ok(())
}

pub(crate) fn renamenx(call: &mut Call<'_>) -> Outcome {
    let done = rename_unless(call, true)?;
    call.reply.flag(done);
    Ok(())
}

/// Renames, unless the new name is taken and `keep` says that it stays; whether it did.
fn rename_unless(call: &mut Call<'_>, keep: bool) -> Result<bool, Failure> {
    let (from, to) = (call.arguments.word(1), call.arguments.word(2));
    if !call.space.contains(from) {
        return Err(Failure::NO_SUCH_KEY);
    }
    if from == to {
        return Ok(false);
    }
    if keep && call.space.contains(to) {
        return Ok(false);
    }
    call.space.remove(to);
    // Looked for again: removal gives numbers to other keys.
    let at = call.space.find(from).ok_or(Failure::NO_SUCH_KEY)?;
    let deadline = call.space.keyspace().deadline_at(at);
    let value = call.space.keyspace_mut().remove_at(at);
    let at = call.space.put(to, value);
    call.space.keyspace_mut().set_deadline(at, deadline);
    call.space.changed(from, 1);
    call.space.changed(to, 0);
    Ok(true)
}

pub(crate) fn copy(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let (from, to) = (arguments.word(1), arguments.word(2));
    let (mut replace, mut target) = (false, call.space.selected());
    let mut at = 3;
    while at < arguments.len() {
        if arguments.is(at, "replace") {
            replace = true;
        } else if arguments.is(at, "db") && at + 1 < arguments.len() {
            target = database(arguments.int(at + 1)?).ok_or(Failure::DATABASE_OUT_OF_RANGE)?;
            at += 1;
        } else {
            return Err(Failure::SYNTAX);
        }
        at += 1;
    }
    if target == call.space.selected() && from == to {
        return Err(Failure::SAME_OBJECT);
    }
    let Some(at) = call.space.find(from) else {
        call.reply.flag(false);
        return Ok(());
    };
    let deadline = call.space.keyspace().deadline_at(at);
    let now = call.space.now();
    let taken = call.space.keyspaces()[target].find(to, now);
    if taken.is_some() && !replace {
        call.reply.flag(false);
        return Ok(());
    }
    let value = call
        .space
        .find(from)
        .map(|at| call.space.value_at(at).clone());
    let value = value.ok_or(Failure::NO_SUCH_KEY)?;
    put(call, target, to, value, deadline);
    call.reply.flag(true);
    Ok(())
}

/// Sets a key of any keyspace.
fn put(call: &mut Call<'_>, database: usize, key: &[u8], value: Value, deadline: i64) {
    let now = call.space.now();
    let keyspace = &mut call.space.keyspaces()[database];
    if let Some(at) = keyspace.find(key, now) {
        keyspace.remove_at(at);
    }
    let at = keyspace.add(key, value);
    keyspace.set_deadline(at, deadline);
    keyspace.touch(key);
    call.space.changed_many(1);
}

pub(crate) fn move_key(call: &mut Call<'_>) -> Outcome {
    let key = call.arguments.word(1);
    let target = database(call.arguments.int(2)?).ok_or(Failure::DATABASE_OUT_OF_RANGE)?;
    if target == call.space.selected() {
        return Err(Failure::SAME_OBJECT);
    }
    let now = call.space.now();
    let taken = call.space.keyspaces()[target].find(key, now).is_some();
    let moved = match call.space.find(key) {
        Some(at) if !taken => {
            let deadline = call.space.keyspace().deadline_at(at);
            let value = call.space.keyspace_mut().remove_at(at);
            call.space.changed(key, 0);
            put(call, target, key, value, deadline);
            true
        }
        _ => false,
    };
    call.reply.flag(moved);
    Ok(())
}

pub(crate) fn keys(call: &mut Call<'_>) -> Outcome {
    let pattern = call.arguments.word(1);
    let now = call.space.now();
    let items = call.space.keyspace().items();
    let found: Vec<&[u8]> = items
        .filter(|(key, item)| item.lives(now) && glob::matches(pattern, key))
        .map(|(key, _)| key)
        .collect();
    call.reply.array(found.len());
    for key in found {
        call.reply.bulk(key);
    }
    Ok(())
}

pub(crate) fn randomkey(call: &mut Call<'_>) -> Outcome {
    // Ends: each round removes a key or answers.
    while call.space.keyspace().len() > 0 {
        let at = call.random.below(call.space.keyspace().len());
        let now = call.space.now();
        if call.space.keyspace_mut().remove_if_over(at, now) {
            continue;
        }
        call.reply.bulk(call.space.keyspace().key_at(at));
        return Ok(());
    }
    call.reply.null();
    Ok(())
}
