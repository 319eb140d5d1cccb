//! Replies that tell the names of keys, without those that are not to be shown.
//!
//! A reply passes element by element: what is held back is never more than the keys that are shown,
//! up to a limit. Errors and nulls pass as they come, a cursor passes unchanged, and what is not
//! understood is answered with an error instead.

use std::fmt;

use keyward_resp::{Protocol, ReplyFramer, encode};

use crate::reply_queue::QueueError;

/// How often a random key is drawn until one may be shown.
pub(crate) const DRAWS: u32 = 32;

const NOT_UNDERSTOOD: &str = "ERR keyward: the server's list of keys is not understood";
const TOO_MANY: &str = "ERR keyward: too many keys for one reply, use SCAN";

/// Whether a key may be shown.
pub(crate) type Shows = Box<dyn Fn(&[u8]) -> bool + Send>;

/// How a command tells the names of keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Listing {
    /// A list of keys: `KEYS`.
    Keys,
    /// A cursor and a list of keys: `SCAN`.
    Page,
    /// One key: `RANDOMKEY`.
    One,
}

/// What becomes of the replies to one command.
pub(crate) enum Item {
    /// One reply, which passes as it is.
    Plain,
    /// One reply of a list, with the keys that may be shown.
    Listing { page: bool, shows: Shows },
    /// So many replies, of which the first that may be shown passes; null if there is none.
    Draws { replies: u32, shows: Shows },
}

impl Item {
    /// The replies to a command that lists keys; `RANDOMKEY` was sent `draws` times.
    pub(crate) fn new(listing: Listing, draws: u32, shows: Shows) -> Self {
        match listing {
            Listing::Keys => Self::Listing { page: false, shows },
            Listing::Page => Self::Listing { page: true, shows },
            Listing::One => Self::Draws {
                replies: draws,
                shows,
            },
        }
    }

    fn replies(&self) -> u32 {
        match self {
            Self::Plain | Self::Listing { .. } => 1,
            Self::Draws { replies, .. } => *replies,
        }
    }
}

/// Where in the reply to an `EXEC` the bytes are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whole {
    /// There is no `EXEC`: the items are replies.
    None,
    /// Before its first byte.
    Start,
    /// In the list of replies.
    Items,
    /// In an error or null that passes.
    Passes,
}

/// Where in a reply to be filtered the bytes are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    Start,
    Cursor,
    /// Before the number of keys.
    Number,
    /// So many keys are missing.
    Keys(u64),
    /// An error or null that is kept whole.
    Other,
    /// Nothing of it passes but this error.
    Refused(&'static str),
}

/// Filters the replies to one command, or to the commands of one transaction.
pub(crate) struct Sieve {
    whole: Whole,
    items: std::vec::IntoIter<Item>,
    item: Option<Item>,
    /// Replies that the current item still waits for.
    left: u32,
    protocol: Protocol,
    /// Bytes that may be held back.
    limit: usize,
    /// Frames the reply of an item.
    reply: ReplyFramer,
    /// Frames a part of it.
    part: ReplyFramer,
    place: Place,
    /// The beginning of a part.
    held: Vec<u8>,
    cursor: Vec<u8>,
    /// Keys to be shown, as they came.
    shown: Vec<u8>,
    count: usize,
    /// A draw that may be shown is found.
    drawn: bool,
}

impl fmt::Debug for Sieve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sieve")
            .field("whole", &self.whole)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Sieve {
    /// Filters the replies to one command.
    pub(crate) fn of_command(item: Item, protocol: Protocol, limit: usize) -> Self {
        Self::new(Whole::None, vec![item], protocol, limit)
    }

    /// Filters the reply to an `EXEC` of these commands.
    pub(crate) fn of_transaction(items: Vec<Item>, protocol: Protocol, limit: usize) -> Self {
        Self::new(Whole::Start, items, protocol, limit)
    }

    fn new(whole: Whole, items: Vec<Item>, protocol: Protocol, limit: usize) -> Self {
        let mut sieve = Self {
            whole,
            items: items.into_iter(),
            item: None,
            left: 0,
            protocol,
            limit,
            reply: ReplyFramer::new(),
            part: ReplyFramer::new(),
            place: Place::Start,
            held: Vec::new(),
            cursor: Vec::new(),
            shown: Vec::new(),
            count: 0,
            drawn: false,
        };
        sieve.next_item();
        sieve
    }

    /// How many replies of the upstream it takes.
    pub(crate) fn replies(&self) -> u32 {
        match self.whole {
            Whole::None => self.left,
            _ => 1,
        }
    }

    fn next_item(&mut self) {
        self.item = self.items.next();
        self.left = self.item.as_ref().map_or(0, Item::replies);
        self.drawn = false;
    }

    /// Takes the next bytes of what it filters, cut as a [`ReplyFramer`] cuts, and appends what the
    /// client is to see.
    ///
    /// # Errors
    ///
    /// If it is not clear any more which reply belongs to which command.
    pub(crate) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), QueueError> {
        let mut at = 0;
        if self.whole == Whole::Start && !input.is_empty() {
            at = self.begin_transaction(input, out)?;
        }
        if self.whole == Whole::Passes {
            out.extend_from_slice(input);
            return Ok(());
        }
        while at < input.len() {
            let framed = self.reply.frame(&input[at..])?;
            if framed.consumed == 0 || self.item.is_none() {
                return Err(QueueError::Unexpected);
            }
            let piece = &input[at..at + framed.consumed];
            at += framed.consumed;
            self.piece(piece, out)?;
            if framed.complete {
                self.end_reply(out);
            }
        }
        Ok(())
    }

    /// Filters replies that are there as a whole; an error if they are not understood.
    pub(crate) fn whole(mut self, replies: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let all = self.push(replies, out).is_ok();
        if !all || self.item.is_some() && self.whole != Whole::Passes {
            out.truncate(start);
            encode::error(out, NOT_UNDERSTOOD);
        }
    }

    /// The header of the reply to `EXEC`; tells how long it is.
    fn begin_transaction(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, QueueError> {
        let replies = match header(input) {
            Some((b'*', Some(replies), len)) => Some((replies, len)),
            _ if matches!(input.first(), Some(b'-' | b'_')) || input.starts_with(b"*-1") => None,
            _ => return Err(QueueError::Unexpected),
        };
        let Some((replies, len)) = replies else {
            self.whole = Whole::Passes;
            return Ok(0);
        };
        let first = u64::from(self.left);
        let rest = self.items.as_slice().iter();
        let expected = rest.fold(first, |sum, item| sum + u64::from(item.replies()));
        if replies != expected {
            return Err(QueueError::Unexpected);
        }
        self.whole = Whole::Items;
        let commands = usize::from(self.item.is_some()) + self.items.len();
        encode::array(out, commands);
        Ok(len)
    }

    /// The next bytes of the current item's reply.
    fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), QueueError> {
        match &self.item {
            None | Some(Item::Plain) => out.extend_from_slice(piece),
            Some(Item::Draws { .. }) if self.drawn => {}
            Some(Item::Draws { .. }) => self.keep(piece),
            Some(Item::Listing { .. }) => {
                let mut at = 0;
                while at < piece.len() {
                    at += self.listing(&piece[at..])?;
                }
            }
        }
        Ok(())
    }

    /// Keeps the bytes of a part.
    fn keep(&mut self, bytes: &[u8]) {
        if self.held.len() + self.shown.len() + bytes.len() > self.limit {
            self.refuse(TOO_MANY);
        } else if !matches!(self.place, Place::Refused(_)) {
            self.held.extend_from_slice(bytes);
        }
    }

    fn refuse(&mut self, text: &'static str) {
        if !matches!(self.place, Place::Refused(_)) {
            self.place = Place::Refused(text);
        }
        self.held = Vec::new();
        self.shown = Vec::new();
    }

    /// Takes the beginning of `input`, which is inside a list; tells how many bytes.
    fn listing(&mut self, input: &[u8]) -> Result<usize, QueueError> {
        let page = matches!(self.item, Some(Item::Listing { page: true, .. }));
        match self.place {
            Place::Start | Place::Number => {
                let inner = self.place == Place::Number;
                match header(input) {
                    Some((b'*', Some(2), len)) if page && !inner => {
                        self.place = Place::Cursor;
                        return Ok(len);
                    }
                    Some((b'*', Some(keys), len)) if page == inner => {
                        self.place = Place::Keys(keys);
                        return Ok(len);
                    }
                    _ if !inner && matches!(input.first(), Some(b'-' | b'_' | b'*')) => {
                        self.place = Place::Other;
                    }
                    _ => self.refuse(NOT_UNDERSTOOD),
                }
                Ok(0)
            }
            Place::Refused(_) => Ok(input.len()),
            Place::Other => {
                self.keep(input);
                Ok(input.len())
            }
            Place::Keys(0) => {
                self.refuse(NOT_UNDERSTOOD);
                Ok(input.len())
            }
            Place::Cursor | Place::Keys(_) => {
                let framed = self.part.frame(input)?;
                if framed.consumed == 0 {
                    return Err(QueueError::Unexpected);
                }
                let bytes = &input[..framed.consumed];
                if !framed.complete {
                    self.keep(bytes);
                } else if self.held.is_empty() {
                    self.end_part(bytes);
                } else {
                    self.keep(bytes);
                    let part = std::mem::take(&mut self.held);
                    self.end_part(&part);
                }
                Ok(framed.consumed)
            }
        }
    }

    /// A cursor or key is there as a whole.
    fn end_part(&mut self, part: &[u8]) {
        match self.place {
            Place::Cursor if part.len() <= 64 && text(part).is_some() => {
                self.cursor.extend_from_slice(part);
                self.place = Place::Number;
            }
            Place::Keys(left) => match (text(part), &self.item) {
                (Some(key), Some(Item::Listing { shows, .. })) => {
                    let shown = shows(key);
                    self.place = Place::Keys(left - 1);
                    if shown && self.shown.len() + part.len() > self.limit {
                        self.refuse(TOO_MANY);
                    } else if shown {
                        self.shown.extend_from_slice(part);
                        self.count += 1;
                    }
                }
                _ => self.refuse(NOT_UNDERSTOOD),
            },
            Place::Refused(_) => {}
            _ => self.refuse(NOT_UNDERSTOOD),
        }
    }

    /// One reply has ended.
    fn end_reply(&mut self, out: &mut Vec<u8>) {
        match &self.item {
            None | Some(Item::Plain) => {}
            Some(Item::Listing { page, .. }) => match self.place {
                Place::Keys(0) => {
                    if *page {
                        encode::array(out, 2);
                        out.append(&mut self.cursor);
                    }
                    encode::array(out, self.count);
                    out.append(&mut self.shown);
                }
                Place::Other if is_error_or_null(&self.held) => out.append(&mut self.held),
                Place::Refused(text) => encode::error(out, text),
                _ => encode::error(out, NOT_UNDERSTOOD),
            },
            Some(Item::Draws { shows, .. }) if !self.drawn => {
                let last = self.left == 1;
                let refused = matches!(self.place, Place::Refused(_));
                match text(&self.held) {
                    _ if refused => {} // a key of such a length is as good as hidden
                    Some(key) if !shows(key) => {}
                    Some(_) => self.drawn = true,
                    None if is_error_or_null(&self.held) => self.drawn = true,
                    None => {}
                }
                if self.drawn {
                    out.append(&mut self.held);
                } else if last {
                    encode::null(out, self.protocol);
                }
            }
            Some(Item::Draws { .. }) => {}
        }
        self.place = Place::Start;
        self.held = Vec::new();
        self.cursor = Vec::new();
        self.shown = Vec::new();
        self.count = 0;
        self.left -= 1;
        if self.left == 0 {
            self.next_item();
        }
    }
}

/// The type, number and length of a header line; no number if it is negative.
fn header(input: &[u8]) -> Option<(u8, Option<u64>, usize)> {
    let end = input.iter().take(24).position(|byte| *byte == b'\n')?;
    let kind = *input.first()?;
    let line = input.get(1..end)?.strip_suffix(b"\r")?;
    let number = std::str::from_utf8(line).ok()?;
    Some((kind, number.parse().ok(), end + 1))
}

/// The bytes of a string.
fn text(reply: &[u8]) -> Option<&[u8]> {
    match reply.first()? {
        b'$' => {
            let (_, len, at) = header(reply)?;
            let bytes = reply.get(at..)?.strip_suffix(b"\r\n")?;
            (bytes.len() as u64 == len?).then_some(bytes)
        }
        b'+' => reply[1..].strip_suffix(b"\r\n"),
        _ => None,
    }
}

fn is_error_or_null(reply: &[u8]) -> bool {
    matches!(reply.first(), Some(b'-' | b'_'))
        || reply.starts_with(b"*-1\r\n")
        || reply.starts_with(b"$-1\r\n")
}

#[cfg(test)]
mod tests;
