//! Changes that are made in the domain itself.
//!
//! A descriptor is read, changed and written at once: what was granted or revoked is applied to what stands there now,
//! so that what somebody else changed meanwhile stays. Only the DACL is written.

use acl::{Ace, Acl, Control, SecurityDescriptor};
use directory::attributes::{self as a, Syntax};
use directory::import::Source;
use directory::{AttributeChange, Snapshot, Value};
use thiserror::Error;

use acl::Guid;

use crate::connection::{Connection, LdapError};
use crate::controller::Domain;
use crate::controls;
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
    #[error("the account {account} may not change {object} in Active Directory ({reason})")]
    Denied {
        /// The service account.
        account: String,
        /// The object.
        object: String,
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
        let links = change.attributes.iter().filter(|attribute| attribute.name() != a::DESCRIPTOR);
        let parts: Vec<Modification> =
            links.map(|attribute| self.parts(&domain, attribute)).collect::<Result<Vec<_>, _>>()?.concat();
        let descriptor = change.attributes.iter().rev().find(|attribute| attribute.name() == a::DESCRIPTOR);
        let mut connection = self.writer(&domain)?;
        let dn = format!("<GUID={}>", change.object);
        if let Some(AttributeChange::Replaced { before: old, after, .. }) = descriptor {
            // Several changes of one batch are one change: from the snapshot before it.
            let id = before.by_guid(&change.object);
            let old = id.and_then(|id| before.explicit_descriptor(id)).map_or_else(
                || old.first().and_then(|value| SecurityDescriptor::parse(value).ok()),
                |old| Some(SecurityDescriptor::clone(&old)),
            );
            let new = after.first().and_then(|value| SecurityDescriptor::parse(value).ok());
            let (Some(old), Some(new)) = (old, new) else {
                return Err(WriteError::Unsupported(format!("the descriptor of {name} cannot be read")));
            };
            self.descriptor(&mut connection, &dn, name, &old, &new)?;
        }
        if !parts.is_empty() {
            connection.modify(&dn, &parts, &[]).map_err(|error| self.refused(name, &error))?;
        }
        Ok(())
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
            let opened = Connection::open(&address, &settings.tls, settings.patience).and_then(|mut connection| {
                connection.bind(&settings.account, settings.password.as_bytes()).map(|()| connection)
            });
            match opened {
                Ok(connection) => return Ok(connection),
                Err(error) => why = format!("{address}: {error}"),
            }
        }
        Err(WriteError::Unavailable(why))
    }

    fn refused(&self, object: &str, error: &LdapError) -> WriteError {
        let object = object.to_owned();
        match error.code() {
            Some(code::NO_RIGHT) => {
                WriteError::Denied { account: self.inner.settings.account.clone(), object, reason: error.to_string() }
            }
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
        Ok(match change {
            AttributeChange::Links { removed, added, .. } => {
                let mut parts = Vec::new();
                if !removed.is_empty() {
                    parts.push(part(Operation::Delete, removed));
                }
                if !added.is_empty() {
                    parts.push(part(Operation::Add, added));
                }
                parts
            }
            AttributeChange::Replaced { after, .. } => vec![part(Operation::Replace, after)],
        })
    }

    fn descriptor(
        &self,
        connection: &mut Connection,
        dn: &str,
        name: &str,
        old: &SecurityDescriptor,
        new: &SecurityDescriptor,
    ) -> Result<(), WriteError> {
        if (&old.owner, &old.group) != (&new.owner, &new.group) {
            return Err(WriteError::Unsupported(format!(
                "the owner of {name} is changed with the tools of Active Directory"
            )));
        }
        let live = self.read(connection, dn, name)?;
        let wanted = merged(&live, old, new).map_err(|ace| {
            WriteError::Conflict(format!(
                "{name} was changed in Active Directory meanwhile: {ace} is not there any more"
            ))
        })?;
        let mut written = SecurityDescriptor { owner: None, group: None, sacl: None, ..live.clone() };
        written.control.set(Control::DACL_PROTECTED, wanted.is_dacl_protected());
        written.control.set(Control::DACL_PRESENT, true);
        written.dacl.clone_from(&wanted.dacl);
        let part = Modification {
            operation: Operation::Replace,
            attribute: a::DESCRIPTOR.to_owned(),
            values: vec![written.to_bytes()],
        };
        connection
            .modify(dn, &[part], &[controls::descriptor_parts(controls::DACL)])
            .map_err(|error| self.refused(name, &error))?;
        // A domain controller may leave out what it does not like, and somebody may have been quicker.
        let now = explicit(&self.read(connection, dn, name)?);
        if now != explicit(&wanted) {
            return Err(WriteError::Conflict(format!(
                "{name}: what stands in Active Directory now is not what was written; look at it there"
            )));
        }
        Ok(())
    }

    fn read(&self, connection: &mut Connection, dn: &str, name: &str) -> Result<SecurityDescriptor, WriteError> {
        let search = Search {
            base: dn.to_owned(),
            scope: Scope::Base,
            filter: Filter::everything(),
            attributes: vec![a::DESCRIPTOR.to_owned()],
        };
        let found = connection
            .find(&search, &[controls::descriptor_parts(controls::DACL)])
            .map_err(|error| self.refused(name, &error))?;
        let octets = found.first().and_then(|entry| entry.values(a::DESCRIPTOR).first());
        let sd = octets.and_then(|octets| SecurityDescriptor::parse(octets).ok());
        sd.filter(|sd| sd.control.contains(Control::DACL_PRESENT)).ok_or_else(|| WriteError::Denied {
            account: self.inner.settings.account.clone(),
            object: name.to_owned(),
            reason: "its permissions cannot be read".to_owned(),
        })
    }
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

/// The entries of the first list that the second has not, as often.
fn difference(first: &[Ace], second: &[Ace]) -> Vec<Ace> {
    let mut rest = second.to_vec();
    let mut only = Vec::new();
    for ace in first {
        match rest.iter().position(|own| own == ace) {
            Some(place) => drop(rest.swap_remove(place)),
            None => only.push(ace.clone()),
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

    #[test]
    fn inherited_entries_stay_and_are_not_doubled() {
        let made = made("D:AI(A;;LC;;;S-1-5-21-1)(A;ID;RC;;;S-1-5-21-2)", "D:AI(A;;LC;;;S-1-5-21-1)", "D:AI");
        assert_eq!(made.unwrap(), "D:AI(A;ID;RC;;;S-1-5-21-2)");
    }
}
