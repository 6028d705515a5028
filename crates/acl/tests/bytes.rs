//! Bytes of descriptors: what is kept, and what is said of what cannot be read.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use acl::{AccessMask, Ace, AceFlags, AceType, Acl, Control, Guid, GuidError, ParseFault, SddlContext, Section};
use acl::{ParseError, SecurityDescriptor, Sid, SidError, guid, well_known};
use proptest::prelude::*;

/// `O:BAD:(A;;RP;;;WD)`: header, DACL at 20, its ACE at 28, owner at 48.
const SMALL: &str = "01000480300000000000000000000000140000000200\
1c00010000000000140010000000010100000000000100000000010200000000000520000000\
20020000";

fn small() -> Vec<u8> {
    common::unhex(SMALL)
}

#[test]
fn a_descriptor_is_read_and_written() {
    let sd = SecurityDescriptor::parse(&small()).unwrap();
    assert_eq!(sd.to_sddl(&SddlContext::default()), "O:BAD:(A;;RP;;;WD)");
    assert_eq!(common::hex(&sd.to_bytes()), SMALL);
}

/// The error for the small descriptor with some bytes replaced.
fn broken(changes: &[(usize, u8)]) -> (usize, ParseFault) {
    let mut bytes = small();
    for (at, value) in changes {
        bytes[*at] = *value;
    }
    let error = SecurityDescriptor::parse(&bytes).unwrap_err();
    (error.offset, error.fault)
}

#[test]
fn an_error_names_place_and_cause() {
    assert_eq!(broken(&[(0, 2)]), (0, ParseFault::Revision(2)));
    assert_eq!(broken(&[(3, 0)]), (2, ParseFault::NotSelfRelative(4)));
    assert_eq!(broken(&[(4, 4)]), (4, ParseFault::SectionOffset(4, Section::Owner)));
    assert_eq!(broken(&[(9, 1)]), (8, ParseFault::SectionOffset(256, Section::Group)));
    assert_eq!(broken(&[(2, 0x14), (12, 200)]), (12, ParseFault::SectionOffset(200, Section::Sacl)));
    assert_eq!(broken(&[(16, 19)]), (16, ParseFault::SectionOffset(19, Section::Dacl)));
    assert_eq!(broken(&[(16, 60)]), (64, ParseFault::AclTruncated));
    assert_eq!(broken(&[(20, 1)]), (20, ParseFault::AclRevision(1)));
    assert_eq!(broken(&[(20, 5)]), (20, ParseFault::AclRevision(5)));
    assert_eq!(broken(&[(22, 7)]), (22, ParseFault::AclSize(7)));
    assert_eq!(broken(&[(22, 200)]), (22, ParseFault::AclSize(200)));
    assert_eq!(broken(&[(24, 2)]), (48, ParseFault::AceTruncated(1, 2)));
    assert_eq!(broken(&[(30, 3)]), (30, ParseFault::AceSize(3)));
    assert_eq!(broken(&[(30, 6)]), (30, ParseFault::AceSize(6)));
    assert_eq!(broken(&[(30, 60)]), (30, ParseFault::AceSize(60)));
    assert_eq!(broken(&[(28, 5), (36, 1), (30, 20)]), (30, ParseFault::AceSize(20)));
    assert_eq!(broken(&[(36, 2)]), (36, ParseFault::SidRevision(2)));
    assert_eq!(broken(&[(37, 16)]), (37, ParseFault::SidCount(16)));
    assert_eq!(broken(&[(37, 2)]), (48, ParseFault::SidTruncated));
    assert_eq!(broken(&[(49, 3)]), (64, ParseFault::SidTruncated));
    let short = SecurityDescriptor::parse(&small()[..19]).unwrap_err();
    assert_eq!((short.offset, short.fault), (19, ParseFault::HeaderTruncated(19)));
    assert_eq!(short.to_string(), "at byte 19: the header of a descriptor has 20 bytes, here are 19");
    for section in [Section::Owner, Section::Group, Section::Sacl, Section::Dacl] {
        assert!(ParseFault::SectionOffset(7, section).to_string().starts_with("offset 7 of the "));
    }
}

#[test]
fn sections_may_come_in_any_order_and_with_gaps() {
    let mut bytes = small();
    bytes.splice(20..20, [0xEE; 8]);
    bytes[4] += 8;
    bytes[16] += 8;
    assert_eq!(SecurityDescriptor::parse(&bytes).unwrap(), SecurityDescriptor::parse(&small()).unwrap());
}

#[test]
fn a_section_whose_control_bit_is_clear_is_absent() {
    let mut bytes = small();
    bytes[2] = 0;
    let sd = SecurityDescriptor::parse(&bytes).unwrap();
    assert_eq!((sd.dacl, sd.control), (None, Control::SELF_RELATIVE));
}

#[test]
fn absent_null_and_empty_dacls_are_three_states() {
    for text in ["O:BA", "O:BAD:NO_ACCESS_CONTROL", "O:BAD:"] {
        let sd = SecurityDescriptor::from_sddl(text, &SddlContext::default()).unwrap();
        let again = SecurityDescriptor::parse(&sd.to_bytes()).unwrap();
        assert_eq!(again, sd);
        assert_eq!(again.to_sddl(&SddlContext::default()), text);
    }
}

#[test]
fn unknown_kinds_padding_and_trailing_bytes_survive() {
    let unknown = Ace {
        data: vec![1, 2, 3, 4, 5, 6, 7, 8].into(),
        ..Ace::new(AceType(0x42), well_known::NULL, AccessMask::NONE)
    };
    let padded = Ace { data: vec![0; 4].into(), ..Ace::allow(well_known::EVERYONE, AccessMask(1)) };
    let mut sd = SecurityDescriptor::with_dacl(Acl::new(vec![unknown, padded]));
    sd.dacl.as_mut().unwrap().trailing = vec![0; 12];
    sd.rm_control = 1;
    let bytes = sd.to_bytes();
    assert_eq!(bytes.len(), 20 + sd.dacl.as_ref().unwrap().byte_len());
    let again = SecurityDescriptor::parse(&bytes).unwrap();
    assert_eq!(again, sd);
    assert_eq!(again.to_bytes(), bytes);
}

#[test]
fn a_list_that_is_too_long_is_refused_by_every_reader() {
    let ace = Ace::allow(well_known::EVERYONE, AccessMask(1));
    let sd = SecurityDescriptor::with_dacl(Acl::new(vec![ace; 5_000]));
    assert!(SecurityDescriptor::parse(&sd.to_bytes()).is_err());
}

#[test]
fn a_text_of_a_list_that_cannot_be_stored_is_refused() {
    let read =
        |count| SecurityDescriptor::from_sddl(&format!("D:{}", "(A;;RP;;;WD)".repeat(count)), &SddlContext::default());
    assert!(read(3_276).is_ok());
    let error = read(3_277).unwrap_err();
    assert_eq!((error.offset, error.length), (2, 3_277 * 12));
}

#[test]
fn the_revision_tells_whether_there_are_object_entries() {
    let plain = Acl::new(vec![Ace::allow(well_known::EVERYONE, AccessMask(1))]);
    let object = Acl::new(vec![Ace::allow_object(well_known::EVERYONE, AccessMask(1), Guid::default())]);
    assert_eq!((plain.revision, object.revision), (2, 4));
}

#[test]
fn entries_are_built_as_they_are_written_in_sddl() {
    let class = guid!("bf967aba-0de6-11d0-a285-00aa003049e2");
    let right = acl::names::SEND_AS;
    let mask = AccessMask::CONTROL_ACCESS;
    for (ace, text) in [
        (Ace::allow(well_known::EVERYONE, mask), "(A;;CR;;;WD)"),
        (Ace::deny(well_known::EVERYONE, mask), "(D;;CR;;;WD)"),
        (Ace::allow_object(well_known::EVERYONE, mask, right), "(OA;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;WD)"),
        (Ace::deny_object(well_known::EVERYONE, mask, right), "(OD;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;WD)"),
        (
            Ace::deny(well_known::EVERYONE, mask).for_class(class).with_flags(AceFlags(0x0A)),
            "(OD;CIIO;CR;;bf967aba-0de6-11d0-a285-00aa003049e2;WD)",
        ),
        (
            Ace::new(AceType::AUDIT, well_known::EVERYONE, mask).for_class(class),
            "(OU;;CR;;bf967aba-0de6-11d0-a285-00aa003049e2;WD)",
        ),
    ] {
        assert_eq!(ace.sddl(&SddlContext::default()).to_string(), text);
        let list = Acl::new(vec![ace]);
        let sd = SecurityDescriptor::with_dacl(list);
        assert_eq!(SecurityDescriptor::from_sddl(&format!("D:{text}"), &SddlContext::default()).unwrap(), sd);
    }
}

#[test]
fn a_sid_is_32_bytes_and_an_entry_80() {
    assert_eq!((size_of::<Sid>(), size_of::<Ace>()), (32, 80));
}

#[test]
fn sids_of_any_length_are_read_written_and_compared() {
    let mut sids: Vec<Sid> = Vec::new();
    for count in 0..=15u32 {
        let subs: Vec<u32> = (1..=count).collect();
        let sid = Sid::from_parts(5, &subs).unwrap();
        assert_eq!(sid.sub_authorities(), subs);
        assert_eq!(sid.authority(), 5);
        let bytes = sid.to_bytes();
        assert_eq!(bytes.len(), sid.byte_len());
        assert_eq!(Sid::parse(&bytes).unwrap(), (sid.clone(), bytes.len()));
        if count > 0 {
            assert_eq!(sid.to_string().parse(), Ok(sid.clone()));
            assert_eq!(sid.domain().and_then(|domain| domain.with_rid(count)), Some(sid.clone()));
            assert_eq!(sid.rid(), Some(count));
        }
        sids.push(sid);
    }
    assert!(sids.is_sorted() && sids.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(Sid::from_parts(5, &[0; 16]), None);
    assert_eq!(Sid::from_parts(1 << 48, &[0]), None);
    assert_eq!(sids[15].with_rid(1), None);
    assert_eq!((sids[0].rid(), sids[0].domain()), (None, None));
}

#[test]
fn accounts_of_a_domain_are_known_by_their_form() {
    for (text, expected) in [
        ("S-1-5-21-1-2-3-1103", true),
        ("S-1-5-21-1-2-3", false),
        ("S-1-5-32-544", false),
        ("S-1-9-21-1-2-3-1103", false),
        ("S-1-5-21-1-2-3-4-5", false),
    ] {
        assert_eq!(text.parse::<Sid>().unwrap().is_domain_relative(), expected, "{text}");
    }
}

#[test]
fn a_text_that_is_no_sid_is_refused_with_the_part_that_is_wrong() {
    for (text, fault) in [
        ("", SidError::Prefix),
        ("X-1-5-32", SidError::Prefix),
        ("S-2-5-32", SidError::Prefix),
        ("S-1", SidError::Number(3)),
        ("S-1-5", SidError::Number(4)),
        ("S-1-281474976710656-1", SidError::Number(3)),
        ("S-1-5-4294967296", SidError::Number(4)),
        ("S-1-5-32-x", SidError::Number(5)),
        ("S-1-5-32-+1", SidError::Number(5)),
        ("S-1-5-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1-1", SidError::TooLong),
    ] {
        assert_eq!(text.parse::<Sid>(), Err(fault), "{text}");
    }
}

#[test]
fn a_sid_without_sub_authorities_is_read_leniently_only() {
    let read = |lenient| {
        let context = SddlContext { lenient, ..SddlContext::default() };
        SecurityDescriptor::from_sddl("O:S-1-5G:SY", &context).map(|sd| sd.owner)
    };
    assert!(read(false).is_err());
    assert_eq!(read(true), Ok(Sid::from_parts(5, &[])));
}

#[test]
fn a_guid_is_printed_as_it_is_read() {
    let text = "ab721a54-1e2f-11d0-9819-00aa0040529b";
    let guid: Guid = text.parse().unwrap();
    assert_eq!(guid.to_string(), text);
    assert_eq!(guid, acl::names::SEND_AS);
    assert_eq!(guid.0[..4], [0x54, 0x1a, 0x72, 0xab]);
    assert_eq!(Guid::from_u128(guid.to_u128()), guid);
    assert_eq!(format!("{{{}}}", text.to_uppercase()).parse(), Ok(guid));
    for bad in [
        "",
        "ab721a541e2f11d0981900aa0040529b",
        "ab721a54-1e2f-11d0-9819-00aa0040529",
        "{ab721a54-1e2f-11d0-9819-00aa0040529b",
        "ab721a54+1e2f-11d0-9819-00aa0040529b",
        "gb721a54-1e2f-11d0-9819-00aa0040529b",
    ] {
        assert_eq!(bad.parse::<Guid>(), Err(GuidError), "{bad}");
    }
}

/// The bytes of an entry, often well-formed.
fn entry() -> impl Strategy<Value = Vec<u8>> {
    let body = (0u8..0x16, any::<u8>(), any::<u32>(), 0u32..4, any::<[u8; 32]>());
    let sid = (prop_oneof![40 => Just(1u8), 1 => any::<u8>()], 0u8..9, any::<[u8; 6]>(), any::<[u32; 8]>());
    let rest = (prop_oneof![20 => Just(0usize), 1 => 1usize..9], prop_oneof![60 => Just(0i32), 1 => -40i32..40]);
    (body, sid, rest).prop_map(|((kind, flags, mask, present, guids), (revision, count, authority, subs), rest)| {
        let mut bytes = vec![kind, flags, 0, 0];
        bytes.extend(mask.to_le_bytes());
        if AceType(kind).is_object() {
            bytes.extend(present.to_le_bytes());
            bytes.extend(&guids[..16 * present.count_ones() as usize]);
        }
        bytes.extend([revision, count]);
        bytes.extend(authority);
        bytes.extend(subs[..usize::from(count)].iter().flat_map(|sub| sub.to_le_bytes()));
        bytes.resize(bytes.len() + rest.0, 7);
        let size = (bytes.len() as i32 + rest.1) as u16;
        bytes[2..4].copy_from_slice(&size.to_le_bytes());
        bytes
    })
}

/// The entries of a list, each read by itself from the bytes up to the list's end.
fn one_by_one(list: &[u8], count: u16) -> Result<Vec<Ace>, ParseError> {
    let mut aces = Vec::new();
    let mut at = 8;
    for index in 0..count {
        if at == list.len() {
            return Err(ParseError { offset: at, fault: ParseFault::AceTruncated(index, count) });
        }
        let (ace, length) =
            Ace::parse(&list[at..]).map_err(|error| ParseError { offset: at + error.offset, ..error })?;
        aces.push(ace);
        at += length;
    }
    Ok(aces)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = SecurityDescriptor::parse(&bytes);
        let _ = Acl::parse(&bytes);
        let _ = Ace::parse(&bytes);
        let _ = Sid::parse(&bytes);
        let _ = acl::condition::Expression::parse(&bytes);
        let _ = acl::condition::Claim::parse(&bytes);
    }

    #[test]
    fn a_list_is_read_as_its_entries_one_by_one(
        entries in proptest::collection::vec(entry(), 0..6),
        more in prop_oneof![9 => Just(0u16), 1 => 1u16..40],
        behind in prop_oneof![Just(0usize), 0usize..100],
    ) {
        let count = entries.len() as u16 + more;
        let mut list = vec![4, 0, 0, 0, count as u8, 0, 0, 0];
        list.extend(entries.concat());
        let size = list.len();
        list[2..4].copy_from_slice(&(size as u16).to_le_bytes());
        let expected = one_by_one(&list, count);
        list.resize(size + behind, 1);
        prop_assert_eq!(Acl::parse(&list).map(|acl| acl.aces), expected);
    }

    #[test]
    fn a_changed_byte_never_panics(at in 0usize..64, value in any::<u8>()) {
        let mut bytes = small();
        bytes[at] = value;
        if let Ok(sd) = SecurityDescriptor::parse(&bytes) {
            prop_assert_eq!(SecurityDescriptor::parse(&sd.to_bytes()), Ok(sd));
        }
    }

    #[test]
    fn texts_never_panic(text in "[OGDS:()A;DPX!&|{}@\"a-z0-9 ,#=<>-]{0,60}", lenient in any::<bool>()) {
        let context = SddlContext { domain: None, root_domain: None, lenient };
        let _ = SecurityDescriptor::from_sddl(&text, &context);
        let _ = text.parse::<Sid>();
        let _ = text.parse::<Guid>();
    }
}
