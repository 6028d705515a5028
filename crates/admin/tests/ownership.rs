//! Who owns a mailbox: taken, kept, given to another account, linked to an account of another forest.

#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{self as op, DisconnectedRow, Request as R, Response};
use common::{HELPER, Site, delegate, full_access, grant, other_forest, request, undo};
use directory::attributes as a;
use serde_json::json;

fn disconnect(who: &str) -> R {
    R::MailboxDisable(op::Target { identity: who.to_owned() })
}

fn connect(mailbox: &str, to: &str) -> R {
    R::MailboxConnect(op::MailboxConnect {
        mailbox: mailbox.to_owned(),
        to: to.to_owned(),
        ..op::MailboxConnect::default()
    })
}

fn link(who: &str, account: Option<&str>, disable: bool) -> R {
    R::MailboxLink(op::MailboxLink { identity: who.to_owned(), account: account.map(str::to_owned), disable })
}

fn remove(who: &str) -> R {
    R::UserRemove(op::Target { identity: who.to_owned() })
}

fn lost(site: &Site) -> Vec<DisconnectedRow> {
    match site.ask(R::MailboxDisconnected(op::List::default())) {
        Response::Disconnected(page) => page.rows,
        other => panic!("{other:?}"),
    }
}

fn mailbox(site: &Site, who: &str) -> Option<String> {
    let snapshot = site.service.snapshot();
    snapshot.object(snapshot.resolve(who).unwrap()).unwrap().mailbox().map(|mailbox| mailbox.guid.to_string())
}

fn addresses(site: &Site, who: &str) -> Vec<String> {
    let snapshot = site.service.snapshot();
    let object = snapshot.object(snapshot.resolve(who).unwrap()).unwrap();
    object.addresses().iter().map(ToString::to_string).collect()
}

/// A user without a mailbox.
fn plain(site: &Site, name: &str) {
    site.ask(R::UserAdd(op::UserAdd { name: name.to_owned(), ..op::UserAdd::default() }));
}

/// S0: "When you mailbox-enable an account or when you connect a disconnected mailbox to an Active Directory account,
/// the mailbox GUID is automatically set on that account."
#[test]
fn a_mailbox_that_is_connected_to_another_account_is_the_same_mailbox() {
    let site = Site::new();
    plain(&site, "erin");
    let guid = mailbox(&site, "zoe").unwrap();
    site.ask(disconnect("zoe"));
    assert_eq!(mailbox(&site, "zoe"), None);
    site.ask(connect(&guid, "erin"));
    assert_eq!(mailbox(&site, "erin"), Some(guid));
    assert_eq!(addresses(&site, "erin"), ["erin@example.com"]);
    assert!(lost(&site).is_empty());
}

#[test]
fn the_list_of_disconnected_mailboxes_says_whose_they_were_since_when_and_who_is_named() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    let guid = mailbox(&site, "zoe").unwrap();
    site.ask(disconnect("zoe"));
    let rows = lost(&site);
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((row.mailbox.as_str(), row.former_owner.as_str()), (guid.as_str(), "EXAMPLE\\zoe"));
    assert_eq!((row.since.as_str(), row.database.as_deref()), ("1970-01-01T00:00:01Z", Some("Mailbox Database")));
    assert_eq!(
        (row.former_addresses.as_slice(), row.named.as_slice()),
        (["zoe@example.com".to_owned()].as_slice(), ["EXAMPLE\\max".to_owned()].as_slice())
    );
    assert!(row.former_owner_dn.as_ref().is_some_and(|dn| dn.starts_with("CN=zoe,OU=Staff")));
}

#[test]
fn who_had_full_access_has_it_again_when_the_mailbox_is_connected_and_is_warned_about() {
    let site = Site::new();
    plain(&site, "erin");
    site.ask(full_access("zoe", "max"));
    site.ask(disconnect("zoe"));
    let said = site.done(connect("zoe", "erin"));
    assert!(said.contains("EXAMPLE\\max keep theirs"), "{said}");
    let rows = site.holders(R::WhoCan(common::who_can("full-access", "erin")));
    assert!(rows.iter().any(|row| row.trustee == "EXAMPLE\\max" && row.effective));
}

#[test]
fn the_mailbox_of_a_deleted_account_is_kept() {
    let site = Site::new();
    plain(&site, "erin");
    let guid = mailbox(&site, "zoe").unwrap();
    let said = site.done(remove("zoe"));
    assert!(said.contains(&guid), "{said}");
    assert_eq!(lost(&site)[0].former_owner_dn, None);
    site.ask(connect("zoe@example.com", "erin"));
    assert_eq!(mailbox(&site, "erin"), Some(guid));
}

#[test]
fn former_addresses_come_along_where_nobody_has_them_by_now() {
    let site = Site::new();
    plain(&site, "erin");
    let set = |who: &str, address: &str| {
        let add_addresses = vec![address.to_owned()];
        R::UserSet(op::UserSet { identity: who.to_owned(), add_addresses, ..op::UserSet::default() })
    };
    site.ask(set("zoe", "press@example.com"));
    site.ask(disconnect("zoe"));
    site.ask(set("max", "press@example.com"));
    let wanted = op::MailboxConnect { mailbox: "zoe".into(), to: "erin".into(), former_addresses: true, address: None };
    let said = site.done(R::MailboxConnect(wanted));
    assert_eq!(addresses(&site, "erin"), ["zoe@example.com"]);
    assert!(said.contains("press@example.com is an address of CN=max"), "{said}");
}

#[test]
fn disconnecting_and_connecting_can_be_undone() {
    let site = Site::new();
    plain(&site, "erin");
    site.ask(full_access("zoe", "max"));
    let before = site.records();
    site.ask(disconnect("zoe"));
    let disconnected = site.version();
    site.ask(connect("zoe", "erin"));
    site.ask(undo(site.version()));
    site.ask(undo(disconnected));
    assert_eq!(site.records(), before);
}

#[test]
fn a_mailbox_that_somebody_got_meanwhile_is_not_given_back_by_undoing() {
    let site = Site::new();
    plain(&site, "erin");
    site.ask(disconnect("zoe"));
    let disconnected = site.version();
    site.ask(connect("zoe", "erin"));
    let before = site.records();
    site.fault(common::ROOT, undo(disconnected));
    assert_eq!(site.records(), before);
}

#[test]
fn trying_it_out_disconnects_nothing() {
    let site = Site::new();
    let simulated = site.simulated(disconnect("zoe"));
    assert!(simulated.changes.iter().any(|change| change.what == "added"), "{simulated:?}");
    assert!(lost(&site).is_empty() && mailbox(&site, "zoe").is_some());
}

#[test]
fn an_account_has_one_mailbox() {
    let site = Site::new();
    site.ask(disconnect("zoe"));
    let (kind, message) = site.fault(common::ROOT, connect("zoe", "max"));
    assert_eq!(kind, FaultKind::Conflict);
    assert!(message.contains("has a mailbox already"), "{message}");
}

#[test]
fn a_mailbox_that_has_an_owner_is_not_connected() {
    let site = Site::new();
    plain(&site, "erin");
    let guid = mailbox(&site, "zoe").unwrap();
    let (kind, message) = site.fault(common::ROOT, connect(&guid, "erin"));
    assert_eq!(kind, FaultKind::Conflict);
    assert!(message.contains("CN=zoe"), "{message}");
}

#[test]
fn two_mailboxes_of_one_former_owner_are_told_apart_by_their_guids() {
    let site = Site::new();
    plain(&site, "erin");
    let first = mailbox(&site, "zoe").unwrap();
    site.ask(disconnect("zoe"));
    let enable = json!({"op": "mailbox-enable", "identity": "zoe", "address": "zoe@example.com"});
    site.ask(request(enable));
    let second = mailbox(&site, "zoe").unwrap();
    assert_ne!(first, second);
    site.ask(disconnect("zoe"));
    let (kind, message) = site.fault(common::ROOT, connect("zoe", "erin"));
    assert_eq!(kind, FaultKind::Ambiguous);
    assert!(message.contains(&first) && message.contains(&second), "{message}");
    site.ask(connect(&first, "erin"));
    assert_eq!(mailbox(&site, "erin"), Some(first));
}

#[test]
fn a_purged_mailbox_cannot_be_connected() {
    let site = Site::new();
    plain(&site, "erin");
    site.ask(disconnect("zoe"));
    site.ask(R::MailboxPurge(op::Target { identity: "zoe".into() }));
    assert_eq!(site.fault(common::ROOT, connect("zoe", "erin")).0, FaultKind::NotFound);
}

#[test]
fn whoever_may_take_a_mailbox_away_leaves_it_where_it_was() {
    let site = Site::new();
    site.ask(grant("zoe", "helper", "full-control", false, None));
    site.service.call(HELPER, "", disconnect("zoe")).unwrap();
    assert_eq!(lost(&site).len(), 1);
    let (kind, _) = site.fault(HELPER, disconnect("max"));
    assert_eq!(kind, FaultKind::Denied);
}

/// What a mailbox takes along is what it had: a file cannot leave one behind that opens to somebody else.
#[test]
fn a_mailbox_is_not_left_behind_with_other_permissions_than_it_had() {
    let site = Site::new();
    site.ask(grant("zoe", "helper", "full-control", false, None));
    let snapshot = site.service.snapshot();
    let (zoe, database) = (snapshot.resolve("zoe").unwrap(), snapshot.resolve("Mailbox Database").unwrap());
    let kept = directory::disconnected::keep(&snapshot, zoe, "zoe", admin::random::new_guid(), directory::Time(0));
    let opened = acl::SecurityDescriptor::from_sddl("D:(A;;CC;;;AU)", &acl::SddlContext::default()).unwrap();
    let kept = kept.unwrap().with(a::MAILBOX_DESCRIPTOR, opened.to_bytes());
    let dn = format!("{},{}", kept.rdn, snapshot.dn(database));
    let left = format!("\ndn: {}\nchangetype: modify\ndelete: msExchMailboxGuid\n-\n", snapshot.dn(zoe));
    let ldif = directory::ldif::write([(dn.as_str(), &kept)]) + &left;
    let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, ldif);
    let asked = |request| site.service.call(HELPER, "", request);
    let Response::Upload { upload } = asked(request(json!({"op": "import-data", "data": data}))).unwrap() else {
        panic!("no upload")
    };
    let fault = asked(request(json!({"op": "import-run", "upload": upload}))).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Denied, "{fault}");
    assert!(fault.message.contains("create an object below CN=Mailbox Database"), "{fault}");
    assert!(mailbox(&site, "zoe").is_some() && lost(&site).is_empty());
}

#[test]
fn whoever_has_no_right_on_the_database_connects_nothing() {
    let site = Site::new();
    plain(&site, "erin");
    site.ask(grant("erin", "helper", "full-control", false, None));
    site.ask(disconnect("zoe"));
    assert_eq!(site.fault(HELPER, connect("zoe", "erin")).0, FaultKind::Denied);
    assert_eq!(site.fault(HELPER, R::MailboxPurge(op::Target { identity: "zoe".into() })).0, FaultKind::Denied);
}

/// S0: "the msExchMailboxSecurityDescriptor attribute is updated to match current effective rights if administrators
/// use supported interfaces to assign rights."
#[test]
fn the_backup_copy_follows_mailbox_rights_that_are_granted_and_taken() {
    let site = Site::new();
    let copy = || {
        let snapshot = site.service.snapshot();
        let zoe = snapshot.resolve("zoe").unwrap();
        let of = |name| snapshot.attribute(zoe, name).into_iter().next();
        (of(a::MAILBOX_DESCRIPTOR), of(a::MAILBOX_DESCRIPTOR_COPY))
    };
    site.ask(full_access("zoe", "max"));
    let (descriptor, granted) = copy();
    assert!(granted.is_some() && granted == descriptor);
    let take = json!({
        "op": "mailbox-permission-remove", "identity": "zoe", "trustee": "max", "rights": ["full-access"],
    });
    site.ask(request(take));
    let (descriptor, taken) = copy();
    assert!(taken == descriptor && taken != granted);
}

/// S0: "The account that is selected must be from a different forest."
#[test]
fn an_account_of_the_same_forest_cannot_be_linked() {
    let site = Site::new();
    let (kind, message) = site.fault(common::ROOT, link("zoe", Some("max"), false));
    assert_eq!(kind, FaultKind::Invalid);
    assert!(message.contains("same forest"), "{message}");
}

#[test]
fn groups_and_well_known_sids_cannot_be_linked() {
    let site = Site::new();
    let (_, crew) = other_forest(&site);
    for sid in [crew.to_string().as_str(), "everyone", "S-1-5-32-544", "S-1-5-21-7-8-9-513"] {
        let (kind, message) = site.fault(common::ROOT, link("zoe", Some(sid), false));
        assert_eq!(kind, FaultKind::Invalid, "{message}");
    }
}

/// S0: "Only a single account can be granted the Associated External Account permission."
#[test]
fn an_external_account_is_that_of_one_owner_and_an_owner_has_one() {
    let site = Site::new();
    let (erin, _) = other_forest(&site);
    site.ask(link("zoe", Some(&erin.to_string()), true));
    let (kind, message) = site.fault(common::ROOT, link("max", Some(&erin.to_string()), true));
    assert_eq!(kind, FaultKind::Conflict);
    assert!(message.contains("CN=zoe"), "{message}");
    site.ask(link("zoe", Some("S-1-5-21-7-8-9-1200"), true));
    site.ask(link("max", Some(&erin.to_string()), true));
    assert!(!site.may_send_as("OTHER\\erin", "zoe") && site.may_send_as("OTHER\\erin", "max"));
}

#[test]
fn a_link_on_an_owner_who_may_log_on_warns_that_it_does_not_count() {
    let site = Site::new();
    other_forest(&site);
    let said = site.done(link("zoe", Some("OTHER\\erin"), false));
    assert!(said.contains("counts only while it is disabled"), "{said}");
    assert!(!site.may_send_as("OTHER\\erin", "zoe"));
    let said = site.done(link("zoe", Some("OTHER\\erin"), true));
    assert!(!said.contains("counts only"), "{said}");
    assert!(site.may_send_as("OTHER\\erin", "zoe"));
    let enabled = op::UserSet { identity: "zoe".into(), enabled: Some(true), ..op::UserSet::default() };
    let said = site.done(R::UserSet(enabled));
    assert!(said.contains("counts only while it is disabled"), "{said}");
}

#[test]
fn a_link_ends() {
    let site = Site::new();
    other_forest(&site);
    site.ask(link("zoe", Some("OTHER\\erin"), true));
    site.ask(link("zoe", None, false));
    assert!(!site.may_send_as("OTHER\\erin", "zoe"));
    assert_eq!(site.fault(common::ROOT, link("zoe", None, false)).0, FaultKind::NotFound);
}

#[test]
fn a_mailbox_is_enabled_with_its_external_account() {
    let site = Site::new();
    let (erin, _) = other_forest(&site);
    site.ask(R::UserAdd(op::UserAdd { name: "resource".into(), disabled: true, ..op::UserAdd::default() }));
    let enable = json!({"op": "mailbox-enable", "identity": "resource", "linked": erin.to_string()});
    site.ask(request(enable));
    assert!(site.may_send_as("OTHER\\erin", "resource"));
}

#[test]
fn a_disconnected_mailbox_has_no_external_account_any_more() {
    let site = Site::new();
    other_forest(&site);
    site.ask(link("zoe", Some("OTHER\\erin"), true));
    site.ask(disconnect("zoe"));
    site.ask(link("max", Some("OTHER\\erin"), true));
    assert!(site.may_send_as("OTHER\\erin", "max"));
}

#[test]
fn linking_needs_the_right_to_write_the_attribute() {
    let site = Site::new();
    other_forest(&site);
    assert_eq!(site.fault(HELPER, link("zoe", Some("OTHER\\erin"), false)).0, FaultKind::Denied);
}

/// Owners change their own delegates: Personal Information is SELF's to write by the default descriptor of users.
#[test]
fn a_user_changes_his_own_delegates_and_nobody_elses() {
    let site = Site::new();
    site.service.call(HELPER, "", delegate("helper", "max")).unwrap();
    let rows = site.holders(R::WhoCan(common::who_can("send-on-behalf", "helper")));
    assert!(rows.iter().any(|row| row.trustee == "EXAMPLE\\max" && row.effective));
    let (kind, message) = site.fault(HELPER, delegate("zoe", "max"));
    assert_eq!(kind, FaultKind::Denied);
    assert!(message.contains("publicDelegates"), "{message}");
    let take = json!({"op": "delegate-remove", "identity": "helper", "delegates": ["max"]});
    site.service.call(HELPER, "", request(take)).unwrap();
    assert!(site.holders(R::WhoCan(common::who_can("send-on-behalf", "helper"))).is_empty());
}

#[test]
fn a_user_writes_neither_his_own_addresses_nor_his_external_account() {
    let site = Site::new();
    other_forest(&site);
    let add_addresses = vec!["ceo@example.com".to_owned()];
    let set = op::UserSet { identity: "helper".into(), add_addresses, ..op::UserSet::default() };
    assert_eq!(site.fault(HELPER, R::UserSet(set)).0, FaultKind::Denied);
    assert_eq!(site.fault(HELPER, link("helper", Some("OTHER\\erin"), false)).0, FaultKind::Denied);
}

/// authorization.md §6: publicDelegates is writable by the owner and by those with WRITE_PROPERTY, not by Full Mailbox
/// Access.
#[test]
fn full_mailbox_access_does_not_change_delegates() {
    let site = Site::new();
    site.ask(full_access("zoe", "helper"));
    assert_eq!(site.fault(HELPER, delegate("zoe", "helper")).0, FaultKind::Denied);
    site.ask(grant("zoe", "helper", "write-property", false, None));
    site.service.call(HELPER, "", delegate("zoe", "max")).unwrap();
}

#[test]
fn an_owner_whom_adminsdholder_protects_no_longer_changes_his_delegates() {
    let site = Site::new();
    site.administrator("helper");
    let members = op::Members { group: "Domain Admins".into(), members: vec!["helper".into()] };
    site.ask(R::MemberRemove(members));
    // The template says nothing of Personal Information, and it stays when the account leaves the group.
    assert_eq!(site.fault(HELPER, delegate("helper", "max")).0, FaultKind::Denied);
    site.ask(R::ProtectedRepair(op::Target { identity: "helper".into() }));
    site.service.call(HELPER, "", delegate("helper", "max")).unwrap();
}
