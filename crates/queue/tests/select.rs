//! Choosing messages by sender, recipient, reason, age and state.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Spool, envelope};
use queue::{Hold, Measured, Outcome, Selection, Standing};

/// The ids of what is chosen, in one page.
fn ids(spool: &Spool, selection: &Selection) -> Vec<String> {
    spool.queue.select(selection, 0, 1000).unwrap().into_iter().map(|selected| selected.summary.queue_id).collect()
}

fn three() -> Spool {
    let spool = Spool::new();
    for (number, (id, sender, to)) in [
        ("A", Some("Alice@Example.COM"), "x@one.test"),
        ("B", None, "y@two.test"),
        ("C", Some("bob@example.org"), "z@One.test"),
    ]
    .into_iter()
    .enumerate()
    {
        let sender = sender.map(str::to_owned);
        let received = 1_000 * (number as i64 + 1);
        spool.commit(queue::Envelope { sender, received, ..envelope(id, &[to]) }, b"body").unwrap();
    }
    spool
}

#[test]
fn an_empty_selection_is_everything_in_order() {
    assert_eq!(ids(&three(), &Selection::default()), ["A", "B", "C"]);
}

#[test]
fn a_sender_is_found_in_any_case() {
    let selection = Selection { sender: Some("alice@example.com".into()), ..Selection::default() };
    assert_eq!(ids(&three(), &selection), ["A"]);
}

#[test]
fn a_domain_of_senders_is_not_the_end_of_another() {
    let selection = Selection { sender: Some("@ample.com".into()), ..Selection::default() };
    assert_eq!(ids(&three(), &selection), Vec::<String>::new());
    let selection = Selection { sender: Some("@example.com".into()), ..Selection::default() };
    assert_eq!(ids(&three(), &selection), ["A"]);
}

#[test]
fn the_null_reverse_path_can_be_asked_for() {
    for null in ["", "<>"] {
        let selection = Selection { sender: Some(null.into()), ..Selection::default() };
        assert_eq!(ids(&three(), &selection), ["B"]);
    }
}

#[test]
fn a_domain_of_recipients_is_found_in_any_case() {
    let selection = Selection { recipient: Some("@one.test".into()), ..Selection::default() };
    assert_eq!(ids(&three(), &selection), ["A", "C"]);
}

#[test]
fn wildcards_of_sql_mean_themselves() {
    for text in ["%", "_@one.test", "@%"] {
        let selection = Selection { recipient: Some(text.into()), ..Selection::default() };
        assert_eq!(ids(&three(), &selection), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn age_has_two_ends() {
    let selection = Selection { since: Some(2_000), before: Some(3_000), ..Selection::default() };
    assert_eq!(ids(&three(), &selection), ["B"]);
}

#[test]
fn a_deferred_message_is_found_by_what_its_destination_said() {
    let spool = three();
    let delivery = spool.queue.due(10_000, 10).unwrap().into_iter().find(|due| due.queue_id == "B").unwrap();
    let outcome = Outcome::Deferred { until: 99_000, reason: "450 Greylisted, come back".into() };
    spool.queue.outcome(delivery, vec![(0, outcome)], Vec::new()).wait().unwrap();
    let by_reason = Selection { reason: Some("greylisted".into()), ..Selection::default() };
    assert_eq!(ids(&spool, &by_reason), ["B"]);
    let deferred = Selection { standing: Some(Standing::Deferred), ..Selection::default() };
    assert_eq!(ids(&spool, &deferred), ["B"]);
    let waiting = Selection { standing: Some(Standing::Waiting), ..Selection::default() };
    assert_eq!(ids(&spool, &waiting), ["A", "C"]);
}

#[test]
fn messages_that_wait_for_a_destination_are_found_by_its_reason() {
    let spool = three();
    spool.queue.destination_down("two.test", 99_000, "connection refused");
    // A later operation is durable after the note about the destination.
    spool.queue.retry("A", 1).wait().unwrap();
    let selection = Selection { reason: Some("Connection refused".into()), ..Selection::default() };
    assert_eq!(ids(&spool, &selection), ["B"]);
}

#[test]
fn the_next_attempt_is_not_before_the_destination_is_tried_again() {
    let spool = three();
    spool.queue.destination_down("two.test", 99_000, "connection refused");
    spool.queue.retry("A", 1).wait().unwrap();
    let next = |id: &str| {
        let selection = Selection { ids: vec![id.to_owned()], ..Selection::default() };
        let listed = spool.queue.select(&selection, 0, 1).unwrap().remove(0).summary.next_attempt;
        assert_eq!(listed, Some(spool.queue.show(id).unwrap().recipients[0].next_attempt));
        listed.unwrap()
    };
    assert_eq!(next("B"), 99_000);
    assert!(next("C") < 99_000);
}

#[test]
fn held_messages_are_found_by_key_and_by_reason() {
    let spool = three();
    spool.queue.hold("A", Hold { key: "operator".into(), reason: "Looks odd".into() }).wait().unwrap();
    spool.queue.hold("C", Hold { key: "pause:x".into(), reason: "a right".into() }).wait().unwrap();
    let held = |keys: &[&str]| Selection {
        standing: Some(Standing::Held(keys.iter().map(|key| (*key).to_owned()).collect())),
        ..Selection::default()
    };
    assert_eq!(ids(&spool, &held(&[])), ["A", "C"]);
    assert_eq!(ids(&spool, &held(&["pause:", "aside:"])), ["C"]);
    let otherwise = Standing::HeldOtherwise(vec!["pause:".into()]);
    assert_eq!(ids(&spool, &Selection { standing: Some(otherwise), ..Selection::default() }), ["A"]);
    assert_eq!(ids(&spool, &Selection { reason: Some("looks ODD".into()), ..Selection::default() }), ["A"]);
}

#[test]
fn pages_go_on_after_what_was_removed_meanwhile() {
    let spool = three();
    let first = spool.queue.select(&Selection::default(), 0, 1).unwrap().remove(0);
    spool.queue.remove(&first.summary.queue_id).wait().unwrap();
    let second = spool.queue.select(&Selection::default(), first.position, 1).unwrap().remove(0);
    assert_eq!(second.summary.queue_id, "B");
}

#[test]
fn a_selection_can_be_measured() {
    let selection = Selection { recipient: Some("@one.test".into()), ..Selection::default() };
    assert_eq!(three().queue.measure(&selection).unwrap(), Measured { messages: 2, bytes: 8, oldest: Some(1_000) });
}
