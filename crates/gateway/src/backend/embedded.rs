//! The engine inside Keyward, as the backend of one client connection.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyward_commands::Words;
use keyward_engine::{Engine, EngineSession};
use keyward_iam::{Permit, UnixMillis};
use keyward_resp::Protocol;

/// The engine of one database, and what it knows of this connection.
pub(crate) struct Embedded {
    engine: Arc<Mutex<Engine>>,
    session: EngineSession,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

fn lock(engine: &Mutex<Engine>) -> MutexGuard<'_, Engine> {
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}

fn engine_time(now: UnixMillis) -> keyward_engine::UnixMillis {
    keyward_engine::UnixMillis(i64::try_from(now.0).unwrap_or(i64::MAX))
}

impl Embedded {
    pub(crate) fn new(engine: Arc<Mutex<Engine>>, protocol: Protocol) -> Self {
        let mut session = EngineSession::new();
        session.set_protocol(protocol);
        Self { engine, session }
    }

    /// Runs a command that was authorised and appends its reply.
    pub(crate) fn run<W: Words + ?Sized>(
        &mut self,
        permit: &Permit<'_>,
        words: &W,
        now: UnixMillis,
        out: &mut Vec<u8>,
    ) {
        let mut engine = lock(&self.engine);
        let effects = engine.apply(
            &mut self.session,
            permit.command(),
            words,
            engine_time(now),
            &mut random,
            out,
        );
        drop(engine);
        let _ = effects; // nothing is kept yet
    }

    /// Runs a transaction of which every command was authorised, each so often.
    pub(crate) fn transaction<W: Words + Copy>(
        &mut self,
        commands: Vec<(Permit<'_>, W, u32)>,
        now: UnixMillis,
        out: &mut Vec<u8>,
    ) {
        let runs = commands.into_iter().flat_map(|(permit, words, times)| {
            let command = permit.command();
            (0..times).map(move |_| (command, words))
        });
        let runs: Vec<_> = runs.collect();
        let mut engine = lock(&self.engine);
        let effects = engine.transaction(
            &mut self.session,
            runs.into_iter(),
            engine_time(now),
            &mut random,
            out,
        );
        drop(engine);
        let _ = effects; // nothing is kept yet
    }

    pub(crate) fn watch(&mut self, key: &[u8], now: UnixMillis) {
        lock(&self.engine).watch(&mut self.session, key, engine_time(now));
    }

    pub(crate) fn unwatch(&mut self) {
        lock(&self.engine).unwatch(&mut self.session);
    }

    /// The number of the selected keyspace.
    pub(crate) fn number(&self) -> u8 {
        u8::try_from(self.session.database()).unwrap_or(0)
    }

    pub(crate) fn speak(&mut self, protocol: Protocol) {
        self.session.set_protocol(protocol);
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        lock(&self.engine).close(std::mem::take(&mut self.session));
    }
}

/// Random numbers of one worker: fast, seeded by the operating system. Good enough to choose
/// members by chance; nothing secret is made of them.
fn random() -> u64 {
    use std::cell::Cell;
    thread_local! {
        static STATE: Cell<u64> = Cell::new(u64::from_le_bytes(keyward_auth::random_bytes::<8>()));
    }
    STATE.with(|state| {
        // splitmix64
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}
