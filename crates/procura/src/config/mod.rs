//! `procura.toml`: what one node needs to know before it can read the directory. Everything else (connectors, accepted
//! domains, mailbox databases, permissions) stands in the directory, where it is changed under access control.
//!
//! Every key is declared once, in [`keys`]; parser, defaults, the commented file of `procura init` and the reference of
//! `procura config describe` come from there.

mod fault;
pub mod filter;
pub mod keys;
pub mod provider;

use std::path::{Path, PathBuf};

pub use fault::ConfigFault;
pub use keys::Config;

/// A configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Relative paths in the file start here: the folder of the file.
    pub base: PathBuf,
    /// The file; none: the defaults.
    pub file: Option<PathBuf>,
}

impl Loaded {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Loaded, ConfigFault> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigFault::Unreadable { path: path.to_owned(), error })?;
        let config = parse(path, &text)?;
        let base = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Loaded { config, base: base.to_owned(), file: Some(path.to_owned()) })
    }

    /// The defaults, for a data directory without a file.
    pub fn defaults(base: &Path) -> Loaded {
        Loaded { config: Config::default(), base: base.to_owned(), file: None }
    }

    /// A path of the file, made absolute from the file's folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.base.join(path).components().collect()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.path(&self.config.node.data)
    }
}

/// Parses and checks the text of a configuration; `path` is for messages.
pub fn parse(path: &Path, text: &str) -> Result<Config, ConfigFault> {
    let config: Config = toml::from_str(text).map_err(|error| ConfigFault::from_toml(path, text, &error))?;
    config.check().map_err(|wrong| ConfigFault::from_value(path, text, &wrong))?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        let fault = parse(Path::new("procura.toml"), text).unwrap_err();
        format!("{fault} | {}", miette::Diagnostic::help(&fault).map(|h| h.to_string()).unwrap_or_default())
    }

    #[test]
    fn the_file_that_init_writes_is_the_default_configuration() {
        assert_eq!(parse(Path::new("p"), &keys::commented(&[])).unwrap(), Config::default());
    }

    #[test]
    fn every_commented_key_may_be_uncommented() {
        // A keytab is refused by a program that was built without Kerberos.
        let usable = |line: &&str| cfg!(feature = "kerberos") || !line.contains("keytab");
        let text = keys::commented(&[]);
        let lines: Vec<&str> = text.lines().map(|l| l.strip_prefix("#> ").unwrap_or(l)).filter(usable).collect();
        parse(Path::new("p"), &lines.join("\n")).unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let said = fault("[node]\nhostnam = \"mx.example.com\"\n");
        assert!(said.contains("procura.toml:2") && said.contains("hostnam"), "{said}");
        assert!(said.contains("hostname"), "{said}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_with_its_line() {
        let said = fault("\n[delivery]\nexpire_hours = \"two\"\n");
        assert!(said.contains("procura.toml:3"), "{said}");
    }

    #[test]
    fn a_smart_host_without_a_usable_port_is_refused_with_its_line() {
        let said = fault("[delivery]\nsmart_host = \"relay.example.com:smtp\"\n");
        assert!(said.contains("procura.toml:2") && said.contains("smart_host"), "{said}");
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let said = fault("[tls]\ncertificate = \"a.pem\"\n");
        assert!(said.contains("procura.toml:2") && said.contains("key"), "{said}");
    }
}
