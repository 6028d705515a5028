#![no_main]

#[path = "../../crates/transport/src/der.rs"]
#[allow(dead_code)]
mod der;

use der::element;

// An element is where it says it is, all of it, and nothing of what follows it.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some(&tag) = input.first() else { return };
    assert_eq!(element(input, tag.wrapping_add(1)), None);
    let mut rest = input;
    while let Some((content, after)) = rest.first().and_then(|&tag| element(rest, tag)) {
        let head = rest.len() - content.len() - after.len();
        assert!((2..=6).contains(&head));
        assert_eq!(content, &rest[head..head + content.len()]);
        let written = match head {
            2 => usize::from(rest[1]),
            _ => rest[2..head].iter().fold(0, |length, octet| length << 8 | usize::from(*octet)),
        };
        assert_eq!(written, content.len());
        for end in [head - 1, head + content.len().saturating_sub(1)] {
            assert!(content.is_empty() && end == head || element(&rest[..end], rest[0]).is_none());
        }
        let _ = content.first().and_then(|&tag| element(content, tag));
        rest = after;
    }
});
