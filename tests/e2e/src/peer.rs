//! Programs of others that a test needs.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::server::PATIENCE;

/// A program of others that runs until this is dropped.
#[derive(Debug)]
pub struct Peer(Child);

impl Peer {
    /// Starts it, and waits until it listens on this port of the loopback interface.
    #[track_caller]
    pub fn start(command: &mut Command, port: u16) -> Peer {
        let mut peer = Peer(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(peer.0.try_wait().unwrap().is_none(), "it ended: {command:?}");
            assert!(begin.elapsed() < PATIENCE, "it does not listen: {command:?}");
            thread::sleep(Duration::from_millis(10));
        }
        peer
    }
}

impl From<Child> for Peer {
    fn from(child: Child) -> Peer {
        Peer(child)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Asks a program to end (SIGTERM), so that its own children end with it, and waits for that.
pub(crate) fn end(child: &mut Child) {
    // Of one that was waited for the id may be another's by now.
    if matches!(child.try_wait(), Ok(None)) {
        signal(child.id(), Signal::TERM);
        let _ = child.wait();
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Where a program stands, if it is installed; a path stands for itself.
fn find(program: &str) -> Option<std::path::PathBuf> {
    if program.starts_with('/') {
        return Some(program.into()).filter(|path: &std::path::PathBuf| path.exists());
    }
    let path = std::env::var_os("PATH")?;
    let sbin = [Path::new("/usr/sbin").to_owned(), Path::new("/sbin").to_owned()];
    std::env::split_paths(&path).chain(sbin).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// True where all programs are installed. Otherwise the test has nothing to run: it says so, and with `CI=true` it fails.
#[must_use]
pub fn require(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs.iter().filter(|program| find(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    skip_without(&format!("{missing:?}"));
    false
}

/// Says that a test is passed over for want of something; with `CI=true` that is a failure.
pub fn skip_without(what: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{what} is needed here; ./test installs it");
    eprintln!("passed over: {what} is not here; ./test installs it");
}

/// The preload of libfaketime, which sets the clock of a program; none where it is not installed, as with [`require`].
#[must_use]
pub fn faketime() -> Option<PathBuf> {
    let below = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];
    let found = below.iter().map(|folder| Path::new(folder).join("faketime/libfaketimeMT.so.1")).find(|f| f.is_file());
    if found.is_none() {
        skip_without("faketime");
    }
    found
}
