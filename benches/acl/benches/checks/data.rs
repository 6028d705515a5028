//! Descriptors and tokens like those of a directory: mostly inherited ACEs for property sets and rights, some groups
//! that everybody is in, many that few are in.

use std::collections::HashMap;

use acl::check::Token;
use acl::names::{Kind, NAMES};
use acl::{AccessMask, Ace, AceFlags, Acl, CompiledDacl, Guid, Principals, SecurityDescriptor, Sid, SidId, SidSet};
use acl::{guid, well_known};

/// Rights that are asked for: Send As and those of connectors.
pub const RIGHTS: [Guid; 8] = [
    guid!("ab721a54-1e2f-11d0-9819-00aa0040529b"),
    guid!("ab721a56-1e2f-11d0-9819-00aa0040529b"),
    guid!("ab721a55-1e2f-11d0-9819-00aa0040529b"),
    guid!("a18293f1-0685-4540-aa63-e32df421b3a2"),
    guid!("5c82f031-4e4c-4326-88e1-8c4f0cad9de5"),
    guid!("b857b50b-94a2-4b53-93f6-41cebd2fced0"),
    guid!("c22841f4-96cb-498a-ac02-f9a87c74eb14"),
    guid!("00299570-246d-11d0-a768-00aa006e0529"),
];

/// One question.
pub struct Pair {
    pub descriptor: usize,
    pub token: usize,
    pub right: usize,
    pub who: Principals,
}

pub struct World {
    pub descriptors: Vec<SecurityDescriptor>,
    pub bytes: Vec<Vec<u8>>,
    pub compiled: Vec<CompiledDacl>,
    pub tokens: Vec<Token>,
    pub sets: Vec<SidSet>,
    random: Random,
}

impl World {
    /// Tokens have 10, 50 and 200 SIDs in turn.
    pub fn new(descriptors: usize, tokens: usize) -> World {
        let mut random = Random(42);
        let universe: Vec<Sid> = (0..5_000).map(|i| Sid::new(5, &[21, 10, 20, 30, 1_000 + i])).collect();
        let descriptors: Vec<_> = (0..descriptors).map(|_| descriptor(&mut random, &universe)).collect();
        let mut ids: HashMap<Sid, SidId> = HashMap::new();
        let mut intern = |sid: &Sid| {
            let next = SidId(ids.len() as u32);
            *ids.entry(sid.clone()).or_insert(next)
        };
        let compiled = descriptors.iter().map(|sd| CompiledDacl::compile(sd, &mut intern)).collect();
        let tokens: Vec<Token> = (0..tokens).map(|i| token(&mut random, &universe, [10, 50, 200][i % 3])).collect();
        let sets = tokens.iter().map(|token| token.sids.iter().map(&mut intern).collect()).collect();
        let bytes = descriptors.iter().map(SecurityDescriptor::to_bytes).collect();
        World { descriptors, bytes, compiled, tokens, sets, random }
    }

    /// Random questions of tokens of one size.
    pub fn pairs(&mut self, count: usize, size: usize) -> Vec<Pair> {
        let tokens: Vec<usize> = self.tokens_of(size).collect();
        let random = &mut self.random;
        let pair = |_| Pair {
            descriptor: random.below(self.descriptors.len()),
            token: tokens[random.below(tokens.len())],
            right: if random.below(2) == 0 { 0 } else { random.below(RIGHTS.len()) },
            who: Principals { is_self: random.below(100) == 0, is_owner: false },
        };
        (0..count).map(pair).collect()
    }

    pub fn tokens_of(&self, size: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.tokens.len()).filter(move |at| self.tokens[*at].sids.len() == size)
    }

    pub fn average_aces(&self) -> f64 {
        let aces: usize = self.descriptors.iter().filter_map(|sd| sd.dacl.as_ref()).map(|dacl| dacl.aces.len()).sum();
        aces as f64 / self.descriptors.len() as f64
    }

    pub fn average_bytes(&self) -> usize {
        self.bytes.iter().map(Vec::len).sum::<usize>() / self.bytes.len()
    }

    /// Descriptors as bytes, without GUIDs: Samba's access check looks at plain ACEs only.
    pub fn plain(&self, count: usize) -> Vec<Vec<u8>> {
        let plain = |sd: &SecurityDescriptor| {
            let mut sd = sd.clone();
            for ace in sd.dacl.iter_mut().flat_map(|dacl| &mut dacl.aces) {
                *ace = match ace.is_deny() {
                    true => Ace::deny(ace.sid.clone(), ace.mask),
                    false => Ace::allow(ace.sid.clone(), ace.mask),
                };
            }
            sd.to_bytes()
        };
        self.descriptors.iter().take(count).map(plain).collect()
    }

    /// The same descriptors cut to their first ACEs.
    pub fn bytes_of(&self, aces: usize) -> Vec<Vec<u8>> {
        let cut = |sd: &SecurityDescriptor| {
            let mut sd = sd.clone();
            sd.dacl.iter_mut().for_each(|dacl| dacl.aces.truncate(aces));
            sd.to_bytes()
        };
        self.descriptors.iter().map(cut).collect()
    }
}

fn descriptor(random: &mut Random, universe: &[Sid]) -> SecurityDescriptor {
    let property_sets: Vec<Guid> = NAMES.iter().filter(|n| n.kind == Kind::PropertySet).map(|n| n.guid).collect();
    let aces = (0..40 + random.below(21)).map(|_| {
        let sid = match random.below(40) {
            0 => well_known::AUTHENTICATED_USERS,
            1 => well_known::EVERYONE,
            2 => well_known::SELF,
            _ => universe[random.below(universe.len())].clone(),
        };
        let deny = random.below(12) == 0;
        let ace = match random.below(20) {
            0..7 => Ace::allow_object(sid, AccessMask(0x30), property_sets[random.below(property_sets.len())]),
            7..14 => Ace::allow_object(sid, AccessMask::CONTROL_ACCESS, RIGHTS[random.below(RIGHTS.len())]),
            14 => Ace::allow(sid, AccessMask::DS_FULL_CONTROL),
            15 => Ace::allow(sid, AccessMask::CONTROL_ACCESS),
            _ => Ace::allow(sid, AccessMask(0x2_0094)),
        };
        let ace = if deny { Ace { ace_type: acl::AceType(ace.ace_type.0 + 1), ..ace } } else { ace };
        match random.below(3) {
            0 => ace,
            1 => ace.with_flags(AceFlags(0x12)),
            _ => Ace { inherited_object_type: Some(acl::names::USER), ..object(ace) }.with_flags(AceFlags(0x12)),
        }
    });
    let mut sd = SecurityDescriptor::with_dacl(Acl::new(aces.collect()));
    sd.owner = Some(universe[random.below(universe.len())].clone());
    sd.group = Some(universe[0].clone());
    sd
}

/// The object kind of an ACE.
fn object(ace: Ace) -> Ace {
    match ace.ace_type.0 {
        kind @ 0..=1 => Ace { ace_type: acl::AceType(kind + 5), ..ace },
        _ => ace,
    }
}

fn token(random: &mut Random, universe: &[Sid], size: usize) -> Token {
    let mut sids = vec![well_known::AUTHENTICATED_USERS, well_known::EVERYONE, well_known::NETWORK];
    while sids.len() < size {
        let sid = &universe[random.below(universe.len())];
        if !sids.contains(sid) {
            sids.push(sid.clone());
        }
    }
    Token::of(sids)
}

/// SplitMix64: the same world every time.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}
