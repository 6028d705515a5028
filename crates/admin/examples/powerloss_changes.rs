//! Administrative changes without end, for tests/powerloss: through the service in this process, or through the socket of
//! a server, several at the same time.
//!
//! `powerloss_changes points` prints the fail points on the way of a change. `powerloss_changes DIR load SEED [IMPORT...]`
//! works as the owner of the data directory until it is killed, `… DIR client SEED [IMPORT...]` through `DIR/admin.sock`
//! until the server is gone. IMPORTs were interrupted; they are made again first. A line on standard output is a promise:
//!
//! ```text
//! ACK comment count digest   so many versions with this comment are durable, and this is what the last one changed
//! PASSWORD account           its password is durable
//! GONE account               it may be gone from now on
//! IMPORT name                an import begins …
//! IMPORTED name              … and is complete
//! ```
//!
//! `powerloss_changes DIR verify` opens the directory after the failure and holds what is stored against its history:
//! every version is there, each change begins where the one before it ended, and all of them together make exactly the
//! records, descriptors and links that are stored. It prints `VERSION number comment digest` and `CREDENTIAL account`; a
//! fault goes to standard error and makes the status 1.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use acl::Guid;
use admin::operations::{self as op, Request as R, Response};
use admin::socket::Client;
use admin::{Absent, AdminError, DataDirectory, Endpoint, FaultKind, Options, Service, Users, random};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use directory::organization::{Names, NewConnector, Usage, new_organization};
use directory::{AttributeChange, ChangeLog, ObjectChange, Record, Time, Value, parse_link};
use store::DirectoryStore;

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SESSIONS: u64 = 4;
/// Users of a large import: several batches, each of them larger than what goes through the write-ahead log …
const MANY: usize = 1_150;
/// … and for a server, which was built without fail points: more than count together, so many small batches.
const MANY_FOR_SERVER: usize = 5_300;
const FEW: usize = 12;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["points"] => store::FAIL_POINTS.iter().for_each(|name| println!("{name}")),
        [dir, "load", seed, imports @ ..] => load(Path::new(dir), seed.parse()?, imports)?,
        [dir, "client", seed, imports @ ..] => client(Path::new(dir), seed.parse()?, imports)?,
        [dir, "verify"] => verify(Path::new(dir))?,
        _ => return Err("usage: powerloss_changes points | DIR load|client SEED [IMPORT...] | DIR verify".into()),
    }
    Ok(())
}

/// Passwords as they are, almost.
struct Hashes;

impl admin::Hasher for Hashes {
    fn phc(&self, password: &[u8]) -> Result<String, String> {
        Ok(format!("hash of {}", String::from_utf8_lossy(password)))
    }

    fn scram(&self, _: &[u8], _: Option<admin::Like<'_>>) -> Result<Option<String>, String> {
        Ok(Some("keys".to_owned()))
    }
}

fn open(dir: &Path) -> Fallible<Service> {
    let data = DataDirectory::open(dir, Absent::Create)?;
    let options = Options {
        users: Users { owner: data.owner(), accounts: Default::default() },
        hash: std::sync::Arc::new(Hashes),
        clock: now,
        node: "mail.example.com".to_owned(),
    };
    Ok(Service::open(data, options)?)
}

fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
}

fn load(dir: &Path, seed: u64, imports: &[&str]) -> Fallible<()> {
    let service = Arc::new(open(dir)?);
    if service.snapshot().organization().is_none() {
        let names = Names {
            domain: "example.com".to_owned(),
            netbios: "EXAMPLE".to_owned(),
            domain_sid: random::new_domain_sid(),
            organization: "First Organization".to_owned(),
            server: "MAIL".to_owned(),
            server_fqdn: "mail.example.com".to_owned(),
        };
        let bindings = vec!["127.0.0.1:2587".parse()?];
        let connector = NewConnector { name: "Client".to_owned(), usage: Usage::Client, bindings, grants: Vec::new() };
        service.commit_as_system("init", new_organization(&names, &[connector], &mut random::new_guid))?;
    }
    let uid = service.own_uid();
    sessions(seed, imports, MANY, || {
        let service = Arc::clone(&service);
        Ok(move |comment: &str, request: R| Ok(service.call(uid, comment, request)?))
    })
}

fn client(dir: &Path, seed: u64, imports: &[&str]) -> Fallible<()> {
    let socket = admin::data::socket_path(dir);
    sessions(seed, imports, MANY_FOR_SERVER, || {
        let mut endpoint = Endpoint::Remote(Client::connect(&socket)?);
        Ok(move |comment: &str, request: R| endpoint.call(comment, request))
    })
    .or_else(end_of_server)
}

/// Imports again what was interrupted; then sessions at the same time, until the process is killed or the server is gone.
fn sessions<A>(seed: u64, imports: &[&str], many: usize, connect: impl Fn() -> Fallible<A>) -> Fallible<()>
where
    A: FnMut(&str, R) -> Result<Response, AdminError> + Send,
{
    let mut first = Session::new(seed, 0, many, connect()?);
    let prepared = first.prepare(imports);
    let mut all = vec![first];
    for number in 1..SESSIONS {
        all.push(Session::new(seed, number, many, connect()?));
    }
    let endless = |session: &mut Session<A>| -> Fallible<()> {
        loop {
            session.step()?;
        }
    };
    prepared.or_else(end_of_server)?;
    std::thread::scope(|scope| {
        for mut session in all {
            scope.spawn(move || {
                if let Err(error) = endless(&mut session).or_else(end_of_server) {
                    eprintln!("{error}");
                    std::process::exit(1);
                }
            });
        }
    });
    Ok(())
}

/// A server that was killed hangs up, or does not answer a session that would begin; that is how a session ends.
fn end_of_server(error: Box<dyn std::error::Error + Send + Sync>) -> Fallible<()> {
    if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused) {
        return Ok(());
    }
    match error.downcast_ref::<AdminError>() {
        Some(AdminError::Fault(_)) | None => Err(error),
        Some(_) => Ok(()),
    }
}

/// One administrator: a change, its acknowledgement, the next.
struct Session<A> {
    ask: A,
    name: String,
    chance: Chance,
    number: u64,
    imports: bool,
    many: usize,
    users: Vec<String>,
    groups: Vec<String>,
    units: Vec<String>,
    versions: Vec<u64>,
}

impl<A: FnMut(&str, R) -> Result<Response, AdminError>> Session<A> {
    fn new(seed: u64, number: u64, many: usize, ask: A) -> Session<A> {
        let (users, groups, units, versions) = Default::default();
        let chance = Chance(seed * 1_000 + number + 1);
        Session {
            ask,
            name: format!("{seed}x{number}"),
            chance,
            number: 0,
            imports: number == 0,
            many,
            users,
            groups,
            units,
            versions,
        }
    }

    fn prepare(&mut self, imports: &[&str]) -> Fallible<()> {
        self.change("unit", R::OuAdd(op::OuAdd { name: "Staff".into(), under: None, protected: false }))?;
        for name in imports {
            self.import(name)?;
            // What was interrupted is complete: a second time nothing is left to do.
            match self.run(name, true, |_, _| Ok(()))? {
                op::Imported { changes: 0, .. } => say(&format!("IMPORTED {name}")),
                left => return Err(format!("import {name} was made again and left {} changes", left.changes).into()),
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Fallible<()> {
        self.number += 1;
        let name = format!("u{}x{}", self.name, self.number);
        let (user, other, group) = (self.user(), self.user(), self.group());
        let unit = self.unit();
        let dice = if self.users.len() < 3 { 0 } else { self.chance.below(20) };
        let request = match dice {
            0..=2 => {
                let ou = self.chance.below(2).eq(&0).then(|| unit.clone());
                let addresses = vec![format!("{name}@example.com")];
                self.users.push(name.clone());
                R::UserAdd(op::UserAdd { name, ou, addresses, mailbox: true, ..Default::default() })
            }
            3 => {
                self.units.push(format!("OU={name}"));
                R::OuAdd(op::OuAdd { name, under: Some(unit), protected: self.chance.below(3) == 0 })
            }
            4 => {
                self.groups.push(name.clone());
                R::GroupAdd(op::GroupAdd { name, members: vec![user, other], ..Default::default() })
            }
            5 => R::MemberAdd(op::Members { group, members: vec![user, other] }),
            6 => R::MemberRemove(op::Members { group, members: vec![user] }),
            7 | 8 => R::PermissionAdd(permission(user, other, None)),
            9 => R::PermissionRemove(permission(user, other, None)),
            // Reaches everybody below: descriptors that are computed, none that is stored.
            10 => R::PermissionAdd(permission(unit, other, Some("user".to_owned()))),
            11 => R::MailboxPermissionAdd(op::MailboxPermissionChange {
                identity: user,
                trustee: other,
                rights: vec!["full-access".into()],
                deny: false,
                until: None,
            }),
            12 => R::DelegateAdd(op::Delegates { identity: user, delegates: vec![other], until: None }),
            13 => R::DelegateRemove(op::Delegates { identity: user, delegates: vec![other], until: None }),
            14 => R::Move(op::Move { identity: user, to: unit }),
            15 => R::UserSet(op::UserSet { identity: user, display_name: Some(name), ..Default::default() }),
            16 if self.users.len() > 8 => {
                let gone = self.users.swap_remove(0);
                say(&format!("GONE {gone}"));
                R::UserRemove(op::Target { identity: gone })
            }
            17 if !self.versions.is_empty() => {
                let at = self.chance.below(self.versions.len());
                // An undone creation takes an account away.
                for user in &self.users {
                    say(&format!("GONE {user}"));
                }
                R::Undo(op::Undo { version: self.versions.swap_remove(at) })
            }
            // The service takes one import of a person at a time.
            18 if self.imports => {
                let size = if self.chance.below(4) == 0 { self.many } else { FEW };
                let import = format!("i{}x{}x{size}", self.name, self.number);
                say(&format!("IMPORT {import}"));
                self.import(&import)?;
                say(&format!("IMPORTED {import}"));
                return Ok(());
            }
            19 => {
                let password = op::Secret(zeroize::Zeroizing::new(format!("secret of {name}")));
                let request = R::PasswordSet(op::PasswordSet { identity: user.clone(), password });
                if self.asked("password", request)?.is_some() {
                    say(&format!("PASSWORD {user}"));
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        self.change("change", request)
    }

    /// A change with a comment of its own.
    fn change(&mut self, what: &str, request: R) -> Fallible<()> {
        let comment = format!("{what}-{}-{}", self.name, self.number);
        let since = now().0;
        if self.asked(&comment, request)?.is_some() {
            self.acknowledged(&comment, since)?;
        }
        Ok(())
    }

    /// The answer; none where it was refused because of what the directory holds.
    fn asked(&mut self, comment: &str, request: R) -> Fallible<Option<Response>> {
        match (self.ask)(comment, request) {
            Ok(response) => Ok(Some(response)),
            Err(AdminError::Fault(fault)) if !matches!(fault.kind, FaultKind::Unavailable | FaultKind::Denied) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Promises what the history says has become of a change.
    fn acknowledged(&mut self, comment: &str, since: i64) -> Fallible<()> {
        let history = op::History { since: Some(since - 1), limit: Some(100), ..Default::default() };
        let Response::History(page) = (self.ask)("", R::History(history))? else { return Err("no history".into()) };
        let mut own: Vec<_> = page.rows.iter().filter(|row| row.comment == comment).collect();
        own.sort_by_key(|row| row.version);
        if let Some(last) = own.last() {
            self.versions.push(last.version);
            say(&format!("ACK {comment} {} {}", own.len(), digest(last)));
        }
        Ok(())
    }

    fn import(&mut self, name: &str) -> Fallible<()> {
        let comment = format!("{name}-by-{}", self.name);
        let mut batches = 0;
        self.run(name, false, |session, since| {
            batches += 1;
            session.acknowledged_batch(&comment, batches, since)
        })
        .map(drop)
    }

    fn acknowledged_batch(&mut self, comment: &str, batches: usize, since: i64) -> Fallible<()> {
        let history = op::History { since: Some(since - 1), limit: Some(20), ..Default::default() };
        let Response::History(page) = (self.ask)("", R::History(history))? else { return Err("no history".into()) };
        if let Some(newest) = page.rows.iter().find(|row| row.comment == comment) {
            say(&format!("ACK {comment} {batches} {}", digest(newest)));
        }
        Ok(())
    }

    /// Brings an import and runs it, a batch at a time.
    fn run(
        &mut self,
        name: &str,
        dry_run: bool,
        mut each: impl FnMut(&mut Self, i64) -> Fallible<()>,
    ) -> Fallible<op::Imported> {
        let mut upload = None;
        for piece in ldif(name).as_bytes().chunks(64 << 10) {
            let data = op::ImportData { upload: upload.take(), data: STANDARD.encode(piece) };
            let Some(Response::Upload { upload: name }) = self.asked(name, R::ImportData(data))? else {
                return Err(format!("import {name}: the file was not taken").into());
            };
            upload = Some(name);
        }
        let upload = upload.unwrap_or_default();
        let comment = format!("{name}-by-{}", self.name);
        loop {
            let since = now().0;
            let run = op::ImportRun { upload: upload.clone(), map: Vec::new(), dry_run };
            let Response::Imported(imported) = (self.ask)(&comment, R::ImportRun(run))? else {
                return Err(format!("import {name}: no answer").into());
            };
            if imported.done > 0 {
                each(self, since)?;
            }
            if imported.finished {
                return Ok(imported);
            }
        }
    }

    fn user(&mut self) -> String {
        pick(&mut self.chance, &self.users, "Administrator")
    }

    fn group(&mut self) -> String {
        pick(&mut self.chance, &self.groups, "Domain Guests")
    }

    fn unit(&mut self) -> String {
        pick(&mut self.chance, &self.units, "OU=Staff")
    }
}

fn pick(chance: &mut Chance, names: &[String], other: &str) -> String {
    match names {
        [] => other.to_owned(),
        names => names[chance.below(names.len())].clone(),
    }
}

fn permission(identity: String, trustee: String, inherit_to: Option<String>) -> op::PermissionChange {
    op::PermissionChange {
        identity,
        trustee,
        rights: vec!["Send As".into()],
        deny: false,
        inherit_to,
        inheritance: None,
        until: None,
    }
}

/// The file of an import: as many users as its name says.
fn ldif(name: &str) -> String {
    let users = name.rsplit('x').next().and_then(|count| count.parse().ok()).unwrap_or(FEW);
    let one = |number: usize| {
        format!(
            "dn: CN={name} {number},OU=Staff,DC=example,DC=com\nobjectClass: user\nsAMAccountName: {name}-{number}\n\
userAccountControl: 512\nproxyAddresses: SMTP:{name}-{number}@example.com\n\n"
        )
    };
    (0..users).map(one).collect()
}

/// What a version changed, without the names that later changes give to the same objects.
fn digest(row: &op::HistoryRow) -> String {
    let mut text = format!("{}", row.changes.len() as u64 + row.more);
    for line in row.changes.iter().take(20) {
        text += &format!("|{}{}{}{}{}", line.guid, line.what, line.attribute, line.removed.len(), line.added.len());
    }
    let hash = text
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01B3));
    format!("{hash:016x}")
}

fn verify(dir: &Path) -> Fallible<()> {
    let path = dir.join("directory.db");
    if !path.exists() {
        println!("NOTHING");
        return Ok(());
    }
    let store = DirectoryStore::open(&path)?;
    let version = store.version();
    let made = replayed(&store)?;
    let stored: BTreeMap<Guid, Record> = store.load(|records| records.map(|r| (r.guid, in_order(r))).collect())?;
    same(&made, &stored, "the history makes", "the store holds")?;
    let credentials = store.credentials()?;
    drop(store);

    let service = open(dir)?;
    let snapshot = service.snapshot();
    if let Some(problem) = service.problems().first() {
        return Err(format!("the directory was loaded with problems, such as {problem}").into());
    }
    if snapshot.version() != version {
        return Err(format!("the snapshot has version {}, the store {version}", snapshot.version()).into());
    }
    let seen = snapshot.objects().filter_map(|(id, _)| snapshot.record(id)).map(|r| (r.guid, in_order(r))).collect();
    same(&stored, &seen, "the store holds", "the snapshot shows")?;
    if version == 0 {
        return Ok(());
    }
    for (guid, _) in credentials {
        let account = snapshot.by_guid(&guid).ok_or_else(|| format!("a password of {guid}, which is not there"))?;
        let name = snapshot.attribute(account, "sAMAccountName").first().cloned().unwrap_or_default();
        println!("CREDENTIAL {}", String::from_utf8_lossy(&name));
    }
    let mut before = None;
    loop {
        let history = op::History { before, limit: Some(200), ..Default::default() };
        let Response::History(page) = service.call(service.own_uid(), "", R::History(history))? else {
            return Err("no history".into());
        };
        for row in &page.rows {
            println!("VERSION {} {} {}", row.version, row.comment.replace(' ', "_"), digest(row));
        }
        before = page.next;
        if before.is_none() {
            return Ok(());
        }
    }
}

/// The records that the history makes, from nothing. Each change has to begin where the one before it ended.
fn replayed(store: &DirectoryStore) -> Fallible<BTreeMap<Guid, Record>> {
    let mut records = BTreeMap::new();
    for version in 1..=store.version() {
        let log: ChangeLog = store.log(version)?.ok_or_else(|| format!("version {version} is not in the history"))?;
        if log.is_empty() {
            return Err(format!("version {version} changes nothing").into());
        }
        for change in log.changes {
            let guid = change.guid();
            replay(&mut records, change).map_err(|e| format!("version {version}: object {guid}: {e}"))?;
        }
    }
    Ok(records)
}

fn replay(records: &mut BTreeMap<Guid, Record>, change: ObjectChange) -> Result<(), String> {
    match change {
        ObjectChange::Added(record) => match records.insert(record.guid, in_order(record)) {
            None => Ok(()),
            Some(_) => Err("it was there already".to_owned()),
        },
        ObjectChange::Deleted(record) => match records.remove(&record.guid) {
            Some(known) if known == in_order(record) => Ok(()),
            _ => Err("what was deleted is not what was there".to_owned()),
        },
        ObjectChange::Moved { guid, before, after } => {
            let record = records.get_mut(&guid).ok_or("it is not there")?;
            if (record.parent, record.rdn.clone()) != before {
                return Err("it was not where it was moved from".to_owned());
            }
            (record.parent, record.rdn) = after;
            Ok(())
        }
        ObjectChange::Modified { guid, attributes } => {
            let record = records.get_mut(&guid).ok_or("it is not there")?;
            attributes.into_iter().try_for_each(|attribute| replay_attribute(record, attribute))
        }
    }
}

fn replay_attribute(record: &mut Record, change: AttributeChange) -> Result<(), String> {
    let (name, mut values) = match change {
        AttributeChange::Replaced { name, before, after } => {
            if sorted(record.values(&name).to_vec()) != sorted(before) {
                return Err(format!("{name} was not what was replaced"));
            }
            (name, after)
        }
        AttributeChange::Links { name, removed, added } => {
            let mut values = record.values(&name).to_vec();
            for gone in removed {
                let at = values.iter().position(|value| *value == gone);
                values.swap_remove(at.ok_or_else(|| format!("{name} lacked a link that was removed"))?);
            }
            if added.iter().any(|link| values.contains(link)) {
                return Err(format!("{name} held a link that was added"));
            }
            values.extend(added);
            (name, values)
        }
    };
    values = sorted(values);
    match values.is_empty() {
        true => record.attributes.remove(&name),
        false => record.attributes.insert(name, values),
    };
    Ok(())
}

/// A record whose links are in one order.
fn in_order(mut record: Record) -> Record {
    record.attributes.values_mut().for_each(|values| *values = sorted(std::mem::take(values)));
    record.attributes.retain(|_, values| !values.is_empty());
    record
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    if values.iter().all(|value| parse_link(value).is_some()) {
        values.sort_unstable();
    }
    values
}

fn same(one: &BTreeMap<Guid, Record>, other: &BTreeMap<Guid, Record>, here: &str, there: &str) -> Fallible<()> {
    for (guid, record) in one {
        match other.get(guid) {
            None => return Err(format!("{here} {} ({guid}), and not {there}", record.rdn).into()),
            Some(known) if known != record => {
                let names = record.attributes.keys().chain(known.attributes.keys());
                let mut names: Vec<_> = names.filter(|name| record.values(name) != known.values(name)).collect();
                names.dedup();
                return Err(format!("{here} another {} ({guid}) than {there}: {names:?}", record.rdn).into());
            }
            Some(_) => {}
        }
    }
    match other.keys().find(|guid| !one.contains_key(guid)) {
        Some(guid) => Err(format!("{there} {guid}, and not {here}").into()),
        None => Ok(()),
    }
}

/// A promise: it must be out before anything else happens.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
}

/// Random numbers that are the same for the same seed (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit.max(1)
    }
}
