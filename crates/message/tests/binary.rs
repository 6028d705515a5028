//! Binary messages (RFC 3030): what is one, and what becomes of it where only lines may go.

#![allow(clippy::unwrap_used)]

mod checks;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use checks::{binary_holds, lined};
use mail_parser::{MessageParser, MimeHeaders};
use message::{BinaryBody, BinaryFault, HeaderBlock};
use proptest::prelude::*;

const BINARY: &[u8] = b"\0\x01\n.\r\n..\r\rQUIT\r\n\xFF-- \n--";

fn accepts(message: &[u8]) -> Result<(), BinaryFault> {
    let block = HeaderBlock::parse(message).unwrap();
    let mut reader = BinaryBody::new(&block)?;
    reader.push(&message[block.as_bytes().len() + 2..])?;
    reader.finish()
}

fn as_lines(message: &[u8]) -> Result<String, BinaryFault> {
    let block = HeaderBlock::parse(message).unwrap();
    lined(&block, &message[block.as_bytes().len() + 2..], 7).map(|text| String::from_utf8(text).unwrap())
}

/// Two parts, one of them binary.
fn mixed(binary: &[u8]) -> Vec<u8> {
    [
        &b"Content-Type: multipart/mixed; boundary=\"b1\"\r\nContent-Transfer-Encoding: binary\r\nSubject: x\r\n\r\n\
           preamble\r\n--b1\r\n\r\na text\r\n--b1\r\nContent-Type: image/png\r\n\
           Content-Transfer-Encoding: BINARY\r\n\r\n"[..],
        binary,
        b"\r\n--b1--\r\n",
    ]
    .concat()
}

#[test]
fn a_binary_part_becomes_base64_and_nothing_else_changes() {
    let text = as_lines(&mixed(BINARY)).unwrap();
    let expected = format!(
        "Content-Type: multipart/mixed; boundary=\"b1\"\r\nContent-Transfer-Encoding: 8bit\r\nSubject: x\r\n\r\n\
         preamble\r\n--b1\r\n\r\na text\r\n--b1\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n\
         {}\r\n--b1--\r\n",
        STANDARD.encode(BINARY)
    );
    assert_eq!(text, expected);
}

#[test]
fn a_message_that_is_binary_as_a_whole_becomes_base64() {
    let octets: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let text = as_lines(&[b"Content-Transfer-Encoding: binary\r\n\r\n", octets.as_slice()].concat()).unwrap();
    let (header, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(header, "Content-Transfer-Encoding: base64");
    assert!(body.lines().all(|line| line.len() <= 76) && body.ends_with("\r\n"), "{body}");
    assert_eq!(STANDARD.decode(body.replace("\r\n", "")).unwrap(), octets);
}

#[test]
fn a_binary_part_of_an_attached_message_becomes_base64() {
    let attached = [
        &b"Content-Type: multipart/mixed; boundary=out\r\n\r\n--out\r\nContent-Type: message/rfc822\r\n\
           Content-Transfer-Encoding: binary\r\n\r\n"[..],
        &mixed(BINARY),
        b"\r\n--out--\r\n",
    ]
    .concat();
    let text = as_lines(&attached).unwrap();
    assert!(text.contains(&STANDARD.encode(BINARY)), "{text}");
    let changed =
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nContent-Type: multipart/mixed";
    assert!(text.contains(changed), "{text}");
}

#[test]
fn a_part_of_a_digest_is_a_message() {
    let digest =
        |part: &str| format!("Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n{part}\r\n--d--\r\n");
    let message = "Content-Transfer-Encoding: binary\r\n\r\n\0";
    assert!(as_lines(digest(message).as_bytes()).unwrap().contains("base64\r\n\r\nAA=="));
    assert!(accepts(digest("no header\r\n\r\n").as_bytes()).is_err());
}

#[test]
fn what_is_not_binary_is_lines() {
    for wrong in ["a\nb\r\n", "a\rb\r\n", "a\0b\r\n", "a\r"] {
        let message = format!("Subject: x\r\n\r\n{wrong}");
        assert_eq!(accepts(message.as_bytes()), Err(BinaryFault::NotLines), "{wrong:?}");
    }
    let preamble = "Content-Type: multipart/mixed; boundary=b\r\n\r\na\nb\r\n--b--\r\n";
    assert_eq!(accepts(preamble.as_bytes()), Err(BinaryFault::NotLines));
}

#[test]
fn what_some_readers_take_for_a_delimiter_and_others_do_not_is_refused() {
    for wrong in
        [&b"a\n--b1\r\n"[..], b"a\r--b1\r\n", b"a --b1\r\n", b"a\r\n--b1x\r\n", b"a\r\n--b1--x\r\n", b"a\r\n--b1\n"]
    {
        assert_eq!(accepts(&mixed(wrong)), Err(BinaryFault::Boundary), "{}", String::from_utf8_lossy(wrong));
    }
}

#[test]
fn a_structure_that_readers_understand_differently_is_refused() {
    let with = |header: &str| accepts(format!("{header}\r\n\r\ntext\r\n").as_bytes());
    assert_eq!(with("Content-Type: text/plain\r\nContent-Type: text/html"), Err(BinaryFault::Type));
    assert_eq!(with("Content-Type: multipart/mixed"), Err(BinaryFault::Type));
    assert_eq!(
        with("Content-Transfer-Encoding: binary\r\nContent-Transfer-Encoding: 7bit"),
        Err(BinaryFault::Encoding)
    );
    assert_eq!(with("Content-Transfer-Encoding: x-uuencode"), Err(BinaryFault::Encoding));
    assert_eq!(
        with("Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64"),
        Err(BinaryFault::Encoding)
    );
}

#[test]
fn what_is_signed_in_its_binary_form_cannot_become_lines() {
    let signed = [
        &b"Content-Type: multipart/signed; boundary=s; protocol=\"application/pkcs7-signature\"\r\n\r\n--s\r\n"[..],
        &mixed(BINARY),
        b"\r\n--s--\r\n",
    ]
    .concat();
    assert_eq!(accepts(&signed), Ok(()));
    assert_eq!(as_lines(&signed), Err(BinaryFault::Signed));
}

/// A part with this content, and parts within it.
#[derive(Debug, Clone)]
enum Part {
    Binary(Vec<u8>),
    Text(String),
    Parts(Vec<Part>),
    Attached(Box<Part>),
}

impl Part {
    /// Its header and its content; `number` makes boundaries differ.
    fn write(&self, number: &mut u32, out: &mut Vec<u8>, contents: &mut Vec<Vec<u8>>) {
        match self {
            Part::Binary(octets) => {
                out.extend(b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n");
                out.extend(octets);
                contents.push(octets.clone());
            }
            Part::Text(text) => out.extend(format!("Content-Type: text/plain\r\n\r\n{text}").bytes()),
            Part::Parts(parts) => {
                *number += 1;
                let boundary = format!("=_{number}_=");
                let encoding = "Content-Transfer-Encoding: binary\r\n";
                out.extend(format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n{encoding}\r\n").bytes());
                for part in parts {
                    out.extend(format!("\r\n--{boundary}\r\n").bytes());
                    part.write(number, out, contents);
                }
                out.extend(format!("\r\n--{boundary}--\r\n").bytes());
            }
            Part::Attached(part) => {
                out.extend(b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\nSubject: in\r\n");
                part.write(number, out, contents);
            }
        }
    }
}

fn part() -> impl Strategy<Value = Part> {
    let octets = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(prop::sample::select(b"\r\n-=.\0a".to_vec()), 0..60),
    ];
    let leaf = prop_oneof![octets.prop_map(Part::Binary), "[a-z .-]{0,20}".prop_map(Part::Text)];
    leaf.prop_recursive(3, 12, 4, |part| {
        prop_oneof![
            prop::collection::vec(part.clone(), 1..4).prop_map(Part::Parts),
            part.prop_map(|part| Part::Attached(Box::new(part))),
        ]
    })
}

/// The binary contents that another implementation finds.
fn contents(message: &mail_parser::Message<'_>, found: &mut Vec<Vec<u8>>) {
    for part in &message.parts {
        match &part.body {
            mail_parser::PartType::Message(inner) => contents(inner, found),
            mail_parser::PartType::Binary(octets) if part.content_type().is_some() => found.push(octets.to_vec()),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn another_reader_finds_the_same_octets_in_the_lines(part in part(), piece in 1_usize..70) {
        let (mut message, mut expected) = (b"Subject: out\r\n".to_vec(), Vec::new());
        part.write(&mut 0, &mut message, &mut expected);
        binary_holds(&message, piece);
        let block = HeaderBlock::parse(&message).unwrap();
        let text = lined(&block, &message[block.as_bytes().len() + 2..], piece).unwrap();
        let mut found = Vec::new();
        contents(&MessageParser::default().parse(&text).unwrap(), &mut found);
        prop_assert_eq!(found, expected, "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn any_octets_are_read_alike_however_they_are_cut(
        words in prop::collection::vec(prop::sample::select(vec![
            "Content-Type: multipart/mixed; boundary=b\r\n", "Content-Type: multipart/digest; boundary=c\r\n",
            "Content-Type: message/rfc822\r\n", "Content-Transfer-Encoding: binary\r\n", "Subject: x\r\n", "\r\n",
            "\r\n--b\r\n", "\r\n--b--\r\n", "--c\r\n", "--c--", "text", "\n", "\r", "\0", "-", "b",
        ]), 0..30),
        piece in 1_usize..20,
    ) {
        binary_holds(words.concat().as_bytes(), piece);
    }
}
