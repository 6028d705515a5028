//! Conversations with milters, as told by a milter of the test.
#![allow(clippy::unwrap_used)]

mod checks;

use std::io::{Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use checks::HEADER;
use content::{Body, Endpoint, Examined, Facts, Filter, Kind, OnFailure, OnReject, Verdict, examine};
use proptest::prelude::*;

struct Text(&'static [u8]);

impl Body for Text {
    fn open(&self) -> std::io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Cursor::new(self.0)))
    }
}

fn facts() -> Facts {
    Facts {
        queue_id: "ID".into(),
        hostname: "mx.example.com".into(),
        client: "192.0.2.1:25".parse().unwrap(),
        helo: "client".into(),
        sender: "a@example.com".into(),
        recipients: vec!["b@example.com".into()],
        account: None,
        mechanism: "SCRAM-SHA-256".into(),
        bypass: false,
        size: 100,
    }
}

fn packet(letter: u8, data: &[u8]) -> Vec<u8> {
    [&(data.len() as u32 + 1).to_be_bytes()[..], &[letter], data].concat()
}

fn receive(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut packet = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut packet).ok()?;
    Some((packet[0], packet[1..].to_vec()))
}

/// What a milter was told: letters and data.
type Told = Vec<(u8, Vec<u8>)>;

/// A milter that says `c` to everything, and this at the end; it gives back what it was told.
fn milter(steps: u32, end: Vec<Vec<u8>>) -> (Endpoint, JoinHandle<Told>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::Inet(listener.local_addr().unwrap().to_string());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut told = Vec::new();
        while let Some((letter, data)) = receive(&mut stream) {
            match letter {
                b'O' => {
                    let answer: Vec<u8> = [6, 0x31, steps].iter().flat_map(|n: &u32| n.to_be_bytes()).collect();
                    stream.write_all(&packet(b'O', &answer)).unwrap();
                }
                b'D' => {}
                b'E' => end.iter().for_each(|packet| stream.write_all(packet).unwrap()),
                b'Q' => return told,
                _ => stream.write_all(&packet(b'c', &[])).unwrap(),
            }
            told.push((letter, data));
        }
        told
    });
    (endpoint, thread)
}

fn filter(endpoint: Endpoint) -> Filter {
    Filter {
        name: "test".into(),
        kind: Kind::Milter(endpoint),
        on_failure: OnFailure::Tempfail,
        on_reject: OnReject::Reject,
        bypass: true,
        timeout: Duration::from_secs(20),
        max_size: u64::MAX,
    }
}

fn ask(filter: &Filter) -> Examined {
    examine(std::slice::from_ref(filter), &facts(), HEADER, &Text(b"line\r\n"))
}

#[test]
fn a_milter_is_told_the_whole_message() {
    let (endpoint, thread) = milter(0x10_0000, vec![packet(b'a', &[])]);
    assert_eq!(ask(&filter(endpoint)).verdict, Verdict::Accept);
    let told: Vec<(u8, Vec<u8>)> = thread.join().unwrap().into_iter().filter(|(letter, _)| *letter != b'D').collect();
    let letters: String = told.iter().map(|(letter, _)| char::from(*letter)).collect();
    assert_eq!(letters, "OCHMRTLLNBE");
    assert_eq!(told[3].1, b"<a@example.com>\0");
    assert_eq!(told[7].1, b"Subject\0 one\n two\0");
    assert_eq!(told[9].1, b"line\r\n");
}

#[test]
fn a_milter_is_told_who_logged_on_and_how() {
    let (endpoint, thread) = milter(0, vec![packet(b'a', &[])]);
    let facts = Facts { account: Some("EXAMPLE\\alice".into()), ..facts() };
    examine(&[filter(endpoint)], &facts, HEADER, &Text(b""));
    let told = thread.join().unwrap();
    let of_mail = told.iter().find(|(letter, data)| *letter == b'D' && data.first() == Some(&b'M')).unwrap();
    let words: Vec<&[u8]> = of_mail.1[1..].split(|byte| *byte == 0).collect();
    let said = |name: &[u8]| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
    assert_eq!(said(b"{auth_type}"), Some(&b"SCRAM-SHA-256"[..]));
    assert_eq!(said(b"{auth_authen}"), Some(&b"EXAMPLE\\alice"[..]));
}

#[test]
fn a_milter_is_not_told_what_it_does_not_want() {
    // NOCONNECT, NOHELO, NOBODY, NODATA.
    let (endpoint, thread) = milter(0x1 | 0x2 | 0x10 | 0x200, vec![packet(b'a', &[])]);
    ask(&filter(endpoint));
    let letters: String =
        thread.join().unwrap().iter().map(|(letter, _)| char::from(*letter)).filter(|letter| *letter != 'D').collect();
    assert_eq!(letters, "OMRLLNE");
}

#[test]
fn fields_are_added_and_changed() {
    let end = vec![
        packet(b'p', &[]),
        packet(b'i', b"\0\0\0\0DKIM-Signature\0 v=1;\n\ta=b\0"),
        packet(b'm', b"\0\0\0\x01Subject\0 three\0"),
        packet(b'h', b"X-Last\0 z\0"),
        packet(b'a', &[]),
    ];
    let (endpoint, _thread) = milter(0x10_0000, end);
    let header = String::from_utf8(ask(&filter(endpoint)).header.to_bytes()).unwrap();
    assert_eq!(header, "DKIM-Signature: v=1;\r\n\ta=b\r\nFrom: a@example.com\r\nSubject: three\r\nX-Last: z\r\n\r\n");
}

#[test]
fn a_milter_cannot_change_who_sent_it() {
    let end = vec![packet(b'm', b"\0\0\0\x01From\0 ceo@example.com\0"), packet(b'a', &[])];
    let (endpoint, _thread) = milter(0, end);
    let examined = ask(&filter(endpoint));
    assert_eq!(examined.header.to_bytes(), HEADER);
    assert!(examined.said[0].1.contains("is not made"), "{:?}", examined.said);
}

#[test]
fn a_refusal_in_the_words_of_the_milter_is_given_on() {
    let (endpoint, _thread) = milter(0, vec![packet(b'y', b"550 5.7.1 rejected by DMARC policy\0")]);
    assert_eq!(ask(&filter(endpoint)).verdict, Verdict::Reject("550 5.7.1 rejected by DMARC policy".into()));
    let (endpoint, _thread) = milter(0, vec![packet(b'y', b"451 4.7.1 greylisted\0")]);
    assert_eq!(ask(&filter(endpoint)).verdict, Verdict::Tempfail("451 4.7.1 greylisted".into()));
}

#[test]
fn quarantine_and_discard_keep_the_message() {
    let (endpoint, _thread) = milter(0, vec![packet(b'q', b"looks odd\0"), packet(b'c', &[])]);
    assert_eq!(ask(&filter(endpoint)).verdict, Verdict::Quarantine("test".into(), "looks odd".into()));
    let (endpoint, _thread) = milter(0, vec![packet(b'd', &[])]);
    assert!(matches!(ask(&filter(endpoint)).verdict, Verdict::Quarantine(..)));
}

#[test]
fn what_reject_comes_to_can_be_chosen() {
    for (on_reject, expected) in [(OnReject::Tag, "X-Spam: Yes\r\n\r\n"), (OnReject::Quarantine, "two\r\n\r\n")] {
        let (endpoint, _thread) = milter(0, vec![packet(b'r', &[])]);
        let examined = ask(&Filter { on_reject, ..filter(endpoint) });
        assert_eq!(matches!(examined.verdict, Verdict::Quarantine(..)), on_reject == OnReject::Quarantine);
        assert!(examined.header.to_bytes().ends_with(expected.as_bytes()));
    }
}

#[test]
fn mail_with_the_right_to_bypass_is_not_shown() {
    let nowhere = filter(Endpoint::Unix("/nonexistent/socket".into()));
    let trusted = Facts { bypass: true, ..facts() };
    let examined = examine(std::slice::from_ref(&nowhere), &trusted, HEADER, &Text(b""));
    assert_eq!(examined.verdict, Verdict::Accept);
    let signer = Filter { bypass: false, ..nowhere };
    let examined = examine(&[signer], &trusted, HEADER, &Text(b""));
    assert!(matches!(examined.verdict, Verdict::Tempfail(_)));
}

#[test]
fn a_filter_that_does_not_answer_is_passed_over_or_waited_for() {
    let nowhere = filter(Endpoint::Unix("/nonexistent/socket".into()));
    assert!(matches!(ask(&nowhere).verdict, Verdict::Tempfail(_)));
    assert_eq!(ask(&Filter { on_failure: OnFailure::Accept, ..nowhere }).verdict, Verdict::Accept);
}

#[test]
fn a_milter_that_breaks_off_is_one_that_does_not_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::Inet(listener.local_addr().unwrap().to_string());
    let thread = std::thread::spawn(move || drop(listener.accept().unwrap()));
    assert!(matches!(ask(&filter(endpoint)).verdict, Verdict::Tempfail(_)));
    thread.join().unwrap();
}

#[test]
fn an_endpoint_is_written_with_its_kind() {
    assert_eq!("unix:/run/x.sock".parse(), Ok(Endpoint::Unix("/run/x.sock".into())));
    assert_eq!("inet:[::1]:8891".parse(), Ok(Endpoint::Inet("[::1]:8891".into())));
    for wrong in ["/run/x.sock", "inet:8891", "inet:host:0", "unix:run", "inet6:8891@::1"] {
        assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_packet_breaks_a_header(packet in proptest::collection::vec(any::<u8>(), 0..200)) {
        checks::milter_holds(&packet);
    }

    #[test]
    fn whatever_a_milter_adds_the_sender_stays(
        letter in prop::sample::select(&b"him"[..]),
        index in any::<u32>(),
        name in "[A-Za-z:\r\n -]{0,20}|[Ff]rom|[Ss]ender ?|[Ss]ubject",
        value in "[a-zA-Z@:\r\n\t -]{0,60}",
    ) {
        let mut packet = vec![letter];
        if letter != b'h' {
            packet.extend_from_slice(&(index % 4).to_be_bytes());
        }
        packet.extend_from_slice(name.as_bytes());
        packet.push(0);
        packet.extend_from_slice(value.as_bytes());
        packet.push(0);
        checks::milter_holds(&packet);
    }

    #[test]
    fn whatever_rspamd_adds_the_sender_stays(
        name in "[A-Za-z:\r\n -]{0,20}|[Ff]rom|[Ss]ender ?|[Ss]ubject",
        value in "[a-zA-Z@:\r\n\t -]{0,60}",
        order in any::<i64>(),
        action in "reject|add header|rewrite subject|[a-z ]{0,12}",
    ) {
        let fields = serde_json::json!({ name.clone(): { "value": value.clone(), "order": order } });
        let milter = serde_json::json!({ "add_headers": fields, "remove_headers": { name: order } });
        let answer = serde_json::json!({ "action": action, "subject": value, "milter": milter, "dkim-signature": value });
        checks::rspamd_holds(answer.to_string().as_bytes());
    }
}
