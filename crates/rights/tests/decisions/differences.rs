//! Who gains and who loses between two versions of a small organization.

use acl::Ace;
use directory::attributes as a;
use rights::{Permission, SomeDifferences, differences, some_differences};

use crate::world::World;

/// Alice, Bob and Carol; Bob is in the team.
fn world() -> World {
    let mut world = World::new();
    world.user("alice").user("bob").user("carol").group("team", &["bob"]);
    world
}

/// What changes, as `+account permission owner`, sorted.
fn changed(before: &World, change: impl FnOnce(&mut World) -> &mut World) -> Vec<String> {
    let mut after = before.clone();
    change(&mut after);
    let before = before.load();
    let after = before.becomes(&after);
    let name = |id| {
        let (old, new) = (before.snapshot.object(id), after.snapshot.object(id));
        new.or(old).unwrap().sam_account_name().unwrap_or_default().to_owned()
    };
    let found = differences(&before.snapshot, &after.snapshot);
    let words = |difference: &rights::Difference| {
        let person = &difference.person;
        let (sign, logon) =
            (if difference.gained { '+' } else { '-' }, if person.needs_logon { " by logon" } else { "" });
        format!("{sign}{} {} {}{logon}", name(person.account), person.permission.name(), name(person.target))
    };
    let mut words: Vec<String> = found.iter().map(words).collect();
    words.sort();
    words
}

#[test]
fn nothing_changes_where_nothing_is_changed() {
    assert_eq!(changed(&world(), |world| world), Vec::<String>::new());
}

#[test]
fn a_grant_gives_and_its_end_takes() {
    let (mut granted, plain) = (world(), world());
    let ace = granted.send_as("bob");
    granted.acl("alice", std::slice::from_ref(&ace));
    assert_eq!(changed(&plain, |world| world.acl("alice", &[ace])), ["+bob send-as alice"]);
    assert_eq!(changed(&granted, |world| world.acl("alice", &[])), ["-bob send-as alice"]);
}

#[test]
fn a_mailbox_right_gives_access_and_a_delegate_sends_on_behalf() {
    let open = world().full_access("bob");
    let found = changed(&world(), |world| world.mailbox_acl("alice", &[open]));
    assert_eq!(found, ["+bob full-access alice"]);
    let found = changed(&world(), |world| world.link("alice", a::PUBLIC_DELEGATES, &["bob"]));
    assert_eq!(found, ["+bob send-on-behalf alice"]);
}

#[test]
fn a_delegate_with_full_access_gains_send_as_by_logon() {
    let mut world = world();
    let open = world.full_access("bob");
    world.mailbox_acl("alice", &[open]);
    let found = changed(&world, |world| world.link("alice", a::PUBLIC_DELEGATES, &["bob"]));
    assert_eq!(found, ["+bob send-as alice by logon", "+bob send-on-behalf alice"]);
}

#[test]
fn a_grant_beside_the_right_by_logon_makes_the_logon_needless() {
    let mut world = world();
    let (open, grant) = (world.full_access("bob"), world.send_as("bob"));
    world.mailbox_acl("alice", &[open]).link("alice", a::PUBLIC_DELEGATES, &["bob"]);
    let found = changed(&world, |world| world.acl("alice", &[grant]));
    assert_eq!(found, ["+bob send-as alice", "-bob send-as alice by logon"]);
}

#[test]
fn a_member_gains_what_the_group_has() {
    let mut world = world();
    let aces: [Ace; 1] = [world.send_as("team")];
    world.acl("alice", &aces);
    let found = changed(&world, |world| world.link("team", a::MEMBER, &["bob", "carol"]));
    assert_eq!(found, ["+carol send-as alice"]);
}

#[test]
fn a_member_of_a_group_among_the_delegates_sends_on_behalf() {
    let mut world = world();
    world.link("alice", a::PUBLIC_DELEGATES, &["team"]);
    let found = changed(&world, |world| world.link("team", a::MEMBER, &["bob", "carol"]));
    assert_eq!(found, ["+carol send-on-behalf alice"]);
}

#[test]
fn a_member_of_a_distribution_group_among_the_delegates_sends_on_behalf() {
    let mut world = world();
    // Universal, no security group: no token changes.
    world.text("team", a::GROUP_TYPE, "8").link("alice", a::PUBLIC_DELEGATES, &["team"]);
    let found = changed(&world, |world| world.link("team", a::MEMBER, &[]));
    assert_eq!(found, ["-bob send-on-behalf alice"]);
}

#[test]
fn a_disabled_account_loses_everything_and_an_enabled_one_gains_it() {
    let mut world = world();
    let (open, grant) = (world.full_access("bob"), world.send_as("bob"));
    world.mailbox_acl("alice", &[open]).acl("carol", &[grant]);
    fn off(world: &mut World) -> &mut World {
        world.text("bob", a::USER_ACCOUNT_CONTROL, "514")
    }
    let of_bob = ["bob full-access alice", "bob send-as bob", "bob send-as carol"];
    assert_eq!(changed(&world, off), of_bob.map(|text| format!("-{text}")));
    let mut disabled = world.clone();
    off(&mut disabled);
    fn on(world: &mut World) -> &mut World {
        world.text("bob", a::USER_ACCOUNT_CONTROL, "512")
    }
    assert_eq!(changed(&disabled, on), of_bob.map(|text| format!("+{text}")));
}

#[test]
fn an_account_that_comes_gains_and_one_that_goes_loses() {
    let (mut with, without) = (world(), world());
    with.user("dora");
    let ace = with.send_as("dora");
    with.acl("alice", std::slice::from_ref(&ace));
    let mut granted = without.clone();
    granted.acl("alice", &[ace]);
    let of_dora = ["dora send-as alice", "dora send-as dora"];
    let found = changed(&granted, |world| {
        *world = with.clone();
        world
    });
    assert_eq!(found, of_dora.map(|text| format!("+{text}")));
    let found = changed(&with, |world| {
        *world = granted.clone();
        world
    });
    assert_eq!(found, of_dora.map(|text| format!("-{text}")));
}

#[test]
fn the_legacy_policy_gives_send_as_to_whoever_opens_the_mailbox() {
    let mut world = world();
    let open = world.full_access("bob");
    world.mailbox_acl("alice", &[open]);
    let found = changed(&world, |world| world.text("Mailboxes", a::LEGACY_POLICY, "TRUE"));
    assert_eq!(found, ["+bob send-as alice"]);
}

#[test]
fn differences_are_in_the_order_of_permissions_owners_and_accounts_losses_among_them() {
    let mut before = world();
    let (open, old, new) = (before.full_access("carol"), before.send_as("carol"), before.send_as("bob"));
    before.acl("alice", &[old]);
    let mut after = before.clone();
    after.acl("alice", std::slice::from_ref(&new)).acl("carol", &[new]).mailbox_acl("bob", &[open]);
    let before = before.load();
    let after = before.becomes(&after);
    let found: Vec<_> = differences(&before.snapshot, &after.snapshot)
        .into_iter()
        .map(|found| (found.person.permission, found.person.target, found.person.account, found.gained))
        .collect();
    let id = |name| after.id(name);
    let (as_, open) = (Permission::SendAs, Permission::FullAccess);
    let expected = [
        (as_, id("alice"), id("bob"), true),
        (as_, id("alice"), id("carol"), false),
        (as_, id("carol"), id("bob"), true),
        (open, id("bob"), id("carol"), true),
    ];
    assert_eq!(found, expected);
}

#[test]
fn as_many_owners_and_accounts_are_looked_at_as_there_is_time_for_and_the_others_are_counted() {
    let (plain, mut after) = (world(), world());
    let grants = ["bob", "carol"].map(|name| after.send_as(name));
    after.acl("alice", &grants).acl("carol", &grants[..1]).text("bob", a::USER_ACCOUNT_CONTROL, "514");
    let before = plain.load();
    let after = before.becomes(&after);
    let some = |questions| some_differences(&before.snapshot, &after.snapshot, questions);
    let left = |some: &SomeDifferences| (some.owners_left, some.accounts_left);
    // Alice, Bob and Carol are touched as owners, Bob as an account.
    assert_eq!((left(&some(0)), some(0).found.is_empty()), ((3, 1), true));
    assert_eq!(left(&some(100)), (2, 0));
    let everybody = before.snapshot.len();
    assert!(everybody < 100, "{everybody}");
    assert_eq!((left(&some(everybody - 1)), left(&some(everybody))), ((3, 1), (3, 0)));
    let all = some(1_000);
    assert_eq!((left(&all), &all.found), ((0, 0), &differences(&before.snapshot, &after.snapshot)));
    assert!(!all.found.is_empty());
}
