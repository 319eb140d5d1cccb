//! The keys of issuers, kept for a while and fetched beside whoever waits for them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use keyward_iam::UnixMillis;
use serde::Deserialize;

use super::fetch::{Fetch, FetchError};
use super::json;
use super::jwks::{Jwks, JwksError};

/// Age at which keys are fetched again beside those who use them.
const REFRESH_AFTER: u64 = 10 * 60 * 1000;

/// Age at which keys open nothing any more: an issuer that is away does not stop logins at once,
/// and a key that it withdrew does not open them for ever.
const STALE_AFTER: u64 = 24 * 60 * 60 * 1000;

/// Shortest time between two fetches because of a key that is not known: tokens that name new
/// keys come from anybody. The first is done at once, also just after another fetch: an issuer that
/// has changed its keys signs with them.
const UNKNOWN_KEY_SPACING: u64 = 30 * 1000;

/// Shortest time between two fetches after one failed; doubles up to [`MAX_BACK_OFF`].
const BACK_OFF: u64 = 2 * 1000;

/// Longest time between two fetches after failures.
const MAX_BACK_OFF: u64 = 5 * 60 * 1000;

/// Fetches at one time.
const MAX_FETCHES: usize = 32;

/// Fetches at one time for one organisation: issuers of its that answer slowly, or never, make
/// those of others wait for nothing.
const FETCHES_OF_ONE: usize = 2;

/// Fetches at one time from issuers that did not answer when they were asked last: what is left is
/// for those that did, however many organisations name issuers that hang.
const MAX_UNPROVED_FETCHES: usize = 24;

/// Issuers that wait for a fetch, for one organisation.
const QUEUE_OF_ONE: usize = 32;

/// Issuers that wait for a fetch, without those that answered when they were asked last.
const MAX_QUEUE: usize = 1024;

/// Issuers of which something is kept.
const MAX_ISSUERS: usize = 10_000;

/// What an issuer says of itself.
///
/// Source: OpenID Connect Discovery 1.0, section 3.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Discovery {
    /// Must equal the issuer that was asked.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where people sign in.
    pub authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    pub token_endpoint: Option<String>,
    /// Whether it names itself in answers (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Why there are no keys of an issuer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// They could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What the issuer says of itself is malformed.
    #[error("what `{0}` says of itself is malformed: {1}")]
    Discovery(String, String),
    /// It says that it is another.
    #[error(
        "`{asked}` says that its issuer is `{found}`: write exactly this as the provider's issuer, if it is meant"
    )]
    Issuer {
        /// The provider's issuer.
        asked: String,
        /// `issuer` of its discovery document.
        found: String,
    },
    /// Its keys are malformed.
    #[error("the keys of `{0}` cannot be used: {1}")]
    Keys(String, String),
    /// Nothing came in time.
    #[error("the keys of `{0}` did not come in time")]
    Slow(String),
}

/// What is known of an issuer now.
#[derive(Clone, Debug, Default)]
pub struct KnownKeys {
    /// Its keys, unless they are too old.
    pub keys: Option<Arc<Jwks>>,
    /// What it says of itself.
    pub discovery: Option<Arc<Discovery>>,
    /// Whether a fetch is waited for.
    pub pending: bool,
    /// What came of the last fetch, if it failed.
    pub failure: Option<KeysError>,
}

/// For whom an issuer is asked: fetches are counted by it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Asker {
    /// The deployment's own sign-ins, which the operator chose.
    Deployment,
    /// The organisation of a provider: its id.
    Organisation(Box<str>),
}

#[derive(Debug, Default)]
struct Entry {
    keys: Option<Arc<Jwks>>,
    discovery: Option<Arc<Discovery>>,
    fetched: Option<u64>,
    tried: u64,
    /// When it was asked last because of a key that was not known.
    unknown_key: Option<u64>,
    failures: u32,
    failure: Option<KeysError>,
    pending: bool,
    /// Whether it is being asked, and not only waiting for that.
    running: bool,
}

impl Entry {
    /// Whether it answered when it was asked last.
    fn is_proved(&self) -> bool {
        self.fetched.is_some() && self.failures == 0
    }

    fn fresh_enough(&self, now: u64) -> bool {
        self.fetched
            .is_some_and(|fetched| now.saturating_sub(fetched) < STALE_AFTER)
    }

    /// Whether a fetch would help, and is not too soon.
    fn wants(&self, unknown_key: bool, now: u64) -> bool {
        let since_fetch = self.fetched.map(|fetched| now.saturating_sub(fetched));
        let needed = match since_fetch {
            None => true,
            Some(age) if age >= REFRESH_AFTER => true,
            Some(_) if unknown_key => self
                .unknown_key
                .is_none_or(|asked| now.saturating_sub(asked) >= UNKNOWN_KEY_SPACING),
            Some(_) => false,
        };
        let back_off = match self.failures {
            0 => 0,
            failures => (BACK_OFF << failures.min(16).saturating_sub(1)).min(MAX_BACK_OFF),
        };
        needed && !self.pending && now.saturating_sub(self.tried) >= back_off
    }
}

/// A fetch that somebody waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Waiting {
    issuer: String,
    asked: u64,
    asker: Asker,
}

#[derive(Debug, Default)]
struct State {
    issuers: HashMap<String, Entry>,
    /// In order; an issuer once for each asker, since one of them may have to wait for itself.
    queue: VecDeque<Waiting>,
    threads: usize,
    running: HashMap<Asker, usize>,
    unproved: usize,
}

struct Inner {
    fetch: Box<dyn Fetch>,
    state: Mutex<State>,
    arrived: Condvar,
}

/// The keys of all issuers that were asked for. Cheap to clone: clones share what is known.
#[derive(Clone)]
pub struct IssuerKeys {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for IssuerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuerKeys").finish_non_exhaustive()
    }
}

impl IssuerKeys {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(fetch: Box<dyn Fetch>) -> Self {
        Self {
            inner: Arc::new(Inner {
                fetch,
                state: Mutex::default(),
                arrived: Condvar::new(),
            }),
        }
    }

    /// What fetches: for what is asked of an issuer besides its keys.
    #[must_use]
    pub fn fetch(&self) -> &dyn Fetch {
        &*self.inner.fetch
    }

    /// What is known of an issuer; asks for what is missing or old, and does not wait for it.
    /// `unknown_key`: whether what is known did not suffice. Ask only for issuers of providers that
    /// exist: whatever is asked for is fetched, in the asker's turn.
    #[must_use]
    pub fn look(
        &self,
        issuer: &str,
        asker: &Asker,
        unknown_key: bool,
        now: UnixMillis,
    ) -> KnownKeys {
        let mut state = self.inner.lock();
        if !state.issuers.contains_key(issuer) {
            state.make_room();
            state.issuers.insert(issuer.to_owned(), Entry::default());
        }
        if state.enqueue(issuer, asker, unknown_key, now.0) {
            self.inner.clone().start(&mut state);
        }
        state.known(issuer, now.0)
    }

    /// The same, waiting until what is asked for has come. Blocks.
    #[must_use]
    pub fn wait(
        &self,
        issuer: &str,
        asker: &Asker,
        unknown_key: bool,
        now: UnixMillis,
        longest: Duration,
    ) -> KnownKeys {
        let known = self.look(issuer, asker, unknown_key, now);
        if !known.pending {
            return known;
        }
        let state = self.inner.lock();
        let waits = |state: &mut State| state.issuers.get(issuer).is_some_and(|e| e.pending);
        let (state, _) = self
            .inner
            .arrived
            .wait_timeout_while(state, longest, waits)
            .unwrap_or_else(PoisonError::into_inner);
        state.known(issuer, now.0)
    }
}

impl State {
    fn known(&self, issuer: &str, now: u64) -> KnownKeys {
        let Some(entry) = self.issuers.get(issuer) else {
            return KnownKeys::default();
        };
        KnownKeys {
            keys: entry.keys.clone().filter(|_| entry.fresh_enough(now)),
            discovery: entry.discovery.clone(),
            pending: entry.pending,
            failure: entry.failure.clone(),
        }
    }

    /// Lets an issuer wait for a fetch, if one would help and the asker has not too many waiting.
    fn enqueue(&mut self, issuer: &str, asker: &Asker, unknown_key: bool, now: u64) -> bool {
        let Some(entry) = self.issuers.get_mut(issuer) else {
            return false;
        };
        let waits = entry.pending && !entry.running;
        if !waits && !entry.wants(unknown_key, now) {
            return false;
        }
        let of_asker = self.queue.iter().filter(|waiting| waiting.asker == *asker);
        let has_room = match asker {
            Asker::Deployment => true,
            Asker::Organisation(_) => {
                (entry.is_proved() || self.queue.len() < MAX_QUEUE)
                    && of_asker.clone().count() < QUEUE_OF_ONE
            }
        };
        if !has_room || of_asker.clone().any(|waiting| waiting.issuer == issuer) {
            return false;
        }
        entry.pending = true;
        entry.tried = now;
        if unknown_key {
            entry.unknown_key = Some(now);
        }
        self.queue.push_back(Waiting {
            issuer: issuer.to_owned(),
            asked: now,
            asker: asker.clone(),
        });
        true
    }

    /// The first in the queue whose turn it is. What others fetched meanwhile is dropped.
    fn next(&mut self) -> Option<Waiting> {
        let mut at = 0;
        while let Some(waiting) = self.queue.get(at) {
            let entry = self.issuers.get(&waiting.issuer);
            let Some(entry) = entry.filter(|entry| entry.pending && !entry.running) else {
                self.queue.remove(at);
                continue;
            };
            let own = self.running.get(&waiting.asker).copied().unwrap_or(0);
            let has_turn = match &waiting.asker {
                Asker::Deployment => true,
                Asker::Organisation(_) => {
                    own < FETCHES_OF_ONE
                        && (entry.is_proved() || self.unproved < MAX_UNPROVED_FETCHES)
                }
            };
            if has_turn {
                return self.queue.remove(at);
            }
            at += 1;
        }
        None
    }

    /// Notes that a fetch begins. Whether the issuer is one that did not answer last time.
    fn begin(&mut self, waiting: &Waiting) -> bool {
        *self.running.entry(waiting.asker.clone()).or_default() += 1;
        let entry = self.issuers.get_mut(&waiting.issuer);
        let unproved = entry.is_some_and(|entry| {
            entry.running = true;
            !entry.is_proved()
        });
        self.unproved += usize::from(unproved);
        unproved
    }

    /// Notes that it has ended.
    fn end(&mut self, asker: &Asker, unproved: bool) {
        self.unproved -= usize::from(unproved);
        if let Some(running) = self.running.get_mut(asker) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(asker);
            }
        }
    }

    /// Forgets the issuer that was asked for longest ago, when there are too many; one that never
    /// answered before one that did.
    fn make_room(&mut self) {
        if self.issuers.len() < MAX_ISSUERS {
            return;
        }
        let idle = self.issuers.iter().filter(|(_, entry)| !entry.pending);
        let oldest = idle.min_by_key(|(_, entry)| (entry.fetched.is_some(), entry.tried));
        if let Some(issuer) = oldest.map(|(issuer, _)| issuer.clone()) {
            self.issuers.remove(&issuer);
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic left behind is whole: every change is one assignment after a fetch.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread that empties the queue, unless there are enough.
    fn start(self: Arc<Self>, state: &mut State) {
        if state.threads >= MAX_FETCHES {
            return;
        }
        let inner = Arc::clone(&self);
        let started = thread::Builder::new()
            .name("issuer-keys".to_owned())
            .spawn(move || inner.empty_queue());
        match started {
            Ok(_) => state.threads += 1,
            // None runs that would: whoever waits hears so, and may ask again.
            Err(error) if state.threads == 0 => {
                for Waiting { issuer, .. } in std::mem::take(&mut state.queue) {
                    let reason = format!("no thread could be started: {error}");
                    state.finish(
                        &issuer,
                        0,
                        Err(KeysError::Discovery(issuer.clone(), reason)),
                    );
                }
            }
            Err(_) => {}
        }
    }

    /// Fetches what has its turn. What has to wait for other fetches is looked at again by the
    /// threads of these.
    fn empty_queue(&self) {
        loop {
            let mut state = self.lock();
            let Some(waiting) = state.next() else {
                state.threads -= 1;
                return;
            };
            let unproved = state.begin(&waiting);
            drop(state);
            let fetched = fetch_keys(&*self.fetch, &waiting.issuer);
            let mut state = self.lock();
            state.end(&waiting.asker, unproved);
            state.finish(&waiting.issuer, waiting.asked, fetched);
            drop(state);
            self.arrived.notify_all();
        }
    }
}

impl State {
    fn finish(&mut self, issuer: &str, asked: u64, fetched: Result<(Discovery, Jwks), KeysError>) {
        let Some(entry) = self.issuers.get_mut(issuer) else {
            return;
        };
        entry.pending = false;
        entry.running = false;
        match fetched {
            Ok((discovery, keys)) => {
                entry.discovery = Some(Arc::new(discovery));
                entry.keys = Some(Arc::new(keys));
                entry.fetched = Some(asked);
                entry.failures = 0;
                entry.failure = None;
            }
            Err(error) => {
                entry.failures = entry.failures.saturating_add(1);
                entry.failure = Some(error);
            }
        }
    }
}

/// Asks an issuer for what it says of itself, and for its keys.
fn fetch_keys(fetch: &dyn Fetch, issuer: &str) -> Result<(Discovery, Jwks), KeysError> {
    fetch.permits(issuer)?;
    let bare = issuer.strip_suffix('/').unwrap_or(issuer);
    let body = fetch.get(&format!("{bare}/.well-known/openid-configuration"))?;
    let discovery: Discovery = json::parse(&body)
        .map_err(|error| KeysError::Discovery(issuer.to_owned(), error.to_string()))?;
    if discovery.issuer != issuer {
        return Err(KeysError::Issuer {
            asked: issuer.to_owned(),
            found: discovery.issuer.chars().take(512).collect(),
        });
    }
    let body = fetch.get(&discovery.jwks_uri)?;
    let unusable = |error: JwksError| KeysError::Keys(issuer.to_owned(), error.to_string());
    let keys = Jwks::parse(&body).map_err(unusable)?;
    Ok((discovery, keys))
}

#[cfg(test)]
mod tests;
