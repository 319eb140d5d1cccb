//! Tokens of identity providers: their keys, fetched from where the operator permits, and their
//! verification.
//!
//! [`UnverifiedToken::parse`] takes a token apart, [`IssuerKeys`] has the keys of its issuer, and
//! [`UnverifiedToken::verify`] makes a [`VerifiedToken`] of both. Nothing of a token chooses how it
//! is verified: algorithms, issuer and audiences are the provider's.

mod claims;
mod code;
mod fetch;
mod json;
mod jwks;
mod jwt;
mod keys;
mod login;

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use claims::{ClaimsError, MAX_CLAIM_VALUES, flatten};
pub use code::{SignInClient, SignInError, SignInStep, SignedIn};
pub use fetch::{AddressRule, Fetch, FetchError, HttpFetch, IpRange, IpRangeError, NoAuthorities};
pub use jwks::{Jwks, JwksError, MAX_JWKS_KEYS, MAX_JWKS_LEN};
pub use jwt::{
    Expected, LEEWAY_SECONDS, MAX_TOKEN_AGE_SECONDS, MAX_TOKEN_LEN, TokenError, UnverifiedToken,
    VerifiedToken,
};
pub use keys::{Asker, Discovery, IssuerKeys, KeysError, KnownKeys};
pub use login::{ANY_ROLE_USER, ProviderTokens, VerifyError, providers_for};

/// Without padding, and strict: one text for one value.
fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
