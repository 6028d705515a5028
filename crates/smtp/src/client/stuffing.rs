//! Dot-stuffing, streaming.

/// Writes message data for the wire: dots at the start of a line doubled, CRLF line ends whatever came in, and the final
/// `<CRLF>.<CRLF>` (RFC 5321 §4.5.2). A bare CR or LF never reaches the next hop.
#[derive(Debug, Default)]
pub struct DotStuffer {
    started: bool,
}

impl DotStuffer {
    /// A writer at the start of data.
    pub fn new() -> DotStuffer {
        DotStuffer::default()
    }

    /// Gives `input`, stuffed, to `sink` in pieces.
    pub fn push(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) {
        let _ = (input, sink, self.started);
        todo!()
    }

    /// Ends the last line where it has no end, and the data.
    pub fn finish(self, sink: &mut dyn FnMut(&[u8])) {
        let _ = sink;
        todo!()
    }
}
