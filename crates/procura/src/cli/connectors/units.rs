//! Sizes, times and lists, as options have them.

/// `36M`: octets, with k, M or G for powers of 1024.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let (digits, factor) = match bare.char_indices().last() {
        Some((at, 'k')) => (&bare[..at], 1 << 10),
        Some((at, 'm')) => (&bare[..at], 1 << 20),
        Some((at, 'g')) => (&bare[..at], 1 << 30),
        _ => (bare, 1),
    };
    let number: Option<u64> = digits.trim().parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "write a size as 1000000, 256k or 36M".to_owned())
}

/// `5m`: seconds, with s, m or h.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || "write a time as 90s, 5m or 1h".to_owned();
    let (number, unit) = split(text);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    number.parse::<u32>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

/// `5s` or `500ms`, in milliseconds.
pub(super) fn milliseconds(text: &str) -> Result<u32, String> {
    let wrong = || "write a time as 5s or 500ms".to_owned();
    let (number, unit) = split(text);
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        _ => return Err(wrong()),
    };
    number.parse::<u32>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

/// A list; an empty text is no entry of it, and alone it empties the list.
pub(super) fn not_empty(values: Vec<String>) -> Vec<String> {
    values.into_iter().filter(|value| !value.is_empty()).collect()
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(size("36M"), Ok(36 << 20));
        assert_eq!(size("256 kB"), Ok(256 << 10));
        assert_eq!(size("1000"), Ok(1000));
        assert!(size("many").is_err() && size("99999999999999999999G").is_err());
        assert_eq!((seconds("90"), seconds("5m"), seconds("1h")), (Ok(90), Ok(300), Ok(3600)));
        assert!(seconds("5 days").is_err());
        assert_eq!((milliseconds("5s"), milliseconds("500ms")), (Ok(5000), Ok(500)));
    }
}
