//! AccessCheck on interned SIDs: the hot path, without allocation.

use crate::check::{Step, Trace};
use crate::condition::{Folded, Truth};
use crate::mask::GenericMapping;
use crate::{AccessMask, Ace, Control, Guid, SecurityDescriptor, Sid, SidId, SidSet, well_known};

/// What the caller knows of the token's relation to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Principals {
    /// The token holds the object's own SID: ACEs for PRINCIPAL SELF match.
    pub is_self: bool,
    /// The token holds the owner's SID: READ_CONTROL and WRITE_DAC are implied, OWNER RIGHTS match.
    pub is_owner: bool,
}

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everything that was asked for is granted.
    Allow,
    /// An ACE denies it.
    Deny,
    /// Nothing speaks of it, or not of all of it: not granted.
    None,
}

/// A verdict, and the ACE that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// The verdict.
    pub outcome: Outcome,
    /// Index in `SecurityDescriptor.dacl.aces` of the ACE that denied, or that granted the last missing bit. `None` for a
    /// NULL DACL, implicit owner rights, or when nothing decided.
    pub ace: Option<usize>,
}

impl Decision {
    const GRANTED: Decision = Decision { outcome: Outcome::Allow, ace: None };
    const NOTHING: Decision = Decision { outcome: Outcome::None, ace: None };

    /// A NULL DACL grants everything, but not to a token without SIDs: that is nobody.
    fn of_null_dacl(token: &SidSet) -> Decision {
        if token.is_empty() { Decision::NOTHING } else { Decision::GRANTED }
    }

    /// Whether everything that was asked for is granted.
    pub fn is_allowed(self) -> bool {
        self.outcome == Outcome::Allow
    }
}

/// A DACL prepared for checks: about 20 bytes for each ACE, in two blocks of memory.
///
/// Entries of control access rights lie apart and are grouped by right, so that a check reads only those of its right and
/// those that speak of all rights. Conditional ACEs see no claims of the token here: their Member_of tests and the claims
/// about the object count (see [`crate::check`] for tokens with claims).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledDacl {
    state: State,
    /// An effective ACE for OWNER RIGHTS is there: no implicit rights of the owner.
    has_owner_rights: bool,
    /// Number of distinct object types on entries that hold CONTROL_ACCESS; they come first among the object types.
    rights: u16,
    /// Number of the other object types.
    others: u16,
    /// `rights` fingerprints · `rights + 1` ends of groups · `rights` GUIDs (4 words each) · control entries (2 words
    /// each: SID, meta; those without a right first, then by right, in DACL order).
    control: Box<[u32]>,
    /// `others` GUIDs (4 words each) · all entries (3 words each: SID, mask, meta; in DACL order).
    general: Box<[u32]>,
    /// Conditions by index of their ACE, ascending.
    conditions: Option<Box<Conditions>>,
}

type Conditions = Vec<(u32, Folded)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// NULL or absent: grants everything.
    Null,
    Present,
    /// More entries than any stored ACL can have: grants nothing.
    TooLong,
}

/// Last word of an entry: what it does, whom it means, its object type, its index.
#[derive(Clone, Copy)]
struct Meta(u32);

impl Meta {
    const DENY: u32 = 1;
    const SELF: u32 = 2;
    const OWNER: u32 = 4;
    const CONDITIONAL: u32 = 8;
    const TYPE_SHIFT: u32 = 4;
    const TYPE_MASK: u32 = 0xFFF;
    const INDEX_SHIFT: u32 = 16;

    fn is_deny(self) -> bool {
        self.0 & Meta::DENY != 0
    }

    /// For SELF or OWNER RIGHTS.
    fn is_special(self) -> bool {
        self.0 & (Meta::SELF | Meta::OWNER) != 0
    }

    /// 0 for none, else one more than the index among the GUIDs.
    fn object_type(self) -> usize {
        (self.0 >> Meta::TYPE_SHIFT & Meta::TYPE_MASK) as usize
    }

    fn index(self) -> usize {
        (self.0 >> Meta::INDEX_SHIFT) as usize
    }

    fn decision(self) -> Decision {
        let outcome = if self.is_deny() { Outcome::Deny } else { Outcome::Allow };
        Decision { outcome, ace: Some(self.index()) }
    }
}

impl CompiledDacl {
    /// Prepares the DACL of `sd`. `intern` gives the number of a SID, a new one for one never seen.
    ///
    /// Generic rights are mapped as on directory objects ([`GenericMapping::DIRECTORY`]).
    pub fn compile(sd: &SecurityDescriptor, intern: &mut dyn FnMut(&Sid) -> SidId) -> CompiledDacl {
        let Some(dacl) = sd.dacl.as_ref().filter(|_| sd.control.contains(Control::DACL_PRESENT)) else {
            return CompiledDacl::without_entries(State::Null);
        };
        let counted: Vec<(usize, &Ace)> = dacl.aces.iter().enumerate().filter(|(_, ace)| counts(ace)).collect();
        let (rights, guids) = object_types(&counted);
        if dacl.aces.len() > usize::from(u16::MAX) || guids.len() >= Meta::TYPE_MASK as usize {
            return CompiledDacl::without_entries(State::TooLong);
        }

        let resource =
            if counted.iter().any(|(_, ace)| is_conditional(ace)) { sd.resource_claims() } else { Vec::new() };
        let mut conditions = Vec::new();
        let mut control: Vec<(usize, [u32; 2])> = Vec::new();
        let mut entries: Vec<[u32; 3]> = Vec::with_capacity(counted.len());
        let mut has_owner_rights = false;
        for (index, ace) in counted {
            let mut meta = if ace.is_deny() { Meta::DENY } else { 0 };
            let mut sid = 0;
            if ace.sid == well_known::SELF {
                meta |= Meta::SELF;
            } else if ace.sid == well_known::OWNER_RIGHTS {
                meta |= Meta::OWNER;
                has_owner_rights = true;
            } else {
                sid = intern(&ace.sid).0;
            }
            if is_conditional(ace) {
                meta |= Meta::CONDITIONAL;
                conditions.push((index as u32, Folded::new(&ace.data, &resource, intern)));
            }
            let object_type = match ace.object_type {
                Some(guid) => 1 + guids.iter().position(|other| *other == guid).unwrap_or(0),
                None => 0,
            };
            meta |= (object_type as u32) << Meta::TYPE_SHIFT | (index as u32) << Meta::INDEX_SHIFT;
            let mask = ace.mask.map_generic(&GenericMapping::DIRECTORY);
            if mask.contains(AccessMask::CONTROL_ACCESS) {
                control.push((object_type, [sid, meta]));
            }
            entries.push([sid, mask.0, meta]);
        }
        control.sort_by_key(|(object_type, _)| *object_type);

        let mut hot: Vec<u32> = Vec::with_capacity(6 * rights + 1 + 2 * control.len());
        hot.extend(guids[..rights].iter().map(fingerprint));
        hot.extend((0..=rights).map(|group| control.partition_point(|(t, _)| *t <= group) as u32));
        hot.extend(guids[..rights].iter().flat_map(guid_words));
        hot.extend(control.iter().flat_map(|(_, entry)| entry));
        let others = guids.len() - rights;
        let mut general: Vec<u32> = Vec::with_capacity(4 * others + 3 * entries.len());
        general.extend(guids[rights..].iter().flat_map(guid_words));
        general.extend(entries.iter().flatten());
        CompiledDacl {
            state: State::Present,
            has_owner_rights,
            rights: rights as u16,
            others: others as u16,
            control: hot.into(),
            general: general.into(),
            conditions: (!conditions.is_empty()).then(|| Box::new(conditions)),
        }
    }

    fn without_entries(state: State) -> CompiledDacl {
        CompiledDacl {
            state,
            has_owner_rights: false,
            rights: 0,
            others: 0,
            control: [0].into(),
            general: Box::default(),
            conditions: None,
        }
    }

    /// A control access right such as Send As: the first effective ACE that matches, holds CONTROL_ACCESS and names
    /// that right or none decides (MS-ADTS 5.1.3.3.4). Plain ACEs count, though that text names object ACEs only: that
    /// is how administrators hold Send As.
    pub fn control_access(&self, token: &SidSet, who: Principals, right: &Guid) -> Decision {
        if self.state == State::Null {
            return Decision::of_null_dacl(token);
        }
        let any = self.first_match(0, token, who, u32::MAX);
        let Some(group) = self.right_group(right) else {
            return any.map_or(Decision::NOTHING, Meta::decision);
        };
        // The right's own group matters only where it comes before what was found.
        let before = any.map_or(u32::MAX, |meta| meta.0 >> Meta::INDEX_SHIFT);
        self.first_match(group, token, who, before).or(any).map_or(Decision::NOTHING, Meta::decision)
    }

    /// AccessCheck without an object type list (MS-DTYP 2.5.3.2). Of the ACEs with an object type, those that allow are
    /// ignored and those that deny count.
    ///
    /// To ask for nothing is not granted. ACCESS_SYSTEM_SECURITY needs a privilege that no token here has. With
    /// MAXIMUM_ALLOWED: whether [`CompiledDacl::maximum_access`] is something and holds the rest.
    pub fn access(&self, token: &SidSet, who: Principals, wanted: AccessMask) -> Decision {
        self.trace_access(token, who, wanted, &mut ())
    }

    /// AccessCheck for one property: `path` is class, property set (if it has one), attribute (MS-ADTS 5.1.3.3.3). ACEs
    /// count that name no type or one of the path.
    pub fn property_access(&self, token: &SidSet, who: Principals, wanted: AccessMask, path: &[Guid]) -> Decision {
        self.trace_property_access(token, who, wanted, path, &mut ())
    }

    /// [`CompiledDacl::control_access`] that says what decided.
    pub fn trace_control_access(
        &self,
        token: &SidSet,
        who: Principals,
        right: &Guid,
        trace: &mut impl Trace,
    ) -> Decision {
        let decision = self.control_access(token, who, right);
        match (self.state, decision) {
            (State::Null, _) => trace.step(Step::NullDacl),
            (_, Decision { outcome, ace: Some(index) }) => {
                let right = AccessMask::CONTROL_ACCESS;
                let none = AccessMask::NONE;
                let (allowed, denied) = if outcome == Outcome::Allow { (right, none) } else { (none, right) };
                trace.step(Step::Ace { index, node: 0, allowed, denied });
            }
            _ => {}
        }
        decision
    }

    /// [`CompiledDacl::access`] that says which ACE decided each right.
    pub fn trace_access(
        &self,
        token: &SidSet,
        who: Principals,
        wanted: AccessMask,
        trace: &mut impl Trace,
    ) -> Decision {
        self.decide(token, who, wanted, |object_type, deny| object_type == 0 || deny, trace)
    }

    /// [`CompiledDacl::property_access`] that says which ACE decided each right. Nodes are counted as 0.
    pub fn trace_property_access(
        &self,
        token: &SidSet,
        who: Principals,
        wanted: AccessMask,
        path: &[Guid],
        trace: &mut impl Trace,
    ) -> Decision {
        self.decide(token, who, wanted, |object_type, _| self.is_on_path(object_type, path), trace)
    }

    /// All that the token is granted, as MAXIMUM_ALLOWED gives it: for each right the first ACE that speaks of it.
    /// ACEs with an object type count as in [`CompiledDacl::access`]. What a NULL DACL grants is every right on a
    /// directory object.
    pub fn maximum_access(&self, token: &SidSet, who: Principals) -> AccessMask {
        if self.state == State::Null {
            return if token.is_empty() { AccessMask::NONE } else { AccessMask::DS_FULL_CONTROL };
        }
        let mut granted = self.implied(who).0;
        let mut denied = 0;
        for (sid, mask, meta) in self.entries() {
            let counts = meta.object_type() == 0 || meta.is_deny();
            if counts && self.matches(meta, sid, token, who) {
                if meta.is_deny() {
                    denied |= mask & !granted;
                } else {
                    granted |= mask & !denied;
                }
            }
        }
        AccessMask(granted)
    }

    /// Bytes that this DACL occupies on the heap.
    pub fn heap_size(&self) -> usize {
        let conditions = self.conditions.as_ref().map_or(0, |c| c.len() * size_of::<(u32, Folded)>());
        (self.control.len() + self.general.len()) * 4 + conditions
    }

    fn decide(
        &self,
        token: &SidSet,
        who: Principals,
        wanted: AccessMask,
        counts: impl Fn(usize, bool) -> bool,
        trace: &mut impl Trace,
    ) -> Decision {
        let wanted = wanted.map_generic(&GenericMapping::DIRECTORY);
        if wanted.is_empty() || wanted.intersects(AccessMask::ACCESS_SYSTEM_SECURITY) {
            return Decision::NOTHING;
        }
        if wanted.intersects(AccessMask::MAXIMUM_ALLOWED) {
            let explicit = wanted & !AccessMask::MAXIMUM_ALLOWED;
            let granted = self.maximum_access(token, who);
            let null = self.state == State::Null && !token.is_empty();
            let allowed = null || (!granted.is_empty() && granted.contains(explicit));
            return if allowed { Decision::GRANTED } else { Decision::NOTHING };
        }
        if self.state == State::Null {
            trace.step(Step::NullDacl);
            return Decision::of_null_dacl(token);
        }
        let implied = self.implied(who) & wanted;
        if !implied.is_empty() {
            trace.step(Step::Owner(implied));
        }
        let mut missing = wanted.0 & !implied.0;
        if missing == 0 {
            return Decision::GRANTED;
        }
        for (sid, mask, meta) in self.entries() {
            // One branch that is hardly ever taken, where three that nobody can predict would be.
            if (mask & missing != 0) & (meta.is_special() | token.may_contain(SidId(sid)))
                && counts(meta.object_type(), meta.is_deny())
                && self.matches(meta, sid, token, who)
            {
                let bits = AccessMask(mask & missing);
                missing &= !mask;
                let none = AccessMask::NONE;
                let (allowed, denied) = if meta.is_deny() { (none, bits) } else { (bits, none) };
                trace.step(Step::Ace { index: meta.index(), node: 0, allowed, denied });
                if meta.is_deny() || missing == 0 {
                    return meta.decision();
                }
            }
        }
        Decision::NOTHING
    }

    fn is_on_path(&self, object_type: usize, path: &[Guid]) -> bool {
        object_type == 0 || path.iter().any(|guid| self.object_type(object_type - 1) == Some(&guid_words(guid)))
    }

    /// What the owner has without an ACE: RC and WD (MS-DTYP 2.5.3.2; MS-ADTS 5.1.3.3.2 adds WO, Windows does not).
    fn implied(&self, who: Principals) -> AccessMask {
        if who.is_owner && !self.has_owner_rights && self.state == State::Present {
            AccessMask::READ_CONTROL | AccessMask::WRITE_DAC
        } else {
            AccessMask::NONE
        }
    }

    /// The first entry of a group of control rights that matches and comes before ACE number `before`.
    #[inline]
    fn first_match(&self, group: usize, token: &SidSet, who: Principals, before: u32) -> Option<Meta> {
        let rights = usize::from(self.rights);
        let (header, entries) = self.control.split_at(6 * rights + 1);
        let start = if group == 0 { 0 } else { header[rights + group - 1] as usize };
        let end = header[rights + group] as usize;
        for &[sid, meta] in entries[2 * start..2 * end].as_chunks::<2>().0 {
            let meta = Meta(meta);
            if self.matches(meta, sid, token, who) {
                return (meta.0 >> Meta::INDEX_SHIFT < before).then_some(meta);
            }
        }
        None
    }

    #[inline]
    fn right_group(&self, right: &Guid) -> Option<usize> {
        let wanted = fingerprint(right);
        let fingerprints = &self.control[..usize::from(self.rights)];
        let mut candidates = fingerprints.iter().enumerate().filter(|(_, print)| **print == wanted);
        candidates.find(|(index, _)| self.right(*index) == Some(&guid_words(right))).map(|(index, _)| index + 1)
    }

    #[inline]
    fn matches(&self, meta: Meta, sid: u32, token: &SidSet, who: Principals) -> bool {
        let matches = match meta.0 & (Meta::SELF | Meta::OWNER) {
            0 => token.contains(SidId(sid)),
            Meta::SELF => who.is_self,
            _ => who.is_owner,
        };
        matches && (meta.0 & Meta::CONDITIONAL == 0 || self.condition_holds(meta, token))
    }

    /// A condition that is not known to be false denies; one that is true allows.
    #[cold]
    fn condition_holds(&self, meta: Meta, token: &SidSet) -> bool {
        let conditions = self.conditions.as_deref().map_or(&[][..], Vec::as_slice);
        let found = conditions.binary_search_by_key(&(meta.index() as u32), |(index, _)| *index);
        let truth = found.map_or(Truth::Unknown, |at| conditions[at].1.evaluate(token));
        truth == Truth::True || (meta.is_deny() && truth == Truth::Unknown)
    }

    /// The GUID of a right.
    #[inline]
    fn right(&self, index: usize) -> Option<&[u32; 4]> {
        let start = 2 * usize::from(self.rights) + 1 + 4 * index;
        self.control.get(start..)?.first_chunk()
    }

    /// The GUID of an object type: the rights come first.
    fn object_type(&self, index: usize) -> Option<&[u32; 4]> {
        match index.checked_sub(usize::from(self.rights)) {
            None => self.right(index),
            Some(other) => self.general.get(4 * other..)?.first_chunk(),
        }
    }

    fn entries(&self) -> impl Iterator<Item = (u32, u32, Meta)> + '_ {
        let entries = &self.general[4 * usize::from(self.others)..];
        entries.as_chunks::<3>().0.iter().map(|&[sid, mask, meta]| (sid, mask, Meta(meta)))
    }
}

/// Whether an ACE can decide anything: effective, and it allows or denies.
fn counts(ace: &Ace) -> bool {
    ace.is_effective() && (ace.is_allow() || ace.is_deny())
}

/// Callback ACEs without data have no condition that could be true.
fn is_conditional(ace: &Ace) -> bool {
    ace.ace_type.is_callback()
}

/// The distinct object types, those on entries that hold CONTROL_ACCESS first, and how many these are.
fn object_types(aces: &[(usize, &Ace)]) -> (usize, Vec<Guid>) {
    let is_control = |ace: &Ace| ace.mask.map_generic(&GenericMapping::DIRECTORY).contains(AccessMask::CONTROL_ACCESS);
    let mut guids: Vec<Guid> = Vec::new();
    let mut rights = 0;
    for control in [true, false] {
        for guid in aces.iter().filter(|(_, ace)| is_control(ace) == control).filter_map(|(_, ace)| ace.object_type) {
            if !guids.contains(&guid) {
                guids.push(guid);
            }
        }
        if control {
            rights = guids.len();
        }
    }
    (rights, guids)
}

/// GUIDs of one family differ in few bits of the first word: all four words count.
#[inline]
fn fingerprint(guid: &Guid) -> u32 {
    let [a, b, c, d] = guid_words(guid);
    a ^ b.rotate_left(8) ^ c.rotate_left(16) ^ d.rotate_left(24)
}

#[inline]
fn guid_words(guid: &Guid) -> [u32; 4] {
    let word = |at: usize| u32::from_le_bytes([guid.0[at], guid.0[at + 1], guid.0[at + 2], guid.0[at + 3]]);
    [word(0), word(4), word(8), word(12)]
}
