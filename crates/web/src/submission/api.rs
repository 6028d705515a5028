//! The requests.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use queue::KeptTicket;
use tokio::time::timeout;
use transport::submission::{Accepted, Client, Logon, Refusal, UnderWay};
use ulid::Ulid;
use zeroize::Zeroizing;

use super::body::Reading;
use super::draft::Draft;
use super::envelope::{Head, Parameters};
use super::problem::Problem;
use super::{OPENAPI, Site};

/// The longest idempotency key.
const LONGEST_KEY: usize = 255;
/// What a document may have beside the message itself.
const BESIDE: u64 = 1 << 20;
/// A request waits so long for memory.
const WAIT_FOR_MEMORY: Duration = Duration::from_secs(10);
/// A request is answered after this time, come what may.
const LONGEST_REQUEST: Duration = Duration::from_secs(900);

pub(super) fn routes(site: Arc<Site>) -> Router {
    Router::new()
        .route("/v1/messages", post(submit))
        .route("/v1/messages/{id}", get(show))
        .route("/v1/openapi.json", get(openapi))
        .fallback(nothing)
        .method_not_allowed_fallback(not_allowed)
        .with_state(site)
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], OPENAPI).into_response()
}

async fn nothing() -> Problem {
    Problem::new(404, "no-such-path", "There is nothing here", "see /v1/openapi.json")
}

async fn not_allowed() -> Problem {
    Problem::new(405, "method", "This method is not for this path", "see /v1/openapi.json")
}

/// `GET /v1/messages/{id}`
async fn show(
    State(site): State<Arc<Site>>,
    Extension(client): Extension<Client>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let logon = log_on(&site, request.headers(), None, &client).await?;
    if request.uri().query().is_some_and(|query| !query.is_empty()) {
        return Err(Problem::bad_request("there are no parameters here"));
    }
    let shaped = id.len() == 26 && id.bytes().all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit());
    if !shaped {
        return Err(Problem::unknown(&id));
    }
    match site.submissions.state(&logon.account(), &id) {
        Ok(Some(state)) => Ok(json(StatusCode::OK, state.to_string())),
        Ok(None) => Err(Problem::unknown(&id)),
        Err(error) => {
            tracing::error!(%error, "the state of a message cannot be read");
            Err(Problem::unavailable("the queue cannot be read"))
        }
    }
}

/// `POST /v1/messages`
async fn submit(State(site): State<Arc<Site>>, Extension(client): Extension<Client>, request: Request) -> Response {
    match timeout(LONGEST_REQUEST, submitted(&site, &client, request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::timed_out().into_response(),
    }
}

/// What the body of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Message,
}

async fn submitted(site: &Arc<Site>, client: &Client, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // Whatever is wrong, the client is to read why before the connection ends.
    let first = async {
        let kind = kind(&parts.headers);
        let parameters = Parameters::read(&parts.uri);
        let mailbox = parameters.as_ref().ok().and_then(|parameters| parameters.mailbox.clone());
        let logon = log_on(site, &parts.headers, mailbox.as_deref(), client).await?;
        Ok((logon, kind?, parameters?, key(&parts.headers)?))
    };
    let limit = site.submissions.max_message_size().unwrap_or(u64::MAX);
    let about = format!("{} {}", parts.uri.query().unwrap_or_default(), content_type(&parts.headers));
    let (logon, kind, parameters, key) = match first.await {
        Ok(first) => first,
        Err(problem) => {
            Reading::new(body, 0, "").linger().await;
            return Err(problem);
        }
    };
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let most = match kind {
        // A right may lift the limit; the session knows.
        Kind::Message => u64::MAX,
        Kind::Json => limit.saturating_mul(4).div_euclid(3).saturating_add(BESIDE),
    };
    let mut reading = Reading::new(body, most, &about);
    let done = async {
        if kind == Kind::Json && length.is_some_and(|length| length > most) {
            return Err(Problem::too_large(limit));
        }
        let under_way = match &key {
            None => None,
            Some(key) => match begin(site, &logon, key)? {
                Begun::Now(under_way) => Some(under_way),
                Begun::Before(ticket) => {
                    reading.skip().await?;
                    return replay(&ticket, &reading.fingerprint());
                }
            },
        };
        let account = logon.account();
        let taken = match kind {
            Kind::Message => message(logon, &parameters, &mut reading, length, under_way.as_ref()).await,
            Kind::Json => document(site, logon, &parameters, &mut reading, length, under_way.as_ref()).await,
        };
        match taken {
            Ok(accepted) => Ok(answer(&accepted.id, accepted.answer, false)),
            Err(Stopped::Problem(problem)) => Err(problem),
            Err(Stopped::Refusal(Refusal::Duplicate)) => {
                let kept = key.as_ref().and_then(|key| site.submissions.submitted(&account, key).ok().flatten());
                match kept {
                    Some(ticket) => replay(&ticket, &reading.fingerprint()),
                    None => Err(Refusal::Duplicate.into()),
                }
            }
            Err(Stopped::Refusal(refusal)) => Err(refusal.into()),
        }
    };
    let done = done.await;
    if done.is_err() {
        reading.linger().await;
    }
    done
}

/// Why a message is not taken.
enum Stopped {
    Problem(Problem),
    Refusal(Refusal),
}

impl From<Problem> for Stopped {
    fn from(problem: Problem) -> Stopped {
        Stopped::Problem(problem)
    }
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Stopped {
        Stopped::Refusal(refusal)
    }
}

/// A message as it is.
async fn message(
    mut logon: Logon,
    parameters: &Parameters,
    reading: &mut Reading,
    length: Option<u64>,
    under_way: Option<&UnderWay>,
) -> Result<Accepted, Stopped> {
    let mut head = Head::default();
    while let Some(piece) = reading.next().await? {
        if head.push(&piece) {
            break;
        }
    }
    logon.open(&parameters.envelope(head.header(), length)?).await?;
    let mut written = Ok(());
    head.without_bcc(&mut |line| {
        if written.is_ok() {
            written = logon.write(line);
        }
    });
    written?;
    logon.write(head.rest())?;
    drop(head);
    while !logon.has_refused() {
        match reading.next().await? {
            Some(piece) => logon.write(&piece)?,
            None => break,
        }
    }
    Ok(logon.finish(under_way, &reading.fingerprint()).await?)
}

/// A message as JSON.
async fn document(
    site: &Site,
    mut logon: Logon,
    parameters: &Parameters,
    reading: &mut Reading,
    length: Option<u64>,
    under_way: Option<&UnderWay>,
) -> Result<Accepted, Stopped> {
    let limit = site.submissions.max_message_size().unwrap_or(u64::MAX);
    // The document, what is decoded of it, and what is written.
    let most = limit.saturating_mul(4).div_euclid(3).saturating_add(BESIDE);
    let room = u32::try_from(length.unwrap_or(most).min(most).div_ceil(1024) * 2).unwrap_or(u32::MAX);
    let room = room.min(u32::try_from(super::JSON_BUDGET >> 10).unwrap_or(u32::MAX));
    let memory = match timeout(WAIT_FOR_MEMORY, site.memory.acquire_many(room)).await {
        Ok(Ok(memory)) => memory,
        _ => return Err(Problem::unavailable("too many large requests at a time").into()),
    };
    let octets = reading.collect(length).await?;
    let draft = Draft::read(&octets).map_err(Problem::bad_request)?;
    let id = format!("{}@{}", Ulid::generate(), site.submissions.hostname());
    let letter = draft.letter(&id, now()).map_err(|fault| Problem::invalid(&fault.pointer, fault.detail))?;
    logon.open(&parameters.over(letter.envelope.clone())?).await?;
    let mut refused = None;
    let written = letter.write(&mut |piece| {
        logon.write(piece).map_err(|refusal| {
            refused = Some(refusal);
            io::ErrorKind::BrokenPipe.into()
        })
    });
    if let Some(refusal) = refused {
        return Err(refusal.into());
    }
    written.map_err(|error| Problem::unavailable(error.to_string()))?;
    drop(octets);
    drop(memory);
    Ok(logon.finish(under_way, &reading.fingerprint()).await?)
}

/// A key that was given.
enum Begun {
    /// It is new.
    Now(UnderWay),
    /// A message was accepted with it.
    Before(KeptTicket),
}

fn begin(site: &Arc<Site>, logon: &Logon, key: &str) -> Result<Begun, Problem> {
    let account = logon.account();
    let Some(under_way) = site.submissions.begin_key(&account, key) else { return Err(Refusal::Duplicate.into()) };
    match site.submissions.submitted(&account, key) {
        Ok(None) => Ok(Begun::Now(under_way)),
        Ok(Some(ticket)) => Ok(Begun::Before(ticket)),
        Err(error) => {
            tracing::error!(%error, "an idempotency key cannot be looked up");
            Err(Problem::unavailable("the queue cannot be read"))
        }
    }
}

/// The answer that was given before, to the same request; another request with the same key is refused.
fn replay(ticket: &KeptTicket, fingerprint: &[u8; 32]) -> Result<Response, Problem> {
    if ticket.fingerprint != fingerprint {
        let detail = "another request was made with this Idempotency-Key; use a new one";
        return Err(Problem::new(422, "key-reused", "The idempotency key belongs to another request", detail));
    }
    Ok(answer(&ticket.queue_id, ticket.answer.clone(), true))
}

fn answer(id: &str, answer: String, again: bool) -> Response {
    let mut response = json(StatusCode::ACCEPTED, answer);
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/messages/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if again {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}

fn json(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}

async fn log_on(
    site: &Arc<Site>,
    headers: &HeaderMap,
    mailbox: Option<&str>,
    client: &Client,
) -> Result<Logon, Problem> {
    let given = headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
    let token = given.and_then(|given| {
        let (scheme, token) = given.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| Zeroizing::new(token.trim().to_owned()))
    });
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Err(Problem::unauthorized()) };
    Ok(site.submissions.log_on(token, mailbox, client).await?)
}

fn content_type(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn kind(headers: &HeaderMap) -> Result<Kind, Problem> {
    let unsupported = |detail: &str| Problem::new(415, "media-type", "The body is of a kind that is not taken", detail);
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(unsupported("send the body as it is, without Content-Encoding"));
    }
    match content_type(headers).as_str() {
        "application/json" => Ok(Kind::Json),
        "message/rfc822" => Ok(Kind::Message),
        _ => Err(unsupported("send application/json or message/rfc822")),
    }
}

/// The idempotency key: 1 to 255 printable ASCII characters.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all("idempotency-key").iter();
    let (Some(key), None) = (given.next(), given.next()) else {
        return match headers.contains_key("idempotency-key") {
            true => Err(Problem::bad_request("there are several Idempotency-Key fields")),
            false => Ok(None),
        };
    };
    let key = key.to_str().unwrap_or_default();
    match (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|octet| (0x20..0x7F).contains(&octet)) {
        true => Ok(Some(key.to_owned())),
        false => Err(Problem::bad_request("an Idempotency-Key has 1 to 255 printable ASCII characters")),
    }
}

/// Milliseconds since the Unix epoch.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
