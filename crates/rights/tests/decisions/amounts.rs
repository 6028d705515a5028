//! Rights that amount to Send As (`authorization.md` §6): what an entry must say, and whom a report leaves out.

use acl::{AccessMask, Ace, AceFlags, Acl, Guid, SecurityDescriptor, names, well_known};
use directory::attributes as a;
use rights::{Amount, CouldBecome, could_become};

use crate::world::World;

fn world() -> World {
    let mut world = World::new();
    world.user("alice").user("bob").user("carol");
    world
}

fn attribute(name: &str) -> Guid {
    names::by_name(name).unwrap().guid
}

/// The rows for Alice where her descriptor has these entries.
fn rows(world: &mut World, aces: &[Ace]) -> Vec<CouldBecome> {
    let directory = world.acl("alice", aces).load();
    could_become(&directory.snapshot, directory.id("alice"))
}

/// Right and whether it is effective, of each row.
fn found(world: &mut World, aces: &[Ace]) -> Vec<(Amount, bool)> {
    rows(world, aces).into_iter().map(|row| (row.amount, row.effective)).collect()
}

#[test]
fn each_right_has_a_name_and_says_what_it_is_good_for() {
    let expected = [
        (Amount::WriteDac, "write-dac", "can grant the right to himself"),
        (
            Amount::WriteOwner,
            "write-owner",
            "can make himself owner of the descriptor, then grant the right to himself",
        ),
        (
            Amount::DescriptorOwner,
            "descriptor-owner",
            "owns the descriptor: can grant the right to himself, whatever it says",
        ),
        (
            Amount::WriteProxyAddresses,
            "write-proxy-addresses",
            "can take the addresses away and give them to an object that he sends as",
        ),
        (
            Amount::WriteMasterAccount,
            "write-master-account-sid",
            "can make himself the Associated External Account of a disabled owner",
        ),
        (
            Amount::WriteDelegates,
            "write-public-delegates",
            "can make himself a delegate; with Full Mailbox Access that makes him a super-delegate",
        ),
    ];
    for (amount, name, meaning) in expected {
        assert_eq!((amount.name(), amount.meaning()), (name, meaning));
    }
}

#[test]
fn each_entry_gives_the_right_that_it_grants_and_no_other() {
    let mut world = world();
    let bob = world.sid("bob");
    let property = |named| Ace::allow_object(bob.clone(), AccessMask::WRITE_PROPERTY, named);
    assert_eq!(found(&mut world, &[Ace::allow(bob.clone(), AccessMask::WRITE_DAC)]), [(Amount::WriteDac, true)]);
    assert_eq!(found(&mut world, &[Ace::allow(bob.clone(), AccessMask::WRITE_OWNER)]), [(Amount::WriteOwner, true)]);
    for named in [attribute("proxyAddresses"), names::PUBLIC_INFORMATION] {
        assert_eq!(found(&mut world, &[property(named)]), [(Amount::WriteProxyAddresses, true)]);
    }
    for named in [attribute("publicDelegates"), names::PERSONAL_INFORMATION] {
        assert_eq!(found(&mut world, &[property(named)]), [(Amount::WriteDelegates, false)]);
    }
    assert_eq!(found(&mut world, &[property(Guid::from_u128(7))]), []);
    assert_eq!(found(&mut world, &[Ace::allow_object(bob.clone(), AccessMask::CONTROL_ACCESS, names::SEND_AS)]), []);
}

#[test]
fn an_entry_for_the_class_or_for_all_properties_covers_the_three_attributes() {
    let mut world = world();
    let bob = world.sid("bob");
    let expected =
        [(Amount::WriteProxyAddresses, true), (Amount::WriteMasterAccount, true), (Amount::WriteDelegates, false)];
    let of_class = Ace::allow_object(bob.clone(), AccessMask::WRITE_PROPERTY, names::USER);
    assert_eq!(found(&mut world, &[of_class]), expected);
    assert_eq!(found(&mut world, &[Ace::allow(bob, AccessMask::WRITE_PROPERTY)]), expected);
}

#[test]
fn an_entry_about_the_descriptor_that_names_an_object_type_grants_nothing() {
    let mut world = world();
    let bob = world.sid("bob");
    for mask in [AccessMask::WRITE_DAC, AccessMask::WRITE_OWNER] {
        assert_eq!(found(&mut world, &[Ace::allow_object(bob.clone(), mask, names::USER)]), []);
    }
}

#[test]
fn writing_delegates_counts_together_with_full_mailbox_access_only() {
    let mut world = world();
    let write = Ace::allow_object(world.sid("bob"), AccessMask::WRITE_PROPERTY, attribute("publicDelegates"));
    assert_eq!(found(&mut world, std::slice::from_ref(&write)), [(Amount::WriteDelegates, false)]);
    let access = world.full_access("bob");
    world.mailbox_acl("alice", &[access]);
    assert_eq!(found(&mut world, &[write]), [(Amount::WriteDelegates, true)]);
    let access = world.full_access("carol");
    world.mailbox_acl("alice", &[access]);
    let write = Ace::allow_object(world.sid("bob"), AccessMask::WRITE_PROPERTY, attribute("publicDelegates"));
    assert_eq!(found(&mut world, &[write]), [(Amount::WriteDelegates, false)]);
}

#[test]
fn entries_that_deny_are_inherited_only_or_name_the_owner_itself_are_no_rows() {
    let mut world = world();
    let (alice, bob) = (world.sid("alice"), world.sid("bob"));
    let below = AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0);
    for ace in [
        Ace::deny(bob.clone(), AccessMask::WRITE_DAC),
        Ace::allow(bob, AccessMask::WRITE_DAC).with_flags(below),
        Ace::allow(well_known::SELF, AccessMask::WRITE_DAC),
        Ace::allow(alice, AccessMask::WRITE_DAC),
    ] {
        assert_eq!(found(&mut world, &[ace]), []);
    }
}

#[test]
fn an_entry_behind_a_denial_and_an_entry_for_nobody_have_no_effect() {
    let mut world = world();
    let bob = world.sid("bob");
    let grant = Ace::allow(bob.clone(), AccessMask::WRITE_DAC);
    assert_eq!(found(&mut world, &[Ace::deny(bob, AccessMask::WRITE_DAC), grant.clone()]), [(Amount::WriteDac, false)]);
    let write = Ace::allow(world.sid("bob"), AccessMask::WRITE_PROPERTY);
    let denial = Ace::deny_object(world.sid("bob"), AccessMask::WRITE_PROPERTY, attribute("proxyAddresses"));
    let rows = found(&mut world, &[denial, write]);
    assert_eq!(rows[..2], [(Amount::WriteProxyAddresses, false), (Amount::WriteMasterAccount, true)]);
    let nobody = Ace::allow(crate::world::sid("S-1-5-21-9-9-9-1234"), AccessMask::WRITE_DAC);
    assert_eq!(found(&mut world, &[nobody]), [(Amount::WriteDac, false)]);
    world.text("bob", a::USER_ACCOUNT_CONTROL, "514");
    assert_eq!(found(&mut world, &[grant]), [(Amount::WriteDac, false)]);
}

#[test]
fn each_right_is_listed_once_for_each_trustee() {
    let mut world = world();
    let (bob, carol) = (world.sid("bob"), world.sid("carol"));
    let aces = [
        Ace::allow(bob.clone(), AccessMask::WRITE_DAC),
        Ace::allow(carol.clone(), AccessMask::WRITE_DAC),
        Ace::allow(bob.clone(), AccessMask(AccessMask::WRITE_DAC.0 | AccessMask::WRITE_OWNER.0)),
    ];
    let directory = world.acl("alice", &aces).load();
    let alice = directory.id("alice");
    let row = |trustee: &acl::Sid, amount, ace| CouldBecome {
        trustee: trustee.clone(),
        amount,
        ace: Some(ace),
        origin: alice,
        inherited: false,
        effective: true,
    };
    let expected = [row(&bob, Amount::WriteDac, 0), row(&carol, Amount::WriteDac, 1), row(&bob, Amount::WriteOwner, 2)];
    assert_eq!(could_become(&directory.snapshot, alice), expected);
}

#[test]
fn an_inherited_entry_says_where_it_stands() {
    let mut world = World::new();
    world.add("Staff", directory::Class::OrganizationalUnit, "domain");
    world.add("alice", directory::Class::User, "Staff").user("bob");
    let grant = Ace::allow(world.sid("bob"), AccessMask::WRITE_DAC).with_flags(AceFlags::CONTAINER_INHERIT);
    world.acl("Staff", &[grant]);
    let open = SecurityDescriptor::with_dacl(Acl::new(Vec::new())).to_bytes();
    let directory = world.set("alice", a::DESCRIPTOR, vec![open]).load();
    let rows = could_become(&directory.snapshot, directory.id("alice"));
    assert_eq!(rows.len(), 1);
    assert!(rows[0].inherited && rows[0].effective);
    assert_eq!(rows[0].origin, directory.id("Staff"));
}

/// The rows for Alice where Bob, or a SID that nobody has, owns her descriptor.
fn owned(owner: &acl::Sid, aces: &[Ace]) -> Vec<(Amount, Option<usize>, bool)> {
    let mut sd = SecurityDescriptor::with_dacl(Acl::new(aces.to_vec()));
    sd.set_dacl_protected(true);
    sd.owner = Some(owner.clone());
    let directory = world().set("alice", a::DESCRIPTOR, vec![sd.to_bytes()]).load();
    let rows = could_become(&directory.snapshot, directory.id("alice"));
    rows.into_iter().map(|row| (row.amount, row.ace, row.effective)).collect()
}

#[test]
fn the_owner_of_the_descriptor_may_change_it_unless_an_entry_speaks_of_owner_rights() {
    let (bob, carol) = (world().sid("bob"), world().sid("carol"));
    assert_eq!(owned(&bob, &[]), [(Amount::DescriptorOwner, None, true)]);
    assert_eq!(owned(&crate::world::sid("S-1-5-21-9-9-9-1234"), &[]), [(Amount::DescriptorOwner, None, false)]);
    let other = Ace::allow(carol, AccessMask::CONTROL_ACCESS);
    assert_eq!(owned(&bob, std::slice::from_ref(&other)), [(Amount::DescriptorOwner, None, true)]);
    let rights = Ace::allow(well_known::OWNER_RIGHTS, AccessMask::CONTROL_ACCESS);
    assert_eq!(owned(&bob, &[rights, other]), []);
}

#[test]
fn writing_the_attribute_of_the_external_account_amounts_to_becoming_it() {
    let mut world = world();
    let entry = Ace::allow_object(world.sid("bob"), AccessMask::WRITE_PROPERTY, attribute("msExchMasterAccountSid"));
    assert_eq!(found(&mut world, &[entry]), [(Amount::WriteMasterAccount, true)]);
}
