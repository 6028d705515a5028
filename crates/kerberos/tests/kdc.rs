//! Tickets of a real KDC: Samba's.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant, SystemTime};

use e2e::{DomainController, require, skip_without};
use kerberos::{Client, ClientError};

#[test]
fn a_ticket_is_kept_and_got_anew_before_it_ends() {
    if !require(&DomainController::PROGRAMS) {
        return;
    }
    if !DomainController::possible() {
        return skip_without("root, to make a network namespace");
    }
    let controller = DomainController::start();
    controller.samba_tool(&["user", "add", "svc", "Passw0rd!x2"]);
    controller.modify(&format!(
        "dn: CN=DC1,OU=Domain Controllers,{}\nchangetype: modify\nadd: servicePrincipalName\n\
         servicePrincipalName: ldap/dc1.ad.example.test\n-\n",
        DomainController::DOMAIN
    ));
    let folder = tempfile::tempdir().unwrap();
    let keytab = folder.path().join("svc.keytab");
    controller.export_keytab("svc", &keytab);
    // Got anew after some seconds.
    let (life, renewed) = (Duration::from_secs(300), Duration::from_secs(296));
    let client = Client::open(&keytab, "svc@AD.EXAMPLE.TEST").unwrap().lasting(life, renewed);
    let ticket = |host: &str| {
        let service = ["ldap".to_owned(), host.to_owned()];
        controller.at(|| client.ticket(&service, &|_| vec!["127.0.0.1".to_owned()], Duration::from_secs(10)))
    };
    let first = ticket("dc1.ad.example.test").unwrap();
    assert!(first.ends() <= SystemTime::now() + life && client.renewal(&first) < first.ends());
    assert_eq!(ticket("dc1.ad.example.test").unwrap().ends(), first.ends(), "kept");
    let begin = Instant::now();
    let next = loop {
        let ticket = ticket("dc1.ad.example.test").unwrap();
        if ticket.ends() != first.ends() {
            break ticket;
        }
        assert!(begin.elapsed() < life, "it was given although it ended");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert!(SystemTime::now() < first.ends() && next.ends() > first.ends());

    let unknown = ticket("nowhere.ad.example.test");
    assert!(matches!(unknown, Err(ClientError::Refused(_))), "{unknown:?}");
    let other = Client::open(&keytab, "ivan@AD.EXAMPLE.TEST");
    assert!(matches!(other, Err(ClientError::NoKey(_))), "{other:?}");
}
