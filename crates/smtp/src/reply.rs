//! Replies (RFC 5321 §4.2).

use std::fmt;

/// A reply: three digits, an enhanced status code (RFC 2034), and lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The reply code, 200 to 599.
    pub code: u16,
    /// The enhanced status code; it is written on every line.
    pub enhanced: Option<(u8, u16, u16)>,
    /// Lines of text, at least one; control characters in them are written as spaces.
    pub lines: Vec<String>,
}

impl Reply {
    /// A reply of one line, or of several where `text` has line feeds.
    pub fn new(code: u16, enhanced: impl Into<Option<(u8, u16, u16)>>, text: impl AsRef<str>) -> Reply {
        Reply { code, enhanced: enhanced.into(), lines: text.as_ref().split('\n').map(str::to_owned).collect() }
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

    /// The text on one line, without the codes.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// Appends the reply as it goes over the wire.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.lines.iter().map(String::as_str).peekable();
        let mut next = Some(lines.next().unwrap_or_default());
        while let Some(line) = next {
            next = lines.next();
            out.extend_from_slice(self.code.to_string().as_bytes());
            out.push(if next.is_some() { b'-' } else { b' ' });
            if let Some((class, subject, detail)) = self.enhanced {
                out.extend_from_slice(format!("{class}.{subject}.{detail} ").as_bytes());
            }
            out.extend(line.bytes().map(|b| if b.is_ascii_control() { b' ' } else { b }));
            out.extend_from_slice(b"\r\n");
        }
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
        let text = String::from_utf8_lossy(&self.to_bytes()).replace("\r\n", "\n");
        f.write_str(text.trim_end())
    }
}
