//! A real Active Directory domain controller: Samba, in a network namespace of its own, so that its fixed ports meet nobody.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::peer::{Peer, signal};
use crate::server::{Finished, PATIENCE, finish};

pub(crate) const PASSWORD: &str = "Passw0rd!x1";
/// What its certificate is for.
const NAMES: &str = "DNS:dc1.ad.example.test,IP:127.0.0.1";

/// LDAP_SERVER_SD_FLAGS_OID with owner, group and DACL (MS-ADTS 3.1.1.3.4.1.11): BER of SEQUENCE { INTEGER 7 }.
const DESCRIPTOR_CONTROL: &str = "!1.2.840.113556.1.4.801=::MAMCAQc=";

/// A running domain controller of the domain `ad.example.test` (`ADTEST`), freshly provisioned.
#[derive(Debug)]
pub struct DomainController {
    samba: Option<Child>,
    holder: Child,
    folder: TempDir,
}

impl DomainController {
    /// What has to be installed for it.
    pub const PROGRAMS: [&'static str; 6] = ["samba", "samba-tool", "ldapsearch", "ip", "nsenter", "openssl"];

    /// The domain's distinguished name.
    pub const DOMAIN: &'static str = "DC=ad,DC=example,DC=test";

    /// Whether this process may make network namespaces (it must be root).
    pub fn possible() -> bool {
        rustix::process::geteuid().is_root()
    }

    /// Provisions and starts it, and waits until it answers.
    #[track_caller]
    pub fn start() -> DomainController {
        DomainController::start_with(provisioned)
    }

    /// The same with a domain that has its names in common with that of other tests, and nothing else.
    #[track_caller]
    pub fn start_anew() -> DomainController {
        DomainController::start_with(provision)
    }

    #[track_caller]
    fn start_with(make: fn(&Path)) -> DomainController {
        let folder = tempfile::Builder::new().prefix("procura-dc-").tempdir().unwrap();
        let data = folder.path().join("dc");
        make(&data);
        set_up(&data, "ldap, cldap, kdc, rpc");
        certify(&data, NAMES);
        // The namespace outlives the domain controller, which some tests stop and start again.
        let holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && exec sleep infinity"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut controller = DomainController { samba: None, holder, folder };
        let begin = Instant::now();
        while !controller.inside("ip", &["link", "show", "dev", "lo", "up"]).out.contains("LOOPBACK,UP") {
            assert!(begin.elapsed() < PATIENCE, "there is no network namespace");
            thread::sleep(Duration::from_millis(20));
        }
        controller.resume();
        controller
    }

    /// Starts it again after [`DomainController::stop`].
    #[track_caller]
    pub fn resume(&mut self) {
        let begin = Instant::now();
        while !self.try_resume() {
            let log = fs::read_to_string(self.folder.path().join("samba.err")).unwrap_or_default();
            assert!(begin.elapsed() < PATIENCE, "the domain controller does not answer: {log}");
            // On a machine with much to do some of its services may not come up.
            self.stop();
        }
    }

    fn try_resume(&mut self) -> bool {
        let conf = self.conf();
        let mut command = self.command("samba", &["-s", conf.to_str().unwrap(), "-F", "--no-process-group", "-d1"]);
        let errors = fs::File::create(self.folder.path().join("samba.err")).unwrap();
        self.samba = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().unwrap());
        let begin = Instant::now();
        let question = ["-x", "-H", "ldap://127.0.0.1", "-s", "base", "-b", "", "defaultNamingContext"];
        while begin.elapsed() < PATIENCE / 3 {
            if self.inside("ldapsearch", &question).code == 0 {
                return true;
            }
            if matches!(self.samba.as_mut().unwrap().try_wait(), Ok(Some(_))) {
                return false;
            }
            thread::sleep(Duration::from_millis(100));
        }
        false
    }

    /// Stops it; connections to it are refused from now on.
    pub fn stop(&mut self) {
        let Some(mut samba) = self.samba.take() else { return };
        signal(samba.id(), rustix::process::Signal::TERM);
        let begin = Instant::now();
        while matches!(samba.try_wait(), Ok(None)) && begin.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(20));
        }
        // Those that serve LDAP may go on for a while without the first.
        end_samba_in(self.holder.id());
        let _ = samba.wait();
    }

    /// It takes connections and says nothing (SIGSTOP), or goes on.
    pub fn stall(&self, stalled: bool) {
        let signal = if stalled { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
        for pid in self.processes() {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// All processes of the domain controller: Samba's in its namespace.
    fn processes(&self) -> Vec<rustix::process::Pid> {
        samba_in(self.holder.id())
    }

    /// The certificate that its LDAP server shows, PEM, for `dc1.ad.example.test` and 127.0.0.1.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("dc/cert.pem")
    }

    /// Another certificate takes the place of the one it shows; it counts when it starts again.
    #[track_caller]
    pub fn change_certificate(&self) {
        certify(&self.folder.path().join("dc"), NAMES);
    }

    /// Changes a setting of its configuration; it counts when it starts again.
    #[track_caller]
    pub fn set(&self, name: &str, value: &str) {
        let text = fs::read_to_string(self.conf()).unwrap();
        let others = text.lines().filter(|line| !line.trim_start().starts_with(name));
        let others = others.collect::<Vec<_>>().join("\n");
        fs::write(self.conf(), others.replacen("[global]\n", &format!("[global]\n\t{name} = {value}\n"), 1)).unwrap();
    }

    /// Something else in its place, with its key: a server whose answers are of no use (`garbage.py` says which modes there
    /// are). It ends when it is dropped.
    #[track_caller]
    pub fn garbage(&self, mode: &str) -> Peer {
        let key = self.folder.path().join("dc/key.pem");
        let mut command = self.command("python3", &["-c", include_str!("garbage.py"), "636"]);
        command.arg(self.certificate()).arg(key).arg(mode);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "listening\n");
        Peer::from(child)
    }

    /// Runs a Python program with `db`, its database opened with all rights, and `base`, the domain's DN; its output.
    #[track_caller]
    pub fn python(&self, program: &str) -> String {
        let data = self.folder.path().join("dc");
        // Debian's own interpreter: Samba's modules are for that one.
        finish(&mut self.command("/usr/bin/python3", &["-"]), &(python_head(&data) + program)).ok()
    }

    /// Does something where the domain controller is: what is connected and started there, is there.
    #[track_caller]
    pub fn at<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        let there = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        };
        thread::scope(|scope| scope.spawn(there).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs `samba-tool` as Administrator over LDAP.
    #[track_caller]
    pub fn samba_tool(&self, arguments: &[&str]) -> String {
        let mut all = arguments.to_vec();
        let conf = self.conf();
        let user = format!("Administrator%{PASSWORD}");
        all.extend(["-s", conf.to_str().unwrap(), "-H", "ldap://127.0.0.1", "-U", &user]);
        self.inside("samba-tool", &all).ok()
    }

    /// Writes the keys of a service principal to a keytab file.
    #[track_caller]
    pub fn export_keytab(&self, principal: &str, file: &Path) {
        let (conf, principal) = (self.conf(), format!("--principal={principal}"));
        let arguments = ["domain", "exportkeytab", file.to_str().unwrap(), &principal, "-s", conf.to_str().unwrap()];
        self.inside("samba-tool", &arguments).ok();
    }

    /// A command that runs where the domain controller can be reached: on 127.0.0.1.
    pub fn beside(&self, program: &str, arguments: &[&str]) -> Command {
        self.command(program, arguments)
    }

    /// Changes entries by LDIF.
    #[track_caller]
    pub fn modify(&self, ldif: &str) {
        let mut command = self.command("ldapmodify", &self.bind());
        finish(&mut command, ldif).ok();
    }

    /// The domain partition as LDIF, with security descriptors.
    #[track_caller]
    pub fn dump(&self, filter: &str) -> String {
        let mut arguments = vec!["-LLL", "-E", "pr=500/noprompt", "-E", DESCRIPTOR_CONTROL];
        arguments.extend(self.bind());
        arguments.extend(["-b", Self::DOMAIN, filter, "*", "nTSecurityDescriptor"]);
        self.inside("ldapsearch", &arguments).ok()
    }

    /// The SID of an account by its logon name, also while it is stopped.
    #[track_caller]
    pub fn sid_offline(&self, name: &str) -> String {
        let script = format!(
            "from samba.ndr import ndr_unpack\nfrom samba.dcerpc import security\n\
             read = db.search(base, expression='(sAMAccountName={name})', attrs=['objectSid'])\n\
             print(ndr_unpack(security.dom_sid, read[0]['objectSid'][0]))"
        );
        self.python(&script).trim().to_owned()
    }

    /// The SID of an account or group, as `samba-tool` shows it.
    #[track_caller]
    pub fn sid(&self, dn: &str) -> String {
        let mut arguments = vec!["-LLL", "-o", "ldif-wrap=no"];
        arguments.extend(self.bind());
        arguments.extend(["-b", dn, "-s", "base", "objectSid"]);
        let found = self.inside("ldapsearch", &arguments).ok();
        let encoded = found.lines().find_map(|line| line.strip_prefix("objectSid:: ")).unwrap();
        let script = "import base64,sys;b=base64.b64decode(sys.argv[1]);\
            print('S-1-%d'%int.from_bytes(b[2:8],'big')+''.join('-%d'%int.from_bytes(b[i:i+4],'little') for i in range(8,len(b),4)))";
        let sid = finish(Command::new("python3").args(["-c", script, encoded]), "").ok();
        sid.trim().to_owned()
    }

    fn bind(&self) -> Vec<&'static str> {
        vec!["-x", "-H", "ldaps://127.0.0.1", "-D", "Administrator@AD.EXAMPLE.TEST", "-w", PASSWORD]
    }

    fn conf(&self) -> PathBuf {
        self.folder.path().join("dc/etc/smb.conf")
    }

    fn inside(&self, program: &str, arguments: &[&str]) -> Finished {
        finish(&mut self.command(program, arguments), "")
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg(program).args(arguments);
        // Its certificate is its own; the connection never leaves the namespace.
        command.env("LDAPTLS_REQCERT", "never");
        command
    }
}

impl Drop for DomainController {
    fn drop(&mut self) {
        self.stall(false);
        self.stop();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// How long the copy is used: passwords end some weeks after they were set.
const COPIED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Provisions a domain once and copies it from then on, which takes seconds less.
#[track_caller]
fn provisioned(data: &Path) {
    let test = std::env::current_exe().unwrap();
    let all = test.parent().and_then(Path::parent).unwrap().join("provisioned-domain");
    fs::create_dir_all(&all).unwrap();
    let lock = fs::File::create(all.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (done, model) = (all.join("done"), all.join("dc"));
    let age = fs::metadata(&done).and_then(|done| done.modified()).ok().and_then(|time| time.elapsed().ok());
    if age.is_none_or(|age| age > COPIED_FOR) {
        let _ = fs::remove_dir_all(&model);
        provision(&model);
        fs::write(done, "").unwrap();
    }
    finish(Command::new("cp").arg("-a").arg(&model).arg(data), "").ok();
    let conf = data.join("etc/smb.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text.replace(model.to_str().unwrap(), data.to_str().unwrap())).unwrap();
}

#[track_caller]
fn provision(data: &Path) {
    let target = format!("--targetdir={}", data.display());
    let password = format!("--adminpass={PASSWORD}");
    let mut command = Command::new("samba-tool");
    command.args(["domain", "provision", &target, "--use-rfc2307", "--realm=AD.EXAMPLE.TEST", "--domain=ADTEST"]);
    command.args([
        "--server-role=dc",
        "--dns-backend=SAMBA_INTERNAL",
        &password,
        "--host-name=dc1",
        "--host-ip=127.0.0.1",
    ]);
    command.args(["--option=interfaces=lo", "--option=bind interfaces only=yes"]);
    command.args(["--option=vfs objects=dfs_samba4 acl_xattr"]);
    finish(&mut command, "").ok();
}

/// Makes the configuration of a domain controller that of a test: these services, everything below our folder, and no DNS
/// server of the machine's as forwarder.
#[track_caller]
pub(crate) fn set_up(data: &Path, services: &str) {
    fs::create_dir_all(data.join("run")).unwrap();
    let conf = data.join("etc/smb.conf");
    let place = data.display();
    let own = format!(
        "[global]\n\tserver services = {services}\n\tprefork children = 1\n\tpid directory = {place}/run\n\
         \tncalrpc dir = {place}/ncalrpc\n\tldap server require strong auth = allow_sasl_over_tls\n\
         \told password allowed period = 0\n\tdsdb:schema update allowed = true\n\
         \ttls keyfile = {place}/key.pem\n\ttls certfile = {place}/cert.pem\n\ttls cafile =\n"
    );
    let text = fs::read_to_string(&conf).unwrap();
    let other = ["dns forwarder", "server services"];
    let kept: Vec<String> = text
        .lines()
        .filter(|line| !other.iter().any(|name| line.trim_start().starts_with(name)))
        .map(|line| match line.trim_start().starts_with("log file") {
            true => format!("\tlog file = {place}/log.%m"),
            false => line.to_owned(),
        })
        .collect();
    fs::write(&conf, kept.join("\n").replacen("[global]\n", &own, 1)).unwrap();
}

/// What a Python program for a domain controller's database begins with.
pub(crate) fn python_head(data: &Path) -> String {
    format!(
        "import sys\nfrom samba.param import LoadParm\nfrom samba.samdb import SamDB\nfrom samba.auth import system_session\n\
         lp = LoadParm()\nlp.load('{}')\ndb = SamDB(url='{}', session_info=system_session(), lp=lp)\nbase = '{}'\n",
        data.join("etc/smb.conf").display(),
        data.join("private/sam.ldb").display(),
        DomainController::DOMAIN
    )
}

/// Samba's processes in the network namespace of a process.
pub(crate) fn samba_in(holder: u32) -> Vec<rustix::process::Pid> {
    let namespace = fs::read_link(format!("/proc/{holder}/ns/net")).unwrap_or_default();
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let ours = all.filter(|pid| {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        program.ends_with("samba") && fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|its| its == namespace)
    });
    ours.filter_map(rustix::process::Pid::from_raw).collect()
}

/// Ends Samba's processes in the network namespace of a process, and waits until they are gone: one of them may have started
/// another in between.
pub(crate) fn end_samba_in(holder: u32) {
    let begin = Instant::now();
    loop {
        let left = samba_in(holder);
        if left.is_empty() || begin.elapsed() > PATIENCE {
            return;
        }
        for pid in left {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// A certificate that signs itself, with the names by which the tests reach the domain controller.
#[track_caller]
pub(crate) fn certify(data: &Path, names: &str) {
    let (key, certificate) = (data.join("key.pem"), data.join("cert.pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=dc1.ad.example.test"]);
    command.args(["-addext", &format!("subjectAltName={names}")]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    command.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    finish(&mut command, "").ok();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
}
