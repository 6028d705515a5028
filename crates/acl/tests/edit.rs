//! Changing descriptors, and putting them into words.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use acl::describe::Description;
use acl::edit::{self, Inherited};
use acl::names::{self, Kind};
use acl::{AccessMask, Ace, AceFlags, Acl, SddlContext, SecurityDescriptor, well_known};

fn sd(text: &str) -> SecurityDescriptor {
    SecurityDescriptor::from_sddl(text, &SddlContext::default()).unwrap()
}

fn dacl(aces: &str) -> Acl {
    sd(&format!("D:{aces}")).dacl.unwrap()
}

fn ace(text: &str) -> Ace {
    dacl(text).aces.remove(0)
}

fn text(acl: &Acl) -> String {
    SecurityDescriptor::with_dacl(acl.clone()).to_sddl(&SddlContext::default()).replacen("D:", "", 1)
}

#[test]
fn an_entry_goes_to_its_canonical_place() {
    let object = "ab721a54-1e2f-11d0-9819-00aa0040529b";
    let mut acl = dacl("(A;;RP;;;AU)(A;ID;RP;;;WD)");
    for new in [
        format!("(OA;;CR;{object};;BA)"),
        "(D;;WP;;;BA)".into(),
        format!("(OD;;CR;{object};;SY)"),
        "(A;;WP;;;SY)".into(),
    ] {
        assert!(edit::add(&mut acl, ace(&new)));
    }
    let expected =
        format!("(D;;WP;;;BA)(OD;;CR;{object};;SY)(A;;RP;;;AU)(A;;WP;;;SY)(OA;;CR;{object};;BA)(A;ID;RP;;;WD)");
    assert_eq!(text(&acl), expected);
    assert!(edit::is_canonical(&acl));
    assert_eq!(acl.revision, Acl::REVISION_DS);
}

#[test]
fn an_entry_is_added_once_and_always_explicit() {
    let mut acl = dacl("(A;ID;RP;;;AU)");
    assert!(edit::add(&mut acl, ace("(A;ID;RP;;;AU)")));
    assert!(!edit::add(&mut acl, ace("(A;;RP;;;AU)")));
    assert_eq!(text(&acl), "(A;;RP;;;AU)(A;ID;RP;;;AU)");
}

#[test]
fn removing_leaves_what_is_inherited() {
    let mut acl = dacl("(A;;RP;;;AU)(A;;RP;;;AU)(A;;WP;;;AU)(A;ID;RP;;;AU)");
    acl.trailing = vec![0; 4];
    assert_eq!(edit::remove(&mut acl, &ace("(A;ID;RP;;;AU)")), 2);
    assert_eq!(text(&acl), "(A;;WP;;;AU)(A;ID;RP;;;AU)");
    assert!(acl.trailing.is_empty());
    assert_eq!(edit::remove(&mut acl, &ace("(A;;CC;;;AU)")), 0);
    assert_eq!(edit::purge(&mut acl, &well_known::AUTHENTICATED_USERS), 1);
    assert_eq!(text(&acl), "(A;ID;RP;;;AU)");
}

#[test]
fn nothing_removed_changes_nothing() {
    let mut acl = dacl("(A;;RP;;;AU)");
    acl.trailing = vec![0; 4];
    assert_eq!(edit::purge(&mut acl, &well_known::SYSTEM), 0);
    assert_eq!(acl.trailing.len(), 4);
}

#[test]
fn protecting_keeps_or_drops_what_is_inherited() {
    let inherited = "O:SYD:AI(A;;RP;;;AU)(OA;CIID;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;SY)";
    let mut kept = sd(inherited);
    edit::protect(&mut kept, Inherited::Keep);
    let context = SddlContext::default();
    let expected = "O:SYD:PAI(A;;RP;;;AU)(OA;CI;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;SY)";
    assert_eq!(kept.to_sddl(&context), expected);
    let mut dropped = sd(inherited);
    edit::protect(&mut dropped, Inherited::Drop);
    assert_eq!(dropped.to_sddl(&context), "O:SYD:PAI(A;;RP;;;AU)");
    assert_eq!(dropped.dacl.as_ref().unwrap().revision, Acl::REVISION);
    assert!(dropped.is_dacl_protected());
    dropped.set_dacl_protected(false);
    assert!(!dropped.is_dacl_protected());
}

#[test]
fn canonical_is_explicit_first_and_denies_first_among_them() {
    for (aces, canonical) in [
        ("", true),
        ("(D;;RP;;;AU)(A;;RP;;;AU)(A;ID;RP;;;AU)(D;ID;RP;;;AU)", true),
        ("(OA;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;SY)(A;;RP;;;AU)", true),
        ("(A;;RP;;;AU)(D;;RP;;;AU)", false),
        ("(A;ID;RP;;;AU)(A;;RP;;;AU)", false),
        ("(D;ID;RP;;;AU)(D;;RP;;;AU)", false),
    ] {
        assert_eq!(edit::is_canonical(&dacl(aces)), canonical, "{aces}");
    }
}

#[test]
fn sorting_is_stable_and_leaves_inherited_entries_in_their_order() {
    let object = "ab721a54-1e2f-11d0-9819-00aa0040529b";
    let mut acl =
        dacl(&format!("(A;ID;RP;;;AU)(D;ID;RP;;;AU)(OA;;CR;{object};;SY)(A;;WP;;;AU)(A;;RP;;;AU)(D;;RP;;;AU)"));
    edit::sort_canonical(&mut acl);
    assert_eq!(
        text(&acl),
        format!("(D;;RP;;;AU)(A;;WP;;;AU)(A;;RP;;;AU)(OA;;CR;{object};;SY)(A;ID;RP;;;AU)(D;ID;RP;;;AU)")
    );
}

#[test]
fn every_row_of_the_table_is_found_by_its_names_and_guid() {
    assert!(names::NAMES.len() > 150);
    for row in names::NAMES {
        assert_eq!(names::by_guid_of(row.kind, &row.guid), Some(row));
        assert_eq!(names::by_guid(&row.guid).unwrap().guid, row.guid);
        let named = names::by_name(&row.name.to_uppercase()).unwrap();
        assert!(named.name.eq_ignore_ascii_case(row.name) || named.display_name.eq_ignore_ascii_case(row.name));
    }
    assert_eq!(names::by_name("send as").unwrap().guid, names::SEND_AS);
    assert_eq!(names::by_name("no such right"), None);
    let twice =
        names::NAMES.iter().any(|a| names::NAMES.iter().filter(|b| (a.kind, a.guid) == (b.kind, b.guid)).count() > 1);
    assert!(!twice, "a GUID is there twice for one kind");
}

#[test]
fn entries_are_put_into_the_words_of_the_directory() {
    let user = "bf967aba-0de6-11d0-a285-00aa003049e2";
    for (sddl, words) in [
        (
            "(OA;CIID;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;bf967aba-0de6-11d0-a285-00aa003049e2;SY)",
            "Send As, allowed, inherited, applies to user objects",
        ),
        ("(D;;CR;;;SY)", "All Extended Rights, denied, this object only"),
        ("(A;CI;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)", "Full Control, allowed, this object and all below"),
        (
            "(OA;CIIO;RPWP;77b5b886-944a-11d1-aebd-0000f80367c1;;PS)",
            "Read and Write Personal Information, allowed, all objects below",
        ),
        (
            "(OA;CIIO;WP;bf967a06-0de6-11d0-a285-00aa003049e2;bf967aba-0de6-11d0-a285-00aa003049e2;PS)",
            "Write proxyAddresses, allowed, applies to user objects below",
        ),
        ("(A;CINP;RP;;;PS)", "Read All Properties, allowed, this object and all below, one level down"),
        (
            "(OA;;CCDC;bf967aba-0de6-11d0-a285-00aa003049e2;;AO)",
            "Create and Delete user Objects, allowed, this object only",
        ),
        ("(A;;CC;;;AO)", "Create All Child Objects, allowed, this object only"),
        ("(A;;DC;;;AO)", "Delete All Child Objects, allowed, this object only"),
        (
            "(A;;LCLODTSDRCWDWO;;;AO)",
            "List Contents, List Object, Delete, Delete Subtree, Read Permissions, Modify Permissions, Modify Owner, allowed, this object only",
        ),
        ("(A;;GRGX;;;AO)", "Generic Read, Generic Execute, allowed, this object only"),
        ("(OA;;SW;bf9679c0-0de6-11d0-a285-00aa003049e2;;PS)", "Add/Remove self as member, allowed, this object only"),
        ("(OA;;WP;bf9679c0-0de6-11d0-a285-00aa003049e2;;PS)", "Write member, allowed, this object only"),
        ("(A;;SW;;;PS)", "All Validated Writes, allowed, this object only"),
        ("(A;;0x1f01ff;;;PS)", "Full Control, 0x100000, allowed, this object only"),
        ("(A;;0x100010;;;PS)", "Read All Properties, 0x100000, allowed, this object only"),
        ("(A;;0x100000;;;PS)", "0x100000, allowed, this object only"),
        ("(A;;;;;PS)", "No Rights, allowed, this object only"),
        ("(A;IO;RP;;;PS)", "Read All Properties, allowed, nowhere"),
        (
            "(OA;;CR;00000000-0000-0000-0000-000000000001;;PS)",
            "00000000-0000-0000-0000-000000000001, allowed, this object only",
        ),
        (
            "(XD;;CR;;;SY;(Member_of {SID(BA)}))",
            "All Extended Rights, denied, this object only, if its condition holds",
        ),
        ("(AU;SA;CR;;;SY)", "All Extended Rights, audited, this object only"),
    ] {
        assert_eq!(Description::of(&ace(sddl)).to_string(), words, "{user}");
    }
}

#[test]
fn the_words_say_where_an_entry_comes_from() {
    let words = Description::of(&ace("(A;CIID;CR;;;SY)"));
    let line = words.from_parent(Some("OU=Staff")).to_string();
    assert_eq!(line, "All Extended Rights, allowed, inherited from OU=Staff, this object and all below");
}

#[test]
fn kinds_of_the_sacl_have_words_too() {
    for (kind, words) in [
        (0x11, "integrity label"),
        (0x12, "claim about the object"),
        (0x13, "central access policy"),
        (0x42, "of unknown kind"),
        (0x07, "audited"),
    ] {
        let ace = Ace::new(acl::AceType(kind), well_known::EVERYONE, AccessMask(1)).with_flags(AceFlags::NONE);
        assert_eq!(Description::of(&ace).effect, words);
    }
}

#[test]
fn well_known_sids_have_names() {
    assert_eq!(well_known::name(&well_known::SELF), Some("NT AUTHORITY\\SELF"));
    assert_eq!(well_known::name(&well_known::HUB_SERVERS), Some("MS Exchange\\Hub Transport Servers"));
    assert_eq!(well_known::name(&acl::Sid::new(5, &[21, 1, 2, 3, 4])), None);
}

#[test]
fn rights_sets_and_classes_are_of_their_kind() {
    for (guid, kind) in [
        (names::SEND_AS, Kind::ControlAccessRight),
        (names::PERSONAL_INFORMATION, Kind::PropertySet),
        (names::USER, Kind::Class),
        (names::ORGANIZATIONAL_UNIT, Kind::Class),
    ] {
        assert_eq!(names::by_guid(&guid).unwrap().kind, kind);
    }
}
