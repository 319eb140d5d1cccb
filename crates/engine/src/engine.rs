//! The engine, its sessions, and how a command or a transaction is run.

use crate::call::{Arguments, Call, Random};
use crate::dispatch;
use crate::failure::Failure;
use crate::hash::HashKey;
use crate::keyspace::Keyspace;
use crate::reply::Reply;
use crate::server::ServerState;
use crate::space::Space;
use keyward_commands::{CommandId, Flags, Words};
use keyward_resp::{Protocol, encode};

/// Number of keyspaces that `SELECT` chooses from, as a server has by default.
pub const DATABASES: usize = 16;

/// Longest reply of a command that changes nothing, and of a transaction, in bytes: 1 GiB.
///
/// A short request can ask for the same value many times; without a limit it could take all memory.
/// A command that changes something is not cut: it answers with what was stored, once.
const MAX_REPLY: usize = 1 << 30;

/// Unix time in milliseconds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct UnixMillis(pub i64);

/// What an engine is made with.
#[derive(Clone)]
pub struct Settings {
    /// Key of the hash tables: random, and not shown to anybody. Whoever knows it can choose keys
    /// that make the engine slow.
    pub hash_seed: [u64; 2],
    /// When the engine was started, for `INFO`.
    pub started_at: UnixMillis,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("hash_seed", &"[secret]")
            .field("started_at", &self.started_at)
            .finish()
    }
}

/// What a command or transaction changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Effects {
    /// Number of changes, as the server counts them for its save points. 0: nothing has to be kept
    /// and no other session can see a difference.
    pub changes: u64,
}

/// What the engine knows of one connection. `Engine::close` must be called at its end.
#[derive(Debug, Default)]
pub struct EngineSession {
    database: usize,
    protocol: Protocol,
    watches: Vec<Watch>,
}

/// A watched key, and its version when it was watched.
#[derive(Debug)]
struct Watch {
    database: usize,
    key: Box<[u8]>,
    version: u64,
}

impl EngineSession {
    /// A session on keyspace 0 that speaks RESP2 and watches nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of the selected keyspace.
    pub fn database(&self) -> usize {
        self.database
    }

    /// Selects a keyspace; false, and no change, if there is none of that number.
    #[must_use]
    pub fn select(&mut self, database: usize) -> bool {
        let known = database < DATABASES;
        if known {
            self.database = database;
        }
        known
    }

    /// Protocol in which replies are written.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Changes the protocol of the replies to come.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Does the session watch a key?
    pub fn is_watching(&self) -> bool {
        !self.watches.is_empty()
    }
}

/// Keys and values in 16 numbered keyspaces, and the commands on them.
pub struct Engine {
    pub(crate) keyspaces: Vec<Keyspace>,
    server: ServerState,
    /// Whether a snapshot is being taken.
    pub(crate) captured: bool,
}

impl Engine {
    /// An empty engine.
    pub fn new(settings: Settings) -> Self {
        let hash_key = HashKey::new(settings.hash_seed);
        Self {
            keyspaces: (0..DATABASES).map(|_| Keyspace::new(hash_key)).collect(),
            server: ServerState {
                started_at: settings.started_at.0,
                commands: 0,
            },
            captured: false,
        }
    }

    /// Runs one command and appends its reply to `out`, encoded for the session's protocol.
    ///
    /// `words` are the command's words, its name first; `random` yields uniformly distributed
    /// numbers. A command that fails changes nothing. Keys whose time is over are removed on the way;
    /// that is no change.
    pub fn apply<W: Words + ?Sized>(
        &mut self,
        session: &mut EngineSession,
        command: CommandId,
        words: &W,
        now: UnixMillis,
        random: &mut dyn FnMut() -> u64,
        out: &mut Vec<u8>,
    ) -> Effects {
        let end = out.len().saturating_add(MAX_REPLY);
        self.run(session, command, &words, now, random, out, end)
    }

    /// Runs a whole transaction: if no watched key of the session has changed, all commands in
    /// order, and appends one array with their replies to `out`; otherwise a null array. Either
    /// way the session watches nothing afterwards.
    pub fn transaction<W: Words>(
        &mut self,
        session: &mut EngineSession,
        commands: impl ExactSizeIterator<Item = (CommandId, W)>,
        now: UnixMillis,
        random: &mut dyn FnMut() -> u64,
        out: &mut Vec<u8>,
    ) -> Effects {
        if !self.end_watches(session, now) {
            encode::null_array(out, session.protocol);
            return Effects::default();
        }
        let end = out.len().saturating_add(MAX_REPLY);
        encode::array(out, commands.len());
        let mut changes = 0;
        for (command, words) in commands {
            changes += self
                .run(session, command, &words, now, random, out, end)
                .changes;
        }
        Effects { changes }
    }

    /// Watches a key for the session's next transaction.
    pub fn watch(&mut self, session: &mut EngineSession, key: &[u8], now: UnixMillis) {
        let database = session.database;
        if session
            .watches
            .iter()
            .any(|watch| watch.database == database && *watch.key == *key)
        {
            return;
        }
        let version = self.keyspaces[database].watch(key, now.0);
        session.watches.push(Watch {
            database,
            key: key.into(),
            version,
        });
    }

    /// Watches nothing any more.
    pub fn unwatch(&mut self, session: &mut EngineSession) {
        self.end_watches(session, UnixMillis(i64::MIN));
    }

    /// Ends a session: what the engine kept for it is given back.
    pub fn close(&mut self, mut session: EngineSession) {
        self.unwatch(&mut session);
    }

    /// Removes up to `limit` keys whose time is over, and tells how many. Such keys are never seen
    /// by a command; this gives their memory back. To be called from time to time.
    pub fn expire_some(&mut self, now: UnixMillis, limit: usize) -> usize {
        let mut removed = 0;
        for keyspace in &mut self.keyspaces {
            removed += keyspace.expire_some(now.0, limit - removed);
        }
        removed
    }

    /// Number of keys in all keyspaces, those included whose time is over but who are still there.
    pub fn key_count(&self) -> usize {
        self.keyspaces.iter().map(Keyspace::len).sum()
    }

    /// Estimate of the bytes that keys and values take in memory: looks at a few keys of each
    /// keyspace, so it costs the same however many there are.
    pub fn memory_estimate(&self) -> usize {
        self.keyspaces.iter().map(Keyspace::bytes).sum()
    }

    /// Ends all watches of a session; true if no watched key has changed.
    fn end_watches(&mut self, session: &mut EngineSession, now: UnixMillis) -> bool {
        let mut unchanged = true;
        for watch in session.watches.drain(..) {
            let version = self.keyspaces[watch.database].unwatch(&watch.key, now.0);
            unchanged &= version == Some(watch.version);
        }
        unchanged
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "those of `apply`, and where the reply ends"
    )]
    fn run(
        &mut self,
        session: &mut EngineSession,
        id: CommandId,
        words: &dyn Words,
        now: UnixMillis,
        random: &mut dyn FnMut() -> u64,
        out: &mut Vec<u8>,
        end: usize,
    ) -> Effects {
        self.server.commands += 1;
        let command = id.command();
        let start = out.len();
        let end = if command.flags.contains(Flags::WRITE) {
            usize::MAX
        } else {
            end
        };
        let mut call = Call {
            name: command.name,
            arguments: Arguments(words),
            space: Space::new(&mut self.keyspaces, session.database, now.0),
            reply: Reply::new(out, session.protocol, end),
            random: Random(random),
            server: &self.server,
        };
        let outcome = match dispatch::function(id) {
            _ if !command.arity_fits(words.len()) => Err(Failure::wrong_arity(command.name)),
            Some(function) => function(&mut call),
            None => Err(Failure::of(format!(
                "ERR keyward: the embedded engine has no '{}' yet",
                command.name
            ))),
        };
        let outcome = match outcome {
            Ok(()) if call.reply.is_cut() => Err(Failure::new(
                "ERR keyward: the reply would be larger than 1 GiB",
            )),
            outcome => outcome,
        };
        session.database = call.space.selected();
        let effects = Effects {
            changes: call.space.changes(),
        };
        if let Err(Failure(text)) = outcome {
            out.truncate(start);
            // The server leaves out line ends at the end, and the encoder replaces the others.
            encode::error(out, text.trim_end_matches(['\r', '\n']));
        }
        effects
    }
}
