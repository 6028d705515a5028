//! Computed against stored: what a snapshot derived step by step, held against what its records say now.
//!
//! Descriptors, tokens and indexes are worked out once more, without anything that is remembered, and compared with what
//! decisions are made on. An object's descriptor is worked out from its parent's as it is held; all objects together
//! prove all of them.

use std::collections::BTreeSet;

use acl::{CompiledDacl, Guid, SecurityDescriptor, SidId};

use crate::attributes::number;
use crate::descriptor::{Descriptor, readable};
use crate::index::Index;
use crate::object::{INDEXES, Which};
use crate::{Class, Object, ObjectId, Record, Snapshot, attributes as a, linked, mailbox};

/// Something that is held and should be something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// The object; none: it is about the directory as a whole.
    pub object: Option<Guid>,
    /// What is wrong.
    pub what: Part,
    /// What it should be, in words or SDDL.
    pub computed: String,
    /// What it is.
    pub held: String,
}

/// What was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The object is stored and not held, or held and not stored.
    Object,
    /// An attribute, or the name or place of the object.
    Attribute(String),
    /// The effective security descriptor.
    Descriptor,
    /// The effective mailbox descriptor.
    MailboxDescriptor,
    /// The database that the mailbox is in.
    Database,
    /// The Associated External Account: one that is refused when it is written, stored all the same.
    ExternalAccount,
    /// The SIDs of an account's token.
    Token,
    /// An index.
    Index(&'static str),
    /// Links and back links.
    Links,
    /// Domains, accepted domains and configuration objects.
    Configuration,
    /// Which accounts AdminSDHolder protects.
    Protection,
}

impl Part {
    /// For machines.
    pub fn name(&self) -> String {
        match self {
            Part::Object => "object".to_owned(),
            Part::Attribute(name) => format!("attribute {name}"),
            Part::Descriptor => "descriptor".to_owned(),
            Part::MailboxDescriptor => "mailbox-descriptor".to_owned(),
            Part::Database => "database".to_owned(),
            Part::ExternalAccount => "external-account".to_owned(),
            Part::Token => "token".to_owned(),
            Part::Index(name) => format!("index {name}"),
            Part::Links => "links".to_owned(),
            Part::Configuration => "configuration".to_owned(),
            Part::Protection => "protection".to_owned(),
        }
    }
}

/// The indexes by number, and what they are called.
const NAMES: [(Which, &str); INDEXES] = [
    (Which::Guid, "objectGUID"),
    (Which::Sid, "objectSid"),
    (Which::Name, "name"),
    (Which::Children, "children"),
    (Which::Address, "addresses"),
    (Which::Sam, "sAMAccountName"),
    (Which::Upn, "userPrincipalName"),
    (Which::Mailbox, "mailboxes"),
    (Which::Label, "labels"),
    (Which::PrimaryGroup, "primaryGroupID"),
    (Which::SidHistory, "sIDHistory"),
    (Which::Expiring, "ends of grants"),
    (Which::Linked, "external accounts"),
];

/// Differences of one index that are told one by one.
const TOLD: usize = 20;

impl Snapshot {
    /// Number of steps of [`Snapshot::verify_whole`].
    pub const WHOLE_STEPS: u32 = INDEXES as u32 + 3;

    /// Holds an object against its stored record: attributes, links, effective descriptors, token.
    pub fn verify_record(&self, stored: &Record) -> Vec<Discrepancy> {
        let mut found = Vec::new();
        let mut report = |what: Part, computed: String, held: String| {
            found.push(Discrepancy { object: Some(stored.guid), what, computed, held });
        };
        let held = self.by_guid(&stored.guid).and_then(|id| Some((id, self.object(id)?, self.record(id)?)));
        let Some((id, object, record)) = held else {
            report(Part::Object, "is stored".to_owned(), "is not held".to_owned());
            return found;
        };
        if (&stored.parent, &stored.rdn) != (&record.parent, &record.rdn) {
            let place = |record: &Record| {
                let parent = record.parent.map_or_else(|| "nothing".to_owned(), |parent| parent.to_string());
                format!("{} below {parent}", record.rdn)
            };
            report(Part::Attribute(a::DISTINGUISHED_NAME.to_owned()), place(stored), place(&record));
        }
        let names: BTreeSet<&String> = stored.attributes.keys().chain(record.attributes.keys()).collect();
        for name in names {
            let (theirs, ours) = (stored.values(name), record.values(name));
            if theirs != ours {
                report(Part::Attribute(name.clone()), values(theirs), values(ours));
            }
        }
        let explicit = stored.values(a::DESCRIPTOR).first().and_then(|bytes| readable(bytes));
        let computed = explicit.and_then(|explicit| self.computed_descriptor(object, &explicit));
        if let Some((computed, held)) = self.differ(computed, self.descriptor(id)) {
            report(Part::Descriptor, computed, held);
        }
        let computed = self.computed_mailbox(object, stored);
        if let Some((computed, held)) = self.differ(computed, self.mailbox_descriptor(id)) {
            report(Part::MailboxDescriptor, computed, held);
        }
        let database = self.links.targets(number::HOME_MDB, id).first().copied();
        if object.database != database {
            let name = |id: Option<ObjectId>| id.map_or_else(|| "none".to_owned(), |id| self.dn(id));
            report(Part::Database, name(database), name(object.database));
        }
        if let Some(account) = object.master_account() {
            let domain = self.domain_of(id).map(|domain| domain.object);
            let sid = self.sid(account);
            match linked::check(self, &sid, domain, Some(id)) {
                Ok(()) => {}
                Err(linked::Refusal::Unfit(reason)) => report(Part::ExternalAccount, reason, sid.to_string()),
                Err(linked::Refusal::Taken(other)) => {
                    report(Part::ExternalAccount, format!("{sid} is that of {}", self.dn(other)), sid.to_string());
                }
            }
        }
        for domain in self.domains() {
            let Ok(token) = self.token_of(id) else { break };
            let held: BTreeSet<SidId> = token.sids_on(self, domain.object).iter().collect();
            let computed: BTreeSet<SidId> =
                self.computed_token(id, Some(domain.object)).iter().flat_map(|sids| sids.iter()).collect();
            if computed != held {
                let text = |sids: &mut dyn Iterator<Item = &SidId>| {
                    sids.map(|sid| self.sid(*sid).to_string()).collect::<Vec<_>>().join(" ")
                };
                let missing = text(&mut computed.difference(&held));
                let extra = text(&mut held.difference(&computed));
                let of = &domain.dns_name;
                report(Part::Token, format!("for {of} also {missing}"), format!("for {of} also {extra}"));
            }
        }
        found
    }

    /// Objects that are held and that `is_stored` does not know.
    pub fn verify_stored(&self, is_stored: impl Fn(&Guid) -> bool) -> Vec<Discrepancy> {
        let unknown = self.objects().map(|(_, object)| object.guid()).filter(|guid| !is_stored(guid));
        let report = |guid| Discrepancy {
            object: Some(guid),
            what: Part::Object,
            computed: "is not stored".to_owned(),
            held: "is held".to_owned(),
        };
        unknown.map(report).collect()
    }

    /// One step of what is about all objects together: an index, links, configuration, protection. Steps are numbered
    /// from 0 to [`Snapshot::WHOLE_STEPS`].
    pub fn verify_whole(&self, step: u32) -> Vec<Discrepancy> {
        let whole = |what: Part, computed: &str, held: &str| {
            vec![Discrepancy { object: None, what, computed: computed.to_owned(), held: held.to_owned() }]
        };
        match NAMES.get(step as usize) {
            Some((which, name)) => {
                let mut entries = Vec::new();
                for (id, object) in self.objects() {
                    object.keys(&mut |own, key| {
                        if own == *which {
                            entries.push((key, id.0));
                        }
                    });
                }
                self.compare(&Part::Index(name), entries, self.index(*which), |(_, id)| ObjectId(id))
            }
            None if step == INDEXES as u32 => {
                let forward = self.links.forward.entries();
                let dead = |row: u32| self.object(ObjectId(row)).is_none();
                if forward.iter().any(|(key, target)| dead(*key as u32) || dead(*target)) {
                    return whole(Part::Links, "between objects", "of objects that are gone");
                }
                let back = forward.iter().map(|(key, target)| (key >> 32 << 32 | u64::from(*target), *key as u32));
                self.compare(&Part::Links, back.collect(), &self.links.back, |(key, _)| ObjectId(key as u32))
            }
            None if step == INDEXES as u32 + 1 => {
                let counts = |object: &Object| object.config().is_some() || object.class() == Class::Domain;
                let objects = self.objects().filter(|(_, object)| counts(object)).map(|(id, _)| id).collect();
                let computed = self.config_view(objects);
                let same = computed.objects == self.view.objects
                    && computed.domains == self.view.domains
                    && computed.accepted == self.view.accepted
                    && computed.wildcards == self.view.wildcards
                    && computed.organization == self.view.organization;
                if same { Vec::new() } else { whole(Part::Configuration, "as its objects say", "something else") }
            }
            None if step == INDEXES as u32 + 2 => {
                let computed = crate::protected::protected_set(self);
                let differ = &computed ^ self.protected_set();
                let state = |row: u32| if computed.contains(row) { "protected" } else { "not protected" };
                let other = |row: u32| if computed.contains(row) { "not protected" } else { "protected" };
                let guid = |row: u32| self.object(ObjectId(row)).map(Object::guid);
                let report = |row: u32| Discrepancy {
                    object: guid(row),
                    what: Part::Protection,
                    computed: state(row).to_owned(),
                    held: other(row).to_owned(),
                };
                differ.iter().take(TOLD).map(report).collect()
            }
            None => Vec::new(),
        }
    }

    fn compare(
        &self,
        what: &Part,
        entries: Vec<(u64, u32)>,
        held: &Index,
        about: impl Fn((u64, u32)) -> ObjectId,
    ) -> Vec<Discrepancy> {
        let computed = Index::from_entries(entries).entries();
        let held = held.entries();
        if computed == held {
            return Vec::new();
        }
        let (computed, held): (BTreeSet<_>, BTreeSet<_>) = (computed.into_iter().collect(), held.into_iter().collect());
        let differ = computed.symmetric_difference(&held).take(TOLD);
        let report = |entry: &(u64, u32)| {
            let words = if computed.contains(entry) { ("an entry", "none") } else { ("no entry", "one") };
            Discrepancy {
                object: self.object(about(*entry)).map(Object::guid),
                what: what.clone(),
                computed: words.0.to_owned(),
                held: words.1.to_owned(),
            }
        };
        differ.map(report).collect()
    }

    /// The effective descriptor of an object, from its parent's as it is held.
    fn computed_descriptor(&self, object: &Object, explicit: &SecurityDescriptor) -> Option<SecurityDescriptor> {
        let above = object.parent().filter(|_| !object.class().is_naming_context());
        let parent = match above {
            Some(above) => match self.descriptor(above) {
                Some(descriptor) => Some(descriptor.sd()),
                None if explicit.is_dacl_protected() => None,
                None => return None,
            },
            None => None,
        };
        Some(acl::effective_descriptor(parent, explicit, &[object.class().schema_guid()]))
    }

    fn computed_mailbox(&self, object: &Object, stored: &Record) -> Option<SecurityDescriptor> {
        let database = match object.mailbox()?.database {
            Some(database) => Some(self.descriptor(database)?),
            None => None,
        };
        let explicit = match stored.values(a::MAILBOX_DESCRIPTOR).first() {
            Some(bytes) => readable(bytes)?,
            None => mailbox::default_descriptor(),
        };
        Some(mailbox::effective(&explicit, database))
    }

    /// How a computed descriptor and the one that is held differ, in SDDL. What checks run on is held against it too.
    fn differ(&self, computed: Option<SecurityDescriptor>, held: Option<&Descriptor>) -> Option<(String, String)> {
        let text = |sd: Option<&SecurityDescriptor>| {
            sd.map_or_else(|| "none".to_owned(), |sd| sd.to_sddl(&acl::SddlContext::default()))
        };
        if computed.as_ref() != held.map(Descriptor::sd) {
            return Some((text(computed.as_ref()), text(held.map(Descriptor::sd))));
        }
        let (computed, held) = (computed?, held?);
        let compiled = CompiledDacl::compile(&computed, &mut |sid| self.shared.sids.intern(sid));
        (compiled != *held.dacl()).then(|| (text(Some(&computed)), "the same, prepared differently".to_owned()))
    }
}

/// Values for people: text as text, else how much there is.
fn values(values: &[Vec<u8>]) -> String {
    let text = |value: &Vec<u8>| match std::str::from_utf8(value) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("{} octets", value.len()),
    };
    values.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::organization::{self, Names};
    use crate::{Change, ChangeBatch, GroupScope, GroupType, Time};

    /// An organization with a user who has a mailbox and is in a group.
    fn snapshot() -> Snapshot {
        let mut next = 0;
        let mut guid = || {
            next += 1;
            Guid::from_u128(next)
        };
        let names = Names {
            domain: "example.com".into(),
            netbios: "EXAMPLE".into(),
            domain_sid: "S-1-5-21-1-2-3".parse().unwrap(),
            organization: "First".into(),
            server: "MAIL".into(),
            server_fqdn: "mail.example.com".into(),
        };
        let changes = organization::new_organization(&names, &[], &mut guid);
        let after = |snapshot: &Snapshot, changes| {
            let author = acl::well_known::SYSTEM;
            let batch = ChangeBatch { author, time: Time(0), comment: String::new(), changes };
            snapshot.apply(&batch).unwrap().snapshot
        };
        let empty = after(&Snapshot::empty(), changes);
        let of = |name: &str| empty.object(empty.resolve(name).unwrap()).unwrap().guid();
        let user = organization::user(guid(), of("example.com/Users"), "zoe", "zoe");
        let user = organization::with_mailbox(user, guid(), &of("Mailbox Database"), &["zoe@example.com"]);
        let kind = GroupType::security(GroupScope::Global);
        let group = organization::group(guid(), of("example.com/Users"), "Team", kind)
            .with(a::MEMBER, crate::link_value(&user.guid));
        after(&empty, vec![Change::Add(user), Change::Add(group)])
    }

    fn records(snapshot: &Snapshot) -> Vec<Record> {
        snapshot.objects().filter_map(|(id, _)| snapshot.record(id)).collect()
    }

    /// What is found in a snapshot that should be what `good` is.
    fn found(snapshot: &Snapshot, good: &Snapshot) -> Vec<String> {
        let stored = records(good);
        let objects = stored.iter().flat_map(|record| snapshot.verify_record(record));
        let whole = (0..Snapshot::WHOLE_STEPS).flat_map(|step| snapshot.verify_whole(step));
        let held = snapshot.verify_stored(|guid| good.by_guid(guid).is_some());
        let mut names: Vec<String> = objects.chain(whole).chain(held).map(|row| row.what.name()).collect();
        names.dedup();
        names
    }

    fn zoe(snapshot: &Snapshot) -> usize {
        snapshot.resolve("zoe").unwrap().0 as usize
    }

    #[test]
    fn a_snapshot_is_what_its_records_say() {
        let good = snapshot();
        assert_eq!(found(&good, &good), Vec::<String>::new());
    }

    #[test]
    fn a_descriptor_that_is_not_what_it_inherits_is_found() {
        let (good, mut bad) = (snapshot(), snapshot());
        let (zoe, other) = (zoe(&bad), bad.effective.get(0).cloned().flatten());
        *bad.effective.get_mut(zoe).unwrap() = other;
        assert_eq!(found(&bad, &good), ["descriptor"]);
    }

    #[test]
    fn a_mailbox_descriptor_that_is_missing_is_found() {
        let (good, mut bad) = (snapshot(), snapshot());
        let zoe = zoe(&bad);
        *bad.mailbox.get_mut(zoe).unwrap() = None;
        assert_eq!(found(&bad, &good), ["mailbox-descriptor"]);
    }

    #[test]
    fn a_token_that_remembers_a_membership_that_is_gone_is_found() {
        let good = snapshot();
        let zoe = ObjectId(zoe(&good) as u32);
        good.token_of(zoe).unwrap();
        let mut bad = good.clone();
        let team = bad.resolve("Team").unwrap();
        bad.links.remove(number::MEMBER, team, zoe);
        let names = found(&bad, &good);
        assert!(names.contains(&"token".to_owned()) && names.contains(&"attribute member".to_owned()), "{names:?}");
    }

    #[test]
    fn a_back_link_without_a_link_is_found() {
        let (good, mut bad) = (snapshot(), snapshot());
        let (zoe, team) = (zoe(&bad) as u32, bad.resolve("Team").unwrap());
        bad.links.back.insert(crate::links::key(number::MANAGER, team), zoe);
        assert_eq!(found(&bad, &good), ["links"]);
    }

    #[test]
    fn an_index_entry_too_few_and_one_too_many_are_found() {
        let good = snapshot();
        for (which, name) in NAMES {
            let mut bad = snapshot();
            bad.indexes[which as usize].insert(1, 0);
            assert!(found(&bad, &good).contains(&format!("index {name}")), "{name}");
        }
        let mut bad = snapshot();
        let entry = bad.index(Which::Address).entries()[0];
        bad.indexes[Which::Address as usize].remove(entry.0, entry.1);
        assert!(found(&bad, &good).contains(&"index addresses".to_owned()));
    }

    #[test]
    fn an_attribute_that_differs_from_the_stored_one_is_found() {
        let (good, mut bad) = (snapshot(), snapshot());
        let author = acl::well_known::SYSTEM;
        let guid = bad.object(bad.resolve("zoe").unwrap()).unwrap().guid();
        let attributes = vec![(a::DESCRIPTION.to_owned(), vec![b"new".to_vec()])];
        let changes = vec![Change::Modify { guid, attributes }];
        bad = bad.apply(&ChangeBatch { author, time: Time(0), comment: String::new(), changes }).unwrap().snapshot;
        assert_eq!(found(&bad, &good), ["attribute description"]);
    }

    #[test]
    fn an_object_that_is_only_held_or_only_stored_is_found() {
        let good = snapshot();
        let author = acl::well_known::SYSTEM;
        let guid = good.object(good.resolve("Team").unwrap()).unwrap().guid();
        let changes = vec![Change::Delete { guid }];
        let fewer = good.apply(&ChangeBatch { author, time: Time(0), comment: String::new(), changes }).unwrap();
        assert!(found(&fewer.snapshot, &good).contains(&"object".to_owned()));
        assert!(found(&good, &fewer.snapshot).contains(&"object".to_owned()));
    }

    #[test]
    fn an_accepted_domain_that_no_object_says_is_found() {
        let (good, mut bad) = (snapshot(), snapshot());
        let mut view = bad.config_view(bad.view.objects.clone());
        view.accepted.insert("elsewhere.test".to_owned(), ObjectId(0));
        bad.view = Arc::new(view);
        assert_eq!(found(&bad, &good), ["configuration"]);
    }

    #[test]
    fn an_external_account_that_is_refused_now_and_was_stored_before_is_found() {
        let mut all = records(&snapshot());
        let sid = vec![acl::well_known::EVERYONE.to_bytes()];
        let zoe = all.iter_mut().find(|record| record.rdn == "CN=zoe").unwrap();
        zoe.set(a::MASTER_ACCOUNT_SID, sid);
        let loaded = Snapshot::load(all, 1).unwrap().snapshot;
        assert_eq!(found(&loaded, &loaded), ["external-account"]);
    }

    #[test]
    fn every_index_has_a_name_and_a_step() {
        assert!(NAMES.iter().enumerate().all(|(at, (which, _))| *which as usize == at));
    }
}
