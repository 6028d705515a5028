//! Stopping: what is in flight is finished, what is idle is told, and the second word ends everything.

use std::time::{Duration, Instant};

use crate::site::{INTERNET, PATIENCE, Plan, Site};
use crate::wire::{Wire, text};

#[test]
fn an_idle_session_is_told_and_the_server_ends() {
    let mut site = Site::start();
    let mut wire = Wire::greet(site.address(INTERNET));
    site.server().stop();
    wire.expect("421 4.3.2");
    wire.expect_end();
    site.server.take().unwrap().wait();
}

#[test]
fn a_message_on_its_way_is_finished_and_answered() {
    let mut site = Site::start();
    let mut wire = Wire::greet(site.address(INTERNET));
    let mut idle = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    wire.say("MAIL FROM:<sue@outside.test>", "250");
    wire.say("RCPT TO:<bob@example.com>", "250");
    wire.say("DATA", "354");
    wire.send(&text("sue@outside.test", "late").replace('\n', "\r\n"));
    site.server().stop();
    idle.expect("421");
    wire.send(".\r\n");
    wire.expect("250 2.6.0");
    wire.expect("421");
    wire.expect_end();
    site.server.take().unwrap().wait();
    site.serve(|_| {});
    site.await_mail("bob", 1);
}

#[test]
fn nobody_is_let_in_any_more() {
    let mut site = Site::start();
    let address = site.address(INTERNET);
    site.server().stop();
    site.server.take().unwrap().wait();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn the_second_word_ends_a_session_in_the_middle_of_its_message() {
    let mut site = Site::start();
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    wire.say("MAIL FROM:<sue@outside.test>", "250");
    wire.say("RCPT TO:<bob@example.com>", "250");
    wire.say("DATA", "354");
    wire.send("From: <sue@outside.test>\r\n\r\nhalf");
    let began = Instant::now();
    site.server().stop();
    site.server().stop();
    wire.expect_end();
    site.server.take().unwrap().wait();
    assert!(began.elapsed() < PATIENCE, "the grace was waited for");
    assert_eq!(site.shared.queue().counts().unwrap().messages, 0);
}

#[test]
fn a_session_that_does_not_end_is_cut_off_after_the_grace() {
    let mut site =
        Site::with(Plan { options: Box::new(|options| options.grace = Duration::from_millis(50)), ..Plan::default() });
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    wire.say("MAIL FROM:<sue@outside.test>", "250");
    wire.say("RCPT TO:<bob@example.com>", "250");
    wire.say("DATA", "354");
    site.server().stop();
    site.server.take().unwrap().wait();
    wire.expect_end();
}
