//! The policies of MTA-STS as domains publish them (RFC 8461 §3). Nothing but text is known here: a fuzz target includes this
//! file.

use std::time::Duration;

/// A policy is valid no longer than a year (RFC 8461 §3.2).
const LONGEST: u64 = 31_557_600;
/// Patterns of hosts in a policy.
const MOST_PATTERNS: usize = 200;

/// What is to be done where a host does not fit the policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// There is no policy, or it asks for nothing.
    #[default]
    None,
    /// Deliver all the same, and say so.
    Testing,
    /// Do not deliver.
    Enforce,
}

/// What a domain demands of the hosts that take its mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    pub mode: Mode,
    /// Names of hosts; `*.` stands for one label.
    patterns: Vec<String>,
}

impl Demand {
    /// Whether the policy names the host (RFC 8461 §4.1).
    pub fn allows(&self, host: &str) -> bool {
        self.patterns.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
            None => pattern == host,
        })
    }

    /// Reads a policy; its lifetime with it.
    pub fn parse(text: &str) -> Result<(Demand, Duration), &'static str> {
        let (mut version, mut mode, mut age, mut patterns) = (None, None, None, Vec::new());
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once(':').ok_or("a line has no colon")?;
            let value = value.trim();
            match key.trim() {
                "version" => version = version.or(Some(value)),
                "mode" if mode.is_none() => {
                    mode = Some(match value {
                        "enforce" => Mode::Enforce,
                        "testing" => Mode::Testing,
                        "none" => Mode::None,
                        _ => return Err("its mode is unknown"),
                    });
                }
                "max_age" => age = age.or(Some(value.parse::<u64>().map_err(|_| "its max_age is no number")?)),
                "mx" if patterns.len() < MOST_PATTERNS => {
                    patterns.push(value.trim_end_matches('.').to_ascii_lowercase());
                }
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err("it is not of version STSv1");
        }
        let mode = mode.ok_or("it has no mode")?;
        let age = age.ok_or("it has no max_age")?.min(LONGEST);
        if mode != Mode::None && patterns.is_empty() {
            return Err("it names no host");
        }
        Ok((Demand { mode, patterns }, Duration::from_secs(age)))
    }
}

/// The id in the TXT record of a domain; none where there is not exactly one such record (RFC 8461 §3.1).
pub fn policy_id(texts: &[String]) -> Option<String> {
    let mut records =
        texts.iter().filter(|text| text.strip_prefix("v=STSv1").is_some_and(|rest| rest.trim_start().starts_with(';')));
    let record = records.next().filter(|_| records.next().is_none())?;
    let id = record.split(';').filter_map(|field| field.trim().strip_prefix("id=")).next()?;
    let is_id = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: &str =
        "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n";

    #[test]
    fn a_policy_names_its_hosts() {
        let (demand, age) = Demand::parse(POLICY).unwrap();
        assert_eq!((demand.mode, age.as_secs()), (Mode::Enforce, 604_800));
        for (host, allowed) in [
            ("mail.example.com", true),
            ("a.example.net", true),
            ("example.net", false),
            ("a.b.example.net", false),
            ("xmail.example.com", false),
            (".example.net", false),
        ] {
            assert_eq!(demand.allows(host), allowed, "{host}");
        }
    }

    #[test]
    fn what_is_no_policy_is_none() {
        for wrong in [
            "",
            "version: STSv2\nmode: none\nmax_age: 1\n",
            "version: STSv1\nmode: enforce\nmax_age: 1\n",
            "version: STSv1\nmode: forced\nmx: a\nmax_age: 1\n",
            "version: STSv1\nmode: enforce\nmx: a\n",
            "version: STSv1\nmode: enforce\nmx: a\nmax_age: long\n",
            "<html>",
        ] {
            assert!(Demand::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_record_of_a_domain_gives_the_id_of_its_policy() {
        let id = |texts: &[&str]| policy_id(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(id(&["v=spf1 -all", "v=STSv1; id=20160831085700Z;"]).as_deref(), Some("20160831085700Z"));
        for wrong in
            [&["v=STSv1; id=a;", "v=STSv1; id=b;"][..], &["v=STSv10; id=a;"], &["v=STSv1;"], &["v=STSv1; id=a-b"]]
        {
            assert_eq!(id(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text in "((version|mode|mx|max_age|x)?:? ?(STSv1|enforce|none|[*.a-z]{0,8}|[0-9]{0,25})\r?\n){0,6}|\\PC*",
        ) {
            if let Ok((demand, age)) = Demand::parse(&text) {
                prop_assert!(demand.mode == Mode::None || !demand.patterns.is_empty());
                prop_assert!(age.as_secs() <= LONGEST);
            }
        }
    }
}
