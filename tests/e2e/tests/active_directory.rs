//! People and permissions of a real Active Directory domain (Samba): followed while sessions are open, kept while the domain
//! controller is away, and written.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use e2e::{DomainController, Finished, Mechanism, Server, Talk, procura, require, skip_without};
use tempfile::TempDir;

const PASSWORD: &str = "Passw0rd!x2";
const DOMAIN: &str = DomainController::DOMAIN;
/// Send-As (MS-ADTS 5.1.3.2.1).
const SEND_AS: &str = "ab721a54-1e2f-11d0-9819-00aa0040529b";
/// The class user.
const USER: &str = "bf967aba-0de6-11d0-a285-00aa003049e2";
/// A change counts within some seconds; a loaded machine is no failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A domain and a node that follows it, in one network namespace.
struct Site {
    controller: DomainController,
    folder: TempDir,
    server: Option<Server>,
}

impl Site {
    /// Users `hanna` and `ivan` in OU=People, and whatever `prepare` does; the server runs. None: something is missing here.
    fn start(prepare: impl FnOnce(&DomainController)) -> Option<Site> {
        if !require(&DomainController::PROGRAMS) || !require(&["python3"]) {
            return None;
        }
        if !DomainController::possible() {
            skip_without("root, to make a network namespace");
            return None;
        }
        let controller = DomainController::start();
        controller.samba_tool(&["ou", "add", "OU=People"]);
        for name in ["hanna", "ivan"] {
            add_user(&controller, name);
        }
        prepare(&controller);
        let folder = tempfile::Builder::new().prefix("procura-ad-").tempdir().unwrap();
        let mut site = Site { controller, folder, server: None };
        fs::write(site.path("password"), "Passw0rd!x1\n").unwrap();
        let (data, password) = (site.path("data"), site.path("password"));
        let certificate = site.controller.certificate();
        site.run(&[
            "init",
            data.to_str().unwrap(),
            "--hostname",
            "mail.ad.example.test",
            "--ldap",
            "ldaps://127.0.0.1",
            "--ldap-account",
            "Administrator@AD.EXAMPLE.TEST",
            "--ldap-password-file",
            password.to_str().unwrap(),
            "--ldap-roots",
            certificate.to_str().unwrap(),
        ])
        .ok();
        // Everybody has a mailbox, and a stalled server is given up soon.
        site.configure("map = { msExchMailboxGuid = \"objectGUID\" }\ntimeout_seconds = 2\n");
        site.serve();
        Some(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds lines to `[directory]`.
    fn configure(&self, lines: &str) {
        let file = self.path("data/procura.toml");
        let written = fs::read_to_string(&file).unwrap();
        assert!(written.contains("[directory]\n"));
        fs::write(&file, written.replacen("[directory]\n", &format!("[directory]\n{lines}"), 1)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.controller.at(|| e2e::run_procura(arguments, ""))
    }

    /// A command of this node.
    fn procura(&self, arguments: &[&str]) -> Finished {
        let data = self.path("data");
        self.run(&[&["--data", data.to_str().unwrap()], arguments].concat())
    }

    fn serve(&mut self) {
        let data = self.path("data");
        let command = self.controller.beside(procura().to_str().unwrap(), &["--data", data.to_str().unwrap(), "serve"]);
        let server = Server::spawn(command);
        server.wait_for_output("ready");
        self.server = Some(server);
    }

    fn output(&self) -> String {
        self.server.as_ref().map(Server::output).unwrap_or_default()
    }

    /// A session of hanna's.
    fn hanna(&self) -> Talk {
        let mut talk = self.controller.at(|| Talk::connect(587));
        let reply = talk.log_on("hanna@ad.example.test", PASSWORD, None, Mechanism::Plain);
        assert!(reply.starts_with("235"), "{reply}\n{}", self.output());
        talk
    }

    /// Sends as ivan until the reply begins so; how long that took.
    fn until(&self, talk: &mut Talk, wanted: &str) -> Duration {
        let begin = Instant::now();
        loop {
            let reply = send_as_ivan(talk);
            if reply.starts_with(wanted) {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < PATIENCE, "{reply}, not {wanted}\n{}", self.output());
        }
    }

    /// Waits until the status of the source says so.
    fn until_status(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let begin = Instant::now();
        loop {
            let shown = self.procura(&["directory", "status", "--format", "json"]);
            let status = serde_json::from_str(&shown.out).unwrap_or_default();
            if wanted(&status) {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "{}\n{}", shown.all(), self.output());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn add_user(controller: &DomainController, name: &str) {
    let address = format!("--mail-address={name}@ad.example.test");
    controller.samba_tool(&["user", "add", name, PASSWORD, "--userou=OU=People", &address]);
}

fn person(name: &str) -> String {
    format!("CN={name},OU=People,{DOMAIN}")
}

fn send_as_ivan(talk: &mut Talk) -> String {
    let message = "From: ivan@ad.example.test\nTo: hanna@ad.example.test\nSubject: hello\n\nhello\n";
    talk.send("ivan@ad.example.test", &["hanna@ad.example.test"], message)
}

/// Adds an ACE to an object.
fn dsacl(controller: &DomainController, dn: &str, ace: &str) {
    controller.samba_tool(&["dsacl", "set", &format!("--objectdn={dn}"), &format!("--sddl={ace}")]);
}

/// Removes the explicit ACEs of a trustee from an object (this samba-tool cannot).
fn revoke(controller: &DomainController, dn: &str, sid: &str) {
    controller.python(&format!(
        "import ldb\nfrom samba.ndr import ndr_unpack, ndr_pack\nfrom samba.dcerpc import security\n\
         read = db.search('{dn}', scope=0, attrs=['nTSecurityDescriptor'], controls=['sd_flags:1:4'])\n\
         sd = ndr_unpack(security.descriptor, read[0]['nTSecurityDescriptor'][0])\n\
         inherited = security.SEC_ACE_FLAG_INHERITED_ACE\n\
         for ace in [a for a in sd.dacl.aces if str(a.trustee) == '{sid}' and not a.flags & inherited]:\n    sd.dacl_del_ace(ace)\n\
         message = ldb.Message(ldb.Dn(db, '{dn}'))\n\
         message['sd'] = ldb.MessageElement(ndr_pack(sd), ldb.FLAG_MOD_REPLACE, 'nTSecurityDescriptor')\n\
         db.modify(message, ['sd_flags:1:4'])\n"
    ));
}

/// Send As for users below.
fn inheritable(sid: &str) -> String {
    format!("(OA;CIIO;CR;{SEND_AS};{USER};{sid})")
}

const REFUSED: &str = "550 5.7.1";

#[test]
fn a_grant_on_an_ou_counts_in_an_open_session_and_so_does_its_end() {
    let Some(site) = Site::start(|_| {}) else { return };
    let mut talk = site.hanna();
    let before = send_as_ivan(&mut talk);
    assert!(before.starts_with(REFUSED), "{before}\n{}", site.output());
    let hanna = site.controller.sid(&person("hanna"));
    let unit = format!("OU=People,{DOMAIN}");
    dsacl(&site.controller, &unit, &inheritable(&hanna));
    let granted = site.until(&mut talk, "250");
    revoke(&site.controller, &unit, &hanna);
    let revoked = site.until(&mut talk, REFUSED);
    println!("grant on an OU: {granted:?}, its end: {revoked:?} after samba-tool");
}

#[test]
fn membership_through_groups_counts_in_an_open_session_and_so_does_its_end() {
    let Some(site) = Site::start(|controller| {
        for group in ["Inner", "Outer"] {
            controller.samba_tool(&["group", "add", group, "--groupou=OU=People"]);
        }
        controller.samba_tool(&["group", "addmembers", "Outer", "Inner"]);
        let outer = controller.sid(&person("Outer"));
        dsacl(controller, &person("ivan"), &format!("(OA;;CR;{SEND_AS};;{outer})"));
    }) else {
        return;
    };
    let mut talk = site.hanna();
    let before = send_as_ivan(&mut talk);
    assert!(before.starts_with(REFUSED), "{before}");
    site.controller.samba_tool(&["group", "addmembers", "Inner", "hanna"]);
    let granted = site.until(&mut talk, "250");
    site.controller.samba_tool(&["group", "removemembers", "Outer", "Inner"]);
    let revoked = site.until(&mut talk, REFUSED);
    println!("nested membership: {granted:?}, its end: {revoked:?} after samba-tool");
}

#[test]
fn a_disabled_account_loses_its_open_session() {
    let Some(site) = Site::start(|_| {}) else { return };
    let mut talk = site.hanna();
    site.controller.samba_tool(&["user", "disable", "hanna"]);
    site.until(&mut talk, "421");
    let mut talk = site.controller.at(|| Talk::connect(587));
    let reply = talk.log_on("hanna@ad.example.test", PASSWORD, None, Mechanism::Plain);
    assert!(reply.starts_with("535"), "{reply}");
}

#[test]
fn an_account_that_ends_is_as_good_as_disabled() {
    let Some(site) = Site::start(|_| {}) else { return };
    let mut talk = site.hanna();
    site.controller.samba_tool(&["user", "setexpiry", "hanna", "--days=0"]);
    site.until(&mut talk, "421");
}

#[test]
fn a_wrong_password_is_wrong_and_an_empty_one_too() {
    let Some(site) = Site::start(|_| {}) else { return };
    for password in ["Passw0rd!wrong", ""] {
        let mut talk = site.controller.at(|| Talk::connect(587));
        let reply = talk.log_on("hanna@ad.example.test", password, None, Mechanism::Plain);
        assert!(reply.starts_with("535") || reply.starts_with("501"), "{reply}");
    }
}

#[test]
fn guessing_here_does_not_lock_the_account_there() {
    let Some(site) = Site::start(|controller| {
        controller.samba_tool(&["domain", "passwordsettings", "set", "--account-lockout-threshold=4"]);
    }) else {
        return;
    };
    for _ in 0..6 {
        let mut talk = site.controller.at(|| Talk::connect(587));
        let reply = talk.log_on("ivan@ad.example.test", "Passw0rd!wrong", None, Mechanism::Plain);
        assert!(reply.starts_with("535") || reply.starts_with("454"), "{reply}");
    }
    let wrong = site.controller.python(
        "print(db.search(base, expression='(sAMAccountName=ivan)', attrs=['badPwdCount'])[0].get('badPwdCount', idx=0))",
    );
    assert_eq!(wrong.trim(), "2", "half of the four that lock it");
}

#[test]
fn a_password_that_was_changed_there_is_not_remembered_here() {
    let Some(site) = Site::start(|_| {}) else { return };
    drop(site.hanna());
    site.controller.samba_tool(&["user", "setpassword", "hanna", "--newpassword=Passw0rd!new"]);
    let begin = Instant::now();
    loop {
        let mut talk = site.controller.at(|| Talk::connect(587));
        let reply = talk.log_on("hanna@ad.example.test", PASSWORD, None, Mechanism::Plain);
        if reply.starts_with("535") {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{reply}");
        std::thread::sleep(Duration::from_millis(300));
    }
    let mut talk = site.controller.at(|| Talk::connect(587));
    let reply = talk.log_on("hanna@ad.example.test", "Passw0rd!new", None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}\n{}", site.output());
}

#[test]
fn a_restart_needs_no_domain_controller() {
    let Some(mut site) = Site::start(|controller| {
        let hanna = controller.sid(&person("hanna"));
        dsacl(controller, &person("ivan"), &format!("(OA;;CR;{SEND_AS};;{hanna})"));
    }) else {
        return;
    };
    site.until_status(|status| status["available"] == true);
    site.server = None;
    site.controller.stop();
    site.serve();
    // Nobody can log on, and what is known counts.
    let check = site.procura(&["check", "--as", "hanna@ad.example.test", "--from", "ivan@ad.example.test"]);
    assert_eq!(check.code, 0, "{}", check.all());
    let status = site.until_status(|status| !status["servers"][0]["error"].is_null());
    assert_eq!(status["available"], true, "{status}");
}

#[test]
fn a_domain_that_is_away_for_too_long_decides_nothing_until_it_is_back() {
    let Some(mut site) = Site::start(|_| {}) else { return };
    site.server = None;
    site.configure("stale_limit_seconds = 3\nmax_age_seconds = 2\n");
    site.serve();
    let mut talk = site.hanna();
    site.until(&mut talk, REFUSED);
    site.controller.stop();
    site.until(&mut talk, "451 4.3.0");
    // Nobody logs on either, with a password that was right a moment ago.
    let mut other = site.controller.at(|| Talk::connect(587));
    let reply = other.log_on("hanna@ad.example.test", PASSWORD, None, Mechanism::Plain);
    assert!(reply.starts_with("454"), "{reply}");
    site.controller.resume();
    site.until(&mut talk, REFUSED);
}

#[test]
fn a_domain_controller_that_stalls_is_left_and_found_again() {
    let Some(mut site) = Site::start(|_| {}) else { return };
    site.server = None;
    site.configure("stale_limit_seconds = 3\nmax_age_seconds = 2\n");
    site.serve();
    let mut talk = site.hanna();
    site.until(&mut talk, REFUSED);
    site.controller.stall(true);
    site.until(&mut talk, "451 4.3.0");
    site.controller.stall(false);
    site.until(&mut talk, REFUSED);
}

#[test]
fn a_domain_controller_with_another_certificate_is_not_believed() {
    let Some(mut site) = Site::start(|_| {}) else { return };
    let roots = site.path("roots.pem");
    fs::copy(site.controller.certificate(), &roots).unwrap();
    let file = site.path("data/procura.toml");
    let written = fs::read_to_string(&file).unwrap();
    let old = site.controller.certificate().display().to_string();
    fs::write(&file, written.replace(&old, roots.to_str().unwrap())).unwrap();
    site.server = None;
    site.controller.stop();
    site.controller.change_certificate();
    site.controller.resume();
    site.serve();
    let status = site.until_status(|status| !status["servers"][0]["error"].is_null());
    assert!(status["servers"][0]["error"].as_str().unwrap().contains("TLS"), "{status}");
    let test = site.procura(&["directory", "test"]);
    assert_eq!(test.code, 1);
    assert!(test.out.contains("certificate must carry the name"), "{}", test.all());
}

#[test]
fn a_lost_cookie_is_made_good_by_reading_everything_again() {
    let Some(mut site) = Site::start(|_| {}) else { return };
    site.until_status(|status| status["available"] == true);
    site.server = None;
    site.controller.samba_tool(&["user", "disable", "hanna"]);
    let database = site.path("data/directory.db");
    let script = format!(
        "import json, sqlite3\ndb = sqlite3.connect('{}')\nname = 'active directory'\n\
         state = json.loads(db.execute('SELECT value FROM setting WHERE name = ?', (name,)).fetchone()[0])\n\
         state['domains'][0]['cookie'] = 'abcdef'\n\
         db.execute('UPDATE setting SET value = ? WHERE name = ?', (json.dumps(state), name))\ndb.commit()\n",
        database.display()
    );
    let done = std::process::Command::new("python3").args(["-c", &script]).status().unwrap();
    assert!(done.success());
    site.serve();
    let mut talk = site.controller.at(|| Talk::connect(587));
    let begin = Instant::now();
    loop {
        let reply = talk.log_on("hanna@ad.example.test", PASSWORD, None, Mechanism::Plain);
        if reply.starts_with("535") {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{reply}");
        talk = site.controller.at(|| Talk::connect(587));
    }
    site.until_status(|status| status["domains"][0]["cookie_octets"].as_u64().is_some_and(|octets| octets > 20));
}

#[test]
fn a_grant_made_here_is_made_in_the_domain_and_taken_back_by_undo() {
    let Some(site) = Site::start(|_| {}) else { return };
    let mut talk = site.hanna();
    let aces = || {
        let script = format!(
            "from samba.ndr import ndr_unpack\nfrom samba.dcerpc import security\n\
             sd = ndr_unpack(security.descriptor, db.search('{}', scope=0, attrs=['nTSecurityDescriptor'])[0]['nTSecurityDescriptor'][0])\n\
             print(sd.as_sddl())",
            person("ivan")
        );
        site.controller.python(&script)
    };
    let hanna = site.controller.sid(&person("hanna"));
    let before = aces();
    assert!(!before.contains(&hanna), "{before}");

    let tried = site.procura(&[
        "permission",
        "add",
        "ivan@ad.example.test",
        "--user",
        "hanna@ad.example.test",
        "--right",
        "send-as",
        "--dry-run",
    ]);
    assert_eq!(tried.code, 0, "{}", tried.all());
    assert!(!aces().contains(&hanna));

    site.procura(&[
        "permission",
        "add",
        "ivan@ad.example.test",
        "--user",
        "hanna@ad.example.test",
        "--right",
        "send-as",
    ])
    .ok();
    assert!(aces().contains(&format!("(OA;;CR;{SEND_AS};;{hanna})")), "{}", aces());
    let sent = send_as_ivan(&mut talk);
    assert!(sent.starts_with("250"), "{sent}");

    let history = site.procura(&["history", "--format", "json"]).ok();
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    let rows = history["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["author_sid"] == "S-1-5-32-544").unwrap();
    site.procura(&["undo", &row["version"].to_string()]).ok();
    assert_eq!(aces(), before);
    let refused = send_as_ivan(&mut talk);
    assert!(refused.starts_with(REFUSED), "{refused}");
}

#[test]
fn what_somebody_else_granted_meanwhile_stays() {
    let Some(site) = Site::start(|_| {}) else { return };
    let other = site.controller.sid(&format!("CN=Domain Guests,CN=Users,{DOMAIN}"));
    dsacl(&site.controller, &person("ivan"), &format!("(OA;;CR;{SEND_AS};;{other})"));
    site.procura(&[
        "permission",
        "add",
        "ivan@ad.example.test",
        "--user",
        "hanna@ad.example.test",
        "--right",
        "send-as",
    ])
    .ok();
    let hanna = site.controller.sid(&person("hanna"));
    let script = format!(
        "from samba.ndr import ndr_unpack\nfrom samba.dcerpc import security\n\
         sd = ndr_unpack(security.descriptor, db.search('{}', scope=0, attrs=['nTSecurityDescriptor'])[0]['nTSecurityDescriptor'][0])\n\
         print(' '.join(str(ace.trustee) for ace in sd.dacl.aces))",
        person("ivan")
    );
    let trustees = site.controller.python(&script);
    assert!(trustees.contains(&hanna) && trustees.contains(&other), "{trustees}");
}

#[test]
fn people_are_not_made_here_nor_are_their_passwords_set() {
    let Some(site) = Site::start(|_| {}) else { return };
    let made = site.procura(&["user", "add", "zoe"]);
    assert!(made.code == 2 && made.all().contains("tools of Active Directory"), "{}", made.all());
    let data = site.path("data");
    let set = site.controller.at(|| {
        e2e::run_procura(
            ["--data", data.to_str().unwrap(), "password", "set", "hanna@ad.example.test", "--stdin"],
            "secret\n",
        )
    });
    assert!(set.code == 2 && set.all().contains("kept by Active Directory"), "{}", set.all());
}

#[test]
fn the_test_says_what_the_account_lacks() {
    let Some(site) = Site::start(|controller| {
        controller.samba_tool(&["user", "add", "svc", PASSWORD]);
    }) else {
        return;
    };
    let whole = site.procura(&["directory", "test"]);
    assert_eq!(whole.code, 0, "{}", whole.all());
    assert!(whole.out.contains("the permissions of all objects can be read"), "{}", whole.out);

    let svc = site.controller.sid(&format!("CN=svc,CN=Users,{DOMAIN}"));
    dsacl(&site.controller, &person("ivan"), &format!("(D;;RC;;;{svc})"));
    fs::write(site.path("password"), format!("{PASSWORD}\n")).unwrap();
    let file = site.path("data/procura.toml");
    let written = fs::read_to_string(&file).unwrap();
    fs::write(&file, written.replace("Administrator@AD.EXAMPLE.TEST", "svc@AD.EXAMPLE.TEST")).unwrap();
    let lacking = site.procura(&["directory", "test"]);
    assert_eq!(lacking.code, 1, "{}", lacking.all());
    assert!(lacking.out.contains("Replicating Directory Changes"), "{}", lacking.out);
    assert!(lacking.out.contains(&format!("cannot be read, the first {}", person("ivan"))), "{}", lacking.out);
}

#[test]
fn garbage_in_place_of_a_domain_controller_changes_no_verdict() {
    let Some(mut site) = Site::start(|controller| {
        let hanna = controller.sid(&person("hanna"));
        dsacl(controller, &person("ivan"), &format!("(OA;;CR;{SEND_AS};;{hanna})"));
    }) else {
        return;
    };
    let mut talk = site.hanna();
    site.until(&mut talk, "250");
    site.controller.stop();
    for (mode, said) in [
        ("random", "not LDAP"),
        ("endless", "too large"),
        ("referral", "refers to another server"),
        ("empty", "no domain controller"),
        ("other", "another question"),
    ] {
        let garbage = site.controller.garbage(mode);
        let status = site.until_status(|status| {
            let error = status["servers"][0]["error"].as_str().unwrap_or_default();
            error.contains(said) || mode == "random" && !error.is_empty() && !error.contains("refused")
        });
        assert_eq!(status["available"], true, "{mode}: {status}");
        assert_eq!(status["domains"][0]["problems"].as_array().map(Vec::len), Some(0), "{mode}: {status}");
        let sent = send_as_ivan(&mut talk);
        assert!(sent.starts_with("250"), "{mode}: {sent}");
        drop(garbage);
    }
    // The grant goes while it is away, and counts no more when it is back.
    let hanna = site.controller.sid_offline("hanna");
    revoke(&site.controller, &person("ivan"), &hanna);
    site.controller.resume();
    site.until(&mut talk, REFUSED);
}

/// The schema extension of the documentation, for this domain.
fn extend_schema(controller: &DomainController) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/active-directory-schema.ldif");
    controller.modify(&fs::read_to_string(file).unwrap().replace("DC=X", DOMAIN));
}

#[test]
fn delegates_stand_in_the_domain_where_its_schema_is_extended() {
    let Some(mut site) = Site::start(extend_schema) else { return };
    site.server = None;
    let file = site.path("data/procura.toml");
    let written = fs::read_to_string(&file).unwrap();
    let map = "map = { msExchMailboxGuid = \"objectGUID\"";
    fs::write(&file, written.replace(map, &format!("{map}, publicDelegates = \"procuraDelegates\""))).unwrap();
    site.serve();
    let mut talk = site.hanna();
    site.until(&mut talk, REFUSED);

    // Made there.
    let link = |operation: &str| {
        site.controller.modify(&format!(
            "dn: {}\nchangetype: modify\n{operation}: procuraDelegates\nprocuraDelegates: {}\n-\n",
            person("ivan"),
            person("hanna")
        ));
    };
    link("add");
    site.until(&mut talk, "250");
    link("delete");
    site.until(&mut talk, REFUSED);

    // Made here.
    let delegates = || {
        let script = format!(
            "print(db.search('{}', scope=0, attrs=['procuraDelegates'])[0].get('procuraDelegates'))",
            person("ivan")
        );
        site.controller.python(&script)
    };
    let (owner, delegate) = ("ivan@ad.example.test", "hanna@ad.example.test");
    site.procura(&["send-on-behalf", "add", owner, delegate]).ok();
    assert!(delegates().contains(&person("hanna")), "{}", delegates());
    site.until(&mut talk, "250");
    site.procura(&["send-on-behalf", "remove", owner, delegate]).ok();
    assert!(!delegates().contains(&person("hanna")), "{}", delegates());
    site.until(&mut talk, REFUSED);
}

#[test]
fn delegates_are_kept_here_where_the_schema_has_none() {
    let Some(mut site) = Site::start(|_| {}) else { return };
    let mut talk = site.hanna();
    site.procura(&["send-on-behalf", "add", "ivan@ad.example.test", "hanna@ad.example.test"]).ok();
    site.until(&mut talk, "250");
    // Reading everything again leaves them alone.
    site.server = None;
    site.serve();
    site.until_status(|status| status["available"] == true);
    let mut talk = site.hanna();
    site.until(&mut talk, "250");
}

#[test]
fn what_the_account_may_not_write_is_refused_and_changes_nothing() {
    let Some(mut site) = Site::start(|controller| {
        controller.samba_tool(&["user", "add", "svc", PASSWORD]);
    }) else {
        return;
    };
    site.server = None;
    fs::write(site.path("password"), format!("{PASSWORD}\n")).unwrap();
    let file = site.path("data/procura.toml");
    let written = fs::read_to_string(&file).unwrap();
    fs::write(&file, written.replace("Administrator@AD.EXAMPLE.TEST", "svc@AD.EXAMPLE.TEST")).unwrap();
    site.serve();
    let status = site.until_status(|status| status["available"] == true && !status["domains"][0]["server"].is_null());
    assert_eq!(status["domains"][0]["method"], "dir-sync-as-seen", "{status}");
    let grant = ["permission", "add", "ivan@ad.example.test", "--user", "hanna@ad.example.test", "--right", "send-as"];
    let refused = site.procura(&grant);
    assert!(refused.code == 2 && refused.all().contains("may not change"), "{}", refused.all());
    let mut talk = site.hanna();
    let reply = send_as_ivan(&mut talk);
    assert!(reply.starts_with(REFUSED), "{reply}");
    // With the right to do it, it is done; and what the account may see is followed.
    let svc = site.controller.sid(&format!("CN=svc,CN=Users,{DOMAIN}"));
    dsacl(&site.controller, &person("ivan"), &format!("(A;;WDRC;;;{svc})"));
    site.procura(&grant).ok();
    site.until(&mut talk, "250");
}

#[test]
fn a_ticket_of_the_domain_sends_mail_and_ntlm_is_not_offered() {
    const HOST: &str = "mail.ad.example.test";
    if !require(&["curl", "kinit"]) {
        return;
    }
    let Some(mut site) = Site::start(|controller| {
        controller.samba_tool(&["user", "add", "svc-smtp", PASSWORD]);
        controller.modify(&format!(
            "dn: CN=svc-smtp,CN=Users,{DOMAIN}\nchangetype: modify\nadd: servicePrincipalName\n\
             servicePrincipalName: smtp/{HOST}\n-\nreplace: msDS-SupportedEncryptionTypes\n\
             msDS-SupportedEncryptionTypes: 16\n-\n"
        ));
    }) else {
        return;
    };
    site.server = None;
    let keytab = site.path("smtp.keytab");
    site.controller.export_keytab(&format!("smtp/{HOST}"), &keytab);
    let file = site.path("data/procura.toml");
    let written = fs::read_to_string(&file).unwrap();
    let section = format!("[kerberos]\nkeytab = \"{}\"\n", keytab.display());
    fs::write(&file, written.replacen("[kerberos]\n", &section, 1)).unwrap();
    let checked = site.run(&["config", "check", file.to_str().unwrap()]);
    if checked.code != 0 && checked.all().contains("without Kerberos") {
        return skip_without("procura with its feature `kerberos`");
    }
    site.serve();
    fs::write(
        site.path("krb5.conf"),
        "[libdefaults]\ndefault_realm = AD.EXAMPLE.TEST\ndns_lookup_kdc = false\ndns_lookup_realm = false\nrdns = false\n\
         dns_canonicalize_hostname = false\n[realms]\nAD.EXAMPLE.TEST = {\n kdc = 127.0.0.1\n}\n[domain_realm]\n\
         .ad.example.test = AD.EXAMPLE.TEST\n",
    )
    .unwrap();
    let beside = |program: &str, arguments: &[&str], input: &str| {
        use std::io::Write;
        use std::process::Stdio;
        let mut command = site.controller.beside(program, arguments);
        command.env("KRB5_CONFIG", site.path("krb5.conf"));
        command.env("KRB5CCNAME", format!("FILE:{}", site.path("tickets").display()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    beside("kinit", &["hanna"], &format!("{PASSWORD}\n"));
    let send = |from: &str| {
        let url = format!("smtp://{HOST}:587/client.test");
        let message = format!("From: {from}\nTo: ivan@ad.example.test\nSubject: by ticket\n\nhello\n");
        let arguments = [
            "--silent",
            "--verbose",
            "--max-time",
            "60",
            "--crlf",
            "--connect-to",
            "::127.0.0.1:587",
            "--url",
            &url,
            "--user",
            ":",
            "--login-options",
            "AUTH=GSSAPI",
            "--mail-from",
            from,
            "--mail-rcpt",
            "ivan@ad.example.test",
            "--upload-file",
            "-",
        ];
        beside("curl", &arguments, &message)
    };
    let sent = send("hanna@ad.example.test");
    assert!(sent.contains("235 2.7.0") && sent.contains("Queued mail for delivery"), "{sent}\n{}", site.output());
    let other = send("ivan@ad.example.test");
    assert!(other.contains("550 5.7.1 Client does not have permissions to send as this sender"), "{other}");
    assert!(sent.contains("GSSAPI") && !sent.contains("NTLM"), "{sent}");
}

#[test]
fn what_a_connector_would_refuse_is_reported_with_the_grant_that_mends_it() {
    let Some(site) = Site::start(|_| {}) else { return };
    site.procura(&["connector", "receive", "set", "Client MAIL", "--header-from", "observe"]).ok();
    let mut talk = site.hanna();
    let mut send = || {
        let message = "From: ivan@ad.example.test\nTo: hanna@ad.example.test\nSubject: hello\n\nhello\n";
        let reply = talk.send("hanna@ad.example.test", &["hanna@ad.example.test"], message);
        assert!(reply.starts_with("250"), "{reply}");
    };
    let report = || -> serde_json::Value {
        let shown = site.procura(&["permission", "observed", "--format", "json"]).ok();
        serde_json::from_str(&shown).unwrap()
    };
    send();
    send();
    let begin = Instant::now();
    let row = loop {
        let rows = report()["rows"].clone();
        if rows[0]["messages"] == 2 {
            break rows[0].clone();
        }
        assert!(begin.elapsed() < PATIENCE, "{rows}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!((row["who"].as_str(), row["sender"].as_str()), (Some("ADTEST\\hanna"), Some("ivan@ad.example.test")));

    // The command that it names, as it stands there.
    let command = row["command"].as_str().unwrap().strip_prefix("procura ").unwrap();
    let line = format!("'{}' --data '{}' {command}", procura().display(), site.path("data").display());
    let done = site.controller.at(|| std::process::Command::new("sh").args(["-c", &line]).output().unwrap());
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    site.procura(&["connector", "receive", "set", "Client MAIL", "--header-from", "enforce"]).ok();
    send();
}
