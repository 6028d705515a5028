//! Writing a header block anew: firewall, stamps and new fields on top.

use std::borrow::Cow;
use std::ops::Range;

use crate::address::Address;
use crate::firewall::Keep;
use crate::header::{Field, HeaderBlock};
use crate::senders::{Mailbox, newest_resent_block};
use crate::trace_fields::HOP_MARKER;

/// Writes `block` with `edits`, followed by the empty line. Fields that no edit touches are copied byte for byte.
pub fn rewrite(block: &HeaderBlock, edits: &Edits) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.as_bytes().len() + 1024);
    for (name, value) in &edits.prepend {
        write_field(&mut out, name, value);
    }
    if let Some(hops) = edits.hops {
        write_field(&mut out, HOP_MARKER, &hops.to_string());
    }
    let mut sender = Stamp::new("Sender", "From", &edits.sender, block, 0..block.fields().len());
    let mut resent_sender = match newest_resent_block(block) {
        Some(range) if edits.keep.routing => {
            Stamp::new("Resent-Sender", "Resent-From", &edits.resent_sender, block, range)
        }
        _ => Stamp::new("Resent-Sender", "Resent-From", &SenderEdit::Keep, block, 0..0),
    };
    for (index, field) in block.fields().enumerate() {
        sender.write_before(&mut out, index, edits.utf8);
        resent_sender.write_before(&mut out, index, edits.utf8);
        if !edits.drops(&field) && !sender.replaces(index, &field) && !resent_sender.replaces(index, &field) {
            out.extend_from_slice(field.raw);
        }
    }
    sender.write(&mut out, edits.utf8);
    out.extend_from_slice(b"\r\n");
    out
}

/// What [`rewrite`] changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// The firewalled fields that stay.
    pub keep: Keep,
    /// What becomes of Sender.
    pub sender: SenderEdit,
    /// What becomes of Resent-Sender in the newest Resent block; without effect where the block is not kept.
    pub resent_sender: SenderEdit,
    /// Fields put on top, the first one topmost. Values are plain text; long lines are folded, control characters become
    /// spaces.
    pub prepend: Vec<(Cow<'static, str>, String)>,
    /// Fields of these names are dropped (organization headers that are written anew).
    pub drop: Vec<Cow<'static, str>>,
    /// Sets the hop marker (see [`crate::trace_fields::hops`]); `None` leaves it.
    pub hops: Option<u32>,
    /// Display names are written as UTF-8 (SMTPUTF8) rather than as encoded words.
    pub utf8: bool,
}

impl Edits {
    fn drops(&self, field: &Field<'_>) -> bool {
        !self.keep.keeps(field)
            || (self.hops.is_some() && field.is(HOP_MARKER))
            || self.drop.iter().any(|name| field.is(name))
    }
}

/// What becomes of a sender field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SenderEdit {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is dropped.
    Remove,
    /// It is set, or replaced. A new one stands directly before From, or Resent-From.
    Set(Mailbox),
}

/// Longer lines are cut wherever that is, in octets. RFC 5322 §2.1.1 allows 998.
const LONGEST_LINE: usize = 900;

/// Appends `name: value`, folded at spaces outside quotes to lines of 78 characters where it can be, of 998 where it must. Unfolding
/// gives the value again, but for space at its ends and control characters, which become spaces.
pub fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    const WISH: usize = 78;
    let clean: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    out.extend(name.bytes().filter(|b| b.is_ascii_graphic() && *b != b':'));
    out.push(b':');
    let mut column = name.len() + 1;
    let mut rest = clean.trim_matches(' ');
    let mut spaces = " ";
    while !rest.is_empty() {
        let (word, tail) = rest.split_at(word_length(rest));
        // No address holds more spaces in a row; what else does can do without.
        spaces = &spaces[..spaces.len().min(Address::MAX_LENGTH)];
        if column + spaces.len() + word.len() > WISH && column > name.len() + 1 {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.extend_from_slice(spaces.as_bytes());
        column = write_word(out, word, column + spaces.len());
        (spaces, rest) = tail.split_at(tail.find(|c| c != ' ').unwrap_or(tail.len()));
    }
    out.extend_from_slice(b"\r\n");
}

/// The length of what stands before the first space outside quotes: there are readers for whom a line end ends a quoted
/// string.
fn word_length(text: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (index, byte) in text.bytes().enumerate().take(LONGEST_LINE) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b' ' if !quoted => return index,
            _ => {}
        }
    }
    // A quote without its end, and one that no line could hold, quotes nothing.
    text.find(' ').filter(|_| quoted || text.len() > LONGEST_LINE).unwrap_or(text.len())
}

/// Appends a word, cut where a line would become too long. Gives the column behind it.
fn write_word(out: &mut Vec<u8>, word: &str, mut column: usize) -> usize {
    let mut rest = word;
    while column + rest.len() > LONGEST_LINE {
        let mut cut = LONGEST_LINE.saturating_sub(column).min(rest.len());
        while !rest.is_char_boundary(cut) {
            cut -= 1;
        }
        out.extend_from_slice(&rest.as_bytes()[..cut]);
        out.extend_from_slice(b"\r\n ");
        rest = &rest[cut..];
        column = 1;
    }
    out.extend_from_slice(rest.as_bytes());
    column + rest.len()
}

/// One sender field being edited within a range of fields.
struct Stamp<'a> {
    name: &'static str,
    edit: &'a SenderEdit,
    range: Range<usize>,
    /// Before which field the new one goes.
    place: Option<usize>,
    /// Whether it is still to be written.
    pending: bool,
}

impl<'a> Stamp<'a> {
    fn new(
        name: &'static str,
        author: &'static str,
        edit: &'a SenderEdit,
        block: &HeaderBlock,
        range: Range<usize>,
    ) -> Stamp<'a> {
        let position = |name| {
            let mut fields = block.fields().enumerate().skip(range.start).take(range.len());
            fields.find(|(_, field)| field.is(name)).map(|(index, _)| index)
        };
        let place = position(author).or_else(|| position(name));
        Stamp { name, edit, place, pending: matches!(edit, SenderEdit::Set(_)), range }
    }

    fn replaces(&self, index: usize, field: &Field<'_>) -> bool {
        !matches!(self.edit, SenderEdit::Keep) && self.range.contains(&index) && field.is(self.name)
    }

    fn write_before(&mut self, out: &mut Vec<u8>, index: usize, utf8: bool) {
        if self.place == Some(index) {
            self.write(out, utf8);
        }
    }

    fn write(&mut self, out: &mut Vec<u8>, utf8: bool) {
        if let SenderEdit::Set(mailbox) = self.edit
            && std::mem::take(&mut self.pending)
        {
            write_field(out, self.name, &mailbox.to_header(utf8));
        }
    }
}
