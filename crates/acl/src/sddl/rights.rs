//! Access rights in SDDL: letters or numbers.

use std::fmt::Write;

use super::SddlError;
use super::cursor::Cursor;
use crate::AccessMask;

/// Rights of one bit, in the order of output.
const BITS: [(&str, u32); 17] = [
    ("CC", 0x1),
    ("DC", 0x2),
    ("LC", 0x4),
    ("SW", 0x8),
    ("RP", 0x10),
    ("WP", 0x20),
    ("DT", 0x40),
    ("LO", 0x80),
    ("CR", 0x100),
    ("SD", 0x1_0000),
    ("RC", 0x2_0000),
    ("WD", 0x4_0000),
    ("WO", 0x8_0000),
    ("GA", 0x1000_0000),
    ("GX", 0x2000_0000),
    ("GW", 0x4000_0000),
    ("GR", 0x8000_0000),
];

/// Names for exactly these masks: rights on files and registry keys.
const EXACT: [(&str, u32); 8] = [
    ("FA", 0x1F_01FF),
    ("FR", 0x12_0089),
    ("FW", 0x12_0116),
    ("FX", 0x12_00A0),
    ("KA", 0xF_003F),
    ("KR", 0x2_0019),
    ("KW", 0x2_0006),
    ("KX", 0x2_0019),
];

/// Policy bits of mandatory labels.
const LABEL: [(&str, u32); 3] = [("NW", 0x1), ("NR", 0x2), ("NX", 0x4)];

impl Cursor<'_> {
    /// The rights field of an ACE, which began at `start`: letters, spaces allowed before each pair, or a number.
    pub(super) fn rights(&self, text: &str, start: usize) -> Result<AccessMask, SddlError> {
        let fault =
            |at: usize, length: usize, message: &str| SddlError { offset: start + at, length, message: message.into() };
        let upper = text.to_ascii_uppercase();
        let letters = if self.lenient() { upper.trim_end_matches(' ') } else { text };
        let dense = letters.trim_start_matches(' ');
        if dense.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let number = if self.lenient() { lenient_number(dense) } else { number(dense) };
            return number.map(AccessMask).ok_or_else(|| {
                fault(0, text.len(), "access rights as a number: decimal, 0x… or 0… with at most 32 bits")
            });
        }
        let mut mask = 0;
        let mut at = 0;
        while at < letters.len() {
            let rest = &letters[at..];
            let pair = rest.trim_start_matches(' ');
            at += rest.len() - pair.len();
            let known = BITS.iter().chain(&EXACT).chain(&LABEL).find(|(name, _)| pair.starts_with(name));
            let (_, bits) = known.ok_or_else(|| {
                let length = pair.chars().take(2).map(char::len_utf8).sum();
                fault(at, length, "unknown access right")
            })?;
            mask |= bits;
            at += 2;
        }
        Ok(AccessMask(mask))
    }
}

/// A number as strtoul reads it, within 32 bits: decimal, hexadecimal with 0x, octal with 0.
pub(super) fn number(text: &str) -> Option<u32> {
    let (digits, radix) = radix(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

/// The same with a sign and saturation.
fn lenient_number(text: &str) -> Option<u32> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (digits, radix) = radix(text);
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Digits and radix of a number with C's prefixes.
pub(super) fn radix(text: &str) -> (&str, u32) {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    }
}

/// Writes a mask as Windows does: an exact name, else letters, else a number when a bit has no letters.
pub(super) fn write(out: &mut String, mask: AccessMask, is_label: bool) {
    if let Some((name, _)) = EXACT.iter().find(|(_, exact)| *exact == mask.0).filter(|_| !is_label) {
        out.push_str(name);
        return;
    }
    let bits: &[(&str, u32)] = if is_label { &LABEL } else { &BITS };
    let known = bits.iter().fold(0, |all, (_, bit)| all | bit);
    if mask.0 & !known != 0 {
        let _ = write!(out, "{mask}");
        return;
    }
    for (name, _) in bits.iter().filter(|(_, bit)| mask.0 & bit != 0) {
        out.push_str(name);
    }
}
