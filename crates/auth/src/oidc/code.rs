//! Sign-in of people at a provider: the authorisation code flow with PKCE, state and nonce.
//!
//! Source: OpenID Connect Core 1.0, RFC 7636, RFC 9207, and RFC 9700 for what is not optional here.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyward_iam::{SignatureAlgorithm, UnixMillis};
use ring::digest;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::fetch::FetchError;
use super::json;
use super::jwks::Jwks;
use super::jwt::{Expected, TokenError, UnverifiedToken};
use super::keys::{Asker, Discovery, IssuerKeys};
use crate::random::random_secret_bytes;

/// How old the token of a sign-in may be, in seconds: it was issued a moment ago.
const MAX_SIGN_IN_AGE: u32 = 10 * 60;

/// How long a sign-in waits for keys that the provider has changed meanwhile.
const KEYS_WAIT: Duration = Duration::from_secs(6);

/// A provider of the deployment's own configuration, at which people sign in.
#[derive(Clone)]
pub struct SignInClient {
    /// Exactly what its tokens' `iss` says.
    pub issuer: String,
    /// What it calls this deployment.
    pub client_id: String,
    /// The password of this deployment there; none for public clients.
    pub client_secret: Option<Zeroizing<String>>,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// How its tokens may be signed.
    pub algorithms: Vec<SignatureAlgorithm>,
}

impl fmt::Debug for SignInClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignInClient")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// What is kept of a sign-in that has begun.
#[derive(Clone)]
pub struct SignInStep {
    /// Comes back with the answer.
    pub state: String,
    /// Stands in the token.
    pub nonce: String,
    verifier: Zeroizing<String>,
    redirect_uri: String,
}

impl fmt::Debug for SignInStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignInStep")
    }
}

/// Who signed in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignedIn {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// Every claim by its path.
    pub claims: BTreeMap<String, Vec<String>>,
}

/// Why nobody signed in.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SignInError {
    /// The provider does not sign people in.
    #[error("`{0}` names no place to sign in")]
    NoEndpoint(String),
    /// The code became no token.
    #[error("the code was not taken: {0}")]
    Code(#[from] FetchError),
    /// What the provider answered is no token.
    #[error("the provider's answer has no `id_token`")]
    Answer,
    /// The token is not what it must be.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token is of another sign-in.
    #[error("the token is not of this sign-in")]
    Nonce,
    /// The token was made for several, and for another above all.
    #[error("the token was issued to another client")]
    Party,
}

#[derive(Deserialize)]
struct Answer {
    id_token: String,
}

fn random_text() -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode(*random_secret_bytes::<32>()))
}

/// The form in which values stand in URLs.
fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

impl SignInClient {
    /// Begins a sign-in: where the browser is to go, and what to keep until it comes back. `again`
    /// asks the provider to ask for credentials, whoever is signed in there.
    ///
    /// # Errors
    /// The provider names no place to go to.
    pub fn begin(
        &self,
        discovery: &Discovery,
        redirect_uri: &str,
        again: bool,
    ) -> Result<(String, SignInStep), SignInError> {
        let none = || SignInError::NoEndpoint(self.issuer.clone());
        let endpoint = discovery.authorization_endpoint.as_ref().ok_or_else(none)?;
        let step = SignInStep {
            state: random_text().to_string(),
            nonce: random_text().to_string(),
            verifier: random_text(),
            redirect_uri: redirect_uri.to_owned(),
        };
        let challenge = digest::digest(&digest::SHA256, step.verifier.as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(challenge);
        let mut scope = "openid".to_owned();
        for more in self.scopes.iter().filter(|scope| *scope != "openid") {
            scope.push(' ');
            scope.push_str(more);
        }
        let mut url = endpoint.clone();
        let values = [
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", redirect_uri),
            ("scope", &scope),
            ("state", &step.state),
            ("nonce", &step.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let mut separator = if endpoint.contains('?') { '&' } else { '?' };
        for (name, value) in values {
            let _ = write!(url, "{separator}{name}={}", percent(value));
            separator = '&';
        }
        if again {
            url.push_str("&prompt=login");
        }
        Ok((url, step))
    }

    /// Turns the code of an answer into who signed in. Blocks.
    ///
    /// # Errors
    /// Why nobody did.
    pub fn finish(
        &self,
        issuer_keys: &IssuerKeys,
        (discovery, keys): (&Discovery, &Jwks),
        step: &SignInStep,
        code: &str,
        now: UnixMillis,
    ) -> Result<SignedIn, SignInError> {
        let none = || SignInError::NoEndpoint(self.issuer.clone());
        let endpoint = discovery.token_endpoint.as_ref().ok_or_else(none)?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &step.redirect_uri),
            ("code_verifier", &step.verifier),
        ];
        let authorization = self.client_secret.as_ref().map(|secret| {
            let pair = format!("{}:{}", percent(&self.client_id), percent(secret));
            Zeroizing::new(format!("Basic {}", STANDARD.encode(pair)))
        });
        if authorization.is_none() {
            form.push(("client_id", &self.client_id));
        }
        let authorization = authorization.as_ref().map(|text| text.as_str());
        let body = issuer_keys
            .fetch()
            .post_form(endpoint, &form, authorization)?;
        let answer: Answer = json::parse(&body).map_err(|_| SignInError::Answer)?;
        let verified = self.verify(&answer.id_token, keys, Some(&step.nonce), now);
        let Err(SignInError::Token(TokenError::UnknownKey(_))) = &verified else {
            return verified;
        };
        // The code is used up; the provider has changed its keys, or has never had this one.
        let issuer = &self.issuer;
        let newer = issuer_keys.wait(issuer, &Asker::Deployment, true, now, KEYS_WAIT);
        match newer.keys {
            Some(newer) if *newer != *keys => {
                self.verify(&answer.id_token, &newer, Some(&step.nonce), now)
            }
            _ => verified,
        }
    }

    /// Verifies a token of this sign-in; without a nonce one that somebody shows, to see what its
    /// claims would give.
    ///
    /// # Errors
    /// Why it does not pass.
    pub fn verify(
        &self,
        token: &str,
        keys: &Jwks,
        nonce: Option<&str>,
        now: UnixMillis,
    ) -> Result<SignedIn, SignInError> {
        let audiences = [self.client_id.clone()];
        let expected = Expected {
            issuer: &self.issuer,
            audiences: &audiences,
            algorithms: &self.algorithms,
            max_age_seconds: MAX_SIGN_IN_AGE,
        };
        let token = UnverifiedToken::parse(token.as_bytes())?.verify(&expected, keys, now)?;
        let claim = |name: &str| token.claims.get(name).map(Vec::as_slice);
        if let Some(nonce) = nonce
            && claim("nonce") != Some(&[nonce.to_owned()])
        {
            return Err(SignInError::Nonce);
        }
        let party = claim("azp");
        let ours = party.is_none_or(|party| party == [self.client_id.clone()]);
        if !ours || (party.is_none() && token.audiences.len() > 1) {
            return Err(SignInError::Party);
        }
        Ok(SignedIn {
            issuer: token.issuer,
            subject: token.subject,
            claims: token.claims,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> SignInClient {
        SignInClient {
            issuer: "https://id.example".to_owned(),
            client_id: "kw/1".to_owned(),
            client_secret: None,
            scopes: vec!["groups".to_owned(), "openid".to_owned()],
            algorithms: SignatureAlgorithm::DEFAULT.to_vec(),
        }
    }

    fn discovery(endpoint: Option<&str>) -> Discovery {
        Discovery {
            issuer: "https://id.example".to_owned(),
            jwks_uri: "https://id.example/jwks".to_owned(),
            authorization_endpoint: endpoint.map(str::to_owned),
            token_endpoint: None,
            authorization_response_iss_parameter_supported: false,
        }
    }

    #[test]
    fn where_the_browser_goes() {
        let discovery = discovery(Some("https://id.example/auth?tenant=a"));
        let redirect = "https://kw.example/ui/sso/id/callback";
        let (url, step) = client().begin(&discovery, redirect, false).unwrap();
        assert!(url.starts_with("https://id.example/auth?tenant=a&response_type=code&client_id=kw%2F1&redirect_uri=https%3A%2F%2Fkw.example%2Fui%2Fsso%2Fid%2Fcallback&scope=openid%20groups&state="), "{url}");
        assert!(url.contains(&format!("&nonce={}", step.nonce)));
        assert!(url.ends_with("&code_challenge_method=S256"));
        assert!(!url.contains(step.verifier.as_str()));
        let (again, other) = client().begin(&discovery, redirect, true).unwrap();
        assert!(again.ends_with("&prompt=login"));
        assert_ne!(other.state, step.state);
        assert_eq!(format!("{step:?}"), "SignInStep");
    }

    #[test]
    fn a_provider_that_signs_nobody_in() {
        let begun = client().begin(&discovery(None), "https://kw.example/x", false);
        assert!(matches!(begun, Err(SignInError::NoEndpoint(_))));
    }
}
