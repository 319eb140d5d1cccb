//! Deadlines: the options that set them, and the EXPIRE and TTL families.

use crate::call::{Arguments, Call};
use crate::failure::{Failure, Outcome};
use crate::keyspace::NEVER;
use crate::number::parse_integer;

/// How a time is given.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct TimeForm {
    /// Milliseconds in one unit.
    unit: i64,
    /// From now on, or Unix time.
    relative: bool,
}

impl TimeForm {
    pub(crate) const SECONDS: Self = Self {
        unit: 1000,
        relative: true,
    };
    pub(crate) const MILLISECONDS: Self = Self {
        unit: 1,
        relative: true,
    };
    pub(crate) const AT_SECONDS: Self = Self {
        unit: 1000,
        relative: false,
    };
    pub(crate) const AT_MILLISECONDS: Self = Self {
        unit: 1,
        relative: false,
    };

    /// The form that an option such as `EX` means.
    pub(crate) fn of_option(option: &[u8]) -> Option<Self> {
        let forms = [
            ("ex", Self::SECONDS),
            ("px", Self::MILLISECONDS),
            ("exat", Self::AT_SECONDS),
            ("pxat", Self::AT_MILLISECONDS),
        ];
        let found = forms
            .iter()
            .find(|(name, _)| option.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, form)| *form)
    }

    /// Unix milliseconds of a time in this form; `None` if that overflows.
    fn deadline(self, time: i64, now: i64) -> Option<i64> {
        let millis = time.checked_mul(self.unit)?;
        let deadline = if self.relative {
            millis.checked_add(now)?
        } else {
            millis
        };
        // The greatest number means that there is no deadline.
        Some(deadline.min(NEVER - 1))
    }

    /// The deadline that a SET command sets: the time must be positive.
    pub(crate) fn parse(self, text: &[u8], now: i64, command: &str) -> Result<i64, Failure> {
        let time = parse_integer(text).ok_or(Failure::NOT_AN_INTEGER)?;
        match self.deadline(time, now) {
            Some(deadline) if time > 0 => Ok(deadline),
            _ => Err(Failure::expire_time(command)),
        }
    }
}

/// When EXPIRE may change a deadline.
#[derive(Default)]
struct Conditions {
    if_none: bool,
    if_some: bool,
    if_greater: bool,
    if_less: bool,
}

impl Conditions {
    fn parse(arguments: Arguments<'_>) -> Result<Self, Failure> {
        let mut conditions = Self::default();
        for at in 3..arguments.len() {
            match () {
                () if arguments.is(at, "nx") => conditions.if_none = true,
                () if arguments.is(at, "xx") => conditions.if_some = true,
                () if arguments.is(at, "gt") => conditions.if_greater = true,
                () if arguments.is(at, "lt") => conditions.if_less = true,
                () => {
                    let option = String::from_utf8_lossy(arguments.word(at));
                    return Err(Failure::of(format!("ERR Unsupported option {option}")));
                }
            }
        }
        let Self {
            if_none,
            if_some,
            if_greater,
            if_less,
        } = conditions;
        if if_none && (if_some || if_greater || if_less) {
            return Err(Failure::new(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if if_greater && if_less {
            return Err(Failure::new(
                "ERR GT and LT options at the same time are not compatible",
            ));
        }
        Ok(conditions)
    }

    fn hold(&self, before: i64, after: i64) -> bool {
        // No deadline counts as the greatest one, which `NEVER` is.
        !(self.if_none && before != NEVER
            || self.if_some && before == NEVER
            || self.if_greater && after <= before
            || self.if_less && after >= before)
    }
}

fn expire_in(call: &mut Call<'_>, form: TimeForm) -> Outcome {
    let arguments = call.arguments;
    let key = arguments.word(1);
    let conditions = Conditions::parse(arguments)?;
    let time = arguments.integer(2)?;
    let now = call.space.now();
    let deadline = form
        .deadline(time, now)
        .ok_or_else(|| Failure::expire_time(call.name))?;
    let Some(at) = call.space.find(key) else {
        call.reply.flag(false);
        return Ok(());
    };
    if !conditions.hold(call.space.keyspace().deadline_at(at), deadline) {
        call.reply.flag(false);
        return Ok(());
    }
    if deadline <= now {
        call.space.keyspace_mut().remove_at(at);
    } else {
        call.space.keyspace_mut().set_deadline(at, deadline);
    }
    call.space.changed(key, 1);
    call.reply.flag(true);
    Ok(())
}

pub(crate) fn expire(call: &mut Call<'_>) -> Outcome {
    expire_in(call, TimeForm::SECONDS)
}

pub(crate) fn pexpire(call: &mut Call<'_>) -> Outcome {
    expire_in(call, TimeForm::MILLISECONDS)
}

pub(crate) fn expireat(call: &mut Call<'_>) -> Outcome {
    expire_in(call, TimeForm::AT_SECONDS)
}

pub(crate) fn pexpireat(call: &mut Call<'_>) -> Outcome {
    expire_in(call, TimeForm::AT_MILLISECONDS)
}

pub(crate) fn persist(call: &mut Call<'_>) -> Outcome {
    let key = call.arguments.word(1);
    let at = call.space.find(key);
    let at = at.filter(|at| call.space.keyspace().deadline_at(*at) != NEVER);
    if let Some(at) = at {
        call.space.keyspace_mut().set_deadline(at, NEVER);
        call.space.changed(key, 1);
    }
    call.reply.flag(at.is_some());
    Ok(())
}

/// Answers what `figure` makes of the deadline, -1 without a deadline, -2 without the key.
fn answer(call: &mut Call<'_>, figure: impl Fn(i64, i64) -> i64) -> Outcome {
    let found = call.space.find(call.arguments.word(1));
    let now = call.space.now();
    call.reply.integer(
        match found.map(|at| call.space.keyspace().deadline_at(at)) {
            None => -2,
            Some(NEVER) => -1,
            Some(deadline) => figure(deadline, now),
        },
    );
    Ok(())
}

/// Rounded to the nearest second.
fn seconds(millis: i64) -> i64 {
    millis.saturating_add(500) / 1000
}

pub(crate) fn ttl(call: &mut Call<'_>) -> Outcome {
    answer(call, |deadline, now| seconds(deadline.saturating_sub(now)))
}

pub(crate) fn pttl(call: &mut Call<'_>) -> Outcome {
    answer(call, |deadline, now| deadline.saturating_sub(now))
}

pub(crate) fn expiretime(call: &mut Call<'_>) -> Outcome {
    answer(call, |deadline, _| seconds(deadline))
}

pub(crate) fn pexpiretime(call: &mut Call<'_>) -> Outcome {
    answer(call, |deadline, _| deadline)
}
