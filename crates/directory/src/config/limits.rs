//! How much an account may send.

/// How much an account may send; what is `None` has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendingLimits {
    /// Messages in an hour.
    pub messages_per_hour: Option<u32>,
    /// Messages in a day.
    pub messages_per_day: Option<u32>,
    /// Recipients in an hour, those of all messages added up.
    pub recipients_per_hour: Option<u32>,
    /// Recipients in a day.
    pub recipients_per_day: Option<u32>,
}

impl SendingLimits {
    /// Reads limits as people write them: `100 messages/hour`, `1000 recipients/day`, or `none` alone. No text at all is no
    /// limit as well.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<SendingLimits, String> {
        let mut limits = SendingLimits::default();
        for text in texts.into_iter().map(str::trim).filter(|text| !text.eq_ignore_ascii_case("none")) {
            let wrong = || format!("“{text}” is no limit such as `100 messages/hour` or `1000 recipients/day`");
            let (number, what) = text.split_once(' ').ok_or_else(wrong)?;
            let number: u32 = number.parse().map_err(|_| wrong())?;
            let place = match what.trim().to_ascii_lowercase().as_str() {
                "messages/hour" => &mut limits.messages_per_hour,
                "messages/day" => &mut limits.messages_per_day,
                "recipients/hour" => &mut limits.recipients_per_hour,
                "recipients/day" => &mut limits.recipients_per_day,
                _ => return Err(wrong()),
            };
            if place.replace(number).is_some() {
                return Err(format!("there are two limits of {what}"));
            }
        }
        Ok(limits)
    }

    /// Whether there is no limit at all.
    pub fn is_none(&self) -> bool {
        *self == SendingLimits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_people_write_them() {
        let limits = SendingLimits::parse(["100 messages/hour", "1000 Recipients/day"]).unwrap();
        let expected =
            SendingLimits { messages_per_hour: Some(100), recipients_per_day: Some(1000), ..SendingLimits::default() };
        assert_eq!(limits, expected);
        assert!(SendingLimits::parse(["none"]).unwrap().is_none() && SendingLimits::parse([]).unwrap().is_none());
    }

    #[test]
    fn what_is_no_limit_is_refused_with_the_way_to_write_one() {
        for wrong in ["100", "many messages/hour", "5 messages/year", "-1 messages/hour", ""] {
            assert!(SendingLimits::parse([wrong]).unwrap_err().contains("100 messages/hour"), "{wrong}");
        }
        assert!(SendingLimits::parse(["1 messages/hour", "2 messages/hour"]).unwrap_err().contains("two limits"));
    }
}
