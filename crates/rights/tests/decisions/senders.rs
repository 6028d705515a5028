//! Envelope and header senders, recipients, and header fields on the way out: single cases that random worlds rarely meet.

use acl::{Outcome, Sid, well_known};
use directory::{Class, DomainKind, HostKind, Time, Token, attributes as a};
use message::rewrite::SenderEdit;
use message::senders::Mailbox;
use rights::{
    Grant, Proof, Question, Receiver, RecipientBy, RecipientGrant, Refusal, RightName, Step, has_legacy_policy,
    send_exch50, send_headers,
};

use crate::world::{World, address, allow, header};

/// Bob sends on behalf of Carol; Alice opens Bob's mailbox.
fn chain() -> World {
    let mut world = World::new();
    world.user("alice").user("bob").user("carol").link("carol", a::PUBLIC_DELEGATES, &["bob"]);
    world.text("Receive", a::DELEGATE_CHAIN, "TRUE");
    world
}

#[test]
fn a_delegate_chain_begins_with_send_as_by_an_entry() {
    let mut world = chain();
    let ace = world.send_as("alice");
    let directory = world.acl("bob", &[ace]).load();
    let senders = header("carol@example.com", Some("bob@example.com"));
    let verdict = directory.ask(&directory.account("alice"), &Question::Header(Ok(&senders)));
    let Ok(Grant::Header(grant)) = verdict.reason else { panic!("{:?}", verdict.reason) };
    assert_eq!(grant.from, [Proof::OnBehalf(directory.id("carol"))]);
}

#[test]
fn there_is_no_delegate_chain_unless_the_connector_takes_them() {
    let mut world = chain();
    let ace = world.send_as("alice");
    let directory = world.acl("bob", &[ace]).text("Receive", a::DELEGATE_CHAIN, "FALSE").load();
    let senders = header("carol@example.com", Some("bob@example.com"));
    let verdict = directory.ask(&directory.account("alice"), &Question::Header(Ok(&senders)));
    assert_eq!(verdict.reason, Err(Refusal::From(address("carol@example.com"))));
}

#[test]
fn no_delegate_chain_begins_with_send_as_by_the_legacy_policy() {
    let mut world = chain();
    let ace = world.full_access("alice");
    let directory = world.mailbox_acl("bob", &[ace]).text("Mailboxes", a::LEGACY_POLICY, "TRUE").load();
    let alice = directory.account("alice");
    let as_bob = directory.ask(&alice, &Question::SendAs(directory.id("bob")));
    assert_eq!(as_bob.reason, Ok(Grant::Sender(Proof::Legacy(directory.id("bob")))));
    let senders = header("carol@example.com", Some("bob@example.com"));
    let verdict = directory.ask(&alice, &Question::Header(Ok(&senders)));
    assert_eq!(verdict.reason, Err(Refusal::From(address("carol@example.com"))));
}

#[test]
fn an_address_of_several_or_of_nobody_in_a_domain_without_recipient_lookup_is_accepted_for_nobody() {
    let mut world = World::new();
    world.add("relay.example", Class::AcceptedDomain, "domain");
    world.text("relay.example", a::ACCEPTED_DOMAIN_NAME, "relay.example");
    world.text("relay.example", a::ACCEPTED_DOMAIN_FLAGS, "2");
    for name in ["alice", "bob"] {
        world.user(name).text(name, a::PROXY_ADDRESSES, "SMTP:both@relay.example");
    }
    let directory = world.load();
    let by = RecipientBy::AcceptedDomain(DomainKind::InternalRelay);
    for to in ["both@relay.example", "nobody@relay.example"] {
        let question = Question::Recipient { to: &address(to), sender: None, internal: false };
        let verdict = directory.ask(&directory.snapshot.anonymous_token(), &question);
        assert_eq!(verdict.reason, Ok(Grant::Recipient(RecipientGrant { object: None, by })), "{to}");
    }
}

#[test]
fn an_address_of_several_in_an_authoritative_domain_is_refused() {
    let mut world = World::new();
    for name in ["alice", "bob"] {
        world.user(name).text(name, a::PROXY_ADDRESSES, "SMTP:both@example.com");
    }
    let directory = world.load();
    let to = address("both@example.com");
    let question = Question::Recipient { to: &to, sender: None, internal: false };
    let verdict = directory.ask(&directory.snapshot.anonymous_token(), &question);
    assert_eq!(verdict.reason, Err(Refusal::AmbiguousRecipient(to.clone())));
}

/// What a receiver may see where `trustee` holds `right` on the send connector: routing, organization, forest.
fn kept(trustee: &Sid, right: RightName, receiver: &Receiver) -> [bool; 3] {
    let mut world = World::new();
    let directory = world.acl("Send", &[allow(trustee, right)]).load();
    let keep = send_headers(&directory.snapshot, directory.id("Send"), receiver, Time(0));
    [keep.routing, keep.organization, keep.forest]
}

#[test]
fn a_receiver_sees_the_header_fields_whose_right_it_holds_on_the_send_connector_and_no_others() {
    let (routing, organization, forest) =
        (RightName::SendHeadersRouting, RightName::SendHeadersOrganization, RightName::SendHeadersForest);
    let hub = Receiver::Host(HostKind::Hub);
    assert_eq!(kept(&well_known::HUB_SERVERS, routing, &hub), [true, false, false]);
    assert_eq!(kept(&well_known::HUB_SERVERS, organization, &hub), [false, true, false]);
    assert_eq!(kept(&well_known::HUB_SERVERS, forest, &hub), [false, false, true]);
    assert_eq!(kept(&well_known::HUB_SERVERS, routing, &Receiver::Anonymous), [false; 3]);
    assert_eq!(kept(&well_known::ANONYMOUS_LOGON, routing, &Receiver::Anonymous), [true, false, false]);
}

#[test]
fn the_data_of_xexch50_leave_to_a_receiver_that_holds_their_right_on_the_send_connector() {
    let mut world = World::new();
    let directory = world.acl("Send", &[allow(&well_known::HUB_SERVERS, RightName::SendExch50)]).load();
    let send = |receiver| send_exch50(&directory.snapshot, directory.id("Send"), &receiver, Time(0));
    assert!(send(Receiver::Host(HostKind::Hub)));
    assert!(!send(Receiver::Anonymous));
}

/// The steps about ownership of `of` when `who` asks to send as it.
fn ownership(world: &World, who: &str, of: &str) -> Vec<Step> {
    let directory = world.load();
    let verdict = directory.ask(&directory.account(who), &Question::SendAs(directory.id(of)));
    assert_eq!(verdict.reason, Ok(Grant::Sender(Proof::Owner(directory.id(of)))));
    verdict.trace.0.into_iter().filter(|step| matches!(step, Step::Owner { .. })).collect()
}

#[test]
fn the_trace_tells_an_account_from_an_account_that_is_linked_with_the_owner() {
    let mut world = World::new();
    world.user("alice").user("bob");
    let bob = world.sid("bob").to_bytes();
    world.set("alice", a::MASTER_ACCOUNT_SID, vec![bob]).text("alice", a::USER_ACCOUNT_CONTROL, "514");
    let directory = world.load();
    let (alice, bob) = (directory.id("alice"), directory.id("bob"));
    assert_eq!(ownership(&world, "bob", "bob"), [Step::Owner { of: bob, linked: false }]);
    assert_eq!(ownership(&world, "bob", "alice"), [Step::Owner { of: alice, linked: true }]);
}

#[test]
fn a_partner_sends_with_the_domain_of_its_certificate_and_with_no_other() {
    let directory = World::new().load();
    let partner = directory.host(HostKind::Partner { domain: "partner.example".to_owned() });
    let sender = |text: &str| directory.ask(&partner, &Question::Sender(&address(text))).reason;
    assert_eq!(sender("x@partner.example"), Ok(Grant::Sender(Proof::Partner)));
    assert_eq!(sender("x@PARTNER.example"), Ok(Grant::Sender(Proof::Partner)));
    let other = address("x@elsewhere.example");
    assert_eq!(sender("x@elsewhere.example"), Err(Refusal::Sender(other)));
}

#[test]
fn an_address_that_a_mailbox_claims_with_others_is_ours_in_any_domain() {
    let right = allow(&well_known::ANONYMOUS_LOGON, RightName::AcceptAnySender);
    let mut world = World::new();
    world.acl("Receive", &[right]);
    world.user("alice").text("alice", a::PROXY_ADDRESSES, "SMTP:both@elsewhere.example");
    world.account("bob").text("bob", a::PROXY_ADDRESSES, "SMTP:both@elsewhere.example");
    let directory = world.load();
    let sender = |text: &str| {
        let verdict = directory.ask(&directory.snapshot.anonymous_token(), &Question::Sender(&address(text)));
        (verdict.reason, verdict.outcome)
    };
    let both = address("both@elsewhere.example");
    assert_eq!(sender("both@elsewhere.example"), (Err(Refusal::Sender(both)), Outcome::None));
    assert_eq!(sender("else@elsewhere.example"), (Ok(Grant::Sender(Proof::AnySender)), Outcome::Allow));
}

#[test]
fn an_address_that_several_without_a_mailbox_claim_is_a_strangers() {
    let right = allow(&well_known::ANONYMOUS_LOGON, RightName::AcceptAnySender);
    let mut world = World::new();
    world.acl("Receive", &[right]);
    for name in ["alice", "bob"] {
        world.account(name).text(name, a::PROXY_ADDRESSES, "SMTP:both@elsewhere.example");
    }
    let directory = world.load();
    let sender = address("both@elsewhere.example");
    let verdict = directory.ask(&directory.snapshot.anonymous_token(), &Question::Sender(&sender));
    assert_eq!(verdict.reason, Ok(Grant::Sender(Proof::AnySender)));
}

#[test]
fn the_legacy_policy_of_the_database_or_of_its_server_counts_and_nothing_else() {
    let policy = |on: Option<&str>| {
        let mut world = World::new();
        world.user("alice");
        if let Some(on) = on {
            world.text(on, a::LEGACY_POLICY, "TRUE");
        }
        let directory = world.load();
        has_legacy_policy(&directory.snapshot, directory.id("alice"))
    };
    assert!(policy(Some("Mailboxes")) && policy(Some("Mail")));
    assert!(!policy(None));
}

/// Whether mail counts as internal that Alice's account, in this group, or a computer brings, everybody holding the right.
fn internal(world: &World, who: &str, anonymous: bool) -> bool {
    let directory = world.load();
    directory.ask(&directory.account(who), &Question::Internal { anonymous }).reason.is_ok()
}

#[test]
fn servers_with_an_account_mark_mail_as_internal_and_people_do_not() {
    let mut world = World::new();
    world.user("alice").user("bob").group("ExchangeLegacyInterop", &["bob"]).account("relay");
    let computer = Class::Computer.object_classes().iter().map(|name| name.as_bytes().to_vec()).collect();
    world.set("relay", a::OBJECT_CLASS, computer);
    let flag = allow(&well_known::AUTHENTICATED_USERS, RightName::AcceptAuthenticationFlag);
    world.acl("Receive", &[flag]);
    assert_eq!(["alice", "bob", "relay"].map(|who| internal(&world, who, false)), [false, true, true]);
    assert_eq!(["alice", "bob", "relay"].map(|who| internal(&world, who, true)), [false; 3]);
    world.acl("Receive", &[]);
    assert_eq!(["alice", "bob", "relay"].map(|who| internal(&world, who, false)), [false; 3]);
}

#[test]
fn lists_of_a_recipient_say_who_may_send_to_it() {
    let mut world = World::new();
    world.user("alice").user("bob").user("carol");
    let to = address("carol@example.com");
    let sends = |world: &World, who: &str| {
        let directory = world.load();
        let sender = Proof::Owner(directory.id(who));
        let question = Question::Recipient { to: &to, sender: Some(&sender), internal: false };
        directory.ask(&directory.account(who), &question).reason.is_ok()
    };
    let both = |world: &World| ["alice", "bob"].map(|who| sends(world, who));
    assert_eq!(both(&world), [true, true]);
    world.link("carol", a::AUTH_ORIG, &["alice"]);
    assert_eq!(both(&world), [true, false]);
    world.link("carol", a::AUTH_ORIG, &[]).link("carol", a::UNAUTH_ORIG, &["alice"]);
    assert_eq!(both(&world), [false, true]);
}

#[test]
fn a_recipient_who_is_nobody_is_refused_where_recipients_are_looked_up_and_the_reason_says_whose_the_domain_is() {
    let mut world = World::new();
    world.add("relay.example", Class::AcceptedDomain, "domain");
    world.text("relay.example", a::ACCEPTED_DOMAIN_NAME, "relay.example");
    world.text("relay.example", a::ACCEPTED_DOMAIN_FLAGS, "2").text("relay.example", a::RECIPIENT_LOOKUP, "TRUE");
    let directory = world.load();
    for (to, ours) in [("nobody@example.com", true), ("nobody@relay.example", false)] {
        let to = address(to);
        let question = Question::Recipient { to: &to, sender: None, internal: false };
        let verdict = directory.ask(&directory.snapshot.anonymous_token(), &question);
        assert_eq!(verdict.reason, Err(Refusal::UserUnknown(to.clone())));
        let said = Step::Nobody { address: to.canonical(), authoritative: ours };
        assert!(verdict.trace.0.contains(&said), "{:?}", verdict.trace);
    }
}

/// What Alice's Sender field becomes, with her own address in it.
fn own_sender(world: &World, from: &[&str]) -> SenderEdit {
    let directory = world.load();
    let mut senders = header("nobody@example.net", Some("alice@example.com"));
    senders.from = from.iter().map(|text| Mailbox { display_name: None, address: address(text) }).collect();
    let verdict = directory.ask(&directory.account("alice"), &Question::Header(Ok(&senders)));
    let Ok(Grant::Header(grant)) = verdict.reason else { panic!("{:?}", verdict.reason) };
    grant.sender
}

#[test]
fn an_own_sender_stays_beside_an_author_whose_address_nothing_proves() {
    let mut world = World::new();
    world.user("alice");
    let ace = allow(&world.sid("alice"), RightName::AcceptAnySender);
    world.acl("Receive", &[ace]);
    assert_eq!(own_sender(&world, &["stranger@example.net"]), SenderEdit::Keep);
}

#[test]
fn several_authors_have_a_sender_also_where_each_is_sent_as() {
    let mut world = World::new();
    world.user("alice").user("bob").user("carol");
    for name in ["bob", "carol"] {
        let ace = world.send_as("alice");
        world.acl(name, &[ace]);
    }
    assert_eq!(own_sender(&world, &["bob@example.com"]), SenderEdit::Remove);
    let several = own_sender(&world, &["bob@example.com", "carol@example.com"]);
    assert!(matches!(&several, SenderEdit::Set(own) if own.address == address("alice@example.com")), "{several:?}");
}

#[test]
fn several_authors_have_the_first_as_sender_for_an_account_without_an_address_and_nobody_for_a_stranger() {
    let mut world = World::new();
    world.account("press").user("bob").user("carol");
    for name in ["bob", "carol"] {
        let ace = world.send_as("press");
        world.acl(name, &[ace]);
    }
    world.acl("Receive", &[allow(&well_known::ANONYMOUS_LOGON, RightName::AcceptAnySender)]);
    let directory = world.load();
    let edit = |token: &Token, from: [&str; 2]| {
        let mut senders = header(from[0], None);
        senders.from.push(Mailbox { display_name: None, address: address(from[1]) });
        let verdict = directory.ask(token, &Question::Header(Ok(&senders)));
        let Ok(Grant::Header(grant)) = verdict.reason else { panic!("{:?}", verdict.reason) };
        grant.sender
    };
    let own = edit(&directory.account("press"), ["bob@example.com", "carol@example.com"]);
    assert!(matches!(&own, SenderEdit::Set(first) if first.address == address("bob@example.com")), "{own:?}");
    let stranger = edit(&directory.snapshot.anonymous_token(), ["one@example.net", "two@example.net"]);
    assert_eq!(stranger, SenderEdit::Keep);
}
