//! The clients that people have: swaks, curl, msmtp, Python's smtplib and aiosmtplib, nodemailer.

use std::process::Command;

use crate::outcome::Outcome;
use crate::server::finish;

/// A mail client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// <https://jetmore.org/john/code/swaks/>
    Swaks,
    /// <https://curl.se>
    Curl,
    /// Python's standard library.
    Smtplib,
    /// <https://marlam.de/msmtp/>
    Msmtp,
    /// <https://aiosmtplib.readthedocs.io>
    Aiosmtplib,
    /// <https://nodemailer.com>
    Nodemailer,
}

/// SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// The two-prompt mechanism.
    Login,
    /// RFC 7677.
    ScramSha256,
    /// RFC 7628; the password is an access token.
    OauthBearer,
    /// Its forerunner.
    Xoauth2,
}

/// How a session logs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logon {
    /// Not at all.
    Anonymous,
    /// With a password after STARTTLS.
    Account {
        /// Login name.
        login: String,
        /// Password.
        password: String,
        /// Authorization identity: the mailbox that is logged on to.
        mailbox: Option<String>,
        /// Mechanism.
        mechanism: Mechanism,
    },
}

/// One message to send.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// With which client.
    pub tool: Tool,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// As whom.
    pub logon: Logon,
    /// Reverse-path, empty for `<>`.
    pub envelope: String,
    /// Recipients.
    pub to: Vec<String>,
    /// The whole message, lines ended with LF.
    pub message: String,
}

impl Attempt {
    /// Sends it.
    #[track_caller]
    pub fn send(&self) -> Outcome {
        match self.tool {
            Tool::Swaks => self.swaks(),
            Tool::Curl => self.curl(),
            Tool::Smtplib => self.smtplib(),
            Tool::Msmtp => self.msmtp(),
            Tool::Aiosmtplib => self.script("/usr/bin/python3", &["-c", include_str!("aiosmtplib.py")]),
            Tool::Nodemailer => self.script("node", &["-e", include_str!("nodemailer.js")]),
        }
    }

    fn swaks(&self) -> Outcome {
        let mut command = Command::new("swaks");
        command.args([
            "--server",
            "127.0.0.1",
            "--port",
            &self.port.to_string(),
            "--ehlo",
            "client.test",
            "--timeout",
            "60",
        ]);
        command.args(["--from", if self.envelope.is_empty() { "<>" } else { &self.envelope }]);
        command.args(["--to", &self.to.join(","), "--data", "-"]);
        if let Logon::Account { login, password, mailbox, mechanism } = &self.logon {
            assert!(mailbox.is_none() || *mechanism == Mechanism::Login, "swaks has no authorization identity");
            command.args(["--tls", "--auth", mechanism.name(), "--auth-user", login, "--auth-password", password]);
        }
        let finished = finish(&mut command, &self.message);
        // `<-  250 …` in clear, `<~* 550 …` under TLS.
        let transcript = finished.all();
        let lines: Vec<&str> = transcript
            .lines()
            .filter(|line| line.starts_with("<") && line.len() > 4)
            .map(|line| line[3..].trim_start())
            .collect();
        Outcome::from_lines(lines.into_iter(), transcript.clone())
    }

    fn curl(&self) -> Outcome {
        let mut command = Command::new("curl");
        command.args(["--silent", "--verbose", "--max-time", "60", "--crlf"]);
        command.args(["--url", &format!("smtp://127.0.0.1:{}/client.test", self.port)]);
        command.args(["--mail-from", &self.envelope, "--upload-file", "-"]);
        for to in &self.to {
            command.args(["--mail-rcpt", to]);
        }
        if let Logon::Account { login, password, mailbox, mechanism } = &self.logon {
            command.args(["--ssl-reqd", "--insecure"]);
            match mechanism {
                Mechanism::OauthBearer | Mechanism::Xoauth2 => {
                    command.args(["--user", &format!("{login}:"), "--oauth2-bearer", password]);
                }
                _ => {
                    command.args(["--user", &format!("{login}:{password}")]);
                }
            }
            command.args(["--login-options", &format!("AUTH={}", mechanism.name())]);
            if let Some(mailbox) = mailbox {
                command.args(["--sasl-authzid", mailbox]);
            }
        }
        let finished = finish(&mut command, &self.message);
        let transcript = finished.err;
        let lines: Vec<&str> = transcript.lines().filter_map(|line| line.strip_prefix("< ")).collect();
        Outcome::from_lines(lines.into_iter(), transcript.clone())
    }

    fn msmtp(&self) -> Outcome {
        let mut command = Command::new("msmtp");
        command.args(["--file=/dev/null", "--debug", "--host=127.0.0.1", "--domain=client.test", "--timeout=60"]);
        command.args([&format!("--port={}", self.port), &format!("--from={}", self.envelope)]);
        if let Logon::Account { login, password, mailbox, mechanism } = &self.logon {
            assert!(mailbox.is_none(), "msmtp has no authorization identity");
            command.args(["--tls=on", "--tls-starttls=on", "--tls-certcheck=off"]);
            command.arg(format!("--auth={}", mechanism.name().to_ascii_lowercase()));
            command.args([&format!("--user={login}"), "--passwordeval=printenv MSMTP_PASSWORD"]);
            command.env("MSMTP_PASSWORD", password);
        }
        command.arg("--").args(&self.to);
        let transcript = finish(&mut command, &self.message).all();
        let lines: Vec<&str> = transcript.lines().filter_map(|line| line.strip_prefix("<-- ")).collect();
        Outcome::from_lines(lines.into_iter(), transcript.clone())
    }

    /// A program that takes the attempt as JSON and prints what the server said.
    fn script(&self, program: &str, arguments: &[&str]) -> Outcome {
        let (login, password, mechanism) = match &self.logon {
            Logon::Anonymous => (None, None, None),
            Logon::Account { login, password, mailbox, mechanism } => {
                assert!(mailbox.is_none(), "{program} has no authorization identity");
                (Some(login), Some(password), Some(mechanism.name()))
            }
        };
        let order = serde_json::json!({
            "port": self.port, "envelope": self.envelope, "to": self.to, "message": self.message,
            "login": login, "password": password, "mechanism": mechanism,
        });
        let transcript = finish(Command::new(program).args(arguments), &order.to_string()).all();
        Outcome::from_lines(transcript.lines(), transcript.clone())
    }

    fn smtplib(&self) -> Outcome {
        let mut talk = crate::Talk::connect(self.port);
        let reply = match &self.logon {
            Logon::Anonymous => None,
            Logon::Account { login, password, mailbox, mechanism } => {
                Some(talk.log_on(login, password, mailbox.as_deref(), *mechanism))
            }
        };
        let reply = match reply {
            Some(reply) if !reply.starts_with("235") => reply,
            _ => {
                let to: Vec<&str> = self.to.iter().map(String::as_str).collect();
                talk.send(&self.envelope, &to, &self.message)
            }
        };
        Outcome { reply, transcript: talk.transcript() }
    }
}

impl Mechanism {
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::OauthBearer => "OAUTHBEARER",
            Mechanism::Xoauth2 => "XOAUTH2",
        }
    }
}
