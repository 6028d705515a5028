//! What must hold for any input: by fuzzing (`fuzz/fuzz_targets/acl_*.rs`) and on the corpus that it left.
#![allow(dead_code, reason = "each fuzz target uses one")]
#![allow(clippy::unwrap_used, reason = "a broken promise is to be seen")]

use acl::check::{Request, Token, check};
use acl::condition::{Claim, ClaimValues, Expression, Facts};
use acl::describe::Description;
use acl::{AccessMask, Ace, AceType, Acl, CompiledDacl, InheritContext, Principals, SddlContext, SecurityDescriptor};
use acl::{Sid, SidId, inherited_aces, well_known};

fn context(lenient: bool) -> SddlContext {
    SddlContext { domain: Some(Sid::new(5, &[21, 1, 2, 3])), root_domain: None, lenient }
}

/// What can be read can be written, and reads the same again; nothing that is done with it panics.
pub fn descriptor_holds(input: &[u8]) {
    let Ok(sd) = SecurityDescriptor::parse(input) else { return };
    let bytes = sd.to_bytes();
    let again = SecurityDescriptor::parse(&bytes).unwrap();
    assert_eq!(again, sd);
    assert_eq!(again.to_bytes(), bytes);
    text_is_stable(&sd);
    both_engines_agree(&sd);
    for acl in [&sd.dacl, &sd.sacl].into_iter().flatten() {
        let cx = InheritContext { classes: &[acl::names::USER], owner: sd.owner.as_ref(), group: None };
        let _ = inherited_aces(acl, &cx);
        acl.aces.iter().for_each(|ace| drop(Description::of(ace).to_string()));
        entries_stand_alone(acl);
    }
}

/// A text that is read is written, and what is written reads as the same text.
pub fn sddl_holds(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let context = context(first & 1 != 0);
    match SecurityDescriptor::from_sddl(text, &context) {
        Ok(sd) => {
            text_is_stable(&sd);
            SecurityDescriptor::parse(&sd.to_bytes()).unwrap();
            both_engines_agree(&sd);
        }
        Err(error) => {
            // The place is in the text, and at the border of characters.
            assert!(text.get(error.offset..error.offset + error.length).is_some(), "{error:?}");
        }
    }
}

/// Programs and claims survive bytes and text; both ways to evaluate a program agree, with claims about the object; and
/// claims about everybody else do no harm.
pub fn condition_holds(input: &[u8]) {
    let data = [b"artx", input].concat();
    let claims = known_claims();
    let claim_ace = |data: &[u8]| Ace {
        data: data.into(),
        ..Ace::new(AceType::RESOURCE_ATTRIBUTE, well_known::EVERYONE, AccessMask::NONE)
    };
    let program_ace =
        |kind| Ace { data: data.clone().into(), ..Ace::new(kind, well_known::EVERYONE, AccessMask::READ_PROPERTY) };
    if let Ok(claim) = Claim::parse(input) {
        assert_eq!(Claim::parse(&claim.to_bytes()).unwrap(), claim);
        let sacl = Some(Acl::new(vec![claim_ace(input)]));
        text_is_stable(&SecurityDescriptor { sacl, ..SecurityDescriptor::default() });
    }
    if let Ok(expression) = Expression::parse(&data) {
        let bytes = expression.to_bytes();
        assert_eq!(Expression::parse(&bytes).unwrap(), expression);
        text_is_stable(&SecurityDescriptor::with_dacl(Acl::new(vec![program_ace(AceType::ALLOWED_CALLBACK)])));
        let member = |sid: &Sid| *sid == well_known::BUILTIN_ADMINISTRATORS;
        let facts = Facts {
            member: &member,
            device_member: &member,
            local: &claims,
            user: &claims,
            device: &claims,
            resource: &claims,
        };
        let _ = expression.evaluate(&facts);
    }
    // Allowed before denied: true, false and unknown give three verdicts.
    let aces = [AceType::ALLOWED_CALLBACK, AceType::DENIED_CALLBACK].map(program_ace);
    let mut sd = SecurityDescriptor::with_dacl(Acl::new(aces.into()));
    let known = claims.iter().map(|claim| claim_ace(&claim.to_bytes()));
    sd.sacl = Some(Acl::new(known.chain([claim_ace(input)]).collect()));
    both_engines_agree_on(&sd, &[AccessMask::READ_PROPERTY]);
}

/// Claims that programs can name, one of each kind of value that compares in its own way.
fn known_claims() -> [Claim; 4] {
    let claim = |name: &str, values| Claim { name: name.into(), flags: 0, values };
    [
        claim("i", ClaimValues::Integers(vec![1, -2])),
        claim("b", ClaimValues::Booleans(vec![1])),
        claim("s", ClaimValues::Strings(vec!["a".into()])),
        claim("d", ClaimValues::Sids(vec![well_known::BUILTIN_ADMINISTRATORS])),
    ]
}

/// Each entry reads alone as it does in its list.
fn entries_stand_alone(acl: &Acl) {
    let mut bytes = Vec::new();
    for ace in &acl.aces {
        bytes.clear();
        ace.write_to(&mut bytes);
        assert_eq!(Ace::parse(&bytes).unwrap(), (ace.clone(), bytes.len()));
    }
}

fn text_is_stable(sd: &SecurityDescriptor) {
    // Leniently: bytes allow SIDs without sub-authorities.
    let context = context(true);
    let text = sd.to_sddl(&context);
    // What only bytes can hold (ACEs with GUIDs and conditions beyond what SDDL knows) is left out of the text.
    let again = SecurityDescriptor::from_sddl(&text, &context).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(again.to_sddl(&context), text);
}

fn both_engines_agree(sd: &SecurityDescriptor) {
    both_engines_agree_on(sd, &[AccessMask::READ_PROPERTY, AccessMask(0x130), AccessMask(0x6_0000)]);
}

fn both_engines_agree_on(sd: &SecurityDescriptor, masks: &[AccessMask]) {
    let sids = [well_known::EVERYONE, well_known::BUILTIN_ADMINISTRATORS, Sid::new(5, &[21, 1, 2, 3, 512])];
    let token = Token::of(sids.clone());
    let owner = sd.owner.as_ref().is_some_and(|owner| sids.contains(owner));
    let mut table: Vec<Sid> = sids.to_vec();
    let mut intern = |sid: &Sid| {
        let at = table.iter().position(|other| other == sid).unwrap_or_else(|| {
            table.push(sid.clone());
            table.len() - 1
        });
        SidId(at as u32)
    };
    let dacl = CompiledDacl::compile(sd, &mut intern);
    let set = (0..3).map(SidId).collect();
    let who = Principals { is_self: false, is_owner: owner };
    for wanted in masks {
        let full = check(sd, &token, &Request::new(*wanted)).unwrap();
        let fast = dacl.access(&set, who, *wanted);
        assert_eq!((fast.outcome, fast.ace), (full.outcome, full.ace));
    }
}
