//! Connections that Kerberos seals, and that rest on tickets: against a domain controller that is none.

#![allow(clippy::unwrap_used)]

mod fake;
mod kept;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use directory::import::AttributeMap;
use ldap::message::{Filter, Scope, Search};
use ldap::{Active, Connection, LdapError, Settings, Sink};
use rustls::ClientConfig;
use zeroize::Zeroizing;

use fake::{AnyTicket, Domain, ON_DC1, Question, Server, USER, done, entry};
use kept::Kept;

/// TLS that believes nobody: it is not used.
fn tls() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
}

fn root_dse(server: &Server) -> Result<Option<String>, LdapError> {
    let mut connection = Connection::open(&server.address, &tls(), Duration::from_secs(10))?;
    connection.bind_by_ticket("dc1", &AnyTicket(Duration::from_secs(600)), &|_| Vec::new())?;
    let search = Search {
        base: String::new(),
        scope: Scope::Base,
        filter: Filter::everything(),
        attributes: vec!["highestCommittedUSN".to_owned()],
    };
    let found = connection.find(&search, &[])?;
    Ok(found.first().and_then(|entry| entry.text("highestCommittedUSN").map(str::to_owned)))
}

fn number(id: i64, usn: &str) -> Vec<u8> {
    let entry = entry(id, "", &[("highestCommittedUSN".to_owned(), vec![usn.as_bytes().to_vec()])]);
    [entry, done(id, 0x65, 0, None)].concat()
}

#[test]
fn what_is_asked_under_a_context_is_answered() {
    let server = Server::start(Vec::new(), |asked: &Question| number(asked.id, "7"));
    assert_eq!(root_dse(&server).unwrap().as_deref(), Some("7"));
}

#[test]
fn what_is_said_in_clear_behind_the_logon_is_no_answer() {
    // Somebody on the way puts the answer to the next question, the fourth, behind the end of the logon.
    let server = Server::start(number(4, "666"), |asked: &Question| number(asked.id, "7"));
    let said = root_dse(&server);
    assert!(matches!(said, Err(LdapError::Nonsense(_))), "{said:?}");
}

fn settings(servers: &[&Server], ticket: Duration) -> Settings {
    Settings {
        servers: servers.iter().map(|server| server.address.clone()).collect(),
        account: "svc@X.TEST".to_owned(),
        password: Zeroizing::default(),
        tls: tls(),
        tickets: Some(Arc::new(AnyTicket(ticket))),
        notify: false,
        map: AttributeMap::default(),
        patience: Duration::from_secs(10),
        poll: Duration::from_millis(50),
        page: 1000,
        max_age: Duration::from_secs(300),
        stale_limit: Duration::from_secs(7200),
        check: Duration::from_secs(3600),
        list: Duration::from_secs(5),
    }
}

#[test]
fn another_domain_controller_after_the_end_of_a_ticket_is_read_as_a_whole() {
    let first = Arc::new(Mutex::new(ON_DC1));
    let second = Domain { host: "dc2", usn: 1000, shown: ("before", 900), ..ON_DC1 };
    let answers = |domain: Arc<Mutex<Domain>>| move |asked: &Question| domain.lock().unwrap().answer(asked);
    let dc1 = Server::start(Vec::new(), answers(Arc::clone(&first)));
    let dc2 = Server::start(Vec::new(), answers(Arc::new(Mutex::new(second))));
    let sink = Arc::new(Kept::default());
    let into: Arc<dyn Sink> = sink.clone();
    let active = Active::start(settings(&[&dc1, &dc2], Duration::from_secs(1)), into, None).unwrap();
    let shown = || {
        let snapshot = sink.snapshot();
        let id = snapshot.by_guid(&USER)?;
        let record = snapshot.record(id)?;
        record.values("displayName").first().map(|value| String::from_utf8(value.clone()).unwrap())
    };
    let until = |what: &str, is: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !is() {
            assert!(begin.elapsed() < Duration::from_secs(60), "{what}: {:?}", active.status());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until("loaded", &|| shown().as_deref() == Some("before"));
    let follows = |server: &Server| {
        let status = active.status();
        status.domains[0].server.as_deref() == Some(&server.address.to_string())
    };
    // The first goes away, the second is followed; what changes at the first meanwhile has yet to reach the second.
    dc1.close(true);
    until("the second is followed", &|| follows(&dc2));
    *first.lock().unwrap() = Domain { usn: 1200, shown: ("after", 600), ..ON_DC1 };
    dc1.close(false);
    until("the first is followed again", &|| follows(&dc1));
    until("what changed there counts", &|| shown().as_deref() == Some("after"));
}

/// Its administrators could give its people the SIDs of others: nothing filters them here, as a trust would.
#[test]
fn a_domain_of_another_forest_is_not_followed() {
    let ours = Server::start(Vec::new(), |asked: &Question| ON_DC1.answer(asked));
    let other = Domain { dn: "DC=other,DC=test", guid: acl::Guid([2; 16]), host: "dc9", ..ON_DC1 };
    let theirs = Server::start(Vec::new(), move |asked: &Question| other.answer(asked));
    let sink = Arc::new(Kept::default());
    let into: Arc<dyn Sink> = sink.clone();
    let status = ldap::load_once(settings(&[&ours, &theirs], Duration::from_secs(600)), into);
    let status = status.unwrap();
    assert_eq!(status.domains.len(), 1, "{status:?}");
    assert!(status.servers[1].error.as_deref().is_some_and(|error| error.contains("another forest")), "{status:?}");
}

#[test]
fn an_account_that_may_not_log_on_is_not_tried_until_it_is_locked() {
    let server = Server::start(Vec::new(), |asked: &Question| ON_DC1.answer(asked));
    let sink = Arc::new(Kept::default());
    let into: Arc<dyn Sink> = sink.clone();
    let active = Active::start(settings(&[&server], Duration::from_secs(600)), into, None).unwrap();
    while active.status().domains.first().is_none_or(|domain| domain.state != "fresh") {
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = server.tried();
    server.refuse();
    server.close(true);
    server.close(false);
    // For longer than a server is left alone that cannot be reached.
    let (begin, rounds) = (Instant::now(), sink.rounds());
    while begin.elapsed() < Duration::from_secs(7) || sink.rounds() < rounds + 20 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let error = active.status().servers[0].error.clone().unwrap_or_default();
    assert!(error.contains("invalidCredentials"), "{error}");
    assert_eq!(server.tried() - before, 2, "once more, for a domain controller that has yet to hear of a new password");
}

/// A group of which a part of the members was read.
fn members_in_parts(rest: fn(i64) -> Vec<u8>, range: &'static str) -> Result<usize, LdapError> {
    let server = Server::start(Vec::new(), move |asked: &Question| {
        let group = |range: &str| {
            let member = b"<GUID=03030303-0303-0303-0303-030303030303>;CN=hanna,DC=x,DC=test".to_vec();
            let guid = ("objectGUID".to_owned(), vec![vec![5; 16]]);
            entry(asked.id, "CN=g,DC=x,DC=test", &[guid, (format!("member;range={range}"), vec![member])])
        };
        match asked.scope {
            2 => [group(range), done(asked.id, 0x65, 0, None)].concat(),
            _ => [rest(asked.id), done(asked.id, 0x65, 0, None)].concat(),
        }
    });
    let mut connection = Connection::open(&server.address, &tls(), Duration::from_secs(10))?;
    connection.bind_by_ticket("dc1", &AnyTicket(Duration::from_secs(600)), &|_| Vec::new())?;
    let domain = ldap::controller::Domain { dn: fake::DOMAIN.to_owned(), ..Default::default() };
    let found = ldap::controller::load(&mut connection, &domain, &AttributeMap::default(), 1000, 0)?;
    Ok(found[0].attributes["member"].len())
}

#[test]
fn a_group_of_which_the_rest_of_the_members_is_not_told_is_not_taken_for_whole() {
    let nothing = |id| entry(id, "CN=g,DC=x,DC=test", &[]);
    let said = members_in_parts(nothing, "0-0");
    assert!(matches!(said, Err(LdapError::Nonsense(_))), "{said:?}");
}

#[test]
fn a_group_of_as_many_members_as_can_be_counted_ends() {
    let nothing = |id| entry(id, "CN=g,DC=x,DC=test", &[]);
    let said = members_in_parts(nothing, "0-4294967295");
    assert!(matches!(said, Err(LdapError::Nonsense(_))), "{said:?}");
}
