//! A queue in a directory of its own.
#![allow(dead_code, clippy::unwrap_used)] // each test binary uses a part

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::mpsc;

use queue::{Envelope, Queue, QueueError, QueueOptions, Recipient, Recovery};

pub struct Spool {
    pub queue: Queue,
    pub dir: tempfile::TempDir,
    options: QueueOptions,
}

/// Small segments, so that tests see many of them.
pub fn options() -> QueueOptions {
    QueueOptions { segment_size: 1 << 20, min_free: 0, ..QueueOptions::default() }
}

impl Spool {
    pub fn new() -> Spool {
        Spool::with(options())
    }

    pub fn with(options: QueueOptions) -> Spool {
        let dir = tempfile::tempdir().unwrap();
        let (queue, _) = Queue::open(dir.path(), options.clone()).unwrap();
        Spool { queue, dir, options }
    }

    pub fn close(&mut self) {
        self.queue.close();
    }

    pub fn reopen(&mut self) -> Recovery {
        self.queue.close();
        let (queue, recovery) = Queue::open(self.dir.path(), self.options.clone()).unwrap();
        self.queue = queue;
        recovery
    }

    pub fn accept(&self, queue_id: &str, recipients: &[&str], body: &[u8]) -> Result<(), QueueError> {
        self.commit(envelope(queue_id, recipients), body)
    }

    pub fn commit(&self, envelope: Envelope, octets: &[u8]) -> Result<(), QueueError> {
        commit(&self.queue, envelope, octets)
    }

    pub fn segments(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.dir.path().join("segments")).unwrap();
        let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

/// Queues a message and waits until it is durable.
pub fn commit(queue: &Queue, envelope: Envelope, octets: &[u8]) -> Result<(), QueueError> {
    let mut body = queue.begin();
    for piece in octets.chunks(10_000) {
        body.write(piece)?;
    }
    let (sender, receiver) = mpsc::channel();
    queue.commit(body, envelope, move |answer| sender.send(answer).unwrap());
    receiver.recv().unwrap()
}

/// An envelope whose recipients go to their domains.
pub fn envelope(queue_id: &str, recipients: &[&str]) -> Envelope {
    Envelope {
        queue_id: queue_id.to_owned(),
        sender: Some("sender@example.com".to_owned()),
        recipients: recipients
            .iter()
            .map(|address| Recipient {
                address: (*address).to_owned(),
                destination: address.rsplit('@').next().unwrap().to_owned(),
                parameters: String::new(),
            })
            .collect(),
        received: 0,
        expires: 1_000_000,
        smtputf8: false,
        eight_bit: false,
        parameters: String::new(),
        hold: None,
        lane: None,
        audit: None,
    }
}

pub fn read_all(queue: &Queue, queue_id: &str) -> Result<Vec<u8>, QueueError> {
    let mut body = Vec::new();
    queue.read(queue_id)?.read_to_end(&mut body).expect("a sound body");
    Ok(body)
}

/// Octets of a file in the page cache; `None` where nobody can tell, which is a failure with `CI=true`.
pub fn in_page_cache(path: &std::path::Path) -> Option<u64> {
    let mut fincore = std::process::Command::new("fincore");
    match fincore.args(["--bytes", "--noheadings", "--output", "RES"]).arg(path).output() {
        Ok(answer) => Some(String::from_utf8(answer.stdout).unwrap().trim().parse().unwrap()),
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "fincore: {error}; ./test installs it");
            eprintln!("skipped: fincore is not installed");
            None
        }
    }
}
