//! Handing a message to another host, or to the LMTP server that keeps the mailboxes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::{Config, Rewrite, Snapshot};
use message::Address;
use queue::{Delivery, fail_point};
use rights::Receiver;
use smtp::RcptParams;
use smtp::client::{ConnectionState, Envelope, Outcome as SmtpOutcome, Protocol};

use super::client::{Approach, Client, ClientError, Reach};
use super::errand::{Errand, Manner};
use super::fate::Fate;
use super::filing::LocalCopy;
use super::hosts::{self, Candidate};
use super::outgoing::Outgoing;
use super::policy::{Demand, Mode};
use super::proof::Proof;
use super::sts::Heard;
use super::terms::{Allowed, Credentials, Secret, Station, Terms, exch50};
use super::worker::{Courier, RECIPIENTS, cannot_open, looping};
use super::{LmtpHost, SmartHost};
use crate::facts::MessageFacts;
use crate::protocol_log::{ConnectorLog, Direction};
use crate::route::{NextHop, Via};

/// Hosts and addresses are tried for no longer than this before the next attempt.
const TRYING: Duration = Duration::from_secs(600);

/// What came of a transaction: fates, or that the connection broke before the host had answered anything about the message.
type Sent = Option<Vec<Fate>>;

impl Courier {
    /// Sends to another host: by a connection that is open, or by a new one to the first host that answers.
    pub(super) async fn send(
        &self,
        snapshot: &Snapshot,
        delivery: &Delivery,
        way: &(NextHop, Manner),
        errands: &[Errand],
    ) -> Vec<(u32, Fate)> {
        let (hop, manner) = way;
        let all = |fate: Fate| errands.iter().map(|errand| (errand.index, fate.clone())).collect::<Vec<_>>();
        let rules = match hop.connector.and_then(|(id, _)| snapshot.object(id)?.config()) {
            Some(Config::SendConnector(connector)) => connector.rewrites.as_slice(),
            _ => &[],
        };
        let secretly = MessageFacts::read(&delivery.parameters).0.require_tls;
        let (candidates, Heard { demand, unheard }) = match self.candidates(hop, secretly).await {
            Ok(found) => found,
            Err(fate) => return all(fate),
        };
        // RFC 8689 §4.2.1: whoever names the hosts of a domain is to be believed, too.
        if secretly && matches!(hop.via, Via::Mx { .. }) && demand.mode != Mode::Enforce {
            return all(match unheard {
                Some(reason) => Fate::later(format!(
                    "the message must be sent with REQUIRETLS, and the MTA-STS policy of the domain is not known: {reason}"
                )),
                None => Fate::failed(
                    (5, 7, 30),
                    "the message must be sent with REQUIRETLS, and the domain has no MTA-STS policy that says which hosts \
                     are its own",
                ),
            });
        }
        let begin = Instant::now();
        let mut reason = "no host was named".to_owned();
        for candidate in candidates {
            if begin.elapsed() > TRYING {
                break;
            }
            let mut terms = hop.terms.clone();
            if secretly {
                terms.require_tls = true;
                terms.never_tls = false;
                terms.proof = Proof::Itself;
            }
            if let Err(unfit) = demanded(&mut terms, &demand, &candidate.host.host) {
                reason = unfit;
                continue;
            }
            let station =
                Station { host: candidate.host.clone(), connector: hop.connector.map(|(_, guid)| guid), terms };
            let mut fresh = false;
            loop {
                let client = match self.pool.take(&station).filter(|_| !fresh) {
                    Some(client) => client,
                    None => {
                        fresh = true;
                        match self.reach(&station, &candidate, hop).await {
                            Ok(client) => client,
                            Err(failed) => {
                                reason = failed;
                                break;
                            }
                        }
                    }
                };
                if let Some(most) = client.most_recipients().filter(|most| (1..errands.len()).contains(most)) {
                    self.pool.put(&station, client, self.options.timeouts.idle);
                    let (first, others) = errands.split_at(most);
                    let mut fates = Box::pin(self.send(snapshot, delivery, way, first)).await;
                    fates.extend(Box::pin(self.send(snapshot, delivery, way, others)).await);
                    return fates;
                }
                let to = errands.first().map(|errand| errand.address.as_str()).unwrap_or_default();
                let opened = manner.open_for(&client, self.shared.queue(), &delivery.queue_id, (&self.hostname, to));
                let message = match opened {
                    Ok(message) if message.loops(self.options.max_hops) => return all(looping()),
                    Ok(mut message) => match message.rewrite_senders(rules) {
                        Ok(()) => message,
                        Err(error) => return all(cannot_open(&delivery.queue_id, &error)),
                    },
                    Err(error) => return all(cannot_open(&delivery.queue_id, &error)),
                };
                let receiver = match self.receiver(snapshot, hop, &client) {
                    Ok(receiver) => receiver,
                    Err(unproven) => {
                        reason = format!("{}: {unproven}", station.host.host);
                        tokio::task::spawn_local(client.quit());
                        break;
                    }
                };
                let allowed = Allowed::of(snapshot, hop.connector.map(|(id, _)| id), &receiver);
                let header = message.for_host(allowed.keep);
                let exch50 = allowed.exch50.then(|| exch50(delivery)).flatten().filter(|_| client.takes_exch50());
                let exch50 = exch50.filter(|_| !manner.journal);
                let mut envelope = Envelope { exch50, ..manner.envelope(delivery, errands, &header, &message) };
                if let Some(rewritten) = envelope.sender.as_ref().and_then(|sender| Rewrite::apply(rules, sender)) {
                    envelope.sender = Some(rewritten);
                }
                match self.transmit(client, (&station, &delivery.queue_id), envelope, &header, message).await {
                    // A connection that was open may have been closed by the host at this very moment.
                    None if !fresh => fresh = true,
                    None => {
                        reason = format!("{} closed the connection before it took the message", station.host.host);
                        break;
                    }
                    Some(fates) => return errands.iter().map(|errand| errand.index).zip(fates).collect(),
                }
            }
        }
        all(Fate::down(reason))
    }

    /// The hosts of a next hop, and what the policy of the domain demands of them, where it counts: by the connector's
    /// terms, or because the message may go to hosts alone that a policy names.
    async fn candidates(&self, hop: &NextHop, secretly: bool) -> Result<(Vec<Candidate>, Heard), Fate> {
        match &hop.via {
            Via::Hosts(hosts) => {
                let candidates = hosts.iter().map(|host| Candidate { host: host.clone(), addresses: None }).collect();
                Ok((candidates, Heard::default()))
            }
            Via::Mx { domain, port } => {
                let said = hop.fqdn.as_deref().unwrap_or(&self.hostname);
                let candidates = hosts::by_mx(&self.dns, &self.own, domain, *port, said).await?;
                let heard = match hop.terms.mta_sts || secretly {
                    true => self.sts.demand(&self.dns, domain).await,
                    false => Heard::default(),
                };
                Ok((candidates, heard))
            }
        }
    }

    /// Connects to a host, address after address.
    async fn reach(&self, station: &Station, candidate: &Candidate, hop: &NextHop) -> Result<Client, String> {
        let host = &station.host;
        let name = hop.fqdn.as_deref().unwrap_or(&self.hostname);
        let addresses = match &candidate.addresses {
            Some(addresses) => addresses.clone(),
            None => self.dns.addresses(&host.host).await.map_err(|fault| format!("{}: {fault}", host.host))?,
        };
        let begin = Instant::now();
        let mut last = String::new();
        for address in addresses {
            if begin.elapsed() > TRYING {
                break;
            }
            let reach = Reach::Tcp(SocketAddr::new(address, host.port));
            match self.connect(station, &reach, Protocol::Smtp, name).await {
                Ok(client) => return Ok(client),
                Err(failed) => last = format!("{} [{address}]: {failed}", host.host),
            }
        }
        Err(last)
    }

    async fn connect(
        &self,
        station: &Station,
        reach: &Reach,
        protocol: Protocol,
        name: &str,
    ) -> Result<Client, String> {
        let Station { host, terms, .. } = station;
        let timeouts = self.options.timeouts;
        let roots = self.options.roots.as_deref().map(|roots| roots.store());
        let mut tls = !terms.never_tls && (terms.needs_tls() || self.pool.tls_works(host));
        let mut renewed = false;
        loop {
            let credentials = self.credentials(station).await?;
            let credentials = &credentials;
            let approach = Approach { host, reach, protocol, name, tls, timeouts, terms, credentials, roots };
            match Client::connect(&approach, self.protocol_log(station, &approach)).await {
                Err(ClientError::Tls(reason)) if tls && !terms.needs_tls() => {
                    tracing::warn!(host = host.host, reason, "TLS does not work with this host; going on without");
                    self.pool.tls_failed(host);
                    tls = false;
                }
                // The token may have been taken back before its time.
                Err(ClientError::Logon(reason)) if terms.token.is_some() && !renewed => {
                    tracing::info!(host = host.host, reason, "the token is not taken; asking for another");
                    renewed = true;
                    station.connector.iter().for_each(|connector| self.tokens.forget(connector));
                }
                other => return other.map_err(|error| error.to_string()),
            }
        }
    }

    /// The session in the protocol log; `MAIL\Internet` is the connector, `MAIL\Smart host` and `MAIL\LMTP` what is none.
    fn protocol_log(&self, station: &Station, approach: &Approach<'_>) -> Option<ConnectorLog> {
        let log = self.options.protocol_log.as_ref()?;
        let snapshot = self.shared.snapshot();
        let object = station.connector.and_then(|guid| snapshot.object(snapshot.by_guid(&guid)?));
        let name = match (object, approach.protocol) {
            (Some(object), _) => object.name(),
            (None, Protocol::Lmtp) => "LMTP".to_owned(),
            (None, Protocol::Smtp) => "Smart host".to_owned(),
        };
        let remote = match approach.reach {
            Reach::Tcp(address) => address.to_string(),
            Reach::Unix(path) => path.display().to_string(),
        };
        let connector = (self.hostname.as_str(), name.as_str(), station.connector);
        Some(log.of_connector(Direction::Send, connector, &self.shared, (String::new(), remote)))
    }

    /// What a host is shown: our certificate, name and password or token, as far as the terms ask for them.
    async fn credentials(&self, station: &Station) -> Result<Credentials, String> {
        let shown = self.options.certificate.as_ref().filter(|_| station.terms.shows_certificate());
        let mut credentials = Credentials { certificate: shown.map(|live| live.current()), secret: None };
        if let (true, Some(connector)) = (station.terms.logs_on(), station.connector) {
            let shared = Arc::clone(&self.shared);
            let read = tokio::task::spawn_blocking(move || shared.credentials().password_to_say(&connector));
            let kept = read.await.map_err(|error| error.to_string())?;
            let kept = kept.map_err(|error| error.to_string())?;
            credentials.secret = match (&station.terms.token, kept) {
                (_, None) => None,
                (None, Some(password)) => Some(Secret::Password(password)),
                (Some(source), Some(secret)) => {
                    let token = self.tokens.token(&connector, source, secret).await;
                    Some(Secret::Token(token.map_err(|reason| format!("there is no token to log on with: {reason}"))?))
                }
            };
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

    /// Hands copies to the LMTP server that keeps the mailboxes (RFC 2033): each recipient has its own reply.
    pub(super) async fn hand_over(&self, delivery: &Delivery, copies: Vec<LocalCopy>) -> Vec<(u32, Fate)> {
        let mut fates = Vec::with_capacity(copies.len());
        let mut by_manner: Vec<(Manner, Vec<LocalCopy>)> = Vec::new();
        for copy in copies {
            match by_manner.iter_mut().find(|(manner, _)| *manner == copy.manner) {
                Some((_, all)) => all.push(copy),
                None => by_manner.push((copy.manner.clone(), vec![copy])),
            }
        }
        for (manner, copies) in &by_manner {
            for part in copies.chunks(RECIPIENTS) {
                fates.extend(self.hand_over_part(delivery, manner, part).await);
            }
        }
        fates
    }

    async fn hand_over_part(&self, delivery: &Delivery, manner: &Manner, copies: &[LocalCopy]) -> Vec<(u32, Fate)> {
        let mut fates = Vec::new();
        let mut to = Vec::new();
        let Some(lmtp) = &self.intake.exits.lmtp else { return fates };
        let journal = copies.first().map(|copy| copy.recipient.as_str()).unwrap_or_default();
        let open = || manner.open(self.shared.queue(), &delivery.queue_id, &self.hostname, journal);
        let opened = open();
        for copy in copies {
            let known = copy.folder.as_deref().unwrap_or(&copy.recipient);
            match (&opened, Address::parse(known)) {
                (Ok(message), _)
                    if message.loops(self.options.max_hops) || message.was_delivered_to(&copy.recipient) =>
                {
                    fates.push((copy.index, looping()));
                }
                // Mailboxes do not say what became of a message in them.
                (_, Ok(address)) => to.push(Errand { index: copy.index, address, params: RcptParams::NONE }),
                (_, Err(_)) => fates.push((copy.index, Fate::failed((5, 1, 3), "the address cannot be read"))),
            }
        }
        if to.is_empty() {
            return fates;
        }
        let of_all = |fate: Fate| to.iter().map(|errand| (errand.index, fate.clone())).collect::<Vec<_>>();
        let (host, unix) = match lmtp {
            LmtpHost::Unix(path) => (SmartHost { host: path.display().to_string(), port: 0 }, Some(path.clone())),
            LmtpHost::Tcp(host) => (host.clone(), None),
        };
        let station = Station { host, connector: None, terms: Terms::default() };
        let mut fresh = false;
        let outcome = loop {
            let client = match self.pool.take(&station).filter(|_| !fresh) {
                Some(client) => Ok(client),
                None => {
                    fresh = true;
                    self.reach_lmtp(&station, unix.as_ref()).await
                }
            };
            let client = match client {
                Ok(client) => client,
                Err(reason) => break of_all(Fate::down(format!("the LMTP server: {reason}"))),
            };
            let message = match open() {
                Ok(message) => message,
                Err(error) => break of_all(cannot_open(&delivery.queue_id, &error)),
            };
            let header = message.for_lmtp();
            let envelope = Envelope { requiretls: false, ..manner.envelope(delivery, &to, &header, &message) };
            match self.transmit(client, (&station, &delivery.queue_id), envelope, &header, message).await {
                None if !fresh => fresh = true,
                None => break of_all(Fate::down("the LMTP server closed the connection before it took the message")),
                Some(sent) => break to.iter().map(|errand| errand.index).zip(sent).collect(),
            }
        };
        fates.extend(outcome);
        fates
    }

    async fn reach_lmtp(&self, station: &Station, unix: Option<&std::path::PathBuf>) -> Result<Client, String> {
        let reaches = match unix {
            Some(path) => vec![Reach::Unix(path.clone())],
            None => {
                let addresses = self.dns.addresses(&station.host.host).await.map_err(|fault| fault.to_string())?;
                addresses.into_iter().map(|ip| Reach::Tcp(SocketAddr::new(ip, station.host.port))).collect()
            }
        };
        let mut last = String::new();
        for reach in reaches {
            match self.connect(station, &reach, Protocol::Lmtp, &self.hostname).await {
                Ok(client) => return Ok(client),
                Err(failed) => last = format!("{}: {failed}", station.host.host),
            }
        }
        Err(last)
    }

    /// One transaction.
    async fn transmit(
        &self,
        mut client: Client,
        (station, queue_id): (&Station, &str),
        envelope: Envelope,
        header: &[u8],
        mut message: Outgoing,
    ) -> Sent {
        let host = &station.host;
        let recipients = envelope.recipients.len();
        let reports = client.reports();
        client.note(queue_id, "sending message");
        fail_point("relay.before_send");
        let sent = client.send(envelope, header, &mut message).await;
        fail_point("relay.after_send");
        let (outcomes, state) = match sent {
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
                return Some(vec![fate; recipients]);
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
        if state == ConnectionState::Broken && outcomes.iter().all(untouched) && client_was_silent(&outcomes) {
            return None;
        }
        Some(outcomes.into_iter().map(|outcome| of_outcome(&host.host, reports, outcome)).collect())
    }
}

/// The connection was closed, and nothing else was wrong: another one may do.
fn client_was_silent(outcomes: &[SmtpOutcome]) -> bool {
    outcomes.iter().all(|outcome| match outcome {
        SmtpOutcome::Interrupted { reason, .. } => *reason == ClientError::Closed.to_string(),
        _ => false,
    })
}

/// Makes the terms what the policy of the domain demands; the error is why the host gets nothing.
fn demanded(terms: &mut Terms, demand: &Demand, host: &str) -> Result<(), String> {
    match demand.mode {
        Mode::None => Ok(()),
        Mode::Testing => {
            if !demand.allows(host) {
                tracing::warn!(
                    host,
                    "the MTA-STS policy of the domain, which is being tested, does not name this host"
                );
            }
            Ok(())
        }
        Mode::Enforce if demand.allows(host) => {
            terms.require_tls = true;
            terms.never_tls = false;
            terms.proof = Proof::Itself;
            Ok(())
        }
        Mode::Enforce => Err(format!("{host}: the MTA-STS policy of the domain does not name this host")),
    }
}

/// `reports`: whether the host reports itself; `None`: it keeps the mailboxes.
fn of_outcome(host: &str, reports: Option<bool>, outcome: SmtpOutcome) -> Fate {
    match outcome {
        SmtpOutcome::Delivered(_) => match reports {
            Some(reports) => Fate::Relayed { host: host.to_owned(), reports },
            None => Fate::Delivered,
        },
        // RFC 5321 §3.8: the host closes the channel, whatever it was asked.
        SmtpOutcome::Deferred(reply) if reply.code == 421 => Fate::unwilling(host, &reply),
        SmtpOutcome::Deferred(reply) => Fate::put_off(host, &reply),
        SmtpOutcome::Failed(reply) => Fate::refused(host, &reply),
        SmtpOutcome::Interrupted { reason, data_sent: true } => {
            Fate::broken(format!("{host} did not answer after the message was sent: {reason}"))
        }
        SmtpOutcome::Interrupted { reason, data_sent: false } => Fate::broken(format!("{host}: {reason}")),
    }
}
