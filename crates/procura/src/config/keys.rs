//! Every key of `procura.toml`, declared once.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use directory::SendingLimits;
use message::Address;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::filter::ContentFilter;
use super::provider::Provider;

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
        /// The process gives up writing outside of its data, for good, as soon as it has started (Landlock; on a kernel
        /// without it, this is logged and has no effect).
        sandbox: bool = false, "true or false", "true";
        /// Folders that are written all the same in the sandbox, as those of backups.
        writable: Vec<String> = Vec::new(), "list of paths", "[\"/var/backups/procura\"]";
    }
    /// TLS on SMTP connections.
    tls: Tls {
        /// Certificate chain, PEM, the server's own certificate first. Without it a self-signed one is made and kept in
        /// the data directory.
        certificate: Option<String> = None, "path", "\"/etc/letsencrypt/live/mx1.example.com/fullchain.pem\"";
        /// Private key of the certificate, PEM.
        key: Option<String> = None, "path", "\"/etc/letsencrypt/live/mx1.example.com/privkey.pem\"";
        /// The oldest version of TLS that is spoken: `1.2` or `1.3`.
        min_version: String = "1.2".into(), "text", "\"1.3\"";
        /// Seconds after which the files are looked at again; a new certificate is taken without a restart, as on SIGHUP. A
        /// pair that cannot be used is logged, and the old one stays. 0: on SIGHUP only.
        reload_seconds: u32 = 30, "number", "300";
        /// Authorities, PEM, whose certificates prove the domains of partners (Domain Security). Without it none does.
        partner_roots: Option<String> = None, "path", "\"/etc/ssl/certs/ca-certificates.crt\"";
    }
    /// Passwords, and how often a logon may fail.
    authentication: Authentication {
        /// Rounds of PBKDF2 in the SCRAM keys of new passwords, 4096 at least. A client pays for them at each logon.
        scram_iterations: u32 = 15_000, "number", "100000";
        /// Failed logons that a source (an IPv4 address, an IPv6 /64) has free. Then it gets one more each
        /// `failure_seconds`, and is answered `454` in between.
        source_failures: u32 = 20, "number", "10";
        /// Failed logons that an account has free, from all sources together. Where it logged on lately it may go on all the
        /// same. Names that nobody has are treated alike.
        account_failures: u32 = 60, "number", "30";
        /// Seconds after which one failed logon is forgotten.
        failure_seconds: u32 = 6, "number", "60";
    }
    /// Access tokens (OAUTHBEARER, XOAUTH2).
    oauth: Oauth {
        /// Issuers whose JSON Web Tokens are believed, by a name for the log: `issuer` (exactly as in the token), `audience`
        /// (one of these), `keys` (a JSON Web Key Set: a path or an https URL), `claim` (`email` when absent) and `as`, what it
        /// holds (`address` when absent, `login`, `sid`); also `algorithms`, `skew_seconds`, `refresh_seconds`, `roots`.
        providers: BTreeMap<String, Provider> = BTreeMap::new(), "table",
            "{ corp = { issuer = \"https://login.example.com\", audience = [\"smtp\"], keys = \"https://login.example.com/keys\" } }";
    }
    /// Kerberos (AUTH GSSAPI), on connectors with Integrated authentication.
    kerberos: Kerberos {
        /// Keytab with the AES keys of this server's service principals `smtp/host`. Without it Kerberos is not offered.
        /// The server must have been built with its feature `kerberos`.
        keytab: Option<String> = None, "path", "\"/etc/procura/smtp.keytab\"";
    }
    /// Where people, groups and the permissions on them come from.
    directory: Directory {
        /// `own`: the directory of this node. `ldap`: domains of Active Directory, followed over LDAP with TLS; connectors,
        /// accepted domains and mailboxes stay in the directory of this node.
        source: String = "own".into(), "text", "\"ldap\"";
        /// Domain controllers, in the order in which they are tried: `ldaps://` for TLS from the beginning, `ldap://` for
        /// StartTLS. Those of several domains of a forest give several domains.
        servers: Vec<String> = Vec::new(), "list", "[\"ldaps://dc1.example.com\", \"ldaps://dc2.example.com\"]";
        /// The account that reads the domains, and writes permissions: user principal name, DN or `DOMAIN\\name`.
        account: Option<String> = None, "name", "\"svc-procura@example.com\"";
        /// File with its password, on the first line.
        password_file: Option<String> = None, "path", "\"/etc/procura/directory.password\"";
        /// Keytab with an AES key of the account, which then logs on by Kerberos and needs no password; `account` is
        /// `name@EXAMPLE.COM`, and `servers` have their full names. Over TLS, or with `ldap+kerberos://` without it: then
        /// Kerberos seals everything.
        keytab: Option<String> = None, "path", "\"/etc/procura/directory.keytab\"";
        /// Authorities, PEM, that vouch for the domain controllers.
        roots: String = "/etc/ssl/certs/ca-certificates.crt".into(), "path", "\"/etc/procura/domain-ca.pem\"";
        /// Attributes that have other names in the domains, ours first: another attribute, or text with attributes in braces
        /// (users only). They count where the object lacks ours.
        map: BTreeMap<String, String> = BTreeMap::new(), "table",
            "{ publicDelegates = \"exampleDelegates\", msExchMailboxGuid = \"objectGUID\" }";
        /// Domain controllers are asked to tell at once when something changes. Whether they do or not, changes are looked for
        /// every `poll_seconds`.
        notify: bool = true, "true or false", "false";
        /// Seconds between two looks for changes: one question each, which costs a domain controller next to nothing.
        poll_seconds: u32 = 1, "number", "2";
        /// Seconds that a domain controller may take for an answer.
        timeout_seconds: u32 = 10, "number", "30";
        /// Seconds after which a domain that cannot be refreshed is called old.
        max_age_seconds: u32 = 300, "number", "60";
        /// Seconds after which nothing is decided on it any more: mail is answered `451 4.3.0`.
        stale_limit_seconds: u32 = 7_200, "number", "86400";
        /// Minutes between two times at which everything is read again and compared.
        check_minutes: u32 = 60, "number", "240";
        /// Seconds at least between two times at which it is asked which objects are still there, where domain controllers do
        /// not tell of deletions for certain (a global catalog, an account without “Replicating Directory Changes”); never more
        /// than a twentieth of the time is spent on it. 0: deletions that are not told are found by the comparison alone.
        list_seconds: u32 = 5, "number", "60";
    }
    /// What is kept, and how much of it.
    storage: Storage {
        /// Free space, in MiB, below which mail is refused with `452 4.3.1` until there is more.
        min_free_mib: u64 = 128, "number", "1024";
        /// Days that decisions are kept for `procura explain`.
        audit_days: u32 = 90, "number", "365";
        /// Decisions kept at most; the oldest go first.
        audit_records: u64 = 1_000_000, "number", "5000000";
        /// Days that the record of messages (`procura trace`) is kept, in the folder `tracking` of the data directory.
        /// 0: none is kept.
        tracking_days: u32 = 30, "number", "90";
        /// MiB that it may have; the oldest goes first. A message takes about 530 octets.
        tracking_mib: u64 = 20_480, "number", "102400";
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
        /// Hours after which the sender of mail that could not be delivered yet is told so, once; 0: not at all.
        warn_hours: u32 = 4, "number", "12";
        /// LMTP server that keeps the mailboxes, as Dovecot: path of a unix socket, or host and port. Mail for mailboxes goes
        /// there instead of into Maildirs.
        lmtp: Option<String> = None, "path or host:port", "\"/run/dovecot/lmtp\"";
        /// Deliveries to other hosts at the same time, all together. When many destinations stall, they share it, and a part
        /// is kept for those that answer.
        connections: u32 = 1000, "number", "200";
        /// ... to one destination. A destination that nothing is known of gets 2, and one more with each answer.
        connections_per_destination: u32 = 20, "number", "5";
        /// Seconds that a host may take for its reply to a command; twice as many for its reply to the end of data.
        reply_seconds: u32 = 300, "number", "60";
        /// Seconds that a connection may take to come about.
        connect_seconds: u32 = 30, "number", "10";
        /// Seconds until the first retry of what could not be delivered; each further one waits twice as long, up to an hour.
        retry_seconds: u32 = 60, "number", "300";
        /// Authorities, PEM, whose certificates prove the names of next hops (TLS policies `verified` and `mta-sts`), and of
        /// the servers of MTA-STS policies and access tokens. Default: `/etc/ssl/certs/ca-certificates.crt`, where it is
        /// there.
        roots: Option<String> = None, "path", "\"/etc/procura/authorities.pem\"";
        /// Address and port that MTA-STS policies are fetched from, instead of those of `mta-sts.DOMAIN`: a proxy that passes
        /// TLS on.
        mta_sts_server: Option<String> = None, "address:port", "\"192.0.2.10:443\"";
        /// What an account may send that has no limits of its own (`procura mailbox set --sending-limit`): a number of
        /// messages or recipients in an hour or a day. Over it, mail is refused with `450 4.7.1` until there is room.
        sending_limits: Vec<String> = Vec::new(), "list", "[\"100 messages/hour\", \"1000 recipients/day\"]";
    }
    /// The Domain Name System, which says which hosts take the mail of a domain.
    dns: Dns {
        /// Name servers, address and port. Without them those of `/etc/resolv.conf`, and `/etc/hosts` before them.
        servers: Vec<String> = Vec::new(), "list", "[\"127.0.0.1:53\"]";
        /// Seconds that a name server may take; it is asked twice.
        seconds: u32 = 5, "number", "2";
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
    /// HTTP of this node: `/healthz` and `/metrics` (OpenMetrics, as Prometheus reads it).
    http: Http {
        /// Address and port to listen on. Whoever can connect sees the figures, so keep it on the loopback address or in a
        /// network of your own. Without it there is no HTTP.
        listen: Option<String> = None, "address:port", "\"127.0.0.1:8025\"";
    }
    /// Content filters: Rspamd over HTTP, and milters.
    content: Content {
        /// Asked in this order when a message is complete, before it is acknowledged: each has a `name` and is either
        /// `rspamd` (its URL; also `password`) or `milter` (`inet:HOST:PORT`, `unix:/PATH`). `on_failure` is `tempfail` (when
        /// absent) or `accept`; `on_reject` is `reject` (when absent), `quarantine` or `tag`. `bypass = false` shows it mail
        /// with the right Bypass-Anti-Spam, too, as a filter that signs wants it; also `timeout_seconds`, `max_mib`.
        filters: Vec<ContentFilter> = Vec::new(), "list of tables",
            "[{ name = \"rspamd\", rspamd = \"http://127.0.0.1:11333\" }]";
    }
    /// What somebody is told of: it is logged, stands in `/metrics`, and is mailed once a day as long as it goes on.
    alarms: Alarms {
        /// Mail addresses of those who are told.
        notify: Vec<String> = Vec::new(), "list of addresses", "[\"postmaster@example.com\"]";
        /// Days before the certificate ends. 0: never.
        certificate_days: u32 = 14, "number", "30";
        /// Minutes that mail may wait for delivery; what is held does not count. 0: for ever.
        queue_minutes: u32 = 240, "number", "60";
        /// MiB that are to be free where the queue is. 0: none.
        disk_mib: u64 = 512, "number", "2048";
    }
    /// Submission of mail by HTTP (`/v1/messages`), on an address of its own.
    submission: Submission {
        /// Address and port to listen on. Without it there is none. TLS is spoken with the certificate of `[tls]`.
        listen: Option<String> = None, "address:port", "\"0.0.0.0:8443\"";
        /// Plain HTTP instead of TLS: on a loopback address, or for the reverse proxies of `proxies`.
        plain: bool = false, "true or false", "true";
        /// Addresses of reverse proxies. They alone may connect then, and their `X-Forwarded-For` names the client.
        proxies: Vec<String> = Vec::new(), "list", "[\"10.0.0.5\"]";
        /// The receive connector whose permissions, limits and settings count for what comes by HTTP. Default: the one for mail
        /// programs, `Client NAME`, as `procura init` makes it (in the demo `Client`).
        connector: Option<String> = None, "name", "\"Applications\"";
        /// Messages that an account may submit in a minute; 0: no limit. The connector's own limits count beside it.
        per_minute: u32 = 600, "number", "60";
        /// Hours for which an `Idempotency-Key` is remembered, 168 at most.
        idempotency_hours: u32 = 24, "number", "48";
    }
    /// Mail of programs on this machine, by `procura sendmail` (also called by the name `sendmail`).
    local: Local {
        /// Socket to listen on; `/run/procura/submit.sock` is where `procura sendmail` looks. Without it there is none.
        socket: Option<String> = None, "path", "\"/run/procura/submit.sock\"";
        /// Users of this machine, by name or number, and the accounts of the directory that they send as. Nobody else may.
        accounts: BTreeMap<String, String> = BTreeMap::new(), "table", "{ www-data = \"EXAMPLE\\\\website\" }";
        /// The receive connector whose permissions, limits and settings count. Default: the one for mail programs, `Client NAME`.
        connector: Option<String> = None, "name", "\"Programs\"";
        /// Messages that an account may submit in a minute; 0: no limit.
        per_minute: u32 = 600, "number", "60";
    }
    /// Webhooks: what became of mail, posted to those that `procura webhook add` names.
    webhooks: Webhooks {
        /// Authorities, PEM, that vouch for the receivers. Default: those of the system.
        roots: Option<String> = None, "path", "\"/etc/procura/receivers.pem\"";
        /// Hours after which an event that could not be posted is given up.
        give_up_hours: u32 = 72, "number", "24";
    }
    /// The log, on standard error or in files.
    log: Log {
        /// How much: `error`, `warn`, `info`, `debug`, `trace`, or directives as `info,transport=debug`.
        level: String = "info".into(), "text", "\"info,transport=debug\"";
        /// How lines look: `text` for people, `json` for programs (one document a line), `journal` for systemd's journal;
        /// `auto` is `journal` where systemd reads standard error, else `text`.
        format: String = "auto".into(), "text", "\"json\"";
        /// File to log to instead of standard error, relative to the data directory. It is opened anew on SIGHUP, so
        /// logrotate(8) may move it away; by itself it is followed by another as the next two keys say.
        file: Option<String> = None, "path", "\"/var/log/procura/procura.log\"";
        /// MiB after which the file becomes `….1`, and another is begun.
        file_mib: u64 = 100, "number", "500";
        /// Files that are kept, the one in use included.
        files: u32 = 10, "number", "30";
        /// Folder of the protocol log: every line of every SMTP session, received and sent, without credentials, in the columns
        /// that Exchange writes. Relative to the data directory. Without it only connectors with `--protocol-log verbose` are
        /// in the log, in `protocol`.
        protocol: Option<String> = None, "path", "\"protocol\"";
        /// MiB after which a file of the protocol log is followed by another; a new day begins a new one too.
        protocol_file_mib: u64 = 10, "number", "100";
        /// MiB that all its files of a direction may have; the oldest go first.
        protocol_mib: u64 = 250, "number", "1000";
        /// Days after which its files go.
        protocol_days: u32 = 30, "number", "7";
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
        if !["1.2", "1.3"].contains(&self.tls.min_version.as_str()) {
            let message = format!("min_version is `{}`", self.tls.min_version);
            return wrong("tls", "min_version", message, "write \"1.2\" or \"1.3\"");
        }
        if let Some((key, message, help)) = crate::active_directory::fault(&self.directory) {
            return wrong("directory", key, message, help);
        }
        for (name, provider) in &self.oauth.providers {
            if let Some((message, help)) = provider.fault() {
                return wrong("oauth", "providers", format!("{name}: {message}"), help);
            }
        }
        for filter in &self.content.filters {
            if let Err((message, help)) = filter.filter() {
                return wrong("content", "filters", format!("{}: {message}", filter.name), help);
            }
        }
        if let Some(told) = self.alarms.notify.iter().find(|told| Address::parse(told).is_err()) {
            return wrong(
                "alarms",
                "notify",
                format!("`{told}` is no mail address"),
                "write it as in postmaster@example.com",
            );
        }
        if let Err(error) = EnvFilter::try_new(&self.log.level) {
            let message = format!("level is `{}`: {error}", self.log.level);
            return wrong("log", "level", message, "write \"info\", or as in \"info,transport=debug\"");
        }
        if !["auto", "text", "json", "journal"].contains(&self.log.format.as_str()) {
            let message = format!("format is `{}`", self.log.format);
            return wrong("log", "format", message, "write \"auto\", \"text\", \"json\" or \"journal\"");
        }
        if self.log.file_mib == 0 || self.log.files == 0 {
            return wrong("log", "file_mib", "the log must have room".into(), "write 1 or more");
        }
        if self.log.protocol_file_mib == 0 || self.log.protocol_mib == 0 || self.log.protocol_days == 0 {
            return wrong("log", "protocol", "the protocol log must have room".into(), "write 1 or more");
        }
        if self.kerberos.keytab.is_some() && !cfg!(feature = "kerberos") {
            let message = "this procura was built without Kerberos".to_owned();
            return wrong("kerberos", "keytab", message, "build it with `--features kerberos`, or remove the line");
        }
        let authentication = &self.authentication;
        if !(4096..=10_000_000).contains(&authentication.scram_iterations) {
            let message = format!("scram_iterations is {}", authentication.scram_iterations);
            return wrong("authentication", "scram_iterations", message, "write 4096 (RFC 7677) to 10000000");
        }
        let counts = [
            ("source_failures", authentication.source_failures),
            ("account_failures", authentication.account_failures),
            ("failure_seconds", authentication.failure_seconds),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| !(1..=86_400).contains(count)) {
            return wrong("authentication", key, format!("{key} is out of range"), "write 1 to 86400");
        }
        if let Some(host) = &self.delivery.smart_host
            && !host.rsplit_once(':').is_some_and(|(h, p)| !h.is_empty() && p.parse::<u16>().is_ok_and(|p| p > 0))
        {
            let message = format!("smart_host `{host}` is not host:port");
            return wrong("delivery", "smart_host", message, "write it as in relay.example.com:25");
        }
        if let Some(listen) = &self.http.listen
            && listen.parse::<SocketAddr>().is_err()
        {
            let message = format!("listen `{listen}` is not an address and a port");
            return wrong("http", "listen", message, "write it as in 127.0.0.1:8025 or [::1]:8025");
        }
        if let Some(lmtp) = &self.delivery.lmtp
            && transport::LmtpHost::parse(lmtp).is_none()
        {
            let message = format!("lmtp `{lmtp}` is neither a path nor host:port");
            return wrong("delivery", "lmtp", message, "write it as in /run/dovecot/lmtp or 127.0.0.1:24");
        }
        if let Err(message) = SendingLimits::parse(self.delivery.sending_limits.iter().map(String::as_str)) {
            return wrong("delivery", "sending_limits", message, "write them as in [\"100 messages/hour\"]");
        }
        for (section, key, addresses) in [
            ("dns", "servers", self.dns.servers.as_slice()),
            ("delivery", "mta_sts_server", self.delivery.mta_sts_server.as_slice()),
        ] {
            if let Some(text) = addresses.iter().find(|text| text.parse::<SocketAddr>().is_err()) {
                let message = format!("`{text}` is not an address and a port");
                return wrong(section, key, message, "write it as in 127.0.0.1:53 or [::1]:53");
            }
        }
        let delivery = &self.delivery;
        let counts = [
            ("delivery", "connections", delivery.connections, 8..=100_000),
            ("delivery", "connections_per_destination", delivery.connections_per_destination, 1..=1000),
            ("delivery", "reply_seconds", delivery.reply_seconds, 1..=3600),
            ("delivery", "connect_seconds", delivery.connect_seconds, 1..=3600),
            ("delivery", "retry_seconds", delivery.retry_seconds, 1..=3600),
            ("dns", "seconds", self.dns.seconds, 1..=60),
        ];
        if let Some((section, key, _, range)) = counts.into_iter().find(|(_, _, count, range)| !range.contains(count)) {
            let help = format!("write {} to {}", range.start(), range.end());
            return wrong(section, key, format!("{key} is out of range"), &help);
        }
        self.check_submission()?;
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

impl Config {
    /// `[submission]` and `[webhooks]`.
    fn check_submission(&self) -> Result<(), WrongValue> {
        let wrong = |section, key, message: String, help: &str| {
            Err(WrongValue { section, key, message, help: help.to_owned() })
        };
        let submission = &self.submission;
        let address = submission.listen.as_ref().map(|listen| (listen, listen.parse::<SocketAddr>()));
        if let Some((listen, Err(_))) = &address {
            let message = format!("listen `{listen}` is not an address and a port");
            return wrong("submission", "listen", message, "write it as in 0.0.0.0:8443 or 127.0.0.1:8026");
        }
        if let Some(proxy) = submission.proxies.iter().find(|proxy| proxy.parse::<std::net::IpAddr>().is_err()) {
            return wrong("submission", "proxies", format!("`{proxy}` is no IP address"), "write it as in 10.0.0.5");
        }
        if let Some((_, Ok(address))) = address
            && submission.plain
            && submission.proxies.is_empty()
            && !address.ip().is_loopback()
        {
            let message = format!("plain HTTP on {address} would show tokens to the network");
            return wrong(
                "submission",
                "plain",
                message,
                "remove it, listen on 127.0.0.1, or name the reverse `proxies`",
            );
        }
        if !(1..=168).contains(&submission.idempotency_hours) {
            let message = format!("idempotency_hours is {}", submission.idempotency_hours);
            return wrong("submission", "idempotency_hours", message, "write 1 to 168");
        }
        if self.webhooks.give_up_hours == 0 {
            return wrong("webhooks", "give_up_hours", "events must be tried for a while".into(), "write 1 or more");
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
        || value.as_array().is_some_and(Vec::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
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
