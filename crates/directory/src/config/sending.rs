//! How a send connector protects mail on its way, and where it gets tokens to log on with.

/// What a send connector demands of the TLS of its next hops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SendTls {
    /// Where the host offers it, whatever its certificate; else in plain text (RFC 7435).
    #[default]
    Opportunistic,
    /// Never.
    None,
    /// Encrypted or not at all; any certificate.
    Required,
    /// Encrypted, and the host proves its name, or shows one of the pinned keys.
    Verified,
    /// As opportunistic, but the policy that the recipient's domain publishes counts (MTA-STS, RFC 8461).
    MtaSts,
}

impl SendTls {
    /// All of them.
    pub const ALL: [SendTls; 5] =
        [SendTls::Opportunistic, SendTls::None, SendTls::Required, SendTls::Verified, SendTls::MtaSts];

    /// As the directory and the command line spell it.
    pub fn name(self) -> &'static str {
        match self {
            SendTls::Opportunistic => "opportunistic",
            SendTls::None => "none",
            SendTls::Required => "required",
            SendTls::Verified => "verified",
            SendTls::MtaSts => "mta-sts",
        }
    }
}

/// How a token is asked for (RFC 6749).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TokenGrant {
    /// RFC 6749 §4.4: with the client's own secret.
    #[default]
    ClientCredentials,
    /// RFC 6749 §6: with a refresh token that somebody was given once.
    RefreshToken,
}

impl TokenGrant {
    /// All of them.
    pub const ALL: [TokenGrant; 2] = [TokenGrant::ClientCredentials, TokenGrant::RefreshToken];

    /// As the directory and the command line spell it.
    pub fn name(self) -> &'static str {
        match self {
            TokenGrant::ClientCredentials => "client-credentials",
            TokenGrant::RefreshToken => "refresh-token",
        }
    }
}

/// Where a send connector gets the tokens that it logs on with. The secret that goes with it is no part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TokenSource {
    /// The token endpoint, https.
    pub url: String,
    /// Identifier of the client.
    pub client: String,
    /// Scopes, separated by spaces.
    pub scope: Option<String>,
    /// How it is asked.
    pub grant: TokenGrant,
}
