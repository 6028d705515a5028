//! Who asks: from the user of the operating system to the token whose permissions count.

use std::collections::BTreeMap;
use std::sync::Arc;

use acl::{Sid, SidSet, well_known};
use directory::{Snapshot, Token, TokenKind};

use crate::error::{Fault, FaultKind};

/// Which users of the machine may administer, and as whom.
///
/// Root and the owner of the data directory are `BUILTIN\Administrators`: they could change the files anyway. Others act
/// as the account they are mapped to; who is not listed is refused.
#[derive(Debug, Clone, Default)]
pub struct Users {
    /// Owner of the data directory.
    pub owner: u32,
    /// Others: user number, and any name of an account of the directory.
    pub accounts: BTreeMap<u32, String>,
}

/// Somebody who asks, on one snapshot.
#[derive(Debug, Clone)]
pub struct Caller {
    /// For the change log.
    pub sid: Sid,
    /// Whose permissions count.
    pub token: Arc<Token>,
    /// For messages.
    pub name: String,
}

impl Users {
    /// Who a user of the machine is on this snapshot.
    pub fn caller(&self, uid: u32, snapshot: &Snapshot) -> Result<Caller, Fault> {
        if uid == 0 || uid == self.owner {
            return Ok(Caller::administrators(snapshot));
        }
        let Some(name) = self.accounts.get(&uid) else {
            return Err(Fault::new(FaultKind::Denied, format!("user {uid} may not administer this server"))
                .help("ask the owner of the server to list you under [admin] accounts in procura.toml"));
        };
        let mapped = |reason: String| {
            Fault::new(FaultKind::Denied, format!("user {uid} is mapped to {name}, and {reason}"))
                .help("correct [admin] accounts in procura.toml")
        };
        let account = snapshot.resolve(name).map_err(|e| mapped(e.to_string()))?;
        let token = snapshot.account_token(account).map_err(|e| mapped(e.to_string()))?;
        let sid = snapshot.sid(token.user);
        Ok(Caller { name: snapshot.sid_name(&sid), sid, token })
    }
}

/// RIDs of the groups that the Administrator account of a domain is in, beside `BUILTIN\Administrators`.
const DOMAIN_ADMINS: u32 = 512;
const ENTERPRISE_ADMINS: u32 = 519;

impl Caller {
    /// `BUILTIN\Administrators`, holding what a domain's Administrator account holds: objects below blocked inheritance,
    /// and the configuration, name Domain Admins and Enterprise Admins only.
    pub fn administrators(snapshot: &Snapshot) -> Caller {
        let sid = well_known::BUILTIN_ADMINISTRATORS;
        let held = [sid.clone(), well_known::EVERYONE, well_known::AUTHENTICATED_USERS];
        let groups = snapshot.domains().iter().flat_map(|domain| {
            let enterprise = domain.is_root.then(|| domain.sid.with_rid(ENTERPRISE_ADMINS)).flatten();
            domain.sid.with_rid(DOMAIN_ADMINS).into_iter().chain(enterprise)
        });
        let sids: SidSet = held.into_iter().chain(groups).filter_map(|sid| snapshot.sid_id(&sid)).collect();
        // A SID that no descriptor names has no number, and no entry could match it.
        let user = snapshot.sid_id(&sid).unwrap_or(acl::SidId(u32::MAX));
        let token = Arc::new(Token { kind: TokenKind::Account, account: None, user, sids, elsewhere: Vec::new() });
        Caller { name: snapshot.sid_name(&sid), sid, token }
    }
}
