//! What becomes of mail for a recipient: forwarding, delivery restrictions, copies, journals; groups whose members follow a
//! filter, contacts, catch-alls.

use std::collections::BTreeSet;

use directory::dn::Rdn;
use directory::filter::Filter;
use directory::{Change, Class, Object, ObjectId, Record, Snapshot, attributes as a, link_value};
use message::Address;
use rights::admin::Action;
use serde::{Deserialize, Serialize};

use crate::accounts::{
    account_name, address_attributes, addresses, changed_addresses, container, guid_of, text, values,
};
use crate::authorize::require;
use crate::error::{Fault, FaultKind};
use crate::random::new_guid;
use crate::response::Response;
use crate::service::{Asked, Plan, find};

/// Operations on recipients.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientRequest {
    /// How mail for a recipient goes.
    Get {
        /// Any of its names.
        identity: String,
    },
    /// Change that.
    Set(Box<RecipientSet>),
    /// Create a contact or a dynamic group.
    New(Box<RecipientNew>),
    /// Delete a contact or a dynamic group.
    Remove {
        /// Any of its names.
        identity: String,
    },
    /// Who gets mail for addresses of an accepted domain that nobody has.
    CatchAll(CatchAll),
    /// Where the messages of the organization are journaled.
    Journal(Journal),
}

/// How mail for a recipient goes. In a command, what is absent stays as it is; an empty text takes a value away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecipientSettings {
    /// Mail is forwarded to this recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_to: Option<String>,
    /// What is forwarded stays in the mailbox too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_copy: Option<bool>,
    /// Where mail for a contact goes: an address elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Only these senders, and members of these groups, may send to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_from: Option<Vec<String>>,
    /// These senders, and members of these groups, may not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reject_from: Option<Vec<String>>,
    /// Only proven senders may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticated_only: Option<bool>,
    /// The mailbox gets a copy of what others send as it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_sent_as: Option<bool>,
    /// ... and on its behalf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_sent_on_behalf: Option<bool>,
    /// Each message that it sends or receives is reported to this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal_to: Option<String>,
    /// Who manages a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who hears of mail to a group that cannot be delivered: `sender`, `owner`, `nobody`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reports_to: Option<String>,
    /// The filter of a dynamic group (RFC 4515).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Members of a dynamic group are below this container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
}

/// Changes to a recipient.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RecipientSet {
    /// Any of its names.
    pub identity: String,
    /// Its mail addresses from now on, the primary one first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// What changes.
    #[serde(flatten)]
    pub settings: RecipientSettings,
}

/// A new recipient that is no account and no ordinary group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RecipientNew {
    /// Its name.
    pub name: String,
    /// A group whose members follow a filter, instead of a contact.
    #[serde(default)]
    pub dynamic_group: bool,
    /// Container; default: Users of the first domain.
    #[serde(default)]
    pub ou: Option<String>,
    /// Mail addresses, the primary one first.
    pub addresses: Vec<String>,
    /// The rest.
    #[serde(flatten)]
    pub settings: RecipientSettings,
}

/// Who gets mail for addresses that nobody has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CatchAll {
    /// The accepted domain.
    pub domain: String,
    /// The recipient; an empty text: nobody, such mail is refused. Absent: nothing is changed, it is shown.
    #[serde(default)]
    pub recipient: Option<String>,
}

/// Where the messages of the organization are journaled.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Journal {
    /// The address; an empty text: nowhere. Absent: nothing is changed, it is shown.
    #[serde(default)]
    pub address: Option<String>,
}

/// A recipient as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RecipientRow {
    /// Name.
    pub name: String,
    /// `user`, `group`, `contact`, …
    pub class: String,
    /// Distinguished name.
    pub dn: String,
    /// Mail addresses, the primary one first.
    pub addresses: Vec<String>,
    /// How mail for it goes.
    #[serde(flatten)]
    pub settings: RecipientSettings,
    /// Recipients of a dynamic group now.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub members: Vec<String>,
    /// What is worth knowing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
}

/// Answers about recipients.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RecipientResponse {
    /// One recipient.
    One(Box<RecipientRow>),
    /// A single value, where one was asked for: an address, or nothing.
    Value {
        /// The value.
        value: Option<String>,
    },
}

/// Members of a dynamic group that an answer names.
const SHOWN: usize = 1000;

pub(crate) fn answer(asked: Asked<'_>, request: &RecipientRequest) -> Result<Response, Fault> {
    match request {
        RecipientRequest::Get { identity } => get(asked, identity),
        RecipientRequest::Set(set) => self::set(asked, set),
        RecipientRequest::New(new) => self::new(asked, new),
        RecipientRequest::Remove { identity } => remove(asked, identity),
        RecipientRequest::CatchAll(wanted) => catch_all(asked, wanted),
        RecipientRequest::Journal(wanted) => journal(asked, wanted),
    }
}

fn get(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let id = find(snapshot, identity)?;
    require(snapshot, asked.caller, id, Action::Read, "read")?;
    let object = recipient(snapshot, id)?;
    let mut row = RecipientRow {
        name: account_name(snapshot, id, object),
        class: object.class().ldap_name().to_owned(),
        dn: snapshot.dn(id),
        addresses: addresses(object),
        settings: shown(snapshot, id, object, name_of),
        ..RecipientRow::default()
    };
    if object.class() == Class::DynamicGroup {
        let members = snapshot.dynamic_members(id);
        if members.len() > SHOWN {
            row.notes.push(format!("it has {} members; the first {SHOWN} are shown", members.len()));
        }
        let named = members.into_iter().take(SHOWN).filter_map(|id| snapshot.object(id)?.primary_address());
        row.members = named.map(|address| address.to_string()).collect();
        if let Some(Err(fault)) = object.words(a::DYNAMIC_FILTER).map(Filter::parse) {
            row.notes.push(fault.to_string());
        }
    }
    if row.addresses.is_empty() {
        row.notes.push("it has no mail address: no mail goes to it".to_owned());
    }
    Ok(Response::Recipient(RecipientResponse::One(Box::new(row))))
}

fn set(asked: Asked<'_>, set: &RecipientSet) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &set.identity)?;
        let object = recipient(snapshot, id)?;
        let mut attributes = attributes(snapshot, id, object.class(), &set.settings)?;
        attributes.extend(changed_addresses(snapshot, id, set.addresses.as_deref(), &[], &[])?);
        let mut plan = Plan::new(format!("changed {}", snapshot.dn(id)), Vec::new());
        match attributes.is_empty() {
            true => plan.done.warnings.push("there was nothing to change".to_owned()),
            false => plan.changes.push(Change::Modify { guid: object.guid(), attributes }),
        }
        if let Some(target) = set.settings.forward_to.as_deref().filter(|target| !target.is_empty())
            && find(snapshot, target)? == id
        {
            return Err(Fault::new(FaultKind::Invalid, "a recipient cannot forward to itself"));
        }
        Ok(plan)
    })
}

fn new(asked: Asked<'_>, new: &RecipientNew) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let parent = container(snapshot, new.ou.as_deref())?;
        let class = if new.dynamic_group { Class::DynamicGroup } else { Class::Contact };
        if new.addresses.is_empty() {
            return Err(Fault::new(FaultKind::Invalid, "a recipient needs a mail address")
                .help("give one with --address; for a contact, where its mail goes with --target"));
        }
        let mut record =
            Record::new(new_guid(), guid_of(snapshot, parent), Rdn::new("CN", new.name.as_str()).to_string())
                .with_all(a::OBJECT_CLASS, values(class.object_classes()))
                .with(a::DISPLAY_NAME, new.name.as_str());
        for (name, values) in address_attributes(snapshot, None, &new.addresses)? {
            record.set(&name, values);
        }
        for (name, values) in attributes(snapshot, parent, class, &new.settings)? {
            record.set(&name, values);
        }
        if new.dynamic_group && new.settings.filter.is_none() {
            return Err(Fault::new(FaultKind::Invalid, "a dynamic group needs a filter")
                .help("as in --filter '(&(objectClass=user)(department=Sales))'"));
        }
        Ok(Plan::new(format!("added {},{}", record.rdn, snapshot.dn(parent)), vec![Change::Add(record)]))
    })
}

fn remove(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, identity)?;
        let own = |object: &&Object| matches!(object.class(), Class::Contact | Class::DynamicGroup);
        let object = snapshot.object(id).filter(own).ok_or_else(|| {
            Fault::new(FaultKind::Invalid, format!("{} is neither a contact nor a dynamic group", snapshot.dn(id)))
                .help("`procura user remove` and `procura group remove` delete accounts and groups")
        })?;
        let change = Change::Delete { guid: object.guid() };
        Ok(Plan::new(format!("removed {}", snapshot.dn(id)), vec![change]))
    })
}

fn catch_all(asked: Asked<'_>, wanted: &CatchAll) -> Result<Response, Fault> {
    let domain = |snapshot: &Snapshot| {
        let own = crate::domains::named(snapshot, &wanted.domain).ok();
        own.or_else(|| snapshot.accepted_domain_id(&wanted.domain)).ok_or_else(|| {
            Fault::new(FaultKind::NotFound, format!("{} is no accepted domain", wanted.domain))
                .help("`procura domain list` shows them")
        })
    };
    let Some(to) = &wanted.recipient else {
        let id = domain(asked.snapshot)?;
        require(asked.snapshot, asked.caller, id, Action::Read, "read")?;
        let target = asked.snapshot.links(id, a::CATCH_ALL).first().copied();
        let value = target.map(|target| name_of(asked.snapshot, target));
        return Ok(Response::Recipient(RecipientResponse::Value { value }));
    };
    asked.change(|snapshot| {
        let id = domain(snapshot)?;
        let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, "the domain is gone"))?;
        let attributes = vec![(a::CATCH_ALL.to_owned(), link(snapshot, to)?)];
        let summary = match to.as_str() {
            "" => format!("{} has no catch-all", wanted.domain),
            to => format!("mail for addresses of {} that nobody has goes to {to}", wanted.domain),
        };
        Ok(Plan::new(summary, vec![Change::Modify { guid, attributes }]))
    })
}

fn journal(asked: Asked<'_>, wanted: &Journal) -> Result<Response, Fault> {
    let organization = |snapshot: &Snapshot| {
        snapshot.organization().ok_or_else(|| {
            Fault::new(FaultKind::Unavailable, "there is no organization").help("create one with `procura init`")
        })
    };
    let Some(address) = &wanted.address else {
        let id = organization(asked.snapshot)?;
        require(asked.snapshot, asked.caller, id, Action::Read, "read")?;
        let value = asked.snapshot.object(id).and_then(|object| object.words(a::JOURNAL)).map(str::to_owned);
        return Ok(Response::Recipient(RecipientResponse::Value { value }));
    };
    asked.change(|snapshot| {
        let id = organization(snapshot)?;
        let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, "it is gone"))?;
        let attributes = vec![(a::JOURNAL.to_owned(), text(checked_address(address)?))];
        let summary = match address.as_str() {
            "" => "the organization keeps no journal".to_owned(),
            address => format!("every message is reported to {address}"),
        };
        Ok(Plan::new(summary, vec![Change::Modify { guid, attributes }]))
    })
}

/// Attributes to write, by name.
type Attributes = Vec<(String, Vec<Vec<u8>>)>;

fn attributes(
    snapshot: &Snapshot,
    id: ObjectId,
    class: Class,
    settings: &RecipientSettings,
) -> Result<Attributes, Fault> {
    let mut all = Attributes::new();
    let is_group = matches!(class, Class::Group | Class::DynamicGroup);
    let only = |given: bool, fits: bool, what: &str, whose: &str| match given && !fits {
        true => {
            Err(Fault::new(FaultKind::Invalid, format!("{what} belongs to {whose}, and {} is none", snapshot.dn(id))))
        }
        false => Ok(()),
    };
    let for_groups = settings.reports_to.is_some() || settings.owner.is_some();
    only(for_groups, is_group, "who owns it and who hears of failures", "a group")?;
    let dynamic = settings.filter.is_some() || settings.below.is_some();
    only(dynamic, class == Class::DynamicGroup, "a filter", "a dynamic group")?;
    let mut put = |name: &str, values: Vec<Vec<u8>>| all.push((name.to_owned(), values));
    if let Some(target) = &settings.forward_to {
        put(a::ALT_RECIPIENT, link(snapshot, target)?);
    }
    if let Some(target) = &settings.target {
        let address = checked_address(target)?;
        put(a::TARGET_ADDRESS, if address.is_empty() { Vec::new() } else { text(&format!("SMTP:{address}")) });
    }
    for (list, people, groups) in [
        (&settings.accept_from, a::AUTH_ORIG, a::SUBMIT_PERMS),
        (&settings.reject_from, a::UNAUTH_ORIG, a::REJECT_PERMS),
    ] {
        let Some(names) = list else { continue };
        let (mut one_by_one, mut as_groups) = (Vec::new(), Vec::new());
        for name in names.iter().filter(|name| !name.is_empty()) {
            let sender = find(snapshot, name)?;
            let object = snapshot.object(sender).ok_or_else(|| Fault::new(FaultKind::NotFound, name.clone()))?;
            let list = if object.class() == Class::Group { &mut as_groups } else { &mut one_by_one };
            list.push(link_value(&object.guid()));
        }
        put(people, one_by_one);
        put(groups, as_groups);
    }
    let flags = [
        (a::DELIVER_AND_REDIRECT, settings.keep_copy),
        (a::REQUIRE_AUTH_TO_SEND_TO, settings.authenticated_only),
        (a::COPY_SENT_AS, settings.copy_sent_as),
        (a::COPY_SENT_ON_BEHALF, settings.copy_sent_on_behalf),
    ];
    for (name, flag) in flags {
        if let Some(flag) = flag {
            put(name, text(if flag { "TRUE" } else { "" }));
        }
    }
    if let Some(address) = &settings.journal_to {
        put(a::JOURNAL, text(checked_address(address)?));
    }
    if let Some(owner) = &settings.owner {
        put(a::MANAGED_BY, link(snapshot, owner)?);
    }
    if let Some(to) = &settings.reports_to {
        let (originator, owner) = match to.to_ascii_lowercase().as_str() {
            "sender" => ("", ""),
            "owner" => ("", "TRUE"),
            "nobody" => ("FALSE", ""),
            _ => {
                return Err(Fault::new(FaultKind::Invalid, format!("`{to}` cannot hear of failures"))
                    .help("it is sender, owner or nobody"));
            }
        };
        put(a::REPORT_TO_ORIGINATOR, text(originator));
        put(a::REPORT_TO_OWNER, text(owner));
    }
    if let Some(filter) = &settings.filter {
        Filter::parse(filter).map_err(|fault| {
            Fault::new(FaultKind::Invalid, fault.to_string())
                .help("as in (&(objectClass=user)(department=Sales)), RFC 4515")
        })?;
        put(a::DYNAMIC_FILTER, text(filter));
    }
    if let Some(below) = &settings.below {
        put(a::DYNAMIC_BASE, link(snapshot, below)?);
    }
    Ok(all)
}

/// How mail for a recipient goes; others are called as `name` says.
fn shown(
    snapshot: &Snapshot,
    id: ObjectId,
    object: &Object,
    name: fn(&Snapshot, ObjectId) -> String,
) -> RecipientSettings {
    let linked = |attribute: &str| -> Vec<String> {
        snapshot.links(id, attribute).into_iter().map(|target| name(snapshot, target)).collect()
    };
    let one = |attribute: &str| Some(linked(attribute).pop().unwrap_or_default());
    let words = |attribute: &str| Some(object.words(attribute).unwrap_or_default().to_owned());
    let is_on = |attribute: &str| Some(object.truth(attribute) == Some(true));
    let senders = |people: &str, groups: &str| Some([linked(people), linked(groups)].concat());
    let is_group = matches!(object.class(), Class::Group | Class::DynamicGroup);
    let has_mailbox = object.mailbox().is_some();
    let reports_to = match (object.truth(a::REPORT_TO_OWNER), object.truth(a::REPORT_TO_ORIGINATOR)) {
        (Some(true), _) => "owner",
        (_, Some(false)) => "nobody",
        _ => "sender",
    };
    let target = object.words(a::TARGET_ADDRESS).unwrap_or_default();
    let target = target.strip_prefix("SMTP:").unwrap_or(target).to_owned();
    RecipientSettings {
        forward_to: one(a::ALT_RECIPIENT),
        keep_copy: is_on(a::DELIVER_AND_REDIRECT).filter(|_| has_mailbox),
        target: Some(target).filter(|_| !has_mailbox && !is_group),
        accept_from: senders(a::AUTH_ORIG, a::SUBMIT_PERMS),
        reject_from: senders(a::UNAUTH_ORIG, a::REJECT_PERMS),
        authenticated_only: Some(object.requires_authenticated_sender()),
        copy_sent_as: is_on(a::COPY_SENT_AS).filter(|_| has_mailbox),
        copy_sent_on_behalf: is_on(a::COPY_SENT_ON_BEHALF).filter(|_| has_mailbox),
        journal_to: words(a::JOURNAL),
        owner: one(a::MANAGED_BY).filter(|_| is_group),
        reports_to: is_group.then(|| reports_to.to_owned()),
        filter: words(a::DYNAMIC_FILTER).filter(|_| object.class() == Class::DynamicGroup),
        below: one(a::DYNAMIC_BASE).filter(|_| object.class() == Class::DynamicGroup),
    }
}

/// The same without what goes without saying.
pub(crate) fn said(
    snapshot: &Snapshot,
    id: ObjectId,
    object: &Object,
    name: fn(&Snapshot, ObjectId) -> String,
) -> RecipientSettings {
    let RecipientSettings {
        forward_to,
        keep_copy,
        target,
        accept_from,
        reject_from,
        authenticated_only,
        copy_sent_as,
        copy_sent_on_behalf,
        journal_to,
        owner,
        reports_to,
        filter,
        below,
    } = shown(snapshot, id, object, name);
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let flag = |flag: Option<bool>| flag.filter(|flag| *flag);
    let list = |list: Option<Vec<String>>| {
        let mut list = list.filter(|list| !list.is_empty())?;
        list.sort();
        Some(list)
    };
    RecipientSettings {
        forward_to: text(forward_to),
        keep_copy: flag(keep_copy),
        target: text(target),
        accept_from: list(accept_from),
        reject_from: list(reject_from),
        authenticated_only: flag(authenticated_only),
        copy_sent_as: flag(copy_sent_as),
        copy_sent_on_behalf: flag(copy_sent_on_behalf),
        journal_to: text(journal_to),
        owner: text(owner),
        reports_to: reports_to.filter(|to| to != "sender"),
        filter: text(filter),
        below: text(below),
    }
}

/// Of these settings those that a recipient has otherwise; names are compared by what they mean.
pub(crate) fn others(
    snapshot: &Snapshot,
    id: ObjectId,
    wanted: &RecipientSettings,
) -> Result<RecipientSettings, Fault> {
    let now = shown(snapshot, id, recipient(snapshot, id)?, name_of);
    let mut others = wanted.clone();
    let is_linked = |names: &[String], attributes: &[&str]| -> Result<bool, Fault> {
        let named = names.iter().filter(|name| !name.is_empty()).map(|name| find(snapshot, name));
        let named: BTreeSet<ObjectId> = named.collect::<Result<_, _>>()?;
        let own: BTreeSet<ObjectId> = attributes.iter().flat_map(|attribute| snapshot.links(id, attribute)).collect();
        Ok(named == own)
    };
    for (wanted, attribute) in [
        (&mut others.forward_to, a::ALT_RECIPIENT),
        (&mut others.owner, a::MANAGED_BY),
        (&mut others.below, a::DYNAMIC_BASE),
    ] {
        if let Some(name) = wanted.as_ref()
            && is_linked(std::slice::from_ref(name), &[attribute])?
        {
            *wanted = None;
        }
    }
    for (wanted, attributes) in [
        (&mut others.accept_from, [a::AUTH_ORIG, a::SUBMIT_PERMS]),
        (&mut others.reject_from, [a::UNAUTH_ORIG, a::REJECT_PERMS]),
    ] {
        if let Some(names) = wanted.as_ref()
            && is_linked(names, &attributes)?
        {
            *wanted = None;
        }
    }
    for (wanted, now) in [
        (&mut others.target, now.target),
        (&mut others.journal_to, now.journal_to),
        (&mut others.reports_to, now.reports_to),
        (&mut others.filter, now.filter),
    ] {
        let now = now.unwrap_or_default();
        wanted.take_if(|wanted| *wanted == now);
    }
    for (wanted, now) in [
        (&mut others.keep_copy, now.keep_copy),
        (&mut others.authenticated_only, now.authenticated_only),
        (&mut others.copy_sent_as, now.copy_sent_as),
        (&mut others.copy_sent_on_behalf, now.copy_sent_on_behalf),
    ] {
        wanted.take_if(|wanted| *wanted == now.unwrap_or_default());
    }
    Ok(others)
}

/// A recipient: something that mail can go to.
fn recipient(snapshot: &Snapshot, id: ObjectId) -> Result<&Object, Fault> {
    let object = snapshot.object(id).filter(|object| {
        object.class().is_account()
            || matches!(object.class(), Class::Group | Class::DynamicGroup | Class::Contact | Class::PublicFolder)
    });
    object.ok_or_else(|| Fault::new(FaultKind::Invalid, format!("no mail goes to {}", snapshot.dn(id))))
}

/// The link to a name; an empty name: none.
fn link(snapshot: &Snapshot, name: &str) -> Result<Vec<Vec<u8>>, Fault> {
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let id = find(snapshot, name)?;
    let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, name.to_owned()))?;
    Ok(vec![link_value(&guid)])
}

/// An address, or an empty text.
fn checked_address(text: &str) -> Result<&str, Fault> {
    match text.is_empty() || Address::parse(text).is_ok() {
        true => Ok(text),
        false => Err(Fault::new(FaultKind::Invalid, format!("`{text}` is not a mail address"))),
    }
}

/// How an object is called in answers: its primary address, or its name.
fn name_of(snapshot: &Snapshot, id: ObjectId) -> String {
    let Some(object) = snapshot.object(id) else { return String::new() };
    match object.primary_address() {
        Some(address) => address.to_string(),
        None => account_name(snapshot, id, object),
    }
}
