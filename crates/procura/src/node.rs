//! Which node a command is about: its configuration, its data directory, and the service that owns it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use admin::{DataDirectory, Endpoint, Options, Users};
use directory::Time;
use session::ScramKeys;
use transport::password;

use crate::cli::args::Global;
use crate::cli::fault::Failure;
use crate::config::{Config, Loaded};

/// Where data stand when nobody says where.
pub const DEFAULT_DATA: &str = "procura-data";
/// Where the configuration stands when there is no data directory here either.
pub const SYSTEM_CONFIG: &str = "/etc/procura/procura.toml";

/// A node: its configuration and where its data are.
pub struct Node {
    /// The configuration; the defaults where there is no file.
    pub loaded: Loaded,
    /// The data directory.
    pub data: PathBuf,
}

impl Node {
    /// Finds the node of the options: `--config`, else `procura.toml` in the data directory of `--data` or of here, else
    /// the one of the system.
    pub fn locate(global: &Global) -> miette::Result<Node> {
        if let Some(file) = &global.config {
            let loaded = Loaded::read(file)?;
            let data = global.data.clone().unwrap_or_else(|| loaded.data());
            return Ok(Node { loaded, data });
        }
        let data = global.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
        let file = data.join("procura.toml");
        if file.exists() {
            let loaded = Loaded::read(&file)?;
            let data = loaded.data();
            return Ok(Node { loaded, data });
        }
        if global.data.is_none() && !data.exists() && Path::new(SYSTEM_CONFIG).exists() {
            let loaded = Loaded::read(Path::new(SYSTEM_CONFIG))?;
            let data = loaded.data();
            return Ok(Node { loaded, data });
        }
        Ok(Node { loaded: Loaded::defaults(&data), data })
    }

    /// Fully qualified name of this node.
    pub fn hostname(&self) -> String {
        self.loaded.config.node.hostname.clone().unwrap_or_else(system_hostname)
    }

    /// The administration socket, where it is not in the data directory.
    pub fn socket(&self) -> Option<PathBuf> {
        self.loaded.config.admin.socket.as_ref().map(|path| self.loaded.path(path))
    }

    /// The service, for a command.
    pub fn endpoint(&self) -> Result<Endpoint, Failure> {
        let users = self.users();
        let socket = self.socket();
        Ok(Endpoint::open(&self.data, socket.as_deref(), |data| self.options(data, users))?)
    }

    /// What the service needs to know, for the owner of `data`.
    pub fn options(&self, data: &DataDirectory, accounts: BTreeMap<u32, String>) -> Options {
        Options {
            users: Users { owner: data.owner(), accounts },
            hash: self.hasher(),
            clock: now,
            node: self.hostname(),
        }
    }

    /// What is kept of a password.
    fn hasher(&self) -> Arc<dyn admin::Hasher> {
        Arc::new(Hashing { rounds: self.loaded.config.authentication.scram_iterations })
    }

    /// `[admin] accounts` by user number.
    pub fn users(&self) -> BTreeMap<u32, String> {
        present("admin", &self.loaded.config.admin.accounts)
    }

    /// `[local] accounts` by user number.
    pub fn local_users(&self) -> BTreeMap<u32, String> {
        present("local", &self.loaded.config.local.accounts)
    }

    /// Whether this machine knows all users that `[admin]` and `[local]` name.
    ///
    /// # Errors
    /// One that it does not know.
    pub fn check_users(&self) -> Result<(), Failure> {
        by_number("admin", &self.loaded.config.admin.accounts)?;
        local_users(&self.loaded.config).map(|_| ())
    }
}

/// Argon2id, and SCRAM keys of so many rounds.
struct Hashing {
    rounds: u32,
}

impl admin::Hasher for Hashing {
    fn phc(&self, password: &[u8]) -> Result<String, String> {
        password::hash(password).map_err(|e| e.to_string())
    }

    fn scram(&self, password: &[u8], like: Option<admin::Like<'_>>) -> Result<Option<String>, String> {
        let known = like.and_then(|like| Some((like.rounds, ScramKeys::parse(like.keys)?)));
        let (salt, rounds) = match known {
            Some((rounds, keys)) => (Some(keys.salt), if rounds { keys.iterations } else { self.rounds }),
            None => (None, self.rounds),
        };
        let keys = password::scram_keys(password, salt, rounds).map_err(|e| e.to_string())?;
        Ok(keys.map(|keys| keys.to_text()))
    }
}

/// `[local] accounts` by user number.
pub fn local_users(config: &Config) -> Result<BTreeMap<u32, String>, Failure> {
    by_number("local", &config.local.accounts)
}

/// Accounts by user number, of those users that there are. One who is gone is nobody, and no reason to take no mail.
fn present(section: &str, accounts: &BTreeMap<String, String>) -> BTreeMap<u32, String> {
    let numbered = accounts.iter().filter_map(|(user, account)| match number(section, user) {
        Ok(uid) => Some((uid, account.clone())),
        Err(failure) => {
            tracing::warn!("{failure}");
            None
        }
    });
    numbered.collect()
}

/// Accounts by user number instead of name.
fn by_number(section: &str, accounts: &BTreeMap<String, String>) -> Result<BTreeMap<u32, String>, Failure> {
    accounts.iter().map(|(user, account)| Ok((number(section, user)?, account.clone()))).collect()
}

/// The number of a user, who may be named by it.
fn number(section: &str, user: &str) -> Result<u32, Failure> {
    user.parse().ok().or_else(|| user_number(user)).ok_or_else(|| {
        Failure::new(format!("[{section}] accounts: there is no user {user} on this machine"))
            .help("use a name of /etc/passwd, or the number")
    })
}

/// The time now.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The host name of the system.
pub fn system_hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

fn user_number(name: &str) -> Option<u32> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.first() == Some(&name))?.get(2)?.parse().ok()
}
