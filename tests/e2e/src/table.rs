//! Tables of expectations, readable by somebody who knows mail.
//!
//! ```text
//! tool | logon | envelope | fields | to | reply | delivered
//! ```
//!
//! - **tool**: `swaks`, `curl`, `smtplib`, `msmtp`, `aiosmtplib` or `nodemailer`, and for sessions that log on the mechanism
//!   `PLAIN`, `LOGIN`, `SCRAM-SHA-256`, `OAUTHBEARER` or `XOAUTH2`; with the last two, the password is a token for the
//!   account's address, with `!` one that somebody else signed
//! - **logon**: `-` is an anonymous session on the Internet connector, `client` one on the connector for clients;
//!   otherwise a login name of the demo (its password is `<name>-demo`), with `!` a wrong password, and `login > mailbox`
//!   logs on to another mailbox (authorization identity)
//! - **envelope**: the reverse-path; `<>` is the null sender
//! - **fields**: header fields of the message, separated by ` ; `; `\` at the end of a field folds it
//! - **to**: recipients, separated by commas
//! - **reply**: how the deciding reply begins
//! - **delivered**: what the message in the mailbox shows, separated by ` ; `: `Name: value`, `Name: absent`,
//!   `Name × 2` for how often; `Sender: alice@example.com` compares the address only, and quotes around a name do not matter. `-`: not delivered here (relayed or refused)
//!
//! Lines that begin with `#` are comments. Whatever the table says, each delivered message must have our Received field and
//! exactly one X-MS-Exchange-Organization-AuthAs, and each refusal for want of a permission must name the address and a
//! decision that `procura explain` knows.

use std::fmt::Write;

use crate::client::{Attempt, Logon, Mechanism, Tool};
use crate::demo::Demo;
use crate::issuer::Issuer;
use crate::outcome::{Message, Outcome};

const AUTH_AS: &str = "X-MS-Exchange-Organization-AuthAs";

struct Row<'a> {
    line: usize,
    text: &'a str,
    attempt: Attempt,
    subject: String,
    reply: &'a str,
    delivered: &'a str,
}

/// Starts a demo, runs all rows of a table against it and reports every row that came out otherwise.
#[track_caller]
pub fn run_table(name: &str, table: &str) {
    let issuer = table.contains("OAUTH").then(Issuer::start);
    let demo = match &issuer {
        Some(issuer) => Demo::start_with(&issuer.configuration()),
        None => Demo::start(),
    };
    let rows: Vec<Row> = table
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(index, line)| row(&demo, issuer.as_ref(), name, index + 1, line))
        .collect();
    assert!(!rows.is_empty(), "{name} has no rows");
    let mut wrong = String::new();
    let mut refused = Vec::new();
    for row in &rows {
        let outcome = row.attempt.send();
        let mut faults = judge_reply(&demo, row, &outcome);
        match (outcome.is_accepted(), row.delivered) {
            (true, "-") => {}
            (true, wanted) if faults.is_empty() => {
                let message = demo.delivered(&row.subject);
                faults.extend(judge_message(wanted, &message));
            }
            (true, _) => {}
            (false, _) => refused.push(row),
        }
        if !faults.is_empty() {
            writeln!(wrong, "\nline {}: {}", row.line, row.text).unwrap();
            for fault in &faults {
                writeln!(wrong, "    {fault}").unwrap();
            }
            if std::env::var_os("PROCURA_E2E_TRANSCRIPTS").is_some() {
                writeln!(wrong, "{}", outcome.transcript).unwrap();
            }
        }
    }
    for row in refused {
        if !demo.delivered_now(&row.subject).is_empty() {
            writeln!(wrong, "\nline {}: {}\n    refused, and delivered all the same", row.line, row.text).unwrap();
        }
    }
    println!("{name}: {} rows", rows.len());
    assert!(wrong.is_empty(), "{name}: not as it must be:\n{wrong}");
}

#[track_caller]
fn row<'a>(demo: &Demo, issuer: Option<&Issuer>, name: &str, line: usize, text: &'a str) -> Row<'a> {
    let columns: Vec<&str> = text.split(" | ").map(str::trim).collect();
    let [tool, logon, envelope, fields, to, reply, delivered] = columns[..] else {
        panic!("{name}, line {line}: {} columns instead of 7: {text}", columns.len());
    };
    let (tool, mechanism) = match tool.split_once(' ') {
        Some((tool, "PLAIN")) => (tool, Mechanism::Plain),
        Some((tool, "LOGIN")) => (tool, Mechanism::Login),
        Some((tool, "SCRAM-SHA-256")) => (tool, Mechanism::ScramSha256),
        Some((tool, "OAUTHBEARER")) => (tool, Mechanism::OauthBearer),
        Some((tool, "XOAUTH2")) => (tool, Mechanism::Xoauth2),
        Some(_) => panic!("{name}, line {line}: unknown mechanism in {tool:?}"),
        None => (tool, Mechanism::Plain),
    };
    let tool = match tool {
        "swaks" => Tool::Swaks,
        "curl" => Tool::Curl,
        "smtplib" => Tool::Smtplib,
        "msmtp" => Tool::Msmtp,
        "aiosmtplib" => Tool::Aiosmtplib,
        "nodemailer" => Tool::Nodemailer,
        other => panic!("{name}, line {line}: unknown tool {other:?}"),
    };
    let (port, logon) = match logon {
        "-" => (demo.internet_port, Logon::Anonymous),
        "client" => (demo.client_port, Logon::Anonymous),
        account => (demo.client_port, log_on(issuer, account, mechanism)),
    };
    let subject = format!("{name} line {line}");
    let mut message = String::new();
    for field in fields.split(" ; ").map(str::trim).filter(|field| !field.is_empty() && *field != "-") {
        message.push_str(&field.replace('\\', "\n "));
        message.push('\n');
    }
    writeln!(message, "Subject: {subject}\n\nhello").unwrap();
    let attempt = Attempt {
        tool,
        port,
        logon,
        envelope: if envelope == "<>" { String::new() } else { envelope.to_owned() },
        to: to.split(',').map(|to| to.trim().to_owned()).collect(),
        message,
    };
    Row { line, text, attempt, subject, reply, delivered }
}

fn log_on(issuer: Option<&Issuer>, account: &str, mechanism: Mechanism) -> Logon {
    let (account, wrong) = match account.strip_suffix('!') {
        Some(account) => (account, true),
        None => (account, false),
    };
    let (login, mailbox) = match account.split_once(" > ") {
        Some((login, mailbox)) => (login.trim(), Some(mailbox.trim().to_owned())),
        None => (account, None),
    };
    let name = login.rsplit('\\').next().unwrap_or(login).split(['@', '*']).next().unwrap_or(login).to_lowercase();
    let password = match (mechanism, issuer) {
        (Mechanism::OauthBearer | Mechanism::Xoauth2, Some(issuer)) => {
            let change =
                if wrong { serde_json::json!({"alg": "ES256", "forged": true}) } else { serde_json::json!({}) };
            issuer.token(&format!("{name}@example.com"), change)
        }
        _ if wrong => "not-the-password".to_owned(),
        _ => format!("{name}-demo"),
    };
    Logon::Account { login: login.to_owned(), password, mailbox, mechanism }
}

fn judge_reply(demo: &Demo, row: &Row, outcome: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    if !outcome.reply.starts_with(row.reply) {
        faults.push(format!("replied {:?}", outcome.reply));
        return faults;
    }
    let about_a_sender = ["to send as this sender", "to send on behalf of the from address"];
    if about_a_sender.iter().any(|words| outcome.reply.contains(words)) {
        match (outcome.decision(), outcome.refused_address()) {
            (Some(id), Some(address)) => {
                let explained = demo.procura(&["explain", id]);
                if explained.code != 0 || !explained.out.contains(address) {
                    faults.push(format!("explain {id} does not tell of {address}: {}", explained.all()));
                }
            }
            _ => faults.push(format!("names no address and decision: {:?}", outcome.reply)),
        }
    }
    faults
}

fn judge_message(wanted: &str, message: &Message) -> Vec<String> {
    let mut faults = Vec::new();
    let received = message.values("Received");
    if !received.first().is_some_and(|first| first.contains(" by ") && first.contains(" with ")) {
        faults.push(format!("has no Received field of ours: {received:?}"));
    }
    if message.values(AUTH_AS).len() != 1 {
        faults.push(format!("{AUTH_AS}: {:?}", message.values(AUTH_AS)));
    }
    for wish in wanted.split(" ; ").map(str::trim) {
        if let Some((name, count)) = wish.split_once(" × ") {
            let found = message.values(name).len();
            if found.to_string() != count {
                faults.push(format!("{name} stands there {found} times instead of {count}"));
            }
            continue;
        }
        let (name, value) = wish.split_once(": ").unwrap_or_else(|| panic!("{wish:?} is not `Name: value`"));
        let name = if name == "As" { AUTH_AS } else { name };
        let found = message.values(name);
        let right = match (value, found.as_slice()) {
            ("absent", none) => none.is_empty(),
            (address, [one]) if name == "Sender" && !value.contains('<') => angle_address(one) == address,
            (value, [one]) if name == "Sender" => one.replace('"', "") == value,
            (value, [one]) => *one == value,
            _ => false,
        };
        if !right {
            faults.push(format!("{name}: {found:?} instead of {value:?}"));
        }
    }
    faults
}

fn angle_address(value: &str) -> &str {
    match (value.rfind('<'), value.rfind('>')) {
        (Some(open), Some(close)) if open < close => &value[open + 1..close],
        _ => value.trim(),
    }
}
