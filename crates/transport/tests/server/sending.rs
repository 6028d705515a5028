//! What leaves by a send connector: header rights of the receiver, the data of XEXCH50, logging on, own servers and
//! partners.

use std::net::SocketAddr;
use std::sync::Arc;

use acl::{AccessMask, Ace, Sid, edit, well_known};
use directory::{Change, Config, ObjectId, attributes};
use queue::Backoff;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rights::{GrantedOn, PermissionGroup, RIGHTS, RightName};
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use transport::certificate::LiveCertificate;
use transport::{ServerOptions, key_digest};

use crate::hosts::{Got, Host, Manners};
use crate::site::{Directory, INTERNET, Plan, RELAY_PASSWORD, Site, eventually};
use crate::wire::{Wire, text};

/// What clients of the trusted connector may hand over: organization and forest headers, a route, the data of XEXCH50.
const HEADER: &str = "Received: from elsewhere by nowhere; Thu, 1 Jan 2026 11:00:00 +0000\n\
                      X-MS-Exchange-Organization-SCL: -1\nX-MS-Exchange-Forest-RulesExecuted: all\n";
const BLOB: &[u8] = b"QUIT\r\n\x00\xff.\r\n";

impl Directory {
    pub fn of(&self, wanted: impl Fn(&Config) -> bool) -> ObjectId {
        self.snapshot.configuration().find(|(_, config)| wanted(config)).unwrap().0
    }

    pub fn put(&mut self, id: ObjectId, attribute: &str, value: &str) {
        let guid = self.snapshot.object(id).unwrap().guid();
        let attributes = vec![(attribute.to_owned(), vec![value.as_bytes().to_vec()])];
        self.apply(vec![Change::Modify { guid, attributes }]);
    }

    pub fn relay(&self) -> ObjectId {
        self.of(|config| matches!(config, Config::SendConnector(_)))
    }

    /// The explicit entries of an object become these.
    pub fn entries(&mut self, id: ObjectId, aces: &[Ace]) {
        let guid = self.snapshot.object(id).unwrap().guid();
        let mut descriptor = (*self.snapshot.explicit_descriptor(id).unwrap()).clone();
        let dacl = descriptor.dacl.get_or_insert_default();
        dacl.aces.retain(|ace| ace.object_type.is_none());
        for ace in aces {
            edit::add(dacl, ace.clone());
        }
        let attributes = vec![(attributes::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()])];
        self.apply(vec![Change::Modify { guid, attributes }]);
    }

    /// The connector on the Internet's binding trusts by address, and takes everything from whom it trusts.
    pub fn trust_by_address(&mut self) {
        let internet = self.of(|config| matches!(config, Config::ReceiveConnector(c) if c.name == "internet"));
        self.put(internet, attributes::RECEIVE_SECURITY, "33");
        let all = RIGHTS.iter().filter(|right| right.on == GrantedOn::ReceiveConnector);
        let aces: Vec<Ace> = all.map(|right| allow(&well_known::EXTERNALLY_SECURED_SERVERS, right.id)).collect();
        self.entries(internet, &aces);
    }
}

pub fn allow(sid: &Sid, right: RightName) -> Ace {
    Ace::allow_object(sid.clone(), AccessMask::CONTROL_ACCESS, right.guid())
}

fn deny(sid: &Sid, right: RightName) -> Ace {
    Ace::deny_object(sid.clone(), AccessMask::CONTROL_ACCESS, right.guid())
}

pub fn quick(options: &mut ServerOptions) {
    options.delivery.backoff = Backoff { first: 20, longest: 50 };
}

/// A site whose mail for `relay.test` goes to this address.
pub fn relaying_to(
    address: SocketAddr,
    more: impl FnOnce(&mut Directory) + 'static,
    options: impl FnOnce(&mut ServerOptions) + 'static,
) -> Site {
    Site::with(Plan {
        directory: Box::new(move |directory| {
            directory.accept("relay.test", "1");
            directory.send("relay", "SMTP:relay.test;1", address);
            directory.trust_by_address();
            more(directory);
        }),
        options: Box::new(move |all| {
            quick(all);
            options(all);
        }),
        ..Plan::default()
    })
}

/// Hands a message over, with all that only trusted hosts may set.
pub fn hand_over(site: &Site, to: &str) {
    let mut wire = Wire::greet(site.address(INTERNET));
    let offered = wire.say("EHLO client.test", "250");
    assert!(offered.contains("XEXCH50"), "{offered}");
    wire.say("MAIL FROM:<sue@outside.test>", "250");
    wire.say(&format!("RCPT TO:<{to}>"), "250");
    wire.say(&format!("XEXCH50 {} 2", BLOB.len()), "354");
    wire.send_bytes(BLOB).unwrap();
    wire.expect("250");
    wire.say("DATA", "354");
    wire.send_bytes(format!("{HEADER}{}.\n", text("sue@outside.test", "out")).replace('\n', "\r\n").as_bytes())
        .unwrap();
    wire.expect("250");
    wire.say("QUIT", "221");
}

pub fn offering(offers: &[&'static str]) -> Manners {
    let mut manners = Manners::good();
    manners.offers.extend(offers);
    manners
}

fn has(got: &Got, right: RightName) -> bool {
    match right {
        RightName::SendHeadersRouting => got.text.contains("Received: from elsewhere"),
        RightName::SendHeadersOrganization => got.text.contains("X-MS-Exchange-Organization-SCL: -1"),
        RightName::SendHeadersForest => got.text.contains("X-MS-Exchange-Forest-RulesExecuted: all"),
        RightName::SendExch50 => got.exch50.as_deref() == Some(BLOB),
        other => panic!("{other:?} is no right of send connectors"),
    }
}

/// S2 table 5: each right has its effect, present and absent, allowed and denied, by the usage type's entries and by a
/// single one.
#[test]
fn each_right_of_a_send_connector_has_its_effect() {
    let host = Host::start(vec![offering(&["XEXCH50"])]);
    let mut site = relaying_to(host.address, |_| {}, |_| {});
    let rights: Vec<RightName> =
        RIGHTS.iter().filter(|right| right.on == GrantedOn::SendConnector).map(|right| right.id).collect();
    assert_eq!(rights.len(), 4);
    let (stranger, secured) = (&well_known::ANONYMOUS_LOGON, &well_known::EXTERNALLY_SECURED_SERVERS);
    let all = |sid: &Sid| rights.iter().map(|right| allow(sid, *right)).collect::<Vec<_>>();
    let mut ask = |auth: &str, aces: &[Ace]| {
        site.change(|directory| {
            let relay = directory.relay();
            directory.put(relay, attributes::SEND_AUTH, auth);
            directory.entries(relay, aces);
        });
        hand_over(&site, "rita@relay.test");
        let got = host.message();
        rights.iter().copied().filter(|right| has(&got, *right)).collect::<Vec<_>>()
    };
    assert_eq!(ask("none", &[]), [], "nobody holds anything");
    assert_eq!(ask("none", &all(secured)), [], "a stranger holds what is granted to proven hosts");
    assert_eq!(ask("external-authoritative", &all(secured)), rights, "a proven host lacks what it is granted");
    for right in rights.clone() {
        let others: Vec<RightName> = rights.iter().copied().filter(|other| *other != right).collect();
        assert_eq!(ask("none", &[allow(stranger, right)]), [right], "one entry grants one right");
        let mut denied = all(secured);
        denied.push(deny(secured, right));
        assert_eq!(ask("external-authoritative", &denied), others, "a denial beats the grant");
    }
}

#[test]
fn a_host_that_does_not_offer_xexch50_gets_the_message_without_it() {
    let host = Host::start(vec![Manners::good()]);
    let grant = |directory: &mut Directory| {
        let relay = directory.relay();
        directory.entries(relay, &[allow(&well_known::ANONYMOUS_LOGON, RightName::SendExch50)]);
    };
    let site = relaying_to(host.address, grant, |_| {});
    hand_over(&site, "rita@relay.test");
    let got = host.message();
    assert!(got.exch50.is_none() && got.text.contains("Subject: out"), "{got:?}");
}

/// That we log on to a host proves nothing about it.
#[test]
fn a_host_that_we_log_on_to_is_a_stranger() {
    for (offer, login) in [("AUTH LOGIN PLAIN", "AUTH PLAIN"), ("AUTH LOGIN", "AUTH LOGIN")] {
        let host = Host::start(vec![offering(&[offer])]);
        let log_on = |directory: &mut Directory| {
            let relay = directory.relay();
            directory.put(relay, attributes::SEND_AUTH, "basic");
            directory.put(relay, attributes::SEND_USER, "us");
            let proven = [&well_known::HUB_SERVERS, &well_known::AUTHENTICATED_USERS, &well_known::PARTNER_SERVERS];
            directory.entries(relay, &proven.map(|sid| allow(sid, RightName::SendHeadersOrganization)));
        };
        let site = relaying_to(host.address, log_on, |_| {});
        hand_over(&site, "rita@relay.test");
        let got = host.message();
        assert!(got.auth[0].starts_with(login), "{:?}", got.auth);
        let said = got.auth.join(" ");
        let password = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, RELAY_PASSWORD);
        let plain =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("\0us\0{RELAY_PASSWORD}"));
        assert!(said.contains(&password) || said.contains(&plain), "{said}");
        assert!(!got.text.contains("X-MS-Exchange-Organization"), "{}", got.text);
    }
}

/// Waits until the mail was put off for a reason with these words.
pub fn await_reason(site: &Site, words: &str) {
    eventually(words, || {
        site.shared.queue().destinations(None).iter().any(|state| state.reason.contains(words)).then_some(())
    });
}

#[test]
fn a_password_is_never_said_without_tls_where_the_connector_requires_it() {
    let host = Host::start(vec![offering(&["AUTH PLAIN"])]);
    let log_on = |directory: &mut Directory| {
        let relay = directory.relay();
        directory.put(relay, attributes::SEND_AUTH, "basic-requires-tls");
        directory.put(relay, attributes::SEND_USER, "us");
    };
    let mut site = relaying_to(host.address, log_on, |_| {});
    hand_over(&site, "rita@relay.test");
    await_reason(&site, "TLS is required and the host offers none");
    // The mail was not lost: with other terms it goes.
    site.change(|directory| {
        let relay = directory.relay();
        directory.put(relay, attributes::SEND_AUTH, "none");
    });
    assert!(host.message().auth.is_empty());
}

#[test]
fn no_mail_goes_without_tls_where_the_connector_requires_it() {
    let host = Host::start(vec![Manners::good()]);
    let require = |directory: &mut Directory| {
        let relay = directory.relay();
        directory.put(relay, attributes::REQUIRE_TLS, "TRUE");
    };
    let site = relaying_to(host.address, require, |_| {});
    hand_over(&site, "rita@relay.test");
    await_reason(&site, "TLS is required and the host offers none");
}

/// An authority and a certificate that it vouches for.
pub fn certificate_for(name: &str) -> (CertificateDer<'static>, Arc<CertifiedKey>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(vec![certificate.der().clone()], key, &provider).unwrap();
    (authority.der().clone(), Arc::new(certified))
}

pub fn digest(certificate: &CertifiedKey) -> String {
    key_digest(&certificate.cert[0]).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A site that takes mail for `relay.test` into the mailboxes of example.com, with this certificate.
pub fn inner(certificate: Arc<CertifiedKey>, more: impl FnOnce(&mut Directory) + 'static) -> Site {
    Site::with(Plan {
        directory: Box::new(|directory| {
            directory.accept("relay.test", "0");
            let relay = directory.of(|config| matches!(config, Config::AcceptedDomain(d) if d.name == "relay.test"));
            directory.put(relay, attributes::ALIAS_OF, "example.com");
            more(directory);
        }),
        options: Box::new(move |options| options.certificate = Some(Arc::new(LiveCertificate::fixed(certificate)))),
        ..Plan::default()
    })
}

fn trusts_key(directory: &mut Directory, key: &str) {
    let server = directory.of(|config| matches!(config, Config::Server(_)));
    directory.put(server, attributes::SERVER_KEYS, key);
}

/// Direct trust both ways: what only servers of the organization tell each other arrives.
#[test]
fn two_own_servers_exchange_mail_with_organization_headers_kept() {
    let ((_, ours), (_, theirs)) = (certificate_for("hub.example.com"), certificate_for("edge.example.com"));
    let our_key = digest(&ours);
    let there = inner(theirs.clone(), move |directory| {
        trusts_key(directory, &our_key);
        // 17: TLS and ExchangeServer.
        directory.set_connector("internet", attributes::RECEIVE_SECURITY, "17");
        directory.permit("internet", PermissionGroup::ExchangeServers);
    });
    let their_key = digest(&theirs);
    let here = relaying_to(
        there.address(INTERNET),
        move |directory| {
            trusts_key(directory, &their_key);
            let relay = directory.relay();
            directory.put(relay, attributes::SEND_AUTH, "exchange-server");
            let rights = [RightName::SendHeadersOrganization, RightName::SendHeadersRouting];
            directory.entries(relay, &rights.map(|right| allow(&well_known::HUB_SERVERS, right)));
        },
        move |options| options.certificate = Some(Arc::new(LiveCertificate::fixed(ours))),
    );
    hand_over(&here, "bob@relay.test");
    let mail = there.await_mail("bob", 1).remove(0);
    assert!(mail.contains("X-MS-Exchange-Organization-SCL: -1"), "{mail}");
    assert!(mail.contains("X-MS-Exchange-Organization-AuthAs: Internal"), "{mail}");
    here.await_empty_queue();
}

#[test]
fn a_server_with_another_key_gets_nothing() {
    let ((_, ours), (_, theirs)) = (certificate_for("hub.example.com"), certificate_for("edge.example.com"));
    let (_, known) = certificate_for("edge.example.com");
    let there = inner(theirs, |_| {});
    let here = relaying_to(
        there.address(INTERNET),
        move |directory| {
            trusts_key(directory, &digest(&known));
            let relay = directory.relay();
            directory.put(relay, attributes::SEND_AUTH, "exchange-server");
        },
        move |options| options.certificate = Some(Arc::new(LiveCertificate::fixed(ours))),
    );
    hand_over(&here, "bob@relay.test");
    await_reason(&here, "Cannot achieve Exchange Server authentication");
    assert!(there.mailbox("bob").is_empty());
}

/// A site that sends to `relay.test` by Domain Security, with these roots, to a host with this certificate.
fn securely(root: CertificateDer<'static>, there: &Site) -> Site {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    relaying_to(
        there.address(INTERNET),
        |directory| {
            let organization = directory.snapshot.organization().unwrap();
            directory.put(organization, attributes::SECURE_DOMAINS, "relay.test");
            let relay = directory.relay();
            directory.put(relay, attributes::DOMAIN_SECURE, "TRUE");
            directory.entries(relay, &[allow(&well_known::PARTNER_SERVERS, RightName::SendHeadersRouting)]);
        },
        move |options| options.tls.partner_roots = Some(Arc::new(roots)),
    )
}

#[test]
fn a_partner_gets_what_partners_may_know() {
    let (root, certificate) = certificate_for("relay.test");
    let there = inner(certificate, |_| {});
    let here = securely(root, &there);
    hand_over(&here, "bob@relay.test");
    let mail = there.await_mail("bob", 1).remove(0);
    assert!(mail.contains("Received: from elsewhere") && !mail.contains("SCL"), "{mail}");
}

#[test]
fn mail_to_a_secure_domain_waits_where_its_certificate_fails() {
    let (root, other) = certificate_for("other.test");
    let (_, forged) = certificate_for("relay.test");
    for certificate in [other, forged] {
        let there = inner(certificate, |_| {});
        let here = securely(root.clone(), &there);
        hand_over(&here, "bob@relay.test");
        await_reason(&here, "does not prove relay.test (Domain Security)");
        assert!(there.mailbox("bob").is_empty());
    }
}
