//! What holds for whatever a filter says; asked by property tests and by the fuzz targets `content_milter` and `content_rspamd`.

use content::{Edit, Header, milter};

/// A header that a filter is shown.
pub const HEADER: &[u8] = b"From: a@example.com\r\nSubject: one\r\n two\r\n\r\n";

/// Whatever a milter says, nobody panics, who sent the message stays, and the header ends once.
pub fn milter_holds(packet: &[u8]) {
    if let Ok(milter::Reply::Edit(edit)) = milter::read(packet) {
        edit_holds(&edit);
    }
}

/// The same of what Rspamd answers.
pub fn rspamd_holds(answer: &[u8]) {
    let edits = content::rspamd_edits_for_tests(&String::from_utf8_lossy(answer));
    edits.iter().flatten().for_each(edit_holds);
}

fn edit_holds(edit: &Edit) {
    let mut header = Header::parse(HEADER);
    let applied = header.apply(edit);
    assert!(applied || !header.is_changed(), "{edit:?}");
    let octets = header.to_bytes();
    let again = Header::parse(&octets);
    let from: Vec<_> = again.fields().filter(|(name, _)| name.trim().eq_ignore_ascii_case("from")).collect();
    assert_eq!(from, [("From", &b" a@example.com"[..])], "{edit:?}");
    let ends = octets.windows(4).filter(|four| four == b"\r\n\r\n").count();
    assert!(ends == 1 && octets.ends_with(b"\r\n\r\n"), "{edit:?}");
    assert!(!octets.contains(&0), "{edit:?}");
    let bare = octets.iter().enumerate().any(|(at, byte)| match byte {
        b'\n' => at == 0 || octets[at - 1] != b'\r',
        b'\r' => octets.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    assert!(!bare, "{edit:?}");
}
