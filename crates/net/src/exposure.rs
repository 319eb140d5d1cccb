//! Where a listener without TLS may be reached from.

use std::net::{IpAddr, SocketAddr};

/// Why a listener may not be opened at an address.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{address}` can be reached from other machines and the listener has no TLS: listen on a loopback address, or give --insecure"
)]
pub struct ExposureError {
    /// The address asked for.
    pub address: SocketAddr,
}

/// Whether only this machine can reach `address`; an IPv4 address inside IPv6 counts as itself.
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Refuses an address that other machines can reach, unless the listener has TLS or the operator
/// says that it may (`--insecure`).
pub fn check_exposure(address: SocketAddr, tls: bool, insecure: bool) -> Result<(), ExposureError> {
    if tls || insecure || is_loopback(address.ip()) {
        return Ok(());
    }
    Err(ExposureError { address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_without_tls() {
        let cases = [
            ("127.0.0.1:1", false, false, true),
            ("127.9.9.9:1", false, false, true),
            ("[::1]:1", false, false, true),
            ("[::ffff:127.0.0.1]:1", false, false, true),
            ("0.0.0.0:1", false, false, false),
            ("[::]:1", false, false, false),
            ("10.0.0.1:1", false, false, false),
            ("10.0.0.1:1", true, false, true),
            ("10.0.0.1:1", false, true, true),
        ];
        for (address, tls, insecure, expected) in cases {
            let parsed = address.parse().unwrap();
            assert_eq!(
                check_exposure(parsed, tls, insecure).is_ok(),
                expected,
                "{address}"
            );
        }
    }
}
