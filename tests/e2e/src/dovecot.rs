//! A Dovecot of a test's own: an LMTP server with mailboxes for alice and for bob, whose mailbox is full.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::mailboxes;
use crate::outcome::Message;
use crate::peer::{end, skip_without};
use crate::server::PATIENCE;

const NOBODY: u32 = 65534;

const CONFIGURATION: &str = "\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = lmtp
ssl = no
first_valid_uid = 1
hostname = store.test
postmaster_address = postmaster@example.com
mail_location = maildir:{folder}/mail/%u
userdb {
  driver = passwd-file
  args = username_format=%Lu {folder}/users
}
passdb {
  driver = passwd-file
  args = username_format=%Lu {folder}/users
}
protocol lmtp {
  mail_plugins = quota
}
plugin {
  quota = maildir:User quota
}
service lmtp {
  unix_listener {folder}/lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = {port}
  }
}
";

/// A running Dovecot.
#[derive(Debug)]
pub struct Dovecot {
    master: Child,
    folder: TempDir,
    port: u16,
}

impl Dovecot {
    /// Whether it is here, and may be started.
    #[must_use]
    pub fn possible() -> bool {
        if !std::path::Path::new("/usr/lib/dovecot/lmtp").is_file() {
            skip_without("dovecot with LMTP");
            return false;
        }
        if !rustix::process::geteuid().is_root() {
            skip_without("root, to start Dovecot");
            return false;
        }
        true
    }

    /// Starts it, on this port besides its socket.
    #[track_caller]
    pub fn start(port: u16) -> Dovecot {
        let folder = tempfile::Builder::new().prefix("procura-dovecot-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["mail", "home"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            chown(folder.path().join(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let shown = folder.path().to_str().unwrap();
        let user =
            |name: &str, more: &str| format!("{name}@example.com::{NOBODY}:{NOBODY}::{shown}/home/{name}::{more}\n");
        let users = user("alice", "") + &user("bob", "userdb_quota_rule=*:bytes=10");
        fs::write(folder.path().join("users"), users).unwrap();
        let configuration = CONFIGURATION.replace("{folder}", shown).replace("{port}", &port.to_string());
        fs::write(folder.path().join("dovecot.conf"), configuration).unwrap();
        let master = Dovecot::spawn(&folder);
        let mut dovecot = Dovecot { master, folder, port };
        dovecot.wait_until_it_listens();
        dovecot
    }

    /// Stops it.
    pub fn stop(&mut self) {
        end(&mut self.master);
    }

    /// Starts it again.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.master = Dovecot::spawn(&self.folder);
        self.wait_until_it_listens();
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("lmtp")
    }

    /// Waits for the message with this subject in any of its mailboxes.
    #[track_caller]
    pub fn delivered(&self, subject: &str) -> Message {
        mailboxes::delivered(&self.folder.path().join("mail"), subject)
    }

    /// The messages with this subject that lie in its mailboxes now.
    pub fn delivered_now(&self, subject: &str) -> Vec<Message> {
        mailboxes::delivered_now(&self.folder.path().join("mail"), subject)
    }

    fn spawn(folder: &TempDir) -> Child {
        Command::new("dovecot")
            .arg("-F")
            .arg("-c")
            .arg(folder.path().join("dovecot.conf"))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("start.err")).unwrap())
            .spawn()
            .unwrap()
    }

    #[track_caller]
    fn wait_until_it_listens(&mut self) {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            let read = |name: &str| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
            let ended = self.master.try_wait().unwrap();
            assert!(ended.is_none(), "dovecot ended: {}{}", read("start.err"), read("log"));
            thread::sleep(Duration::from_millis(20));
        }
        panic!("dovecot does not listen");
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        self.stop();
    }
}
