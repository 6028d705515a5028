//! The text of an `.authz` script, read into statements. The language is described in `tests/scripts/README.md`.

use std::fmt;

/// One script.
#[derive(Debug)]
pub struct Script {
    pub statements: Vec<Statement>,
}

/// A statement and the line that it begins on.
#[derive(Debug)]
pub struct Statement {
    pub line: usize,
    pub kind: Kind,
}

/// What a statement says.
#[derive(Debug, PartialEq)]
pub enum Kind {
    /// `use NAME`: read the organization of that name first.
    Use(String),
    /// A line of the organization, or `change …` between commands: its words.
    Organization(Vec<String>),
    /// `session NAME connector=C …`: a new connection.
    Session(Opening),
    /// `in NAME`: what follows happens in that session.
    In(String),
    /// `C:` lines that follow each other: sent in one piece.
    Client(Vec<u8>),
    /// `S:` lines that follow each other: the replies expected next, all of them.
    Server(Vec<String>),
    /// `mail SENDER -> RECIPIENT …` and indented header lines: a whole message; its last reply is left to `S:`.
    Mail { sender: String, recipients: Vec<String>, text: Vec<String> },
    /// `scram NAME PASSWORD …`: an exchange of SCRAM-SHA-256 up to its last reply, which is left to `S:`.
    Scram(Vec<String>),
    /// `at +5m`: time passes, in milliseconds.
    Pass(i64),
    /// `queue full`, `queue fails`, `queue works`, `passwords away`, `passwords work`: what the host answers from now on.
    Host(String, String),
    /// `disconnect`: the client goes away.
    Disconnect,
    /// `shutdown`: the server is told to stop.
    Shutdown,
    /// `expect WHAT` and indented lines.
    Expect { what: String, lines: Vec<String> },
}

/// How a session begins.
#[derive(Debug, PartialEq, Default)]
pub struct Opening {
    pub name: String,
    pub connector: String,
    pub from: Option<String>,
    pub login: Option<String>,
    pub mailbox: Option<String>,
    pub tls: bool,
    pub raw: bool,
    /// It is that of a file in a folder.
    pub file: bool,
    pub no_certificate: bool,
    pub mechanisms: Vec<String>,
    pub no_binding: bool,
    /// Domains that the client's certificate proves.
    pub certificate: Vec<String>,
    /// A name for the key of the client's certificate.
    pub key: Option<String>,
}

/// What is wrong with a script, and where.
#[derive(Debug)]
pub struct ScriptError {
    pub line: usize,
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

fn wrong<T>(line: usize, message: impl Into<String>) -> Result<T, ScriptError> {
    Err(ScriptError { line, message: message.into() })
}

/// Reads a script.
pub fn parse(text: &str) -> Result<Script, ScriptError> {
    let lines: Vec<&str> = text.lines().collect();
    let mut statements = Vec::new();
    let mut next = 0;
    while next < lines.len() {
        let line = next + 1;
        let current = lines[next];
        next += 1;
        if current.trim().is_empty() || current.starts_with('#') {
            continue;
        }
        if current.starts_with([' ', '\t']) {
            return wrong(line, "an indented line belongs to `expect` or `mail`, and there is none above it");
        }
        let kind = if current.starts_with("C:") {
            let mut bytes = client_line(current, line)?;
            while lines.get(next).is_some_and(|line| line.starts_with("C:")) {
                bytes.extend(client_line(lines[next], next + 1)?);
                next += 1;
            }
            Kind::Client(bytes)
        } else if current.starts_with("S:") {
            let mut replies = vec![server_line(current)];
            while lines.get(next).is_some_and(|line| line.starts_with("S:")) {
                replies.push(server_line(lines[next]));
                next += 1;
            }
            Kind::Server(replies)
        } else {
            let block = take_block(&lines, &mut next);
            statement(current, block, line)?
        };
        statements.push(Statement { line, kind });
    }
    Ok(Script { statements })
}

/// The indented lines from `next` on, without their common indentation; blank lines inside belong to them.
fn take_block(lines: &[&str], next: &mut usize) -> Vec<String> {
    let mut end = *next;
    for (index, line) in lines.iter().enumerate().skip(*next) {
        if line.starts_with([' ', '\t']) {
            end = index + 1;
        } else if !line.is_empty() {
            break;
        }
    }
    let block = &lines[*next..end];
    *next = end;
    let indentation = |line: &&str| line.len() - line.trim_start().len();
    let common = block.iter().filter(|line| !line.trim().is_empty()).map(indentation).min().unwrap_or(0);
    block.iter().map(|line| line.get(common..).unwrap_or("").trim_end_matches('\r').to_owned()).collect()
}

fn statement(current: &str, block: Vec<String>, line: usize) -> Result<Kind, ScriptError> {
    let words = words(current).or_else(|message| wrong(line, message))?;
    let rest = || words[1..].to_vec();
    let kind = match (words[0].as_str(), &words[1..]) {
        ("use", [name]) => Kind::Use(name.clone()),
        ("session", _) => Kind::Session(opening(&words[1..], line)?),
        ("in", [name]) => Kind::In(name.clone()),
        ("mail", arguments) => {
            let arrow = arguments.iter().position(|word| word == "->");
            let Some(arrow) = arrow.filter(|&at| at == 1 && arguments.len() > 2) else {
                return wrong(line, "write `mail SENDER -> RECIPIENT …`");
            };
            let recipients = arguments[arrow + 1..].to_vec();
            return Ok(Kind::Mail { sender: arguments[0].clone(), recipients, text: block });
        }
        ("scram", [_, _, ..]) => Kind::Scram(rest()),
        ("at", [span]) => Kind::Pass(span_of(span).ok_or(()).or_else(|()| wrong(line, "write `at +5m`"))?),
        ("waits", [account, _, user]) => Kind::Host(words[0].clone(), format!("{account} {user}")),
        ("queue" | "passwords", [state]) => Kind::Host(words[0].clone(), state.clone()),
        ("disconnect", []) => Kind::Disconnect,
        ("shutdown", []) => Kind::Shutdown,
        ("expect", _) if words.len() > 1 => return Ok(Kind::Expect { what: words[1..].join(" "), lines: block }),
        ("change", [_, ..]) => Kind::Organization(rest()),
        _ => Kind::Organization(words.clone()),
    };
    match block.is_empty() {
        true => Ok(kind),
        false => wrong(line + 1, format!("`{}` takes no indented lines", words[0])),
    }
}

fn opening(words: &[String], line: usize) -> Result<Opening, ScriptError> {
    let mut opening = Opening::default();
    for (index, word) in words.iter().enumerate() {
        match word.split_once('=') {
            None if index == 0 => opening.name = word.clone(),
            None if word == "tls" => opening.tls = true,
            None if word == "raw" => opening.raw = true,
            None if word == "file" => opening.file = true,
            None if word == "no-certificate" => opening.no_certificate = true,
            None if word == "no-binding" => opening.no_binding = true,
            Some(("certificate", value)) => opening.certificate = value.split(',').map(str::to_owned).collect(),
            Some(("key", value)) => opening.key = Some(value.to_owned()),
            Some(("mechanisms", value)) => opening.mechanisms = value.split(',').map(str::to_owned).collect(),
            Some(("connector", value)) => opening.connector = value.to_owned(),
            Some(("from", value)) => opening.from = Some(value.to_owned()),
            Some(("login", value)) => opening.login = Some(value.to_owned()),
            Some(("mailbox", value)) => opening.mailbox = Some(value.to_owned()),
            _ => return wrong(line, format!("a session has no `{word}`")),
        }
    }
    if opening.name.is_empty() || opening.connector.is_empty() {
        return wrong(line, "write `session NAME connector=CONNECTOR …`");
    }
    Ok(opening)
}

/// The bytes of a `C:` line with its CRLF, escapes resolved; `C:-` sends no CRLF.
fn client_line(text: &str, line: usize) -> Result<Vec<u8>, ScriptError> {
    let text = &text[2..];
    let (text, ending) = match text.strip_prefix('-') {
        Some(text) => (text, &b""[..]),
        None => (text, &b"\r\n"[..]),
    };
    let mut bytes = escaped(text.strip_prefix(' ').unwrap_or(text)).or_else(|message| wrong(line, message))?;
    bytes.extend_from_slice(ending);
    Ok(bytes)
}

fn server_line(text: &str) -> String {
    let text = &text[2..];
    text.strip_prefix(' ').unwrap_or(text).to_owned()
}

/// Resolves `{\r}`, `{\n}`, `{\0}`, `{\xff}`, `{base64 TEXT}` (with `\0` in TEXT) and `{200 × TEXT}`.
pub fn escaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        bytes.extend_from_slice(before.as_bytes());
        let (inside, after) = after.split_once('}').ok_or("`{` without `}`")?;
        bytes.extend(escape(inside)?);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

fn escape(inside: &str) -> Result<Vec<u8>, String> {
    use base64::Engine as _;
    if let Some(text) = inside.strip_prefix("base64 ") {
        let text = text.replace("\\0", "\0").replace("\\1", "\x01");
        return Ok(base64::engine::general_purpose::STANDARD.encode(text).into_bytes());
    }
    if let Some((count, text)) = inside.split_once(" × ") {
        let count: usize = count.parse().map_err(|_| format!("`{count}` is no number"))?;
        return Ok(text.as_bytes().repeat(count));
    }
    match inside {
        "\\r" => Ok(b"\r".to_vec()),
        "\\n" => Ok(b"\n".to_vec()),
        "\\0" => Ok(vec![0]),
        _ => {
            let byte = inside.strip_prefix("\\x").and_then(|digits| u8::from_str_radix(digits, 16).ok());
            byte.map(|byte| vec![byte]).ok_or_else(|| format!("`{{{inside}}}` means nothing here"))
        }
    }
}

/// Splits a line into words at blanks; `"…"` keeps a word together, also after `name=`.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut any) = (false, false);
    for character in line.chars() {
        match character {
            '"' => {
                quoted = !quoted;
                any = true;
            }
            ' ' | '\t' if !quoted => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            _ => {
                word.push(character);
                any = true;
            }
        }
    }
    if quoted {
        return Err("a quotation mark is not closed".to_owned());
    }
    if any {
        words.push(word);
    }
    Ok(words)
}

/// `+5m`, `+90s`, `+200ms`, `+2h` in milliseconds.
fn span_of(text: &str) -> Option<i64> {
    let text = text.strip_prefix('+')?;
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(number.parse::<i64>().ok()? * factor)
}
