//! What came of an attempt: the reply, and the message where it was delivered.

/// The reply that decided an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Code and text, such as `550 5.1.1 User unknown`. Several lines are joined with a space.
    pub reply: String,
    /// What the tool printed, for when something is wrong.
    pub transcript: String,
}

impl Outcome {
    /// 250 after end of data.
    pub fn is_accepted(&self) -> bool {
        self.reply.starts_with("250")
    }

    /// The decision id in the reply's bracket (`[ceo@example.com; decision 01J…]`).
    pub fn decision(&self) -> Option<&str> {
        let bracket = self.bracket()?;
        let (_, id) = bracket.rsplit_once("decision ")?;
        (id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(id)
    }

    /// The address in the reply's bracket.
    pub fn refused_address(&self) -> Option<&str> {
        self.bracket()?.split_once(';').map(|(address, _)| address.trim())
    }

    fn bracket(&self) -> Option<&str> {
        let (_, rest) = self.reply.split_once('[')?;
        rest.split_once(']').map(|(bracket, _)| bracket)
    }

    /// Picks the deciding reply out of the server's lines, as a client shows them: the first 4xx or 5xx, or else the
    /// last 250.
    pub(crate) fn from_lines<'a>(lines: impl Iterator<Item = &'a str>, transcript: String) -> Outcome {
        let mut reply = String::new();
        let mut refusal: Option<String> = None;
        let mut last_code = String::new();
        for line in lines {
            let Some(code) = line.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit())) else {
                continue;
            };
            let more = refusal.is_some() && code == last_code;
            last_code = code.to_owned();
            match (&mut refusal, code.as_bytes()[0]) {
                (Some(text), _) if more => {
                    text.push(' ');
                    text.push_str(line.get(4..).unwrap_or_default());
                }
                (Some(_), _) => break,
                (None, b'4' | b'5') => refusal = Some(line.to_owned()),
                (None, _) if code == "250" => reply = line.to_owned(),
                (None, _) => {}
            }
            if let Some(text) = &refusal {
                // The last line of a reply has a space after the code.
                if line.as_bytes().get(3) != Some(&b'-') {
                    reply = text.clone();
                    break;
                }
            }
        }
        if let Some(text) = refusal {
            reply = text;
        }
        Outcome { reply: reply.replacen('-', " ", usize::from(reply.as_bytes().get(3) == Some(&b'-'))), transcript }
    }
}

/// A delivered message.
#[derive(Debug, Clone)]
pub struct Message {
    /// The whole text.
    pub text: String,
    /// Header fields in order, unfolded: name and value.
    pub fields: Vec<(String, String)>,
}

impl Message {
    pub(crate) fn parse(bytes: &[u8]) -> Message {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            if line.is_empty() {
                break;
            }
            match (line.starts_with([' ', '\t']), fields.last_mut()) {
                (true, Some((_, value))) => {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                _ => {
                    let (name, value) = line.split_once(':').unwrap_or((line, ""));
                    fields.push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
        }
        Message { text, fields }
    }

    /// The values of all fields of this name.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the only field of this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        match self.values(name).as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(lines: &[&str]) -> String {
        Outcome::from_lines(lines.iter().copied(), String::new()).reply
    }

    #[test]
    fn the_first_refusal_decides() {
        assert_eq!(reply(&["220 hi", "250 ok", "550 5.7.1 no", "221 bye"]), "550 5.7.1 no");
    }

    #[test]
    fn without_a_refusal_the_last_250_decides() {
        assert_eq!(reply(&["250 ok", "354 go", "250 2.6.0 queued", "221 bye"]), "250 2.6.0 queued");
    }

    #[test]
    fn a_refusal_of_two_lines_is_one() {
        assert_eq!(reply(&["550-5.7.1 no", "550 5.7.1 never", "221 bye"]), "550 5.7.1 no 5.7.1 never");
    }

    #[test]
    fn the_decision_is_read_from_the_bracket() {
        let reply = "550 5.7.1 No [ceo@example.com; decision 01JABCDEFGHJKMNPQRSTVWXYZ0]".to_owned();
        let outcome = Outcome { reply, transcript: String::new() };
        assert_eq!(
            (outcome.decision(), outcome.refused_address()),
            (Some("01JABCDEFGHJKMNPQRSTVWXYZ0"), Some("ceo@example.com"))
        );
    }
}
