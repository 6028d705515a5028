//! Tokens, memberships, delegates, AdminSDHolder.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use acl::{Sid, SidId, well_known};
use common::Organization;
use directory::{Change, HostKind, ObjectId, TokenError, attributes, protected};
use proptest::prelude::*;

const USERS: &str = "example.com/Users";

fn sids(o: &Organization, account: ObjectId) -> BTreeSet<Sid> {
    let token = o.snapshot.account_token(account).unwrap();
    token.sids.iter().map(|sid| o.snapshot.sid(sid)).collect()
}

fn domain(rid: u32) -> Sid {
    common::domain_sid().with_rid(rid).unwrap()
}

#[test]
fn a_plain_account_holds_itself_its_primary_group_and_everybody() {
    let mut o = Organization::new();
    let bob = o.user(USERS, "bob");
    let expected = [
        o.sid(bob),
        domain(513),
        well_known::EVERYONE,
        well_known::AUTHENTICATED_USERS,
        well_known::NETWORK,
        well_known::BUILTIN_USERS,
        well_known::BUILTIN_PRE_WINDOWS_2000,
    ];
    assert_eq!(sids(&o, bob), expected.into_iter().collect());
}

#[test]
fn nested_groups_count_and_a_distribution_group_stops_the_walk() {
    let mut o = Organization::new();
    let bob = o.user(USERS, "bob");
    let (inner, outer) = (o.group(USERS, "inner", true), o.group(USERS, "outer", true));
    let (list, behind) = (o.group(USERS, "list", false), o.group(USERS, "behind", true));
    o.join(inner, bob);
    o.join(outer, inner);
    o.join(inner, outer);
    o.join(list, bob);
    o.join(behind, list);
    let held = sids(&o, bob);
    assert!(held.contains(&o.sid(inner)) && held.contains(&o.sid(outer)));
    assert!(!held.contains(&o.sid(list)) && !held.contains(&o.sid(behind)));
    assert_eq!(o.snapshot.membership_path(bob, &o.sid(outer)), Some(vec![bob, inner, outer]));
    assert_eq!(o.snapshot.membership_path(bob, &o.sid(behind)), None);
    assert!(o.snapshot.is_member(bob, behind));
}

#[test]
fn former_sids_of_account_and_groups_count() {
    let mut o = Organization::new();
    let bob = o.user(USERS, "bob");
    let team = o.group(USERS, "team", true);
    o.join(team, bob);
    let (old, older): (Sid, Sid) = ("S-1-5-21-5-5-5-1".parse().unwrap(), "S-1-5-21-5-5-5-2".parse().unwrap());
    o.set(bob, attributes::SID_HISTORY, old.to_bytes());
    o.set(team, attributes::SID_HISTORY, older.to_bytes());
    let held = sids(&o, bob);
    assert!(held.contains(&old) && held.contains(&older));
    assert_eq!(o.snapshot.membership_path(bob, &older), Some(vec![bob, team]));
}

#[test]
fn members_of_the_legacy_group_are_legacy_servers() {
    let mut o = Organization::new();
    let bob = o.user(USERS, "bob");
    let team = o.group(USERS, "team", true);
    o.join(team, bob);
    assert!(!sids(&o, bob).contains(&well_known::LEGACY_EXCHANGE_SERVERS));
    o.join(o.id("ExchangeLegacyInterop"), team);
    assert!(sids(&o, bob).contains(&well_known::LEGACY_EXCHANGE_SERVERS));
}

#[test]
fn an_old_snapshot_keeps_its_tokens() {
    let mut o = Organization::new();
    let bob = o.user(USERS, "bob");
    let team = o.group(USERS, "team", true);
    let before = o.snapshot.clone();
    o.join(team, bob);
    let team_sid: SidId = o.snapshot.object(team).unwrap().sid().unwrap();
    assert!(!before.account_token(bob).unwrap().sids.contains(team_sid));
    assert!(o.snapshot.account_token(bob).unwrap().sids.contains(team_sid));
}

#[test]
fn a_change_that_moves_no_membership_keeps_the_tokens() {
    let mut o = Organization::new();
    let bob = o.user(USERS, "bob");
    let token = o.snapshot.account_token(bob).unwrap();
    let version = o.snapshot.membership_version();
    o.set(bob, attributes::DISPLAY_NAME, "Bob");
    o.user(USERS, "new");
    assert_eq!(o.snapshot.membership_version(), version);
    assert!(Arc::ptr_eq(&token, &o.snapshot.account_token(bob).unwrap()));
}

#[test]
fn snapshots_that_branch_do_not_share_tokens_of_their_new_accounts() {
    let mut o = Organization::new();
    let fork = |o: &mut Organization, name: &str| {
        let (parent, guid) = (o.guid(USERS), o.guids.next());
        let change = Change::Add(directory::organization::user(guid, parent, name, name));
        let snapshot = o.snapshot.apply(&common::batch(vec![change])).unwrap().snapshot;
        let id = snapshot.by_guid(&guid).unwrap();
        (snapshot, id)
    };
    let (one, first) = fork(&mut o, "first");
    let (other, second) = fork(&mut o, "second");
    assert_eq!(first, second, "the same row");
    let tokens = (one.account_token(first).unwrap(), other.account_token(second).unwrap());
    assert!(!Arc::ptr_eq(&tokens.0, &tokens.1));
}

#[test]
fn who_cannot_log_on_has_no_token() {
    let mut o = Organization::new();
    let bob = o.user(USERS, "bob");
    let team = o.group(USERS, "team", true);
    assert_eq!(o.snapshot.account_token(team), Err(TokenError::NotAnAccount));
    o.set(bob, attributes::USER_ACCOUNT_CONTROL, "514");
    assert_eq!(o.snapshot.account_token(bob), Err(TokenError::Disabled));
    o.apply(vec![Change::Delete { guid: o.guid_of(bob) }]);
    assert_eq!(o.snapshot.account_token(bob), Err(TokenError::Unknown));
}

#[test]
fn tokens_of_hosts_and_strangers_hold_no_account_sids() {
    let o = Organization::new();
    let of =
        |token: Arc<directory::Token>| -> BTreeSet<Sid> { token.sids.iter().map(|sid| o.snapshot.sid(sid)).collect() };
    let stranger = of(o.snapshot.anonymous_token());
    assert_eq!(stranger, [well_known::ANONYMOUS_LOGON, well_known::NETWORK].into_iter().collect());
    for (kind, sid) in [
        (HostKind::Partner { domain: "p.test".into() }, well_known::PARTNER_SERVERS),
        (HostKind::Hub, well_known::HUB_SERVERS),
        (HostKind::Edge, well_known::EDGE_SERVERS),
        (HostKind::ExternallySecured, well_known::EXTERNALLY_SECURED_SERVERS),
    ] {
        assert_eq!(of(o.snapshot.host_token(kind)), [sid].into_iter().collect());
    }
}

#[test]
fn a_delegate_is_found_directly_and_through_groups_of_any_type() {
    let mut o = Organization::new();
    let (ceo, alice, bob) = (o.user(USERS, "ceo"), o.user(USERS, "alice"), o.user(USERS, "bob"));
    let (list, team) = (o.group(USERS, "list", false), o.group(USERS, "team", true));
    o.join(list, team);
    o.join(team, bob);
    o.link(ceo, attributes::PUBLIC_DELEGATES, alice);
    o.link(ceo, attributes::PUBLIC_DELEGATES, list);
    assert_eq!(o.snapshot.is_delegate(ceo, alice), Some(vec![alice]));
    assert_eq!(o.snapshot.is_delegate(ceo, bob), Some(vec![bob, team, list]));
    assert_eq!(o.snapshot.is_delegate(alice, ceo), None);
    assert_eq!(o.snapshot.linked_from(alice, attributes::PUBLIC_DELEGATES), [ceo]);
    o.unlink(ceo, attributes::PUBLIC_DELEGATES, list);
    assert_eq!(o.snapshot.is_delegate(ceo, bob), None);
}

#[test]
fn members_of_protected_groups_are_protected_through_any_group_and_by_primary_group() {
    let mut o = Organization::new();
    let (admin, boss, bob) = (o.user(USERS, "admin"), o.user(USERS, "boss"), o.user(USERS, "bob"));
    let list = o.group(USERS, "list", false);
    o.join(o.id("Domain Admins"), list);
    o.join(list, admin);
    o.set(boss, attributes::PRIMARY_GROUP_ID, "512");
    assert!(o.snapshot.is_protected(admin) && o.snapshot.is_protected(boss));
    assert!(o.snapshot.is_protected(o.id("Domain Admins")));
    // A distribution group itself is not.
    assert!(!o.snapshot.is_protected(list) && !o.snapshot.is_protected(bob));
}

#[test]
fn the_task_puts_the_template_on_protected_accounts_once() {
    let mut o = Organization::new();
    let admin = o.user(USERS, "admin");
    o.join(o.id("Domain Admins"), admin);
    let changes = protected::changes(&o.snapshot);
    o.apply(changes);
    let object = o.snapshot.object(admin).unwrap();
    assert!(object.admin_count());
    let template = o.id("CN=AdminSDHolder,CN=System,DC=example,DC=com");
    assert_eq!(o.snapshot.explicit_descriptor(admin), o.snapshot.explicit_descriptor(template));
    assert!(o.snapshot.descriptor(admin).unwrap().sd().is_dacl_protected());
    assert_eq!(protected::changes(&o.snapshot), []);
    // Who leaves keeps what was done: an orphan.
    o.unlink(o.id("Domain Admins"), attributes::MEMBER, admin);
    assert_eq!(protected::orphans(&o.snapshot).collect::<Vec<_>>(), [admin]);
}

#[test]
fn a_new_account_is_protected_when_its_primary_group_is() {
    let mut o = Organization::new();
    o.join(o.id("BUILTIN\\Administrators"), o.id("Domain Users"));
    let before = o.user(USERS, "before");
    assert!(o.snapshot.is_protected(before));
    let after = o.user(USERS, "after");
    assert!(o.snapshot.is_protected(after));
}

#[test]
fn ds_heuristics_takes_operators_out() {
    let mut o = Organization::new();
    let bob = o.user(USERS, "bob");
    o.join(o.id("BUILTIN\\Account Operators"), bob);
    assert!(o.snapshot.is_protected(bob));
    let service = o.id("CN=Directory Service,CN=Windows NT,CN=Services,CN=Configuration,DC=example,DC=com");
    o.set(service, attributes::DS_HEURISTICS, "0000000001000001");
    assert!(!o.snapshot.is_protected(bob));
}

/// Groups and users, some groups for distribution only, and who is in what.
#[derive(Clone, Debug)]
struct Graph {
    security: Vec<bool>,
    groups_in_groups: Vec<(usize, usize)>,
    users_in_groups: Vec<usize>,
    removed: Vec<usize>,
}

fn graph() -> impl Strategy<Value = Graph> {
    (3usize..9).prop_flat_map(|n| {
        (
            prop::collection::vec(prop::bool::weighted(0.8), n),
            prop::collection::vec((0..n, 0..n), 0..2 * n),
            prop::collection::vec(0..n, 0..4),
            prop::collection::vec(0..2 * n, 0..4),
        )
            .prop_map(|(security, groups_in_groups, users_in_groups, removed)| Graph {
                security,
                groups_in_groups,
                users_in_groups,
                removed,
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_closure_is_that_of_a_naive_walk(graph in graph()) {
        let mut o = Organization::new();
        let user = o.user(USERS, "user");
        let groups: Vec<ObjectId> =
            graph.security.iter().enumerate().map(|(n, security)| o.group(USERS, &format!("g{n}"), *security)).collect();
        for n in &graph.users_in_groups {
            o.join(groups[*n], user);
        }
        for (outer, inner) in &graph.groups_in_groups {
            o.join(groups[*outer], groups[*inner]);
        }
        let mut edges = graph.groups_in_groups.clone();
        for n in &graph.removed {
            if let Some((outer, inner)) = edges.get(*n).copied() {
                o.unlink(groups[outer], attributes::MEMBER, groups[inner]);
                edges.retain(|edge| *edge != (outer, inner));
            }
        }
        let mut inside: BTreeSet<usize> =
            graph.users_in_groups.iter().copied().filter(|n| graph.security[*n]).collect();
        loop {
            let more: Vec<usize> = edges
                .iter()
                .filter(|(outer, inner)| inside.contains(inner) && graph.security[*outer])
                .map(|(outer, _)| *outer)
                .filter(|outer| !inside.contains(outer))
                .collect();
            if more.is_empty() {
                break;
            }
            inside.extend(more);
        }
        let held = sids(&o, user);
        for (n, group) in groups.iter().enumerate() {
            let sid = o.sid(*group);
            prop_assert_eq!(held.contains(&sid), inside.contains(&n), "group {}", n);
            prop_assert_eq!(o.snapshot.membership_path(user, &sid).is_some(), inside.contains(&n));
        }
    }
}
