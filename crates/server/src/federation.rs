//! What the API has of identity providers: verification of tokens, and the deployment's own
//! sign-ins.

use std::sync::Arc;

use std::time::Duration;

use keyward_auth::oidc::{
    Asker, Fetch, FetchError, IssuerKeys, KnownKeys, ProviderTokens, SignInClient, SignInStep,
    UnverifiedToken, VerifiedToken, VerifyError,
};
use keyward_iam::{OidcProvider, UnixMillis};

use crate::people::pending::Pending;

/// How long a call waits for what is fetched from an issuer, and how often it looks.
const MOST_WAITS: usize = 150;
const WAIT: Duration = Duration::from_millis(40);

/// A provider of the deployment's configuration, at which people sign in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Its id in URLs and mappings.
    pub id: String,
    /// What the button says.
    pub name: String,
    /// How it is spoken to.
    pub client: SignInClient,
    /// Whether whoever signs in there for the first time becomes a user.
    pub allow_sign_up: bool,
}

/// A sign-in at a provider that has begun.
#[derive(Clone, Debug)]
pub(crate) struct SsoStep {
    /// Id of the provider.
    pub(crate) provider: String,
    pub(crate) step: SignInStep,
    /// The page to go on with.
    pub(crate) next: String,
    /// To whom the login is to be linked.
    pub(crate) link: Option<LinkTo>,
}

/// A person who wants to link a login, and the session in which she said so.
#[derive(Clone, Debug)]
pub(crate) struct LinkTo {
    /// Path of the user.
    pub(crate) user: String,
    /// Id of the login session.
    pub(crate) login: Arc<str>,
}

/// Sign-ins at providers that are under way.
const MOST_STEPS: usize = 16_384;

/// What is known of identity providers beside the directory.
#[derive(Clone, Debug)]
pub struct Federation {
    /// Verifies tokens.
    pub tokens: Arc<ProviderTokens>,
    /// Where people sign in.
    pub sign_ins: Vec<SignIn>,
    pub(crate) steps: Arc<Pending<SsoStep>>,
}

impl Federation {
    /// With the keys of issuers, and nowhere to sign in.
    #[must_use]
    pub fn new(keys: IssuerKeys) -> Self {
        Self {
            tokens: Arc::new(ProviderTokens::new(keys)),
            sign_ins: Vec::new(),
            steps: Arc::new(Pending::new(MOST_STEPS)),
        }
    }

    /// Which fetches nothing: for tests and for what serves nobody.
    #[must_use]
    pub fn without_network() -> Self {
        Self::new(IssuerKeys::new(Box::new(NoNetwork)))
    }

    /// Verifies a token for a provider of an organisation, waiting for its issuer's keys.
    ///
    /// # Errors
    /// Why it does not pass.
    pub async fn verify(
        &self,
        provider: &OidcProvider,
        organisation: &str,
        token: &UnverifiedToken,
        clock: fn() -> UnixMillis,
    ) -> Result<VerifiedToken, VerifyError> {
        for _ in 0..MOST_WAITS {
            match self.tokens.verify(provider, organisation, token, clock()) {
                Err(VerifyError::Pending) => tokio::time::sleep(WAIT).await,
                told => return told,
            }
        }
        Err(VerifyError::Pending)
    }

    /// What is known of the issuer of a sign-in of the deployment, waiting for it.
    pub async fn known(&self, issuer: &str, clock: fn() -> UnixMillis) -> KnownKeys {
        let look = || (self.tokens.keys()).look(issuer, &Asker::Deployment, false, clock());
        let mut known = look();
        for _ in 0..MOST_WAITS {
            if !known.pending || known.keys.is_some() {
                break;
            }
            tokio::time::sleep(WAIT).await;
            known = look();
        }
        known
    }

    /// A sign-in by its id.
    #[must_use]
    pub fn sign_in(&self, id: &str) -> Option<&SignIn> {
        self.sign_ins.iter().find(|sign_in| sign_in.id == id)
    }
}

/// Refuses every issuer.
struct NoNetwork;

impl Fetch for NoNetwork {
    fn permits(&self, issuer: &str) -> Result<(), FetchError> {
        Err(FetchError::Issuer(issuer.to_owned()))
    }

    fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        Err(FetchError::Issuer(url.to_owned()))
    }
}
