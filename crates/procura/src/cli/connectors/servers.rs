//! Commands about servers of the organization and domains of partners.

use std::path::{Path, PathBuf};

use admin::operations::{self as op, Request};
use clap::Subcommand;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::super::fault::Failure;

#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Let this directory know another server of the organization, by the keys of its certificates
    #[command(
        after_help = "Example, on the hub:\n  procura server new EDGE --role edge --certificate edge.pem\nand on the edge:\n  procura server new HUB --certificate hub.pem"
    )]
    New {
        /// Its name
        name: String,
        /// hub or edge
        #[arg(long, default_value = "hub")]
        role: String,
        /// Fully qualified name
        #[arg(long)]
        fqdn: Option<String>,
        /// Its certificate (PEM): its key counts
        #[arg(long = "certificate", value_name = "FILE")]
        certificates: Vec<PathBuf>,
        /// SHA-256 of its public key, as `procura server key` prints it
        #[arg(long = "key", value_name = "HEX")]
        keys: Vec<String>,
    },
    /// Change a server's keys or name
    Set {
        /// Its name
        name: String,
        /// Add the key of a certificate (PEM)
        #[arg(long = "add-certificate", value_name = "FILE")]
        add_certificates: Vec<PathBuf>,
        /// Add a key
        #[arg(long = "add-key", value_name = "HEX")]
        add_keys: Vec<String>,
        /// Take a key away: it counts no longer, in open sessions too
        #[arg(long = "remove-key", value_name = "HEX")]
        remove_keys: Vec<String>,
        /// Fully qualified name
        #[arg(long)]
        fqdn: Option<String>,
    },
    /// Show servers and their keys
    Get {
        /// Its name
        name: Option<String>,
    },
    /// Forget a server that has nothing here
    Remove {
        /// Its name
        name: String,
    },
    /// Print the SHA-256 of a certificate's public key
    Key {
        /// The certificate (PEM)
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum SecureDomainCommand {
    /// List them
    List,
    /// Believe mail of a domain, and send it mail, only with its certificate
    Add {
        /// The domain
        #[arg(required = true)]
        domains: Vec<String>,
    },
    /// Take a domain off the list
    Remove {
        /// The domain
        #[arg(required = true)]
        domains: Vec<String>,
    },
}

/// The request of a command; none for one that asks nobody.
pub fn server(command: ServerCommand) -> Result<Option<Request>, Failure> {
    Ok(Some(match command {
        ServerCommand::New { name, role, fqdn, certificates, mut keys } => {
            keys.extend(digests(&certificates)?);
            Request::ServerNew(op::ServerNew { name, role: Some(role), fqdn, keys })
        }
        ServerCommand::Set { name, add_certificates, mut add_keys, remove_keys, fqdn } => {
            add_keys.extend(digests(&add_certificates)?);
            Request::ServerSet(op::ServerSet { identity: name, add_keys, remove_keys, fqdn })
        }
        ServerCommand::Get { name } => Request::ServerGet(op::ConnectorGet { identity: name }),
        ServerCommand::Remove { name } => Request::ServerRemove(op::Target { identity: name }),
        ServerCommand::Key { file } => {
            println!("{}", digest(&file)?);
            return Ok(None);
        }
    }))
}

pub fn secure_domain(command: SecureDomainCommand) -> Request {
    Request::SecureDomains(match command {
        SecureDomainCommand::List => op::SecureDomains::default(),
        SecureDomainCommand::Add { domains } => op::SecureDomains { add: domains, ..op::SecureDomains::default() },
        SecureDomainCommand::Remove { domains } => {
            op::SecureDomains { remove: domains, ..op::SecureDomains::default() }
        }
    })
}

fn digests(files: &[PathBuf]) -> Result<Vec<String>, Failure> {
    files.iter().map(|file| digest(file)).collect()
}

/// The key of the first certificate of a file, as direct trust knows it.
fn digest(file: &Path) -> Result<String, Failure> {
    let wrong = |what: String| Failure::new(format!("{}: {what}", file.display())).help("name a certificate in PEM");
    let certificate = CertificateDer::from_pem_file(file).map_err(|error| wrong(error.to_string()))?;
    let key = transport::key_digest(&certificate).ok_or_else(|| wrong("the certificate cannot be read".to_owned()))?;
    Ok(key.iter().map(|octet| format!("{octet:02x}")).collect())
}
