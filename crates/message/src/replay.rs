//! Messages as files with their envelope in fields before the header: what replay folders take and drop folders get.
//!
//! ```text
//! X-Sender: <alice@example.com> RET=HDRS ENVID=QQ314159
//! X-Receiver: <bob@example.net> NOTIFY=FAILURE ORCPT=rfc822;robert@example.net
//! X-Receiver: <carol@example.net>
//! X-CreatedBy: MSExchange15
//! X-HeloDomain: client.example.com
//! X-Source: SMTP:Default MAIL
//! X-SourceIPAddress: 192.0.2.7
//! X-EndOfInjectedXHeaders: 1234
//! Received: …
//! ```
//!
//! Only fields of these names that stand before all others are the envelope's. They prove nothing: what a message may do
//! is decided about whoever the folder, or the file, belongs to.

use std::borrow::Cow;

use thiserror::Error;

use crate::Keep;
use crate::address::{Address, AddressError};
use crate::header::{Field, HeaderBlock};
use crate::rewrite::{Edits, rewrite};

/// The fields of the envelope, the last one ends it. `X-ExtendedProps` and `X-ExtendedMessageProps` hold what only the
/// server knows that wrote them.
const FIELDS: [&str; 9] = [
    "X-Sender",
    "X-Receiver",
    "X-CreatedBy",
    "X-HeloDomain",
    "X-ExtendedProps",
    "X-ExtendedMessageProps",
    "X-Source",
    "X-SourceIPAddress",
    END,
];
const END: &str = "X-EndOfInjectedXHeaders";

/// Parameters that go with the sender and with recipients (RFC 3461, RFC 6152); others are passed over. `AUTH=` is one of
/// those: nobody is believed who writes a file.
const SENDER_PARAMETERS: [&str; 3] = ["BODY", "RET", "ENVID"];
const RECEIVER_PARAMETERS: [&str; 2] = ["NOTIFY", "ORCPT"];
/// The longest value of a parameter (RFC 3461 §4.2).
const LONGEST_VALUE: usize = 500;

/// A keyword in capitals, and its value as in a command of SMTP: printable ASCII without spaces.
pub type Parameter = (&'static str, String);

/// An envelope as a file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FiledEnvelope {
    /// `None` is the null reverse-path.
    pub sender: Option<Address>,
    /// `BODY`, `RET`, `ENVID`.
    pub sender_parameters: Vec<Parameter>,
    /// At least one, with `NOTIFY` and `ORCPT`.
    pub receivers: Vec<(Address, Vec<Parameter>)>,
    /// Who wrote the file, by its own word.
    pub created_by: Option<String>,
    /// What the client called itself that the message came from first, by the writer's word.
    pub helo: Option<String>,
    /// How it came to the writer.
    pub source: Option<String>,
}

/// Why a file has no envelope.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FiledFault {
    /// No sender.
    #[error("the file does not begin with an X-Sender field (before any field of the message itself)")]
    NoSender,
    /// More than one.
    #[error("there are several X-Sender fields")]
    SeveralSenders,
    /// No recipient.
    #[error("no X-Receiver field stands before the fields of the message itself")]
    NoReceiver,
    /// An address that is none.
    #[error("{field}: {fault}")]
    Address {
        /// `X-Sender` or `X-Receiver`.
        field: &'static str,
        /// What is wrong with it.
        fault: AddressError,
    },
    /// Something after an address that is no parameter.
    #[error("{field}: `{text}` is no parameter such as NOTIFY=FAILURE")]
    Parameter {
        /// `X-Sender` or `X-Receiver`.
        field: &'static str,
        /// What stands there.
        text: String,
    },
}

/// Reads the envelope that a header begins with, and gives the header of the message itself.
pub fn filed_envelope(block: &HeaderBlock) -> Result<(FiledEnvelope, Vec<u8>), FiledFault> {
    let mut envelope = FiledEnvelope::default();
    let (mut sender, mut length) = (None, 0);
    for field in block.fields() {
        let Some(name) = FIELDS.into_iter().find(|name| field.is(name)) else { break };
        length += field.raw.len();
        match name {
            "X-Sender" if sender.is_some() => return Err(FiledFault::SeveralSenders),
            "X-Sender" => {
                let (address, parameters) = mailbox(&field, "X-Sender", &SENDER_PARAMETERS)?;
                sender = Some(address);
                envelope.sender_parameters = parameters;
            }
            "X-Receiver" => {
                let (address, parameters) = mailbox(&field, "X-Receiver", &RECEIVER_PARAMETERS)?;
                let address = address.ok_or(FiledFault::Address { field: "X-Receiver", fault: AddressError::Empty })?;
                envelope.receivers.push((address, parameters));
            }
            "X-CreatedBy" => envelope.created_by = Some(field.text()),
            "X-HeloDomain" => envelope.helo = Some(field.text()),
            "X-Source" => envelope.source = Some(field.text()),
            END => break,
            _ => {}
        }
    }
    envelope.sender = sender.ok_or(FiledFault::NoSender)?;
    if envelope.receivers.is_empty() {
        return Err(FiledFault::NoReceiver);
    }
    let rest = block.as_bytes().get(length..).unwrap_or_default();
    Ok((envelope, [rest, b"\r\n"].concat()))
}

/// `<address> KEYWORD=VALUE …`, or the address without brackets.
fn mailbox(
    field: &Field<'_>,
    name: &'static str,
    keywords: &[&'static str],
) -> Result<(Option<Address>, Vec<Parameter>), FiledFault> {
    let text = field.text();
    let (path, rest) = match text.strip_prefix('<') {
        Some(inner) => {
            let end = closing(inner).ok_or(FiledFault::Address { field: name, fault: AddressError::Empty })?;
            (&inner[..end], &inner[end + 1..])
        }
        // The null reverse-path has its brackets: an empty field says nothing.
        None if text.is_empty() => return Err(FiledFault::Address { field: name, fault: AddressError::Empty }),
        None => text.split_once([' ', '\t']).unwrap_or((&text, "")),
    };
    let address = match path {
        "" => None,
        path => Some(Address::parse(path).map_err(|fault| FiledFault::Address { field: name, fault })?),
    };
    let mut parameters = Vec::new();
    for word in rest.split_ascii_whitespace() {
        let wrong = || FiledFault::Parameter { field: name, text: word.chars().take(80).collect() };
        let (keyword, value) = word.split_once('=').ok_or_else(wrong)?;
        let Some(keyword) = keywords.iter().find(|known| known.eq_ignore_ascii_case(keyword)) else { continue };
        let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic());
        if value.is_empty() || value.len() > LONGEST_VALUE || !is_plain {
            return Err(wrong());
        }
        // Twice is once too often in a command.
        if parameters.iter().any(|(known, _)| known == keyword) {
            return Err(wrong());
        }
        // RFC 3461 §4.2 wants a type, and the reference leaves it away.
        let typed = *keyword == "ORCPT" && !value.contains(';');
        parameters.push((*keyword, if typed { format!("rfc822;{value}") } else { value.to_owned() }));
    }
    Ok((address, parameters))
}

/// Where the bracket closes, outside of quotes.
fn closing(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(index),
            _ => {}
        }
    }
    None
}

/// The fields of an envelope, as they stand at the beginning of a file whose message has `size` octets.
pub fn write_filed(envelope: &FiledEnvelope, size: u64) -> Vec<u8> {
    let path = |address: Option<&Address>, parameters: &[Parameter]| {
        let mut text = format!("<{}>", address.map(Address::as_str).unwrap_or_default());
        for (keyword, value) in parameters {
            text += &format!(" {keyword}={value}");
        }
        text
    };
    let mut out = Vec::new();
    // Not folded: those who read such files take one line for one field.
    let mut put = |name: &str, value: &str| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend(value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().into_bytes());
        out.extend_from_slice(b"\r\n");
    };
    put("X-Sender", &path(envelope.sender.as_ref(), &envelope.sender_parameters));
    for (address, parameters) in &envelope.receivers {
        put("X-Receiver", &path(Some(address), parameters));
    }
    let optional =
        [("X-CreatedBy", &envelope.created_by), ("X-HeloDomain", &envelope.helo), ("X-Source", &envelope.source)];
    for (name, value) in optional {
        if let Some(value) = value {
            put(name, value);
        }
    }
    put(END, &size.to_string());
    out
}

/// The header of a message that goes into a file behind its envelope: without fields that a reader could take for parts of
/// the envelope, and without those of the firewall that `keep` does not name. With its empty line.
pub fn header_behind_envelope(block: &HeaderBlock, keep: Keep) -> Vec<u8> {
    let edits = Edits { keep, drop: FIELDS.map(Cow::Borrowed).to_vec(), ..Edits::default() };
    rewrite(block, &edits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(header: &str) -> Result<(FiledEnvelope, String), FiledFault> {
        let block = HeaderBlock::parse(format!("{header}\r\n").as_bytes()).unwrap();
        filed_envelope(&block).map(|(envelope, rest)| (envelope, String::from_utf8(rest).unwrap()))
    }

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn an_envelope_of_the_reference_is_read() {
        let header = "X-sender: <alice+x@example.com> BODY=8bitmime RET=HDRS ENVID=QQ314\r\n\
            X-Receiver: <bob@example.net> NOTIFY=NEVER ORCPT=rfc822;robert@example.net\r\nX-Receiver: carol@example.net\r\n\
            X-CreatedBy: MSExchange15\r\nX-HeloDomain: mail.example.com\r\nX-ExtendedProps: BQBjAAoA\r\n\tAAUA\r\n\
            X-Source: SMTP:Default MAIL\r\nX-SourceIPAddress: 10.0.0.7\r\nX-EndOfInjectedXHeaders: 20998\r\n\
            Received: from a by b\r\nX-Receiver: <eve@evil.test>\r\nSubject: x\r\n";
        let (envelope, rest) = read(header).unwrap();
        assert_eq!(rest, "Received: from a by b\r\nX-Receiver: <eve@evil.test>\r\nSubject: x\r\n\r\n");
        assert_eq!(envelope.sender, Some(address("alice+x@example.com")));
        let parameters = [("BODY", "8bitmime".to_owned()), ("RET", "HDRS".to_owned()), ("ENVID", "QQ314".to_owned())];
        assert_eq!(envelope.sender_parameters, parameters);
        let reported = vec![("NOTIFY", "NEVER".to_owned()), ("ORCPT", "rfc822;robert@example.net".to_owned())];
        let receivers = [(address("bob@example.net"), reported), (address("carol@example.net"), Vec::new())];
        assert_eq!(envelope.receivers, receivers);
        assert_eq!(envelope.created_by.as_deref(), Some("MSExchange15"));
    }

    #[test]
    fn only_what_stands_before_the_message_is_the_envelope() {
        let fault = read("From: a@x.test\r\nX-Sender: <a@x.test>\r\nX-Receiver: <b@x.test>\r\n");
        assert_eq!(fault, Err(FiledFault::NoSender));
        let header = "X-Sender: <a@x.test>\r\nX-Receiver: <b@x.test>\r\nX-EndOfInjectedXHeaders: 0\r\nX-Receiver: <c@x.test>\r\n";
        let (envelope, rest) = read(header).unwrap();
        assert_eq!(envelope.receivers.len(), 1);
        assert_eq!(rest, "X-Receiver: <c@x.test>\r\n\r\n");
    }

    #[test]
    fn nothing_but_addresses_and_parameters_gets_into_a_command() {
        let sender = |value: &str| read(&format!("X-Sender: {value}\r\nX-Receiver: <b@x.test>\r\n"));
        assert_eq!(sender("<a@x.test> AUTH=ceo@x.test SIZE=1").unwrap().0.sender_parameters, []);
        for wrong in
            ["", "<a@x.test> RET", "<a@x.test> ENVID=ä", "<a@x.test> RET=", "<a@x.test> RET=HDRS RET=FULL", "<a@x.test"]
        {
            assert!(sender(wrong).is_err(), "{wrong}");
        }
        assert_eq!(sender("<>").unwrap().0.sender, None);
        assert_eq!(read("X-Sender: <a@x>\r\nX-Sender: <b@x>\r\n"), Err(FiledFault::SeveralSenders));
        assert!(matches!(read("X-Sender: <a@x.test>\r\nX-Receiver: <>\r\n"), Err(FiledFault::Address { .. })));
        assert_eq!(read("X-Sender: <a@x.test>\r\nSubject: x\r\n"), Err(FiledFault::NoReceiver));
    }

    #[test]
    fn a_message_in_a_file_says_nothing_of_its_envelope_itself() {
        let text = b"Received: x\r\nX-Receiver: <eve@evil.test>\r\nx-sender: <ceo@x.test>\r\nSubject: x\r\n\r\n";
        let block = HeaderBlock::parse(text).unwrap();
        let keep = Keep { routing: true, organization: false, forest: false };
        assert_eq!(header_behind_envelope(&block, keep), b"Received: x\r\nSubject: x\r\n\r\n");
    }

    proptest! {
        /// What is written is read again, and the message behind it stays as it was.
        #[test]
        fn what_is_written_is_read(
            sender in proptest::option::of("[a-z]{1,8}@[a-z]{1,8}\\.test"),
            receivers in proptest::collection::vec("(\"[a-z> \\\\\\\\]{0,6}\"|[a-z.]{1}[a-z]{1,8})@[a-z]{1,8}\\.test", 1..4),
            envid in proptest::option::of("[!-~]{1,20}"),
            helo in proptest::option::of("[ -~]{1,20}"),
        ) {
            let receivers: Vec<_> =
                receivers.iter().filter_map(|text| Address::parse(text).ok()).map(|address| (address, Vec::new())).collect();
            prop_assume!(!receivers.is_empty());
            let envelope = FiledEnvelope {
                sender: sender.map(|text| address(&text)),
                sender_parameters: envid.map(|value| ("ENVID", value)).into_iter().collect(),
                receivers,
                created_by: Some("Procura".to_owned()),
                helo: helo.map(|helo| helo.trim().to_owned()),
                source: None,
            };
            let text = [&write_filed(&envelope, 7)[..], b"Subject: x\r\n\r\nbody"].concat();
            let block = HeaderBlock::parse(&text).unwrap();
            let (found, rest) = filed_envelope(&block).unwrap();
            prop_assert_eq!(found, envelope);
            prop_assert_eq!(rest, b"Subject: x\r\n\r\n");
        }

        /// Whatever a file begins with, what is read of it fits into commands.
        #[test]
        fn no_line_gets_into_a_command(text in "(X-Sender|X-Receiver): [<>a-z@. =\"\\\\\\PC]{0,40}\r\n(X-Receiver: [<>a-z@. =\"]{0,40}\r\n)?") {
            if let Ok(block) = HeaderBlock::parse(text.as_bytes())
                && let Ok((envelope, _)) = filed_envelope(&block)
            {
                let all = envelope.receivers.iter().flat_map(|(_, parameters)| parameters).chain(&envelope.sender_parameters);
                for (_, value) in all {
                    prop_assert!(value.bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }
    }
}
