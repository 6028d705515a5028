//! People and permissions of a real Active Directory domain (Samba), followed while sessions are open.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use e2e::{DomainController, DomainSite, Mechanism, Talk, Tickets, procura, require, send_as, skip_without};

const PASSWORD: &str = DomainSite::PASSWORD;
const REFUSED: &str = DomainSite::REFUSED;
const DOMAIN: &str = DomainController::DOMAIN;
/// A change counts within some seconds; a loaded machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

fn person(name: &str) -> String {
    DomainController::person(name)
}

fn send_as_ivan(talk: &mut Talk) -> String {
    send_as(talk, "ivan")
}

#[test]
fn a_grant_on_an_ou_counts_in_an_open_session_and_so_does_its_end() {
    let Some(site) = DomainSite::start(|_| {}) else { return };
    let mut talk = site.session("hanna");
    let before = send_as_ivan(&mut talk);
    assert!(before.starts_with(REFUSED), "{before}\n{}", site.output());
    let hanna = site.controller.sid(&person("hanna"));
    let unit = format!("OU=People,{DOMAIN}");
    site.controller.add_ace(&unit, &DomainController::send_as_below(&hanna));
    let granted = site.until(&mut talk, "250");
    site.controller.revoke(&unit, &hanna);
    let revoked = site.until(&mut talk, REFUSED);
    println!("grant on an OU: {granted:?}, its end: {revoked:?} after samba-tool");
}

#[test]
fn membership_through_groups_counts_in_an_open_session_and_so_does_its_end() {
    let Some(site) = DomainSite::start(|controller| {
        for group in ["Inner", "Outer"] {
            controller.samba_tool(&["group", "add", group, "--groupou=OU=People"]);
        }
        controller.samba_tool(&["group", "addmembers", "Outer", "Inner"]);
        let outer = controller.sid(&person("Outer"));
        controller.add_ace(&person("ivan"), &DomainController::send_as(&outer));
    }) else {
        return;
    };
    let mut talk = site.session("hanna");
    let before = send_as_ivan(&mut talk);
    assert!(before.starts_with(REFUSED), "{before}");
    site.controller.samba_tool(&["group", "addmembers", "Inner", "hanna"]);
    let granted = site.until(&mut talk, "250");
    site.controller.samba_tool(&["group", "removemembers", "Outer", "Inner"]);
    let revoked = site.until(&mut talk, REFUSED);
    println!("nested membership: {granted:?}, its end: {revoked:?} after samba-tool");
}

#[test]
fn a_disabled_account_loses_its_open_session() {
    let Some(site) = DomainSite::start(|_| {}) else { return };
    let mut talk = site.session("hanna");
    site.controller.samba_tool(&["user", "disable", "hanna"]);
    site.until(&mut talk, "421");
    let mut talk = site.controller.at(|| Talk::connect(587));
    let reply = talk.log_on("hanna@ad.example.test", PASSWORD, None, Mechanism::Plain);
    assert!(reply.starts_with("535"), "{reply}");
}

#[test]
fn an_account_that_ends_is_as_good_as_disabled() {
    let Some(site) = DomainSite::start(|_| {}) else { return };
    let mut talk = site.session("hanna");
    site.controller.samba_tool(&["user", "setexpiry", "hanna", "--days=0"]);
    site.until(&mut talk, "421");
}

#[test]
fn a_wrong_password_is_wrong_and_an_empty_one_too() {
    let Some(site) = DomainSite::start(|_| {}) else { return };
    for password in ["Passw0rd!wrong", ""] {
        let mut talk = site.controller.at(|| Talk::connect(587));
        let reply = talk.log_on("hanna@ad.example.test", password, None, Mechanism::Plain);
        assert!(reply.starts_with("535") || reply.starts_with("501"), "{reply}");
    }
}

#[test]
fn a_password_that_was_changed_there_is_not_remembered_here() {
    let Some(site) = DomainSite::start(|_| {}) else { return };
    drop(site.session("hanna"));
    site.controller.samba_tool(&["user", "setpassword", "hanna", "--newpassword=Passw0rd!new"]);
    let begin = Instant::now();
    loop {
        let mut talk = site.controller.at(|| Talk::connect(587));
        let reply = talk.log_on("hanna@ad.example.test", PASSWORD, None, Mechanism::Plain);
        if reply.starts_with("535") {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{reply}");
        std::thread::sleep(Duration::from_millis(300));
    }
    let mut talk = site.controller.at(|| Talk::connect(587));
    let reply = talk.log_on("hanna@ad.example.test", "Passw0rd!new", None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}\n{}", site.output());
}

#[test]
fn a_ticket_of_the_domain_sends_mail_and_ntlm_is_not_offered() {
    const HOST: &str = "mail.ad.example.test";
    if !require(&["curl", "kinit"]) {
        return;
    }
    let Some(mut site) = DomainSite::start(|controller| {
        controller.samba_tool(&["user", "add", "svc-smtp", PASSWORD]);
        controller.modify(&format!(
            "dn: CN=svc-smtp,CN=Users,{DOMAIN}\nchangetype: modify\nadd: servicePrincipalName\n\
             servicePrincipalName: smtp/{HOST}\n-\nreplace: msDS-SupportedEncryptionTypes\n\
             msDS-SupportedEncryptionTypes: 16\n-\n"
        ));
    }) else {
        return;
    };
    site.stop();
    let keytab = site.path("smtp.keytab");
    site.controller.export_keytab(&format!("smtp/{HOST}"), &keytab);
    site.replace("[kerberos]\n", &format!("[kerberos]\nkeytab = \"{}\"\n", keytab.display()));
    let file = site.path("data/procura.toml");
    let checked = site.run(&["config", "check", file.to_str().unwrap()]);
    if checked.code != 0 && checked.all().contains("without Kerberos") {
        return skip_without("procura with its feature `kerberos`");
    }
    site.serve();
    let folder = site.path("");
    let tickets = Tickets::new(&site.controller, &folder);
    tickets.log_on("hanna", PASSWORD);
    let send = |from: &str| tickets.send(HOST, from, "ivan@ad.example.test");
    let sent = send("hanna@ad.example.test");
    assert!(sent.contains("235 2.7.0") && sent.contains("Queued mail for delivery"), "{sent}\n{}", site.output());
    let other = send("ivan@ad.example.test");
    assert!(other.contains("550 5.7.1 Client does not have permissions to send as this sender"), "{other}");
    assert!(sent.contains("GSSAPI") && !sent.contains("NTLM"), "{sent}");
}

#[test]
fn what_a_connector_would_refuse_is_reported_with_the_grant_that_mends_it() {
    let Some(site) = DomainSite::start(|_| {}) else { return };
    site.procura(&["connector", "receive", "set", "Client MAIL", "--header-from", "observe"]).ok();
    let mut talk = site.session("hanna");
    let mut send = || {
        let message = "From: ivan@ad.example.test\nTo: hanna@ad.example.test\nSubject: hello\n\nhello\n";
        let reply = talk.send("hanna@ad.example.test", &["hanna@ad.example.test"], message);
        assert!(reply.starts_with("250"), "{reply}");
    };
    let report = || -> serde_json::Value {
        let shown = site.procura(&["permission", "observed", "--format", "json"]).ok();
        serde_json::from_str(&shown).unwrap()
    };
    send();
    send();
    let begin = Instant::now();
    let row = loop {
        let rows = report()["rows"].clone();
        if rows[0]["messages"] == 2 {
            break rows[0].clone();
        }
        assert!(begin.elapsed() < PATIENCE, "{rows}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!((row["who"].as_str(), row["sender"].as_str()), (Some("ADTEST\\hanna"), Some("ivan@ad.example.test")));

    // The command that it names, as it stands there.
    let command = row["command"].as_str().unwrap().strip_prefix("procura ").unwrap();
    let line = format!("'{}' --data '{}' {command}", procura().display(), site.path("data").display());
    let done = site.controller.at(|| std::process::Command::new("sh").args(["-c", &line]).output().unwrap());
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    site.procura(&["connector", "receive", "set", "Client MAIL", "--header-from", "enforce"]).ok();
    send();
}
