//! `AUTH` and `HELLO`.

use std::time::Duration;

use keyward_auth::{LoginError, certificate_login};
use keyward_commands::Words as _;
use keyward_iam::{AskedDatabase, ChooseDatabaseError, Connect, Directory, Principal, Session};
use keyward_resp::{Protocol, encode};

use super::client::{Access, Client, Flow, Hold, Turn};
use super::words::RequestWords;
use crate::backend::Backend;
use crate::metrics::count;
use crate::reply_queue::Mark;

/// The server's words for a login that failed, whatever was wrong with it.
const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// The version that Keyward says it is, as Valkey does.
pub(crate) const SERVER_VERSION: &str = "7.2.4";

/// How long a login is held while the keys of its token's issuer are fetched.
const MOST_PENDING: Duration = Duration::from_secs(6);

/// How a login ended.
enum LoggedIn {
    Yes,
    /// It failed, and changed nothing.
    WrongPassword,
    /// The credential is good, and yet: the error to answer.
    Refused(String),
    /// It cannot be told yet.
    Pending,
}

impl Client {
    /// `AUTH [user] password`
    pub(crate) fn auth(&mut self, words: RequestWords<'_>, turn: &mut Turn<'_>) -> Flow {
        let (user, password) = match (words.get(1), words.get(2)) {
            (Some(password), None) => (&b""[..], password),
            (Some(user), Some(password)) if words.len() == 3 => (user, password),
            _ => return self.refuse("ERR syntax error", turn),
        };
        if self.transaction.is_some() {
            return self.refuse("ERR AUTH inside MULTI is not allowed", turn);
        }
        if !self.queue.is_idle() {
            return Flow::WaitUntilIdle;
        }
        match self.log_in(user, password, turn) {
            LoggedIn::Yes => {
                self.answer(turn, |out| encode::simple(out, "OK"));
                Flow::Done
            }
            LoggedIn::Refused(text) => self.refuse(&text, turn),
            LoggedIn::WrongPassword => self.login_failed(turn),
            LoggedIn::Pending => Flow::AskAgain,
        }
    }

    /// `HELLO [protocol [AUTH user password] [SETNAME name]]`
    pub(crate) fn hello(&mut self, words: RequestWords<'_>, turn: &mut Turn<'_>) -> Flow {
        if self.transaction.is_some() {
            return self.refuse("ERR HELLO inside MULTI is not allowed", turn);
        }
        if !self.queue.is_idle() {
            return Flow::WaitUntilIdle;
        }
        let mut protocol = self.protocol;
        if let Some(version) = words.get(1) {
            let version = std::str::from_utf8(version)
                .ok()
                .and_then(|text| text.parse::<i64>().ok());
            protocol = match version {
                Some(2) => Protocol::Resp2,
                Some(3) => Protocol::Resp3,
                Some(_) => return self.refuse("NOPROTO unsupported protocol version", turn),
                None => {
                    let text = "ERR Protocol version is not an integer or out of range";
                    return self.refuse(text, turn);
                }
            };
        }
        let (mut credentials, mut name) = (None, None);
        let mut at = 2;
        while at < words.len() {
            if words.is(at, "AUTH")
                && let (Some(user), Some(password)) = (words.get(at + 1), words.get(at + 2))
            {
                credentials = Some((user, password));
                at += 3;
            } else if words.is(at, "SETNAME")
                && let Some(given) = words.get(at + 1)
            {
                name = Some(given);
                at += 2;
            } else {
                let option = String::from_utf8_lossy(words.word(at)).into_owned();
                let text = format!("ERR Syntax error in HELLO option '{option}'");
                return self.refuse(&text, turn);
            }
        }
        if name.is_some_and(|name| !is_client_name(name)) {
            return self.refuse(BAD_CLIENT_NAME, turn);
        }
        match credentials.map(|(user, password)| self.log_in(user, password, turn)) {
            None | Some(LoggedIn::Yes) => {}
            Some(LoggedIn::Refused(text)) => return self.refuse(&text, turn),
            Some(LoggedIn::WrongPassword) => return self.login_failed(turn),
            Some(LoggedIn::Pending) => return Flow::AskAgain,
        }
        if !self.is_open() {
            if let Access::Closed(Some(_)) = self.access {
                return self.not_logged_in(turn);
            }
            let text = "NOAUTH HELLO must be called with the client already authenticated, \
                        otherwise the HELLO <proto> AUTH <user> <pass> option can be used to \
                        authenticate the client and select the RESP protocol version at the same \
                        time";
            return self.refuse(text, turn);
        }
        if let Some(name) = name {
            self.about.name = name.into();
        }
        self.speak(protocol);
        let id = self.id;
        self.answer(turn, |out| {
            encode::map(out, protocol, 7);
            let mut text = |name: &str, value: &str| {
                encode::bulk(out, name.as_bytes());
                encode::bulk(out, value.as_bytes());
            };
            text("server", "redis");
            text("version", SERVER_VERSION);
            encode::bulk(out, b"proto");
            encode::integer(out, if protocol == Protocol::Resp3 { 3 } else { 2 });
            encode::bulk(out, b"id");
            encode::integer(out, i64::try_from(id).unwrap_or(i64::MAX));
            for (name, value) in [("mode", "standalone"), ("role", "master")] {
                encode::bulk(out, name.as_bytes());
                encode::bulk(out, value.as_bytes());
            }
            encode::bulk(out, b"modules");
            encode::array(out, 0);
        });
        Flow::Done
    }

    /// Changes the protocol, here and at the backend. The queue is idle.
    fn speak(&mut self, protocol: Protocol) {
        if protocol == self.protocol {
            return;
        }
        self.protocol = protocol;
        match &mut self.backend {
            Backend::Server(upstream) => {
                if upstream.status() != crate::backend::upstream::Status::Closed {
                    upstream.speak(protocol);
                    self.queue.marked(Mark::Line, false);
                    self.queue.speak(protocol);
                }
            }
            Backend::Embedded(embedded) => embedded.speak(protocol),
            Backend::None => {}
        }
    }

    /// A failed login: changes nothing, and is answered late if its source has failed often.
    fn login_failed(&mut self, turn: &mut Turn<'_>) -> Flow {
        count(&turn.metrics.failed_logins, 1);
        let wait = turn
            .shared
            .throttle
            .failed(self.peer.ip().to_canonical(), turn.now);
        if wait.is_zero() {
            return self.refuse(WRONG_PASSWORD, turn);
        }
        self.hold = Hold::Delayed(wait);
        Flow::Done
    }

    /// The wait of a failed login is over.
    pub(crate) fn delay_over(&mut self, turn: &mut Turn<'_>) {
        let held = std::mem::take(&mut self.hold);
        if matches!(held, Hold::Delayed(_)) {
            self.refuse(WRONG_PASSWORD, turn);
        }
    }

    /// What the name in TLS says of the database: `sessions.acme` of `sessions.acme.<domain>`.
    fn database_of_server_name(&self, domain: Option<&str>) -> Option<&str> {
        let name = self.transport.server_name.as_deref()?;
        let name = name.strip_suffix(domain?)?.strip_suffix('.')?;
        (name.split('.').count() == 2).then_some(name)
    }

    fn log_in(&mut self, user: &[u8], password: &[u8], turn: &mut Turn<'_>) -> LoggedIn {
        if !self.is_secure() && !turn.settings.allow_remote {
            let text = "ERR keyward: credentials are taken only on encrypted or local connections";
            return LoggedIn::Refused(text.to_owned());
        }
        let directory = turn.shared.directory.load_full();
        let source = self.peer.ip().to_canonical();
        let verifier = &turn.shared.verifier;
        let login = match verifier.login(&directory, user, password, Some(source), turn.now) {
            Ok(login) => login,
            Err(LoginError::WrongPass) => return LoggedIn::WrongPassword,
            Err(error @ LoginError::Pending) => {
                let since = *self.pending_since.get_or_insert(turn.now);
                let waited = turn.now.0.saturating_sub(since.0);
                if u128::from(waited) < MOST_PENDING.as_millis() {
                    return LoggedIn::Pending;
                }
                self.pending_since = None;
                return LoggedIn::Refused(format!("ERR keyward: {error}"));
            }
            Err(error) => {
                return LoggedIn::Refused(format!("ERR keyward: {error}"));
            }
        };
        self.admit(&directory, login.session, login.suffix.as_deref(), turn)
    }

    /// Lets the holder of the connection's client certificate in, if an organisation takes it for
    /// somebody. Whoever logs in with a password replaces that, and `RESET` returns to it.
    pub(crate) fn open_by_certificate(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(certificate) = self.certificate.clone() else {
            return false;
        };
        let directory = turn.shared.directory.load_full();
        let default = turn.settings.default_database;
        let default = default.and_then(|ix| directory.database(ix));
        let named = self.database_of_server_name(turn.settings.domain.as_deref());
        let near = match named {
            Some(name) => name.split('.').nth(1),
            None => default.and_then(|database| database.path.split('/').nth(1)),
        };
        let Some(session) = certificate_login(&directory, &certificate, near, turn.now) else {
            return false;
        };
        match self.admit(&directory, session, None, turn) {
            LoggedIn::Yes => true,
            LoggedIn::WrongPassword | LoggedIn::Pending => false,
            LoggedIn::Refused(reason) => {
                tracing::debug!(reason, "a client certificate opens no session");
                false
            }
        }
    }

    /// Begins the session of a credential that was found to be good, or renews it.
    fn admit(
        &mut self,
        directory: &Directory,
        mut session: Session,
        suffix: Option<&str>,
        turn: &mut Turn<'_>,
    ) -> LoggedIn {
        session.source = Some(self.peer.ip().to_canonical());
        session.secure = self.is_secure();
        let asked = AskedDatabase {
            binding: None,
            server_name: self.database_of_server_name(turn.settings.domain.as_deref()),
            suffix,
            listener_default: turn.settings.default_database,
        };
        let database = match directory.choose_database(&session, &asked, turn.now) {
            Ok(database) => database,
            Err(ChooseDatabaseError::Foreign) => return LoggedIn::WrongPassword,
            Err(error) => return LoggedIn::Refused(format!("ERR keyward: {error}")),
        };
        let Some(target) = directory.database(database) else {
            return LoggedIn::WrongPassword;
        };
        let table = turn.shared.tables().table(
            directory,
            &session,
            database,
            turn.settings.allow_administration,
            turn.now,
        );
        let own = directory.belongs(session.principal, target.organisation);
        match (table.may_connect(), own) {
            (Connect::Allowed, _) | (Connect::ImplicitDeny, true) => {}
            (Connect::ExplicitDeny | Connect::ImplicitDeny, false) => {
                return LoggedIn::WrongPassword;
            }
            (Connect::ExplicitDeny, true) => {
                let principal = directory.principal_path(session.principal);
                return LoggedIn::Refused(format!(
                    "NOPERM User {principal} has no permissions to run the 'auth' command: \
                     kvdb:Connect on {}: explicit deny",
                    target.path
                ));
            }
        }
        if let Access::Open(open) = &mut self.access
            && open.session.principal != Principal::Unauthenticated
        {
            if open.database != database {
                let path = directory
                    .database(open.database)
                    .map_or("deleted", |found| &found.path);
                return LoggedIn::Refused(format!(
                    "ERR keyward: this connection is to {path}: open another one for {}",
                    target.path
                ));
            }
            if open.session.principal == session.principal {
                // The session is renewed; everything open stays open if it may still be.
                open.ends = directory.session_end(&session, turn.now);
                open.in_use =
                    turn.shared
                        .verifier
                        .usage
                        .connected(&session, directory, &target.path);
                open.session = session;
                open.table = table;
                if self.is_attentive() && !self.still_holds(turn) {
                    self.broken = true;
                }
                count(&turn.metrics.logins, 1);
                return LoggedIn::Yes;
            }
            self.start_over(turn);
        }
        self.enter(directory, session, database, table, turn);
        count(&turn.metrics.logins, 1);
        LoggedIn::Yes
    }
}

/// The server's words for a name that `CLIENT LIST` could not show.
pub(crate) const BAD_CLIENT_NAME: &str =
    "ERR Client names cannot contain spaces, newlines or special characters.";

/// Whether a name can stand in `CLIENT LIST`.
pub(crate) fn is_client_name(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}
