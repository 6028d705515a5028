//! What a domain controller says about an object, in our form.

use std::collections::BTreeMap;

use acl::{Guid, Sid};
use directory::import::{AttributeMap, Source};
use directory::{Class, Value, attributes as a, link_value};

use crate::message::Entry;

/// An object as a domain controller holds it: all attributes that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// objectGUID.
    pub guid: Guid,
    /// The object above, where the server says which (`parentGUID`).
    pub parent: Option<Guid>,
    /// The DN.
    pub dn: String,
    /// It was deleted.
    pub deleted: bool,
    /// When the account ends, in 100 nanoseconds since 1601 (`accountExpires`); none: never.
    pub expires: Option<i64>,
    /// Attributes under our names; links as `<GUID=…>`, but `homeMDB` as the name of the database.
    pub attributes: BTreeMap<String, Vec<Value>>,
}

/// When an account ends (MS-ADA1 2.2); never where it is 0 or the largest number.
pub const ACCOUNT_EXPIRES: &str = "accountExpires";
/// userAccountControl: ACCOUNTDISABLE (MS-ADTS 2.2.16).
const ACCOUNT_DISABLED: u32 = 0x2;
/// What stands for userAccountControl of an account that does not tell it: disabled, and of no kind of account.
pub const UNTOLD: &[u8] = b"2";
/// Values that are larger (photos, certificates) are nothing to decide by.
const LARGEST_VALUE: usize = 64 << 10;
/// Attributes that say how things stand with the object and are no attributes of ours.
const ABOUT: [&str; 5] = ["objectGUID", "parentGUID", "isDeleted", "uSNChanged", "pwdLastSet"];

/// Reads an entry. None: it has no objectGUID or no DN, so it is no object of Active Directory.
///
/// `now` is in 100 nanoseconds since 1601: an account that has ended is disabled.
pub fn found(entry: &Entry, map: &AttributeMap, now: i64) -> Option<Found> {
    let guid = |name: &str| entry.values(name).first().and_then(|value| Some(Guid(value.as_slice().try_into().ok()?)));
    let mut found = Found {
        guid: guid("objectGUID")?,
        parent: guid("parentGUID"),
        dn: plain_dn(&entry.dn).to_owned(),
        deleted: entry.text("isDeleted").is_some_and(|text| text.eq_ignore_ascii_case("TRUE")),
        expires: None,
        attributes: BTreeMap::new(),
    };
    if found.dn.is_empty() {
        return None;
    }
    for (name, values) in &entry.attributes {
        let name = name.split_once(';').map_or(name.as_str(), |(name, _)| name);
        if ABOUT.iter().any(|about| about.eq_ignore_ascii_case(name)) {
            continue;
        }
        let name = a::canonical_name(name);
        let is_link = a::by_name(&name).is_some_and(|known| matches!(known.syntax, a::Syntax::Link(_)));
        let own: Vec<Value> = if name == a::HOME_MDB {
            // Databases of Exchange are not read: one here of the same name stands for it.
            values.iter().filter_map(|value| first_name(value)).collect()
        } else if is_link {
            values.iter().filter_map(|value| target(value)).map(|guid| link_value(&guid)).collect()
        } else {
            values.iter().filter(|value| value.len() <= LARGEST_VALUE).cloned().collect()
        };
        if !own.is_empty() {
            found.attributes.entry(name.into_owned()).or_default().extend(own);
        }
    }
    map_attributes(&mut found, map);
    complete(&mut found, now);
    // What was asked for the map alone is nothing to keep.
    found.attributes.retain(|name, _| a::by_name(name).is_some());
    Some(found)
}

fn complete(found: &mut Found, now: i64) {
    // A descriptor that we may not read is unknown, which is not the same as the default one.
    found.attributes.entry(a::DESCRIPTOR.to_owned()).or_insert_with(|| vec![Value::new()]);
    let number = |values: &Vec<Value>| std::str::from_utf8(values.first()?).ok()?.parse::<i64>().ok();
    let expires = found.attributes.remove(ACCOUNT_EXPIRES).and_then(|values| number(&values));
    found.expires = expires.filter(|at| *at > 0 && *at < i64::MAX);
    if found.expires.is_some_and(|at| at <= now)
        && let Some(control) = found.attributes.get_mut(a::USER_ACCOUNT_CONTROL)
    {
        let flags = number(control).unwrap_or(0) as u32 | ACCOUNT_DISABLED;
        *control = vec![(flags as i32).to_string().into_bytes()];
    }
    for values in found.attributes.values_mut() {
        let is_single_valued = values.len() < 2;
        if !is_single_valued {
            // In the order of the server, each once.
            let mut seen = std::collections::BTreeSet::new();
            values.retain(|value| seen.insert(value.clone()));
        }
    }
    for (name, values) in &mut found.attributes {
        let link = a::by_name(name).is_some_and(|known| matches!(known.syntax, a::Syntax::Link(_)));
        if link {
            values.sort_unstable();
        }
        if a::by_name(name).is_some_and(|known| known.single) {
            values.truncate(1);
        }
    }
    let class = class(found);
    // Every account tells whether it is disabled. One that does not may not be read: it does nothing, and nothing is known of it.
    if class.is_account() && !found.attributes.contains_key(a::USER_ACCOUNT_CONTROL) {
        found.attributes.insert(a::USER_ACCOUNT_CONTROL.to_owned(), vec![UNTOLD.to_vec()]);
        found.attributes.insert(a::DESCRIPTOR.to_owned(), vec![Value::new()]);
    }
    // Foreign principals are named by their SID; what somebody else calls a SID is none.
    if class == Class::ForeignPrincipal
        && !found.attributes.contains_key(a::OBJECT_SID)
        && let Some(sid) = directory::dn::parse(&found.dn).ok().and_then(|rdns| rdns.first()?.value.parse::<Sid>().ok())
    {
        found.attributes.insert(a::OBJECT_SID.to_owned(), vec![sid.to_bytes()]);
    }
}

/// Fills in what the attribute map gives.
fn map_attributes(found: &mut Found, map: &AttributeMap) {
    for (ours, from) in &map.entries {
        let ours = a::canonical_name(ours).into_owned();
        if found.attributes.contains_key(&ours) {
            continue;
        }
        let mut values = match from {
            Source::Attribute(theirs) => raw(found, theirs),
            Source::Template(text) if matches!(class(found), Class::User | Class::InetOrgPerson) => {
                fill(found, text).into_iter().collect()
            }
            Source::Template(_) => Vec::new(),
        };
        if a::by_name(&ours).is_some_and(|known| matches!(known.syntax, a::Syntax::Link(_))) {
            values = values.iter().filter_map(|value| target(value)).map(|guid| link_value(&guid)).collect();
        }
        if ours == a::PROXY_ADDRESSES {
            prefix(&mut values);
        }
        if !values.is_empty() {
            found.attributes.insert(ours, values);
        }
    }
}

fn class(found: &Found) -> Class {
    Class::from_object_classes(found.attributes.get(a::OBJECT_CLASS).map_or(&[][..], |values| values))
}

fn raw(found: &Found, name: &str) -> Vec<Value> {
    if name.eq_ignore_ascii_case("objectGUID") {
        return vec![found.guid.0.to_vec()];
    }
    let own = found.attributes.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    own.map_or(Vec::new(), |(_, values)| values.clone())
}

fn fill(found: &Found, template: &str) -> Option<Value> {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        text.push_str(before);
        text.push_str(&String::from_utf8(raw(found, name.trim()).into_iter().next()?).ok()?);
        rest = after;
    }
    text.push_str(rest);
    Some(text.into_bytes())
}

/// Addresses without a type are SMTP addresses, the first the primary one.
fn prefix(values: &mut [Value]) {
    let has_primary = values.iter().any(|value| value.starts_with(b"SMTP:"));
    for (position, value) in values.iter_mut().enumerate() {
        if !value.contains(&b':') {
            let kind: &[u8] = if position == 0 && !has_primary { b"SMTP:" } else { b"smtp:" };
            *value = [kind, value].concat();
        }
    }
}

/// The DN of `<GUID=…>;<SID=…>;DN`.
pub fn plain_dn(extended: &str) -> &str {
    let mut rest = extended;
    while rest.starts_with('<') {
        match rest.split_once(">;") {
            Some((_, after)) => rest = after,
            None => return "",
        }
    }
    rest
}

/// What the object of a link in the extended form is called.
fn first_name(value: &[u8]) -> Option<Value> {
    let rdns = directory::dn::parse(plain_dn(std::str::from_utf8(value).ok()?)).ok()?;
    rdns.into_iter().next().map(|rdn| rdn.value.into_bytes())
}

/// The object that a link in the extended form means.
pub(crate) fn target(value: &[u8]) -> Option<Guid> {
    let text = std::str::from_utf8(value).ok()?;
    text.strip_prefix("<GUID=")?.split_once('>')?.0.parse().ok()
}

/// The lower and upper ends of `name;range=0-1499`; no upper end: those were the last values.
pub fn range(description: &str) -> Option<(&str, Option<u32>)> {
    let (name, options) = description.split_once(';')?;
    let option = options.split(';').find_map(|option| {
        let (key, value) = option.split_once('=')?;
        key.eq_ignore_ascii_case("range").then_some(value)
    })?;
    let (_, upper) = option.split_once('-')?;
    Some((name, upper.parse().ok()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(attributes: &[(&str, &[&[u8]])]) -> Entry {
        let own = |(name, values): &(&str, &[&[u8]])| {
            ((*name).to_owned(), values.iter().map(|value| value.to_vec()).collect())
        };
        Entry { dn: "CN=a,DC=x".into(), attributes: attributes.iter().map(own).collect() }
    }

    const GUID: (&str, &[&[u8]]) = ("objectGUID", &[&[7; 16]]);

    #[test]
    fn an_object_without_a_descriptor_is_unreadable() {
        let found = found(&entry(&[GUID]), &AttributeMap::default(), 0).unwrap();
        assert_eq!(found.attributes[a::DESCRIPTOR], [Value::new()]);
    }

    #[test]
    fn an_account_that_has_ended_is_disabled() {
        let entry = entry(&[GUID, ("userAccountControl", &[b"512"]), ("accountExpires", &[b"1000"])]);
        let control =
            |now| found(&entry, &AttributeMap::default(), now).unwrap().attributes[a::USER_ACCOUNT_CONTROL].clone();
        assert_eq!(control(999), [b"512".to_vec()]);
        assert_eq!(control(1000), [b"514".to_vec()]);
    }

    #[test]
    fn an_account_that_never_ends_is_enabled() {
        for never in ["0", "9223372036854775807"] {
            let entry = entry(&[GUID, ("userAccountControl", &[b"512"]), ("accountExpires", &[never.as_bytes()])]);
            let found = found(&entry, &AttributeMap::default(), i64::MAX).unwrap();
            assert_eq!(found.attributes[a::USER_ACCOUNT_CONTROL], [b"512".to_vec()]);
        }
    }

    #[test]
    fn an_account_that_does_not_say_whether_it_is_disabled_may_do_nothing() {
        let of = |classes: &[&[u8]]| {
            let entry = entry(&[GUID, ("objectClass", classes), ("nTSecurityDescriptor", &[b"x"])]);
            found(&entry, &AttributeMap::default(), 0).unwrap().attributes
        };
        let user = of(&[b"top", b"person", b"organizationalPerson", b"user"]);
        assert_eq!(user[a::USER_ACCOUNT_CONTROL], [UNTOLD.to_vec()]);
        assert_eq!(user[a::DESCRIPTOR], [Value::new()]);
        let group = of(&[b"top", b"group"]);
        assert!(!group.contains_key(a::USER_ACCOUNT_CONTROL) && group[a::DESCRIPTOR] == [b"x".to_vec()]);
    }

    #[test]
    fn a_foreign_principal_alone_is_the_sid_that_it_is_named_by() {
        let of = |class: &[u8]| {
            let mut entry = entry(&[GUID, ("objectClass", &[b"top", class])]);
            entry.dn = "CN=S-1-5-21-9-9-9-500,OU=x".into();
            found(&entry, &AttributeMap::default(), 0).unwrap().attributes.contains_key(a::OBJECT_SID)
        };
        assert!(of(b"foreignSecurityPrincipal"));
        assert!(!of(b"container"));
    }

    #[test]
    fn links_are_the_guids_of_the_extended_form() {
        let value: &[u8] = b"<GUID=6ba7b810-9dad-11d1-80b4-00c04fd430c8>;<SID=S-1-5-21-1-2-3-1104>;CN=b\\>;c,DC=x";
        let found =
            found(&entry(&[GUID, ("member", &[value, b"CN=plain,DC=x"])]), &AttributeMap::default(), 0).unwrap();
        let guid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse().unwrap();
        assert_eq!(found.attributes[a::MEMBER], [link_value(&guid)]);
        assert_eq!(plain_dn(std::str::from_utf8(value).unwrap()), "CN=b\\>;c,DC=x");
    }

    #[test]
    fn a_map_gives_what_the_object_lacks() {
        let map = AttributeMap {
            entries: vec![
                ("proxyAddresses".into(), Source::Attribute("mail".into())),
                ("msExchMailboxGuid".into(), Source::Attribute("objectGUID".into())),
            ],
        };
        let found = found(&entry(&[GUID, ("mail", &[b"a@x.test"])]), &map, 0).unwrap();
        assert_eq!(found.attributes[a::PROXY_ADDRESSES], [b"SMTP:a@x.test".to_vec()]);
        assert_eq!(found.attributes[a::MAILBOX_GUID], [vec![7; 16]]);
    }

    #[test]
    fn a_database_is_known_by_its_name() {
        let value: &[u8] = b"<GUID=6ba7b810-9dad-11d1-80b4-00c04fd430c8>;CN=Mailbox Database 1,CN=Databases,DC=x";
        let found = found(&entry(&[GUID, ("homeMDB", &[value])]), &AttributeMap::default(), 0).unwrap();
        assert_eq!(found.attributes[a::HOME_MDB], [b"Mailbox Database 1".to_vec()]);
    }

    #[test]
    fn ranges_tell_where_to_go_on() {
        assert_eq!(range("member;range=0-1499"), Some(("member", Some(1499))));
        assert_eq!(range("member;range=1500-*"), Some(("member", None)));
        assert_eq!(range("member"), None);
    }

    proptest! {
        #[test]
        fn whatever_a_server_says_is_read_without_harm(
            dn in ".{0,40}",
            attributes in prop::collection::vec((
                "(objectGUID|member|member;range=0-9|userAccountControl|accountExpires|nTSecurityDescriptor|mail|[a-z]{1,5})",
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..3),
            ), 0..8),
        ) {
            let _ = found(&Entry { dn, attributes }, &AttributeMap::default(), 5);
        }
    }
}
