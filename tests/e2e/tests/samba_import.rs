//! A directory dumped from a real Active Directory domain (Samba) is imported with its descriptors, and a grant made there
//! decides a real SMTP session.

#![allow(clippy::unwrap_used)]

use std::fs;

use e2e::{Attempt, Demo, DomainController, Logon, Mechanism, Outcome, Tool, require, skip_without};

#[test]
fn samba_grants_of_send_as_decide_a_session_after_import() {
    if !require(&DomainController::PROGRAMS) || !require(&["curl", "python3"]) {
        return;
    }
    if !DomainController::possible() {
        return skip_without("root, for a network namespace");
    }
    let controller = DomainController::start();
    controller.samba_tool(&["ou", "add", "OU=People"]);
    for name in ["hanna", "ivan"] {
        controller.samba_tool(&[
            "user",
            "add",
            name,
            "Passw0rd!x2",
            "--userou=OU=People",
            &format!("--mail-address={name}@ad.example.test"),
        ]);
    }
    let (hanna, ivan) = (person("hanna"), person("ivan"));

    let demo = Demo::start();
    demo.procura(&["domain", "add", "ad.example.test"]).ok();
    import(&demo, &controller.dump("(objectClass=*)"));
    for name in ["hanna", "ivan"] {
        demo.procura_with(&["password", "set", name, "--stdin"], "secret\n").ok();
    }

    let own = send(&demo, "hanna@ad.example.test");
    assert!(own.is_accepted(), "hanna as herself: {}\n{}", own.reply, own.transcript);
    let before = send(&demo, "ivan@ad.example.test");
    assert!(
        before.reply.starts_with("550 5.7.1 Client does not have permissions to send as this sender"),
        "hanna as ivan without a grant: {}",
        before.reply
    );

    let grant = format!("(OA;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;{})", controller.sid(&hanna));
    controller.samba_tool(&["dsacl", "set", &format!("--objectdn={ivan}"), &format!("--sddl={grant}")]);
    import(&demo, &controller.dump("(objectClass=*)"));
    let after = send(&demo, "ivan@ad.example.test");
    assert!(after.is_accepted(), "hanna as ivan with the grant: {}\n{}", after.reply, after.transcript);
}

fn person(name: &str) -> String {
    format!("CN={name},OU=People,{}", DomainController::DOMAIN)
}

#[track_caller]
fn import(demo: &Demo, ldif: &str) {
    let file = demo.scratch().join("dump.ldif");
    fs::write(&file, ldif).unwrap();
    let map = demo.scratch().join("map.toml");
    // Active Directory without Exchange has `mail` and no proxyAddresses.
    fs::write(&map, "proxyAddresses = \"mail\"\n").unwrap();
    demo.procura(&["import", file.to_str().unwrap(), "--map", map.to_str().unwrap()]).ok();
}

fn send(demo: &Demo, from: &str) -> Outcome {
    let attempt = Attempt {
        tool: Tool::Curl,
        port: demo.client_port,
        logon: Logon::Account {
            // The bare name would be looked for in the demo's own domain.
            login: "hanna@ad.example.test".to_owned(),
            password: "secret".to_owned(),
            mailbox: None,
            mechanism: Mechanism::Plain,
        },
        envelope: from.to_owned(),
        to: vec!["bob@example.com".to_owned()],
        message: format!("From: {from}\nSubject: hello\n\nhello\n"),
    };
    attempt.send()
}
