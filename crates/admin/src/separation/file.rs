//! The file of the separation audit: what is exported for review, edited in Excel or with Find.exe, and imported again
//! (S0, "Editing the export file"; `authorization.md` §7).
//!
//! UTF-16LE with a byte order mark, lines ended by CRLF, fields separated by tabs, each value in triple double quotes.
//! Excel shows those as single ones and writes triple ones again; other programs leave single ones, or none. All three
//! are read.

use std::fmt::Write;

use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use thiserror::Error;

/// One line: an account with Full Mailbox Access and without Send As. The first five fields are those of S0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Display name of the mailbox owner.
    pub owner: String,
    /// `DOMAIN\logon name` of the account.
    pub account: String,
    /// Display name of the account.
    pub account_name: String,
    /// Whether the owner has delegates: `Has Delegates` or `No Delegates`.
    pub has_delegates: bool,
    /// Whether the owner is `Enabled` or `Disabled`.
    pub enabled: bool,
    /// Distinguished name of the owner.
    pub owner_dn: String,
    /// SID of the account.
    pub account_sid: String,
    /// Where the Full Mailbox Access comes from.
    pub access_from: String,
    /// Why there is no Send As.
    pub missing: String,
    /// Whether the account is a delegate of the owner: `Delegate` or `Not a Delegate`.
    pub is_delegate: bool,
}

/// The file as octets.
pub fn write<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Vec<u8> {
    let mut octets = vec![0xFF, 0xFE];
    let mut text = String::new();
    for line in lines {
        text.clear();
        line.write(&mut text);
        octets.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    }
    octets
}

/// Rows of other values as octets, in the same form: the errors of a run.
pub fn write_rows<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> Vec<u8> {
    let mut octets = vec![0xFF, 0xFE];
    let mut text = String::new();
    for row in rows {
        text.clear();
        write_fields(row.iter().map(String::as_str), &mut text);
        octets.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    }
    octets
}

fn write_fields<'a>(fields: impl Iterator<Item = &'a str>, text: &mut String) {
    for (index, field) in fields.enumerate() {
        let separator = if index == 0 { "" } else { "\t" };
        let value = field.replace(['\t', '\r', '\n'], " ").replace('"', "\"\"\"\"");
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}\"\"\"{value}\"\"\"");
    }
    text.push_str("\r\n");
}

impl Line {
    fn write(&self, text: &mut String) {
        let choose = |yes: bool, [if_yes, if_no]: [&'static str; 2]| if yes { if_yes } else { if_no };
        let fields = [
            self.owner.as_str(),
            &self.account,
            &self.account_name,
            choose(self.has_delegates, DELEGATES),
            choose(self.enabled, ENABLED),
            &self.owner_dn,
            &self.account_sid,
            &self.access_from,
            &self.missing,
            choose(self.is_delegate, IS_DELEGATE),
        ];
        write_fields(fields.into_iter(), text);
    }
}

const DELEGATES: [&str; 2] = ["Has Delegates", "No Delegates"];
const ENABLED: [&str; 2] = ["Enabled", "Disabled"];
const IS_DELEGATE: [&str; 2] = ["Delegate", "Not a Delegate"];

/// A file that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Its lines, with their number in the file, from 1.
    pub lines: Vec<(usize, Line)>,
    /// What the reader should know.
    pub warnings: Vec<Warning>,
}

/// Something odd about a file that can still be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Warning {
    /// The file was saved in the code page of a computer, and characters were lost on the way.
    #[error(
        "line {line}: the file was saved as ANSI, and characters were lost (“{value}”); save it as Unicode text, or the account may not be found"
    )]
    LostCharacters {
        /// Number of the line, from 1.
        line: usize,
        /// The value that they are missing from.
        value: String,
    },
    /// The file was saved in the code page of a computer; it was read as Windows-1252.
    #[error("the file was saved as ANSI; it was read as Windows-1252")]
    Ansi,
    /// Find.exe put its header lines in.
    #[error("line {line}: a header line of Find.exe was passed over")]
    FindHeader {
        /// Number of the line, from 1.
        line: usize,
    },
    /// Findstr.exe put the name of the file before the line.
    #[error("line {line}: the file name “{name}” before the line was passed over")]
    FindstrPrefix {
        /// Number of the line, from 1.
        line: usize,
        /// The name.
        name: String,
    },
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// A line that is not one of an export.
    #[error("line {line}: {reason}")]
    BadLine {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// Reads an export, also after Excel, Notepad, Find.exe or Findstr.exe.
///
/// # Errors
/// The first line that is none, by its number. Nothing is guessed.
pub fn read(octets: &[u8]) -> Result<Read, ReadError> {
    let mut read = Read::default();
    let (text, ansi) = decode(octets);
    if ansi {
        read.warnings.push(Warning::Ansi);
    }
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() {
            continue;
        }
        if line.starts_with("---------- ") && !line.contains('\t') {
            read.warnings.push(Warning::FindHeader { line: number });
            continue;
        }
        let (prefix, line) = without_prefix(line);
        if let Some(name) = prefix {
            read.warnings.push(Warning::FindstrPrefix { line: number, name: name.to_owned() });
        }
        let fields = fields(line).map_err(|reason| ReadError::BadLine { line: number, reason })?;
        if ansi && let Some(value) = fields.iter().find(|value| value.contains('?')) {
            read.warnings.push(Warning::LostCharacters { line: number, value: value.clone() });
        }
        read.lines.push((number, parse(fields).map_err(|reason| ReadError::BadLine { line: number, reason })?));
    }
    Ok(read)
}

/// The text, and whether it was in no Unicode encoding.
fn decode(octets: &[u8]) -> (String, bool) {
    for (mark, encoding) in [(&b"\xFF\xFE"[..], UTF_16LE), (&b"\xFE\xFF"[..], UTF_16BE), (&b"\xEF\xBB\xBF"[..], UTF_8)]
    {
        if let Some(rest) = octets.strip_prefix(mark) {
            return (encoding.decode_without_bom_handling(rest).0.into_owned(), false);
        }
    }
    match std::str::from_utf8(octets) {
        // Plain ASCII says nothing about what wrote it: it may have been ANSI, and every other letter a question mark.
        Ok(text) => (text.to_owned(), text.is_ascii() && text.contains('?')),
        Err(_) => (WINDOWS_1252.decode_without_bom_handling(octets).0.into_owned(), true),
    }
}

/// Findstr.exe with wildcards writes `file:line`. A line of ours begins with a quote, or with a name followed by a tab.
fn without_prefix(line: &str) -> (Option<&str>, &str) {
    let first = line.split('\t').next().unwrap_or(line);
    match first.find(":\"") {
        Some(at) if !line.starts_with('"') => (Some(&line[..at]), &line[at + 1..]),
        _ => (None, line),
    }
}

/// The values of a line: fields as in a tab-separated file of Excel, then one pair of quotes of our own.
fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = field(rest)?;
        fields.push(unquote(&field).to_owned());
        match after.strip_prefix('\t') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(format!("after a quoted value a tab is due, not “{after}”")),
        }
    }
}

fn field(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find('\t').unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let end = rest.find('"').ok_or("a quoted value does not end")?;
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                value.push('"');
                rest = after;
            }
            None => return Ok((value, rest)),
        }
    }
}

fn unquote(field: &str) -> String {
    match field.strip_prefix('"').and_then(|field| field.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => field.to_owned(),
    }
}

fn parse(fields: Vec<String>) -> Result<Line, String> {
    let count = fields.len();
    if count < 5 {
        return Err(format!("{count} fields; an export has at least 5, separated by tabs"));
    }
    let mut fields = fields.into_iter();
    let mut next = || fields.next().unwrap_or_default();
    Ok(Line {
        owner: next(),
        account: next(),
        account_name: next(),
        has_delegates: choice(&next(), DELEGATES)?,
        enabled: choice(&next(), ENABLED)?,
        owner_dn: next(),
        account_sid: next(),
        access_from: next(),
        missing: next(),
        is_delegate: match next() {
            absent if absent.is_empty() => false,
            value => choice(&value, IS_DELEGATE)?,
        },
    })
}

fn choice(value: &str, [yes, no]: [&str; 2]) -> Result<bool, String> {
    match value.trim() {
        value if value.eq_ignore_ascii_case(yes) => Ok(true),
        value if value.eq_ignore_ascii_case(no) => Ok(false),
        value => Err(format!("“{value}” where “{yes}” or “{no}” is due")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            owner: "Mailbox Owner".into(),
            account: "DOMAIN\\NoSendAs".into(),
            account_name: "No Send As User".into(),
            has_delegates: true,
            enabled: true,
            owner_dn: "CN=Mailbox Owner,DC=example,DC=com".into(),
            account_sid: "S-1-5-21-1-2-3-1105".into(),
            access_from: "explicit".into(),
            missing: "no entry".into(),
            is_delegate: false,
        }
    }

    fn text(line: &Line) -> String {
        let octets = write([line]);
        String::from_utf16(
            &octets[2..].chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect::<Vec<_>>(),
        )
        .expect("UTF-16")
    }

    #[test]
    fn a_line_begins_as_the_sample_of_s0() {
        let sample = "\"\"\"Mailbox Owner\"\"\"\t\"\"\"DOMAIN\\NoSendAs\"\"\"\t\"\"\"No Send As User\"\"\"\t\"\"\"Has Delegates\"\"\"\t\"\"\"Enabled\"\"\"\t";
        assert!(text(&line()).starts_with(sample), "{}", text(&line()));
        assert!(text(&line()).ends_with("\r\n"));
        assert_eq!(&write([&line()])[..2], [0xFF, 0xFE], "byte order mark of UTF-16LE");
    }

    #[test]
    fn an_own_export_is_read_back_as_it_was() {
        let odd = Line { owner: "Åsa \"the boss\" Öberg, 林".into(), ..line() };
        let read = read(&write([&line(), &odd])).expect("an own export");
        assert_eq!(read.lines, vec![(1, line()), (2, odd)]);
        assert_eq!(read.warnings, vec![]);
    }

    #[test]
    fn single_quotes_and_none_are_read_as_triple_ones() {
        let triple = text(&line());
        for other in [triple.replace("\"\"\"", "\""), triple.replace('"', "")] {
            assert_eq!(read(other.as_bytes()).expect("readable").lines, vec![(1, line())], "{other}");
        }
    }

    #[test]
    fn ansi_with_lost_characters_is_warned_about() {
        let lost = text(&line()).replace("Mailbox Owner", "Mailbox ?wner");
        let read = read(lost.as_bytes()).expect("readable");
        assert!(read.warnings.iter().any(|w| matches!(w, Warning::LostCharacters { line: 1, .. })), "{read:?}");
        let ansi: Vec<u8> = text(&line()).replace("Owner", "\u{d6}wner").chars().map(|c| c as u8).collect();
        let read = super::read(&ansi).expect("readable");
        assert_eq!(read.lines[0].1.owner, "Mailbox Öwner");
        assert_eq!(read.warnings, vec![Warning::Ansi]);
    }

    #[test]
    fn headers_of_find_and_prefixes_of_findstr_are_passed_over() {
        let found = format!("\r\n---------- ORIGINALFILE.TXT\r\nsend_as_export_9_05_33.txt:{}", text(&line()));
        let read = read(found.as_bytes()).expect("readable");
        assert_eq!(read.lines, vec![(3, line())]);
        assert_eq!(
            read.warnings,
            vec![
                Warning::FindHeader { line: 2 },
                Warning::FindstrPrefix { line: 3, name: "send_as_export_9_05_33.txt".into() }
            ]
        );
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let bad = format!("{}Mailbox Owner\tx\r\n", text(&line()));
        let error = read(bad.as_bytes()).expect_err("two fields");
        assert_eq!(error.to_string(), "line 2: 2 fields; an export has at least 5, separated by tabs");
        let bad = text(&line()).replace("Has Delegates", "Perhaps");
        let error = read(bad.as_bytes()).expect_err("no such word");
        assert_eq!(error.to_string(), "line 1: “Perhaps” where “Has Delegates” or “No Delegates” is due");
    }

    proptest::proptest! {
        #[test]
        fn no_octets_make_it_panic(octets: Vec<u8>) {
            let _ = read(&octets);
        }

        #[test]
        fn whatever_is_written_is_read(owner in "[^\t\r\n\u{0}]{0,12}", account in "[a-zA-Z\\\\\"]{0,9}") {
            let line = Line { owner, account, ..line() };
            let read = read(&write([&line])).expect("an own export");
            proptest::prop_assert_eq!(read.lines, vec![(1, line)]);
        }
    }
}
