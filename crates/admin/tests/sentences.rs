//! Sentences of S0 (KB 912918) and S1 (Good KB 17540) that can be true or false of a system, where no other test has
//! them already. `docs/src/s0-s1.md` names the test of each; the last test here sees to it that they exist.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use acl::Sid;
use admin::FaultKind;
use admin::operations::{self as op, Request as R, Response};
use common::{Site, delegate, full_access, grant, other_forest, send_as, undo};
use directory::{Change, Class, Record, attributes as a};

/// A child domain with the user `junior` and his mailbox.
fn child_domain(site: &Site) {
    let snapshot = site.service.snapshot();
    let root = snapshot.object(snapshot.domains()[0].object).unwrap().guid();
    let classes = |class: Class| class.object_classes().iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
    let domain = admin::random::new_guid();
    let sid: Sid = "S-1-5-21-4-5-6".parse().unwrap();
    let child = Record::new(domain, Some(root), "DC=child")
        .with_all(a::OBJECT_CLASS, classes(Class::Domain))
        .with(a::OBJECT_SID, sid.to_bytes());
    let junior = Record::new(admin::random::new_guid(), Some(domain), "CN=junior")
        .with_all(a::OBJECT_CLASS, classes(Class::User))
        .with(a::SAM_ACCOUNT_NAME, "junior")
        .with(a::USER_ACCOUNT_CONTROL, "512")
        .with(a::PROXY_ADDRESSES, "SMTP:junior@example.com")
        .with(a::MAILBOX_GUID, admin::random::new_guid().0.to_vec());
    site.service.commit_as_system("child domain", vec![Change::Add(child), Change::Add(junior)]).unwrap();
}

fn modify(site: &Site, who: &str, attribute: &str, value: Vec<u8>) -> Result<(), admin::Fault> {
    let snapshot = site.service.snapshot();
    let guid = snapshot.object(snapshot.resolve(who).unwrap()).unwrap().guid();
    let change = Change::Modify { guid, attributes: vec![(attribute.to_owned(), vec![value])] };
    site.service.commit_as_system("test", vec![change]).map(|_| ())
}

/// S1: "Note that if you set this permission at the forest root domain level, it will not propagate to the child
/// domains."
#[test]
fn a_grant_on_the_root_domain_does_not_reach_a_child_domain_and_says_so() {
    let site = Site::new();
    child_domain(&site);
    let said = site.done(grant("DC=example,DC=com", "helper", "Send As", false, Some("user")));
    assert!(said.contains("DC=child,DC=example,DC=com"), "{said}");
    assert!(site.may_send_as("helper", "zoe") && !site.may_send_as("helper", "junior"));
}

/// S1: "This permission must be applied to the GoodAdmin account for each domain containing GoodLink users."
#[test]
fn a_user_of_a_domain_without_the_grant_is_named_with_the_command_for_that_domain() {
    let site = Site::new();
    child_domain(&site);
    site.ask(grant("DC=example,DC=com", "helper", "Send As", false, Some("user")));
    let check = op::ServiceAccountCheck { identity: "helper".into(), ..Default::default() };
    let Response::ServiceAccount(report) = site.ask(R::ServiceAccountCheck(check)) else { panic!() };
    let [row] = &report.rows[..] else { panic!("{report:?}") };
    assert_eq!(row.reason, "other-domain");
    assert!(row.command.contains("'DC=child,DC=example,DC=com'"), "{row:?}");
    site.ask(R::ServiceAccountGrant(op::ServiceAccountGrant { identity: "helper".into(), ..Default::default() }));
    assert!(site.may_send_as("helper", "junior"), "a grant for a service account is made in each domain");
}

/// S0: "Only one account in a whole forest is permitted to carry the GUID for a particular mailbox. If you try to set a
/// second owner with the same GUID, Active Directory will reject the change with an error."
#[test]
fn a_second_owner_of_a_mailbox_is_rejected_anywhere_in_the_forest() {
    let site = Site::new();
    child_domain(&site);
    let snapshot = site.service.snapshot();
    let mailbox = snapshot.object(snapshot.resolve("zoe").unwrap()).unwrap().mailbox().unwrap().guid;
    let fault = modify(&site, "junior", a::MAILBOX_GUID, mailbox.0.to_vec()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Conflict);
    assert!(fault.message.contains("CN=zoe,OU=Staff"), "{fault}");
}

/// S0: "the external account that owns the SID will be granted Exchange access as if it were the actual mailbox owner
/// account. … you should mark the mailbox owner account as Disabled for logons".
#[test]
fn the_associated_external_account_is_the_owner_of_a_disabled_account_only() {
    let site = Site::new();
    other_forest(&site);
    let erin: Sid = "S-1-5-21-7-8-9-1105".parse().unwrap();
    modify(&site, "zoe", a::MASTER_ACCOUNT_SID, erin.to_bytes()).unwrap();
    assert!(!site.may_send_as("OTHER\\erin", "zoe"), "the owner is enabled");
    let disable = op::UserSet { identity: "zoe".into(), enabled: Some(false), ..Default::default() };
    site.ask(R::UserSet(disable));
    assert!(site.may_send_as("OTHER\\erin", "zoe"));
    let rows = site.holders(R::WhoCan(common::who_can("send-as", "zoe")));
    assert!(rows.iter().any(|row| row.trustee == "OTHER\\erin" && row.via == "linked-account" && row.effective));
}

/// S0: "When the super-delegate logs directly on to the mailbox owner's mailbox, the delegate can send as the owner."
#[test]
fn a_super_delegate_sends_as_the_owner_only_when_logged_on_to_the_mailbox() {
    let site = Site::new();
    site.ask(delegate("zoe", "max"));
    site.ask(full_access("zoe", "max"));
    let request = op::WhoCan { expand: true, ..common::who_can("send-as", "zoe") };
    let rows = site.holders(R::WhoCan(request));
    let row = rows.iter().find(|row| row.trustee == "EXAMPLE\\max").unwrap();
    assert_eq!((row.via.as_str(), row.needs_logon), ("super-delegate", true));
}

/// S0: "If you do grant Send As permissions to a delegate when you did not intend to, you can easily revoke the
/// permission later."
#[test]
fn send_as_that_a_delegate_got_by_mistake_is_taken_back() {
    let site = Site::new();
    site.ask(delegate("zoe", "max"));
    site.ask(send_as("zoe", "max"));
    assert!(site.may_send_as("max", "zoe"));
    site.ask(undo(site.version()));
    assert!(!site.may_send_as("max", "zoe"));
    let rows = site.holders(R::WhoCan(common::who_can("send-on-behalf", "zoe")));
    assert!(rows.iter().any(|row| row.trustee == "EXAMPLE\\max"), "still a delegate");
}

/// S0: "If you do change the adminSDHolder object, the access permissions for all protected accounts will change."
#[test]
fn a_grant_on_the_template_reaches_every_protected_account() {
    let site = Site::new();
    site.administrator("zoe");
    site.administrator("max");
    site.ask(send_as("CN=AdminSDHolder,CN=System", "helper"));
    site.service.protect().unwrap();
    assert!(site.may_send_as("helper", "zoe") && site.may_send_as("helper", "max"));
}

/// S0: "many Microsoft Exchange customers have requested that the Send As permission be separated from the Full Mailbox
/// Access permission": before, one was the other, per database here.
#[test]
fn under_the_legacy_policy_full_mailbox_access_carries_send_as_again() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    assert!(!site.may_send_as("max", "zoe"));
    let set = |on| R::DatabaseSet(op::DatabaseSet { identity: "Mailbox Database".into(), legacy_send_as: Some(on) });
    site.ask(set(true));
    assert!(site.may_send_as("max", "zoe"));
    site.ask(set(false));
    assert!(!site.may_send_as("max", "zoe"));
}

#[test]
fn every_test_that_the_table_of_sentences_names_exists() {
    assert!(tests_named_by("s0-s1.md") > 40);
}

#[test]
fn every_test_that_the_table_of_transport_permissions_names_exists() {
    assert!(tests_named_by("s2.md") > 100);
}

#[test]
fn every_test_that_the_table_of_attacks_names_exists_and_every_attack_has_one() {
    assert!(tests_named_by("attacks.md") > 40);
    let page = std::fs::read_to_string(root().join("docs/src/attacks.md")).unwrap();
    for attack in 1..=30 {
        let row = page.lines().find(|line| line.starts_with(&format!("| {attack} |")));
        assert!(row.is_some_and(|row| row.contains(".authz`") || row.contains(".rs::")), "attack {attack}");
    }
    for script in std::fs::read_dir(root().join("crates/session/tests/scripts")).unwrap() {
        let name = script.unwrap().file_name().into_string().unwrap();
        assert!(!name.starts_with("attack-") || page.contains(&format!("`{name}`")), "{name} is not in the table");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// How many tests the tables of a page name; all of them exist. They are named by file, below `crates` or from the root,
/// and function, or by golden script.
fn tests_named_by(page: &str) -> usize {
    let table = std::fs::read_to_string(root().join("docs/src").join(page)).unwrap();
    let mut named = 0;
    for cell in table.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let Some((file, test)) = cell.split_once("::") else {
            if cell.ends_with(".authz") {
                assert!(root().join("crates/session/tests/scripts").join(cell).exists(), "{cell}");
                named += 1;
            }
            continue;
        };
        let paths = [root().join("crates").join(file), root().join(file)];
        let path = paths.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{cell}"));
        let source = std::fs::read_to_string(path).unwrap();
        assert!(source.contains(&format!("fn {test}(")), "{cell}");
        named += 1;
    }
    named
}
