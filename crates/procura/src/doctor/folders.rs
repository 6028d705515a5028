//! Pickup, replay and drop folders: whether they are there, and who may write into them.

use std::fs;
use std::os::unix::fs::MetadataExt;

use admin::Endpoint;
use admin::operations::{ConnectorGet, Request, Response};

use super::Finding;

const CHECK: &str = "folders";

/// Each folder that an enabled connector names, as far as this command sees it.
pub(super) fn examine(endpoint: &mut Endpoint) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Ok(Response::ReceiveConnectors(page)) =
        endpoint.call("", Request::ReceiveConnectorGet(ConnectorGet::default()))
    {
        for row in page.rows.iter().filter(|row| row.settings.enabled == Some(true)) {
            if let Some(path) = row.settings.pickup.as_ref().or(row.settings.replay.as_ref()) {
                let lends = !matches!(row.settings.submit_as.as_deref(), Some("anonymous" | "owner"));
                findings.push(folder(&row.name, path, lends));
                let notes = row.notes.iter().filter(|note| note.contains("out of service"));
                findings.extend(notes.map(|note| {
                    let mend = match note.contains("--submit-as") {
                        true => format!("procura connector receive set '{}' --submit-as ACCOUNT", row.name),
                        false => "when that is mended, the server takes what waits there".to_owned(),
                    };
                    Finding::fault(CHECK, format!("{}: {note}", row.name), mend)
                }));
            }
        }
    }
    if let Ok(Response::SendConnectors(page)) = endpoint.call("", Request::SendConnectorGet(ConnectorGet::default())) {
        for row in page.rows.iter().filter(|row| row.settings.enabled == Some(true)) {
            if let Some(path) = &row.settings.drop_folder {
                findings.push(folder(&row.name, path, true));
            }
        }
    }
    findings
}

/// `closed`: everybody who may write there would send as somebody, or change what is left there.
fn folder(name: &str, path: &str, closed: bool) -> Finding {
    let fault = |what: &str, mend: String| Finding::fault(CHECK, format!("{name}: {path} {what}"), mend);
    match fs::symlink_metadata(path) {
        Err(error) => fault(&format!("cannot be looked at: {error}"), format!("install -d -m 2770 {path}")),
        Ok(found) if found.is_symlink() => {
            fault("is a link; links are not followed", "name the folder that it leads to".to_owned())
        }
        Ok(found) if !found.is_dir() => fault("is no folder", format!("install -d -m 2770 {path}")),
        Ok(found) if closed && found.mode() & 0o002 != 0 => fault(
            &format!("may be written by everybody on this machine (mode {:o})", found.mode() & 0o7777),
            format!("chmod o-w {path}"),
        ),
        Ok(_) => Finding::ok(CHECK, format!("{name}: {path} is there")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::Level;
    use super::*;

    #[test]
    fn a_folder_that_is_missing_or_open_to_everybody_is_a_fault() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("folder");
        let found = |closed| folder("F", path.to_str().unwrap(), closed).level;
        assert_eq!(found(false), Level::Fault);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).unwrap();
        assert_eq!(found(true), Level::Ok);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!((found(true), found(false)), (Level::Fault, Level::Ok));
        let link = place.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(folder("F", link.to_str().unwrap(), false).level, Level::Fault);
    }
}
