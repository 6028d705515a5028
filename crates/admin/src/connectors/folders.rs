//! Receive connectors that take files of a folder, and no connections: what is said of the folder.

use directory::{Config, Folder, FolderIdentity, FolderKind, ObjectId, Snapshot, attributes as a, link_value};
use rights::PermissionGroup;
use rights::pause::account_name;

use super::documents::ReceiveSettings;
use super::{Attributes, guid, put};
use crate::accounts::account;
use crate::error::{Fault, FaultKind};
use crate::service::{Asked, find};

/// Limits of the reference for what is picked up: octets of a header, recipients.
const HEADER: u64 = 64 << 10;
const RECIPIENTS: u32 = 100;

/// Whether a new connector is a folder.
pub(super) fn is_wanted(settings: &ReceiveSettings) -> bool {
    settings.pickup.is_some() || settings.replay.is_some()
}

/// The usual values of a folder, where the command says nothing.
pub(super) fn complete(settings: &mut ReceiveSettings) -> Result<(), Fault> {
    if settings.bindings.is_some() || settings.remote_ranges.is_some() || settings.auth.is_some() {
        return Err(Fault::new(
            FaultKind::Invalid,
            "a folder takes no connections: it has no bindings, clients or mechanisms",
        )
        .help("leave --bindings, --remote-ranges and --auth away"));
    }
    settings.auth = Some(vec!["None".to_owned()]);
    settings.tarpit_ms = settings.tarpit_ms.or(Some(0));
    if settings.pickup.is_some() {
        settings.max_header_size = settings.max_header_size.or(Some(HEADER));
        settings.max_recipients = settings.max_recipients.or(Some(RECIPIENTS));
        settings.complete_headers = settings.complete_headers.or(Some(true));
    }
    Ok(())
}

/// Who may submit by a new folder: the accounts that its files are sent for, or everybody.
pub(super) fn groups(settings: &ReceiveSettings) -> Vec<PermissionGroup> {
    match settings.submit_as.as_deref().map(identity) {
        None | Some(FolderIdentity::Anonymous) => vec![PermissionGroup::AnonymousUsers],
        Some(FolderIdentity::Account | FolderIdentity::Owner) => vec![PermissionGroup::ExchangeUsers],
    }
}

/// `anonymous`, `owner`, or else the name of an account.
fn identity(text: &str) -> FolderIdentity {
    match text.trim().to_ascii_lowercase().as_str() {
        "anonymous" => FolderIdentity::Anonymous,
        "owner" => FolderIdentity::Owner,
        _ => FolderIdentity::Account,
    }
}

/// What is to be written of a folder.
pub(super) fn attributes(snapshot: &Snapshot, settings: &ReceiveSettings) -> Result<Attributes, Fault> {
    let mut all = Attributes::new();
    let (kind, path) = match (&settings.pickup, &settings.replay) {
        (Some(_), Some(_)) => {
            return Err(Fault::new(FaultKind::Invalid, "a folder is one for pickup or one for replay, and not both")
                .help("make two connectors"));
        }
        (Some(path), None) => (Some(FolderKind::Pickup), Some(path)),
        (None, Some(path)) => (Some(FolderKind::Replay), Some(path)),
        (None, None) => (None, None),
    };
    put(&mut all, a::FOLDER_KIND, kind.map(FolderKind::name));
    put(&mut all, a::FOLDER_PATH, path.map(|path| absolute(path)).transpose()?);
    if let Some(text) = &settings.submit_as {
        let identity = identity(text);
        put(&mut all, a::FOLDER_IDENTITY, Some(identity.name()));
        let link = match identity {
            FolderIdentity::Account => {
                let id = find(snapshot, text.trim())?;
                account(snapshot, id)?;
                vec![link_value(&guid(snapshot, id)?)]
            }
            FolderIdentity::Anonymous | FolderIdentity::Owner => Vec::new(),
        };
        all.push((a::FOLDER_ACCOUNT.to_owned(), link));
    }
    put(&mut all, a::FOLDER_RATE, settings.files_per_minute);
    Ok(all)
}

/// The path of a folder as it is kept.
pub(super) fn absolute(path: &str) -> Result<&str, Fault> {
    let trimmed = path.strip_suffix('/').unwrap_or(path);
    let parts = trimmed.strip_prefix('/').unwrap_or_default();
    let plain = parts.split('/').all(|part| !matches!(part, "" | "." | "..")) && !parts.chars().any(char::is_control);
    match plain && trimmed.starts_with('/') {
        true => Ok(trimmed),
        false => Err(Fault::new(FaultKind::Invalid, format!("`{path}` is not the absolute path of a folder"))
            .help("write it from the root, without . and ..: /var/spool/procura/pickup")),
    }
}

/// What is shown of a folder.
pub(super) fn show(snapshot: &Snapshot, id: ObjectId, settings: &mut ReceiveSettings) {
    let Some(folder) = folder(snapshot, id) else { return };
    // These mean nothing for it.
    (settings.bindings, settings.remote_ranges, settings.auth) = (None, None, None);
    match folder.kind {
        FolderKind::Pickup => settings.pickup = Some(folder.path.clone()),
        FolderKind::Replay => settings.replay = Some(folder.path.clone()),
    }
    settings.submit_as = Some(match (folder.identity, assigned(snapshot, id)) {
        (FolderIdentity::Account, Some(account)) => {
            guid(snapshot, account).map(|guid| account_name(snapshot, &guid)).unwrap_or_default()
        }
        (FolderIdentity::Account, None) => String::new(),
        (other, _) => other.name().to_owned(),
    });
    settings.files_per_minute = Some(folder.per_minute);
}

/// What somebody should know of a folder.
pub(super) fn notes(snapshot: &Snapshot, id: ObjectId) -> Vec<String> {
    let Some(folder) = folder(snapshot, id) else { return Vec::new() };
    let lost = folder.identity == FolderIdentity::Account
        && assigned(snapshot, id).is_none_or(|account| snapshot.account_token(account).is_err());
    match lost {
        true => vec![
            "it is out of service: the account that its files are sent for is gone or disabled. Name another one with \
             `procura connector receive set … --submit-as`"
                .to_owned(),
        ],
        false => Vec::new(),
    }
}

/// What the server that serves a folder has found wrong with it.
pub(super) fn closed(asked: Asked<'_>, id: ObjectId) -> Option<String> {
    // What the directory says of it is said already.
    if folder(asked.snapshot, id).is_none() || !notes(asked.snapshot, id).is_empty() {
        return None;
    }
    let why = asked.service.running()?.closed_folder(&guid(asked.snapshot, id).ok()?)?;
    Some(format!("it is out of service: {why}"))
}

/// The account that files are sent for.
pub(super) fn assigned(snapshot: &Snapshot, id: ObjectId) -> Option<ObjectId> {
    snapshot.links(id, a::FOLDER_ACCOUNT).first().copied()
}

/// The folder of a receive connector.
pub(super) fn folder(snapshot: &Snapshot, id: ObjectId) -> Option<&Folder> {
    match snapshot.object(id)?.config()? {
        Config::ReceiveConnector(settings) => settings.folder.as_ref(),
        _ => None,
    }
}
