//! Rights on the folders of mailboxes (`authorization.md` §6): give, take, list, ask, hand on to who opens the folders.
//!
//! Procura opens no folders itself. What is decided here is enforced by the IMAP server, by the lists that
//! [`dovecot`] writes for it.

pub mod documents;
mod dovecot;
pub(crate) mod whole;

use std::sync::Arc;

use acl::{Outcome, Sid, well_known};
use directory::folders::FolderDescriptor;
use directory::{Change, ObjectId, Snapshot, Token, TokenError, Value, attributes as a};
use rights::admin::Action;
use rights::folder::{
    FOLDER_RIGHTS, FOLDER_ROLES, FolderAccess, FolderList, FolderPath, FolderRights, FolderVia, Folders, RightAt,
    Unreadable, access,
};

use crate::accounts::{account, account_name, guid_of};
use crate::authorize::{may_change_folders, require, require_organization};
use crate::caller::Caller;
use crate::error::{Fault, FaultKind};
use crate::mailboxes::owner;
use crate::permissions::trustee;
use crate::response::{Page, Response};
use crate::service::{Asked, Plan, find};
use documents::{
    FolderChange, FolderCheck, FolderChecked, FolderEntryRow, FolderGet, FolderRemove, FolderRequest, FolderResponse,
    FolderRightRow,
};

pub(crate) fn answer(asked: Asked<'_>, request: &FolderRequest) -> Result<Response, Fault> {
    let answered = match request {
        FolderRequest::Get(wanted) => FolderResponse::Entries(get(asked, wanted)?),
        FolderRequest::Add(wanted) => return change(asked, wanted, false),
        FolderRequest::Set(wanted) => return change(asked, wanted, true),
        FolderRequest::Replace(wanted) => return whole::replace(asked, wanted),
        FolderRequest::Remove(wanted) => return remove(asked, wanted),
        FolderRequest::Check(wanted) => FolderResponse::Checked(Box::new(check(asked, wanted)?)),
        FolderRequest::Export(wanted) => FolderResponse::Exported(dovecot::export(asked, wanted)?),
    };
    Ok(Response::FolderPermission(answered))
}

/// A folder that a name means.
struct Folder {
    owner: ObjectId,
    /// None: the name is that of a mailbox.
    path: Option<FolderPath>,
}

impl Folder {
    /// `alice@example.com:\Calendar`, as Exchange names folders.
    fn named(snapshot: &Snapshot, identity: &str) -> Result<Folder, Fault> {
        let (mailbox, path) = match identity.split_once(":\\") {
            Some((mailbox, _)) => (mailbox, Some(&identity[mailbox.len() + 1..])),
            None => (identity, None),
        };
        let path = path.map(self::path).transpose()?;
        let by_guid = mailbox.parse().ok().and_then(|guid| snapshot.mailbox_owner(&guid));
        let id = by_guid.map_or_else(|| find(snapshot, mailbox), Ok).map_err(|fault| {
            match mailbox.contains(':') && path.is_none() {
                true => fault.help("a folder is named with a backslash, as in alice@example.com:\\Calendar"),
                false => fault,
            }
        })?;
        owner(snapshot, id)?;
        Ok(Folder { owner: id, path })
    }

    /// The same for somebody who looks at its entries. Who may neither read nor change them learns nothing of them by trying to.
    fn shown_to(snapshot: &Snapshot, caller: &Caller, identity: &str) -> Result<Folder, Fault> {
        let folder = Folder::named(snapshot, identity)?;
        if caller.token.account != Some(folder.owner) && !may_change_folders(snapshot, caller, folder.owner) {
            require(snapshot, caller, folder.owner, Action::Read, "read the permissions of")?;
        }
        Ok(folder)
    }

    fn path(&self) -> FolderPath {
        self.path.clone().unwrap_or_else(FolderPath::root)
    }
}

/// The path of a folder.
pub(crate) fn path(text: &str) -> Result<FolderPath, Fault> {
    text.parse().map_err(|error: rights::folder::NoFolderPath| {
        Fault::new(FaultKind::Invalid, error.to_string())
            .help("name a folder as in alice@example.com:\\Calendar; alice@example.com:\\ is the whole mailbox")
    })
}

fn unreadable(error: Unreadable) -> Fault {
    Fault::new(FaultKind::Unavailable, error.to_string()).help("undo the change that wrote them: `procura history`")
}

fn name_of(snapshot: &Snapshot, id: ObjectId) -> String {
    snapshot.object(id).map(|object| account_name(snapshot, id, object)).unwrap_or_default()
}

/// The owner for whom an account of another forest acts.
fn external(snapshot: &Snapshot, sid: &Sid) -> Option<ObjectId> {
    snapshot.sid_id(sid).and_then(|sid| snapshot.linked_to(sid).first().copied())
}

/// `EXAMPLE\alice`; an account of another forest has the name of the owner for whom it acts.
fn sid_name(snapshot: &Snapshot, sid: &Sid) -> String {
    let owner = snapshot.by_sid(sid).is_none().then(|| external(snapshot, sid)).flatten();
    match owner {
        Some(owner) => format!("{} (external account)", name_of(snapshot, owner)),
        None => snapshot.sid_name(sid),
    }
}

/// The token of an account; of a disabled one that is linked, that of the external account.
fn token(snapshot: &Snapshot, id: ObjectId) -> Result<Arc<Token>, TokenError> {
    snapshot.linked_token(id).or_else(|_| snapshot.token_of(id))
}

/// The list that counts on a folder, and where it stands; an empty one where there is none.
fn list(folders: &Folders, path: &FolderPath) -> Result<(FolderList, Option<FolderPath>), Fault> {
    let Some((from, descriptor)) = folders.at(path).map_err(unreadable)? else {
        return Ok((FolderList::default(), None));
    };
    let list = FolderList::of(descriptor).ok_or_else(|| {
        let message =
            format!("the descriptor of {from} is not what a permission list makes: it cannot be shown as one");
        Fault::new(FaultKind::Conflict, message).help(
            "`procura folder-permission check` decides by it; `procura folder-permission remove … --all` forgets it",
        )
    })?;
    Ok((list, Some(from.clone())))
}

fn get(asked: Asked<'_>, wanted: &FolderGet) -> Result<Page<FolderEntryRow>, Fault> {
    let snapshot = asked.snapshot;
    let folder = Folder::shown_to(snapshot, asked.caller, &wanted.identity)?;
    let folders = Folders::of(snapshot, folder.owner);
    let paths: Vec<FolderPath> = match &folder.path {
        Some(path) => vec![path.clone()],
        None if folders.own().next().is_none() => vec![FolderPath::root()],
        None => folders.own().map(|(path, _)| path.clone()).collect(),
    };
    let mut rows = Vec::new();
    for path in paths {
        let (list, from) = list(&folders, &path)?;
        rows.extend(entry_rows(snapshot, folder.owner, &path, &list, from.as_ref()));
    }
    Ok(Page::from(rows))
}

fn entry_rows(
    snapshot: &Snapshot,
    owner: ObjectId,
    path: &FolderPath,
    list: &FolderList,
    from: Option<&FolderPath>,
) -> Vec<FolderEntryRow> {
    let row = |user: String, sid: &Sid, kind: &str, rights: FolderRights| FolderEntryRow {
        mailbox: name_of(snapshot, owner),
        folder: path.to_string(),
        user,
        sid: sid.to_string(),
        kind: kind.to_owned(),
        rights: rights.to_string(),
        each: rights.each().map(right_name).collect(),
        from: from.filter(|from| !from.is(path)).map(ToString::to_string),
    };
    let accounts = list.accounts.iter().map(|entry| (entry, "account"));
    let named = accounts.chain(list.groups.iter().map(|entry| (entry, "group")));
    let mut rows = vec![
        row("Default".to_owned(), &well_known::EVERYONE, "default", list.default),
        row("Anonymous".to_owned(), &well_known::ANONYMOUS_LOGON, "anonymous", list.anonymous),
    ];
    rows.extend(named.map(|(entry, kind)| row(sid_name(snapshot, &entry.sid), &entry.sid, kind, entry.rights)));
    rows
}

/// The name of one right.
fn right_name(right: FolderRights) -> String {
    FOLDER_RIGHTS.iter().find(|(_, _, own)| *own == right).map(|(name, ..)| (*name).to_owned()).unwrap_or_default()
}

/// Rights by their names.
fn rights(words: &[String]) -> Result<FolderRights, Fault> {
    let mut all = FolderRights::NONE;
    for word in words {
        all = all
            | word.parse().map_err(|error: rights::folder::NoFolderRight| {
                let roles = FOLDER_ROLES.map(|(name, _)| name).join(", ");
                let names = FOLDER_RIGHTS.map(|(name, ..)| name).join(", ");
                Fault::new(FaultKind::Invalid, error.to_string()).help(format!("roles: {roles}; rights: {names}"))
            })?;
    }
    Ok(all)
}

/// Whom an entry is for: his SID, his name, whether it is a group.
fn entrant(snapshot: &Snapshot, name: &str) -> Result<(Sid, String, bool), Fault> {
    match name.trim().to_ascii_lowercase().as_str() {
        "default" | "everyone" => return Ok((well_known::EVERYONE, "Default".to_owned(), false)),
        "anonymous" => return Ok((well_known::ANONYMOUS_LOGON, "Anonymous".to_owned(), false)),
        _ => {}
    }
    let sid = trustee(snapshot, name)?;
    if sid == well_known::EVERYONE || sid == well_known::ANONYMOUS_LOGON {
        return entrant(snapshot, if sid == well_known::EVERYONE { "default" } else { "anonymous" });
    }
    let help = "entries are for accounts and security groups of the directory, for Default (everybody else who logged on) \
                and for Anonymous";
    let object = snapshot.by_sid(&sid).and_then(|id| snapshot.object(id));
    match object {
        // A linked mailbox is used by its external account, which has none of the owner's SIDs.
        Some(object) if object.class().is_account() => {
            let linked = object.master_account().map(|linked| snapshot.sid(linked));
            let sid = linked.filter(|linked| !object.enabled() && *linked != well_known::SELF).unwrap_or(sid);
            Ok((sid.clone(), sid_name(snapshot, &sid), false))
        }
        Some(object) if object.is_security_group() => Ok((sid.clone(), snapshot.sid_name(&sid), true)),
        Some(_) => {
            let message = format!("{} is neither an account nor a security group", snapshot.sid_name(&sid));
            Err(Fault::new(FaultKind::Invalid, message).help(help))
        }
        None if external(snapshot, &sid).is_some() => Ok((sid.clone(), sid_name(snapshot, &sid), false)),
        // Whether the entry is that of an account or of a group decides what it means.
        None => Err(Fault::new(FaultKind::NotFound, format!("nobody in the directory has the SID {sid}")).help(help)),
    }
}

fn change(asked: Asked<'_>, wanted: &FolderChange, replace: bool) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let folder = Folder::shown_to(snapshot, asked.caller, &wanted.identity)?;
        let path = folder.path();
        let (sid, name, is_group) = entrant(snapshot, &wanted.user)?;
        let rights = rights(&wanted.rights)?;
        let folders = Folders::of(snapshot, folder.owner);
        let (mut list, from) = list(&folders, &path)?;
        let before = list.entry(&sid);
        let spot = spot(snapshot, folder.owner, &path);
        if before == Some(rights) && from.as_ref().is_some_and(|from| from.is(&path)) {
            let mut plan = Plan::new(format!("{name} has {rights} on {spot}"), Vec::new());
            plan.done.warnings.push("the entry was there already: nothing changed".into());
            return Ok(plan);
        }
        if let Some(other) = before.filter(|before| !replace && *before != rights && !before.is_empty()) {
            return Err(Fault::new(FaultKind::Conflict, format!("{name} has {other} on {spot} already"))
                .help("`procura folder-permission set` gives other rights in place of those"));
        }
        list.set(&sid, rights, is_group);
        let mut plan = Plan::new(format!("{rights} on {spot} given to {name}"), Vec::new());
        plan.changes.push(put(snapshot, &folder, &path, Some(&list))?);
        plan.done.warnings.extend(of_its_own(&path, from.as_ref(), ", which begin as a copy of those"));
        plan.done.warnings.extend(of_the_owner(snapshot, folder.owner, &sid));
        Ok(plan)
    })
}

/// That a folder no longer takes the entries of one above it.
fn of_its_own(path: &FolderPath, from: Option<&FolderPath>, how: &str) -> Option<String> {
    let from = from.filter(|from| !from.is(path))?;
    Some(format!("{path} had the entries of {from} until now; it has entries of its own from now on{how}"))
}

/// That an entry of the owner says nothing.
fn of_the_owner(snapshot: &Snapshot, owner: ObjectId, sid: &Sid) -> Option<String> {
    let name = (snapshot.by_sid(sid) == Some(owner)).then(|| name_of(snapshot, owner))?;
    Some(format!("{name} owns the mailbox and may do everything in it, whatever it says here"))
}

fn spot(snapshot: &Snapshot, owner: ObjectId, path: &FolderPath) -> String {
    format!("{}:{path}", name_of(snapshot, owner))
}

fn remove(asked: Asked<'_>, wanted: &FolderRemove) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let folder = Folder::shown_to(snapshot, asked.caller, &wanted.identity)?;
        let path = folder.path();
        let spot = spot(snapshot, folder.owner, &path);
        let folders = Folders::of(snapshot, folder.owner);
        let Some(user) = &wanted.user else {
            if !folders.own().any(|(own, _)| own.is(&path)) {
                return Err(Fault::new(FaultKind::NotFound, format!("{spot} has no entries of its own")));
            }
            let change = put(snapshot, &folder, &path, None)?;
            let mut plan = Plan::new(format!("{spot} has no entries of its own any more"), vec![change]);
            plan.done.warnings.push(match above(&folders, &path)? {
                Some(above) => format!("{path} has the entries of {above} from now on"),
                None => format!("no folder above {path} has entries: only the owner and Full Mailbox Access get in"),
            });
            return Ok(plan);
        };
        let (mut list, from) = list(&folders, &path)?;
        // An entry may be of somebody who is gone.
        let (sid, name) = match user.parse::<Sid>() {
            Ok(sid) => (sid.clone(), sid_name(snapshot, &sid)),
            Err(_) => entrant(snapshot, user).map(|(sid, name, _)| (sid, name))?,
        };
        if !list.remove(&sid) {
            return Err(Fault::new(FaultKind::NotFound, format!("{name} has no entry on {spot}"))
                .help(format!("`procura folder-permission get '{spot}'` shows what there is")));
        }
        let mut plan = Plan::new(format!("the entry of {name} on {spot} taken away"), Vec::new());
        plan.changes.push(put(snapshot, &folder, &path, Some(&list))?);
        plan.done.warnings.extend(of_its_own(&path, from.as_ref(), ", which begin as a copy of those"));
        Ok(plan)
    })
}

/// The nearest folder above one that has entries.
fn above(folders: &Folders, path: &FolderPath) -> Result<Option<FolderPath>, Fault> {
    let Some(parent) = path.parent() else { return Ok(None) };
    Ok(folders.at(&parent).map_err(unreadable)?.map(|(from, _)| from.clone()))
}

/// The change that gives a folder a list, or takes its own away.
fn put(snapshot: &Snapshot, folder: &Folder, path: &FolderPath, list: Option<&FolderList>) -> Result<Change, Fault> {
    let guid = guid_of(snapshot, folder.owner).ok_or_else(|| Fault::new(FaultKind::NotFound, "the owner is gone"))?;
    let folders = Folders::of(snapshot, folder.owner);
    // What cannot be read is not thrown away by the way.
    folders.at(path).map_err(unreadable)?;
    let mut spelled = path.clone();
    let mut values: Vec<Value> = Vec::new();
    for (own, descriptor) in folders.own() {
        if own.is(path) {
            spelled = own.clone();
            continue;
        }
        values.push(FolderDescriptor { path: own.to_string(), descriptor: descriptor.clone() }.to_value());
    }
    if let Some(list) = list {
        let descriptor = list.to_descriptor();
        values.push(FolderDescriptor { path: spelled.to_string(), descriptor }.to_value());
    }
    Ok(Change::Modify { guid, attributes: vec![(a::FOLDER_PERMISSION.to_owned(), values)] })
}

fn check(asked: Asked<'_>, wanted: &FolderCheck) -> Result<FolderChecked, Fault> {
    let snapshot = asked.snapshot;
    let folder = Folder::named(snapshot, &wanted.identity)?;
    let path = folder.path();
    let anonymous = wanted.who.trim().eq_ignore_ascii_case("anonymous");
    let who = if anonymous { None } else { Some(asked.find(&wanted.who)?) };
    if let Some(id) = who {
        account(snapshot, id)?;
    }
    // Who may change the rights may know them.
    let own = asked.caller.token.account;
    if !(own.is_some() && own == who || may_change_folders(snapshot, asked.caller, folder.owner)) {
        require_organization(snapshot, asked.caller, "ask for others in")?;
    }
    let mut notes = Vec::new();
    let token = match who {
        None => snapshot.anonymous_token(),
        Some(id) => {
            if snapshot.account_token(id).is_err() && snapshot.linked_token(id).is_err() {
                notes.push(format!("{} cannot log on", name_of(snapshot, id)));
            }
            token(snapshot, id).map_err(|error| Fault::new(FaultKind::Conflict, error.to_string()))?
        }
    };
    let found = access(snapshot, &token, folder.owner, &path).map_err(unreadable)?;
    if let Some(id) = who.filter(|id| found.rights.is_empty() && snapshot.is_delegate(folder.owner, *id).is_some()) {
        let name = name_of(snapshot, id);
        notes.push(format!("{name} may send on behalf of the owner; that gives no right on folders"));
    }
    let asked_for = rights(&wanted.rights)?;
    let allowed = match wanted.rights.is_empty() {
        true => !found.rights.is_empty(),
        false => found.rights.contains(asked_for),
    };
    let (via, from) = match &found.via {
        FolderVia::Owner => ("owner", None),
        FolderVia::FullAccess => ("full-access", None),
        FolderVia::Entries(from) => ("entries", Some(from.to_string())),
        FolderVia::NoEntries => ("no-entries", None),
        FolderVia::Unknown => ("unknown", None),
    };
    let each = found.each.iter().filter(|at| wanted.rights.is_empty() || asked_for.contains(at.right));
    Ok(FolderChecked {
        who: who.map_or_else(|| "Anonymous".to_owned(), |id| name_of(snapshot, id)),
        mailbox: name_of(snapshot, folder.owner),
        folder: path.to_string(),
        allowed,
        rights: found.rights.to_string(),
        via: via.to_owned(),
        from,
        rows: each.map(|at| right_row(snapshot, &token, &found, at)).collect(),
        notes,
    })
}

fn right_row(snapshot: &Snapshot, token: &Token, found: &FolderAccess, at: &RightAt) -> FolderRightRow {
    let entry = at.entry.as_ref().map(|sid| {
        if *sid == well_known::EVERYONE {
            return "the entry for Default".to_owned();
        }
        if *sid == well_known::ANONYMOUS_LOGON {
            return "the entry for Anonymous".to_owned();
        }
        let own = snapshot.sid_id(sid) == Some(token.user);
        let group = snapshot.by_sid(sid).and_then(|id| snapshot.object(id)).is_some_and(|o| o.is_security_group());
        let name = sid_name(snapshot, sid);
        match (own, group) {
            (true, _) => format!("its own entry ({name})"),
            (false, true) => format!("the entry of the group {name}"),
            (false, false) => format!("the entry of {name}"),
        }
    });
    let why = match (&found.via, at.outcome, entry) {
        _ if at.unknown => "not known now: Active Directory does not answer".to_owned(),
        (FolderVia::Owner, ..) => "it owns the mailbox".to_owned(),
        (FolderVia::FullAccess, ..) => "it has Full Mailbox Access".to_owned(),
        (_, Outcome::Allow, Some(entry)) => format!("{entry} grants it"),
        (_, Outcome::Deny, Some(entry)) => format!("{entry} decides, and does not have it"),
        (FolderVia::NoEntries, ..) => "neither the folder nor one above it has entries".to_owned(),
        _ => "no entry of it grants it".to_owned(),
    };
    FolderRightRow { right: right_name(at.right), allowed: at.outcome == Outcome::Allow, why }
}

/// A value of the attribute in words, for the history; none where it is not understood.
pub(crate) fn words(snapshot: &Snapshot, value: &Value) -> Option<String> {
    let folder = FolderDescriptor::parse(value).ok()?;
    let list = FolderList::of(&folder.descriptor)?;
    let said: Vec<String> =
        each(&list).map(|(sid, rights)| format!("{} {rights}", entry_name(snapshot, &sid))).collect();
    Some(format!("{}: {}", folder.path, said.join("; ")))
}

/// The entries of a list, Default and Anonymous at the end.
fn each(list: &FolderList) -> impl Iterator<Item = (Sid, FolderRights)> {
    let named = list.accounts.iter().chain(&list.groups).map(|entry| (entry.sid.clone(), entry.rights));
    named.chain([(well_known::EVERYONE, list.default), (well_known::ANONYMOUS_LOGON, list.anonymous)])
}

fn entry_name(snapshot: &Snapshot, sid: &Sid) -> String {
    match sid {
        sid if *sid == well_known::EVERYONE => "Default".to_owned(),
        sid if *sid == well_known::ANONYMOUS_LOGON => "Anonymous".to_owned(),
        sid => sid_name(snapshot, sid),
    }
}
