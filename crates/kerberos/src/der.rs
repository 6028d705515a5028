//! A little DER (X.690): elements with a tag of one octet and a length of at most four.

/// The content of an element of this tag, and what follows it. `None`: there is none.
pub fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// The content of an element that is all there is.
pub fn whole(der: &[u8], tag: u8) -> Option<&[u8]> {
    element(der, tag).filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content)
}

/// The content of an optional element, taken off the front where it is there.
pub fn optional<'d>(der: &mut &'d [u8], tag: u8) -> Option<&'d [u8]> {
    let (content, rest) = element(der, tag)?;
    *der = rest;
    Some(content)
}

/// An element of this tag with this content.
pub fn written(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|octet| **octet == 0).count()..];
    let mut der = vec![tag];
    match content.len() {
        short @ 0..=0x7F => der.push(short as u8),
        _ => {
            der.push(0x80 | length.len() as u8);
            der.extend_from_slice(length);
        }
    }
    der.extend_from_slice(content);
    der
}

/// INTEGER with this value.
pub fn integer(value: u32) -> Vec<u8> {
    let octets = u64::from(value).to_be_bytes();
    // Not negative: the first bit stays 0.
    let start = (0..octets.len() - 1).find(|&at| octets[at] != 0 || octets[at + 1] & 0x80 != 0);
    written(0x02, &octets[start.unwrap_or(octets.len() - 1)..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_as_short_as_may_be_and_not_negative() {
        for (value, octets) in [
            (0, &[2, 1, 0][..]),
            (127, &[2, 1, 127]),
            (128, &[2, 2, 0, 128]),
            (u32::MAX, &[2, 5, 0, 255, 255, 255, 255]),
        ] {
            assert_eq!(integer(value), octets, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tag: u8, content in proptest::collection::vec(any::<u8>(), 0..70_000), after: Vec<u8>) {
            let der = [written(tag, &content), after.clone()].concat();
            prop_assert_eq!(element(&der, tag), Some((content.as_slice(), after.as_slice())));
        }

        #[test]
        fn no_octets_make_it_panic(tag: u8, octets: Vec<u8>) {
            let _ = element(&octets, tag);
        }
    }
}
