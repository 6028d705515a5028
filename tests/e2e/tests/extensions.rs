//! Extensions of SMTP with the clients that know them: PROXY headers and tolerance with swaks, notifications with msmtp,
//! nodemailer and smtplib, SMTPUTF8 with curl, nodemailer and aiosmtplib.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use e2e::{Attempt, Demo, Logon, Message, Tool, finish, require};

/// The report of a demo that somebody got, with this in it.
#[track_caller]
fn report(demo: &Demo, subject: &str, parts: &[&str]) -> Message {
    let report = demo.delivered(subject);
    for part in parts {
        assert!(report.text.contains(part), "{part} is not in {}", report.text);
    }
    report
}

fn swaks(demo: &Demo, subject: &str) -> Command {
    let mut command = Command::new("swaks");
    command.args(["--server", "127.0.0.1", "--port", &demo.internet_port.to_string(), "--ehlo", "client.test"]);
    command.args(["--from", "x@outside.test", "--to", "bob@example.com", "--timeout", "60"]);
    command.args(["--header", &format!("Subject: {subject}")]);
    command
}

#[test]
fn swaks_behind_a_load_balancer_is_the_client_that_the_header_names() {
    if !require(&["swaks"]) {
        return;
    }
    let demo = Demo::start();
    let ranges = ["--remote-ranges", "192.0.2.0/24", "--proxy-from", "127.0.0.1"];
    demo.procura(&[&["connector", "receive", "set", "Internet"], &ranges[..]].concat()).ok();
    for version in ["1", "2"] {
        let subject = format!("proxied {version}");
        let mut command = swaks(&demo, &subject);
        command.args(["--proxy-version", version, "--proxy-family", if version == "1" { "TCP4" } else { "AF_INET" }]);
        command.args(["--proxy-source", "192.0.2.7", "--proxy-source-port", "49152"]);
        command.args(["--proxy-dest", "198.51.100.1", "--proxy-dest-port", "25"]);
        finish(&mut command, "").ok();
        let message = demo.delivered(&subject);
        assert!(message.text.contains("([192.0.2.7])"), "{}", message.text);
    }
    let bare = finish(&mut swaks(&demo, "bare"), "");
    assert!(bare.code != 0 && bare.out.contains("554 5.5.0"), "{bare:?}");
    assert!(demo.delivered_now("bare").is_empty());
}

#[test]
fn swaks_with_a_header_of_its_own_proves_nothing() {
    if !require(&["swaks"]) {
        return;
    }
    let demo = Demo::start();
    let mut command = swaks(&demo, "forged");
    command.args(["--proxy", "TCP4 10.0.0.1 198.51.100.1 49152 25"]);
    let bare = finish(&mut command, "");
    assert!(bare.code != 0 && (bare.out.contains("500 5.5.2") || bare.out.contains("554 5.5.0")), "{bare:?}");
    assert!(demo.delivered_now("forged").is_empty());
}

#[test]
fn msmtp_is_told_of_what_was_delivered() {
    if !require(&["msmtp"]) {
        return;
    }
    let demo = Demo::start();
    let mut command = Command::new("msmtp");
    command.args([
        "--file=/dev/null",
        "--host=127.0.0.1",
        "--domain=client.test",
        "--timeout=60",
        "--from=bob@example.com",
    ]);
    command.args(["--tls=on", "--tls-starttls=on", "--tls-certcheck=off", "--auth=plain", "--user=bob"]);
    command.args([&format!("--port={}", demo.client_port), "--passwordeval=echo bob-demo"]);
    command.args(["--dsn-notify=success,failure", "--dsn-return=headers", "--", "alice@example.com"]);
    finish(&mut command, "From: bob@example.com\nSubject: by msmtp\n\nhello\n").ok();
    demo.delivered("by msmtp");
    report(&demo, "Your message was delivered", &["Action: delivered", "Final-Recipient: rfc822; alice@example.com"]);
}

#[test]
fn nodemailer_is_told_by_the_names_that_it_gave() {
    if !require(&["node"]) {
        return;
    }
    let demo = Demo::start();
    let script = format!(
        "process.env.NODE_PATH = '/usr/share/nodejs'; require('module').Module._initPaths();
         require('nodemailer').createTransport({{ host: '127.0.0.1', port: {}, name: 'client.test', requireTLS: true,
             tls: {{ rejectUnauthorized: false }}, auth: {{ user: 'bob', pass: 'bob-demo' }} }})
         .sendMail({{ envelope: {{ from: 'bob@example.com', to: ['alice@example.com'] }},
             dsn: {{ id: 'QQ-17', return: 'headers', notify: ['success'], recipient: 'bob@example.com' }},
             raw: 'From: bob@example.com\\r\\nSubject: by nodemailer\\r\\n\\r\\nhello\\r\\n' }})
         .catch(fault => {{ console.error(fault); process.exit(1); }});",
        demo.client_port
    );
    finish(Command::new("node").args(["-e", &script]), "").ok();
    demo.delivered("by nodemailer");
    report(&demo, "Your message was delivered", &["Original-Envelope-Id: QQ-17", "Original-Recipient: rfc822;"]);
}

#[test]
fn smtplib_hears_nothing_when_it_wants_to_hear_nothing() {
    if !require(&["python3"]) {
        return;
    }
    let demo = Demo::start();
    let script = format!(
        "import smtplib, ssl
context = ssl._create_unverified_context()
for notify, to in [('NEVER', 'list-without@example.com'), ('SUCCESS', 'alice@example.com')]:
    smtp = smtplib.SMTP('127.0.0.1', {}, local_hostname='client.test')
    smtp.starttls(context=context); smtp.login('bob', 'bob-demo')
    smtp.sendmail('bob@example.com', [to], f'From: bob@example.com\\r\\nSubject: {{notify}}\\r\\n\\r\\nhello\\r\\n',
                  rcpt_options=['NOTIFY=' + notify])
    smtp.quit()
",
        demo.client_port
    );
    demo.procura(&["group", "add", "Empty", "--address", "list-without@example.com"]).ok();
    finish(Command::new("python3").args(["-c", &script]), "").ok();
    report(&demo, "Your message was delivered", &["alice@example.com"]);
    assert!(demo.delivered_now("Your message could not be delivered").is_empty());
}

#[test]
fn clients_that_know_smtputf8_write_from_addresses_beyond_ascii() {
    let demo = Demo::start();
    for (tool, program) in
        [(Tool::Curl, "curl"), (Tool::Nodemailer, "node"), (Tool::Aiosmtplib, "python3"), (Tool::Swaks, "swaks")]
    {
        // swaks asks for SMTPUTF8 only when told to, and is refused: nothing is guessed.
        let knows = tool != Tool::Swaks;
        if !require(&[program]) {
            return;
        }
        let subject = format!("utf8 by {program}");
        let outcome = Attempt {
            tool,
            port: demo.internet_port,
            logon: Logon::Anonymous,
            envelope: "jürgen@outside.test".to_owned(),
            to: vec!["bob@example.com".to_owned()],
            message: format!("From: <jürgen@outside.test>\nSubject: {subject}\n\ngrüße\n"),
        };
        let outcome = outcome.send();
        assert_eq!(outcome.is_accepted(), knows, "{program}: {}", outcome.transcript);
        if knows {
            assert!(demo.delivered(&subject).text.contains("Return-Path: <jürgen@outside.test>"));
        }
    }
}

#[test]
fn an_old_device_gets_its_mail_through_where_it_may() {
    if !require(&["python3"]) {
        return;
    }
    let demo = Demo::start();
    let script = format!(
        "import socket
s = socket.create_connection(('127.0.0.1', {})); f = s.makefile('rb')
def reply():
    while (line := f.readline())[3:4] == b'-': pass
    return line.decode()
said = [reply()]
for words in ['HELO scanner\\n', 'MAIL FROM: x@outside.test\\n', 'RCPT TO: <bob@example.com>\\n', 'DATA\\n',
              'From: x@outside.test\\nSubject: scanned\\n\\npage\\r\\n.\\r\\n', 'QUIT\\n']:
    s.sendall(words.encode()); said.append(reply())
print(said)
",
        demo.internet_port
    );
    demo.procura(&["connector", "receive", "set", "Internet", "--tolerant", "true"]).ok();
    let said = finish(Command::new("python3").args(["-c", &script]), "").ok();
    assert!(said.contains("250 2.6.0"), "{said}");
    demo.delivered("scanned");
}
