//! Rights on folders, enforced by Dovecot through the lists that `procura folder-permission export` writes into Maildirs.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use e2e::{Node, Peer, free_port, skip_without};
use tempfile::TempDir;

const NOBODY: u32 = 65534;

const CONFIGURATION: &str = "\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:~
mail_plugins = acl
protocol imap {
  mail_plugins = acl imap_acl
}
plugin {
  acl = vfile
}
namespace inbox {
  inbox = yes
  separator = /
}
namespace shared {
  type = shared
  separator = /
  prefix = shared/%%u/
  location = maildir:%%h
  subscriptions = no
  list = children
}
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = passwd-file
  args = username_format=%Lu {folder}/users
}
service imap-login {
  inet_listener imap {
    address = 127.0.0.1
    port = {port}
  }
}
";

/// The mailbox of ann, whose calendar bob may read and the group Sales, with carla in it, may edit; dora may nothing,
/// and all others, as erin, may put something in. The lists are written, and Dovecot runs.
struct Site {
    _dovecot: Peer,
    _node: Node,
    _folder: TempDir,
    port: u16,
}

impl Site {
    #[track_caller]
    fn start() -> Option<Site> {
        if !Path::new("/usr/lib/dovecot/imap").is_file() {
            skip_without("dovecot with IMAP");
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            skip_without("root, to start Dovecot");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("procura-dovecot-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let node = Node::init(&["--domain", "example.com", "--hostname", "mail.example.com"]);
        for who in ["ann", "bob", "carla", "dora", "erin"] {
            node.procura(&["user", "add", who, "--mailbox"]).ok();
        }
        node.procura(&["group", "add", "Sales", "--member", "carla"]).ok();
        for (who, rights) in [("bob", "Reviewer"), ("Sales", "Editor"), ("dora", "None"), ("Default", "Contributor")] {
            let set = ["folder-permission", "set", "ann@example.com:\\Calendar", "--user", who, "--rights", rights];
            node.procura(&set).ok();
        }
        let mail = folder.path().join("mail");
        let rows = node.procura(&["mailbox", "list", "--format", "json"]).ok();
        let rows: serde_json::Value = serde_json::from_str(&rows).unwrap();
        let mut users = String::new();
        for row in rows["rows"].as_array().unwrap() {
            let who = row["owner"].as_str().unwrap().rsplit('\\').next().unwrap().to_owned();
            let home = mail.join(row["guid"].as_str().unwrap());
            let groups = if who == "carla" { "userdb_acl_groups=Sales" } else { "" };
            users += &format!("{who}@example.com::{NOBODY}:{NOBODY}::{}::{groups}\n", home.display());
            maildir(&home);
            if who == "ann" {
                maildir(&home.join(".Calendar"));
                maildir(&home.join(".Notes"));
                let message = home.join(".Calendar/cur/1.one:2,S");
                fs::write(&message, "From: ann@example.com\nSubject: one\n\nhello\n").unwrap();
                chown(&message, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        fs::write(folder.path().join("users"), users).unwrap();
        node.procura(&["folder-permission", "export", "--dovecot", "--into", mail.to_str().unwrap()]).ok();
        let port = free_port();
        let shown = folder.path().to_str().unwrap();
        let configuration = CONFIGURATION.replace("{folder}", shown).replace("{port}", &port.to_string());
        let file = folder.path().join("dovecot.conf");
        fs::write(&file, configuration).unwrap();
        let mut command = Command::new("dovecot");
        command.arg("-F").arg("-c").arg(&file).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stderr(Stdio::null());
        Some(Site { _dovecot: Peer::start(&mut command, port), _node: node, _folder: folder, port })
    }

    #[track_caller]
    fn log_on(&self, who: &str) -> Imap {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut imap = Imap(BufReader::new(stream));
        imap.line();
        let said = imap.ask(&format!("LOGIN {who}@example.com x"));
        assert!(said.contains("\na OK"), "{said}");
        imap
    }
}

/// A folder of mail that belongs to whom Dovecot runs as.
fn maildir(at: &Path) {
    for name in ["", "cur", "new", "tmp"] {
        let folder: PathBuf = at.join(name);
        fs::create_dir_all(&folder).unwrap();
        chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let above = at.parent().unwrap();
    chown(above, Some(NOBODY), Some(NOBODY)).unwrap();
}

/// A session.
struct Imap(BufReader<TcpStream>);

impl Imap {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// A command, and all that is answered, each line with a line feed before it.
    fn ask(&mut self, command: &str) -> String {
        self.0.get_mut().write_all(format!("a {command}\r\n").as_bytes()).unwrap();
        let mut said = String::new();
        loop {
            let line = self.line();
            let last = line.starts_with("a ") || line.is_empty();
            said += &format!("\n{line}");
            if last {
                return said;
            }
        }
    }

    /// The letters of a folder; none where it is not seen.
    fn rights(&mut self, folder: &str) -> String {
        let said = self.ask(&format!("MYRIGHTS \"{folder}\""));
        let line = said.lines().find(|line| line.starts_with("* MYRIGHTS"));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
    }
}

const CALENDAR: &str = "shared/ann@example.com/Calendar";

#[test]
fn dovecot_grants_each_account_what_its_entry_its_group_or_default_has() {
    let Some(site) = Site::start() else { return };
    // RFC 4314: d stands for t and e together, c for k and x.
    for (who, letters) in [("bob", "lr"), ("carla", "lrwstiped"), ("dora", ""), ("erin", "lip")] {
        assert_eq!(site.log_on(who).rights(CALENDAR), letters, "{who}");
    }
    assert_eq!(site.log_on("ann").rights("Calendar"), "lrwstipekxcd");
}

#[test]
fn a_folder_without_entries_is_seen_by_nobody_but_the_owner() {
    let Some(site) = Site::start() else { return };
    assert_eq!(site.log_on("carla").rights("shared/ann@example.com/Notes"), "");
    assert_eq!(site.log_on("ann").rights("Notes"), "lrwstipekxcd");
}

#[test]
fn a_reviewer_reads_and_changes_nothing() {
    let Some(site) = Site::start() else { return };
    let mut bob = site.log_on("bob");
    assert!(bob.ask(&format!("SELECT \"{CALENDAR}\"")).contains("[READ-ONLY]"));
    assert!(bob.ask("FETCH 1 BODY[TEXT]").contains("hello"));
    bob.ask("STORE 1 +FLAGS (\\Flagged \\Deleted)");
    assert!(!bob.ask("EXPUNGE").contains("* 1 EXPUNGE"));
    let mut ann = site.log_on("ann");
    ann.ask("SELECT Calendar");
    let flags = ann.ask("FETCH 1 FLAGS");
    assert!(flags.contains("FLAGS (\\Seen"), "{flags}");
    assert!(!flags.contains("Flagged") && !flags.contains("Deleted"), "{flags}");
}

#[test]
fn an_editor_through_a_group_deletes() {
    let Some(site) = Site::start() else { return };
    let mut carla = site.log_on("carla");
    assert!(carla.ask(&format!("SELECT \"{CALENDAR}\"")).contains("[READ-WRITE]"));
    carla.ask("STORE 1 +FLAGS (\\Deleted)");
    assert!(carla.ask("EXPUNGE").contains("* 1 EXPUNGE"));
}

#[test]
fn a_contributor_does_not_read() {
    let Some(site) = Site::start() else { return };
    assert!(site.log_on("erin").ask(&format!("SELECT \"{CALENDAR}\"")).contains("a NO"));
}

#[test]
fn nobody_changes_a_list_behind_the_back_of_procura() {
    let Some(site) = Site::start() else { return };
    assert!(site.log_on("ann").ask("SETACL Calendar dora@example.com lr").contains("a NO [NOPERM]"));
    assert!(site.log_on("carla").ask(&format!("SETACL \"{CALENDAR}\" dora@example.com lr")).contains("a NO [NOPERM]"));
}
