//! Sessions of client certificates: by which authority and which name, so that they end when the
//! organisation trusts either no longer.

use std::sync::Arc;

use crate::directory::Directory;
use crate::ids::{IdentityIx, UnixMillis};
use crate::providers::{CertificateNameKind, Provider};
use crate::session::{Principal, Session, SessionEnded};

/// How a client certificate came to open a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateSession {
    /// SHA-256 of the certificate, in lower-case hexadecimal.
    pub fingerprint: Arc<str>,
    /// When the certificate ends.
    pub ends: UnixMillis,
    /// Path of the identity provider whose authority vouches for it.
    pub provider: Box<str>,
    /// The authority's certificate, in PEM, as it was then.
    pub authority: Box<str>,
    /// The name that counted.
    pub name: (CertificateNameKind, Box<str>),
}

/// An authority that takes one of a certificate's names for an identity.
#[derive(Clone, Debug)]
pub struct CertificateClaim<'a> {
    /// Path of the identity provider.
    pub provider: &'a str,
    /// The authority's certificate, in PEM: it must vouch for the certificate.
    pub authority: &'a str,
    /// The name that counts.
    pub name: (CertificateNameKind, &'a str),
    /// Whom it opens.
    pub identity: IdentityIx,
}

impl Directory {
    /// Every claim on a certificate with these names. A claim opens nothing before its authority
    /// was found to vouch for the certificate; certificates that open two identities open none.
    pub fn certificate_claims<'a>(
        &'a self,
        names: &'a [(CertificateNameKind, String)],
    ) -> impl Iterator<Item = CertificateClaim<'a>> {
        let authorities = self.certificate_authorities().iter();
        authorities.flat_map(move |ix| {
            let provider = self.identity(*ix);
            let mappings = match provider.and_then(|p| p.provider.as_deref()) {
                Some(Provider::CertificateAuthority(authority)) => Some((provider, authority)),
                _ => None,
            };
            let claims = mappings.into_iter().flat_map(move |(provider, authority)| {
                let path = provider.map_or("", |provider| &provider.path);
                authority.mappings.iter().filter_map(move |mapping| {
                    let name = names.iter().find(|(kind, name)| {
                        *kind == mapping.name && is_name(*kind, name, &mapping.value)
                    })?;
                    Some(CertificateClaim {
                        provider: path,
                        authority: &authority.pem,
                        name: (name.0, &name.1),
                        identity: self.identity_at(&mapping.identity)?,
                    })
                })
            });
            claims
        })
    }

    /// The session that a claim opens, once its authority was found to vouch for the certificate.
    #[must_use]
    pub fn certificate_session(
        &self,
        claim: &CertificateClaim<'_>,
        fingerprint: &Arc<str>,
        ends: UnixMillis,
    ) -> Session {
        let certificate = CertificateSession {
            fingerprint: Arc::clone(fingerprint),
            ends,
            provider: claim.provider.into(),
            authority: claim.authority.into(),
            name: (claim.name.0, claim.name.1.into()),
        };
        Session {
            certificate: Some(Arc::new(certificate)),
            secure: true,
            ..Session::of_identity(claim.identity)
        }
    }

    /// Whether the organisation still takes a certificate for the principal.
    pub(crate) fn check_certificate(
        &self,
        certificate: &CertificateSession,
        principal: Principal,
        at: UnixMillis,
    ) -> Result<(), SessionEnded> {
        if at >= certificate.ends {
            return Err(SessionEnded::CertificateExpired);
        }
        let provider = self.identity_at(&certificate.provider);
        let Some(Provider::CertificateAuthority(authority)) =
            provider.and_then(|ix| self.provider(ix))
        else {
            return Err(SessionEnded::CertificateNotTrusted);
        };
        let path = self.principal_path(principal);
        let (kind, name) = &certificate.name;
        let mapped = authority.mappings.iter().any(|mapping| {
            mapping.identity == path
                && mapping.name == *kind
                && is_name(*kind, name, &mapping.value)
        });
        if mapped && authority.pem == *certificate.authority {
            Ok(())
        } else {
            Err(SessionEnded::CertificateNotTrusted)
        }
    }
}

/// DNS names have no letter case, URIs have (RFC 5280, section 7).
fn is_name(kind: CertificateNameKind, found: &str, mapped: &str) -> bool {
    match kind {
        CertificateNameKind::Dns => found.eq_ignore_ascii_case(mapped),
        CertificateNameKind::Uri => found == mapped,
    }
}
