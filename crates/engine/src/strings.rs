//! Commands on strings.

use crate::call::{Arguments, Call};
use crate::expiry::TimeForm;
use crate::extended::{Extended, Parsed};
use crate::failure::{Failure, Outcome};
use crate::keyspace::NEVER;
use crate::number::parse_integer;
use crate::value::{Text, Value};

/// Longest string in bytes: 512 MiB, the `proto-max-bulk-len` default of Valkey and Redis.
const MAX_STRING: usize = 512 * 1024 * 1024;

/// On what a SET depends.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Condition<'a> {
    Always,
    IfMissing,
    IfThere,
    IfEqual(&'a [u8]),
}

/// What becomes of the deadline.
#[derive(Clone, Copy)]
enum Deadline<'a> {
    Default,
    Keep,
    Persist,
    At(TimeForm, &'a [u8]),
}

/// Options of SET, GETEX and MSETEX.
struct Options<'a> {
    condition: Condition<'a>,
    deadline: Deadline<'a>,
    answer_old: bool,
}

/// Which options a command has besides the times.
#[derive(Clone, Copy, Eq, PartialEq)]
enum OptionsOf {
    Set,
    Getex,
    Msetex,
}

impl<'a> Options<'a> {
    fn parse(arguments: Arguments<'a>, from: usize, of: OptionsOf) -> Result<Self, Failure> {
        let mut options = Self {
            condition: Condition::Always,
            deadline: Deadline::Default,
            answer_old: false,
        };
        let sets = of != OptionsOf::Getex;
        let mut at = from;
        while at < arguments.len() {
            let word = arguments.word(at);
            let next = (at + 1 < arguments.len()).then(|| arguments.word(at + 1));
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let no_condition = options.condition == Condition::Always;
            match (options.deadline, TimeForm::of_option(word), next) {
                _ if sets
                    && is("nx")
                    && (no_condition || options.condition == Condition::IfMissing) =>
                {
                    options.condition = Condition::IfMissing;
                }
                _ if sets
                    && is("xx")
                    && (no_condition || options.condition == Condition::IfThere) =>
                {
                    options.condition = Condition::IfThere;
                }
                (_, _, Some(value)) if of == OptionsOf::Set && is("ifeq") && no_condition => {
                    options.condition = Condition::IfEqual(value);
                    at += 1;
                }
                _ if of == OptionsOf::Set && is("get") => options.answer_old = true,
                (Deadline::Default | Deadline::Keep, ..) if sets && is("keepttl") => {
                    options.deadline = Deadline::Keep;
                }
                (Deadline::Default | Deadline::Persist, ..) if !sets && is("persist") => {
                    options.deadline = Deadline::Persist;
                }
                (Deadline::Default, Some(form), Some(time)) => {
                    options.deadline = Deadline::At(form, time);
                    at += 1;
                }
                (Deadline::At(before, _), Some(form), Some(time)) if form == before => {
                    options.deadline = Deadline::At(form, time);
                    at += 1;
                }
                _ => return Err(Failure::SYNTAX),
            }
            at += 1;
        }
        Ok(options)
    }

    /// The deadline to set, if one is given.
    fn new_deadline(&self, call: &Call<'_>) -> Result<Option<i64>, Failure> {
        match self.deadline {
            Deadline::At(form, text) => form.parse(text, call.space.now(), call.name).map(Some),
            _ => Ok(None),
        }
    }
}

/// Sets a key's string and deadline; `at` is where the key was found.
fn store(
    call: &mut Call<'_>,
    at: Option<usize>,
    key: &[u8],
    text: &[u8],
    deadline: Option<i64>,
    keep: bool,
) {
    let deadline = match (deadline, at) {
        (Some(deadline), _) => deadline,
        (None, Some(at)) if keep => call.space.keyspace().deadline_at(at),
        _ => NEVER,
    };
    let at = call.space.set_string_at(at, key, text);
    if deadline != NEVER {
        call.space.keyspace_mut().set_deadline(at, deadline);
    }
    call.space.changed(key, 1);
}

pub(crate) fn set(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let (key, text) = (arguments.word(1), arguments.word(2));
    if arguments.len() == 3 {
        call.space.set_string(key, text);
        call.space.changed(key, 1);
        call.reply.ok();
        return Ok(());
    }
    let options = Options::parse(arguments, 3, OptionsOf::Set)?;
    let deadline = options.new_deadline(call)?;
    let at = call.space.find(key);
    if options.answer_old || matches!(options.condition, Condition::IfEqual(_)) {
        let old = call.space.string(key)?;
        let old = old.as_ref().map(Text::as_bytes);
        if options.answer_old {
            call.reply.bulk_or_null(old);
        }
        if let Condition::IfEqual(expected) = options.condition
            && old != Some(expected)
        {
            if !options.answer_old {
                call.reply.null();
            }
            return Ok(());
        }
    }
    let stands_against = match options.condition {
        Condition::IfMissing => at.is_some(),
        Condition::IfThere => at.is_none(),
        Condition::Always | Condition::IfEqual(_) => false,
    };
    if stands_against {
        if !options.answer_old {
            call.reply.null();
        }
        return Ok(());
    }
    // What is over at once changes nothing where nothing was: a WATCH does not see it.
    let over = deadline.is_some_and(|deadline| deadline <= call.space.now());
    if !over || at.is_some() {
        let keep = matches!(options.deadline, Deadline::Keep);
        store(call, at, key, text, deadline, keep);
    }
    if !options.answer_old {
        call.reply.ok();
    }
    Ok(())
}

pub(crate) fn setnx(call: &mut Call<'_>) -> Outcome {
    let (key, text) = (call.arguments.word(1), call.arguments.word(2));
    let missing = !call.space.contains(key);
    if missing {
        store(call, None, key, text, None, false);
    }
    call.reply.flag(missing);
    Ok(())
}

fn set_for(call: &mut Call<'_>, form: TimeForm) -> Outcome {
    let (key, text) = (call.arguments.word(1), call.arguments.word(3));
    let deadline = form.parse(call.arguments.word(2), call.space.now(), call.name)?;
    let at = call.space.find(key);
    store(call, at, key, text, Some(deadline), false);
    call.reply.ok();
    Ok(())
}

pub(crate) fn setex(call: &mut Call<'_>) -> Outcome {
    set_for(call, TimeForm::SECONDS)
}

pub(crate) fn psetex(call: &mut Call<'_>) -> Outcome {
    set_for(call, TimeForm::MILLISECONDS)
}

pub(crate) fn get(call: &mut Call<'_>) -> Outcome {
    let text = call.space.string(call.arguments.word(1))?;
    call.reply.bulk_or_null(text.as_ref().map(Text::as_bytes));
    Ok(())
}

pub(crate) fn getset(call: &mut Call<'_>) -> Outcome {
    get(call)?;
    let (key, text) = (call.arguments.word(1), call.arguments.word(2));
    let at = call.space.find(key);
    store(call, at, key, text, None, false);
    Ok(())
}

pub(crate) fn getdel(call: &mut Call<'_>) -> Outcome {
    get(call)?;
    let key = call.arguments.word(1);
    if call.space.remove(key) {
        call.space.changed(key, 1);
    }
    Ok(())
}

pub(crate) fn getex(call: &mut Call<'_>) -> Outcome {
    let options = Options::parse(call.arguments, 2, OptionsOf::Getex)?;
    let deadline = options.new_deadline(call)?;
    get(call)?;
    let key = call.arguments.word(1);
    let Some(at) = call.space.find(key) else {
        return Ok(());
    };
    match deadline {
        Some(deadline) if deadline <= call.space.now() => {
            call.space.keyspace_mut().remove_at(at);
            call.space.changed(key, 1);
        }
        Some(deadline) => {
            call.space.keyspace_mut().set_deadline(at, deadline);
            call.space.changed(key, 1);
        }
        None => {
            let persist = matches!(options.deadline, Deadline::Persist);
            if persist && call.space.keyspace().deadline_at(at) != NEVER {
                call.space.keyspace_mut().set_deadline(at, NEVER);
                call.space.changed(key, 1);
            }
        }
    }
    Ok(())
}

pub(crate) fn delifeq(call: &mut Call<'_>) -> Outcome {
    let (key, expected) = (call.arguments.word(1), call.arguments.word(2));
    let equal = call
        .space
        .string(key)?
        .is_some_and(|text| text.as_bytes() == expected);
    if equal {
        call.space.remove(key);
        call.space.changed(key, 1);
    }
    call.reply.flag(equal);
    Ok(())
}

pub(crate) fn mget(call: &mut Call<'_>) -> Outcome {
    call.reply.array(call.arguments.len() - 1);
    for key in call.arguments.from(1) {
        // A key of another type answers as a missing one.
        let text = call.space.string(key).unwrap_or(None);
        call.reply.bulk_or_null(text.as_ref().map(Text::as_bytes));
    }
    Ok(())
}

pub(crate) fn mset(call: &mut Call<'_>) -> Outcome {
    check_pairs(call)?;
    set_pairs(call, 1, call.arguments.len() / 2, None, false);
    call.reply.ok();
    Ok(())
}

pub(crate) fn msetnx(call: &mut Call<'_>) -> Outcome {
    check_pairs(call)?;
    let arguments = call.arguments;
    let some = arguments
        .from(1)
        .step_by(2)
        .any(|key| call.space.contains(key));
    if !some {
        set_pairs(call, 1, arguments.len() / 2, None, false);
    }
    call.reply.flag(!some);
    Ok(())
}

pub(crate) fn msetex(call: &mut Call<'_>) -> Outcome {
    let arguments = call.arguments;
    let count = parse_integer(arguments.word(1))
        .filter(|count| (1..=i64::from(i32::MAX)).contains(count))
        .and_then(|count| usize::try_from(count).ok())
        .ok_or(Failure::new("ERR invalid numkeys value or out of range"))?;
    if count > (arguments.len() - 2) / 2 {
        return Err(Failure::SYNTAX);
    }
    let options = Options::parse(arguments, 2 + 2 * count, OptionsOf::Msetex)?;
    let deadline = options.new_deadline(call)?;
    let there = |call: &mut Call<'_>, wanted: bool| {
        (0..count).all(|pair| call.space.contains(arguments.word(2 + 2 * pair)) == wanted)
    };
    let sets = match options.condition {
        Condition::IfMissing => there(call, false),
        Condition::IfThere => there(call, true),
        Condition::Always | Condition::IfEqual(_) => true,
    };
    if sets {
        set_pairs(
            call,
            2,
            count,
            deadline,
            matches!(options.deadline, Deadline::Keep),
        );
    }
    call.reply.flag(sets);
    Ok(())
}

fn check_pairs(call: &Call<'_>) -> Outcome {
    if call.arguments.len().is_multiple_of(2) {
        return Err(Failure::wrong_arity(call.name));
    }
    Ok(())
}

fn set_pairs(call: &mut Call<'_>, from: usize, count: usize, deadline: Option<i64>, keep: bool) {
    let arguments = call.arguments;
    for pair in 0..count {
        let (key, text) = (
            arguments.word(from + 2 * pair),
            arguments.word(from + 2 * pair + 1),
        );
        let at = call.space.find(key);
        store(call, at, key, text, deadline, keep);
    }
}

pub(crate) fn strlen(call: &mut Call<'_>) -> Outcome {
    let text = call.space.string(call.arguments.word(1))?;
    call.reply
        .count(text.map_or(0, |text| text.as_bytes().len()));
    Ok(())
}

/// The bytes of a key's string to change them, created empty if the key is not there. The caller
/// knows that it is no value of another type.
fn bytes_to_change<'c>(call: &'c mut Call<'_>, key: &[u8]) -> Result<&'c mut Vec<u8>, Failure> {
    let at = match call.space.find(key) {
        Some(at) => at,
        None => call.space.keyspace_mut().add(key, Value::Bytes(Vec::new())),
    };
    let value = call.space.value_at_mut(at);
    if let Value::Integer(integer) = value {
        *value = Value::Bytes(integer.to_string().into_bytes());
    }
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(Failure::WRONG_TYPE),
    }
}

/// Restores the form in which a string is an integer where it can be.
fn normalise(call: &mut Call<'_>, key: &[u8]) {
    if let Some(at) = call.space.find(key)
        && let Value::Bytes(bytes) = call.space.value_at(at)
        && let Some(integer) = parse_integer(bytes)
    {
        *call.space.value_at_mut(at) = Value::Integer(integer);
    }
}

pub(crate) fn append(call: &mut Call<'_>) -> Outcome {
    let (key, text) = (call.arguments.word(1), call.arguments.word(2));
    let before = call
        .space
        .string(key)?
        .map_or(0, |text| text.as_bytes().len());
    if before + text.len() > MAX_STRING {
        return Err(Failure::TOO_LONG);
    }
    let bytes = bytes_to_change(call, key)?;
    bytes.extend_from_slice(text);
    let len = bytes.len();
    call.space.changed(key, 1);
    call.reply.count(len);
    if len <= 20 {
        normalise(call, key);
    }
    Ok(())
}

pub(crate) fn setrange(call: &mut Call<'_>) -> Outcome {
    let (key, text) = (call.arguments.word(1), call.arguments.word(3));
    let offset = call.arguments.integer(2)?;
    let Ok(offset) = usize::try_from(offset) else {
        return Err(Failure::new("ERR offset is out of range"));
    };
    let before = call
        .space
        .string(key)?
        .map_or(0, |text| text.as_bytes().len());
    if text.is_empty() {
        call.reply.count(before);
        return Ok(());
    }
    let Some(end) = offset
        .checked_add(text.len())
        .filter(|end| *end <= MAX_STRING)
    else {
        return Err(Failure::TOO_LONG);
    };
    let bytes = bytes_to_change(call, key)?;
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(text);
    let len = bytes.len();
    call.space.changed(key, 1);
    call.reply.count(len);
    if len <= 20 {
        normalise(call, key);
    }
    Ok(())
}

pub(crate) fn getrange(call: &mut Call<'_>) -> Outcome {
    let (start, end) = (call.arguments.integer(2)?, call.arguments.integer(3)?);
    let text = call.space.string(call.arguments.word(1))?;
    let bytes = text.as_ref().map_or(&b""[..], Text::as_bytes);
    call.reply
        .bulk(&bytes[string_range(start, end, bytes.len())]);
    Ok(())
}

/// The server's rule for GETRANGE, which differs from that of lists: an end before the beginning
/// means the first byte, unless both are negative and reversed.
fn string_range(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let len = len as i64;
    let place = |index: i64| {
        if index < 0 {
            len.saturating_add(index).max(0)
        } else {
            index
        }
    };
    let (from, to) = (place(start), place(end).min(len - 1));
    if from > to {
        0..0
    } else {
        from as usize..to as usize + 1
    }
}

fn increment(call: &mut Call<'_>, by: i64) -> Outcome {
    let key = call.arguments.word(1);
    let value = match call.space.find(key) {
        None => {
            call.space.keyspace_mut().add(key, Value::Integer(by));
            by
        }
        Some(at) => match call.space.value_at_mut(at) {
            Value::Integer(value) => {
                *value = value.checked_add(by).ok_or(Failure::OVERFLOW)?;
                *value
            }
            // INVARIANT: a string that spells an integer is stored as one.
            Value::Bytes(_) => return Err(Failure::NOT_AN_INTEGER),
            _ => return Err(Failure::WRONG_TYPE),
        },
    };
    call.space.changed(key, 1);
    call.reply.integer(value);
    Ok(())
}

pub(crate) fn incr(call: &mut Call<'_>) -> Outcome {
    increment(call, 1)
}

pub(crate) fn decr(call: &mut Call<'_>) -> Outcome {
    increment(call, -1)
}

pub(crate) fn incrby(call: &mut Call<'_>) -> Outcome {
    increment(call, call.arguments.integer(2)?)
}

pub(crate) fn decrby(call: &mut Call<'_>) -> Outcome {
    let by = call.arguments.integer(2)?;
    let by = by
        .checked_neg()
        .ok_or(Failure::new("ERR decrement would overflow"))?;
    increment(call, by)
}

/// Text of the sum of two texts, with the server's precision.
pub(crate) fn add_floats(
    value: Option<&[u8]>,
    by: &[u8],
    not_a_float: Failure,
) -> Result<String, Failure> {
    let value = Extended::parse(value.unwrap_or(b"0")).ok_or(not_a_float)?;
    let by = Extended::parse(by).ok_or(Failure::NOT_A_FLOAT)?;
    let sum = match (value, by) {
        (Parsed::Finite(value), Parsed::Finite(by)) => value.add(by),
        _ => None,
    };
    sum.map(Extended::text)
        .ok_or(Failure::new("ERR increment would produce NaN or Infinity"))
}

pub(crate) fn incrbyfloat(call: &mut Call<'_>) -> Outcome {
    let (key, by) = (call.arguments.word(1), call.arguments.word(2));
    let value = call.space.string(key)?;
    let sum = add_floats(value.as_ref().map(Text::as_bytes), by, Failure::NOT_A_FLOAT)?;
    let at = call.space.find(key);
    store(call, at, key, sum.as_bytes(), None, true);
    call.reply.bulk(sum.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::string_range;

    #[test]
    fn string_ranges_are_the_servers() {
        let cases = [
            ((0, -1, 3), 0..3),
            ((0, -100, 3), 0..1),
            ((-1, -2, 3), 0..0),
            ((5, 9, 3), 0..0),
            ((-100, 0, 3), 0..1),
            ((0, -1, 0), 0..0),
        ];
        for ((start, end, len), expected) in cases {
            assert_eq!(
                string_range(start, end, len),
                expected,
                "{start} {end} {len}"
            );
        }
    }
}
