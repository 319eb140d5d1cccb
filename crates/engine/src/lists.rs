//! Commands on lists.

use crate::call::{Arguments, Call, index_range};
use crate::failure::{Failure, Outcome};
use crate::number::parse_integer;
use crate::value::List;

/// An end of a list.
#[derive(Clone, Copy, Eq, PartialEq)]
enum End {
    Left,
    Right,
}

impl End {
    fn parse(arguments: Arguments<'_>, at: usize) -> Result<Self, Failure> {
        match () {
            () if arguments.is(at, "left") => Ok(Self::Left),
            () if arguments.is(at, "right") => Ok(Self::Right),
            () => Err(Failure::SYNTAX),
        }
    }

    fn push(self, list: &mut List, element: Box<[u8]>) {
        match self {
            Self::Left => list.push_front(element),
            Self::Right => list.push_back(element),
        }
    }

    fn pop(self, list: &mut List) -> Option<Box<[u8]>> {
        match self {
            Self::Left => list.pop_front(),
            Self::Right => list.pop_back(),
        }
    }
}

/// Place of an element that an index means; negative ones count from the end.
fn place(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 {
        index.saturating_add(len as i64)
    } else {
        index
    };
    usize::try_from(index).ok().filter(|at| *at < len)
}

fn push(call: &mut Call<'_>, end: End, only_if_there: bool) -> Outcome {
    let arguments = call.arguments;
    let key = arguments.word(1);
    if only_if_there && call.space.list(key)?.is_none() {
        call.reply.count(0);
        return Ok(());
    }
    let list = call.space.list_or_new(key)?;
    arguments
        .from(2)
        .for_each(|element| end.push(list, element.into()));
    let len = list.len();
    call.space.changed(key, arguments.len() - 2);
    call.reply.count(len);
    Ok(())
}

pub(crate) fn lpush(call: &mut Call<'_>) -> Outcome {
    push(call, End::Left, false)
}

pub(crate) fn rpush(call: &mut Call<'_>) -> Outcome {
    push(call, End::Right, false)
}

pub(crate) fn lpushx(call: &mut Call<'_>) -> Outcome {
    push(call, End::Left, true)
}

pub(crate) fn rpushx(call: &mut Call<'_>) -> Outcome {
    push(call, End::Right, true)
}

fn pop(call: &mut Call<'_>, end: End) -> Outcome {
    let arguments = call.arguments;
    if arguments.len() > 3 {
        return Err(Failure::wrong_arity(call.name));
    }
    let key = arguments.word(1);
    let count = if arguments.len() == 3 {
        Some(arguments.count(2)?)
    } else {
        None
    };
    let Some(list) = call.space.list_mut(key)? else {
        match count {
            None => call.reply.null(),
            Some(_) => call.reply.null_array(),
        }
        return Ok(());
    };
    let popped = match count {
        None => {
            let element = end.pop(list);
            call.reply.bulk_or_null(element.as_deref());
            1
        }
        Some(count) => {
            let count = count.min(list.len());
            call.reply.array(count);
            for _ in 0..count {
                call.reply.bulk_or_null(end.pop(list).as_deref());
            }
            count
        }
    };
    after_removal(call, key, popped);
    Ok(())
}

/// Gives memory back, removes the key if its list is empty, records the change.
fn after_removal(call: &mut Call<'_>, key: &[u8], removed: usize) {
    if removed == 0 {
        return;
    }
    if let Ok(Some(list)) = call.space.list_mut(key) {
        if list.is_empty() {
            call.space.remove_if_empty(key);
        } else if list.capacity() > 64 && list.len() < list.capacity() / 4 {
            list.shrink_to(list.capacity() / 2);
        }
    }
    call.space.changed(key, removed);
}

pub(crate) fn lpop(call: &mut Call<'_>) -> Outcome {
    pop(call, End::Left)
}

pub(crate) fn rpop(call: &mut Call<'_>) -> Outcome {
    pop(call, End::Right)
}

pub(crate) fn lmpop(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let at = arguments.end_of_popped_keys()?;
    let end = End::parse(arguments, at)?;
    let count = arguments.pop_count(at + 1)?;
    for key in (2..at).map(|at| arguments.word(at)) {
        if let Some(list) = call.space.list_mut(key)? {
            let count = count.min(list.len());
            call.reply.array(2);
            call.reply.bulk(key);
            call.reply.array(count);
            for _ in 0..count {
                call.reply.bulk_or_null(end.pop(list).as_deref());
            }
            after_removal(call, key, count);
            return Ok(());
        }
    }
    call.reply.null_array();
    Ok(())
}

pub(crate) fn llen(call: &mut Call<'_>) -> Outcome {
    let list = call.space.list(call.arguments.word(1))?;
    call.reply.count(list.map_or(0, |list| list.len()));
    Ok(())
}

pub(crate) fn lindex(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let Some(list) = call.space.list(arguments.word(1))? else {
        call.reply.null();
        return Ok(());
    };
    let at = place(arguments.integer(2)?, list.len());
    call.reply.bulk_or_null(at.map(|at| &*list[at]));
    Ok(())
}

pub(crate) fn lset(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let key = arguments.word(1);
    let list = call.space.list_mut(key)?.ok_or(Failure::NO_SUCH_KEY)?;
    // The server keeps 32 bits of this index, and of no other.
    let at = place(i64::from(arguments.integer(2)? as i32), list.len());
    let at = at.ok_or(Failure::new("ERR index out of range"))?;
    list[at] = arguments.word(3).into();
    call.space.changed(key, 1);
    call.reply.ok();
    Ok(())
}

pub(crate) fn lrange(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let (start, stop) = (arguments.integer(2)?, arguments.integer(3)?);
    let Some(list) = call.space.list(arguments.word(1))? else {
        call.reply.array(0);
        return Ok(());
    };
    let range = index_range(start, stop, list.len());
    call.reply.array(range.len());
    list.range(range)
        .for_each(|element| call.reply.bulk(element));
    Ok(())
}

pub(crate) fn ltrim(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let key = arguments.word(1);
    let (start, stop) = (arguments.integer(2)?, arguments.integer(3)?);
    if let Some(list) = call.space.list_mut(key)? {
        let before = list.len();
        let range = index_range(start, stop, before);
        list.truncate(range.end);
        list.drain(..range.start.min(list.len()));
        let removed = before - list.len();
        // What removes nothing is no change, as of Valkey 9 (Redis 7 tells watchers even so).
        after_removal(call, key, removed);
    }
    call.reply.ok();
    Ok(())
}

pub(crate) fn lrem(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let (key, wanted) = (arguments.word(1), arguments.word(3));
    let count = arguments.integer(2)?;
    let Some(list) = call.space.list_mut(key)? else {
        call.reply.count(0);
        return Ok(());
    };
    let equal = list.iter().filter(|element| ***element == *wanted).count();
    let limit = match count {
        0 => equal,
        _ => equal.min(usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    // From the end: the first ones stay.
    let mut keep = if count < 0 { equal - limit } else { 0 };
    let mut left = limit;
    if limit > 0 {
        list.retain(|element| {
            if **element != *wanted {
                return true;
            }
            if keep > 0 {
                keep -= 1;
                return true;
            }
            if left == 0 {
                return true;
            }
            left -= 1;
            false
        });
    }
    after_removal(call, key, limit);
    call.reply.count(limit);
    Ok(())
}

pub(crate) fn linsert(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let key = arguments.word(1);
    let after = match () {
        () if arguments.is(2, "before") => 0,
        () if arguments.is(2, "after") => 1,
        () => return Err(Failure::SYNTAX),
    };
    let Some(list) = call.space.list_mut(key)? else {
        call.reply.integer(0);
        return Ok(());
    };
    let Some(at) = list
        .iter()
        .position(|element| **element == *arguments.word(3))
    else {
        call.reply.integer(-1);
        return Ok(());
    };
    list.insert(at + after, arguments.word(4).into());
    let len = list.len();
    call.space.changed(key, 1);
    call.reply.count(len);
    Ok(())
}

pub(crate) fn lpos(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let (mut rank, mut count, mut most) = (1, None, 0);
    let natural = |at, failure| {
        let value = parse_integer(arguments.word(at)).filter(|value| *value >= 0);
        value
            .map(|v| usize::try_from(v).unwrap_or(usize::MAX))
            .ok_or(Failure::new(failure))
    };
    let mut at = 3;
    while at < arguments.len() {
        match () {
            () if at + 1 == arguments.len() => return Err(Failure::SYNTAX),
            () if arguments.is(at, "rank") => {
                rank = arguments.integer(at + 1)?;
                if rank == i64::MIN {
                    return Err(Failure::new(
                        "ERR value is out of range, value must between -9223372036854775807 and \
                         9223372036854775807",
                    ));
                }
                if rank == 0 {
                    return Err(Failure::new(
                        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
                         second ... or use negative to start from the end of the list",
                    ));
                }
            }
            () if arguments.is(at, "count") => {
                count = Some(natural(at + 1, "ERR COUNT can't be negative")?);
            }
            () if arguments.is(at, "maxlen") => {
                most = natural(at + 1, "ERR MAXLEN can't be negative")?;
            }
            () => return Err(Failure::SYNTAX),
        }
        at += 2;
    }
    let found: Vec<usize> = match call.space.list(arguments.word(1))? {
        None => Vec::new(),
        Some(list) => {
            let wanted = arguments.word(2);
            let looked_at = if most == 0 {
                list.len()
            } else {
                most.min(list.len())
            };
            let skip = usize::try_from(rank.unsigned_abs() - 1).unwrap_or(usize::MAX);
            let take = match count {
                None => 1,
                Some(0) => usize::MAX,
                Some(count) => count,
            };
            let equal = |at: &usize| *list[*at] == *wanted;
            if rank > 0 {
                let places = (0..list.len()).take(looked_at);
                places.filter(equal).skip(skip).take(take).collect()
            } else {
                let places = (0..list.len()).rev().take(looked_at);
                places.filter(equal).skip(skip).take(take).collect()
            }
        }
    };
    match (count, found.first()) {
        (Some(_), _) => {
            call.reply.array(found.len());
            found.iter().for_each(|at| call.reply.count(*at));
        }
        (None, Some(at)) => call.reply.count(*at),
        (None, None) => call.reply.null(),
    }
    Ok(())
}

fn move_element(call: &mut Call<'_>, from_end: End, to_end: End) -> Outcome {
    let (from, to) = (call.arguments.word(1), call.arguments.word(2));
    if call.space.list(from)?.is_none() {
        call.reply.null();
        return Ok(());
    }
    // Checked before anything moves.
    call.space.list(to)?;
    let element = call
        .space
        .list_mut(from)?
        .and_then(|list| from_end.pop(list));
    let Some(element) = element else {
        call.reply.null();
        return Ok(());
    };
    call.reply.bulk(&element);
    to_end.push(call.space.list_or_new(to)?, element);
    after_removal(call, from, 1);
    call.space.changed(to, 0);
    Ok(())
}

pub(crate) fn lmove(call: &mut Call<'_>) -> Outcome {
    let (from, to) = (
        End::parse(call.arguments, 3)?,
        End::parse(call.arguments, 4)?,
    );
    move_element(call, from, to)
}

pub(crate) fn rpoplpush(call: &mut Call<'_>) -> Outcome {
    move_element(call, End::Right, End::Left)
}
