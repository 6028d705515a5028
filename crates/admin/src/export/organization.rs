//! The organization as parts of a document that `procura apply` takes: applied to where it came from, it changes nothing.
//!
//! What a document cannot say is left out: entries of other forms than `procura permission add` makes, passwords, pauses of
//! service accounts, public folders. The LDIF has all of it but the passwords.

use std::collections::BTreeMap;

use acl::{Ace, Sid, well_known};
use directory::{Class, Config, GroupScope as Scope, Object, ObjectId, Snapshot, attributes as a};
use rights::permission_groups;

use crate::accounts::addresses;
use crate::authorize::is_administrator;
use crate::connectors::{receive, send};
use crate::error::{Fault, FaultKind};
use crate::folder_permissions::whole;
use crate::operations::{
    DomainKind, ExportOrganization, GroupScope, MailboxPermissionChange, OrganizationPage, PermissionChange,
    RecipientSettings, Wanted, WantedContact, WantedDatabase, WantedDelegates, WantedDomain, WantedFolderPermission,
    WantedGrant, WantedGroup, WantedMailboxGrant, WantedOrganization, WantedOu, WantedReceive, WantedSend,
    WantedServer, WantedUser,
};
use crate::queued::iso;
use crate::response::Response;
use crate::service::Asked;
use crate::{expiry, permissions, recipients, servers, words};

/// A page ends after the object with which it has so many parts, names in lists counted.
const PAGE: usize = 20_000;
/// Groups with relative identifiers below this come with the domain.
const FIRST_OWN_RID: u32 = 1000;

pub fn export(asked: Asked<'_>, export: &ExportOrganization) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    if !is_administrator(snapshot, asked.caller) {
        return Err(Fault::new(FaultKind::Denied, format!("{} may not export the directory", asked.caller.name)));
    }
    let mut page = OrganizationPage::default();
    let mut count = 0;
    for (id, object) in snapshot.objects_after(export.after.map(ObjectId)) {
        let mut parts = Parts { asked, snapshot, id, object, page: &mut page };
        count += parts.all();
        if count >= PAGE {
            page.next = Some(id.0);
            break;
        }
    }
    Ok(Response::Organization(page))
}

/// The parts of one object.
struct Parts<'a, 'b> {
    asked: Asked<'a>,
    snapshot: &'a Snapshot,
    id: ObjectId,
    object: &'a Object,
    page: &'b mut OrganizationPage,
}

impl Parts<'_, '_> {
    /// Adds them; how much there is to say.
    fn all(&mut self) -> usize {
        let before = self.page.items.len();
        let mut listed = 1;
        match self.object.class() {
            Class::Organization => self.organization(),
            Class::Server => self.server(),
            Class::Database => self.database(),
            Class::AcceptedDomain => self.domain(),
            Class::OrganizationalUnit => self.unit(),
            Class::User | Class::InetOrgPerson => self.user(),
            Class::Group => listed += self.group(),
            Class::Contact => self.contact(Wanted::Contact),
            Class::DynamicGroup => self.contact(Wanted::DynamicGroup),
            Class::ReceiveConnector => self.receive_connector(),
            Class::SendConnector => self.send_connector(),
            _ => {}
        }
        // What stands on a protected account is the template's.
        if !self.snapshot.is_protected(self.id) {
            self.grants();
        }
        if self.object.mailbox().is_some() {
            self.mailbox_grants();
            listed += self.folder_permissions();
        }
        listed += self.delegates();
        listed + self.page.items.len() - before
    }

    fn put(&mut self, wanted: Wanted) {
        self.page.items.push(wanted);
    }

    fn organization(&mut self) {
        let secure = servers::secure(self.snapshot);
        let secure_domains = Some(secure).filter(|domains| !domains.is_empty());
        let journal_to = self.object.words(a::JOURNAL).map(str::to_owned);
        if secure_domains.is_some() || journal_to.is_some() {
            self.put(Wanted::Organization(WantedOrganization { secure_domains, journal_to }));
        }
    }

    fn server(&mut self) {
        let Some(row) = servers::row(self.snapshot, self.id) else { return };
        // Several names are none that a command gives.
        let fqdn = <[String; 1]>::try_from(row.names).ok().map(|[name]| name);
        self.put(Wanted::Server(WantedServer {
            name: row.name,
            role: Some(row.role),
            fqdn,
            keys: Some(row.keys),
            legacy_send_as: self.legacy_send_as(),
            absent: false,
        }));
    }

    fn database(&mut self) {
        let server = self.snapshot.ancestor(self.id, Class::Server).and_then(|id| self.snapshot.object(id));
        let server = server.map(Object::name);
        let legacy_send_as = self.legacy_send_as();
        self.put(Wanted::Database(WantedDatabase { name: self.object.name(), server, legacy_send_as }));
    }

    fn legacy_send_as(&self) -> Option<bool> {
        match self.object.config()? {
            Config::Database(database) => Some(database.legacy_policy),
            Config::Server(server) => Some(server.legacy_policy),
            _ => None,
        }
    }

    fn domain(&mut self) {
        let Some(Config::AcceptedDomain(domain)) = self.object.config() else { return };
        let spelled = if domain.wildcard { format!("*.{}", domain.name) } else { domain.name.clone() };
        let catch_all = self.snapshot.links(self.id, a::CATCH_ALL).first().map(|target| name(self.snapshot, *target));
        let kind = match domain.kind {
            directory::DomainKind::Authoritative => DomainKind::Authoritative,
            directory::DomainKind::InternalRelay => DomainKind::InternalRelay,
            directory::DomainKind::ExternalRelay => DomainKind::ExternalRelay,
        };
        self.put(Wanted::Domain(WantedDomain {
            name: spelled,
            kind: Some(kind),
            alias_of: domain.alias_of.clone(),
            subaddressing: Some(domain.subaddressing),
            recipient_lookup: self.object.truth(a::RECIPIENT_LOOKUP),
            catch_all,
            absent: false,
        }));
    }

    fn unit(&mut self) {
        let descriptor = self.snapshot.explicit_descriptor(self.id);
        let protected = descriptor.is_some_and(|descriptor| descriptor.is_dacl_protected());
        self.put(Wanted::Ou(WantedOu { name: self.object.name(), under: self.container(), protected }));
    }

    fn user(&mut self) {
        let mailbox = self.object.mailbox();
        let database = mailbox.and_then(|mailbox| mailbox.database).map(|database| name(self.snapshot, database));
        self.put(Wanted::User(WantedUser {
            name: name(self.snapshot, self.id),
            display_name: self.object.display_name().map(str::to_owned),
            ou: self.container(),
            addresses: Some(addresses(self.object)),
            mailbox: mailbox.is_some(),
            database,
            enabled: Some(self.object.enabled()),
            linked: self.object.master_account().map(|sid| self.principal(&self.snapshot.sid(sid))),
            sending_limits: Some(self.object.sending_limit_texts()).filter(|limits| !limits.is_empty()),
            settings: self.settings(),
            absent: false,
        }));
    }

    fn settings(&self) -> RecipientSettings {
        recipients::said(self.snapshot, self.id, self.object, name)
    }

    fn contact(&mut self, wanted: fn(WantedContact) -> Wanted) {
        self.put(wanted(WantedContact {
            name: self.object.name(),
            ou: self.container(),
            addresses: Some(addresses(self.object)),
            settings: self.settings(),
            absent: false,
        }));
    }

    /// How many members it has.
    fn group(&mut self) -> usize {
        let members: Vec<String> =
            self.snapshot.members(self.id).into_iter().map(|member| name(self.snapshot, member)).collect();
        let own = self.object.sid().map(|sid| self.snapshot.sid(sid));
        let is_given = own.is_some_and(|sid| sid.rid().is_some_and(|rid| rid < FIRST_OWN_RID));
        if is_given && members.is_empty() {
            return 0;
        }
        let kind = self.object.group_type().unwrap_or(directory::GroupType::security(Scope::Global));
        let scope = match kind.scope() {
            Scope::Global => GroupScope::Global,
            Scope::DomainLocal => GroupScope::DomainLocal,
            Scope::Universal => GroupScope::Universal,
        };
        let count = members.len();
        self.put(Wanted::Group(WantedGroup {
            name: name(self.snapshot, self.id),
            display_name: self.object.display_name().map(str::to_owned),
            ou: self.container(),
            distribution: !kind.is_security(),
            scope,
            addresses: Some(addresses(self.object)),
            members: Some(members),
            settings: self.settings(),
            absent: false,
        }));
        count
    }

    fn receive_connector(&mut self) {
        let row = receive::row(self.snapshot, self.id);
        let usage = Some(row.usage).filter(|usage| !usage.is_empty());
        let server = Some(row.server).filter(|server| !server.is_empty());
        // A custom ACL is the entries that it consists of.
        let permission_groups = (!permission_groups(self.snapshot, self.id).is_custom()).then_some(row.complete_groups);
        self.put(Wanted::ReceiveConnector(WantedReceive {
            name: row.name,
            usage,
            server,
            permission_groups,
            settings: row.settings,
            absent: false,
        }));
    }

    fn send_connector(&mut self) {
        let Ok(row) = send::row(self.asked, self.id) else { return };
        let usage = Some(row.usage).filter(|usage| !usage.is_empty());
        self.put(Wanted::SendConnector(WantedSend { name: row.name, usage, settings: row.settings, absent: false }));
    }

    /// Where it stands, if not in `CN=Users` or at the top of the default domain, where new objects go.
    fn container(&self) -> Option<String> {
        let parent = self.object.parent()?;
        let default = crate::accounts::container(self.snapshot, None).ok();
        let is_top = self.snapshot.domains().first().is_some_and(|domain| domain.object == parent);
        let is_unit = self.object.class() == Class::OrganizationalUnit;
        let is_default = if is_unit { is_top } else { default == Some(parent) };
        (!is_default).then(|| self.snapshot.dn(parent))
    }

    /// Entries on the object itself, those left out that its class or its permission groups give.
    fn grants(&mut self) {
        let Some(descriptor) = self.snapshot.explicit_descriptor(self.id) else { return };
        let given = directory::default_descriptor(self.snapshot, self.id);
        let given = given.dacl.as_ref().map_or(&[][..], |dacl| &dacl.aces);
        let held = (self.object.class() == Class::ReceiveConnector).then(|| permission_groups(self.snapshot, self.id));
        let aces = descriptor.dacl.as_ref().map_or(&[][..], |dacl| &dacl.aces);
        for (place, ace) in aces.iter().enumerate() {
            let of_group = held.as_ref().is_some_and(|held| !held.is_custom() && !held.others.contains(&place));
            if of_group || ace.sid == well_known::SELF || given.contains(ace) {
                continue;
            }
            match self.grant(ace) {
                Some(grant) => self.put(Wanted::Grant(grant)),
                None => self.page.entries_left_out += 1,
            }
        }
    }

    /// An entry as `permission add` would make it; none if it would make another.
    fn grant(&self, ace: &Ace) -> Option<WantedGrant> {
        let until = expiry::until(self.snapshot, self.id, a::EXPIRING_GRANT, &expiry::of_ace(ace));
        let [right] = <[String; 1]>::try_from(words::rights(ace)).ok()?;
        let right = if right == "all extended rights" { "extended-right".to_owned() } else { right };
        let user = self.principal(&ace.sid);
        let change = PermissionChange {
            identity: String::new(),
            trustee: user.clone(),
            rights: vec![right.clone()],
            deny: ace.is_deny(),
            inherit_to: words::inherited_by(ace),
            inheritance: words::inheritance(ace),
            until: None,
        };
        let same = permissions::entries(&change, &ace.sid).is_ok_and(|made| made == std::slice::from_ref(ace));
        same.then(|| WantedGrant {
            on: name(self.snapshot, self.id),
            user,
            right,
            deny: change.deny,
            inherit_to: change.inherit_to,
            inheritance: change.inheritance,
            until: until.map(iso),
            absent: false,
        })
    }

    fn mailbox_grants(&mut self) {
        let Some(descriptor) = self.snapshot.explicit_mailbox_descriptor(self.id) else { return };
        for ace in descriptor.dacl.iter().flat_map(|dacl| &dacl.aces).filter(|ace| ace.sid != well_known::SELF) {
            match self.mailbox_grant(ace) {
                Some(grant) => self.put(Wanted::MailboxGrant(grant)),
                None => self.page.entries_left_out += 1,
            }
        }
    }

    fn mailbox_grant(&self, ace: &Ace) -> Option<WantedMailboxGrant> {
        let until = expiry::until(self.snapshot, self.id, a::EXPIRING_MAILBOX_GRANT, &expiry::of_ace(ace));
        let rights = words::mailbox_rights(ace);
        let user = self.principal(&ace.sid);
        let right = rights.join(", ");
        let change = MailboxPermissionChange {
            identity: String::new(),
            trustee: user.clone(),
            rights,
            deny: ace.is_deny(),
            until: None,
        };
        let same = permissions::mailbox_entry(&change, &ace.sid).is_ok_and(|made| made == *ace);
        same.then(|| WantedMailboxGrant {
            on: name(self.snapshot, self.id),
            user,
            right: Some(right).filter(|right| right != "full-access"),
            deny: change.deny,
            until: until.map(iso),
            absent: false,
        })
    }

    /// How many entries there are.
    fn folder_permissions(&mut self) -> usize {
        let said = whole::said(self.snapshot, self.id);
        self.page.entries_left_out += said.left_out;
        let on = name(self.snapshot, self.id);
        let mut count = 0;
        for (folder, entries) in said.lists {
            count += entries.len();
            let entries = Some(entries);
            self.put(Wanted::FolderPermission(WantedFolderPermission {
                on: on.clone(),
                folder,
                entries,
                absent: false,
            }));
        }
        count
    }

    /// Whom a SID means, by a name that means the same, or by SID.
    fn principal(&self, sid: &Sid) -> String {
        let named = self.snapshot.sid_name(sid);
        let same = permissions::trustee(self.snapshot, &named).is_ok_and(|own| own == *sid);
        if same { named } else { sid.to_string() }
    }

    /// How many there are.
    fn delegates(&mut self) -> usize {
        let mut users = Vec::new();
        let mut until = BTreeMap::new();
        for delegate in self.snapshot.delegates(self.id) {
            let (Some(object), named) = (self.snapshot.object(delegate), name(self.snapshot, delegate)) else {
                continue;
            };
            let guid = object.guid().to_string();
            if let Some(time) = expiry::until(self.snapshot, self.id, a::EXPIRING_DELEGATE, &guid) {
                until.insert(named.clone(), iso(time));
            }
            users.push(named);
        }
        users.sort();
        let count = users.len();
        if count > 0 {
            let of = name(self.snapshot, self.id);
            self.put(Wanted::Delegates(WantedDelegates { of, users, until }));
        }
        count
    }
}

/// The shortest name that means the object: the logon name, with its domain, or the distinguished name.
fn name(snapshot: &Snapshot, id: ObjectId) -> String {
    let dn = snapshot.dn(id);
    let Some(object) = snapshot.object(id) else { return dn };
    let short = object.sam_account_name().map(str::to_owned);
    let long = short.is_some().then(|| crate::accounts::account_name(snapshot, id, object));
    let plain = [Class::Database, Class::Server].contains(&object.class()).then(|| object.name());
    let names = [short, long, plain];
    names.into_iter().flatten().find(|name| snapshot.resolve(name).is_ok_and(|found| found == id)).unwrap_or(dn)
}
