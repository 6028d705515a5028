//! GUIDs in wire order (MS-DTYP 2.3.4).

use std::fmt;
use std::str::FromStr;

/// A GUID as it lies in an ACE: the first three fields little-endian, the last eight bytes as printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Guid(pub [u8; 16]);

/// A [`Guid`] constant from its text: `guid!("ab721a54-1e2f-11d0-9819-00aa0040529b")`. A bad text does not compile.
#[macro_export]
macro_rules! guid {
    ($text:literal) => {
        const { $crate::Guid::literal($text) }
    };
}

impl Guid {
    /// From the number whose 32 hexadecimal digits are those of the text form.
    pub const fn from_u128(n: u128) -> Guid {
        let b = n.to_be_bytes();
        Guid([b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]])
    }

    /// The number whose 32 hexadecimal digits are those of the text form.
    pub const fn to_u128(self) -> u128 {
        let Guid(w) = self;
        u128::from_be_bytes([
            w[3], w[2], w[1], w[0], w[5], w[4], w[7], w[6], w[8], w[9], w[10], w[11], w[12], w[13], w[14], w[15],
        ])
    }

    /// A constant from its text form; see [`guid!`](crate::guid).
    ///
    /// # Panics
    /// When the text is not a GUID (in a constant: does not compile).
    pub const fn literal(text: &str) -> Guid {
        match Guid::from_text(text) {
            Some(guid) => guid,
            None => panic!("not a GUID"),
        }
    }

    /// Exactly 8-4-4-4-12 hexadecimal digits, either case, without braces.
    const fn from_text(text: &str) -> Option<Guid> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return None;
        }
        let mut n = 0u128;
        let mut i = 0;
        while i < 36 {
            let digit = match text[i] {
                b'-' if matches!(i, 8 | 13 | 18 | 23) => {
                    i += 1;
                    continue;
                }
                _ if matches!(i, 8 | 13 | 18 | 23) => return None,
                c @ b'0'..=b'9' => c - b'0',
                c @ b'a'..=b'f' => c - b'a' + 10,
                c @ b'A'..=b'F' => c - b'A' + 10,
                _ => return None,
            };
            n = n << 4 | digit as u128;
            i += 1;
        }
        Some(Guid::from_u128(n))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.to_u128();
        let (a, b, c) = ((n >> 96) as u32, (n >> 80) as u16, (n >> 64) as u16);
        let (d, e) = ((n >> 48) as u16, n as u64 & 0xFFFF_FFFF_FFFF);
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 8-4-4-4-12 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a GUID is written as 8-4-4-4-12 hexadecimal digits")]
pub struct GuidError;

impl FromStr for Guid {
    type Err = GuidError;

    /// Reads 8-4-4-4-12 hexadecimal digits, in braces or not.
    fn from_str(text: &str) -> Result<Guid, GuidError> {
        let bare = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        Guid::from_text(bare).ok_or(GuidError)
    }
}
