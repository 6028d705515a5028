//! What somebody should look at: said in the log, counted, and mailed to whoever is named, once and not every minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use message::Address;

use crate::pause;
use crate::shared::{Shared, now};

/// An alarm that goes on is mailed again after this time.
const AGAIN: i64 = 24 * 3_600_000;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Which: `certificate`, `queue-age`, `disk`, …; one of a name rings at a time.
    pub name: &'static str,
    /// One line.
    pub subject: String,
    /// What is known, and what mends it.
    pub text: String,
}

/// The alarms that ring.
#[derive(Debug, Default)]
pub struct Alarms(Mutex<BTreeMap<&'static str, Ringing>>);

#[derive(Debug)]
struct Ringing {
    subject: String,
    told: i64,
}

impl Alarms {
    /// Those that ring now: name and subject.
    pub fn ringing(&self) -> Vec<(&'static str, String)> {
        let alarms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        alarms.iter().map(|(name, ringing)| (*name, ringing.subject.clone())).collect()
    }
}

impl Shared {
    /// Takes note of what is wrong now, of all that was looked at. What is new is logged and mailed to `to`; what goes on is
    /// mailed again after a day; what is over is logged.
    pub fn sound(&self, wrong: &[Alarm], to: &[String]) {
        let time = now().0;
        let mut tell = Vec::new();
        {
            let mut alarms = self.alarms().0.lock().unwrap_or_else(PoisonError::into_inner);
            alarms.retain(|name, ringing| {
                let goes_on = wrong.iter().any(|alarm| alarm.name == *name);
                if !goes_on {
                    tracing::info!(alarm = name, "no more: {}", ringing.subject);
                }
                goes_on
            });
            for alarm in wrong {
                let told = alarms.get(alarm.name).map(|ringing| ringing.told);
                if told.is_none() {
                    tracing::warn!(alarm = alarm.name, "{}", alarm.subject);
                }
                let due = told.is_none_or(|told| time.saturating_sub(told) >= AGAIN);
                if due {
                    tell.push(alarm);
                }
                let told = if due { time } else { told.unwrap_or(time) };
                alarms.insert(alarm.name, Ringing { subject: alarm.subject.clone(), told });
            }
        }
        let snapshot = self.snapshot();
        for alarm in tell {
            for to in to {
                match Address::parse(to) {
                    Ok(address) => pause::mail(self, &snapshot, &address, &alarm.subject, &alarm.text),
                    Err(error) => tracing::error!(to, %error, "nobody can be told of an alarm there"),
                }
            }
        }
    }
}
