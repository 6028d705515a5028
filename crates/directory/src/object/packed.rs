//! The attributes of an object that have no field, packed: number, count, lengths and octets of values.

use crate::Value;

/// Appends the values of an attribute.
pub(super) fn pack(out: &mut Vec<u8>, number: u16, values: &[Value]) {
    out.extend(number.to_le_bytes());
    push_length(out, values.len());
    for value in values {
        push_length(out, value.len());
        out.extend(value);
    }
}

/// Seven bits an octet, low ones first.
fn push_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let mut length = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
    None
}

/// Reads what [`pack`] wrote.
pub(super) struct Packed<'a> {
    bytes: &'a [u8],
    number: u16,
    left: usize,
}

impl<'a> Packed<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Packed<'a> {
        Packed { bytes, number: 0, left: 0 }
    }
}

impl<'a> Iterator for Packed<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        while self.left == 0 {
            let (number, rest) = self.bytes.split_first_chunk::<2>()?;
            self.bytes = rest;
            self.number = u16::from_le_bytes(*number);
            self.left = take_length(&mut self.bytes)?;
        }
        self.left -= 1;
        let length = take_length(&mut self.bytes)?;
        let (value, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some((self.number, value))
    }
}
