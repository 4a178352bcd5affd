//! Networks in CIDR notation, and which addresses they hold.

use std::fmt;
use std::net::IpAddr;

/// A network; a lone address is one that holds itself only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// An address of the network; bits beyond the prefix do not count.
    pub address: IpAddr,
    /// Length of the prefix.
    pub length: u8,
}

impl Network {
    /// Reads `10.0.0.0/8` or `10.1.2.3`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(most);
        (length <= most).then_some(Network { address, length })
    }

    /// Whether an address lies in it. Addresses of one family never lie in networks of the other.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, own, other) = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (32, u128::from(own.to_bits()), u128::from(other.to_bits())),
            (IpAddr::V6(own), IpAddr::V6(other)) => (128, own.to_bits(), other.to_bits()),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        let cut = |value: u128| value.checked_shr(bits - u32::from(self.length)).unwrap_or(0);
        cut(own) == cut(other)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_the_addresses_that_share_their_prefix() {
        for (network, address, holds) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:1::", true),
            ("::/0", "2001:db8::", true),
        ] {
            assert_eq!(Network::parse(network).unwrap().contains(address.parse().unwrap()), holds, "{network} {address}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "host/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
