//! An executable specification: `allowed(A)` and the header rules read literally from `authorization.md` §4-§5 over plain
//! vectors and sets, compared with `decide` on random organizations.
//!
//! The specification shares nothing with the engine but SIDs and addresses: it computes tokens by walking memberships,
//! reads ACEs one after the other, and inherits by hand.

mod specification;
mod world;

use message::rewrite::SenderEdit;
use message::senders::{Mailbox, Resent, Senders};
use proptest::prelude::*;
use rights::{
    Authority, DescriptorKind, Facts, Grant, NoTrace, Permission, Proof, Question, Refusal, SendAsAudit, Steps,
    Transaction, Via, decide, differences, what_can, who_can, who_people,
};

use specification::{Edit, How, Specification};
use world::{ADDRESSES, address};

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_envelope_sender_is_allowed_exactly_where_the_specification_allows_it(
        world in world::worlds(), who in 0..world::USERS + 1, logon in proptest::option::of(0..world::USERS),
        sender in 0..ADDRESSES.len(),
    ) {
        let directory = world.directory();
        let spec = Specification { world: &world, account: (who < world::USERS).then_some(who), logon };
        let facts = Facts { connector: directory.connector, logon: logon.map(|user| directory.users[user]), time: directory::Time(0) };
        let Some(token) = directory.token(spec.account) else { return Ok(()) };
        let sender = address(ADDRESSES[sender]);
        let fast = decide::<NoTrace>(&directory.snapshot, &token, &facts, &Question::Sender(&sender));
        let traced = decide::<Steps>(&directory.snapshot, &token, &facts, &Question::Sender(&sender));
        prop_assert_eq!(&fast.reason, &traced.reason, "the trace changed the verdict");
        let expected = spec.allowed(sender.as_str());
        match (&fast.reason, expected) {
            (Ok(Grant::Sender(proof)), Some(how)) => prop_assert_eq!(shape(proof), how),
            (Err(Refusal::Sender(refused)), None) => prop_assert_eq!(refused, &sender),
            (reason, expected) => prop_assert!(false, "engine {reason:?}, specification {expected:?}"),
        }
    }

    #[test]
    fn header_senders_are_allowed_and_stamped_exactly_as_the_specification_says(
        world in world::worlds(), who in 0..world::USERS + 1, logon in proptest::option::of(0..world::USERS),
        from in proptest::collection::vec(0..ADDRESSES.len(), 0..3), sender in proptest::option::of(0..ADDRESSES.len()),
        resent in proptest::option::of((proptest::collection::vec(0..ADDRESSES.len(), 1..3), proptest::option::of(0..ADDRESSES.len()))),
    ) {
        let directory = world.directory();
        let spec = Specification { world: &world, account: (who < world::USERS).then_some(who), logon };
        let facts = Facts { connector: directory.connector, logon: logon.map(|user| directory.users[user]), time: directory::Time(0) };
        let Some(token) = directory.token(spec.account) else { return Ok(()) };
        let mailbox = |index: &usize| Mailbox { display_name: None, address: address(ADDRESSES[*index]) };
        let senders = Senders {
            from: from.iter().map(mailbox).collect(),
            sender: sender.as_ref().map(mailbox),
            resent: resent.as_ref().map(|(from, sender)| Resent {
                from: from.iter().map(mailbox).collect(),
                sender: sender.as_ref().map(mailbox),
            }),
        };
        let verdict = decide::<NoTrace>(&directory.snapshot, &token, &facts, &Question::Header(Ok(&senders)));
        let text = |mailboxes: &[usize]| mailboxes.iter().map(|index| ADDRESSES[*index]).collect::<Vec<_>>();
        let expected = spec.header(&text(&from), sender.map(|index| ADDRESSES[index])).and_then(|edit| match &resent {
            Some((from, sender)) => {
                spec.pair(&text(from), sender.map(|index| ADDRESSES[index])).map(|resent| (edit, resent))
            }
            None => Some((edit, Edit::Keep)),
        });
        match (verdict.reason, expected) {
            (Ok(Grant::Header(grant)), Some((sender, resent))) => {
                prop_assert_eq!(edit(&grant.sender), sender);
                prop_assert_eq!(edit(&grant.resent_sender), resent);
            }
            (Err(_), None) => {}
            (reason, expected) => prop_assert!(false, "engine {reason:?}, specification {expected:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases() / 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_can_and_what_can_list_exactly_whom_the_specification_allows(world in world::worlds()) {
        let directory = world.directory();
        for permission in Permission::ALL {
            let mut by_owner = Vec::new();
            let mut by_account = Vec::new();
            let mut expected = Vec::new();
            for (r, owner) in directory.users.iter().enumerate() {
                by_owner.extend(who_people(&directory.snapshot, *owner, permission).into_iter().map(|p| (p.account, p.target)));
                by_account.extend(what_can(&directory.snapshot, *owner, permission).into_iter().map(|p| (p.account, p.target)));
                for (a, account) in directory.users.iter().enumerate() {
                    if holds(&world, permission, a, r).is_some() {
                        expected.push((*account, *owner));
                    }
                }
            }
            by_owner.sort();
            by_account.sort();
            expected.sort();
            prop_assert_eq!(&by_owner, &expected, "who-can {}", permission.name());
            // What has no address is nobody's to send as.
            let reachable = |(_, owner): &(_, _)| {
                let r = directory.users.iter().position(|user| user == owner).expect("a user");
                permission == Permission::FullAccess || world.users[r].has_address
            };
            expected.retain(reachable);
            prop_assert_eq!(&by_account, &expected, "what-can {}", permission.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases() / 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn differences_are_those_of_the_specification(world in world::worlds(), other in world::worlds(), parts in any::<[bool; 3]>()) {
        let directory = world.directory();
        let changed = world.with_parts_of(&other, parts);
        let after = directory.snapshot.apply(&changed.as_changes(&world)).expect("the change applies").snapshot;
        let mut found: Vec<_> = differences(&directory.snapshot, &after)
            .into_iter()
            .map(|d| (d.person.permission, d.person.target, d.person.account, d.person.needs_logon, d.gained))
            .collect();
        found.sort();
        let mut expected = Vec::new();
        for permission in Permission::ALL {
            for (r, owner) in directory.users.iter().enumerate() {
                for (a, account) in directory.users.iter().enumerate() {
                    let (old, new) = (holds(&world, permission, a, r), holds(&changed, permission, a, r));
                    if old != new {
                        expected.extend(old.map(|logon| (permission, *owner, *account, logon, false)));
                        expected.extend(new.map(|logon| (permission, *owner, *account, logon, true)));
                    }
                }
            }
        }
        expected.sort();
        // An account that changed elsewhere is looked up by what it can send as, and an owner without an address is
        // nobody's to send as: those are the owners' own differences only.
        let reachable = |(permission, owner, ..): &(Permission, directory::ObjectId, directory::ObjectId, bool, bool)| {
            let r = directory.users.iter().position(|user| user == owner).expect("a user");
            *permission == Permission::FullAccess || world.users[r].has_address
        };
        found.retain(reachable);
        expected.retain(reachable);
        prop_assert_eq!(found, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases() / 3, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_audit_by_descriptor_lists_what_each_owner_lists_alone(mut world in world::worlds()) {
        // A linked account is its owner's SELF for one owner only; the audit is about entries.
        world.users.iter_mut().for_each(|user| user.master = None);
        let directory = world.directory();
        let mut audit = SendAsAudit::new(&directory.snapshot);
        for owner in &directory.users {
            let alone: Vec<_> = who_can(&directory.snapshot, *owner, Permission::SendAs)
                .into_iter()
                .filter(|row| row.effective && row.object != Some(*owner))
                .filter_map(|row| match row.via {
                    Via::Ace { kind: DescriptorKind::Object, index, deny: false, .. } => Some((index, row.trustee?)),
                    _ => None,
                })
                .collect();
            let audited: Vec<_> = audit.entries(*owner).iter().map(|e| (e.index, e.trustee.clone())).collect();
            prop_assert_eq!(audited, alone);
            let people: Vec<_> = who_people(&directory.snapshot, *owner, Permission::SendAs)
                .into_iter()
                .filter(|person| matches!(person.proof, Some(Proof::SendAs(_))))
                .map(|person| person.account)
                .collect();
            prop_assert_eq!(audit.people(*owner).collect::<Vec<_>>(), people);
        }
    }
}

/// Whether the specification allows it, and whether only with a mailbox logon. A disabled account may nothing.
fn holds(world: &world::World, permission: Permission, account: usize, r: usize) -> Option<bool> {
    if world.users[account].disabled {
        return None;
    }
    let spec = |logon| Specification { world, account: Some(account), logon };
    match permission {
        Permission::SendAs if spec(None).sends_as(r) => Some(false),
        Permission::SendAs => spec(Some(r)).sends_as(r).then_some(true),
        Permission::SendOnBehalf => spec(None).on_behalf(r).then_some(false),
        Permission::FullAccess => spec(None).full_access(r).then_some(false),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_message_passes_exactly_where_one_token_alone_allows_all_of_it(
        world in world::worlds(), other in world::worlds(), parts in any::<[bool; 3]>(), change_after in 0..5usize,
        who in 0..world::USERS + 1, logon in proptest::option::weighted(0.3, 0..world::USERS),
        sender in proptest::option::of(0..ADDRESSES.len()), recipients in proptest::collection::vec(0..ADDRESSES.len(), 1..4),
        from in proptest::collection::vec(0..ADDRESSES.len(), 0..3),
    ) {
        let directory = world.directory();
        let account = (who < world::USERS).then_some(who);
        if directory.token(account).is_none() {
            return Ok(());
        }
        // The directory changes at one point of the transaction; what was granted by then is weighed anew.
        let changed = world.with_parts_of(&other, parts);
        let later = directory.snapshot.apply(&changed.as_changes(&world)).expect("the change applies").snapshot;
        let at = |step: usize| if step < change_after { (&world, &directory.snapshot) } else { (&changed, &later) };
        let mut authority = Authority::new(directory.connector, None);
        authority.account = account.map(|user| directory.users[user]);
        authority.logon = account.and(logon).map(|user| directory.users[user]);
        let tokens: Vec<Option<usize>> = account.map(Some).into_iter().chain([None]).collect();
        let specs = |world| tokens.iter().map(|account| Specification { world, account: *account, logon }).collect::<Vec<_>>();
        let reverse = sender.map(|index| address(ADDRESSES[index]));
        let admits = |spec: &Specification<'_>| {
            spec.may_submit() && sender.is_none_or(|index| spec.allowed(ADDRESSES[index]).is_some())
        };
        let time = directory::Time(0);
        let (now, snapshot) = at(0);
        let ended = |world: &world::World| account.is_some_and(|account| world.users[account].disabled);
        let transaction = Transaction::mail_from(snapshot, &authority, time, reverse.as_ref(), false);
        prop_assert_eq!(transaction.is_ok(), !ended(now) && specs(now).iter().any(admits), "MAIL FROM");
        let Ok(mut transaction) = transaction else { return Ok(()) };
        let mut accepted: Vec<usize> = Vec::new();
        for (index, to) in recipients.iter().enumerate() {
            let (now, snapshot) = at(index + 1);
            // Tokens that admit the sender and every recipient so far, as things are now.
            let left: Vec<_> = specs(now).into_iter().filter(|spec| admits(spec) && accepted.iter().all(|a| spec.recipient(ADDRESSES[*a]))).collect();
            let expected = !ended(now) && left.iter().any(|spec| spec.recipient(ADDRESSES[*to]));
            let answer = transaction.recipient(snapshot, &authority, time, &address(ADDRESSES[*to]));
            prop_assert_eq!(answer.is_ok(), expected, "RCPT TO {}", ADDRESSES[*to]);
            if expected {
                accepted.push(*to);
            } else if ended(now) || left.is_empty() {
                return Ok(());
            }
        }
        let (now, snapshot) = at(4);
        let senders = Senders {
            from: from.iter().map(|index| Mailbox { display_name: None, address: address(ADDRESSES[*index]) }).collect(),
            ..Senders::default()
        };
        let left: Vec<_> = specs(now).into_iter().filter(|spec| admits(spec) && accepted.iter().all(|a| spec.recipient(ADDRESSES[*a]))).collect();
        let text: Vec<&str> = from.iter().map(|index| ADDRESSES[*index]).collect();
        let expected = left.iter().find(|spec| !ended(now) && spec.header(&text, None).is_some());
        let answer = transaction.header(snapshot, &authority, time, Ok(&senders));
        match (&answer, expected) {
            (Ok(accepted), Some(spec)) => {
                prop_assert_eq!(accepted.token.account, spec.account.map(|user| directory.users[user]));
                let bypass = left.iter().any(|spec| spec.connector_rights()[4]);
                prop_assert_eq!(transaction.size_limit(snapshot, &authority, time).is_none(), bypass);
            }
            (Err(_), None) => {}
            (answer, expected) => prop_assert!(false, "engine {answer:?}, specification {:?}", expected.map(|spec| spec.account)),
        }
    }
}

/// Random organizations, senders and sessions; more in a long run (`PROPTEST_CASES`).
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(3000)
}

fn shape(proof: &Proof) -> How {
    match proof {
        Proof::Owner(_) | Proof::SendAs(_) | Proof::SuperDelegate(_) | Proof::Legacy(_) => How::As,
        Proof::OnBehalf(_) => How::OnBehalf,
        Proof::Partner | Proof::AnySender => How::Any,
    }
}

fn edit(edit: &SenderEdit) -> Edit {
    match edit {
        SenderEdit::Keep => Edit::Keep,
        SenderEdit::Remove => Edit::Remove,
        SenderEdit::Set(mailbox) => Edit::Set(mailbox.address.to_string()),
    }
}
