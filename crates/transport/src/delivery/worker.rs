//! The delivery loop: leases what is due, delivers it, reports what became of it.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use directory::{AcceptedDomain, SendConnector, Snapshot};
use message::{Address, CanonicalAddress};
use queue::{Delivery, DueRecipient, Millis, Outcome, QueueError, fail_point};
use rights::Receiver;
use serde_json::json;
use smtp::client::{ConnectionState, Envelope, Outcome as SmtpOutcome};
use smtp::{BodyType, RcptParams};
use store::AuditEntry;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;
use ulid::Ulid;

use super::DeliveryOptions;
use super::bounce;
use super::client::Client;
use super::fate::{Failure, Fate};
use super::filing::{Filing, LocalCopy};
use super::maildir::MailStore;
use super::outgoing::{OpenError, Outgoing};
use super::pool::Pool;
use super::terms::{Allowed, Credentials, Station, exch50};
use crate::accept::Intake;
use crate::route::{NextHop, Route, UNROUTED};
use crate::server::Stop;
use crate::shared::{Shared, now};

/// Deliveries leased at a time. More than can run, so that slow hosts do not keep mail from local mailboxes.
const LEASED: usize = 256;
/// Recipients in one SMTP transaction (RFC 5321 §4.5.3.1.8: every host takes at least 100).
const RECIPIENTS: usize = 100;
/// When something is due and cannot be leased, the loop looks again after this time at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// After a fault of the queue itself.
const PAUSE: Duration = Duration::from_secs(5);

/// Starts the delivery loop on a thread of its own.
pub(crate) fn start(
    hostname: String,
    options: DeliveryOptions,
    shared: Arc<Shared>,
    stop: watch::Receiver<Stop>,
    grace: Duration,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(options.local.max(1) + 2)
        .thread_name("deliver")
        .build()?;
    std::thread::Builder::new().name("delivery".into()).spawn(move || {
        let intake = Intake { expire: options.expire, smart_host: options.smart_host.clone() };
        let courier = Courier {
            mail: MailStore::new(&options.mail),
            local: Semaphore::new(options.local.max(1)),
            remote: Semaphore::new(options.remote.max(1)),
            pool: Rc::new(Pool::default()),
            started: now().0,
            shared,
            hostname,
            options,
            intake,
        };
        LocalSet::new().block_on(&runtime, Rc::new(courier).run(stop, grace));
        runtime.shutdown_timeout(Duration::from_secs(1));
    })
}

/// Carries mail from the queue to where it belongs.
struct Courier {
    shared: Arc<Shared>,
    hostname: String,
    options: DeliveryOptions,
    intake: Intake,
    mail: MailStore,
    local: Semaphore,
    remote: Semaphore,
    pool: Rc<Pool>,
    /// When this process began to deliver: what was accepted before may have been delivered before.
    started: Millis,
}

/// What routes depend on beside the recipients; compared from snapshot to snapshot.
#[derive(PartialEq)]
struct Routing {
    connectors: Vec<SendConnector>,
    domains: Vec<AcceptedDomain>,
}

impl Courier {
    async fn run(self: Rc<Self>, mut stop: watch::Receiver<Stop>, grace: Duration) {
        let mut attempts = JoinSet::new();
        let mut versions = self.shared.subscribe();
        let mut routing = Routing::of(&self.shared.snapshot());
        while *stop.borrow() == Stop::No {
            let wait = self.lease(&mut attempts);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop > Stop::No) => break,
                () = self.shared.queue().changed() => {}
                Some(_) = attempts.join_next(), if !attempts.is_empty() => {
                    while attempts.try_join_next().is_some() {}
                }
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                changed = versions.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.follow(&mut routing);
                }
            }
        }
        self.finish(attempts, stop, grace).await;
    }

    /// Leases what is due and starts to deliver it. Returns how long to wait for what is due next.
    fn lease(self: &Rc<Self>, attempts: &mut JoinSet<()>) -> Option<Duration> {
        let room = LEASED.saturating_sub(attempts.len());
        if room == 0 {
            return None;
        }
        match self.shared.queue().due(now().0, room) {
            Ok(due) => {
                for delivery in due {
                    attempts.spawn_local(Rc::clone(self).deliver(delivery));
                }
            }
            Err(QueueError::Closed) => return None,
            Err(error) => {
                tracing::error!(%error, "the queue cannot say what is due");
                return Some(PAUSE);
            }
        }
        let next = self.shared.queue().next_due()?;
        let wait = u64::try_from(next - now().0).unwrap_or(0);
        Some(if wait == 0 { LOOK_AGAIN } else { Duration::from_millis(wait) })
    }

    /// A new snapshot: if routes may have changed, mail that waits for one is looked at again.
    fn follow(&self, routing: &mut Routing) {
        let snapshot = self.shared.snapshot();
        let newest = Routing::of(&snapshot);
        if *routing == newest {
            return;
        }
        *routing = newest;
        for state in self.shared.queue().destinations(None) {
            if state.destination.starts_with(UNROUTED) || state.destination.starts_with("connector:") {
                self.shared.queue().destination_up(&state.destination);
            }
        }
    }

    /// Lets attempts under way come to their end, within limits.
    async fn finish(&self, mut attempts: JoinSet<()>, mut stop: watch::Receiver<Stop>, grace: Duration) {
        let ended = async { while attempts.join_next().await.is_some() {} };
        tokio::select! {
            () = ended => return,
            () = sleep(grace) => tracing::warn!("deliveries did not end in time; they will be repeated"),
            _ = stop.wait_for(|stop| *stop == Stop::Now) => {}
        }
        attempts.abort_all();
        while attempts.join_next().await.is_some() {}
    }

    async fn deliver(self: Rc<Self>, delivery: Delivery) {
        let fates = if delivery.expired { self.last_chance(&delivery).await } else { self.attempt(&delivery).await };
        fail_point("delivery.before_outcome");
        self.conclude(delivery, fates).await;
    }

    /// The time for delivery is over. What was never tried, because the server was down so long, is tried once, unless
    /// its destination is known not to answer.
    async fn last_chance(&self, delivery: &Delivery) -> Vec<(u32, Fate)> {
        let untried = delivery.destination_failures == 0 && delivery.recipients.iter().all(|due| due.attempts == 0);
        if untried {
            let fates = self.attempt(delivery).await;
            return fates.into_iter().map(|(index, fate)| (index, expired(fate))).collect();
        }
        let waited_for = self.shared.queue().destinations(Some(&delivery.destination)).pop();
        let reason_of = |due: &DueRecipient| match (due.last_reason.as_str(), &waited_for) {
            ("", Some(state)) => state.reason.clone(),
            (last, _) => last.to_owned(),
        };
        delivery.recipients.iter().map(|due| (due.index, expired(Fate::later(reason_of(due))))).collect()
    }

    /// Tries every recipient once.
    async fn attempt(&self, delivery: &Delivery) -> Vec<(u32, Fate)> {
        let snapshot = self.shared.snapshot();
        let mut fates = Vec::with_capacity(delivery.recipients.len());
        let mut copies = Vec::new();
        let mut hops: Vec<(NextHop, Vec<(u32, Address)>)> = Vec::new();
        for due in &delivery.recipients {
            let Some((address, canonical)) = readable(&due.address) else {
                fates.push((due.index, Fate::failed((5, 1, 3), "the address cannot be read")));
                continue;
            };
            match Route::resolve(&snapshot, &canonical, delivery.size, self.intake.smart_host.as_ref()) {
                Route::Mailbox { mailbox, address: primary } => {
                    copies.push(LocalCopy {
                        index: due.index,
                        mailbox,
                        folder: primary.map(|primary| primary.as_str().to_owned()),
                        recipient: due.address.clone(),
                        may_be_read: due.attempts > 0 || delivery.received < self.started,
                    });
                }
                Route::Host(hop) => match hops.iter_mut().find(|(other, _)| *other == hop) {
                    Some((_, recipients)) => recipients.push((due.index, address)),
                    None => hops.push((hop, vec![(due.index, address)])),
                },
                Route::Group(_) => {
                    fates.push((due.index, Fate::failed((5, 1, 1), "the group has no member that mail can go to")));
                }
                Route::Unknown { status, reason } => fates.push((due.index, Fate::failed(status, reason))),
                Route::None { reason } => fates.push((due.index, Fate::down(reason))),
            }
        }
        if !copies.is_empty() {
            fates.extend(self.file(delivery, copies).await);
        }
        for (hop, recipients) in hops {
            for part in recipients.chunks(RECIPIENTS) {
                fates.extend(self.send(&snapshot, delivery, &hop, part).await);
            }
        }
        fates
    }

    /// Delivers to local mailboxes, on a thread that may block.
    async fn file(&self, delivery: &Delivery, copies: Vec<LocalCopy>) -> Vec<(u32, Fate)> {
        let Ok(_permit) = self.local.acquire().await else { return Vec::new() };
        let indexes: Vec<u32> = copies.iter().map(|copy| copy.index).collect();
        let filing = Filing {
            shared: Arc::clone(&self.shared),
            mail: self.mail.clone(),
            hostname: self.hostname.clone(),
            max_hops: self.options.max_hops,
            queue_id: delivery.queue_id.clone(),
            sender: delivery.sender.clone(),
            received: delivery.received,
        };
        let filed =
            tokio::task::spawn_blocking(move || copies.iter().map(|copy| (copy.index, filing.file(copy))).collect());
        match filed.await {
            Ok(fates) => fates,
            Err(error) => {
                tracing::error!(queue_id = delivery.queue_id, %error, "a local delivery broke off");
                indexes.into_iter().map(|index| (index, Fate::later("the delivery broke off"))).collect()
            }
        }
    }

    /// Sends to another host: by a connection that is open, or by a new one to the first host that answers.
    async fn send(
        &self,
        snapshot: &Snapshot,
        delivery: &Delivery,
        hop: &NextHop,
        recipients: &[(u32, Address)],
    ) -> Vec<(u32, Fate)> {
        let Ok(_permit) = self.remote.acquire().await else { return Vec::new() };
        let all = |fate: Fate| recipients.iter().map(|(index, _)| (*index, fate.clone())).collect::<Vec<_>>();
        let mut reason = "no host was named".to_owned();
        for host in &hop.hosts {
            let station = Station {
                host: host.clone(),
                connector: hop.connector.map(|(_, guid)| guid),
                terms: hop.terms.clone(),
            };
            let mut fresh = false;
            loop {
                let client = match self.pool.take(&station).filter(|_| !fresh) {
                    Some(client) => client,
                    None => {
                        fresh = true;
                        match self.connect(&station, hop).await {
                            Ok(client) => client,
                            Err(failed) => {
                                reason = failed;
                                break;
                            }
                        }
                    }
                };
                let message = match Outgoing::open(self.shared.queue(), &delivery.queue_id) {
                    Ok(message) if message.loops(self.options.max_hops) => return all(looping()),
                    Ok(message) => message,
                    Err(error) => return all(cannot_open(&delivery.queue_id, &error)),
                };
                let receiver = match self.receiver(snapshot, hop, &client) {
                    Ok(receiver) => receiver,
                    Err(unproven) => {
                        reason = format!("{}: {unproven}", host.host);
                        tokio::task::spawn_local(client.quit());
                        break;
                    }
                };
                let allowed = Allowed::of(snapshot, hop.connector.map(|(id, _)| id), &receiver);
                match self.transmit(client, &station, delivery, recipients, message, allowed).await {
                    // A connection that was open may have been closed by the host at this very moment.
                    None if !fresh => fresh = true,
                    None => {
                        reason = format!("{} closed the connection before it took the message", host.host);
                        break;
                    }
                    Some(fates) => return recipients.iter().map(|(index, _)| *index).zip(fates).collect(),
                }
            }
        }
        all(Fate::down(reason))
    }

    async fn connect(&self, station: &Station, hop: &NextHop) -> Result<Client, String> {
        let Station { host, terms, .. } = station;
        let name = hop.fqdn.as_deref().unwrap_or(&self.hostname);
        let timeouts = self.options.timeouts;
        let credentials = self.credentials(station).await?;
        let tls = terms.needs_tls() || self.pool.tls_works(host);
        let connected = match Client::connect(host, name, tls, timeouts, terms, &credentials).await {
            Err(super::client::ClientError::Tls(reason)) if !terms.needs_tls() => {
                tracing::warn!(host = host.host, reason, "TLS does not work with this host; going on without");
                self.pool.tls_failed(host);
                Client::connect(host, name, false, timeouts, terms, &credentials).await
            }
            other => other,
        };
        connected.map_err(|error| format!("{}: {error}", host.host))
    }

    /// What a host is shown: our certificate, name and password, as far as the terms ask for them.
    async fn credentials(&self, station: &Station) -> Result<Credentials, String> {
        let shown = self.options.certificate.as_ref().filter(|_| station.terms.shows_certificate());
        let mut credentials = Credentials { certificate: shown.map(|live| live.current()), password: None };
        if let (true, Some(connector)) = (station.terms.logs_on(), station.connector) {
            let shared = Arc::clone(&self.shared);
            let read = tokio::task::spawn_blocking(move || shared.credentials().password_to_say(&connector));
            let kept = read.await.map_err(|error| error.to_string())?;
            credentials.password = kept.map_err(|error| error.to_string())?;
        }
        Ok(credentials)
    }

    /// What the host is to us, by what it proved.
    fn receiver(&self, snapshot: &Snapshot, hop: &NextHop, client: &Client) -> Result<Receiver, String> {
        let certificate = match hop.terms.shows_certificate() {
            true => client.proven(self.options.partner_roots.as_deref()),
            false => None,
        };
        hop.terms.receiver(snapshot, certificate.as_ref())
    }

    /// One transaction. `None`: the connection broke before the host had answered anything about the message.
    async fn transmit(
        &self,
        mut client: Client,
        station: &Station,
        delivery: &Delivery,
        recipients: &[(u32, Address)],
        mut message: Outgoing,
        allowed: Allowed,
    ) -> Option<Vec<Fate>> {
        let host = &station.host;
        let header = message.for_host(allowed.keep);
        let envelope = Envelope {
            sender: delivery.sender.as_deref().and_then(|sender| Address::parse(sender).ok()),
            recipients: recipients.iter().map(|(_, address)| (address.clone(), RcptParams::default())).collect(),
            size: Some(header.len() as u64 + message.body_len()),
            body: delivery.eight_bit.then_some(BodyType::EightBitMime),
            smtputf8: delivery.smtputf8,
            requiretls: false,
            ret: None,
            envid: None,
            exch50: allowed.exch50.then(|| exch50(delivery)).flatten().filter(|_| client.takes_exch50()),
        };
        let (outcomes, state) = match client.send(envelope, &header, &mut message).await {
            Ok(sent) => sent,
            Err(unsendable) => {
                self.pool.put(station, client, self.options.timeouts.idle);
                let status = match unsendable {
                    smtp::client::Unsendable::TooLarge { .. } => (5, 3, 4),
                    smtp::client::Unsendable::NeedsSmtputf8 => (5, 6, 7),
                    smtp::client::Unsendable::NoRecipients => (5, 5, 0),
                    smtp::client::Unsendable::NeedsRequireTls => (5, 7, 30),
                    smtp::client::Unsendable::NeedsBinaryMime => (5, 6, 3),
                };
                let fate = Fate::failed(status, format!("{}: {unsendable}", host.host));
                return Some(vec![fate; recipients.len()]);
            }
        };
        let usable = match state {
            ConnectionState::Ready => true,
            ConnectionState::NeedsReset => client.reset().await,
            ConnectionState::Broken => false,
        };
        if usable {
            self.pool.put(station, client, self.options.timeouts.idle);
        }
        let untouched = |outcome: &SmtpOutcome| matches!(outcome, SmtpOutcome::Interrupted { data_sent: false, .. });
        if state == ConnectionState::Broken && outcomes.iter().all(untouched) {
            return None;
        }
        Some(outcomes.into_iter().map(|outcome| of_outcome(&host.host, outcome)).collect())
    }

    /// Reports to the queue: outcomes, and a bounce for what was given up, in one step.
    async fn conclude(&self, delivery: Delivery, fates: Vec<(u32, Fate)>) {
        let time = now().0;
        let queue = self.shared.queue();
        let (queue_id, destination) = (delivery.queue_id.clone(), delivery.destination.clone());
        let failures: Vec<(u32, Failure)> = fates
            .iter()
            .filter_map(|(index, fate)| match fate {
                Fate::Failed(failure) => Some((*index, failure.clone())),
                _ => None,
            })
            .collect();
        let bounce = match self.bounce(&delivery, &failures, time) {
            Ok(bounce) => bounce,
            Err(error) => {
                tracing::error!(queue_id, %error, "a bounce cannot be written; trying again later");
                return self.put_off(delivery, &fates, time).await;
            }
        };
        if fates.iter().any(|(_, fate)| *fate == Fate::Delivered) && delivery.destination_failures > 0 {
            queue.destination_up(&destination);
        }
        let outcomes = self.outcomes(&delivery, &fates, time);
        let undeliverable = bounce.is_none() && !failures.is_empty();
        if undeliverable {
            self.note_dead_letter(&delivery, &failures, time);
        }
        let events = self.shared.attempted(&delivery, &outcomes, bounce.iter(), time);
        match queue.outcome(delivery, outcomes, bounce.into_iter().collect()).await {
            Ok(()) => events.into_iter().for_each(|event| self.shared.note(event)),
            Err(QueueError::UnknownMessage { .. } | QueueError::Closed) => {}
            Err(error) => {
                tracing::error!(queue_id, %error, "the outcome of a delivery cannot be recorded; it will be repeated");
                queue.destination_down(&destination, time + PAUSE.as_millis() as i64, &error.to_string());
            }
        }
    }

    /// The bounce that is due; `None` when nothing failed or nobody can be told.
    fn bounce(
        &self,
        delivery: &Delivery,
        failures: &[(u32, Failure)],
        time: Millis,
    ) -> Result<Option<queue::NewMessage>, QueueError> {
        if failures.is_empty() {
            return Ok(None);
        }
        let snapshot = self.shared.snapshot();
        bounce::report(self.shared.queue(), &snapshot, &self.intake, &self.hostname, delivery, failures, time)
    }

    fn outcomes(&self, delivery: &Delivery, fates: &[(u32, Fate)], time: Millis) -> Vec<(u32, Outcome)> {
        let mut outcomes = Vec::with_capacity(fates.len());
        for (index, fate) in fates {
            let Some(due) = delivery.recipients.iter().find(|due| due.index == *index) else { continue };
            let outcome = match fate {
                Fate::Delivered => {
                    self.shared.figures().delivered.bump();
                    tracing::info!(queue_id = delivery.queue_id, recipient = due.address, "delivered");
                    Outcome::Delivered
                }
                Fate::Deferred { reason, everybody } => {
                    self.shared.figures().deferred.bump();
                    tracing::info!(queue_id = delivery.queue_id, recipient = due.address, reason, "deferred");
                    let until = if *everybody {
                        let failures = delivery.destination_failures + 1;
                        let until = time + self.options.backoff.delay(failures, spread(&delivery.destination, time));
                        self.shared.queue().destination_down(&delivery.destination, until, reason);
                        time
                    } else {
                        time + self.options.backoff.delay(due.attempts + 1, spread(&delivery.queue_id, time))
                    };
                    Outcome::Deferred { until, reason: reason.clone() }
                }
                Fate::Failed(failure) => {
                    let reason = &failure.reason;
                    self.shared.figures().failed.bump();
                    tracing::info!(queue_id = delivery.queue_id, recipient = due.address, reason, "given up");
                    Outcome::Failed { reason: reason.clone() }
                }
            };
            outcomes.push((*index, outcome));
        }
        outcomes
    }

    /// No bounce can be written now: what was delivered is reported, what failed is looked at again later.
    async fn put_off(&self, delivery: Delivery, fates: &[(u32, Fate)], time: Millis) {
        let (queue_id, destination) = (delivery.queue_id.clone(), delivery.destination.clone());
        let fates: Vec<(u32, Fate)> = fates
            .iter()
            .map(|(index, fate)| match fate {
                Fate::Failed(failure) => (*index, Fate::later(failure.reason.clone())),
                other => (*index, other.clone()),
            })
            .collect();
        let outcomes = self.outcomes(&delivery, &fates, time);
        let events = self.shared.attempted(&delivery, &outcomes, std::iter::empty(), time);
        events.into_iter().for_each(|event| self.shared.note(event));
        if let Err(error) = self.shared.queue().outcome(delivery, outcomes, Vec::new()).await {
            tracing::error!(queue_id, %error, "the outcome of a delivery cannot be recorded; it will be repeated");
            let until = time + PAUSE.as_millis() as i64;
            self.shared.queue().destination_down(&destination, until, &error.to_string());
        }
    }

    /// A message that nobody can be told of: the log and the audit are its only traces.
    fn note_dead_letter(&self, delivery: &Delivery, failures: &[(u32, Failure)], time: Millis) {
        let recipients: Vec<_> = failures
            .iter()
            .filter_map(|(index, failure)| {
                let due = delivery.recipients.iter().find(|due| due.index == *index)?;
                Some(json!({ "recipient": due.address, "reason": failure.reason }))
            })
            .collect();
        tracing::warn!(queue_id = delivery.queue_id, "a message without a sender is undeliverable and was dropped");
        self.shared.audit().note(AuditEntry {
            id: Ulid::generate().to_string(),
            time,
            kind: "undeliverable".to_owned(),
            json: json!({
                "queue_id": delivery.queue_id, "received": delivery.received, "recipients": recipients,
            })
            .to_string(),
        });
    }
}

impl Routing {
    fn of(snapshot: &Snapshot) -> Routing {
        Routing {
            connectors: snapshot.send_connectors().map(|(_, connector)| connector.clone()).collect(),
            domains: snapshot.accepted_domains().map(|(_, domain)| domain.clone()).collect(),
        }
    }
}

fn readable(text: &str) -> Option<(Address, CanonicalAddress)> {
    let address = Address::parse(text).ok()?;
    let canonical = address.canonical();
    Some((address, canonical))
}

/// What could not be delivered now is given up.
fn expired(fate: Fate) -> Fate {
    match fate {
        Fate::Deferred { reason, .. } if reason.is_empty() => {
            Fate::failed((4, 4, 7), "it could not be delivered in time")
        }
        Fate::Deferred { reason, .. } => {
            Fate::failed((4, 4, 7), format!("it could not be delivered in time; the last attempt: {reason}"))
        }
        other => other,
    }
}

pub(super) fn looping() -> Fate {
    Fate::failed((5, 4, 6), "the message has passed too many hosts; it is going round in circles")
}

pub(super) fn cannot_open(queue_id: &str, error: &OpenError) -> Fate {
    tracing::error!(queue_id, %error, "a queued message cannot be read");
    Fate::later(format!("the message cannot be read from the queue: {error}"))
}

fn of_outcome(host: &str, outcome: SmtpOutcome) -> Fate {
    match outcome {
        SmtpOutcome::Delivered(_) => Fate::Delivered,
        SmtpOutcome::Deferred(reply) => Fate::put_off(host, &reply),
        SmtpOutcome::Failed(reply) => Fate::refused(host, &reply),
        SmtpOutcome::Interrupted { reason, data_sent: true } => {
            Fate::later(format!("{host} did not answer after the message was sent: {reason}"))
        }
        SmtpOutcome::Interrupted { reason, data_sent: false } => Fate::later(format!("{host}: {reason}")),
    }
}

/// A number that differs between messages, so that those deferred together do not all come back together.
fn spread(text: &str, time: Millis) -> u8 {
    let hash = text
        .bytes()
        .chain(time.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 56) as u8
}
