//! Journal reports: a message inside a report of its envelope, for a mailbox that keeps what an organization writes. The form
//! is that of Exchange's envelope journaling (`X-MS-Journal-Report`, a text part with the envelope, the message as it is).

use crate::address::Address;
use crate::rewrite::write_field;
use crate::senders::Mailbox;
use crate::trace_fields::date;

/// A journal report to be written around a message.
#[derive(Clone, Debug)]
pub struct JournalReport<'a> {
    /// The author of the report, usually the postmaster.
    pub from: &'a Address,
    /// Where the report goes.
    pub to: &'a str,
    /// The Message-ID of the report, without angle brackets.
    pub message_id: &'a str,
    /// A boundary that nobody could know when the message was written; letters and digits.
    pub boundary: &'a str,
    /// When the message was accepted; milliseconds since the Unix epoch.
    pub time: i64,
    /// The reverse-path; `None` is the null reverse-path.
    pub sender: Option<&'a str>,
    /// Subject of the message, as it stands there.
    pub subject: &'a str,
    /// Its Message-ID, as it stands there.
    pub original_id: &'a str,
    /// Recipients, and the group that one was found in.
    pub recipients: Vec<(String, Option<String>)>,
    /// The message has octets above 127.
    pub eight_bit: bool,
}

/// The parts of a report that stand around the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Around {
    /// The header block of the report, with its empty line.
    pub header: Vec<u8>,
    /// What stands before the header block of the message.
    pub before: Vec<u8>,
    /// What stands behind the message.
    pub after: Vec<u8>,
}

impl JournalReport<'_> {
    /// Writes what stands around the message.
    pub fn around(&self) -> Around {
        let boundary: String = self.boundary.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
        let from = Mailbox { display_name: Some("Journal".to_owned()), address: self.from.clone() };
        let mut header = Vec::new();
        write_field(&mut header, "From", &from.to_header(true));
        write_field(&mut header, "To", &format!("<{}>", self.to));
        write_field(&mut header, "Subject", self.subject);
        write_field(&mut header, "Date", &date(self.time));
        write_field(&mut header, "Message-ID", &format!("<{}>", self.message_id));
        write_field(&mut header, "Auto-Submitted", "auto-generated");
        header.extend_from_slice(b"X-MS-Journal-Report:\r\n");
        write_field(&mut header, "MIME-Version", "1.0");
        write_field(&mut header, "Content-Type", &format!("multipart/mixed; boundary=\"{boundary}\""));
        if self.eight_bit {
            write_field(&mut header, "Content-Transfer-Encoding", "8bit");
        }
        header.extend_from_slice(b"\r\n");

        let mut before = format!("--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n");
        if self.eight_bit {
            before += "Content-Transfer-Encoding: 8bit\r\n";
        }
        before += &format!("\r\nSender: {}\r\n", clean(self.sender.unwrap_or("<>")));
        before += &format!("Subject: {}\r\nMessage-Id: {}\r\n", clean(self.subject), clean(self.original_id));
        for (recipient, list) in &self.recipients {
            let expanded = list.as_ref().map(|list| format!(", Expanded: {}", clean(list))).unwrap_or_default();
            before += &format!("Recipient: {}{expanded}\r\n", clean(recipient));
        }
        before += &format!("\r\n--{boundary}\r\nContent-Type: message/rfc822\r\n");
        if self.eight_bit {
            before += "Content-Transfer-Encoding: 8bit\r\n";
        }
        before += "\r\n";
        Around { header, before: before.into_bytes(), after: format!("\r\n--{boundary}--\r\n").into_bytes() }
    }
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
