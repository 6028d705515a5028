//! The protocol log of connectors: comma-separated values, one line for each event of a session, in the files that
//! administrators of Exchange know (F §3.12): `RECV….LOG` for receive connectors, `SEND….LOG` for send connectors.
//!
//! Events: `+` connect, `-` disconnect, `>` sent, `<` received, `*` information. Credentials are never among them. Sessions
//! do not wait for the disk: what a slow one cannot take is counted and said in the log, not queued without end.
//!
//! Each connector says whether its sessions are in it ([`ProtocolLogging`]); where it does not, the node does. No folder and
//! no file is made before there is a line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use acl::Guid;
use directory::{Config, ProtocolLogging, Time};
use jiff::Timestamp;

use crate::shared::{Shared, now};

/// Lines that may wait to be written.
const WAITING: usize = 16_384;
/// The longest value that is logged, in octets.
const LONGEST: usize = 4096;

/// Where the log goes and how much of it is kept.
#[derive(Debug, Clone)]
pub struct ProtocolLogOptions {
    /// The folder; made if it is not there.
    pub folder: PathBuf,
    /// A file that has grown beyond so many octets is followed by another.
    pub file_size: u64,
    /// Older files are removed.
    pub keep: Duration,
    /// The oldest files of a direction are removed while all together are larger.
    pub total_size: u64,
    /// Connectors that do not say otherwise are in the log.
    pub usual: bool,
}

/// The log. Dropped, it writes what waits and ends its threads.
#[derive(Debug)]
pub struct ProtocolLog {
    usual: bool,
    receive: Lines,
    send: Lines,
    sessions: AtomicU64,
}

/// Which way mail goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Receive,
    Send,
}

/// One session that may be in the log.
struct SessionLog {
    log: Arc<ProtocolLog>,
    direction: Direction,
    /// The connector wants it.
    on: bool,
    /// `connector-id`, ready to write.
    connector: String,
    id: u64,
    sequence: u64,
    local: String,
    remote: String,
}

/// A session in the log as far as its connector wants it there: what the connector says counts at once, in open sessions too.
pub(crate) struct ConnectorLog {
    log: SessionLog,
    shared: Arc<Shared>,
    /// `None`: it has none.
    connector: Option<Guid>,
    /// [`Shared::turn`] when the connector was looked at.
    turn: u64,
}

/// What a thread writes to the files of one direction.
#[derive(Debug)]
struct Lines {
    waiting: Option<SyncSender<(Time, String)>>,
    thread: Option<JoinHandle<()>>,
    lost: Arc<AtomicU64>,
}

impl ProtocolLog {
    /// Starts the log. Where connectors are in it by themselves, the folder must be writable.
    pub fn start(options: ProtocolLogOptions) -> io::Result<ProtocolLog> {
        // Numbers that no earlier run of the server gave.
        let sessions = AtomicU64::new((now().0.unsigned_abs() << 20) & (u64::MAX >> 1));
        let usual = options.usual;
        let receive = Lines::start(Direction::Receive, options.clone())?;
        let send = Lines::start(Direction::Send, options)?;
        Ok(ProtocolLog { usual, receive, send, sessions })
    }

    /// A new session of a connector of this host, or of something that has none.
    pub(crate) fn of_connector(
        self: &Arc<Self>,
        direction: Direction,
        (hostname, name, connector): (&str, &str, Option<Guid>),
        shared: &Arc<Shared>,
        (local, remote): (String, String),
    ) -> ConnectorLog {
        let host = hostname.split('.').next().unwrap_or_default().to_ascii_uppercase();
        let log = self.session(direction, &format!("{host}\\{name}"), (local, remote));
        let mut log = ConnectorLog { log, shared: Arc::clone(shared), connector, turn: 0 };
        log.look();
        log
    }

    /// A new session; `connector` is as in `MAIL\Default MAIL`.
    fn session(
        self: &Arc<Self>,
        direction: Direction,
        connector: &str,
        (local, remote): (String, String),
    ) -> SessionLog {
        let id = self.sessions.fetch_add(1, Ordering::Relaxed);
        let (log, connector) = (Arc::clone(self), quoted(connector));
        SessionLog { log, direction, on: self.usual, connector, id, sequence: 0, local, remote }
    }
}

impl Lines {
    fn start(direction: Direction, options: ProtocolLogOptions) -> io::Result<Lines> {
        let usual = options.usual;
        let mut writer = Writer { direction, options, file: None };
        if usual {
            writer.open(now())?;
        }
        let (lines, waiting) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let thread =
            std::thread::Builder::new().name("protocol-log".into()).spawn(move || writer.run(&waiting, &counted))?;
        Ok(Lines { waiting: Some(lines), thread: Some(thread), lost })
    }

    fn write(&self, time: Time, line: String) {
        let taken = self.waiting.as_ref().is_some_and(|lines| lines.try_send((time, line)).is_ok());
        if !taken {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.waiting = None;
        if let Some(thread) = self.thread.take() {
            // A panicked thread has nothing to tell that was not logged.
            let _ = thread.join();
        }
    }
}

impl ConnectorLog {
    /// Logs an event, if the connector wants it.
    pub(crate) fn event(&mut self, event: char, data: &str, context: &str) {
        if self.turn != self.shared.turn() {
            self.look();
        }
        self.log.event(event, data, context);
    }

    /// Whether the connector wanted it when it was looked at last.
    pub(crate) fn is_on(&self) -> bool {
        self.log.on
    }

    /// The connection was made from here.
    pub(crate) fn connected(&mut self, local: String) {
        self.log.local = local;
    }

    fn look(&mut self) {
        self.turn = self.shared.turn();
        let snapshot = self.shared.snapshot();
        let found = self.connector.and_then(|guid| snapshot.object(snapshot.by_guid(&guid)?)?.config());
        match found {
            Some(Config::ReceiveConnector(connector)) => self.log.follow(connector.logging),
            Some(Config::SendConnector(connector)) => self.log.follow(connector.logging),
            // Of one that was removed the end of its sessions is logged as the rest was.
            _ => {}
        }
    }
}

impl SessionLog {
    /// What the connector says from now on.
    fn follow(&mut self, level: ProtocolLogging) {
        self.on = match level {
            ProtocolLogging::Usual => self.log.usual,
            ProtocolLogging::None => false,
            ProtocolLogging::Verbose => true,
        };
    }

    /// Logs an event: `+`, `-`, `>`, `<` or `*`. Several lines become as many.
    fn event(&mut self, event: char, data: &str, context: &str) {
        if !self.on {
            return;
        }
        for data in data.split("\r\n") {
            let time = now();
            let line = format!(
                "{},{},{:016X},{},{},{},{event},{},{}\r\n",
                date_time(time),
                self.connector,
                self.id,
                self.sequence,
                self.local,
                quoted(&self.remote),
                quoted(data),
                quoted(context),
            );
            self.sequence += 1;
            let lines = match self.direction {
                Direction::Receive => &self.log.receive,
                Direction::Send => &self.log.send,
            };
            lines.write(time, line);
        }
    }
}

impl Direction {
    /// What the names of its files begin with.
    fn prefix(self) -> &'static str {
        match self {
            Direction::Receive => "RECV",
            Direction::Send => "SEND",
        }
    }

    /// What its files are called in themselves.
    fn log_type(self) -> &'static str {
        match self {
            Direction::Receive => "SMTP Receive Protocol Log",
            Direction::Send => "SMTP Send Protocol Log",
        }
    }
}

/// The thread's side.
struct Writer {
    direction: Direction,
    options: ProtocolLogOptions,
    file: Option<Current>,
}

struct Current {
    day: String,
    out: BufWriter<File>,
    size: u64,
}

impl Writer {
    fn run(mut self, lines: &Receiver<(Time, String)>, lost: &AtomicU64) {
        while let Ok((time, line)) = lines.recv() {
            let mut result = self.write(time, &line);
            // What else waits goes along before the disk is asked.
            while result.is_ok()
                && let Ok((time, line)) = lines.try_recv()
            {
                result = self.write(time, &line);
            }
            let result = result.and_then(|()| self.file.as_mut().map_or(Ok(()), |file| file.out.flush()));
            if let Err(error) = result {
                tracing::error!(folder = %self.options.folder.display(), %error, "the protocol log cannot be written");
                self.file = None;
            }
            match lost.swap(0, Ordering::Relaxed) {
                0 => {}
                lines => tracing::warn!(lines, "the protocol log could not keep up"),
            }
        }
    }

    fn write(&mut self, time: Time, line: &str) -> io::Result<()> {
        let size = self.options.file_size;
        let fits = |file: &&mut Current| file.day == day(time) && file.size < size;
        if self.file.as_mut().filter(fits).is_none() {
            self.open(time)?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        file.size += line.len() as u64;
        file.out.write_all(line.as_bytes())
    }

    /// Goes on in the newest file of the day, or begins another.
    fn open(&mut self, time: Time) -> io::Result<()> {
        if let Some(mut before) = self.file.take() {
            before.out.flush()?;
        }
        fs::create_dir_all(&self.options.folder)?;
        self.prune(time)?;
        let day = day(time);
        let mut number = 1;
        loop {
            let path = self.options.folder.join(format!("{}{day}-{number}.LOG", self.direction.prefix()));
            let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&path)?;
            let size = file.metadata()?.len();
            if size >= self.options.file_size {
                number += 1;
                continue;
            }
            let mut current = Current { day, out: BufWriter::new(file), size };
            if size == 0 {
                let header = header(self.direction, time);
                current.size = header.len() as u64;
                current.out.write_all(header.as_bytes())?;
            }
            self.file = Some(current);
            return Ok(());
        }
    }

    /// Removes files that are too old, and the oldest while there is too much.
    fn prune(&self, time: Time) -> io::Result<()> {
        let mut files: Vec<(String, PathBuf, u64)> = Vec::new();
        for entry in fs::read_dir(&self.options.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(order) = order(self.direction, &name) {
                files.push((order, entry.path(), entry.metadata()?.len()));
            }
        }
        files.sort();
        let keep = i64::try_from(self.options.keep.as_millis()).unwrap_or(i64::MAX);
        let oldest = day(Time(time.0.saturating_sub(keep)));
        let mut total: u64 = files.iter().map(|(_, _, size)| size).sum();
        for (order, path, size) in &files {
            if order.as_str() >= oldest.as_str() && total <= self.options.total_size {
                break;
            }
            remove(path)?;
            total -= size;
        }
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What sorts a file of ours among the others: its day, then its number. `None`: the file is none.
fn order(direction: Direction, name: &str) -> Option<String> {
    let (day, number) = name.strip_prefix(direction.prefix())?.strip_suffix(".LOG")?.split_once('-')?;
    let number: u32 = number.parse().ok()?;
    (day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("{day}-{number:010}"))
}

fn header(direction: Direction, time: Time) -> String {
    format!(
        "#Software: Procura\r\n#Version: {}\r\n#Log-type: {}\r\n#Date: {}\r\n#Fields: \
         date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n",
        env!("CARGO_PKG_VERSION"),
        direction.log_type(),
        date_time(time)
    )
}

/// `2026-11-22T02:33:24.123Z`.
fn date_time(time: Time) -> String {
    let timestamp = Timestamp::from_millisecond(time.0).unwrap_or_default();
    timestamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// `20261122`, in UTC.
fn day(time: Time) -> String {
    Timestamp::from_millisecond(time.0).unwrap_or_default().strftime("%Y%m%d").to_string()
}

/// A value of a line: quoted where it has to be, without control characters, not endless.
fn quoted(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let clean: String = text[..end].chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    match clean.contains([',', '"']) {
        true => format!("\"{}\"", clean.replace('"', "\"\"")),
        false => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3_600_000;
    /// 2026-01-01 12:00 UTC.
    const NOON: Time = Time(1_767_268_800_000);

    fn writer(folder: &Path, file_size: u64, total_size: u64) -> Writer {
        let keep = Duration::from_secs(2 * 24 * 3600);
        let options = ProtocolLogOptions { folder: folder.to_owned(), file_size, keep, total_size, usual: true };
        Writer { direction: Direction::Receive, options, file: None }
    }

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn write(writer: &mut Writer, time: Time, line: &str) {
        writer.write(time, line).unwrap();
        writer.file.as_mut().unwrap().out.flush().unwrap();
    }

    fn log(folder: &Path, usual: bool) -> Arc<ProtocolLog> {
        let options = ProtocolLogOptions {
            folder: folder.to_owned(),
            file_size: 1 << 20,
            keep: Duration::from_secs(86_400),
            total_size: 1 << 30,
            usual,
        };
        Arc::new(ProtocolLog::start(options).unwrap())
    }

    fn session(log: &Arc<ProtocolLog>, direction: Direction) -> SessionLog {
        let ends = ("192.0.2.25:25".to_owned(), "[2001:db8::1]:49152".to_owned());
        log.session(direction, "MAIL\\Default MAIL", ends)
    }

    #[test]
    fn a_connector_that_says_so_is_in_the_log_or_is_not() {
        use ProtocolLogging::{None, Usual, Verbose};
        for (usual, level, logged) in [(true, Usual, true), (true, None, false), (true, Verbose, true)]
            .into_iter()
            .chain([(false, Usual, false), (false, None, false), (false, Verbose, true)])
        {
            let folder = tempfile::tempdir().unwrap();
            let log = log(folder.path(), usual);
            let mut session = session(&log, Direction::Receive);
            session.follow(level);
            session.event('+', "", "");
            drop((session, log));
            let text: String =
                files(folder.path()).iter().map(|name| fs::read_to_string(folder.path().join(name)).unwrap()).collect();
            assert_eq!(text.contains(",+,"), logged, "{usual} {level:?}: {text}");
        }
    }

    #[test]
    fn nothing_is_made_on_disk_before_there_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, direction) = (folder.path().join("protocol"), Direction::Send);
        let log = log(&inner, false);
        session(&log, direction).event('+', "", "");
        drop(log);
        assert!(!inner.exists());
    }

    #[test]
    fn each_direction_has_files_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), true);
        session(&log, Direction::Send).event('>', "EHLO mail.example.com", "");
        drop(log);
        let names = files(folder.path());
        assert!(names.len() == 2 && names[0].starts_with("RECV") && names[1].starts_with("SEND"), "{names:?}");
        let text = fs::read_to_string(folder.path().join(&names[1])).unwrap();
        assert!(text.contains("#Log-type: SMTP Send Protocol Log\r\n"), "{text}");
        assert!(text.ends_with(",0,192.0.2.25:25,[2001:db8::1]:49152,>,EHLO mail.example.com,\r\n"), "{text}");
    }

    #[test]
    fn a_session_is_written_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), true);
        let mut session = session(&log, Direction::Receive);
        session.event('+', "", "");
        session.event('*', "SMTPSubmit SMTPAcceptAnySender", "Set Session Permissions");
        session.event('>', "250-mail.example.com Hello\r\n250 SIZE", "");
        session.event('<', "MAIL FROM:<a,\"b\"@c>", "");
        drop(session);
        drop(log);
        let name = files(folder.path()).remove(0);
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(
            lines[4],
            "#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"
        );
        let after_session = |line: &str| line.splitn(4, ',').nth(3).unwrap().to_owned();
        assert!(lines[5].contains("Z,MAIL\\Default MAIL,"), "{}", lines[5]);
        assert_eq!(after_session(lines[5]), "0,192.0.2.25:25,[2001:db8::1]:49152,+,,");
        let permissions = "SMTPSubmit SMTPAcceptAnySender,Set Session Permissions";
        assert_eq!(after_session(lines[6]), format!("1,192.0.2.25:25,[2001:db8::1]:49152,*,{permissions}"));
        assert!(lines[7].ends_with(",>,250-mail.example.com Hello,") && lines[8].ends_with(",>,250 SIZE,"));
        assert!(lines[9].ends_with(",<,\"MAIL FROM:<a,\"\"b\"\"@c>\","), "{}", lines[9]);
    }

    #[test]
    fn a_value_cannot_break_its_line() {
        assert_eq!(quoted("a\r\nb\0"), "a??b?");
        assert_eq!(quoted(&"é".repeat(LONGEST)).len(), LONGEST);
    }

    #[test]
    fn a_new_day_and_a_full_file_begin_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path(), 500, 1 << 20);
        let line = "x".repeat(200);
        for _ in 0..3 {
            write(&mut writer, NOON, &line);
        }
        write(&mut writer, Time(NOON.0 + DAY), &line);
        assert_eq!(files(folder.path()), ["RECV20260101-1.LOG", "RECV20260101-2.LOG", "RECV20260102-1.LOG"]);
    }

    #[test]
    fn a_restart_goes_on_in_the_file_of_the_day() {
        let folder = tempfile::tempdir().unwrap();
        write(&mut writer(folder.path(), 1 << 20, 1 << 20), NOON, "one\r\n");
        write(&mut writer(folder.path(), 1 << 20, 1 << 20), NOON, "two\r\n");
        let text = fs::read_to_string(folder.path().join("RECV20260101-1.LOG")).unwrap();
        assert!(text.ends_with("one\r\ntwo\r\n") && text.matches("#Fields").count() == 1, "{text}");
    }

    #[test]
    fn old_files_go_and_those_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["RECV20251229-1.LOG", "RECV20251230-1.LOG", "RECV20260101-1.LOG", "notes.txt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        write(&mut writer(folder.path(), 1 << 20, 1 << 20), NOON, "line");
        assert_eq!(files(folder.path()), ["RECV20251230-1.LOG", "RECV20260101-1.LOG", "notes.txt"]);
    }

    #[test]
    fn the_oldest_files_go_while_there_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["RECV20260101-9.LOG", "RECV20260101-10.LOG", "RECV20260101-11.LOG"] {
            fs::write(folder.path().join(name), "x".repeat(100)).unwrap();
        }
        writer(folder.path(), 100, 250).prune(NOON).unwrap();
        assert_eq!(files(folder.path()), ["RECV20260101-10.LOG", "RECV20260101-11.LOG"]);
    }
}
