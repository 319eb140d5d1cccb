//! Letting a program in that has no page of its own: by a code that is typed at a page (RFC 8628),
//! or by a code that a page sends to a port of the same machine (RFC 8252, PKCE).

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_iam::{Directory, UnixMillis, UsedFactor};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::SignedInPerson;
use super::pending::Pending;
use super::sign_in::{self, Came, Client, NewLogin, NotSignedIn, after, random_text};
use crate::api::Api;

/// How long a device waits for its person.
pub(crate) const DEVICE_TIME: Duration = Duration::from_secs(10 * 60);

/// How long a code that was sent to a port may be exchanged.
const CODE_TIME: Duration = Duration::from_secs(2 * 60);

/// Seconds between two questions of a device.
pub(crate) const INTERVAL: u64 = 3;

/// Devices that wait, of all sources and of one.
const MOST_DEVICES: usize = 4_096;
const MOST_DEVICES_OF_A_SOURCE: usize = 32;

/// Codes on their way.
const MOST_CODES: usize = 4_096;

/// Letters of user codes: no vowels, so that no words come out, and none that look alike.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Who let a device in: the session must still be there when it is used.
#[derive(Clone, Debug)]
struct Approval {
    user: String,
    login: std::sync::Arc<str>,
    mfa: Option<UnixMillis>,
}

impl Approval {
    fn by(person: &SignedInPerson) -> Self {
        Self {
            user: person.path.clone(),
            login: std::sync::Arc::clone(&person.login.id),
            mfa: person.login.mfa,
        }
    }

    fn holds(&self, directory: &Directory, now: UnixMillis) -> bool {
        let user = directory.identity_at(&self.user);
        user.is_some_and(|user| directory.login_session(user, &self.login, now).is_some())
    }
}

#[derive(Clone, Debug)]
enum State {
    Waiting,
    Approved(Approval),
    Denied,
}

#[derive(Clone, Debug)]
struct Device {
    /// Hash of the whole device code.
    code: [u8; 32],
    client: String,
    source: IpAddr,
    state: State,
    /// Before that a question is too early.
    next: UnixMillis,
}

#[derive(Clone, Debug)]
struct LoopbackCode {
    approval: Approval,
    /// SHA-256 of the verifier, in base64url: what the program committed itself to.
    challenge: String,
}

/// Devices that wait, by user code, and codes on their way to ports.
#[derive(Debug)]
pub(crate) struct Devices {
    waiting: Pending<Device>,
    codes: Pending<LoopbackCode>,
}

/// What a device is told.
pub(crate) struct DeviceCode {
    pub(crate) device_code: Zeroizing<String>,
    pub(crate) user_code: String,
}

/// What a person sees of a device that asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct AskingDevice {
    pub(crate) client: String,
    pub(crate) source: IpAddr,
}

/// Why a device or a code gets nothing (yet): errors of RFC 6749 and RFC 8628.
#[derive(Debug)]
pub(crate) enum TokenError {
    AuthorizationPending,
    SlowDown,
    AccessDenied,
    ExpiredToken,
    InvalidGrant,
    Failed(NotSignedIn),
}

fn user_code() -> String {
    let mut letters = String::with_capacity(9);
    while letters.len() < 9 {
        for byte in keyward_auth::random_bytes::<16>() {
            if letters.len() == 4 {
                letters.push('-');
            }
            // 240 is twelve times twenty: every letter is equally likely.
            if byte < 240 && letters.len() < 9 {
                letters.push(char::from(LETTERS[usize::from(byte % 20)]));
            }
        }
    }
    letters
}

/// A user code as it is kept, however it was typed.
pub(crate) fn normal_user_code(typed: &str) -> String {
    let mut letters: String = typed
        .chars()
        .filter(char::is_ascii_alphabetic)
        .take(8)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    if letters.len() > 4 {
        letters.insert(4, '-');
    }
    letters
}

impl Devices {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Pending::new(MOST_DEVICES),
            codes: Pending::new(MOST_CODES),
        }
    }

    /// A device asks to be let in.
    pub(crate) fn ask(&self, client: &Client, now: UnixMillis) -> Result<DeviceCode, NotSignedIn> {
        let of_source = |device: &Device| device.source == client.source;
        if self.waiting.count(now, of_source) >= MOST_DEVICES_OF_A_SOURCE {
            return Err(NotSignedIn::ComeAgain(DEVICE_TIME));
        }
        let user_code = user_code();
        let device_code = Zeroizing::new(format!("{user_code}.{}", *random_text()));
        let device = Device {
            code: Sha256::digest(device_code.as_bytes()).into(),
            client: client.description.clone(),
            source: client.source,
            state: State::Waiting,
            next: now,
        };
        let until = after(now, DEVICE_TIME);
        match self.waiting.insert(&user_code, until, device, now) {
            true => Ok(DeviceCode {
                device_code,
                user_code,
            }),
            false => Err(NotSignedIn::Busy),
        }
    }

    /// What asks with a user code, while nobody has answered.
    pub(crate) fn asking(&self, user_code: &str, now: UnixMillis) -> Option<AskingDevice> {
        let found = self.waiting.with(user_code, now, |device| {
            matches!(device.state, State::Waiting).then(|| AskingDevice {
                client: device.client.clone(),
                source: device.source,
            })
        });
        found.flatten()
    }

    /// Lets a device in, or sends it away; `false` if nothing asks with this code.
    pub(crate) fn answer(
        &self,
        user_code: &str,
        person: &SignedInPerson,
        approve: bool,
        now: UnixMillis,
    ) -> bool {
        let answered = self.waiting.with(user_code, now, |device| {
            let waits = matches!(device.state, State::Waiting);
            if waits {
                device.state = if approve {
                    State::Approved(Approval::by(person))
                } else {
                    State::Denied
                };
            }
            waits
        });
        answered == Some(true)
    }

    /// A code for a program on a port of the same machine.
    pub(crate) fn loopback_code(
        &self,
        person: &SignedInPerson,
        challenge: &str,
        now: UnixMillis,
    ) -> Result<Zeroizing<String>, NotSignedIn> {
        let code = random_text();
        let entry = LoopbackCode {
            approval: Approval::by(person),
            challenge: challenge.to_owned(),
        };
        match self.codes.insert(&code, after(now, CODE_TIME), entry, now) {
            true => Ok(code),
            false => Err(NotSignedIn::Busy),
        }
    }

    fn poll(&self, device_code: &str, now: UnixMillis) -> Result<Approval, TokenError> {
        let (user_code, _) = device_code
            .split_once('.')
            .ok_or(TokenError::InvalidGrant)?;
        let hash: [u8; 32] = Sha256::digest(device_code.as_bytes()).into();
        let state = self.waiting.with(user_code, now, |device| {
            if !bool::from(device.code.ct_eq(&hash)) {
                return Err(TokenError::InvalidGrant);
            }
            let early = now < device.next;
            device.next = after(
                now,
                Duration::from_secs(INTERVAL) - Duration::from_millis(500),
            );
            if early {
                return Err(TokenError::SlowDown);
            }
            Ok(device.state.clone())
        });
        let answered = match state.ok_or(TokenError::ExpiredToken)?? {
            State::Waiting => return Err(TokenError::AuthorizationPending),
            State::Denied => Err(TokenError::AccessDenied),
            State::Approved(approval) => Ok(approval),
        };
        match self.waiting.take(user_code, now) {
            Some(_) => answered,
            None => Err(TokenError::InvalidGrant), // another question was faster
        }
    }

    fn exchange(
        &self,
        code: &str,
        verifier: &str,
        now: UnixMillis,
    ) -> Result<Approval, TokenError> {
        let code = self.codes.take(code, now).ok_or(TokenError::InvalidGrant)?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let right = bool::from(challenge.as_bytes().ct_eq(code.challenge.as_bytes()));
        let long_enough = (43..=128).contains(&verifier.len());
        match right && long_enough {
            true => Ok(code.approval),
            false => Err(TokenError::InvalidGrant),
        }
    }
}

/// Whether a text is a PKCE challenge of method S256.
pub(crate) fn is_challenge(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    text.len() == 43 && text.bytes().all(fits)
}

async fn let_in(api: &Api, approval: Approval, client: &Client) -> Result<NewLogin, TokenError> {
    if !approval.holds(&api.control.directory(), (api.clock)()) {
        return Err(TokenError::AccessDenied);
    }
    let came = Came::Approved { mfa: approval.mfa };
    sign_in::begin(api, &approval.user, client, UsedFactor::None, false, came)
        .await
        .map_err(TokenError::Failed)
}

/// A device asks whether it was let in.
pub(crate) async fn redeem_device(
    api: &Api,
    device_code: &str,
    client: &Client,
) -> Result<NewLogin, TokenError> {
    let approval = api.people.devices.poll(device_code, (api.clock)())?;
    let_in(api, approval, client).await
}

/// A program exchanges the code that came to its port.
pub(crate) async fn redeem_code(
    api: &Api,
    code: &str,
    verifier: &str,
    client: &Client,
) -> Result<NewLogin, TokenError> {
    let now = (api.clock)();
    let approval = api.people.devices.exchange(code, verifier, now)?;
    let_in(api, approval, client).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_codes() {
        let code = user_code();
        assert_eq!(code.len(), 9);
        assert!(code.bytes().all(|b| b == b'-' || LETTERS.contains(&b)));
        let typed = [
            code.to_lowercase(),
            code.replace('-', ""),
            format!(" {code} "),
        ];
        for typed in typed {
            assert_eq!(normal_user_code(&typed), code, "{typed}");
        }
        assert_eq!(normal_user_code(""), "");
        assert_eq!(normal_user_code(&"x".repeat(1000)), "XXXX-XXXX");
    }

    #[test]
    fn a_source_cannot_take_all_places() {
        let devices = Devices::new();
        let client = Client::new([192, 0, 2, 1].into(), None);
        let now = UnixMillis(0);
        for _ in 0..MOST_DEVICES_OF_A_SOURCE {
            assert!(devices.ask(&client, now).is_ok());
        }
        assert!(devices.ask(&client, now).is_err());
        assert!(
            devices
                .ask(&Client::new([192, 0, 2, 2].into(), None), now)
                .is_ok()
        );
        assert!(
            devices.ask(&client, after(now, DEVICE_TIME)).is_ok(),
            "later"
        );
    }

    #[test]
    fn questions_of_a_device() {
        let devices = Devices::new();
        let client = Client::new([192, 0, 2, 1].into(), Some("cli\n"));
        let code = devices.ask(&client, UnixMillis(0)).unwrap();
        let at = |seconds: u64| UnixMillis(seconds * 1000);
        let poll = |code: &str, seconds| devices.poll(code, at(seconds)).map(drop);
        assert!(matches!(
            poll(&code.device_code, 1),
            Err(TokenError::AuthorizationPending)
        ));
        assert!(matches!(
            poll(&code.device_code, 2),
            Err(TokenError::SlowDown)
        ));
        assert!(matches!(
            poll(&code.user_code, 3),
            Err(TokenError::InvalidGrant)
        ));
        let wrong = format!("{}.x", code.user_code);
        assert!(matches!(poll(&wrong, 9), Err(TokenError::InvalidGrant)));
        assert!(matches!(
            poll(&code.device_code, 600),
            Err(TokenError::ExpiredToken)
        ));
        assert_eq!(
            devices.asking(&code.user_code, at(9)).unwrap().client,
            "cli"
        );
        assert!(devices.asking(&code.user_code, at(600)).is_none());
    }

    #[test]
    fn challenges() {
        assert!(is_challenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        assert!(!is_challenge("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c="));
        assert!(!is_challenge(""));
    }
}
