//! Who owns a mailbox (S0, “Mailbox owners” and “Associated external accounts”): taken from an account, kept without
//! one, given to another, linked to an account of another forest.

pub mod documents;

use acl::{Guid, Sid, well_known};
use directory::disconnected::{self, Disconnected};
use directory::{Change, Object, ObjectId, Snapshot, attributes as a};
use message::Address;
use rights::admin::{Action, may};

use crate::accounts::{
    Attributes, account, account_name, address_attributes, addresses, control, default_address, holder,
};
use crate::error::{Fault, FaultKind};
use crate::mailboxes::{owner, protected_owner};
use crate::operations::List;
use crate::permissions::trustee;
use crate::random::new_guid;
use crate::response::{Page, Response};
use crate::service::{Asked, Plan, find};
use documents::{DisconnectedRow, MailboxConnect, MailboxLink};

/// Takes the mailbox from its owner and keeps it.
pub fn disconnect(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, identity)?;
        let object = owner(snapshot, id)?;
        let name = account_name(snapshot, id, object);
        let changes = disconnected::disconnect(snapshot, id, &name, new_guid(), asked.service.now());
        let changes = changes.ok_or_else(|| no_place(snapshot, id))?;
        let guid = object.mailbox().map(|mailbox| mailbox.guid.to_string()).unwrap_or_default();
        let summary = format!("disconnected the mailbox {guid} of {}: it is kept, {KEPT}", snapshot.dn(id));
        Ok(Plan::new(summary, changes.into()))
    })
}

/// For how long.
const KEPT: &str = "without an owner, until it is connected (`procura mailbox connect`) or purged";

/// What keeps the mailbox of an account that is deleted.
pub(crate) fn keep(asked: Asked<'_>, snapshot: &Snapshot, id: ObjectId) -> Option<Change> {
    let name = account_name(snapshot, id, snapshot.object(id)?);
    disconnected::keep(snapshot, id, &name, new_guid(), asked.service.now()).map(Change::Add)
}

fn no_place(snapshot: &Snapshot, id: ObjectId) -> Fault {
    Fault::new(
        FaultKind::Invalid,
        format!("the mailbox of {} is in no database, and there is no organization to keep it in", snapshot.dn(id)),
    )
}

/// Gives a mailbox without an owner to an account.
pub fn connect(asked: Asked<'_>, wanted: &MailboxConnect) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let mailbox = lost(snapshot, &wanted.mailbox)?;
        let id = find(snapshot, &wanted.to)?;
        let object = account(snapshot, id)?;
        if object.mailbox().is_some() {
            return Err(Fault::new(FaultKind::Conflict, format!("{} has a mailbox already", snapshot.dn(id)))
                .help("an account owns one mailbox; `procura mailbox disconnect` takes it away"));
        }
        let changes = disconnected::connect(snapshot, &mailbox, id);
        let [gone, mut given] =
            changes.ok_or_else(|| Fault::new(FaultKind::NotFound, "the mailbox is gone meanwhile"))?;
        let mut plan = Plan::new(format!("connected the mailbox {} to {}", mailbox.mailbox, snapshot.dn(id)), vec![]);
        let attributes = connected_addresses(snapshot, id, object, &mailbox, wanted, &mut plan.done.warnings)?;
        if let Change::Modify { attributes: all, .. } = &mut given {
            all.extend(attributes);
        }
        plan.done.warnings.extend(protected_owner(snapshot, id));
        let named = named(snapshot, &mailbox);
        if !named.is_empty() {
            plan.done.warnings.push(format!(
                "the mailbox keeps its permissions: {} keep theirs; `procura mailbox-permission get` shows them",
                named.join(", ")
            ));
        }
        plan.changes = vec![gone, given];
        Ok(plan)
    })
}

/// Addresses that the account is to have from now on; none when it keeps its own.
fn connected_addresses(
    snapshot: &Snapshot,
    id: ObjectId,
    object: &Object,
    mailbox: &Disconnected,
    wanted: &MailboxConnect,
    warnings: &mut Vec<String>,
) -> Result<Attributes, Fault> {
    let own = addresses(object);
    let mut all: Vec<String> = wanted.address.iter().cloned().chain(own.clone()).collect();
    for address in former_addresses(mailbox).into_iter().filter(|_| wanted.former_addresses) {
        let Ok(parsed) = Address::parse(&address) else { continue };
        match holder(snapshot, &parsed.canonical(), Some(id)) {
            Some(other) => warnings.push(format!("{address} is an address of {other} by now: left there")),
            None if all.contains(&address) => {}
            None => all.push(address),
        }
    }
    if all.is_empty() {
        all.push(default_address(snapshot, object.sam_account_name().unwrap_or(&object.name()))?);
    }
    if all == own { Ok(Vec::new()) } else { address_attributes(snapshot, Some(id), &all) }
}

/// Lists mailboxes without an owner.
pub fn list(asked: Asked<'_>, list: &List) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let under = list.under.as_deref().map(|name| asked.find(name)).transpose()?;
    let below = |id: ObjectId| under.is_none_or(|under| snapshot.is_below(id, under));
    let mut found: Vec<Disconnected> = snapshot.disconnected_mailboxes().collect();
    found.retain(|mailbox| below(mailbox.object));
    found.retain(|mailbox| may(snapshot, &asked.caller.token, mailbox.object, Action::Read));
    found.sort_by_key(|mailbox| (mailbox.since, mailbox.object));
    let rows: Vec<DisconnectedRow> = found.iter().map(|mailbox| row(snapshot, mailbox)).collect();
    Ok(Response::Disconnected(Page::from(rows)))
}

fn row(snapshot: &Snapshot, mailbox: &Disconnected) -> DisconnectedRow {
    let sid = mailbox.former_owner_sid.as_ref();
    let since = jiff::Timestamp::from_millisecond(mailbox.since.0).map(|time| time.to_string());
    DisconnectedRow {
        mailbox: mailbox.mailbox.to_string(),
        database: mailbox.database.and_then(|id| snapshot.object(id)).map(Object::name),
        since: since.unwrap_or_default(),
        former_owner: mailbox.former_owner.clone(),
        former_owner_sid: sid.map(Sid::to_string).unwrap_or_default(),
        former_owner_dn: sid.and_then(|sid| snapshot.by_sid(sid)).map(|id| snapshot.dn(id)),
        former_addresses: former_addresses(mailbox),
        named: named(snapshot, mailbox),
        dn: snapshot.dn(mailbox.object),
    }
}

/// Without their type; others than SMTP left out.
fn former_addresses(mailbox: &Disconnected) -> Vec<String> {
    let mut sorted: Vec<&String> = mailbox.former_addresses.iter().collect();
    sorted.sort_by_key(|address| !address.starts_with("SMTP:"));
    let plain = |text: &str| {
        let (kind, address) = text.split_at_checked(5)?;
        kind.eq_ignore_ascii_case("smtp:").then(|| address.to_owned())
    };
    sorted.into_iter().filter_map(|address| plain(address)).collect()
}

/// Whom the mailbox descriptor names beside SELF.
fn named(snapshot: &Snapshot, mailbox: &Disconnected) -> Vec<String> {
    let descriptor = snapshot.explicit_mailbox_descriptor(mailbox.object);
    let aces = descriptor.iter().flat_map(|sd| sd.dacl.iter().flat_map(|dacl| &dacl.aces));
    let mut named: Vec<String> = Vec::new();
    for ace in aces.filter(|ace| ace.sid != well_known::SELF && ace.is_allow()) {
        let name = snapshot.sid_name(&ace.sid);
        if !named.contains(&name) {
            named.push(name);
        }
    }
    named
}

/// Forgets a mailbox without an owner for good.
pub fn purge(asked: Asked<'_>, mailbox: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let mailbox = lost(snapshot, mailbox)?;
        let guid = snapshot.object(mailbox.object).map(Object::guid);
        let guid = guid.ok_or_else(|| Fault::new(FaultKind::NotFound, "the mailbox is gone meanwhile"))?;
        let name = &mailbox.former_owner;
        let mut plan = Plan::new(
            format!("purged the mailbox {} that was {name}'s: it can be connected no more", mailbox.mailbox),
            vec![Change::Delete { guid }],
        );
        plan.done.warnings.push(format!(
            "the mail in it stays on disk until you delete the folder {} of local mailboxes",
            mailbox.mailbox
        ));
        Ok(plan)
    })
}

/// The mailbox without an owner that a GUID, or the name or an address of its former owner, means.
fn lost(snapshot: &Snapshot, text: &str) -> Result<Disconnected, Fault> {
    let text = text.trim();
    let help = "`procura mailbox list --disconnected` lists those without an owner";
    if let Ok(guid) = text.parse::<Guid>() {
        if let Some(found) = snapshot.disconnected_mailbox(&guid) {
            return Ok(found);
        }
        return Err(match snapshot.mailbox_owner(&guid) {
            Some(owner) => Fault::new(FaultKind::Conflict, format!("{} owns the mailbox {guid}", snapshot.dn(owner)))
                .help("`procura mailbox disconnect` takes it away from its owner first"),
            None => Fault::new(FaultKind::NotFound, format!("there is no mailbox {guid}")).help(help),
        });
    }
    let is_it = |mailbox: &Disconnected| {
        let full = &mailbox.former_owner;
        let short = full.rsplit('\\').next().unwrap_or(full);
        full.eq_ignore_ascii_case(text)
            || short.eq_ignore_ascii_case(text)
            || former_addresses(mailbox).iter().any(|address| address.eq_ignore_ascii_case(text))
            || snapshot.by_dn(text) == Some(mailbox.object)
    };
    let mut found: Vec<Disconnected> = snapshot.disconnected_mailboxes().filter(is_it).collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (None, _) => {
            Err(Fault::new(FaultKind::NotFound, format!("there is no mailbox without an owner called {text}"))
                .help(help))
        }
        (Some(last), _) => {
            let listed = found.iter().chain([&last]).map(|mailbox| mailbox.mailbox.to_string());
            let listed = listed.collect::<Vec<_>>().join(", ");
            Err(Fault::new(FaultKind::Ambiguous, format!("{text} owned several mailboxes: {listed}"))
                .help("name the one you mean by its GUID"))
        }
    }
}

/// Makes an account of another forest the owner for mail, or ends that.
pub fn link(asked: Asked<'_>, wanted: &MailboxLink) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &wanted.identity)?;
        let object = owner(snapshot, id)?;
        let dn = snapshot.dn(id);
        let Some(account) = &wanted.account else {
            let Some(before) = object.master_account() else {
                return Err(Fault::new(FaultKind::NotFound, format!("{dn} has no external account")));
            };
            let attributes = vec![(a::MASTER_ACCOUNT_SID.to_owned(), Vec::new())];
            let name = snapshot.sid_name(&snapshot.sid(before));
            let change = Change::Modify { guid: object.guid(), attributes };
            let mut plan = Plan::new(format!("{name} is no longer the external account of {dn}"), vec![change]);
            if !object.enabled() {
                plan.done.warnings.push(format!("{dn} is disabled: nobody logs on to it as its owner now"));
            }
            return Ok(plan);
        };
        let sid = external(snapshot, account)?;
        let mut attributes = linked(&sid);
        if wanted.disable && object.enabled() {
            attributes.push(control(snapshot, id, false));
        }
        let change = Change::Modify { guid: object.guid(), attributes };
        let name = snapshot.sid_name(&sid);
        let mut plan = Plan::new(format!("{name} is the external account of {dn} now"), vec![change]);
        plan.done.warnings.extend(link_warning(snapshot, id, &sid, object.enabled() && !wanted.disable));
        Ok(plan)
    })
}

/// The attribute that links an owner to an external account.
pub(crate) fn linked(sid: &Sid) -> Attributes {
    vec![(a::MASTER_ACCOUNT_SID.to_owned(), vec![sid.to_bytes()])]
}

/// The SID of an external account: as given, or that of an account that the directory knows.
pub(crate) fn external(snapshot: &Snapshot, name: &str) -> Result<Sid, Fault> {
    trustee(snapshot, name).map_err(|fault| {
        if fault.kind == FaultKind::NotFound {
            return fault.help("give the SID of the account (S-1-5-21-…) where its forest is not in this directory");
        }
        fault
    })
}

/// What will not come of a link.
pub(crate) fn link_warning(snapshot: &Snapshot, id: ObjectId, sid: &Sid, enabled: bool) -> Option<String> {
    if *sid == well_known::SELF {
        return None;
    }
    enabled.then(|| {
        format!(
            "{} may log on itself: the external account counts only while it is disabled; \
             `procura user set '{}' --disable`",
            snapshot.dn(id),
            snapshot.dn(id)
        )
    })
}
