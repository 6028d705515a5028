//! How large the messages are.

use std::str::FromStr;

use crate::error::PlanError;
use crate::random::Random;

/// A distribution of message sizes in bytes, header included: one size (`10k`), a range with equal chances (`1k-64k`), or a weighted
/// mix of both (`4k=70,100k-200k=25,5m=5`). `k` is 1,000 bytes and `m` 1,000,000; `ki` and `mi` are 1,024 and 1,048,576.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    choices: Vec<Choice>,
    total_weight: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    smallest: u64,
    largest: u64,
    weight: u64,
}

impl Sizes {
    /// Every message has this size.
    pub fn fixed(bytes: u64) -> Sizes {
        Sizes { choices: vec![Choice { smallest: bytes, largest: bytes, weight: 1 }], total_weight: 1 }
    }

    /// The largest size that can occur.
    pub fn largest(&self) -> u64 {
        self.choices.iter().map(|choice| choice.largest).max().unwrap_or(0)
    }

    pub(crate) fn any(&self, random: &mut Random) -> u64 {
        let mut ticket = random.below(self.total_weight);
        for choice in &self.choices {
            if ticket < choice.weight {
                return choice.smallest + random.below(choice.largest - choice.smallest + 1);
            }
            ticket -= choice.weight;
        }
        self.largest()
    }
}

impl FromStr for Sizes {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Sizes, PlanError> {
        let choices = text.split(',').map(choice).collect::<Result<Vec<Choice>, PlanError>>()?;
        let total_weight = choices.iter().map(|choice| choice.weight).sum();
        Ok(Sizes { choices, total_weight })
    }
}

fn choice(text: &str) -> Result<Choice, PlanError> {
    let (range, weight) = weighted(text)?;
    let (from, to) = range.split_once('-').unwrap_or((range, range));
    let (smallest, largest) = (bytes(from)?, bytes(to)?);
    if smallest > largest {
        return Err(PlanError::Size { text: text.to_owned() });
    }
    Ok(Choice { smallest, largest, weight })
}

/// Splits `what=weight`; the weight is 1 where none is given.
pub(crate) fn weighted(text: &str) -> Result<(&str, u64), PlanError> {
    let Some((what, weight)) = text.rsplit_once('=') else { return Ok((text, 1)) };
    match weight.trim().parse() {
        Ok(weight @ 1..=1_000_000) => Ok((what, weight)),
        _ => Err(PlanError::Weight { text: text.to_owned() }),
    }
}

fn bytes(text: &str) -> Result<u64, PlanError> {
    let fault = || PlanError::Size { text: text.to_owned() };
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        _ => return Err(fault()),
    };
    let number: u64 = digits.parse().map_err(|_| fault())?;
    number.checked_mul(unit).filter(|bytes| *bytes <= 1 << 40).ok_or_else(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_size_is_always_that_size() {
        let sizes: Sizes = "10k".parse().unwrap();
        assert_eq!(sizes.any(&mut Random::new(1)), 10_000);
    }

    #[test]
    fn a_range_stays_within_its_ends() {
        let sizes: Sizes = "1ki-2ki".parse().unwrap();
        let mut random = Random::new(7);
        let drawn: Vec<u64> = (0..1000).map(|_| sizes.any(&mut random)).collect();
        assert!(drawn.iter().all(|size| (1024..=2048).contains(size)) && drawn.iter().any(|size| *size != drawn[0]));
    }

    #[test]
    fn weights_are_followed() {
        let sizes: Sizes = "1=90,2=10".parse().unwrap();
        let mut random = Random::new(7);
        let small = (0..10_000).filter(|_| sizes.any(&mut random) == 1).count();
        assert!((8_700..9_300).contains(&small), "{small} of 10000 were the size with weight 90 %");
    }

    #[test]
    fn a_unit_that_does_not_exist_is_refused() {
        assert!(matches!("10x".parse::<Sizes>(), Err(PlanError::Size { .. })));
    }

    #[test]
    fn a_weight_of_zero_is_refused() {
        assert!(matches!("10k=0".parse::<Sizes>(), Err(PlanError::Weight { .. })));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9kmib=,.-]{0,30}") {
            if let Ok(sizes) = text.parse::<Sizes>() {
                let _ = sizes.any(&mut Random::new(1));
            }
        }
    }
}
