//! Headers of the PROXY protocol.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod checks;

use checks::proxy_holds;
use proptest::prelude::*;
use smtp::proxy::{Addresses, Header, ProxyFault, parse};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn addresses(source: &str, destination: &str) -> Option<Addresses> {
    Some(Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
}

fn binary(version: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[version, family], &length, block].concat()
}

#[test]
fn version_1_names_client_and_address() {
    let input = b"PROXY TCP4 192.0.2.1 198.51.100.2 49152 25\r\nEHLO";
    let expected = Header { length: 44, addresses: addresses("192.0.2.1:49152", "198.51.100.2:25") };
    assert_eq!(parse(input), Ok(Some(expected)));
    let input = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\n";
    let expected = Header { length: input.len(), addresses: addresses("[2001:db8::1]:1", "[2001:db8::2]:25") };
    assert_eq!(parse(input), Ok(Some(expected)));
}

#[test]
fn version_2_names_client_and_address() {
    let block = [192, 0, 2, 1, 198, 51, 100, 2, 0xC0, 0x00, 0, 25];
    let input = binary(0x21, 0x11, &block);
    let expected = Header { length: 28, addresses: addresses("192.0.2.1:49152", "198.51.100.2:25") };
    assert_eq!(parse(&input), Ok(Some(expected)));
    // TLVs behind the addresses count to the header and say nothing.
    let input = binary(0x21, 0x11, &[&block[..], &[0x04, 0, 1, 0]].concat());
    assert_eq!(parse(&input), Ok(Some(Header { length: 32, ..expected })));
}

#[test]
fn a_mapped_address_is_the_ipv4_address_that_it_is() {
    let found = parse(b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 25\r\n").unwrap().unwrap();
    assert_eq!(found.addresses, addresses("192.0.2.1:1", "192.0.2.2:25"));
}

#[test]
fn a_proxy_that_speaks_for_itself_names_nobody() {
    assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Ok(Some(Header { length: 15, addresses: None })));
    assert_eq!(parse(b"PROXY UNKNOWN ffff::1 ::2 1 2\r\n").unwrap().unwrap().addresses, None);
    assert_eq!(parse(&binary(0x20, 0x11, &[])), Ok(Some(Header { length: 16, addresses: None })));
    assert_eq!(parse(&binary(0x21, 0x00, &[])), Ok(Some(Header { length: 16, addresses: None })));
}

#[test]
fn what_is_no_header_is_told_at_once() {
    assert_eq!(parse(b"EHLO client.test\r\n"), Err(ProxyFault::Missing));
    assert_eq!(parse(b"PROXYTCP4"), Err(ProxyFault::Missing));
    assert_eq!(parse(b"PRO"), Ok(None));
    assert_eq!(parse(b""), Ok(None));
}

#[test]
fn headers_that_are_not_well_formed_are_refused() {
    for text in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 49152\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.2 49152 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 49152 25 \r\n",
        "PROXY TCP4 2001:db8::1 198.51.100.2 49152 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +1 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 01 25\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 25\nEHLO x\r\n",
    ] {
        assert_eq!(parse(text.as_bytes()), Err(ProxyFault::Malformed), "{text:?}");
    }
    assert_eq!(parse(b"PROXY UDP4 192.0.2.1 198.51.100.2 1 25\r\n"), Err(ProxyFault::Unknown));
    assert_eq!(parse(&binary(0x21, 0x11, &[0; 11])), Err(ProxyFault::Malformed));
    assert_eq!(parse(&binary(0x21, 0x21, &[0; 12])), Err(ProxyFault::Malformed));
    assert_eq!(parse(&binary(0x21, 0x12, &[0; 12])), Err(ProxyFault::Unknown));
    assert_eq!(parse(&binary(0x22, 0x11, &[0; 12])), Err(ProxyFault::Unknown));
    assert_eq!(parse(&binary(0x11, 0x11, &[0; 12])), Err(ProxyFault::Unknown));
}

#[test]
fn endless_headers_are_not_waited_for() {
    assert_eq!(parse(format!("PROXY TCP4 {}", "1".repeat(200)).as_bytes()), Err(ProxyFault::TooLong));
    let mut long = binary(0x21, 0x11, &[]);
    long[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    assert_eq!(parse(&long), Err(ProxyFault::TooLong));
}

proptest! {
    #[test]
    fn octets_after_the_prefix_hold(rest in proptest::collection::vec(any::<u8>(), 0..60), text: bool) {
        let prefix: &[u8] = if text { b"PROXY " } else { SIGNATURE };
        proxy_holds(&[prefix, &rest].concat());
    }

    #[test]
    fn well_formed_headers_hold(source: [u8; 4], destination: [u8; 4], ports: [u16; 2], cut in 0usize..60) {
        let [from, to] = ports;
        let join = |octets: [u8; 4]| std::net::Ipv4Addr::from(octets).to_string();
        let line = format!("PROXY TCP4 {} {} {from} {to}\r\nEHLO x\r\n", join(source), join(destination));
        proxy_holds(line.as_bytes());
        proxy_holds(&line.as_bytes()[..cut.min(line.len())]);
        let found = parse(line.as_bytes()).unwrap().unwrap().addresses.unwrap();
        prop_assert_eq!(found.source, (source, from).into());
    }
}
