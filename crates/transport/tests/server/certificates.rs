//! Certificates, the server's and the client's, over real sockets: a new one taken while the server runs, TLS before the
//! greeting, partners and own servers.

use std::fs;
use std::sync::{Arc, Mutex};

use directory::{Change, Config, attributes};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rights::PermissionGroup;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use transport::certificate::{self, LiveCertificate};
use transport::{TlsOptions, key_digest};

use crate::site::{CLIENT, Directory, INTERNET, Plan, Site};
use crate::wire::{Wire, text, tls_client, tls_client_of, tls_client_with};

/// A certificate and its key, as a client shows them.
struct Shown {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// An authority, and certificates for these names that it vouches for.
fn authority(names: &[&str]) -> (CertificateDer<'static>, Vec<Shown>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |name: &&str| {
        let key = KeyPair::generate().unwrap();
        let names = vec![name.to_string(), format!("mail.{name}")];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        Shown { chain: vec![certificate.der().clone()], key }
    };
    (authority.der().clone(), names.iter().map(issue).collect())
}

/// A site that asks partners for certificates of this authority.
fn partners(root: CertificateDer<'static>) -> Site {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    Site::with(Plan {
        options: Box::new(move |options| {
            options.tls = TlsOptions { partner_roots: Some(Arc::new(roots)), ..TlsOptions::default() };
        }),
        directory: Box::new(|directory| {
            directory.set_organization(attributes::SECURE_DOMAINS, "partner.test");
            directory.set_connector("internet", attributes::DOMAIN_SECURE, "TRUE");
            directory.permit("internet", PermissionGroup::Partners);
        }),
        ..Plan::default()
    })
}

fn after_tls(site: &Site, shown: Option<Shown>) -> Wire {
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&match shown {
        Some(shown) => tls_client_with(shown.chain, shown.key),
        None => tls_client(),
    });
    wire.say("EHLO client.test", "250");
    wire
}

#[test]
fn a_partner_is_known_by_the_domain_in_its_certificate() {
    let (root, mut shown) = authority(&["partner.test"]);
    let site = partners(root);
    let mut wire = after_tls(&site, shown.pop());
    let reply = wire.mail("jo@partner.test", &["bob@example.com"], &text("jo@partner.test", "partner"));
    assert!(reply.starts_with("250"), "{reply}");
    let mail = site.await_mail("bob", 1).remove(0);
    assert!(mail.contains("X-MS-Exchange-Organization-AuthAs: Partner"), "{mail}");
}

#[test]
fn mail_from_a_secure_domain_is_put_off_without_its_certificate() {
    let (root, mut known) = authority(&["other.test"]);
    let (_, mut forged) = authority(&["partner.test"]);
    let site = partners(root);
    for shown in [None, known.pop(), forged.pop()] {
        after_tls(&site, shown).say("MAIL FROM:<jo@partner.test>", "454 4.7.5");
    }
    let mut clear = Wire::greet(site.address(INTERNET));
    clear.say("EHLO client.test", "250");
    clear.say("MAIL FROM:<jo@partner.test>", "454 4.7.5");
    // Others are as they were.
    clear.say("MAIL FROM:<x@outside.test>", "250");
}

#[test]
fn a_certificate_that_nobody_vouches_for_keeps_no_mail_away() {
    let (root, _) = authority(&[]);
    let (_, mut unknown) = authority(&["outside.test"]);
    let site = partners(root);
    after_tls(&site, unknown.pop()).say("MAIL FROM:<x@outside.test>", "250");
}

#[test]
fn an_own_server_is_known_by_its_key_and_another_key_is_a_strangers() {
    let (_, mut shown) = authority(&["hub.example.com", "hub.example.com"]);
    let (hub, stranger) = (shown.remove(0), shown.remove(0));
    let digest = key_digest(&hub.chain[0]).unwrap();
    let hexadecimal: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let site = Site::with(Plan {
        directory: Box::new(move |directory| {
            directory.set_server(attributes::SERVER_KEYS, &hexadecimal);
            // 17: TLS and ExchangeServer.
            directory.set_connector("internet", attributes::RECEIVE_SECURITY, "17");
            directory.permit("internet", PermissionGroup::ExchangeServers);
        }),
        ..Plan::default()
    });
    let forged = "X-MS-Exchange-Organization-AuthAs: Internal\nX-MS-Exchange-Organization-SCL: 4\n";
    let mut wire = after_tls(&site, Some(hub));
    let reply =
        wire.mail("x@outside.test", &["bob@example.com"], &(forged.to_owned() + &text("x@outside.test", "hub")));
    assert!(reply.starts_with("250"), "{reply}");
    let mail = site.await_mail("bob", 1).remove(0);
    assert!(mail.contains("AuthAs: Internal") && mail.contains("Organization-SCL: 4"), "{mail}");

    let mut wire = after_tls(&site, Some(stranger));
    let reply =
        wire.mail("x@outside.test", &["alice@example.com"], &(forged.to_owned() + &text("x@outside.test", "no")));
    assert!(reply.starts_with("250"), "{reply}");
    let mail = site.await_mail("alice", 1).remove(0);
    assert!(mail.contains("AuthAs: Anonymous") && !mail.contains("SCL"), "{mail}");
}

#[test]
fn a_new_certificate_is_taken_without_a_restart_and_open_sessions_go_on() {
    let live: Arc<Mutex<Option<Arc<LiveCertificate>>>> = Arc::default();
    let kept = Arc::clone(&live);
    let site = Site::with(Plan {
        options: Box::new(move |options| kept.lock().unwrap().clone_from(&options.certificate)),
        ..Plan::default()
    });
    let (chain, key) = (site.folder.path().join("server.pem"), site.folder.path().join("server.key"));
    let config = tls_client();
    let connect = || {
        let mut wire = Wire::greet(site.address(CLIENT));
        wire.say("EHLO client.test", "250");
        wire.start_tls(&config);
        wire.say("EHLO client.test", "250");
        wire
    };
    let mut before = connect();
    let other = certificate::generate(&["localhost".to_owned()]).unwrap();
    fs::write(&key, other.key.as_bytes()).unwrap();
    fs::write(&chain, &other.certificate).unwrap();
    let live = live.lock().unwrap().clone().unwrap();
    assert!(live.reload(false).unwrap());
    let mut after = connect();
    assert!(!after.resumed(), "a ticket of the old certificate is worth nothing");
    let new = CertificateDer::from_pem_slice(other.certificate.as_bytes()).unwrap();
    assert_eq!(after.server_certificate(), new);
    assert_ne!(before.server_certificate(), new);
    before.say("NOOP", "250");
    after.say("NOOP", "250");
}

#[test]
fn tls_begins_before_the_greeting_where_the_connector_says_so() {
    let site = Site::with(Plan {
        directory: Box::new(|directory| directory.set_connector("client", attributes::IMPLICIT_TLS, "TRUE")),
        ..Plan::default()
    });
    let mut wire = Wire::connect(site.address(CLIENT));
    wire.handshake(&tls_client());
    wire.expect("220");
    let greeting = wire.say("EHLO client.test", "250");
    assert!(greeting.contains("AUTH") && !greeting.contains("STARTTLS"), "{greeting}");
    wire.auth("alice", "alice-demo", "235");
}

#[test]
fn an_old_tls_is_refused_where_only_the_newest_is_spoken() {
    let site = Site::with(Plan {
        options: Box::new(|options| options.tls = TlsOptions { only_13: true, ..TlsOptions::default() }),
        ..Plan::default()
    });
    let connect = |version| {
        let mut wire = Wire::greet(site.address(CLIENT));
        wire.say("EHLO client.test", "250");
        wire.say("STARTTLS", "220");
        wire.try_handshake(&tls_client_of(&[version]))
    };
    assert!(connect(&rustls::version::TLS12).is_err());
    assert!(connect(&rustls::version::TLS13).is_ok());
}

impl Directory {
    fn set_organization(&mut self, attribute: &str, value: &str) {
        let organization = self.snapshot.organization().unwrap();
        self.set(organization, attribute, value);
    }

    fn set_server(&mut self, attribute: &str, value: &str) {
        let is_server = |config: &Config| matches!(config, Config::Server(_));
        let server = self.snapshot.configuration().find(|(_, config)| is_server(config)).unwrap().0;
        self.set(server, attribute, value);
    }

    fn set(&mut self, id: directory::ObjectId, attribute: &str, value: &str) {
        let guid = self.snapshot.object(id).unwrap().guid();
        let attributes = vec![(attribute.to_owned(), vec![value.as_bytes().to_vec()])];
        self.apply(vec![Change::Modify { guid, attributes }]);
    }
}
