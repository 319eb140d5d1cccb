use memchr::{memchr, memchr2};

use crate::{MAX_NESTING, header};

/// What the bytes given to [`ReplyFramer::frame`] are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Framed {
    /// Bytes that belong to the reply and may be forwarded at once. 0 if only part of a header is
    /// there; it is looked at again with what follows.
    pub consumed: usize,
    /// Whether the reply ended with them.
    pub complete: bool,
}

/// Why a server's bytes are no reply. The connection is to be closed: nobody knows where the next
/// reply begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// No type of RESP begins with this byte.
    #[error("no reply begins with the byte `{}`", found.escape_ascii())]
    Type {
        /// The byte.
        found: u8,
    },
    /// A length or count is no number or too large.
    #[error("the length of a reply is not a number within the limits")]
    Length,
    /// A length is `?`: a reply in chunks, which no server sends.
    #[error("a reply of unknown length is not supported")]
    Streamed,
    /// A line holds CR or LF by itself.
    #[error("a line of a reply does not end with CR LF")]
    LineEnd,
    /// A bulk string is not followed by CR LF.
    #[error("expected CR LF after a bulk string of a reply")]
    BulkEnd,
    /// More levels of aggregates than [`MAX_NESTING`].
    #[error("a reply is nested deeper than {MAX_NESTING} levels")]
    Nesting,
    /// A push inside another reply.
    #[error("a push inside another reply")]
    InnerPush,
    /// A value is not what its type says. Only [`Value::decode`](crate::Value::decode) looks.
    #[error("a value of a reply does not fit its type `{}`", kind.escape_ascii())]
    Value {
        /// The type byte.
        kind: u8,
    },
}

/// Finds the end of one reply after the other in what a server sends, RESP2 and RESP3, while the
/// bytes pass: nothing is kept but where it stopped.
#[derive(Clone, Debug)]
pub struct ReplyFramer {
    within: Within,
    /// Open aggregates.
    depth: u8,
    /// The first so many are attributes of the reply itself.
    attributes: u8,
    kind: u8,
    /// Values missing in each open aggregate.
    left: [u64; MAX_NESTING],
}

/// Where in a value the last call stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Within {
    /// Before its type byte.
    Start,
    /// In a line, before CR LF.
    Line,
    /// In a line, between CR and LF.
    LineFeed,
    /// In a bulk string; `missing` bytes before its CR LF.
    Bulk { missing: u64 },
    /// In a bulk string, between CR and LF.
    BulkFeed,
}

/// Longest header line: a type byte, 20 digits, CR LF.
const LONGEST_HEADER: usize = 23;
/// Most values that an aggregate may announce.
const MOST_VALUES: u64 = u32::MAX as u64;

impl Default for ReplyFramer {
    fn default() -> Self {
        Self {
            within: Within::Start,
            depth: 0,
            attributes: 0,
            kind: 0,
            left: [0; MAX_NESTING],
        }
    }
}

impl ReplyFramer {
    /// A framer at the beginning of a reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// The type byte of the reply that is being framed, or that has just ended: `b'>'` is a push,
    /// `b'-'` an error. Of a reply with attributes it is `b'|'` until the value behind them begins.
    pub fn kind(&self) -> Option<u8> {
        (self.kind != 0).then_some(self.kind)
    }

    /// Whether the next byte is the first of a reply.
    pub fn is_between_replies(&self) -> bool {
        self.depth == 0 && self.within == Within::Start
    }

    /// Looks at `input`, which begins where the last call stopped, up to the end of one reply.
    ///
    /// # Errors
    ///
    /// If the bytes are no reply. The connection is to be closed.
    #[inline]
    pub fn frame(&mut self, input: &[u8]) -> Result<Framed, ReplyError> {
        if self.is_between_replies() {
            if let Some(b"+OK\r\n") = input.first_chunk() {
                self.kind = b'+';
                return Ok(Framed {
                    consumed: 5,
                    complete: true,
                });
            }
            if let Some((kind, consumed)) = whole_short_value(input, 0) {
                self.kind = kind;
                return Ok(Framed {
                    consumed,
                    complete: true,
                });
            }
        }
        self.values(input)
    }

    /// As [`Self::frame`], from wherever the last call stopped.
    fn values(&mut self, input: &[u8]) -> Result<Framed, ReplyError> {
        let mut at = 0;
        loop {
            match self.within {
                Within::Start => {
                    at = self.skip(input, at);
                    if let Some((kind, end)) = whole_short_value(input, at) {
                        self.begin(kind);
                        at = end;
                    } else {
                        match self.header(&input[at..])? {
                            Header::Unfinished => {
                                return Ok(Framed {
                                    consumed: at,
                                    complete: false,
                                });
                            }
                            Header::Entered { len } => {
                                at += len;
                                continue;
                            }
                            Header::Whole { len } => at += len,
                        }
                    }
                }
                Within::Line => match memchr2(b'\r', b'\n', &input[at..]) {
                    None => {
                        return Ok(Framed {
                            consumed: input.len(),
                            complete: false,
                        });
                    }
                    Some(found) if input[at + found] == b'\r' => {
                        at += found + 1;
                        self.within = Within::LineFeed;
                        continue;
                    }
                    Some(_) => return Err(ReplyError::LineEnd),
                },
                Within::Bulk { missing } => {
                    let there = (input.len() - at) as u64;
                    if there <= missing {
                        self.within = Within::Bulk {
                            missing: missing - there,
                        };
                        return Ok(Framed {
                            consumed: input.len(),
                            complete: false,
                        });
                    }
                    at += missing as usize;
                    if input[at] != b'\r' {
                        return Err(ReplyError::BulkEnd);
                    }
                    at += 1;
                    self.within = Within::BulkFeed;
                    continue;
                }
                Within::LineFeed | Within::BulkFeed => match input.get(at) {
                    None => {
                        return Ok(Framed {
                            consumed: at,
                            complete: false,
                        });
                    }
                    Some(b'\n') => {
                        at += 1;
                        self.within = Within::Start;
                    }
                    Some(_) if self.within == Within::LineFeed => return Err(ReplyError::LineEnd),
                    Some(_) => return Err(ReplyError::BulkEnd),
                },
            }
            if self.end() {
                return Ok(Framed {
                    consumed: at,
                    complete: true,
                });
            }
        }
    }

    /// Passes over values inside an aggregate, as long as they are short and it has more.
    #[inline]
    fn skip(&mut self, input: &[u8], mut at: usize) -> usize {
        if self.depth > self.attributes {
            let left = &mut self.left[usize::from(self.depth) - 1];
            while *left > 1
                && let Some((_, end)) = whole_short_value(input, at)
            {
                at = end;
                *left -= 1;
            }
        }
        at
    }

    /// Reads what a value begins with.
    fn header(&mut self, input: &[u8]) -> Result<Header, ReplyError> {
        let Some(&kind) = input.first() else {
            return Ok(Header::Unfinished);
        };
        match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'(' | b'_' => {
                self.begin(kind);
                self.within = Within::Line;
                return Ok(Header::Entered { len: 1 });
            }
            b'$' | b'!' | b'=' | b'*' | b'~' | b'%' | b'>' | b'|' => {}
            found => return Err(ReplyError::Type { found }),
        }
        let Some((length, len)) = header_length(input)? else {
            return Ok(Header::Unfinished);
        };
        if kind == b'>' && !self.is_reply_itself() {
            return Err(ReplyError::InnerPush);
        }
        let is_attribute_of_reply = kind == b'|' && self.is_reply_itself();
        self.begin(kind);
        let Ok(length) = u64::try_from(length) else {
            // Nothing in place of a bulk string or array, in RESP2.
            return if length == -1 && matches!(kind, b'$' | b'*') {
                Ok(Header::Whole { len })
            } else {
                Err(ReplyError::Length)
            };
        };
        if matches!(kind, b'$' | b'!' | b'=') {
            self.within = Within::Bulk { missing: length };
            return Ok(Header::Entered { len });
        }
        if length > MOST_VALUES {
            return Err(ReplyError::Length);
        }
        let values = match kind {
            b'%' => length * 2,
            // And the value that they belong to.
            b'|' => length * 2 + 1,
            _ => length,
        };
        if values == 0 {
            return Ok(Header::Whole { len });
        }
        let left = self
            .left
            .get_mut(usize::from(self.depth))
            .ok_or(ReplyError::Nesting)?;
        *left = values;
        self.depth += 1;
        self.attributes += u8::from(is_attribute_of_reply);
        Ok(Header::Entered { len })
    }

    /// Whether the value that begins now is the reply itself, not one inside it.
    fn is_reply_itself(&self) -> bool {
        self.depth == self.attributes
            && (self.depth == 0 || self.left[usize::from(self.depth) - 1] == 1)
    }

    fn begin(&mut self, kind: u8) {
        if self.is_reply_itself() {
            self.kind = kind;
        }
    }

    /// Counts a value that has ended, and the aggregates that end with it. Whether the reply has.
    fn end(&mut self) -> bool {
        while let Some(innermost) = self.depth.checked_sub(1) {
            let left = &mut self.left[usize::from(innermost)];
            *left -= 1;
            if *left > 0 {
                return false;
            }
            self.depth = innermost;
        }
        self.attributes = 0;
        true
    }
}

/// What [`ReplyFramer::header`] found.
enum Header {
    /// Only part of it is there.
    Unfinished,
    /// So many bytes; the value goes on behind them.
    Entered { len: usize },
    /// So many bytes, which are the whole value.
    Whole { len: usize },
}

/// Number in a header line, and the length of the line.
fn header_length(input: &[u8]) -> Result<Option<(i64, usize)>, ReplyError> {
    let line = &input[..input.len().min(LONGEST_HEADER)];
    let Some(end) = memchr(b'\r', line) else {
        return if line.len() == LONGEST_HEADER {
            Err(ReplyError::Length)
        } else {
            Ok(None)
        };
    };
    match input.get(end + 1) {
        None => return Ok(None),
        Some(b'\n') => {}
        Some(_) => return Err(ReplyError::LineEnd),
    }
    match &input[1..end] {
        b"?" => Err(ReplyError::Streamed),
        text => Ok(Some((
            header::number(text).ok_or(ReplyError::Length)?,
            end + 2,
        ))),
    }
}

/// End of the bulk string that begins at `at`, if it is short and all there.
#[inline(always)]
fn whole_short_bulk(input: &[u8], at: usize) -> Option<usize> {
    let (len, start) = header::short(input, at, b'$')?;
    let end = start + len;
    (input.get(end..)?.first_chunk() == Some(b"\r\n")).then_some(end + 2)
}

/// Type and end of the value that begins at `at`, if it is a line or a short bulk string and all
/// there.
#[inline(always)]
fn whole_short_value(input: &[u8], at: usize) -> Option<(u8, usize)> {
    let kind = *input.get(at)?;
    let end = match kind {
        b'$' => match whole_short_bulk(input, at) {
            None if input[at..].starts_with(b"$-1\r\n") => at + 5,
            end => end?,
        },
        b'+' | b'-' | b':' | b',' | b'#' | b'(' | b'_' => header::line_end(input, at + 1)?,
        _ => return None,
    };
    Some((kind, end))
}

/// Length of the reply at the beginning of `input`, if it is all there.
///
/// For small replies: what is not complete is looked at again by the next call.
///
/// # Errors
///
/// If the bytes are no reply.
pub fn complete_reply(input: &[u8]) -> Result<Option<usize>, ReplyError> {
    let framed = ReplyFramer::new().frame(input)?;
    Ok(framed.complete.then_some(framed.consumed))
}

#[cfg(test)]
mod tests;
