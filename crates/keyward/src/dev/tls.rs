//! Certificates of the listeners: the operator's, or those that `--tls` makes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keyward_net::{Tls, TlsFiles};
use keyward_server::ControlPlane;
use keyward_store::DataDir;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};

use super::Arguments;
use crate::config::Config;
use crate::failure::{Exit, Failure};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Names in the data directory of what `--tls` makes.
const CA_CERTIFICATE: &str = "tls-ca.pem";
const CA_KEY: &str = "tls-ca.key";
const CERTIFICATE: &str = "tls-cert.pem";
const KEY: &str = "tls-key.pem";

/// TLS of both listeners.
pub(super) struct ListenerTls {
    pub(super) tls: Arc<Tls>,
    /// The authority that clients must know, if it is ours.
    pub(super) ca_file: Option<PathBuf>,
}

/// The TLS that was asked for: by flags, else in the configuration file, else made here.
pub(super) fn open(
    arguments: &Arguments,
    config: &Config,
    data_dir: Option<&DataDir>,
) -> Result<Option<ListenerTls>, Failure> {
    let configured = config.tls.as_ref();
    let (files, ca_file) = match (&arguments.tls_cert, &arguments.tls_key, configured) {
        (Some(certificate), Some(key), _) => (
            TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            },
            None,
        ),
        (_, _, Some(files)) => (
            TlsFiles {
                certificate: files.certificate.clone(),
                key: files.key.clone(),
            },
            None,
        ),
        _ if arguments.tls => {
            let Some(data_dir) = data_dir else {
                let text = "--tls keeps its certificates in the data directory, and --ephemeral \
                            has none: give --tls-cert and --tls-key";
                return Err(Failure::new(Exit::Usage, text));
            };
            let ca_file = make(data_dir, config.domain.as_deref())?;
            let files = TlsFiles {
                certificate: data_dir.file(CERTIFICATE),
                key: data_dir.file(KEY),
            };
            (files, Some(ca_file))
        }
        _ => return Ok(None),
    };
    let tls = Tls::load(files).map_err(|error| Failure::of(&error))?;
    Ok(Some(ListenerTls {
        tls: Arc::new(tls),
        ca_file,
    }))
}

/// Makes a certificate for this machine, signed by an authority that stays the same from start to
/// start. Returns the file with the authority's certificate.
fn make(data_dir: &DataDir, domain: Option<&str>) -> Result<PathBuf, Failure> {
    let failed = |error: rcgen::Error| Failure::of(&error);
    let stored = |error: keyward_store::DataDirError| Failure::of(&error);

    let kept = data_dir.read_private(CA_KEY).map_err(stored)?;
    let kept = kept.and_then(|text| String::from_utf8(text.to_vec()).ok());
    let (key, is_new) = match kept.as_deref().map(KeyPair::from_pem) {
        Some(key) => (key.map_err(failed)?, false),
        None => (KeyPair::generate().map_err(failed)?, true),
    };
    let mut parameters = CertificateParams::new(Vec::new()).map_err(failed)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let name = &mut parameters.distinguished_name;
    name.push(
        DnType::CommonName,
        "Keyward dev: authority of this data directory",
    );
    let authority_key = key.serialize_pem();
    let authority = CertifiedIssuer::self_signed(parameters, key).map_err(failed)?;

    let mut names = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    if let Some(domain) = domain {
        names.push(domain.to_owned());
        // Databases stand two names below: `sessions.acme.<domain>`; a wildcard covers one.
        names.push(format!("*.dev.{domain}"));
    }
    let key = KeyPair::generate().map_err(failed)?;
    let mut parameters = CertificateParams::new(names).map_err(failed)?;
    parameters.use_authority_key_identifier_extension = true;
    let name = &mut parameters.distinguished_name;
    name.push(DnType::CommonName, "Keyward dev");
    let certificate = parameters.signed_by(&key, &authority).map_err(failed)?;

    let write = |name: &str, text: &str| {
        let written = data_dir.write_private(name, text.as_bytes());
        written.map_err(stored)
    };
    if is_new {
        write(CA_KEY, &authority_key)?;
        write(CA_CERTIFICATE, &authority.pem())?;
    }
    write(CERTIFICATE, &certificate.pem())?;
    write(KEY, &key.serialize_pem())?;
    Ok(data_dir.file(CA_CERTIFICATE))
}

/// Keeps the handshakes up to date for as long as the process runs: certificate and key whenever their
/// files change, and whether clients are asked for theirs whenever the directory does.
pub(super) async fn follow(tls: Arc<Tls>, control: Arc<ControlPlane>) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    let mut changes = control.changes();
    let mut failed = String::new();
    let ask = || tls.ask_clients(!control.directory().certificate_authorities().is_empty());
    ask();
    loop {
        tokio::select! {
            _ = tick.tick() => reload(&tls, &mut failed).await,
            changed = changes.changed() => match changed {
                Ok(()) => ask(),
                Err(_) => return, // the process ends
            },
        }
    }
}

async fn reload(tls: &Arc<Tls>, failed: &mut String) {
    let reloading = Arc::clone(tls);
    let Ok(reloaded) = tokio::task::spawn_blocking(move || reloading.reload()).await else {
        return;
    };
    match reloaded {
        Ok(true) => {
            failed.clear();
            tracing::info!("the certificate was replaced");
        }
        Ok(false) => failed.clear(),
        Err(error) => {
            // Once for each reason: while files are being replaced they do not fit together.
            let text = error.to_string();
            if text != *failed {
                tracing::warn!(error = %text, "the certificate stays as it was");
                *failed = text;
            }
        }
    }
}
