//! The service account logs on to a domain controller (Samba) by Kerberos, and is told of changes.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{DomainController, Finished, Mechanism, Server, Talk, procura, require, skip_without, until_sent};
use tempfile::TempDir;

const PASSWORD: &str = "Passw0rd!x2";
const DOMAIN: &str = DomainController::DOMAIN;
const SEND_AS: &str = "ab721a54-1e2f-11d0-9819-00aa0040529b";
const PATIENCE: Duration = Duration::from_secs(60);

/// A domain controller with hanna, ivan and svc, an administrator, and a node beside it where its name leads to it.
struct Site {
    controller: DomainController,
    folder: TempDir,
}

impl Site {
    /// None: something is missing here.
    fn start(strong: &str) -> Option<Site> {
        if !require(&DomainController::PROGRAMS) || !require(&["python3", "unshare"]) {
            return None;
        }
        if !DomainController::possible() {
            skip_without("root, to make a network namespace");
            return None;
        }
        let mut controller = DomainController::start();
        controller.stop();
        controller.set("ldap server require strong auth", strong);
        controller.resume();
        for name in ["hanna", "ivan", "svc"] {
            let address = format!("--mail-address={name}@ad.example.test");
            controller.samba_tool(&["user", "add", name, PASSWORD, &address]);
        }
        controller.samba_tool(&["group", "addmembers", "Domain Admins", "svc"]);
        // A domain controller does this by itself, by a service that does not run here.
        controller.modify(&format!(
            "dn: CN=DC1,OU=Domain Controllers,{DOMAIN}\nchangetype: modify\nadd: servicePrincipalName\n\
             servicePrincipalName: ldap/dc1.ad.example.test\n-\n"
        ));
        let folder = tempfile::Builder::new().prefix("procura-ad-").tempdir().unwrap();
        let site = Site { controller, folder };
        fs::write(site.path("hosts"), "127.0.0.1 localhost dc1.ad.example.test\n").unwrap();
        fs::write(site.path("password"), format!("{PASSWORD}\n")).unwrap();
        site.controller.export_keytab("svc", &site.path("svc.keytab"));
        Some(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mount = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
        let hosts = self.path("hosts");
        let head =
            ["--mount", "sh", "-c", mount, hosts.to_str().unwrap(), procura().to_str().unwrap()].map(str::to_owned);
        let all: Vec<&str> = head.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let mut command = self.controller.beside("unshare", &all);
        command.env("NO_COLOR", "1");
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let output = self.command(arguments).output().unwrap();
        Finished {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// None: procura is built without Kerberos.
    fn init(&self, server: &str, credential: &str, directory: &str) -> Option<()> {
        let (data, roots) = (self.path("data"), self.controller.certificate());
        let file = self.path(if credential == "--ldap-keytab" { "svc.keytab" } else { "password" });
        let made = self.run(&[
            "init",
            data.to_str().unwrap(),
            "--hostname",
            "mail.ad.example.test",
            "--ldap",
            server,
            "--ldap-account",
            "svc@AD.EXAMPLE.TEST",
            credential,
            file.to_str().unwrap(),
            "--ldap-roots",
            roots.to_str().unwrap(),
        ]);
        if made.code != 0 && made.all().contains("without Kerberos") {
            skip_without("procura with its feature `kerberos`");
            return None;
        }
        made.ok();
        let config = data.join("procura.toml");
        let written = fs::read_to_string(&config).unwrap();
        let own = format!("[directory]\nmap = {{ msExchMailboxGuid = \"objectGUID\" }}\n{directory}");
        fs::write(&config, written.replacen("[directory]\n", &own, 1)).unwrap();
        Some(())
    }

    fn procura(&self, arguments: &[&str]) -> Finished {
        let data = self.path("data");
        self.run(&[&["--data", data.to_str().unwrap()], arguments].concat())
    }

    fn serve(&self) -> Server {
        let data = self.path("data");
        let server = Server::spawn(self.command(&["--data", data.to_str().unwrap(), "serve"]));
        server.wait_for_output("ready");
        let begin = Instant::now();
        loop {
            let status = self.procura(&["directory", "status", "--format", "json"]);
            let status: serde_json::Value = serde_json::from_str(&status.out).unwrap_or_default();
            if status["domains"][0]["server"].is_string() {
                return server;
            }
            assert!(begin.elapsed() < PATIENCE, "{status}\n{}", server.output());
        }
    }

    fn check(&self) -> i32 {
        self.procura(&["check", "--as", "hanna@ad.example.test", "--from", "ivan@ad.example.test"]).code
    }
}

#[test]
fn kerberos_seals_what_is_said_where_there_is_no_tls() {
    let Some(site) = Site::start("yes") else { return };
    let Some(()) = site.init("ldap+kerberos://dc1.ad.example.test", "--ldap-keytab", "") else { return };
    let tested = site.procura(&["directory", "test"]);
    assert!(
        tested.out.contains("connected sealed by Kerberos, logged on as svc@AD.EXAMPLE.TEST by a ticket"),
        "{}",
        tested.all()
    );
    let server = site.serve();
    // Written sealed, and seen.
    let grant = ["permission", "add", "ivan@ad.example.test", "--user", "hanna@ad.example.test", "--right", "send-as"];
    site.procura(&grant).ok();
    assert_eq!(site.check(), 0, "{}", server.output());
    // Nobody's password goes over a line that TLS does not protect.
    let mut talk = site.controller.at(|| Talk::connect(587));
    let reply = talk.log_on("hanna@ad.example.test", PASSWORD, None, Mechanism::Plain);
    assert!(reply.starts_with("454"), "{reply}");
}

#[test]
fn a_ticket_logs_on_over_tls() {
    let Some(site) = Site::start("allow_sasl_over_tls") else { return };
    for server in ["ldaps://dc1.ad.example.test", "ldap://dc1.ad.example.test"] {
        let Some(()) = site.init(server, "--ldap-keytab", "") else { return };
        let tested = site.procura(&["directory", "test"]);
        assert!(
            tested.out.contains("connected over TLS, logged on as svc@AD.EXAMPLE.TEST by a ticket"),
            "{}",
            tested.all()
        );
        fs::remove_dir_all(site.path("data")).unwrap();
    }
}

#[test]
fn a_key_that_is_not_the_accounts_any_more_is_refused_and_the_test_says_so() {
    let Some(site) = Site::start("yes") else { return };
    let Some(()) = site.init("ldap+kerberos://dc1.ad.example.test", "--ldap-keytab", "") else { return };
    site.controller.samba_tool(&["user", "setpassword", "svc", "--newpassword=Passw0rd!new"]);
    let tested = site.procura(&["directory", "test"]);
    assert_eq!(tested.code, 1);
    assert!(tested.out.contains("the key is not the account's: export the keytab again"), "{}", tested.all());
}

#[test]
fn a_keytab_that_was_exported_again_counts_after_a_reload() {
    let Some(site) = Site::start("yes") else { return };
    let Some(()) = site.init("ldap+kerberos://dc1.ad.example.test", "--ldap-keytab", "") else { return };
    let server = site.serve();
    let reloaded = site.procura(&["reload"]).ok();
    assert!(!reloaded.contains("Active Directory"), "nothing was changed: {reloaded}");
    site.controller.samba_tool(&["user", "setpassword", "svc", "--newpassword=Passw0rd!new"]);
    fs::remove_file(site.path("svc.keytab")).unwrap();
    site.controller.export_keytab("svc", &site.path("svc.keytab"));
    let reloaded = site.procura(&["reload"]).ok();
    assert!(reloaded.contains("Active Directory"), "{reloaded}");
    // It is followed by a ticket that was got with the new key.
    let grant = ["permission", "add", "ivan@ad.example.test", "--user", "hanna@ad.example.test", "--right", "send-as"];
    let begin = Instant::now();
    while site.procura(&grant).code != 0 {
        assert!(begin.elapsed() < PATIENCE, "{}", server.output());
    }
    assert_eq!(site.check(), 0, "{}", server.output());
}

#[test]
fn a_domain_controller_that_tells_of_changes_is_not_asked_for_them() {
    let Some(site) = Site::start("allow_sasl_over_tls") else { return };
    // Nobody looks within the time of this test.
    let Some(()) = site.init("ldaps://dc1.ad.example.test", "--ldap-password-file", "poll_seconds = 600\n") else {
        return;
    };
    let server = site.serve();
    let mut talk = site.controller.at(|| Talk::connect(587));
    let reply = talk.log_on("hanna@ad.example.test", PASSWORD, None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}");
    let mut until = |wanted: &str| until_sent(&mut talk, wanted, || server.output());
    until("550 5.7.1");
    let ivan = format!("CN=ivan,CN=Users,{DOMAIN}");
    let hanna = site.controller.sid(&format!("CN=hanna,CN=Users,{DOMAIN}"));
    let change = |how: &str| {
        site.controller.python(&format!(
            "from samba.sd_utils import SDUtils\nutils = SDUtils(db)\nutils.{how}('{ivan}', '(OA;;CR;{SEND_AS};;{hanna})')\n"
        ));
    };
    for _ in 0..2 {
        change("dacl_add_ace");
        let granted = until("250");
        revoke(&site.controller, &ivan, &hanna);
        println!("granted: {granted:?}, revoked: {:?} after the change", until("550 5.7.1"));
    }
}

fn revoke(controller: &DomainController, dn: &str, sid: &str) {
    controller.python(&format!(
        "from samba.sd_utils import SDUtils\nutils = SDUtils(db)\nsd = utils.read_sd_on_dn('{dn}')\n\
         for ace in [a for a in sd.dacl.aces if str(a.trustee) == '{sid}']:\n    sd.dacl_del_ace(ace)\n\
         utils.modify_sd_on_dn('{dn}', sd)\n"
    ));
}
