//! Writers for commands, each appending one line with its CRLF.

/// `EHLO name`.
pub fn ehlo(out: &mut Vec<u8>, name: &str) {
    line(out, "EHLO", name);
}

/// `LHLO name` (RFC 2033).
pub fn lhlo(out: &mut Vec<u8>, name: &str) {
    line(out, "LHLO", name);
}

/// `HELO name`.
pub fn helo(out: &mut Vec<u8>, name: &str) {
    line(out, "HELO", name);
}

/// `STARTTLS`.
pub fn starttls(out: &mut Vec<u8>) {
    out.extend_from_slice(b"STARTTLS\r\n");
}

/// `RSET`.
pub fn rset(out: &mut Vec<u8>) {
    out.extend_from_slice(b"RSET\r\n");
}

/// `QUIT`.
pub fn quit(out: &mut Vec<u8>) {
    out.extend_from_slice(b"QUIT\r\n");
}

/// `AUTH PLAIN initial-response` (RFC 4616). `authorize` is the identity to act as, empty for the user's own.
pub fn auth_plain(out: &mut Vec<u8>, authorize: &str, user: &str, password: &[u8]) {
    let _ = (out, authorize, user, password);
    todo!()
}

fn line(out: &mut Vec<u8>, verb: &str, argument: &str) {
    let _ = (out, verb, argument);
    todo!()
}
