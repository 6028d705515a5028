//! Dot-stuffing, streaming.

use memchr::memchr2;

/// Writes message data for the wire: dots at the start of a line doubled, CRLF line ends whatever came in, and the final
/// `<CRLF>.<CRLF>` (RFC 5321 §4.5.2). A bare CR or LF never reaches the next hop: each becomes CRLF.
#[derive(Debug)]
pub struct DotStuffer {
    line_start: bool,
    /// A CR was read and is held back.
    cr: bool,
}

impl DotStuffer {
    /// A writer at the start of data.
    pub fn new() -> DotStuffer {
        DotStuffer { line_start: true, cr: false }
    }

    /// Gives `input`, stuffed, to `sink` in pieces, most of them pieces of `input`.
    pub fn push(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) {
        let mut position = 0;
        // Where what has not been given to the sink begins.
        let mut pending = 0;
        if self.cr && !input.is_empty() {
            self.end_line(sink);
            position = usize::from(input[0] == b'\n');
            pending = position;
        }
        while position < input.len() {
            if self.line_start && input[position] == b'.' {
                give(&input[pending..position], sink);
                sink(b".");
                pending = position;
            }
            self.line_start = false;
            let Some(length) = memchr2(b'\r', b'\n', &input[position..]) else { break };
            position += length;
            match (input[position], input.get(position + 1)) {
                (b'\r', Some(b'\n')) => {
                    position += 2;
                    self.line_start = true;
                }
                (byte, next) => {
                    give(&input[pending..position], sink);
                    position += 1;
                    pending = position;
                    self.cr = byte == b'\r' && next.is_none();
                    if !self.cr {
                        self.end_line(sink);
                    }
                }
            }
        }
        give(&input[pending..], sink);
    }

    /// Ends the last line where it has no end, and the data.
    pub fn finish(mut self, sink: &mut dyn FnMut(&[u8])) {
        if self.cr || !self.line_start {
            self.end_line(sink);
        }
        sink(b".\r\n");
    }

    fn end_line(&mut self, sink: &mut dyn FnMut(&[u8])) {
        self.cr = false;
        self.line_start = true;
        sink(b"\r\n");
    }
}

impl Default for DotStuffer {
    fn default() -> DotStuffer {
        DotStuffer::new()
    }
}

fn give(piece: &[u8], sink: &mut dyn FnMut(&[u8])) {
    if !piece.is_empty() {
        sink(piece);
    }
}
