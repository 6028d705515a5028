//! `procura sendmail`, and the program called by that name: the command by which programs of this machine send mail.
//!
//! Options of Sendmail that do not matter here (`-oem`, `-odb`, `-B8BITMIME`, …) are taken and passed over.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use message::Address;
use message::senders::mailbox_list;

use crate::local::{Begin, End};

/// Where the server listens when nobody says otherwise.
pub const SOCKET: &str = "/run/procura/submit.sock";
/// Names another socket.
const VARIABLE: &str = "PROCURA_SUBMIT";
/// The longest header that is looked through for recipients.
const LONGEST: usize = 1 << 20;

/// Exit codes of sysexits(3).
const USAGE: u8 = 64;
const DATA: u8 = 65;
const UNAVAILABLE: u8 = 69;
const LATER: u8 = 75;
const FORBIDDEN: u8 = 77;

#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Options: -t takes recipients from To, Cc and Bcc; -i does not end at a line with a dot; -f ADDRESS is the envelope sender; other options of Sendmail are passed over. The environment variable PROCURA_SUBMIT names another socket.\n\nExit codes are those of sysexits(3): 0 accepted, 64 usage, 65 the message, 69 refused, 75 try again, 77 no account.\n\nExamples:\n  procura sendmail bob@example.com < message\n  procura sendmail -t -i < message\n  procura sendmail -f scanner@example.com -- bob@example.com < message"
)]
pub struct SendmailArgs {
    /// Options as of sendmail(8), and recipients
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub arguments: Vec<String>,
}

/// What the arguments say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    from: Option<String>,
    to: Vec<String>,
    from_header: bool,
    /// A line with a dot alone is text.
    dots: bool,
}

/// Runs it.
pub fn run(arguments: &[String]) -> ExitCode {
    // The parser of the other commands sees none of these arguments.
    if arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--help") {
        let mut command = <SendmailArgs as Args>::augment_args(clap::Command::new("procura sendmail"));
        // Nobody may be reading.
        let _ = command.print_long_help();
        return ExitCode::SUCCESS;
    }
    let wanted = match read(arguments) {
        Ok(wanted) => wanted,
        Err(why) => return fail(USAGE, &why),
    };
    match send(wanted, io::stdin().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => fail(code, &why),
    }
}

fn fail(code: u8, why: &str) -> ExitCode {
    eprintln!("sendmail: {why}");
    ExitCode::from(code)
}

/// Reads the arguments.
fn read(arguments: &[String]) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(option) = argument.strip_prefix('-').filter(|option| !option.is_empty()) else {
            wanted.to.push(argument.clone());
            continue;
        };
        let mut value = |inline: &str| -> Result<String, String> {
            match inline {
                "" => rest.next().cloned().ok_or_else(|| format!("-{option} needs a value")),
                inline => Ok(inline.to_owned()),
            }
        };
        match (&option[..1], option.get(1..).unwrap_or_default()) {
            ("-", "") => {
                wanted.to.extend(rest.by_ref().cloned());
            }
            ("f" | "r", inline) => wanted.from = Some(value(inline)?),
            // Full name, options, tags of delivery reports, the time of a queue: they say nothing here.
            ("F" | "h" | "N" | "R" | "V" | "X" | "A" | "C" | "D" | "L" | "O" | "p", inline) => drop(value(inline)?),
            ("B" | "d" | "q", _) => {}
            ("b", "m" | "") => {}
            ("b", mode) => return Err(format!("-b{mode} is not offered here: `procura queue list` shows the queue")),
            ("o", "i") => wanted.dots = true,
            ("o", _) => {}
            _ if option.bytes().all(|byte| b"tivUGn".contains(&byte)) => {
                wanted.from_header |= option.contains('t');
                wanted.dots |= option.contains('i');
            }
            _ => return Err(format!("there is no option -{option}")),
        }
    }
    if wanted.to.is_empty() && !wanted.from_header {
        return Err("nobody is named who is to get it".to_owned());
    }
    Ok(wanted)
}

fn send(mut wanted: Wanted, input: impl Read) -> Result<(), (u8, String)> {
    let unreadable = |error: io::Error| (DATA, format!("standard input: {error}"));
    let mut input = BufReader::new(input);
    let mut head = Vec::new();
    if wanted.from_header {
        head = header(&mut input).map_err(unreadable)?;
        let (kept, mut found) = addressees(&head)?;
        wanted.to.append(&mut found);
        head = kept;
        if wanted.to.is_empty() {
            return Err((DATA, "the header names nobody who is to get it".to_owned()));
        }
    }
    let path = std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from(SOCKET), PathBuf::from);
    let away = |error: io::Error| (LATER, format!("{}: {error}", path.display()));
    let mut stream = UnixStream::connect(&path).map_err(away)?;
    let begin = serde_json::to_vec(&Begin { from: wanted.from, to: wanted.to }).map_err(|e| (DATA, e.to_string()))?;
    // A server that refuses closes while there is more to say: its answer counts, not that.
    let said = stream
        .write_all(&begin)
        .and_then(|()| stream.write_all(b"\n"))
        .and_then(|()| stream.write_all(&head))
        .and_then(|()| copy(&mut input, &mut stream, wanted.dots));
    let _ = stream.shutdown(Shutdown::Write);
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).map_err(away)?;
    match serde_json::from_str(&line) {
        Ok(End::Accepted(_)) => Ok(()),
        Ok(End::Refused(why)) => Err((UNAVAILABLE, why)),
        Ok(End::Later(why)) => Err((LATER, why)),
        Ok(End::Unknown(why)) => Err((FORBIDDEN, why)),
        Err(_) => Err((LATER, said.err().map_or_else(|| "no answer".to_owned(), |error| error.to_string()))),
    }
}

/// The message up to its end, or to a line with a dot alone.
fn copy(input: &mut impl BufRead, out: &mut impl Write, dots: bool) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(1 << 16).read_until(b'\n', &mut line)? == 0
            || !dots && matches!(&line[..], b".\n" | b".\r\n")
        {
            return Ok(());
        }
        out.write_all(&line)?;
    }
}

/// The header with the empty line after it.
fn header(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        let read = input.by_ref().take((LONGEST - before) as u64).read_until(b'\n', &mut head)?;
        if read == 0 || head.len() >= LONGEST || matches!(&head[before..], b"\n" | b"\r\n") {
            return Ok(head);
        }
    }
}

/// The header without Bcc, and the addresses of To, Cc and Bcc.
fn addressees(head: &[u8]) -> Result<(Vec<u8>, Vec<String>), (u8, String)> {
    let (mut kept, mut found) = (Vec::with_capacity(head.len()), Vec::new());
    let mut fields: Vec<Vec<u8>> = Vec::new();
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        match fields.last_mut() {
            Some(field) if line.starts_with(b" ") || line.starts_with(b"\t") => field.extend_from_slice(line),
            _ => fields.push(line.to_vec()),
        }
    }
    for field in fields {
        let text = String::from_utf8_lossy(&field);
        let (name, value) = text.split_once(':').unwrap_or((&text, ""));
        let name = name.trim().to_ascii_lowercase();
        if matches!(name.as_str(), "to" | "cc" | "bcc") {
            found.extend(addresses(value).map_err(|why| (DATA, format!("{name}: {why}")))?);
        }
        if name != "bcc" {
            kept.extend_from_slice(&field);
        }
    }
    Ok((kept, found))
}

/// The addresses of a field; a group such as `undisclosed-recipients:;` has those in it.
fn addresses(value: &str) -> Result<Vec<String>, String> {
    // As it is folded: one line of all of it may be too long to be read.
    let folded = value.trim().replace("\r\n", "\n").replace('\n', "\r\n");
    let inner = match folded.split_once(':') {
        Some((_, members)) if folded.ends_with(';') => members.trim_end_matches(';').trim(),
        _ => &folded,
    };
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let list = mailbox_list(inner).map_err(|fault| fault.to_string())?;
    Ok(list.into_iter().map(|mailbox| Address::as_str(&mailbox.address).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(words: &str) -> Result<Wanted, String> {
        read(&words.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_of_mail_programs_are_understood() {
        let both = Wanted { from_header: true, dots: true, ..Wanted::default() };
        for words in ["-t -i", "-ti", "-oi -t", "-t -oem -odb -oi", "-bm -t -i -B8BITMIME"] {
            assert_eq!(wanted(words).as_ref(), Ok(&both), "{words}");
        }
        let named = Wanted { from: Some("a@b".into()), to: vec!["c@d".into()], ..Wanted::default() };
        for words in ["-f a@b c@d", "-fa@b c@d", "-r a@b -- c@d", "-F Name -f a@b c@d"] {
            assert_eq!(wanted(words).as_ref(), Ok(&named), "{words}");
        }
    }

    #[test]
    fn what_is_not_offered_is_an_error() {
        for words in ["-bs", "-bd -q30m", "-bp", "-z a@b", "-f"] {
            assert!(wanted(words).is_err(), "{words}");
        }
        assert!(read(&[]).is_err());
    }

    #[test]
    fn recipients_come_from_the_header_and_bcc_goes() {
        let head = b"From: a@b.test\nTo: Bob <bob@c.test>,\n\tcarol@c.test\nBCC: dave@c.test\nSubject: x\n\n";
        let (kept, found) = addressees(head).unwrap();
        assert_eq!(found, ["bob@c.test", "carol@c.test", "dave@c.test"]);
        let kept = String::from_utf8(kept).unwrap();
        assert_eq!(kept, "From: a@b.test\nTo: Bob <bob@c.test>,\n\tcarol@c.test\nSubject: x\n\n");
    }

    #[test]
    fn a_hundred_recipients_may_be_named_in_folded_lines() {
        let many: Vec<String> = (0..100).map(|number| format!("user{number}@example.com")).collect();
        for end in ["\n", "\r\n"] {
            let head = format!("From: a@b.test{end}To: {}{end}{end}", many.join(&format!(",{end} ")));
            assert_eq!(addressees(head.as_bytes()).unwrap().1, many);
        }
    }

    #[test]
    fn a_line_with_a_dot_ends_the_message_unless_it_is_text() {
        let text = &b"one\n.\ntwo\n"[..];
        let copied = |dots: bool| {
            let mut out = Vec::new();
            copy(&mut io::Cursor::new(text), &mut out, dots).unwrap();
            out
        };
        assert_eq!(copied(false), b"one\n");
        assert_eq!(copied(true), text);
    }
}
