//! What the audit shares between owners, and what the separation of Full Mailbox Access and Send As breaks.

use acl::{Ace, AceFlags, Acl, SecurityDescriptor, well_known};
use directory::{Class, ObjectId, attributes as a};
use rights::{Deciding, Gap, MissingSendAs, Search, SendAsAudit, gaps, separation};

use crate::world::{Directory, World, deny_send_as, sid};

/// Alice, Bob and Carol with one descriptor, which lets Bob send as.
fn alike() -> World {
    let mut world = World::new();
    world.user("alice").user("bob").user("carol");
    let ace = world.send_as("bob");
    for name in ["alice", "bob", "carol"] {
        world.acl(name, std::slice::from_ref(&ace));
    }
    world
}

#[test]
fn owners_with_one_descriptor_share_their_people_but_for_the_one_that_it_names() {
    let directory = alike().load();
    let (alice, bob, carol) = (directory.id("alice"), directory.id("bob"), directory.id("carol"));
    for order in [[alice, bob, carol], [bob, alice, carol], [carol, bob, alice]] {
        let mut audit = SendAsAudit::new(&directory.snapshot);
        for owner in order {
            assert_eq!(audit.is_shared(owner), owner != bob);
            assert_eq!(audit.allowed(owner).shared, owner != bob);
            let expected = if owner == bob { Vec::new() } else { vec![bob] };
            assert_eq!(audit.people(owner).collect::<Vec<_>>(), expected);
            assert_eq!(audit.entries(owner).len(), expected.len());
        }
    }
}

#[test]
fn owners_of_other_descriptors_are_not_taken_for_each_other() {
    let mut world = alike();
    let ace = world.send_as("carol");
    let directory = world.acl("alice", &[ace]).load();
    let mut audit = SendAsAudit::new(&directory.snapshot);
    assert_eq!(audit.people(directory.id("carol")).collect::<Vec<_>>(), [directory.id("bob")]);
    assert_eq!(audit.people(directory.id("alice")).collect::<Vec<_>>(), [directory.id("carol")]);
}

#[test]
fn a_group_and_an_account_whose_sid_somebody_else_has_had_share_nothing() {
    let mut world = alike();
    world.group("team", &["alice"]);
    let former = world.sid("carol").to_bytes();
    world.account("dora").set("dora", a::SID_HISTORY, vec![former]);
    let directory = world.load();
    let mut audit = SendAsAudit::new(&directory.snapshot);
    assert!(audit.is_shared(directory.id("alice")));
    assert!(!audit.is_shared(directory.id("team")));
    assert!(!audit.is_shared(directory.id("carol")));
}

#[test]
fn an_entry_in_an_audit_says_where_it_is_inherited_from_and_nothing_where_it_is_explicit() {
    let mut world = World::new();
    world.add("Staff", Class::OrganizationalUnit, "domain").user("bob").user("carol");
    world.add("alice", Class::User, "Staff");
    let above = world.send_as("bob").with_flags(AceFlags::CONTAINER_INHERIT);
    world.acl("Staff", &[above]);
    let open = SecurityDescriptor::with_dacl(Acl::new(vec![world.send_as("carol")])).to_bytes();
    let directory = world.set("alice", a::DESCRIPTOR, vec![open]).load();
    let entry = |index, name: &str, origin| Deciding {
        index,
        trustee: directory.sid(name),
        object: Some(directory.id(name)),
        origin,
    };
    let expected = [entry(0, "carol", None), entry(1, "bob", Some(directory.id("Staff")))];
    assert_eq!(*SendAsAudit::new(&directory.snapshot).entries(directory.id("alice")), expected);
}

/// Alice, whose mailbox Bob opens.
fn opened() -> World {
    let mut world = World::new();
    world.user("alice").user("bob").user("carol");
    let ace = world.full_access("bob");
    world.mailbox_acl("alice", &[ace]);
    world
}

/// The gaps of Alice's mailbox.
fn of_alice(directory: &Directory, search: &Search) -> Vec<Gap> {
    gaps(&directory.snapshot, directory.id("alice"), search)
}

fn trustees(directory: &Directory) -> Vec<Option<ObjectId>> {
    of_alice(directory, &Search::default()).into_iter().map(|gap| gap.object).collect()
}

/// Why Bob has no Send As on Alice; none where he has it.
fn missing(directory: &Directory, inherited: bool) -> Option<MissingSendAs> {
    let search = Search { inherited, ..Search::default() };
    of_alice(directory, &search).first().map(|gap| gap.missing)
}

#[test]
fn full_access_without_send_as_is_a_gap() {
    let directory = opened().load();
    let expected = Gap {
        owner: directory.id("alice"),
        trustee: directory.sid("bob"),
        object: Some(directory.id("bob")),
        has_delegates: false,
        is_delegate: false,
        owner_enabled: true,
        access_from: directory.id("alice"),
        missing: MissingSendAs::NoEntry,
    };
    assert_eq!(of_alice(&directory, &Search::default()), std::slice::from_ref(&expected));
    let search = Search::default();
    let all: Vec<Gap> = separation(&directory.snapshot, directory.id("domain"), &search).collect();
    assert_eq!(all, [expected]);
}

#[test]
fn gaps_are_listed_once_for_each_trustee_that_really_has_access() {
    let mut world = opened();
    let (bob, carol) = (world.full_access("bob"), world.full_access("carol"));
    let directory = world.mailbox_acl("alice", &[bob.clone(), carol.clone(), bob.clone()]).load();
    assert_eq!(trustees(&directory), [Some(directory.id("bob")), Some(directory.id("carol"))]);
    let denial = Ace::deny(world.sid("bob"), rights::FULL_MAILBOX_ACCESS);
    let directory = world.mailbox_acl("alice", &[denial, bob, carol]).load();
    assert_eq!(trustees(&directory), [Some(directory.id("carol"))]);
    let own = world.full_access("alice");
    assert_eq!(trustees(&world.mailbox_acl("alice", &[own]).load()), []);
}

#[test]
fn a_gap_says_whether_the_trustee_is_a_delegate_itself_or_through_a_group() {
    let mut world = opened();
    world.group("team", &["bob"]);
    let mut delegates = |to: &[&str]| {
        let directory = world.link("alice", a::PUBLIC_DELEGATES, to).load();
        let gap = of_alice(&directory, &Search::default()).remove(0);
        (gap.has_delegates, gap.is_delegate)
    };
    assert_eq!(delegates(&[]), (false, false));
    assert_eq!(delegates(&["carol"]), (true, false));
    assert_eq!(delegates(&["bob"]), (true, true));
    assert_eq!(delegates(&["team"]), (true, true));
}

#[test]
fn a_gap_says_why_there_is_no_send_as() {
    let mut world = opened();
    let grant = world.send_as("bob");
    assert_eq!(missing(&world.acl("alice", std::slice::from_ref(&grant)).load(), false), None);
    let denial = deny_send_as(&world.sid("bob"));
    let directory = world.acl("alice", &[denial, grant]).load();
    assert_eq!(missing(&directory, false), Some(MissingSendAs::Denied { origin: directory.id("alice") }));
    let directory = world.set("alice", a::DESCRIPTOR, vec![Vec::new()]).load();
    assert_eq!(missing(&directory, false), Some(MissingSendAs::Unreadable));
    let mut world = opened();
    world.group("Admins", &["alice"]).set("Admins", a::OBJECT_SID, vec![sid("S-1-5-21-1-2-3-512").to_bytes()]);
    assert_eq!(missing(&world.load(), false), Some(MissingSendAs::Protected));
}

#[test]
fn inherited_send_as_is_a_gap_only_where_it_is_looked_for() {
    let mut world = opened();
    let above = world.send_as("bob").with_flags(AceFlags::CONTAINER_INHERIT);
    world.acl("domain", &[above]);
    let open = |aces: Vec<Ace>| SecurityDescriptor::with_dacl(Acl::new(aces)).to_bytes();
    let directory = world.set("alice", a::DESCRIPTOR, vec![open(Vec::new())]).load();
    assert_eq!(missing(&directory, false), None);
    assert_eq!(missing(&directory, true), Some(MissingSendAs::OnlyInherited { origin: directory.id("domain") }));
    let explicit = world.send_as("bob");
    let directory = world.set("alice", a::DESCRIPTOR, vec![open(vec![explicit])]).load();
    assert_eq!(missing(&directory, true), None);
}

#[test]
fn the_system_and_suppressed_accounts_are_left_out() {
    let mut world = opened();
    world.group("team", &["carol"]);
    let built_in = [well_known::SELF, well_known::SYSTEM, well_known::CREATOR_OWNER, well_known::EVERYONE];
    let aces = built_in.map(|sid| Ace::allow(sid, rights::FULL_MAILBOX_ACCESS));
    let directory = world.mailbox_acl("alice", &aces).load();
    let left: Vec<_> = of_alice(&directory, &Search::default()).into_iter().map(|gap| gap.trustee).collect();
    assert_eq!(left, [well_known::EVERYONE]);
    let aces = ["bob", "team"].map(|name| world.full_access(name));
    let directory = world.mailbox_acl("alice", &aces).load();
    let left =
        |search: Search| -> Vec<_> { of_alice(&directory, &search).into_iter().filter_map(|gap| gap.object).collect() };
    let (bob, team) = (directory.id("bob"), directory.id("team"));
    let named = |name: &str| left(Search { suppressed_name: Some(name.to_owned()), ..Search::default() });
    assert_eq!(left(Search::default()), [bob, team]);
    assert_eq!(left(Search { suppressed: vec![directory.sid("bob")], ..Search::default() }), [team]);
    assert_eq!(named("\\BOB"), [team]);
    assert_eq!(named("team"), [bob, team]);
    assert_eq!(named("carol"), [bob, team]);
}
