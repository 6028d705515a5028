//! `procura test-send`: does what a service does, with its credential, and says what happens at each step (S1: Good's
//! Test Send utility); or decides for all its users without sending (S1: the reporting script).

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use admin::operations::{self as op, PauseDecided, PauseRequest, PauseResponse, Request, Response};
use admin::{AdminError, Endpoint};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use load::AcceptAny;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::ServerName;
use smtp::Reply;
use smtp::client::{Capabilities, DotStuffer, ReplyParser};
use zeroize::Zeroizing;

use super::args::{Format, Global};
use super::fault::Failure;
use super::output::table;
use super::run::{broken, show, unexpected};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 sent, or allowed for all; 1 refused or paused, or not allowed for some; 2 could not be tried.\n\nExamples:\n  procura test-send --as goodadmin --from johndoe@example.com --to ops@example.com\n  procura test-send --as goodadmin --all-users --format csv"
)]
pub struct TestSend {
    /// The service account: the name that it logs on with
    #[arg(long = "as", value_name = "ACCOUNT")]
    pub account: String,
    /// The user to send as: MAIL FROM and From
    #[arg(long, value_name = "ADDRESS", required_unless_present = "all_users")]
    pub from: Option<String>,
    /// The recipient
    #[arg(long, value_name = "ADDRESS", required_unless_present = "all_users")]
    pub to: Option<String>,
    /// Receive connector [default: the one that takes passwords]
    #[arg(long, value_name = "NAME")]
    pub connector: Option<String>,
    /// Where the connector is reached [default: where it listens on this machine]
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "all_users")]
    pub server: Option<SocketAddr>,
    /// Read the password from standard input
    #[arg(long, conflicts_with = "all_users")]
    pub password_stdin: bool,
    /// Decide for each user, without sending; lists those for whom it cannot send
    #[arg(long, conflicts_with = "from")]
    pub all_users: bool,
    /// With --all-users: only users below this container
    #[arg(long, value_name = "CONTAINER", requires = "all_users")]
    pub under: Option<String>,
}

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the command; whether there is something that a person should look at.
pub fn run(endpoint: &mut Endpoint, global: &Global, test: &TestSend) -> Result<bool, Failure> {
    if test.all_users {
        return all_users(endpoint, global, test);
    }
    let (Some(from), Some(to)) = (&test.from, &test.to) else {
        return Err(Failure::new("--from and --to are needed, or --all-users"));
    };
    if global.dry_run {
        return Err(Failure::new("test-send really sends").help("`procura check --as` asks without sending"));
    }
    let (connector, server) = place(endpoint, test)?;
    let password = match test.password_stdin {
        true => super::requests::password_from_stdin()?.0,
        false => super::requests::ask(&format!("Password of {}: ", test.account), "--password-stdin")?,
    };
    let mut steps = Steps { format: global.format, kept: Vec::new() };
    let sent = send(&mut steps, (server, &connector), (&test.account, &password), (from, to));
    let queue_id = match sent {
        Ok(Sent::Taken(queue_id)) => Some(queue_id),
        Ok(Sent::Refused) => None,
        // Who may send as whom was not asked: nobody had logged on.
        Ok(Sent::NotLoggedOn(step)) => {
            finish(&steps, global.format, &format!("REFUSED: {step}"), None, None).map_err(broken)?;
            return Ok(true);
        }
        Err(error) => return Err(Failure::new(format!("{server}: {error}")).help("is the server running?")),
    };
    let held = queue_id.as_ref().and_then(|id| held(endpoint, id));
    let outcome = match (&queue_id, &held) {
        (Some(id), Some(reason)) => format!("accepted as {id} and PAUSED: {reason}"),
        (Some(id), None) => format!("accepted as {id} and on its way"),
        (None, _) => "REFUSED".to_owned(),
    };
    let stages = endpoint.call(
        "",
        Request::ConnectorTest(op::ConnectorTest {
            identity: connector.clone(),
            who: test.account.clone(),
            from: Some(from.clone()),
            header_from: Some(from.clone()),
            to: vec![to.clone()],
            size: None,
            remote: None,
        }),
    );
    let decision = endpoint.call(
        "",
        Request::Check(op::Check {
            who: test.account.clone(),
            from: vec![from.clone()],
            mail_from: Some(from.clone()),
            to: vec![to.clone()],
            connector: Some(connector),
            ..op::Check::default()
        }),
    );
    finish(&steps, global.format, &outcome, stages.ok(), decision.ok()).map_err(broken)?;
    Ok(queue_id.is_none() || held.is_some())
}

/// The connector and where it listens.
fn place(endpoint: &mut Endpoint, test: &TestSend) -> Result<(String, SocketAddr), Failure> {
    let Response::Status(status) = endpoint.call("", Request::Status)? else { return Err(unexpected()) };
    if !status.running && test.server.is_none() {
        return Err(Failure::new("no server runs").help("start it with `procura serve`"));
    }
    let named = |name: &str| match &test.connector {
        Some(wanted) => {
            name.eq_ignore_ascii_case(wanted) || name.split(' ').next().is_some_and(|n| n.eq_ignore_ascii_case(wanted))
        }
        // The usage that passwords are for (S2).
        None => name.to_ascii_lowercase().starts_with("client"),
    };
    let names = || status.connectors.iter().map(|row| row.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = status.connectors.iter().find(|row| row.enabled && named(&row.name)).ok_or_else(|| {
        Failure::new("no receive connector of that name is enabled")
            .help(format!("name one with --connector: {}", names()))
    })?;
    let listens = found.bindings.iter().filter_map(|binding| binding.parse::<SocketAddr>().ok()).map(reachable);
    let server = test.server.or_else(|| listens.into_iter().next());
    let server = server.ok_or_else(|| {
        Failure::new(format!("{} listens nowhere", found.name)).help("name the address with --server")
    })?;
    Ok((found.name.clone(), server))
}

/// An unspecified address is reached on this machine.
fn reachable(binding: SocketAddr) -> SocketAddr {
    let ip = match binding.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, binding.port())
}

/// What was said, as it was said.
struct Steps {
    format: Format,
    kept: Vec<String>,
}

impl Steps {
    fn note(&mut self, line: String) -> io::Result<()> {
        if self.format == Format::Table {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}")?;
            out.flush()?;
        }
        self.kept.push(line);
        Ok(())
    }
}

/// How far it came.
enum Sent {
    /// The message was taken: the queue id.
    Taken(String),
    /// A step after the logon was refused.
    Refused,
    /// The logon was refused, or a step before it: which, in words.
    NotLoggedOn(&'static str),
}

/// Sends.
fn send(
    steps: &mut Steps,
    (server, connector): (SocketAddr, &str),
    (account, password): (&str, &Zeroizing<String>),
    (from, to): (&str, &str),
) -> io::Result<Sent> {
    steps.note(format!("connect to {server} ({connector})"))?;
    let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut client = Client { stream: Stream::Plain(stream), input: Vec::new() };
    if !client.heard(steps)?.is_positive() {
        return Ok(Sent::NotLoggedOn("the server takes no connection"));
    }
    let mut hello = client.say(steps, "EHLO test-send.invalid", None)?;
    if Capabilities::parse(&hello).starttls {
        if client.say(steps, "STARTTLS", None)?.code != 220 {
            return Ok(Sent::NotLoggedOn("the server does not begin TLS"));
        }
        client.start_tls()?;
        steps.note("* TLS; the certificate is not looked at: this is the server's own connector".to_owned())?;
        hello = client.say(steps, "EHLO test-send.invalid", None)?;
    }
    if !hello.is_positive() {
        return Ok(Sent::NotLoggedOn("the server does not take the greeting"));
    }
    let response = Zeroizing::new(STANDARD.encode(format!("\0{account}\0{}", password.as_str())));
    let logon = Zeroizing::new(format!("AUTH PLAIN {}", response.as_str()));
    if client.say(steps, &logon, Some("AUTH PLAIN *"))?.code != 235 {
        return Ok(Sent::NotLoggedOn("the logon failed; nothing was sent"));
    }
    for command in [format!("MAIL FROM:<{from}>"), format!("RCPT TO:<{to}>"), "DATA".to_owned()] {
        if !client.say(steps, &command, None)?.is_positive() {
            return Ok(Sent::Refused);
        }
    }
    let reply = client.data(steps, message(from, to).as_bytes())?;
    let _ = client.say(steps, "QUIT", None);
    if !reply.is_positive() {
        return Ok(Sent::Refused);
    }
    // `250 2.6.0 QUEUE-ID Queued mail for delivery`
    let text = reply.lines.first().map(String::as_str).unwrap_or_default();
    Ok(Sent::Taken(text.split(' ').find(|word| word.len() == 26).unwrap_or("(no id)").to_owned()))
}

fn message(from: &str, to: &str) -> String {
    let now = jiff::Timestamp::now().as_millisecond();
    format!(
        "Date: {}\r\nFrom: <{from}>\r\nTo: <{to}>\r\nSubject: Procura test message\r\nMessage-ID: <{now}.test-send@{}>\r\n\
         \r\nThis message was sent by `procura test-send`.\r\n",
        message::trace_fields::date(now),
        from.rsplit('@').next().unwrap_or("localhost")
    )
}

/// A client that waits for each reply.
struct Client {
    stream: Stream,
    input: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Gone,
}

impl Client {
    fn heard(&mut self, steps: &mut Steps) -> io::Result<Answer> {
        let mut parser = ReplyParser::new();
        loop {
            let input = std::mem::take(&mut self.input);
            let (used, reply) =
                parser.push(&input).map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault.to_string()))?;
            self.input = input.get(used..).unwrap_or_default().to_vec();
            if let Some(reply) = reply {
                for line in &reply.lines {
                    let enhanced = reply.enhanced.map(|(a, b, c)| format!("{a}.{b}.{c} ")).unwrap_or_default();
                    steps.note(format!("< {} {enhanced}{line}", reply.code))?;
                }
                return Ok(Answer(reply));
            }
            let mut buffer = [0; 4096];
            let read = match &mut self.stream {
                Stream::Plain(stream) => stream.read(&mut buffer)?,
                Stream::Tls(stream) => stream.read(&mut buffer)?,
                Stream::Gone => 0,
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(buffer.get(..read).unwrap_or_default());
        }
    }

    fn say(&mut self, steps: &mut Steps, line: &str, shown: Option<&str>) -> io::Result<Answer> {
        steps.note(format!("> {}", shown.unwrap_or(line)))?;
        let line = Zeroizing::new(format!("{line}\r\n"));
        self.write(line.as_bytes())?;
        self.heard(steps)
    }

    fn data(&mut self, steps: &mut Steps, message: &[u8]) -> io::Result<Answer> {
        steps.note(format!("> ({} octets of message)", message.len()))?;
        let mut out = Vec::with_capacity(message.len() + 16);
        let mut stuffer = DotStuffer::new();
        stuffer.push(message, &mut |bytes| out.extend_from_slice(bytes));
        stuffer.finish(&mut |bytes| out.extend_from_slice(bytes));
        self.write(&out)?;
        self.heard(steps)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Stream::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Whose the certificate is does not matter: the administration socket has said where the server listens.
    fn start_tls(&mut self) -> io::Result<()> {
        let Stream::Plain(stream) = std::mem::replace(&mut self.stream, Stream::Gone) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAny::new(provider)))
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        self.stream = Stream::Tls(Box::new(StreamOwned::new(connection, stream)));
        Ok(())
    }
}

/// A reply.
struct Answer(Reply);

impl Answer {
    fn is_positive(&self) -> bool {
        self.0.code < 400
    }
}

impl std::ops::Deref for Answer {
    type Target = Reply;

    fn deref(&self) -> &Reply {
        &self.0
    }
}

/// Why a message is held; none where it is not, or gone already. Behind mail that is being released it is held for a
/// moment.
fn held(endpoint: &mut Endpoint, id: &str) -> Option<String> {
    let mut held = None;
    for _ in 0..10 {
        held = match endpoint.call("", Request::QueueShow(op::QueueMessage { id: id.to_owned() })) {
            Ok(Response::QueueMessage(message)) => message.summary.held,
            _ => None,
        };
        if held.is_none() {
            break;
        }
        std::thread::sleep(Duration::from_millis(150));
    }
    held
}

/// Outcome, permission set and trace.
fn finish(
    steps: &Steps,
    format: Format,
    outcome: &str,
    stages: Option<Response>,
    decision: Option<Response>,
) -> io::Result<()> {
    if format != Format::Table {
        let document = serde_json::json!({
            "outcome": outcome, "steps": steps.kept, "stages": stages, "decision": decision,
        });
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, &document)?;
        return out.write_all(b"\n");
    }
    let mut text = format!("\n{outcome}\n");
    if let Some(stages) = &stages {
        text += "\npermissions\n";
        text += &super::output::text(stages);
    }
    if let Some(decision) = &decision {
        text += "\ndecision\n";
        text += &super::output::text(decision);
    }
    io::stdout().lock().write_all(text.as_bytes())
}

/// Decides for each user of the directory.
fn all_users(endpoint: &mut Endpoint, global: &Global, test: &TestSend) -> Result<bool, Failure> {
    let mut asked = op::PauseDecide {
        account: test.account.clone(),
        connector: test.connector.clone(),
        under: test.under.clone(),
        to: test.to.clone(),
        after: None,
    };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} users {eta}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut all: Option<PauseDecided> = None;
    loop {
        let page = match endpoint.call("", Request::Pause(PauseRequest::Decide(asked.clone()))) {
            Ok(Response::Pause(PauseResponse::Decided(page))) => page,
            Ok(_) => return Err(unexpected()),
            Err(error) => return Err(AdminError::into(error)),
        };
        bar.set_length(page.users);
        bar.inc(page.allowed + page.rows.len() as u64);
        asked.after = page.next;
        match &mut all {
            None => all = Some(page),
            Some(all) => {
                all.allowed += page.allowed;
                all.rows.extend(page.rows);
            }
        }
        if asked.after.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    let decided = PauseDecided { next: None, ..all.unwrap_or_default() };
    let found = !decided.rows.is_empty();
    show(&Response::Pause(PauseResponse::Decided(decided)), global.format)?;
    Ok(found)
}

/// Users for whom an account cannot send, in words.
pub(super) fn report(decided: &PauseDecided) -> String {
    let mut text = format!(
        "{} can send as {} of {} users\n",
        decided.account,
        decided.allowed,
        decided.allowed + decided.rows.len() as u64
    );
    if decided.rows.is_empty() {
        return text;
    }
    text += "\n";
    text += &table(
        &["user", "address", "mail would", "why"],
        decided.rows.iter().map(|row| {
            let fate = if row.pauses { "wait" } else { "be refused" };
            let why = if row.why.is_empty() { row.reply.clone() } else { row.why.clone() };
            vec![row.user.clone(), row.address.clone(), fate.to_owned(), why]
        }),
    );
    let mut commands: Vec<&str> = decided.rows.iter().map(|row| row.command.as_str()).collect();
    commands.retain(|command| !command.is_empty());
    commands.sort_unstable();
    commands.dedup();
    text += "\nthis mends it\n";
    for command in commands {
        text += &format!("  {command}\n");
    }
    text
}
