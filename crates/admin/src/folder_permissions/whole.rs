//! The list of a folder as a whole, as documents of the organization say it.

use std::collections::BTreeSet;

use acl::{Sid, well_known};
use directory::{ObjectId, Snapshot};
use rights::folder::{FolderList, FolderRights, Folders};

use super::documents::FolderReplace;
use super::{Folder, each, entrant, entry_name, of_its_own, of_the_owner, put, rights, spot, unreadable};
use crate::error::{Fault, FaultKind};
use crate::response::Response;
use crate::service::{Asked, Plan};
use crate::wanted::WantedFolderEntry;

/// Entries that a summary names; the history has all of them.
const TOLD: usize = 10;

pub(super) fn replace(asked: Asked<'_>, wanted: &FolderReplace) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let folder = Folder::shown_to(snapshot, asked.caller, &wanted.identity)?;
        let path = folder.path();
        let spot = spot(snapshot, folder.owner, &path);
        let folders = Folders::of(snapshot, folder.owner);
        let at = folders.at(&path).map_err(unreadable)?;
        let own = at.filter(|(from, _)| from.is(&path)).map(|(_, descriptor)| descriptor);
        let before = own.and_then(FolderList::of);
        let list = made(snapshot, before.as_ref(), &wanted.entries)?;
        if before.as_ref().is_some_and(|before| before.is(&list)) {
            let mut plan = Plan::new(format!("{spot} has these entries"), Vec::new());
            plan.done.warnings.push("they were there already: nothing changed".into());
            return Ok(plan);
        }
        let change = put(snapshot, &folder, &path, Some(&list))?;
        let mut plan = Plan::new(format!("{}, on {spot}", told(snapshot, before.as_ref(), &list)), vec![change]);
        plan.done.warnings.extend(of_its_own(&path, at.map(|(from, _)| from), ", and none of those"));
        if own.is_some() && before.is_none() {
            plan.done.warnings.push(format!("{path} had a descriptor that no permission list makes; it is replaced"));
        }
        let named = list.accounts.iter().map(|entry| &entry.sid);
        plan.done.warnings.extend(named.filter_map(|sid| of_the_owner(snapshot, folder.owner, sid)));
        Ok(plan)
    })
}

/// The list of these entries, on a folder that has a list of its own already or none.
fn made(snapshot: &Snapshot, own: Option<&FolderList>, entries: &[WantedFolderEntry]) -> Result<FolderList, Fault> {
    let mut list = FolderList::default();
    let mut named = BTreeSet::new();
    for WantedFolderEntry { user, right } in entries {
        let (sid, is_group) = whom(snapshot, own, user)?;
        let rights = rights(std::slice::from_ref(right))?;
        if !named.insert(sid.clone()) {
            let message = format!("{} has two entries", entry_name(snapshot, &sid));
            return Err(Fault::new(FaultKind::Invalid, message).help("write one, with all the rights"));
        }
        list.set(&sid, rights, is_group);
    }
    Ok(list)
}

/// Whom an entry is for, and whether that is a group. A SID that has an entry keeps it as it is, also when nobody has that
/// SID any more, or somebody who gets no new one.
fn whom(snapshot: &Snapshot, own: Option<&FolderList>, name: &str) -> Result<(Sid, bool), Fault> {
    if let (Some(own), Ok(sid)) = (own, name.trim().parse::<Sid>()) {
        for (entries, is_group) in [(&own.accounts, false), (&own.groups, true)] {
            if entries.iter().any(|entry| entry.sid == sid) {
                return Ok((sid, is_group));
            }
        }
    }
    entrant(snapshot, name).map(|(sid, _, is_group)| (sid, is_group))
}

/// What becomes of a list, in words.
fn told(snapshot: &Snapshot, before: Option<&FolderList>, after: &FolderList) -> String {
    let had = |sid: &Sid| before.and_then(|before| before.entry(sid));
    let name = |sid: &Sid| entry_name(snapshot, sid);
    let others = each(after).filter(|(sid, rights)| had(sid) != Some(*rights));
    let mut words: Vec<String> = others.map(|(sid, rights)| format!("{} {rights}", name(&sid))).collect();
    let gone = before.into_iter().flat_map(each).filter(|(sid, _)| after.entry(sid).is_none());
    words.extend(gone.map(|(sid, _)| format!("{} no entry any more", name(&sid))));
    if words.is_empty() {
        return "the same entries in another order".to_owned();
    }
    if words.len() > TOLD {
        let more = words.split_off(TOLD).len();
        words.push(format!("and {more} more"));
    }
    words.join("; ")
}

/// What documents say of the folders of a mailbox.
#[derive(Default)]
pub(crate) struct Said {
    /// Path and entries of each folder that has entries of its own.
    pub lists: Vec<(String, Vec<WantedFolderEntry>)>,
    /// Entries of folders that no document makes so.
    pub left_out: u64,
}

/// The folders of a mailbox that have entries of their own, as [`replace`] would make them.
pub(crate) fn said(snapshot: &Snapshot, owner: ObjectId) -> Said {
    let mut said = Said::default();
    let found = snapshot.folder_descriptors(owner);
    // Where one cannot be read, none can be changed.
    let readable = found.iter().all(Result::is_ok);
    for folder in found {
        let Ok(folder) = folder else {
            said.left_out += 1;
            continue;
        };
        match FolderList::of(&folder.descriptor).filter(|_| readable).and_then(|list| entries(snapshot, &list)) {
            Some(entries) => said.lists.push((folder.path, entries)),
            None => said.left_out += folder.descriptor.dacl.map_or(0, |dacl| dacl.aces.len()).max(1) as u64,
        }
    }
    said
}

/// The entries that make a list, on a folder that has it; none where they would make another. Default and Anonymous are
/// not named where they may nothing.
fn entries(snapshot: &Snapshot, list: &FolderList) -> Option<Vec<WantedFolderEntry>> {
    let is_said = |(sid, rights): &(Sid, FolderRights)| {
        !rights.is_empty() || (*sid != well_known::EVERYONE && *sid != well_known::ANONYMOUS_LOGON)
    };
    let groups: BTreeSet<&Sid> = list.groups.iter().map(|entry| &entry.sid).collect();
    let entries: Vec<WantedFolderEntry> = each(list)
        .filter(is_said)
        .map(|(sid, rights)| {
            let user = name_for(snapshot, &sid, groups.contains(&sid));
            WantedFolderEntry { user, right: rights.to_string().replace(',', ", ") }
        })
        .collect();
    made(snapshot, Some(list), &entries).is_ok_and(|made| made.is(list)).then_some(entries)
}

/// A name by which an entry means a SID, or the SID.
fn name_for(snapshot: &Snapshot, sid: &Sid, is_group: bool) -> String {
    if *sid == well_known::EVERYONE {
        return "Default".to_owned();
    }
    if *sid == well_known::ANONYMOUS_LOGON {
        return "Anonymous".to_owned();
    }
    let name = snapshot.sid_name(sid);
    let same = entrant(snapshot, &name).is_ok_and(|(own, _, group)| own == *sid && group == is_group);
    if same { name } else { sid.to_string() }
}
