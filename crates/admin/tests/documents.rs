//! Documents of the organization that contradict others, themselves, or what is there.

#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{self as op, Request as R, Response};
use admin::random::new_guid;
use common::{HELPER, ROOT, Site, apply, pruned, request};
use directory::organization::new_object;
use directory::{Change, Class};
use serde_json::{Value, json};

#[test]
fn what_somebody_names_who_may_not_remove_it_is_not_pruned_by_others() {
    let site = Site::new();
    let zoe = json!({"user": {"name": "zoe"}});
    let said = site.service.call(HELPER, "", apply(std::slice::from_ref(&zoe))).unwrap();
    let Response::Done(said) = said else { panic!("{said:?}") };
    assert!(said.summary.contains("nothing was changed"), "{said:?}");
    site.ask(pruned(&[json!({"user": {"name": "max"}})]));
    assert!(site.service.snapshot().resolve("zoe").is_ok());
}

#[test]
fn what_is_named_otherwise_than_before_is_not_pruned() {
    let site = Site::new();
    site.ask(apply(&[json!({"user": {"name": "otto"}}), json!({"group": {"name": "crew", "members": ["otto"]}})]));
    let before = site.records();
    let renamed =
        [json!({"user": {"name": "EXAMPLE\\otto"}}), json!({"group": {"name": "CN=crew,CN=Users,DC=example,DC=com"}})];
    for _ in 0..2 {
        let said = site.done(pruned(&renamed));
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!(site.records(), before);
    }
    site.ask(pruned(&[]));
    assert!(site.service.snapshot().resolve("otto").is_err());
}

#[test]
fn groups_that_every_domain_has_stay_when_everything_that_was_exported_is_pruned() {
    let site = Site::new();
    site.group("crew", &["zoe"]);
    let Response::Organization(page) = site.ask(R::ExportOrganization(op::ExportOrganization::default())) else {
        panic!("no organization")
    };
    assert!(page.next.is_none());
    let items = (1..).zip(page.items).map(|(line, wanted)| op::Item { line, wanted }).collect();
    site.ask(R::Apply(op::Apply { items, prune: false }));
    for _ in 0..2 {
        let said = site.done(pruned(&[]));
        let groups = said.lines().filter(|line| line.ends_with(" stays, every domain has it"));
        assert!(groups.filter(|line| line.contains("group Administrators")).count() == 1, "{said}");
        let snapshot = site.service.snapshot();
        assert!(snapshot.resolve("Administrators").is_ok() && snapshot.resolve("crew").is_err());
    }
    let absent = json!({"group": {"name": "Administrators", "absent": true}});
    assert_eq!(site.fault(ROOT, apply(&[absent])).0, FaultKind::Invalid);
}

#[test]
fn a_group_that_every_domain_has_and_that_is_named_otherwise_is_not_missed() {
    let site = Site::new();
    site.ask(apply(&[json!({"group": {"name": "Domain Admins"}})]));
    let said = site.done(pruned(&[json!({"group": {"name": "EXAMPLE\\Domain Admins"}})]));
    assert!(!said.contains("stays"), "{said}");
}

#[test]
fn a_part_that_is_named_twice_is_refused() {
    let site = Site::new();
    let before = site.records();
    let twice = [
        json!({"user": {"name": "zoe", "enabled": true}}),
        json!({"delegates": {"of": "zoe", "users": ["max"]}}),
        json!({"user": {"name": "Zoe", "enabled": false}}),
    ];
    let (kind, message) = site.fault(ROOT, apply(&twice));
    assert!(kind == FaultKind::Invalid && message.starts_with("line 3: ") && message.contains("line 1"), "{message}");
    assert_eq!(site.records(), before);
}

#[test]
fn a_contact_does_not_become_of_an_object_of_another_class() {
    let site = Site::new();
    let contact = |name: &str, more: Value| {
        let mut part = json!({"name": name});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        part
    };
    let tom = contact("Tom", json!({"addresses": ["tom@example.com"], "target": "tom@example.net"}));
    site.ask(apply(&[json!({"contact": tom})]));
    site.ask(apply(&[json!({"user": {"name": "otto", "addresses": ["otto@example.com"]}})]));
    let before = site.records();
    for wrong in [
        json!({"contact": contact("otto", json!({"addresses": ["o@example.com"]}))}),
        json!({"dynamic-group": contact("Tom", json!({"addresses": ["t@example.com"]}))}),
    ] {
        let (kind, message) = site.fault(ROOT, apply(std::slice::from_ref(&wrong)));
        assert!(kind == FaultKind::Conflict && message.starts_with("line 1: "), "{wrong}: {message}");
        assert_eq!(site.records(), before);
    }
}

#[test]
fn connectors_of_one_name_on_two_servers_are_two() {
    let site = Site::new();
    site.ask(request(json!({"op": "server-new", "name": "MAIL2"})));
    let server = site.service.snapshot().objects().find(|(_, object)| object.name() == "MAIL2").unwrap().1.guid();
    let protocols = new_object(new_guid(), server, Class::Container, "Protocols");
    let place = new_object(new_guid(), protocols.guid, Class::Container, "SMTP Receive Connectors");
    site.service.commit_as_system("as a hub has it", [protocols, place].map(Change::Add).into()).unwrap();
    let relay = |server: &str, most: u32| {
        json!({"receive-connector": {"name": "Relay", "server": server, "usage": "Custom", "max_recipients": most,
               "bindings": ["127.0.0.1:2599"], "remote_ranges": ["127.0.0.0/8"],
               "permission_groups": ["AnonymousUsers"]}})
    };
    let both = [relay("MAIL", 7), relay("MAIL2", 9)];
    site.ask(apply(&both));
    let most = || {
        let snapshot = site.service.snapshot();
        let mut found: Vec<u64> = snapshot
            .receive_connectors()
            .filter(|(_, connector)| connector.name == "Relay")
            .map(|(_, connector)| u64::from(connector.max_recipients))
            .collect();
        found.sort_unstable();
        found
    };
    assert_eq!(most(), [7, 9]);
    let version = site.version();
    let said = site.done(apply(&both));
    assert_eq!(site.version(), version, "{said}");
    let (_, message) = site.fault(ROOT, apply(&[json!({"receive-connector": {"name": "Relay", "max_recipients": 5}})]));
    assert!(message.contains("2 connectors"), "{message}");
    site.ask(pruned(&both[..1]));
    assert_eq!(most(), [7]);
}

#[test]
fn however_a_document_spells_what_it_says_the_second_time_changes_nothing() {
    let site = Site::new();
    let spelled = [
        json!({"organization": {"secure_domains": ["Partner.Example.NET"], "journal_to": "Archive@Example.NET"}}),
        json!({"domain": {"name": "Original.Example", "alias_of": "", "catch_all": "EXAMPLE\\zoe"}}),
        json!({"domain": {"name": "ALIAS.example", "alias_of": "ORIGINAL.example"}}),
        json!({"server": {"name": "edge", "role": "Edge", "fqdn": "EDGE.example.com",
                          "keys": ["AB:".repeat(31) + "AB"]}}),
        json!({"user": {"name": "zoe", "addresses": ["Zoe@Example.com", "zoe@example.com", "Z@example.com"],
                        "sending_limits": ["500 recipients/day", "100 messages/hour"],
                        "forward_to": "MAX@example.com", "accept_from": ["max@example.com", "EXAMPLE\\max"],
                        "journal_to": "J@Example.NET", "linked": "s-1-5-21-7-8-9-1105", "enabled": false}}),
        json!({"contact": {"name": "Tom", "ou": "OU=staff", "addresses": ["tom@example.com"],
                           "target": "Tom@Example.NET"}}),
        json!({"group": {"name": "News", "reports_to": "Owner", "owner": "zoe@example.com",
                         "members": ["max", "EXAMPLE\\max"]}}),
        json!({"dynamic-group": {"name": "Sales", "addresses": ["sales@example.com"],
                                 "filter": " (Department=Sales)"}}),
        json!({"receive-connector": {"name": "Devices", "server": "mail", "usage": "custom", "bindings": ["127.0.0.1:2599"],
               "remote_ranges": ["10.0.0.1-10.0.0.7", "192.0.2.1", "10.1.2.3/8"], "auth": ["tls"],
               "permission_groups": ["partners", "anonymoususers"], "fqdn": "MX.example.com",
               "header_from": "Observe", "protocol_log": "Verbose", "rewrite": ["Old.Example:example.com"],
               "rewrite_headers": "All"}}),
        json!({"send-connector": {"name": "Out", "usage": "internet", "address_spaces": ["SMTP:*.Example.NET;5", "*"],
               "smart_hosts": ["Relay.Example.NET:25"], "tls": "Verified", "protocol_log": "None"}}),
        json!({"receive-connector": {"name": "P", "server": "Mail", "pickup": "/var/spool/p/", "submit_as": "zoe@example.com"}}),
        json!({"grant": {"on": "OU=staff", "user": "max@example.com", "right": "send as", "inherit_to": "USER"}}),
        json!({"grant": {"on": "OU=Staff", "user": "max", "right": "WriteDacl", "inheritance": "all"}}),
        json!({"mailbox-grant": {"on": "zoe", "user": "max", "right": "Full Access,read-permission"}}),
        json!({"folder-permission": {"on": "ZOE@example.com", "folder": "\\Calendar", "entries": [
            {"user": "everyone", "right": "availability only"}, {"user": "MAX@example.com", "right": "edit-any,Visible"},
            {"user": "anonymous", "right": "NONE"}]}}),
        json!({"folder-permission": {"on": "EXAMPLE\\zoe", "folder": "\\CALENDAR", "absent": true}}),
        json!({"delegates": {"of": "zoe@example.com", "users": ["max", "max@example.com"],
                             "until": {"EXAMPLE\\max": "1970-01-02T00:00:00+00:00"}}}),
    ];
    // Each alone, so that every fault is seen.
    let mut wrong = Vec::new();
    for part in spelled {
        match site.service.call(ROOT, "", apply(std::slice::from_ref(&part))) {
            Ok(_) => {
                let version = site.version();
                let said = site.done(apply(std::slice::from_ref(&part)));
                if site.version() != version {
                    wrong.push(format!("{part}: {said}"));
                }
            }
            Err(fault) => wrong.push(format!("{part}: {fault:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Users, a group, a unit and grants to them, in an order in which each needs what comes later.
fn of_new_accounts() -> Vec<Value> {
    let mut items = vec![json!({"delegates": {"of": "u0", "users": ["u3"]}})];
    items.extend((0..4).map(|n| json!({"mailbox-grant": {"on": format!("u{n}"), "user": "desk"}})));
    items.extend(
        (0..4).map(
            |n| json!({"grant": {"on": format!("u{n}"), "user": format!("u{}", (n + 1) % 4), "right": "Send As"}}),
        ),
    );
    items.push(json!({"group": {"name": "desk", "ou": "OU=New", "members": ["u1", "u2"]}}));
    items.extend((0..4).map(|n| json!({"user": {"name": format!("u{n}"), "ou": "OU=New", "mailbox": true}})));
    items.push(json!({"ou": {"name": "New"}}));
    items.push(json!({"user": {"name": "max", "absent": true}}));
    items
}

#[test]
fn what_a_trial_says_of_a_document_is_what_is_done() {
    let site = Site::new();
    let tried = site.simulated(apply(&of_new_accounts()));
    site.ask(apply(&of_new_accounts()));
    let history = match site.ask(R::History(op::History::default())) {
        Response::History(page) => page.rows,
        other => panic!("{other:?}"),
    };
    let words = |lines: &[op::ChangeLine]| {
        let sorted = |values: &[String]| {
            let mut values = values.to_vec();
            values.sort();
            values
        };
        let word = |line: &op::ChangeLine| {
            let (removed, added) = (sorted(&line.removed), sorted(&line.added));
            format!("{} {} {} {removed:?} {added:?}", line.what, line.object, line.attribute)
        };
        // What is random is another the next time: GUIDs, and by them the order of links.
        let mut words: Vec<String> = lines.iter().filter(|line| !line.attribute.contains("Guid")).map(word).collect();
        words.sort();
        words.dedup();
        words
    };
    assert!(tried.changes.len() > 10);
    assert_eq!(words(&tried.changes), words(&history[0].changes));
    assert!(site.may_send_as("u1", "u0") && site.may_send_as("u0", "u3") && !site.may_send_as("u2", "u0"));
}

#[test]
fn a_document_is_taken_back_as_one() {
    let site = Site::new();
    let before = site.records();
    site.ask(apply(&of_new_accounts()));
    assert_ne!(site.records(), before);
    site.ask(common::undo(site.version()));
    assert_eq!(site.records(), before);
}

#[test]
fn what_was_done_is_told_step_by_step_and_is_no_warning() {
    let site = Site::new();
    let Response::Done(done) = site.ask(apply(&[json!({"ou": {"name": "New"}}), json!({"user": {"name": "zoe"}})]))
    else {
        panic!()
    };
    assert!(done.steps.len() == 1 && done.steps[0].starts_with("line 1: added OU=New"), "{done:?}");
    assert!(done.warnings.is_empty() && done.summary.contains("1 change"), "{done:?}");
}
