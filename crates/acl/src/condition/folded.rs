//! Programs with everything decided that a token cannot change.

use super::eval::{self, Logic};
use super::{Claim, Expression, Source, Truth};
use crate::{Sid, SidId, SidSet};

/// A conditional program reduced to Member_of tests on interned SIDs: tokens without claims and devices need no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    /// In postfix order.
    steps: Box<[Step]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Constant(Truth),
    AllOf(Box<[SidId]>),
    AnyOf(Box<[SidId]>),
    And,
    Or,
    Not,
}

impl Folded {
    /// Reduces the data of a callback ACE. `resource` are the claims about the object.
    pub(crate) fn new(data: &[u8], resource: &[Claim], intern: &mut dyn FnMut(&Sid) -> SidId) -> Folded {
        let steps = Expression::parse(data).ok().and_then(|expression| {
            let claim = |source: Source, name: &str| {
                let here = source == Source::Resource;
                resource.iter().find(|claim| here && claim.is_named(name))
            };
            eval::run(&expression, &mut Folder { intern }, claim)
        });
        Folded { steps: steps.unwrap_or_else(|| vec![Step::Constant(Truth::Unknown)]).into() }
    }

    /// The value for a token without claims. Does not allocate.
    pub(crate) fn evaluate(&self, token: &SidSet) -> Truth {
        let mut stack = [Truth::Unknown; eval::MAX_DEPTH];
        let mut depth = 0;
        // `eval::run` let no program through that underflows or is deeper than the stack.
        for step in &self.steps {
            match step {
                Step::Not => stack[depth - 1] = stack[depth - 1].negate(),
                Step::And | Step::Or => {
                    depth -= 1;
                    let (a, b) = (stack[depth - 1], stack[depth]);
                    stack[depth - 1] = if *step == Step::And { a.and(b) } else { a.or(b) };
                }
                Step::Constant(truth) => {
                    stack[depth] = *truth;
                    depth += 1;
                }
                Step::AllOf(sids) => {
                    stack[depth] = sids.iter().all(|sid| token.contains(*sid)).into();
                    depth += 1;
                }
                Step::AnyOf(sids) => {
                    stack[depth] = sids.iter().any(|sid| token.contains(*sid)).into();
                    depth += 1;
                }
            }
        }
        stack[0]
    }
}

struct Folder<'a> {
    intern: &'a mut dyn FnMut(&Sid) -> SidId,
}

impl Logic for Folder<'_> {
    type Value = Vec<Step>;

    fn constant(&mut self, truth: Truth) -> Vec<Step> {
        vec![Step::Constant(truth)]
    }

    fn member(&mut self, sids: &[&Sid], any: bool, device: bool) -> Vec<Step> {
        if device {
            // No device: it holds no SID at all.
            return self.constant(Truth::from(!any && sids.is_empty()));
        }
        let sids = sids.iter().map(|sid| (self.intern)(sid)).collect();
        vec![if any { Step::AnyOf(sids) } else { Step::AllOf(sids) }]
    }

    fn and(&mut self, a: Vec<Step>, b: Vec<Step>) -> Vec<Step> {
        match (a.as_slice(), b.as_slice()) {
            ([Step::Constant(x)], [Step::Constant(y)]) => vec![Step::Constant(x.and(*y))],
            _ => join(a, b, Step::And),
        }
    }

    fn or(&mut self, a: Vec<Step>, b: Vec<Step>) -> Vec<Step> {
        match (a.as_slice(), b.as_slice()) {
            ([Step::Constant(x)], [Step::Constant(y)]) => vec![Step::Constant(x.or(*y))],
            _ => join(a, b, Step::Or),
        }
    }

    fn not(&mut self, mut a: Vec<Step>) -> Vec<Step> {
        match a.as_slice() {
            [Step::Constant(x)] => vec![Step::Constant(x.negate())],
            _ => {
                a.push(Step::Not);
                a
            }
        }
    }
}

fn join(mut a: Vec<Step>, b: Vec<Step>, operator: Step) -> Vec<Step> {
    a.extend(b);
    a.push(operator);
    a
}
