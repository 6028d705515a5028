//! What send connectors demand of TLS: verified names, pinned keys, and the policies that domains publish (MTA-STS).

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use directory::attributes;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::CertificateDer;
use transport::StsOptions;
use transport::delivery::Roots;

use crate::dns::NameServer;
use crate::extensions::{alice, from_alice, sue_requires_tls};
use crate::hosts::{Host, Manners};
use crate::routing::by_mx_with;
use crate::sending::{await_reason, certificate_for, digest, hand_over, inner, offering, relaying_to};
use crate::site::{INTERNET, Site, eventually};

/// A site whose mail for relay.test goes to another one, by this policy, believing this authority.
fn demanding(there: &Site, policy: &'static str, pin: Option<String>, root: Option<CertificateDer<'static>>) -> Site {
    relaying_to(
        there.address(INTERNET),
        move |directory| {
            let relay = directory.relay();
            directory.put(relay, attributes::SEND_TLS, policy);
            if let Some(pin) = pin {
                directory.put(relay, attributes::SEND_PINS, &pin);
            }
        },
        move |options| options.delivery.roots = root.map(|root| Arc::new(Roots::new(vec![root]))),
    )
}

#[test]
fn a_smart_host_that_proves_its_name_gets_the_mail() {
    let (root, certificate) = certificate_for("127.0.0.1");
    let there = inner(certificate, |_| {});
    let here = demanding(&there, "verified", None, Some(root));
    hand_over(&here, "bob@relay.test");
    there.await_mail("bob", 1);
}

#[test]
fn a_smart_host_that_does_not_prove_its_name_gets_nothing() {
    let (root, other) = certificate_for("other.test");
    let (_, forged) = certificate_for("127.0.0.1");
    for (certificate, words) in [(other, "is not for 127.0.0.1"), (forged, "is not to be trusted")] {
        let there = inner(certificate, |_| {});
        let here = demanding(&there, "verified", None, Some(root.clone()));
        hand_over(&here, "bob@relay.test");
        await_reason(&here, words);
        assert!(there.mailbox("bob").is_empty());
    }
}

#[test]
fn a_pinned_key_is_enough_and_another_key_is_not() {
    let (_, certificate) = certificate_for("anything.test");
    let pin = digest(&certificate);
    let there = inner(certificate, |_| {});
    let here = demanding(&there, "verified", Some(pin), None);
    hand_over(&here, "bob@relay.test");
    there.await_mail("bob", 1);
    let here = demanding(&there, "verified", Some("00".repeat(32)), None);
    hand_over(&here, "bob@relay.test");
    await_reason(&here, "none of those pinned");
}

#[test]
fn the_policy_none_uses_no_tls_even_where_it_is_offered() {
    let host = Host::start(vec![offering(&["STARTTLS"])]);
    let here = relaying_to(
        host.address,
        |directory| {
            let relay = directory.relay();
            directory.put(relay, attributes::SEND_TLS, "none");
        },
        |_| {},
    );
    hand_over(&here, "rita@relay.test");
    host.message();
}

#[test]
fn the_policy_required_takes_any_certificate_and_no_plain_text() {
    let (_, certificate) = certificate_for("other.test");
    let there = inner(certificate, |_| {});
    let here = demanding(&there, "required", None, None);
    hand_over(&here, "bob@relay.test");
    there.await_mail("bob", 1);
    let host = Host::start(vec![Manners::good()]);
    let here = relaying_to(
        host.address,
        |directory| {
            let relay = directory.relay();
            directory.put(relay, attributes::SEND_TLS, "required");
        },
        |_| {},
    );
    hand_over(&here, "rita@relay.test");
    await_reason(&here, "TLS is required and the host offers none");
}

/// An https server that gives a policy.
fn policies(certificate: Arc<CertifiedKey>, policy: &'static str) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate)));
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config).ok()?, stream));
                let mut line = String::new();
                while line != "\r\n" {
                    line.clear();
                    stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
                }
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n";
                let answer = format!("{head}Content-Length: {}\r\n\r\n{policy}", policy.len());
                stream.get_mut().write_all(answer.as_bytes()).ok()
            });
        }
    });
    address
}

struct Published {
    names: NameServer,
    there: Site,
    here: Site,
}

/// relay.test publishes a policy, signed for by an authority that counts or by another one; its host shows a certificate.
fn publish(policy: &'static str, host_certificate: &str, genuine: bool) -> Published {
    publish_for("mta-sts", policy, host_certificate, genuine)
}

/// The same, for a connector with these terms.
fn publish_for(terms: &'static str, policy: &'static str, host_certificate: &str, genuine: bool) -> Published {
    let (root, certificate) = certificate_for("mta-sts.relay.test");
    let (host_root, host) = certificate_for(host_certificate);
    let there = inner(host, |_| {});
    let names = NameServer::start();
    names.mx("relay.test", &[(10, "mx.relay.test")]).a("mx.relay.test", &[Ipv4Addr::LOCALHOST]);
    names.txt("_mta-sts.relay.test", "v=STSv1; id=1;");
    let server = policies(certificate, policy);
    let roots = if genuine { vec![root, host_root] } else { vec![host_root] };
    let here = by_mx_with(
        &names,
        there.address(INTERNET).port(),
        |directory| {
            let relay = directory.relay();
            directory.put(relay, attributes::SEND_TLS, terms);
            directory.trust_by_address();
        },
        move |options| {
            options.delivery.sts = StsOptions { server: Some(server) };
            options.delivery.roots = Some(Arc::new(Roots::new(roots)));
        },
    );
    Published { names, there, here }
}

const ENFORCED: &str = "version: STSv1\r\nmode: enforce\r\nmx: *.relay.test\r\nmax_age: 86400\r\n";
const OTHER_HOSTS: &str = "version: STSv1\r\nmode: enforce\r\nmx: mx.other.test\r\nmax_age: 86400\r\n";
const TESTED: &str = "version: STSv1\r\nmode: testing\r\nmx: mx.other.test\r\nmax_age: 86400\r\n";

#[test]
fn a_host_that_fits_the_enforced_policy_of_its_domain_gets_the_mail() {
    let published = publish(ENFORCED, "mx.relay.test", true);
    hand_over(&published.here, "bob@relay.test");
    published.there.await_mail("bob", 1);
}

#[test]
fn a_host_without_the_certificate_that_the_policy_demands_gets_nothing() {
    let published = publish(ENFORCED, "mx.other.test", true);
    hand_over(&published.here, "bob@relay.test");
    await_reason(&published.here, "the host's certificate is not for mx.relay.test");
    assert!(published.there.mailbox("bob").is_empty());
}

#[test]
fn a_host_that_the_policy_does_not_name_gets_nothing() {
    let published = publish(OTHER_HOSTS, "mx.relay.test", true);
    hand_over(&published.here, "bob@relay.test");
    await_reason(&published.here, "the MTA-STS policy of the domain does not name this host");
    assert!(published.there.mailbox("bob").is_empty());
}

#[test]
fn a_policy_that_is_being_tested_stops_nothing() {
    let published = publish(TESTED, "mx.other.test", true);
    hand_over(&published.here, "bob@relay.test");
    published.there.await_mail("bob", 1);
}

#[test]
fn a_policy_that_nobody_vouches_for_is_none() {
    let published = publish(OTHER_HOSTS, "mx.other.test", false);
    hand_over(&published.here, "bob@relay.test");
    published.there.await_mail("bob", 1);
}

#[test]
fn a_policy_that_is_known_counts_although_its_record_is_gone() {
    let published = publish(OTHER_HOSTS, "mx.relay.test", true);
    hand_over(&published.here, "bob@relay.test");
    await_reason(&published.here, "does not name this host");
    published.names.fail("_mta-sts.relay.test");
    published.here.shared.queue().destination_up("nothing");
    hand_over(&published.here, "bob@relay.test");
    await_reason(&published.here, "does not name this host");
    assert!(published.there.mailbox("bob").is_empty());
}

/// Waits until the only recipient in the queue was told this.
fn await_answer(site: &Site, words: &str) {
    eventually(words, || {
        let waiting = site.shared.queue().list(&queue::ListFilter::default()).unwrap();
        let message = site.shared.queue().show(&waiting.first()?.queue_id).ok()?;
        message.recipients[0].reason.contains(words).then_some(())
    });
}

#[test]
fn a_message_that_requires_tls_goes_to_the_hosts_of_the_policy_whatever_the_connector_asks_for() {
    let published = publish_for("opportunistic", ENFORCED, "mx.relay.test", true);
    sue_requires_tls(&published.here);
    published.there.await_mail("bob", 1);
}

#[test]
fn a_message_that_requires_tls_waits_while_the_dns_does_not_say_whether_there_is_a_policy() {
    let published = publish(ENFORCED, "mx.relay.test", true);
    published.names.fail("_mta-sts.relay.test");
    sue_requires_tls(&published.here);
    await_answer(&published.here, "the MTA-STS policy of the domain is not known");
    // Other mail for the domain does not wait with it.
    hand_over(&published.here, "bob@relay.test");
    published.there.await_mail("bob", 1);
    published.names.mend("_mta-sts.relay.test");
    published.there.await_mail("bob", 2);
    published.here.await_empty_queue();
}

#[test]
fn a_message_that_requires_tls_waits_while_the_policy_cannot_be_fetched() {
    let published = publish(ENFORCED, "mx.relay.test", false);
    sue_requires_tls(&published.here);
    await_answer(&published.here, "the MTA-STS policy of the domain is not known");
    assert!(published.there.mailbox("bob").is_empty());
}

#[test]
fn a_message_that_requires_tls_comes_back_where_the_domain_has_no_policy_in_force() {
    let published = publish(TESTED, "mx.relay.test", true);
    from_alice(&mut alice(&published.here), " REQUIRETLS", "bob@relay.test", "");
    let report = published.here.await_mail("alice", 1).remove(0);
    assert!(report.contains("Status: 5.7.30"), "{report}");
    published.here.await_empty_queue();
    assert!(published.there.mailbox("bob").is_empty());
}
