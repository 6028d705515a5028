//! Tokens and webhooks: who may make them, and when they end.

#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{
    AccessOf, AccessRequest, AccessResponse, Request as R, Response, TokenName, TokenNew, WebhookAdd, WebhookId,
};
use common::{HELPER, Site, request};
use store::ApiToken;

fn new(account: &str, name: &str) -> R {
    R::Access(AccessRequest::TokenNew(TokenNew { account: account.to_owned(), name: name.to_owned(), until: None }))
}

fn secret(response: Response) -> String {
    match response {
        Response::Access(AccessResponse::TokenMade(made)) => made.token.0.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn webhook(account: &str, url: &str) -> R {
    let (account, url) = (account.to_owned(), url.to_owned());
    R::Access(AccessRequest::WebhookAdd(WebhookAdd { account, url, events: Vec::new() }))
}

fn digest(token: &str) -> [u8; 32] {
    ApiToken::digest(token).unwrap()
}

#[test]
fn a_token_counts_until_it_is_revoked_or_its_account_is_gone() {
    let site = Site::new();
    let (one, two) = (secret(site.ask(new("zoe", "one"))), secret(site.ask(new("zoe", "two"))));
    assert_ne!(one, two);
    let name = |token: &str| site.service.api_token(&digest(token)).map(|token| token.name);
    assert_eq!((name(&one).as_deref(), name(&two).as_deref()), (Some("one"), Some("two")));
    assert_eq!(site.fault(0, new("zoe", "one")).0, FaultKind::Conflict);
    let revoke = TokenName { account: "zoe".to_owned(), name: "one".to_owned() };
    site.done(R::Access(AccessRequest::TokenRevoke(revoke)));
    assert_eq!((name(&one), name(&two).as_deref()), (None, Some("two")));
    site.done(request(serde_json::json!({ "op": "user-remove", "identity": "zoe" })));
    assert_eq!(name(&two), None);
}

#[test]
fn who_may_not_reset_a_password_makes_no_token() {
    let site = Site::new();
    assert_eq!(site.fault(HELPER, new("zoe", "mine")).0, FaultKind::Denied);
    let list =
        |account: Option<&str>| R::Access(AccessRequest::TokenList(AccessOf { account: account.map(str::to_owned) }));
    assert_eq!(site.fault(HELPER, list(Some("zoe"))).0, FaultKind::Denied);
    assert_eq!(site.fault(HELPER, list(None)).0, FaultKind::Denied);
}

#[test]
fn only_who_administers_the_organization_says_where_the_server_posts() {
    let site = Site::new();
    assert_eq!(site.fault(HELPER, webhook("zoe", "https://x.test/")).0, FaultKind::Denied);
    site.ask(webhook("zoe", "https://x.test/"));
    let id = site.service.webhooks()[0].id.clone();
    let of = |id: &str| WebhookId { id: id.to_owned() };
    assert_eq!(site.fault(HELPER, R::Access(AccessRequest::WebhookRemove(of(&id)))).0, FaultKind::Denied);
    assert_eq!(site.fault(HELPER, R::Access(AccessRequest::WebhookTest(of(&id)))).0, FaultKind::Denied);
    // No server runs: nothing is posted, and that is said.
    assert_eq!(site.fault(0, R::Access(AccessRequest::WebhookTest(of(&id)))).0, FaultKind::Unsupported);
    site.done(R::Access(AccessRequest::WebhookRemove(of(&id[..6]))));
    assert!(site.service.webhooks().is_empty());
}

#[test]
fn only_what_is_safe_is_posted_to() {
    let site = Site::new();
    for url in [
        "http://x.test/",
        "https:///x",
        "https://a@b.test/",
        "file:///etc/passwd",
        "http://127.0.0.1.x.test/",
        "http://localhost.x.test/",
        "https://x.test/\r\nX: y",
        "HTTPS://X.TEST/ü",
    ] {
        assert_eq!(site.fault(0, webhook("zoe", url)).0, FaultKind::Invalid, "{url}");
    }
    for url in
        ["https://x.test", "https://x.test:8443/a?b=c", "http://127.0.0.1:8099/", "http://[::1]/x", "http://localhost"]
    {
        site.ask(webhook("zoe", url));
    }
}
