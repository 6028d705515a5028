//! Runs a script: the host, the clients, and what came of it against what was expected.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use directory::{Config, Snapshot, Time};
use session::{
    Answer, Host, Mechanisms, PasswordOutcome, Peer, PeerCertificate, Session, Settings, StoreOutcome, TlsFacts, Wait,
};

mod host;

use host::{Heard, ScriptHost};

use crate::expect::{self, Difference, compare_replies, normal, render_trace};
use crate::script::{Kind, Opening, Script, Statement};

/// Runs a script; the error says what differs and where.
pub fn run(script: &Script) -> Result<(), String> {
    let mut world = World { host: ScriptHost::new(), sessions: BTreeMap::new(), current: None };
    for statement in &script.statements {
        world.step(statement).map_err(|message| format!("line {}: {message}", statement.line))?;
    }
    world.finish()
}

/// One connection as the script sees it.
struct Connection {
    session: Session,
    /// Bytes of the client that the session has not taken yet.
    unread: Vec<u8>,
    heard: Heard,
    /// The moment until which the session holds its reply.
    held: Option<Time>,
    closed: bool,
    opened_at: usize,
    expectations: usize,
    /// TLS gives no channel binding.
    no_binding: bool,
    /// What the client shows in the handshake.
    certificate: Option<PeerCertificate>,
}

struct World {
    host: ScriptHost,
    sessions: BTreeMap<String, Connection>,
    current: Option<String>,
}

impl World {
    fn step(&mut self, statement: &Statement) -> Result<(), String> {
        match &statement.kind {
            Kind::Use(name) => self.use_organization(name),
            Kind::Organization(words) => self.host.organization.borrow_mut().apply(words, self.host.now.get()),
            Kind::Session(opening) => self.open(opening, statement.line),
            Kind::In(name) => {
                self.nothing_unexpected()?;
                if !self.sessions.contains_key(name) {
                    return Err(format!("there is no session {name}"));
                }
                self.current = Some(name.clone());
                Ok(())
            }
            Kind::Client(bytes) => self.nothing_unexpected().and_then(|()| self.send(bytes)),
            Kind::Server(expected) => {
                let connection = self.connection()?;
                connection.expectations += 1;
                let replies = std::mem::take(&mut connection.heard.replies);
                compare_replies(expected, &replies)
            }
            Kind::Mail { sender, recipients, text } => self.mail(sender, recipients, text),
            Kind::Scram(words) => self.scram(words),
            Kind::Pass(span) => self.pass(*span),
            Kind::Host(what, state) => self.set_host(what, state),
            Kind::Disconnect => {
                let connection = self.connection()?;
                let Connection { session, heard, .. } = connection;
                session.peer_closed(heard);
                connection.closed = true;
                Ok(())
            }
            Kind::Shutdown => self.on_all(|session, host, heard| session.shut_down(host, heard)),
            Kind::Expect { what, lines } => self.expect(what, lines),
        }
    }

    /// At the end nothing may be left that no expectation spoke of, and every session must have been looked at.
    fn finish(mut self) -> Result<(), String> {
        let names: Vec<String> = self.sessions.keys().cloned().collect();
        for name in names {
            self.current = Some(name.clone());
            let line = self.connection()?.opened_at;
            self.nothing_unexpected().map_err(|message| format!("end of session {name} (line {line}): {message}"))?;
            if self.connection()?.expectations == 0 {
                return Err(format!("line {line}: session {name} expects nothing, so it proves nothing"));
            }
        }
        match self.sessions.is_empty() {
            true => Err("the script has no session".to_owned()),
            false => Ok(()),
        }
    }

    fn use_organization(&mut self, name: &str) -> Result<(), String> {
        let path = crate::scripts().join(format!("{name}.organization"));
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let script = crate::script::parse(&text).map_err(|error| format!("{name}.organization: {error}"))?;
        for statement in &script.statements {
            self.step(statement).map_err(|message| format!("{name}.organization:{}: {message}", statement.line))?;
        }
        Ok(())
    }

    fn open(&mut self, opening: &Opening, line: usize) -> Result<(), String> {
        self.nothing_unexpected()?;
        let connector = self.host.organization.borrow().connector(&opening.connector)?;
        let remote = opening.from.as_deref().unwrap_or("192.0.2.1").parse::<std::net::IpAddr>();
        let remote = remote.map_err(|_| format!("{:?} is no address", opening.from))?;
        let peer = Peer { remote: (remote, 49152).into(), local: ([192, 0, 2, 25], 25).into(), tls: None };
        let mechanisms = Mechanisms {
            scram: opening.mechanisms.iter().any(|name| name == "scram"),
            bearer: opening.mechanisms.iter().any(|name| name == "bearer"),
            kerberos: opening.mechanisms.iter().any(|name| name == "kerberos"),
            spnego: opening.mechanisms.iter().any(|name| name == "kerberos"),
        };
        let settings =
            Settings { hostname: "mail.example.com".to_owned(), tls_available: !opening.no_certificate, mechanisms };
        let no_binding = opening.no_binding;
        let certificate = (!opening.certificate.is_empty() || opening.key.is_some()).then(|| PeerCertificate {
            key: opening.key.as_deref().map_or([0; 32], crate::scram::digest),
            domains: opening.certificate.clone(),
        });
        let session = Session::new(connector, peer, Arc::new(settings), &self.host);
        let connection = Connection {
            session,
            unread: Vec::new(),
            heard: Heard::default(),
            held: None,
            closed: false,
            opened_at: line,
            expectations: 0,
            no_binding,
            certificate,
        };
        self.sessions.insert(opening.name.clone(), connection);
        self.current = Some(opening.name.clone());
        if opening.file {
            return self.open_file(connector, opening.login.as_deref());
        }
        if opening.raw {
            return Ok(());
        }
        self.act(|session, host, heard| session.start(host, heard))?;
        self.succeeds("220")?;
        self.say("EHLO client.test", "250")?;
        if opening.tls {
            self.say("STARTTLS", "220")?;
            self.say("EHLO client.test", "250")?;
        }
        let Some(login) = &opening.login else { return Ok(()) };
        let mailbox = opening.mailbox.as_deref().unwrap_or("");
        let sasl = format!("{mailbox}\0{login}\0{login}-demo");
        let sasl = base64::engine::general_purpose::STANDARD.encode(sasl);
        self.say(&format!("AUTH PLAIN {sasl}"), "235")
    }

    /// The session of a file in a folder, for an account or for nobody.
    fn open_file(&mut self, connector: directory::ObjectId, login: Option<&str>) -> Result<(), String> {
        let snapshot = self.host.snapshot();
        let folder = match snapshot.object(connector).and_then(|object| object.config()) {
            Some(Config::ReceiveConnector(connector)) => connector.folder.as_ref().ok_or("it has no folder")?,
            _ => return Err("it is no receive connector".to_owned()),
        };
        let account = match login {
            None => None,
            Some(login) => Some(snapshot.resolve_login(login).ok_or_else(|| format!("there is no account {login}"))?),
        };
        self.act(|session, host, heard| session.submit_by_folder(host, folder.kind, account, heard))?;
        match account {
            Some(_) => self.succeeds("235"),
            None => Ok(()),
        }
    }

    /// `mail SENDER -> RECIPIENT …` up to the last reply, which `S:` is to expect.
    fn mail(&mut self, sender: &str, recipients: &[String], text: &[String]) -> Result<(), String> {
        self.nothing_unexpected()?;
        let sender = sender.trim_matches(['<', '>']);
        self.say(&format!("MAIL FROM:<{sender}>"), "250")?;
        for recipient in recipients {
            let recipient = recipient.trim_matches(['<', '>']);
            self.say(&format!("RCPT TO:<{recipient}>"), "250")?;
        }
        self.say("DATA", "354")?;
        let mut data = Vec::new();
        for line in text {
            data.extend(crate::script::escaped(line)?);
            data.extend_from_slice(b"\r\n");
        }
        if !text.iter().any(String::is_empty) {
            data.extend_from_slice(b"\r\nHello.\r\n");
        }
        data.extend_from_slice(b".\r\n");
        self.send(&data)
    }

    /// `scram NAME PASSWORD […]`: a whole exchange up to the last reply, which `S:` is to expect.
    fn scram(&mut self, words: &[String]) -> Result<(), String> {
        self.nothing_unexpected()?;
        let client = crate::scram::Client::new(words)?;
        self.send(client.auth_line().as_bytes())?;
        let challenge = match self.challenge()? {
            Some(challenge) => challenge,
            None => return Ok(()),
        };
        let (last, expected) = client.answer(&challenge)?;
        self.send(last.as_bytes())?;
        if let Some(proof) = self.challenge()? {
            if proof != expected {
                return Err(format!("the server proved {proof:?} instead of {expected:?}"));
            }
            self.send(b"\r\n")?;
        }
        Ok(())
    }

    /// The only reply, if it is a challenge; taken then.
    fn challenge(&mut self) -> Result<Option<String>, String> {
        let replies = &mut self.connection()?.heard.replies;
        let Some(challenge) = replies.first().and_then(|reply| reply.strip_prefix("334 ")) else { return Ok(None) };
        let decoded = base64::engine::general_purpose::STANDARD.decode(challenge).map_err(|error| error.to_string())?;
        replies.clear();
        Ok(Some(String::from_utf8_lossy(&decoded).into_owned()))
    }

    /// Sends a line that must be answered with this code; the reply is taken.
    fn say(&mut self, line: &str, code: &str) -> Result<(), String> {
        self.send(format!("{line}\r\n").as_bytes())?;
        self.succeeds(code).map_err(|message| format!("{line}: {message}"))
    }

    fn succeeds(&mut self, code: &str) -> Result<(), String> {
        let replies = std::mem::take(&mut self.connection()?.heard.replies);
        match replies.iter().all(|reply| reply.starts_with(code)) && !replies.is_empty() {
            true => Ok(()),
            false => Err(format!("expected {code}, got {replies:?}")),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let connection = self.connection()?;
        if connection.closed {
            return Err("the session is closed".to_owned());
        }
        connection.unread.extend_from_slice(bytes);
        match connection.held {
            None => self.act(|_, _, _| Wait::Nothing),
            Some(_) => Ok(()),
        }
    }

    /// Does something with the current session and goes on until it wants more input or time.
    fn act(&mut self, first: impl FnOnce(&mut Session, &ScriptHost, &mut Heard) -> Wait) -> Result<(), String> {
        let name = self.current.clone().ok_or("no session yet")?;
        let connection = self.sessions.get_mut(&name).ok_or("no session yet")?;
        let Connection { session, heard, unread, held, closed, no_binding, certificate, .. } = connection;
        let mut wait = first(session, &self.host, heard);
        loop {
            wait = match wait {
                Wait::Nothing if unread.is_empty() => return Ok(()),
                Wait::Nothing => {
                    let progress = session.receive(&self.host, unread, heard);
                    if progress.consumed == 0 && progress.wait == Wait::Nothing {
                        return Err("the session takes nothing and waits for nothing".to_owned());
                    }
                    unread.drain(..progress.consumed);
                    progress.wait
                }
                Wait::Tls => {
                    assert!(unread.is_empty(), "plain text is left when TLS begins");
                    let binding = |byte| (!*no_binding).then(|| vec![byte; 32]);
                    let facts = TlsFacts {
                        version: "TLS1.3".to_owned(),
                        cipher: "TLS_AES_256_GCM_SHA384".to_owned(),
                        exporter: binding(7),
                        server_end_point: binding(9),
                        peer: certificate.clone(),
                    };
                    session.answer(&self.host, Answer::TlsEstablished(facts), heard)
                }
                Wait::Password(check) => {
                    let outcome = self.host.check(&check);
                    session.answer(&self.host, Answer::Password(outcome), heard)
                }
                Wait::ScramKeys(claimant) => {
                    let outcome = self.host.keys(&claimant);
                    session.answer(&self.host, Answer::ScramKeys(outcome), heard)
                }
                Wait::Judged { proven, .. } => {
                    let outcome = if proven.is_some() { PasswordOutcome::Correct } else { PasswordOutcome::Wrong };
                    session.answer(&self.host, Answer::Password(outcome), heard)
                }
                Wait::Token(check) => {
                    let outcome = self.host.token(&check.token);
                    session.answer(&self.host, Answer::Token(outcome), heard)
                }
                Wait::Gss(message) => {
                    let outcome = self.host.gss(&message);
                    session.answer(&self.host, Answer::Gss(outcome), heard)
                }
                Wait::Store(submission) => {
                    let outcome = self.host.store.get();
                    let body = heard.body.take().ok_or("a message is to be stored, and no text was given")?;
                    if outcome == StoreOutcome::Stored {
                        heard.decisions.extend(submission.audit.clone());
                        heard.accepted.push((*submission, body));
                    }
                    session.answer(&self.host, Answer::Stored(outcome), heard)
                }
                Wait::Until(time) => {
                    *held = Some(time);
                    return Ok(());
                }
                Wait::Close => {
                    assert!(heard.body.is_none(), "a session closed and left a body behind");
                    *closed = true;
                    return Ok(());
                }
            };
        }
    }

    fn on_all(&mut self, act: impl Fn(&mut Session, &ScriptHost, &mut Heard) -> Wait) -> Result<(), String> {
        let current = self.current.clone();
        let open: Vec<String> = self
            .sessions
            .iter()
            .filter(|(_, connection)| !connection.closed && connection.held.is_none())
            .map(|(name, _)| name.clone())
            .collect();
        for name in open {
            self.current = Some(name);
            self.act(&act)?;
        }
        self.current = current;
        Ok(())
    }

    fn pass(&mut self, span: i64) -> Result<(), String> {
        let target = self.host.now.get().0 + span;
        // Second by second: a deadline fires when it comes, not at the end of a long wait.
        while self.host.now.get().0 < target {
            self.host.now.set(Time((self.host.now.get().0 + 1_000).min(target)));
            let now = self.host.now.get();
            self.resume(now)?;
            self.on_all(|session, host, heard| match session.deadline() {
                Some(deadline) if deadline <= now => session.timeout(host, heard),
                _ => Wait::Nothing,
            })?;
        }
        Ok(())
    }

    /// Lets sessions go on whose reply was held back until now.
    fn resume(&mut self, now: Time) -> Result<(), String> {
        let current = self.current.clone();
        let due = |connection: &&mut Connection| connection.held.is_some_and(|time| time <= now);
        let mut names = Vec::new();
        for (name, connection) in self.sessions.iter_mut() {
            if due(&connection) {
                connection.held = None;
                names.push(name.clone());
            }
        }
        for name in names {
            self.current = Some(name);
            self.act(|session, host, heard| session.answer(host, Answer::Resume, heard))?;
        }
        self.current = current;
        Ok(())
    }

    fn set_host(&mut self, what: &str, state: &str) -> Result<(), String> {
        match (what, state) {
            ("waits", pair) => {
                let (account, user) = pair.split_once(' ').ok_or("write `waits ACCOUNT for USER`")?;
                self.host.waiting.borrow_mut().push((account.to_owned(), user.to_owned()));
            }
            ("queue", "full") => self.host.store.set(StoreOutcome::Full),
            ("queue", "fails") => self.host.store.set(StoreOutcome::Failed),
            ("queue", "works") => self.host.store.set(StoreOutcome::Stored),
            ("passwords", "away") => self.host.passwords_away.set(true),
            ("passwords", "work") => self.host.passwords_away.set(false),
            _ => return Err(format!("`{what} {state}` is not known")),
        }
        Ok(())
    }

    fn expect(&mut self, what: &str, lines: &[String]) -> Result<(), String> {
        let connection = self.connection()?;
        connection.expectations += 1;
        let heard = &mut connection.heard;
        match what {
            "accepted" if heard.accepted.is_empty() => Err("no message was accepted".to_owned()),
            "accepted" => {
                let (submission, text) = heard.accepted.remove(0);
                expect::accepted(lines, &submission, &text)
            }
            "trace" => {
                let record = heard.decisions.pop().ok_or("no decision was recorded")?;
                heard.decisions.clear();
                let snapshot = self.host.organization.borrow().snapshot();
                Difference::of(lines, &short_names(&snapshot, render_trace(&record))).into_result()
            }
            "no trace" if heard.decisions.is_empty() => Ok(()),
            "no trace" => Err(format!("a decision was recorded:\n{}", render_trace(&heard.decisions[0]).join("\n"))),
            "nothing accepted" if heard.accepted.is_empty() => Ok(()),
            "nothing accepted" => Err("a message was accepted".to_owned()),
            "closed" if connection.closed => Ok(()),
            "closed" => Err("the session is open".to_owned()),
            "open" if !connection.closed => Ok(()),
            "open" => Err("the session is closed".to_owned()),
            "silence" if heard.replies.is_empty() => Ok(()),
            "silence" => Err(format!("the server said {:?}", heard.replies)),
            _ => Err(format!("`expect {what}` is not known")),
        }
    }

    /// A reply that no `S:` took is one too many.
    fn nothing_unexpected(&mut self) -> Result<(), String> {
        let Ok(connection) = self.connection() else { return Ok(()) };
        match connection.heard.replies.is_empty() {
            true => Ok(()),
            false => {
                let replies: Vec<String> = connection.heard.replies.iter().map(|reply| normal(reply)).collect();
                Err(format!("the server said something that no `S:` expects:\n  {}", replies.join("\n  ")))
            }
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, String> {
        let name = self.current.as_ref().ok_or("no session yet")?;
        self.sessions.get_mut(name).ok_or_else(|| "no session yet".to_owned())
    }
}

/// The long names of the configuration partition as scripts write them: `connector:client`, `database:…`, `server`.
fn short_names(snapshot: &Snapshot, lines: Vec<String>) -> Vec<String> {
    let mut names: Vec<(String, String)> = Vec::new();
    for (id, config) in snapshot.configuration() {
        let name = snapshot.object(id).map(|object| object.name()).unwrap_or_default();
        let short = match config {
            Config::ReceiveConnector(_) => format!("connector:{name}"),
            Config::Database(_) => format!("database:{name}"),
            Config::Server(_) => "server".to_owned(),
            Config::Organization(_) => "organization".to_owned(),
            _ => continue,
        };
        names.push((snapshot.dn(id), short));
    }
    // Longest first: the name of a connector ends with that of its server.
    names.sort_by_key(|(dn, _)| std::cmp::Reverse(dn.len()));
    let shorten = |line: String| names.iter().fold(line, |line, (dn, short)| line.replace(dn.as_str(), short));
    lines.into_iter().map(shorten).collect()
}
