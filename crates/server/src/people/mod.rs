//! How people sign in: what the JSON calls and the pages share.

pub(crate) mod device;
pub(crate) mod factors;
pub(crate) mod invitations;
mod passkeys;
pub(crate) mod pending;
mod pool;
pub(crate) mod sign_in;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyward_auth::passkey::RelyingParty;
use keyward_auth::{AccountThrottle, PersonSecret, PersonToken};
use keyward_iam::{Directory, IdentityIx, LoginSession, Principal, Session, UnixMillis};
use subtle::ConstantTimeEq as _;

use crate::api::Api;
use pending::Pending;
use pool::PasswordPool;

/// How long a login session lasts at most.
pub(crate) const LOGIN_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// How long a login session may rest.
pub(crate) const IDLE_LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// How long somebody has for the second factor, a passkey, or to look at an app.
pub(crate) const STEP_TIME: Duration = Duration::from_secs(5 * 60);

/// Sign-ins that wait for their second factor.
const MOST_STEPS: usize = 16_384;

/// Login sessions whose last use is remembered.
const MOST_SEEN: usize = 262_144;

/// A provider of single sign-on, as the sign-in page shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignInButton {
    /// What the button says: "Continue with …".
    pub name: String,
    /// Path of the page that begins.
    pub path: String,
}

/// What the operator decides about people.
#[derive(Clone, Debug, Default)]
pub struct PeopleSettings {
    /// Token of the operator on this machine; without it nobody makes users but by invitations.
    pub operator_token: Option<String>,
    /// Buttons of the sign-in page.
    pub buttons: Vec<SignInButton>,
}

/// What signing in needs beside the directory, all of it in memory and bounded.
pub struct People {
    origin: String,
    party: RelyingParty,
    operator_token: Option<String>,
    pub(crate) buttons: Vec<SignInButton>,
    pub(crate) pool: PasswordPool,
    pub(crate) throttle: AccountThrottle,
    /// The password was right; a second factor is missing.
    pub(crate) steps: Pending<sign_in::Step>,
    /// Questions to passkeys that were not answered yet.
    pub(crate) questions: Pending<passkeys::Question>,
    pub(crate) devices: device::Devices,
    seen: Mutex<HashMap<Arc<str>, UnixMillis>>,
    started: UnixMillis,
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("People").finish_non_exhaustive()
    }
}

/// Host of an origin: `https://a.example:8443` has `a.example`.
fn host(origin: &str) -> &str {
    let rest = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or(rest);
    match rest.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => rest,
    }
}

impl People {
    /// Nobody is signing in yet. `public_url`: where browsers reach the API, as
    /// `https://keyward.example.com`. A loopback address is taken as `localhost`, since passkeys
    /// belong to names.
    #[must_use]
    pub fn new(settings: PeopleSettings, public_url: &str, now: UnixMillis) -> Self {
        let origin = public_url.trim_end_matches('/');
        let origin = ["://127.0.0.1", "://[::1]"]
            .iter()
            .fold(origin.to_owned(), |url, address| {
                url.replacen(address, "://localhost", 1)
            });
        Self {
            party: RelyingParty {
                id: host(&origin).to_owned(),
                origins: vec![origin.clone()],
            },
            origin,
            operator_token: settings.operator_token,
            buttons: settings.buttons,
            pool: PasswordPool::new(),
            throttle: AccountThrottle::new(),
            steps: Pending::new(MOST_STEPS),
            questions: Pending::new(MOST_STEPS),
            devices: device::Devices::new(),
            seen: Mutex::default(),
            started: now,
        }
    }

    /// Where the pages are, without a slash at the end.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether cookies are for encrypted connections only.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// Whether a token is the operator's.
    pub(crate) fn is_operator(&self, token: &str) -> bool {
        let known = self.operator_token.as_deref();
        known.is_some_and(|known| bool::from(known.as_bytes().ct_eq(token.as_bytes())))
    }

    /// When a login session was used last. After a restart of the process, its start counts for
    /// those that were open.
    pub(crate) fn last_seen(&self, login: &LoginSession) -> UnixMillis {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.get(&login.id).copied();
        seen.unwrap_or_else(|| login.created.max(self.started))
    }

    fn is_idle(&self, login: &LoginSession, now: UnixMillis) -> bool {
        let rested = now.0.saturating_sub(self.last_seen(login).0);
        u128::from(rested) >= IDLE_LIMIT.as_millis()
    }

    fn note_use(&self, login: &LoginSession, now: UnixMillis) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_SEEN {
            let longest = LOGIN_LIFETIME.as_millis() as u64;
            seen.retain(|_, then| now.0.saturating_sub(then.0) < longest);
        }
        if seen.len() < MOST_SEEN || seen.contains_key(&login.id) {
            seen.insert(Arc::clone(&login.id), now);
        }
    }
}

/// A person who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct SignedInPerson {
    pub(crate) user: IdentityIx,
    pub(crate) login: LoginSession,
    /// Path of the user.
    pub(crate) path: String,
    pub(crate) session: Session,
}

impl SignedInPerson {
    /// The person who makes a call, if it is one.
    pub(crate) fn of_caller(call: &crate::api::Call) -> Option<Self> {
        let session = &call.caller.session;
        let (Principal::Identity(user), Some(id)) = (session.principal, &session.login) else {
            return None;
        };
        let login = call.directory.login_session(user, id, call.now)?;
        Some(Self {
            user,
            login: login.clone(),
            path: call.caller.path.clone(),
            session: session.clone(),
        })
    }
}

/// Who has a login token, if it opens anything.
pub(crate) fn person_of_token(
    api: &Api,
    directory: &Directory,
    token: &str,
    source: Option<IpAddr>,
    secure: bool,
    now: UnixMillis,
) -> Option<SignedInPerson> {
    let token = PersonToken::parse(PersonSecret::Login, token)?;
    let path = token.path();
    let user = directory.identity_at(&path)?;
    let login = directory.login_session(user, token.id(), now)?;
    let hash = token.hash(&api.hash_key);
    if !bool::from(hash.ct_eq(&login.token_hash.0)) || api.people.is_idle(login, now) {
        return None;
    }
    api.people.note_use(login, now);
    let session = Session {
        source,
        secure,
        mfa: login.mfa,
        login: Some(Arc::clone(&login.id)),
        ..Session::of_identity(user)
    };
    debug_assert_eq!(session.principal, Principal::Identity(user));
    Some(SignedInPerson {
        user,
        login: login.clone(),
        path,
        session,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let cases = [
            ("https://keyward.example.com", "keyward.example.com"),
            ("https://keyward.example.com:8443", "keyward.example.com"),
            ("http://localhost:6381", "localhost"),
            ("https://a.example/x", "a.example"),
        ];
        for (origin, expected) in cases {
            assert_eq!(host(origin), expected, "{origin}");
        }
    }
}
