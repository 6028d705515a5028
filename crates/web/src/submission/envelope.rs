//! The envelope of a message that is sent as it is (`message/rfc822`): from the query, or from the message's own fields.

use axum::http::Uri;
use message::{Address, HeaderBlock, Mailbox, mailbox_list, senders};
use transport::submission::Envelope;

use super::problem::Problem;

/// What the query says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    /// `Some("")`: the null reverse-path.
    pub(super) from: Option<String>,
    pub(super) to: Vec<String>,
    pub(super) partial: bool,
    pub(super) mailbox: Option<String>,
}

impl Parameters {
    /// Reads a query.
    pub(super) fn read(uri: &Uri) -> Result<Parameters, Problem> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let pairs = pairs.map_err(|error| Problem::bad_request(error.to_string()))?;
        let mut parameters = Parameters::default();
        for (name, value) in pairs.0 {
            let twice = || Problem::bad_request(format!("the parameter {name} is there twice"));
            match name.as_str() {
                "from" => {
                    if parameters.from.replace(value).is_some() {
                        return Err(twice());
                    }
                }
                "to" => parameters.to.push(value),
                "partial" => {
                    parameters.partial = match value.as_str() {
                        "true" => true,
                        "false" => false,
                        _ => return Err(Problem::bad_request("`partial` is `true` or `false`")),
                    };
                }
                "mailbox" if !value.is_empty() => {
                    if parameters.mailbox.replace(value).is_some() {
                        return Err(twice());
                    }
                }
                _ => return Err(Problem::bad_request(format!("there is no parameter {name} here"))),
            }
        }
        Ok(parameters)
    }

    /// The envelope of a message as it is; what is not said is taken from its header, with which `head` begins.
    pub(super) fn envelope(&self, head: &[u8], size: Option<u64>) -> Result<Envelope, Problem> {
        let (mut sender, mut recipients) = self.named()?;
        if sender.is_none() || recipients.is_empty() {
            let block = header(head)?;
            if sender.is_none() {
                sender = Some(Some(author(&block)?));
            }
            if recipients.is_empty() {
                recipients = addressees(&block)?;
            }
        }
        Ok(Envelope { sender: sender.flatten(), recipients, smtputf8: !is_ascii(head), size, partial: self.partial })
    }

    /// An envelope, but for what is said otherwise here.
    pub(super) fn over(&self, envelope: Envelope) -> Result<Envelope, Problem> {
        let (sender, recipients) = self.named()?;
        Ok(Envelope {
            sender: sender.unwrap_or(envelope.sender),
            recipients: if recipients.is_empty() { envelope.recipients } else { recipients },
            partial: self.partial || envelope.partial,
            ..envelope
        })
    }

    /// Sender and recipients that are named; `Some(None)` is the null reverse-path.
    fn named(&self) -> Result<(Option<Option<Address>>, Vec<Address>), Problem> {
        let address = |text: &str| {
            Address::parse(text).map_err(|error| Problem::invalid("", format!("`{text}` is no address: {error}")))
        };
        let named = self.from.as_deref().map(|from| match from {
            "" | "<>" => Ok(None),
            from => address(from).map(Some),
        });
        let recipients = self.to.iter().map(|to| address(to)).collect::<Result<_, _>>()?;
        Ok((named.transpose()?, recipients))
    }
}

/// The header block of a message, lines ended in either way.
fn header(head: &[u8]) -> Result<HeaderBlock, Problem> {
    let mut lines = Vec::with_capacity(head.len() + 256);
    for line in head.split_inclusive(|octet| *octet == b'\n') {
        lines.extend_from_slice(line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n")).unwrap_or(line));
        lines.extend_from_slice(b"\r\n");
    }
    HeaderBlock::parse(&lines).map_err(|fault| Problem::invalid("", fault.to_string()))
}

/// Who sends: Sender, else the first of From.
fn author(block: &HeaderBlock) -> Result<Address, Problem> {
    let senders = senders(block).map_err(|fault| Problem::invalid("", fault.to_string()))?;
    let author = senders.sender.or_else(|| senders.from.into_iter().next());
    author.map(|mailbox| mailbox.address).ok_or_else(|| Problem::invalid("", "the message has no From field"))
}

/// To whom: To, Cc and Bcc.
fn addressees(block: &HeaderBlock) -> Result<Vec<Address>, Problem> {
    let mut addresses = Vec::new();
    for name in ["To", "Cc", "Bcc"] {
        for field in block.named(name) {
            if field.text().is_empty() {
                continue;
            }
            // As it is folded: one line of all of it may be too long to be read.
            let mailboxes = mailbox_list(&String::from_utf8_lossy(field.value()))
                .map_err(|kind| Problem::invalid("", format!("the {name} field {kind}")))?;
            addresses.extend(mailboxes.into_iter().map(|Mailbox { address, .. }| address));
        }
    }
    match addresses.is_empty() {
        true => {
            Err(Problem::invalid("", "the message names no recipient in To, Cc or Bcc, and the query none in `to`"))
        }
        false => Ok(addresses),
    }
}

fn is_ascii(head: &[u8]) -> bool {
    head.is_ascii()
}

/// The header of a message that comes in pieces, up to its empty line.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) octets: Vec<u8>,
    /// Where the body begins.
    end: Option<usize>,
}

/// A header beyond this is not collected; the session has a limit of its own.
pub(super) const LONGEST_HEAD: usize = 1 << 20;

impl Head {
    /// Takes a piece; true once the header is complete, or too long.
    pub(super) fn push(&mut self, piece: &[u8]) -> bool {
        let mut from = self.octets.len().saturating_sub(3);
        self.octets.extend_from_slice(piece);
        while let Some(at) = self.octets.get(from..).and_then(|rest| rest.iter().position(|octet| *octet == b'\n')) {
            let rest = &self.octets[from + at + 1..];
            if rest.starts_with(b"\n") || rest.starts_with(b"\r\n") {
                let blank = if rest.starts_with(b"\n") { 1 } else { 2 };
                self.end = Some(from + at + 1 + blank);
                return true;
            }
            from += at + 1;
        }
        self.octets.len() > LONGEST_HEAD
    }

    /// The header with its empty line; all of it where there is none.
    pub(super) fn header(&self) -> &[u8] {
        &self.octets[..self.end.unwrap_or(self.octets.len())]
    }

    /// What came behind the header.
    pub(super) fn rest(&self) -> &[u8] {
        &self.octets[self.end.unwrap_or(self.octets.len())..]
    }

    /// Gives the header without its Bcc fields (RFC 5322 §3.6.3), which nobody else may see.
    pub(super) fn without_bcc(&self, give: &mut dyn FnMut(&[u8])) {
        let mut in_bcc = false;
        for line in self.header().split_inclusive(|octet| *octet == b'\n') {
            let continues = line.first().is_some_and(|octet| matches!(octet, b' ' | b'\t'));
            if !continues {
                let name = line.split(|octet| *octet == b':').next().unwrap_or_default();
                in_bcc = line.contains(&b':') && name.trim_ascii_end().eq_ignore_ascii_case(b"bcc");
            }
            if !in_bcc {
                give(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        let mut head = Head::default();
        // In pieces of every kind.
        for piece in text.as_bytes().chunks(3) {
            if head.push(piece) {
                break;
            }
        }
        head
    }

    fn kept(text: &str) -> String {
        let mut kept = Vec::new();
        head(text).without_bcc(&mut |line| kept.extend_from_slice(line));
        String::from_utf8(kept).unwrap()
    }

    #[test]
    fn the_header_ends_with_its_empty_line_however_lines_end() {
        for (text, header) in
            [("a: b\n\nbody", "a: b\n\n"), ("a: b\r\n\r\nbody", "a: b\r\n\r\n"), ("a: b\r\n", "a: b\r\n")]
        {
            assert_eq!(head(text).header(), header.as_bytes());
        }
    }

    #[test]
    fn blind_copies_stay_blind() {
        let text = "From: a@b\r\nBCC: secret@x,\r\n\tother@x\r\nTo: c@d\r\n\r\n";
        assert_eq!(kept(text), "From: a@b\r\nTo: c@d\r\n\r\n");
        assert_eq!(kept("Bcc : x@y\nSubject: bcc: no\n\n"), "Subject: bcc: no\n\n");
    }

    #[test]
    fn what_the_query_does_not_say_the_message_does() {
        let text = b"From: Alice <alice@example.com>\nSender: desk@example.com\nTo: bob@x.test, Eve <eve@x.test>\nBcc: z@x.test\n\n";
        let envelope = Parameters::default().envelope(text, None).unwrap();
        assert_eq!(envelope.sender.unwrap().as_str(), "desk@example.com");
        let to: Vec<&str> = envelope.recipients.iter().map(Address::as_str).collect();
        assert_eq!(to, ["bob@x.test", "eve@x.test", "z@x.test"]);
    }

    #[test]
    fn a_hundred_recipients_may_be_named_in_folded_lines() {
        let many: Vec<String> = (0..100).map(|number| format!("user{number}@example.com")).collect();
        for end in ["\n", "\r\n"] {
            let head = format!("From: a@x.test{end}To: {}{end}{end}", many.join(&format!(",{end} ")));
            let envelope = Parameters::default().envelope(head.as_bytes(), None).unwrap();
            assert_eq!(envelope.recipients.iter().map(Address::as_str).collect::<Vec<_>>(), many);
        }
    }

    #[test]
    fn the_query_stands_before_the_message() {
        let uri: Uri = "/v1/messages?from=&to=carol%40x.test&partial=true".parse().unwrap();
        let parameters = Parameters::read(&uri).unwrap();
        let envelope = parameters.envelope(b"From: a@x.test\nTo: b@x.test\n\n", Some(9)).unwrap();
        assert_eq!((envelope.sender, envelope.partial), (None, true));
        assert_eq!(envelope.recipients[0].as_str(), "carol@x.test");
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        for query in ["form=a@b", "from=a@b&from=c@d", "partial=yes", "mailbox="] {
            let uri: Uri = format!("/v1/messages?{query}").parse().unwrap();
            assert!(Parameters::read(&uri).is_err(), "{query}");
        }
    }
}
