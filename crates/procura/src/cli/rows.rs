//! Rows for programs: CSV that a spreadsheet can open without harm, JSON, and one JSON document on each line.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use admin::operations::{ChangeLine, DifferenceRow, HistoryRow, HolderRow, Response};

use super::args::Format;
use super::run::HOLDER;

/// Between the values of a list in a cell.
const LIST: &str = " | ";

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
                let cells = self.columns.iter().map(|name| row.get(name).map(cell).unwrap_or_default());
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

    /// One row about who may what; as [`Rows::row`], without a document between in CSV.
    pub fn holder(&mut self, row: &HolderRow) -> io::Result<()> {
        if self.format != Format::Csv || self.written == 0 {
            return self.row(row);
        }
        self.written += 1;
        let yes = |value: bool| if value { "true" } else { "false" };
        let index = row.ace_index.map(|index| index.to_string()).unwrap_or_default();
        let path = row.path.join(LIST);
        // In the order of HOLDER; a test compares the two ways.
        let cells: [&str; HOLDER.len()] = [
            &row.trustee,
            &row.trustee_sid,
            &row.target,
            &row.target_dn,
            &row.right,
            yes(row.deny),
            yes(row.effective),
            &row.via,
            row.inherited_from.as_deref().unwrap_or_default(),
            row.ace.as_deref().unwrap_or_default(),
            &index,
            &path,
            yes(row.needs_logon),
            yes(row.protected),
            &row.note,
        ];
        line(&mut self.out, cells.into_iter())
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
            let mut rows = Rows::new(out, format, &HOLDER);
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
        _ => document(out, format, response),
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

/// Any document as rows: those of its list, else itself.
fn document(out: impl Write, format: Format, document: &impl Serialize) -> io::Result<()> {
    let mut value = serde_json::to_value(document)?;
    let rows = match value.get_mut("rows").map(Value::take) {
        Some(Value::Array(rows)) => rows,
        _ => vec![value],
    };
    let mut columns: Vec<&str> = Vec::new();
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
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(safe(cell.as_ref()).as_bytes())?;
    }
    out.write_all(b"\r\n")
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

/// A cell that is no formula in a spreadsheet, quoted where it must be (RFC 4180).
pub fn safe(cell: &str) -> Cow<'_, str> {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) };
    if text.contains(['"', ',', ';', '\r', '\n', '\t']) || text.starts_with(' ') || text.ends_with(' ') {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        text
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
    fn a_cell_that_would_be_a_formula_is_text() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)"] {
            assert_eq!(safe(cell), format!("'{cell}"));
        }
        assert_eq!(safe("=HYPERLINK(\"x\",1)"), "\"'=HYPERLINK(\"\"x\"\",1)\"");
    }

    #[test]
    fn a_cell_with_a_separator_is_quoted() {
        assert_eq!(safe("CN=Carla Owens,OU=Staff"), "\"CN=Carla Owens,OU=Staff\"");
        assert_eq!(safe("plain"), "plain");
    }

    #[test]
    fn both_ways_to_write_a_holder_are_one() {
        let row = HolderRow {
            trustee: "EXAMPLE\\bob".into(),
            trustee_sid: "S-1-5-21-1".into(),
            target: "=ceo@example.com".into(),
            target_dn: "CN=ceo,DC=example".into(),
            right: "send-as".into(),
            deny: true,
            effective: true,
            via: "ace".into(),
            inherited_from: Some("OU=Staff".into()),
            ace: Some("(A;;CR;;;WD)".into()),
            ace_index: Some(7),
            path: vec!["a".into(), "b".into()],
            needs_logon: true,
            protected: true,
            note: "said \"so\"".into(),
        };
        let mut text = Vec::new();
        let mut rows = Rows::new(&mut text, Format::Csv, &HOLDER);
        rows.holder(&row).and_then(|()| rows.holder(&row)).and_then(|()| rows.finish()).expect("in memory");
        let text = String::from_utf8(text).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[1]), (3, lines[2]), "{text}");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let cells = ["a", "=b", "c,\"d\"", "", "e\nf", "'g"];
        let mut text = Vec::new();
        line(&mut text, cells.iter().map(|cell| (*cell).to_owned())).expect("in memory");
        let read = read_csv(std::str::from_utf8(&text).expect("UTF-8")).expect("readable");
        assert_eq!(read, vec![cells.map(str::to_owned).to_vec()]);
    }
}
