//! Rows about who may what as text: CSV that a spreadsheet opens without harm, JSON, one JSON document on each line.
//!
//! Reports write millions of rows. Most of them differ in their target only, so a row is put together of pieces:
//! who · on whom · why · the end; the first and the third are kept for owners that have them in common.

use std::borrow::Cow;
use std::io;

use directory::ObjectId;
use serde::{Deserialize, Serialize};

use crate::documents::HolderRow;

/// Columns in CSV, and names in JSON, in this order.
pub const COLUMNS: [&str; 15] = [
    "trustee",
    "trustee_sid",
    "target",
    "target_dn",
    "right",
    "deny",
    "effective",
    "via",
    "inherited_from",
    "ace",
    "ace_index",
    "path",
    "needs_logon",
    "protected",
    "note",
];

/// Between the values of a list in a cell of CSV.
pub const LIST: &str = " | ";

/// Octets that are handed on at once.
const PIECE: usize = 1 << 20;

/// Formats of rows for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextFormat {
    /// Comma-separated values (RFC 4180), safe in a spreadsheet.
    Csv,
    /// One document: `{"rows": […]}`.
    Json,
    /// One document on each line.
    Jsonl,
}

/// Takes text piece by piece: the octets, and how many rows have ended by then.
pub type Taker<'a> = dyn FnMut(&[u8], u64) -> io::Result<()> + 'a;

/// Writes rows as they come.
pub struct Sheet<'a> {
    format: TextFormat,
    buffer: Vec<u8>,
    rows: u64,
    take: &'a mut Taker<'a>,
}

impl<'a> Sheet<'a> {
    /// A sheet without rows, which hands its text on to `take`.
    pub fn new(format: TextFormat, take: &'a mut Taker<'a>) -> Sheet<'a> {
        let mut sheet = Sheet { format, buffer: Vec::with_capacity(PIECE + (64 << 10)), rows: 0, take };
        match format {
            TextFormat::Csv => csv_line(&mut sheet.buffer, COLUMNS.iter()),
            TextFormat::Json => sheet.buffer.extend(b"{\"rows\":[\n"),
            TextFormat::Jsonl => {}
        }
        sheet
    }

    /// The format.
    pub fn format(&self) -> TextFormat {
        self.format
    }

    /// One row.
    pub fn row(&mut self, row: &HolderRow) -> io::Result<()> {
        self.between();
        who(self.format, &mut self.buffer, row);
        on(self.format, &mut self.buffer, row);
        why(self.format, &mut self.buffer, row);
        end(self.format, &mut self.buffer, row.protected, &row.note);
        self.count()
    }

    /// Rows that the target has in common with others, but for its own.
    pub(crate) fn block(&mut self, block: &Block, target: ObjectId, about: &HolderRow) -> io::Result<()> {
        let mut on_whom = Vec::with_capacity(256);
        on(self.format, &mut on_whom, about);
        let mut ending = Vec::with_capacity(64);
        end(self.format, &mut ending, about.protected, "");
        let own = block.own(target);
        let mut from = 0;
        for (number, cut) in block.cuts.iter().enumerate() {
            let (middle, to) = *cut;
            if own != Some(number) {
                self.between();
                self.buffer.extend_from_slice(&block.text[from..middle]);
                self.buffer.extend_from_slice(&on_whom);
                self.buffer.extend_from_slice(&block.text[middle..to]);
                self.buffer.extend_from_slice(&ending);
                self.count()?;
            }
            from = to;
        }
        Ok(())
    }

    /// The end of the document; the number of rows.
    pub fn finish(mut self) -> io::Result<u64> {
        if self.format == TextFormat::Json {
            self.buffer.extend(if self.rows == 0 { b"]}\n".as_slice() } else { b"\n]}\n" });
        }
        (self.take)(&self.buffer, self.rows)?;
        Ok(self.rows)
    }

    fn between(&mut self) {
        if self.format == TextFormat::Json && self.rows > 0 {
            self.buffer.extend(b",\n");
        }
    }

    fn count(&mut self) -> io::Result<()> {
        self.rows += 1;
        if self.buffer.len() >= PIECE {
            (self.take)(&self.buffer, self.rows)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// Rows that targets have in common, without what differs.
pub(crate) struct Block {
    text: Vec<u8>,
    /// Of each row: where on whom it is goes, and where the row ends.
    cuts: Vec<(usize, usize)>,
    /// The accounts of the rows in ascending order, where rows are about accounts.
    accounts: Vec<ObjectId>,
}

impl Block {
    /// Of rows; `accounts`: whom each row is about, ascending, or nothing.
    pub fn new(format: TextFormat, rows: impl Iterator<Item = HolderRow>, accounts: Vec<ObjectId>) -> Block {
        let mut block = Block { text: Vec::new(), cuts: Vec::new(), accounts };
        for row in rows {
            who(format, &mut block.text, &row);
            let middle = block.text.len();
            why(format, &mut block.text, &row);
            block.cuts.push((middle, block.text.len()));
        }
        block
    }

    /// Octets in memory.
    pub fn size(&self) -> usize {
        self.text.capacity() + 16 * self.cuts.capacity() + 4 * self.accounts.capacity()
    }

    fn own(&self, target: ObjectId) -> Option<usize> {
        self.accounts.binary_search(&target).ok()
    }
}

fn who(format: TextFormat, out: &mut Vec<u8>, row: &HolderRow) {
    match format {
        TextFormat::Csv => {
            cell(out, &row.trustee);
            cell(out, &row.trustee_sid);
        }
        TextFormat::Json | TextFormat::Jsonl => {
            member(out, b"{\"trustee\":", &row.trustee);
            member(out, b",\"trustee_sid\":", &row.trustee_sid);
        }
    }
}

fn on(format: TextFormat, out: &mut Vec<u8>, row: &HolderRow) {
    match format {
        TextFormat::Csv => {
            cell(out, &row.target);
            cell(out, &row.target_dn);
        }
        TextFormat::Json | TextFormat::Jsonl => {
            member(out, b",\"target\":", &row.target);
            member(out, b",\"target_dn\":", &row.target_dn);
        }
    }
}

fn why(format: TextFormat, out: &mut Vec<u8>, row: &HolderRow) {
    let index = row.ace_index.map(|index| index.to_string());
    match format {
        TextFormat::Csv => {
            cell(out, &row.right);
            cell(out, truth(row.deny));
            cell(out, truth(row.effective));
            cell(out, &row.via);
            cell(out, row.inherited_from.as_deref().unwrap_or_default());
            cell(out, row.ace.as_deref().unwrap_or_default());
            cell(out, index.as_deref().unwrap_or_default());
            cell(out, &row.path.join(LIST));
            cell(out, truth(row.needs_logon));
        }
        TextFormat::Json | TextFormat::Jsonl => {
            member(out, b",\"right\":", &row.right);
            plain(out, b",\"deny\":", truth(row.deny));
            plain(out, b",\"effective\":", truth(row.effective));
            member(out, b",\"via\":", &row.via);
            if let Some(from) = &row.inherited_from {
                member(out, b",\"inherited_from\":", from);
            }
            if let Some(ace) = &row.ace {
                member(out, b",\"ace\":", ace);
            }
            if let Some(index) = &index {
                plain(out, b",\"ace_index\":", index);
            }
            for (number, name) in row.path.iter().enumerate() {
                member(out, if number == 0 { b",\"path\":[" } else { b"," }, name);
            }
            if !row.path.is_empty() {
                out.push(b']');
            }
            plain(out, b",\"needs_logon\":", truth(row.needs_logon));
        }
    }
}

fn end(format: TextFormat, out: &mut Vec<u8>, protected: bool, note: &str) {
    match format {
        TextFormat::Csv => {
            cell(out, truth(protected));
            out.extend_from_slice(csv_cell(note).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        TextFormat::Json | TextFormat::Jsonl => {
            plain(out, b",\"protected\":", truth(protected));
            if !note.is_empty() {
                member(out, b",\"note\":", note);
            }
            out.push(b'}');
            if format == TextFormat::Jsonl {
                out.push(b'\n');
            }
        }
    }
}

fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// A cell and the comma behind it.
fn cell(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(csv_cell(text).as_bytes());
    out.push(b',');
}

fn member(out: &mut Vec<u8>, name: &[u8], text: &str) {
    out.extend_from_slice(name);
    // Writing text to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

fn plain(out: &mut Vec<u8>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    out.extend_from_slice(value.as_bytes());
}

/// One line of CSV.
pub fn csv_line<T: AsRef<str>>(out: &mut Vec<u8>, cells: impl Iterator<Item = T>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(csv_cell(cell.as_ref()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// A cell that is no formula in a spreadsheet (an apostrophe before `=`, `+`, `-`, `@`, tab and carriage return), quoted
/// where it must be (RFC 4180) and where spreadsheets of other countries separate cells by semicolons or tabs.
pub fn csv_cell(cell: &str) -> Cow<'_, str> {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) };
    let octets = text.as_bytes();
    let must = octets.iter().any(|octet| matches!(octet, b'"' | b',' | b';' | b'\r' | b'\n' | b'\t'))
        || octets.first() == Some(&b' ')
        || octets.last() == Some(&b' ');
    if must { Cow::Owned(format!("\"{}\"", text.replace('"', "\"\""))) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> HolderRow {
        HolderRow {
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
            path: vec!["a".into(), "b\"c".into()],
            needs_logon: true,
            protected: true,
            note: "said \"so\"".into(),
        }
    }

    fn written(format: TextFormat, fill: impl FnOnce(&mut Sheet<'_>)) -> String {
        let mut text = Vec::new();
        let mut take = |octets: &[u8], _: u64| {
            text.extend_from_slice(octets);
            Ok(())
        };
        let mut sheet = Sheet::new(format, &mut take);
        fill(&mut sheet);
        sheet.finish().unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn json_is_what_serde_writes() {
        for row in [row(), HolderRow::default()] {
            let text = written(TextFormat::Jsonl, |sheet| sheet.row(&row).unwrap());
            assert_eq!(text, serde_json::to_string(&row).unwrap() + "\n");
        }
    }

    #[test]
    fn a_document_of_no_rows_and_one_of_two_are_json() {
        let none = written(TextFormat::Json, |_| {});
        let two = written(TextFormat::Json, |sheet| [row(), row()].iter().for_each(|row| sheet.row(row).unwrap()));
        let rows =
            |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["rows"].as_array().unwrap().len();
        assert_eq!((rows(&none), rows(&two)), (0, 2));
    }

    #[test]
    fn a_line_of_csv_has_a_cell_for_each_column() {
        let text = written(TextFormat::Csv, |sheet| sheet.row(&row()).unwrap());
        let line = "EXAMPLE\\bob,S-1-5-21-1,'=ceo@example.com,\"CN=ceo,DC=example\",send-as,true,true,ace,OU=Staff,\
                    \"(A;;CR;;;WD)\",7,\"a | b\"\"c\",true,true,\"said \"\"so\"\"\"\r\n";
        assert_eq!(text, format!("{}\r\n{line}", COLUMNS.join(",")));
    }

    #[test]
    fn a_block_is_its_rows_about_another_target_without_the_targets_own() {
        let about = HolderRow { target: "x".into(), target_dn: "CN=x".into(), ..HolderRow::default() };
        let kept = HolderRow { note: String::new(), ..row() };
        for format in [TextFormat::Csv, TextFormat::Json, TextFormat::Jsonl] {
            let rows = || [kept.clone(), kept.clone(), kept.clone()].into_iter();
            let block = Block::new(format, rows(), vec![ObjectId(3), ObjectId(5), ObjectId(9)]);
            let text = written(format, |sheet| sheet.block(&block, ObjectId(5), &about).unwrap());
            let told = HolderRow { protected: false, target: "x".into(), target_dn: "CN=x".into(), ..kept.clone() };
            assert_eq!(text, written(format, |sheet| [&told, &told].iter().for_each(|row| sheet.row(row).unwrap())));
        }
    }

    #[test]
    fn a_cell_that_would_be_a_formula_is_text() {
        for cell in ["=1+1", "+1", "-1", "@SUM(A1)"] {
            assert_eq!(csv_cell(cell), format!("'{cell}"));
        }
        assert_eq!(csv_cell("\t=1"), "\"'\t=1\"");
        assert_eq!(csv_cell("=HYPERLINK(\"x\",1)"), "\"'=HYPERLINK(\"\"x\"\",1)\"");
    }

    #[test]
    fn a_cell_with_a_separator_is_quoted() {
        assert_eq!(csv_cell("CN=Carla Owens,OU=Staff"), "\"CN=Carla Owens,OU=Staff\"");
        assert_eq!(csv_cell("plain"), "plain");
    }
}
