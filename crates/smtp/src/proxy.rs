//! The PROXY protocol, versions 1 and 2: who the client of a load balancer is. ("The PROXY protocol, versions 1 & 2",
//! HAProxy, 2020; §2.1 the text form, §2.2 the binary form.)
//!
//! A header is believed from peers that are listed for it and from nobody else; who that is, is for the caller to know.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

/// What a header of version 2 begins with; no command of SMTP can.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, CRLF included (§2.1).
const LONGEST_TEXT: usize = 107;
/// The longest header of version 2 that is taken: 16 octets, addresses and 2 KiB of TLVs.
const LONGEST_BINARY: usize = 16 + 36 + 2048;

/// The most octets that a header may have.
pub const LONGEST: usize = LONGEST_BINARY;

/// What a complete header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Octets of the header. The client's own begin behind them.
    pub length: usize,
    /// The client, and the address that it connected to. `None`: the proxy speaks for itself (`LOCAL`, as in health checks)
    /// or does not know (`UNKNOWN`); the addresses of the connection count.
    pub addresses: Option<Addresses>,
}

/// The two ends of the connection that the proxy took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The client. An IPv4-mapped IPv6 address is given as its IPv4 address.
    pub source: SocketAddr,
    /// Where it connected to, likewise.
    pub destination: SocketAddr,
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProxyFault {
    /// What came is something else.
    #[error("there is no PROXY header")]
    Missing,
    /// It begins like one, and is not well formed.
    #[error("the PROXY header is not well formed")]
    Malformed,
    /// A version, command or family that does not exist, or that is no TCP over IP.
    #[error("the PROXY header is of a kind that is not known")]
    Unknown,
    /// Longer than any that is needed.
    #[error("the PROXY header is too long")]
    TooLong,
}

/// Reads the header at the start of what a peer sent. `Ok(None)`: it may become one, more octets are needed.
pub fn parse(input: &[u8]) -> Result<Option<Header>, ProxyFault> {
    if let Some(rest) = input.strip_prefix(SIGNATURE) {
        return binary(rest);
    }
    match input.strip_prefix(b"PROXY ") {
        Some(_) => text(input),
        None if input.is_empty() || is_start(input) => Ok(None),
        None => Err(ProxyFault::Missing),
    }
}

/// How many more octets certainly belong to a header of which these have come, at least one: so many can be read without
/// taking any of the client's.
pub fn wanted(input: &[u8]) -> usize {
    match input.strip_prefix(SIGNATURE) {
        Some([_, _, high, low, rest @ ..]) => {
            usize::from(u16::from_be_bytes([*high, *low])).saturating_sub(rest.len()).max(1)
        }
        Some(rest) => 4 - rest.len(),
        None => 1,
    }
}

/// Whether something that came where no header may be is one, or begins like one.
pub fn looks_like_header(input: &[u8]) -> bool {
    input.starts_with(b"PROXY ") || input.starts_with(SIGNATURE)
}

/// Whether the input is the start of one of the two signatures.
fn is_start(input: &[u8]) -> bool {
    SIGNATURE.starts_with(input) || b"PROXY ".starts_with(input)
}

/// §2.1: `PROXY TCP4 192.0.2.1 192.0.2.2 49152 25` and CRLF, single spaces.
fn text(input: &[u8]) -> Result<Option<Header>, ProxyFault> {
    let window = &input[..input.len().min(LONGEST_TEXT)];
    let Some(end) = memchr::memmem::find(window, b"\r\n") else {
        return if input.len() >= LONGEST_TEXT { Err(ProxyFault::TooLong) } else { Ok(None) };
    };
    let line = std::str::from_utf8(&input[..end]).map_err(|_| ProxyFault::Malformed)?;
    let length = end + 2;
    let words: Vec<&str> = line.split(' ').collect();
    // What follows UNKNOWN is to be ignored.
    if words.get(1) == Some(&"UNKNOWN") {
        return Ok(Some(Header { length, addresses: None }));
    }
    let [_, family, source, destination, source_port, destination_port] = words[..] else {
        return Err(ProxyFault::Malformed);
    };
    let address = |text: &str| -> Result<IpAddr, ProxyFault> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| ProxyFault::Malformed),
            "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| ProxyFault::Malformed),
            _ => Err(ProxyFault::Unknown),
        }
    };
    let source = end_of(address(source)?, port(source_port)?);
    let destination = end_of(address(destination)?, port(destination_port)?);
    Ok(Some(Header { length, addresses: Some(Addresses { source, destination }) }))
}

/// 0-65535 without leading zeros or signs.
fn port(text: &str) -> Result<u16, ProxyFault> {
    let plain = text == "0" || text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain).ok_or(ProxyFault::Malformed)
}

/// §2.2: version and command, family and protocol, length, addresses, TLVs.
fn binary(rest: &[u8]) -> Result<Option<Header>, ProxyFault> {
    let [version, family, high, low, rest @ ..] = rest else { return Ok(None) };
    if version >> 4 != 2 {
        return Err(ProxyFault::Unknown);
    }
    let size = usize::from(u16::from_be_bytes([*high, *low]));
    if 16 + size > LONGEST_BINARY {
        return Err(ProxyFault::TooLong);
    }
    let Some(block) = rest.get(..size) else { return Ok(None) };
    let length = 16 + size;
    let addresses = match version & 0x0F {
        // LOCAL: whatever the rest says, the connection is the proxy's own.
        0 => None,
        1 => Some(addresses(*family, block)?),
        _ => return Err(ProxyFault::Unknown),
    };
    Ok(Some(Header { length, addresses: addresses.flatten() }))
}

/// The addresses of a PROXY command. UNSPEC (0x00) says nothing; datagrams and Unix sockets are not ours.
fn addresses(family: u8, block: &[u8]) -> Result<Option<Addresses>, ProxyFault> {
    let ends = |width: usize, address: &dyn Fn(&[u8]) -> Option<IpAddr>| {
        let block = block.get(..2 * width + 4)?;
        let (source, rest) = block.split_at(width);
        let (destination, ports) = rest.split_at(width);
        let port = |at: usize| Some(u16::from_be_bytes([*ports.get(at)?, *ports.get(at + 1)?]));
        let source = end_of(address(source)?, port(0)?);
        let destination = end_of(address(destination)?, port(2)?);
        Some(Addresses { source, destination })
    };
    match family {
        0x00 => Ok(None),
        0x11 => {
            let four = |octets: &[u8]| <[u8; 4]>::try_from(octets).ok().map(|octets| Ipv4Addr::from(octets).into());
            ends(4, &four).map(Some).ok_or(ProxyFault::Malformed)
        }
        0x21 => {
            let six = |octets: &[u8]| <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).into());
            ends(16, &six).map(Some).ok_or(ProxyFault::Malformed)
        }
        _ => Err(ProxyFault::Unknown),
    }
}

fn end_of(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}
