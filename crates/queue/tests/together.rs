//! Messages that are queued together: all of them, or none.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::mpsc;

use common::{Spool, commit, envelope, read_all};
use queue::{Beside, Envelope, NewMessage, Queue, QueueError, Ticket};

fn message(queue: &Queue, envelope: Envelope, octets: &[u8]) -> NewMessage {
    let mut body = queue.begin();
    octets.chunks(10_000).for_each(|piece| body.write(piece).unwrap());
    NewMessage { body, envelope }
}

fn commit_all(queue: &Queue, messages: Vec<NewMessage>, beside: Option<Beside>) -> Result<(), QueueError> {
    let (sender, receiver) = mpsc::channel();
    queue.commit_all(messages, beside.map(Box::new), move |answer| sender.send(answer).unwrap());
    receiver.recv().unwrap()
}

/// A message and the report on it.
fn both(queue: &Queue, id: &str, report: &str) -> Vec<NewMessage> {
    vec![
        message(queue, envelope(id, &["bob@one.test"]), b"text"),
        message(queue, envelope(report, &["sender@example.com"]), b"report"),
    ]
}

#[test]
fn messages_that_are_queued_together_are_all_due_also_after_a_restart() {
    let mut spool = Spool::new();
    let large = vec![b'x'; 3 << 20];
    let mut messages = both(&spool.queue, "A", "B");
    messages.push(message(&spool.queue, envelope("C", &["eve@two.test"]), &large));
    commit_all(&spool.queue, messages, None).unwrap();
    for restarted in [false, true] {
        if restarted {
            let recovery = spool.reopen();
            assert_eq!((recovery.messages, recovery.damaged.len()), (3, 0));
        }
        let mut due: Vec<String> =
            spool.queue.due(1, 10).unwrap().iter().map(|delivery| delivery.queue_id.clone()).collect();
        due.sort();
        assert_eq!(due, ["A", "B", "C"], "restarted: {restarted}");
        assert_eq!(read_all(&spool.queue, "B").unwrap(), b"report");
        assert_eq!(read_all(&spool.queue, "C").unwrap(), large);
    }
}

#[test]
fn where_one_of_them_cannot_be_queued_none_is() {
    let mut spool = Spool::new();
    commit(&spool.queue, envelope("B", &["eve@two.test"]), b"first").unwrap();
    let answer = commit_all(&spool.queue, both(&spool.queue, "A", "B"), None);
    assert_eq!(answer, Err(QueueError::DuplicateId { queue_id: "B".to_owned() }));
    let mut unfit = both(&spool.queue, "C", "D");
    unfit[1].envelope.recipients.clear();
    assert!(matches!(commit_all(&spool.queue, unfit, None), Err(QueueError::Envelope { .. })));
    assert_eq!(spool.queue.counts().unwrap().messages, 1);
    assert_eq!(spool.reopen().messages, 1);
    assert_eq!(read_all(&spool.queue, "B").unwrap(), b"first");
}

#[test]
fn a_key_that_counts_already_keeps_all_of_them_out() {
    let spool = Spool::new();
    let ticket = Ticket {
        owner: String::new(),
        key: Some(b"key".to_vec()),
        keys_since: 0,
        fingerprint: Vec::new(),
        answer: String::new(),
        recipients: vec!["bob@one.test".to_owned()],
    };
    let beside = Beside { time: 5, ticket: Some(ticket), events: Vec::new() };
    commit_all(&spool.queue, both(&spool.queue, "A", "B"), Some(beside.clone())).unwrap();
    let again = commit_all(&spool.queue, both(&spool.queue, "C", "D"), Some(beside));
    assert_eq!(again, Err(QueueError::DuplicateKey));
    assert_eq!(spool.queue.counts().unwrap().messages, 2);
    assert_eq!(spool.queue.ticket_of_key(b"key", 0).unwrap().unwrap().queue_id, "A");
    assert_eq!(spool.queue.ticket("B").unwrap(), None);
}

#[test]
fn the_report_of_being_late_commits_with_the_note_of_it() {
    let mut spool = Spool::new();
    commit(&spool.queue, envelope("A", &["bob@one.test"]), b"text").unwrap();
    assert_eq!(spool.queue.late(2_000_000, 10).unwrap(), ["A"]);
    let report = |id| message(&spool.queue, Envelope { sender: None, ..envelope(id, &["s@example.com"]) }, b"late");
    let taken = spool.queue.warned("A", vec![report("B"), report("A")]).wait();
    assert!(matches!(taken, Err(QueueError::DuplicateId { .. })), "{taken:?}");
    assert_eq!(spool.queue.late(2_000_000, 10).unwrap(), ["A"], "nobody was told");
    spool.queue.warned("A", vec![report("B")]).wait().unwrap();
    spool.reopen();
    assert!(spool.queue.late(2_000_000, 10).unwrap().is_empty());
    assert_eq!(read_all(&spool.queue, "B").unwrap(), b"late");
}

#[test]
fn a_message_that_is_gone_is_not_reported_late() {
    let spool = Spool::new();
    let report = message(&spool.queue, envelope("B", &["s@example.com"]), b"late");
    let answer = spool.queue.warned("A", vec![report]).wait();
    assert!(matches!(answer, Err(QueueError::UnknownMessage { .. })), "{answer:?}");
    assert_eq!(spool.queue.counts().unwrap().messages, 0);
}
