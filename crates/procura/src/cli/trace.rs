//! `procura trace`: the fate of messages.

use std::io::{self, Write};
use std::process::ExitCode;

use admin::operations::{Request, Response, Trace, TraceReport, TracedMessage};
use clap::Args;
use serde::Serialize;
use tracking::{Event, Record};

use super::args::{Format, Global};
use super::fault::Failure;
use super::output::plain;
use super::rows::Rows;
use super::run::{broken, unexpected, when};
use crate::node::Node;

/// Columns for spreadsheets.
const COLUMNS: [&str; 18] = [
    "message",
    "time",
    "event",
    "sender",
    "from",
    "to",
    "message_id",
    "connector",
    "client",
    "helo",
    "account",
    "proven",
    "decision",
    "destination",
    "reason",
    "attempt",
    "by",
    "size",
];

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 1: nothing was found.\n\nExamples:\n  procura trace --from alice@example.com --to @example.net --since 2h\n  procura trace --id 01J8Z3T5Q4R7N2M6K9V1X0C8BW\n  procura trace --message-id '<20260131.1@client.example.com>' --format jsonl"
)]
pub struct TraceArgs {
    /// Envelope sender or header From; @example.com: any of the domain; <>: the null sender
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// A recipient; @example.com: any of the domain
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<String>,
    /// Queue id, or the id of a decision that a refusal showed
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Message-ID of the header
    #[arg(long, value_name = "ID")]
    pub message_id: Option<String>,
    /// Received since then: a date, a time, or how long ago (90m, 12h, 7d) [default: 7d; all with --id]
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Received before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// At most so many messages, the newest
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub limit: u32,
}

/// Runs `procura trace`. Exit code 1: nothing was found.
pub fn run(global: &Global, arguments: &TraceArgs) -> miette::Result<ExitCode> {
    let since = match (&arguments.since, &arguments.id, &arguments.message_id) {
        (Some(since), ..) => Some(when(since)?),
        (None, None, None) => Some(when("7d")?),
        _ => None,
    };
    let asked = Trace {
        from: arguments.from.clone(),
        to: arguments.to.clone(),
        id: arguments.id.clone(),
        message_id: arguments.message_id.clone(),
        since,
        until: arguments.until.as_deref().map(when).transpose()?,
        limit: Some(arguments.limit),
    };
    let mut endpoint = Node::locate(global)?.endpoint()?;
    let report = match endpoint.call("", Request::Trace(asked)).map_err(Failure::from)? {
        Response::Trace(report) => report,
        _ => return Err(unexpected().into()),
    };
    show(&report, global.format).map_err(broken)?;
    if report.more {
        eprintln!("note: there are older ones; --limit shows more, --until goes further back");
    }
    Ok(ExitCode::from(u8::from(report.rows.is_empty())))
}

/// One event of a message, as a row.
#[derive(Serialize)]
struct Row<'a> {
    message: &'a str,
    #[serde(flatten)]
    record: &'a Record,
}

fn show(report: &TraceReport, format: Format) -> io::Result<()> {
    let mut out = io::BufWriter::new(super::report::stdout(format)?);
    match format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, report)?;
            out.write_all(b"\n")?;
        }
        Format::Csv | Format::Jsonl => {
            let mut rows = Rows::new(&mut out, format, &COLUMNS);
            for message in &report.rows {
                message.events.iter().try_for_each(|record| rows.row(&Row { message: &message.id, record }))?;
            }
            rows.finish()?;
        }
        Format::Table if report.rows.is_empty() => out.write_all(b"nothing was found\n")?,
        Format::Table => {
            let texts: Vec<String> = report.rows.iter().map(text).collect();
            out.write_all(plain(&texts.join("\n")).as_bytes())?;
        }
    }
    out.flush()
}

/// A message in words.
fn text(message: &TracedMessage) -> String {
    let mut text = String::new();
    let mut own = "";
    for record in &message.events {
        if text.is_empty() {
            own = &record.id;
            text += &headline(record);
        }
        text += &format!("  {}  {:<11} {}\n", time(record.time), record.event.name(), words(record, own));
    }
    if let Some(waits) = &message.waits {
        let what = match (&waits.held, &waits.next_attempt) {
            (Some(reason), _) => format!("held: {reason}"),
            (None, Some(next)) => format!("{} recipient(s) left, next attempt {next}", waits.pending),
            (None, None) => format!("{} recipient(s) left", waits.pending),
        };
        text += &format!("  {:<24}  waits       {what}\n", "now");
    }
    text
}

fn headline(first: &Record) -> String {
    let id = if first.id.is_empty() { "(not accepted)" } else { &first.id };
    let sender = first.sender.as_deref().unwrap_or("?");
    let more = if first.more > 0 { format!(" and {} more", first.more) } else { String::new() };
    let mut text = format!("{id}  <{sender}> to {}{more}\n", first.to.join(", "));
    let other: Vec<&str> = first.from.iter().map(String::as_str).filter(|from| *from != sender).collect();
    if !other.is_empty() {
        text += &format!("  From {}\n", other.join(", "));
    }
    if !first.message_id.is_empty() {
        text += &format!("  Message-ID {}\n", first.message_id);
    }
    text
}

fn words(record: &Record, own: &str) -> String {
    let mut parts = Vec::new();
    let mut part = |before: &str, value: &str| {
        if !value.is_empty() {
            parts.push(format!("{before}{value}"));
        }
    };
    match record.event {
        Event::Received | Event::Paused | Event::Quarantined | Event::Refused => {
            part("by connector ", &record.connector);
            part("from ", &record.client);
            match (record.account.as_str(), record.proven.as_str()) {
                ("", proven) => part("proven by: ", proven),
                (account, _) => part("as ", account),
            }
            if record.size > 0 {
                part("", &format!("{} octets", record.size));
            }
            part("decision ", &record.decision);
            part("", &record.reason);
        }
        Event::Delivered | Event::Deferred | Event::Failed => {
            part("", &record.to.join(", "));
            part("via ", &record.destination);
            if record.attempt > 1 {
                part("", &format!("attempt {}", record.attempt));
            }
            part("", &record.reason);
        }
        Event::Bounced => {
            part("a report to ", &record.to.join(", "));
            part("as ", &record.id);
            part("", &record.reason);
        }
        Event::Held | Event::Released | Event::Retried | Event::Removed => {
            part("by ", &record.by);
            part("", &record.reason);
        }
    }
    if record.event != Event::Bounced && record.id != own {
        parts.push(format!("(of the report {})", record.id));
    }
    parts.join(", ")
}

/// A time, as long as those of all other lines.
fn time(millis: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}
