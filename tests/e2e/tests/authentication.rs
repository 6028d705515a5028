//! Logging on: app passwords, channel binding, access tokens, limits, certificates taken while the server runs, and what the
//! protocol log says of it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use e2e::{Attempt, Demo, Issuer, Logon, Mechanism, Talk, Tool, require};
use serde_json::json;

/// One logon in a session of its own; the reply.
#[track_caller]
fn log_on(demo: &Demo, login: &str, password: &str) -> String {
    Talk::connect(demo.client_port).log_on(login, password, None, Mechanism::Plain)
}

#[track_caller]
fn starts(reply: &str, expected: &str) {
    assert!(reply.starts_with(expected), "{reply:?} instead of {expected:?}");
}

#[test]
fn an_app_password_is_shown_once_counts_beside_the_own_one_and_can_be_taken_back() {
    if !require(&["python3"]) {
        return;
    }
    let demo = Demo::start();
    let secret = app_password(&demo, "phone");
    starts(&log_on(&demo, "bob", &secret), "235");
    starts(&log_on(&demo, "bob", "bob-demo"), "235");
    starts(&log_on(&demo, "alice", &secret), "535");
    let listed = demo.procura(&["account", "app-password", "list", "bob"]).ok();
    assert!(listed.contains("phone") && !listed.contains("never") && !listed.contains(&secret), "{listed}");
    let again = demo.procura(&["account", "app-password", "add", "bob", "phone"]);
    assert!(again.code != 0 && again.all().contains("phone"), "{}", again.all());
    demo.procura(&["account", "app-password", "remove", "bob", "phone"]).ok();
    starts(&log_on(&demo, "bob", &secret), "535");
    starts(&log_on(&demo, "bob", "bob-demo"), "235");
}

#[test]
fn an_app_password_survives_a_restart_and_none_is_made_by_a_trial() {
    if !require(&["python3"]) {
        return;
    }
    let mut demo = Demo::start();
    demo.procura(&["--dry-run", "account", "app-password", "add", "bob", "trial"]).ok();
    let secret = app_password(&demo, "printer");
    demo.stop();
    demo.start_again();
    starts(&log_on(&demo, "bob", &secret), "235");
    let listed = demo.procura(&["account", "app-password", "list", "bob"]).ok();
    assert!(listed.contains("printer") && !listed.contains("trial"), "{listed}");
}

/// What gsasl says of a logon by SCRAM over STARTTLS.
#[track_caller]
fn gsasl(demo: &Demo, arguments: &[&str], password: &str) -> (bool, String) {
    let output = Command::new("gsasl")
        .args(["--client", "--smtp", "--connect", &format!("127.0.0.1:{}", demo.client_port)])
        .args(["--authentication-id", "bob", "--password", password])
        .arg(format!("--x509-ca-file={}", demo.data().join("certificate.pem").display()))
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (said.contains("235 2.7.0"), said)
}

/// Makes an app password of bob's; what is shown.
#[track_caller]
fn app_password(demo: &Demo, name: &str) -> String {
    let shown = demo.procura(&["account", "app-password", "add", "bob", name]).ok();
    shown.lines().map(str::trim).find(|line| line.len() == 31 && line.contains('-')).unwrap().to_owned()
}

#[test]
fn app_passwords_are_proven_by_scram_beside_the_own_one() {
    if !require(&["gsasl"]) {
        return;
    }
    let demo = Demo::start();
    let (phone, printer) = (app_password(&demo, "phone"), app_password(&demo, "printer"));
    let scram = ["--mechanism=SCRAM-SHA-256", "--no-cb"];
    for arguments in [&["--mechanism=SCRAM-SHA-256-PLUS"][..], &scram] {
        for password in ["bob-demo", &phone, &printer] {
            let (accepted, said) = gsasl(&demo, arguments, password);
            assert!(accepted, "{arguments:?} {password}: {said}");
        }
    }
    let listed = demo.procura(&["account", "app-password", "list", "bob"]).ok();
    assert!(!listed.contains("never"), "{listed}");
    demo.procura(&["account", "app-password", "remove", "bob", "phone"]).ok();
    let (accepted, said) = gsasl(&demo, &scram, &phone);
    assert!(!accepted && said.contains("535"), "{said}");
    assert!(gsasl(&demo, &scram, &printer).0);
}

#[test]
fn app_passwords_are_proven_by_scram_after_the_own_one_was_changed() {
    if !require(&["gsasl"]) {
        return;
    }
    let demo = Demo::start();
    let phone = app_password(&demo, "phone");
    demo.procura_with(&["password", "set", "bob", "--stdin"], "another-demo").ok();
    let scram = ["--mechanism=SCRAM-SHA-256", "--no-cb"];
    for password in ["another-demo", &phone] {
        let (accepted, said) = gsasl(&demo, &scram, password);
        assert!(accepted, "{password}: {said}");
    }
    let (accepted, said) = gsasl(&demo, &scram, "bob-demo");
    assert!(!accepted && said.contains("535"), "{said}");
}

#[test]
fn scram_is_bound_to_the_tls_connection_with_a_client_that_can() {
    if !require(&["gsasl"]) {
        return;
    }
    let demo = Demo::start();
    for arguments in [&["--mechanism=SCRAM-SHA-256-PLUS"][..], &["--mechanism=SCRAM-SHA-256", "--no-cb"]] {
        let (accepted, said) = gsasl(&demo, arguments, "bob-demo");
        assert!(accepted, "{arguments:?}: {said}");
        let (accepted, said) = gsasl(&demo, arguments, "wrong");
        assert!(!accepted && said.contains("535"), "{arguments:?}: {said}");
    }
}

/// One message from bob with an access token.
#[track_caller]
fn with_token(demo: &Demo, mechanism: Mechanism, login: &str, token: &str) -> String {
    let attempt = Attempt {
        tool: Tool::Curl,
        port: demo.client_port,
        logon: Logon::Account { login: login.to_owned(), password: token.to_owned(), mailbox: None, mechanism },
        envelope: "bob@example.com".to_owned(),
        to: vec!["alice@example.com".to_owned()],
        message: "From: bob@example.com\nSubject: by token\n\nhello\n".to_owned(),
    };
    attempt.send().reply
}

#[test]
fn a_token_counts_by_issuer_audience_time_and_signature() {
    if !require(&["curl", "node"]) {
        return;
    }
    let issuer = Issuer::start();
    let demo = Demo::start_with(&(issuer.configuration() + "[authentication]\nsource_failures = 1000\n"));
    let bob = "bob@example.com";
    let send = |change| with_token(&demo, Mechanism::OauthBearer, bob, &issuer.token(bob, change));
    for alg in ["RS256", "ES256", "EdDSA"] {
        starts(&send(json!({ "alg": alg })), "250");
    }
    starts(&send(json!({"aud": ["other", "smtp"]})), "250");
    for change in [
        json!({"aud": "other"}),
        json!({"iss": "https://evil.example.com"}),
        json!({"exp": 1_700_000_000}),
        json!({"nbf": 4_000_000_000_u64}),
        json!({"email_verified": false}),
        json!({"email": "nobody@example.com"}),
        json!({"alg": "ES256", "forged": true}),
    ] {
        starts(&send(change.clone()), "535");
    }
    // Whom the token stands for decides: the ceo's mailbox is not bob's to open.
    starts(&with_token(&demo, Mechanism::Xoauth2, "ceo@example.com", &issuer.token(bob, json!({}))), "535");
}

#[test]
fn the_log_names_whom_a_token_stands_for_that_nobody_is() {
    if !require(&["curl", "node"]) {
        return;
    }
    let issuer = Issuer::start();
    let mut demo = Demo::start_with(&issuer.configuration());
    let token = issuer.token("nobody@example.com", json!({}));
    starts(&with_token(&demo, Mechanism::OauthBearer, "bob", &token), "535");
    let log = demo.server().wait_for_output("name=\"nobody@example.com\"");
    let line = log.lines().find(|line| line.contains("nobody@example.com")).unwrap();
    assert!(line.contains("logon failed") && line.contains("by=\"token\""), "{line}");
}

#[test]
fn the_external_account_of_a_linked_mailbox_logs_on_by_the_sid_in_its_token() {
    if !require(&["curl", "node"]) {
        return;
    }
    let issuer = Issuer::start();
    let demo = Demo::start_with(&(issuer.configuration() + "claim = \"sid\"\nas = \"sid\"\n"));
    let (external, bob) = ("S-1-5-21-7-8-9-1106", "bob@example.com");
    let send = |sid: &str| with_token(&demo, Mechanism::OauthBearer, bob, &issuer.token("", json!({ "sid": sid })));
    starts(&send(external), "535");
    demo.procura(&["mailbox", "link", "bob", external, "--disable"]).ok();
    starts(&send(external), "250");
    starts(&send("S-1-5-21-7-8-9-1107"), "535");
    // The owner himself is disabled, and enabled again the link does not count.
    starts(&log_on(&demo, "bob", "bob-demo"), "535");
    demo.procura(&["user", "set", "bob", "--enable"]).ok();
    starts(&send(external), "535");
}

#[test]
fn without_an_issuer_no_token_is_asked_for() {
    if !require(&["python3"]) {
        return;
    }
    let demo = Demo::start();
    let mut talk = Talk::connect(demo.client_port);
    starts(&talk.command("AUTH XOAUTH2 dXNlcj1ib2IBYXV0aD1CZWFyZXIgeAEB"), "538");
    let demo = Demo::start_with("[oauth]\n");
    let mut talk = Talk::connect(demo.client_port);
    talk.log_on("bob", "wrong", None, Mechanism::Plain);
    starts(&talk.command("AUTH XOAUTH2 dXNlcj1ib2IBYXV0aD1CZWFyZXIgeAEB"), "504");
}

#[test]
fn whoever_guesses_is_put_off_whether_or_not_the_account_exists() {
    if !require(&["python3"]) {
        return;
    }
    let limits = "[authentication]\nsource_failures = 3\nfailure_seconds = 86400\n";
    for name in ["bob", "nobody"] {
        let demo = Demo::start_with(limits);
        for _ in 0..3 {
            starts(&log_on(&demo, name, "guess"), "535 5.7.3");
        }
        starts(&log_on(&demo, name, "guess"), "454 4.7.0");
        // The right password is not told from a wrong one now.
        starts(&log_on(&demo, "bob", "bob-demo"), "454 4.7.0");
    }
}

#[test]
fn every_way_to_log_on_counts_against_one_limit_of_the_source() {
    if !require(&["python3", "gsasl", "curl", "node"]) {
        return;
    }
    let issuer = Issuer::start();
    let scram = ["--mechanism=SCRAM-SHA-256", "--no-cb"];
    let plain = |demo: &Demo| starts(&log_on(demo, "bob", "guess"), "535");
    let login = |demo: &Demo| {
        starts(&Talk::connect(demo.client_port).log_on("alice", "guess", None, Mechanism::Login), "535");
    };
    let proof = |demo: &Demo| {
        let (accepted, said) = gsasl(demo, &scram, "guess");
        assert!(!accepted && said.contains("535"), "{said}");
    };
    let token = |demo: &Demo| starts(&with_token(demo, Mechanism::OauthBearer, "bob@example.com", "guess"), "535");
    let ways: [&dyn Fn(&Demo); 4] = [&plain, &login, &proof, &token];
    for left_out in 0..ways.len() {
        let limits = "[authentication]\nsource_failures = 3\nfailure_seconds = 86400\n";
        let demo = Demo::start_with(&(issuer.configuration() + limits));
        let others = ways.iter().enumerate().filter(|(way, _)| *way != left_out);
        others.for_each(|(_, way)| way(&demo));
        starts(&log_on(&demo, "bob", "bob-demo"), "454 4.7.0");
        let (accepted, said) = gsasl(&demo, &scram, "bob-demo");
        assert!(!accepted && said.contains("454 4.7.0"), "{said}");
        let right = issuer.token("bob@example.com", json!({}));
        starts(&with_token(&demo, Mechanism::OauthBearer, "bob@example.com", &right), "454 4.7.0");
    }
}

#[test]
fn failed_logons_are_in_the_log_with_who_and_where_from() {
    if !require(&["python3"]) {
        return;
    }
    let mut demo = Demo::start();
    starts(&log_on(&demo, "EXAMPLE\\Bob", "guess"), "535");
    let log = demo.server().wait_for_output("logon failed");
    let line = log.lines().find(|line| line.contains("logon failed")).unwrap();
    assert!(line.contains("127.0.0.1:") && line.contains("name=\"bob\"") && line.contains("Client"), "{line}");
    assert!(!log.contains("guess"), "{log}");
}

/// SHA-256 of the certificate that the server shows after STARTTLS.
fn shown_certificate(port: u16) -> String {
    let script = "import hashlib, smtplib, ssl, sys
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
smtp = smtplib.SMTP('127.0.0.1', int(sys.argv[1]), timeout=60); smtp.starttls(context=context)
print(hashlib.sha256(smtp.sock.getpeercert(True)).hexdigest())";
    let output = Command::new("python3").args(["-c", script, &port.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_new_certificate_is_taken_on_sighup_and_a_bad_one_is_not() {
    if !require(&["python3"]) {
        return;
    }
    let other = Demo::start();
    let mut demo = Demo::start_with("[tls]\nreload_seconds = 0\n");
    let port = demo.client_port;
    let (old, new) = (shown_certificate(port), shown_certificate(other.client_port));
    assert_ne!(old, new);
    let copy = |demo: &Demo, name: &str| fs::copy(other.data().join(name), demo.data().join(name)).unwrap();

    copy(&demo, "certificate.pem");
    demo.server().hang_up();
    demo.server().wait_for_output("the new certificate cannot be used; the old one stays");
    assert_eq!(shown_certificate(port), old);

    copy(&demo, "certificate.key");
    demo.server().hang_up();
    demo.server().wait_for_output("a new certificate is in use");
    assert_eq!(shown_certificate(port), new);
    starts(&log_on(&demo, "bob", "bob-demo"), "235");
}

#[test]
fn the_protocol_log_tells_each_line_of_a_session_and_no_credential() {
    if !require(&["python3"]) {
        return;
    }
    let mut demo = Demo::start_with("[log]\nprotocol = \"protocol\"\n");
    let mut talk = Talk::connect(demo.internet_port);
    let message = "From: x@outside.test\nSubject: logged\n\nhello\n";
    starts(&talk.send("x@outside.test", &["bob@example.com"], message), "250");
    drop(talk);
    starts(&log_on(&demo, "bob", "bob-demo"), "235");
    starts(&log_on(&demo, "bob", "a-wrong-guess"), "535");
    demo.stop();
    let files: Vec<_> = fs::read_dir(demo.data().join("protocol")).unwrap().map(|file| file.unwrap().path()).collect();
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let fields = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context";
    assert!(text.contains(&format!("#Fields: {fields}\r\n")), "{text}");
    let has = |what: &str| assert!(text.lines().any(|line| line.contains(what)), "{what} is not in\n{text}");
    has(",*,SMTPSubmit SMTPAcceptAnySender AcceptRoutingHeaders,Set Session Permissions");
    has(",*,SMTPSubmit SMTPAcceptAnyRecipient BypassAntiSpam,Set Session Permissions");
    has(",<,mail FROM:<x@outside.test>");
    has(",>,250 2.1.0 Sender OK,");
    has(",*,TLS1.3 TLS_AES");
    has(",<,AUTH PLAIN *,");
    has(",*,EXAMPLE\\bob,Authenticated");
    assert_eq!(text.matches(",+,,\r\n").count(), text.matches(",-,,\r\n").count());
    // AGJvYgBib2ItZGVtbw== is the logon of PLAIN in base64.
    assert!(!text.contains("bob-demo") && !text.contains("AGJvYg") && !text.contains("a-wrong-guess"), "{text}");
}

#[test]
fn one_connector_is_in_the_protocol_log_when_it_is_told_to_be_and_counts_in_an_open_session() {
    if !require(&["python3"]) {
        return;
    }
    let mut demo = Demo::start();
    let level = |demo: &Demo, level: &str| {
        demo.procura(&["connector", "receive", "set", "Internet", "--protocol-log", level]).ok();
    };
    let mut talk = Talk::connect(demo.internet_port);
    level(&demo, "verbose");
    starts(&talk.command("NOOP first"), "250");
    level(&demo, "none");
    starts(&talk.command("NOOP second"), "250");
    level(&demo, "default");
    starts(&talk.command("NOOP third"), "250");
    starts(&log_on(&demo, "bob", "bob-demo"), "235");
    demo.stop();
    let files: Vec<_> = fs::read_dir(demo.data().join("protocol")).unwrap().map(|file| file.unwrap().path()).collect();
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    assert!(text.contains(",<,NOOP first,"), "{text}");
    assert!(!text.contains("second") && !text.contains("third") && !text.contains("\\Client,"), "{text}");
}
