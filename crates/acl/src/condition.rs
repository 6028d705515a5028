//! Conditional expressions of callback ACEs (MS-DTYP 2.4.4.17) and the claims that they look at.
//!
//! A program is a postfix sequence of [`Token`]s behind the signature `artx`. [`Expression::evaluate`] runs it with
//! three-valued logic; anything malformed makes the whole result unknown, which allows nothing and denies.

mod bytes;
mod claim;
mod eval;
mod folded;

pub use bytes::ConditionError;
pub use claim::{Claim, ClaimError, ClaimValues};
pub use eval::{Facts, Truth};
pub(crate) use folded::Folded;

use crate::Sid;

/// A conditional program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expression {
    /// The tokens in postfix order.
    pub tokens: Vec<Token>,
}

/// A token of a conditional program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// A literal.
    Literal(Literal),
    /// A reference to a claim.
    Attribute {
        /// Whose claim.
        source: Source,
        /// Its name.
        name: String,
    },
    /// An operator on what precedes.
    Operator(Operator),
}

/// A literal value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Literal {
    /// An integer with the form it was written in.
    Integer {
        /// The value.
        value: i64,
        /// Token byte 1 to 4: 8, 16, 32 or 64 bits.
        width: u8,
        /// 1 `+`, 2 `-`, 3 none.
        sign: u8,
        /// 1 octal, 2 decimal, 3 hexadecimal.
        base: u8,
    },
    /// A string.
    String(String),
    /// Octets.
    Octets(Vec<u8>),
    /// A SID.
    Sid(Sid),
    /// A set of the above; not nested.
    Composite(Vec<Literal>),
}

/// Whose claims an attribute means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A name without prefix: of the application.
    Local,
    /// `@User.`
    User,
    /// `@Resource.`: RESOURCE_ATTRIBUTE ACEs of the object's SACL.
    Resource,
    /// `@Device.`
    Device,
}

/// An operator, by its token byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the operators")]
pub enum Operator {
    Equal = 0x80,
    NotEqual = 0x81,
    Less = 0x82,
    LessOrEqual = 0x83,
    Greater = 0x84,
    GreaterOrEqual = 0x85,
    Contains = 0x86,
    Exists = 0x87,
    AnyOf = 0x88,
    MemberOf = 0x89,
    DeviceMemberOf = 0x8A,
    MemberOfAny = 0x8B,
    DeviceMemberOfAny = 0x8C,
    NotExists = 0x8D,
    NotContains = 0x8E,
    NotAnyOf = 0x8F,
    NotMemberOf = 0x90,
    NotDeviceMemberOf = 0x91,
    NotMemberOfAny = 0x92,
    NotDeviceMemberOfAny = 0x93,
    And = 0xA0,
    Or = 0xA1,
    Not = 0xA2,
}

impl Operator {
    /// Every operator.
    pub const ALL: [Operator; 23] = [
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
        Operator::Contains,
        Operator::Exists,
        Operator::AnyOf,
        Operator::MemberOf,
        Operator::DeviceMemberOf,
        Operator::MemberOfAny,
        Operator::DeviceMemberOfAny,
        Operator::NotExists,
        Operator::NotContains,
        Operator::NotAnyOf,
        Operator::NotMemberOf,
        Operator::NotDeviceMemberOf,
        Operator::NotMemberOfAny,
        Operator::NotDeviceMemberOfAny,
        Operator::And,
        Operator::Or,
        Operator::Not,
    ];

    /// As SDDL writes it.
    pub const fn sddl(self) -> &'static str {
        match self {
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Contains => "Contains",
            Operator::Exists => "Exists",
            Operator::AnyOf => "Any_of",
            Operator::MemberOf => "Member_of",
            Operator::DeviceMemberOf => "Device_Member_of",
            Operator::MemberOfAny => "Member_of_Any",
            Operator::DeviceMemberOfAny => "Device_Member_of_Any",
            Operator::NotExists => "Not_Exists",
            Operator::NotContains => "Not_Contains",
            Operator::NotAnyOf => "Not_Any_of",
            Operator::NotMemberOf => "Not_Member_of",
            Operator::NotDeviceMemberOf => "Not_Device_Member_of",
            Operator::NotMemberOfAny => "Not_Member_of_Any",
            Operator::NotDeviceMemberOfAny => "Not_Device_Member_of_Any",
            Operator::And => "&&",
            Operator::Or => "||",
            Operator::Not => "!",
        }
    }

    /// Operators with one operand.
    pub const fn is_unary(self) -> bool {
        matches!(self as u8, 0x87 | 0x89..=0x8D | 0x90..=0x93 | 0xA2)
    }

    /// The Member_of family: its operand is a SID or a set of SIDs.
    pub const fn is_membership(self) -> bool {
        matches!(self as u8, 0x89..=0x8C | 0x90..=0x93)
    }
}
