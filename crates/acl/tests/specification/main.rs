//! The engine against an executable specification: a slow, literal reading of the algorithms, on random inputs.
//!
//! `PROCURA_CASES` sets the number of inputs of each comparison (default 4,000).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod inputs;
mod spec;

use acl::check::{Request, Step, Token, TreeNode, check, check_right, check_with};
use acl::{AccessMask, Acl, CompiledDacl, InheritContext, Outcome, Principals, SidId, SidSet, inherited_aces};
use inputs::{Input, UNIVERSE};
use proptest::prelude::*;

fn config() -> ProptestConfig {
    let cases = std::env::var("PROCURA_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(4_000);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn id(sid: &acl::Sid) -> SidId {
    SidId(UNIVERSE.iter().position(|other| other == sid).map_or(999, |at| at as u32 * 7 + 1))
}

/// The hot path's view of an input: only where it has the same means (no deny-only SIDs, privileges, restriction).
fn compiled(input: &Input) -> (CompiledDacl, SidSet, Principals) {
    let dacl = CompiledDacl::compile(&input.sd, &mut |sid| id(sid));
    let who = Principals {
        is_self: input.self_sid.as_ref().is_some_and(|sid| input.token.sids.contains(sid)),
        is_owner: input.sd.owner.as_ref().is_some_and(|sid| input.token.sids.contains(sid)),
    };
    (dacl, input.token.sids.iter().map(id).collect(), who)
}

fn plain(input: &Input) -> Input {
    let token = Token { sids: input.token.sids.clone(), ..Token::default() };
    Input { token, ..input.clone() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_check_of_the_whole_object_is_what_the_specification_says(input in inputs::input()) {
        let request = Request::new(input.access).with_self(input.self_sid.as_ref());
        let verdict = check(&input.sd, &input.token, &request).unwrap();
        let expected = spec::access_check(&input);
        prop_assert_eq!((verdict.is_allowed(), verdict.granted), expected);
    }

    #[test]
    fn the_hot_path_gives_the_verdict_of_the_full_check(input in inputs::input()) {
        let input = plain(&input);
        let request = Request::new(input.access).with_self(input.self_sid.as_ref());
        let verdict = check(&input.sd, &input.token, &request).unwrap();
        let (dacl, token, who) = compiled(&input);
        let fast = dacl.access(&token, who, input.access);
        if input.access.intersects(AccessMask::MAXIMUM_ALLOWED) {
            prop_assert_eq!(fast.is_allowed(), verdict.is_allowed());
        } else {
            prop_assert_eq!((fast.outcome, fast.ace), (verdict.outcome, verdict.ace));
        }
        if !input.access.intersects(AccessMask::MAXIMUM_ALLOWED) {
            let (mut full, mut short) = (Vec::new(), Vec::new());
            check_with(&input.sd, &input.token, &request, &mut full).unwrap();
            full.retain(|step| !matches!(step, Step::PrivilegeMissing));
            prop_assert_eq!(dacl.trace_access(&token, who, input.access, &mut short), fast);
            if !token.is_empty() {
                prop_assert_eq!(short, full);
            }
        }
        let maximum = Request { access: AccessMask::MAXIMUM_ALLOWED, ..request };
        prop_assert_eq!(dacl.maximum_access(&token, who), check(&input.sd, &input.token, &maximum).unwrap().granted);
    }

    #[test]
    fn a_control_access_right_is_decided_by_the_first_ace_that_names_it_or_none(input in inputs::input(), right in inputs::guid()) {
        let input = plain(&input);
        let expected = spec::control_right(&input, &right);
        let verdict = check_right(&input.sd, &input.token, right, input.self_sid.as_ref());
        prop_assert_eq!((verdict.outcome, verdict.ace), expected);
        let (dacl, token, who) = compiled(&input);
        let fast = dacl.control_access(&token, who, &right);
        prop_assert_eq!((fast.outcome, fast.ace), expected);
    }

    #[test]
    fn every_node_of_an_object_tree_is_decided_as_the_specification_says(input in inputs::input(), tree in inputs::tree()) {
        let request = Request::new(input.access).with_self(input.self_sid.as_ref()).with_tree(&tree);
        let verdict = check(&input.sd, &input.token, &request).unwrap();
        let expected = spec::tree(&input, &tree);
        prop_assert_eq!(&verdict.nodes, &expected);
    }

    #[test]
    fn a_property_is_decided_as_the_leaf_of_its_path(input in inputs::input(), path in inputs::path()) {
        let mut input = plain(&input);
        input.access &= !AccessMask::MAXIMUM_ALLOWED;
        let tree = TreeNode::path(&path);
        let request = Request::new(input.access).with_self(input.self_sid.as_ref()).with_tree(&tree);
        let verdict = check(&input.sd, &input.token, &request).unwrap();
        let (dacl, token, who) = compiled(&input);
        let fast = dacl.property_access(&token, who, input.access, &path);
        let asked = input.access.map_generic(&acl::GenericMapping::DIRECTORY);
        prop_assert_eq!(fast.is_allowed(), verdict.node_allows(path.len() - 1, asked));
        prop_assert_eq!((fast.outcome, fast.ace), (verdict.outcome, verdict.ace));
    }

    #[test]
    fn a_restricted_token_gets_what_both_its_halves_get(input in inputs::input(), restricting in inputs::sids()) {
        let request = Request::new(input.access).with_self(input.self_sid.as_ref());
        let token = Token { restricting: Some(restricting.clone()), ..input.token.clone() };
        let both = check(&input.sd, &token, &request).unwrap();
        let first = check(&input.sd, &input.token, &request).unwrap();
        let half = Token { sids: restricting, deny_only: Vec::new(), ..input.token.clone() };
        let second = check(&input.sd, &half, &request).unwrap();
        let granted = first.granted & second.granted;
        prop_assert_eq!(both.is_allowed(), first.is_allowed() && second.is_allowed() && !granted.is_empty());
        prop_assert_eq!(both.granted, if both.is_allowed() { granted } else { AccessMask::NONE });
    }

    #[test]
    fn a_child_inherits_what_the_specification_says(input in inputs::input(), classes in inputs::classes(), group in inputs::sid()) {
        let owner = input.sd.owner.clone();
        let parent = input.sd.dacl.clone().unwrap_or_default();
        let cx = InheritContext { classes: &classes, owner: owner.as_ref(), group: Some(&group) };
        prop_assert_eq!(inherited_aces(&parent, &cx), spec::inherit(&parent, &classes, owner.as_ref(), &group));
    }

    #[test]
    fn what_a_child_passes_on_is_marked_as_inherited_and_never_grows(input in inputs::input(), classes in inputs::classes()) {
        let cx = InheritContext { classes: &classes, owner: None, group: None };
        let parent = input.sd.dacl.clone().unwrap_or_default();
        let child = Acl::new(inherited_aces(&parent, &cx));
        let grandchild = inherited_aces(&child, &cx);
        prop_assert!(child.aces.iter().chain(&grandchild).all(acl::Ace::is_inherited));
        prop_assert!(grandchild.len() <= child.aces.len() * 2);
    }

    #[test]
    fn a_descriptor_survives_bytes_and_sddl(input in inputs::input()) {
        let context = acl::SddlContext::default();
        let bytes = input.sd.to_bytes();
        let parsed = acl::SecurityDescriptor::parse(&bytes).unwrap();
        prop_assert_eq!(&parsed.to_bytes(), &bytes);
        let text = parsed.to_sddl(&context);
        let reread = acl::SecurityDescriptor::from_sddl(&text, &context).unwrap();
        prop_assert_eq!(reread.to_sddl(&context), text);
    }
}

/// The random inputs must reach every outcome often, or the comparisons above say little.
#[test]
fn random_inputs_reach_every_outcome() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut outcomes, mut late) = ([0; 3], 0);
    for _ in 0..4_000 {
        let input = inputs::input().new_tree(&mut runner).unwrap().current();
        let request = Request::new(input.access).with_self(input.self_sid.as_ref());
        let verdict = check(&input.sd, &input.token, &request).unwrap();
        outcomes[match verdict.outcome {
            Outcome::Allow => 0,
            Outcome::Deny => 1,
            Outcome::None => 2,
        }] += 1;
        late += usize::from(verdict.ace.is_some_and(|ace| ace >= 5));
    }
    println!("allowed, denied, undecided of 4000: {outcomes:?}; decided by the sixth ACE or a later one: {late}");
    assert!(outcomes.iter().all(|count| *count > 400) && late > 100, "{outcomes:?} {late}");
}
