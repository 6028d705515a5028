//! What must hold of every input; asked by tests, by the corpus and by the fuzzer (`fuzz/`).

use message::{HeaderBlock, senders};

/// Whatever an application submits as JSON: what is made of it is a message with the senders that can be read, each field
/// once, and line ends of one kind.
pub fn draft_holds(document: &[u8]) {
    let Ok(text) = web::submission::compose_for_tests(document) else { return };
    let block = HeaderBlock::parse(&text).expect("it begins with a header block");
    let found = senders(&block).expect("its senders can be read");
    assert!(!found.from.is_empty() && found.resent.is_none());
    for name in ["From", "Sender", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version"] {
        assert!(block.named(name).count() <= 1, "{name} is there more than once");
    }
    assert!(block.named("Bcc").next().is_none());
    for (at, octet) in text.iter().enumerate() {
        match octet {
            b'\r' => assert_eq!(text.get(at + 1), Some(&b'\n'), "a bare CR"),
            b'\n' => assert_eq!(text.get(at.wrapping_sub(1)), Some(&b'\r'), "a bare LF"),
            _ => {}
        }
    }
}
