//! The client's side of SCRAM-SHA-256 (RFC 5802), written from the RFC and apart from the server's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Few: scripts are many, and what is tested is the exchange.
pub const ITERATIONS: u32 = 16;

/// A salt for a name.
pub fn salt(name: &str) -> Vec<u8> {
    Sha256::digest(name)[..16].to_vec()
}

/// The digest of a key that is called this.
pub fn digest(name: &str) -> [u8; 32] {
    Sha256::digest(name).into()
}

/// `Hi` of RFC 5802 §2.2.
pub fn salted(password: &str, salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut round = hmac(password.as_bytes(), &[salt, &1u32.to_be_bytes()].concat());
    let mut out = round;
    for _ in 1..iterations {
        round = hmac(password.as_bytes(), &round);
        out.iter_mut().zip(round).for_each(|(byte, other)| *byte ^= other);
    }
    out
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// A client that logs on.
pub struct Client {
    mechanism: &'static str,
    header: String,
    bare: String,
    password: String,
    bound: Vec<u8>,
}

impl Client {
    /// `NAME PASSWORD [plus=TYPE] [flag=n|y] [mailbox=WHOSE] [bound=tls-exporter|tls-server-end-point|other]`.
    pub fn new(words: &[String]) -> Result<Client, String> {
        let [name, password, options @ ..] = words else { return Err("write `scram NAME PASSWORD`".to_owned()) };
        let (mut mechanism, mut flag, mut mailbox, mut bound) = ("SCRAM-SHA-256", "n".to_owned(), String::new(), "");
        for option in options {
            match option.split_once('=') {
                Some(("plus", kind)) => {
                    (mechanism, flag) = ("SCRAM-SHA-256-PLUS", format!("p={kind}"));
                    bound = if bound.is_empty() { kind } else { bound };
                }
                Some(("flag", given)) => flag = given.to_owned(),
                Some(("mailbox", whose)) => mailbox = format!("a={whose}"),
                Some(("bound", kind)) => bound = kind,
                _ => return Err(format!("`{option}` is no option of scram")),
            }
        }
        let bound = match bound {
            "" => Vec::new(),
            "tls-exporter" => vec![7; 32],
            "tls-server-end-point" => vec![9; 32],
            _ => vec![1; 32],
        };
        let escaped = name.replace('=', "=3D").replace(',', "=2C");
        let (header, bare) = (format!("{flag},{mailbox},"), format!("n={escaped},r=fyko+d2lbbFgONRv9qkxdawL"));
        Ok(Client { mechanism, header, bare, password: password.clone(), bound })
    }

    /// `AUTH`, with the first message.
    pub fn auth_line(&self) -> String {
        format!("AUTH {} {}\r\n", self.mechanism, STANDARD.encode(format!("{}{}", self.header, self.bare)))
    }

    /// The line that answers the challenge, and what the server is to prove.
    pub fn answer(&self, challenge: &str) -> Result<(String, String), String> {
        let attribute = |name: &str| {
            let found = challenge.split(',').find_map(|part| part.strip_prefix(name));
            found.ok_or_else(|| format!("there is no {name} in {challenge:?}"))
        };
        let salt = STANDARD.decode(attribute("s=")?).map_err(|error| error.to_string())?;
        let iterations = attribute("i=")?.parse().map_err(|_| "iterations")?;
        let salted = salted(&self.password, &salt, iterations);
        let channel = STANDARD.encode([self.header.as_bytes(), &self.bound].concat());
        let without_proof = format!("c={channel},r={}", attribute("r=")?);
        let signed = format!("{},{challenge},{without_proof}", self.bare);
        let client_key = hmac(&salted, b"Client Key");
        let signature = hmac(&Sha256::digest(client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let last = format!("{without_proof},p={}", STANDARD.encode(proof));
        let ours = hmac(&hmac(&salted, b"Server Key"), signed.as_bytes());
        Ok((format!("{}\r\n", STANDARD.encode(last)), format!("v={}", STANDARD.encode(ours))))
    }
}
