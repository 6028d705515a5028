//! Random descriptors, tokens and questions from a small universe, so that they have something to do with each other.

use std::sync::LazyLock;

use acl::check::{Token, TreeNode};
use acl::condition::{Expression, Literal, Operator, Token as ConditionToken};
use acl::{AccessMask, Ace, AceFlags, AceType, Acl, Control, Guid, SecurityDescriptor, Sid, well_known};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

#[derive(Clone, Debug)]
pub struct Input {
    pub sd: SecurityDescriptor,
    pub token: Token,
    pub access: AccessMask,
    pub self_sid: Option<Sid>,
}

pub static UNIVERSE: LazyLock<Vec<Sid>> = LazyLock::new(|| {
    let account = |rid| Sid::new(5, &[21, 1, 2, 3, rid]);
    let mut sids: Vec<Sid> = (1101..1107).map(account).collect();
    sids.extend([
        well_known::EVERYONE,
        well_known::AUTHENTICATED_USERS,
        well_known::SELF,
        well_known::OWNER_RIGHTS,
        well_known::CREATOR_OWNER,
        well_known::CREATOR_GROUP,
    ]);
    sids
});

/// GUIDs of a small schema: 0 is the class, 1 and 2 property sets, the others attributes.
const GUIDS: [Guid; 7] = [
    Guid::from_u128(0xbf967aba_0de6_11d0_a285_00aa003049e2),
    Guid::from_u128(0x77b5b886_944a_11d1_aebd_0000f80367c1),
    Guid::from_u128(0xe48d0154_bcf8_11d1_8702_00c04fb96050),
    Guid::from_u128(0xbf967a06_0de6_11d0_a285_00aa003049e2),
    Guid::from_u128(0xbf967a49_0de6_11d0_a285_00aa003049e2),
    Guid::from_u128(0xbf967961_0de6_11d0_a285_00aa003049e2),
    Guid::from_u128(0xab721a54_1e2f_11d0_9819_00aa0040529b),
];

pub fn guid() -> impl Strategy<Value = Guid> {
    select(GUIDS.to_vec())
}

pub fn sid() -> impl Strategy<Value = Sid> {
    select(UNIVERSE.clone())
}

pub fn sids() -> impl Strategy<Value = Vec<Sid>> {
    proptest::sample::subsequence(UNIVERSE[..8].to_vec(), 0..=8)
}

pub fn classes() -> impl Strategy<Value = Vec<Guid>> {
    proptest::sample::subsequence(GUIDS[..3].to_vec(), 0..=3)
}

/// Rights that meet each other often.
fn mask() -> impl Strategy<Value = AccessMask> {
    let bits = [0x1, 0x8, 0x10, 0x20, 0x100, 0x2_0000, 0x4_0000, 0x8_0000];
    prop_oneof![
        12 => vec(select(bits.to_vec()), 0..5).prop_map(|bits| AccessMask(bits.into_iter().fold(0, |all, bit| all | bit))),
        1 => Just(AccessMask::DS_FULL_CONTROL),
        1 => select(vec![AccessMask::GENERIC_ALL, AccessMask::GENERIC_READ, AccessMask::GENERIC_WRITE, AccessMask(0xFFFF_FFFF)]),
    ]
}

fn wanted() -> impl Strategy<Value = AccessMask> {
    let extra = select(vec![0, 0, 0, 0, 0, 0, 0x200_0000, 0x100_0000]);
    let few = [0x8, 0x10, 0x100, 0x100, 0x130, 0x30, 0x2_0000, 0x4_0010, 0x8_0000, 0x4000_0000, 0];
    (select(few.to_vec()), extra).prop_map(|(mask, extra)| AccessMask(mask | extra))
}

fn flags() -> impl Strategy<Value = AceFlags> {
    prop_oneof![5 => Just(AceFlags(0)), 4 => (0u8..0x20).prop_map(AceFlags)]
}

/// Conditions on membership only: what the hot path knows too.
fn condition() -> impl Strategy<Value = Vec<u8>> {
    let member = (vec(sid(), 0..3), any::<bool>()).prop_map(|(sids, any)| {
        let set = Literal::Composite(sids.into_iter().map(Literal::Sid).collect());
        let operator = if any { Operator::MemberOfAny } else { Operator::MemberOf };
        vec![ConditionToken::Literal(set), ConditionToken::Operator(operator)]
    });
    let unknown = Just(vec![ConditionToken::Attribute { source: acl::condition::Source::User, name: "title".into() }]);
    let leaf = prop_oneof![4 => member, 1 => unknown];
    let tree = leaf.prop_recursive(3, 12, 2, |inner| {
        (inner.clone(), inner, select(vec![Operator::And, Operator::Or, Operator::Not])).prop_map(|(a, b, operator)| {
            let mut tokens = a;
            if operator != Operator::Not {
                tokens.extend(b);
            }
            tokens.push(ConditionToken::Operator(operator));
            tokens
        })
    });
    prop_oneof![
        8 => tree.prop_map(|tokens| Expression { tokens }.to_bytes()),
        1 => vec(any::<u8>(), 0..12),
        1 => vec(any::<u8>(), 0..12).prop_map(|bytes| [b"artx".to_vec(), bytes].concat()),
    ]
}

fn ace() -> impl Strategy<Value = Ace> {
    let kinds = vec![0u8, 0, 0, 1, 1, 5, 5, 5, 6, 6, 9, 10, 11, 12, 2];
    let parts = (select(kinds), flags(), mask(), option::of(guid()), option::weighted(0.3, guid()), sid(), condition());
    parts.prop_map(|(kind, flags, mask, object_type, inherited_object_type, sid, condition)| {
        let ace_type = AceType(kind);
        let object = ace_type.is_object();
        Ace {
            ace_type,
            flags,
            mask,
            object_type: object_type.filter(|_| object),
            inherited_object_type: inherited_object_type.filter(|_| object),
            sid,
            data: if ace_type.is_callback() { condition.into() } else { acl::Coda::EMPTY },
        }
    })
}

fn descriptor() -> impl Strategy<Value = SecurityDescriptor> {
    let dacl = prop_oneof![30 => vec(ace(), 0..12).prop_map(Some), 1 => Just(None)];
    (dacl, option::weighted(0.8, sid()), any::<bool>()).prop_map(|(aces, owner, present)| {
        let mut sd = SecurityDescriptor { owner, ..SecurityDescriptor::default() };
        sd.control = Control::SELF_RELATIVE;
        sd.control.set(Control::DACL_PRESENT, present || aces.is_some());
        sd.dacl = aces.map(Acl::new);
        sd
    })
}

fn token() -> impl Strategy<Value = Token> {
    let privileges = (proptest::bool::weighted(0.2), proptest::bool::weighted(0.1));
    (sids(), sids(), proptest::bool::weighted(0.3), privileges).prop_map(
        |(sids, deny_only, use_deny, (security, take))| Token {
            sids,
            deny_only: if use_deny { deny_only } else { Vec::new() },
            security_privilege: security,
            take_ownership_privilege: take,
            ..Token::default()
        },
    )
}

pub fn input() -> impl Strategy<Value = Input> {
    (descriptor(), token(), wanted(), option::of(select(UNIVERSE[..4].to_vec())))
        .prop_map(|(sd, token, access, self_sid)| Input { sd, token, access, self_sid })
}

/// Class, property sets, attributes within and beside them; some left out.
pub fn tree() -> impl Strategy<Value = Vec<TreeNode>> {
    proptest::sample::subsequence((1..7).collect::<Vec<usize>>(), 0..=6).prop_map(|kept| {
        let levels = [0, 1, 1, 2, 2, 2, 1];
        let order = [0, 1, 3, 4, 2, 5, 6];
        let mut tree = vec![TreeNode { level: 0, guid: GUIDS[0] }];
        for index in order.into_iter().skip(1).filter(|index| kept.contains(index)) {
            let parent_there = levels[index] == 1 || kept.contains(&if index == 5 { 2 } else { 1 });
            let level = if parent_there { levels[index] } else { 1 };
            tree.push(TreeNode { level, guid: GUIDS[index] });
        }
        tree
    })
}

pub fn path() -> impl Strategy<Value = Vec<Guid>> {
    select(vec![vec![0], vec![0, 1], vec![0, 1, 3], vec![0, 5], vec![6]])
        .prop_map(|indices| indices.into_iter().map(|i: usize| GUIDS[i]).collect())
}
