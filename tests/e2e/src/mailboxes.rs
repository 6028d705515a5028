//! What lies in the local mailboxes of a data directory.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::outcome::Message;
use crate::server::PATIENCE;

/// Waits for the message with this subject in any mailbox.
#[track_caller]
pub(crate) fn delivered(data: &Path, subject: &str) -> Message {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(message) = delivered_now(data, subject).into_iter().next() {
            return message;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("no message with the subject {subject:?} came below {}", data.display());
}

/// The messages with this subject that are there now.
pub(crate) fn delivered_now(data: &Path, subject: &str) -> Vec<Message> {
    let wanted = format!("Subject: {subject}");
    let has_it =
        |message: &Message| message.text.lines().take_while(|line| !line.is_empty()).any(|line| line == wanted);
    all(data).into_iter().filter(has_it).collect()
}

/// All messages that are there now.
pub(crate) fn all(data: &Path) -> Vec<Message> {
    let mut found = Vec::new();
    visit(data, &mut |file| found.extend(fs::read(file).ok().map(|bytes| Message::parse(&bytes))));
    found
}

/// Calls `each` with every file of every Maildir folder `new` below `folder`. Links are not followed.
fn visit(folder: &Path, each: &mut dyn FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        if kind.is_dir() {
            visit(&path, each);
        } else if kind.is_file() && folder.ends_with("new") {
            each(&path);
        }
    }
}
