//! Client certificates: what they say, and whether an authority vouches for them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use keyward_iam::{CertificateClaim, CertificateNameKind, Directory, Session, UnixMillis};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest as _, Sha256};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// Most certificates of a chain that are looked at: the client's and those of its issuers.
pub const MAX_CHAIN_LEN: usize = 6;

/// Most names of a certificate that are looked at.
pub const MAX_NAMES: usize = 50;

/// A certificate whose key the client has, as the handshake showed, and what it says. Nobody has
/// vouched for it yet.
#[derive(Clone)]
pub struct ClientCertificate {
    chain: Arc<[CertificateDer<'static>]>,
    fingerprint: Arc<str>,
    names: Vec<(CertificateNameKind, String)>,
    shown: UnixMillis,
    ends: UnixMillis,
}

/// Why a certificate says nothing that could open anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not an X.509 certificate, or a damaged one.
    #[error("the client certificate cannot be read")]
    Form,
    /// A chain or a list of names that nobody needs.
    #[error(
        "the client certificate has more than {MAX_NAMES} names, or more than {MAX_CHAIN_LEN} certificates"
    )]
    TooLong,
    /// The text is no certificate of an authority.
    #[error("no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)")]
    Authority,
}

impl ClientCertificate {
    /// Reads a chain as the handshake at a moment gave it: the client's certificate first.
    ///
    /// # Errors
    /// It cannot be read, or is longer than anybody needs.
    pub fn read(
        chain: Arc<[CertificateDer<'static>]>,
        shown: UnixMillis,
    ) -> Result<Self, CertificateError> {
        let leaf = chain.first().ok_or(CertificateError::Form)?;
        if chain.len() > MAX_CHAIN_LEN {
            return Err(CertificateError::TooLong);
        }
        let parsed = EndEntityCert::try_from(leaf).map_err(|_| CertificateError::Form)?;
        let uris = parsed.valid_uri_names();
        let uris = uris.map(|name| (CertificateNameKind::Uri, name.to_owned()));
        let dns = parsed.valid_dns_names();
        let dns = dns.map(|name| (CertificateNameKind::Dns, name.to_ascii_lowercase()));
        let names: Vec<_> = uris.chain(dns).take(MAX_NAMES + 1).collect();
        if names.len() > MAX_NAMES {
            return Err(CertificateError::TooLong);
        }
        let ends = chain.iter().map(end_of).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            fingerprint: fingerprint(leaf).into(),
            names,
            shown,
            ends: ends.into_iter().min().ok_or(CertificateError::Form)?,
            chain,
        })
    }

    /// SHA-256 of the certificate, in lower-case hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> &Arc<str> {
        &self.fingerprint
    }

    /// Its subject alternative names of the kinds that can open something; DNS names in lower case.
    #[must_use]
    pub fn names(&self) -> &[(CertificateNameKind, String)] {
        &self.names
    }

    /// When it, or a certificate of the chain that came with it, ends.
    #[must_use]
    pub fn ends(&self) -> UnixMillis {
        self.ends
    }

    /// Whether an authority vouches for it now, as a certificate of a client.
    #[must_use]
    pub fn is_vouched_for(&self, authority: &Authority, at: UnixMillis) -> bool {
        let Ok(leaf) = EndEntityCert::try_from(&self.chain[0]) else {
            return false;
        };
        let Ok(anchor) = anchor_from_trusted_cert(&authority.0) else {
            return false;
        };
        let at = UnixTime::since_unix_epoch(Duration::from_millis(at.0));
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &self.chain[1..],
            at,
            KeyUsage::client_auth(),
            None,
            None,
        )
        .is_ok()
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({})", self.fingerprint)
    }
}

/// The certificate of an authority, as an organisation trusts it.
#[derive(Clone, Debug)]
pub struct Authority(CertificateDer<'static>);

impl Authority {
    /// Reads the first certificate of a text in PEM form.
    ///
    /// # Errors
    /// There is none, or it cannot be an authority's.
    pub fn parse(pem: &str) -> Result<Self, CertificateError> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes());
        let certificate = certificate.map_err(|_| CertificateError::Authority)?;
        if anchor_from_trusted_cert(&certificate).is_err() || end_of(&certificate).is_err() {
            return Err(CertificateError::Authority);
        }
        Ok(Self(certificate))
    }
}

/// The session that a client certificate opens: of the one identity that an authority vouching for
/// it takes its names for. One that opens two identities of the same organisation opens none. Any
/// organisation may trust any authority, so claims of the organisation whose database is asked for
/// (`near`) go before others': a stranger who trusts your authority, too, stands in nobody's way.
#[must_use]
pub fn certificate_login(
    directory: &Directory,
    certificate: &ClientCertificate,
    near: Option<&str>,
    at: UnixMillis,
) -> Option<Session> {
    let is_near = |claim: &CertificateClaim<'_>| {
        let organisation = claim.provider.split('/').nth(1);
        near.is_some() && organisation == near
    };
    let vouched = |claim: &CertificateClaim<'_>| {
        let authority = Authority::parse(claim.authority);
        authority.is_ok_and(|authority| certificate.is_vouched_for(&authority, at))
    };
    let claims = directory.certificate_claims(certificate.names());
    let mut claims: Vec<_> = claims.filter(vouched).collect();
    if claims.iter().any(is_near) {
        claims.retain(is_near);
    }
    let (first, others) = claims.split_first()?;
    if others.iter().any(|other| other.identity != first.identity) {
        return None;
    }
    let (fingerprint, ends) = (certificate.fingerprint(), certificate.ends());
    let session = directory.certificate_session(first, fingerprint, certificate.shown, ends);
    directory
        .check_session(&session, at)
        .is_ok()
        .then_some(session)
}

fn end_of(certificate: &CertificateDer<'_>) -> Result<UnixMillis, CertificateError> {
    let certificate = Certificate::from_der(certificate).map_err(|_| CertificateError::Form)?;
    let validity = certificate.tbs_certificate().validity();
    let end = validity.not_after.to_unix_duration().as_millis();
    Ok(UnixMillis(u64::try_from(end).unwrap_or(u64::MAX)))
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(certificate);
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa,
        KeyPair, SanType,
    };

    use keyward_iam::{
        CertificateAuthority, CertificateMapping, Change, ChangeContext, Provider, SessionEnded,
    };

    use super::*;

    type Issuer = CertifiedIssuer<'static, KeyPair>;

    fn authority(name: &str) -> Issuer {
        let mut parameters = CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let names = &mut parameters.distinguished_name;
        names.push(rcgen::DnType::CommonName, name);
        CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
    }

    fn client(issuer: &Issuer, change: impl FnOnce(&mut CertificateParams)) -> ClientCertificate {
        let mut parameters = CertificateParams::new(vec!["CI.Acme.test".to_owned()]).unwrap();
        let uri = "spiffe://acme.test/ci".try_into().unwrap();
        parameters.subject_alt_names.push(SanType::URI(uri));
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, issuer).unwrap();
        ClientCertificate::read([certificate.der().clone()].into(), NOW).unwrap()
    }

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn names_and_end() {
        let certificate = client(&authority("a"), |parameters| {
            parameters.not_after = rcgen::date_time_ymd(2027, 6, 1);
        });
        let expected = [
            (CertificateNameKind::Uri, "spiffe://acme.test/ci".to_owned()),
            (CertificateNameKind::Dns, "ci.acme.test".to_owned()),
        ];
        assert_eq!(certificate.names(), expected);
        assert_eq!(certificate.ends(), UnixMillis(1_811_808_000_000));
        assert_eq!(certificate.fingerprint().len(), 64);
    }

    #[test]
    fn who_is_vouched_for() {
        let (ours, other) = (authority("ours"), authority("ours"));
        let trusted = Authority::parse(&ours.pem()).unwrap();
        let expired = |parameters: &mut CertificateParams| {
            parameters.not_after = rcgen::date_time_ymd(2026, 1, 1);
        };
        let server = |parameters: &mut CertificateParams| {
            parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        };
        let cases: [(&str, ClientCertificate, bool); 4] = [
            ("ours", client(&ours, |_| ()), true),
            ("another's, of the same name", client(&other, |_| ()), false),
            ("expired", client(&ours, expired), false),
            ("a server's", client(&ours, server), false),
        ];
        for (name, certificate, expected) in cases {
            assert_eq!(
                certificate.is_vouched_for(&trusted, NOW),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn whom_a_certificate_opens() {
        let (ours, theirs) = (authority("ours"), authority("theirs"));
        let mut directory = Directory::empty();
        let mut apply = |change: Change| {
            let context = ChangeContext::system(NOW);
            directory = directory.apply(&change, &context).unwrap().directory;
            directory.clone()
        };
        apply(Change::CreateUser {
            id: "u-1".into(),
            name: None,
        });
        for (id, account) in [("acme", "123456789012"), ("mallory", "123456789013")] {
            apply(Change::CreateOrganisation {
                id: id.into(),
                name: None,
                owner: "user/u-1".into(),
                account: account.into(),
                administrator: None,
            });
            apply(Change::CreateProgrammaticIdentity {
                organisation: id.into(),
                id: "ci".into(),
                name: None,
            });
        }
        let provider = |issuer: &Issuer, organisation: &str, name, value: &str| {
            Provider::CertificateAuthority(CertificateAuthority {
                pem: issuer.pem(),
                mappings: vec![CertificateMapping {
                    name,
                    value: value.into(),
                    identity: format!("org/{organisation}/programmatic_identity/ci"),
                }],
            })
        };
        let create = |organisation: &str, id: &str, provider| Change::CreateIdentityProvider {
            organisation: organisation.into(),
            id: id.into(),
            name: None,
            provider: Box::new(provider),
        };
        let certificate = client(&ours, |_| ());
        let uri = CertificateNameKind::Uri;
        let opened = |directory: &Directory| {
            let session = certificate_login(directory, &certificate, None, NOW)?;
            Some(directory.principal_path(session.principal).to_owned())
        };
        // Another organisation takes our names, with an authority that did not sign them.
        let stranger = provider(&theirs, "mallory", uri, "spiffe://acme.test/ci");
        let directory = apply(create("mallory", "ca", stranger));
        assert_eq!(opened(&directory), None);
        let spiffe = provider(&ours, "acme", uri, "spiffe://acme.test/ci");
        let directory = apply(create("acme", "ca", spiffe));
        let path = "org/acme/programmatic_identity/ci".to_owned();
        assert_eq!(opened(&directory), Some(path.clone()));
        let session = certificate_login(&directory, &certificate, None, NOW).unwrap();

        // By two names it is still one identity; by two identities it is none.
        let dns = provider(&ours, "acme", CertificateNameKind::Dns, "ci.ACME.test");
        let directory = apply(create("acme", "dns", dns));
        assert_eq!(opened(&directory), Some(path));
        assert_eq!(directory.check_session(&session, NOW), Ok(()));
        let ends = UnixMillis(certificate.ends().0);
        let ended = directory.check_session(&session, ends);
        assert_eq!(ended, Err(SessionEnded::CertificateExpired));
        apply(Change::CreateProgrammaticIdentity {
            organisation: "acme".into(),
            id: "other".into(),
            name: None,
        });
        let mut two = provider(&ours, "acme", uri, "spiffe://acme.test/ci");
        if let Provider::CertificateAuthority(authority) = &mut two {
            authority.mappings[0].identity = "org/acme/programmatic_identity/other".into();
        }
        let two = apply(create("acme", "two", two));
        assert_eq!(opened(&two), None);
        assert!(certificate_login(&two, &certificate, Some("acme"), NOW).is_none());
        apply(Change::DeleteIdentity {
            path: "org/acme/identity_provider/two".into(),
            cascade: true,
        });
        // A stranger who trusts our authority, too, is in the way of nobody who asks for ours.
        let second = provider(&ours, "mallory", uri, "spiffe://acme.test/ci");
        let directory = apply(create("mallory", "second", second));
        assert_eq!(opened(&directory), None);
        for (near, expected) in [("acme", "org/acme/"), ("mallory", "org/mallory/")] {
            let session = certificate_login(&directory, &certificate, Some(near), NOW).unwrap();
            let path = directory.principal_path(session.principal);
            assert!(path.starts_with(expected), "{path}");
        }

        let directory = apply(Change::DeleteIdentity {
            path: "org/acme/identity_provider/ca".into(),
            cascade: true,
        });
        let ended = directory.check_session(&session, NOW);
        assert_eq!(ended, Err(SessionEnded::CertificateNotTrusted));
    }

    #[test]
    fn what_is_no_certificate() {
        let read = |chain: Vec<Vec<u8>>| {
            let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
            ClientCertificate::read(chain.into(), NOW).err()
        };
        assert_eq!(read(vec![]), Some(CertificateError::Form));
        assert_eq!(
            read(vec![vec![0x30, 0x03, 1, 2, 3]]),
            Some(CertificateError::Form)
        );
        assert_eq!(read(vec![vec![0; 10]; 7]), Some(CertificateError::TooLong));
        for text in [
            "",
            "x",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        ] {
            assert!(Authority::parse(text).is_err(), "{text}");
        }
    }
}
