//! Security identifiers (MS-DTYP 2.4.2).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use crate::bytes::{ParseError, ParseFault};

/// Most sub-authorities that a SID may have (MS-DTYP 2.4.2.2).
pub const MAX_SUB_AUTHORITIES: usize = 15;
/// Longer SIDs (app containers, capabilities) are rare and live on the heap; this keeps a `Sid` at 32 bytes.
const INLINE: usize = 6;
/// Bytes of a SID that fills them.
pub(crate) const WIDE: usize = 8 + 4 * INLINE;

/// A security identifier: a 48-bit authority and up to 15 32-bit sub-authorities, printed as `S-1-5-21-…`.
///
/// Equality, order and hash are those of (authority, sub-authorities). Up to 6 sub-authorities are held inline, so that
/// every account and group SID is a plain 32-byte value.
#[derive(Clone)]
pub struct Sid(Repr);

#[derive(Clone)]
enum Repr {
    Inline { count: u8, authority: [u8; 6], subs: [u32; INLINE] },
    Shared { authority: [u8; 6], subs: Arc<[u32]> },
}

impl Sid {
    /// A SID with at most 6 sub-authorities; meant for constants. Use [`Sid::from_parts`] for what comes from outside.
    ///
    /// # Panics
    /// With more than 6 sub-authorities or an authority of more than 48 bits (in a constant: does not compile).
    pub const fn new(authority: u64, sub_authorities: &[u32]) -> Sid {
        assert!(sub_authorities.len() <= INLINE, "Sid::new takes at most 6 sub-authorities");
        assert!(authority >> 48 == 0, "the authority of a SID has 48 bits");
        Sid(Self::inline(authority, sub_authorities))
    }

    const fn inline(authority: u64, sub_authorities: &[u32]) -> Repr {
        let a = authority.to_be_bytes();
        let mut subs = [0; INLINE];
        let mut i = 0;
        while i < sub_authorities.len() {
            subs[i] = sub_authorities[i];
            i += 1;
        }
        Repr::Inline { count: sub_authorities.len() as u8, authority: [a[2], a[3], a[4], a[5], a[6], a[7]], subs }
    }

    /// A SID from its parts; `None` with more than 15 sub-authorities or an authority of more than 48 bits.
    pub fn from_parts(authority: u64, sub_authorities: &[u32]) -> Option<Sid> {
        if authority >> 48 != 0 || sub_authorities.len() > MAX_SUB_AUTHORITIES {
            return None;
        }
        Some(Sid(match sub_authorities.len() {
            0..=INLINE => Self::inline(authority, sub_authorities),
            _ => {
                let a = authority.to_be_bytes();
                Repr::Shared { authority: [a[2], a[3], a[4], a[5], a[6], a[7]], subs: sub_authorities.into() }
            }
        }))
    }

    /// Reads a SID from the start of `bytes` (revision, count, authority big-endian, sub-authorities little-endian) and
    /// returns it with its length in bytes. What follows is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<(Sid, usize), ParseError> {
        let mut sid = Sid::new(0, &[]);
        let length = sid.read(bytes)?;
        Ok((sid, length))
    }

    /// Reads in place: a value that is built and then moved costs more than the reading.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<usize, ParseError> {
        let Some(&[revision, count, a0, a1, a2, a3, a4, a5]) = bytes.first_chunk::<8>() else {
            return Err(ParseError::new(bytes.len(), ParseFault::SidTruncated));
        };
        if revision != 1 {
            return Err(ParseError::new(0, ParseFault::SidRevision(revision)));
        }
        if usize::from(count) > MAX_SUB_AUTHORITIES {
            return Err(ParseError::new(1, ParseFault::SidCount(count)));
        }
        let length = 8 + 4 * usize::from(count);
        let whole = bytes.get(..length).ok_or(ParseError::new(bytes.len(), ParseFault::SidTruncated))?;
        if usize::from(count) <= INLINE {
            let mut wide = [0; WIDE];
            wide[..length].copy_from_slice(whole);
            self.read_wide(&wide);
            return Ok(length);
        }
        let subs = whole[8..].as_chunks::<4>().0.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect();
        self.0 = Repr::Shared { authority: [a0, a1, a2, a3, a4, a5], subs };
        Ok(length)
    }

    /// Reads a SID for which [`is_wide`] holds, whatever the bytes behind it are: no loop whose length nobody can
    /// foresee, but all slots, and those beyond the count cleared.
    #[inline(always)]
    pub(crate) fn read_wide(&mut self, bytes: &[u8; WIDE]) {
        let &[_, count, a0, a1, a2, a3, a4, a5, ref words @ ..] = bytes;
        let (words, _) = words.as_chunks::<4>();
        let kept = &KEPT[usize::from(count) % KEPT.len()];
        let subs = std::array::from_fn(|i| u32::from_le_bytes(words[i]) & kept[i]);
        self.0 = Repr::Inline { count, authority: [a0, a1, a2, a3, a4, a5], subs };
    }

    /// The wire form: 8 bytes and 4 for each sub-authority.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.byte_len());
        self.write_to(&mut out);
        out
    }

    /// Appends the wire form.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.push(1);
        out.push(self.sub_authorities().len() as u8);
        out.extend_from_slice(self.authority_bytes());
        for sub in self.sub_authorities() {
            out.extend_from_slice(&sub.to_le_bytes());
        }
    }

    /// Length of the wire form in bytes.
    pub fn byte_len(&self) -> usize {
        8 + 4 * self.sub_authorities().len()
    }

    /// The identifier authority, 48 bits (5 is NT AUTHORITY).
    pub fn authority(&self) -> u64 {
        let [a, b, c, d, e, f] = *self.authority_bytes();
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The sub-authorities, 0 to 15 of them.
    pub fn sub_authorities(&self) -> &[u32] {
        match &self.0 {
            Repr::Inline { count, subs, .. } => &subs[..usize::from(*count).min(INLINE)],
            Repr::Shared { subs, .. } => subs,
        }
    }

    /// The relative identifier: the last sub-authority.
    pub fn rid(&self) -> Option<u32> {
        self.sub_authorities().last().copied()
    }

    /// All but the last sub-authority: the domain of an account's SID. `None` when there is no sub-authority.
    pub fn domain(&self) -> Option<Sid> {
        let (_, domain) = self.sub_authorities().split_last()?;
        Sid::from_parts(self.authority(), domain)
    }

    /// This (domain) SID with one more sub-authority; `None` when it already has 15.
    pub fn with_rid(&self, rid: u32) -> Option<Sid> {
        let mut subs = self.sub_authorities().to_vec();
        subs.push(rid);
        Sid::from_parts(self.authority(), &subs)
    }

    /// Whether this is the SID of an account or group of a domain: `S-1-5-21-x-y-z-rid`.
    pub fn is_domain_relative(&self) -> bool {
        self.authority() == 5 && matches!(self.sub_authorities(), [21, _, _, _, _])
    }

    fn authority_bytes(&self) -> &[u8; 6] {
        match &self.0 {
            Repr::Inline { authority, .. } | Repr::Shared { authority, .. } => authority,
        }
    }
}

/// Whether bytes begin with the SID of a revision and a count that are held inline.
#[inline(always)]
pub(crate) fn is_wide(bytes: &[u8; WIDE]) -> bool {
    (bytes[0] == 1) & (usize::from(bytes[1]) <= INLINE)
}

/// By count, the slots of the sub-authorities that are there.
static KEPT: [[u32; INLINE]; 8] = {
    let mut kept = [[0; INLINE]; 8];
    let mut count = 0;
    while count < kept.len() {
        let mut slot = 0;
        while slot < INLINE && slot < count {
            kept[count][slot] = u32::MAX;
            slot += 1;
        }
        count += 1;
    }
    kept
};

impl PartialEq for Sid {
    fn eq(&self, other: &Sid) -> bool {
        match (&self.0, &other.0) {
            // Unused slots are zero, so that whole arrays compare without a loop.
            (Repr::Inline { count: a, authority: b, subs: c }, Repr::Inline { count: d, authority: e, subs: f }) => {
                c == f && a == d && b == e
            }
            (Repr::Shared { authority: a, subs: b }, Repr::Shared { authority: c, subs: d }) => a == c && b == d,
            _ => false,
        }
    }
}

impl Eq for Sid {}

impl Hash for Sid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.authority_bytes().hash(state);
        self.sub_authorities().hash(state);
    }
}

impl Ord for Sid {
    fn cmp(&self, other: &Sid) -> Ordering {
        (self.authority_bytes(), self.sub_authorities()).cmp(&(other.authority_bytes(), other.sub_authorities()))
    }
}

impl PartialOrd for Sid {
    fn partial_cmp(&self, other: &Sid) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Sid {
    /// `S-1-5-32-544`; an authority of 2^32 or more is written in hexadecimal (MS-DTYP 2.4.2.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.authority() {
            a @ 0..=0xFFFF_FFFF => write!(f, "S-1-{a}")?,
            a => write!(f, "S-1-{a:#x}")?,
        }
        self.sub_authorities().iter().try_for_each(|sub| write!(f, "-{sub}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a SID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SidError {
    /// It does not begin with `S-1-`.
    #[error("a SID begins with S-1-")]
    Prefix,
    /// A part is not a decimal or 0x-prefixed hexadecimal number of its range.
    #[error("part {0} of the SID is not a number in range")]
    Number(usize),
    /// More than 15 sub-authorities.
    #[error("a SID has at most 15 sub-authorities")]
    TooLong,
}

impl FromStr for Sid {
    type Err = SidError;

    /// Reads `S-1-5-32-544`. Numbers may be hexadecimal with `0x`; at least one sub-authority is needed.
    fn from_str(text: &str) -> Result<Sid, SidError> {
        parse(text, false)
    }
}

/// Reads a SID as Windows does: numbers that are too large become the largest, and `S-0x1-` makes all of them
/// hexadecimal. Also without sub-authorities, which bytes allow.
pub(crate) fn parse_lenient(text: &str) -> Result<Sid, SidError> {
    parse(text, true)
}

fn parse(text: &str, lenient: bool) -> Result<Sid, SidError> {
    let rest = text.strip_prefix("S-").or_else(|| text.strip_prefix("s-")).ok_or(SidError::Prefix)?;
    let mut parts = rest.split('-');
    let revision = parts.next().unwrap_or_default();
    let hexadecimal = lenient && matches!(revision, "0x1" | "0X1");
    if !hexadecimal && (revision.trim_start_matches('0') != "1" || !revision.is_ascii()) {
        return Err(SidError::Prefix);
    }
    let number = |part: &str| match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        Some(digits) => parse_number(digits, 16),
        None => parse_number(part, if hexadecimal { 16 } else { 10 }),
    };
    let authority = parts.next().and_then(number).filter(|n| n >> 48 == 0).ok_or(SidError::Number(3))?;
    let mut subs = Vec::with_capacity(5);
    for (index, part) in parts.enumerate() {
        let n = number(part).ok_or(SidError::Number(index + 4))?;
        if subs.len() == MAX_SUB_AUTHORITIES {
            return Err(SidError::TooLong);
        }
        match u32::try_from(n) {
            Ok(n) => subs.push(n),
            Err(_) if lenient => subs.push(u32::MAX),
            Err(_) => return Err(SidError::Number(index + 4)),
        }
    }
    if subs.is_empty() && !lenient {
        return Err(SidError::Number(4));
    }
    Sid::from_parts(authority, &subs).ok_or(SidError::TooLong)
}

/// Digits without sign or space. More than 64 bits count as the largest number.
fn parse_number(digits: &str, radix: u32) -> Option<u64> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(u64::from_str_radix(digits, radix).unwrap_or(u64::MAX))
}
