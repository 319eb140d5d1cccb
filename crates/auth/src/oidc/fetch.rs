//! What is fetched from issuers, and from where it may be: addresses come from tenants, and the
//! network that this machine sees is not theirs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use keyward_iam::{IssuerUrl, IssuerUrlError};
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// How long one fetch may take, from the look for its address to the last byte.
const FETCH_TIMEOUT: Duration = Duration::from_secs(8);

/// Longest answer of an issuer, in bytes.
const MAX_ANSWER_LEN: u64 = 256 * 1024;

/// A range of addresses: `10.0.0.0/8`, `fd00::/8` or one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IpRange {
    network: u128,
    bits: u32,
    v4: bool,
}

/// Not a range of addresses.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no range of addresses such as `10.0.0.0/8`")]
pub struct IpRangeError(String);

impl FromStr for IpRange {
    type Err = IpRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || IpRangeError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(wrong());
        }
        let mut range = Self {
            network: 0,
            bits,
            v4: address.is_ipv4(),
        };
        range.network = range.head(number(address));
        Ok(range)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl IpRange {
    fn head(&self, address: u128) -> u128 {
        let rest = if self.v4 { 32 } else { 128 } - self.bits;
        address.checked_shr(rest).unwrap_or(0)
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.v4 && self.head(number(address)) == self.network
    }
}

/// Which issuers are asked, and at which addresses: the operator's setting.
#[derive(Clone, Debug, Default)]
pub struct AddressRule {
    /// Issuers that organisations may name, exactly or as a beginning with `*` behind it; empty: all.
    pub issuers: Vec<String>,
    /// Addresses that are asked besides those of the public internet.
    pub addresses: Vec<IpRange>,
    /// Whether issuers on this machine are asked, also without TLS: for development.
    pub loopback: bool,
}

impl AddressRule {
    /// Whether an issuer may be asked at all.
    #[must_use]
    pub fn permits_issuer(&self, issuer: &str) -> bool {
        self.issuers.is_empty()
            || self
                .issuers
                .iter()
                .any(|allowed| match allowed.strip_suffix('*') {
                    Some(beginning) => issuer.starts_with(beginning),
                    None => issuer == allowed,
                })
    }

    /// Whether an address may be asked.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.addresses.iter().any(|range| range.holds(address))
            || (self.loopback && address.is_loopback())
            || is_public(address)
    }
}

/// Whether an address belongs to the public internet. What embeds another address (NAT64, 6to4,
/// Teredo) does not: it would lead around this rule.
///
/// Source: the special-purpose address registries of IANA.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let special = v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_documentation()
        || a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    let global = segments[0] & 0xe000 == 0x2000;
    let special = segments[0] == 0x2001 && (segments[1] < 0x200 || segments[1] == 0xdb8)
        || segments[0] == 0x2002
        || segments[0] == 0x3fff;
    global && !special
}

/// Why something could not be fetched.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Not a URL that is fetched.
    #[error(transparent)]
    Url(#[from] IssuerUrlError),
    /// The operator's setting says no.
    #[error("`{0}` is not among the issuers that this deployment's operator permits")]
    Issuer(String),
    /// `http` where it is not permitted.
    #[error("`{0}` is not fetched without TLS")]
    Plain(String),
    /// The network, or TLS.
    #[error("`{url}` could not be fetched: {reason}")]
    Network {
        /// What was fetched.
        url: String,
        /// Why not.
        reason: String,
    },
    /// Another status than 200; redirects are not followed.
    #[error("`{url}` answered {status}")]
    Status {
        /// What was fetched.
        url: String,
        /// The status.
        status: u16,
        /// What OAuth servers say of an error: its code.
        code: Option<String>,
    },
}

/// A file of authorities without a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)")]
pub struct NoAuthorities;

/// What fetches.
pub trait Fetch: Send + Sync {
    /// Whether an issuer may be asked at all.
    ///
    /// # Errors
    /// Why not.
    fn permits(&self, issuer: &str) -> Result<(), FetchError>;

    /// The body that a URL answers. Blocks.
    ///
    /// # Errors
    /// Why there is none.
    fn get(&self, url: &str) -> Result<Vec<u8>, FetchError>;

    /// The body that a URL answers to a form, sent with the name and password of HTTP Basic where
    /// there are some. Blocks. What does not say how sends nothing.
    ///
    /// # Errors
    /// Why there is none.
    fn post_form(
        &self,
        url: &str,
        _form: &[(&str, &str)],
        _authorization: Option<&str>,
    ) -> Result<Vec<u8>, FetchError> {
        Err(FetchError::Issuer(url.to_owned()))
    }
}

/// Fetches over HTTPS, from addresses that the operator permits.
#[derive(Debug)]
pub struct HttpFetch {
    agent: Agent,
    rule: AddressRule,
}

/// Looks addresses up, and leaves out those that may not be asked: what is connected to is what
/// was checked.
#[derive(Debug)]
struct GuardedResolver {
    system: DefaultResolver,
    rule: AddressRule,
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.system.resolve(uri, config, timeout)?;
        let mut permitted = self.empty();
        for address in found.iter().filter(|found| self.rule.permits(found.ip())) {
            permitted.push(*address);
        }
        if permitted.is_empty() {
            let reason = "its address is not one that this deployment's operator permits";
            return Err(ureq::Error::Io(std::io::Error::other(reason)));
        }
        Ok(permitted)
    }
}

impl HttpFetch {
    /// Trusts the certificate authorities of the web, or only those of `authorities` (PEM).
    ///
    /// # Errors
    /// There is no certificate in `authorities`.
    pub fn new(rule: AddressRule, authorities: Option<&[u8]>) -> Result<Self, NoAuthorities> {
        let roots = match authorities {
            None => RootCerts::WebPki,
            Some(pem) => {
                let items = parse_pem(pem).filter_map(Result::ok);
                let certificates = items.filter_map(|item| match item {
                    PemItem::Certificate(certificate) => Some(certificate),
                    _ => None,
                });
                let certificates = certificates.collect::<Vec<_>>();
                if certificates.is_empty() {
                    return Err(NoAuthorities);
                }
                RootCerts::new_with_certs(&certificates)
            }
        };
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .https_only(!rule.loopback)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(0)
            .max_response_header_size(16 * 1024)
            .timeout_global(Some(FETCH_TIMEOUT))
            .user_agent("keyward")
            .build();
        let resolver = GuardedResolver {
            system: DefaultResolver::default(),
            rule: rule.clone(),
        };
        Ok(Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), resolver),
            rule,
        })
    }

    fn check(&self, url: &str) -> Result<(), FetchError> {
        if IssuerUrl::parse_endpoint(url)?.is_plain() && !self.rule.loopback {
            return Err(FetchError::Plain(url.to_owned()));
        }
        Ok(())
    }

    fn body(
        url: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, FetchError> {
        let failed = |error: ureq::Error| FetchError::Network {
            url: url.to_owned(),
            reason: error.to_string(),
        };
        let mut answer = answer.map_err(failed)?;
        let status = answer.status().as_u16();
        let body = answer
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER_LEN)
            .read_to_vec()
            .map_err(failed)?;
        if status == 200 {
            return Ok(body);
        }
        let told = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let code = told
            .as_ref()
            .and_then(|told| told.get("error")?.as_str())
            .filter(|code| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_graphic()))
            .map(str::to_owned);
        Err(FetchError::Status {
            url: url.to_owned(),
            status,
            code,
        })
    }
}

impl Fetch for HttpFetch {
    fn permits(&self, issuer: &str) -> Result<(), FetchError> {
        self.check(issuer)?;
        if !self.rule.permits_issuer(issuer) {
            return Err(FetchError::Issuer(issuer.to_owned()));
        }
        Ok(())
    }

    fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        self.check(url)?;
        let request = self.agent.get(url).header("accept", "application/json");
        Self::body(url, request.call())
    }

    fn post_form(
        &self,
        url: &str,
        form: &[(&str, &str)],
        authorization: Option<&str>,
    ) -> Result<Vec<u8>, FetchError> {
        self.check(url)?;
        let mut request = self.agent.post(url).header("accept", "application/json");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        Self::body(url, request.send_form(form.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_addresses_are_asked() {
        let rule = AddressRule {
            addresses: vec!["10.1.0.0/16".parse().unwrap(), "fd00::7".parse().unwrap()],
            ..AddressRule::default()
        };
        let cases = [
            ("1.1.1.1", true),
            ("140.82.121.4", true),
            ("2606:4700::1111", true),
            ("10.1.2.3", true),
            ("fd00::7", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd00::8", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("169.254.169.254", false),
            ("192.168.1.1", false),
            ("172.16.0.1", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("192.0.0.8", false),
            ("198.18.0.1", false),
            ("::", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
            ("64:ff9b::7f00:1", false),
            ("2002:7f00:1::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("::7f00:1", false),
        ];
        for (address, asked) in cases {
            assert_eq!(rule.permits(address.parse().unwrap()), asked, "{address}");
        }
        let development = AddressRule {
            loopback: true,
            ..AddressRule::default()
        };
        assert!(development.permits("127.0.0.1".parse().unwrap()));
        assert!(!development.permits("169.254.169.254".parse().unwrap()));
    }

    #[test]
    fn which_issuers_are_asked() {
        let rule = AddressRule {
            issuers: vec![
                "https://token.actions.githubusercontent.com".to_owned(),
                "https://login.acme.example/*".to_owned(),
            ],
            ..AddressRule::default()
        };
        let cases = [
            ("https://token.actions.githubusercontent.com", true),
            (
                "https://token.actions.githubusercontent.com.evil.example",
                false,
            ),
            ("https://login.acme.example/realms/x", true),
            ("https://login.acme.example.evil.example/", false),
        ];
        for (issuer, asked) in cases {
            assert_eq!(rule.permits_issuer(issuer), asked, "{issuer}");
        }
        assert!(AddressRule::default().permits_issuer("https://any.example"));
    }

    #[test]
    fn nothing_is_fetched_in_the_clear_or_from_inside() {
        let fetch = HttpFetch::new(AddressRule::default(), None).unwrap();
        for url in [
            "http://example.com/jwks",
            "https://127.0.0.1:1/jwks",
            "https://localhost:1/jwks",
            "https://[::1]:1/jwks",
            "https://169.254.169.254/latest",
            "https://2130706433/",
            "https://user@example.com/",
            "file:///etc/passwd",
        ] {
            let error = fetch.get(url).unwrap_err().to_string();
            let refused = error.contains("not permitted")
                || error.contains("operator permits")
                || error.contains("without TLS")
                || error.contains("https");
            assert!(refused, "{url}: {error}");
        }
    }
}
