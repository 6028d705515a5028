//! The figures of a node in the OpenMetrics text format.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};
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
    /// By reply status.
    refusals: Vec<(String, u64)>,
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
        ];
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
        Reading { figures, refusals: counted.refusals() }
    }
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Figure { name, help, unit, value } in &self.figures {
            match value {
                Value::Total(count) => {
                    let metric = ConstCounter::new(*count);
                    metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?)?;
                }
                Value::Now(count) => {
                    let metric = ConstGauge::new(i64::try_from(*count).unwrap_or(i64::MAX));
                    metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?)?;
                }
            }
        }
        let help = "Commands and messages refused, by reply status";
        let mut refused = encoder.encode_descriptor("refused", help, None, MetricType::Counter)?;
        for (status, count) in &self.refusals {
            ConstCounter::new(*count).encode(refused.encode_family(&[("status", status.as_str())])?)?;
        }
        Ok(())
    }
}
