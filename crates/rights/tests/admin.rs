//! Who may administer what: `rights::admin::may`, each action allowed and denied.

#![allow(clippy::unwrap_used)]

use acl::{AccessMask, Ace, AceFlags, Acl, Guid, SecurityDescriptor, Sid, guid, names, well_known};
use directory::{
    Change, ChangeBatch, Class, GroupScope, GroupType, ObjectId, Record, Snapshot, Time, attributes as a, link_value,
};
use rights::admin::{Action, may};

const ALICE: &str = "S-1-5-21-1-2-3-1101";
const BOB: &str = "S-1-5-21-1-2-3-1102";
const TEAM: &str = "S-1-5-21-1-2-3-1201";
const RESET_PASSWORD: Guid = guid!("00299570-246d-11d0-a768-00aa006e0529");
const MAIL: Guid = guid!("bf967961-0de6-11d0-a285-00aa003049e2");

/// What may be asked of an object.
const EVERY: [Action<'static>; 7] = [
    Action::Read,
    Action::CreateChild(names::USER),
    Action::Delete,
    Action::WriteProperty(&[names::USER, names::PUBLIC_INFORMATION, MAIL]),
    Action::WriteDac,
    Action::WriteOwner,
    Action::ControlAccess(RESET_PASSWORD),
];

fn sid(text: &str) -> Sid {
    text.parse().unwrap()
}

fn id(number: u128) -> Guid {
    Guid::from_u128(0x2000_0000_0000_4000_8000_0000_0000_0000 + number)
}

/// A domain, in it a unit with the entries `above`, in it the user Alice with the entries `own`; nothing else grants
/// anything to anybody. Beside the unit, Bob and the group Team, whose member he is.
struct World {
    snapshot: Snapshot,
    unit: ObjectId,
    alice: ObjectId,
    bob: ObjectId,
}

impl World {
    fn new(above: Vec<Ace>, own: Vec<Ace>) -> World {
        World::owned(above, own, &well_known::SYSTEM)
    }

    fn owned(above: Vec<Ace>, own: Vec<Ace>, owner: &Sid) -> World {
        let object = |number, parent: Option<u128>, rdn: &str, class: Class, aces: Vec<Ace>, owner: &Sid| {
            let mut sd = SecurityDescriptor::with_dacl(Acl::new(aces));
            sd.owner = Some(owner.clone());
            Record::new(id(number), parent.map(id), rdn)
                .with_all(a::OBJECT_CLASS, class.object_classes().iter().map(|name| name.as_bytes().to_vec()))
                .with(a::DESCRIPTOR, sd.to_bytes())
        };
        let none = |number, parent, rdn, class| object(number, parent, rdn, class, Vec::new(), &well_known::SYSTEM);
        let records = [
            none(1, None, "DC=example,DC=com", Class::Domain).with(a::OBJECT_SID, sid("S-1-5-21-1-2-3").to_bytes()),
            object(2, Some(1), "OU=Staff", Class::OrganizationalUnit, above, &well_known::SYSTEM),
            object(3, Some(2), "CN=Alice", Class::User, own, owner).with(a::OBJECT_SID, sid(ALICE).to_bytes()),
            none(4, Some(1), "CN=Bob", Class::User).with(a::OBJECT_SID, sid(BOB).to_bytes()),
            none(5, Some(1), "CN=Team", Class::Group)
                .with(a::OBJECT_SID, sid(TEAM).to_bytes())
                .with(a::GROUP_TYPE, GroupType::security(GroupScope::Global).0.to_string())
                .with(a::MEMBER, link_value(&id(4))),
        ];
        let snapshot = Snapshot::empty().apply(&batch(records.map(Change::Add).into())).unwrap().snapshot;
        let find = |number| snapshot.by_guid(&id(number)).unwrap();
        World { unit: find(2), alice: find(3), bob: find(4), snapshot }
    }

    fn may(&self, who: ObjectId, on: ObjectId, action: Action<'_>) -> bool {
        may(&self.snapshot, &self.snapshot.account_token(who).unwrap(), on, action)
    }

    fn bob_may(&self, action: Action<'_>) -> bool {
        self.may(self.bob, self.alice, action)
    }
}

fn batch(changes: Vec<Change>) -> ChangeBatch {
    ChangeBatch { author: well_known::SYSTEM, time: Time(0), comment: String::new(), changes }
}

/// The entry that allows an action and nothing else of [`EVERY`].
fn entry(action: Action<'_>, trustee: &str) -> Ace {
    let plain = |mask| Ace::allow(sid(trustee), mask);
    match action {
        Action::Read => plain(AccessMask::READ_PROPERTY),
        Action::CreateChild(class) => Ace::allow_object(sid(trustee), AccessMask::CREATE_CHILD, class),
        Action::Delete => plain(AccessMask::DELETE),
        Action::WriteProperty(_) => Ace::allow_object(sid(trustee), AccessMask::WRITE_PROPERTY, MAIL),
        Action::WriteDac => plain(AccessMask::WRITE_DAC),
        Action::WriteOwner => plain(AccessMask::WRITE_OWNER),
        Action::ControlAccess(right) => Ace::allow_object(sid(trustee), AccessMask::CONTROL_ACCESS, right),
    }
}

fn denied(ace: Ace) -> Ace {
    match ace.object_type {
        Some(named) => Ace::deny_object(ace.sid, ace.mask, named),
        None => Ace::deny(ace.sid, ace.mask),
    }
}

#[test]
fn without_an_entry_nothing_is_allowed() {
    let world = World::new(Vec::new(), Vec::new());
    for action in EVERY {
        assert!(!world.bob_may(action), "{action:?}");
    }
}

#[test]
fn the_entry_for_an_action_allows_that_action_and_no_other() {
    for granted in EVERY {
        let world = World::new(Vec::new(), vec![entry(granted, BOB)]);
        for action in EVERY {
            assert_eq!(world.bob_may(action), action == granted, "{action:?} where {granted:?} is granted");
        }
    }
}

#[test]
fn an_entry_for_a_group_counts_for_its_members() {
    for action in EVERY {
        assert!(World::new(Vec::new(), vec![entry(action, TEAM)]).bob_may(action), "{action:?}");
    }
}

#[test]
fn a_denial_before_the_grant_stops_it_and_one_behind_it_does_not() {
    for action in EVERY {
        let (grant, denial) = (entry(action, BOB), denied(entry(action, TEAM)));
        assert!(!World::new(Vec::new(), vec![denial.clone(), grant.clone()]).bob_may(action), "{action:?}");
        assert!(World::new(Vec::new(), vec![grant, denial]).bob_may(action), "{action:?}");
    }
}

#[test]
fn full_control_allows_every_action() {
    let world = World::new(Vec::new(), vec![Ace::allow(sid(BOB), AccessMask::DS_FULL_CONTROL)]);
    for action in EVERY {
        assert!(world.bob_may(action), "{action:?}");
    }
}

#[test]
fn an_entry_that_is_only_handed_down_does_not_count_where_it_stands() {
    for action in EVERY {
        let flags = AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0);
        assert!(!World::new(Vec::new(), vec![entry(action, BOB).with_flags(flags)]).bob_may(action), "{action:?}");
    }
}

#[test]
fn an_entry_on_a_unit_counts_for_users_below_it() {
    for action in EVERY {
        let flags = AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0);
        let inherited = entry(action, BOB).with_flags(flags).for_class(names::USER);
        assert!(World::new(vec![inherited], Vec::new()).bob_may(action), "{action:?}");
    }
}

#[test]
fn a_property_set_covers_its_attributes_and_not_those_of_others() {
    let grant = |set| vec![Ace::allow_object(sid(BOB), AccessMask::WRITE_PROPERTY, set)];
    let mail = Action::WriteProperty(&[names::USER, names::PUBLIC_INFORMATION, MAIL]);
    assert!(World::new(Vec::new(), grant(names::PUBLIC_INFORMATION)).bob_may(mail));
    assert!(!World::new(Vec::new(), grant(names::PERSONAL_INFORMATION)).bob_may(mail));
}

#[test]
fn children_of_one_class_may_be_created_where_only_that_class_is_granted() {
    let world = World::new(Vec::new(), vec![entry(Action::CreateChild(names::GROUP), BOB)]);
    assert!(world.bob_may(Action::CreateChild(names::GROUP)));
    assert!(!world.bob_may(Action::CreateChild(names::USER)));
}

#[test]
fn one_control_access_right_is_not_another() {
    let world = World::new(Vec::new(), vec![entry(Action::ControlAccess(names::SEND_AS), BOB)]);
    assert!(world.bob_may(Action::ControlAccess(names::SEND_AS)));
    assert!(!world.bob_may(Action::ControlAccess(RESET_PASSWORD)));
}

#[test]
fn delete_child_on_the_parent_deletes_what_is_below_it() {
    let on_parent = vec![Ace::allow(sid(BOB), AccessMask::DELETE_CHILD)];
    let world = World::new(on_parent, Vec::new());
    assert!(world.bob_may(Action::Delete));
    assert!(!world.may(world.bob, world.unit, Action::Delete), "the parent itself stays");
}

#[test]
fn delete_child_for_one_class_deletes_objects_of_that_class() {
    let on_parent = |class| vec![Ace::allow_object(sid(BOB), AccessMask::DELETE_CHILD, class)];
    assert!(World::new(on_parent(names::USER), Vec::new()).bob_may(Action::Delete));
    assert!(!World::new(on_parent(names::GROUP), Vec::new()).bob_may(Action::Delete));
}

#[test]
fn delete_child_that_is_denied_on_the_parent_does_not_take_delete_on_the_object_away() {
    let on_parent = vec![Ace::deny(sid(BOB), AccessMask::DELETE_CHILD)];
    assert!(World::new(on_parent.clone(), vec![entry(Action::Delete, BOB)]).bob_may(Action::Delete));
    assert!(!World::new(on_parent, Vec::new()).bob_may(Action::Delete));
}

#[test]
fn a_denied_delete_does_not_take_delete_child_on_the_parent_away() {
    let on_parent = vec![Ace::allow(sid(BOB), AccessMask::DELETE_CHILD)];
    assert!(World::new(on_parent, vec![denied(entry(Action::Delete, BOB))]).bob_may(Action::Delete));
}

#[test]
fn delete_child_on_the_object_itself_deletes_nothing_but_its_children() {
    assert!(!World::new(Vec::new(), vec![Ace::allow(sid(BOB), AccessMask::DELETE_CHILD)]).bob_may(Action::Delete));
}

#[test]
fn the_owner_of_the_descriptor_may_change_it_and_nothing_else() {
    let world = World::owned(Vec::new(), Vec::new(), &sid(BOB));
    for action in EVERY {
        assert_eq!(world.bob_may(action), action == Action::WriteDac, "{action:?}");
    }
}

#[test]
fn a_group_that_owns_the_descriptor_lets_its_members_change_it() {
    assert!(World::owned(Vec::new(), Vec::new(), &sid(TEAM)).bob_may(Action::WriteDac));
}

#[test]
fn an_entry_for_owner_rights_takes_the_place_of_what_owners_have() {
    let read_only = vec![Ace::allow(well_known::OWNER_RIGHTS, AccessMask::READ_PROPERTY)];
    let world = World::owned(Vec::new(), read_only, &sid(BOB));
    assert!(world.bob_may(Action::Read));
    assert!(!world.bob_may(Action::WriteDac));
}

#[test]
fn self_is_the_object_and_nobody_else() {
    for action in EVERY {
        let world = World::new(Vec::new(), vec![entry(action, "S-1-5-10")]);
        assert!(world.may(world.alice, world.alice, action), "{action:?}");
        assert!(!world.bob_may(action), "{action:?}");
    }
}

#[test]
fn an_unreadable_descriptor_grants_nothing_not_even_to_full_control_above() {
    let all = Ace::allow(sid(BOB), AccessMask::DS_FULL_CONTROL).with_flags(AceFlags::CONTAINER_INHERIT);
    let world = World::new(vec![all], Vec::new());
    assert!(world.bob_may(Action::Read));
    let unreadable = Change::Modify { guid: id(3), attributes: vec![(a::DESCRIPTOR.to_owned(), vec![Vec::new()])] };
    let after = World { snapshot: world.snapshot.apply(&batch(vec![unreadable])).unwrap().snapshot, ..world };
    for action in EVERY.into_iter().filter(|action| *action != Action::Delete) {
        assert!(!after.bob_may(action), "{action:?}");
    }
}

#[test]
fn nothing_may_be_done_to_what_is_not_there() {
    let world = World::new(Vec::new(), vec![Ace::allow(sid(BOB), AccessMask::DS_FULL_CONTROL)]);
    for action in EVERY {
        assert!(!world.may(world.bob, ObjectId(1 << 20), action), "{action:?}");
    }
}
