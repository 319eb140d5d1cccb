//! One client connection as a state machine, without I/O: bytes of the client and of the upstream
//! go in, bytes for both come out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keyward_auth::ClientCertificate;
use keyward_auth::InUse;
use keyward_commands::{CommandId, Touched, Words as _, resolve};
use keyward_iam::{
    Call, Connect, DatabaseIx, DecisionTable, Directory, Permit, Principal, Request, Session,
    SessionEnded, UnixMillis,
};
use keyward_net::Transport;
use keyward_resp::{
    Decoded, Protocol, RequestDecoder, RequestLimits, Words, encode, encode_request,
};

use super::handling::Handling;
use super::notifications::may_hear;
use super::subscriptions::Subscriptions;
use super::transaction::Transaction;
use super::words::RequestWords;
use crate::backend::Backend;
use crate::backend::upstream::Status;
use crate::metrics::{WorkerMetrics, count};
use crate::reply_queue::{Mark, QueueError, ReplyQueue};
use crate::settings::GatewaySettings;
use crate::shared::Shared;

/// Bytes that may wait for the upstream before the client has to wait.
const MOST_WAITING_FOR_UPSTREAM: usize = 1024 * 1024;

/// When a login is looked at again that waits for something to be fetched.
const ASKED_AGAIN_AFTER: Duration = Duration::from_millis(40);

/// What the gateway answers when the server behind a database cannot be used.
const UNAVAILABLE: &[u8] = b"-ERR keyward: backend unavailable, try again later\r\n";

/// What one turn of a connection works with.
pub(crate) struct Turn<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) settings: &'a GatewaySettings,
    pub(crate) metrics: &'a WorkerMetrics,
    /// What the client is to get.
    pub(crate) out: &'a mut Vec<u8>,
    /// How many bytes of `out` the client has got already.
    pub(crate) sent: usize,
    pub(crate) touched: &'a mut Touched,
    pub(crate) now: UnixMillis,
    /// Whether somebody watches every decision.
    pub(crate) watched: bool,
    pub(crate) allowed: u64,
}

/// A session on a database and what it may do.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) session: Session,
    pub(crate) database: DatabaseIx,
    pub(crate) table: Arc<DecisionTable>,
    /// When the session ends by itself.
    pub(crate) ends: Option<UnixMillis>,
    /// The credential that the connection uses, if somebody has logged in.
    pub(crate) in_use: Option<InUse>,
}

impl Open {
    /// Whether the session may go on: everything that it came from is in force, and its database is
    /// still there.
    fn check(&self, directory: &Directory, now: UnixMillis) -> Result<(), SessionEnded> {
        directory.check_session(&self.session, now)?;
        match directory.database(self.database) {
            Some(_) => Ok(()),
            None => Err(SessionEnded::DatabaseDeleted),
        }
    }
}

/// Who the client is.
#[derive(Debug)]
pub(crate) enum Access {
    /// Nobody; the session that there was has ended for this reason.
    Closed(Option<SessionEnded>),
    /// Somebody, or nobody where a resource policy accepts `unauthenticated`.
    Open(Box<Open>),
}

/// `CLIENT REPLY`
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Replies {
    #[default]
    On,
    Off,
    /// Not to the next command.
    SkipNext,
}

/// Why no further request is looked at for now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Hold {
    #[default]
    None,
    /// The next request needs every reply before it to be there.
    UntilIdle,
    /// A failed login is answered later.
    Delayed(Duration),
    /// The next request is looked at again later.
    Again(Duration),
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flow {
    /// It was answered, or will be.
    Done,
    /// It is to be looked at again when every reply before it is there.
    WaitUntilIdle,
    /// It is to be looked at again in a moment.
    AskAgain,
}

/// What the client says about itself.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) name: Box<[u8]>,
    pub(crate) library_name: Box<[u8]>,
    pub(crate) library_version: Box<[u8]>,
}

/// A name that was given.
pub(crate) fn client_name(about: &About) -> Option<&[u8]> {
    (!about.name.is_empty()).then_some(&*about.name)
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// What TLS tells of the client.
    pub(crate) transport: Transport,
    /// The certificate that it showed, whoever it opens.
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) queue: ReplyQueue,
    decoder: RequestDecoder,
    pub(crate) limits: RequestLimits,
    pub(crate) protocol: Protocol,
    /// Number of the selected keyspace of an upstream.
    pub(crate) number: u8,
    pub(crate) about: About,
    pub(crate) access: Access,
    /// The revision that `access` was made for.
    seen: u64,
    /// The revision by which the session was last found to hold: at least `seen`.
    looked: u64,
    /// The last command that was read.
    last: Option<CommandId>,
    pub(crate) backend: Backend,
    pub(crate) transaction: Option<Box<Transaction>>,
    pub(crate) subscriptions: Option<Box<Subscriptions>>,
    pub(crate) replies: Replies,
    /// Whether the request that is being dealt with gets no reply.
    pub(crate) quiet: bool,
    pub(crate) hold: Hold,
    /// Since when the next request, a login, waits for something to be fetched.
    pub(crate) pending_since: Option<UnixMillis>,
    /// The session ended while replies were outstanding.
    ending: Option<SessionEnded>,
    /// No further request is looked at; closed once everything is answered and sent.
    pub(crate) closing: bool,
    /// Nothing is certain any more: closed at once.
    pub(crate) broken: bool,
    /// Raised whenever the connection to the upstream is to be dropped.
    link: u32,
    /// Bytes that the unfinished request still needs, at least.
    missing: usize,
}

impl Client {
    /// A connection that was just accepted.
    pub(crate) fn new(
        id: u64,
        peer: SocketAddr,
        local: SocketAddr,
        transport: Transport,
        turn: &mut Turn<'_>,
    ) -> Self {
        let certificate = transport.certificates.clone();
        let certificate =
            certificate.and_then(|chain| ClientCertificate::read(chain, turn.now).ok());
        let mut client = Self {
            id,
            peer,
            local,
            transport,
            certificate,
            queue: ReplyQueue::default(),
            decoder: RequestDecoder::new(),
            limits: RequestLimits::BEFORE_LOGIN,
            protocol: Protocol::default(),
            number: 0,
            about: About::default(),
            access: Access::Closed(None),
            seen: turn.shared.revision.load(Ordering::Acquire),
            looked: turn.shared.revision.load(Ordering::Acquire),
            last: None,
            backend: Backend::None,
            transaction: None,
            subscriptions: None,
            replies: Replies::On,
            quiet: false,
            hold: Hold::None,
            pending_since: None,
            ending: None,
            closing: false,
            broken: false,
            link: 0,
            missing: 0,
        };
        client.open_without_login(turn);
        client
    }

    /// Whether nobody on the way can read or change what is sent.
    pub(crate) fn is_secure(&self) -> bool {
        self.transport.encrypted || keyward_net::is_loopback(self.peer.ip())
    }

    /// Whether somebody has logged in, or need not.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.access, Access::Open(_))
    }

    /// Whether the client waits for something that only the upstream decides, so that a change of
    /// the directory must be looked at without waiting for its next request.
    pub(crate) fn is_attentive(&self) -> bool {
        self.subscriptions.is_some()
            || matches!(&self.backend, Backend::Server(upstream) if upstream.standing().next().is_some())
    }

    /// How long what it may do stays as it is, if that ends by time alone.
    pub(crate) fn valid_for(&self, now: UnixMillis) -> Option<Duration> {
        let Access::Open(open) = &self.access else {
            return None;
        };
        let end = open.table.valid_until()?;
        // At least a moment, so that a clock that stands still does not keep the worker busy.
        Some(Duration::from_millis(end.0.saturating_sub(now.0).max(1)))
    }

    /// Which connection to the upstream is the client's; a change means that the last is dropped.
    pub(crate) fn link(&self) -> u32 {
        self.link
    }

    /// What the connection adds to a command that comes now.
    pub(crate) fn call(&self, now: UnixMillis) -> Call<'_> {
        let number = match (&self.backend, &self.transaction) {
            (_, Some(transaction)) if transaction.select.is_some() => transaction.select,
            (Backend::Embedded(embedded), _) => Some(embedded.number()),
            _ => Some(self.number),
        };
        Call {
            database_index: number.map_or(0, u32::from),
            client_name: client_name(&self.about),
            now,
        }
    }

    /// Bytes that the unfinished request still needs, at least.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// Whether requests may be looked at: nothing holds them up and there is room for what they
    /// bring about.
    pub(crate) fn may_receive(&self, unsent: usize, limit: usize) -> bool {
        let held = match self.hold {
            Hold::None => false,
            Hold::UntilIdle => !self.queue.is_idle(),
            Hold::Delayed(_) | Hold::Again(_) => true,
        };
        let upstream_full = matches!(&self.backend, Backend::Server(upstream)
            if upstream.waiting_bytes() > MOST_WAITING_FOR_UPSTREAM);
        !held
            && !self.closing
            && !upstream_full
            && unsent <= limit
            && self.queue.waiting_bytes() <= limit
    }

    /// Deals with requests at the beginning of `input` and tells how many bytes they took. Stops
    /// early when something has to be waited for ([`Client::may_receive`]).
    pub(crate) fn receive(
        &mut self,
        input: &[u8],
        words: &mut Words,
        inline: &mut Vec<u8>,
        turn: &mut Turn<'_>,
    ) -> usize {
        self.notice_changes(turn);
        let mut at = 0;
        let mut commands = 0;
        let limit = turn.settings.limits.unsent;
        while at < input.len() && self.may_receive(turn.out.len() - turn.sent, limit) {
            self.hold = Hold::None;
            if self.ending.is_some() && !self.end_session() {
                break;
            }
            match self.decoder.decode(&input[at..], &self.limits, words) {
                Ok(Decoded::Complete {
                    len,
                    inline: is_inline,
                }) => {
                    let mut bytes = &input[at..at + len];
                    self.missing = 0;
                    if !words.is_empty() {
                        let slices = words.of(bytes);
                        if is_inline {
                            inline.clear();
                            encode_request(slices.iter(), inline);
                            bytes = inline;
                        }
                        match self.request(RequestWords(slices), bytes, turn) {
                            Flow::Done => self.pending_since = None,
                            Flow::WaitUntilIdle => {
                                self.hold = Hold::UntilIdle;
                                break;
                            }
                            Flow::AskAgain => {
                                self.hold = Hold::Again(ASKED_AGAIN_AFTER);
                                break;
                            }
                        }
                        commands += 1;
                    }
                    at += len;
                }
                Ok(Decoded::Incomplete { missing }) => {
                    self.missing = missing;
                    break;
                }
                Err(error) => {
                    let reply = error.reply();
                    self.queue
                        .local(turn.out, |out| out.extend_from_slice(&reply));
                    self.closing = true;
                    at = input.len();
                }
            }
        }
        self.note_use(turn.now);
        count(&turn.metrics.commands, commands);
        count(&turn.metrics.allowed, std::mem::take(&mut turn.allowed));
        at
    }

    /// One request.
    #[inline]
    fn request(&mut self, words: RequestWords<'_>, bytes: &[u8], turn: &mut Turn<'_>) -> Flow {
        let Ok(command) = resolve(&words) else {
            return self.unknown(words, turn);
        };
        self.last = Some(command);
        let handling = Handling::of(command);
        // The way of nearly every command: decided by the table, forwarded as it came.
        if handling == Handling::Plain
            && let Access::Open(open) = &self.access
            && let Backend::Server(upstream) = &mut self.backend
            && self.transaction.is_none()
            && self.subscriptions.is_none()
            && self.replies == Replies::On
            && !turn.watched
            && command.command().arity_fits(words.len())
        {
            let request = Request {
                command,
                words: &words,
                bytes,
                call: Call {
                    database_index: u32::from(self.number),
                    client_name: client_name(&self.about),
                    now: turn.now,
                },
            };
            if let Ok(permit) = open.table.authorize(&request, turn.touched) {
                upstream.open(self.protocol, self.number, &mut self.queue);
                upstream.send(&permit);
                self.queue.forward();
                turn.allowed += 1;
                return Flow::Done;
            }
        }
        self.unusual(words, bytes, command, handling, turn)
    }

    /// Any request, step by step.
    fn unusual(
        &mut self,
        words: RequestWords<'_>,
        bytes: &[u8],
        command: CommandId,
        handling: Handling,
        turn: &mut Turn<'_>,
    ) -> Flow {
        let always = matches!(
            handling,
            Handling::Auth | Handling::Hello | Handling::Quit | Handling::Reset
        );
        if !always && !self.is_open() {
            return self.not_logged_in(turn);
        }
        self.quiet = match self.replies {
            Replies::On => false,
            Replies::Off => true,
            Replies::SkipNext => {
                self.replies = Replies::On;
                true
            }
        };
        let info = command.command();
        if !info.arity_fits(words.len()) {
            let text = format!("ERR wrong number of arguments for '{}' command", info.name);
            return self.refuse(&text, turn);
        }
        match handling {
            Handling::Auth => return self.auth(words, turn),
            Handling::Hello => return self.hello(words, turn),
            Handling::Quit => {
                self.answer(turn, |out| encode::simple(out, "OK"));
                self.closing = true;
                return Flow::Done;
            }
            Handling::Reset => return self.reset(turn),
            _ => {}
        }
        let subscribed = self.protocol == Protocol::Resp2 && self.subscriptions.is_some();
        let for_subscribers = matches!(
            handling,
            Handling::Subscribe(_) | Handling::Unsubscribe(_) | Handling::Ping
        );
        if subscribed && !for_subscribers {
            let text = format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context",
                info.name
            );
            return self.refuse(&text, turn);
        }
        let Access::Open(open) = &self.access else {
            return self.not_logged_in(turn);
        };
        let request = Request {
            command,
            words: &words,
            bytes,
            call: self.call(turn.now),
        };
        match open.table.authorize(&request, turn.touched) {
            Ok(permit) => {
                turn.allowed += 1;
                if turn.watched {
                    self.record_allowed(words, turn);
                }
                self.allowed(&permit, words, handling, turn)
            }
            Err(_) => {
                self.deny(words, Some(command), turn);
                Flow::Done
            }
        }
    }

    /// Notes that the credential is in use.
    #[inline]
    fn note_use(&mut self, now: UnixMillis) {
        if let Access::Open(open) = &mut self.access
            && let Some(in_use) = &mut open.in_use
            && let Some(command) = self.last
        {
            in_use.note(now, command.command().name);
        }
    }

    /// A reply of our own to the request that is being dealt with.
    pub(crate) fn answer(&mut self, turn: &mut Turn<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.quiet {
            self.queue.local(turn.out, write);
        }
    }

    /// Refuses a request with an error; inside `MULTI` the whole transaction.
    pub(crate) fn refuse(&mut self, text: &str, turn: &mut Turn<'_>) -> Flow {
        if let Some(transaction) = &mut self.transaction {
            transaction.refuse();
        }
        self.answer(turn, |out| encode::error(out, text));
        Flow::Done
    }

    /// Passes an allowed request on to the upstream, whose reply passes back.
    pub(crate) fn forward(&mut self, permit: &Permit<'_>) {
        self.send(permit);
        match self.quiet {
            true => self.queue.drop_one(),
            false => self.queue.forward(),
        }
    }

    /// Passes an allowed request on; `mark` tells how its reply ended.
    pub(crate) fn forward_marked(&mut self, permit: &Permit<'_>, mark: Mark) {
        self.send(permit);
        self.queue.marked(mark, !self.quiet);
    }

    /// Passes an allowed request on. The caller says what replies are expected.
    pub(crate) fn send(&mut self, permit: &Permit<'_>) {
        if let Backend::Server(upstream) = &mut self.backend {
            upstream.open(self.protocol, self.number, &mut self.queue);
            upstream.send(permit);
        }
    }

    /// Deals with what the upstream sent and tells how many bytes it took.
    ///
    /// # Errors
    ///
    /// The upstream's bytes make no sense; both connections are to be closed.
    pub(crate) fn deliver(
        &mut self,
        input: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<usize, QueueError> {
        let mut at = 0;
        loop {
            let advance = self.queue.advance(&input[at..], turn.out)?;
            at += advance.consumed;
            let Some(marked) = advance.marked else {
                return Ok(at);
            };
            let failed = marked.kind == b'-';
            let Backend::Server(upstream) = &mut self.backend else {
                return Ok(at);
            };
            match marked.mark {
                Mark::Greeting if failed => {
                    tracing::warn!(
                        address = upstream.address(),
                        "the backend refuses our login"
                    );
                    self.unreachable(turn);
                    return Ok(input.len());
                }
                Mark::Greeting => upstream.greeted(),
                Mark::Line => self.broken |= failed,
                Mark::Select(number) if !failed => self.number = number,
                Mark::Exec {
                    select: Some(number),
                } if !failed => self.number = number,
                Mark::Select(_) | Mark::Exec { .. } => {}
                Mark::Blocking => upstream.unblock(),
                // What the server has subscribed to is not known any more.
                Mark::Subscribe => self.closing = true,
            }
        }
    }

    /// Nothing of the client's requests was sent: each is answered with an error.
    pub(crate) fn unreachable(&mut self, turn: &mut Turn<'_>) {
        count(&turn.metrics.upstream_errors, 1);
        self.queue.fail(UNAVAILABLE, turn.out);
        self.queue.forget_upstream();
        if let Backend::Server(upstream) = &mut self.backend {
            upstream.closed();
        }
        self.transaction = None;
        self.subscriptions = None;
        self.link += 1;
    }

    /// The upstream closed the connection.
    pub(crate) fn upstream_lost(&mut self, turn: &mut Turn<'_>) {
        let Backend::Server(upstream) = &mut self.backend else {
            return;
        };
        if upstream.status() == Status::Opening {
            self.unreachable(turn);
            return;
        }
        let nothing_lost = self.queue.is_idle()
            && !self.queue.is_inside_reply()
            && !upstream.is_sticky()
            && self.transaction.is_none()
            && self.subscriptions.is_none();
        if nothing_lost {
            upstream.closed();
            self.queue.forget_upstream();
            self.link += 1;
        } else {
            // Nobody knows which of the outstanding requests were carried out.
            count(&turn.metrics.upstream_errors, 1);
            self.broken = true;
        }
    }

    /// Drops the backend and everything that hangs on it.
    pub(crate) fn drop_backend(&mut self) {
        self.backend = Backend::None;
        self.queue.forget_upstream();
        self.transaction = None;
        self.subscriptions = None;
        self.number = 0;
        self.link += 1;
    }

    /// How long the session lasts, if it ends by itself.
    pub(crate) fn session_ends_in(&self, now: UnixMillis) -> Option<Duration> {
        let Access::Open(open) = &self.access else {
            return None;
        };
        let end = open.ends?;
        // As in `valid_for`.
        Some(Duration::from_millis(end.0.saturating_sub(now.0).max(1)))
    }

    /// Whether the session of an idle connection may have ended since this was last looked at.
    pub(crate) fn must_be_looked_after(&self, shared: &Shared) -> bool {
        let Access::Open(open) = &self.access else {
            return false;
        };
        open.session.principal != Principal::Unauthenticated
            && (open.ends.is_some() || self.looked != shared.revision.load(Ordering::Acquire))
    }

    /// Ends the session of an idle connection if it holds no longer; true if it did. What is still
    /// outstanding is waited for.
    pub(crate) fn look_after_session(&mut self, turn: &mut Turn<'_>) -> bool {
        let revision = turn.shared.revision.load(Ordering::Acquire);
        let Access::Open(open) = &mut self.access else {
            return false;
        };
        let ended = open.ends.is_some_and(|end| turn.now >= end);
        if (!ended && revision == self.looked) || !self.queue.is_idle() {
            return false;
        }
        self.looked = revision;
        let directory = turn.shared.directory.load_full();
        match open.check(&directory, turn.now) {
            Ok(()) => {
                open.ends = directory.session_end(&open.session, turn.now);
                false
            }
            Err(ended) => {
                self.ending = Some(ended);
                self.end_session()
            }
        }
    }

    /// Whether the session that there was has ended, and nobody has logged in since.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.access, Access::Closed(Some(_)))
    }

    /// Looks whether the directory has changed, once for each batch of requests.
    pub(crate) fn notice_changes(&mut self, turn: &mut Turn<'_>) {
        let revision = turn.shared.revision.load(Ordering::Acquire);
        let expired = matches!(&self.access, Access::Open(open)
            if open.table.valid_until().is_some_and(|end| turn.now >= end));
        if revision != self.seen || expired {
            self.seen = revision;
            self.looked = revision;
            self.renew(turn);
        }
    }

    /// Decides anew what the session may do.
    fn renew(&mut self, turn: &mut Turn<'_>) {
        let directory = turn.shared.directory.load_full();
        let attentive = self.is_attentive();
        let Access::Open(open) = &mut self.access else {
            if matches!(self.access, Access::Closed(None)) {
                self.open_without_login(turn);
            }
            return;
        };
        if let Err(ended) = open.check(&directory, turn.now) {
            self.ending = Some(ended);
            self.broken |= attentive;
            return;
        }
        open.ends = directory.session_end(&open.session, turn.now);
        open.table = turn.shared.tables().table(
            &directory,
            &open.session,
            open.database,
            turn.settings.allow_administration,
            turn.now,
        );
        let nobody = open.session.principal == Principal::Unauthenticated;
        if nobody && open.table.may_connect() != Connect::Allowed && !attentive {
            self.ending_unauthenticated();
            return;
        }
        if !self.backend.is_current(&directory, open.database) {
            // Data and state are somewhere else now; what waits there is waited for no longer.
            self.closing = true;
            self.broken |= attentive;
            return;
        }
        if attentive && !self.still_holds(turn) {
            self.broken = true;
        }
    }

    /// Whether everything that stands open (subscriptions, waiting commands) may still be.
    pub(crate) fn still_holds(&self, turn: &mut Turn<'_>) -> bool {
        let Access::Open(open) = &self.access else {
            return false;
        };
        let call = self.call(turn.now);
        let holds = |words: &[&[u8]], touched: &mut Touched| {
            resolve(words).is_ok_and(|command| {
                let request = Request {
                    command,
                    words,
                    bytes: &[],
                    call,
                };
                open.table.authorize(&request, touched).is_ok()
            })
        };
        let subscribed = self.subscriptions.iter().flat_map(|all| all.iter());
        for (namespace, name) in subscribed {
            if !holds(&[namespace.command(), name], turn.touched)
                || !may_hear(namespace, name, &open.table, &call, turn.touched)
            {
                return false;
            }
        }
        let Backend::Server(upstream) = &self.backend else {
            return true;
        };
        upstream.standing().all(|bytes| {
            let mut words = Words::default();
            let limits = &RequestLimits::AFTER_LOGIN;
            match RequestDecoder::new().decode(bytes, limits, &mut words) {
                Ok(Decoded::Complete { .. }) => {
                    let words: Vec<_> = words.of(bytes).iter().collect();
                    holds(&words, turn.touched)
                }
                _ => false,
            }
        })
    }

    /// Ends the session as soon as nothing is outstanding; true once that is done.
    fn end_session(&mut self) -> bool {
        if !self.queue.is_idle() {
            self.hold = Hold::UntilIdle;
            return false;
        }
        let reason = self.ending.take();
        self.drop_backend();
        self.access = Access::Closed(reason);
        self.limits = RequestLimits::BEFORE_LOGIN;
        true
    }

    /// `unauthenticated` is not accepted any more.
    fn ending_unauthenticated(&mut self) {
        if self.queue.is_idle() {
            self.drop_backend();
            self.access = Access::Closed(None);
        }
    }

    /// Lets a client in that has not logged in: as the identity of its certificate, or if the policy
    /// of the listener's default database accepts `unauthenticated`.
    pub(crate) fn open_without_login(&mut self, turn: &mut Turn<'_>) {
        if self.open_by_certificate(turn) {
            return;
        }
        let Some(database) = turn.settings.default_database else {
            return;
        };
        let directory = turn.shared.directory.load_full();
        let mut session = Session::unauthenticated();
        session.source = Some(self.peer.ip().to_canonical());
        session.secure = self.is_secure();
        let table = turn.shared.tables().table(
            &directory,
            &session,
            database,
            turn.settings.allow_administration,
            turn.now,
        );
        if directory.database(database).is_some() && table.may_connect() == Connect::Allowed {
            self.enter(&directory, session, database, table, turn);
        }
    }

    /// Begins a session on a database.
    pub(crate) fn enter(
        &mut self,
        directory: &Directory,
        session: Session,
        database: DatabaseIx,
        table: Arc<DecisionTable>,
        turn: &mut Turn<'_>,
    ) {
        self.drop_backend();
        self.backend = Backend::of(turn.shared, directory, database, self.protocol);
        if session.principal != Principal::Unauthenticated {
            self.limits = RequestLimits::AFTER_LOGIN;
            if let Backend::Server(upstream) = &mut self.backend {
                upstream.open(self.protocol, self.number, &mut self.queue);
            }
        }
        let path = directory
            .database(database)
            .map_or("deleted", |found| &found.path);
        let in_use = turn
            .shared
            .verifier
            .usage
            .connected(&session, directory, path);
        self.access = Access::Open(Box::new(Open {
            ends: directory.session_end(&session, turn.now),
            in_use,
            session,
            database,
            table,
        }));
    }

    /// Forgets everything that the client has done on this connection, as `RESET` does.
    pub(crate) fn start_over(&mut self, turn: &mut Turn<'_>) {
        self.drop_backend();
        self.protocol = Protocol::default();
        self.replies = Replies::On;
        self.about.name = Box::default();
        self.access = Access::Closed(None);
        self.limits = RequestLimits::BEFORE_LOGIN;
        self.open_without_login(turn);
    }

    fn reset(&mut self, turn: &mut Turn<'_>) -> Flow {
        if !self.queue.is_idle() {
            return Flow::WaitUntilIdle;
        }
        self.start_over(turn);
        self.quiet = false;
        self.answer(turn, |out| encode::simple(out, "RESET"));
        Flow::Done
    }
}

/// Whether a word begins an HTTP request that somebody was tricked into sending here.
pub(crate) fn is_http(words: RequestWords<'_>) -> bool {
    words.len() > 0 && (words.is(0, "POST") || words.is(0, "Host:"))
}
