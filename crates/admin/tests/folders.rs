//! Connectors whose mail is files: what they begin with, what contradicts, and who may lend an account to a folder.

#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{self as op, Request as R, Response};
use common::{HELPER, ROOT, Site, grant, request, undo};
use serde_json::{Value, json};

fn new(name: &str, more: Value) -> R {
    with(json!({"op": "receive-connector-new", "name": name}), more)
}

fn set(name: &str, more: Value) -> R {
    with(json!({"op": "receive-connector-set", "identity": name}), more)
}

fn send(name: &str, more: Value) -> R {
    with(json!({"op": "send-connector-new", "name": name, "address_spaces": ["fax.test"]}), more)
}

fn with(mut document: Value, more: Value) -> R {
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request(document)
}

#[track_caller]
fn row(site: &Site, name: &str) -> op::ReceiveRow {
    match site.ask(R::ReceiveConnectorGet(op::ConnectorGet { identity: Some(name.to_owned()) })) {
        Response::ReceiveConnectors(mut page) => page.rows.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_begins_with_who_may_submit_and_the_limits_of_the_reference() {
    let site = Site::new();
    site.ask(new("P", json!({"pickup": "/var/spool/p/"})));
    let shown = row(&site, "P");
    assert_eq!(shown.permission_groups, ["AnonymousUsers"]);
    let settings = shown.settings;
    assert_eq!(settings.pickup.as_deref(), Some("/var/spool/p"));
    assert_eq!(settings.submit_as.as_deref(), Some("anonymous"));
    assert_eq!((settings.files_per_minute, settings.max_recipients), (Some(100), Some(100)));
    assert_eq!((settings.max_header_size, settings.complete_headers), (Some(65_536), Some(true)));
    assert_eq!((settings.bindings, settings.remote_ranges, settings.auth), (None, None, None));
    site.ask(new("R", json!({"replay": "/var/spool/r", "submit_as": "zoe"})));
    let shown = row(&site, "R");
    assert_eq!(shown.permission_groups, ["ExchangeUsers"]);
    assert_eq!(shown.settings.submit_as.as_deref(), Some("EXAMPLE\\zoe"));
}

#[test]
fn what_contradicts_in_a_folder_is_refused() {
    let site = Site::new();
    site.ask(new("P", json!({"pickup": "/var/spool/p"})));
    for (wrong, said) in [
        (new("X", json!({"pickup": "/a", "replay": "/b"})), "not both"),
        (new("X", json!({"pickup": "spool"})), "absolute path"),
        (new("X", json!({"pickup": "/var/../etc"})), "absolute path"),
        (new("X", json!({"pickup": "/a", "bindings": ["0.0.0.0:25"]})), "takes no connections"),
        (new("X", json!({"pickup": "/a", "auth": ["BasicAuth"]})), "takes no connections"),
        (new("X", json!({"replay": "/a", "submit_as": "owner"})), "owner"),
        (new("X", json!({"pickup": "/var/spool/p"})), "takes the files of"),
        (new("X", json!({"pickup": "/a", "submit_as": "nobody-here"})), "nobody-here"),
        (set("P", json!({"bindings": ["0.0.0.0:25"]})), "no bindings"),
        (set("P", json!({"auth": ["ExternalAuthoritative"]})), "ExchangeServers"),
        (send("D", json!({"drop_folder": "/d", "smart_hosts": ["relay.test"]})), "exclude each other"),
        (send("D", json!({"drop_folder": "/d", "require_tls": true})), "TLS"),
        (send("D", json!({"drop_folder": "/d", "auth": "exchange-server"})), "logs on"),
        (send("D", json!({"drop_folder": "d"})), "absolute path"),
    ] {
        let (_, message) = site.fault(ROOT, wrong.clone());
        assert!(message.contains(said), "{wrong:?}: {message}");
    }
}

/// Whoever writes into the folder sends as the account (authorization.md §6: writes that amount to Send As).
#[test]
fn to_lend_an_account_to_a_folder_takes_the_right_to_change_its_permissions() {
    let site = Site::new();
    site.ask(new("P", json!({"pickup": "/var/spool/p"})));
    let right = "write-property";
    site.ask(grant("P", "helper", right, false, None));
    let assign = || set("P", json!({"submit_as": "zoe"}));
    assert_eq!(site.fault(HELPER, assign()).0, FaultKind::Denied);
    site.ask(grant("zoe@example.com", "helper", "write-dac", false, None));
    site.service.call(HELPER, "", assign()).unwrap();
    // To say where the files are is to say who sends as zoe.
    site.ask(request(json!({
        "op": "permission-remove", "identity": "zoe@example.com", "trustee": "helper", "rights": ["write-dac"],
    })));
    assert_eq!(site.fault(HELPER, set("P", json!({"pickup": "/home/helper"}))).0, FaultKind::Denied);
    site.service.call(HELPER, "", set("P", json!({"files_per_minute": 5}))).unwrap();
    site.service.call(HELPER, "", set("P", json!({"submit_as": "anonymous"}))).unwrap();
}

#[test]
fn a_folder_is_taken_back_as_any_change_is() {
    let site = Site::new();
    let before = site.records();
    site.ask(new("P", json!({"pickup": "/var/spool/p", "submit_as": "zoe"})));
    site.ask(undo(site.version()));
    assert_eq!(site.records(), before);
}

#[test]
fn a_folder_whose_account_is_gone_says_so() {
    let site = Site::new();
    site.ask(new("P", json!({"pickup": "/var/spool/p", "submit_as": "zoe"})));
    site.ask(request(json!({"op": "user-remove", "identity": "zoe"})));
    let notes = row(&site, "P").notes.join("; ");
    assert!(notes.contains("out of service"), "{notes}");
}

#[test]
fn a_test_is_about_whoever_files_are_sent_for() {
    let site = Site::new();
    site.ask(new("P", json!({"pickup": "/var/spool/p", "submit_as": "zoe"})));
    let ask = |from: &str| {
        let test = json!({"op": "connector-test", "identity": "P", "from": from, "to": ["max@example.com"]});
        match site.ask(request(test)) {
            Response::ConnectorTested(tested) => *tested,
            other => panic!("{other:?}"),
        }
    };
    let allowed = ask("zoe@example.com");
    assert!(allowed.accepted && allowed.who == "EXAMPLE\\zoe", "{allowed:?}");
    let routing = allowed.stages.iter().find(|stage| stage.stage == "headers-routing").unwrap();
    assert_eq!(routing.outcome, "removed");
    assert!(!ask("max@example.com").accepted);
}
