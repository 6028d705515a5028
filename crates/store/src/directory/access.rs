//! Tokens and webhooks of accounts. They have no history: a secret that was taken back must not come again.

use ::directory::Time;
use acl::Guid;
use rusqlite::{Row, params};

use super::DirectoryStore;
use crate::{ApiToken, StoreError, Webhook};

/// The tables; schema version 3.
pub(super) const TABLES: &str = "
CREATE TABLE api_token (
    digest BLOB PRIMARY KEY,
    guid BLOB NOT NULL,
    name TEXT NOT NULL,
    created INTEGER NOT NULL,
    until INTEGER,
    last_used INTEGER,
    UNIQUE (guid, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE webhook (
    id TEXT PRIMARY KEY,
    guid BLOB NOT NULL,
    url TEXT NOT NULL,
    secret BLOB NOT NULL,
    events TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;";

impl DirectoryStore {
    /// Keeps a new token; false where the account has one of that name already.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Database`].
    pub fn add_api_token(&mut self, token: &ApiToken) -> Result<bool, StoreError> {
        let add = "INSERT INTO api_token (digest, guid, name, created, until, last_used)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
        let time = |time: Option<Time>| time.map(|time| time.0);
        let (until, used) = (time(token.until), time(token.last_used));
        let values = params![token.digest, token.account.0, token.name, token.created.0, until, used];
        self.execute(add, values).map(|added| added > 0)
    }

    /// All tokens, by account and name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn api_tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let read = (|| {
            let mut select = self.database.connection.prepare_cached(
                "SELECT guid, name, digest, created, until, last_used FROM api_token ORDER BY guid, name",
            )?;
            let token = |row: &Row<'_>| {
                Ok(ApiToken {
                    account: Guid(row.get(0)?),
                    name: row.get(1)?,
                    digest: row.get(2)?,
                    created: Time(row.get(3)?),
                    until: row.get::<_, Option<i64>>(4)?.map(Time),
                    last_used: row.get::<_, Option<i64>>(5)?.map(Time),
                })
            };
            select.query_map([], token)?.collect::<rusqlite::Result<_>>()
        })();
        read.map_err(|error| self.database.fault(error))
    }

    /// Notes when a token was used.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Database`].
    pub fn api_token_used(&mut self, digest: &[u8; 32], time: Time) -> Result<(), StoreError> {
        self.execute("UPDATE api_token SET last_used = ?2 WHERE digest = ?1", params![digest, time.0]).map(|_| ())
    }

    /// Removes a token of an account; whether there was one of that name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn remove_api_token(&mut self, account: &Guid, name: &str) -> Result<bool, StoreError> {
        let remove = "DELETE FROM api_token WHERE guid = ?1 AND name = ?2";
        self.execute(remove, params![account.0, name]).map(|removed| removed > 0)
    }

    /// Keeps a new webhook.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Database`].
    pub fn add_webhook(&mut self, webhook: &Webhook) -> Result<(), StoreError> {
        let add = "INSERT INTO webhook (id, guid, url, secret, events, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let events = webhook.events.join(" ");
        let Webhook { id, account, url, secret, created, .. } = webhook;
        self.execute(add, params![id, account.0, url, secret, events, created.0]).map(|_| ())
    }

    /// All webhooks, by account, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let read = (|| {
            let mut select = self.database.connection.prepare_cached(
                "SELECT id, guid, url, secret, events, created FROM webhook ORDER BY guid, created, id",
            )?;
            let webhook = |row: &Row<'_>| {
                let events: String = row.get(4)?;
                Ok(Webhook {
                    id: row.get(0)?,
                    account: Guid(row.get(1)?),
                    url: row.get(2)?,
                    secret: row.get(3)?,
                    events: events.split(' ').filter(|event| !event.is_empty()).map(str::to_owned).collect(),
                    created: Time(row.get(5)?),
                })
            };
            select.query_map([], webhook)?.collect::<rusqlite::Result<_>>()
        })();
        read.map_err(|error| self.database.fault(error))
    }

    /// Removes a webhook; whether there was one with that id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn remove_webhook(&mut self, id: &str) -> Result<bool, StoreError> {
        self.execute("DELETE FROM webhook WHERE id = ?1", [id]).map(|removed| removed > 0)
    }
}
