//! Claims: named, typed sets of values (MS-DTYP 2.4.10.1).

use crate::Sid;

/// A claim about a user, a device or an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Its name; compared without regard to case.
    pub name: String,
    /// Flags, kept as read; [`Claim::CASE_SENSITIVE`] matters here.
    pub flags: u32,
    /// Its values.
    pub values: ClaimValues,
}

/// The values of a claim, all of one type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClaimValues {
    /// Signed integers (SDDL `TI`).
    Integers(Vec<i64>),
    /// Unsigned integers (`TU`).
    Unsigned(Vec<u64>),
    /// Strings (`TS`).
    Strings(Vec<String>),
    /// SIDs (`TD`).
    Sids(Vec<Sid>),
    /// Truth values, 0 and 1 (`TB`).
    Booleans(Vec<u64>),
    /// Octets (`TX`).
    Octets(Vec<Vec<u8>>),
}

/// Why bytes are not a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// An offset or a length reaches beyond the end.
    #[error("the claim is cut off at byte {0}")]
    Truncated(usize),
    /// Not UTF-16 that ends with a zero.
    #[error("the text at byte {0} of the claim is not UTF-16")]
    Text(usize),
    /// No such type of value.
    #[error("unknown type {0} of a claim's values")]
    Type(u16),
    /// A SID value is malformed.
    #[error("the SID at byte {0} of the claim is malformed")]
    Sid(usize),
}

impl Claim {
    /// Flag: string values are compared exactly (`FCI` not folded).
    pub const CASE_SENSITIVE: u32 = 0x2;

    /// Reads CLAIM_SECURITY_ATTRIBUTE_RELATIVE_V1, the data of a RESOURCE_ATTRIBUTE ACE.
    pub fn parse(data: &[u8]) -> Result<Claim, ClaimError> {
        let name = text_at(data, u32_at(data, 0)? as usize)?;
        let kind = u32_at(data, 4)? as u16;
        let flags = u32_at(data, 8)?;
        let count = u32_at(data, 12)? as usize;
        // Each value needs an offset of 4 bytes, so that the count is bounded by the data.
        let table = count.checked_mul(4).and_then(|size| data.get(16..16 + size));
        let (table, _) = table.ok_or(ClaimError::Truncated(12))?.as_chunks::<4>();
        let offsets = table.iter().map(|offset| u32::from_le_bytes(*offset) as usize);
        let values = match kind {
            1 => ClaimValues::Integers(offsets.map(|at| Ok(u64_at(data, at)? as i64)).collect::<Result<_, _>>()?),
            2 => ClaimValues::Unsigned(offsets.map(|at| u64_at(data, at)).collect::<Result<_, _>>()?),
            3 => ClaimValues::Strings(offsets.map(|at| text_at(data, at)).collect::<Result<_, _>>()?),
            5 => ClaimValues::Sids(offsets.map(|at| sid_at(data, at)).collect::<Result<_, _>>()?),
            6 => ClaimValues::Booleans(offsets.map(|at| u64_at(data, at)).collect::<Result<_, _>>()?),
            16 => ClaimValues::Octets(
                offsets.map(|at| Ok(octets_at(data, at)?.to_vec())).collect::<Result<_, ClaimError>>()?,
            ),
            other => return Err(ClaimError::Type(other)),
        };
        Ok(Claim { name, flags, values })
    }

    /// Writes it as Windows does: offsets, name, values in order without alignment; zeros up to a multiple of four.
    pub fn to_bytes(&self) -> Vec<u8> {
        let values = self.values.encoded();
        let mut out = vec![0; 16 + 4 * values.len()];
        let name_offset = out.len() as u32;
        out[0..4].copy_from_slice(&name_offset.to_le_bytes());
        out[4..6].copy_from_slice(&self.values.kind().to_le_bytes());
        out[8..12].copy_from_slice(&self.flags.to_le_bytes());
        out[12..16].copy_from_slice(&(values.len() as u32).to_le_bytes());
        out.extend_from_slice(&encode_text(&self.name));
        for (index, value) in values.iter().enumerate() {
            let here = (out.len() as u32).to_le_bytes();
            out[16 + 4 * index..20 + 4 * index].copy_from_slice(&here);
            out.extend_from_slice(value);
        }
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }
}

impl ClaimValues {
    /// The number that the bytes hold for this type.
    pub const fn kind(&self) -> u16 {
        match self {
            ClaimValues::Integers(_) => 1,
            ClaimValues::Unsigned(_) => 2,
            ClaimValues::Strings(_) => 3,
            ClaimValues::Sids(_) => 5,
            ClaimValues::Booleans(_) => 6,
            ClaimValues::Octets(_) => 16,
        }
    }

    fn encoded(&self) -> Vec<Vec<u8>> {
        let counted = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes(), bytes].concat();
        match self {
            ClaimValues::Integers(values) => values.iter().map(|v| v.to_le_bytes().to_vec()).collect(),
            ClaimValues::Unsigned(values) | ClaimValues::Booleans(values) => {
                values.iter().map(|v| v.to_le_bytes().to_vec()).collect()
            }
            ClaimValues::Strings(values) => values.iter().map(|v| encode_text(v)).collect(),
            ClaimValues::Sids(values) => values.iter().map(|v| counted(&v.to_bytes())).collect(),
            ClaimValues::Octets(values) => values.iter().map(|v| counted(v)).collect(),
        }
    }
}

fn encode_text(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn u32_at(data: &[u8], at: usize) -> Result<u32, ClaimError> {
    let bytes = data.get(at..).and_then(|rest| rest.first_chunk::<4>());
    bytes.map(|b| u32::from_le_bytes(*b)).ok_or(ClaimError::Truncated(at))
}

fn u64_at(data: &[u8], at: usize) -> Result<u64, ClaimError> {
    let bytes = data.get(at..).and_then(|rest| rest.first_chunk::<8>());
    bytes.map(|b| u64::from_le_bytes(*b)).ok_or(ClaimError::Truncated(at))
}

fn octets_at(data: &[u8], at: usize) -> Result<&[u8], ClaimError> {
    let length = u32_at(data, at)? as usize;
    let end = (at + 4).checked_add(length);
    end.and_then(|end| data.get(at + 4..end)).ok_or(ClaimError::Truncated(at))
}

fn sid_at(data: &[u8], at: usize) -> Result<Sid, ClaimError> {
    Sid::parse(octets_at(data, at)?).map(|(sid, _)| sid).map_err(|_| ClaimError::Sid(at))
}

fn text_at(data: &[u8], at: usize) -> Result<String, ClaimError> {
    let (units, _) = data.get(at..).ok_or(ClaimError::Truncated(at))?.as_chunks::<2>();
    let end = units.iter().position(|unit| *unit == [0, 0]).ok_or(ClaimError::Text(at))?;
    let units: Vec<u16> = units[..end].iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    String::from_utf16(&units).map_err(|_| ClaimError::Text(at))
}
