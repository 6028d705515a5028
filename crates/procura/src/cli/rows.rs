//! Rows for programs: CSV that a spreadsheet can open without harm, JSON, and one JSON document on each line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use admin::operations::{ChangeLine, DifferenceRow, HistoryRow, Response};
use admin::sheet::{COLUMNS, LIST, csv_line};

use super::args::Format;
use super::output::iso;

/// Writes rows as they come.
pub struct Rows<W: Write> {
    out: W,
    format: Format,
    columns: Vec<String>,
    written: u64,
}

impl<W: Write> Rows<W> {
    /// For a format of programs. CSV has these columns, in this order.
    pub fn new(out: W, format: Format, columns: &[&str]) -> Rows<W> {
        Rows { out, format, columns: columns.iter().map(|name| (*name).to_owned()).collect(), written: 0 }
    }

    /// One row.
    pub fn row(&mut self, row: &impl Serialize) -> io::Result<()> {
        match self.format {
            Format::Jsonl => {
                serde_json::to_writer(&mut self.out, row)?;
                self.out.write_all(b"\n")?;
            }
            Format::Csv => {
                if self.written == 0 {
                    let heads = self.columns.clone();
                    line(&mut self.out, heads.iter().cloned())?;
                }
                let row = serde_json::to_value(row)?;
                let cells = self.columns.iter().map(|name| match row.get(name) {
                    // A person reads this one; programs have milliseconds in JSON.
                    Some(Value::Number(time)) if *name == "time" => time.as_i64().map(iso).unwrap_or_default(),
                    value => value.map(cell).unwrap_or_default(),
                });
                line(&mut self.out, cells)?;
            }
            Format::Json | Format::Table => {
                self.out.write_all(if self.written == 0 { b"{\"rows\":[\n" } else { b",\n" })?;
                serde_json::to_writer(&mut self.out, row)?;
            }
        }
        self.written += 1;
        Ok(())
    }

    /// The end: what a document needs to be whole.
    pub fn finish(mut self) -> io::Result<()> {
        match (self.format, self.written) {
            (Format::Json | Format::Table, 0) => self.out.write_all(b"{\"rows\":[]}\n")?,
            (Format::Json | Format::Table, _) => self.out.write_all(b"\n]}\n")?,
            (Format::Csv, 0) => {
                let heads = self.columns.clone();
                line(&mut self.out, heads.into_iter())?;
            }
            _ => {}
        }
        self.out.flush()
    }
}

/// An answer as rows.
pub fn response(out: impl Write, format: Format, response: &Response) -> io::Result<()> {
    match (response, format) {
        (Response::Holders(page), _) => {
            let mut rows = Rows::new(out, format, &COLUMNS);
            page.rows.iter().try_for_each(|row| rows.row(row))?;
            rows.finish()
        }
        (Response::Simulated(simulated), _) => {
            let mut rows = Rows::new(out, format, &DIFFERENCE);
            let sides = [("gains", &simulated.gained), ("loses", &simulated.lost)];
            for (change, side) in sides {
                side.iter().try_for_each(|row| rows.row(&Difference { change, row }))?;
            }
            rows.finish()
        }
        (Response::History(page), Format::Csv) => {
            let mut rows = Rows::new(out, format, &HISTORY);
            for version in &page.rows {
                version.changes.iter().try_for_each(|change| rows.row(&Changed { version, change }))?;
            }
            rows.finish()
        }
        _ => document(out, format, response, super::columns::of(response)),
    }
}

const DIFFERENCE: [&str; 7] = ["change", "trustee", "trustee_sid", "target", "right", "via", "needs_logon"];
const HISTORY: [&str; 9] = ["version", "time", "author", "comment", "object", "what", "attribute", "removed", "added"];

#[derive(Serialize)]
struct Difference<'a> {
    change: &'static str,
    #[serde(flatten)]
    row: &'a DifferenceRow,
}

#[derive(Serialize)]
struct Changed<'a> {
    #[serde(flatten)]
    version: &'a HistoryRow,
    #[serde(flatten)]
    change: &'a ChangeLine,
}

/// Any document as rows: those of its list, else itself. The columns that are known come first.
fn document(out: impl Write, format: Format, document: &impl Serialize, known: Vec<&str>) -> io::Result<()> {
    let mut value = serde_json::to_value(document)?;
    let rows = match value.get_mut("rows").map(Value::take) {
        Some(Value::Array(rows)) => rows,
        _ => vec![value],
    };
    let mut columns = known;
    for row in rows.iter().filter_map(Value::as_object) {
        for name in row.keys().filter(|name| *name != "result") {
            if !columns.contains(&name.as_str()) {
                columns.push(name);
            }
        }
    }
    let mut written = Rows::new(out, format, &columns);
    for row in &rows {
        written.row(row)?;
    }
    written.finish()
}

fn line<T: AsRef<str>>(out: &mut impl Write, cells: impl Iterator<Item = T>) -> io::Result<()> {
    let mut text = Vec::new();
    csv_line(&mut text, cells);
    out.write_all(&text)
}

/// A value in a cell; lists by ` | `.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(LIST),
        other => other.to_string(),
    }
}

/// Reads CSV as [`Rows`] writes it: the cells of each line, the apostrophes before formulas taken away.
///
/// # Errors
/// A quoted cell that does not end.
pub fn read_csv(text: &str) -> Result<Vec<Vec<String>>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rows = vec![Vec::new()];
    let mut rest = text;
    while !rest.is_empty() {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_cell(quoted)?,
            None => {
                let end = rest.find([',', '\r', '\n']).unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        let plain = match cell.strip_prefix('\'') {
            Some(formula) if formula.starts_with(['=', '+', '-', '@', '\t', '\r']) => formula.to_owned(),
            _ => cell,
        };
        if let Some(row) = rows.last_mut() {
            row.push(plain);
        }
        rest = after;
        if let Some(after) = rest.strip_prefix(',') {
            rest = after;
            // A comma at the end of a line is followed by an empty cell.
            if rest.is_empty() || rest.starts_with(['\r', '\n']) {
                rows.last_mut().into_iter().for_each(|row| row.push(String::new()));
            }
        }
        if let Some(after) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')) {
            rest = after;
            rows.push(Vec::new());
        }
    }
    rows.retain(|row| !row.is_empty() && row.iter().any(|cell| !cell.is_empty()));
    Ok(rows)
}

fn quoted_cell(text: &str) -> Result<(String, &str), String> {
    let mut cell = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"').ok_or("a quoted cell does not end")?;
        cell.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                cell.push('"');
                rest = after;
            }
            None => return Ok((cell, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let cells = ["a", "=b", "c,\"d\"", "", "e\nf", "'g"];
        let mut text = Vec::new();
        line(&mut text, cells.iter().map(|cell| (*cell).to_owned())).expect("in memory");
        let read = read_csv(std::str::from_utf8(&text).expect("UTF-8")).expect("readable");
        assert_eq!(read, vec![cells.map(str::to_owned).to_vec()]);
    }
}
