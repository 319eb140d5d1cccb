//! One client connection as a task: moves bytes between the client, the state machine and the
//! upstream. One poll function serves both directions; no channel, no task per direction, and an
//! idle connection owns no buffer.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use keyward_commands::Touched;
use keyward_net::{ConnectionSlot, Stream};
use keyward_resp::Words;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::backend::Backend;
use crate::backend::upstream::Status;
use crate::frontend::client::{Client, Hold, Turn};
use crate::metrics::count;
use crate::shared::now;
use crate::worker::Worker;

/// Bytes read at once.
const READ: usize = 64 * 1024;
/// Bytes that may wait for the client before its upstream is not read any more.
const MOST_WAITING_FOR_CLIENT: usize = 1024 * 1024;
/// Rounds of reading and writing before another connection has its turn.
const ROUNDS: usize = 16;
/// Largest buffer that goes back to the pool.
const LARGEST_POOLED: usize = 256 * 1024;
/// Most buffers in the pool.
const MOST_POOLED: usize = 16;

/// What all connections of a worker use in turn.
#[derive(Debug)]
pub(crate) struct Scratch {
    read: Box<[u8]>,
    words: Words,
    touched: Touched,
    /// An inline request, encoded anew.
    inline: Vec<u8>,
    /// Empty buffers.
    pool: Vec<Vec<u8>>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            read: vec![0; READ].into_boxed_slice(),
            words: Words::default(),
            touched: Touched::default(),
            inline: Vec::new(),
            pool: Vec::new(),
        }
    }
}

/// Puts a buffer into the pool, if it is worth it.
pub(crate) fn give_back(mut buffer: Vec<u8>, pool: &mut Vec<Vec<u8>>) {
    if buffer.capacity() <= LARGEST_POOLED && pool.len() < MOST_POOLED {
        buffer.clear();
        pool.push(buffer);
    }
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// The socket to the upstream.
enum Link {
    None,
    Connecting(Connecting),
    Open(TcpStream),
}

/// The connection is over.
struct Over;

/// One client connection.
pub(crate) struct Connection {
    worker: Arc<Worker>,
    /// Its place in the worker's registry, from its first poll on.
    place: Option<usize>,
    io: Io,
    _slot: ConnectionSlot,
}

struct Io {
    socket: Stream,
    client: Client,
    link: Link,
    /// Which link of the client `link` is.
    link_number: u32,
    /// What was read from the client and not dealt with.
    input: Vec<u8>,
    /// What the client is to get, from `sent` on.
    output: Vec<u8>,
    sent: usize,
    /// Whether TLS may hold back something of what was sent.
    unflushed: bool,
    /// The beginning of a header from the upstream.
    partial: Vec<u8>,
    client_gone: bool,
    attentive: bool,
    login_by: Option<Instant>,
    delayed_until: Option<Instant>,
    stalled_at: Option<Instant>,
    gone_by: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// Takes over a socket that was just accepted.
    pub(crate) fn new(
        worker: Arc<Worker>,
        socket: Stream,
        slot: ConnectionSlot,
    ) -> io::Result<Self> {
        let (peer, local) = (socket.socket().peer_addr()?, socket.socket().local_addr()?);
        let transport = socket.transport();
        let id = worker.shared.connection_id();
        let mut output = Vec::new();
        let mut scratch = worker.scratch();
        let mut turn = turn(&worker, &mut output, 0, &mut scratch.touched);
        let client = Client::new(id, peer, local, transport, &mut turn);
        drop(scratch);
        let login_by = Instant::now() + worker.settings.limits.login;
        let io = Io {
            socket,
            client,
            link: Link::None,
            link_number: 0,
            input: Vec::new(),
            output,
            sent: 0,
            unflushed: false,
            partial: Vec::new(),
            client_gone: false,
            attentive: false,
            login_by: Some(login_by),
            delayed_until: None,
            stalled_at: None,
            gone_by: None,
            timer: None,
        };
        Ok(Self {
            worker,
            place: None,
            io,
            _slot: slot,
        })
    }
}

fn turn<'a>(
    worker: &'a Worker,
    out: &'a mut Vec<u8>,
    sent: usize,
    touched: &'a mut Touched,
) -> Turn<'a> {
    let now = now();
    Turn {
        shared: &worker.shared,
        settings: &worker.settings,
        metrics: &worker.metrics,
        out,
        sent,
        touched,
        now,
        watched: worker.shared.log.watched(now),
        allowed: 0,
    }
}

impl Future for Connection {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let worker = &*this.worker;
        let place = *this
            .place
            .get_or_insert_with(|| worker.registry().add(context.waker()));
        let mut scratch = worker.scratch();
        let io = &mut this.io;
        io.lend(&mut scratch.pool);
        let poll = io.rounds(context, worker, &mut scratch);
        io.give_back(&mut scratch.pool);
        drop(scratch);
        if poll.is_ready() {
            // Tells a client with TLS that nothing was cut off, if its socket takes that at once.
            let _ = Pin::new(&mut io.socket).poll_shutdown(context);
        }
        let attentive = io.client.is_attentive();
        if attentive != io.attentive {
            io.attentive = attentive;
            worker.registry().set_attentive(place, attentive);
        }
        poll
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.worker.registry().remove(place);
        }
        self.worker.closed();
    }
}

impl Io {
    #[inline]
    fn lend(&mut self, pool: &mut Vec<Vec<u8>>) {
        if self.output.capacity() == 0
            && let Some(buffer) = pool.pop()
        {
            self.output = buffer;
        }
        if let Backend::Server(upstream) = &mut self.client.backend {
            upstream.lend(pool);
        }
    }

    #[inline]
    fn give_back(&mut self, pool: &mut Vec<Vec<u8>>) {
        if self.output.is_empty() && self.output.capacity() != 0 {
            give_back(std::mem::take(&mut self.output), pool);
        }
        if let Backend::Server(upstream) = &mut self.client.backend {
            upstream.give_back(pool);
        }
    }

    /// Reads and writes until nothing moves any more.
    fn rounds(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        scratch: &mut Scratch,
    ) -> Poll<()> {
        if self.attentive {
            let mut turn = turn(worker, &mut self.output, self.sent, &mut scratch.touched);
            self.client.notice_changes(&mut turn);
        }
        for _ in 0..ROUNDS {
            let moved = match self.round(context, worker, scratch) {
                Ok(moved) => moved,
                Err(Over) => return Poll::Ready(()),
            };
            if self.is_over(worker) {
                return Poll::Ready(());
            }
            if moved {
                continue;
            }
            return match self.wait(context, worker, scratch) {
                Ok(false) => Poll::Pending,
                Ok(true) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                Err(Over) => Poll::Ready(()),
            };
        }
        // Whoever always has something to say does not stay longer for it.
        if self.wait(context, worker, scratch).is_err() {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether nothing is left to be done.
    fn is_over(&self, worker: &Worker) -> bool {
        if self.client.broken {
            return true;
        }
        let ending = self.client.closing || self.client_gone || worker.is_draining();
        if !ending {
            return false;
        }
        if self.client_gone && self.client.is_attentive() {
            return true; // nobody would read what it waits for
        }
        if worker.is_draining() && self.client.is_attentive() {
            return true;
        }
        let unread = !self.input.is_empty() && self.client.missing() == 0 && !self.client.closing;
        self.client.queue.is_idle() && self.output.is_empty() && !self.unflushed && !unread
    }

    /// Reads from both sides, then writes to both. True if anything moved.
    #[inline]
    fn round(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        scratch: &mut Scratch,
    ) -> Result<bool, Over> {
        let mut moved = false;
        self.follow_link();
        if !matches!(self.link, Link::None) {
            moved |= self.read_upstream(context, worker, scratch)?;
        }
        moved |= self.read_client(context, worker, scratch)?;
        // What was read may have ended the link and asked for a new one: nothing goes to the old.
        self.follow_link();
        if let Backend::Server(upstream) = &self.client.backend {
            if upstream.status() == Status::Opening && matches!(self.link, Link::None) {
                self.connect(worker);
                moved = true;
            }
            moved |= self.write_upstream(context, worker, scratch);
        }
        moved |= self.write_client(context)?;
        Ok(moved)
    }

    /// Drops the socket to an upstream that the client has left.
    #[inline]
    fn follow_link(&mut self) {
        if self.link_number != self.client.link() {
            self.link_number = self.client.link();
            self.link = Link::None;
            self.partial = Vec::new();
        }
    }

    fn connect(&mut self, worker: &Worker) {
        let Backend::Server(upstream) = &self.client.backend else {
            return;
        };
        let address = upstream.address().to_owned();
        let limit = worker.settings.limits.connect;
        let organisation = upstream.organisation().map(str::to_owned);
        let shared = Arc::clone(&worker.shared);
        self.link = Link::Connecting(Box::pin(async move {
            let stream = shared
                .reach(organisation.as_deref(), &address, limit)
                .await?;
            keyward_net::connect_options(&stream)?;
            Ok(stream)
        }));
    }

    fn read_upstream(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        scratch: &mut Scratch,
    ) -> Result<bool, Over> {
        if let Link::Connecting(connecting) = &mut self.link {
            return Ok(match connecting.as_mut().poll(context) {
                Poll::Pending => false,
                Poll::Ready(Ok(stream)) => {
                    count(&worker.metrics.upstream_connections, 1);
                    if let Backend::Server(upstream) = &mut self.client.backend {
                        upstream.connected();
                    }
                    self.link = Link::Open(stream);
                    true
                }
                Poll::Ready(Err(error)) => {
                    if let Backend::Server(upstream) = &self.client.backend {
                        tracing::warn!(%error, address = upstream.address(), "cannot reach the backend");
                    }
                    let mut turn = turn(worker, &mut self.output, self.sent, &mut scratch.touched);
                    self.client.unreachable(&mut turn);
                    true
                }
            });
        }
        let Link::Open(stream) = &mut self.link else {
            return Ok(false);
        };
        if self.output.len() - self.sent > MOST_WAITING_FOR_CLIENT {
            return Ok(false);
        }
        let kept = self.partial.len();
        scratch.read[..kept].copy_from_slice(&self.partial);
        let mut buffer = ReadBuf::new(&mut scratch.read[kept..]);
        let read = match Pin::new(stream).poll_read(context, &mut buffer) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(())) => buffer.filled().len(),
            Poll::Ready(Err(_)) => 0,
        };
        let mut turn = turn(worker, &mut self.output, self.sent, &mut scratch.touched);
        if read == 0 {
            self.client.upstream_lost(&mut turn);
            return Ok(true);
        }
        let input = &scratch.read[..kept + read];
        match self.client.deliver(input, &mut turn) {
            Ok(consumed) => {
                let rest = &input[consumed..];
                if rest.is_empty() {
                    self.partial.clear();
                } else {
                    self.partial = rest.to_vec();
                }
                Ok(true)
            }
            Err(error) => {
                tracing::warn!(%error, id = self.client.id, "the backend's reply makes no sense: closed");
                Err(Over)
            }
        }
    }

    fn write_upstream(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        scratch: &mut Scratch,
    ) -> bool {
        let (Backend::Server(upstream), Link::Open(stream)) =
            (&mut self.client.backend, &mut self.link)
        else {
            return false;
        };
        let mut moved = false;
        while !upstream.to_send().is_empty() {
            match Pin::new(&mut *stream).poll_write(context, upstream.to_send()) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    upstream.sent(written);
                    moved = true;
                }
                Poll::Pending => break,
                Poll::Ready(_) => {
                    let mut turn = turn(worker, &mut self.output, self.sent, &mut scratch.touched);
                    self.client.upstream_lost(&mut turn);
                    return true;
                }
            }
        }
        moved
    }

    fn read_client(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        scratch: &mut Scratch,
    ) -> Result<bool, Over> {
        let unsent = self.output.len() - self.sent;
        if !self
            .client
            .may_receive(unsent, worker.settings.limits.unsent)
        {
            return Ok(false);
        }
        let unread = !self.input.is_empty();
        if unread && self.client.missing() == 0 {
            return Ok(self.process_input(worker, scratch));
        }
        if self.client_gone || worker.is_draining() {
            return Ok(false);
        }
        if unread {
            // A large request: read straight to where its beginning is.
            let room = self.client.missing().min(self.input.len().max(READ));
            self.input.reserve(room);
            let mut reading = pin!(self.socket.read_buf(&mut self.input));
            return match reading.as_mut().poll(context) {
                Poll::Pending => Ok(false),
                Poll::Ready(Ok(0)) => Ok(self.client_left()),
                Poll::Ready(Ok(_)) => {
                    self.process_input(worker, scratch);
                    Ok(true)
                }
                Poll::Ready(Err(_)) => Err(Over),
            };
        }
        let mut buffer = ReadBuf::new(&mut scratch.read);
        let read = match Pin::new(&mut self.socket).poll_read(context, &mut buffer) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(())) => buffer.filled().len(),
            Poll::Ready(Err(_)) => return Err(Over),
        };
        if read == 0 {
            return Ok(self.client_left());
        }
        let mut turn = turn(worker, &mut self.output, self.sent, &mut scratch.touched);
        let input = &scratch.read[..read];
        let consumed =
            self.client
                .receive(input, &mut scratch.words, &mut scratch.inline, &mut turn);
        if consumed < read {
            self.input.extend_from_slice(&input[consumed..]);
        }
        Ok(true)
    }

    /// Deals with what was kept; true if anything came of it.
    fn process_input(&mut self, worker: &Worker, scratch: &mut Scratch) -> bool {
        let mut turn = turn(worker, &mut self.output, self.sent, &mut scratch.touched);
        let consumed = self.client.receive(
            &self.input,
            &mut scratch.words,
            &mut scratch.inline,
            &mut turn,
        );
        if consumed == self.input.len() {
            self.input = Vec::new();
        } else {
            self.input.drain(..consumed);
        }
        consumed > 0 || self.client.missing() > 0
    }

    fn client_left(&mut self) -> bool {
        self.client_gone = true;
        true
    }

    fn write_client(&mut self, context: &mut Context<'_>) -> Result<bool, Over> {
        let mut moved = false;
        while self.sent < self.output.len() {
            match Pin::new(&mut self.socket).poll_write(context, &self.output[self.sent..]) {
                Poll::Ready(Ok(written)) if written > 0 => {
                    self.sent += written;
                    self.stalled_at = None;
                    self.unflushed = true;
                    moved = true;
                }
                Poll::Pending => return Ok(moved),
                Poll::Ready(_) => return Err(Over),
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.socket).poll_flush(context) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Pending => {}
                Poll::Ready(Err(_)) => return Err(Over),
            }
        }
        if !self.output.is_empty() {
            self.output.clear();
            self.sent = 0;
            if self.output.capacity() > LARGEST_POOLED {
                self.output = Vec::new();
            }
        }
        Ok(moved)
    }

    /// Nothing moves: looks after everything that ends by time. True if something is to be done
    /// at once.
    fn wait(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        scratch: &mut Scratch,
    ) -> Result<bool, Over> {
        let limits = &worker.settings.limits;
        // An idle connection whose session ends has as long to log in again as a new one.
        if !self.attentive && self.client.must_be_looked_after(&worker.shared) {
            let mut turn = turn(worker, &mut self.output, self.sent, &mut scratch.touched);
            if self.client.look_after_session(&mut turn) {
                return Ok(true);
            }
        }
        if self.login_by.is_some() && self.client.is_open() {
            self.login_by = None;
        } else if self.login_by.is_none() && self.client.has_ended() {
            self.login_by = Some(Instant::now() + limits.login);
        }
        let delay = match self.client.hold {
            Hold::Delayed(wait) | Hold::Again(wait) => Some(wait),
            _ => None,
        };
        let stalled = self.output.len() - self.sent > limits.unsent;
        let gone = self.client_gone;
        // What waits or is subscribed is decided again when the table ends, without a request.
        let recheck = match self.attentive {
            true => self.client.valid_for(now()),
            false => self.client.session_ends_in(now()),
        };
        if self.login_by.is_none() && delay.is_none() && !stalled && !gone && recheck.is_none() {
            self.timer = None;
            self.stalled_at = None;
            return Ok(false);
        }
        let now = Instant::now();
        self.delayed_until = delay.map(|wait| self.delayed_until.unwrap_or(now + wait));
        self.stalled_at = stalled.then(|| self.stalled_at.unwrap_or(now + limits.stall));
        self.gone_by = gone.then(|| self.gone_by.unwrap_or(now + limits.stall));
        if self.delayed_until.is_some_and(|until| until <= now) {
            self.delayed_until = None;
            let mut turn = turn(worker, &mut self.output, self.sent, &mut scratch.touched);
            self.client.delay_over(&mut turn);
            return Ok(true);
        }
        // A failed login that is answered late does not count against the time to log in.
        let delayed = matches!(self.client.hold, Hold::Delayed(_));
        let login_by = self.login_by.filter(|_| !delayed);
        let ends = [login_by, self.stalled_at, self.gone_by];
        if ends.into_iter().flatten().any(|end| end <= now) {
            return Err(Over);
        }
        let recheck = recheck.map(|left| now + left);
        let others = [self.delayed_until, recheck];
        let Some(next) = ends.into_iter().chain(others).flatten().min() else {
            return Ok(false);
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
        if timer.deadline() != next {
            timer.as_mut().reset(next);
        }
        Ok(timer.as_mut().poll(context).is_ready())
    }
}
