//! From a client certificate, whose chain was verified, to the identity that it opens.

use super::{CertificateNameKind, Provider};
use crate::directory::Directory;
use crate::ids::IdentityIx;

/// What a verified client certificate opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CertificateOpens {
    /// The identity.
    pub identity: IdentityIx,
    /// The certificate authority of the identity's organisation that maps it.
    pub provider: IdentityIx,
}

/// Why a verified client certificate opens nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateRefused {
    /// No mapping of its authorities names it.
    #[error("no mapping of its authority names this certificate")]
    Unmapped,
    /// Its names, or several authorities, lead to different identities.
    #[error("the certificate leads to more than one identity")]
    Ambiguous,
}

impl Directory {
    /// The identity that a client certificate opens, by its names of the kinds URI and DNS, compared
    /// whole. `authorities`: the providers ([`Directory::certificate_authorities`]) to whose own
    /// certificate its chain was verified, each by itself. `organisation`: whose authorities count,
    /// where the connection says for whose database it is; what a stranger's authority says of a
    /// certificate then takes no part.
    ///
    /// # Errors
    /// Why it opens none.
    pub fn identity_of_certificate(
        &self,
        authorities: &[IdentityIx],
        organisation: Option<IdentityIx>,
        uris: &[&str],
        dns: &[&str],
    ) -> Result<CertificateOpens, CertificateRefused> {
        let mut found: Option<CertificateOpens> = None;
        for provider in authorities.iter().copied() {
            let owner = self.identity(provider).and_then(|i| i.organisation);
            if organisation.is_some() && owner != organisation {
                continue;
            }
            let Some(Provider::CertificateAuthority(authority)) = self.provider(provider) else {
                continue;
            };
            for mapping in &authority.mappings {
                let names = match mapping.name {
                    CertificateNameKind::Uri => uris,
                    CertificateNameKind::Dns => dns,
                };
                let named = names.iter().any(|name| match mapping.name {
                    CertificateNameKind::Uri => *name == mapping.value,
                    CertificateNameKind::Dns => name.eq_ignore_ascii_case(&mapping.value),
                });
                // A mapping to what was deleted leads nowhere.
                let identity = self.identity_at(&mapping.identity).filter(|_| named);
                let Some(identity) = identity else {
                    continue;
                };
                if self.identity(identity).and_then(|i| i.organisation) != owner {
                    continue;
                }
                match found {
                    Some(other) if other.identity != identity => {
                        return Err(CertificateRefused::Ambiguous);
                    }
                    Some(_) => {}
                    None => found = Some(CertificateOpens { identity, provider }),
                }
            }
        }
        found.ok_or(CertificateRefused::Unmapped)
    }
}
