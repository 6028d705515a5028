//! A Postfix of a test's own: own configuration, own queue, nothing of the machine's.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::mailboxes;
use crate::outcome::Message;
use crate::peer::signal;
use crate::server::{PATIENCE, finish};

/// `nobody`, who owns the mailboxes.
const NOBODY: u32 = 65534;

/// What every such Postfix is told. Mail for `partner.test` lies in Maildir folders, one for each local part.
const MAIN: &str = "\
compatibility_level = 3.6
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
queue_directory = {folder}/spool
data_directory = {folder}/data
maillog_file_prefixes = {folder}
maillog_file = {folder}/log
mail_owner = postfix
setgid_group = postdrop
alias_maps =
alias_database =
inet_interfaces = all
inet_protocols = ipv4
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
mydestination =
virtual_mailbox_domains = partner.test
virtual_mailbox_maps = regexp:{ {/^(.*)@/ $1/} }
virtual_mailbox_base = {folder}/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
in_flow_delay = 0s
";

const MASTER: &str = "\
smtp      inet       n - n - -  smtpd
pickup    unix       n - n 60 1 pickup
cleanup   unix       n - n - 0  cleanup
qmgr      unix       n - n 300 1 qmgr
tlsmgr    unix       - - n 1000? 1 tlsmgr
rewrite   unix       - - n - -  trivial-rewrite
bounce    unix       - - n - 0  bounce
defer     unix       - - n - 0  bounce
trace     unix       - - n - 0  bounce
verify    unix       - - n - 1  verify
flush     unix       n - n 1000? 0 flush
proxymap  unix       - - n - -  proxymap
smtp      unix       - - n - -  smtp
relay     unix       - - n - -  smtp
error     unix       - - n - -  error
retry     unix       - - n - -  error
discard   unix       - - n - -  discard
local     unix       - n n - -  local
virtual   unix       - n n - -  virtual
anvil     unix       - - n - 1  anvil
scache    unix       - - n - 1  scache
postlog   unix-dgram n - n - 1  postlogd
";

/// A running Postfix. It answers on port 25 of the host that it was started at.
#[derive(Debug)]
pub struct Postfix {
    shell: Child,
    folder: TempDir,
}

impl Postfix {
    /// What has to be installed for it.
    pub const PROGRAMS: [&'static str; 2] = ["postfix", "postconf"];

    /// Starts it where this thread is, with these lines in its `main.cf`. Where they speak of files, those must be readable
    /// for root only.
    #[track_caller]
    pub fn start(settings: &str) -> Postfix {
        let folder = tempfile::Builder::new().prefix("procura-postfix-").tempdir().unwrap();
        // Its programs run as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["etc", "spool", "data", "mail"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let owner = owner();
        chown(folder.path().join("data"), Some(owner), None).unwrap();
        chown(folder.path().join("mail"), Some(NOBODY), Some(NOBODY)).unwrap();
        let main = MAIN.replace("{folder}", folder.path().to_str().unwrap());
        fs::write(folder.path().join("etc/main.cf"), main + settings).unwrap();
        fs::write(folder.path().join("etc/master.cf"), MASTER).unwrap();
        let shell = Command::new("postfix")
            .arg("-c")
            .arg(folder.path().join("etc"))
            .arg("start-fg")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("start.err")).unwrap())
            .spawn()
            .unwrap();
        let mut postfix = Postfix { shell, folder };
        postfix.wait_for_log("daemon started");
        postfix
    }

    /// Gives it a message by its `sendmail`.
    #[track_caller]
    pub fn sendmail(&self, from: &str, to: &str, message: &str) {
        let mut command = Command::new("/usr/sbin/sendmail");
        command.arg("-C").arg(self.folder.path().join("etc")).args(["-f", from, to]);
        finish(&mut command, message).ok();
    }

    /// Waits until its log has this text; all of the log.
    #[track_caller]
    pub fn wait_for_log(&mut self, text: &str) -> String {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            let ended = self.shell.try_wait().unwrap();
            assert!(ended.is_none(), "postfix ended: {}{}", self.read("start.err"), self.log());
            thread::sleep(Duration::from_millis(20));
        }
        panic!("postfix did not log {text:?}:\n{}{}", self.read("start.err"), self.log());
    }

    /// Waits for the message with this subject in any of its mailboxes.
    #[track_caller]
    pub fn delivered(&self, subject: &str) -> Message {
        mailboxes::delivered(&self.mailboxes(), subject)
    }

    /// The messages with this subject that lie in its mailboxes now.
    pub fn delivered_now(&self, subject: &str) -> Vec<Message> {
        mailboxes::delivered_now(&self.mailboxes(), subject)
    }

    fn mailboxes(&self) -> PathBuf {
        self.folder.path().join("mail")
    }

    fn log(&self) -> String {
        self.read("log")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // What was started is a shell that waits for the master, in a process group of its own, and does not tell it to end.
        // The master takes its children with it.
        if matches!(self.shell.try_wait(), Ok(None)) {
            let master = self.read("spool/pid/master.pid").trim().parse();
            signal(master.unwrap_or(self.shell.id()), rustix::process::Signal::TERM);
            let _ = self.shell.wait();
        }
    }
}

/// The user that Postfix runs as: the owner of its data folder.
#[track_caller]
fn owner() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(Path::new("/var/lib/postfix")).unwrap().uid()
}
