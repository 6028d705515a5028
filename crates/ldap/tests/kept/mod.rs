//! Where tests have what is found go.

#![allow(dead_code)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use acl::{Guid, well_known};
use directory::{Change, Doubt, Snapshot, Time};
use ldap::Sink;

/// Keeps what is found in memory.
#[derive(Default)]
pub struct Kept(Mutex<Option<Arc<Snapshot>>>, Mutex<Option<String>>, AtomicUsize);

impl Kept {
    /// How often it was said whether decisions may be made: once each time that domain controllers were looked for.
    pub fn rounds(&self) -> usize {
        self.2.load(Ordering::SeqCst)
    }
}

impl Sink for Kept {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.lock().unwrap().get_or_insert_with(|| Arc::new(Snapshot::empty())).clone()
    }

    fn follow(&self, comment: &str, plan: &mut dyn FnMut(&Snapshot) -> Vec<Change>) -> Result<Vec<String>, String> {
        let mut now = Snapshot::clone(&self.snapshot());
        let mut problems = Vec::new();
        for _ in 0..5 {
            let changes = plan(&now);
            if changes.is_empty() {
                problems.clear();
                break;
            }
            let outcome = ldap::mirror::make(&now, &well_known::SYSTEM, Time(0), comment, changes);
            (now, problems) = (outcome.snapshot, outcome.problems);
        }
        *self.0.lock().unwrap() = Some(Arc::new(now));
        Ok(problems)
    }

    fn remembered(&self) -> Option<String> {
        self.1.lock().unwrap().clone()
    }

    fn remember(&self, state: &str) -> Result<(), String> {
        *self.1.lock().unwrap() = Some(state.to_owned());
        Ok(())
    }

    fn password_changed(&self, _: &Guid) {}

    fn available(&self, _: bool, _: &Doubt) {
        self.2.fetch_add(1, Ordering::SeqCst);
    }
}
