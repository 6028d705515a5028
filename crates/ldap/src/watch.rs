//! Being told of changes (LDAP_SERVER_NOTIFICATION_OID, MS-ADTS 3.1.1.3.4.1.9): a connection of its own on which a domain
//! controller says when something changed. What it says is not looked at: that it speaks is reason to ask what changed.
//! Where it does not, the next look comes in its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crate::connection::LdapError;
use crate::followed::open;
use crate::message::{Filter, Scope, Search};
use crate::settings::{Address, Settings};
use crate::source::Told;

/// How often it is seen whether nobody wants to be told any more.
const GLANCE: Duration = Duration::from_millis(500);
/// A connection on which nothing was said for so long may be dead without a word.
const RENEWED: Duration = Duration::from_secs(600);

/// A watch; dropped, it ends soon.
#[derive(Debug)]
pub(crate) struct Watch {
    address: Address,
    state: Arc<AtomicU8>,
}

const BEGINS: u8 = 0;
const TELLS: u8 = 1;
const ENDED: u8 = 2;
const UNWANTED: u8 = 3;

impl Watch {
    /// Begins to watch a domain in a thread of its own; none where there is no thread to be had.
    pub(crate) fn begin(settings: &Settings, address: &Address, domain: &str, tell: Sender<Told>) -> Option<Watch> {
        let state = Arc::new(AtomicU8::new(BEGINS));
        let watch = Watch { address: address.clone(), state: Arc::clone(&state) };
        let (settings, address, domain) = (settings.clone(), address.clone(), domain.to_owned());
        let run = move || {
            while state.load(Ordering::Relaxed) != UNWANTED {
                match listen(&settings, &address, &domain, &tell, &state) {
                    Ok(()) => {}
                    Err(error) => {
                        tracing::debug!(server = %address, %error, "the domain controller does not tell of changes");
                        let _ = state.fetch_max(ENDED, Ordering::Relaxed);
                        return;
                    }
                }
            }
        };
        std::thread::Builder::new().name("directory-watch".into()).spawn(run).ok()?;
        Some(watch)
    }

    /// Whether the domain controller tells of changes.
    pub(crate) fn tells(&self) -> bool {
        self.state.load(Ordering::Relaxed) == TELLS
    }

    /// Whether it is a watch of this domain controller. One that ended stays so until another is followed, or the connection
    /// is made anew.
    pub(crate) fn is_of(&self, address: &Address) -> bool {
        self.address == *address
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.state.store(UNWANTED, Ordering::Relaxed);
    }
}

/// Listens until nobody wants it, or the connection has to be made anew.
fn listen(
    settings: &Settings,
    address: &Address,
    domain: &str,
    tell: &Sender<Told>,
    state: &AtomicU8,
) -> Result<(), LdapError> {
    let mut connection = open(settings, address)?;
    let search = Search {
        base: domain.to_owned(),
        scope: Scope::Subtree,
        filter: Filter::everything(),
        attributes: vec!["objectGUID".to_owned()],
    };
    let id = connection.watch(&search)?;
    let mut heard = Instant::now();
    loop {
        if connection.news(id, GLANCE)? {
            heard = Instant::now();
            // What changes from now on is told; what changed before is looked for.
            if tell.send(Told::Changed).is_err() {
                return Ok(());
            }
        }
        if state.load(Ordering::Relaxed) == UNWANTED || heard.elapsed() > RENEWED || connection.is_over() {
            return Ok(());
        }
        let _ = state.fetch_max(TELLS, Ordering::Relaxed);
    }
}
