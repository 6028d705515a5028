//! A server as `procura init` makes it, on its usual ports: for networks of a test's own.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::mailboxes;
use crate::outcome::Message;
use crate::server::{Finished, Server, procura, run_procura};

/// A data directory, and the server on it while it runs.
#[derive(Debug)]
pub struct Node {
    server: Option<Server>,
    folder: TempDir,
}

impl Node {
    /// `procura init` with these arguments.
    #[track_caller]
    pub fn init(arguments: &[&str]) -> Node {
        let folder = tempfile::Builder::new().prefix("procura-node-").tempdir().unwrap();
        let node = Node { server: None, folder };
        let data = node.data();
        run_procura([&["init", data.to_str().unwrap()], arguments].concat(), "").ok();
        node
    }

    /// Puts lines below a table of `procura.toml`.
    #[track_caller]
    pub fn configure(&self, table: &str, lines: &str) {
        let file = self.data().join("procura.toml");
        let written = fs::read_to_string(&file).unwrap();
        let head = format!("[{table}]\n");
        assert!(written.contains(&head), "{table}");
        fs::write(&file, written.replacen(&head, &format!("{head}{lines}\n"), 1)).unwrap();
    }

    /// Starts the server where this thread is, and waits until it is ready.
    #[track_caller]
    pub fn serve(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        let mut command = std::process::Command::new(procura());
        command.arg("--data").arg(self.data()).arg("serve");
        let server = Server::spawn(command);
        server.wait_for_output("ready");
        self.server = Some(server);
    }

    /// The running server.
    #[track_caller]
    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Runs a command of `procura` on its data.
    pub fn procura(&self, arguments: &[&str]) -> Finished {
        self.procura_with(arguments, "")
    }

    /// The same with something on standard input.
    pub fn procura_with(&self, arguments: &[&str], input: &str) -> Finished {
        let data = self.data();
        run_procura([&["--data", data.to_str().unwrap()], arguments].concat(), input)
    }

    /// Adds an account with a mailbox and a password.
    #[track_caller]
    pub fn add_user(&self, name: &str, password: &str) {
        self.procura(&["user", "add", name, "--mailbox"]).ok();
        self.procura_with(&["password", "set", name, "--stdin"], &format!("{password}\n")).ok();
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for a test's own files, removed with the node.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for the message with this subject in any local mailbox.
    #[track_caller]
    pub fn delivered(&self, subject: &str) -> Message {
        mailboxes::delivered(&self.data(), subject)
    }

    /// The messages with this subject that lie in local mailboxes now.
    pub fn delivered_now(&self, subject: &str) -> Vec<Message> {
        mailboxes::delivered_now(&self.data(), subject)
    }
}
