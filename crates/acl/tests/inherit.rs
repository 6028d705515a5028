//! Inheritance, one fact at a time (`acl-algorithms` 1.4, MS-DTYP 2.5.3.4, MS-ADTS 6.1.3).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use acl::{Acl, Control, InheritContext, SddlContext, SecurityDescriptor, Sid, edit, names};
use acl::{create_descriptor, effective_descriptor, explicit_part, inherited_aces};

const USER: &str = "bf967aba-0de6-11d0-a285-00aa003049e2";

fn sd(text: &str) -> SecurityDescriptor {
    SecurityDescriptor::from_sddl(text, &SddlContext::default()).unwrap()
}

fn dacl(text: &str) -> Acl {
    sd(text).dacl.unwrap()
}

/// What a user object that the account 1103 owns inherits, as SDDL.
fn inherited(parent: &str) -> String {
    let owner: Sid = "S-1-5-21-1-2-3-1103".parse().unwrap();
    let group: Sid = "S-1-5-21-1-2-3-513".parse().unwrap();
    let cx = InheritContext { classes: &[names::USER], owner: Some(&owner), group: Some(&group) };
    let aces = inherited_aces(&dacl(&format!("D:{parent}")), &cx);
    SecurityDescriptor::with_dacl(Acl::new(aces)).to_sddl(&SddlContext::default()).replacen("D:", "", 1)
}

#[test]
fn each_combination_of_flags_is_inherited_as_the_table_says() {
    for (parent, child) in [
        ("", ""),
        ("OI", "OIIOID"),
        ("OINP", ""),
        ("CI", "CIID"),
        ("CINP", "ID"),
        ("OICI", "OICIID"),
        ("OICINP", "ID"),
        ("NP", ""),
        ("IO", ""),
        ("CIIO", "CIID"),
        ("OIIO", "OIIOID"),
        ("OICIIO", "OICIID"),
        ("CINPIO", "ID"),
        ("CIID", "CIID"),
    ] {
        let expected = if child.is_empty() { String::new() } else { format!("(A;{child};RP;;;BA)") };
        assert_eq!(inherited(&format!("(A;{parent};RP;;;BA)")), expected, "{parent}");
    }
}

#[test]
fn an_ace_for_another_class_is_passed_on_without_effect() {
    let ace = |flags: &str, class: &str| format!("(OA;{flags};RP;;{class};BA)");
    assert_eq!(inherited(&ace("CIIO", USER)), ace("CIID", USER));
    let group = "bf967a9c-0de6-11d0-a285-00aa003049e2";
    assert_eq!(inherited(&ace("CI", group)), ace("CIIOID", group));
    assert_eq!(inherited(&ace("CINP", group)), "");
}

#[test]
fn creator_owner_becomes_the_owner_and_is_passed_on() {
    assert_eq!(inherited("(A;CI;RP;;;CO)"), "(A;ID;RP;;;S-1-5-21-1-2-3-1103)(A;CIIOID;RP;;;CO)");
    assert_eq!(inherited("(A;CI;RP;;;CG)"), "(A;ID;RP;;;S-1-5-21-1-2-3-513)(A;CIIOID;RP;;;CG)");
    assert_eq!(inherited("(A;CINP;RP;;;CO)"), "(A;ID;RP;;;S-1-5-21-1-2-3-1103)");
}

#[test]
fn creator_owner_without_an_owner_stays() {
    let aces = inherited_aces(&dacl("D:(A;CI;RP;;;CO)"), &InheritContext::default());
    assert_eq!(aces[0].sid, acl::well_known::CREATOR_OWNER);
}

#[test]
fn generic_rights_become_rights_of_the_directory() {
    assert_eq!(inherited("(A;CI;GA;;;BA)"), "(A;ID;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)(A;CIIOID;GA;;;BA)");
    assert_eq!(inherited("(A;CINP;0xffffffff;;;BA)"), "(A;ID;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)");
    assert_eq!(inherited("(A;CINP;GR;;;BA)"), "(A;ID;LCRPLORC;;;BA)");
}

#[test]
fn a_class_that_is_reached_is_dropped_from_the_expanded_copy() {
    let parent = format!("(OA;CIIO;GA;;{USER};BA)");
    let full = "CCDCLCSWRPWPDTLOCRSDRCWDWO";
    assert_eq!(inherited(&parent), format!("(A;ID;{full};;;BA)(OA;CIIOID;GA;;{USER};BA)"));
    // The object type keeps the kind; so does an object ACE that never had a class.
    let right = "ab721a54-1e2f-11d0-9819-00aa0040529b";
    assert_eq!(inherited(&format!("(OA;CINP;CR;{right};{USER};BA)")), format!("(OA;ID;CR;{right};;BA)"));
    assert_eq!(inherited("(OA;CINP;CR;;;BA)"), "(OA;ID;CR;;;BA)");
    for (object, plain) in [("OD", "D"), ("OU", "AU"), ("ZA", "XA"), ("ZD", "XD"), ("ZU", "XU")] {
        assert_eq!(inherited(&format!("({object};CINP;CR;;{USER};BA)")), format!("({plain};ID;CR;;;BA)"));
    }
}

#[test]
fn audit_flags_survive_expansion() {
    assert_eq!(inherited("(AU;CINPSAFA;RP;;;BA)"), "(AU;IDSAFA;RP;;;BA)");
}

#[test]
fn what_an_earlier_ace_grants_is_not_inherited_twice() {
    assert_eq!(inherited("(A;CI;RPWP;;;BA)(A;CI;RP;;;BA)"), "(A;CIID;RPWP;;;BA)");
    // An effective ACE that is passed on covers one that is only effective.
    assert_eq!(inherited("(A;CI;RPWP;;;BA)(A;CINP;RP;;;BA)"), "(A;CIID;RPWP;;;BA)");
    // Not the other way round, not for more rights, other trustees, kinds or GUIDs.
    for parent in [
        "(A;CINP;RP;;;BA)(A;CI;RP;;;BA)",
        "(A;CI;RP;;;BA)(A;CI;RPWP;;;BA)",
        "(A;CI;RP;;;BA)(A;CI;RP;;;SY)",
        "(A;CI;RP;;;BA)(D;CI;RP;;;BA)",
        "(OA;CI;RP;;;BA)(OA;CI;RP;ab721a54-1e2f-11d0-9819-00aa0040529b;;BA)",
        "(OA;CI;RP;;;BA)(OA;CI;RP;;bf967aba-0de6-11d0-a285-00aa003049e2;BA)",
        "(OA;CIIO;RP;;bf967a9c-0de6-11d0-a285-00aa003049e2;BA)(A;CINP;RP;;;BA)",
    ] {
        assert_eq!(inherited(parent).matches('(').count(), 2, "{parent}");
    }
}

#[test]
fn a_descriptor_is_explicit_entries_then_inherited_ones() {
    let parent = sd("D:(A;CI;RP;;;BA)");
    let effective = effective_descriptor(Some(&parent), &sd("O:SYD:(A;;WP;;;SY)(A;ID;CC;;;AU)"), &[names::USER]);
    assert_eq!(effective.to_sddl(&SddlContext::default()), "O:SYD:AI(A;;WP;;;SY)(A;CIID;RP;;;BA)");
    assert!(edit::is_canonical(effective.dacl.as_ref().unwrap()));
}

#[test]
fn a_protected_descriptor_inherits_nothing_and_stays_as_it_is() {
    let parent = sd("D:(A;CI;RP;;;BA)");
    let explicit = sd("D:P(A;;WP;;;SY)");
    assert_eq!(effective_descriptor(Some(&parent), &explicit, &[]), explicit);
    assert_eq!(explicit_part(&explicit), explicit);
}

#[test]
fn a_null_dacl_stays_null_and_an_absent_one_is_empty() {
    let null = effective_descriptor(None, &sd("D:NO_ACCESS_CONTROL"), &[]);
    assert!(null.dacl.is_none() && null.control.contains(Control::DACL_PRESENT));
    let absent = effective_descriptor(None, &sd("O:SY"), &[]);
    assert_eq!(absent.dacl, Some(Acl::default()));
    assert!(absent.control.contains(Control::DACL_PRESENT));
}

#[test]
fn the_explicit_part_has_no_inherited_entries() {
    let part = explicit_part(&sd("O:SYD:AI(A;;WP;;;SY)(OA;CIID;RP;ab721a54-1e2f-11d0-9819-00aa0040529b;;BA)"));
    assert_eq!(part.to_sddl(&SddlContext::default()), "O:SYD:(A;;WP;;;SY)");
    assert_eq!(part.dacl.unwrap().revision, Acl::REVISION);
}

#[test]
fn a_new_object_gets_its_creators_entries_expanded() {
    let owner = "S-1-5-21-1-2-3-1103";
    for (creator, created) in [
        ("(A;;RP;;;BA)", "(A;;RP;;;BA)".to_owned()),
        ("(A;ID;RP;;;BA)", String::new()),
        ("(A;IO;RP;;;BA)", String::new()),
        ("(A;CIIO;GA;;;BA)", "(A;CIIO;GA;;;BA)".to_owned()),
        ("(A;;GR;;;CO)", format!("(A;;LCRPLORC;;;{owner})")),
        ("(A;CI;GR;;;CO)", format!("(A;CIIO;GR;;;CO)(A;;LCRPLORC;;;{owner})")),
    ] {
        let sd = create_descriptor(None, &sd(&format!("O:{owner}G:BAD:{creator}")), &[]);
        assert_eq!(sd.to_sddl(&SddlContext::default()), format!("O:{owner}G:BAD:AI{created}"), "{creator}");
    }
}

#[test]
fn a_protected_new_object_keeps_what_was_inherited_as_explicit() {
    let sd = create_descriptor(Some(&sd("D:(A;CI;WP;;;AU)")), &sd("O:SYG:BAD:P(A;CIID;RP;;;BA)"), &[]);
    assert_eq!(sd.to_sddl(&SddlContext::default()), "O:SYG:BAD:P(A;CI;RP;;;BA)");
}
