//! What the transport keeps with messages and recipients in the queue beside the envelope: the wishes of the sender (RFC 3461,
//! RFC 8689), and how a recipient came to be one. The queue does not look at it.

use message::Address;
use serde_json::{Map, Value, json};
use session::Extensions;
use smtp::{Notify, OriginalRecipient, RcptParams, ReturnContent};

/// Who is told when mail for a recipient cannot be delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Reports {
    /// The sender of the message.
    #[default]
    Sender,
    /// Somebody else, as the owner of a group: the reverse-path for this recipient is this address.
    To(Address),
    /// Nobody: the reverse-path is null.
    Nobody,
}

/// What a recipient gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The message.
    #[default]
    Message,
    /// A copy of what somebody else sent as the recipient, or on its behalf.
    Copy,
    /// The message in a journal report.
    Journal,
}

/// What is kept with a recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RecipientFacts {
    /// The group that it was found in.
    pub(crate) list: Option<String>,
    /// Which reports the sender wants, and what it called the recipient.
    pub(crate) params: RcptParams,
    /// Who is told of failures.
    pub(crate) reports: Reports,
    /// What it gets.
    pub(crate) kind: Kind,
}

impl RecipientFacts {
    /// Reads what [`RecipientFacts::write`] wrote. What cannot be read counts as not there.
    pub(crate) fn read(parameters: &str) -> RecipientFacts {
        let Ok(facts) = serde_json::from_str::<Value>(parameters) else { return RecipientFacts::default() };
        let text = |name: &str| facts.get(name).and_then(Value::as_str);
        let flag = |name: &str| facts.get(name).and_then(Value::as_bool).unwrap_or_default();
        let original = |text: &str| {
            let (kind, address) = text.split_once(';')?;
            Some(OriginalRecipient { kind: kind.to_owned(), address: address.to_owned() })
        };
        RecipientFacts {
            list: text("list").map(str::to_owned),
            params: RcptParams { notify: text("notify").map(notify), orcpt: text("orcpt").and_then(original) },
            reports: match text("reports") {
                None => Reports::Sender,
                Some(address) => Address::parse(address).map_or(Reports::Nobody, Reports::To),
            },
            kind: match (flag("journal"), flag("copy")) {
                (true, _) => Kind::Journal,
                (false, true) => Kind::Copy,
                (false, false) => Kind::Message,
            },
        }
    }

    /// As JSON; empty where there is nothing to keep.
    pub(crate) fn write(&self) -> String {
        let mut facts = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                facts.insert(name.to_owned(), value);
            }
        };
        put("list", self.list.as_deref().map(Value::from));
        put("notify", self.params.notify.map(|notify| Value::from(notify_words(notify))));
        put("orcpt", self.params.orcpt.as_ref().map(|original| Value::from(original.to_string())));
        put(
            "reports",
            match &self.reports {
                Reports::Sender => None,
                Reports::To(address) => Some(Value::from(address.as_str())),
                Reports::Nobody => Some(Value::from("")),
            },
        );
        put("copy", (self.kind == Kind::Copy).then_some(Value::from(true)));
        put("journal", (self.kind == Kind::Journal).then_some(Value::from(true)));
        if facts.is_empty() { String::new() } else { Value::Object(facts).to_string() }
    }

    /// The reverse-path for this recipient of a message from `sender`; `None` is the null reverse-path. What comes of the
    /// null reverse-path stays there.
    pub(crate) fn reverse_path<'a>(&'a self, sender: Option<&'a str>) -> Option<&'a str> {
        match (&self.reports, sender) {
            (Reports::To(address), Some(_)) => Some(address.as_str()),
            (Reports::Sender, sender) => sender,
            (Reports::To(_) | Reports::Nobody, _) => None,
        }
    }

    /// Whether its sender is to hear of this.
    pub(crate) fn wants(&self, report: Wanted) -> bool {
        match (self.params.notify, report) {
            (None, Wanted::Failure | Wanted::Delay) => self.kind == Kind::Message,
            (None, Wanted::Success) => false,
            (Some(notify), Wanted::Failure) => notify.failure,
            (Some(notify), Wanted::Delay) => notify.delay,
            (Some(notify), Wanted::Success) => notify.success,
        }
    }
}

/// What a report is about (RFC 3461 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Given up. Told unless the sender wants otherwise.
    Failure,
    /// Late. Told unless the sender wants otherwise.
    Delay,
    /// Delivered. Told only who asked.
    Success,
}

/// What is kept with a message, among other things.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MessageFacts(pub(crate) Extensions);

impl MessageFacts {
    /// Reads it out of the parameters of a message.
    pub(crate) fn read(parameters: &str) -> MessageFacts {
        let Ok(facts) = serde_json::from_str::<Value>(parameters) else { return MessageFacts::default() };
        let text = |name: &str| facts.get(name).and_then(Value::as_str);
        let flag = |name: &str| facts.get(name).and_then(Value::as_bool).unwrap_or_default();
        MessageFacts(Extensions {
            ret: match text("ret") {
                Some("full") => Some(ReturnContent::Full),
                Some("headers") => Some(ReturnContent::Headers),
                _ => None,
            },
            envid: text("envid").map(str::to_owned),
            require_tls: flag("require_tls"),
            binary: flag("binary"),
        })
    }

    /// Adds it to the parameters of a message.
    pub(crate) fn write(&self, facts: &mut Value) {
        let Extensions { ret, envid, require_tls, binary } = &self.0;
        match ret {
            None => {}
            Some(ReturnContent::Full) => facts["ret"] = json!("full"),
            Some(ReturnContent::Headers) => facts["ret"] = json!("headers"),
        }
        if let Some(envid) = envid {
            facts["envid"] = json!(envid);
        }
        for (name, set) in [("require_tls", *require_tls), ("binary", *binary)] {
            if set {
                facts[name] = json!(true);
            }
        }
    }
}

/// As in the parameter.
pub(crate) fn notify_words(notify: Notify) -> String {
    let flags = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
    let words: Vec<&str> = flags.into_iter().filter(|(set, _)| *set).map(|(_, word)| word).collect();
    if words.is_empty() { "NEVER".to_owned() } else { words.join(",") }
}

fn notify(words: &str) -> Notify {
    let has = |wanted| words.split(',').any(|word| word == wanted);
    Notify { success: has("SUCCESS"), failure: has("FAILURE"), delay: has("DELAY") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_with_a_recipient_reads_as_it_was_written() {
        let original = OriginalRecipient { kind: "rfc822".into(), address: "b;c@far.test".into() };
        let notify = Some(Notify { success: true, failure: false, delay: true });
        let facts = RecipientFacts {
            list: Some("team@example.com".into()),
            params: RcptParams { notify, orcpt: Some(original) },
            reports: Reports::To(Address::parse("owner@example.com").unwrap()),
            kind: Kind::Journal,
        };
        assert_eq!(RecipientFacts::read(&facts.write()), facts);
        let never = RcptParams { notify: Some(Notify::default()), orcpt: None };
        let facts = RecipientFacts { params: never, reports: Reports::Nobody, ..RecipientFacts::default() };
        assert_eq!(RecipientFacts::read(&facts.write()), facts);
        assert_eq!(RecipientFacts::default().write(), "");
        assert_eq!(RecipientFacts::read(""), RecipientFacts::default());
    }

    #[test]
    fn what_is_kept_with_a_message_reads_as_it_was_written() {
        let asked = Extensions {
            ret: Some(ReturnContent::Headers),
            envid: Some("QQ+1".into()),
            require_tls: true,
            binary: true,
        };
        let mut facts = json!({ "helo": "x" });
        MessageFacts(asked.clone()).write(&mut facts);
        assert_eq!(MessageFacts::read(&facts.to_string()).0, asked);
        assert_eq!(MessageFacts::read("").0, Extensions::default());
    }

    #[test]
    fn nobody_answers_what_has_no_sender() {
        let owner = Reports::To(Address::parse("owner@example.com").unwrap());
        let facts = RecipientFacts { reports: owner, ..RecipientFacts::default() };
        assert_eq!(facts.reverse_path(Some("x@y.test")), Some("owner@example.com"));
        assert_eq!(facts.reverse_path(None), None);
    }
}
