//! Which addresses may be backends of databases, and for whom.
//!
//! A gateway that connects wherever an organisation says would be a way into the networks around it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use tokio::net::TcpStream;

/// Addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 16;

/// A network: `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    prefix: u8, // INVARIANT: at most the bits of the address, which are zero behind it
}

/// Why a text is no network.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no network: expected an address, or one with a prefix such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl Network {
    fn bits(address: IpAddr) -> (u128, u8) {
        match address {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
            IpAddr::V6(v6) => (u128::from(v6), 128),
        }
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((own, width), (other, other_width)) =
            (Self::bits(self.address), Self::bits(address.to_canonical()));
        let behind = u32::from(width - self.prefix);
        width == other_width && (own ^ other).checked_shr(behind).unwrap_or(0) == 0
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let refuse = || NetworkError(text.chars().take(64).collect());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refuse())?;
        let (bits, width) = Self::bits(address);
        let prefix = match prefix {
            None => width,
            Some(prefix) => prefix.parse().map_err(|_| refuse())?,
        };
        // Bits behind the prefix would be a mistake about which network is meant.
        let behind = width.checked_sub(prefix).ok_or_else(refuse)?;
        let mask = 1_u128
            .checked_shl(u32::from(behind))
            .map_or(u128::MAX, |bit| bit - 1);
        if bits & mask != 0 {
            return Err(refuse());
        }
        Ok(Self { address, prefix })
    }
}

/// Networks that the operator permits as backends.
#[derive(Clone, Debug, Default)]
pub struct BackendPermission {
    /// Where.
    pub networks: Vec<Network>,
    /// Ports; none means all.
    pub ports: Vec<RangeInclusive<u16>>,
    /// Ids of organisations; none means all.
    pub organisations: Vec<String>,
}

/// Which addresses may be backends, and for whom. Addresses that are not on the public internet
/// are refused unless they are permitted.
#[derive(Clone, Debug)]
pub struct BackendRules {
    /// Whether addresses on the public internet are permitted to everybody.
    pub public: bool,
    /// What is permitted besides.
    pub permitted: Vec<BackendPermission>,
    /// Ports on this machine that are Keyward's own: never a backend.
    pub own_ports: Vec<u16>,
}

impl Default for BackendRules {
    fn default() -> Self {
        Self {
            public: true,
            permitted: Vec::new(),
            own_ports: Vec::new(),
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // shared by carriers
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Global unicast, without what carries other addresses in it, and without examples.
    (a & 0xe000) == 0x2000
        && !(a == 0x2001 && (b < 0x200 || b == 0xdb8))
        && a != 0x2002
        && a != 0x3fff
}

/// Whether an address is one of the public internet.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

impl BackendRules {
    /// Whether databases of an organisation may be on this server.
    #[must_use]
    pub fn permits(&self, organisation: &str, address: SocketAddr) -> bool {
        let (ip, port) = (address.ip().to_canonical(), address.port());
        let here = ip.is_loopback() || ip.is_unspecified();
        if here && self.own_ports.contains(&port) {
            return false;
        }
        let by = |permission: &BackendPermission| {
            let organisations = &permission.organisations;
            permission
                .networks
                .iter()
                .any(|network| network.contains(ip))
                && (permission.ports.is_empty()
                    || permission.ports.iter().any(|ports| ports.contains(&port)))
                && (organisations.is_empty() || organisations.iter().any(|id| id == organisation))
        };
        (self.public && is_public(ip)) || self.permitted.iter().any(by)
    }

    /// The addresses behind `host:port` that databases of an organisation may be on.
    ///
    /// # Errors
    /// The name leads nowhere, or nowhere that is permitted.
    pub async fn resolve(&self, organisation: &str, address: &str) -> io::Result<Vec<SocketAddr>> {
        let found = tokio::net::lookup_host(address).await?;
        let mut any = false;
        let permitted: Vec<SocketAddr> = found
            .take(MAX_ADDRESSES)
            .inspect(|_| any = true)
            .filter(|address| self.permits(organisation, *address))
            .collect();
        match (any, permitted.is_empty()) {
            (false, _) => Err(io::Error::new(io::ErrorKind::NotFound, "no such host")),
            (true, true) => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the operator does not permit this address as a backend",
            )),
            (true, false) => Ok(permitted),
        }
    }

    /// Connects to a backend of an organisation. What a name leads to is looked at now: it may have
    /// led elsewhere when it was set.
    ///
    /// # Errors
    /// It cannot be reached within the time, or is not permitted.
    pub async fn connect(
        &self,
        organisation: &str,
        address: &str,
        within: Duration,
    ) -> io::Result<TcpStream> {
        tokio::time::timeout(within, async {
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for address in self.resolve(organisation, address).await? {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
        .await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(
        networks: &[&str],
        ports: &[RangeInclusive<u16>],
        organisations: &[&str],
    ) -> BackendRules {
        BackendRules {
            permitted: vec![BackendPermission {
                networks: networks.iter().map(|text| text.parse().unwrap()).collect(),
                ports: ports.to_vec(),
                organisations: organisations.iter().map(ToString::to_string).collect(),
            }],
            own_ports: vec![6380],
            ..BackendRules::default()
        }
    }

    #[test]
    fn networks() {
        let cases = [
            ("10.0.0.0/8", Some(("10.255.0.1", "11.0.0.1"))),
            ("0.0.0.0/0", Some(("8.8.8.8", "::1"))),
            ("::/0", Some(("::1", "8.8.8.8"))),
            ("fd00::/8", Some(("fd12::1", "fe80::1"))),
            ("127.0.0.1", Some(("127.0.0.1", "127.0.0.2"))),
            ("127.0.0.1/32", Some(("::ffff:127.0.0.1", "::1"))),
            ("10.0.0.1/8", None),
            ("10.0.0.0/33", None),
            ("fd00::/129", None),
            ("host", None),
            ("", None),
            ("10.0.0.0/-1", None),
        ];
        for (text, expected) in cases {
            let network = text.parse::<Network>().ok();
            assert_eq!(network.is_some(), expected.is_some(), "{text}");
            if let (Some(network), Some((inside, outside))) = (network, expected) {
                assert!(network.contains(inside.parse().unwrap()), "{text} {inside}");
                assert!(
                    !network.contains(outside.parse().unwrap()),
                    "{text} {outside}"
                );
            }
        }
    }

    #[test]
    fn only_the_public_internet_is_open_to_everybody() {
        let open = BackendRules::default();
        let cases = [
            ("8.8.8.8:6379", true),
            ("[2606:4700::1]:6379", true),
            ("127.0.0.1:6379", false),
            ("10.0.0.5:6379", false),
            ("172.16.9.9:6379", false),
            ("192.168.1.1:6379", false),
            ("169.254.169.254:80", false),
            ("100.64.0.1:6379", false),
            ("100.100.100.200:80", false),
            ("0.0.0.0:6379", false),
            ("224.0.0.1:6379", false),
            ("255.255.255.255:6379", false),
            ("198.18.0.1:1", false),
            ("192.0.0.192:80", false),
            ("[::1]:6379", false),
            ("[::]:6379", false),
            ("[fe80::1]:6379", false),
            ("[fd00:ec2::254]:80", false),
            ("[::ffff:10.0.0.5]:6379", false),
            ("[::ffff:169.254.169.254]:80", false),
            ("[64:ff9b::a00:5]:6379", false),
            ("[2002:a00:5::]:6379", false),
            ("[2001:0:a00:5::]:6379", false),
            ("[2001:db8::1]:6379", false),
        ];
        for (address, expected) in cases {
            let found = open.permits("acme", address.parse().unwrap());
            assert_eq!(found, expected, "{address}");
        }
        let closed = BackendRules {
            public: false,
            ..BackendRules::default()
        };
        assert!(!closed.permits("acme", "8.8.8.8:6379".parse().unwrap()));
    }

    #[test]
    fn what_is_permitted_to_whom() {
        let some = rules(&["10.0.0.0/8", "127.0.0.0/8"], &[6379..=6389], &["acme"]);
        let cases = [
            ("acme", "10.1.2.3:6379", true),
            ("acme", "[::ffff:10.1.2.3]:6379", true),
            ("acme", "10.1.2.3:22", false),
            ("partner", "10.1.2.3:6379", false),
            ("acme", "127.0.0.1:6379", true),
            ("acme", "127.0.0.1:6380", false),
        ];
        for (organisation, address, expected) in cases {
            let found = some.permits(organisation, address.parse().unwrap());
            assert_eq!(found, expected, "{organisation} {address}");
        }
    }
}
