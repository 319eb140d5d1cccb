//! Error replies, in the server's own words.

use std::borrow::Cow;

/// Text of an error reply, with its prefix.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Cow<'static, str>);

impl Failure {
    pub(crate) const SYNTAX: Self = Self::new("ERR syntax error");
    pub(crate) const NOT_AN_INTEGER: Self =
        Self::new("ERR value is not an integer or out of range");
    pub(crate) const NOT_A_FLOAT: Self = Self::new("ERR value is not a valid float");
    pub(crate) const NOT_POSITIVE: Self = Self::new("ERR value is out of range, must be positive");
    pub(crate) const OUT_OF_RANGE: Self = Self::new("ERR value is out of range");
    pub(crate) const WRONG_TYPE: Self =
        Self::new("WRONGTYPE Operation against a key holding the wrong kind of value");
    pub(crate) const NO_SUCH_KEY: Self = Self::new("ERR no such key");
    pub(crate) const OVERFLOW: Self = Self::new("ERR increment or decrement would overflow");
    pub(crate) const TOO_LONG: Self =
        Self::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    pub(crate) const INVALID_CURSOR: Self = Self::new("ERR invalid cursor");
    pub(crate) const DATABASE_OUT_OF_RANGE: Self = Self::new("ERR DB index is out of range");
    pub(crate) const SAME_OBJECT: Self =
        Self::new("ERR source and destination objects are the same");

    pub(crate) const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    pub(crate) fn of(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    pub(crate) fn wrong_arity(command: &str) -> Self {
        Self::of(format!(
            "ERR wrong number of arguments for '{}' command",
            command
        ))
    }

    pub(crate) fn expire_time(command: &str) -> Self {
        Self::of(format!("ERR invalid expire time in '{command}' command"))
    }
}

/// What a command's function returns: the reply is written, or this error is.
pub(crate) type Outcome = Result<(), Failure>;
