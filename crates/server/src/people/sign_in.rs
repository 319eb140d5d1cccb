//! Signing in: password, then a second factor where there is one; or a passkey alone.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::StatusCode;
use keyward_auth::{
    Admission, Guessed, PersonToken, TotpSecret, hash_recovery_code, random_secret_bytes,
};
use keyward_iam::{
    Change, ChangeError, Directory, Hash, IdentityIx, LoginSession, Person, PersonChange,
    UnixMillis, UsedFactor,
};
use zeroize::Zeroizing;

use super::{LOGIN_LIFETIME, STEP_TIME};
use crate::api::Api;
use crate::control::Refusal;
use crate::problem::Problem;

/// Wrong codes after which the password is asked for again.
const CODES_A_STEP: u32 = 5;

/// Who signs in, as far as the connection tells.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) source: IpAddr,
    /// What the program says of itself.
    pub(crate) description: String,
}

impl Client {
    /// A description that can be kept and shown.
    pub(crate) fn new(source: IpAddr, description: Option<&str>) -> Self {
        let cleaned: String = description
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_control())
            .take(120)
            .collect();
        let cleaned = cleaned.trim();
        let description = if cleaned.is_empty() {
            "unknown program".to_owned()
        } else {
            cleaned.to_owned()
        };
        Self {
            source,
            description,
        }
    }
}

/// The password was right; the second factor is missing.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) user: String,
    failures: u32,
}

/// A new login session.
pub(crate) struct NewLogin {
    /// Shown once.
    pub(crate) token: Zeroizing<String>,
    /// Path of the user.
    pub(crate) user: String,
    pub(crate) id: String,
    pub(crate) expires_at: UnixMillis,
    pub(crate) mfa: bool,
}

/// How far somebody came with a password.
pub(crate) enum Progress {
    Done(NewLogin),
    /// A second factor is needed: the secret of the step, and what there is.
    SecondFactor {
        step: Zeroizing<String>,
        methods: Vec<&'static str>,
    },
}

/// Why somebody did not get in. Texts tell nothing of whether the user exists.
#[derive(Clone, Debug)]
pub(crate) enum NotSignedIn {
    /// Name or password is wrong.
    Password,
    /// The code is wrong, or was used.
    Code,
    /// The passkey was not taken.
    Passkey(String),
    /// The step is over, or was used up.
    StepOver,
    /// Too many attempts: after so many seconds.
    ComeAgain(Duration),
    /// Too many people at once.
    Busy,
    /// Our own fault.
    Failed,
}

impl NotSignedIn {
    /// For people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Password => "the sign-in name or the password is wrong".to_owned(),
            Self::Code => "the code is wrong, was used already, or is too old".to_owned(),
            Self::Passkey(reason) => reason.clone(),
            Self::StepOver => "this took too long or too many attempts: start again".to_owned(),
            Self::ComeAgain(wait) => {
                let seconds = wait.as_millis().div_ceil(1000);
                format!("too many failed attempts: try again in {seconds} seconds")
            }
            Self::Busy => "too many people sign in right now: try again in a moment".to_owned(),
            Self::Failed => "signing in failed inside Keyward; try again".to_owned(),
        }
    }
}

impl From<NotSignedIn> for Problem {
    fn from(error: NotSignedIn) -> Self {
        let text = error.text();
        match error {
            NotSignedIn::Password
            | NotSignedIn::Code
            | NotSignedIn::Passkey(_)
            | NotSignedIn::StepOver => Self::unauthenticated(text),
            NotSignedIn::ComeAgain(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", text)
            }
            NotSignedIn::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text),
            NotSignedIn::Failed => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", text),
        }
    }
}

type Outcome<T> = Result<T, NotSignedIn>;

/// `now` plus a time.
pub(crate) fn after(now: UnixMillis, time: Duration) -> UnixMillis {
    UnixMillis(now.0.saturating_add(time.as_millis() as u64))
}

/// A random secret for a URL, a form or a cookie.
pub(crate) fn random_text() -> Zeroizing<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    Zeroizing::new(URL_SAFE_NO_PAD.encode(*random_secret_bytes::<24>()))
}

fn person_of(directory: &Directory, user: IdentityIx) -> Person {
    directory.person(user).cloned().unwrap_or_default()
}

/// Waits for the attempt's turn.
async fn take_turn(
    api: &Api,
    guessed: Guessed,
    account: &str,
    known: Option<IpAddr>,
) -> Outcome<()> {
    match api
        .people
        .throttle
        .admit(guessed, account, known, (api.clock)())
    {
        Admission::After(wait) => {
            tokio::time::sleep(wait).await;
            Ok(())
        }
        Admission::ComeAgain(wait) => Err(NotSignedIn::ComeAgain(wait)),
    }
}

/// Notes a failure with account and source; its answer waits with those of the source.
async fn note_failure(
    api: &Api,
    guessed: Guessed,
    account: &str,
    known: Option<IpAddr>,
    source: IpAddr,
) {
    let now = (api.clock)();
    api.people.throttle.failed(guessed, account, known, now);
    slow_down(api, source).await;
}

/// Notes a failure with its source; its answer waits with the others of the source.
pub(crate) async fn slow_down(api: &Api, source: IpAddr) {
    // Not what was typed: a password may stand where a name belongs.
    tracing::info!(%source, "a sign-in failed");
    let wait = api.throttle.failed(source, (api.clock)());
    tokio::time::sleep(wait).await;
}

/// An outcome that names no account: whoever guesses is slowed by source alone.
pub(crate) async fn slowed<T>(api: &Api, source: IpAddr, outcome: Outcome<T>) -> Outcome<T> {
    if let Err(NotSignedIn::Passkey(_) | NotSignedIn::StepOver) = &outcome {
        slow_down(api, source).await;
    }
    outcome
}

/// Name and password. Names that nobody has take the same work and the same answer.
pub(crate) async fn with_password(
    api: &Api,
    name: &str,
    password: Zeroizing<String>,
    client: &Client,
) -> Outcome<Progress> {
    let name: String = name.trim().to_ascii_lowercase().chars().take(300).collect();
    let directory = api.control.directory();
    let user = directory.user_by_sign_in_name(&name);
    let person = user.map(|user| person_of(&directory, user));
    let known = person
        .as_ref()
        .is_some_and(|person| person.sources.contains(&client.source));
    let known = known.then_some(client.source);
    take_turn(api, Guessed::Password, &name, known).await?;
    let stored = person
        .as_ref()
        .and_then(|person| person.password.as_deref());
    let fits = password.len() <= keyward_auth::MAX_PASSWORD_LEN;
    let password = if fits { password } else { Zeroizing::default() };
    let right = api
        .people
        .pool
        .verify(stored.map(str::to_owned), password)
        .await
        .map_err(|_| NotSignedIn::Busy)?;
    let (Some(user), Some(person), true) = (user, person, right && fits) else {
        note_failure(api, Guessed::Password, &name, known, client.source).await;
        return Err(NotSignedIn::Password);
    };
    let path = directory.identity(user).map(|user| user.path.to_string());
    let path = path.ok_or(NotSignedIn::Password)?;
    if !person.has_second_factor() {
        let login = begin(api, &path, client, UsedFactor::None, false, Came::Password).await?;
        return Ok(Progress::Done(login));
    }
    let step = random_text();
    let now = (api.clock)();
    let waiting = Step {
        user: path,
        failures: 0,
    };
    if !api
        .people
        .steps
        .insert(&step, after(now, STEP_TIME), waiting, now)
    {
        return Err(NotSignedIn::Busy);
    }
    let mut methods = Vec::new();
    if person.totp.is_some() {
        methods.push("totp");
    }
    if !person.passkeys.is_empty() {
        methods.push("passkey");
    }
    if !person.recovery_codes.is_empty() {
        methods.push("recovery_code");
    }
    Ok(Progress::SecondFactor { step, methods })
}

/// The user whose password was right at a step.
pub(crate) fn user_of_step(api: &Api, step: &str) -> Outcome<String> {
    let user = api
        .people
        .steps
        .with(step, (api.clock)(), |step| step.user.clone());
    user.ok_or(NotSignedIn::StepOver)
}

/// A code of the authenticator app, or a recovery code.
pub(crate) async fn with_code(
    api: &Api,
    step: &str,
    code: &str,
    client: &Client,
) -> Outcome<NewLogin> {
    let path = slowed(api, client.source, user_of_step(api, step)).await?;
    let directory = api.control.directory();
    let user = directory.identity_at(&path).ok_or(NotSignedIn::StepOver)?;
    let person = person_of(&directory, user);
    let known = person
        .sources
        .contains(&client.source)
        .then_some(client.source);
    take_turn(api, Guessed::Code, &path, known).await?;
    // Attempts of one step at the same time count, too.
    let left = api.people.steps.with(step, (api.clock)(), |step| {
        step.failures += 1;
        step.failures <= CODES_A_STEP
    });
    if left != Some(true) {
        let _ = api.people.steps.take(step, (api.clock)());
        return Err(NotSignedIn::StepOver);
    }
    let Some(factor) = factor_of_code(api, &path, &person, code)? else {
        note_failure(api, Guessed::Code, &path, known, client.source).await;
        return Err(NotSignedIn::Code);
    };
    let login = begin(api, &path, client, factor, true, Came::Password).await;
    if let Err(NotSignedIn::Code) = login {
        note_failure(api, Guessed::Code, &path, known, client.source).await;
    } else {
        let _ = api.people.steps.take(step, (api.clock)());
    }
    login
}

/// What a code is, if it is right.
fn factor_of_code(
    api: &Api,
    path: &str,
    person: &Person,
    code: &str,
) -> Outcome<Option<UsedFactor>> {
    if let Some(hash) = hash_recovery_code(&api.hash_key, path, code) {
        let hash = Hash(hash);
        let known = person.recovery_codes.contains(&hash);
        return Ok(known.then_some(UsedFactor::RecoveryCode(hash)));
    }
    let Some(totp) = &person.totp else {
        return Ok(None);
    };
    let opened = api.master_key.open(&totp_purpose(path), &totp.sealed);
    let secret = opened.ok().and_then(|bytes| TotpSecret::new(&bytes));
    let Some(secret) = secret else {
        tracing::error!(
            user = path,
            "the secret of an authenticator app cannot be opened"
        );
        return Err(NotSignedIn::Failed);
    };
    let seconds = (api.clock)().0 / 1000;
    let step = secret.verify(code, seconds, Some(totp.last_step));
    Ok(step.map(|step| UsedFactor::Totp { step }))
}

/// For what the secret of an authenticator app is sealed.
pub(crate) fn totp_purpose(user: &str) -> String {
    format!("totp {user}")
}

/// How a login session came to be.
#[derive(Clone, Debug)]
pub(crate) enum Came {
    /// By credentials, given now.
    Password,
    /// By a provider of the deployment.
    Provider {
        issuer: String,
        /// When a second factor was given there.
        mfa: Option<UnixMillis>,
    },
    /// By another session of the person, whose second factor counts here, too.
    Approved { mfa: Option<UnixMillis> },
}

/// Begins a login session for somebody who proved to be the user.
pub(crate) async fn begin(
    api: &Api,
    user: &str,
    client: &Client,
    factor: UsedFactor,
    mfa: bool,
    came: Came,
) -> Outcome<NewLogin> {
    let now = (api.clock)();
    let id = user.strip_prefix("user/").ok_or(NotSignedIn::Failed)?;
    let token = PersonToken::login(id);
    let mfa = match &came {
        Came::Approved { mfa } | Came::Provider { mfa, .. } => *mfa,
        Came::Password => mfa.then_some(now),
    };
    let session = LoginSession {
        id: token.id().into(),
        token_hash: Hash(token.hash(&api.hash_key)),
        mfa,
        provider: match &came {
            Came::Provider { issuer, .. } => Some(issuer.as_str().into()),
            _ => None,
        },
        client: client.description.as_str().into(),
        source: Some(client.source),
        created: now,
        authenticated: (!matches!(came, Came::Approved { .. })).then_some(now),
        expires_at: after(now, LOGIN_LIFETIME),
    };
    let expires_at = session.expires_at;
    let change = Change::Person {
        user: user.to_owned(),
        change: PersonChange::BeginLogin { session, factor },
    };
    let (control, by) = (std::sync::Arc::clone(&api.control), user.to_owned());
    let source = Some(client.source);
    let made =
        tokio::task::spawn_blocking(move || control.change_for_person(&by, source, &change, now));
    match made.await {
        Ok(Ok(_)) => Ok(NewLogin {
            token: token.expose(),
            user: user.to_owned(),
            id: token.id().to_owned(),
            expires_at,
            mfa: mfa.is_some(),
        }),
        // What was right a moment ago was used up meanwhile.
        Ok(Err(Refusal::Change(ChangeError::Invalid { .. }))) => Err(NotSignedIn::Code),
        Ok(Err(error)) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "login session not begun"
            );
            Err(NotSignedIn::Failed)
        }
        Err(_) => Err(NotSignedIn::Failed),
    }
}
