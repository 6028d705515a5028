//! Who can and why, row by row, on small organizations: what `who-can` prints.

use acl::{AccessMask, Ace, AceFlags, Acl, SecurityDescriptor, Sid, well_known};
use directory::{Class, GroupScope, GroupType, attributes as a};
use rights::{
    DescriptorKind, Holding, Permission, Proof, RightName, Via, any_sender, expand, standing, what_can, who_can,
    who_people,
};

use crate::world::{Directory, World, allow, deny_send_as};

fn world() -> World {
    let mut world = World::new();
    world.user("alice").user("bob").user("carol");
    world
}

/// The rows on Alice, in words: the trustee, how, and whether it counts.
fn rows(directory: &Directory, permission: Permission) -> Vec<String> {
    words(directory, standing(&directory.snapshot, directory.id("alice"), permission))
}

fn words(directory: &Directory, rows: Vec<Holding>) -> Vec<String> {
    let word = |row: Holding| {
        let trustee = row.trustee.map(|sid| directory.snapshot.sid_name(&sid));
        let named = trustee.or(row.object.map(|object| directory.snapshot.dn(object))).unwrap_or_default();
        let via = match row.via {
            Via::Ace { deny, inherited, .. } => {
                format!("{}{}", if deny { "denial" } else { "entry" }, if inherited { " from above" } else { "" })
            }
            other => format!("{other:?}").split(' ').next().unwrap_or_default().to_owned(),
        };
        format!("{}: {via}{}", named.trim_start_matches("EXAMPLE\\"), if row.effective { "" } else { ", no effect" })
    };
    rows.into_iter().map(word).collect()
}

/// The accounts that may, by name.
fn people(directory: &Directory, permission: Permission) -> Vec<String> {
    let people = who_people(&directory.snapshot, directory.id("alice"), permission);
    let name = |id| directory.snapshot.object(id).unwrap().name();
    people.into_iter().map(|person| name(person.account)).collect()
}

#[test]
fn permissions_have_names_for_people_and_for_programs() {
    let names = Permission::ALL.map(|permission| (permission.display(), permission.name()));
    let expected =
        [("Send As", "send-as"), ("Send on Behalf", "send-on-behalf"), ("Full Mailbox Access", "full-access")];
    assert_eq!(names, expected);
}

#[test]
fn entries_are_listed_in_their_order_with_those_that_have_no_effect() {
    let mut world = world();
    let aces = [deny_send_as(&world.sid("bob")), world.send_as("bob"), world.send_as("carol")];
    let directory = world.acl("alice", &aces).load();
    let expected = ["bob: denial", "bob: entry, no effect", "carol: entry", "alice: Owner"];
    assert_eq!(rows(&directory, Permission::SendAs), expected);
}

#[test]
fn a_denial_for_a_distribution_list_says_nothing_about_a_group_that_is_in_it() {
    let mut world = world();
    world.group("team", &["bob"]).group("list", &["team"]);
    let distribution = GroupType::distribution(GroupScope::Global).0.to_string();
    world.text("list", a::GROUP_TYPE, &distribution);
    let aces = [deny_send_as(&world.sid("list")), world.send_as("team")];
    let listed = rows(&world.acl("alice", &aces).load(), Permission::SendAs);
    assert!(listed.contains(&"team: entry".to_owned()), "{listed:?}");
}

#[test]
fn entries_that_say_nothing_about_the_permission_are_left_out() {
    let mut world = world();
    let bob = world.sid("bob");
    let below = AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0);
    let others = [
        Ace::allow(bob.clone(), AccessMask::READ_PROPERTY),
        allow(&bob, RightName::Submit),
        Ace::allow_object(bob.clone(), AccessMask::READ_PROPERTY, RightName::SendAs.guid()),
        world.send_as("bob").with_flags(below),
    ];
    let directory = world.acl("alice", &others).load();
    assert_eq!(rows(&directory, Permission::SendAs), ["alice: Owner"]);
    let directory = world.acl("alice", &[Ace::allow(bob.clone(), AccessMask::CONTROL_ACCESS)]).load();
    assert_eq!(rows(&directory, Permission::SendAs), ["bob: entry", "alice: Owner"]);
    let others = [
        Ace::allow(bob.clone(), AccessMask::READ_CONTROL),
        Ace::allow_object(bob, rights::FULL_MAILBOX_ACCESS, RightName::SendAs.guid()),
        world.full_access("bob").with_flags(below),
    ];
    let directory = world.mailbox_acl("alice", &others).load();
    assert_eq!(rows(&directory, Permission::FullAccess), Vec::<String>::new());
}

#[test]
fn entries_that_audit_are_left_out() {
    let mut world = world();
    let audit = Ace { ace_type: acl::AceType::AUDIT, ..Ace::allow(world.sid("bob"), AccessMask::CONTROL_ACCESS) };
    let directory = world.acl("alice", &[audit]).load();
    assert_eq!(rows(&directory, Permission::SendAs), ["alice: Owner"]);
}

#[test]
fn a_mailbox_entry_says_in_which_descriptor_it_stands_and_at_which_place() {
    let mut world = world();
    let aces = [Ace::allow(world.sid("carol"), AccessMask::READ_CONTROL), world.full_access("bob")];
    let directory = world.mailbox_acl("alice", &aces).load();
    let alice = directory.id("alice");
    let expected = Holding {
        trustee: Some(directory.sid("bob")),
        object: Some(directory.id("bob")),
        target: alice,
        permission: Permission::FullAccess,
        via: Via::Ace { kind: DescriptorKind::Mailbox, index: 1, deny: false, origin: alice, inherited: false },
        effective: true,
    };
    assert_eq!(standing(&directory.snapshot, alice, Permission::FullAccess), [expected]);
}

#[test]
fn no_dacl_grants_everybody() {
    let mut world = world();
    let mut sd = SecurityDescriptor::with_dacl(Acl::new(Vec::new()));
    sd.dacl = None;
    sd.set_dacl_protected(true);
    let directory = world.set("alice", a::DESCRIPTOR, vec![sd.to_bytes()]).load();
    assert_eq!(rows(&directory, Permission::SendAs), ["Everyone: NullDacl", "alice: Owner"]);
    assert_eq!(people(&directory, Permission::SendAs), ["alice", "bob", "carol"]);
}

#[test]
fn the_external_account_counts_while_its_owner_is_disabled() {
    let mut world = world();
    let foreign: Sid = "S-1-5-21-7-8-9-1105".parse().unwrap();
    world.set("alice", a::MASTER_ACCOUNT_SID, vec![foreign.to_bytes()]);
    let linked = |world: &World| {
        let all = standing(&world.load().snapshot, world.load().id("alice"), Permission::SendAs);
        all.into_iter().find(|row| row.via == Via::LinkedAccount).map(|row| (row.trustee, row.effective))
    };
    assert_eq!(linked(&world), Some((Some(foreign.clone()), false)));
    world.text("alice", a::USER_ACCOUNT_CONTROL, "514");
    assert_eq!(linked(&world), Some((Some(foreign), true)));
}

#[test]
fn delegates_are_listed_by_sid_or_by_object_and_as_super_delegates_where_they_open_the_mailbox() {
    let mut world = world();
    world.group("team", &["bob"]).add("friend", Class::Contact, "domain");
    let directory = world.link("alice", a::PUBLIC_DELEGATES, &["team", "friend"]).load();
    let mut found = rows(&directory, Permission::SendOnBehalf);
    found.sort();
    assert_eq!(found, ["CN=friend,DC=example,DC=com: Delegate", "team: Delegate"]);
    assert_eq!(rows(&directory, Permission::SendAs), ["alice: Owner"]);
    let open = world.full_access("bob");
    let directory = world.mailbox_acl("alice", &[open]).load();
    assert_eq!(rows(&directory, Permission::SendAs), ["alice: Owner", "team: SuperDelegate"]);
    let bob = who_people(&directory.snapshot, directory.id("alice"), Permission::SendAs).remove(1);
    assert_eq!((bob.account, bob.needs_logon), (directory.id("bob"), true));
    assert_eq!(bob.proof, Some(Proof::SuperDelegate(directory.id("alice"))));
}

#[test]
fn a_delegate_who_sends_as_anyway_is_no_super_delegate() {
    let mut world = world();
    let (open, grant) = (world.full_access("bob"), world.send_as("bob"));
    world.link("alice", a::PUBLIC_DELEGATES, &["bob"]).mailbox_acl("alice", &[open]);
    let directory = world.acl("alice", &[grant]).load();
    assert_eq!(rows(&directory, Permission::SendAs), ["bob: entry", "alice: Owner"]);
}

/// Alice under the legacy policy, with these entries on her mailbox.
fn legacy(aces: impl FnOnce(&World) -> Vec<Ace>) -> Vec<String> {
    let mut world = world();
    let aces = aces(&world);
    let directory = world.mailbox_acl("alice", &aces).text("Mailboxes", a::LEGACY_POLICY, "TRUE").load();
    rows(&directory, Permission::SendAs)
}

#[test]
fn under_the_legacy_policy_entries_of_the_mailbox_carry_send_as() {
    let send_as = AccessMask(2);
    let below = AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0);
    let open = |world: &World| vec![world.full_access("bob")];
    assert_eq!(legacy(open), ["alice: Owner", "bob: Legacy"]);
    let by_two = |world: &World| vec![Ace::allow(world.sid("bob"), send_as)];
    assert_eq!(legacy(by_two), ["alice: Owner", "bob: Legacy"]);
    let own = |_: &World| vec![Ace::allow(well_known::SELF, rights::FULL_MAILBOX_ACCESS)];
    assert_eq!(legacy(own), ["alice: Owner", "NT AUTHORITY\\SELF: Legacy"]);
    let denied = |world: &World| {
        vec![Ace::deny(world.sid("bob"), rights::FULL_MAILBOX_ACCESS | send_as), world.full_access("bob")]
    };
    assert_eq!(legacy(denied), ["alice: Owner", "bob: Legacy, no effect"]);
    let others = |world: &World| {
        vec![Ace::allow(world.sid("bob"), AccessMask::READ_CONTROL), world.full_access("bob").with_flags(below)]
    };
    assert_eq!(legacy(others), ["alice: Owner"]);
}

#[test]
fn self_on_a_mailbox_names_its_owner() {
    let mut world = world();
    let own = Ace::allow(well_known::SELF, rights::FULL_MAILBOX_ACCESS);
    let directory = world.mailbox_acl("alice", &[own]).text("Mailboxes", a::LEGACY_POLICY, "TRUE").load();
    let alice = directory.id("alice");
    let objects = |permission| -> Vec<_> {
        standing(&directory.snapshot, alice, permission).into_iter().map(|row| row.object).collect()
    };
    assert_eq!(objects(Permission::FullAccess), [Some(alice)]);
    assert_eq!(objects(Permission::SendAs), [Some(alice), Some(alice)]);
}

/// The rights by which any sender is taken, ours included.
const ANY: [RightName; 3] = [RightName::Submit, RightName::AcceptAnySender, RightName::AcceptAuthoritativeDomainSender];

/// Who may use any sender where a trustee holds these rights on the receive connector.
fn any(world: &mut World, trustee: &Sid, rights: &[RightName]) -> Vec<String> {
    let aces: Vec<Ace> = rights.iter().map(|right| allow(trustee, *right)).collect();
    let directory = world.acl("Receive", &aces).load();
    words(&directory, any_sender(&directory.snapshot, directory.id("alice")))
}

#[test]
fn any_sender_takes_submit_any_sender_and_senders_of_authoritative_domains_together() {
    let bob = world().sid("bob");
    assert_eq!(any(&mut world(), &bob, &ANY), ["bob: AnySender"]);
    for missing in 0..3 {
        let rights: Vec<RightName> =
            ANY.into_iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, r)| r).collect();
        assert_eq!(any(&mut world(), &bob, &rights), Vec::<String>::new());
    }
}

#[test]
fn a_denial_on_the_connector_takes_any_sender_away() {
    let mut world = world();
    let bob = world.sid("bob");
    let mut aces = vec![Ace::deny_object(bob.clone(), AccessMask::CONTROL_ACCESS, RightName::Submit.guid())];
    aces.extend(ANY.map(|right| allow(&bob, right)));
    let directory = world.acl("Receive", &aces).load();
    assert_eq!(any_sender(&directory.snapshot, directory.id("alice")), []);
}

#[test]
fn servers_that_prove_their_role_use_any_sender_and_externally_secured_ones_where_addresses_are_believed() {
    for sid in [well_known::HUB_SERVERS, well_known::EDGE_SERVERS] {
        assert_eq!(any(&mut world(), &sid, &ANY).len(), 1);
    }
    let secured = well_known::EXTERNALLY_SECURED_SERVERS;
    assert_eq!(any(&mut world(), &secured, &ANY), Vec::<String>::new());
    let mut trusting = world();
    trusting.text("Receive", a::RECEIVE_SECURITY, "32").text("Receive", a::RECEIVE_RANGES, "192.0.2.0/24");
    assert_eq!(any(&mut trusting, &secured, &ANY).len(), 1);
}

#[test]
fn any_sender_is_listed_for_send_as_on_owners_that_exist_and_for_nothing_else() {
    let mut world = world();
    let bob = world.sid("bob");
    let directory = world.acl("Receive", &ANY.map(|right| allow(&bob, right))).load();
    let alice = directory.id("alice");
    let any = |permission, target| {
        let rows = who_can(&directory.snapshot, target, permission);
        rows.iter().filter(|row| matches!(row.via, Via::AnySender { .. })).count()
    };
    assert_eq!(Permission::ALL.map(|permission| any(permission, alice)), [1, 0, 0]);
    world.user("dora");
    let gone = world.load().id("dora");
    assert_eq!(any(Permission::SendAs, gone), 0);
}

#[test]
fn any_sender_on_a_connector_is_no_right_on_an_owner() {
    let mut world = world();
    let directory = world.acl("Receive", &ANY.map(|right| allow(&well_known::EVERYONE, right))).load();
    assert_eq!(people(&directory, Permission::SendAs), ["alice"]);
}

#[test]
fn an_entry_for_owner_rights_reaches_the_owner_of_the_descriptor() {
    let mut world = world();
    let mut sd =
        SecurityDescriptor::with_dacl(Acl::new(vec![Ace::allow(well_known::OWNER_RIGHTS, AccessMask::CONTROL_ACCESS)]));
    sd.owner = Some(world.sid("bob"));
    sd.set_dacl_protected(true);
    let directory = world.set("alice", a::DESCRIPTOR, vec![sd.to_bytes()]).load();
    assert_eq!(people(&directory, Permission::SendAs), ["alice", "bob"]);
}

#[test]
fn a_foreign_principal_stands_for_everybody_or_for_the_account_with_its_sid() {
    let mut world = world();
    world.add("anyone", Class::ForeignPrincipal, "domain");
    world.set("anyone", a::OBJECT_SID, vec![well_known::AUTHENTICATED_USERS.to_bytes()]);
    let directory = world.group("team", &["anyone"]).load();
    assert!(expand(&directory.snapshot, &directory.sid("team")).all);
    let former: Sid = "S-1-5-21-7-8-9-1105".parse().unwrap();
    world.set("anyone", a::OBJECT_SID, vec![former.to_bytes()]);
    let directory = world.set("bob", a::SID_HISTORY, vec![former.to_bytes()]).load();
    let found = expand(&directory.snapshot, &directory.sid("team"));
    assert!(!found.all);
    assert!(found.some.contains(&directory.id("bob")), "{found:?}");
}

#[test]
fn what_can_lists_mailboxes_for_access_and_addresses_for_the_rest() {
    let mut world = world();
    world.account("printer");
    let (open, grant) = (world.full_access("bob"), world.send_as("bob"));
    let aces = std::slice::from_ref(&grant);
    world.acl("alice", aces).acl("printer", aces).mailbox_acl("alice", std::slice::from_ref(&open));
    // Carol keeps her address and has no mailbox any more.
    world.set("carol", a::MAILBOX_GUID, Vec::new()).mailbox_acl("carol", &[open]).acl("carol", aces);
    let directory = world.load();
    let found = |permission| -> Vec<_> {
        let people = what_can(&directory.snapshot, directory.id("bob"), permission);
        people.into_iter().map(|person| directory.snapshot.object(person.target).unwrap().name()).collect()
    };
    assert_eq!(found(Permission::FullAccess), ["alice"]);
    assert_eq!(found(Permission::SendAs), ["alice", "bob", "carol"]);
}

#[test]
fn what_can_of_a_disabled_account_is_nothing() {
    let mut world = world();
    let directory = world.text("bob", a::USER_ACCOUNT_CONTROL, "514").load();
    assert_eq!(what_can(&directory.snapshot, directory.id("bob"), Permission::SendAs), []);
}

#[test]
fn an_entry_for_a_sid_that_nobody_has_or_for_a_disabled_account_has_no_effect() {
    let mut world = world();
    let nobody: Sid = "S-1-5-21-1-2-3-9999".parse().unwrap();
    let aces =
        [allow(&nobody, RightName::SendAs), world.send_as("bob"), allow(&well_known::EVERYONE, RightName::SendAs)];
    let directory = world.acl("alice", &aces).text("bob", a::USER_ACCOUNT_CONTROL, "514").load();
    let found: Vec<bool> = standing(&directory.snapshot, directory.id("alice"), Permission::SendAs)
        .into_iter()
        .map(|row| row.effective)
        .collect();
    assert_eq!(found, [false, false, true, true]);
}
