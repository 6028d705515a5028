//! The files of the separation audit (S0; `authorization.md` §7).

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use admin::Endpoint;
use admin::operations::{
    ImportLine, Request, Response, SeparationApplied, SeparationError, SeparationExport, SeparationImport,
    SeparationRow,
};
use admin::separation::file;

use super::args::{Format, Global};
use super::fault::Failure;
use super::rows::Rows;
use super::run::{broken, call, named, show, spinner, unexpected};

/// How often a free name is looked for, four times a second.
const TRIES: u32 = 40;
/// Lines of a file in one request.
const PIECE: usize = 10_000;
const EXPORT: &str = "Send_As_Export_";
const ERRORS: &str = "Send_As_Errors_";
/// Columns in CSV.
const COLUMNS: [&str; 10] = [
    "owner",
    "account",
    "account_name",
    "has_delegates",
    "enabled",
    "owner_dn",
    "account_sid",
    "access_from",
    "missing",
    "is_delegate",
];

/// Exports; whether there were errors.
pub fn export(endpoint: &mut Endpoint, global: &Global, search: SeparationExport) -> Result<bool, Failure> {
    let bar = spinner("{spinner} {pos} rows");
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    let mut asked = search;
    loop {
        let page = match endpoint.call("", Request::SeparationExport(asked.clone())) {
            Ok(Response::Separation(page)) => page,
            Ok(_) => return Err(unexpected()),
            Err(error) => return Err(error.into()),
        };
        bar.inc(page.rows.len() as u64);
        rows.extend(page.rows);
        errors.extend(page.errors);
        if page.next.is_none() {
            break;
        }
        (asked.after, asked.run) = (page.next, page.run);
    }
    bar.finish_and_clear();
    let mut stamp = None;
    if global.format == Format::Table {
        let lines: Vec<file::Line> = rows.iter().map(line).collect();
        let (path, now) = create(EXPORT, None, &file::write(&lines))?;
        stamp = Some(now);
        println!("{}: {} accounts with Full Mailbox Access and without Send As", path.display(), rows.len());
    } else {
        let mut out =
            Rows::new(BufWriter::new(super::report::stdout(global.format).map_err(broken)?), global.format, &COLUMNS);
        rows.iter().try_for_each(|row| out.row(row)).and_then(|()| out.finish()).map_err(broken)?;
    }
    report(&errors, stamp)
}

/// Imports; whether there were errors.
pub fn import(endpoint: &mut Endpoint, global: &Global, path: &Path, domain: Option<String>) -> Result<bool, Failure> {
    let octets = std::fs::read(path).map_err(|e| named(path, e))?;
    let read = file::read(&octets).map_err(|e| {
        Failure::new(format!("{}: {e}", path.display()))
            .help("nothing was granted; a line is one of an export, with its five or more fields separated by tabs")
    })?;
    for warning in &read.warnings {
        eprintln!("warning: {}: {warning}", path.display());
    }
    let mut lines: Vec<ImportLine> = read.lines.into_iter().map(|(number, line)| import_line(number, line)).collect();
    let mut run = None;
    loop {
        let rest = lines.split_off(lines.len().min(PIECE));
        let last = rest.is_empty();
        let piece = SeparationImport { domain: domain.clone(), run: run.take(), lines, last };
        let response = call(endpoint, global, Request::SeparationImport(piece))?;
        if last {
            return applied(&response, global.format, stamp_of(path));
        }
        match response {
            Response::SeparationApplied(SeparationApplied { run: Some(token), .. }) => run = Some(token),
            _ => return Err(unexpected()),
        }
        lines = rest;
    }
}

/// Shows what a run changed, writes what it could not; whether there was any.
pub fn applied(response: &Response, format: Format, stamp: Option<String>) -> Result<bool, Failure> {
    show(response, format)?;
    match response {
        Response::SeparationApplied(applied) => report(&applied.errors, stamp),
        // A trial leaves no files behind either.
        Response::Simulated(simulated) => match simulated.outcome.as_ref() {
            Response::SeparationApplied(applied) => {
                for error in &applied.errors {
                    eprintln!("error: {} {}: {}", error.owner, error.account, error.reason);
                }
                Ok(!applied.errors.is_empty())
            }
            _ => Ok(false),
        },
        _ => Err(unexpected()),
    }
}

fn report(errors: &[SeparationError], stamp: Option<String>) -> Result<bool, Failure> {
    if errors.is_empty() {
        return Ok(false);
    }
    let rows = errors.iter().map(|error| {
        let line = if error.line == 0 { String::new() } else { error.line.to_string() };
        [error.owner.clone(), error.account.clone(), error.reason.clone(), line]
    });
    let (path, _) = create(ERRORS, stamp, &file::write_rows(rows))?;
    eprintln!("{}: {} errors", path.display(), errors.len());
    Ok(true)
}

/// A new file in the current directory, with its stamp: the one of the export that it belongs to, if that is free, else
/// the time. Nothing is overwritten.
fn create(name: &str, stamp: Option<String>, octets: &[u8]) -> Result<(PathBuf, String), Failure> {
    let mut stamp = stamp.unwrap_or_else(self::stamp);
    for _ in 0..TRIES {
        let path = PathBuf::from(format!("{name}{stamp}.txt"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                file.write_all(octets).map_err(|e| named(&path, e))?;
                return Ok((path, stamp));
            }
            // Another run in this very second: the name has no room for more.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let now = self::stamp();
                if now == stamp {
                    thread::sleep(Duration::from_millis(250));
                }
                stamp = self::stamp();
            }
            Err(error) => {
                return Err(named(&path, error).help("you must be able to create files in the current directory"));
            }
        }
    }
    Err(Failure::new(format!("{name}{stamp}.txt is there already")).help("try again in a moment"))
}

/// Hours, minutes and seconds of now: `9_05_33`.
fn stamp() -> String {
    let now = jiff::Zoned::now();
    format!("{}_{:02}_{:02}", now.hour(), now.minute(), now.second())
}

/// The stamp of an export by its name.
fn stamp_of(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_str()?;
    let stamp = name.strip_prefix(EXPORT)?;
    let parts: Vec<&str> = stamp.split('_').collect();
    let digits =
        parts.iter().all(|part| !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit()));
    (parts.len() == 3 && digits).then(|| stamp.to_owned())
}

fn line(row: &SeparationRow) -> file::Line {
    file::Line {
        owner: row.owner.clone(),
        account: row.account.clone(),
        account_name: row.account_name.clone(),
        has_delegates: row.has_delegates,
        enabled: row.enabled,
        owner_dn: row.owner_dn.clone(),
        account_sid: row.account_sid.clone(),
        access_from: row.access_from.clone(),
        missing: row.missing.clone(),
        is_delegate: row.is_delegate,
    }
}

fn import_line(number: usize, line: file::Line) -> ImportLine {
    ImportLine {
        line: u32::try_from(number).unwrap_or(u32::MAX),
        owner: line.owner,
        owner_dn: line.owner_dn,
        account: line.account,
        account_sid: line.account_sid,
    }
}
