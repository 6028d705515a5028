//! Rspamd: `POST /checkv2` with the message, the answer as JSON (<https://rspamd.com/doc/developers/protocol.html>).

use std::io::{Cursor, Read};
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

use crate::filter::{Action, Body, Facts, Said};
use crate::header::{Edit, Header};

/// The longest answer that is read.
const LONGEST: u64 = 4 << 20;

/// Why Rspamd gave no answer.
#[derive(Debug, Error)]
pub enum RspamdError {
    /// It could not be asked.
    #[error("{0}")]
    Http(String),
    /// The message cannot be read.
    #[error("the message cannot be read: {0}")]
    Message(std::io::Error),
    /// What it answered makes no sense.
    #[error("its answer makes no sense: {0}")]
    Answer(String),
}

pub(crate) fn ask(
    (url, password): (&str, Option<&str>),
    timeout: Duration,
    facts: &Facts,
    header: &Header,
    body: &dyn Body,
) -> Result<Said, RspamdError> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        .max_redirects(0)
        .http_status_as_error(false)
        // Mail goes to the filter that is named, whatever the environment says.
        .proxy(None)
        .build()
        .into();
    let failed = |error: ureq::Error| RspamdError::Http(error.to_string());
    let mut request = agent
        .post(format!("{}/checkv2", url.trim_end_matches('/')))
        .header("Content-Type", "application/octet-stream")
        .header("Queue-Id", clean(&facts.queue_id))
        .header("MTA-Name", clean(&facts.hostname))
        .header("IP", facts.client.ip().to_string())
        .header("Helo", clean(&facts.helo))
        .header("From", clean(&facts.sender));
    for recipient in &facts.recipients {
        request = request.header("Rcpt", clean(recipient));
    }
    if let Some(account) = &facts.account {
        request = request.header("User", clean(account));
    }
    if let Some(password) = password {
        request = request.header("Password", clean(password));
    }
    let head = header.to_bytes();
    let mut whole = Cursor::new(head).chain(body.open().map_err(RspamdError::Message)?);
    let mut response = request.send(ureq::SendBody::from_reader(&mut whole)).map_err(failed)?;
    if response.status() != 200 {
        return Err(RspamdError::Http(format!("it answered {}", response.status())));
    }
    let text = response.body_mut().with_config().limit(LONGEST).read_to_string().map_err(failed)?;
    read(&text)
}

/// What of a text can stand in a header of HTTP.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// Reads an answer.
fn read(text: &str) -> Result<Said, RspamdError> {
    let answer: Value = serde_json::from_str(text).map_err(|error| RspamdError::Answer(error.to_string()))?;
    let Some(action) = answer["action"].as_str() else {
        return Err(RspamdError::Answer("it names no action".to_owned()));
    };
    let (score, required) = (answer["score"].as_f64().unwrap_or(0.0), answer["required_score"].as_f64().unwrap_or(0.0));
    let mut edits = Vec::new();
    let milter = &answer["milter"];
    for (name, which) in milter["remove_headers"].as_object().into_iter().flatten() {
        let index = which.as_i64().unwrap_or(0);
        // Below 0 is counted from the end; such a field is left.
        if let Ok(index) = usize::try_from(index) {
            edits.push(Edit::Remove { index, name: name.clone() });
        }
    }
    for (name, added) in milter["add_headers"].as_object().into_iter().flatten() {
        match added {
            Value::Array(several) => edits.extend(several.iter().filter_map(|one| add(name, one))),
            one => edits.extend(add(name, one)),
        }
    }
    match &answer["dkim-signature"] {
        Value::String(one) => edits.push(signature(one)),
        Value::Array(several) => edits.extend(several.iter().filter_map(Value::as_str).map(signature)),
        _ => {}
    }
    let words = answer["messages"]["smtp_message"].as_str().map(str::to_owned);
    let action = match action {
        "reject" => Action::Reject,
        "soft reject" | "greylist" => Action::Tempfail,
        "quarantine" | "discard" => Action::Quarantine,
        "add header" => {
            edits.push(Edit::Remove { index: 0, name: "X-Spam".into() });
            edits.push(Edit::Add { name: "X-Spam".into(), value: "Yes".into() });
            Action::Accept
        }
        "rewrite subject" => {
            if let Some(subject) = answer["subject"].as_str() {
                edits.push(Edit::Change { index: 1, name: "Subject".into(), value: subject.to_owned() });
            }
            Action::Accept
        }
        _ => Action::Accept,
    };
    let note = format!("{}, score {score:.2} of {required:.2}", answer["action"].as_str().unwrap_or_default());
    Ok(Said { action, words, edits, note })
}

/// The changes of the header that an answer asks for; none: it is no answer.
#[doc(hidden)]
pub fn rspamd_edits_for_tests(text: &str) -> Option<Vec<Edit>> {
    read(text).ok().map(|said| said.edits)
}

/// A field of `milter.add_headers`: its value, or its value and its place.
fn add(name: &str, added: &Value) -> Option<Edit> {
    let name = name.to_owned();
    match added {
        Value::String(value) => Some(Edit::Add { name, value: value.clone() }),
        Value::Object(fields) => {
            let value = fields.get("value")?.as_str()?.to_owned();
            match fields.get("order").and_then(Value::as_i64).and_then(|order| usize::try_from(order).ok()) {
                Some(index) => Some(Edit::Insert { index, name, value }),
                None => Some(Edit::Add { name, value }),
            }
        }
        _ => None,
    }
}

fn signature(value: &str) -> Edit {
    Edit::Insert { index: 0, name: "DKIM-Signature".into(), value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_a_message_is_a_refusal_in_its_words() {
        let said =
            read(r#"{"action":"reject","score":20,"required_score":15,"messages":{"smtp_message":"Gtube pattern"}}"#)
                .unwrap();
        assert_eq!((said.action, said.words.as_deref()), (Action::Reject, Some("Gtube pattern")));
    }

    #[test]
    fn fields_and_signatures_are_added_where_it_says() {
        let said = read(
            r#"{"action":"no action","milter":{"add_headers":{"X-A":"b","X-C":{"value":"d","order":1}},
                "remove_headers":{"X-Spam":0}},"dkim-signature":"v=1; a=b"}"#,
        )
        .unwrap();
        assert_eq!(
            said.edits,
            [
                Edit::Remove { index: 0, name: "X-Spam".into() },
                Edit::Add { name: "X-A".into(), value: "b".into() },
                Edit::Insert { index: 1, name: "X-C".into(), value: "d".into() },
                Edit::Insert { index: 0, name: "DKIM-Signature".into(), value: "v=1; a=b".into() },
            ]
        );
    }

    #[test]
    fn an_answer_without_an_action_is_none() {
        assert!(read("{}").is_err() && read("<html>").is_err() && read("[]").is_err());
    }
}
