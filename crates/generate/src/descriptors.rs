//! Security descriptors of units and users.

use acl::{
    AccessMask, Ace, AceFlags, Acl, Guid, InheritContext, SecurityDescriptor, effective_descriptor, inherited_aces,
    names, well_known,
};
use directory::organization::{group, new_object, user};
use directory::{Change, ChangeError, Class, GroupScope, GroupType, Snapshot};

use crate::{Forest, Kind, UNITS_PER_DIVISION, apply};

/// Control access right Reset Password.
const RESET_PASSWORD: Guid = acl::guid!("00299570-246d-11d0-a768-00aa006e0529");
/// Property sets and attributes that help desks are given, one entry each.
const HELP_DESK: [Guid; 6] = [
    acl::guid!("e48d0154-bcf8-11d1-8702-00c04fb96050"),
    acl::guid!("77b5b886-944a-11d1-aebd-0000f80367c1"),
    acl::guid!("e45795b2-9455-11d1-aebd-0000f80367c1"),
    acl::guid!("59ba2f42-79a2-11d0-9020-00c04fc2d3cf"),
    acl::guid!("5f202010-79a5-11d0-9020-00c04fc2d4cf"),
    acl::guid!("4c164200-20c0-11d0-a768-00aa006e0529"),
];

/// Class defaults, as a directory gives them.
pub(crate) struct Descriptors {
    domain: SecurityDescriptor,
    unit: SecurityDescriptor,
    user: SecurityDescriptor,
    user_bytes: Vec<u8>,
    pub(crate) group: Vec<u8>,
}

impl Descriptors {
    pub(crate) fn new(
        base: &Snapshot,
        domain: Guid,
        new_guid: &mut dyn FnMut() -> Guid,
    ) -> Result<Descriptors, ChangeError> {
        let (unit, person, people) = (new_guid(), new_guid(), new_guid());
        let changes = vec![
            Change::Add(new_object(unit, domain, Class::OrganizationalUnit, "Sample")),
            Change::Add(user(person, unit, "Sample", "sample")),
            Change::Add(group(people, unit, "Samples", GroupType::security(GroupScope::Global))),
        ];
        let sample = apply(base, changes)?.snapshot;
        let explicit = |guid: &Guid| {
            let id = sample.by_guid(guid).and_then(|id| sample.explicit_descriptor(id));
            id.map_or_else(|| SecurityDescriptor::with_dacl(Acl::new(Vec::new())), |sd| (*sd).clone())
        };
        let user = explicit(&person);
        let user_bytes = user.to_bytes();
        let group = explicit(&people).to_bytes();
        Ok(Descriptors { domain: explicit(&domain), unit: explicit(&unit), user, user_bytes, group })
    }
}

/// Inherited by users below, and no right on the unit itself.
fn for_users(ace: Ace) -> Ace {
    ace.for_class(names::USER).with_flags(AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0))
}

fn insert(sd: &mut SecurityDescriptor, aces: impl IntoIterator<Item = Ace>) {
    if let Some(dacl) = &mut sd.dacl {
        for ace in aces {
            acl::edit::add(dacl, ace);
        }
        dacl.update_revision();
    }
}

impl Forest {
    /// The explicit descriptor of a unit: help desk entries, a service that sends for every 8th department, a denial in
    /// every 40th; who administers a division has full control of its users.
    pub(crate) fn unit_descriptor(&self, unit: u32) -> SecurityDescriptor {
        let mut sd = self.descriptors.unit.clone();
        let mut draw = self.draw(Kind::Unit, unit);
        let desk = self.group_sid(draw.below(self.groups));
        let mut aces = vec![for_users(Ace::allow_object(desk.clone(), AccessMask::CONTROL_ACCESS, RESET_PASSWORD))];
        let properties = AccessMask(AccessMask::READ_PROPERTY.0 | AccessMask::WRITE_PROPERTY.0);
        aces.extend(HELP_DESK.map(|set| for_users(Ace::allow_object(desk.clone(), properties, set))));
        let send_as = |sid, deny: bool| match deny {
            true => Ace::deny_object(sid, AccessMask::CONTROL_ACCESS, names::SEND_AS),
            false => Ace::allow_object(sid, AccessMask::CONTROL_ACCESS, names::SEND_AS),
        };
        if unit.is_multiple_of(UNITS_PER_DIVISION) {
            let administrators = self.group_sid(draw.below(self.groups));
            aces.push(for_users(Ace::allow(administrators, AccessMask::DS_FULL_CONTROL)));
        } else if unit % 8 == 3 {
            aces.push(for_users(send_as(self.user_sid(draw.below(self.plan.mailboxes)), false)));
        }
        if unit % 40 == 7 {
            aces.push(for_users(send_as(self.group_sid(draw.below(self.groups)), true)));
        }
        insert(&mut sd, aces);
        sd
    }

    /// The effective descriptor of a unit.
    pub(crate) fn unit_effective(&self, unit: u32) -> SecurityDescriptor {
        let division = Forest::division_of(unit);
        let above = match unit == division {
            true => effective_descriptor(None, &self.descriptors.domain, &[names::DOMAIN_DNS]),
            false => self.unit_effective(division),
        };
        effective_descriptor(Some(&above), &self.unit_descriptor(unit), &[names::ORGANIZATIONAL_UNIT])
    }

    /// What users of a unit inherit, as explicit entries: for those whose inheritance is blocked.
    pub(crate) fn copied_to_users(&self, unit: u32) -> Vec<Ace> {
        let above = self.unit_effective(unit);
        let owner = self.descriptors.user.owner.clone();
        let context = InheritContext { classes: &[names::USER], owner: owner.as_ref(), group: owner.as_ref() };
        let inherited = above.dacl.iter().flat_map(|dacl| inherited_aces(dacl, &context));
        inherited.map(|ace| Ace { flags: AceFlags(ace.flags.0 & !AceFlags::INHERITED.0), ..ace }).collect()
    }

    /// The explicit descriptor of a user. Of 100 users, 2 have a grant of their own, 1 a denial, 5 a protected DACL.
    pub(crate) fn user_descriptor(&self, user: u32, copied: &[Ace]) -> Vec<u8> {
        let mut draw = self.draw(Kind::User, user);
        let mut sd = match draw.below(100) {
            share @ 0..3 => {
                let mut sd = self.descriptors.user.clone();
                let sid = match draw.below(2) {
                    0 => self.group_sid(draw.below(self.groups)),
                    _ => self.user_sid(draw.below(self.plan.mailboxes)),
                };
                let ace = match share {
                    0 | 1 => Ace::allow_object(sid, AccessMask::CONTROL_ACCESS, names::SEND_AS),
                    _ => Ace::deny_object(sid, AccessMask::CONTROL_ACCESS, names::SEND_AS),
                };
                insert(&mut sd, [ace]);
                sd
            }
            3..8 => {
                let mut sd = self.descriptors.user.clone();
                if let Some(dacl) = &mut sd.dacl {
                    dacl.aces.extend(copied.iter().cloned());
                }
                sd.set_dacl_protected(true);
                sd
            }
            _ => return self.descriptors.user_bytes.clone(),
        };
        if let Some(dacl) = &mut sd.dacl {
            dacl.update_revision();
        }
        sd.to_bytes()
    }

    /// The explicit mailbox descriptor with Full Mailbox Access for one more account.
    pub(crate) fn mailbox_descriptor(&self, holder: u32) -> Vec<u8> {
        let own = AccessMask(0x1 | AccessMask::READ_CONTROL.0);
        let aces = vec![Ace::allow(well_known::SELF, own), Ace::allow(self.user_sid(holder), AccessMask(0x1))];
        let mut sd = SecurityDescriptor::with_dacl(Acl::new(aces));
        sd.owner = Some(well_known::SELF);
        sd.group = Some(well_known::SELF);
        sd.to_bytes()
    }
}
