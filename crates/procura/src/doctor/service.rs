//! What the service knows: ports, directory, queue, relaying.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use admin::Endpoint;
use admin::operations::{self as op, ConnectorRow, ConnectorTest, QueueFilter, QueueState, Request, Response, Verify};

use super::Finding;

/// A greeting comes sooner.
const GREETING: Duration = Duration::from_secs(5);
/// Mail that waits for longer is worth a look.
const OLD: i64 = 4 * 3_600;
/// A client of the Internet, and people who have nothing to do with the house (RFC 5737, RFC 2606).
const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 99));
const SENDER: &str = "stranger@outside.invalid";
const RECIPIENT: &str = "victim@elsewhere.invalid";

/// Everything that the service can be asked.
pub(super) fn examine(endpoint: &mut Endpoint, no_network: bool, wanted: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let status = match endpoint.call("", Request::Status) {
        Ok(Response::Status(status)) => status,
        Ok(_) => return vec![Finding::fault("service", "the service answered something else", "")],
        Err(error) => {
            return vec![Finding::fault("service", error.to_string(), "run it as root, or as the owner of the data")];
        }
    };
    if status.running {
        findings.push(Finding::ok("service", format!("the server runs as process {}", status.pid)));
    } else {
        let mend = if std::path::Path::new("/run/systemd/system").exists() {
            "systemctl start procura"
        } else {
            "procura serve"
        };
        findings.push(Finding::warning("service", "no server runs", mend));
    }
    for problem in &status.problems {
        findings.push(Finding::fault("directory", problem.clone(), "correct the object that it names"));
    }
    if status.connectors.is_empty() {
        let mend =
            "procura connector receive new Client --usage client --bindings 0.0.0.0:587 --remote-ranges 0.0.0.0/0";
        findings.push(Finding::fault("ports", "there is no receive connector: nothing listens", mend));
    }
    if wanted("ports") && !no_network {
        findings.extend(status.connectors.iter().filter(|row| row.enabled).flat_map(|row| ports(row, status.running)));
    }
    if wanted("relay") {
        findings.extend(relay(endpoint, &status.connectors));
    }
    if wanted("folders") {
        findings.extend(super::folders::examine(endpoint));
    }
    if wanted("directory") {
        findings.extend(directory(endpoint));
    }
    if wanted("queue") {
        findings.extend(queue(endpoint));
    }
    findings
}

/// Each binding greets, or could be listened on.
fn ports(connector: &ConnectorRow, running: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for binding in connector.bindings.iter().filter_map(|binding| binding.parse::<SocketAddr>().ok()) {
        let name = &connector.name;
        let here = match binding.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(_) => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        };
        findings.push(match running {
            true => greeting(name, SocketAddr::new(here, binding.port())),
            false => free(name, binding),
        });
    }
    findings
}

fn greeting(name: &str, address: SocketAddr) -> Finding {
    const CHECK: &str = "ports";
    let greet = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, GREETING)?;
        stream.set_read_timeout(Some(GREETING))?;
        let mut text = [0; 200];
        let read = stream.read(&mut text)?;
        Ok(String::from_utf8_lossy(&text[..read]).into_owned())
    };
    match greet() {
        Ok(said) if said.starts_with("220") => Finding::ok(CHECK, format!("{name} greets on {address}")),
        // A connector that does not take this machine's address says so; one with implicit TLS says nothing.
        Ok(said) if said.starts_with("421") => Finding::ok(CHECK, format!("{name} answers on {address}")),
        Ok(_) => Finding::warning(
            CHECK,
            format!("something else than {name} answers on {address}"),
            format!("ss -ltnp 'sport = :{}'", address.port()),
        ),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Finding::ok(CHECK, format!("{name} waits for TLS on {address}"))
        }
        Err(error) => Finding::fault(
            CHECK,
            format!("{name} does not answer on {address}: {error}"),
            "look into the log: journalctl -u procura",
        ),
    }
}

fn free(name: &str, address: SocketAddr) -> Finding {
    const CHECK: &str = "ports";
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(CHECK, format!("{address} is free for {name}")),
        Err(error) => {
            let mend = match error.kind() {
                std::io::ErrorKind::AddrInUse => {
                    format!("ss -ltnp 'sport = :{}' shows who listens there; stop it", address.port())
                }
                std::io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need CAP_NET_BIND_SERVICE, as the unit has it; run this as root to be sure"
                        .to_owned()
                }
                _ => format!("let it listen elsewhere: procura connector receive set '{name}' --bindings ADDR:PORT"),
            };
            Finding::fault(CHECK, format!("{name} cannot listen on {address}: {error}"), mend)
        }
    }
}

/// Nobody from outside may send to somebody outside.
fn relay(endpoint: &mut Endpoint, connectors: &[ConnectorRow]) -> Vec<Finding> {
    const CHECK: &str = "relay";
    let mut findings = Vec::new();
    for connector in connectors.iter().filter(|connector| connector.enabled) {
        let test = ConnectorTest {
            identity: connector.name.clone(),
            who: "anonymous".to_owned(),
            from: Some(SENDER.to_owned()),
            header_from: None,
            to: vec![RECIPIENT.to_owned()],
            size: None,
            remote: Some(STRANGER),
        };
        match endpoint.call("", Request::ConnectorTest(test)) {
            Ok(Response::ConnectorTested(tested)) if tested.accepted => findings.push(Finding::fault(
                CHECK,
                format!("{} takes mail from strangers to strangers: it is an open relay", connector.name),
                format!(
                    "procura connector receive set '{0}' --remote-ranges 10.0.0.0/8, or take \
                     ms-Exch-SMTP-Accept-Any-Recipient from ANONYMOUS LOGON: procura connector test '{0}' --as anonymous \
                     --to {RECIPIENT} shows why",
                    connector.name
                ),
            )),
            Ok(Response::ConnectorTested(_)) => {}
            Ok(_) => {}
            Err(error) => findings.push(Finding::warning(CHECK, format!("{}: {error}", connector.name), "")),
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "no connector takes mail from strangers to strangers"));
    }
    findings
}

/// What decisions are made on is what is stored.
fn directory(endpoint: &mut Endpoint) -> Vec<Finding> {
    const CHECK: &str = "directory";
    let (mut at, mut differences, mut checked) = (None, 0, 0);
    loop {
        match endpoint.call("", Request::Verify(Verify { at })) {
            Ok(Response::Verified(page)) => {
                differences += page.rows.len();
                checked += page.done;
                at = page.next;
            }
            Ok(_) => return Vec::new(),
            Err(error) => return vec![Finding::fault(CHECK, error.to_string(), "procura check-directory")],
        }
        if at.is_none() {
            break;
        }
    }
    match differences {
        0 => vec![Finding::ok(CHECK, format!("{checked} records and steps are as they should be"))],
        differences => vec![Finding::fault(
            CHECK,
            format!("{differences} difference(s) between what is held and what is stored"),
            "procura check-directory shows them; a restart works everything out anew",
        )],
    }
}

/// Mail that waits, destinations that do not answer, bodies that are damaged.
fn queue(endpoint: &mut Endpoint) -> Vec<Finding> {
    const CHECK: &str = "queue";
    let mut findings = Vec::new();
    let mut amount = |filter: QueueFilter| match endpoint.call("", Request::QueueAmount(filter)) {
        Ok(Response::QueueAmount(amount)) => Ok(amount),
        Ok(_) => Ok(op::QueueAmount::default()),
        Err(error) => Err(Finding::fault(CHECK, error.to_string(), "look into the log")),
    };
    let before = Some((super::host::seconds() - OLD) * 1000);
    let old = QueueFilter { state: Some(QueueState::Deferred), before, ..QueueFilter::default() };
    let damaged =
        QueueFilter { state: Some(QueueState::Held), reason: Some("damaged".to_owned()), ..QueueFilter::default() };
    match amount(old) {
        Ok(found) if found.messages > 0 => findings.push(Finding::warning(
            CHECK,
            format!("{} message(s) wait for more than {} hours", found.messages, OLD / 3_600),
            "procura queue list --state deferred --older-than 4h",
        )),
        Ok(_) => {}
        Err(finding) => findings.push(finding),
    }
    match amount(damaged) {
        Ok(found) if found.messages > 0 => findings.push(Finding::fault(
            CHECK,
            format!("the bodies of {} message(s) are damaged", found.messages),
            "procura queue list --state held --reason damaged; restore them from a backup, or remove them",
        )),
        Ok(_) => {}
        Err(finding) => findings.push(finding),
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "no mail waits for long"));
    }
    findings
}
