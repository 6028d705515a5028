//! Descriptors as JSON.

use acl::describe::Description;
use acl::{Ace, Acl, Control, Guid, SddlContext, SecurityDescriptor, Sid, names, well_known};
use serde_json::{Value, json};

use super::input;

/// All that is in a descriptor. `origins` says for each ACE of the DACL where it is inherited from, as far as known.
pub fn descriptor(sd: &SecurityDescriptor, context: &SddlContext, origins: &[Option<String>]) -> Value {
    let present = sd.control.contains(Control::DACL_PRESENT);
    let state = match &sd.dacl {
        Some(_) => "present",
        None if present => "null",
        None => "absent",
    };
    json!({
        "control": format!("{:#06x}", sd.control.0),
        "rm_control": sd.rm_control,
        "owner": sd.owner.as_ref().map(trustee),
        "group": sd.group.as_ref().map(trustee),
        "dacl_state": state,
        "dacl_protected": sd.is_dacl_protected(),
        "dacl": sd.dacl.as_ref().map(|acl| list(acl, context, origins)),
        "sacl": sd.sacl.as_ref().map(|acl| list(acl, context, &[])),
    })
}

fn list(acl: &Acl, context: &SddlContext, origins: &[Option<String>]) -> Value {
    let origin = |index: usize| origins.get(index).and_then(Option::as_deref);
    let aces = acl.aces.iter().enumerate().map(|(index, ace)| entry(index, ace, context, origin(index)));
    json!({ "revision": acl.revision, "aces": aces.collect::<Vec<_>>(), "trailing": input::hex(&acl.trailing) })
}

fn entry(index: usize, ace: &Ace, context: &SddlContext, origin: Option<&str>) -> Value {
    let words = Description::of(ace);
    json!({
        "index": index,
        "type": ace.ace_type.0,
        "flags": ace.flags.0,
        "mask": ace.mask.0,
        "object_type": ace.object_type.as_ref().map(named),
        "inherited_object_type": ace.inherited_object_type.as_ref().map(named),
        "trustee": trustee(&ace.sid),
        "data": input::hex(&ace.data),
        "inherited": ace.is_inherited(),
        "inherited_from": origin,
        "effect": words.effect,
        "rights": words.rights,
        "scope": words.scope,
        "sddl": ace.sddl(context).to_string(),
    })
}

fn trustee(sid: &Sid) -> Value {
    json!({ "sid": sid.to_string(), "name": well_known::name(sid) })
}

fn named(guid: &Guid) -> Value {
    json!({ "guid": guid.to_string(), "name": names::by_guid(guid).map(|row| row.display_name) })
}
