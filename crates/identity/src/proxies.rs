//! The address of a client behind the operator's own reverse proxies.
//!
//! Anybody can write `X-Forwarded-For`. It is read only when the connection comes from a proxy that the operator
//! named, and from the right: each trusted proxy appended the address that it saw, so the rightmost address that is
//! no trusted proxy's is the last one that somebody trustworthy saw. What stands left of it is hearsay and is never
//! looked at. Only one header is read, the one that the operator's proxies write: a proxy passes the other one
//! through as the client sent it.

use crate::Rejected;
use crate::guard::Network;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Hops looked at. A longer chain is no chain of ours.
const HOPS_MAX: usize = 20;

/// Which header the proxies write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Header {
    /// `X-Forwarded-For: client, proxy`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy` (RFC 7239).
    Forwarded,
}

impl Header {
    /// Its name, lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// The proxies that are trusted to say whom they speak for. By default none.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    networks: Arc<[Network]>,
    header: Header,
}

impl Proxies {
    /// Reads networks such as `127.0.0.1/32` and the header's name; an empty name is `x-forwarded-for`.
    ///
    /// # Errors
    /// [`Rejected`] naming what cannot be read.
    pub fn read(networks: &[String], header: &str) -> Result<Self, Rejected> {
        let networks = networks.iter().map(|text| text.parse()).collect::<Result<Vec<Network>, Rejected>>()?;
        let header = match header.to_ascii_lowercase().as_str() {
            "" | "x-forwarded-for" => Header::XForwardedFor,
            "forwarded" => Header::Forwarded,
            _ => return Err(Rejected::new("header", header, "is not one of x-forwarded-for, forwarded")),
        };
        Ok(Self { networks: networks.into(), header })
    }

    /// The header that is read.
    #[must_use]
    pub fn header(&self) -> &'static str {
        self.header.name()
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// The client's address: of the socket, or of whom trusted proxies speak for. `lines` are the values of
    /// [`Proxies::header`] in the order in which they came; one that is not text is given as `?`.
    ///
    /// An entry that is no address ends the walk at the proxy that wrote it: what it hides is unknown.
    #[must_use]
    pub fn client<'a>(&self, peer: IpAddr, lines: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut nearest = peer.to_canonical();
        if !self.trusts(nearest) {
            return nearest;
        }
        for entry in lines.rev().flat_map(|line| line.rsplit(',')).take(HOPS_MAX) {
            let Some(address) = self.address(entry) else { return nearest };
            nearest = address.to_canonical();
            if !self.trusts(nearest) {
                return nearest;
            }
        }
        nearest
    }

    fn address(&self, entry: &str) -> Option<IpAddr> {
        match self.header {
            Header::XForwardedFor => node(entry.trim()),
            Header::Forwarded => entry.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                name.trim().eq_ignore_ascii_case("for").then(|| node(value.trim().trim_matches('"')))?
            }),
        }
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One case a line: trusted networks | peer | header lines, joined by `/` | the client.
    fn check(header: &str, case: &str) {
        let parts: Vec<&str> = case.split('|').map(str::trim).collect();
        let [trusted, peer, lines, want] = parts.as_slice() else { panic!("{case}") };
        let trusted: Vec<String> = trusted.split_whitespace().map(str::to_owned).collect();
        let proxies = Proxies::read(&trusted, header).unwrap();
        let lines = lines.split('/').map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<&str> = lines.collect();
        assert_eq!(proxies.client(peer.parse().unwrap(), lines.into_iter()).to_string(), *want, "{case}");
    }

    #[test]
    fn only_a_trusted_peer_speaks_for_others() {
        let check = |case| check("", case);
        check("             | 127.0.0.1   | 203.0.113.9                   | 127.0.0.1");
        check("127.0.0.1/32 | 198.51.100.1| 203.0.113.9                   | 198.51.100.1");
        check("127.0.0.1/32 | 127.0.0.1   |                               | 127.0.0.1");
        check("127.0.0.1/32 | 127.0.0.1   | 203.0.113.9                   | 203.0.113.9");
        check("127.0.0.1/32 | ::ffff:127.0.0.1 | ::ffff:203.0.113.9       | 203.0.113.9");
        check("10.0.0.0/8   | 10.0.0.1    | 203.0.113.9:4711              | 203.0.113.9");
        check("10.0.0.0/8   | 10.0.0.1    | [2001:db8::9]:80              | 2001:db8::9");
    }

    #[test]
    fn the_rightmost_stranger_is_the_client() {
        let check = |case| check("x-forwarded-for", case);
        check("10.0.0.0/8 | 10.0.0.1 | 192.0.2.66, 203.0.113.9            | 203.0.113.9");
        check("10.0.0.0/8 | 10.0.0.1 | 192.0.2.66, 203.0.113.9, 10.0.0.2  | 203.0.113.9");
        check("10.0.0.0/8 | 10.0.0.1 | 192.0.2.66 / 203.0.113.9, 10.0.0.2 | 203.0.113.9");
        check("10.0.0.0/8 | 10.0.0.1 | 10.0.0.3, 10.0.0.2                 | 10.0.0.3");
        // What is no address hides whoever stands before it.
        check("10.0.0.0/8 | 10.0.0.1 | 203.0.113.9, unknown, 10.0.0.2     | 10.0.0.2");
        check("10.0.0.0/8 | 10.0.0.1 | 203.0.113.9, ?                     | 10.0.0.1");
        check("10.0.0.0/8 | 10.0.0.1 | 203.0.113.9,                       | 10.0.0.1");
    }

    #[test]
    fn the_standard_header_is_read_when_it_is_asked_for() {
        let check = |case| check("Forwarded", case);
        check("10.0.0.0/8 | 10.0.0.1 | for=192.0.2.66, for=203.0.113.9;proto=https   | 203.0.113.9");
        check("10.0.0.0/8 | 10.0.0.1 | proto=https;For=\"[2001:db8::9]:4711\"        | 2001:db8::9");
        check("10.0.0.0/8 | 10.0.0.1 | for=_hidden, for=10.0.0.2                     | 10.0.0.2");
    }

    #[test]
    fn nonsense_is_named() {
        let wrong = |networks: &[&str], header: &str| {
            let networks: Vec<String> = networks.iter().map(|text| (*text).to_owned()).collect();
            Proxies::read(&networks, header).unwrap_err().to_string()
        };
        assert!(wrong(&["127.0.0.1"], "").contains("127.0.0.1"));
        assert!(wrong(&["0.0.0.0/0"], "").contains("8 to 32"));
        assert!(wrong(&[], "x-real-ip").contains("x-real-ip"));
    }

    #[test]
    fn a_long_chain_ends() {
        let proxies = Proxies::read(&["10.0.0.0/8".to_owned()], "").unwrap();
        let long = format!("203.0.113.9{}", ", 10.0.0.2".repeat(50));
        assert_eq!(proxies.client("10.0.0.1".parse().unwrap(), [long.as_str()].into_iter()).to_string(), "10.0.0.2");
    }
}
