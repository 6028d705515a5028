//! The demo organization, served from a temporary folder.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::mailboxes;
use crate::outcome::Message;
use crate::server::{Finished, Server, free_port, procura, run_procura};

/// `procura serve --demo` with its data in a temporary folder.
#[derive(Debug)]
pub struct Demo {
    server: Option<Server>,
    folder: TempDir,
    /// Port of the connector for clients: STARTTLS, then AUTH.
    pub client_port: u16,
    /// Port of the connector for the Internet: anonymous.
    pub internet_port: u16,
}

impl Demo {
    /// Starts it with empty data.
    #[track_caller]
    pub fn start() -> Demo {
        let mut demo = Demo::stopped();
        demo.start_again();
        demo
    }

    /// Starts it with empty data and a configuration of the node (`procura.toml` in the data directory).
    #[track_caller]
    pub fn start_with(configuration: &str) -> Demo {
        let mut demo = Demo::stopped();
        fs::DirBuilder::new().mode(0o700).create(demo.data()).unwrap();
        fs::write(demo.data().join("procura.toml"), configuration).unwrap();
        demo.start_again();
        demo
    }

    /// The same by another command, to which that of the server is given as its last arguments.
    #[track_caller]
    pub fn start_by(prefix: impl Fn(&Path) -> Vec<String>, configuration: &str) -> Demo {
        let mut demo = Demo::stopped();
        fs::DirBuilder::new().mode(0o700).create(demo.data()).unwrap();
        fs::write(demo.data().join("procura.toml"), configuration).unwrap();
        let prefix = prefix(&demo.data());
        let mut command = Command::new(&prefix[0]);
        command.args(&prefix[1..]).arg(procura()).args(demo.arguments());
        demo.server = Some(Server::start_command(command, &[demo.client_port, demo.internet_port]));
        demo
    }

    fn stopped() -> Demo {
        let folder = tempfile::Builder::new().prefix("procura-e2e-").tempdir().unwrap();
        Demo { server: None, folder, client_port: free_port(), internet_port: free_port() }
    }

    /// Starts the server on the data that is there. It must not be running.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the demo runs already");
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.server = Some(Server::start(&arguments, &[self.client_port, self.internet_port]));
    }

    /// The arguments of the server.
    pub fn arguments(&self) -> Vec<String> {
        let listen = |port: u16| format!("127.0.0.1:{port}");
        let (client, internet) = (listen(self.client_port), listen(self.internet_port));
        let data = self.data().display().to_string();
        let all = ["serve", "--demo", "--data", &data, "--client-listen", &client, "--internet-listen", &internet];
        all.map(str::to_owned).into()
    }

    /// Stops the server and keeps its data; the exit code.
    #[track_caller]
    pub fn stop(&mut self) -> i32 {
        self.server.take().unwrap().stop()
    }

    /// Ends the server as a crash would, and keeps its data.
    pub fn kill(&mut self) {
        self.server.take().unwrap().kill();
    }

    /// The running server.
    pub fn server(&mut self) -> &mut Server {
        self.server.as_mut().unwrap()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for a test's own files, removed with the demo.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command of `procura` on the demo's data.
    pub fn procura(&self, arguments: &[&str]) -> Finished {
        self.procura_with(arguments, "")
    }

    /// The same with something on standard input.
    pub fn procura_with(&self, arguments: &[&str], input: &str) -> Finished {
        let data = self.data();
        let mut all = arguments.to_vec();
        all.extend(["--data", data.to_str().unwrap()]);
        run_procura(all, input)
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

    /// All messages that lie in local mailboxes now.
    pub fn mailboxes(&self) -> Vec<Message> {
        mailboxes::all(&self.data())
    }
}
