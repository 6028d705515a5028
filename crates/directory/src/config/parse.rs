//! From attributes to typed configuration.

use std::net::SocketAddr;

use crate::attributes::{self, known, number};
use crate::object::{integer, is_true};
use crate::{
    AcceptedDomain, AddressSpace, AuthMechanisms, Class, Config, Database, DomainKind, Folder, FolderIdentity,
    FolderKind, HeaderFrom, IpRange, Object, OnBehalf, Organization, ProtocolLogging, ReceiveConnector, Rewrite,
    RewriteHeaders, SendAuth, SendConnector, SendTls, Server, TokenGrant, TokenSource,
};

/// Attribute and what is wrong with it.
type Fault = (&'static str, String);

/// What the object configures, if it is of such a class.
pub(crate) fn parse(object: &Object) -> Result<Option<Config>, Fault> {
    let fields = Fields { object };
    Ok(Some(match object.class() {
        Class::ReceiveConnector => Config::ReceiveConnector(fields.receive_connector()?),
        Class::SendConnector => Config::SendConnector(fields.send_connector()?),
        Class::AcceptedDomain => Config::AcceptedDomain(fields.accepted_domain()?),
        Class::Database => Config::Database(Database { legacy_policy: fields.flag(number::LEGACY_POLICY, false) }),
        Class::Server => Config::Server(fields.server()),
        Class::Organization => {
            let domains = fields.texts(number::SECURE_DOMAINS).filter_map(message::canonical_domain);
            Config::Organization(Organization { secure_domains: domains.collect() })
        }
        _ => return Ok(None),
    }))
}

struct Fields<'a> {
    object: &'a Object,
}

impl<'a> Fields<'a> {
    fn receive_connector(&self) -> Result<ReceiveConnector, Fault> {
        let bindings = self.texts(number::RECEIVE_BINDINGS).map(|text| {
            text.parse::<SocketAddr>().map_err(|_| {
                (
                    attributes::RECEIVE_BINDINGS,
                    format!("“{text}” is not an address with a port, such as 0.0.0.0:25 or [::]:25"),
                )
            })
        });
        let ranges = self
            .texts(number::RECEIVE_RANGES)
            .map(|text| IpRange::parse(text).map_err(|reason| (attributes::RECEIVE_RANGES, reason)));
        let security = self.number(number::RECEIVE_SECURITY, 0)?;
        Ok(ReceiveConnector {
            name: self.object.name(),
            enabled: self.flag(number::RECEIVE_ENABLED, true),
            bindings: bindings.collect::<Result<_, _>>()?,
            remote_ranges: ranges.collect::<Result<_, _>>()?,
            auth: AuthMechanisms::from_flags(security as u32),
            fqdn: self.text(number::RECEIVE_FQDN),
            banner: self.text(number::RECEIVE_BANNER),
            max_message_size: self.number(number::RECEIVE_MAX_MESSAGE, 36 << 20)?,
            max_header_size: self.number(number::RECEIVE_MAX_HEADER, 256 << 10)?,
            max_recipients: self.small(number::RECEIVE_MAX_RECIPIENTS, 5_000)?,
            max_hops: self.small(number::RECEIVE_MAX_HOPS, 60)?,
            max_errors: self.small(number::RECEIVE_MAX_ERRORS, 5)?,
            max_logon_failures: self.small(number::RECEIVE_MAX_LOGON_FAILURES, 3)?,
            max_connections: self.small(number::RECEIVE_MAX_CONNECTIONS, 5_000)?,
            max_connections_per_source: self.small(number::RECEIVE_MAX_PER_SOURCE, 200)?,
            command_timeout_ms: self
                .seconds(number::COMMAND_TIMEOUT, self.seconds(number::RECEIVE_INACTIVITY, 300_000)?)?,
            data_timeout_ms: self.seconds(number::DATA_TIMEOUT, self.seconds(number::RECEIVE_INACTIVITY, 300_000)?)?,
            session_lifetime_ms: self.seconds(number::RECEIVE_TIMEOUT, 3_600_000)?,
            tarpit_ms: self.number(number::RECEIVE_TARPIT, 0)?,
            header_from: self.choice(
                number::HEADER_FROM,
                &[("enforce", HeaderFrom::Enforce), ("observe", HeaderFrom::Observe), ("off", HeaderFrom::Off)],
            )?,
            on_behalf: self.choice(number::ON_BEHALF, &[("stamp", OnBehalf::Stamp), ("reject", OnBehalf::Reject)])?,
            delegate_chain: self.flag(number::DELEGATE_CHAIN, false),
            require_from: self.flag(number::REQUIRE_FROM, true),
            logon_separator: self.separator()?,
            usage: self.text(number::CONNECTOR_USAGE),
            require_tls: self.flag(number::REQUIRE_TLS, false),
            implicit_tls: self.flag(number::IMPLICIT_TLS, false),
            domain_secure: self.flag(number::DOMAIN_SECURE, false),
            rate_per_source: self.small(number::RATE_PER_SOURCE, 0)?,
            unknown_per_source: self.small(number::UNKNOWN_PER_SOURCE, 60)?,
            rate_per_connection: self.small(number::RATE_PER_CONNECTION, 0)?,
            chunking: self.flag(number::CHUNKING, true),
            binary_mime: self.flag(number::BINARY_MIME, false),
            status_notification: self.flag(number::STATUS_NOTIFICATION, true),
            proxy_from: self
                .texts(number::PROXY_FROM)
                .map(|text| IpRange::parse(text).map_err(|reason| (attributes::PROXY_FROM, reason)))
                .collect::<Result<_, _>>()?,
            tolerant: self.flag(number::TOLERANT, false),
            complete_headers: self.flag(number::COMPLETE_HEADERS, false),
            keep_attached: self.flag(number::KEEP_ATTACHED, false),
            logging: self.logging(number::RECEIVE_LOGGING)?,
            rewrites: self.rewrites()?,
            rewrite_headers: self
                .choice(number::REWRITE_HEADERS, &RewriteHeaders::ALL.map(|what| (what.name(), what)))?,
            folder: self.folder()?,
        })
    }

    fn send_connector(&self) -> Result<SendConnector, Fault> {
        let spaces = self
            .texts(number::SEND_SPACES)
            .map(|text| AddressSpace::parse(text).map_err(|reason| (attributes::SEND_SPACES, reason)));
        let port = self.number(number::SEND_PORT, 25)?;
        Ok(SendConnector {
            name: self.object.name(),
            enabled: self.flag(number::SEND_ENABLED, true),
            spaces: spaces.collect::<Result<_, _>>()?,
            smart_hosts: self.texts(number::SEND_SMART_HOSTS).map(str::to_owned).collect(),
            port: u16::try_from(port)
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| (attributes::SEND_PORT, format!("{port} is not a port")))?,
            max_message_size: match self.number(number::SEND_MAX_MESSAGE, 0)? {
                0 => None,
                kib => Some(kib.saturating_mul(1024)),
            },
            fqdn: self.text(number::SEND_FQDN),
            auth: self.choice(number::SEND_AUTH, &SendAuth::ALL.map(|auth| (auth.name(), auth)))?,
            user: self.text(number::SEND_USER),
            require_tls: self.flag(number::REQUIRE_TLS, false),
            domain_secure: self.flag(number::DOMAIN_SECURE, false),
            tls: self.choice(number::SEND_TLS, &SendTls::ALL.map(|tls| (tls.name(), tls)))?,
            pins: self
                .texts(number::SEND_PINS)
                .map(|text| digest(text).ok_or_else(|| (attributes::SEND_PINS, format!("“{text}” is no SHA-256"))))
                .collect::<Result<_, _>>()?,
            max_connections: self.small(number::SEND_MAX_CONNECTIONS, 0)?,
            rate: self.small(number::SEND_RATE, 0)?,
            token: self.token_source()?,
            usage: self.text(number::CONNECTOR_USAGE),
            logging: self.logging(number::SEND_LOGGING)?,
            rewrites: self.rewrites()?,
            drop_folder: self.path(number::DROP_FOLDER)?,
        })
    }

    fn rewrites(&self) -> Result<Vec<Rewrite>, Fault> {
        let rules = self.texts(number::REWRITES);
        rules.map(|text| Rewrite::parse(text).map_err(|reason| (attributes::REWRITES, reason))).collect()
    }

    fn folder(&self) -> Result<Option<Folder>, Fault> {
        let Some(path) = self.path(number::FOLDER_PATH)? else { return Ok(None) };
        Ok(Some(Folder {
            kind: self.choice(number::FOLDER_KIND, &FolderKind::ALL.map(|kind| (kind.name(), kind)))?,
            path,
            identity: self
                .choice(number::FOLDER_IDENTITY, &FolderIdentity::ALL.map(|identity| (identity.name(), identity)))?,
            per_minute: self.small(number::FOLDER_RATE, Folder::PER_MINUTE)?,
        }))
    }

    /// An absolute path without `.` and `..`.
    fn path(&self, number: u16) -> Result<Option<String>, Fault> {
        let Some(text) = self.text(number) else { return Ok(None) };
        match is_plain_path(&text) {
            true => Ok(Some(text)),
            false => Err((name(number), format!("“{text}” is not an absolute path without `.` and `..`"))),
        }
    }

    fn token_source(&self) -> Result<Option<TokenSource>, Fault> {
        let Some(url) = self.text(number::SEND_TOKEN_URL) else { return Ok(None) };
        Ok(Some(TokenSource {
            url,
            client: self.text(number::SEND_TOKEN_CLIENT).unwrap_or_default(),
            scope: self.text(number::SEND_TOKEN_SCOPE),
            grant: self.choice(number::SEND_TOKEN_GRANT, &TokenGrant::ALL.map(|grant| (grant.name(), grant)))?,
        }))
    }

    fn accepted_domain(&self) -> Result<AcceptedDomain, Fault> {
        let text = self.text(number::ACCEPTED_DOMAIN_NAME).unwrap_or_else(|| self.object.name());
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text.as_str(), false),
        };
        let canonical = |attribute, name: &str| {
            message::canonical_domain(name).ok_or_else(|| (attribute, format!("“{name}” is not a domain name")))
        };
        let flags = self.number(number::ACCEPTED_DOMAIN_FLAGS, 0)?;
        let alias_of = self.text(number::ALIAS_OF);
        Ok(AcceptedDomain {
            name: canonical(attributes::ACCEPTED_DOMAIN_NAME, name)?,
            wildcard,
            kind: match flags & 3 {
                0 => DomainKind::Authoritative,
                1 => DomainKind::ExternalRelay,
                2 => DomainKind::InternalRelay,
                _ => return Err((attributes::ACCEPTED_DOMAIN_FLAGS, format!("{flags} is no kind of domain"))),
            },
            alias_of: alias_of.map(|name| canonical(attributes::ALIAS_OF, &name)).transpose()?,
            subaddressing: self.flag(number::SUBADDRESSING, false),
            default: flags & 4 != 0,
            recipient_lookup: self.flag(number::RECIPIENT_LOOKUP, flags & 3 == 0),
        })
    }

    fn server(&self) -> Server {
        let names = self.texts(number::NETWORK_ADDRESS).map(|text| text.strip_prefix("ncacn_ip_tcp:").unwrap_or(text));
        Server {
            names: names.map(str::to_owned).collect(),
            edge: self.number(number::SERVER_ROLES, 0).is_ok_and(|roles| roles & 64 != 0),
            keys: self.texts(number::SERVER_KEYS).filter_map(digest).collect(),
            legacy_policy: self.flag(number::LEGACY_POLICY, false),
        }
    }

    fn separator(&self) -> Result<char, Fault> {
        let Some(text) = self.text(number::LOGON_SEPARATOR) else { return Ok('*') };
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_alphanumeric() && !"\\@.-_ ".contains(c) && !c.is_control() => Ok(c),
            _ => Err((
                attributes::LOGON_SEPARATOR,
                format!(
                    "“{text}” must be one character that no logon name has: not a letter, digit, or one of \\ @ . - _"
                ),
            )),
        }
    }

    fn texts(&self, number: u16) -> impl Iterator<Item = &'a str> + 'a {
        self.object.values(number).filter_map(|value| std::str::from_utf8(value).ok())
    }

    fn text(&self, number: u16) -> Option<String> {
        self.object.text(number).map(str::to_owned)
    }

    fn flag(&self, number: u16, absent: bool) -> bool {
        self.object.values(number).next().map_or(absent, is_true)
    }

    fn number(&self, number: u16, absent: u64) -> Result<u64, Fault> {
        let Some(value) = self.object.values(number).next() else { return Ok(absent) };
        integer(value)
            .and_then(|n| u64::try_from(n).ok())
            .ok_or_else(|| (name(number), format!("“{}” is not a number from 0 up", String::from_utf8_lossy(value))))
    }

    fn logging(&self, number: u16) -> Result<ProtocolLogging, Fault> {
        match self.object.values(number).next().map(integer) {
            None => Ok(ProtocolLogging::Usual),
            Some(Some(0)) => Ok(ProtocolLogging::None),
            Some(Some(1)) => Ok(ProtocolLogging::Verbose),
            Some(_) => Err((name(number), "it is 0 (none) or 1 (verbose)".to_owned())),
        }
    }

    fn small(&self, number: u16, absent: u32) -> Result<u32, Fault> {
        Ok(u32::try_from(self.number(number, u64::from(absent))?).unwrap_or(u32::MAX))
    }

    fn seconds(&self, number: u16, absent_ms: u64) -> Result<u64, Fault> {
        if self.object.values(number).next().is_none() {
            return Ok(absent_ms);
        }
        Ok(self.number(number, 0)?.saturating_mul(1000))
    }

    fn choice<T: Copy>(&self, number: u16, choices: &[(&str, T)]) -> Result<T, Fault> {
        let Some(text) = self.object.text(number) else { return Ok(choices[0].1) };
        choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, choice)| *choice).ok_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            (name(number), format!("“{text}” is not one of {}", words.join(", ")))
        })
    }
}

fn name(number: u16) -> &'static str {
    known(number).map_or("", |attribute| attribute.name)
}

/// Whether a path is absolute, names something below the root, and means the same whatever links there are on the way.
fn is_plain_path(path: &str) -> bool {
    let parts = path.strip_prefix('/').map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    parts.is_some_and(|parts| {
        parts.split('/').all(|part| !matches!(part, "" | "." | "..")) && !parts.chars().any(char::is_control)
    })
}

/// 32 octets from hexadecimal digits; colons between them do not matter.
fn digest(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let mut octets = [0; 32];
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (octet, pair) in octets.iter_mut().zip(digits.chunks(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(octets)
}
