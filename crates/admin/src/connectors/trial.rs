//! `procura connector test`: what would happen to a session, stage by stage, with what each stage rests on. The same
//! code as SMTP decides (`authorization.md` §1).

use std::net::IpAddr;
use std::sync::Arc;

use acl::Outcome;
use directory::{Class, Config, FolderIdentity, HostKind, ObjectId, ReceiveConnector, SendAuth, Snapshot, Time, Token};
use message::Address;
use message::senders::{Mailbox, Senders};
use rights::pause::account_name;
use rights::{
    Accepted, Authority, Denied, Facts, Question, RightName, Steps, TraceLine, Transaction, decide, lines, may_log_on,
};

use super::documents::{ConnectorTest, ConnectorTested, StageRow};
use super::either;
use crate::accounts::account;
use crate::authorize::require_organization;
use crate::error::{Fault, FaultKind};
use crate::response::Response;
use crate::service::Asked;

pub fn test(asked: Asked<'_>, test: &ConnectorTest) -> Result<Response, Fault> {
    let (connector, class) = either(asked.snapshot, &test.identity)?;
    let who = match test.who.trim() {
        "" => usual(asked.snapshot, connector, class)?,
        name => who(asked, name)?,
    };
    let own = match &who {
        Who::Account(id) => asked.caller.token.account == Some(*id),
        _ => false,
    };
    if !own {
        require_organization(asked.snapshot, asked.caller, "ask for others in")?;
    }
    let trial = Trial { snapshot: asked.snapshot, connector, time: asked.service.now(), rows: Vec::new() };
    let accepted = match class {
        Class::SendConnector => trial.send(&who)?,
        _ => trial.receive(&who, test)?,
    };
    let (rows, accepted) = accepted;
    Ok(Response::ConnectorTested(Box::new(ConnectorTested {
        connector: asked.snapshot.dn(connector),
        who: who.name(asked.snapshot, &test.who),
        accepted,
        stages: rows,
    })))
}

/// Who connects.
enum Who {
    Anonymous,
    Account(ObjectId),
    Host(HostKind),
}

impl Who {
    /// As asked, or who is meant where nobody was named.
    fn name(&self, snapshot: &Snapshot, asked: &str) -> String {
        match (asked.trim(), self) {
            ("", Who::Account(id)) => {
                snapshot.object(*id).map(|object| account_name(snapshot, &object.guid())).unwrap_or_default()
            }
            ("", Who::Anonymous) => "anonymous".to_owned(),
            ("", Who::Host(_)) => "externally-secured".to_owned(),
            (name, _) => name.to_owned(),
        }
    }
}

fn who(asked: Asked<'_>, name: &str) -> Result<Who, Fault> {
    let folded = name.trim().to_ascii_lowercase().replace([' ', '_'], "-");
    if let Some(domain) = folded.strip_prefix("partner:") {
        let domain = message::canonical_domain(domain)
            .ok_or_else(|| Fault::new(FaultKind::Invalid, format!("`{domain}` is not a domain")))?;
        return Ok(Who::Host(HostKind::Partner { domain }));
    }
    Ok(match folded.as_str() {
        "anonymous" | "anonymous-logon" => Who::Anonymous,
        "hub" => Who::Host(HostKind::Hub),
        "edge" => Who::Host(HostKind::Edge),
        "externally-secured" => Who::Host(HostKind::ExternallySecured),
        "partner" => {
            return Err(
                Fault::new(FaultKind::Invalid, "a partner proves a domain").help("write --as partner:example.net")
            );
        }
        _ => {
            let id = asked.find(name.trim())?;
            account(asked.snapshot, id)?;
            Who::Account(id)
        }
    })
}

/// Whoever mail comes from, or goes to, where nobody is named: of folders that is set.
fn usual(snapshot: &Snapshot, connector: ObjectId, class: Class) -> Result<Who, Fault> {
    let nobody = |message: &str| Fault::new(FaultKind::Invalid, message).help("name somebody with --as");
    let config = snapshot.object(connector).and_then(|object| object.config());
    match config {
        Some(Config::SendConnector(settings)) if class == Class::SendConnector && settings.drop_folder.is_some() => {
            Ok(match settings.auth {
                SendAuth::ExternalAuthoritative => Who::Host(HostKind::ExternallySecured),
                _ => Who::Anonymous,
            })
        }
        Some(Config::ReceiveConnector(settings)) => match settings.folder.as_ref().map(|folder| folder.identity) {
            None => Err(nobody("anybody may connect")),
            Some(FolderIdentity::Anonymous) => Ok(Who::Anonymous),
            Some(FolderIdentity::Owner) => Err(nobody("each file is sent for its owner")),
            Some(FolderIdentity::Account) => {
                let account = super::folders::assigned(snapshot, connector);
                account.map(Who::Account).ok_or_else(|| nobody("the account that files are sent for is gone"))
            }
        },
        _ => Err(nobody("any host may be connected to")),
    }
}

struct Trial<'a> {
    snapshot: &'a Snapshot,
    connector: ObjectId,
    time: Time,
    rows: Vec<StageRow>,
}

type Tried = Result<(Vec<StageRow>, bool), Fault>;

impl Trial<'_> {
    fn receive(mut self, who: &Who, test: &ConnectorTest) -> Tried {
        let Some(settings) = receive_connector(self.snapshot, self.connector) else {
            return Ok(self.refused("connect", "its settings cannot be read: it is out of service"));
        };
        if !settings.enabled {
            return Ok(self.refused("connect", "it is disabled"));
        }
        if let Some(remote) = test.remote
            && !settings.remote_ranges.iter().any(|range| range.contains(remote))
        {
            return Ok(self.refused("connect", &format!("{remote} is outside its remote IP ranges")));
        }
        let authority = self.authority(who, test.remote);
        let from = test.from.as_deref().map(sender).transpose()?.flatten();
        let senders = senders(test, from.as_ref())?;
        self.row("connect", "allowed", self.held(&authority), Vec::new());
        if let Who::Account(id) = who {
            let anonymous = Authority { account: None, ..authority.clone() };
            match may_log_on(self.snapshot, &anonymous, self.time, *id, None) {
                Ok(()) => self.decided(
                    "auth",
                    "allowed",
                    "235 2.7.0 with the right credentials",
                    &authority,
                    Question::Submit,
                ),
                Err(denied) => return Ok(self.denied("auth", &denied)),
            }
        }
        let begun = Transaction::mail_from(self.snapshot, &authority, self.time, from.as_ref(), false);
        let mut transaction = match begun {
            Ok(transaction) => transaction,
            Err(denied) => return Ok(self.denied("mail-from", &denied)),
        };
        match &from {
            Some(address) => {
                self.decided("mail-from", "allowed", "250 2.1.0 Sender OK", &authority, Question::Sender(address))
            }
            None => self.decided("mail-from", "allowed", "250 2.1.0 Sender OK", &authority, Question::Submit),
        }
        let bypass = Question::Right(RightName::BypassMessageSizeLimit);
        match transaction.size_limit(self.snapshot, &authority, self.time) {
            None => self.decided("size", "bypassed", "the connector's limit does not hold", &authority, bypass),
            Some(limit) if test.size.is_some_and(|size| size > limit) => {
                self.decided("size", "refused", &format!("552 5.3.4 more than {limit} octets"), &authority, bypass);
                return Ok((self.rows, false));
            }
            Some(limit) => self.decided("size", "applies", &format!("at most {limit} octets"), &authority, bypass),
        }
        for to in &test.to {
            let to = address(to)?;
            if let Err(denied) = transaction.recipient(self.snapshot, &authority, self.time, &to) {
                return Ok(self.denied("rcpt-to", &denied));
            }
            let question = Question::Recipient { to: &to, sender: None, internal: false };
            self.decided("rcpt-to", "allowed", &format!("250 2.1.5 Recipient OK: {to}"), &authority, question);
        }
        let accepted = match transaction.header(self.snapshot, &authority, self.time, Ok(&senders)) {
            Ok(accepted) => accepted,
            Err(denied) => return Ok(self.denied("header", &denied)),
        };
        self.accepted(&authority, &accepted, &senders);
        Ok((self.rows, true))
    }

    /// What becomes of a message whose header was allowed.
    fn accepted(&mut self, authority: &Authority, accepted: &Accepted, senders: &Senders) {
        let token = &accepted.token;
        let facts = Facts { connector: self.connector, logon: authority.logon, time: self.time };
        let trace = match &accepted.observed {
            Some(denied) => lines(self.snapshot, &denied.token, &denied.steps),
            None => {
                let steps = decide::<Steps>(self.snapshot, token, &facts, &Question::Header(Ok(senders))).trace;
                lines(self.snapshot, token, &steps.0)
            }
        };
        let detail = match (&accepted.observed, accepted.header.on_behalf_of().is_empty()) {
            (Some(denied), _) => format!("observed only; else {}", reply(denied)),
            (None, false) => "accepted on behalf: it gets a Sender field".to_owned(),
            (None, true) => "every header sender is allowed".to_owned(),
        };
        self.row("header", if accepted.observed.is_some() { "observed" } else { "allowed" }, detail, trace);
        let stages = [
            ("headers-routing", RightName::AcceptHeadersRouting, "kept", "removed", "Received and Resent-* fields"),
            (
                "headers-organization",
                RightName::AcceptHeadersOrganization,
                "kept",
                "removed",
                "X-MS-Exchange-Organization-* fields",
            ),
            ("headers-forest", RightName::AcceptHeadersForest, "kept", "removed", "X-MS-Exchange-Forest-* fields"),
            ("xexch50", RightName::AcceptExch50, "kept", "dropped", "the data of XEXCH50"),
            ("anti-spam", RightName::BypassAntiSpam, "bypassed", "applies", "the anti-spam agent"),
            ("auth-parameter", RightName::AcceptAuthenticationFlag, "believed", "ignored", "AUTH= on MAIL FROM"),
        ];
        let of_folder = rights::routing_of_folder(self.snapshot, self.connector);
        for (stage, right, held, not_held, what) in stages {
            if let Some(kept) = of_folder.filter(|_| right == RightName::AcceptHeadersRouting) {
                let kind = if kept { "replay" } else { "pickup" };
                let detail = format!("{what}, in each {kind} folder");
                self.row(stage, if kept { held } else { not_held }, detail, Vec::new());
                continue;
            }
            self.right(stage, token, &facts, right, [held, not_held], what);
        }
    }

    fn send(mut self, who: &Who) -> Tried {
        let enabled = match self.snapshot.object(self.connector).and_then(|object| object.config()) {
            Some(Config::SendConnector(settings)) => settings.enabled,
            _ => return Ok(self.refused("connect", "its settings cannot be read: it is out of service")),
        };
        if !enabled {
            return Ok(self.refused("connect", "it is disabled"));
        }
        let token = match who {
            Who::Anonymous => self.snapshot.anonymous_token(),
            Who::Host(kind) => self.snapshot.host_token(kind.clone()),
            Who::Account(_) => {
                return Err(Fault::new(
                    FaultKind::Invalid,
                    "a receiver is anonymous or a proven server: that we log on to it proves nothing about it",
                )
                .help("use --as anonymous, hub, edge, externally-secured or partner:DOMAIN"));
            }
        };
        let facts = Facts { connector: self.connector, logon: None, time: self.time };
        for (stage, right, what) in [
            ("headers-routing", RightName::SendHeadersRouting, "Received and Resent-* fields"),
            ("headers-organization", RightName::SendHeadersOrganization, "X-MS-Exchange-Organization-* fields"),
            ("headers-forest", RightName::SendHeadersForest, "X-MS-Exchange-Forest-* fields"),
        ] {
            self.right(stage, &token, &facts, right, ["kept", "removed"], what);
        }
        self.right("xexch50", &token, &facts, RightName::SendExch50, ["sent", "left out"], "the data of XEXCH50");
        Ok((self.rows, true))
    }

    fn authority(&self, who: &Who, remote: Option<IpAddr>) -> Authority {
        let mut authority = Authority::new(self.connector, None);
        match who {
            Who::Account(id) => authority.account = Some(*id),
            Who::Host(kind) => authority.host = Some(kind.clone()),
            Who::Anonymous => {}
        }
        if let (None, Some(remote)) = (&authority.host, remote) {
            authority.host = authority.host_by_address(self.snapshot, remote);
        }
        authority
    }

    /// The rights of each token, in the order in which tokens are tried.
    fn held(&self, authority: &Authority) -> String {
        let facts = Facts { connector: self.connector, logon: None, time: self.time };
        let tokens = authority.tokens(self.snapshot).unwrap_or_default();
        let described = tokens.iter().map(|token| {
            let name = self.snapshot.sid_name(&self.snapshot.sid(token.user));
            let held: Vec<&str> = rights::RIGHTS
                .iter()
                .filter(|right| right.on == rights::GrantedOn::ReceiveConnector)
                .filter(|right| self.holds(token, &facts, right.id))
                .map(|right| right.name)
                .collect();
            format!("{name}: {}", if held.is_empty() { "no rights".to_owned() } else { held.join(" ") })
        });
        described.collect::<Vec<_>>().join("; ")
    }

    fn holds(&self, token: &Token, facts: &Facts, right: RightName) -> bool {
        decide::<Steps>(self.snapshot, token, facts, &Question::Right(right)).outcome == Outcome::Allow
    }

    fn right(&mut self, stage: &str, token: &Token, facts: &Facts, right: RightName, words: [&str; 2], what: &str) {
        let verdict = decide::<Steps>(self.snapshot, token, facts, &Question::Right(right));
        let held = verdict.outcome == Outcome::Allow;
        let trace = lines(self.snapshot, token, &verdict.trace.0);
        self.row(stage, words[usize::from(!held)], what.to_owned(), trace);
    }

    /// A question that was answered with yes, with the trace of the first token that does.
    fn decided(&mut self, stage: &str, outcome: &str, detail: &str, authority: &Authority, question: Question<'_>) {
        let facts = Facts { connector: self.connector, logon: authority.logon, time: self.time };
        let tokens: Vec<Arc<Token>> = authority.tokens(self.snapshot).unwrap_or_default();
        let verdicts = tokens.iter().map(|token| (token, decide::<Steps>(self.snapshot, token, &facts, &question)));
        let mut verdicts: Vec<_> = verdicts.collect();
        let place = verdicts.iter().position(|(_, verdict)| verdict.outcome == Outcome::Allow).unwrap_or(0);
        let trace: Vec<TraceLine> = match place < verdicts.len() {
            true => {
                let (token, verdict) = verdicts.swap_remove(place);
                lines(self.snapshot, token, &verdict.trace.0)
            }
            false => Vec::new(),
        };
        self.row(stage, outcome, detail.to_owned(), trace);
    }

    fn denied(mut self, stage: &str, denied: &Denied) -> (Vec<StageRow>, bool) {
        let trace = lines(self.snapshot, &denied.token, &denied.steps);
        self.row(stage, "refused", reply(denied), trace);
        (self.rows, false)
    }

    fn refused(mut self, stage: &str, detail: &str) -> (Vec<StageRow>, bool) {
        self.row(stage, "refused", detail.to_owned(), Vec::new());
        (self.rows, false)
    }

    fn row(&mut self, stage: &str, outcome: &str, detail: String, trace: Vec<TraceLine>) {
        self.rows.push(StageRow { stage: stage.to_owned(), outcome: outcome.to_owned(), detail, trace });
    }
}

fn reply(denied: &Denied) -> String {
    let reply = denied.refusal.reply();
    let (a, b, c) = reply.enhanced;
    format!("{} {a}.{b}.{c} {}", reply.code, reply.text)
}

fn receive_connector(snapshot: &Snapshot, id: ObjectId) -> Option<&ReceiveConnector> {
    match snapshot.object(id)?.config()? {
        Config::ReceiveConnector(settings) => Some(settings),
        _ => None,
    }
}

/// `<>` is the null reverse-path.
fn sender(text: &str) -> Result<Option<Address>, Fault> {
    if matches!(text.trim(), "" | "<>") { Ok(None) } else { address(text).map(Some) }
}

/// The header: its From, else the envelope sender, else an address that nobody owns.
fn senders(test: &ConnectorTest, from: Option<&Address>) -> Result<Senders, Fault> {
    let from = match (&test.header_from, from) {
        (Some(text), _) => vec![address(text)?],
        (None, Some(address)) => vec![address.clone()],
        (None, None) => {
            return Err(Fault::new(FaultKind::Invalid, "a message from <> still has a From field")
                .help("give --header-from ADDRESS"));
        }
    };
    let from = from.into_iter().map(|address| Mailbox { display_name: None, address }).collect();
    Ok(Senders { from, sender: None, resent: None })
}

fn address(text: &str) -> Result<Address, Fault> {
    let bare = text.trim().trim_start_matches('<').trim_end_matches('>');
    Address::parse(bare).map_err(|e| Fault::new(FaultKind::Invalid, format!("{text}: {e}")))
}
