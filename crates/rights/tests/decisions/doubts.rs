//! What rests on a domain that is kept elsewhere and cannot be asked: put off where it could change the answer, and decided
//! where it could not.

use std::collections::BTreeSet;

use acl::well_known;
use directory::{Class, Doubt, GroupScope, GroupType, attributes as a};
use rights::{Proof, Question, Refusal, RightName};

use crate::world::{Directory, World, address, allow};

/// Alice and Bob; in a child domain that is kept elsewhere Carol, and the group `crew` there, for mail only, with Bob in it.
fn world() -> World {
    let mut world = World::new();
    world.user("alice").user("bob").child_domain("child").add_user("carol", "child");
    world.add("crew", Class::Group, "child");
    world.text("crew", a::GROUP_TYPE, &GroupType::distribution(GroupScope::Universal).0.to_string());
    world.link("crew", a::MEMBER, &["bob"]);
    world
}

/// The child domain was not heard of for too long.
fn away(world: &World) -> Directory {
    let mut directory = world.load();
    let doubt = Doubt { stale: [directory.guid("child")].into(), ..Doubt::default() };
    directory.snapshot = directory.snapshot.clone().doubting(doubt);
    directory
}

/// Only a global catalog tells of the child domain, which holds all attributes but these.
fn in_catalog(world: &World, lacking: &[&str]) -> Directory {
    let mut directory = world.load();
    let lacking: BTreeSet<String> = lacking.iter().map(|name| (*name).to_owned()).collect();
    let doubt = Doubt { partial: [(directory.guid("child"), lacking)].into(), ..Doubt::default() };
    directory.snapshot = directory.snapshot.clone().doubting(doubt);
    directory
}

/// Whether Bob is a delegate of somebody; `None` where that is put off.
fn delegate_of(directory: &Directory, owner: &str) -> Option<bool> {
    let verdict = directory.ask(&directory.account("bob"), &Question::SendOnBehalf(directory.id(owner)));
    match verdict.reason {
        Ok(_) => Some(true),
        Err(Refusal::DirectoryUnavailable) => None,
        Err(_) => Some(false),
    }
}

#[test]
fn delegates_whom_no_domain_that_is_away_makes_or_unmakes_are_known() {
    let mut world = world();
    assert_eq!(delegate_of(&away(&world), "alice"), Some(false));
    world.link("alice", a::PUBLIC_DELEGATES, &["bob"]);
    assert_eq!(delegate_of(&away(&world), "alice"), Some(true));
    world.link("alice", a::PUBLIC_DELEGATES, &["carol"]);
    assert_eq!(delegate_of(&away(&world), "alice"), Some(false));
}

#[test]
fn delegates_through_a_group_with_members_that_nobody_knows_are_unknown() {
    let mut world = world();
    world.link("alice", a::PUBLIC_DELEGATES, &["crew"]);
    assert_eq!(delegate_of(&away(&world), "alice"), None);
    world.link("crew", a::MEMBER, &[]);
    assert_eq!(delegate_of(&away(&world), "alice"), None);
}

#[test]
fn delegates_of_owners_in_a_domain_that_is_away_are_unknown() {
    let mut world = world();
    assert_eq!(delegate_of(&away(&world), "carol"), None);
    world.link("carol", a::PUBLIC_DELEGATES, &["bob"]);
    assert_eq!(delegate_of(&away(&world), "carol"), None);
}

#[test]
fn delegates_that_a_catalog_does_not_hold_are_unknown_where_none_is_seen() {
    let mut world = world();
    assert_eq!(delegate_of(&in_catalog(&world, &[]), "carol"), Some(false));
    assert_eq!(delegate_of(&in_catalog(&world, &[a::PUBLIC_DELEGATES]), "carol"), None);
    world.link("carol", a::PUBLIC_DELEGATES, &["bob"]);
    assert_eq!(delegate_of(&in_catalog(&world, &[]), "carol"), Some(true));
}

/// What becomes of mail from a stranger, or proven to be from Bob, for an address.
fn recipient(directory: &Directory, to: &str, from_bob: bool) -> Option<Refusal> {
    let proof = Proof::Owner(directory.id("bob"));
    let (to, sender) = (address(to), from_bob.then_some(&proof));
    let question = Question::Recipient { to: &to, sender, internal: false };
    let token = match from_bob {
        true => directory.account("bob"),
        false => directory.snapshot.anonymous_token(),
    };
    directory.ask(&token, &question).reason.err()
}

#[test]
fn recipients_of_a_domain_that_is_away_and_those_who_may_be_there_are_put_off() {
    let mut world = world();
    world.user("dora").text("dora", a::PROXY_ADDRESSES, "SMTP:both@example.com");
    let to = |world: &World, text: &str| recipient(&away(world), text, false);
    assert_eq!(to(&world, "alice@example.com"), None);
    assert_eq!(to(&world, "carol@example.com"), Some(Refusal::DirectoryUnavailable));
    assert_eq!(to(&world, "nobody@example.com"), Some(Refusal::DirectoryUnavailable));
    world.text("carol", a::PROXY_ADDRESSES, "SMTP:both@example.com");
    assert_eq!(to(&world, "both@example.com"), Some(Refusal::DirectoryUnavailable));
    world.text("carol", a::PROXY_ADDRESSES, "SMTP:carol@example.com").text(
        "bob",
        a::PROXY_ADDRESSES,
        "SMTP:both@example.com",
    );
    assert_eq!(to(&world, "both@example.com"), Some(Refusal::AmbiguousRecipient(address("both@example.com"))));
}

#[test]
fn a_list_of_senders_with_members_that_nobody_knows_puts_off_proven_senders_and_refuses_others() {
    let mut world = world();
    world.link("alice", a::SUBMIT_PERMS, &["crew"]);
    let directory = away(&world);
    assert_eq!(recipient(&directory, "alice@example.com", true), Some(Refusal::DirectoryUnavailable));
    let refused = Some(Refusal::NotAuthorized(address("alice@example.com")));
    assert_eq!(recipient(&directory, "alice@example.com", false), refused);
}

/// Whether Bob may have an address as envelope sender.
fn sender(directory: &Directory, text: &str) -> Option<Refusal> {
    directory.ask(&directory.account("bob"), &Question::Sender(&address(text))).reason.err()
}

#[test]
fn an_address_that_may_be_somebodys_by_now_is_put_off_for_accounts_and_means_nothing_for_strangers() {
    let mut world = world();
    let unowned = address("nobody@example.com");
    assert_eq!(sender(&world.load(), "nobody@example.com"), Some(Refusal::Sender(unowned.clone())));
    assert_eq!(sender(&away(&world), "nobody@example.com"), Some(Refusal::DirectoryUnavailable));
    let directory = away(&world);
    let stranger = directory.ask(&directory.snapshot.anonymous_token(), &Question::Sender(&unowned));
    assert_eq!(stranger.reason, Err(Refusal::Sender(unowned)));
    for name in ["alice", "carol"] {
        world.text(name, a::PROXY_ADDRESSES, "SMTP:both@example.com");
    }
    assert_eq!(sender(&away(&world), "both@example.com"), Some(Refusal::DirectoryUnavailable));
    assert_eq!(sender(&world.load(), "both@example.com"), Some(Refusal::Sender(address("both@example.com"))));
}

#[test]
fn what_self_may_on_a_group_whose_members_nobody_knows_is_unknown() {
    let mut world = world();
    let crew = world.security("crew").sid("crew");
    let own = [allow(&well_known::SELF, RightName::SendAs)];
    world.acl("crew", &own);
    // In this domain it would be known: the group is universal, and only its members are elsewhere.
    world.group("team", &["crew"]).acl("team", &own);
    let directory = away(&world);
    let verdict = directory.ask(&directory.account("bob"), &Question::SendAs(directory.id("team")));
    assert_eq!(verdict.reason, Err(Refusal::DirectoryUnavailable), "{crew}");
}
