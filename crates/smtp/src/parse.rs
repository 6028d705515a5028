//! The grammar of commands (RFC 5321 §4.1).

mod params;
mod path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::command::{Command, ForwardPath, InitialResponse, ReversePath};
use crate::error::PeerError;

/// How strictly commands are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strictness {
    /// Takes spaces after the colon of `MAIL FROM:` and `RCPT TO:`, and paths without angle brackets, as old devices
    /// write them. Off by default.
    pub tolerant: bool,
}

/// Parses a command line without its CRLF, strictly.
pub fn parse_command(line: &[u8]) -> Result<Command, PeerError> {
    parse_command_with(line, Strictness::default())
}

/// Parses a command line without its CRLF. White space at its end is ignored (RFC 5321 §4.1.1).
pub fn parse_command_with(line: &[u8], strictness: Strictness) -> Result<Command, PeerError> {
    let line = text(line)?.trim_end_matches([' ', '\t']);
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    if verb.is_empty() || !verb.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(PeerError::NoVerb);
    }
    let verb = verb.to_ascii_uppercase();
    match verb.as_str() {
        "EHLO" => hello(rest).map(Command::Ehlo),
        "HELO" => hello(rest).map(Command::Helo),
        "LHLO" => hello(rest).map(Command::Lhlo),
        "STARTTLS" => bare(rest, Command::StartTls),
        "X-ANONYMOUSTLS" => bare(rest, Command::XAnonymousTls),
        "AUTH" => auth(rest).map(|(mechanism, initial)| Command::Auth { mechanism, initial }),
        "X-EXPS" => auth(rest).map(|(mechanism, initial)| Command::XExps { mechanism, initial }),
        "MAIL" => mail(rest, strictness),
        "RCPT" => rcpt(rest, strictness),
        "DATA" => bare(rest, Command::Data),
        "BDAT" => bdat(rest),
        "RSET" => bare(rest, Command::Rset),
        "NOOP" => Ok(Command::Noop),
        "QUIT" => bare(rest, Command::Quit),
        "VRFY" => argument(rest).map(Command::Vrfy),
        "EXPN" => argument(rest).map(Command::Expn),
        "HELP" => Ok(Command::Help),
        "XEXCH50" => xexch50(rest),
        _ => Ok(Command::Unknown(verb)),
    }
}

/// A line of an authentication exchange (RFC 4954 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthResponse {
    /// `*`: the client gives up.
    Cancel,
    /// A response, base64 removed.
    Response(InitialResponse),
}

/// Parses a line that the client sends after a 334 challenge.
pub fn parse_auth_response(line: &[u8]) -> Result<AuthResponse, PeerError> {
    match line {
        b"*" => Ok(AuthResponse::Cancel),
        line => base64(line).map(AuthResponse::Response),
    }
}

/// UTF-8 without control characters but tabs. NUL, CR and LF are refused again, whoever cut the line.
fn text(line: &[u8]) -> Result<&str, PeerError> {
    for &byte in line {
        match byte {
            0 => return Err(PeerError::Nul),
            b'\r' => return Err(PeerError::BareCr),
            b'\n' => return Err(PeerError::BareLf),
            _ => {}
        }
    }
    let text = std::str::from_utf8(line).map_err(|_| PeerError::Characters)?;
    if text.chars().any(|c| c.is_control() && c != '\t') { Err(PeerError::Characters) } else { Ok(text) }
}

fn hello(name: &str) -> Result<String, PeerError> {
    let valid = (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
    if valid { Ok(name.to_owned()) } else { Err(PeerError::HelloName) }
}

fn bare(rest: &str, command: Command) -> Result<Command, PeerError> {
    if rest.is_empty() { Ok(command) } else { Err(PeerError::ArgumentUnexpected) }
}

fn argument(rest: &str) -> Result<String, PeerError> {
    let argument = rest.trim_matches([' ', '\t']);
    if argument.is_empty() { Err(PeerError::ArgumentMissing) } else { Ok(argument.to_owned()) }
}

/// A mechanism, and the initial response where there is one.
fn auth(rest: &str) -> Result<(String, Option<InitialResponse>), PeerError> {
    let mut words = rest.split(' ');
    let mechanism = words.next().unwrap_or_default();
    let valid = (1..=20).contains(&mechanism.len())
        && mechanism.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let initial = words.next();
    if !valid || words.next().is_some() || initial == Some("") {
        return Err(PeerError::AuthSyntax);
    }
    let initial = match initial {
        None => None,
        Some("=") => Some(InitialResponse::new(Vec::new())),
        Some(text) => Some(base64(text.as_bytes())?),
    };
    Ok((mechanism.to_ascii_uppercase(), initial))
}

fn base64(text: &[u8]) -> Result<InitialResponse, PeerError> {
    STANDARD.decode(text).map(InitialResponse::new).map_err(|_| PeerError::Base64)
}

fn mail(rest: &str, strictness: Strictness) -> Result<Command, PeerError> {
    let rest = keyword(rest, "FROM:").ok_or(PeerError::MailSyntax)?;
    let (path, rest) = path::split(rest, strictness)?;
    let from = if path.is_empty() { ReversePath::Null } else { ReversePath::Address(path::reverse(path)?) };
    let params = params::mail(rest)?;
    if !params.smtputf8 && from.address().is_some_and(|address| !address.is_ascii()) {
        return Err(PeerError::Utf8Unannounced);
    }
    Ok(Command::Mail { from, params })
}

fn rcpt(rest: &str, strictness: Strictness) -> Result<Command, PeerError> {
    let rest = keyword(rest, "TO:").ok_or(PeerError::RcptSyntax)?;
    let (path, rest) = path::split(rest, strictness)?;
    let to = if path.eq_ignore_ascii_case("postmaster") {
        ForwardPath::Postmaster
    } else {
        ForwardPath::Address(path::forward(path)?)
    };
    Ok(Command::Rcpt { to, params: params::rcpt(rest)? })
}

fn keyword<'a>(rest: &'a str, keyword: &str) -> Option<&'a str> {
    let start = rest.get(..keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then(|| &rest[keyword.len()..])
}

fn bdat(rest: &str) -> Result<Command, PeerError> {
    let (size, last) = match rest.split_once(' ') {
        None => (rest, false),
        Some((size, last)) if last.eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(PeerError::BdatSyntax),
    };
    Ok(Command::Bdat { size: params::decimal(size).ok_or(PeerError::BdatSyntax)?, last })
}

/// `XEXCH50 size version` (MS-OXSMTP); the version is not ours to judge.
fn xexch50(rest: &str) -> Result<Command, PeerError> {
    let mut words = rest.split(' ');
    let size = params::decimal(words.next().unwrap_or_default()).ok_or(PeerError::ParameterValue)?;
    let version = words.next().map(params::decimal);
    if version == Some(None) || words.next().is_some() {
        return Err(PeerError::ParameterValue);
    }
    Ok(Command::XExch50 { size })
}
