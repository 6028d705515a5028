//! Grants that end at a time. Their ends are attributes of the objects on which they stand, so they come and go with the
//! grants, in the same batch, and are undone with them.

use std::collections::BTreeSet;

use acl::{Ace, AceFlags, Acl, Guid, SecurityDescriptor, well_known};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::{Change, Object, ObjectId, Snapshot, Time, Value, attributes as a, link_value};

use crate::accounts::guid_of;
use crate::error::{Fault, FaultKind};
use crate::permissions::{mailbox_descriptor, take_away};
use crate::service::{Service, lock};

/// Milliseconds until what could not end is tried again: somebody else's domain controller may have to be asked.
const AGAIN: u64 = 30_000;

/// What ends, as the attribute's values name it.
pub(crate) fn of_ace(ace: &Ace) -> String {
    let mut bytes = Vec::new();
    ace.clone().with_flags(ace.flags.without(AceFlags::INHERITED)).write_to(&mut bytes);
    STANDARD.encode(bytes)
}

/// The time of a value, and what ends then.
fn parse(value: &Value) -> Option<(i64, &str)> {
    let (time, what) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    Some((time.parse().ok()?, what))
}

/// The new values of an attribute of ends when `what` ends at `until`, or no longer does, and neither does what `same`
/// says is about the same; `None` when they stay.
///
/// # Errors
/// A time that has passed.
pub(crate) fn schedule(
    snapshot: &Snapshot,
    id: ObjectId,
    attribute: &str,
    what: &[String],
    same: impl Fn(&str) -> bool,
    (until, now): (Option<i64>, Time),
) -> Result<Option<(String, Vec<Value>)>, Fault> {
    if until.is_some_and(|until| until <= now.0) {
        return Err(Fault::new(FaultKind::Invalid, "the time until which it is to last has passed"));
    }
    let before = snapshot.attribute(id, attribute);
    let mut after = before.clone();
    after.retain(|value| parse(value).is_none_or(|(_, other)| !same(other) && !what.iter().any(|what| what == other)));
    if let Some(until) = until {
        after.extend(what.iter().map(|what| format!("{until} {what}").into_bytes()));
    }
    after.sort_unstable();
    let changed = {
        let mut before = before;
        before.sort_unstable();
        before != after
    };
    Ok(changed.then(|| (attribute.to_owned(), after)))
}

/// Whether an end is that of an entry for the same trustee, with some of the same rights.
pub(crate) fn is_about(text: &str, ace: &Ace) -> bool {
    self::ace(text).is_some_and(|other| {
        other.sid == ace.sid && other.is_deny() == ace.is_deny() && other.mask.intersects(ace.mask)
    })
}

/// When what an attribute of ends names ends.
pub(crate) fn until(snapshot: &Snapshot, id: ObjectId, attribute: &str, what: &str) -> Option<i64> {
    snapshot.attribute(id, attribute).iter().filter_map(parse).find(|(_, other)| *other == what).map(|(time, _)| time)
}

/// What a value says, in words: the end, and what ends. None where it is not understood.
pub(crate) fn words(
    value: &Value,
    in_words: impl Fn(&Ace) -> String,
    named: impl Fn(&Guid) -> Option<String>,
) -> Option<String> {
    let (time, what) = parse(value)?;
    let what = match ace(what) {
        Some(ace) => in_words(&ace),
        None => named(&what.parse().ok()?)?,
    };
    Some(format!("until {}: {what}", crate::queued::iso(time)))
}

impl Service {
    /// Takes back what has ended by now, as SYSTEM; how many objects changed. Undoing such a change gives the grant back
    /// without an end.
    ///
    /// # Errors
    /// Something could not be taken back; all the rest was. It is tried again a little later.
    pub fn expire(&self) -> Result<usize, Fault> {
        let (snapshot, now) = (self.snapshot(), self.now());
        let mut put_off = lock(&self.put_off);
        // Also where the clock was set back.
        put_off.retain(|_, tried| tried.0.abs_diff(now.0) < AGAIN);
        let mut ended = snapshot.expired(now);
        ended.retain(|id| guid_of(&snapshot, *id).is_none_or(|guid| !put_off.contains_key(&guid)));
        if ended.is_empty() {
            return Ok(0);
        }
        // What is kept elsewhere may have to wait until it can be reached there, each object for itself; and what cannot end
        // keeps nothing else from ending.
        let (mut alone, here): (BTreeSet<ObjectId>, BTreeSet<ObjectId>) =
            ended.into_iter().partition(|id| self.elsewhere.has(&snapshot, *id));
        let mut count = 0;
        match self.expire_on(&here) {
            Ok(together) => count += together,
            Err(_) => alone.extend(here),
        }
        let mut failed = Ok(());
        for id in alone {
            match self.expire_on(&BTreeSet::from([id])) {
                Ok(more) => count += more,
                Err(fault) => {
                    put_off.extend(guid_of(&snapshot, id).map(|guid| (guid, now)));
                    failed = Err(fault);
                }
            }
        }
        failed.map(|()| count)
    }

    /// Takes back what has ended on these objects.
    fn expire_on(&self, objects: &BTreeSet<ObjectId>) -> Result<usize, Fault> {
        let now = self.now();
        let expired = |snapshot: &Snapshot| -> BTreeSet<ObjectId> { &snapshot.expired(now) & objects };
        if expired(&self.snapshot()).is_empty() {
            return Ok(0);
        }
        let mut count = 0;
        self.change_as_system("time-bound grants that have ended", |snapshot| {
            let objects = expired(snapshot);
            count = objects.len();
            objects.into_iter().flat_map(|id| ended(snapshot, id, now)).collect()
        })?;
        // Afterwards, and apart: whoever falls in between finds the end again, and nothing more to take back.
        self.change_as_system("ends of time-bound grants", |snapshot| {
            expired(snapshot).into_iter().filter_map(|id| forget(snapshot, id, now)).collect()
        })?;
        Ok(count)
    }

    /// When [`Service::expire`] has something to do next.
    pub fn next_expiry(&self) -> Option<Time> {
        self.snapshot().next_expiry()
    }
}

/// The changes that take back what has ended on an object.
fn ended(snapshot: &Snapshot, id: ObjectId, now: Time) -> Vec<Change> {
    let Some(guid) = snapshot.object(id).map(Object::guid) else { return Vec::new() };
    let over = |attribute: &str| -> Vec<String> {
        let values = snapshot.attribute(id, attribute);
        values.iter().filter_map(parse).filter(|(time, _)| *time <= now.0).map(|(_, what)| what.to_owned()).collect()
    };
    let mut changes = Vec::new();
    let mut attributes = Vec::new();
    let grants = over(a::EXPIRING_GRANT);
    if let Some(sd) = snapshot.explicit_descriptor(id).filter(|_| !grants.is_empty()) {
        let mut sd = SecurityDescriptor::clone(&sd);
        let dacl = sd.dacl.get_or_insert_with(|| Acl::new(Vec::new()));
        let removed: usize = grants.iter().filter_map(|text| ace(text)).map(|ace| acl::edit::remove(dacl, &ace)).sum();
        if removed > 0 {
            attributes.push((a::DESCRIPTOR.to_owned(), vec![sd.to_bytes()]));
        }
    }
    let grants = over(a::EXPIRING_MAILBOX_GRANT);
    if let Some(sd) = snapshot.explicit_mailbox_descriptor(id).filter(|_| !grants.is_empty()) {
        let mut sd = SecurityDescriptor::clone(&sd);
        let mut changed = false;
        for ace in grants.iter().filter_map(|text| ace(text)).filter(|ace| ace.sid != well_known::SELF) {
            changed |= take_away(&mut sd, &ace.sid, ace.mask, ace.is_deny());
        }
        if changed {
            attributes.extend(mailbox_descriptor(&sd));
        }
    }
    if !attributes.is_empty() {
        changes.push(Change::Modify { guid, attributes });
    }
    let delegates: Vec<Value> =
        over(a::EXPIRING_DELEGATE).iter().filter_map(|text| text.parse().ok()).map(|guid| link_value(&guid)).collect();
    if !delegates.is_empty() {
        let attribute = a::PUBLIC_DELEGATES.to_owned();
        changes.push(Change::Values { guid, attribute, add: Vec::new(), remove: delegates });
    }
    changes
}

/// The change that forgets ends that are over.
fn forget(snapshot: &Snapshot, id: ObjectId, now: Time) -> Option<Change> {
    let guid = snapshot.object(id)?.guid();
    let attributes = [a::EXPIRING_GRANT, a::EXPIRING_MAILBOX_GRANT, a::EXPIRING_DELEGATE].map(|attribute| {
        let mut values = snapshot.attribute(id, attribute);
        values.retain(|value| parse(value).is_none_or(|(time, _)| time > now.0));
        (attribute.to_owned(), values)
    });
    Some(Change::Modify { guid, attributes: attributes.into() })
}

fn ace(text: &str) -> Option<Ace> {
    let bytes = STANDARD.decode(text).ok()?;
    Ace::parse(&bytes).ok().map(|(ace, _)| ace)
}
