//! Options of connectors and recipients in scripts, as attributes.

use directory::{AuthMechanisms, attributes};

/// The attribute behind an option of a connector or recipient, and its value there.
pub(super) fn setting(key: &str, value: &str) -> Result<(&'static str, String), String> {
    let flag = || match value {
        "yes" => Ok("TRUE".to_owned()),
        "no" => Ok("FALSE".to_owned()),
        _ => Err(format!("{key}={value}: write yes or no")),
    };
    let text = || Ok(value.to_owned());
    let (attribute, value) = match key {
        "auth" => (attributes::RECEIVE_SECURITY, mechanisms(value)),
        "ranges" => (attributes::RECEIVE_RANGES, text()),
        "header-from" => (attributes::HEADER_FROM, text()),
        "on-behalf" => (attributes::ON_BEHALF, text()),
        "delegate-chain" => (attributes::DELEGATE_CHAIN, flag()),
        "require-from" => (attributes::REQUIRE_FROM, flag()),
        "separator" => (attributes::LOGON_SEPARATOR, text()),
        "max-message-size" => (attributes::RECEIVE_MAX_MESSAGE, text()),
        "max-header-size" => (attributes::RECEIVE_MAX_HEADER, text()),
        "max-recipients" => (attributes::RECEIVE_MAX_RECIPIENTS, text()),
        "max-hops" => (attributes::RECEIVE_MAX_HOPS, text()),
        "max-errors" => (attributes::RECEIVE_MAX_ERRORS, text()),
        "max-logon-failures" => (attributes::RECEIVE_MAX_LOGON_FAILURES, text()),
        "command-timeout" => (attributes::COMMAND_TIMEOUT, text()),
        "data-timeout" => (attributes::DATA_TIMEOUT, text()),
        "session-timeout" => (attributes::RECEIVE_TIMEOUT, text()),
        "tarpit" => (attributes::RECEIVE_TARPIT, text()),
        "require-tls" => (attributes::REQUIRE_TLS, flag()),
        "domain-secure" => (attributes::DOMAIN_SECURE, flag()),
        "enabled" => (attributes::RECEIVE_ENABLED, flag()),
        "chunking" => (attributes::CHUNKING, flag()),
        "dsn" => (attributes::STATUS_NOTIFICATION, flag()),
        "binary-mime" => (attributes::BINARY_MIME, flag()),
        "tolerant" => (attributes::TOLERANT, flag()),
        "complete-headers" => (attributes::COMPLETE_HEADERS, flag()),
        "rewrite" => (attributes::REWRITES, text()),
        "rewrite-headers" => (attributes::REWRITE_HEADERS, text()),
        "banner" => (attributes::RECEIVE_BANNER, text()),
        "folder" => (attributes::FOLDER_PATH, text()),
        "folder-kind" => (attributes::FOLDER_KIND, text()),
        "fqdn" => (attributes::RECEIVE_FQDN, text()),
        "legacy-send-as" => (attributes::LEGACY_POLICY, flag()),
        "authenticated-senders-only" => (attributes::REQUIRE_AUTH_TO_SEND_TO, flag()),
        _ => return Err(format!("there is no option {key}")),
    };
    Ok((attribute, value?))
}

/// `tls,basic,basic-requires-tls,external` as flags.
fn mechanisms(list: &str) -> Result<String, String> {
    let mut auth = AuthMechanisms::default();
    for name in list.split(',') {
        match name {
            "none" => {}
            "tls" => auth.tls = true,
            "basic" => auth.basic = true,
            "basic-requires-tls" => auth.basic_requires_tls = true,
            "external" => auth.external_authoritative = true,
            "integrated" => auth.integrated = true,
            "exchange-server" => auth.exchange_server = true,
            _ => return Err(format!("there is no authentication {name}")),
        }
    }
    Ok(auth.flags().to_string())
}
