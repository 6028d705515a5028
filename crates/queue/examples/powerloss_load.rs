//! The queue under load, for tests/powerloss: accepts, delivers to files, defers, bounces, and says so.
//!
//! `powerloss_load points` prints the fail points that the queue passes here. `powerloss_load DIR load SEED` works until
//! it is killed; a line on standard output is a promise:
//!
//! ```text
//! ACK id octets        the message is durable
//! DELIVER id           it is about to be renamed into DIR/out/new
//! OUTCOME id           what became of it is durable
//! ```
//!
//! What is called P… is queued together with a message called CP…: both or neither.
//!
//! `powerloss_load DIR verify` opens the queue after the failure and prints what is there, every body compared with
//! what was accepted: `QUEUED id`, `FILE id`; a fault goes to standard error and makes the status 1.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

use queue::{
    Delivery, Envelope, FAIL_POINTS, ListFilter, NewMessage, Outcome, Queue, QueueOptions, Recipient, fail_point,
};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SESSIONS: u64 = 12;
/// The sessions wait while so many messages are queued, so that segments drain.
const BACKLOG: u64 = 400;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["points"] => FAIL_POINTS.iter().filter(|name| !name.starts_with("relay.")).for_each(|name| println!("{name}")),
        [dir, "load", seed] => load(Path::new(dir), seed.parse()?)?,
        [dir, "verify"] => verify(Path::new(dir))?,
        _ => return Err("usage: powerloss_load points | DIR load SEED | DIR verify".into()),
    }
    Ok(())
}

/// Small segments and a short log: everything that happens once an hour in life happens many times a second.
fn options() -> QueueOptions {
    QueueOptions { segment_size: 1 << 20, wal_size: 256 << 10, min_free: 0, ..QueueOptions::default() }
}

fn load(dir: &Path, seed: u64) -> Fallible<()> {
    for name in ["out/tmp", "out/new"] {
        fs::create_dir_all(dir.join(name))?;
    }
    for name in ["out", "."] {
        File::open(dir.join(name))?.sync_all()?;
    }
    let (queue, _) = Queue::open(&dir.join("queue"), options())?;
    say("OPEN");
    std::thread::scope(|scope| {
        for session in 0..SESSIONS {
            let queue = &queue;
            scope.spawn(move || accept(queue, seed, session));
        }
        for worker in 0..2 {
            let queue = &queue;
            scope.spawn(move || {
                if let Err(error) = deliver(queue, dir, seed * 2 + worker) {
                    eprintln!("{error}");
                    std::process::exit(1);
                }
            });
        }
    });
    Ok(())
}

/// One session: a message, its acknowledgement, the next.
fn accept(queue: &Queue, seed: u64, session: u64) {
    let (sender, receiver) = mpsc::channel();
    let mut chance = Chance(seed * 1000 + session + 1);
    for number in 0.. {
        while number % 16 == 0 && queue.counts().is_ok_and(|counts| counts.messages > BACKLOG) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let octets = match chance.next() % 100 {
            0 => 1_300_000,
            1..=4 => 150_000,
            5..=9 => 0,
            _ => 200 + chance.next() as usize % 12_000,
        };
        let kind = match chance.next() % 10 {
            0 => "F",
            1..=2 => "P",
            _ => "M",
        };
        let id = format!("{kind}{seed:08}{session:04}{number:08}");
        let second = (kind == "P").then(|| (format!("C{id}"), 200 + chance.next() as usize % 5_000));
        let ids: Vec<(String, usize)> = [(id, octets)].into_iter().chain(second).collect();
        let written: Fallible<Vec<NewMessage>> =
            ids.iter().map(|(id, octets)| message(queue, id, *octets, &mut chance)).collect();
        let messages = written.unwrap_or_else(|error| {
            eprintln!("{ids:?}: {error}");
            std::process::exit(1);
        });
        if chance.next().is_multiple_of(50) {
            continue; // the client went away after its data
        }
        let sender = sender.clone();
        queue.commit_all(messages, None, move |answer| drop(sender.send(answer)));
        match receiver.recv() {
            Ok(Ok(())) => ids.iter().for_each(|(id, octets)| say(&format!("ACK {id} {}", text(id, *octets).len()))),
            other => {
                eprintln!("{ids:?}: {other:?}");
                std::process::exit(1);
            }
        }
    }
}

fn message(queue: &Queue, id: &str, octets: usize, chance: &mut Chance) -> Fallible<NewMessage> {
    let mut body = queue.begin();
    text(id, octets).chunks(8192).try_for_each(|piece| body.write(piece))?;
    Ok(NewMessage { body, envelope: envelope(id, chance) })
}

/// Delivers what is due: most of it, some of it later, and what is called F… fails with a bounce.
fn deliver(queue: &Queue, dir: &Path, seed: u64) -> Fallible<()> {
    let mut chance = Chance(seed + 77);
    loop {
        let due = queue.due(now(), 1 + chance.next() as usize % 20)?;
        let mut pending = Vec::new();
        for delivery in due {
            let id = delivery.queue_id.clone();
            let until = now() + 20 + chance.next() as i64 % 100;
            let (outcome, bounces) = if chance.next().is_multiple_of(5) {
                if chance.next().is_multiple_of(4) {
                    queue.destination_down(&delivery.destination, until, "no answer");
                }
                (Outcome::Deferred { until, reason: "later".to_owned() }, Vec::new())
            } else if id.starts_with('F') {
                (Outcome::Failed { reason: "no such mailbox".to_owned() }, vec![bounce(queue, &id, &mut chance)?])
            } else {
                queue.destination_up(&delivery.destination);
                to_file(queue, dir, &delivery)?;
                (Outcome::Delivered, Vec::new())
            };
            fail_point("delivery.before_outcome");
            let last = !matches!(outcome, Outcome::Deferred { .. });
            let outcomes = delivery.recipients.iter().map(|one| (one.index, outcome.clone())).collect();
            pending.push((id, last, queue.outcome(delivery, outcomes, bounces)));
        }
        for (id, last, pending) in pending {
            pending.wait()?;
            if last {
                say(&format!("OUTCOME {id}"));
            }
        }
        std::thread::yield_now();
    }
}

fn bounce(queue: &Queue, id: &str, chance: &mut Chance) -> Fallible<NewMessage> {
    message(queue, &format!("B{id}"), 900, chance)
}

/// As a Maildir is written: temporary file, sync, rename, sync of the directory.
fn to_file(queue: &Queue, dir: &Path, delivery: &Delivery) -> Fallible<()> {
    let id = &delivery.queue_id;
    let mut body = queue.read(id)?;
    let temporary = dir.join("out/tmp").join(id);
    fail_point("delivery.before_write");
    let mut file = File::create(&temporary)?;
    loop {
        let block = body.next_block()?;
        if block.is_empty() {
            break;
        }
        file.write_all(block)?;
    }
    fail_point("delivery.after_write");
    file.sync_all()?;
    say(&format!("DELIVER {id}"));
    fail_point("delivery.before_rename");
    fs::rename(&temporary, dir.join("out/new").join(id))?;
    fail_point("delivery.after_rename");
    File::open(dir.join("out/new"))?.sync_all()?;
    fail_point("delivery.after_directory_sync");
    Ok(())
}

fn verify(dir: &Path) -> Fallible<()> {
    let mut sound = true;
    let out = dir.join("out/new");
    let files: Vec<PathBuf> = match fs::read_dir(&out) {
        Ok(files) => files.map(|file| file.map(|file| file.path())).collect::<Result<_, _>>()?,
        Err(_) => Vec::new(),
    };
    for path in files {
        let id = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        sound &= compare(&id, "file", fs::read(&path).map_err(Into::into));
        say(&format!("FILE {id}"));
    }
    let (queue, recovery) = Queue::open(&dir.join("queue"), options())?;
    eprintln!("recovery: {recovery:?}");
    sound &= recovery.damaged.is_empty();
    let mut after = None;
    loop {
        let list = queue.list(&ListFilter { after: after.take(), ..ListFilter::default() })?;
        for message in &list {
            let id = &message.queue_id;
            let mut octets = Vec::new();
            let read = queue.read(id).map_err(Into::into);
            let read = read.and_then(|mut body| body.read_to_end(&mut octets).map_err(Into::into));
            sound &= compare(id, "queue", read.map(|_| octets));
            say(&format!("QUEUED {id}"));
        }
        match list.last() {
            Some(last) => after = Some(last.queue_id.clone()),
            None => break,
        }
    }
    let due = queue.due(i64::MAX, usize::MAX)?;
    let waiting: HashMap<&str, usize> = due.iter().map(|one| (one.queue_id.as_str(), one.recipients.len())).collect();
    if waiting.len() as u64 != recovery.messages {
        eprintln!("{} messages are queued, {} are due sometime", recovery.messages, waiting.len());
        sound = false;
    }
    drop(due);
    queue.close();
    if sound { Ok(()) } else { Err("something was damaged".into()) }
}

fn compare(id: &str, place: &str, octets: Fallible<Vec<u8>>) -> bool {
    match octets {
        Err(error) => {
            eprintln!("{place} {id}: {error}");
            false
        }
        Ok(octets) if octets == text(id, promised(&octets)) => true,
        Ok(octets) => {
            eprintln!("{place} {id}: {} octets that are not what was accepted", octets.len());
            false
        }
    }
}

/// The number in the first line of a text.
fn promised(octets: &[u8]) -> usize {
    let line = octets.split(|octet| *octet == b'\r').next().unwrap_or_default();
    let number = std::str::from_utf8(line).ok().and_then(|line| line.rsplit(' ').next()?.parse().ok());
    number.unwrap_or(0).min(1 << 30)
}

/// A text that only this id has, with its own length in it.
fn text(id: &str, octets: usize) -> Vec<u8> {
    let mut text = format!("{id} {octets:012}\r\n").into_bytes();
    let mut chance = Chance(id.bytes().fold(7, |sum: u64, octet| sum.wrapping_mul(31).wrapping_add(octet.into())));
    while text.len() < octets {
        text.extend_from_slice(&chance.next().to_le_bytes());
    }
    text
}

fn envelope(id: &str, chance: &mut Chance) -> Envelope {
    let recipients = 1 + chance.next() % 3;
    let destination = chance.next() % 40;
    Envelope {
        queue_id: id.to_owned(),
        sender: Some("sender@example.com".to_owned()),
        recipients: (0..recipients)
            .map(|number| Recipient {
                address: format!("user{number}@d{destination}.test"),
                destination: format!("d{destination}.test"),
                parameters: String::new(),
            })
            .collect(),
        received: now(),
        expires: i64::MAX - 1,
        smtputf8: false,
        eight_bit: false,
        parameters: String::new(),
        lane: None,
        hold: None,
        audit: chance.next().is_multiple_of(4).then(|| b"{}".to_vec()),
    }
}

/// One system call, so that a kill cannot tear the line.
fn say(line: &str) {
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as i64)
}

/// A small generator of numbers (xorshift64*).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }
}
