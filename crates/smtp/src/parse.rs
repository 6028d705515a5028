//! The grammar of commands (RFC 5321 §4.1).

use crate::command::{Command, InitialResponse};
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

/// Parses a command line without its CRLF.
pub fn parse_command_with(line: &[u8], strictness: Strictness) -> Result<Command, PeerError> {
    let _ = (line, strictness);
    todo!()
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
    let _ = line;
    todo!()
}
