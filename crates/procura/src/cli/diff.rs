//! What differs between two exports of all permissions.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use admin::sheet::COLUMNS;
use serde::Serialize;
use serde_json::{Map, Value};

use super::args::Format;
use super::fault::Failure;
use super::output::table;
use super::rows::{Rows, read_csv};
use super::run::{broken, named};

/// What makes two rows the same: the right, on whom, who, and where it comes from. Notes and places of entries may
/// differ.
const KEY: [&str; 8] = ["target_dn", "right", "trustee_sid", "trustee", "deny", "via", "inherited_from", "ace"];
/// What is compared of rows that are the same.
const VALUES: [&str; 4] = ["effective", "path", "needs_logon", "protected"];

#[derive(Serialize)]
struct Difference {
    change: &'static str,
    #[serde(flatten)]
    row: Map<String, Value>,
}

/// Compares; exit code 1 if anything differs.
pub fn run(before: &Path, after: &Path, format: Format) -> Result<ExitCode, Failure> {
    let (old, new) = (read(before)?, read(after)?);
    let mut found: Vec<Difference> = Vec::new();
    for (key, row) in &old {
        match new.get(key) {
            None => found.push(Difference { change: "removed", row: row.clone() }),
            Some(now) if VALUES.iter().any(|name| text(row, name) != text(now, name)) => {
                found.push(Difference { change: "changed", row: now.clone() });
            }
            Some(_) => {}
        }
    }
    for (_, row) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        found.push(Difference { change: "added", row: row.clone() });
    }
    show(&found, format).map_err(broken)?;
    Ok(ExitCode::from(u8::from(!found.is_empty())))
}

fn show(found: &[Difference], format: Format) -> io::Result<()> {
    let mut out = BufWriter::new(super::report::stdout(format)?);
    if format == Format::Table {
        let line = |difference: &Difference| {
            let sign = match difference.change {
                "added" => "+",
                "removed" => "-",
                _ => "~",
            };
            let cell = |name| text(&difference.row, name);
            let deny = if cell("deny") == "true" { "deny" } else { "allow" };
            vec![
                sign.to_owned(),
                deny.to_owned(),
                cell("trustee"),
                cell("right"),
                cell("target"),
                cell("effective"),
                cell("via"),
                cell("inherited_from"),
            ]
        };
        if found.is_empty() {
            return out.write_all(b"nothing differs\n");
        }
        let heads = ["", "", "who", "right", "on", "effective", "via", "from"];
        return out.write_all(table(&heads, found.iter().map(line)).as_bytes());
    }
    let columns: Vec<&str> = std::iter::once("change").chain(COLUMNS).collect();
    let mut rows = Rows::new(out, format, &columns);
    found.iter().try_for_each(|difference| rows.row(difference))?;
    rows.finish()
}

type Export = BTreeMap<Vec<String>, Map<String, Value>>;

/// Reads an export: JSON, JSON lines or CSV, by what is in it.
fn read(path: &Path) -> Result<Export, Failure> {
    let file = std::fs::read_to_string(path).map_err(|e| named(path, e))?;
    let wrong = |reason: String| {
        Failure::new(format!("{}: {reason}", path.display()))
            .help("give files that `procura audit export --format csv`, json or jsonl wrote")
    };
    let rows = if file.trim_start().starts_with('{') { json(&file) } else { csv(&file) };
    let rows = rows.map_err(&wrong)?;
    let mut export = Export::new();
    for (index, row) in rows.into_iter().enumerate() {
        if text(&row, "right").is_empty() || text(&row, "trustee").is_empty() && text(&row, "trustee_sid").is_empty() {
            return Err(wrong(format!("row {} has no right or no trustee", index + 1)));
        }
        let key = KEY.iter().map(|name| text(&row, name)).collect();
        export.insert(key, row);
    }
    Ok(export)
}

fn json(file: &str) -> Result<Vec<Map<String, Value>>, String> {
    let object = |value: Value| match value {
        Value::Object(row) => Ok(row),
        _ => Err("a row is no JSON object".to_owned()),
    };
    if let Ok(Value::Object(mut whole)) = serde_json::from_str::<Value>(file)
        && let Some(Value::Array(rows)) = whole.remove("rows")
    {
        return rows.into_iter().map(object).collect();
    }
    let lines = file.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let value = serde_json::from_str(line).map_err(|e| format!("line {}: {e}", number + 1))?;
            object(value)
        })
        .collect()
}

fn csv(file: &str) -> Result<Vec<Map<String, Value>>, String> {
    let mut rows = read_csv(file)?.into_iter();
    let Some(heads) = rows.next() else { return Ok(Vec::new()) };
    if !heads.iter().any(|head| head == "trustee") {
        return Err("the first line does not name the columns".to_owned());
    }
    let row = |cells: Vec<String>| heads.iter().cloned().zip(cells.into_iter().map(Value::String)).collect();
    Ok(rows.map(row).collect())
}

/// A value as CSV has it, so that exports of different formats compare.
fn text(row: &Map<String, Value>, name: &str) -> String {
    match row.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => {
            values.iter().map(|value| value.as_str().unwrap_or_default()).collect::<Vec<_>>().join(" | ")
        }
        Some(other) => other.to_string(),
    }
}
