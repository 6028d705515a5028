//! `directory test`: what works, what is missing, and what to do about it.

mod abilities;
mod deletions;

use serde::{Deserialize, Serialize};

use acl::Guid;

use crate::changes::{self, Method};
use crate::connection::{Connection, LdapError};
use crate::controller::{self, Domain, Member};
use crate::followed::open;
use crate::message::code;
use crate::settings::{Address, Security, Settings};
use crate::source::filetime;
use directory::attributes as a;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Where.
    pub server: String,
    /// `good`, `note` (works, and could be better) or `bad`.
    pub state: String,
    /// What was found.
    pub text: String,
    /// What to do; empty where nothing is to be done.
    pub advice: String,
}

/// The domain of the first domain controller that answers.
///
/// # Errors
/// None does; in words.
pub fn look(settings: &Settings) -> Result<Domain, String> {
    let mut why = "no domain controller is named".to_owned();
    for address in &settings.servers {
        let found = open(settings, address).and_then(|mut connection| {
            let dse = controller::root_dse(&mut connection)?;
            controller::domain(&mut connection, &dse, &settings.map)
        });
        match found {
            Ok(domain) => return Ok(domain),
            Err(error) => why = format!("{address}: {error}"),
        }
    }
    Err(why)
}

/// Looks at every domain controller. Nothing is changed.
pub fn test(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut forest = Forest::default();
    for address in &settings.servers {
        let mut report = Report { server: address.to_string(), findings: &mut findings };
        let looked = match address.is_catalog() {
            true => catalog(settings, address, &mut forest, &mut report),
            false => server(settings, address, &mut forest, &mut report),
        };
        if let Err(error) = looked {
            report.bad(error.to_string(), advice(&error));
        }
    }
    forest.report(&mut Report { server: "the forest".to_owned(), findings: &mut findings });
    findings
}

/// Domains of the forest, and how they are read.
#[derive(Default)]
struct Forest {
    members: Vec<Member>,
    /// DNs of domains with a domain controller of ours.
    served: Vec<String>,
    /// Those that a global catalog tells of.
    told: Vec<String>,
}

impl Forest {
    fn add(&mut self, members: Vec<Member>) {
        for member in members {
            if !self.members.iter().any(|own| own.dn.eq_ignore_ascii_case(&member.dn)) {
                self.members.push(member);
            }
        }
    }

    fn report(&self, report: &mut Report<'_>) {
        for member in self.members.iter().filter(|member| !is_in(&self.served, &member.dn)) {
            match is_in(&self.told, &member.dn) {
                true => report.note(
                    format!(
                        "of {} only a global catalog tells: who is in its global and domain-local groups, and when its accounts \
                         end, is unknown; what rests on that is answered 451",
                        member.dn
                    ),
                    "name a domain controller of it in `servers`",
                ),
                false => report.note(
                    format!("nothing is read of {}: its people are unknown here, and its universal groups do not count", member.dn),
                    "name a domain controller of it in `servers`, or a global catalog (ldaps://…:3269)",
                ),
            }
        }
    }
}

fn is_in(list: &[String], dn: &str) -> bool {
    list.iter().any(|own| own.eq_ignore_ascii_case(dn))
}

struct Report<'a> {
    server: String,
    findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    fn put(&mut self, state: &str, text: String, advice: &str) {
        let (server, state, advice) = (self.server.clone(), state.to_owned(), advice.to_owned());
        self.findings.push(Finding { server, state, text, advice });
    }

    fn good(&mut self, text: impl Into<String>) {
        self.put("good", text.into(), "");
    }

    fn note(&mut self, text: impl Into<String>, advice: &str) {
        self.put("note", text.into(), advice);
    }

    fn bad(&mut self, text: impl Into<String>, advice: &str) {
        self.put("bad", text.into(), advice);
    }
}

/// What to do about an error.
fn advice(error: &LdapError) -> &'static str {
    use rustls::CertificateError as Wrong;
    match error {
        LdapError::Tls(rustls::Error::InvalidCertificate(
            Wrong::Expired | Wrong::ExpiredContext { .. } | Wrong::NotValidYet | Wrong::NotValidYetContext { .. },
        )) => "look at the clock of this machine, and at the dates of the certificate: it is not valid at this time",
        LdapError::Tls(_) => {
            "its certificate must carry the name under which it is configured, and be issued by an authority in `roots`"
        }
        LdapError::Io(_) => "check the name, the port (636 for ldaps, 389 for ldap), and what is in between",
        LdapError::Refused { outcome, .. } if outcome.code == code::INVALID_CREDENTIALS => {
            "check `account` and `password_file`; is the account locked, disabled or expired?"
        }
        LdapError::Ticket(_) => {
            "check `account`, `keytab`, the name under which the server is configured, and the clocks"
        }
        LdapError::Malformed(_) | LdapError::Nonsense(_) | LdapError::Referral => {
            "check that a domain controller answers there, and what the account may read"
        }
        LdapError::Refused { .. } => "look at the rights of the account (docs: active-directory)",
    }
}

fn connected(settings: &Settings, address: &Address) -> String {
    let how = if address.security == Security::Kerberos { "sealed by Kerberos" } else { "over TLS" };
    let by = if settings.tickets.is_some() { " by a ticket" } else { "" };
    format!("connected {how}, logged on as {}{by}", settings.account)
}

/// What a global catalog tells of the domains of its forest.
fn catalog(
    settings: &Settings,
    address: &Address,
    forest: &mut Forest,
    report: &mut Report<'_>,
) -> Result<(), LdapError> {
    let mut connection = open(settings, address)?;
    report.good(connected(settings, address));
    let dse = controller::root_dse(&mut connection)?;
    let members = controller::members(&mut connection, &dse)?;
    for member in &members {
        let domain = controller::domain_in_catalog(&mut connection, &dse, &member.dn, &settings.map)?;
        let found = controller::load(&mut connection, &domain, &settings.map, settings.page, filetime())?;
        report.good(format!("{} tells of {} objects of {} ({})", dse.host, found.len(), domain.dn, domain.netbios));
        if !domain.lacks.is_empty() {
            let lacking: Vec<&str> = domain.lacks.iter().map(String::as_str).collect();
            report.note(
                format!("the global catalog does not hold {}", lacking.join(", ")),
                "name a domain controller of each domain, or have the schema replicate them (isMemberOfPartialAttributeSet)",
            );
        }
        if !is_in(&forest.served, &member.dn) {
            let advice = "name a domain controller of the domain";
            deletions::look(settings, &mut connection, &domain, advice, report)?;
        }
        forest.told.push(member.dn.clone());
    }
    forest.add(members);
    Ok(())
}

fn server(
    settings: &Settings,
    address: &Address,
    forest: &mut Forest,
    report: &mut Report<'_>,
) -> Result<(), LdapError> {
    let mut connection = open(settings, address)?;
    report.good(connected(settings, address));
    let dse = controller::root_dse(&mut connection)?;
    let domain = controller::domain(&mut connection, &dse, &settings.map)?;
    report.good(format!("{} serves {} ({}), SID {}", dse.host, domain.dn, domain.netbios, domain.sid));
    forest.served.push(domain.dn.clone());
    forest.add(controller::members(&mut connection, &dse)?);
    if domain.netbios.is_empty() {
        report.note(
            "the short name of the domain cannot be read",
            "let the account read CN=Partitions in the configuration partition",
        );
    }
    for (name, what) in [
        (a::PUBLIC_DELEGATES, "delegates (Send on Behalf)"),
        (a::MAILBOX_GUID, "mailboxes"),
        (a::MASTER_ACCOUNT_SID, "linked accounts"),
    ] {
        match domain.theirs.contains(name) {
            true => report.good(format!("{what} are read from the domain ({name})")),
            false => report.note(
                format!("the schema has no {name}: {what} are kept by Procura itself"),
                "that is well for a forest without Exchange; or extend the schema and set `map`",
            ),
        }
    }
    let method = changes::begin(&mut connection, &domain, &dse)?.0;
    match method {
        Method::DirSync => report.good("changes are followed by DirSync, deletions too"),
        Method::DirSyncAsSeen => report.note(
            "changes are followed by DirSync with what the account may see",
            "grant the account “Replicating Directory Changes” on the domain (not “… All”)",
        ),
        Method::Usn => report.note(
            "DirSync is refused: changes are followed by their number",
            "grant the account “Replicating Directory Changes” on the domain (not “… All”)",
        ),
    }
    if method != Method::DirSync {
        deletions::look(settings, &mut connection, &domain, "grant that right", report)?;
    }
    objects(settings, &mut connection, &domain, report)?;
    abilities::look(settings, &mut connection, &dse, &domain, report)
}

fn objects(
    settings: &Settings,
    connection: &mut Connection,
    domain: &Domain,
    report: &mut Report<'_>,
) -> Result<(), LdapError> {
    let begin = std::time::Instant::now();
    let found = controller::load(connection, domain, &settings.map, settings.page, filetime())?;
    let class = |found: &crate::found::Found| {
        directory::Class::from_object_classes(found.attributes.get(a::OBJECT_CLASS).map_or(&[][..], |values| values))
    };
    let count = |which: &dyn Fn(&crate::found::Found) -> bool| found.iter().filter(|found| which(found)).count();
    let accounts = count(&|found| class(found).is_account());
    let groups = count(&|found| class(found) == directory::Class::Group);
    report.good(format!(
        "{} objects in {} ms: {accounts} accounts, {groups} groups",
        found.len(),
        begin.elapsed().as_millis()
    ));
    let unreadable: Vec<&str> = found
        .iter()
        .filter(|found| {
            let stored = found.attributes.get(a::DESCRIPTOR).and_then(|values| values.first());
            stored.and_then(|stored| crate::mirror::explicit(stored)).is_none()
        })
        .map(|found| found.dn.as_str())
        .collect();
    match unreadable.split_first() {
        None => report.good("the permissions of all objects can be read"),
        Some((first, rest)) => report.bad(
            format!("the permissions of {} objects cannot be read, the first {first}", rest.len() + 1),
            "grant the account “Read permissions” (READ_CONTROL) on the domain, for this object and all child objects; \
             until then nothing is granted on these, and mail of their owners is answered 451",
        ),
    }
    let untold: Vec<&str> = found
        .iter()
        .filter(|found| {
            found.attributes.get(a::USER_ACCOUNT_CONTROL).is_some_and(|values| values[..] == [crate::found::UNTOLD])
        })
        .map(|found| found.dn.as_str())
        .collect();
    if let Some((first, rest)) = untold.split_first() {
        report.bad(
            format!("whether {} accounts are disabled cannot be read, the first {first}", rest.len() + 1),
            "grant the account “Read account restrictions” on the domain, for users and computers below it; until then \
             these count as disabled",
        );
    }
    let known: std::collections::HashSet<Guid> = found.iter().map(|found| found.guid).collect();
    let orphans =
        count(&|found| found.guid != domain.guid() && found.parent.is_some_and(|parent| !known.contains(&parent)));
    if orphans > 0 {
        report.note(
            format!("{orphans} objects are below something that the account may not see: they are left out"),
            "let the account list the contents of all containers and organizational units",
        );
    }
    let mail = count(&|found| {
        class(found).is_account()
            && (found.attributes.contains_key(a::MAIL) || found.attributes.contains_key(a::PROXY_ADDRESSES))
    });
    match mail {
        0 => report.bad(
            "no account has a mail address (mail, proxyAddresses)",
            "fill in `mail`, or set `map = { proxyAddresses = \"userPrincipalName\" }`",
        ),
        count => report.good(format!("{count} accounts have mail addresses")),
    }
    Ok(())
}
