//! A message as JSON, and the MIME message that is made of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mail_builder::MessageBuilder;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::MimePart;
use message::{Address, Mailbox, mailbox_list, trace_fields};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use transport::submission::Envelope;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Fields that have a place of their own in the document, or that are ours.
const OWN: [&str; 17] = [
    "from",
    "sender",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "received",
    "return-path",
    "mime-version",
    "resent-from",
    "resent-sender",
    "resent-to",
    "resent-cc",
    "resent-bcc",
    "resent-date",
    "resent-message-id",
];
/// The longest name and value of a field, in octets.
const LONGEST_NAME: usize = 70;
const LONGEST_VALUE: usize = 16_000;
/// Attachments of a message.
const MOST_ATTACHMENTS: usize = 500;

/// A message as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft<'a> {
    from: Mailboxes,
    #[serde(default)]
    sender: Option<Named>,
    #[serde(default)]
    to: Mailboxes,
    #[serde(default)]
    cc: Mailboxes,
    #[serde(default)]
    bcc: Mailboxes,
    #[serde(default)]
    reply_to: Mailboxes,
    #[serde(default, borrow)]
    subject: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    html: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    attachments: Vec<Object<Attachment<'a>>>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    envelope_from: Option<String>,
    #[serde(default)]
    partial: bool,
}

/// What is written as an object, and not otherwise: what serde derives takes a list of the values too.
#[derive(Debug)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Object<T>, D::Error> {
        from.deserialize_map(AnObject(PhantomData))
    }
}

struct AnObject<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AnObject<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// One mailbox, or several: a text, an object, or a list of these.
#[derive(Debug, Default)]
struct Mailboxes {
    list: bool,
    all: Vec<Named>,
}

/// A text, or an object.
#[derive(Debug)]
enum Named {
    Text(String),
    Parts(Parts),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    #[serde(default)]
    name: Option<String>,
    address: String,
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Named, D::Error> {
        from.deserialize_any(OneMailbox)
    }
}

impl<'de> Deserialize<'de> for Mailboxes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Mailboxes, D::Error> {
        from.deserialize_any(SomeMailboxes)
    }
}

/// Reads a [`Named`]. By hand: what serde derives takes a list of two texts for an object of two fields.
struct OneMailbox;

impl<'de> Visitor<'de> for OneMailbox {
    type Value = Named;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mailbox: a text as `Alice <alice@example.com>`, or an object with `name` and `address`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Named, E> {
        Ok(Named::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Named, A::Error> {
        Parts::deserialize(MapAccessDeserializer::new(map)).map(Named::Parts)
    }
}

/// Reads [`Mailboxes`].
struct SomeMailboxes;

impl<'de> Visitor<'de> for SomeMailboxes {
    type Value = Mailboxes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mailbox, or a list of mailboxes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Mailboxes, E> {
        OneMailbox.visit_str(text).map(|one| Mailboxes { list: false, all: vec![one] })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Mailboxes, A::Error> {
        OneMailbox.visit_map(map).map(|one| Mailboxes { list: false, all: vec![one] })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Mailboxes, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            all.push(one);
        }
        Ok(Mailboxes { list: true, all })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attachment<'a> {
    filename: String,
    #[serde(default)]
    content_type: Option<String>,
    /// Base64.
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(default)]
    content_id: Option<String>,
}

/// Part of a document that cannot be: where (RFC 6901), and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) pointer: String,
    pub(super) detail: String,
}

/// A draft that can be sent.
pub(super) struct Letter<'a> {
    pub(super) envelope: Envelope,
    builder: MessageBuilder<'a>,
}

impl<'a> Draft<'a> {
    /// Reads a document; the error is in words.
    pub(super) fn read(octets: &'a [u8]) -> Result<Draft<'a>, String> {
        serde_json::from_slice(octets).map(|Object(draft)| draft).map_err(|error| error.to_string())
    }

    /// Checks it, and makes a message of it with this `Message-ID` and time.
    pub(super) fn letter(self, message_id: &str, time: i64) -> Result<Letter<'a>, Fault> {
        let from = self.from.read("/from")?;
        let sender = self.sender.map(|sender| sender.one("/sender")).transpose()?;
        let (to, cc) = (self.to.read("/to")?, self.cc.read("/cc")?);
        let (bcc, reply_to) = (self.bcc.read("/bcc")?, self.reply_to.read("/reply_to")?);
        let Some(first) = from.first() else { return Err(fault("/from", "nobody is named")) };
        let sender_address = match &self.envelope_from {
            Some(text) if text.is_empty() => None,
            Some(text) => Some(address(text, "/envelope_from")?),
            None => Some(sender.as_ref().unwrap_or(first).address.clone()),
        };
        let recipients: Vec<Address> = [&to, &cc, &bcc].into_iter().flatten().map(|to| to.address.clone()).collect();
        if recipients.is_empty() {
            return Err(fault("/to", "the message is for nobody: name somebody in `to`, `cc` or `bcc`"));
        }
        let in_header = from.iter().chain(&sender).chain(&to).chain(&cc).chain(&reply_to);
        let utf8 = in_header.clone().any(|mailbox| !mailbox.address.is_ascii());
        let list = |mailboxes: &[Mailbox]| {
            let shown: Vec<String> = mailboxes.iter().map(|mailbox| mailbox.to_header(utf8)).collect();
            Raw::new(shown.join(", "))
        };
        let mut builder = MessageBuilder::new()
            .header("Date", Raw::new(trace_fields::date(time)))
            .header("Message-ID", Raw::new(format!("<{message_id}>")))
            .header("From", list(&from));
        for (name, mailboxes) in
            [("Sender", sender.as_slice()), ("Reply-To", &reply_to[..]), ("To", &to[..]), ("Cc", &cc[..])]
        {
            if !mailboxes.is_empty() {
                builder = builder.header(name, list(mailboxes));
            }
        }
        if let Some(subject) = self.subject {
            check_line(&subject, "/subject")?;
            builder = builder.header("Subject", Text::new(subject.into_owned()));
        }
        for (name, value) in self.headers {
            let pointer = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
            check_field(&name, &value, &pointer)?;
            let is = |own: &str| name.eq_ignore_ascii_case(own);
            if is("date") || is("message-id") {
                builder.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
            }
            // The library looks for these names as they are usually written.
            let name = if is("date") {
                "Date".into()
            } else if is("message-id") {
                "Message-ID".into()
            } else {
                name
            };
            builder = match value.is_ascii() {
                true => builder.header(name, Raw::new(value)),
                false => builder.header(name, Text::new(value)),
            };
        }
        let text = self.text.map(|text| lines(text, "/text")).transpose()?;
        let html = self.html.map(|html| lines(html, "/html")).transpose()?;
        let builder = builder.body(body(text, html, self.attachments)?);
        let envelope =
            Envelope { sender: sender_address, recipients, smtputf8: utf8, size: None, partial: self.partial };
        Ok(Letter { envelope, builder })
    }
}

impl Letter<'_> {
    /// Writes the message.
    pub(super) fn write(self, give: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.builder.write_to(Giving(give))
    }
}

struct Giving<'a>(&'a mut dyn FnMut(&[u8]) -> io::Result<()>);

impl Write for Giving<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        (self.0)(octets).map(|()| octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Mailboxes {
    fn read(self, pointer: &str) -> Result<Vec<Mailbox>, Fault> {
        let mut all = Vec::with_capacity(self.all.len());
        for (at, one) in self.all.into_iter().enumerate() {
            let pointer = if self.list { format!("{pointer}/{at}") } else { pointer.to_owned() };
            all.extend(one.several(&pointer)?);
        }
        Ok(all)
    }
}

impl Named {
    fn several(self, pointer: &str) -> Result<Vec<Mailbox>, Fault> {
        match self {
            Named::Text(text) => {
                check_line(&text, pointer)?;
                mailbox_list(&text).map_err(|kind| fault(pointer, format!("`{text}` {kind}")))
            }
            Named::Parts(Parts { name, address: text }) => {
                if let Some(name) = &name {
                    check_line(name, &format!("{pointer}/name"))?;
                }
                let pointer = format!("{pointer}/address");
                let address = address(&text, &pointer)?;
                // As in a header: nobody could read a field with it.
                if !address.is_qualified() {
                    return Err(fault(pointer, format!("the domain of `{text}` is not fully qualified")));
                }
                Ok(vec![Mailbox { display_name: name.filter(|name| !name.trim().is_empty()), address }])
            }
        }
    }

    fn one(self, pointer: &str) -> Result<Mailbox, Fault> {
        let mut several = self.several(pointer)?;
        match several.len() {
            1 => Ok(several.remove(0)),
            _ => Err(fault(pointer, "one mailbox is due here")),
        }
    }
}

/// The parts of a message: text and HTML as alternatives, what HTML refers to with it, attachments beside.
fn body<'a>(
    text: Option<Cow<'a, str>>,
    html: Option<Cow<'a, str>>,
    attachments: Vec<Object<Attachment<'a>>>,
) -> Result<MimePart<'a>, Fault> {
    if attachments.len() > MOST_ATTACHMENTS {
        return Err(fault("/attachments", format!("a message has {MOST_ATTACHMENTS} attachments at most")));
    }
    let (mut beside, mut related) = (Vec::new(), Vec::new());
    for (at, Object(attachment)) in attachments.into_iter().enumerate() {
        let inline = attachment.content_id.is_some() && html.is_some();
        let part = attachment.part(&format!("/attachments/{at}"))?;
        if inline { related.push(part) } else { beside.push(part) }
    }
    let text = text.map(|text| MimePart::new("text/plain", text));
    let html = html.map(|html| MimePart::new("text/html", html)).map(|html| match related.is_empty() {
        true => html,
        false => {
            let parts: Vec<MimePart<'a>> = std::iter::once(html).chain(related).collect();
            MimePart::new("multipart/related", parts)
        }
    });
    let main = match (text, html) {
        (Some(text), Some(html)) => MimePart::new("multipart/alternative", vec![text, html]),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => MimePart::new("text/plain", ""),
    };
    if beside.is_empty() {
        return Ok(main);
    }
    let parts: Vec<MimePart<'a>> = std::iter::once(main).chain(beside).collect();
    Ok(MimePart::new("multipart/mixed", parts))
}

impl<'a> Attachment<'a> {
    fn part(self, pointer: &str) -> Result<MimePart<'a>, Fault> {
        check_line(&self.filename, &format!("{pointer}/filename"))?;
        if self.filename.is_empty() || self.filename.len() > 255 {
            return Err(fault(format!("{pointer}/filename"), "a name of 1 to 255 octets is due"));
        }
        let kind = self.content_type.unwrap_or_else(|| "application/octet-stream".to_owned());
        check_type(&kind, &format!("{pointer}/content_type"))?;
        let content = BASE64
            .decode(self.content.as_bytes())
            .map_err(|error| fault(format!("{pointer}/content"), format!("no base64: {error}")))?;
        let part = MimePart::new(kind, content);
        match self.content_id {
            None => Ok(part.attachment(self.filename)),
            Some(id) => {
                let known = |octet: u8| octet.is_ascii_alphanumeric() || b".-_@+$=".contains(&octet);
                if id.is_empty() || id.len() > 200 || !id.bytes().all(known) {
                    let detail = "letters, digits and .-_@+$= are due, 1 to 200";
                    return Err(fault(format!("{pointer}/content_id"), detail));
                }
                Ok(part.inline().cid(id))
            }
        }
    }
}

/// `type/subtype`, without parameters. What consists of parts, or is a message, has rules of its own.
fn check_type(kind: &str, pointer: &str) -> Result<(), Fault> {
    let token = |text: &str| {
        let known = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&octet);
        !text.is_empty() && text.len() <= 127 && text.bytes().all(known)
    };
    let Some((main, sub)) = kind.split_once('/').filter(|(main, sub)| token(main) && token(sub)) else {
        return Err(fault(pointer, format!("`{kind}` is no media type as in application/pdf")));
    };
    match main.eq_ignore_ascii_case("multipart") || main.eq_ignore_ascii_case("message") {
        true => Err(fault(pointer, format!("{main}/{sub} cannot be attached: send the message as message/rfc822"))),
        false => Ok(()),
    }
}

fn check_field(name: &str, value: &str, pointer: &str) -> Result<(), Fault> {
    let known = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(known) {
        return Err(fault(pointer, "a name of a field has letters, digits and hyphens, 70 at most"));
    }
    let lower = name.to_ascii_lowercase();
    if OWN.contains(&lower.as_str()) || lower.starts_with("content-") {
        return Err(fault(pointer, format!("{name} is not set here")));
    }
    if value.len() > LONGEST_VALUE {
        return Err(fault(pointer, "the value is too long"));
    }
    check_line(value, pointer)
}

/// One line of text: nothing that could end a field and begin another.
fn check_line(text: &str, pointer: &str) -> Result<(), Fault> {
    match text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        true => Err(fault(pointer, "line breaks and other control characters cannot be in a header field")),
        false => Ok(()),
    }
}

/// A text whose lines end alike, however they ended: LF, which becomes CRLF when the text is written.
fn lines<'a>(text: Cow<'a, str>, pointer: &str) -> Result<Cow<'a, str>, Fault> {
    if text.contains('\0') {
        return Err(fault(pointer, "a message has no NUL characters"));
    }
    Ok(match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
        false => text,
    })
}

fn address(text: &str, pointer: &str) -> Result<Address, Fault> {
    Address::parse(text).map_err(|error| fault(pointer, format!("`{text}` is no address: {error}")))
}

fn fault(pointer: impl Into<String>, detail: impl Into<String>) -> Fault {
    Fault { pointer: pointer.into(), detail: detail.into() }
}

/// For tests and fuzzing: a document made a message; the error in words.
#[doc(hidden)]
pub fn compose_for_tests(document: &[u8]) -> Result<Vec<u8>, String> {
    let letter =
        Draft::read(document)?.letter("id@example.com", 0).map_err(|f| format!("{}: {}", f.pointer, f.detail))?;
    let mut text = Vec::new();
    letter
        .write(&mut |piece| {
            text.extend_from_slice(piece);
            Ok(())
        })
        .map_err(|error| error.to_string())?;
    Ok(text)
}

#[cfg(test)]
#[path = "draft/tests.rs"]
mod tests;
