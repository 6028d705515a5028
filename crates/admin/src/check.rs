//! A question without a message: the same code as SMTP, stage by stage.

use directory::{HeaderFrom, ObjectId, ReceiveConnector, Snapshot};
use message::Address;
use message::senders::{Mailbox, Senders};
use rights::{
    Asked as AskedFor, Authority, Circumstances, DecisionRecord, Denied, PermissionGroup, Steps, Transaction,
    may_log_on, permission_groups,
};

use crate::accounts::account;
use crate::authorize::require_organization;
use crate::error::{Fault, FaultKind};
use crate::operations::Check;
use crate::response::Response;
use crate::service::Asked;

pub fn check(asked: Asked<'_>, check: &Check) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let anonymous = check.who.eq_ignore_ascii_case("anonymous");
    let account = if anonymous { None } else { Some(asked.find(&check.who)?) };
    if let Some(id) = account {
        self::account(snapshot, id)?;
    }
    if account.is_none() || asked.caller.token.account != account {
        require_organization(snapshot, asked.caller, "ask for others in")?;
    }
    let connector = connector(snapshot, check.connector.as_deref(), anonymous)?;
    let logon = check.logon.as_deref().map(|name| asked.find(name)).transpose()?;
    let host = None;
    let authority = Authority { account, logon, ..Authority::new(connector, host) };
    let senders = Senders {
        from: check.from.iter().map(|text| mailbox(text)).collect::<Result<_, _>>()?,
        sender: check.sender.as_deref().map(mailbox).transpose()?,
        resent: None,
    };
    let mail_from = envelope(snapshot, check, account, &senders)?;
    let recipients = check.to.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
    let question = Question { snapshot, authority: &authority, senders: &senders, mail_from: mail_from.as_ref() };
    let record = question.ask(asked, account, logon, &recipients);
    Ok(Response::Decision(Box::new(record)))
}

struct Question<'a> {
    snapshot: &'a Snapshot,
    authority: &'a Authority,
    senders: &'a Senders,
    mail_from: Option<&'a Address>,
}

impl Question<'_> {
    fn ask(
        &self,
        asked: Asked<'_>,
        account: Option<ObjectId>,
        logon: Option<ObjectId>,
        recipients: &[Address],
    ) -> DecisionRecord {
        let time = asked.service.now();
        let circumstances = |recipient: Option<&Address>| Circumstances {
            id: String::new(),
            time,
            remote: String::new(),
            authority: self.authority,
            asked: AskedFor {
                mail_from: Some(self.mail_from.map_or_else(|| "<>".to_owned(), ToString::to_string)),
                recipient: recipient.map(ToString::to_string),
                from: self.senders.from.iter().map(|mailbox| mailbox.address.to_string()).collect(),
                sender: self.senders.sender.as_ref().map(|mailbox| mailbox.address.to_string()),
                resent: Vec::new(),
            },
        };
        let refused = |denied: &Denied, recipient: Option<&Address>, observed| {
            DecisionRecord::refused(self.snapshot, circumstances(recipient), denied, observed)
        };
        if let Some(account) = account
            && let Err(denied) = may_log_on(self.snapshot, self.authority, time, account, logon)
        {
            return refused(&denied, None, false);
        }
        let mut transaction = match Transaction::mail_from(self.snapshot, self.authority, time, self.mail_from, false) {
            Ok(transaction) => transaction,
            Err(denied) => return refused(&denied, None, false),
        };
        for recipient in recipients {
            if let Err(denied) = transaction.recipient(self.snapshot, self.authority, time, recipient) {
                return refused(&denied, Some(recipient), false);
            }
        }
        let accepted = match transaction.header(self.snapshot, self.authority, time, Ok(self.senders)) {
            Ok(accepted) => accepted,
            Err(denied) => return refused(&denied, None, false),
        };
        if let Some(denied) = &accepted.observed {
            return refused(denied, None, true);
        }
        DecisionRecord::accepted(self.snapshot, circumstances(None), &accepted, "").unwrap_or_else(|| {
            let steps = Steps(accepted.steps.clone());
            DecisionRecord::allowed(self.snapshot, circumstances(None), &accepted.token, &steps.0)
        })
    }
}

/// The envelope sender: as given, else the account's own address, else the first From.
fn envelope(
    snapshot: &Snapshot,
    check: &Check,
    account: Option<ObjectId>,
    senders: &Senders,
) -> Result<Option<Address>, Fault> {
    match check.mail_from.as_deref() {
        Some("" | "<>") => Ok(None),
        Some(text) => address(text).map(Some),
        None => {
            let own = account.and_then(|id| snapshot.object(id)).and_then(|object| object.primary_address());
            Ok(own.or_else(|| senders.from.first().map(|mailbox| mailbox.address.clone())))
        }
    }
}

/// The connector of a name; without one the only enabled one that takes such sessions.
pub(crate) fn connector(snapshot: &Snapshot, name: Option<&str>, anonymous: bool) -> Result<ObjectId, Fault> {
    let all: Vec<(ObjectId, &ReceiveConnector)> = snapshot.receive_connectors().collect();
    let names = || all.iter().map(|(_, connector)| connector.name.as_str()).collect::<Vec<_>>().join(", ");
    let found: Vec<ObjectId> = match name {
        Some(name) => {
            let same = |connector: &ReceiveConnector| {
                connector.name.eq_ignore_ascii_case(name)
                    || connector.name.split(' ').next().is_some_and(|first| first.eq_ignore_ascii_case(name))
            };
            all.iter().filter(|(_, connector)| same(connector)).map(|(id, _)| *id).collect()
        }
        None => {
            let open = all.iter().filter(|(_, connector)| connector.enabled && connector.folder.is_none());
            let takes_strangers =
                |id: ObjectId| permission_groups(snapshot, id).groups.contains(&PermissionGroup::AnonymousUsers);
            let takes = |id: ObjectId, connector: &ReceiveConnector| match anonymous {
                true => !connector.auth.basic || takes_strangers(id),
                false => connector.auth.basic,
            };
            let mut kind: Vec<_> = open.filter(|(id, connector)| takes(*id, connector)).collect();
            kind.sort_by_key(|(id, connector)| {
                (anonymous && !takes_strangers(*id), connector.header_from != HeaderFrom::Enforce)
            });
            kind.into_iter().map(|(id, _)| *id).take(1).collect()
        }
    };
    match found[..] {
        [id] => Ok(id),
        [] => Err(Fault::new(
            FaultKind::NotFound,
            match name {
                Some(name) => format!("there is no receive connector {name}"),
                None => "no receive connector takes such sessions".into(),
            },
        )
        .help(format!("name one with --connector: {}", names()))),
        _ => Err(Fault::new(FaultKind::Ambiguous, "several receive connectors have that name")
            .help(format!("name one with --connector: {}", names()))),
    }
}

fn mailbox(text: &str) -> Result<Mailbox, Fault> {
    Ok(Mailbox { display_name: None, address: address(text)? })
}

fn address(text: &str) -> Result<Address, Fault> {
    Address::parse(text).map_err(|e| Fault::new(FaultKind::Invalid, format!("{text}: {e}")))
}
