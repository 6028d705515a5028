//! Finding messages in the record, and all that became of them.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use foldhash::fast::RandomState;
use memchr::memmem;

use crate::file::{self, TrackingError};
use crate::record::{Event, Millis, Record};

/// Octets read at a time.
const BUFFER: usize = 256 * 1024;
/// A line that is longer is none of ours.
const LONGEST: usize = 8 << 20;
/// Events that are kept of one message; of a message with more, the first are.
const EVENTS: usize = 2_000;

/// What is looked for; what is absent does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The envelope sender or a header From; `@example.com`: any of the domain; the empty text: the null reverse-path.
    pub from: Option<String>,
    /// A recipient; `@example.com`: any of the domain.
    pub to: Option<String>,
    /// The queue id, or the id of a decision.
    pub id: Option<String>,
    /// The `Message-ID`, with or without angle brackets.
    pub message_id: Option<String>,
    /// Received at this time or later.
    pub since: Option<Millis>,
    /// Received before this time.
    pub until: Option<Millis>,
    /// Messages, the newest; 0 means 1000.
    pub limit: usize,
}

/// A message and its events, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traced {
    /// What happened; never empty.
    pub records: Vec<Record>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The messages in order of reception.
    pub messages: Vec<Traced>,
    /// There were older ones, too.
    pub more: bool,
    /// Lines that could not be read.
    pub unreadable: u64,
}

/// Searches a folder from its oldest file that matters to the newest one.
///
/// # Errors
/// [`TrackingError::Io`].
pub fn search(folder: &Path, query: &Query) -> Result<Found, TrackingError> {
    let files = file::list(folder)?;
    let since = query.since.unwrap_or(Millis::MIN);
    let begin = files.iter().rposition(|file| file.since <= since).unwrap_or(0);
    let mut search = Search::new(query);
    for file in files.get(begin..).unwrap_or_default() {
        let reader = match fs::File::open(&file.path) {
            Ok(opened) => BufReader::with_capacity(BUFFER, opened),
            // It was too old a moment ago.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(TrackingError::io("open", &file.path, error)),
        };
        search.read(reader).map_err(|error| TrackingError::io("read", &file.path, error))?;
    }
    Ok(search.finish())
}

struct Search<'a> {
    query: &'a Query,
    from: Option<Wanted>,
    to: Option<Wanted>,
    message_id: Option<&'a str>,
    limit: usize,
    /// Messages by a number that grows.
    messages: VecDeque<Traced>,
    /// The number of the first of `messages`.
    first: usize,
    by_id: HashMap<String, usize, RandomState>,
    more: bool,
    unreadable: u64,
}

/// An address, or the domain of one.
struct Wanted(String);

impl Wanted {
    fn new(text: &str) -> Wanted {
        Wanted(if text == "<>" { String::new() } else { text.to_lowercase() })
    }

    fn is(&self, address: &str) -> bool {
        let address = address.to_lowercase();
        if self.0.starts_with('@') { address.ends_with(&self.0) } else { address == self.0 }
    }
}

impl<'a> Search<'a> {
    fn new(query: &'a Query) -> Search<'a> {
        Search {
            query,
            from: query.from.as_deref().map(Wanted::new),
            to: query.to.as_deref().map(Wanted::new),
            message_id: query.message_id.as_deref().map(bare),
            limit: if query.limit == 0 { 1000 } else { query.limit },
            messages: VecDeque::new(),
            first: 0,
            by_id: HashMap::default(),
            more: false,
            unreadable: 0,
        }
    }

    fn read(&mut self, mut reader: impl BufRead) -> std::io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = std::io::Read::take(&mut reader, LONGEST as u64).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(());
            }
            if line.last() == Some(&b'\n') {
                self.line(&line);
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        // Most lines are of messages that nobody asked for: what they are is found without reading them whole.
        let known = id_of(line).and_then(|id| std::str::from_utf8(id).ok()).and_then(|id| self.by_id.get(id)).is_some();
        if !known && !introduces(line) {
            return;
        }
        let Ok(record) = serde_json::from_slice::<Record>(line) else {
            self.unreadable += 1;
            return;
        };
        if let Some(number) = self.by_id.get(&record.id).copied() {
            return self.add(number, record);
        }
        // A report belongs to what it is about.
        if let Some(number) = self.by_id.get(&record.about).copied().filter(|_| !record.about.is_empty()) {
            self.by_id.insert(record.id.clone(), number);
            return self.add(number, record);
        }
        if self.matches(&record) {
            self.begin(record);
        }
    }

    fn matches(&self, record: &Record) -> bool {
        let Query { id, since, until, .. } = self.query;
        record.event.introduces()
            && since.is_none_or(|since| record.time >= since)
            && until.is_none_or(|until| record.time < until)
            && id.as_ref().is_none_or(|id| record.id == *id || record.decision == *id)
            && self.message_id.is_none_or(|wanted| bare(&record.message_id) == wanted)
            && self.from.as_ref().is_none_or(|wanted| {
                record.sender.as_deref().is_some_and(|sender| wanted.is(sender))
                    || record.from.iter().any(|from| wanted.is(from))
            })
            && self.to.as_ref().is_none_or(|wanted| record.to.iter().any(|to| wanted.is(to)))
    }

    fn begin(&mut self, record: Record) {
        if self.messages.len() >= self.limit {
            let oldest = self.first;
            self.messages.pop_front();
            self.first += 1;
            self.more = true;
            self.by_id.retain(|_, number| *number != oldest);
        }
        if !record.id.is_empty() {
            self.by_id.insert(record.id.clone(), self.first + self.messages.len());
        }
        self.messages.push_back(Traced { records: vec![record] });
    }

    fn add(&mut self, number: usize, record: Record) {
        if let Some(message) = number.checked_sub(self.first).and_then(|index| self.messages.get_mut(index))
            && message.records.len() < EVENTS
        {
            message.records.push(record);
        }
    }

    fn finish(self) -> Found {
        Found { messages: self.messages.into(), more: self.more, unreadable: self.unreadable }
    }
}

/// A `Message-ID` without angle brackets.
fn bare(text: &str) -> &str {
    text.trim().trim_start_matches('<').trim_end_matches('>')
}

/// The queue id of a line, which stands near its beginning.
fn id_of(line: &[u8]) -> Option<&[u8]> {
    let head = line.get(..line.len().min(128))?;
    let begin = memmem::find(head, b"\"id\":\"")? + 6;
    let length = memchr::memchr(b'"', head.get(begin..)?)?;
    head.get(begin..begin + length)
}

/// Whether a line may be the first of a message.
fn introduces(line: &[u8]) -> bool {
    let head = &line[..line.len().min(160)];
    let Some(begin) = memmem::find(head, b"\"event\":\"").map(|at| at + 9) else { return true };
    let event = &head[begin..];
    [Event::Received, Event::Refused, Event::Paused, Event::Quarantined, Event::Bounced]
        .iter()
        .any(|known| event.starts_with(known.name().as_bytes()))
}
