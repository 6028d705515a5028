//! Hosts that take mail as a test wants them to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use crate::site::PATIENCE;

/// How a host behaves in one connection; it may say other things in the next.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// The greeting; `None`: it never says anything.
    pub greeting: Option<&'static str>,
    /// Further lines of the EHLO reply.
    pub offers: Vec<&'static str>,
    /// The reply to a recipient that begins so; all others are taken.
    pub refused: Vec<(&'static str, &'static str)>,
    /// The reply to the end of data; `None`: it takes the data and closes.
    pub taken: Option<&'static str>,
    /// Keeps only the header of a message.
    pub swallows: bool,
}

impl Manners {
    pub fn good() -> Manners {
        Manners {
            greeting: Some("220 relay.test ESMTP"),
            offers: vec!["PIPELINING", "8BITMIME", "SIZE 0"],
            refused: Vec::new(),
            taken: Some("250 2.0.0 taken"),
            swallows: false,
        }
    }
}

/// One message that a host got the end of.
#[derive(Debug, Clone)]
pub struct Got {
    /// Which connection, counted from 0.
    pub connection: usize,
    pub from: String,
    pub to: Vec<String>,
    pub text: String,
    /// The only chunk, where it came by BDAT.
    pub chunk: Option<Vec<u8>>,
    /// The data of XEXCH50.
    pub exch50: Option<Vec<u8>>,
    /// Lines of AUTH before it, on the same connection.
    pub auth: Vec<String>,
}

/// An address where nobody answers.
pub fn nobody() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, e2e::free_port()).into()
}

pub struct Host {
    pub address: SocketAddr,
    messages: Mutex<Receiver<Got>>,
}

impl Host {
    /// A host that behaves by these manners, one connection after the other; the last ones stay.
    pub fn start(manners: Vec<Manners>) -> Host {
        Host::start_on("127.0.0.1:0".parse().unwrap(), manners)
    }

    /// The same at this address.
    pub fn start_on(address: SocketAddr, manners: Vec<Manners>) -> Host {
        let socket = TcpListener::bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        let (say_message, messages) = channel();
        let manners = Arc::new(manners);
        std::thread::spawn(move || {
            for (number, stream) in socket.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                let manners = manners.get(number).or(manners.last()).unwrap().clone();
                let messages = say_message.clone();
                std::thread::spawn(move || serve(number, stream, &manners, &messages));
            }
        });
        Host { address, messages: Mutex::new(messages) }
    }

    /// The next message.
    pub fn message(&self) -> Got {
        self.messages.lock().unwrap().recv_timeout(PATIENCE).expect("a message at the other host")
    }
}

fn serve(number: usize, mut stream: TcpStream, manners: &Manners, messages: &Sender<Got>) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut say = |text: &str| stream.write_all(format!("{text}\r\n").as_bytes()).ok();
    match manners.greeting {
        Some(greeting) => say(greeting)?,
        None => {
            // Says nothing until the other side gives up.
            let mut line = String::new();
            lines.read_line(&mut line).ok()?;
            return None;
        }
    }
    let (mut from, mut to) = (String::new(), Vec::new());
    let (mut exch50, mut auth) = (None, Vec::new());
    loop {
        let line = read(&mut lines)?;
        let upper = line.to_ascii_uppercase();
        if upper.starts_with("EHLO") {
            let mut offers = vec!["relay.test"];
            offers.extend(&manners.offers);
            let (last, others) = offers.split_last()?;
            for offer in others {
                say(&format!("250-{offer}"))?;
            }
            say(&format!("250 {last}"))?;
        } else if upper.starts_with("MAIL") {
            from = line;
            to.clear();
            say("250 2.1.0 fine")?;
        } else if upper.starts_with("RCPT") {
            let refused = manners.refused.iter().find(|(start, _)| line.starts_with(&format!("RCPT TO:<{start}")));
            match refused {
                Some((_, reply)) => say(reply)?,
                None => {
                    to.push(line);
                    say("250 2.1.5 fine")?;
                }
            }
        } else if upper.starts_with("DATA") && to.is_empty() {
            say("554 5.5.1 nobody to send to")?;
        } else if upper.starts_with("DATA") {
            say("354 go on")?;
            let mut text = String::new();
            let mut in_body = false;
            loop {
                let line = read(&mut lines)?;
                in_body |= line.is_empty();
                match line.as_str() {
                    "." => break,
                    _ if in_body && manners.swallows => {}
                    line => text.push_str(&format!("{}\n", line.strip_prefix('.').unwrap_or(line))),
                }
            }
            let got = Got {
                connection: number,
                from: from.clone(),
                to: to.clone(),
                text,
                chunk: None,
                exch50: exch50.take(),
                auth: auth.clone(),
            };
            messages.send(got).ok()?;
            say(manners.taken?)?;
        } else if let Some(size) = upper.strip_prefix("BDAT ").and_then(|rest| rest.strip_suffix(" LAST")) {
            let mut chunk = vec![0; size.parse().ok()?];
            lines.read_exact(&mut chunk).ok()?;
            let (from, to, auth) = (from.clone(), to.clone(), auth.clone());
            let (text, exch50) = (String::new(), exch50.take());
            messages.send(Got { connection: number, from, to, text, chunk: Some(chunk), exch50, auth }).ok()?;
            say(manners.taken?)?;
        } else if let Some(rest) = upper.strip_prefix("XEXCH50 ") {
            let size = rest.split(' ').next()?.parse().ok()?;
            say("354 send binary data")?;
            let mut blob = vec![0; size];
            lines.read_exact(&mut blob).ok()?;
            exch50 = Some(blob);
            say("250 2.0.0 taken")?;
        } else if upper.starts_with("AUTH LOGIN") {
            auth.push(line);
            for question in ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"] {
                say(question)?;
                auth.push(read(&mut lines)?);
            }
            say("235 2.7.0 welcome")?;
        } else if upper.starts_with("AUTH") {
            auth.push(line);
            say("235 2.7.0 welcome")?;
        } else if upper.starts_with("QUIT") {
            say("221 bye")?;
            return None;
        } else {
            say("250 fine")?;
        }
    }
}

fn read(lines: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    lines.read_until(b'\n', &mut line).ok().filter(|count| *count > 0)?;
    Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
}
