//! A domain controller that says what a test has it say, to whoever logs on with any ticket. What is “sealed” is marked, and
//! readable.

#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use acl::{Guid, SddlContext, SecurityDescriptor, Sid};
use ldap::ber::{BOOLEAN, ENUMERATED, INTEGER, OCTETS, Reader, SEQUENCE, SET, Writer};
use ldap::tickets::{Begun, Context, Exchange, Tickets};
use ldap::{Address, Security};

/// Marks of octets that count as sealed, and of those that do not.
const SEALED: u8 = b'#';
const CLEAR: u8 = b'=';

/// Tickets for anybody, which end so long after they were got.
pub struct AnyTicket(pub Duration);

impl Tickets for AnyTicket {
    fn begin(&self, _: &str, _: &dyn Fn(&str) -> Vec<String>, _: Option<&[u8]>, _: Duration) -> Result<Begun, String> {
        let until = SystemTime::now() + self.0;
        Ok(Begun { message: b"a ticket".to_vec(), until, exchange: Box::new(AnyContext) })
    }

    fn forget(&self, _: &str) {}
}

struct AnyContext;

impl Exchange for AnyContext {
    fn finish(self: Box<Self>, _: &[u8]) -> Result<Box<dyn Context>, String> {
        Ok(self)
    }
}

impl Context for AnyContext {
    fn wrap(&mut self, content: &[u8], sealed: bool) -> Result<Vec<u8>, String> {
        Ok(marked(content, sealed))
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<(Vec<u8>, bool), String> {
        match token.split_first() {
            Some((&SEALED, content)) => Ok((content.to_vec(), true)),
            Some((&CLEAR, content)) => Ok((content.to_vec(), false)),
            _ => Err("no token".to_owned()),
        }
    }
}

fn marked(content: &[u8], sealed: bool) -> Vec<u8> {
    [&[if sealed { SEALED } else { CLEAR }], content].concat()
}

/// A message of the server.
pub fn message(id: i64, tag: u8, fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.nested(SEQUENCE, |to| {
        to.integer(INTEGER, id).nested(tag, fill);
    });
    writer.into_bytes()
}

/// The end of a request.
pub fn done(id: i64, tag: u8, code: i64, credentials: Option<&[u8]>) -> Vec<u8> {
    message(id, tag, |to| {
        to.integer(ENUMERATED, code).octets(OCTETS, b"").octets(OCTETS, b"");
        credentials.into_iter().for_each(|credentials| {
            to.octets(0x87, credentials);
        });
    })
}

/// An object.
pub fn entry(id: i64, dn: &str, attributes: &[(String, Vec<Vec<u8>>)]) -> Vec<u8> {
    message(id, 0x64, |to| {
        to.octets(OCTETS, dn.as_bytes()).nested(SEQUENCE, |to| {
            for (name, values) in attributes {
                to.nested(SEQUENCE, |to| {
                    to.octets(OCTETS, name.as_bytes()).nested(SET, |to| {
                        values.iter().for_each(|value| {
                            to.octets(OCTETS, value);
                        });
                    });
                });
            }
        });
    })
}

/// A question, as the server reads it.
#[derive(Clone, Debug)]
pub struct Question {
    pub id: i64,
    pub tag: u8,
    pub base: String,
    pub scope: i64,
    /// Tag and content of the filter.
    pub filter: (u8, Vec<u8>),
    /// Attributes that are asked for.
    pub attributes: Vec<String>,
    /// Object identifiers of controls.
    pub controls: Vec<String>,
}

fn question(octets: &[u8]) -> Question {
    let mut message = Reader::new(octets).enter(SEQUENCE).unwrap();
    let id = message.integer(INTEGER).unwrap();
    let (tag, content) = message.value().unwrap();
    let (base, filter) = (String::new(), (0, Vec::new()));
    let mut question = Question { id, tag, base, scope: 0, filter, attributes: Vec::new(), controls: Vec::new() };
    if tag == 0x63 {
        let mut search = Reader::new(content);
        question.base = String::from_utf8(search.expect(OCTETS).unwrap().to_vec()).unwrap();
        question.scope = search.integer(ENUMERATED).unwrap();
        for tag in [ENUMERATED, INTEGER, INTEGER, BOOLEAN] {
            search.expect(tag).unwrap();
        }
        let (tag, content) = search.value().unwrap();
        question.filter = (tag, content.to_vec());
        let mut names = search.enter(SEQUENCE).unwrap();
        while let Ok(name) = names.expect(OCTETS) {
            question.attributes.push(String::from_utf8(name.to_vec()).unwrap());
        }
    }
    while let Ok((0xa0, content)) = message.value() {
        let mut list = Reader::new(content);
        while let Ok(mut control) = list.enter(SEQUENCE) {
            question.controls.push(String::from_utf8(control.expect(OCTETS).unwrap().to_vec()).unwrap());
        }
    }
    question
}

/// One side of a connection to the server.
struct Line {
    stream: TcpStream,
    held: Vec<u8>,
    sealed: bool,
}

impl Line {
    fn question(&mut self) -> Option<Question> {
        loop {
            if let Ok(Some(length)) = ldap::message::length(&self.held)
                && self.held.len() >= length
            {
                let rest = self.held.split_off(length);
                return Some(question(&std::mem::replace(&mut self.held, rest)));
            }
            if self.sealed {
                let mut length = [0; 4];
                self.stream.read_exact(&mut length).ok()?;
                let mut token = vec![0; u32::from_be_bytes(length) as usize];
                self.stream.read_exact(&mut token).ok()?;
                self.held.extend_from_slice(&token[1..]);
            } else {
                let mut piece = [0; 4096];
                let count = self.stream.read(&mut piece).ok().filter(|count| *count > 0)?;
                self.held.extend_from_slice(&piece[..count]);
            }
        }
    }

    fn say(&mut self, octets: &[u8]) -> Option<()> {
        if !self.sealed {
            return self.stream.write_all(octets).ok();
        }
        let token = marked(octets, true);
        self.stream.write_all(&[&(token.len() as u32).to_be_bytes()[..], &token].concat()).ok()
    }

    /// Takes any ticket; `behind` is said in clear with the last answer.
    fn log_on(&mut self, behind: &[u8]) -> Option<()> {
        const GOES_ON: i64 = 14;
        let id = self.question()?.id;
        self.say(&done(id, 0x61, GOES_ON, Some(b"a proof")))?;
        let id = self.question()?.id;
        self.say(&done(id, 0x61, GOES_ON, Some(&marked(&[7, 1, 0, 0], false))))?;
        let id = self.question()?.id;
        self.say(&[done(id, 0x61, 0, None), behind.to_vec()].concat())?;
        self.sealed = true;
        Some(())
    }
}

type Answers = dyn Fn(&Question) -> Vec<u8> + Send + Sync;

/// The server.
pub struct Server {
    pub address: Address,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    over: AtomicBool,
    /// Nobody is let in.
    closed: AtomicBool,
    /// Nobody may log on, and how often somebody tried.
    refuses: AtomicBool,
    tried: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

impl Server {
    /// Answers each question so; `behind` is said in clear behind the end of the logon.
    pub fn start(behind: Vec<u8>, answers: impl Fn(&Question) -> Vec<u8> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let (answers, shared): (Arc<Answers>, _) = (Arc::new(answers), Arc::clone(&state));
        let thread = std::thread::spawn(move || {
            let mut lines = Vec::new();
            for stream in listener.incoming().flatten() {
                if shared.over.load(Ordering::SeqCst) {
                    break;
                }
                if shared.closed.load(Ordering::SeqCst) {
                    continue;
                }
                shared.streams.lock().unwrap().push(stream.try_clone().unwrap());
                let (behind, answers) = (behind.clone(), Arc::clone(&answers));
                let shared = Arc::clone(&shared);
                lines.push(std::thread::spawn(move || serve(stream, &shared, &behind, &*answers)));
            }
            for line in lines {
                let _ = line.join().unwrap();
            }
        });
        let address = Address { host: "127.0.0.1".to_owned(), port, security: Security::Kerberos };
        Server { address, state, thread: Some(thread) }
    }

    /// Ends all connections and takes no new ones, or takes them again.
    pub fn close(&self, closed: bool) {
        self.state.closed.store(closed, Ordering::SeqCst);
        if closed {
            self.end();
        }
    }

    /// Nobody may log on from now on.
    pub fn refuse(&self) {
        self.state.refuses.store(true, Ordering::SeqCst);
    }

    /// How often somebody tried to log on.
    pub fn tried(&self) -> usize {
        self.state.tried.load(Ordering::SeqCst)
    }

    fn end(&self) {
        for stream in self.state.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.address.port));
        self.end();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(stream: TcpStream, state: &State, behind: &[u8], answers: &Answers) -> Option<()> {
    let mut line = Line { stream, held: Vec::new(), sealed: false };
    state.tried.fetch_add(1, Ordering::SeqCst);
    if state.refuses.load(Ordering::SeqCst) {
        const INVALID_CREDENTIALS: i64 = 49;
        let id = line.question()?.id;
        return line.say(&done(id, 0x61, INVALID_CREDENTIALS, None));
    }
    line.log_on(behind)?;
    loop {
        let question = line.question()?;
        let said = answers(&question);
        line.say(&said)?;
    }
}

/// The domain that [`Domain::answer`] tells of.
pub const DOMAIN: &str = "DC=x,DC=test";
pub const DOMAIN_GUID: Guid = Guid([1; 16]);
const SEARCH_DONE: u8 = 0x65;

/// A domain on one of its domain controllers: with a user whose display name was changed at a number.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its DN, and objectGUID.
    pub dn: &'static str,
    pub guid: Guid,
    /// Which domain controller it is.
    pub host: &'static str,
    /// The number of its last change.
    pub usn: u64,
    /// The user: his name there, and the number of the change that gave it.
    pub shown: (&'static str, u64),
}

/// It on one domain controller.
pub const ON_DC1: Domain = Domain { dn: DOMAIN, guid: DOMAIN_GUID, host: "dc1", usn: 500, shown: ("before", 100) };

/// The user in it.
pub const USER: Guid = Guid([3; 16]);

impl Domain {
    /// What the domain controller says; no DirSync, so changes are followed by their number.
    pub fn answer(&self, asked: &Question) -> Vec<u8> {
        let text = |name: &str, value: &str| (name.to_owned(), vec![value.as_bytes().to_vec()]);
        let id = asked.id;
        let with = |entries: Vec<Vec<u8>>| [entries.concat(), done(id, SEARCH_DONE, 0, None)].concat();
        let service = format!("CN={},CN=Sites", self.host);
        if asked.controls.iter().any(|oid| oid == "1.2.840.113556.1.4.841" || oid == "1.2.840.113556.1.4.528") {
            const UNWILLING: i64 = 53;
            return done(id, SEARCH_DONE, UNWILLING, None);
        }
        match (asked.base.as_str(), asked.scope) {
            ("", _) => with(vec![entry(
                id,
                "",
                &[
                    text("defaultNamingContext", self.dn),
                    text("configurationNamingContext", "CN=Configuration,DC=x,DC=test"),
                    text("schemaNamingContext", "CN=Schema"),
                    text("rootDomainNamingContext", self.dn),
                    text("dnsHostName", self.host),
                    text("dsServiceName", &service),
                    text("highestCommittedUSN", &self.usn.to_string()),
                ],
            )]),
            ("CN=Schema", _) => with(
                ["objectClass", "objectSid", "nTSecurityDescriptor", "displayName", "userAccountControl"]
                    .map(|name| entry(id, name, &[text("lDAPDisplayName", name)]))
                    .to_vec(),
            ),
            (base, 0) if base == service => with(vec![entry(id, base, &[text("invocationId", self.host)])]),
            (dn, 0) if dn == self.dn => with(vec![self.root(id)]),
            (dn, 2) if dn == self.dn => match asked.filter.0 {
                // uSNChanged is at least so much.
                0xa5 => {
                    let mut pair = Reader::new(&asked.filter.1);
                    pair.expect(OCTETS).unwrap();
                    let from: u64 = std::str::from_utf8(pair.expect(OCTETS).unwrap()).unwrap().parse().unwrap();
                    with(if self.shown.1 >= from { vec![self.user(id)] } else { Vec::new() })
                }
                _ => with(vec![self.root(id), self.user(id)]),
            },
            _ => with(Vec::new()),
        }
    }

    pub fn root(&self, id: i64) -> Vec<u8> {
        entry(id, self.dn, &object(self.guid, None, "S-1-5-21-1-2-3", &["top", "domain", "domainDNS"]))
    }

    fn user(&self, id: i64) -> Vec<u8> {
        let classes = ["top", "person", "organizationalPerson", "user"];
        let mut attributes = object(USER, Some(self.guid), "S-1-5-21-1-2-3-1103", &classes);
        attributes.push(("displayName".to_owned(), vec![self.shown.0.as_bytes().to_vec()]));
        attributes.push(("userAccountControl".to_owned(), vec![b"512".to_vec()]));
        entry(id, &format!("CN=hanna,{}", self.dn), &attributes)
    }
}

/// The attributes that every object has.
pub fn object(guid: Guid, parent: Option<Guid>, sid: &str, classes: &[&str]) -> Vec<(String, Vec<Vec<u8>>)> {
    let sd = SecurityDescriptor::from_sddl("O:SYG:SYD:AI(A;;RP;;;WD)", &SddlContext::default()).unwrap();
    let mut attributes = vec![
        ("objectGUID".to_owned(), vec![guid.0.to_vec()]),
        ("objectSid".to_owned(), vec![sid.parse::<Sid>().unwrap().to_bytes()]),
        ("objectClass".to_owned(), classes.iter().map(|class| class.as_bytes().to_vec()).collect()),
        ("nTSecurityDescriptor".to_owned(), vec![sd.to_bytes()]),
    ];
    attributes.extend(parent.map(|parent| ("parentGUID".to_owned(), vec![parent.0.to_vec()])));
    attributes
}
