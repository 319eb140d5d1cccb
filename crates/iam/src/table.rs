//! Decision tables: what a session may do on a database, with everything folded in that cannot
//! change before the directory does. A command then costs one look-up, and a key check where
//! keys decide.

mod cache;
mod residual;

use std::sync::{Arc, OnceLock};

use keyward_commands::{
    ACTION_COUNT, ActionBits, ActionId, CommandClass, CommandId, CommandScope, KeyRule, Scope,
    Touched, Words,
};
use keyward_policy::{KeyUse, Touch};

use crate::bits::{Bits, keyless_commands};
use crate::decide::{CommandTouch, deleted_keys, touches_keys};
use crate::decision::Outcome;
use crate::directory::Directory;
use crate::evaluate::Question;
use crate::facts::{Call, CallWords, DecidedAs, RequestFacts};
use crate::grounds::Grounds;
use crate::ids::{DatabaseIx, UnixMillis};
use crate::session::Session;
use residual::Residual;

pub use cache::TableCache;

/// A request as it came: the words to decide on, and the bytes to forward.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a, 'c, W: ?Sized> {
    /// The command that the words name; its arity fits.
    pub command: CommandId,
    /// The words, name first.
    pub words: &'a W,
    /// The same request in bytes, ready to be forwarded.
    pub bytes: &'a [u8],
    /// What the connection adds.
    pub call: Call<'c>,
}

/// Proof that a request was authorised. [`DecisionTable::authorize`] is the only place that makes
/// one, and an upstream accepts nothing else.
#[derive(Debug)]
#[must_use]
pub struct Permit<'a> {
    command: CommandId, // private: no literal, no `Clone`
    bytes: &'a [u8],
    filter: Option<Arc<KeyFilter>>,
}

impl<'a> Permit<'a> {
    /// The command that was authorised.
    #[must_use]
    pub fn command(&self) -> CommandId {
        self.command
    }

    /// The request, ready to be forwarded.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Which keys the reply may tell the names of, if not all: of `SCAN`, `KEYS` and their like. A
    /// reply must not pass without it.
    #[must_use]
    pub fn filter(&self) -> Option<&Arc<KeyFilter>> {
        self.filter.as_ref()
    }
}

/// Which keys an enumeration may show: those that the same call would be allowed to read if it
/// named them.
#[derive(Debug)]
pub struct KeyFilter {
    compiled: Arc<Compiled>,
    command: CommandId,
    words: Box<[Box<[u8]>]>,
    touched: Touched,
    database_index: u32,
    client_name: Option<Box<[u8]>>,
    now: UnixMillis,
}

impl KeyFilter {
    /// Whether the name of a key may be shown.
    #[must_use]
    pub fn shows(&self, key: &[u8]) -> bool {
        let call = Call {
            database_index: self.database_index,
            client_name: self.client_name.as_deref(),
            now: self.now,
        };
        let of_call = CallWords {
            command: self.command,
            words: &*self.words,
            touched: &self.touched,
        };
        let key = KeyUse {
            key,
            reads: true,
            writes: false,
        };
        let action = self.command.action();
        let grounds = &self.compiled.grounds;
        let asked = Question {
            action,
            touch: Touch::Named {
                keys: &[key],
                channels: &[],
            },
            request: &RequestFacts::new(&grounds.facts, call, Some(of_call)),
        };
        self.compiled.residual(action).allows(grounds, &asked)
    }
}

/// The table refuses; [`Directory::decide_command`] tells why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused;

/// Whether a session may connect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Connect {
    /// It may: some command is possible, or `kvdb:Connect` is allowed.
    Allowed,
    /// A `Deny` on `kvdb:Connect` matched.
    ExplicitDeny,
    /// Nothing is allowed.
    ImplicitDeny,
}

/// What one session may do on one database: two bits an action (sure, or for some keys), and the
/// checks that are left for each action that depends on keys. Shared between sessions with equal
/// inputs, and valid as long as the directory has the table's revision.
#[derive(Debug)]
pub struct DecisionTable {
    sure: ActionBits,
    maybe: ActionBits,
    revision: u64,
    /// When the session ends for which it was asked for, if that is known.
    session_end: Option<UnixMillis>,
    compiled: Arc<Compiled>,
}

struct Compiled {
    grounds: Grounds,
    administration: bool,
    connect: Connect,
    /// Whether what needs only Connect is allowed with it.
    implied: bool,
    whole_database: bool,
    /// Keys that one command may name.
    most_keys: usize,
    denied: ActionBits,
    /// Commands that may run on some keys: what they may read, `WATCH` may watch.
    readers: Vec<CommandId>,
    /// By action, compiled when it is first asked for.
    residuals: Box<[OnceLock<Residual>]>,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled")
            .field("resource", &self.grounds.resource)
            .finish_non_exhaustive()
    }
}

impl DecisionTable {
    fn new(grounds: Grounds, administration: bool, revision: u64) -> Self {
        let bits = Bits::of(&grounds, administration);
        let readers = bits.possible_readers();
        let connect = match grounds.evaluate_connect().outcome {
            Outcome::ExplicitDeny => Connect::ExplicitDeny,
            Outcome::Allow => Connect::Allowed,
            Outcome::ImplicitDeny if bits.first_possible_command().is_some() => Connect::Allowed,
            Outcome::ImplicitDeny => Connect::ImplicitDeny,
        };
        let implied = connect == Connect::Allowed
            && (bits.implies_connect_only() || grounds.evaluate_connect().is_allow());
        let (mut sure, mut maybe) = (bits.runnable.sure.clone(), bits.runnable.maybe.clone());
        let reads_everything = readers
            .iter()
            .any(|command| sure.contains(command.action()));
        for id in CommandId::all() {
            let (action, command) = (id.action(), id.command());
            if let Some(deletes) = id.expiring_deletes_as()
                && !sure.contains(deletes.action())
            {
                // Whether the time is over is in the words.
                sure.remove(action);
            }
            match command.class {
                CommandClass::Always => sure.insert(action),
                CommandClass::ConnectOnly if implied => {
                    maybe.insert(action);
                    let untouched = keyless_commands().contains(action) || reads_everything;
                    if untouched && !bits.denied.maybe.contains(action) {
                        sure.insert(action);
                    }
                }
                // `BY` and `GET` of SORT reach keys that nobody can name beforehand.
                _ if matches!(command.keys, KeyRule::Sort | KeyRule::SortReadOnly)
                    && !bits.holds_whole_database() =>
                {
                    sure.remove(action);
                }
                _ => {}
            }
        }
        maybe = maybe.union(&sure);
        let compiled = Compiled {
            administration,
            connect,
            implied,
            whole_database: bits.holds_whole_database(),
            denied: bits.denied.maybe.clone(),
            most_keys: grounds.most_keys(),
            readers,
            residuals: (0..ACTION_COUNT).map(|_| OnceLock::new()).collect(),
            grounds,
        };
        Self {
            sure,
            maybe,
            revision,
            session_end: None,
            compiled: Arc::new(compiled),
        }
    }

    /// The revision of the directory that it was compiled for.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether the session may connect.
    #[must_use]
    pub fn may_connect(&self) -> Connect {
        self.compiled.connect
    }

    /// Whether every command that is not administrative is allowed on everything.
    #[must_use]
    pub fn holds_whole_database(&self) -> bool {
        self.compiled.whole_database
    }

    /// Whether what is allowed depends on the number of the selected database.
    #[must_use]
    pub fn reads_database_index(&self) -> bool {
        self.compiled.grounds.reads_database_index
    }

    /// When the table must be asked for again although the directory has not changed: the end of
    /// a trust, of the session or of what it came from, or of a moment that a condition names.
    #[must_use]
    pub fn valid_until(&self) -> Option<UnixMillis> {
        match (self.compiled.grounds.valid_until, self.session_end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The same table for a session that ends at a moment.
    fn until(&self, end: UnixMillis) -> Self {
        Self {
            sure: self.sure.clone(),
            maybe: self.maybe.clone(),
            revision: self.revision,
            session_end: Some(end),
            compiled: Arc::clone(&self.compiled),
        }
    }

    /// Bytes that the table and its compiled checks take, without the policies themselves.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let residuals = &self.compiled.residuals;
        let compiled: usize = residuals
            .iter()
            .filter_map(OnceLock::get)
            .map(Residual::heap_bytes)
            .sum();
        size_of::<Self>() + size_of::<Compiled>() + size_of_val(&**residuals) + compiled
    }

    /// Decides one request. Its arity must fit. `touched` is scratch space, reused between calls.
    ///
    /// # Errors
    /// The request is not allowed; [`Directory::decide_command`] tells why.
    #[inline]
    pub fn authorize<'a, W: Words + ?Sized>(
        &self,
        request: &Request<'a, '_, W>,
        touched: &mut Touched,
    ) -> Result<Permit<'a>, Refused> {
        let action = request.command.action();
        let sure = self.sure.contains(action);
        if sure || (self.maybe.contains(action) && self.allows_these(request, touched)) {
            let filtered = !sure && request.command.command().scope == CommandScope::Enumeration;
            return Ok(Permit {
                command: request.command,
                bytes: request.bytes,
                filter: filtered.then(|| self.filter(request, touched)),
            });
        }
        Err(Refused)
    }

    #[cold]
    fn filter<W: Words + ?Sized>(
        &self,
        request: &Request<'_, '_, W>,
        touched: &Touched,
    ) -> Arc<KeyFilter> {
        let words = (0..request.words.len()).map(|at| request.words.word(at).into());
        Arc::new(KeyFilter {
            compiled: Arc::clone(&self.compiled),
            command: request.command,
            words: words.collect(),
            touched: touched.clone(),
            database_index: request.call.database_index,
            client_name: request.call.client_name.map(Into::into),
            now: request.call.now,
        })
    }

    /// The part that depends on the words.
    fn allows_these<W: Words + ?Sized>(
        &self,
        request: &Request<'_, '_, W>,
        touched: &mut Touched,
    ) -> bool {
        if keyward_commands::touched(request.command, request.words, touched).is_err()
            || (touched.whole_database && !self.compiled.whole_database)
            || touched.keys.len() > self.compiled.most_keys
        {
            return false;
        }
        let action = request.command.action();
        let connect_only = request.command.command().class == CommandClass::ConnectOnly;
        let touched = &*touched;
        let of_call = CallWords {
            command: request.command,
            words: request.words,
            touched,
        };
        let facts = RequestFacts::new(&self.compiled.grounds.facts, request.call, Some(of_call));
        let now = request.call.now.0 as i64;
        let deletes = keyward_commands::expires_now(request.command, request.words, now);
        let ask = |touch: &Touch<'_>| {
            let asked = Question {
                action,
                touch: *touch,
                request: &facts,
            };
            if connect_only {
                return self.compiled.allows_connect_only(action, &asked);
            }
            let compiled = &self.compiled;
            compiled.residual(action).allows(&compiled.grounds, &asked)
                && deletes.is_none_or(|deletes| compiled.allows_deletion(deletes, &asked))
        };
        // Up to four keys fit on the stack.
        let none = KeyUse {
            key: b"",
            reads: true,
            writes: true,
        };
        let mut keys = [none; 4];
        let few = !touched.keys.is_empty()
            && touched.keys.len() <= keys.len()
            && touched.channels.is_empty()
            && !touched.every_channel;
        if few && touched.scope == Scope::Named {
            for (place, key) in keys.iter_mut().zip(&touched.keys) {
                *place = KeyUse {
                    key: request.words.word(key.word as usize),
                    reads: key.flags.reads(),
                    writes: key.flags.writes(),
                };
            }
            return ask(&Touch::Named {
                keys: &keys[..touched.keys.len()],
                channels: &[],
            });
        }
        ask(&CommandTouch::new(request.command, touched, request.words).touch())
    }
}

impl Compiled {
    fn residual(&self, action: ActionId) -> &Residual {
        self.residuals[action.index()].get_or_init(|| Residual::compile(&self.grounds, action))
    }

    /// Whether a call is also allowed as the command that it is, since its time is over.
    #[cold]
    fn allows_deletion(&self, deletes: CommandId, asked: &Question<'_>) -> bool {
        if self.grounds.has_acl() {
            // ACL rules are asked for the call itself.
            return self.grounds.decide_deletion(deletes, asked).is_allow();
        }
        let keys = deleted_keys(&asked.touch);
        let asked = Question {
            action: deletes.action(),
            touch: Touch::Named {
                keys: &keys,
                channels: &[],
            },
            request: &DecidedAs {
                request: asked.request,
                command: deletes,
            },
        };
        self.residual(deletes.action())
            .allows(&self.grounds, &asked)
    }

    fn allows_connect_only(&self, action: ActionId, asked: &Question<'_>) -> bool {
        let own = self.residual(action);
        if own.allows(&self.grounds, asked) {
            return true;
        }
        if self.denied.contains(action) && own.denies(&self.grounds, asked) {
            return false;
        }
        self.implied
            && (!touches_keys(&asked.touch)
                || self.readers.iter().any(|command| {
                    let action = command.action();
                    self.residual(action)
                        .allows(&self.grounds, &Question { action, ..*asked })
                }))
    }
}

impl Directory {
    /// Compiles the table of a session on a database. `administration`: the operator permits it
    /// for the backend; the database's own switch is looked up here.
    #[must_use]
    pub fn table(
        &self,
        session: &Session,
        database: DatabaseIx,
        administration: bool,
        at: UnixMillis,
    ) -> Arc<DecisionTable> {
        let table = self.table_after(session, database, administration, at, None);
        Arc::new(match self.session_end(session, at) {
            None => table,
            Some(end) => table.until(end),
        })
    }

    fn table_after(
        &self,
        session: &Session,
        database: DatabaseIx,
        administration: bool,
        at: UnixMillis,
        old: Option<Arc<DecisionTable>>,
    ) -> DecisionTable {
        // A deleted database has no owner, so nothing is allowed on it.
        let target = self.database(database);
        let resource = target.map_or("deleted", |database| &database.path);
        let administration = administration && target.is_some_and(|d| d.administration);
        let grounds = self.grounds(session, resource, false, at);
        match old {
            Some(old)
                if old.compiled.administration == administration
                    && old.compiled.grounds.same_as(&grounds) =>
            {
                DecisionTable {
                    sure: old.sure.clone(),
                    maybe: old.maybe.clone(),
                    revision: self.revision,
                    session_end: None,
                    compiled: Arc::clone(&old.compiled),
                }
            }
            _ => DecisionTable::new(grounds, administration, self.revision),
        }
    }
}
