//! `procura queue`: what waits for delivery, and what is to become of it.

use std::io::{self, BufRead, IsTerminal, Write};

use admin::Endpoint;
use admin::operations::{
    QueueAmount, QueueFate, QueueFilter, QueueList, QueueMessage, QueueOrder, QueueOrdered, QueuePage, QueueRow,
    QueueState, Request, Response,
};
use clap::{Args, Subcommand, ValueEnum};
use std::process::ExitCode;

use super::args::{Format, Global};
use super::fault::Failure;
use super::output::table;
use super::pause::ago;
use super::rows::Rows;
use super::run::{broken, show, spinner, unexpected};
use crate::node::Node;

/// Columns of a list for spreadsheets.
const COLUMNS: [&str; 12] = [
    "id",
    "sender",
    "to",
    "received",
    "size",
    "state",
    "pending",
    "recipients",
    "attempts",
    "next_attempt",
    "held",
    "reason",
];
/// The widest cell of a table.
const WIDEST: usize = 60;

#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List messages, in order of acceptance
    #[command(
        after_help = "Examples:\n  procura queue list --limit 20\n  procura queue list --state deferred --domain example.net\n  procura queue list --reason 'connection refused' --format jsonl"
    )]
    List {
        #[command(flatten)]
        filter: Filter,
        /// At most so many
        #[arg(long, value_name = "NUMBER")]
        limit: Option<u64>,
    },
    /// Show one message
    Show {
        /// Queue id
        id: String,
    },
    /// Keep messages, and do not deliver them until they are released
    #[command(
        after_help = "A delivery that is under way goes on.\n\nExamples:\n  procura queue hold 01J8Z3T5Q4R7N2M6K9V1X0C8BW\n  procura queue hold --domain example.net --why 'their server loses mail'\n  procura queue hold --all"
    )]
    Hold {
        #[command(flatten)]
        filter: Filter,
        /// All messages
        #[arg(long)]
        all: bool,
        /// Why, for people
        #[arg(long, value_name = "TEXT", default_value = "held by an operator")]
        why: String,
    },
    /// Deliver what is held; what a service account paused is released by `procura pause release`
    #[command(
        after_help = "Examples:\n  procura queue release 01J8Z3T5Q4R7N2M6K9V1X0C8BW\n  procura queue release --state held --domain example.net\n  procura queue release --state quarantined --from newsletter@example.org"
    )]
    Release {
        #[command(flatten)]
        filter: Filter,
        /// All held messages
        #[arg(long)]
        all: bool,
    },
    /// Try to deliver again now; without a filter: everything that is not held
    #[command(
        after_help = "Examples:\n  procura queue retry\n  procura queue retry 01J8Z3T5Q4R7N2M6K9V1X0C8BW\n  procura queue retry --domain example.net"
    )]
    Retry {
        #[command(flatten)]
        filter: Filter,
    },
    /// Drop messages, without a bounce
    #[command(
        after_help = "Says how many messages are meant, and asks. --dry-run changes nothing.\n\nExamples:\n  procura queue remove 01J8Z3T5Q4R7N2M6K9V1X0C8BW --yes\n  procura queue remove --from '<>' --state deferred --dry-run\n  procura queue remove --from spammer@example.com --older-than 1h"
    )]
    Remove {
        #[command(flatten)]
        filter: Filter,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which messages; several options narrow the choice.
#[derive(Debug, Clone, Args)]
pub struct Filter {
    /// Queue ids
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Envelope sender; @example.com: any of the domain; <>: the null one
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// A recipient who still waits; @example.com: any of the domain
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<String>,
    /// Domain of a recipient who still waits
    #[arg(long, value_name = "DOMAIN", conflicts_with = "to")]
    pub domain: Option<String>,
    /// Text in the last answer of a destination, or in the reason of a hold
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Accepted longer ago than this (90m, 12h, 7d)
    #[arg(long, value_name = "TIME")]
    pub older_than: Option<String>,
    /// Accepted within this time (90m, 12h, 7d)
    #[arg(long, value_name = "TIME")]
    pub newer_than: Option<String>,
    /// How it stands
    #[arg(long, value_enum)]
    pub state: Option<State>,
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// No attempt was deferred yet
    Waiting,
    /// An attempt was deferred
    Deferred,
    /// Held, but not paused
    Held,
    /// Paused for want of a right
    Paused,
    /// Held by the verdict of a content filter
    Quarantined,
}

impl Filter {
    fn request(&self) -> Result<QueueFilter, Failure> {
        let domain = self.domain.as_ref().map(|domain| format!("@{}", domain.trim_start_matches('@')));
        Ok(QueueFilter {
            ids: self.ids.clone(),
            sender: self.from.clone(),
            recipient: self.to.clone().or(domain),
            reason: self.reason.clone(),
            before: self.older_than.as_deref().map(ago).transpose()?,
            since: self.newer_than.as_deref().map(ago).transpose()?,
            state: self.state.map(|state| match state {
                State::Waiting => QueueState::Waiting,
                State::Deferred => QueueState::Deferred,
                State::Held => QueueState::Held,
                State::Paused => QueueState::Paused,
                State::Quarantined => QueueState::Quarantined,
            }),
        })
    }
}

/// Runs `procura queue`. Exit code 1: something was left as it is.
pub fn run(global: &Global, command: &QueueCommand) -> miette::Result<ExitCode> {
    let mut endpoint = Node::locate(global)?.endpoint()?;
    let left = match command {
        QueueCommand::List { filter, limit } => {
            list(&mut endpoint, global.format, filter.request()?, *limit)?;
            false
        }
        QueueCommand::Show { id } => {
            let response = endpoint.call("", Request::QueueShow(QueueMessage { id: id.clone() }));
            show(&response.map_err(Failure::from)?, global.format)?;
            false
        }
        QueueCommand::Hold { filter, all, why } => {
            let what = QueueFate::Hold { reason: why.clone() };
            order(&mut endpoint, global, (filter.request()?, what, *all))?
        }
        QueueCommand::Release { filter, all } => {
            order(&mut endpoint, global, (filter.request()?, QueueFate::Release, *all))?
        }
        QueueCommand::Retry { filter } => order(&mut endpoint, global, (filter.request()?, QueueFate::Retry, true))?,
        QueueCommand::Remove { filter, yes } => {
            let filter = filter.request()?;
            if !global.dry_run && !yes && !filter.is_empty() && !confirmed(&mut endpoint, &filter)? {
                return Err(Failure::new("nothing was removed").into());
            }
            order(&mut endpoint, global, (filter, QueueFate::Remove, false))?
        }
    };
    Ok(ExitCode::from(u8::from(left)))
}

/// Pages are shown as they come: however long the queue is, one page is all that is kept.
fn list(endpoint: &mut Endpoint, format: Format, filter: QueueFilter, limit: Option<u64>) -> Result<(), Failure> {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut asked = QueueList { filter, ..QueueList::default() };
    let mut rows = match format {
        Format::Table => None,
        _ => Some(Rows::new(io::BufWriter::new(super::report::stdout(format).map_err(broken)?), format, &COLUMNS)),
    };
    let mut widths = Vec::new();
    loop {
        asked.limit = Some(u32::try_from(left.min(1000)).unwrap_or(1000));
        let page = match endpoint.call("", Request::QueueList(asked.clone()))? {
            Response::Queue(page) => page,
            _ => return Err(unexpected()),
        };
        let QueuePage { rows: messages, next } = page;
        left = left.saturating_sub(messages.len() as u64);
        match &mut rows {
            Some(rows) => messages.iter().try_for_each(|row| rows.row(row)).map_err(broken)?,
            None => print(&messages, &mut widths).map_err(broken)?,
        }
        if next.is_none() || left == 0 {
            break;
        }
        asked.after = next;
    }
    rows.map_or(Ok(()), Rows::finish).map_err(broken)
}

/// A part of a table; the first one says how wide the columns are.
fn print(messages: &[QueueRow], widths: &mut Vec<usize>) -> io::Result<()> {
    const HEADS: [&str; 8] = ["ID", "FROM", "TO", "ACCEPTED", "SIZE", "STATE", "NEXT ATTEMPT", "REASON"];
    let mut lines: Vec<Vec<String>> = messages.iter().map(cells).collect();
    if widths.is_empty() {
        lines.insert(0, HEADS.map(str::to_owned).to_vec());
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        *widths = (0..HEADS.len()).map(|column| width(column).min(WIDEST)).collect();
    }
    let mut text = String::new();
    for line in lines {
        let mut shown = String::new();
        for (cell, width) in line.iter().zip(widths.iter()) {
            shown += cell;
            shown.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
        }
        text += shown.trim_end();
        text.push('\n');
    }
    io::stdout().lock().write_all(text.as_bytes())
}

fn cells(row: &QueueRow) -> Vec<String> {
    let more = (row.recipients as usize).saturating_sub(row.to.len());
    let others = if more > 0 { format!(" and {more} more") } else { String::new() };
    vec![
        row.id.clone(),
        format!("<{}>", row.sender),
        row.to.join(" ") + &others,
        row.received.clone(),
        row.size.to_string(),
        row.state.clone(),
        if row.held.is_some() { String::new() } else { row.next_attempt.clone().unwrap_or_default() },
        row.held.clone().unwrap_or_else(|| row.reason.clone()),
    ]
}

/// Gives an order page by page; whether anything was left as it is.
fn order(
    endpoint: &mut Endpoint,
    global: &Global,
    (filter, what, all): (QueueFilter, QueueFate, bool),
) -> Result<bool, Failure> {
    let named = filter.ids.len() as u64;
    let mut asked = QueueOrder { filter, what, all, after: None, dry_run: global.dry_run };
    let mut total = QueueOrdered::default();
    let bar = spinner("{spinner} {pos} messages, {elapsed}");
    loop {
        let page = match endpoint.call(&global.comment, Request::QueueOrder(asked.clone()))? {
            Response::QueueOrdered(page) => page,
            _ => return Err(unexpected()),
        };
        total.done += page.done;
        total.left += page.left;
        for why in page.why {
            if total.why.len() < 10 && !total.why.contains(&why) {
                total.why.push(why);
            }
        }
        bar.set_position(total.done + total.left);
        asked.after = page.next;
        if asked.after.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    total.summary = summary(&asked, &total);
    if total.done + total.left < named {
        let gone = named - total.done - total.left;
        total.why.push(format!("{gone} of the messages named are not in the queue"));
    }
    if total.done == 0 && total.left == 0 && named > 0 {
        return Err(Failure::new("no message of that name is in the queue").help("`procura queue list` shows what is"));
    }
    show(&Response::QueueOrdered(total.clone()), global.format)?;
    Ok(total.left > 0)
}

fn summary(order: &QueueOrder, total: &QueueOrdered) -> String {
    let what = match order.what {
        QueueFate::Hold { .. } => "held",
        QueueFate::Release => "released",
        QueueFate::Retry => "tried again",
        QueueFate::Remove => "removed",
    };
    let would = if order.dry_run { "would be " } else { "" };
    let left = if total.left > 0 { format!(", {} left as they are", total.left) } else { String::new() };
    format!("{} message(s) {would}{what}{left}", total.done)
}

/// Says how much is meant, and asks on the terminal.
fn confirmed(endpoint: &mut Endpoint, filter: &QueueFilter) -> Result<bool, Failure> {
    let QueueAmount { messages, bytes, oldest } = match endpoint.call("", Request::QueueAmount(filter.clone()))? {
        Response::QueueAmount(amount) => amount,
        _ => return Err(unexpected()),
    };
    if messages == 0 {
        return Ok(true);
    }
    let oldest = oldest.map(|oldest| format!(", the oldest of {oldest}")).unwrap_or_default();
    let meant = format!("{messages} message(s), {bytes} octets{oldest}");
    if !io::stdin().is_terminal() {
        return Err(Failure::new(format!("this would remove {meant}"))
            .help("add --yes to remove them; --dry-run shows what would be done"));
    }
    eprint!("Remove {meant}, without a bounce? [y/N] ");
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|e| Failure::new(format!("standard input: {e}")))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// An answer in words.
pub(super) fn text(response: &Response) -> Option<String> {
    Some(match response {
        Response::QueueOrdered(ordered) => {
            let mut text = format!("{}\n", ordered.summary);
            for why in &ordered.why {
                text += &format!("note: {why}\n");
            }
            text
        }
        Response::QueueAmount(amount) => {
            let oldest = amount.oldest.as_deref().map(|oldest| format!(", the oldest of {oldest}"));
            format!("{} message(s), {} octets{}\n", amount.messages, amount.bytes, oldest.unwrap_or_default())
        }
        Response::QueueMessage(message) => {
            let summary = &message.summary;
            let mut text = format!(
                "{}\nfrom     <{}>\naccepted {}\nexpires  {}\nsize     {}\nstate    {}\n",
                summary.id, summary.sender, summary.received, message.expires, summary.size, summary.state
            );
            if let Some(reason) = &summary.held {
                text += &format!("held     {reason}\n");
            }
            text += "\n";
            text + &table(
                &["to", "destination", "state", "attempts", "next attempt", "last answer"],
                message.recipients.iter().map(|row| {
                    vec![
                        row.address.clone(),
                        row.destination.clone(),
                        row.state.clone(),
                        row.attempts.to_string(),
                        row.next_attempt.clone().unwrap_or_default(),
                        row.reason.clone(),
                    ]
                }),
            )
        }
        _ => return None,
    })
}
