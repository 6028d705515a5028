//! Dumps of real directories.

#![allow(clippy::unwrap_used)]

mod common;

use acl::{Outcome, names};
use common::{Guids, Organization, batch};
use directory::import::{AttributeMap, Import, Source, changes};
use directory::{AddressOwner, Class, Snapshot, attributes};
use message::CanonicalAddress;

const SID: &str = "S-1-5-21-7-8-9";

fn import(snapshot: &Snapshot, text: &str, map: &AttributeMap) -> (Snapshot, Import) {
    let mut guids = Guids(5000);
    let import = changes(text.as_bytes(), map, snapshot, &mut || guids.next()).unwrap();
    // One batch for each change: the order must bear that.
    let mut next = snapshot.clone();
    for change in &import.changes {
        next = next.apply(&batch(vec![change.clone()])).unwrap().snapshot;
    }
    (next, import)
}

/// What a domain controller of another domain would give, children before parents.
fn dump() -> String {
    let full = "(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;DA)";
    format!(
        "dn: CN=Ann,OU=Sales,DC=corp,DC=test\nobjectClass: top\nobjectClass: person\nobjectClass: organizationalPerson\n\
objectClass: user\nobjectGUID: 00000000-0000-0000-0000-000000000003\nobjectSid: {SID}-1104\nsAMAccountName: ann\n\
userAccountControl: 512\nprimaryGroupID: 513\nwhenCreated: 20260101000000.0Z\nmemberOf: CN=Staff,OU=Sales,DC=corp,DC=test\n\
unicodePwd:: c2VjcmV0\nnTSecurityDescriptor: O:DAG:DAD:AI{full}(OA;CIIOID;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;bf967aba-0de6-11d0-a285-00aa003049e2;{SID}-1105)\n\n\
dn: CN=Staff,OU=Sales,DC=corp,DC=test\nobjectClass: top\nobjectClass: group\nobjectGUID: 00000000-0000-0000-0000-000000000004\n\
objectSid: {SID}-1105\nsAMAccountName: Staff\ngroupType: -2147483646\nmember: CN=Ann,OU=Sales,DC=corp,DC=test\n\
member: CN=Gone,DC=corp,DC=test\nnTSecurityDescriptor: O:DAG:DAD:AI{full}\n\n\
dn: CN=Bea,OU=Sales,DC=corp,DC=test\nobjectClass: user\nobjectGUID: 00000000-0000-0000-0000-000000000006\n\
objectSid: {SID}-1106\nsAMAccountName: bea\nuserAccountControl: 514\n\n\
dn: OU=Sales,DC=corp,DC=test\nobjectClass: top\nobjectClass: organizationalUnit\nobjectGUID: 00000000-0000-0000-0000-000000000002\n\
nTSecurityDescriptor: O:DAG:DAD:AI(OA;CIIO;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;bf967aba-0de6-11d0-a285-00aa003049e2;{SID}-1105){full}\n\n\
dn: CN=Odd,OU=Nowhere,DC=corp,DC=test\nobjectClass: user\nsAMAccountName: odd\n\n\
dn: DC=corp,DC=test\nobjectClass: top\nobjectClass: domain\nobjectClass: domainDNS\nobjectGUID: 00000000-0000-0000-0000-000000000001\n\
objectSid: {SID}\nnTSecurityDescriptor: O:BAG:BAD:AI(A;CI;CCLCSWRPWPLOCRSDRCWDWO;;;BA)\n\n\
dn: CN=CORP,CN=Partitions,CN=Configuration,DC=corp,DC=test\nobjectClass: crossRef\nnCName: DC=corp,DC=test\nnETBIOSName: KORP\n"
    )
}

fn map() -> AttributeMap {
    AttributeMap { entries: vec![("mail".into(), Source::Template("{sAMAccountName}@corp.test".into()))] }
}

#[test]
fn a_dump_in_any_order_becomes_a_domain_with_its_objects() {
    let o = Organization::new();
    let (snapshot, import) = import(&o.snapshot, &dump(), &map());
    let ann = snapshot.by_dn("CN=Ann,OU=Sales,DC=corp,DC=test").unwrap();
    assert_eq!(snapshot.resolve_login("KORP\\ann"), Some(ann));
    assert_eq!(snapshot.domains().len(), 2);
    assert_eq!(snapshot.domains()[1].netbios_name, "KORP");
    assert_eq!(import.added, 5);
    let staff = snapshot.resolve("KORP\\Staff").unwrap();
    assert_eq!(snapshot.members(staff), [ann]);
    assert!(snapshot.attribute(ann, "unicodePwd").is_empty());
    let bea = snapshot.resolve("bea").unwrap();
    assert!(!snapshot.object(bea).unwrap().enabled());
}

#[test]
fn an_inherited_grant_of_the_dump_is_computed_anew() {
    let o = Organization::new();
    let (snapshot, _) = import(&o.snapshot, &dump(), &map());
    let ann = snapshot.resolve("ann").unwrap();
    let explicit = snapshot.explicit_descriptor(ann).unwrap();
    assert!(explicit.dacl.as_ref().unwrap().aces.iter().all(|ace| !ace.is_inherited()));
    let token = snapshot.account_token(ann).unwrap();
    let dacl = snapshot.descriptor(ann).unwrap().dacl();
    let decision = dacl.control_access(&token.sids, acl::Principals::default(), &names::SEND_AS);
    assert_eq!(decision.outcome, Outcome::Allow);
    assert_eq!(snapshot.ace_origin(ann, decision.ace.unwrap()), snapshot.resolve("corp.test/Sales").unwrap());
}

#[test]
fn an_object_whose_descriptor_is_missing_is_unreadable_and_reported() {
    let o = Organization::new();
    let (snapshot, import) = import(&o.snapshot, &dump(), &map());
    let bea = snapshot.resolve("bea").unwrap();
    assert!(snapshot.descriptor(bea).is_none());
    assert!(
        import
            .warnings
            .iter()
            .any(|warning| warning.dn.starts_with("CN=Bea") && warning.text.contains("nTSecurityDescriptor"))
    );
}

#[test]
fn what_is_left_out_is_reported_with_its_line() {
    let o = Organization::new();
    let (_, import) = import(&o.snapshot, &dump(), &map());
    let text: Vec<String> = import.warnings.iter().map(|w| format!("{} {}", w.dn, w.text)).collect();
    assert!(text.iter().any(|text| text.starts_with("CN=Odd") && text.contains("OU=Nowhere")), "{text:?}");
    assert!(text.iter().any(|text| text.starts_with("CN=Staff") && text.contains("CN=Gone")), "{text:?}");
    assert_eq!(import.warnings.iter().find(|w| w.dn.starts_with("CN=Odd")).unwrap().line, 40);
}

#[test]
fn a_value_that_is_left_out_is_reported_once() {
    let o = Organization::new();
    let text = dump().replace("primaryGroupID: 513", "primaryGroupID: many");
    let (_, import) = import(&o.snapshot, &text, &map());
    let told = import.warnings.iter().filter(|warning| warning.text.starts_with("primaryGroupID left out"));
    assert_eq!(told.count(), 1);
}

#[test]
fn the_attribute_map_gives_addresses_and_keeps_those_that_are_there() {
    let o = Organization::new();
    let (snapshot, _) = import(&o.snapshot, &dump(), &map());
    let ann = snapshot.resolve("ann").unwrap();
    let address = CanonicalAddress::parse("ann@corp.test").unwrap();
    assert_eq!(snapshot.by_address(&address), AddressOwner::One(ann));
    // Groups get none from a template.
    assert!(snapshot.object(snapshot.resolve("KORP\\Staff").unwrap()).unwrap().addresses().is_empty());
}

#[test]
fn groups_of_another_forests_root_are_its_own() {
    let o = Organization::new();
    let text = dump().replace("O:DAG:DAD:AI(A;;", "O:DAG:DAD:AI(A;;CR;;;EA)(A;;");
    let (snapshot, _) = import(&o.snapshot, &text, &map());
    let ann = snapshot.explicit_descriptor(snapshot.resolve("ann").unwrap()).unwrap();
    let theirs: acl::Sid = format!("{SID}-519").parse().unwrap();
    assert!(ann.dacl.as_ref().unwrap().aces.iter().any(|ace| ace.sid == theirs));
}

#[test]
fn builtin_groups_of_another_domain_do_not_become_ours() {
    let o = Organization::new();
    let text = format!(
        "{}\ndn: CN=Administrators,CN=Builtin,DC=corp,DC=test\nobjectClass: group\nobjectSid: S-1-5-32-544\ngroupType: -2147483643\n\
member: CN=Ann,OU=Sales,DC=corp,DC=test\nnTSecurityDescriptor: D:(A;;GA;;;SY)\n\n\
dn: CN=Builtin,DC=corp,DC=test\nobjectClass: builtinDomain\nnTSecurityDescriptor: D:(A;;GA;;;SY)\n",
        dump()
    );
    let ours = o.snapshot.by_sid(&acl::well_known::BUILTIN_ADMINISTRATORS);
    let (snapshot, _) = import(&o.snapshot, &text, &map());
    let ann = snapshot.resolve("ann").unwrap();
    assert_eq!(snapshot.by_sid(&acl::well_known::BUILTIN_ADMINISTRATORS), ours);
    let theirs = snapshot.by_dn("CN=Administrators,CN=Builtin,DC=corp,DC=test");
    assert_eq!(snapshot.principal_on(&acl::well_known::BUILTIN_ADMINISTRATORS, ann), theirs);
}

#[test]
fn importing_the_same_dump_again_changes_nothing() {
    let o = Organization::new();
    let (snapshot, _) = import(&o.snapshot, &dump(), &map());
    let (_, again) = import(&snapshot, &dump(), &map());
    assert_eq!(again.changes, []);
    assert_eq!((again.added, again.modified), (0, 0));
}

#[test]
fn entries_written_by_hand_get_the_default_descriptor() {
    let o = Organization::new();
    let text = "dn: CN=Zoe,CN=Users,DC=example,DC=com\nobjectClass: user\nsAMAccountName: zoe\nproxyAddresses: SMTP:zoe@example.com\n";
    let (snapshot, import) = import(&o.snapshot, text, &AttributeMap::default());
    let zoe = snapshot.resolve("zoe").unwrap();
    assert_eq!(import.warnings, []);
    assert!(snapshot.descriptor(zoe).is_some());
    assert_eq!(snapshot.object(zoe).unwrap().class(), Class::User);
    assert!(snapshot.object(zoe).unwrap().sid().is_some());
}

#[test]
fn a_descriptor_without_dacl_grants_nothing() {
    let o = Organization::new();
    let text = "dn: CN=Zoe,CN=Users,DC=example,DC=com\nobjectClass: user\nsAMAccountName: zoe\nnTSecurityDescriptor: O:DAG:DA\n";
    let (snapshot, import) = import(&o.snapshot, text, &AttributeMap::default());
    assert!(snapshot.descriptor(snapshot.resolve("zoe").unwrap()).is_none());
    assert_eq!(import.warnings.len(), 1);
}

#[test]
fn names_that_are_taken_are_left_out_and_reported() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    let text = "dn: CN=Other,CN=Users,DC=example,DC=com\nobjectClass: user\nsAMAccountName: BOB\nmail: nonsense\n";
    let (snapshot, import) = import(&o.snapshot, text, &AttributeMap::default());
    assert_eq!(snapshot.resolve_login("bob"), Some(bob));
    let text: Vec<&str> = import.warnings.iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(text.len(), 2, "{text:?}");
    assert!(snapshot.attribute(snapshot.resolve("Other").unwrap(), attributes::MAIL).is_empty());
}

#[test]
fn modifications_of_a_file_are_made() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    let team = o.group("example.com/Users", "team", true);
    let text = "dn: CN=team,CN=Users,DC=example,DC=com\nchangetype: modify\nadd: member\nmember: CN=bob,CN=Users,DC=example,DC=com\n-\n\
replace: displayName\ndisplayName: The Team\n-\n\ndn: CN=bob,CN=Users,DC=example,DC=com\nchangetype: modrdn\nnewrdn: CN=Robert\ndeleteoldrdn: 1\n";
    let (snapshot, _) = import(&o.snapshot, text, &AttributeMap::default());
    assert_eq!(snapshot.members(team), [bob]);
    assert_eq!(snapshot.object(team).unwrap().display_name(), Some("The Team"));
    assert_eq!(snapshot.dn(bob), "CN=Robert,CN=Users,DC=example,DC=com");
}

#[test]
fn another_domain_of_the_same_name_is_refused_in_words() {
    let o = Organization::new();
    let text = format!("dn: DC=example,DC=com\nobjectClass: domainDNS\nobjectSid: {SID}\n");
    let (_, import) = import(&o.snapshot, &text, &AttributeMap::default());
    assert_eq!(import.changes, []);
    assert!(import.warnings[0].text.contains("another SID"));
}

#[test]
fn objects_of_unknown_classes_are_kept_and_told_with_their_number() {
    let o = Organization::new();
    let odd = |name: &str, class: &str| {
        format!(
            "\ndn: CN={name},DC=example,DC=com\nobjectClass: top\nobjectClass: {class}\ncn: {name}\nvendorValue: 7\n"
        )
    };
    let text = odd("a", "vendorThing") + &odd("b", "vendorThing") + &odd("c", "dnsZone");
    let (snapshot, import) = import(&o.snapshot, text.trim_start(), &AttributeMap::default());
    let [warning] = &import.warnings[..] else { panic!("{:?}", import.warnings) };
    assert!(warning.text.contains("3 objects") && warning.text.contains("vendorThing 2, dnsZone 1"), "{warning:?}");
    let kept = snapshot.by_dn("CN=a,DC=example,DC=com").unwrap();
    assert_eq!(snapshot.attribute(kept, "vendorValue"), [b"7".to_vec()]);
    assert_eq!(snapshot.attribute(kept, "objectClass"), [b"top".to_vec(), b"vendorThing".to_vec()]);
}

/// S0: "if the msExchMailboxSecurityDescriptor attribute is modified directly by an administrator, the changes will not
/// be propagated to the Exchange store, and the changes will not take effect."
#[test]
fn writing_the_backup_copy_of_mailbox_rights_directly_is_warned_about() {
    let mut o = Organization::new();
    o.user("example.com/Users", "zoe");
    let text = "dn: CN=zoe,CN=Users,DC=example,DC=com\nchangetype: modify\n\
        replace: msExchMailboxSecurityDescriptor\nmsExchMailboxSecurityDescriptor:: AAEC\n-\n";
    let (_, import) = import(&o.snapshot, text, &AttributeMap::default());
    assert!(import.warnings.iter().any(|warning| warning.text.contains("changes no right")), "{:?}", import.warnings);
}
