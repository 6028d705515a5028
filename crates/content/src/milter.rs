//! The milter protocol as a client (Sendmail's libmilter, protocol version 6): one connection for each message.

use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use crate::filter::{Action, Body, Facts, Said};
use crate::header::{Edit, Header};

/// The protocol that is spoken.
const VERSION: u32 = 6;
/// What a filter may want to do: add fields, change fields, quarantine (`SMFIF_ADDHDRS`, `_CHGHDRS`, `_QUARANTINE`).
const ACTIONS: u32 = 0x01 | 0x10 | 0x20;
/// Steps that a filter need not be told, or not answer; `SMFIP_SKIP`; `SMFIP_HDR_LEADSPC`.
const STEPS: u32 = 0x001F_FFFF & !REJECTED_RECIPIENTS;
/// `SMFIP_RCPT_REJ`: nobody is told of recipients that were refused.
const REJECTED_RECIPIENTS: u32 = 0x800;
const LEADING_SPACE: u32 = 0x10_0000;
const SKIP: u32 = 0x400;
/// The longest packet that is read, and the piece of a body that is sent.
const LONGEST: usize = 1 << 20;
const CHUNK: usize = 65_535;
/// Packets that one answer may take, progress included.
const MOST_PACKETS: usize = 10_000;

/// Where a milter listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Host and port: `inet:127.0.0.1:8891`.
    Inet(String),
    /// A socket: `unix:/run/opendkim/opendkim.sock`.
    Unix(PathBuf),
}

/// Why a milter gave no answer.
#[derive(Debug, Error)]
pub enum MilterError {
    /// It cannot be reached, or the connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It said what it must not.
    #[error("it breaks the protocol: {0}")]
    Protocol(String),
}

/// What a milter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// What it wants: version, actions, steps that are left out.
    Negotiated {
        /// Protocol version.
        version: u32,
        /// Actions that it may take.
        actions: u32,
        /// Steps.
        steps: u32,
    },
    /// Go on.
    Continue,
    /// The rest is accepted unseen.
    Accept,
    /// Refuse.
    Reject,
    /// Put off.
    Tempfail,
    /// Accept and drop.
    Discard,
    /// No more of this, please.
    Skip,
    /// Still at work.
    Progress,
    /// Refuse, or put off, with this reply.
    Custom(String),
    /// Keep it.
    Quarantine(String),
    /// Change the header.
    Edit(Edit),
    /// Something that was not agreed upon, by its letter.
    Unwanted(u8),
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Endpoint, String> {
        let wrong = || format!("`{text}` is no milter: write inet:HOST:PORT or unix:/PATH");
        match text.split_once(':') {
            Some(("inet", address)) => {
                let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
                let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
                if host.is_empty() || !is_port { Err(wrong()) } else { Ok(Endpoint::Inet(address.to_owned())) }
            }
            Some(("unix", path)) if path.starts_with('/') => Ok(Endpoint::Unix(path.into())),
            _ => Err(wrong()),
        }
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Endpoint {
    fn connect(&self, timeout: Duration) -> io::Result<Box<dyn Stream>> {
        match self {
            Endpoint::Inet(address) => {
                let mut last = io::Error::from(io::ErrorKind::NotFound);
                for address in address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, timeout) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            stream.set_read_timeout(Some(timeout))?;
                            stream.set_write_timeout(Some(timeout))?;
                            return Ok(Box::new(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                Ok(Box::new(stream))
            }
        }
    }
}

pub(crate) fn ask(
    endpoint: &Endpoint,
    timeout: Duration,
    facts: &Facts,
    header: &Header,
    body: &dyn Body,
) -> Result<Said, MilterError> {
    let mut talk = Talk { stream: endpoint.connect(timeout)?, steps: 0 };
    let said = talk.message(facts, header, body)?;
    // It may be gone already.
    let _ = talk.send(b'Q', &[]);
    Ok(said)
}

/// A conversation.
struct Talk<S> {
    stream: S,
    /// What was agreed upon.
    steps: u32,
}

/// Whether the filter has seen enough.
enum Step {
    On,
    Skip,
    Done(Said),
}

impl<S: Read + Write> Talk<S> {
    fn message(&mut self, facts: &Facts, header: &Header, body: &dyn Body) -> Result<Said, MilterError> {
        self.negotiate()?;
        let Facts { hostname, queue_id, helo, sender, recipients, account, mechanism, client, .. } = facts;
        let step = |step: Step| match step {
            Step::Done(said) => Some(said),
            Step::On | Step::Skip => None,
        };
        self.macros(b'C', &[("j", hostname), ("{daemon_name}", "procura"), ("v", "procura")])?;
        if let Some(said) = step(self.step(b'C', &connect(client.ip(), client.port()), 0x1, 0x1000)?) {
            return Ok(said);
        }
        if let Some(said) = step(self.step(b'H', &text(&[helo]), 0x2, 0x2000)?) {
            return Ok(said);
        }
        let mut of_mail = vec![("i", queue_id.as_str()), ("{mail_addr}", sender)];
        if let Some(account) = account {
            of_mail.extend([("{auth_type}", mechanism.as_str()), ("{auth_authen}", account.as_str())]);
        }
        self.macros(b'M', &of_mail)?;
        if let Some(said) = step(self.step(b'M', &text(&[&format!("<{sender}>")]), 0x4, 0x4000)?) {
            return Ok(said);
        }
        for recipient in recipients {
            self.macros(b'R', &[("{rcpt_addr}", recipient)])?;
            if let Some(said) = step(self.step(b'R', &text(&[&format!("<{recipient}>")]), 0x8, 0x8000)?) {
                return Ok(said);
            }
        }
        if let Some(said) = step(self.step(b'T', &[], 0x200, 0x1_0000)?) {
            return Ok(said);
        }
        for (name, value) in header.fields() {
            let data = field(name, value, self.steps & LEADING_SPACE != 0);
            match self.step(b'L', &data, 0x20, 0x80)? {
                Step::On => {}
                Step::Skip => break,
                Step::Done(said) => return Ok(said),
            }
        }
        if let Some(said) = step(self.step(b'N', &[], 0x40, 0x4_0000)?) {
            return Ok(said);
        }
        if let Some(said) = self.body(body)? {
            return Ok(said);
        }
        self.macros(b'E', &[("i", queue_id)])?;
        self.send(b'E', &[])?;
        self.end()
    }

    fn negotiate(&mut self) -> Result<(), MilterError> {
        let mut offer = Vec::new();
        for number in [VERSION, ACTIONS, STEPS] {
            offer.extend_from_slice(&number.to_be_bytes());
        }
        self.send(b'O', &offer)?;
        match self.reply()? {
            Reply::Negotiated { version, actions, steps } if (2..=VERSION).contains(&version) => {
                if actions & !ACTIONS != 0 {
                    // What it does not get it cannot do; a filter that insists says so by ending the conversation.
                    tracing::debug!(actions, "a milter wants to do more than it may");
                }
                self.steps = steps & STEPS;
                Ok(())
            }
            other => Err(MilterError::Protocol(format!("{other:?} instead of an agreement"))),
        }
    }

    fn body(&mut self, body: &dyn Body) -> Result<Option<Said>, MilterError> {
        if self.steps & 0x10 != 0 {
            return Ok(None);
        }
        let mut open = body.open()?;
        let mut chunk = vec![0; CHUNK];
        loop {
            let mut length = 0;
            while length < CHUNK {
                match open.read(&mut chunk[length..])? {
                    0 => break,
                    read => length += read,
                }
            }
            if length == 0 {
                return Ok(None);
            }
            match self.step(b'B', &chunk[..length], 0x10, 0x8_0000)? {
                Step::On => {}
                Step::Skip => return Ok(None),
                Step::Done(said) => return Ok(Some(said)),
            }
        }
    }

    /// Tells something, unless the filter does not want it, and takes its answer, unless it gives none.
    fn step(&mut self, command: u8, data: &[u8], unwanted: u32, unanswered: u32) -> Result<Step, MilterError> {
        if self.steps & unwanted != 0 {
            return Ok(Step::On);
        }
        self.send(command, data)?;
        if self.steps & unanswered != 0 {
            return Ok(Step::On);
        }
        for _ in 0..MOST_PACKETS {
            return Ok(match self.reply()? {
                Reply::Progress => continue,
                Reply::Continue => Step::On,
                Reply::Skip if self.steps & SKIP != 0 => Step::Skip,
                Reply::Accept => Step::Done(Said::default()),
                Reply::Reject => Step::Done(Said { action: Action::Reject, ..Said::default() }),
                Reply::Tempfail => Step::Done(Said { action: Action::Tempfail, ..Said::default() }),
                Reply::Discard => Step::Done(discarded()),
                Reply::Custom(words) => Step::Done(custom(words)),
                other => return Err(MilterError::Protocol(format!("{other:?} is no answer here"))),
            });
        }
        Err(MilterError::Protocol("it never comes to an end".to_owned()))
    }

    /// What it says after the end of the message.
    fn end(&mut self) -> Result<Said, MilterError> {
        let mut said = Said::default();
        for _ in 0..MOST_PACKETS {
            match self.reply()? {
                Reply::Progress => {}
                Reply::Edit(edit) => said.edits.push(edit),
                Reply::Quarantine(why) => {
                    said.action = Action::Quarantine;
                    said.words = Some(why);
                }
                Reply::Continue | Reply::Accept => return Ok(said),
                Reply::Reject => return Ok(Said { action: Action::Reject, ..Said::default() }),
                Reply::Tempfail => return Ok(Said { action: Action::Tempfail, ..Said::default() }),
                Reply::Discard => return Ok(discarded()),
                Reply::Custom(words) => return Ok(custom(words)),
                Reply::Unwanted(letter) => said.note = format!("it wants `{}`, which it may not", char::from(letter)),
                other => return Err(MilterError::Protocol(format!("{other:?} is no answer here"))),
            }
        }
        Err(MilterError::Protocol("it never comes to an end".to_owned()))
    }

    fn macros(&mut self, command: u8, values: &[(&str, &str)]) -> Result<(), MilterError> {
        let mut data = vec![command];
        for (name, value) in values {
            data.extend_from_slice(&text(&[name, value]));
        }
        self.send(b'D', &data)
    }

    fn send(&mut self, command: u8, data: &[u8]) -> Result<(), MilterError> {
        let length = u32::try_from(data.len() + 1).unwrap_or(u32::MAX);
        let mut packet = Vec::with_capacity(data.len() + 5);
        packet.extend_from_slice(&length.to_be_bytes());
        packet.push(command);
        packet.extend_from_slice(data);
        Ok(self.stream.write_all(&packet)?)
    }

    fn reply(&mut self) -> Result<Reply, MilterError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 || length > LONGEST {
            return Err(MilterError::Protocol(format!("a packet of {length} octets")));
        }
        let mut packet = vec![0; length];
        self.stream.read_exact(&mut packet)?;
        read(&packet)
    }
}

/// Reads a packet: its letter and its data.
///
/// # Errors
/// [`MilterError::Protocol`].
pub fn read(packet: &[u8]) -> Result<Reply, MilterError> {
    let Some((letter, data)) = packet.split_first() else {
        return Err(MilterError::Protocol("an empty packet".to_owned()));
    };
    let short = || MilterError::Protocol(format!("`{}` is too short", char::from(*letter)));
    let number = |data: &[u8]| -> Option<u32> { Some(u32::from_be_bytes(data.get(..4)?.try_into().ok()?)) };
    Ok(match letter {
        b'O' => {
            let all =
                (number(data), number(data.get(4..).unwrap_or_default()), number(data.get(8..).unwrap_or_default()));
            let (Some(version), Some(actions), Some(steps)) = all else { return Err(short()) };
            Reply::Negotiated { version, actions, steps }
        }
        b'c' => Reply::Continue,
        b'a' => Reply::Accept,
        b'r' => Reply::Reject,
        b't' | b'4' | b'f' => Reply::Tempfail,
        b'd' => Reply::Discard,
        b's' => Reply::Skip,
        b'p' => Reply::Progress,
        b'y' => Reply::Custom(strings(data, 1).ok_or_else(short)?.swap_remove(0)),
        b'q' => Reply::Quarantine(strings(data, 1).ok_or_else(short)?.swap_remove(0)),
        b'h' => {
            let mut both = strings(data, 2).ok_or_else(short)?;
            let (value, name) = (both.swap_remove(1), both.swap_remove(0));
            Reply::Edit(Edit::Add { name, value })
        }
        b'i' | b'm' => {
            let index = number(data).ok_or_else(short)? as usize;
            let mut both = strings(data.get(4..).unwrap_or_default(), 2).ok_or_else(short)?;
            let (value, name) = (both.swap_remove(1), both.swap_remove(0));
            Reply::Edit(match (letter, value.is_empty()) {
                (b'i', _) => Edit::Insert { index, name, value },
                (_, true) => Edit::Remove { index: index.max(1), name },
                (_, false) => Edit::Change { index: index.max(1), name, value },
            })
        }
        other => Reply::Unwanted(*other),
    })
}

/// So many texts, each ended by NUL; the last one may be ended by the packet.
fn strings(data: &[u8], count: usize) -> Option<Vec<String>> {
    let mut parts = data.split(|byte| *byte == 0);
    let texts: Vec<String> =
        parts.by_ref().take(count).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    (texts.len() == count).then_some(texts)
}

/// Texts, each ended by NUL. A NUL in one of them would begin another.
fn text(parts: &[&str]) -> Vec<u8> {
    let mut data = Vec::new();
    for part in parts {
        data.extend(part.bytes().filter(|byte| *byte != 0));
        data.push(0);
    }
    data
}

/// A field: lines end with LF, as libmilter has it.
fn field(name: &str, value: &[u8], leading_space: bool) -> Vec<u8> {
    let value: Vec<u8> = value.iter().copied().filter(|byte| *byte != b'\r' && *byte != 0).collect();
    let value = if leading_space { &value[..] } else { value.strip_prefix(b" ").unwrap_or(&value) };
    let mut data = name.as_bytes().to_vec();
    data.push(0);
    data.extend_from_slice(value);
    data.push(0);
    data
}

fn connect(address: IpAddr, port: u16) -> Vec<u8> {
    let name = match address {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    };
    let mut data = text(&[&name]);
    data.push(if address.is_ipv4() { b'4' } else { b'6' });
    data.extend_from_slice(&port.to_be_bytes());
    data.extend_from_slice(&text(&[&address.to_string()]));
    data
}

/// A milter's `reply` code decides whether it refuses or puts off.
fn custom(words: String) -> Said {
    let action = if words.starts_with('4') { Action::Tempfail } else { Action::Reject };
    Said { action, words: Some(words), ..Said::default() }
}

/// Mail that was accepted is not dropped: it is kept for somebody to look at.
fn discarded() -> Said {
    Said { action: Action::Quarantine, words: Some("it wants to drop it".to_owned()), ..Said::default() }
}
