//! Links between objects, in both directions.

use crate::ObjectId;
use crate::attributes::{ATTRIBUTES, Syntax};
use crate::index::Index;

/// All links. An entry of 12 octets each way; single links come and go without touching the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    pub(crate) forward: Index,
    pub(crate) back: Index,
    /// Bit `number % 64` is set if there ever was a link of that attribute: most attributes have none in most directories.
    seen: u64,
}

/// Number and name of each link attribute.
pub(crate) fn kinds() -> impl Iterator<Item = (u16, &'static str)> {
    let numbered = (0..).zip(ATTRIBUTES);
    numbered.filter(|(_, attribute)| matches!(attribute.syntax, Syntax::Link(_))).map(|(number, a)| (number, a.name))
}

/// Key of all links of one attribute of one object.
pub(crate) fn key(number: u16, id: ObjectId) -> u64 {
    u64::from(number) << 32 | u64::from(id.0)
}

impl Links {
    /// All links of a directory: forward and back entries.
    pub(crate) fn from_entries(forward: Vec<(u64, u32)>, back: Vec<(u64, u32)>) -> Links {
        let seen = forward.iter().fold(0, |seen, (key, _)| seen | 1 << (key >> 32 & 63));
        Links { forward: Index::from_entries(forward), back: Index::from_entries(back), seen }
    }

    /// Whether an object has links of an attribute.
    pub(crate) fn has(&self, number: u16, source: ObjectId) -> bool {
        self.seen >> (number & 63) & 1 != 0 && !self.forward.get(key(number, source)).is_empty()
    }

    pub(crate) fn targets(&self, number: u16, source: ObjectId) -> Vec<ObjectId> {
        self.forward.get(key(number, source)).into_iter().map(ObjectId).collect()
    }

    pub(crate) fn sources(&self, number: u16, target: ObjectId) -> Vec<ObjectId> {
        self.back.get(key(number, target)).into_iter().map(ObjectId).collect()
    }

    pub(crate) fn contains(&self, number: u16, source: ObjectId, target: ObjectId) -> bool {
        self.forward.contains(key(number, source), target.0)
    }

    pub(crate) fn insert(&mut self, number: u16, source: ObjectId, target: ObjectId) {
        self.seen |= 1 << (number & 63);
        self.forward.insert(key(number, source), target.0);
        self.back.insert(key(number, target), source.0);
    }

    pub(crate) fn remove(&mut self, number: u16, source: ObjectId, target: ObjectId) {
        self.forward.remove(key(number, source), target.0);
        self.back.remove(key(number, target), source.0);
    }

    pub(crate) fn settle(&mut self) {
        self.forward.settle();
        self.back.settle();
    }
}
