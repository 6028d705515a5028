//! What must hold for connectors however they are changed: by their own commands, by `apply`, by an import or by hand.

use std::net::SocketAddr;

use directory::{
    AuthMechanisms, Class, FolderIdentity, FolderKind, ObjectId, ReceiveConnector, SendAuth, SendConnector, SendTls,
    Snapshot,
};

use crate::error::{Fault, FaultKind};

/// Something that is wrong with a connector, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wrong {
    message: String,
    help: String,
}

/// Refuses a change after which something is wrong that was not wrong before.
pub fn check(before: &Snapshot, after: &Snapshot) -> Result<(), Fault> {
    if is_same(before, after) {
        return Ok(());
    }
    let known = faults(before);
    match faults(after).into_iter().find(|fault| !known.contains(fault)) {
        Some(fault) => Err(Fault::new(FaultKind::Invalid, fault.message).help(fault.help)),
        None => Ok(()),
    }
}

/// No connector changed; true after almost every change.
fn is_same(before: &Snapshot, after: &Snapshot) -> bool {
    before.receive_connectors().eq(after.receive_connectors()) && before.send_connectors().eq(after.send_connectors())
}

fn faults(snapshot: &Snapshot) -> Vec<Wrong> {
    let mut found = Vec::new();
    let receive: Vec<(ObjectId, &ReceiveConnector)> = snapshot.receive_connectors().collect();
    for (_, connector) in &receive {
        found.extend(mechanisms(connector));
    }
    for (_, connector) in snapshot.send_connectors() {
        found.extend(sending(connector));
    }
    for (index, (id, connector)) in receive.iter().enumerate() {
        let before = receive[..index].iter().filter(|(other, _)| server(snapshot, *other) == server(snapshot, *id));
        found.extend(folder(snapshot, *id, connector, before.map(|(_, other)| *other)));
    }
    for (index, (id, one)) in receive.iter().enumerate() {
        for (other_id, other) in &receive[index + 1..] {
            let same_server = server(snapshot, *id) == server(snapshot, *other_id);
            found.extend(same_server.then(|| overlap(one, other)).flatten());
        }
    }
    found
}

fn server(snapshot: &Snapshot, connector: ObjectId) -> Option<ObjectId> {
    snapshot.ancestor(connector, Class::Server)
}

/// Which mechanisms go together (F §3.4).
fn mechanisms(connector: &ReceiveConnector) -> Option<Wrong> {
    let (auth, name) = (connector.auth, &connector.name);
    let fault = |what: &str, help: &str| Some(Wrong { message: format!("{name}: {what}"), help: help.to_owned() });
    if auth.basic_requires_tls && !(auth.basic && auth.tls) {
        return fault(
            "BasicAuthRequireTLS goes with BasicAuth and Tls only",
            "name all three: --auth Tls,BasicAuth,BasicAuthRequireTLS",
        );
    }
    let others = auth.integrated || auth.basic || auth.exchange_server;
    if auth.external_authoritative && others {
        return fault(
            "ExternalAuthoritative goes with Tls only: whoever can connect is believed, there is nobody to authenticate",
            "use --auth ExternalAuthoritative or --auth Tls,ExternalAuthoritative",
        );
    }
    if connector.require_tls && !auth.tls {
        return fault("RequireTLS needs the mechanism Tls", "add Tls to --auth");
    }
    if connector.implicit_tls && !auth.tls {
        return fault("TLS before the greeting needs the mechanism Tls", "add Tls to --auth");
    }
    if connector.domain_secure && !auth.tls {
        return fault("Domain Security needs the mechanism Tls", "add Tls to --auth");
    }
    if connector.domain_secure && auth.external_authoritative {
        return fault(
            "Domain Security and ExternalAuthoritative exclude each other",
            "set --domain-secure false, or another --auth",
        );
    }
    None
}

/// What goes together on a receive connector that takes files. `others` are of the same server.
fn folder<'a>(
    snapshot: &Snapshot,
    id: ObjectId,
    connector: &ReceiveConnector,
    mut others: impl Iterator<Item = &'a ReceiveConnector>,
) -> Option<Wrong> {
    let (folder, name) = (connector.folder.as_ref()?, &connector.name);
    let fault = |what: &str, help: &str| Some(Wrong { message: format!("{name}: {what}"), help: help.to_owned() });
    if !connector.bindings.is_empty() {
        return fault("a folder takes no connections, and so has no bindings", "make two connectors");
    }
    if connector.auth != AuthMechanisms::default() {
        return fault(
            "there is nobody to authenticate in a folder",
            "leave --auth away, and name an account with --submit-as",
        );
    }
    if folder.identity == FolderIdentity::Owner && folder.kind == FolderKind::Replay {
        return fault(
            "what is replayed was written by a server: the owner of its files says nothing about who sends",
            "name an account with --submit-as, or anonymous",
        );
    }
    if folder.identity == FolderIdentity::Account && super::folders::assigned(snapshot, id).is_none() {
        return fault("no account is assigned to the folder", "name one with --submit-as");
    }
    let same = |other: &&ReceiveConnector| other.folder.as_ref().is_some_and(|other| other.path == folder.path);
    match others.find(same) {
        Some(other) => {
            fault(&format!("{} takes the files of {} already", other.name, folder.path), "give each of them a folder")
        }
        None => None,
    }
}

/// What goes together on a send connector.
fn sending(connector: &SendConnector) -> Option<Wrong> {
    let name = &connector.name;
    let fault = |what: &str, help: &str| Some(Wrong { message: format!("{name}: {what}"), help: help.to_owned() });
    if connector.drop_folder.is_some() {
        let hosts = !connector.smart_hosts.is_empty();
        let proves = !matches!(connector.auth, SendAuth::None | SendAuth::ExternalAuthoritative);
        let tls = connector.require_tls
            || connector.domain_secure
            || !matches!(connector.tls, SendTls::Opportunistic | SendTls::None);
        return match (hosts, proves, tls) {
            (true, ..) => fault("a drop folder and smart hosts exclude each other", "make two connectors"),
            (_, true, _) => fault("nobody logs on to a folder, and it proves nothing", "set --auth none"),
            (.., true) => fault(
                "there is no TLS to a folder",
                "set --tls opportunistic, --require-tls false, --domain-secure false",
            ),
            _ => None,
        };
    }
    let basic = matches!(connector.auth, SendAuth::Basic | SendAuth::BasicRequiresTls);
    let oauth = connector.auth == SendAuth::Oauth;
    if (basic || oauth) && connector.user.is_none() {
        return fault("to log on, a name is needed", "give --user NAME and --password-stdin");
    }
    if (basic || oauth) && connector.smart_hosts.is_empty() {
        return fault("to log on, a host is needed to log on to", "name it with --smart-host");
    }
    if connector.smart_hosts.is_empty() && connector.auth == SendAuth::ExternalAuthoritative {
        return fault(
            "whatever host an MX record names would be believed with external-authoritative",
            "name the hosts with --smart-host",
        );
    }
    if oauth && connector.token.as_ref().is_none_or(|token| token.client.is_empty()) {
        return fault("oauth needs somebody to give tokens", "give --token-url URL and --token-client ID");
    }
    let strict = connector.require_tls
        || connector.domain_secure
        || matches!(connector.auth, SendAuth::BasicRequiresTls | SendAuth::ExchangeServer | SendAuth::Oauth);
    if connector.tls == SendTls::None && strict {
        return fault("it needs TLS and says --tls none", "choose opportunistic, required or verified");
    }
    if connector.tls == SendTls::MtaSts && !connector.smart_hosts.is_empty() {
        return fault(
            "MTA-STS is about hosts that MX records name, and there are smart hosts",
            "use --tls verified, or --by-mx",
        );
    }
    if !connector.pins.is_empty() && connector.tls != SendTls::Verified {
        return fault("pinned keys count with --tls verified only", "set --tls verified, or --tls-pin ''");
    }
    if connector.domain_secure && connector.auth == SendAuth::ExternalAuthoritative {
        return fault(
            "Domain Security and external-authoritative exclude each other",
            "set --domain-secure false, or another --auth",
        );
    }
    None
}

/// Two connectors of one server that a client could not be given to (F §3.8): the same binding needs different ranges,
/// and of two ranges that meet one has to lie within the other.
fn overlap(one: &ReceiveConnector, other: &ReceiveConnector) -> Option<Wrong> {
    let shared = one.bindings.iter().find(|binding| other.bindings.iter().any(|own| is_same_socket(binding, own)))?;
    for range in &one.remote_ranges {
        for own in &other.remote_ranges {
            let (names, help) =
                (format!("{} and {}", one.name, other.name), "give one of them other ranges or bindings");
            if range == own {
                let message = format!("{names} are both bound to {shared} for the clients {range}");
                return Some(Wrong { message, help: help.to_owned() });
            }
            if range.meets(own) && !range.covers(own) && !own.covers(range) {
                let message = format!(
                    "{names} are both bound to {shared}, and their ranges {range} and {own} overlap: one has to lie \
                     within the other"
                );
                return Some(Wrong { message, help: help.to_owned() });
            }
        }
    }
    None
}

/// Port 0 is a different port each time.
fn is_same_socket(one: &SocketAddr, other: &SocketAddr) -> bool {
    let same = |a: &SocketAddr, b: &SocketAddr| a.ip().to_canonical() == b.ip().to_canonical();
    one.port() == other.port() && one.port() != 0 && same(one, other)
}
