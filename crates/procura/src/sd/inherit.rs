//! `sd inherit`: what a child gets from its parent.

use acl::{Guid, InheritContext, SddlContext, SecurityDescriptor, inherited_aces};
use serde_json::{Value, json};

use super::input;

/// One line.
pub fn line(text: &str) -> Result<String, String> {
    let question: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let parent = question["parent"].as_str().ok_or("parent is a descriptor in hexadecimal digits")?;
    let parent = SecurityDescriptor::parse(&input::unhex(parent)?).map_err(|e| format!("parent: {e}"))?;
    let classes: Vec<Guid> = match &question["class_guid"] {
        Value::Null => Vec::new(),
        Value::Array(guids) => guids.iter().map(|value| input::guid(value, "class_guid")).collect::<Result<_, _>>()?,
        value => vec![input::guid(value, "class_guid")?],
    };
    let context = SddlContext::default();
    let owner = input::optional_sid(&question, "owner", &context)?;
    let group = input::optional_sid(&question, "group", &context)?;
    let cx = InheritContext { classes: &classes, owner: owner.as_ref(), group: group.as_ref() };
    let aces = parent.dacl.as_ref().map(|dacl| inherited_aces(dacl, &cx)).unwrap_or_default();
    let hex = aces.iter().map(|ace| {
        let mut bytes = Vec::with_capacity(ace.byte_len());
        ace.write_to(&mut bytes);
        input::hex(&bytes)
    });
    Ok(json!({ "aces": hex.collect::<Vec<_>>() }).to_string())
}
