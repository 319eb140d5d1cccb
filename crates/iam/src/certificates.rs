//! Sessions of client certificates: by which authority and which name, so that they end when the
//! organisation trusts either no longer.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::directory::Directory;
use crate::ids::{IdentityIx, UnixMillis};
use crate::providers::{CertificateMapping, CertificateNameKind, Provider};
use crate::session::{Principal, Session, SessionEnded};
use crate::temporary::OriginCertificate;

/// How a client certificate came to open a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateSession {
    /// SHA-256 of the certificate, in lower-case hexadecimal.
    pub fingerprint: Arc<str>,
    /// When the handshake showed it: ending the sessions of before ends this one, and another
    /// handshake opens the next.
    pub shown: UnixMillis,
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

impl CertificateSession {
    /// What a session of temporary credentials remembers of it.
    pub(crate) fn origin(&self) -> OriginCertificate {
        OriginCertificate {
            provider: self.provider.to_string(),
            authority: digest(&self.authority),
            name: (self.name.0, self.name.1.to_string()),
            ends: self.ends,
            fingerprint: Some(self.fingerprint.to_string()),
        }
    }
}

fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether mappings lead from a name of a certificate to an identity.
fn maps(mappings: &[CertificateMapping], name: (CertificateNameKind, &str), path: &str) -> bool {
    mappings.iter().any(|mapping| {
        mapping.identity == path
            && mapping.name == name.0
            && is_name(name.0, name.1, &mapping.value)
    })
}

impl Directory {
    /// As [`Self::check_certificate`], of the certificate by which another session was opened.
    pub(crate) fn check_origin_certificate(
        &self,
        certificate: &OriginCertificate,
        path: &str,
        at: UnixMillis,
    ) -> Result<(), SessionEnded> {
        if at >= certificate.ends {
            return Err(SessionEnded::CertificateExpired);
        }
        if let Some(fingerprint) = &certificate.fingerprint
            && let Some(identity) = self.identity_at(path)
            && self.is_session_revoked(identity, fingerprint)
        {
            return Err(SessionEnded::Revoked);
        }
        let provider = self.identity_at(&certificate.provider);
        let name = (certificate.name.0, &*certificate.name.1);
        match provider.and_then(|ix| self.provider(ix)) {
            Some(Provider::CertificateAuthority(authority))
                if maps(&authority.mappings, name, path)
                    && digest(&authority.pem) == certificate.authority =>
            {
                Ok(())
            }
            _ => Err(SessionEnded::CertificateNotTrusted),
        }
    }

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
            mappings.into_iter().flat_map(move |(provider, authority)| {
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
            })
        })
    }

    /// The session that a claim opens, once its authority was found to vouch for the certificate.
    #[must_use]
    pub fn certificate_session(
        &self,
        claim: &CertificateClaim<'_>,
        fingerprint: &Arc<str>,
        shown: UnixMillis,
        ends: UnixMillis,
    ) -> Session {
        let certificate = CertificateSession {
            fingerprint: Arc::clone(fingerprint),
            shown,
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
        if let Principal::Identity(identity) = principal
            && (self.is_session_revoked(identity, &certificate.fingerprint)
                || self.are_sessions_revoked(identity, certificate.shown))
        {
            return Err(SessionEnded::Revoked);
        }
        let provider = self.identity_at(&certificate.provider);
        let Some(Provider::CertificateAuthority(authority)) =
            provider.and_then(|ix| self.provider(ix))
        else {
            return Err(SessionEnded::CertificateNotTrusted);
        };
        let path = self.principal_path(principal);
        let (kind, name) = &certificate.name;
        if maps(&authority.mappings, (*kind, name), path) && authority.pem == *certificate.authority
        {
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
