//! Hosts that stall, lie, and talk nonsense: nothing is lost, and nothing is taken for delivered that is not.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use queue::QueueOptions;

use crate::hosts::{Host, Manners};
use crate::sending::{await_reason, hand_over, quick, relaying_to};
use crate::site::{Plan, Site, eventually};

/// A host that has one conversation again and again: what it says, and `<` where it reads a line, `.` where it reads to
/// the end of data, `x` where it resets the connection, `~` where it stalls for ever.
fn scripted(script: &[&'static str]) -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let ends = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&ends);
    let script = script.to_vec();
    std::thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            let (seen, script) = (Arc::clone(&seen), script.clone());
            std::thread::spawn(move || converse(stream, &script, &seen));
        }
    });
    (address, ends)
}

fn converse(mut stream: TcpStream, script: &[&str], ends: &AtomicUsize) -> std::io::Result<()> {
    for step in script {
        match *step {
            "<" => drop(until(&mut stream, b"\r\n")?),
            "." => {
                until(&mut stream, b"\r\n.\r\n")?;
                ends.fetch_add(1, Ordering::SeqCst);
            }
            "x" => {
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
                return stream.shutdown(Shutdown::Read);
            }
            "~" => loop {
                std::thread::park();
            },
            says => stream.write_all(says.as_bytes())?,
        }
    }
    Ok(())
}

fn until(stream: &mut TcpStream, end: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(end) {
        if stream.read(&mut byte)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        read.push(byte[0]);
    }
    Ok(read)
}

/// A message to a host that does so, until it is put off for a reason with these words; it is still there then.
fn put_off(script: &[&'static str], words: &str) {
    let (address, ends) = scripted(script);
    let site = relaying_to(
        address,
        |_| {},
        |options| {
            options.delivery.timeouts.greeting = Duration::from_millis(300);
            options.delivery.timeouts.command = Duration::from_millis(300);
            options.delivery.timeouts.data = Duration::from_millis(300);
            options.delivery.timeouts.message = Duration::from_secs(5);
        },
    );
    hand_over(&site, "rita@relay.test");
    await_reason(&site, words);
    assert_eq!(site.shared.queue().counts().unwrap().messages, 1, "{words}");
    drop(ends);
}

const GREETS: &str = "220 relay.test\r\n";
const OFFERS: &str = "250-relay.test\r\n250 PIPELINING\r\n";
/// A conversation up to the end of data.
const TAKES_A_MESSAGE: [&str; 10] =
    [GREETS, "<", "250 relay.test\r\n", "<", "250 a\r\n", "<", "250 b\r\n", "<", "354 go on\r\n", "."];

#[test]
fn a_host_that_says_nothing_keeps_the_mail_waiting() {
    put_off(&["~"], "no answer in time (greeting)");
}

#[test]
fn a_host_that_stalls_after_its_greeting_keeps_the_mail_waiting() {
    put_off(&[GREETS, "<", "~"], "no answer in time (EHLO)");
}

#[test]
fn a_host_that_resets_the_connection_keeps_the_mail_waiting() {
    put_off(&[GREETS, "<", OFFERS, "<", "x"], "127.0.0.1");
}

#[test]
fn a_host_that_never_ends_its_reply_keeps_the_mail_waiting() {
    put_off(&[GREETS, "<", "250-a\r\n250-b\r\n250-c\r\n", "~"], "no answer in time (EHLO)");
}

#[test]
fn a_host_that_talks_nonsense_keeps_the_mail_waiting() {
    put_off(&["SSH-2.0-OpenSSH_9.2\r\n", "~"], "a line that is no reply");
    put_off(&[GREETS, "<", "250-relay.test\r\n550 no\r\n", "~"], "lines have different codes");
}

#[test]
fn a_host_that_answers_before_it_is_asked_does_not_make_mail_delivered() {
    // All replies of a transaction at once, before there is one.
    let all = "250-relay.test\r\n250 PIPELINING\r\n250 sender\r\n250 recipient\r\n354 go on\r\n250 taken\r\n";
    put_off(&[GREETS, "<", all, "~"], "the host answered before it was asked");
    // The reply to the end of data together with 354.
    let early = "250 sender\r\n250 recipient\r\n354 go on\r\n250 taken\r\n";
    put_off(&[GREETS, "<", OFFERS, "<", "<", "<", early, "~"], "the host answered before it was asked");
}

#[test]
fn a_host_that_asks_for_data_instead_of_taking_the_sender_does_not_get_it() {
    put_off(&[GREETS, "<", "250 relay.test\r\n", "<", "354 go on\r\n", "~"], "a reply of the wrong kind");
    put_off(
        &[GREETS, "<", "250 relay.test\r\n", "<", "250 a\r\n", "<", "250 b\r\n", "<", "250 taken\r\n", "~"],
        "a reply of the wrong kind",
    );
}

#[test]
fn a_refusal_at_the_end_of_data_counts_whatever_was_said_before() {
    let refuses = [&TAKES_A_MESSAGE[..], &["554 5.7.1 rather not\r\n", "~"]].concat();
    let (address, ends) = scripted(&refuses);
    let site = Site::with(Plan {
        directory: Box::new(move |directory| {
            directory.accept("relay.test", "1");
            directory.send("relay", "SMTP:relay.test;1", address);
        }),
        options: Box::new(quick),
        ..Plan::default()
    });
    crate::routing::alice_writes(&site, "rita@relay.test");
    let bounce = site.await_mail("alice", 1).remove(0);
    assert!(bounce.contains("Status: 5.7.1") && bounce.contains("rather not"), "{bounce}");
    assert_eq!(ends.load(Ordering::SeqCst), 1);
}

/// A host that takes two connections at a time, and says so to the others. It takes no message before there was another.
fn two_at_a_time() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (open, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    std::thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            let (open, seen) = (Arc::clone(&open), Arc::clone(&refused));
            std::thread::spawn(move || {
                if open.fetch_add(1, Ordering::SeqCst) < 2 {
                    eventually("a third connection", || (seen.load(Ordering::SeqCst) > 0).then_some(()));
                    let takes = [&TAKES_A_MESSAGE[..], &["250 taken\r\n"]].concat();
                    let _ = converse(stream, &takes, &AtomicUsize::new(0));
                } else {
                    seen.fetch_add(1, Ordering::SeqCst);
                    let _ = converse(stream, &["421 4.7.0 too many connections\r\n"], &AtomicUsize::new(0));
                }
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    address
}

#[test]
fn a_host_that_takes_few_connections_at_a_time_gets_few_and_is_not_taken_for_down() {
    let site = relaying_to(
        two_at_a_time(),
        |_| {},
        |options| {
            options.delivery.timeouts.idle = Duration::ZERO;
            // Were it taken for down, nothing would go for an hour.
            options.delivery.backoff = queue::Backoff { first: 3_600_000, longest: 3_600_000 };
        },
    );
    for number in 0..12 {
        hand_over(&site, &format!("rita{number}@relay.test"));
    }
    site.await_empty_queue();
}

#[test]
fn many_stalled_hosts_leave_others_flowing() {
    let (stalled, _) = scripted(&["~"]);
    let good = Host::start(vec![Manners::good()]);
    let good_address = good.address;
    let site = Site::with(Plan {
        queue: QueueOptions { segment_size: 4 << 20, min_free: 0, first: 2, far: 40, ..QueueOptions::default() },
        directory: Box::new(move |directory| {
            for number in 0..20 {
                let name = format!("stalled{number}.test");
                directory.accept(&name, "1");
                directory.send(&name, &format!("SMTP:{name};1"), stalled);
            }
            directory.accept("relay.test", "1");
            directory.send("relay", "SMTP:relay.test;1", good_address);
            directory.trust_by_address();
        }),
        options: Box::new(quick),
        ..Plan::default()
    });
    for _ in 0..3 {
        for number in 0..20 {
            hand_over(&site, &format!("rita@stalled{number}.test"));
        }
    }
    for _ in 0..5 {
        hand_over(&site, "rita@relay.test");
        good.message();
    }
    crate::site::eventually("the others in the queue", || {
        (site.shared.queue().counts().unwrap().messages == 60).then_some(())
    });
}
