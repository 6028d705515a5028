//! AccessCheck, one fact at a time (`acl-algorithms` 1.1 - 1.3).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use acl::check::{Request, Step, Token, TreeError, TreeNode, check, check_right, check_with};
use acl::condition::{Claim, ClaimValues, Expression, Facts, Truth};
use acl::{AccessMask, CompiledDacl, GenericMapping, Guid, Outcome, Principals, SddlContext, SecurityDescriptor};
use acl::{Sid, SidId, SidSet, names, well_known};

fn sd(text: &str) -> SecurityDescriptor {
    SecurityDescriptor::from_sddl(text, &SddlContext::default()).unwrap()
}

fn administrators() -> Token {
    Token::of([well_known::BUILTIN_ADMINISTRATORS])
}

fn outcome(text: &str, access: u32) -> Outcome {
    check(&sd(text), &administrators(), &Request::new(AccessMask(access))).unwrap().outcome
}

#[test]
fn the_order_of_entries_decides() {
    assert_eq!(outcome("D:(A;;RP;;;BA)(D;;RP;;;BA)", 0x10), Outcome::Allow);
    assert_eq!(outcome("D:(D;;RP;;;BA)(A;;RP;;;BA)", 0x10), Outcome::Deny);
    assert_eq!(outcome("D:(A;;RP;;;BA)(D;;WP;;;BA)(A;;WP;;;BA)", 0x30), Outcome::Deny);
    assert_eq!(outcome("D:(D;;0x0;;;BA)(A;;RP;;;BA)", 0x10), Outcome::Allow);
}

#[test]
fn absent_and_null_dacls_grant_everything_and_an_empty_one_nothing() {
    assert_eq!(outcome("O:SY", 0xF_01FF), Outcome::Allow);
    assert_eq!(outcome("D:NO_ACCESS_CONTROL", 0xF_01FF), Outcome::Allow);
    assert_eq!(outcome("D:", 0x10), Outcome::None);
}

#[test]
fn nobody_gets_nothing() {
    let request = Request::new(AccessMask(0x10));
    assert!(!check(&sd("D:NO_ACCESS_CONTROL"), &Token::default(), &request).unwrap().is_allowed());
    assert_eq!(outcome("D:NO_ACCESS_CONTROL", 0), Outcome::None);
}

#[test]
fn the_owner_may_read_and_change_the_dacl_unless_owner_rights_say_otherwise() {
    assert_eq!(outcome("O:BAD:", 0x6_0000), Outcome::Allow);
    assert_eq!(outcome("O:BAD:", 0x8_0000), Outcome::None);
    assert_eq!(outcome("O:BAD:(A;;RP;;;OW)", 0x2_0000), Outcome::None);
    assert_eq!(outcome("O:BAD:(A;;RP;;;OW)", 0x10), Outcome::Allow);
    assert_eq!(outcome("O:SYD:(A;;RP;;;OW)", 0x10), Outcome::None);
    assert_eq!(outcome("O:BAD:(A;CIIO;RP;;;OW)", 0x2_0000), Outcome::Allow);
}

#[test]
fn deny_only_sids_are_seen_by_denies_alone() {
    let token = Token { deny_only: vec![well_known::BUILTIN_ADMINISTRATORS], ..Token::of([well_known::EVERYONE]) };
    let outcome = |text| check(&sd(text), &token, &Request::new(AccessMask(0x10))).unwrap().outcome;
    assert_eq!(outcome("D:(A;;RP;;;BA)"), Outcome::None);
    assert_eq!(outcome("D:(D;;RP;;;BA)(A;;RP;;;WD)"), Outcome::Deny);
    let owned = check(&sd("O:BAD:"), &token, &Request::new(AccessMask(0x2_0000))).unwrap();
    assert_eq!(owned.outcome, Outcome::None);
}

#[test]
fn self_is_the_object_s_own_sid() {
    let own: Sid = "S-1-5-21-1-2-3-1103".parse().unwrap();
    let descriptor = sd("D:(OA;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;PS)");
    let outcome = |token: &Token, own: Option<&Sid>| check_right(&descriptor, token, names::SEND_AS, own).outcome;
    assert_eq!(outcome(&Token::of([own.clone()]), Some(&own)), Outcome::Allow);
    assert_eq!(outcome(&administrators(), Some(&own)), Outcome::None);
    // A token that holds the SID of SELF itself is not the object.
    assert_eq!(outcome(&Token::of([well_known::SELF]), None), Outcome::None);
}

#[test]
fn privileges_grant_what_no_entry_can() {
    let request = Request::new(AccessMask::ACCESS_SYSTEM_SECURITY | AccessMask::READ_PROPERTY);
    let descriptor = sd("D:(A;;0x10f01ff;;;BA)");
    assert!(!check(&descriptor, &administrators(), &request).unwrap().is_allowed());
    let auditor = Token { security_privilege: true, ..administrators() };
    assert!(check(&descriptor, &auditor, &request).unwrap().is_allowed());
    assert!(!check(&sd("D:"), &auditor, &request).unwrap().is_allowed());
    let taker = Token { take_ownership_privilege: true, ..administrators() };
    let owner = Request::new(AccessMask::WRITE_OWNER);
    assert!(check(&sd("D:(D;;WO;;;BA)"), &taker, &owner).unwrap().is_allowed());
    assert!(!check(&sd("D:(D;;WO;;;BA)"), &administrators(), &owner).unwrap().is_allowed());
}

#[test]
fn maximum_allowed_gives_each_right_that_its_first_entry_allows() {
    let descriptor = sd("D:(A;;RP;;;BA)(D;;RPWP;;;BA)(A;;WPCC;;;BA)(OA;;DC;ab721a54-1e2f-11d0-9819-00aa0040529b;;BA)");
    let ask = |access| check(&descriptor, &administrators(), &Request::new(AccessMask(access))).unwrap();
    assert_eq!(ask(0x200_0000).granted, AccessMask(0x11));
    assert!(ask(0x200_0010).is_allowed());
    assert!(!ask(0x200_0020).is_allowed());
    let nothing = check(&sd("D:"), &administrators(), &Request::new(AccessMask::MAXIMUM_ALLOWED)).unwrap();
    assert_eq!((nothing.is_allowed(), nothing.granted), (false, AccessMask::NONE));
    let all = check(&sd("O:SY"), &administrators(), &Request::new(AccessMask::MAXIMUM_ALLOWED)).unwrap();
    assert_eq!(all.granted, AccessMask::DS_FULL_CONTROL);
}

#[test]
fn generic_rights_mean_what_the_kind_of_object_says() {
    assert_eq!(outcome("D:(A;;GR;;;BA)", 0x2_0094), Outcome::Allow);
    assert_eq!(outcome("D:(A;;LCRPLORC;;;BA)", 0x8000_0000), Outcome::Allow);
    let file = Request { mapping: GenericMapping::FILE, ..Request::new(AccessMask(0x12_0089)) };
    assert!(check(&sd("D:(A;;GR;;;BA)"), &administrators(), &file).unwrap().is_allowed());
    assert!(!check(&sd("D:(A;;GW;;;BA)"), &administrators(), &file).unwrap().is_allowed());
    assert!(check(&sd("D:(A;;GXGRGW;;;BA)"), &administrators(), &file).unwrap().is_allowed());
    let unmapped = Request { mapping: GenericMapping::NONE, ..Request::new(AccessMask::GENERIC_READ) };
    assert!(!check(&sd("D:(A;;GR;;;BA)"), &administrators(), &unmapped).unwrap().is_allowed());
}

const CLASS: &str = "bf967aba-0de6-11d0-a285-00aa003049e2";
const SET: &str = "77b5b886-944a-11d1-aebd-0000f80367c1";
const PHONE: &str = "bf967a49-0de6-11d0-a285-00aa003049e2";
const MAIL: &str = "bf967961-0de6-11d0-a285-00aa003049e2";

/// Class, property set with phone and mail: what each node is granted of RP and WP.
fn nodes(text: &str) -> Vec<u32> {
    let node = |level, guid: &str| TreeNode { level, guid: guid.parse().unwrap() };
    let tree = [node(0, CLASS), node(1, SET), node(2, PHONE), node(2, MAIL)];
    let request = Request::new(AccessMask(0x30)).with_tree(&tree);
    check(&sd(text), &administrators(), &request).unwrap().nodes.iter().map(|granted| granted.0).collect()
}

#[test]
fn a_property_set_covers_its_members_and_is_covered_by_all_of_them() {
    assert_eq!(nodes(&format!("D:(OA;;RP;{SET};;BA)")), [0x10, 0x10, 0x10, 0x10]);
    assert_eq!(nodes(&format!("D:(OA;;RP;{PHONE};;BA)")), [0, 0, 0x10, 0]);
    assert_eq!(nodes(&format!("D:(OA;;RP;{PHONE};;BA)(OA;;RP;{MAIL};;BA)")), [0x10, 0x10, 0x10, 0x10]);
}

#[test]
fn a_deny_on_a_property_denies_the_whole_object_but_not_its_siblings() {
    assert_eq!(nodes(&format!("D:(OD;;RP;{PHONE};;BA)(A;;RP;;;BA)")), [0, 0, 0, 0x10]);
    assert_eq!(nodes(&format!("D:(OA;;RP;{SET};;BA)(OD;;RP;{PHONE};;BA)")), [0x10, 0x10, 0x10, 0x10]);
    assert_eq!(nodes(&format!("D:(OD;;RP;{SET};;BA)(OA;;RP;{PHONE};;BA)")), [0, 0, 0, 0]);
}

#[test]
fn rights_are_decided_bit_by_bit() {
    assert_eq!(nodes(&format!("D:(OD;;WP;{PHONE};;BA)(A;;RPWP;;;BA)")), [0x10, 0x10, 0x10, 0x30]);
}

#[test]
fn without_a_tree_an_object_type_allows_nothing_and_denies_all() {
    assert_eq!(outcome(&format!("D:(OA;;RP;{PHONE};;BA)"), 0x10), Outcome::None);
    assert_eq!(outcome(&format!("D:(OD;;RP;{PHONE};;BA)(A;;RP;;;BA)"), 0x10), Outcome::Deny);
    assert_eq!(outcome("D:(OA;;RP;;;BA)", 0x10), Outcome::Allow);
}

#[test]
fn nodes_must_be_a_tree() {
    let node = |level| TreeNode { level, guid: Guid::default() };
    let ask = |tree: &[TreeNode]| {
        check(&sd("D:"), &administrators(), &Request::new(AccessMask(0x10)).with_tree(tree)).unwrap_err()
    };
    assert_eq!(ask(&[node(1)]), TreeError::Root(0));
    assert_eq!(ask(&[node(0), node(0)]), TreeError::Root(1));
    assert_eq!(ask(&[node(0), node(1), node(3)]), TreeError::Level(2));
}

#[test]
fn a_control_right_is_granted_by_entries_that_name_it_or_none() {
    let right = |text: &str| check_right(&sd(text), &administrators(), names::SEND_AS, None).outcome;
    assert_eq!(right("D:(A;;CR;;;BA)"), Outcome::Allow);
    assert_eq!(right("D:(A;;GA;;;BA)"), Outcome::Allow);
    assert_eq!(right("D:(OA;;CR;ab721a56-1e2f-11d0-9819-00aa0040529b;;BA)"), Outcome::None);
    assert_eq!(right(&format!("D:(OA;;CR;{CLASS};;BA)")), Outcome::None);
    assert_eq!(right("D:(OD;;CR;ab721a56-1e2f-11d0-9819-00aa0040529b;;BA)(A;;CR;;;BA)"), Outcome::Allow);
    assert_eq!(right("D:(A;;RPWP;;;BA)"), Outcome::None);
}

#[test]
fn a_restricted_token_needs_both() {
    let token = Token {
        restricting: Some(vec![well_known::EVERYONE]),
        ..Token::of([well_known::BUILTIN_ADMINISTRATORS, well_known::EVERYONE])
    };
    let ask = |text| check(&sd(text), &token, &Request::new(AccessMask(0x10))).unwrap().is_allowed();
    assert!(!ask("D:(A;;RP;;;BA)"));
    assert!(ask("D:(A;;RP;;;BA)(A;;RP;;;WD)"));
    let maximum = Request::new(AccessMask::MAXIMUM_ALLOWED);
    let verdict = check(&sd("D:(A;;RP;;;BA)(A;;RPWP;;;WD)"), &token, &maximum).unwrap();
    // In order: RP for BA, RPWP for everyone. Alone, everyone has both; the token too.
    assert_eq!((verdict.is_allowed(), verdict.granted), (true, AccessMask(0x30)));
    let apart = check(&sd("D:(D;;WP;;;WD)(A;;WP;;;BA)(A;;RP;;;WD)"), &token, &maximum).unwrap();
    assert_eq!(apart.granted, AccessMask(0x10));
}

#[test]
fn restricting_sids_are_alone_in_their_half() {
    let token = Token {
        deny_only: vec![well_known::AUTHENTICATED_USERS],
        restricting: Some(vec![well_known::EVERYONE]),
        ..administrators()
    };
    // The deny comes too late for the token itself, and the restricting SIDs do not hold it.
    let verdict = check(&sd("D:(A;;RP;;;BA)(D;;RP;;;AU)(A;;RP;;;WD)"), &token, &Request::new(AccessMask(0x10)));
    assert!(verdict.unwrap().is_allowed());
}

#[test]
fn a_node_of_a_restricted_token_is_granted_by_both_halves() {
    let token = Token { restricting: Some(vec![well_known::EVERYONE]), ..administrators() };
    let tree = TreeNode::path(&[CLASS, SET].map(|guid| guid.parse().unwrap()));
    let request = Request::new(AccessMask(0x30)).with_tree(&tree);
    let verdict = check(&sd("D:(A;;RPWP;;;BA)(A;;RP;;;WD)"), &token, &request).unwrap();
    assert_eq!(verdict.nodes, [AccessMask(0x10); 2]);
    assert!(verdict.node_allows(1, AccessMask(0x10)) && !verdict.node_allows(1, AccessMask(0x30)));
    assert!(!verdict.node_allows(2, AccessMask(0x10)) && !verdict.node_allows(1, AccessMask::NONE));
}

#[test]
fn both_halves_may_be_granted_something_and_together_nothing() {
    let token = Token { restricting: Some(vec![well_known::EVERYONE]), ..administrators() };
    let verdict = check(&sd("D:(A;;RP;;;BA)(A;;WP;;;WD)"), &token, &Request::new(AccessMask::MAXIMUM_ALLOWED)).unwrap();
    assert_eq!((verdict.outcome, verdict.granted), (Outcome::None, AccessMask::NONE));
}

#[test]
fn a_deny_in_one_half_is_a_deny() {
    let token = Token { restricting: Some(vec![well_known::EVERYONE]), ..administrators() };
    let request = Request::new(AccessMask::MAXIMUM_ALLOWED | AccessMask::READ_PROPERTY);
    let verdict = check(&sd("D:(A;;RP;;;BA)(D;;RP;;;WD)(A;;WP;;;WD)"), &token, &request).unwrap();
    assert_eq!((verdict.outcome, verdict.ace), (Outcome::Deny, Some(1)));
}

#[test]
fn the_trace_says_which_entry_decided_each_right() {
    let mut steps: Vec<Step> = Vec::new();
    let descriptor = sd("O:BAD:(A;;RP;;;BA)(A;;CC;;;BA)(A;;WPCR;;;BA)(D;;WP;;;BA)");
    let request = Request::new(AccessMask(0x2_0130));
    let verdict = check_with(&descriptor, &administrators(), &request, &mut steps).unwrap();
    let ace = |index, allowed| Step::Ace { index, node: 0, allowed: AccessMask(allowed), denied: AccessMask::NONE };
    assert_eq!(steps, [Step::Owner(AccessMask(0x2_0000)), ace(0, 0x10), ace(2, 0x120)]);
    assert_eq!((verdict.outcome, verdict.ace), (Outcome::Allow, Some(2)));
}

#[test]
fn the_hot_path_traces_what_it_decided() {
    let descriptor = sd("O:BAD:(A;;RP;;;BA)(OD;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;BA)(A;;CR;;;BA)");
    let dacl = CompiledDacl::compile(&descriptor, &mut |_| SidId(7));
    let token: SidSet = [SidId(7)].into_iter().collect();
    let mut steps: Vec<Step> = Vec::new();
    let who = Principals::default();
    assert_eq!(dacl.trace_control_access(&token, who, &names::SEND_AS, &mut steps).outcome, Outcome::Deny);
    let denied = AccessMask::CONTROL_ACCESS;
    assert_eq!(steps, [Step::Ace { index: 1, node: 0, allowed: AccessMask::NONE, denied }]);
    steps.clear();
    assert_eq!(dacl.trace_control_access(&token, who, &names::RECEIVE_AS, &mut steps).ace, Some(2));
    assert_eq!(steps, [Step::Ace { index: 2, node: 0, allowed: denied, denied: AccessMask::NONE }]);
    steps.clear();
    let path = [names::USER];
    assert!(dacl.trace_property_access(&token, who, AccessMask(0x10), &path, &mut steps).is_allowed());
    assert_eq!(steps.len(), 1);
}

#[test]
fn a_null_dacl_is_traced_as_such() {
    let mut steps: Vec<Step> = Vec::new();
    let null = sd("D:NO_ACCESS_CONTROL");
    check_with(&null, &administrators(), &Request::new(AccessMask(0x10)), &mut steps).unwrap();
    assert_eq!(steps, [Step::NullDacl]);
    steps.clear();
    let dacl = CompiledDacl::compile(&null, &mut |_| SidId(0));
    let token: SidSet = [SidId(7)].into_iter().collect();
    let who = Principals::default();
    assert!(dacl.trace_control_access(&token, who, &names::SEND_AS, &mut steps).is_allowed());
    assert!(dacl.trace_access(&token, who, AccessMask(0x10), &mut steps).is_allowed());
    assert_eq!(steps, [Step::NullDacl, Step::NullDacl]);
    assert_eq!(dacl.maximum_access(&token, who), AccessMask::DS_FULL_CONTROL);
    assert_eq!(dacl.maximum_access(&SidSet::default(), who), AccessMask::NONE);
    assert!(!dacl.control_access(&SidSet::default(), who, &names::SEND_AS).is_allowed());
    assert!(!dacl.access(&SidSet::default(), who, AccessMask(0x10)).is_allowed());
    assert!(dacl.access(&token, who, AccessMask::MAXIMUM_ALLOWED | AccessMask(0x10)).is_allowed());
    assert!(!dacl.access(&SidSet::default(), who, AccessMask::MAXIMUM_ALLOWED).is_allowed());
}

#[test]
fn two_rights_with_one_fingerprint_are_told_apart() {
    // The fingerprint xors rotated words: moving a rotated byte from one word to the next keeps it.
    let mut one = Guid::default();
    let mut other = Guid::default();
    one.0[0] = 1;
    other.0[7] = 1;
    let text = format!("D:(OA;;CR;{one};;BA)(OD;;CR;{other};;BA)");
    let dacl = CompiledDacl::compile(&sd(&text), &mut |_| SidId(7));
    let token: SidSet = [SidId(7)].into_iter().collect();
    let who = Principals::default();
    assert_eq!(dacl.control_access(&token, who, &one).outcome, Outcome::Allow);
    assert_eq!(dacl.control_access(&token, who, &other).outcome, Outcome::Deny);
    let mut third = Guid::default();
    third.0[10] = 1;
    assert_eq!(dacl.control_access(&token, who, &third).outcome, Outcome::None);
}

#[test]
fn a_list_that_nobody_could_have_stored_grants_nothing() {
    let ace = acl::Ace::allow(well_known::EVERYONE, AccessMask::DS_FULL_CONTROL);
    let list = |count| SecurityDescriptor::with_dacl(acl::Acl::new(vec![ace.clone(); count]));
    let longest = CompiledDacl::compile(&list(65_535), &mut |_| SidId(7));
    let huge = list(65_536);
    let dacl = CompiledDacl::compile(&huge, &mut |_| SidId(7));
    let token: SidSet = [SidId(7)].into_iter().collect();
    let who = Principals { is_self: true, is_owner: true };
    assert!(longest.access(&token, who, AccessMask(0x10)).is_allowed());
    assert_eq!(dacl.access(&token, who, AccessMask(0x10)).outcome, Outcome::None);
    assert_eq!(dacl.access(&token, who, AccessMask(0x2_0000)).outcome, Outcome::None);
    assert_eq!(dacl.control_access(&token, who, &names::SEND_AS).outcome, Outcome::None);
    assert_eq!(dacl.property_access(&token, who, AccessMask(0x10), &[names::USER]).outcome, Outcome::None);
}

#[test]
fn self_and_owner_rights_are_not_taken_for_the_first_sid_of_the_table() {
    let descriptor = sd("O:SYD:(A;;RPCR;;;PS)(A;;WPCR;;;OW)");
    let dacl = CompiledDacl::compile(&descriptor, &mut |_| SidId(7));
    let first: SidSet = [SidId(0)].into_iter().collect();
    let nobody = Principals::default();
    let own = Principals { is_self: true, is_owner: false };
    let owner = Principals { is_self: false, is_owner: true };
    assert_eq!(dacl.access(&first, nobody, AccessMask(0x30)).outcome, Outcome::None);
    assert_eq!(dacl.control_access(&first, nobody, &names::SEND_AS).outcome, Outcome::None);
    assert_eq!(dacl.access(&first, own, AccessMask(0x10)).ace, Some(0));
    assert_eq!(dacl.access(&first, owner, AccessMask(0x20)).ace, Some(1));
    assert_eq!(dacl.control_access(&first, owner, &names::SEND_AS).ace, Some(1));
}

#[test]
fn a_compiled_dacl_is_small() {
    let aces = "(OA;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;BA)".repeat(50);
    let dacl = CompiledDacl::compile(&sd(&format!("D:{aces}")), &mut |_| SidId(7));
    // A right costs 28 bytes, an entry 12, one that holds a control right 8 more.
    assert_eq!(dacl.heap_size(), 28 + 50 * 20);
    let conditional = CompiledDacl::compile(&sd("D:(XA;;RP;;;BA;(x))(XA;;RP;;;BA;(x))"), &mut |_| SidId(7));
    assert_eq!(conditional.heap_size(), 4 + 2 * 12 + 2 * 24);
    let null = CompiledDacl::compile(&sd("D:NO_ACCESS_CONTROL"), &mut |_| SidId(7));
    assert_eq!(null.heap_size(), 4);
}

#[test]
fn a_sid_set_holds_what_was_put_in_and_nothing_else() {
    for size in [0u32, 1, 2, 3, 10, 50, 200, 1_000] {
        let set: SidSet = (0..size).map(|i| SidId(i * 3)).chain([SidId(u32::MAX)]).collect();
        assert_eq!(set.len(), size as usize);
        assert_eq!(set.is_empty(), size == 0);
        assert!((0..size * 3).all(|i| set.contains(SidId(i)) == (i % 3 == 0)));
        assert!(!set.contains(SidId(u32::MAX)));
        let mut ids: Vec<u32> = set.iter().map(|id| id.0).collect();
        ids.sort_unstable();
        assert!(ids.iter().copied().eq((0..size).map(|i| i * 3)));
        let again: SidSet = ids.iter().rev().chain(&ids).map(|id| SidId(*id)).collect();
        assert_eq!(again, set);
    }
}

#[test]
fn a_sid_set_is_printed_as_its_numbers() {
    let set: SidSet = [SidId(7)].into_iter().collect();
    assert_eq!(format!("{set:?}"), "{7}");
}

#[test]
fn a_sid_set_is_not_fooled_by_hashes_that_meet() {
    let id = |n: u32| SidId((u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 17) as u32 % 1_000_000);
    let set: SidSet = (0..200).map(id).collect();
    let members: Vec<SidId> = set.iter().collect();
    assert!((200..20_000).all(|n| set.contains(id(n)) == members.contains(&id(n))));
}

#[test]
fn guids_that_differ_in_one_byte_are_told_apart() {
    let descriptor = sd(&format!("D:(OA;;CR;{};;BA)(OA;;RP;{};;BA)", names::SEND_AS, names::PERSONAL_INFORMATION));
    let dacl = CompiledDacl::compile(&descriptor, &mut |_| SidId(7));
    let token: SidSet = [SidId(7)].into_iter().collect();
    let who = Principals::default();
    for byte in 0..16 {
        let other = |guid: Guid| {
            let mut other = guid;
            other.0[byte] ^= 1;
            other
        };
        assert_eq!(dacl.control_access(&token, who, &other(names::SEND_AS)).outcome, Outcome::None);
        let path = [other(names::PERSONAL_INFORMATION)];
        assert_eq!(dacl.property_access(&token, who, AccessMask(0x10), &path).outcome, Outcome::None);
    }
}

fn truth(condition: &str, claims: &[(&str, ClaimValues)]) -> Truth {
    let descriptor = sd(&format!("D:(XA;;RP;;;WD;{condition})"));
    let expression = Expression::parse(&descriptor.dacl.unwrap().aces[0].data).unwrap();
    let user: Vec<Claim> =
        claims.iter().map(|(name, values)| Claim { name: (*name).into(), flags: 0, values: values.clone() }).collect();
    let nobody = |_: &Sid| false;
    let administrator = |sid: &Sid| *sid == well_known::BUILTIN_ADMINISTRATORS;
    let facts =
        Facts { member: &administrator, device_member: &nobody, local: &user, user: &user, device: &[], resource: &[] };
    expression.evaluate(&facts)
}

#[test]
fn a_missing_claim_makes_a_comparison_unknown_but_false_and_true_win() {
    assert_eq!(truth("(@User.x == 1)", &[]), Truth::Unknown);
    assert_eq!(truth("(@User.x == 1 && Member_of {SID(SY)})", &[]), Truth::False);
    assert_eq!(truth("(@User.x == 1 || Member_of {SID(BA)})", &[]), Truth::True);
    assert_eq!(truth("(@User.x == 1 && Member_of {SID(BA)})", &[]), Truth::Unknown);
    assert_eq!(truth("(@User.x == 1 || Member_of {SID(SY)})", &[]), Truth::Unknown);
    assert_eq!(truth("(!(@User.x == 1))", &[]), Truth::Unknown);
    assert_eq!(truth("(Exists @User.x)", &[]), Truth::False);
    assert_eq!(truth("(Not_Exists @User.x)", &[]), Truth::True);
}

#[test]
fn values_are_compared_by_type() {
    let number = [("x", ClaimValues::Integers(vec![5]))];
    let text = [("x", ClaimValues::Strings(vec!["Blue".into()]))];
    for (condition, claims, expected) in [
        ("(@User.x == 5)", &number, Truth::True),
        ("(@User.x != 5)", &number, Truth::False),
        ("(@User.x < 5)", &number, Truth::False),
        ("(@User.x <= 5)", &number, Truth::True),
        ("(@User.x > 4)", &number, Truth::True),
        ("(@User.x >= 6)", &number, Truth::False),
        ("(@User.X == 5)", &number, Truth::True),
        ("(@User.x == \"5\")", &number, Truth::Unknown),
        ("(@User.x)", &number, Truth::True),
        ("(x)", &number, Truth::True),
        ("(@User.x == \"BLUE\")", &text, Truth::True),
        ("(@User.x < \"red\")", &text, Truth::True),
        ("(@User.x)", &text, Truth::True),
    ] {
        assert_eq!(truth(condition, claims), expected, "{condition}");
    }
}

#[test]
fn sets_are_compared_whatever_their_order() {
    let colours = [("x", ClaimValues::Strings(vec!["blue".into(), "red".into()]))];
    for (condition, expected) in [
        ("(@User.x == {\"red\", \"blue\"})", Truth::True),
        ("(@User.x == \"red\")", Truth::False),
        ("(@User.x != \"red\")", Truth::True),
        ("(@User.x Contains \"red\")", Truth::True),
        ("(@User.x Contains {\"red\", \"green\"})", Truth::False),
        ("(@User.x Not_Contains {\"red\", \"green\"})", Truth::True),
        ("(@User.x Any_of {\"red\", \"green\"})", Truth::True),
        ("(@User.x Any_of {\"pink\", \"green\"})", Truth::False),
        ("(@User.x Not_Any_of {\"pink\", \"green\"})", Truth::True),
        ("(@User.x < \"red\")", Truth::Unknown),
        ("(@User.x)", Truth::Unknown),
    ] {
        assert_eq!(truth(condition, &colours), expected, "{condition}");
    }
}

#[test]
fn sids_are_equal_or_not_and_nothing_else() {
    let claims = [("x", ClaimValues::Sids(vec![well_known::BUILTIN_ADMINISTRATORS]))];
    assert_eq!(truth("(@User.x == SID(BA))", &claims), Truth::True);
    assert_eq!(truth("(@User.x == SID(SY))", &claims), Truth::False);
    assert_eq!(truth("(@User.x < SID(SY))", &claims), Truth::Unknown);
}

#[test]
fn case_counts_where_the_claim_says_so() {
    let claim = |flags| Claim { name: "x".into(), flags, values: ClaimValues::Strings(vec!["blue".into()]) };
    let token = |flags| Token { user_claims: vec![claim(flags)], ..administrators() };
    let descriptor = sd("D:(XA;;RP;;;BA;(@User.x == \"BLUE\"))");
    let ask = |flags| check(&descriptor, &token(flags), &Request::new(AccessMask(0x10))).unwrap().is_allowed();
    assert!(ask(0));
    assert!(!ask(Claim::CASE_SENSITIVE));
}

#[test]
fn what_is_no_condition_allows_nothing_and_denies() {
    for condition in ["", ";(Member_of {5})", ";(@User.missing)"] {
        assert_eq!(outcome(&format!("D:(XA;;RP;;;BA{condition})"), 0x10), Outcome::None);
        assert_eq!(outcome(&format!("D:(XD;;RP;;;BA{condition})(A;;RP;;;BA)"), 0x10), Outcome::Deny);
    }
    assert_eq!(outcome("D:(XD;;RP;;;BA;(Member_of {SID(SY)}))(A;;RP;;;BA)", 0x10), Outcome::Allow);
    assert_eq!(outcome("D:(XA;;RP;;;BA;(Member_of {SID(BA)}))", 0x10), Outcome::Allow);
    assert_eq!(outcome("D:(XA;;RP;;;BA;(Device_Member_of {SID(BA)}))", 0x10), Outcome::None);
    assert_eq!(outcome("D:(XA;;RP;;;BA;(Not_Device_Member_of_Any {SID(BA)}))", 0x10), Outcome::Allow);
}
