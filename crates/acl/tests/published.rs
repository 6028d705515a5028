//! Tables of the Microsoft Open Specifications.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use acl::{SddlContext, SecurityDescriptor, edit, names};

#[test]
fn every_control_access_right_of_the_specification_has_a_name() {
    let Some(rows) = common::json("ms-adts-control-access-rights.json", 81) else { return };
    let rows = rows.as_array().unwrap().clone();
    let known = rows.iter().filter(|row| {
        let guid = row["rightsGuid"].as_str().unwrap().parse().unwrap();
        names::by_name(row["name"].as_str().unwrap()).is_some_and(|name| name.guid == guid)
    });
    let known = known.count();
    println!("ms-adts-control-access-rights.json: {known}/{}", rows.len());
    assert_eq!((known, rows.len()), (81, 81));
}

#[test]
fn the_descriptors_of_adminsdholder_are_read_and_written() {
    let Some(rows) = common::json("ms-adts-adminsdholder-sddl.json", 1) else { return };
    let context = SddlContext::of_domain("S-1-5-21-1330137634-1750626333-945493308".parse().unwrap());
    let rows = rows.as_array().unwrap().clone();
    for row in &rows {
        let sd = SecurityDescriptor::from_sddl(row["sddl"].as_str().unwrap(), &context).unwrap();
        assert!(sd.is_dacl_protected() && edit::is_canonical(sd.dacl.as_ref().unwrap()));
        let again = SecurityDescriptor::from_sddl(&sd.to_sddl(&context), &context).unwrap();
        assert_eq!(again, sd);
        assert_eq!(SecurityDescriptor::parse(&sd.to_bytes()).unwrap(), sd);
    }
    println!("ms-adts-adminsdholder-sddl.json: {0}/{0}", rows.len());
    assert!(rows.len() > 2);
}
