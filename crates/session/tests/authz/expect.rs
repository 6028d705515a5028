//! What a script expects, against what came.

use message::header::HeaderBlock;
use rights::{DecisionRecord, VerdictKind};
use session::{Proven, Submission};
use smtp::{Notify, ReturnContent};

/// Text with every ULID written as `<id>`.
pub fn normal(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for character in text.chars().chain(['\0']) {
        if character.is_ascii_alphanumeric() {
            word.push(character);
            continue;
        }
        out.push_str(if is_ulid(&word) { "<id>" } else { &word });
        word.clear();
        if character != '\0' {
            out.push(character);
        }
    }
    out
}

fn is_ulid(word: &str) -> bool {
    word.len() == 26 && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z'))
}

/// Lines expected and lines that came.
pub struct Difference {
    expected: Vec<String>,
    actual: Vec<String>,
}

impl Difference {
    pub fn of(expected: &[String], actual: &[String]) -> Difference {
        let normalised = |lines: &[String]| lines.iter().map(|line| normal(line)).collect();
        Difference { expected: normalised(expected), actual: normalised(actual) }
    }

    /// Nothing, or the difference as `-` expected and `+` actual lines.
    pub fn into_result(self) -> Result<(), String> {
        if self.expected == self.actual {
            return Ok(());
        }
        let same = |index: usize| self.expected.get(index) == self.actual.get(index);
        let mut text = String::from("expected (-) and actual (+):");
        for index in 0..self.expected.len().max(self.actual.len()) {
            match (self.expected.get(index), self.actual.get(index)) {
                (Some(line), _) if same(index) => text.push_str(&format!("\n   {line}")),
                (expected, actual) => {
                    text.extend(expected.map(|line| format!("\n - {line}")));
                    text.extend(actual.map(|line| format!("\n + {line}")));
                }
            }
        }
        Err(text)
    }
}

pub fn compare_replies(expected: &[String], actual: &[String]) -> Result<(), String> {
    Difference::of(expected, actual).into_result()
}

/// A decision as `explain` words it: verdict, who asked, each step, and the grant that would mend it.
pub fn render_trace(record: &DecisionRecord) -> Vec<String> {
    let verdict = match record.verdict {
        VerdictKind::Refused => "refused",
        VerdictKind::Observed => "would be refused",
        VerdictKind::SentAs => "sent as",
        VerdictKind::SentOnBehalf => "sent on behalf",
        VerdictKind::Allowed => "allowed",
        VerdictKind::Paused => "paused",
        VerdictKind::Overridden => "overridden",
        VerdictKind::GivenUp => "given-up",
    };
    let mut lines = vec![format!("verdict: {verdict} ({})", record.outcome)];
    let mut who = vec![record.who.token.clone()];
    who.extend(record.who.account.clone());
    who.extend(record.who.logon.as_ref().map(|logon| format!("logged on to {logon}")));
    lines.push(format!("who: {}", who.join(", ")));
    lines.extend(record.trace.iter().map(|line| line.text.clone()));
    if let Some(missing) = &record.missing {
        let obstacle = missing.obstacle.as_ref().map(|text| format!(", but {text}")).unwrap_or_default();
        lines.push(format!("missing: {} on {} for {}{obstacle}", missing.right, missing.on, missing.trustee));
    }
    lines
}

/// An accepted message against the lines of `expect accepted`: each line is a claim of its own.
pub fn accepted(claims: &[String], submission: &Submission, text: &[u8]) -> Result<(), String> {
    let block = HeaderBlock::parse(text).map_err(|fault| format!("the stored header is broken: {fault}"))?;
    let fields: Vec<(String, String)> =
        block.fields().map(|field| (String::from_utf8_lossy(field.name).into_owned(), normal(&field.text()))).collect();
    let mut index = 0;
    while let Some(claim) = claims.get(index) {
        index += 1;
        let (word, rest) = claim.split_once(' ').unwrap_or((claim, ""));
        let (expected, actual) = match word {
            "" => continue,
            "envelope" => (rest.to_owned(), envelope(submission)),
            "proven" => (rest.to_owned(), proven(submission.origin.proven).to_owned()),
            "mechanism" => (rest.to_owned(), submission.origin.mechanism.unwrap_or("none").to_owned()),
            "paused" => (rest.to_owned(), paused(submission).to_owned()),
            "size" => (rest.to_owned(), submission.size.to_string()),
            "notify" => {
                let (address, wanted) = rest.split_once(' ').unwrap_or((rest, ""));
                (wanted.to_owned(), notify(submission, address))
            }
            "flags" => (rest.to_owned(), flags(submission)),
            "body" => (String::from_utf8_lossy(&crate::script::escaped(rest)?).into_owned(), body(text)),
            "no" => {
                let there = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(rest));
                (String::new(), there.map(|(name, value)| format!("{name}: {value}")).unwrap_or_default())
            }
            _ => {
                let Some((name, _)) = claim.split_once(':') else {
                    return Err(format!("`{claim}` claims nothing"));
                };
                // All fields of a name, in order, are claimed together.
                let of_name = |claim: &String| claim.split_once(':').is_some_and(|(other, _)| other == name);
                let begin = index - 1;
                while claims.get(index).is_some_and(of_name) {
                    index += 1;
                }
                let actual: Vec<String> = fields
                    .iter()
                    .filter(|(field, _)| field.eq_ignore_ascii_case(name))
                    .map(|(field, value)| format!("{field}: {value}"))
                    .collect();
                (claims[begin..index].join("\n"), actual.join("\n"))
            }
        };
        if normal(&expected) != actual {
            let header: Vec<String> = fields.iter().map(|(name, value)| format!("    {name}: {value}")).collect();
            return Err(format!("claimed: {claim}\n actual: {actual}\nthe stored header:\n{}", header.join("\n")));
        }
    }
    match claims.is_empty() {
        true => Err("nothing is claimed of the message".to_owned()),
        false => Ok(()),
    }
}

fn envelope(submission: &Submission) -> String {
    let sender = submission.sender.as_ref().map(|sender| sender.to_string()).unwrap_or_default();
    let recipients: Vec<String> =
        submission.recipients.iter().map(|recipient| format!("<{}>", recipient.address)).collect();
    format!("<{sender}> -> {}", recipients.join(" "))
}

fn paused(submission: &Submission) -> &'static str {
    match &submission.pause {
        None => "no",
        Some(pause) if pause.behind => "behind others",
        Some(_) => "yes",
    }
}

fn proven(proven: Proven) -> &'static str {
    match proven {
        Proven::Anonymous => "anonymous",
        Proven::Account => "account",
        Proven::Address => "trusted by address",
        Proven::Server => "own server",
        Proven::Partner => "partner certificate",
    }
}

fn flags(submission: &Submission) -> String {
    let mut flags = Vec::new();
    if submission.smtputf8 {
        flags.push("smtputf8");
    }
    if submission.eight_bit {
        flags.push("8bit");
    }
    if submission.origin.bypass_anti_spam {
        flags.push("bypass-anti-spam");
    }
    let asked = &submission.extensions;
    if asked.require_tls {
        flags.push("requiretls");
    }
    let ret = match asked.ret {
        None => None,
        Some(ReturnContent::Full) => Some("ret=full"),
        Some(ReturnContent::Headers) => Some("ret=hdrs"),
    };
    flags.extend(ret);
    let envid = asked.envid.as_ref().map(|envid| format!("envid={envid}"));
    flags.into_iter().map(str::to_owned).chain(envid).collect::<Vec<_>>().join(" ")
}

/// Which reports are wanted of a recipient, `<address>`, and what its sender called it.
fn notify(submission: &Submission, address: &str) -> String {
    let of_address = |recipient: &&session::Recipient| format!("<{}>", recipient.address) == address;
    let Some(recipient) = submission.recipients.iter().find(of_address) else { return "no such recipient".to_owned() };
    let mut words = Vec::new();
    if let Some(Notify { success, failure, delay }) = recipient.params.notify {
        let flags = [(success, "success"), (failure, "failure"), (delay, "delay")];
        let wanted: Vec<&str> = flags.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
        words.push(if wanted.is_empty() { "never".to_owned() } else { wanted.join(",") });
    }
    words.extend(recipient.params.orcpt.as_ref().map(|orcpt| format!("orcpt={orcpt}")));
    words.join(" ")
}

fn body(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    body.replace("\r\n", "|")
}
