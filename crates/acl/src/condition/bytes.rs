//! Bytes of conditional programs (MS-DTYP 2.4.4.17.4 - 2.4.4.17.7).

use super::{Expression, Literal, Operator, Source, Token};
use crate::{ParseError, Sid};

/// Why bytes are not a conditional program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConditionError {
    /// It does not begin with `artx`.
    #[error("a conditional program begins with artx")]
    Signature,
    /// A token is cut off.
    #[error("the token at byte {0} is cut off")]
    Truncated(usize),
    /// No such token.
    #[error("unknown token {1:#04x} at byte {0}")]
    Token(usize, u8),
    /// Not UTF-16, or of odd length.
    #[error("the text at byte {0} is not UTF-16")]
    Text(usize),
    /// The sign or base of an integer is not 1 to 3.
    #[error("the integer at byte {0} has no valid sign or base")]
    Integer(usize),
    /// A set in a set, or something that is no literal.
    #[error("the set at byte {0} holds something else than literals")]
    Composite(usize),
    /// A SID is malformed.
    #[error("the SID at byte {0} is malformed")]
    Sid(usize),
}

pub(super) const SIGNATURE: &[u8; 4] = b"artx";

impl Expression {
    /// Reads the data of a callback ACE. Zeros after the program are padding.
    pub fn parse(data: &[u8]) -> Result<Expression, ConditionError> {
        let program = data.strip_prefix(SIGNATURE).ok_or(ConditionError::Signature)?;
        let mut reader = Reader { bytes: program, at: 0 };
        let mut tokens = Vec::new();
        while let Some(code) = reader.byte() {
            if code != 0 {
                tokens.push(reader.token(code)?);
            } else if reader.bytes[reader.at..].iter().any(|b| *b != 0) || reader.bytes.len() - reader.at > 2 {
                return Err(ConditionError::Token(reader.at + 3, 0));
            }
        }
        Ok(Expression { tokens })
    }

    /// The data of a callback ACE: signature, program, zeros up to a multiple of four bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        for token in &self.tokens {
            match token {
                Token::Literal(literal) => write_literal(literal, &mut out),
                Token::Operator(operator) => out.push(*operator as u8),
                Token::Attribute { source, name } => {
                    out.push(match source {
                        Source::Local => 0xF8,
                        Source::User => 0xF9,
                        Source::Resource => 0xFA,
                        Source::Device => 0xFB,
                    });
                    write_text(name, &mut out);
                }
            }
        }
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }
}

fn write_literal(literal: &Literal, out: &mut Vec<u8>) {
    match literal {
        Literal::Integer { value, width, sign, base } => {
            out.push(*width);
            out.extend_from_slice(&value.to_le_bytes());
            out.extend_from_slice(&[*sign, *base]);
        }
        Literal::String(text) => {
            out.push(0x10);
            write_text(text, out);
        }
        Literal::Octets(bytes) => {
            out.push(0x18);
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        Literal::Sid(sid) => {
            out.push(0x51);
            out.extend_from_slice(&(sid.byte_len() as u32).to_le_bytes());
            sid.write_to(out);
        }
        Literal::Composite(members) => {
            let mut body = Vec::new();
            members.iter().for_each(|member| write_literal(member, &mut body));
            out.push(0x50);
            out.extend_from_slice(&(body.len() as u32).to_le_bytes());
            out.extend_from_slice(&body);
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    out.extend_from_slice(&(units.len() as u32).to_le_bytes());
    out.extend_from_slice(&units);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ConditionError> {
        let end = self.at.checked_add(length);
        let bytes = end.and_then(|end| self.bytes.get(self.at..end));
        let bytes = bytes.ok_or(ConditionError::Truncated(self.at + SIGNATURE.len()))?;
        self.at += length;
        Ok(bytes)
    }

    /// What follows a 32-bit length.
    fn counted(&mut self) -> Result<&'a [u8], ConditionError> {
        let mut length = [0; 4];
        length.copy_from_slice(self.take(4)?);
        self.take(u32::from_le_bytes(length) as usize)
    }

    fn text(&mut self) -> Result<String, ConditionError> {
        let start = self.at + SIGNATURE.len();
        let bytes = self.counted()?;
        let (units, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(ConditionError::Text(start));
        }
        let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
        String::from_utf16(&units).map_err(|_| ConditionError::Text(start))
    }

    fn token(&mut self, code: u8) -> Result<Token, ConditionError> {
        let source = match code {
            0xF8 => Source::Local,
            0xF9 => Source::User,
            0xFA => Source::Resource,
            0xFB => Source::Device,
            _ => {
                return match Operator::ALL.into_iter().find(|operator| *operator as u8 == code) {
                    Some(operator) => Ok(Token::Operator(operator)),
                    None => self.literal(code, true).map(Token::Literal),
                };
            }
        };
        Ok(Token::Attribute { source, name: self.text()? })
    }

    fn literal(&mut self, code: u8, composite: bool) -> Result<Literal, ConditionError> {
        let start = self.at + SIGNATURE.len() - 1;
        match code {
            0x01..=0x04 => {
                let mut value = [0; 8];
                value.copy_from_slice(self.take(8)?);
                let &[sign @ 1..=3, base @ 1..=3] = self.take(2)? else {
                    return Err(ConditionError::Integer(start));
                };
                Ok(Literal::Integer { value: i64::from_le_bytes(value), width: code, sign, base })
            }
            0x10 => self.text().map(Literal::String),
            0x18 => Ok(Literal::Octets(self.counted()?.to_vec())),
            0x51 => {
                let bytes = self.counted()?;
                match Sid::parse(bytes) {
                    Ok((sid, length)) if length == bytes.len() => Ok(Literal::Sid(sid)),
                    Ok(_) | Err(ParseError { .. }) => Err(ConditionError::Sid(start)),
                }
            }
            0x50 if composite => {
                let base = self.at + 4;
                let body = self.counted()?;
                let mut reader = Reader { bytes: &self.bytes[..base + body.len()], at: base };
                let mut members = Vec::new();
                while let Some(code) = reader.byte() {
                    members.push(reader.literal(code, false)?);
                }
                Ok(Literal::Composite(members))
            }
            0x50 => Err(ConditionError::Composite(start)),
            _ => Err(ConditionError::Token(start, code)),
        }
    }
}
