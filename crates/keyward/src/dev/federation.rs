//! Identity providers, as the configuration has them.

use std::collections::BTreeSet;
use std::path::Path;

use keyward_auth::oidc::{AddressRule, HttpFetch, IssuerKeys, SignInClient};
use keyward_iam::{IssuerUrl, Slug};
use keyward_server::{Federation, SignIn, SignInButton};
use zeroize::Zeroizing;

use crate::config::{Config, SignInConfig};
use crate::failure::{Exit, Failure};

/// Longest secret or bundle of certificates, in bytes.
const MAX_LEN: u64 = 1024 * 1024;

fn wrong(reason: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, format!("configuration: {reason}"))
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |reason: &dyn std::fmt::Display| wrong(format!("`{}`: {reason}", path.display()));
    let length = std::fs::metadata(path)
        .map_err(|error| failed(&error))?
        .len();
    if length > MAX_LEN {
        return Err(failed(&"the file is too long"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    Ok(Zeroizing::new(text))
}

/// What the configuration says of identity providers. Issuers on this machine are asked, too, since
/// `keyward dev` is for development.
pub(super) fn open(config: &Config) -> Result<Federation, Failure> {
    let settings = &config.federation;
    let addresses = settings
        .addresses
        .iter()
        .map(|range| range.parse().map_err(wrong));
    let rule = AddressRule {
        issuers: settings.issuers.clone(),
        addresses: addresses.collect::<Result<_, _>>()?,
        loopback: true,
    };
    let authorities = match &settings.authorities {
        None => None,
        Some(path) => Some(read(path)?),
    };
    let authorities = authorities.as_ref().map(|pem| pem.as_bytes());
    let fetch = HttpFetch::new(rule, authorities).map_err(wrong)?;
    let keys = IssuerKeys::new(Box::new(fetch));
    let mut federation = Federation::new(keys);
    let mut ids = BTreeSet::new();
    for sign_in in &config.sign_in {
        if !ids.insert(&sign_in.id) {
            return Err(wrong(format!("two sign-ins are called `{}`", sign_in.id)));
        }
        federation.sign_ins.push(self::sign_in(sign_in)?);
    }
    Ok(federation)
}

/// The sign-ins as the sign-in page shows them.
pub(super) fn buttons(federation: &Federation) -> Vec<SignInButton> {
    let button = |sign_in: &SignIn| SignInButton {
        name: sign_in.name.clone(),
        path: format!("/ui/sso/{}/start", sign_in.id),
    };
    federation.sign_ins.iter().map(button).collect()
}

fn sign_in(config: &SignInConfig) -> Result<SignIn, Failure> {
    config.id.parse::<Slug>().map_err(wrong)?;
    IssuerUrl::parse(&config.issuer).map_err(wrong)?;
    if config.algorithms.is_empty() {
        return Err(wrong(format!("sign-in `{}` has no algorithms", config.id)));
    }
    let client_secret = match &config.client_secret_file {
        None => None,
        Some(path) => {
            let text = read(path)?;
            let secret = text.trim();
            if secret.is_empty() {
                return Err(wrong(format!("`{}` is empty", path.display())));
            }
            Some(Zeroizing::new(secret.to_owned()))
        }
    };
    Ok(SignIn {
        id: config.id.clone(),
        name: config.name.clone().unwrap_or_else(|| config.id.clone()),
        client: SignInClient {
            issuer: config.issuer.clone(),
            client_id: config.client_id.clone(),
            client_secret,
            scopes: config.scopes.clone(),
            algorithms: config.algorithms.clone(),
        },
        allow_sign_up: config.allow_sign_up,
    })
}
