use memchr::{memchr, memchr2};

use crate::{RequestLimits, Words, encode, header, inline};

/// What the bytes given to [`RequestDecoder::decode`] hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decoded {
    /// One whole request; its words are in `Words`. None, for an empty line and a multibulk of no
    /// words: these are skipped without an answer.
    Complete {
        /// Bytes of the input that the request takes.
        len: usize,
        /// Whether it was a line of words: before it is forwarded, it is encoded anew.
        inline: bool,
    },
    /// The request goes on. What was seen of it is not looked at again.
    Incomplete {
        /// At least so many bytes are missing, and at least 1. It is what the client announced (within
        /// the limits), not what will come: no reason to set memory aside all at once.
        missing: usize,
    },
}

/// Why a client's bytes are no request. The connection cannot go on: nobody knows where the next
/// request begins.
///
/// `Display` is the server's wording after `Protocol error: `.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The number of words is no number, or larger than any client may send.
    #[error("invalid multibulk length")]
    MultibulkLength,
    /// More words than a client may send before it has logged in.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedMultibulkLength,
    /// The length of a word is no number, or larger than any client may send.
    #[error("invalid bulk length")]
    BulkLength,
    /// A longer word than a client may send before it has logged in.
    #[error("unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    /// A word does not begin with its length.
    #[error("expected '$', got '{}'", found.escape_ascii())]
    ExpectedBulk {
        /// The byte in place of `$`.
        found: u8,
    },
    /// The line that tells the number of words has no end.
    #[error("too big mbulk count string")]
    MultibulkLine,
    /// The line that tells the length of a word has no end.
    #[error("too big bulk count string")]
    BulkLine,
    /// An inline request has no end.
    #[error("too big inline request")]
    InlineLine,
    /// A quote of an inline request is not closed, or not followed by a blank.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// A word is not followed by CR LF, or a CR of a header by LF. Before version 9.1 Valkey, and
    /// Redis, skip these bytes, whatever they are.
    #[error("invalid CRLF in request")]
    LineEnd,
    /// The request as a whole is too long. Ours: the servers close the connection without a word.
    #[error("too big request")]
    RequestLength,
}

impl RequestError {
    /// The reply to send before the connection is closed: `-ERR Protocol error: …`.
    pub fn reply(&self) -> Vec<u8> {
        let mut text = b"ERR Protocol error: ".to_vec();
        match *self {
            // The server quotes the byte as it is.
            Self::ExpectedBulk { found } => {
                text.extend_from_slice(b"expected '$', got '");
                text.extend_from_slice(&[found, b'\'']);
            }
            other => text.extend_from_slice(other.to_string().as_bytes()),
        }
        let mut reply = Vec::with_capacity(text.len() + 3);
        encode::error(&mut reply, text);
        reply
    }
}

/// Finds one request after the other in what a client sends, multibulk and inline.
///
/// What it accepts is read by every server in the same way; where servers differ, the stricter one is
/// followed.
#[derive(Debug, Default)]
pub struct RequestDecoder {
    progress: Progress,
    /// Words of the unfinished request, so that the caller may use one `Words` for many connections.
    unfinished: Words,
}

/// How far the request at the beginning of the input was read.
#[derive(Clone, Copy, Debug, Default)]
enum Progress {
    #[default]
    Fresh,
    /// In an inline request or the line with the number of words; no line end before `searched`.
    FirstLine { searched: usize },
    /// In the line with a word's length, which begins at `at`; no line end before `searched`.
    BulkLine {
        at: usize,
        searched: usize,
        left: usize,
    },
    /// In a word, which begins at `at`.
    Bulk { at: usize, len: usize, left: usize },
}

impl RequestDecoder {
    /// A decoder at the beginning of a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for one request at the beginning of `input`.
    ///
    /// `input` starts at the first byte that is not consumed. After `Incomplete` it may only grow at
    /// its end until the request is `Complete`; `words` need not be the same. After an error the
    /// connection is to be closed.
    ///
    /// # Errors
    ///
    /// If the bytes are no request, or one beyond the `limits`.
    #[inline]
    pub fn decode(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
        words: &mut Words,
    ) -> Result<Decoded, RequestError> {
        if let Progress::Fresh = self.progress {
            words.clear();
            if let Some((count, at)) = header::short(input, 0, b'*')
                && count <= limits.max_args
            {
                return self.bulks(input, limits, words, at, count);
            }
        }
        self.resume(input, limits, words)
    }

    #[cold]
    #[inline(never)]
    fn resume(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
        words: &mut Words,
    ) -> Result<Decoded, RequestError> {
        let progress = std::mem::take(&mut self.progress);
        if let Progress::Fresh = progress {
            return self.first_line(input, limits, words, 0);
        }
        std::mem::swap(&mut self.unfinished, words);
        // Not to keep for this connection what another one's request needed.
        self.unfinished.clear();
        match progress {
            Progress::Fresh => self.first_line(input, limits, words, 0),
            Progress::FirstLine { searched } => self.first_line(input, limits, words, searched),
            Progress::BulkLine { at, searched, left } => {
                match bulk_line(input, limits, at, searched)? {
                    Line::Unfinished { searched } => {
                        let progress = Progress::BulkLine { at, searched, left };
                        Ok(self.suspend(progress, words, missing_in_bulk_line(input, at)))
                    }
                    Line::Number { value, end } => {
                        self.bulk(input, limits, words, end, value, left)
                    }
                }
            }
            Progress::Bulk { at, len, left } => self.bulk(input, limits, words, at, len, left),
        }
    }

    fn first_line(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
        words: &mut Words,
        searched: usize,
    ) -> Result<Decoded, RequestError> {
        let line = match input.first() {
            None => Line::Unfinished { searched: 0 },
            Some(b'*') => multibulk_line(input, limits, searched)?,
            Some(_) => return self.inline_line(input, limits, words, searched),
        };
        match line {
            Line::Unfinished { searched } => {
                Ok(self.suspend(Progress::FirstLine { searched }, words, 1))
            }
            Line::Number { value, end } => self.bulks(input, limits, words, end, value),
        }
    }

    fn inline_line(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
        words: &mut Words,
        searched: usize,
    ) -> Result<Decoded, RequestError> {
        let longest = limits.max_inline.min(limits.max_request);
        let seen = &input[..input.len().min(longest.saturating_add(1))];
        // As on the server, nothing behind a NUL ends the line: the search stops there for ever.
        let found = seen
            .get(searched..)
            .and_then(|unseen| memchr2(b'\n', 0, unseen));
        let end = searched + found.unwrap_or(seen.len().saturating_sub(searched));
        if seen.get(end) != Some(&b'\n') {
            if seen.len() > longest {
                return Err(RequestError::InlineLine);
            }
            return Ok(self.suspend(Progress::FirstLine { searched: end }, words, 1));
        }
        let line = &input[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        inline::split(line, words).map_err(|inline::Unbalanced| RequestError::UnbalancedQuotes)?;
        if words.len() > limits.max_args {
            return Err(too_many(words.len(), limits));
        }
        Ok(Decoded::Complete {
            len: end + 1,
            inline: true,
        })
    }

    /// The words from `at`, where the first of `left` begins with its length.
    #[inline]
    fn bulks(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
        words: &mut Words,
        mut at: usize,
        mut left: usize,
    ) -> Result<Decoded, RequestError> {
        while left > 0 {
            let (len, start) = match header::short(input, at, b'$') {
                Some(short) => short,
                None => match bulk_line(input, limits, at, at)? {
                    Line::Number { value, end } => (value, end),
                    Line::Unfinished { searched } => {
                        let progress = Progress::BulkLine { at, searched, left };
                        return Ok(self.suspend(progress, words, missing_in_bulk_line(input, at)));
                    }
                },
            };
            let end = check_bulk(len, start, limits)?;
            match input.get(end..).and_then(|after| after.first_chunk()) {
                Some(b"\r\n") => {}
                Some(_) => return Err(RequestError::LineEnd),
                None => {
                    let progress = Progress::Bulk {
                        at: start,
                        len,
                        left,
                    };
                    return Ok(self.suspend(progress, words, end + 2 - input.len()));
                }
            }
            words.push(start, len);
            at = end + 2;
            left -= 1;
        }
        Ok(Decoded::Complete {
            len: at,
            inline: false,
        })
    }

    /// As [`Self::bulks`], where the length of the first word was read before.
    fn bulk(
        &mut self,
        input: &[u8],
        limits: &RequestLimits,
        words: &mut Words,
        at: usize,
        len: usize,
        left: usize,
    ) -> Result<Decoded, RequestError> {
        let end = check_bulk(len, at, limits)?;
        match input.get(end..).and_then(|after| after.first_chunk()) {
            Some(b"\r\n") => {}
            Some(_) => return Err(RequestError::LineEnd),
            None => {
                let missing = (end + 2).saturating_sub(input.len());
                return Ok(self.suspend(Progress::Bulk { at, len, left }, words, missing));
            }
        }
        words.push(at, len);
        self.bulks(input, limits, words, end + 2, left - 1)
    }

    #[cold]
    fn suspend(&mut self, progress: Progress, words: &mut Words, missing: usize) -> Decoded {
        self.progress = progress;
        std::mem::swap(&mut self.unfinished, words);
        words.clear();
        Decoded::Incomplete {
            missing: missing.max(1),
        }
    }
}

/// A header line that may not have arrived whole.
enum Line {
    /// Its number, and where what follows it begins.
    Number { value: usize, end: usize },
    /// No line end before `searched`.
    Unfinished { searched: usize },
}

/// The line with the number of words, at the beginning of the input.
fn multibulk_line(
    input: &[u8],
    limits: &RequestLimits,
    searched: usize,
) -> Result<Line, RequestError> {
    let Some((text, end)) = line(input, limits, 0, searched, RequestError::MultibulkLine)? else {
        return Ok(Line::Unfinished {
            searched: input.len().saturating_sub(1),
        });
    };
    let count = header::number(&text[1..]).ok_or(RequestError::MultibulkLength)?;
    // Negative is none, as on the server.
    let count = usize::try_from(count).unwrap_or(0);
    if count > limits.max_args {
        return Err(too_many(count, limits));
    }
    Ok(Line::Number { value: count, end })
}

/// The line with the length of a word, which begins at `at`.
#[cold]
fn bulk_line(
    input: &[u8],
    limits: &RequestLimits,
    at: usize,
    searched: usize,
) -> Result<Line, RequestError> {
    let line = line(input, limits, at, searched, RequestError::BulkLine);
    match (line, input.get(at)) {
        (Ok(None), _) => Ok(Line::Unfinished {
            searched: input.len().saturating_sub(1).max(at),
        }),
        (Ok(Some(_)) | Err(RequestError::LineEnd), Some(&found)) if found != b'$' => {
            Err(RequestError::ExpectedBulk { found })
        }
        (Ok(Some((text, end))), _) => {
            let len = header::number(&text[1..]).and_then(|len| usize::try_from(len).ok());
            Ok(Line::Number {
                value: len.ok_or(RequestError::BulkLength)?,
                end,
            })
        }
        (Err(error), _) => Err(error),
    }
}

/// The line that begins at `at`, without its CR LF, and where the next begins; `None` if it is not all
/// there. `too_long` is the error for a line beyond the limit.
fn line<'a>(
    input: &'a [u8],
    limits: &RequestLimits,
    at: usize,
    searched: usize,
    too_long: RequestError,
) -> Result<Option<(&'a [u8], usize)>, RequestError> {
    let longest = limits.max_inline.saturating_add(1);
    let stop = input.len().min(at.saturating_add(longest));
    let unseen = input.get(searched..stop).unwrap_or_default();
    match memchr(b'\r', unseen) {
        Some(found) => {
            let end = searched + found;
            match input.get(end + 1) {
                None => Ok(None),
                Some(b'\n') => Ok(Some((&input[at..end], end + 2))),
                Some(_) => Err(RequestError::LineEnd),
            }
        }
        None if input.len().saturating_sub(at) >= longest => Err(too_long),
        None => Ok(None),
    }
}

/// Checks the length of a word that begins at `start`; returns where it ends.
#[inline(always)]
fn check_bulk(len: usize, start: usize, limits: &RequestLimits) -> Result<usize, RequestError> {
    if len > limits.max_bulk {
        return Err(too_long(len, limits));
    }
    // No overflow: `start` lies in a slice, and `len` was read as an `i64`.
    let end = start + len;
    if end + 2 > limits.max_request.min(u32::MAX as usize) {
        return Err(RequestError::RequestLength);
    }
    Ok(end)
}

#[cold]
fn too_many(count: usize, limits: &RequestLimits) -> RequestError {
    if !limits.logged_in && count <= RequestLimits::AFTER_LOGIN.max_args {
        RequestError::UnauthenticatedMultibulkLength
    } else {
        RequestError::MultibulkLength
    }
}

#[cold]
fn too_long(len: usize, limits: &RequestLimits) -> RequestError {
    if !limits.logged_in && len <= RequestLimits::AFTER_LOGIN.max_bulk {
        RequestError::UnauthenticatedBulkLength
    } else {
        RequestError::BulkLength
    }
}

/// The shortest word is 6 bytes: `$0`, CR LF twice.
fn missing_in_bulk_line(input: &[u8], at: usize) -> usize {
    (at + 6).saturating_sub(input.len())
}

#[cfg(test)]
mod tests;
