//! Who gets a message: groups, forwarding, catch-all, rewriting, copies, journal.

use directory::{Change, Class, ObjectId, attributes as a, link_value};
use queue::Backoff;
use rights::RightName;
use transport::ServerOptions;

use crate::hosts::{Host, Manners};
use crate::site::{CLIENT, Directory, INTERNET, Plan, Site};
use crate::wire::{Wire, text, tls_client};

impl Directory {
    fn id(&self, name: &str) -> ObjectId {
        self.snapshot.resolve(name).unwrap()
    }

    fn guid_of(&self, name: &str) -> acl::Guid {
        self.snapshot.object(self.id(name)).unwrap().guid()
    }

    /// Sets an attribute of an object.
    fn say(&mut self, name: &str, attribute: &str, value: &str) {
        let id = self.id(name);
        self.put(id, attribute, value);
    }

    /// Links an object to another.
    fn tie(&mut self, name: &str, attribute: &str, to: &str) {
        let (guid, to) = (self.guid_of(name), link_value(&self.guid_of(to)));
        self.apply(vec![Change::Modify { guid, attributes: vec![(attribute.to_owned(), vec![to])] }]);
    }

    /// Another member of a group.
    fn join(&mut self, group: &str, member: &str) {
        let (guid, add) = (self.guid_of(group), vec![link_value(&self.guid_of(member))]);
        self.apply(vec![Change::Values { guid, attribute: a::MEMBER.to_owned(), add, remove: Vec::new() }]);
    }

    /// An object of a class with a mail address and no mailbox.
    fn other(&mut self, class: Class, name: &str, address: &str, attributes: &[(&str, &str)]) {
        let users = self.snapshot.object(self.id("alice")).unwrap().parent().unwrap();
        let mut record = self.record(class, users, name).with(a::PROXY_ADDRESSES, format!("SMTP:{address}"));
        for (attribute, value) in attributes {
            record = record.with(attribute, *value);
        }
        self.apply(vec![Change::Add(record)]);
    }

    fn catch_all(&mut self, name: &str) {
        let domain = self.snapshot.accepted_domain_id("example.com").unwrap();
        let guid = self.snapshot.object(domain).unwrap().guid();
        let to = link_value(&self.guid_of(name));
        self.apply(vec![Change::Modify { guid, attributes: vec![(a::CATCH_ALL.to_owned(), vec![to])] }]);
    }
}

fn site(directory: impl FnOnce(&mut Directory) + 'static) -> Site {
    Site::with(Plan { directory: Box::new(directory), ..Plan::default() })
}

/// A site whose mail for `relay.test` goes to `host`.
fn relaying_to(host: &Host, more: impl FnOnce(&mut Directory) + 'static) -> Site {
    let address = host.address;
    Site::with(Plan {
        directory: Box::new(move |directory| {
            directory.accept("relay.test", "1");
            directory.send("relay", "SMTP:relay.test;1", address);
            more(directory);
        }),
        options: Box::new(|options: &mut ServerOptions| options.delivery.backoff = Backoff { first: 20, longest: 50 }),
        ..Plan::default()
    })
}

fn send(site: &Site, to: &[&str], subject: &str) {
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    let reply = wire.mail("sue@outside.test", to, &text("sue@outside.test", subject));
    assert!(reply.starts_with("250"), "{reply}");
    wire.say("QUIT", "221");
}

/// Sends as somebody with alice's logon.
fn alice_sends(site: &Site, from: &str, to: &[&str], subject: &str) {
    let mut wire = Wire::greet(site.address(CLIENT));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&tls_client());
    wire.say("EHLO client.test", "250");
    wire.auth("alice", "alice-demo", "235");
    let reply = wire.mail("alice@example.com", to, &text(from, subject));
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn nested_groups_that_hold_each_other_reach_everybody_once() {
    let site = site(|directory| {
        directory.group("inner", &["bob"]);
        directory.group("outer", &["inner", "alice", "bob"]);
        directory.join("inner", "outer");
    });
    send(&site, &["outer@example.com", "bob@example.com"], "all");
    site.await_mail("alice", 1);
    site.await_mail("bob", 1);
    site.await_empty_queue();
    assert_eq!((site.mailbox("alice").len(), site.mailbox("bob").len()), (1, 1));
}

#[test]
fn a_dynamic_group_is_who_fits_its_filter_now() {
    let mut site = site(|directory| {
        let filter = "(&(objectClass=user)(department=sales*)(!(cn=nobody)))";
        directory.other(Class::DynamicGroup, "Sales", "sales@example.com", &[(a::DYNAMIC_FILTER, filter)]);
        directory.say("alice", "department", "Sales North");
    });
    send(&site, &["sales@example.com"], "one");
    site.await_mail("alice", 1);
    site.change(|directory| directory.say("bob", "department", "sales"));
    send(&site, &["sales@example.com"], "two");
    site.await_mail("bob", 1);
    site.await_mail("alice", 2);
    site.await_empty_queue();
    assert_eq!(site.mailbox("bob").len(), 1);
}

#[test]
fn the_owner_of_a_group_hears_of_its_failures_and_its_sender_does_not() {
    let refusing = Manners { refused: vec![("gone", "550 5.1.1 no such user")], ..Manners::good() };
    let host = Host::start(vec![refusing]);
    let site = relaying_to(&host, |directory| {
        directory.other(Class::Contact, "gone", "gone@relay.test", &[]);
        directory.group("news", &["gone"]);
        directory.tie("news", a::MANAGED_BY, "bob");
        directory.say("news", a::REPORT_TO_OWNER, "TRUE");
    });
    alice_sends(&site, "alice@example.com", &["news@example.com"], "news");
    let report = site.await_mail("bob", 1).remove(0);
    assert!(report.contains("Action: failed") && report.contains("gone@relay.test"), "{report}");
    site.await_empty_queue();
    assert!(site.mailbox("alice").is_empty());
}

#[test]
fn mail_for_a_group_leaves_with_its_owner_as_the_sender() {
    let host = Host::start(vec![Manners::good()]);
    let site = relaying_to(&host, |directory| {
        directory.other(Class::Contact, "rita", "rita@relay.test", &[]);
        directory.group("news", &["rita"]);
        directory.tie("news", a::MANAGED_BY, "bob");
        directory.say("news", a::REPORT_TO_OWNER, "TRUE");
    });
    send(&site, &["news@example.com", "tom@relay.test"], "news");
    let mut got = [host.message(), host.message()].map(|got| (got.from, got.to));
    got.sort();
    let bob = ("MAIL FROM:<bob@example.com>", "RCPT TO:<rita@relay.test>");
    let sue = ("MAIL FROM:<sue@outside.test>", "RCPT TO:<tom@relay.test>");
    for ((from, to), expected) in got.iter().zip([bob, sue]) {
        assert!(from.starts_with(expected.0) && *to == [expected.1], "{from} {to:?}");
    }
}

#[test]
fn nobody_hears_of_the_failures_of_a_group_that_tells_nobody() {
    let refusing = Manners { refused: vec![("gone", "550 5.1.1 no such user")], ..Manners::good() };
    let host = Host::start(vec![refusing]);
    let site = relaying_to(&host, |directory| {
        directory.other(Class::Contact, "gone", "gone@relay.test", &[]);
        directory.group("news", &["gone"]);
        directory.say("news", a::REPORT_TO_ORIGINATOR, "FALSE");
    });
    alice_sends(&site, "alice@example.com", &["news@example.com"], "news");
    site.await_empty_queue();
    assert!(site.mailbox("alice").is_empty() && site.mailbox("bob").is_empty());
}

#[test]
fn forwarded_mail_goes_there_and_stays_only_where_it_is_to() {
    let mut site = site(|directory| directory.tie("alice", a::ALT_RECIPIENT, "bob"));
    send(&site, &["alice@example.com"], "gone");
    site.await_mail("bob", 1);
    site.await_empty_queue();
    assert!(site.mailbox("alice").is_empty());
    site.change(|directory| directory.say("alice", a::DELIVER_AND_REDIRECT, "TRUE"));
    send(&site, &["alice@example.com"], "both");
    site.await_mail("bob", 2);
    site.await_mail("alice", 1);
}

#[test]
fn forwarding_in_a_ring_loses_nothing() {
    let site = site(|directory| {
        directory.tie("alice", a::ALT_RECIPIENT, "bob");
        directory.tie("bob", a::ALT_RECIPIENT, "alice");
    });
    send(&site, &["alice@example.com"], "ring");
    site.await_mail("bob", 1);
    site.await_empty_queue();
    assert!(site.mailbox("alice").is_empty());
}

#[test]
fn mail_for_a_contact_goes_to_its_target() {
    let host = Host::start(vec![Manners::good()]);
    let site = relaying_to(&host, |directory| {
        let target = [(a::TARGET_ADDRESS, "SMTP:tom@relay.test")];
        directory.other(Class::Contact, "tom", "tom@example.com", &target);
    });
    send(&site, &["tom@example.com"], "away");
    assert_eq!(host.message().to, ["RCPT TO:<tom@relay.test>"]);
}

#[test]
fn every_address_of_a_mailbox_reaches_it() {
    let site = site(|directory| {
        let guid = directory.guid_of("bob");
        let addresses = ["SMTP:bob@example.com", "smtp:info@example.com", "smtp:sales@example.com"];
        let values = addresses.map(|address| address.as_bytes().to_vec()).into();
        let attributes = vec![(a::PROXY_ADDRESSES.to_owned(), values)];
        directory.apply(vec![Change::Modify { guid, attributes }]);
    });
    send(&site, &["info@example.com"], "one");
    send(&site, &["sales@example.com"], "two");
    let mut mail = site.await_mail("bob", 2);
    mail.sort_by_key(|text| text.contains("Delivered-To: sales@example.com"));
    assert!(mail[0].contains("Delivered-To: info@example.com"), "{}", mail[0]);
}

#[test]
fn a_catch_all_gets_what_nobody_has_an_address_for() {
    let site = site(|directory| directory.catch_all("bob"));
    send(&site, &["nobody@example.com"], "lost");
    let mail = site.await_mail("bob", 1).remove(0);
    assert!(mail.contains("Delivered-To: nobody@example.com"), "{mail}");
    site.await_empty_queue();
}

#[test]
fn a_catch_all_is_nobody_to_send_as() {
    let site = site(|directory| directory.catch_all("alice"));
    let mut wire = Wire::greet(site.address(CLIENT));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&tls_client());
    wire.say("EHLO client.test", "250");
    wire.auth("alice", "alice-demo", "235");
    wire.say("MAIL FROM:<nobody@example.com>", "550 5.7.1");
}

#[test]
fn recipients_are_rewritten_before_anything_is_decided_about_them() {
    let site = site(|directory| {
        directory.set_connector("internet", a::REWRITES, "old.test:example.com");
        directory.accept("nowhere.test", "1");
    });
    send(&site, &["bob@old.test"], "moved");
    let mail = site.await_mail("bob", 1).remove(0);
    assert!(mail.contains("Delivered-To: bob@example.com"), "{mail}");
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    wire.say("MAIL FROM:<sue@outside.test>", "250");
    wire.say("RCPT TO:<nobody@old.test>", "550 5.1.1");
}

#[test]
fn senders_are_rewritten_on_the_way_out_by_envelope_and_header() {
    let host = Host::start(vec![Manners::good()]);
    let site = relaying_to(&host, |directory| {
        let relay = directory.relay();
        directory.put(relay, a::REWRITES, "example.com:brand.test");
    });
    alice_sends(&site, "alice@example.com", &["rita@relay.test"], "out");
    let got = host.message();
    assert!(got.from.starts_with("MAIL FROM:<alice@brand.test>"), "{got:?}");
    assert!(got.text.contains("From: alice@brand.test\n"), "{}", got.text);
    assert!(!got.text.contains("alice@example.com"), "{}", got.text);
}

#[test]
fn an_owner_who_wants_it_gets_a_copy_of_what_is_sent_as_it() {
    let mut site = site(|directory| {
        directory.user("ceo");
        directory.grant(RightName::SendAs, "ceo", "alice");
    });
    alice_sends(&site, "ceo@example.com", &["bob@example.com"], "without");
    site.await_mail("bob", 1);
    site.await_empty_queue();
    site.change(|directory| directory.say("ceo", a::COPY_SENT_AS, "TRUE"));
    alice_sends(&site, "ceo@example.com", &["bob@example.com"], "with");
    let copy = site.await_mail("ceo", 1).remove(0);
    assert!(copy.contains("Subject: with"), "{copy}");
    site.await_empty_queue();
    alice_sends(&site, "ceo@example.com", &["ceo@example.com"], "to itself");
    site.await_mail("ceo", 2);
    site.await_empty_queue();
    assert_eq!(site.mailbox("ceo").len(), 2, "one copy is enough");
}

#[test]
fn an_owner_who_wants_it_gets_a_copy_of_what_is_sent_on_its_behalf() {
    let site = site(|directory| {
        directory.user("ceo");
        directory.tie("ceo", a::PUBLIC_DELEGATES, "alice");
        directory.say("ceo", a::COPY_SENT_ON_BEHALF, "TRUE");
    });
    alice_sends(&site, "ceo@example.com", &["bob@example.com"], "for you");
    let copy = site.await_mail("ceo", 1).remove(0);
    assert!(
        copy.contains("Subject: for you\n") && copy.contains("\nSender: \"alice\" <alice@example.com>\n"),
        "{copy}"
    );
}

#[test]
fn a_journal_gets_the_message_with_its_envelope() {
    let site = site(|directory| {
        directory.user("journal");
        directory.group("team", &["alice", "bob"]);
        let organization = directory.snapshot.organization().unwrap();
        directory.put(organization, a::JOURNAL, "journal@example.com");
    });
    send(&site, &["team@example.com"], "kept");
    let report = site.await_mail("journal", 1).remove(0);
    for part in [
        "Return-Path: <>\n",
        "X-MS-Journal-Report:",
        "\nSender: sue@outside.test\n",
        "\nRecipient: alice@example.com, Expanded: team@example.com\n",
        "\nRecipient: bob@example.com, Expanded: team@example.com\n",
        "Content-Type: message/rfc822\n",
        "\nSubject: kept\n",
        "\n\nHello\n",
    ] {
        assert!(report.contains(part), "{part:?} is not in {report}");
    }
    assert!(!report.contains("Recipient: journal@example.com"), "{report}");
    site.await_empty_queue();
    assert_eq!(site.mailbox("journal").len(), 1, "reports are not journaled");
}

#[test]
fn a_mailbox_of_its_own_is_journaled_elsewhere() {
    let host = Host::start(vec![Manners::good()]);
    let site = relaying_to(&host, |directory| directory.say("bob", a::JOURNAL, "archive@relay.test"));
    send(&site, &["alice@example.com"], "not his");
    send(&site, &["bob@example.com"], "his");
    let got = host.message();
    assert!(got.from.starts_with("MAIL FROM:<>"), "{got:?}");
    assert_eq!(got.to, ["RCPT TO:<archive@relay.test>"]);
    assert!(got.text.contains("Recipient: bob@example.com\n") && got.text.contains("Subject: his\n"), "{}", got.text);
    site.await_mail("bob", 1);
}
