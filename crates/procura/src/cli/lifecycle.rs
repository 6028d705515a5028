//! Commands about the directory as a whole: generate one, back it up, restore it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use admin::operations::{self as op, Request, Response};
use admin::{Absent, DataDirectory, Endpoint};
use clap::{Args, Subcommand};
use directory::organization::Usage;
use directory::{Record, Snapshot, Time, ldif};
use generate::{Forest, Plan};
use indicatif::{ProgressBar, ProgressStyle};
use rights::PermissionGroup;
use store::{AuditStore, Backup, DirectoryStore};

use super::args::Global;
use super::fault::Failure;
use super::folder_permission::FolderPermission;
use super::run::{broken, call, named, show, spinner, unexpected};
use crate::config::keys;
use crate::init;
use crate::node::{DEFAULT_DATA, Node};

#[derive(Debug, Subcommand)]
pub enum Lifecycle {
    /// Generate an organization of any size, the same from the same seed: for tests and benchmarks
    Generate(Generate),
    /// Move an object, and what is below it, to another container; says who gains and who loses
    #[command(
        after_help = "Examples:\n  procura move alice --to OU=Plant --dry-run\n  procura move OU=Desk --to OU=Staff"
    )]
    Move {
        /// Any of its names
        object: String,
        /// The container
        #[arg(long, value_name = "CONTAINER")]
        to: String,
    },
    /// Administrators' accounts and groups, whose permissions AdminSDHolder replaces
    #[command(subcommand)]
    Protected(Protected),
    /// Rights on the folders of mailboxes: Editor of a calendar, Reviewer of an inbox; the IMAP server enforces them
    #[command(subcommand)]
    FolderPermission(FolderPermission),
    /// Hold what decisions are made on against what is stored
    #[command(after_help = super::verify::HELP)]
    CheckDirectory,
    /// Write the directory as LDIF, descriptors included, as `procura import` reads it
    #[command(
        after_help = "Examples:\n  procura export > forest.ldif\n  procura export --under OU=Staff > staff.ldif\n  procura export --toml > org.toml"
    )]
    Export {
        /// Only this object and what is below it
        #[arg(long, value_name = "OBJECT", conflicts_with = "toml")]
        under: Option<String>,
        /// Write the organization as a file for `procura apply` instead: domains, units, groups, users, connectors, grants
        #[arg(long)]
        toml: bool,
    },
    /// Make domains, connectors, units, groups, users and grants as a file says; what it does not name stays
    #[command(after_help = super::apply::HELP)]
    Apply {
        /// The file
        file: PathBuf,
        /// What an earlier file named and this one does not goes
        #[arg(long)]
        prune: bool,
    },
    /// Write directory, history, audit and configuration into one file, also while the server runs
    #[command(
        after_help = "Messages that wait for delivery, delivered mail, TLS keys and certificates are not in it.\n\nExample:\n  procura backup /var/backups/procura.backup"
    )]
    Backup {
        /// The new file
        file: PathBuf,
    },
    /// Make a data directory of a backup
    #[command(after_help = "Example:\n  procura restore procura.backup --data /var/lib/procura")]
    Restore {
        /// The backup
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum Protected {
    /// List them
    List,
    /// List those that are administrators no longer and still do not inherit permissions
    Orphans,
    /// Let such a one inherit again
    Repair {
        /// Any of its names
        object: String,
    },
    /// Why an account is protected, and how to give rights on it that stay
    #[command(after_help = "Example:\n  procura protected explain administrator")]
    Explain {
        /// Any of its names
        object: String,
    },
    /// Give its mailbox to an ordinary account, and the protected one access to it (the recommended way)
    #[command(after_help = "Example:\n  procura protected separate ann.admin --owner ann --dry-run")]
    Separate {
        /// The protected account: any of its names
        object: String,
        /// An account without a mailbox, or the logon name of a new, disabled one
        #[arg(long, value_name = "NAME")]
        owner: String,
        /// Container of a new account [default: CN=Users]
        #[arg(long, value_name = "CONTAINER")]
        ou: Option<String>,
    },
    /// Take it out of the groups that protect it, and let it inherit again
    #[command(after_help = "Example:\n  procura protected end ann --dry-run")]
    End {
        /// Any of its names
        object: String,
    },
    /// Grant on the template: the right counts on every protected account of a domain
    #[command(
        after_help = "Only after a complete review of what that means: --dry-run lists who gains what.\n\nExample:\n  procura protected template --user besadmin --right 'Send As' --dry-run"
    )]
    Template {
        /// Who
        #[arg(long, value_name = "NAME")]
        user: String,
        /// Which right; several are allowed
        #[arg(long = "right", value_name = "RIGHT", required = true)]
        rights: Vec<String>,
        /// The domain [default: the root domain]
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
        /// Take the entry away instead
        #[arg(long)]
        remove: bool,
    },
}

fn protected(command: Protected) -> Request {
    let target = |object| op::Target { identity: object };
    match command {
        Protected::List => Request::ProtectedList,
        Protected::Orphans => Request::ProtectedOrphans,
        Protected::Repair { object } => Request::ProtectedRepair(target(object)),
        Protected::Explain { object } => Request::ProtectedExplain(target(object)),
        Protected::End { object } => Request::ProtectedEnd(target(object)),
        Protected::Separate { object, owner, ou } => {
            Request::ProtectedSeparate(op::ProtectedSeparate { identity: object, owner, ou })
        }
        Protected::Template { user, rights, domain, remove } => {
            Request::ProtectedTemplate(op::ProtectedTemplate { domain, trustee: user, rights, remove })
        }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  procura generate --seed 1 --mailboxes 1000000 --into /var/tmp/large\n  procura generate --mailboxes 5000 --out forest.ldif"
)]
pub struct Generate {
    /// The same seed gives the same organization
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Number of mailboxes
    #[arg(long, default_value_t = 1000)]
    pub mailboxes: u32,
    /// Domain of the organization and of all addresses
    #[arg(long, default_value = "example.com")]
    pub domain: String,
    /// Write LDIF to this file; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with = "into", required_unless_present = "into")]
    pub out: Option<PathBuf>,
    /// Create this data directory
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
}

/// Runs a command.
pub fn run(global: &Global, command: Lifecycle) -> Result<ExitCode, Failure> {
    let done = match command {
        Lifecycle::FolderPermission(command) => {
            return super::folder_permission::run(&mut endpoint(global)?, global, command);
        }
        Lifecycle::CheckDirectory => return super::verify::run(&mut endpoint(global)?, global),
        Lifecycle::Generate(arguments) => generate(global, &arguments),
        Lifecycle::Move { object, to } => {
            let asked = Request::Move(op::Move { identity: object, to });
            show(&call(&mut endpoint(global)?, global, asked)?, global.format)
        }
        Lifecycle::Protected(command) => {
            let looks = matches!(command, Protected::List | Protected::Orphans | Protected::Explain { .. });
            let asked = protected(command);
            let response = match looks {
                true => endpoint(global)?.call("", asked)?,
                false => call(&mut endpoint(global)?, global, asked)?,
            };
            show(&response, global.format)
        }
        Lifecycle::Export { toml: true, .. } => super::document::export(&mut endpoint(global)?),
        Lifecycle::Export { under, .. } => export(global, under),
        Lifecycle::Apply { file, prune } => {
            let request = super::apply::request(&file, prune)?;
            let response = call(&mut endpoint(global)?, global, request);
            show(&response.map_err(|failure| failure.in_file(&file))?, global.format)
        }
        Lifecycle::Backup { file } => {
            let file = std::path::absolute(&file).map_err(|e| named(&file, e))?;
            if global.dry_run {
                return would_back_up(&file).map(|()| ExitCode::SUCCESS);
            }
            let response = call(&mut endpoint(global)?, global, Request::Backup(op::Backup { file }))?;
            show(&response, global.format)
        }
        Lifecycle::Restore { file } => restore(global, &file),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// What a backup would do, as far as it can be told.
fn would_back_up(file: &Path) -> Result<(), Failure> {
    if file.exists() {
        return Err(Failure::new(format!("{} is there already", file.display())).help("name a new file"));
    }
    if !file.parent().is_some_and(Path::is_dir) {
        return Err(Failure::new(format!("{}: there is no such directory", file.display())));
    }
    println!("would write {}", file.display());
    Ok(())
}

fn endpoint(global: &Global) -> Result<Endpoint, Failure> {
    Node::locate(global).map_err(|report| Failure::new(report.to_string()))?.endpoint()
}

fn export(global: &Global, under: Option<String>) -> Result<(), Failure> {
    let mut endpoint = endpoint(global)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut write = |text: &str| out.write_all(text.as_bytes()).map_err(broken);
    write(&ldif::write([]))?;
    let bar = spinner("{spinner} {bytes}, {elapsed}");
    let mut after = None;
    loop {
        let asked = Request::Export(op::Export { under: under.clone(), after });
        let Response::Ldif(page) = endpoint.call("", asked)? else { return Err(unexpected()) };
        write(&page.text)?;
        bar.inc(page.text.len() as u64);
        after = page.next;
        if after.is_none() {
            bar.finish_and_clear();
            break;
        }
    }
    out.flush().map_err(broken)
}

/// Takes a backup apart beside the places of its files, opens what came out, and only then puts it there.
fn restore(global: &Global, file: &Path) -> Result<(), Failure> {
    let dir = global.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
    let taken = OURS.iter().chain(&["queue"]).find(|name| dir.join(name).exists());
    if let Some(taken) = taken {
        return Err(Failure::new(format!("{} is there already: nothing was changed", dir.join(taken).display()))
            .help("restore into a new directory with --data"));
    }
    let stored = |error| Failure::from(admin::Fault::from(error));
    let backup = Backup::open(file).map_err(stored)?;
    let parts = backup.parts().map_err(stored)?;
    if !parts.iter().any(|part| part.name == OURS[0]) {
        return Err(Failure::new(format!("{} holds no directory", file.display())));
    }
    if global.dry_run {
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        println!("would restore {} to {}", names.join(", "), dir.display());
        return Ok(());
    }
    let data = DataDirectory::open(&dir, Absent::Create)?;
    let place = |name: &str| data.path().join(name);
    let beside = |name: &str| data.path().join(format!("{name}.restored"));
    let names = || OURS.into_iter().filter(|name| parts.iter().any(|part| part.name == *name));
    let restored = || -> Result<usize, Failure> {
        for name in names() {
            let _ = std::fs::remove_file(beside(name));
            backup.extract(name, &beside(name)).map_err(stored)?;
        }
        let store = DirectoryStore::open(&beside(OURS[0])).map_err(stored)?;
        let version = store.version();
        let loaded = store.load(|records| Snapshot::load(records, version)).map_err(stored)?;
        let objects = loaded.map_err(|e| Failure::new(format!("{}: {e}", file.display())))?.snapshot.len();
        if names().any(|name| name == OURS[1]) {
            AuditStore::open(&beside(OURS[1])).map_err(stored)?;
        }
        Ok(objects)
    };
    let objects = restored().inspect_err(|_| names().for_each(|name| drop(std::fs::remove_file(beside(name)))))?;
    // The directory last: without it there is no organization, and the command can be repeated.
    for name in names().collect::<Vec<_>>().into_iter().rev() {
        std::fs::rename(beside(name), place(name)).map_err(|e| named(&place(name), e))?;
    }
    File::open(data.path()).and_then(|folder| folder.sync_all()).map_err(|e| named(data.path(), e))?;
    println!("restored {}: {objects} objects", data.path().display());
    eprintln!("messages that waited for delivery, delivered mail, TLS keys and certificates were not in the backup");
    Ok(())
}

/// Files of a backup, in the data directory.
const OURS: [&str; 3] = ["directory.db", "audit.db", "procura.toml"];

fn generate(global: &Global, arguments: &Generate) -> Result<(), Failure> {
    let connectors = [
        ("Client", Usage::Client, 587, PermissionGroup::ExchangeUsers),
        ("Internet", Usage::Internet, 25, PermissionGroup::AnonymousUsers),
    ];
    let connectors =
        connectors.map(|(name, usage, port, group)| init::connector(name, usage, init::everywhere(port), group));
    let plan = Plan {
        seed: arguments.seed,
        mailboxes: arguments.mailboxes,
        domain: arguments.domain.clone(),
        server: format!("mail.{}", arguments.domain),
        connectors: connectors.into(),
    };
    let forest = Forest::new(plan).map_err(|e| Failure::new(e.to_string()))?;
    if global.dry_run {
        println!("would make {} mailboxes, {} units, {} groups", forest.mailboxes(), forest.units(), forest.groups());
        return Ok(());
    }
    let bar = ProgressBar::new(forest.len()).with_style(
        ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_message("generating");
    match (&arguments.into, &arguments.out) {
        (Some(dir), _) => into_directory(dir, &forest, arguments, bar.wrap_iter(forest.records()))?,
        (None, Some(path)) => to_ldif(path, bar.wrap_iter(forest.records_with_dn())).map_err(|e| named(path, e))?,
        (None, None) => {}
    }
    bar.finish_and_clear();
    eprintln!("{} mailboxes, {} units, {} groups", forest.mailboxes(), forest.units(), forest.groups());
    Ok(())
}

fn into_directory(
    dir: &Path,
    forest: &Forest,
    arguments: &Generate,
    records: impl Iterator<Item = Record>,
) -> Result<(), Failure> {
    if ["directory.db", "procura.toml"].iter().any(|name| dir.join(name).exists()) {
        return Err(Failure::new(format!("{} holds an organization already", dir.display()))
            .help("name a new directory with --into"));
    }
    let data = DataDirectory::open(dir, Absent::Create)?;
    let hostname = format!("\"mail.{}\"", arguments.domain);
    let set = [("node.hostname", hostname), ("node.data", "\".\"".to_owned())];
    init::write_new(&data.path().join("procura.toml"), &keys::commented(&set))?;
    let stored = |error| Failure::from(admin::Fault::from(error));
    let mut store = DirectoryStore::open(&data.path().join("directory.db")).map_err(stored)?;
    let comment = format!("procura generate --seed {} --mailboxes {}", arguments.seed, forest.mailboxes());
    store.fill(&acl::well_known::SYSTEM, Time(0), &comment, records).map_err(stored)?;
    Ok(())
}

fn to_ldif(path: &Path, records: impl Iterator<Item = (String, Record)>) -> io::Result<()> {
    let out: Box<dyn Write> =
        if path == Path::new("-") { Box::new(io::stdout()) } else { Box::new(File::create(path)?) };
    let mut out = BufWriter::new(out);
    out.write_all(ldif::write([]).as_bytes())?;
    for (dn, record) in records {
        let text = ldif::write([(dn.as_str(), &record)]);
        out.write_all(text.split_once('\n').map_or("", |(_, rest)| rest).as_bytes())?;
    }
    out.flush()
}

/// A time to come: a date, a time, or how long from `now`; in milliseconds since the Unix epoch.
pub fn time(text: &str, now: jiff::Timestamp) -> Result<i64, Failure> {
    let wrong = || {
        Failure::new(format!("`{text}` is no time"))
            .help("write a date (2027-01-31), a time (2027-01-31T18:00) or how long from now (8h, 90d)")
    };
    let text = text.trim();
    if let Some((number, unit)) = text.char_indices().last().map(|(at, unit)| (&text[..at], unit))
        && let Ok(count) = number.parse::<i64>()
        && let Some(seconds) = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400), ('w', 604_800)]
            .iter()
            .find_map(|(own, seconds)| (*own == unit).then_some(*seconds))
    {
        let millis = count.checked_mul(seconds * 1_000).and_then(|time| time.checked_add(now.as_millisecond()));
        return millis.ok_or_else(wrong);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let local: jiff::civil::DateTime = text.parse().map_err(|_| wrong())?;
    let zoned = local.to_zoned(jiff::tz::TimeZone::system()).map_err(|_| wrong())?;
    Ok(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_a_time_or_how_long_from_now() {
        let now: jiff::Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let at =
            |text: &str| time(text, now).map(|millis| jiff::Timestamp::from_millisecond(millis).unwrap().to_string());
        assert_eq!(at("8h").unwrap(), "2026-11-22T18:00:00Z");
        assert_eq!(at("90d").unwrap(), "2027-02-20T10:00:00Z");
        assert_eq!(at("2027-01-31T18:00:00Z").unwrap(), "2027-01-31T18:00:00Z");
        assert!(at("2027-01-31").unwrap().starts_with("2027-01-3"));
        assert!(at("soon").is_err() && at("99999999999999999999d").is_err() && at("").is_err());
    }
}
