//! Two domain controllers of one domain: one is cut off, the other serves.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::{Duration, Instant};

use e2e::{
    DomainController, DomainPair, Mechanism, Server, Talk, procura, require, run_procura, skip_without, until_sent,
};

const PASSWORD: &str = "Passw0rd!x2";
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn when_one_domain_controller_is_cut_off_the_other_serves() {
    if !require(&DomainController::PROGRAMS) || !require(&["python3", "unshare"]) {
        return;
    }
    if !DomainController::possible() {
        return skip_without("root, to make network namespaces");
    }
    let pair = DomainPair::start(|pair| {
        for name in ["hanna", "ivan"] {
            let address = format!("--mail-address={name}@ad.example.test");
            pair.samba_tool(0, &["user", "add", name, PASSWORD, &address]);
        }
    });
    let folder = tempfile::Builder::new().prefix("procura-ad-").tempdir().unwrap();
    let (data, password) = (folder.path().join("data"), folder.path().join("password"));
    fs::write(&password, "Passw0rd!x1\n").unwrap();
    let (data, password) = (data.display().to_string(), password.display().to_string());
    let roots = pair.certificates().display().to_string();
    let init = [
        "init",
        &data,
        "--hostname",
        "mail.ad.example.test",
        "--ldap",
        "ldaps://192.0.2.1",
        "--ldap",
        "ldaps://192.0.2.2",
        "--ldap-account",
        "Administrator@AD.EXAMPLE.TEST",
        "--ldap-password-file",
        &password,
        "--ldap-roots",
        &roots,
    ];
    pair.at(|| run_procura(init, "")).ok();
    let file = format!("{data}/procura.toml");
    let written = fs::read_to_string(&file).unwrap();
    let own = "[directory]\nmap = { msExchMailboxGuid = \"objectGUID\" }\ntimeout_seconds = 2\n";
    fs::write(&file, written.replacen("[directory]\n", own, 1)).unwrap();
    let server = Server::spawn(pair.beside(procura().to_str().unwrap(), &["--data", &data, "serve"]));
    server.wait_for_output("ready");

    let mut talk = pair.at(|| Talk::connect(587));
    let reply = talk.log_on("hanna@ad.example.test", PASSWORD, None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}\n{}", server.output());
    let mut until = |wanted: &str| until_sent(&mut talk, wanted, || server.output());
    until("550 5.7.1");
    let grant = "from samba.sd_utils import SDUtils\nfrom samba.ndr import ndr_unpack\nfrom samba.dcerpc import security\n\
        read = db.search(base, expression='(sAMAccountName=hanna)', attrs=['objectSid'])\n\
        sid = str(ndr_unpack(security.dom_sid, read[0]['objectSid'][0]))\n\
        ace = '(OA;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;%s)' % sid\nivan = 'CN=ivan,CN=Users,' + base\n";
    // What is written here is written where changes are followed: elsewhere it would look undone until it is replicated.
    let change = |what: &str| {
        let words =
            ["permission", what, "ivan@ad.example.test", "--user", "hanna@ad.example.test", "--right", "send-as"];
        pair.at(|| run_procura([&["--data", &data][..], &words].concat(), "")).ok();
        pair.python(0, &format!("{grant}print(sid in SDUtils(db).read_sd_on_dn(ivan).as_sddl())\n")).trim().to_owned()
    };
    assert_eq!((change("add").as_str(), change("remove").as_str()), ("True", "False"));
    until("550 5.7.1");

    pair.python(0, &format!("{grant}SDUtils(db).dacl_add_ace(ivan, ace)\n"));
    until("250");
    pair.replicate();

    // Taken away where the first one cannot see it.
    pair.connect(0, false);
    pair.python(
        1,
        &format!(
            "{grant}utils = SDUtils(db)\nsd = utils.read_sd_on_dn(ivan)\n\
             kept = [ace for ace in sd.dacl.aces if str(ace.trustee) != sid]\n\
             sd.dacl.aces, sd.dacl.num_aces = kept, len(kept)\n\
             utils.modify_sd_on_dn(ivan, sd)\n"
        ),
    );
    println!("the other domain controller counts {:?} after the change there", until("550 5.7.1"));
    let begin = Instant::now();
    loop {
        // The status follows what is published.
        let status = pair.at(|| run_procura(["--data", &data, "directory", "status"], "")).ok();
        if status.contains("followed on ldaps://192.0.2.2") {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{status}");
        std::thread::sleep(Duration::from_millis(100));
    }

    // Whoever logs on now is asked for there too.
    let mut other = pair.at(|| Talk::connect(587));
    let reply = other.log_on("ivan@ad.example.test", PASSWORD, None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}\n{}", server.output());
    pair.connect(0, true);
}
