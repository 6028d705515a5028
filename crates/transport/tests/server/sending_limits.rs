//! How much an account may send.

use directory::{Change, SendingLimits, attributes};

use crate::site::{CLIENT, Directory, Plan, Site};
use crate::wire::{Wire, text, tls_client};

impl Directory {
    fn limit(&mut self, name: &str, limits: &[&str]) {
        let account = self.snapshot.resolve_login(name).unwrap();
        let guid = self.snapshot.object(account).unwrap().guid();
        let values = limits.iter().map(|limit| limit.as_bytes().to_vec()).collect();
        self.apply(vec![Change::Modify { guid, attributes: vec![(attributes::SENDING_LIMITS.to_owned(), values)] }]);
    }
}

fn limited(name: &'static str, limits: &'static [&'static str]) -> Site {
    Site::with(Plan { directory: Box::new(|directory| directory.limit(name, limits)), ..Plan::default() })
}

fn log_on(site: &Site, name: &str) -> Wire {
    let mut wire = Wire::greet(site.address(CLIENT));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&tls_client());
    wire.say("EHLO client.test", "250");
    wire.auth(name, &format!("{name}-demo"), "235");
    wire
}

fn send(wire: &mut Wire, name: &str) -> String {
    let from = format!("{name}@example.com");
    wire.mail(&from, &["bob@example.com"], &text(&from, "one more"))
}

#[test]
fn an_account_sends_as_many_messages_as_it_may_and_is_told_when_it_may_again() {
    let site = limited("alice", &["2 messages/hour"]);
    let mut wire = log_on(&site, "alice");
    for _ in 0..2 {
        assert!(send(&mut wire, "alice").starts_with("250"));
    }
    // Over another connection as well.
    for wire in [&mut wire, &mut log_on(&site, "alice")] {
        let said = wire.say("MAIL FROM:<alice@example.com>", "450 4.7.1 Sending limit reached");
        assert!(said.contains("2 messages in an hour; try again in "), "{said}");
    }
    assert!(send(&mut log_on(&site, "bob"), "bob").starts_with("250"));
}

#[test]
fn recipients_beyond_the_limit_are_put_off_and_the_others_get_the_message() {
    let mut site = Site::with(Plan {
        directory: Box::new(|directory| {
            directory.limit("alice", &["2 recipients/day"]);
            directory.group("list", &["bob"]);
        }),
        ..Plan::default()
    });
    let mut wire = log_on(&site, "alice");
    wire.say("MAIL FROM:<alice@example.com>", "250");
    wire.say("RCPT TO:<bob@example.com>", "250");
    // The same mailbox once more is no recipient.
    wire.say("RCPT TO:<BOB@example.com>", "250");
    wire.say("RCPT TO:<alice@example.com>", "250");
    wire.say("RCPT TO:<list@example.com>", "450 4.7.1 Sending limit reached");
    wire.say("DATA", "354");
    wire.send(&format!("{}.\n", text("alice@example.com", "out")).replace('\n', "\r\n"));
    wire.expect("250");
    site.await_mail("bob", 1);
    site.change(|directory| directory.limit("alice", &["none"]));
    assert!(send(&mut wire, "alice").starts_with("250"));
}

#[test]
fn accounts_without_limits_of_their_own_have_those_of_the_node() {
    let mut site = Site::start();
    let folder = tempfile::tempdir().unwrap();
    let usual = SendingLimits { messages_per_day: Some(1), ..SendingLimits::default() };
    site.shared.sending().set_up(usual, &folder.path().join("sending")).unwrap();
    let mut wire = log_on(&site, "alice");
    assert!(send(&mut wire, "alice").starts_with("250"));
    wire.say("MAIL FROM:<alice@example.com>", "450 4.7.1");
    site.change(|directory| directory.limit("alice", &["2 messages/day"]));
    assert!(send(&mut wire, "alice").starts_with("250"));
    wire.say("MAIL FROM:<alice@example.com>", "450 4.7.1");
    // What was sent is noted when the server ends.
    site.server.take().unwrap().stopper().stop();
    crate::site::eventually("the counts in the file", || folder.path().join("sending").exists().then_some(()));
}
