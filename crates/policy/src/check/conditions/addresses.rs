//! Networks.

use std::net::IpAddr;

use super::term::Term;
use crate::check::Document;
use crate::check::draft::{Draft, token_end};
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::condition::Operator;
use crate::finding::quoted;

/// Networks of one list that others are compared with, at most: the widest.
const MAX_COMPARED: usize = 200;

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    bits: u128,
    length: u32,
    width: u32,
}

impl Network {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let (bits, width) = match address.parse::<IpAddr>().ok()? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let length = length.unwrap_or(width);
        (length <= width).then_some(Self {
            bits,
            length,
            width,
        })
    }

    fn mask(self) -> u128 {
        let all = if self.width == 32 {
            u128::from(u32::MAX)
        } else {
            u128::MAX
        };
        if self.length == 0 {
            0
        } else {
            all & (u128::MAX << (self.width - self.length))
        }
    }

    /// As it should be written.
    fn text(self) -> String {
        let bits = self.bits & self.mask();
        let address = if self.width == 32 {
            IpAddr::from(u32::try_from(bits).unwrap_or(u32::MAX).to_be_bytes())
        } else {
            IpAddr::from(bits.to_be_bytes())
        };
        format!("{address}/{}", self.length)
    }

    /// Whether it holds the other network and more.
    fn is_wider(self, inner: Self) -> bool {
        self.length < inner.length && self.covers(inner)
    }

    pub(super) fn covers(self, inner: Self) -> bool {
        self.width == inner.width
            && self.length <= inner.length
            && inner.bits & self.mask() == self.bits & self.mask()
    }
}

pub(super) fn addresses(
    document: &Document<'_>,
    draft: &Draft<'_>,
    term: &Term<'_, '_>,
    out: &mut Reporter<'_>,
) {
    if !term.is(&[Operator::IpAddress, Operator::NotIpAddress]) {
        return;
    }
    let values = term.wanted.values.iter().enumerate();
    let mut networks: Vec<(usize, Network)> = values
        .filter_map(|(at, value)| Some((at, Network::parse(&value.text)?)))
        .collect();
    // The widest ones cover most.
    networks.sort_by_key(|(at, network)| (network.width - network.length, *at));
    networks.reverse();
    let starts: Vec<usize> = term.wanted.values.iter().map(|value| value.at).collect();
    for (index, value) in term.wanted.values.iter().enumerate() {
        let Some(network) = Network::parse(&value.text) else {
            continue;
        };
        let path = || term.value_path(draft, index);
        let wider = networks
            .iter()
            .take(MAX_COMPARED)
            .find(|(at, wider)| *at != index && wider.length > 0 && wider.is_wider(network));
        if let Some((wider, _)) = wider
            && !out.is_full(Kind::DuplicateValue)
        {
            let message = format!(
                "{} is covered by {} of the same list",
                quoted(&value.text),
                quoted(&term.wanted.values[*wider].text)
            );
            out.add(Kind::DuplicateValue, value.at, path(), message)
                .fix_by_removing(document.text, "remove it", &starts, index);
        }
        if network.length == 0 {
            let message = format!("{} contains every address", quoted(&value.text));
            out.add(Kind::AnyAddress, value.at, path(), message);
        } else if network.bits & !network.mask() != 0 {
            let wanted = network.text();
            let message = format!("{} means `{wanted}`", quoted(&value.text));
            let end = token_end(document.text, value.at);
            out.add(Kind::HostBits, value.at, path(), message).fix(
                "write the network",
                value.at,
                end,
                format!("\"{wanted}\""),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let network = |text| Network::parse(text).unwrap();
        assert_eq!(network("10.1.2.3/8").text(), "10.0.0.0/8");
        assert_eq!(network("2001:db8::1/32").text(), "2001:db8::/32");
        assert!(network("0.0.0.0/0").covers(network("9.9.9.9")));
        assert!(!network("::/0").covers(network("9.9.9.9")));
        assert!(!network("10.0.0.0/9").covers(network("10.128.0.0/9")));
        assert_eq!(Network::parse("10.0.0.0/33"), None);
        assert_eq!(Network::parse("x"), None);
    }
}
