//! The queue through its public interface.

mod common;

use std::io::Read as _;

use common::{Spool, envelope, read_all};
use queue::{Hold, ListFilter, NewMessage, Outcome, Queue, QueueError, QueueOptions, RecipientState};

fn deferred(until: i64) -> Outcome {
    Outcome::Deferred { until, reason: "later".to_owned() }
}

#[test]
fn an_accepted_message_is_due_with_its_envelope_and_body() {
    let spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"hello").unwrap();
    let delivery = spool.queue.due(10, 10).unwrap().remove(0);
    assert_eq!((delivery.queue_id.as_str(), delivery.sender.as_deref()), ("A", Some("sender@example.com")));
    assert_eq!(delivery.recipients[0].address, "bob@example.com");
    assert_eq!(delivery.size, 5);
    assert_eq!(read_all(&spool.queue, "A").unwrap(), b"hello");
}

#[test]
fn a_large_body_comes_back_as_it_was() {
    let spool = Spool::new();
    let body: Vec<u8> = (0..3_000_000_u32).map(|number| (number * 7 / 3) as u8).collect();
    spool.accept("A", &["bob@example.com"], &body).unwrap();
    assert_eq!(read_all(&spool.queue, "A").unwrap(), body);
}

#[test]
fn bodies_of_every_size_around_a_block_come_back_as_they_were() {
    let spool = Spool::new();
    for size in [0, 1, 65_535, 65_536, 65_537, 131_072, 262_144, 262_145] {
        let body: Vec<u8> = (0..size).map(|number: usize| (number ^ number >> 8) as u8).collect();
        spool.accept(&format!("M{size}"), &["bob@example.com"], &body).unwrap();
        assert_eq!(read_all(&spool.queue, &format!("M{size}")).unwrap(), body, "{size}");
    }
}

#[test]
fn recipients_are_grouped_by_destination() {
    let spool = Spool::new();
    spool.accept("A", &["b@one.test", "c@two.test", "d@one.test"], b"x").unwrap();
    let mut groups: Vec<(String, Vec<u32>)> = spool
        .queue
        .due(10, 10)
        .unwrap()
        .iter()
        .map(|delivery| (delivery.destination.clone(), delivery.recipients.iter().map(|one| one.index).collect()))
        .collect();
    groups.sort();
    assert_eq!(groups, [("one.test".to_owned(), vec![0, 2]), ("two.test".to_owned(), vec![1])]);
}

#[test]
fn a_leased_delivery_is_not_due() {
    let spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"x").unwrap();
    let lease = spool.queue.due(10, 10).unwrap();
    assert_eq!(lease.len(), 1);
    assert!(spool.queue.due(10, 10).unwrap().is_empty());
}

#[test]
fn a_message_is_gone_when_every_recipient_is_settled() {
    let spool = Spool::new();
    spool.accept("A", &["a@example.com", "b@example.com"], b"x").unwrap();
    let delivery = spool.queue.due(10, 10).unwrap().remove(0);
    let failed = Outcome::Failed { reason: "no".to_owned() };
    spool.queue.outcome(delivery, vec![(0, Outcome::Delivered), (1, failed)], vec![]).wait().unwrap();
    assert!(matches!(spool.queue.show("A"), Err(QueueError::UnknownMessage { .. })));
    let counts = spool.queue.counts().unwrap();
    assert_eq!((counts.messages, counts.deliveries, counts.leased, counts.body_bytes), (0, 0, 0, 0));
}

#[test]
fn a_deferred_recipient_is_due_again_at_its_time_and_no_sooner() {
    let spool = Spool::new();
    spool.accept("A", &["a@example.com", "b@example.com"], b"x").unwrap();
    let delivery = spool.queue.due(10, 10).unwrap().remove(0);
    spool.queue.outcome(delivery, vec![(0, Outcome::Delivered), (1, deferred(500))], vec![]).wait().unwrap();
    assert_eq!(spool.queue.next_due(), Some(500));
    assert!(spool.queue.due(499, 10).unwrap().is_empty());
    let delivery = spool.queue.due(500, 10).unwrap().remove(0);
    assert_eq!(delivery.recipients.len(), 1);
    assert_eq!((delivery.recipients[0].index, delivery.recipients[0].attempts), (1, 1));
    assert_eq!(delivery.recipients[0].last_reason, "later");
}

#[test]
fn recipients_deferred_to_different_times_are_due_apart() {
    let spool = Spool::new();
    spool.accept("A", &["a@example.com", "b@example.com"], b"x").unwrap();
    let delivery = spool.queue.due(10, 10).unwrap().remove(0);
    spool.queue.outcome(delivery, vec![(0, deferred(100)), (1, deferred(200))], vec![]).wait().unwrap();
    let delivery = spool.queue.due(100, 10).unwrap().remove(0);
    assert_eq!(delivery.recipients.iter().map(|one| one.index).collect::<Vec<_>>(), [0]);
    spool.queue.outcome(delivery, vec![(0, Outcome::Delivered)], vec![]).wait().unwrap();
    assert_eq!(spool.queue.next_due(), Some(200));
}

#[test]
fn an_outcome_and_its_bounce_are_queued_together() {
    let spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"x").unwrap();
    let delivery = spool.queue.due(10, 10).unwrap().remove(0);
    let mut body = spool.queue.begin();
    body.write(b"your message was not delivered").unwrap();
    let bounce = NewMessage { body, envelope: envelope("B", &["sender@example.com"]) };
    let failed = Outcome::Failed { reason: "no such user".to_owned() };
    spool.queue.outcome(delivery, vec![(0, failed)], vec![bounce]).wait().unwrap();
    assert_eq!(read_all(&spool.queue, "B").unwrap(), b"your message was not delivered");
    assert!(spool.queue.show("A").is_err());
}

#[test]
fn a_bounce_that_cannot_be_queued_leaves_the_outcome_undone() {
    let spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"x").unwrap();
    spool.accept("B", &["x@other.test"], b"x").unwrap();
    let mut due = spool.queue.due(10, 10).unwrap();
    let delivery = due.swap_remove(due.iter().position(|delivery| delivery.queue_id == "A").unwrap());
    let bounce = NewMessage { body: spool.queue.begin(), envelope: envelope("B", &["sender@example.com"]) };
    let failed = Outcome::Failed { reason: "no".to_owned() };
    let answer = spool.queue.outcome(delivery, vec![(0, failed)], vec![bounce]).wait();
    assert!(matches!(answer, Err(QueueError::DuplicateId { .. })));
    assert_eq!(spool.queue.show("A").unwrap().recipients[0].state, RecipientState::Pending);
    let due = |now| spool.queue.due(now, 10).unwrap().iter().any(|delivery| delivery.queue_id == "A");
    assert!(!due(10), "not hammered");
    assert!(due(70_000));
}

#[test]
fn the_outcome_of_a_removed_message_queues_no_bounce() {
    let spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"x").unwrap();
    let delivery = spool.queue.due(10, 10).unwrap().remove(0);
    spool.queue.remove("A").wait().unwrap();
    let bounce = NewMessage { body: spool.queue.begin(), envelope: envelope("B", &["sender@example.com"]) };
    let failed = Outcome::Failed { reason: "no".to_owned() };
    let answer = spool.queue.outcome(delivery, vec![(0, failed)], vec![bounce]).wait();
    assert!(matches!(answer, Err(QueueError::UnknownMessage { queue_id }) if queue_id == "A"));
    assert_eq!(spool.queue.counts().unwrap().messages, 0);
}

#[test]
fn a_second_message_with_the_same_id_is_refused_and_the_first_kept() {
    let spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"first").unwrap();
    let answer = spool.accept("A", &["bob@example.com"], b"second");
    assert!(matches!(answer, Err(QueueError::DuplicateId { .. })));
    assert_eq!(read_all(&spool.queue, "A").unwrap(), b"first");
}

#[test]
fn a_message_without_recipients_is_refused() {
    let spool = Spool::new();
    assert!(matches!(spool.accept("A", &[], b"x"), Err(QueueError::Envelope { .. })));
}

#[test]
fn a_body_that_is_dropped_leaves_nothing_behind() {
    let spool = Spool::new();
    let mut body = spool.queue.begin();
    body.write(&vec![7; 700_000]).unwrap();
    drop(body);
    spool.accept("A", &["bob@example.com"], b"x").unwrap();
    assert_eq!(spool.queue.counts().unwrap().segment_bytes, 1 << 20);
}

#[test]
fn large_bodies_take_little_more_of_the_disk_than_their_size() {
    let spool = Spool::new();
    for (size, count) in [(100 << 10, 40), (200 << 10, 20), (700 << 10, 6)] {
        let before = spool.queue.counts().unwrap().segment_bytes;
        for number in 0..count {
            spool.accept(&format!("{size}-{number}"), &["a@x.test"], &vec![b'a'; size]).unwrap();
        }
        let taken = spool.queue.counts().unwrap().segment_bytes - before;
        assert!(taken <= (size * count) as u64 * 3 / 2 + (1 << 20), "{taken} octets for {count} of {size}");
    }
}

#[test]
fn everything_is_there_after_the_queue_was_closed_and_opened() {
    let mut spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"hello").unwrap();
    spool.accept("B", &["bob@example.com"], &vec![b'x'; 400_000]).unwrap();
    let recovery = spool.reopen();
    assert_eq!((recovery.messages, recovery.deliveries, recovery.damaged.len()), (2, 2, 0));
    assert_eq!(read_all(&spool.queue, "A").unwrap(), b"hello");
    assert_eq!(read_all(&spool.queue, "B").unwrap().len(), 400_000);
    assert_eq!(spool.queue.due(10, 10).unwrap().len(), 2);
}

#[test]
fn a_lease_does_not_outlive_the_process() {
    let mut spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"hello").unwrap();
    let lease = spool.queue.due(10, 10).unwrap();
    spool.reopen();
    assert_eq!(spool.queue.due(10, 10).unwrap().len(), 1);
    drop(lease);
}

#[test]
fn a_held_message_is_not_due_until_it_is_released() {
    let spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"x").unwrap();
    let hold = Hold { key: "pause".to_owned(), reason: "no right".to_owned() };
    spool.queue.hold("A", hold.clone()).wait().unwrap();
    assert!(spool.queue.due(10, 10).unwrap().is_empty());
    assert_eq!(spool.queue.show("A").unwrap().summary.hold, Some(hold));
    spool.queue.release("A", 20).wait().unwrap();
    assert_eq!(spool.queue.due(20, 10).unwrap().len(), 1);
}

#[test]
fn messages_held_under_one_key_are_released_in_order() {
    let mut spool = Spool::new();
    for id in ["A", "B", "C"] {
        let mut envelope = envelope(id, &["bob@example.com"]);
        envelope.hold = Some(Hold { key: "pause".to_owned(), reason: "no right".to_owned() });
        spool.commit(envelope, b"x").unwrap();
    }
    assert_eq!(spool.queue.next_due(), None);
    spool.reopen();
    assert_eq!(spool.queue.counts().unwrap().held, 3);
    assert_eq!(spool.queue.release_key("pause", 50).wait().unwrap(), 3);
    let ids: Vec<String> = spool.queue.due(50, 10).unwrap().iter().map(|one| one.queue_id.clone()).collect();
    assert_eq!(ids, ["A", "B", "C"]);
}

#[test]
fn a_message_held_during_its_delivery_does_not_come_back_when_deferred() {
    let spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"x").unwrap();
    let delivery = spool.queue.due(10, 10).unwrap().remove(0);
    spool.queue.hold("A", Hold { key: "k".to_owned(), reason: String::new() }).wait().unwrap();
    spool.queue.outcome(delivery, vec![(0, deferred(20))], vec![]).wait().unwrap();
    assert!(spool.queue.due(100, 10).unwrap().is_empty());
    spool.queue.release("A", 100).wait().unwrap();
    assert_eq!(spool.queue.due(100, 10).unwrap().len(), 1);
}

#[test]
fn a_destination_that_is_down_is_left_alone_also_after_a_restart() {
    let mut spool = Spool::new();
    spool.accept("A", &["a@down.test"], b"x").unwrap();
    spool.accept("B", &["b@up.test"], b"x").unwrap();
    spool.queue.destination_down("down.test", 1000, "connection refused");
    spool.reopen();
    let due = spool.queue.due(10, 10).unwrap();
    assert_eq!(due.iter().map(|one| one.queue_id.as_str()).collect::<Vec<_>>(), ["B"]);
    let state = spool.queue.destinations(None).remove(0);
    assert_eq!((state.failures, state.not_before, state.reason.as_str()), (1, Some(1000), "connection refused"));
    assert_eq!(spool.queue.due(1000, 10).unwrap()[0].destination_failures, 1);
}

#[test]
fn retry_makes_a_message_due_although_its_destination_waits() {
    let spool = Spool::new();
    spool.accept("A", &["a@down.test"], b"x").unwrap();
    spool.queue.destination_down("down.test", 100_000, "connection refused");
    spool.queue.retry("A", 20).wait().unwrap();
    assert_eq!(spool.queue.due(20, 10).unwrap().len(), 1);
}

#[test]
fn an_expired_message_is_due_and_says_so() {
    let spool = Spool::new();
    spool.accept("A", &["a@down.test"], b"x").unwrap();
    spool.queue.destination_down("down.test", 100_000_000, "connection refused");
    let delivery = spool.queue.due(1_000_000, 10).unwrap().remove(0);
    assert!(delivery.expired);
}

#[test]
fn a_clock_that_is_set_neither_expires_mail_nor_keeps_it_waiting() {
    for by in [-40_000_000_000, 40_000_000_000] {
        let mut spool = Spool::new();
        spool.accept("A", &["a@example.com"], b"x").unwrap();
        let delivery = spool.queue.due(10, 10).unwrap().remove(0);
        spool.queue.outcome(delivery, vec![(0, deferred(500))], vec![]).wait().unwrap();
        assert!(spool.queue.due(400, 10).unwrap().is_empty());
        spool.queue.clock_moved(by).wait().unwrap();
        assert!(spool.queue.due(499 + by, 10).unwrap().is_empty());
        let delivery = spool.queue.due(500 + by, 10).unwrap().remove(0);
        assert!(!delivery.expired);
        drop(delivery);
        spool.reopen();
        assert_eq!(spool.queue.next_due(), Some(500 + by));
    }
}

#[test]
fn audit_records_commit_with_their_message_and_come_until_acknowledged() {
    let mut spool = Spool::new();
    let mut envelope = envelope("A", &["bob@example.com"]);
    envelope.audit = Some(b"{}".to_vec());
    spool.commit(envelope, b"x").unwrap();
    spool.reopen();
    let records = spool.queue.take_audit(10).unwrap();
    assert_eq!((records[0].queue_id.as_str(), records[0].record.as_slice()), ("A", &b"{}"[..]));
    spool.queue.ack_audit(&[records[0].id]).wait().unwrap();
    assert!(spool.queue.take_audit(10).unwrap().is_empty());
}

#[test]
fn lists_are_filtered_and_paged_in_order_of_acceptance() {
    let spool = Spool::new();
    for number in 0..5 {
        spool.accept(&format!("M{number}"), &[&format!("x@d{}.test", number % 2)], b"x").unwrap();
    }
    let ids = |filter: &ListFilter| -> Vec<String> {
        spool.queue.list(filter).unwrap().into_iter().map(|one| one.queue_id).collect()
    };
    let first = ListFilter { destination: Some("d0.test".to_owned()), limit: 2, ..ListFilter::default() };
    assert_eq!(ids(&first), ["M0", "M2"]);
    assert_eq!(ids(&ListFilter { after: Some("M2".to_owned()), ..first }), ["M4"]);
    assert!(ids(&ListFilter { held: Some(true), ..ListFilter::default() }).is_empty());
}

#[test]
fn one_flipped_bit_in_a_segment_is_reported_and_not_delivered() {
    let mut spool = Spool::new();
    spool.accept("A", &["bob@example.com"], &[b'x'; 5000]).unwrap();
    spool.close();
    let path = spool.segments().remove(0);
    let mut octets = std::fs::read(&path).unwrap();
    octets[4321] ^= 1;
    std::fs::write(&path, octets).unwrap();
    spool.reopen();
    let mut text = Vec::new();
    let error = spool.queue.read("A").unwrap().read_to_end(&mut text).unwrap_err();
    assert!(text.is_empty());
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[test]
fn a_message_whose_segment_is_missing_is_held_and_reported() {
    let mut spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"x").unwrap();
    spool.close();
    std::fs::remove_file(spool.segments().remove(0)).unwrap();
    let recovery = spool.reopen();
    assert_eq!(recovery.damaged, ["A"]);
    assert!(spool.queue.due(10, 10).unwrap().is_empty());
    assert!(matches!(spool.queue.read("A"), Err(QueueError::Damaged { .. })));
    spool.accept("B", &["bob@example.com"], b"y").unwrap();
    assert_eq!(read_all(&spool.queue, "B").unwrap(), b"y");
}

#[test]
fn a_truncated_segment_hurts_only_the_messages_behind_the_cut() {
    let mut spool = Spool::new();
    spool.accept("A", &["bob@example.com"], &[b'a'; 4096]).unwrap();
    spool.accept("B", &["bob@example.com"], &[b'b'; 4096]).unwrap();
    spool.close();
    let file = std::fs::OpenOptions::new().write(true).open(spool.segments().remove(0)).unwrap();
    file.set_len(6000).unwrap();
    assert_eq!(spool.reopen().damaged, ["B"]);
    assert_eq!(read_all(&spool.queue, "A").unwrap(), [b'a'; 4096]);
}

#[test]
fn segments_are_removed_or_recycled_when_they_are_drained() {
    let spool = Spool::new();
    for round in 0..40 {
        let id = format!("M{round}");
        spool.accept(&id, &["bob@example.com"], &vec![round; 300_000]).unwrap();
        assert_eq!(read_all(&spool.queue, &id).unwrap(), vec![round; 300_000]);
        spool.queue.remove(&id).wait().unwrap();
    }
    assert!(spool.queue.counts().unwrap().segment_bytes <= 4 << 20);
}

#[test]
fn only_the_newest_bodies_of_a_long_queue_stay_in_the_page_cache() {
    // Not in the folder for temporary files, which may be memory itself.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let options = QueueOptions { cached: 2 << 20, ..common::options() };
    let (queue, _) = Queue::open(dir.path(), options).unwrap();
    let body = |number: u8| vec![number; 300_000];
    for number in 0..30 {
        common::commit(&queue, envelope(&format!("M{number}"), &["bob@example.com"]), &body(number)).unwrap();
    }
    let mut segments: Vec<_> =
        std::fs::read_dir(dir.path().join("segments")).unwrap().map(|file| file.unwrap().path()).collect();
    segments.sort();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let old = |cached: &[u64]| cached[..6].iter().sum::<u64>();
    loop {
        let Some(cached) = segments.iter().map(|segment| common::in_page_cache(segment)).collect::<Option<Vec<u64>>>()
        else {
            return;
        };
        // The current one is followed by a spare, perhaps.
        assert!(cached[6..].iter().sum::<u64>() >= 1 << 20, "the newest are needed: {cached:?}");
        if old(&cached) == 0 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "still in the page cache: {cached:?}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for number in [0, 29] {
        assert_eq!(read_all(&queue, &format!("M{number}")).unwrap(), body(number));
    }
}

#[test]
fn unreferenced_segments_are_reclaimed_when_the_queue_is_opened() {
    let mut spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"x").unwrap();
    spool.close();
    std::fs::write(spool.dir.path().join("segments/00000099.seg"), b"torn").unwrap();
    let recovery = spool.reopen();
    assert_eq!(recovery.segments_reclaimed, 1);
    assert_eq!(spool.segments().len(), 1);
}

#[test]
fn a_queue_cannot_be_opened_twice() {
    let spool = Spool::new();
    let second = Queue::open(spool.dir.path(), QueueOptions::default());
    assert!(matches!(second, Err(QueueError::InUse { .. })));
}

#[test]
fn a_corrupt_database_is_refused_by_name_and_not_touched() {
    let mut spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"x").unwrap();
    spool.close();
    let path = spool.dir.path().join("queue.db");
    let mut octets = std::fs::read(&path).unwrap();
    octets[4096..].fill(0xaa);
    std::fs::write(&path, &octets).unwrap();
    let error = Queue::open(spool.dir.path(), QueueOptions::default()).unwrap_err();
    assert!(matches!(error, QueueError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("queue.db") && error.to_string().contains("Restore"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), octets);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("queue.db"), b"this is not a database, it is a text of some length.").unwrap();
    let error = Queue::open(dir.path(), QueueOptions::default()).unwrap_err();
    assert!(matches!(error, QueueError::Corrupt { .. }), "{error}");
}

#[test]
fn a_missing_database_next_to_bodies_is_refused() {
    let mut spool = Spool::new();
    spool.accept("A", &["bob@example.com"], b"x").unwrap();
    spool.close();
    std::fs::remove_file(spool.dir.path().join("queue.db")).unwrap();
    let error = Queue::open(spool.dir.path(), QueueOptions::default()).unwrap_err();
    assert!(matches!(error, QueueError::Corrupt { .. }), "{error}");
    assert_eq!(spool.segments().len(), 1);
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let mut spool = Spool::new();
    spool.close();
    let connection = rusqlite::Connection::open(spool.dir.path().join("queue.db")).unwrap();
    connection.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(connection);
    let error = Queue::open(spool.dir.path(), QueueOptions::default()).unwrap_err();
    assert!(matches!(error, QueueError::NewerSchema { found: 99, .. }), "{error}");
}

#[test]
fn beyond_its_capacity_the_queue_is_full_and_accepts_again_when_drained() {
    let options = QueueOptions { capacity: Some(2 << 20), ..common::options() };
    let spool = Spool::with(options);
    let body = vec![b'x'; 600_000];
    spool.accept("A", &["bob@example.com"], &body).unwrap();
    spool.accept("B", &["bob@example.com"], &body).unwrap();
    let answer = spool.accept("C", &["bob@example.com"], &body);
    assert!(matches!(answer, Err(QueueError::Full { .. })), "{answer:?}");
    assert!(spool.queue.show("C").is_err());
    assert_eq!(read_all(&spool.queue, "B").unwrap(), body);
    spool.queue.remove("A").wait().unwrap();
    spool.queue.remove("B").wait().unwrap();
    let accepted = (0..1000).any(|_| spool.accept("D", &["bob@example.com"], &body).is_ok());
    assert!(accepted);
    assert_eq!(read_all(&spool.queue, "D").unwrap(), body);
}

#[test]
fn after_closing_everything_is_refused() {
    let spool = Spool::new();
    spool.queue.close();
    assert_eq!(spool.accept("A", &["bob@example.com"], b"x"), Err(QueueError::Closed));
    assert_eq!(spool.queue.remove("A").wait(), Err(QueueError::Closed));
}

#[test]
fn many_sessions_at_once_lose_nothing() {
    let spool = Spool::new();
    std::thread::scope(|scope| {
        for session in 0..8_u8 {
            let spool = &spool;
            scope.spawn(move || {
                for number in 0..25_usize {
                    let size = if number % 10 == 0 { 200_000 } else { 3000 + number };
                    let id = format!("S{session}N{number}");
                    spool.accept(&id, &["bob@example.com"], &vec![session; size]).unwrap();
                }
            });
        }
    });
    let list = spool.queue.list(&ListFilter::default()).unwrap();
    assert_eq!(list.len(), 200);
    for message in list {
        let body = read_all(&spool.queue, &message.queue_id).unwrap();
        assert_eq!(body.len() as u64, message.size);
        assert!(body.iter().all(|octet| message.queue_id.starts_with(&format!("S{octet}N"))));
    }
}

/// A small file system of its own; `None` where mounting is not allowed.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new(size: &str) -> Option<Disk> {
        let disk = Disk(tempfile::tempdir().expect("a directory"));
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(disk.0.path())
            .output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(disk);
        }
        println!("skipped: 1 test, a file system cannot be mounted here");
        None
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_refuses_new_mail_keeps_the_old_and_accepts_again_when_there_is_room() {
    let Some(disk) = Disk::new("6m") else { return };
    let dir = disk.0.path().join("queue");
    let (queue, _) = Queue::open(&dir, common::options()).unwrap();
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let accept = |queue: &Queue, id: &str| common::commit(queue, envelope(id, &["bob@example.com"]), &[b'x'; 90_000]);
    let mut accepted = Vec::new();
    let refusal = loop {
        let id = format!("M{:03}", accepted.len());
        match accept(&queue, &id) {
            Ok(()) => accepted.push(id),
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, QueueError::Full { .. }), "{refusal}");
    assert!(accepted.len() > 10);
    // Nothing of what was refused is kept, everything else is whole, also for whoever opens the queue on the full disk.
    queue.close();
    let (queue, recovery) = Queue::open(&dir, common::options()).unwrap();
    assert_eq!((recovery.messages as usize, recovery.damaged.len()), (accepted.len(), 0));
    for id in &accepted {
        assert_eq!(read_all(&queue, id).unwrap().len(), 90_000);
    }
    std::fs::remove_file(&ballast).unwrap();
    let delivery = queue.due(10, 1).unwrap().remove(0);
    queue.outcome(delivery, vec![(0, Outcome::Delivered)], vec![]).wait().unwrap();
    accept(&queue, "AGAIN").unwrap();
    assert_eq!(read_all(&queue, "AGAIN").unwrap().len(), 90_000);
}
