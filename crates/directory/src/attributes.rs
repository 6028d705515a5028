//! The one table of attributes that the directory knows: names of Active Directory and Exchange where they exist, our
//! own (prefix `procura`) elsewhere. Other attributes are kept as octets under the name they came with.

use std::borrow::Cow;

/// What the values of an attribute are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// UTF-8 text.
    Text,
    /// Decimal integer as text.
    Integer,
    /// `TRUE` or `FALSE`.
    Boolean,
    /// Binary SID.
    Sid,
    /// Binary GUID, 16 octets.
    Guid,
    /// Self-relative security descriptor.
    Descriptor,
    /// Link to objects: a DN, `<GUID=…>` or `<SID=…>` when written, `<GUID=…>` when read. The name is that of the back
    /// link, which is derived and cannot be written.
    Link(&'static str),
    /// Given by the directory, never stored and never written.
    Derived,
    /// Anything.
    Octets,
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// lDAPDisplayName.
    pub name: &'static str,
    /// What its values are.
    pub syntax: Syntax,
    /// At most one value?
    pub single: bool,
    /// What it means here.
    pub doc: &'static str,
}

macro_rules! attributes {
    ($($constant:ident $name:literal $syntax:expr, $valued:ident, $doc:literal;)*) => {
        /// All known attributes. The position is the number of the attribute in memory, nowhere durable.
        pub static ATTRIBUTES: &[Attribute] = &[
            $(Attribute { name: $name, syntax: $syntax, single: attributes!(@$valued), doc: $doc },)*
        ];
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, dead_code)]
        enum Position { $($constant,)* }
        $(
            #[doc = $doc]
            pub const $constant: &str = $name;
        )*
        /// The number of a known attribute, as a constant.
        #[allow(dead_code)]
        pub(crate) mod number {
            $(pub(crate) const $constant: u16 = super::Position::$constant as u16;)*
        }
    };
    (@one) => { true };
    (@many) => { false };
}

use Syntax::*;

attributes! {
    OBJECT_CLASS "objectClass" Text, many, "Classes, most general first.";
    OBJECT_GUID "objectGUID" Derived, one, "Key of the object (Record::guid).";
    OBJECT_SID "objectSid" Sid, one, "SID of a security principal or a domain; set once.";
    SID_HISTORY "sIDHistory" Sid, many, "Former SIDs; they count in tokens.";
    DESCRIPTOR "nTSecurityDescriptor" Descriptor, one, "Explicit part of the security descriptor; one empty value: could not be read.";
    DISTINGUISHED_NAME "distinguishedName" Derived, one, "The DN.";
    NAME "name" Derived, one, "Value of the RDN.";
    CN "cn" Derived, one, "Naming attribute.";
    OU "ou" Derived, one, "Naming attribute.";
    DC "dc" Derived, one, "Naming attribute.";
    SAM_ACCOUNT_NAME "sAMAccountName" Text, one, "Logon name, unique in its domain.";
    USER_PRINCIPAL_NAME "userPrincipalName" Text, one, "Logon name in the form of a mail address, unique in the forest.";
    DISPLAY_NAME "displayName" Text, one, "Name for people; goes into stamped Sender fields.";
    GIVEN_NAME "givenName" Text, one, "First name.";
    SN "sn" Text, one, "Last name.";
    DESCRIPTION "description" Text, many, "Words for administrators.";
    MAIL "mail" Text, one, "Mail address; the primary address where proxyAddresses names none.";
    PROXY_ADDRESSES "proxyAddresses" Text, many, "Addresses: `SMTP:` the primary one, `smtp:` the others; further types are kept and ignored.";
    TARGET_ADDRESS "targetAddress" Text, one, "Where mail for a contact goes.";
    USER_ACCOUNT_CONTROL "userAccountControl" Integer, one, "Account flags; 0x2 disabled.";
    PRIMARY_GROUP_ID "primaryGroupID" Integer, one, "RID of the primary group; 513 when absent.";
    GROUP_TYPE "groupType" Integer, one, "Scope bits and 0x80000000 for security groups.";
    ADMIN_COUNT "adminCount" Integer, one, "1: AdminSDHolder has taken the descriptor over.";
    DS_HEURISTICS "dSHeuristics" Text, one, "Forest switches, on CN=Directory Service; the 16th character takes operator groups out of protection.";
    NETBIOS_NAME "nETBIOSName" Text, one, "Short name of a domain, on the domain object itself.";
    NEXT_RID "rIDNextRID" Integer, one, "Next RID that a domain gives out; only grows.";
    SHOW_IN_ADVANCED "showInAdvancedViewOnly" Boolean, one, "Kept, not used.";
    MEMBER "member" Link("memberOf"), many, "Members of a group (primary groups aside).";
    PUBLIC_DELEGATES "publicDelegates" Link("publicDelegatesBL"), many, "Who may send on behalf of this object.";
    DELEGATE_LIST "msExchDelegateListLink" Link("msExchDelegateListBL"), many, "Who sees this mailbox mapped; no right.";
    HOME_MDB "homeMDB" Link("homeMDBBL"), one, "Mailbox database.";
    MANAGED_BY "managedBy" Link("managedObjects"), one, "Who manages the object; no right of its own.";
    MANAGER "manager" Link("directReports"), one, "Superior; no right.";
    AUTH_ORIG "authOrig" Link("authOrigBL"), many, "Only these may send to this object.";
    UNAUTH_ORIG "unauthOrig" Link("unauthOrigBL"), many, "These may not send to this object.";
    SUBMIT_PERMS "dLMemSubmitPerms" Link("dLMemSubmitPermsBL"), many, "Only members of these groups may send to this object.";
    REJECT_PERMS "dLMemRejectPerms" Link("dLMemRejectPermsBL"), many, "Members of these groups may not send to this object.";
    ALT_RECIPIENT "altRecipient" Link("altRecipientBL"), one, "Mail is forwarded there.";
    MAILBOX_GUID "msExchMailboxGuid" Guid, one, "The mailbox that this object owns, unique in the forest.";
    MASTER_ACCOUNT_SID "msExchMasterAccountSid" Sid, one, "The associated external account (S0); it counts only while the owner is disabled.";
    MAILBOX_DESCRIPTOR_COPY "msExchMailboxSecurityDescriptor" Octets, one, "Backup copy of mailbox rights: never read for a decision.";
    REQUIRE_AUTH_TO_SEND_TO "msExchRequireAuthToSendTo" Boolean, one, "Only proven senders may send to this object.";
    HIDE_FROM_ADDRESS_LISTS "msExchHideFromAddressLists" Boolean, one, "Not in address lists.";
    LEGACY_EXCHANGE_DN "legacyExchangeDN" Text, one, "Kept, not used.";
    RECIPIENT_TYPE_DETAILS "msExchRecipientTypeDetails" Integer, one, "1 user, 2 linked, 4 shared, 16 room, 32 equipment mailbox.";
    ACCEPTED_DOMAIN_NAME "msExchAcceptedDomainName" Text, one, "Domain, or `*.domain` for everything below it.";
    ACCEPTED_DOMAIN_FLAGS "msExchAcceptedDomainFlags" Integer, one, "0 authoritative, 1 external relay, 2 internal relay; +4 the default domain.";
    RECEIVE_BINDINGS "msExchSmtpReceiveBindings" Text, many, "Addresses and ports to listen on: `0.0.0.0:25`, `[::]:25`.";
    RECEIVE_RANGES "msExchSmtpReceiveRemoteIPRanges" Text, many, "Clients: address, first-last, or CIDR.";
    RECEIVE_ENABLED "msExchSmtpReceiveEnabled" Boolean, one, "TRUE when absent.";
    RECEIVE_SECURITY "msExchSmtpReceiveSecurityFlags" Integer, one, "Authentication mechanisms: 1 TLS, 2 Integrated, 4 Basic, 8 Basic only after TLS, 16 ExchangeServer, 32 ExternalAuthoritative.";
    RECEIVE_FQDN "msExchSMTPReceiveConnectorFQDN" Text, one, "Name in the greeting and in EHLO; the node's name when absent.";
    RECEIVE_BANNER "msExchSmtpReceiveBanner" Text, one, "Text after 220.";
    RECEIVE_MAX_MESSAGE "msExchSmtpReceiveMaxMessageSize" Integer, one, "Octets.";
    RECEIVE_MAX_HEADER "msExchSmtpReceiveMaxHeaderSize" Integer, one, "Octets.";
    RECEIVE_MAX_RECIPIENTS "msExchSmtpReceiveMaxRecipientsPerMessage" Integer, one, "Recipients of a message.";
    RECEIVE_MAX_HOPS "msExchSmtpReceiveMaxHopCount" Integer, one, "Received fields before a message is a loop.";
    RECEIVE_MAX_ERRORS "msExchSmtpReceiveMaxProtocolErrors" Integer, one, "Errors before a session ends.";
    RECEIVE_MAX_LOGON_FAILURES "msExchSmtpReceiveMaxLogonFailures" Integer, one, "Failed AUTH commands before a session ends.";
    RECEIVE_MAX_CONNECTIONS "msExchSmtpReceiveMaxInboundConnections" Integer, one, "Connections at a time.";
    RECEIVE_MAX_PER_SOURCE "msExchSmtpReceiveMaxInboundConnectionsPerSource" Integer, one, "Connections at a time from one address.";
    RECEIVE_TIMEOUT "msExchSmtpReceiveConnectionTimeout" Integer, one, "Seconds that a session may last.";
    RECEIVE_INACTIVITY "msExchSmtpReceiveConnectionInactivityTimeout" Integer, one, "Seconds that a session may be silent.";
    RECEIVE_TARPIT "msExchSmtpReceiveTarpitInterval" Integer, one, "Milliseconds by which refusals are delayed.";
    SEND_ENABLED "msExchSmtpSendEnabled" Boolean, one, "TRUE when absent.";
    SEND_SPACES "routingList" Text, many, "Address spaces: `SMTP:*.example.net;1`, type and cost optional.";
    SEND_SMART_HOSTS "msExchSmtpSmartHost" Text, many, "`host`, `host:port`; none: by MX.";
    SEND_PORT "msExchSmtpSendPort" Integer, one, "25 when absent.";
    SEND_MAX_MESSAGE "delivContLength" Integer, one, "Largest message, KiB.";
    SEND_FQDN "msExchSmtpSendAdvertisedDomain" Text, one, "Name in EHLO; the node's name when absent.";
    NETWORK_ADDRESS "networkAddress" Text, many, "Names of a server: `ncacn_ip_tcp:mail.example.com`.";
    SERVER_ROLES "msExchCurrentServerRoles" Integer, one, "2 mailbox, 32 hub, 64 edge.";
    SERVER_KEYS "procuraServerKey" Text, many, "On a server: SHA-256 of the public key (SubjectPublicKeyInfo) of its certificate, 64 hexadecimal digits; by it the other servers know it.";
    ALIAS_OF "procuraAliasOf" Text, one, "On an accepted domain: local parts are looked up in this domain instead.";
    SUBADDRESSING "procuraSubaddressing" Boolean, one, "On an accepted domain: `carla+tag` is `carla` where no exact address says otherwise.";
    MAILBOX_DESCRIPTOR "procuraMailboxSecurityDescriptor" Descriptor, one, "Explicit part of the mailbox descriptor.";
    HEADER_FROM "procuraHeaderFrom" Text, one, "On a receive connector: enforce (default), observe, off.";
    ON_BEHALF "procuraOnBehalf" Text, one, "On a receive connector: stamp (default) or reject.";
    DELEGATE_CHAIN "procuraDelegateChain" Boolean, one, "On a receive connector: Send As of the delegate's address may be followed by Send on Behalf. FALSE when absent.";
    REQUIRE_FROM "procuraRequireFrom" Boolean, one, "On a receive connector: refuse mail without From. TRUE when absent.";
    LOGON_SEPARATOR "procuraLogonSeparator" Text, one, "On a receive connector: the character between user and mailbox in a logon name; `*` when absent.";
    COMMAND_TIMEOUT "procuraCommandTimeout" Integer, one, "On a receive connector: seconds until the next command.";
    DATA_TIMEOUT "procuraDataTimeout" Integer, one, "On a receive connector: seconds until the next piece of a message.";
    CONNECTOR_USAGE "procuraUsage" Text, one, "Usage type that a connector was made with: Client, Custom, Internal, Internet, Partner.";
    REQUIRE_TLS "procuraRequireTls" Boolean, one, "On a connector: no mail but over TLS. FALSE when absent.";
    IMPLICIT_TLS "procuraImplicitTls" Boolean, one, "On a receive connector: TLS begins before the greeting, as on port 465 (RFC 8314). FALSE when absent.";
    DOMAIN_SECURE "procuraDomainSecure" Boolean, one, "On a connector: Domain Security, certificates prove the domains of the organization's list. FALSE when absent.";
    RATE_PER_SOURCE "procuraMessageRatePerSource" Integer, one, "On a receive connector: messages a minute from one address; 0 or absent: no limit.";
    RATE_PER_CONNECTION "procuraMessageRatePerConnection" Integer, one, "On a receive connector: messages a minute over one connection; 0 or absent: no limit.";
    SEND_AUTH "procuraSendAuthentication" Text, one, "On a send connector, how we and its smart hosts trust each other: none (default), basic, basic-requires-tls, exchange-server, external-authoritative.";
    SEND_USER "procuraSendUser" Text, one, "On a send connector: the name that we log on to its smart hosts with; the password is no attribute.";
    RECIPIENT_LOOKUP "procuraRecipientLookup" Boolean, one, "On an accepted domain: recipients that are not in the directory are refused. Absent: TRUE for authoritative, FALSE for relay domains.";
    SECURE_DOMAINS "procuraSecureDomains" Text, many, "On the organization: domains whose mail must come with their certificate.";
    EXPIRING_GRANT "procuraExpiringGrant" Text, many, "ACEs of nTSecurityDescriptor that go at a time: milliseconds since the Unix epoch, a space, the ACE in base64.";
    EXPIRING_MAILBOX_GRANT "procuraExpiringMailboxGrant" Text, many, "ACEs of the mailbox descriptor that go at a time, written likewise.";
    EXPIRING_DELEGATE "procuraExpiringDelegate" Text, many, "Delegates that go at a time: milliseconds since the Unix epoch, a space, the delegate's objectGUID.";
    DISCONNECTED_MAILBOX "procuraDisconnectedMailboxGuid" Guid, one, "On a mailbox without an owner: which mailbox; nobody else may own it meanwhile.";
    DISCONNECTED_AT "procuraDisconnectedAt" Integer, one, "On a mailbox without an owner: since when, milliseconds since the Unix epoch.";
    FORMER_OWNER "procuraFormerOwner" Text, one, "On a mailbox without an owner: who owned it.";
    FORMER_OWNER_SID "procuraFormerOwnerSid" Sid, one, "On a mailbox without an owner: SID of who owned it.";
    FORMER_ADDRESSES "procuraFormerAddresses" Text, many, "On a mailbox without an owner: proxyAddresses of who owned it; nobody's addresses now.";
    PAUSE_SCOPE "procuraPauseScope" Link("procuraPauseScopeBL"), many, "On a service account: mail that it sends for these users waits while it lacks the right. A user, a group, a container or domain (the users below it), the organization (all users).";
    PAUSE_MAX_MESSAGES "procuraPauseMaxMessages" Integer, one, "On a service account: messages that may wait; 100000 when absent.";
    PAUSE_MAX_BYTES "procuraPauseMaxBytes" Integer, one, "On a service account: octets that may wait; 10 GiB when absent.";
    PAUSE_MAX_AGE "procuraPauseMaxAge" Integer, one, "On a service account: seconds after which a message that waits needs a person; 7 days when absent.";
    PAUSE_NOTIFY "procuraPauseNotify" Text, many, "On a service account: who is told when something waits: mail addresses of its operators, or https URLs.";
    CHUNKING "procuraChunking" Boolean, one, "On a receive connector: CHUNKING, the BDAT command, is offered. TRUE when absent.";
    STATUS_NOTIFICATION "procuraDeliveryStatusNotification" Boolean, one, "On a receive connector: DSN is offered. TRUE when absent.";
    PROXY_FROM "procuraProxyFrom" Text, many, "On a receive connector: load balancers, whose connections begin with a PROXY header: address, first-last, or CIDR.";
    TOLERANT "procuraTolerant" Boolean, one, "On a receive connector, for old devices: bare line feeds end lines, spaces after `MAIL FROM:` and `RCPT TO:`, addresses without angle brackets. FALSE when absent.";
    COMPLETE_HEADERS "procuraCompleteHeaders" Boolean, one, "On a receive connector: a missing Date or Message-ID is added to what accounts and trusted servers submit. FALSE when absent.";
    REWRITES "procuraAddressRewrite" Text, many, "On a connector: `FROM:TO`, two addresses or two domains. A receive connector rewrites recipients, a send connector senders.";
    FOLDER_PATH "procuraFolderPath" Text, one, "On a receive connector: the folder whose files it takes, instead of connections: an absolute path.";
    FOLDER_KIND "procuraFolderKind" Text, one, "On a receive connector with a folder: pickup (default) or replay.";
    FOLDER_IDENTITY "procuraFolderIdentity" Text, one, "On a receive connector with a folder, whose token a file gets: anonymous (default), account, owner.";
    FOLDER_ACCOUNT "procuraFolderAccount" Link("procuraFolderAccountBL"), one, "On a receive connector with a folder: the account whose token its files get.";
    FOLDER_RATE "procuraFolderFilesPerMinute" Integer, one, "On a receive connector with a folder: files a minute; 100 when absent, 0: no limit.";
    DROP_FOLDER "procuraDropFolder" Text, one, "On a send connector: the folder in which messages are left as files: an absolute path.";
    CATCH_ALL "procuraCatchAll" Link("procuraCatchAllBL"), one, "On an accepted domain: who gets mail for addresses that nobody has.";
    DELIVER_AND_REDIRECT "deliverAndRedirect" Boolean, one, "Mail that altRecipient forwards is kept in the mailbox too. FALSE when absent.";
    REPORT_TO_ORIGINATOR "reportToOriginator" Boolean, one, "On a group: reports of failed deliveries go to who sent the message. TRUE when absent.";
    REPORT_TO_OWNER "reportToOwner" Boolean, one, "On a group: reports of failed deliveries go to who manages it. FALSE when absent.";
    DYNAMIC_FILTER "msExchDynamicDLFilter" Text, one, "On a dynamic group: an LDAP filter (RFC 4515) that its members fit.";
    DYNAMIC_BASE "msExchDynamicDLBaseDN" Link("msExchDynamicDLBaseDNBL"), one, "On a dynamic group: its members are below this object; the whole directory when absent.";
    COPY_SENT_AS "procuraCopySentAs" Boolean, one, "On a mailbox: it gets a copy of what others send as it. FALSE when absent.";
    COPY_SENT_ON_BEHALF "procuraCopySentOnBehalf" Boolean, one, "On a mailbox: it gets a copy of what others send on its behalf. FALSE when absent.";
    JOURNAL "procuraJournal" Text, one, "On a recipient or the organization: address that gets a journal report of each message that it sends or receives.";
    LEGACY_POLICY "procuraLegacySendAs" Boolean, one, "On a database or server: Full Mailbox Access implies Send As, as before the separation. FALSE when absent.";

    SEND_TLS "procuraSendTls" Text, one, "On a send connector: opportunistic (default), none, required, verified, mta-sts.";
    SEND_PINS "procuraSendTlsPin" Text, many, "On a send connector: SHA-256 of the public keys (SubjectPublicKeyInfo) that its hosts may have, 64 hexadecimal digits.";
    SEND_MAX_CONNECTIONS "procuraSendMaxConnections" Integer, one, "On a send connector: connections at a time to one destination; 0 or absent: the node's limit.";
    SEND_RATE "procuraSendMessageRate" Integer, one, "On a send connector: messages a minute to one destination; 0 or absent: no limit.";
    SEND_TOKEN_URL "procuraSendTokenUrl" Text, one, "On a send connector with authentication oauth: the token endpoint.";
    SEND_TOKEN_CLIENT "procuraSendTokenClient" Text, one, "On a send connector with authentication oauth: identifier of the client.";
    SEND_TOKEN_SCOPE "procuraSendTokenScope" Text, one, "On a send connector with authentication oauth: scopes to ask for.";
    SEND_TOKEN_GRANT "procuraSendTokenGrant" Text, one, "On a send connector with authentication oauth: client-credentials (default) or refresh-token.";
    RECEIVE_LOGGING "msExchSmtpReceiveProtocolLoggingLevel" Integer, one, "On a receive connector: 0 its sessions are not in the protocol log, 1 each line of them is. As the node does it when absent.";
    SEND_LOGGING "msExchSmtpSendProtocolLoggingLevel" Integer, one, "On a send connector: 0 its sessions are not in the protocol log, 1 each line of them is. As the node does it when absent.";
    BINARY_MIME "procuraBinaryMime" Boolean, one, "On a receive connector that offers CHUNKING: BINARYMIME is offered. FALSE when absent.";
    REWRITE_HEADERS "procuraAddressRewriteHeaders" Text, one, "On a receive connector, what procuraAddressRewrite changes beside recipients of the envelope: none (default), recipients (To and Cc), all (senders too, of envelope and header).";
    UNKNOWN_PER_SOURCE "procuraUnknownRecipientsPerSource" Integer, one, "On a receive connector: recipients a minute that strangers at one address may name and that there are not; 60 when absent, 0: no limit.";
    KEEP_ATTACHED "procuraKeepAttachedMessages" Boolean, one, "On a receive connector: messages within a message pass the header firewall as they are. FALSE when absent.";
    SENDING_LIMITS "procuraSendingLimits" Text, many, "On an account: what it may send, as `100 messages/hour`, `1000 recipients/day`; `none`: no limit.";
    FOLDER_PERMISSION "procuraFolderPermission" Text, many, "On a mailbox owner: folders of the mailbox that have entries of their own. Each value: the folder's security descriptor in base64, a space, its path (`\\Calendar`; `\\` is the mailbox as a whole).";
}

/// Number of the first attribute that is not in the table.
pub(crate) const FIRST_UNKNOWN: u16 = 0x1000;

/// The attribute of that name, in any case.
pub fn by_name(name: &str) -> Option<&'static Attribute> {
    number_of(name).map(|number| &ATTRIBUTES[usize::from(number)])
}

/// The attribute whose back link has that name, in any case.
pub fn by_back_link(name: &str) -> Option<&'static Attribute> {
    ATTRIBUTES.iter().find(|attribute| matches!(attribute.syntax, Link(back) if back.eq_ignore_ascii_case(name)))
}

/// The name as the table spells it; as given where the table has none.
pub fn canonical_name(name: &str) -> Cow<'_, str> {
    match by_name(name) {
        Some(attribute) => Cow::Borrowed(attribute.name),
        None => Cow::Borrowed(name),
    }
}

/// The number of a known attribute.
pub(crate) fn number_of(name: &str) -> Option<u16> {
    use std::collections::HashMap;
    use std::sync::LazyLock;
    static BY_NAME: LazyLock<HashMap<String, u16, foldhash::fast::FixedState>> = LazyLock::new(|| {
        ATTRIBUTES.iter().zip(0..).map(|(attribute, number)| (attribute.name.to_ascii_lowercase(), number)).collect()
    });
    static EXACT: LazyLock<HashMap<&'static str, u16, foldhash::fast::FixedState>> =
        LazyLock::new(|| ATTRIBUTES.iter().zip(0..).map(|(attribute, number)| (attribute.name, number)).collect());
    EXACT.get(name).or_else(|| BY_NAME.get(&name.to_ascii_lowercase())).copied()
}

/// The attribute of a number of the table.
pub(crate) fn known(number: u16) -> Option<&'static Attribute> {
    ATTRIBUTES.get(usize::from(number))
}
