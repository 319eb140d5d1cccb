//! The order of replies on one client connection, without I/O.
//!
//! Every request that the gateway reads takes its place here: its reply comes from the upstream or
//! is already known. Bytes of the upstream pass through in the order in which they came, and what
//! the gateway itself answers is put between two of its replies.
//!
//! INVARIANT: what reaches the client is, request by request, the reply to that request. Pushes
//! (RESP3) and messages of subscriptions (RESP2) answer nothing and pass between replies.

use std::collections::VecDeque;

use keyward_resp::{Protocol, ReplyError, ReplyFramer};

use crate::head::Head;
use crate::sieve::Sieve;

/// Longest reply that is held back to be changed: 4 MiB.
const MOST_FILTERED: usize = 4 * 1024 * 1024;
/// Capacities beyond this are given back when the queue is empty.
const KEPT: usize = 1024;

/// Changes one whole reply of the upstream before the client sees it.
pub(crate) type Filter = fn(reply: &[u8], out: &mut Vec<u8>);

/// What becomes of the next reply of the upstream, or what stands between two of them.
#[derive(Debug)]
enum Entry {
    /// So many replies pass as they come.
    Forward(u32),
    /// So many replies are dropped.
    Drop(u32),
    /// So many bytes of our own.
    Local(usize),
    /// One reply, of which the caller wants to know how it ended.
    Marked { mark: Mark, forward: bool },
    /// Confirmations of one (un)subscription.
    Confirm { left: usize, active: bool },
    /// One reply that is changed.
    Filtered(Filter),
    /// So many replies that a sieve makes one of.
    Sieved {
        sieve: Box<Sieve>,
        left: u32,
        mark: Option<Mark>,
        bytes: usize,
    },
}

/// What a reply was expected for, where the caller has to act on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    /// A line of the gateway's own that opens the connection; an error means that the upstream
    /// cannot be used.
    Greeting,
    /// A line of the gateway's own on an open connection; an error leaves its state in doubt.
    Line,
    /// `SELECT` of this database number.
    Select(u8),
    /// `EXEC` of a transaction that selects this database number.
    Exec { select: Option<u8> },
    /// A command that may wait.
    Blocking,
    /// A subscription; told only when it was refused.
    Subscribe,
}

/// How a marked reply ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Marked {
    /// What it was expected for.
    pub(crate) mark: Mark,
    /// Its type byte: `-` is an error.
    pub(crate) kind: u8,
}

/// How far [`ReplyQueue::advance`] came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Advance {
    /// Bytes that were dealt with. What remains is looked at again with what follows.
    pub(crate) consumed: usize,
    /// A marked reply ended; there may be more behind it.
    pub(crate) marked: Option<Marked>,
}

/// Why nobody can tell any more which reply belongs to which request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum QueueError {
    /// Bytes that are no reply.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// A reply that nobody waits for.
    #[error("a reply that answers no request")]
    Unexpected,
    /// A reply that was to be changed is too long.
    #[error("a reply that must be changed is longer than {MOST_FILTERED} bytes")]
    TooLong,
}

/// What the reply that is just passing is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Passing {
    /// It answers the first entry.
    #[default]
    Answer,
    /// A RESP3 push.
    Push,
    /// RESP2 with a subscription: a message or an answer, as its first word will tell.
    Either,
}

/// The order of replies on one client connection.
#[derive(Debug, Default)]
pub(crate) struct ReplyQueue {
    entries: VecDeque<Entry>,
    /// Bytes of all `Local` entries.
    local: Vec<u8>,
    /// How many bytes of `local` are gone.
    local_at: usize,
    framer: ReplyFramer,
    passing: Passing,
    /// Beginning of the passing reply, where its first word matters.
    head: Head,
    /// What was held back of a filtered reply.
    held: Vec<u8>,
    /// Bytes of all sieves.
    sieves: usize,
    /// Whether a subscription is in force.
    subscribed: bool,
    /// Whether messages of subscriptions come as pushes (RESP3) and not as plain arrays.
    pushes: bool,
}

impl ReplyQueue {
    /// One reply of the upstream passes as it comes.
    #[inline]
    pub(crate) fn forward(&mut self) {
        if let Some(Entry::Forward(count)) = self.entries.back_mut()
            && *count < u32::MAX
        {
            *count += 1;
        } else {
            self.entries.push_back(Entry::Forward(1));
        }
    }

    /// One reply of the upstream is dropped.
    pub(crate) fn drop_one(&mut self) {
        if let Some(Entry::Drop(count)) = self.entries.back_mut()
            && *count < u32::MAX
        {
            *count += 1;
        } else {
            self.entries.push_back(Entry::Drop(1));
        }
    }

    /// One reply of which the caller is told how it ended.
    pub(crate) fn marked(&mut self, mark: Mark, forward: bool) {
        self.entries.push_back(Entry::Marked { mark, forward });
    }

    /// `count` confirmations of one (un)subscription; `active`: a subscription remains after it.
    pub(crate) fn confirmations(&mut self, count: usize, active: bool) {
        self.entries.push_back(Entry::Confirm {
            left: count.max(1),
            active,
        });
    }

    /// One reply is changed by `filter` before it passes.
    pub(crate) fn filtered(&mut self, filter: Filter) {
        self.entries.push_back(Entry::Filtered(filter));
    }

    /// Replies to a command that tells the names of keys, or to an `EXEC` of such commands.
    /// `requests`: bytes of these commands, of which it keeps a copy.
    pub(crate) fn sieved(&mut self, sieve: Sieve, mark: Option<Mark>, requests: usize) {
        let bytes = requests + size_of::<Sieve>();
        self.sieves += bytes;
        self.entries.push_back(Entry::Sieved {
            left: sieve.replies(),
            sieve: Box::new(sieve),
            mark,
            bytes,
        });
    }

    /// A reply of our own. It goes to `out` if nothing is before it, else it waits.
    #[inline]
    pub(crate) fn local(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        // What the client never sees holds nothing up: a login does not wait for the backend.
        let heard =
            |entry: &Entry| !matches!(entry, Entry::Drop(_) | Entry::Marked { forward: false, .. });
        if self.framer.is_between_replies()
            && self.entries.len() <= 4
            && !self.entries.iter().any(heard)
        {
            write(out);
            return;
        }
        let start = self.local.len();
        write(&mut self.local);
        let len = self.local.len() - start;
        if let Some(Entry::Local(bytes)) = self.entries.back_mut() {
            *bytes += len;
        } else {
            self.entries.push_back(Entry::Local(len));
        }
    }

    /// Whether no request waits for its reply.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a part of a reply has passed and the rest not yet.
    pub(crate) fn is_inside_reply(&self) -> bool {
        !self.framer.is_between_replies()
    }

    /// Bytes of our own that wait for replies before them, and of what will deal with replies.
    pub(crate) fn waiting_bytes(&self) -> usize {
        let own = self.local.len() - self.local_at;
        own + self.sieves + self.entries.len() * size_of::<Entry>()
    }

    /// The upstream speaks this protocol from its next reply on. Only while the queue is idle.
    pub(crate) fn speak(&mut self, protocol: Protocol) {
        self.pushes = protocol == Protocol::Resp3;
    }

    /// Deals with what the upstream sent, `input` beginning where the last call stopped. What the
    /// client is to see is appended to `out`. Stops after each marked reply; call again with the
    /// rest.
    ///
    /// # Errors
    ///
    /// If it is not clear any more which reply belongs to which request. Both connections are to
    /// be closed.
    pub(crate) fn advance(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Advance, QueueError> {
        let mut at = 0;
        // `input[run..at]` passes as it is: copied once for many replies.
        let mut run = 0;
        while at < input.len() {
            if self.framer.is_between_replies() {
                self.passing = self.begin(input[at])?;
            }
            let framed = self.framer.frame(&input[at..])?;
            let piece = at..at + framed.consumed;
            at = piece.end;
            if self.passing != Passing::Answer {
                self.head.push(&input[piece.clone()]);
            } else {
                match self.entries.front_mut() {
                    Some(Entry::Sieved { sieve, .. }) => {
                        out.extend_from_slice(&input[run..piece.start]);
                        run = at;
                        sieve.push(&input[piece], out)?;
                    }
                    Some(Entry::Drop(_) | Entry::Marked { forward: false, .. }) => {
                        out.extend_from_slice(&input[run..piece.start]);
                        run = at;
                    }
                    Some(Entry::Filtered(_)) => {
                        out.extend_from_slice(&input[run..piece.start]);
                        run = at;
                        if self.held.len() + piece.len() > MOST_FILTERED {
                            return Err(QueueError::TooLong);
                        }
                        self.held.extend_from_slice(&input[piece]);
                    }
                    _ => {}
                }
            }
            if !framed.complete {
                break;
            }
            let kind = self.framer.kind().unwrap_or(0);
            let ended = self.end(kind, &mut |bytes| {
                out.extend_from_slice(&input[run..at]);
                run = at;
                out.extend_from_slice(bytes);
            });
            if let Some(marked) = ended {
                out.extend_from_slice(&input[run..at]);
                return Ok(Advance {
                    consumed: at,
                    marked: Some(marked),
                });
            }
        }
        out.extend_from_slice(&input[run..at]);
        Ok(Advance {
            consumed: at,
            marked: None,
        })
    }

    /// What a reply is whose first byte is `first`.
    #[inline]
    fn begin(&mut self, first: u8) -> Result<Passing, QueueError> {
        if first == b'>' {
            self.head.clear();
            return Ok(Passing::Push);
        }
        let confirms = matches!(self.entries.front(), Some(Entry::Confirm { .. }));
        if first == b'*' && !self.pushes && (self.subscribed || confirms) {
            if matches!(self.entries.front(), Some(Entry::Sieved { .. })) {
                return Err(QueueError::Unexpected); // nobody can ask for keys while subscribed
            }
            self.head.clear();
            return Ok(Passing::Either);
        }
        if self.entries.is_empty() {
            return Err(QueueError::Unexpected);
        }
        Ok(Passing::Answer)
    }

    /// A reply has ended: takes it from the first entry, then puts what is ours behind it.
    #[inline]
    fn end(&mut self, kind: u8, emit: &mut dyn FnMut(&[u8])) -> Option<Marked> {
        let marked = match self.passing {
            Passing::Answer => self.answered(kind, emit),
            Passing::Push if self.head.is_confirmation() => self.confirmed(),
            Passing::Either if self.head.is_message() => None,
            Passing::Either if self.head.is_confirmation() => self.confirmed(),
            Passing::Either if !self.entries.is_empty() => self.answered(kind, emit),
            Passing::Push | Passing::Either => None,
        };
        while let Some(Entry::Local(bytes)) = self.entries.front() {
            emit(&self.local[self.local_at..self.local_at + bytes]);
            self.local_at += bytes;
            self.pop();
        }
        marked
    }

    #[inline]
    fn answered(&mut self, kind: u8, emit: &mut dyn FnMut(&[u8])) -> Option<Marked> {
        match self.entries.front_mut()? {
            Entry::Forward(count) | Entry::Drop(count) if *count > 1 => {
                *count -= 1;
                return None;
            }
            Entry::Marked { mark, .. } => {
                let marked = Marked { mark: *mark, kind };
                self.pop();
                return Some(marked);
            }
            Entry::Filtered(filter) => {
                let mut changed = Vec::new();
                filter(&self.held, &mut changed);
                self.held = Vec::new();
                emit(&changed);
            }
            Entry::Sieved { left, .. } if *left > 1 => {
                *left -= 1;
                return None;
            }
            Entry::Sieved { mark, bytes, .. } => {
                let marked = mark.map(|mark| Marked { mark, kind });
                self.sieves -= *bytes;
                self.pop();
                return marked;
            }
            // One error answers a whole subscription.
            Entry::Confirm { .. } => {
                self.pop();
                return Some(Marked {
                    mark: Mark::Subscribe,
                    kind,
                });
            }
            Entry::Forward(_) | Entry::Drop(_) | Entry::Local(_) => {}
        }
        self.pop();
        None
    }

    /// One confirmation of an (un)subscription.
    fn confirmed(&mut self) -> Option<Marked> {
        if let Some(Entry::Confirm { left, active }) = self.entries.front_mut() {
            *left -= 1;
            self.subscribed = *active || *left > 0;
            if *left == 0 {
                self.pop();
            }
        }
        None
    }

    fn pop(&mut self) {
        self.entries.pop_front();
        if self.entries.is_empty() {
            self.local.clear();
            self.local_at = 0;
            if self.local.capacity() + self.entries.capacity() > KEPT {
                self.local.shrink_to(0);
                self.entries.shrink_to(0);
            }
        }
    }

    /// The upstream could not be reached and nothing was sent to it: every request that waits for
    /// it is answered with `error` (a whole reply). Call only between replies.
    pub(crate) fn fail(&mut self, error: &[u8], out: &mut Vec<u8>) {
        for entry in self.entries.drain(..) {
            match entry {
                Entry::Forward(count) => (0..count).for_each(|_| out.extend_from_slice(error)),
                Entry::Marked { forward: true, .. }
                | Entry::Confirm { .. }
                | Entry::Filtered(_)
                | Entry::Sieved { .. } => out.extend_from_slice(error),
                Entry::Local(bytes) => {
                    out.extend_from_slice(&self.local[self.local_at..self.local_at + bytes]);
                    self.local_at += bytes;
                }
                Entry::Drop(_) | Entry::Marked { forward: false, .. } => {}
            }
        }
        *self = Self {
            pushes: self.pushes,
            ..Self::default()
        };
    }

    /// Forgets what the upstream left behind, after its connection was closed between replies.
    pub(crate) fn forget_upstream(&mut self) {
        self.framer = ReplyFramer::new();
        self.subscribed = false;
    }
}

#[cfg(test)]
mod tests;
