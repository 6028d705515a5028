//! Conditions and claims in SDDL (MS-DTYP 2.5.1.1).

use std::fmt::Write;

use super::cursor::Cursor;
use super::rights::radix;
use super::{SddlContext, SddlError, sids};
use crate::Sid;
use crate::condition::{Claim, ClaimValues, Expression, Literal, Operator, Source, Token};

/// How deep parentheses may nest.
const MAX_NESTING: usize = 128;

const SOURCES: [(&str, Source); 3] =
    [("@USER.", Source::User), ("@RESOURCE.", Source::Resource), ("@DEVICE.", Source::Device)];

/// Relations between an attribute and a value; longer ones before their beginnings.
const RELATIONS: [Operator; 10] = [
    Operator::Equal,
    Operator::NotEqual,
    Operator::LessOrEqual,
    Operator::GreaterOrEqual,
    Operator::Less,
    Operator::Greater,
    Operator::Contains,
    Operator::AnyOf,
    Operator::NotContains,
    Operator::NotAnyOf,
];

impl<'a> Cursor<'a> {
    /// A condition in its parentheses.
    pub(super) fn condition(&mut self) -> Result<Expression, SddlError> {
        let mut tokens = Vec::new();
        self.group(&mut tokens, 0)?;
        Ok(Expression { tokens })
    }

    fn group(&mut self, out: &mut Vec<Token>, depth: usize) -> Result<(), SddlError> {
        let start = self.at();
        if depth == MAX_NESTING {
            return Err(self.error(start, format!("more than {MAX_NESTING} nested parentheses")));
        }
        self.expect("(")?;
        self.disjunction(out, depth)?;
        self.expect(")")
    }

    fn disjunction(&mut self, out: &mut Vec<Token>, depth: usize) -> Result<(), SddlError> {
        self.conjunction(out, depth)?;
        while self.eat("||") {
            self.conjunction(out, depth)?;
            out.push(Token::Operator(Operator::Or));
        }
        Ok(())
    }

    fn conjunction(&mut self, out: &mut Vec<Token>, depth: usize) -> Result<(), SddlError> {
        self.term(out, depth)?;
        while self.eat("&&") {
            self.term(out, depth)?;
            out.push(Token::Operator(Operator::And));
        }
        Ok(())
    }

    fn term(&mut self, out: &mut Vec<Token>, depth: usize) -> Result<(), SddlError> {
        let mut negations = 0;
        self.skip_whitespace();
        while self.peek() == Some('!') {
            self.next();
            negations += 1;
            self.skip_whitespace();
        }
        if self.peek() == Some('(') {
            self.group(out, depth + 1)?;
        } else {
            self.test(out)?;
        }
        out.extend(std::iter::repeat_n(Token::Operator(Operator::Not), negations));
        self.skip_whitespace();
        Ok(())
    }

    /// A membership, an existence, a relation, or an attribute alone.
    fn test(&mut self, out: &mut Vec<Token>) -> Result<(), SddlError> {
        if let Some(operator) = self.word_operator() {
            self.skip_whitespace();
            match operator {
                Operator::Exists | Operator::NotExists => {
                    let attribute = self.attribute(true)?;
                    out.push(attribute);
                }
                _ => {
                    // Windows takes any value here; what is no SID makes the condition unknown.
                    let value = self.value()?;
                    out.push(Token::Literal(value));
                }
            }
            out.push(Token::Operator(operator));
            return Ok(());
        }
        let attribute = self.attribute(true)?;
        out.push(attribute);
        self.skip_whitespace();
        let Some(operator) = self.relation() else { return Ok(()) };
        self.skip_whitespace();
        let right = if self.peek() == Some('@') { self.attribute(false)? } else { Token::Literal(self.value()?) };
        out.push(right);
        out.push(Token::Operator(operator));
        Ok(())
    }

    /// One of the unary operators that are words, in any case.
    fn word_operator(&mut self) -> Option<Operator> {
        let rest = self.rest();
        let word = &rest[..rest.find(|c: char| !c.is_ascii_alphabetic() && c != '_').unwrap_or(rest.len())];
        let operator = Operator::ALL.into_iter().filter(|op| op.is_unary() && *op != Operator::Not);
        let operator = operator.into_iter().find(|op| op.sddl().eq_ignore_ascii_case(word))?;
        // A local attribute may begin like an operator.
        if rest[word.len()..].starts_with(is_simple_name) {
            return None;
        }
        self.take(word.len());
        Some(operator)
    }

    fn relation(&mut self) -> Option<Operator> {
        let found = RELATIONS.into_iter().find(|op| {
            let name = op.sddl();
            self.rest().get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name))
        })?;
        self.take(found.sddl().len());
        Some(found)
    }

    fn attribute(&mut self, local: bool) -> Result<Token, SddlError> {
        let start = self.at();
        let source = SOURCES
            .into_iter()
            .find(|(prefix, _)| self.rest().get(..prefix.len()).is_some_and(|text| text.eq_ignore_ascii_case(prefix)));
        let (source, text) = match source {
            Some((prefix, source)) => {
                self.take(prefix.len());
                (source, self.take_while(|c| !c.is_ascii_whitespace() && !"!\"&()<=>|".contains(c)))
            }
            None if local => (Source::Local, self.take_while(is_simple_name)),
            None => return Err(self.error(start, "expected @User., @Resource. or @Device. and a name, or a value")),
        };
        match unescape(text) {
            Some(name) if !name.is_empty() => Ok(Token::Attribute { source, name }),
            _ => Err(self.error(start, "expected the name of an attribute")),
        }
    }

    /// A literal or a set of them.
    fn value(&mut self) -> Result<Literal, SddlError> {
        if !self.eat("{") {
            return self.literal();
        }
        let mut members = Vec::new();
        self.skip_whitespace();
        if self.eat("}") {
            return Ok(Literal::Composite(members));
        }
        loop {
            self.skip_whitespace();
            members.push(self.literal()?);
            self.skip_whitespace();
            if self.eat("}") {
                return Ok(Literal::Composite(members));
            }
            self.expect(",")?;
        }
    }

    fn literal(&mut self) -> Result<Literal, SddlError> {
        let start = self.at();
        match self.peek() {
            Some('"') => self.string().map(Literal::String),
            Some('#') => self.octets().map(Literal::Octets),
            Some('S' | 's') => self.sid_literal().map(Literal::Sid),
            Some('+' | '-' | '0'..='9') => {
                let text = self.number_text();
                integer(text).ok_or_else(|| self.error(start, "not an integer of 64 bits"))
            }
            _ => Err(self.error(start, "expected a value: a number, \"text\", #hex, SID(…) or {…}")),
        }
    }

    fn number_text(&mut self) -> &'a str {
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '-' || c == '+')
    }

    fn string(&mut self) -> Result<String, SddlError> {
        let start = self.at();
        self.expect("\"")?;
        let text = self.take_while(|c| c != '"');
        if !self.eat("\"") {
            return Err(self.error(start, "the text has no end"));
        }
        Ok(text.into())
    }

    fn octets(&mut self) -> Result<Vec<u8>, SddlError> {
        let start = self.at();
        self.eat("#");
        let digits = self.take_while(|c| c.is_ascii_hexdigit()).as_bytes();
        let (pairs, rest) = digits.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.error(start, "octets are pairs of hexadecimal digits"));
        }
        let nibble = |c: u8| (c as char).to_digit(16).unwrap_or(0) as u8;
        Ok(pairs.iter().map(|[high, low]| nibble(*high) << 4 | nibble(*low)).collect())
    }

    fn sid_literal(&mut self) -> Result<Sid, SddlError> {
        let start = self.at();
        let word = self.take_while(|c| c.is_ascii_alphabetic());
        if !word.eq_ignore_ascii_case("SID") {
            return Err(self.error(start, "expected SID(…)"));
        }
        self.skip_whitespace();
        self.expect("(")?;
        self.skip_whitespace();
        let start = self.at();
        let text = self.take_while(|c| c != ')' && !c.is_ascii_whitespace());
        let sid = self.sid(text, start)?;
        self.skip_whitespace();
        self.expect(")")?;
        Ok(sid)
    }

    /// `("name",TS,0x0,"value",…)`
    pub(super) fn claim(&mut self) -> Result<Claim, SddlError> {
        self.expect("(")?;
        self.skip_whitespace();
        let name = self.string()?;
        self.comma()?;
        let start = self.at();
        let kind = self.take_while(|c| c.is_ascii_alphabetic()).to_ascii_uppercase();
        let mut values = match kind.as_str() {
            "TI" => ClaimValues::Integers(Vec::new()),
            "TU" => ClaimValues::Unsigned(Vec::new()),
            "TS" => ClaimValues::Strings(Vec::new()),
            "TD" => ClaimValues::Sids(Vec::new()),
            "TB" => ClaimValues::Booleans(Vec::new()),
            "TX" => ClaimValues::Octets(Vec::new()),
            _ => return Err(self.error(start, "expected TI, TU, TS, TD, TX or TB")),
        };
        self.comma()?;
        let start = self.at();
        let flags = super::rights::number(self.number_text());
        let flags = flags.ok_or_else(|| self.error(start, "the flags of a claim are a number of 32 bits"))?;
        self.skip_whitespace();
        while !self.eat(")") {
            self.comma()?;
            self.claim_value(&mut values)?;
            self.skip_whitespace();
        }
        Ok(Claim { name, flags, values })
    }

    fn comma(&mut self) -> Result<(), SddlError> {
        self.skip_whitespace();
        self.expect(",")?;
        self.skip_whitespace();
        Ok(())
    }

    fn claim_value(&mut self, values: &mut ClaimValues) -> Result<(), SddlError> {
        let start = self.at();
        match values {
            ClaimValues::Strings(values) => values.push(self.string()?),
            ClaimValues::Octets(values) => values.push(self.octets()?),
            ClaimValues::Sids(values) if self.rest().get(..4).is_some_and(|t| t.eq_ignore_ascii_case("SID(")) => {
                values.push(self.sid_literal()?);
            }
            ClaimValues::Sids(values) => {
                let text = self.take_while(|c| !matches!(c, ',' | ')') && !c.is_ascii_whitespace());
                let sid = self.sid(text, start)?;
                values.push(sid);
            }
            ClaimValues::Integers(values) => {
                let value = match integer(self.number_text()) {
                    Some(Literal::Integer { value, .. }) => value,
                    _ => return Err(self.error(start, "not an integer of 64 bits")),
                };
                values.push(value);
            }
            ClaimValues::Unsigned(values) | ClaimValues::Booleans(values) => {
                let (digits, radix) = radix(self.number_text());
                let value = u64::from_str_radix(digits, radix).ok();
                let value = value.ok_or_else(|| self.error(start, "not an unsigned integer of 64 bits"))?;
                values.push(value);
            }
        }
        Ok(())
    }
}

/// Characters of a name without `@` prefix.
fn is_simple_name(c: char) -> bool {
    c.is_alphanumeric() || "_:./*%".contains(c)
}

/// `[+-]` and a number with C's prefixes, as 64 bits.
fn integer(text: &str) -> Option<Literal> {
    let (sign, magnitude) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (2, &text[1..]),
        _ => (3, text),
    };
    let (digits, radix) = radix(magnitude);
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = i64::try_from(if sign == 2 { -value } else { value }).ok()?;
    let base = match radix {
        8 => 1,
        16 => 3,
        _ => 2,
    };
    Some(Literal::Integer { value, width: 4, sign, base })
}

/// `%XXXX` stands for a UTF-16 unit.
fn unescape(text: &str) -> Option<String> {
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '%' {
            let digits: String = chars.by_ref().take(4).collect();
            if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            units.push(u16::from_str_radix(&digits, 16).ok()?);
        } else {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
        }
    }
    String::from_utf16(&units).ok()
}

/// Writes a condition as Windows does: every operand of `&&`, `||` and `!` in parentheses. `None` for programs that SDDL
/// cannot express; but for texts with a quotation mark these are malformed ones, whose result is unknown.
pub(super) fn text(expression: &Expression, context: &SddlContext) -> Option<String> {
    let mut stack: Vec<Operand> = Vec::new();
    for token in &expression.tokens {
        let operand = match token {
            Token::Literal(literal) => Operand { text: literal_text(literal, context)?, kind: Kind::Literal, depth: 0 },
            Token::Attribute { source, name } => {
                let kind = if *source == Source::Local { Kind::Local } else { Kind::Attribute };
                Operand { text: attribute_text(*source, name)?, kind, depth: 0 }
            }
            Token::Operator(operator) if operator.is_unary() => unary_text(*operator, stack.pop()?)?,
            Token::Operator(operator) => {
                let right = stack.pop()?;
                binary_text(*operator, stack.pop()?, right)?
            }
        };
        // Also bounds the work: texts are copied once for each level.
        if operand.depth >= MAX_NESTING {
            return None;
        }
        stack.push(operand);
    }
    let whole = stack.pop().filter(|whole| stack.is_empty() && whole.kind != Kind::Literal)?;
    Some(format!("({})", whole.text))
}

struct Operand {
    text: String,
    kind: Kind,
    depth: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Literal,
    Attribute,
    Local,
    Result,
}

fn unary_text(operator: Operator, operand: Operand) -> Option<Operand> {
    let literal = operand.kind == Kind::Literal;
    let text = match operator {
        Operator::Not if !literal => format!("!({})", operand.text),
        Operator::Exists | Operator::NotExists if !literal && operand.kind != Kind::Result => {
            format!("{} {}", operator.sddl(), operand.text)
        }
        _ if operator.is_membership() && literal => format!("{} {}", operator.sddl(), operand.text),
        _ => return None,
    };
    Some(Operand { text, kind: Kind::Result, depth: operand.depth + 1 })
}

fn binary_text(operator: Operator, left: Operand, right: Operand) -> Option<Operand> {
    let depth = 1 + left.depth.max(right.depth);
    let name = operator.sddl();
    let text = match operator {
        Operator::And | Operator::Or if left.kind != Kind::Literal && right.kind != Kind::Literal => {
            format!("({}) {name} ({})", left.text, right.text)
        }
        Operator::And | Operator::Or => return None,
        _ => {
            let sides = matches!(left.kind, Kind::Attribute | Kind::Local)
                && matches!(right.kind, Kind::Attribute | Kind::Literal);
            sides.then(|| format!("{} {name} {}", left.text, right.text))?
        }
    };
    Some(Operand { text, kind: Kind::Result, depth })
}

fn attribute_text(source: Source, name: &str) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    let mut out = String::new();
    if let Some((prefix, _)) = SOURCES.into_iter().find(|(_, other)| *other == source) {
        out.push_str(prefix);
    }
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '/') {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "%{unit:04x}");
            }
        }
    }
    Some(out)
}

fn literal_text(literal: &Literal, context: &SddlContext) -> Option<String> {
    let mut out = String::new();
    match literal {
        Literal::Integer { value, sign, base, .. } => {
            let magnitude = value.unsigned_abs();
            out.push_str(match (sign, value.is_negative()) {
                (_, true) => "-",
                (1, _) => "+",
                (2, _) if *value == 0 => "-",
                _ => "",
            });
            let _ = match base {
                1 => write!(out, "0{magnitude:o}"),
                3 => write!(out, "{magnitude:#x}"),
                _ => write!(out, "{magnitude}"),
            };
        }
        Literal::String(text) => out.push_str(&quoted(text)?),
        Literal::Octets(bytes) => {
            out.push('#');
            bytes.iter().for_each(|byte| {
                let _ = write!(out, "{byte:02x}");
            });
        }
        Literal::Sid(sid) => {
            out.push_str("SID(");
            sids::write(&mut out, sid, context);
            out.push(')');
        }
        Literal::Composite(members) => {
            let members: Option<Vec<String>> = members.iter().map(|member| literal_text(member, context)).collect();
            let _ = write!(out, "{{{}}}", members?.join(", "));
        }
    }
    Some(out)
}

/// SDDL has no way to write a quotation mark.
fn quoted(text: &str) -> Option<String> {
    (!text.contains('"')).then(|| format!("\"{text}\""))
}

/// `("name",TS,0x0,"value",…)`
pub(super) fn claim_text(claim: &Claim, context: &SddlContext) -> Option<String> {
    let sid = |sid: &Sid| literal_text(&Literal::Sid(sid.clone()), context);
    let octets = |bytes: &Vec<u8>| literal_text(&Literal::Octets(bytes.clone()), context);
    let (kind, values): (&str, Option<Vec<String>>) = match &claim.values {
        ClaimValues::Integers(values) => ("TI", Some(values.iter().map(i64::to_string).collect())),
        ClaimValues::Unsigned(values) => ("TU", Some(values.iter().map(u64::to_string).collect())),
        ClaimValues::Booleans(values) => ("TB", Some(values.iter().map(u64::to_string).collect())),
        ClaimValues::Strings(values) => ("TS", values.iter().map(|text| quoted(text)).collect()),
        ClaimValues::Sids(values) => ("TD", values.iter().map(sid).collect()),
        ClaimValues::Octets(values) => ("TX", values.iter().map(octets).collect()),
    };
    let mut out = format!("({},{kind},{:#x}", quoted(&claim.name)?, claim.flags);
    for value in values? {
        out.push(',');
        out.push_str(&value);
    }
    out.push(')');
    Some(out)
}
