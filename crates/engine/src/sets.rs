//! Commands on sets.

use crate::call::Call;
use crate::failure::{Failure, Outcome};
use crate::number::parse_integer;
use crate::space::Space;
use crate::table::Table;
use crate::value::{Set, Value};

pub(crate) fn sadd(call: &mut Call<'_>) -> Outcome {
    let key = call.arguments.word(1);
    let set = call.space.set_or_new(key)?;
    let added = call
        .arguments
        .from(2)
        .filter(|member| set.insert(member, ()).is_none())
        .count();
    if added > 0 {
        call.space.changed(key, added);
    }
    call.reply.count(added);
    Ok(())
}

pub(crate) fn srem(call: &mut Call<'_>) -> Outcome {
    let key = call.arguments.word(1);
    let mut removed = 0;
    if let Some(set) = call.space.set_mut(key)? {
        removed = call
            .arguments
            .from(2)
            .filter(|member| set.remove(member).is_some())
            .count();
    }
    after_removal(call, key, removed);
    call.reply.count(removed);
    Ok(())
}

fn after_removal(call: &mut Call<'_>, key: &[u8], removed: usize) {
    if removed > 0 {
        call.space.remove_if_empty(key);
        call.space.changed(key, removed);
    }
}

pub(crate) fn smove(call: &mut Call<'_>) -> Outcome {
    let (from, to) = (call.arguments.word(1), call.arguments.word(2));
    let member = call.arguments.word(3);
    let there = match call.space.set(from)? {
        None => {
            call.reply.flag(false);
            return Ok(());
        }
        Some(set) => set.contains(member),
    };
    call.space.set(to)?;
    if there && from != to {
        if let Some(set) = call.space.set_mut(from)? {
            set.remove(member);
        }
        after_removal(call, from, 1);
        let new = call.space.set_or_new(to)?.insert(member, ()).is_none();
        call.space.changed(to, usize::from(new));
    }
    call.reply.flag(there);
    Ok(())
}

pub(crate) fn scard(call: &mut Call<'_>) -> Outcome {
    let set = call.space.set(call.arguments.word(1))?;
    call.reply.count(set.map_or(0, |set| set.len()));
    Ok(())
}

pub(crate) fn sismember(call: &mut Call<'_>) -> Outcome {
    let set = call.space.set(call.arguments.word(1))?;
    call.reply
        .flag(set.is_some_and(|set| set.contains(call.arguments.word(2))));
    Ok(())
}

pub(crate) fn smismember(call: &mut Call<'_>) -> Outcome {
    let set = call.space.set(call.arguments.word(1))?;
    call.reply.array(call.arguments.len() - 2);
    for member in call.arguments.from(2) {
        call.reply.flag(set.is_some_and(|set| set.contains(member)));
    }
    Ok(())
}

pub(crate) fn smembers(call: &mut Call<'_>) -> Outcome {
    match call.space.set(call.arguments.word(1))? {
        None => call.reply.set(0),
        Some(set) => {
            call.reply.set(set.len());
            set.iter().for_each(|(member, ())| call.reply.bulk(member));
        }
    }
    Ok(())
}

pub(crate) fn spop(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let key = arguments.word(1);
    match arguments.len() {
        2 => {
            let Some(set) = call.space.set_mut(key)? else {
                call.reply.null();
                return Ok(());
            };
            let at = call.random.below(set.len());
            call.reply.bulk(set.key_at(at));
            set.remove_at(at);
            after_removal(call, key, 1);
        }
        3 => {
            let count = arguments.count(2)?;
            let Some(set) = call.space.set_mut(key)? else {
                call.reply.set(0);
                return Ok(());
            };
            let count = count.min(set.len());
            call.reply.set(count);
            for _ in 0..count {
                let at = call.random.below(set.len());
                call.reply.bulk(set.key_at(at));
                set.remove_at(at);
            }
            after_removal(call, key, count);
        }
        _ => return Err(Failure::SYNTAX),
    }
    Ok(())
}

pub(crate) fn srandmember(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let key = arguments.word(1);
    match arguments.len() {
        2 => match call.space.set(key)? {
            None => call.reply.null(),
            Some(set) => call.reply.bulk(set.key_at(call.random.below(set.len()))),
        },
        3 => {
            let count = arguments.random_count(2)?;
            let Some(set) = call.space.set(key)? else {
                call.reply.array(0);
                return Ok(());
            };
            let chosen: Vec<usize> = match usize::try_from(count) {
                Ok(count) => call.random.distinct_below(set.len(), count),
                Err(_) => (0..-count).map(|_| call.random.below(set.len())).collect(),
            };
            call.reply.array(chosen.len());
            chosen
                .into_iter()
                .for_each(|at| call.reply.bulk(set.key_at(at)));
        }
        _ => return Err(Failure::SYNTAX),
    }
    Ok(())
}

/// What is made of several sets.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Combination {
    Union,
    Intersection,
    Difference,
}

/// Up to so many sets a union asks the earlier ones for each member; for more it remembers members.
const FEW: usize = 8;

/// The sets of some keys; `None` for one that is not there.
fn sets_of<'s>(space: &'s Space<'_>, keys: &[&[u8]]) -> Result<Vec<Option<&'s Set>>, Failure> {
    let set_of = |key: &&[u8]| match space.peek(key) {
        None => Ok(None),
        Some(Value::Set(set)) => Ok(Some(&**set)),
        Some(_) => Err(Failure::WRONG_TYPE),
    };
    keys.iter().map(set_of).collect()
}

/// Visits the members that several sets combine to, until `visit` says that it is enough.
fn combine<'s>(
    mut sets: Vec<Option<&'s Set>>,
    combination: Combination,
    mut visit: impl FnMut(&'s [u8]) -> bool,
) {
    match combination {
        Combination::Union if sets.len() > FEW => {
            let Some(first) = sets.iter().flatten().next() else {
                return;
            };
            let mut seen = Table::new(first.hash_key());
            for set in sets.into_iter().flatten() {
                for (member, ()) in set.iter() {
                    if seen.insert(member, ()).is_none() && !visit(member) {
                        return;
                    }
                }
            }
        }
        Combination::Union => {
            let mut seen: Vec<&Set> = Vec::new();
            for set in sets.into_iter().flatten() {
                for (member, ()) in set.iter() {
                    if !seen.iter().any(|earlier| earlier.contains(member)) && !visit(member) {
                        return;
                    }
                }
                seen.push(set);
            }
        }
        Combination::Intersection => {
            let Some(mut sets) = sets.into_iter().collect::<Option<Vec<_>>>() else {
                return;
            };
            sets.sort_by_key(|set| set.len());
            let Some((least, others)) = sets.split_first() else {
                return;
            };
            for (member, ()) in least.iter() {
                if others.iter().all(|other| other.contains(member)) && !visit(member) {
                    return;
                }
            }
        }
        Combination::Difference => {
            let Some(first) = sets.remove(0) else {
                return;
            };
            for (member, ()) in first.iter() {
                if !sets.iter().flatten().any(|other| other.contains(member)) && !visit(member) {
                    return;
                }
            }
        }
    }
}

fn answer(call: &mut Call<'_>, combination: Combination) -> Outcome {
    let keys: Vec<&[u8]> = call.arguments.from(1).collect();
    let mut members: Vec<&[u8]> = Vec::new();
    combine(sets_of(&call.space, &keys)?, combination, |member| {
        members.push(member);
        true
    });
    call.reply.set(members.len());
    members
        .into_iter()
        .for_each(|member| call.reply.bulk(member));
    Ok(())
}

fn store(call: &mut Call<'_>, combination: Combination) -> Outcome {
    let to = call.arguments.word(1);
    let keys: Vec<&[u8]> = call.arguments.from(2).collect();
    let mut result = Table::new(call.space.keyspace().hash_key());
    combine(sets_of(&call.space, &keys)?, combination, |member| {
        result.insert(member, ());
        true
    });
    let count = result.len();
    if count > 0 {
        call.space.put(to, Value::Set(Box::new(result)));
        call.space.changed(to, 1);
    } else if call.space.remove(to) {
        call.space.changed(to, 1);
    }
    call.reply.count(count);
    Ok(())
}

pub(crate) fn sunion(call: &mut Call<'_>) -> Outcome {
    answer(call, Combination::Union)
}

pub(crate) fn sinter(call: &mut Call<'_>) -> Outcome {
    answer(call, Combination::Intersection)
}

pub(crate) fn sdiff(call: &mut Call<'_>) -> Outcome {
    answer(call, Combination::Difference)
}

pub(crate) fn sunionstore(call: &mut Call<'_>) -> Outcome {
    store(call, Combination::Union)
}

pub(crate) fn sinterstore(call: &mut Call<'_>) -> Outcome {
    store(call, Combination::Intersection)
}

pub(crate) fn sdiffstore(call: &mut Call<'_>) -> Outcome {
    store(call, Combination::Difference)
}

pub(crate) fn sintercard(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let (keys, limit) = keys_and_limit(call)?;
    let keys: Vec<&[u8]> = keys.map(|at| arguments.word(at)).collect();
    let mut count = 0;
    combine(
        sets_of(&call.space, &keys)?,
        Combination::Intersection,
        |_| {
            count += 1;
            count != limit
        },
    );
    call.reply.count(count);
    Ok(())
}

/// Words of SINTERCARD and ZINTERCARD: the keys, and the limit, which is 0 if there is none.
pub(crate) fn keys_and_limit(call: &Call<'_>) -> Result<(std::ops::Range<usize>, usize), Failure> {
    let arguments = call.arguments;
    let count = arguments.at_least_one(1, "ERR numkeys should be greater than 0")?;
    if count > arguments.len() - 2 {
        return Err(Failure::new(
            "ERR Number of keys can't be greater than number of args",
        ));
    }
    let mut limit = 0;
    let mut at = 2 + count;
    while at < arguments.len() {
        if !arguments.is(at, "limit") || at + 1 == arguments.len() {
            return Err(Failure::SYNTAX);
        }
        let value = parse_integer(arguments.word(at + 1)).filter(|value| *value >= 0);
        let value = value.ok_or(Failure::new("ERR LIMIT can't be negative"))?;
        limit = usize::try_from(value).unwrap_or(usize::MAX);
        at += 2;
    }
    Ok((2..2 + count, limit))
}
