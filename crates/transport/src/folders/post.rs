//! One file on its way through a session: who sends it, its envelope, its text; and what comes of it.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};

use acl::Guid;
use directory::{Folder, FolderIdentity, FolderKind, ObjectId, ReceiveConnector, Snapshot};
use message::Address;
use message::header::{HeaderBlock, HeaderFault, HeaderProgress, HeaderReader};
use message::pickup::{pickup_envelope, without_bcc};
use message::replay::{Parameter, filed_envelope};
use message::senders::senders;

use super::Folders;
use super::place::Taken;
use super::report::goes_out;
use crate::local_users::LocalUsers;
use crate::sending::Room;
use crate::shared::now;
use crate::submission::{Refusal, RefusedRecipient};

/// Read at a time.
const PIECE: usize = 64 * 1024;
/// The largest header that is held in memory, whatever the connector takes.
const HEADER_LIMIT: u64 = 16 << 20;

/// Where a file lies.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) id: ObjectId,
    pub(super) guid: Guid,
    pub(super) connector: &'a ReceiveConnector,
    pub(super) folder: &'a Folder,
    /// Accounts of the users of this machine.
    pub(super) owners: &'a LocalUsers,
}

/// What came of a file.
#[derive(Debug, Clone)]
pub(super) enum Posted {
    /// It is in the queue, durably, with the report on those of its recipients who were refused; or was before.
    Sent,
    /// Not now: why.
    Later(String),
    /// Never, as it is.
    Never(Box<Bad>),
}

/// Why a file is not sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Bad {
    /// The reply, or what is wrong, on one line.
    pub(super) reason: String,
    /// Enhanced status code of that reply.
    pub(super) status: Option<(u8, u16, u16)>,
    /// The id of the decision, for `procura explain`.
    pub(super) decision: Option<String>,
    /// Those who were refused.
    pub(super) recipients: Vec<RefusedRecipient>,
    /// Whom it was meant for, as far as that could be read.
    pub(super) meant_for: Vec<Address>,
    /// Its header, where it could be read.
    pub(super) header: Vec<u8>,
    /// What the account was told of it by a process that died: it is not told again.
    pub(super) told: Option<String>,
}

impl Bad {
    fn new(reason: impl Into<String>) -> Box<Bad> {
        Box::new(Bad { reason: reason.into(), ..Bad::default() })
    }
}

/// The account that a file of this owner is sent for; `None` is nobody.
pub(super) fn account(snapshot: &Snapshot, source: Source<'_>, owner: u32) -> Result<Option<ObjectId>, Posted> {
    // Who is not found in it may be there all the same.
    if snapshot.is_out_of_date() {
        return Err(Posted::Later("the directory is out of date".to_owned()));
    }
    let account = match source.folder.identity {
        FolderIdentity::Anonymous => return Ok(None),
        FolderIdentity::Account => assigned(snapshot, source.id).map_err(Posted::Later)?,
        FolderIdentity::Owner => {
            let name = source.owners.account(owner).ok_or_else(|| {
                Posted::Never(Bad::new(format!(
                    "the owner of the file, user {owner} of this machine, has no account under [local] accounts"
                )))
            })?;
            snapshot.resolve_login(&name).ok_or_else(|| {
                Posted::Never(Bad::new(format!("{name}, named under [local] accounts, is no account of the directory")))
            })?
        }
    };
    Ok(Some(account))
}

/// The account that is assigned to a folder; or why there is none.
pub(super) fn assigned(snapshot: &Snapshot, connector: ObjectId) -> Result<ObjectId, String> {
    let account = snapshot.links(connector, directory::attributes::FOLDER_ACCOUNT).first().copied();
    let account = account.ok_or("the account that is assigned to the folder is gone")?;
    match snapshot.account_token(account) {
        Ok(_) => Ok(account),
        Err(_) => Err("the account that is assigned to the folder is disabled, or cannot be read".to_owned()),
    }
}

/// Sends a file. `again`: it was taken before, by a process that died.
pub(super) async fn post(
    folders: &Folders,
    source: Source<'_>,
    account: Option<ObjectId>,
    taken: &mut Taken,
    again: bool,
) -> Posted {
    match attempt(folders, source, account, taken, again).await {
        Ok(posted) | Err(posted) => posted,
    }
}

async fn attempt(
    folders: &Folders,
    source: Source<'_>,
    account: Option<ObjectId>,
    taken: &mut Taken,
    again: bool,
) -> Result<Posted, Posted> {
    let submissions = &folders.submissions;
    let unreadable = |error: io::Error| Posted::Later(format!("the file cannot be read: {error}"));
    if again && folders.unremoved.borrow().contains(&(source.guid, taken.key())) {
        return Ok(Posted::Sent);
    }
    if again {
        // Accepted, or refused and reported, by the process that died? Then nothing is to be decided any more.
        let kept =
            |key: &str| submissions.submitted(&source.guid, key).map_err(|error| Posted::Later(error.to_string()));
        if let Some(ticket) = kept(&taken.key())? {
            tracing::info!(file = taken.called, queue_id = ticket.queue_id, "a file had been accepted before");
            return Ok(Posted::Sent);
        }
        if let Some(ticket) = kept(&report_key(taken))? {
            let reason = ticket.answer.lines().next().unwrap_or_default().trim_start_matches("Reason:").trim();
            let bad = Bad { reason: reason.to_owned(), told: Some(ticket.answer.clone()), ..Bad::default() };
            return Err(Posted::Never(Box::new(bad)));
        }
    }
    taken.file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    // What is appended meanwhile is not waited for.
    let mut text = Text::new((&taken.file).take(taken.size));
    let limit = source.connector.max_header_size.min(HEADER_LIMIT);
    let block = text.header(limit).map_err(|fault| match fault {
        HeadFault::Read(error) => unreadable(error),
        HeadFault::Header(fault) => Posted::Never(Bad::new(fault.to_string())),
    })?;
    let way = way(&block, source.folder.kind, taken.size)
        .map_err(|fault| Posted::Never(Box::new(Bad { reason: fault, header: shown(&block), ..Bad::default() })))?;
    let most = source.connector.max_recipients as usize;
    if way.recipients.len() > most {
        let reason = format!("the file has {} recipients, and the connector takes {most}", way.recipients.len());
        return Err(Posted::Never(Box::new(Bad { reason, header: shown(&block), ..Bad::default() })));
    }
    if let Some(account) = account {
        let distinct: HashSet<_> = way.recipients.iter().map(|(to, _)| to.canonical()).collect();
        let shared = submissions.shared();
        match shared.sending().room(&shared.snapshot(), account, distinct.len(), now()) {
            Room::Now => {}
            Room::Later(why) => return Err(Posted::Later(why)),
            Room::Never(reason) => {
                return Err(Posted::Never(Box::new(Bad { reason, header: shown(&block), ..Bad::default() })));
            }
        }
    }
    let refused = |refusal| refused(refusal, source, &way, &block);
    let name = source.connector.name.as_str();
    let mut logon = submissions.log_on_by_folder((source.id, name), source.folder.kind, account).map_err(refused)?;
    // A message that is picked up goes to those who may get it; of the others the sender hears.
    let partial = source.folder.kind == FolderKind::Pickup;
    logon
        .open_with(&way.mail, way.recipients.iter().map(|(to, words)| (to, words.clone())), partial)
        .await
        .map_err(refused)?;
    // Nothing was sent yet: those who may get it later get it together with the others.
    if let Some(later) = logon.refused_recipients().iter().find(|refused| refused.reply.is_transient()) {
        return Err(Posted::Later(format!("{}: {}", later.address, one_line(&later.reply))));
    }
    logon.write(&way.header).map_err(refused)?;
    while !logon.has_refused() {
        match text.next().map_err(unreadable)? {
            Some(piece) => logon.write(piece).map_err(refused)?,
            None => break,
        }
    }
    if !logon.has_refused() && !taken.is_unchanged().map_err(unreadable)? {
        return Err(Posted::Later("the file was changed while it was read".to_owned()));
    }
    let others = logon.refused_recipients().to_vec();
    let report = if others.is_empty() {
        None
    } else {
        let bad = Bad { recipients: others, header: shown(&block), ..Bad::default() };
        let report = folders.compose(source, &taken.called, &bad, account);
        report.map_err(|error| Posted::Later(format!("a report cannot be written: {error}")))?
    };
    let (reports, to): (Vec<_>, Vec<_>) = report.into_iter().unzip();
    let under_way =
        submissions.begin_key(&source.guid, &taken.key()).ok_or(Posted::Later("it is on its way".to_owned()))?;
    match logon.finish_with(Some(&under_way), &[], reports).await {
        Ok(accepted) => {
            tracing::info!(connector = name, file = taken.called, queue_id = accepted.id, "a file was accepted");
            to.iter().for_each(|to| goes_out(&taken.called, to));
            Ok(Posted::Sent)
        }
        Err(Refusal::Duplicate) => {
            tracing::info!(connector = name, file = taken.called, "a file had been accepted before");
            Ok(Posted::Sent)
        }
        Err(refusal) => Err(refused(refusal)),
    }
}

/// The key of the report on a file that was refused.
pub(super) fn report_key(taken: &Taken) -> String {
    format!("{} report", taken.key())
}

/// The commands of a message, and its header.
struct Way {
    mail: String,
    /// With the parameters of RCPT, each with a space before it.
    recipients: Vec<(Address, String)>,
    header: Vec<u8>,
}

fn way(block: &HeaderBlock, kind: FolderKind, size: u64) -> Result<Way, String> {
    let (sender, parameters, recipients, header) = match kind {
        FolderKind::Pickup => {
            let found = pickup_envelope(block).map_err(|fault| fault.to_string())?;
            let recipients = found.recipients.into_iter().map(|to| (to, String::new())).collect();
            (Some(found.sender), Vec::new(), recipients, without_bcc(block))
        }
        FolderKind::Replay => {
            let (found, header) = filed_envelope(block).map_err(|fault| fault.to_string())?;
            let recipients: Vec<_> = found.receivers.into_iter().map(|(to, all)| (to, words(&all))).collect();
            (found.sender, found.sender_parameters, recipients, header)
        }
    };
    let named = senders(block).map(|senders| senders.from.into_iter().chain(senders.sender)).into_iter().flatten();
    let utf8 = named.map(|mailbox| mailbox.address).chain(sender.clone()).any(|address| !address.is_ascii())
        || recipients.iter().any(|(address, _)| !address.is_ascii());
    let mut mail = format!("MAIL FROM:<{}>", sender.as_ref().map(Address::as_str).unwrap_or_default());
    // What a file holds is passed on as it is: whatever its writer called it, it may have eight bits.
    mail += " BODY=8BITMIME";
    mail += &format!(" SIZE={size}");
    mail += if utf8 { " SMTPUTF8" } else { "" };
    mail += &words(&parameters.into_iter().filter(|(keyword, _)| *keyword != "BODY").collect::<Vec<_>>());
    Ok(Way { mail, recipients, header })
}

fn words(parameters: &[Parameter]) -> String {
    parameters.iter().map(|(keyword, value)| format!(" {keyword}={value}")).collect()
}

/// A refusal: for now, or for good.
fn refused(refusal: Refusal, source: Source<'_>, way: &Way, block: &HeaderBlock) -> Posted {
    let meant_for = || way.recipients.iter().map(|(to, _)| to.clone()).collect();
    match refusal {
        Refusal::Refused(refused) => {
            let reason = one_line(&refused.reply);
            let later = refused.recipients.iter().any(|recipient| recipient.reply.is_transient());
            if refused.reply.is_transient() || later {
                return Posted::Later(reason);
            }
            Posted::Never(Box::new(Bad {
                reason,
                status: refused.reply.enhanced,
                decision: refused.decision,
                recipients: refused.recipients,
                meant_for: meant_for(),
                header: shown(block),
                told: None,
            }))
        }
        // Of an assigned account it is the folder that is set up wrong, and no fault of the file.
        Refusal::Logon if source.folder.identity == FolderIdentity::Account => {
            Posted::Later("the account that is assigned to the folder may not submit on its connector".to_owned())
        }
        Refusal::Logon | Refusal::Unauthorized | Refusal::Range => Posted::Never(Box::new(Bad {
            reason: "535 5.7.3 the account of the file's owner may not submit on the connector".to_owned(),
            meant_for: meant_for(),
            header: shown(block),
            ..Bad::default()
        })),
        Refusal::TooMany(_) => Posted::Later("too many messages".to_owned()),
        Refusal::Unavailable(why) => Posted::Later(why),
        Refusal::Duplicate => Posted::Later("the same message is on its way".to_owned()),
    }
}

/// A reply on one line.
pub(super) fn one_line(reply: &smtp::Reply) -> String {
    crate::delivery::fate::one_line(reply)
}

/// The header as it may go back to its sender (F §3.11).
fn shown(block: &HeaderBlock) -> Vec<u8> {
    let edits = message::Edits { drop: vec!["Bcc".into()], ..message::Edits::default() };
    message::rewrite(block, &edits)
}

/// Why a file has no header.
enum HeadFault {
    Read(io::Error),
    Header(HeaderFault),
}

/// The text of a file with CRLF line ends: where its first line ends with LF alone, LF is its line end.
struct Text<R> {
    reader: R,
    piece: Vec<u8>,
    lines: Vec<u8>,
    /// What was read behind the header.
    rest: Option<Vec<u8>>,
    lf: Option<bool>,
    last: u8,
}

impl<R: Read> Text<R> {
    fn new(reader: R) -> Text<R> {
        Text { reader, piece: vec![0; PIECE], lines: Vec::new(), rest: None, lf: None, last: 0 }
    }

    /// The header block; what follows it is given by [`Text::next`].
    fn header(&mut self, limit: u64) -> Result<HeaderBlock, HeadFault> {
        let mut reader = HeaderReader::new(usize::try_from(limit).unwrap_or(usize::MAX));
        loop {
            let Some(lines) = self.next().map_err(HeadFault::Read)? else {
                return reader.finish().map_err(HeadFault::Header);
            };
            match reader.push(lines).map_err(HeadFault::Header)? {
                HeaderProgress::More => {}
                HeaderProgress::Complete { consumed } => {
                    self.rest = Some(lines[consumed..].to_vec());
                    return reader.finish().map_err(HeadFault::Header);
                }
            }
        }
    }

    /// The next lines, or pieces of lines; none at the end.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if let Some(rest) = self.rest.take().filter(|rest| !rest.is_empty()) {
            self.lines = rest;
            return Ok(Some(&self.lines));
        }
        let length = loop {
            match self.reader.read(&mut self.piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if length == 0 {
            return Ok(None);
        }
        let piece = &self.piece[..length];
        self.lines.clear();
        for octet in piece {
            if *octet == b'\n' {
                let bare = self.last != b'\r';
                if *self.lf.get_or_insert(bare) && bare {
                    self.lines.push(b'\r');
                }
            }
            self.lines.push(*octet);
            self.last = *octet;
        }
        Ok(Some(&self.lines))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut read = Text::new(text);
        let block = read.header(1 << 20).ok()?;
        let mut body = Vec::new();
        while let Some(piece) = read.next().unwrap() {
            body.extend_from_slice(piece);
        }
        Some((block.as_bytes().to_vec(), body))
    }

    #[test]
    fn a_message_is_read_whatever_ends_its_lines() {
        for end in ["\r\n", "\n"] {
            let text = ["From: a@b.test", "Subject: x", "", "Hello.", ".", ""].join(end);
            let (header, body) = whole(text.as_bytes()).unwrap();
            assert_eq!(header, b"From: a@b.test\r\nSubject: x\r\n");
            assert_eq!(body, b"Hello.\r\n.\r\n");
        }
    }

    #[test]
    fn a_header_that_is_too_large_is_a_fault() {
        let mut read = Text::new(&b"Subject: 12345678901234567890\r\n\r\n"[..]);
        assert!(matches!(read.header(20), Err(HeadFault::Header(HeaderFault::TooLarge { .. }))));
    }

    #[test]
    fn commands_come_from_the_header_of_what_is_picked_up() {
        let block = HeaderBlock::parse(b"From: a@b.test\r\nBcc: c@d.test\r\n\r\n").unwrap();
        let way = way(&block, FolderKind::Pickup, 77).unwrap();
        assert_eq!(way.mail, "MAIL FROM:<a@b.test> BODY=8BITMIME SIZE=77");
        assert_eq!(way.recipients, [(Address::parse("c@d.test").unwrap(), String::new())]);
        assert_eq!(way.header, b"To: undisclosed-recipients:;\r\nFrom: a@b.test\r\n\r\n");
    }

    #[test]
    fn commands_come_from_the_envelope_of_what_is_replayed() {
        let header =
            b"X-Sender: <> BODY=7bit ENVID=Q1\r\nX-Receiver: <c@d.test> NOTIFY=NEVER\r\nFrom: a@b.test\r\n\r\n";
        let way = way(&HeaderBlock::parse(header).unwrap(), FolderKind::Replay, 77).unwrap();
        assert_eq!(way.mail, "MAIL FROM:<> BODY=8BITMIME SIZE=77 ENVID=Q1");
        assert_eq!(way.recipients, [(Address::parse("c@d.test").unwrap(), " NOTIFY=NEVER".to_owned())]);
        assert_eq!(way.header, b"From: a@b.test\r\n\r\n");
    }

    proptest! {
        /// A body whose lines end with LF is read as the same lines.
        #[test]
        fn lines_are_kept(lines in proptest::collection::vec("[a-z.]{0,40}", 0..50), end in "\r\n|\n") {
            let body: String = lines.iter().map(|line| format!("{line}{end}")).collect();
            let text = format!("A: b{end}{end}{body}");
            let (_, read) = whole(text.as_bytes()).unwrap();
            let expected: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            prop_assert_eq!(String::from_utf8(read).unwrap(), expected);
        }
    }
}
