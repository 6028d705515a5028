//! An issuer of access tokens: Node.js signs them, and serves the key set over HTTP as OpenID providers do.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// A running issuer.
#[derive(Debug)]
pub struct Issuer {
    child: Child,
    talk: RefCell<Option<(ChildStdin, BufReader<ChildStdout>)>>,
    url: String,
}

impl Issuer {
    /// `iss` of its tokens.
    pub const NAME: &'static str = "https://login.example.com";

    /// Starts it on a free port of the loopback interface.
    #[track_caller]
    pub fn start() -> Issuer {
        let mut child = Command::new("node")
            .args(["-e", include_str!("issuer.js")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        answers.read_line(&mut url).unwrap();
        Issuer { child, talk: RefCell::new(Some((orders, answers))), url: url.trim().to_owned() }
    }

    /// What a node needs in its configuration to believe it.
    pub fn configuration(&self) -> String {
        let (issuer, url) = (Issuer::NAME, &self.url);
        format!("[oauth.providers.test]\nissuer = \"{issuer}\"\naudience = [\"smtp\"]\nkeys = \"{url}\"\n")
    }

    /// A token for the owner of a mail address, changed by `change`.
    #[track_caller]
    pub fn token(&self, address: &str, change: Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({"iss": Issuer::NAME, "aud": "smtp", "exp": now + 3600, "iat": now, "email": address});
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let mut talk = self.talk.borrow_mut();
        let (orders, answers) = talk.as_mut().unwrap();
        writeln!(orders, "{claims}").unwrap();
        let mut token = String::new();
        answers.read_line(&mut token).unwrap();
        token.trim().to_owned()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        drop(self.talk.take());
        let _ = self.child.wait();
    }
}
