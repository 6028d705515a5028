//! Content filters: Rspamd over HTTP, opendkim and opendmarc as milters, each with a configuration of the test's own.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use e2e::{Demo, Mechanism, Peer, Talk, free_port, require};

/// Rspamd that knows the test patterns and nothing else: with all public suffixes it compiles for a while before it listens.
fn rspamd(folder: &Path) -> (Peer, u16) {
    fs::write(folder.join("suffixes"), "test\n").unwrap();
    let (port, shown) = (free_port(), folder.display());
    let configuration = format!(
        r#"options {{
    pidfile = "{shown}/rspamd.pid"; tempdir = "{shown}"; control_socket = "{shown}/control.sock mode=0600";
    rrd = "{shown}/rspamd.rrd"; cache_file = "{shown}/cache"; hs_cache_dir = "{shown}";
    dns {{ nameserver = "127.0.0.1:9"; timeout = 0.1s; retransmits = 1; }}
    filters = ""; url_tld = "{shown}/suffixes"; history_file = "{shown}/history";
}}
logging {{ type = "console"; level = "error"; }}
actions {{ reject = 15; add_header = 6; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
"#
    );
    let file = folder.join("rspamd.conf");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("rspamd");
    command.args(["--no-fork", "--insecure", "--config"]).arg(&file).stderr(Stdio::null());
    (Peer::start(&mut command, port), port)
}

/// The pattern that every filter for spam knows.
const GTUBE: &str = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

/// Lines end as Python's smtplib wants them.
fn message(from: &str, subject: &str, text: &str) -> String {
    format!(
        "From: {from}\nTo: bob@example.com\nDate: Thu, 01 Jan 2026 12:00:00 +0000\nSubject: {subject}\n\
         Message-ID: <{subject}@client>\n\n{text}\n"
    )
}

const STRANGER: &str = "someone@outside.test";

/// Sends to bob from outside; the reply.
fn send(demo: &Demo, subject: &str, text: &str) -> String {
    Talk::connect(demo.internet_port).send(STRANGER, &["bob@example.com"], &message(STRANGER, subject, text))
}

#[test]
fn what_rspamd_rejects_is_refused_in_its_words() {
    if !require(&["rspamd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_rspamd, port) = rspamd(folder.path());
    let demo = Demo::start_with(&format!(
        "[content]\nfilters = [{{ name = \"rspamd\", rspamd = \"http://127.0.0.1:{port}\" }}]\n"
    ));
    let reply = send(&demo, "spam", GTUBE);
    assert!(reply.starts_with("550 5.7.1 Gtube pattern"), "{reply}");
    assert!(send(&demo, "ham", "How are you?").starts_with("250 "));
    assert_eq!(demo.delivered("ham").value("X-Spam"), None);
    assert_eq!(demo.delivered_now("spam").len(), 0);
}

#[test]
fn mail_of_accounts_is_not_shown_to_a_filter_for_spam() {
    if !require(&["rspamd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_rspamd, port) = rspamd(folder.path());
    let demo = Demo::start_with(&format!(
        "[content]\nfilters = [{{ name = \"rspamd\", rspamd = \"http://127.0.0.1:{port}\" }}]\n"
    ));
    let mut talk = Talk::connect(demo.client_port);
    talk.log_on("alice", "alice-demo", None, Mechanism::Plain);
    let text = message("alice@example.com", "internal", GTUBE);
    assert!(talk.send("alice@example.com", &["bob@example.com"], &text).starts_with("250 "));
    demo.delivered("internal");
}

#[test]
fn what_is_kept_in_quarantine_can_be_listed_and_released() {
    if !require(&["rspamd"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_rspamd, port) = rspamd(folder.path());
    let demo = Demo::start_with(&format!(
        "[content]\nfilters = [{{ name = \"rspamd\", rspamd = \"http://127.0.0.1:{port}\", on_reject = \"quarantine\" }}]\n"
    ));
    assert!(send(&demo, "kept", GTUBE).starts_with("250 "));
    let listed = demo.procura(&["queue", "list", "--state", "quarantined"]).ok();
    assert!(listed.contains(STRANGER) && listed.contains("rspamd: Gtube pattern"), "{listed}");
    assert!(demo.procura(&["trace", "--from", STRANGER]).ok().contains("quarantined"));
    assert_eq!(demo.delivered_now("kept").len(), 0);
    demo.procura(&["queue", "release", "--state", "quarantined", "--from", STRANGER]).ok();
    demo.delivered("kept");
}

#[test]
fn a_filter_that_is_away_puts_mail_off_or_is_passed_over() {
    for (on_failure, expected) in [("tempfail", "451 4.7.1"), ("accept", "250 ")] {
        let demo = Demo::start_with(&format!(
            "[content]\nfilters = [{{ name = \"away\", rspamd = \"http://127.0.0.1:9\", on_failure = \"{on_failure}\" }}]\n"
        ));
        let reply = send(&demo, "away", "text");
        assert!(reply.starts_with(expected), "{on_failure}: {reply}");
    }
}

/// opendkim with a key of example.com, signing.
fn opendkim(folder: &Path) -> (Peer, u16) {
    let port = free_port();
    let made = Command::new("opendkim-genkey")
        .args(["--bits=2048", "--selector=test", "--domain=example.com", "--directory"])
        .arg(folder)
        .status()
        .unwrap();
    assert!(made.success());
    let key = folder.join("test.private");
    let configuration = format!(
        "Socket inet:{port}@127.0.0.1\nMode s\nDomain example.com\nSelector test\nKeyFile {}\nRequireSafeKeys false\n\
         Canonicalization simple/simple\nSyslog no\nBackground no\nPidFile {}\n",
        key.display(),
        folder.join("opendkim.pid").display()
    );
    let file = folder.join("opendkim.conf");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("opendkim");
    command.arg("-f").arg("-x").arg(&file).stderr(Stdio::null());
    (Peer::start(&mut command, port), port)
}

/// Whether opendkim finds a good signature of example.com in a message.
fn verified(folder: &Path, message: &str) -> String {
    let published = fs::read_to_string(folder.join("test.txt")).unwrap();
    let record: String = published.split('"').skip(1).step_by(2).collect();
    let keys = folder.join("keys");
    fs::write(&keys, format!("test._domainkey.example.com {record}\n")).unwrap();
    let file = folder.join("verify.conf");
    let configuration = format!("Mode v\nTestPublicKeys {}\nSyslog no\nSocket inet:1@127.0.0.1\n", keys.display());
    fs::write(&file, configuration).unwrap();
    let text = folder.join("message.eml");
    fs::write(&text, message.replace("\r\n", "\n").replace('\n', "\r\n")).unwrap();
    let output = Command::new("opendkim").arg("-x").arg(&file).arg("-t").arg(&text).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_milter_signs_mail_of_accounts_and_the_signature_is_good() {
    if !require(&["opendkim", "opendkim-genkey"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_opendkim, port) = opendkim(folder.path());
    let demo = Demo::start_with(&format!(
        "[content]\nfilters = [{{ name = \"dkim\", milter = \"inet:127.0.0.1:{port}\", bypass = false }}]\n"
    ));
    let mut talk = Talk::connect(demo.client_port);
    talk.log_on("alice", "alice-demo", None, Mechanism::Plain);
    let text = message("Alice <alice@example.com>", "signed", "Two lines\n of text, with  spaces");
    let reply = talk.send("alice@example.com", &["bob@example.com"], &text);
    assert!(reply.starts_with("250 "), "{reply}");
    let delivered = demo.delivered("signed");
    assert!(delivered.value("DKIM-Signature").unwrap().contains("d=example.com"));
    let said = verified(folder.path(), &delivered.text);
    assert!(said.contains("succeeded"), "{said}\n{}", delivered.text);
    let tampered = verified(folder.path(), &delivered.text.replace("Two lines", "Ten lines"));
    assert!(!tampered.contains("succeeded"), "{tampered}");
}

#[test]
fn opendmarc_refuses_mail_without_a_date() {
    if !require(&["opendmarc"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let file = folder.path().join("opendmarc.conf");
    let configuration = format!(
        "Socket inet:{port}@127.0.0.1\nRequiredHeaders true\nSyslog false\nBackground false\nIgnoreAuthenticatedClients false\n\
         IgnoreHosts {}\n",
        folder.path().join("hosts").display()
    );
    fs::write(folder.path().join("hosts"), "192.0.2.1\n").unwrap();
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("opendmarc");
    command.arg("-f").arg("-c").arg(&file).stderr(Stdio::null());
    let _opendmarc = Peer::start(&mut command, port);
    let demo = Demo::start_with(&format!(
        "[content]\nfilters = [{{ name = \"dmarc\", milter = \"inet:127.0.0.1:{port}\" }}]\n"
    ));
    let mut talk = Talk::connect(demo.internet_port);
    let without = message(STRANGER, "undated", "text").replace("Date: Thu, 01 Jan 2026 12:00:00 +0000\n", "");
    let reply = talk.send(STRANGER, &["bob@example.com"], &without);
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    assert!(talk.send(STRANGER, &["bob@example.com"], &message(STRANGER, "dated", "text")).starts_with("250 "));
    demo.delivered("dated");
}

#[test]
fn a_large_message_keeps_every_octet_when_a_filter_changes_its_header() {
    if !require(&["opendkim", "opendkim-genkey"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (_opendkim, port) = opendkim(folder.path());
    let demo = Demo::start_with(&format!(
        "[content]\nfilters = [{{ name = \"dkim\", milter = \"inet:127.0.0.1:{port}\", bypass = false }}]\n"
    ));
    let mut talk = Talk::connect(demo.client_port);
    talk.log_on("alice", "alice-demo", None, Mechanism::Plain);
    let lines: String = (0..20_000).map(|number| format!("line {number} of a long text\n")).collect();
    let text = message("alice@example.com", "large", &lines);
    assert!(talk.send("alice@example.com", &["bob@example.com"], &text).starts_with("250 "));
    let delivered = demo.delivered("large");
    assert!(delivered.text.replace("\r\n", "\n").contains(&lines));
    assert!(verified(folder.path(), &delivered.text).contains("succeeded"));
}
