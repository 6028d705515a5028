//! Message data: the end of data and dot-unstuffing (RFC 5321 §4.5.2), strictly.

/// Reads message data. Only `<CRLF>.<CRLF>` (or `.<CRLF>` at the very start) ends it. Holds no data.
#[derive(Debug)]
pub struct DataReader {
    fault: Option<DataFault>,
}

impl DataReader {
    /// A reader at the start of data.
    pub fn new() -> DataReader {
        DataReader { fault: None }
    }

    /// Takes data and gives it, dot-unstuffed and in pieces of `input`, to `sink`, the final CRLF included. After a fault
    /// nothing more goes to `sink`, but data is read to its end.
    pub fn push(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> DataProgress {
        let _ = (input, sink);
        todo!()
    }

    /// The first fault; the message is to be refused at the end of data.
    pub fn fault(&self) -> Option<DataFault> {
        self.fault
    }

    /// The length in bytes of the longest line so far, CRLF included.
    pub fn longest_line(&self) -> u64 {
        todo!()
    }
}

impl Default for DataReader {
    fn default() -> DataReader {
        DataReader::new()
    }
}

/// How far [`DataReader::push`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataProgress {
    /// How many bytes of the input were data; the rest are commands.
    pub consumed: usize,
    /// Whether the end of data was read.
    pub ended: bool,
}

/// Why message data is refused: `550 5.6.0` and the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataFault {
    /// A CR that no LF follows.
    #[error("the message has a bare carriage return (CR without LF)")]
    BareCr,
    /// A LF that no CR precedes.
    #[error("the message has a bare line feed (LF without CR)")]
    BareLf,
}
