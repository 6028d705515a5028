//! App passwords: one for each program or device, made by us, shown once, taken back without changing the account's own.

use acl::Guid;
use directory::ObjectId;
use rights::admin::Action;
use store::AppPassword;

use crate::accounts::account;
use crate::authorize::{RESET_PASSWORD, require};
use crate::error::{Fault, FaultKind};
use crate::operations::{AppPasswordName, Secret};
use crate::random::random;
use crate::response::{AppPasswordMade, AppPasswordRow, Done, Page, Response};
use crate::service::Asked;

/// App passwords that an account may have.
const MOST: usize = 100;
/// The longest name, in characters.
const LONGEST_NAME: usize = 64;

pub fn add(asked: Asked<'_>, add: &AppPasswordName) -> Result<Response, Fault> {
    let (id, guid) = may_reset(asked, &add.identity, "add an app password to")?;
    let name = add.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Fault::new(FaultKind::Invalid, "an app password needs a name of 1 to 64 characters")
            .help("say what it is for, as in `phone`"));
    }
    let taken = || {
        Fault::new(FaultKind::Conflict, format!("{} has an app password called {name}", asked.snapshot.dn(id)))
            .help("remove that one first, or choose another name")
    };
    let known = asked.service.store().app_passwords(&guid)?;
    if known.iter().any(|known| known.name == name) {
        return Err(taken());
    }
    if known.len() >= MOST {
        return Err(Fault::new(FaultKind::Conflict, format!("an account may have {MOST} app passwords"))
            .help("remove those that are not used: `procura account app-password list` says which"));
    }
    if asked.trial.is_some() {
        let summary = format!("{} would get the app password {name}", asked.snapshot.dn(id));
        return Ok(Response::Done(Done { summary, ..Done::default() }));
    }
    let password = zeroize::Zeroizing::new(AppPassword::from_random(random()));
    let digest = AppPassword::digest(&guid, password.as_bytes())
        .ok_or_else(|| Fault::new(FaultKind::Unavailable, "the app password cannot be kept"))?;
    let created = asked.service.now();
    let kept = AppPassword { name: name.to_owned(), digest, scram: None, created, last_used: None };
    if !asked.service.keep_app_password(&guid, &password, kept)? {
        return Err(taken());
    }
    let mut warnings = Vec::new();
    if asked.snapshot.object(id).is_some_and(|object| !object.enabled()) {
        warnings.push("the account is disabled: it cannot log on".to_owned());
    }
    let account = asked.snapshot.dn(id);
    let name = name.to_owned();
    Ok(Response::AppPassword(AppPasswordMade { account, name, password: Secret(password), warnings }))
}

pub fn list(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    let (_, guid) = may_reset(asked, identity, "list the app passwords of")?;
    let kept = asked.service.store().app_passwords(&guid)?;
    let row = |password: AppPassword| AppPasswordRow {
        name: password.name,
        created: password.created.0,
        last_used: password.last_used.map(|time| time.0),
    };
    Ok(Response::AppPasswords(Page::from(kept.into_iter().map(row).collect::<Vec<_>>())))
}

pub fn remove(asked: Asked<'_>, remove: &AppPasswordName) -> Result<Response, Fault> {
    let (id, guid) = may_reset(asked, &remove.identity, "remove an app password of")?;
    let name = remove.name.trim();
    let there = match asked.trial {
        Some(_) => asked.service.store().app_passwords(&guid)?.iter().any(|known| known.name == name),
        None => asked.service.store().remove_app_password(&guid, name)?,
    };
    if !there {
        return Err(Fault::new(
            FaultKind::NotFound,
            format!("{} has no app password called {name}", asked.snapshot.dn(id)),
        ));
    }
    if asked.trial.is_none() {
        asked.service.credential_changed(&guid);
    }
    let summary = format!("app password {name} of {} removed", asked.snapshot.dn(id));
    Ok(Response::Done(Done { summary, ..Done::default() }))
}

/// Whoever may reset the password of an account may also give it others.
fn may_reset(asked: Asked<'_>, identity: &str, what: &str) -> Result<(ObjectId, Guid), Fault> {
    let id = asked.find(identity)?;
    let guid = account(asked.snapshot, id)?.guid();
    require(asked.snapshot, asked.caller, id, Action::ControlAccess(RESET_PASSWORD), what)?;
    Ok((id, guid))
}
