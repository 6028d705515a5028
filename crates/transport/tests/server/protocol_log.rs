//! What connectors leave in the protocol log (F §3.12), and what they do not.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::attributes;
use transport::{ProtocolLog, ProtocolLogOptions, ServerOptions};

use crate::hosts::{Host, nobody};
use crate::sending::{allow, hand_over, offering, relaying_to};
use crate::site::{INTERNET, Plan, RELAY_PASSWORD, Site};
use crate::wire::Wire;

/// A log in this folder.
fn log_in(folder: &Path, usual: bool) -> impl FnOnce(&mut ServerOptions) + 'static {
    let options = ProtocolLogOptions {
        folder: folder.to_owned(),
        file_size: 1 << 20,
        keep: Duration::from_secs(86_400),
        total_size: 1 << 30,
        usual,
    };
    move |server| server.protocol_log = Some(ProtocolLog::start(options).unwrap())
}

/// The events of one direction, `EVENT,DATA,CONTEXT`, once the server has stopped.
fn logged(mut site: Site, folder: &Path, direction: &str) -> Vec<String> {
    site.server = None;
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path());
    let wanted = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(direction));
    let text: String = wanted.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let events = text.lines().filter(|line| !line.starts_with('#'));
    events.map(|line| line.splitn(7, ',').nth(6).unwrap().to_owned()).collect()
}

#[test]
fn what_a_connector_says_of_the_log_counts_at_once_in_open_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::with(Plan { options: Box::new(log_in(folder.path(), false)), ..Plan::default() });
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    site.change(|directory| directory.set_connector("internet", attributes::RECEIVE_LOGGING, "1"));
    wire.say("MAIL FROM:<sue@outside.test>", "250");
    site.change(|directory| directory.set_connector("internet", attributes::RECEIVE_LOGGING, "0"));
    wire.say("RSET", "250");
    assert_eq!(logged(site, folder.path(), "RECV"), ["<,MAIL FROM:<sue@outside.test>,", ">,250 2.1.0 Sender OK,"]);
}

#[test]
fn a_connector_that_wants_no_log_is_in_none() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::with(Plan {
        directory: Box::new(|directory| directory.set_connector("internet", attributes::RECEIVE_LOGGING, "0")),
        options: Box::new(log_in(folder.path(), true)),
        ..Plan::default()
    });
    Wire::greet(site.address(INTERNET)).say("QUIT", "221");
    assert_eq!(logged(site, folder.path(), "RECV"), Vec::<String>::new());
}

#[test]
fn a_sending_session_is_logged_without_what_proves_who_we_are() {
    for (offer, said) in
        [("AUTH PLAIN", vec![">,AUTH PLAIN *,"]), ("AUTH LOGIN", vec![">,AUTH LOGIN,", ">,*,", ">,*,"])]
    {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::start(vec![offering(&[offer, "XEXCH50"])]);
        let log_on = |directory: &mut crate::site::Directory| {
            let relay = directory.relay();
            directory.put(relay, attributes::SEND_LOGGING, "1");
            directory.put(relay, attributes::SEND_AUTH, "basic");
            directory.put(relay, attributes::SEND_USER, "us");
        };
        let site = relaying_to(host.address, log_on, log_in(folder.path(), false));
        hand_over(&site, "rita@relay.test");
        host.message();
        site.await_empty_queue();
        let events = logged(site, folder.path(), "SEND");
        let place = |event: &str| {
            events.iter().position(|logged| logged.starts_with(event)).unwrap_or_else(|| panic!("{event}: {events:#?}"))
        };
        let order = [
            "*,,attempting to connect",
            "+,,",
            "<,220 relay.test ESMTP,",
            ">,EHLO ",
            said[0],
            "<,235",
            "*,01",
            ">,MAIL FROM:<sue@outside.test>",
            ">,RCPT TO:<rita@relay.test>",
            ">,DATA,",
            "<,250 2.0.0 taken,",
            "-,,",
        ]
        .map(place);
        assert!(order.is_sorted(), "{events:#?}");
        assert_eq!(events[place(said[0])..].iter().filter(|event| said.contains(&event.as_str())).count(), said.len());
        let secrets = [STANDARD.encode(RELAY_PASSWORD), STANDARD.encode(format!("\0us\0{RELAY_PASSWORD}"))];
        assert!(!events.iter().any(|event| secrets.iter().any(|secret| event.contains(secret))), "{events:#?}");
    }
}

#[test]
fn a_host_that_cannot_be_reached_is_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let site = relaying_to(nobody(), |_| {}, log_in(folder.path(), true));
    hand_over(&site, "rita@relay.test");
    crate::sending::await_reason(&site, "refused");
    let events = logged(site, folder.path(), "SEND");
    assert!(events[0] == "*,,attempting to connect" && events[1].ends_with(",not connected"), "{events:#?}");
    assert_eq!(events[2], "-,,");
}

#[test]
fn the_data_of_xexch50_is_no_command_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(vec![offering(&["XEXCH50"])]);
    let grant = |directory: &mut crate::site::Directory| {
        let relay = directory.relay();
        directory.entries(relay, &[allow(&acl::well_known::ANONYMOUS_LOGON, rights::RightName::SendExch50)]);
    };
    let site = relaying_to(host.address, grant, log_in(folder.path(), true));
    hand_over(&site, "rita@relay.test");
    assert!(host.message().exch50.is_some());
    site.await_empty_queue();
    let events = logged(site, folder.path(), "SEND");
    let sent: Vec<&str> = events.iter().map(String::as_str).filter(|event| event.starts_with('>')).collect();
    let at = sent.iter().position(|event| event.starts_with(">,XEXCH50 ")).unwrap();
    assert_eq!(sent[at + 1..][..2], [">,,data of XEXCH50", ">,DATA,"]);
}
