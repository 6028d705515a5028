//! Runs of the separation audit: export, import of what was reviewed, set-all (S0; `authorization.md` §7). One at a time
//! for each domain; what a run changes is one batch of the history.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use acl::{AccessMask, Ace, Acl, Control, Outcome, SecurityDescriptor, Sid, edit, names};
use directory::{Change, ObjectId, Snapshot, attributes as a};
use rights::admin::{Action, may};
use rights::{Gap, MissingSendAs, Search, effective_send_as, gaps};

use crate::documents::{
    ImportLine, SeparationApplied, SeparationError, SeparationExport, SeparationImport, SeparationPage, SeparationRow,
    SeparationSetAll,
};
use crate::error::{Fault, FaultKind};
use crate::permissions::trustee;
use crate::random::new_token;
use crate::reports::principal;
use crate::response::Response;
use crate::service::{Asked, Plan, find, lock};

/// Rows of a page.
const PAGE: usize = 4_000;
/// A run of which nothing was heard for so long has died.
const DEAD: Duration = Duration::from_secs(120);
/// S0, `FMA_EXCLUSIVE_EXSVC`.
const SUPPRESSED: &str = "\\Exchange Services";
/// Errors that are listed.
const MAX_ERRORS: usize = 15_000;
/// Lines that a file may have in all.
const MAX_LINES: usize = 10_000_000;

/// Runs under way, by domain.
#[derive(Default)]
pub(crate) struct Runs {
    running: HashMap<ObjectId, Run>,
}

struct Run {
    token: String,
    owner: Sid,
    heard: Instant,
    lines: Vec<ImportLine>,
}

impl Runs {
    /// Begins a run, or goes on with one.
    fn enter(&mut self, asked: Asked<'_>, domain: ObjectId, token: Option<&str>) -> Result<&mut Run, Fault> {
        self.running.retain(|_, run| run.heard.elapsed() < DEAD);
        let name = || asked.snapshot.dn(domain);
        match token {
            Some(token) => {
                let run =
                    self.running.get_mut(&domain).filter(|run| run.token == token && run.owner == asked.caller.sid);
                let run = run.ok_or_else(|| {
                    Fault::new(FaultKind::NotFound, format!("the run on {} was given up", name()))
                        .help("begin it again")
                })?;
                run.heard = Instant::now();
                Ok(run)
            }
            None if self.running.contains_key(&domain) => Err(Fault::new(
                FaultKind::Conflict,
                format!("a run of the separation audit is under way on {}", name()),
            )
            .help("one run for each domain at a time: wait for its end")),
            None => {
                let run = Run {
                    token: new_token(),
                    owner: asked.caller.sid.clone(),
                    heard: Instant::now(),
                    lines: Vec::new(),
                };
                Ok(self.running.entry(domain).or_insert(run))
            }
        }
    }
}

/// Holds a domain for the time of one request.
struct Held<'a> {
    asked: Asked<'a>,
    domain: ObjectId,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        lock(&self.asked.service.runs).running.remove(&self.domain);
    }
}

pub fn export(asked: Asked<'_>, export: &SeparationExport) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let domain = domain(snapshot, export.domain.as_deref())?;
    let search = search(snapshot, export)?;
    let token = lock(&asked.service.runs).enter(asked, domain, export.run.as_deref())?.token.clone();
    // Until the last page is given, and when anything goes wrong, the run ends here.
    let held = Held { asked, domain };
    let mut page = SeparationPage { domain: snapshot.dn(domain), ..SeparationPage::default() };
    let mut owners = owners(snapshot, domain);
    owners.retain(|owner| export.after.is_none_or(|after| owner.0 > after));
    let last = owners.last().copied();
    for owner in owners {
        if !may(snapshot, &asked.caller.token, owner, Action::Read) {
            page.errors.push(SeparationError {
                line: 0,
                owner: label(snapshot, owner),
                account: String::new(),
                reason: format!("{} may not read the permissions of {}", asked.caller.name, snapshot.dn(owner)),
            });
            continue;
        }
        page.rows.extend(gaps(snapshot, owner, &search).iter().map(|gap| row(snapshot, gap)));
        if page.rows.len() + page.errors.len() >= PAGE && Some(owner) != last {
            page.next = Some(owner.0);
            page.run = Some(token);
            std::mem::forget(held);
            break;
        }
    }
    Ok(Response::Separation(page))
}

pub fn set_all(asked: Asked<'_>, set: &SeparationSetAll) -> Result<Response, Fault> {
    let domain = domain(asked.snapshot, set.search.domain.as_deref())?;
    lock(&asked.service.runs).enter(asked, domain, None)?;
    let _held = Held { asked, domain };
    let mut applied = SeparationApplied::default();
    let (after, done) = asked.commit(|snapshot| {
        let search = search(snapshot, &set.search)?;
        let mut grants = Grants::new(asked, snapshot, domain);
        for owner in owners(snapshot, domain) {
            for gap in gaps(snapshot, owner, &search) {
                if gap.is_delegate && !set.include_delegates {
                    grants.applied.delegates_skipped += 1;
                    continue;
                }
                let (account, _) = who(snapshot, &gap);
                grants.grant(0, owner, &gap.trustee, &account);
            }
        }
        grants.finish("set-all", &mut applied)
    })?;
    applied.summary = done.summary;
    applied.version = version(asked, &after, applied.granted);
    Ok(Response::SeparationApplied(applied))
}

pub fn import(asked: Asked<'_>, import: SeparationImport) -> Result<Response, Fault> {
    let domain = domain(asked.snapshot, import.domain.as_deref())?;
    let (token, lines) = {
        let mut runs = lock(&asked.service.runs);
        let run = runs.enter(asked, domain, import.run.as_deref())?;
        if run.lines.len() + import.lines.len() > MAX_LINES {
            return Err(Fault::new(FaultKind::Invalid, "the file is too long").help("import it in parts"));
        }
        run.lines.extend(import.lines);
        (run.token.clone(), if import.last { std::mem::take(&mut run.lines) } else { Vec::new() })
    };
    if !import.last {
        return Ok(Response::SeparationApplied(SeparationApplied { run: Some(token), ..SeparationApplied::default() }));
    }
    let _held = Held { asked, domain };
    let mut applied = SeparationApplied::default();
    let (after, done) = asked.commit(|snapshot| {
        let mut grants = Grants::new(asked, snapshot, domain);
        for line in &lines {
            match reviewed(snapshot, domain, line) {
                Ok((owner, sid)) => grants.grant(line.line, owner, &sid, &line.account),
                Err(reason) => grants.refuse(line.line, line.owner.clone(), line.account.clone(), reason),
            }
        }
        grants.finish("import", &mut applied)
    })?;
    applied.summary = done.summary;
    applied.version = version(asked, &after, applied.granted);
    Ok(Response::SeparationApplied(applied))
}

fn version(asked: Asked<'_>, after: &Snapshot, granted: u64) -> Option<u64> {
    (granted > 0 && asked.trial.is_none()).then(|| after.version())
}

/// Owner and account of a line, which must say the same by all their names.
fn reviewed(snapshot: &Snapshot, domain: ObjectId, line: &ImportLine) -> Result<(ObjectId, Sid), String> {
    let name = if line.owner_dn.is_empty() { &line.owner } else { &line.owner_dn };
    let owner = find(snapshot, name).map_err(|fault| fault.message)?;
    let object = snapshot.object(owner).filter(|object| object.mailbox().is_some());
    if object.is_none() {
        return Err(format!("{} has no mailbox", snapshot.dn(owner)));
    }
    if snapshot.domain_of(owner).map(|own| own.object) != Some(domain) {
        return Err(format!("{} is not in {}", snapshot.dn(owner), snapshot.dn(domain)));
    }
    let by_name = trustee(snapshot, &line.account).map_err(|fault| fault.message);
    if line.account_sid.is_empty() {
        return by_name.map(|sid| (owner, sid));
    }
    let sid: Sid = line.account_sid.parse().map_err(|_| format!("{} is no SID", line.account_sid))?;
    match by_name {
        Ok(named) if named != sid => {
            Err(format!("{} has the SID {named}, but the line says {sid}: which of them is meant?", line.account))
        }
        _ => Ok((owner, sid)),
    }
}

/// Grants in the making: one descriptor for each owner.
struct Grants<'a> {
    asked: Asked<'a>,
    snapshot: &'a Snapshot,
    domain: ObjectId,
    descriptors: BTreeMap<ObjectId, Option<SecurityDescriptor>>,
    applied: SeparationApplied,
}

impl<'a> Grants<'a> {
    fn new(asked: Asked<'a>, snapshot: &'a Snapshot, domain: ObjectId) -> Grants<'a> {
        let applied = SeparationApplied { domain: snapshot.dn(domain), ..SeparationApplied::default() };
        Grants { asked, snapshot, domain, descriptors: BTreeMap::new(), applied }
    }

    fn refuse(&mut self, line: u32, owner: String, account: String, reason: String) {
        if self.applied.errors.len() == MAX_ERRORS {
            // The answer has to fit into a line.
            let reason = "there are more errors than can be listed: mend these, then try again".to_owned();
            self.applied.errors.push(SeparationError { reason, ..SeparationError::default() });
        }
        if self.applied.errors.len() > MAX_ERRORS {
            return;
        }
        self.applied.errors.push(SeparationError { line, owner, account, reason });
    }

    /// Grants Send As, if it can be and would count.
    fn grant(&mut self, line: u32, owner: ObjectId, sid: &Sid, account: &str) {
        match self.try_grant(owner, sid) {
            Ok(true) => self.applied.granted += 1,
            Ok(false) => self.applied.unchanged += 1,
            Err(reason) => self.refuse(line, label(self.snapshot, owner), account.to_owned(), reason),
        }
    }

    fn try_grant(&mut self, owner: ObjectId, sid: &Sid) -> Result<bool, String> {
        let snapshot = self.snapshot;
        let ace = Ace::allow_object(sid.clone(), AccessMask::CONTROL_ACCESS, names::SEND_AS);
        let explicit = match self.descriptors.get(&owner) {
            Some(Some(descriptor)) => descriptor.clone(),
            Some(None) => return Err(format!("the descriptor of {} could not be read", snapshot.dn(owner))),
            None => match snapshot.explicit_descriptor(owner) {
                Some(descriptor) => SecurityDescriptor::clone(&descriptor),
                None => {
                    self.descriptors.insert(owner, None);
                    return Err(format!("the descriptor of {} could not be read", snapshot.dn(owner)));
                }
            },
        };
        let has_it = |ace: &&Ace| ace.sid == *sid && ace.is_allow() && ace.is_effective() && grants_send_as(ace);
        if explicit.dacl.iter().flat_map(|dacl| &dacl.aces).any(|ace| has_it(&ace)) {
            return Ok(false);
        }
        if let Some((Outcome::Deny, Some(index))) = effective_send_as(snapshot, owner, sid) {
            let origin = snapshot.ace_origin(owner, index);
            if origin == owner {
                return Err(format!(
                    "Send As is denied on {0}: a grant would stand behind it (`procura permission get '{0}'`)",
                    snapshot.dn(owner)
                ));
            }
        }
        if snapshot.is_protected(owner) {
            return Err(format!(
                "{} is protected by AdminSDHolder: the grant would be taken back within the hour",
                snapshot.dn(owner)
            ));
        }
        if !may(snapshot, &self.asked.caller.token, owner, Action::WriteDac) {
            return Err(format!("{} may not change permissions of {}", self.asked.caller.name, snapshot.dn(owner)));
        }
        let mut descriptor = explicit;
        descriptor.control.set(Control::DACL_PRESENT, true);
        let changed = edit::add(descriptor.dacl.get_or_insert_with(|| Acl::new(Vec::new())), ace);
        self.descriptors.insert(owner, Some(descriptor));
        Ok(changed)
    }

    fn finish(self, what: &str, applied: &mut SeparationApplied) -> Result<Plan, Fault> {
        let snapshot = self.snapshot;
        let changes = self.descriptors.into_iter().filter_map(|(owner, descriptor)| {
            let guid = snapshot.object(owner)?.guid();
            Some(Change::Modify { guid, attributes: vec![(a::DESCRIPTOR.to_owned(), vec![descriptor?.to_bytes()])] })
        });
        let changes: Vec<Change> = changes.collect();
        *applied = self.applied;
        let summary = format!(
            "separation audit, {what} on {}: Send As granted {} times",
            snapshot.dn(self.domain),
            applied.granted
        );
        Ok(Plan::new(summary, changes))
    }
}

fn grants_send_as(ace: &Ace) -> bool {
    ace.mask.contains(AccessMask::CONTROL_ACCESS) && ace.object_type.is_none_or(|right| right == names::SEND_AS)
}

/// The domain of a name: its DN, DNS name, short name, or anything in it is not enough.
fn domain(snapshot: &Snapshot, name: Option<&str>) -> Result<ObjectId, Fault> {
    let domains = snapshot.domains();
    let found = match name {
        None => domains.first(),
        Some(name) => domains.iter().find(|domain| {
            domain.dns_name.eq_ignore_ascii_case(name)
                || domain.netbios_name.eq_ignore_ascii_case(name)
                || snapshot.by_dn(name) == Some(domain.object)
                || domain.sid.to_string() == name
        }),
    };
    found.map(|domain| domain.object).ok_or_else(|| {
        let known: Vec<&str> = domains.iter().map(|domain| domain.dns_name.as_str()).collect();
        Fault::new(FaultKind::NotFound, format!("there is no domain {}", name.unwrap_or_default()))
            .help(format!("domains are: {}", known.join(", ")))
    })
}

fn search(snapshot: &Snapshot, export: &SeparationExport) -> Result<Search, Fault> {
    let suppressed = export.suppress.iter().map(|name| trustee(snapshot, name)).collect::<Result<_, _>>()?;
    let name = export.suppress_name.as_deref().unwrap_or(SUPPRESSED);
    if !name.is_empty() && (!name.starts_with('\\') || name[1..].contains('\\')) {
        return Err(Fault::new(FaultKind::Invalid, format!("`{name}` must begin with a backslash and name no domain"))
            .help("as in '\\Exchange Services': the account is left out in every domain in which it exists"));
    }
    let suppressed_name = (!name.is_empty()).then(|| name.to_owned());
    Ok(Search { suppressed, suppressed_name, inherited: export.inherited })
}

/// Mailbox owners of a domain, by the order of objects.
fn owners(snapshot: &Snapshot, domain: ObjectId) -> Vec<ObjectId> {
    let mut owners = snapshot.subtree(domain);
    owners.retain(|id| snapshot.object(*id).is_some_and(|object| object.mailbox().is_some()));
    owners.sort_unstable();
    owners
}

fn label(snapshot: &Snapshot, id: ObjectId) -> String {
    snapshot.object(id).map(|object| object.label()).unwrap_or_default()
}

/// `DOMAIN\name` and the display name of the account of a gap.
fn who(snapshot: &Snapshot, gap: &Gap) -> (String, String) {
    match gap.object {
        Some(object) => (principal(snapshot, object).0, label(snapshot, object)),
        None => (snapshot.sid_name(&gap.trustee), String::new()),
    }
}

fn row(snapshot: &Snapshot, gap: &Gap) -> SeparationRow {
    let (account, account_name) = who(snapshot, gap);
    SeparationRow {
        owner: label(snapshot, gap.owner),
        account,
        account_name,
        has_delegates: gap.has_delegates,
        enabled: gap.owner_enabled,
        owner_dn: snapshot.dn(gap.owner),
        account_sid: gap.trustee.to_string(),
        access_from: match gap.access_from == gap.owner {
            true => "explicit".to_owned(),
            false => snapshot.dn(gap.access_from),
        },
        missing: match gap.missing {
            MissingSendAs::NoEntry => "no entry".to_owned(),
            MissingSendAs::Denied { origin } => format!("denied on {}", snapshot.dn(origin)),
            MissingSendAs::Protected => "protected by AdminSDHolder".to_owned(),
            MissingSendAs::Unreadable => "the descriptor could not be read".to_owned(),
            MissingSendAs::OnlyInherited { origin } => format!("inherited only, from {}", snapshot.dn(origin)),
        },
        is_delegate: gap.is_delegate,
    }
}
