//! The parser corpus of known attacks on sender fields: each is refused, or has exactly one meaning.

#![allow(clippy::unwrap_used)]

use message::senders::SenderFaultKind as Kind;
use message::{AddressError, HeaderBlock, HeaderFault, SenderFault, Senders, senders};

fn read(header: &[u8]) -> Result<Senders, SenderFault> {
    senders(&HeaderBlock::parse(header).unwrap_or_else(|fault| panic!("{fault}")))
}

fn header_fault(header: &[u8]) -> HeaderFault {
    HeaderBlock::parse(header).expect_err("accepted")
}

/// The fault of a From value.
fn from_fault(value: &str) -> Kind {
    let fault = read(format!("From: {value}\r\n\r\n").as_bytes()).expect_err(value);
    assert_eq!(fault.field, "From");
    fault.kind
}

/// The addresses of a From value.
fn from(value: &str) -> Vec<String> {
    let senders = read(format!("From: {value}\r\n\r\n").as_bytes()).unwrap_or_else(|fault| panic!("{value}: {fault}"));
    senders.from.iter().map(|mailbox| mailbox.address.to_string()).collect()
}

#[test]
fn two_addresses_in_brackets_without_a_comma_are_refused() {
    assert_eq!(from_fault("<a@x.com> <b@y.com>"), Kind::MissingComma);
}

#[test]
fn a_carriage_return_does_not_begin_another_from() {
    assert_eq!(header_fault(b"From: a@x.com\rFrom: b@y.com\r\n\r\n"), HeaderFault::BareCr { line: 1 });
}

#[test]
fn a_line_feed_does_not_begin_another_from() {
    assert_eq!(header_fault(b"From: a@x.com\nFrom: b@y.com\r\n\r\n"), HeaderFault::BareLf { line: 1 });
}

#[test]
fn white_space_before_the_first_header_is_refused() {
    assert_eq!(header_fault(b" From: a@x.com\r\nFrom: b@y.com\r\n\r\n"), HeaderFault::LeadingWhitespace);
    assert_eq!(header_fault(b"\tX: y\r\nFrom: b@y.com\r\n\r\n"), HeaderFault::LeadingWhitespace);
}

#[test]
fn two_from_fields_are_refused() {
    let fault = read(b"From: a@x.com\r\nFrom: a@x.com\r\n\r\n").expect_err("accepted");
    assert_eq!(fault, SenderFault { field: "From", kind: Kind::Duplicate });
    assert_eq!(fault.to_string(), "the From field is there more than once");
    assert!(read(b"From: a@x.com\r\nSubject: x\r\nfROM: b@x.com\r\n\r\n").is_err());
}

#[test]
fn a_quoted_local_part_needs_a_qualified_domain_like_any_other() {
    assert_eq!(from_fault("\"quoted local\"@y"), Kind::Unqualified);
    assert_eq!(from("\"quoted local\"@y.com"), ["\"quoted local\"@y.com"]);
}

#[test]
fn a_route_is_dropped_and_the_address_behind_it_counts() {
    assert_eq!(from("<@r1,@r2:b@y.com>"), ["b@y.com"]);
    assert_eq!(from("Bob <@r1.example,,@r2.example:b@y.com>"), ["b@y.com"]);
    for value in ["<@r1 b@y.com>", "<@r1,b@y.com>", "<@:b@y.com>", "<@ceo@x.com:b@y.com>", "<@r1 :b@y.com>"] {
        assert_eq!(from_fault(value), Kind::Route, "{value}");
    }
}

#[test]
fn an_encoded_word_inside_angle_brackets_is_refused() {
    assert_eq!(from_fault("<=?utf-8?q?ceo=40example.com?=>"), Kind::EncodedWord);
    assert_eq!(from_fault("<=?utf-8?q?ceo?=@example.com>"), Kind::EncodedWord);
    assert_eq!(from_fault("Bob <b@=?utf-8?q?y.com?=>"), Kind::EncodedWord);
    assert_eq!(from_fault("=?utf-8?q?ceo?=@example.com"), Kind::EncodedWord);
    assert_eq!(from_fault("\"=?utf-8?q?ceo?=\"@example.com"), Kind::EncodedWord);
    assert_eq!(from_fault("=?utf-8?q?ceo=40example.com?="), Kind::NoAddress);
}

#[test]
fn a_group_and_a_mailbox_mixed_give_all_their_addresses() {
    assert_eq!(from("Staff: a@x.com, Bob <b@x.com>;, c@x.com"), ["a@x.com", "b@x.com", "c@x.com"]);
    assert_eq!(from("nobody:;, c@x.com"), ["c@x.com"]);
}

#[test]
fn groups_that_are_not_well_formed_are_refused() {
    assert_eq!(from_fault("Staff: a@x.com"), Kind::GroupSyntax);
    assert_eq!(from_fault("A: B: a@x.com;;"), Kind::GroupSyntax);
    assert_eq!(from_fault("a@x.com;"), Kind::GroupSyntax);
    assert_eq!(from_fault(":a@x.com;"), Kind::GroupSyntax);
    assert_eq!(from_fault("Staff: alice, a@x.com;"), Kind::NoAddress);
    assert_eq!(from_fault("Staff: alice;"), Kind::NoAddress);
    assert_eq!(from_fault("a@x.com:b@x.com;"), Kind::Unexpected);
}

#[test]
fn an_angle_bracket_without_its_partner_is_refused() {
    assert_eq!(from_fault("b@y.com>"), Kind::AngleBrackets);
    assert_eq!(from_fault("<b@y.com"), Kind::AngleBrackets);
    assert_eq!(from_fault("<b@y.com>>"), Kind::AngleBrackets);
    assert_eq!(from_fault("<<b@y.com>>"), Kind::Unexpected);
}

#[test]
fn a_nul_in_the_local_part_is_refused() {
    assert_eq!(header_fault(b"From: a\0b@x.com\r\n\r\n"), HeaderFault::Nul { line: 1 });
}

#[test]
fn a_nul_in_the_field_name_is_refused() {
    assert_eq!(header_fault(b"F\0rom: a@x.com\r\n\r\n"), HeaderFault::Nul { line: 1 });
    assert_eq!(header_fault(b"From: a@x.com\r\nF\x01rom: b@x.com\r\n\r\n"), HeaderFault::FieldName { line: 2 });
}

#[test]
fn a_byte_order_mark_before_from_is_refused() {
    assert_eq!(header_fault(b"\xEF\xBB\xBFFrom: a@x.com\r\n\r\n"), HeaderFault::ByteOrderMark);
    assert_eq!(header_fault(b"\xFF\xFEF: a@x.com\r\n\r\n"), HeaderFault::FieldName { line: 1 });
}

#[test]
fn a_space_or_tab_before_the_colon_is_refused() {
    assert_eq!(header_fault(b"From : a@x.com\r\n\r\n"), HeaderFault::SpaceBeforeColon { line: 1 });
    assert_eq!(header_fault(b"Date: x\r\nFrom\t: a@x.com\r\n\r\n"), HeaderFault::SpaceBeforeColon { line: 2 });
}

#[test]
fn a_folded_from_is_read_whole() {
    assert_eq!(from("Bob\r\n <b@y.com>,\r\n\tc@y.com"), ["b@y.com", "c@y.com"]);
    assert_eq!(read(b"From:\r\n b@y.com\r\n\r\n").unwrap().from.len(), 1);
}

#[test]
fn a_line_end_in_quotes_or_a_comment_does_not_uncover_an_address() {
    for value in
        ["\"x\r\n <ceo@example.com>, y\" <b@y.com>", "(x\r\n ceo@example.com,) b@y.com", "\"x\\@\r\n y\" <b@y.com>"]
    {
        assert_eq!(from_fault(value), Kind::FoldedAddress, "{value:?}");
    }
    assert_eq!(from("\"A long\r\n name\" <b@y.com>"), ["b@y.com"]);
}

/// For whom the line end is the end of a comment, the quote begins a quoted string, and the next one ends it in the address.
#[test]
fn a_quote_in_a_comment_or_string_over_two_lines_does_not_cover_an_address() {
    for value in ["(x\r\n \") <b(\")@y.com>", "\"x\r\n \\\"\" <b@y.com>", "\"x\r\n y\" (\") <b@y.com>"] {
        assert_eq!(from_fault(value), Kind::FoldedAddress, "{value:?}");
    }
    assert_eq!(from("\"A \\\"long\\\" name\" <b@y.com>"), ["b@y.com"]);
}

#[test]
fn a_quote_inside_a_word_does_not_uncover_an_address() {
    for value in
        ["a\"b, ceo@example.com, c\" <b@y.com>", "\"a\"\"b\" <b@y.com>", "\"a\"b <b@y.com>", "J.\"a\" <b@y.com>"]
    {
        assert_eq!(from_fault(value), Kind::DisplayName, "{value:?}");
    }
    assert_eq!(from("\"Joe\" Q. \"Public\"<b@y.com>"), ["b@y.com"]);
}

#[test]
fn a_display_name_does_not_begin_with_a_dot() {
    assert_eq!(from_fault(".Carla <b@y.com>"), Kind::DisplayName);
}

#[test]
fn a_blank_continuation_line_is_refused() {
    assert_eq!(from_fault("a@x.com,\r\n \r\n b@x.com"), Kind::BlankLine);
}

#[test]
fn a_quoted_pair_does_not_end_the_display_name() {
    assert_eq!(from("\"x\\\" <a@x.com>\" <b@y.com>"), ["b@y.com"]);
}

#[test]
fn an_address_before_angle_brackets_is_refused() {
    assert_eq!(from_fault("ceo@example.com <b@y.com>"), Kind::MissingComma);
    assert_eq!(from_fault("ceo@example.com b@y.com"), Kind::MissingComma);
    assert_eq!(from_fault("<b@y.com> ceo@example.com"), Kind::MissingComma);
}

#[test]
fn words_before_a_bare_address_are_refused() {
    assert_eq!(from_fault("Carla carla@example.com"), Kind::WordsBeforeAddress);
    assert_eq!(from_fault("\"Carla\" carla@example.com"), Kind::WordsBeforeAddress);
    assert_eq!(from_fault("<Carla carla@example.com>"), Kind::Unexpected);
}

#[test]
fn white_space_around_the_dots_of_an_address_is_refused() {
    // `\S+@\S+` would find ceo@example.com in all of them.
    for value in ["bob . ceo@example.com", "bob. ceo@example.com", "<ceo@example.com . evil.example>"] {
        assert_eq!(from_fault(value), Kind::ObsoleteAddress, "{value}");
    }
    assert_eq!(from_fault("\"bob\".ceo@example.com"), Kind::ObsoleteAddress);
    assert_eq!(from_fault("<ceo@example. com>"), Kind::Address(AddressError::TrailingDot));
}

#[test]
fn a_comment_inside_an_address_may_not_look_like_one() {
    assert_eq!(from("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"), ["pete@silly.test"]);
    for value in [
        "<bob(ceo@example.com)@y.com>",
        "<(ceo@example.com)bob@y.com>",
        "bob@(<ceo@x.com>)y.com",
        "<b@y.com(<c@x.com)>",
    ] {
        assert_eq!(from_fault(value), Kind::CommentInAddress, "{value}");
    }
    assert_eq!(from("b@y.com (ceo@example.com)"), ["b@y.com"]);
}

/// For some readers the line end is the end of the comment, and what follows belongs to the address.
#[test]
fn a_comment_in_or_right_before_an_address_stays_on_one_line() {
    for value in ["<bob(his\r\n account)@y.com>", "(a\r\n b)bob@y.com", "<(a\r\n b)bob@y.com>", "bob@(a\r\n b)y.com"] {
        assert_eq!(from_fault(value), Kind::CommentInAddress, "{value}");
    }
    assert_eq!(from("Bob (his\r\n account) <bob@y.com>"), ["bob@y.com"]);
    assert_eq!(from("bob@y.com (his\r\n account)"), ["bob@y.com"]);
}

#[test]
fn a_quoted_local_part_stays_on_one_line() {
    for value in ["\"bob\r\n smith\"@y.com", "Bob <\"bob\r\n smith\"@y.com>"] {
        assert_eq!(from_fault(value), Kind::FoldedAddress, "{value}");
    }
    assert_eq!(from("\"Bob\r\n Smith\" <bob@y.com>"), ["bob@y.com"]);
}

#[test]
fn a_quoted_local_part_may_not_look_like_an_address() {
    assert_eq!(from_fault("\"ceo@example.com\"@evil.example"), Kind::ConfusingLocalPart);
    assert_eq!(from_fault("<\"<ceo\"@evil.example>"), Kind::ConfusingLocalPart);
}

#[test]
fn comments_nest_up_to_a_bound() {
    assert_eq!(from("(a(b(c)))b@y.com"), ["b@y.com"]);
    assert_eq!(from_fault(&format!("{}{} b@y.com", "(".repeat(17), ")".repeat(17))), Kind::CommentDepth);
    assert_eq!(from_fault("b@y.com (x"), Kind::Comment);
    assert_eq!(from_fault("b@y.com x)"), Kind::MissingComma);
    assert_eq!(from_fault("b@y.com )"), Kind::Comment);
}

#[test]
fn a_domain_that_is_not_qualified_is_refused() {
    assert_eq!(from_fault("a@localhost"), Kind::Unqualified);
    assert_eq!(from_fault("a@[127.0.0.1]"), Kind::AddressLiteral);
    assert_eq!(from_fault("a@[IPv6:::1]"), Kind::AddressLiteral);
    assert_eq!(from_fault("a@example.com."), Kind::Address(AddressError::TrailingDot));
}

#[test]
fn a_from_without_a_mailbox_is_refused() {
    for value in ["", "undisclosed:;", "(nobody)", ",,", "a:;,b:;"] {
        assert_eq!(from_fault(value), Kind::NoMailbox, "{value}");
    }
    for value in ["alice", "<>", "Alice <>", "<alice>", "@example.com", "\"a@example.com\""] {
        assert_eq!(from_fault(value), Kind::NoAddress, "{value}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    assert_eq!(read(b"From: \xe9 <a@x.com>\r\n\r\n").unwrap_err().kind, Kind::NotUtf8);
    assert_eq!(from_fault("a\u{1}@x.com"), Kind::Control);
    assert_eq!(from_fault("\"a\u{7f}\" <a@x.com>"), Kind::Control);
    assert_eq!(from_fault("\"a\u{85}\" <a@x.com>"), Kind::Control);
    assert_eq!(from_fault(&format!("{} <a@x.com>", "x".repeat(1000))), Kind::LineTooLong);
}

#[test]
fn very_many_mailboxes_are_refused() {
    assert_eq!(from(&vec!["a@x.com"; 40].join(",")).len(), 40);
    assert_eq!(from_fault(&vec!["a@x.com"; 257].join(",\r\n ")), Kind::TooManyMailboxes);
}
