//! Address rewriting: tables of connectors.

use std::fmt;

use message::{Address, CanonicalAddress};

/// A rule of address rewriting: one address, or all of one domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// This address becomes that one.
    Address {
        /// What is replaced.
        from: CanonicalAddress,
        /// By what.
        to: Address,
    },
    /// Addresses of this domain become the same of that one. Both canonical.
    Domain {
        /// What is replaced.
        from: String,
        /// By what.
        to: String,
    },
}

/// What a receive connector rewrites beside the recipients of the envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RewriteHeaders {
    /// Nothing.
    #[default]
    None,
    /// Recipients in the header: To, Cc and the like.
    Recipients,
    /// Those, and senders: the envelope's, From, Sender, Reply-To and the like.
    All,
}

impl RewriteHeaders {
    /// All of them.
    pub const ALL: [RewriteHeaders; 3] = [RewriteHeaders::None, RewriteHeaders::Recipients, RewriteHeaders::All];

    /// As the directory and the command line spell it.
    pub fn name(self) -> &'static str {
        match self {
            RewriteHeaders::None => "none",
            RewriteHeaders::Recipients => "recipients",
            RewriteHeaders::All => "all",
        }
    }
}

impl Rewrite {
    /// Reads `old@example.com:new@example.net` or `example.com:example.net`. The error is in words.
    pub fn parse(text: &str) -> Result<Rewrite, String> {
        let (from, to) = text
            .trim()
            .split_once(':')
            .ok_or_else(|| format!("“{text}” is no rule: write OLD:NEW, two addresses or two domains"))?;
        if from.contains('@') || to.contains('@') {
            let address =
                |text: &str| Address::parse(text.trim()).map_err(|_| format!("“{text}” is not a mail address"));
            return Ok(Rewrite::Address { from: address(from)?.canonical(), to: address(to)? });
        }
        let domain =
            |text: &str| message::canonical_domain(text.trim()).ok_or_else(|| format!("“{text}” is not a domain"));
        Ok(Rewrite::Domain { from: domain(from)?, to: domain(to)? })
    }

    /// What an address becomes by these rules: one for the address itself goes before those for its domain. `None`: it
    /// stays as it is.
    pub fn apply(rules: &[Rewrite], address: &Address) -> Option<Address> {
        if rules.is_empty() {
            return None;
        }
        let canonical = address.canonical();
        let exact = rules.iter().find_map(|rule| match rule {
            Rewrite::Address { from, to } if *from == canonical => Some(to.clone()),
            _ => None,
        });
        exact.or_else(|| {
            rules.iter().find_map(|rule| match rule {
                Rewrite::Domain { from, to } if from == canonical.domain() => {
                    let (local, _) = address.as_str().rsplit_once('@')?;
                    Address::parse(&format!("{local}@{to}")).ok()
                }
                _ => None,
            })
        })
    }
}

impl fmt::Display for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rewrite::Address { from, to } => write!(f, "{}:{to}", from.as_str()),
            Rewrite::Domain { from, to } => write!(f, "{from}:{to}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_for_an_address_goes_before_one_for_its_domain() {
        let rules = ["old.test:new.test", "boss@old.test:ceo@new.test"].map(|text| Rewrite::parse(text).unwrap());
        let rewritten = |text: &str| {
            let address = Address::parse(text).unwrap();
            Rewrite::apply(&rules, &address).map(|address| address.to_string())
        };
        assert_eq!(rewritten("Boss@OLD.test").as_deref(), Some("ceo@new.test"));
        assert_eq!(rewritten("sue@old.test").as_deref(), Some("sue@new.test"));
        assert_eq!(rewritten("sue@sub.old.test"), None);
        for wrong in ["old.test", "a@old.test:new.test", ":", "old test:new.test"] {
            assert!(Rewrite::parse(wrong).is_err(), "{wrong}");
        }
    }
}
