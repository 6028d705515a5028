//! Security descriptors, each stored once, and effective ones derived once.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use acl::{CompiledDacl, Control, SecurityDescriptor, SidId};
use sha2::{Digest, Sha256};

use crate::index::hash;
use crate::sids::SidTable;

/// The first 16 octets of SHA-256 over the descriptor in Windows layout: names a descriptor in history and traces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DescriptorHash(pub [u8; 16]);

impl fmt::Display for DescriptorHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DescriptorHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An effective security descriptor: explicit ACEs, then inherited ones. Objects with equal ones share it.
#[derive(Debug)]
pub struct Descriptor {
    number: u64,
    sd: SecurityDescriptor,
    owner: Option<SidId>,
    dacl: CompiledDacl,
    hash: OnceLock<DescriptorHash>,
}

impl Descriptor {
    /// The descriptor.
    pub fn sd(&self) -> &SecurityDescriptor {
        &self.sd
    }

    /// The number of its owner's SID.
    pub fn owner(&self) -> Option<SidId> {
        self.owner
    }

    /// Its DACL, prepared for checks; entry numbers are those of `sd().dacl`.
    pub fn dacl(&self) -> &CompiledDacl {
        &self.dacl
    }

    /// Its name by content.
    pub fn hash(&self) -> DescriptorHash {
        *self.hash.get_or_init(|| {
            let digest = Sha256::digest(self.sd.to_bytes());
            let mut hash = [0; 16];
            hash.copy_from_slice(&digest[..16]);
            DescriptorHash(hash)
        })
    }
}

/// The explicit part of a descriptor, as it is durable.
#[derive(Debug)]
pub(crate) struct Explicit {
    number: u64,
    /// Empty: it could not be read.
    pub(crate) bytes: Box<[u8]>,
    is_readable: bool,
}

impl Explicit {
    /// Whether there is a descriptor.
    pub(crate) fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// The descriptor; none when it could not be read.
    pub(crate) fn parse(&self) -> Option<SecurityDescriptor> {
        readable(&self.bytes)
    }
}

/// A descriptor of which the DACL is known. Without one (a dump made without the right to read it) it would grant
/// everything to everybody: such a descriptor is unreadable.
pub(crate) fn readable(bytes: &[u8]) -> Option<SecurityDescriptor> {
    SecurityDescriptor::parse(bytes).ok().filter(|sd| sd.control.contains(Control::DACL_PRESENT))
}

/// What an effective descriptor was derived from: the rule, the parent's descriptor, the explicit part. Class, owner
/// and group are in these (a rule is a class or "mailbox").
type Derivation = (u16, u64, u64);

/// Stores each explicit and each effective descriptor once, and remembers derivations. Holds them weakly: what no
/// snapshot uses is freed.
#[derive(Debug, Default)]
pub(crate) struct DescriptorTable {
    next: AtomicU64,
    explicit: Mutex<Weakly<u64, Explicit>>,
    effective: Mutex<Weakly<u64, Descriptor>>,
    derived: Mutex<Weakly<Derivation, Descriptor>>,
}

impl DescriptorTable {
    /// The one copy of an explicit descriptor.
    pub(crate) fn explicit(&self, bytes: &[u8]) -> Arc<Explicit> {
        let mut table = self.explicit.lock().unwrap_or_else(PoisonError::into_inner);
        let key = hash(bytes);
        if let Some(found) = table.get(&key)
            && *found.bytes == *bytes
        {
            return found;
        }
        let new =
            Arc::new(Explicit { number: self.number(), bytes: bytes.into(), is_readable: readable(bytes).is_some() });
        table.insert(key, &new);
        new
    }

    /// The effective descriptor that `derive` makes of parent and explicit part, made only when it is not remembered.
    /// `derive` gives nothing when something is unreadable.
    pub(crate) fn effective(
        &self,
        sids: &SidTable,
        rule: u16,
        parent: Option<&Descriptor>,
        explicit: &Explicit,
        derive: impl FnOnce() -> Option<SecurityDescriptor>,
    ) -> Option<Arc<Descriptor>> {
        let key = (rule, parent.map_or(u64::MAX, |parent| parent.number), explicit.number);
        if let Some(found) = self.derived.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Some(found);
        }
        let descriptor = self.store(sids, derive()?);
        self.derived.lock().unwrap_or_else(PoisonError::into_inner).insert(key, &descriptor);
        Some(descriptor)
    }

    /// The one copy of an effective descriptor.
    fn store(&self, sids: &SidTable, sd: SecurityDescriptor) -> Arc<Descriptor> {
        let mut table = self.effective.lock().unwrap_or_else(PoisonError::into_inner);
        let key = hash(&sd);
        if let Some(found) = table.get(&key)
            && found.sd == sd
        {
            return found;
        }
        let dacl = CompiledDacl::compile(&sd, &mut |sid| sids.intern(sid));
        let owner = sd.owner.as_ref().map(|owner| sids.intern(owner));
        let new = Arc::new(Descriptor { number: self.number(), sd, owner, dacl, hash: OnceLock::new() });
        table.insert(key, &new);
        new
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// A map that does not keep its values alive, swept when it has doubled.
#[derive(Debug)]
struct Weakly<K, V> {
    map: HashMap<K, Weak<V>, foldhash::fast::FixedState>,
    sweep_at: usize,
}

impl<K, V> Default for Weakly<K, V> {
    fn default() -> Weakly<K, V> {
        Weakly { map: HashMap::default(), sweep_at: 1024 }
    }
}

impl<K: Eq + Hash, V> Weakly<K, V> {
    fn get(&self, key: &K) -> Option<Arc<V>> {
        self.map.get(key)?.upgrade()
    }

    fn insert(&mut self, key: K, value: &Arc<V>) {
        if self.map.len() >= self.sweep_at {
            self.map.retain(|_, value| value.strong_count() > 0);
            self.sweep_at = (self.map.len() * 2).max(1024);
        }
        self.map.insert(key, Arc::downgrade(value));
    }
}
