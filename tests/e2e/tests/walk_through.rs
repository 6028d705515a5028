//! The walk-through of the documentation, run as it is printed: every command in order, in one shell, in a network namespace
//! that has nothing but the loopback interface, and what each of them prints compared with what the page shows.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Known, Shell, procura, require, skip_without, steps};

/// A shell in a network namespace of its own, in `folder`; none where this machine does not let anybody have one.
fn alone(folder: &Path) -> Option<Shell> {
    // The processes are in a namespace too: the server of the page ends with the shell.
    let own = ["--net", "--pid", "--mount-proc", "--kill-child"];
    let user = ["--map-root-user", "--net", "--pid", "--mount-proc", "--kill-child"];
    let options: &[&str] = if rustix::process::geteuid().is_root() { &own } else { &user };
    if !Command::new("unshare").args(options).arg("true").status().is_ok_and(|status| status.success()) {
        return None;
    }
    let binary = procura();
    let path = format!("{}:{}:/usr/sbin:/sbin", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("unshare");
    command.args(options).args(["bash", "--noprofile", "--norc"]).current_dir(folder).env("PATH", path);
    Some(Shell::start(&mut command))
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/walk-through.md")
}

#[test]
fn every_command_of_the_walk_through_does_what_the_page_shows() {
    if !require(&["swaks", "unshare", "ip", "bash"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(mut shell) = alone(folder.path()) else {
        skip_without("a network namespace");
        return;
    };
    let (printed, code) = shell.run("ip link set lo up && ip -brief link");
    assert!(code == 0 && printed.len() == 1 && printed[0].starts_with("lo "), "{printed:?}");
    let mut known = Known::default();
    let steps = steps(&fs::read_to_string(page()).unwrap());
    assert!(steps.len() > 20, "the page has {} commands", steps.len());
    known.follow(&mut shell, &steps, |shell, command| (command == "procura serve").then(|| shell.serve(command)));
}

#[test]
fn a_page_that_shows_something_else_is_noticed() {
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let are = |shown: &[&str], printed: &[&str]| Known::default().are(&lines(shown), &lines(printed));
    assert!(are(&["verdict    REFUSED"], &["verdict    REFUSED"]));
    assert!(!are(&["verdict    REFUSED"], &["verdict    allowed"]));
    assert!(!are(&["one"], &["one", "two"]));
    assert!(!are(&["one", "two"], &["one"]));
    assert!(are(&["…", "two", "…"], &["one", "two"]));
    assert!(!are(&["…", "two"], &["two", "three"]));
    assert!(are(&["allow  EXAMPLE\\bob …"], &["allow  EXAMPLE\\bob   send-as"]));
    assert!(!are(&["allow  EXAMPLE\\bob …"], &["allow  EXAMPLE\\erin   send-as"]));
    assert!(are(&["…0 accounts"], &["Send_As_Export_1_02_03.txt: 0 accounts"]));
    assert!(!are(&["…0 accounts"], &["Send_As_Export_1_02_03.txt: 10 accounts"]));
}

#[test]
fn an_id_of_the_page_stands_for_one_id_of_the_run() {
    let mut known = Known::default();
    assert!(known.is("decision 01M80KAFSMNNXZN06T7E76JBXW]", "decision 01ZZZZZZZZZZZZZZZZZZZZZZZZ]"));
    assert_eq!(
        known.translate("procura explain 01M80KAFSMNNXZN06T7E76JBXW"),
        "procura explain 01ZZZZZZZZZZZZZZZZZZZZZZZZ"
    );
    assert!(!known.is("decision 01M80KAFSMNNXZN06T7E76JBXW", "decision 01YYYYYYYYYYYYYYYYYYYYYYYY"));
}
