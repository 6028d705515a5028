//! Other mail servers as next hops and as senders: Postfix, Exim, and Dovecot, which keeps the mailboxes.

#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};

use e2e::{Demo, Dovecot, Exim, Mechanism, NameServer, Network, Node, Postfix, Talk, free_port, require, skip_without};

const OURS: usize = 0;
const THEIRS: usize = 1;

struct Site {
    network: Network,
    ours: Node,
}

/// We are mail.example.com with a mailbox for alice; mail for others goes by MX records. `partner.test` is at the other host.
fn site() -> Option<Site> {
    if !require(&Network::PROGRAMS) || !require(&["python3"]) {
        return None;
    }
    if !Network::possible() {
        skip_without("root, to make a network namespace");
        return None;
    }
    let network = Network::of(2);
    let mut ours = Node::init(&["--domain", "example.com", "--hostname", "mail.example.com"]);
    let names = network.at(OURS, NameServer::start);
    names.mx("partner.test", &[(5, "gone.partner.test"), (10, "down.partner.test"), (20, "mail.partner.test")]);
    names.a("down.partner.test", &[Ipv4Addr::new(192, 0, 2, 77)]).a("mail.partner.test", &[Network::address(THEIRS)]);
    ours.configure("dns", &format!("servers = [\"{}\"]", names.address));
    ours.configure("delivery", "retry_seconds = 1");
    network.at(OURS, || ours.serve());
    ours.add_user("alice", "alice-demo");
    let receive = ["connector", "receive", "new", "Peers", "--usage", "internet", "--bindings", "0.0.0.0:25"];
    let there = Network::address(THEIRS).to_string();
    ours.procura(&[&receive[..], &["--remote-ranges", &there]].concat()).ok();
    ours.procura(&["connector", "send", "new", "World", "--usage", "internet", "--address-space", "*"]).ok();
    Some(Site { network, ours })
}

impl Site {
    #[track_caller]
    fn alice_sends(&self, to: &str, subject: &str) {
        let message = format!("From: alice@example.com\nTo: {to}\nSubject: {subject}\n\n.hello\n..\n");
        let reply = self.network.at(OURS, || {
            let mut talk = Talk::connect_to(SocketAddr::from((Network::address(OURS), 587)));
            let reply = talk.log_on("alice", "alice-demo", None, Mechanism::Plain);
            assert!(reply.starts_with("235"), "{reply}");
            talk.send("alice@example.com", &[to], &message)
        });
        assert!(reply.starts_with("250"), "{reply}");
    }
}

/// What jo@partner.test writes to alice.
fn from_jo(subject: &str) -> String {
    format!("From: jo@partner.test\nTo: alice@example.com\nSubject: {subject}\n\nhello\n")
}

#[test]
fn postfix_takes_our_mail_by_its_mx_record_and_gives_us_its_own() {
    let Some(site) = site() else { return };
    if !require(&Postfix::PROGRAMS) {
        return;
    }
    let (here, there) = (Network::address(OURS), Network::address(THEIRS));
    let settings = format!("myhostname = mail.partner.test\nmynetworks = {there}\nrelayhost = [{here}]\n");
    let mut postfix = site.network.at(THEIRS, || Postfix::start(&settings));
    site.alice_sends("jo@partner.test", "to postfix");
    let message = postfix.delivered("to postfix");
    assert!(message.text.contains("\n.hello\n..\n"), "{}", message.text);
    postfix.sendmail("jo@partner.test", "alice@example.com", &from_jo("from postfix"));
    site.ours.delivered("from postfix");
    // What we refuse, Postfix tells its user.
    postfix.sendmail("jo@partner.test", "nobody@example.com", &from_jo("to nobody"));
    postfix.wait_for_log("status=bounced");
}

#[test]
fn what_postfix_refuses_comes_back_with_its_words() {
    let Some(site) = site() else { return };
    if !require(&Postfix::PROGRAMS) {
        return;
    }
    let settings = "myhostname = mail.partner.test\nvirtual_mailbox_maps = regexp:{ {/^jo@/ jo} }\n";
    let _postfix = site.network.at(THEIRS, || Postfix::start(settings));
    site.alice_sends("zoe@partner.test", "lost");
    let report = site.ours.delivered("Your message could not be delivered");
    assert!(
        report.text.contains("User unknown in virtual mailbox table") && report.text.contains("Status: 5.1.1"),
        "{}",
        report.text
    );
}

#[test]
fn exim_takes_our_mail_by_its_mx_record_and_gives_us_its_own() {
    let Some(site) = site() else { return };
    if !Exim::possible() {
        return;
    }
    let mut exim = site.network.at(THEIRS, || Exim::start(&Network::address(OURS).to_string()));
    site.alice_sends("jo@partner.test", "to exim");
    let message = exim.delivered("to exim");
    assert!(message.text.contains("\n.hello\n..\n"), "{}", message.text);
    site.network.at(THEIRS, || exim.sendmail("jo@partner.test", "alice@example.com", &from_jo("from exim")));
    site.ours.delivered("from exim");
    // "K": by BDAT, for we offer CHUNKING.
    let log = exim.wait_for_log("alice@example.com R=out");
    assert!(log.lines().any(|line| line.contains("=> alice@example.com") && line.contains(" K ")), "{log}");
    site.network.at(THEIRS, || exim.sendmail("jo@partner.test", "nobody@example.com", &from_jo("to nobody")));
    exim.wait_for_log("nobody@example.com R=out");
}

#[test]
fn mail_waits_while_the_next_hop_is_down_and_goes_when_it_is_up() {
    let Some(site) = site() else { return };
    if !require(&Postfix::PROGRAMS) {
        return;
    }
    site.alice_sends("jo@partner.test", "patience");
    site.ours.server().wait_for_output("deferred");
    let postfix = site.network.at(THEIRS, || Postfix::start("myhostname = mail.partner.test\n"));
    postfix.delivered("patience");
}

/// A demo whose mailboxes a Dovecot keeps.
fn with_dovecot(by_socket: bool) -> Option<(Demo, Dovecot)> {
    if !Dovecot::possible() || !require(&["python3"]) {
        return None;
    }
    let port = free_port();
    let dovecot = Dovecot::start(port);
    let lmtp = if by_socket { dovecot.socket().display().to_string() } else { format!("127.0.0.1:{port}") };
    let demo = Demo::start_with(&format!("[delivery]\nlmtp = {lmtp:?}\nretry_seconds = 1\n"));
    Some((demo, dovecot))
}

#[track_caller]
fn send(demo: &Demo, to: &[&str], subject: &str) {
    let mut talk = Talk::connect(demo.internet_port);
    let message = format!("From: sue@outside.test\nSubject: {subject}\n\nhello\n");
    let reply = talk.send("sue@outside.test", to, &message);
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn dovecot_files_mail_that_comes_over_its_socket_and_over_tcp() {
    for by_socket in [true, false] {
        let Some((demo, dovecot)) = with_dovecot(by_socket) else { return };
        send(&demo, &["alice@example.com"], "stored");
        let message = dovecot.delivered("stored");
        assert_eq!(message.value("Return-Path"), Some("<sue@outside.test>"), "{}", message.text);
    }
}

#[test]
fn each_mailbox_of_dovecot_answers_for_itself() {
    let Some((demo, dovecot)) = with_dovecot(true) else { return };
    let mut talk = Talk::connect(demo.client_port);
    let reply = talk.log_on("alice", "alice-demo", None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}");
    // bob's mailbox is full, and Dovecot has none for the CEO.
    let to = ["alice@example.com", "bob@example.com", "ceo@example.com"];
    let reply = talk.send("alice@example.com", &to, "From: alice@example.com\nSubject: to all\n\nhello\n");
    assert!(reply.starts_with("250"), "{reply}");
    let report = dovecot.delivered("Your message could not be delivered");
    assert!(report.text.contains("Quota exceeded") && report.text.contains("ceo@example.com"), "{}", report.text);
    assert_eq!(dovecot.delivered_now("to all").len(), 1);
}

#[test]
fn mail_waits_while_dovecot_is_down() {
    let Some((mut demo, mut dovecot)) = with_dovecot(true) else { return };
    dovecot.stop();
    send(&demo, &["alice@example.com"], "later");
    demo.server().wait_for_output("deferred");
    dovecot.start_again();
    dovecot.delivered("later");
}
