//! Which grants were used, by the decisions in the audit.
#![allow(clippy::unwrap_used)]

mod common;

use admin::operations::{self as op, Request as R, Response};
use common::{Site, delegate, request, send_as};
use serde_json::json;
use store::{AuditEntry, AuditStore};

fn move_to(object: &str, to: &str) -> R {
    R::Move(op::Move { identity: object.to_owned(), to: to.to_owned() })
}

/// Grants that were not used in the last day, or all with their use.
fn usage(site: &Site, all: bool) -> Vec<op::UsageRow> {
    match site.ask(request(json!({"op": "permission-unused", "days": 1, "all": all}))) {
        Response::Usage(page) => page.rows,
        other => panic!("{other:?}"),
    }
}

/// Grants that were not used in the last day: who, on whom.
fn unused(site: &Site) -> Vec<(String, String)> {
    let rows = usage(site, false).into_iter();
    let mut rows: Vec<_> = rows.map(|row| (row.trustee, row.right)).collect();
    rows.sort();
    rows
}

/// Puts a decision as it would be made now into the audit, as that of a message.
fn sent(site: &Site, kind: &str, who: &str, from: &str) {
    let connector = "Client";
    record(site, kind, who, json!({"op": "check", "who": who, "from": [from], "connector": connector}));
}

/// Puts what a check finds into the audit.
fn record(site: &Site, kind: &str, who: &str, check: serde_json::Value) {
    let Response::Decision(record) = site.ask(request(check)) else { panic!() };
    assert!(!record.trace.is_empty(), "{record:?}");
    let json = serde_json::to_string(&record).unwrap();
    let mut audit = AuditStore::open(&site.service.directory().join("audit.db")).unwrap();
    let id = format!("01J{kind}{who}");
    audit.append(&[AuditEntry { id, time: 500, kind: kind.to_owned(), json }]).unwrap();
}

#[test]
fn a_grant_that_no_decision_rests_on_is_unused() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    site.ask(send_as("zoe", "helper"));
    site.ask(delegate("max", "helper"));
    let (max, helper) = ("EXAMPLE\\max".to_owned(), "EXAMPLE\\helper".to_owned());
    let (send_as, on_behalf) = ("send-as".to_owned(), "send-on-behalf".to_owned());
    let all = unused(&site);
    assert_eq!(all, [(helper.clone(), send_as.clone()), (helper.clone(), on_behalf.clone()), (max, send_as.clone())]);
    site.ask(common::grant("Client", "Authenticated Users", "ms-Exch-SMTP-Submit", false, None));
    sent(&site, "sent-as", "max", "zoe@example.com");
    let left = unused(&site);
    assert_eq!(left, [(helper.clone(), send_as.clone()), (helper.clone(), on_behalf)]);
    sent(&site, "sent-on-behalf", "helper", "max@example.com");
    assert_eq!(unused(&site), [(helper, send_as)]);
}

#[test]
fn a_grant_to_a_group_is_used_by_the_members_that_use_it() {
    let site = Site::new();
    site.group("Helpers", &["max", "helper"]);
    site.ask(common::grant("OU=Staff", "Helpers", "Send As", false, Some("user")));
    site.ask(common::grant("Client", "Authenticated Users", "ms-Exch-SMTP-Submit", false, None));
    sent(&site, "sent-as", "helper", "zoe@example.com");
    assert_eq!(unused(&site), []);
    let [row] = &usage(&site, true)[..] else { panic!("{:?}", usage(&site, true)) };
    assert_eq!((row.trustee.as_str(), row.target_dn.as_str()), ("EXAMPLE\\Helpers", "OU=Staff,DC=example,DC=com"));
    assert_eq!((row.uses, &row.used_by[..]), (1, &["EXAMPLE\\helper".to_owned()][..]));
    assert_eq!(row.last_used.as_deref(), Some("1970-01-01T00:00:01Z"));
}

#[test]
fn a_grant_stays_used_when_its_owner_is_moved_and_renamed_since() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    site.ask(common::grant("Client", "Authenticated Users", "ms-Exch-SMTP-Submit", false, None));
    sent(&site, "sent-as", "max", "zoe@example.com");
    site.ask(move_to("zoe", "OU=Plant"));
    assert_eq!(unused(&site), []);
}

#[test]
fn an_unused_grant_names_what_takes_it_away() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    site.ask(common::grant("OU=Staff", "max", "Send As", false, Some("user")));
    site.ask(delegate("zoe", "max"));
    let mut commands: Vec<_> = usage(&site, false).into_iter().map(|row| row.command).collect();
    commands.sort();
    let (staff, zoe) = ("OU=Staff,DC=example,DC=com", "CN=zoe,OU=Staff,DC=example,DC=com");
    assert_eq!(
        commands,
        [
            format!("procura permission remove '{zoe}' --user 'EXAMPLE\\max' --right 'Send As'"),
            format!("procura permission remove '{staff}' --user 'EXAMPLE\\max' --right 'Send As' --inherit-to user"),
            format!("procura send-on-behalf remove '{zoe}' 'CN=max,OU=Staff,DC=example,DC=com'"),
        ]
    );
}

/// Trustees of unused entries for Full Mailbox Access, and the commands that take them away.
fn unused_access(site: &Site) -> Vec<(String, String)> {
    match site.ask(request(json!({"op": "permission-unused", "days": 1, "full_access": true}))) {
        Response::Usage(page) => {
            let rows = page.rows.into_iter().filter(|row| row.right == "full-access");
            rows.map(|row| (row.trustee, row.command)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn full_mailbox_access_is_listed_where_it_is_asked_for_with_what_takes_it_away() {
    let site = Site::new();
    site.ask(common::full_access("zoe", "max"));
    assert!(unused(&site).is_empty());
    let (trustee, command) = unused_access(&site).remove(0);
    assert_eq!(trustee, "EXAMPLE\\max");
    assert_eq!(command, "procura mailbox-permission remove 'CN=zoe,OU=Staff,DC=example,DC=com' --user 'EXAMPLE\\max'");
}

#[test]
fn full_mailbox_access_is_used_by_a_super_delegate_that_sends_as_the_owner() {
    let site = Site::new();
    site.ask(common::full_access("zoe", "max"));
    site.ask(common::full_access("zoe", "helper"));
    site.ask(delegate("zoe", "max"));
    site.ask(common::grant("Client", "Authenticated Users", "ms-Exch-SMTP-Submit", false, None));
    let check =
        json!({"op": "check", "who": "max", "logon": "zoe", "from": ["zoe@example.com"], "connector": "Client"});
    record(&site, "sent-as", "max", check);
    let left: Vec<String> = unused_access(&site).into_iter().map(|(trustee, _)| trustee).collect();
    assert_eq!(left, ["EXAMPLE\\helper"]);
    assert!(unused(&site).is_empty(), "the delegate's link was used, too");
}
