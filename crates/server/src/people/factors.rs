//! Setting up how a person signs in: passwords, authenticator apps, recovery codes.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_auth::{
    PersonToken, RECOVERY_CODES, TotpSecret, check_password, hash_recovery_code, recovery_code,
};
use keyward_iam::{Directory, Hash, IdentityIx, PersonChange, SetupLink, UnixMillis};
use zeroize::Zeroizing;

use super::sign_in::{after, totp_purpose};
use crate::api::Api;
use crate::problem::Problem;

pub(crate) use super::passkeys::{Assertion, Registration};
pub(crate) use super::passkeys::{ask_to_register, ask_to_sign_in, registered, sign_in};

/// How long somebody has to set an authenticator app up.
const ENROLMENT_TIME: Duration = Duration::from_secs(30 * 60);

/// How long a link of the operator's opens something.
pub(crate) const SETUP_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// An authenticator app that is being set up. Nothing of it is kept: it comes back sealed.
pub(crate) struct TotpOffer {
    /// For those who cannot take a picture of the code.
    pub(crate) secret: Zeroizing<String>,
    pub(crate) uri: Zeroizing<String>,
    pub(crate) enrolment: String,
}

fn enrolment_purpose(user: &str) -> String {
    format!("totp enrolment {user}")
}

/// Offers a new secret to a user (path).
pub(crate) fn offer_totp(api: &Api, user: &str, account: &str) -> TotpOffer {
    let secret = TotpSecret::generate();
    let until = after((api.clock)(), ENROLMENT_TIME);
    let mut plain = Zeroizing::new(until.0.to_be_bytes().to_vec());
    plain.extend_from_slice(secret.expose());
    let sealed = api.master_key.seal(&enrolment_purpose(user), &plain);
    TotpOffer {
        secret: secret.base32(),
        uri: secret.uri("Keyward", account),
        enrolment: URL_SAFE_NO_PAD.encode(sealed),
    }
}

/// The offer that came back, to be shown again.
pub(crate) fn offered_totp(
    api: &Api,
    user: &str,
    account: &str,
    enrolment: &str,
) -> Option<TotpOffer> {
    let secret = opened_enrolment(api, user, enrolment)?;
    Some(TotpOffer {
        secret: secret.base32(),
        uri: secret.uri("Keyward", account),
        enrolment: enrolment.to_owned(),
    })
}

fn opened_enrolment(api: &Api, user: &str, enrolment: &str) -> Option<TotpSecret> {
    let sealed = URL_SAFE_NO_PAD.decode(enrolment).ok()?;
    let plain = api
        .master_key
        .open(&enrolment_purpose(user), &sealed)
        .ok()?;
    let (until, secret) = plain.split_at_checked(8)?;
    let until = u64::from_be_bytes(until.try_into().ok()?);
    ((api.clock)().0 < until).then(|| TotpSecret::new(secret))?
}

/// The change that takes an offered secret, if the code proves that the app has it; and the
/// recovery codes that come with it.
pub(crate) fn accept_totp(
    api: &Api,
    user: &str,
    enrolment: &str,
    code: &str,
) -> Result<(PersonChange, Vec<Zeroizing<String>>), Problem> {
    let secret = opened_enrolment(api, user, enrolment)
        .ok_or_else(|| Problem::invalid("setting up took too long: start again"))?;
    let step = secret
        .verify(code, (api.clock)().0 / 1000, None)
        .ok_or_else(|| Problem::invalid("the code is wrong: is the clock of the device right?"))?;
    let (codes, hashes) = new_recovery_codes(api, user);
    let change = PersonChange::SetTotp {
        sealed: api.master_key.seal(&totp_purpose(user), secret.expose()),
        step,
        recovery_codes: hashes,
    };
    Ok((change, codes))
}

/// Ten new recovery codes of a user (path), and their hashes.
pub(crate) fn new_recovery_codes(api: &Api, user: &str) -> (Vec<Zeroizing<String>>, Vec<Hash>) {
    let codes: Vec<_> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
    let hashes = codes
        .iter()
        .filter_map(|code| hash_recovery_code(&api.hash_key, user, code).map(Hash));
    let hashes = hashes.collect();
    (codes, hashes)
}

/// Hashes a new password, if it is strong enough.
pub(crate) async fn new_password(
    api: &Api,
    password: Zeroizing<String>,
    names: &[&str],
) -> Result<String, Problem> {
    check_password(&password, names).map_err(|error| Problem::invalid(error.to_string()))?;
    let hashed = api.people.pool.hash(password).await;
    hashed.map_err(|_| super::sign_in::NotSignedIn::Busy.into())
}

/// What a user is called: a password must not consist of it.
pub(crate) fn names(directory: &Directory, user: IdentityIx) -> Vec<String> {
    let name = directory
        .identity(user)
        .and_then(|user| user.name.as_deref());
    let sign_in_name = directory
        .person(user)
        .and_then(|person| person.sign_in_name.as_deref());
    [name, sign_in_name]
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect()
}

/// A link with which a user (id) sets a password, and what is kept of it.
pub(crate) fn setup_link(api: &Api, user: &str) -> (Zeroizing<String>, SetupLink) {
    let token = PersonToken::setup(user);
    let url = format!("{}/ui/setup/{}", api.people.origin(), *token.expose());
    let link = SetupLink {
        token_hash: Hash(token.hash(&api.hash_key)),
        expires_at: after((api.clock)(), SETUP_TIME),
    };
    (Zeroizing::new(url), link)
}

/// The user (path) of a link that opens something, and the hash of its token.
pub(crate) fn user_of_setup_link(
    api: &Api,
    directory: &Directory,
    token: &str,
    now: UnixMillis,
) -> Option<(String, Hash)> {
    use keyward_auth::PersonSecret;
    use subtle::ConstantTimeEq as _;
    let token = PersonToken::parse(PersonSecret::Setup, token)?;
    let user = directory.identity_at(&token.path())?;
    let link = directory.person(user)?.setup.as_ref()?;
    let hash = token.hash(&api.hash_key);
    let opens = bool::from(hash.ct_eq(&link.token_hash.0)) && now < link.expires_at;
    opens.then(|| (token.path(), Hash(hash)))
}
