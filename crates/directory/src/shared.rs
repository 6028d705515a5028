//! What all snapshots of one lineage share: numbers that mean the same in each of them, and things stored once.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use acl::SidId;

use crate::attributes::{self, FIRST_UNKNOWN};
use crate::descriptor::{DescriptorTable, Explicit};
use crate::sids::SidTable;
use crate::token::Token;

#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) sids: SidTable,
    pub(crate) names: AttributeNames,
    pub(crate) descriptors: DescriptorTable,
    /// The explicit mailbox descriptor of owners on whom nothing was set.
    pub(crate) default_mailbox: OnceLock<Arc<Explicit>>,
    /// The token of every session.
    pub(crate) anonymous: OnceLock<Arc<Token>>,
    /// The SID of Exchange 2003 servers.
    pub(crate) legacy_servers: OnceLock<SidId>,
}

/// Attribute names by number: those of the table, and those that came from elsewhere.
#[derive(Debug, Default)]
pub(crate) struct AttributeNames(RwLock<Unknown>);

#[derive(Debug, Default)]
struct Unknown {
    names: Vec<String>,
    numbers: HashMap<String, u16>,
}

/// All attributes beyond the numbers that are left share this one's fate: they are not kept.
pub(crate) const OVERFLOW: u16 = u16::MAX;

impl AttributeNames {
    /// The number of a name, a new one when it has none. Without regard to case; the first spelling stays.
    pub(crate) fn number(&self, name: &str) -> u16 {
        if let Some(number) = attributes::number_of(name) {
            return number;
        }
        let folded = name.to_ascii_lowercase();
        if let Some(number) = self.0.read().unwrap_or_else(PoisonError::into_inner).numbers.get(&folded) {
            return *number;
        }
        let mut unknown = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = unknown.numbers.get(&folded) {
            return *number;
        }
        let number =
            u16::try_from(unknown.names.len()).ok().and_then(|n| n.checked_add(FIRST_UNKNOWN)).unwrap_or(OVERFLOW);
        if number != OVERFLOW {
            unknown.names.push(name.to_owned());
            unknown.numbers.insert(folded, number);
        }
        number
    }

    /// The name of a number.
    pub(crate) fn name(&self, number: u16) -> String {
        if let Some(attribute) = attributes::known(number) {
            return attribute.name.to_owned();
        }
        let unknown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let position = usize::from(number.wrapping_sub(FIRST_UNKNOWN));
        unknown.names.get(position).cloned().unwrap_or_else(|| "attribute".to_owned())
    }
}
