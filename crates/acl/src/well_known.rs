//! Well-known SIDs (MS-DTYP 2.4.2.4) and those of the mail transport.

use crate::Sid;

macro_rules! sids {
    ($($(#[$doc:meta])* $name:ident = $authority:literal $(, $sub:expr)*;)*) => {
        $($(#[$doc])* pub const $name: Sid = Sid::new($authority, &[$($sub),*]);)*
    };
}

sids! {
    /// `S-1-0-0`, nobody.
    NULL = 0, 0;
    /// `S-1-1-0`, Everyone.
    EVERYONE = 1, 0;
    /// `S-1-3-0`, replaced by the owner when inherited.
    CREATOR_OWNER = 3, 0;
    /// `S-1-3-1`, replaced by the primary group when inherited.
    CREATOR_GROUP = 3, 1;
    /// `S-1-3-4`, the current owner.
    OWNER_RIGHTS = 3, 4;
    /// `S-1-5-2`, logged on over the network.
    NETWORK = 5, 2;
    /// `S-1-5-7`, not authenticated.
    ANONYMOUS_LOGON = 5, 7;
    /// `S-1-5-9`, domain controllers.
    ENTERPRISE_DOMAIN_CONTROLLERS = 5, 9;
    /// `S-1-5-10`, the object itself (PRINCIPAL SELF).
    SELF = 5, 10;
    /// `S-1-5-11`, everybody who is authenticated.
    AUTHENTICATED_USERS = 5, 11;
    /// `S-1-5-15`, accounts of this organization.
    THIS_ORGANIZATION = 5, 15;
    /// `S-1-5-18`, the operating system.
    SYSTEM = 5, 18;
    /// `S-1-5-32`, the built-in domain.
    BUILTIN = 5, 32;
    /// `S-1-5-32-544`
    BUILTIN_ADMINISTRATORS = 5, 32, 544;
    /// `S-1-5-32-545`
    BUILTIN_USERS = 5, 32, 545;
    /// `S-1-5-32-546`
    BUILTIN_GUESTS = 5, 32, 546;
    /// `S-1-5-32-548`
    BUILTIN_ACCOUNT_OPERATORS = 5, 32, 548;
    /// `S-1-5-32-549`
    BUILTIN_SERVER_OPERATORS = 5, 32, 549;
    /// `S-1-5-32-550`
    BUILTIN_PRINT_OPERATORS = 5, 32, 550;
    /// `S-1-5-32-551`
    BUILTIN_BACKUP_OPERATORS = 5, 32, 551;
    /// `S-1-5-32-552`
    BUILTIN_REPLICATOR = 5, 32, 552;
    /// `S-1-5-32-554`, Pre-Windows 2000 Compatible Access.
    BUILTIN_PRE_WINDOWS_2000 = 5, 32, 554;
    /// `S-1-5-32-560`, Windows Authorization Access Group.
    BUILTIN_WINDOWS_AUTHORIZATION = 5, 32, 560;
    /// Partner servers: the domain was proven by certificate.
    PARTNER_SERVERS = 9, 1419165041, 1139599005, 3936102811, 1022490595, 10;
    /// Hub transport servers.
    HUB_SERVERS = 9, 1419165041, 1139599005, 3936102811, 1022490595, 21;
    /// Edge transport servers.
    EDGE_SERVERS = 9, 1419165041, 1139599005, 3936102811, 1022490595, 22;
    /// Externally secured servers.
    EXTERNALLY_SECURED_SERVERS = 9, 1419165041, 1139599005, 3936102811, 1022490595, 23;
    /// Legacy Exchange servers.
    LEGACY_EXCHANGE_SERVERS = 9, 1419165041, 1139599005, 3936102811, 1022490595, 24;
}

/// Names of well-known SIDs, as Windows shows them in English.
const NAMES: [(Sid, &str); 28] = [
    (NULL, "NULL SID"),
    (EVERYONE, "Everyone"),
    (CREATOR_OWNER, "CREATOR OWNER"),
    (CREATOR_GROUP, "CREATOR GROUP"),
    (OWNER_RIGHTS, "OWNER RIGHTS"),
    (NETWORK, "NT AUTHORITY\\NETWORK"),
    (ANONYMOUS_LOGON, "NT AUTHORITY\\ANONYMOUS LOGON"),
    (ENTERPRISE_DOMAIN_CONTROLLERS, "NT AUTHORITY\\ENTERPRISE DOMAIN CONTROLLERS"),
    (SELF, "NT AUTHORITY\\SELF"),
    (AUTHENTICATED_USERS, "NT AUTHORITY\\Authenticated Users"),
    (THIS_ORGANIZATION, "NT AUTHORITY\\This Organization"),
    (SYSTEM, "NT AUTHORITY\\SYSTEM"),
    (BUILTIN, "BUILTIN"),
    (BUILTIN_ADMINISTRATORS, "BUILTIN\\Administrators"),
    (BUILTIN_USERS, "BUILTIN\\Users"),
    (BUILTIN_GUESTS, "BUILTIN\\Guests"),
    (BUILTIN_ACCOUNT_OPERATORS, "BUILTIN\\Account Operators"),
    (BUILTIN_SERVER_OPERATORS, "BUILTIN\\Server Operators"),
    (BUILTIN_PRINT_OPERATORS, "BUILTIN\\Print Operators"),
    (BUILTIN_BACKUP_OPERATORS, "BUILTIN\\Backup Operators"),
    (BUILTIN_REPLICATOR, "BUILTIN\\Replicator"),
    (BUILTIN_PRE_WINDOWS_2000, "BUILTIN\\Pre-Windows 2000 Compatible Access"),
    (BUILTIN_WINDOWS_AUTHORIZATION, "BUILTIN\\Windows Authorization Access Group"),
    (PARTNER_SERVERS, "MS Exchange\\Partner Servers"),
    (HUB_SERVERS, "MS Exchange\\Hub Transport Servers"),
    (EDGE_SERVERS, "MS Exchange\\Edge Transport Servers"),
    (EXTERNALLY_SECURED_SERVERS, "MS Exchange\\Externally Secured Servers"),
    (LEGACY_EXCHANGE_SERVERS, "MS Exchange\\Legacy Exchange Servers"),
];

/// The name of a well-known SID.
pub fn name(sid: &Sid) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| known == sid).map(|(_, name)| *name)
}
