//! `sd show`: a descriptor for people.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use acl::describe::Description;
use acl::{Acl, Control, SddlContext, SecurityDescriptor, Sid, edit, well_known};
use miette::{IntoDiagnostic, LabeledSpan, miette};

use super::{From, Show, input, json};

/// The descriptor of a directory object, with what the directory knows of it.
pub struct DirectoryDescriptor {
    /// The effective descriptor.
    pub sd: SecurityDescriptor,
    /// For each ACE of its DACL the object where it is explicit, when it is inherited.
    pub origins: Vec<Option<String>>,
    /// Names of the SIDs in it.
    pub names: Vec<(Sid, String)>,
}

/// Reads the descriptor of an object by its name.
pub type Lookup<'a> = dyn FnMut(&str) -> miette::Result<DirectoryDescriptor> + 'a;

/// Prints one descriptor.
pub fn run(
    arguments: &Show,
    as_json: bool,
    lookup: &mut Lookup<'_>,
    mut input: impl BufRead,
    output: &mut impl Write,
) -> miette::Result<ExitCode> {
    let context = arguments.domain.context();
    let shown = match (&arguments.object, arguments.descriptor.as_deref()) {
        (Some(name), _) => lookup(name)?,
        (None, Some(text)) if text != "-" => parse(text, &context)?,
        _ => {
            let mut text = String::new();
            input.read_to_string(&mut text).into_diagnostic()?;
            parse(text.trim_end_matches(['\r', '\n']), &context)?
        }
    };
    let text = match as_json {
        true => format!("{:#}\n", json::descriptor(&shown.sd, &context, &shown.origins)),
        false => words(&shown, &context),
    };
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).into_diagnostic()?;
    Ok(ExitCode::SUCCESS)
}

/// A descriptor in whatever form; an error in SDDL points at the character.
fn parse(text: &str, context: &SddlContext) -> miette::Result<DirectoryDescriptor> {
    let sd = match input::form_of(text) {
        From::Sddl => SecurityDescriptor::from_sddl(text, context).map_err(|e| {
            let label = LabeledSpan::at(e.offset..e.offset + e.length, "here");
            miette!(labels = vec![label], "{}", e.message).with_source_code(text.to_owned())
        })?,
        form => input::descriptor(text, form, context).map_err(|e| miette!("{e}"))?,
    };
    Ok(DirectoryDescriptor { sd, origins: Vec::new(), names: Vec::new() })
}

fn words(shown: &DirectoryDescriptor, context: &SddlContext) -> String {
    let sd = &shown.sd;
    let name = |sid: &Sid| {
        let known = shown.names.iter().find(|(other, _)| other == sid).map(|(_, name)| name.as_str());
        known.or_else(|| well_known::name(sid)).map_or_else(|| sid.to_string(), str::to_owned)
    };
    let mut out = String::new();
    for (label, sid) in [("owner", &sd.owner), ("group", &sd.group)] {
        out += &format!("{label:<8} {}\n", sid.as_ref().map_or("none".into(), name));
    }
    let present = sd.control.contains(Control::DACL_PRESENT);
    let state = match &sd.dacl {
        None if present => "NULL: everything is granted to everybody".into(),
        None => "absent: everything is granted to everybody".into(),
        Some(dacl) => summary(dacl, sd.is_dacl_protected()),
    };
    out += &format!("access   {state}\n");
    if let Some(dacl) = &sd.dacl {
        out += &entries(dacl, &shown.origins, &name, context);
    }
    if let Some(sacl) = &sd.sacl {
        out += &format!("audit    {}\n", summary(sacl, sd.control.contains(Control::SACL_PROTECTED)));
        out += &entries(sacl, &[], &name, context);
    }
    out
}

fn summary(acl: &Acl, protected: bool) -> String {
    let entries = match acl.aces.len() {
        0 => "empty: nothing is granted".into(),
        1 => "1 entry".into(),
        some => format!("{some} entries"),
    };
    let inheritance = if protected { ", protected: inherits nothing" } else { "" };
    let order = if edit::is_canonical(acl) { "" } else { ", not in canonical order" };
    format!("{entries}{inheritance}{order}")
}

fn entries(acl: &Acl, origins: &[Option<String>], name: &impl Fn(&Sid) -> String, context: &SddlContext) -> String {
    let mut out = String::new();
    for (index, ace) in acl.aces.iter().enumerate() {
        let words = Description::of(ace);
        let origin = origins.get(index).and_then(Option::as_deref);
        out += &format!("{index:>3}. {}: {}\n", name(&ace.sid), words.from_parent(origin));
        out += &format!("     {}\n", ace.sddl(context));
    }
    out
}
