//! Names by the thousand: `user{0..999}@example.com`.

use std::str::FromStr;

use crate::error::PlanError;
use crate::random::Random;

/// A text with ranges of numbers in it. `user{0..999}` stands for a thousand names, `{account}` for the login in use.
///
/// A range `{a..b}` includes both ends and keeps leading zeros: `{000..999}` gives `007`. Several ranges multiply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Range { first: u64, count: u64, width: usize },
    Account,
}

impl Pattern {
    /// How many different names the pattern stands for; `{account}` counts as one.
    pub fn count(&self) -> u64 {
        self.parts.iter().fold(1, |product: u64, part| match part {
            Part::Range { count, .. } => product.saturating_mul(*count),
            _ => product,
        })
    }

    /// Name number `index` (modulo [`count`](Pattern::count)), with `{account}` replaced; the last range runs fastest.
    pub fn name(&self, index: u64, account: &str) -> String {
        let mut rest = index % self.count().max(1);
        let mut digits: Vec<u64> = Vec::new();
        for part in self.parts.iter().rev() {
            if let Part::Range { count, .. } = part {
                digits.push(rest % count);
                rest /= count;
            }
        }
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Account => name.push_str(account),
                Part::Range { first, width, .. } => {
                    let value = first + digits.pop().unwrap_or(0);
                    name.push_str(&format!("{value:0width$}"));
                }
            }
        }
        name
    }

    pub(crate) fn any(&self, random: &mut Random, account: &str) -> String {
        self.name(random.below(self.count()), account)
    }

    /// Whether the pattern mentions `{account}`, and so means nothing without a login.
    pub fn needs_account(&self) -> bool {
        self.parts.contains(&Part::Account)
    }
}

impl FromStr for Pattern {
    type Err = PlanError;

    fn from_str(pattern: &str) -> Result<Pattern, PlanError> {
        let braces = || PlanError::Braces { pattern: pattern.to_owned() };
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let Some(open) = rest.find(['{', '}']) {
            if rest[open..].starts_with('}') {
                return Err(braces());
            }
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let inside_on = &rest[open + 1..];
            let close = inside_on.find('}').ok_or_else(braces)?;
            let inside = &inside_on[..close];
            parts.push(
                part(inside)
                    .ok_or_else(|| PlanError::Range { pattern: pattern.to_owned(), inside: inside.to_owned() })?,
            );
            rest = &inside_on[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Pattern { parts })
    }
}

fn part(inside: &str) -> Option<Part> {
    if inside == "account" {
        return Some(Part::Account);
    }
    let (from, to) = inside.split_once("..")?;
    let number = |text: &str| -> Option<u64> {
        (!text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse().ok())?
    };
    let (first, last) = (number(from)?, number(to)?);
    let count = last.checked_sub(first)?.checked_add(1)?;
    let width = if from.starts_with('0') && from.len() > 1 { from.len() } else { 0 };
    Some(Part::Range { first, count, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        let pattern: Pattern = pattern.parse().unwrap();
        (0..pattern.count()).map(|index| pattern.name(index, "bob")).collect()
    }

    #[test]
    fn a_range_includes_both_ends() {
        assert_eq!(names("user{8..10}@x"), ["user8@x", "user9@x", "user10@x"]);
    }

    #[test]
    fn leading_zeros_are_kept() {
        assert_eq!(names("u{08..10}"), ["u08", "u09", "u10"]);
    }

    #[test]
    fn several_ranges_multiply_and_the_last_runs_fastest() {
        assert_eq!(names("{1..2}-{1..2}"), ["1-1", "1-2", "2-1", "2-2"]);
    }

    #[test]
    fn the_account_is_put_in() {
        assert_eq!(names("{account}@example.com"), ["bob@example.com"]);
    }

    #[test]
    fn an_unclosed_brace_is_refused() {
        assert!(matches!("user{0..9".parse::<Pattern>(), Err(PlanError::Braces { .. })));
    }

    #[test]
    fn a_range_that_runs_backwards_is_refused() {
        assert!(matches!("user{9..0}".parse::<Pattern>(), Err(PlanError::Range { .. })));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z{}.0-9]{0,40}", index: u64) {
            if let Ok(pattern) = text.parse::<Pattern>() {
                let _ = pattern.name(index, "bob");
            }
        }
    }
}
