//! EHLO and HELO (RFC 5321 §4.1.1.1).

use smtp::Reply;

use crate::host::{Output, Wait};
use crate::sasl::Mechanism;
use crate::sasl::scram::can_bind;
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
        if cx.connector.chunking {
            extensions.push("CHUNKING".to_owned());
            if cx.connector.binary_mime {
                extensions.push("BINARYMIME".to_owned());
            }
        }
        if cx.connector.status_notification {
            extensions.push("DSN".to_owned());
        }
        if self.offers_tls(cx) {
            extensions.push("STARTTLS".to_owned());
            if cx.connector.auth.exchange_server {
                extensions.push("X-ANONYMOUSTLS".to_owned());
            }
        }
        let offered: Vec<&str> =
            Mechanism::ALL.into_iter().filter(|mechanism| self.offers(cx, *mechanism)).map(Mechanism::name).collect();
        if !offered.is_empty() {
            extensions.push(format!("AUTH {}", offered.join(" ")));
        }
        if self.offers(cx, Mechanism::ExpsGssapi) {
            extensions.push("X-EXPS GSSAPI".to_owned());
        }
        // RFC 8689 §2: only over TLS.
        if self.tls.is_some() {
            extensions.push("REQUIRETLS".to_owned());
        }
        if self.keeps_exch50(cx) {
            extensions.push("XEXCH50".to_owned());
        }
        extensions.push("ENHANCEDSTATUSCODES".to_owned());
        // RFC 9422. How many messages a session may bring is not limited by number.
        extensions.push(format!("LIMITS RCPTMAX={}", cx.connector.max_recipients));
        extensions
    }

    /// XEXCH50 is told to those whose data would be kept.
    fn keeps_exch50(&self, cx: &Context<'_>) -> bool {
        let facts = rights::Facts { connector: self.authority.connector, logon: None, time: cx.now };
        let question = rights::Question::Right(rights::RightName::AcceptExch50);
        let held = |token: &directory::Token| {
            rights::decide::<rights::NoTrace>(cx.snapshot, token, &facts, &question).reason.is_ok()
        };
        self.authority.tokens(cx.snapshot).is_ok_and(|tokens| tokens.iter().any(|token| held(token)))
    }

    pub(crate) fn offers_tls(&self, cx: &Context<'_>) -> bool {
        cx.connector.auth.tls && self.settings.tls_available && self.tls.is_none()
    }

    /// Any mechanism is offered here and now.
    pub(crate) fn offers_auth(&self, cx: &Context<'_>) -> bool {
        Mechanism::ALL.into_iter().any(|mechanism| self.offers(cx, mechanism))
    }

    /// A mechanism is taken here and now: set up, allowed by the connector, after TLS where it says so or the mechanism
    /// needs it, and only once.
    pub(crate) fn offers(&self, cx: &Context<'_>, mechanism: Mechanism) -> bool {
        let secure = match mechanism {
            Mechanism::Gssapi | Mechanism::GssSpnego | Mechanism::ExpsGssapi => true,
            Mechanism::Plain | Mechanism::Login | Mechanism::Scram => !self.lacks_tls(cx),
            Mechanism::ScramPlus => can_bind(self.tls.as_ref()) && !self.lacks_tls(cx),
            // RFC 6750 §5.3: who sees a token has it.
            Mechanism::OauthBearer | Mechanism::Xoauth2 => self.tls.is_some(),
        };
        let required = cx.connector.require_tls && self.tls.is_none();
        self.authority.account.is_none() && self.is_set_up(cx, mechanism) && secure && !required
    }

    /// Whether this server and this connector have a mechanism at all.
    pub(crate) fn is_set_up(&self, cx: &Context<'_>, mechanism: Mechanism) -> bool {
        let (auth, there) = (&cx.connector.auth, &self.settings.mechanisms);
        match mechanism {
            Mechanism::Gssapi => auth.integrated && there.kerberos,
            Mechanism::ExpsGssapi => auth.exchange_server && there.kerberos,
            Mechanism::GssSpnego => auth.integrated && there.kerberos && there.spnego,
            Mechanism::Plain | Mechanism::Login => auth.basic,
            Mechanism::Scram | Mechanism::ScramPlus => auth.basic && there.scram,
            Mechanism::OauthBearer | Mechanism::Xoauth2 => auth.basic && there.bearer,
        }
    }

    /// The connector wants TLS before passwords, and there is none.
    pub(crate) fn lacks_tls(&self, cx: &Context<'_>) -> bool {
        cx.connector.auth.basic_requires_tls && self.tls.is_none()
    }
}
