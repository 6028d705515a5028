//! Send connectors: what they give to receivers, demand, and show.
#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{self as op, Request as R};
use common::{HELPER, ROOT, Site, request, send, sending};
use serde_json::json;

/// S2 table 8.
#[test]
fn a_usage_type_of_a_send_connector_gives_rights_to_receivers() {
    let site = Site::new();
    for usage in ["Custom", "Internal", "Internet", "Partner"] {
        site.ask(send(usage, usage, json!({})));
    }
    assert!(sending(&site, "Custom").rights.is_empty());
    let routing = "ms-Exch-Send-Headers-Routing";
    assert_eq!(sending(&site, "Internet").rights, [format!("NT AUTHORITY\\ANONYMOUS LOGON: {routing}")]);
    let partner = sending(&site, "Partner");
    assert_eq!(partner.rights.len(), 1);
    assert!(partner.rights[0].contains("Partner") && partner.rights[0].ends_with(routing), "{:?}", partner.rights);
    assert_eq!(partner.settings.domain_secure, Some(true));
    let internal = sending(&site, "Internal");
    assert_eq!(internal.rights.len(), 6 * 4);
    assert_eq!(internal.settings.auth.as_deref(), Some("exchange-server"));
    assert_eq!((internal.settings.max_message_size, partner.settings.max_message_size), (Some(0), Some(35 << 20)));
    let (_, message) = site.fault(ROOT, send("C", "Client", json!({})));
    assert!(message.contains("no send connectors of usage Client"), "{message}");
}

/// S2: "Permission groups are only available for Receive connectors."
#[test]
fn a_send_connector_has_no_permission_groups() {
    let site = Site::new();
    site.ask(send("S", "Internal", json!({})));
    let set = json!({"op": "receive-connector-set", "identity": "S", "permission_groups": ["ExchangeServers"]});
    let (kind, message) = site.fault(ROOT, request(set));
    assert_eq!(kind, FaultKind::NotFound);
    assert!(message.contains("no receive connector S"), "{message}");
    let shown = serde_json::to_value(sending(&site, "S")).unwrap();
    assert!(shown.get("permission_groups").is_none(), "{shown}");
}

#[test]
fn a_send_connector_needs_an_address_space_and_settings_that_go_together() {
    let site = Site::new();
    let says = |more, words: &str| {
        let (_, message) = site.fault(ROOT, send("S", "Internet", more));
        assert!(message.contains(words), "{words}: {message}");
    };
    says(json!({"address_spaces": []}), "needs --address-space");
    says(json!({"smart_hosts": [], "auth": "external-authoritative"}), "would be believed");
    says(json!({"smart_hosts": [], "auth": "basic", "user": "us"}), "a host is needed to log on to");
    says(json!({"auth": "oauth", "user": "us"}), "somebody to give tokens");
    says(json!({"tls": "none", "require_tls": true}), "needs TLS");
    says(json!({"tls": "mta-sts"}), "MTA-STS is about hosts that MX records name");
    says(json!({"tls": "sometimes"}), "no TLS policy");
    says(json!({"tls_pins": ["ab"], "tls": "verified"}), "no SHA-256");
    says(json!({"tls_pins": ["ab".repeat(32)]}), "with --tls verified only");
    says(json!({"token_url": "http://tokens.test/"}), "no https URL");
    says(json!({"address_spaces": ["*example.net"]}), "is not a domain");
    says(json!({"address_spaces": ["x400:c=us"]}), "are not supported");
    says(json!({"address_spaces": ["*;0"]}), "not in 1-100");
    says(json!({"smart_hosts": ["relay test"]}), "is no host");
    says(json!({"fqdn": "relay test"}), "is not a host name");
    says(json!({"protocol_log": "some"}), "no level of the protocol log");
    says(json!({"auth": "magic"}), "no authentication of a send connector");
    says(json!({"auth": "basic"}), "a name is needed");
    site.ask(send("S", "Internet", json!({"address_spaces": ["SMTP:*.example.net;20", "b.test"]})));
    let spaces = sending(&site, "S").settings.address_spaces.unwrap();
    assert_eq!(spaces, ["SMTP:*.example.net;20", "SMTP:b.test;1"]);
}

#[test]
fn the_password_of_a_send_connector_is_neither_shown_nor_logged_nor_exported() {
    let site = Site::new();
    let login = json!({"auth": "basic-requires-tls", "user": "us", "password": "hunter2 of ours"});
    site.ask(send("S", "Internet", login));
    let row = sending(&site, "S");
    assert!(row.has_password);
    let guid = row.guid.parse().unwrap();
    assert!(site.service.credential(&guid).unwrap().unwrap().ends_with("hunter2 of ours"));
    let shown = format!("{row:?}{:?}", site.ask(R::History(op::History::default())));
    let exported = format!("{:?}", site.ask(R::Export(op::Export::default())));
    assert!(!shown.contains("hunter2") && !exported.contains("hunter2"));
    let set = json!({"op": "send-connector-set", "identity": "S", "password": "another"});
    assert_eq!(site.fault(HELPER, request(set.clone())).0, FaultKind::Denied);
    site.ask(request(set));
    assert!(site.service.credential(&guid).unwrap().unwrap().ends_with("another"));
    site.ask(R::SendConnectorRemove(op::Target { identity: "S".into() }));
    assert_eq!(site.service.credential(&guid).unwrap(), None);
}

#[test]
fn what_a_send_connector_demands_and_how_much_it_gives_reads_as_it_was_set() {
    let site = Site::new();
    let pin = "AB".repeat(32);
    let settings = json!({
        "tls": "Verified", "tls_pins": [pin], "max_connections": 3, "rate": 60, "auth": "oauth", "user": "us",
        "token_url": "https://login.test/token", "token_client": "procura", "token_scope": "smtp.send",
        "token_grant": "Refresh-Token", "password": "refresh-me and-secret",
    });
    site.ask(send("S", "Internet", settings));
    let row = sending(&site, "S");
    let shown = serde_json::to_value(&row).unwrap();
    for (key, value) in [
        ("tls", json!("verified")),
        ("tls_pins", json!([pin.to_lowercase()])),
        ("max_connections", json!(3)),
        ("rate", json!(60)),
        ("auth", json!("oauth")),
        ("token_url", json!("https://login.test/token")),
        ("token_client", json!("procura")),
        ("token_scope", json!("smtp.send")),
        ("token_grant", json!("refresh-token")),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    assert!(row.has_password && !shown.to_string().contains("refresh-me"), "{shown}");
}

#[test]
fn a_send_connector_without_smart_hosts_goes_by_mx() {
    let site = Site::new();
    site.ask(send("S", "Internet", json!({"smart_hosts": [], "tls": "mta-sts"})));
    assert_eq!(sending(&site, "S").settings.smart_hosts, Some(Vec::new()));
    let set = |more: serde_json::Value| {
        let mut document = json!({"op": "send-connector-set", "identity": "S"});
        document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request(document)
    };
    let (_, message) = site.fault(ROOT, set(json!({"smart_hosts": ["relay.test"]})));
    assert!(message.contains("MTA-STS is about hosts that MX records name"), "{message}");
    site.ask(set(json!({"smart_hosts": ["relay.test"], "tls": "required"})));
    site.ask(set(json!({"smart_hosts": []})));
    assert_eq!(sending(&site, "S").settings.smart_hosts, Some(Vec::new()));
}
