//! An Exim of a test's own: own configuration, own queue, nothing of the machine's. Its package cannot stand beside that of
//! Postfix, so `./test` unpacks it below `target/peers`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::mailboxes;
use crate::outcome::Message;
use crate::peer::{end, skip_without};
use crate::server::{PATIENCE, finish};

/// `nobody`, as whom it runs and who owns the mailboxes.
const NOBODY: u32 = 65534;

const CONFIGURATION: &str = "\
primary_hostname = mail.partner.test
exim_path = {exim}
exim_user = nobody
exim_group = nogroup
never_users =
keep_environment =
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/exim.pid
deliver_drop_privilege = true
local_interfaces = 0.0.0.0
daemon_smtp_ports = 25
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = taken
begin acl
taken:
  accept
begin routers
mailboxes:
  driver = accept
  domains = partner.test
  transport = maildir
out:
  driver = manualroute
  domains = !partner.test
  route_list = * {relay}
  transport = smtp
begin transports
maildir:
  driver = appendfile
  directory = {folder}/mail
  maildir_format
smtp:
  driver = smtp
begin retry
* * F,1h,2s
";

/// A running Exim. It answers on port 25 of the host that it was started at; mail for `partner.test` lies in one Maildir,
/// other mail goes to the relay.
#[derive(Debug)]
pub struct Exim {
    daemon: Child,
    folder: TempDir,
}

impl Exim {
    /// Whether it is here, and may be started (it wants another user's entry in `/etc/passwd`, which it alone is shown).
    #[must_use]
    pub fn possible() -> bool {
        if !program().is_file() {
            skip_without("exim4");
            return false;
        }
        if !rustix::process::geteuid().is_root() {
            skip_without("root, to start Exim");
            return false;
        }
        true
    }

    /// Starts it where this thread is; what is not for `partner.test` goes to this host.
    #[track_caller]
    pub fn start(relay: &str) -> Exim {
        let folder = tempfile::Builder::new().prefix("procura-exim-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["spool", "log", "mail"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            chown(folder.path().join(name), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let file = |name: &str| folder.path().join(name).display().to_string();
        let configuration = CONFIGURATION
            .replace("{exim}", &program().display().to_string())
            .replace("{folder}", folder.path().to_str().unwrap())
            .replace("{relay}", relay);
        fs::write(file("configure"), configuration).unwrap();
        // Debian's Exim looks up its own user before it reads anything.
        for (name, line) in [
            ("passwd", "Debian-exim:x:65533:65533::/nonexistent:/usr/sbin/nologin\n"),
            ("group", "Debian-exim:x:65533:\n"),
        ] {
            fs::write(file(name), fs::read_to_string(Path::new("/etc").join(name)).unwrap() + line).unwrap();
        }
        let script = "mount --bind \"$1/passwd\" /etc/passwd && mount --bind \"$1/group\" /etc/group && \
                      exec \"$2\" -C \"$1/configure\" -bdf -q2s";
        let daemon = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(folder.path())
            .arg(program())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(file("start.err")).unwrap())
            .spawn()
            .unwrap();
        let mut exim = Exim { daemon, folder };
        exim.wait_for_log("daemon started");
        exim
    }

    /// Waits until its log has this text; all of the log.
    #[track_caller]
    pub fn wait_for_log(&mut self, text: &str) -> String {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let log = self.read("log/mainlog");
            if log.contains(text) {
                return log;
            }
            let ended = self.daemon.try_wait().unwrap();
            assert!(ended.is_none(), "exim ended: {}{log}", self.read("start.err"));
            thread::sleep(Duration::from_millis(20));
        }
        panic!("exim did not log {text:?}:\n{}{}", self.read("start.err"), self.read("log/mainlog"));
    }

    /// Waits for the message with this subject in its mailbox.
    #[track_caller]
    pub fn delivered(&self, subject: &str) -> Message {
        mailboxes::delivered(&self.folder.path().join("mail"), subject)
    }

    /// Gives it a message by its command line.
    #[track_caller]
    pub fn sendmail(&self, from: &str, to: &str, message: &str) {
        let script = "mount --bind \"$1/passwd\" /etc/passwd && mount --bind \"$1/group\" /etc/group && \
                      exec \"$2\" -C \"$1/configure\" -f \"$3\" \"$4\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(self.folder.path()).arg(program()).args([from, to]);
        finish(&mut command, message).ok();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        end(&mut self.daemon);
    }
}

/// Where `./test` put it, or where the package does.
fn program() -> PathBuf {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/exim4/usr/sbin/exim4");
    match unpacked.canonicalize() {
        Ok(program) => program,
        Err(_) => PathBuf::from("/usr/sbin/exim4"),
    }
}
