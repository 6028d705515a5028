//! Tables of .NET's tests of access control lists, where they are about the same thing.
//!
//! What .NET's lists do that the functions of `edit` do not, and therefore is not compared:
//! - AddAccess and SetAccess merge entries. `edit::add` keeps them apart, so that compared is what the lists say, right by
//!   right and place by place.
//! - RemoveAccess and RemoveAudit take rights and places out of entries and split them; `edit::remove` removes whole
//!   entries. Compared are the rows that .NET leaves as they are.
//! - Constructors (of lists, rules and descriptors), assignment of a list to a descriptor, removal by index and protection
//!   of the SACL are about .NET's objects.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use acl::{AccessMask, Ace, AceFlags, AceType, Acl, Control, SddlContext, SecurityDescriptor, Sid, edit};
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
    for (name, count, kinds) in [
        ("DiscretionaryAcl_Constructor3", 36, &[AceType::ALLOWED, AceType::DENIED][..]),
        ("SystemAcl_Constructor3", 24, &[AceType::AUDIT]),
    ] {
        let Some(rows) = rows(name, count) else { return };
        all(name, &rows, |row| {
            let acl = meaningful(&raw(&row[2]), row[0].as_bool().unwrap(), kinds);
            edit::is_canonical(&acl) == row[4].as_bool().unwrap()
        });
    }
    for (name, count) in [
        ("CommonSecurityDescriptor_WasDiscretionaryAclCanonicalInitially", 6),
        ("CommonSecurityDescriptor_WasSystemAclCanonicalInitially", 4),
    ] {
        let Some(rows) = rows(name, count) else { return };
        all(name, &rows, |row| {
            let sd = read(&row[2]);
            let acl = if count == 6 { sd.dacl } else { sd.sacl };
            acl.is_none_or(|acl| edit::is_canonical(&acl)) == row[3].as_bool().unwrap()
        });
    }
}

#[test]
fn an_added_entry_makes_a_list_say_what_dotnet_makes_it_say() {
    for (name, audit) in [("DiscretionaryAcl_AddAccess", false), ("SystemAcl_AddAudit", true)] {
        let Some(rows) = rows(name, 23) else { return };
        all(name, &rows, |row| {
            let mut acl = raw(&row[7]);
            edit::add(&mut acl, asked(row, audit));
            edit::is_canonical(&acl) && facts(&acl) == facts(&raw(&row[8]))
        });
    }
}

#[test]
fn a_trustee_whose_entries_are_replaced_has_what_dotnet_gives_it() {
    for (name, count, audit) in [("DiscretionaryAcl_SetAccess", 10, false), ("SystemAcl_SetAudit", 7, true)] {
        let Some(rows) = rows(name, count) else { return };
        all(name, &rows, |row| {
            let mut acl = raw(&row[7]);
            let ace = asked(row, audit);
            edit::remove_where(&mut acl, |other| other.sid == ace.sid && other.ace_type == ace.ace_type);
            edit::add(&mut acl, ace);
            edit::is_canonical(&acl) && facts(&acl) == facts(&raw(&row[8]))
        });
    }
}

#[test]
fn an_entry_is_removed_only_where_dotnet_removes_exactly_it() {
    for (name, audit) in [("DiscretionaryAcl_RemoveAccessSpecific", false), ("SystemAcl_RemoveAuditSpecific", true)] {
        let Some(rows) = rows(name, 16) else { return };
        all(name, &rows, |row| {
            let mut acl = raw(&row[7]);
            edit::remove(&mut acl, &asked(row, audit));
            acl.aces == raw(&row[8]).aces
        });
    }
}

#[test]
fn nothing_is_removed_where_dotnet_leaves_the_list() {
    for (name, count, audit) in [("DiscretionaryAcl_RemoveAccess", 26, false), ("SystemAcl_RemoveAudit", 27, true)] {
        let Some(mut rows) = rows(name, count) else { return };
        rows.retain(|row| raw(&row[7]) == raw(&row[8]));
        assert!(rows.len() > 4, "{}", rows.len());
        all(name, &rows, |row| {
            let mut acl = raw(&row[7]);
            edit::remove(&mut acl, &asked(row, audit)) == 0 && acl == raw(&row[8])
        });
    }
}

#[test]
fn purging_a_trustee_leaves_what_dotnet_leaves() {
    for (name, count) in
        [("CommonSecurityDescriptor_PurgeAccessControl", 5), ("CommonSecurityDescriptor_PurgeAudit", 6)]
    {
        let Some(rows) = rows(name, count) else { return };
        let list = |sd: SecurityDescriptor| if count == 5 { sd.dacl } else { sd.sacl };
        all(name, &rows, |row| {
            let mut acl = list(read(&row[2]));
            if let Some(acl) = &mut acl {
                edit::purge(acl, &sid(row[3].as_str().unwrap()));
            }
            acl.map(|acl| acl.aces) == list(read(&row[4])).map(|acl| acl.aces)
        });
    }
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
    for (name, count, verifier) in [
        ("CommonSecurityDescriptor_CreateFromSddlForm", 18, 3),
        ("CommonSecurityDescriptor_CreateFromRawSecurityDescriptor", 17, 3),
        ("CommonSecurityDescriptor_CreateFromBinaryForm", 17, 4),
        ("CommonSecurityDescriptor_GetBinaryForm", 18, 3),
    ] {
        let Some(rows) = rows(name, count) else { return };
        // Rows where .NET changes the descriptor (reorders, merges, drops) are about that.
        let same = rows.iter().filter(|row| row[2] == row[verifier]);
        for row in same {
            let text = row[2].as_str().unwrap();
            let bytes = SecurityDescriptor::parse(&read(&row[2]).to_bytes()).unwrap();
            assert_eq!(bytes.to_sddl(&context()), text);
            applicable += 1;
        }
    }
    println!("SDDL that .NET keeps as it is: {applicable} rows survive bytes and text");
    assert!(applicable > 40, "{applicable}");
}

#[test]
fn parts_of_a_descriptor_are_written_as_dotnet_writes_them() {
    let name = "CommonSecurityDescriptor_GetSddlForm";
    let Some(mut rows) = rows(name, 25) else { return };
    // .NET knows no NULL DACL: one that is present without a list is absent to it.
    rows.retain(|row| !(row[6].is_null() && row[2].as_u64().unwrap() & 4 != 0));
    assert_eq!(rows.len(), 24);
    all(name, &rows, |row| {
        let part = |value: usize, wanted: usize| Some(&row[value]).filter(|v| !v.is_null() && row[wanted] == true);
        let sd = SecurityDescriptor {
            control: Control::SELF_RELATIVE,
            owner: part(3, 7).map(|v| sid(v.as_str().unwrap())),
            group: part(4, 8).map(|v| sid(v.as_str().unwrap())),
            sacl: part(5, 9).map(raw),
            dacl: part(6, 10).map(raw),
            ..SecurityDescriptor::default()
        };
        sd.to_sddl(&context()) == row[11].as_str().unwrap()
    });
}

#[test]
fn sids_of_dotnet_survive() {
    for name in ["CommonSecurityDescriptor_Owner", "CommonSecurityDescriptor_Group"] {
        let Some(mut rows) = rows(name, 52) else { return };
        rows.retain(|row| !row[0].is_null());
        all(name, &rows, |row| {
            let text = row[0].as_str().unwrap();
            let sid: Sid = text.parse().unwrap();
            sid.to_string() == text && Sid::parse(&sid.to_bytes()) == Ok((sid.clone(), sid.byte_len()))
        });
    }
}

/// The entry that a row of Add, Set or Remove asks for.
fn asked(row: &[Value], audit: bool) -> Ace {
    let number = |at: usize| u8::try_from(row[at].as_u64().unwrap()).unwrap();
    // InheritanceFlags: 1 container, 2 object. PropagationFlags: 1 no propagate, 2 inherit only.
    let inheritance = [0, 2, 1, 3][usize::from(number(5) & 3)];
    let propagation = if inheritance == 0 { 0 } else { [0, 4, 8, 12][usize::from(number(6) & 3)] };
    let mask = AccessMask(u32::try_from(row[4].as_u64().unwrap()).unwrap());
    // A rule's kind is 0 to allow, 1 to deny; of an audit it is 1 for success, 2 for failure.
    let (kind, audited) = if audit { (AceType::AUDIT, number(2) << 6) } else { (AceType(number(2)), 0) };
    let flags = AceFlags(inheritance | propagation | audited);
    Ace::new(kind, sid(row[3].as_str().unwrap()), mask).with_flags(flags)
}

/// What a list says: of a trustee, whether inherited, of one right, where (the object, children, grandchildren) and of
/// success or failure.
fn facts(acl: &Acl) -> BTreeSet<(u8, Sid, bool, u32, &'static str, u8)> {
    let mut facts = BTreeSet::new();
    for ace in &acl.aces {
        let has = |flag: AceFlags| ace.flags.contains(flag);
        let deep = !has(AceFlags::NO_PROPAGATE);
        let places = [
            ("itself", !has(AceFlags::INHERIT_ONLY)),
            ("containers", has(AceFlags::CONTAINER_INHERIT)),
            ("containers below", has(AceFlags::CONTAINER_INHERIT) && deep),
            ("leaves", has(AceFlags::OBJECT_INHERIT)),
            ("leaves below", has(AceFlags::OBJECT_INHERIT) && deep),
        ];
        for (place, _) in places.iter().filter(|(_, there)| *there) {
            for bit in (0..32).filter(|bit| ace.mask.0 >> bit & 1 != 0) {
                for audit in [0x40, 0x80, 0].into_iter().filter(|flag| ace.flags.0 & 0xC0 & flag == *flag) {
                    facts.insert((ace.ace_type.0, ace.sid.clone(), ace.is_inherited(), bit, *place, audit));
                }
            }
        }
    }
    facts
}

/// Holds a table against a rule, prints what does not fit, and the sum.
fn all(name: &str, rows: &[Vec<Value>], holds: impl Fn(&[Value]) -> bool) {
    let (good, bad): (Vec<_>, Vec<_>) = rows.iter().partition(|row| holds(row));
    bad.iter().for_each(|row| println!("{name}: {row:?}"));
    println!("{name}: {}/{}", good.len(), rows.len());
    assert!(bad.is_empty() && !good.is_empty(), "{name}");
}

fn read(text: &Value) -> SecurityDescriptor {
    SecurityDescriptor::from_sddl(text.as_str().unwrap(), &context()).unwrap()
}

fn context() -> SddlContext {
    SddlContext::of_domain("S-1-5-21-1-2-3".parse().unwrap())
}
