//! Servers of the organization by their keys, and the domains of partners.

#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{self as op, Request as R, Response};
use common::{HELPER, ROOT, Site, request, undo};
use serde_json::json;

const KEY: &str = "abababababababababababababababababababababababababababababababab";

fn new(name: &str, role: &str, keys: &[&str]) -> R {
    request(json!({"op": "server-new", "name": name, "role": role, "keys": keys}))
}

#[track_caller]
fn servers(site: &Site) -> Vec<op::ServerRow> {
    match site.ask(R::ServerGet(op::ConnectorGet::default())) {
        Response::Servers(page) => page.rows,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn domains(site: &Site) -> Vec<String> {
    match site.ask(R::SecureDomains(op::SecureDomains::default())) {
        Response::SecureDomains { domains } => domains,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_is_known_by_the_keys_that_it_is_given() {
    let site = Site::new();
    site.ask(new("EDGE", "edge", &[&KEY.to_uppercase()]));
    let edge = servers(&site).into_iter().find(|row| row.name == "EDGE").unwrap();
    assert_eq!((edge.role.as_str(), edge.keys, edge.connectors), ("edge", vec![KEY.to_owned()], 0));
    let other = KEY.replace("ab", "cd");
    site.ask(request(json!({"op": "server-set", "identity": "edge", "add_keys": [other], "remove_keys": [KEY]})));
    let edge = servers(&site).into_iter().find(|row| row.name == "EDGE").unwrap();
    assert_eq!(edge.keys, [other]);
    site.ask(undo(site.version()));
    site.ask(R::ServerRemove(op::Target { identity: "EDGE".into() }));
    assert_eq!(servers(&site).len(), 1);
}

#[test]
fn a_connector_is_made_on_the_server_of_this_node_where_none_is_named() {
    let site = Site::new();
    site.ask(new("EDGE", "edge", &[KEY]));
    let on = |name: &str| servers(&site).into_iter().find(|row| row.name == name).unwrap().connectors;
    let before = on("MAIL");
    let new = json!({"op": "receive-connector-new", "name": "R", "usage": "Internet", "bindings": ["127.0.0.1:2599"]});
    site.ask(request(new));
    assert_eq!((on("EDGE"), on("MAIL")), (0, before + 1));
}

#[test]
fn a_key_stands_for_one_server() {
    let site = Site::new();
    site.ask(new("EDGE", "edge", &[KEY]));
    let (kind, message) = site.fault(ROOT, new("OTHER", "hub", &[KEY]));
    assert!(kind == FaultKind::Conflict && message.contains("a key of EDGE already"), "{message}");
    let set = json!({"op": "server-set", "identity": "MAIL", "add_keys": [KEY]});
    assert_eq!(site.fault(ROOT, request(set)).0, FaultKind::Conflict);
}

#[test]
fn what_is_no_server_role_or_key_is_refused() {
    let site = Site::new();
    assert!(site.fault(ROOT, new("EDGE", "middle", &[])).1.contains("no role"));
    assert!(site.fault(ROOT, new("EDGE", "edge", &["beef"])).1.contains("no SHA-256"));
    assert_eq!(site.fault(ROOT, new("mail", "hub", &[])).0, FaultKind::Conflict);
    let remove = |name: &str| R::ServerRemove(op::Target { identity: name.into() });
    assert!(site.fault(ROOT, remove("zoe")).1.contains("is no server"));
    assert!(site.fault(ROOT, remove("MAIL")).1.contains("holds connectors"));
}

#[test]
fn secure_domains_are_added_and_removed() {
    let site = Site::new();
    let change = |add: &[&str], remove: &[&str]| request(json!({"op": "secure-domains", "add": add, "remove": remove}));
    site.ask(change(&["Partner.TEST", "b.test"], &[]));
    assert_eq!(domains(&site), ["partner.test", "b.test"]);
    site.ask(change(&["b.test"], &["partner.test"]));
    assert_eq!(domains(&site), ["b.test"]);
    assert_eq!(site.fault(ROOT, change(&[], &["partner.test"])).0, FaultKind::NotFound);
    assert_eq!(site.fault(ROOT, change(&["not a domain"], &[])).0, FaultKind::Invalid);
}

/// Who gives a server a key gives away the rights of servers.
#[test]
fn servers_and_secure_domains_need_rights_on_the_directory() {
    let site = Site::new();
    let key = json!({"op": "server-set", "identity": "MAIL", "add_keys": [KEY]});
    let domain = json!({"op": "secure-domains", "add": ["partner.test"]});
    for denied in [new("EDGE", "edge", &[KEY]), request(key), request(domain)] {
        assert_eq!(site.fault(HELPER, denied).0, FaultKind::Denied);
    }
}
