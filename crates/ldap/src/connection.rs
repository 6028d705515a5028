//! A connection to one domain controller, over TLS. It blocks, and everything on it has an end in time.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use thiserror::Error;

use crate::ber::Malformed;
use crate::controls;
use crate::message::{self, Answer, Body, Control, Entry, Modification, Outcome, Request, Search, code};
use crate::settings::{Address, Security};
use crate::tickets::{self, Tickets};
use crate::wire::{Timed, Wire};

/// Why a domain controller was of no use.
#[derive(Debug, Error)]
pub enum LdapError {
    /// It cannot be reached, or said nothing in time.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Its certificate is not believed, or TLS failed otherwise.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// It does not speak LDAP.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// It refused.
    #[error("{what}: {outcome}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What it said.
        outcome: Outcome,
    },
    /// There is no ticket of Kerberos for it, or it is not who the ticket is for.
    #[error("Kerberos: {0}")]
    Ticket(String),
    /// It sends somewhere else, where nobody asked it to.
    #[error("it refers to another server; only the configured ones are asked")]
    Referral,
    /// What it says cannot be the directory.
    #[error("{0}")]
    Nonsense(String),
}

impl LdapError {
    /// The result code of a refusal.
    pub fn code(&self) -> Option<u32> {
        match self {
            LdapError::Refused { outcome, .. } => Some(outcome.code),
            LdapError::Referral => Some(code::REFERRAL),
            _ => None,
        }
    }
}

/// Octets that a search may answer altogether.
const LARGEST_ANSWER: usize = 1 << 30;
/// A page has so many times as long as one answer: a server that says an object now and then is as good as one that stalls.
const PAGE_ANSWERS: u32 = 10;
/// Pages without any object that may follow one another: a server may end a page after a while of looking.
const EMPTY_PAGES: usize = 1_000;

/// A connection.
pub struct Connection {
    stream: Wire,
    /// When it has to be made anew: it rests on a ticket.
    until: Option<SystemTime>,
    read: Vec<u8>,
    begin: usize,
    next: i32,
    patience: Duration,
}

impl Connection {
    /// Connects, with TLS, and without saying who asks. Where everything is to be sealed by Kerberos instead, nothing is
    /// protected before [`Connection::bind_by_ticket`].
    ///
    /// # Errors
    /// Nobody is there, or somebody else is (the certificate).
    pub fn open(address: &Address, tls: &Arc<ClientConfig>, patience: Duration) -> Result<Connection, LdapError> {
        let stream = dial(address, patience)?;
        stream.set_nodelay(true)?;
        let mut plain = Timed { stream, end: Instant::now() + patience };
        let stream = match address.security {
            Security::Kerberos => Wire::Plain(plain),
            Security::Tls | Security::StartTls => {
                if address.security == Security::StartTls {
                    start_tls(&mut plain)?;
                }
                let name = ServerName::try_from(address.host.clone())
                    .map_err(|_| LdapError::Nonsense(format!("`{}` is no name of a server", address.host)))?;
                let client = ClientConnection::new(Arc::clone(tls), name)?;
                let mut stream = StreamOwned::new(client, plain);
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock).map_err(tls_fault)?;
                }
                Wire::Tls(Box::new(stream))
            }
        };
        Ok(Connection { stream, until: None, read: Vec::new(), begin: 0, next: 0, patience })
    }

    /// Whether it rests on a ticket that ends soon.
    pub fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= SystemTime::now())
    }

    /// Says who asks, by a ticket for this domain controller (SASL GSSAPI, RFC 4752). Without TLS everything is sealed from
    /// then on.
    ///
    /// # Errors
    /// There is no ticket, or the server does not take it.
    pub fn bind_by_ticket(
        &mut self,
        host: &str,
        tickets: &dyn Tickets,
        kdcs: &dyn Fn(&str) -> Vec<String>,
    ) -> Result<(), LdapError> {
        let fault = |reason: String| LdapError::Ticket(reason);
        let binding = self.stream.binding();
        let begun = tickets.begin(host, kdcs, binding.as_deref(), self.patience).map_err(fault)?;
        let proof = self.sasl(&begun.message).inspect_err(|_| tickets.forget(host))?;
        let mut context = begun.exchange.finish(&proof).map_err(fault)?;
        let offer = self.sasl(&[])?;
        let sealed = binding.is_none();
        let (choice, most) = tickets::choose(context.as_mut(), &offer, sealed).map_err(fault)?;
        self.ask(&Request::Sasl { credentials: &choice }, &[], "bind")?;
        if sealed {
            // What was read with the end of the logon, and behind it, anybody may have said: it would be taken for answers.
            if self.begin < self.read.len() {
                return Err(LdapError::Nonsense("it goes on in clear where everything is to be sealed".to_owned()));
            }
            let ended = Wire::Plain(Timed { stream: self.stream.socket().stream.try_clone()?, end: Instant::now() });
            self.stream = std::mem::replace(&mut self.stream, ended).seal(context, most);
        }
        self.until = Some(begun.until);
        Ok(())
    }

    /// One step of SASL: what the server says to it.
    fn sasl(&mut self, credentials: &[u8]) -> Result<Vec<u8>, LdapError> {
        let request = Request::Sasl { credentials };
        let id = self.send(&request, &[])?;
        let answer = self.answer(id, &mut 0, Instant::now() + self.patience)?;
        match answer.body {
            Body::Done(outcome) if answer.tag == request.answered_by() && outcome.code == code::SASL_GOES_ON => {
                Ok(answer.credentials.unwrap_or_default())
            }
            Body::Done(outcome) if answer.tag == request.answered_by() => {
                succeeded("bind", outcome)?;
                Err(another())
            }
            _ => Err(another()),
        }
    }

    /// Says who asks.
    ///
    /// # Errors
    /// [`LdapError::Refused`] with [`code::INVALID_CREDENTIALS`] where name or password are wrong.
    pub fn bind(&mut self, name: &str, password: &[u8]) -> Result<(), LdapError> {
        // Without a password a bind succeeds and proves nothing (RFC 4513 §5.1.2).
        if name.is_empty() || password.is_empty() {
            let outcome = Outcome { code: code::INVALID_CREDENTIALS, message: "no password".to_owned() };
            return Err(LdapError::Refused { what: "bind", outcome });
        }
        if !self.stream.is_private() {
            return Err(LdapError::Nonsense("passwords are sent over TLS alone".to_owned()));
        }
        self.ask(&Request::Bind { name, password }, &[], "bind").map(drop)
    }

    /// Searches, all pages; each object goes to `take`. Gives the controls of the last answer.
    ///
    /// # Errors
    /// The server refused or failed; what was taken until then is not everything.
    pub fn search(
        &mut self,
        search: &Search,
        others: &[Control],
        page: Option<u32>,
        take: &mut dyn FnMut(Entry) -> Result<(), LdapError>,
    ) -> Result<Vec<Control>, LdapError> {
        let mut cookie = Vec::new();
        let (mut octets, mut empty) = (0, 0);
        loop {
            let mut all = others.to_vec();
            all.extend(page.map(|size| controls::page(size, &cookie)));
            let request = Request::Search(search);
            let id = self.send(&request, &all)?;
            let end = Instant::now() + self.patience * PAGE_ANSWERS;
            empty += 1;
            let found = loop {
                let answer = self.answer(id, &mut octets, end)?;
                match answer.body {
                    Body::Entry(entry) => {
                        empty = 0;
                        take(entry)?;
                    }
                    Body::Reference => {}
                    Body::Done(_) if answer.tag != request.answered_by() => return Err(another()),
                    Body::Done(outcome) => {
                        succeeded("search", outcome)?;
                        break answer.controls;
                    }
                }
                if octets > LARGEST_ANSWER {
                    return Err(LdapError::Nonsense("its answer does not end".to_owned()));
                }
            };
            match page.map(|_| controls::next_page(&found)).transpose()?.flatten() {
                Some(_) if empty > EMPTY_PAGES => {
                    return Err(LdapError::Nonsense("its pages do not end".to_owned()));
                }
                Some(next) => cookie = next,
                None => return Ok(found),
            }
        }
    }

    /// Asks to be told whenever something changes that a search finds (MS-ADTS 3.1.1.3.4.1.9); what it is told by.
    ///
    /// # Errors
    /// The server could not be asked.
    pub(crate) fn watch(&mut self, search: &Search) -> Result<i32, LdapError> {
        self.send(&Request::Search(search), &[controls::notify()])
    }

    /// Waits for the next news of [`Connection::watch`]; whether there were any.
    ///
    /// # Errors
    /// The server refuses to tell, or the connection ended.
    pub(crate) fn news(&mut self, id: i32, wait: Duration) -> Result<bool, LdapError> {
        let patience = std::mem::replace(&mut self.patience, wait);
        let answer = self.answer(id, &mut 0, Instant::now() + wait);
        self.patience = patience;
        match answer {
            Ok(Answer { body: Body::Entry(_) | Body::Reference, .. }) => Ok(true),
            Ok(Answer { body: Body::Done(outcome), .. }) => succeeded("notification", outcome).and(Err(another())),
            Err(LdapError::Io(error)) if error.kind() == io::ErrorKind::TimedOut => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The objects that a search finds, on one page.
    ///
    /// # Errors
    /// As [`Connection::search`].
    pub fn find(&mut self, search: &Search, others: &[Control]) -> Result<Vec<Entry>, LdapError> {
        let mut found = Vec::new();
        self.search(search, others, None, &mut |entry| {
            found.push(entry);
            Ok(())
        })?;
        Ok(found)
    }

    /// Changes an object.
    ///
    /// # Errors
    /// The server refused or failed; where it failed, nobody knows whether it did.
    pub fn modify(&mut self, dn: &str, parts: &[Modification], others: &[Control]) -> Result<(), LdapError> {
        self.ask(&Request::Modify { dn, parts }, others, "modify").map(drop)
    }

    fn ask(
        &mut self,
        request: &Request<'_>,
        others: &[Control],
        what: &'static str,
    ) -> Result<Vec<Control>, LdapError> {
        let id = self.send(request, others)?;
        let answer = self.answer(id, &mut 0, Instant::now() + self.patience)?;
        match answer.body {
            Body::Done(outcome) if answer.tag == request.answered_by() => {
                succeeded(what, outcome).map(|()| answer.controls)
            }
            _ => Err(another()),
        }
    }

    fn send(&mut self, request: &Request<'_>, others: &[Control]) -> Result<i32, LdapError> {
        self.next = self.next.checked_add(1).unwrap_or(1);
        self.stream.socket().end = Instant::now() + self.patience;
        let octets = message::request(self.next, request, others);
        self.stream.write_all(&octets).and_then(|()| self.stream.flush()).map_err(tls_fault)?;
        Ok(self.next)
    }

    /// The next answer to a request, which must be there by then.
    fn answer(&mut self, id: i32, octets: &mut usize, by: Instant) -> Result<Answer, LdapError> {
        self.stream.socket().end = by.min(Instant::now() + self.patience);
        loop {
            let here = &self.read[self.begin..];
            if let Some(length) = message::length(here)?
                && here.len() >= length
            {
                let answer = message::answer(&here[..length])?;
                self.begin += length;
                *octets += length;
                match answer.id {
                    // Notice of disconnection, or other news.
                    0 => return Err(LdapError::Nonsense("it ends the connection".to_owned())),
                    own if own == i64::from(id) => return Ok(answer),
                    _ => return Err(another()),
                }
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> Result<(), LdapError> {
        if self.begin > 0 {
            self.read.drain(..self.begin);
            self.begin = 0;
        }
        let mut piece = [0; 32 << 10];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(ended()),
            Ok(count) => {
                self.read.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(error) => Err(tls_fault(error)),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.patience = Duration::from_millis(200);
        let _ = self.send(&Request::Unbind, &[]);
        self.stream.end();
    }
}

fn succeeded(what: &'static str, outcome: Outcome) -> Result<(), LdapError> {
    match outcome.code {
        code::SUCCESS => Ok(()),
        code::REFERRAL => Err(LdapError::Referral),
        _ => Err(LdapError::Refused { what, outcome }),
    }
}

fn dial(address: &Address, patience: Duration) -> Result<TcpStream, LdapError> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", address.host));
    for place in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

/// Asks for TLS on a plain connection, octet by octet, so that nothing of what comes after is taken for its answer.
fn start_tls(stream: &mut Timed) -> Result<(), LdapError> {
    stream.write_all(&message::request(1, &Request::StartTls, &[])).map_err(tls_fault)?;
    let mut read = Vec::new();
    let length = loop {
        match message::length(&read)? {
            Some(length) if length > 4096 => return Err(Malformed("an answer to StartTLS that is too large").into()),
            Some(length) if read.len() >= length => break length,
            _ => {}
        }
        let mut octet = [0];
        stream.read_exact(&mut octet).map_err(tls_fault)?;
        read.extend_from_slice(&octet);
    };
    let answer = message::answer(&read[..length])?;
    match answer.body {
        Body::Done(outcome) if answer.id == 1 && answer.tag == Request::StartTls.answered_by() => {
            succeeded("StartTLS", outcome)
        }
        _ => Err(another()),
    }
}

fn another() -> LdapError {
    Malformed("an answer to another question").into()
}

fn ended() -> LdapError {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended").into()
}

fn late() -> LdapError {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer in time").into()
}

/// What TLS says about the certificate stands in an I/O error.
fn tls_fault(error: io::Error) -> LdapError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
        io::ErrorKind::UnexpectedEof => ended(),
        _ => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(inner) => LdapError::Tls(inner.clone()),
            None => LdapError::Io(error),
        },
    }
}
