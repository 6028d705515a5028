//! Every key of `procura.toml`, declared once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A section of the file, for people.
#[derive(Debug, Clone, Serialize)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: String,
    /// Its keys.
    pub keys: Vec<Key>,
}

/// A key of the file, for people.
#[derive(Debug, Clone, Serialize)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What kind of value it takes.
    pub kind: &'static str,
    /// The value when it is absent, as TOML; none: no value.
    pub default: Option<String>,
    /// A value as one might write it, as TOML.
    pub example: &'static str,
    /// What it does.
    pub about: String,
}

/// A value that parses and is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongValue {
    /// Section of the key.
    pub section: &'static str,
    /// The key.
    pub key: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Declares sections and keys: the types, their defaults and their description.
macro_rules! configuration {
    ($( $(#[doc = $section_about:literal])+ $section:ident: $type:ident {
        $( $(#[doc = $about:literal])+ $key:ident: $kind:ty = $default:expr, $words:literal, $example:literal; )+
    } )+) => {
        /// The configuration of a node.
        #[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config {
            $( $(#[doc = $section_about])+ pub $section: $type, )+
        }

        $(
            $(#[doc = $section_about])+
            #[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
            #[serde(default, deny_unknown_fields)]
            pub struct $type {
                $( $(#[doc = $about])+ pub $key: $kind, )+
            }

            impl Default for $type {
                fn default() -> Self {
                    $type { $( $key: $default, )+ }
                }
            }
        )+

        /// The reference: every section and key, in the order of the file.
        pub fn sections() -> Vec<Section> {
            let defaults = toml::Table::try_from(Config::default()).unwrap_or_default();
            let default = |section: &str, key: &str| {
                defaults.get(section).and_then(|s| s.get(key)).filter(|v| !is_empty(v)).map(toml::Value::to_string)
            };
            vec![ $( Section {
                name: stringify!($section),
                about: words(&[$($section_about),+]),
                keys: vec![ $( Key {
                    name: stringify!($key),
                    kind: $words,
                    default: default(stringify!($section), stringify!($key)),
                    example: $example,
                    about: words(&[$($about),+]),
                }, )+ ],
            }, )+ ]
        }
    };
}

configuration! {
    /// The node itself.
    node: Node {
        /// Fully qualified name of this server, in greetings, EHLO and Received. Its first label names the server object
        /// whose connectors this node runs. Default: the host name of the system.
        hostname: Option<String> = None, "name", "\"mx1.example.com\"";
        /// Data directory, with everything that must survive: directory, queue, audit. Relative to this file.
        data: String = ".".into(), "path", "\"/var/lib/procura\"";
    }
    /// TLS on SMTP connections.
    tls: Tls {
        /// Certificate chain, PEM, the server's own certificate first. Without it a self-signed one is made and kept in
        /// the data directory.
        certificate: Option<String> = None, "path", "\"/etc/letsencrypt/live/mx1.example.com/fullchain.pem\"";
        /// Private key of the certificate, PEM.
        key: Option<String> = None, "path", "\"/etc/letsencrypt/live/mx1.example.com/privkey.pem\"";
    }
    /// What is kept, and how much of it.
    storage: Storage {
        /// Free space, in MiB, below which mail is refused with `452 4.3.1` until there is more.
        min_free_mib: u64 = 128, "number", "1024";
        /// Days that decisions are kept for `procura explain`.
        audit_days: u32 = 90, "number", "365";
        /// Decisions kept at most; the oldest go first.
        audit_records: u64 = 1_000_000, "number", "5000000";
    }
    /// Where accepted mail goes.
    delivery: Delivery {
        /// Folder of the local mailboxes (one Maildir each, named by the GUID of the mailbox, which `procura mailbox list
        /// --format json` shows), relative to the data directory.
        mailboxes: String = "mail".into(), "path", "\"/var/mail/procura\"";
        /// Host and port to which mail for other places is sent. Without it, such mail stays in the queue until it
        /// expires.
        smart_host: Option<String> = None, "host:port", "\"relay.example.com:25\"";
        /// Hours after which mail that could not be delivered goes back to its sender.
        expire_hours: u32 = 48, "number", "120";
    }
    /// Administration of this node. Root and the owner of the data directory are `BUILTIN\\Administrators`.
    admin: Admin {
        /// Other users of this machine who may use the commands, by name or number: as which account of the directory.
        /// What they may do is decided by the permissions of that account.
        accounts: BTreeMap<String, String> = BTreeMap::new(), "table", "{ mailops = \"EXAMPLE\\\\alice\" }";
        /// Path of the administration socket. Default: `admin.sock` in the data directory, which only root and the owner
        /// can reach; name another place when `accounts` lists other users.
        socket: Option<String> = None, "path", "\"/run/procura/admin.sock\"";
        /// Minutes between two runs of the task that protects the accounts of administrators (AdminSDHolder).
        protect_minutes: u32 = 60, "number", "10";
    }
    /// The log, on standard error.
    log: Log {
        /// How much: `error`, `warn`, `info`, `debug`, `trace`, or directives as `info,transport=debug`.
        level: String = "info".into(), "text", "\"info,transport=debug\"";
    }
}

impl Config {
    /// Checks what the types cannot.
    pub(super) fn check(&self) -> Result<(), WrongValue> {
        let wrong = |section, key, message: String, help: &str| {
            Err(WrongValue { section, key, message, help: help.to_owned() })
        };
        if let Some(name) = &self.node.hostname
            && (name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-'))
        {
            return wrong("node", "hostname", format!("`{name}` is no host name"), "write it as in mx1.example.com");
        }
        match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => {
                return wrong("tls", "certificate", "a certificate needs its `key`".into(), "add `key = \"…\"`");
            }
            (None, Some(_)) => {
                return wrong("tls", "key", "a key needs its `certificate`".into(), "add `certificate = \"…\"`");
            }
            _ => {}
        }
        if let Some(host) = &self.delivery.smart_host
            && !host.rsplit_once(':').is_some_and(|(h, p)| !h.is_empty() && p.parse::<u16>().is_ok_and(|p| p > 0))
        {
            let message = format!("smart_host `{host}` is not host:port");
            return wrong("delivery", "smart_host", message, "write it as in relay.example.com:25");
        }
        if self.delivery.expire_hours == 0 {
            return wrong("delivery", "expire_hours", "mail must live an hour at least".into(), "write 1 or more");
        }
        if self.admin.protect_minutes == 0 || self.admin.protect_minutes > 120 {
            let message = format!("protect_minutes is {}", self.admin.protect_minutes);
            return wrong("admin", "protect_minutes", message, "write 1 to 120");
        }
        Ok(())
    }
}

/// The file that `procura init` writes: every key with what it does, commented out, but for those in `set`
/// (`section.key`, TOML value).
pub fn commented(set: &[(&str, String)]) -> String {
    let mut text = String::from(
        "# Configuration of a Procura node. Connectors, accepted domains, mailboxes and permissions are not here: they\n\
         # stand in the directory (`procura domain`, `procura user`, `procura permission`, …).\n\
         # Lines that begin with `#>` are settings one may want; remove the `#>` to use them.\n",
    );
    for section in sections() {
        text += &format!("\n# {}\n[{}]\n", section.about, section.name);
        for key in section.keys {
            text += &wrap(&key.about, "# ", 100);
            match set.iter().find(|(name, _)| *name == format!("{}.{}", section.name, key.name)) {
                Some((_, value)) => text += &format!("{} = {value}\n", key.name),
                None => {
                    let value = key.default.as_deref().unwrap_or(key.example);
                    text += &format!("#> {} = {value}\n", key.name);
                }
            }
        }
    }
    text
}

/// The reference of `procura config describe`.
pub fn reference() -> String {
    let mut text = String::from("# procura.toml\n");
    for section in sections() {
        text += &format!("\n## [{}]\n{}\n", section.name, section.about);
        for key in section.keys {
            let default = key.default.map_or_else(|| "no default".to_owned(), |d| format!("default {d}"));
            text += &format!("\n{} = {}\n    ({}, {default})\n", key.name, key.example, key.kind);
            text += &wrap(&key.about, "    ", 100);
        }
    }
    text
}

fn is_empty(value: &toml::Value) -> bool {
    value.as_table().is_some_and(toml::Table::is_empty)
}

fn words(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

fn wrap(text: &str, prefix: &str, width: usize) -> String {
    let (mut out, mut line) = (String::new(), String::new());
    for word in text.split(' ') {
        if !line.is_empty() && prefix.len() + line.len() + 1 + word.len() > width {
            out += &format!("{prefix}{line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    out + &format!("{prefix}{line}\n")
}
