//! The directory of a script: each line of the organization language becomes one batch of changes.

use std::sync::Arc;

use acl::{AccessMask, Ace, AceFlags, Acl, Guid, SecurityDescriptor, Sid, edit, well_known};
use directory::organization::{Names, NewConnector, Usage, new_organization, receive_connector};
use directory::{
    Change, ChangeBatch, Class, Config, GroupScope, GroupType, ObjectId, Record, Snapshot, Time, Value, attributes,
    link_value, protected,
};
use rights::{FULL_MAILBOX_ACCESS, GroupTrustee, PermissionGroup, RightName, role_of};

// Named, for those who take this file by its path.
#[path = "organization/settings.rs"]
mod settings;

use settings::setting;

/// A directory under construction, or at work.
pub struct Organization {
    snapshot: Arc<Snapshot>,
    guids: u128,
}

type Done = Result<(), String>;

/// The words of a statement: those before `key=value`, and those.
struct Words<'a> {
    plain: Vec<&'a str>,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn read(words: &'a [String]) -> Words<'a> {
        let (mut plain, mut options) = (Vec::new(), Vec::new());
        for word in words {
            match word.split_once('=') {
                Some((key, value)) if !key.contains(['@', ':']) => options.push((key, value)),
                _ => plain.push(word.as_str()),
            }
        }
        Words { plain, options }
    }

    fn option(&self, key: &str) -> Option<&'a str> {
        self.options.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }
}

impl Organization {
    pub fn new() -> Organization {
        Organization { snapshot: Arc::new(Snapshot::empty()), guids: 0 }
    }

    /// Goes on from a directory that was built before.
    #[allow(dead_code, reason = "the scripts begin with nothing")]
    pub fn new_from(snapshot: Arc<Snapshot>) -> Organization {
        Organization { snapshot, guids: 1 << 32 }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone()
    }

    /// Does what one line says.
    pub fn apply(&mut self, words: &[String], time: Time) -> Done {
        let words = Words::read(words);
        let changes = self.changes(&words)?;
        let comment = words.plain.join(" ");
        let batch = ChangeBatch { author: well_known::SYSTEM, time, comment, changes };
        let applied = self.snapshot.apply(&batch).map_err(|error| error.to_string())?;
        self.snapshot = Arc::new(applied.snapshot);
        Ok(())
    }

    /// The password of every account is its logon name and `-demo`.
    pub fn password_of(&self, account: ObjectId) -> Option<String> {
        Some(format!("{}-demo", self.snapshot.object(account)?.sam_account_name()?))
    }

    pub fn connector(&self, name: &str) -> Result<ObjectId, String> {
        let found = self.snapshot.receive_connectors().find(|(_, connector)| connector.name.eq_ignore_ascii_case(name));
        found.map(|(id, _)| id).ok_or_else(|| format!("there is no connector {name}"))
    }

    fn changes(&mut self, words: &Words<'_>) -> Result<Vec<Change>, String> {
        match words.plain.as_slice() {
            ["domain", name, netbios] => self.domain(name, netbios),
            ["accepted", name, kind @ ..] => self.accepted(name, kind, words),
            ["forest", dns_name] => self.forest(dns_name),
            ["foreigner", name, "in", dns_name] => self.foreigner(name, dns_name),
            ["link", account, "to", owner] => {
                let sid = self.trustee(account)?.to_bytes();
                self.modify(owner, attributes::MASTER_ACCOUNT_SID, vec![sid])
            }
            ["ou", path] => self.ou(path, false),
            ["ou", path, "protected"] => self.ou(path, true),
            ["database", name] => self.database(name),
            ["user", name, "in", path, flags @ ..] => self.user(name, path, flags, words),
            ["computer", name, "in", path] => self.computer(name, path),
            ["group", name, "in", path, flags @ ..] => self.group(name, path, flags, words),
            ["chain", name, count, "in", path] => self.chain(name, count, path),
            ["contact", name, "in", path] => self.contact(name, path, words),
            ["connector", name] => self.new_connector(name, words),
            ["member", member, "of", group] => self.link(group, attributes::MEMBER, member, true),
            ["no-member", member, "of", group] => self.link(group, attributes::MEMBER, member, false),
            ["delegate", delegate, "of", owner] => self.link(owner, attributes::PUBLIC_DELEGATES, delegate, true),
            ["no-delegate", delegate, "of", owner] => self.link(owner, attributes::PUBLIC_DELEGATES, delegate, false),
            ["pauses", account, "for", scope] => self.link(account, attributes::PAUSE_SCOPE, scope, true),
            ["external", sid, "of", owner] => {
                let sid: Sid = sid.parse().map_err(|_| format!("`{sid}` is no SID"))?;
                self.modify(owner, attributes::MASTER_ACCOUNT_SID, vec![sid.to_bytes()])
            }
            ["only-from", sender, "to", recipient] => self.restrict(recipient, sender, true),
            ["never-from", sender, "to", recipient] => self.restrict(recipient, sender, false),
            ["grant", right, "on", object, "to", trustee, rest @ ..] => {
                self.ace(object, right, trustee, true, inheritance(rest)?, true)
            }
            ["deny", right, "on", object, "to", trustee, rest @ ..] => {
                self.ace(object, right, trustee, false, inheritance(rest)?, true)
            }
            ["revoke", right, "on", object, "from", trustee, rest @ ..] => {
                self.ace(object, right, trustee, true, inheritance(rest)?, false)
            }
            ["disable", name] => self.modify(name, attributes::USER_ACCOUNT_CONTROL, vec![b"514".to_vec()]),
            ["enable", name] => self.modify(name, attributes::USER_ACCOUNT_CONTROL, vec![b"512".to_vec()]),
            ["delete", name] => Ok(vec![Change::Delete { guid: self.guid_of(name)? }]),
            ["unreadable", name] => self.modify(name, attributes::DESCRIPTOR, vec![Vec::new()]),
            ["protect-mailbox", name] => self.protect_mailbox(name),
            ["protect-admins"] => Ok(protected::changes(&self.snapshot)),
            ["set", name] => self.set(name, words),
            _ => Err(format!("`{}` says nothing that is known here", words.plain.join(" "))),
        }
    }

    fn domain(&mut self, name: &str, netbios: &str) -> Result<Vec<Change>, String> {
        let names = Names {
            domain: name.to_owned(),
            netbios: netbios.to_owned(),
            domain_sid: "S-1-5-21-1000-2000-3000".parse().map_err(|_| "a SID")?,
            organization: "First Organization".to_owned(),
            server: "MAIL".to_owned(),
            server_fqdn: format!("mail.{name}"),
        };
        let guids = &mut self.guids;
        Ok(new_organization(&names, &[], &mut || next_guid(guids)))
    }

    fn accepted(&mut self, name: &str, kind: &[&str], words: &Words<'_>) -> Result<Vec<Change>, String> {
        let flags = match kind {
            ["authoritative"] | [] => "0",
            ["external-relay"] => "1",
            ["internal-relay"] => "2",
            _ => return Err(format!("{kind:?} is no kind of accepted domain")),
        };
        let mut edits = Vec::new();
        if let Some(alias) = words.option("alias-of") {
            edits.push((attributes::ALIAS_OF.to_owned(), vec![alias.as_bytes().to_vec()]));
        }
        if words.option("subaddressing") == Some("yes") {
            edits.push((attributes::SUBADDRESSING.to_owned(), vec![b"TRUE".to_vec()]));
        }
        let known = self.snapshot.accepted_domains().find(|(_, domain)| !domain.wildcard && domain.name == name);
        if let Some((id, _)) = known {
            return Ok(vec![Change::Modify { guid: self.guid(id)?, attributes: edits }]);
        }
        let parent = self.snapshot.accepted_domains().next().map(|(id, _)| id);
        let parent = parent.and_then(|id| self.snapshot.object(id)?.parent()).ok_or("`domain` comes first")?;
        let mut record = self.record(Class::AcceptedDomain, parent, &format!("CN={name}"))?;
        record = record.with(attributes::ACCEPTED_DOMAIN_NAME, name).with(attributes::ACCEPTED_DOMAIN_FLAGS, flags);
        for (attribute, values) in edits {
            record = record.with_all(&attribute, values);
        }
        Ok(vec![Change::Add(record)])
    }

    /// The domain of another forest.
    fn forest(&mut self, dns_name: &str) -> Result<Vec<Change>, String> {
        let sid: Sid = "S-1-5-21-7-8-9".parse().map_err(|_| "a SID")?;
        let classes = Class::Domain.object_classes().iter().map(|name| name.as_bytes().to_vec());
        let record = Record::new(next_guid(&mut self.guids), None, domain_dn(dns_name))
            .with_all(attributes::OBJECT_CLASS, classes)
            .with(attributes::OBJECT_SID, sid.to_bytes());
        Ok(vec![Change::Add(record)])
    }

    /// An account of another forest.
    fn foreigner(&mut self, name: &str, dns_name: &str) -> Result<Vec<Change>, String> {
        let domain = self.snapshot.by_dn(&domain_dn(dns_name)).ok_or_else(|| format!("there is no {dns_name}"))?;
        let domain = self.guid(domain)?;
        Ok(vec![Change::Add(directory::organization::user(next_guid(&mut self.guids), domain, name, name))])
    }

    fn ou(&mut self, path: &str, protected: bool) -> Result<Vec<Change>, String> {
        let (parent, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (self.container(parent)?, name),
            None => (self.domain_object()?, path),
        };
        let mut record = self.record(Class::OrganizationalUnit, parent, &format!("OU={name}"))?;
        if protected {
            let mut descriptor = SecurityDescriptor::with_dacl(Acl::default());
            descriptor.set_dacl_protected(true);
            record = record.with(attributes::DESCRIPTOR, descriptor.to_bytes());
        }
        Ok(vec![Change::Add(record)])
    }

    fn database(&mut self, name: &str) -> Result<Vec<Change>, String> {
        let parent = self.snapshot.object(self.first_database()?).and_then(|object| object.parent());
        let record = self.record(Class::Database, parent.ok_or("the database has no place")?, &format!("CN={name}"))?;
        Ok(vec![Change::Add(record)])
    }

    fn user(&mut self, name: &str, path: &str, flags: &[&str], words: &Words<'_>) -> Result<Vec<Change>, String> {
        let display = words.option("name").unwrap_or(name);
        let parent = self.container(path)?;
        let mut record = self.record(Class::User, parent, &format!("CN={display}"))?;
        let control = if flags.contains(&"disabled") { "514" } else { "512" };
        record = record
            .with(attributes::SAM_ACCOUNT_NAME, name)
            .with(attributes::DISPLAY_NAME, display)
            .with(attributes::USER_ACCOUNT_CONTROL, control);
        if let Some(upn) = words.option("upn") {
            record = record.with(attributes::USER_PRINCIPAL_NAME, upn);
        }
        let addresses = self.addresses(name, words);
        let has_address = !addresses.is_empty();
        record = record.with_all(attributes::PROXY_ADDRESSES, addresses);
        if has_address && !flags.contains(&"no-mailbox") {
            let database = match words.option("database") {
                Some(name) => self.object(&format!("database:{name}"))?,
                None => self.first_database()?,
            };
            let guid = next_guid(&mut self.guids);
            record = record
                .with(attributes::MAILBOX_GUID, guid.0.to_vec())
                .with(attributes::HOME_MDB, link_value(&self.guid(database)?));
        }
        Ok(vec![Change::Add(record)])
    }

    /// `computer NAME in OU`: its logon name ends in `$`.
    fn computer(&mut self, name: &str, path: &str) -> Result<Vec<Change>, String> {
        let parent = self.container(path)?;
        let record = self.record(Class::Computer, parent, &format!("CN={name}"))?;
        let record = record.with(attributes::SAM_ACCOUNT_NAME, format!("{name}$"));
        Ok(vec![Change::Add(record.with(attributes::USER_ACCOUNT_CONTROL, "4096"))])
    }

    fn group(&mut self, name: &str, path: &str, flags: &[&str], words: &Words<'_>) -> Result<Vec<Change>, String> {
        let parent = self.container(path)?;
        let kind = match flags.contains(&"distribution") {
            true => GroupType::distribution(GroupScope::Universal),
            false => GroupType::security(GroupScope::Universal),
        };
        let addresses = match words.option("mail") {
            Some(_) => self.addresses(name, words),
            None => Vec::new(),
        };
        let record = self
            .record(Class::Group, parent, &format!("CN={}", words.option("name").unwrap_or(name)))?
            .with(attributes::SAM_ACCOUNT_NAME, name)
            .with(attributes::GROUP_TYPE, kind.0.to_string())
            .with_all(attributes::PROXY_ADDRESSES, addresses);
        Ok(vec![Change::Add(record)])
    }

    /// Groups `NAME-1` to `NAME-COUNT`, each a member of the next.
    fn chain(&mut self, name: &str, count: &str, path: &str) -> Result<Vec<Change>, String> {
        let count: usize = count.parse().map_err(|_| format!("{count} is no number"))?;
        let parent = self.guid(self.container(path)?)?;
        let mut changes = Vec::with_capacity(count);
        let mut inner = None;
        for number in 1..=count {
            let guid = next_guid(&mut self.guids);
            let kind = GroupType::security(GroupScope::Universal);
            let record = directory::organization::group(guid, parent, &format!("{name}-{number}"), kind);
            changes.push(Change::Add(record.with_all(attributes::MEMBER, inner.map(|guid| link_value(&guid)))));
            inner = Some(guid);
        }
        Ok(changes)
    }

    fn contact(&mut self, name: &str, path: &str, words: &Words<'_>) -> Result<Vec<Change>, String> {
        let parent = self.container(path)?;
        let addresses = self.addresses(name, words);
        let record = self.record(Class::Contact, parent, &format!("CN={name}"))?;
        Ok(vec![Change::Add(record.with_all(attributes::PROXY_ADDRESSES, addresses))])
    }

    /// `mail=` the primary address (`none`: no address; absent: `NAME@` the first accepted domain), `also=` others.
    fn addresses(&self, name: &str, words: &Words<'_>) -> Vec<Value> {
        let domain = || self.snapshot.accepted_domains().next().map(|(_, domain)| domain.name.clone());
        let primary = match words.option("mail") {
            Some("none") => return Vec::new(),
            Some(address) => address.to_owned(),
            None => format!("{name}@{}", domain().unwrap_or_default()),
        };
        let others = words.option("also").into_iter().flat_map(|list| list.split(','));
        let others = others.map(|address| format!("smtp:{address}").into_bytes());
        std::iter::once(format!("SMTP:{primary}").into_bytes()).chain(others).collect()
    }

    /// `connector NAME groups=… auth=…`: custom usage, the permission groups' ACEs, and no tarpit.
    fn new_connector(&mut self, name: &str, words: &Words<'_>) -> Result<Vec<Change>, String> {
        let server = self.first(|config| matches!(config, Config::Server(_)))?;
        let mut grants = Vec::new();
        let groups = words.option("groups").into_iter().flat_map(|list| list.split(','));
        for group in groups.filter(|name| *name != "None") {
            let group = PermissionGroup::parse(group).ok_or_else(|| format!("{group} is no permission group"))?;
            for (trustee, rights) in group.grants(role_of(&self.snapshot, server)) {
                let sid = match trustee {
                    GroupTrustee::WellKnown(sid) => Some(sid),
                    GroupTrustee::ExchangeServers => self.trustee("Exchange Servers").ok(),
                    GroupTrustee::ExchangeLegacyInterop => self.trustee("ExchangeLegacyInterop").ok(),
                };
                grants.extend(
                    sid.into_iter().flat_map(|sid| rights.iter().map(move |right| (sid.clone(), right.guid()))),
                );
            }
        }
        let connector = NewConnector { name: name.to_owned(), usage: Usage::Custom, bindings: Vec::new(), grants };
        let guid = next_guid(&mut self.guids);
        let record = receive_connector(&self.snapshot, server, &connector, guid).ok_or("there is no server")?;
        let mut record = record
            .with(attributes::RECEIVE_TARPIT, "0")
            .with(attributes::RECEIVE_SECURITY, "1")
            .with(attributes::RECEIVE_RANGES, "0.0.0.0-255.255.255.255");
        for (key, value) in words.options.iter().filter(|(key, _)| *key != "groups") {
            let (attribute, value) = setting(key, value)?;
            record = record.with(attribute, value);
        }
        Ok(vec![Change::Add(record)])
    }

    fn link(&self, from: &str, attribute: &str, to: &str, add: bool) -> Result<Vec<Change>, String> {
        let value = vec![link_value(&self.guid_of(to)?)];
        let (add, remove) = if add { (value, Vec::new()) } else { (Vec::new(), value) };
        Ok(vec![Change::Values { guid: self.guid_of(from)?, attribute: attribute.to_owned(), add, remove }])
    }

    /// Delivery restrictions: by sender, or by group of senders.
    fn restrict(&self, recipient: &str, sender: &str, accept: bool) -> Result<Vec<Change>, String> {
        let is_group = self.snapshot.object(self.object(sender)?).is_some_and(|object| object.class() == Class::Group);
        let attribute = match (accept, is_group) {
            (true, false) => attributes::AUTH_ORIG,
            (true, true) => attributes::SUBMIT_PERMS,
            (false, false) => attributes::UNAUTH_ORIG,
            (false, true) => attributes::REJECT_PERMS,
        };
        self.link(recipient, attribute, sender, true)
    }

    fn modify(&self, name: &str, attribute: &str, values: Vec<Value>) -> Result<Vec<Change>, String> {
        Ok(vec![Change::Modify { guid: self.guid_of(name)?, attributes: vec![(attribute.to_owned(), values)] }])
    }

    fn set(&self, name: &str, words: &Words<'_>) -> Result<Vec<Change>, String> {
        let mut edits = Vec::new();
        for (key, value) in &words.options {
            match setting(key, value) {
                Ok((attribute, value)) => edits.push((attribute.to_owned(), vec![value.into_bytes()])),
                Err(_) if attributes::by_name(key).is_some() => {
                    let values = value.split(',').filter(|value| !value.is_empty());
                    edits.push((key.to_string(), values.map(|value| value.as_bytes().to_vec()).collect()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(vec![Change::Modify { guid: self.guid_of(name)?, attributes: edits }])
    }

    fn ace(
        &self,
        object: &str,
        right: &str,
        trustee: &str,
        allow: bool,
        inheritance: Inheritance,
        add: bool,
    ) -> Result<Vec<Change>, String> {
        let id = self.object(object)?;
        let sid = self.trustee(trustee)?;
        let in_mailbox = right == "full-access";
        let ace = match right {
            "full-access" => plain_ace(allow, sid, FULL_MAILBOX_ACCESS),
            "full-control" => plain_ace(allow, sid, AccessMask::DS_FULL_CONTROL),
            "all-extended-rights" => plain_ace(allow, sid, AccessMask::CONTROL_ACCESS),
            name => {
                let right = RightName::parse(name).or_else(|| RightName::parse(&format!("ms-Exch-{name}")));
                let right = right.or_else(|| RightName::parse(&format!("ms-Exch-SMTP-{name}")));
                let guid = right.ok_or_else(|| format!("there is no right {name}"))?.guid();
                match allow {
                    true => Ace::allow_object(sid, AccessMask::CONTROL_ACCESS, guid),
                    false => Ace::deny_object(sid, AccessMask::CONTROL_ACCESS, guid),
                }
            }
        };
        let ace = match inheritance {
            Inheritance::None => ace,
            Inheritance::All => ace.with_flags(AceFlags::CONTAINER_INHERIT),
            Inheritance::Class(class) => {
                ace.with_flags(AceFlags::CONTAINER_INHERIT | AceFlags::INHERIT_ONLY).for_class(class.schema_guid())
            }
        };
        let (attribute, explicit) = match in_mailbox {
            true => (attributes::MAILBOX_DESCRIPTOR, self.snapshot.explicit_mailbox_descriptor(id)),
            false => (attributes::DESCRIPTOR, self.snapshot.explicit_descriptor(id)),
        };
        let mut descriptor = explicit.map(|descriptor| (*descriptor).clone()).ok_or("the descriptor is unreadable")?;
        let dacl = descriptor.dacl.get_or_insert_with(Acl::default);
        let changed = match add {
            true => edit::add(dacl, ace),
            false => edit::remove(dacl, &ace) > 0,
        };
        if !changed {
            return Err(format!("{right} on {object} is as it was"));
        }
        let edits = vec![(attribute.to_owned(), vec![descriptor.to_bytes()])];
        Ok(vec![Change::Modify { guid: self.guid(id)?, attributes: edits }])
    }

    /// The mailbox descriptor inherits nothing from database, server and organization any more.
    fn protect_mailbox(&self, name: &str) -> Result<Vec<Change>, String> {
        let explicit = self.snapshot.explicit_mailbox_descriptor(self.object(name)?).ok_or("there is no mailbox")?;
        let mut descriptor = (*explicit).clone();
        edit::protect(&mut descriptor, edit::Inherited::Drop);
        self.modify(name, attributes::MAILBOX_DESCRIPTOR, vec![descriptor.to_bytes()])
    }

    fn record(&mut self, class: Class, parent: ObjectId, rdn: &str) -> Result<Record, String> {
        let parent = self.guid(parent)?;
        let classes = class.object_classes().iter().map(|name| name.as_bytes().to_vec());
        let record = Record::new(next_guid(&mut self.guids), Some(parent), rdn);
        Ok(record.with_all(attributes::OBJECT_CLASS, classes))
    }

    /// What a script calls an object: `domain`, `organization`, `server`, `database[:NAME]`, `connector:NAME`, `ou:PATH`,
    /// or the name of an account, group or contact.
    fn object(&self, name: &str) -> Result<ObjectId, String> {
        match name.split_once(':') {
            Some(("ou", path)) => self.container(path),
            Some(("connector", name)) => self.connector(name),
            Some(("database", name)) => self.first_named(name),
            _ => match name {
                "domain" => self.domain_object(),
                "organization" => self.snapshot.organization().ok_or_else(|| "there is no organization".to_owned()),
                "server" => self.first(|config| matches!(config, Config::Server(_))),
                "database" => self.first_database(),
                name => self.principal(name),
            },
        }
    }

    fn principal(&self, name: &str) -> Result<ObjectId, String> {
        let named =
            |id: &ObjectId| self.snapshot.object(*id).and_then(|object| object.sam_account_name()) == Some(name);
        let by_logon = self.snapshot.objects().map(|(id, _)| id).find(named);
        match by_logon {
            Some(id) => Ok(id),
            None => self.snapshot.resolve(name).map_err(|error| error.to_string()),
        }
    }

    fn trustee(&self, name: &str) -> Result<Sid, String> {
        let well_known = match name {
            "Everyone" => well_known::EVERYONE,
            "ANONYMOUS LOGON" => well_known::ANONYMOUS_LOGON,
            "Authenticated Users" => well_known::AUTHENTICATED_USERS,
            "SELF" => well_known::SELF,
            "Externally Secured servers" => well_known::EXTERNALLY_SECURED_SERVERS,
            "Partner servers" => well_known::PARTNER_SERVERS,
            "Hub Transport servers" => well_known::HUB_SERVERS,
            "Edge Transport servers" => well_known::EDGE_SERVERS,
            "Legacy Exchange servers" => well_known::LEGACY_EXCHANGE_SERVERS,
            _ => {
                let id = self.principal(name)?;
                let sid = self.snapshot.object(id).and_then(|object| object.sid());
                return sid.map(|sid| self.snapshot.sid(sid)).ok_or_else(|| format!("{name} has no SID"));
            }
        };
        Ok(well_known)
    }

    fn container(&self, path: &str) -> Result<ObjectId, String> {
        let domain = self.snapshot.dn(self.domain_object()?);
        let units: Vec<String> = path.split('/').rev().map(|name| format!("OU={name}")).collect();
        let dn = match path {
            "Users" => format!("CN=Users,{domain}"),
            _ => format!("{},{domain}", units.join(",")),
        };
        self.snapshot.by_dn(&dn).ok_or_else(|| format!("there is no {dn}"))
    }

    fn domain_object(&self) -> Result<ObjectId, String> {
        self.snapshot.domains().first().map(|domain| domain.object).ok_or_else(|| "`domain` comes first".to_owned())
    }

    fn first_database(&self) -> Result<ObjectId, String> {
        self.first(|config| matches!(config, Config::Database(_)))
    }

    fn first(&self, wanted: impl Fn(&Config) -> bool) -> Result<ObjectId, String> {
        let found = self.snapshot.configuration().find(|(_, config)| wanted(config));
        found.map(|(id, _)| id).ok_or_else(|| "`domain` comes first".to_owned())
    }

    fn first_named(&self, name: &str) -> Result<ObjectId, String> {
        let named = |id: ObjectId| self.snapshot.object(id).is_some_and(|object| object.name() == name);
        let found = self.snapshot.configuration().find(|(id, _)| named(*id));
        found.map(|(id, _)| id).ok_or_else(|| format!("there is no {name}"))
    }

    fn guid_of(&self, name: &str) -> Result<Guid, String> {
        self.guid(self.object(name)?)
    }

    fn guid(&self, id: ObjectId) -> Result<Guid, String> {
        self.snapshot.object(id).map(|object| object.guid()).ok_or_else(|| "the object is gone".to_owned())
    }
}

/// How an ACE is inherited.
enum Inheritance {
    None,
    All,
    Class(Class),
}

/// `inherit`, or `inherit user`.
fn inheritance(words: &[&str]) -> Result<Inheritance, String> {
    match words {
        [] => Ok(Inheritance::None),
        ["inherit"] => Ok(Inheritance::All),
        ["inherit", class] => match Class::from_ldap_name(class.as_bytes()) {
            Some(class) => Ok(Inheritance::Class(class)),
            None => Err(format!("there is no class {class}")),
        },
        _ => Err(format!("{words:?}: write `inherit` or `inherit CLASS`")),
    }
}

/// `other.test` as `DC=other,DC=test`.
fn domain_dn(dns_name: &str) -> String {
    dns_name.split('.').map(|label| format!("DC={label}")).collect::<Vec<_>>().join(",")
}

fn plain_ace(allow: bool, sid: Sid, mask: AccessMask) -> Ace {
    if allow { Ace::allow(sid, mask) } else { Ace::deny(sid, mask) }
}

fn next_guid(count: &mut u128) -> Guid {
    *count += 1;
    Guid::from_u128(0x5e55_0000_0000_4000_8000_0000_0000_0000 | *count)
}
