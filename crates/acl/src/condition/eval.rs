//! Evaluation of conditional programs (MS-DTYP 2.5.3.1.5).

use std::cmp::Ordering;

use super::{Claim, ClaimValues, Expression, Literal, Operator, Source, Token};
use crate::Sid;

/// Three-valued truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// A claim is missing, types do not fit, or the program is malformed.
    Unknown,
}

impl Truth {
    /// False wins, then unknown.
    pub fn and(self, other: Truth) -> Truth {
        match (self, other) {
            (Truth::False, _) | (_, Truth::False) => Truth::False,
            (Truth::True, Truth::True) => Truth::True,
            _ => Truth::Unknown,
        }
    }

    /// True wins, then unknown.
    pub fn or(self, other: Truth) -> Truth {
        self.negate().and(other.negate()).negate()
    }

    /// Unknown stays unknown.
    pub fn negate(self) -> Truth {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Truth {
        if value { Truth::True } else { Truth::False }
    }
}

/// What a program may look at.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Whether the token holds an enabled SID.
    pub member: &'a dyn Fn(&Sid) -> bool,
    /// Whether the device's token does.
    pub device_member: &'a dyn Fn(&Sid) -> bool,
    /// Claims of the application.
    pub local: &'a [Claim],
    /// Claims about the user.
    pub user: &'a [Claim],
    /// Claims about the device.
    pub device: &'a [Claim],
    /// Claims about the object, from its SACL.
    pub resource: &'a [Claim],
}

impl Facts<'_> {
    fn claim(&self, source: Source, name: &str) -> Option<&Claim> {
        let claims = match source {
            Source::Local => self.local,
            Source::User => self.user,
            Source::Device => self.device,
            Source::Resource => self.resource,
        };
        claims.iter().find(|claim| claim.is_named(name))
    }
}

impl Expression {
    /// What the program says of these facts.
    pub fn evaluate(&self, facts: &Facts<'_>) -> Truth {
        run(self, &mut Direct(facts), |source, name| facts.claim(source, name)).unwrap_or(Truth::Unknown)
    }
}

/// Deepest stack that a program may need.
pub(super) const MAX_DEPTH: usize = 256;

/// What the results of a program are made of: truth values, or a smaller program still to be run.
pub(super) trait Logic {
    type Value;
    fn constant(&mut self, truth: Truth) -> Self::Value;
    /// Whether the token holds all (or any) of these SIDs.
    fn member(&mut self, sids: &[&Sid], any: bool, device: bool) -> Self::Value;
    fn and(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    fn or(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    fn not(&mut self, a: Self::Value) -> Self::Value;
}

struct Direct<'a>(&'a Facts<'a>);

impl Logic for Direct<'_> {
    type Value = Truth;

    fn constant(&mut self, truth: Truth) -> Truth {
        truth
    }

    fn member(&mut self, sids: &[&Sid], any: bool, device: bool) -> Truth {
        let holds = if device { self.0.device_member } else { self.0.member };
        match any {
            true => sids.iter().any(|sid| holds(sid)),
            false => sids.iter().all(|sid| holds(sid)),
        }
        .into()
    }

    fn and(&mut self, a: Truth, b: Truth) -> Truth {
        a.and(b)
    }

    fn or(&mut self, a: Truth, b: Truth) -> Truth {
        a.or(b)
    }

    fn not(&mut self, a: Truth) -> Truth {
        a.negate()
    }
}

/// An operand on the stack.
enum Operand<'a, V> {
    Result(V),
    Literal(&'a Literal),
    /// An attribute and the claim that it names, if there is one.
    Attribute(Source, Option<&'a Claim>),
}

/// Runs a program. `None` is what the specification calls an evaluation failure: unknown as a whole.
pub(super) fn run<'a, L: Logic>(
    expression: &'a Expression,
    logic: &mut L,
    claim: impl Fn(Source, &str) -> Option<&'a Claim>,
) -> Option<L::Value> {
    let mut stack: Vec<Operand<'a, L::Value>> = Vec::new();
    for token in &expression.tokens {
        let operand = match token {
            Token::Literal(literal) => Operand::Literal(literal),
            Token::Attribute { source, name } => Operand::Attribute(*source, claim(*source, name)),
            Token::Operator(operator) => {
                let right = stack.pop()?;
                Operand::Result(if operator.is_unary() {
                    unary(*operator, right, logic)?
                } else {
                    let left = stack.pop()?;
                    binary(*operator, left, right, logic)?
                })
            }
        };
        if stack.len() == MAX_DEPTH {
            return None;
        }
        stack.push(operand);
    }
    let last = stack.pop()?;
    if stack.is_empty() { truth(last, logic) } else { None }
}

fn unary<L: Logic>(operator: Operator, operand: Operand<'_, L::Value>, logic: &mut L) -> Option<L::Value> {
    match operator {
        Operator::Not => {
            let value = truth(operand, logic)?;
            Some(logic.not(value))
        }
        Operator::Exists | Operator::NotExists => {
            let Operand::Attribute(_, claim) = operand else { return None };
            Some(logic.constant(Truth::from(claim.is_some() == (operator == Operator::Exists))))
        }
        _ => {
            let Operand::Literal(literal) = operand else { return None };
            let members = match literal {
                Literal::Composite(members) => members.as_slice(),
                single => std::slice::from_ref(single),
            };
            let sid = |literal: &'_ Literal| matches!(literal, Literal::Sid(_));
            if !members.iter().all(sid) {
                return None;
            }
            let sids: Vec<&Sid> =
                members.iter().filter_map(|m| if let Literal::Sid(sid) = m { Some(sid) } else { None }).collect();
            let (any, device, negated) = match operator {
                Operator::MemberOf => (false, false, false),
                Operator::MemberOfAny => (true, false, false),
                Operator::DeviceMemberOf => (false, true, false),
                Operator::DeviceMemberOfAny => (true, true, false),
                Operator::NotMemberOf => (false, false, true),
                Operator::NotMemberOfAny => (true, false, true),
                Operator::NotDeviceMemberOf => (false, true, true),
                _ => (true, true, true),
            };
            let value = logic.member(&sids, any, device);
            Some(if negated { logic.not(value) } else { value })
        }
    }
}

/// An operand as a truth value. A literal has none: that is a malformed program.
fn truth<L: Logic>(operand: Operand<'_, L::Value>, logic: &mut L) -> Option<L::Value> {
    let claim = match operand {
        Operand::Result(value) => return Some(value),
        Operand::Literal(_) => return None,
        Operand::Attribute(_, claim) => claim,
    };
    let truth = match claim.map(|claim| &claim.values) {
        Some(ClaimValues::Integers(values)) if values.len() == 1 => Truth::from(values[0] != 0),
        Some(ClaimValues::Unsigned(values) | ClaimValues::Booleans(values)) if values.len() == 1 => {
            Truth::from(values[0] != 0)
        }
        Some(ClaimValues::Strings(values)) if values.len() == 1 => Truth::from(!values[0].is_empty()),
        _ => Truth::Unknown,
    };
    Some(logic.constant(truth))
}

fn binary<L: Logic>(
    operator: Operator,
    left: Operand<'_, L::Value>,
    right: Operand<'_, L::Value>,
    logic: &mut L,
) -> Option<L::Value> {
    if matches!(operator, Operator::And | Operator::Or) {
        let (left, right) = (truth(left, logic)?, truth(right, logic)?);
        return Some(if operator == Operator::And { logic.and(left, right) } else { logic.or(left, right) });
    }
    // The left side is an attribute, the right one an attribute of another kind than local, or a literal.
    let Operand::Attribute(_, left) = left else { return None };
    let right = match &right {
        Operand::Attribute(Source::Local, _) | Operand::Result(_) => return None,
        Operand::Attribute(_, claim) => claim.map(Set::of_claim),
        Operand::Literal(literal) => Some(Set::of_literal(literal)),
    };
    let truth = match (left.map(Set::of_claim), right) {
        (Some(left), Some(right)) => relate(operator, &left, &right)?,
        _ => Truth::Unknown,
    };
    Some(logic.constant(truth))
}

fn relate(operator: Operator, left: &Set<'_>, right: &Set<'_>) -> Option<Truth> {
    let exact = left.exact || right.exact;
    let equal = |a: &Scalar<'_>, b: &Scalar<'_>| a.compare(b, exact) == Some(Ordering::Equal);
    let within = |a: &Set<'_>, b: &Set<'_>| a.values.iter().all(|x| b.values.iter().any(|y| equal(x, y)));
    // Values of other types cannot be compared: unknown.
    let comparable = left.values.iter().all(|x| right.values.iter().all(|y| x.compare(y, exact).is_some()));
    let decided = |truth: bool| if comparable { Truth::from(truth) } else { Truth::Unknown };
    Some(match operator {
        Operator::Equal => decided(within(left, right) && within(right, left)),
        Operator::NotEqual => decided(!(within(left, right) && within(right, left))),
        Operator::Contains => decided(within(right, left)),
        Operator::NotContains => decided(!within(right, left)),
        Operator::AnyOf => decided(right.values.iter().any(|y| left.values.iter().any(|x| equal(x, y)))),
        Operator::NotAnyOf => decided(!right.values.iter().any(|y| left.values.iter().any(|x| equal(x, y)))),
        _ => {
            // Sets have no order: the program is at fault.
            let ([a], [b]) = (left.values.as_slice(), right.values.as_slice()) else { return None };
            match a.order(b, exact) {
                None => Truth::Unknown,
                Some(order) => Truth::from(match operator {
                    Operator::Less => order.is_lt(),
                    Operator::LessOrEqual => order.is_le(),
                    Operator::Greater => order.is_gt(),
                    _ => order.is_ge(),
                }),
            }
        }
    })
}

/// One side of a comparison: a value is a set of one.
struct Set<'a> {
    values: Vec<Scalar<'a>>,
    /// Strings are compared exactly.
    exact: bool,
}

enum Scalar<'a> {
    Number(i128),
    Text(&'a str),
    Sid(&'a Sid),
    Octets(&'a [u8]),
}

impl<'a> Set<'a> {
    fn of_claim(claim: &'a Claim) -> Set<'a> {
        let values = match &claim.values {
            ClaimValues::Integers(values) => values.iter().map(|v| Scalar::Number((*v).into())).collect(),
            ClaimValues::Unsigned(values) | ClaimValues::Booleans(values) => {
                values.iter().map(|v| Scalar::Number((*v).into())).collect()
            }
            ClaimValues::Strings(values) => values.iter().map(|v| Scalar::Text(v)).collect(),
            ClaimValues::Sids(values) => values.iter().map(Scalar::Sid).collect(),
            ClaimValues::Octets(values) => values.iter().map(|v| Scalar::Octets(v)).collect(),
        };
        Set { values, exact: claim.flags & Claim::CASE_SENSITIVE != 0 }
    }

    fn of_literal(literal: &'a Literal) -> Set<'a> {
        let members = match literal {
            Literal::Composite(members) => members.as_slice(),
            single => std::slice::from_ref(single),
        };
        Set { values: members.iter().filter_map(Scalar::of_literal).collect(), exact: false }
    }
}

impl<'a> Scalar<'a> {
    fn of_literal(literal: &'a Literal) -> Option<Scalar<'a>> {
        Some(match literal {
            Literal::Integer { value, .. } => Scalar::Number((*value).into()),
            Literal::String(text) => Scalar::Text(text),
            Literal::Sid(sid) => Scalar::Sid(sid),
            Literal::Octets(bytes) => Scalar::Octets(bytes),
            Literal::Composite(_) => return None,
        })
    }

    /// `None` for values of different types.
    fn compare(&self, other: &Scalar<'_>, exact: bool) -> Option<Ordering> {
        match (self, other) {
            (Scalar::Number(a), Scalar::Number(b)) => Some(a.cmp(b)),
            (Scalar::Text(a), Scalar::Text(b)) if exact => Some(a.cmp(b)),
            (Scalar::Text(a), Scalar::Text(b)) => Some(folded_cmp(a, b)),
            (Scalar::Sid(a), Scalar::Sid(b)) => Some(a.cmp(b)),
            (Scalar::Octets(a), Scalar::Octets(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// SIDs are equal or not, nothing else.
    fn order(&self, other: &Scalar<'_>, exact: bool) -> Option<Ordering> {
        match (self, other) {
            (Scalar::Sid(_), _) => None,
            _ => self.compare(other, exact),
        }
    }
}

/// Order of two texts without regard to case.
fn folded_cmp(a: &str, b: &str) -> Ordering {
    a.chars().flat_map(char::to_uppercase).cmp(b.chars().flat_map(char::to_uppercase))
}

impl Claim {
    /// Whether this is its name, whatever the case.
    pub(super) fn is_named(&self, name: &str) -> bool {
        folded_cmp(&self.name, name) == Ordering::Equal
    }
}
