//! The figures of a node in the OpenMetrics text format.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
use queue::{EventCounts, LATENCY_BOUNDS, LatencyCounts};
use transport::Shared;

/// What `/metrics` is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All figures, read now.
pub fn text(shared: &Shared) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("procura");
    registry.register_collector(Box::new(Reading::of(shared)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Figures as they were at one moment.
#[derive(Debug)]
struct Reading {
    figures: Vec<Figure>,
    /// By labels.
    families: Vec<Family>,
    histograms: Vec<Histogram>,
}

/// Figures of one name that differ in their labels.
#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    kind: MetricType,
    values: Vec<(Vec<(&'static str, String)>, u64)>,
}

/// Durations in seconds.
#[derive(Debug)]
struct Histogram {
    name: &'static str,
    help: &'static str,
    durations: LatencyCounts,
}

/// One figure.
#[derive(Debug)]
struct Figure {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    /// Grows from the start of the process.
    Total(u64),
    /// As it is now.
    Now(u64),
    /// As it is now, and it may be below 0.
    Signed(i64),
}

impl Figure {
    fn total(name: &'static str, help: &'static str, value: u64) -> Figure {
        Figure { name, help, unit: None, value: Value::Total(value) }
    }

    fn now(name: &'static str, help: &'static str, value: u64) -> Figure {
        Figure { name, help, unit: None, value: Value::Now(value) }
    }

    fn bytes(self) -> Figure {
        Figure { unit: Some(Unit::Bytes), ..self }
    }

    fn seconds(self) -> Figure {
        Figure { unit: Some(Unit::Seconds), ..self }
    }
}

impl Reading {
    fn of(shared: &Shared) -> Reading {
        let counted = shared.figures();
        let (sessions, ended) = (counted.sessions.get(), counted.sessions_ended.get());
        let passwords = shared.credentials().counts();
        let snapshot = shared.snapshot();
        let mut figures = vec![
            Figure::total("sessions", "SMTP sessions begun", sessions),
            Figure::now("sessions_open", "SMTP sessions open now", sessions.saturating_sub(ended)),
            Figure::total("connections_turned_away", "Connections refused before a session", counted.turned_away.get()),
            Figure::total("messages_accepted", "Messages acknowledged, each durable before", counted.accepted.get()),
            Figure::total("messages_accepted_size", "Size of acknowledged messages", counted.accepted_bytes.get())
                .bytes(),
            Figure::total(
                "recipients_accepted",
                "Recipients of acknowledged messages, groups expanded",
                counted.accepted_recipients.get(),
            ),
            Figure::total("decisions_observed", "Refusals only written down (observe)", counted.observed.get()),
            Figure::total("recipients_delivered", "Recipients delivered", counted.delivered.get()),
            Figure::total("deliveries_deferred", "Attempts at a recipient to be repeated", counted.deferred.get()),
            Figure::total("recipients_failed", "Recipients given up", counted.failed.get()),
            Figure::total("passwords_remembered", "Password checks answered from memory", passwords.remembered),
            Figure::total("passwords_hashed", "Password checks that took a hash", passwords.hashed),
            Figure::total("passwords_turned_away", "Password checks refused: too many", passwords.refused),
            Figure::total(
                "audit_dropped",
                "Decisions lost because the audit could not keep up",
                shared.audit().dropped(),
            ),
            Figure::now("directory_version", "Version of the directory in force", snapshot.version()),
            Figure::now("directory_objects", "Objects of the directory", snapshot.len() as u64),
            Figure::now(
                "directory_age",
                "Since the directory in force was published",
                seconds_since(shared.published_at()),
            )
            .seconds(),
            Figure::total(
                "tracking_lost",
                "Events lost because the record of messages could not keep up",
                shared.tracking().map_or(0, tracking::Tracking::lost),
            ),
        ];
        if let Some(ends) = shared.certificate().and_then(|certificate| certificate.ends()) {
            let left = ends.saturating_sub(now_seconds());
            figures.push(
                Figure {
                    value: Value::Signed(left),
                    ..Figure::now("certificate_expiry", "Until the certificate ends; below 0 when it has ended", 0)
                }
                .seconds(),
            );
        }
        // When the queue cannot be read, its figures are absent; /healthz says why.
        if let Ok(queue) = shared.queue().counts() {
            figures.extend([
                Figure::now("queue_messages", "Messages in the queue", queue.messages),
                Figure::now("queue_held", "Messages held", queue.held),
                Figure::now("queue_deliveries", "Message and destination pairs waiting", queue.deliveries),
                Figure::now("queue_leased", "Deliveries under way", queue.leased),
                Figure::now("queue_destinations", "Destinations with mail waiting", queue.destinations),
                Figure::now("queue_destinations_down", "Destinations waiting after a failure", queue.destinations_down),
                Figure::now("queue_bodies", "Size of message bodies in the queue", queue.body_bytes).bytes(),
                Figure::now("queue_segments", "Size of the files that hold them", queue.segment_bytes).bytes(),
                Figure::now("queue_audit_backlog", "Decisions on their way to the audit", queue.audit_backlog),
            ]);
        }
        if let Ok(counts) = shared.queue().event_counts() {
            let webhooks = shared.webhooks().all();
            let is_webhook = |counts: &&EventCounts| webhooks.iter().any(|webhook| webhook.id == counts.target);
            let sum = |of: fn(&EventCounts) -> u64| counts.iter().filter(is_webhook).map(of).sum();
            figures.extend([
                Figure::now("webhook_events_waiting", "Events to be posted to webhooks", sum(|counts| counts.waiting)),
                Figure::now("webhook_events_given_up", "Events that no webhook took", sum(|counts| counts.given_up)),
            ]);
        }
        Reading { figures, families: families(shared), histograms: histograms(shared) }
    }
}

fn now_seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Seconds since a time in milliseconds.
fn seconds_since(millis: i64) -> u64 {
    now_seconds().saturating_sub(millis / 1000).max(0).unsigned_abs()
}

/// What is counted by labels.
fn families(shared: &Shared) -> Vec<Family> {
    let counted = shared.figures();
    let one = |label: &'static str, values: Vec<(String, u64)>| {
        values.into_iter().map(|(value, count)| (vec![(label, value)], count)).collect()
    };
    let two = |labels: [&'static str; 2], values: Vec<((&'static str, &'static str), u64)>| {
        let labelled =
            |(first, second): (&str, &str)| vec![(labels[0], first.to_owned()), (labels[1], second.to_owned())];
        values.into_iter().map(|(values, count)| (labelled(values), count)).collect()
    };
    let counter = |name, help, values| Family { name, help, unit: None, kind: MetricType::Counter, values };
    let gauge = |name, help, values| Family { name, help, unit: None, kind: MetricType::Gauge, values };
    let mut families = vec![
        counter("refused", "Commands and messages refused, by reply status", one("status", counted.refusals())),
        counter("refusals", "Decisions to refuse, by their name", one("refusal", counted.refusals_by_name())),
        counter(
            "attempts",
            "Attempts at recipients, by class of destination and result",
            two(["destination", "result"], counted.attempts()),
        ),
        counter("logons", "Logons tried, by means and result", two(["by", "result"], counted.logons())),
        counter(
            "filtered",
            "Messages shown to content filters, by what came of it",
            counted
                .filter_results()
                .into_iter()
                .map(|(result, count)| (vec![("result", result.to_owned())], count))
                .collect(),
        ),
        counter(
            "folder_files",
            "Files of pickup, replay and drop folders, by what came of them",
            counted
                .files()
                .into_iter()
                .map(|((folder, result), count)| {
                    (vec![("folder", folder.to_owned()), ("result", result.to_owned())], count)
                })
                .collect(),
        ),
        counter("tls_handshakes", "TLS handshakes with clients, by version", one("version", counted.handshakes())),
        gauge(
            "alarm",
            "What somebody should look at now",
            shared.alarms().ringing().into_iter().map(|(name, _)| (vec![("alarm", name.to_owned())], 1)).collect(),
        ),
    ];
    if let Ok(census) = shared.queue().census() {
        let mut states: Vec<(&'static str, u64, u64)> = STATES.iter().map(|state| (*state, 0, 0)).collect();
        for row in census {
            let state = state(row.held.as_deref(), row.deferred);
            let age = seconds_since(row.oldest);
            if let Some(known) = states.iter_mut().find(|known| known.0 == state) {
                *known = (state, known.1 + row.messages, known.2.max(age));
            }
        }
        let by = |pick: fn(&(&'static str, u64, u64)) -> u64| {
            states.iter().map(|state| (vec![("state", state.0.to_owned())], pick(state))).collect()
        };
        families.push(gauge("queue_state", "Messages in the queue, by how they stand", by(|state| state.1)));
        families.push(Family {
            unit: Some(Unit::Seconds),
            ..gauge("queue_oldest_age", "Age of the oldest message, by how it stands", by(|state| state.2))
        });
    }
    families
}

/// How messages stand.
const STATES: [&str; 5] = ["waiting", "deferred", "held", "paused", "quarantined"];

fn state(held: Option<&str>, deferred: bool) -> &'static str {
    match held {
        Some("pause" | "aside") => "paused",
        Some("quarantine") => "quarantined",
        Some(_) => "held",
        None if deferred => "deferred",
        None => "waiting",
    }
}

fn histograms(shared: &Shared) -> Vec<Histogram> {
    let (syncs, commits) = shared.queue().latencies();
    vec![
        Histogram {
            name: "queue_sync",
            help: "Until the bodies of a group of messages were on stable storage",
            durations: syncs,
        },
        Histogram {
            name: "queue_commit",
            help: "Until a group of messages was durable as a whole",
            durations: commits,
        },
    ]
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Figure { name, help, unit, value } in &self.figures {
            match value {
                Value::Total(count) => {
                    let metric = ConstCounter::new(*count);
                    metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?)?;
                }
                Value::Signed(value) => {
                    let metric = ConstGauge::new(*value);
                    metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?)?;
                }
                Value::Now(count) => {
                    let metric = ConstGauge::new(i64::try_from(*count).unwrap_or(i64::MAX));
                    metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?)?;
                }
            }
        }
        for Family { name, help, unit, kind, values } in &self.families {
            let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), *kind)?;
            for (labels, value) in values {
                let one = family.encode_family(labels)?;
                match kind {
                    MetricType::Counter => ConstCounter::new(*value).encode(one)?,
                    _ => ConstGauge::new(i64::try_from(*value).unwrap_or(i64::MAX)).encode(one)?,
                }
            }
        }
        for Histogram { name, help, durations } in &self.histograms {
            let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
            let bounds = LATENCY_BOUNDS.iter().copied().chain([f64::MAX]);
            let buckets: Vec<(f64, u64)> = bounds.zip(durations.counts.iter().copied()).collect();
            let count = durations.counts.iter().sum();
            family.encode_histogram::<NoLabelSet>(durations.sum, count, &buckets, None)?;
        }
        Ok(())
    }
}
