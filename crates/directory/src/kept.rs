//! Things that others work out from a snapshot and keep with it.

use std::any::{Any, TypeId};
use std::sync::{Arc, PoisonError, RwLock};

use crate::Snapshot;

/// One thing of each type. The next snapshot begins with none.
#[derive(Debug, Default)]
pub(crate) struct Kept(RwLock<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>);

impl Snapshot {
    /// The `T` that is kept with this snapshot, and with its copies, but not with the snapshot after a change; the default
    /// where nobody has asked before. What is put into it must follow from the snapshot alone.
    pub fn kept<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let found = find(&self.kept.0.read().unwrap_or_else(PoisonError::into_inner));
        found.unwrap_or_else(|| {
            let mut kept = self.kept.0.write().unwrap_or_else(PoisonError::into_inner);
            find(&kept).unwrap_or_else(|| {
                let new = Arc::new(T::default());
                kept.push((TypeId::of::<T>(), Arc::clone(&new) as Arc<dyn Any + Send + Sync>));
                new
            })
        })
    }
}

fn find<T: Any + Send + Sync>(kept: &[(TypeId, Arc<dyn Any + Send + Sync>)]) -> Option<Arc<T>> {
    let (_, found) = kept.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
    Arc::clone(found).downcast().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::{ChangeBatch, Time};

    #[test]
    fn a_copy_shares_what_is_kept_and_the_next_snapshot_begins_anew() {
        let snapshot = Snapshot::empty();
        snapshot.kept::<AtomicU32>().store(7, Ordering::Relaxed);
        assert_eq!(snapshot.clone().kept::<AtomicU32>().load(Ordering::Relaxed), 7);
        let (author, comment) = (acl::well_known::SYSTEM, String::new());
        let nothing = ChangeBatch { author, time: Time(0), comment, changes: Vec::new() };
        let next = snapshot.apply(&nothing).unwrap().snapshot;
        assert_eq!(next.kept::<AtomicU32>().load(Ordering::Relaxed), 0);
        assert_eq!(snapshot.kept::<AtomicU32>().load(Ordering::Relaxed), 7);
    }
}
