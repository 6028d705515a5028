//! Telling the operator of a service account that mail waits: once for each cause, not for each message.

use std::collections::{BTreeMap, HashSet};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use acl::Guid;
use directory::Snapshot;
use message::Address;
use queue::{Envelope, Event, Millis, NewMessage, Queue, QueueError, Recipient};
use rights::pause::{Key, Policy, REASON, account_name, event, event_name};
use rights::shortfall::Shortfall;
use serde_json::{Value, json};
use session::Pair;
use store::Webhook;
use ulid::Ulid;

use super::{Cause, Pauses};
use crate::events::instant;
use crate::route::Route;
use crate::shared::{Shared, now};

/// A notice waits so long for others with the same cause, so that it can say how many there are.
const GATHER: Millis = 2_000;
/// What cannot be told now is told after so long.
const AGAIN: Millis = 30_000;
/// Whom the queue's events about causes that were told of are for: us.
const TOLD_OF: &str = "pause-told";
/// ... and about messages that were set aside, until that was told.
const ASIDE: &str = "pause-aside";
/// Causes, and messages set aside, at a time that are remembered over a restart.
const MOST_CAUSES: usize = 100_000;
/// Users that a notice names.
const SHOWN: usize = 20;

/// What is to be told, and what was.
#[derive(Default)]
pub(crate) struct Notices {
    causes: BTreeMap<Cause, Told>,
    /// Messages that need a person, by account.
    aside: BTreeMap<Guid, Aside>,
    /// Causes may have been mended.
    stale: bool,
    /// What was told of, as the queue keeps it: a process that died before it told of a cause does so when it is back.
    told_of: HashSet<String>,
}

struct Told {
    /// When to tell; `None`: it was told.
    due: Option<Millis>,
    found: Shortfall,
}

/// Messages that need a person.
#[derive(Default)]
struct Aside {
    /// When to tell.
    due: Millis,
    /// Whose they are, and why.
    messages: Vec<(Pair, String)>,
    /// The events that the queue keeps of them.
    events: HashSet<String>,
}

impl Notices {
    /// A pair waits for this cause. `restored`: it did so before the process began, and was told then.
    pub(crate) fn waits(&mut self, cause: Cause, found: Shortfall, restored: bool, time: Millis) {
        let told = restored && self.told_of.contains(&name(cause));
        let due = (!told).then_some(time.saturating_add(GATHER));
        self.causes.entry(cause).or_insert(Told { due, found });
    }

    /// A pair waits no more, or for another cause.
    pub(crate) fn mended(&mut self) {
        self.stale = true;
    }

    /// A message needs a person. What is given back commits with that: a process that dies before it told of it does so
    /// when it is back.
    pub(crate) fn aside(&mut self, pair: Pair, reason: &str, time: Millis) -> Event {
        let kind = Key { account: pair.account, user: pair.user, aside: true }.to_string();
        let id = Ulid::generate().to_string();
        let event = Event { id, target: ASIDE.to_owned(), kind, body: reason.to_owned() };
        self.gather(pair, &event, time);
        event
    }

    fn gather(&mut self, pair: Pair, event: &Event, time: Millis) {
        let due = time.saturating_add(GATHER);
        let aside = self.aside.entry(pair.account).or_insert_with(|| Aside { due, ..Aside::default() });
        aside.messages.push((pair, event.body.clone()));
        aside.events.insert(event.id.clone());
    }

    /// How long to wait for the next notice that is due.
    pub(crate) fn next(&self, time: Millis) -> Option<Duration> {
        let causes = self.causes.values().filter_map(|told| told.due);
        let next = causes.chain(self.aside.values().map(|aside| aside.due)).min()?;
        Some(Duration::from_millis(u64::try_from(next.saturating_sub(time)).unwrap_or(0).max(1)))
    }

    /// Tells what is due, and forgets causes that are mended.
    pub(crate) fn send(&mut self, shared: &Shared) {
        let time = now().0;
        let causes = self.causes.values().filter_map(|told| told.due);
        let any_due = causes.chain(self.aside.values().map(|aside| aside.due)).any(|due| due <= time);
        if !any_due && !std::mem::take(&mut self.stale) {
            return;
        }
        let snapshot = shared.snapshot();
        let by_cause = shared.pauses().by_cause();
        let mended: Vec<Cause> = self.causes.keys().filter(|cause| !by_cause.contains_key(cause)).copied().collect();
        for cause in mended {
            self.causes.remove(&cause);
            self.forget(shared.queue(), cause);
        }
        let mut telling = Vec::new();
        for (cause, told) in self.causes.iter().filter(|(_, told)| told.due.is_some_and(|due| due <= time)) {
            let users = by_cause.get(cause).map(Vec::as_slice).unwrap_or_default();
            let (subject, text) = paused(&snapshot, *cause, &told.found, users);
            let data = cause_data(&snapshot, *cause, &told.found, users);
            telling.push((*cause, data, Telling::begin(shared, &snapshot, cause.account, &subject, &text)));
        }
        for (cause, data, telling) in telling {
            let done = telling.finish(shared);
            if let Some(told) = self.causes.get_mut(&cause) {
                told.due = (!done).then_some(time.saturating_add(AGAIN));
            }
            if done {
                post(shared, cause.account, Webhook::CAUSE, &data);
                if self.told_of.insert(name(cause)) {
                    drop(shared.queue().note_events(vec![told_of(cause)], time));
                }
            }
        }
        for (account, aside) in self.aside.iter_mut().filter(|(_, aside)| aside.due <= time) {
            let (subject, text) = set_aside(&snapshot, *account, &aside.messages);
            if !Telling::begin(shared, &snapshot, *account, &subject, &text).finish(shared) {
                aside.due = time.saturating_add(AGAIN);
                continue;
            }
            post(shared, *account, Webhook::ASIDE, &aside_data(&snapshot, *account, &aside.messages));
            forget(shared.queue(), ASIDE, |event| aside.events.contains(&event.id));
        }
        // What cannot be told now has got another time.
        self.aside.retain(|_, aside| aside.due > time);
    }
}

impl Notices {
    /// With what was told of before the process began.
    pub(crate) fn of(queue: &Queue) -> Notices {
        let kept = |target| {
            queue.events(target, false, MOST_CAUSES).unwrap_or_else(|error| {
                tracing::error!(%error, "it cannot be read what was told of paused mail; some is told again, or not at all");
                Vec::new()
            })
        };
        let told_of = kept(TOLD_OF).into_iter().map(|kept| kept.event.kind).collect();
        let mut notices = Notices { told_of, ..Notices::default() };
        for kept in kept(ASIDE) {
            if let Some(Key { account, user, .. }) = Key::parse(&kept.event.kind) {
                notices.gather(Pair { account, user }, &kept.event, now().0);
            }
        }
        notices
    }

    /// A cause is mended: when it comes again, it is told of again.
    fn forget(&mut self, queue: &Queue, cause: Cause) {
        let name = name(cause);
        if self.told_of.remove(&name) {
            forget(queue, TOLD_OF, |event| event.kind == name);
        }
    }
}

/// Forgets some events that are for us.
fn forget(queue: &Queue, target: &str, which: impl Fn(&Event) -> bool) {
    let kept = queue.events(target, false, MOST_CAUSES).unwrap_or_default();
    for kept in kept.into_iter().filter(|kept| which(&kept.event)) {
        drop(queue.event_told(kept.number, queue::Told::Yes));
    }
}

/// The note that a cause was told of.
fn told_of(cause: Cause) -> Event {
    Event { id: Ulid::generate().to_string(), target: TOLD_OF.to_owned(), kind: name(cause), body: String::new() }
}

/// A cause, as the queue keeps it.
fn name(cause: Cause) -> String {
    let at = cause.at.map(|at| at.to_string()).unwrap_or_default();
    format!("{} {} {at}", cause.account, cause.reason.name())
}

impl Pauses {
    /// The pairs of each cause: user, messages, since when.
    fn by_cause(&self) -> BTreeMap<Cause, Vec<(Guid, u64, Millis)>> {
        let mut causes: BTreeMap<Cause, Vec<(Guid, u64, Millis)>> = BTreeMap::new();
        for (pair, waiting) in &self.lock().pairs {
            if let Some(cause) = waiting.cause {
                causes.entry(cause).or_default().push((pair.user, waiting.messages, waiting.since));
            }
        }
        causes
    }
}

/// Subject and text about users who are paused for one cause.
fn paused(snapshot: &Snapshot, cause: Cause, found: &Shortfall, users: &[(Guid, u64, Millis)]) -> (String, String) {
    let service = account_name(snapshot, &cause.account);
    let messages: u64 = users.iter().map(|(_, messages, _)| messages).sum();
    let name = |user: &Guid| snapshot.by_guid(user).map(|id| event_name(snapshot, id)).unwrap_or_default();
    let mut text = users.first().map(|(user, ..)| event(&name(user)) + "\r\n\r\n").unwrap_or_default();
    text += &format!(
        "Reason:   {REASON}\r\nAccount:  {service}\r\nPaused:   {} user(s), {messages} message(s)\r\n",
        users.len()
    );
    text += &format!("Missing:  Send As\r\nWhy:      {}\r\n", found.detail);
    if !found.outlook.is_empty() {
        text += &format!("Note:     {}\r\n", found.outlook);
    }
    if !found.command.is_empty() {
        text += &format!("\r\nThis mends it:\r\n\r\n    {}\r\n", found.command);
    }
    text += "\r\nNothing is lost: the messages wait, and are sent in order within a second of the change.\r\n\r\n";
    for (user, messages, _) in users.iter().take(SHOWN) {
        text += &format!("{}: {messages} message(s)\r\n", account_name(snapshot, user));
    }
    if users.len() > SHOWN {
        text += &format!("and {} more\r\n", users.len() - SHOWN);
    }
    text += &format!("\r\n`procura pause list '{service}'` shows all.\r\n");
    (format!("Mail of {service} is paused: {REASON}"), text)
}

/// Subject and text about messages that need a person.
fn set_aside(snapshot: &Snapshot, account: Guid, messages: &[(Pair, String)]) -> (String, String) {
    let service = account_name(snapshot, &account);
    let mut text = format!(
        "{} message(s) of {service} were set aside. They are kept until somebody decides:\r\n\r\n",
        messages.len()
    );
    for (pair, reason) in messages.iter().take(SHOWN) {
        text += &format!("{}: {reason}\r\n", account_name(snapshot, &pair.user));
    }
    if messages.len() > SHOWN {
        text += &format!("and {} more\r\n", messages.len() - SHOWN);
    }
    text += &format!(
        "\r\n    procura pause show '{service}'\r\n    procura pause release '{service}' --set-aside\r\n    \
         procura pause expire '{service}' --return\r\n    procura pause expire '{service}' --remove\r\n"
    );
    (format!("Mail of {service} needs a decision"), text)
}

/// The same about a cause, for webhooks.
fn cause_data(snapshot: &Snapshot, cause: Cause, found: &Shortfall, users: &[(Guid, u64, Millis)]) -> Value {
    let shown = users.iter().take(SHOWN).map(|(user, messages, since)| {
        json!({ "user": account_name(snapshot, user), "messages": messages, "since": instant(*since) })
    });
    json!({
        "account": account_name(snapshot, &cause.account),
        "reason": REASON,
        "cause": cause.reason.name(),
        "missing": "Send As",
        "why": found.detail,
        "note": found.outlook,
        "command": found.command,
        "users": users.len(),
        "messages": users.iter().map(|(_, messages, _)| messages).sum::<u64>(),
        "first_users": shown.collect::<Vec<_>>(),
    })
}

/// The same about messages that need a person.
fn aside_data(snapshot: &Snapshot, account: Guid, messages: &[(Pair, String)]) -> Value {
    let shown = messages.iter().take(SHOWN);
    let shown = shown.map(|(pair, reason)| json!({ "user": account_name(snapshot, &pair.user), "reason": reason }));
    json!({
        "account": account_name(snapshot, &account),
        "messages": messages.len(),
        "first_messages": shown.collect::<Vec<_>>(),
    })
}

/// Notes an event for the webhooks of an account.
fn post(shared: &Shared, account: Guid, kind: &str, data: &Value) {
    let time = now().0;
    let events = shared.webhooks().events(&account, kind, time, data);
    if !events.is_empty() {
        drop(shared.queue().note_events(events, time));
        shared.webhooks().noted();
    }
}

/// Notices on their way into the queue, all of them or none.
struct Telling {
    kept: Receiver<Result<(), QueueError>>,
    records: Vec<::tracking::Record>,
}

impl Telling {
    /// Tells those whom the account's policy names.
    fn begin(shared: &Shared, snapshot: &Snapshot, account: Guid, subject: &str, text: &str) -> Telling {
        let (done, kept) = channel();
        let policy = snapshot.by_guid(&account).and_then(|id| Policy::of(snapshot, id));
        let mut notices = Vec::new();
        for to in policy.map(|policy| policy.notify).unwrap_or_default() {
            let Ok(address) = Address::parse(&to) else {
                tracing::error!(to, "nobody can be told of paused mail there");
                continue;
            };
            match notice(shared, snapshot, &address, subject, text) {
                Ok(notice) => notices.extend(notice),
                Err(error) => {
                    let _ = done.send(Err(error));
                    return Telling { kept, records: Vec::new() };
                }
            }
        }
        let records = notices.iter().map(|notice| record(notice, subject)).collect();
        if notices.is_empty() {
            let _ = done.send(Ok(()));
        } else {
            shared.queue().commit_all(notices, None, move |result| drop(done.send(result)));
        }
        Telling { kept, records }
    }

    /// Waits until they are in the queue; false where they cannot be now.
    fn finish(self, shared: &Shared) -> bool {
        match self.kept.recv().unwrap_or(Err(QueueError::Closed)) {
            Ok(()) => self.records.into_iter().for_each(|record| shared.note(record)),
            Err(error) => {
                tracing::error!(%error, "notices of paused mail cannot be queued; trying again");
                return false;
            }
        }
        true
    }
}

/// What is noted of a notice.
fn record(notice: &NewMessage, subject: &str) -> ::tracking::Record {
    let time = notice.envelope.received;
    ::tracking::Record { reason: subject.to_owned(), ..crate::tracking::report("", notice, time) }
}

/// Queues a notice.
pub(crate) fn mail(shared: &Shared, snapshot: &Snapshot, to: &Address, subject: &str, text: &str) {
    let notice = match notice(shared, snapshot, to, subject, text) {
        Ok(Some(notice)) => notice,
        Ok(None) => return,
        Err(error) => {
            tracing::error!(%error, "a notice cannot be written");
            return;
        }
    };
    shared.note(record(&notice, subject));
    shared.queue().commit(notice.body, notice.envelope, |result| {
        if let Err(error) = result {
            tracing::error!(%error, "a notice cannot be queued");
        }
    });
}

/// Writes a notice; with the null reverse-path, so that it never comes back. None before the server runs.
///
/// # Errors
/// Faults of the queue.
pub(crate) fn notice(
    shared: &Shared,
    snapshot: &Snapshot,
    to: &Address,
    subject: &str,
    text: &str,
) -> Result<Option<NewMessage>, QueueError> {
    let Some(ground) = shared.pauses().ground.get() else { return Ok(None) };
    let hostname = &ground.hostname;
    let domain = snapshot
        .accepted_domains()
        .find(|(_, domain)| domain.default && !domain.wildcard)
        .map_or(hostname.as_str(), |(_, domain)| domain.name.as_str());
    let (id, time) = (Ulid::generate().to_string(), now().0);
    let mut bytes = Vec::new();
    for (name, value) in [
        ("Date", message::trace_fields::date(time)),
        ("From", format!("Procura <postmaster@{domain}>")),
        ("To", to.as_str().to_owned()),
        ("Subject", subject.to_owned()),
        ("Message-ID", format!("<{id}@{hostname}>")),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("MIME-Version", "1.0".to_owned()),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Content-Transfer-Encoding", "8bit".to_owned()),
    ] {
        message::write_field(&mut bytes, name, &value);
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(text.as_bytes());
    let mut body = shared.queue().begin();
    body.write(&bytes)?;
    let canonical = to.canonical();
    let route = Route::resolve(snapshot, &canonical, bytes.len() as u64, &ground.intake.exits);
    let envelope = Envelope {
        queue_id: id,
        sender: None,
        recipients: vec![Recipient {
            address: to.as_str().to_owned(),
            destination: route.destination(canonical.domain()),
            parameters: String::new(),
        }],
        received: time,
        expires: ground.intake.expires(time),
        smtputf8: !to.is_ascii(),
        eight_bit: !bytes.is_ascii(),
        parameters: String::new(),
        hold: None,
        lane: None,
        audit: None,
    };
    Ok(Some(NewMessage { body, envelope }))
}
