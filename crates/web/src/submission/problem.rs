//! Refusals as RFC 9457 has them: `application/problem+json`, with the SMTP reply, the word of the authorization model and the
//! decision that `procura explain` shows.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use smtp::Reply;
use transport::submission::{Refusal, Refused, RefusedRecipient};

/// Seconds after which one may try again what could not be done now.
const LATER: u32 = 60;

/// What is wrong with a request.
#[derive(Debug)]
pub(super) struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    status: StatusCode,
    /// Its name, stable; in the type.
    word: String,
    title: String,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(super) fn new(status: u16, word: &str, title: &str, detail: impl Into<String>) -> Problem {
        Problem(Box::new(Parts {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            word: word.to_owned(),
            title: title.to_owned(),
            detail: detail.into(),
            more: Map::new(),
            headers: Vec::new(),
        }))
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.0.more.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Problem {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    fn later(self, seconds: u32) -> Problem {
        self.header(header::RETRY_AFTER, &seconds.to_string())
    }

    /// Something about the request itself.
    pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(400, "bad-request", "The request cannot be read", detail)
    }

    /// Part of a message that cannot be: where, and why.
    pub(super) fn invalid(pointer: &str, detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        let error = json!({ "pointer": pointer, "detail": detail });
        Problem::new(422, "invalid-message", "The message cannot be made", detail).with("errors", json!([error]))
    }

    pub(super) fn unauthorized() -> Problem {
        Problem::new(
            401,
            "unauthorized",
            "A bearer token that counts is needed",
            "send `Authorization: Bearer` with it",
        )
        .header(header::WWW_AUTHENTICATE, "Bearer realm=\"procura\"")
    }

    pub(super) fn too_large(limit: u64) -> Problem {
        let detail = format!("the connector takes messages of {limit} octets");
        Problem::new(413, "too-large", "The message is too large", detail).header(header::CONNECTION, "close")
    }

    pub(super) fn timed_out() -> Problem {
        Problem::new(408, "timeout", "The request took too long", "nothing was kept")
            .header(header::CONNECTION, "close")
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(503, "unavailable", "Not now", detail).later(LATER)
    }

    pub(super) fn unknown(id: &str) -> Problem {
        let detail = format!("there is no message {id} of this account, or not any more");
        Problem::new(404, "unknown-message", "There is no such message", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Parts { status, word, title, detail, more, headers } = *self.0;
        let mut body = json!({
            "type": format!("urn:procura:problem:{}", word),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
        });
        if let Value::Object(body) = &mut body {
            body.extend(more);
        }
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
        let mut response = (status, kind, body.to_string()).into_response();
        response.headers_mut().extend(headers);
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::Unauthorized => Problem::unauthorized(),
            Refusal::Logon => Problem::new(
                403,
                "logon",
                "The account may not submit here, or not open this mailbox",
                "it needs Submit on the receive connector, and Full Mailbox Access to a mailbox other than its own",
            ),
            Refusal::TooMany(seconds) => {
                Problem::new(429, "too-many", "Too many requests", "wait, then try again").later(seconds)
            }
            Refusal::Unavailable(detail) => Problem::unavailable(detail),
            Refusal::Range => Problem::new(
                403,
                "address-range",
                "The connector takes no requests from this address",
                "the receive connector's remote IP ranges do not hold it",
            ),
            Refusal::Refused(refused) => of_refused(&refused),
            Refusal::Duplicate => {
                Problem::new(409, "key-in-use", "The idempotency key is in use", "ask again in a moment").later(1)
            }
        }
    }
}

/// A refusal of the session.
fn of_refused(refused: &Refused) -> Problem {
    let Refused { reply, word, decision, recipients } = refused;
    let (status, usual, title) = status(reply);
    let word = word.as_deref().unwrap_or(usual);
    let mut problem = Problem::new(status, word, title, text(reply)).with("smtp", smtp(reply));
    if let Some(decision) = decision {
        problem = problem.with("decision", decision.as_str());
    }
    if !recipients.is_empty() {
        problem = problem.with("recipients", recipients.iter().map(recipient).collect::<Vec<_>>());
    }
    match status {
        401 => problem.header(header::WWW_AUTHENTICATE, "Bearer realm=\"procura\""),
        429 | 503 => problem.later(LATER),
        _ => problem,
    }
}

fn recipient(refused: &RefusedRecipient) -> Value {
    let mut shown = json!({
        "address": refused.address,
        "state": "refused",
        "reason": text(&refused.reply),
        "smtp": smtp(&refused.reply),
    });
    if let Some(decision) = &refused.decision {
        shown["decision"] = decision.as_str().into();
    }
    shown
}

fn smtp(reply: &Reply) -> Value {
    let enhanced = reply.enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail}"));
    json!({ "code": reply.code, "enhanced": enhanced })
}

fn text(reply: &Reply) -> String {
    reply.lines.join(" ")
}

/// The status of HTTP for a reply of SMTP; a name and a title where the model has none.
fn status(reply: &Reply) -> (u16, &'static str, &'static str) {
    match (reply.code, reply.enhanced) {
        (535, _) | (421, Some((4, 7, 0))) => (401, "unauthorized", "The account may not submit"),
        (450, Some((4, 7, 1))) => (429, "too-many", "Too many messages in a minute"),
        (452, Some((4, 5, 3))) => (422, "too-many-recipients", "The message has too many recipients"),
        (452, Some((4, 2, 2))) => (503, "pause-full", "As many messages as may wait for a right do"),
        (452, _) => (503, "storage-full", "There is no room for the message"),
        (552, _) => (413, "too-large", "The message is too large"),
        (500..=504 | 555, _) => (422, "invalid-envelope", "The envelope cannot be taken"),
        (550 | 530, Some((5, 7, _))) => (403, "refused", "The rules do not allow the message"),
        (550..=559, _) => (422, "invalid-message", "The message cannot be taken"),
        _ => (503, "unavailable", "Not now"),
    }
}
