//! The permission list of a folder, and the descriptor that is made of it.
//!
//! What the list means (MS-OXCPERM; Outlook): who has an entry of his own has the rights of that entry and no others;
//! else who is in groups that have entries has what these have together; else Default counts. Anonymous is for who did
//! not log on. The order of the descriptor's entries gives an access check that meaning: of each account what it is
//! granted, then a denial of the rest; Anonymous likewise; of groups first all that is granted, then all that is denied;
//! at the end what Everyone is granted.

use std::collections::BTreeMap;

use acl::{Ace, AceFlags, Acl, SecurityDescriptor, Sid, well_known};

use super::words::FolderRights;

/// The permission list of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FolderList {
    /// Accounts, in their order; of two entries that one token matches (a former SID), the first decides.
    pub accounts: Vec<FolderEntry>,
    /// Groups.
    pub groups: Vec<FolderEntry>,
    /// Default: everybody else who logged on.
    pub default: FolderRights,
    /// Anonymous: who did not log on.
    pub anonymous: FolderRights,
}

/// What an account or a group has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderEntry {
    /// Who.
    pub sid: Sid,
    /// What.
    pub rights: FolderRights,
}

impl FolderList {
    /// The list that a descriptor was made of; none where it is in another form.
    pub fn of(descriptor: &SecurityDescriptor) -> Option<FolderList> {
        let dacl = descriptor.dacl.as_ref()?;
        let mut list = FolderList::default();
        // Anonymous has entries always; they part accounts from groups.
        let mut past_anonymous = false;
        for ace in &dacl.aces {
            let rights = if ace.is_allow() { FolderRights::of_mask(ace.mask) } else { FolderRights::NONE };
            if ace.sid == well_known::ANONYMOUS_LOGON {
                past_anonymous = true;
                list.anonymous = list.anonymous | rights;
            } else if ace.sid == well_known::EVERYONE {
                list.default = list.default | rights;
            } else {
                let entries = if past_anonymous { &mut list.groups } else { &mut list.accounts };
                match entries.iter_mut().find(|entry| entry.sid == ace.sid) {
                    Some(entry) => entry.rights = entry.rights | rights,
                    None => entries.push(FolderEntry { sid: ace.sid.clone(), rights }),
                }
            }
        }
        // Groups that are denied all come after those that are granted something, whatever their order was.
        list.groups.sort_by_key(|entry| entry.rights.is_empty());
        (list.to_descriptor() == *descriptor).then_some(list)
    }

    /// The descriptor.
    pub fn to_descriptor(&self) -> SecurityDescriptor {
        let mut aces = Vec::new();
        let allow = |sid: &Sid, rights: FolderRights| entry(Ace::allow, sid, rights);
        let deny = |sid: &Sid, rights: FolderRights| entry(Ace::deny, sid, rights.others());
        for FolderEntry { sid, rights } in &self.accounts {
            aces.extend(allow(sid, *rights));
            aces.extend(deny(sid, *rights));
        }
        aces.extend(allow(&well_known::ANONYMOUS_LOGON, self.anonymous));
        aces.extend(deny(&well_known::ANONYMOUS_LOGON, self.anonymous));
        let (mut some, none): (Vec<&FolderEntry>, Vec<&FolderEntry>) =
            self.groups.iter().partition(|entry| !entry.rights.is_empty());
        aces.extend(some.iter().filter_map(|group| allow(&group.sid, group.rights)));
        some.extend(none);
        aces.extend(some.iter().filter_map(|group| deny(&group.sid, group.rights)));
        aces.extend(allow(&well_known::EVERYONE, self.default));
        SecurityDescriptor::with_dacl(Acl::new(aces))
    }

    /// Whether both say the same: the order of groups says nothing, that of accounts may.
    pub fn is(&self, other: &FolderList) -> bool {
        let groups = |list: &FolderList| -> BTreeMap<Sid, FolderRights> {
            list.groups.iter().map(|entry| (entry.sid.clone(), entry.rights)).collect()
        };
        (&self.accounts, self.default, self.anonymous) == (&other.accounts, other.default, other.anonymous)
            && groups(self) == groups(other)
    }

    /// The entry of an account or a group.
    pub fn entry(&self, sid: &Sid) -> Option<FolderRights> {
        if *sid == well_known::EVERYONE {
            return Some(self.default);
        }
        if *sid == well_known::ANONYMOUS_LOGON {
            return Some(self.anonymous);
        }
        self.accounts.iter().chain(&self.groups).find(|entry| entry.sid == *sid).map(|entry| entry.rights)
    }

    /// Gives somebody rights, in place of those that he had. `is_group` says which list a new entry goes to.
    pub fn set(&mut self, sid: &Sid, rights: FolderRights, is_group: bool) {
        if *sid == well_known::EVERYONE {
            self.default = rights;
        } else if *sid == well_known::ANONYMOUS_LOGON {
            self.anonymous = rights;
        } else if let Some(entry) = self.accounts.iter_mut().chain(&mut self.groups).find(|entry| entry.sid == *sid) {
            entry.rights = rights;
        } else {
            let entries = if is_group { &mut self.groups } else { &mut self.accounts };
            entries.push(FolderEntry { sid: sid.clone(), rights });
        }
    }

    /// Takes an entry away; Default and Anonymous are left with nothing. Whether anything changed.
    pub fn remove(&mut self, sid: &Sid) -> bool {
        let before = self.clone();
        if *sid == well_known::EVERYONE {
            self.default = FolderRights::NONE;
        } else if *sid == well_known::ANONYMOUS_LOGON {
            self.anonymous = FolderRights::NONE;
        }
        self.accounts.retain(|entry| entry.sid != *sid);
        self.groups.retain(|entry| entry.sid != *sid);
        *self != before
    }
}

/// An entry of a descriptor; none where it would say nothing.
fn entry(make: fn(Sid, acl::AccessMask) -> Ace, sid: &Sid, rights: FolderRights) -> Option<Ace> {
    (!rights.is_empty()).then(|| make(sid.clone(), rights.mask()).with_flags(AceFlags::CONTAINER_INHERIT))
}
