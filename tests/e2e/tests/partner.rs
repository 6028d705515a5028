//! Domain Security with Postfix as the partner: each proves its domain to the other by certificate, or no mail goes.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use e2e::{Mechanism, Network, Node, Postfix, Talk, require, skip_without};

const OURS: usize = 0;
const THEIRS: usize = 1;

const AUTH_AS: &str = "X-MS-Exchange-Organization-AuthAs";

struct Partners {
    network: Network,
    ours: Node,
    theirs: Postfix,
}

/// We are mail.example.com with a mailbox for alice; the partner's Postfix has mail for partner.test. Both have certificates
/// of one authority; the partner's is for `names`. Each of them sends to the other over verified TLS only, and asks the
/// other for a certificate.
fn partners(names: &[&str]) -> Option<Partners> {
    if !require(&Network::PROGRAMS) || !require(&Postfix::PROGRAMS) || !require(&["python3", "openssl"]) {
        return None;
    }
    if !Network::possible() {
        skip_without("root, to make a network namespace");
        return None;
    }
    let network = Network::of(2);
    let mut ours = Node::init(&["--domain", "example.com", "--hostname", "mail.example.com"]);
    let folder = ours.scratch().to_owned();
    authority(&folder);
    certificate(&folder, "ours", &["mail.example.com", "example.com"]);
    certificate(&folder, "theirs", names);
    let file = |name: &str| folder.join(name).display().to_string();
    ours.configure(
        "tls",
        &format!(
            "certificate = {:?}\nkey = {:?}\npartner_roots = {:?}",
            file("ours.pem"),
            file("ours.key"),
            file("authority.pem")
        ),
    );
    network.at(OURS, || ours.serve());
    ours.add_user("alice", "alice-demo");
    ours.procura(&["secure-domain", "add", "partner.test"]).ok();
    let here = Network::address(OURS).to_string();
    let there = Network::address(THEIRS).to_string();
    let receive = ["connector", "receive", "new", "Partner", "--usage", "partner", "--bindings", "0.0.0.0:25"];
    ours.procura(&[&receive[..], &["--remote-ranges", &there]].concat()).ok();
    let send = ["connector", "send", "new", "To the partner", "--usage", "partner", "--address-space", "partner.test"];
    ours.procura(&[&send[..], &["--smart-host", &there]].concat()).ok();

    let settings = format!(
        "myhostname = mail.partner.test\nmynetworks = {there}\nrelayhost = [{here}]\n\
         smtp_tls_security_level = secure\nsmtp_tls_secure_cert_match = mail.example.com\nsmtp_tls_CAfile = {ca}\n\
         smtp_tls_cert_file = {chain}\nsmtp_tls_key_file = {key}\n\
         smtpd_tls_security_level = encrypt\nsmtpd_tls_req_ccert = yes\nsmtpd_tls_CAfile = {ca}\n\
         smtpd_tls_cert_file = {chain}\nsmtpd_tls_key_file = {key}\nsmtpd_tls_received_header = yes\n",
        ca = file("authority.pem"),
        chain = file("theirs.pem"),
        key = file("theirs.key"),
    );
    let theirs = network.at(THEIRS, || Postfix::start(&settings));
    Some(Partners { network, ours, theirs })
}

/// An authority of the test's own.
#[track_caller]
fn authority(folder: &Path) {
    openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout authority.key \
         -out authority.pem",
    );
}

/// A key, and a certificate of the authority for these names.
#[track_caller]
fn certificate(folder: &Path, file: &str, names: &[&str]) {
    let alternatives: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    let extensions = format!(
        "subjectAltName={}\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n",
        alternatives.join(",")
    );
    fs::write(folder.join("extensions"), extensions).unwrap();
    openssl(
        folder,
        &format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={} -keyout {file}.key -out {file}.csr",
            names[0]
        ),
    );
    openssl(
        folder,
        &format!(
            "x509 -req -in {file}.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile extensions \
             -out {file}.pem"
        ),
    );
}

#[track_caller]
fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Partners {
    /// jo@partner.test sends to alice by the partner's Postfix, by which it goes on to us. Postfix asks everybody for a
    /// certificate, so jo uses its `sendmail`.
    #[track_caller]
    fn jo_sends(&self, subject: &str) {
        self.theirs.sendmail(
            "jo@partner.test",
            "alice@example.com",
            &format!("From: jo@partner.test\nTo: alice@example.com\nSubject: {subject}\n\nhello\n"),
        );
    }

    /// alice sends to jo@partner.test by us.
    #[track_caller]
    fn alice_sends(&self, subject: &str) {
        let message = format!("From: alice@example.com\nTo: jo@partner.test\nSubject: {subject}\n\nhello\n");
        let reply = self.network.at(OURS, || {
            let mut talk = Talk::connect_to(SocketAddr::from((Network::address(OURS), 587)));
            let reply = talk.log_on("alice", "alice-demo", None, Mechanism::Plain);
            assert!(reply.starts_with("235"), "{reply}");
            talk.send("alice@example.com", &["jo@partner.test"], &message)
        });
        assert!(reply.starts_with("250"), "{reply}");
    }
}

#[test]
fn mail_of_the_partner_comes_in_by_its_certificate() {
    let Some(partners) = partners(&["mail.partner.test", "partner.test"]) else { return };
    partners.jo_sends("by certificate");
    let message = partners.ours.delivered("by certificate");
    assert_eq!(message.values(AUTH_AS), ["Partner"], "{}", message.text);
}

#[test]
fn mail_to_the_partner_goes_out_by_our_certificate_and_his() {
    let Some(partners) = partners(&["mail.partner.test", "partner.test"]) else { return };
    partners.alice_sends("by ours");
    let message = partners.theirs.delivered("by ours");
    assert!(message.text.contains("(Client CN \"mail.example.com\""), "{}", message.text);
    assert!(message.text.contains("(verified OK)"), "{}", message.text);
}

#[test]
fn a_partner_whose_certificate_names_another_domain_gets_nothing_in_and_nothing_out() {
    let Some(mut partners) = partners(&["mail.partner.test", "other.test"]) else { return };
    partners.jo_sends("without proof");
    partners.theirs.wait_for_log("454 4.7.5 Certificate validation failure");
    assert!(partners.ours.delivered_now("without proof").is_empty());
    partners.alice_sends("to nobody");
    partners.ours.server().wait_for_output("does not prove partner.test");
    assert!(partners.theirs.delivered_now("to nobody").is_empty());
}
