//! Words of records are remembered with a snapshot: none is given to another decision.

use directory::{Class, Time, attributes as a};
use rights::{Asked, Authority, Circumstances, DecisionRecord, RightName, Transaction};

use crate::world::{Directory, World, address, allow, header};

/// Bob and Carol may send as Alice and on behalf of Dave, on two connectors, and open Alice's mailbox.
fn world() -> World {
    let mut world = World::new();
    world.user("alice").user("bob").user("carol").user("dave").add("Other", Class::ReceiveConnector, "domain");
    let submits = |world: &World| ["bob", "carol"].map(|name| allow(&world.sid(name), RightName::Submit));
    let (here, there) = (submits(&world), submits(&world));
    world.acl("Receive", &here).acl("Other", &there);
    let grants = ["bob", "carol"].map(|name| world.send_as(name));
    world.acl("alice", &grants).link("dave", a::PUBLIC_DELEGATES, &["bob", "carol"]);
    world
}

/// The record of a message.
fn sent(directory: &Directory, connector: &str, account: &str, from: &str) -> DecisionRecord {
    let snapshot = &directory.snapshot;
    let id = directory.id(account);
    let authority = Authority { account: Some(id), ..Authority::new(directory.id(connector), None) };
    let own = address(&format!("{account}@example.com"));
    let mut transaction = Transaction::mail_from(snapshot, &authority, Time(0), Some(&own), false).unwrap();
    let senders = header(from, None);
    let accepted = transaction.header(snapshot, &authority, Time(0), Ok(&senders)).unwrap();
    let remote = format!("{account}.example.com:1");
    let circumstances =
        Circumstances { id: "01J".to_owned(), time: Time(7), remote, authority: &authority, asked: Asked::default() };
    DecisionRecord::accepted(snapshot, circumstances, &accepted, "Q1").unwrap()
}

#[test]
fn a_record_says_the_same_whatever_was_recorded_before_it() {
    let world = world();
    let shared = world.load();
    for _ in 0..2 {
        for connector in ["Receive", "Other"] {
            for account in ["bob", "carol"] {
                for from in ["alice@example.com", "dave@example.com"] {
                    let alone = sent(&world.load(), connector, account, from);
                    assert_eq!(sent(&shared, connector, account, from), alone, "{connector} {account} {from}");
                }
            }
        }
    }
}
