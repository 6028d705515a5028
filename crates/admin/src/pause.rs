//! Service accounts whose mail waits for a missing right: how they are set, what waits, and what people decide about it
//! (`authorization.md` §8).

use std::collections::HashMap;

use acl::Guid;
use directory::{Change, ObjectId, Snapshot, Value, attributes as a, link_value};
use message::Address;
use queue::{Held, ListFilter, Queue};
use rights::admin::{Action, may};
use rights::pause::{Key, MAX_AGE, MAX_BYTES, MAX_MESSAGES, Policy, REASON, account_name, event, event_name};
use rights::shortfall::shortfall;

use crate::accounts::account;
use crate::authorize::{require, require_organization};
use crate::error::{Fault, FaultKind};
use crate::queued::iso;
use crate::response::{Page, Response};
use crate::service::{Asked, Plan, find};

pub(crate) mod decide;
pub mod documents;

use documents::{
    PauseEnable, PauseFate, PauseList, PauseOf, PauseOrder, PauseOrdered, PausePart, PausePolicy, PauseRequest,
    PauseResponse, PauseRow, PausedMessage,
};

/// Messages of one user that a list shows.
const SHOWN: usize = 100;

/// Paused mail of one service account for one user.
#[derive(Debug, Clone)]
pub struct PausedMail {
    /// objectGUID of the service account.
    pub account: Guid,
    /// objectGUID of the user.
    pub user: Guid,
    /// What was set aside for a person; else what waits for the right.
    pub aside: bool,
    /// Only this message.
    pub message: Option<String>,
    /// Only what was accepted before this time, milliseconds since the Unix epoch.
    pub before: Option<i64>,
}

/// What became of paused mail.
#[derive(Debug, Clone, Default)]
pub struct PauseOutcome {
    /// Messages that are held no more.
    pub done: u64,
    /// Messages that are still held.
    pub left: u64,
    /// Why the first of those are.
    pub why: Vec<String>,
}

pub(crate) fn answer(asked: Asked<'_>, request: PauseRequest) -> Result<Response, Fault> {
    match request {
        PauseRequest::Enable(wanted) => enable(asked, &wanted),
        PauseRequest::Disable(of) => disable(asked, &of),
        PauseRequest::Policy(of) => policy(asked, &of),
        PauseRequest::List(list) => self::list(asked, &list),
        PauseRequest::Order(order) => self::order(asked, &order),
        PauseRequest::Users(users) => decide::users(asked, &users),
        PauseRequest::Decide(wanted) => decide::decide(asked, &wanted),
    }
}

fn enable(asked: Asked<'_>, wanted: &PauseEnable) -> Result<Response, Fault> {
    for to in &wanted.notify {
        if let Err(error) = Address::parse(to) {
            return Err(Fault::new(FaultKind::Invalid, format!("{to} is no mail address: {error}")));
        }
    }
    asked.change(|snapshot| {
        let id = find(snapshot, &wanted.account)?;
        let guid = account(snapshot, id)?.guid();
        let mut scope: Vec<ObjectId> =
            wanted.scope.iter().map(|name| find(snapshot, name)).collect::<Result<_, _>>()?;
        if scope.is_empty() {
            let organization = snapshot.organization();
            scope.push(organization.ok_or_else(|| Fault::new(FaultKind::Unavailable, "there is no organization"))?);
        }
        let links: Vec<Value> =
            scope.iter().filter_map(|id| snapshot.object(*id)).map(|object| link_value(&object.guid())).collect();
        let number = |number: Option<u64>| -> Vec<Value> {
            number.map(|number| number.to_string().into_bytes()).into_iter().collect()
        };
        let attributes = vec![
            (a::PAUSE_SCOPE.to_owned(), links),
            (a::PAUSE_MAX_MESSAGES.to_owned(), number(wanted.max_messages)),
            (a::PAUSE_MAX_BYTES.to_owned(), number(wanted.max_bytes)),
            (a::PAUSE_MAX_AGE.to_owned(), number(wanted.max_age)),
            (a::PAUSE_NOTIFY.to_owned(), wanted.notify.iter().map(|to| to.clone().into_bytes()).collect()),
        ];
        let name = account_name(snapshot, &guid);
        let summary = format!("mail of {name} waits while a right is missing");
        let mut plan = Plan::new(summary, vec![Change::Modify { guid, attributes }]);
        if wanted.notify.is_empty() {
            plan.done.warnings.push("nobody is told when mail waits: name somebody with --notify".to_owned());
        }
        Ok(plan)
    })
}

fn disable(asked: Asked<'_>, of: &PauseOf) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &of.account)?;
        let guid = account(snapshot, id)?.guid();
        let names = [a::PAUSE_SCOPE, a::PAUSE_MAX_MESSAGES, a::PAUSE_MAX_BYTES, a::PAUSE_MAX_AGE, a::PAUSE_NOTIFY];
        let attributes = names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
        let name = account_name(snapshot, &guid);
        let summary = format!("mail of {name} is refused where a right is missing");
        let mut plan = Plan::new(summary, vec![Change::Modify { guid, attributes }]);
        let (held, _) = amounts(asked.service.open_queue(), guid)?;
        if held.iter().map(|held| held.messages).sum::<u64>() > 0 {
            plan.done.warnings.push(format!(
                "what waits already is kept, and goes when the right is there: `procura pause list '{name}'`"
            ));
        }
        Ok(plan)
    })
}

fn policy(asked: Asked<'_>, of: &PauseOf) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let id = asked.find(&of.account)?;
    let guid = account(snapshot, id)?.guid();
    if asked.caller.token.account != Some(id) {
        require(snapshot, asked.caller, id, Action::Read, "read the settings of")?;
    }
    let policy = Policy::of(snapshot, id);
    let (waiting, aside) = amounts(Some(asked.service.queue()?), guid)?;
    let sum = |held: &[Held], of: fn(&Held) -> u64| held.iter().map(of).sum::<u64>();
    let mut report = PausePolicy {
        account: account_name(snapshot, &guid),
        enabled: policy.is_some(),
        paused_users: waiting.len() as u64,
        messages: sum(&waiting, |held| held.messages),
        set_aside: sum(&aside, |held| held.messages),
        bytes: sum(&waiting, |held| held.bytes) + sum(&aside, |held| held.bytes),
        max_messages: MAX_MESSAGES,
        max_bytes: MAX_BYTES,
        max_age: (MAX_AGE / 1000).unsigned_abs(),
        ..PausePolicy::default()
    };
    if let Some(policy) = policy {
        report.scope = policy.scope.iter().map(|scope| snapshot.dn(*scope)).collect();
        report.max_messages = policy.max_messages;
        report.max_bytes = policy.max_bytes;
        report.max_age = (policy.max_age / 1000).unsigned_abs();
        report.notify = policy.notify;
    }
    Ok(Response::Pause(PauseResponse::Policy(report)))
}

/// What is held of an account: what waits, and what was set aside.
fn amounts(queue: Option<&Queue>, account: Guid) -> Result<(Vec<Held>, Vec<Held>), Fault> {
    let Some(queue) = queue else { return Ok((Vec::new(), Vec::new())) };
    let of = |prefix: &str| queue.holds(&format!("{prefix}{account}:"));
    Ok((of(Key::PAUSED)?, of(Key::ASIDE)?))
}

fn list(asked: Asked<'_>, list: &PauseList) -> Result<Response, Fault> {
    let found = chosen(asked, list, PausePart::All, "see paused mail of")?;
    let queue = asked.service.queue()?;
    let mut rows = Vec::with_capacity(found.len());
    for (key, held) in found {
        let mut row = row(asked.snapshot, key, &held);
        if list.messages {
            let filter = ListFilter { hold_key: Some(held.key.clone()), limit: SHOWN, ..ListFilter::default() };
            for message in queue.list(&filter)? {
                row.held.extend(paused_message(queue, &message.queue_id)?);
            }
            row.more = held.messages.saturating_sub(row.held.len() as u64);
        }
        rows.push(row);
    }
    Ok(Response::Pause(PauseResponse::List(Page::from(rows))))
}

fn row(snapshot: &Snapshot, key: Key, held: &Held) -> PauseRow {
    let (account, user) = (snapshot.by_guid(&key.account), snapshot.by_guid(&key.user));
    let name = user.map(|user| event_name(snapshot, user)).unwrap_or_default();
    let mut row = PauseRow {
        account: account_name(snapshot, &key.account),
        user: account_name(snapshot, &key.user),
        state: if key.aside { "set-aside" } else { "paused" }.to_owned(),
        reason: if key.aside { held.reason.clone() } else { REASON.to_owned() },
        since: iso(held.oldest),
        messages: held.messages,
        bytes: held.bytes,
        event: event(&name),
        ..PauseRow::default()
    };
    match (account, user) {
        (Some(account), Some(user)) => {
            if let Some(found) = shortfall(snapshot, account, user) {
                row.missing = "Send As".to_owned();
                row.on = snapshot.dn(user);
                row.cause = found.reason.name().to_owned();
                (row.why, row.outlook, row.command) = (found.detail, found.outlook, found.command);
            }
        }
        (None, _) => row.why = "the service account is gone".to_owned(),
        (_, None) => row.why = "the user is gone".to_owned(),
    }
    row
}

fn paused_message(queue: &Queue, id: &str) -> Result<Option<PausedMessage>, Fault> {
    let detail = match queue.show(id) {
        Ok(detail) => detail,
        // Released meanwhile.
        Err(queue::QueueError::UnknownMessage { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let facts: serde_json::Value = serde_json::from_str(&detail.parameters).unwrap_or_default();
    let pause = &facts["pause"];
    Ok(Some(PausedMessage {
        id: id.to_owned(),
        sender: detail.summary.sender.clone().unwrap_or_default(),
        to: detail.recipients.iter().map(|recipient| recipient.address.clone()).collect(),
        received: iso(detail.summary.received),
        size: detail.summary.size,
        decision: pause["decision"].as_str().unwrap_or_default().to_owned(),
        missing: serde_json::from_value(pause["missing"].clone()).ok(),
    }))
}

/// What is held of what is asked for, if the caller may see it.
fn chosen(asked: Asked<'_>, list: &PauseList, part: PausePart, what: &str) -> Result<Vec<(Key, Held)>, Fault> {
    let snapshot = asked.snapshot;
    let account = list.account.as_deref().map(|name| asked.find(name)).transpose()?;
    let own = account.is_some() && asked.caller.token.account == account;
    if !own {
        require_organization(snapshot, asked.caller, what)?;
    }
    let guid = |id: ObjectId| snapshot.object(id).map(|object| object.guid());
    let account = account.and_then(guid);
    let user = list.user.as_deref().map(|name| asked.find(name)).transpose()?.and_then(guid);
    let queue = asked.service.queue()?;
    let mut found = Vec::new();
    for (prefix, aside) in [(Key::PAUSED, false), (Key::ASIDE, true)] {
        if part == (if aside { PausePart::Waiting } else { PausePart::SetAside }) {
            continue;
        }
        let prefix = account.map_or_else(|| prefix.to_owned(), |account| format!("{prefix}{account}:"));
        for held in queue.holds(&prefix)? {
            match Key::parse(&held.key) {
                Some(key) if user.is_none_or(|user| user == key.user) => found.push((key, held)),
                _ => {}
            }
        }
    }
    Ok(found)
}

fn order(asked: Asked<'_>, order: &PauseOrder) -> Result<Response, Fault> {
    let found = chosen(asked, &order.which, order.part, "decide about paused mail of")?;
    let snapshot = asked.snapshot;
    let dry_run = asked.trial.is_some();
    let Some(running) = asked.service.running() else {
        return Err(Fault::new(FaultKind::Unsupported, "no server runs: nothing is released or returned now")
            .help("start the server; what may go then goes by itself"));
    };
    let mut outcome = PauseOutcome::default();
    let mut may_grant: HashMap<Guid, bool> = HashMap::new();
    for (key, _) in found {
        if order.what == PauseFate::Override {
            let user = snapshot.by_guid(&key.user);
            let granted = *may_grant
                .entry(key.user)
                .or_insert_with(|| user.is_some_and(|user| may(snapshot, &asked.caller.token, user, Action::WriteDac)));
            if !granted {
                let name = account_name(snapshot, &key.user);
                return Err(Fault::new(
                    FaultKind::Denied,
                    format!("{} may not change permissions of {name}, and so not pass them over", asked.caller.name),
                ));
            }
        }
        let mail = PausedMail {
            account: key.account,
            user: key.user,
            aside: key.aside,
            message: order.id.clone(),
            before: order.before,
        };
        let one = running.order_paused(&mail, order.what, &asked.caller.name, dry_run)?;
        outcome.done += one.done;
        outcome.left += one.left;
        for why in one.why {
            if outcome.why.len() < 10 && !outcome.why.contains(&why) {
                outcome.why.push(why);
            }
        }
    }
    if let Some(id) = order.id.as_ref().filter(|_| outcome.done + outcome.left == 0) {
        return Err(Fault::new(FaultKind::NotFound, format!("no message {id} is paused")));
    }
    let would = if dry_run { " would be" } else { "" };
    let what = match order.what {
        PauseFate::Release | PauseFate::Override => "released",
        PauseFate::Return => "returned",
        PauseFate::Remove => "removed",
    };
    let PauseOutcome { done, left, why } = outcome;
    let summary = format!("{done} message(s){would} {what}, {left} still held");
    Ok(Response::Pause(PauseResponse::Ordered(PauseOrdered { summary, done, left, why })))
}
