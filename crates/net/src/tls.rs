//! TLS of the listeners: certificate and key from files, replaced without a restart.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::stream::Stream;

/// Longest file of certificates or key that is read, in bytes.
const MAX_FILE_LEN: u64 = 1024 * 1024;

/// Files in PEM form.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, followed by those of its issuers.
    pub certificate: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Why certificate and key cannot be used. Never holds any part of the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("`{}`: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no certificate in the file, or what is there is none.
    #[error("`{}`: no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// There is no private key in the file, or none that can be read.
    #[error("`{}`: no private key in PEM form (PKCS#8, PKCS#1 or SEC1, not encrypted)", path.display())]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// The key is not that of the certificate, or of a kind that TLS does not use.
    #[error("certificate `{}` and key `{}` do not go together: {reason}", certificate.display(), key.display())]
    Mismatch {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
        /// What the library said.
        reason: rustls::Error,
    },
}

/// What is in the files, to notice when they change.
#[derive(Debug, Eq, PartialEq)]
struct Texts {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// What a new handshake is made from, all of one moment.
#[derive(Debug)]
struct Parts {
    texts: Texts,
    identity: Arc<CertifiedKey>,
    /// Whether clients are asked for certificates.
    asks_clients: bool,
}

/// TLS as listeners use it. Handshakes that begin after a reload have the new certificate;
/// connections that are open keep what they have.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    parts: Mutex<Parts>,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let texts = read(&files)?;
        let parts = Parts {
            identity: identity(&files, &texts)?,
            texts,
            asks_clients: false,
        };
        Ok(Self {
            config: ArcSwap::from_pointee(config(&parts)),
            parts: Mutex::new(parts),
            files,
        })
    }

    /// Reads the files again, and tells whether they have changed. What is wrong with them leaves
    /// everything as it was.
    ///
    /// # Errors
    /// Which file is wrong, and how.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let texts = read(&self.files)?;
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.texts == texts {
            return Ok(false);
        }
        parts.identity = identity(&self.files, &texts)?;
        parts.texts = texts;
        self.config.store(Arc::new(config(&parts)));
        Ok(true)
    }

    /// Whether clients are asked for certificates: where somebody vouches for some. By whose
    /// authorities they may be is told nobody: the names are those of organisations that a stranger
    /// learns nothing of, and with enough of them no handshake would fit.
    pub fn ask_clients(&self, asks: bool) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.asks_clients != asks {
            parts.asks_clients = asks;
            self.config.store(Arc::new(config(&parts)));
        }
    }

    /// Does the handshake of a connection. Bound it in time: a client may never speak.
    ///
    /// # Errors
    /// It failed, or the connection broke.
    pub async fn accept(&self, socket: TcpStream) -> io::Result<Stream> {
        let acceptor = TlsAcceptor::from(self.config.load_full());
        let stream = acceptor.accept(socket).await?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// The connection of a listener that has TLS or not.
///
/// # Errors
/// The handshake failed, or the connection broke.
pub async fn accepted(tls: Option<&Tls>, socket: TcpStream) -> io::Result<Stream> {
    match tls {
        Some(tls) => tls.accept(socket).await,
        None => Ok(Stream::Plain(socket)),
    }
}

fn read(files: &TlsFiles) -> Result<Texts, TlsError> {
    Ok(Texts {
        certificate: read_file(&files.certificate)?,
        key: read_file(&files.key)?,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_LEN).read_to_end(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(source) => Err(TlsError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn identity(files: &TlsFiles, texts: &Texts) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&texts.certificate).collect();
    let chain = chain.unwrap_or_default();
    if chain.is_empty() {
        return Err(TlsError::NoCertificate {
            path: files.certificate.clone(),
        });
    }
    let key = PrivateKeyDer::from_pem_slice(&texts.key).map_err(|_| TlsError::NoKey {
        path: files.key.clone(),
    })?;
    match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
        Ok(identity) => Ok(Arc::new(identity)),
        Err(reason) => Err(TlsError::Mismatch {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            reason,
        }),
    }
}

fn config(parts: &Parts) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(PossessionVerifier {
        algorithms: provider.signature_verification_algorithms,
        asks: parts.asks_clients,
    });
    let versions = ServerConfig::builder_with_provider(provider as Arc<CryptoProvider>)
        .with_safe_default_protocol_versions()
        .expect("the provider has suites of both versions");
    let resolver = rustls::sign::SingleCertAndKey::from(Arc::clone(&parts.identity));
    versions
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(resolver))
}

/// Checks that a client has the key of the certificate that it shows, and nothing else: each
/// organisation has authorities of its own, and which of them vouches for a certificate is decided
/// at login against the directory of that moment, for resumed connections like for new ones. A
/// certificate that nobody vouches for opens nothing; the client may still log in otherwise.
#[derive(Debug)]
struct PossessionVerifier {
    algorithms: WebPkiSupportedAlgorithms,
    asks: bool,
}

impl ClientCertVerifier for PossessionVerifier {
    fn offer_client_auth(&self) -> bool {
        self.asks
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _issuers: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::Transport;

    struct World {
        directory: TempDir,
        authority: CertifiedIssuer<'static, KeyPair>,
    }

    impl World {
        fn new() -> Self {
            let mut parameters = CertificateParams::new(vec![]).unwrap();
            parameters.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            Self {
                directory: tempfile::tempdir().unwrap(),
                authority: CertifiedIssuer::self_signed(parameters, key).unwrap(),
            }
        }

        fn files(&self) -> TlsFiles {
            TlsFiles {
                certificate: self.directory.path().join("cert.pem"),
                key: self.directory.path().join("key.pem"),
            }
        }

        /// Certificate and key for a name, in PEM form.
        fn make(&self, name: &str) -> (String, String) {
            let key = KeyPair::generate().unwrap();
            let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let issuer: &Issuer<'_, KeyPair> = &self.authority;
            let certificate = parameters.signed_by(&key, issuer).unwrap();
            (certificate.pem(), key.serialize_pem())
        }

        fn write(&self, certificate: &str, key: &str) {
            std::fs::write(self.files().certificate, certificate).unwrap();
            std::fs::write(self.files().key, key).unwrap();
        }

        fn client(&self, identity: Option<(String, String)>) -> ClientConfig {
            let mut roots = RootCertStore::empty();
            roots.add(self.authority.der().clone()).unwrap();
            let provider = Arc::new(ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots);
            match identity {
                None => builder.with_no_client_auth(),
                Some((certificate, key)) => builder
                    .with_client_auth_cert(
                        vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                        PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                    )
                    .unwrap(),
            }
        }
    }

    /// What the server sees of a client, if they agree; both exchange a byte.
    async fn meet(tls: &Tls, client: ClientConfig, name: &str) -> io::Result<Transport> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let client = async move {
            let socket = TcpStream::connect(address).await?;
            let mut stream = TlsConnector::from(Arc::new(client))
                .connect(name, socket)
                .await?;
            stream.write_all(b"x").await?;
            stream.flush().await?;
            stream.read_u8().await
        };
        let server = async {
            let mut stream = tls.accept(listener.accept().await?.0).await?;
            let byte = stream.read_u8().await?;
            stream.write_u8(byte).await?;
            stream.flush().await?;
            io::Result::Ok(stream.transport())
        };
        let (echoed, seen) = tokio::join!(client, server);
        let seen = seen?;
        assert_eq!(echoed?, b'x');
        Ok(seen)
    }

    #[tokio::test]
    async fn a_new_certificate_is_used_without_a_restart() {
        let world = World::new();
        let (certificate, key) = world.make("one.test");
        world.write(&certificate, &key);
        let tls = Tls::load(world.files()).unwrap();
        let seen = meet(&tls, world.client(None), "one.test").await.unwrap();
        assert!(seen.encrypted);
        assert_eq!(seen.server_name.as_deref(), Some("one.test"));
        assert!(seen.certificates.is_none());
        assert!(!tls.reload().unwrap());

        let (certificate, key) = world.make("two.test");
        world.write(&certificate, &key);
        assert!(tls.reload().unwrap());
        assert!(meet(&tls, world.client(None), "one.test").await.is_err());
        assert!(meet(&tls, world.client(None), "two.test").await.is_ok());

        // Half a change: the old one stays.
        world.write(&world.make("three.test").0, &key);
        assert!(matches!(tls.reload(), Err(TlsError::Mismatch { .. })));
        assert!(meet(&tls, world.client(None), "two.test").await.is_ok());
    }

    #[tokio::test]
    async fn clients_are_asked_for_certificates_where_somebody_vouches_for_them() {
        let world = World::new();
        let (certificate, key) = world.make("one.test");
        world.write(&certificate, &key);
        let tls = Tls::load(world.files()).unwrap();
        let client = world.client(Some(world.make("client.test")));
        let seen = meet(&tls, client.clone(), "one.test").await.unwrap();
        assert!(seen.certificates.is_none(), "nobody asked");
        tls.ask_clients(true);
        let verifier = PossessionVerifier {
            algorithms: ring::default_provider().signature_verification_algorithms,
            asks: true,
        };
        let named = verifier.root_hint_subjects();
        assert!(
            verifier.offer_client_auth() && named.is_empty(),
            "{named:?}"
        );
        let seen = meet(&tls, client, "one.test").await.unwrap();
        assert_eq!(seen.certificates.unwrap().len(), 1);
        let seen = meet(&tls, world.client(None), "one.test").await.unwrap();
        assert!(seen.certificates.is_none());
    }

    #[test]
    fn what_is_wrong_with_files() {
        let world = World::new();
        let (certificate, key) = world.make("one.test");
        let cases = [
            ("", &*key, "no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!!\n", &key, "no certificate"),
            (&certificate, "", "no private key"),
            (&certificate, &certificate, "no private key"),
            (
                &certificate,
                &world.make("two.test").1,
                "do not go together",
            ),
        ];
        for (certificate, key, expected) in cases {
            world.write(certificate, key);
            let error = Tls::load(world.files()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("PRIVATE KEY"), "{error}");
        }
        std::fs::remove_file(world.files().key).unwrap();
        assert!(matches!(
            Tls::load(world.files()),
            Err(TlsError::Read { .. })
        ));
    }
}
