//! The real binary, and a demo of its own for each test.

#![allow(dead_code, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use tempfile::TempDir;

/// What a command printed and how it ended.
pub struct Finished {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Finished {
    /// It must have succeeded; its output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.code == 0, "exit code {}\n{}{}", self.code, self.out, self.err);
        self.out
    }

    /// It must have failed with this code, say all of these words, and not panic.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        let missing: Vec<_> = words.iter().filter(|word| !self.err.contains(**word)).collect();
        assert!(missing.is_empty(), "{missing:?} not in: {}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }

    /// The output as JSON.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

/// A command of the binary under test.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_procura"));
    command.env("NO_COLOR", "1").env_remove("PROCURA_DATA").env_remove("PROCURA_CONFIG").env_remove("NOTIFY_SOCKET");
    command
}

/// Runs it to its end.
pub fn finish(command: &mut Command, input: &str) -> Finished {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Finished {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `procura` with these arguments.
pub fn procura(arguments: &[&str]) -> Finished {
    finish(command().args(arguments), "")
}

/// Runs `procura` with these arguments on a data directory.
pub fn on(data: &Path, arguments: &[&str], input: &str) -> Finished {
    finish(command().arg("--data").arg(data).args(arguments), input)
}

/// An organization with these users: their names, and what `user add` is told of them.
pub fn organization(users: &[&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    procura(&["init", data.to_str().unwrap(), "--domain", "example.com", "--hostname", "mail.example.com"]).ok();
    for user in users {
        let arguments: Vec<&str> = ["user", "add"].into_iter().chain(user.split(' ')).collect();
        on(&data, &arguments, "").ok();
    }
    (folder, data)
}

/// An address of this machine that is free, and that nobody else is given while this process runs.
pub fn free() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, e2e::free_port()).into()
}

/// A server that runs until it is stopped or dropped.
pub struct Server {
    child: Child,
    said: String,
    errors: Arc<Mutex<String>>,
}

impl Server {
    /// Starts `serve` and waits for its line `ready`.
    #[track_caller]
    pub fn start(command: &mut Command) -> Server {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = Arc::new(Mutex::new(String::new()));
        let (mut stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&errors));
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        while !said.ends_with("ready\n") {
            if out.read_line(&mut said).unwrap() == 0 {
                let _ = child.wait();
                reader.join().unwrap();
                panic!("the server ended:\n{said}{}", errors.lock().unwrap());
            }
        }
        Server { child, said, errors }
    }

    /// What it printed before it was ready.
    pub fn said(&self) -> &str {
        &self.said
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop (SIGTERM) and waits; its exit code.
    pub fn stop(mut self) -> i32 {
        self.terminate();
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// `serve --demo` in a directory of its own.
pub struct Demo {
    pub server: Option<Server>,
    pub client: SocketAddr,
    pub internet: SocketAddr,
    folder: TempDir,
}

impl Demo {
    #[track_caller]
    pub fn start() -> Demo {
        let folder = tempfile::tempdir().unwrap();
        let mut demo = Demo { server: None, client: free(), internet: free(), folder };
        demo.start_again();
        demo
    }

    #[track_caller]
    pub fn start_again(&mut self) {
        self.server = Some(Server::start(&mut self.command()));
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        let mut command = command();
        command.args(["serve", "--demo", "--data"]).arg(self.data());
        command.args(["--client-listen", &self.client.to_string()]);
        command.args(["--internet-listen", &self.internet.to_string()]);
        command
    }

    #[track_caller]
    pub fn stop(&mut self) -> i32 {
        self.server.take().unwrap().stop()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file of the test's own.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn run(&self, arguments: &[&str]) -> Finished {
        on(&self.data(), arguments, "")
    }

    pub fn run_with(&self, arguments: &[&str], input: &str) -> Finished {
        on(&self.data(), arguments, input)
    }
}
