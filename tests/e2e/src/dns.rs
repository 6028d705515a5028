//! A name server for tests, on the loopback interface: it says what it was told to say, fails, or says nothing.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

const A: u16 = 1;
const CNAME: u16 = 5;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;

/// A name server. It lives as long as the process.
#[derive(Debug, Clone)]
pub struct NameServer {
    /// Where it listens.
    pub address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Debug, Default)]
struct Zone {
    /// Record data by name and type.
    records: HashMap<(String, u16), Vec<Vec<u8>>>,
    /// Names that it fails for.
    failing: Vec<String>,
    mute: bool,
}

impl NameServer {
    /// Starts it on a free port.
    #[allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it must be")]
    pub fn start() -> NameServer {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = NameServer { address: socket.local_addr().unwrap(), zone: Arc::default() };
        let zone = Arc::clone(&server.zone);
        thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                if let Some(answer) = zone.lock().ok().and_then(|mut zone| zone.answer(&buffer[..length])) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        server
    }

    /// The hosts that take the mail of a domain.
    pub fn mx(&self, domain: &str, hosts: &[(u16, &str)]) -> &NameServer {
        let data = hosts.iter().map(|(preference, host)| {
            let mut data = preference.to_be_bytes().to_vec();
            data.extend(name(host));
            data
        });
        self.put(domain, MX, data.collect())
    }

    /// IPv4 addresses of a host.
    pub fn a(&self, host: &str, addresses: &[Ipv4Addr]) -> &NameServer {
        self.put(host, A, addresses.iter().map(|address| address.octets().to_vec()).collect())
    }

    /// IPv6 addresses of a host.
    pub fn aaaa(&self, host: &str, addresses: &[Ipv6Addr]) -> &NameServer {
        self.put(host, AAAA, addresses.iter().map(|address| address.octets().to_vec()).collect())
    }

    /// A text of a name.
    pub fn txt(&self, at: &str, text: &str) -> &NameServer {
        let mut data = vec![u8::try_from(text.len()).unwrap_or(u8::MAX)];
        data.extend(text.bytes().take(255));
        self.put(at, TXT, vec![data])
    }

    /// A name is another name's alias.
    pub fn cname(&self, alias: &str, target: &str) -> &NameServer {
        self.put(alias, CNAME, vec![name(target)])
    }

    /// Questions about a name are answered with SERVFAIL.
    pub fn fail(&self, at: &str) -> &NameServer {
        self.with(|zone| zone.failing.push(at.to_ascii_lowercase()))
    }

    /// They are answered again.
    pub fn mend(&self, at: &str) -> &NameServer {
        self.with(|zone| zone.failing.retain(|failing| !failing.eq_ignore_ascii_case(at)))
    }

    /// It answers no more, or again.
    pub fn mute(&self, mute: bool) -> &NameServer {
        self.with(|zone| zone.mute = mute)
    }

    fn put(&self, at: &str, kind: u16, data: Vec<Vec<u8>>) -> &NameServer {
        self.with(|zone| drop(zone.records.insert((at.to_ascii_lowercase(), kind), data)))
    }

    fn with(&self, change: impl FnOnce(&mut Zone)) -> &NameServer {
        if let Ok(mut zone) = self.zone.lock() {
            change(&mut zone);
        }
        self
    }
}

impl Zone {
    fn answer(&mut self, question: &[u8]) -> Option<Vec<u8>> {
        let (asked, end) = read_name(question, 12)?;
        let kind = u16::from_be_bytes([*question.get(end)?, *question.get(end + 1)?]);
        if self.mute {
            return None;
        }
        let mut answers = Vec::new();
        let mut at = asked.clone();
        while let Some(target) = self.records.get(&(at.clone(), CNAME)).filter(|_| kind != CNAME) {
            answers.push((at, CNAME, target[0].clone()));
            at = read_name(&target[0], 0)?.0;
        }
        let found = self.records.get(&(at.clone(), kind)).cloned().unwrap_or_default();
        let known = self.records.keys().any(|(name, _)| *name == at);
        answers.extend(found.into_iter().map(|data| (at.clone(), kind, data)));
        let code = match (self.failing.contains(&asked) || self.failing.contains(&at), known) {
            (true, _) => 2,
            (false, true) => 0,
            (false, false) => 3,
        };
        if code == 2 {
            answers.clear();
        }
        let mut message = question.get(..2)?.to_vec();
        message.extend([0x84 | (question.get(2)? & 1), 0x80 | code, 0, 1]);
        message.extend((answers.len() as u16).to_be_bytes());
        message.extend([0, 0, 0, 0]);
        message.extend(question.get(12..end + 4)?);
        for (owner, kind, data) in answers {
            message.extend(name(&owner));
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 1]);
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(data);
        }
        Some(message)
    }
}

/// A name as labels; `.` is the root.
fn name(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in text.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap_or(63));
        out.extend(label.bytes());
    }
    out.push(0);
    out
}

/// A name without pointers, in lower case, and where it ends.
fn read_name(bytes: &[u8], mut at: usize) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*bytes.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(bytes.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
}
