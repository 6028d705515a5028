//! Messages that are held: counted by key, released with another head, set aside, removed; and lanes.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Spool, envelope, read_all};
use queue::{Envelope, Hold, ListFilter, NewMessage, Outcome, Queue, QueueError, Resolution};

const KEY: &str = "pause:a:b";

fn hold(key: &str) -> Option<Hold> {
    Some(Hold { key: key.to_owned(), reason: "no right".to_owned() })
}

/// Queues a held message whose head ends after `head` octets.
fn held(spool: &Spool, queue_id: &str, key: &str, head: &[u8], rest: &[u8]) {
    let mut body = spool.queue.begin();
    body.write(head).unwrap();
    body.boundary();
    body.write(rest).unwrap();
    let envelope = Envelope { hold: hold(key), ..envelope(queue_id, &["bob@example.com"]) };
    let (sender, receiver) = std::sync::mpsc::channel();
    spool.queue.commit(body, envelope, move |answer| sender.send(answer).unwrap());
    receiver.recv().unwrap().unwrap();
}

fn release(queue: &Queue, head: &[u8], replaces: usize) -> Resolution {
    let mut writer = queue.begin();
    writer.write(head).unwrap();
    Resolution::Release { head: writer, replaces: replaces as u64, expires: 5_000_000 }
}

#[test]
fn a_released_message_has_its_new_head_and_its_old_body() {
    let mut spool = Spool::new();
    held(&spool, "A", KEY, b"old head\r\n", b"the body");
    let release = release(&spool.queue, b"a new head, and longer\r\n", 10);
    spool.queue.resolve("A", KEY, release, (vec![], None), 100).wait().unwrap();
    assert_eq!(read_all(&spool.queue, "A").unwrap(), b"a new head, and longer\r\nthe body");
    spool.reopen();
    assert_eq!(read_all(&spool.queue, "A").unwrap(), b"a new head, and longer\r\nthe body");
    let delivery = spool.queue.due(100, 10).unwrap().remove(0);
    assert_eq!((delivery.size, delivery.expires), (32, 5_000_000));
}

#[test]
fn heads_and_bodies_of_every_size_are_told_apart() {
    let spool = Spool::new();
    for (number, (head, rest)) in
        [(1, 0), (1, 70_000), (65_535, 2), (65_536, 1), (65_537, 65_536), (200_000, 3)].into_iter().enumerate()
    {
        let (old, body) = (vec![b'h'; head], vec![b'b'; rest]);
        held(&spool, &format!("M{number}"), KEY, &old, &body);
        let release = release(&spool.queue, b"new", head);
        spool.queue.resolve(&format!("M{number}"), KEY, release, (vec![], None), 0).wait().unwrap();
        let expected = [b"new".as_slice(), &body].concat();
        assert_eq!(read_all(&spool.queue, &format!("M{number}")).unwrap(), expected, "{head} + {rest}");
    }
    let delivered = spool.queue.due(0, 100).unwrap();
    for delivery in delivered {
        spool.queue.outcome(delivery, vec![(0, Outcome::Delivered)], vec![]).wait().unwrap();
    }
    assert_eq!(spool.queue.counts().unwrap().body_bytes, 0);
}

#[test]
fn a_head_that_does_not_end_at_the_boundary_changes_nothing() {
    let spool = Spool::new();
    held(&spool, "A", KEY, b"head", b"body");
    let wrong = spool.queue.resolve("A", KEY, release(&spool.queue, b"x", 3), (vec![], None), 0).wait();
    assert!(matches!(wrong, Err(QueueError::Envelope { .. })), "{wrong:?}");
    assert_eq!(read_all(&spool.queue, "A").unwrap(), b"headbody");
    assert!(spool.queue.due(0, 10).unwrap().is_empty());
}

#[test]
fn a_message_held_under_another_key_is_left_alone() {
    let spool = Spool::new();
    held(&spool, "A", KEY, b"head", b"body");
    let wrong = spool.queue.resolve("A", "pause:a:c", Resolution::Remove, (vec![], None), 0).wait();
    assert!(matches!(wrong, Err(QueueError::UnknownMessage { .. })));
    assert_eq!(spool.queue.counts().unwrap().held, 1);
}

#[test]
fn a_released_message_is_released_once() {
    let spool = Spool::new();
    held(&spool, "A", KEY, b"head", b"body");
    let once = |queue: &Queue| queue.resolve("A", KEY, release(queue, b"new", 4), (vec![], None), 0).wait();
    once(&spool.queue).unwrap();
    assert!(matches!(once(&spool.queue), Err(QueueError::UnknownMessage { .. })));
    assert_eq!(spool.queue.due(0, 10).unwrap().len(), 1);
}

#[test]
fn the_audit_record_of_a_release_commits_with_it() {
    let spool = Spool::new();
    held(&spool, "A", KEY, b"head", b"body");
    let release = release(&spool.queue, b"new", 4);
    spool.queue.resolve("A", KEY, release, (vec![], Some(b"record".to_vec())), 0).wait().unwrap();
    let items = spool.queue.take_audit(10).unwrap();
    assert_eq!((items[0].queue_id.as_str(), items[0].record.as_slice()), ("A", b"record".as_slice()));
}

#[test]
fn a_held_message_can_be_returned_in_one_step() {
    let spool = Spool::new();
    held(&spool, "A", KEY, b"head", b"body");
    let mut body = spool.queue.begin();
    body.write(b"sorry").unwrap();
    let bounce = NewMessage { body, envelope: envelope("B", &["sender@example.com"]) };
    spool.queue.resolve("A", KEY, Resolution::Remove, (vec![bounce], None), 0).wait().unwrap();
    assert!(matches!(spool.queue.show("A"), Err(QueueError::UnknownMessage { .. })));
    assert_eq!(spool.queue.due(0, 10).unwrap().remove(0).queue_id, "B");
}

#[test]
fn what_is_held_is_counted_by_key() {
    let mut spool = Spool::new();
    held(&spool, "A", KEY, b"head", b"body");
    held(&spool, "B", "pause:a:c", b"head", b"");
    held(&spool, "C", KEY, b"head", b"more");
    held(&spool, "D", "damaged", b"head", b"");
    spool.reopen();
    let holds = spool.queue.holds("pause:").unwrap();
    let seen: Vec<_> =
        holds.iter().map(|held| (held.key.as_str(), held.messages, held.bytes, held.first.as_str())).collect();
    assert_eq!(seen, [(KEY, 2, 16, "A"), ("pause:a:c", 1, 4, "B")]);
}

#[test]
fn a_message_set_aside_is_listed_under_its_new_key() {
    let spool = Spool::new();
    held(&spool, "A", KEY, b"head", b"body");
    let aside = Resolution::Hold(Hold { key: "aside:a:b".into(), reason: "too old".into() });
    spool.queue.resolve("A", KEY, aside, (vec![], None), 0).wait().unwrap();
    let of = |key: &str| ListFilter { hold_key: Some(key.to_owned()), ..ListFilter::default() };
    assert!(spool.queue.list(&of(KEY)).unwrap().is_empty());
    assert_eq!(spool.queue.list(&of("aside:a:b")).unwrap()[0].hold.as_ref().unwrap().reason, "too old");
}

#[test]
fn messages_of_a_lane_are_due_one_at_a_time_also_after_a_restart() {
    let mut spool = Spool::new();
    for id in ["A", "B", "C"] {
        spool.commit(Envelope { lane: Some("ann".into()), ..envelope(id, &["bob@example.com"]) }, b"x").unwrap();
    }
    for id in ["A", "B", "C"] {
        spool.reopen();
        let mut due = spool.queue.due(10, 10).unwrap();
        assert_eq!(due.iter().map(|delivery| delivery.queue_id.as_str()).collect::<Vec<_>>(), [id]);
        spool.queue.outcome(due.remove(0), vec![(0, Outcome::Delivered)], vec![]).wait().unwrap();
    }
}

#[test]
fn a_queue_of_the_version_before_is_read() {
    let mut spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"hello").unwrap();
    spool.close();
    let old = rusqlite::Connection::open(spool.dir.path().join("queue.db")).unwrap();
    old.execute_batch(
        "DROP TABLE ticket; DROP TABLE ticket_recipient; DROP TABLE event; \
         ALTER TABLE message DROP COLUMN lane; PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    spool.reopen();
    assert_eq!(read_all(&spool.queue, "A").unwrap(), b"hello");
    assert_eq!(spool.queue.due(10, 10).unwrap().len(), 1);
}
