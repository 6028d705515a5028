//! Completion, manual pages, formats and trials of every command.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;

use common::{Demo, Finished, procura};

/// What a command does, and words with which it can be run on the demo.
enum Kind {
    /// It prints rows; in every format.
    Rows(&'static str),
    /// It changes something; not with --dry-run.
    Writes(&'static str),
    /// It is no work on a directory, or has a test of its own.
    Other,
}
use Kind::{Other, Rows, Writes};

const ID: &str = "01J8Z3T5Q4R7N2M6K9V1X0C8BW";

/// All commands.
const COMMANDS: &[(&str, Kind)] = &[
    ("account app-password add", Other),
    ("account app-password list", Rows("bob")),
    ("account app-password remove", Other),
    ("apply", Other),
    ("audit diff", Other),
    ("audit export", Rows("")),
    ("audit separation export", Rows("")),
    ("audit separation import", Other),
    ("audit separation set-all", Writes("")),
    ("backup", Writes("backup.procura")),
    ("bench sink", Other),
    ("bench smtp", Other),
    ("check", Rows("--as goodadmin --from ceo@example.com")),
    ("browse", Rows("")),
    ("check-directory", Rows("")),
    ("completion", Other),
    ("config check", Other),
    ("config template", Other),
    ("config describe", Other),
    ("connector receive get", Rows("")),
    ("connector receive new", Writes("Scanners --usage client --bindings 127.0.0.1:2599 --remote-ranges 127.0.0.0/8")),
    ("connector receive remove", Writes("Internet")),
    ("connector receive set", Writes("Internet --header-from off")),
    ("connector send get", Rows("")),
    ("connector send new", Writes("Out --usage internet --address-space * --smart-host relay.example.net")),
    ("connector send remove", Other),
    ("connector send set", Other),
    ("connector test", Rows("Client --as alice --from alice@example.com --to bob@example.com")),
    ("cross-forest enable", Other),
    ("database add", Writes("Archive")),
    ("database set", Writes("Mailbox-Database --legacy-send-as true")),
    ("delegate add", Writes("ceo bob --full-access --send-as")),
    ("delegate get", Rows("ceo")),
    ("delegate remove", Writes("ceo alice")),
    ("directory status", Other),
    ("directory test", Other),
    ("doctor", Rows("--no-network")),
    ("domain add", Writes("example.org")),
    ("domain list", Rows("")),
    ("domain remove", Other),
    ("domain set", Writes("example.com --subaddressing true")),
    ("explain", Other),
    ("export", Other),
    ("folder-permission add", Writes("ceo:\\Calendar --user bob --rights Editor")),
    ("folder-permission check", Rows("ceo:\\Calendar --as ceo")),
    ("folder-permission export", Rows("--dovecot ceo")),
    ("folder-permission get", Rows("ceo")),
    ("folder-permission remove", Other),
    ("folder-permission set", Writes("ceo:\\Calendar --user Default --rights AvailabilityOnly")),
    ("generate", Writes("--mailboxes 100 --into generated")),
    ("group add", Writes("Press --member bob")),
    ("group list", Rows("")),
    ("group member add", Writes("Domain-Admins bob")),
    ("group member list", Rows("Domain-Admins")),
    ("group member remove", Writes("Domain-Admins admin")),
    ("group remove", Other),
    ("group set", Writes("Domain-Admins --display-name x")),
    ("history", Rows("")),
    ("import", Other),
    ("init", Other),
    ("mailbox add", Other),
    ("mailbox connect", Other),
    ("mailbox link", Other),
    ("mailbox list", Rows("")),
    ("mailbox purge", Other),
    ("mailbox set", Other),
    ("mailbox unlink", Other),
    ("mailbox remove", Writes("bob")),
    ("mailbox-permission add", Writes("ceo --user bob")),
    ("mailbox-permission get", Rows("ceo")),
    ("mailbox-permission remove", Other),
    ("man", Writes("--out pages")),
    ("move", Writes("bob --to OU=Plant")),
    ("ou add", Writes("New")),
    ("password set", Other),
    ("pause expire", Other),
    ("pause list", Rows("")),
    ("pause release", Other),
    ("pause show", Other),
    ("permission add", Writes("ceo --user bob --right Send-As")),
    ("permission get", Rows("ceo")),
    ("permission observed", Rows("")),
    ("permission remove", Other),
    ("permission unused", Rows("")),
    ("protected end", Other),
    ("protected explain", Rows("ceo")),
    ("protected list", Rows("")),
    ("protected orphans", Rows("")),
    ("protected repair", Other),
    ("protected separate", Other),
    ("protected template", Other),
    ("queue hold", Writes("--all")),
    ("queue list", Rows("")),
    ("queue release", Writes("--all")),
    ("queue remove", Other),
    ("queue retry", Writes("")),
    ("queue show", Other),
    ("recipient add-contact", Writes("Tom --address tom@example.com --target tom@example.net")),
    ("recipient add-dynamic-group", Writes("All --address all@example.com --filter (objectClass=user)")),
    ("recipient catch-all", Writes("example.com alice")),
    ("recipient get", Rows("alice")),
    ("recipient journal", Writes("alice@example.com")),
    ("recipient remove", Other),
    ("recipient set", Writes("alice --forward-to bob")),
    ("reload", Other),
    ("restore", Other),
    ("sd check", Other),
    ("sd convert", Other),
    ("sd edit", Other),
    ("sd inherit", Other),
    ("sd show", Other),
    ("send-on-behalf add", Writes("ceo bob")),
    ("send-on-behalf get", Rows("ceo")),
    ("send-on-behalf remove", Writes("ceo alice")),
    ("secure-domain add", Writes("partner.test")),
    ("secure-domain list", Rows("")),
    ("secure-domain remove", Other),
    ("sendmail", Other),
    ("serve", Other),
    ("server get", Rows("")),
    ("server key", Other),
    ("server new", Writes("EDGE --role edge")),
    ("server remove", Other),
    ("server set", Other),
    ("service-account check", Rows("goodadmin")),
    ("service-account grant", Writes("bob")),
    ("service-account pause disable", Other),
    ("service-account pause enable", Other),
    ("service-account pause show", Other),
    ("service-account watch", Other),
    ("simulate", Other),
    ("status", Rows("")),
    ("test-send", Other),
    ("trace", Rows("")),
    ("token list", Rows("")),
    ("token new", Writes("bob --name application")),
    ("token revoke", Other),
    ("undo", Other),
    ("user add", Writes("zoe")),
    ("user list", Rows("")),
    ("user remove", Writes("bob")),
    ("user set", Writes("bob --disable")),
    ("webhook add", Writes("bob https://app.example.com/hooks")),
    ("webhook list", Rows("")),
    ("webhook remove", Other),
    ("webhook test", Other),
    ("what-can", Rows("all goodadmin")),
    ("who-can", Rows("all ceo")),
];

/// Words of a command; a hyphen between capitals is a space.
fn words(command: &str, arguments: &str) -> Vec<String> {
    let plain = |word: &str| match word {
        "Mailbox-Database" | "Domain-Admins" | "Send-As" => word.replace('-', " "),
        word => word.to_owned(),
    };
    command.split(' ').map(str::to_owned).chain(arguments.split_whitespace().map(plain)).collect()
}

fn run(demo: &Demo, words: &[String], more: &[&str]) -> Finished {
    let mut command = common::command();
    command.current_dir(demo.data().parent().unwrap()).arg("--data").arg(demo.data()).args(words).args(more);
    common::finish(&mut command, "")
}

/// Names of the manual pages, as commands.
fn pages() -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    procura(&["man", "--out", folder.path().to_str().unwrap()]).ok();
    let pages = std::fs::read_dir(folder.path()).unwrap().map(|page| page.unwrap().path());
    pages
        .map(|page| {
            let text = std::fs::read_to_string(&page).unwrap();
            assert!(text.contains(".SH SYNOPSIS"), "{}", page.display());
            page.file_stem().unwrap().to_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn every_command_is_in_the_table_of_this_test() {
    let pages = pages();
    let groups = |page: &&String| !pages.iter().any(|other| other.starts_with(&format!("{page}-")));
    // Pages that others begin with and that can be run all the same.
    let known: BTreeSet<String> =
        COMMANDS.iter().map(|(command, _)| format!("procura-{}", command.replace(' ', "-"))).collect();
    let unknown: Vec<_> = pages.iter().filter(groups).filter(|page| !known.contains(*page)).collect();
    assert!(unknown.is_empty(), "say in COMMANDS what these do: {unknown:?}");
}

#[test]
fn every_command_has_a_manual_page() {
    let pages = pages();
    let missing: Vec<_> = COMMANDS
        .iter()
        .map(|(command, _)| command)
        .filter(|command| !pages.contains(&format!("procura-{}", command.replace(' ', "-"))))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {pages:?}");
}

#[test]
fn rows_come_in_every_format() {
    let mut demo = Demo::start();
    demo.stop();
    for (command, arguments) in COMMANDS.iter().filter_map(|(command, kind)| match kind {
        Rows(arguments) => Some((command, arguments)),
        _ => None,
    }) {
        let words = words(command, arguments);
        let shown = |format: &str| {
            let said = run(&demo, &words, &["--format", format]);
            // 1: something was found.
            assert!(said.code < 2, "{command} --format {format}: {}", said.err);
            said.out
        };
        assert!(serde_json::from_str::<serde_json::Value>(&shown("json")).is_ok(), "{command}");
        let lines = shown("jsonl");
        assert!(
            lines.lines().all(|line| line.starts_with('{') && serde_json::from_str::<serde_json::Value>(line).is_ok()),
            "{command}: {lines}"
        );
        let csv = shown("csv");
        let heads = csv.lines().next().unwrap_or_default().to_owned();
        assert!(!heads.is_empty() && !heads.starts_with('{') && csv.ends_with("\r\n"), "{command}: {csv}");
        for formula in [",=", ",+", ",-", ",@", "\n=", "\n+", "\n-", "\n@"] {
            assert!(!csv.contains(formula), "{command}: {csv}");
        }
        let table = shown("table");
        assert!(!table.starts_with('{'), "{command}: {table}");
    }
}

#[test]
fn an_empty_list_has_the_header_of_a_full_one() {
    let mut demo = Demo::start();
    demo.stop();
    let fills: &[(&str, &[&str])] = &[
        ("token list", &["token new bob --name application"]),
        ("webhook list", &["webhook add bob https://app.example.com/hooks"]),
        ("account app-password list bob", &["account app-password add bob phone"]),
        ("send-on-behalf get bob", &["send-on-behalf add bob ceo"]),
        ("connector send get", &["connector send new Out --usage internet --address-space * --smart-host relay.test"]),
    ];
    for (list, fill) in fills {
        let rows = || demo.run(&list.split(' ').chain(["--format", "csv"]).collect::<Vec<_>>()).ok();
        let header = |rows: &str| rows.split("\r\n").next().unwrap().to_owned();
        let empty = rows();
        fill.iter().for_each(|command| drop(demo.run(&command.split(' ').collect::<Vec<_>>()).ok()));
        let full = rows();
        assert!(full.lines().count() > empty.lines().count(), "{list}: {empty}{full}");
        assert!(!header(&empty).is_empty(), "{list}: {empty}");
        assert_eq!(header(&empty), header(&full), "{list}");
    }
}

#[test]
fn a_trial_of_any_command_changes_nothing() {
    let mut demo = Demo::start();
    demo.stop();
    let version = || run(&demo, &words("status", ""), &["--format", "json"]).json()["directory_version"].clone();
    let before = version();
    let files = |demo: &Demo| -> BTreeSet<_> {
        std::fs::read_dir(demo.data().parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    let there = files(&demo);
    for (command, arguments) in COMMANDS.iter().filter_map(|(command, kind)| match kind {
        Writes(arguments) => Some((command, arguments)),
        _ => None,
    }) {
        let tried = run(&demo, &words(command, arguments), &["--dry-run"]);
        // 1: something would be left undone.
        assert!(tried.code < 2, "{command}: {}", tried.err);
        assert_eq!((version(), files(&demo)), (before.clone(), there.clone()), "{command}");
    }
}

#[test]
fn an_error_of_any_command_is_2() {
    for command in [&["status"][..], &["user", "list"], &["explain", ID], &["who-can", "all", "ceo"]] {
        let arguments: Vec<&str> = ["--data", "/nonexistent/data"].iter().chain(command).copied().collect();
        procura(&arguments).fails(2, &["/nonexistent"]);
    }
    procura(&["user", "lsit"]).fails(2, &["lsit"]);
}

#[test]
fn bash_completes_commands_and_options() {
    let script = procura(&["completion", "bash"]).ok();
    let ask = r#"
        complete_line() {
            COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _procura procura "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            echo "${COMPREPLY[*]}"
        }
        complete_line procura send-
        complete_line procura who-can send-
        complete_line procura user list --form
        complete_line procura user list --format js
    "#;
    let said = common::finish(Command::new("bash").arg("--norc"), &format!("{script}\n{ask}")).ok();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "send-on-behalf");
    assert!(lines[1].contains("send-as") && lines[1].contains("send-on-behalf"), "{said}");
    assert_eq!((lines[2], lines[3]), ("--format", "json jsonl"));
}

#[test]
fn other_shells_have_scripts_too() {
    for (shell, word) in [("zsh", "#compdef procura"), ("fish", "complete -c procura"), ("elvish", "procura")] {
        assert!(procura(&["completion", shell]).ok().contains(word), "{shell}");
    }
}

#[test]
fn a_command_ends_quietly_when_nobody_reads_on() {
    for command in ["completion bash", "completion zsh", "config describe", "config template", "--help"] {
        let mut child = common::command()
            .args(command.split(' '))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{command}");
    }
}

#[test]
fn what_cannot_be_written_is_an_error() {
    for command in ["completion bash", "config describe", "config template"] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = common::command().args(command.split(' ')).stdout(full).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{command}: {error}");
        assert!(error.contains("standard output") && !error.contains("panicked"), "{command}: {error}");
    }
}

#[test]
fn what_all_commands_take_stands_apart_in_the_help() {
    let help = procura(&["check", "--help"]).ok();
    let (own, of_all) = help.split_once("Options of all commands:").unwrap();
    assert!(own.contains("--from <ADDRESS>") && own.contains("--connector <NAME>"), "{own}");
    assert!(!own.contains("--dry-run") && of_all.contains("--dry-run") && !of_all.contains("--connector"), "{of_all}");
}

#[test]
fn a_name_tells_the_terminal_nothing() {
    let mut demo = Demo::start();
    demo.stop();
    let name = "\u{1b}[31mred";
    demo.run(&["user", "add", "red", "--display-name", name]).ok();
    let list = demo.run(&["user", "list"]).ok();
    assert!(list.contains("\\u{1b}[31mred") && !list.contains('\u{1b}'), "{list}");
    let exact = demo.run(&["user", "list", "--format", "json"]).json();
    assert!(exact.to_string().contains("\\u001b[31mred"), "{exact}");
}

#[test]
fn a_message_tells_the_terminal_nothing() {
    let demo = Demo::start();
    let message = "From: x@outside.test\r\nMessage-ID: <a\u{1b}[31m@x>\r\nSubject: 1\r\n\r\ntext\r\n";
    let mut stream = BufReader::new(TcpStream::connect(demo.internet).unwrap());
    let mut heard = String::new();
    stream.read_line(&mut heard).unwrap();
    let message = format!("{message}.\r\n");
    for said in ["HELO x\r\n", "MAIL FROM:<x@outside.test>\r\n", "RCPT TO:<bob@example.com>\r\n", "DATA\r\n", &message]
    {
        stream.get_mut().write_all(said.as_bytes()).unwrap();
        stream.read_line(&mut heard).unwrap();
    }
    assert!(heard.contains("250 2.6.0"), "{heard}");
    let traced = demo.run(&["trace", "--from", "x@outside.test"]).ok();
    assert!(traced.contains("<a\\u{1b}[31m@x>") && !traced.contains('\u{1b}'), "{traced}");
}

#[test]
fn nothing_but_errors_goes_to_standard_error_where_that_is_no_terminal() {
    let mut demo = Demo::start();
    demo.stop();
    for command in ["user list", "audit export", "what-can all goodadmin", "service-account check goodadmin"] {
        assert_eq!(run(&demo, &words(command, ""), &[]).err, "", "{command}");
    }
}

#[test]
fn csv_in_a_file_says_that_it_is_utf_8_and_in_a_pipe_it_does_not() {
    let mut demo = Demo::start();
    demo.stop();
    let path = demo.data().parent().unwrap().join("list.csv");
    for command in ["user list", "audit export", "who-can all ceo"] {
        let mut saved = common::command();
        saved.arg("--data").arg(demo.data()).args(command.split(' ')).args(["--format", "csv"]);
        assert!(saved.stdout(std::fs::File::create(&path).unwrap()).status().unwrap().success());
        let saved = std::fs::read(&path).unwrap();
        let piped = run(&demo, &words(command, ""), &["--format", "csv"]).ok();
        assert_eq!(saved, [b"\xef\xbb\xbf", piped.as_bytes()].concat(), "{command}");
    }
}

#[test]
fn status_says_how_long_a_change_takes_to_count() {
    let demo = Demo::start();
    let status = run(&demo, &words("status", ""), &["--format", "json"]).json();
    assert_eq!(status["change_counts_within_seconds"], 1);
    assert!(run(&demo, &words("status", ""), &[]).ok().contains("count within 1 s"));
}

#[test]
fn one_table_has_all_three_rights_and_says_of_each_row_why() {
    let mut demo = Demo::start();
    demo.stop();
    run(&demo, &words("delegate add", "ceo bob --full-access"), &[]).ok();
    for command in ["who-can all ceo", "who-can all ceo --expand", "what-can all bob", "audit export"] {
        let answer = run(&demo, &words(command, ""), &["--format", "json"]).json();
        let rows = answer["rows"].as_array().unwrap();
        for row in rows {
            let texts = ["trustee", "target", "right", "via"].map(|name| row[name].as_str().unwrap_or_default());
            assert!(texts.iter().all(|text| !text.is_empty()) && row["effective"].is_boolean(), "{command}: {row}");
        }
        let ceo = |right: &str, via: &str| {
            rows.iter().any(|row| row["target"] == "ceo@example.com" && row["right"] == right && row["via"] == via)
        };
        assert!(ceo("send-on-behalf", "delegate") && ceo("full-access", "ace"), "{command}: {rows:?}");
        assert!(ceo("send-as", "super-delegate"), "{command}: {rows:?}");
    }
}
