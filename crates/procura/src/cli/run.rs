//! Runs the tools.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use admin::operations::{self as op, Request, Response};
use admin::{AdminError, Endpoint};
use indicatif::ProgressBar;

use super::args::{Format, Global};
use super::fault::Failure;
use super::report::show_report;
use super::tools::{
    AuditCommand, AuditExport, History, SeparationCommand, ServiceAccount, ServiceAccountCommand, Tool, Undo, WhatCan,
    request, tried,
};
use super::{access, diff, html, output, pause, report, separation, test_send};
use crate::node::Node;

/// Runs a tool. Exit code 0: done, nothing found; 1: findings, or something was left undone; errors are 2.
pub fn run(global: &Global, tool: Tool) -> miette::Result<ExitCode> {
    if let Tool::Audit(AuditCommand::Diff { before, after }) = &tool {
        return Ok(diff::run(before, after, global.format)?);
    }
    let mut endpoint = Node::locate(global)?.endpoint()?;
    let found = match &tool {
        Tool::WhoCan(_) => {
            show_report(&mut endpoint, global, request(&tool).ok_or_else(nothing)?)?;
            false
        }
        Tool::WhatCan(what) => {
            show_report(&mut endpoint, global, what_can(what))?;
            false
        }
        Tool::Audit(AuditCommand::Export(export)) => {
            audit(&mut endpoint, global, export)?;
            false
        }
        Tool::Audit(AuditCommand::Separation(command)) => match command {
            SeparationCommand::Export(search) => separation::export(&mut endpoint, global, search.request())?,
            SeparationCommand::Import { file, domain } => {
                separation::import(&mut endpoint, global, file, domain.clone())?
            }
            SeparationCommand::SetAll { .. } => {
                let asked = request(&tool).ok_or_else(nothing)?;
                let response = call(&mut endpoint, global, asked)?;
                separation::applied(&response, global.format, None)?
            }
        },
        Tool::Simulate(simulate) => {
            let response = endpoint.call(&global.comment, Request::Simulate(tried(simulate)?.into()));
            show(&response.map_err(Failure::from)?, global.format)?;
            false
        }
        Tool::History(history) => self::history(&mut endpoint, global, history)?,
        Tool::Undo(Undo { import: Some(import), .. }) => {
            crate::import::undo(&mut endpoint, global, import)?;
            false
        }
        Tool::Token(command) => {
            access::tokens(&mut endpoint, global, command)?;
            false
        }
        Tool::Webhook(command) => {
            access::webhooks(&mut endpoint, global, command)?;
            false
        }
        Tool::Pause(command) => pause::run(&mut endpoint, global, command)?,
        Tool::TestSend(test) => test_send::run(&mut endpoint, global, test)?,
        Tool::ServiceAccount(ServiceAccountCommand::Pause(settings)) => {
            pause::settings(&mut endpoint, global, settings)?
        }
        Tool::ServiceAccount(ServiceAccountCommand::Watch(watch)) => pause::watch(&mut endpoint, global, watch)?,
        Tool::ServiceAccount(ServiceAccountCommand::Check(check)) => service_account(&mut endpoint, global, check)?,
        _ => {
            let asked = request(&tool).ok_or_else(nothing)?;
            show(&call(&mut endpoint, global, asked)?, global.format)?;
            false
        }
    };
    Ok(ExitCode::from(u8::from(found)))
}

fn nothing() -> Failure {
    Failure::new("this command is no request to the service")
}

/// Asks, or tries out.
pub fn call(endpoint: &mut Endpoint, global: &Global, request: Request) -> Result<Response, Failure> {
    let request = if global.dry_run { Request::Simulate(request.into()) } else { request };
    Ok(endpoint.call(&global.comment, request)?)
}

/// Shows an answer on standard output.
pub fn show(response: &Response, format: Format) -> Result<(), Failure> {
    output::show(response, format).map_err(broken)
}

/// A fault of standard output.
pub fn broken(error: io::Error) -> Failure {
    Failure::new(format!("standard output: {error}"))
}

pub fn unexpected() -> Failure {
    Failure::new("the service answered something else")
}

fn what_can(what: &WhatCan) -> Request {
    Request::WhatCan(op::WhatCan {
        identity: what.who.clone(),
        rights: what.right.names(),
        under: what.under.clone(),
        include_self: what.include_self,
        ..op::WhatCan::default()
    })
}

fn audit(endpoint: &mut Endpoint, global: &Global, export: &AuditExport) -> Result<(), Failure> {
    let asked = Request::AuditExport(op::AuditExport {
        rights: export.right.names(),
        under: export.under.clone(),
        expand: export.expand,
        all: export.all,
        include_self: export.include_self,
        ..op::AuditExport::default()
    });
    let Some(file) = &export.html else {
        return show_report(endpoint, global, asked);
    };
    let rows = report::rows(endpoint, asked)?;
    let text = html::report(&rows, &format!("{:.0}", jiff::Timestamp::now()));
    if file.as_os_str() == "-" {
        return io::stdout().write_all(text.as_bytes()).map_err(broken);
    }
    fs::write(file, text).map_err(|e| named(file, e))?;
    println!("{}: {} rows", file.display(), rows.len());
    Ok(())
}

pub fn named(file: &Path, error: io::Error) -> Failure {
    Failure::new(format!("{}: {error}", file.display()))
}

/// Shows on standard error that something goes on; hidden where that is no terminal.
pub fn spinner(template: &str) -> ProgressBar {
    let style = indicatif::ProgressStyle::with_template(template);
    let bar = ProgressBar::new_spinner();
    bar.set_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn history(endpoint: &mut Endpoint, global: &Global, history: &History) -> Result<bool, Failure> {
    let mut asked = op::History {
        object: history.object.clone(),
        author: history.author.clone(),
        since: history.since.as_deref().map(when).transpose()?,
        until: history.until.as_deref().map(when).transpose()?,
        limit: Some(history.limit),
        ..op::History::default()
    };
    let mut all = op::HistoryPage::default();
    loop {
        let page = match endpoint.call("", Request::History(asked.clone())) {
            Ok(Response::History(page)) => page,
            Ok(_) => return Err(unexpected()),
            Err(error) => return Err(error.into()),
        };
        all.rows.extend(page.rows);
        let left = (history.limit as usize).saturating_sub(all.rows.len());
        if page.next.is_none() || left == 0 {
            break;
        }
        (asked.before, asked.limit) = (page.next, u32::try_from(left).ok());
    }
    show(&Response::History(all), global.format)?;
    Ok(false)
}

/// A point in time: a date, a time, or how long ago; in milliseconds since 1970.
pub(super) fn when(text: &str) -> Result<i64, Failure> {
    let wrong = || {
        Failure::new(format!("`{text}` is no time"))
            .help("write a date (2026-01-31), a time (2026-01-31T08:00:00Z) or how long ago (90m, 12h, 7d)")
    };
    let now = jiff::Timestamp::now().as_millisecond();
    let text = text.trim();
    if let Some(unit) = text.chars().last().filter(|unit| "smhdw".contains(*unit))
        && let Ok(count) = text[..text.len() - 1].parse::<i64>()
    {
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => 604_800,
        };
        return count.checked_mul(seconds * 1_000).and_then(|ago| now.checked_sub(ago)).ok_or_else(wrong);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let local: jiff::civil::DateTime = text.parse().map_err(|_| wrong())?;
    let zoned = local.to_zoned(jiff::tz::TimeZone::system()).map_err(|_| wrong())?;
    Ok(zoned.timestamp().as_millisecond())
}

fn service_account(endpoint: &mut Endpoint, global: &Global, check: &ServiceAccount) -> Result<bool, Failure> {
    let mut asked = op::ServiceAccountCheck {
        identity: check.account.clone(),
        user: check.user.clone(),
        under: check.under.clone(),
        after: None,
    };
    let mut all: Option<op::ServiceAccountReport> = None;
    loop {
        let page = match endpoint.call("", Request::ServiceAccountCheck(asked.clone())) {
            Ok(Response::ServiceAccount(page)) => page,
            Ok(_) => return Err(unexpected()),
            Err(error) => return Err(AdminError::into(error)),
        };
        asked.after = page.next;
        match &mut all {
            None => all = Some(page),
            Some(all) => {
                all.covered += page.covered;
                all.rows.extend(page.rows);
            }
        }
        if asked.after.is_none() {
            break;
        }
    }
    let mut report = all.unwrap_or_default();
    report.next = None;
    let found = !report.rows.is_empty() || report.tasks.iter().any(|task| !task.ok);
    show(&Response::ServiceAccount(report), global.format)?;
    io::stdout().flush().map_err(broken)?;
    Ok(found)
}
