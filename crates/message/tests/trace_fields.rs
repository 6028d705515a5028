//! `Received:`, dates and hop counting.

#![allow(clippy::unwrap_used)]

use message::trace_fields::{self, Received, count_received, date, hops, protocol, received};
use message::{Address, Edits, HeaderBlock, Keep, rewrite};

fn facts() -> Received<'static> {
    Received {
        helo: "client.example",
        peer: Some("192.0.2.7".parse().unwrap()),
        by: "mx.example.com",
        protocol: "ESMTPSA",
        tls: Some("TLS1.3 TLS_AES_256_GCM_SHA384"),
        id: "01J00000000000000000000000",
        recipient: None,
        time: 1_795_304_294_000,
    }
}

#[test]
fn received_has_the_clauses_of_rfc_5321() {
    let recipient = Address::parse("carla@example.com").unwrap();
    assert_eq!(
        received(&Received { recipient: Some(&recipient), ..facts() }),
        "from client.example ([192.0.2.7]) by mx.example.com with ESMTPSA (TLS1.3 TLS_AES_256_GCM_SHA384) \
         id 01J00000000000000000000000 for <carla@example.com>; Sat, 21 Nov 2026 23:38:14 +0000"
    );
}

#[test]
fn received_shows_ipv6_and_mapped_peers_as_literals() {
    let with = |peer: &str| received(&Received { peer: Some(peer.parse().unwrap()), ..facts() });
    assert!(with("2001:db8::1").contains(" ([IPv6:2001:db8::1]) "));
    assert!(with("::ffff:192.0.2.7").contains(" ([192.0.2.7]) "));
}

#[test]
fn a_helo_name_cannot_forge_clauses() {
    let value = received(&Received { helo: "x ([10.0.0.1]) by evil\r\nFrom: ceo", tls: Some("a) by b ("), ..facts() });
    assert!(value.starts_with("from x[10.0.0.1]byevilFrom:ceo ([192.0.2.7]) by mx.example.com"), "{value}");
    assert!(value.contains("(a by b )"), "{value}");
    assert!(received(&Received { helo: "()", ..facts() }).starts_with("from unknown "));
}

#[test]
fn dates_are_those_of_the_calendar() {
    assert_eq!(date(0), "Thu, 1 Jan 1970 00:00:00 +0000");
    assert_eq!(date(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 +0000");
    assert_eq!(date(-1), "Wed, 31 Dec 1969 23:59:59 +0000");
    assert_eq!(date(4_107_542_399_999), "Sun, 28 Feb 2100 23:59:59 +0000");
    assert_eq!(date(4_107_542_400_000), "Mon, 1 Mar 2100 00:00:00 +0000");
}

#[test]
fn protocol_keywords_are_those_of_the_registry() {
    assert_eq!(protocol(false, false, false, false), "SMTP");
    assert_eq!(protocol(true, true, true, false), "ESMTPSA");
    assert_eq!(protocol(true, true, false, true), "UTF8SMTPS");
}

#[test]
fn received_fields_are_counted() {
    let block = HeaderBlock::parse(b"Received: 1\r\nX: y\r\nRECEIVED: 2\r\nX-Received: 3\r\n\r\n").unwrap();
    assert_eq!(count_received(&block), 2);
}

#[test]
fn the_hop_marker_survives_every_firewall_and_is_set_anew() {
    let block =
        HeaderBlock::parse(b"X-Procura-Hops: 4\r\nReceived: 1\r\nx-procura-hops: 2\r\nFrom: a@x.com\r\n\r\n").unwrap();
    assert_eq!(hops(&block), 4);
    let passed = HeaderBlock::parse(&rewrite(&block, &Edits { keep: Keep::NONE, ..Edits::default() })).unwrap();
    assert_eq!((hops(&passed), count_received(&passed)), (4, 0));
    let next = HeaderBlock::parse(&rewrite(&block, &Edits { hops: Some(5), ..Edits::default() })).unwrap();
    assert_eq!(next.named(trace_fields::HOP_MARKER).count(), 1);
    assert_eq!(hops(&next), 5);
}

#[test]
fn a_hop_marker_that_is_no_number_counts_nothing() {
    let count = |value: &str| hops(&HeaderBlock::parse(format!("X-Procura-Hops: {value}\r\n\r\n").as_bytes()).unwrap());
    assert_eq!((count("x"), count("-1"), count(""), count("99999999999999999999")), (0, 0, 0, 0));
    assert_eq!(count("4000000000"), 9999);
}
