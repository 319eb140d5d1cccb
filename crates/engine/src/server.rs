//! Commands about the server as a whole, and about the connection where a transaction needs them.

use crate::call::Call;
use crate::engine::DATABASES;
use crate::failure::{Failure, Outcome};
use crate::glob;
use crate::number::{IntegerText, parse_integer};
use std::fmt::Write;

/// What `INFO` tells of the engine itself.
pub(crate) struct ServerState {
    /// Unix time in milliseconds.
    pub(crate) started_at: i64,
    /// Commands run so far.
    pub(crate) commands: u64,
}

/// Settings that clients ask for, with the values that are true of this engine.
const CONFIGURATION: &[(&str, &str)] = &[
    ("appendonly", "no"),
    ("databases", "16"),
    ("maxmemory", "0"),
    ("maxmemory-policy", "noeviction"),
    ("proto-max-bulk-len", "536870912"),
    ("save", ""),
];

pub(crate) fn ping(call: &mut Call<'_>) -> Outcome {
    match call.arguments.len() {
        1 => call.reply.simple("PONG"),
        2 => call.reply.bulk(call.arguments.word(1)),
        _ => return Err(Failure::wrong_arity(call.name)),
    }
    Ok(())
}

pub(crate) fn echo(call: &mut Call<'_>) -> Outcome {
    call.reply.bulk(call.arguments.word(1));
    Ok(())
}

pub(crate) fn select(call: &mut Call<'_>) -> Outcome {
    let number = call.arguments.int(1)?;
    if !call.space.select(number) {
        return Err(Failure::DATABASE_OUT_OF_RANGE);
    }
    call.reply.ok();
    Ok(())
}

pub(crate) fn time(call: &mut Call<'_>) -> Outcome {
    let now = call.space.now();
    call.reply.array(2);
    call.reply
        .bulk(IntegerText::new(now.div_euclid(1000)).as_bytes());
    call.reply
        .bulk(IntegerText::new(now.rem_euclid(1000) * 1000).as_bytes());
    Ok(())
}

pub(crate) fn dbsize(call: &mut Call<'_>) -> Outcome {
    let now = call.space.now();
    let keyspace = call.space.keyspace_mut();
    keyspace.expire_some(now, usize::MAX);
    call.reply.count(keyspace.len());
    Ok(())
}

pub(crate) fn flushdb(call: &mut Call<'_>) -> Outcome {
    check_flush_mode(call)?;
    let keys = call.space.keyspace().len();
    call.space.keyspace_mut().clear();
    call.space.changed_many(keys);
    call.reply.ok();
    Ok(())
}

pub(crate) fn flushall(call: &mut Call<'_>) -> Outcome {
    check_flush_mode(call)?;
    let mut keys = 0;
    for keyspace in call.space.keyspaces() {
        keys += keyspace.len();
        keyspace.clear();
    }
    // The server counts one more, so that an empty one is saved as well.
    call.space.changed_many(keys + 1);
    call.reply.ok();
    Ok(())
}

fn check_flush_mode(call: &Call<'_>) -> Outcome {
    let arguments = call.arguments;
    match arguments.len() {
        1 => Ok(()),
        2 if arguments.is(1, "sync") || arguments.is(1, "async") => Ok(()),
        _ => Err(Failure::SYNTAX),
    }
}

pub(crate) fn swapdb(call: &mut Call<'_>) -> Outcome {
    let number = |at, what| {
        parse_integer(call.arguments.word(at))
            .filter(|number| i32::try_from(*number).is_ok())
            .ok_or(Failure::new(what))
    };
    let first = number(1, "ERR invalid first DB index")?;
    let second = number(2, "ERR invalid second DB index")?;
    let (Some(first), Some(second)) = (database(first), database(second)) else {
        return Err(Failure::DATABASE_OUT_OF_RANGE);
    };
    if let Ok([first, second]) = call.space.keyspaces().get_disjoint_mut([first, second]) {
        first.swap_keys(second);
    }
    call.space.changed_many(1);
    call.reply.ok();
    Ok(())
}

/// Number of a keyspace, if there is one of that number.
pub(crate) fn database(number: i64) -> Option<usize> {
    usize::try_from(number)
        .ok()
        .filter(|number| *number < DATABASES)
}

pub(crate) fn config_get(call: &mut Call<'_>) -> Outcome {
    let mut found: Vec<(&[u8], &str)> = Vec::new();
    for asked in call.arguments.from(2) {
        let pattern = asked.iter().any(|byte| b"*?[".contains(byte));
        for (name, value) in CONFIGURATION {
            let name = name.as_bytes();
            // A name comes back as it was asked for, whatever its letters.
            let matches = match pattern {
                true => glob::matches(&asked.to_ascii_lowercase(), name).then_some(name),
                false => asked.eq_ignore_ascii_case(name).then_some(asked),
            };
            match matches {
                Some(name) if !found.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) => {
                    found.push((name, value));
                }
                _ => {}
            }
        }
    }
    call.reply.map(found.len());
    for (name, value) in found {
        call.reply.bulk(name);
        call.reply.bulk(value.as_bytes());
    }
    Ok(())
}

pub(crate) fn info(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let everything = arguments.len() == 1
        || (1..arguments.len()).any(|at| {
            ["all", "everything", "default"]
                .iter()
                .any(|name| arguments.is(at, name))
        });
    let mut text = String::new();
    for (name, write) in SECTIONS {
        if everything || (1..arguments.len()).any(|at| arguments.is(at, name)) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            write(call, &mut text);
        }
    }
    call.reply.verbatim(&text);
    Ok(())
}

type WriteSection = fn(&mut Call<'_>, &mut String);

const SECTIONS: &[(&str, WriteSection)] = &[
    ("server", server_section),
    ("memory", memory_section),
    ("persistence", persistence_section),
    ("stats", stats_section),
    ("replication", replication_section),
    ("keyspace", keyspace_section),
];

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{name}:{value}\r\n");
}

fn server_section(call: &mut Call<'_>, text: &mut String) {
    let now = call.space.now();
    let uptime = now.saturating_sub(call.server.started_at).max(0) / 1000;
    text.push_str("# Server\r\n");
    line(text, "redis_version", "7.2.4");
    line(text, "server_name", "keyward");
    line(text, "keyward_version", env!("CARGO_PKG_VERSION"));
    line(text, "redis_mode", "standalone");
    line(text, "server_mode", "standalone");
    line(text, "arch_bits", usize::BITS);
    line(text, "server_time_usec", now.saturating_mul(1000));
    line(text, "uptime_in_seconds", uptime);
    line(text, "uptime_in_days", uptime / 86_400);
}

fn memory_section(call: &mut Call<'_>, text: &mut String) {
    let bytes: usize = call
        .space
        .keyspaces()
        .iter()
        .map(|keyspace| keyspace.bytes())
        .sum();
    text.push_str("# Memory\r\n");
    line(text, "used_memory", bytes);
    line(text, "maxmemory", 0);
    line(text, "maxmemory_policy", "noeviction");
}

fn persistence_section(_: &mut Call<'_>, text: &mut String) {
    text.push_str("# Persistence\r\n");
    line(text, "loading", 0);
    line(text, "aof_enabled", 0);
}

fn stats_section(call: &mut Call<'_>, text: &mut String) {
    let expired: u64 = call
        .space
        .keyspaces()
        .iter()
        .map(|keyspace| keyspace.expired())
        .sum();
    text.push_str("# Stats\r\n");
    line(text, "total_commands_processed", call.server.commands);
    line(text, "expired_keys", expired);
    line(text, "evicted_keys", 0);
}

fn replication_section(_: &mut Call<'_>, text: &mut String) {
    text.push_str("# Replication\r\n");
    line(text, "role", "master");
    line(text, "connected_slaves", 0);
}

fn keyspace_section(call: &mut Call<'_>, text: &mut String) {
    let now = call.space.now();
    text.push_str("# Keyspace\r\n");
    for (number, keyspace) in call.space.keyspaces().iter().enumerate() {
        if keyspace.len() > 0 {
            let (keys, expires) = (keyspace.len(), keyspace.volatile());
            let mean = keyspace.mean_time_to_live(now);
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "db{number}:keys={keys},expires={expires},avg_ttl={mean}\r\n"
            );
        }
    }
}
