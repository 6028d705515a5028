//! Examples of all commands, in one place: the help shows them, the manual pages print them, and a test tries them on the
//! parser. Commands whose help needs more words have them where their arguments are.

use clap::Command;

/// What exit codes mean, for the help of `procura` itself.
pub const EXIT_CODES: &str = "Exit codes, of all commands:
  0  done; allowed; nothing found
  1  the answer is no, or something was found or left undone: `check`,
     `folder-permission check`,
     `audit diff`, `audit separation`, `service-account check`, `test-send`,
     `connector test`, `pause list`, `queue`, `trace`, `doctor`,
     `directory test`, `check-directory`, a bad line given to `sd convert`,
     `sd check` or `sd inherit`
  2  an error: nothing was changed, except by commands that say how far
     they came

Each command has --help with examples. `procura completion bash` prints a
completion script, `procura man` writes manual pages.";

/// Command and its examples, without `procura` in front.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("serve", &["serve --demo", "serve --data /var/lib/procura"]),
    ("init", &["init /var/lib/procura --domain example.com --hostname mail.example.com"]),
    ("config describe", &["config describe"]),
    ("config template", &["config template > procura.toml"]),
    ("config check", &["config check /etc/procura/procura.toml"]),
    ("user set", &["user set alice --add-address a.adler@example.com", "user set alice --ou OU=Plant --dry-run"]),
    ("user remove", &["user remove alice --dry-run"]),
    ("user list", &["user list --under OU=Staff", "user list --format csv > users.csv"]),
    ("group add", &["group add Press --member zoe --address press@example.com", "group add News --distribution"]),
    ("group set", &["group set Press --address press@example.com --address media@example.com"]),
    ("group remove", &["group remove Press"]),
    ("group list", &["group list --format json"]),
    ("recipient get", &["recipient get alice", "recipient get Sales --format json"]),
    ("group member add", &["group member add Press alice bob"]),
    ("group member remove", &["group member remove Press bob"]),
    ("group member list", &["group member list Press --recursive"]),
    ("mailbox add", &["mailbox add alice", "mailbox add alice --database 'Mailbox Database'"]),
    (
        "mailbox set",
        &[
            "mailbox set alice --database 'Second Database'",
            "mailbox set alice --sending-limit '100 messages/hour' --sending-limit '500 recipients/day'",
        ],
    ),
    ("mailbox remove", &["mailbox remove alice"]),
    ("mailbox list", &["mailbox list --under OU=Staff --format csv"]),
    ("mailbox purge", &["mailbox purge 3f1c2a7e-5d0b-4b62-9d2f-2f4f6c1d8e90 --dry-run"]),
    ("mailbox unlink", &["mailbox unlink carla"]),
    ("account app-password add", &["account app-password add alice Scanner"]),
    ("account app-password list", &["account app-password list alice"]),
    ("account app-password remove", &["account app-password remove alice Scanner"]),
    ("connector receive get", &["connector receive get", "connector receive get Internet --format json"]),
    ("connector receive remove", &["connector receive remove Scanners"]),
    ("connector send get", &["connector send get"]),
    (
        "connector send set",
        &[
            "connector send set Internet --smart-host relay.example.net",
            "connector send set Internet --by-mx --tls mta-sts",
        ],
    ),
    ("connector send remove", &["connector send remove Provider"]),
    ("server set", &["server set EDGE --add-certificate edge-2027.pem"]),
    ("server get", &["server get", "server get EDGE --format json"]),
    ("server remove", &["server remove EDGE"]),
    ("server key", &["server key edge.pem"]),
    ("secure-domain list", &["secure-domain list"]),
    ("secure-domain add", &["secure-domain add partner.test --dry-run"]),
    ("secure-domain remove", &["secure-domain remove partner.test"]),
    ("domain add", &["domain add example.org", "domain add '*.example.org' --kind internal-relay"]),
    ("domain set", &["domain set example.org --subaddressing true"]),
    ("domain remove", &["domain remove example.org"]),
    ("domain list", &["domain list"]),
    ("ou add", &["ou add Staff", "ou add Board --under OU=Staff --protected"]),
    ("password set", &["password set alice", "password set alice --stdin"]),
    ("import", &["import ad.ldif --map map.toml --dry-run", "import ad.ldif --map map.toml"]),
    (
        "permission remove",
        &[
            "permission remove ceo --user alice --right 'Send As'",
            "permission remove OU=Staff --user goodadmin --right 'Send As' --inherit-to user",
        ],
    ),
    ("permission get", &["permission get ceo", "permission get OU=Staff --user goodadmin --format json"]),
    (
        "mailbox-permission add",
        &["mailbox-permission add ceo --user alice", "mailbox-permission add ceo --user helper --until 8h"],
    ),
    ("mailbox-permission remove", &["mailbox-permission remove ceo --user alice"]),
    ("mailbox-permission get", &["mailbox-permission get ceo"]),
    ("send-on-behalf add", &["send-on-behalf add ceo alice bob", "send-on-behalf add ceo alice --until 2027-01-31"]),
    ("send-on-behalf remove", &["send-on-behalf remove ceo alice"]),
    ("send-on-behalf get", &["send-on-behalf get ceo --format json"]),
    ("permission observed", &["permission observed", "permission observed --days 30 --format csv > observed.csv"]),
    ("permission unused", &["permission unused --days 180", "permission unused --all --format csv > usage.csv"]),
    (
        "delegate add",
        &["delegate add ceo alice --full-access", "delegate add ceo alice --send-as --until 14d --dry-run"],
    ),
    ("delegate remove", &["delegate remove ceo alice --full-access --send-as"]),
    ("delegate get", &["delegate get ceo"]),
    ("service-account pause disable", &["service-account pause disable goodadmin"]),
    ("service-account pause show", &["service-account pause show goodadmin"]),
    ("token list", &["token list", "token list besadmin --format json"]),
    ("webhook list", &["webhook list besadmin"]),
    ("pause show", &["pause show goodadmin --user johndoe@example.com"]),
    ("explain", &["explain 01J8Z3T5Q4R7N2M6K9V1X0C8BW"]),
    ("queue show", &["queue show 01J8Z3T5Q4R7N2M6K9V1X0C8BW"]),
    ("reload", &["reload"]),
    ("status", &["status", "status --format json"]),
    ("directory test", &["directory test"]),
    ("directory status", &["directory status", "directory status --format json"]),
    ("completion", &["completion bash > /etc/bash_completion.d/procura", "completion zsh > _procura"]),
    ("man", &["man --out /usr/local/share/man/man1"]),
    ("sd show", &["sd show 'D:(A;;CR;;;WD)'", "sd show --object ceo"]),
    ("sd convert", &["sd convert --from sddl --to hex < descriptors.txt"]),
    ("sd check", &["sd check < questions.jsonl"]),
    ("sd inherit", &["sd inherit < parents.jsonl"]),
    ("protected list", &["protected list"]),
    ("protected orphans", &["protected orphans --format csv"]),
    ("protected repair", &["protected repair carla --dry-run"]),
];

/// Adds the examples to the commands that have none.
pub fn add(command: Command) -> Command {
    below(command.after_help(EXIT_CODES), "")
}

fn below(mut command: Command, path: &str) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command = command.mut_subcommand(&name, |sub| {
            let own = EXAMPLES.iter().find(|(command, _)| *command == path);
            let sub = match own {
                Some((_, examples)) if sub.get_after_help().is_none() => sub.after_help(text(examples)),
                _ => sub,
            };
            below(sub, &path)
        });
    }
    command
}

fn text(examples: &[&str]) -> String {
    let head = if examples.len() == 1 { "Example:" } else { "Examples:" };
    examples.iter().fold(head.to_owned(), |text, example| format!("{text}\n  procura {example}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Cli;

    /// Each command that can be run, with its name.
    fn leaves(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name()).trim().to_owned();
            match sub.has_subcommands() {
                true => leaves(sub, &path, found),
                false => found.push((path, sub.clone())),
            }
        }
    }

    fn all() -> Vec<(String, Command)> {
        let mut found = Vec::new();
        leaves(&crate::cli::command(), "", &mut found);
        found
    }

    /// The commands in a help text as a shell would take them apart, without what it does itself.
    fn examples(help: &str) -> Vec<Vec<String>> {
        let joined = help.replace("\\\n", " ");
        let lines = joined.lines().filter_map(|line| line.trim_start().strip_prefix("procura "));
        lines.map(words).collect()
    }

    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted, mut any) = (vec!["procura".to_owned()], String::new(), None, false);
        for c in line.chars() {
            match (quoted, c) {
                (None, '\'' | '"') => (quoted, any) = (Some(c), true),
                (Some(open), c) if c == open => quoted = None,
                (None, '>' | '<' | '|') => break,
                (None, ' ') => {
                    if any || !word.is_empty() {
                        words.push(std::mem::take(&mut word));
                    }
                    any = false;
                }
                (_, c) => word.push(c),
            }
        }
        if any || !word.is_empty() {
            words.push(word);
        }
        words
    }

    #[test]
    fn every_command_has_an_example_in_its_help() {
        let help = |command: &Command| {
            let long = command.get_after_long_help().or(command.get_after_help());
            long.map(ToString::to_string).unwrap_or_default()
        };
        let without: Vec<String> =
            all().into_iter().filter(|(_, command)| !help(command).contains("Example")).map(|(path, _)| path).collect();
        assert!(without.is_empty(), "no example: {without:?}");
    }

    #[test]
    fn every_example_is_a_command_of_its_kind() {
        let mut tried = 0;
        for (path, command) in all() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for example in examples(&help).into_iter().filter(|words| words[1..].join(" ").starts_with(&path)) {
                let parsed = Cli::command().try_get_matches_from(&example);
                assert!(parsed.is_ok(), "{example:?}: {}", parsed.unwrap_err());
                tried += 1;
            }
        }
        assert!(tried > 60, "only {tried} examples");
    }

    #[test]
    fn every_example_of_the_table_belongs_to_a_command() {
        let known: Vec<String> = all().into_iter().map(|(path, _)| path).collect();
        for (path, examples) in EXAMPLES {
            assert!(known.iter().any(|known| known == path), "{path}");
            assert!(examples.iter().all(|example| example.starts_with(path)), "{path}");
        }
    }

    #[test]
    fn every_argument_says_what_it_is() {
        let mut silent = Vec::new();
        for (path, command) in all() {
            let arguments = command.get_arguments().filter(|argument| argument.get_help().is_none());
            silent.extend(arguments.map(|argument| format!("{path}: {}", argument.get_id())));
        }
        assert!(silent.is_empty(), "{silent:?}");
    }
}
