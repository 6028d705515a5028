//! What a session may do, as the protocol log tells it: one event `Set Session Permissions` (F §3.12).

use acl::Outcome;
use rights::{GrantedOn, NoTrace, Question, RIGHTS, RightName};

use crate::host::{LogEntry, Output};
use crate::session::{Context, Session};

impl Session {
    /// Logs the rights of the session's first token: the account's, else the host's, else those of a stranger.
    pub(crate) fn log_permissions(&self, cx: &Context<'_>, out: &mut dyn Output) {
        if !out.logs() {
            return;
        }
        let Ok(tokens) = self.authority.tokens(cx.snapshot) else { return };
        let Some(token) = tokens.first() else { return };
        let facts = rights::Facts { connector: self.authority.connector, logon: self.authority.logon, time: cx.now };
        let holds = |right: RightName| {
            let question = Question::Right(right);
            rights::decide::<NoTrace>(cx.snapshot, token, &facts, &question).outcome == Outcome::Allow
        };
        let held: Vec<&str> = RIGHTS
            .iter()
            .filter(|right| right.on == GrantedOn::ReceiveConnector && holds(right.id))
            .filter_map(|right| logged_as(right.id))
            .collect();
        let data = if held.is_empty() { "None".to_owned() } else { held.join(" ") };
        out.log(LogEntry::Information { context: "Set Session Permissions", data: &data });
    }
}

/// The name of a right in protocol logs, as Exchange writes them.
fn logged_as(right: RightName) -> Option<&'static str> {
    Some(match right {
        RightName::Submit => "SMTPSubmit",
        RightName::AcceptAnyRecipient => "SMTPAcceptAnyRecipient",
        RightName::AcceptAnySender => "SMTPAcceptAnySender",
        RightName::AcceptAuthoritativeDomainSender => "SMTPAcceptAuthoritativeDomainSender",
        RightName::AcceptAuthenticationFlag => "SMTPAcceptAuthenticationFlag",
        RightName::AcceptHeadersRouting => "AcceptRoutingHeaders",
        RightName::AcceptHeadersOrganization => "AcceptOrganizationHeaders",
        RightName::AcceptHeadersForest => "AcceptForestHeaders",
        RightName::AcceptExch50 => "SMTPAcceptEXCH50",
        RightName::BypassMessageSizeLimit => "BypassMessageSizeLimit",
        RightName::BypassAntiSpam => "BypassAntiSpam",
        _ => return None,
    })
}
