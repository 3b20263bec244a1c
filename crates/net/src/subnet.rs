//! The IPv4 network behind the bridge, and how a free one is found.

use std::collections::HashSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 network in CIDR form, at most a /30.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    network: Ipv4Addr,
    prefix_len: u8,
}

/// A text that is not a usable IPv4 network.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an IPv4 network with room for containers, such as 10.207.0.0/16")]
pub struct BadSubnet(String);

impl Subnet {
    /// The network of `prefix_len` bits that `address` lies in.
    #[must_use]
    pub(crate) fn around(address: Ipv4Addr, prefix_len: u8) -> Self {
        let prefix_len = prefix_len.min(32);
        Subnet { network: Ipv4Addr::from_bits(address.to_bits() & mask(prefix_len)), prefix_len }
    }

    /// The bits that all its addresses share.
    #[must_use]
    pub fn prefix_len(&self) -> u8 {
        self.prefix_len
    }

    /// The network's own address.
    #[must_use]
    pub fn network(&self) -> Ipv4Addr {
        self.network
    }

    /// The address of the bridge: the first of the network.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits().wrapping_add(1))
    }

    /// The broadcast address: the last of the network.
    #[must_use]
    pub(crate) fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | !mask(self.prefix_len))
    }

    pub(crate) fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask(self.prefix_len))
    }

    /// Whether the two have an address in common.
    #[must_use]
    pub(crate) fn overlaps(&self, other: &Subnet) -> bool {
        let common = mask(self.prefix_len.min(other.prefix_len));
        self.network.to_bits() & common == other.network.to_bits() & common
    }

    /// The next address for a sandbox after `last` that is not in `taken`, going round. One that was just given up is
    /// thus not given out again while others still hold it in their ARP caches.
    #[must_use]
    pub(crate) fn next_free(&self, last: Option<Ipv4Addr>, taken: &HashSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let first = self.gateway().to_bits() + 1;
        let count = self.broadcast().to_bits().checked_sub(first)?;
        let start = last.map_or(0, |last| last.to_bits().wrapping_sub(first).wrapping_add(1));
        (0..count)
            .map(|step| Ipv4Addr::from_bits(first + (start % count + step) % count))
            .find(|address| !taken.contains(address))
    }
}

/// Those of our candidates that have no address in common with `used`.
pub(crate) fn free(used: &[Subnet]) -> impl Iterator<Item = Subnet> {
    candidates().filter(|candidate| !used.iter().any(|other| candidate.overlaps(other)))
}

/// Networks that neither docker (172.17 and up), podman (10.88, 10.89) nor home routers take first.
fn candidates() -> impl Iterator<Item = Subnet> {
    let tens = (207..=250).map(|second| Subnet::around(Ipv4Addr::new(10, second, 0, 0), 16));
    let twelves = (24..=31).rev().map(|second| Subnet::around(Ipv4Addr::new(172, second, 0, 0), 16));
    let small = (200..=250).map(|third| Subnet::around(Ipv4Addr::new(192, 168, third, 0), 24));
    tens.chain(twelves).chain(small)
}

fn mask(prefix_len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix_len.min(32))).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_len)
    }
}

impl FromStr for Subnet {
    type Err = BadSubnet;

    fn from_str(text: &str) -> Result<Self, BadSubnet> {
        let bad = || BadSubnet(text.to_owned());
        let (address, prefix_len) = text.split_once('/').ok_or_else(bad)?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        let prefix_len: u8 = prefix_len.parse().map_err(|_| bad())?;
        let subnet = Subnet::around(address, prefix_len);
        if (8..=30).contains(&prefix_len) && subnet.network == address { Ok(subnet) } else { Err(bad()) }
    }
}

impl TryFrom<String> for Subnet {
    type Error = BadSubnet;

    fn try_from(text: String) -> Result<Self, BadSubnet> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> String {
        subnet.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn a_text_that_is_no_network_is_refused_and_named() {
        for text in ["", "10.0.0.0", "10.0.0.1/16", "10.0.0.0/33", "10.0.0.0/31", "0.0.0.0/0", "::/64", "a/b"]
        {
            let refusal = text.parse::<Subnet>().unwrap_err().to_string();
            assert!(refusal.contains(&format!("`{text}`")), "{refusal}");
        }
        assert_eq!(subnet("10.207.0.0/16").to_string(), "10.207.0.0/16");
    }

    #[test]
    fn a_network_that_a_route_covers_or_cuts_into_is_passed_over() {
        assert_eq!(free(&[]).next(), Some(subnet("10.207.0.0/16")));
        let inside = Subnet::around(Ipv4Addr::new(10, 207, 200, 7), 32);
        assert_eq!(free(&[inside]).next(), Some(subnet("10.208.0.0/16")));
        assert_eq!(free(&[subnet("10.0.0.0/8")]).next(), Some(subnet("172.31.0.0/16")));
        let most = [subnet("10.0.0.0/8"), Subnet::around(Ipv4Addr::new(172, 16, 0, 0), 12)];
        assert_eq!(free(&most).next(), Some(subnet("192.168.200.0/24")));
        assert_eq!(
            free(&[
                Subnet::around(Ipv4Addr::UNSPECIFIED, 1),
                subnet("128.0.0.0/8"),
                subnet("172.0.0.0/8"),
                subnet("192.0.0.0/8")
            ])
            .next(),
            None
        );
    }

    #[test]
    fn addresses_go_round_and_never_hit_the_gateway_or_the_broadcast_address() {
        let small = subnet("192.168.7.0/29");
        let mut taken = HashSet::new();
        let mut last = Some(Ipv4Addr::new(192, 168, 7, 4));
        for expected in [5, 6, 2, 3, 4] {
            let next = small.next_free(last, &taken).unwrap();
            assert_eq!(next, Ipv4Addr::new(192, 168, 7, expected));
            taken.insert(next);
            last = Some(next);
        }
        assert_eq!(small.next_free(last, &taken), None);
        assert_eq!(
            small
                .next_free(Some(Ipv4Addr::new(1, 1, 1, 1)), &HashSet::new())
                .map(|a| small.overlaps(&Subnet::around(a, 32))),
            Some(true)
        );
    }
}
