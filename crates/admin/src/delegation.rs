//! The delegates of an owner with all that makes them what they are (S0, "About mailbox owners that have delegates"):
//! a delegate sends on behalf; with Full Mailbox Access also as the owner, when logged on to the owner's mailbox
//! (super-delegate); with Send As always as the owner and never on behalf.

use std::collections::BTreeSet;

use acl::Sid;
use directory::{ObjectId, Snapshot, attributes as a};
use rights::admin::Action;
use rights::{Permission, Via, person, standing};
use serde::{Deserialize, Serialize};

use crate::accounts::account_name;
use crate::authorize::require;
use crate::error::Fault;
use crate::operations::{Delegates, MailboxPermissionChange, PermissionChange, Request};
use crate::response::{Done, Response};
use crate::service::{Asked, Plan, find};
use crate::simulate::Trial;

/// Delegates of an owner, and what comes or goes with them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Delegation {
    /// The owner.
    pub identity: String,
    /// Who.
    pub delegates: Vec<String>,
    /// Full Mailbox Access, too.
    #[serde(default)]
    pub full_access: bool,
    /// Send As, too.
    #[serde(default)]
    pub send_as: bool,
    /// When it ends, milliseconds since 1970; none: not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// A delegate as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegationRow {
    /// `EXAMPLE\alice`.
    pub delegate: String,
    /// `user`, `group`, ….
    pub class: String,
    /// Opens the owner's mailbox, by whatever entry.
    pub full_access: bool,
    /// Holds Send As, by whatever entry.
    pub send_as: bool,
    /// What its mail with the owner's address is: `on-behalf`; `as` the owner; `as-when-logged-on` to the owner's mailbox
    /// and on behalf otherwise; `nothing`: it cannot log on. Of a group: what its members' mail is, if nothing else is
    /// granted to them.
    pub sends: String,
    /// When it is a delegate no longer, ISO 8601; none: not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Distinguished name.
    pub dn: String,
}

pub fn get(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let owner = asked.find(identity)?;
    require(snapshot, asked.caller, owner, Action::Read, "read")?;
    let rows: Vec<DelegationRow> =
        snapshot.delegates(owner).into_iter().filter_map(|id| row(snapshot, owner, id)).collect();
    Ok(Response::Delegation(rows.into()))
}

fn row(snapshot: &Snapshot, owner: ObjectId, id: ObjectId) -> Option<DelegationRow> {
    let object = snapshot.object(id)?;
    let (full_access, send_as) = match object.class().is_account() {
        true => {
            let sends = person(snapshot, id, owner, Permission::SendAs);
            let always = sends.is_some_and(|person| !person.needs_logon);
            (person(snapshot, id, owner, Permission::FullAccess).is_some(), always)
        }
        false => {
            let sid = object.sid().map(|sid| snapshot.sid(sid));
            (
                by_name(snapshot, owner, sid.as_ref(), Permission::FullAccess),
                by_name(snapshot, owner, sid.as_ref(), Permission::SendAs),
            )
        }
    };
    let able = !object.class().is_account() || snapshot.account_token(id).is_ok();
    let sends = match (able, send_as, full_access) {
        (false, ..) => "nothing",
        (true, true, _) => "as",
        (true, false, true) => "as-when-logged-on",
        (true, false, false) => "on-behalf",
    };
    Some(DelegationRow {
        delegate: account_name(snapshot, id, object),
        class: object.class().ldap_name().to_owned(),
        full_access,
        send_as,
        sends: sends.to_owned(),
        until: until(snapshot, owner, id),
        dn: snapshot.dn(id),
    })
}

/// When a delegate is one no longer.
pub(crate) fn until(snapshot: &Snapshot, owner: ObjectId, delegate: ObjectId) -> Option<String> {
    let guid = snapshot.object(delegate)?.guid().to_string();
    let time = crate::expiry::until(snapshot, owner, a::EXPIRING_DELEGATE, &guid)?;
    jiff::Timestamp::from_millisecond(time).ok().map(|time| time.to_string())
}

fn by_name(snapshot: &Snapshot, owner: ObjectId, sid: Option<&Sid>, permission: Permission) -> bool {
    let rows = standing(snapshot, owner, permission);
    rows.iter().any(|row| {
        let denies = matches!(row.via, Via::Ace { deny: true, .. });
        row.effective && !denies && row.trustee.is_some() && row.trustee.as_ref() == sid
    })
}

/// Adds or removes delegates with what they hold beside, as one change.
pub fn change(asked: Asked<'_>, wanted: &Delegation, add: bool) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let trial = Trial::on(snapshot);
        let (mut said, mut warnings) = (Vec::new(), Vec::new());
        for request in requests(snapshot, wanted, add)? {
            let now = trial.snapshot();
            let tried = Asked { trial: Some(&trial), snapshot: &now, ..asked };
            if let Response::Done(done) = tried.dispatch(request)? {
                said.push(done.summary);
                warnings.extend(done.warnings);
            }
        }
        if add {
            let now = trial.snapshot();
            warnings.extend(consequences(&now, wanted)?);
        }
        let done = Done { summary: said.join("; "), warnings, ..Done::default() };
        // Each part was authorized by itself.
        Ok(Plan { changes: trial.into_changes(), done, authorized: true })
    })
}

fn requests(snapshot: &Snapshot, wanted: &Delegation, add: bool) -> Result<Vec<Request>, Fault> {
    let owner = find(snapshot, &wanted.identity)?;
    let (identity, until) = (snapshot.dn(owner), wanted.until);
    let links = Delegates { identity: identity.clone(), delegates: wanted.delegates.clone(), until };
    let mut requests = vec![if add { Request::DelegateAdd(links) } else { Request::DelegateRemove(links) }];
    for name in &wanted.delegates {
        let id = find(snapshot, name)?;
        let trustee = snapshot.dn(id);
        let sid = snapshot.object(id).and_then(|object| object.sid()).map(|sid| snapshot.sid(sid));
        // What is not there need not go.
        let stands = |permission| add || stands_here(snapshot, owner, sid.as_ref(), permission);
        if wanted.full_access && stands(Permission::FullAccess) {
            let rights = vec!["full-access".to_owned()];
            let change = MailboxPermissionChange {
                identity: identity.clone(),
                trustee: trustee.clone(),
                rights,
                deny: false,
                until,
            };
            requests.push(match add {
                true => Request::MailboxPermissionAdd(change),
                false => Request::MailboxPermissionRemove(change),
            });
        }
        if wanted.send_as && stands(Permission::SendAs) {
            let rights = vec!["Send As".to_owned()];
            let change = PermissionChange {
                identity: identity.clone(),
                trustee,
                rights,
                deny: false,
                inherit_to: None,
                inheritance: None,
                until,
            };
            requests.push(if add { Request::PermissionAdd(change) } else { Request::PermissionRemove(change) });
        }
    }
    Ok(requests)
}

/// Whether an entry that allows it to the trustee stands on the owner itself.
fn stands_here(snapshot: &Snapshot, owner: ObjectId, sid: Option<&Sid>, permission: Permission) -> bool {
    let descriptor = match permission {
        Permission::FullAccess => snapshot.explicit_mailbox_descriptor(owner),
        _ => snapshot.explicit_descriptor(owner),
    };
    let dacl = descriptor.and_then(|descriptor| descriptor.dacl.clone());
    dacl.is_some_and(|dacl| {
        dacl.aces.iter().any(|ace| {
            Some(&ace.sid) == sid
                && ace.is_allow()
                && match permission {
                    Permission::FullAccess => ace.mask.contains(rights::FULL_MAILBOX_ACCESS),
                    _ => ace.object_type == Some(acl::names::SEND_AS),
                }
        })
    })
}

/// What the delegates' mail will be, where it is not what the word says.
fn consequences(snapshot: &Snapshot, wanted: &Delegation) -> Result<Vec<String>, Fault> {
    let owner = find(snapshot, &wanted.identity)?;
    let ids: BTreeSet<ObjectId> = wanted.delegates.iter().map(|name| find(snapshot, name)).collect::<Result<_, _>>()?;
    let rows = ids.into_iter().filter_map(|id| row(snapshot, owner, id));
    let said = |row: DelegationRow| match row.sends.as_str() {
        "as" => Some(format!("{} holds Send As: its mail is always sent as the owner, never on behalf", row.delegate)),
        "as-when-logged-on" => Some(format!(
            "{} has Full Mailbox Access: logged on to the mailbox it sends as the owner, else on behalf",
            row.delegate
        )),
        "nothing" => Some(format!("{} cannot log on: it sends nothing", row.delegate)),
        _ => None,
    };
    Ok(rows.filter_map(said).collect())
}
