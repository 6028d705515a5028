//! Where mail for a recipient goes: a local mailbox, another host, or nowhere yet.
//!
//! Asked twice: when a message is accepted, to name the destination under which the queue schedules the recipient, and at
//! each attempt, so that mail follows the directory and not what it said when the mail came.

use acl::Guid;
use directory::{AddressOwner, Class, DomainKind, ObjectId, SendConnector, Snapshot};
use message::{Address, CanonicalAddress};

use crate::delivery::{DropFolder, LmtpHost, SmartHost, Terms};

/// Where mail for one recipient goes now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// A mailbox of ours.
    Mailbox {
        /// The mailbox.
        mailbox: Guid,
        /// The primary address of its owner.
        address: Option<Address>,
        /// It is handed to the node's LMTP server.
        lmtp: bool,
    },
    /// By SMTP to another host.
    Host(NextHop),
    /// As a file in a folder.
    Folder(DropFolder),
    /// A group, which is expanded when the message is accepted; it is found here only if there was nobody in it.
    Group(ObjectId),
    /// Nowhere, for good: the message goes back.
    Unknown {
        /// Enhanced status code.
        status: (u8, u16, u16),
        /// Why.
        reason: String,
    },
    /// Nowhere as yet: the message waits.
    None {
        /// Why.
        reason: String,
    },
}

/// How to reach another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextHop {
    /// The send connector; `None` for the smart host of the node's configuration.
    pub connector: Option<(ObjectId, Guid)>,
    /// Which hosts to try.
    pub via: Via,
    /// The name to say in EHLO, if not the node's.
    pub fqdn: Option<String>,
    /// What the hosts have to agree to.
    pub terms: Terms,
}

/// Which hosts mail goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// These, in this order.
    Hosts(Vec<SmartHost>),
    /// Those that the MX records of a domain name.
    Mx {
        /// The domain, canonical.
        domain: String,
        /// Their port, usually 25.
        port: u16,
    },
}

/// What the configuration of the node says of the ways that mail takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exits {
    /// Takes what no send connector routes.
    pub smart_host: Option<SmartHost>,
    /// Takes what is for local mailboxes, instead of their Maildirs.
    pub lmtp: Option<LmtpHost>,
}

impl Route {
    /// Routes a message of `size` octets to a recipient.
    pub fn resolve(snapshot: &Snapshot, recipient: &CanonicalAddress, size: u64, exits: &Exits) -> Route {
        let authoritative =
            snapshot.accepted_domain(recipient.domain()).is_some_and(|domain| domain.kind == DomainKind::Authoritative);
        match snapshot.recipient(recipient) {
            AddressOwner::One(owner) => {
                let Some(object) = snapshot.object(owner) else { return unknown(recipient) };
                if let Some(mailbox) = object.mailbox() {
                    let lmtp = exits.lmtp.is_some();
                    return Route::Mailbox { mailbox: mailbox.guid, address: object.primary_address(), lmtp };
                }
                if matches!(object.class(), Class::Group | Class::DynamicGroup) {
                    return Route::Group(owner);
                }
                if authoritative {
                    let reason = format!("{} has no mailbox", object.label());
                    return Route::Unknown { status: (5, 1, 1), reason };
                }
            }
            AddressOwner::Several(owners) if authoritative => {
                let reason = format!("{} objects own the address {}", owners.len(), recipient.as_str());
                return Route::None { reason };
            }
            AddressOwner::Nobody if authoritative => return unknown(recipient),
            AddressOwner::Several(_) | AddressOwner::Nobody => {}
        }
        by_domain(snapshot, recipient.domain(), size, exits.smart_host.as_ref())
    }

    /// The destination under which the queue schedules this route. `domain` is the recipient's.
    pub fn destination(&self, domain: &str) -> String {
        match self {
            Route::Mailbox { lmtp: true, .. } => LMTP.to_owned(),
            Route::Mailbox { mailbox, .. } => format!("{MAILBOX}{mailbox}"),
            Route::Host(NextHop { connector: Some((_, guid)), via: Via::Hosts(_), .. }) => format!("connector:{guid}"),
            Route::Host(NextHop { connector: Some((_, guid)), via: Via::Mx { domain, .. }, .. }) => {
                format!("connector:{guid}:{domain}")
            }
            Route::Folder(DropFolder { connector: (_, guid), .. }) => format!("connector:{guid}"),
            Route::Host(NextHop { connector: None, .. }) => "smart-host".to_owned(),
            Route::Group(_) | Route::Unknown { .. } => format!("unknown:{domain}"),
            Route::None { .. } => format!("{UNROUTED}{domain}"),
        }
    }
}

/// Begins the destination of recipients with a local Maildir.
pub const MAILBOX: &str = "mailbox:";
/// The destination of all recipients with a mailbox, where an LMTP server takes it.
pub(crate) const LMTP: &str = "lmtp";
/// Begins the destination of recipients that have no route.
pub(crate) const UNROUTED: &str = "domain:";

/// The send connector with the most specific address space for the domain, then the lowest cost, then the name first in
/// alphabet, of those that take a message so large (F §3.9).
fn by_domain(snapshot: &Snapshot, domain: &str, size: u64, smart_host: Option<&SmartHost>) -> Route {
    let matching: Vec<_> = snapshot
        .send_connectors()
        .filter(|(_, connector)| connector.enabled)
        .filter_map(|(id, connector)| Some((rank(connector, domain)?, id, connector)))
        .collect();
    let best = matching
        .iter()
        .filter(|(_, _, connector)| connector.max_message_size.is_none_or(|limit| size <= limit))
        .min_by(|(rank, _, one), (other_rank, _, other)| (rank, &one.name).cmp(&(other_rank, &other.name)));
    match (best, smart_host) {
        (Some((_, id, connector)), _) => through(snapshot, *id, connector, domain),
        (None, _) if !matching.is_empty() => Route::Unknown {
            status: (5, 3, 4),
            reason: format!("no send connector for {domain} takes a message of {size} octets"),
        },
        (None, Some(host)) => {
            let via = Via::Hosts(vec![host.clone()]);
            Route::Host(NextHop { connector: None, via, fqdn: None, terms: Terms::default() })
        }
        (None, None) => Route::None { reason: format!("no send connector takes mail for {domain}") },
    }
}

/// Less is better: the reverse of how specific the best address space is, then its cost.
fn rank(connector: &SendConnector, domain: &str) -> Option<(std::cmp::Reverse<usize>, u32)> {
    connector.spaces.iter().filter_map(|space| Some((std::cmp::Reverse(space.matches(domain)?), space.cost))).min()
}

fn through(snapshot: &Snapshot, id: ObjectId, connector: &SendConnector, domain: &str) -> Route {
    let Some(guid) = snapshot.object(id).map(|object| object.guid()) else {
        return Route::None { reason: format!("send connector {} is gone", connector.name) };
    };
    if let Some(folder) = DropFolder::of((id, guid), connector) {
        return Route::Folder(folder);
    }
    let hosts: Vec<SmartHost> =
        connector.smart_hosts.iter().filter_map(|text| SmartHost::parse(text, connector.port)).collect();
    if hosts.len() < connector.smart_hosts.len() {
        let reason = format!("send connector {} names a smart host that is none", connector.name);
        return Route::None { reason };
    }
    let via = match hosts.is_empty() {
        true => Via::Mx { domain: domain.to_owned(), port: connector.port },
        false => Via::Hosts(hosts),
    };
    let terms = Terms::of(snapshot, connector, domain);
    Route::Host(NextHop { connector: Some((id, guid)), via, fqdn: connector.fqdn.clone(), terms })
}

fn unknown(recipient: &CanonicalAddress) -> Route {
    Route::Unknown { status: (5, 1, 1), reason: format!("there is no recipient {}", recipient.as_str()) }
}
