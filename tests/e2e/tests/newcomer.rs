//! What somebody meets who starts the demo for the first time.

#![allow(clippy::unwrap_used)]

use std::process::Command;

use e2e::{Demo, require};

/// The suggestion that begins with this number, as a shell command.
#[track_caller]
fn suggestion(output: &str, number: &str) -> String {
    let (_, after) =
        output.split_once(&format!("\n{number}. ")).unwrap_or_else(|| panic!("no suggestion {number} in:\n{output}"));
    let lines: Vec<&str> = after.lines().skip(1).take_while(|line| line.starts_with("  ")).collect();
    assert!(!lines.is_empty(), "suggestion {number} has no command:\n{output}");
    lines.join("\n")
}

/// Runs a suggestion as a shell would; whether it succeeded, and all that it printed.
fn run(command: &str) -> (bool, String) {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

#[test]
fn the_three_messages_that_the_demo_suggests_do_what_it_says() {
    if !require(&["swaks", "curl"]) {
        return;
    }
    let mut demo = Demo::start();
    let output = demo.server().wait_for_output("\nready\n");
    let (allowed, text) = run(&suggestion(&output, "1"));
    assert!(allowed, "{text}");
    let (on_behalf, text) = run(&suggestion(&output, "2"));
    assert!(on_behalf, "{text}");
    assert_eq!(
        demo.delivered("on behalf").value("Sender").map(|sender| sender.contains("alice@example.com")),
        Some(true)
    );
    let (sent, text) = run(&suggestion(&output, "3"));
    assert!(!sent && text.contains("550 5.7.1 Client does not have permissions to send as this sender"), "{text}");
}

#[test]
fn the_demo_names_both_of_its_ports() {
    let mut demo = Demo::start();
    let output = demo.server().wait_for_output("\nready\n");
    for port in [demo.client_port, demo.internet_port] {
        assert!(output.contains(&format!("127.0.0.1:{port}")), "{port} not in:\n{output}");
    }
}

#[test]
fn a_second_start_finds_what_the_first_one_left() {
    let mut demo = Demo::start();
    demo.procura(&["user", "add", "zoe", "--mailbox"]).ok();
    assert_eq!(demo.stop(), 0);
    demo.start_again();
    assert!(demo.procura(&["user", "list"]).ok().contains("zoe"));
}

#[test]
fn a_new_organization_of_ones_own_is_made_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    e2e::run_procura(["init", own.to_str().unwrap(), "--domain", "example.org"], "").ok();
    let file = own.join("procura.toml");
    e2e::run_procura(["config", "check", file.to_str().unwrap()], "").ok();
    let domains = e2e::run_procura(["domain", "list", "--config", file.to_str().unwrap()], "").ok();
    assert!(domains.contains("example.org"), "{domains}");
}

#[test]
fn a_load_test_counts_what_is_accepted_and_what_is_refused_and_why() {
    let demo = Demo::start();
    let target = format!("127.0.0.1:{}", demo.client_port);
    let report = e2e::run_procura(
        [
            "bench",
            "smtp",
            &target,
            "--tls",
            "--accounts",
            "bob",
            "--password",
            "{account}-demo",
            "--format",
            "json",
            "--senders",
            "{account}@example.com,ceo@example.com",
            "--recipient",
            "alice@example.com",
            "--sessions",
            "4",
            "--messages",
            "60",
        ],
        "",
    );
    let report: serde_json::Value = serde_json::from_str(&report.ok()).unwrap();
    let refusal = "MAIL: 550 5.7.1 Client does not have permissions to send as this sender";
    let (accepted, refused) = (report["accepted"].as_u64().unwrap(), report["refused"][refusal].as_u64().unwrap());
    assert!(accepted > 0 && refused > 0 && accepted + refused == 60, "{report}");
}
