//! Permission groups on a connector: nothing but its explicit ACEs, read and written (`authorization.md` §4).

use acl::{AccessMask, Ace, Acl, Guid, SecurityDescriptor, Sid};
use directory::{Class, Config, ObjectId, Snapshot};

use crate::table::{GrantedOn, GroupTrustee, PermissionGroup, RIGHTS, RightName, ServerRole};

/// What the explicit ACEs of a receive connector amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupsHeld {
    /// Groups of which every ACE is there.
    pub groups: Vec<PermissionGroup>,
    /// Explicit entries about rights of connectors that belong to none of those groups, by their places in the DACL.
    pub others: Vec<usize>,
}

impl GroupsHeld {
    /// The ACL is no union of permission groups: it reads `Custom`.
    pub fn is_custom(&self) -> bool {
        !self.others.is_empty()
    }

    /// As `PermissionGroups` shows it: the groups, `None`, or `Custom` where the ACL matches no union of groups.
    pub fn names(&self) -> Vec<&'static str> {
        if self.is_custom() {
            return vec!["Custom"];
        }
        match self.groups.as_slice() {
            [] => vec!["None"],
            groups => groups.iter().map(|group| group.name()).collect(),
        }
    }
}

/// The role of the server that an object is, or stands below; hub where it stands below none.
pub fn role_of(snapshot: &Snapshot, id: ObjectId) -> ServerRole {
    match snapshot.ancestor(id, Class::Server).and_then(|id| snapshot.object(id)).and_then(|object| object.config()) {
        Some(Config::Server(server)) if server.edge => ServerRole::Edge,
        _ => ServerRole::Hub,
    }
}

/// The SID of whom a permission group names; `None` where the security group is not in the directory. The groups are
/// those of the root domain of the object's forest, by their logon names.
pub fn trustee_sid(snapshot: &Snapshot, near: ObjectId, trustee: &GroupTrustee) -> Option<Sid> {
    let name = match trustee {
        GroupTrustee::WellKnown(sid) => return Some(sid.clone()),
        GroupTrustee::ExchangeServers => "Exchange Servers",
        GroupTrustee::ExchangeLegacyInterop => "ExchangeLegacyInterop",
    };
    let root = snapshot.forest_root(near).or_else(|| snapshot.domains().iter().find(|domain| domain.is_root))?;
    let group = snapshot.resolve(&format!("{}\\{name}", root.netbios_name)).ok()?;
    let sid = snapshot.object(group).filter(|object| object.class() == Class::Group)?.sid()?;
    Some(snapshot.sid(sid))
}

/// The entries of a permission group on a connector of a server of this role: trustee and right. Security groups that
/// are not in the directory are left out.
pub fn group_entries(
    snapshot: &Snapshot,
    near: ObjectId,
    group: PermissionGroup,
    role: ServerRole,
) -> Vec<(Sid, RightName)> {
    let sids = group
        .grants(role)
        .into_iter()
        .filter_map(|(trustee, rights)| Some((trustee_sid(snapshot, near, &trustee)?, rights)));
    sids.flat_map(|(sid, rights)| rights.into_iter().map(move |right| (sid.clone(), right))).collect()
}

/// Which permission groups a receive connector carries.
pub fn permission_groups(snapshot: &Snapshot, connector: ObjectId) -> GroupsHeld {
    let Some(descriptor) = snapshot.explicit_descriptor(connector) else { return GroupsHeld::default() };
    let aces = descriptor.dacl.as_ref().map_or(&[][..], |dacl| &dacl.aces);
    let role = role_of(snapshot, connector);
    let mut held = GroupsHeld::default();
    let mut explained = vec![false; aces.len()];
    for group in PermissionGroup::ALL {
        let entries = group_entries(snapshot, connector, group, role);
        let places: Vec<Vec<usize>> = entries.iter().map(|(sid, right)| places(aces, sid, right.guid())).collect();
        if entries.is_empty() || places.iter().any(Vec::is_empty) {
            continue;
        }
        held.groups.push(group);
        places.into_iter().flatten().for_each(|place| explained[place] = true);
    }
    let denied = legacy_denials(snapshot, connector);
    held.others = aces
        .iter()
        .enumerate()
        .filter(|(place, ace)| !explained[*place] && concerns_connectors(ace) && !is_one_of(ace, &denied))
        .map(|(place, _)| place)
        .collect();
    held
}

/// Makes the groups of a DACL these and no others; entries that belong to no group stay as they are.
pub fn assign_groups(
    snapshot: &Snapshot,
    near: ObjectId,
    role: ServerRole,
    descriptor: &mut SecurityDescriptor,
    groups: &[PermissionGroup],
) {
    let dacl = descriptor.dacl.get_or_insert_with(|| Acl::new(Vec::new()));
    for group in PermissionGroup::ALL {
        for (sid, right) in group_entries(snapshot, near, group, role) {
            let ace = Ace::allow_object(sid, AccessMask::CONTROL_ACCESS, right.guid());
            match groups.contains(&group) {
                true => drop(acl::edit::add(dacl, ace)),
                false => drop(acl::edit::remove(dacl, &ace)),
            }
        }
    }
    for (sid, right) in legacy_denials(snapshot, near) {
        let ace = Ace::deny_object(sid, AccessMask::CONTROL_ACCESS, right.guid());
        match groups.contains(&PermissionGroup::ExchangeLegacyServers) {
            true => drop(acl::edit::add(dacl, ace)),
            false => drop(acl::edit::remove(dacl, &ace)),
        }
    }
    dacl.update_revision();
}

/// Servers of before 2007 are denied organization and forest headers in so many words, so that membership of another
/// group does not give them (F §3.5).
fn legacy_denials(snapshot: &Snapshot, near: ObjectId) -> Vec<(Sid, RightName)> {
    let sid = trustee_sid(snapshot, near, &GroupTrustee::ExchangeLegacyInterop);
    let rights = [RightName::AcceptHeadersOrganization, RightName::AcceptHeadersForest];
    sid.into_iter().flat_map(|sid| rights.map(|right| (sid.clone(), right))).collect()
}

fn is_one_of(ace: &Ace, denials: &[(Sid, RightName)]) -> bool {
    ace.is_deny() && denials.iter().any(|(sid, right)| ace.sid == *sid && ace.object_type == Some(right.guid()))
}

/// Entries that allow a trustee this right and nothing else.
fn places(aces: &[Ace], sid: &Sid, right: Guid) -> Vec<usize> {
    let fits = |ace: &Ace| {
        !ace.is_deny()
            && ace.is_effective()
            && ace.sid == *sid
            && ace.mask == AccessMask::CONTROL_ACCESS
            && ace.object_type == Some(right)
    };
    aces.iter().enumerate().filter(|(_, ace)| fits(ace)).map(|(place, _)| place).collect()
}

/// Whether an entry says anything about rights of receive connectors: it names one, or all extended rights.
fn concerns_connectors(ace: &Ace) -> bool {
    let names_one = |guid: &Guid| RIGHTS.iter().any(|row| row.on == GrantedOn::ReceiveConnector && row.guid == *guid);
    ace.mask.contains(AccessMask::CONTROL_ACCESS) && ace.object_type.as_ref().is_none_or(names_one)
}
