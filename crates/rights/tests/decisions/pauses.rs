//! Service accounts whose mail waits for a missing right (`authorization.md` §8): whose, for whom, and with which words.

use acl::{AceFlags, Acl, Guid, SecurityDescriptor};
use directory::{Class, Time, attributes as a};
use message::senders::{SenderFault, Senders};
use rights::pause::{self, Key, Policy, account_name, event, event_name, is_denied};
use rights::{Accepted, Authority, Proof, Refusal, Transaction};

use crate::world::{Directory, World, address, deny_send_as, header};

/// The service account Good, which pauses for the users of the organizational unit Staff, Alice and Bob; Carol is elsewhere.
fn world() -> World {
    let mut world = World::new();
    world.user("good").user("carol").add("Staff", Class::OrganizationalUnit, "domain");
    world.add_user("alice", "Staff").add_user("bob", "Staff");
    world.link("good", a::PAUSE_SCOPE, &["Staff"]);
    world.set("Receive", a::DESCRIPTOR, vec![submit()]);
    world
}

/// Everybody may submit.
fn submit() -> Vec<u8> {
    let ace = crate::world::allow(&acl::well_known::EVERYONE, rights::RightName::Submit);
    crate::world::descriptor(&[ace])
}

fn policy(directory: &Directory) -> Option<Policy> {
    Policy::of(&directory.snapshot, directory.id("good"))
}

fn covers(directory: &Directory, user: &str) -> bool {
    policy(directory).unwrap().covers(&directory.snapshot, directory.id(user))
}

#[test]
fn the_event_is_that_of_s1() {
    assert_eq!(
        event("johndoe"),
        "Failed to submit mail message for user johndoe. (HRESULT:-2147024891) Pausing user johndoe. \
         (Security error - Cannot access the users mailbox.)"
    );
}

#[test]
fn the_event_names_a_user_by_the_logon_name() {
    let mut world = world();
    let directory = world.text("alice", a::SAM_ACCOUNT_NAME, "al").load();
    assert_eq!(event_name(&directory.snapshot, directory.id("alice")), "al");
    assert_eq!(event_name(&directory.snapshot, directory.id("Staff")), "Staff");
}

#[test]
fn an_account_is_named_with_its_domain_and_by_its_guid_when_it_is_gone() {
    let directory = world().load();
    assert_eq!(account_name(&directory.snapshot, &directory.guid("alice")), "EXAMPLE\\alice");
    assert_eq!(account_name(&directory.snapshot, &directory.guid("Staff")), "OU=Staff,DC=example,DC=com");
    let gone = Guid::from_u128(7);
    assert_eq!(account_name(&directory.snapshot, &gone), gone.to_string());
}

#[test]
fn a_key_of_the_queue_reads_as_it_was_written() {
    for aside in [false, true] {
        let key = Key { account: Guid::from_u128(1), user: Guid::from_u128(2), aside };
        let prefix = if aside { "aside" } else { "pause" };
        assert_eq!(key.to_string(), format!("{prefix}:{}:{}", key.account, key.user));
        assert_eq!(Key::parse(&key.to_string()), Some(key));
    }
    assert_eq!(Key::parse("quota:x"), None);
}

#[test]
fn limits_are_those_of_the_account_or_a_hundred_thousand_messages_ten_gibibytes_and_a_week() {
    let mut world = world();
    let Policy { max_messages, max_bytes, max_age, notify, .. } = policy(&world.load()).unwrap();
    assert_eq!((max_messages, max_bytes, max_age), (100_000, 10_737_418_240, 604_800_000));
    assert_eq!(notify, Vec::<String>::new());
    world.text("good", a::PAUSE_MAX_MESSAGES, "3").text("good", a::PAUSE_MAX_BYTES, "5");
    world.text("good", a::PAUSE_MAX_AGE, "60").text("good", a::PAUSE_NOTIFY, "ops@example.com");
    let Policy { max_messages, max_bytes, max_age, notify, .. } = policy(&world.load()).unwrap();
    assert_eq!((max_messages, max_bytes, max_age), (3, 5, 60_000));
    assert_eq!(notify, ["ops@example.com"]);
}

#[test]
fn an_account_pauses_when_it_has_a_scope() {
    let directory = world().load();
    let exists = |name: &str| Policy::exists(&directory.snapshot, directory.id(name));
    assert_eq!((exists("good"), exists("alice")), (true, false));
    assert_eq!(Policy::of(&directory.snapshot, directory.id("alice")), None);
}

#[test]
fn a_unit_covers_the_mailbox_owners_below_it_at_any_depth_and_no_others() {
    let mut world = world();
    world.add("Team", Class::OrganizationalUnit, "Staff").add_user("dora", "Team");
    world.add("printer", Class::User, "Staff").add("list", Class::Group, "Staff");
    let directory = world.load();
    let found = ["alice", "bob", "dora", "carol", "printer", "list"].map(|name| covers(&directory, name));
    assert_eq!(found, [true, true, true, false, false, false]);
}

#[test]
fn a_group_with_a_mailbox_is_no_user_to_pause_for() {
    let mut world = world();
    world.group("team", &[]).link("good", a::PAUSE_SCOPE, &["team"]);
    let mailbox = Guid::from_u128(0x9000);
    let directory = world.set("team", a::MAILBOX_GUID, vec![mailbox.0.to_vec()]).load();
    assert!(!covers(&directory, "team"));
}

#[test]
fn a_scope_is_a_user_a_group_a_unit_a_domain_or_the_organization() {
    let mut world = world();
    world.add("First", Class::Organization, "domain").group("team", &["bob"]);
    let mut found = |scope: &str| {
        let directory = world.link("good", a::PAUSE_SCOPE, &[scope]).load();
        ["alice", "bob", "carol"].map(|name| covers(&directory, name))
    };
    assert_eq!(found("alice"), [true, false, false]);
    assert_eq!(found("team"), [false, true, false]);
    assert_eq!(found("Staff"), [true, true, false]);
    assert_eq!(found("domain"), [true, true, true]);
    assert_eq!(found("First"), [true, true, true]);
}

#[test]
fn a_domain_does_not_cover_the_users_of_its_child_domain() {
    let mut world = world();
    world.add("child", Class::Domain, "domain").add_user("junior", "child");
    let directory = world.link("good", a::PAUSE_SCOPE, &["domain"]).load();
    assert!(!covers(&directory, "junior"));
}

#[test]
fn a_denial_of_send_as_on_the_owner_is_a_denial_and_nothing_else_is() {
    let mut world = world();
    let denied = |world: &World| {
        let directory = world.load();
        is_denied(&directory.snapshot, &directory.account("good"), &directory.facts(), directory.id("alice"))
    };
    assert!(!denied(&world));
    let refused = deny_send_as(&world.sid("good"));
    assert!(denied(world.acl("alice", std::slice::from_ref(&refused))));
    let allowed = world.send_as("good");
    assert!(!denied(world.acl("alice", &[allowed, refused.clone()])));
    let from_above = refused.with_flags(AceFlags::CONTAINER_INHERIT);
    world.acl("Staff", &[from_above]);
    let open = SecurityDescriptor::with_dacl(Acl::new(Vec::new())).to_bytes();
    assert!(denied(world.set("alice", a::DESCRIPTOR, vec![open])));
}

/// MAIL FROM by Good, which may pause.
fn begin(directory: &Directory, from: &str) -> Result<Transaction, Refusal> {
    let sender = address(from);
    Transaction::mail_from_pausing(&directory.snapshot, &good(directory), Time(0), Some(&sender), false)
        .map_err(|denied| denied.refusal)
}

fn good(directory: &Directory) -> Authority {
    Authority { account: Some(directory.id("good")), ..Authority::new(directory.id("Receive"), None) }
}

fn end(directory: &Directory, mut transaction: Transaction, senders: &Senders) -> Result<Accepted, Refusal> {
    let authority = good(directory);
    let senders: Result<&Senders, &SenderFault> = Ok(senders);
    transaction.header(&directory.snapshot, &authority, Time(0), senders).map_err(|denied| denied.refusal)
}

#[test]
fn mail_for_a_user_in_scope_waits_with_the_refusal_that_it_would_have_been() {
    let directory = world().load();
    let from = "alice@example.com";
    let accepted = end(&directory, begin(&directory, from).unwrap(), &header(from, None)).unwrap();
    let paused = accepted.paused.unwrap();
    assert_eq!((paused.user, paused.denied.refusal), (directory.id("alice"), Refusal::Sender(address(from))));
    assert_eq!(accepted.envelope, Some(Proof::SendAs(directory.id("alice"))));
}

#[test]
fn mail_whose_header_alone_lacks_a_right_waits_too() {
    let directory = world().load();
    let transaction = begin(&directory, "good@example.com").unwrap();
    let accepted = end(&directory, transaction, &header("bob@example.com", None)).unwrap();
    let paused = accepted.paused.unwrap();
    assert_eq!((paused.user, paused.denied.refusal), (directory.id("bob"), Refusal::From(address("bob@example.com"))));
    assert_eq!(accepted.header.from, [Proof::SendAs(directory.id("bob"))]);
}

#[test]
fn the_users_of_a_message_are_its_owners_but_the_account_each_once() {
    let mut world = world();
    let grant = world.send_as("good");
    let directory = world.acl("alice", std::slice::from_ref(&grant)).acl("bob", &[grant]).load();
    let users = |from: &str, header_from: &str| {
        end(&directory, begin(&directory, from).unwrap(), &header(header_from, None)).unwrap().users()
    };
    let (alice, bob) = (directory.id("alice"), directory.id("bob"));
    assert_eq!(users("alice@example.com", "alice@example.com"), [alice]);
    assert_eq!(users("alice@example.com", "bob@example.com"), [alice, bob]);
    assert_eq!(users("good@example.com", "good@example.com"), []);
}

#[test]
fn nothing_waits_for_users_out_of_scope_or_with_a_denial_or_for_addresses_of_nobody() {
    let mut world = world();
    let denial = deny_send_as(&world.sid("good"));
    let directory = world.acl("bob", &[denial]).load();
    for from in ["carol@example.com", "bob@example.com", "nobody@example.com", "bob@partner.example"] {
        assert_eq!(begin(&directory, from).err(), Some(Refusal::Sender(address(from))), "{from}");
        let transaction = begin(&directory, "good@example.com").unwrap();
        let refused = end(&directory, transaction, &header(from, None)).err();
        assert_eq!(refused, Some(Refusal::From(address(from))), "{from}");
    }
}

#[test]
fn nothing_waits_where_the_transaction_was_not_begun_so_or_the_account_has_no_scope() {
    let directory = world().load();
    let (authority, from) = (good(&directory), address("good@example.com"));
    let transaction = Transaction::mail_from(&directory.snapshot, &authority, Time(0), Some(&from), false).unwrap();
    let senders = header("alice@example.com", None);
    assert!(end(&directory, transaction, &senders).is_err());
    let mut world = world();
    let directory = world.link("good", a::PAUSE_SCOPE, &[]).load();
    assert!(begin(&directory, "alice@example.com").is_err());
}

#[test]
fn mail_that_may_be_sent_does_not_wait() {
    let mut world = world();
    let grant = world.send_as("good");
    let directory = world.acl("alice", &[grant]).load();
    let from = "alice@example.com";
    let accepted = end(&directory, begin(&directory, from).unwrap(), &header(from, None)).unwrap();
    assert!(accepted.paused.is_none());
    assert!(!accepted.steps.is_empty(), "what it rests on is told");
}

#[test]
fn the_reason_of_a_pause_is_that_of_the_console_of_s1() {
    assert_eq!(pause::REASON, "Exchange Not Accessible");
}
