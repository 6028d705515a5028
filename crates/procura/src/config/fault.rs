//! What is wrong with a configuration: file, line, and what to do.

use std::path::{Path, PathBuf};

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};

use super::keys::{self, WrongValue};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFault {
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}:{line}: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
        /// What to do.
        help: String,
        /// The text, for the excerpt.
        source_code: Box<NamedSource<String>>,
        /// Where in the text: offset and length in bytes.
        span: (usize, usize),
    },
}

impl ConfigFault {
    pub(super) fn from_toml(path: &Path, text: &str, error: &toml::de::Error) -> ConfigFault {
        let message = error.message().to_owned();
        let help = match unknown_name(&message).and_then(nearest_key) {
            Some(near) => format!("did you mean `{near}`? `procura config describe` lists the keys"),
            None if message.starts_with("unknown field") => "`procura config describe` lists the keys".to_owned(),
            None if message == "duplicate key" && is_table(text, error) => {
                "a table stands once in the file: write the keys under the one that is there already".to_owned()
            }
            None => "correct the line; `procura config describe` says what each key takes".to_owned(),
        };
        Self::wrong(path, text, error.span().map_or((0, 0), |s| (s.start, s.len())), message, help)
    }

    pub(super) fn from_value(path: &Path, text: &str, wrong: &WrongValue) -> ConfigFault {
        Self::wrong(path, text, find_key(text, wrong.section, wrong.key), wrong.message.clone(), wrong.help.clone())
    }

    fn wrong(path: &Path, text: &str, span: (usize, usize), message: String, help: String) -> ConfigFault {
        let line = text.as_bytes()[..span.0.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1;
        let source_code = Box::new(NamedSource::new(path.display().to_string(), text.to_owned()).with_language("toml"));
        ConfigFault::Wrong { path: path.to_owned(), line, message, help, source_code, span }
    }
}

impl Diagnostic for ConfigFault {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        match self {
            ConfigFault::Unreadable { .. } => {
                Some(Box::new("name the file with --config FILE; `procura init DIR` writes one"))
            }
            ConfigFault::Wrong { help, .. } => Some(Box::new(help)),
        }
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        match self {
            ConfigFault::Wrong { source_code, .. } => Some(source_code.as_ref()),
            ConfigFault::Unreadable { .. } => None,
        }
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match self {
            ConfigFault::Wrong { span, .. } => {
                Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some("here".into()), *span))))
            }
            ConfigFault::Unreadable { .. } => None,
        }
    }
}

/// Whether a fault is about the name of a table, in brackets at the beginning of a line.
fn is_table(text: &str, error: &toml::de::Error) -> bool {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    before.trim_end_matches([' ', '\t']).ends_with('[')
}

/// The name in serde's "unknown field `x`, expected …".
fn unknown_name(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

/// The key whose name is nearest to what was written, if it is near at all.
fn nearest_key(written: &str) -> Option<&'static str> {
    let names = keys::sections().into_iter().flat_map(|s| s.keys.into_iter().map(|k| k.name).chain([s.name]));
    names.map(|name| (distance(written, name), name)).filter(|(d, _)| *d <= 3).min().map(|(_, name)| name)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Where a key stands in the text: offset and length of its line.
fn find_key(text: &str, section: &str, key: &str) -> (usize, usize) {
    let (mut inside, mut offset) = (false, 0);
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if bare.starts_with('[') {
            inside = bare.trim_matches(['[', ']']).trim() == section;
        } else if (inside && bare.split('=').next().is_some_and(|k| k.trim() == key))
            || bare.split('=').next().is_some_and(|k| k.trim() == format!("{section}.{key}"))
        {
            return (offset, line.trim_end().len());
        }
        offset += line.len();
    }
    (0, 0)
}
