//! Taking the configuration and the certificate anew while the server runs: after SIGHUP and `procura reload`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use admin::{Fault, FaultKind};
use transport::LocalUsers;
use transport::certificate::LiveCertificate;

use crate::active_directory::Live;
use crate::cli::fault::Failure;
use crate::config::keys::Alarms;
use crate::config::{Config, Loaded};
use crate::logging::Logging;
use crate::node::{Node, local_users};
use crate::notify::notify;

/// Keys that count at once; the others need a restart.
const LIVE: [&str; 8] = [
    "log.level",
    "tls.certificate",
    "tls.key",
    "local.accounts",
    "alarms.notify",
    "alarms.certificate_days",
    "alarms.queue_minutes",
    "alarms.disk_mib",
];

/// Those of them that name the files of the certificate.
const CERTIFICATE: [&str; 2] = ["tls.certificate", "tls.key"];

/// Where people come from: of `[directory]`, which counts at once where domains are followed, the one that does not.
const SOURCE: &str = "directory.source";

/// What can be taken anew.
pub struct Reloader {
    /// The file of the configuration; none where there was none at the start.
    file: Option<PathBuf>,
    demo: bool,
    in_force: Mutex<Loaded>,
    logging: Logging,
    certificate: OnceLock<Arc<LiveCertificate>>,
    directory: OnceLock<Live>,
    local_users: OnceLock<LocalUsers>,
}

impl Reloader {
    /// For the node as it was started.
    pub fn new(node: &Node, demo: bool, logging: Logging) -> Reloader {
        let file = node.loaded.file.clone();
        let in_force = Mutex::new(node.loaded.clone());
        Reloader {
            file,
            demo,
            in_force,
            logging,
            certificate: OnceLock::new(),
            directory: OnceLock::new(),
            local_users: OnceLock::new(),
        }
    }

    /// The certificate that listeners show.
    pub fn watch(&self, certificate: Arc<LiveCertificate>) {
        let _ = self.certificate.set(certificate);
    }

    /// The domains that are followed.
    pub fn follow_directory(&self, directory: Live) {
        let _ = self.directory.set(directory);
    }

    /// The accounts of users of this machine.
    pub fn follow_local_users(&self, users: LocalUsers) {
        let _ = self.local_users.set(users);
    }

    /// `[alarms]` as it is in force.
    pub fn alarms(&self) -> Alarms {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).config.alarms.clone()
    }

    /// Takes everything anew; in words, what came of it. A configuration with a fault changes nothing.
    pub fn reload(&self) -> Result<Vec<String>, Fault> {
        let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let microseconds = monotonic.tv_sec.saturating_mul(1_000_000) + monotonic.tv_nsec / 1_000;
        notify(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
        let done = self.take();
        match &done {
            Ok(said) => said.iter().for_each(|said| tracing::info!("reload: {said}")),
            Err(fault) => tracing::error!("reload: {fault}"),
        }
        notify("READY=1");
        done
    }

    fn take(&self) -> Result<Vec<String>, Fault> {
        self.logging.reopen();
        let mut said = Vec::new();
        if let Some(file) = &self.file {
            let mut newest = Loaded::read(file).map_err(|fault| {
                let help = miette::Diagnostic::help(&fault).map(|help| help.to_string()).unwrap_or_default();
                Fault::new(FaultKind::Invalid, format!("{fault}; the configuration in force stays")).help(help)
            })?;
            let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
            if self.demo {
                newest.config.node.hostname.clone_from(&in_force.config.node.hostname);
            }
            self.apply(&in_force, &newest, &mut said)?;
            match self.directory.get().map(|directory| directory.reload(&newest)) {
                Some(Ok(true)) => said.push("Active Directory is followed with new settings".to_owned()),
                Some(Err(error)) => {
                    tracing::error!(%error, "the new settings of Active Directory cannot be used; the old ones stay");
                    said.push(format!("the settings of Active Directory in use stay: {error}"));
                }
                Some(Ok(false)) | None => {}
            }
            *in_force = newest;
        }
        if let Some(certificate) = self.certificate.get() {
            match certificate.reload(true) {
                Ok(true) => said.push("a new certificate is in use".to_owned()),
                Ok(false) => said.push("the certificate is the one in use".to_owned()),
                Err(error) => {
                    tracing::error!(%error, "the new certificate cannot be used; the old one stays");
                    said.push(format!("the certificate in use stays: {error}"));
                }
            }
        }
        Ok(said)
    }

    fn apply(&self, before: &Loaded, newest: &Loaded, said: &mut Vec<String>) -> Result<(), Fault> {
        let changed = changed(&before.config, &newest.config);
        if changed.iter().any(|key| key == "local.accounts")
            && let Some(users) = self.local_users.get()
        {
            let accounts = local_users(&newest.config).map_err(|failure| {
                Fault::new(FaultKind::Invalid, format!("{failure}; the configuration in force stays"))
            })?;
            users.replace(accounts);
        }
        if changed.iter().any(|key| key == "log.level") {
            let failed = |failure: Failure| Fault::new(FaultKind::Invalid, failure.to_string());
            self.logging.set_level(&newest.config.log.level).map_err(failed)?;
        }
        let is_of_certificate = |key: &str| CERTIFICATE.contains(&key);
        let mut followed = false;
        if changed.iter().any(|key| is_of_certificate(key))
            && let (Some(live), Some(chain), Some(key)) =
                (self.certificate.get(), &newest.config.tls.certificate, &newest.config.tls.key)
        {
            live.follow(&newest.path(chain), &newest.path(key));
            followed = true;
        }
        for key in &changed {
            // Without files the server makes a certificate of its own, when it starts.
            let of_directory = self.directory.get().is_some() && key.starts_with("directory.") && key != SOURCE;
            let now = of_directory || LIVE.contains(&key.as_str()) && (followed || !is_of_certificate(key));
            said.push(format!("{key} was changed: it counts {}", if now { "now" } else { "after a restart" }));
        }
        if changed.is_empty() {
            said.push("the configuration is the one in force".to_owned());
        }
        Ok(())
    }
}

/// The keys that differ, as `section.key`.
fn changed(before: &Config, after: &Config) -> Vec<String> {
    let table = |config: &Config| toml::Table::try_from(config).unwrap_or_default();
    let (before, after) = (table(before), table(after));
    let mut keys = Vec::new();
    for name in before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))) {
        let empty = toml::Table::new();
        let section = |table: &toml::Table| table.get(name).and_then(toml::Value::as_table).cloned();
        let (old, new) = (section(&before).unwrap_or_else(|| empty.clone()), section(&after).unwrap_or(empty));
        for key in old.keys().chain(new.keys().filter(|key| !old.contains_key(*key))) {
            if old.get(key) != new.get(key) {
                keys.push(format!("{name}.{key}"));
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_are_named() {
        let mut after = Config::default();
        after.log.level = "debug".to_owned();
        after.tls.certificate = Some("a.pem".to_owned());
        let mut keys = changed(&Config::default(), &after);
        keys.sort();
        assert_eq!(keys, ["log.level", "tls.certificate"]);
    }

    #[test]
    fn every_live_key_exists() {
        let known: Vec<String> = crate::config::keys::sections()
            .iter()
            .flat_map(|section| section.keys.iter().map(|key| format!("{}.{}", section.name, key.name)))
            .collect();
        for key in LIVE {
            assert!(known.iter().any(|known| known == key), "{key}");
        }
    }
}
