//! One thread of the gateway: its listener, its connections, and what they share.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use keyward_net::{Acceptor, ConnectionLimit, ConnectionSlot, Stream};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::io::{Connection, Scratch};
use crate::metrics::{WorkerMetrics, count};
use crate::settings::GatewaySettings;
use crate::shared::{Shared, now};

/// How often what ends by time (a trust) is looked for on waiting connections, and sessions that
/// have ended on idle ones.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// How often keys whose time is over are removed from engines.
const EXPIRE_EVERY: Duration = Duration::from_millis(100);
/// Keys removed from one engine at a time, so that nobody waits long for its lock.
const EXPIRE_AT_ONCE: usize = 2_000;

/// What one worker's connections share. Its locks are only ever taken by its own thread, so nobody
/// waits for them.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) metrics: Arc<WorkerMetrics>,
    limit: ConnectionLimit,
    scratch: Mutex<Scratch>,
    registry: Mutex<Registry>,
    draining: AtomicBool,
    open: AtomicUsize,
}

/// How the connections of a worker are woken from outside.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    places: Vec<Option<Place>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Place {
    waker: Waker,
    /// Waits for something that a change of the directory may end.
    attentive: bool,
}

impl Registry {
    /// Adds a connection, and returns its place.
    pub(crate) fn add(&mut self, waker: &Waker) -> usize {
        let place = Some(Place {
            waker: waker.clone(),
            attentive: false,
        });
        match self.free.pop() {
            Some(at) => {
                self.places[at] = place;
                at
            }
            None => {
                self.places.push(place);
                self.places.len() - 1
            }
        }
    }

    pub(crate) fn set_attentive(&mut self, at: usize, attentive: bool) {
        if let Some(place) = &mut self.places[at] {
            place.attentive = attentive;
        }
    }

    /// Takes a connection out. Its place is used again by the next one.
    pub(crate) fn remove(&mut self, at: usize) {
        self.places[at] = None;
        self.free.push(at);
    }

    fn wake(&self, all: bool) {
        for place in self
            .places
            .iter()
            .flatten()
            .filter(|place| all || place.attentive)
        {
            place.waker.wake_by_ref();
        }
    }
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        settings: Arc<GatewaySettings>,
        metrics: Arc<WorkerMetrics>,
        limit: ConnectionLimit,
    ) -> Self {
        Self {
            shared,
            settings,
            metrics,
            limit,
            scratch: Mutex::default(),
            registry: Mutex::default(),
            draining: AtomicBool::new(false),
            open: AtomicUsize::new(0),
        }
    }

    pub(crate) fn scratch(&self) -> MutexGuard<'_, Scratch> {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the gateway stops: nothing more is read.
    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// A connection has ended.
    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Serves until `stop` tells a deadline, then finishes what was read, until that deadline.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut acceptor: Acceptor,
        revision: watch::Receiver<u64>,
        mut stop: watch::Receiver<Option<Instant>>,
        expires: bool,
    ) {
        let watching = tokio::spawn(Arc::clone(&self).watch(revision));
        let expiring = expires.then(|| tokio::spawn(expire(Arc::clone(&self.shared))));
        let deadline = loop {
            tokio::select! {
                (socket, _) = acceptor.accept() => self.accept(socket),
                stopped = stop.wait_for(Option::is_some) => {
                    break match stopped {
                        Ok(deadline) => deadline.unwrap_or_else(Instant::now),
                        Err(_) => Instant::now(), // the handle is gone
                    };
                }
            }
        };
        drop(acceptor);
        self.draining.store(true, Ordering::Relaxed);
        self.registry().wake(true);
        while self.open.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        watching.abort();
        if let Some(expiring) = expiring {
            expiring.abort();
        }
    }

    fn accept(self: &Arc<Self>, socket: TcpStream) {
        let Some(slot) = self.limit.take() else {
            count(&self.metrics.connections_refused, 1);
            if let Ok(mut socket) = socket.into_std() {
                // Fits into the socket's buffer or is lost: the connection is closed anyway.
                let _ = socket.write(b"-ERR max number of clients reached\r\n");
            }
            return;
        };
        count(&self.metrics.connections, 1);
        self.open.fetch_add(1, Ordering::Relaxed);
        if self.settings.tls.is_some() {
            tokio::spawn(Arc::clone(self).accept_tls(socket, slot));
        } else {
            self.serve(socket.into(), slot);
        }
    }

    /// Serves a connection once its handshake is done. The time to log in bounds it, too.
    async fn accept_tls(self: Arc<Self>, socket: TcpStream, slot: ConnectionSlot) {
        let accepting = keyward_net::accepted(self.settings.tls.as_deref(), socket);
        match tokio::time::timeout(self.settings.limits.login, accepting).await {
            Ok(Ok(stream)) => self.serve(stream, slot),
            _ => {
                count(&self.metrics.failed_handshakes, 1);
                self.closed();
            }
        }
    }

    fn serve(self: &Arc<Self>, stream: Stream, slot: ConnectionSlot) {
        match Connection::new(Arc::clone(self), stream, slot) {
            Ok(connection) => drop(tokio::spawn(connection)),
            Err(_) => self.closed(), // gone already
        }
    }

    /// Wakes connections that wait for something whenever that may not hold any more.
    async fn watch(self: Arc<Self>, mut revision: watch::Receiver<u64>) {
        let mut look = tokio::time::interval(LOOK_AFTER);
        let mut followed = true;
        let mut looked = 0;
        loop {
            let idle = tokio::select! {
                changed = revision.changed(), if followed => {
                    followed = changed.is_ok();
                    false
                }
                _ = look.tick() => true,
            };
            // Idle connections wait for nothing: they are looked after once a second at most,
            // however often the directory changes.
            let now = self.shared.revision.load(Ordering::Acquire);
            let all = idle && looked != now;
            if all {
                looked = now;
            }
            self.registry().wake(all);
        }
    }
}

/// Gives back the memory of keys whose time is over, and of databases that were deleted.
async fn expire(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(EXPIRE_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = 0;
    loop {
        tick.tick().await;
        let revision = shared.revision.load(Ordering::Acquire);
        if revision != seen {
            seen = revision;
            shared.drop_engines_of_deleted(&shared.directory.load());
        }
        let time = keyward_engine::UnixMillis(i64::try_from(now().0).unwrap_or(i64::MAX));
        for (_, engine) in shared.engines() {
            let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
            engine.expire_some(time, EXPIRE_AT_ONCE);
        }
    }
}
