//! Asking filters one after the other.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::time::Duration;

use crate::header::{Edit, Header};
use crate::milter::{self, Endpoint};
use crate::rspamd;

/// A content filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What it is called in the log, and in the reason of a quarantine.
    pub name: String,
    /// What it is and where.
    pub kind: Kind,
    /// What happens to mail while it does not answer.
    pub on_failure: OnFailure,
    /// What its word "reject" comes to.
    pub on_reject: OnReject,
    /// Mail with the right Bypass-Anti-Spam is not shown to it.
    pub bypass: bool,
    /// It has so long for each answer.
    pub timeout: Duration,
    /// Larger messages are not shown to it.
    pub max_size: u64,
}

/// What a filter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Rspamd's normal worker or proxy: the URL before `/checkv2`, and its password.
    Rspamd {
        /// As in `http://127.0.0.1:11333`.
        url: String,
        /// For the header `Password`.
        password: Option<String>,
    },
    /// A program that speaks the milter protocol.
    Milter(Endpoint),
}

/// What happens to mail while a filter does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is put off: `451 4.7.1`.
    Tempfail,
    /// It is taken as if the filter had nothing to say.
    Accept,
}

/// What "reject" comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnReject {
    /// The message is refused.
    Reject,
    /// It is accepted, and kept until somebody looks at it.
    Quarantine,
    /// It is delivered with the field `X-Spam: Yes`.
    Tag,
}

/// What filters are told of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The id in the queue.
    pub queue_id: String,
    /// The name of this host.
    pub hostname: String,
    /// The client.
    pub client: SocketAddr,
    /// What it called itself.
    pub helo: String,
    /// Reverse-path; empty: the null one.
    pub sender: String,
    /// Forward-paths.
    pub recipients: Vec<String>,
    /// The account that logged on.
    pub account: Option<String>,
    /// The SASL mechanism by which it logged on (RFC 4422); `EXTERNAL` where it was proven otherwise.
    pub mechanism: String,
    /// The message has the right Bypass-Anti-Spam.
    pub bypass: bool,
    /// Octets of the whole message.
    pub size: u64,
}

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is accepted.
    Accept,
    /// It is accepted, and kept until somebody looks at it: the filter, and why.
    Quarantine(String, String),
    /// It is refused, with this reply: `550 5.7.1 …`.
    Reject(String),
    /// It is put off, with this reply: `451 4.7.1 …`.
    Tempfail(String),
}

/// What came of all filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// What becomes of the message.
    pub verdict: Verdict,
    /// Its header, changed or not.
    pub header: Header,
    /// What is worth a line in the log: filter and words.
    pub said: Vec<(String, String)>,
}

/// The body of a message, to be read by each filter from its beginning.
pub trait Body {
    /// What follows the empty line after the header.
    ///
    /// # Errors
    /// The message cannot be read.
    fn open(&self) -> io::Result<Box<dyn Read + '_>>;
}

/// What one filter says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) action: Action,
    /// The reply that the filter wants, or why it wants a quarantine.
    pub(crate) words: Option<String>,
    pub(crate) edits: Vec<Edit>,
    /// For the log.
    pub(crate) note: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Action {
    #[default]
    Accept,
    Quarantine,
    Reject,
    Tempfail,
}

/// Asks the filters that are to see the message, until one of them refuses it.
pub fn examine(filters: &[Filter], facts: &Facts, header: &[u8], body: &dyn Body) -> Examined {
    let mut examined = Examined { verdict: Verdict::Accept, header: Header::parse(header), said: Vec::new() };
    for filter in filters {
        if filter.bypass && facts.bypass || facts.size > filter.max_size {
            continue;
        }
        let asked = match &filter.kind {
            Kind::Rspamd { url, password } => {
                rspamd::ask((url, password.as_deref()), filter.timeout, facts, &examined.header, body)
                    .map_err(|error| error.to_string())
            }
            Kind::Milter(endpoint) => {
                milter::ask(endpoint, filter.timeout, facts, &examined.header, body).map_err(|error| error.to_string())
            }
        };
        let said = match asked {
            Ok(said) => said,
            Err(error) => {
                examined.said.push((filter.name.clone(), format!("no answer: {error}")));
                if filter.on_failure == OnFailure::Accept {
                    continue;
                }
                examined.verdict = Verdict::Tempfail("451 4.7.1 Content filter unavailable, try again later".into());
                return examined;
            }
        };
        if !said.note.is_empty() {
            examined.said.push((filter.name.clone(), said.note.clone()));
        }
        for edit in &said.edits {
            if !examined.header.apply(edit) {
                examined.said.push((filter.name.clone(), format!("this change is not made: {edit:?}")));
            }
        }
        match settle(filter, said, &mut examined) {
            Some(verdict @ (Verdict::Reject(_) | Verdict::Tempfail(_))) => {
                examined.verdict = verdict;
                return examined;
            }
            // The first reason stays; the filters that come after may still refuse it, or sign it.
            Some(verdict) if examined.verdict == Verdict::Accept => examined.verdict = verdict,
            _ => {}
        }
    }
    examined
}

fn settle(filter: &Filter, said: Said, examined: &mut Examined) -> Option<Verdict> {
    let words = said.words;
    match (said.action, filter.on_reject) {
        (Action::Accept, _) => None,
        (Action::Tempfail, _) => {
            Some(Verdict::Tempfail(reply(words.as_deref(), '4', "451 4.7.1 Message content, try again later")))
        }
        (Action::Quarantine, _) | (Action::Reject, OnReject::Quarantine) => {
            let why = words.map_or_else(|| "by its verdict".to_owned(), |words| line(&words));
            Some(Verdict::Quarantine(filter.name.clone(), why))
        }
        (Action::Reject, OnReject::Reject) => {
            Some(Verdict::Reject(reply(words.as_deref(), '5', "550 5.7.1 Message content rejected")))
        }
        (Action::Reject, OnReject::Tag) => {
            examined.header.apply(&Edit::Remove { index: 0, name: "X-Spam".into() });
            examined.header.apply(&Edit::Add { name: "X-Spam".into(), value: "Yes".into() });
            None
        }
    }
}

/// The reply that a filter wants, if it is one of this class; else the usual one.
fn reply(words: Option<&str>, class: char, usual: &str) -> String {
    let Some(words) = words.map(line).filter(|words| !words.is_empty()) else { return usual.to_owned() };
    let mut parts = words.splitn(3, ' ');
    let code = parts.next().unwrap_or_default();
    if code.len() == 3 && code.starts_with(class) && code.bytes().all(|byte| byte.is_ascii_digit()) {
        return words;
    }
    let status = usual.rsplitn(2, " Message").last().unwrap_or(usual);
    format!("{status} {words}")
}

/// One line of printable ASCII, not too long.
fn line(text: &str) -> String {
    let clean = text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' });
    clean.take(400).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_the_right_class_is_taken_as_it_is() {
        assert_eq!(reply(Some("554 5.7.1 Infected"), '5', "550 5.7.1 Message content rejected"), "554 5.7.1 Infected");
    }

    #[test]
    fn words_without_a_code_get_the_usual_one() {
        let said = reply(Some("Spam message\r\n250 OK"), '5', "550 5.7.1 Message content rejected");
        assert_eq!(said, "550 5.7.1 Spam message??250 OK");
        assert_eq!(reply(Some("250 fine"), '5', "550 5.7.1 Message content rejected"), "550 5.7.1 250 fine");
    }
}
