//! Replies (RFC 5321 §4.2).

use std::fmt;

/// A reply: three digits, an enhanced status code (RFC 2034), and lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The reply code, 200 to 599.
    pub code: u16,
    /// The enhanced status code; it is written on every line.
    pub enhanced: Option<(u8, u16, u16)>,
    /// Lines of text, at least one.
    pub lines: Vec<String>,
}

impl Reply {
    /// A reply of one line, or of several where `text` has line feeds. Other control characters become spaces.
    pub fn new(code: u16, enhanced: impl Into<Option<(u8, u16, u16)>>, text: impl AsRef<str>) -> Reply {
        let _ = (code, enhanced.into(), text.as_ref());
        todo!()
    }

    /// Whether the code is 2yz.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// Whether the code is 3yz.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// Whether the code is 4yz.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// Whether the code is 5yz.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Appends the reply as it goes over the wire.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let _ = out;
        todo!()
    }

    /// The reply as it goes over the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_to(&mut out);
        out
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.to_bytes();
        f.write_str(String::from_utf8_lossy(&bytes).trim_end())
    }
}
