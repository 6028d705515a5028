//! A forest of two domains, each with a Samba domain controller on a host of its own, and a third host for who asks them.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::domain_controller::{PASSWORD, certify, end_samba_in, set_up};
use crate::network::Network;
use crate::server::{PATIENCE, finish};

const SERVICES: &str = "ldap, cldap, kdc, rpc";
const OPTIONS: [&str; 3] = ["interfaces=eth0 lo", "bind interfaces only=yes", "vfs objects=dfs_samba4 acl_xattr"];

/// The domains `ad.example.test` (`ADTEST`, 0) on 192.0.2.1 and `child.ad.example.test` (`CHILD`, 1) on 192.0.2.2.
#[derive(Debug)]
pub struct Forest {
    samba: Vec<Option<Child>>,
    network: Network,
    folder: TempDir,
}

impl Forest {
    /// The distinguished names of the domains.
    pub const DOMAINS: [&'static str; 2] = ["DC=ad,DC=example,DC=test", "DC=child,DC=ad,DC=example,DC=test"];
    /// Names of the domain controllers.
    pub const HOSTS: [&'static str; 2] = ["dc1.ad.example.test", "dc2.child.ad.example.test"];
    /// An account of the same name and password in each domain, which may do everything there: one domain does not let those
    /// of the other log on, for there is no trust between them.
    pub const ACCOUNT: &'static str = "procura@forest.test";
    const SHORT: [&'static str; 2] = ["ADTEST", "CHILD"];

    /// Provisions the first domain, then the second in its forest; `prepare` fills them. Then each holds a copy of the other, so
    /// that groups of one may have members of the other; `link` does that.
    #[track_caller]
    pub fn start(prepare: impl FnOnce(&Forest), link: impl FnOnce(&Forest)) -> Forest {
        let folder = tempfile::Builder::new().prefix("procura-forest-").tempdir().unwrap();
        let mut forest = Forest { samba: vec![None, None], network: Network::of(3), folder };
        forest.names();
        let data = forest.data(0);
        let mut provision = forest.command(0, "samba-tool");
        provision.args(["domain", "provision", "--realm=AD.EXAMPLE.TEST", "--domain=ADTEST", "--server-role=dc"]);
        provision.args(["--dns-backend=SAMBA_INTERNAL", "--host-name=dc1", "--host-ip=192.0.2.1"]);
        provision.args([format!("--targetdir={}", data.display()), format!("--adminpass={PASSWORD}")]);
        finish(provision.args(OPTIONS.map(|option| format!("--option={option}"))), "").ok();
        forest.set_up(0);
        forest.serve(0);
        let mut join = forest.command(1, "/usr/bin/python3");
        join.args(["-c", include_str!("forest_join.py")]).args([data, forest.data(1)]);
        join.args([Self::HOSTS[0], "ad.example.test", "ADTEST", "child.ad.example.test", "CHILD", "DC2", PASSWORD]);
        finish(join.arg("netbios name=DC2").args(OPTIONS), "").ok();
        forest.set_up(1);
        forest.serve(1);
        prepare(&forest);
        forest.copy(0, 1);
        forest.copy(1, 0);
        link(&forest);
        // The catalog of the first knows that, too.
        forest.copy(1, 0);
        for which in [0, 1] {
            forest.python(which, &add_account());
        }
        forest
    }

    /// A file for the certificates of both.
    #[track_caller]
    pub fn certificates(&self) -> PathBuf {
        let both = [0, 1].map(|which| fs::read_to_string(self.data(which).join("cert.pem")).unwrap());
        fs::write(self.path("roots.pem"), both.concat()).unwrap();
        self.path("roots.pem")
    }

    /// Runs a Python program with `db`, the database of one of them opened with all rights, and `base`, its domain's DN.
    #[track_caller]
    pub fn python(&self, which: usize, program: &str) -> String {
        let head = format!(
            "from samba.param import LoadParm\nfrom samba.samdb import SamDB\nfrom samba.auth import system_session\n\
             from samba.ndr import ndr_pack, ndr_unpack\nfrom samba.dcerpc import security\n\
             lp = LoadParm()\nlp.load('{}')\ndb = SamDB(url='{}', session_info=system_session(), lp=lp)\nbase = '{}'\n",
            self.data(which).join("etc/smb.conf").display(),
            self.data(which).join("private/sam.ldb").display(),
            Self::DOMAINS[which]
        );
        finish(self.command(which, "/usr/bin/python3").arg("-"), &(head + program)).ok()
    }

    /// One of them gets what there is of the other's domain now.
    #[track_caller]
    pub fn copy(&self, from: usize, to: usize) {
        let mut command = self.command(to, "/usr/bin/python3");
        command.args(["-c", include_str!("forest_copy.py")]).arg(self.data(to));
        finish(command.args([Self::HOSTS[from], Self::SHORT[from], Self::DOMAINS[from], PASSWORD]), "").ok();
    }

    /// One of them can be reached, or is cut off.
    #[track_caller]
    pub fn connect(&self, which: usize, connected: bool) {
        self.network.connect(which, connected);
    }

    /// A command on the third host.
    pub fn beside(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(2, program);
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

    fn names(&self) {
        let hosts: Vec<String> =
            (0..2).map(|which| format!("{} {}\n", Network::address(which), Self::HOSTS[which])).collect();
        fs::write(self.path("hosts"), format!("127.0.0.1 localhost\n{}", hosts.concat())).unwrap();
        fs::write(self.path("resolv.conf"), "search ad.example.test\nnameserver 192.0.2.1\n").unwrap();
        let krb5 = "[libdefaults]\ndefault_realm = AD.EXAMPLE.TEST\ndns_lookup_kdc = false\ndns_lookup_realm = false\n\
             [realms]\nAD.EXAMPLE.TEST = {\n kdc = 192.0.2.1\n}\nCHILD.AD.EXAMPLE.TEST = {\n kdc = 192.0.2.2\n}\n";
        fs::write(self.path("krb5.conf"), krb5).unwrap();
    }

    /// A command on a host, with names that lead to both domain controllers.
    fn command(&self, host: usize, program: &str) -> Command {
        let mounts =
            "mount --bind \"$0/hosts\" /etc/hosts && mount --bind \"$0/resolv.conf\" /etc/resolv.conf && exec \"$@\"";
        let mut command = self.network.command(host, "unshare");
        command.args(["--mount", "sh", "-c", mounts]).arg(self.folder.path()).arg(program);
        command.env("KRB5_CONFIG", self.path("krb5.conf"));
        command
    }

    #[track_caller]
    fn set_up(&self, which: usize) {
        let data = self.data(which);
        certify(&data, &format!("DNS:{},IP:{}", Self::HOSTS[which], Network::address(which)));
        set_up(&data, SERVICES);
    }

    #[track_caller]
    fn serve(&mut self, which: usize) {
        let log = self.path(&format!("samba{which}.err"));
        let mut command = self.command(which, "samba");
        command.arg("-s").arg(self.data(which).join("etc/smb.conf")).args(["-F", "--no-process-group", "-d1"]);
        let errors = fs::File::create(&log).unwrap();
        self.samba[which] = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().unwrap());
        let begin = Instant::now();
        let address = format!("ldap://{}", Network::address(which));
        loop {
            let mut ask = self.command(which, "ldapsearch");
            ask.args(["-x", "-H", &address, "-s", "base", "-b", "", "defaultNamingContext"]);
            if finish(&mut ask, "").code == 0 {
                return;
            }
            let log = || fs::read_to_string(&log).unwrap_or_default();
            assert!(begin.elapsed() < PATIENCE, "the domain controller does not answer: {}", log());
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Forest {
    fn drop(&mut self) {
        for which in 0..self.samba.len() {
            end_samba_in(self.network.holder(which));
        }
        for samba in self.samba.iter_mut().flatten() {
            let _ = samba.wait();
        }
    }
}

fn add_account() -> String {
    format!(
        "db.newuser('procura', '{PASSWORD}')\n\
         db.modify_ldif('dn: CN=procura,CN=Users,%s\\nchangetype: modify\\nreplace: userPrincipalName\\n\
         userPrincipalName: {}\\n' % base)\n\
         db.modify_ldif('dn: CN=Domain Admins,CN=Users,%s\\nchangetype: modify\\nadd: member\\n\
         member: CN=procura,CN=Users,%s\\n' % (base, base))\n",
        Forest::ACCOUNT
    )
}
