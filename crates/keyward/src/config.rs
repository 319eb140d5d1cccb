//! The operator's configuration file (`--config`): what is not worth a flag, and what has structure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keyward_auth::SIGNING_PERIOD;
use keyward_iam::SignatureAlgorithm;
use keyward_net::{BackendPermission, BackendRules, NetworkError};
use serde::Deserialize;

use crate::failure::{Exit, Failure};

/// Longest file that is read, in bytes.
const MAX_LEN: u64 = 1024 * 1024;

/// What the operator decides about the deployment. Every part may be left out; a name that is not
/// known is an error, so that a mistyped setting cannot be taken for a default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where browsers and other machines reach the HTTP API: `https://keyward.example.com`.
    pub(crate) public_url: Option<String>,
    /// Below which names of databases stand in TLS: `sessions.acme.<domain>`.
    pub(crate) domain: Option<String>,
    /// Certificate and key of both listeners.
    pub(crate) tls: Option<TlsFiles>,
    /// Which addresses may be backends of databases, and for whom.
    pub(crate) backends: Option<Backends>,
    /// Sessions of temporary credentials.
    #[serde(default)]
    pub(crate) sessions: SessionsConfig,
    /// Which issuers of tokens are asked for their keys, and where.
    #[serde(default)]
    pub(crate) federation: FederationConfig,
    /// Providers at which people sign in.
    #[serde(default)]
    pub(crate) sign_in: Vec<SignInConfig>,
}

/// How sessions of temporary credentials are made.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SessionsConfig {
    /// After how many hours another key signs them: 1 to 8784, which is a year.
    signing_key_hours: u32,
}

impl Default for SessionsConfig {
    fn default() -> Self {
        let hours = SIGNING_PERIOD.as_secs() / 3600;
        Self {
            signing_key_hours: u32::try_from(hours).unwrap_or(u32::MAX),
        }
    }
}

impl SessionsConfig {
    /// How long a key signs.
    pub(crate) fn signing_period(self) -> Duration {
        Duration::from_secs(u64::from(self.signing_key_hours) * 3600)
    }
}

/// Which issuers organisations may name, and at which addresses they are asked for their keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FederationConfig {
    /// Issuers, exactly or as a beginning with `*` behind it; empty: all.
    #[serde(default)]
    pub(crate) issuers: Vec<String>,
    /// Addresses besides those of the public internet: `10.0.0.0/8`.
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
    /// Certificates (PEM) of the authorities that vouch for issuers, instead of those of the web.
    pub(crate) authorities: Option<PathBuf>,
}

/// A provider at which people sign in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInConfig {
    /// Its id in URLs and in organisations' mappings.
    pub(crate) id: String,
    /// What the button says; its id if it is left out.
    pub(crate) name: Option<String>,
    /// Exactly what its tokens say in `iss`.
    pub(crate) issuer: String,
    /// What it calls this deployment.
    pub(crate) client_id: String,
    /// File with the password of this deployment there; none for public clients.
    pub(crate) client_secret_file: Option<PathBuf>,
    /// What is asked for besides `openid`.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// How its tokens may be signed.
    #[serde(default = "usual_algorithms")]
    pub(crate) algorithms: Vec<SignatureAlgorithm>,
    /// Whether whoever signs in there for the first time becomes a user.
    #[serde(default)]
    pub(crate) allow_sign_up: bool,
}

fn usual_algorithms() -> Vec<SignatureAlgorithm> {
    SignatureAlgorithm::DEFAULT.to_vec()
}

/// Which addresses may be backends, besides the one of `--upstream`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backends {
    /// Whether addresses on the public internet are permitted to everybody; they are, unless said
    /// otherwise.
    #[serde(default = "yes")]
    pub(crate) public: bool,
    /// What is permitted besides.
    #[serde(default)]
    pub(crate) permit: Vec<Permit>,
}

/// Addresses that may be backends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Permit {
    /// Networks, such as `10.0.0.0/8` or one address.
    pub(crate) networks: Vec<String>,
    /// Ports; left out: all.
    #[serde(default)]
    pub(crate) ports: Vec<u16>,
    /// Ids of organisations; left out: all.
    #[serde(default)]
    pub(crate) organisations: Vec<String>,
}

fn yes() -> bool {
    true
}

impl Backends {
    /// The rules; `own_ports` are never a backend.
    pub(crate) fn rules(&self, own_ports: Vec<u16>) -> Result<BackendRules, NetworkError> {
        let permission = |permit: &Permit| {
            let networks = permit.networks.iter().map(|text| text.parse());
            Ok(BackendPermission {
                networks: networks.collect::<Result<_, _>>()?,
                ports: permit.ports.iter().map(|port| *port..=*port).collect(),
                organisations: permit.organisations.clone(),
            })
        };
        Ok(BackendRules {
            public: self.public,
            permitted: self
                .permit
                .iter()
                .map(permission)
                .collect::<Result<_, _>>()?,
            own_ports,
        })
    }

    /// What holds on a laptop: the machine itself, and the public internet.
    pub(crate) fn of_this_machine() -> Self {
        let permit = Permit {
            networks: vec!["127.0.0.0/8".to_owned(), "::1".to_owned()],
            ports: Vec::new(),
            organisations: Vec::new(),
        };
        Self {
            public: true,
            permit: vec![permit],
        }
    }
}

/// Files in PEM form. Relative paths are of the directory of the configuration file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsFiles {
    /// The certificate, followed by those of its issuers.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

impl Config {
    /// Reads a file; none is all defaults.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let failed = |reason: &dyn std::fmt::Display| {
            Failure::new(Exit::Usage, format!("`{}`: {reason}", path.display()))
        };
        let length = std::fs::metadata(path)
            .map_err(|error| failed(&error))?
            .len();
        if length > MAX_LEN {
            return Err(failed(&format!("{length} bytes, {MAX_LEN} at most")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
        let mut config = Self::parse(&text).map_err(|error| failed(&error))?;
        if !(1..=8784).contains(&config.sessions.signing_key_hours) {
            return Err(failed(&"sessions.signing_key_hours: 1 to 8784"));
        }
        let base = path.parent().unwrap_or(Path::new("."));
        if let Some(tls) = &mut config.tls {
            tls.certificate = base.join(&tls.certificate);
            tls.key = base.join(&tls.key);
        }
        let secrets = config.sign_in.iter_mut();
        let secrets = secrets.filter_map(|sign_in| sign_in.client_secret_file.as_mut());
        for file in secrets.chain(&mut config.federation.authorities) {
            *file = base.join(&*file);
        }
        Ok(config)
    }

    /// Reads the text of a file. The error has line and column.
    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_understood() {
        let text = "public_url = 'https://k.example'\ndomain = 'kv.example'\n\
                    [tls]\ncertificate = 'a.pem'\nkey = '/k.pem'\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.domain.as_deref(), Some("kv.example"));
        assert_eq!(config.tls.unwrap().key, Path::new("/k.pem"));
        assert!(Config::parse("").unwrap().tls.is_none());
        let sessions = Config::parse("").unwrap().sessions;
        assert_eq!(sessions.signing_period(), SIGNING_PERIOD);
        let daily = Config::parse("[sessions]\nsigning_key_hours = 24").unwrap();
        assert_eq!(daily.sessions.signing_period(), Duration::from_secs(86_400));
    }

    #[test]
    fn what_is_refused() {
        let cases = [
            ("domian = 'x'", "domian"),
            ("[tls]\ncertificate = 'a.pem'", "key"),
            ("[tls]\ncertificate = 1\nkey = 'b'", "line 2"),
            ("domain = ", "line 1"),
            ("[sessions]\nsigning_key_days = 1", "signing_key_days"),
        ];
        for (text, expected) in cases {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
