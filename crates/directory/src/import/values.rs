//! One entry of a dump: its attributes in our form.

use std::collections::BTreeMap;

use acl::{Guid, Sid};

use super::{Importer, is_link};
use crate::attributes::{self, Syntax};
use crate::dn::{self, Rdn};
use crate::ldif::{Entry, EntryChange};
use crate::object::{check, is_true, smtp_proxy, whole_sid};
use crate::{Class, Value};

/// An entry that will become an object.
pub(super) struct Source {
    pub(super) line: usize,
    pub(super) dn: String,
    pub(super) rdns: Vec<Rdn>,
    pub(super) class: Class,
    pub(super) guid: Option<Guid>,
    /// Under the names of our table; links as written.
    pub(super) attributes: BTreeMap<String, Vec<Value>>,
}

/// Password hashes and keys: not ours to keep.
const SECRETS: [&str; 14] = [
    "unicodePwd",
    "dBCSPwd",
    "ntPwdHistory",
    "lmPwdHistory",
    "supplementalCredentials",
    "userPassword",
    "priorValue",
    "currentValue",
    "trustAuthIncoming",
    "trustAuthOutgoing",
    "initialAuthIncoming",
    "initialAuthOutgoing",
    "clearTextPassword",
    "msDS-ManagedPassword",
];

/// Housekeeping of the directory that the dump came from.
const HOUSEKEEPING: [&str; 28] = [
    "whenCreated",
    "whenChanged",
    "uSNCreated",
    "uSNChanged",
    "instanceType",
    "objectCategory",
    "dSCorePropagationData",
    "replPropertyMetaData",
    "replUpToDateVector",
    "repsFrom",
    "repsTo",
    "lastLogon",
    "lastLogoff",
    "lastLogonTimestamp",
    "logonCount",
    "badPwdCount",
    "badPasswordTime",
    "pwdLastSet",
    "lockoutTime",
    "structuralObjectClass",
    "createTimeStamp",
    "modifyTimeStamp",
    "entryDN",
    "subschemaSubentry",
    "msDS-RevealedUsers",
    "parentGUID",
    "allowedAttributes",
    "canonicalName",
];

/// Larger values (photos, certificates) are not kept: the whole directory is in memory.
const LARGEST_VALUE: usize = 16 << 10;

impl Importer<'_> {
    /// Reads an entry. Nothing: it is no object (deleted, or its DN is no DN).
    pub(super) fn read(&mut self, entry: Entry) -> Option<Source> {
        let EntryChange::Add(pairs) = entry.change else { return None };
        let rdns = match dn::parse(&entry.dn) {
            Ok(rdns) if !rdns.is_empty() => rdns,
            Ok(_) => return None,
            Err(error) => {
                self.warn(entry.line, &entry.dn, format!("left out: {error}"));
                return None;
            }
        };
        let mut source = Source {
            line: entry.line,
            dn: entry.dn,
            rdns,
            class: Class::Other,
            guid: None,
            attributes: BTreeMap::new(),
        };
        for (name, value) in pairs {
            self.take(&mut source, &name, value);
        }
        if source.attributes.get("isDeleted").and_then(|values| values.first()).is_some_and(|value| is_true(value)) {
            return None;
        }
        let classes = source.attributes.get(attributes::OBJECT_CLASS);
        source.class = Class::from_object_classes(classes.map_or(&[][..], |values| values));
        if source.class == Class::ForeignPrincipal && source.sid().is_none() {
            let sid = source.rdns[0].value.parse::<Sid>().ok();
            source.attributes.extend(sid.map(|sid| (attributes::OBJECT_SID.to_owned(), vec![sid.to_bytes()])));
        }
        self.drop_unfit(&mut source);
        Some(source)
    }

    fn take(&mut self, source: &mut Source, name: &str, value: Value) {
        // Attribute options (RFC 4512 §2.5) such as `;binary`, `;range=0-1499`.
        let (base, options) = name.split_once(';').unwrap_or((name, ""));
        if let Some(range) = options.strip_prefix("range=").filter(|range| !range.ends_with("-*")) {
            let text = format!("only values {range} of {base} are in the file");
            let (line, dn) = (source.line, source.dn.clone());
            self.warn(line, &dn, text);
        }
        let is_one_of = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(base));
        if base.eq_ignore_ascii_case(attributes::OBJECT_GUID) {
            source.guid = guid(&value);
            return;
        }
        let known = attributes::by_name(base);
        let derived = known.is_some_and(|attribute| attribute.syntax == Syntax::Derived);
        if derived || attributes::by_back_link(base).is_some() || is_one_of(&SECRETS) || is_one_of(&HOUSEKEEPING) {
            return;
        }
        let is_descriptor = known.is_some_and(|attribute| attribute.syntax == Syntax::Descriptor);
        if value.len() > LARGEST_VALUE && !is_descriptor {
            let (line, dn) = (source.line, source.dn.clone());
            return self.warn(line, &dn, format!("a value of {base} with {} octets is left out", value.len()));
        }
        let value = match known.map(|attribute| attribute.syntax) {
            // ldbsearch writes SIDs and GUIDs as text.
            Some(Syntax::Sid) => as_text::<Sid>(&value).map_or(value, |sid| sid.to_bytes()),
            Some(Syntax::Guid) => guid(&value).map_or(value, |guid| guid.0.to_vec()),
            _ => value,
        };
        let name = known.map_or(base, |attribute| attribute.name);
        // Most have one value.
        let values = source.attributes.entry(name.to_owned()).or_insert_with(|| Vec::with_capacity(1));
        if !values.contains(&value) {
            values.push(value);
        }
    }

    /// Leaves out values that their attributes cannot hold.
    fn drop_unfit(&mut self, source: &mut Source) {
        let mut dropped = Vec::new();
        source.attributes.retain(|name, values| {
            let Some(attribute) = attributes::by_name(name) else { return true };
            if is_link(name) || attribute.syntax == Syntax::Descriptor {
                return true;
            }
            if attribute.single && values.len() > 1 {
                dropped.push(format!("{name} has {} values; the first counts", values.len()));
                values.truncate(1);
            }
            values.retain(|value| {
                let mut fit = true;
                check(attribute, std::slice::from_ref(value), &mut |name, reason| {
                    dropped.push(format!("{name} left out: {reason}"));
                    fit = false;
                });
                fit
            });
            !values.is_empty()
        });
        for text in dropped {
            let (line, dn) = (source.line, source.dn.clone());
            self.warn(line, &dn, text);
        }
    }

    /// Fills in what the attribute map gives.
    pub(super) fn apply_map(&mut self, source: &mut Source) {
        for (name, from) in &self.map.entries {
            let name = attributes::canonical_name(name);
            let Some(attribute) = attributes::by_name(&name) else { continue };
            if source.attributes.contains_key(&*name) {
                continue;
            }
            let mut values = match from {
                super::Source::Attribute(other) => source.raw(other),
                super::Source::Template(text) if matches!(source.class, Class::User | Class::InetOrgPerson) => {
                    source.fill(text).into_iter().collect()
                }
                super::Source::Template(_) => Vec::new(),
            };
            if attribute.single {
                values.truncate(1);
            }
            if attribute.name == attributes::PROXY_ADDRESSES {
                prefix_proxies(&mut values);
            }
            values.retain(|value| {
                let mut fit = true;
                check(attribute, std::slice::from_ref(value), &mut |_, _| fit = false);
                fit
            });
            if !values.is_empty() {
                source.attributes.insert(name.into_owned(), values);
            }
        }
    }
}

impl Source {
    pub(super) fn sid(&self) -> Option<Sid> {
        whole_sid(self.attributes.get(attributes::OBJECT_SID)?.first()?)
    }

    /// Whether a directory wrote the entry, not a person.
    pub(super) fn is_from_directory(&self) -> bool {
        self.guid.is_some() || self.attributes.contains_key(attributes::OBJECT_SID)
    }

    pub(super) fn take_links(&mut self) -> Vec<(String, Vec<Value>)> {
        let (links, own) = std::mem::take(&mut self.attributes).into_iter().partition(|(name, _)| is_link(name));
        self.attributes = own;
        let links: BTreeMap<String, Vec<Value>> = links;
        links.into_iter().collect()
    }

    /// Values of an attribute of the dump, in any case.
    fn raw(&self, name: &str) -> Vec<Value> {
        if name.eq_ignore_ascii_case(attributes::OBJECT_GUID) {
            return self.guid.map(|guid| guid.0.to_vec()).into_iter().collect();
        }
        let found = self.attributes.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        match found {
            Some((_, values)) => values.clone(),
            None if self.rdns[0].attribute.eq_ignore_ascii_case(name)
                || name.eq_ignore_ascii_case(attributes::NAME) =>
            {
                vec![self.rdns[0].value.clone().into_bytes()]
            }
            None => Vec::new(),
        }
    }

    /// A template with its braces filled in.
    fn fill(&self, template: &str) -> Option<Value> {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            text.push_str(before);
            text.push_str(&String::from_utf8(self.raw(name.trim()).into_iter().next()?).ok()?);
            rest = after;
        }
        text.push_str(rest);
        Some(text.into_bytes())
    }
}

/// Addresses without a type are SMTP addresses, the first the primary one.
fn prefix_proxies(values: &mut [Value]) {
    let has_primary = values.iter().any(|value| value.starts_with(b"SMTP:"));
    for (position, value) in values.iter_mut().enumerate() {
        if smtp_proxy(value).is_none() && !value.contains(&b':') {
            let prefix: &[u8] = if position == 0 && !has_primary { b"SMTP:" } else { b"smtp:" };
            *value = [prefix, value].concat();
        }
    }
}

fn guid(value: &[u8]) -> Option<Guid> {
    value.try_into().ok().map(Guid).or_else(|| as_text(value))
}

fn as_text<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}
