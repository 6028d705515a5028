//! A domain and a node that follows it, in one network namespace.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Mechanism;
use crate::domain_controller::{DomainController, PASSWORD as ADMINISTRATORS};
use crate::meddler::Meddler;
use crate::peer::{require, skip_without};
use crate::server::{Finished, PATIENCE, Server, procura, run_procura};
use crate::talk::Talk;

/// Send-As (MS-ADTS 5.1.3.2.1).
const SEND_AS: &str = "ab721a54-1e2f-11d0-9819-00aa0040529b";
/// The class user.
const USER: &str = "bf967aba-0de6-11d0-a285-00aa003049e2";

/// A domain controller with the people `hanna` and `ivan` in OU=People, and a node that follows it as Administrator. Everybody
/// has a mailbox, and a domain controller that stalls is given up soon.
#[derive(Debug)]
pub struct DomainSite {
    // In this order they end.
    server: Option<Server>,
    /// What stands between the two, where something does.
    pub meddler: Option<Meddler>,
    /// The domain controller.
    pub controller: DomainController,
    folder: TempDir,
}

impl DomainSite {
    /// The password of everybody.
    pub const PASSWORD: &'static str = "Passw0rd!x2";
    /// How a refusal to send as somebody begins.
    pub const REFUSED: &'static str = "550 5.7.1";

    /// Makes it, with whatever `prepare` does to the domain; the server runs. None: something is missing here, which was said.
    #[track_caller]
    pub fn start(prepare: impl FnOnce(&DomainController)) -> Option<DomainSite> {
        DomainSite::make(prepare, false)
    }

    /// The same with somebody between the node and the domain controller.
    #[track_caller]
    pub fn start_meddled(prepare: impl FnOnce(&DomainController)) -> Option<DomainSite> {
        DomainSite::make(prepare, true)
    }

    #[track_caller]
    fn make(prepare: impl FnOnce(&DomainController), meddled: bool) -> Option<DomainSite> {
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
            controller.add_person(name);
        }
        prepare(&controller);
        let meddler = meddled.then(|| Meddler::before(&controller));
        let address = match meddled {
            true => format!("ldaps://127.0.0.1:{}", Meddler::PORT),
            false => "ldaps://127.0.0.1".to_owned(),
        };
        let folder = tempfile::Builder::new().prefix("procura-ad-").tempdir().unwrap();
        let mut site = DomainSite { server: None, meddler, controller, folder };
        fs::write(site.path("password"), format!("{ADMINISTRATORS}\n")).unwrap();
        fs::copy(site.controller.certificate(), site.path("roots.pem")).unwrap();
        let path = |name: &str| site.path(name).display().to_string();
        let (data, password, roots) = (path("data"), path("password"), path("roots.pem"));
        let who = ["--ldap-account", "Administrator@AD.EXAMPLE.TEST", "--ldap-password-file", &password];
        let place = ["--ldap", &address, "--ldap-roots", &roots, "--hostname", "mail.ad.example.test"];
        site.run(&[&["init", &data][..], &who, &place].concat()).ok();
        site.configure("map = { msExchMailboxGuid = \"objectGUID\" }\ntimeout_seconds = 2\n");
        site.serve();
        Some(site)
    }

    /// A file beside the data directory (`data`): `password` and `roots.pem` are what the node reads.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds lines to `[directory]`; they count when the server starts again, or reloads.
    #[track_caller]
    pub fn configure(&self, lines: &str) {
        self.replace("[directory]\n", &format!("[directory]\n{lines}"));
    }

    /// Replaces something in the configuration.
    #[track_caller]
    pub fn replace(&self, old: &str, new: &str) {
        let file = self.path("data/procura.toml");
        let written = fs::read_to_string(&file).unwrap();
        assert!(written.contains(old), "{old} is not in\n{written}");
        fs::write(&file, written.replacen(old, new, 1)).unwrap();
    }

    /// From the next start on, the node reads and writes the domain as somebody else.
    #[track_caller]
    pub fn read_as(&self, name: &str) {
        fs::write(self.path("password"), format!("{}\n", DomainSite::PASSWORD)).unwrap();
        self.replace("Administrator@AD.EXAMPLE.TEST", &format!("{name}@AD.EXAMPLE.TEST"));
    }

    /// Runs `procura` where the domain controller is.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.controller.at(|| run_procura(arguments, ""))
    }

    /// Runs a command of this node.
    #[track_caller]
    pub fn procura(&self, arguments: &[&str]) -> Finished {
        let data = self.path("data");
        self.run(&[&["--data", data.to_str().unwrap()], arguments].concat())
    }

    /// Starts the server, again where it runs.
    #[track_caller]
    pub fn serve(&mut self) {
        self.serve_with(&[]);
    }

    /// The same with variables in its environment.
    #[track_caller]
    pub fn serve_with(&mut self, variables: &[(&str, &str)]) {
        self.server = None;
        let data = self.path("data");
        let mut command =
            self.controller.beside(procura().to_str().unwrap(), &["--data", data.to_str().unwrap(), "serve"]);
        command.envs(variables.iter().copied());
        let server = Server::spawn(command);
        server.wait_for_output("ready");
        self.server = Some(server);
    }

    /// Ends the server.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// What the server printed since it was started.
    pub fn output(&self) -> String {
        self.server.as_ref().map(Server::output).unwrap_or_default()
    }

    /// A session of somebody's.
    #[track_caller]
    pub fn session(&self, name: &str) -> Talk {
        let mut talk = self.controller.at(|| Talk::connect(587));
        let reply = talk.log_on(&address(name), DomainSite::PASSWORD, None, Mechanism::Plain);
        assert!(reply.starts_with("235"), "{reply}\n{}", self.output());
        talk
    }

    /// What the server says to a logon.
    #[track_caller]
    pub fn log_on(&self, name: &str, password: &str) -> String {
        let mut talk = self.controller.at(|| Talk::connect(587));
        talk.log_on(&address(name), password, None, Mechanism::Plain)
    }

    /// Sends as ivan until the reply begins so; how long that took.
    #[track_caller]
    pub fn until(&self, talk: &mut Talk, wanted: &str) -> Duration {
        until_sent(talk, wanted, || self.output())
    }

    /// Waits until `directory status` says so.
    #[track_caller]
    pub fn until_status(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let shown = self.procura(&["directory", "status", "--format", "json"]);
            let status = serde_json::from_str(&shown.out).unwrap_or_default();
            if wanted(&status) {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "{}\n{}", shown.all(), self.output());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the domain controller answers, and what it says is taken over.
    #[track_caller]
    pub fn until_followed(&self) -> Value {
        self.until_status(|status| {
            status["available"] == true
                && status["servers"][0]["error"].is_null()
                && status["domains"][0]["server"].is_string()
        })
    }

    /// Tells the meddler what to do.
    #[track_caller]
    pub fn meddle(&self, what: &str) {
        self.meddler.as_ref().unwrap().does(what);
    }

    /// The newest version in the history that an administrator made here.
    #[track_caller]
    pub fn last_version(&self) -> String {
        let shown = self.procura(&["history", "--format", "json"]).ok();
        let history: Value = serde_json::from_str(&shown).unwrap();
        let rows = history["rows"].as_array().unwrap().iter();
        let own = rows.filter(|row| row["author_sid"] == "S-1-5-32-544").filter_map(|row| row["version"].as_u64());
        own.max().unwrap_or_else(|| panic!("nobody made anything: {shown}")).to_string()
    }
}

/// Somebody's mail address.
pub fn address(name: &str) -> String {
    format!("{name}@ad.example.test")
}

/// Sends a message with the address of somebody, in the envelope and in the header; the reply.
#[track_caller]
pub fn send_as(talk: &mut Talk, name: &str) -> String {
    let from = address(name);
    let message = format!("From: {from}\nTo: hanna@ad.example.test\nSubject: hello\n\nhello\n");
    talk.send(&from, &["hanna@ad.example.test"], &message)
}

/// Sends as ivan until the reply begins so; how long that took. `output`: what the server has said, should it never come to that.
#[track_caller]
pub fn until_sent(talk: &mut Talk, wanted: &str, output: impl Fn() -> String) -> Duration {
    let begin = Instant::now();
    loop {
        let reply = send_as(talk, "ivan");
        if reply.starts_with(wanted) {
            return begin.elapsed();
        }
        assert!(begin.elapsed() < PATIENCE, "{reply}, not {wanted}\n{}", output());
    }
}

impl DomainController {
    /// Adds a person with a mail address to OU=People.
    #[track_caller]
    pub fn add_person(&self, name: &str) {
        let mail = format!("--mail-address={}", address(name));
        self.samba_tool(&["user", "add", name, DomainSite::PASSWORD, "--userou=OU=People", &mail]);
    }

    /// The DN of an object in OU=People.
    pub fn person(name: &str) -> String {
        format!("CN={name},OU=People,{}", DomainController::DOMAIN)
    }

    /// Adds an ACE to an object.
    #[track_caller]
    pub fn add_ace(&self, dn: &str, ace: &str) {
        self.samba_tool(&["dsacl", "set", &format!("--objectdn={dn}"), &format!("--sddl={ace}")]);
    }

    /// An ACE that allows to send as the object itself.
    pub fn send_as(sid: &str) -> String {
        format!("(OA;;CR;{SEND_AS};;{sid})")
    }

    /// An ACE that allows to send as users below the object.
    pub fn send_as_below(sid: &str) -> String {
        format!("(OA;CIIO;CR;{SEND_AS};{USER};{sid})")
    }

    /// Removes the explicit ACEs of a trustee from an object, also while it is stopped (this `samba-tool` cannot).
    #[track_caller]
    pub fn revoke(&self, dn: &str, sid: &str) {
        self.python(&format!(
            "import ldb\nfrom samba.ndr import ndr_unpack, ndr_pack\nfrom samba.dcerpc import security\n\
             read = db.search('{dn}', scope=0, attrs=['nTSecurityDescriptor'], controls=['sd_flags:1:4'])\n\
             sd = ndr_unpack(security.descriptor, read[0]['nTSecurityDescriptor'][0])\n\
             inherited = security.SEC_ACE_FLAG_INHERITED_ACE\n\
             kept = [ace for ace in sd.dacl.aces if str(ace.trustee) != '{sid}' or ace.flags & inherited]\n\
             sd.dacl.aces, sd.dacl.num_aces = kept, len(kept)\n\
             message = ldb.Message(ldb.Dn(db, '{dn}'))\n\
             message['sd'] = ldb.MessageElement(ndr_pack(sd), ldb.FLAG_MOD_REPLACE, 'nTSecurityDescriptor')\n\
             db.modify(message, ['sd_flags:1:4'])\n"
        ));
    }

    /// The descriptor of an object, all of it, in SDDL.
    #[track_caller]
    pub fn descriptor(&self, dn: &str) -> String {
        let read = format!("db.search('{dn}', scope=0, attrs=['nTSecurityDescriptor'])[0]['nTSecurityDescriptor'][0]");
        let script = format!(
            "from samba.ndr import ndr_unpack\nfrom samba.dcerpc import security\n\
             print(ndr_unpack(security.descriptor, {read}).as_sddl())"
        );
        self.python(&script).trim().to_owned()
    }

    /// The values of an attribute of an object; those that are no text, in hexadecimal.
    #[track_caller]
    pub fn values(&self, dn: &str, attribute: &str) -> Vec<String> {
        let read = format!("db.search('{dn}', scope=0, attrs=['{attribute}'])[0].get('{attribute}')");
        let script = format!(
            "for value in map(bytes, {read} or []):\n    print(value.decode() if value.isascii() else value.hex())"
        );
        self.python(&script).lines().map(str::to_owned).collect()
    }
}
