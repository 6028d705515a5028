//! What signals ask of a server.

use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::cli::fault::Failure;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// One message for each SIGTERM, SIGINT or SIGHUP.
pub(super) fn signals() -> Result<Receiver<Signal>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |e: std::io::Error| Failure::new(format!("signals: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (mut terminate, mut interrupt, mut hang_up) = {
        let _guard = runtime.enter();
        (
            signal(SignalKind::terminate()).map_err(failed)?,
            signal(SignalKind::interrupt()).map_err(failed)?,
            signal(SignalKind::hangup()).map_err(failed)?,
        )
    };
    let (sender, receiver) = channel();
    thread::Builder::new()
        .name("signal".into())
        .spawn(move || {
            runtime.block_on(async {
                loop {
                    let signal = tokio::select! {
                        _ = terminate.recv() => Signal::Stop,
                        _ = interrupt.recv() => Signal::Stop,
                        _ = hang_up.recv() => Signal::Reload,
                    };
                    if sender.send(signal).is_err() {
                        return;
                    }
                }
            });
        })
        .map_err(failed)?;
    Ok(receiver)
}
