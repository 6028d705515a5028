//! `sd convert`: one form to another.

use acl::SddlContext;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{From, To, input, json};

/// One line.
pub fn line(text: &str, from: From, to: To, context: &SddlContext) -> Result<String, String> {
    let sd = input::descriptor(text, from, context)?;
    Ok(match to {
        To::Sddl => sd.to_sddl(context),
        To::Hex => input::hex(&sd.to_bytes()),
        To::Base64 => STANDARD.encode(sd.to_bytes()),
        To::Json => json::descriptor(&sd, context, &[]).to_string(),
    })
}
