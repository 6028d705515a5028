//! LDIF (RFC 2849): reader and writer.
//!
//! Read strictly, with these liberties that real files need: lines may end in LF, attribute values may hold UTF-8
//! without base64, the version line may be missing. URLs (`:<`) are refused: the directory opens no files.

mod write;

use std::io;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::Value;

pub use write::{write, write_entries};

/// Why a text is not LDIF.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {message}")]
pub struct LdifError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// One record of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Line of its `dn:`, from 1.
    pub line: usize,
    /// The DN as written.
    pub dn: String,
    /// What is to happen.
    pub change: EntryChange,
}

/// What a record asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryChange {
    /// The object as it is, or `changetype: add`. Attribute descriptions as written, in the order of the file.
    Add(Vec<(String, Value)>),
    /// `changetype: modify`
    Modify(Vec<Modification>),
    /// `changetype: delete`
    Delete,
    /// `changetype: modrdn` or `moddn`
    Rename {
        /// New RDN.
        rdn: String,
        /// The old RDN's value goes.
        delete_old: bool,
        /// New parent, if it moves.
        parent: Option<String>,
    },
}

/// One part of a `modify`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modification {
    /// What to do.
    pub operation: Operation,
    /// To which attribute.
    pub attribute: String,
    /// With which values.
    pub values: Vec<Value>,
}

/// What a modification does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `add`
    Add,
    /// `delete`; no values: all of them.
    Delete,
    /// `replace`
    Replace,
}

/// A file that is read piece by piece, more than once: it may be larger than memory.
pub trait Dump {
    /// Reads octets from `offset` on into `buffer`; how many there were, 0 at the end only.
    ///
    /// # Errors
    /// What the file's medium says.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Dump for &[u8] {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let length = left.len().min(buffer.len());
        buffer[..length].copy_from_slice(&left[..length]);
        Ok(length)
    }
}

/// Why a dump was not read.
#[derive(Debug, Error)]
pub enum DumpError {
    /// It is not LDIF.
    #[error(transparent)]
    Ldif(#[from] LdifError),
    /// It cannot be read, or what becomes of it cannot be kept.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a file.
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, LdifError> {
    let mut entries = Vec::new();
    let mut bytes = bytes;
    let mut texts = Texts::of(&mut bytes);
    // Memory can always be read.
    while let Ok(Some(place)) = texts.next() {
        entries.extend(place.entry(texts.bytes())?);
    }
    Ok(entries)
}

/// Where a record of a file lies. A large file is read record by record, since all of them together would take several
/// times the memory of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Line of its beginning, from 1.
    number: usize,
    /// May begin with the version line.
    is_first: bool,
    offset: u64,
    length: usize,
}

impl Place {
    /// Reads a record from its octets; nothing when it has only comments, or is the version line.
    pub(crate) fn entry(&self, bytes: &[u8]) -> Result<Option<Entry>, LdifError> {
        let lines = unfold(bytes, self.number)?;
        let mut group = &lines[..];
        if let Some(head) = group.first().filter(|_| self.is_first)
            && head.name()?.eq_ignore_ascii_case("version")
        {
            version(head)?;
            group = &group[1..];
        }
        if group.is_empty() { Ok(None) } else { entry(group).map(Some) }
    }

    /// Reads the record again.
    pub(crate) fn read(&self, dump: &mut dyn Dump, buffer: &mut Vec<u8>) -> Result<Option<Entry>, DumpError> {
        buffer.resize(self.length, 0);
        let mut at = 0;
        while at < self.length {
            match dump.read_at(self.offset + at as u64, &mut buffer[at..])? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                read => at += read,
            }
        }
        Ok(self.entry(buffer)?)
    }
}

/// Octets that are read at a time.
const PIECE: usize = 256 << 10;

/// The texts of a file's records: what stands between empty lines.
pub(crate) struct Texts<'a> {
    dump: &'a mut dyn Dump,
    /// What was read and is not past yet.
    buffer: Vec<u8>,
    /// Where `buffer` begins in the file.
    offset: u64,
    /// The record that was found last, and where the next one is looked for: places in `buffer`.
    found: Range<usize>,
    next: usize,
    /// All of the file is read.
    is_whole: bool,
    /// Of the line at `next`.
    number: usize,
    before_first: bool,
}

impl<'a> Texts<'a> {
    pub(crate) fn of(dump: &'a mut dyn Dump) -> Texts<'a> {
        Texts {
            dump,
            buffer: Vec::new(),
            offset: 0,
            found: 0..0,
            next: 0,
            is_whole: false,
            number: 1,
            before_first: true,
        }
    }

    /// The octets of the record that [`Texts::next`] found.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.found.clone()]
    }

    /// Goes to the next record.
    pub(crate) fn next(&mut self) -> io::Result<Option<Place>> {
        if self.next >= PIECE {
            self.buffer.drain(..self.next);
            self.offset += self.next as u64;
            self.next = 0;
        } else if self.next == 0 {
            while self.buffer.len() < BYTE_ORDER_MARK.len() && !self.is_whole {
                self.fill()?;
            }
            self.next = if self.buffer.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        }
        // Where the record begins, and its line.
        let mut begun: Option<(usize, usize)> = None;
        let mut end = 0;
        let is_first = self.before_first;
        while let Some(line) = self.line()? {
            let text = &self.buffer[line.clone()];
            if text.strip_suffix(b"\r").unwrap_or(text).is_empty() {
                match begun {
                    Some(_) => break,
                    None => continue,
                }
            }
            begun = begun.or(Some((line.start, self.number - 1)));
            end = self.next;
            // Comments alone are no record: the version may follow.
            self.before_first &= matches!(text.first(), Some(b'#' | b' '));
        }
        Ok(begun.map(|(start, number)| {
            self.found = start..end;
            Place { number, is_first, offset: self.offset + start as u64, length: end - start }
        }))
    }

    /// Goes past one line, and says where it is, without its end.
    fn line(&mut self) -> io::Result<Option<Range<usize>>> {
        let start = self.next;
        let mut looked = start;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[looked..]) {
                self.next = looked + at + 1;
                break;
            }
            looked = self.buffer.len();
            if self.is_whole {
                self.next = looked;
                break;
            }
            self.fill()?;
        }
        if start == self.next {
            return Ok(None);
        }
        self.number += 1;
        let line = &self.buffer[start..self.next];
        Ok(Some(start..start + line.strip_suffix(b"\n").unwrap_or(line).len()))
    }

    fn fill(&mut self) -> io::Result<()> {
        let had = self.buffer.len();
        self.buffer.resize(had + PIECE, 0);
        let read = self.dump.read_at(self.offset + had as u64, &mut self.buffer[had..])?;
        self.buffer.truncate(had + read);
        self.is_whole = read == 0;
        Ok(())
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

struct Line {
    number: usize,
    text: Vec<u8>,
}

impl Line {
    fn error(&self, message: impl Into<String>) -> LdifError {
        LdifError { line: self.number, message: message.into() }
    }

    /// The attribute description before the colon.
    fn name(&self) -> Result<&str, LdifError> {
        let end = self.text.iter().position(|b| *b == b':').ok_or_else(|| self.error("there is no “:” in the line"))?;
        let name = std::str::from_utf8(&self.text[..end]).unwrap_or("");
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b';' | b'_' | b'=');
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(self.error("bad attribute name before “:”"));
        }
        Ok(name)
    }

    /// The value after the colon, decoded.
    fn value(&self) -> Result<Value, LdifError> {
        let name_len = self.name()?.len();
        let rest = &self.text[name_len + 1..];
        match rest {
            [b'<', ..] => {
                Err(self.error("values from URLs are not read; put the value into the file in base64 (“::”)"))
            }
            [b':', encoded @ ..] => {
                let encoded: Vec<u8> = encoded.iter().copied().filter(|b| *b != b' ').collect();
                STANDARD.decode(encoded).map_err(|e| self.error(format!("bad base64: {e}")))
            }
            plain => {
                let plain = plain.trim_ascii_start();
                if plain.contains(&0) {
                    return Err(self.error("a NUL character must be written in base64"));
                }
                Ok(plain.to_vec())
            }
        }
    }

    fn text_value(&self) -> Result<String, LdifError> {
        String::from_utf8(self.value()?).map_err(|_| self.error("the value is not UTF-8"))
    }

    fn pair(&self) -> Result<(String, Value), LdifError> {
        Ok((self.name()?.to_owned(), self.value()?))
    }

    fn is(&self, name: &str) -> bool {
        self.name().is_ok_and(|own| own.eq_ignore_ascii_case(name))
    }
}

/// The physical lines of a record to logical ones: continuation joined, comments dropped.
/// `first` is the number of the first one.
fn unfold(bytes: &[u8], first: usize) -> Result<Vec<Line>, LdifError> {
    let mut lines: Vec<Line> = Vec::new();
    let mut in_comment = false;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for (number, raw) in (first..).zip(bytes.split(|b| *b == b'\n')) {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        match raw {
            [b' ', rest @ ..] if in_comment => {
                let _ = rest;
            }
            [b' ', rest @ ..] => match lines.last_mut() {
                Some(last) if !last.text.is_empty() => last.text.extend_from_slice(rest),
                _ => return Err(LdifError { line: number, message: "a continuation of nothing".into() }),
            },
            [b'#', ..] => in_comment = true,
            raw => {
                in_comment = false;
                lines.push(Line { number, text: raw.to_vec() });
            }
        }
    }
    Ok(lines)
}

fn version(line: &Line) -> Result<(), LdifError> {
    match line.value()?.as_slice() {
        b"1" => Ok(()),
        other => Err(line.error(format!("version {} is not supported, only 1", String::from_utf8_lossy(other)))),
    }
}

fn entry(lines: &[Line]) -> Result<Entry, LdifError> {
    let (head, mut rest) = (&lines[0], &lines[1..]);
    if !head.is("dn") {
        return Err(head.error("a record must start with “dn:”"));
    }
    let dn = head.text_value()?;
    if rest.first().is_some_and(|line| line.is("control")) {
        return Err(rest[0].error("controls are not supported"));
    }
    let kind = match rest.first() {
        Some(line) if line.is("changetype") => {
            let kind = line.text_value()?.to_ascii_lowercase();
            rest = &rest[1..];
            kind
        }
        _ => "add".to_owned(),
    };
    let change = match kind.as_str() {
        "add" => EntryChange::Add(rest.iter().map(Line::pair).collect::<Result<_, _>>()?),
        "delete" => match rest.first() {
            None => EntryChange::Delete,
            Some(line) => return Err(line.error("nothing may follow “changetype: delete”")),
        },
        "modify" => EntryChange::Modify(modifications(rest)?),
        "modrdn" | "moddn" => rename(head, rest)?,
        other => return Err(lines[1].error(format!("unknown changetype “{other}”"))),
    };
    Ok(Entry { line: head.number, dn, change })
}

fn modifications(lines: &[Line]) -> Result<Vec<Modification>, LdifError> {
    let mut modifications = Vec::new();
    for group in lines.split(|line| line.text == b"-").filter(|group| !group.is_empty()) {
        let head = &group[0];
        let operation = match head.name()?.to_ascii_lowercase().as_str() {
            "add" => Operation::Add,
            "delete" => Operation::Delete,
            "replace" => Operation::Replace,
            other => return Err(head.error(format!("“{other}” is not add, delete or replace"))),
        };
        let attribute = head.text_value()?;
        let mut values = Vec::new();
        for line in &group[1..] {
            if !line.is(&attribute) {
                return Err(line.error(format!("expected a value of {attribute}, or “-”")));
            }
            values.push(line.value()?);
        }
        modifications.push(Modification { operation, attribute, values });
    }
    Ok(modifications)
}

fn rename(head: &Line, lines: &[Line]) -> Result<EntryChange, LdifError> {
    let find = |name: &str| lines.iter().find(|line| line.is(name));
    if let Some(line) = lines.iter().find(|l| !["newrdn", "deleteoldrdn", "newsuperior"].iter().any(|name| l.is(name)))
    {
        return Err(line.error("expected newrdn, deleteoldrdn or newsuperior"));
    }
    let rdn = find("newrdn").ok_or_else(|| head.error("newrdn is missing"))?.text_value()?;
    let delete_old = match find("deleteoldrdn") {
        None => true,
        Some(line) => match line.text_value()?.as_str() {
            "0" => false,
            "1" => true,
            _ => return Err(line.error("deleteoldrdn is 0 or 1")),
        },
    };
    let parent = find("newsuperior").map(Line::text_value).transpose()?;
    Ok(EntryChange::Rename { rdn, delete_old, parent })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn add(dn: &str, attributes: &[(&str, &[u8])]) -> EntryChange {
        let _ = dn;
        EntryChange::Add(attributes.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect())
    }

    #[test]
    fn folded_lines_comments_and_base64_are_read() {
        let text = b"version: 1\n# a comment\n  that goes on\ndn: CN=a,\n DC=x\nobjectClass: top\ncn:: w6Q=\ndescription:\n\n\ndn: CN=b\n";
        let entries = parse(text).unwrap();
        assert_eq!(entries[0].line, 4);
        assert_eq!(entries[0].dn, "CN=a,DC=x");
        assert_eq!(
            entries[0].change,
            add("", &[("objectClass", b"top"), ("cn", "ä".as_bytes()), ("description", b"")])
        );
        assert_eq!(entries[1].line, 11);
    }

    #[test]
    fn all_changetypes_are_read() {
        let text = "dn: CN=a\r\nchangetype: modify\r\nadd: member\r\nmember: CN=b\r\nmember: CN=c\r\n-\r\ndelete: mail\r\n-\r\n\r\n\
            dn: CN=a\nchangetype: delete\n\ndn: CN=a\nchangetype: modrdn\nnewrdn: CN=z\ndeleteoldrdn: 1\nnewsuperior: OU=y\n";
        let entries = parse(text.as_bytes()).unwrap();
        let EntryChange::Modify(modifications) = &entries[0].change else { panic!("not a modify") };
        assert_eq!(modifications.len(), 2);
        assert_eq!(modifications[0].values, [b"CN=b".to_vec(), b"CN=c".to_vec()]);
        assert_eq!(modifications[1].operation, Operation::Delete);
        assert_eq!(entries[1].change, EntryChange::Delete);
        let parent = Some("OU=y".to_owned());
        assert_eq!(entries[2].change, EntryChange::Rename { rdn: "CN=z".into(), delete_old: true, parent });
        assert_eq!(parse(write_entries(&entries).as_bytes()).unwrap().len(), 3);
    }

    #[test]
    fn the_version_may_follow_comments_and_empty_lines() {
        let entries = parse(b"\n# a dump\n# of a forest\r\n\r\nversion: 1\n\n\ndn: CN=a\ncn: a").unwrap();
        assert_eq!(entries, [Entry { line: 8, dn: "CN=a".into(), change: add("", &[("cn", b"a")]) }]);
    }

    #[test]
    fn a_version_later_in_the_file_is_refused() {
        assert_eq!(parse(b"dn: CN=a\n\nversion: 1\ndn: CN=b\n").unwrap_err().line, 3);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line) in [
            ("dn: CN=a\ncn a\n", 2),
            ("dn: CN=a\ncn:: !\n", 2),
            ("\n\ncn: a\n", 3),
            ("dn: CN=a\njpegPhoto:< file:///etc/passwd\n", 2),
            (" x\n", 1),
            ("version: 2\n", 1),
            ("dn: a\nchangetype: burn\n", 2),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().line, line, "{text}");
        }
    }

    /// A file that gives a few octets at a time.
    struct Dripping<'a>(&'a [u8]);

    impl Dump for Dripping<'_> {
        fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let few = buffer.len().min(1 + offset as usize % 5);
            self.0.read_at(offset, &mut buffer[..few])
        }
    }

    /// The records of a file, each read again where it was found.
    fn records(dump: &mut dyn Dump) -> Vec<Result<Option<Entry>, LdifError>> {
        let mut texts = Texts::of(dump);
        let mut found = Vec::new();
        while let Some(place) = texts.next().unwrap() {
            found.push((place, place.entry(texts.bytes())));
        }
        for (place, entry) in &found {
            let again = place.read(dump, &mut Vec::new());
            assert_eq!(again.map_err(|error| error.to_string()), entry.clone().map_err(|error| error.to_string()));
        }
        found.into_iter().map(|(_, entry)| entry).collect()
    }

    #[test]
    fn a_file_larger_than_what_is_read_at_once_is_read_whole() {
        let entry = |n: usize| Entry {
            line: 0,
            dn: format!("CN={n}"),
            change: EntryChange::Add(vec![("description".into(), vec![b'x'; 5_000])]),
        };
        let text = write_entries(&(0..200).map(entry).collect::<Vec<_>>());
        assert!(text.len() > 3 * PIECE);
        let mut bytes = text.as_bytes();
        let names: Vec<String> = records(&mut bytes).into_iter().filter_map(|e| Some(e.unwrap()?.dn)).collect();
        assert_eq!(names, (0..200).map(|n| format!("CN={n}")).collect::<Vec<_>>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn how_much_of_a_file_is_read_at_once_changes_nothing(
            text in "(\u{feff})?(dn: CN=a\n|cn: b\r\n|description: [a-z]{0,30}\n| more\n|\n|\r\n|# said\n|version: 1\n){0,12}",
        ) {
            let whole = records(&mut text.as_bytes());
            prop_assert_eq!(records(&mut Dripping(text.as_bytes())), whole);
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn reading_text_that_looks_like_ldif_never_panics(text in "(dn|cn|changetype|add|modify|version|: |::|:<|-|#| |\n|1|x){0,40}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn what_is_written_reads_the_same(
            dn in "[^\r\n\0]{1,40}",
            attributes in prop::collection::vec(("[a-zA-Z][a-zA-Z0-9-]{0,10}", prop::collection::vec(any::<u8>(), 0..200)), 0..6),
        ) {
            prop_assume!(attributes.iter().all(|(name, _)| !["changetype", "control"].contains(&name.to_ascii_lowercase().as_str())));
            let entries = vec![Entry { line: 3, dn, change: EntryChange::Add(attributes) }];
            let text = write_entries(&entries);
            prop_assert!(text.lines().all(|line| line.len() <= 76));
            prop_assert_eq!(parse(text.as_bytes()).unwrap(), entries);
        }
    }
}
