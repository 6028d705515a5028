//! Mail of service accounts that waits for a missing right: how it is set, what waits, and what to do about it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use admin::operations::{
    self as op, Page, PauseFate, PausePart, PausePolicy, PauseRequest, PauseResponse, PauseRow, PauseUserRow, Request,
    Response,
};
use admin::{AdminError, Endpoint};
use clap::{Args, Subcommand};

use super::args::{Format, Global};
use super::fault::Failure;
use super::output::{plain, table};
use super::run::{broken, call, show, unexpected};

#[derive(Debug, Subcommand)]
pub enum PauseCommand {
    /// Whose mail waits, since when, how much, which right is missing, and what mends it; exit code 1 if any waits
    #[command(
        after_help = "Examples:\n  procura pause list\n  procura pause list goodadmin --format csv\n  procura pause list goodadmin --user johndoe"
    )]
    List(Which),
    /// The same, with the event and the messages
    Show(Which),
    /// Decide again now: what may go goes. What waits goes by itself as soon as the right is there
    #[command(
        after_help = "Mail that was set aside (too old, or no longer deliverable) goes only by this command.\n\nExamples:\n  procura pause release goodadmin --set-aside\n  procura pause release goodadmin --user johndoe --override"
    )]
    Release(Release),
    /// Give up what waits: return it to its senders, or remove it
    #[command(
        after_help = "Examples:\n  procura pause expire goodadmin --set-aside --return\n  procura pause expire goodadmin --older-than 14d --return --dry-run\n  procura pause expire --id 01J8ZQ5C3N5T6V7W8X9Y0Z1A2B --remove"
    )]
    Expire(Expire),
}

#[derive(Debug, Args)]
pub struct Which {
    /// Only of this service account: any of its names
    pub account: Option<String>,
    /// Only for this user
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
}

#[derive(Debug, Args)]
pub struct Release {
    #[command(flatten)]
    pub which: Which,
    /// Only this message
    #[arg(long, value_name = "QUEUE-ID")]
    pub id: Option<String>,
    /// Only what was set aside for a person
    #[arg(long)]
    pub set_aside: bool,
    /// Although the right is missing: for those who may change the user's permissions; the audit says so
    #[arg(long = "override")]
    pub pass_over: bool,
}

#[derive(Debug, Args)]
#[group(id = "end", required = true, multiple = false, args = ["give_back", "remove"])]
pub struct Expire {
    #[command(flatten)]
    pub which: Which,
    /// Only this message
    #[arg(long, value_name = "QUEUE-ID")]
    pub id: Option<String>,
    /// Only what was accepted longer ago than this (90m, 12h, 7d)
    #[arg(long, value_name = "TIME")]
    pub older_than: Option<String>,
    /// Only what was set aside for a person
    #[arg(long)]
    pub set_aside: bool,
    /// Return it to its senders
    #[arg(long = "return")]
    pub give_back: bool,
    /// Remove it; nobody is told
    #[arg(long)]
    pub remove: bool,
}

#[derive(Debug, Subcommand)]
pub enum PauseSettings {
    /// Let its mail wait for users who own a mailbox, in a scope; replaces what was set before
    #[command(
        after_help = "An explicit denial, an address that is nobody's or foreign, and a disabled service account are refused all the same.\n\nExamples:\n  procura service-account pause enable goodadmin --notify ops@example.com\n  procura service-account pause enable goodadmin --scope OU=Staff --scope 'Mobile Users' --max-age 3d"
    )]
    Enable(Enable),
    /// Refuse its mail again, as everybody's; what waits is kept
    Disable {
        /// The service account: any of its names
        account: String,
    },
    /// How it is set, and how much waits
    Show {
        /// The service account: any of its names
        account: String,
    },
}

#[derive(Debug, Args)]
pub struct Enable {
    /// The service account: any of its names
    pub account: String,
    /// A user, a group, a unit or a domain [default: the whole organization]
    #[arg(long, value_name = "NAME")]
    pub scope: Vec<String>,
    /// Messages that may wait; more are answered 452 [default: 100000]
    #[arg(long, value_name = "NUMBER")]
    pub max_messages: Option<u64>,
    /// Octets that may wait; more are answered 452 [default: 10737418240]
    #[arg(long, value_name = "NUMBER")]
    pub max_bytes: Option<u64>,
    /// After this time a message needs a person (12h, 7d) [default: 7d]
    #[arg(long, value_name = "TIME")]
    pub max_age: Option<String>,
    /// Mail address of somebody who is told when mail waits
    #[arg(long, value_name = "ADDRESS")]
    pub notify: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Ends with Ctrl-C. With --format jsonl, each change is one line.\n\nExample:\n  procura service-account watch goodadmin"
)]
pub struct Watch {
    /// The service account: any of its names
    pub account: String,
    /// Show it once
    #[arg(long)]
    pub once: bool,
    /// Look again after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    pub every: u32,
}

impl Which {
    fn request(&self, messages: bool) -> op::PauseList {
        op::PauseList { account: self.account.clone(), user: self.user.clone(), messages }
    }
}

/// Runs `procura pause`; whether there is something that a person should look at.
pub fn run(endpoint: &mut Endpoint, global: &Global, command: &PauseCommand) -> Result<bool, Failure> {
    let asked = match command {
        PauseCommand::List(which) => PauseRequest::List(which.request(false)),
        PauseCommand::Show(which) => PauseRequest::List(which.request(true)),
        PauseCommand::Release(release) => PauseRequest::Order(op::PauseOrder {
            which: release.which.request(false),
            id: release.id.clone(),
            before: None,
            part: if release.set_aside { PausePart::SetAside } else { PausePart::All },
            what: if release.pass_over { PauseFate::Override } else { PauseFate::Release },
        }),
        PauseCommand::Expire(expire) => PauseRequest::Order(op::PauseOrder {
            which: expire.which.request(false),
            id: expire.id.clone(),
            before: expire.older_than.as_deref().map(ago).transpose()?,
            part: if expire.set_aside { PausePart::SetAside } else { PausePart::All },
            what: if expire.give_back { PauseFate::Return } else { PauseFate::Remove },
        }),
    };
    let only_looks = matches!(asked, PauseRequest::List(_));
    let response = match only_looks {
        true => endpoint.call("", Request::Pause(asked))?,
        false => call(endpoint, global, Request::Pause(asked))?,
    };
    let found = match &response {
        Response::Pause(PauseResponse::List(page)) => !page.rows.is_empty(),
        Response::Pause(PauseResponse::Ordered(ordered)) => ordered.left > 0,
        _ => false,
    };
    if let (PauseCommand::Show(_), Format::Table, Response::Pause(PauseResponse::List(page))) =
        (command, global.format, &response)
    {
        let text: String = page.rows.iter().map(detail).collect();
        io::stdout().lock().write_all(plain(&text).as_bytes()).map_err(broken)?;
        return Ok(found);
    }
    show(&response, global.format)?;
    Ok(found)
}

/// Runs `procura service-account pause`.
pub fn settings(endpoint: &mut Endpoint, global: &Global, settings: &PauseSettings) -> Result<bool, Failure> {
    let asked = match settings {
        PauseSettings::Enable(enable) => PauseRequest::Enable(op::PauseEnable {
            account: enable.account.clone(),
            scope: enable.scope.clone(),
            max_messages: enable.max_messages,
            max_bytes: enable.max_bytes,
            max_age: enable.max_age.as_deref().map(seconds).transpose()?,
            notify: enable.notify.clone(),
        }),
        PauseSettings::Disable { account } => PauseRequest::Disable(op::PauseOf { account: account.clone() }),
        PauseSettings::Show { account } => PauseRequest::Policy(op::PauseOf { account: account.clone() }),
    };
    let response = match asked {
        PauseRequest::Policy(_) => endpoint.call("", Request::Pause(asked))?,
        asked => call(endpoint, global, Request::Pause(asked))?,
    };
    show(&response, global.format)?;
    Ok(false)
}

/// Runs `procura service-account watch`.
pub fn watch(endpoint: &mut Endpoint, global: &Global, watch: &Watch) -> Result<bool, Failure> {
    let mut before: BTreeMap<String, PauseUserRow> = BTreeMap::new();
    let mut first = true;
    loop {
        let rows = users(endpoint, &watch.account)?;
        if watch.once {
            let page = Page::from(rows);
            let paused = page.rows.iter().any(|row| row.state == "paused");
            show(&Response::Pause(PauseResponse::Users(page)), global.format)?;
            return Ok(paused);
        }
        let now: BTreeMap<String, PauseUserRow> = rows.into_iter().map(|row| (row.user.clone(), row)).collect();
        let changed = |row: &&PauseUserRow| before.get(&row.user).is_none_or(|old| old != *row);
        tell(&now, now.values().filter(changed), (first, global.format)).map_err(broken)?;
        (before, first) = (now, false);
        std::thread::sleep(Duration::from_secs(u64::from(watch.every.max(1))));
    }
}

/// What changed: at first the figures and whoever is paused, then each change.
fn tell<'a>(
    all: &BTreeMap<String, PauseUserRow>,
    changed: impl Iterator<Item = &'a PauseUserRow>,
    (first, format): (bool, Format),
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if format != Format::Table {
        for row in changed {
            serde_json::to_writer(&mut out, row)?;
            out.write_all(b"\n")?;
        }
        return out.flush();
    }
    let time = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
    let mut told = 0;
    for row in changed.filter(|row| !first || row.state == "paused") {
        told += 1;
        let since = row.since.as_deref().map(|since| format!(" since {since}, {} message(s)", row.messages));
        let why = if row.why.is_empty() { String::new() } else { format!(": {}", row.why) };
        let line = format!("{time}  {:<11}  {}{}{why}", row.state, row.user, since.unwrap_or_default());
        writeln!(out, "{}", plain(&line))?;
    }
    if first || told > 0 {
        let count = |state: &str| all.values().filter(|row| row.state == state).count();
        let (active, paused, others) = (count("active"), count("paused"), count("not-covered"));
        writeln!(out, "{time}  {active} active, {paused} paused, {others} not covered")?;
    }
    out.flush()
}

fn users(endpoint: &mut Endpoint, account: &str) -> Result<Vec<PauseUserRow>, Failure> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let asked = op::PauseUsers { account: account.to_owned(), after };
        match endpoint.call("", Request::Pause(PauseRequest::Users(asked))) {
            Ok(Response::Pause(PauseResponse::Users(page))) => {
                rows.extend(page.rows);
                after = page.next;
            }
            Ok(_) => return Err(unexpected()),
            Err(error) => return Err(AdminError::into(error)),
        }
        if after.is_none() {
            return Ok(rows);
        }
    }
}

/// An answer in words.
pub(super) fn text(response: &PauseResponse) -> String {
    match response {
        PauseResponse::Policy(policy) => self::policy(policy),
        PauseResponse::List(page) => list(&page.rows),
        PauseResponse::Ordered(ordered) => {
            let mut text = format!("{}\n", ordered.summary);
            for why in &ordered.why {
                text += &format!("still held: {why}\n");
            }
            text
        }
        PauseResponse::Users(page) => table(
            &["user", "state", "since", "messages", "why"],
            page.rows.iter().map(|row| {
                let messages = if row.messages > 0 { row.messages.to_string() } else { String::new() };
                let since = row.since.clone().unwrap_or_default();
                vec![row.user.clone(), row.state.clone(), since, messages, row.why.clone()]
            }),
        ),
        PauseResponse::Decided(decided) => super::test_send::report(decided),
    }
}

fn policy(policy: &PausePolicy) -> String {
    let state = if policy.enabled { "its mail waits while a right is missing" } else { "its mail is refused" };
    let mut text = format!("{}\npause       {state}\n", policy.account);
    for scope in &policy.scope {
        text += &format!("scope       {scope}\n");
    }
    let (hours, age) = (policy.max_age / 3_600, policy.max_age);
    let age = match hours {
        0 => format!("{age} s"),
        hours if hours % 24 == 0 => format!("{} d", hours / 24),
        hours => format!("{hours} h"),
    };
    text += &format!("limits      {} messages, {} octets, {age}\n", policy.max_messages, policy.max_bytes);
    let notify = if policy.notify.is_empty() { "nobody".to_owned() } else { policy.notify.join(" ") };
    text += &format!("told        {notify}\n");
    text += &format!(
        "waiting     {} message(s) for {} user(s), {} set aside, {} octets\n",
        policy.messages, policy.paused_users, policy.set_aside, policy.bytes
    );
    text
}

fn list(rows: &[PauseRow]) -> String {
    if rows.is_empty() {
        return "nothing is paused\n".to_owned();
    }
    let mut text = table(
        &["account", "user", "state", "since", "messages", "reason", "why"],
        rows.iter().map(|row| {
            vec![
                row.account.clone(),
                row.user.clone(),
                row.state.clone(),
                row.since.clone(),
                row.messages.to_string(),
                row.reason.clone(),
                if row.why.is_empty() { String::new() } else { format!("{} missing; {}", row.missing, row.why) },
            ]
        }),
    );
    let mut commands: Vec<&str> = rows.iter().map(|row| row.command.as_str()).filter(|c| !c.is_empty()).collect();
    commands.sort_unstable();
    commands.dedup();
    if !commands.is_empty() {
        text += "\nthis mends it\n";
    }
    for command in commands {
        text += &format!("  {command}\n");
    }
    text
}

/// All about one user.
fn detail(row: &PauseRow) -> String {
    let mut text = String::new();
    if row.state == "paused" {
        text += &format!("{}\n", row.event);
    }
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            text += &format!("{label:<10}{value}\n");
        }
    };
    line("account", &row.account);
    line("user", &row.user);
    line("state", &row.state);
    line("reason", &row.reason);
    line("since", &row.since);
    line("messages", &format!("{}, {} octets", row.messages, row.bytes));
    if !row.missing.is_empty() {
        line("missing", &format!("{} on {}", row.missing, row.on));
    }
    line("why", &row.why);
    line("note", &row.outlook);
    line("mend it", &row.command);
    if !row.held.is_empty() {
        text += "\n";
        text += &table(
            &["message", "from", "to", "accepted", "size", "decision"],
            row.held.iter().map(|message| {
                vec![
                    message.id.clone(),
                    format!("<{}>", message.sender),
                    message.to.join(" "),
                    message.received.clone(),
                    message.size.to_string(),
                    message.decision.clone(),
                ]
            }),
        );
    }
    if row.more > 0 {
        text += &format!("and {} more\n", row.more);
    }
    text + "\n"
}

/// How long ago: milliseconds since the Unix epoch.
pub(super) fn ago(text: &str) -> Result<i64, Failure> {
    let ago = i64::try_from(seconds(text)?).unwrap_or(i64::MAX).saturating_mul(1_000);
    Ok(jiff::Timestamp::now().as_millisecond().saturating_sub(ago))
}

/// A length of time, in seconds.
fn seconds(text: &str) -> Result<u64, Failure> {
    let wrong = || Failure::new(format!("`{text}` is no length of time")).help("write it as in 90m, 12h or 7d");
    let trimmed = text.trim();
    let unit = trimmed.chars().last().ok_or_else(wrong)?;
    let scale = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let count: u64 = trimmed[..trimmed.len() - 1].parse().map_err(|_| wrong())?;
    count.checked_mul(scale).filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit() {
        assert_eq!(seconds("90m").unwrap(), 5_400);
        assert_eq!(seconds("7d").unwrap(), 604_800);
        for wrong in ["", "7", "d", "-1d", "0d", "7y", "99999999999999999999d", "é"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
