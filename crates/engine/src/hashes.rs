//! Commands on hashes.

use crate::call::Call;
use crate::extended::{Extended, Parsed};
use crate::failure::{Failure, Outcome};
use crate::number::{IntegerText, parse_integer};
use crate::strings::add_floats;

pub(crate) fn hset(call: &mut Call<'_>) -> Outcome {
    let added = set_fields(call)?;
    call.reply.count(added);
    Ok(())
}

pub(crate) fn hmset(call: &mut Call<'_>) -> Outcome {
    set_fields(call)?;
    call.reply.ok();
    Ok(())
}

/// Sets the fields of HSET and HMSET; how many are new.
fn set_fields(call: &mut Call<'_>) -> Result<usize, Failure> {
    let arguments = call.arguments;
    if arguments.len() % 2 == 1 {
        return Err(Failure::wrong_arity(call.name));
    }
    let key = arguments.word(1);
    let hash = call.space.hash_or_new(key)?;
    let before = hash.len();
    for at in (2..arguments.len()).step_by(2) {
        hash.insert(arguments.word(at), arguments.word(at + 1).into());
    }
    let added = hash.len() - before;
    call.space.changed(key, (arguments.len() - 2) / 2);
    Ok(added)
}

pub(crate) fn hsetnx(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let (key, field) = (arguments.word(1), arguments.word(2));
    let hash = call.space.hash_or_new(key)?;
    let new = !hash.contains(field);
    if new {
        hash.insert(field, arguments.word(3).into());
        call.space.changed(key, 1);
    }
    call.reply.flag(new);
    Ok(())
}

pub(crate) fn hget(call: &mut Call<'_>) -> Outcome {
    let hash = call.space.hash(call.arguments.word(1))?;
    let value = hash.and_then(|hash| hash.get(call.arguments.word(2)));
    call.reply.bulk_or_null(value.map(|value| &**value));
    Ok(())
}

pub(crate) fn hmget(call: &mut Call<'_>) -> Outcome {
    let hash = call.space.hash(call.arguments.word(1))?;
    call.reply.array(call.arguments.len() - 2);
    for field in call.arguments.from(2) {
        let value = hash.and_then(|hash| hash.get(field));
        call.reply.bulk_or_null(value.map(|value| &**value));
    }
    Ok(())
}

pub(crate) fn hdel(call: &mut Call<'_>) -> Outcome {
    let key = call.arguments.word(1);
    let mut removed = 0;
    if let Some(hash) = call.space.hash_mut(key)? {
        removed = call
            .arguments
            .from(2)
            .filter(|field| hash.remove(field).is_some())
            .count();
        if hash.is_empty() {
            call.space.remove_if_empty(key);
        }
    }
    if removed > 0 {
        call.space.changed(key, removed);
    }
    call.reply.count(removed);
    Ok(())
}

pub(crate) fn hlen(call: &mut Call<'_>) -> Outcome {
    let hash = call.space.hash(call.arguments.word(1))?;
    call.reply.count(hash.map_or(0, |hash| hash.len()));
    Ok(())
}

pub(crate) fn hstrlen(call: &mut Call<'_>) -> Outcome {
    let hash = call.space.hash(call.arguments.word(1))?;
    let value = hash.and_then(|hash| hash.get(call.arguments.word(2)));
    call.reply.count(value.map_or(0, |value| value.len()));
    Ok(())
}

pub(crate) fn hexists(call: &mut Call<'_>) -> Outcome {
    let hash = call.space.hash(call.arguments.word(1))?;
    call.reply
        .flag(hash.is_some_and(|hash| hash.contains(call.arguments.word(2))));
    Ok(())
}

pub(crate) fn hgetall(call: &mut Call<'_>) -> Outcome {
    match call.space.hash(call.arguments.word(1))? {
        None => call.reply.map(0),
        Some(hash) => {
            call.reply.map(hash.len());
            for (field, value) in hash.iter() {
                call.reply.bulk(field);
                call.reply.bulk(value);
            }
        }
    }
    Ok(())
}

pub(crate) fn hkeys(call: &mut Call<'_>) -> Outcome {
    match call.space.hash(call.arguments.word(1))? {
        None => call.reply.array(0),
        Some(hash) => {
            call.reply.array(hash.len());
            hash.iter().for_each(|(field, _)| call.reply.bulk(field));
        }
    }
    Ok(())
}

pub(crate) fn hvals(call: &mut Call<'_>) -> Outcome {
    match call.space.hash(call.arguments.word(1))? {
        None => call.reply.array(0),
        Some(hash) => {
            call.reply.array(hash.len());
            hash.iter().for_each(|(_, value)| call.reply.bulk(value));
        }
    }
    Ok(())
}

pub(crate) fn hincrby(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let (key, field) = (arguments.word(1), arguments.word(2));
    let by = arguments.integer(3)?;
    let before = match call.space.hash(key)?.and_then(|hash| hash.get(field)) {
        None => 0,
        Some(value) => {
            parse_integer(value).ok_or(Failure::new("ERR hash value is not an integer"))?
        }
    };
    let value = before.checked_add(by).ok_or(Failure::OVERFLOW)?;
    call.space
        .hash_or_new(key)?
        .insert(field, IntegerText::new(value).as_bytes().into());
    call.space.changed(key, 1);
    call.reply.integer(value);
    Ok(())
}

pub(crate) fn hincrbyfloat(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let (key, field, by) = (arguments.word(1), arguments.word(2), arguments.word(3));
    match Extended::parse(by) {
        None => return Err(Failure::NOT_A_FLOAT),
        Some(Parsed::Infinite) => return Err(Failure::new("ERR value is NaN or Infinity")),
        Some(Parsed::Finite(_)) => {}
    }
    let before = call.space.hash(key)?.and_then(|hash| hash.get(field));
    let not_a_float = Failure::new("ERR hash value is not a float");
    let value = add_floats(before.map(|value| &**value), by, not_a_float)?;
    call.space
        .hash_or_new(key)?
        .insert(field, value.as_bytes().into());
    call.space.changed(key, 1);
    call.reply.bulk(value.as_bytes());
    Ok(())
}

pub(crate) fn hrandfield(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let key = arguments.word(1);
    if arguments.len() == 2 {
        match call.space.hash(key)? {
            None => call.reply.null(),
            Some(hash) => call.reply.bulk(hash.key_at(call.random.below(hash.len()))),
        }
        return Ok(());
    }
    let count = arguments.random_count(2)?;
    let with_values = arguments.len() > 3;
    if with_values {
        if arguments.len() > 4 || !arguments.is(3, "withvalues") {
            return Err(Failure::SYNTAX);
        }
        if !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
            return Err(Failure::OUT_OF_RANGE);
        }
    }
    let Some(hash) = call.space.hash(key)? else {
        call.reply.array(0);
        return Ok(());
    };
    let chosen: Vec<usize> = match usize::try_from(count) {
        Ok(count) => call.random.distinct_below(hash.len(), count),
        Err(_) => (0..count.unsigned_abs())
            .map(|_| call.random.below(hash.len()))
            .collect(),
    };
    if with_values {
        call.reply.pairs(chosen.len());
        for at in chosen {
            call.reply.pair();
            call.reply.bulk(hash.key_at(at));
            call.reply.bulk(hash.value_at(at));
        }
    } else {
        call.reply.array(chosen.len());
        for at in chosen {
            call.reply.bulk(hash.key_at(at));
        }
    }
    Ok(())
}
