//! Users, each with a mailbox.

use directory::organization::{user, with_mailbox};
use directory::{Record, attributes as a, link_value};

use crate::names::{FIRST, LAST};
use crate::{Forest, Kind, UNITS_PER_DIVISION};

impl Forest {
    /// All users, department by department.
    pub(crate) fn users(&self) -> impl Iterator<Item = (String, Record)> + '_ {
        let departments: Vec<u32> = (0..self.units).filter(|unit| unit % UNITS_PER_DIVISION != 0).collect();
        let count = departments.len() as u64;
        let mailboxes = u64::from(self.plan.mailboxes);
        departments.into_iter().zip(0u64..).flat_map(move |(unit, place)| {
            let first = (mailboxes * place / count) as u32;
            let end = (mailboxes * (place + 1) / count) as u32;
            let copied = self.copied_to_users(unit);
            let above = self.unit_dn(unit);
            (first..end).map(move |number| {
                let record = self.user(number, unit, &copied);
                (format!("{},{above}", record.rdn), record)
            })
        })
    }

    fn user(&self, number: u32, unit: u32, copied: &[acl::Ace]) -> Record {
        let mut draw = self.draw(Kind::Mailbox, number);
        let (first, last) = (draw.one_of(&FIRST), draw.one_of(&LAST));
        let domain = &self.plan.domain;
        let logon = format!("u{number}");
        let mail = format!("{}.{}.{number}", first.to_ascii_lowercase(), last.to_ascii_lowercase());
        let addresses = [
            format!("{mail}@{domain}"),
            format!("{logon}@{domain}"),
            format!("{}.{number}@{domain}", last.to_ascii_lowercase()),
        ];
        let addresses = addresses.each_ref().map(String::as_str);
        let name = format!("{first} {last} {number}");
        let record = user(self.guid(Kind::User, number), self.guid(Kind::Unit, unit), &name, &logon)
            .with(a::OBJECT_SID, self.user_sid(number).to_bytes())
            .with(a::DISPLAY_NAME, format!("{first} {last}"))
            .with(a::USER_PRINCIPAL_NAME, format!("{logon}@{domain}"))
            .with(a::DESCRIPTOR, self.user_descriptor(number, copied));
        let mut record = with_mailbox(record, self.guid(Kind::Mailbox, number), &self.database, &addresses);
        // Shared mailboxes belong to disabled accounts.
        if draw.below(100) < 2 {
            record.set(a::USER_ACCOUNT_CONTROL, vec![b"514".to_vec()]);
        }
        if draw.below(100) < 2 {
            let holder = draw.below(self.plan.mailboxes);
            record.set(a::MAILBOX_DESCRIPTOR, vec![self.mailbox_descriptor(holder)]);
        }
        // Delegates are earlier users: a reader of the file knows them already.
        if number > 0 && draw.below(100) < 2 {
            let delegate = self.guid(Kind::User, draw.below(number));
            record.set(a::PUBLIC_DELEGATES, vec![link_value(&delegate)]);
        }
        record
    }
}
