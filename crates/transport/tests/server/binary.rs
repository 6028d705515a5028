//! Binary messages (RFC 3030) through the whole server: as they are where they may, as base64 elsewhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::attributes as a;
use queue::Backoff;
use transport::ServerOptions;

use crate::extensions::alice;
use crate::hosts::{Host, Manners};
use crate::site::{CLIENT, Directory, Plan, Site};

const BINARY: &[u8] = b"\0\x01\n.\r\n..\r\rQUIT\r\n\xFF";
const TAKES_BINARY: [&str; 2] = ["CHUNKING", "BINARYMIME"];

/// A site that takes binary messages of accounts, and whose mail for `relay.test` goes to `host`.
fn relaying_to(host: &Host, more: impl FnOnce(&mut Directory) + 'static) -> Site {
    let address = host.address;
    Site::with(Plan {
        directory: Box::new(move |directory| {
            directory.set_connector("client", a::BINARY_MIME, "TRUE");
            directory.accept("relay.test", "1");
            directory.send("relay", "SMTP:relay.test;1", address);
            more(directory);
        }),
        options: Box::new(|options: &mut ServerOptions| options.delivery.backoff = Backoff { first: 20, longest: 50 }),
        ..Plan::default()
    })
}

fn host(offers: &[&'static str]) -> Host {
    let mut manners = Manners { refused: vec![("gone", "550 5.1.1 no such user")], ..Manners::good() };
    manners.offers.extend(offers);
    Host::start(vec![manners])
}

/// A body with a text and a binary part.
fn body() -> Vec<u8> {
    let before = b"--b\r\n\r\ntext\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n";
    [&before[..], BINARY, b"\r\n--b--\r\n"].concat()
}

/// alice sends a multipart of this kind.
fn alice_sends(site: &Site, kind: &str, to: &str, mail: &str) {
    let header = format!(
        "From: alice@example.com\r\nSubject: binary\r\nContent-Type: multipart/{kind}; boundary=b\r\n\
         Content-Transfer-Encoding: binary\r\n\r\n"
    );
    let message = [header.as_bytes(), &body()].concat();
    let mut wire = alice(site);
    let offered = wire.say("EHLO client.test", "250");
    assert!(offered.contains("250-BINARYMIME\r\n"), "{offered} on {CLIENT}");
    wire.say(&format!("MAIL FROM:<alice@example.com> BODY=BINARYMIME{mail}"), "250");
    wire.say(&format!("RCPT TO:<{to}>"), "250");
    wire.send_bytes(&[format!("BDAT {} LAST\r\n", message.len()).as_bytes(), &message].concat()).unwrap();
    wire.expect("250");
}

#[test]
fn a_host_that_takes_binary_messages_gets_one_as_it_is() {
    let host = host(&TAKES_BINARY);
    let site = relaying_to(&host, |_| {});
    alice_sends(&site, "mixed", "rita@relay.test", "");
    let got = host.message();
    let chunk = got.chunk.unwrap();
    assert!(chunk.ends_with(&body()), "{}", String::from_utf8_lossy(&chunk));
    assert!(
        got.from.contains(" BODY=BINARYMIME") && got.from.contains(&format!(" SIZE={}", chunk.len())),
        "{}",
        got.from
    );
    site.await_empty_queue();
}

#[test]
fn a_host_that_takes_none_gets_base64() {
    for offers in [&[][..], &["CHUNKING"], &["BINARYMIME"]] {
        let host = host(offers);
        let site = relaying_to(&host, |_| {});
        alice_sends(&site, "mixed", "rita@relay.test", "");
        let got = host.message();
        assert!(got.chunk.is_none() && got.from.contains(" BODY=8BITMIME"), "{offers:?}: {}", got.from);
        let base64 = format!("Content-Transfer-Encoding: base64\n\n{}\n--b--\n", STANDARD.encode(BINARY));
        assert!(got.text.contains("Content-Transfer-Encoding: 8bit\n") && got.text.ends_with(&base64), "{}", got.text);
        site.await_empty_queue();
    }
}

#[test]
fn a_mailbox_gets_base64() {
    let site = relaying_to(&host(&[]), |_| {});
    alice_sends(&site, "mixed", "bob@example.com", "");
    let mail = site.await_mail("bob", 1).remove(0);
    assert!(mail.contains(&format!("base64\n\n{}\n--b--\n", STANDARD.encode(BINARY))), "{mail}");
}

#[test]
fn what_is_signed_as_it_is_comes_back_where_it_would_have_to_change() {
    let host = host(&TAKES_BINARY);
    let site = relaying_to(&host, |_| {});
    alice_sends(&site, "signed", "rita@relay.test", "");
    assert!(host.message().chunk.unwrap().ends_with(&body()));
    alice_sends(&site, "signed", "bob@example.com", "");
    let report = site.await_mail("alice", 1).remove(0);
    assert!(report.contains("Status: 5.6.2") && report.contains("signed in its binary form"), "{report}");
    site.await_empty_queue();
    assert!(site.mailbox("bob").is_empty());
}

#[test]
fn a_report_returns_the_header_of_a_binary_message_alone() {
    let site = relaying_to(&host(&TAKES_BINARY), |_| {});
    alice_sends(&site, "mixed", "gone@relay.test", " RET=FULL");
    let report = site.await_mail("alice", 1).remove(0);
    assert!(report.contains("\nSubject: binary\n") && !report.contains("image/png"), "{report}");
}

#[test]
fn a_journal_report_of_a_binary_message_has_it_in_lines() {
    let host = host(&TAKES_BINARY);
    let site = relaying_to(&host, |directory| {
        let organization = directory.snapshot.organization().unwrap();
        directory.put(organization, a::JOURNAL, "archive@relay.test");
    });
    alice_sends(&site, "mixed", "bob@example.com", "");
    let got = host.message();
    assert!(got.chunk.is_none() && got.text.contains(&STANDARD.encode(BINARY)), "{}", got.text);
}
