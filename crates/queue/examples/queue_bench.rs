//! Measures durable accepts: `queue_bench DIR [sessions] [octets] [seconds]`.
//!
//! Each session is a thread that queues a message, waits until it is on stable storage, and queues the next. A second
//! run settles every delivery.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use queue::{Envelope, Outcome, Queue, QueueOptions, Recipient};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("usage: queue_bench DIR [sessions] [octets] [seconds]")?);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (sessions, octets, seconds) = (number(32)?, number(10_240)?, number(5)?);
    let (queue, _) = Queue::open(&dir, QueueOptions::default())?;
    let accepted = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for session in 0..sessions {
            let (queue, accepted) = (&queue, &accepted);
            scope.spawn(move || accept(queue, session, octets as usize, start, Duration::from_secs(seconds), accepted));
        }
    });
    report("accepted", accepted.load(Ordering::Relaxed), octets, start.elapsed());
    memory()?;

    let start = Instant::now();
    let mut settled = 0;
    loop {
        let due = queue.due(i64::MAX / 2, 200)?;
        if due.is_empty() {
            break;
        }
        let pending: Vec<_> = due
            .into_iter()
            .map(|delivery| {
                let outcomes = delivery.recipients.iter().map(|one| (one.index, Outcome::Delivered)).collect();
                queue.outcome(delivery, outcomes, Vec::new())
            })
            .collect();
        for pending in pending {
            pending.wait()?;
            settled += 1;
        }
    }
    report("settled", settled, 0, start.elapsed());
    queue.close();
    Ok(())
}

fn accept(queue: &Queue, session: u64, octets: usize, start: Instant, time: Duration, accepted: &AtomicU64) {
    let text = vec![b'x'; octets];
    let (sender, receiver) = mpsc::channel();
    let mut number = 0;
    while start.elapsed() < time {
        number += 1;
        let mut body = queue.begin();
        if let Err(error) = body.write(&text) {
            eprintln!("{error}");
            return;
        }
        let sender = sender.clone();
        queue.commit(body, envelope(session, number), move |answer| drop(sender.send(answer)));
        match receiver.recv() {
            Ok(Ok(())) => accepted.fetch_add(1, Ordering::Relaxed),
            other => {
                eprintln!("{other:?}");
                return;
            }
        };
    }
}

fn envelope(session: u64, number: u64) -> Envelope {
    let user = (session * 31 + number) % 1000;
    Envelope {
        queue_id: format!("01{number:012}{session:012}"),
        sender: Some("sender@example.com".to_owned()),
        recipients: vec![Recipient {
            address: format!("user{user}@example.com"),
            destination: format!("mailbox:user{user}"),
            parameters: String::new(),
        }],
        received: number as i64,
        expires: i64::MAX / 2 + 1,
        smtputf8: false,
        eight_bit: false,
        parameters: String::new(),
        lane: None,
        hold: None,
        audit: None,
    }
}

fn report(what: &str, count: u64, octets: u64, time: Duration) {
    let rate = count as f64 / time.as_secs_f64();
    println!("{what} {count} in {:.2} s: {rate:.0}/s, {:.0} MB/s", time.as_secs_f64(), rate * octets as f64 / 1e6);
}

fn memory() -> std::io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM")) {
        println!("{line}");
    }
    Ok(())
}
