//! Groups in six levels: users are in groups of the lowest, and each other level holds groups of the one below.

use std::ops::Range;

use directory::organization::{group, with_addresses};
use directory::{GroupScope, GroupType, Record, Value, attributes as a, link_value};

use crate::{Forest, Kind};

/// How deep groups are nested.
const LEVELS: u32 = 6;
/// Groups of the level below that a group holds.
const FAN: u32 = 5;
/// Lowest groups that a user is in, on average.
const GROUPS_OF_A_USER: u32 = 2;

impl Forest {
    /// Numbers of the groups of a level, the lowest first. Each level has a fifth of the one below; the last has the rest.
    fn level(&self, level: u32) -> Range<u32> {
        let (mut start, mut size) = (0, self.groups - self.groups / FAN);
        for _ in 0..level {
            start += size;
            size /= FAN;
        }
        let end = if level + 1 == LEVELS { self.groups } else { start + size };
        start.min(self.groups)..end.min(self.groups)
    }

    pub(crate) fn group(&self, number: u32) -> (String, Record) {
        let name = format!("Group {number}");
        let mut draw = self.draw(Kind::Group, number);
        let scope = draw.one_of(&[GroupScope::Global, GroupScope::Universal, GroupScope::DomainLocal]);
        let kind = match draw.below(10) {
            0 => GroupType::distribution(scope),
            _ => GroupType::security(scope),
        };
        let above = format!("CN=Users,{}", self.domain_dn());
        let parent = self.base.by_dn(&above).and_then(|id| self.base.object(id)).map_or(self.domain, |o| o.guid());
        let mut record = group(self.guid(Kind::Group, number), parent, &name, kind)
            .with(a::OBJECT_SID, self.group_sid(number).to_bytes())
            .with(a::DESCRIPTOR, self.descriptors.group.clone())
            .with_all(a::MEMBER, self.members(number));
        if !kind.is_security() {
            record = with_addresses(record, &[&format!("group{number}@{}", self.plan.domain)]);
        }
        (format!("{},{above}", record.rdn), record)
    }

    fn members(&self, number: u32) -> Vec<Value> {
        let mut draw = self.draw(Kind::Base, number);
        let level = (0..LEVELS).find(|level| self.level(*level).contains(&number)).unwrap_or(0);
        let mut members: Vec<Value> = match level {
            0 => {
                let lowest = self.level(0).len() as u64;
                let count = u64::from(self.plan.mailboxes) * u64::from(GROUPS_OF_A_USER) / lowest.max(1);
                (0..count).map(|_| link_value(&self.guid(Kind::User, draw.below(self.plan.mailboxes)))).collect()
            }
            level => {
                let (own, below) = (self.level(level), self.level(level - 1));
                let place = u64::from(number - own.start);
                let (len, count) = (below.len() as u64, own.len() as u64);
                let first = below.start + (len * place / count) as u32;
                let end = below.start + (len * (place + 1) / count) as u32;
                (first..end).map(|member| link_value(&self.guid(Kind::Group, member))).collect()
            }
        };
        members.sort_unstable();
        members.dedup();
        members
    }
}
