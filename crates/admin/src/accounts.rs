//! Users, their passwords, and the units they stand in.

pub mod documents;

use acl::{Control, SecurityDescriptor};
use directory::dn::Rdn;
use directory::{AddressOwner, Change, Class, Object, ObjectId, Record, Snapshot, attributes as a, link_value};
use message::{Address, CanonicalAddress};
use rights::admin::Action;

use crate::authorize::{RESET_PASSWORD, require};
use crate::error::{Fault, FaultKind};
use crate::operations::{List, OuAdd, PasswordSet, UserAdd, UserSet};
use crate::random::new_guid;
use crate::response::{Done, Page, Response, UserRow};
use crate::service::{Asked, Plan, find};

/// Attributes and all their values from now on, as a change takes them.
pub(crate) type Attributes = Vec<(String, Vec<directory::Value>)>;

/// userAccountControl of an ordinary account, and the bit of a disabled one.
pub(crate) const NORMAL_ACCOUNT: u32 = 0x200;
pub(crate) const DISABLED: u32 = 0x2;
/// Rows of a page when the one who asks does not say.
const PAGE: usize = 500;

pub fn add(asked: Asked<'_>, add: UserAdd) -> Result<Response, Fault> {
    let secret = match &add.password {
        Some(password) => Some((password, asked.service.hash(None, &password.0)?)),
        None => None,
    };
    let guid = new_guid();
    let (after, mut done) = asked.commit(|snapshot| {
        let parent = container(snapshot, add.ou.as_deref())?;
        let sam = add.sam_account_name.as_deref().unwrap_or(&add.name);
        let domain = snapshot.domain_of(parent).ok_or_else(|| no_domain(snapshot, parent))?;
        let common = add.display_name.as_deref().unwrap_or(&add.name);
        let control = NORMAL_ACCOUNT | if add.disabled { DISABLED } else { 0 };
        let mut record = Record::new(guid, guid_of(snapshot, parent), Rdn::new("CN", common).to_string())
            .with_all(a::OBJECT_CLASS, values(Class::User.object_classes()))
            .with(a::SAM_ACCOUNT_NAME, sam)
            .with(a::USER_PRINCIPAL_NAME, format!("{sam}@{}", domain.dns_name))
            .with(a::USER_ACCOUNT_CONTROL, control.to_string());
        if let Some(name) = &add.display_name {
            record.set(a::DISPLAY_NAME, vec![name.as_bytes().to_vec()]);
        }
        let mut addresses = add.addresses.clone();
        if add.mailbox {
            if addresses.is_empty() {
                addresses.push(default_address(snapshot, sam)?);
            }
            record.set(a::MAILBOX_GUID, vec![new_guid().0.to_vec()]);
            let database = crate::mailboxes::database(snapshot, add.database.as_deref())?;
            record.set(a::HOME_MDB, vec![link_value(&database)]);
        }
        for (name, values) in address_attributes(snapshot, None, &addresses)? {
            record.set(&name, values);
        }
        let summary = format!("user {} added", crate::words::quoted(&add.name));
        Ok(Plan::new(summary, vec![Change::Add(record)]))
    })?;
    if let Some((password, prepared)) = secret {
        if asked.trial.is_none() {
            asked.service.keep_password(&guid, &password.0, prepared)?;
        }
    } else if !add.disabled {
        done.warnings.push(format!("it has no password yet: `procura password set {}`", add.name));
    }
    if let Some(id) = after.by_guid(&guid) {
        done.summary = format!("added {}", after.dn(id));
    }
    Ok(Response::Done(done))
}

pub fn set(asked: Asked<'_>, set: UserSet) -> Result<Response, Fault> {
    let response = asked.change(|snapshot| {
        let id = find(snapshot, &set.identity)?;
        let object = account(snapshot, id)?;
        let guid = object.guid();
        let mut replaced = Vec::new();
        if let Some(name) = &set.display_name {
            replaced.push((a::DISPLAY_NAME.to_owned(), text(name)));
        }
        if let Some(name) = &set.sam_account_name {
            replaced.push((a::SAM_ACCOUNT_NAME.to_owned(), text(name)));
        }
        if let Some(enabled) = set.enabled {
            replaced.push(control(snapshot, id, enabled));
        }
        replaced.extend(changed_addresses(
            snapshot,
            id,
            set.addresses.as_deref(),
            &set.add_addresses,
            &set.remove_addresses,
        )?);
        let mut changes = Vec::new();
        if !replaced.is_empty() {
            changes.push(Change::Modify { guid, attributes: replaced });
        }
        let moved = moved(snapshot, id, set.ou.as_deref())?;
        let warnings = match &moved {
            Some(moved) => crate::simulate::warnings(asked, snapshot, vec![moved.clone()])?,
            None => Vec::new(),
        };
        changes.extend(moved);
        let mut plan = Plan::new(format!("changed {}", snapshot.dn(id)), changes);
        plan.done.warnings.extend(warnings);
        if let Some(sid) = object.master_account().filter(|_| set.enabled == Some(true)) {
            plan.done.warnings.extend(crate::ownership::link_warning(snapshot, id, &snapshot.sid(sid), true));
        }
        Ok(plan)
    })?;
    if set.enabled == Some(false)
        && asked.trial.is_none()
        && let Ok(id) = asked.find(&set.identity)
        && let Some(object) = asked.snapshot.object(id)
    {
        asked.service.credential_changed(&object.guid());
    }
    Ok(response)
}

pub fn remove(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, identity)?;
        let object = account(snapshot, id)?;
        let mut plan = Plan::new(format!("removed {}", snapshot.dn(id)), vec![Change::Delete { guid: object.guid() }]);
        if let Some(kept) = crate::ownership::keep(asked, snapshot, id) {
            plan.changes.push(kept);
            let mailbox = object.mailbox().map(|mailbox| mailbox.guid.to_string()).unwrap_or_default();
            plan.done
                .warnings
                .push(format!("its mailbox {mailbox} is kept without an owner: `procura mailbox list --disconnected`"));
        }
        Ok(plan)
    })
}

pub fn list(asked: Asked<'_>, list: &List) -> Result<Response, Fault> {
    let page = page(
        asked,
        list,
        |object| object.class().is_account(),
        |snapshot, id, object| UserRow {
            name: account_name(snapshot, id, object),
            display_name: object.label(),
            addresses: addresses(object),
            enabled: object.enabled(),
            mailbox: object.mailbox().is_some(),
            dn: snapshot.dn(id),
            sid: object.sid().map(|sid| snapshot.sid(sid).to_string()).unwrap_or_default(),
            guid: object.guid().to_string(),
        },
    )?;
    Ok(Response::Users(page))
}

pub fn add_ou(asked: Asked<'_>, add: &OuAdd) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let parent = match &add.under {
            Some(under) => find(snapshot, under)?,
            None => default_domain(snapshot)?,
        };
        let guid = new_guid();
        let record = Record::new(guid, guid_of(snapshot, parent), Rdn::new("OU", add.name.as_str()).to_string())
            .with_all(a::OBJECT_CLASS, values(Class::OrganizationalUnit.object_classes()));
        let dn = format!("{},{}", record.rdn, snapshot.dn(parent));
        let mut changes = vec![Change::Add(record)];
        if add.protected {
            // The default descriptor of its class first, so that what the unit grants itself stays.
            let batch = directory::ChangeBatch {
                author: asked.caller.sid.clone(),
                time: asked.service.now(),
                comment: String::new(),
                changes: changes.clone(),
            };
            let tried = snapshot.apply(&batch)?.snapshot;
            let explicit = tried.by_guid(&guid).and_then(|id| tried.explicit_descriptor(id));
            let mut descriptor = explicit.map(|sd| SecurityDescriptor::clone(&sd)).unwrap_or_default();
            descriptor.control.set(Control::DACL_PROTECTED | Control::DACL_PRESENT, true);
            let attributes = vec![(a::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()])];
            changes.push(Change::Modify { guid, attributes });
        }
        Ok(Plan::new(format!("added {dn}"), changes))
    })
}

pub fn set_password(asked: Asked<'_>, set: &PasswordSet) -> Result<Response, Fault> {
    let id = asked.find(&set.identity)?;
    let object = account(asked.snapshot, id)?;
    require(asked.snapshot, asked.caller, id, Action::ControlAccess(RESET_PASSWORD), "set the password of")?;
    asked.service.elsewhere.own_password(asked.snapshot, id)?;
    let mut without_scram = false;
    if asked.trial.is_none() {
        let prepared = asked.service.hash(Some(&object.guid()), &set.password.0)?;
        let hashed = asked.service.keep_password(&object.guid(), &set.password.0, prepared)?;
        without_scram = hashed.scram.is_none();
    }
    let mut done = Done { summary: format!("password of {} set", asked.snapshot.dn(id)), ..Done::default() };
    if without_scram {
        done.warnings.push("SASLprep prohibits this password: clients that use SCRAM cannot log on with it".into());
    }
    if !object.enabled() {
        done.warnings.push("the account is disabled: it cannot log on".into());
    }
    Ok(Response::Done(done))
}

/// A page of the objects that `which` selects, of those that the caller may read.
pub(crate) fn page<T>(
    asked: Asked<'_>,
    list: &List,
    which: impl Fn(&Object) -> bool,
    row: impl Fn(&Snapshot, ObjectId, &Object) -> T,
) -> Result<Page<T>, Fault> {
    let snapshot = asked.snapshot;
    let limit = list.limit.map_or(PAGE, |limit| (limit as usize).clamp(1, PAGE));
    let after = list.after.map(ObjectId);
    let mut ids: Vec<ObjectId> = match &list.under {
        Some(under) => snapshot.subtree(find(snapshot, under)?),
        None => snapshot.objects().map(|(id, _)| id).collect(),
    };
    ids.retain(|id| after.is_none_or(|after| *id > after));
    ids.sort_unstable();
    let (mut rows, mut next) = (Vec::new(), None);
    for id in ids {
        let Some(object) = snapshot.object(id).filter(|object| which(object)) else { continue };
        if !rights::admin::may(snapshot, &asked.caller.token, id, Action::Read) {
            continue;
        }
        rows.push(row(snapshot, id, object));
        if rows.len() == limit {
            next = Some(id.0);
            break;
        }
    }
    Ok(Page { rows, next, skip: None })
}

/// `EXAMPLE\alice`, else what it is called.
pub(crate) fn account_name(snapshot: &Snapshot, id: ObjectId, object: &Object) -> String {
    match (snapshot.domain_of(id), object.sam_account_name()) {
        (Some(domain), Some(sam)) => format!("{}\\{sam}", domain.netbios_name),
        _ => object.name(),
    }
}

/// Addresses for people: the primary one as written, the others canonical.
pub(crate) fn addresses(object: &Object) -> Vec<String> {
    let primary = object.primary_address();
    let canonical = primary.as_ref().map(Address::canonical);
    let others = object.addresses().into_iter().filter(|other| Some(other) != canonical.as_ref());
    primary.iter().map(ToString::to_string).chain(others.map(|other| other.as_str().to_owned())).collect()
}

pub(crate) fn account(snapshot: &Snapshot, id: ObjectId) -> Result<&Object, Fault> {
    let object = snapshot.object(id).filter(|object| object.class().is_account());
    object.ok_or_else(|| Fault::new(FaultKind::Invalid, format!("{} is not an account", snapshot.dn(id))))
}

/// What lets an account log on, or no longer.
pub(crate) fn control(snapshot: &Snapshot, id: ObjectId, enabled: bool) -> (String, Vec<directory::Value>) {
    let control = number(snapshot, id, a::USER_ACCOUNT_CONTROL).unwrap_or(NORMAL_ACCOUNT);
    let control = if enabled { control & !DISABLED } else { control | DISABLED };
    (a::USER_ACCOUNT_CONTROL.to_owned(), text(&control.to_string()))
}

/// The container of a name; without one `CN=Users` of the default domain.
pub(crate) fn container(snapshot: &Snapshot, name: Option<&str>) -> Result<ObjectId, Fault> {
    match name {
        Some(name) => find(snapshot, name),
        None => {
            let domain = default_domain(snapshot)?;
            Ok(snapshot.by_dn(&format!("CN=Users,{}", snapshot.dn(domain))).unwrap_or(domain))
        }
    }
}

fn default_domain(snapshot: &Snapshot) -> Result<ObjectId, Fault> {
    snapshot.domains().first().map(|domain| domain.object).ok_or_else(|| {
        Fault::new(FaultKind::Unavailable, "there is no domain").help("create one with `procura init DIR`")
    })
}

fn no_domain(snapshot: &Snapshot, id: ObjectId) -> Fault {
    Fault::new(FaultKind::Invalid, format!("{} is in no domain: no account can stand there", snapshot.dn(id)))
}

/// `name@` the default accepted domain.
pub(crate) fn default_address(snapshot: &Snapshot, name: &str) -> Result<String, Fault> {
    let domains: Vec<_> = snapshot.accepted_domains().map(|(_, domain)| domain).filter(|d| !d.wildcard).collect();
    let domain = domains.iter().find(|domain| domain.default).or(domains.first());
    match domain {
        Some(domain) => Ok(format!("{name}@{}", domain.name)),
        None => Err(Fault::new(FaultKind::Invalid, "there is no accepted domain to make an address in")
            .help("give an address with --address, or add a domain with `procura domain add`")),
    }
}

/// The attributes that hold these addresses, the primary one first. Addresses of anybody but `own` are refused: an
/// address with two owners proves nothing, for neither of them (`authorization.md` §4).
pub(crate) fn address_attributes(
    snapshot: &Snapshot,
    own: Option<ObjectId>,
    addresses: &[String],
) -> Result<Attributes, Fault> {
    let mut proxies = Vec::new();
    for (index, text) in addresses.iter().enumerate() {
        let address = Address::parse(text).map_err(|e| Fault::new(FaultKind::Invalid, format!("{text}: {e}")))?;
        if let Some(holder) = holder(snapshot, &address.canonical(), own) {
            return Err(Fault::new(FaultKind::Conflict, format!("{address} is an address of {holder}"))
                .help("remove it there first, with `procura user set … --remove-address`"));
        }
        let kind = if index == 0 { "SMTP" } else { "smtp" };
        proxies.push(format!("{kind}:{address}").into_bytes());
    }
    let mail = addresses.first().map(|first| first.as_bytes().to_vec()).into_iter().collect();
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![(a::PROXY_ADDRESSES.to_owned(), proxies), (a::MAIL.to_owned(), mail)])
}

/// Who else has exactly this address.
pub(crate) fn holder(snapshot: &Snapshot, address: &CanonicalAddress, own: Option<ObjectId>) -> Option<String> {
    let owners = match snapshot.by_address(address) {
        AddressOwner::Nobody => Vec::new(),
        AddressOwner::One(owner) => vec![owner],
        AddressOwner::Several(owners) => owners,
    };
    let exactly = |id: &ObjectId| snapshot.object(*id).is_some_and(|object| object.addresses().contains(address));
    owners.into_iter().find(|id| Some(*id) != own && exactly(id)).map(|id| snapshot.dn(id))
}

/// What to write so that an object has these addresses: all replaced, some added, some removed.
pub(crate) fn changed_addresses(
    snapshot: &Snapshot,
    id: ObjectId,
    all: Option<&[String]>,
    add: &[String],
    remove: &[String],
) -> Result<Attributes, Fault> {
    if all.is_none() && add.is_empty() && remove.is_empty() {
        return Ok(Vec::new());
    }
    let canonical = |text: &String| {
        let parsed = Address::parse(text).map_err(|e| Fault::new(FaultKind::Invalid, format!("{text}: {e}")))?;
        Ok::<_, Fault>(parsed.canonical())
    };
    let mut texts = match all {
        Some(all) => all.to_vec(),
        None => snapshot.object(id).map(addresses).unwrap_or_default(),
    };
    for address in remove {
        let gone = canonical(address)?;
        let before = texts.len();
        texts.retain(|text| canonical(text).is_ok_and(|text| text != gone));
        if texts.len() == before {
            return Err(Fault::new(FaultKind::NotFound, format!("{address} is not an address of {}", snapshot.dn(id))));
        }
    }
    texts.extend(add.iter().cloned());
    // Addresses of other kinds (X400, …) stay as they are.
    let foreign = snapshot
        .attribute(id, a::PROXY_ADDRESSES)
        .into_iter()
        .filter(|value| !value.get(..5).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"smtp:")));
    let mut attributes = address_attributes(snapshot, Some(id), &texts)?;
    if attributes.is_empty() {
        attributes = vec![(a::PROXY_ADDRESSES.to_owned(), Vec::new()), (a::MAIL.to_owned(), Vec::new())];
    }
    if let Some((_, proxies)) = attributes.first_mut() {
        proxies.extend(foreign);
    }
    Ok(attributes)
}

/// The move to another container, if there is one.
pub(crate) fn moved(snapshot: &Snapshot, id: ObjectId, to: Option<&str>) -> Result<Option<Change>, Fault> {
    let (Some(to), Some(object)) = (to, snapshot.object(id)) else { return Ok(None) };
    let to = find(snapshot, to)?;
    if object.parent() == Some(to) {
        return Ok(None);
    }
    let parent = guid_of(snapshot, to).ok_or_else(|| Fault::new(FaultKind::NotFound, "the container is gone"))?;
    Ok(Some(Change::Move { guid: object.guid(), parent, rdn: object.rdn().to_owned() }))
}

pub(crate) fn guid_of(snapshot: &Snapshot, id: ObjectId) -> Option<acl::Guid> {
    snapshot.object(id).map(Object::guid)
}

pub(crate) fn values(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn text(value: &str) -> Vec<Vec<u8>> {
    if value.is_empty() { Vec::new() } else { vec![value.as_bytes().to_vec()] }
}

fn number(snapshot: &Snapshot, id: ObjectId, attribute: &str) -> Option<u32> {
    std::str::from_utf8(snapshot.attribute(id, attribute).first()?).ok()?.parse().ok()
}
