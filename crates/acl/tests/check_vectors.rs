//! AccessCheck against verdicts of others: conditions (Samba's tests), object trees (Samba 4.17).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use acl::check::{Request, Token, TreeNode, check};
use acl::condition::{Claim, ClaimValues};
use acl::{AccessMask, Ace, AceType, GenericMapping, Guid, SddlContext, SecurityDescriptor, Sid, well_known};
use serde_json::Value;

#[test]
fn conditions_decide_as_in_the_tests_of_samba() {
    let Some(file) = common::json("conditional-evaluation.json", 47) else { return };
    let context = SddlContext::of_domain(file["domain_sid"].as_str().unwrap().parse().unwrap());
    let cases = file["cases"].as_array().unwrap();
    let mut good = 0;
    for case in cases {
        let sd = SecurityDescriptor::from_sddl(case["sddl"].as_str().unwrap(), &context).unwrap();
        let token = token(&case["token"], &context);
        // The cases without a mask of their own ask for SEC_FILE_ALL, 0x1ff; the file has it as SEC_RIGHTS_FILE_ALL,
        // which no descriptor of theirs grants.
        let access = match case["access_desired"].as_u64().unwrap() {
            0x1F_01FF => AccessMask(0x1FF),
            other => AccessMask(u32::try_from(other).unwrap()),
        };
        let request = Request { mapping: GenericMapping::FILE, ..Request::new(access) };
        let allowed = check(&sd, &token, &request).unwrap().is_allowed();
        if allowed == (case["expect"] == "allow") {
            good += 1;
        } else {
            println!("{} expected {}", case["sddl"], case["expect"]);
        }
    }
    println!("conditional-evaluation.json: {good}/{}", cases.len());
    assert_eq!((good, cases.len()), (47, 47));
}

fn token(description: &Value, context: &SddlContext) -> Token {
    let sids = |name: &str| -> Vec<Sid> {
        let texts = description[name].as_array().map_or(&[][..], Vec::as_slice);
        let sid = |text: &Value| {
            let sddl = format!("O:{}", text.as_str().unwrap());
            SecurityDescriptor::from_sddl(&sddl, context).unwrap().owner.unwrap()
        };
        texts.iter().map(sid).collect()
    };
    let claims = |name: &str| -> Vec<Claim> {
        let claims = description[name].as_object().into_iter().flatten();
        let claim = |(name, value): (&String, &Value)| {
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            let values = match &values[0] {
                Value::String(_) => {
                    ClaimValues::Strings(values.iter().map(|v| v.as_str().unwrap().to_owned()).collect())
                }
                _ => ClaimValues::Integers(values.iter().map(|v| v.as_i64().unwrap()).collect()),
            };
            Claim { name: name.clone(), flags: 0, values }
        };
        claims.map(claim).collect()
    };
    Token {
        sids: sids("sids"),
        device_sids: sids("device_sids"),
        user_claims: claims("user_claims"),
        device_claims: claims("device_claims"),
        ..Token::default()
    }
}

struct Case {
    sd: SecurityDescriptor,
    token: Vec<Sid>,
    access: u32,
    tree: Vec<Guid>,
    self_sid: Option<Sid>,
}

/// What Samba 4.17 does (`sec_access_check_ds`), as `acl-algorithms.md` 1.1 and 1.2 describe it, with the reasons why it
/// differs from Windows for this input.
fn samba(case: &Case) -> (bool, Vec<&'static str>) {
    let mut reasons = Vec::new();
    let holds = |sid: &Sid| case.token.contains(sid);
    let mut remaining = case.access;
    if case.sd.owner.as_ref().is_some_and(holds) {
        remaining &= !0x6_0000;
    }
    // The owner's bits are not taken from the tree.
    let mut nodes = vec![case.access; case.tree.len()];
    let dacl = case.sd.dacl.as_ref().unwrap();
    for ace in dacl.aces.iter().filter(|ace| ace.is_effective()) {
        let trustee = if ace.sid == well_known::SELF { case.self_sid.as_ref() } else { Some(&ace.sid) };
        if !trustee.is_some_and(holds) {
            continue;
        }
        let mask = ace.mask.map_generic(&GenericMapping::DIRECTORY).0;
        match ace.ace_type {
            AceType::ALLOWED => {
                remaining &= !mask;
                nodes.iter_mut().for_each(|node| *node &= !mask);
            }
            AceType::DENIED if remaining & mask != 0 => return (false, reasons),
            AceType::ALLOWED_OBJECT | AceType::DENIED_OBJECT => {
                let Some(at) = node_of(ace, &case.tree) else { continue };
                if ace.ace_type == AceType::DENIED_OBJECT {
                    if nodes[at] & mask != 0 {
                        return (false, reasons);
                    }
                    continue;
                }
                nodes[at..].iter_mut().for_each(|node| *node &= !mask);
                if nodes[at] == 0 {
                    reasons.push("1.2: a node that has all is the verdict, whatever follows or is above");
                    return (true, reasons);
                }
                if mask & 0x100 != 0 {
                    reasons.push("1.2: an object ACE with CR grants whatever was asked");
                    return (true, reasons);
                }
            }
            _ => {}
        }
        if remaining == 0 {
            return (true, reasons);
        }
    }
    if remaining != 0 && nodes.first().is_some_and(|node| *node != case.access) {
        reasons.push("1.2: the final verdict looks at plain ACEs only");
    }
    (remaining == 0, reasons)
}

fn node_of(ace: &Ace, tree: &[Guid]) -> Option<usize> {
    match ace.object_type {
        None => Some(0),
        Some(guid) => tree.iter().position(|node| *node == guid),
    }
}

#[test]
fn object_trees_decide_as_samba_does_except_where_samba_deviates() {
    let Some(rows) = common::json_lines("object-access-check.jsonl", 2319) else { return };
    let sid = |value: &Value| value.as_str().map(|text| text.parse::<Sid>().unwrap());
    let (mut same, mut unexplained) = (0, 0);
    let mut explained: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, row) in rows.iter().enumerate() {
        let case = Case {
            sd: SecurityDescriptor::from_sddl(row["sddl"].as_str().unwrap(), &SddlContext::default()).unwrap(),
            token: row["token"].as_array().unwrap().iter().filter_map(sid).collect(),
            access: u32::try_from(row["access"].as_u64().unwrap()).unwrap(),
            tree: row["tree"].as_array().unwrap().iter().map(|g| g.as_str().unwrap().parse().unwrap()).collect(),
            self_sid: sid(&row["self"]),
        };
        let tree = TreeNode::path(&case.tree);
        let request = Request::new(AccessMask(case.access)).with_tree(&tree).with_self(case.self_sid.as_ref());
        let allowed = check(&case.sd, &Token::of(case.token.clone()), &request).unwrap().is_allowed();
        let theirs = row["allowed"].as_bool().unwrap();
        if allowed == theirs {
            same += 1;
            continue;
        }
        let (model, reasons) = samba(&case);
        if model == theirs && !reasons.is_empty() {
            explained.entry(reasons.join("; ")).or_default().push(number + 1);
        } else {
            println!("line {}: ours {allowed}, Samba {theirs}, its model {model} {reasons:?}: {row}", number + 1);
            unexplained += 1;
        }
    }
    let differences: usize = explained.values().map(Vec::len).sum();
    println!("object-access-check.jsonl: {same} the same, {differences} explained, {unexplained} unexplained of 2319");
    for (reason, lines) in &explained {
        println!("  acl-algorithms.md {reason}: {} lines {lines:?}", lines.len());
    }
    assert_eq!(unexplained, 0);
}
