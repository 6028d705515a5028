//! Carrying out a plan.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::ClientConfig;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use crate::connection::{Connection, Reply};
use crate::error::LoadError;
use crate::mail::Message;
use crate::plan::{Connections, Plan, Stop, Tls};
use crate::random::Random;
use crate::report::{Report, Tally};
use crate::tls::client_config;

/// Connections in a row, over all sessions, that failed or broke before a transaction was answered, after which a run gives up.
const TOO_MANY_FAILURES: u32 = 100;

/// How long a session waits after a failed connection before it tries again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// Carries out a plan on a runtime of its own, in the calling thread. See [`run`].
pub fn run_blocking(plan: &Plan) -> Result<Report, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Start)?;
    runtime.block_on(run(plan))
}

/// Carries out a plan. Sessions run in one thread, so that the generator takes at most one core.
///
/// A first connection that fails ends the run with an error, as nothing would be measured; later failures are counted,
/// and only many in a row end the run.
pub async fn run(plan: &Plan) -> Result<Report, LoadError> {
    plan.check()?;
    let tls = match &plan.tls {
        Tls::None => None,
        Tls::StartTls { roots, resume, .. } => Some(client_config(roots.as_deref(), *resume)?),
    };
    let start = Instant::now();
    let course = Rc::new(Course {
        plan: plan.clone(),
        tls,
        start,
        begun: Cell::new(0),
        next_account: Cell::new(0),
        failures: Cell::new(0),
        tally: RefCell::new(Tally::new()),
    });
    let first = course.connect().await?;
    let local = LocalSet::new();
    let mut first = Some(first);
    let sessions: Vec<_> =
        (0..plan.sessions).map(|number| local.spawn_local(session(course.clone(), number, first.take()))).collect();
    local
        .run_until(async {
            for session in sessions {
                if let Ok(Err(error)) = session.await {
                    return Err(error);
                }
            }
            Ok(())
        })
        .await?;
    drop(local);
    let elapsed = start.elapsed();
    let tally = course.tally.replace(Tally::new());
    Ok(tally.report(elapsed))
}

/// What the sessions of a run share.
struct Course {
    plan: Plan,
    tls: Option<Arc<ClientConfig>>,
    start: Instant,
    /// Messages handed out to sessions so far.
    begun: Cell<u64>,
    next_account: Cell<u64>,
    /// Connections in a row that failed or broke.
    failures: Cell<u32>,
    tally: RefCell<Tally>,
}

/// A connection and the login that it used.
struct Open {
    connection: Connection,
    login: String,
    pipelining: bool,
    messages: u32,
}

impl Course {
    async fn connect(&self) -> Result<Open, LoadError> {
        let account = self.plan.auth.as_ref().map(|auth| {
            let index = self.next_account.get();
            self.next_account.set(index + 1);
            auth.accounts.account(index)
        });
        let begin = Instant::now();
        let connection = Connection::open(&self.plan, self.tls.as_ref(), account.as_ref()).await?;
        self.tally.borrow_mut().connected(begin.elapsed());
        let pipelining = self.plan.pipelining && connection.offers("PIPELINING");
        Ok(Open { connection, login: account.map(|(login, _)| login).unwrap_or_default(), pipelining, messages: 0 })
    }

    /// The number of the next message and when it is due; `None` when the run is over.
    fn next(&self) -> Option<(u64, Option<Instant>)> {
        let number = self.begun.get();
        let due = self.plan.rate.map(|rate| self.start + Duration::from_secs_f64(number as f64 / rate));
        let over = match self.plan.stop {
            Stop::Count(count) => number >= count,
            Stop::After(time) => due.unwrap_or_else(Instant::now).max(Instant::now()) >= self.start + time,
        };
        if over {
            return None;
        }
        self.begun.set(number + 1);
        Some((number, due))
    }

    /// Counts a failed connection; an error when there were too many in a row.
    fn failed(&self, error: LoadError) -> Result<(), LoadError> {
        let failures = self.failures.get() + 1;
        self.failures.set(failures);
        if failures >= TOO_MANY_FAILURES {
            return Err(LoadError::GaveUp { failures, last: Box::new(error) });
        }
        self.tally.borrow_mut().error(error.to_string());
        Ok(())
    }
}

async fn session(course: Rc<Course>, number: u32, first: Option<Open>) -> Result<(), LoadError> {
    let mut random = Random::new(course.plan.seed.wrapping_mul(0x1_0000_0001).wrapping_add(u64::from(number)));
    let mut open = first;
    while let Some((message, due)) = course.next() {
        if let Some(due) = due {
            sleep_until(due).await;
            let late = due.elapsed();
            let mut tally = course.tally.borrow_mut();
            tally.late = tally.late.max(late);
        }
        let mut current = match open.take() {
            Some(current) => current,
            None => match course.connect().await {
                Ok(current) => current,
                Err(error) => {
                    course.failed(error)?;
                    tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                    continue;
                }
            },
        };
        course.tally.borrow_mut().attempted += 1;
        match transaction(&course, &mut current, &mut random, message).await {
            Ok(end) => {
                course.failures.set(0);
                if matches!(end, End::Closing) {
                    continue;
                }
            }
            Err(error) => {
                course.failed(error)?;
                continue;
            }
        }
        current.messages += 1;
        match course.plan.connections {
            Connections::Fresh(messages) if current.messages >= messages => current.connection.quit().await,
            _ => open = Some(current),
        }
    }
    if let Some(open) = open {
        open.connection.quit().await;
    }
    Ok(())
}

/// What a transaction leaves behind.
enum End {
    Usable,
    /// The server said 421.
    Closing,
}

async fn transaction(course: &Course, open: &mut Open, random: &mut Random, number: u64) -> Result<End, LoadError> {
    let plan = &course.plan;
    let senders = plan.senders.any(random, &open.login);
    let recipients: Vec<String> =
        (0..plan.recipients_per_message).map(|_| plan.recipients.any(random, &open.login)).collect();
    let size = plan.sizes.any(random);
    let connection = &mut open.connection;

    let mut commands = vec![format!("MAIL FROM:<{}>\r\n", senders.envelope)];
    commands.extend(recipients.iter().map(|recipient| format!("RCPT TO:<{recipient}>\r\n")));
    commands.push("DATA\r\n".to_owned());
    let data_at = commands.len() - 1;
    let mut accepted_recipients = 0;
    let mut go_ahead = None;
    if open.pipelining {
        connection.send(commands.concat().as_bytes()).await?;
    }
    for (index, command) in commands.iter().enumerate() {
        if !open.pipelining {
            if index == data_at && accepted_recipients == 0 {
                break;
            }
            connection.send(command.as_bytes()).await?;
        }
        let reply = connection.reply().await?;
        let stage = stage(index, data_at);
        match (stage, reply.is_positive()) {
            ("DATA", _) => go_ahead = Some(reply),
            ("RCPT", true) => accepted_recipients += 1,
            (_, true) => {}
            (_, false) => {
                let closing = reply.code == 421;
                // RCPT after a refused MAIL answers 503: an echo of the first refusal, not one of its own.
                if !(stage == "RCPT" && reply.code == 503) {
                    course.tally.borrow_mut().refused(stage, reply.kind());
                }
                if closing {
                    return Ok(End::Closing);
                }
                if stage == "MAIL" && !open.pipelining {
                    break;
                }
            }
        }
    }
    match go_ahead {
        Some(Reply { code: 354, .. }) if accepted_recipients > 0 => {}
        Some(Reply { code: 354, .. }) => {
            // 354 though no recipient was accepted: an empty message ends it (RFC 2920 §3.1).
            connection.send(b".\r\n").await?;
            connection.reply().await?;
            return Ok(End::Usable);
        }
        other => {
            if let Some(reply) = other.filter(|_| accepted_recipients > 0) {
                course.tally.borrow_mut().refused("DATA", reply.kind());
            }
            let reply = connection.command("RSET").await?;
            return Ok(if reply.is_positive() { End::Usable } else { End::Closing });
        }
    }
    let message = Message::new(&senders, &recipients[0], &format!("{}-{number}", plan.seed), size);
    connection.send_all(&message.pieces()).await?;
    let sent = Instant::now();
    let reply = connection.reply().await?;
    let mut tally = course.tally.borrow_mut();
    if reply.code == 250 {
        tally.end_of_data(sent.elapsed());
        tally.accepted += 1;
        tally.recipients += accepted_recipients;
        tally.bytes += message.size();
    } else {
        tally.refused("end of data", reply.kind());
    }
    Ok(if reply.code == 421 { End::Closing } else { End::Usable })
}

fn stage(index: usize, data_at: usize) -> &'static str {
    match index {
        0 => "MAIL",
        index if index == data_at => "DATA",
        _ => "RCPT",
    }
}
