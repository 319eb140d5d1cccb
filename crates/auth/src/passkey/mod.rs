//! Passkeys: the relying party's side of WebAuthn (level 2), as far as it is needed here.
//!
//! Attestation is neither asked for nor looked at: who makes a passkey for his own account may
//! choose his authenticator. Signatures are ES256, EdDSA or RS256. Why this is not a library:
//! `docs/decisions/0012-passkeys-without-a-library.md`.

mod cbor;
mod key;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use subtle::ConstantTimeEq as _;

use cbor::Cbor;
pub use key::{COSE_ALGORITHMS, PasskeyKey};

/// Longest credential id that is taken, in bytes: what WebAuthn allows.
pub const MAX_CREDENTIAL_ID: usize = 1023;

/// Longest object of a client that is read, in bytes.
const MAX_OBJECT: usize = 64 * 1024;

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const BACKED_UP: u8 = 0x10;
const HAS_CREDENTIAL: u8 = 0x40;
const HAS_EXTENSIONS: u8 = 0x80;

/// Whom passkeys are made for: the site.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RelyingParty {
    /// The domain, as browsers know it: `keyward.example.com`, `localhost`.
    pub id: String,
    /// Origins of our pages: `https://keyward.example.com`.
    pub origins: Vec<String>,
}

/// A passkey that was just made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewPasskey {
    /// Its credential id.
    pub id: Vec<u8>,
    /// Its public key.
    pub key: PasskeyKey,
    /// How often it has signed, as it says itself; many always say 0.
    pub count: u32,
    /// Whether it is kept in more than one place.
    pub backed_up: bool,
}

/// What a passkey signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Assertion {
    /// How often it has signed, as it says itself.
    pub count: u32,
    /// Whether the person was verified (fingerprint, PIN): then the passkey is two factors.
    pub user_verified: bool,
}

/// Why a passkey was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PasskeyError {
    /// What the client sent cannot be read.
    #[error("the passkey's answer is malformed")]
    Malformed,
    /// It answers something else than was asked.
    #[error("the passkey answered another question; try again")]
    Challenge,
    /// It was made on another site's page.
    #[error("the passkey was used on another site's page")]
    Origin,
    /// It was made for another site.
    #[error("the passkey belongs to another site")]
    RelyingParty,
    /// Nobody touched it.
    #[error("the passkey was used without anybody present")]
    NotPresent,
    /// The person was not verified although that was asked for.
    #[error("the passkey did not verify you: it needs a PIN or a fingerprint")]
    NotVerified,
    /// A kind of key that is not supported.
    #[error("the passkey's kind of key is not supported (ES256, EdDSA and RS256 are)")]
    Algorithm,
    /// The signature is another one.
    #[error("the passkey's signature is wrong")]
    Signature,
}

type Checked<T> = Result<T, PasskeyError>;

#[derive(serde::Deserialize)]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default, rename = "crossOrigin")]
    cross_origin: bool,
}

fn check_client_data(
    party: &RelyingParty,
    kind: &str,
    challenge: &[u8],
    client_data: &[u8],
) -> Checked<()> {
    if client_data.len() > MAX_OBJECT {
        return Err(PasskeyError::Malformed);
    }
    let data: ClientData =
        serde_json::from_slice(client_data).map_err(|_| PasskeyError::Malformed)?;
    if data.kind != kind {
        return Err(PasskeyError::Malformed);
    }
    let given = URL_SAFE_NO_PAD
        .decode(data.challenge.trim_end_matches('='))
        .map_err(|_| PasskeyError::Malformed)?;
    if !bool::from(given.ct_eq(challenge)) {
        return Err(PasskeyError::Challenge);
    }
    if data.cross_origin || !party.origins.contains(&data.origin) {
        return Err(PasskeyError::Origin);
    }
    Ok(())
}

/// Authenticator data, as far as it is looked at.
struct AuthenticatorData<'a> {
    flags: u8,
    count: u32,
    /// Credential id and key of a registration.
    credential: Option<(&'a [u8], PasskeyKey)>,
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Checked<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len).ok_or(PasskeyError::Malformed)?;
    *rest = left;
    Ok(taken)
}

fn read_authenticator_data<'a>(
    party: &RelyingParty,
    data: &'a [u8],
) -> Checked<AuthenticatorData<'a>> {
    if data.len() > MAX_OBJECT {
        return Err(PasskeyError::Malformed);
    }
    let mut rest = data;
    let party_hash = take(&mut rest, 32)?;
    if party_hash != digest::digest(&digest::SHA256, party.id.as_bytes()).as_ref() {
        return Err(PasskeyError::RelyingParty);
    }
    let flags = take(&mut rest, 1)?[0];
    let count = take(&mut rest, 4)?;
    let count = u32::from_be_bytes(count.try_into().map_err(|_| PasskeyError::Malformed)?);
    let credential = if flags & HAS_CREDENTIAL == 0 {
        None
    } else {
        let _model = take(&mut rest, 16)?;
        let len = take(&mut rest, 2)?;
        let len = usize::from(u16::from_be_bytes([len[0], len[1]]));
        if len == 0 || len > MAX_CREDENTIAL_ID {
            return Err(PasskeyError::Malformed);
        }
        let id = take(&mut rest, len)?;
        let (key, left) = Cbor::read(rest).ok_or(PasskeyError::Malformed)?;
        rest = left;
        Some((
            id,
            PasskeyKey::of_cose(&key).ok_or(PasskeyError::Algorithm)?,
        ))
    };
    if flags & HAS_EXTENSIONS != 0 {
        let (_, left) = Cbor::read(rest).ok_or(PasskeyError::Malformed)?;
        rest = left;
    }
    if !rest.is_empty() {
        return Err(PasskeyError::Malformed);
    }
    if flags & USER_PRESENT == 0 {
        return Err(PasskeyError::NotPresent);
    }
    Ok(AuthenticatorData {
        flags,
        count,
        credential,
    })
}

impl RelyingParty {
    /// Checks a new passkey (`navigator.credentials.create`): `client_data` and
    /// `attestation_object` as the browser gave them, `challenge` as we asked.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn register(
        &self,
        challenge: &[u8],
        client_data: &[u8],
        attestation_object: &[u8],
    ) -> Checked<NewPasskey> {
        check_client_data(self, "webauthn.create", challenge, client_data)?;
        if attestation_object.len() > MAX_OBJECT {
            return Err(PasskeyError::Malformed);
        }
        let object = match Cbor::read(attestation_object) {
            Some((object, [])) => object,
            _ => return Err(PasskeyError::Malformed),
        };
        let data = object.text_entry("authData").and_then(Cbor::as_bytes);
        let data = read_authenticator_data(self, data.ok_or(PasskeyError::Malformed)?)?;
        let (id, key) = data.credential.ok_or(PasskeyError::Malformed)?;
        Ok(NewPasskey {
            id: id.to_vec(),
            key,
            count: data.count,
            backed_up: data.flags & BACKED_UP != 0,
        })
    }

    /// Checks what a passkey signed (`navigator.credentials.get`). Whether the count is greater than
    /// the last one is for whoever keeps it.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn verify(
        &self,
        challenge: &[u8],
        key: &PasskeyKey,
        client_data: &[u8],
        authenticator_data: &[u8],
        signature: &[u8],
    ) -> Checked<Assertion> {
        check_client_data(self, "webauthn.get", challenge, client_data)?;
        let data = read_authenticator_data(self, authenticator_data)?;
        let mut signed = authenticator_data.to_vec();
        signed.extend_from_slice(digest::digest(&digest::SHA256, client_data).as_ref());
        if !key.verifies(&signed, signature) {
            return Err(PasskeyError::Signature);
        }
        Ok(Assertion {
            count: data.count,
            user_verified: data.flags & USER_VERIFIED != 0,
        })
    }
}

#[cfg(test)]
mod tests;
