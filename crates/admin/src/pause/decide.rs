//! The users of a service account: whose mail waits, and for whom it could send (`test-send --all-users`, `watch`).

use std::collections::HashMap;
use std::thread;

use directory::{ObjectId, Snapshot, Time};
use message::Address;
use message::senders::{Mailbox, Senders};
use queue::Held;
use rights::admin::{Action, may};
use rights::pause::{Key, Policy, account_name};
use rights::shortfall::shortfall;
use rights::{Authority, Denied, Transaction};

use super::documents::{PauseDecide, PauseDecided, PauseDecidedRow, PauseResponse, PauseUserRow, PauseUsers};
use crate::accounts::account;
use crate::authorize::{require, require_organization};
use crate::error::{Fault, FaultKind};
use crate::queued::iso;
use crate::response::{Page, Response};
use crate::service::Asked;

/// Users on a page.
const PAGE: usize = 2_000;

/// State of each user in scope.
pub(crate) fn users(asked: Asked<'_>, wanted: &PauseUsers) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let id = asked.find(&wanted.account)?;
    let guid = account(snapshot, id)?.guid();
    if asked.caller.token.account != Some(id) {
        require(snapshot, asked.caller, id, Action::Read, "read the permissions of")?;
    }
    let held = asked.service.queue()?.holds(&format!("{}{guid}:", Key::PAUSED))?;
    let waiting: HashMap<_, &Held> = held.iter().filter_map(|held| Some((Key::parse(&held.key)?.user, held))).collect();
    let policy = Policy::of(snapshot, id);
    let covered = |user: &ObjectId| policy.as_ref().is_none_or(|policy| policy.covers(snapshot, *user));
    let all = owners(snapshot, id, wanted.after, None)?;
    let page: Vec<ObjectId> = all.into_iter().filter(covered).take(PAGE + 1).collect();
    let rows = page.iter().take(PAGE).filter(|user| may(snapshot, &asked.caller.token, **user, Action::Read));
    let rows: Vec<PauseUserRow> = rows
        .map(|user| {
            let found = shortfall(snapshot, id, *user);
            let guid = snapshot.object(*user).map(|object| object.guid()).unwrap_or_default();
            let held = waiting.get(&guid);
            let state = match (&found, held) {
                (_, Some(_)) => "paused",
                (None, None) => "active",
                (Some(_), None) => "not-covered",
            };
            let (why, command) = found.map(|found| (found.detail, found.command)).unwrap_or_default();
            PauseUserRow {
                user: account_name(snapshot, &guid),
                state: state.to_owned(),
                since: held.map(|held| iso(held.oldest)),
                messages: held.map_or(0, |held| held.messages),
                why,
                command,
            }
        })
        .collect();
    let next = if page.len() > PAGE { page.get(PAGE - 1).map(|user| user.0) } else { None };
    Ok(Response::Pause(PauseResponse::Users(Page { next, ..Page::from(rows) })))
}

/// Decides for each user, as for a message from the user, without sending it.
pub(crate) fn decide(asked: Asked<'_>, wanted: &PauseDecide) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let id = asked.find(&wanted.account)?;
    let guid = account(snapshot, id)?.guid();
    if asked.caller.token.account != Some(id) {
        require_organization(snapshot, asked.caller, "ask for others in")?;
    }
    let connector = crate::check::connector(snapshot, wanted.connector.as_deref(), false)?;
    let authority = Authority { account: Some(id), ..Authority::new(connector, None) };
    let to = wanted.to.as_deref().map(Address::parse).transpose();
    let to = to.map_err(|error| Fault::new(FaultKind::Invalid, error.to_string()))?;
    let question = Question { snapshot, authority: &authority, time: asked.service.now(), account: id, to };
    let under = wanted.under.as_deref().map(|name| asked.find(name)).transpose()?;
    let total = owners(snapshot, id, None, under)?.len() as u64;
    let mut left = owners(snapshot, id, wanted.after, under)?;
    let more = left.len() > PAGE;
    left.truncate(PAGE);
    let rows = question.ask_all(&left);
    let next = if more { left.last().map(|user| user.0) } else { None };
    Ok(Response::Pause(PauseResponse::Decided(PauseDecided {
        account: account_name(snapshot, &guid),
        allowed: (left.len() - rows.len()) as u64,
        rows,
        users: total,
        next,
    })))
}

/// Mailbox owners with an address but the service account itself, in ascending order.
fn owners(
    snapshot: &Snapshot,
    service: ObjectId,
    after: Option<u32>,
    under: Option<ObjectId>,
) -> Result<Vec<ObjectId>, Fault> {
    let below = under.map(|under| {
        let mut below = snapshot.subtree(under);
        below.sort_unstable();
        below
    });
    let owns = |id: &ObjectId| {
        *id != service
            && below.as_ref().is_none_or(|below| below.binary_search(id).is_ok())
            && snapshot.object(*id).is_some_and(|object| object.mailbox().is_some() && object.class().is_account())
    };
    Ok(snapshot.objects_after(after.map(ObjectId)).map(|(id, _)| id).filter(owns).collect())
}

struct Question<'a> {
    snapshot: &'a Snapshot,
    authority: &'a Authority,
    time: Time,
    account: ObjectId,
    to: Option<Address>,
}

impl Question<'_> {
    /// Side by side; those for whom it cannot send, in order.
    fn ask_all(&self, users: &[ObjectId]) -> Vec<PauseDecidedRow> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let share = users.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            let parts: Vec<_> = users
                .chunks(share)
                .map(|part| scope.spawn(|| part.iter().filter_map(|user| self.ask(*user)).collect::<Vec<_>>()))
                .collect();
            // A thread that panicked has decided nothing: its users are asked again here, where the panic tells.
            parts
                .into_iter()
                .zip(users.chunks(share))
                .flat_map(|(part, users)| {
                    part.join().unwrap_or_else(|_| users.iter().filter_map(|user| self.ask(*user)).collect())
                })
                .collect()
        })
    }

    /// One user; none where it can.
    fn ask(&self, user: ObjectId) -> Option<PauseDecidedRow> {
        let object = self.snapshot.object(user)?;
        let address = object.primary_address()?;
        let begun = Transaction::mail_from_pausing(self.snapshot, self.authority, self.time, Some(&address), false);
        let decided = begun.and_then(|mut transaction| {
            if let Some(to) = &self.to {
                transaction.recipient(self.snapshot, self.authority, self.time, to)?;
            }
            let from = vec![Mailbox { display_name: None, address: address.clone() }];
            let senders = Senders { from, sender: None, resent: None };
            transaction.header(self.snapshot, self.authority, self.time, Ok(&senders))
        });
        let (denied, pauses): (Box<Denied>, bool) = match decided {
            Ok(accepted) => match accepted.paused {
                None => return None,
                Some(paused) => (paused.denied, true),
            },
            Err(denied) => (denied, false),
        };
        let found = shortfall(self.snapshot, self.account, user);
        let reply = denied.refusal.reply();
        let (a, b, c) = reply.enhanced;
        Some(PauseDecidedRow {
            user: account_name(self.snapshot, &object.guid()),
            address: address.to_string(),
            dn: self.snapshot.dn(user),
            reply: format!("{} {a}.{b}.{c} {}", reply.code, reply.text),
            pauses,
            cause: found.as_ref().map(|found| found.reason.name().to_owned()).unwrap_or_default(),
            why: found.as_ref().map(|found| found.detail.clone()).unwrap_or_default(),
            command: found.map(|found| found.command).unwrap_or_default(),
        })
    }
}
