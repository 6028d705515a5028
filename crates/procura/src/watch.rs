//! Looking at the server from within: alarms every minute, and the service manager's watchdog.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use admin::Service;
use transport::{Alarm, Shared};

use crate::cli::fault::Failure;
use crate::config::keys::Alarms;
use crate::notify::notify;
use crate::reload::Reloader;

/// How often alarms are looked for.
const LOOK: Duration = Duration::from_secs(60);

/// Looks for what is wrong: now, and every minute. It ends when what is returned is dropped.
pub fn alarms(shared: Arc<Shared>, reloader: Arc<Reloader>, service: Weak<Service>) -> Result<Sender<()>, Failure> {
    let (stop, stopped) = channel::<()>();
    thread::Builder::new()
        .name("alarms".into())
        .spawn(move || {
            loop {
                let settings = reloader.alarms();
                let mut alarms = wrong(&shared, &settings);
                alarms.extend(service.upgrade().and_then(|service| directory(&service)));
                shared.sound(&alarms, &settings.notify);
                match stopped.recv_timeout(LOOK) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })
        .map_err(|e| Failure::new(e.to_string()))?;
    Ok(stop)
}

/// Tells the service manager that the server is alive, where it wants to know (`WATCHDOG_USEC`, sd_watchdog_enabled(3)):
/// as long as the loop that serves sessions turns and the queue answers.
pub fn watchdog(shared: Arc<Shared>) -> Result<Option<Sender<()>>, Failure> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let Some(microseconds) = number("WATCHDOG_USEC").filter(|wait| *wait > 0 && ours) else { return Ok(None) };
    // Two turns of the loop fit into each wait.
    let wait = Duration::from_micros(microseconds / 3).max(Duration::from_secs(2));
    let (stop, stopped) = channel::<()>();
    thread::Builder::new()
        .name("watchdog".into())
        .spawn(move || {
            let mut turns = 0;
            loop {
                let now = shared.figures().turns.get();
                if now != turns && shared.queue().counts().is_ok() {
                    notify("WATCHDOG=1");
                }
                turns = now;
                match stopped.recv_timeout(wait) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })
        .map_err(|e| Failure::new(e.to_string()))?;
    Ok(Some(stop))
}

/// What is wrong now.
fn wrong(shared: &Shared, settings: &Alarms) -> Vec<Alarm> {
    let all = [certificate(shared, settings), queue_age(shared, settings), disk(shared, settings), folders(shared)];
    all.into_iter().flatten().collect()
}

fn certificate(shared: &Shared, settings: &Alarms) -> Option<Alarm> {
    if settings.certificate_days == 0 {
        return None;
    }
    let live = shared.certificate()?;
    let left = live.ends()? - seconds();
    if left >= i64::from(settings.certificate_days) * 86_400 {
        return None;
    }
    let files = live.files().map(|(chain, _)| chain.display().to_string()).unwrap_or_default();
    let subject = match left / 86_400 {
        _ if left <= 0 => "The TLS certificate has expired".to_owned(),
        days => format!("The TLS certificate expires in {days} day(s)"),
    };
    let text = format!(
        "The certificate that this server shows ends in {} hour(s).\r\nFile: {files}\r\n\r\n\
         Put a new one there: it is taken without a restart.\r\n",
        left.max(0) / 3_600
    );
    Some(Alarm { name: "certificate", subject, text })
}

fn queue_age(shared: &Shared, settings: &Alarms) -> Option<Alarm> {
    if settings.queue_minutes == 0 {
        return None;
    }
    // What is held waits for somebody by intention.
    let waits = shared.queue().census().ok()?.into_iter().filter(|row| row.held.is_none());
    let (mut messages, mut oldest) = (0, i64::MAX);
    for row in waits {
        messages += row.messages;
        oldest = oldest.min(row.oldest);
    }
    let minutes = seconds().saturating_sub(oldest / 1000).max(0) / 60;
    if messages == 0 || minutes < i64::from(settings.queue_minutes) {
        return None;
    }
    let text = format!(
        "{messages} message(s) wait for delivery, the oldest since {minutes} minute(s).\r\n\r\n    \
         procura queue list --older-than {}m\r\n    procura queue list --state deferred\r\n",
        settings.queue_minutes
    );
    let subject = format!("Mail waits for {} minutes and longer", settings.queue_minutes);
    Some(Alarm { name: "queue-age", subject, text })
}

fn disk(shared: &Shared, settings: &Alarms) -> Option<Alarm> {
    let free = rustix::fs::statvfs(shared.queue().dir()).ok()?;
    let free = free.f_bavail.saturating_mul(free.f_frsize) >> 20;
    if settings.disk_mib == 0 || free >= settings.disk_mib {
        return None;
    }
    let text = format!(
        "There are {free} MiB free where the queue is ({}).\r\nBelow the limit of [storage] min_free_mib, mail is \
         refused until there is more.\r\n",
        shared.queue().dir().display()
    );
    Some(Alarm { name: "disk", subject: format!("The disk of the queue is nearly full: {free} MiB are left"), text })
}

/// Pickup and replay folders that nothing is taken from.
fn folders(shared: &Shared) -> Option<Alarm> {
    let closed = shared.folders_out_of_service();
    let subject = match closed.as_slice() {
        [] => return None,
        [one] => format!("The folder {} is out of service", one.path),
        more => format!("{} folders of files are out of service", more.len()),
    };
    let text = closed.iter().map(|folder| format!("{}: {}\r\n", folder.path, folder.why)).collect::<String>()
        + "\r\nFiles in there wait.\r\n\r\n    procura doctor\r\n";
    Some(Alarm { name: "folders", subject, text })
}

/// A domain that is older than `max_age` because nobody answers, before nothing is decided on it any more.
fn directory(service: &Service) -> Option<Alarm> {
    let status = service.active_directory()?;
    let old: Vec<_> = status.domains.iter().filter(|domain| domain.heard > 0 && domain.state != "fresh").collect();
    let oldest = old.iter().map(|domain| domain.age_seconds).max()?;
    // After a start it may be old, and nobody was asked yet.
    if status.servers.iter().all(|server| server.error.is_none()) {
        return None;
    }
    let mut text = String::new();
    for domain in &old {
        text += &format!("{}: {}, read {} minute(s) ago\r\n", domain.dn, domain.state, domain.age_seconds / 60);
    }
    for server in &status.servers {
        let state = server.error.as_deref().unwrap_or("answers");
        text += &format!("{}: {state}\r\n", server.address);
    }
    text += &format!(
        "\r\nAfter {} minute(s) without an answer mail is answered with 451 4.3.0, and nobody logs on.\r\n\r\n    \
         procura directory test\r\n    procura directory status\r\n",
        status.stale_limit_seconds / 60
    );
    let subject = format!("Active Directory cannot be read since {} minute(s)", oldest / 60);
    Some(Alarm { name: "directory", subject, text })
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
