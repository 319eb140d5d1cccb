use std::mem;

use crate::{ReplyError, complete_reply, encode, format_double, header};

/// One reply as a tree: for tests and tools, not for the way of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+`.
    Simple(Vec<u8>),
    /// `-` or `!`, with its prefix. Written as `!` if it holds CR or LF.
    Error(Vec<u8>),
    /// `:`.
    Integer(i64),
    /// `$`.
    Bulk(Vec<u8>),
    /// `$-1` or `_`. Written as `$-1`, which clients of both versions read.
    Null,
    /// `*-1`.
    NullArray,
    /// `*`.
    Array(Vec<Value>),
    /// `%`.
    Map(Vec<(Value, Value)>),
    /// `~`.
    Set(Vec<Value>),
    /// `>`.
    Push(Vec<Value>),
    /// `,`.
    Double(f64),
    /// `#`.
    Boolean(bool),
    /// `=`.
    Verbatim {
        /// Such as `txt` or `mkd`.
        format: [u8; 3],
        /// The text itself.
        text: Vec<u8>,
    },
    /// `(`: decimal digits, perhaps with a sign.
    BigNumber(Vec<u8>),
    /// `|` and the value behind it.
    Attributed {
        /// What is said about the value.
        attributes: Vec<(Value, Value)>,
        /// The value itself.
        value: Box<Value>,
    },
}

impl Value {
    /// The reply at the beginning of `input` and its length; `None` if it is not all there.
    ///
    /// # Errors
    ///
    /// If the bytes are no reply, or a value is not what its type says.
    pub fn decode(input: &[u8]) -> Result<Option<(Self, usize)>, ReplyError> {
        let Some(len) = complete_reply(input)? else {
            return Ok(None);
        };
        let mut rest = &input[..len];
        Ok(Some((read(&mut rest)?, len)))
    }

    /// Appends the reply in the form that its variant names, whatever the protocol.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Simple(text) => encode::simple(out, text),
            Self::Error(text) if text.iter().any(|byte| matches!(byte, b'\r' | b'\n')) => {
                encode::blob(out, b'!', text);
            }
            Self::Error(text) => encode::error(out, text),
            Self::Integer(value) => encode::integer(out, *value),
            Self::Bulk(bytes) => encode::bulk(out, bytes),
            Self::Null => out.extend_from_slice(b"$-1\r\n"),
            Self::NullArray => out.extend_from_slice(b"*-1\r\n"),
            Self::Array(values) => encode_all(out, b'*', values),
            Self::Set(values) => encode_all(out, b'~', values),
            Self::Push(values) => encode_all(out, b'>', values),
            Self::Map(pairs) => encode_pairs(out, b'%', pairs),
            Self::Double(value) => encode::line(out, b',', format_double(*value).as_bytes()),
            Self::Boolean(value) => encode::line(out, b'#', if *value { b"t" } else { b"f" }),
            Self::Verbatim { format, text } => {
                encode::blob(out, b'=', &[format, &b":"[..], text].concat());
            }
            Self::BigNumber(digits) => encode::line(out, b'(', digits),
            Self::Attributed { attributes, value } => {
                encode_pairs(out, b'|', attributes);
                value.encode(out);
            }
        }
    }
}

fn encode_all(out: &mut Vec<u8>, kind: u8, values: &[Value]) {
    encode::header(out, kind, values.len());
    for value in values {
        value.encode(out);
    }
}

fn encode_pairs(out: &mut Vec<u8>, kind: u8, pairs: &[(Value, Value)]) {
    encode::header(out, kind, pairs.len());
    for (key, value) in pairs {
        key.encode(out);
        value.encode(out);
    }
}

/// Reads one value of a reply that the framer found whole, so that a missing byte cannot occur, and
/// the nesting is bounded.
fn read(rest: &mut &[u8]) -> Result<Value, ReplyError> {
    let (kind, text) = line(rest)?;
    let wrong = ReplyError::Value { kind };
    Ok(match kind {
        b'+' => Value::Simple(text.to_vec()),
        b'-' => Value::Error(text.to_vec()),
        b':' => Value::Integer(integer(text).ok_or(wrong)?),
        b'_' => text.is_empty().then_some(Value::Null).ok_or(wrong)?,
        b',' => Value::Double(double(text).ok_or(wrong)?),
        b'#' => Value::Boolean(match text {
            b"t" => true,
            b"f" => false,
            _ => return Err(wrong),
        }),
        b'(' => is_whole_number(text)
            .then(|| Value::BigNumber(text.to_vec()))
            .ok_or(wrong)?,
        b'$' | b'*' if text == b"-1" => {
            if kind == b'$' {
                Value::Null
            } else {
                Value::NullArray
            }
        }
        _ => {
            let len = header::number(text).and_then(|len| usize::try_from(len).ok());
            let len = len.ok_or(ReplyError::Length)?;
            match kind {
                b'$' => Value::Bulk(blob(rest, len)?.to_vec()),
                b'!' => Value::Error(blob(rest, len)?.to_vec()),
                b'=' => match blob(rest, len)? {
                    [a, b, c, b':', text @ ..] => Value::Verbatim {
                        format: [*a, *b, *c],
                        text: text.to_vec(),
                    },
                    _ => return Err(wrong),
                },
                b'*' => Value::Array(values(rest, len)?),
                b'~' => Value::Set(values(rest, len)?),
                b'>' => Value::Push(values(rest, len)?),
                b'%' => Value::Map(pairs(rest, len)?),
                b'|' => {
                    let attributes = pairs(rest, len)?;
                    Value::Attributed {
                        attributes,
                        value: Box::new(read(rest)?),
                    }
                }
                found => return Err(ReplyError::Type { found }),
            }
        }
    })
}

/// Type byte and the rest of the next line.
fn line<'a>(rest: &mut &'a [u8]) -> Result<(u8, &'a [u8]), ReplyError> {
    let input = mem::take(rest);
    let end = memchr::memchr(b'\r', input).ok_or(ReplyError::LineEnd)?;
    let (&kind, text) = input[..end].split_first().ok_or(ReplyError::LineEnd)?;
    *rest = input.get(end + 2..).ok_or(ReplyError::LineEnd)?;
    Ok((kind, text))
}

fn blob<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], ReplyError> {
    let (bytes, after) = rest.split_at_checked(len).ok_or(ReplyError::BulkEnd)?;
    *rest = after.get(2..).ok_or(ReplyError::BulkEnd)?;
    Ok(bytes)
}

fn values(rest: &mut &[u8], len: usize) -> Result<Vec<Value>, ReplyError> {
    (0..len).map(|_| read(rest)).collect()
}

fn pairs(rest: &mut &[u8], len: usize) -> Result<Vec<(Value, Value)>, ReplyError> {
    (0..len).map(|_| Ok((read(rest)?, read(rest)?))).collect()
}

fn integer(text: &[u8]) -> Option<i64> {
    is_whole_number(text)
        .then(|| std::str::from_utf8(text).ok()?.parse().ok())
        .flatten()
}

/// Digits with an optional sign.
fn is_whole_number(text: &[u8]) -> bool {
    let digits = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn double(text: &[u8]) -> Option<f64> {
    match text {
        b"inf" => Some(f64::INFINITY),
        b"-inf" => Some(f64::NEG_INFINITY),
        b"nan" | b"-nan" => Some(f64::NAN),
        // Rust reads also words such as `infinity`.
        _ if text
            .iter()
            .any(|byte| byte.is_ascii_alphabetic() && !b"eE".contains(byte)) =>
        {
            None
        }
        _ => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

#[cfg(test)]
mod peer;
#[cfg(test)]
pub(crate) mod tests;
