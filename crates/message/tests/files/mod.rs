//! What holds for files of folders, whatever is in them. Shared with the fuzz targets.

use message::pickup::{pickup_envelope, without_bcc};
use message::replay::{filed_envelope, header_behind_envelope, write_filed};
use message::{HeaderBlock, Keep};

/// Reads a header as one of a replay folder and as one of a pickup folder.
pub fn envelopes_hold(input: &[u8]) {
    let Ok(block) = HeaderBlock::parse(input) else { return };
    if let Ok((envelope, header)) = filed_envelope(&block) {
        assert!(!envelope.receivers.is_empty());
        // Nothing but words that fit into commands.
        let parameters = envelope.receivers.iter().flat_map(|(_, words)| words).chain(&envelope.sender_parameters);
        for (keyword, value) in parameters {
            assert!(["BODY", "RET", "ENVID", "NOTIFY", "ORCPT"].contains(keyword));
            assert!(!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        for (address, _) in &envelope.receivers {
            assert!(!address.as_str().chars().any(char::is_control));
        }
        // The message behind it is what stood there, and is a header.
        let rest = HeaderBlock::parse(&header).unwrap();
        assert!(block.as_bytes().ends_with(rest.as_bytes()));
        // Written and read again, it is the same, and no field of the message has become part of it.
        let written = [write_filed(&envelope, 1), header_behind_envelope(&rest, Keep::ALL)].concat();
        let (again, behind) = filed_envelope(&HeaderBlock::parse(&written).unwrap()).unwrap();
        assert_eq!((&again.sender, &again.sender_parameters), (&envelope.sender, &envelope.sender_parameters));
        assert_eq!(again.receivers, envelope.receivers);
        assert!(filed_envelope(&HeaderBlock::parse(&behind).unwrap()).is_err());
    }
    if let Ok(envelope) = pickup_envelope(&block) {
        assert!(!envelope.recipients.is_empty());
        let kept = HeaderBlock::parse(&without_bcc(&block)).unwrap();
        assert!(kept.named("Bcc").next().is_none());
        assert_eq!(pickup_envelope(&kept).map(|kept| kept.sender).unwrap_or(envelope.sender.clone()), envelope.sender);
    }
}
