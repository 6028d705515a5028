use std::collections::{BTreeSet, HashMap};

use super::*;

fn due(message: i64, destination: &str, when: Millis) -> Due {
    Due { message, destination: destination.to_owned(), when, expires: when + 1000, lanes: Vec::new() }
}

/// Every destination may have so many at a time from the beginning.
fn schedule_of(per_destination: u32) -> Schedule {
    Schedule::new(Shares { per_destination, first: per_destination, far: 1000, ..Shares::default() })
}

fn taken(schedule: &Arc<Schedule>, now: Millis, limit: usize) -> Vec<(i64, Taken)> {
    schedule.take(now, limit).into_iter().map(|taken| (taken.lease.message, taken)).collect()
}

#[test]
fn a_destination_never_has_more_leases_than_allowed() {
    let schedule = Arc::new(schedule_of(2));
    schedule.insert((1..=5).map(|message| due(message, "a", 0)));
    let first = taken(&schedule, 0, 10);
    assert_eq!(first.iter().map(|(message, _)| *message).collect::<Vec<_>>(), [1, 2]);
    assert!(taken(&schedule, 0, 10).is_empty());
    for (_, taken) in first {
        taken.lease.settle(None, &[]);
    }
    assert_eq!(taken(&schedule, 0, 10).len(), 2);
}

#[test]
fn a_failed_destination_gets_one_delivery_after_its_wait_and_the_rest_when_it_answers() {
    let schedule = Arc::new(schedule_of(20));
    schedule.insert((1..=3).map(|message| due(message, "a", 0)));
    assert_eq!(schedule.down("a", 100, "refused"), 1);
    assert!(taken(&schedule, 99, 10).is_empty());
    let probe = taken(&schedule, 100, 10);
    assert_eq!(probe.len(), 1);
    assert!(schedule.up("a"));
    assert_eq!(taken(&schedule, 100, 10).len(), 2);
}

#[test]
fn expired_messages_are_due_although_their_destination_is_down() {
    let schedule = Arc::new(schedule_of(20));
    schedule.insert((1..=3).map(|message| due(message, "a", 0)));
    schedule.down("a", 1_000_000, "refused");
    let expired = taken(&schedule, 1000, 10);
    assert_eq!(expired.len(), 3);
    assert!(expired.iter().all(|(_, taken)| taken.expired));
}

#[test]
fn a_dropped_lease_is_due_again() {
    let schedule = Arc::new(schedule_of(20));
    schedule.insert([due(1, "a", 0)]);
    drop(taken(&schedule, 0, 10));
    assert_eq!(taken(&schedule, 0, 10).len(), 1);
}

#[test]
fn a_message_held_while_leased_does_not_come_back() {
    let schedule = Arc::new(schedule_of(20));
    schedule.insert([due(1, "a", 0)]);
    let lease = taken(&schedule, 0, 10);
    schedule.forget(1);
    drop(lease);
    assert_eq!(schedule.next_due(), None);
    assert_eq!(schedule.figures(), (0, 0, 0, 0));
}

#[test]
fn a_message_released_while_leased_is_not_leased_twice() {
    let schedule = Arc::new(schedule_of(20));
    schedule.insert([due(1, "a", 0)]);
    let lease = taken(&schedule, 0, 10);
    schedule.forget(1);
    schedule.insert([due(1, "a", 5)]);
    assert!(taken(&schedule, 10, 10).is_empty());
    drop(lease);
    assert_eq!(taken(&schedule, 10, 10).len(), 1);
}

fn in_lane(message: i64, destination: &str) -> Due {
    Due { lanes: vec![(0, 7)], ..due(message, destination, 0) }
}

fn messages(taken: &[(i64, Taken)]) -> Vec<i64> {
    taken.iter().map(|(message, _)| *message).collect()
}

#[test]
fn messages_of_a_lane_go_to_a_destination_one_at_a_time_in_order() {
    let schedule = Arc::new(schedule_of(20));
    schedule.insert([in_lane(3, "a"), in_lane(1, "a"), in_lane(2, "a"), due(4, "a", 0), in_lane(5, "b")]);
    let mut leased = taken(&schedule, 0, 10);
    leased.sort_by_key(|(message, _)| *message);
    assert_eq!(messages(&leased), [1, 4, 5]);
    for next in [2, 3] {
        leased.remove(0).1.lease.settle(None, &[]);
        leased.splice(0..0, taken(&schedule, 0, 10));
        assert_eq!(leased[0].0, next);
    }
}

#[test]
fn nothing_of_its_lane_overtakes_a_deferred_message() {
    let schedule = Arc::new(schedule_of(20));
    schedule.insert([in_lane(1, "a"), in_lane(2, "a")]);
    let first = taken(&schedule, 0, 10);
    first.into_iter().for_each(|(_, taken)| taken.lease.settle(Some(500), &[]));
    assert!(taken(&schedule, 499, 10).is_empty());
    let again = taken(&schedule, 500, 10);
    assert_eq!(messages(&again), [1]);
    again.into_iter().for_each(|(_, taken)| taken.lease.settle(None, &[]));
    assert_eq!(messages(&taken(&schedule, 500, 10)), [2]);
}

#[test]
fn only_those_who_were_put_off_wait_for_a_deferred_message() {
    let schedule = Arc::new(schedule_of(20));
    let to = |message, lanes: &[(u32, u64)]| Due { lanes: lanes.to_vec(), ..due(message, "a", 0) };
    schedule.insert([to(1, &[(0, 7), (1, 8)]), to(2, &[(0, 7)]), to(3, &[(0, 8)]), to(4, &[(0, 9)])]);
    let mut first = taken(&schedule, 0, 10);
    first.sort_by_key(|(message, _)| *message);
    assert_eq!(messages(&first), [1, 4]);
    // The first recipient has it, the second was put off.
    first.remove(0).1.lease.settle(Some(500), &[0]);
    let second = taken(&schedule, 0, 10);
    assert_eq!(messages(&second), [2]);
    second.into_iter().for_each(|(_, taken)| taken.lease.settle(None, &[]));
    let again = taken(&schedule, 500, 10);
    assert_eq!(messages(&again), [1]);
    again.into_iter().for_each(|(_, taken)| taken.lease.settle(None, &[1]));
    assert_eq!(messages(&taken(&schedule, 500, 10)), [3]);
}

#[test]
fn a_message_waits_for_its_turn_with_all_its_recipients() {
    let schedule = Arc::new(schedule_of(20));
    let to = |message, lanes: &[(u32, u64)]| Due { lanes: lanes.to_vec(), ..due(message, "a", 0) };
    schedule.insert([to(3, &[(0, 7), (1, 8)]), to(1, &[(0, 7)]), to(2, &[(0, 8)])]);
    let mut leased = taken(&schedule, 0, 10);
    assert_eq!(messages(&leased), [1, 2]);
    leased.remove(0).1.lease.settle(None, &[]);
    assert!(taken(&schedule, 0, 10).is_empty());
    leased.remove(0).1.lease.settle(None, &[]);
    assert_eq!(messages(&taken(&schedule, 0, 10)), [3]);
}

#[test]
fn a_dropped_lease_keeps_its_turn() {
    let schedule = Arc::new(schedule_of(20));
    schedule.insert([in_lane(1, "a"), in_lane(2, "a")]);
    drop(taken(&schedule, 0, 10));
    assert_eq!(messages(&taken(&schedule, 0, 10)), [1]);
}

#[test]
fn a_message_held_in_a_lane_lets_the_next_pass() {
    let schedule = Arc::new(schedule_of(20));
    schedule.insert([in_lane(1, "a"), in_lane(2, "a"), in_lane(3, "a")]);
    schedule.forget(2);
    schedule.forget(1);
    assert_eq!(messages(&taken(&schedule, 0, 10)), [3]);
}

#[test]
fn an_expired_message_does_not_wait_for_its_turn() {
    let schedule = Arc::new(schedule_of(20));
    schedule.insert([Due { expires: 9_000, ..in_lane(1, "a") }, in_lane(2, "a")]);
    let leased = taken(&schedule, 0, 10);
    let expired = taken(&schedule, 2_000, 10);
    assert_eq!(messages(&expired), [2]);
    drop((leased, expired));
    let mut both = taken(&schedule, 2_000, 10);
    both.sort_by_key(|(message, _)| *message);
    assert_eq!(messages(&both), [1, 2]);
}

#[test]
fn nothing_is_remembered_of_idle_destinations() {
    let schedule = Arc::new(schedule_of(20));
    schedule.insert((0..100).map(|message| due(message, &format!("mailbox {message}"), 0)));
    schedule.insert((100..200).map(|message| in_lane(message, "x")));
    loop {
        let leased = taken(&schedule, 0, 1000);
        if leased.is_empty() {
            break;
        }
        leased.into_iter().for_each(|(_, taken)| taken.lease.settle(None, &[]));
    }
    let index = schedule.lock();
    assert!(
        index.numbers.is_empty()
            && index.ready.iter().all(BTreeSet::is_empty)
            && index.expiry.is_empty()
            && index.lanes.is_empty()
    );
}

type ByDestination = HashMap<Arc<str>, usize>;

/// Leases at 0 what may be leased, and gives how many by destination.
fn leases(schedule: &Arc<Schedule>) -> (Vec<(i64, Taken)>, ByDestination) {
    let taken = taken(schedule, 0, 100_000);
    let mut count = HashMap::new();
    for (_, taken) in &taken {
        *count.entry(taken.destination.clone()).or_insert(0) += 1;
    }
    (taken, count)
}

fn fresh(far: u32) -> Arc<Schedule> {
    let near = vec!["mailbox:".to_owned()];
    Arc::new(Schedule::new(Shares { per_destination: 20, first: 2, far, near, ..Shares::default() }))
}

#[test]
fn a_destination_earns_one_more_at_a_time_with_each_answer() {
    let schedule = fresh(1000);
    schedule.insert((1..=100).map(|message| due(message, "a", 0)));
    for expected in [2, 4, 8, 16, 20, 20] {
        let (leased, count) = leases(&schedule);
        assert_eq!(count["a"], expected);
        leased.into_iter().for_each(|(_, taken)| taken.lease.settle(None, &[]));
    }
}

#[test]
fn destinations_that_stall_leave_leases_to_others() {
    let schedule = fresh(1000);
    schedule.insert((1..=50_000).map(|message| due(message, &format!("stalled {}", message % 500), 0)));
    let (stalled, count) = leases(&schedule);
    assert!(stalled.len() <= 750 && count.len() == 500, "{} leases, {} destinations", stalled.len(), count.len());
    schedule.insert((60_000..=60_100).map(|message| due(message, "other", 0)));
    schedule.insert((70_000..=70_100).map(|message| due(message, "mailbox:x", 0)));
    let (_, count) = leases(&schedule);
    assert!(count["other"] >= 1 && count["mailbox:x"] == 20, "{count:?}");
}

#[test]
fn a_destination_that_answers_goes_on_when_the_leases_of_unknown_ones_are_used_up() {
    let schedule = fresh(100);
    schedule.insert([due(1, "good", 0)]);
    schedule.insert((2..=3).map(|message| due(message, "good", 0)));
    let (leased, _) = leases(&schedule);
    leased.into_iter().for_each(|(_, taken)| taken.lease.settle(None, &[]));
    schedule.insert((1000..=2000).map(|message| due(message, &format!("stalled {message}"), 0)));
    let (stalled, count) = leases(&schedule);
    assert_eq!((stalled.len(), count["good"]), (75, 1));
    schedule.insert((10..=20).map(|message| due(message, "good", 0)));
    let (leased, count) = leases(&schedule);
    assert!(count["good"] >= 2 && leased.len() == count["good"], "{count:?}");
}

#[test]
fn a_crowded_destination_keeps_what_it_bears() {
    let schedule = Arc::new(schedule_of(10));
    schedule.insert((1..=50).map(|message| due(message, "a", 0)));
    let (mut leased, _) = leases(&schedule);
    assert_eq!(leased.len(), 10);
    assert!(schedule.crowded("a"));
    leased.remove(0).1.lease.settle(Some(500), &[]);
    leased.remove(0).1.lease.settle(None, &[]);
    let (again, _) = leases(&schedule);
    assert_eq!(again.len() + leased.len(), 9);
}

#[test]
fn the_only_delivery_of_a_destination_does_not_crowd_it() {
    let schedule = Arc::new(schedule_of(10));
    schedule.insert([due(1, "a", 0)]);
    let _leased = leases(&schedule);
    assert!(!schedule.crowded("a") && !schedule.crowded("nobody"));
}

#[test]
fn the_rate_of_a_destination_holds_also_when_it_was_forgotten_between() {
    let schedule = Arc::new(schedule_of(10));
    let long = |message, name: &str| Due { expires: 1_000_000, ..due(message, name, 0) };
    schedule.set_limits(vec![("connector:x".to_owned(), Limits { at_a_time: 0, per_minute: 6 })]);
    schedule.insert((1..=2).map(|message| long(message, "connector:x:a.test")));
    let first = taken(&schedule, 0, 10);
    assert_eq!(first.len(), 1);
    first.into_iter().for_each(|(_, taken)| taken.lease.settle(None, &[]));
    assert!(taken(&schedule, 9_999, 10).is_empty());
    let second = taken(&schedule, 10_000, 10);
    second.into_iter().for_each(|(_, taken)| taken.lease.settle(None, &[]));
    schedule.insert([long(3, "connector:x:a.test"), long(4, "connector:x:b.test"), long(5, "connector:xy")]);
    let others: Vec<_> = taken(&schedule, 10_000, 10).into_iter().map(|(message, _)| message).collect();
    assert_eq!(others, [4, 5]);
}

#[test]
fn the_connections_of_a_destination_may_be_limited() {
    let schedule = Arc::new(schedule_of(10));
    schedule.set_limits(vec![("connector:x".to_owned(), Limits { at_a_time: 3, per_minute: 0 })]);
    schedule.insert((1..=20).map(|message| due(message, "connector:x", 0)));
    assert_eq!(taken(&schedule, 0, 100).len(), 3);
}

#[test]
fn plans_keep_their_distance_when_the_clock_is_set() {
    for by in [-1_000_000, 1_000_000] {
        let schedule = Arc::new(schedule_of(10));
        schedule.insert([Due { when: 500, ..due(1, "a", 0) }, due(2, "b", 0)]);
        let leased = taken(&schedule, 0, 10);
        schedule.down("b", 300, "refused");
        leased.into_iter().for_each(|(_, taken)| taken.lease.settle(Some(200), &[]));
        schedule.shift(by, schedule.mark());
        assert!(taken(&schedule, 299 + by, 10).is_empty());
        assert_eq!(taken(&schedule, 300 + by, 10).len(), 1);
        assert!(taken(&schedule, 500 + by, 10).iter().all(|(_, taken)| !taken.expired));
    }
}

#[test]
fn what_came_after_the_clock_was_set_is_left_as_it_is() {
    let schedule = Arc::new(schedule_of(10));
    schedule.insert([due(1, "a", 0)]);
    let mark = schedule.mark();
    schedule.shift(-1_000, mark);
    assert_eq!(taken(&schedule, 0, 10).len(), 1);
}
