//! Clients of the domain controller's KDC: MIT's library, with a configuration and tickets of their own.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::domain_controller::DomainController;
use crate::server::finish;

/// Tickets of somebody, in a folder.
#[derive(Clone, Copy, Debug)]
pub struct Tickets<'a> {
    controller: &'a DomainController,
    folder: &'a Path,
}

impl<'a> Tickets<'a> {
    /// None yet. The folder gets `krb5.conf` and `tickets`.
    #[track_caller]
    pub fn new(controller: &'a DomainController, folder: &'a Path) -> Tickets<'a> {
        let configuration = folder.join("krb5.conf");
        if !configuration.exists() {
            fs::write(
                configuration,
                "[libdefaults]\ndefault_realm = AD.EXAMPLE.TEST\ndns_lookup_kdc = false\ndns_lookup_realm = false\n\
                 rdns = false\ndns_canonicalize_hostname = false\n[realms]\nAD.EXAMPLE.TEST = {\n kdc = 127.0.0.1\n}\n\
                 [domain_realm]\n.ad.example.test = AD.EXAMPLE.TEST\nlocalhost = AD.EXAMPLE.TEST\n",
            )
            .unwrap();
        }
        Tickets { controller, folder }
    }

    /// A command that uses them.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.controller.beside(program, arguments);
        command.env("KRB5_CONFIG", self.folder.join("krb5.conf"));
        command.env("KRB5CCNAME", format!("FILE:{}", self.folder.join("tickets").display()));
        command
    }

    /// Runs a program that uses them; everything that it said.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str], input: &str) -> String {
        finish(&mut self.command(program, arguments), input).all()
    }

    /// Gets one for somebody.
    #[track_caller]
    pub fn log_on(&self, user: &str, password: &str) {
        self.run("kinit", &[user], &format!("{password}\n"));
    }

    /// Hands a message in on port 587, as curl does it with them; everything that curl said.
    #[track_caller]
    pub fn send(&self, host: &str, from: &str, to: &str) -> String {
        let url = format!("smtp://{host}:587/client.test");
        let message = format!("From: {from}\nTo: {to}\nSubject: by ticket\n\nhello\n");
        let quiet = ["--silent", "--verbose", "--max-time", "60", "--crlf"];
        let place = ["--connect-to", "::127.0.0.1:587", "--url", &url];
        let who = ["--user", ":", "--login-options", "AUTH=GSSAPI"];
        let what = ["--mail-from", from, "--mail-rcpt", to, "--upload-file", "-"];
        self.run("curl", &[&quiet[..], &place, &who, &what].concat(), &message)
    }
}
