//! When, from where and for what credentials were last used, and by whom they are in use.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyward_iam::{Directory, Session, TemporarySession, UnixMillis};
use serde::{Deserialize, Serialize};

/// How often at most one connection notes that it uses its credential, in milliseconds.
const NOTE_EVERY: u64 = 1000;

/// Most sessions of temporary credentials that are remembered.
pub const MAX_SESSIONS: usize = 100_000;

/// Most source addresses that are told apart among the open connections of one credential.
const MAX_SOURCES: usize = 64;

/// The last use of a credential.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LastUse {
    /// When.
    pub at: UnixMillis,
    /// Address of the direct peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Path of the database; none for calls of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Name of the command (`get`, `config|get`), or `api` for calls of the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// Open connections of a credential, by the address they come from.
pub type Connections = Vec<(Option<IpAddr>, u32)>;

#[derive(Debug, Default)]
struct Entry {
    last: Option<LastUse>,
    /// Noted since it was last written down.
    is_new: bool,
    connections: HashMap<Option<IpAddr>, u32>,
}

#[derive(Debug)]
struct SeenSession {
    session: Arc<TemporarySession>,
    entry: Entry,
}

/// A session of temporary credentials that was issued here or seen in use.
#[derive(Clone, Debug)]
pub struct ListedSession {
    /// What it is.
    pub session: Arc<TemporarySession>,
    /// Its last use, if it was used.
    pub last_used: Option<LastUse>,
    /// Its open connections.
    pub connections: Connections,
}

/// Credentials in use, in memory. What is kept of access keys is handed out to be stored at
/// intervals; sessions of temporary credentials are remembered while they last and while there is
/// room, which is what a list of them can show. Nothing is decided by any of it.
#[derive(Debug, Default)]
pub struct Usage {
    keys: Mutex<HashMap<Box<str>, Entry>>,
    sessions: Mutex<HashMap<Box<str>, SeenSession>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Notes only: a panic elsewhere cannot have left one that matters half written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entry {
    fn note(&mut self, last: LastUse) {
        // Clocks of threads may be read in another order than the notes arrive.
        if self.last.as_ref().is_none_or(|before| before.at <= last.at) {
            self.last = Some(last);
            self.is_new = true;
        }
    }

    fn opened(&mut self, source: Option<IpAddr>) -> Option<IpAddr> {
        let known = self.connections.contains_key(&source);
        let source = source.filter(|_| known || self.connections.len() < MAX_SOURCES);
        *self.connections.entry(source).or_default() += 1;
        source
    }

    fn closed(&mut self, source: Option<IpAddr>) {
        if let Some(count) = self.connections.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.connections.remove(&source);
            }
        }
    }

    fn connections(&self) -> Connections {
        let mut all: Connections = self.connections.iter().map(|(s, n)| (*s, *n)).collect();
        all.sort();
        all
    }
}

/// Which credential a session came with.
#[derive(Clone, Debug)]
enum Credential {
    Key(Box<str>),
    Session(Arc<TemporarySession>),
}

impl Credential {
    fn of(session: &Session, directory: &Directory) -> Option<Self> {
        if let Some(temporary) = &session.temporary {
            return Some(Self::Session(Arc::clone(temporary)));
        }
        let key = directory.access_key_by_ix(session.access_key?)?;
        Some(Self::Key(key.key_id.clone()))
    }
}

impl Usage {
    /// Knows of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was stored before the process started.
    pub fn restore(&self, stored: impl IntoIterator<Item = (String, LastUse)>) {
        let mut keys = lock(&self.keys);
        for (key_id, last) in stored {
            let entry = keys.entry(key_id.into()).or_default();
            entry.last.get_or_insert(last);
        }
    }

    /// What is new since the last call, to be stored. Forgets keys that are gone.
    pub fn take_new(&self, directory: &Directory) -> Vec<(String, LastUse)> {
        let mut new = Vec::new();
        lock(&self.keys).retain(|key_id, entry| {
            if std::mem::take(&mut entry.is_new)
                && let Some(last) = &entry.last
            {
                new.push((key_id.to_string(), last.clone()));
            }
            !entry.connections.is_empty() || directory.access_key(key_id).is_some()
        });
        new
    }

    /// The last use of an access key, and its open connections.
    #[must_use]
    pub fn of_key(&self, key_id: &str) -> (Option<LastUse>, Connections) {
        let keys = lock(&self.keys);
        keys.get(key_id).map_or_else(Default::default, |entry| {
            (entry.last.clone(), entry.connections())
        })
    }

    /// Remembers a session that was just issued.
    pub fn issued(&self, session: &Arc<TemporarySession>) {
        self.with_session(session, |_| ());
    }

    /// The sessions of an identity (a role, or whose session it is) that may still be open.
    #[must_use]
    pub fn sessions_of(&self, principal: &str, now: UnixMillis) -> Vec<ListedSession> {
        let sessions = lock(&self.sessions);
        let mut found: Vec<ListedSession> = sessions
            .values()
            .filter(|seen| seen.session.principal == principal && now < seen.session.expires)
            .map(listed)
            .collect();
        found.sort_by(|a, b| {
            let order = |s: &ListedSession| (s.session.issued, s.session.id.clone());
            order(a).cmp(&order(b))
        });
        found
    }

    /// A session by its id.
    #[must_use]
    pub fn session(&self, id: &str) -> Option<ListedSession> {
        lock(&self.sessions).get(id).map(listed)
    }

    /// Notes one call of the API.
    pub fn note_call(&self, session: &Session, directory: &Directory, now: UnixMillis) {
        let last = LastUse {
            at: now,
            source: session.source,
            database: None,
            command: Some("api".to_owned()),
        };
        if let Some(credential) = Credential::of(session, directory) {
            self.with(&credential, |entry| entry.note(last));
        }
    }

    /// Begins to watch over a connection that uses a session's credential; `None` for nobody's.
    #[must_use]
    pub fn connected(
        self: &Arc<Self>,
        session: &Session,
        directory: &Directory,
        database: &str,
    ) -> Option<InUse> {
        let credential = Credential::of(session, directory)?;
        let source = self.with(&credential, |entry| entry.opened(session.source));
        Some(InUse {
            usage: Arc::clone(self),
            credential,
            counted: source,
            source: session.source,
            database: database.into(),
            noted: UnixMillis(0),
        })
    }

    fn with<T>(&self, credential: &Credential, act: impl FnOnce(&mut Entry) -> T) -> T {
        match credential {
            Credential::Key(key_id) => {
                let mut keys = lock(&self.keys);
                match keys.get_mut(key_id) {
                    Some(entry) => act(entry),
                    None => act(keys.entry(key_id.clone()).or_default()),
                }
            }
            Credential::Session(session) => self.with_session(session, act),
        }
    }

    fn with_session<T>(
        &self,
        session: &Arc<TemporarySession>,
        act: impl FnOnce(&mut Entry) -> T,
    ) -> T {
        let mut sessions = lock(&self.sessions);
        if let Some(seen) = sessions.get_mut(session.id.as_str()) {
            return act(&mut seen.entry);
        }
        if sessions.len() >= MAX_SESSIONS {
            make_room(&mut sessions, session.issued);
        }
        let seen = sessions
            .entry(session.id.as_str().into())
            .or_insert_with(|| SeenSession {
                session: Arc::clone(session),
                entry: Entry::default(),
            });
        act(&mut seen.entry)
    }
}

fn listed(seen: &SeenSession) -> ListedSession {
    ListedSession {
        session: Arc::clone(&seen.session),
        last_used: seen.entry.last.clone(),
        connections: seen.entry.connections(),
    }
}

/// Forgets what has ended; if that is not enough, the tenth that ends first.
fn make_room(sessions: &mut HashMap<Box<str>, SeenSession>, now: UnixMillis) {
    sessions.retain(|_, seen| seen.session.expires > now);
    if sessions.len() < MAX_SESSIONS {
        return;
    }
    let mut ends: Vec<UnixMillis> = sessions.values().map(|seen| seen.session.expires).collect();
    let (_, end, _) = ends.select_nth_unstable(MAX_SESSIONS / 10);
    let end = *end;
    let mut spare = MAX_SESSIONS / 10;
    sessions.retain(|_, seen| {
        let goes = seen.session.expires <= end && spare > 0;
        spare -= usize::from(goes);
        !goes
    });
}

/// One connection that uses a credential, until it is dropped.
#[derive(Debug)]
pub struct InUse {
    usage: Arc<Usage>,
    credential: Credential,
    /// Under which address it is counted.
    counted: Option<IpAddr>,
    source: Option<IpAddr>,
    database: Box<str>,
    noted: UnixMillis,
}

impl InUse {
    /// Whether a note is due: at most once a second and connection.
    #[inline]
    #[must_use]
    pub fn is_due(&self, now: UnixMillis) -> bool {
        now.0.abs_diff(self.noted.0) >= NOTE_EVERY
    }

    /// Notes that the connection is in use.
    pub fn note(&mut self, now: UnixMillis, command: &str) {
        self.noted = now;
        let last = LastUse {
            at: now,
            source: self.source,
            database: Some(self.database.to_string()),
            command: Some(command.to_owned()),
        };
        self.usage.with(&self.credential, |entry| entry.note(last));
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let counted = self.counted;
        self.usage
            .with(&self.credential, |entry| entry.closed(counted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn temporary(id: u32, expires: u64) -> Arc<TemporarySession> {
        let text = serde_json::json!({
            "id": format!("KWTK{id}"), "principal": "org/acme/role/r", "name": "s",
            "issued": NOW.0, "expires": expires, "revision": 1, "origins": [],
        });
        Arc::new(serde_json::from_value(text).unwrap())
    }

    fn entry_of(usage: &Arc<Usage>, key_id: &str) -> InUse {
        let credential = Credential::Key(key_id.into());
        let source = "192.0.2.7".parse().ok();
        let counted = usage.with(&credential, |entry| entry.opened(source));
        InUse {
            usage: Arc::clone(usage),
            credential,
            counted,
            source,
            database: "org/acme/kvdb/main".into(),
            noted: UnixMillis(0),
        }
    }

    #[test]
    fn keys_in_use() {
        let usage = Arc::new(Usage::new());
        let (mut first, second) = (entry_of(&usage, "KWAKA"), entry_of(&usage, "KWAKA"));
        assert!(first.is_due(NOW));
        first.note(NOW, "get");
        assert!(!first.is_due(UnixMillis(NOW.0 + 999)));
        assert!(first.is_due(UnixMillis(NOW.0 + 1000)));
        let (last, connections) = usage.of_key("KWAKA");
        let last = last.unwrap();
        assert_eq!((last.at, last.command.as_deref()), (NOW, Some("get")));
        assert_eq!(connections, [("192.0.2.7".parse().ok(), 2)]);
        drop((first, second));
        assert_eq!(usage.of_key("KWAKA").1, []);
    }

    #[test]
    fn what_is_new_is_handed_out_once() {
        let usage = Arc::new(Usage::new());
        let mut open = entry_of(&usage, "KWAKA");
        open.note(NOW, "get");
        let new = usage.take_new(&Directory::empty());
        assert_eq!(new.len(), 1);
        assert!(usage.take_new(&Directory::empty()).is_empty());
        drop(open);
        usage.take_new(&Directory::empty());
        assert_eq!(
            usage.of_key("KWAKA"),
            (None, Vec::new()),
            "forgotten with its key"
        );
        usage.restore(new.clone());
        assert_eq!(usage.of_key("KWAKA").0, Some(new[0].1.clone()));
    }

    #[test]
    fn sessions_are_listed_while_they_last() {
        let usage = Usage::new();
        let (short, long) = (temporary(1, NOW.0 + 1), temporary(2, NOW.0 + 2));
        usage.issued(&short);
        usage.issued(&long);
        let ids = |now| -> Vec<String> {
            let found = usage.sessions_of("org/acme/role/r", now);
            found.iter().map(|found| found.session.id.clone()).collect()
        };
        assert_eq!(ids(NOW), ["KWTK1", "KWTK2"]);
        assert_eq!(ids(UnixMillis(NOW.0 + 1)), ["KWTK2"]);
        assert!(usage.sessions_of("org/acme/role/other", NOW).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let usage = Usage::new();
        for id in 0..MAX_SESSIONS as u32 + 10 {
            usage.issued(&temporary(id, NOW.0 + 10 + u64::from(id)));
        }
        let kept = lock(&usage.sessions).len();
        assert_eq!(kept, MAX_SESSIONS - MAX_SESSIONS / 10 + 10);
        assert!(
            usage.session("KWTK0").is_none(),
            "what ends first goes first"
        );
        let usage = Arc::new(usage);
        let credential = Credential::Key("KWAKA".into());
        for host in 0..1000_u32 {
            let source = Some(IpAddr::V4(host.into()));
            usage.with(&credential, |entry| entry.opened(source));
        }
        assert_eq!(usage.of_key("KWAKA").1.len(), MAX_SOURCES + 1);
    }
}
