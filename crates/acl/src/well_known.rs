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
