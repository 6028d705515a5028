//! Self-relative bytes of descriptors (MS-DTYP 2.4.4 - 2.4.6).

use crate::{AccessMask, Ace, AceFlags, AceType, Acl, Coda, Control, Guid, SecurityDescriptor, Sid, sid, well_known};

/// Why bytes are not a SID, an ACL or a descriptor: where, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {fault}")]
pub struct ParseError {
    /// Offset in the input, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub fault: ParseFault,
}

impl ParseError {
    pub(crate) const fn new(offset: usize, fault: ParseFault) -> ParseError {
        ParseError { offset, fault }
    }

    /// The same, seen from an input that begins `base` bytes earlier.
    fn at(self, base: usize) -> ParseError {
        ParseError { offset: base + self.offset, ..self }
    }
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseFault {
    /// The bytes end within a SID.
    #[error("the SID is cut off")]
    SidTruncated,
    /// The revision of a SID is 1.
    #[error("SID revision {0} is not 1")]
    SidRevision(u8),
    /// A SID has at most 15 sub-authorities.
    #[error("{0} sub-authorities in a SID, at most 15 are allowed")]
    SidCount(u8),
    /// Fewer than the 20 bytes of the header.
    #[error("the header of a descriptor has 20 bytes, here are {0}")]
    HeaderTruncated(usize),
    /// The revision of a descriptor is 1.
    #[error("descriptor revision {0} is not 1")]
    Revision(u8),
    /// SELF_RELATIVE is not set: the offsets would be memory addresses.
    #[error("the descriptor is not self-relative (control {0:#06x})")]
    NotSelfRelative(u16),
    /// An offset points into the header or beyond the end.
    #[error("offset {0} of the {1} lies outside the descriptor")]
    SectionOffset(u32, Section),
    /// Fewer than the 8 bytes of an ACL's header.
    #[error("the ACL is cut off")]
    AclTruncated,
    /// ACL revisions are 2 to 4 (MS-DTYP 2.4.5 names 2 and 4; Windows reads 3 as well).
    #[error("ACL revision {0} is not 2 to 4")]
    AclRevision(u8),
    /// AclSize is smaller than its header or reaches beyond the end.
    #[error("ACL size {0} does not fit")]
    AclSize(u16),
    /// The ACL ends before its last ACE.
    #[error("ACE {0} of {1} is cut off")]
    AceTruncated(u16, u16),
    /// AceSize is too small for the kind of ACE, or reaches beyond the ACL.
    #[error("size {0} of the ACE does not fit")]
    AceSize(u16),
}

/// A part of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The owner.
    Owner,
    /// The primary group.
    Group,
    /// The system ACL.
    Sacl,
    /// The discretionary ACL.
    Dacl,
}

impl std::fmt::Display for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Section::Owner => "owner",
            Section::Group => "group",
            Section::Sacl => "SACL",
            Section::Dacl => "DACL",
        })
    }
}

const HEADER: usize = 20;
const ACL_HEADER: usize = 8;
/// ACE header (type, flags, size) and mask.
const ACE_HEADER: usize = 8;
/// Longest ACE of the common form: header and mask, object flags, two GUIDs, a SID of six sub-authorities.
const COMMON: usize = ACE_HEADER + 4 + 2 * 16 + sid::WIDE;
/// What is read over: a value that is built elsewhere and moved costs more than the reading.
const BLANK: Ace = Ace::new(AceType::ALLOWED, well_known::NULL, AccessMask::NONE);
const OBJECT_TYPE_PRESENT: u32 = 1;
const INHERITED_OBJECT_TYPE_PRESENT: u32 = 2;

impl SecurityDescriptor {
    /// Reads a self-relative descriptor. Sections may come in any order, with gaps, and share bytes; a section whose
    /// control bit is clear is absent, whatever its offset says (RtlGetDaclSecurityDescriptor).
    pub fn parse(bytes: &[u8]) -> Result<SecurityDescriptor, ParseError> {
        let Some(header) = bytes.first_chunk::<HEADER>() else {
            return Err(ParseError::new(bytes.len(), ParseFault::HeaderTruncated(bytes.len())));
        };
        if header[0] != 1 {
            return Err(ParseError::new(0, ParseFault::Revision(header[0])));
        }
        let control = Control(u16::from_le_bytes([header[2], header[3]]));
        if !control.contains(Control::SELF_RELATIVE) {
            return Err(ParseError::new(2, ParseFault::NotSelfRelative(control.0)));
        }
        let section = |at: usize, section: Section| -> Result<Option<usize>, ParseError> {
            let offset = u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            match offset as usize {
                0 => Ok(None),
                start if start >= HEADER && start < bytes.len() => Ok(Some(start)),
                _ => Err(ParseError::new(at, ParseFault::SectionOffset(offset, section))),
            }
        };
        let sid = |start: usize, into: &mut Option<Sid>| {
            into.insert(well_known::NULL).read(&bytes[start..]).map_err(|e| e.at(start))
        };
        let acl = |start: usize| Acl::parse(&bytes[start..]).map_err(|e| e.at(start));
        let mut sd = SecurityDescriptor { control, rm_control: header[1], ..SecurityDescriptor::default() };
        if let Some(start) = section(4, Section::Owner)? {
            sid(start, &mut sd.owner)?;
        }
        if let Some(start) = section(8, Section::Group)? {
            sid(start, &mut sd.group)?;
        }
        let sacl = section(12, Section::Sacl)?.filter(|_| control.contains(Control::SACL_PRESENT));
        let dacl = section(16, Section::Dacl)?.filter(|_| control.contains(Control::DACL_PRESENT));
        if let Some(start) = sacl {
            sd.sacl = Some(acl(start)?);
        }
        if let Some(start) = dacl {
            sd.dacl = Some(acl(start)?);
        }
        Ok(sd)
    }

    /// Writes the descriptor as Windows does: SACL, DACL, owner, group without gaps.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut control = self.control | Control::SELF_RELATIVE;
        if self.dacl.is_some() {
            control = control | Control::DACL_PRESENT;
        }
        if self.sacl.is_some() {
            control = control | Control::SACL_PRESENT;
        }
        let mut out = vec![0; HEADER];
        out[0] = 1;
        out[1] = self.rm_control;
        out[2..4].copy_from_slice(&control.0.to_le_bytes());
        let offset = |out: &mut Vec<u8>, at: usize| {
            let here = (out.len() as u32).to_le_bytes();
            out[at..at + 4].copy_from_slice(&here);
        };
        if let Some(sacl) = &self.sacl {
            offset(&mut out, 12);
            sacl.write_to(&mut out);
        }
        if let Some(dacl) = &self.dacl {
            offset(&mut out, 16);
            dacl.write_to(&mut out);
        }
        if let Some(owner) = &self.owner {
            offset(&mut out, 4);
            owner.write_to(&mut out);
        }
        if let Some(group) = &self.group {
            offset(&mut out, 8);
            group.write_to(&mut out);
        }
        out
    }
}

impl Acl {
    /// Reads an ACL from the start of `bytes`; what follows it is not looked at.
    pub fn parse(bytes: &[u8]) -> Result<Acl, ParseError> {
        let Some(&[revision, _, s0, s1, c0, c1, _, _]) = bytes.first_chunk::<ACL_HEADER>() else {
            return Err(ParseError::new(bytes.len(), ParseFault::AclTruncated));
        };
        if !(Acl::REVISION..=Acl::REVISION_DS).contains(&revision) {
            return Err(ParseError::new(0, ParseFault::AclRevision(revision)));
        }
        let size = u16::from_le_bytes([s0, s1]);
        let count = u16::from_le_bytes([c0, c1]);
        let body = bytes.get(ACL_HEADER..usize::from(size));
        let body = body.ok_or(ParseError::new(2, ParseFault::AclSize(size)))?;
        // The count is not to be trusted for an allocation beyond what the bytes can hold.
        let expected = usize::from(count).min(body.len() / 16);
        let mut aces: Vec<Ace> = Vec::with_capacity(expected);
        aces.extend((0..expected).map(|_| BLANK));
        let mut rest = &bytes[ACL_HEADER..];
        let behind = rest.len() - body.len();
        let mut read = expected;
        for (index, ace) in aces.iter_mut().enumerate() {
            let common = rest.first_chunk().and_then(Common::new);
            let Some(common) = common.filter(|common| common.length + behind <= rest.len()) else {
                read = index;
                break;
            };
            common.write(ace);
            rest = &rest[common.length..];
        }
        aces.truncate(read);

        // From the first ACE of another form on, and where none can be looked at as a whole.
        let mut at = bytes.len() - ACL_HEADER - rest.len();
        for index in read as u16..count {
            let rest = &body[at..];
            if rest.is_empty() {
                return Err(ParseError::new(ACL_HEADER + at, ParseFault::AceTruncated(index, count)));
            }
            aces.push(BLANK);
            if let Some(ace) = aces.last_mut() {
                at += ace.read(rest).map_err(|e| e.at(ACL_HEADER + at))?;
            }
        }
        Ok(Acl { revision, aces, trailing: body[at..].to_vec() })
    }

    /// Appends the wire form. AclSize has 16 bits: a list that is longer, which nobody could have read, is written with
    /// a size that every reader refuses.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[self.revision, 0, 0, 0]);
        out.extend_from_slice(&u16::try_from(self.aces.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        for ace in &self.aces {
            ace.write_to(out);
        }
        out.extend_from_slice(&self.trailing);
        let size = u16::try_from(out.len() - start).unwrap_or(0).to_le_bytes();
        out[start + 2..start + 4].copy_from_slice(&size);
    }

    /// Length of the wire form in bytes; more than 65,535 cannot be stored.
    pub fn byte_len(&self) -> usize {
        ACL_HEADER + self.aces.iter().map(Ace::byte_len).sum::<usize>() + self.trailing.len()
    }
}

impl Ace {
    /// Reads an ACE from the start of `bytes` and returns it with its length in bytes.
    pub fn parse(bytes: &[u8]) -> Result<(Ace, usize), ParseError> {
        let mut ace = BLANK;
        let length = ace.read(bytes)?;
        Ok((ace, length))
    }

    /// Reads over [`BLANK`].
    fn read(&mut self, bytes: &[u8]) -> Result<usize, ParseError> {
        let Some(&[kind, flags, s0, s1]) = bytes.first_chunk::<4>() else {
            return Err(ParseError::new(bytes.len(), ParseFault::AceTruncated(0, 1)));
        };
        let size = u16::from_le_bytes([s0, s1]);
        let too_small = ParseError::new(2, ParseFault::AceSize(size));
        let ace = bytes.get(..usize::from(size)).ok_or(too_small)?;
        let body = ace.get(4..).ok_or(too_small)?;
        self.ace_type = AceType(kind);
        self.flags = AceFlags(flags);
        if !self.ace_type.is_known() {
            self.data = Coda::from(body);
            return Ok(ace.len());
        }
        let (mask, mut rest) = body.split_first_chunk::<4>().ok_or(too_small)?;
        self.mask = AccessMask(u32::from_le_bytes(*mask));
        if self.ace_type.is_object() {
            let (present, tail) = rest.split_first_chunk::<4>().ok_or(too_small)?;
            let present = u32::from_le_bytes(*present);
            rest = tail;
            if present & OBJECT_TYPE_PRESENT != 0 {
                let (guid, tail) = rest.split_first_chunk::<16>().ok_or(too_small)?;
                self.object_type = Some(Guid(*guid));
                rest = tail;
            }
            if present & INHERITED_OBJECT_TYPE_PRESENT != 0 {
                let (guid, tail) = rest.split_first_chunk::<16>().ok_or(too_small)?;
                self.inherited_object_type = Some(Guid(*guid));
                rest = tail;
            }
        }
        let start = ace.len() - rest.len();
        let length = self.sid.read(rest).map_err(|e| e.at(start))?;
        if length < rest.len() {
            self.data = Coda::from(&rest[length..]);
        }
        Ok(ace.len())
    }

    /// Appends the wire form.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let size = u16::try_from(self.byte_len()).unwrap_or(0);
        out.extend_from_slice(&[self.ace_type.0, self.flags.0]);
        out.extend_from_slice(&size.to_le_bytes());
        if self.ace_type.is_known() {
            out.extend_from_slice(&self.mask.0.to_le_bytes());
            if self.ace_type.is_object() {
                let object = if self.object_type.is_some() { OBJECT_TYPE_PRESENT } else { 0 };
                let class = if self.inherited_object_type.is_some() { INHERITED_OBJECT_TYPE_PRESENT } else { 0 };
                out.extend_from_slice(&(object | class).to_le_bytes());
                for guid in [self.object_type, self.inherited_object_type].into_iter().flatten() {
                    out.extend_from_slice(&guid.0);
                }
            }
            self.sid.write_to(out);
        }
        out.extend_from_slice(&self.data);
    }

    /// Length of the wire form in bytes.
    pub fn byte_len(&self) -> usize {
        if !self.ace_type.is_known() {
            return 4 + self.data.len();
        }
        let guids = match self.ace_type.is_object() {
            true => 4 + 16 * [self.object_type, self.inherited_object_type].iter().flatten().count(),
            false => 0,
        };
        ACE_HEADER + guids + self.sid.byte_len() + self.data.len()
    }
}

/// An ACE as nearly all are: of a known kind, a SID of at most six sub-authorities, nothing behind it.
///
/// A directory reads millions of them. Which GUIDs an ACE has no processor can foresee: places are computed, everything is
/// loaded, and what is not there is not kept.
struct Common<'a> {
    window: &'a [u8; COMMON],
    has_object_type: bool,
    has_inherited_object_type: bool,
    sid: &'a [u8; sid::WIDE],
    /// Length of the ACE, which may reach beyond the list.
    length: usize,
}

impl Common<'_> {
    const KNOWN: u32 = kinds(true);
    const OBJECT: u32 = kinds(false);

    /// Looks at the ACE at the start of the window. `None` for other forms, malformed ones among them.
    #[inline(always)]
    fn new(window: &[u8; COMMON]) -> Option<Common<'_>> {
        let &[kind, _, s0, s1, _, _, _, _, p0, p1, p2, p3, ..] = window;
        let is_known = (kind < 32) & (Common::KNOWN >> (kind & 31) & 1 != 0);
        let is_object = Common::OBJECT >> (kind & 31) & 1;
        let present = u32::from_le_bytes([p0, p1, p2, p3]) & is_object.wrapping_neg();
        let has_object_type = present & OBJECT_TYPE_PRESENT != 0;
        let has_inherited_object_type = present & INHERITED_OBJECT_TYPE_PRESENT != 0;
        let guids = usize::from(has_object_type) + usize::from(has_inherited_object_type);
        let start = ACE_HEADER + 4 * is_object as usize + 16 * guids;
        let sid = window.get(start..)?.first_chunk::<{ sid::WIDE }>()?;
        let length = start + 8 + 4 * usize::from(sid[1]);
        let is_common = is_known & sid::is_wide(sid) & (length == usize::from(u16::from_le_bytes([s0, s1])));
        is_common.then_some(Common { window, has_object_type, has_inherited_object_type, sid, length })
    }

    #[inline(always)]
    fn write(&self, ace: &mut Ace) {
        let &[kind, flags, _, _, m0, m1, m2, m3, ..] = self.window;
        ace.ace_type = AceType(kind);
        ace.flags = AceFlags(flags);
        ace.mask = AccessMask(u32::from_le_bytes([m0, m1, m2, m3]));
        let object_type = self.guid(0);
        let inherited_object_type = self.guid(usize::from(self.has_object_type));
        ace.object_type = self.has_object_type.then_some(object_type);
        ace.inherited_object_type = self.has_inherited_object_type.then_some(inherited_object_type);
        ace.sid.read_wide(self.sid);
    }

    /// The bytes where a GUID may be, the first or the second. As a number: a copy of bytes is not made ahead of a
    /// condition.
    #[inline(always)]
    fn guid(&self, index: usize) -> Guid {
        let bytes = self.window[ACE_HEADER + 4 + 16 * index..].first_chunk::<16>();
        Guid(u128::from_ne_bytes(*bytes.unwrap_or(&[0; 16])).to_ne_bytes())
    }
}

/// The kinds that are known, or those of objects, as bits.
const fn kinds(known: bool) -> u32 {
    let mut bits = 0;
    let mut kind = 0;
    while kind < 32 {
        if if known { AceType(kind).is_known() } else { AceType(kind).is_object() } {
            bits |= 1 << kind;
        }
        kind += 1;
    }
    bits
}
