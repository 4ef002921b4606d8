//! Guards addresses that customers name: which may be spoken to at all (server-side request forgery).
//!
//! A URL is taken apart strictly: what a browser or a resolver might read as another address (octal, hex,
//! short forms, wide digits, user names before an at sign) is refused, not interpreted. A name is resolved
//! once, **every** answer is checked, and the caller connects to a checked answer, never to the name again:
//! so an answer that changes (DNS rebinding) changes nothing.
//!
//! Ranges are those of the IANA special-purpose registries (RFC 6890, RFC 8190), and the metadata services
//! of the clouds.

use crate::Rejected;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Longer URLs are refused.
const URL_BYTES_MAX: usize = 2_048;
/// RFC 1035 section 2.3.4.
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// Ports that may be spoken to on public addresses.
const PORTS: [u16; 2] = [443, 8443];

/// What the operator opens. By default nothing but public addresses by https.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// This machine, also by plain http: for tests and demonstrations.
    pub loopback: bool,
    /// Private networks where trusted services stand, at any port.
    pub networks: Vec<Network>,
    /// Ports besides 443 and 8443.
    pub ports: Vec<u16>,
}

impl Allowed {
    /// Whether the operator opened this address.
    #[must_use]
    pub fn opens(&self, address: IpAddr) -> bool {
        is_opened(address, self)
    }
}

/// A network in CIDR form: `10.20.0.0/16`, `fd00:1::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    const fn v4(a: u8, b: u8, c: u8, d: u8, prefix_bits: u8) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix_bits }
    }

    const fn v6(head: [u16; 4], tail: [u16; 4], prefix_bits: u8) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (head, tail);
        Self { address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix_bits }
    }

    /// Whether it is the whole of this machine: a part of it opens that part only.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        LOOPBACK.iter().any(|whole| whole.prefix_bits == self.prefix_bits && whole.contains(self.address))
    }

    /// Whether the address lies in it. A v4 network never contains a v6 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ.checked_shr(32 - u32::from(self.prefix_bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.checked_shr(128 - u32::from(self.prefix_bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = Rejected;
    fn from_str(text: &str) -> Result<Self, Rejected> {
        let wrong = |reason: &str| Rejected::new("network", text, reason);
        let (address, prefix) = text.split_once('/').ok_or_else(|| wrong("is not of the form 10.20.0.0/16"))?;
        let address: IpAddr = address.parse().map_err(|_| wrong("does not begin with an address"))?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let plain = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix_bits = prefix.parse().ok().filter(|bits| plain && (8..=bits_max).contains(bits));
        let prefix_bits = prefix_bits.ok_or_else(|| wrong("has a prefix outside 8 to 32 (v4) or 128 (v6)"))?;
        Ok(Self { address, prefix_bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

/// Never spoken to, whatever the operator opens: no service stands there, or one that hands out keys.
const NEVER: [(Network, &str); 12] = [
    (Network::v4(0, 0, 0, 0, 8), "this network"),
    (Network::v4(169, 254, 0, 0, 16), "link-local, where clouds serve their metadata"),
    (Network::v4(100, 100, 100, 200, 32), "a cloud's metadata service"),
    (Network::v4(168, 63, 129, 16, 32), "a cloud's metadata service"),
    (Network::v4(192, 0, 0, 0, 24), "reserved for protocols"),
    (Network::v4(224, 0, 0, 0, 4), "multicast"),
    (Network::v4(240, 0, 0, 0, 4), "reserved"),
    (Network::v6([0; 4], [0; 4], 128), "unspecified"),
    (Network::v6([0xfe80, 0, 0, 0], [0; 4], 10), "link-local"),
    (Network::v6([0xfd00, 0xec2, 0, 0], [0, 0, 0, 0x254], 128), "a cloud's metadata service"),
    (Network::v6([0xfd20, 0xce, 0, 0], [0, 0, 0, 0x254], 128), "a cloud's metadata service"),
    (Network::v6([0xff00, 0, 0, 0], [0; 4], 8), "multicast"),
];

/// Not public. The operator may open a part of it.
const CLOSED: [(Network, &str); 17] = [
    (Network::v4(10, 0, 0, 0, 8), "private"),
    (Network::v4(100, 64, 0, 0, 10), "shared by carriers"),
    (Network::v4(127, 0, 0, 0, 8), "this machine"),
    (Network::v4(172, 16, 0, 0, 12), "private"),
    (Network::v4(192, 0, 2, 0, 24), "for documentation"),
    (Network::v4(192, 88, 99, 0, 24), "a retired relay"),
    (Network::v4(192, 168, 0, 0, 16), "private"),
    (Network::v4(198, 18, 0, 0, 15), "for measurements"),
    (Network::v4(198, 51, 100, 0, 24), "for documentation"),
    (Network::v4(203, 0, 113, 0, 24), "for documentation"),
    (Network::v6([0; 4], [0, 0, 0, 1], 128), "this machine"),
    (Network::v6([0xfc00, 0, 0, 0], [0; 4], 7), "private"),
    (Network::v6([0xfec0, 0, 0, 0], [0; 4], 10), "private"),
    // RFC 2928: Teredo, benchmarks, ORCHID, relays.
    (Network::v6([0x2001, 0, 0, 0], [0; 4], 23), "reserved for protocols"),
    (Network::v6([0x2001, 0xdb8, 0, 0], [0; 4], 32), "for documentation"),
    (Network::v6([0x3fff, 0, 0, 0], [0; 4], 20), "for documentation"),
    // RFC 8215: translates to whatever its operator likes.
    (Network::v6([0x64, 0xff9b, 1, 0], [0; 4], 48), "a local translator"),
];

const LOOPBACK: [Network; 2] = [Network::v4(127, 0, 0, 0, 8), Network::v6([0; 4], [0, 0, 0, 1], 128)];
/// RFC 4291 section 2.4: where public unicast addresses are.
const PUBLIC_V6: Network = Network::v6([0x2000, 0, 0, 0], [0; 4], 3);
/// RFC 6052 section 2.1.
const NAT64: Network = Network::v6([0x64, 0xff9b, 0, 0], [0; 4], 96);

/// The v4 address that a v6 address leads to in the end.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let words = address.segments();
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match words {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // RFC 4291 section 2.5.5: compatible, mapped; RFC 2765: translated.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // RFC 3056: 6to4.
        [0x2002, high, low, ..] => v4(high, low),
        // RFC 5214 section 6.1: ISATAP.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => v4(high, low),
        _ => None,
    }
}

/// Whether this address may be spoken to.
///
/// # Errors
/// With the kind of the address.
pub fn check_address(address: IpAddr, allowed: &Allowed) -> Result<(), Rejected> {
    let refuse = |kind: &str| Err(Rejected::new("address", &address.to_string(), format!("is {kind}")));
    if let IpAddr::V6(v6) = address
        && let Some(v4) = embedded(v6)
    {
        if let Err(error) = check_address(IpAddr::V4(v4), allowed) {
            return Err(Rejected::new(
                "address",
                &address.to_string(),
                format!("leads to {v4}, which {}", error.reason),
            ));
        }
        if NAT64.contains(address) || v6.to_ipv4_mapped().is_some() {
            return Ok(());
        }
    }
    if let Some((_, kind)) = NEVER.iter().find(|(network, _)| network.contains(address)) {
        return refuse(kind);
    }
    if is_opened(address, allowed) {
        return Ok(());
    }
    if let Some((_, kind)) = CLOSED.iter().find(|(network, _)| network.contains(address)) {
        return refuse(kind);
    }
    if address.is_ipv6() && !PUBLIC_V6.contains(address) {
        return refuse("not public");
    }
    Ok(())
}

fn is_loopback(address: IpAddr) -> bool {
    LOOPBACK.iter().any(|network| network.contains(address))
}

fn is_opened(address: IpAddr, allowed: &Allowed) -> bool {
    (allowed.loopback && is_loopback(address)) || allowed.networks.iter().any(|network| network.contains(address))
}

/// Checks all answers of a resolver and gives them back: one bad answer spoils all, because which one a
/// later look-up prefers is the attacker's choice.
///
/// # Errors
/// When there is none, or one may not be spoken to.
pub fn check_answers<'a>(
    host: &Host,
    answers: &'a [IpAddr],
    target: &Target,
    allowed: &Allowed,
) -> Result<&'a [IpAddr], Rejected> {
    if answers.is_empty() {
        return Err(Rejected::new("host", &host.to_string(), "has no address"));
    }
    for address in answers {
        check_address(*address, allowed).map_err(|error| {
            Rejected::new("host", &host.to_string(), format!("leads to {address}: this address {}", error.reason))
        })?;
        check_way(*address, target, allowed)?;
    }
    Ok(answers)
}

/// Scheme and port: plain http only to this machine when that is allowed, odd ports only where the operator
/// opened something.
fn check_way(address: IpAddr, target: &Target, allowed: &Allowed) -> Result<(), Rejected> {
    let plain_is_fine = allowed.loopback && is_loopback(address);
    if !target.https && !plain_is_fine {
        return Err(Rejected::new("url", &target.to_string(), "must begin with https://"));
    }
    if is_opened(address, allowed) || PORTS.contains(&target.port) || allowed.ports.contains(&target.port) {
        return Ok(());
    }
    Err(Rejected::new("port", &target.port.to_string(), "is not one of 443, 8443 and those the operator opened"))
}

/// The host of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// To be resolved; lower case.
    Name(String),
    /// An address as such.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl FromStr for Host {
    type Err = Rejected;

    /// Reads a host strictly. Its address, if it is one, is not checked yet.
    fn from_str(text: &str) -> Result<Self, Rejected> {
        let wrong = |reason: &str| Rejected::new("host", text, reason);
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(|| wrong("has an open bracket"))?;
            let address: Ipv6Addr = inner.parse().map_err(|_| wrong("is not an IPv6 address"))?;
            return Ok(Self::Address(IpAddr::V6(address)));
        }
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(wrong("must have 1 to 253 characters"));
        }
        if !text.is_ascii() {
            return Err(wrong("has letters outside ASCII; write it as xn--"));
        }
        // The rule of the WHATWG URL standard: a last label that is a number makes it an IPv4 address.
        // Only the one canonical spelling is taken; Rust's parser refuses octal, hex and short forms.
        let last = text.strip_suffix('.').unwrap_or(text).rsplit('.').next().unwrap_or_default();
        if is_number(last) {
            let address = text.parse::<Ipv4Addr>().map_err(|_| wrong("is an unusual spelling of an address"))?;
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        if !text.split('.').all(is_label) {
            return Err(wrong("is not a host name of letters, digits, hyphens and dots"));
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }
}

fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        || (!label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A URL in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// By TLS.
    pub https: bool,
    /// Host.
    pub host: Host,
    /// Port, the usual one when the URL names none.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub path: String,
}

impl Target {
    /// The value of the header `host`.
    #[must_use]
    pub fn authority(&self) -> String {
        let usual = if self.https { 443 } else { 80 };
        if self.port == usual { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.https { "https" } else { "http" }, self.authority(), self.path)
    }
}

impl FromStr for Target {
    type Err = Rejected;

    /// Takes an http or https URL apart (RFC 3986). User names, fragments and unprintable characters are
    /// refused.
    fn from_str(text: &str) -> Result<Self, Rejected> {
        let wrong = |reason: &str| Rejected::new("url", text, reason);
        if text.len() > URL_BYTES_MAX {
            return Err(wrong("has more than 2048 bytes"));
        }
        if text.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'\\' || byte == b'#') {
            return Err(wrong("has spaces, backslashes, a fragment or letters outside ASCII"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("must begin with https://"))?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("must begin with https://")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(wrong("must not name a user"));
        }
        let (host, port) = split_port(authority);
        let port = match port {
            None => Some(if https { 443 } else { 80 }),
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok().filter(|port| *port > 0),
            Some(_) => None,
        };
        let port = port.ok_or_else(|| wrong("has a port that is none"))?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { https, host: host.parse()?, port, path })
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    let after_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[after_host..].find(':') {
        Some(colon) => (&authority[..after_host + colon], Some(&authority[after_host + colon + 1..])),
        None => (authority, None),
    }
}

/// Checks a URL as far as that goes without a resolver: its spelling, its scheme, and its address when the
/// host is one. For forms; whoever connects checks the resolver's answers too.
///
/// # Errors
/// [`Rejected`] naming the part at fault.
pub fn check_url(text: &str, allowed: &Allowed) -> Result<Target, Rejected> {
    let target: Target = text.parse()?;
    match &target.host {
        Host::Address(address) => {
            check_answers(&target.host, &[*address], &target, allowed)?;
        }
        Host::Name(name) if name == "localhost" || name.ends_with(".localhost") => {
            check_answers(&target.host, &[IpAddr::V4(Ipv4Addr::LOCALHOST)], &target, allowed)?;
        }
        Host::Name(_) if !target.https && !allowed.loopback => {
            return Err(Rejected::new("url", text, "must begin with https://"));
        }
        Host::Name(_) => {}
    }
    Ok(target)
}
