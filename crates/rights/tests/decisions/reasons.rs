//! Why an account cannot send as an owner, what stands in the way of a grant on a container, and the command that mends it.

use acl::{AccessMask, Ace, AceFlags, Acl, Guid, SecurityDescriptor, Sid, names};
use directory::{Class, attributes as a};
use rights::reach::{Obstacle, blocked, denial, hands_down};
use rights::shortfall::{Reason, Shortfall, gives, inheritable, shortfall};

use crate::world::{Directory, World, deny_send_as};

const ALICE: &str = "CN=alice,OU=Team,OU=Staff,DC=example,DC=com";
const STAFF: &str = "OU=Staff,DC=example,DC=com";

/// Alice in the unit Team in the unit Staff; everything inherits. Good is the service account.
fn world() -> World {
    let mut world = World::new();
    world.user("good").add("Staff", Class::OrganizationalUnit, "domain");
    world.add("Team", Class::OrganizationalUnit, "Staff").add_user("alice", "Team");
    for name in ["domain", "Staff", "Team", "alice"] {
        open(&mut world, name, &[]);
    }
    world
}

/// A DACL that inherits.
fn open(world: &mut World, name: &str, aces: &[Ace]) {
    let sd = SecurityDescriptor::with_dacl(Acl::new(aces.to_vec()));
    world.set(name, a::DESCRIPTOR, vec![sd.to_bytes()]);
}

fn below(ace: Ace) -> Ace {
    ace.with_flags(AceFlags::CONTAINER_INHERIT)
}

fn of_alice(world: &World) -> Option<Shortfall> {
    let directory = world.load();
    shortfall(&directory.snapshot, directory.id("good"), directory.id("alice"))
}

/// Why, where, the command, and the outlook.
fn told(world: &World) -> (Reason, Option<String>, String, String) {
    let directory = world.load();
    let found = shortfall(&directory.snapshot, directory.id("good"), directory.id("alice")).unwrap();
    (found.reason, found.at.map(|at| directory.snapshot.dn(at)), found.command, found.outlook)
}

fn direct() -> String {
    format!("procura permission add '{ALICE}' --user 'EXAMPLE\\good' --right 'Send As'")
}

fn on(container: &str) -> String {
    format!("procura permission add '{container}' --user 'EXAMPLE\\good' --right 'Send As' --inherit-to user")
}

#[test]
fn each_reason_has_a_name_of_its_own() {
    let all = [
        (Reason::AccountDisabled, "account-disabled"),
        (Reason::Unreadable, "unreadable"),
        (Reason::ExplicitDeny, "explicit-deny"),
        (Reason::AdminSdHolder, "admin-sd-holder"),
        (Reason::AdminSdHolderOrphan, "admin-sd-holder-orphan"),
        (Reason::InheritanceBlocked, "inheritance-blocked"),
        (Reason::OtherDomain, "other-domain"),
        (Reason::NoEntry, "no-entry"),
    ];
    all.into_iter().for_each(|(reason, name)| assert_eq!(reason.name(), name));
}

#[test]
fn each_obstacle_has_its_words() {
    let directory = world().load();
    let words = |obstacle: Obstacle| obstacle.words(&directory.snapshot);
    let (team, trustee) = (directory.id("Team"), directory.sid("good"));
    assert_eq!(words(Obstacle::Protected), "protected by AdminSDHolder: the entry is replaced within the hour");
    assert_eq!(
        words(Obstacle::Orphan),
        "inheritance is blocked since the account was an administrator's (AdminSDHolder orphan)"
    );
    assert_eq!(words(Obstacle::Blocked(team)), "inheritance is blocked at OU=Team,OU=Staff,DC=example,DC=com");
    assert_eq!(
        words(Obstacle::Denied { origin: team, trustee }),
        "denied to EXAMPLE\\good by an entry on OU=Team,OU=Staff,DC=example,DC=com"
    );
    assert_eq!(words(Obstacle::Unreadable), "the descriptor could not be read");
}

#[test]
fn nothing_is_missing_where_a_grant_is_or_comes_down() {
    let mut world = world();
    let grant = world.send_as("good");
    open(&mut world, "Staff", &[below(grant.clone())]);
    assert_eq!(of_alice(&world), None);
    open(&mut world, "Staff", &[]);
    open(&mut world, "alice", &[grant]);
    assert_eq!(of_alice(&world), None);
}

#[test]
fn a_right_that_needs_a_logon_to_the_mailbox_is_missing_for_a_service_account() {
    let mut world = world();
    let access = world.full_access("good");
    world.mailbox_acl("alice", &[access]).link("alice", a::PUBLIC_DELEGATES, &["good"]);
    assert_eq!(of_alice(&world).map(|found| found.reason), Some(Reason::NoEntry));
}

#[test]
fn a_disabled_account_is_enabled_first() {
    let mut world = world();
    world.text("good", a::USER_ACCOUNT_CONTROL, "514");
    let good = Some("CN=good,DC=example,DC=com".to_owned());
    let command = "procura user set 'EXAMPLE\\good' --enable".to_owned();
    assert_eq!(told(&world), (Reason::AccountDisabled, good, command, String::new()));
}

#[test]
fn where_nothing_grants_it_the_domain_is_the_place_to_grant_it() {
    let domain = Some("DC=example,DC=com".to_owned());
    assert_eq!(told(&world()), (Reason::NoEntry, domain, on("DC=example,DC=com"), String::new()));
}

#[test]
fn a_denial_on_the_owner_is_taken_away_and_one_from_above_is_overridden_by_a_grant_on_the_owner() {
    let mut world = world();
    let denied = deny_send_as(&world.sid("good"));
    open(&mut world, "alice", std::slice::from_ref(&denied));
    let command = format!("procura permission remove '{ALICE}' --user 'EXAMPLE\\good' --right 'Send As' --deny");
    assert_eq!(told(&world), (Reason::ExplicitDeny, Some(ALICE.to_owned()), command, String::new()));
    open(&mut world, "alice", &[]);
    open(&mut world, "Staff", &[below(denied)]);
    assert_eq!(told(&world), (Reason::ExplicitDeny, Some(STAFF.to_owned()), direct(), String::new()));
}

#[test]
fn blocked_inheritance_is_named_where_it_is_blocked_with_the_grant_above_that_does_not_come_through() {
    let mut world = world();
    let grant = world.send_as("good");
    open(&mut world, "Staff", &[below(grant)]);
    world.acl("Team", &[]);
    let team = format!("OU=Team,{STAFF}");
    // The nearest container that hands it down, if only what comes from above.
    let outlook = |container: &str| format!("the grant on {container} does not reach it");
    assert_eq!(told(&world), (Reason::InheritanceBlocked, Some(team.clone()), on(&team), outlook(STAFF)));
    open(&mut world, "Team", &[]);
    world.acl("alice", &[]);
    assert_eq!(told(&world), (Reason::InheritanceBlocked, Some(ALICE.to_owned()), direct(), outlook(&team)));
    open(&mut world, "Staff", &[]);
    assert_eq!(told(&world).3, "");
}

#[test]
fn the_grant_that_does_not_come_through_is_looked_for_up_to_the_domain_and_not_beyond() {
    let mut world = world();
    let grant = below(world.send_as("good"));
    open(&mut world, "Staff", std::slice::from_ref(&grant));
    world.acl("Team", &[]).acl("alice", &[]);
    assert_eq!(told(&world).3, format!("the grant on {STAFF} does not reach it"));
    let mut world = with_child(&[]);
    world.add_user("junior", "child").acl("junior", &[]);
    open(&mut world, "domain", &[grant]);
    let directory = world.load();
    let found = shortfall(&directory.snapshot, directory.id("good"), directory.id("junior")).unwrap();
    assert_eq!((found.reason, found.outlook.as_str()), (Reason::InheritanceBlocked, ""));
}

#[test]
fn an_owner_that_was_an_administrator_is_an_orphan_where_it_inherits_nothing_itself() {
    let mut world = world();
    world.acl("alice", &[]).text("alice", a::ADMIN_COUNT, "1");
    assert_eq!(told(&world).0, Reason::AdminSdHolderOrphan);
    open(&mut world, "alice", &[]);
    world.acl("Team", &[]);
    assert_eq!(told(&world).0, Reason::InheritanceBlocked);
}

#[test]
fn a_protected_owner_is_reached_by_the_template_only() {
    let mut world = world();
    world.group("Admins", &["alice"]);
    let admins: Sid = "S-1-5-21-1-2-3-512".parse().unwrap();
    world.set("Admins", a::OBJECT_SID, vec![admins.to_bytes()]);
    let command = "procura permission add 'CN=AdminSDHolder,CN=System,DC=example,DC=com' --user 'EXAMPLE\\good' \
                   --right 'Send As'";
    let outlook = "a grant on the account itself will not last: AdminSDHolder replaces it";
    let domain = Some("DC=example,DC=com".to_owned());
    assert_eq!(told(&world), (Reason::AdminSdHolder, domain, command.to_owned(), outlook.to_owned()));
}

#[test]
fn a_descriptor_that_cannot_be_read_is_no_matter_of_grants() {
    let mut world = world();
    world.set("alice", a::DESCRIPTOR, vec![Vec::new()]);
    assert_eq!(told(&world), (Reason::Unreadable, Some(ALICE.to_owned()), String::new(), String::new()));
}

/// The world with the child domain Junior, whose DACL this is.
fn with_child(aces: &[Ace]) -> World {
    let mut world = world();
    world.add("child", Class::Domain, "domain").text("child", a::NETBIOS_NAME, "CHILD");
    let child: Sid = "S-1-5-21-4-5-6".parse().unwrap();
    world.set("child", a::OBJECT_SID, vec![child.to_bytes()]);
    open(&mut world, "child", aces);
    world
}

#[test]
fn a_grant_in_another_domain_is_named_and_does_not_count() {
    let grant = below(world().send_as("good"));
    let (reason, at, command, outlook) = told(&with_child(&[grant]));
    assert_eq!((reason, at.as_deref()), (Reason::OtherDomain, Some("DC=example,DC=com")));
    assert_eq!(command, on("DC=example,DC=com"));
    assert!(
        outlook.starts_with("the grant in ") && outlook.ends_with(" ends at the border of the domain"),
        "{outlook}"
    );
    assert_eq!(told(&with_child(&[])).0, Reason::NoEntry);
}

#[test]
fn the_place_where_inheritance_is_blocked_is_the_lowest_below_the_container() {
    let mut world = world();
    world.acl("Team", &[]).acl("Staff", &[]);
    let at = |world: &World, container: Option<&str>| {
        let directory = world.load();
        let container = container.map(|name| directory.id(name));
        blocked(&directory.snapshot, directory.id("alice"), container).map(|id| directory.snapshot.dn(id))
    };
    assert_eq!(at(&world, None), Some(format!("OU=Team,{STAFF}")));
    assert_eq!(at(&world, Some("Team")), None);
    open(&mut world, "Team", &[]);
    assert_eq!(at(&world, None), Some(STAFF.to_owned()));
    assert_eq!(at(&world, Some("Staff")), None);
    open(&mut world, "Staff", &[]);
    assert_eq!(at(&world, None), None);
    world.set("Team", a::DESCRIPTOR, vec![Vec::new()]);
    assert_eq!(at(&world, None), Some(format!("OU=Team,{STAFF}")));
}

#[test]
fn what_is_above_a_domain_blocks_nothing_in_it() {
    let mut world = with_child(&[]);
    world.add_user("junior", "child").acl("domain", &[]);
    open(&mut world, "junior", &[]);
    let directory = world.load();
    assert_eq!(blocked(&directory.snapshot, directory.id("junior"), None), None);
}

#[test]
fn a_denial_that_decides_is_told_with_its_place_and_whom_it_names() {
    let mut world = world();
    world.group("team", &["good"]);
    let refused = deny_send_as(&world.sid("team"));
    open(&mut world, "Staff", &[below(refused)]);
    let found = |directory: &Directory| denial(&directory.snapshot, directory.id("alice"), &directory.sid("good"));
    let directory = world.load();
    let expected = Obstacle::Denied { origin: directory.id("Staff"), trustee: directory.sid("team") };
    assert_eq!(found(&directory), Some(expected));
    let granted = world.send_as("good");
    open(&mut world, "alice", &[granted]);
    assert_eq!(found(&world.load()), None);
}

#[test]
fn an_entry_hands_send_as_down_to_users_when_it_allows_it_below_for_users_or_all_objects() {
    let good = world().sid("good");
    let grant = below(Ace::allow_object(good.clone(), AccessMask::CONTROL_ACCESS, names::SEND_AS));
    assert!(hands_down(&grant));
    assert!(hands_down(&below(Ace::allow(good.clone(), AccessMask::CONTROL_ACCESS))));
    let of = |class: Guid| Ace { inherited_object_type: Some(class), ..grant.clone() };
    assert!(hands_down(&of(names::USER)));
    assert!(!hands_down(&of(Class::Group.schema_guid())));
    let others = [
        Ace::allow_object(good.clone(), AccessMask::CONTROL_ACCESS, names::SEND_AS),
        below(deny_send_as(&good)),
        below(Ace::allow(good.clone(), AccessMask::READ_PROPERTY)),
        below(Ace::allow_object(good.clone(), AccessMask::READ_PROPERTY, names::SEND_AS)),
        below(Ace::allow_object(good, AccessMask::CONTROL_ACCESS, Class::User.schema_guid())),
    ];
    others.iter().for_each(|ace| assert!(!hands_down(ace), "{ace:?}"));
}

#[test]
fn a_container_gives_to_those_whom_an_entry_names_that_hands_send_as_down() {
    let mut world = world();
    let grant = below(world.send_as("good"));
    open(&mut world, "Staff", &[grant]);
    let directory = world.load();
    let sids = |name: &str| directory.account(name).sids.clone();
    let gives = |who: &str, container: &str| gives(&directory.snapshot, &sids(who), directory.id(container));
    assert_eq!((gives("good", "Staff"), gives("good", "domain"), gives("alice", "Staff")), (true, false, false));
}

#[test]
fn the_command_for_a_container_grants_to_the_users_below_it() {
    assert_eq!(inheritable(STAFF, "EXAMPLE\\good"), on(STAFF));
}
