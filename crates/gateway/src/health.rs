//! Whether the servers behind databases answer.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use keyward_iam::{Backend, DatabaseIx, Directory, UnixMillis};
use keyward_resp::encode_request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use std::sync::Arc;

use crate::backend::organisation_of;
use crate::shared::{Shared, now};

/// Time for a server to be reached, and to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Servers that are asked at the same time.
const AT_ONCE: usize = 16;

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 4096;

/// What was found of one server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BackendState {
    /// It answers, and takes our password.
    Up,
    /// It cannot be reached.
    Unreachable,
    /// The operator does not permit its address.
    NotPermitted,
    /// It takes neither our password nor our commands.
    Refuses,
    /// Something answers that is no Valkey or Redis server.
    NoServer,
}

impl BackendState {
    /// For people and programs. Never what the server said: that could be anything.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Up => "it answers",
            Self::Unreachable => "it cannot be reached",
            Self::NotPermitted => "the operator does not permit its address as a backend",
            Self::Refuses => "it refuses the login or PING",
            Self::NoServer => "what answers is no Valkey or Redis server",
        }
    }
}

/// When a server was looked at last, and what was found.
#[derive(Clone, Copy, Debug)]
pub struct BackendHealth {
    /// What was found.
    pub state: BackendState,
    /// When.
    pub checked_at: UnixMillis,
    /// Since when it is so.
    pub since: UnixMillis,
    /// How long the answer took.
    pub took: Duration,
}

/// What is known of the servers behind databases, and of which backend it was found.
#[derive(Debug, Default)]
pub struct BackendBoard(RwLock<HashMap<DatabaseIx, (Backend, BackendHealth)>>);

/// The databases that are on servers.
fn on_servers(directory: &Directory) -> impl Iterator<Item = (DatabaseIx, &Backend)> {
    let all = directory.databases();
    all.map(|(ix, database)| (ix, &database.backend))
        .filter(|(_, backend)| matches!(backend, Backend::Server { .. }))
}

impl BackendBoard {
    /// What was found last; none for databases on the embedded engine, and before the first look.
    #[must_use]
    pub fn of(&self, database: DatabaseIx) -> Option<BackendHealth> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&database).map(|(_, health)| *health)
    }

    /// Looks at every server once.
    pub async fn look(&self, shared: &Arc<Shared>) {
        let directory = shared.directory.load_full();
        let waiting = self.forget_others(&directory);
        self.look_at(shared, &directory, waiting).await;
    }

    /// Looks at the servers that nobody has looked at yet: those of new databases, and of databases
    /// that were put on another server.
    pub async fn look_at_new(&self, shared: &Arc<Shared>) {
        let directory = shared.directory.load_full();
        let mut waiting = self.forget_others(&directory);
        {
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
            waiting.retain(|ix| !known.contains_key(ix));
        }
        self.look_at(shared, &directory, waiting).await;
    }

    /// Forgets what was found of servers that are no backends any more; answers with those that are.
    fn forget_others(&self, directory: &Directory) -> Vec<DatabaseIx> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|ix, (seen, _)| {
            let database = directory.database(*ix);
            database.is_some_and(|database| database.backend == *seen)
        });
        on_servers(directory).map(|(ix, _)| ix).collect()
    }

    async fn look_at(
        &self,
        shared: &Arc<Shared>,
        directory: &Arc<Directory>,
        mut waiting: Vec<DatabaseIx>,
    ) {
        let mut asked = JoinSet::new();
        loop {
            while asked.len() < AT_ONCE
                && let Some(ix) = waiting.pop()
            {
                let (shared, directory) = (Arc::clone(shared), Arc::clone(directory));
                asked.spawn(async move {
                    let begun = Instant::now();
                    let state = probe(&shared, &directory, ix).await;
                    (ix, state, begun.elapsed())
                });
            }
            let Some(found) = asked.join_next().await else {
                return;
            };
            if let Ok((ix, state, took)) = found
                && let Some(database) = directory.database(ix)
            {
                self.note(ix, &database.backend, state, took);
            }
        }
    }

    fn note(&self, ix: DatabaseIx, backend: &Backend, state: BackendState, took: Duration) {
        let at = now();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(&ix).map(|(_, before)| before);
        let before = before.filter(|before| before.state == state);
        let health = BackendHealth {
            state,
            checked_at: at,
            since: before.map_or(at, |before| before.since),
            took,
        };
        known.insert(ix, (backend.clone(), health));
    }

    /// Adds how many answer and how many do not, in the Prometheus text format. Names nobody: the
    /// counters are open to whoever reaches the port.
    pub fn metrics(&self, text: &mut String) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let up = known
            .values()
            .filter(|(_, health)| health.state == BackendState::Up);
        let up = up.count();
        let name = "keyward_backends";
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "# HELP {name} Servers behind databases, by whether they answer.\n# TYPE {name} gauge\n\
             {name}{{state=\"up\"}} {up}\n{name}{{state=\"down\"}} {}",
            known.len() - up
        );
    }
}

/// Logs in and asks for a `PONG`.
async fn probe(shared: &Shared, directory: &Directory, ix: DatabaseIx) -> BackendState {
    let Some(database) = directory.database(ix) else {
        return BackendState::Unreachable;
    };
    let Backend::Server {
        address,
        user,
        password,
        operator,
    } = &database.backend
    else {
        return BackendState::Up;
    };
    let organisation = (!*operator).then(|| organisation_of(&database.path));
    let mut stream = match shared.reach(organisation, address, PATIENCE).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return BackendState::NotPermitted;
        }
        Err(_) => return BackendState::Unreachable,
    };
    let password = match password {
        Some(sealed) => shared.opened_password(&database.path, sealed),
        None if *operator => shared.upstream_password(&database.path),
        None => None,
    };
    let mut request = zeroize::Zeroizing::new(Vec::new());
    let mut lines = 1;
    if let Some(password) = &password {
        lines += 1;
        let words: &[&[u8]] = match user {
            Some(user) => &[b"AUTH", user.as_bytes(), password.expose()],
            None => &[b"AUTH", password.expose()],
        };
        encode_request(words.iter().copied(), &mut request);
    }
    encode_request([b"PING".as_slice()].into_iter(), &mut request);
    let asked = async {
        stream.write_all(&request).await?;
        let mut answer = Vec::new();
        while answer.iter().filter(|byte| **byte == b'\n').count() < lines
            && answer.len() < MAX_ANSWER
        {
            let mut chunk = [0; 512];
            match stream.read(&mut chunk).await? {
                0 => break,
                read => answer.extend_from_slice(&chunk[..read]),
            }
        }
        Ok::<_, std::io::Error>(answer)
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => judge(&answer, lines),
        _ => BackendState::Unreachable,
    }
}

fn judge(answer: &[u8], lines: usize) -> BackendState {
    let found: Vec<&[u8]> = answer.split(|byte| *byte == b'\n').take(lines).collect();
    if found.iter().any(|line| line.first() == Some(&b'-')) {
        return BackendState::Refuses;
    }
    match found.last() {
        Some(last) if found.len() == lines && **last == *b"+PONG\r" => BackendState::Up,
        _ => BackendState::NoServer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_says() {
        let cases: [(&[u8], usize, BackendState); 7] = [
            (b"+PONG\r\n", 1, BackendState::Up),
            (b"+OK\r\n+PONG\r\n", 2, BackendState::Up),
            (b"-WRONGPASS no\r\n-NOAUTH\r\n", 2, BackendState::Refuses),
            (b"-NOAUTH\r\n", 1, BackendState::Refuses),
            (b"HTTP/1.1 400 Bad Request\r\n", 1, BackendState::NoServer),
            (b"", 1, BackendState::NoServer),
            (b"+OK\r\n", 2, BackendState::NoServer),
        ];
        for (answer, lines, expected) in cases {
            let text = String::from_utf8_lossy(answer);
            assert_eq!(judge(answer, lines), expected, "{text}");
        }
    }
}
