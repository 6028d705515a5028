//! Tables of .NET's tests of access control lists, where they are about the same thing.
//!
//! .NET's AddAccess, SetAccess and RemoveAccess merge and split masks and inheritance flags of one trustee's entries; the
//! functions of `edit` add and remove entries as they are, so that these 59 rows (and those of SystemAcl) do not apply.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use acl::{AccessMask, Ace, AceFlags, AceType, Acl, SddlContext, SecurityDescriptor, Sid, edit};
use serde_json::Value;

fn rows(name: &str, count: usize) -> Option<Vec<Vec<Value>>> {
    let tables = common::json("dotnet-accesscontrol-tables.json", count)?;
    let table = tables.as_object().unwrap().iter().find(|(key, _)| key.split('.').next() == Some(name)).unwrap().1;
    let rows: Vec<Vec<Value>> =
        table["rows"].as_array().unwrap().iter().map(|r| r.as_array().unwrap().clone()).collect();
    assert_eq!(rows.len(), count);
    Some(rows)
}

fn sid(text: &str) -> Sid {
    let context = SddlContext::of_domain("S-1-5-21-1-2-3".parse().unwrap());
    SecurityDescriptor::from_sddl(&format!("O:{text}"), &context).unwrap().owner.unwrap()
}

/// `flags:type:mask:sid:callback:opaque` joined by `#`.
fn raw(text: &Value) -> Acl {
    let text = text.as_str().unwrap().trim();
    let ace = |part: &str| {
        let fields: Vec<&str> = part.trim().split(':').collect();
        let number = |at: usize| fields[at].parse::<u32>().unwrap();
        let kind = AceType(u8::try_from(number(1)).unwrap());
        Ace::new(kind, sid(fields[3]), AccessMask(number(2))).with_flags(AceFlags(u8::try_from(number(0)).unwrap()))
    };
    Acl::new(text.split('#').filter(|part| !part.trim().is_empty()).map(ace).collect())
}

/// .NET judges the order after it dropped what has no effect: no rights, inherit-only without heirs, foreign kinds.
fn meaningful(acl: &Acl, container: bool, kinds: &[AceType]) -> Acl {
    let inheritable = |ace: &Ace| container && ace.flags.0 & 3 != 0;
    let keeps =
        |ace: &&Ace| kinds.contains(&ace.ace_type) && !ace.mask.is_empty() && (ace.is_effective() || inheritable(ace));
    Acl::new(acl.aces.iter().filter(keeps).cloned().collect())
}

#[test]
fn canonical_order_is_what_dotnet_takes_for_it() {
    let Some(dacls) = rows("DiscretionaryAcl_Constructor3", 36) else { return };
    let judged = |row: &&Vec<Value>| {
        let acl = meaningful(&raw(&row[2]), row[0].as_bool().unwrap(), &[AceType::ALLOWED, AceType::DENIED]);
        edit::is_canonical(&acl) == row[4].as_bool().unwrap()
    };
    let good = dacls.iter().filter(judged).count();
    println!("DiscretionaryAcl_Constructor3: {good}/36");
    assert_eq!(good, 36);
}

#[test]
fn an_entry_is_removed_only_where_dotnet_removes_exactly_it() {
    let Some(rows) = rows("DiscretionaryAcl_RemoveAccessSpecific", 16) else { return };
    let mut good = 0;
    for row in &rows {
        let container = row[0].as_bool().unwrap();
        let mut acl = raw(&row[7]);
        let number = |at: usize| u8::try_from(row[at].as_u64().unwrap()).unwrap();
        // InheritanceFlags: 1 container, 2 object. PropagationFlags: 1 no propagate, 2 inherit only.
        let inheritance = [0, 2, 1, 3][usize::from(number(5) & 3)];
        let propagation = if inheritance == 0 { 0 } else { [0, 4, 8, 12][usize::from(number(6) & 3)] };
        let mask = AccessMask(u32::try_from(row[4].as_u64().unwrap()).unwrap());
        let ace = Ace::new(AceType(number(2)), sid(row[3].as_str().unwrap()), mask);
        edit::remove(&mut acl, &ace.with_flags(AceFlags(inheritance | propagation)));
        let expected = raw(&row[8]);
        if acl.aces == expected.aces {
            good += 1;
        } else {
            println!("container {container}: {row:?}: {:?}", acl.aces);
        }
    }
    println!("DiscretionaryAcl_RemoveAccessSpecific: {good}/16");
    assert_eq!(good, 16);
}

#[test]
fn purging_a_trustee_leaves_what_dotnet_leaves() {
    let Some(rows) = rows("CommonSecurityDescriptor_PurgeAccessControl", 5) else { return };
    let read = |text: &Value| SecurityDescriptor::from_sddl(text.as_str().unwrap(), &context()).unwrap();
    let mut good = 0;
    for row in &rows {
        let mut sd = read(&row[2]);
        if let Some(dacl) = &mut sd.dacl {
            edit::purge(dacl, &sid(row[3].as_str().unwrap()));
        }
        let expected = read(&row[4]);
        match sd.dacl.as_ref().map(|a| &a.aces) == expected.dacl.as_ref().map(|a| &a.aces) {
            true => good += 1,
            false => println!("{row:?}: {}", sd.to_sddl(&context())),
        }
    }
    println!("CommonSecurityDescriptor_PurgeAccessControl: {good}/5");
    assert_eq!(good, 5);
}

#[test]
fn protecting_without_inherited_entries_leaves_what_dotnet_leaves() {
    let Some(rows) = rows("CommonSecurityDescriptor_SetDiscretionaryAclProtection", 8) else { return };
    // Keeping them: .NET leaves the INHERITED flag, which the directory clears when it stores the descriptor; here they
    // are explicit at once.
    let dropping = rows.iter().filter(|row| row[3] == true && row[4] == false);
    let mut good = 0;
    let mut count = 0;
    for row in dropping {
        count += 1;
        let mut sd = SecurityDescriptor::from_sddl(row[2].as_str().unwrap(), &context()).unwrap();
        edit::protect(&mut sd, edit::Inherited::Drop);
        match sd.to_sddl(&context()) == row[5].as_str().unwrap() {
            true => good += 1,
            false => println!("{row:?}: {}", sd.to_sddl(&context())),
        }
    }
    println!("CommonSecurityDescriptor_SetDiscretionaryAclProtection: {good}/{count} that apply");
    assert!(count > 0 && good == count);
}

#[test]
fn sddl_of_dotnet_survives() {
    let mut applicable = 0;
    for (name, count) in [
        ("CommonSecurityDescriptor_CreateFromSddlForm", 18),
        ("CommonSecurityDescriptor_CreateFromRawSecurityDescriptor", 17),
    ] {
        let Some(rows) = rows(name, count) else { return };
        // Rows where .NET changes the descriptor (reorders, merges, drops) are about that.
        let same = rows.iter().filter(|row| row[2] == row[3]);
        for row in same {
            let text = row[2].as_str().unwrap();
            let sd = SecurityDescriptor::from_sddl(text, &context()).unwrap();
            let bytes = SecurityDescriptor::parse(&sd.to_bytes()).unwrap();
            assert_eq!(bytes.to_sddl(&context()), text);
            applicable += 1;
        }
    }
    println!("SDDL that .NET keeps as it is: {applicable} rows survive bytes and text");
    assert!(applicable > 20, "{applicable}");
}

fn context() -> SddlContext {
    SddlContext::of_domain("S-1-5-21-1-2-3".parse().unwrap())
}
