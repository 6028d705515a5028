//! Reports: rows that the service writes as text, passed on as they come.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use admin::operations::{HolderRow, Request, Response, TextFormat};
use admin::{AdminError, Endpoint};

use super::args::{Format, Global};
use super::fault::Failure;
use super::run::{broken, show, spinner};

/// What tells a spreadsheet that a file is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Shows a report on standard output. A table waits for all rows, to know how wide its columns are.
pub fn show_report(endpoint: &mut Endpoint, global: &Global, request: Request) -> Result<(), Failure> {
    let format = match global.format {
        Format::Table => return show(&Response::Holders(rows(endpoint, request)?.into()), Format::Table),
        Format::Csv => TextFormat::Csv,
        Format::Json => TextFormat::Json,
        Format::Jsonl => TextFormat::Jsonl,
    };
    let mut out = stdout(global.format).map_err(broken)?;
    written(endpoint, request, format, |text| out.write_all(text))?;
    out.flush().map_err(broken)
}

/// All rows of a report.
pub fn rows(endpoint: &mut Endpoint, request: Request) -> Result<Vec<HolderRow>, Failure> {
    let mut rows = Vec::new();
    written(endpoint, request, TextFormat::Jsonl, |text| {
        let documents = serde_json::Deserializer::from_slice(text).into_iter();
        documents.into_iter().try_for_each(|row| {
            rows.push(row?);
            Ok(())
        })
    })?;
    Ok(rows)
}

fn written(
    endpoint: &mut Endpoint,
    request: Request,
    format: TextFormat,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Failure> {
    let bar = spinner("{spinner} {pos} rows, {per_sec}, {elapsed}");
    let written = endpoint.write(request, format, &mut |text, rows| {
        bar.set_position(rows);
        take(text)
    });
    bar.finish_and_clear();
    written.map(|_| ()).map_err(AdminError::into)
}

/// Standard output without a buffer that looks for line ends. CSV that goes into a file begins with a byte order mark,
/// by which spreadsheets know UTF-8; in a pipe it would stand in the way of programs.
pub fn stdout(format: Format) -> io::Result<File> {
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    if format == Format::Csv && out.metadata()?.is_file() {
        out.write_all(BYTE_ORDER_MARK)?;
    }
    Ok(out)
}
