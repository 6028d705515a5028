//! `procura check-directory`: what decisions are made on, held against what is stored, with a progress bar.

use std::io;
use std::process::ExitCode;

use admin::Endpoint;
use admin::operations::{self as op, Request, Response};
use indicatif::{ProgressBar, ProgressStyle};

use super::args::{Format, Global};
use super::fault::Failure;
use super::output;
use super::rows::Rows;
use super::run::{broken, unexpected};

pub const HELP: &str = "Effective descriptors, tokens, indexes, links and the configuration are worked out once more \
from the stored records and compared with what the running server holds. Nothing is changed; it can be interrupted at \
any time, and mail goes on meanwhile.\n\nExit code: 0 all is as it should be, 1 there are differences, 2 it could not \
be done.\n\nExamples:\n  procura check-directory\n  procura check-directory --format jsonl > differences.jsonl";

const COLUMNS: [&str; 4] = ["object", "what", "computed", "held"];

/// Compares everything, and shows the differences as they are found.
pub fn run(endpoint: &mut Endpoint, global: &Global) -> Result<ExitCode, Failure> {
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {eta}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("checking");
    let mut rows = match global.format {
        Format::Table => None,
        format => Some(Rows::new(io::BufWriter::new(io::stdout().lock()), format, &COLUMNS)),
    };
    let (mut at, mut found, mut checked) = (None, Vec::new(), 0);
    let mut differences = 0_u64;
    loop {
        let Response::Verified(page) = endpoint.call("", Request::Verify(op::Verify { at }))? else {
            return Err(unexpected());
        };
        bar.set_length(page.of);
        bar.inc(page.done);
        checked += page.done;
        differences += page.rows.len() as u64;
        match &mut rows {
            Some(rows) => page.rows.iter().try_for_each(|row| rows.row(row)).map_err(broken)?,
            None => found.extend(page.rows),
        }
        at = page.next;
        if at.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    match rows {
        Some(rows) => rows.finish().map_err(broken)?,
        None if differences == 0 => println!("{checked} records and steps checked: all is as it should be"),
        None => {
            let lines = found.into_iter().map(|row| vec![row.object, row.what, row.computed, row.held]);
            print!("{}", output::table(&COLUMNS, lines));
        }
    }
    if differences > 0 {
        eprintln!("{differences} differences; restarting the server works everything out from the stored records");
    }
    Ok(ExitCode::from(u8::from(differences > 0)))
}
