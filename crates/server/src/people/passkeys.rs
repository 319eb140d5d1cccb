//! Questions to passkeys, and their answers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_auth::passkey::{COSE_ALGORITHMS, NewPasskey, PasskeyError, PasskeyKey};
use keyward_iam::{Passkey, Person, UsedFactor};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::STEP_TIME;
use super::sign_in::{self, Came, Client, NewLogin, NotSignedIn, after, random_text};
use crate::api::Api;

/// Milliseconds that a browser waits for a passkey.
const TIMEOUT: u64 = STEP_TIME.as_millis() as u64;

/// For what an answer is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Question {
    /// To sign in, with nothing else.
    SignIn,
    /// As the second factor of a user whose password was right (path).
    SecondFactor(String),
    /// A new passkey of a user (path).
    Register(String),
}

/// Bytes as browsers send them in JSON.
#[derive(Debug)]
pub(crate) struct Encoded(Vec<u8>);

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        bytes.map(Self).map_err(serde::de::Error::custom)
    }
}

/// `PublicKeyCredential.toJSON()` of an answer to `navigator.credentials.get`. Browsers say more than
/// is read, and will say other things: nothing is refused for it.
#[derive(Debug, Deserialize)]
pub(crate) struct Assertion {
    #[serde(rename = "rawId")]
    raw_id: Option<Encoded>,
    /// The same once more.
    id: Option<Encoded>,
    response: AssertionResponse,
}

impl Assertion {
    /// What the authenticator knows the passkey by.
    fn credential(&self) -> &[u8] {
        let id = self.raw_id.as_ref().or(self.id.as_ref());
        id.map_or(&[], |id| &id.0)
    }
}

#[derive(Debug, Deserialize)]
struct AssertionResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: Encoded,
    #[serde(rename = "authenticatorData")]
    authenticator_data: Encoded,
    signature: Encoded,
}

/// The same of an answer to `navigator.credentials.create`.
#[derive(Debug, Deserialize)]
pub(crate) struct Registration {
    response: RegistrationResponse,
}

#[derive(Debug, Deserialize)]
struct RegistrationResponse {
    #[serde(rename = "clientDataJSON")]
    client_data: Encoded,
    #[serde(rename = "attestationObject")]
    attestation_object: Encoded,
}

/// Asks: the question's secret is the challenge itself.
fn ask(api: &Api, question: Question) -> Result<Zeroizing<String>, NotSignedIn> {
    let challenge = random_text();
    let now = (api.clock)();
    let until = after(now, STEP_TIME);
    match api
        .people
        .questions
        .insert(&challenge, until, question, now)
    {
        true => Ok(challenge),
        false => Err(NotSignedIn::Busy),
    }
}

/// The challenge that an answer is for; it says so itself, and it is checked against what was signed.
fn challenge_of(client_data: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Given {
        challenge: String,
    }
    let given: Given = serde_json::from_slice(client_data).ok()?;
    Some(given.challenge.trim_end_matches('=').to_owned())
}

/// Takes the question that an answer is for: each is answered once.
fn take_question(api: &Api, client_data: &[u8]) -> Option<(Question, Vec<u8>)> {
    let challenge = challenge_of(client_data)?;
    let question = api.people.questions.take(&challenge, (api.clock)())?;
    Some((question, URL_SAFE_NO_PAD.decode(challenge).ok()?))
}

fn known_keys(person: &Person) -> Vec<Value> {
    let known = person.passkeys.iter();
    known
        .map(|passkey| {
            json!({ "type": "public-key", "id": URL_SAFE_NO_PAD.encode(&passkey.credential) })
        })
        .collect()
}

/// `PublicKeyCredentialRequestOptions` in JSON. Without a step: any passkey of the site, which must
/// verify the person; with one: a passkey of the user whose password was right.
pub(crate) fn ask_to_sign_in(api: &Api, step: Option<&str>) -> Result<Value, NotSignedIn> {
    let (question, known, verification) = match step {
        None => (Question::SignIn, Vec::new(), "required"),
        Some(step) => {
            let user = sign_in::user_of_step(api, step)?;
            let directory = api.control.directory();
            let person = directory
                .identity_at(&user)
                .and_then(|user| directory.person(user));
            let known = person.map(known_keys).unwrap_or_default();
            (Question::SecondFactor(user), known, "preferred")
        }
    };
    let challenge = ask(api, question)?;
    Ok(json!({
        "challenge": *challenge, "rpId": api.people.party.id, "timeout": TIMEOUT,
        "userVerification": verification, "allowCredentials": known,
    }))
}

/// Signs in with a passkey: alone, or as the second factor of a step.
pub(crate) async fn sign_in(
    api: &Api,
    step: Option<&str>,
    answer: &Assertion,
    client: &Client,
) -> Result<NewLogin, NotSignedIn> {
    let outcome = judge(api, step, answer, client).await;
    sign_in::slowed(api, client.source, outcome).await
}

async fn judge(
    api: &Api,
    step: Option<&str>,
    answer: &Assertion,
    client: &Client,
) -> Result<NewLogin, NotSignedIn> {
    let refused = |error: PasskeyError| NotSignedIn::Passkey(error.to_string());
    let unknown = || NotSignedIn::Passkey("this passkey is not known here".to_owned());
    let response = &answer.response;
    let (question, challenge) =
        take_question(api, &response.client_data.0).ok_or(NotSignedIn::StepOver)?;
    let directory = api.control.directory();
    let user = directory
        .user_by_passkey(answer.credential())
        .ok_or_else(unknown)?;
    let path = directory.identity(user).map(|user| user.path.to_string());
    let path = path.ok_or_else(unknown)?;
    let needs_verification = match (&question, step) {
        (Question::SignIn, None) => true,
        (Question::SecondFactor(asked), Some(step)) => {
            if *asked != path || sign_in::user_of_step(api, step)? != path {
                return Err(unknown());
            }
            false
        }
        _ => return Err(NotSignedIn::StepOver),
    };
    let passkey = directory
        .person(user)
        .and_then(|p| p.passkey(answer.credential()));
    let passkey = passkey.ok_or_else(unknown)?;
    let key: PasskeyKey =
        serde_json::from_value(passkey.key.clone()).map_err(|_| NotSignedIn::Failed)?;
    let found = api
        .people
        .party
        .verify(
            &challenge,
            &key,
            &response.client_data.0,
            &response.authenticator_data.0,
            &response.signature.0,
        )
        .map_err(refused)?;
    if needs_verification && !found.user_verified {
        return Err(refused(PasskeyError::NotVerified));
    }
    let factor = UsedFactor::Passkey {
        id: passkey.id.to_string(),
        count: found.count,
    };
    let login = sign_in::begin(api, &path, client, factor, true, Came::Password).await;
    if let Some(step) = step {
        let _ = api.people.steps.take(step, (api.clock)());
    }
    login.map_err(|error| match error {
        NotSignedIn::Code => NotSignedIn::Passkey(
            "the passkey was taken away, or counts backwards as a copy of it would".to_owned(),
        ),
        error => error,
    })
}

/// `PublicKeyCredentialCreationOptions` in JSON, for a user (path).
pub(crate) fn ask_to_register(
    api: &Api,
    user: &str,
    name: &str,
    person: &Person,
) -> Result<Value, NotSignedIn> {
    let challenge = ask(api, Question::Register(user.to_owned()))?;
    let algorithms: Vec<Value> = COSE_ALGORITHMS
        .iter()
        .map(|number| json!({ "type": "public-key", "alg": number }))
        .collect();
    let party = &api.people.party;
    Ok(json!({
        "challenge": *challenge, "rp": { "id": party.id, "name": "Keyward" },
        "user": {
            "id": URL_SAFE_NO_PAD.encode(user.strip_prefix("user/").unwrap_or(user)),
            "name": person.sign_in_name.as_deref().unwrap_or(name),
            "displayName": name,
        },
        "pubKeyCredParams": algorithms, "timeout": TIMEOUT, "attestation": "none",
        "excludeCredentials": known_keys(person),
        "authenticatorSelection": {
            "residentKey": "required", "requireResidentKey": true, "userVerification": "required",
        },
    }))
}

/// A passkey that was just made for a user (path).
pub(crate) fn registered(
    api: &Api,
    user: &str,
    name: &str,
    answer: &Registration,
) -> Result<Passkey, NotSignedIn> {
    let response = &answer.response;
    let taken = take_question(api, &response.client_data.0);
    let (question, challenge) = taken.ok_or(NotSignedIn::StepOver)?;
    if question != Question::Register(user.to_owned()) {
        return Err(NotSignedIn::StepOver);
    }
    let NewPasskey { id, key, count, .. } = api
        .people
        .party
        .register(
            &challenge,
            &response.client_data.0,
            &response.attestation_object.0,
        )
        .map_err(|error| NotSignedIn::Passkey(error.to_string()))?;
    Ok(Passkey {
        id: keyward_auth::random_slug().into(),
        name: name.into(),
        credential: id,
        key: serde_json::to_value(&key).map_err(|_| NotSignedIn::Failed)?,
        count,
        added: (api.clock)(),
        used: None,
    })
}
