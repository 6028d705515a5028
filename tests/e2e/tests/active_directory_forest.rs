//! Several domains of one forest, each with its own domain controller (Samba), or with a global catalog alone.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use e2e::{DomainController, Finished, Forest, Mechanism, Server, Talk, procura, require, skip_without};
use tempfile::TempDir;

const PASSWORD: &str = "Passw0rd!x2";
const SEND_AS: &str = "ab721a54-1e2f-11d0-9819-00aa0040529b";
const PATIENCE: Duration = Duration::from_secs(60);
const REFUSED: &str = "550 5.7.1";
const LATER: &str = "451 4.3.0";

/// People: hanna, ivan and otto in the first domain; kira and leo in its child. Send As on ivan has a universal group of the
/// first domain with kira in it, and one of the child with otto in it; on kira and on otto a domain-local group of the child
/// with hanna in it.
fn forest() -> Option<Forest> {
    if !require(&DomainController::PROGRAMS) || !require(&["python3", "unshare"]) {
        return None;
    }
    if !DomainController::possible() {
        skip_without("root, to make network namespaces");
        return None;
    }
    let people = |names: &str| {
        format!("for name in {names}:\n    db.newuser(name, '{PASSWORD}', mailaddress=name + '@ad.example.test')\n")
    };
    let group = |name: &str, kind: i32| {
        format!(
            "db.add({{'dn': 'CN={name},CN=Users,' + base, 'objectClass': 'group', 'sAMAccountName': '{name}', 'groupType': '{kind}'}})\n"
        )
    };
    const UNIVERSAL: i32 = -2_147_483_640;
    const LOCAL: i32 = -2_147_483_644;
    let member = |group: &str, of: usize| {
        let dn = format!("CN={group},CN=Users,{}", Forest::DOMAINS[of]);
        move |who: &str| format!("db.modify_ldif('dn: {dn}\\nchangetype: modify\\nadd: member\\nmember: {who}\\n')\n")
    };
    Some(Forest::start(
        |forest| {
            forest.python(0, &(people("['hanna', 'ivan', 'otto']") + &group("Uni", UNIVERSAL)));
            forest.python(1, &(people("['kira', 'leo']") + &group("UniC", UNIVERSAL) + &group("Loc", LOCAL)));
        },
        |forest| {
            forest.python(0, &member("Uni", 0)(&person("kira", 1)));
            forest.python(1, &member("UniC", 1)(&person("otto", 0)));
            forest.python(1, &member("Loc", 1)(&person("hanna", 0)));
            for (on, of, group, whose) in
                [("ivan", 0, "Uni", 0), ("ivan", 0, "UniC", 1), ("otto", 0, "Loc", 1), ("kira", 1, "Loc", 1)]
            {
                let sid = sid(forest, &person(group, whose), whose);
                forest.python(
                    of,
                    &format!(
                        "from samba.sd_utils import SDUtils\nSDUtils(db).dacl_add_ace('{}', '(OA;;CR;{SEND_AS};;{sid})')\n",
                        person(on, of)
                    ),
                );
            }
        },
    ))
}

fn person(name: &str, domain: usize) -> String {
    format!("CN={name},CN=Users,{}", Forest::DOMAINS[domain])
}

fn sid(forest: &Forest, dn: &str, domain: usize) -> String {
    let read = format!(
        "print(ndr_unpack(security.dom_sid, db.search('{dn}', scope=0, attrs=['objectSid'])[0]['objectSid'][0]))"
    );
    forest.python(domain, &read).trim().to_owned()
}

/// A node that reads a forest, on the third host.
struct Site {
    forest: Forest,
    folder: TempDir,
    server: Server,
}

impl Site {
    fn start(forest: Forest, servers: &[&str], directory: &str) -> Site {
        Site::read_by(Forest::ACCOUNT, "Passw0rd!x1", forest, servers, directory)
    }

    /// The same with another account of the first domain.
    fn read_by(account: &str, password: &str, forest: Forest, servers: &[&str], directory: &str) -> Site {
        let folder = tempfile::Builder::new().prefix("procura-ad-").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(path("password"), format!("{password}\n")).unwrap();
        let roots = forest.certificates().display().to_string();
        let (data, file) = (path("data"), path("password"));
        let mut init = vec!["init", &data, "--hostname", "mail.ad.example.test", "--domain", "ad.example.test"];
        servers.iter().for_each(|server| init.extend(["--ldap", server]));
        init.extend(["--ldap-account", account, "--ldap-password-file", &file, "--ldap-roots", &roots]);
        finished(&forest, &init).ok();
        let file = format!("{data}/procura.toml");
        let written = fs::read_to_string(&file).unwrap();
        let own = "[directory]\nmap = { msExchMailboxGuid = \"objectGUID\" }\ntimeout_seconds = 2\n";
        fs::write(&file, written.replacen("[directory]\n", &format!("{own}{directory}"), 1)).unwrap();
        let server = Server::spawn(forest.beside(procura().to_str().unwrap(), &["--data", &data, "serve"]));
        server.wait_for_output("ready");
        Site { forest, folder, server }
    }

    fn procura(&self, arguments: &[&str]) -> Finished {
        let data: PathBuf = self.folder.path().join("data");
        finished(&self.forest, &[&["--data", data.to_str().unwrap()], arguments].concat())
    }

    fn session(&self, name: &str) -> Talk {
        let mut talk = self.forest.at(|| Talk::connect(587));
        let reply = talk.log_on(&format!("{name}@ad.example.test"), PASSWORD, None, Mechanism::Plain);
        assert!(reply.starts_with("235"), "{name}: {reply}\n{}", self.server.output());
        talk
    }

    /// Sends until the reply begins so; how long that took.
    #[track_caller]
    fn until(&self, talk: &mut Talk, from: &str, to: &str, wanted: &str) -> Duration {
        let begin = Instant::now();
        loop {
            let reply = send(talk, from, to);
            if reply.starts_with(wanted) {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < PATIENCE, "{from} to {to}: {reply}, not {wanted}\n{}", self.server.output());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Something of the child domain is deleted, and the catalog gets to know.
    fn delete(&self, name: &str) {
        self.forest.python(1, &format!("db.delete('{}')\n", person(name, 1)));
        self.forest.copy(1, 0);
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.procura(&["directory", "status", "--format", "json"]).out).unwrap()
    }
}

/// A command on the third host.
fn finished(forest: &Forest, arguments: &[&str]) -> Finished {
    // Names of hosts lead somewhere only there.
    let output = forest.beside(procura().to_str().unwrap(), arguments).output().unwrap();
    Finished {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn send(talk: &mut Talk, from: &str, to: &str) -> String {
    let (from, to) = (format!("{from}@ad.example.test"), format!("{to}@ad.example.test"));
    talk.send(&from, &[&to], &format!("From: {from}\nTo: {to}\nSubject: hello\n\nhello\n"))
}

#[test]
fn two_domains_count_together_and_one_that_is_away_puts_off_what_rests_on_it() {
    let Some(forest) = forest() else { return };
    let servers = ["ldaps://dc1.ad.example.test", "ldaps://dc2.child.ad.example.test"];
    let site = Site::start(forest, &servers, "stale_limit_seconds = 4\nmax_age_seconds = 2\n");
    let (mut hanna, mut kira, mut otto) = (site.session("hanna"), site.session("kira"), site.session("otto"));
    // A universal group with a member of the child; one of the child with a member of the first domain; a domain-local one of
    // the child, on an object of the child, and on one of the first domain, where it does not count.
    site.until(&mut kira, "ivan", "hanna", "250");
    site.until(&mut otto, "ivan", "hanna", "250");
    site.until(&mut hanna, "kira", "ivan", "250");
    for (from, to, wanted) in [("otto", "ivan", REFUSED), ("ivan", "ivan", REFUSED), ("hanna", "kira", "250")] {
        let reply = send(&mut hanna, from, to);
        assert!(reply.starts_with(wanted), "{from}: {reply}");
    }
    let unknown = send(&mut hanna, "hanna", "nobody");
    assert!(unknown.starts_with("550 5.1.1"), "{unknown}");

    site.forest.connect(1, false);
    site.until(&mut kira, "kira", "hanna", LATER);
    for (from, to, wanted) in [
        // What the first domain says by itself.
        ("hanna", "ivan", "250"),
        ("otto", "ivan", REFUSED),
        // The object, the recipient, who is in a group: of the child.
        ("kira", "ivan", LATER),
        ("hanna", "kira", LATER),
        ("hanna", "nobody", LATER),
        ("ivan", "ivan", LATER),
    ] {
        let reply = send(&mut hanna, from, to);
        assert!(reply.starts_with(wanted), "{from} to {to}: {reply}, not {wanted}");
    }
    // Nobody logs on whose domain cannot be asked.
    let mut other = site.forest.at(|| Talk::connect(587));
    let reply = other.log_on("leo@ad.example.test", PASSWORD, None, Mechanism::Plain);
    assert!(reply.starts_with("454"), "{reply}");
    let status = site.status();
    let state = |dn: &str| {
        let domains = status["domains"].as_array().unwrap();
        domains.iter().find(|domain| domain["dn"] == dn).unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!((state(Forest::DOMAINS[0]), state(Forest::DOMAINS[1])), ("fresh".to_owned(), "expired".to_owned()));
    assert_eq!(status["available"], true);

    site.forest.connect(1, true);
    site.until(&mut kira, "ivan", "hanna", "250");
    site.until(&mut hanna, "hanna", "kira", "250");
}

#[test]
fn what_a_global_catalog_does_not_hold_is_unknown() {
    let Some(forest) = forest() else { return };
    let servers = ["ldaps://dc1.ad.example.test", "ldaps://dc1.ad.example.test:3269"];
    let site = Site::start(forest, &servers, "");
    let tested = site.procura(&["directory", "test"]);
    assert_eq!(tested.code, 0, "{}", tested.all());
    assert!(tested.out.contains("of DC=child,DC=ad,DC=example,DC=test only a global catalog tells"), "{}", tested.out);
    let (mut hanna, mut otto) = (site.session("hanna"), site.session("otto"));
    // A universal group of the other domain counts, and its people are recipients.
    site.until(&mut otto, "ivan", "kira", "250");
    for (from, to, wanted) in [
        ("hanna", "leo", "250"),
        ("hanna", "nobody", "550 5.1.1"),
        // Who is in its domain-local groups, it does not say.
        ("kira", "ivan", LATER),
    ] {
        let reply = send(&mut hanna, from, to);
        assert!(reply.starts_with(wanted), "{from} to {to}: {reply}, not {wanted}");
    }
    let mut kira = site.forest.at(|| Talk::connect(587));
    let reply = kira.log_on("kira@ad.example.test", PASSWORD, None, Mechanism::Plain);
    assert!(reply.starts_with("454"), "{reply}");
    let status = site.status();
    let partial = |number: usize| status["domains"][number]["partial"].as_bool().unwrap();
    assert_eq!((partial(0), partial(1)), (false, true), "{status}");
}

#[test]
fn what_changes_in_a_domain_of_which_only_a_global_catalog_tells_counts_in_an_open_session() {
    let Some(forest) = forest() else { return };
    let servers = ["ldaps://dc1.ad.example.test", "ldaps://dc1.ad.example.test:3269"];
    let site = Site::start(forest, &servers, "");
    let mut hanna = site.session("hanna");
    site.until(&mut hanna, "hanna", "leo", "250");
    let grant = |who: &str| {
        let hanna = sid(&site.forest, &person("hanna", 0), 0);
        let ace = format!("(OA;;CR;{SEND_AS};;{hanna})");
        let change =
            format!("from samba.sd_utils import SDUtils\nSDUtils(db).dacl_add_ace('{}', '{ace}')\n", person(who, 1));
        site.forest.python(1, &change);
        site.forest.copy(1, 0);
    };
    let is_refused = |hanna: &mut Talk, from: &str| {
        let reply = send(hanna, from, "ivan");
        assert!(reply.starts_with(REFUSED) || reply.starts_with(LATER), "{from}: {reply}");
    };

    // On an object of it.
    is_refused(&mut hanna, "leo");
    grant("leo");
    site.until(&mut hanna, "leo", "ivan", "250");

    // By who is in one of its universal groups.
    is_refused(&mut hanna, "ivan");
    let member = |what: &str| {
        let change = format!(
            "db.modify_ldif('dn: {}\\nchangetype: modify\\n{what}: member\\nmember: {}\\n')\n",
            person("UniC", 1),
            person("hanna", 0)
        );
        site.forest.python(1, &change);
        site.forest.copy(1, 0);
    };
    member("add");
    site.until(&mut hanna, "ivan", "ivan", "250");
    member("delete");
    until_refused(&site, &mut hanna, "ivan");

    // Somebody is there who was not.
    site.forest.python(1, &format!("db.newuser('mona', '{PASSWORD}', mailaddress='mona@ad.example.test')\n"));
    site.forest.copy(1, 0);
    site.until(&mut hanna, "hanna", "mona", "250");
}

/// What was deleted in a domain of which only a global catalog tells, read by an account of the first domain. `own` is put into
/// `[directory]`. The comparison comes in an hour.
fn deletions_count(account: &str, password: &str, own: &str, deleted: &[&str]) {
    let Some(forest) = forest() else { return };
    let servers = ["ldaps://dc1.ad.example.test", "ldaps://dc1.ad.example.test:3269"];
    let site = Site::read_by(account, password, forest, &servers, own);
    let (mut hanna, mut otto) = (site.session("hanna"), site.session("otto"));
    site.until(&mut otto, "ivan", "hanna", "250");
    site.until(&mut hanna, "hanna", "leo", "250");
    for name in deleted {
        site.delete(name);
        let took = match *name {
            // By which otto may send as ivan.
            "UniC" => until_refused(&site, &mut otto, "ivan"),
            _ => site.until(&mut hanna, "hanna", name, "550 5.1.1"),
        };
        println!("{account}: {name} was gone after {took:?}");
    }
    // The others are there still.
    let reply = send(&mut hanna, "hanna", "kira");
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn what_is_deleted_in_a_domain_of_which_only_a_global_catalog_tells_is_gone_in_an_open_session() {
    deletions_count(Forest::ACCOUNT, "Passw0rd!x1", "", &["UniC", "leo"]);
}

/// Samba's catalog shows administrators what was deleted; of people it tells them too little of it to be found by its number.
#[test]
fn a_tombstone_of_a_group_in_a_global_catalog_ends_it_without_a_list() {
    deletions_count(Forest::ACCOUNT, "Passw0rd!x1", "list_seconds = 0\n", &["UniC"]);
}

#[test]
fn an_ordinary_account_sees_deletions_in_a_global_catalog_too() {
    deletions_count("ivan@ad.example.test", PASSWORD, "", &["leo", "UniC"]);
}

/// Sends until it is not accepted; how long that took.
#[track_caller]
fn until_refused(site: &Site, talk: &mut Talk, from: &str) -> Duration {
    let begin = Instant::now();
    while send(talk, from, "ivan").starts_with("250") {
        assert!(begin.elapsed() < PATIENCE, "{from} is accepted still\n{}", site.server.output());
        std::thread::sleep(Duration::from_millis(50));
    }
    begin.elapsed()
}
