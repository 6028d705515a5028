//! Tickets, by which whoever submitted a message finds out what became of it, and events, which wait to be told.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Spool, envelope};
use queue::{Beside, Event, Hold, Outcome, Queue, QueueError, Resolution, Ticket, TicketFate, Told};

fn ticket(key: &[u8], recipients: &[&str]) -> Ticket {
    Ticket {
        owner: "besadmin".to_owned(),
        key: Some(key.to_vec()),
        keys_since: 0,
        fingerprint: b"what was asked".to_vec(),
        answer: "what was answered".to_owned(),
        recipients: recipients.iter().map(|to| (*to).to_owned()).collect(),
    }
}

fn event(id: &str) -> Event {
    Event { id: id.to_owned(), target: "hook".to_owned(), kind: "test".to_owned(), body: format!("about {id}") }
}

fn submit(queue: &Queue, queue_id: &str, to: &[&str], ticket: Ticket, time: i64) -> Result<(), QueueError> {
    let mut body = queue.begin();
    body.write(b"text").unwrap();
    let beside = Beside { time, ticket: Some(ticket), events: vec![event(queue_id)] };
    let (sender, receiver) = std::sync::mpsc::channel();
    queue.commit_with(body, envelope(queue_id, to), Some(Box::new(beside)), move |answer| sender.send(answer).unwrap());
    receiver.recv().unwrap()
}

#[test]
fn a_ticket_tells_what_became_of_a_message_that_is_gone() {
    let mut spool = Spool::new();
    let to = ["bob@one.test", "eve@two.test"];
    submit(&spool.queue, "A", &to, ticket(b"k", &["bob@one.test", "a list"]), 5).unwrap();
    let fates = |queue: &Queue| {
        let ticket = queue.ticket("A").unwrap().unwrap();
        (ticket.ended, ticket.recipients.iter().map(|to| (to.fate, to.time, to.reason.clone())).collect::<Vec<_>>())
    };
    assert_eq!(fates(&spool.queue).1, vec![(TicketFate::Waiting, 0, String::new()); 2]);
    for (delivery, time) in spool.queue.due(5000, 10).unwrap().into_iter().zip([7, 8]) {
        let outcome = match delivery.recipients[0].address.as_str() {
            "bob@one.test" => Outcome::Delivered,
            _ => Outcome::Failed { reason: "gone".to_owned() },
        };
        let beside = Some(Box::new(Beside { time, ..Beside::default() }));
        let index = delivery.recipients[0].index;
        spool.queue.outcome_with(delivery, vec![(index, outcome)], vec![], beside).wait().unwrap();
    }
    spool.reopen();
    let (ended, recipients) = fates(&spool.queue);
    assert_eq!(ended, Some(8));
    let of = |at: usize| (recipients[at].0, recipients[at].2.as_str());
    assert_eq!((of(0), of(1)), ((TicketFate::Delivered, ""), (TicketFate::Failed, "gone")));
    assert_eq!(spool.queue.ticket("A").unwrap().unwrap().recipients[1].address, "a list");
    assert!(spool.queue.show("A").is_err());
}

#[test]
fn a_second_message_with_the_same_key_is_not_queued() {
    let mut spool = Spool::new();
    submit(&spool.queue, "A", &["bob@one.test"], ticket(b"k", &["bob@one.test"]), 5).unwrap();
    spool.reopen();
    let again = submit(&spool.queue, "B", &["bob@one.test"], ticket(b"k", &["bob@one.test"]), 6);
    assert_eq!(again, Err(QueueError::DuplicateKey));
    let kept = spool.queue.ticket_of_key(b"k", 5).unwrap().unwrap();
    assert_eq!((kept.queue_id.as_str(), kept.answer.as_str()), ("A", "what was answered"));
    // Nothing of the second is there: neither the message nor its event.
    assert_eq!(spool.queue.counts().unwrap().messages, 1);
    assert_eq!(spool.queue.events("hook", false, 10).unwrap().len(), 1);
    assert_eq!(spool.queue.ticket("B").unwrap(), None);
}

#[test]
fn a_key_counts_for_a_bounded_time() {
    let spool = Spool::new();
    submit(&spool.queue, "A", &["bob@one.test"], ticket(b"k", &["bob@one.test"]), 5).unwrap();
    assert_eq!(spool.queue.ticket_of_key(b"k", 6).unwrap(), None);
    let later = Ticket { keys_since: 6, ..ticket(b"k", &["bob@one.test"]) };
    submit(&spool.queue, "B", &["bob@one.test"], later, 20).unwrap();
    assert_eq!(spool.queue.ticket_of_key(b"k", 6).unwrap().unwrap().queue_id, "B");
    assert_eq!(spool.queue.ticket("A").unwrap().unwrap().queue_id, "A");
}

#[test]
fn what_a_removed_message_did_not_reach_it_never_will() {
    let spool = Spool::new();
    submit(&spool.queue, "A", &["bob@one.test"], ticket(b"k", &["bob@one.test"]), 5).unwrap();
    spool.queue.remove("A").wait().unwrap();
    let kept = spool.queue.ticket("A").unwrap().unwrap();
    assert_eq!((kept.recipients[0].fate, kept.ended), (TicketFate::Removed, Some(5)));
}

#[test]
fn an_event_commits_with_the_release_that_it_tells_of() {
    let spool = Spool::new();
    let mut body = spool.queue.begin();
    body.write(b"head").unwrap();
    body.boundary();
    let hold = Some(Hold { key: "pause:a:b".to_owned(), reason: "no right".to_owned() });
    let held = queue::Envelope { hold, ..envelope("A", &["bob@one.test"]) };
    let (sender, receiver) = std::sync::mpsc::channel();
    spool.queue.commit(body, held, move |answer| sender.send(answer).unwrap());
    receiver.recv().unwrap().unwrap();
    let release = |events| {
        let mut head = spool.queue.begin();
        head.write(b"new head").unwrap();
        let resolution = Resolution::Release { head, replaces: 4, expires: 9 };
        spool.queue.resolve_with("A", "pause:a:b", resolution, (vec![], None, events), 3).wait()
    };
    release(vec![event("released")]).unwrap();
    assert_eq!(spool.queue.events("hook", false, 10).unwrap()[0].event, event("released"));
    // It is not held any more: nothing happens, and nothing is told.
    assert!(release(vec![event("again")]).is_err());
    assert_eq!(spool.queue.events("hook", false, 10).unwrap().len(), 1);
}

#[test]
fn an_event_comes_again_until_it_was_told() {
    let mut spool = Spool::new();
    spool.queue.note_events(vec![event("one"), event("two")], 10).wait().unwrap();
    let due = |queue: &Queue, now| -> Vec<String> {
        queue.events_due("hook", now, 10).unwrap().into_iter().map(|kept| kept.event.id).collect()
    };
    assert_eq!(due(&spool.queue, 9), Vec::<String>::new());
    let first = spool.queue.events_due("hook", 10, 1).unwrap().remove(0).number;
    spool.queue.event_told(first, Told::Later { until: 50, reason: "refused".to_owned() }).wait().unwrap();
    spool.reopen();
    assert_eq!(due(&spool.queue, 49), ["two"]);
    assert_eq!(due(&spool.queue, 50), ["one", "two"]);
    let kept = spool.queue.events("hook", false, 1).unwrap().remove(0);
    assert_eq!((kept.attempts, kept.reason.as_str()), (1, "refused"));
    spool.queue.event_told(first, Told::GivenUp { reason: "too often".to_owned() }).wait().unwrap();
    let second = spool.queue.events_due("hook", 50, 1).unwrap().remove(0);
    assert_eq!(second.event.id, "two");
    spool.queue.event_told(second.number, Told::Yes).wait().unwrap();
    assert_eq!(due(&spool.queue, 1000), Vec::<String>::new());
    let counts = spool.queue.event_counts().unwrap().remove(0);
    assert_eq!((counts.waiting, counts.given_up, counts.reason.as_str()), (0, 1, "too often"));
}

#[test]
fn what_is_old_is_tidied_away() {
    let spool = Spool::new();
    submit(&spool.queue, "A", &["bob@one.test"], ticket(b"k", &["bob@one.test"]), 5).unwrap();
    submit(&spool.queue, "B", &["bob@one.test"], ticket(b"l", &["bob@one.test"]), 5).unwrap();
    spool.queue.remove("A").wait().unwrap();
    let number = spool.queue.events_due("hook", 100, 1).unwrap()[0].number;
    spool.queue.event_told(number, Told::GivenUp { reason: String::new() }).wait().unwrap();
    spool.queue.tidy(100, 100).wait().unwrap();
    assert_eq!(spool.queue.ticket("A").unwrap(), None);
    assert!(spool.queue.ticket("B").unwrap().is_some(), "its message is there");
    assert!(spool.queue.events("hook", true, 10).unwrap().is_empty());
    assert_eq!(spool.queue.events("hook", false, 10).unwrap().len(), 1);
}
