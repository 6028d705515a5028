//! Connectors, tests and trees for people.

use admin::operations::{ConnectorTested, ReceiveRow, Response, SdText, SendRow, ServerRow, TreeRow};
use serde::Serialize;
use serde_json::Value;

use super::super::output::{table, yes};

/// The answer in words; none for answers of other commands.
pub fn text(response: &Response) -> Option<String> {
    Some(match response {
        Response::ReceiveConnectors(page) => match page.rows.as_slice() {
            [row] => details(row),
            rows => receive(rows),
        },
        Response::SendConnectors(page) => match page.rows.as_slice() {
            [row] => details(row),
            rows => send(rows),
        },
        Response::Servers(page) => servers(&page.rows),
        Response::SecureDomains { domains } => domains.iter().map(|domain| format!("{domain}\n")).collect(),
        Response::ConnectorTested(tested) => self::tested(tested),
        Response::Tree(page) => tree(&page.rows),
        Response::Sd(sd) => descriptor(sd),
        _ => return None,
    })
}

fn receive(rows: &[ReceiveRow]) -> String {
    let line = |row: &ReceiveRow| {
        let settings = &row.settings;
        let bindings: Vec<String> = settings.bindings.iter().flatten().map(ToString::to_string).collect();
        vec![
            row.name.clone(),
            row.server.clone(),
            yes(settings.enabled.unwrap_or(false)),
            match settings.pickup.as_ref().or(settings.replay.as_ref()) {
                Some(folder) => folder.clone(),
                None => bindings.join(" "),
            },
            match &settings.submit_as {
                Some(who) => format!("files of {who}"),
                None => settings.remote_ranges.iter().flatten().cloned().collect::<Vec<_>>().join(" "),
            },
            row.permission_groups.join(" "),
            settings.auth.iter().flatten().cloned().collect::<Vec<_>>().join(" "),
            row.notes.join("; "),
        ]
    };
    let heads =
        ["connector", "server", "enabled", "bindings", "clients", "permission groups", "authentication", "note"];
    table(&heads, rows.iter().map(line))
}

fn send(rows: &[SendRow]) -> String {
    let line = |row: &SendRow| {
        let settings = &row.settings;
        vec![
            row.name.clone(),
            yes(settings.enabled.unwrap_or(false)),
            settings.address_spaces.iter().flatten().cloned().collect::<Vec<_>>().join(" "),
            match &settings.drop_folder {
                Some(folder) => folder.clone(),
                None => settings.smart_hosts.iter().flatten().cloned().collect::<Vec<_>>().join(" "),
            },
            settings.auth.clone().unwrap_or_default(),
            row.rights.join("; "),
            row.notes.join("; "),
        ]
    };
    let heads = ["connector", "enabled", "address spaces", "smart hosts", "authentication", "rights", "note"];
    table(&heads, rows.iter().map(line))
}

fn servers(rows: &[ServerRow]) -> String {
    let line = |row: &ServerRow| {
        vec![row.name.clone(), row.role.clone(), row.names.join(" "), row.connectors.to_string(), row.keys.join(" ")]
    };
    table(&["server", "role", "names", "connectors", "keys"], rows.iter().map(line))
}

/// One connector: its values by name, one on a line.
fn details(row: &impl Serialize) -> String {
    let Ok(Value::Object(values)) = serde_json::to_value(row) else { return String::new() };
    let width = values.keys().map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in &values {
        let label = name.replace('_', " ");
        match value {
            Value::Array(items) if items.len() > 1 => {
                for (place, item) in items.iter().enumerate() {
                    let label = if place == 0 { label.as_str() } else { "" };
                    text += &format!("{label:width$}  {}\n", plain(item));
                }
            }
            Value::Array(items) => {
                text += &format!("{label:width$}  {}\n", items.first().map(plain).unwrap_or_default());
            }
            value => text += &format!("{label:width$}  {}\n", plain(value)),
        }
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(value) => yes(*value),
        other => other.to_string(),
    }
}

fn tested(tested: &ConnectorTested) -> String {
    let word = if tested.accepted { "accepted" } else { "refused" };
    let mut text = format!("{word}: {} on {}\n\n", tested.who, tested.connector);
    for stage in &tested.stages {
        text += &format!("{:22}{:10}{}\n", stage.stage, stage.outcome, stage.detail);
        for line in &stage.trace {
            text += &format!("{:32}{}\n", "", line.text);
        }
    }
    text
}

fn tree(rows: &[TreeRow]) -> String {
    let line = |row: &TreeRow| {
        let indent = "  ".repeat(row.level as usize);
        let blocked = if row.protected { "inheritance is blocked" } else { "" };
        let below = if row.children > 0 { row.children.to_string() } else { String::new() };
        vec![format!("{indent}{}", row.name), row.class.clone(), below, blocked.to_owned()]
    };
    table(&["object", "class", "below", ""], rows.iter().map(line))
}

fn descriptor(sd: &SdText) -> String {
    sd.lines.clone()
}
