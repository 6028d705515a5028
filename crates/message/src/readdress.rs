//! Other addresses in a header: fields that name mailboxes are written anew where one of them changes.

use crate::address::Address;
use crate::header::HeaderBlock;
use crate::rewrite::write_field;
use crate::senders::{Mailbox, mailbox_list};

/// The fields that say whom a message is from, for [`readdress`].
pub const SENDER_FIELDS: [&str; 6] =
    ["From", "Sender", "Reply-To", "Resent-From", "Resent-Sender", "Disposition-Notification-To"];

/// The fields that say whom a message is for, for [`readdress`].
pub const RECIPIENT_FIELDS: [&str; 6] = ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"];

/// The header block with the addresses of these fields as `becomes` says; `None` of it leaves one as it is. A field in
/// which nothing changes, or that cannot be read, stays byte for byte; of a group in one that changes the members stay.
pub fn readdress(block: &HeaderBlock, fields: &[&str], becomes: &dyn Fn(&Address) -> Option<Address>) -> Vec<u8> {
    let mut out = Vec::with_capacity(block.as_bytes().len() + 256);
    for field in block.fields() {
        let wanted = fields.iter().find(|name| field.is(name));
        match wanted.and_then(|_| changed(field.value(), becomes)) {
            Some(mailboxes) => {
                let name = String::from_utf8_lossy(field.name);
                let utf8 = !field.raw.is_ascii();
                let texts: Vec<String> = mailboxes.iter().map(|mailbox| mailbox.to_header(utf8)).collect();
                write_field(&mut out, &name, &texts.join(", "));
            }
            None => out.extend_from_slice(field.raw),
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// The mailboxes of a field after the change; none where there is none.
fn changed(value: &[u8], becomes: &dyn Fn(&Address) -> Option<Address>) -> Option<Vec<Mailbox>> {
    let mut mailboxes = mailbox_list(std::str::from_utf8(value).ok()?).ok()?;
    let mut any = false;
    for mailbox in &mut mailboxes {
        if let Some(address) = becomes(&mailbox.address) {
            mailbox.address = address;
            any = true;
        }
    }
    any.then_some(mailboxes)
}
