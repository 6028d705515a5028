//! The committer: one thread that makes everything durable, in groups.
//!
//! Whatever waits when it gets around is one group: it writes the bodies, syncs each touched segment once, commits one
//! transaction, and then tells everybody. While it does, the next group gathers; there is no timer.

use std::io::IoSlice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::keeper::Chore;
use crate::latency::Latency;
use crate::schedule::{Due, Lease, Schedule, lane_number};
use crate::segment::{Segment, Segments, Space};
use crate::storage::{Accept, Effect, Operation, Resolve, Resolved, Row, Settle, Storage};
use crate::{Beside, BodyWriter, Envelope, Millis, NewMessage, Outcome, QueueError, Resolution, fail_point};

/// A group ends here, so that the first of it need not wait for thousands.
const GROUP_REQUESTS: usize = 1024;
const GROUP_OCTETS: usize = 8 << 20;
/// How often an outcome that found no space is tried again.
const PARKED_RETRY: Duration = Duration::from_secs(1);
const LONGEST_QUEUE_ID: usize = 64;

/// What the threads of a queue share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) segments: Arc<Segments>,
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) body_bytes: AtomicU64,
    pub(crate) min_free: u64,
    pub(crate) chores: Sender<Chore>,
    /// Of a group: until its bodies were synced, and until it was durable as a whole.
    pub(crate) syncs: Latency,
    pub(crate) commits: Latency,
}

/// Called exactly once: with [`QueueError::Closed`] if it is dropped before anything happened.
pub(crate) struct Callback<T: 'static>(Option<Answer<T>>);

type Answer<T> = Box<dyn FnOnce(Result<T, QueueError>) + Send>;

impl<T> Callback<T> {
    pub(crate) fn new(call: impl FnOnce(Result<T, QueueError>) + Send + 'static) -> Callback<T> {
        Callback(Some(Box::new(call)))
    }

    pub(crate) fn call(mut self, answer: Result<T, QueueError>) {
        if let Some(call) = self.0.take() {
            call(answer);
        }
    }
}

impl<T> Drop for Callback<T> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call(Err(QueueError::Closed));
        }
    }
}

/// What the committer is asked for.
pub(crate) enum Request {
    /// All of at least one message, or none; `beside` is the first one's. `late`: the message that they are reports of
    /// being late on.
    Accept {
        messages: Vec<NewMessage>,
        beside: Option<Box<Beside>>,
        late: Option<String>,
        done: Callback<()>,
    },
    Outcome {
        settlement: Box<Settlement>,
        bounces: Vec<NewMessage>,
        done: Callback<()>,
    },
    Resolve {
        end: Box<EndOfHold>,
        bounces: Vec<NewMessage>,
        done: Callback<()>,
    },
    Operate {
        operation: Option<Operation>,
        done: Callback<Effect>,
    },
    Stop,
}

/// The end of a hold without its bounces.
pub(crate) struct EndOfHold {
    pub(crate) queue_id: String,
    pub(crate) key: String,
    pub(crate) resolution: Resolution,
    pub(crate) audit: Option<Vec<u8>>,
    pub(crate) now: Millis,
    pub(crate) beside: Option<Box<Beside>>,
}

/// The outcome of a delivery without its bounces.
pub(crate) struct Settlement {
    pub(crate) lease: Lease,
    pub(crate) queue_id: String,
    pub(crate) destination: String,
    pub(crate) outcomes: Vec<(u32, Outcome)>,
    pub(crate) beside: Option<Box<Beside>>,
}

/// A request on its way through the group.
struct Work {
    request: Request,
    fault: Option<QueueError>,
    /// First row number given to it.
    first: i64,
}

pub(crate) struct Committer {
    pub(crate) requests: Receiver<Request>,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) next_message: i64,
    /// Outcomes that found no space. Their leases stay out, so nothing is delivered twice for lack of space.
    pub(crate) parked: Arc<Mutex<Vec<Request>>>,
    /// New messages are acknowledged and forgotten.
    pub(crate) discard: bool,
}

impl Committer {
    /// Runs until it is told to stop and has done everything asked for before.
    pub(crate) fn run(mut self) {
        let mut stop = false;
        while !stop {
            let parked = self.take_parked();
            let first = if parked.is_empty() {
                self.requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.requests.recv_timeout(PARKED_RETRY)
            };
            let mut group = parked;
            match first {
                Ok(request) => stop = self.gather(request, &mut group),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => stop = true,
            }
            self.commit(group);
            let _ = self.shared.chores.send(Chore::Look);
        }
    }

    fn take_parked(&self) -> Vec<Request> {
        std::mem::take(&mut *self.parked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes everything that waits; true if it is the last group.
    fn gather(&self, first: Request, group: &mut Vec<Request>) -> bool {
        let mut octets = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            match &request {
                Request::Stop => return true,
                Request::Accept { messages, .. } => {
                    octets += messages.iter().map(|new| new.body.tail().len()).sum::<usize>()
                }
                _ => {}
            }
            group.push(request);
            let enough = group.len() >= GROUP_REQUESTS || octets >= GROUP_OCTETS;
            next = if enough { None } else { self.requests.try_recv().ok() };
        }
        false
    }

    fn commit(&mut self, mut group: Vec<Request>) {
        if self.discard {
            group = group.into_iter().filter_map(discarded).collect();
        }
        let mut works: Vec<Work> = group.into_iter().map(|request| Work { request, fault: None, first: 0 }).collect();
        self.admit(&mut works);
        self.write_bodies(&mut works);
        let begun = Instant::now();
        sync_bodies(&mut works);
        self.shared.syncs.measured(begun.elapsed());
        let mut batch = Vec::with_capacity(works.len());
        let mut asked = Vec::with_capacity(works.len());
        for mut work in works {
            if work.fault.is_none() {
                batch.extend(self.operation(&mut work));
                asked.push(work);
            } else {
                finish(&self.shared, &self.parked, vec![(work, Ok(Effect::Done))]);
            }
        }
        if batch.is_empty() {
            return;
        }
        let shared = self.shared.clone();
        let parked = self.parked.clone();
        self.storage.commit(
            batch,
            Box::new(move |answers| {
                shared.commits.measured(begun.elapsed());
                finish(&shared, &parked, asked.into_iter().zip(answers).collect());
            }),
        );
    }

    /// Refuses what cannot be queued, and new messages while the disk is nearly full.
    fn admit(&self, works: &mut [Work]) {
        let accepts = works.iter().any(|work| matches!(work.request, Request::Accept { .. }));
        let full = accepts && self.shared.min_free > 0 && {
            let free = rustix::fs::statvfs(self.shared.segments.queue());
            free.is_ok_and(|free| free.f_bavail.saturating_mul(free.f_frsize) < self.shared.min_free)
        };
        for work in works {
            if full && matches!(work.request, Request::Accept { .. }) {
                work.fault = Some(self.shared.segments.full());
            }
            let fault = messages(&mut work.request).iter().find_map(unfit);
            work.fault = work.fault.take().or(fault);
        }
    }

    /// Writes what of the bodies is still in memory, side by side.
    fn write_bodies(&mut self, works: &mut [Work]) {
        let mut bodies: Vec<(usize, &mut BodyWriter)> = Vec::new();
        for (at, work) in works.iter_mut().enumerate().filter(|(_, work)| work.fault.is_none()) {
            let tails = bodies_of(&mut work.request);
            bodies.extend(tails.filter(|body| !body.tail().is_empty()).map(|body| (at, body)));
        }
        if bodies.is_empty() {
            return;
        }
        fail_point("body.before_write");
        let lengths: Vec<usize> = bodies.iter().map(|(_, body)| body.tail().len()).collect();
        let mut faults: Vec<(usize, QueueError)> = Vec::new();
        match self.shared.segments.allocate(&lengths) {
            Ok(spaces) => write_runs(bodies.into_iter().zip(spaces).collect(), &mut faults),
            // There may be space for some of them.
            Err(_) => {
                for (at, body) in bodies {
                    faults.extend(write_alone(&self.shared.segments, body).err().map(|error| (at, error)));
                }
            }
        }
        for (at, error) in faults {
            works[at].fault.get_or_insert(error);
        }
        fail_point("body.after_write");
    }

    /// The operation for the database.
    fn operation(&mut self, work: &mut Work) -> Option<Operation> {
        work.first = self.next_message;
        let row = |message: &NewMessage| {
            let row = Row {
                message: self.next_message,
                envelope: message.envelope.clone(),
                blocks: message.body.blocks().to_vec(),
            };
            self.next_message += 1;
            row
        };
        match &mut work.request {
            Request::Accept { messages, beside, late, .. } => Some(Operation::Accept(Box::new(Accept {
                rows: messages.iter().map(row).collect(),
                beside: beside.clone(),
                late: late.clone(),
            }))),
            Request::Outcome { settlement, bounces, .. } => Some(Operation::Outcome(Box::new(Settle {
                message: settlement.lease.message,
                destination: settlement.destination.clone(),
                outcomes: settlement.outcomes.clone(),
                bounces: bounces.iter().map(row).collect(),
                beside: settlement.beside.clone(),
            }))),
            Request::Resolve { end, bounces, .. } => {
                let how = match &end.resolution {
                    Resolution::Release { head, replaces, expires } => Resolved::Release {
                        head: head.blocks().to_vec(),
                        replaces: *replaces,
                        expires: *expires,
                        now: end.now,
                    },
                    Resolution::Hold(hold) => Resolved::Hold(hold.clone()),
                    Resolution::Remove => Resolved::Remove,
                };
                Some(Operation::Resolve(Box::new(Resolve {
                    queue_id: end.queue_id.clone(),
                    key: end.key.clone(),
                    how,
                    bounces: bounces.iter().map(row).collect(),
                    audit: end.audit.clone(),
                    beside: end.beside.clone(),
                    now: end.now,
                })))
            }
            Request::Operate { operation, .. } => operation.take(),
            Request::Stop => None,
        }
    }
}

/// Acknowledges a new message without keeping it; other requests are left.
fn discarded(request: Request) -> Option<Request> {
    match request {
        Request::Accept { messages, done, .. } => {
            drop(messages);
            done.call(Ok(()));
            None
        }
        other => Some(other),
    }
}

/// The new messages of a request.
fn messages(request: &mut Request) -> &mut [NewMessage] {
    match request {
        Request::Accept { messages: new, .. }
        | Request::Outcome { bounces: new, .. }
        | Request::Resolve { bounces: new, .. } => new,
        Request::Operate { .. } | Request::Stop => &mut [],
    }
}

/// The bodies of its new messages, and the new head of a released one.
fn bodies_of(request: &mut Request) -> impl Iterator<Item = &mut BodyWriter> {
    let (head, messages) = match request {
        Request::Accept { messages: new, .. } | Request::Outcome { bounces: new, .. } => (None, &mut new[..]),
        Request::Resolve { end, bounces, .. } => match &mut end.resolution {
            Resolution::Release { head, .. } => (Some(head), &mut bounces[..]),
            Resolution::Hold(_) | Resolution::Remove => (None, &mut bounces[..]),
        },
        Request::Operate { .. } | Request::Stop => (None, &mut [][..]),
    };
    head.into_iter().chain(messages.iter_mut().map(|message| &mut message.body))
}

/// Why a message cannot be queued.
fn unfit(message: &NewMessage) -> Option<QueueError> {
    let Envelope { queue_id, recipients, .. } = &message.envelope;
    let detail = if queue_id.is_empty() || queue_id.len() > LONGEST_QUEUE_ID {
        "its queue id is empty or too long"
    } else if recipients.is_empty() {
        "it has no recipient"
    } else {
        return message.body.fault().cloned();
    };
    Some(QueueError::Envelope { queue_id: queue_id.clone(), detail })
}

fn write_alone(segments: &Segments, body: &mut BodyWriter) -> Result<(), QueueError> {
    if body.tail().is_empty() {
        return Ok(());
    }
    let space = segments.allocate(&[body.tail().len()])?.swap_remove(0);
    let written = space.segment.write_at(body.tail(), space.offset);
    body.tail_written(space.segment, space.offset);
    written
}

/// Writes each run of bodies that lie side by side in one segment at once.
fn write_runs(mut placed: Vec<((usize, &mut BodyWriter), Space)>, faults: &mut Vec<(usize, QueueError)>) {
    for run in placed.chunk_by_mut(|(_, one), (_, other)| one.segment.id() == other.segment.id()) {
        let (segment, start) = (run[0].1.segment.clone(), run[0].1.offset);
        let mut pieces: Vec<IoSlice<'_>> = run.iter().map(|((_, body), _)| IoSlice::new(body.tail())).collect();
        let written = segment.write_pieces_at(&mut pieces, start);
        for ((at, body), space) in run {
            body.tail_written(space.segment.clone(), space.offset);
            faults.extend(written.clone().err().map(|error| (*at, error)));
        }
    }
}

/// Syncs each touched segment once.
fn sync_bodies(works: &mut [Work]) {
    let mut segments: Vec<(Arc<Segment>, Result<(), QueueError>)> = Vec::new();
    fail_point("body.before_sync");
    for work in works.iter_mut().filter(|work| work.fault.is_none()) {
        let mut fault = None;
        for body in bodies_of(&mut work.request) {
            for segment in body.touched() {
                let known = segments.iter().position(|(other, _)| other.id() == segment.id());
                let at = known.unwrap_or_else(|| {
                    segments.push((segment.clone(), segment.sync()));
                    segments.len() - 1
                });
                fault = fault.or_else(|| segments[at].1.clone().err());
            }
        }
        work.fault = fault;
    }
    fail_point("body.after_sync");
}

/// Brings schedule and segments up to date with what is durable now, then tells everybody.
fn finish(shared: &Shared, parked: &Mutex<Vec<Request>>, works: Vec<(Work, Result<Effect, QueueError>)>) {
    let mut due = Vec::new();
    let mut tell: Vec<Box<dyn FnOnce()>> = Vec::new();
    for (work, answer) in works {
        let Work { request, fault, first } = work;
        let answer = match fault {
            Some(fault) => Err(fault),
            None => answer,
        };
        match (request, answer) {
            (Request::Accept { messages, done, .. }, Ok(_)) => {
                keep_all(shared, first, messages, &mut due);
                tell.push(Box::new(move || done.call(Ok(()))));
            }
            (Request::Accept { messages, done, .. }, Err(error)) => {
                drop(messages);
                tell.push(Box::new(move || done.call(Err(error))));
            }
            (Request::Outcome { settlement, bounces, done }, Ok(effect)) => {
                if let Effect::Settled { next, freed } = effect {
                    let done = |outcome: &Outcome| !matches!(outcome, Outcome::Deferred { .. });
                    let done: Vec<u32> =
                        settlement.outcomes.iter().filter(|(_, of)| done(of)).map(|(index, _)| *index).collect();
                    settlement.lease.settle(next, &done);
                    free(shared, &freed.unwrap_or_default());
                }
                keep_all(shared, first, bounces, &mut due);
                tell.push(Box::new(move || done.call(Ok(()))));
            }
            (request @ Request::Outcome { .. }, Err(QueueError::Full { .. })) => {
                parked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            }
            (Request::Outcome { settlement, done, .. }, Err(error)) => {
                let error = match error {
                    QueueError::UnknownMessage { .. } => {
                        settlement.lease.settle(None, &[]);
                        QueueError::UnknownMessage { queue_id: settlement.queue_id }
                    }
                    other => other,
                };
                tell.push(Box::new(move || done.call(Err(error))));
            }
            (Request::Resolve { end, bounces, done }, Ok(effect)) => {
                if let Resolution::Release { head, .. } = end.resolution {
                    shared.body_bytes.fetch_add(head.len(), Ordering::Relaxed);
                    head.keep();
                }
                take_effect(shared, &effect);
                keep_all(shared, first, bounces, &mut due);
                tell.push(Box::new(move || done.call(Ok(()))));
            }
            (Request::Resolve { done, .. }, Err(error)) => tell.push(Box::new(move || done.call(Err(error)))),
            (Request::Operate { done, .. }, answer) => {
                if let Ok(effect) = &answer {
                    take_effect(shared, effect);
                }
                tell.push(Box::new(move || done.call(answer)));
            }
            (Request::Stop, _) => {}
        }
    }
    if !due.is_empty() {
        shared.schedule.insert(due);
    }
    fail_point("accept.before_acknowledge");
    tell.into_iter().for_each(|tell| tell());
    fail_point("accept.after_acknowledge");
}

/// New messages are durable; their rows have numbers from `first` on.
fn keep_all(shared: &Shared, first: i64, messages: Vec<NewMessage>, due: &mut Vec<Due>) {
    for (number, message) in messages.into_iter().enumerate() {
        keep(shared, first + number as i64, message, due);
    }
}

/// A new message is durable: its body belongs to the database, its deliveries wait.
fn keep(shared: &Shared, row: i64, message: NewMessage, due: &mut Vec<Due>) {
    let NewMessage { body, envelope } = message;
    shared.body_bytes.fetch_add(body.len(), Ordering::Relaxed);
    body.keep();
    if envelope.hold.is_some() {
        return;
    }
    let Envelope { recipients, received, expires, lane, .. } = envelope;
    let mut to: Vec<(String, u32, String)> = recipients
        .into_iter()
        .enumerate()
        .map(|(index, recipient)| (recipient.destination, index as u32, recipient.address))
        .collect();
    to.sort_unstable();
    for recipients in to.chunk_by(|(one, ..), (other, ..)| one == other) {
        let of_lane = |lane: &String| recipients.iter().map(|(_, index, to)| (*index, lane_number(lane, to))).collect();
        due.push(Due {
            message: row,
            destination: recipients[0].0.clone(),
            when: received,
            expires,
            lanes: lane.as_ref().map(of_lane).unwrap_or_default(),
        });
    }
}

fn take_effect(shared: &Shared, effect: &Effect) {
    match effect {
        Effect::Done | Effect::Settled { .. } => {}
        Effect::Held { message } => shared.schedule.forget(*message),
        Effect::Due { messages, deliveries } => {
            shared.schedule.insert(deliveries.iter().cloned());
            messages.iter().for_each(|message| shared.schedule.unblock(*message));
        }
        Effect::Released { deliveries, freed } => {
            shared.schedule.insert(deliveries.iter().cloned());
            free(shared, freed);
        }
        Effect::Removed { message, blocks } => {
            shared.schedule.forget(*message);
            free(shared, blocks);
        }
    }
}

fn free(shared: &Shared, blocks: &[crate::block::Block]) {
    let octets = blocks.iter().map(|block| u64::from(block.length)).sum();
    shared.body_bytes.fetch_sub(octets, Ordering::Relaxed);
    shared.segments.release(blocks);
}
