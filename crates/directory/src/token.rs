//! Tokens: who asks (authorization.md §2, acl-algorithms 1.7).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use acl::{Guid, Sid, SidId, SidSet, well_known};
use roaring::RoaringBitmap;
use thiserror::Error;

use crate::attributes::number;
use crate::index::hash;
use crate::object::{DEFAULT_PRIMARY_GROUPS, Which};
use crate::{Class, GroupScope, GroupType, Object, ObjectId, Snapshot, dn};

/// The SIDs of one way of asking. Rights of different tokens are never mixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// How the session came by it.
    pub kind: TokenKind,
    /// The account, where there is one.
    pub account: Option<ObjectId>,
    /// The token's user SID: what SELF, owners and linked accounts are compared with.
    pub user: SidId,
    /// All SIDs, the user's too, as they count for servers and for objects of the root domain: a domain-local group counts
    /// in its own domain only (acl-algorithms 1.7).
    pub sids: SidSet,
    /// The same for objects of other domains, by domain object, where it is different there.
    pub elsewhere: Vec<(ObjectId, SidSet)>,
}

impl Token {
    /// The SIDs that count for an object: its domain decides which domain-local groups are among them.
    pub fn sids_on(&self, snapshot: &Snapshot, object: ObjectId) -> &SidSet {
        if self.elsewhere.is_empty() {
            return &self.sids;
        }
        let domain = snapshot.domain_of(object).map(|domain| domain.object);
        let there = self.elsewhere.iter().find(|(elsewhere, _)| Some(*elsewhere) == domain);
        there.map_or(&self.sids, |(_, sids)| sids)
    }
}

/// How a session came by a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Every session has it.
    Anonymous,
    /// A peer proven by certificate or address.
    Host(HostKind),
    /// A logged-on account.
    Account,
}

/// What a host proved to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostKind {
    /// Mutual TLS with a certificate of a secure domain.
    Partner {
        /// The proven domain, canonical.
        domain: String,
    },
    /// A hub server of the organization.
    Hub,
    /// An edge server of the organization.
    Edge,
    /// An address that a connector believes.
    ExternallySecured,
}

/// Whose tokens hold a SID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holders {
    /// Every account's.
    Everybody,
    /// Those of these accounts and of the members of these groups, in ascending order. A foreign principal stands for
    /// the accounts that have its SID in their history.
    These(Vec<ObjectId>),
}

/// Why an object has no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// No such object, or it is gone.
    #[error("the account does not exist")]
    Unknown,
    /// The object is no account.
    #[error("the object is not an account")]
    NotAnAccount,
    /// The account may not log on.
    #[error("the account is disabled")]
    Disabled,
    /// An account without a SID (imported without one).
    #[error("the account has no SID")]
    NoSid,
}

/// Tokens and group closures of one state of the memberships, shared by all snapshots that have that state.
#[derive(Debug, Default)]
pub(crate) struct TokenCache {
    version: u64,
    /// By row, with the objectGUID: two snapshots made of one may have different objects in a new row.
    tokens: [RwLock<TokensByRow>; SHARDS],
    /// Security groups that a group's members are members of, for objects of a domain: itself and what it is nested in,
    /// by rows of domain and group.
    closures: RwLock<HashMap<(u32, u32), Arc<RoaringBitmap>>>,
    protected: OnceLock<RoaringBitmap>,
    /// Groups with members that are not known (see [`Snapshot::doubting`]).
    pub(crate) uncertain: OnceLock<RoaringBitmap>,
}

type TokensByRow = HashMap<u32, (Guid, Arc<Token>), foldhash::fast::FixedState>;

/// Locks for tokens.
const SHARDS: usize = 16;
/// Tokens kept for each lock. A token of a few dozen SIDs takes about 300 octets: 40 MB when all are full.
const TOKENS_PER_SHARD: usize = 8192;

impl TokenCache {
    /// An empty one for the next state.
    pub(crate) fn next(&self) -> TokenCache {
        TokenCache { version: self.version + 1, ..TokenCache::default() }
    }
}

impl Snapshot {
    /// The token of every session: ANONYMOUS LOGON, NETWORK.
    pub fn anonymous_token(&self) -> Arc<Token> {
        let make = || {
            let user = self.shared.sids.intern(&well_known::ANONYMOUS_LOGON);
            let network = self.shared.sids.intern(&well_known::NETWORK);
            let sids = [user, network].into_iter().collect();
            Arc::new(Token { kind: TokenKind::Anonymous, account: None, user, sids, elsewhere: Vec::new() })
        };
        Arc::clone(self.shared.anonymous.get_or_init(make))
    }

    /// The token of a proven host. It holds the SID of what was proven and nothing else: no Authenticated Users, no
    /// Everyone (S2: “well-known accounts are excluded”).
    pub fn host_token(&self, kind: HostKind) -> Arc<Token> {
        let sid = match &kind {
            HostKind::Partner { .. } => well_known::PARTNER_SERVERS,
            HostKind::Hub => well_known::HUB_SERVERS,
            HostKind::Edge => well_known::EDGE_SERVERS,
            HostKind::ExternallySecured => well_known::EXTERNALLY_SECURED_SERVERS,
        };
        let user = self.shared.sids.intern(&sid);
        let sids = [user].into_iter().collect();
        Arc::new(Token { kind: TokenKind::Host(kind), account: None, user, sids, elsewhere: Vec::new() })
    }

    /// The token of an account that may log on. Kept until memberships move.
    pub fn account_token(&self, account: ObjectId) -> Result<Arc<Token>, TokenError> {
        if !self.object(account).ok_or(TokenError::Unknown)?.enabled() {
            return Err(TokenError::Disabled);
        }
        self.token_of(account)
    }

    /// The token that an account would have, disabled or not: for questions about it.
    pub fn token_of(&self, account: ObjectId) -> Result<Arc<Token>, TokenError> {
        let object = self.object(account).ok_or(TokenError::Unknown)?;
        if !object.class().is_account() {
            return Err(TokenError::NotAnAccount);
        }
        let user = object.sid().ok_or(TokenError::NoSid)?;
        let shard = &self.tokens.tokens[account.0 as usize % SHARDS];
        if let Some((guid, token)) = shard.read().unwrap_or_else(PoisonError::into_inner).get(&account.0)
            && *guid == object.guid()
        {
            return Ok(Arc::clone(token));
        }
        let (home, others) = match self.domains() {
            [home, others @ ..] => (Some(home.object), others),
            [] => (None, &[][..]),
        };
        let in_domain =
            |domain| self.account_sids(account, object, user, domain, &mut |group| self.closure(domain, group));
        let sids = in_domain(home);
        let elsewhere = others.iter().map(|domain| (domain.object, in_domain(Some(domain.object))));
        let elsewhere = elsewhere.filter(|(_, there)| *there != sids).collect();
        let token = Arc::new(Token { kind: TokenKind::Account, account: Some(account), user, sids, elsewhere });
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= TOKENS_PER_SHARD {
            shard.clear();
        }
        shard.insert(account.0, (object.guid(), Arc::clone(&token)));
        Ok(token)
    }

    /// The token of the Associated External Account of a disabled mailbox owner, which acts as that owner for mail: the
    /// external account's own SID, what everybody has who logged on, and the groups that it is in as a foreign principal. None
    /// of the owner's groups (S0: the link is for mail only).
    pub fn linked_token(&self, owner: ObjectId) -> Result<Arc<Token>, TokenError> {
        let object = self.object(owner).ok_or(TokenError::Unknown)?;
        let user = object.master_account().ok_or(TokenError::NoSid)?;
        // The link counts only while the owner is disabled (KB 300456).
        if object.enabled() || self.sid(user) == well_known::SELF {
            return Err(TokenError::Disabled);
        }
        let foreign = |id: &ObjectId| self.object(*id).is_some_and(|o| o.class() == Class::ForeignPrincipal);
        let principal = self.with_sid(user).into_iter().find(foreign).and_then(|id| Some((id, self.object(id)?)));
        let in_domain = |domain| match principal {
            Some((id, object)) => self.account_sids(id, object, user, domain, &mut |group| self.closure(domain, group)),
            None => std::iter::once(user).chain(AUTHENTICATED.iter().map(|sid| self.shared.sids.intern(sid))).collect(),
        };
        let (home, others) = match self.domains() {
            [home, others @ ..] => (Some(home.object), others),
            [] => (None, &[][..]),
        };
        let sids: SidSet = in_domain(home);
        let elsewhere = others.iter().map(|domain| (domain.object, in_domain(Some(domain.object))));
        let elsewhere = elsewhere.filter(|(_, there)| *there != sids).collect();
        Ok(Arc::new(Token { kind: TokenKind::Account, account: Some(owner), user, sids, elsewhere }))
    }

    /// Changes whenever tokens may have changed: memberships, SIDs, primary groups, group types.
    pub fn membership_version(&self) -> u64 {
        self.tokens.version
    }

    /// The SIDs that an account's token has for objects of a domain. `closure` gives a group and what it is nested in.
    fn account_sids(
        &self,
        account: ObjectId,
        object: &Object,
        user: SidId,
        domain: Option<ObjectId>,
        closure: &mut dyn FnMut(ObjectId) -> Arc<RoaringBitmap>,
    ) -> SidSet {
        let intern = |sid: &Sid| self.shared.sids.intern(sid);
        let mut sids = vec![user];
        sids.extend(AUTHENTICATED.iter().map(intern));
        sids.extend(object.sid_history().map(|sid| intern(&sid)));
        let mut legacy = false;
        let mut groups = RoaringBitmap::new();
        for start in self.identities(account) {
            for group in self.groups_of(start).into_iter().filter(|group| self.counts_in(*group, domain)) {
                groups |= &*closure(group);
            }
        }
        for group in groups {
            let Some(group) = self.object(ObjectId(group)) else { continue };
            sids.extend(group.sid());
            sids.extend(group.sid_history().map(|sid| intern(&sid)));
            legacy |= group.sam_account_name().is_some_and(|name| name.eq_ignore_ascii_case(LEGACY_INTEROP));
        }
        if legacy {
            sids.push(intern(&well_known::LEGACY_EXCHANGE_SERVERS));
        }
        // A primary group counts even where its object is not known (an import of part of a domain).
        if let Some(sid) = self.primary_group_sid(account) {
            sids.push(intern(&sid));
        }
        sids.into_iter().collect()
    }

    /// Whether a group counts for objects of a domain: domain-local groups, BUILTIN ones among them, count in their own
    /// only. With one domain there is no other.
    pub fn counts_in(&self, group: ObjectId, domain: Option<ObjectId>) -> bool {
        if self.domains().len() < 2 {
            return true;
        }
        let local =
            self.object(group).and_then(Object::group_type).map(GroupType::scope) == Some(GroupScope::DomainLocal);
        !local || self.domain_of(group).map(|own| own.object) == domain
    }

    /// The SIDs of an account's token for objects of its snapshot's domains, worked out without anything remembered.
    pub(crate) fn computed_token(&self, account: ObjectId, domain: Option<ObjectId>) -> Option<SidSet> {
        let object = self.object(account)?;
        let user = object.sid()?;
        Some(self.account_sids(account, object, user, domain, &mut |group| Arc::new(self.walk_up(domain, group))))
    }

    /// The account, and the foreign principals that stand for its other SIDs and for everybody
    /// (`CN=S-1-5-11,CN=ForeignSecurityPrincipals,…`): what BUILTIN aliases have as members (acl-algorithms 1.7, 4).
    fn identities(&self, account: ObjectId) -> Vec<ObjectId> {
        let mut found = vec![account];
        let history: Vec<Sid> = self.object(account).into_iter().flat_map(|object| object.sid_history()).collect();
        for sid in AUTHENTICATED.iter().chain(&history) {
            let standing = self.sid_id(sid).map(|sid| self.with_sid(sid)).unwrap_or_default();
            let foreign = |id: &ObjectId| self.object(*id).is_some_and(|o| o.class() == Class::ForeignPrincipal);
            found.extend(standing.into_iter().filter(foreign));
        }
        found
    }

    /// Groups that have the object as a direct member, its primary group included.
    fn groups_of(&self, id: ObjectId) -> Vec<ObjectId> {
        let mut groups = self.member_of(id);
        groups.extend(self.primary_group(id));
        groups
    }

    /// The security groups that come with membership in a group, for objects of a domain.
    fn closure(&self, domain: Option<ObjectId>, group: ObjectId) -> Arc<RoaringBitmap> {
        let key = (domain.map_or(u32::MAX, |domain| domain.0), group.0);
        if let Some(known) = self.tokens.closures.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(known);
        }
        let closure = Arc::new(self.walk_up(domain, group));
        let mut closures = self.tokens.closures.write().unwrap_or_else(PoisonError::into_inner);
        closures.insert(key, Arc::clone(&closure));
        closure
    }

    /// A group and the groups that it is nested in. A distribution group gives none and stops the walk, and so does a
    /// domain-local group of another domain.
    fn walk_up(&self, domain: Option<ObjectId>, group: ObjectId) -> RoaringBitmap {
        let mut seen = RoaringBitmap::new();
        let mut stack = vec![group];
        while let Some(id) = stack.pop() {
            let counts = self.object(id).is_some_and(Object::is_security_group) && self.counts_in(id, domain);
            if counts && seen.insert(id.0) {
                stack.extend(self.member_of(id));
            }
        }
        seen
    }

    /// How the group's SID came into the account's token: account, groups between, the group. None: not by a group.
    pub fn membership_path(&self, account: ObjectId, group: &Sid) -> Option<Vec<ObjectId>> {
        let wanted = self.sid_id(group)?;
        let is_it = |id: ObjectId| {
            self.object(id).is_some_and(|object| {
                object.is_security_group()
                    && (object.sid() == Some(wanted) || object.sid_history().any(|sid| sid == *group))
            })
        };
        self.climb(&self.identities(account), |object| object.is_security_group(), is_it).map(|mut path| {
            // Through everybody: begin with the account all the same.
            if path.first() != Some(&account) {
                path.insert(0, account);
            }
            path
        })
    }

    /// Whether the account is a delegate of the owner, directly or through groups of any type: account, groups between,
    /// the entry of publicDelegates.
    pub fn is_delegate(&self, owner: ObjectId, account: ObjectId) -> Option<Vec<ObjectId>> {
        let delegates = self.delegates(owner);
        if delegates.is_empty() {
            return None;
        }
        if delegates.contains(&account) {
            return Some(vec![account]);
        }
        self.climb(&[account], |object| object.class() == Class::Group, |id| delegates.contains(&id))
    }

    /// Whether an object is a member of a group, directly, nested or by primary group, through groups of any type.
    pub fn is_member(&self, object: ObjectId, group: ObjectId) -> bool {
        self.path_into(object, group).is_some()
    }

    /// How an object is a member of a group, directly, nested or by primary group, through groups of any type: the object,
    /// groups between, the group.
    pub fn path_into(&self, object: ObjectId, group: ObjectId) -> Option<Vec<ObjectId>> {
        self.climb(&[object], |object| object.class() == Class::Group, |id| id == group)
    }

    /// The shortest way up the memberships from one of `starts`, through objects that `through` lets pass, to one that
    /// is wanted.
    fn climb(
        &self,
        starts: &[ObjectId],
        through: impl Fn(&Object) -> bool,
        wanted: impl Fn(ObjectId) -> bool,
    ) -> Option<Vec<ObjectId>> {
        let mut from: HashMap<ObjectId, Option<ObjectId>> = starts.iter().map(|id| (*id, None)).collect();
        let mut queue: VecDeque<ObjectId> = starts.iter().copied().collect();
        while let Some(id) = queue.pop_front() {
            for group in self.groups_of(id) {
                if from.contains_key(&group) || !self.object(group).is_some_and(&through) {
                    continue;
                }
                from.insert(group, Some(id));
                if wanted(group) {
                    let mut path = vec![group];
                    while let Some(Some(before)) = path.last().and_then(|id| from.get(id)) {
                        path.push(*before);
                    }
                    path.reverse();
                    return Some(path);
                }
                queue.push_back(group);
            }
        }
        None
    }

    /// Direct members of a group (primary-group members not among them).
    pub fn members(&self, group: ObjectId) -> Vec<ObjectId> {
        self.links.targets(number::MEMBER, group)
    }

    /// Groups that have the object as a direct member (the primary group not among them).
    pub fn member_of(&self, id: ObjectId) -> Vec<ObjectId> {
        self.links.sources(number::MEMBER, id)
    }

    /// The primary group of an account.
    pub fn primary_group(&self, account: ObjectId) -> Option<ObjectId> {
        self.by_sid(&self.primary_group_sid(account)?)
    }

    fn primary_group_sid(&self, account: ObjectId) -> Option<Sid> {
        let object = self.object(account)?;
        let rid = object.primary_group_rid()?;
        self.sid(object.sid()?).domain()?.with_rid(rid)
    }

    /// Accounts that have the group as their primary group; they are not among its `member` values.
    pub fn primary_members(&self, group: ObjectId) -> Vec<ObjectId> {
        let sid = self.object(group).and_then(Object::sid).map(|sid| self.sid(sid));
        sid.map_or(Vec::new(), |sid| self.with_primary_group(&sid))
    }

    /// Accounts whose primary group has a SID, be there such a group or not.
    fn with_primary_group(&self, group: &Sid) -> Vec<ObjectId> {
        let (Some(rid), Some(domain)) = (group.rid(), group.domain()) else { return Vec::new() };
        let has_it = |object: &Object| {
            object.primary_group_rid() == Some(rid)
                && object.sid().and_then(|sid| self.sid(sid).domain()).as_ref() == Some(&domain)
        };
        if DEFAULT_PRIMARY_GROUPS.contains(&rid) {
            // Nearly everybody: not indexed.
            return self.objects().filter(|(_, object)| has_it(object)).map(|(id, _)| id).collect();
        }
        self.find_all(Which::PrimaryGroup, u64::from(rid), has_it)
    }

    /// Whose tokens hold a SID. Members of the groups among them hold it too.
    pub fn holders(&self, sid: &Sid) -> Holders {
        if AUTHENTICATED.contains(sid) {
            return Holders::Everybody;
        }
        let mut found = match self.sid_id(sid) {
            Some(number) => self.with_sid(number),
            None => Vec::new(),
        };
        let former = |object: &Object| object.sid_history().any(|former| former == *sid);
        found.extend(self.find_all(Which::SidHistory, hash(sid), former));
        if sid.is_domain_relative() {
            found.extend(self.with_primary_group(sid));
        }
        if *sid == well_known::LEGACY_EXCHANGE_SERVERS {
            let key = hash(dn::folded(LEGACY_INTEROP).as_str());
            found.extend(self.find_all(Which::Sam, key, |object| {
                object.sam_account_name().is_some_and(|name| name.eq_ignore_ascii_case(LEGACY_INTEROP))
            }));
        }
        found.sort_unstable();
        found.dedup();
        Holders::These(found)
    }

    /// Whether a SID is in somebody's sIDHistory.
    pub fn is_former_sid(&self, sid: SidId) -> bool {
        let former = self.index(Which::SidHistory);
        !former.is_empty() && {
            let sid = self.sid(sid);
            self.find(Which::SidHistory, hash(&sid), |object| object.sid_history().any(|own| own == sid)).is_some()
        }
    }

    /// Is the object protected by AdminSDHolder (acl-algorithms 1.6)? Reckoned once for each state of the memberships.
    pub fn is_protected(&self, id: ObjectId) -> bool {
        self.protected_set().contains(id.0)
    }

    pub(crate) fn protected_set(&self) -> &RoaringBitmap {
        self.tokens.protected.get_or_init(|| crate::protected::protected_set(self))
    }
}

/// Everyone, Authenticated Users, NETWORK: what each account holds that logged on over a network.
const AUTHENTICATED: [Sid; 3] = [well_known::EVERYONE, well_known::AUTHENTICATED_USERS, well_known::NETWORK];

/// The group of legacy servers (S2).
const LEGACY_INTEROP: &str = "ExchangeLegacyInterop";
