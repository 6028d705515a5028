//! A content filter, under `[content] filters`.

use std::time::Duration;

use content::{Endpoint, Filter, Kind, OnFailure, OnReject};
use serde::{Deserialize, Serialize};

/// A content filter: Rspamd, or a milter.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ContentFilter {
    /// What it is called in the log, and in reasons.
    pub name: String,
    /// URL of Rspamd, as in `http://127.0.0.1:11333`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rspamd: Option<String>,
    /// Password for Rspamd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// A milter: `inet:HOST:PORT` or `unix:/PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milter: Option<String>,
    /// What happens to mail while it does not answer: `tempfail` or `accept`.
    #[serde(default = "tempfail")]
    pub on_failure: String,
    /// What its word \"reject\" comes to: `reject`, `quarantine` or `tag`.
    #[serde(default = "reject")]
    pub on_reject: String,
    /// Mail with the right Bypass-Anti-Spam is not shown to it. A filter that signs wants `false`.
    #[serde(default = "yes")]
    pub bypass: bool,
    /// Seconds that it has for each answer.
    #[serde(default = "seconds")]
    pub timeout_seconds: u32,
    /// Larger messages, in MiB, are not shown to it.
    #[serde(default = "mebibytes")]
    pub max_mib: u64,
}

fn tempfail() -> String {
    "tempfail".into()
}

fn reject() -> String {
    "reject".into()
}

fn yes() -> bool {
    true
}

fn seconds() -> u32 {
    30
}

fn mebibytes() -> u64 {
    50
}

impl ContentFilter {
    /// As the transport takes it; else what is wrong, and what to do.
    pub fn filter(&self) -> Result<Filter, (String, &'static str)> {
        let kind = match (&self.rspamd, &self.milter) {
            (Some(url), None) if url.starts_with("http://") => {
                Kind::Rspamd { url: url.clone(), password: self.password.clone() }
            }
            (Some(url), None) => {
                return Err((format!("`{url}` is no http URL"), "write it as in http://127.0.0.1:11333"));
            }
            (None, Some(milter)) => {
                let wrong = |message| (message, "write it as in inet:127.0.0.1:8891 or unix:/run/opendkim.sock");
                Kind::Milter(milter.parse::<Endpoint>().map_err(wrong)?)
            }
            _ => return Err(("a filter is either `rspamd` or `milter`".into(), "name one of them")),
        };
        Ok(Filter {
            name: self.name.clone(),
            kind,
            on_failure: match self.on_failure.as_str() {
                "tempfail" => OnFailure::Tempfail,
                "accept" => OnFailure::Accept,
                other => return Err((format!("on_failure is `{other}`"), "write \"tempfail\" or \"accept\"")),
            },
            on_reject: match self.on_reject.as_str() {
                "reject" => OnReject::Reject,
                "quarantine" => OnReject::Quarantine,
                "tag" => OnReject::Tag,
                other => {
                    return Err((format!("on_reject is `{other}`"), "write \"reject\", \"quarantine\" or \"tag\""));
                }
            },
            bypass: self.bypass,
            timeout: Duration::from_secs(u64::from(self.timeout_seconds.clamp(1, 600))),
            max_size: self.max_mib << 20,
        })
    }
}
