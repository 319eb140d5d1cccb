//! Identity providers: issuers of tokens and certificate authorities that speak for identities of
//! one organisation, and what an organisation makes of what the deployment's sign-in says.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

mod issuer;
mod rules;

pub use issuer::{IssuerUrl, IssuerUrlError, MAX_ISSUER_LEN, is_shared_issuer};
pub use rules::{TrustRuleError, check_audience, check_token_conditions, organisation_of_audience};

/// Most audiences of one provider.
pub const MAX_AUDIENCES: usize = 20;

/// Most claim mappings, or certificate mappings, of one provider.
pub const MAX_MAPPINGS: usize = 200;

/// Most values of one claim mapping, and most things that it feeds.
pub const MAX_MAPPING_VALUES: usize = 50;

/// Longest certificate bundle, in bytes.
pub const MAX_BUNDLE_LEN: usize = 64 * 1024;

/// How a token may be signed. Neither `none` nor a shared secret is among them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum SignatureAlgorithm {
    /// RSA PKCS #1 v1.5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA PKCS #1 v1.5 with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSA PKCS #1 v1.5 with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
    /// RSA PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSA PSS with SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSA PSS with SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384 with SHA-384.
    #[serde(rename = "ES384")]
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// What providers use that do not say otherwise: OpenID Connect requires RS256 of every issuer.
    pub const DEFAULT: [Self; 2] = [Self::Rs256, Self::Es256];

    /// Its name in a token's header.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm with a name; letter case counts.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn default_algorithms() -> Vec<SignatureAlgorithm> {
    SignatureAlgorithm::DEFAULT.to_vec()
}

/// What an identity provider of an organisation is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Provider {
    /// An issuer of tokens: opens role sessions of this organisation.
    Oidc(OidcProvider),
    /// An authority of client certificates.
    CertificateAuthority(CertificateAuthority),
    /// What this organisation makes of the claims of people who sign in by a provider of the
    /// deployment's configuration.
    SignIn(SignInMapping),
}

/// An issuer of tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcProvider {
    /// Exactly what its tokens' `iss` says.
    pub issuer: String,
    /// One of them must be in a token's `aud`.
    pub audiences: Vec<String>,
    /// How its tokens may be signed.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<SignatureAlgorithm>,
    /// Its keys (RFC 7517), where they are not to be fetched: for issuers that this deployment
    /// cannot reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Whether many customers share it, so that a trust must fix the subject, too. Those that are
    /// known to be shared always are.
    #[serde(default)]
    pub shared: bool,
    /// The oldest token that is taken, in seconds since its `iat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_token_age_seconds: Option<u32>,
    /// Which roles tokens with certain claims may assume, besides those that trusts say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mappings: Vec<ClaimMapping>,
}

/// Whoever has one of these values in a claim is given something.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimMapping {
    /// Path of a claim: `groups`, `realm_access.roles`, `https://acme.example/teams`.
    pub claim: String,
    /// One of them must be among the claim's values, exactly.
    pub values: Vec<String>,
    /// Paths of groups (sign-in only) and roles.
    pub to: Vec<String>,
}

/// What an organisation makes of a sign-in provider of the deployment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignInMapping {
    /// Id of the provider in the deployment's configuration.
    pub sign_in: String,
    /// To which groups and roles its claims lead.
    #[serde(default)]
    pub mappings: Vec<ClaimMapping>,
}

/// An authority whose client certificates open identities of this organisation.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateAuthority {
    /// Its certificate, in PEM.
    pub pem: String,
    /// Which certificate opens which identity.
    #[serde(default)]
    pub mappings: Vec<CertificateMapping>,
}

/// One name of a certificate and the identity that it opens.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateMapping {
    /// Kind of the name.
    pub name: CertificateNameKind,
    /// The whole name; nothing in it is a pattern.
    pub value: String,
    /// Path of a programmatic identity.
    pub identity: String,
}

/// Which names of a certificate are looked at.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateNameKind {
    /// A subject alternative name of the kind URI, such as a SPIFFE id.
    Uri,
    /// A subject alternative name of the kind DNS.
    Dns,
}

impl OidcProvider {
    /// Whether a trust in it must fix the subject.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared || is_shared_issuer(&self.issuer)
    }
}

impl ClaimMapping {
    /// Whether claims lead to what the mapping feeds.
    ///
    /// # Errors
    /// Why not.
    pub fn matches(&self, claims: &BTreeMap<String, Vec<String>>) -> Result<(), MappingMiss> {
        let Some(found) = claims.get(&self.claim) else {
            let near = |name: &&String| {
                name.rsplit('.').next() == self.claim.rsplit('.').next()
                    || name.eq_ignore_ascii_case(&self.claim)
                    || name.starts_with(&format!("{}.", self.claim))
            };
            return Err(MappingMiss::NoClaim {
                claim: self.claim.clone(),
                near: claims.keys().filter(near).take(3).cloned().collect(),
            });
        };
        if found.iter().any(|value| self.values.contains(value)) {
            return Ok(());
        }
        Err(MappingMiss::OtherValues {
            claim: self.claim.clone(),
            found: found.iter().take(20).cloned().collect(),
            wanted: self.values.clone(),
        })
    }
}

/// Why a claim mapping gave nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingMiss {
    /// The token has no such claim.
    #[error("the token has no claim `{claim}`{}", near_claims(near))]
    NoClaim {
        /// Path of the claim.
        claim: String,
        /// Claims that may be meant.
        near: Vec<String>,
    },
    /// It has, with other values.
    #[error("claim `{claim}` is `{}`, the mapping takes `{}`", found.join("`, `"), wanted.join("`, `"))]
    OtherValues {
        /// Path of the claim.
        claim: String,
        /// What the token says.
        found: Vec<String>,
        /// What the mapping takes.
        wanted: Vec<String>,
    },
}

fn near_claims(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!(" (it has `{}`)", near.join("`, `")),
    }
}
