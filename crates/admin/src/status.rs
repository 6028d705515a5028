//! What the server is and how it is.

use directory::HeaderFrom;

use crate::authorize::require_organization;
use crate::error::{Fault, FaultKind};
use crate::response::{ConnectorRow, Done, QueueCounts, Response, Status};
use crate::service::Asked;
use crate::trust;

/// The longest time until a change counts, in seconds (`authorization.md` §6). A change is published in this process when
/// it is durable, and a session decides by the newest snapshot from its next command on: there is no cache to wait for.
const CHANGE_COUNTS_WITHIN: u32 = 1;

pub fn status(asked: Asked<'_>) -> Result<Response, Fault> {
    let (snapshot, service) = (asked.snapshot, asked.service);
    let (mut accounts, mut mailboxes) = (0, 0);
    for (_, object) in snapshot.objects() {
        accounts += u64::from(object.class().is_account());
        mailboxes += u64::from(object.mailbox().is_some());
    }
    let connectors = snapshot.receive_connectors().map(|(id, connector)| ConnectorRow {
        name: connector.name.clone(),
        server: snapshot
            .ancestor(id, directory::Class::Server)
            .and_then(|server| snapshot.object(server))
            .map(|server| server.name())
            .unwrap_or_default(),
        bindings: connector.bindings.iter().map(ToString::to_string).collect(),
        enabled: connector.enabled,
        header_from: match connector.header_from {
            HeaderFrom::Enforce => "enforce",
            HeaderFrom::Observe => "observe",
            HeaderFrom::Off => "off",
        }
        .to_owned(),
    });
    let disbelieved = snapshot.receive_connectors().filter_map(|(id, connector)| {
        let because = trust::ignored_because(snapshot, id)?;
        Some(format!("{}: ExternalAuthoritative is ignored: {because}", connector.name))
    });
    let nothing = snapshot.organization().is_none().then(|| {
        "there is no organization: `procura init` makes one, and `procura import` or `restore` brings one".to_owned()
    });
    let queue = match service.open_queue() {
        Some(queue) => {
            let counts = queue.counts()?;
            Some(QueueCounts {
                messages: counts.messages,
                held: counts.held,
                destinations_down: counts.destinations_down,
                body_bytes: counts.body_bytes,
            })
        }
        None => None,
    };
    Ok(Response::Status(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        running: service.running().is_some(),
        pid: std::process::id(),
        data: service.directory().display().to_string(),
        directory_version: snapshot.version(),
        objects: snapshot.len() as u64,
        accounts,
        mailboxes,
        change_counts_within_seconds: CHANGE_COUNTS_WITHIN,
        problems: nothing.into_iter().chain(service.problems().iter().cloned()).chain(disbelieved).collect(),
        connectors: connectors.collect(),
        queue,
        directory: service.active_directory(),
    }))
}

/// Takes configuration and certificate anew.
pub fn reload(asked: Asked<'_>) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "reload the server of")?;
    let Some(running) = asked.service.running() else {
        return Err(Fault::new(FaultKind::Unsupported, "no server runs: there is nothing to reload")
            .help("the configuration is read when it starts"));
    };
    if asked.trial.is_some() {
        return Ok(Response::Done(Done { summary: "the server would reload".into(), ..Done::default() }));
    }
    let said = running.reload()?;
    Ok(Response::Done(Done { summary: said.join("\n"), ..Done::default() }))
}
