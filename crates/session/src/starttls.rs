//! STARTTLS (RFC 3207).

use rights::Authority;

use crate::host::{Output, TlsFacts, Wait};
use crate::replies;
use crate::session::{Context, Phase, Session};

impl Session {
    /// That nothing followed the command in plain text was checked before.
    pub(crate) fn start_tls(&mut self, cx: &Context<'_>, out: &mut dyn Output) -> Wait {
        if self.tls.is_some() {
            self.reply(replies::bad_sequence("TLS is in use already"), out);
        } else if !cx.connector.auth.tls {
            self.reply(replies::not_implemented(), out);
        } else if !self.offers_tls(cx) {
            self.reply(replies::tls_unavailable(), out);
        } else {
            self.reply(replies::ready_for_tls(), out);
            self.phase = Phase::Handshake;
            return Wait::Tls;
        }
        Wait::Nothing
    }

    /// X-ANONYMOUSTLS (F §3.12): STARTTLS by another name, where servers of the organization are known by their keys. What
    /// the certificates prove is the same by either name.
    pub(crate) fn anonymous_tls(&mut self, cx: &Context<'_>, out: &mut dyn Output) -> Wait {
        if cx.connector.auth.exchange_server {
            return self.start_tls(cx, out);
        }
        self.reply(replies::not_implemented(), out);
        Wait::Nothing
    }

    /// RFC 3207 §4.2: everything that was learned before the handshake may have been changed on the way, and is
    /// forgotten: greeting, logon and transaction (attack 16).
    pub(crate) fn tls_established(&mut self, facts: TlsFacts, out: &mut dyn Output) -> Wait {
        self.reset_transaction(out);
        self.greeted = None;
        self.authority = Authority::new(self.authority.connector, self.authority.host.clone());
        self.tls = Some(facts);
        // What the certificate proves counts from the next command on.
        self.version = None;
        Wait::Nothing
    }
}
