//! Commands on sorted sets, except ranges and combinations.

use crate::call::{Arguments, Call};
use crate::failure::{Failure, Outcome};
use crate::sorted_set::{Inserted, SortedSet};

/// Options of ZADD.
#[derive(Default)]
struct AddOptions {
    if_missing: bool,
    if_there: bool,
    if_greater: bool,
    if_less: bool,
    count_changed: bool,
    increment: bool,
}

impl AddOptions {
    /// Reads options from word 2 on; also the place of the first score.
    fn parse(arguments: Arguments<'_>) -> (Self, usize) {
        let mut options = Self::default();
        let mut at = 2;
        while at < arguments.len() {
            match () {
                () if arguments.is(at, "nx") => options.if_missing = true,
                () if arguments.is(at, "xx") => options.if_there = true,
                () if arguments.is(at, "gt") => options.if_greater = true,
                () if arguments.is(at, "lt") => options.if_less = true,
                () if arguments.is(at, "ch") => options.count_changed = true,
                () if arguments.is(at, "incr") => options.increment = true,
                () => break,
            }
            at += 1;
        }
        (options, at)
    }

    fn check(&self, pairs: usize) -> Outcome {
        let text = if self.if_missing && self.if_there {
            "ERR XX and NX options at the same time are not compatible"
        } else if self.if_missing && (self.if_greater || self.if_less)
            || self.if_greater && self.if_less
        {
            "ERR GT, LT, and/or NX options at the same time are not compatible"
        } else if self.increment && pairs > 1 {
            "ERR INCR option supports a single increment-element pair"
        } else {
            return Ok(());
        };
        Err(Failure::new(text))
    }

    /// The score that a member gets; `None` if it stays as it is.
    fn score(&self, before: Option<f64>, given: f64) -> Result<Option<f64>, Failure> {
        let Some(before) = before else {
            return Ok((!self.if_there).then_some(given));
        };
        if self.if_missing {
            return Ok(None);
        }
        let after = if self.increment {
            before + given
        } else {
            given
        };
        if after.is_nan() {
            return Err(Failure::new("ERR resulting score is not a number (NaN)"));
        }
        let stays = self.if_greater && after <= before || self.if_less && after >= before;
        Ok((!stays).then_some(after))
    }
}

pub(crate) fn zadd(call: &mut Call<'_>) -> Outcome {
    let (options, from) = AddOptions::parse(call.arguments);
    add(call, options, from)
}

pub(crate) fn zincrby(call: &mut Call<'_>) -> Outcome {
    // The server reads the options of ZADD here as well, and then misses a word.
    let (mut options, from) = AddOptions::parse(call.arguments);
    options.increment = true;
    add(call, options, from)
}

fn add(call: &mut Call<'_>, options: AddOptions, from: usize) -> Outcome {
    let arguments = call.arguments;
    let words = arguments.len() - from;
    if words == 0 || words % 2 == 1 {
        return Err(Failure::SYNTAX);
    }
    options.check(words / 2)?;
    let mut scores = Vec::with_capacity(words / 2);
    for at in (from..arguments.len()).step_by(2) {
        scores.push(arguments.double(at)?);
    }
    let key = arguments.word(1);
    if options.if_there && call.space.sorted_set(key)?.is_none() {
        if options.increment {
            call.reply.null();
        } else {
            call.reply.count(0);
        }
        return Ok(());
    }
    let set = call.space.sorted_set_or_new(key)?;
    let longest = arguments
        .from(from + 1)
        .step_by(2)
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0);
    set.expect(words / 2, longest);
    let (mut added, mut moved, mut last) = (0, 0, None);
    for (pair, given) in scores.into_iter().enumerate() {
        let member = arguments.word(from + 2 * pair + 1);
        last = options.score(set.score(member), given)?;
        if let Some(score) = last {
            match set.insert(member, score) {
                Inserted::New => added += 1,
                Inserted::Moved => moved += 1,
                Inserted::Same => {}
            }
        }
    }
    if added + moved > 0 {
        call.space.changed(key, added + moved);
    }
    match (options.increment, last) {
        (true, Some(score)) => call.reply.double(score),
        (true, None) => call.reply.null(),
        (false, _) if options.count_changed => call.reply.count(added + moved),
        (false, _) => call.reply.count(added),
    }
    Ok(())
}

pub(crate) fn zrem(call: &mut Call<'_>) -> Outcome {
    let key = call.arguments.word(1);
    let mut removed = 0;
    if let Some(set) = call.space.sorted_set_mut(key)? {
        removed = call
            .arguments
            .from(2)
            .filter(|member| set.remove(member))
            .count();
    }
    after_removal(call, key, removed);
    call.reply.count(removed);
    Ok(())
}

/// Removes the key if its set is empty, records the change.
pub(crate) fn after_removal(call: &mut Call<'_>, key: &[u8], removed: usize) {
    if removed > 0 {
        call.space.remove_if_empty(key);
        call.space.changed(key, removed);
    }
}

pub(crate) fn zcard(call: &mut Call<'_>) -> Outcome {
    let set = call.space.sorted_set(call.arguments.word(1))?;
    call.reply.count(set.map_or(0, SortedSet::len));
    Ok(())
}

pub(crate) fn zscore(call: &mut Call<'_>) -> Outcome {
    let set = call.space.sorted_set(call.arguments.word(1))?;
    match set.and_then(|set| set.score(call.arguments.word(2))) {
        Some(score) => call.reply.double(score),
        None => call.reply.null(),
    }
    Ok(())
}

pub(crate) fn zmscore(call: &mut Call<'_>) -> Outcome {
    let set = call.space.sorted_set(call.arguments.word(1))?;
    call.reply.array(call.arguments.len() - 2);
    for member in call.arguments.from(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => call.reply.double(score),
            None => call.reply.null(),
        }
    }
    Ok(())
}

fn rank(call: &mut Call<'_>, reverse: bool) -> Outcome {
    let arguments = call.arguments;
    if arguments.len() > 4 {
        return Err(Failure::wrong_arity(call.name));
    }
    let with_score = arguments.len() == 4;
    if with_score && !arguments.is(3, "withscore") {
        return Err(Failure::SYNTAX);
    }
    let member = arguments.word(2);
    let found = call.space.sorted_set(arguments.word(1))?.and_then(|set| {
        let rank = set.rank(member)?;
        Some((
            if reverse { set.len() - 1 - rank } else { rank },
            set.score(member)?,
        ))
    });
    match found {
        Some((rank, score)) if with_score => {
            call.reply.array(2);
            call.reply.count(rank);
            call.reply.double(score);
        }
        Some((rank, _)) => call.reply.count(rank),
        None if with_score => call.reply.null_array(),
        None => call.reply.null(),
    }
    Ok(())
}

pub(crate) fn zrank(call: &mut Call<'_>) -> Outcome {
    rank(call, false)
}

pub(crate) fn zrevrank(call: &mut Call<'_>) -> Outcome {
    rank(call, true)
}

/// Which end of a sorted set.
#[derive(Clone, Copy)]
enum End {
    Min,
    Max,
}

impl End {
    /// Takes one member off; the set is not empty.
    fn pop(self, set: &mut SortedSet, mut answer: impl FnMut(&[u8], f64)) {
        let rank = match self {
            Self::Min => 0,
            Self::Max => set.len() - 1,
        };
        if let Some((member, score)) = set.ascending(rank).next() {
            answer(member, score);
        }
        set.remove_ranks(rank, 1);
    }
}

fn pop(call: &mut Call<'_>, end: End) -> Outcome {
    let arguments = call.arguments;
    let key = arguments.word(1);
    let count = match arguments.len() {
        2 => None,
        3 => Some(arguments.count(2)?),
        _ => return Err(Failure::SYNTAX),
    };
    let Some(set) = call.space.sorted_set_mut(key)? else {
        call.reply.array(0);
        return Ok(());
    };
    let reply = &mut call.reply;
    let popped = count.unwrap_or(1).min(set.len());
    if count.is_some() {
        reply.pairs(popped);
    } else {
        reply.array(2);
    }
    for _ in 0..popped {
        end.pop(set, |member, score| {
            if count.is_some() {
                reply.pair();
            }
            reply.bulk(member);
            reply.double(score);
        });
    }
    after_removal(call, key, popped);
    Ok(())
}

pub(crate) fn zpopmin(call: &mut Call<'_>) -> Outcome {
    pop(call, End::Min)
}

pub(crate) fn zpopmax(call: &mut Call<'_>) -> Outcome {
    pop(call, End::Max)
}

pub(crate) fn zmpop(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let at = arguments.end_of_popped_keys()?;
    let end = match () {
        () if arguments.is(at, "min") => End::Min,
        () if arguments.is(at, "max") => End::Max,
        () => return Err(Failure::SYNTAX),
    };
    let count = arguments.pop_count(at + 1)?;
    for key in (2..at).map(|at| arguments.word(at)) {
        if let Some(set) = call.space.sorted_set_mut(key)? {
            let count = count.min(set.len());
            let reply = &mut call.reply;
            reply.array(2);
            reply.bulk(key);
            reply.array(count);
            for _ in 0..count {
                end.pop(set, |member, score| {
                    reply.array(2);
                    reply.bulk(member);
                    reply.double(score);
                });
            }
            after_removal(call, key, count);
            return Ok(());
        }
    }
    call.reply.null_array();
    Ok(())
}

pub(crate) fn zrandmember(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let key = arguments.word(1);
    if arguments.len() == 2 {
        match call.space.sorted_set(key)? {
            None => call.reply.null(),
            Some(set) => call.reply.bulk(set.any_at(call.random.below(set.len())).0),
        }
        return Ok(());
    }
    let count = arguments.random_count(2)?;
    let with_scores = arguments.len() > 3;
    if with_scores {
        if arguments.len() > 4 || !arguments.is(3, "withscores") {
            return Err(Failure::SYNTAX);
        }
        if !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
            return Err(Failure::OUT_OF_RANGE);
        }
    }
    let Some(set) = call.space.sorted_set(key)? else {
        call.reply.array(0);
        return Ok(());
    };
    let chosen: Vec<usize> = match usize::try_from(count) {
        Ok(count) => call.random.distinct_below(set.len(), count),
        Err(_) => (0..count.unsigned_abs())
            .map(|_| call.random.below(set.len()))
            .collect(),
    };
    if with_scores {
        call.reply.pairs(chosen.len());
    } else {
        call.reply.array(chosen.len());
    }
    for at in chosen {
        let (member, score) = set.any_at(at);
        if with_scores {
            call.reply.pair();
        }
        call.reply.bulk(member);
        if with_scores {
            call.reply.double(score);
        }
    }
    Ok(())
}
