//! The next hop of measurements.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use common::{free, procura};

fn sink(listen: SocketAddr, option: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procura"));
    command.args(["bench", "sink", &listen.to_string(), option]).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// A connection, as soon as there is somebody to take it.
fn connect(to: SocketAddr, sink: &mut Child) -> TcpStream {
    loop {
        assert!(sink.try_wait().unwrap().is_none(), "the sink has ended");
        if let Ok(stream) = TcpStream::connect(to) {
            return stream;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_sink_says_how_many_messages_it_has_had() {
    let listen = free();
    let mut sink = sink(listen, "--ask");
    drop(connect(listen, &mut sink));
    let command = format!("bench smtp {listen} --senders a@x.test --recipient b@y.test --messages 3 --size 1k");
    let sent = procura(&command.split(' ').collect::<Vec<_>>());
    assert!(sent.out.contains("accepted    3 of 3"), "{}", sent.out);
    let mut answers = BufReader::new(sink.stdout.take().unwrap()).lines();
    let mut questions = sink.stdin.take().unwrap();
    questions.write_all(b"\n").unwrap();
    assert_eq!(answers.next().unwrap().unwrap(), "3");
    drop(questions);
    assert!(answers.next().unwrap().unwrap().starts_with("3 messages, "));
    assert!(sink.wait().unwrap().success());
}

#[test]
fn a_sink_that_stalls_says_nothing() {
    let listen = free();
    let mut sink = sink(listen, "--stall");
    let mut stream = connect(listen, &mut sink);
    stream.write_all(b"EHLO client.test\r\n").unwrap();
    // It ends with the connection open: whatever it had said would be read first.
    rustix::process::kill_process(rustix::process::Pid::from_child(&sink), rustix::process::Signal::TERM).unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert_eq!(said, b"");
    assert!(sink.wait().unwrap().success());
}

#[test]
fn a_sink_listens_for_this_machine_only() {
    procura(&["bench", "sink", "192.0.2.1:2526"]).fails(2, &["192.0.2.1:2526 is no loopback address"]);
}
