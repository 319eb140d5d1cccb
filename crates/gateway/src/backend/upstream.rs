//! The connection of one client to the server behind its database, without I/O.

use std::collections::VecDeque;

use keyward_iam::Permit;
use keyward_resp::{Protocol, encode_request};

use crate::reply_queue::{Mark, ReplyQueue};
use crate::shared::UpstreamPassword;

/// Whether there is a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    /// None; the next request makes one.
    Closed,
    /// Being made, or logging in to the server: nothing of the client has been sent.
    Opening,
    /// Requests pass.
    Open,
}

/// The connection of one client to the server behind its database. Every client has its own, so
/// what a client leaves behind on it concerns nobody else.
///
/// INVARIANT: what is sent is either covered by a [`Permit`] or one of the few lines written in
/// this file.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: Box<str>,
    user: Option<Box<str>>,
    password: Option<UpstreamPassword>,
    /// The password as it is sealed in the directory: tells whether it has changed.
    sealed: Option<Box<[u8]>>,
    /// The organisation that named the server; the operator's own are not asked for.
    organisation: Option<Box<str>>,
    status: Status,
    /// Our own first lines; requests wait until all of them are answered.
    greeting: Vec<u8>,
    unanswered: usize,
    /// What is to be sent, from `sent` on.
    outbox: Vec<u8>,
    sent: usize,
    /// Whether the connection has state that a new one would not have.
    sticky: bool,
    /// Requests that may be waiting at the server, to be decided again when something changes.
    blocked: VecDeque<Vec<u8>>,
    /// The last `CLIENT TRACKING ON`, by which the server tells of keys.
    tracking: Option<Vec<u8>>,
}

impl Upstream {
    pub(crate) fn new(
        address: &str,
        user: Option<&str>,
        password: Option<UpstreamPassword>,
    ) -> Self {
        Self {
            address: address.into(),
            user: user.map(Into::into),
            password,
            sealed: None,
            organisation: None,
            status: Status::Closed,
            greeting: Vec::new(),
            unanswered: 0,
            outbox: Vec::new(),
            sent: 0,
            sticky: false,
            blocked: VecDeque::new(),
            tracking: None,
        }
    }

    /// A server that an organisation named, with its sealed password.
    pub(crate) fn of(mut self, organisation: Option<&str>, sealed: Option<&[u8]>) -> Self {
        self.organisation = organisation.map(Into::into);
        self.sealed = sealed.map(Into::into);
        self
    }

    /// The organisation whose rules of addresses hold; none for the operator's own.
    pub(crate) fn organisation(&self) -> Option<&str> {
        self.organisation.as_deref()
    }

    /// Whether it logs in with this sealed password.
    pub(crate) fn has(&self, sealed: Option<&[u8]>) -> bool {
        self.sealed.as_deref() == sealed
    }

    /// `host:port`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether it goes to this server as this user.
    pub(crate) fn leads_to(&self, address: &str, user: Option<&str>) -> bool {
        *self.address == *address && self.user.as_deref() == user
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// Makes sure that there is or will be a connection in the state that the client's session
    /// has: logged in, with its protocol and its database number. `queue` has no request that
    /// waits for the server if there is none yet.
    #[inline]
    pub(crate) fn open(&mut self, protocol: Protocol, number: u8, queue: &mut ReplyQueue) {
        if self.status == Status::Closed {
            self.greet(protocol, number, queue);
        }
    }

    fn greet(&mut self, protocol: Protocol, number: u8, queue: &mut ReplyQueue) {
        self.status = Status::Opening;
        let mut lines = 0;
        let mut line = |words: &[&[u8]]| {
            encode_request(words.iter().copied(), &mut self.greeting);
            queue.marked(Mark::Greeting, false);
            lines += 1;
        };
        if let Some(password) = &self.password {
            match &self.user {
                Some(user) => line(&[b"AUTH", user.as_bytes(), password.expose()]),
                None => line(&[b"AUTH", password.expose()]),
            }
        }
        if protocol == Protocol::Resp3 {
            line(&[b"HELLO", b"3"]);
        }
        if number != 0 {
            line(&[b"SELECT", number.to_string().as_bytes()]);
        }
        self.unanswered = lines;
        queue.speak(protocol);
    }

    /// The server has accepted the connection.
    pub(crate) fn connected(&mut self) {
        if self.unanswered == 0 {
            self.status = Status::Open;
        }
    }

    /// One of our first lines was answered well.
    pub(crate) fn greeted(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.unanswered == 0 {
            self.greeting = Vec::new();
            self.status = Status::Open;
        }
    }

    /// Sends a request that was authorised.
    #[inline]
    pub(crate) fn send(&mut self, permit: &Permit<'_>) {
        self.outbox.extend_from_slice(permit.bytes());
    }

    /// Throws away what `MULTI` queued at the server.
    pub(crate) fn discard(&mut self) {
        encode_request([b"DISCARD".as_slice()].into_iter(), &mut self.outbox);
    }

    /// Changes the protocol of the replies to come.
    pub(crate) fn speak(&mut self, protocol: Protocol) {
        let version: &[u8] = if protocol == Protocol::Resp3 {
            b"3"
        } else {
            b"2"
        };
        encode_request([b"HELLO".as_slice(), version].into_iter(), &mut self.outbox);
    }

    /// Remembers that a new connection would not do in place of this one.
    pub(crate) fn stick(&mut self) {
        self.sticky = true;
    }

    pub(crate) fn is_sticky(&self) -> bool {
        self.sticky
    }

    /// Remembers a request that may wait at the server.
    pub(crate) fn block(&mut self, bytes: &[u8]) {
        self.blocked.push_back(bytes.to_vec());
    }

    /// The first request that may wait was answered.
    pub(crate) fn unblock(&mut self) {
        self.blocked.pop_front();
        if self.blocked.is_empty() {
            self.blocked = VecDeque::new();
        }
    }

    /// Remembers that the server tells of keys from now on, or does not any more.
    pub(crate) fn track(&mut self, request: Option<&[u8]>) {
        self.tracking = request.map(<[u8]>::to_vec);
    }

    /// Requests that are in force although they were sent long ago: those that may wait at the
    /// server, and the one that makes it tell of keys.
    pub(crate) fn standing(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.blocked.iter().chain(&self.tracking)
    }

    /// Bytes that wait to be sent.
    #[inline]
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox.len() - self.sent
    }

    /// What may be sent now.
    #[inline]
    pub(crate) fn to_send(&self) -> &[u8] {
        match self.status {
            Status::Open => &self.outbox[self.sent..],
            Status::Opening => &self.greeting,
            Status::Closed => &[],
        }
    }

    /// So much of [`Upstream::to_send`] was sent.
    #[inline]
    pub(crate) fn sent(&mut self, bytes: usize) {
        if self.status == Status::Opening {
            self.greeting.drain(..bytes);
        } else {
            self.sent += bytes;
            if self.sent == self.outbox.len() {
                self.outbox.clear();
                self.sent = 0;
            }
        }
    }

    /// Lends a buffer for what is to be sent, so that an idle connection owns none.
    #[inline]
    pub(crate) fn lend(&mut self, pool: &mut Vec<Vec<u8>>) {
        if self.outbox.capacity() == 0
            && let Some(buffer) = pool.pop()
        {
            self.outbox = buffer;
        }
    }

    /// Gives the buffer back if everything was sent.
    #[inline]
    pub(crate) fn give_back(&mut self, pool: &mut Vec<Vec<u8>>) {
        if self.outbox.is_empty() && self.outbox.capacity() != 0 {
            crate::io::give_back(std::mem::take(&mut self.outbox), pool);
        }
    }

    /// The connection is gone, or was never made.
    pub(crate) fn closed(&mut self) {
        self.status = Status::Closed;
        self.greeting = Vec::new();
        self.unanswered = 0;
        self.outbox = Vec::new();
        self.sent = 0;
        self.sticky = false;
        self.blocked = VecDeque::new();
        self.tracking = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_wait_until_the_server_has_accepted_our_login() {
        let password = UpstreamPassword::new("secret".to_owned());
        let mut upstream = Upstream::new("h:1", Some("u"), Some(password));
        let mut queue = ReplyQueue::default();
        upstream.open(Protocol::Resp3, 2, &mut queue);
        upstream.outbox.extend_from_slice(b"request");
        upstream.connected();
        assert_eq!(
            upstream.to_send(),
            b"*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$6\r\nsecret\r\n*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n"
        );
        upstream.sent(upstream.to_send().len());
        for _ in 0..3 {
            assert_eq!(
                (upstream.status(), upstream.to_send()),
                (Status::Opening, &b""[..])
            );
            upstream.greeted();
        }
        assert_eq!(
            (upstream.status(), upstream.to_send()),
            (Status::Open, &b"request"[..])
        );
        assert!(!format!("{upstream:?}").contains("secret\""));
    }

    #[test]
    fn a_server_without_password_needs_no_greeting() {
        let mut upstream = Upstream::new("h:1", None, None);
        let mut queue = ReplyQueue::default();
        upstream.open(Protocol::Resp2, 0, &mut queue);
        assert!(queue.is_idle());
        assert_eq!(upstream.status(), Status::Opening);
        upstream.connected();
        assert_eq!(upstream.status(), Status::Open);
    }
}
