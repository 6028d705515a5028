//! Delivery status notifications: `multipart/report` (RFC 6522) with RFC 3464 fields.

use crate::address::Address;
use crate::rewrite::write_field;
use crate::senders::Mailbox;
use crate::trace_fields::date;

/// A delivery status notification to be written.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Our host name.
    pub reporting_mta: &'a str,
    /// The author of the report, usually the postmaster.
    pub from: &'a Address,
    /// Whom the report goes to: the reverse-path of the original.
    pub to: &'a Address,
    /// The Message-ID of the report, without angle brackets.
    pub message_id: &'a str,
    /// A boundary that occurs nowhere else; letters and digits.
    pub boundary: &'a str,
    /// When the report is written; milliseconds since the Unix epoch.
    pub time: i64,
    /// When the original arrived; milliseconds since the Unix epoch.
    pub arrival: i64,
    /// ENVID of the original (RFC 3461).
    pub envelope_id: Option<&'a str>,
    /// The queue id of the original, for a person to quote.
    pub queue_id: Option<&'a str>,
    /// What became of each recipient.
    pub recipients: Vec<RecipientReport<'a>>,
    /// The header block of the original, already firewalled, as far as it is to be returned.
    pub original_header: &'a [u8],
    /// The body of the original, where the whole of it is to be returned (RFC 3461 §4.3, `RET=FULL`).
    pub original_body: Option<&'a [u8]>,
}

/// What became of one recipient.
#[derive(Clone, Debug)]
pub struct RecipientReport<'a> {
    /// The address the report speaks of.
    pub recipient: &'a Address,
    /// ORCPT (RFC 3461), `type;address`.
    pub original: Option<&'a str>,
    /// What happened.
    pub action: Action,
    /// The enhanced status code.
    pub status: (u8, u16, u16),
    /// In words, for a person.
    pub reason: &'a str,
    /// The host that said so.
    pub remote_mta: Option<&'a str>,
    /// Its reply, as received.
    pub diagnostic: Option<&'a str>,
    /// When it was last tried; milliseconds since the Unix epoch.
    pub last_attempt: Option<i64>,
    /// Until when it will be tried, for [`Action::Delayed`]; milliseconds since the Unix epoch.
    pub retry_until: Option<i64>,
}

/// RFC 3464 §2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not yet delivered.
    Delayed,
    /// Delivered.
    Delivered,
    /// Handed to a host that does not report.
    Relayed,
}

impl Report<'_> {
    /// The whole report message: CRLF lines, header, empty line, body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let boundary = self.unused_boundary();
        let mut out = self.header(&boundary);
        part(&mut out, &boundary, "text/plain; charset=utf-8");
        out.extend_from_slice(self.explanation().as_bytes());
        part(&mut out, &boundary, if self.international() { GLOBAL_STATUS } else { "message/delivery-status" });
        self.write_status(&mut out);
        part(&mut out, &boundary, self.original_type());
        let header = self.original_header.strip_suffix(b"\r\n\r\n").unwrap_or(self.original_header);
        out.extend_from_slice(header.strip_suffix(b"\r\n").unwrap_or(header));
        out.extend_from_slice(b"\r\n");
        if let Some(body) = self.original_body {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(body);
        }
        out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        out
    }

    fn header(&self, boundary: &str) -> Vec<u8> {
        let from = Mailbox { display_name: Some("Mail Delivery System".to_owned()), address: self.from.clone() };
        let report_type = if self.international() { "global-delivery-status" } else { "delivery-status" };
        let mut out = Vec::new();
        write_field(&mut out, "From", &from.to_header(true));
        write_field(&mut out, "To", &format!("<{}>", self.to));
        write_field(&mut out, "Subject", self.subject());
        write_field(&mut out, "Date", &date(self.time));
        write_field(&mut out, "Message-ID", &format!("<{}>", self.message_id));
        write_field(&mut out, "Auto-Submitted", "auto-replied");
        write_field(&mut out, "MIME-Version", "1.0");
        let content = format!("multipart/report; report-type={report_type}; boundary=\"{boundary}\"");
        write_field(&mut out, "Content-Type", &content);
        let eight_bit = !self.original_header.is_ascii() || self.original_body.is_some_and(|body| !body.is_ascii());
        if self.international() || eight_bit || self.recipients.iter().any(RecipientReport::is_eight_bit) {
            write_field(&mut out, "Content-Transfer-Encoding", "8bit");
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    /// What the last part is: the message or its header, in ASCII or not (RFC 6522, RFC 6533).
    fn original_type(&self) -> &'static str {
        match (self.original_body, self.original_header.is_ascii()) {
            (None, true) => "text/rfc822-headers",
            (None, false) => GLOBAL_HEADERS,
            (Some(_), true) => "message/rfc822",
            (Some(_), false) => "message/global",
        }
    }

    fn subject(&self) -> &'static str {
        let all = |action| self.recipients.iter().all(|recipient| recipient.action == action);
        if self.recipients.iter().any(|recipient| recipient.action == Action::Failed) {
            "Your message could not be delivered"
        } else if all(Action::Delivered) || all(Action::Relayed) {
            "Your message was delivered"
        } else {
            "Your message is delayed"
        }
    }

    /// The part for people.
    fn explanation(&self) -> String {
        let mut text = format!("This is the mail system at {}.\r\n", clean(self.reporting_mta));
        for (action, introduction) in [
            (Action::Failed, "Your message could not be delivered to:"),
            (
                Action::Delayed,
                "Your message has not been delivered yet; nothing needs to be done. It is still tried for:",
            ),
            (Action::Delivered, "Your message was delivered to:"),
            (Action::Relayed, "Your message was handed on to a host that sends no confirmation, for:"),
        ] {
            let of_action: Vec<_> = self.recipients.iter().filter(|recipient| recipient.action == action).collect();
            if of_action.is_empty() {
                continue;
            }
            text += &format!("\r\n{introduction}\r\n");
            for recipient in of_action {
                text += &format!("\r\n  <{}>\r\n", recipient.recipient);
                let (class, subject, detail) = recipient.status;
                text += &format!("    {} ({class}.{subject}.{detail})\r\n", clean(recipient.reason));
                if let Some(diagnostic) = recipient.diagnostic {
                    let remote = recipient.remote_mta.map_or("The other host".to_owned(), clean);
                    text += &format!("    {remote} said: {}\r\n", clean(diagnostic));
                }
                if let Some(until) = recipient.retry_until {
                    text += &format!("    It is tried until {}.\r\n", date(until));
                }
            }
        }
        if let Some(queue_id) = self.queue_id {
            text += &format!("\r\nIf you ask your postmaster about it, quote {}.\r\n", clean(queue_id));
        }
        text
    }

    /// RFC 3464 §2.
    fn write_status(&self, out: &mut Vec<u8>) {
        if let Some(envelope_id) = self.envelope_id {
            write_field(out, "Original-Envelope-Id", envelope_id);
        }
        write_field(out, "Reporting-MTA", &format!("dns; {}", self.reporting_mta));
        write_field(out, "Arrival-Date", &date(self.arrival));
        for recipient in &self.recipients {
            out.extend_from_slice(b"\r\n");
            recipient.write_status(out);
        }
    }

    /// Whether addresses need RFC 6533 forms.
    fn international(&self) -> bool {
        !self.from.is_ascii() || !self.to.is_ascii() || self.recipients.iter().any(|r| !r.recipient.is_ascii())
    }

    fn unused_boundary(&self) -> String {
        let mut boundary: String = self.boundary.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
        let occurs = |boundary: &str| {
            let texts = [Some(self.original_header), self.original_body];
            texts.into_iter().flatten().any(|text| memchr::memmem::find(text, boundary.as_bytes()).is_some())
        };
        while boundary.is_empty() || occurs(&boundary) {
            boundary.push('0');
        }
        boundary
    }
}

impl RecipientReport<'_> {
    /// Whether its words need eight bits.
    fn is_eight_bit(&self) -> bool {
        !self.reason.is_ascii() || self.diagnostic.is_some_and(|text| !text.is_ascii())
    }

    fn write_status(&self, out: &mut Vec<u8>) {
        if let Some(original) = self.original {
            write_field(out, "Original-Recipient", original);
        }
        let kind = if self.recipient.is_ascii() { "rfc822" } else { "utf-8" };
        write_field(out, "Final-Recipient", &format!("{kind}; {}", self.recipient));
        write_field(out, "Action", self.action.keyword());
        let (class, subject, detail) = self.status;
        write_field(out, "Status", &format!("{class}.{subject}.{detail}"));
        if let Some(remote) = self.remote_mta {
            write_field(out, "Remote-MTA", &format!("dns; {remote}"));
        }
        if let Some(diagnostic) = self.diagnostic {
            write_field(out, "Diagnostic-Code", &format!("smtp; {diagnostic}"));
        }
        if let Some(time) = self.last_attempt {
            write_field(out, "Last-Attempt-Date", &date(time));
        }
        if let Some(time) = self.retry_until {
            write_field(out, "Will-Retry-Until", &date(time));
        }
    }
}

impl Action {
    fn keyword(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
        }
    }
}

const GLOBAL_STATUS: &str = "message/global-delivery-status";
const GLOBAL_HEADERS: &str = "message/global-headers";

fn part(out: &mut Vec<u8>, boundary: &str, content_type: &str) {
    out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
    write_field(out, "Content-Type", content_type);
    out.extend_from_slice(b"\r\n");
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
