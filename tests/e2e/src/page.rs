//! Pages of the documentation whose commands are run: what they show, compared with what is printed.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Generous: a loaded machine is no failure.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command of the page, and the lines that the page shows below it.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// The command, continued lines joined.
    pub command: String,
    /// The lines that the page shows below it.
    pub shown: Vec<String>,
}

/// The steps of a page: lines of console blocks that begin with `$ `, continued by `\`, each with what follows it.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_console = false;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            in_console = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| in_console) {
            let mut command = command.to_owned();
            while command.ends_with('\\') {
                command.pop();
                command.push_str(lines.next().unwrap_or_default().trim_start());
            }
            steps.push(Step { command, shown: Vec::new() });
        } else if let Some(step) = steps.last_mut().filter(|_| in_console) {
            step.shown.push(line.trim_end().to_owned());
        }
    }
    steps
}

/// What is another one in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Id,
    DomainSid,
    Time,
    Port,
    ExportFile,
    Version,
}

/// A text in pieces: what is the same in every run, and what is not.
fn pieces(line: &str) -> Vec<(&str, Option<Variable>)> {
    let is_delimiter = |c: char| c.is_whitespace() || "[](){};,'`".contains(c);
    let mut pieces = Vec::new();
    let mut rest = line;
    let mut before = "";
    while !rest.is_empty() {
        let end = match rest.find(is_delimiter) {
            Some(0) => rest.find(|c| !is_delimiter(c)).unwrap_or(rest.len()),
            Some(end) => end,
            None => rest.len(),
        };
        let (word, after) = rest.split_at(end);
        rest = after;
        match word.starts_with(is_delimiter) {
            true => pieces.push((word, None)),
            false => {
                word_pieces(word, before, &mut pieces);
                before = word;
            }
        }
    }
    pieces
}

fn word_pieces<'a>(word: &'a str, before: &str, pieces: &mut Vec<(&'a str, Option<Variable>)>) {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = |variable| vec![(word, Some(variable))];
    let found = if word.len() == 26 && word.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()) {
        whole(Variable::Id)
    } else if word.starts_with("20") && word.contains('T') && word.ends_with('Z') {
        whole(Variable::Time)
    } else if word.strip_suffix(':').unwrap_or(word).ends_with(".txt") && word.starts_with("Send_As_Export_") {
        let (file, colon) = word.split_at(word.trim_end_matches(':').len());
        vec![(file, Some(Variable::ExportFile)), (colon, None)]
    } else if digits(word) && matches!(before, "undo" | "version") {
        whole(Variable::Version)
    } else if let Some((address, port)) =
        word.split_once("127.0.0.1:").filter(|(address, port)| address.is_empty() && digits(port) && *port != "587")
    {
        let _ = address;
        vec![("127.0.0.1:", None), (port, Some(Variable::Port))]
    } else if let Some(rest) = word.strip_prefix("S-1-5-21-") {
        let (domain, rid) = rest.rsplit_once('-').unwrap_or((rest, ""));
        vec![("S-1-5-21-", None), (domain, Some(Variable::DomainSid)), (rid, None)]
    } else {
        vec![(word, None)]
    };
    pieces.extend(found);
}

/// What the page shows, and what took its place in this run.
#[derive(Default)]
pub struct Known(HashMap<String, String>);

impl Known {
    /// A command of the page for this run.
    pub fn translate(&self, command: &str) -> String {
        let now = |(piece, variable): (&str, Option<Variable>)| match variable.and_then(|_| self.0.get(piece)) {
            Some(now) => now.clone(),
            None => piece.to_owned(),
        };
        pieces(command).into_iter().map(now).collect()
    }

    /// Whether a printed line is what the page shows; learns what differs. `…` at an end stands for anything.
    pub fn is(&mut self, shown: &str, printed: &str) -> bool {
        let (tail, head) = (shown.strip_prefix('…'), shown.strip_suffix('…'));
        let (shown, printed) = match (head, tail) {
            (Some(head), _) => {
                let (shown, printed) = (pieces(head.trim_end()), pieces(printed));
                let same = shown.len();
                (shown, printed.into_iter().take(same).collect())
            }
            (None, Some(tail)) => {
                let (shown, printed) = (pieces(tail), pieces(printed));
                let skipped = printed.len().saturating_sub(shown.len());
                (shown, printed.into_iter().skip(skipped).collect::<Vec<_>>())
            }
            (None, None) => (pieces(shown), pieces(printed.trim_end())),
        };
        type Piece<'t> = (&'t str, Option<Variable>);
        let same = |((a, kind), (b, other)): (&Piece<'_>, &Piece<'_>)| {
            kind == other && (kind.is_some() || a == b || a.trim().is_empty() && b.trim().is_empty())
        };
        if shown.len() != printed.len() || !shown.iter().zip(&printed).all(same) {
            return false;
        }
        for ((shown, kind), (printed, _)) in shown.into_iter().zip(printed) {
            let now = self.0.entry(shown.to_owned());
            // The same word of the page is the same thing in this run; times and ports are not used again.
            let stays = matches!(kind, Some(Variable::Id | Variable::DomainSid | Variable::Version));
            if kind.is_some() && *now.or_insert_with(|| printed.to_owned()) != printed && stays {
                return false;
            }
        }
        true
    }

    /// Whether all that was printed is what the page shows. A line of `…` stands for any number of lines.
    pub fn are(&mut self, shown: &[String], printed: &[String]) -> bool {
        match shown.split_first() {
            None => printed.is_empty(),
            Some((line, rest)) if line == "…" => {
                (0..=printed.len()).any(|skipped| self.are(rest, &printed[skipped..]))
            }
            Some((line, rest)) => {
                let Some((first, others)) = printed.split_first() else { return false };
                self.is(line, first) && self.are(rest, others)
            }
        }
    }
}

/// A shell that runs the commands of a page, one after the other.
pub struct Shell {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    /// A shell that this command starts; it reads commands from its standard input.
    pub fn start(command: &mut Command) -> Shell {
        let mut child = command
            .env("NO_COLOR", "1")
            .env_remove("PROCURA_DATA")
            .env_remove("PROCURA_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let input = child.stdin.take().unwrap();
        Shell { child, input, lines }
    }

    /// Gives it a line that nobody waits for.
    #[track_caller]
    pub fn say(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// Runs a command to its end; what it printed, errors included, and its exit code.
    #[track_caller]
    pub fn run(&mut self, command: &str) -> (Vec<String>, i32) {
        self.say(&format!("{{ {command}\n}} 2>&1 </dev/null; echo; echo \"@@ended $?\"\n"));
        let mut printed: Vec<String> = Vec::new();
        loop {
            let line =
                self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{command} does not end: {printed:?}"));
            if let Some(code) = line.strip_prefix("@@ended ") {
                // The empty line before the mark, and those that the command ended with.
                while printed.last().is_some_and(|line| line.trim().is_empty()) {
                    printed.pop();
                }
                return (printed, code.parse().unwrap());
            }
            printed.push(line);
        }
    }

    /// Starts a server and waits until it is ready; what it printed until then, its log left out.
    #[track_caller]
    pub fn serve(&mut self, command: &str) -> Vec<String> {
        self.say(&format!("{command} 2>serve.log </dev/null &\n"));
        let mut printed = Vec::new();
        while printed.last().is_none_or(|line| line != "ready") {
            printed.push(
                self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{command} is not ready: {printed:?}")),
            );
        }
        printed
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Known {
    /// Runs the steps of a page in order; each must succeed and print what the page shows. `run` runs those that are not
    /// just commands of the shell.
    #[track_caller]
    pub fn follow(&mut self, shell: &mut Shell, steps: &[Step], run: impl Fn(&mut Shell, &str) -> Option<Vec<String>>) {
        for step in steps {
            let command = self.translate(&step.command);
            let (printed, code) = match run(shell, &command) {
                Some(printed) => (printed, 0),
                None => shell.run(&command),
            };
            assert_eq!(code, 0, "{command}\n{}", printed.join("\n"));
            let is_shown = step.shown.is_empty() || self.are(&step.shown, &printed);
            let (shown, printed) = (step.shown.join("\n"), printed.join("\n"));
            assert!(is_shown, "{command}\nthe page shows:\n{shown}\nit printed:\n{printed}");
        }
    }
}
