//! AUTH GSSAPI with tickets of a real KDC: Samba's, with MIT's client libraries in curl and GNU SASL.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use e2e::{DomainController, Server, Tickets, procura, require, run_procura, skip_without};
use tempfile::TempDir;

const PASSWORD: &str = "Passw0rd!bob1";
const HOST: &str = "mail.ad.example.test";
const SMTPTEST: &str = "/usr/lib/cyrus/bin/smtptest";
const PYTHON_GSSAPI: &str = "/usr/lib/python3/dist-packages/gssapi/__init__.py";

/// A domain with bob, alice and carol, and a mail server with mailboxes for bob and alice, and a keytab.
struct Site {
    folder: TempDir,
    controller: DomainController,
    keytab: PathBuf,
    data: PathBuf,
}

impl Site {
    /// `None`: something is missing, which was said.
    fn make(programs: &[&str]) -> Option<Site> {
        if !require(&DomainController::PROGRAMS) || !require(&["kinit"]) || !require(programs) {
            return None;
        }
        if !DomainController::possible() {
            skip_without("root, to make a network namespace");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("procura-krb5-").tempdir().unwrap();
        let (data, keytab) = (folder.path().join("data"), folder.path().join("smtp.keytab"));
        let shown = data.display().to_string();
        run_procura(["init", &shown, "--domain", "ad.example.test", "--netbios", "ADTEST", "--hostname", HOST], "")
            .ok();
        let file = data.join("procura.toml");
        let written = fs::read_to_string(&file).unwrap();
        let with_keytab = format!("[kerberos]\nkeytab = \"{}\"\n", keytab.display());
        fs::write(&file, written.replace("[kerberos]\n", &with_keytab)).unwrap();
        let checked = run_procura(["config", "check", file.to_str().unwrap()], "");
        if checked.code != 0 && checked.all().contains("without Kerberos") {
            skip_without("procura with its feature `kerberos`");
            return None;
        }
        for user in ["bob", "alice"] {
            run_procura(["--data", &shown, "user", "add", user, "--mailbox"], "").ok();
        }
        let controller = DomainController::start();
        for user in ["bob", "carol"] {
            controller.samba_tool(&["user", "create", user, PASSWORD]);
        }
        Some(Site { folder, controller, keytab, data })
    }

    /// An account for the service smtp on this host, whose keys are of these types (MS-KILE 2.2.7: 4 RC4, 8 AES-128,
    /// 16 AES-256), into the keytab.
    #[track_caller]
    fn add_service(&self, account: &str, host: &str, types: u32) {
        self.controller.samba_tool(&["user", "create", account, "Passw0rd!svc1"]);
        self.controller.modify(&format!(
            "dn: CN={account},CN=Users,{}\nchangetype: modify\nadd: servicePrincipalName\n\
             servicePrincipalName: smtp/{host}\n-\nreplace: msDS-SupportedEncryptionTypes\n\
             msDS-SupportedEncryptionTypes: {types}\n-\n",
            DomainController::DOMAIN
        ));
        self.controller.export_keytab(&format!("smtp/{host}"), &self.keytab);
    }

    /// Starts the mail server beside the domain controller.
    #[track_caller]
    fn serve(&self) -> Server {
        let mut command =
            self.controller.beside(procura().to_str().unwrap(), &["--data", self.data.to_str().unwrap(), "serve"]);
        command.env("NO_COLOR", "1");
        let server = Server::spawn(command);
        server.wait_for_output("ready");
        server
    }

    /// The tickets of whoever logged on last.
    #[track_caller]
    fn tickets(&self) -> Tickets<'_> {
        Tickets::new(&self.controller, self.folder.path())
    }

    /// Runs a program there, with these tickets; everything that it said.
    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str], input: &str) -> String {
        self.tickets().run(program, arguments, input)
    }

    #[track_caller]
    fn log_on(&self, user: &str) {
        self.tickets().log_on(user, PASSWORD);
    }

    /// A logon by the system's GSS-API; what the server said.
    #[track_caller]
    fn gss(&self, host: &str, how: &[&str]) -> String {
        self.gss_to("587", host, how)
    }

    #[track_caller]
    fn gss_to(&self, port: &str, host: &str, how: &[&str]) -> String {
        let script = include_str!("../src/gss.py");
        let arguments = [&["-c", script, "127.0.0.1", port, host], how].concat();
        self.run("/usr/bin/python3", &arguments, "")
    }
}

#[test]
fn a_ticket_of_a_real_kdc_logs_on_and_no_other_does() {
    let Some(site) = Site::make(&["curl", "gsasl", "msmtp"]) else { return };
    site.add_service("svc-smtp", HOST, 16);
    // For msmtp, which wants a ticket for the very name that it connects to.
    site.add_service("svc-local", "localhost", 16);
    let server = site.serve();

    let send = |from: &str| site.tickets().send(HOST, from, "alice@ad.example.test");
    let without = send("bob@ad.example.test");
    assert!(!without.contains("235 2.7.0"), "without a ticket: {without}");

    site.log_on("bob");
    let sent = send("bob@ad.example.test");
    assert!(sent.contains("235 2.7.0") && sent.contains("Queued mail for delivery"), "{sent}\n{}", server.output());
    let other = send("alice@ad.example.test");
    assert!(other.contains("550 5.7.1 Client does not have permissions to send as this sender"), "{other}");

    let gsasl = |name: &str| {
        let arguments = [
            "--client",
            "--smtp",
            "--connect",
            "127.0.0.1:587",
            "--no-starttls",
            "--mechanism=GSSAPI",
            "--service=smtp",
            &format!("--hostname={HOST}"),
            &format!("--authentication-id={name}"),
        ];
        site.run("gsasl", &arguments, "")
    };
    let accepted = gsasl("bob");
    assert!(accepted.contains("235 2.7.0"), "{accepted}\n{}", server.output());

    let msmtp = |from: &str| {
        let place =
            ["--file=/dev/null", "--debug", "--host=localhost", "--port=587", "--domain=client.test", "--tls=off"];
        let who = ["--auth=gssapi", "--user=bob", &format!("--from={from}"), "--", "alice@ad.example.test"];
        let message = format!("From: {from}\nTo: alice@ad.example.test\nSubject: by ticket\n\nhello\n");
        site.run("msmtp", &[&place[..], &who].concat(), &message)
    };
    let sent = msmtp("bob@ad.example.test");
    assert!(sent.contains("AUTH GSSAPI") && sent.contains("Queued mail for delivery"), "{sent}\n{}", server.output());
    let other = msmtp("alice@ad.example.test");
    assert!(other.contains("550 5.7.1 Client does not have permissions to send as this sender"), "{other}");

    // A good ticket of somebody who has no account here.
    site.log_on("carol");
    let stranger = gsasl("carol");
    assert!(stranger.contains("535 5.7.3"), "{stranger}");
}

/// SPNEGO around Kerberos: as .NET's SmtpClient says it under the name GSSAPI, and as GSS-SPNEGO, by MIT's library and by
/// that of Cyrus.
#[test]
fn a_ticket_in_spnego_logs_on() {
    let Some(site) = Site::make(&[SMTPTEST, PYTHON_GSSAPI]) else { return };
    site.add_service("svc-smtp", HOST, 24);
    // The client of Cyrus looks its host up.
    site.add_service("svc-local", "localhost", 24);
    let server = site.serve();
    site.log_on("bob");

    let offered = site.gss(HOST, &["AUTH", "GSSAPI", "negotiate"]);
    assert!(offered.contains("AUTH GSSAPI GSS-SPNEGO"), "{offered}");
    assert!(offered.contains("235 2.7.0") && offered.contains("250 2.1.0"), "{offered}\n{}", server.output());
    let bare = site.gss(HOST, &["AUTH", "GSS-SPNEGO", "negotiate"]);
    assert!(bare.contains("235 2.7.0") && bare.contains("250 2.1.0"), "{bare}\n{}", server.output());
    let unwrapped = site.gss(HOST, &["AUTH", "GSS-SPNEGO"]);
    assert!(unwrapped.contains("535 5.7.3"), "{unwrapped}");

    for mechanism in ["GSSAPI", "GSS-SPNEGO"] {
        let arguments = ["-m", mechanism, "-p", "587", "-l", "0", "-a", "bob", "-u", "bob", "localhost"];
        let said = site.run(SMTPTEST, &arguments, "QUIT\r\n");
        assert!(said.contains("235 2.7.0"), "{mechanism}: {said}\n{}", server.output());
    }
}

/// Keys of AES-128 are taken as those of AES-256 are; a ticket of RC4 is refused, and the log says why.
#[test]
fn tickets_of_aes_count_and_those_of_rc4_do_not() {
    let Some(site) = Site::make(&[PYTHON_GSSAPI]) else { return };
    site.add_service("svc-large", HOST, 16);
    site.add_service("svc-small", "small.ad.example.test", 8);
    site.add_service("svc-old", "old.ad.example.test", 4);
    let server = site.serve();
    site.log_on("bob");
    for host in [HOST, "small.ad.example.test"] {
        let said = site.gss(host, &["AUTH", "GSSAPI"]);
        assert!(said.contains("235 2.7.0"), "{host}: {said}\n{}", server.output());
    }
    let tickets = site.run("klist", &["-e"], "");
    assert!(tickets.contains("aes128-cts-hmac-sha1-96"), "a session key of AES-128 as well: {tickets}");
    let old = site.gss("old.ad.example.test", &["AUTH", "GSSAPI"]);
    assert!(old.contains("535 5.7.3"), "{old}");
    server.wait_for_output("is of RC4, which is refused");
}

/// X-EXPS: a computer's account in Exchange Servers may relay, where the connector takes servers of the organization; an
/// account of a person is none.
#[test]
fn a_server_of_the_organization_logs_on_by_its_computer_account() {
    let Some(site) = Site::make(&[PYTHON_GSSAPI]) else { return };
    site.add_service("svc-smtp", HOST, 16);
    site.controller.samba_tool(&["computer", "create", "MBX1"]);
    site.controller.samba_tool(&["user", "setpassword", "MBX1$", &format!("--newpassword={PASSWORD}")]);
    let ldif = "dn: CN=MBX1,CN=Computers,DC=ad,DC=example,DC=test\nchangetype: add\nobjectClass: top\n\
                objectClass: person\nobjectClass: organizationalPerson\nobjectClass: user\nobjectClass: computer\n\
                sAMAccountName: MBX1$\nuserAccountControl: 4096\n\n\
                dn: CN=Exchange Servers,OU=Microsoft Exchange Security Groups,DC=ad,DC=example,DC=test\n\
                changetype: modify\nadd: member\nmember: CN=MBX1,CN=Computers,DC=ad,DC=example,DC=test\n-\n";
    let file = site.folder.path().join("computer.ldif");
    fs::write(&file, ldif).unwrap();
    run_procura(["--data", site.data.to_str().unwrap(), "import", file.to_str().unwrap()], "").ok();
    let server = site.serve();

    site.log_on("MBX1$");
    let said = site.gss_to("25", HOST, &["X-EXPS", "GSSAPI"]);
    assert!(said.contains("X-EXPS GSSAPI"), "offered: {said}");
    assert!(said.contains("235 2.7.0") && said.contains("250 2.1.0 Sender OK"), "{said}\n{}", server.output());
    site.log_on("bob");
    let said = site.gss_to("25", HOST, &["X-EXPS", "GSSAPI"]);
    assert!(said.contains("535 5.7.3"), "{said}");
}
