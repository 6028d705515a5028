//! An issuer of access tokens, under `[oauth] providers`.

use serde::{Deserialize, Serialize};

/// An issuer of access tokens that is believed.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// `iss` of its tokens, exactly.
    pub issuer: String,
    /// What must be in `aud`: one of these.
    pub audience: Vec<String>,
    /// Its public keys, a JSON Web Key Set: a path, or an https URL.
    pub keys: String,
    /// The claim that says whom a token stands for.
    #[serde(default = "email")]
    pub claim: String,
    /// What that claim holds: `address`, `login` or `sid`.
    #[serde(default = "address", rename = "as")]
    pub kind: String,
    /// Which signatures count.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<String>,
    /// By how many seconds clocks may differ.
    #[serde(default = "skew")]
    pub skew_seconds: u32,
    /// Seconds after which keys of a URL are fetched again.
    #[serde(default = "refresh")]
    pub refresh_seconds: u32,
    /// Authorities, PEM, that vouch for the server of the URL; those of the system when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<String>,
}

fn email() -> String {
    "email".into()
}

fn address() -> String {
    "address".into()
}

fn algorithms() -> Vec<String> {
    ["RS256", "ES256", "EdDSA"].map(str::to_owned).to_vec()
}

fn skew() -> u32 {
    60
}

fn refresh() -> u32 {
    3600
}

impl Provider {
    /// What is wrong with it, and what to do.
    pub(super) fn fault(&self) -> Option<(String, &'static str)> {
        if self.issuer.is_empty() || self.audience.is_empty() {
            return Some(("an issuer needs `issuer` and at least one `audience`".into(), "add them"));
        }
        if !["address", "login", "sid"].contains(&self.kind.as_str()) {
            return Some((format!("as = `{}` is not known", self.kind), "write address, login or sid"));
        }
        if let Some(name) = self.algorithms.iter().find(|name| transport::oauth::algorithm(name).is_none()) {
            return Some((
                format!("`{name}` is no algorithm with a public key"),
                "write RS256, ES256, EdDSA or their kin",
            ));
        }
        if self.keys.contains("://")
            && !self.keys.starts_with("https://")
            && !self.keys.starts_with("http://127.0.0.1:")
        {
            return Some((format!("keys = `{}` are not fetched safely", self.keys), "write an https URL, or a path"));
        }
        (self.skew_seconds > 600).then(|| ("skew_seconds is more than 600".into(), "set the clocks instead"))
    }
}
