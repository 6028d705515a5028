//! A real Active Directory domain controller: Samba, in a network namespace of its own, so that its fixed ports meet nobody.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::server::{Finished, PATIENCE, finish};

const PASSWORD: &str = "Passw0rd!x1";

/// LDAP_SERVER_SD_FLAGS_OID with owner, group and DACL (MS-ADTS 3.1.1.3.4.1.11): BER of SEQUENCE { INTEGER 7 }.
const DESCRIPTOR_CONTROL: &str = "!1.2.840.113556.1.4.801=::MAMCAQc=";

/// A running domain controller of the domain `ad.example.test` (`ADTEST`), freshly provisioned.
#[derive(Debug)]
pub struct DomainController {
    samba: Child,
    folder: TempDir,
}

impl DomainController {
    /// What has to be installed for it.
    pub const PROGRAMS: [&'static str; 5] = ["samba", "samba-tool", "ldapsearch", "ip", "nsenter"];

    /// The domain's distinguished name.
    pub const DOMAIN: &'static str = "DC=ad,DC=example,DC=test";

    /// Whether this process may make network namespaces (it must be root).
    pub fn possible() -> bool {
        rustix::process::geteuid().is_root()
    }

    /// Provisions and starts it, and waits until it answers.
    #[track_caller]
    pub fn start() -> DomainController {
        let folder = tempfile::Builder::new().prefix("procura-dc-").tempdir().unwrap();
        let data = folder.path().join("dc");
        provision(&data);
        let samba = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && exec samba -s \"$0\" -F --no-process-group -d1"])
            .arg(data.join("etc/smb.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("samba.err")).unwrap())
            .spawn()
            .unwrap();
        let mut controller = DomainController { samba, folder };
        let begin = Instant::now();
        while controller
            .inside("ldapsearch", &["-x", "-H", "ldap://127.0.0.1", "-s", "base", "-b", "", "defaultNamingContext"])
            .code
            != 0
        {
            if let Some(status) = controller.samba.try_wait().unwrap() {
                let log = fs::read_to_string(controller.folder.path().join("samba.err")).unwrap_or_default();
                panic!("samba ended with {status}: {log}");
            }
            assert!(begin.elapsed() < PATIENCE, "the domain controller does not answer");
            thread::sleep(Duration::from_millis(100));
        }
        controller
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
        command.arg(format!("--net=/proc/{}/ns/net", self.samba.id())).arg(program).args(arguments);
        // Its certificate is its own; the connection never leaves the namespace.
        command.env("LDAPTLS_REQCERT", "never");
        command
    }
}

impl Drop for DomainController {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.samba.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.samba.wait();
    }
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
    fs::create_dir_all(data.join("run")).unwrap();
    let conf = data.join("etc/smb.conf");
    let place = data.display();
    // Only what LDAP needs, everything below our folder, and no DNS server of the machine's as forwarder.
    let own = format!(
        "[global]\n\tserver services = ldap, cldap, kdc, rpc\n\tprefork children = 1\n\tpid directory = {place}/run\n\
         \tncalrpc dir = {place}/ncalrpc\n\tldap server require strong auth = allow_sasl_over_tls\n"
    );
    let text = fs::read_to_string(&conf).unwrap();
    let kept: Vec<String> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("dns forwarder"))
        .map(|line| {
            if line.trim_start().starts_with("log file") {
                format!("\tlog file = {place}/log.%m")
            } else {
                line.to_owned()
            }
        })
        .collect();
    fs::write(&conf, kept.join("\n").replacen("[global]\n", &own, 1)).unwrap();
}
