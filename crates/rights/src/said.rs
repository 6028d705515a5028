//! What records say of a decision: who asked, and its steps in words. Remembered with the snapshot that was decided on,
//! because one account that sends as another does so again and again, and finding the words costs more than deciding.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, PoisonError, RwLock};

use directory::{ObjectId, Snapshot, Token};

use crate::record::{TraceLine, Who, lines, token_name, who};
use crate::trace::Step;
use crate::transaction::Authority;

/// Decisions remembered with one snapshot; about 2 KB each.
const MOST: usize = 4096;
/// Decisions with more steps are not remembered: a header may name hundreds of addresses, in ever new orders.
const LONGEST: usize = 32;

/// The words for one decision.
#[derive(Debug)]
pub(crate) struct Said {
    about: About<Vec<Step>>,
    /// Who asked; the client is missing.
    pub(crate) who: Who,
    /// The steps.
    pub(crate) trace: Vec<TraceLine>,
}

/// All that the words depend on, beside the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct About<S> {
    connector: ObjectId,
    account: Option<ObjectId>,
    logon: Option<ObjectId>,
    token: &'static str,
    token_account: Option<ObjectId>,
    steps: S,
}

/// By hash.
#[derive(Debug, Default)]
struct Remembered {
    hasher: foldhash::fast::RandomState,
    said: RwLock<HashMap<u64, Arc<Said>, foldhash::fast::RandomState>>,
}

impl Said {
    /// The words for the decision of `token`, made in a session with `authority`, that rests on `steps`.
    pub(crate) fn of(snapshot: &Snapshot, authority: &Authority, token: &Token, steps: &[Step]) -> Arc<Said> {
        let about = About {
            connector: authority.connector,
            account: authority.account,
            logon: authority.logon,
            token: token_name(token),
            token_account: token.account,
            steps,
        };
        let remembered = snapshot.kept::<Remembered>();
        let hash = remembered.hasher.hash_one(&about);
        if let Some(said) = remembered.said.read().unwrap_or_else(PoisonError::into_inner).get(&hash)
            && said.is_about(&about)
        {
            return Arc::clone(said);
        }
        let said = Arc::new(Said {
            who: who(snapshot, authority, token, String::new()),
            trace: lines(snapshot, token, steps),
            about: About {
                connector: about.connector,
                account: about.account,
                logon: about.logon,
                token: about.token,
                token_account: about.token_account,
                steps: steps.to_vec(),
            },
        });
        if steps.len() > LONGEST {
            return said;
        }
        let mut all = remembered.said.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(hash, Arc::clone(&said));
        said
    }

    fn is_about(&self, about: &About<&[Step]>) -> bool {
        let own = &self.about;
        own.connector == about.connector
            && own.account == about.account
            && own.logon == about.logon
            && own.token == about.token
            && own.token_account == about.token_account
            && own.steps == about.steps
    }
}
