//! The administration socket: one JSON document per line each way, answered for the user at the other end.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::error::{AdminError, Fault, FaultKind};
use crate::operations::{Call, MAX_LINE, Reply, Response};
use crate::sheet::Taker;

/// Commands at the same time; a further one is told to wait.
const MAX_CONNECTIONS: usize = 32;
/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(600);
/// The kernel's limit for the path of a socket is 108 bytes with the final NUL.
const MAX_PATH: usize = 100;

/// Answers a call for the user at the other end.
pub trait Answer: Send + Sync + 'static {
    /// Answers `call` of the user `uid`; a report that is asked for as text goes to `take` before.
    ///
    /// # Errors
    /// What `take` returned.
    fn answer(&self, uid: u32, call: Call, take: &mut Taker<'_>) -> io::Result<Reply>;
}

/// A listening administration socket; it closes when dropped.
#[derive(Debug)]
pub struct SocketServer {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl SocketServer {
    /// Listens at `path`, replacing what a killed server left there. Call it only as the owner of the data directory.
    ///
    /// `everybody`: users other than root and the owner may connect too (who they are decides what they may do).
    pub fn start(path: &Path, everybody: bool, service: Arc<dyn Answer>) -> io::Result<SocketServer> {
        remove_dead(path)?;
        let listener = with_short_path(path, |short| UnixListener::bind(short))?;
        fs::set_permissions(path, fs::Permissions::from_mode(if everybody { 0o666 } else { 0o600 }))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("admin".into())
            .stack_size(256 << 10)
            .spawn(move || accept(&listener, &stopped, &service))?;
        Ok(SocketServer { path: path.to_owned(), stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let woken = with_short_path(&self.path, |short| UnixStream::connect(short)).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the socket of a server that is gone; anything else at the path stays, and is an error.
fn remove_dead(path: &Path) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there"));
    }
    if with_short_path(path, |short| UnixStream::connect(short)).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server listens there"));
    }
    fs::remove_file(path)
}

fn accept(listener: &UnixListener, stop: &AtomicBool, service: &Arc<dyn Answer>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            return;
        }
        let Ok(mut stream) = stream else {
            // Out of descriptors, or the like: it passes.
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        if open.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::AcqRel);
            let busy = Fault::new(FaultKind::Unavailable, "too many commands at the same time");
            let _ = write_line(&mut stream, &Reply::Err(busy.help("try again in a moment")));
            continue;
        }
        let (service, counter) = (Arc::clone(service), Arc::clone(&open));
        let spawned = thread::Builder::new().name("admin call".into()).stack_size(2 << 20).spawn(move || {
            if let Err(e) = converse(stream, service.as_ref()) {
                tracing::debug!(error = %e, "administration connection ended");
            }
            counter.fetch_sub(1, Ordering::AcqRel);
        });
        if spawned.is_err() {
            open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn converse(mut stream: UnixStream, service: &dyn Answer) -> io::Result<()> {
    let uid = rustix::net::sockopt::socket_peercred(&stream)?.uid.as_raw();
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let reply = match read_line(&mut reader, &mut line)? {
            Line::End => return Ok(()),
            Line::TooLong => {
                let fault = Fault::new(FaultKind::Invalid, format!("a request is longer than {MAX_LINE} bytes"));
                return write_line(&mut stream, &Reply::Err(fault));
            }
            Line::Complete => match serde_json::from_slice::<Call>(&line) {
                Ok(call) => service.answer(uid, call, &mut |text, rows| part(&mut stream, text, rows))?,
                Err(e) => Reply::Err(
                    Fault::new(FaultKind::Invalid, format!("the request is not understood: {e}"))
                        .help("use the same version of procura for the command and the server"),
                ),
            },
        };
        write_line(&mut stream, &reply)?;
    }
}

enum Line {
    Complete,
    TooLong,
    End,
}

fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    let read = reader.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', line)?;
    Ok(match line.last() {
        _ if read == 0 => Line::End,
        Some(b'\n') => Line::Complete,
        _ if read > MAX_LINE => Line::TooLong,
        _ => Line::End,
    })
}

fn write_line(stream: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let mut text = serde_json::to_vec(reply)?;
    if text.len() >= MAX_LINE {
        let fault = Fault::new(FaultKind::Invalid, "the answer is too long").help("ask for less at once");
        text = serde_json::to_vec(&Reply::Err(fault))?;
    }
    text.push(b'\n');
    stream.write_all(&text)
}

/// One part of a text, with its line before it.
fn part(stream: &mut UnixStream, text: &[u8], rows: u64) -> io::Result<()> {
    // A huge row makes a huge part; the line takes the number of octets of any.
    for piece in text.chunks(u32::MAX as usize) {
        let octets = piece.len() as u32;
        let mut line = serde_json::to_vec(&Reply::Part { octets, rows })?;
        line.push(b'\n');
        stream.write_all(&line)?;
        stream.write_all(piece)?;
    }
    Ok(())
}

/// The other end: a command that talks to a running server.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the socket of a running server.
    pub fn connect(path: &Path) -> io::Result<Client> {
        let stream = with_short_path(path, |short| UnixStream::connect(short))?;
        Ok(Client { reader: BufReader::new(stream) })
    }

    /// Asks, and waits for the answer.
    pub fn call(&mut self, call: &Call) -> Result<Response, AdminError> {
        self.write(call, &mut |_, _| Ok(()))
    }

    /// Asks for a report as text, hands it to `take` as it comes, and waits for the answer.
    pub fn write(&mut self, call: &Call, take: &mut Taker<'_>) -> Result<Response, AdminError> {
        let mut text = serde_json::to_vec(call).map_err(io::Error::from)?;
        if text.len() >= MAX_LINE {
            return Err(Fault::new(FaultKind::Invalid, "the request is too long").into());
        }
        text.push(b'\n');
        self.reader.get_mut().write_all(&text)?;
        let (mut line, mut text) = (Vec::new(), Vec::new());
        loop {
            line.clear();
            match read_line(&mut self.reader, &mut line)? {
                Line::Complete => {}
                Line::End | Line::TooLong => return Err(closed().into()),
            }
            match serde_json::from_slice(&line).map_err(io::Error::from)? {
                Reply::Ok(response) => return Ok(*response),
                Reply::Err(fault) => return Err(fault.into()),
                Reply::Part { octets, rows } => {
                    text.resize(octets as usize, 0);
                    self.reader.read_exact(&mut text)?;
                    take(&text, rows).map_err(AdminError::Output)?;
                }
            }
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")
}

/// Gives `act` a path that fits into a socket address: through the descriptor of the directory where it is too long.
fn with_short_path<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= MAX_PATH {
        return act(path);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return act(path) };
    let directory = fs::File::open(directory)?;
    act(&Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::{Done, PROTOCOL, Request, TextFormat};

    struct Uid;
    impl Answer for Uid {
        fn answer(&self, uid: u32, call: Call, take: &mut Taker<'_>) -> io::Result<Reply> {
            if call.text.is_some() {
                take(b"a part\n", 1)?;
                take(&[b'x'; 3 << 20], 2)?;
            }
            Ok(Reply::Ok(Box::new(Response::Done(Done { summary: uid.to_string(), ..Done::default() }))))
        }
    }

    fn status() -> Call {
        Call { protocol: PROTOCOL, comment: String::new(), text: None, request: Request::Status }
    }

    #[test]
    fn a_call_is_answered_for_the_uid_of_the_peer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let _server = SocketServer::start(&path, false, Arc::new(Uid)).unwrap();
        let Response::Done(done) = Client::connect(&path).unwrap().call(&status()).unwrap() else { panic!() };
        assert_eq!(done.summary, rustix::process::getuid().as_raw().to_string());
    }

    #[test]
    fn the_parts_of_a_text_come_whole_and_before_the_reply() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let _server = SocketServer::start(&path, false, Arc::new(Uid)).unwrap();
        let mut client = Client::connect(&path).unwrap();
        let (mut text, mut counted) = (Vec::new(), 0);
        let mut take = |part: &[u8], rows: u64| {
            text.extend_from_slice(part);
            counted = rows;
            Ok(())
        };
        let call = Call { text: Some(TextFormat::Csv), ..status() };
        let Response::Done(_) = client.write(&call, &mut take).unwrap() else { panic!() };
        assert_eq!((text.len(), counted), (7 + (3 << 20), 2));
        client.call(&status()).unwrap();
    }

    #[test]
    fn a_socket_may_stand_in_a_directory_with_a_very_long_path() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(200));
        fs::create_dir(&long).unwrap();
        let path = long.join("admin.sock");
        let _server = SocketServer::start(&path, false, Arc::new(Uid)).unwrap();
        Client::connect(&path).unwrap().call(&status()).unwrap();
    }

    #[test]
    fn nonsense_gets_a_fault_and_the_connection_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let _server = SocketServer::start(&path, false, Arc::new(Uid)).unwrap();
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"EHLO there\n").unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Reply::Err(fault) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        assert_eq!(fault.kind, FaultKind::Invalid);
        Client { reader }.call(&status()).unwrap();
    }

    #[test]
    fn a_dead_socket_is_replaced_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(UnixListener::bind(&path).unwrap());
        let server = SocketServer::start(&path, false, Arc::new(Uid)).unwrap();
        let second = SocketServer::start(&path, false, Arc::new(Uid));
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(server);
        fs::write(&path, "a letter").unwrap();
        assert!(SocketServer::start(&path, false, Arc::new(Uid)).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"a letter");
    }

    #[test]
    fn the_socket_is_gone_after_the_server() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(SocketServer::start(&path, false, Arc::new(Uid)).unwrap());
        assert!(!path.exists());
    }
}
