//! The header firewall inside a message: fields of attached messages and of MIME parts, cut out while the body streams by.
//!
//! Organization and forest fields are to be gone before any reader sees them (F §3.11), and a reader that opens an
//! attached message (`message/rfc822`), a returned one (`text/rfc822-headers`) or a part sees header fields there too.
//! Routing fields stay inside a message: nobody routes by them, and they are part of what was forwarded.
//!
//! Only the lines of such fields are cut out; no other octet changes, so a message without them keeps every signature
//! that it has. Where readers may disagree about the structure (two Content-Types, a boundary in an odd notation, very
//! many boundaries), more is taken for a header than any of them would: every `--` then counts as a delimiter. What is
//! encoded (base64, quoted-printable) is not opened.
//!
//! Attached and returned messages may be spared ([`PartFirewall::sparing_attached`]): then only the headers of parts are
//! looked at, and what says plainly of itself that it is a message stays as it is.
//!
//! Memory: the beginning of one line, one Content-Type, and at most 16 boundaries.

use memchr::{memchr, memmem};

use crate::firewall::{FieldClass, Keep, PREFIXES, begins, class};
use crate::header::HeaderBlock;

/// Boundaries that are told apart (RFC 2046 §5.1.1 allows 70 octets each). In a message with more, every `--` counts as a
/// delimiter.
const MOST_BOUNDARIES: usize = 16;
/// Octets of a header line that are looked at: as many as it may have (RFC 5322 §2.1.1).
const HEAD: usize = 1000;
/// Octets behind a delimiter that are held back: many times as many as the names of the firewall have.
const MOST_HELD: usize = 256;
/// Octets of a Content-Type that are read.
const MOST_TYPE: usize = 1024;

/// Takes the body of a message and gives it on without the fields that may not be in it.
#[derive(Debug)]
pub struct PartFirewall {
    keep: Keep,
    /// Messages within the message stay as they are.
    spares_attached: bool,
    place: Place,
    delimiters: Delimiters,
    section: Section,
    /// In a header, the beginning of a line, at most [`HEAD`] octets: held back until it is clear what becomes of the line.
    /// In a text, and further on in such a line, what may become a delimiter; behind one, what may become the name of a field
    /// that goes.
    head: Vec<u8>,
}

/// Where in the message the next octet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In something without parts: nothing is looked at any more.
    Opaque,
    /// In a text.
    Text,
    /// Behind a delimiter, in the same line.
    Delimiter,
    /// The same, in something that goes.
    Cut,
    /// In a header, in the first [`HEAD`] octets of a line.
    Head,
    /// In a header, further on in a line that stays.
    Stays,
    /// In a header, further on in a line that goes.
    Goes,
}

/// What begins a part.
#[derive(Debug, Default)]
struct Delimiters {
    boundaries: Vec<Vec<u8>>,
    /// Every `--`.
    any: bool,
    /// Parts may be messages without saying so: there is a multipart/digest (RFC 2046 §5.1.5), or may be for some readers.
    digest: bool,
}

/// The header that is being read.
#[derive(Debug, Default)]
struct Section {
    /// A line of it was read.
    begun: bool,
    /// The last field has a colon so far.
    colon: bool,
    /// A delimiter stands within the line that is being read: for some readers a header ends there and another begins, for
    /// the others it goes on.
    divided: bool,
    /// The last field goes, and its continuation lines with it.
    goes: bool,
    /// The value of the Content-Type whose lines are being read.
    content_type: Option<Vec<u8>>,
    /// There was a Content-Type.
    typed: bool,
    /// What follows this header is a header again.
    message: bool,
    /// ... that of an attached or returned message, as its one Content-Type says plainly.
    attached: bool,
}

impl PartFirewall {
    /// The firewall for the body that follows this header, as received.
    pub fn new(keep: Keep, block: &HeaderBlock) -> PartFirewall {
        PartFirewall::begin(keep, false, block)
    }

    /// The same, for somebody whose attached and returned messages are left as they came: what says of itself, in one plain
    /// Content-Type, that it is `message/rfc822`, `message/global`, or the header of such a one. Their parts are spared with
    /// them; headers of the message's own parts are not. Where the structure is doubtful, nothing is spared.
    pub fn sparing_attached(keep: Keep, block: &HeaderBlock) -> PartFirewall {
        PartFirewall::begin(keep, true, block)
    }

    fn begin(keep: Keep, spares_attached: bool, block: &HeaderBlock) -> PartFirewall {
        let mut firewall = PartFirewall {
            keep,
            spares_attached,
            place: Place::Opaque,
            delimiters: Delimiters::default(),
            section: Section::default(),
            head: Vec::new(),
        };
        if keep.organization && keep.forest {
            return firewall;
        }
        for field in block.named("Content-Type") {
            firewall.section.content_type = Some(field.value().iter().copied().take(MOST_TYPE + 1).collect());
            firewall.end_content_type();
        }
        if firewall.section.message || firewall.delimiters.are_known() {
            firewall.end_section();
        }
        firewall
    }

    /// Takes the next piece of the body, split anywhere, and gives `sink` what stays of it.
    pub fn push(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) {
        let mut rest = input;
        while !rest.is_empty() {
            let taken = match self.place {
                Place::Opaque => {
                    sink(rest);
                    rest.len()
                }
                Place::Text => {
                    let taken = self.find_delimiter(rest).unwrap_or(rest.len());
                    sink(&rest[..taken]);
                    taken
                }
                Place::Delimiter | Place::Cut => self.read_delimiter(rest, sink),
                Place::Head => self.read_head(rest, sink),
                Place::Stays | Place::Goes => self.read_line(rest, sink),
            };
            rest = &rest[taken..];
        }
    }

    /// The end of the body: gives on what was held back.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[u8])) {
        if self.place == Place::Head && !self.head.is_empty() {
            self.judge(sink);
        }
        if self.place == Place::Delimiter {
            sink(&self.head);
        }
        self.place = Place::Opaque;
    }

    /// Reads on in a text, or in a line of a header that stays, up to the end of the next delimiter; none if there is none.
    /// Some readers find a delimiter in the middle of a line too.
    fn find_delimiter(&mut self, input: &[u8]) -> Option<usize> {
        let mut position = 0;
        while let Some(&byte) = input.get(position) {
            if self.head.is_empty() {
                let rest = &input[position..];
                let Some(found) = memmem::find(rest, b"--") else {
                    self.head.extend(rest.last().filter(|last| **last == b'-'));
                    return None;
                };
                self.head.extend_from_slice(b"--");
                position += found + 2;
            } else {
                self.head.push(byte);
                position += 1;
            }
            if self.delimiters.find(&mut self.head) {
                self.head.clear();
                self.place = Place::Delimiter;
                return Some(position);
            }
        }
        None
    }

    /// Reads the rest of a delimiter line. There should be nothing in it; some readers take it for a header line, so
    /// from a field on that goes nothing of it stays.
    fn read_delimiter(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> usize {
        for (position, &byte) in input.iter().enumerate() {
            if byte == b'\n' {
                let mut end = std::mem::take(&mut self.head);
                end.extend_from_slice(if self.place == Place::Cut { b"\r\n" } else { b"\n" });
                sink(&end);
                self.section.collect(&end);
                self.section.end_delimiter();
                self.place = Place::Head;
                return position + 1;
            }
            if self.place == Place::Cut {
                continue;
            }
            if byte == b':' {
                // It may be a Content-Type, whatever it says.
                self.doubt(true);
            }
            self.head.push(byte);
            if !byte.is_ascii_graphic() && (2..MOST_HELD).contains(&self.head.len()) {
                continue;
            }
            // What may become the beginning of such a name is held back.
            let mut name = visible(&self.head);
            while !self.head.is_empty() && (self.head.len() > MOST_HELD || !may_begin_known(&name)) {
                let byte = [self.head.remove(0)];
                sink(&byte);
                self.section.collect(&byte);
                name = visible(&self.head);
            }
            if self.goes(&name) {
                self.head.clear();
                self.place = Place::Cut;
                // What is left of the line may read otherwise.
                self.doubt(true);
            }
        }
        input.len()
    }

    /// Reads the beginning of a header line, and judges it when it is whole or long enough.
    fn read_head(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> usize {
        let wanted = &input[..input.len().min(HEAD - self.head.len())];
        let line_end = memchr(b'\n', wanted).map(|end| end + 1);
        let taken = line_end.unwrap_or(wanted.len());
        self.head.extend_from_slice(&input[..taken]);
        if line_end.is_some() || self.head.len() == HEAD {
            self.judge(sink);
        }
        taken
    }

    /// Reads on in a header line whose fate is known.
    fn read_line(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> usize {
        let line_end = memchr(b'\n', input).map(|end| end + 1);
        let line = &input[..line_end.unwrap_or(input.len())];
        if self.place == Place::Stays {
            return self.give(line, sink);
        }
        if line_end.is_some() {
            self.place = Place::Head;
        }
        line.len()
    }

    /// Gives on a line of a header that stays, or a piece of one, up to the end of the first delimiter in it; gives how many
    /// octets that was.
    fn give(&mut self, line: &[u8], sink: &mut dyn FnMut(&[u8])) -> usize {
        let delimiter = self.find_delimiter(line);
        self.section.divided = delimiter.is_some();
        let given = &line[..delimiter.unwrap_or(line.len())];
        sink(given);
        self.section.collect(given);
        if delimiter.is_none() && line.ends_with(b"\n") {
            self.head.clear();
            self.place = Place::Head;
        }
        given.len()
    }

    /// Decides what becomes of the header line that begins with what is held back.
    fn judge(&mut self, sink: &mut dyn FnMut(&[u8])) {
        let line = std::mem::take(&mut self.head);
        let continues = self.section.begun && matches!(line.first(), Some(b' ' | b'\t'));
        if !continues {
            self.end_content_type();
        }
        if let Some(length) = self.delimiters.begin(&line) {
            sink(&line[..length]);
            self.place = Place::Delimiter;
            self.read_delimiter(&line[length..], sink);
            return;
        }
        let ended = line.ends_with(b"\n");
        self.place = if ended { Place::Head } else { Place::Stays };
        match line.as_slice() {
            b"\r\n" | b"\n" => {
                sink(&line);
                return self.end_section();
            }
            // White space alone ends the header for some readers: it stays, and what follows continues nothing.
            line if ended && line.trim_ascii().is_empty() => {
                self.end_content_type();
                self.section =
                    Section { typed: self.section.typed, message: self.section.message, ..Section::default() };
                return sink(line);
            }
            // What continues a line without a colon begins a field for some readers.
            line if continues && !self.section.colon => {
                self.section.goes |= self.line_goes(line);
                let typed = is_content_type(&field_name(line)) || words_before_colon(line).any(is_content_type);
                self.doubt(typed && !self.section.goes);
            }
            _ if continues => {}
            line => self.begin_field(line),
        }
        self.section.begun = true;
        // A colon before any name ends none: for some readers the name begins behind it, or in the next line.
        let name = line.iter().position(u8::is_ascii_alphanumeric).unwrap_or(line.len());
        self.section.colon |= memchr(b':', &line[name..]).is_some();
        if !self.section.goes {
            let given = self.give(&line, sink);
            if self.place == Place::Delimiter {
                self.read_delimiter(&line[given..], sink);
            }
        } else if !ended {
            self.place = Place::Goes;
        }
    }

    fn begin_field(&mut self, line: &[u8]) {
        let name = field_name(line);
        self.section.goes = self.line_goes(line);
        self.section.colon = false;
        self.section.content_type = is_content_type(&name).then(Vec::new);
        let hidden = !is_content_type(&name) && words_before_colon(line).any(is_content_type);
        self.doubt(hidden && !self.section.goes);
    }

    /// Where readers may disagree about the structure, what follows may be a header, every `--` a delimiter, and every part a
    /// message.
    fn doubt(&mut self, is_doubtful: bool) {
        self.section.message |= is_doubtful;
        self.delimiters.any |= is_doubtful;
        self.delimiters.digest |= is_doubtful;
    }

    /// Whether a header line goes: by its name, or by what stands for it to readers who take the last word before the colon.
    fn line_goes(&self, line: &[u8]) -> bool {
        self.goes(&field_name(line)) || words_before_colon(line).any(|word| self.goes(word))
    }

    /// Whether a field of this name goes.
    fn goes(&self, name: &[u8]) -> bool {
        match class(name) {
            Some(FieldClass::Organization) => !self.keep.organization,
            Some(FieldClass::Forest) => !self.keep.forest,
            Some(FieldClass::Routing) | None => false,
        }
    }

    /// The Content-Type that was being read, if any, is complete.
    fn end_content_type(&mut self) {
        let Some(value) = self.section.content_type.take() else { return };
        // The name is still before it, where it was collected from lines.
        let value = match memchr(b':', &value) {
            Some(colon) if is_content_type(&field_name(&value)) => &value[colon + 1..],
            _ => &value[..],
        };
        let several = std::mem::replace(&mut self.section.typed, true);
        self.section.attached = false;
        match ContentType::read(value) {
            Some(ContentType::Message) => {
                self.section.message = true;
                self.section.attached = !several && is_as_sent(value);
            }
            Some(ContentType::Multipart { boundary, digest }) => {
                self.delimiters.add(boundary);
                self.delimiters.digest |= digest;
            }
            Some(ContentType::Other) if several => self.delimiters.any = true,
            Some(ContentType::Other) => {}
            None => self.doubt(true),
        }
    }

    /// The empty line behind a header was read.
    fn end_section(&mut self) {
        let header_follows = self.section.message || self.delimiters.digest;
        let attached = self.section.attached || self.delimiters.digest && !self.section.typed;
        let spared = self.spares_attached && attached && !self.delimiters.any;
        self.section = Section::default();
        self.place = if header_follows && !spared { Place::Head } else { Place::Text };
    }
}

impl Delimiters {
    fn are_known(&self) -> bool {
        self.any || !self.boundaries.is_empty()
    }

    fn add(&mut self, boundary: Option<Vec<u8>>) {
        match boundary {
            Some(boundary) if self.boundaries.contains(&boundary) => {}
            Some(boundary) if self.boundaries.len() < MOST_BOUNDARIES => self.boundaries.push(boundary),
            _ => self.any = true,
        }
    }

    /// Whether `text` ends with a delimiter; if not, it is left with what may still become one. One may end within what may
    /// become another.
    fn find(&self, text: &mut Vec<u8>) -> bool {
        let ends =
            |boundary: &Vec<u8>| text.strip_suffix(boundary.as_slice()).is_some_and(|rest| rest.ends_with(b"--"));
        if (self.any && text.ends_with(b"--")) || self.boundaries.iter().any(ends) {
            return true;
        }
        let may_become = |text: &[u8]| match text.strip_prefix(b"--") {
            Some(begun) => begun.is_empty() || self.boundaries.iter().any(|boundary| boundary.starts_with(begun)),
            None => text.is_empty() || text == b"-",
        };
        let gone = (0..=text.len()).find(|start| may_become(&text[*start..])).unwrap_or(text.len());
        text.drain(..gone);
        false
    }

    /// The length of the delimiter that this begins with. What follows it is not looked at: it may be the `--` of the last
    /// one, and readers differ about the rest.
    fn begin(&self, line: &[u8]) -> Option<usize> {
        let rest = line.strip_prefix(b"--")?;
        let found = self.boundaries.iter().filter(|boundary| rest.starts_with(boundary)).map(Vec::len).min();
        if self.any { Some(2) } else { found.map(|length| length + 2) }
    }
}

impl Section {
    /// The line of a delimiter ends.
    fn end_delimiter(&mut self) {
        if self.divided {
            // What follows continues the field, or begins another.
            self.divided = false;
            self.colon = false;
        } else {
            // Of a part that ends within its header some readers read on: what it says of itself still counts.
            *self = Section { message: self.message, ..Section::default() };
        }
    }

    /// Keeps what belongs to a Content-Type, of a line or a piece of one that stays. What goes is none of it: whoever reads
    /// what stays does not see it.
    fn collect(&mut self, line: &[u8]) {
        if let Some(value) = &mut self.content_type {
            let room = (MOST_TYPE + 1).saturating_sub(value.len());
            value.extend_from_slice(&line[..line.len().min(room)]);
        }
    }
}

/// Whether `name` may become, or is, one of the names that the firewall knows.
fn may_begin_known(name: &[u8]) -> bool {
    !name.is_empty() && PREFIXES.iter().any(|(prefix, _)| begins(name, &prefix[..name.len().min(prefix.len())]))
}

/// What begins with a name, without what some readers skip in one; nothing where it begins otherwise.
fn visible(text: &[u8]) -> Vec<u8> {
    match text.first() {
        Some(first) if first.is_ascii_graphic() => text.iter().copied().filter(u8::is_ascii_graphic).collect(),
        _ => Vec::new(),
    }
}

/// The name that a line begins with: what stands before the colon, without what some readers skip before a name or in it (a
/// byte order mark, white space, control characters, a colon in front).
fn field_name(line: &[u8]) -> Vec<u8> {
    let start = line.iter().position(u8::is_ascii_alphanumeric).unwrap_or(line.len());
    let name = line[start..].iter().take_while(|byte| **byte != b':');
    name.copied().filter(u8::is_ascii_graphic).collect()
}

/// What stands before the colon, word by word.
fn words_before_colon(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let before = line.split(|byte| *byte == b':').next().unwrap_or_default();
    before.split(|byte| !byte.is_ascii_graphic())
}

fn is_content_type(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"Content-Type")
}

/// What a Content-Type says about the structure.
pub(crate) enum ContentType {
    /// A message, or a header.
    Message,
    /// Parts between these boundaries; `None`: readers may disagree about the boundary.
    Multipart { boundary: Option<Vec<u8>>, digest: bool },
    /// Neither.
    Other,
}

impl ContentType {
    /// Reads a value (RFC 2045 §5.1); `None` where readers may disagree about the type.
    pub(crate) fn read(value: &[u8]) -> Option<ContentType> {
        if value.len() > MOST_TYPE {
            return None;
        }
        let text: String = value.iter().map(|&byte| char::from(byte)).filter(|c| !matches!(c, '\r' | '\n')).collect();
        let (kind, parameters) = text.split_once(';').unwrap_or((&text, ""));
        let kind = kind.trim_matches([' ', '\t']).to_ascii_lowercase();
        if !kind.bytes().all(|byte| is_token(byte) || byte == b'/') {
            return None;
        }
        // A type without a subtype is none (RFC 2045 §5.1), but counts for some readers.
        let (kind, subtype) = kind.split_once('/').unwrap_or((&kind, ""));
        Some(match kind {
            "message" => ContentType::Message,
            "text" if subtype == "rfc822-headers" => ContentType::Message,
            "multipart" => ContentType::Multipart { boundary: boundary(parameters), digest: subtype == "digest" },
            _ => ContentType::Other,
        })
    }
}

/// Whether a Content-Type is that of a message as it was sent, or of its header: not of a piece of one, nor of a report.
fn is_as_sent(value: &[u8]) -> bool {
    let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let kinds: [&[u8]; 4] = [b"message/rfc822", b"message/global", b"message/global-headers", b"text/rfc822-headers"];
    kinds.iter().any(|known| known.eq_ignore_ascii_case(kind))
}

/// The one boundary that the parameters name in a way that all readers read alike.
fn boundary(parameters: &str) -> Option<Vec<u8>> {
    let mut found = None;
    let mut rest = parameters.trim_matches([' ', '\t', ';']);
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_matches([' ', '\t']);
        if name.is_empty() || !name.bytes().all(is_token) {
            return None;
        }
        let after = after.trim_start_matches([' ', '\t']);
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').filter(|(value, _)| !value.contains('\\'))?,
            None => after.split_at(after.bytes().position(|byte| !is_token(byte)).unwrap_or(after.len())),
        };
        let after = after.trim_start_matches([' ', '\t']);
        if !after.is_empty() && !after.starts_with(';') {
            return None;
        }
        // `boundary*` and `boundary*0` (RFC 2231) are read by some only.
        if name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("boundary")) {
            let plain = (1..=70).contains(&value.len()) && value.bytes().all(is_boundary);
            if name.len() > 8 || !plain || found.is_some() {
                return None;
            }
            found = Some(value.as_bytes().to_vec());
        }
        rest = after.trim_start_matches([' ', '\t', ';']);
    }
    found
}

/// RFC 2045 §5.1.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~*'%".contains(&byte)
}

/// What a boundary may have in it: RFC 2046 §5.1.1, without the space that some readers trim, and what else is often seen.
fn is_boundary(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}
