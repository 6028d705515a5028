//! The binary under test.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::peer;

/// Longest wait for anything that must happen. Generous: a loaded machine is no failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary `procura` with fail points (`queue/failpoints`), where the variable `PROCURA_FAILPOINT` names one; none where
/// it is not built, as with [`crate::require`].
#[must_use]
pub fn procura_with_fail_points() -> Option<PathBuf> {
    let binary = beside_tests("procura-failpoints");
    if !binary.is_file() {
        peer::skip_without("procura-failpoints, built with fail points,");
        return None;
    }
    Some(binary)
}

/// target/PROFILE/deps/test-… -> target/PROFILE/NAME
fn beside_tests(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join(name)
}

/// The binary `procura`.
pub fn procura() -> PathBuf {
    if let Some(path) = std::env::var_os("PROCURA_BIN") {
        return path.into();
    }
    let binary = beside_tests("procura");
    assert!(binary.is_file(), "{} is not built: run `cargo build --bin procura`, or ./test", binary.display());
    binary
}

/// A TCP port that is free on the loopback, and that nobody else is given while this process runs: neither another test nor a
/// connection.
pub fn free_port() -> u16 {
    // Each claim is a socket of this name, gone with the process. Such names reach as far as ports do: one network namespace.
    static CLAIMS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    // Below these the kernel takes none by itself (ip_local_port_range).
    const PORTS: std::ops::Range<u64> = 10_000..32_768;
    let begin = RandomState::new().build_hasher().finish() % (PORTS.end - PORTS.start);
    for port in (PORTS.start + begin..PORTS.end).chain(PORTS.start..PORTS.start + begin) {
        let claim = UnixAddress::from_abstract_name(format!("procura-test-port-{port}")).unwrap();
        let Ok(claim) = UnixListener::bind_addr(&claim) else { continue };
        let port = port as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            CLAIMS.lock().unwrap().push(claim);
            return port;
        }
    }
    panic!("no TCP port of {PORTS:?} is free");
}

/// Waits until something that must happen has happened.
#[track_caller]
pub fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !happened() {
        // Twice as long: what is waited for is done by several, one after the other.
        assert!(begin.elapsed() < 2 * PATIENCE, "{what} did not happen");
        thread::sleep(Duration::from_millis(50));
    }
}

/// What a command printed and how it ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code; -1 after a signal.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Finished {
    /// The command must have succeeded; its output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.code == 0, "exit code {}\n{}{}", self.code, self.out, self.err);
        self.out
    }

    /// Output and errors together.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// Runs `procura` with these arguments to its end.
pub fn run_procura<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>, input: &str) -> Finished {
    finish(Command::new(procura()).args(arguments), input)
}

/// Runs a command to its end, with this on its standard input.
#[track_caller]
pub fn finish(command: &mut Command, input: &str) -> Finished {
    use std::io::Write;
    let shown = format!("{command:?}");
    let mut child = command
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{shown}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A command that does not read its input closes it; that is its own business.
    let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Finished {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running server. Dropping it asks it to stop, and ends it if it does not.
#[derive(Debug)]
pub struct Server {
    child: Child,
    output: Arc<Mutex<String>>,
    collectors: Vec<thread::JoinHandle<()>>,
}

impl Server {
    /// Starts `procura` with these arguments and waits until all `ports` greet with 220.
    #[track_caller]
    pub fn start(arguments: &[&str], ports: &[u16]) -> Server {
        let mut command = Command::new(procura());
        command.args(arguments);
        Server::start_command(command, ports)
    }

    /// The same for a command that becomes `procura`.
    #[track_caller]
    pub fn start_command(command: Command, ports: &[u16]) -> Server {
        let mut server = Server::spawn(command);
        for port in ports {
            server.wait_for_greeting(SocketAddr::from(([127, 0, 0, 1], *port)));
        }
        server
    }

    /// Starts a command that becomes `procura` and waits for nothing.
    pub fn spawn(mut command: Command) -> Server {
        let mut child = command
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let collectors = vec![
            collect(child.stdout.take().unwrap(), output.clone()),
            collect(child.stderr.take().unwrap(), output.clone()),
        ];
        Server { child, output, collectors }
    }

    /// Everything that it printed so far.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until it has printed `text`; everything that it printed so far, without colours.
    #[track_caller]
    pub fn wait_for_output(&self, text: &str) -> String {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let output = self.output();
            if output.contains(text) {
                return output;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the server did not print {text:?}:\n{}", self.output());
    }

    /// Whether it has ended by now.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGHUP.
    pub fn hang_up(&mut self) {
        self.signal(rustix::process::Signal::HUP);
    }

    /// Asks it to stop (SIGTERM) and waits for the end; the exit code, -1 after a signal.
    #[track_caller]
    pub fn stop(mut self) -> i32 {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// Ends it at once (SIGKILL), as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself; the exit code, -1 after a signal.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the server did not end:\n{}", self.output());
    }

    /// Waits until it ends by itself; all that it printed counts as errors.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let code = self.wait();
        for collector in self.collectors.drain(..) {
            collector.join().unwrap();
        }
        Finished { code, out: String::new(), err: self.output() }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        peer::signal(self.child.id(), signal);
    }

    #[track_caller]
    fn wait_for_greeting(&mut self, address: SocketAddr) {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if greets(address) {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status} before it answered on {address}:\n{}", self.output());
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("nobody answers on {address}:\n{}", self.output());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_some() {
            return;
        }
        self.signal(rustix::process::Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            if self.child.try_wait().ok().flatten().is_some() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn greets(address: SocketAddr) -> bool {
    let Ok(stream) = TcpStream::connect(address) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("220")
}

fn collect(from: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut text = into.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    })
}
