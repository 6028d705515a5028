//! The messages: who they claim to come from, and their bytes.

use std::str::FromStr;
use std::sync::LazyLock;

use crate::error::PlanError;
use crate::pattern::Pattern;
use crate::random::Random;
use crate::sizes::weighted;

/// Senders with weights, drawn anew for each message: `{account}@example.com=8,ceo@example.com=1,<>/ceo@example.com=1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderMix {
    senders: Vec<(SenderPattern, u64)>,
    total_weight: u64,
}

/// One way to claim a sender: the reverse-path, the From field and the Sender field. Written `ENVELOPE`,
/// `ENVELOPE/FROM` or `ENVELOPE/FROM/SENDER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderPattern {
    /// `None` is the null reverse-path `<>`.
    pub envelope: Option<Pattern>,
    /// The From field; the envelope's address where it is not given.
    pub from: Option<Pattern>,
    /// The Sender field, if there is to be one.
    pub sender: Option<Pattern>,
}

/// The senders of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Senders {
    pub envelope: String,
    pub from: String,
    pub sender: Option<String>,
}

impl SenderMix {
    pub(crate) fn needs_account(&self) -> bool {
        self.senders.iter().any(|(sender, _)| {
            [&sender.envelope, &sender.from, &sender.sender].into_iter().flatten().any(Pattern::needs_account)
        })
    }

    pub(crate) fn any(&self, random: &mut Random, account: &str) -> Senders {
        let mut ticket = random.below(self.total_weight);
        let mut chosen = &self.senders[0].0;
        for (sender, weight) in &self.senders {
            chosen = sender;
            if ticket < *weight {
                break;
            }
            ticket -= weight;
        }
        let envelope = chosen.envelope.as_ref().map(|pattern| pattern.any(random, account)).unwrap_or_default();
        let from = match &chosen.from {
            Some(pattern) => pattern.any(random, account),
            None if envelope.is_empty() => "postmaster@load.invalid".to_owned(),
            None => envelope.clone(),
        };
        let sender = chosen.sender.as_ref().map(|pattern| pattern.any(random, account));
        Senders { envelope, from, sender }
    }
}

impl FromStr for SenderMix {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<SenderMix, PlanError> {
        let mut senders = Vec::new();
        for part in text.split(',') {
            let (sender, weight) = weighted(part.trim())?;
            senders.push((sender.parse()?, weight));
        }
        let total_weight = senders.iter().map(|(_, weight)| weight).sum();
        Ok(SenderMix { senders, total_weight })
    }
}

impl FromStr for SenderPattern {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<SenderPattern, PlanError> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 3 || parts.iter().any(|part| part.is_empty()) {
            return Err(PlanError::Sender { text: text.to_owned() });
        }
        let envelope = if parts[0] == "<>" { None } else { Some(address(parts[0])?) };
        let field = |index: usize| parts.get(index).map(|part| address(part)).transpose();
        Ok(SenderPattern { envelope, from: field(1)?, sender: field(2)? })
    }
}

fn address(text: &str) -> Result<Pattern, PlanError> {
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '<' || c == '>') {
        return Err(PlanError::Address { text: text.to_owned() });
    }
    text.parse()
}

/// A message ready for the wire: CRLF lines, no line begins with a dot, and the end-of-data line follows.
#[derive(Debug)]
pub(crate) struct Message {
    header: Vec<u8>,
    /// Lines of text that are the same in all messages.
    lines: usize,
    end: Vec<u8>,
}

impl Message {
    /// A message of `size` bytes, or a little more where the header alone is longer.
    pub(crate) fn new(senders: &Senders, recipient: &str, id: &str, size: u64) -> Message {
        let mut header = format!("From: <{}>\r\n", senders.from);
        if let Some(sender) = &senders.sender {
            header += &format!("Sender: <{sender}>\r\n");
        }
        header += &format!(
            "To: <{recipient}>\r\nSubject: load {id}\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <{id}@load.invalid>\r\n\r\n"
        );
        let missing = (size as usize).saturating_sub(header.len());
        // The last line is as short as needed, but never a lone CR or LF.
        let lines = (missing.saturating_sub(2)) / LINE.len();
        let last = match missing - lines * LINE.len() {
            0 => 0,
            rest => rest.max(2),
        };
        let mut end = Vec::with_capacity(last + 3);
        if last > 0 {
            end.extend_from_slice(&LAST[..last - 2]);
            end.extend_from_slice(b"\r\n");
        }
        end.extend_from_slice(b".\r\n");
        Message { header: header.into_bytes(), lines, end }
    }

    /// Its pieces in their order. The text is the same memory for all messages, so that a generator of large ones copies
    /// little and leaves the processors' caches to the server.
    pub(crate) fn pieces(&self) -> Vec<&[u8]> {
        let text: &[u8] = &TEXT;
        let mut pieces = vec![self.header.as_slice()];
        let mut missing = self.lines * LINE.len();
        while missing > 0 {
            let piece = &text[..missing.min(text.len())];
            missing -= piece.len();
            pieces.push(piece);
        }
        pieces.push(&self.end);
        pieces
    }

    /// Bytes without the end-of-data line.
    pub(crate) fn size(&self) -> u64 {
        (self.header.len() + self.lines * LINE.len() + self.end.len() - 3) as u64
    }
}

/// Many lines of text.
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| LINE.repeat(840));

/// A line of text with its line ending: 78 bytes.
const LINE: &[u8; 78] = b"The quick brown fox jumps over the lazy dog while sixty-four mailers queue u\r\n";

/// What the last line is cut from; it may be as long as another and a byte.
const LAST: &[u8; 77] = b"The quick brown fox jumps over the lazy dog while sixty-four mailers queue up";

#[cfg(test)]
mod tests {
    use super::*;

    fn message(size: u64) -> Vec<u8> {
        let senders = Senders { envelope: "a@x".into(), from: "a@x".into(), sender: None };
        let message = Message::new(&senders, "b@y", "1-1", size);
        let written = message.pieces().concat();
        assert_eq!(message.size(), written.len() as u64 - 3);
        written
    }

    #[test]
    fn a_message_has_the_size_asked_for() {
        for size in (500..700).chain([10_000, 65_520, 65_521, 131_200, 1_000_000]) {
            let written = message(size).len() as u64 - 3;
            assert!((size..=size + 1).contains(&written), "{size} became {written}");
        }
    }

    #[test]
    fn every_line_ends_with_crlf_and_only_the_last_is_a_dot() {
        let text = String::from_utf8(message(5_000)).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert!(lines.iter().all(|line| !line.contains(['\r', '\n'])));
        assert_eq!(lines.iter().filter(|line| line.starts_with('.')).count(), 1);
        assert_eq!(lines[lines.len() - 2..], [".", ""]);
    }

    #[test]
    fn the_from_field_is_the_envelope_where_nothing_else_is_said() {
        let mix: SenderMix = "{account}@example.com".parse().unwrap();
        let senders = mix.any(&mut Random::new(1), "bob");
        assert_eq!((senders.envelope.as_str(), senders.from.as_str()), ("bob@example.com", "bob@example.com"));
    }

    #[test]
    fn a_null_sender_keeps_its_from_field() {
        let mix: SenderMix = "<>/ceo@example.com".parse().unwrap();
        let senders = mix.any(&mut Random::new(1), "");
        assert_eq!((senders.envelope.as_str(), senders.from.as_str()), ("", "ceo@example.com"));
    }

    #[test]
    fn weights_are_followed() {
        let mix: SenderMix = "a@x=3,b@x=1".parse().unwrap();
        let mut random = Random::new(5);
        let a = (0..4_000).filter(|_| mix.any(&mut random, "").envelope == "a@x").count();
        assert!((2_800..3_200).contains(&a), "{a} of 4000 had the weight of three quarters");
    }

    #[test]
    fn an_address_cannot_break_out_of_its_line() {
        assert!(matches!("a@x\r\nRCPT".parse::<SenderMix>(), Err(PlanError::Address { .. })));
    }

    #[test]
    fn four_parts_are_refused() {
        assert!(matches!("a@x/b@x/c@x/d@x".parse::<SenderMix>(), Err(PlanError::Sender { .. })));
    }
}
