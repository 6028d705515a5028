//! EHLO and HELO (RFC 5321 §4.1.1.1).

use smtp::Reply;

use crate::host::{Output, Wait};
use crate::sasl::Mechanism;
use crate::session::{Context, Session};

/// How the client introduced itself.
pub(crate) struct Greeted {
    /// The name that it gave.
    pub(crate) name: String,
    /// By EHLO.
    pub(crate) extended: bool,
}

impl Session {
    /// A new greeting drops the transaction (RFC 5321 §4.1.4), but not what the session has proven.
    pub(crate) fn hello(&mut self, cx: &Context<'_>, name: String, extended: bool, out: &mut dyn Output) -> Wait {
        self.reset_transaction(out);
        let hostname = cx.connector.fqdn.as_deref().unwrap_or(&self.settings.hostname);
        let mut lines = vec![format!("{hostname} Hello [{}]", self.peer.remote.ip())];
        if extended {
            lines.extend(self.extensions(cx));
        }
        self.greeted = Some(Greeted { name, extended });
        self.reply(Reply { code: 250, enhanced: None, lines }, out);
        Wait::Nothing
    }

    /// What is really supported, here and now.
    fn extensions(&self, cx: &Context<'_>) -> Vec<String> {
        let mut extensions = vec![
            format!("SIZE {}", cx.connector.max_message_size),
            "PIPELINING".to_owned(),
            "8BITMIME".to_owned(),
            "SMTPUTF8".to_owned(),
        ];
        if self.offers_tls(cx) {
            extensions.push("STARTTLS".to_owned());
        }
        if self.offers_auth(cx) {
            extensions.push(format!("AUTH {} {}", Mechanism::Plain.name(), Mechanism::Login.name()));
        }
        extensions.push("ENHANCEDSTATUSCODES".to_owned());
        extensions
    }

    pub(crate) fn offers_tls(&self, cx: &Context<'_>) -> bool {
        cx.connector.auth.tls && self.settings.tls_available && self.tls.is_none()
    }

    /// Passwords are taken here and now: allowed by the connector, after TLS where it says so, and only once.
    pub(crate) fn offers_auth(&self, cx: &Context<'_>) -> bool {
        let auth = &cx.connector.auth;
        auth.basic && (self.tls.is_some() || !auth.basic_requires_tls) && self.authority.account.is_none()
    }
}
