//! One object in memory.

mod check;
mod packed;

pub(crate) use check::check;
use packed::{Packed, pack};

use std::collections::BTreeMap;
use std::sync::Arc;

use acl::{Guid, Sid, SidId};
use message::{Address, CanonicalAddress};
use smallvec::SmallVec;

use crate::attributes::{self, Syntax, number};
use crate::descriptor::Explicit;
use crate::index::hash;
use crate::shared::Shared;
use crate::{Class, Config, GroupType, Value, config, dn};

/// The row of an object in the snapshots of a process. Stable while the process lives; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u32);

/// A mailbox that an object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// msExchMailboxGuid.
    pub guid: Guid,
    /// homeMDB.
    pub database: Option<ObjectId>,
}

/// An object of the directory: what decisions need, typed, and its other attributes packed.
#[derive(Clone, Debug)]
pub struct Object {
    guid: Guid,
    mailbox: Option<Guid>,
    pub(crate) parent: Option<ObjectId>,
    pub(crate) database: Option<ObjectId>,
    sid: Option<SidId>,
    master_account: Option<SidId>,
    group_type: i32,
    primary_group: u32,
    class: Class,
    flags: u8,
    /// RDN and the attributes that have no field: number, count, lengths and octets of values.
    packed: Box<[u8]>,
    pub(crate) explicit: Option<Arc<Explicit>>,
    pub(crate) mailbox_explicit: Option<Arc<Explicit>>,
    config: Option<Box<Config>>,
}

const ENABLED: u8 = 1;
const ADMIN_COUNT: u8 = 2;
const HIDDEN: u8 = 4;
const REQUIRE_AUTH: u8 = 8;

/// userAccountControl: ACCOUNTDISABLE (MS-ADTS 2.2.16).
const ACCOUNT_DISABLED: u32 = 0x2;
/// RIDs of Domain Users, Guests and Computers: nearly all accounts have one of them, so they are not indexed.
pub(crate) const DEFAULT_PRIMARY_GROUPS: std::ops::RangeInclusive<u32> = 513..=515;
/// The RID of Domain Users, the primary group where nothing is said.
const DOMAIN_USERS: u32 = 513;

impl Object {
    /// objectGUID.
    pub fn guid(&self) -> Guid {
        self.guid
    }

    /// The object above; none for a naming context without one.
    pub fn parent(&self) -> Option<ObjectId> {
        self.parent
    }

    /// Structural class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// RDN as RFC 4514 text: `CN=Owens\, Carla`.
    pub fn rdn(&self) -> &str {
        self.text(number::NAME).unwrap_or("")
    }

    /// Value of the RDN, unescaped: `Owens, Carla`.
    pub fn name(&self) -> String {
        dn::parse(self.rdn()).ok().and_then(|rdns| rdns.into_iter().next()).map_or(String::new(), |rdn| rdn.value)
    }

    /// displayName.
    pub fn display_name(&self) -> Option<&str> {
        self.text(number::DISPLAY_NAME)
    }

    /// displayName, else the name.
    pub fn label(&self) -> String {
        self.display_name().map_or_else(|| self.name(), str::to_owned)
    }

    /// sAMAccountName.
    pub fn sam_account_name(&self) -> Option<&str> {
        self.text(number::SAM_ACCOUNT_NAME)
    }

    /// What the account may send, if it was said for it; the error is in words.
    pub fn sending_limits(&self) -> Option<Result<crate::SendingLimits, String>> {
        let texts = self.sending_limit_texts();
        (!texts.is_empty()).then(|| crate::SendingLimits::parse(texts.iter().map(String::as_str)))
    }

    /// The same as it is written.
    pub fn sending_limit_texts(&self) -> Vec<String> {
        let texts = self.values(number::SENDING_LIMITS).map(|value| String::from_utf8_lossy(value).into_owned());
        texts.collect()
    }

    /// userPrincipalName.
    pub fn upn(&self) -> Option<&str> {
        self.text(number::USER_PRINCIPAL_NAME)
    }

    /// objectSid.
    pub fn sid(&self) -> Option<SidId> {
        self.sid
    }

    /// Not disabled (userAccountControl 0x2). True for what is no account.
    pub fn enabled(&self) -> bool {
        self.flags & ENABLED != 0
    }

    /// The `SMTP:` proxy address, else `mail`.
    pub fn primary_address(&self) -> Option<Address> {
        let text = self.primary_proxy().or_else(|| self.text(number::MAIL))?;
        Address::parse(text).ok()
    }

    /// All SMTP addresses, the primary one first.
    pub fn addresses(&self) -> Vec<CanonicalAddress> {
        let mut addresses: Vec<CanonicalAddress> = Vec::new();
        let primary = self.primary_proxy().or_else(|| self.text(number::MAIL));
        for text in primary.into_iter().chain(self.values(number::PROXY_ADDRESSES).filter_map(smtp_proxy)) {
            if let Ok(address) = CanonicalAddress::parse(text)
                && !addresses.contains(&address)
            {
                addresses.push(address);
            }
        }
        addresses
    }

    /// The mailbox that it owns.
    pub fn mailbox(&self) -> Option<Mailbox> {
        self.mailbox.map(|guid| Mailbox { guid, database: self.database })
    }

    /// The mailbox without an owner that it stands for.
    pub fn disconnected_mailbox(&self) -> Option<Guid> {
        if self.class != Class::DisconnectedMailbox {
            return None;
        }
        self.values(number::DISCONNECTED_MAILBOX).next()?.try_into().ok().map(Guid)
    }

    /// The mailbox that nobody else may have: it owns it, or stands for it.
    pub(crate) fn carried_mailbox(&self) -> Option<Guid> {
        self.mailbox.or_else(|| self.disconnected_mailbox())
    }

    /// msExchMasterAccountSid.
    pub fn master_account(&self) -> Option<SidId> {
        self.master_account
    }

    /// groupType; groups only.
    pub fn group_type(&self) -> Option<GroupType> {
        (self.class == Class::Group).then_some(GroupType(self.group_type))
    }

    /// A security-enabled group.
    pub fn is_security_group(&self) -> bool {
        self.group_type().is_some_and(GroupType::is_security)
    }

    /// RID of the primary group; accounts only.
    pub fn primary_group_rid(&self) -> Option<u32> {
        self.class.is_account().then_some(self.primary_group)
    }

    /// adminCount.
    pub fn admin_count(&self) -> bool {
        self.flags & ADMIN_COUNT != 0
    }

    /// msExchHideFromAddressLists.
    pub fn hidden(&self) -> bool {
        self.flags & HIDDEN != 0
    }

    /// msExchRequireAuthToSendTo.
    pub fn requires_authenticated_sender(&self) -> bool {
        self.flags & REQUIRE_AUTH != 0
    }

    /// What an attribute says that is text, a number or a truth value; links are asked of the snapshot. None where it is
    /// absent, and for names that the table does not have.
    pub fn words(&self, attribute: &str) -> Option<&str> {
        attributes::number_of(attribute).and_then(|number| self.text(number))
    }

    /// What a truth value says, if it is there.
    pub fn truth(&self, attribute: &str) -> Option<bool> {
        self.words(attribute).map(|text| is_true(text.as_bytes()))
    }

    /// What it configures.
    pub fn config(&self) -> Option<&Config> {
        self.config.as_deref()
    }

    fn primary_proxy(&self) -> Option<&str> {
        let primary = self.values(number::PROXY_ADDRESSES).find(|value| value.starts_with(b"SMTP:"));
        primary.and_then(smtp_proxy)
    }

    /// First value of a packed attribute, as text.
    pub(crate) fn text(&self, number: u16) -> Option<&str> {
        self.values(number).next().and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Values of a packed attribute.
    pub(crate) fn values(&self, number: u16) -> impl Iterator<Item = &[u8]> + '_ {
        self.packed().filter(move |(own, _)| *own == number).map(|(_, value)| value)
    }

    fn packed(&self) -> Packed<'_> {
        Packed::new(&self.packed)
    }

    /// Whether one of its addresses is this one. Compares without allocation where both are plain.
    pub(crate) fn owns(&self, address: &CanonicalAddress) -> bool {
        let wanted = address.as_str();
        let same = |text: &str| {
            if is_plain(text) {
                return text.eq_ignore_ascii_case(wanted);
            }
            CanonicalAddress::parse(text).is_ok_and(|own| own == *address)
        };
        self.values(number::PROXY_ADDRESSES).filter_map(smtp_proxy).any(same)
            || (self.primary_proxy().is_none() && self.text(number::MAIL).is_some_and(same))
    }

    /// sIDHistory.
    pub(crate) fn sid_history(&self) -> impl Iterator<Item = Sid> + '_ {
        self.values(number::SID_HISTORY).filter_map(|value| Sid::parse(value).ok().map(|(sid, _)| sid))
    }

    /// When grants on it end, in milliseconds since the Unix epoch.
    pub(crate) fn expiries(&self, put: &mut dyn FnMut(u64)) {
        const EXPIRING: [u16; 3] = [number::EXPIRING_GRANT, number::EXPIRING_MAILBOX_GRANT, number::EXPIRING_DELEGATE];
        for (_, value) in self.packed().filter(|(number, _)| EXPIRING.contains(number)) {
            let time = std::str::from_utf8(value).ok().and_then(|text| text.split(' ').next()?.parse().ok());
            time.into_iter().for_each(&mut *put);
        }
    }

    /// The durable attributes, links aside.
    pub(crate) fn attributes(&self, shared: &Shared) -> BTreeMap<String, Vec<Value>> {
        let mut attributes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut last: Option<(u16, Vec<Value>)> = None;
        let mut put = |entry: Option<(u16, Vec<Value>)>| {
            if let Some((number, values)) = entry
                && number != number::NAME
            {
                attributes.insert(shared.names.name(number), values);
            }
        };
        for (number, value) in self.packed() {
            match &mut last {
                Some((current, values)) if *current == number => values.push(value.to_vec()),
                _ => put(last.replace((number, vec![value.to_vec()]))),
            }
        }
        put(last);
        let mut one = |name: &str, value: Value| attributes.insert(name.to_owned(), vec![value]);
        if let Some(sid) = self.sid {
            one(attributes::OBJECT_SID, shared.sids.sid(sid).to_bytes());
        }
        if let Some(sid) = self.master_account {
            one(attributes::MASTER_ACCOUNT_SID, shared.sids.sid(sid).to_bytes());
        }
        if let Some(guid) = self.mailbox {
            one(attributes::MAILBOX_GUID, guid.0.to_vec());
        }
        if let Some(explicit) = &self.explicit {
            one(attributes::DESCRIPTOR, explicit.bytes.to_vec());
        }
        if let Some(explicit) = &self.mailbox_explicit {
            one(attributes::MAILBOX_DESCRIPTOR, explicit.bytes.to_vec());
        }
        if self.class != Class::Other && !attributes.contains_key(attributes::OBJECT_CLASS) {
            let classes = self.class.object_classes().iter().map(|name| name.as_bytes().to_vec()).collect();
            attributes.insert(attributes::OBJECT_CLASS.to_owned(), classes);
        }
        attributes
    }
}

/// Whether these are just the objectClass values of a known class, which need not be kept.
fn is_chain_of(class: Class, values: &[Value]) -> bool {
    class != Class::Other
        && class.object_classes().iter().map(|name| name.as_bytes()).eq(values.iter().map(Vec::as_slice))
}

/// The parts of an object that are not attributes.
pub(crate) struct Identity<'a> {
    pub(crate) guid: Guid,
    pub(crate) parent: Option<ObjectId>,
    /// RFC 4514 text.
    pub(crate) rdn: &'a str,
    pub(crate) database: Option<ObjectId>,
}

impl Object {
    /// Builds an object of its durable attributes. Links are passed over. `bad` hears of values that cannot be; such a
    /// value is kept and does not count.
    pub(crate) fn build(
        shared: &Shared,
        identity: Identity<'_>,
        attributes: &BTreeMap<String, Vec<Value>>,
        bad: &mut dyn FnMut(&str, String),
    ) -> Object {
        let class =
            Class::from_object_classes(attributes.get(attributes::OBJECT_CLASS).map_or(&[][..], |values| values));
        let mut object = Object {
            guid: identity.guid,
            mailbox: None,
            parent: identity.parent,
            database: identity.database,
            sid: None,
            master_account: None,
            group_type: 0,
            primary_group: DOMAIN_USERS,
            class,
            flags: ENABLED,
            packed: Box::default(),
            explicit: None,
            mailbox_explicit: None,
            config: None,
        };
        let mut packed = Vec::with_capacity(256);
        pack(&mut packed, number::NAME, &[identity.rdn.as_bytes().to_vec()]);
        for (name, values) in attributes {
            let number = shared.names.number(name);
            let known = attributes::known(number);
            if let Some(attribute) = known {
                check(attribute, values, bad);
            }
            if values.is_empty() || !object.take(shared, number, values) {
                continue;
            }
            pack(&mut packed, number, values);
        }
        object.packed = packed.into_boxed_slice();
        match config::parse(&object) {
            Ok(config) => object.config = config.map(Box::new),
            Err((attribute, reason)) => bad(attribute, reason),
        }
        object
    }

    /// Puts a value into its field. False: it need not be packed.
    fn take(&mut self, shared: &Shared, number: u16, values: &[Value]) -> bool {
        let first = values[0].as_slice();
        let flag = |bit: u8, on: bool| if on { bit } else { 0 };
        match number {
            number::OBJECT_CLASS => return !is_chain_of(self.class, values),
            number::OBJECT_SID => {
                self.sid = whole_sid(first).map(|sid| shared.sids.intern(&sid));
                return self.sid.is_none();
            }
            number::MASTER_ACCOUNT_SID => {
                self.master_account = whole_sid(first).map(|sid| shared.sids.intern(&sid));
                return self.master_account.is_none();
            }
            number::MAILBOX_GUID => {
                self.mailbox = first.try_into().ok().map(Guid);
                return self.mailbox.is_none();
            }
            number::DESCRIPTOR => {
                self.explicit = Some(shared.descriptors.explicit(first));
                return false;
            }
            number::MAILBOX_DESCRIPTOR => {
                self.mailbox_explicit = Some(shared.descriptors.explicit(first));
                return false;
            }
            number::USER_ACCOUNT_CONTROL => {
                let disabled =
                    self.class.is_account() && integer(first).is_none_or(|n| n as u32 & ACCOUNT_DISABLED != 0);
                self.flags &= !flag(ENABLED, disabled);
            }
            number::PRIMARY_GROUP_ID => self.primary_group = integer(first).map_or(0, |n| n as u32),
            number::GROUP_TYPE => self.group_type = integer(first).map_or(0, |n| n as i32),
            number::ADMIN_COUNT => self.flags |= flag(ADMIN_COUNT, integer(first).is_some_and(|n| n > 0)),
            number::HIDE_FROM_ADDRESS_LISTS => self.flags |= flag(HIDDEN, is_true(first)),
            number::REQUIRE_AUTH_TO_SEND_TO => self.flags |= flag(REQUIRE_AUTH, is_true(first)),
            number
                if attributes::known(number).is_some_and(|a| matches!(a.syntax, Syntax::Link(_) | Syntax::Derived)) =>
            {
                return false;
            }
            _ => {}
        }
        true
    }

    /// The index entries of the object.
    pub(crate) fn keys(&self, put: &mut dyn FnMut(Which, u64)) {
        put(Which::Guid, hash(&self.guid));
        put(Which::Name, name_key(self.parent, &rdn_key(self.rdn())));
        put(Which::Children, self.parent.map_or(u64::MAX, |parent| u64::from(parent.0)));
        if let Some(sid) = self.sid {
            put(Which::Sid, u64::from(sid.0));
        }
        let primary = if self.primary_proxy().is_none() { self.text(number::MAIL) } else { None };
        let mut keys: SmallVec<[u64; 8]> = SmallVec::new();
        for text in self.values(number::PROXY_ADDRESSES).filter_map(smtp_proxy).chain(primary) {
            if let Some(key) = address_key(text).filter(|key| !keys.contains(key)) {
                keys.push(key);
                put(Which::Address, key);
            }
        }
        if let Some(name) = self.sam_account_name() {
            put(Which::Sam, hash(dn::folded(name).as_str()));
        }
        if let Some(name) = self.upn() {
            put(Which::Upn, hash(dn::folded(name).as_str()));
        }
        if let Some(guid) = self.carried_mailbox() {
            put(Which::Mailbox, hash(&guid));
        }
        if let Some(account) = self.master_account {
            put(Which::Linked, u64::from(account.0));
        }
        let name = dn::folded(&self.name());
        if let Some(label) = self.display_name().map(dn::folded)
            && label != name
        {
            put(Which::Label, hash(label.as_str()));
        }
        put(Which::Label, hash(name.as_str()));
        // The defaults (Domain Users, Guests, Computers) have too many for an index to help, and protect nobody.
        if self.class.is_account() && !DEFAULT_PRIMARY_GROUPS.contains(&self.primary_group) {
            put(Which::PrimaryGroup, u64::from(self.primary_group));
        }
        for sid in self.sid_history() {
            put(Which::SidHistory, hash(&sid));
        }
        self.expiries(&mut |time| put(Which::Expiring, time));
    }
}

/// An index of the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Which {
    Guid,
    Sid,
    Name,
    Children,
    Address,
    Sam,
    Upn,
    Mailbox,
    Label,
    PrimaryGroup,
    SidHistory,
    Expiring,
    Linked,
}

/// Number of variants of [`Which`].
pub(crate) const INDEXES: usize = 13;

/// The key of an address as written: that of its canonical form.
fn address_key(text: &str) -> Option<u64> {
    if is_plain(text) {
        let mut lower = [0; 128];
        let lower = &mut lower[..text.len()];
        lower.copy_from_slice(text.as_bytes());
        lower.make_ascii_lowercase();
        return std::str::from_utf8(lower).ok().map(hash);
    }
    CanonicalAddress::parse(text).ok().map(|address| hash(address.as_str()))
}

/// An address that is canonical but for case: nearly all are, and they need no parser. Anything doubtful is not plain.
fn is_plain(text: &str) -> bool {
    if text.len() > 128 {
        return false;
    }
    // What stood before: a character of a label, a hyphen in the domain, or what a label cannot begin behind.
    let (mut at, mut dots, mut before, mut numeric) = (None, 0, b'.', true);
    for (position, byte) in text.bytes().enumerate() {
        let edge = before == b'.' || at.is_some() && before == b'-';
        match byte {
            b'0'..=b'9' => {}
            b'a'..=b'z' | b'A'..=b'Z' => numeric = false,
            b'_' if at.is_none() => {}
            b'-' if at.is_none() || !edge => numeric = false,
            b'.' if !edge => (dots, numeric) = (dots + usize::from(at.is_some()), true),
            b'@' if at.is_none() && !edge && position <= 64 => {
                (at, before) = (Some(position), b'.');
                continue;
            }
            _ => return false,
        }
        before = byte;
    }
    dots > 0 && before != b'.' && before != b'-' && !numeric
}

/// The key of an object's name below its parent.
pub(crate) fn name_key(parent: Option<ObjectId>, rdn_key: &str) -> u64 {
    hash(&(parent.map_or(u32::MAX, |parent| parent.0), rdn_key))
}

/// What RDNs (or the whole DN of a naming context's root) are compared by.
pub(crate) fn rdn_key(rdn: &str) -> String {
    let rdns = dn::parse(rdn).unwrap_or_default();
    rdns.iter().map(dn::Rdn::key).collect::<Vec<_>>().join(",")
}

/// The address of an `smtp:` value of proxyAddresses.
pub(crate) fn smtp_proxy(value: &[u8]) -> Option<&str> {
    let (kind, address) = value.split_at_checked(5)?;
    if !kind.eq_ignore_ascii_case(b"smtp:") {
        return None;
    }
    std::str::from_utf8(address).ok()
}

pub(crate) fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

pub(crate) fn is_true(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"TRUE")
}

pub(crate) fn whole_sid(value: &[u8]) -> Option<Sid> {
    Sid::parse(value).ok().filter(|(_, length)| *length == value.len()).map(|(sid, _)| sid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_plain_address_is_canonical_but_for_case(text in "[a-zA-Z0-9._-]{0,9}@?(xn--)?[a-zA-Z0-9_-]{0,8}(\\.[a-zA-Z0-9-]{0,5})?") {
            if is_plain(&text) {
                let canonical = CanonicalAddress::parse(&text).map(|address| address.as_str().to_owned());
                prop_assert_eq!(canonical, Ok(text.to_ascii_lowercase()));
            }
        }
    }

    #[test]
    fn an_ordinary_address_is_plain() {
        assert!(is_plain("Carla.Owens_1-x@Mail-2.Example.COM"));
    }
}
