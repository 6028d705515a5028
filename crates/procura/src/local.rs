//! `[local]`: mail of programs on this machine, through a socket (`procura sendmail`). Who somebody is is said by the kernel
//! (SO_PEERCRED) and the configuration; what may be sent as whom is decided as for mail that comes by SMTP.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use message::Address;
use serde::{Deserialize, Serialize};
use transport::LocalUsers;
use transport::submission::{Envelope, Refusal, Submissions};

use crate::cli::fault::Failure;

/// Programs that are served at the same time; the others are to come again.
const AT_ONCE: usize = 64;
/// A program that says nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(300);
/// The longest first line.
const LONGEST: u64 = 4 << 20;
const PIECE: usize = 64 * 1024;

/// The first line that a program says; after it comes the message, up to the end of what it writes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Begin {
    /// Envelope sender; empty: the null one; none: the account's own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Recipients.
    pub to: Vec<String>,
}

/// The only line that is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The message is on stable storage, under this id.
    Accepted(String),
    /// It is refused, with this reply of SMTP.
    Refused(String),
    /// It cannot be taken now.
    Later(String),
    /// Who asks has no account here.
    Unknown(String),
}

/// The socket at work. Dropped, it takes nobody any more.
pub struct LocalSocket(PathBuf);

impl LocalSocket {
    /// Listens at `path`; everybody may connect, and whoever has an account in `accounts` may submit.
    pub fn start(path: &Path, accounts: LocalUsers, submissions: Arc<Submissions>) -> Result<LocalSocket, Failure> {
        let failed = |e: io::Error| Failure::new(format!("{}: {e}", path.display())).help("check [local] socket");
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(failed)?;
        }
        // A socket that nobody listens on is left over from a process that was killed.
        if UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(failed)?;
        let open = Arc::new(AtomicUsize::new(0));
        let run = move || {
            for stream in listener.incoming() {
                let stream = match stream {
                    Ok(stream) => stream,
                    Err(error) => {
                        tracing::error!(%error, "the local socket takes nobody");
                        thread::sleep(Duration::from_secs(1));
                        continue;
                    }
                };
                if open.fetch_add(1, Ordering::Relaxed) >= AT_ONCE {
                    open.fetch_sub(1, Ordering::Relaxed);
                    answer(&stream, &End::Later("too many programs submit mail at the same time".to_owned()));
                    continue;
                }
                let (accounts, submissions, open) = (accounts.clone(), Arc::clone(&submissions), Arc::clone(&open));
                let serve = move || {
                    let end = serve(&stream, &accounts, &submissions);
                    answer(&stream, &end);
                    open.fetch_sub(1, Ordering::Relaxed);
                };
                if thread::Builder::new().name("local".into()).spawn(serve).is_err() {
                    tracing::error!("no thread can be started for a program of this machine");
                }
            }
        };
        thread::Builder::new().name("local-socket".into()).spawn(run).map_err(failed)?;
        tracing::info!(path = %path.display(), "programs of this machine may submit mail");
        Ok(LocalSocket(path.to_owned()))
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // Whoever connects from now on is told that nobody listens.
        let _ = fs::remove_file(&self.0);
    }
}

fn answer(mut stream: &UnixStream, end: &End) {
    let Ok(mut line) = serde_json::to_vec(end) else { return };
    line.push(b'\n');
    // The program may be gone.
    let _ = stream.write_all(&line);
}

fn serve(stream: &UnixStream, accounts: &LocalUsers, submissions: &Arc<Submissions>) -> End {
    let broken = |error: io::Error| End::Later(error.to_string());
    let peer = match rustix::net::sockopt::socket_peercred(stream) {
        Ok(peer) => peer.uid.as_raw(),
        Err(error) => return broken(error.into()),
    };
    if let Err(error) = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
    {
        return broken(error);
    }
    let Some(name) = accounts.account(peer) else {
        tracing::info!(uid = peer, "a user of this machine without an account tried to submit mail");
        return End::Unknown(format!("user {peer} of this machine has no account under [local] accounts"));
    };
    let mut reader = BufReader::with_capacity(PIECE, stream);
    let mut line = String::new();
    if let Err(error) = (&mut reader).take(LONGEST).read_line(&mut line) {
        return broken(error);
    }
    let Ok(begin) = serde_json::from_str::<Begin>(&line) else {
        return End::Refused("554 5.5.2 That is no envelope".to_owned());
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return broken(error),
    };
    match runtime.block_on(submit(submissions, &name, begin, reader)) {
        Ok(id) => End::Accepted(id),
        Err(end) => end,
    }
}

async fn submit(
    submissions: &Arc<Submissions>,
    name: &str,
    begin: Begin,
    mut reader: impl BufRead,
) -> Result<String, End> {
    let snapshot = submissions.shared().snapshot();
    let Some(account) = snapshot.resolve_login(name) else {
        return Err(End::Unknown(format!("{name}, named under [local] accounts, is no account of the directory")));
    };
    let address = |text: &str| Address::parse(text).map_err(|e| End::Refused(format!("553 5.1.3 {text}: {e}")));
    let sender = match begin.from.as_deref() {
        Some("" | "<>") => None,
        Some(from) => Some(address(from)?),
        None => {
            let own = snapshot.object(account).and_then(|object| object.primary_address());
            Some(own.ok_or_else(|| End::Refused(format!("550 5.1.8 {name} has no address of its own")))?)
        }
    };
    let recipients = begin.to.iter().map(|to| address(to)).collect::<Result<Vec<_>, _>>()?;
    let envelope = Envelope { sender, recipients, smtputf8: false, size: None, partial: false };
    let mut logon = submissions.log_on_locally(account).map_err(refused)?;
    logon.open(&envelope).await.map_err(refused)?;
    loop {
        let piece = reader.fill_buf().map_err(|error| End::Later(error.to_string()))?;
        if piece.is_empty() {
            break;
        }
        let length = piece.len();
        logon.write(piece).map_err(refused)?;
        reader.consume(length);
    }
    logon.finish(None, &[]).await.map(|accepted| accepted.id).map_err(refused)
}

fn refused(refusal: Refusal) -> End {
    match refusal {
        Refusal::Refused(refused) => {
            let mut wire = Vec::new();
            refused.reply.write_to(&mut wire);
            let text = String::from_utf8_lossy(&wire).trim_end().replace("\r\n", " / ");
            if refused.reply.is_transient() { End::Later(text) } else { End::Refused(text) }
        }
        Refusal::Logon | Refusal::Unauthorized => {
            End::Refused("535 5.7.8 The account may not submit mail on the connector of [local]".to_owned())
        }
        Refusal::TooMany(seconds) => End::Later(format!("too many messages; try again in {seconds} seconds")),
        Refusal::Unavailable(why) => End::Later(why),
        Refusal::Range => End::Refused("550 5.7.1 The connector of [local] does not take this machine".to_owned()),
        Refusal::Duplicate => End::Later("the same message is on its way".to_owned()),
    }
}
