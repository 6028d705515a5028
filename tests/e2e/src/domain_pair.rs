//! Two Samba domain controllers of one domain, each on a host of its own, and a third host for who asks them.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::domain_controller::{DomainController, PASSWORD, certify, end_samba_in, python_head, set_up};
use crate::network::Network;
use crate::server::{PATIENCE, finish};

/// What the first one runs: the second joins by it.
const SERVICES: &str = "ldap, cldap, kdc, rpc, drepl, dns, kcc";

/// The domain `ad.example.test` on 192.0.2.1 (`dc1`) and 192.0.2.2 (`dc2`).
#[derive(Debug)]
pub struct DomainPair {
    samba: Vec<Child>,
    network: Network,
    folder: TempDir,
}

impl DomainPair {
    /// Provisions the first, has `prepare` fill it, and lets the second join.
    #[track_caller]
    pub fn start(prepare: impl FnOnce(&DomainPair)) -> DomainPair {
        let folder = tempfile::Builder::new().prefix("procura-dcs-").tempdir().unwrap();
        let mut pair = DomainPair { samba: Vec::new(), network: Network::of(3), folder };
        let hosts = "127.0.0.1 localhost\n192.0.2.1 dc1.ad.example.test dc1\n192.0.2.2 dc2.ad.example.test dc2\n";
        fs::write(pair.path("hosts"), hosts).unwrap();
        fs::write(pair.path("resolv.conf"), "search ad.example.test\nnameserver 192.0.2.1\n").unwrap();
        let krb5 = "[libdefaults]\ndefault_realm = AD.EXAMPLE.TEST\ndns_lookup_kdc = false\ndns_lookup_realm = false\n\
             [realms]\nAD.EXAMPLE.TEST = {\n kdc = 192.0.2.1\n}\n";
        fs::write(pair.path("krb5.conf"), krb5).unwrap();
        let data = pair.path("dc1");
        let (target, password) = (format!("--targetdir={}", data.display()), format!("--adminpass={PASSWORD}"));
        let mut provision = pair.command(0, "samba-tool");
        provision.args([
            "domain",
            "provision",
            &target,
            "--realm=AD.EXAMPLE.TEST",
            "--domain=ADTEST",
            "--server-role=dc",
        ]);
        provision.args(["--dns-backend=SAMBA_INTERNAL", &password, "--host-name=dc1", "--host-ip=192.0.2.1"]);
        finish(provision.args(OPTIONS), "").ok();
        pair.serve(0);
        prepare(&pair);
        let target = format!("--targetdir={}", pair.path("dc2").display());
        let mut join = pair.command(1, "samba-tool");
        join.args([
            "domain",
            "join",
            "ad.example.test",
            "DC",
            &target,
            "--realm=AD.EXAMPLE.TEST",
            "--dns-backend=NONE",
        ]);
        join.args(["--server=dc1.ad.example.test", "--option=netbios name=DC2", "-U"]);
        finish(join.arg(format!("Administrator%{PASSWORD}")).args(OPTIONS), "").ok();
        pair.serve(1);
        pair
    }

    /// A file for the certificates of both.
    #[track_caller]
    pub fn certificates(&self) -> PathBuf {
        let both = ["dc1/cert.pem", "dc2/cert.pem"].map(|name| fs::read_to_string(self.path(name)).unwrap());
        fs::write(self.path("roots.pem"), both.concat()).unwrap();
        self.path("roots.pem")
    }

    /// Runs `samba-tool` as Administrator, over LDAP, on one of them (0 or 1).
    #[track_caller]
    pub fn samba_tool(&self, which: usize, arguments: &[&str]) -> String {
        let mut command = self.command(which, "samba-tool");
        command.args(arguments).arg("-s").arg(self.data(which).join("etc/smb.conf"));
        command.args(["-H", &format!("ldap://192.0.2.{}", which + 1), "-U", &format!("Administrator%{PASSWORD}")]);
        finish(&mut command, "").ok()
    }

    /// Runs a Python program on the database of one of them, as [`DomainController::python`] does.
    #[track_caller]
    pub fn python(&self, which: usize, program: &str) -> String {
        let mut command = self.command(which, "/usr/bin/python3");
        finish(command.arg("-"), &(python_head(&self.data(which)) + program)).ok()
    }

    /// The second gets what changed on the first.
    #[track_caller]
    pub fn replicate(&self) {
        let mut command = self.command(1, "samba-tool");
        command.args([
            "drs",
            "replicate",
            "dc2.ad.example.test",
            "dc1.ad.example.test",
            DomainController::DOMAIN,
            "--local",
        ]);
        command.arg("-s").arg(self.data(1).join("etc/smb.conf")).args(["-U", &format!("Administrator%{PASSWORD}")]);
        finish(&mut command, "").ok();
    }

    /// One of them can be reached, or is cut off.
    #[track_caller]
    pub fn connect(&self, which: usize, connected: bool) {
        self.network.connect(which, connected);
    }

    /// A command on the third host.
    pub fn beside(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.network.command(2, program);
        command.args(arguments);
        command
    }

    /// Does something on the third host.
    #[track_caller]
    pub fn at<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        self.network.at(2, act)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self, which: usize) -> PathBuf {
        self.path(if which == 0 { "dc1" } else { "dc2" })
    }

    /// A command on the host of a domain controller, with names that lead to both.
    fn command(&self, which: usize, program: &str) -> Command {
        let mounts =
            "mount --bind \"$0/hosts\" /etc/hosts && mount --bind \"$0/resolv.conf\" /etc/resolv.conf && exec \"$@\"";
        let mut command = self.network.command(which, "unshare");
        command.args(["--mount", "sh", "-c", mounts]).arg(self.folder.path()).arg(program);
        command.env("KRB5_CONFIG", self.path("krb5.conf"));
        command
    }

    #[track_caller]
    fn serve(&mut self, which: usize) {
        let data = self.data(which);
        let address = format!("192.0.2.{}", which + 1);
        certify(&data, &format!("DNS:dc{}.ad.example.test,IP:{address}", which + 1));
        set_up(&data, SERVICES);
        let mut command = self.command(which, "samba");
        command.arg("-s").arg(data.join("etc/smb.conf")).args(["-F", "--no-process-group", "-d1"]);
        let errors = fs::File::create(self.path(&format!("samba{which}.err"))).unwrap();
        self.samba.push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().unwrap());
        let begin = Instant::now();
        loop {
            let mut ask = self.command(which, "ldapsearch");
            ask.args(["-x", "-H", &format!("ldap://{address}"), "-s", "base", "-b", "", "defaultNamingContext"]);
            if finish(&mut ask, "").code == 0 {
                return;
            }
            let log = || fs::read_to_string(self.path(&format!("samba{which}.err"))).unwrap_or_default();
            assert!(begin.elapsed() < PATIENCE, "the domain controller does not answer: {}", log());
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Each serves on its own address.
const OPTIONS: [&str; 3] =
    ["--option=interfaces=eth0 lo", "--option=bind interfaces only=yes", "--option=vfs objects=dfs_samba4 acl_xattr"];

impl Drop for DomainPair {
    fn drop(&mut self) {
        for which in 0..self.samba.len() {
            end_samba_in(self.network.holder(which));
        }
        for samba in &mut self.samba {
            let _ = samba.wait();
        }
    }
}
