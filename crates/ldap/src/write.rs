//! Changes that are made in the domain itself.
//!
//! A descriptor is read, changed and written at once: what was granted or revoked is applied to what stands there now,
//! so that what somebody else changed meanwhile stays. Only the DACL is written. Of other attributes single values are taken
//! away and added, which a domain controller refuses where they are gone, or there, already.

use acl::{Acl, Control, SecurityDescriptor};
use directory::attributes::{self as a, Syntax};
use directory::import::Source;
use directory::{AttributeChange, Snapshot, Value};
use thiserror::Error;

use acl::Guid;

use crate::connection::{Connection, LdapError};
use crate::controller::Domain;
use crate::controls;
use crate::followed::open;
use crate::message::{Filter, Modification, Operation, Scope, Search, code};
use crate::settings::Address;
use crate::source::{Active, lock};

/// Why something was not written. Unless it says otherwise, nothing of that object was.
#[derive(Debug, Error)]
pub enum WriteError {
    /// It is not one of the things that are written.
    #[error("{0}")]
    Unsupported(String),
    /// What was to be taken away is not there any more, or what was written is not what stands there.
    #[error("{0}")]
    Conflict(String),
    /// The service account may not.
    #[error("the account {account} may not change {object} in Active Directory: it takes {right} there ({reason})")]
    Denied {
        /// The service account.
        account: String,
        /// The object.
        object: String,
        /// What it takes.
        right: String,
        /// What the domain controller said.
        reason: String,
    },
    /// No domain controller could do it.
    #[error("no domain controller took the change: {0}")]
    Unavailable(String),
}

/// Changes of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The object.
    pub object: Guid,
    /// Its attributes.
    pub attributes: Vec<AttributeChange>,
}

impl Active {
    /// Makes changes in the domain of an object. `before` is the snapshot that they were planned on, `name` what the
    /// object is called.
    ///
    /// # Errors
    /// Nothing was written.
    pub fn write(&self, domain: &Guid, before: &Snapshot, name: &str, change: &Written) -> Result<(), WriteError> {
        let domain = lock(&self.inner.domains).iter().find(|known| known.guid() == *domain).cloned();
        let Some(domain) = domain else {
            return Err(WriteError::Unavailable("the domain was never reached".to_owned()));
        };
        let mut parts = Vec::new();
        for attribute in folded(&change.attributes) {
            parts.extend(self.parts(&domain, &attribute)?);
        }
        let descriptors = descriptors(before, name, change)?;
        let mut connection = self.writer(&domain)?;
        let dn = format!("<GUID={}>", change.object);
        let mut others = Vec::new();
        let mut written = None;
        if let Some((old, new)) = descriptors {
            let live = self.read(&mut connection, &dn, name)?;
            let wanted = merged(&live.descriptor, &old, &new).map_err(|ace| {
                WriteError::Conflict(format!(
                    "{name} was changed in Active Directory meanwhile: {ace} is not there any more"
                ))
            })?;
            parts.push(Modification {
                operation: Operation::Replace,
                attribute: a::DESCRIPTOR.to_owned(),
                values: vec![dacl_alone(&wanted).to_bytes()],
            });
            others.push(controls::descriptor_parts(controls::DACL));
            written = Some((live, wanted));
        }
        if parts.is_empty() {
            return Ok(());
        }
        // All of it or nothing.
        connection.modify(&dn, &parts, &others).map_err(|error| self.refused(name, &parts, &error))?;
        match written {
            Some((live, wanted)) => self.see(&mut connection, &dn, name, &live, &wanted),
            None => Ok(()),
        }
    }

    /// Holds what stands there now against what was written: a domain controller may leave out what it does not like, and
    /// somebody may have been quicker.
    fn see(
        &self,
        connection: &mut Connection,
        dn: &str,
        name: &str,
        live: &Live,
        wanted: &SecurityDescriptor,
    ) -> Result<(), WriteError> {
        let now = self.read(connection, dn, name)?;
        if explicit(&now.descriptor) != explicit(wanted) {
            return Err(WriteError::Conflict(format!(
                "{name}: what stands in Active Directory now is not what was written; look at it there"
            )));
        }
        match (live.version, now.version) {
            (Some(before), Some(after)) if after.wrapping_sub(before) > 1 => Err(WriteError::Conflict(format!(
                "{name}: somebody else changed its permissions in Active Directory at the same moment, and what was \
                 written may have taken the place of that; look at it there"
            ))),
            _ => Ok(()),
        }
    }

    /// A connection to a domain controller, the one that is followed if it answers.
    fn writer(&self, domain: &Domain) -> Result<Connection, WriteError> {
        let servers = lock(&self.inner.servers).get(&domain.dn.to_ascii_lowercase()).cloned().unwrap_or_default();
        let settings = &self.inner.settings;
        let mut why = format!("none of {} answers now", domain.dn);
        // Whoever makes changes waits for this one: those that did not answer a moment ago are not waited for.
        let status = self.status();
        let good = |address: &Address| {
            let text = address.to_string();
            status.servers.iter().any(|server| server.good && server.address == text)
        };
        for address in servers.into_iter().filter(good) {
            match open(settings, &address) {
                Ok(connection) => return Ok(connection),
                Err(error) => why = format!("{address}: {error}"),
            }
        }
        Err(WriteError::Unavailable(why))
    }

    fn refused(&self, object: &str, parts: &[Modification], error: &LdapError) -> WriteError {
        let object = object.to_owned();
        match error.code() {
            Some(code::NO_RIGHT) => WriteError::Denied {
                account: self.inner.settings.account.clone(),
                object,
                right: rights(parts),
                reason: error.to_string(),
            },
            Some(_) => WriteError::Conflict(format!("{object}: {error}")),
            None => WriteError::Unavailable(format!("{object}: {error}; whether it was done will be seen")),
        }
    }

    /// What a change of an attribute other than the descriptor is there.
    fn parts(&self, domain: &Domain, change: &AttributeChange) -> Result<Vec<Modification>, WriteError> {
        let name = change.name();
        let map = &self.inner.settings.map.entries;
        let mapped = map.iter().find(|(ours, _)| ours.eq_ignore_ascii_case(name)).map(|(_, from)| from);
        let syntax = a::by_name(name).map(|known| known.syntax);
        let attribute = match (mapped, syntax) {
            (Some(Source::Attribute(theirs)), Some(Syntax::Link(_))) => theirs.clone(),
            (None, _) if domain.theirs.contains(name) => name.to_owned(),
            _ => {
                return Err(WriteError::Unsupported(format!(
                    "{name} comes from another attribute of Active Directory: change that one there"
                )));
            }
        };
        let part = |operation, values: &[Value]| Modification {
            operation,
            attribute: attribute.clone(),
            values: values.to_vec(),
        };
        let (removed, added) = match change {
            AttributeChange::Links { removed, added, .. } => (removed.clone(), added.clone()),
            AttributeChange::Replaced { before, after, .. } => (difference(before, after), difference(after, before)),
        };
        let mut parts = Vec::new();
        if !removed.is_empty() {
            parts.push(part(Operation::Delete, &removed));
        }
        if !added.is_empty() {
            parts.push(part(Operation::Add, &added));
        }
        Ok(parts)
    }

    fn read(&self, connection: &mut Connection, dn: &str, name: &str) -> Result<Live, WriteError> {
        let denied = |reason: String| WriteError::Denied {
            account: self.inner.settings.account.clone(),
            object: name.to_owned(),
            right: "“Read permissions” (READ_CONTROL)".to_owned(),
            reason,
        };
        let search = Search {
            base: dn.to_owned(),
            scope: Scope::Base,
            filter: Filter::everything(),
            attributes: vec![a::DESCRIPTOR.to_owned(), METADATA.to_owned()],
        };
        let found = connection.find(&search, &[controls::descriptor_parts(controls::DACL)]);
        let found = found.map_err(|error| match error.code() {
            Some(code::NO_RIGHT) => denied(error.to_string()),
            _ => self.refused(name, &[], &error),
        })?;
        let entry = found.first();
        let octets = entry.and_then(|entry| entry.values(a::DESCRIPTOR).first());
        let sd = octets.and_then(|octets| SecurityDescriptor::parse(octets).ok());
        let descriptor = sd.filter(|sd| sd.control.contains(Control::DACL_PRESENT));
        let metadata = entry.and_then(|entry| entry.values(METADATA).first());
        Ok(Live {
            descriptor: descriptor.ok_or_else(|| denied("its permissions cannot be read".to_owned()))?,
            version: metadata.and_then(|octets| descriptor_version(octets)),
        })
    }
}

/// A descriptor as it stands there.
struct Live {
    descriptor: SecurityDescriptor,
    /// How often it was written, where the account may read that.
    version: Option<u32>,
}

/// How often each attribute was written (MS-ADTS 3.1.1.1.9).
const METADATA: &str = "replPropertyMetaData";
/// nTSecurityDescriptor in the prefix table that all schemas begin with (MS-ADTS 3.1.1.1.4).
const DESCRIPTOR_ATTRIBUTE: u32 = 0x0002_0119;

/// The version of the descriptor in PROPERTY_META_DATA_VECTOR (MS-DRSR 5.163): version, reserved, count, reserved, then 48
/// octets for each attribute, which begin with its number and its version.
fn descriptor_version(octets: &[u8]) -> Option<u32> {
    let number = |octets: &[u8]| octets.first_chunk().map(|octets| u32::from_le_bytes(*octets));
    if number(octets)? != 1 {
        return None;
    }
    let all = octets.get(16..)?.chunks_exact(48).take(number(octets.get(8..)?)? as usize);
    all.into_iter().find(|one| number(one) == Some(DESCRIPTOR_ATTRIBUTE)).and_then(|one| number(&one[4..]))
}

/// Several changes of one attribute as one. What becomes of the descriptor is not among them.
fn folded(changes: &[AttributeChange]) -> Vec<AttributeChange> {
    let mut folded: Vec<AttributeChange> = Vec::new();
    for change in changes.iter().filter(|change| change.name() != a::DESCRIPTOR) {
        let same = folded.iter_mut().find(|own| own.name() == change.name());
        match (same, change) {
            (Some(AttributeChange::Replaced { after, .. }), AttributeChange::Replaced { after: last, .. }) => {
                after.clone_from(last);
            }
            (
                Some(AttributeChange::Links { removed, added, .. }),
                AttributeChange::Links { removed: gone, added: new, .. },
            ) => {
                let back = difference(new, removed);
                removed.retain(|link| !new.contains(link));
                let there = difference(gone, added);
                added.retain(|link| !gone.contains(link));
                removed.extend(there);
                added.extend(back);
            }
            _ => folded.push(change.clone()),
        }
    }
    folded
}

/// The explicit descriptor before and after a change; none where it stays. Several changes of one batch are one change: from
/// the snapshot before it.
fn descriptors(
    before: &Snapshot,
    name: &str,
    change: &Written,
) -> Result<Option<(SecurityDescriptor, SecurityDescriptor)>, WriteError> {
    let last = change.attributes.iter().rev().find(|attribute| attribute.name() == a::DESCRIPTOR);
    let Some(AttributeChange::Replaced { before: old, after, .. }) = last else { return Ok(None) };
    let id = before.by_guid(&change.object);
    let old = id.and_then(|id| before.explicit_descriptor(id)).map_or_else(
        || old.first().and_then(|value| SecurityDescriptor::parse(value).ok()),
        |old| Some(SecurityDescriptor::clone(&old)),
    );
    let new = after.first().and_then(|value| SecurityDescriptor::parse(value).ok());
    let (Some(old), Some(new)) = (old, new) else {
        return Err(WriteError::Unsupported(format!("the descriptor of {name} cannot be read")));
    };
    if (&old.owner, &old.group) != (&new.owner, &new.group) {
        return Err(WriteError::Unsupported(format!(
            "the owner of {name} is changed with the tools of Active Directory"
        )));
    }
    Ok(Some((old, new)))
}

/// What is written of a descriptor.
fn dacl_alone(wanted: &SecurityDescriptor) -> SecurityDescriptor {
    let mut written = SecurityDescriptor { owner: None, group: None, sacl: None, ..wanted.clone() };
    written.control.set(Control::DACL_PRESENT, true);
    written
}

/// What it takes to write these.
fn rights(parts: &[Modification]) -> String {
    let mut rights: Vec<String> = Vec::new();
    for part in parts {
        let right = match part.attribute.as_str() {
            a::DESCRIPTOR => "“Modify permissions” (WRITE_DAC)".to_owned(),
            a::MEMBER => "“Write Members”".to_owned(),
            other => format!("“Write {other}”"),
        };
        if !rights.contains(&right) {
            rights.push(right);
        }
    }
    rights.join(" and ")
}

/// Explicit entries in an order that does not depend on who wrote them.
fn explicit(sd: &SecurityDescriptor) -> Vec<String> {
    let part = acl::explicit_part(sd);
    let mut aces: Vec<String> = part.dacl.iter().flat_map(|dacl| &dacl.aces).map(|ace| format!("{ace:?}")).collect();
    aces.sort_unstable();
    aces
}

/// What stands there, with the difference between `old` and `new` made to it. The error is an entry that was to go and is
/// not there.
fn merged(
    live: &SecurityDescriptor,
    old: &SecurityDescriptor,
    new: &SecurityDescriptor,
) -> Result<SecurityDescriptor, String> {
    let aces = |sd: &SecurityDescriptor| sd.dacl.as_ref().map_or_else(Vec::new, |dacl| dacl.aces.clone());
    let (old_aces, new_aces) = (aces(old), aces(new));
    let live_part = acl::explicit_part(live);
    let mut explicit = aces(&live_part);
    if explicit == old_aces {
        // Nobody was there: the new order counts too.
        explicit = new_aces;
    } else {
        let (removed, added) = (difference(&old_aces, &new_aces), difference(&new_aces, &old_aces));
        for ace in removed {
            match explicit.iter().position(|own| *own == ace) {
                Some(place) => drop(explicit.remove(place)),
                None => return Err(format!("{ace:?}")),
            }
        }
        for ace in added {
            // Denials come first (MS-DTYP 2.4.5).
            let place = if ace.is_deny() { 0 } else { explicit.iter().take_while(|own| own.is_deny()).count() };
            if !explicit.contains(&ace) {
                explicit.insert(place, ace);
            }
        }
    }
    let is_protected = match (old.is_dacl_protected(), new.is_dacl_protected()) {
        (old, new) if old != new => new,
        _ => live.is_dacl_protected(),
    };
    let inherited = aces(live).into_iter().filter(|ace| ace.is_inherited() && !is_protected);
    let mut result = live.clone();
    let mut dacl = Acl::new(explicit.into_iter().chain(inherited).collect());
    dacl.update_revision();
    result.dacl = Some(dacl);
    result.control.set(Control::DACL_PROTECTED, is_protected);
    Ok(result)
}

/// What the first list has and the second has not, as often.
fn difference<T: Clone + PartialEq>(first: &[T], second: &[T]) -> Vec<T> {
    let mut rest = second.to_vec();
    let mut only = Vec::new();
    for one in first {
        match rest.iter().position(|own| own == one) {
            Some(place) => drop(rest.swap_remove(place)),
            None => only.push(one.clone()),
        }
    }
    only
}

#[cfg(test)]
mod tests {
    use acl::SddlContext;

    use super::*;

    fn sd(text: &str) -> SecurityDescriptor {
        SecurityDescriptor::from_sddl(text, &SddlContext::default()).unwrap()
    }

    fn made(live: &str, old: &str, new: &str) -> Result<String, String> {
        merged(&sd(live), &sd(old), &sd(new)).map(|sd| sd.to_sddl(&SddlContext::default()))
    }

    #[test]
    fn a_grant_is_added_to_what_somebody_else_granted_meanwhile() {
        let made = made(
            "D:AI(A;;RP;;;S-1-5-21-9)(A;;LC;;;S-1-5-21-1)(A;ID;RC;;;S-1-5-21-2)",
            "D:(A;;LC;;;S-1-5-21-1)",
            "D:(A;;CR;;;S-1-5-21-3)(A;;LC;;;S-1-5-21-1)",
        );
        assert_eq!(
            made.unwrap(),
            "D:AI(A;;CR;;;S-1-5-21-3)(A;;RP;;;S-1-5-21-9)(A;;LC;;;S-1-5-21-1)(A;ID;RC;;;S-1-5-21-2)"
        );
    }

    #[test]
    fn a_denial_comes_before_what_is_allowed() {
        let made = made(
            "D:(A;;RP;;;S-1-5-21-9)(A;;LC;;;S-1-5-21-1)",
            "D:(A;;LC;;;S-1-5-21-1)",
            "D:(D;;CR;;;S-1-5-21-3)(A;;LC;;;S-1-5-21-1)",
        );
        assert_eq!(made.unwrap(), "D:(D;;CR;;;S-1-5-21-3)(A;;RP;;;S-1-5-21-9)(A;;LC;;;S-1-5-21-1)");
    }

    #[test]
    fn what_is_revoked_and_gone_already_is_a_conflict() {
        assert!(made("D:(A;;RP;;;S-1-5-21-9)", "D:(A;;LC;;;S-1-5-21-1)", "D:").is_err());
    }

    fn links(removed: &[&str], added: &[&str]) -> AttributeChange {
        let values = |all: &[&str]| all.iter().map(|one| one.as_bytes().to_vec()).collect();
        AttributeChange::Links { name: a::MEMBER.to_owned(), removed: values(removed), added: values(added) }
    }

    #[test]
    fn several_changes_of_an_attribute_are_one() {
        assert_eq!(folded(&[links(&["a"], &["b"]), links(&["b"], &["c"])]), [links(&["a"], &["c"])]);
        assert_eq!(folded(&[links(&["a"], &[]), links(&[], &["a"])]), [links(&[], &[])]);
        let replaced = |before: &str, after: &str| AttributeChange::Replaced {
            name: a::MAIL.to_owned(),
            before: vec![before.into()],
            after: vec![after.into()],
        };
        assert_eq!(
            folded(&[replaced("a", "b"), links(&[], &["x"]), replaced("b", "c")]),
            [replaced("a", "c"), links(&[], &["x"])]
        );
    }

    #[test]
    fn the_version_of_the_descriptor_stands_in_the_metadata() {
        let entry = |number: u32, version: u32| {
            let mut entry = [number.to_le_bytes(), version.to_le_bytes()].concat();
            entry.resize(48, 0);
            entry
        };
        let mut octets = [[1, 0, 0, 0], [0; 4], [2, 0, 0, 0], [0; 4]].concat();
        octets.extend(entry(3, 9));
        octets.extend(entry(DESCRIPTOR_ATTRIBUTE, 7));
        assert_eq!(descriptor_version(&octets), Some(7));
        for length in 0..octets.len() {
            assert_eq!(descriptor_version(&octets[..length]), None, "{length}");
        }
    }

    #[test]
    fn inherited_entries_stay_and_are_not_doubled() {
        let made = made("D:AI(A;;LC;;;S-1-5-21-1)(A;ID;RC;;;S-1-5-21-2)", "D:AI(A;;LC;;;S-1-5-21-1)", "D:AI");
        assert_eq!(made.unwrap(), "D:AI(A;ID;RC;;;S-1-5-21-2)");
    }
}
