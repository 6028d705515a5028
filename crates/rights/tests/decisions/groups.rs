//! Permission groups: read off the entries of a connector, and written as entries.

use acl::{AccessMask, Ace, AceFlags, SecurityDescriptor, Sid, well_known};
use directory::{Class, attributes as a};
use rights::{
    GroupTrustee, GroupsHeld, PermissionGroup, RIGHTS, RightName, ServerRole, assign_groups, group_entries,
    permission_groups, role_of, trustee_sid,
};

use crate::world::{Directory, World, allow};

/// A world with the two security groups that permission groups name.
fn world() -> World {
    let mut world = World::new();
    world.group("Exchange Servers", &[]).group("ExchangeLegacyInterop", &[]);
    world
}

/// The entries of groups on the receive connector.
fn entries(directory: &Directory, groups: &[PermissionGroup]) -> Vec<Ace> {
    let near = directory.id("Receive");
    let of = |group: &PermissionGroup| group_entries(&directory.snapshot, near, *group, ServerRole::Hub);
    groups.iter().flat_map(of).map(|(sid, right)| allow(&sid, right)).collect()
}

/// What the receive connector carries with these entries.
fn held(aces: &[Ace]) -> GroupsHeld {
    let directory = world().acl("Receive", aces).load();
    permission_groups(&directory.snapshot, directory.id("Receive"))
}

/// The entries of anonymous users: Submit, Accept any Sender, Accept Headers Routing.
fn anonymous() -> Vec<Ace> {
    entries(&world().load(), &[PermissionGroup::AnonymousUsers])
}

fn denial(sid: &Sid, right: RightName) -> Ace {
    Ace::deny_object(sid.clone(), AccessMask::CONTROL_ACCESS, right.guid())
}

#[test]
fn a_group_is_there_when_all_of_its_entries_are() {
    let aces = anonymous();
    assert_eq!(held(&aces), GroupsHeld { groups: vec![PermissionGroup::AnonymousUsers], others: Vec::new() });
    assert_eq!(held(&aces[1..]).groups, []);
    assert_eq!(held(&[]), GroupsHeld::default());
}

#[test]
fn a_connector_reads_as_its_groups_as_none_or_as_custom() {
    let names = |aces: &[Ace]| held(aces).names();
    assert_eq!(names(&[]), ["None"]);
    assert_eq!(names(&anonymous()), ["AnonymousUsers"]);
    let both = [PermissionGroup::ExchangeUsers, PermissionGroup::AnonymousUsers];
    assert_eq!(names(&entries(&world().load(), &both)), ["AnonymousUsers", "ExchangeUsers"]);
    assert_eq!(names(&anonymous()[1..]), ["Custom"]);
}

#[test]
fn entries_beyond_the_groups_are_named_by_their_places() {
    let mut aces = anonymous();
    aces.push(allow(&well_known::ANONYMOUS_LOGON, RightName::AcceptAnyRecipient));
    let found = held(&aces);
    assert_eq!((found.groups.as_slice(), found.others.as_slice()), (&[PermissionGroup::AnonymousUsers][..], &[3][..]));
}

#[test]
fn an_entry_of_a_group_that_is_there_twice_belongs_to_it_twice() {
    let mut aces = anonymous();
    aces.push(aces[0].clone());
    assert_eq!(held(&aces).others, []);
}

#[test]
fn no_entry_stands_for_one_of_a_group_that_denies_is_not_effective_says_more_or_names_somebody_else() {
    let first = anonymous().remove(0);
    let right = RIGHTS.iter().find(|right| Some(right.guid) == first.object_type).unwrap();
    let flags = AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0);
    let wide = AccessMask::CONTROL_ACCESS | AccessMask::WRITE_DAC;
    let others = [
        denial(&first.sid, right.id),
        first.clone().with_flags(flags),
        Ace::allow_object(first.sid.clone(), wide, right.guid),
        Ace::allow(first.sid.clone(), AccessMask::CONTROL_ACCESS),
        allow(&well_known::EVERYONE, right.id),
        allow(&first.sid, RightName::BypassAntiSpam),
    ];
    for other in others {
        let mut aces = anonymous();
        aces[0] = other.clone();
        assert_eq!(held(&aces).groups, [], "{other:?}");
    }
}

#[test]
fn entries_that_say_nothing_about_connectors_do_not_make_it_custom() {
    let everyone = &well_known::EVERYONE;
    let others = |ace: Ace| held(&[ace]).others;
    assert_eq!(others(allow(everyone, RightName::SendAs)), []);
    assert_eq!(others(Ace::allow(everyone.clone(), AccessMask::READ_CONTROL)), []);
    assert_eq!(others(Ace::allow_object(everyone.clone(), AccessMask::READ_PROPERTY, RightName::Submit.guid())), []);
    assert_eq!(others(Ace::allow(everyone.clone(), AccessMask::CONTROL_ACCESS)), [0]);
    assert_eq!(others(allow(everyone, RightName::BypassAntiSpam)), [0]);
}

#[test]
fn denials_of_headers_to_legacy_servers_belong_to_their_group() {
    let sid = world().load().sid("ExchangeLegacyInterop");
    let (organization, forest) = (RightName::AcceptHeadersOrganization, RightName::AcceptHeadersForest);
    assert_eq!(held(&[denial(&sid, organization), denial(&sid, forest)]).others, []);
    assert_eq!(held(&[denial(&sid, RightName::Submit)]).others, [0]);
    assert_eq!(held(&[denial(&well_known::EVERYONE, organization)]).others, [0]);
    assert_eq!(held(&[allow(&sid, organization)]).others, [0]);
}

#[test]
fn a_connector_with_a_descriptor_that_cannot_be_read_carries_nothing() {
    let directory = world().set("Receive", a::DESCRIPTOR, vec![Vec::new()]).load();
    assert_eq!(permission_groups(&directory.snapshot, directory.id("Receive")), GroupsHeld::default());
}

#[test]
fn trustees_of_groups_are_well_known_or_the_security_groups_of_the_root_domain() {
    let directory = world().load();
    let sid = |directory: &Directory, trustee| trustee_sid(&directory.snapshot, directory.id("Receive"), &trustee);
    let known = GroupTrustee::WellKnown(well_known::EVERYONE);
    assert_eq!(sid(&directory, known), Some(well_known::EVERYONE));
    assert_eq!(sid(&directory, GroupTrustee::ExchangeServers), Some(directory.sid("Exchange Servers")));
    assert_eq!(sid(&directory, GroupTrustee::ExchangeLegacyInterop), Some(directory.sid("ExchangeLegacyInterop")));
    assert_eq!(sid(&World::new().load(), GroupTrustee::ExchangeServers), None);
}

#[test]
fn an_account_that_is_called_like_a_security_group_is_not_taken_for_it() {
    let mut world = World::new();
    let directory = world.account("Exchange Servers").load();
    assert_eq!(trustee_sid(&directory.snapshot, directory.id("Receive"), &GroupTrustee::ExchangeServers), None);
}

#[test]
fn the_role_of_a_connector_is_that_of_the_server_above_it() {
    let mut world = World::new();
    world.add("Inner", Class::ReceiveConnector, "Mail");
    let role = |world: &World, name: &str| {
        let directory = world.load();
        role_of(&directory.snapshot, directory.id(name))
    };
    assert_eq!([role(&world, "Inner"), role(&world, "Mail")], [ServerRole::Hub; 2]);
    world.text("Mail", a::SERVER_ROLES, "64");
    assert_eq!([role(&world, "Inner"), role(&world, "Mail")], [ServerRole::Edge; 2]);
    assert_eq!(role(&world, "Receive"), ServerRole::Hub);
}

/// The groups and the entries in words of a descriptor to which groups were assigned.
fn assigned(aces: Vec<Ace>, groups: &[PermissionGroup]) -> Vec<Ace> {
    let directory = world().load();
    let mut descriptor = SecurityDescriptor::with_dacl(acl::Acl::new(aces));
    assign_groups(&directory.snapshot, directory.id("Receive"), ServerRole::Hub, &mut descriptor, groups);
    descriptor.dacl.unwrap().aces
}

#[test]
fn assigned_groups_are_the_groups_that_are_held() {
    for group in PermissionGroup::ALL {
        assert_eq!(held(&assigned(Vec::new(), &[group])), GroupsHeld { groups: vec![group], others: Vec::new() });
    }
}

#[test]
fn groups_that_are_not_assigned_go_and_other_entries_stay() {
    let other = allow(&well_known::EVERYONE, RightName::BypassAntiSpam);
    let mut aces = assigned(Vec::new(), &PermissionGroup::ALL);
    aces.push(other.clone());
    assert_eq!(assigned(aces, &[]), [other]);
}

#[test]
fn legacy_servers_are_denied_headers_in_so_many_words() {
    let sid = world().load().sid("ExchangeLegacyInterop");
    let denied = |aces: Vec<Ace>| aces.into_iter().filter(Ace::is_deny).collect::<Vec<_>>();
    let expected = [RightName::AcceptHeadersOrganization, RightName::AcceptHeadersForest].map(|r| denial(&sid, r));
    let mut found = denied(assigned(Vec::new(), &[PermissionGroup::ExchangeLegacyServers]));
    found.sort_by_key(|ace| expected.iter().position(|other| other == ace));
    assert_eq!(found, expected);
    assert_eq!(denied(assigned(Vec::new(), &[PermissionGroup::ExchangeServers])), []);
}

#[test]
fn a_connector_without_a_dacl_gets_one_with_the_groups() {
    let directory = world().load();
    let mut descriptor = SecurityDescriptor::with_dacl(acl::Acl::new(Vec::new()));
    descriptor.dacl = None;
    let groups = [PermissionGroup::AnonymousUsers];
    assign_groups(&directory.snapshot, directory.id("Receive"), ServerRole::Hub, &mut descriptor, &groups);
    assert_eq!(descriptor.dacl.unwrap().aces.len(), anonymous().len());
}
