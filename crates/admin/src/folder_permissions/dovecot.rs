//! Permission lists as Dovecot's ACL plugin reads them (`dovecot-acl`, backend `vfile`): an identifier, a space, letters.
//!
//! Dovecot takes the lines of the most special kind that match (user, owner, group, authenticated, anyone) in place of
//! all others, and those of several groups together. That is how a permission list counts, too.

use std::collections::{BTreeMap, BTreeSet};

use acl::Sid;
use directory::{ObjectId, Snapshot};
use rights::admin::Action;
use rights::folder::{FolderList, FolderPath, FolderRights, Folders};
use rights::{Permission, expand, who_people};

use super::documents::{FolderAclPage, FolderAclRow, FolderExport, FolderPlace};
use super::{Folder, external, list, name_of, token, unreadable};
use crate::authorize::{require, require_organization};
use crate::error::{Fault, FaultKind};
use crate::service::Asked;

/// Octets of a page, about, and of one list at most: it has to fit into a line.
const PAGE: usize = 2 << 20;

/// Dovecot's letters for what IMAP can express (RFC 4314 2.1): a right, and the letters that it is.
const LETTERS: [(FolderRights, &str); 7] = [
    (FolderRights::VISIBLE, "l"),
    (FolderRights::READ_ANY, "r"),
    // Seen and other flags of a mailbox are the owner's view of it: changing them is editing.
    (FolderRights::EDIT_ANY, "ws"),
    (FolderRights::DELETE_ANY, "te"),
    (FolderRights::CREATE, "ip"),
    (FolderRights::CREATE_SUBFOLDER, "k"),
    (FolderRights::OWNER, "x"),
];

/// Everything but `a`: rights are changed here, and what an IMAP client changed would be lost at the next export.
const OWNER: &str = "lrwstipekx";

/// Rights that no letter says, and why.
const UNSAID: [(FolderRights, FolderRights, &str); 4] = [
    (FolderRights::EDIT_OWNED, FolderRights::EDIT_ANY, "EditOwned: IMAP does not know who made a message"),
    (FolderRights::DELETE_OWNED, FolderRights::DELETE_ANY, "DeleteOwned: IMAP does not know who made a message"),
    (FolderRights::FREE_BUSY_SIMPLE, FolderRights::READ_ANY, "FreeBusySimple: IMAP shows messages, not times"),
    (FolderRights::FREE_BUSY_DETAILED, FolderRights::READ_ANY, "FreeBusyDetailed: IMAP shows messages, not times"),
];

pub fn export(asked: Asked<'_>, wanted: &FolderExport) -> Result<FolderAclPage, Fault> {
    let snapshot = asked.snapshot;
    if snapshot.is_out_of_date() || !snapshot.doubt().stale.is_empty() {
        let message = "what is known of Active Directory is too old to hand rights on";
        return Err(
            Fault::new(FaultKind::Unavailable, message).help("`procura directory status` shows the domain controllers")
        );
    }
    let Some(identity) = &wanted.identity else {
        require_organization(snapshot, asked.caller, "export the rights on folders of")?;
        let owners = snapshot.owners_of_folders(wanted.from.map(|place| ObjectId(place.owner)));
        return pages(snapshot, owners.map(|owner| (owner, Vec::new())), wanted);
    };
    let folder = Folder::named(snapshot, identity)?;
    if asked.caller.token.account != Some(folder.owner) {
        require(snapshot, asked.caller, folder.owner, Action::Read, "read the permissions of")?;
    }
    let paths = wanted.folders.iter().map(|path| path.parse()).collect::<Result<Vec<FolderPath>, _>>();
    let mut paths = paths.map_err(|error| Fault::new(FaultKind::Invalid, error.to_string()))?;
    paths.extend(folder.path.clone());
    pages(snapshot, std::iter::once((folder.owner, paths)), wanted)
}

/// The lists of mailboxes, as many as fit: of these folders, or of those that have entries, or else of the whole.
fn pages(
    snapshot: &Snapshot,
    mailboxes: impl Iterator<Item = (ObjectId, Vec<FolderPath>)>,
    wanted: &FolderExport,
) -> Result<FolderAclPage, Fault> {
    let mut page = FolderAclPage::default();
    let mut octets = 0;
    for (owner, mut paths) in mailboxes {
        let folders = Folders::of(snapshot, owner);
        if paths.is_empty() {
            paths = folders.own().map(|(path, _)| path.clone()).collect();
        }
        if paths.is_empty() {
            paths.push(FolderPath::root());
        }
        let before = wanted.from.filter(|place| place.owner == owner.0).map_or(0, |place| place.lists);
        let mailbox = Mailbox::of(snapshot, owner, &folders, wanted);
        for (path, lists) in paths.iter().zip(1..).skip(before as usize) {
            let row = mailbox.row(path)?;
            let length: usize = row.lines.iter().chain(&row.notes).map(|line| line.len() + 8).sum();
            if length > PAGE {
                let message = format!("the list of {}:{path} has {} lines: too many", row.mailbox, row.lines.len());
                return Err(Fault::new(FaultKind::Unsupported, message).help(
                    "give rights and Full Mailbox Access to fewer people, or leave groups as they are (no --expand)",
                ));
            }
            octets += length;
            page.rows.push(row);
            if octets > PAGE {
                page.next = Some(FolderPlace { owner: owner.0, lists });
                return Ok(page);
            }
        }
    }
    Ok(page)
}

/// A mailbox whose lists are made.
struct Mailbox<'a> {
    snapshot: &'a Snapshot,
    owner: ObjectId,
    folders: &'a Folders,
    wanted: &'a FolderExport,
    /// Who has Full Mailbox Access.
    full: BTreeSet<ObjectId>,
}

impl<'a> Mailbox<'a> {
    fn of(snapshot: &'a Snapshot, owner: ObjectId, folders: &'a Folders, wanted: &'a FolderExport) -> Mailbox<'a> {
        let full = who_people(snapshot, owner, Permission::FullAccess).into_iter().map(|person| person.account);
        Mailbox { snapshot, owner, folders, wanted, full: full.collect() }
    }

    fn row(&self, path: &FolderPath) -> Result<FolderAclRow, Fault> {
        let (list, from) = list(self.folders, path)?;
        let mut acl = Acl { mailbox: self, path, users: BTreeMap::new(), notes: BTreeSet::new() };
        let lines = acl.lines(&list)?;
        let own = self.snapshot.object(self.owner).and_then(|object| object.mailbox());
        Ok(FolderAclRow {
            mailbox: name_of(self.snapshot, self.owner),
            guid: own.map(|mailbox| mailbox.guid.to_string()).unwrap_or_default(),
            folder: path.to_string(),
            from: from.as_ref().map(ToString::to_string),
            lines,
            notes: acl.notes.into_iter().collect(),
        })
    }
}

/// One list in the making.
struct Acl<'a> {
    mailbox: &'a Mailbox<'a>,
    path: &'a FolderPath,
    /// Letters by Dovecot's name of a user.
    users: BTreeMap<String, String>,
    notes: BTreeSet<String>,
}

impl Acl<'_> {
    fn lines(&mut self, list: &FolderList) -> Result<Vec<String>, Fault> {
        let Mailbox { snapshot, wanted, ref full, .. } = *self.mailbox;
        let mut people = full.clone();
        for entry in &list.accounts {
            match snapshot.by_sid(&entry.sid).or_else(|| external(snapshot, &entry.sid)) {
                Some(id) => drop(people.insert(id)),
                None => self.gone(&entry.sid),
            }
        }
        let mut groups = Vec::new();
        for entry in &list.groups {
            let Some(id) = snapshot.by_sid(&entry.sid) else {
                self.gone(&entry.sid);
                continue;
            };
            if wanted.expand {
                let members = expand(snapshot, &entry.sid);
                let accounts = snapshot.objects().filter(|(_, object)| object.class().is_account());
                match members.all {
                    true => people.extend(accounts.map(|(id, _)| id)),
                    false => people.extend(members.some),
                }
            } else if let Some(name) = snapshot.object(id).and_then(|group| group.sam_account_name()) {
                let who = snapshot.sid_name(&entry.sid);
                let letters = self.letters(entry.rights, &who);
                self.notes
                    .insert(format!("{who} counts where Dovecot is told who is in it (acl_groups); see --expand"));
                groups.extend(self.line("group=", name, &letters));
            }
        }
        for id in people {
            self.user(id)?;
        }
        let mut lines = vec![line("owner", OWNER)];
        for (name, letters) in std::mem::take(&mut self.users) {
            lines.extend(self.line("user=", &name, &letters));
        }
        lines.extend(groups);
        lines.push(line("authenticated", &self.letters(list.default, "Default")));
        lines.push(line("anyone", &self.letters(list.anonymous, "Anonymous")));
        Ok(lines)
    }

    /// What an account may do is decided as everywhere.
    fn user(&mut self, id: ObjectId) -> Result<(), Fault> {
        let Mailbox { snapshot, owner, folders, wanted, .. } = *self.mailbox;
        let Some(object) = snapshot.object(id).filter(|_| id != owner) else { return Ok(()) };
        let Ok(token) = token(snapshot, id) else { return Ok(()) };
        let found = folders.access(snapshot, &token, owner, self.path);
        let rights = found.map_err(unreadable)?.rights;
        let who = name_of(snapshot, id);
        let letters = if rights == FolderRights::ALL { OWNER.to_owned() } else { self.letters(rights, &who) };
        let address = object.primary_address().filter(|_| !wanted.logon_names).map(|own| own.to_string());
        let name = address.or_else(|| object.sam_account_name().map(str::to_owned));
        match name {
            Some(name) => drop(self.users.insert(name.to_lowercase(), letters)),
            None => drop(self.notes.insert(format!("{who} has no name that Dovecot would know: left out"))),
        }
        Ok(())
    }

    fn gone(&mut self, sid: &Sid) {
        self.notes.insert(format!("nobody in the directory has the SID {sid}: left out"));
    }

    fn letters(&mut self, rights: FolderRights, who: &str) -> String {
        for (right, more, why) in UNSAID {
            if rights.contains(right) && !rights.contains(more) {
                self.notes.insert(format!("{who} has {why}; it is left out"));
            }
        }
        let said: String =
            LETTERS.iter().filter(|(right, _)| rights.contains(*right)).map(|(_, letters)| *letters).collect();
        OWNER.chars().filter(|letter| said.contains(*letter)).collect()
    }

    /// A line for a name, in quotes where it has blanks.
    fn line(&mut self, kind: &str, name: &str, letters: &str) -> Option<String> {
        if name.chars().any(char::is_control) {
            self.notes.insert(format!("{name:?} cannot be written into a list: left out"));
            return None;
        }
        if !name.contains([' ', '"', '\\']) {
            return Some(line(&format!("{kind}{name}"), letters));
        }
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        Some(line(&format!("\"{kind}{escaped}\""), letters))
    }
}

fn line(identifier: &str, letters: &str) -> String {
    format!("{identifier} {letters}").trim_end().to_owned()
}
