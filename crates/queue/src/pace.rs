//! How much a destination is given at a time, and how fast.
//!
//! One that nothing is known of gets little; each answer earns it one more, up to what is configured. One that says that it
//! is given too much keeps what it bore, and is tried with more after many answers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Millis, QueueOptions};

/// Answers after which a destination that was crowded is tried with one more.
const ANSWERS: u32 = 100;
/// Idle destinations of which the next slot is remembered.
const MOST_REMEMBERED: usize = 10_000;

/// What may be given to destinations of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Deliveries at a time; 0: as many as [`QueueOptions::per_destination`] says.
    pub at_a_time: u32,
    /// Deliveries a minute, evenly spread; 0: no limit.
    pub per_minute: u32,
}

/// Who may have how much.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    /// For one destination.
    pub(crate) per_destination: u32,
    /// For one that nothing is known of.
    pub(crate) first: u32,
    /// For all that are not near.
    pub(crate) far: u32,
    /// How the names of those begin that do not stall.
    pub(crate) near: Vec<String>,
    pub(crate) limits: Vec<(String, Limits)>,
    /// When destinations that were forgotten may have their next delivery.
    pub(crate) slots: HashMap<Arc<str>, Millis>,
}

/// How much one destination is given.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    pub(crate) limits: Limits,
    /// No delivery before this, because of [`Limits::per_minute`].
    pub(crate) not_before: Millis,
    first: u32,
    /// What it may have at a time by what it has answered.
    window: u32,
    /// What it bore when it said that it is given too much; 0: it never did.
    ceiling: u32,
    /// Answers since then.
    answers: u32,
}

impl Shares {
    pub(crate) fn of(options: &QueueOptions) -> Shares {
        let per_destination = options.per_destination.max(1);
        Shares {
            per_destination,
            first: options.first.clamp(1, per_destination),
            far: options.far.max(8),
            near: options.near.clone(),
            ..Shares::default()
        }
    }

    pub(crate) fn is_near(&self, name: &str) -> bool {
        self.near.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }

    pub(crate) fn limits_of(&self, name: &str) -> Limits {
        let is_of =
            |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        self.limits.iter().find(|(prefix, _)| is_of(prefix)).map(|(_, limits)| *limits).unwrap_or_default()
    }

    /// The pace of a destination that comes up.
    pub(crate) fn pace(&mut self, name: &str) -> Pace {
        let not_before = self.slots.remove(name).unwrap_or(Millis::MIN);
        Pace { limits: self.limits_of(name), not_before, first: self.first, window: self.first, ceiling: 0, answers: 0 }
    }

    /// A destination with nothing to do is forgotten, but not when it may have its next delivery.
    pub(crate) fn remember(&mut self, name: &Arc<str>, pace: &Pace) {
        if pace.limits.per_minute == 0 {
            return;
        }
        if self.slots.len() >= MOST_REMEMBERED {
            let earliest = pace.not_before - pace.interval();
            self.slots.retain(|_, slot| *slot > earliest);
        }
        if self.slots.len() < MOST_REMEMBERED {
            self.slots.insert(name.clone(), pace.not_before);
        }
    }
}

impl Pace {
    /// How many deliveries it may have at a time.
    pub(crate) fn at_a_time(&self, per_destination: u32) -> u32 {
        let most = if self.limits.at_a_time > 0 { self.limits.at_a_time } else { per_destination };
        self.window.min(most)
    }

    /// Whether it has answered since it last failed.
    pub(crate) fn is_proven(&self) -> bool {
        self.window > self.first
    }

    /// It took a message, or refused one for good.
    pub(crate) fn answered(&mut self) {
        if self.ceiling > 0 && self.window >= self.ceiling {
            self.answers += 1;
            if self.answers < ANSWERS {
                return;
            }
            self.answers = 0;
            self.ceiling = self.ceiling.saturating_add(1);
        }
        self.window = self.window.saturating_add(1);
    }

    /// It does not answer.
    pub(crate) fn failed(&mut self) {
        self.window = self.first;
    }

    /// It bears so many and no more.
    pub(crate) fn crowded(&mut self, bears: u32) {
        self.ceiling = bears;
        self.window = self.window.min(bears);
        self.answers = 0;
    }

    /// A delivery is leased.
    pub(crate) fn leased(&mut self, now: Millis) {
        if self.limits.per_minute > 0 {
            self.not_before = self.not_before.max(now).saturating_add(self.interval());
        }
    }

    /// The clock was moved.
    pub(crate) fn shift(&mut self, by: Millis) {
        if self.not_before != Millis::MIN {
            self.not_before = self.not_before.saturating_add(by);
        }
    }

    fn interval(&self) -> Millis {
        60_000 / Millis::from(self.limits.per_minute.max(1))
    }
}
