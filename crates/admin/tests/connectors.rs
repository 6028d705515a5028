//! Connectors as objects: made by usage type, changed, given permission groups, refused where settings contradict.

#![allow(clippy::unwrap_used)]

mod common;

use admin::operations::{self as op, Request as R, Response};
use admin::{FaultKind, default_connectors, random};
use common::{HELPER, ROOT, Site, grant, request, send, sending, take, undo};
use directory::organization::{Names, new_edge_organization};
use directory::{ChangeBatch, Snapshot, Time};
use rights::{PermissionGroup, ServerRole};
use serde_json::json;

fn new(name: &str, usage: &str, more: serde_json::Value) -> R {
    let mut document = json!({"op": "receive-connector-new", "name": name, "usage": usage});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request(document)
}

fn set(name: &str, more: serde_json::Value) -> R {
    let mut document = json!({"op": "receive-connector-set", "identity": name});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request(document)
}

/// A usual place: one port and some clients.
fn at(port: u16, ranges: &str) -> serde_json::Value {
    json!({"bindings": [format!("0.0.0.0:{port}")], "remote_ranges": [ranges]})
}

#[track_caller]
fn receive(site: &Site, name: &str) -> op::ReceiveRow {
    match site.ask(R::ReceiveConnectorGet(op::ConnectorGet { identity: Some(name.to_owned()) })) {
        Response::ReceiveConnectors(mut page) => page.rows.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_usage_type_gives_permission_groups_and_authentication() {
    let site = Site::new();
    let table = [
        ("Client", "ExchangeUsers", "Tls Integrated BasicAuth BasicAuthRequireTLS"),
        ("Custom", "None", "Tls"),
        ("Internal", "ExchangeServers ExchangeLegacyServers", "Tls ExchangeServer"),
        ("Internet", "AnonymousUsers Partners", "Tls"),
        ("Partner", "Partners", "Tls"),
    ];
    for (port, (usage, groups, auth)) in (2600..).zip(table) {
        let name = format!("{usage} connector");
        site.ask(new(&name, usage, at(port, "10.0.0.0/8")));
        let row = receive(&site, &name);
        assert_eq!(row.permission_groups.join(" "), groups, "{usage}");
        assert_eq!(row.settings.auth.unwrap().join(" "), auth, "{usage}");
        assert_eq!((row.usage.as_str(), row.role.as_str()), (usage, "hub"));
        assert_eq!(row.settings.domain_secure, Some(usage == "Partner"));
    }
}

#[test]
fn a_connector_without_a_usage_type_is_custom_and_takes_no_mail() {
    let site = Site::new();
    let document = json!({
        "op": "receive-connector-new", "name": "Bare", "bindings": ["0.0.0.0:2600"], "remote_ranges": ["10.0.0.0/8"],
    });
    let done = site.done(request(document));
    assert!(done.contains("takes no mail as yet"), "{done}");
    let row = receive(&site, "Bare");
    assert_eq!((row.usage.as_str(), row.permission_groups), ("Custom", vec!["None".to_owned()]));
}

#[test]
fn bindings_and_clients_have_usual_values_where_the_usage_type_knows_them() {
    let site = Site::new();
    let (_, message) = site.fault(ROOT, new("A", "Internet", json!({})));
    assert!(message.contains("needs --bindings"), "{message}");
    let (_, message) = site.fault(ROOT, new("A", "Client", json!({})));
    assert!(message.contains("needs --remote-ranges"), "{message}");
    site.ask(new("A", "Internet", json!({"bindings": ["0.0.0.0:2600"]})));
    assert_eq!(receive(&site, "A").settings.remote_ranges.unwrap()[0], "0.0.0.0-255.255.255.255");
    site.ask(new("B", "Client", json!({"remote_ranges": ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]})));
    let settings = receive(&site, "B").settings;
    assert_eq!(settings.bindings.unwrap(), ["0.0.0.0:587".parse().unwrap(), "[::]:587".parse().unwrap()]);
    let ranges = settings.remote_ranges.unwrap();
    let ends = ["10.0.0.0-10.255.255.255", "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "192.0.2.7"];
    assert_eq!(ranges, ends);
}

#[test]
fn two_connectors_cannot_share_a_binding_and_a_range() {
    let site = Site::new();
    site.ask(new("One", "Internet", at(2600, "10.0.0.0/8")));
    let (kind, message) = site.fault(ROOT, new("Two", "Internet", at(2600, "10.0.0.0-10.255.255.255")));
    assert_eq!(kind, FaultKind::Invalid);
    assert!(message.contains("One and Two are both bound to 0.0.0.0:2600"), "{message}");
    site.ask(new("Two", "Internet", at(2601, "10.0.0.0/8")));
    let (_, message) = site.fault(ROOT, set("Two", json!({"bindings": ["0.0.0.0:2600"]})));
    assert!(message.contains("both bound to"), "{message}");
}

#[test]
fn ranges_on_one_binding_may_overlap_only_if_one_lies_within_the_other() {
    let site = Site::new();
    site.ask(new("Wide", "Internet", at(2600, "10.0.0.0-10.0.0.100")));
    let (_, message) = site.fault(ROOT, new("Across", "Internet", at(2600, "10.0.0.50-10.0.0.150")));
    assert!(message.contains("one has to lie within the other"), "{message}");
    site.ask(new("Inner", "Internet", at(2600, "10.0.0.50")));
    site.ask(new("Outer", "Internet", at(2600, "10.0.0.0/16")));
    site.ask(new("Six", "Internet", at(2600, "2001:db8::/32")));
}

#[test]
fn mechanisms_that_contradict_are_refused() {
    let site = Site::new();
    let fault = |auth: &[&str], more: serde_json::Value| {
        let mut place = at(2600, "10.0.0.0/8");
        place["auth"] = json!(auth);
        place.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        site.fault(ROOT, new("C", "Custom", place)).1
    };
    let says = |text: String, words: &str| assert!(text.contains(words), "{words}: {text}");
    says(fault(&["None", "Tls"], json!({})), "None stands alone");
    says(fault(&["BasicAuthRequireTLS"], json!({})), "goes with BasicAuth and Tls");
    says(fault(&["BasicAuth", "BasicAuthRequireTLS"], json!({})), "goes with BasicAuth and Tls");
    says(fault(&["Magic"], json!({})), "no mechanism `Magic`");
    says(fault(&["None"], json!({"require_tls": true})), "RequireTLS needs the mechanism Tls");
    says(fault(&["None"], json!({"domain_secure": true})), "Domain Security needs the mechanism Tls");
    let servers = json!({"permission_groups": ["ExchangeServers"]});
    says(fault(&["ExternalAuthoritative", "BasicAuth"], servers.clone()), "goes with Tls only");
    says(fault(&["ExternalAuthoritative"], json!({})), "needs the permission group ExchangeServers");
    let strangers = json!({"permission_groups": ["ExchangeServers", "AnonymousUsers"]});
    says(fault(&["ExternalAuthoritative"], strangers), "exclude each other");
    let both = json!({"permission_groups": ["ExchangeServers"], "domain_secure": true});
    says(fault(&["Tls", "ExternalAuthoritative"], both), "exclude each other");
    let everybody = json!({"permission_groups": ["ExchangeServers"], "remote_ranges": ["0.0.0.0/0"]});
    says(fault(&["ExternalAuthoritative"], everybody), "no bound");
    let halves = json!({"permission_groups": ["ExchangeServers"], "remote_ranges": ["0.0.0.0/1", "128.0.0.0/1"]});
    says(fault(&["ExternalAuthoritative"], halves), "no bound");
    let mut good = at(2600, "10.0.0.0/8");
    good["auth"] = json!(["Tls", "ExternalAuthoritative"]);
    good["permission_groups"] = json!(["ExchangeServers"]);
    site.ask(new("C", "Custom", good));
}

#[test]
fn permission_groups_are_replaced_as_a_whole() {
    let site = Site::new();
    site.ask(new("C", "Internet", at(2600, "10.0.0.0/8")));
    site.ask(set("C", json!({"permission_groups": ["ExchangeUsers"]})));
    assert_eq!(receive(&site, "C").permission_groups, ["ExchangeUsers"]);
    site.ask(set("C", json!({"add_groups": ["AnonymousUsers"], "remove_groups": ["ExchangeUsers"]})));
    assert_eq!(receive(&site, "C").permission_groups, ["AnonymousUsers"]);
    site.ask(set("C", json!({"permission_groups": ["None"]})));
    assert_eq!(receive(&site, "C").permission_groups, ["None"]);
    let (_, message) = site.fault(ROOT, set("C", json!({"permission_groups": ["Custom"]})));
    assert!(message.contains("Custom is no group"), "{message}");
    let (_, message) = site.fault(ROOT, set("C", json!({"permission_groups": ["Friends"]})));
    assert!(message.contains("no permission group `Friends`"), "{message}");
}

/// S2: permission groups are sets of ACEs; F §3.5: `Custom` when the ACL matches no preset.
#[test]
fn permission_groups_are_aces_and_read_custom_when_one_is_missing_or_more_are_there() {
    let site = Site::new();
    for group in PermissionGroup::ALL {
        let mut place = at(2600, "10.0.0.0/8");
        place["permission_groups"] = json!([group.name()]);
        site.ask(new("C", "Custom", place));
        assert_eq!(receive(&site, "C").permission_groups, [group.name()]);
        let (_, rights) = group.grants(ServerRole::Hub).pop().unwrap();
        let trustee = match group {
            PermissionGroup::AnonymousUsers => "ANONYMOUS LOGON",
            PermissionGroup::ExchangeUsers => "Authenticated Users",
            PermissionGroup::ExchangeServers => "Externally Secured servers",
            PermissionGroup::ExchangeLegacyServers => "Legacy Exchange servers",
            PermissionGroup::Partners => "Partner servers",
        };
        let right = rights.last().unwrap().right().name;
        site.ask(take("C", trustee, right, false));
        assert_eq!(receive(&site, "C").permission_groups, ["Custom"], "{}", group.name());
        site.ask(grant("C", trustee, right, false, None));
        assert_eq!(receive(&site, "C").permission_groups, [group.name()]);
        site.ask(R::ReceiveConnectorRemove(op::Target { identity: "C".into() }));
    }
    site.ask(new("C", "Internet", at(2600, "10.0.0.0/8")));
    site.ask(grant("C", "ANONYMOUS LOGON", "ms-Exch-SMTP-Accept-Any-Recipient", false, None));
    let row = receive(&site, "C");
    assert_eq!((row.permission_groups, row.complete_groups.len()), (vec!["Custom".to_owned()], 2));
    assert!(row.notes[0].contains("ms-Exch-SMTP-Accept-Any-Recipient"), "{:?}", row.notes);
}

#[test]
fn entries_of_no_group_survive_a_change_of_groups() {
    let site = Site::new();
    site.ask(new("C", "Internet", at(2600, "10.0.0.0/8")));
    site.ask(grant("C", "zoe", "ms-Exch-SMTP-Submit", false, None));
    let done = site.done(set("C", json!({"permission_groups": ["None"]})));
    assert!(done.contains("EXAMPLE\\zoe ms-Exch-SMTP-Submit"), "{done}");
    assert_eq!(receive(&site, "C").permission_groups, ["Custom"]);
}

#[test]
fn settings_are_written_and_shown_and_those_that_mean_nothing_refused() {
    let site = Site::new();
    site.ask(new("C", "Internet", at(2600, "10.0.0.0/8")));
    let wanted = json!({
        "fqdn": "mx.example.com", "banner": "Hello", "max_message_size": 1_000_000, "max_header_size": 65536,
        "max_recipients": 7, "max_hops": 12, "max_errors": 3, "max_logon_failures": 2, "max_connections": 50,
        "max_connections_per_source": 5, "unknown_per_source": 7, "keep_attached_messages": true, "protocol_log": "verbose",
        "rate_per_source": 30, "rate_per_connection": 10, "command_timeout": 60,
        "data_timeout": 120, "session_lifetime": 600, "tarpit_ms": 5000, "header_from": "observe", "on_behalf": "reject",
        "delegate_chain": true, "require_from": false, "require_tls": true, "enabled": false, "logon_separator": "!",
    });
    site.ask(set("C", wanted.clone()));
    let shown = serde_json::to_value(receive(&site, "C")).unwrap();
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(&shown[name], value, "{name}");
    }
    for wrong in [
        json!({"header_from": "perhaps"}),
        json!({"on_behalf": "maybe"}),
        json!({"protocol_log": "some"}),
        json!({"logon_separator": "@"}),
        json!({"fqdn": "not a name"}),
        json!({"banner": "two\nlines"}),
        json!({"remote_ranges": ["10.0.0.0/33"]}),
        json!({"bindings": []}),
    ] {
        assert_eq!(site.fault(ROOT, set("C", wrong.clone())).0, FaultKind::Invalid, "{wrong}");
    }
}

#[test]
fn a_name_stands_for_one_connector_of_a_server() {
    let site = Site::new();
    let (kind, message) = site.fault(ROOT, new("client", "Internet", at(2600, "10.0.0.0/8")));
    assert!(kind == FaultKind::Conflict && message.contains("there is a connector Client already"), "{message}");
    site.ask(send("S", "Internet", json!({})));
    assert_eq!(site.fault(ROOT, send("s", "Internet", json!({}))).0, FaultKind::Conflict);
}

#[test]
fn a_connector_is_renamed_and_removed() {
    let site = Site::new();
    site.ask(new("C", "Internet", at(2600, "10.0.0.0/8")));
    site.ask(set("c", json!({"rename": "Front door"})));
    assert_eq!(receive(&site, "Front door").usage, "Internet");
    let (kind, message) = site.fault(ROOT, set("C", json!({"enabled": false})));
    assert_eq!(kind, FaultKind::NotFound);
    assert!(message.contains("no receive connector C"), "{message}");
    site.ask(R::ReceiveConnectorRemove(op::Target { identity: "front door".into() }));
    assert_eq!(site.service.snapshot().receive_connectors().count(), 1);
}

#[test]
fn a_connector_needs_rights_on_the_directory() {
    let site = Site::new();
    site.ask(new("C", "Internet", at(2600, "10.0.0.0/8")));
    let requests = [
        new("D", "Internet", at(2601, "10.0.0.0/8")),
        set("C", json!({"enabled": false})),
        set("C", json!({"permission_groups": ["None"]})),
        R::ReceiveConnectorRemove(op::Target { identity: "C".into() }),
        send("S", "Internet", json!({})),
    ];
    for denied in requests {
        assert_eq!(site.fault(HELPER, denied.clone()).0, FaultKind::Denied, "{denied:?}");
    }
    let container = receive(&site, "C").dn.split_once(',').unwrap().1.to_owned();
    site.ask(grant(&container, "helper", "create-child", false, None));
    site.service.call(HELPER, "", new("D", "Internet", at(2601, "10.0.0.0/8"))).unwrap();
}

#[test]
fn a_new_connector_is_tried_out_and_taken_back() {
    let site = Site::new();
    let before = site.records();
    let simulated = site.simulated(new("C", "Internet", at(2600, "10.0.0.0/8")));
    assert!(simulated.changes.iter().any(|line| line.what == "added" && line.object.starts_with("CN=C,")));
    assert_eq!(site.records(), before);
    site.ask(new("C", "Internet", at(2600, "10.0.0.0/8")));
    site.ask(undo(site.version()));
    assert_eq!(site.records(), before);
}

#[test]
fn a_hub_has_a_client_and_a_default_connector() {
    let site = Site::new();
    let changes = default_connectors(&site.service.snapshot()).unwrap();
    site.service.commit_as_system("test", changes).unwrap();
    let row = receive(&site, "Default MAIL");
    assert_eq!(row.permission_groups.join(" "), "ExchangeUsers ExchangeServers ExchangeLegacyServers");
    assert_eq!(row.settings.auth.unwrap().join(" "), "Tls Integrated BasicAuth BasicAuthRequireTLS ExchangeServer");
    assert_eq!(row.settings.bindings.unwrap()[0], "0.0.0.0:25".parse().unwrap());
    let row = receive(&site, "Client MAIL");
    assert_eq!(row.permission_groups, ["ExchangeUsers"]);
    assert_eq!(row.settings.bindings.unwrap()[0], "0.0.0.0:587".parse().unwrap());
}

/// A directory of an edge of its own.
fn edge() -> Snapshot {
    let names = Names {
        domain: "example.com".to_owned(),
        netbios: "EXAMPLE".to_owned(),
        domain_sid: random::new_domain_sid(),
        organization: "First Organization".to_owned(),
        server: "EDGE".to_owned(),
        server_fqdn: "edge.example.com".to_owned(),
    };
    let apply = |snapshot: &Snapshot, changes| {
        let batch = ChangeBatch { author: acl::well_known::SYSTEM, time: Time(0), comment: String::new(), changes };
        snapshot.apply(&batch).unwrap().snapshot
    };
    let snapshot = apply(&Snapshot::empty(), new_edge_organization(&names, &mut random::new_guid));
    let changes = default_connectors(&snapshot).unwrap();
    apply(&snapshot, changes)
}

#[test]
fn an_edge_has_one_connector_for_strangers_servers_and_partners() {
    let snapshot = edge();
    let all: Vec<_> = snapshot.receive_connectors().collect();
    assert_eq!(all.len(), 1);
    let (id, connector) = all[0];
    assert_eq!(connector.name, "Default internal receive connector EDGE");
    assert!(connector.auth.tls && connector.auth.exchange_server && !connector.auth.basic);
    let held = rights::permission_groups(&snapshot, id);
    assert_eq!(held.names(), ["AnonymousUsers", "ExchangeServers", "Partners"]);
    assert_eq!(rights::role_of(&snapshot, id), ServerRole::Edge);
    let domain = snapshot.accepted_domain("example.com").unwrap();
    assert_eq!(domain.kind, directory::DomainKind::InternalRelay);
}

fn cross_forest(connector: &str, user: &str, rights: &[&str]) -> R {
    request(json!({"op": "cross-forest-enable", "identity": connector, "user": user, "rights": rights}))
}

#[test]
fn cross_forest_rights_are_all_that_there_are_on_such_a_connector() {
    let site = Site::new();
    site.ask(send("To", "Custom", json!({})));
    site.ask(new("From", "Custom", at(2600, "10.0.0.0/8")));
    let done = site.done(cross_forest("To", "ANONYMOUS LOGON", &[]));
    assert!(done.contains("whatever host answers"), "{done}");
    assert_eq!(sending(&site, "To").rights.len(), 4);
    site.ask(cross_forest("From", "zoe", &[]));
    let note = &receive(&site, "From").notes[0];
    assert_eq!(note.matches("EXAMPLE\\zoe").count(), 11, "{note}");
    assert!(site.done(cross_forest("From", "zoe", &[])).contains("already"));
}

#[test]
fn cross_forest_rights_can_be_chosen() {
    let site = Site::new();
    site.ask(send("To", "Custom", json!({})));
    site.ask(cross_forest("To", "zoe", &["ms-Exch-Send-Exch50"]));
    assert_eq!(sending(&site, "To").rights, ["EXAMPLE\\zoe: ms-Exch-SMTP-Send-Exch50"]);
    let (_, message) = site.fault(ROOT, cross_forest("To", "zoe", &["ms-Exch-SMTP-Submit"]));
    assert!(message.contains("no right on such a connector"), "{message}");
    assert_eq!(site.fault(HELPER, cross_forest("To", "zoe", &[])).0, FaultKind::Denied);
}

#[track_caller]
fn tested(site: &Site, name: &str, who: &str, more: serde_json::Value) -> op::ConnectorTested {
    let mut document = json!({"op": "connector-test", "identity": name, "who": who});
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    match site.ask(request(document)) {
        Response::ConnectorTested(tested) => *tested,
        other => panic!("{other:?}"),
    }
}

fn outcome<'a>(tested: &'a op::ConnectorTested, stage: &str) -> &'a op::StageRow {
    tested.stages.iter().find(|row| row.stage == stage).unwrap_or_else(|| panic!("{stage}: {tested:?}"))
}

#[test]
fn a_test_shows_each_stage_with_what_it_rests_on() {
    let site = Site::new();
    site.ask(new("C", "Internet", at(2600, "10.0.0.0/8")));
    site.ask(set("C", json!({"add_groups": ["ExchangeUsers"]})));
    let zoe = json!({"from": "zoe@example.com", "to": ["someone@outside.test"]});
    let accepted = tested(&site, "C", "zoe", zoe);
    assert!(accepted.accepted, "{accepted:?}");
    let stages: Vec<&str> = accepted.stages.iter().map(|row| row.stage.as_str()).collect();
    let all = "connect auth mail-from size rcpt-to header headers-routing headers-organization headers-forest xexch50 \
               anti-spam auth-parameter";
    assert_eq!(stages.join(" "), all.split_whitespace().collect::<Vec<_>>().join(" "));
    assert!(outcome(&accepted, "auth").trace[0].text.contains("Authenticated Users"));
    let words = |stage| outcome(&accepted, stage).outcome.as_str();
    assert_eq!((words("anti-spam"), words("headers-routing"), words("size")), ("bypassed", "removed", "applies"));
    assert!(outcome(&accepted, "anti-spam").trace[0].text.contains("allowed to"));
}

#[test]
fn a_test_ends_at_the_stage_that_refuses() {
    let site = Site::new();
    site.ask(new("C", "Internet", at(2600, "10.0.0.0/8")));
    let refused = |who: &str, more: serde_json::Value, stage: &str, reply: &str| {
        let tested = tested(&site, "C", who, more);
        let last = tested.stages.last().unwrap();
        assert!(!tested.accepted && last.stage == stage && last.detail.contains(reply), "{tested:?}");
    };
    refused("zoe", json!({"from": "zoe@example.com"}), "auth", "535 5.7.3");
    refused("anonymous", json!({"from": "zoe@example.com"}), "mail-from", "send as this sender");
    refused("anonymous", json!({"from": "x@o.test", "to": ["y@o.test"]}), "rcpt-to", "Unable to relay");
    refused("anonymous", json!({"from": "x@o.test", "size": 50 << 20}), "size", "552 5.3.4");
    refused("anonymous", json!({"from": "x@o.test", "header_from": "zoe@example.com"}), "header", "on behalf of");
    refused("anonymous", json!({"from": "x@o.test", "remote": "192.0.2.1"}), "connect", "outside");
    refused("externally-secured", json!({"from": "zoe@example.com"}), "mail-from", "submit to this server");
    site.ask(set("C", json!({"permission_groups": ["None"]})));
    refused("hub", json!({"from": "x@o.test"}), "mail-from", "submit to this server");
    refused("anonymous", json!({"from": "x@o.test"}), "mail-from", "530 5.7.1");
    site.ask(set("C", json!({"enabled": false})));
    refused("anonymous", json!({"from": "x@o.test"}), "connect", "disabled");
}

#[test]
fn a_test_of_a_send_connector_shows_what_a_receiver_gets() {
    let site = Site::new();
    site.ask(send("S", "Internal", json!({})));
    let stranger = tested(&site, "S", "anonymous", json!({}));
    assert!(stranger.stages.iter().all(|row| row.outcome == "removed" || row.outcome == "left out"), "{stranger:?}");
    let hub = tested(&site, "S", "hub", json!({}));
    assert!(hub.stages.iter().all(|row| row.outcome == "kept" || row.outcome == "sent"), "{hub:?}");
    let document = json!({"op": "connector-test", "identity": "S", "who": "zoe"});
    let (_, message) = site.fault(ROOT, request(document));
    assert!(message.contains("proves nothing about it"), "{message}");
}

#[test]
fn only_administrators_test_for_others() {
    let site = Site::new();
    site.ask(new("C", "Internet", at(2600, "10.0.0.0/8")));
    let ask = |who: &str| request(json!({"op": "connector-test", "identity": "C", "who": who, "from": "x@o.test"}));
    assert_eq!(site.fault(HELPER, ask("zoe")).0, FaultKind::Denied);
    site.service.call(HELPER, "", ask("helper")).unwrap();
}

#[test]
fn recipient_lookup_is_a_setting_of_the_domain() {
    let site = Site::new();
    let add = |domain: &str, kind: &str, lookup: Option<bool>| {
        site.ask(request(json!({"op": "domain-add", "domain": domain, "kind": kind, "recipient_lookup": lookup})));
    };
    add("a.test", "authoritative", None);
    add("b.test", "internal-relay", None);
    add("c.test", "external-relay", None);
    add("d.test", "internal-relay", Some(true));
    let lookup = |domain: &str| site.service.snapshot().accepted_domain(domain).unwrap().recipient_lookup;
    assert_eq!(["a.test", "b.test", "c.test", "d.test"].map(lookup), [true, false, false, true]);
    site.ask(request(json!({"op": "domain-set", "domain": "a.test", "recipient_lookup": false})));
    assert!(!lookup("a.test"));
}

#[test]
fn sending_limits_belong_to_an_account_and_are_listed_with_its_mailbox() {
    let site = Site::new();
    let set =
        |limits: serde_json::Value| request(json!({"op": "mailbox-set", "identity": "zoe", "sending_limits": limits}));
    let (_, message) = site.fault(ROOT, set(json!(["100 messages"])));
    assert!(message.contains("100 messages/hour"), "{message}");
    let limits = || match site.ask(request(json!({"op": "mailbox-list"}))) {
        Response::Mailboxes(page) => {
            page.rows.iter().find(|row| row.owner.contains("zoe")).unwrap().sending_limits.clone()
        }
        other => panic!("{other:?}"),
    };
    site.ask(set(json!(["100 messages/hour", "1000 recipients/day"])));
    let mut set_now = limits();
    set_now.sort();
    assert_eq!(set_now, ["100 messages/hour", "1000 recipients/day"]);
    site.ask(set(json!([])));
    assert!(limits().is_empty());
}

#[test]
fn a_check_for_strangers_goes_to_a_connector_that_takes_them() {
    let site = Site::new();
    site.ask(new("A Line for Devices", "Custom", at(2600, "10.0.0.0/8")));
    site.ask(new("Strangers", "Internet", at(2601, "10.0.0.0/8")));
    let check = json!({"op": "check", "who": "anonymous", "from": ["x@outside.test"]});
    let Response::Decision(record) = site.ask(request(check)) else { panic!() };
    let groups = receive(&site, &record.who.connector).complete_groups;
    assert!(groups.contains(&"AnonymousUsers".to_owned()), "{}: {groups:?}", record.who.connector);
}
