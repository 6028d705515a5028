//! Mail for other places: two servers, the second one the smart host of the first.

#![allow(clippy::unwrap_used)]

use e2e::{Demo, Mechanism, Message, Talk, free_port, require, wait_for};

/// A demo that sends everything foreign to this port, and serves zoe@example.org.
fn first(smart_host: u16) -> Demo {
    let demo = Demo::start_with(&format!("[delivery]\nsmart_host = \"127.0.0.1:{smart_host}\"\n"));
    demo.procura(&["domain", "add", "example.org"]).ok();
    let user = ["user", "add", "zoe", "--address", "zoe@example.org", "--mailbox", "--password-stdin"];
    demo.procura_with(&user, "zoe-demo\n").ok();
    demo
}

/// A demo that serves kim@example.net.
fn second() -> Demo {
    let demo = Demo::start();
    demo.procura(&["domain", "add", "example.net"]).ok();
    demo.procura(&["user", "add", "kim", "--address", "kim@example.net", "--mailbox"]).ok();
    demo
}

#[track_caller]
fn zoe_sends(demo: &Demo, to: &str, subject: &str) {
    let mut zoe = Talk::connect(demo.client_port);
    let reply = zoe.log_on("zoe", "zoe-demo", None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}");
    let reply = zoe.send("zoe@example.org", &[to], &format!("From: zoe@example.org\nSubject: {subject}\n\nhello\n"));
    assert!(reply.starts_with("250"), "{reply}");
}

/// What the queue says of all messages of this sender that wait; empty where there are none.
#[track_caller]
fn waiting(demo: &Demo, sender: &str) -> String {
    let list = demo.procura(&["queue", "list"]).ok();
    let ids =
        list.lines().filter(|line| line.contains(&format!("<{sender}>"))).filter_map(|line| line.split(' ').next());
    // A message may leave between the list and the question; then it waits no more.
    ids.map(|id| demo.procura(&["queue", "show", id]).out).collect()
}

#[test]
fn mail_for_others_goes_through_the_smart_host() {
    if !require(&["python3"]) {
        return;
    }
    let second = second();
    let first = first(second.internet_port);
    zoe_sends(&first, "kim@example.net", "abroad");
    let message = second.delivered("abroad");
    // What the first server proved is its own affair: it goes out without, and the second says what it has proven itself.
    assert_eq!(message.value("X-MS-Exchange-Organization-AuthAs"), Some("Anonymous"));
    assert_eq!(message.values("Received").len(), 2, "{}", message.text);
}

#[test]
fn what_the_smart_host_refuses_goes_back_to_its_sender() {
    if !require(&["python3"]) {
        return;
    }
    let second = second();
    let first = first(second.internet_port);
    zoe_sends(&first, "nobody@example.net", "lost");
    let bounce = || -> Option<Message> {
        first.mailboxes().into_iter().find(|message| message.text.contains("nobody@example.net"))
    };
    wait_for("the bounce", || bounce().is_some());
    let bounce = bounce().unwrap();
    assert!(bounce.text.contains("550 5.1.1") && bounce.text.contains("lost"), "{}", bounce.text);
}

#[test]
fn mail_waits_while_the_smart_host_is_away() {
    if !require(&["python3"]) {
        return;
    }
    let mut second = second();
    let first = first(second.internet_port);
    assert_eq!(second.stop(), 0);
    zoe_sends(&first, "kim@example.net", "patience");
    wait_for("an attempt", || waiting(&first, "zoe@example.org").contains("onnection refused"));
    second.start_again();
    first.procura(&["queue", "retry"]).ok();
    second.delivered("patience");
    wait_for("the end of the wait", || waiting(&first, "zoe@example.org").is_empty());
}

#[test]
fn mail_that_waits_outlives_a_crash() {
    if !require(&["python3"]) {
        return;
    }
    // Nobody listens there yet.
    let mut first = first(free_port());
    zoe_sends(&first, "kim@example.net", "crash");
    first.kill();
    first.start_again();
    let waiting = waiting(&first, "zoe@example.org");
    assert!(waiting.contains("kim@example.net"), "{waiting}");
}

#[test]
fn a_message_that_goes_round_in_circles_is_stopped() {
    if !require(&["python3"]) {
        return;
    }
    // A server that is its own smart host, for a domain that it relays.
    let port = free_port();
    let mut demo = Demo::start_with(&format!("[delivery]\nsmart_host = \"127.0.0.1:{port}\"\n"));
    assert_eq!(demo.stop(), 0);
    demo.internet_port = port;
    demo.start_again();
    let mut talk = Talk::connect(port);
    let text = "From: stranger@outside.test\nSubject: round\n\nhello\n";
    let reply = talk.send("<>", &["someone@partner.test"], text);
    assert!(reply.starts_with("250"), "{reply}");
    wait_for("the end of the circle", || waiting(&demo, "").is_empty());
}
