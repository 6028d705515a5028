//! Mailboxes and groups: RFC 5322 §3.4 with RFC 6854, obsolete forms where they have one meaning.

use std::borrow::Cow;

use super::fault::SenderFaultKind as Fault;
use super::lexer::{Gap, Lexer, Word, WordKind, Words};
use super::{MAX_MAILBOXES, Mailbox};
use crate::address::{Address, AddressError};
use crate::encoded_word;

/// The mailboxes of a field value, at least one. Groups give their members.
pub(super) fn mailboxes(value: &[u8], groups: bool) -> Result<Vec<Mailbox>, Fault> {
    let mut parser = Parser { lexer: Lexer::new(value)?, mailboxes: Vec::new() };
    parser.address_list(groups)?;
    if parser.mailboxes.is_empty() { Err(Fault::NoMailbox) } else { Ok(parser.mailboxes) }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    mailboxes: Vec<Mailbox>,
}

impl<'a> Parser<'a> {
    /// `address *("," address)`, empty members allowed (obs-addr-list).
    fn address_list(&mut self, groups: bool) -> Result<(), Fault> {
        loop {
            let (words, gap) = self.lexer.words()?;
            match self.lexer.peek() {
                None | Some(',') if words.is_empty() => {}
                Some(':') if groups => self.group(&words)?,
                Some(':') => return Err(Fault::Group),
                _ => self.mailbox(words, gap)?,
            }
            self.lexer.gap()?;
            if !self.lexer.take(b',') {
                return self.end();
            }
        }
    }

    /// `display-name ":" [group-list] ";"`, from the colon on.
    fn group(&mut self, name: &[Word<'_>]) -> Result<(), Fault> {
        display_name(name)?.ok_or(Fault::GroupSyntax)?;
        self.lexer.take(b':');
        loop {
            let (words, gap) = self.lexer.words()?;
            match self.lexer.peek() {
                Some(',' | ';') if words.is_empty() => {}
                None | Some(':') => return Err(Fault::GroupSyntax),
                _ => self.mailbox(words, gap)?,
            }
            self.lexer.gap()?;
            if self.lexer.take(b';') {
                return Ok(());
            }
            if !self.lexer.take(b',') {
                return self.end().and(Err(Fault::GroupSyntax));
            }
        }
    }

    /// `[display-name] "<" … ">"` or `addr-spec`, after its words.
    fn mailbox(&mut self, words: Words<'a>, gap: Gap) -> Result<(), Fault> {
        let mailbox = match self.lexer.peek() {
            Some('<') => Mailbox { display_name: display_name(&words)?, address: self.angle_address()? },
            Some('@') => Mailbox { display_name: None, address: self.address(words, gap, false)? },
            Some('>') => return Err(Fault::AngleBrackets),
            None | Some(',' | ';') => return Err(Fault::NoAddress),
            Some(_) => return Err(Fault::Unexpected),
        };
        if self.mailboxes.len() == MAX_MAILBOXES {
            return Err(Fault::TooManyMailboxes);
        }
        self.mailboxes.push(mailbox);
        Ok(())
    }

    fn angle_address(&mut self) -> Result<Address, Fault> {
        self.lexer.take(b'<');
        let before = self.lexer.gap()?;
        let route = self.lexer.peek() == Some('@');
        if route {
            self.route()?;
        }
        let (words, gap) = self.lexer.words()?;
        if before.address_like || before.folded {
            return Err(Fault::CommentInAddress);
        }
        if self.lexer.peek() != Some('@') {
            return Err(match self.lexer.peek() {
                None => Fault::AngleBrackets,
                Some('>') => encoded_or(&words, Fault::NoAddress),
                Some(_) => encoded_or(&words, Fault::Unexpected),
            });
        }
        let address = self.address(words, gap, true)?;
        if self.lexer.take(b'>') { Ok(address) } else { Err(Fault::AngleBrackets) }
    }

    /// `obs-route = "@" domain *("," "@" domain) ":"`; it is dropped.
    fn route(&mut self) -> Result<(), Fault> {
        loop {
            let mut gap = self.lexer.gap()?;
            if self.lexer.take(b'@') {
                let domain = self.lexer.domain();
                Address::from_parts("route", domain).map_err(|_| Fault::Route)?;
                gap = self.lexer.gap()?;
            }
            match self.lexer.peek() {
                _ if gap.present => return Err(Fault::Route),
                Some(':') => {
                    self.lexer.take(b':');
                    return Ok(());
                }
                Some(',') => self.lexer.take(b','),
                _ => return Err(Fault::Route),
            };
        }
    }

    /// `local-part "@" domain`, from the `@` on; `gap` stands before it.
    fn address(&mut self, words: Words<'a>, mut gap: Gap, angle: bool) -> Result<Address, Fault> {
        let local = local_part(&words, angle)?;
        if words.iter().any(|word| word.folded) {
            return Err(Fault::FoldedAddress);
        }
        self.lexer.take(b'@');
        let after = self.lexer.gap()?;
        gap.address_like |= after.address_like || words.first().is_some_and(|word| angle && word.gap.address_like);
        gap.folded |= after.folded || words.first().is_some_and(|word| word.gap.folded);
        let domain = self.lexer.domain();
        let behind = self.lexer.gap()?;
        gap.address_like |= angle && behind.address_like;
        if gap.address_like || gap.folded {
            return Err(Fault::CommentInAddress);
        }
        if behind.present && self.lexer.peek() == Some('.') {
            return Err(Fault::ObsoleteAddress);
        }
        if domain.contains("=?") {
            return Err(Fault::EncodedWord);
        }
        let address = Address::from_parts(&local, domain).map_err(Fault::Address)?;
        if address.domain_literal() {
            return Err(Fault::AddressLiteral);
        }
        if !address.is_qualified() {
            return Err(Fault::Unqualified);
        }
        Ok(address)
    }

    /// Nothing may follow; if something does, says what it looks like.
    fn end(&mut self) -> Result<(), Fault> {
        match self.lexer.peek() {
            None => Ok(()),
            Some('>') => Err(Fault::AngleBrackets),
            Some(';') => Err(Fault::GroupSyntax),
            Some(':' | ']' | '[' | '\\') => Err(Fault::Unexpected),
            Some(_) => Err(Fault::MissingComma),
        }
    }
}

/// The content of a local part: one quoted string, or atoms with dots and nothing else between them.
fn local_part<'a>(words: &[Word<'a>], angle: bool) -> Result<Cow<'a, str>, Fault> {
    // One atom, as nearly always, is its own content.
    if let [Word { kind: WordKind::Atom(text), .. }] = words
        && !text.contains("=?")
    {
        return Ok(Cow::Borrowed(text));
    }
    let mut content = String::new();
    for (index, word) in words.iter().enumerate() {
        let beside_dot = index > 0 && (is_dot(word) || is_dot(&words[index - 1]));
        match &word.kind {
            _ if index > 0 && !beside_dot => {
                return Err(if angle { Fault::Unexpected } else { Fault::WordsBeforeAddress });
            }
            _ if beside_dot && word.gap.present => return Err(Fault::ObsoleteAddress),
            WordKind::Quoted(_) if beside_dot || words.get(index + 1).is_some_and(is_dot) => {
                return Err(Fault::ObsoleteAddress);
            }
            WordKind::Quoted(text) if text.contains(['@', '<', '>']) => return Err(Fault::ConfusingLocalPart),
            WordKind::Quoted(text) if text.contains("=?") => return Err(Fault::EncodedWord),
            WordKind::Atom(text) if text.contains("=?") => return Err(Fault::EncodedWord),
            WordKind::Quoted(text) => content.push_str(text),
            WordKind::Atom(text) => content.push_str(text),
            WordKind::Dot => content.push('.'),
        }
    }
    let quoted = matches!(words.first(), Some(Word { kind: WordKind::Quoted(_), .. }));
    if content.is_empty() {
        return Err(if quoted { Fault::Address(AddressError::EmptyLocal) } else { Fault::NoAddress });
    }
    if !quoted && content.split('.').any(str::is_empty) {
        return Err(Fault::Address(AddressError::LocalDot));
    }
    Ok(Cow::Owned(content))
}

/// The display name of a phrase; `None` without words.
fn display_name(words: &[Word<'_>]) -> Result<Option<String>, Fault> {
    if words.first().is_some_and(is_dot) || (0..words.len()).any(|index| has_inner_quote(words, index)) {
        return Err(Fault::DisplayName);
    }
    let mut name = String::with_capacity(32);
    let mut after_encoded = false;
    for word in words {
        let decoded = match &word.kind {
            WordKind::Atom(text) => encoded_word::decode(text),
            _ => None,
        };
        if word.gap.present && !name.is_empty() && !(after_encoded && decoded.is_some()) {
            name.push(' ');
        }
        after_encoded = decoded.is_some();
        match (&word.kind, &decoded) {
            (_, Some(text)) => name.push_str(text),
            (WordKind::Atom(text), None) => name.push_str(text),
            (WordKind::Quoted(text), None) => name.push_str(text),
            (WordKind::Dot, None) => name.push('.'),
        }
    }
    if !is_single_spaced(&name) {
        name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    Ok((!name.is_empty()).then_some(name))
}

/// Whether this is printable ASCII with no more than one space between words, and none around them.
fn is_single_spaced(name: &str) -> bool {
    let mut after_space = true;
    for byte in name.bytes() {
        if !matches!(byte, b' '..=b'~') || (byte == b' ' && after_space) {
            return false;
        }
        after_space = byte == b' ';
    }
    !after_space
}

/// Whether a quote stands inside a word, where it is a letter for some readers: `a"b, ceo@example.com, c" <b@y.com>` names
/// three mailboxes for them.
fn has_inner_quote(words: &[Word<'_>], index: usize) -> bool {
    let is_quoted = |word: &Word<'_>| matches!(word.kind, WordKind::Quoted(_));
    let gap = words[index].gap;
    let glued = index > 0 && !gap.present && (is_quoted(&words[index]) || is_quoted(&words[index - 1]));
    glued || (is_quoted(&words[index]) && gap.comment_last)
}

fn is_dot(word: &Word<'_>) -> bool {
    matches!(word.kind, WordKind::Dot)
}

fn encoded_or(words: &[Word<'_>], fault: Fault) -> Fault {
    let encoded = words.iter().any(|word| matches!(&word.kind, WordKind::Atom(text) if text.contains("=?")));
    if encoded { Fault::EncodedWord } else { fault }
}
