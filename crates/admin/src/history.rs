//! What was changed, by whom, before and after; and taking it back.

use std::collections::BTreeSet;

use acl::{Ace, Guid, SecurityDescriptor, Sid};
use directory::attributes::{self as a, Syntax};
use directory::{
    AttributeChange, Change, ChangeBatch, ChangeLog, ObjectChange, ObjectId, Record, Snapshot, Time, Value, parse_link,
};
use rights::admin::Action;
use store::{HistoryEntry, HistoryFilter};

use crate::authorize::{authorize_undo, require, require_organization};
use crate::documents::{ChangeLine, History, HistoryPage, HistoryRow, ImportSteps, Simulated};
use crate::error::{Fault, FaultKind};
use crate::permissions::trustee;
use crate::response::{Done, Response};
use crate::service::{Asked, Plan};
use crate::simulate;
use crate::{expiry, words};

/// Versions on a page when nobody says.
const PAGE: u32 = 50;
/// Changes of objects that are read for a page.
const MAX_ENTRIES: usize = 20_000;
/// Changes that a version lists.
const MAX_LINES: usize = 200;
/// Octets of those, and of a page: an answer has to fit into a line.
const MAX_LINES_BYTES: usize = 256 << 10;
const MAX_PAGE_BYTES: usize = 4 << 20;

pub fn history(asked: Asked<'_>, history: &History) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let object = match &history.object {
        Some(name) => Some(object(asked, name)?),
        None => {
            require_organization(snapshot, asked.caller, "read the history of")?;
            None
        }
    };
    let filter = HistoryFilter {
        object,
        author: history.author.as_deref().map(|name| trustee(snapshot, name)).transpose()?,
        since: history.since.map(Time),
        until: history.until.map(Time),
        version: history.version,
        before: history.before,
        limit: MAX_ENTRIES,
    };
    let entries = asked.service.store().history(&filter)?;
    let is_cut = entries.len() == MAX_ENTRIES;
    let limit = history.limit.unwrap_or(PAGE).max(1) as usize;
    let mut page = HistoryPage::default();
    let (mut at, mut bytes) = (0, 0);
    while at < entries.len() {
        let version = entries[at].version;
        let end = at + entries[at..].iter().take_while(|entry| entry.version == version).count();
        // A version that the reading cut off begins the next page, unless it alone is longer than all of this one.
        let is_full = page.rows.len() == limit || bytes > MAX_PAGE_BYTES;
        if is_full || is_cut && end == entries.len() && !page.rows.is_empty() {
            page.next = page.rows.last().map(|row| row.version);
            break;
        }
        let row = row(snapshot, &entries[at..end]);
        bytes += row.changes.iter().map(size).sum::<usize>();
        page.rows.push(row);
        at = end;
    }
    if is_cut && page.next.is_none() {
        page.next = page.rows.last().map(|row| row.version);
    }
    Ok(Response::History(page))
}

/// As many lines as fit, and how many do not.
pub(crate) fn shortened(mut lines: Vec<ChangeLine>, count: usize, octets: usize) -> (Vec<ChangeLine>, u64) {
    let all = lines.len();
    let mut sum = 0;
    let fit = lines.iter().take(count).take_while(|line| {
        sum += size(line);
        sum <= octets
    });
    let fit = fit.count();
    lines.truncate(fit);
    (lines, (all - fit) as u64)
}

/// About how many octets a line takes.
fn size(line: &ChangeLine) -> usize {
    let values = line.removed.iter().chain(&line.added).map(|value| value.len() + 8);
    line.object.len() + line.attribute.len() + 80 + values.sum::<usize>()
}

/// The object of a name; an objectGUID may be that of an object that is gone.
fn object(asked: Asked<'_>, name: &str) -> Result<Guid, Fault> {
    match asked.find(name) {
        Ok(id) => {
            require(asked.snapshot, asked.caller, id, Action::Read, "read the history of")?;
            asked.snapshot.object(id).map(|object| object.guid()).ok_or_else(|| gone(name))
        }
        Err(fault) => {
            let guid: Guid = name.trim_matches(['{', '}']).parse().map_err(|_| fault)?;
            require_organization(asked.snapshot, asked.caller, "read the history of")?;
            Ok(guid)
        }
    }
}

fn gone(name: &str) -> Fault {
    Fault::new(FaultKind::NotFound, format!("{name} is gone"))
}

/// One version; its entries come newest first.
fn row(snapshot: &Snapshot, entries: &[HistoryEntry]) -> HistoryRow {
    let Some(first) = entries.first() else { return HistoryRow::default() };
    let changes: Vec<ObjectChange> = entries.iter().rev().map(|entry| entry.change.clone()).collect();
    let (changes, more) = shortened(lines(snapshot, snapshot, &ChangeLog { changes }), MAX_LINES, MAX_LINES_BYTES);
    HistoryRow {
        version: first.version,
        time: first.time.0,
        author: snapshot.sid_name(&first.author),
        author_sid: first.author.to_string(),
        comment: first.comment.clone(),
        changes,
        more,
    }
}

pub fn undo(asked: Asked<'_>, version: u64) -> Result<Response, Fault> {
    let log = asked.service.store().log(version)?.ok_or_else(|| {
        Fault::new(FaultKind::NotFound, format!("there is no version {version}"))
            .help("`procura history` lists versions")
    })?;
    // The store is not locked between here and the change, but what is compared there is the newest snapshot.
    let later = |guid: &Guid| -> Result<Vec<HistoryEntry>, Fault> {
        let filter = HistoryFilter { object: Some(*guid), limit: MAX_ENTRIES, ..HistoryFilter::default() };
        let mut entries = asked.service.store().history(&filter)?;
        entries.retain(|entry| entry.version > version);
        Ok(entries)
    };
    let touched: BTreeSet<Guid> = log.changes.iter().map(ObjectChange::guid).collect();
    let mut after = Vec::new();
    for guid in &touched {
        after.extend(later(guid)?);
    }
    asked.change(|snapshot| {
        let changes = taken_back(asked, snapshot, version, &log, &after)?.changes;
        let mut plan = Plan::new(format!("version {version} undone"), changes);
        plan.authorized = true;
        if plan.changes.is_empty() {
            plan.done.warnings.push("nothing is left of it to undo".into());
        }
        for change in &log.changes {
            if let ObjectChange::Deleted(record) = change
                && directory::Class::from_object_classes(record.values(a::OBJECT_CLASS)).is_account()
            {
                plan.done.warnings.push(format!("{}: its password went with it; set a new one", record.rdn));
            }
        }
        Ok(plan)
    })
}

/// A version taken back.
struct TakenBack {
    /// What does it.
    changes: Vec<Change>,
    /// What the directory is then.
    after: Snapshot,
    /// What it was made of.
    log: ChangeLog,
}

/// What takes a version back; `later`: the changes since then of what it touched.
fn taken_back(
    asked: Asked<'_>,
    snapshot: &Snapshot,
    version: u64,
    log: &ChangeLog,
    later: &[HistoryEntry],
) -> Result<TakenBack, Fault> {
    let conflicts = conflicts(snapshot, log);
    if !conflicts.is_empty() {
        return Err(conflicted(snapshot, version, &conflicts, later));
    }
    let (author, time) = (asked.caller.sid.clone(), asked.service.now());
    let batch = ChangeBatch { author, time, comment: String::new(), changes: log.inverse() };
    let undone = snapshot.apply(&batch)?;
    authorize_undo(snapshot, asked.caller, log, &batch.changes, &undone.snapshot)?;
    Ok(TakenBack { changes: batch.changes, after: undone.snapshot, log: undone.log })
}

/// How the comment of each step of an import ends, and of what takes one back.
pub(crate) fn of_import(import: &str) -> String {
    format!("(import {import})")
}

/// The versions of an import that was made in steps, newest first, as they are to be undone; those that were undone already
/// left out.
pub fn import_steps(asked: Asked<'_>, steps: &ImportSteps) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "read the history of")?;
    let mark = of_import(&steps.import);
    let undone_mark = format!(" undone {mark}");
    let marked = asked.service.store().commented(&mark)?;
    let undone: BTreeSet<u64> = marked
        .iter()
        .filter_map(|(_, comment)| comment.strip_suffix(&undone_mark)?.rsplit(' ').next()?.parse().ok())
        .collect();
    let is_step = |(version, comment): &(u64, String)| !comment.ends_with(&undone_mark) && !undone.contains(version);
    let mut versions: Vec<u64> = marked.iter().filter(|step| is_step(step)).map(|(version, _)| *version).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    if marked.is_empty() {
        return Err(Fault::new(
            FaultKind::NotFound,
            format!("there is no import {} that was made in steps", steps.import),
        )
        .help("`procura history` shows its name with each step: (import NAME)"));
    }
    let simulated = match steps.try_out {
        true => Some(Box::new(tried(asked, &steps.import, &versions)?)),
        false => None,
    };
    Ok(Response::ImportSteps { versions, simulated })
}

/// What would come of taking these versions back, the newest first.
fn tried(asked: Asked<'_>, import: &str, versions: &[u64]) -> Result<Simulated, Fault> {
    let mut now = asked.snapshot.clone();
    let mut told = Vec::new();
    let mut more = 0;
    for version in versions {
        let Some(log) = asked.service.store().log(*version)? else { continue };
        let back = taken_back(asked, &now, *version, &log, &[])?;
        // An import may be of a million objects: what is not shown is not kept.
        match told.len() < simulate::MAX_ROWS {
            true => told.extend(lines(&now, &back.after, &back.log)),
            false => more += back.log.changes.len() as u64,
        }
        now = back.after;
    }
    let summary = format!("import {import}: {} steps can be undone", versions.len());
    let mut simulated = simulate::summary(asked.snapshot, &now, Done { summary, ..Done::default() });
    let (changes, left) = shortened(told, simulate::MAX_ROWS, simulate::MAX_BYTES);
    (simulated.changes, simulated.more_changes) = (changes, left + more);
    Ok(simulated)
}

/// Something that is no longer as the version left it.
struct Conflict {
    guid: Guid,
    /// The attribute; none for the object as a whole.
    attribute: Option<String>,
    text: String,
}

/// Where the directory is no longer as the log left it.
fn conflicts(snapshot: &Snapshot, log: &ChangeLog) -> Vec<Conflict> {
    let mut found = Vec::new();
    // The last word of the log on each object counts.
    let mut seen: BTreeSet<(Guid, String)> = BTreeSet::new();
    let deleted: BTreeSet<Guid> = log
        .changes
        .iter()
        .filter_map(|change| match change {
            ObjectChange::Deleted(record) => Some(record.guid),
            _ => None,
        })
        .collect();
    let added: BTreeSet<Guid> = log
        .changes
        .iter()
        .filter_map(|change| match change {
            ObjectChange::Added(record) => Some(record.guid),
            _ => None,
        })
        .collect();
    for change in log.changes.iter().rev() {
        let guid = change.guid();
        let conflict =
            |attribute: Option<&str>, text: String| Conflict { guid, attribute: attribute.map(str::to_owned), text };
        match change {
            ObjectChange::Deleted(record) => {
                if let Some(id) = snapshot.by_guid(&guid) {
                    found.push(conflict(None, format!("{} is there again", snapshot.dn(id))));
                } else if let Some(parent) = record.parent
                    && snapshot.by_guid(&parent).is_none()
                    && !deleted.contains(&parent)
                {
                    found.push(conflict(None, format!("{}: the container that it stood in is gone", record.rdn)));
                }
            }
            ObjectChange::Added(record) => added_conflicts(snapshot, log, record, &mut found),
            _ if deleted.contains(&guid) || added.contains(&guid) => {}
            ObjectChange::Moved { after: (parent, rdn), .. } => {
                if !seen.insert((guid, "\u{0}place".to_owned())) {
                    continue;
                }
                match place(snapshot, &guid) {
                    None => found.push(conflict(None, format!("object {guid} is gone"))),
                    Some(now) if now == (*parent, rdn.clone()) => {}
                    Some(_) => {
                        found.push(conflict(Some(""), format!("{} was moved or renamed", called(snapshot, &guid))))
                    }
                }
            }
            ObjectChange::Modified { attributes, .. } => {
                let Some(id) = snapshot.by_guid(&guid) else {
                    found.push(conflict(None, format!("object {guid} is gone")));
                    continue;
                };
                for attribute in attributes.iter().rev() {
                    if attribute.name() == a::NEXT_RID || !is_changed(snapshot, id, attribute, &mut seen, &deleted) {
                        continue;
                    }
                    found.push(conflict(
                        Some(attribute.name()),
                        format!("{} of {} was changed", attribute.name(), snapshot.dn(id)),
                    ));
                }
            }
        }
    }
    found.sort_by(|a, b| a.text.cmp(&b.text));
    found.dedup_by(|a, b| a.text == b.text);
    found
}

/// Whether an attribute differs from what the log left; each value is looked at once, by the last word on it.
fn is_changed(
    snapshot: &Snapshot,
    id: ObjectId,
    attribute: &AttributeChange,
    seen: &mut BTreeSet<(Guid, String)>,
    deleted: &BTreeSet<Guid>,
) -> bool {
    let Some(guid) = snapshot.object(id).map(|object| object.guid()) else { return true };
    match attribute {
        AttributeChange::Replaced { name, after, .. } => {
            seen.insert((guid, name.clone())) && snapshot.attribute(id, name) != *after
        }
        AttributeChange::Links { name, removed, added } => {
            let now: BTreeSet<Value> = snapshot.attribute(id, name).into_iter().collect();
            let mut first = |value: &Value| seen.insert((guid, format!("{name} {}", String::from_utf8_lossy(value))));
            // Links to what this version deleted come back with it.
            let to_deleted = |value: &Value| parse_link(value).is_some_and(|target| deleted.contains(&target));
            let missing = added.iter().filter(|value| first(value)).any(|value| !now.contains(value));
            let back =
                removed.iter().filter(|value| first(value)).any(|value| now.contains(value) && !to_deleted(value));
            missing || back
        }
    }
}

fn added_conflicts(snapshot: &Snapshot, log: &ChangeLog, record: &Record, found: &mut Vec<Conflict>) {
    let guid = record.guid;
    let conflict =
        |attribute: Option<&str>, text: String| Conflict { guid, attribute: attribute.map(str::to_owned), text };
    let Some(id) = snapshot.by_guid(&guid) else {
        found.push(conflict(None, format!("{} is gone already", record.rdn)));
        return;
    };
    let Some(now) = snapshot.record(id) else { return };
    let left = as_left(log, record);
    if (now.parent, &now.rdn) != (left.parent, &left.rdn) {
        found.push(conflict(Some(""), format!("{} was moved or renamed", snapshot.dn(id))));
    }
    let names: BTreeSet<&String> = now.attributes.keys().chain(left.attributes.keys()).collect();
    for name in names.into_iter().filter(|name| *name != a::NEXT_RID) {
        if now.values(name) != left.values(name) {
            found.push(conflict(Some(name), format!("{name} of {} was changed", snapshot.dn(id))));
        }
    }
    let ours: BTreeSet<Guid> = log.changes.iter().map(ObjectChange::guid).collect();
    for child in snapshot.children(id).filter_map(|child| snapshot.object(child).map(|object| (child, object.guid()))) {
        if !ours.contains(&child.1) {
            found.push(conflict(None, format!("{} was added below it", snapshot.dn(child.0))));
        }
    }
    for attribute in a::ATTRIBUTES.iter().filter(|attribute| matches!(attribute.syntax, Syntax::Link(_))) {
        for source in snapshot.linked_from(id, attribute.name) {
            let Some(other) = snapshot.object(source).map(|object| object.guid()) else { continue };
            if source != id && !ours.contains(&other) {
                let text = format!("{} of {} names {} now", attribute.name, snapshot.dn(source), snapshot.dn(id));
                found.push(Conflict { guid: other, attribute: Some(attribute.name.to_owned()), text });
            }
        }
    }
}

/// A new object as the whole log left it.
fn as_left(log: &ChangeLog, record: &Record) -> Record {
    let mut left = record.clone();
    let later =
        log.changes.iter().skip_while(|change| !matches!(change, ObjectChange::Added(r) if r.guid == record.guid));
    for change in later.skip(1).filter(|change| change.guid() == record.guid) {
        match change {
            ObjectChange::Moved { after: (parent, rdn), .. } => (left.parent, left.rdn) = (*parent, rdn.clone()),
            ObjectChange::Modified { attributes, .. } => {
                for attribute in attributes {
                    match attribute {
                        AttributeChange::Replaced { name, after, .. } => left.set(name, after.clone()),
                        AttributeChange::Links { name, removed, added } => {
                            let mut values: BTreeSet<Value> = left.values(name).iter().cloned().collect();
                            values.retain(|value| !removed.contains(value));
                            values.extend(added.iter().cloned());
                            left.set(name, values.into_iter().collect());
                        }
                    }
                }
            }
            ObjectChange::Added(_) | ObjectChange::Deleted(_) => {}
        }
    }
    left
}

fn place(snapshot: &Snapshot, guid: &Guid) -> Option<(Option<Guid>, String)> {
    let object = snapshot.object(snapshot.by_guid(guid)?)?;
    let parent = object.parent().and_then(|parent| snapshot.object(parent)).map(|parent| parent.guid());
    Some((parent, object.rdn().to_owned()))
}

fn conflicted(snapshot: &Snapshot, version: u64, conflicts: &[Conflict], later: &[HistoryEntry]) -> Fault {
    let mut by: BTreeSet<u64> = BTreeSet::new();
    let mut said: Vec<String> = conflicts.iter().take(10).map(|conflict| conflict.text.clone()).collect();
    if conflicts.len() > 10 {
        said.push(format!("and {} more", conflicts.len() - 10));
    }
    let mut versions = Vec::new();
    for entry in later {
        let guilty = conflicts.iter().any(|conflict| conflict.guid == entry.change.guid() && touches(entry, conflict));
        if guilty && by.insert(entry.version) {
            let author = snapshot.sid_name(&entry.author);
            versions.push((entry.version, format!("version {} by {author} ({})", entry.version, entry.comment)));
        }
    }
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let versions: Vec<String> = versions.into_iter().map(|(_, text)| text).collect();
    let since = if versions.is_empty() { String::new() } else { format!("; since then: {}", versions.join("; ")) };
    Fault::new(FaultKind::Conflict, format!("version {version} cannot be undone: {}{since}", said.join("; ")))
        .help("undo the later versions first, the newest one first; or make the change that you want")
}

fn touches(entry: &HistoryEntry, conflict: &Conflict) -> bool {
    match (&entry.change, &conflict.attribute) {
        (ObjectChange::Modified { attributes, .. }, Some(name)) => {
            attributes.iter().any(|change| change.name() == name)
        }
        (ObjectChange::Moved { .. }, Some(name)) => name.is_empty(),
        (ObjectChange::Added(_) | ObjectChange::Deleted(_), _) => true,
        (_, None) => false,
    }
}

fn called(snapshot: &Snapshot, guid: &Guid) -> String {
    snapshot.by_guid(guid).map_or_else(|| guid.to_string(), |id| snapshot.dn(id))
}

/// A log in words. Names are taken from either snapshot.
pub(crate) fn lines(before: &Snapshot, after: &Snapshot, log: &ChangeLog) -> Vec<ChangeLine> {
    let mut lines = Vec::new();
    let named = |guid: &Guid| {
        let name = |snapshot: &Snapshot| snapshot.by_guid(guid).map(|id| snapshot.dn(id));
        name(after).or_else(|| name(before))
    };
    // The name of what is there no more, if the log says it.
    let lost = |record: &Record| match record.parent.as_ref().and_then(&named) {
        Some(parent) => format!("{},{parent}", record.rdn),
        None => record.rdn.clone(),
    };
    for change in &log.changes {
        let guid = change.guid();
        let line = |what: &str| ChangeLine {
            object: named(&guid).unwrap_or_else(|| match change {
                ObjectChange::Added(record) | ObjectChange::Deleted(record) => lost(record),
                _ => guid.to_string(),
            }),
            guid: guid.to_string(),
            what: what.to_owned(),
            ..ChangeLine::default()
        };
        let place = |(parent, rdn): &(Option<Guid>, String)| match parent.as_ref().and_then(&named) {
            Some(parent) => vec![format!("{rdn},{parent}")],
            None => vec![rdn.clone()],
        };
        match change {
            ObjectChange::Added(_) => lines.push(line("added")),
            ObjectChange::Deleted(_) => lines.push(line("deleted")),
            ObjectChange::Moved { before, after, .. } => {
                lines.push(ChangeLine { removed: place(before), added: place(after), ..line("moved") });
            }
            ObjectChange::Modified { attributes, .. } => {
                for attribute in attributes.iter().filter(|attribute| attribute.name() != a::NEXT_RID) {
                    let (removed, added) = difference(after, &named, attribute);
                    lines.push(ChangeLine {
                        attribute: attribute.name().to_owned(),
                        removed,
                        added,
                        ..line("changed")
                    });
                }
            }
        }
    }
    lines
}

fn difference(
    snapshot: &Snapshot,
    named: &dyn Fn(&Guid) -> Option<String>,
    attribute: &AttributeChange,
) -> (Vec<String>, Vec<String>) {
    let (name, before, after) = match attribute {
        AttributeChange::Replaced { name, before, after } => (name, before, after),
        AttributeChange::Links { name, removed, added } => (name, removed, added),
    };
    let syntax = a::by_name(name).map(|attribute| attribute.syntax);
    if syntax == Some(Syntax::Descriptor) {
        let mailbox = name == a::MAILBOX_DESCRIPTOR;
        let entries =
            |values: &[Value]| values.first().map(|value| descriptor(snapshot, value, mailbox)).unwrap_or_default();
        let (before, after) = (entries(before), entries(after));
        return (without(&before, &after), without(&after, &before));
    }
    let end = |value: &Value| {
        let mailbox = name == a::EXPIRING_MAILBOX_GRANT;
        expiry::words(value, |ace| entry(snapshot, ace, mailbox), named)
    };
    let text = |value: &Value| match syntax {
        _ if name == a::FOLDER_PERMISSION => crate::folder_permissions::words(snapshot, value)
            .unwrap_or_else(|| String::from_utf8_lossy(value).into_owned()),
        _ if ENDS.contains(&name.as_str()) => end(value).unwrap_or_else(|| String::from_utf8_lossy(value).into_owned()),
        Some(Syntax::Link(_)) => {
            let target = parse_link(value);
            target.and_then(|guid| named(&guid)).unwrap_or_else(|| String::from_utf8_lossy(value).into_owned())
        }
        Some(Syntax::Sid) => Sid::parse(value).map_or_else(|_| octets(value), |(sid, _)| snapshot.sid_name(&sid)),
        Some(Syntax::Guid) => {
            <[u8; 16]>::try_from(value.as_slice()).map_or_else(|_| octets(value), |g| Guid(g).to_string())
        }
        _ => std::str::from_utf8(value).map_or_else(|_| octets(value), str::to_owned),
    };
    let (before, after): (Vec<String>, Vec<String>) =
        (before.iter().map(text).collect(), after.iter().map(text).collect());
    (without(&before, &after), without(&after, &before))
}

/// Entries and properties of a descriptor in words.
fn descriptor(snapshot: &Snapshot, value: &[u8], mailbox: bool) -> Vec<String> {
    let Ok(sd) = SecurityDescriptor::parse(value) else { return vec!["a descriptor that cannot be read".to_owned()] };
    let mut words = Vec::new();
    if let Some(owner) = &sd.owner {
        words.push(format!("owner {}", snapshot.sid_name(owner)));
    }
    if sd.is_dacl_protected() {
        words.push("inheritance is blocked".to_owned());
    }
    words.extend(sd.dacl.iter().flat_map(|dacl| &dacl.aces).map(|ace| entry(snapshot, ace, mailbox)));
    words
}

fn entry(snapshot: &Snapshot, ace: &Ace, mailbox: bool) -> String {
    let kind = if ace.is_deny() { "deny" } else { "allow" };
    let rights = if mailbox { words::mailbox_rights(ace) } else { words::rights(ace) };
    format!("{kind} {}: {} {}", snapshot.sid_name(&ace.sid), rights.join(", "), words::sddl(snapshot, ace))
}

/// Attributes that say when grants end.
const ENDS: [&str; 3] = [a::EXPIRING_GRANT, a::EXPIRING_MAILBOX_GRANT, a::EXPIRING_DELEGATE];

/// Values of one list that the other has not, duplicates counted.
fn without(values: &[String], others: &[String]) -> Vec<String> {
    let mut others: Vec<&String> = others.iter().collect();
    let mut left = Vec::new();
    for value in values {
        match others.iter().position(|other| *other == value) {
            Some(at) => {
                others.swap_remove(at);
            }
            None => left.push(value.clone()),
        }
    }
    left
}

fn octets(value: &[u8]) -> String {
    format!("{} octets", value.len())
}
