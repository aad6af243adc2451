//! Where a caller is, as far as limits are concerned.

use std::net::{IpAddr, Ipv6Addr};

use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};

/// An address that limits hold for. Of an IPv6 address the first 64 bits: whoever has one of them has them
/// all. Nothing is known of callers on a simulated network; they count as one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Origin(Option<IpAddr>);

impl Origin {
    /// Somewhere.
    pub const UNKNOWN: Origin = Origin(None);

    /// The origin of calls from this address.
    pub fn of(address: IpAddr) -> Origin {
        Origin(Some(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        }))
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(address @ IpAddr::V6(_)) => write!(f, "{address}/64"),
            Some(address) => write!(f, "{address}"),
            None => f.write_str("somewhere"),
        }
    }
}

/// What is known of a connection's other end.
pub trait Caller {
    /// Where it is.
    fn origin(&self) -> Origin;
}

impl Caller for TcpConnectInfo {
    fn origin(&self) -> Origin {
        self.remote_addr().map_or(Origin::UNKNOWN, |address| Origin::of(address.ip()))
    }
}

impl<Info: Caller> Caller for TlsConnectInfo<Info> {
    fn origin(&self) -> Origin {
        self.get_ref().origin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Origin {
        Origin::of(text.parse().expect("an address"))
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address_and_ipv4_is_ipv4_however_it_is_written() {
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::4"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("2001:db8:1:2::3").to_string(), "2001:db8:1:2::/64");
    }
}
