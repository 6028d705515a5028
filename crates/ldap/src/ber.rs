//! The part of BER that LDAP needs (RFC 4511 §5.1): definite lengths, tags of one octet.

use thiserror::Error;

/// Octets that are not what LDAP says they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the answer is not LDAP: {0}")]
pub struct Malformed(pub &'static str);

/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// OCTET STRING.
pub const OCTETS: u8 = 0x04;
/// ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// SEQUENCE.
pub const SEQUENCE: u8 = 0x30;
/// SET.
pub const SET: u8 = 0x31;

/// Writes values one after the other.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// A value of octets.
    pub fn octets(&mut self, tag: u8, content: &[u8]) -> &mut Writer {
        self.0.push(tag);
        match content.len() {
            short @ 0..0x80 => self.0.push(short as u8),
            long => {
                let octets = (long as u64).to_be_bytes();
                let from = octets.iter().take_while(|octet| **octet == 0).count();
                self.0.push(0x80 | (octets.len() - from) as u8);
                self.0.extend_from_slice(&octets[from..]);
            }
        }
        self.0.extend_from_slice(content);
        self
    }

    /// A whole number.
    pub fn integer(&mut self, tag: u8, value: i64) -> &mut Writer {
        let octets = value.to_be_bytes();
        // As few octets as keep the sign.
        let mut from = 0;
        while from < 7
            && (octets[from] == 0 && octets[from + 1] < 0x80 || octets[from] == 0xff && octets[from + 1] >= 0x80)
        {
            from += 1;
        }
        self.octets(tag, &octets[from..])
    }

    /// TRUE or FALSE.
    pub fn boolean(&mut self, value: bool) -> &mut Writer {
        self.octets(BOOLEAN, &[if value { 0xff } else { 0 }])
    }

    /// A value that is made of values.
    pub fn nested(&mut self, tag: u8, fill: impl FnOnce(&mut Writer)) -> &mut Writer {
        let mut inner = Writer::default();
        fill(&mut inner);
        self.octets(tag, &inner.0)
    }
}

/// Reads values one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The values in these octets.
    pub fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader(octets)
    }

    /// Whether there are no more.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next value: its tag and its content.
    ///
    /// # Errors
    /// The octets end within it, or are no BER of LDAP.
    pub fn value(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let (tag, head, length) = header(self.0)?.ok_or(Malformed("a value ends too early"))?;
        let end = head.checked_add(length).filter(|end| *end <= self.0.len());
        let end = end.ok_or(Malformed("a value is longer than what it is in"))?;
        let content = &self.0[head..end];
        self.0 = &self.0[end..];
        Ok((tag, content))
    }

    /// The tag of the next value; none at the end.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next value, which has this tag.
    ///
    /// # Errors
    /// It has another one, or [`Reader::value`].
    pub fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.value()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(Malformed("a value of another kind")),
        }
    }

    /// The values in the next value.
    ///
    /// # Errors
    /// As [`Reader::expect`].
    pub fn enter(&mut self, tag: u8) -> Result<Reader<'a>, Malformed> {
        self.expect(tag).map(Reader)
    }

    /// The next value as a number.
    ///
    /// # Errors
    /// It is none, or one of more than 64 bits.
    pub fn integer(&mut self, tag: u8) -> Result<i64, Malformed> {
        let content = self.expect(tag)?;
        let first = *content.first().ok_or(Malformed("a number without digits"))?;
        if content.len() > 8 {
            return Err(Malformed("a number of more than 64 bits"));
        }
        let sign = if first >= 0x80 { -1 } else { 0 };
        Ok(content.iter().fold(sign, |value: i64, octet| value << 8 | i64::from(*octet)))
    }
}

/// Tag, octets of the header and octets of the content of the value that begins here; none: there are too few octets
/// to say.
///
/// # Errors
/// The octets are no BER of LDAP.
pub fn header(octets: &[u8]) -> Result<Option<(u8, usize, usize)>, Malformed> {
    let [tag, first, ..] = octets else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(Malformed("a tag of several octets"));
    }
    if *first < 0x80 {
        return Ok(Some((*tag, 2, usize::from(*first))));
    }
    let count = usize::from(first & 0x7f);
    if !(1..=4).contains(&count) {
        return Err(Malformed("a length without end"));
    }
    let Some(digits) = octets.get(2..2 + count) else { return Ok(None) };
    let length = digits.iter().fold(0usize, |length, octet| length << 8 | usize::from(*octet));
    Ok(Some((*tag, 2 + count, length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_read_as_they_were_written(value: i64) {
            let mut writer = Writer::default();
            writer.integer(INTEGER, value);
            prop_assert_eq!(Reader::new(&writer.into_bytes()).integer(INTEGER), Ok(value));
        }

        #[test]
        fn octets_read_as_they_were_written(value in prop::collection::vec(any::<u8>(), 0..70_000)) {
            let mut writer = Writer::default();
            writer.octets(OCTETS, &value);
            let written = writer.into_bytes();
            prop_assert_eq!(Reader::new(&written).expect(OCTETS), Ok(&value[..]));
        }

        #[test]
        fn any_octets_are_values_or_none(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&octets);
            while !reader.is_empty() && reader.value().is_ok() {}
        }
    }
}
