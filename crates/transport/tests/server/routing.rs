//! Hosts found by MX records: which are tried, in which order, and what happens where there are none.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use transport::{DnsOptions, ServerOptions};

use crate::dns::NameServer;
use crate::extensions::{alice, from_alice};
use crate::hosts::{Host, Manners};
use crate::sending::{await_reason, quick};
use crate::site::{CLIENT, Directory, Plan, Site};
use crate::wire::{Wire, text, tls_client};

/// A site that sends to all domains by MX, to hosts with this port, and asks this name server.
pub fn by_mx(names: &NameServer, port: u16, more: impl FnOnce(&mut Directory) + 'static) -> Site {
    by_mx_with(names, port, more, |_| {})
}

pub fn by_mx_with(
    names: &NameServer,
    port: u16,
    more: impl FnOnce(&mut Directory) + 'static,
    options: impl FnOnce(&mut ServerOptions) + 'static,
) -> Site {
    let dns = DnsOptions { servers: vec![names.address], patience: Duration::from_millis(200) };
    Site::with(Plan {
        directory: Box::new(move |directory| {
            directory.accept("relay.test", "1");
            directory.send_by_mx("relay", "SMTP:*;1", port);
            more(directory);
        }),
        options: Box::new(move |all| {
            quick(all);
            all.delivery.dns = dns;
            options(all);
        }),
        ..Plan::default()
    })
}

/// alice writes to somebody.
pub fn alice_writes(site: &Site, to: &str) {
    alice_sends(site, to, &text("alice@example.com", "out"));
}

pub fn alice_sends(site: &Site, to: &str, text: &str) {
    let mut wire = Wire::greet(site.address(CLIENT));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&tls_client());
    wire.say("EHLO client.test", "250");
    wire.auth("alice", "alice-demo", "235");
    let reply = wire.mail("alice@example.com", &[to], text);
    assert!(reply.starts_with("250"), "{reply}");
}

/// A port that is free on all addresses of the loopback interface, and hosts there.
fn loopback(hosts: &[u8]) -> (u16, Vec<Host>) {
    loop {
        let port = e2e::free_port();
        let free = |host: &u8| TcpListener::bind((Ipv4Addr::new(127, 0, 0, *host), port)).is_ok();
        if (1..=9).all(|host| free(&host)) && TcpListener::bind((Ipv6Addr::LOCALHOST, port)).is_ok() {
            let start = |host: &u8| {
                let address = SocketAddr::from(([127, 0, 0, *host], port));
                Host::start_on(address, vec![Manners::good()])
            };
            return (port, hosts.iter().map(start).collect());
        }
    }
}

fn ip(last: u8) -> [Ipv4Addr; 1] {
    [Ipv4Addr::new(127, 0, 0, last)]
}

fn bounce(site: &Site) -> String {
    site.await_mail("alice", 1).remove(0)
}

#[test]
fn the_host_of_the_best_preference_takes_the_mail() {
    let names = NameServer::start();
    let (port, hosts) = loopback(&[3, 4]);
    names.mx("relay.test", &[(20, "mx2.relay.test"), (10, "mx1.relay.test")]);
    names.a("mx1.relay.test", &ip(3)).a("mx2.relay.test", &ip(4));
    let site = by_mx(&names, port, |_| {});
    alice_writes(&site, "rita@relay.test");
    assert_eq!(hosts[0].message().to, ["RCPT TO:<rita@relay.test>"]);
}

#[test]
fn the_next_host_takes_the_mail_where_the_first_is_down_or_has_no_address() {
    let names = NameServer::start();
    let (port, hosts) = loopback(&[4]);
    names.mx("relay.test", &[(5, "gone.relay.test"), (10, "mx1.relay.test"), (20, "mx2.relay.test")]);
    names.a("mx1.relay.test", &ip(3)).a("mx2.relay.test", &ip(4));
    let site = by_mx(&names, port, |_| {});
    alice_writes(&site, "rita@relay.test");
    hosts[0].message();
    site.await_empty_queue();
}

#[test]
fn all_addresses_of_a_host_are_tried_those_of_ipv6_first() {
    let names = NameServer::start();
    let (port, hosts) = loopback(&[4]);
    names.mx("relay.test", &[(10, "mx.relay.test")]);
    names.aaaa("mx.relay.test", &[Ipv6Addr::LOCALHOST]).a("mx.relay.test", &[ip(3)[0], ip(4)[0]]);
    let site = by_mx(&names, port, |_| {});
    alice_writes(&site, "rita@relay.test");
    hosts[0].message();
    let six = Host::start_on((Ipv6Addr::LOCALHOST, port).into(), vec![Manners::good()]);
    site.await_empty_queue();
    // The connection to the other address is kept for a while: another domain has none.
    names.mx("six.test", &[(10, "mx.six.test")]).aaaa("mx.six.test", &[Ipv6Addr::LOCALHOST]).a("mx.six.test", &ip(4));
    alice_writes(&site, "rita@six.test");
    assert_eq!(six.message().to, ["RCPT TO:<rita@six.test>"]);
}

#[test]
fn a_domain_without_mx_records_is_its_own_host_also_behind_an_alias() {
    let names = NameServer::start();
    let (port, hosts) = loopback(&[3]);
    names.a("relay.test", &ip(3)).cname("alias.test", "real.test").mx("real.test", &[(1, "mx.real.test")]);
    names.a("mx.real.test", &ip(3)).cname("plain-alias.test", "relay.test");
    let site = by_mx(&names, port, |_| {});
    for domain in ["relay.test", "alias.test", "plain-alias.test"] {
        alice_writes(&site, &format!("rita@{domain}"));
        assert_eq!(hosts[0].message().to, [format!("RCPT TO:<rita@{domain}>")]);
    }
}

#[test]
fn an_address_literal_is_its_own_host() {
    let names = NameServer::start();
    let (port, hosts) = loopback(&[3]);
    let site = by_mx(&names, port, |_| {});
    alice_writes(&site, "rita@[127.0.0.3]");
    assert_eq!(hosts[0].message().to, ["RCPT TO:<rita@[127.0.0.3]>"]);
}

#[test]
fn what_requires_tls_comes_back_from_an_address_literal_which_has_no_policy() {
    let names = NameServer::start();
    let (port, hosts) = loopback(&[3]);
    let site = by_mx(&names, port, |_| {});
    from_alice(&mut alice(&site), " REQUIRETLS", "rita@[127.0.0.3]", "");
    let report = site.await_mail("alice", 1).remove(0);
    assert!(report.contains("Status: 5.7.30"), "{report}");
    drop(hosts);
}

#[test]
fn a_domain_that_does_not_exist_or_takes_no_mail_is_told_to_the_sender() {
    for (domain, status) in
        [("nowhere.test", "5.1.2"), ("null.test", "5.1.10"), ("bare.test", "5.4.4"), ("lost.test", "5.4.4")]
    {
        let names = NameServer::start();
        names.mx("null.test", &[(0, ".")]).txt("bare.test", "nothing but a text");
        names.mx("lost.test", &[(10, "gone.lost.test")]);
        let site = by_mx(&names, 9, |_| {});
        alice_writes(&site, &format!("rita@{domain}"));
        let bounce = bounce(&site);
        assert!(bounce.contains(&format!("Status: {status}\n")), "{domain}: {bounce}");
    }
}

#[test]
fn mail_waits_while_the_dns_is_dead_and_goes_when_it_is_back() {
    let names = NameServer::start();
    let (port, hosts) = loopback(&[3]);
    names.mx("relay.test", &[(10, "mx.relay.test")]).a("mx.relay.test", &ip(3)).mute(true);
    let site = by_mx(&names, port, |_| {});
    alice_writes(&site, "rita@relay.test");
    await_reason(&site, "the DNS gives no answer about relay.test");
    names.mute(false);
    hosts[0].message();
    site.await_empty_queue();
    assert!(site.mailbox("alice").is_empty());
}

#[test]
fn mail_waits_where_a_name_server_fails() {
    let names = NameServer::start();
    let (port, _hosts) = loopback(&[]);
    names.mx("relay.test", &[(10, "mx.relay.test")]).fail("mx.relay.test").fail("other.test");
    let site = by_mx(&names, port, |_| {});
    alice_writes(&site, "rita@relay.test");
    await_reason(&site, "no address of a host of relay.test");
    alice_writes(&site, "rita@other.test");
    await_reason(&site, "the DNS gives no answer about other.test");
    assert!(site.mailbox("alice").is_empty());
}

#[test]
fn mail_is_not_given_to_this_server_by_its_name() {
    let names = NameServer::start();
    names.mx("relay.test", &[(10, "mail.example.com"), (20, "mx.relay.test")]).a("mx.relay.test", &ip(3));
    let site = by_mx(&names, 9, |_| {});
    alice_writes(&site, "rita@relay.test");
    let bounce = bounce(&site);
    assert!(bounce.contains("Status: 5.4.6") && bounce.contains("loops back to this server"), "{bounce}");
}

#[test]
fn mail_is_not_given_to_this_server_by_its_address() {
    let names = NameServer::start();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    names.a("relay.test", &[Ipv4Addr::LOCALHOST]);
    let site = by_mx_with(
        &names,
        port,
        |_| {},
        move |options| {
            options.listeners.retain(|(binding, _)| binding.to_string() == CLIENT);
            options.listeners.push((crate::site::INTERNET.parse().unwrap(), socket));
        },
    );
    alice_writes(&site, "rita@relay.test");
    assert!(bounce(&site).contains("Status: 5.4.6"));
}

#[test]
fn a_server_that_is_a_second_choice_gives_mail_to_the_first_alone() {
    let names = NameServer::start();
    let (port, hosts) = loopback(&[3, 4]);
    names.mx("relay.test", &[(10, "mx1.relay.test"), (20, "MAIL.example.com"), (30, "mx3.relay.test")]);
    names.a("mx1.relay.test", &ip(3)).a("mx3.relay.test", &ip(4));
    let site = by_mx(&names, port, |_| {});
    alice_writes(&site, "rita@relay.test");
    hosts[0].message();
    site.await_empty_queue();
}

#[test]
fn a_domain_that_is_down_does_not_keep_mail_for_others() {
    let names = NameServer::start();
    let (port, hosts) = loopback(&[4]);
    names.a("relay.test", &ip(3)).a("other.test", &ip(4));
    let site = by_mx(&names, port, |_| {});
    alice_writes(&site, "rita@relay.test");
    await_reason(&site, "relay.test [127.0.0.3]");
    alice_writes(&site, "rita@other.test");
    assert_eq!(hosts[0].message().to, ["RCPT TO:<rita@other.test>"]);
}
