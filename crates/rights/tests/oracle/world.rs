//! Random organizations, as plain data and as a directory.

use std::sync::Arc;

use acl::{AccessMask, Ace, AceFlags, Acl, Guid, SecurityDescriptor, Sid, well_known};
use directory::{Change, ChangeBatch, ObjectId, Record, Snapshot, Token, link_value};
use message::Address;
use proptest::prelude::*;
use rights::RightName;

pub const USERS: usize = 5;
pub const GROUPS: usize = 4;

/// Addresses that are asked for: each user's, an alias of the first, one that two users claim, one that nobody owns in
/// an authoritative domain, and strangers.
pub const ADDRESSES: [&str; 9] = [
    "u0@example.com",
    "u1@example.com",
    "u2@example.com",
    "u3@example.com",
    "alias@example.com",
    "twice@example.com",
    "nobody@example.com",
    "stranger@elsewhere.test",
    "u4@elsewhere.test",
];

/// The rights on the connector that a world chooses.
pub const CONNECTOR_RIGHTS: [RightName; 5] = [
    RightName::AcceptAnySender,
    RightName::AcceptAuthoritativeDomainSender,
    RightName::Submit,
    RightName::AcceptAnyRecipient,
    RightName::BypassMessageSizeLimit,
];

/// Whom an entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trustee {
    User(usize),
    Group(usize),
    Self_,
    Everyone,
    Anonymous,
}

/// An entry about Send As.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub trustee: Trustee,
    pub deny: bool,
    /// 0: the right itself; 1: all extended rights; 2: full control; 3: another right, which says nothing.
    pub scope: u8,
    pub inherit_only: bool,
}

#[derive(Clone, Debug)]
pub struct User {
    pub in_unit: bool,
    pub protected: bool,
    pub disabled: bool,
    /// msExchMasterAccountSid: the account of another user.
    pub master: Option<usize>,
    pub has_mailbox: bool,
    /// The mailbox descriptor inherits from the database.
    pub inherits: bool,
    pub has_address: bool,
    pub entries: Vec<Entry>,
    pub mailbox_entries: Vec<Entry>,
    pub delegates: Vec<Trustee>,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub security: bool,
    pub users: Vec<usize>,
    pub groups: Vec<usize>,
}

#[derive(Clone, Debug)]
pub struct World {
    pub users: Vec<User>,
    pub groups: Vec<Group>,
    /// Inheritable to users below the unit.
    pub unit_entries: Vec<Entry>,
    /// On the mailbox database. Scope 0: Send As, 1: all extended rights, 2: full control, 3: Receive As.
    pub database_entries: Vec<Entry>,
    pub legacy_policy: bool,
    /// [`CONNECTOR_RIGHTS`] of ANONYMOUS LOGON and of Authenticated Users on the connector.
    pub anonymous: [bool; 5],
    pub authenticated: [bool; 5],
    pub reject_on_behalf: bool,
    pub delegate_chain: bool,
    pub require_from: bool,
}

fn trustee() -> impl Strategy<Value = Trustee> {
    prop_oneof![
        5 => (0..USERS).prop_map(Trustee::User),
        5 => (0..GROUPS).prop_map(Trustee::Group),
        2 => Just(Trustee::Self_),
        1 => Just(Trustee::Everyone),
        1 => Just(Trustee::Anonymous),
    ]
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (trustee(), any::<bool>(), 0..4u8, proptest::bool::weighted(0.1))
        .prop_map(|(trustee, deny, scope, inherit_only)| Entry { trustee, deny, scope, inherit_only });
    proptest::collection::vec(entry, 0..4)
}

fn user() -> impl Strategy<Value = User> {
    let principal = prop_oneof![(0..USERS).prop_map(Trustee::User), (0..GROUPS).prop_map(Trustee::Group)];
    (
        any::<[bool; 3]>(),
        (proptest::bool::weighted(0.2), proptest::option::weighted(0.3, 0..USERS)),
        proptest::bool::weighted(0.8),
        proptest::bool::weighted(0.9),
        entries(),
        entries(),
        proptest::collection::vec(principal, 0..3),
    )
        .prop_map(|(flags, (disabled, master), has_mailbox, has_address, entries, mailbox_entries, delegates)| {
            User {
                in_unit: flags[0],
                protected: flags[1],
                inherits: flags[2],
                disabled,
                master,
                has_mailbox,
                has_address,
                entries,
                mailbox_entries,
                delegates,
            }
        })
}

fn group() -> impl Strategy<Value = Group> {
    (any::<bool>(), proptest::collection::vec(0..USERS, 0..3), proptest::collection::vec(0..GROUPS, 0..3))
        .prop_map(|(security, users, groups)| Group { security, users, groups })
}

pub fn worlds() -> impl Strategy<Value = World> {
    (
        proptest::collection::vec(user(), USERS),
        proptest::collection::vec(group(), GROUPS),
        entries(),
        (entries(), proptest::bool::weighted(0.3)),
        any::<[bool; 5]>(),
        any::<[bool; 5]>(),
        any::<[bool; 3]>(),
    )
        .prop_map(
            |(users, groups, unit_entries, (database_entries, legacy_policy), anonymous, authenticated, options)| {
                World {
                    users,
                    groups,
                    unit_entries,
                    database_entries,
                    legacy_policy,
                    anonymous,
                    authenticated,
                    reject_on_behalf: options[0] && options[1],
                    delegate_chain: options[1],
                    require_from: options[2],
                }
            },
        )
}

/// The addresses of a user.
pub fn addresses(world: &World, user: usize) -> Vec<String> {
    if !world.users[user].has_address {
        return Vec::new();
    }
    let mut addresses = vec![match user {
        4 => "u4@elsewhere.test".to_owned(),
        _ => format!("u{user}@example.com"),
    }];
    match user {
        0 => addresses.push("alias@example.com".to_owned()),
        2 | 3 => addresses.push("twice@example.com".to_owned()),
        _ => {}
    }
    addresses
}

pub fn address(text: &str) -> Address {
    Address::parse(text).expect("a test address")
}

/// A world as a directory.
pub struct Directory {
    pub snapshot: Snapshot,
    pub users: Vec<ObjectId>,
    pub connector: ObjectId,
}

impl Directory {
    /// The token of an account, or the anonymous one; `None` for a disabled account.
    pub fn token(&self, account: Option<usize>) -> Option<Arc<Token>> {
        match account {
            Some(user) => self.snapshot.account_token(self.users[user]).ok(),
            None => Some(self.snapshot.anonymous_token()),
        }
    }
}

fn domain_sid() -> Sid {
    Sid::new(5, &[21, 1, 2, 3])
}

fn user_sid(user: usize) -> Sid {
    domain_sid().with_rid(1100 + user as u32).expect("room for a RID")
}

fn group_sid(group: usize) -> Sid {
    domain_sid().with_rid(1200 + group as u32).expect("room for a RID")
}

fn guid(kind: u128, index: usize) -> Guid {
    Guid::from_u128(kind << 32 | index as u128)
}

impl World {
    /// This world with some parts of another: the unit's entries, the users' entries and delegates, the memberships.
    /// What the changes below cannot express stays.
    pub fn with_parts_of(&self, other: &World, [unit, users, groups]: [bool; 3]) -> World {
        let mut world = self.clone();
        if unit {
            world.unit_entries = other.unit_entries.clone();
        }
        if users {
            for (user, other) in world.users.iter_mut().zip(&other.users) {
                user.entries = other.entries.clone();
                user.protected = other.protected;
                user.mailbox_entries = other.mailbox_entries.clone();
                user.inherits = other.inherits;
                user.disabled = other.disabled;
                user.delegates = other.delegates.clone();
            }
        }
        if groups {
            for (group, other) in world.groups.iter_mut().zip(&other.groups) {
                group.users = other.users.clone();
                group.groups = other.groups.clone();
            }
        }
        world
    }

    /// The changes that lead from `before` to this world, which came of it by [`World::with_parts_of`].
    pub fn as_changes(&self, before: &World) -> ChangeBatch {
        let differs = |old: &Record, new: &Record, guid: Guid| {
            let names: std::collections::BTreeSet<&String> =
                old.attributes.keys().chain(new.attributes.keys()).collect();
            let changed = names.into_iter().filter(|name| old.values(name) != new.values(name));
            let attributes: Vec<_> = changed.map(|name| (name.clone(), new.values(name).to_vec())).collect();
            (!attributes.is_empty()).then_some(Change::Modify { guid, attributes })
        };
        let (old, new) = (before.records(), self.records());
        let changes = old.iter().zip(&new).filter_map(|(old, new)| differs(old, new, new.guid)).collect();
        ChangeBatch { author: well_known::SYSTEM.clone(), time: directory::Time(0), comment: String::new(), changes }
    }

    pub fn directory(&self) -> Directory {
        let snapshot = Snapshot::load(self.records(), 1).expect("the directory loads").snapshot;
        let users = (0..USERS).map(|user| snapshot.by_guid(&guid(2, user)).expect("a user")).collect();
        let connector = snapshot.by_guid(&guid(1, 3)).expect("the connector");
        Directory { snapshot, users, connector }
    }

    fn records(&self) -> Vec<Record> {
        let (domain, unit, plain, connector) = (guid(1, 0), guid(1, 1), guid(1, 2), guid(1, 3));
        let mut records = vec![
            record(domain, None, "DC=example,DC=com", "domainDNS", &[])
                .with("objectSid", domain_sid().to_bytes())
                .with("nETBIOSName", "EXAMPLE"),
            record(unit, Some(domain), "OU=Unit", "organizationalUnit", &self.unit_aces()),
            record(plain, Some(domain), "OU=Plain", "organizationalUnit", &[]),
            self.connector(connector, domain),
            record(guid(1, 5), Some(domain), "CN=Database", "msExchPrivateMDB", &self.database_aces())
                .with("procuraLegacySendAs", if self.legacy_policy { "TRUE" } else { "FALSE" }),
            accepted_domain(guid(1, 4), domain),
        ];
        for (index, group) in self.groups.iter().enumerate() {
            let kind: i32 = if group.security { i32::MIN | 0x8 } else { 0x8 };
            let members = group.users.iter().map(|user| guid(2, *user));
            let members = members.chain(group.groups.iter().map(|group| guid(3, *group)));
            let mut members: Vec<Vec<u8>> =
                members.filter(|member| *member != guid(3, index)).map(|m| link_value(&m)).collect();
            members.sort();
            members.dedup();
            records.push(
                record(guid(3, index), Some(plain), &format!("CN=g{index}"), "group", &[])
                    .with("objectSid", group_sid(index).to_bytes())
                    .with("sAMAccountName", format!("g{index}"))
                    .with("groupType", kind.to_string())
                    .with_all("member", members),
            );
        }
        for (index, user) in self.users.iter().enumerate() {
            records.push(self.user(index, user, if user.in_unit { unit } else { plain }));
        }
        records
    }

    fn user(&self, index: usize, user: &User, parent: Guid) -> Record {
        let aces: Vec<Ace> = user.entries.iter().map(send_as_ace).collect();
        let mut record = Record::new(guid(2, index), Some(parent), format!("CN=u{index}"))
            .with_all("objectClass", ["top", "person", "organizationalPerson", "user"].map(Vec::from))
            .with("nTSecurityDescriptor", descriptor(&aces, user.protected))
            .with("objectSid", user_sid(index).to_bytes())
            .with("sAMAccountName", format!("u{index}"))
            .with("userAccountControl", if user.disabled { "514" } else { "512" });
        if let Some(master) = user.master {
            record.set("msExchMasterAccountSid", vec![user_sid(master).to_bytes()]);
        }
        let addresses = addresses(self, index).into_iter().enumerate();
        let proxies = addresses.map(|(n, a)| format!("{}:{a}", if n == 0 { "SMTP" } else { "smtp" }).into_bytes());
        record.set("proxyAddresses", proxies.collect());
        let delegates = user.delegates.iter().filter_map(|delegate| match delegate {
            Trustee::User(user) => Some(link_value(&guid(2, *user))),
            Trustee::Group(group) => Some(link_value(&guid(3, *group))),
            _ => None,
        });
        let mut delegates: Vec<Vec<u8>> = delegates.collect();
        delegates.sort();
        delegates.dedup();
        record.set("publicDelegates", delegates);
        if user.has_mailbox {
            let aces: Vec<Ace> = user.mailbox_entries.iter().map(mailbox_ace).collect();
            record.set("msExchMailboxGuid", vec![guid(4, index).0.to_vec()]);
            record.set("procuraMailboxSecurityDescriptor", vec![descriptor(&aces, !user.inherits)]);
            record.set("homeMDB", vec![link_value(&guid(1, 5))]);
        }
        record
    }

    fn database_aces(&self) -> Vec<Ace> {
        self.database_entries.iter().filter(|entry| !entry.inherit_only).map(send_as_ace).collect()
    }

    fn unit_aces(&self) -> Vec<Ace> {
        let inherit = |entry: &Entry| {
            let ace = send_as_ace(&Entry { inherit_only: false, ..*entry });
            ace.with_flags(AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0))
                .for_class(acl::names::USER)
        };
        self.unit_entries.iter().map(inherit).collect()
    }

    fn connector(&self, id: Guid, parent: Guid) -> Record {
        let mut aces = Vec::new();
        for (trustee, held) in
            [(&well_known::ANONYMOUS_LOGON, self.anonymous), (&well_known::AUTHENTICATED_USERS, self.authenticated)]
        {
            for (right, held) in CONNECTOR_RIGHTS.iter().zip(held) {
                if held {
                    aces.push(Ace::allow_object(trustee.clone(), AccessMask::CONTROL_ACCESS, right.guid()));
                }
            }
        }
        let text = |yes: bool| if yes { "TRUE" } else { "FALSE" };
        Record::new(id, Some(parent), "CN=Connector")
            .with_all("objectClass", ["top", "msExchSmtpReceiveConnector"].map(Vec::from))
            .with("nTSecurityDescriptor", descriptor(&aces, true))
            .with("procuraOnBehalf", if self.reject_on_behalf { "reject" } else { "stamp" })
            .with("procuraDelegateChain", text(self.delegate_chain))
            .with("procuraRequireFrom", text(self.require_from))
    }
}

fn record(guid: Guid, parent: Option<Guid>, rdn: &str, class: &str, aces: &[Ace]) -> Record {
    Record::new(guid, parent, rdn)
        .with_all("objectClass", ["top", class].map(Vec::from))
        .with("nTSecurityDescriptor", descriptor(aces, true))
}

fn accepted_domain(guid: Guid, parent: Guid) -> Record {
    record(guid, Some(parent), "CN=example.com", "msExchAcceptedDomain", &[])
        .with("msExchAcceptedDomainName", "example.com")
        .with("msExchAcceptedDomainFlags", "0")
}

fn descriptor(aces: &[Ace], protected: bool) -> Vec<u8> {
    let mut sd = SecurityDescriptor::with_dacl(Acl::new(aces.to_vec()));
    sd.set_dacl_protected(protected);
    sd.to_bytes()
}

fn sid(trustee: Trustee) -> Sid {
    match trustee {
        Trustee::User(user) => user_sid(user),
        Trustee::Group(group) => group_sid(group),
        Trustee::Self_ => well_known::SELF.clone(),
        Trustee::Everyone => well_known::EVERYONE.clone(),
        Trustee::Anonymous => well_known::ANONYMOUS_LOGON.clone(),
    }
}

fn send_as_ace(entry: &Entry) -> Ace {
    let sid = sid(entry.trustee);
    let object = |right: Guid| match entry.deny {
        true => Ace::deny_object(sid.clone(), AccessMask::CONTROL_ACCESS, right),
        false => Ace::allow_object(sid.clone(), AccessMask::CONTROL_ACCESS, right),
    };
    let plain = |mask| match entry.deny {
        true => Ace::deny(sid.clone(), mask),
        false => Ace::allow(sid.clone(), mask),
    };
    let ace = match entry.scope {
        0 => object(RightName::SendAs.guid()),
        1 => plain(AccessMask::CONTROL_ACCESS),
        2 => plain(AccessMask::DS_FULL_CONTROL),
        _ => object(RightName::ReceiveAs.guid()),
    };
    match entry.inherit_only {
        true => ace.with_flags(AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0)),
        false => ace,
    }
}

/// Scope 3 of a mailbox entry holds another mailbox right only.
fn mailbox_ace(entry: &Entry) -> Ace {
    let mask = AccessMask(if entry.scope == 3 { 0x20000 } else { 0x1 });
    let ace = match entry.deny {
        true => Ace::deny(sid(entry.trustee), mask),
        false => Ace::allow(sid(entry.trustee), mask),
    };
    match entry.inherit_only {
        true => ace.with_flags(AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0)),
        false => ace,
    }
}
