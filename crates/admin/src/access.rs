//! What programs use of an account over HTTP: bearer tokens to submit with, and webhooks by which they are told what became
//! of their mail. Neither has a history: a secret that was taken back does not come again.

use std::collections::HashMap;
use std::sync::Arc;

use acl::Guid;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::{ObjectId, Time};
use queue::{EventCounts, KeptEvent};
use rights::admin::Action;
use rights::pause::account_name;
use store::{ApiToken, StoreError, Webhook};

use crate::accounts::account;
use crate::authorize::{RESET_PASSWORD, require, require_organization};
use crate::error::{Fault, FaultKind};
use crate::operations::Secret;
use crate::random::{new_token, random};
use crate::response::{Done, Page, Response};
use crate::service::{Asked, Service};

pub mod documents;

use documents::{
    AccessRequest, AccessResponse, GivenUpEvent, TokenMade, TokenName, TokenNew, TokenRow, WebhookAdd, WebhookMade,
    WebhookRow,
};

/// Tokens that an account may have.
const MOST_TOKENS: usize = 100;
/// Webhooks that an account may have.
const MOST_WEBHOOKS: usize = 16;
/// The longest name, in characters.
const LONGEST_NAME: usize = 64;
/// The longest URL, in octets.
const LONGEST_URL: usize = 2_000;
/// Events given up that a list shows of each webhook.
const SHOWN: usize = 5;

/// All tokens and webhooks, in memory.
#[derive(Debug, Default)]
pub(crate) struct Access {
    tokens: HashMap<[u8; 32], ApiToken>,
    webhooks: Arc<Vec<Webhook>>,
}

impl Access {
    /// Reads them.
    pub(crate) fn read(store: &store::DirectoryStore) -> Result<Access, StoreError> {
        let tokens = store.api_tokens()?.into_iter().map(|token| (token.digest, token)).collect();
        Ok(Access { tokens, webhooks: Arc::new(store.webhooks()?) })
    }
}

impl Service {
    /// The token with this digest, whether or not it counts still.
    pub fn api_token(&self, digest: &[u8; 32]) -> Option<ApiToken> {
        self.access().tokens.get(digest).cloned()
    }

    /// Notes that a token is used now.
    pub fn api_token_used(&self, digest: &[u8; 32]) -> Result<(), StoreError> {
        let now = self.now();
        let mut store = self.store();
        store.api_token_used(digest, now)?;
        self.access_changed(&store)
    }

    /// All webhooks.
    pub fn webhooks(&self) -> Arc<Vec<Webhook>> {
        Arc::clone(&self.access().webhooks)
    }
}

pub(crate) fn answer(asked: Asked<'_>, request: &AccessRequest) -> Result<Response, Fault> {
    match request {
        AccessRequest::TokenNew(new) => new_api_token(asked, new),
        AccessRequest::TokenList(list) => list_tokens(asked, list.account.as_deref()),
        AccessRequest::TokenRevoke(name) => revoke(asked, name),
        AccessRequest::WebhookAdd(add) => add_webhook(asked, add),
        AccessRequest::WebhookList(list) => list_webhooks(asked, list.account.as_deref()),
        AccessRequest::WebhookRemove(of) => remove_webhook(asked, &of.id),
        AccessRequest::WebhookTest(of) => test_webhook(asked, &of.id),
    }
}

fn new_api_token(asked: Asked<'_>, new: &TokenNew) -> Result<Response, Fault> {
    let (id, guid) = may_reset(asked, &new.account, "make a token for")?;
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Fault::new(FaultKind::Invalid, "a token needs a name of 1 to 64 characters")
            .help("say what it is for, as in --name billing"));
    }
    if new.until.is_some_and(|until| until <= asked.service.now().0) {
        return Err(Fault::new(FaultKind::Invalid, "the time until which it is to last has passed"));
    }
    let account = account_name(asked.snapshot, &guid);
    let mut store = asked.service.store();
    let known = store.api_tokens()?;
    let own: Vec<&ApiToken> = known.iter().filter(|token| token.account == guid).collect();
    if own.iter().any(|token| token.name == name) {
        return Err(Fault::new(FaultKind::Conflict, format!("{account} has a token called {name}"))
            .help("revoke that one first, or choose another name"));
    }
    if own.len() >= MOST_TOKENS {
        return Err(Fault::new(FaultKind::Conflict, format!("an account may have {MOST_TOKENS} tokens"))
            .help("revoke those that are not used: `procura token list` says which"));
    }
    if asked.trial.is_some() {
        return Ok(done(format!("{account} would get the token {name}")));
    }
    let secret = zeroize::Zeroizing::new(ApiToken::from_random(random()));
    let digest =
        ApiToken::digest(&secret).ok_or_else(|| Fault::new(FaultKind::Unavailable, "the token cannot be kept"))?;
    let (created, until) = (asked.service.now(), new.until.map(Time));
    let token = ApiToken { account: guid, name: name.to_owned(), digest, created, until, last_used: None };
    store.add_api_token(&token)?;
    asked.service.access_changed(&store)?;
    let mut warnings = Vec::new();
    if asked.snapshot.object(id).is_some_and(|object| !object.enabled()) {
        warnings.push("the account is disabled: its tokens do not count".to_owned());
    }
    let made = TokenMade { account, name: token.name, token: Secret(secret), until: new.until, warnings };
    Ok(Response::Access(AccessResponse::TokenMade(made)))
}

fn list_tokens(asked: Asked<'_>, identity: Option<&str>) -> Result<Response, Fault> {
    let guid = match identity {
        Some(identity) => Some(may_reset(asked, identity, "list the tokens of")?.1),
        None => {
            require_organization(asked.snapshot, asked.caller, "list the tokens of")?;
            None
        }
    };
    let kept = asked.service.store().api_tokens()?;
    let row = |token: ApiToken| TokenRow {
        account: account_name(asked.snapshot, &token.account),
        name: token.name,
        created: token.created.0,
        until: token.until.map(|time| time.0),
        last_used: token.last_used.map(|time| time.0),
    };
    let of = |token: &ApiToken| guid.is_none_or(|guid| token.account == guid);
    let rows: Vec<TokenRow> = kept.into_iter().filter(of).map(row).collect();
    Ok(Response::Access(AccessResponse::Tokens(Page::from(rows))))
}

fn revoke(asked: Asked<'_>, wanted: &TokenName) -> Result<Response, Fault> {
    let (_, guid) = may_reset(asked, &wanted.account, "revoke a token of")?;
    let name = wanted.name.trim();
    let account = account_name(asked.snapshot, &guid);
    let mut store = asked.service.store();
    let there = match asked.trial {
        Some(_) => store.api_tokens()?.iter().any(|token| token.account == guid && token.name == name),
        None => store.remove_api_token(&guid, name)?,
    };
    if !there {
        return Err(Fault::new(FaultKind::NotFound, format!("{account} has no token called {name}")));
    }
    match asked.trial {
        Some(_) => Ok(done(format!("token {name} of {account} would be revoked"))),
        None => {
            asked.service.access_changed(&store)?;
            Ok(done(format!("token {name} of {account} revoked")))
        }
    }
}

/// Where the server posts to, it posts as itself, from inside: who may change the organization says where.
fn add_webhook(asked: Asked<'_>, add: &WebhookAdd) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "add a webhook to")?;
    let id = asked.find(&add.account)?;
    let guid = account(asked.snapshot, id)?.guid();
    check_url(&add.url)?;
    let mut events = Vec::new();
    for event in &add.events {
        if !Webhook::ALL.contains(&event.as_str()) {
            let known = Webhook::ALL.join(", ");
            return Err(Fault::new(FaultKind::Invalid, format!("there is no event {event}"))
                .help(format!("there are: {known}")));
        }
        if !events.contains(event) {
            events.push(event.clone());
        }
    }
    if events.is_empty() {
        let usual = [Webhook::DELIVERED, Webhook::FAILED, Webhook::PAUSED, Webhook::RELEASED];
        events = usual.map(str::to_owned).to_vec();
    }
    let mut store = asked.service.store();
    if store.webhooks()?.iter().filter(|webhook| webhook.account == guid).count() >= MOST_WEBHOOKS {
        let message = format!("an account may have {MOST_WEBHOOKS} webhooks");
        return Err(Fault::new(FaultKind::Conflict, message).help("remove one: `procura webhook list` shows them"));
    }
    let account = account_name(asked.snapshot, &guid);
    if asked.trial.is_some() {
        return Ok(done(format!("{account} would get a webhook to {}", add.url)));
    }
    let secret = random::<32>();
    let created = asked.service.now();
    let webhook =
        Webhook { id: new_token(), account: guid, url: add.url.clone(), secret: secret.to_vec(), events, created };
    store.add_webhook(&webhook)?;
    asked.service.access_changed(&store)?;
    let secret = Secret(zeroize::Zeroizing::new(format!("whsec_{}", STANDARD.encode(secret))));
    let Webhook { id, url, events, .. } = webhook;
    Ok(Response::Access(AccessResponse::WebhookMade(WebhookMade { account, id, url, events, secret })))
}

fn list_webhooks(asked: Asked<'_>, identity: Option<&str>) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "list the webhooks of")?;
    let guid = match identity {
        Some(identity) => Some(account(asked.snapshot, asked.find(identity)?)?.guid()),
        None => None,
    };
    let queue = asked.service.queue()?;
    let counts = queue.event_counts()?;
    let mut rows = Vec::new();
    for webhook in asked.service.store().webhooks()? {
        if guid.is_some_and(|guid| webhook.account != guid) {
            continue;
        }
        let counted = counts.iter().find(|counts| counts.target == webhook.id);
        let given_up = queue.events(&webhook.id, true, SHOWN)?;
        rows.push(WebhookRow {
            id: webhook.id,
            account: account_name(asked.snapshot, &webhook.account),
            url: webhook.url,
            events: webhook.events,
            created: webhook.created.0,
            waiting: counted.map_or(0, |counts| counts.waiting),
            oldest: counted.and_then(|counts| counts.oldest),
            given_up: counted.map_or(0, |counts| counts.given_up),
            reason: counted.map(|EventCounts { reason, .. }| reason.clone()).unwrap_or_default(),
            last_given_up: given_up.into_iter().map(given_up_event).collect(),
        });
    }
    Ok(Response::Access(AccessResponse::Webhooks(Page::from(rows))))
}

fn given_up_event(kept: KeptEvent) -> GivenUpEvent {
    let KeptEvent { event, created, attempts, reason, .. } = kept;
    GivenUpEvent { id: event.id, kind: event.kind, created, attempts, reason, body: event.body }
}

fn remove_webhook(asked: Asked<'_>, id: &str) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "remove a webhook of")?;
    let webhook = webhook(asked, id)?;
    if asked.trial.is_some() {
        return Ok(done(format!("webhook {} to {} would be removed", webhook.id, webhook.url)));
    }
    {
        let mut store = asked.service.store();
        store.remove_webhook(&webhook.id)?;
        asked.service.access_changed(&store)?;
    }
    asked.service.queue()?.forget_events(&webhook.id).wait()?;
    Ok(done(format!("webhook {} to {} removed, with the events that waited", webhook.id, webhook.url)))
}

fn test_webhook(asked: Asked<'_>, id: &str) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "test a webhook of")?;
    let webhook = webhook(asked, id)?;
    if asked.trial.is_some() {
        return Ok(done(format!("a test would be posted to {}", webhook.url)));
    }
    let Some(running) = asked.service.running() else {
        return Err(Fault::new(FaultKind::Unsupported, "no server runs: nothing is posted").help("start the server"));
    };
    let status = running.test_webhook(&webhook)?;
    Ok(done(format!("{} answered {status}", webhook.url)))
}

/// A webhook by its id, or the beginning of it.
fn webhook(asked: Asked<'_>, id: &str) -> Result<Webhook, Fault> {
    let mut found: Vec<Webhook> =
        asked.service.store().webhooks()?.into_iter().filter(|webhook| webhook.id.starts_with(id)).collect();
    match found.len() {
        1 if !id.is_empty() => Ok(found.remove(0)),
        0 | 1 => Err(Fault::new(FaultKind::NotFound, format!("there is no webhook {id}"))
            .help("`procura webhook list` shows them")),
        _ => {
            Err(Fault::new(FaultKind::Ambiguous, format!("several webhooks begin with {id}")).help("write more of it"))
        }
    }
}

/// `https`, or `http` to this machine itself; a host, and no name or password before it.
fn check_url(url: &str) -> Result<(), Fault> {
    let wrong = |why: &str| {
        Err(Fault::new(FaultKind::Invalid, format!("{url} cannot be posted to: {why}"))
            .help("write it as in https://app.example.com/hooks/mail"))
    };
    if url.len() > LONGEST_URL || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return wrong("it is too long, or has blanks or characters that are not ASCII");
    }
    let (local, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return wrong("it does not begin with https://"),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return wrong("it has a user name in it");
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() {
        return wrong("it names no host");
    }
    if local && !["127.0.0.1", "::1", "localhost"].contains(&host) {
        return wrong("what is told would go unencrypted over the network");
    }
    Ok(())
}

fn done(summary: String) -> Response {
    Response::Done(Done { summary, ..Done::default() })
}

/// Whoever may reset the password of an account may also give it tokens.
fn may_reset(asked: Asked<'_>, identity: &str, what: &str) -> Result<(ObjectId, Guid), Fault> {
    let id = asked.find(identity)?;
    let guid = account(asked.snapshot, id)?.guid();
    require(asked.snapshot, asked.caller, id, Action::ControlAccess(RESET_PASSWORD), what)?;
    Ok((id, guid))
}

impl Service {
    fn access(&self) -> Arc<Access> {
        self.access.load_full()
    }

    /// Tokens or webhooks changed: what is in memory follows.
    pub(crate) fn access_changed(&self, store: &store::DirectoryStore) -> Result<(), StoreError> {
        let access = Access::read(store)?;
        let webhooks = Arc::clone(&access.webhooks);
        self.access.store(Arc::new(access));
        if let Some(running) = self.running() {
            running.webhooks_changed(&webhooks);
        }
        Ok(())
    }
}
