//! The guide of HTTP submission is enough: its programs in three languages run as they are printed, its receiver of webhooks
//! too, and its OpenAPI document is true.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use e2e::{Demo, Http, Peer, Sink, free_port, require, skip_without};
use serde_json::Value;

const GUIDE: &str = include_str!("../../../docs/src/http.md");

/// Versions that the document is tested with.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// The code blocks of the guide in a language.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = GUIDE.lines();
    while let Some(line) = lines.next() {
        if line.strip_prefix("```") == Some(language) {
            blocks.push(
                lines.by_ref().take_while(|line| !line.starts_with("```")).map(|line| format!("{line}\n")).collect(),
            );
        }
    }
    blocks
}

/// The demo, set up as the guide says, on another port.
fn demo(more: &str) -> (Demo, u16, String) {
    let port = free_port();
    let configuration = blocks("toml").remove(0).replace("8026", &port.to_string());
    let demo = Demo::start_with(&format!("{configuration}{more}"));
    let made = demo.procura(&["token", "new", "alice", "--name", "application", "--format", "json"]).ok();
    let made: Value = serde_json::from_str(&made).unwrap();
    (demo, port, made["token"].as_str().unwrap().to_owned())
}

fn run(program: &[&str], code: &str, port: u16, token: &str) -> Output {
    let code = code.replace("8026", &port.to_string());
    let output = Command::new(program[0]).args(&program[1..]).arg(code).env("PROCURA_TOKEN", token).output().unwrap();
    let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program:?}\n{shown}");
    output
}

#[test]
fn applications_in_three_languages_send_by_the_guide_alone() {
    if !require(&["curl", "python3", "node"]) {
        return;
    }
    let (demo, port, token) = demo("");
    let sent = run(&["sh", "-c"], &blocks("sh")[0], port, &token);
    let answer: Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(answer["state"], "queued");
    let text = demo.delivered("Your order").text;
    assert!(text.contains("order.txt"), "{text}");
    // Again, with the same key: the same message.
    let again: Value = serde_json::from_slice(&run(&["sh", "-c"], &blocks("sh")[0], port, &token).stdout).unwrap();
    assert_eq!(again["id"], answer["id"]);

    let sent = run(&["python3", "-c"], &blocks("python")[0], port, &token);
    assert_eq!(String::from_utf8_lossy(&sent.stdout).trim(), "delivered");
    demo.delivered("From Python");

    let sent = run(&["node", "--input-type=module", "-e"], &blocks("javascript")[0], port, &token);
    assert_eq!(String::from_utf8_lossy(&sent.stdout).trim().len(), 26);
    demo.delivered("From Node");
}

#[test]
fn the_examples_of_answers_are_what_is_answered() {
    let (_demo, port, token) = demo("");
    let http = Http { port, token };
    let shown = |at: usize| -> Value { serde_json::from_str(&blocks("json")[at]).unwrap() };
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let message = |from: &str| serde_json::json!({ "from": from, "to": "bob@example.com", "text": "x" });
    let (accepted, refused) = (http.send(&message("alice@example.com")), http.send(&message("bob@example.com")));
    assert_eq!(keys(&accepted.expect(202)), keys(&shown(0)));
    let (refused, shown) = (refused.expect(403), shown(1));
    assert_eq!(keys(&refused), keys(&shown));
    for name in ["type", "title", "status", "smtp"] {
        assert_eq!(refused[name], shown[name]);
    }
}

#[test]
fn the_receiver_of_the_guide_takes_what_is_genuine_and_nothing_else() {
    if !require(&["python3", "curl"]) {
        return;
    }
    let (demo, port, token) = demo("");
    let at = free_port();
    let url = format!("http://127.0.0.1:{at}/mail");
    let added = demo.procura(&["webhook", "add", "alice", &url, "--format", "json"]).ok();
    let added: Value = serde_json::from_str(&added).unwrap();
    let receiver = blocks("python")[1].replace("8099", &at.to_string());
    let mut child = Command::new("python3")
        .args(["-c", &receiver])
        .env("WEBHOOK_KEY", added["secret"].as_str().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let _receiver = Peer::from(child);
    let http = Http { port, token };
    let message =
        serde_json::json!({ "from": "alice@example.com", "to": "bob@example.com", "subject": "told", "text": "x" });
    let accepted = http.send(&message).expect(202);
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), format!("message.delivered {}", accepted["id"].as_str().unwrap()));
    let forged = Http { port: at, token: String::new() }.request(
        "POST",
        "/mail",
        &[("webhook-id", "1"), ("webhook-timestamp", "1"), ("webhook-signature", "v1,AAAA")],
        b"{\"type\":\"message.delivered\",\"data\":{}}",
    );
    assert_eq!(forged.status, 401);
}

/// A Python environment with schemathesis, made once for all runs of a build; `None`: there is none to be had.
fn schemathesis() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis-4.32.5");
    let program = folder.join("bin/schemathesis");
    if program.exists() {
        return Some(program);
    }
    let made = Command::new("python3").args(["-m", "venv", folder.to_str()?]).output().ok()?;
    let installed = made.status.success().then(|| {
        let pip = folder.join("bin/pip");
        Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS]).output()
    });
    match installed {
        Some(Ok(output)) if output.status.success() && program.exists() => Some(program),
        _ => {
            let _ = fs::remove_dir_all(&folder);
            None
        }
    }
}

#[test]
fn the_openapi_document_is_true() {
    if !require(&["python3"]) {
        return;
    }
    let Some(program) = schemathesis() else { return skip_without(SCHEMATHESIS) };
    let sink = Sink::start();
    let (demo, port, token) = demo(&format!(
        "per_minute = 0\n[delivery]\nsmart_host = \"127.0.0.1:{}\"\n[authentication]\nsource_failures = 86400\nfailure_seconds = 1\n",
        sink.port
    ));
    let http = Http { port, token: token.clone() };
    let served = http.request("GET", "/v1/openapi.json", &[], b"").body;
    assert!(served == include_str!("../../../docs/src/openapi.json"), "the server gives out another document");
    // What the rules refuse and what cannot be a message is refused although its form is right.
    let settings = "[checks]\n\
        positive_data_acceptance.expected-statuses = [\"2xx\", 401, 403, 404, 409, 413, 422, 429]\n\
        negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 413, 415, 422]\n";
    let file = demo.scratch().join("schemathesis.toml");
    fs::write(&file, settings).unwrap();
    let hooks = demo.scratch().join("hooks.py");
    let as_octets = "import schemathesis\n\n\n@schemathesis.serializer(\"message/rfc822\")\n\
                     def as_it_is(ctx, value):\n    return value if isinstance(value, bytes) else str(value).encode()\n";
    fs::write(&hooks, as_octets).unwrap();
    let output = Command::new(program)
        .args(["--config-file", file.to_str().unwrap(), "run", &format!("http://127.0.0.1:{port}/v1/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "all", "--max-examples", "15", "--seed", "1", "--no-color"])
        .env("SCHEMATHESIS_HOOKS", &hooks)
        .current_dir(demo.scratch())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains("No issues found"), "{report}");
}
