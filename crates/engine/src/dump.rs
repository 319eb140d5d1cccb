//! `DUMP` and `RESTORE`: a value in the form in which servers exchange it.

use crate::call::Call;
use crate::failure::{Failure, Outcome};
use crate::keyspace::NEVER;
use crate::rdb::{self, PayloadError};

pub(crate) fn dump(call: &mut Call<'_>) -> Outcome {
    let Some(at) = call.space.find(call.arguments.word(1)) else {
        call.reply.null();
        return Ok(());
    };
    let mut payload = rdb::body(call.space.value_at(at));
    rdb::finish(&mut payload);
    call.reply.bulk(&payload);
    Ok(())
}

/// The options of `RESTORE`.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
}

impl Options {
    fn parse(call: &Call<'_>) -> Result<Self, Failure> {
        let arguments = call.arguments;
        let mut options = Self::default();
        let (mut idle, mut frequency) = (false, false);
        let mut at = 4;
        while at < arguments.len() {
            let more = at + 1 < arguments.len();
            if arguments.is(at, "replace") {
                options.replace = true;
            } else if arguments.is(at, "absttl") {
                options.absolute = true;
            } else if arguments.is(at, "idletime") && more && !frequency {
                if arguments.integer(at + 1)? < 0 {
                    return Err(Failure::new("ERR Invalid IDLETIME value, must be >= 0"));
                }
                idle = true;
                at += 1;
            } else if arguments.is(at, "freq") && more && !idle {
                if !(0..=255).contains(&arguments.integer(at + 1)?) {
                    return Err(Failure::new(
                        "ERR Invalid FREQ value, must be >= 0 and <= 255",
                    ));
                }
                frequency = true;
                at += 1;
            } else {
                return Err(Failure::SYNTAX);
            }
            at += 1;
        }
        Ok(options)
    }
}

pub(crate) fn restore(call: &mut Call<'_>) -> Outcome {
    let key = call.arguments.word(1);
    let options = Options::parse(call)?;
    if !options.replace && call.space.contains(key) {
        return Err(Failure::new("BUSYKEY Target key name already exists."));
    }
    let time = call.arguments.integer(2)?;
    if time < 0 {
        return Err(Failure::new("ERR Invalid TTL value, must be >= 0"));
    }
    let hash_key = call.space.keyspace().hash_key();
    let value = rdb::read(call.arguments.word(3), hash_key).map_err(|error| match error {
        PayloadError::Version => Failure::new("ERR DUMP payload version or checksum are wrong"),
        PayloadError::Format => Failure::new("ERR Bad data format"),
        PayloadError::Type { .. } => Failure::of(format!("ERR keyward: {error} yet")),
    })?;
    let now = call.space.now();
    let deadline = match time {
        0 => NEVER,
        time if options.absolute => time.min(NEVER - 1),
        // The servers' sum wraps: a time so long that it has no end is over (`restoreCommand`).
        time => time.wrapping_add(now).min(NEVER - 1),
    };
    let removed = options.replace && call.space.remove(key);
    if deadline > now {
        let at = call.space.put(key, value);
        call.space.keyspace_mut().set_deadline(at, deadline);
    }
    // A value whose time is over is not stored.
    if removed || deadline > now {
        call.space.changed(key, 1);
    }
    call.reply.ok();
    Ok(())
}
