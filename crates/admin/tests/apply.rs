//! The organization as a document says.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use admin::operations::{self as op, Request as R, Response};
use common::{Site, apply, pruned, request};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One of everything.
fn all() -> Vec<Value> {
    vec![
        json!({"grant": {"on": "OU=Desk", "user": "helpers", "right": "Send As", "inherit_to": "user"}}),
        json!({"domain": {"name": "example.org", "kind": "internal-relay", "subaddressing": true}}),
        json!({"ou": {"name": "Desk"}}),
        json!({"group": {"name": "helpers", "members": ["anna", "helper"]}}),
        json!({"user": {"name": "anna", "ou": "OU=Desk", "display_name": "Anna B.", "mailbox": true,
                        "addresses": ["anna@example.com", "a.b@example.com"]}}),
        json!({"mailbox-grant": {"on": "anna", "user": "helpers"}}),
        json!({"folder-permission": {"on": "anna", "folder": "\\Calendar", "entries": [
            {"user": "helpers", "right": "Editor"}, {"user": "Default", "right": "AvailabilityOnly"}]}}),
        json!({"delegates": {"of": "anna", "users": ["zoe"]}}),
        json!({"connector": {"name": "Client", "header_from": "observe", "enabled": false}}),
    ]
}

#[test]
fn everything_a_document_says_is_so_afterwards_and_is_one_change() {
    let site = Site::new();
    let before = site.version();
    site.ask(apply(&all()));
    assert_eq!(site.version(), before + 1);
    assert!(site.may_send_as("helper", "anna"));
    let snapshot = site.service.snapshot();
    let anna = snapshot.resolve("a.b@example.com").unwrap();
    assert!(snapshot.dn(anna).starts_with("CN=Anna B.,OU=Desk,DC=example"));
    assert_eq!(snapshot.delegates(anna), [snapshot.resolve("zoe").unwrap()]);
    assert!(snapshot.accepted_domains().any(|(_, domain)| domain.name == "example.org" && domain.subaddressing));
    assert!(snapshot.receive_connectors().all(|(_, connector)| !connector.enabled));
    let helper = snapshot.resolve("helper").unwrap();
    assert!(rights::person(&snapshot, helper, anna, rights::Permission::FullAccess).is_some());
}

#[test]
fn a_document_applied_again_changes_nothing() {
    let site = Site::new();
    site.ask(apply(&all()));
    let version = site.version();
    let said = site.done(apply(&all()));
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(site.version(), version);
}

fn connectors() -> Vec<Value> {
    vec![
        json!({"receive-connector": {"name": "Devices", "usage": "Custom", "bindings": ["127.0.0.1:2599"],
               "remote_ranges": ["127.0.0.0/8"], "permission_groups": ["AnonymousUsers"], "max_recipients": 7}}),
        json!({"send-connector": {"name": "Provider", "usage": "Internet", "address_spaces": ["*"],
               "smart_hosts": ["relay.example.net"]}}),
    ]
}

fn names_of_connectors(site: &Site) -> Vec<String> {
    let get = op::ConnectorGet::default();
    let (Response::ReceiveConnectors(receive), Response::SendConnectors(send)) =
        (site.ask(R::ReceiveConnectorGet(get.clone())), site.ask(R::SendConnectorGet(get)))
    else {
        panic!()
    };
    receive.rows.into_iter().map(|row| row.name).chain(send.rows.into_iter().map(|row| row.name)).collect()
}

#[test]
fn connectors_are_made_and_applied_again_they_stay() {
    let site = Site::new();
    let before = names_of_connectors(&site);
    site.ask(apply(&connectors()));
    let made = names_of_connectors(&site);
    assert_eq!(made.len(), before.len() + 2);
    let version = site.version();
    let said = site.done(apply(&connectors()));
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!((site.version(), names_of_connectors(&site)), (version, made));
}

#[test]
fn a_connector_changes_as_the_document_does() {
    let site = Site::new();
    site.ask(apply(&connectors()));
    let mut changed = connectors();
    changed[0]["receive-connector"]["max_recipients"] = json!(9);
    let said = site.done(apply(&changed));
    assert!(said.contains("changed the receive connector Devices") && !said.contains("Provider"), "{said}");
}

#[test]
fn what_is_to_be_absent_goes_and_is_not_missed() {
    let site = Site::new();
    site.ask(apply(&all()));
    site.ask(apply(&connectors()));
    let absent: Vec<Value> = all()
        .into_iter()
        .chain(connectors())
        .filter(|part| part.get("ou").is_none() && part.get("delegates").is_none() && part.get("connector").is_none())
        .map(|mut part| {
            part.as_object_mut().unwrap().values_mut().for_each(|wanted| wanted["absent"] = json!(true));
            part
        })
        .collect();
    site.ask(apply(&absent));
    let snapshot = site.service.snapshot();
    assert!(snapshot.resolve("anna").is_err() && snapshot.resolve("helpers").is_err());
    assert!(!names_of_connectors(&site).iter().any(|name| name == "Provider" || name == "Devices"));
    let said = site.done(apply(&absent));
    assert!(said.contains("nothing was changed"), "{said}");
}

#[test]
fn pruning_takes_what_documents_named_and_nothing_else() {
    let site = Site::new();
    site.user("otto", Some("OU=Staff"));
    site.ask(common::send_as("otto", "max"));
    site.ask(apply(&all()));
    let less: Vec<Value> =
        all().into_iter().filter(|part| part.get("grant").is_none() && part.get("domain").is_none()).collect();
    site.ask(apply(&less));
    assert!(site.may_send_as("helper", "anna"), "without pruning it stays");
    let said = site.done(pruned(&less));
    assert!(said.contains("no longer named: "), "{said}");
    assert!(!site.may_send_as("helper", "anna") && site.may_send_as("max", "otto"));
    assert!(!site.service.snapshot().accepted_domains().any(|(_, domain)| domain.name == "example.org"));
    let version = site.version();
    assert!(site.done(pruned(&less)).contains("nothing was changed"));
    assert_eq!(site.version(), version);
}

#[test]
fn a_trial_of_pruning_changes_nothing_and_forgets_nothing() {
    let site = Site::new();
    site.ask(apply(&all()));
    let before = site.records();
    site.simulated(pruned(&[]));
    assert_eq!(site.records(), before);
    site.ask(pruned(&[]));
    assert!(site.service.snapshot().resolve("anna").is_err(), "the trial left it to be pruned");
    assert!(site.service.snapshot().by_dn("OU=Desk,DC=example,DC=com").is_some(), "units stay");
}

#[test]
fn what_is_no_longer_in_a_list_goes() {
    let site = Site::new();
    site.ask(apply(&all()));
    site.ask(apply(&[
        json!({"group": {"name": "helpers", "members": ["anna"]}}),
        json!({"user": {"name": "anna", "addresses": ["anna@example.com"]}}),
        json!({"delegates": {"of": "anna", "users": []}}),
    ]));
    let snapshot = site.service.snapshot();
    let anna = snapshot.resolve("anna").unwrap();
    assert_eq!(snapshot.members(snapshot.resolve("helpers").unwrap()), [anna]);
    assert_eq!(snapshot.object(anna).unwrap().addresses().len(), 1);
    assert!(snapshot.delegates(anna).is_empty());
}

#[test]
fn a_fault_names_its_line_and_nothing_is_done() {
    let site = Site::new();
    let before = site.records();
    let mut items = all();
    items.push(json!({"grant": {"on": "anna", "user": "nobody-of-that-name", "right": "Send As"}}));
    let (_, message) = site.fault(common::ROOT, apply(&items));
    assert!(message.starts_with("line 10: ") && message.contains("nobody-of-that-name"), "{message}");
    assert_eq!(site.records(), before);
}

#[test]
fn a_trial_says_who_would_gain_and_changes_nothing() {
    let site = Site::new();
    let before = site.records();
    let simulated = site.simulated(apply(&all()));
    assert!(simulated.gained.iter().any(|row| format!("{row:?}").contains("helper")), "{:?}", simulated.gained);
    assert_eq!(site.records(), before);
}

#[test]
fn who_may_not_change_it_step_by_step_may_not_apply_it() {
    let site = Site::new();
    let before = site.records();
    site.fault(common::HELPER, apply(&all()));
    assert_eq!(site.records(), before);
}

/// The organization as a document, and how many entries it cannot say.
fn exported(site: &Site) -> (Vec<op::Item>, u64) {
    match site.ask(R::ExportOrganization(op::ExportOrganization::default())) {
        Response::Organization(page) => {
            assert_eq!(page.next, None);
            let items = (1..).zip(page.items).map(|(line, wanted)| op::Item { line, wanted });
            (items.collect(), page.entries_left_out)
        }
        other => panic!("{other:?}"),
    }
}

fn apply_exported(items: Vec<op::Item>) -> R {
    R::Apply(op::Apply { items, prune: false })
}

/// The organization with one of everything, applied and then granted by hand.
fn full() -> Site {
    let site = Site::new();
    site.ask(apply(&all()));
    site.ask(request(json!({"op": "send-connector-new", "name": "Out", "address_spaces": ["*"], "port": 2525})));
    for right in ["write-dac", "full-control", "ms-Exch-SMTP-Submit"] {
        site.ask(common::grant("OU=Desk", "helpers", right, false, None));
    }
    site.ask(common::grant("Client", "helpers", "ms-Exch-SMTP-Accept-Any-Recipient", false, None));
    site.ask(common::grant("zoe", "max", "Send As", true, None));
    site
}

#[test]
fn an_export_applied_to_where_it_came_from_changes_nothing() {
    let site = full();
    let version = site.version();
    let (items, _) = exported(&site);
    let said = site.done(apply_exported(items));
    assert_eq!(site.version(), version, "{said}");
}

#[test]
fn an_export_applied_to_a_new_organization_makes_it_the_same() {
    let site = full();
    let (items, _) = exported(&site);
    let other = Site::new();
    other.ask(apply_exported(items.clone()));
    assert_eq!(texts(&exported(&other).0), texts(&items));
}

/// The parts of a document, in no order.
fn texts(items: &[op::Item]) -> Vec<String> {
    let mut all: Vec<String> = items.iter().map(|item| serde_json::to_string(&item.wanted).unwrap()).collect();
    all.sort();
    all
}

#[test]
fn an_export_says_what_was_granted_and_nothing_that_comes_with_a_class() {
    let site = full();
    let (items, _) = exported(&site);
    let mut grants: Vec<String> = items
        .into_iter()
        .filter_map(|item| match item.wanted {
            op::Wanted::Grant(grant) if grant.user.ends_with("helpers") || grant.on == "zoe" => {
                let deny = if grant.deny { " denied" } else { "" };
                Some(format!("{} {}{deny} {:?}", grant.on, grant.right, grant.inherit_to))
            }
            _ => None,
        })
        .collect();
    grants.sort();
    let expected = [
        "CN=Client,CN=SMTP Receive Connectors ms-Exch-SMTP-Accept-Any-Recipient None",
        "OU=Desk,DC=example,DC=com Send-As Some(\"user\")",
        "OU=Desk,DC=example,DC=com full-control None",
        "OU=Desk,DC=example,DC=com ms-Exch-SMTP-Submit None",
        "OU=Desk,DC=example,DC=com write-dac None",
        "zoe Send-As denied None",
    ];
    let short = |text: &String| match (text.split_once(",CN=Protocols"), text.split_once(" ms-Exch-SMTP-Accept")) {
        (Some((before, _)), Some((_, after))) => format!("{before} ms-Exch-SMTP-Accept{after}"),
        _ => text.clone(),
    };
    assert_eq!(grants.iter().map(short).collect::<Vec<_>>(), expected);
}

/// What no one but the new parts of documents says: limits, links, servers, databases, ends, settings of recipients.
fn rest() -> Vec<Value> {
    let key = "ab".repeat(32);
    vec![
        json!({"organization": {"secure_domains": ["partner.example.net"], "journal_to": "archive@example.net"}}),
        json!({"domain": {"name": "alias.example", "alias_of": "original.example"}}),
        json!({"domain": {"name": "original.example", "recipient_lookup": false, "catch_all": "zoe"}}),
        json!({"ou": {"name": "Inner", "under": "OU=Outer"}}),
        json!({"ou": {"name": "Outer"}}),
        json!({"server": {"name": "EDGE", "role": "edge", "fqdn": "edge.example.com", "keys": [key]}}),
        json!({"database": {"name": "Archive", "legacy_send_as": true}}),
        json!({"user": {"name": "linda", "mailbox": true, "database": "Archive", "enabled": false,
                        "linked": "S-1-5-21-7-8-9-1105", "sending_limits": ["100 messages/hour", "500 recipients/day"],
                        "forward_to": "tom@example.com", "keep_copy": true, "copy_sent_as": true,
                        "accept_from": ["News", "zoe"], "journal_to": "journal@example.net"}}),
        json!({"group": {"name": "News", "members": ["max"], "owner": "zoe", "reports_to": "owner",
                         "authenticated_only": true, "reject_from": ["max"]}}),
        json!({"contact": {"name": "Tom", "ou": "OU=Inner,OU=Outer", "addresses": ["tom@example.com"],
                           "target": "tom@example.net"}}),
        json!({"dynamic-group": {"name": "Sales", "addresses": ["sales@example.com"], "filter": "(department=Sales)",
                                 "below": "OU=Outer"}}),
        json!({"grant": {"on": "zoe", "user": "max", "right": "Send As", "until": "1970-01-01T00:00:05Z"}}),
        json!({"mailbox-grant": {"on": "linda", "user": "max", "right": "full-access, read-permission",
                                 "until": "1970-01-02"}}),
        json!({"folder-permission": {"on": "linda", "folder": "\\Inbox\\Orders", "entries": [
            {"user": "News", "right": "ReadAny, Create"}, {"user": "max", "right": "None"}]}}),
        json!({"folder-permission": {"on": "zoe", "folder": "\\", "entries": [
            {"user": "linda", "right": "Reviewer"}, {"user": "Anonymous", "right": "Contributor"}]}}),
        json!({"delegates": {"of": "zoe", "users": ["helper", "max"], "until": {"max": "1970-01-01T00:00:09Z"}}}),
    ]
}

#[test]
fn a_document_says_limits_links_servers_databases_ends_and_how_mail_for_recipients_goes() {
    let site = Site::new();
    site.ask(apply(&rest()));
    let snapshot = site.service.snapshot();
    let linda = snapshot.object(snapshot.resolve("linda").unwrap()).unwrap();
    assert_eq!(linda.sending_limits().unwrap().unwrap().messages_per_hour, Some(100));
    assert_eq!(snapshot.sid(linda.master_account().unwrap()).to_string(), "S-1-5-21-7-8-9-1105");
    let database = linda.mailbox().unwrap().database.unwrap();
    assert_eq!(snapshot.object(database).unwrap().name(), "Archive");
    assert!(rights::has_legacy_policy(&snapshot, snapshot.resolve("linda").unwrap()));
    let Response::Recipient(op::RecipientResponse::One(row)) =
        site.ask(R::Recipient(op::RecipientRequest::Get { identity: "linda".to_owned() }))
    else {
        panic!()
    };
    assert_eq!(row.settings.forward_to.as_deref(), Some("tom@example.com"));
    assert_eq!((row.settings.keep_copy, row.settings.copy_sent_on_behalf), (Some(true), Some(false)));
    assert_eq!(snapshot.catch_all("original.example"), snapshot.resolve("zoe").ok());
    assert!(snapshot.by_dn("CN=Tom,OU=Inner,OU=Outer,DC=example,DC=com").is_some());
    let ends: Vec<i64> = snapshot.next_expiry().into_iter().map(|time| time.0).collect();
    assert_eq!(ends, [5_000]);
}

#[test]
fn all_that_a_document_says_is_so_the_second_time() {
    let site = Site::new();
    site.ask(apply(&rest()));
    let version = site.version();
    let said = site.done(apply(&rest()));
    assert_eq!(site.version(), version, "{said}");
}

#[test]
fn what_such_a_document_says_comes_back_from_a_new_organization() {
    let site = Site::new();
    site.ask(apply(&rest()));
    let (items, left_out) = exported(&site);
    let version = site.version();
    let said = site.done(apply_exported(items.clone()));
    assert_eq!(site.version(), version, "{said}");
    let other = Site::new();
    other.ask(apply_exported(items.clone()));
    assert_eq!(texts(&exported(&other).0), texts(&items));
    assert_eq!(left_out, exported(&Site::new()).1);
}

#[test]
fn what_is_said_otherwise_changes_and_an_empty_text_takes_away() {
    let site = Site::new();
    site.ask(apply(&rest()));
    let key = "cd".repeat(32);
    site.ask(apply(&[
        json!({"organization": {"secure_domains": [], "journal_to": ""}}),
        json!({"domain": {"name": "original.example", "catch_all": ""}}),
        json!({"server": {"name": "edge", "fqdn": "border.example.com", "keys": [key]}}),
        json!({"database": {"name": "Archive", "legacy_send_as": false}}),
        json!({"user": {"name": "linda", "linked": "", "sending_limits": [], "forward_to": "", "accept_from": []}}),
        json!({"contact": {"name": "Tom", "ou": "OU=Inner,OU=Outer", "addresses": ["thomas@example.com"]}}),
        json!({"grant": {"on": "zoe", "user": "max", "right": "Send As"}}),
        json!({"delegates": {"of": "zoe", "users": ["max"]}}),
    ]));
    let snapshot = site.service.snapshot();
    let linda = snapshot.object(snapshot.resolve("linda").unwrap()).unwrap();
    assert!(linda.sending_limits().is_none() && linda.master_account().is_none());
    assert!(snapshot.resolve("thomas@example.com").is_ok() && snapshot.resolve("tom@example.com").is_err());
    assert_eq!(snapshot.catch_all("original.example"), None);
    // The grant on the mailbox is left.
    assert_eq!(snapshot.next_expiry().map(|time| time.0), Some(86_400_000));
    let Response::Servers(servers) = site.ask(R::ServerGet(op::ConnectorGet { identity: Some("EDGE".to_owned()) }))
    else {
        panic!()
    };
    assert_eq!(
        (&servers.rows[0].names[..], &servers.rows[0].keys[..]),
        (&["border.example.com".to_owned()][..], &[key][..])
    );
}

#[test]
fn a_grant_whose_end_has_passed_is_not_to_be_there() {
    let site = Site::new();
    site.ask(common::send_as("zoe", "max"));
    let ended = "1970-01-01T00:00:00.5Z";
    site.ask(apply(&[
        json!({"grant": {"on": "zoe", "user": "max", "right": "Send As", "until": ended}}),
        json!({"delegates": {"of": "zoe", "users": ["helper", "max"], "until": {"max": ended}}}),
    ]));
    assert!(!site.may_send_as("max", "zoe"));
    let snapshot = site.service.snapshot();
    let zoe = snapshot.resolve("zoe").unwrap();
    assert_eq!(snapshot.delegates(zoe), [snapshot.resolve("helper").unwrap()]);
}

#[test]
fn an_end_that_means_different_times_in_different_places_is_refused() {
    let site = Site::new();
    let grant = json!({"grant": {"on": "zoe", "user": "max", "right": "Send As", "until": "2027-01-31T18:00"}});
    let (_, message) = site.fault(common::ROOT, apply(&[grant]));
    assert!(message.starts_with("line 1: ") && message.contains("is no end of a grant"), "{message}");
}

#[test]
fn what_refers_to_something_further_down_finds_it_and_what_is_nowhere_is_named_with_its_line() {
    let site = Site::new();
    let (_, message) = site.fault(
        common::ROOT,
        apply(&[
            json!({"ou": {"name": "B", "under": "OU=A"}}),
            json!({"ou": {"name": "D", "under": "OU=C"}}),
            json!({"ou": {"name": "A"}}),
        ]),
    );
    assert!(message.starts_with("line 2: ") && message.contains("OU=C"), "{message}");
}

#[test]
fn servers_contacts_and_dynamic_groups_go_and_databases_stay() {
    let site = Site::new();
    site.ask(apply(&rest()));
    let said = site.done(pruned(&[]));
    assert!(said.contains("the mailbox database Archive stays"), "{said}");
    let snapshot = site.service.snapshot();
    for name in ["EDGE", "sales@example.com", "tom@example.com", "linda"] {
        assert!(snapshot.resolve(name).is_err(), "{name}");
    }
}

#[test]
fn only_administrators_export_the_organization() {
    let site = Site::new();
    let (kind, _) = site.fault(common::HELPER, R::ExportOrganization(op::ExportOrganization::default()));
    assert_eq!(kind, admin::FaultKind::Denied);
}

fn names() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["zoe", "max", "helper", "new1", "new2"])
}

/// How mail for a recipient goes; several of it may be refused for its class.
fn settings() -> impl Strategy<Value = Value> {
    let people = || proptest::collection::btree_set(names(), 0..3);
    prop_oneof![
        Just(json!({})),
        names().prop_map(|name| json!({"forward_to": name})),
        (people(), people()).prop_map(|(accept, reject)| json!({"accept_from": accept, "reject_from": reject})),
        any::<bool>().prop_map(|on| json!({"authenticated_only": on})),
        Just(json!({"journal_to": "journal@example.net"})),
    ]
}

fn with(mut part: Value, settings: Value) -> Value {
    let Value::Object(settings) = settings else { return part };
    let inner = part.as_object_mut().unwrap().values_mut().next().unwrap();
    inner.as_object_mut().unwrap().extend(settings);
    part
}

fn items() -> impl Strategy<Value = Vec<Value>> {
    let unit = proptest::sample::select(vec!["OU=Staff", "OU=Plant", "OU=Locked,OU=Plant"]);
    let user = (names(), unit, any::<bool>(), any::<Option<bool>>(), settings()).prop_map(
        |(name, ou, mailbox, enabled, settings)| {
            with(json!({"user": {"name": name, "ou": ou, "mailbox": mailbox, "enabled": enabled}}), settings)
        },
    );
    let limits = proptest::sample::select(vec!["", "none", "5 messages/hour", "7 recipients/day"]);
    let sending = (names(), limits, any::<bool>()).prop_map(|(name, limit, linked)| {
        let limits: Vec<&str> = Some(limit).filter(|limit| !limit.is_empty()).into_iter().collect();
        let linked = if linked { "S-1-5-21-7-8-9-1105" } else { "" };
        json!({"user": {"name": name, "mailbox": true, "sending_limits": limits, "linked": linked}})
    });
    let group =
        (0..3, proptest::collection::btree_set(names(), 0..4), settings()).prop_map(|(n, members, settings)| {
            with(json!({"group": {"name": format!("group{n}"), "members": members}}), settings)
        });
    let contact = (0..2, settings()).prop_map(|(n, settings)| {
        let address = format!("contact{n}@example.com");
        let contact =
            json!({"contact": {"name": format!("contact{n}"), "addresses": [address], "target": "x@example.net"}});
        with(contact, settings)
    });
    let place = (0..2, any::<bool>(), any::<bool>()).prop_map(|(n, server, legacy)| match server {
        true => json!({"server": {"name": format!("EDGE{n}"), "keys": [format!("{n}a").repeat(32)]}}),
        false => json!({"database": {"name": format!("Archive{n}"), "legacy_send_as": legacy}}),
    });
    let end = || proptest::sample::select(vec![None, Some("1970-01-01T00:00:05Z"), Some("1970-01-01T00:00:00.9Z")]);
    let grant = (names(), names(), any::<bool>(), end()).prop_map(|(on, user, deny, until)| {
        json!({"grant": {"on": on, "user": user, "right": "Send As", "deny": deny, "until": until}})
    });
    let delegates = (names(), proptest::collection::btree_set(names(), 0..3), end()).prop_map(|(of, users, until)| {
        let first = users.first().copied().zip(until);
        json!({"delegates": {"of": of, "users": users, "until": first.into_iter().collect::<BTreeMap<_, _>>()}})
    });
    let whom =
        proptest::sample::select(vec!["max", "helper", "new1", "EXAMPLE\\zoe", "Default", "Anonymous", "group0"]);
    let right =
        proptest::sample::select(vec!["None", "Editor", "Author, CreateSubfolder", "EditAny", "FreeBusyDetailed"]);
    let path = proptest::sample::select(vec!["\\", "\\Calendar", "\\Calendar\\Team", "\\calendar"]);
    let entries = proptest::option::of(proptest::collection::btree_map(whom, right, 0..4));
    let folder = (names(), path, entries).prop_map(|(on, folder, entries)| match entries {
        Some(entries) => {
            let entries: Vec<Value> =
                entries.iter().map(|(user, right)| json!({"user": user, "right": right})).collect();
            json!({"folder-permission": {"on": on, "folder": folder, "entries": entries}})
        }
        None => json!({"folder-permission": {"on": on, "folder": folder, "absent": true}}),
    });
    // Each thing once: a document that contradicts itself has no state that it describes.
    let key = |item: &Value| {
        let (kind, body) = item.as_object().unwrap().iter().next().unwrap();
        format!(
            "{kind} {} {} {} {}",
            body["name"],
            body["of"],
            if kind == "folder-permission" { format!("{} {}", body["on"], body["folder"]) } else { String::new() },
            if kind == "grant" { format!("{} {} {}", body["on"], body["user"], body["deny"]) } else { String::new() }
        )
    };
    proptest::collection::vec(prop_oneof![user, sending, group, contact, place, grant, delegates, folder], 0..8)
        .prop_map(move |mut items| {
            let mut seen = std::collections::BTreeSet::new();
            items.retain(|item| seen.insert(key(item)));
            items
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_document_that_applies_changes_nothing_the_second_time(items in items()) {
        let site = Site::new();
        for name in ["new1", "new2"] {
            site.user(name, None);
        }
        site.group("group0", &[]);
        if site.service.call(common::ROOT, "", apply(&items)).is_ok() {
            let version = site.version();
            let Response::Done(done) = site.ask(apply(&items)) else { panic!() };
            prop_assert_eq!(site.version(), version, "{:?}", done);
            let (items, _) = exported(&site);
            let Response::Done(done) = site.ask(apply_exported(items.clone())) else { panic!() };
            prop_assert_eq!(site.version(), version, "{:?}", done);
            let other = Site::new();
            other.ask(apply_exported(items.clone()));
            prop_assert_eq!(texts(&exported(&other).0), texts(&items));
        }
    }
}
