//! A real Windows Server 2019 forest: bytes of its descriptors, and what each object inherited.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashMap;

use acl::{Acl, Guid, InheritContext, SecurityDescriptor, edit, inherited_aces};

fn forest() -> Option<HashMap<String, Vec<u8>>> {
    let rows = common::json_lines("ws2019-forest.jsonl.gz", 3658)?;
    let row =
        |row: &serde_json::Value| (row["dn"].as_str().unwrap().into(), common::unhex(row["hex"].as_str().unwrap()));
    Some(rows.iter().map(row).collect())
}

#[test]
fn every_descriptor_of_a_forest_is_written_as_it_was_read() {
    let Some(forest) = forest() else { return };
    let same = forest.values().filter(|bytes| SecurityDescriptor::parse(bytes).unwrap().to_bytes() == **bytes).count();
    println!("forest descriptors, byte-identical round trip: {same}/3658");
    assert_eq!(same, 3658);
}

#[test]
fn every_object_of_a_forest_inherits_what_windows_gave_it() {
    let Some(forest) = forest() else { return };
    let Some(rows) = common::json_lines("ws2019-inheritance.jsonl", 1826) else { return };
    let descriptor = |dn: &serde_json::Value| SecurityDescriptor::parse(&forest[dn.as_str().unwrap()]).unwrap();
    let (mut inherited, mut protected) = (0, 0);
    for row in &rows {
        let (parent, child) = (descriptor(&row["parent"]), descriptor(&row["child"]));
        let child_dacl = child.dacl.as_ref().unwrap();
        let got: Vec<_> = child_dacl.aces.iter().filter(|ace| ace.is_inherited()).cloned().collect();
        assert_eq!(child.is_dacl_protected(), row["protected"].as_bool().unwrap());
        if child.is_dacl_protected() {
            assert!(got.is_empty(), "{} is protected and has inherited ACEs", row["child"]);
            protected += 1;
            continue;
        }
        let class: Option<Guid> = row["class_guid"].as_str().map(|text| text.parse().unwrap());
        let cx = InheritContext { classes: class.as_slice(), owner: child.owner.as_ref(), group: child.group.as_ref() };
        let expected = inherited_aces(parent.dacl.as_ref().unwrap(), &cx);
        if expected == got {
            inherited += 1;
        } else {
            println!("{}: {:?}\n  computed {:?}", row["child"], got, expected);
        }
    }
    println!("inherited part as Windows computed it: {inherited} + {protected} protected of 1826");
    assert_eq!(inherited + protected, 1826);
}

#[test]
fn every_dacl_of_a_forest_is_in_canonical_order() {
    let Some(forest) = forest() else { return };
    let dacl = |bytes: &Vec<u8>| SecurityDescriptor::parse(bytes).unwrap().dacl.unwrap();
    let canonical = forest.values().map(dacl).filter(edit::is_canonical).count();
    println!("canonical DACLs: {canonical}/3658");
    assert_eq!(canonical, 3658);
}

#[test]
fn sorting_what_is_canonical_keeps_inherited_aces_in_place() {
    let Some(forest) = forest() else { return };
    for bytes in forest.values() {
        let before = SecurityDescriptor::parse(bytes).unwrap().dacl.unwrap();
        let mut after = before.clone();
        edit::sort_canonical(&mut after);
        let inherited = |acl: &Acl| acl.aces.iter().filter(|ace| ace.is_inherited()).cloned().collect::<Vec<_>>();
        assert_eq!(inherited(&before), inherited(&after));
        assert!(edit::is_canonical(&after));
    }
}
