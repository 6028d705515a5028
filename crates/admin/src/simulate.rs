//! Trials: a request on a copy of the directory. What would change, who would gain and who lose; nothing is done.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use directory::{Change, ChangeBatch, ChangeLog, ObjectChange, ObjectId, Snapshot};
use rights::{Difference, Permission, differences, some_differences};

use crate::authorize::authorize;
use crate::documents::{DifferenceRow, Simulated};
use crate::error::Fault;
use crate::history;
use crate::operations::Request;
use crate::reports::{could_become, person_via, principal, target_name};
use crate::response::{Done, Response};
use crate::service::{Asked, Plan};

/// Rows of each list at most; the rest is counted.
pub(crate) const MAX_ROWS: usize = 5_000;
/// Octets of changes at most: the answer has to fit into a line.
pub(crate) const MAX_BYTES: usize = 3 << 20;
/// Gains and losses that a move tells.
const TOLD: usize = 10;

/// Where the changes of a trial go.
#[derive(Default)]
pub(crate) struct Trial {
    planned: RefCell<Option<Planned>>,
    changes: RefCell<Vec<Change>>,
    /// Where it begins; the newest snapshot where nothing is said.
    base: Option<Arc<Snapshot>>,
}

struct Planned {
    before: Arc<Snapshot>,
    after: Arc<Snapshot>,
    log: ChangeLog,
}

impl Trial {
    /// Plans and checks as a change does, and applies it to a copy.
    pub fn change(
        &self,
        asked: Asked<'_>,
        plan: impl FnOnce(&Snapshot) -> Result<Plan, Fault>,
    ) -> Result<(Arc<Snapshot>, Done), Fault> {
        let current = match (&*self.planned.borrow(), &self.base) {
            (Some(planned), _) => Arc::clone(&planned.after),
            (None, Some(base)) => Arc::clone(base),
            (None, None) => asked.service.snapshot(),
        };
        let Plan { changes, done, authorized } = plan(&current)?;
        if !authorized {
            authorize(&current, asked.caller, &changes)?;
        }
        let (after, mut log) = apply(asked, &current, changes.clone())?;
        if log.changes.is_empty() {
            return Ok((current, done));
        }
        self.changes.borrow_mut().extend(changes);
        let after = Arc::new(after);
        let mut planned = self.planned.borrow_mut();
        let before = match planned.take() {
            Some(mut earlier) => {
                // A document may be of many thousand changes: the few go to the many.
                earlier.log.changes.append(&mut log.changes);
                log = earlier.log;
                earlier.before
            }
            None => current,
        };
        *planned = Some(Planned { before, after: Arc::clone(&after), log });
        Ok((after, done))
    }

    /// A trial that begins with a snapshot; each change sees those before it.
    pub fn on(snapshot: &Snapshot) -> Trial {
        Trial { base: Some(Arc::new(snapshot.clone())), ..Trial::default() }
    }

    /// What would be, so far. Only of a trial that [`Trial::on`] made.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        match (&*self.planned.borrow(), &self.base) {
            (Some(planned), _) => Arc::clone(&planned.after),
            (None, Some(base)) => Arc::clone(base),
            (None, None) => Arc::new(Snapshot::empty()),
        }
    }

    /// Number of changes so far.
    pub fn count(&self) -> usize {
        self.changes.borrow().len()
    }

    /// All changes, in order.
    pub fn into_changes(self) -> Vec<Change> {
        self.changes.into_inner()
    }
}

/// Applies changes to a copy.
pub(crate) fn apply(asked: Asked<'_>, before: &Snapshot, changes: Vec<Change>) -> Result<(Snapshot, ChangeLog), Fault> {
    let (author, time) = (asked.caller.sid.clone(), asked.service.now());
    let applied = before.apply(&ChangeBatch { author, time, comment: String::new(), changes })?;
    crate::trust::check(before, &applied.snapshot)?;
    Ok((applied.snapshot, applied.log))
}

pub fn simulate(asked: Asked<'_>, request: Request) -> Result<Response, Fault> {
    let trial = Trial::default();
    let tried = Asked { trial: Some(&trial), ..asked };
    let outcome = match request {
        Request::Simulate(inner) => return simulate(asked, *inner.request),
        Request::ImportRun(run) => {
            tried.dispatch(Request::ImportRun(crate::operations::ImportRun { dry_run: true, ..run }))?
        }
        request => tried.dispatch(request)?,
    };
    let Some(planned) = trial.planned.into_inner() else {
        return Ok(match outcome {
            done @ (Response::Done(_) | Response::SeparationApplied(_)) => Response::Simulated(Box::new(nothing(done))),
            // It only looks: it may as well be done.
            other => other,
        });
    };
    Ok(Response::Simulated(Box::new(report(asked, planned, outcome)?)))
}

fn nothing(outcome: Response) -> Simulated {
    Simulated {
        outcome: Box::new(outcome),
        changes: Vec::new(),
        more_changes: 0,
        gained: Vec::new(),
        lost: Vec::new(),
        more_rows: 0,
        notes: Vec::new(),
    }
}

fn report(asked: Asked<'_>, planned: Planned, outcome: Response) -> Result<Simulated, Fault> {
    let Planned { before, mut after, log } = planned;
    let mut simulated = nothing(outcome);
    // What the AdminSDHolder task would do about it belongs to what comes of it.
    let known: Vec<Change> = directory::protected::changes(&before);
    let mut protect: Vec<Change> =
        directory::protected::changes(&after).into_iter().filter(|change| !known.contains(change)).collect();
    // A domain elsewhere protects its own, and takes changes or refuses them.
    asked.service.elsewhere.leave_out(&after, &mut protect);
    if let Some(fault) = asked.service.elsewhere.refusal(&before, &after, &log) {
        simulated.notes.push(format!("it would be refused: {}", fault.message));
    }
    if !protect.is_empty() {
        simulated.notes.push(format!(
            "the AdminSDHolder task will replace the permissions of {} object(s) within the hour: reckoned in",
            protect.len()
        ));
        after = Arc::new(apply(asked, &after, protect)?.0);
    }
    let lines = history::lines(&before, &after, &log);
    (simulated.changes, simulated.more_changes) = history::shortened(lines, MAX_ROWS, MAX_BYTES);
    tell(&mut simulated, &before, &after, MANY_QUESTIONS);
    simulated.notes.extend(amounts_to_it(&before, &after, &log));
    Ok(simulated)
}

/// Decisions that a summary takes: seconds.
const QUESTIONS: usize = 5_000_000;
/// Decisions that a trial of one command takes, a document of the whole organization included: minutes.
const MANY_QUESTIONS: usize = 100_000_000;

/// Who gains and who loses by changes of any number: what cannot be looked at in seconds is counted.
pub(crate) fn summary(before: &Snapshot, after: &Snapshot, outcome: Done) -> Simulated {
    let mut simulated = nothing(Response::Done(outcome));
    tell(&mut simulated, before, after, QUESTIONS);
    simulated
}

/// Tells who gains and who loses, as far as so many decisions say.
fn tell(simulated: &mut Simulated, before: &Snapshot, after: &Snapshot, questions: usize) {
    let differences = some_differences(before, after, questions);
    for difference in &differences.found {
        if simulated.gained.len() + simulated.lost.len() == MAX_ROWS {
            simulated.more_rows += 1;
            continue;
        }
        let gained = difference.gained;
        let side = if gained { after } else { before };
        let row = difference_row(side, difference);
        if gained { simulated.gained.push(row) } else { simulated.lost.push(row) }
    }
    for (left, what) in [
        (
            differences.owners_left,
            "owners that are touched are not looked at: who gains or loses what on them is not listed",
        ),
        (
            differences.accounts_left,
            "accounts that come, go or change their groups are not looked at: what they gain or lose on others is not listed",
        ),
    ] {
        if left > 0 {
            simulated.notes.push(format!("{left} {what}"));
        }
    }
}

fn difference_row(snapshot: &Snapshot, difference: &Difference) -> DifferenceRow {
    let person = &difference.person;
    let (trustee, trustee_sid) = principal(snapshot, person.account);
    DifferenceRow {
        trustee,
        trustee_sid,
        target: target_name(snapshot, person.target),
        right: person.permission.name().to_owned(),
        via: person_via(person).to_owned(),
        needs_logon: person.needs_logon,
    }
}

/// Warnings of who gains and who loses by changes; for a move, which changes what is inherited.
pub(crate) fn warnings(asked: Asked<'_>, before: &Snapshot, changes: Vec<Change>) -> Result<Vec<String>, Fault> {
    let (after, _) = apply(asked, before, changes)?;
    let found = differences(before, &after);
    let mut warnings: Vec<String> = Vec::new();
    for difference in found.iter().take(TOLD) {
        let (side, word) = if difference.gained { (&after, "gains") } else { (before, "loses") };
        let row = difference_row(side, difference);
        warnings.push(format!("{} {word} {} on {}", row.trustee, difference.person.permission.display(), row.target));
    }
    if found.len() > TOLD {
        warnings.push(format!("and {} more gain or lose; --dry-run lists all", found.len() - TOLD));
    }
    Ok(warnings)
}

/// Who comes to hold a right that amounts to Send As on an object that the change touches (authorization.md §6).
fn amounts_to_it(before: &Snapshot, after: &Snapshot, log: &ChangeLog) -> Vec<String> {
    let touched: BTreeSet<ObjectId> = log
        .changes
        .iter()
        .filter(|change| !matches!(change, ObjectChange::Deleted(_)))
        .filter_map(|change| after.by_guid(&change.guid()))
        .collect();
    let mut notes = Vec::new();
    // Of a new object it is what its class and place give.
    let is_old = |id: &ObjectId| before.object(*id).is_some();
    let has_address = |id: &ObjectId| after.object(*id).is_some_and(|object| object.primary_address().is_some());
    for id in touched.into_iter().filter(|id| is_old(id) && has_address(id)) {
        let key = |row: &crate::documents::HolderRow| (row.trustee_sid.clone(), row.via.clone());
        let old: BTreeMap<_, _> = could_become(before, id).into_iter().map(|row| (key(&row), ())).collect();
        for row in could_become(after, id).into_iter().filter(|row| row.effective && !old.contains_key(&key(row))) {
            notes.push(format!(
                "{} could come to {} {}: {}",
                row.trustee,
                Permission::SendAs.display().to_lowercase(),
                target_name(after, id),
                row.via
            ));
        }
        if notes.len() > 100 {
            break;
        }
    }
    notes
}
