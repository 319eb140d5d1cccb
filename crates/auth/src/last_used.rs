//! When, from where and for what credentials were last used, and by whom they are in use.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keyward_iam::{CertificateSession, Directory, Session, TemporarySession, UnixMillis};
use serde::{Deserialize, Serialize};

/// How often one connection notes that it uses its credential, in milliseconds.
const NOTE_EVERY: u64 = 1000;

/// How many notes a connection may make sooner, because it used another command; one more each
/// [`NOTE_EVERY`]. So the last command of whoever sends few is always known.
const SOONER: u64 = 32;

/// Most sessions of temporary credentials that are remembered.
pub const MAX_SESSIONS: usize = 100_000;

/// Most sessions that the gateway has opened and that are not written down yet.
const MAX_OPENED: usize = 65_536;

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
    opened_from: Option<IpAddr>,
    entry: Entry,
}

/// A session of temporary credentials as it is kept: nothing of its credentials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptSession {
    /// What it is.
    pub session: TemporarySession,
    /// From where it was opened, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_from: Option<IpAddr>,
    /// Its last use, if it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<LastUse>,
}

/// Sessions that the gateway opened by itself, for whoever writes that down.
#[derive(Debug, Default)]
pub struct OpenedSessions {
    /// Session and source, in their order.
    pub opened: Vec<(Arc<TemporarySession>, Option<IpAddr>)>,
    /// How many more there were than there was room for.
    pub lost: u64,
}

/// Open connections of a client certificate.
#[derive(Clone, Debug)]
pub struct ListedCertificate {
    /// How it came to open a session.
    pub certificate: Arc<CertificateSession>,
    /// Whom it opens: a path.
    pub principal: Box<str>,
    /// Its last use, if it was used.
    pub last_used: Option<LastUse>,
    /// Its open connections.
    pub connections: Connections,
}

/// A session of temporary credentials that was issued here or seen in use.
#[derive(Clone, Debug)]
pub struct ListedSession {
    /// What it is.
    pub session: Arc<TemporarySession>,
    /// From where it was opened, as far as that is known.
    pub opened_from: Option<IpAddr>,
    /// Its last use, if it was used.
    pub last_used: Option<LastUse>,
    /// Its open connections.
    pub connections: Connections,
}

/// Which certificate for whom: its fingerprint and the path of the principal.
type CertificateName = (Arc<str>, Box<str>);

/// Credentials in use, in memory. What is kept of access keys and of sessions is handed out to be
/// stored at intervals; sessions of temporary credentials are remembered while they last and while
/// there is room, client certificates while they have connections. Nothing is decided by any of it.
#[derive(Debug, Default)]
pub struct Usage {
    keys: Mutex<HashMap<Box<str>, Entry>>,
    sessions: Mutex<HashMap<Box<str>, SeenSession>>,
    opened: Mutex<OpenedSessions>,
    certificates: Mutex<HashMap<CertificateName, (Arc<CertificateSession>, Entry)>>,
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
    Certificate(Arc<CertificateSession>, Box<str>),
}

impl Credential {
    fn of(session: &Session, directory: &Directory) -> Option<Self> {
        if let Some(temporary) = &session.temporary {
            return Some(Self::Session(Arc::clone(temporary)));
        }
        if let Some(certificate) = &session.certificate {
            let principal = directory.principal_path(session.principal);
            return Some(Self::Certificate(Arc::clone(certificate), principal.into()));
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

    /// Remembers a session that was just issued and written down.
    pub fn issued(&self, session: &Arc<TemporarySession>, from: Option<IpAddr>) {
        let mut sessions = lock(&self.sessions);
        seen(&mut sessions, session, from).entry.is_new = false;
    }

    /// Remembers what was stored of sessions before the process started.
    pub fn restore_sessions(&self, stored: impl IntoIterator<Item = KeptSession>, now: UnixMillis) {
        let mut sessions = lock(&self.sessions);
        for kept in stored {
            if kept.session.expires <= now || sessions.len() >= MAX_SESSIONS {
                continue;
            }
            let found = seen(&mut sessions, &Arc::new(kept.session), kept.opened_from);
            found.entry.last = kept.last_used;
            found.entry.is_new = false;
        }
    }

    /// The sessions that the gateway has opened since the last call. Whoever takes them writes them
    /// down.
    pub fn take_opened(&self) -> OpenedSessions {
        std::mem::take(&mut lock(&self.opened))
    }

    /// Gives back what could not be written down, to be taken again.
    pub fn return_opened(&self, opened: &[(Arc<TemporarySession>, Option<IpAddr>)]) {
        let mut waiting = lock(&self.opened);
        let room = MAX_OPENED.saturating_sub(waiting.opened.len());
        waiting.lost += opened.len().saturating_sub(room) as u64;
        let kept = opened.iter().take(room).cloned();
        waiting.opened.splice(..0, kept);
    }

    /// The sessions of which something is new since the last call, to be stored. Forgets what has
    /// ended.
    pub fn take_new_sessions(&self, now: UnixMillis) -> Vec<KeptSession> {
        let mut new = Vec::new();
        lock(&self.sessions).retain(|_, seen| {
            if std::mem::take(&mut seen.entry.is_new) {
                new.push(KeptSession {
                    session: (*seen.session).clone(),
                    opened_from: seen.opened_from,
                    last_used: seen.entry.last.clone(),
                });
            }
            now < seen.session.expires || !seen.entry.connections.is_empty()
        });
        new
    }

    /// The client certificates that have connections as an identity.
    #[must_use]
    pub fn certificates_of(&self, principal: &str) -> Vec<ListedCertificate> {
        let certificates = lock(&self.certificates);
        let of_it = certificates
            .iter()
            .filter(|((_, path), _)| **path == *principal);
        let listed = of_it.map(|((_, path), (certificate, entry))| ListedCertificate {
            certificate: Arc::clone(certificate),
            principal: path.clone(),
            last_used: entry.last.clone(),
            connections: entry.connections(),
        });
        listed.collect()
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

    /// The principals of all sessions that may still be open.
    #[must_use]
    pub fn principals_of_sessions(&self, now: UnixMillis) -> Vec<String> {
        let sessions = lock(&self.sessions);
        let open = sessions.values().filter(|seen| now < seen.session.expires);
        let mut found: Vec<String> = open.map(|seen| seen.session.principal.clone()).collect();
        found.sort_unstable();
        found.dedup();
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
        if let Credential::Session(temporary) = &credential {
            self.meet(temporary, session.source);
        }
        let source = self.with(&credential, |entry| entry.opened(session.source));
        Some(InUse {
            usage: Arc::clone(self),
            credential,
            counted: source,
            source: session.source,
            database: database.into(),
            noted: UnixMillis(0),
            command: "",
            sooner: SOONER,
            unnoted: None,
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
            Credential::Session(session) => {
                act(&mut seen(&mut lock(&self.sessions), session, None).entry)
            }
            Credential::Certificate(certificate, principal) => {
                let name = (Arc::clone(&certificate.fingerprint), principal.clone());
                let mut certificates = lock(&self.certificates);
                let found = certificates
                    .entry(name.clone())
                    .or_insert_with(|| (Arc::clone(certificate), Entry::default()));
                let told = act(&mut found.1);
                // Bounded by the open connections.
                if found.1.connections.is_empty() {
                    certificates.remove(&name);
                }
                told
            }
        }
    }

    /// A connection comes with a session; one that a token opens begins here.
    fn meet(&self, session: &Arc<TemporarySession>, from: Option<IpAddr>) {
        let mut sessions = lock(&self.sessions);
        let is_known = sessions.contains_key(session.id.as_str());
        let _ = seen(&mut sessions, session, from);
        drop(sessions);
        let origin = session.origins.first();
        if is_known || origin.is_none_or(|origin| origin.token.is_none()) {
            return;
        }
        let mut opened = lock(&self.opened);
        if opened.opened.len() < MAX_OPENED {
            opened.opened.push((Arc::clone(session), from));
        } else {
            opened.lost += 1;
        }
    }
}

/// What is remembered of a session, from now on if nothing is.
fn seen<'a>(
    sessions: &'a mut HashMap<Box<str>, SeenSession>,
    session: &Arc<TemporarySession>,
    from: Option<IpAddr>,
) -> &'a mut SeenSession {
    if sessions.len() >= MAX_SESSIONS && !sessions.contains_key(session.id.as_str()) {
        make_room(sessions, session.issued);
    }
    let found = sessions
        .entry(session.id.as_str().into())
        .or_insert_with(|| SeenSession {
            session: Arc::clone(session),
            opened_from: from,
            entry: Entry {
                is_new: true,
                ..Entry::default()
            },
        });
    // A token that is shown again prolongs its session.
    if found.session.expires < session.expires {
        found.session = Arc::clone(session);
        found.entry.is_new = true;
    }
    found
}

fn listed(seen: &SeenSession) -> ListedSession {
    ListedSession {
        session: Arc::clone(&seen.session),
        opened_from: seen.opened_from,
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
    /// What was noted last, and when.
    noted: UnixMillis,
    command: &'static str,
    /// How many notes may be made sooner than [`NOTE_EVERY`].
    sooner: u64,
    /// A use since then that was not noted.
    unnoted: Option<(UnixMillis, &'static str)>,
}

impl InUse {
    /// Notes that the connection is in use, if a note is due; else when it is closed.
    #[inline]
    pub fn note(&mut self, now: UnixMillis, command: &'static str) {
        let notes = now.0.abs_diff(self.noted.0) / NOTE_EVERY;
        if notes > 0 {
            self.sooner = self.sooner.saturating_add(notes - 1).min(SOONER);
        } else if self.sooner > 0 && command != self.command {
            self.sooner -= 1;
        } else {
            self.unnoted = Some((now, command));
            return;
        }
        (self.noted, self.command) = (now, command);
        self.unnoted = None;
        self.write(now, command);
    }

    fn write(&self, now: UnixMillis, command: &str) {
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
        if let Some((at, command)) = self.unnoted.take() {
            self.write(at, command);
        }
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
            command: "",
            sooner: SOONER,
            unnoted: None,
        }
    }

    #[test]
    fn the_last_command_of_few_is_known_at_once_and_of_many_each_second() {
        let usage = Arc::new(Usage::new());
        let mut open = entry_of(&usage, "KWAKA");
        let last = || {
            let last = usage.of_key("KWAKA").0.unwrap();
            (last.at.0 - NOW.0, last.command.unwrap())
        };
        let at = |after: u64| UnixMillis(NOW.0 + after);
        for (after, command) in [(0, "auth"), (1, "client|setinfo"), (2, "get")] {
            open.note(at(after), command);
            assert_eq!(last(), (after, command.to_owned()));
        }
        open.note(at(3), "get");
        assert_eq!(last(), (2, "get".to_owned()), "the same within a second");
        for after in 4..200 {
            open.note(at(after), if after % 2 == 0 { "set" } else { "get" });
        }
        let (noted, _) = last();
        assert!(noted < 40, "{noted}: not every one of many");
        open.note(at(1200), "del");
        assert_eq!(last(), (1200, "del".to_owned()));
        open.note(at(1201), "del");
        drop(open);
        assert_eq!(
            last(),
            (1201, "del".to_owned()),
            "the very last when it is closed"
        );
    }

    #[test]
    fn keys_in_use() {
        let usage = Arc::new(Usage::new());
        let (mut first, second) = (entry_of(&usage, "KWAKA"), entry_of(&usage, "KWAKA"));
        first.note(NOW, "get");
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
        usage.issued(&short, None);
        usage.issued(&long, None);
        let ids = |now| -> Vec<String> {
            let found = usage.sessions_of("org/acme/role/r", now);
            found.iter().map(|found| found.session.id.clone()).collect()
        };
        assert_eq!(ids(NOW), ["KWTK1", "KWTK2"]);
        assert_eq!(ids(UnixMillis(NOW.0 + 1)), ["KWTK2"]);
        assert!(usage.sessions_of("org/acme/role/other", NOW).is_empty());
    }

    #[test]
    fn sessions_are_kept_and_found_again() {
        let usage = Usage::new();
        let session = temporary(1, NOW.0 + 10);
        let from = "192.0.2.7".parse().ok();
        usage.issued(&session, from);
        assert!(
            usage.take_new_sessions(NOW).is_empty(),
            "written down before"
        );
        let last = LastUse {
            at: NOW,
            source: None,
            database: None,
            command: Some("get".to_owned()),
        };
        usage.with(&Credential::Session(Arc::clone(&session)), |entry| {
            entry.note(last.clone());
        });
        let new = usage.take_new_sessions(NOW);
        assert_eq!(new.len(), 1);
        let text = serde_json::to_string(&new).unwrap();
        let new: Vec<KeptSession> = serde_json::from_str(&text).unwrap();
        assert!(usage.take_new_sessions(NOW).is_empty());
        let later = Usage::new();
        later.restore_sessions(new.clone(), NOW);
        let found = later.session("KWTK1").unwrap();
        assert_eq!((found.opened_from, found.last_used), (from, Some(last)));
        assert!(later.take_new_sessions(NOW).is_empty());
        let over = Usage::new();
        over.restore_sessions(new, UnixMillis(NOW.0 + 10));
        assert!(over.session("KWTK1").is_none());
        assert!(usage.take_new_sessions(UnixMillis(NOW.0 + 10)).is_empty());
        assert!(usage.session("KWTK1").is_none(), "forgotten at its end");
    }

    #[test]
    fn sessions_that_the_gateway_opens_are_told_once() {
        let of_token = |id: u32, expires: u64| {
            let mut session = (*temporary(id, expires)).clone();
            session.origins.push(keyward_iam::Origin {
                token: Some(("https://id.example".to_owned(), "ci".to_owned())),
                ..keyward_iam::Origin::default()
            });
            Arc::new(session)
        };
        let usage = Usage::new();
        usage.meet(&of_token(1, NOW.0 + 10), None);
        usage.meet(&of_token(1, NOW.0 + 20), None);
        usage.meet(&temporary(2, NOW.0 + 10), None);
        let issued = of_token(3, NOW.0 + 10);
        usage.issued(&issued, None);
        usage.meet(&issued, None);
        let told = usage.take_opened();
        assert_eq!((told.opened.len(), told.lost), (1, 0));
        assert!(usage.take_opened().opened.is_empty());
        let expires = usage.session("KWTK1").unwrap().session.expires;
        assert_eq!(expires, UnixMillis(NOW.0 + 20), "prolonged");
    }

    #[test]
    fn memory_is_bounded() {
        let usage = Usage::new();
        for id in 0..MAX_SESSIONS as u32 + 10 {
            usage.issued(&temporary(id, NOW.0 + 10 + u64::from(id)), None);
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
