//! The organization as a document says: each part is compared with what is there, and becomes the requests that make it
//! so. All of them are tried out in order on a copy and then committed as one change.

mod connectors;
mod folders;
mod requests;

use std::collections::{BTreeSet, HashMap};

use directory::{Class, ObjectId, Snapshot, Time};

use crate::authorize::is_administrator;
use crate::error::{Fault, FaultKind};
use crate::groups::is_of_every_domain;
use crate::operations::{Apply, Item, Wanted};
use crate::response::{Done, Response};
use crate::service::{Asked, Plan, find};
use crate::simulate::Trial;
use crate::{domains, servers};

/// Setting of the directory: what documents have named, as JSON. Only that is pruned.
const SETTING: &str = "applied document";

pub fn apply(asked: Asked<'_>, apply: &Apply) -> Result<Response, Fault> {
    once(&apply.items)?;
    let managed = managed(asked)?;
    let named: BTreeSet<String> = apply.items.iter().map(|item| item.wanted.key()).collect();
    let left: Vec<Wanted> = managed.into_iter().filter(|wanted| !named.contains(&wanted.key())).collect();
    let now = asked.service.now();
    let settled = apply.items.iter().map(|item| settled(item, now).map_err(|fault| at_line(item, fault)));
    let items: Vec<Item> = settled.collect::<Result<_, _>>()?;
    let prune = if apply.prune { left.as_slice() } else { &[] };
    // A large document takes its time, in which others may log on; if nobody changes anything meanwhile, it counts.
    let planned = plan(asked, asked.snapshot, &items, prune)?;
    let response = asked.change(|snapshot| match std::ptr::eq(snapshot, asked.snapshot) {
        true => Ok(planned),
        false => plan(asked, snapshot, &items, prune),
    })?;
    if asked.trial.is_none() {
        let stays = left.into_iter().filter(|wanted| !apply.prune || !can_go(asked.snapshot, wanted));
        let present = apply.items.iter().map(|item| &item.wanted).filter(|wanted| wanted.is_present()).cloned();
        let managed: Vec<Wanted> = stays.chain(present).collect();
        let text = serde_json::to_string(&managed).map_err(|e| Fault::new(FaultKind::Invalid, e.to_string()))?;
        asked.service.set_setting(&setting(asked), Some(&text))?;
    }
    Ok(response)
}

/// What is named twice is one of the two, and the other the next time.
fn once(items: &[Item]) -> Result<(), Fault> {
    let text = |item: &Item| serde_json::to_string(&item.wanted).unwrap_or_default();
    let mut named: HashMap<String, &Item> = HashMap::new();
    for item in items {
        if let Some(first) = named.insert(item.wanted.key(), item)
            && text(first) != text(item)
        {
            return Err(twice(item, first));
        }
    }
    Ok(())
}

fn twice(item: &Item, first: &Item) -> Fault {
    let message = format!("line {} says something else of the same", first.line);
    at_line(item, Fault::new(FaultKind::Invalid, message).help("leave one of the two away"))
}

/// The same of folders, however their owners are named: each part is all of a folder's list.
fn each_folder_once(snapshot: &Snapshot, items: &[Item]) -> Result<(), Fault> {
    let mut named = HashMap::new();
    for item in items {
        if let Wanted::FolderPermission(wanted) = &item.wanted
            && let Some(subject) = requests::subject(snapshot, &item.wanted)
            && let Some((first, other)) = named.insert(subject, (item, wanted))
            && (&other.entries, other.absent) != (&wanted.entries, wanted.absent)
        {
            return Err(twice(item, first));
        }
    }
    Ok(())
}

/// Where it is kept what the documents of the caller have named. Nobody makes administrators prune what they themselves may
/// not remove, by naming it.
fn setting(asked: Asked<'_>) -> String {
    match is_administrator(asked.snapshot, asked.caller) {
        true => SETTING.to_owned(),
        false => format!("{SETTING} of {}", asked.caller.sid),
    }
}

/// What earlier documents have named and no document has dropped since.
fn managed(asked: Asked<'_>) -> Result<Vec<Wanted>, Fault> {
    let text = asked.service.setting(&setting(asked))?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

fn can_go(snapshot: &Snapshot, wanted: &Wanted) -> bool {
    wanted.clone().gone().is_some() && stays(snapshot, wanted).is_none()
}

/// The part as it is to be now: a grant whose end has passed is not to be there.
fn settled(item: &Item, now: Time) -> Result<Item, Fault> {
    let mut item = item.clone();
    let (until, absent) = match &mut item.wanted {
        Wanted::Grant(grant) => (&mut grant.until, &mut grant.absent),
        Wanted::MailboxGrant(grant) => (&mut grant.until, &mut grant.absent),
        _ => return Ok(item),
    };
    if let Some(text) = until.as_deref()
        && requests::end(text)? <= now.0
    {
        (*until, *absent) = (None, true);
    }
    Ok(item)
}

fn plan(asked: Asked<'_>, snapshot: &Snapshot, items: &[Item], prune: &[Wanted]) -> Result<Plan, Fault> {
    let trial = Trial::on(snapshot);
    let named = items;
    let (gone, staying) = no_longer_named(snapshot, items, prune);
    let items: Vec<Item> = items.iter().cloned().chain(gone).collect();
    let mut done = Done::default();
    // What goes makes room first; then what is referred to: grants by name need the accounts, members the groups.
    for stage in 0..STAGES {
        all_of(asked, &trial, &items, stage, &mut done)?;
    }
    // Whoever is named is there now.
    each_folder_once(&trial.snapshot(), named)?;
    done.warnings.extend(staying);
    let changes = trial.into_changes();
    done.summary = match changes.len() {
        0 => "everything is as the document says: nothing was changed".to_owned(),
        count => format!("applied: {count} change(s)"),
    };
    Ok(Plan { changes, done, authorized: true })
}

/// What is pruned, and what is not although no document names it, in words. An object that has another name now than in an
/// earlier document is the same object, and its folder the same folder.
fn no_longer_named(snapshot: &Snapshot, items: &[Item], prune: &[Wanted]) -> (Vec<Item>, Vec<String>) {
    let subject = |wanted: &Wanted| requests::subject(snapshot, wanted);
    let named: BTreeSet<_> = match prune {
        [] => BTreeSet::new(),
        _ => items.iter().filter_map(|item| subject(&item.wanted)).collect(),
    };
    let (mut gone, mut staying) = (Vec::new(), Vec::new());
    for wanted in prune.iter().filter(|wanted| subject(wanted).is_none_or(|subject| !named.contains(&subject))) {
        match stays(snapshot, wanted) {
            Some(why) => staying.push(format!("no longer named: {why}")),
            None => gone.extend(wanted.clone().gone().map(|wanted| Item { line: 0, wanted })),
        }
    }
    (gone, staying)
}

/// Why a part stays that no document names any more, in words; none: it goes, or nothing is to be said of it.
fn stays(snapshot: &Snapshot, wanted: &Wanted) -> Option<String> {
    match wanted {
        Wanted::Ou(ou) => Some(format!("the unit {} stays, it may hold what no document names", ou.name)),
        Wanted::Database(database) => {
            Some(format!("the mailbox database {} stays, it may hold what no document names", database.name))
        }
        Wanted::Group(group) => {
            let own = snapshot.object(find(snapshot, &group.name).ok()?)?;
            let is_there_always = own.sid().is_some_and(|sid| is_of_every_domain(&snapshot.sid(sid)));
            is_there_always.then(|| format!("the group {} stays, every domain has it", group.name))
        }
        Wanted::Domain(own) => {
            let id = domains::named(snapshot, &own.name).ok()?;
            let is_default = snapshot.accepted_domains().any(|(other, domain)| other == id && domain.default);
            is_default.then(|| format!("the accepted domain {} stays, it is the default one", own.name))
        }
        Wanted::Server(own) => {
            let id = servers::server(snapshot, &own.name).ok()?;
            let is_database = |id: &ObjectId| snapshot.object(*id).is_some_and(|own| own.class() == Class::Database);
            let holds = snapshot.subtree(id).iter().any(is_database);
            holds.then(|| format!("the server {} stays, it has mailbox databases", own.name))
        }
        _ => None,
    }
}

/// Does one stage of all parts. Those that need what comes later in the document (a unit its parent, a domain its
/// original) are tried again after it.
fn all_of(asked: Asked<'_>, trial: &Trial, items: &[Item], stage: u8, done: &mut Done) -> Result<(), Fault> {
    let mut left: Vec<&Item> = items.iter().collect();
    while !left.is_empty() {
        let mut missing = None;
        let mut again = Vec::new();
        for item in &left {
            match step(asked, trial, item, stage, done) {
                Ok(()) => {}
                Err(fault) if fault.kind == FaultKind::NotFound => {
                    missing.get_or_insert_with(|| at_line(item, fault));
                    again.push(*item);
                }
                Err(fault) => return Err(at_line(item, fault)),
            }
        }
        if let Some(fault) = missing
            && again.len() == left.len()
        {
            return Err(fault);
        }
        left = again;
    }
    Ok(())
}

/// Grants and rights on folders that go, objects that go; servers that go, and objects; members; what refers to them.
const STAGES: u8 = 5;

/// Does what one part needs, and says what was done.
fn step(asked: Asked<'_>, trial: &Trial, item: &Item, stage: u8, done: &mut Done) -> Result<(), Fault> {
    let place = match item.line {
        0 => "no longer named".to_owned(),
        line => format!("line {line}"),
    };
    let now = trial.snapshot();
    let requests = match (item.wanted.is_present(), stage) {
        (true, 2..) => requests::making(&now, asked.service.now(), &item.wanted, stage - 2)?,
        (false, 0..=2) => requests::removing(&now, asked.service.now(), &item.wanted, stage)?,
        _ => Vec::new(),
    };
    for request in requests {
        let (now, before) = (trial.snapshot(), trial.count());
        let tried = Asked { trial: Some(trial), snapshot: &now, ..asked };
        let response = match tried.dispatch(request) {
            // What is to go and is not there is as it should be.
            Err(fault) if fault.kind == FaultKind::NotFound && !item.wanted.is_present() => continue,
            answered => answered?,
        };
        if let (Response::Done(made), true) = (response, trial.count() > before) {
            let warnings = made.warnings.into_iter().filter(|warning| !warning.contains("password yet"));
            done.steps.push(format!("{place}: {}", made.summary));
            done.warnings.extend(warnings.map(|warning| format!("{place}: {warning}")));
        }
    }
    Ok(())
}

fn at_line(item: &Item, fault: Fault) -> Fault {
    match item.line {
        0 => Fault { message: format!("no longer named by the document: {}", fault.message), ..fault },
        line => Fault { message: format!("line {line}: {}", fault.message), ..fault },
    }
}
