//! What is done from time to time.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use admin::Service;

use crate::cli::fault::Failure;

/// The AdminSDHolder task: now, and every `minutes`. It ends when what is returned is dropped.
pub(super) fn protect_regularly(service: Arc<Service>, minutes: u64) -> Result<Sender<()>, Failure> {
    let (stop, stopped) = channel::<()>();
    thread::Builder::new()
        .name("adminsdholder".into())
        .spawn(move || {
            loop {
                match service.protect() {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "AdminSDHolder: descriptors replaced"),
                    Err(fault) => tracing::error!("AdminSDHolder: {fault}"),
                }
                match stopped.recv_timeout(Duration::from_secs(minutes * 60)) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })
        .map_err(|e| Failure::new(e.to_string()))?;
    Ok(stop)
}

/// Takes time-bound grants back when they end. It ends when what is returned is dropped.
pub(super) fn expire_in_time(service: Arc<Service>) -> Result<Sender<()>, Failure> {
    /// A grant that is made meanwhile may end before the one that is waited for.
    const LOOK: Duration = Duration::from_millis(500);
    let (stop, stopped) = channel::<()>();
    thread::Builder::new()
        .name("expiry".into())
        .spawn(move || {
            let mut said = String::new();
            loop {
                match service.expire() {
                    Ok(0) => {}
                    Ok(count) => {
                        said.clear();
                        tracing::info!(count, "time-bound grants ended");
                    }
                    // Once: a domain that is away may be away for long.
                    Err(fault) if said != fault.to_string() => {
                        said = fault.to_string();
                        tracing::error!("time-bound grants: {fault}");
                    }
                    Err(_) => {}
                }
                // What should have ended by now could not: that is not waited for.
                let left =
                    service.next_expiry().and_then(|next| u64::try_from(next.0.saturating_sub(service.now().0)).ok());
                let wait = left.filter(|left| *left > 0).map_or(LOOK, |left| Duration::from_millis(left).min(LOOK));
                match stopped.recv_timeout(wait) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })
        .map_err(|e| Failure::new(e.to_string()))?;
    Ok(stop)
}
