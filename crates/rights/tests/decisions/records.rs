//! Records of decisions: the words for each step, who asked, and the grant that would mend a refusal.

use std::sync::Arc;

use acl::{Ace, AceFlags, Acl, Outcome, SecurityDescriptor};
use directory::{Class, HostKind, Time, Token, attributes as a};
use message::Address;
use rights::pause::Paused;
use rights::shortfall::shortfall;
use rights::{
    Asked, Authority, Circumstances, DecisionRecord, Denied, DescriptorKind, Missing, Question, Refusal, RightName,
    Step, Transaction, VerdictKind, Wanted, lines,
};

use crate::world::{Directory, World, address, allow, deny_send_as, header};

const ALICE: &str = "CN=alice,DC=example,DC=com";
const BOB: &str = "CN=bob,DC=example,DC=com";
const RECEIVE: &str = "CN=Receive,DC=example,DC=com";

fn people() -> World {
    let mut world = World::new();
    world.user("alice").user("bob").user("carol");
    world
}

fn circumstances(authority: &Authority) -> Circumstances<'_> {
    let remote = "192.0.2.1:4321".to_owned();
    Circumstances { id: "01J".to_owned(), time: Time(7), remote, authority, asked: Asked::default() }
}

fn refused(directory: &Directory, token: Arc<Token>, refusal: Refusal, steps: Vec<Step>) -> DecisionRecord {
    let authority = Authority { account: token.account, ..Authority::new(directory.id("Receive"), None) };
    let denied = Denied { refusal, outcome: Outcome::None, token, steps };
    DecisionRecord::refused(&directory.snapshot, circumstances(&authority), &denied, false)
}

/// The text of one step of a decision about Bob's token.
fn text(directory: &Directory, step: Step) -> String {
    lines(&directory.snapshot, &directory.account("bob"), &[step]).remove(0).text
}

#[test]
fn each_step_has_its_words() {
    let mut world = people();
    let directory = world.group("team", &["bob"]).load();
    let (alice, bob, team) = (directory.id("alice"), directory.id("bob"), directory.id("team"));
    let canonical = |text: &str| address(text).canonical();
    let no_ace = |kind, wanted, outcome| Step::NoAce { on: alice, kind, wanted, outcome };
    let send_as = Wanted::Right(RightName::SendAs);
    let (object, mailbox) = (DescriptorKind::Object, DescriptorKind::Mailbox);
    let x = "x@example.com";
    let expected = [
        (no_ace(object, send_as, Outcome::None), format!("Send As on {ALICE}: no entry matches")),
        (no_ace(object, send_as, Outcome::Allow), format!("Send As on {ALICE}: granted, there is no DACL")),
        (
            no_ace(mailbox, Wanted::FullMailboxAccess, Outcome::None),
            format!("Full Mailbox Access on {ALICE}: no entry matches"),
        ),
        (
            no_ace(mailbox, Wanted::InheritedSendAs, Outcome::None),
            format!("Send As on the mailbox store on {ALICE}: no entry matches"),
        ),
        (
            Step::Unreadable { on: alice, kind: object, wanted: send_as },
            format!("Send As on {ALICE}: unknown, the descriptor could not be read"),
        ),
        (Step::AddressOf { address: canonical(x), owner: alice }, format!("{x} is an address of {ALICE}")),
        (
            Step::Nobody { address: canonical(x), authoritative: true },
            format!("{x}: nobody owns it, and its domain is authoritative"),
        ),
        (Step::Nobody { address: canonical(x), authoritative: false }, format!("{x}: not an address of ours")),
        (
            Step::SeveralOwners { address: canonical(x), owners: vec![alice, bob] },
            format!("{x}: no proof, several objects own it: {ALICE}; {BOB}"),
        ),
        (Step::Owner { of: bob, linked: false }, format!("the account is {BOB} itself")),
        (Step::Owner { of: alice, linked: true }, format!("the account is the Associated External Account of {ALICE}")),
        (
            Step::LinkIgnored { of: alice },
            format!("the Associated External Account of {ALICE} is ignored: the owner is enabled"),
        ),
        (Step::Delegate { of: alice, path: vec![bob] }, format!("Send on Behalf of {ALICE}: delegate")),
        (
            Step::Delegate { of: alice, path: vec![bob, team] },
            format!("Send on Behalf of {ALICE}: delegate through EXAMPLE\\bob > EXAMPLE\\team"),
        ),
        (Step::NoDelegate { of: alice }, format!("Send on Behalf of {ALICE}: not a delegate")),
        (Step::LoggedOn { to: alice }, format!("logged on to the mailbox of {ALICE}")),
        (
            Step::SuperDelegate { of: alice },
            format!("super-delegate of {ALICE}: delegate with Full Mailbox Access, logged on to it"),
        ),
        (Step::Partner { domain: "b.test".to_owned() }, "the certificate of the peer proves b.test".to_owned()),
        (Step::Ours { address: canonical(x) }, format!("{x} is ours: Accept any Sender alone does not cover it")),
        (Step::NoOwnAddress, "the account has no address of its own to put into Sender".to_owned()),
        (Step::OnBehalfRejected, "the connector takes no mail on behalf of others".to_owned()),
    ];
    for (step, expected) in expected {
        assert_eq!(text(&directory, step), expected);
    }
}

#[test]
fn a_step_about_an_object_names_it_and_its_guid_and_the_way_through_groups() {
    let mut world = people();
    let directory = world.group("team", &["bob"]).load();
    let path = vec![directory.id("bob"), directory.id("team")];
    let steps = [Step::Delegate { of: directory.id("alice"), path }, Step::NoOwnAddress];
    let lines = lines(&directory.snapshot, &directory.account("bob"), &steps);
    assert_eq!(lines[0].object.as_deref(), Some(ALICE));
    assert_eq!(lines[0].guid, Some(directory.guid("alice").to_string()));
    assert_eq!(lines[0].through, ["EXAMPLE\\bob", "EXAMPLE\\team"]);
    assert_eq!((&lines[1].object, &lines[1].guid, lines[1].through.len()), (&None, &None, 0));
}

/// The line of the entry that decides whether `who` sends as Alice.
fn entry_line(directory: &Directory, who: &str) -> rights::TraceLine {
    let token = directory.account(who);
    let verdict = directory.ask(&token, &Question::SendAs(directory.id("alice")));
    let steps: Vec<Step> = verdict.trace.0.into_iter().filter(|step| matches!(step, Step::Ace { .. })).collect();
    lines(&directory.snapshot, &token, &steps).remove(0)
}

#[test]
fn the_line_of_an_explicit_entry_gives_it_in_words_and_in_sddl() {
    let mut world = people();
    let grant = world.send_as("bob");
    let directory = world.acl("alice", &[grant]).load();
    let line = entry_line(&directory, "bob");
    assert_eq!(line.text, format!("Send As on {ALICE}: allowed to EXAMPLE\\bob, explicit"));
    assert_eq!((line.object.as_deref(), line.guid), (Some(ALICE), Some(directory.guid("alice").to_string())));
    let ace = line.ace.unwrap();
    let bob = directory.sid("bob").to_string();
    assert_eq!(ace.sddl, format!("(OA;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;{bob})"));
    assert_eq!((ace.index, ace.outcome.as_str(), ace.trustee.as_str()), (0, "allow", "EXAMPLE\\bob"));
    assert_eq!((ace.sid, ace.inherited_from), (bob, None));
}

#[test]
fn the_line_of_an_entry_for_a_group_gives_the_way_from_the_account() {
    let mut world = people();
    world.group("team", &["bob"]);
    let denial = deny_send_as(&world.sid("team"));
    let directory = world.acl("alice", &[denial]).load();
    let line = entry_line(&directory, "bob");
    assert_eq!(line.through, ["EXAMPLE\\bob", "EXAMPLE\\team"]);
    let expected =
        format!("Send As on {ALICE}: denied to EXAMPLE\\team, explicit, through EXAMPLE\\bob > EXAMPLE\\team");
    assert_eq!(line.text, expected);
    assert_eq!(line.ace.unwrap().outcome, "deny");
}

#[test]
fn the_line_of_an_inherited_entry_says_from_where() {
    let mut world = people();
    let above = world.send_as("bob").with_flags(AceFlags::CONTAINER_INHERIT);
    let open = SecurityDescriptor::with_dacl(Acl::new(Vec::new())).to_bytes();
    let directory = world.acl("domain", &[above]).set("alice", a::DESCRIPTOR, vec![open]).load();
    let line = entry_line(&directory, "bob");
    assert_eq!(line.text, format!("Send As on {ALICE}: allowed to EXAMPLE\\bob, inherited from DC=example,DC=com"));
    assert_eq!(line.ace.unwrap().inherited_from.as_deref(), Some("DC=example,DC=com"));
}

#[test]
fn an_entry_that_is_gone_is_still_a_line() {
    let directory = people().load();
    let on = directory.id("alice");
    let wanted = Wanted::FullMailboxAccess;
    let step = Step::Ace { on, kind: DescriptorKind::Mailbox, index: 9, wanted, outcome: Outcome::Allow };
    assert_eq!(text(&directory, step), format!("Full Mailbox Access on {ALICE}: decided"));
}

#[test]
fn a_record_tells_by_whose_permissions_was_decided() {
    let directory = people().load();
    let partner = HostKind::Partner { domain: "b.test".to_owned() };
    for (token, expected) in [
        (directory.snapshot.anonymous_token(), "anonymous"),
        (directory.account("bob"), "account"),
        (directory.host(HostKind::ExternallySecured), "trusted by address"),
        (directory.host(partner), "partner certificate"),
        (directory.host(HostKind::Hub), "own server"),
        (directory.host(HostKind::Edge), "own server"),
    ] {
        assert_eq!(refused(&directory, token, Refusal::NoSubmit, Vec::new()).who.token, expected);
    }
}

#[test]
fn a_record_names_account_connector_and_a_mailbox_that_is_not_the_accounts_own() {
    let directory = people().load();
    let bob = directory.id("bob");
    for (logon, expected) in [(None, None), (Some("bob"), None), (Some("alice"), Some("EXAMPLE\\alice"))] {
        let logon = logon.map(|name| directory.id(name));
        let authority = Authority { account: Some(bob), logon, ..Authority::new(directory.id("Receive"), None) };
        let token = directory.account("bob");
        let record = DecisionRecord::allowed(&directory.snapshot, circumstances(&authority), &token, &[]);
        assert_eq!(record.who.logon.as_deref(), expected);
        assert_eq!(record.who.account.as_deref(), Some("EXAMPLE\\bob"));
        assert_eq!(record.who.sid, Some(directory.sid("bob").to_string()));
        assert_eq!((record.who.connector.as_str(), record.who.remote.as_str()), ("Receive", "192.0.2.1:4321"));
        assert_eq!((record.verdict, record.outcome.as_str()), (VerdictKind::Allowed, "allow"));
    }
}

#[test]
fn the_record_of_a_refusal_gives_reply_name_and_outcome() {
    let directory = people().load();
    let authority = Authority::new(directory.id("Receive"), None);
    let verdict = |outcome, observed| {
        let (token, refusal) = (directory.snapshot.anonymous_token(), Refusal::NoSubmit);
        let denied = Denied { refusal, outcome, token, steps: Vec::new() };
        DecisionRecord::refused(&directory.snapshot, circumstances(&authority), &denied, observed)
    };
    let record = verdict(Outcome::None, false);
    let reply = "550 5.7.1 Client does not have permissions to submit to this server";
    assert_eq!((record.reply.as_deref(), record.refusal.as_deref()), (Some(reply), Some("no-submit")));
    assert_eq!((record.verdict, record.outcome.as_str()), (VerdictKind::Refused, "none"));
    let record = verdict(Outcome::Deny, true);
    assert_eq!((record.verdict, record.outcome.as_str()), (VerdictKind::Observed, "deny"));
}

/// What mends a refusal: right, object, command, for Bob or for a session without an account.
fn missing(directory: &Directory, by: Option<&str>, refusal: Refusal, steps: Vec<Step>) -> Option<Missing> {
    let token = by.map_or_else(|| directory.snapshot.anonymous_token(), |name| directory.account(name));
    refused(directory, token, refusal, steps).missing
}

#[test]
fn a_refusal_says_which_grant_would_mend_it() {
    let mut world = people();
    for name in ["dora", "emil"] {
        world.user(name).text(name, a::PROXY_ADDRESSES, "SMTP:both@example.com");
    }
    let directory = world.load();
    let bob = Some("bob");
    let (authoritative, any) = ("ms-Exch-SMTP-Accept-Authoritative-Domain-Sender", "ms-Exch-SMTP-Accept-Any-Sender");
    let submit = "ms-Exch-SMTP-Submit";
    let sender = |text| Refusal::Sender(address(text));
    let from = |text| Refusal::From(address(text));
    let recipient: fn(fn(Address) -> Refusal) -> Refusal = |refusal| refusal(address("x@elsewhere.test"));
    let table = [
        (bob, sender("alice@example.com"), Some(("Send-As", ALICE))),
        (bob, from("alice@example.com"), Some(("Send-As", ALICE))),
        (None, sender("alice@example.com"), Some((authoritative, RECEIVE))),
        (None, from("alice@example.com"), Some((authoritative, RECEIVE))),
        (bob, sender("nobody@example.com"), Some((authoritative, RECEIVE))),
        (bob, sender("x@elsewhere.test"), Some((any, RECEIVE))),
        (None, sender("x@elsewhere.test"), Some((any, RECEIVE))),
        (bob, sender("both@example.com"), None),
        (bob, Refusal::NoSubmit, Some((submit, RECEIVE))),
        (None, Refusal::NotAuthenticated, Some((submit, RECEIVE))),
        (bob, Refusal::AuthenticationFailed, Some((submit, RECEIVE))),
        (None, Refusal::AuthenticationFailed, None),
        (bob, recipient(Refusal::UnableToRelay), Some(("ms-Exch-SMTP-Accept-Any-Recipient", RECEIVE))),
        (bob, Refusal::TooLarge { limit: 1 }, Some(("ms-Exch-Bypass-Message-Size-Limit", RECEIVE))),
        (bob, recipient(Refusal::UserUnknown), None),
        (bob, Refusal::FromMissing, None),
    ];
    for (by, refusal, expected) in table {
        let trustee = by.map_or("NT AUTHORITY\\ANONYMOUS LOGON", |_| "EXAMPLE\\bob");
        let expected = expected.map(|(right, on)| Missing {
            right: right.to_owned(),
            on: on.to_owned(),
            trustee: trustee.to_owned(),
            command: format!("procura permission add '{on}' --user '{trustee}' --right {right}"),
            obstacle: None,
        });
        assert_eq!(missing(&directory, by, refusal.clone(), Vec::new()), expected, "{refusal:?}");
    }
}

#[test]
fn a_refused_logon_to_a_mailbox_is_mended_by_full_mailbox_access() {
    let directory = people().load();
    let on = directory.id("alice");
    let (kind, wanted) = (DescriptorKind::Mailbox, Wanted::FullMailboxAccess);
    let expected = Missing {
        right: "Full Mailbox Access".to_owned(),
        on: ALICE.to_owned(),
        trustee: "EXAMPLE\\bob".to_owned(),
        command: format!("procura mailbox-permission add '{ALICE}' --user 'EXAMPLE\\bob' --right full-access"),
        obstacle: None,
    };
    for refusal in [Refusal::NoSubmit, Refusal::AuthenticationFailed] {
        for step in [
            Step::NoAce { on, kind, wanted, outcome: Outcome::None },
            Step::Ace { on, kind, index: 0, wanted, outcome: Outcome::Deny },
        ] {
            let found = missing(&directory, Some("bob"), refusal.clone(), vec![step]);
            assert_eq!(found.as_ref(), Some(&expected));
        }
        let held = Step::Ace { on, kind, index: 0, wanted, outcome: Outcome::Allow };
        let found = missing(&directory, Some("bob"), refusal, vec![held]).unwrap();
        assert_eq!(found.right, "ms-Exch-SMTP-Submit");
    }
}

#[test]
fn an_inherited_denial_is_named_with_the_grant_that_comes_before_it() {
    let mut world = people();
    world.add("Staff", Class::OrganizationalUnit, "domain");
    let denial = deny_send_as(&world.sid("bob")).with_flags(AceFlags::CONTAINER_INHERIT);
    let other = Ace::deny_object(world.sid("bob"), acl::AccessMask::CONTROL_ACCESS, RightName::ReceiveAs.guid());
    world.acl("domain", &[denial]);
    let open = SecurityDescriptor::with_dacl(Acl::new(vec![other])).to_bytes();
    let directory = world.set("alice", a::DESCRIPTOR, vec![open]).load();
    let on = directory.id("alice");
    let ace = |index, right, outcome| Step::Ace {
        on,
        kind: DescriptorKind::Object,
        index,
        wanted: Wanted::Right(right),
        outcome,
    };
    let refusal = || Refusal::Sender(address("alice@example.com"));
    let denied = ace(1, RightName::SendAs, Outcome::Deny);
    let elsewhere = ace(0, RightName::ReceiveAs, Outcome::Deny);
    let found = missing(&directory, Some("bob"), refusal(), vec![elsewhere.clone(), denied]).unwrap();
    assert_eq!(
        found.obstacle.as_deref(),
        Some("an entry inherited from DC=example,DC=com denies it; one on the object comes first")
    );
    assert_eq!(found.command, format!("procura permission add '{ALICE}' --user 'EXAMPLE\\bob' --right Send-As"));
    for step in [elsewhere, ace(0, RightName::SendAs, Outcome::Allow)] {
        assert_eq!(missing(&directory, Some("bob"), refusal(), vec![step]).unwrap().obstacle, None);
    }
}

#[test]
fn a_denial_on_the_object_is_named_with_the_command_that_takes_it_away() {
    let take_away = format!("procura permission remove '{ALICE}' --user 'EXAMPLE\\bob' --right Send-As --deny");
    let by_hand = format!("procura sd edit '{ALICE}'");
    let world = people();
    let denial = deny_send_as(&world.sid("bob"));
    let of_all_rights = Ace::deny(world.sid("bob"), acl::AccessMask::CONTROL_ACCESS);
    let inherited_too = denial.clone().with_flags(AceFlags::CONTAINER_INHERIT);
    for (denial, command) in [(denial, &take_away), (of_all_rights, &by_hand), (inherited_too, &by_hand)] {
        let mut world = people();
        let open = SecurityDescriptor::with_dacl(Acl::new(vec![denial])).to_bytes();
        let directory = world.set("alice", a::DESCRIPTOR, vec![open]).load();
        let step = Step::Ace {
            on: directory.id("alice"),
            kind: DescriptorKind::Object,
            index: 0,
            wanted: Wanted::Right(RightName::SendAs),
            outcome: Outcome::Deny,
        };
        let refusal = Refusal::Sender(address("alice@example.com"));
        let found = missing(&directory, Some("bob"), refusal, vec![step]).unwrap();
        assert_eq!(found.obstacle, Some(format!("an entry on {ALICE} denies it and comes first")));
        assert_eq!(&found.command, command);
    }
}

/// The verdict about a message of Bob's with this From address; none where there is no record.
fn sent(directory: &Directory, from: &str) -> Option<DecisionRecord> {
    let receive = directory.id("Receive");
    let authority = Authority { account: Some(directory.id("bob")), ..Authority::new(receive, None) };
    let snapshot = &directory.snapshot;
    let own = address("bob@example.com");
    let mut transaction = Transaction::mail_from(snapshot, &authority, Time(0), Some(&own), false).unwrap();
    let senders = header(from, None);
    let accepted = transaction.header(snapshot, &authority, Time(0), Ok(&senders)).unwrap();
    DecisionRecord::accepted(snapshot, circumstances(&authority), &accepted, "Q1")
}

#[test]
fn a_message_for_somebody_else_leaves_a_record_and_an_own_one_leaves_none() {
    let mut world = people();
    let (submit, grant) = (allow(&world.sid("bob"), RightName::Submit), world.send_as("bob"));
    world.acl("Receive", &[submit]).acl("alice", &[grant]);
    let directory = world.link("carol", a::PUBLIC_DELEGATES, &["bob"]).load();
    let as_alice = sent(&directory, "alice@example.com").unwrap();
    assert_eq!((as_alice.verdict, as_alice.queue_id.as_deref()), (VerdictKind::SentAs, Some("Q1")));
    assert!(as_alice.trace.iter().any(|line| line.ace.is_some()));
    let for_carol = sent(&directory, "carol@example.com").unwrap();
    assert_eq!((for_carol.verdict, for_carol.queue_id.as_deref()), (VerdictKind::SentOnBehalf, Some("Q1")));
    assert_eq!(sent(&directory, "bob@example.com"), None);
}

/// What is missing for a message of Bob's that waits for the right to send as Alice.
fn waits_for(directory: &Directory) -> Missing {
    let token = directory.account("bob");
    let authority = Authority { account: token.account, ..Authority::new(directory.id("Receive"), None) };
    let refusal = Refusal::Sender(address("alice@example.com"));
    let denied = Box::new(Denied { refusal, outcome: Outcome::None, token, steps: Vec::new() });
    let paused = Paused { user: directory.id("alice"), denied };
    let record = DecisionRecord::paused(&directory.snapshot, circumstances(&authority), &paused, "Q1");
    assert_eq!((record.verdict, record.reply, record.queue_id.as_deref()), (VerdictKind::Paused, None, Some("Q1")));
    record.missing.unwrap()
}

#[test]
fn the_record_of_a_message_that_waits_names_what_stands_in_the_way_of_a_grant_and_nothing_where_nothing_does() {
    let mut world = people();
    let open = SecurityDescriptor::with_dacl(Acl::new(Vec::new())).to_bytes();
    world.set("domain", a::DESCRIPTOR, vec![open.clone()]).set("alice", a::DESCRIPTOR, vec![open]);
    let found = waits_for(&world.load());
    assert_eq!((found.right.as_str(), found.on.as_str(), found.obstacle), ("Send-As", ALICE, None));
    let denial = deny_send_as(&world.sid("bob"));
    let found = waits_for(&world.acl("alice", &[denial]).load());
    let directory = world.load();
    let shortfall = shortfall(&directory.snapshot, directory.id("bob"), directory.id("alice")).unwrap();
    assert_eq!((found.command, found.obstacle), (shortfall.command, Some(shortfall.detail)));
}

#[test]
fn where_there_is_one_domain_a_builtin_group_is_named_without_it() {
    let mut world = people();
    world.group("Account Operators", &["bob"]);
    let operators = acl::well_known::BUILTIN_ACCOUNT_OPERATORS;
    world.set("Account Operators", a::OBJECT_SID, vec![operators.to_bytes()]);
    let directory = world.acl("alice", &[allow(&operators, RightName::SendAs)]).load();
    let bob = directory.account("bob");
    let verdict = directory.ask(&bob, &Question::SendAs(directory.id("alice")));
    let text = lines(&directory.snapshot, &bob, &verdict.trace.0).remove(0).text;
    assert!(text.contains("allowed to BUILTIN\\Account Operators, explicit"), "{text}");
}
