//! A stranger guesses which recipients there are no faster than the connector's limit says.

use directory::attributes;

use crate::site::{CLIENT, INTERNET, Plan, Site};
use crate::wire::{Wire, tls_client};

/// A site whose connector for strangers tells them of three recipients a minute that there are not.
fn site() -> Site {
    Site::with(Plan {
        directory: Box::new(|directory| {
            directory.set_connector("internet", attributes::UNKNOWN_PER_SOURCE, "3");
        }),
        ..Plan::default()
    })
}

/// A session of a stranger that has named its sender.
fn stranger(site: &Site) -> Wire {
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    wire.say("MAIL FROM:<sue@outside.test>", "250");
    wire
}

/// Names as many recipients as may be tried out.
fn exhaust(site: &Site) -> Wire {
    let mut wire = stranger(site);
    for number in 0..3 {
        wire.say(&format!("RCPT TO:<nobody{number}@example.com>"), "550 5.1.1");
    }
    wire
}

#[test]
fn who_named_too_many_unknown_recipients_is_not_told_of_known_ones_either() {
    let site = site();
    let mut wire = exhaust(&site);
    let unknown = wire.say("RCPT TO:<nobody@example.com>", "450 4.7.1");
    assert_eq!(wire.say("RCPT TO:<bob@example.com>", "450 4.7.1"), unknown);
    // Neither in another session from there.
    stranger(&site).say("RCPT TO:<bob@example.com>", "450 4.7.1");
}

#[test]
fn known_recipients_do_not_count_as_guesses() {
    let site = site();
    for _ in 0..10 {
        stranger(&site).say("RCPT TO:<bob@example.com>", "250");
    }
    exhaust(&site);
}

#[test]
fn accounts_are_told_of_recipients_where_strangers_are_not() {
    let site = site();
    exhaust(&site);
    let mut wire = Wire::greet(site.address(CLIENT));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&tls_client());
    wire.say("EHLO client.test", "250");
    wire.auth("alice", "alice-demo", "235");
    wire.say("MAIL FROM:<alice@example.com>", "250");
    wire.say("RCPT TO:<bob@example.com>", "250");
    wire.say("RCPT TO:<nobody@example.com>", "550 5.1.1");
}

#[test]
fn a_limit_of_0_is_none() {
    let mut site = site();
    exhaust(&site);
    site.change(|directory| directory.set_connector("internet", attributes::UNKNOWN_PER_SOURCE, "0"));
    stranger(&site).say("RCPT TO:<bob@example.com>", "250");
}
