//! OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's and Microsoft's older form of it), up to the token, which only a host can
//! judge.

use zeroize::Zeroizing;

use super::text;

/// Between the parts of both messages.
const SEPARATOR: u8 = 0x01;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RFC 7628.
    OauthBearer,
    /// `user=…^Aauth=Bearer …^A^A`.
    Xoauth2,
}

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// Authorization identity: the mailbox to log on to, or the account itself. XOAUTH2 always names one.
    pub(crate) mailbox: Option<String>,
    /// The access token (RFC 6750).
    pub(crate) token: Zeroizing<String>,
}

impl Dialect {
    /// Reads a client's first message; `None`: it is none.
    pub(crate) fn parse(self, message: &[u8]) -> Option<Bearer> {
        match self {
            Dialect::OauthBearer => oauthbearer(message),
            Dialect::Xoauth2 => xoauth2(message),
        }
    }

    /// What the client is told of a token that does not count, JSON (RFC 7628 §3.2.2). It says the same of every such
    /// token, and of an account that is none.
    pub(crate) fn refusal(self) -> &'static str {
        match self {
            Dialect::OauthBearer => r#"{"status":"invalid_token"}"#,
            Dialect::Xoauth2 => r#"{"status":"401","schemes":"Bearer"}"#,
        }
    }
}

/// RFC 7628 §3.1: `gs2-header kvsep *kvpair kvsep`. Host and port are the client's idea of where it is, and prove
/// nothing. Channel binding is not defined for this mechanism: `p=` is refused.
fn oauthbearer(message: &[u8]) -> Option<Bearer> {
    let mut parts = message.split(|byte| *byte == SEPARATOR);
    let header = std::str::from_utf8(parts.next()?).ok()?;
    let authzid = match header.split_once(',')? {
        ("n" | "y", rest) => rest.strip_suffix(',')?,
        _ => return None,
    };
    let mailbox = match authzid {
        "" => None,
        authzid => Some(super::scram::unescape(authzid.strip_prefix("a=")?)?),
    };
    Some(Bearer { mailbox, token: pairs(parts)?.1? })
}

fn xoauth2(message: &[u8]) -> Option<Bearer> {
    let (user, token) = pairs(message.split(|byte| *byte == SEPARATOR))?;
    Some(Bearer { mailbox: Some(user?), token: token? })
}

type Pairs = (Option<String>, Option<Zeroizing<String>>);

/// `key=value` parts up to the two empty ones at the end: `user` and the token of `auth`, each at most once.
fn pairs<'m>(parts: impl Iterator<Item = &'m [u8]>) -> Option<Pairs> {
    let mut parts: Vec<&[u8]> = parts.collect();
    if parts.pop()? != b"" || parts.pop()? != b"" {
        return None;
    }
    let (mut user, mut token) = (None, None);
    for part in parts {
        let equals = part.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (&part[..equals], &part[equals + 1..]);
        if key.is_empty() || !key.iter().all(u8::is_ascii_alphabetic) {
            return None;
        }
        let twice = match key {
            b"user" => user.replace(text(value)?).is_some(),
            b"auth" => token.replace(bearer(value)?).is_some(),
            _ => false,
        };
        if twice {
            return None;
        }
    }
    Some((user, token))
}

/// `Bearer` and a b64token (RFC 6750 §2.1).
fn bearer(value: &[u8]) -> Option<Zeroizing<String>> {
    let value = std::str::from_utf8(value).ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let fits = scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty() && token.bytes().all(allowed);
    fits.then(|| Zeroizing::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_7628_is_read() {
        let message = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01\
                        auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01";
        let bearer = Dialect::OauthBearer.parse(message).expect("well formed");
        assert_eq!(bearer.mailbox.as_deref(), Some("user@example.com"));
        assert_eq!(bearer.token.as_str(), "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
    }

    #[test]
    fn the_example_of_xoauth2_is_read() {
        let message = b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01";
        let bearer = Dialect::Xoauth2.parse(message).expect("well formed");
        assert_eq!(bearer.mailbox.as_deref(), Some("someuser@example.com"));
        assert!(bearer.token.starts_with("ya29."));
    }

    #[test]
    fn without_an_authorization_identity_there_is_none() {
        let bearer = Dialect::OauthBearer.parse(b"n,,\x01auth=bearer abc\x01\x01").expect("well formed");
        assert_eq!((bearer.mailbox, bearer.token.as_str()), (None, "abc"));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let messages: &[&[u8]] = &[
            b"",
            b"\x01",
            b"n,,\x01\x01",
            b"n,,\x01auth=Bearer abc\x01",
            b"n,,\x01auth=Bearer abc\x01\x01\x01",
            b"n,,\x01auth=Bearer abc\x01auth=Bearer def\x01\x01",
            b"n,,\x01auth=Basic abc\x01\x01",
            b"n,,\x01auth=Bearer \x01\x01",
            b"n,,\x01auth=Bearer a b\x01\x01",
            b"n,,\x01auth=Bearer a\xffb\x01\x01",
            b"p=tls-exporter,,\x01auth=Bearer abc\x01\x01",
            b"n,b=x,\x01auth=Bearer abc\x01\x01",
            b"n,a=,\x01auth=Bearer abc\x01\x01",
            b"n,,\x01=x\x01auth=Bearer abc\x01\x01",
        ];
        for message in messages {
            assert_eq!(Dialect::OauthBearer.parse(message), None, "{}", String::from_utf8_lossy(message));
        }
        for message in [&b"auth=Bearer abc\x01\x01"[..], b"user=\x01auth=Bearer abc\x01\x01", b"user=a\x01\x01"] {
            assert_eq!(Dialect::Xoauth2.parse(message), None, "{}", String::from_utf8_lossy(message));
        }
    }

    proptest! {
        #[test]
        fn what_a_client_builds_is_read_back(user in "[a-z@.=,]{1,20}", token in "[A-Za-z0-9._~+/-]{1,60}=?") {
            let escaped = user.replace('=', "=3D").replace(',', "=2C");
            let message = format!("n,a={escaped},\x01host=h\x01auth=Bearer {token}\x01\x01");
            let bearer = Dialect::OauthBearer.parse(message.as_bytes()).expect("well formed");
            prop_assert_eq!(bearer.mailbox.as_deref(), Some(user.as_str()));
            prop_assert_eq!(bearer.token.as_str(), token);
        }

        #[test]
        fn no_bytes_make_it_panic(message: Vec<u8>) {
            let _ = (Dialect::OauthBearer.parse(&message), Dialect::Xoauth2.parse(&message));
        }
    }
}
