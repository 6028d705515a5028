//! What a service manager and an operator see of the process: sockets that it is given, what it tells, logs, reloading.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::{Demo, Server};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use transport::certificate::{GeneratedCertificate, generate, provider};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A demo that has stopped, with this configuration.
fn configured(text: &str) -> Demo {
    let mut demo = Demo::start();
    demo.stop();
    std::fs::write(demo.data().join("procura.toml"), text).unwrap();
    demo
}

/// The command of a shell that becomes this one, with these words before it.
fn shell(before: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{before} exec \"$0\" \"$@\"")).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

fn signal(server: &Server, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(server.pid() as i32).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// The reply to a command; nothing to say: the greeting.
fn say(client: &mut BufReader<TcpStream>, line: &str) -> String {
    client.get_mut().write_all(line.as_bytes()).unwrap();
    let mut reply = String::new();
    while reply.lines().last().is_none_or(|line| line.as_bytes()[3] == b'-') {
        assert_ne!(client.read_line(&mut reply).unwrap(), 0, "{reply}");
    }
    reply
}

fn connect(server: SocketAddr) -> BufReader<TcpStream> {
    let mut client = BufReader::new(TcpStream::connect(server).unwrap());
    client.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(say(&mut client, "").starts_with("220"));
    client
}

#[test]
fn a_socket_that_is_given_serves_the_connector_of_its_address() {
    let mut demo = Demo::start();
    demo.stop();
    // As long as this one is open, nobody else can listen there.
    let socket = TcpListener::bind(demo.internet).unwrap();
    // A service manager gives descriptors from 3 on, and says to whom (sd_listen_fds(3)).
    let given = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$;";
    let mut command = shell(given, &demo.command());
    let mut child = command
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    while !said.ends_with("ready\n") {
        assert_ne!(out.read_line(&mut said).unwrap(), 0, "it ended: {said}");
    }
    connect(demo.internet);
    connect(demo.client);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_socket_for_another_process_is_left_alone() {
    let mut demo = Demo::start();
    demo.stop();
    // It is not ours, and 3 is no socket: taking it would fail.
    let mut command = shell("exec 3</dev/null; export LISTEN_FDS=1 LISTEN_PID=1;", &demo.command());
    let _server = Server::start(&mut command);
    connect(demo.internet);
}

/// What is told next.
fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 200];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

/// The next thing that is told that is no sign of life.
fn told_of_state(socket: &UnixDatagram) -> String {
    loop {
        match told(socket) {
            alive if alive == "WATCHDOG=1" => {}
            state => return state,
        }
    }
}

#[test]
fn a_service_manager_is_told_that_the_server_lives_reloads_and_stops() {
    let mut demo = Demo::start();
    demo.stop();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = demo.command();
    let server = Server::start(command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "6000000"));
    assert_eq!(told_of_state(&socket), "READY=1");
    // Again and again: the loop that serves sessions turns between the first and the second.
    for _ in 0..2 {
        while told(&socket) != "WATCHDOG=1" {}
    }
    signal(&server, rustix::process::Signal::HUP);
    let reloading = told_of_state(&socket);
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told_of_state(&socket), "READY=1");
    signal(&server, rustix::process::Signal::TERM);
    assert_eq!(told_of_state(&socket), "STOPPING=1");
}

/// Asks until a file has something that fits.
fn written(path: &Path, fits: impl Fn(&str) -> bool) -> String {
    for _ in 0..30_000 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if fits(&text) {
            return text;
        }
        std::thread::yield_now();
    }
    panic!("not in {}: {}", path.display(), std::fs::read_to_string(path).unwrap_or_default())
}

#[test]
fn a_log_file_in_json_has_a_document_on_each_line() {
    let mut demo = configured("[log]\nfile = \"log/procura.log\"\nformat = \"json\"\n");
    demo.start_again();
    demo.stop();
    let text = std::fs::read_to_string(demo.data().join("log/procura.log")).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listening = rows.iter().find(|row| row["message"] == "listening").unwrap();
    assert_eq!((&listening["level"], listening["address"].is_string()), (&serde_json::json!("INFO"), true));
    assert!(rows.iter().all(|row| row["timestamp"].is_string()));
}

#[test]
fn a_log_file_that_was_moved_away_is_begun_anew_by_a_reload() {
    let mut demo = configured("[log]\nfile = \"procura.log\"\n");
    demo.start_again();
    let log = demo.data().join("procura.log");
    std::fs::rename(&log, demo.data().join("procura.log.old")).unwrap();
    demo.run(&["reload"]).ok();
    written(&log, |text| text.contains("reload: "));
}

#[test]
fn lines_for_the_journal_begin_with_their_priority_and_have_no_time() {
    for (text, journal) in [("[log]\nformat = \"journal\"\n", None), ("", Some("8:12345"))] {
        let demo = configured(text);
        let errors = demo.data().join("errors");
        let mut command = shell(&format!("exec 2>'{}';", errors.display()), &demo.command());
        command.env_remove("JOURNAL_STREAM");
        if let Some(journal) = journal {
            command.env("JOURNAL_STREAM", journal);
        }
        let server = Server::start(&mut command);
        server.stop();
        let text = std::fs::read_to_string(&errors).unwrap();
        assert!(text.contains("<6>listening address=127.0.0.1:"), "{text}");
        assert!(text.lines().all(|line| line.starts_with('<')), "{text}");
    }
}

#[test]
fn a_log_for_people_has_no_priorities() {
    let demo = configured("[log]\nformat = \"text\"\n");
    let errors = demo.data().join("errors");
    let mut command = shell(&format!("exec 2>'{}';", errors.display()), &demo.command());
    Server::start(command.env("JOURNAL_STREAM", "8:12345")).stop();
    let text = std::fs::read_to_string(&errors).unwrap();
    assert!(text.contains(" INFO listening ") && !text.contains("<6>"), "{text}");
}

/// A certificate for localhost in files of this name; the certificate.
fn certificate(demo: &Demo, name: &str) -> CertificateDer<'static> {
    let GeneratedCertificate { certificate, key } = generate(&["localhost".to_owned()]).unwrap();
    demo.file(&format!("{name}.pem"), &certificate);
    demo.file(&format!("{name}.key"), &key);
    CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()
}

/// Whether the server shows this certificate after STARTTLS.
fn shows(server: SocketAddr, certificate: &CertificateDer<'static>) -> bool {
    let mut client = connect(server);
    say(&mut client, "EHLO client.example.net\r\n");
    assert!(say(&mut client, "STARTTLS\r\n").starts_with("220"));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = Stream::new(&mut connection, client.get_mut());
    stream.write_all(b"EHLO client.example.net\r\n").is_ok()
}

fn with_certificate(demo: &Demo, name: &str) {
    let folder = demo.data().parent().unwrap().display().to_string();
    let text = format!("[tls]\ncertificate = \"{folder}/{name}.pem\"\nkey = \"{folder}/{name}.key\"\n");
    std::fs::write(demo.data().join("procura.toml"), text).unwrap();
}

#[test]
fn a_reload_takes_a_certificate_at_another_path_and_sessions_go_on() {
    let mut demo = configured("");
    let (first, second) = (certificate(&demo, "first"), certificate(&demo, "second"));
    with_certificate(&demo, "first");
    demo.start_again();
    assert!(shows(demo.internet, &first));
    // In the middle of a message.
    let mut client = connect(demo.internet);
    for line in ["EHLO client.example.net", "MAIL FROM:<x@example.net>", "RCPT TO:<bob@example.com>", "DATA"] {
        say(&mut client, &format!("{line}\r\n"));
    }
    with_certificate(&demo, "second");
    let said = demo.run(&["reload"]).ok();
    assert!(said.contains("tls.certificate was changed: it counts now"), "{said}");
    assert!(said.contains("a new certificate is in use"), "{said}");
    assert!(shows(demo.internet, &second) && !shows(demo.internet, &first));
    assert!(say(&mut client, "From: x@example.net\r\n\r\ntext\r\n.\r\n").starts_with("250 "));
}

#[test]
fn a_certificate_that_cannot_be_used_leaves_the_one_in_use() {
    let mut demo = configured("");
    let first = certificate(&demo, "first");
    with_certificate(&demo, "first");
    demo.start_again();
    with_certificate(&demo, "nowhere");
    let said = demo.run(&["reload"]).ok();
    assert!(said.contains("the certificate in use stays: ") && said.contains("nowhere"), "{said}");
    assert!(shows(demo.internet, &first));
}

#[test]
fn a_certificate_that_is_no_longer_named_stays_until_a_restart() {
    let mut demo = configured("");
    let first = certificate(&demo, "first");
    with_certificate(&demo, "first");
    demo.start_again();
    std::fs::write(demo.data().join("procura.toml"), "").unwrap();
    let said = demo.run(&["reload"]).ok();
    assert!(said.contains("tls.certificate was changed: it counts after a restart"), "{said}");
    assert!(shows(demo.internet, &first));
}
