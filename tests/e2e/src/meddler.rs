//! Somebody between a domain controller and those who ask it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::domain_controller::DomainController;
use crate::peer::Peer;
use crate::server::PATIENCE;

/// Passes on what a domain controller and those who ask it say, and spoils it when it is told to (`meddler.py` says how). It
/// ends when it is dropped.
#[derive(Debug)]
pub struct Meddler {
    _peer: Peer,
    folder: TempDir,
}

impl Meddler {
    /// Where it listens, on 127.0.0.1 of the domain controller's network namespace.
    pub const PORT: u16 = 1636;

    /// Stands before a domain controller, with its certificate, and passes everything on.
    #[track_caller]
    pub fn before(controller: &DomainController) -> Meddler {
        let folder = tempfile::Builder::new().prefix("procura-meddler-").tempdir().unwrap();
        let orders = folder.path().join("orders");
        fs::write(&orders, "pass").unwrap();
        let port = Meddler::PORT.to_string();
        let mut command = controller.beside("python3", &["-c", include_str!("meddler.py"), &port]);
        command.arg(controller.certificate()).arg(controller.certificate().with_file_name("key.pem")).arg(&orders);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "listening\n");
        Meddler { _peer: Peer::from(child), folder }
    }

    /// What it does from now on.
    #[track_caller]
    pub fn does(&self, what: &str) {
        // At once, so that nobody reads half of it.
        let new = self.path("new");
        fs::write(&new, what).unwrap();
        fs::rename(new, self.path("orders")).unwrap();
    }

    /// Waits until it holds a modification back (`hold`).
    #[track_caller]
    pub fn wait_until_held(&self) {
        let begin = Instant::now();
        while !self.path("orders.held").exists() {
            assert!(begin.elapsed() < PATIENCE, "nothing was to be modified");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
