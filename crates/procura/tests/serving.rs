//! Starting, telling what there is, and stopping.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;

use common::{Demo, Server, command, finish};

#[test]
fn the_demo_says_what_listens_who_is_there_and_what_to_try() {
    let demo = Demo::start();
    let said = demo.server.as_ref().unwrap().said().to_owned();
    for word in [
        &demo.client.to_string(),
        &demo.internet.to_string(),
        "goodadmin",
        "swaks --server 127.0.0.1",
        &format!("--port {}", demo.client.port()),
        "curl",
        "explain",
    ] {
        assert!(said.contains(word), "{word} not in:\n{said}");
    }
}

#[test]
fn the_commands_that_the_demo_proposes_do_what_it_says() {
    let demo = Demo::start();
    let said = demo.server.as_ref().unwrap().said().to_owned();
    for (number, expected) in
        [("1.", Some("250 2.")), ("2.", None), ("3.", Some("550 5.7.1 Client does not have permissions"))]
    {
        let block = said.split("\n\n").find(|block| block.starts_with(number)).unwrap();
        let script = block.split_once('\n').unwrap().1;
        if std::process::Command::new("sh")
            .args(["-c", "command -v swaks && command -v curl"])
            .output()
            .unwrap()
            .status
            .code()
            != Some(0)
        {
            eprintln!("skipped: swaks or curl is not installed");
            return;
        }
        let output = std::process::Command::new("bash").args(["-c", script]).output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        match expected {
            Some(expected) => assert!(text.contains(expected), "{script}\n{text}"),
            None => assert!(output.status.success(), "{script}\n{text}"),
        }
    }
}

#[test]
fn a_demo_that_was_interrupted_while_it_was_made_is_made_anew() {
    let mut demo = Demo::start();
    demo.stop();
    let mut directory = store::DirectoryStore::open(&demo.data().join("directory.db")).unwrap();
    directory.set_setting("demo", Some("begun")).unwrap();
    let accounts = directory.credentials().unwrap().len();
    drop(directory);
    demo.start_again();
    demo.stop();
    let directory = store::DirectoryStore::open(&demo.data().join("directory.db")).unwrap();
    assert_eq!(directory.setting("demo").unwrap().as_deref(), Some("complete"));
    assert_eq!(directory.credentials().unwrap().len(), accounts);
}

#[test]
fn a_command_whose_reader_is_gone_ends_quietly() {
    let demo = Demo::start();
    for arguments in [vec!["config", "describe"], vec!["user", "list"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = command();
        command.arg("--data").arg(demo.data()).args(&arguments).stdout(writer);
        let output = command.stderr(std::process::Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{arguments:?}: {} {said}", output.status);
    }
}

#[test]
fn both_connectors_greet_when_it_is_ready() {
    let demo = Demo::start();
    for address in [demo.client, demo.internet] {
        let mut line = String::new();
        BufReader::new(TcpStream::connect(address).unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("220 mail.example.com"), "{line}");
    }
}

#[test]
fn a_second_start_finds_what_the_first_left() {
    let mut demo = Demo::start();
    demo.run(&["user", "add", "zoe", "--mailbox"]).ok();
    assert_eq!(demo.stop(), 0);
    demo.start_again();
    assert!(demo.server.as_ref().unwrap().said().contains("as it was left"));
    assert!(demo.run(&["user", "list"]).ok().contains("zoe"));
}

#[test]
fn a_demo_moves_to_other_addresses_when_told() {
    let mut demo = Demo::start();
    demo.stop();
    demo.client = common::free();
    demo.start_again();
    TcpStream::connect(demo.client).unwrap();
}

#[test]
fn a_killed_server_starts_again() {
    let mut demo = Demo::start();
    demo.server.take().unwrap().kill();
    demo.start_again();
    demo.run(&["status"]).ok();
}

#[test]
fn a_service_manager_is_told_when_it_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut demo = Demo::start();
    demo.stop();
    let _server = Server::start(demo.command().env("NOTIFY_SOCKET", &path));
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"READY=1");
}

#[test]
fn an_initial_organization_that_takes_strangers_observes_their_headers() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("own");
    let wanted = ["init", "--domain", "example.net", "--netbios", "NET", "--hostname", "mx.example.net", "--internet"];
    let said = finish(command().args(wanted).arg(&data), "").ok();
    assert!(said.contains("example.net"), "{said}");
    let status = finish(command().args(["--format", "json", "status", "--data"]).arg(&data), "").json();
    let connectors = status["connectors"].as_array().unwrap().clone();
    let internet = connectors.iter().find(|connector| connector["name"] == "Default MX").unwrap();
    assert_eq!(internet["header_from"], "observe");
    let checked = finish(command().args(["config", "check"]).arg(data.join("procura.toml")), "").ok();
    assert!(checked.contains("no fault"), "{checked}");
}

#[test]
fn a_server_that_is_told_to_stop_before_it_is_ready_ends_well() {
    let mut demo = Demo::start();
    demo.stop();
    let mut child =
        demo.command().stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    // The ports answer before `ready` is said.
    while TcpStream::connect(demo.internet).is_err() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    }
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
