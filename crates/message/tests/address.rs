//! Addresses: what is one, and which spellings are the same.

#![allow(clippy::unwrap_used)]

use message::{Address, AddressError, CanonicalAddress, canonical_domain};

fn canonical(text: &str) -> String {
    Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).canonical().to_string()
}

fn fault(text: &str) -> AddressError {
    Address::parse(text).expect_err(text)
}

#[test]
fn quotes_and_case_do_not_make_another_address() {
    assert_eq!(canonical("\"carla\"@EXAMPLE.com"), "carla@example.com");
    assert_eq!(canonical("Carla@example.COM"), "carla@example.com");
    assert_eq!(canonical("\"c\\arl\\a\"@example.com"), "carla@example.com");
    assert_eq!(canonical("\"carla.owens\"@example.com"), "carla.owens@example.com");
}

#[test]
fn a_local_part_that_needs_quotes_keeps_them() {
    assert_eq!(canonical("\"Carla Owens\"@example.com"), "\"carla owens\"@example.com");
    assert_eq!(canonical("\"a\\\"b>\"@c"), "\"a\\\"b>\"@c");
    assert_eq!(canonical("\"a..b\"@example.com"), "\"a..b\"@example.com");
    assert_eq!(canonical("\"a\\\\b\"@example.com"), "\"a\\\\b\"@example.com");
}

#[test]
fn an_address_is_kept_as_it_was_written() {
    let address = Address::parse("\"carla\"@EXAMPLE.com").unwrap();
    assert_eq!(address.to_string(), "\"carla\"@EXAMPLE.com");
    assert_eq!((address.local(), address.domain()), ("\"carla\"", "EXAMPLE.com"));
    assert_eq!(address.local_content(), "carla");
}

#[test]
fn an_at_sign_inside_quotes_belongs_to_the_local_part() {
    let address = Address::parse("\"a@b\"@example.com").unwrap();
    assert_eq!(address.domain(), "example.com");
    assert_eq!(address.canonical().domain(), "example.com");
    assert_eq!(address.canonical().local(), "\"a@b\"");
}

#[test]
fn internationalized_domains_compare_as_a_labels() {
    assert_eq!(canonical("x@BÜCHER.example"), "x@xn--bcher-kva.example");
    assert_eq!(canonical("x@XN--BCHER-KVA.example"), "x@xn--bcher-kva.example");
    assert_eq!(canonical_domain("bu\u{308}cher.example.").as_deref(), Some("xn--bcher-kva.example"));
}

#[test]
fn utf8_local_parts_compare_composed_and_lowercase() {
    assert_eq!(canonical("JOSÉ@example.com"), "josé@example.com");
    assert_eq!(canonical("jose\u{301}@example.com"), "josé@example.com");
    assert_eq!(canonical("ΟΔΟΣ@example.com"), canonical("οδος@example.com"));
}

#[test]
fn address_literals_are_flagged_and_normalised() {
    let literal = Address::parse("a@[IPv6:0:0::1]").unwrap();
    assert!(literal.domain_literal() && !literal.is_qualified());
    assert_eq!(literal.canonical().as_str(), "a@[IPv6:::1]");
    assert_eq!(canonical("a@[127.0.0.1]"), "a@[127.0.0.1]");
    assert_eq!(canonical("a@[ipv6:2001:DB8::1]"), "a@[IPv6:2001:db8::1]");
    for text in ["a@[300.0.0.1]", "a@[::1]", "a@[x:y]", "a@[127.0.0.1", "a@[]", "a@[127.0.0.1]x"] {
        assert_eq!(fault(text), AddressError::Literal, "{text}");
    }
}

#[test]
fn an_unqualified_domain_is_an_address_but_says_so() {
    assert!(!Address::parse("root@localhost").unwrap().is_qualified());
    assert!(Address::parse("root@localhost.example").unwrap().is_qualified());
}

#[test]
fn each_fault_of_a_local_part_is_named() {
    use AddressError::*;
    for (text, expected) in [
        ("", Empty),
        ("carla", NoAt),
        ("@example.com", EmptyLocal),
        ("\"\"@example.com", EmptyLocal),
        (".a@example.com", LocalDot),
        ("a.@example.com", LocalDot),
        ("a..b@example.com", LocalDot),
        ("a b@example.com", LocalCharacter),
        ("a\0b@example.com", LocalCharacter),
        ("a<b@example.com", LocalCharacter),
        ("a\"b\"@example.com", LocalCharacter),
        ("\"a\0\"@example.com", LocalCharacter),
        ("\"a\\\r\"@example.com", LocalCharacter),
        ("\"a\tb\"@example.com", LocalCharacter),
        ("\"a@example.com", Quote),
        ("\"a\"b@example.com", Quote),
        ("\"a\\", Quote),
    ] {
        assert_eq!(fault(text), expected, "{text:?}");
    }
}

#[test]
fn each_fault_of_a_domain_is_named() {
    use AddressError::*;
    for (text, expected) in [
        ("a@", EmptyDomain),
        ("a@example.com.", TrailingDot),
        ("a@example..com", Domain),
        ("a@.example.com", Domain),
        ("a@-example.com", Domain),
        ("a@example.com>", Domain),
        ("a@b@c", Domain),
        ("a@exa mple.com", Domain),
        ("a@xn--a.example", Domain),
        ("a@127.0.0.1", NumericDomain),
    ] {
        assert_eq!(fault(text), expected, "{text:?}");
    }
    assert_eq!(fault(&format!("a@{}.com", "x".repeat(64))), Domain);
    assert_eq!(fault(&format!("{}@example.com", "x".repeat(320))), TooLong);
    // As long as it may be, but for its canonical form.
    assert_eq!(fault(&format!("{}@{}test", "x".repeat(200), "ü.".repeat(15))), TooLong);
}

#[test]
fn characters_that_pass_for_others_are_refused() {
    for text in
        ["ce\u{200b}o@example.com", "ce\u{202e}o@example.com", "\u{212a}ate@example.com", "a\u{a0}b@example.com"]
    {
        assert_eq!(fault(text), AddressError::Confusable, "{text:?}");
    }
    // Fullwidth letters and an ideographic full stop become ASCII under UTS 46.
    for text in ["a@ｅxample.com", "a@example。com", "a@exam\u{200b}ple.com", "a@\u{212a}.com"] {
        assert_eq!(fault(text), AddressError::Domain, "{text:?}");
    }
}

#[test]
fn a_tag_can_be_taken_off_and_the_domain_exchanged() {
    let address = CanonicalAddress::parse("Carla+list@example.com").unwrap();
    assert_eq!(address.without_tag().unwrap().as_str(), "carla@example.com");
    assert_eq!(address.with_domain("Example.NET").unwrap().as_str(), "carla+list@example.net");
    assert_eq!(CanonicalAddress::parse("\"a b+c\"@x.com").unwrap().without_tag().unwrap().as_str(), "\"a b\"@x.com");
    assert_eq!(CanonicalAddress::parse("carla@example.com").unwrap().without_tag(), None);
    assert_eq!(CanonicalAddress::parse("+x@example.com").unwrap().without_tag(), None);
    assert_eq!(address.with_domain("not a domain"), None);
}

#[test]
fn what_is_derived_of_an_address_is_no_longer_than_one_may_be() {
    let label = "d".repeat(60);
    let domain = [label.as_str(); 4].join(".");
    // Without its tag the local part ends with a dot, and is quoted: one octet more than the whole was.
    let of_length = |length: usize| {
        let local = format!("{}.+", "l".repeat(length - domain.len() - 3));
        CanonicalAddress::parse(&format!("{local}@{domain}")).unwrap()
    };
    assert_eq!(of_length(319).without_tag().map(|address| address.as_str().len()), Some(320));
    assert_eq!(of_length(320).without_tag(), None);
    assert_eq!(of_length(320).with_domain(&format!("{domain}.de")), None);
}

#[test]
fn a_tag_is_cut_at_the_first_plus() {
    assert_eq!(CanonicalAddress::parse("a+b+c@x.com").unwrap().without_tag().unwrap().as_str(), "a@x.com");
}
