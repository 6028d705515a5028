//! What happens at night: the disk is full, the clock is wrong, the DNS is dead, next hops stall and lie. Nothing that was
//! acknowledged is lost, and nothing is delivered to the wrong place.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use e2e::{
    Demo, Mechanism, NameServer, Sink, StalledHosts, Talk, faketime, free_port, hand_in, require, skip_without,
    wait_for,
};

fn is_root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    skip_without("root, to mount a small file system");
    false
}

/// A demo whose data lies in a small file system of its own, which nobody else sees.
struct Small {
    demo: Demo,
}

impl Small {
    fn of(options: &str) -> Small {
        let script = format!(
            "config=$(cat \"$0/procura.toml\") && mount -t tmpfs -o mode=700,{options} tmpfs \"$0\" && \
             printf '%s' \"$config\" > \"$0/procura.toml\" && exec \"$@\""
        );
        let prefix = |data: &Path| {
            let words = ["unshare", "--mount", "sh", "-c", &script, data.to_str().unwrap()];
            words.map(str::to_owned).to_vec()
        };
        let configuration = "[storage]\nmin_free_mib = 0\n[delivery]\nretry_seconds = 1\n";
        Small { demo: Demo::start_by(prefix, configuration) }
    }

    fn remount(&mut self, options: &str) {
        let pid = self.demo.server().pid().to_string();
        let data = self.demo.data();
        // --root: to be in its mount namespace alone would be to leave a chroot.
        let mut remount = Command::new("nsenter");
        remount.args(["--mount", "--root", "--target", &pid, "mount", "-o", &format!("remount,{options}")]).arg(data);
        assert!(remount.status().unwrap().success());
    }

    /// How often each subject lies in the mailbox of a user; what the server sees.
    fn mailbox(&mut self, user: &str) -> BTreeMap<String, usize> {
        let root = PathBuf::from(format!("/proc/{}/root", self.demo.server().pid()));
        let inside = self.demo.data().join("mail").join(format!("{user}@example.com"));
        // The link of the folder leads to a path as the server sees it.
        let folder = root.join(inside.strip_prefix("/").unwrap());
        let folder = match fs::read_link(&folder) {
            Ok(target) if target.is_absolute() => root.join(target.strip_prefix("/").unwrap()),
            Ok(target) => folder.parent().unwrap().join(target),
            Err(_) => folder,
        };
        let mut found = BTreeMap::new();
        for file in fs::read_dir(folder.join("new")).into_iter().flatten().flatten() {
            let lines = BufReader::new(fs::File::open(file.path()).unwrap()).lines().map_while(Result::ok);
            if let Some(line) = lines.into_iter().find(|line| line.starts_with("Subject: ")) {
                *found.entry(line["Subject: ".len()..].to_owned()).or_insert(0) += 1;
            }
        }
        found
    }
}

/// Sends a message of about so many octets to alice from outside; true where it was acknowledged.
fn send(port: u16, subject: &str, size: usize) -> bool {
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut out = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut reply = || loop {
        match lines.next() {
            Some(Ok(line)) if line.as_bytes().get(3) == Some(&b'-') => {}
            Some(Ok(line)) => return line,
            _ => return String::new(),
        }
    };
    reply();
    for (command, expected) in [
        ("EHLO client.test", "250"),
        ("MAIL FROM:<sue@outside.test>", "250"),
        ("RCPT TO:<alice@example.com>", "250"),
        ("DATA", "354"),
    ] {
        if out.write_all(format!("{command}\r\n").as_bytes()).is_err() || !reply().starts_with(expected) {
            return false;
        }
    }
    let line = format!("{}\r\n", "x".repeat(998));
    let head = format!("From: sue@outside.test\r\nSubject: {subject}\r\n\r\n");
    let sent = out.write_all(head.as_bytes()).is_ok()
        && (0..size / line.len()).all(|_| out.write_all(line.as_bytes()).is_ok())
        && out.write_all(b".\r\n").is_ok();
    sent && reply().starts_with("250")
}

#[track_caller]
fn all_once(small: &mut Small, acknowledged: &BTreeSet<String>) {
    wait_for("the delivery of all that was acknowledged", || {
        acknowledged.iter().all(|subject| small.mailbox("alice").contains_key(subject))
    });
    let found = small.mailbox("alice");
    for subject in acknowledged {
        assert_eq!(found[subject], 1, "{subject} lies there more than once");
    }
    assert!(small.mailbox("bob").is_empty());
}

#[test]
fn a_full_disk_loses_nothing_and_mail_flows_when_there_is_room() {
    if !is_root() || !require(&["unshare", "nsenter"]) {
        return;
    }
    let mut small = Small::of("size=150m");
    let port = small.demo.internet_port;
    let (mut acknowledged, mut refused) = (BTreeSet::new(), 0);
    for number in 0..200 {
        let subject = format!("large {number}");
        match send(port, &subject, 3 << 20) {
            true => drop(acknowledged.insert(subject)),
            false => refused += 1,
        }
        if refused == 5 {
            break;
        }
    }
    assert!(refused == 5 && !acknowledged.is_empty(), "{refused} refused, {} taken", acknowledged.len());
    small.remount("size=1g");
    assert!(send(port, "after", 1000), "mail is not taken although there is room again");
    acknowledged.insert("after".to_owned());
    all_once(&mut small, &acknowledged);
}

#[test]
fn a_file_system_without_inodes_loses_nothing_and_mail_flows_when_there_are_some() {
    if !is_root() || !require(&["unshare", "nsenter"]) {
        return;
    }
    let mut small = Small::of("size=400m,nr_inodes=120");
    let port = small.demo.internet_port;
    let subjects = (0..150).map(|number| format!("small {number}"));
    let acknowledged: BTreeSet<String> = subjects.filter(|subject| send(port, subject, 1000)).collect();
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    let output = small.demo.server().wait_for_output("cannot be written");
    assert!(!output.contains("given up"), "{output}");
    small.remount("nr_inodes=100000");
    all_once(&mut small, &acknowledged);
}

/// alice sends to somebody elsewhere.
#[track_caller]
fn alice_sends(demo: &Demo, to: &str, subject: &str) {
    let mut talk = Talk::connect(demo.client_port);
    let reply = talk.log_on("alice", "alice-demo", None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}");
    let message = format!("From: alice@example.com\nTo: {to}\nSubject: {subject}\n\nhello\n");
    let reply = talk.send("alice@example.com", &[to], &message);
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn a_clock_that_is_set_forward_and_back_makes_no_mail_expire_or_wait() {
    let Some(library) = faketime() else { return };
    if !require(&["python3"]) {
        return;
    }
    let port = free_port();
    let configuration =
        format!("[delivery]\nsmart_host = \"127.0.0.1:{port}\"\nretry_seconds = 1\nexpire_hours = 48\n");
    let clock = |data: &Path| data.with_file_name("clock");
    let mut demo = Demo::start_by(
        |data| {
            fs::write(clock(data), "+0").unwrap();
            let words = [
                "env".to_owned(),
                format!("LD_PRELOAD={}", library.display()),
                format!("FAKETIME_TIMESTAMP_FILE={}", clock(data).display()),
                "FAKETIME_NO_CACHE=1".to_owned(),
                "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            ];
            words.to_vec()
        },
        &configuration,
    );
    alice_sends(&demo, "rita@outside.test", "before");
    demo.server().wait_for_output("deferred");
    // A session that stays open, whatever the clock says.
    let mut open = Talk::connect(demo.internet_port);
    for (offset, subject) in [("+10d", "ten days later"), ("-5d", "fifteen days earlier"), ("+0", "and back")] {
        let seen = demo.server().output().matches("the clock was set").count();
        fs::write(clock(&demo.data()), offset).unwrap();
        wait_for("the clock to be noticed", || demo.server().output().matches("the clock was set").count() > seen);
        alice_sends(&demo, "rita@outside.test", subject);
        let reply = open.send("sue@outside.test", &["bob@example.com"], "From: sue@outside.test\n\nstill here\n");
        assert!(reply.starts_with("250"), "{offset}: {reply}");
    }
    let sink = Sink::start_on(SocketAddr::from(([127, 0, 0, 1], port)));
    for subject in ["before", "ten days later", "fifteen days earlier", "and back"] {
        sink.message(subject);
    }
    assert!(demo.delivered_now("Your message could not be delivered").is_empty());
    assert_eq!(sink.subjects().len(), 4, "{:?}", sink.subjects());
}

#[test]
fn mail_waits_while_the_dns_is_dead() {
    if !require(&["python3"]) {
        return;
    }
    let names = NameServer::start();
    let sink = Sink::start();
    names.mx("outside.test", &[(10, "mx.outside.test")]).a("mx.outside.test", &[[127, 0, 0, 1].into()]).mute(true);
    let configuration =
        format!("[dns]\nservers = [\"{}\"]\nseconds = 1\n[delivery]\nretry_seconds = 1\n", names.address);
    let mut demo = Demo::start_with(&configuration);
    let port = sink.port.to_string();
    demo.procura(&["connector", "send", "new", "World", "--address-space", "*", "--port", &port]).ok();
    alice_sends(&demo, "rita@outside.test", "in the dark");
    demo.server().wait_for_output("the DNS gives no answer about outside.test");
    names.mute(false);
    sink.message("in the dark");
    assert!(demo.delivered_now("Your message could not be delivered").is_empty());
}

#[test]
fn mail_flows_while_the_database_of_the_directory_is_away() {
    if !require(&["python3"]) {
        return;
    }
    let demo = Demo::start();
    let database = demo.data().join("directory.db");
    let aside = demo.data().with_file_name("directory.db.aside");
    fs::rename(&database, &aside).unwrap();
    fs::create_dir(&database).unwrap();
    fs::set_permissions(&database, fs::Permissions::from_mode(0o000)).unwrap();
    alice_sends(&demo, "bob@example.com", "all the same");
    demo.delivered("all the same");
    fs::remove_dir(&database).unwrap();
    fs::rename(&aside, &database).unwrap();
    demo.procura(&["user", "add", "zoe", "--mailbox"]).ok();
    alice_sends(&demo, "zoe@example.com", "to somebody new");
    demo.delivered("to somebody new");
}

/// A next hop that misbehaves in every second connection, each time in another way, and takes one message in the others.
struct Moody {
    port: u16,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Moody {
    fn start() -> Moody {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let moody = Moody { port: socket.local_addr().unwrap().port(), taken: Arc::default() };
        let taken = Arc::clone(&moody.taken);
        thread::spawn(move || {
            for (number, stream) in socket.incoming().flatten().enumerate() {
                let taken = Arc::clone(&taken);
                thread::spawn(move || Moody::serve(number, stream, &taken));
            }
        });
        moody
    }

    fn serve(number: usize, mut stream: TcpStream, taken: &Mutex<Vec<String>>) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        let mood = if number.is_multiple_of(2) { 1 + number / 2 % 8 } else { 0 };
        let mut say = |text: &str| stream.write_all(text.as_bytes()).ok();
        match mood {
            // Says nothing until the other side goes.
            1 => return lines.next().map(|_| ()),
            2 => return say("HTTP/1.1 400 Bad Request\r\n\r\n"),
            // All answers before the questions.
            3 => say("220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 taken\r\n")?,
            _ => say("220 moody.test\r\n")?,
        }
        loop {
            let line = lines.next()?.ok()?;
            match (line.get(..4).unwrap_or_default(), mood) {
                ("EHLO", 4) => say("250-moody.test\r\n550 rather not\r\n")?,
                ("MAIL", 5) => say("421 4.3.2 busy\r\n")?,
                ("RCPT", 6) => return None,
                ("DATA", 7) => say("250 taken without reading\r\n")?,
                ("DATA", _) => {
                    say("354 go on\r\n")?;
                    let mut subject = String::new();
                    loop {
                        let line = lines.next()?.ok()?;
                        if let Some(text) = line.strip_prefix("Subject: ") {
                            subject = text.to_owned();
                        }
                        if line == "." {
                            break;
                        }
                    }
                    if mood == 8 {
                        // It has read everything, and nobody knows what it did with it.
                        return None;
                    }
                    taken.lock().ok()?.push(subject);
                    say("250 taken\r\n")?;
                    return None;
                }
                _ => say("250 fine\r\n")?,
            }
        }
    }
}

#[test]
fn a_moody_next_hop_gets_every_message_and_nobody_is_told_otherwise() {
    if !require(&["python3"]) {
        return;
    }
    let moody = Moody::start();
    let configuration = format!(
        "[delivery]\nsmart_host = \"127.0.0.1:{}\"\nretry_seconds = 1\nreply_seconds = 1\nconnections_per_destination = 2\n",
        moody.port
    );
    let demo = Demo::start_with(&configuration);
    let subjects: Vec<String> = (0..12).map(|number| format!("message {number}")).collect();
    for subject in &subjects {
        alice_sends(&demo, "rita@outside.test", subject);
    }
    wait_for("the delivery of all messages", || {
        let taken = moody.taken.lock().unwrap();
        subjects.iter().all(|subject| taken.contains(subject))
    });
    assert!(demo.delivered_now("Your message could not be delivered").is_empty());
}

/// Resident memory of a process, MiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// With the numbers of the acceptance criteria: `PROCURA_STALLED_PEERS=500 PROCURA_STALLED_MESSAGES=100000`, and a server
/// built with optimisation (`PROCURA_BIN`).
#[test]
fn stalled_peers_leave_others_flowing_within_bounded_memory() {
    let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let peers = u16::try_from(number("PROCURA_STALLED_PEERS", 100_usize)).unwrap();
    let messages: usize = number("PROCURA_STALLED_MESSAGES", 2_000);
    let names = NameServer::start();
    for peer in 0..peers {
        names.a(&format!("peer{peer}.test"), &[StalledHosts::address(peer)]);
    }
    let hosts = StalledHosts::start();
    let sink = Sink::start();
    let configuration = format!("[dns]\nservers = [\"{}\"]\n", names.address);
    let mut demo = Demo::start_with(&configuration);
    let (stalled, good) = (hosts.port.to_string(), format!("127.0.0.1:{}", sink.port));
    let new = ["connector", "send", "new"];
    demo.procura(&[&new[..], &["Stalled", "--address-space", "*.test", "--port", &stalled]].concat()).ok();
    demo.procura(&[&new[..], &["Good", "--address-space", "good.example", "--smart-host", &good]].concat()).ok();
    for domain in ["*.test", "good.example"] {
        demo.procura(&["domain", "add", domain, "--kind", "external-relay"]).ok();
    }
    let body = format!("From: sue@outside.test\r\nSubject: stalled\r\n\r\n{}", "x".repeat(900));
    let port = demo.internet_port;
    let senders: Vec<_> = (0..8)
        .map(|sender| {
            let mine = (0..messages / 8).map(|n| format!("rita@peer{}.test", (n * 8 + sender) % usize::from(peers)));
            let (mine, body): (Vec<String>, String) = (mine.collect(), body.clone());
            thread::spawn(move || hand_in(port, &mine, &body))
        })
        .collect();
    let accepted: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
    assert_eq!(accepted, messages / 8 * 8);
    wait_for("a connection to each stalled peer", || hosts.stalled() >= usize::from(peers));
    let good: Vec<String> = (0..20).map(|n| format!("rita{n}@good.example")).collect();
    assert_eq!(hand_in(port, &good, &body), 20);
    hand_in(port, &["alice@example.com".to_owned()], &body.replace("stalled", "local"));
    sink.wait_for(20);
    demo.delivered("local");
    let used = resident(demo.server().pid());
    eprintln!("{accepted} messages, {} connections that stall, {used} MiB resident", hosts.stalled());
    assert!(used <= 300, "{used} MiB with {accepted} messages and {} stalled connections", hosts.stalled());
}
