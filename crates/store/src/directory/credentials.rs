//! What is kept of passwords: beside the directory, and no part of its history.

use ::directory::Time;
use acl::Guid;
use rusqlite::{OptionalExtension, params};

use super::DirectoryStore;
use crate::{AppPassword, StoreError, fail_point};

impl DirectoryStore {
    /// Sets the password hash of an account, an argon2 PHC string, and forgets SCRAM keys of an earlier password. Not part
    /// of the history.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Database`].
    pub fn set_credential(&mut self, account: &Guid, phc: &str) -> Result<(), StoreError> {
        self.set_password(account, phc, None)
    }

    /// Sets the password hash of an account together with the SCRAM keys of the same password, as text.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Database`].
    pub fn set_password(&mut self, account: &Guid, phc: &str, scram: Option<&str>) -> Result<(), StoreError> {
        let set = "INSERT INTO credential (guid, phc, scram) VALUES (?1, ?2, ?3)
            ON CONFLICT (guid) DO UPDATE SET phc = ?2, scram = ?3";
        fail_point("credential.before");
        self.execute(set, params![account.0, phc, scram])?;
        fail_point("credential.after");
        Ok(())
    }

    /// The SCRAM keys of an account, as text.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn scram_keys(&self, account: &Guid) -> Result<Option<String>, StoreError> {
        let found = (self.database.connection)
            .query_row("SELECT scram FROM credential WHERE guid = ?1", params![account.0], |row| row.get(0))
            .optional();
        found.map(Option::flatten).map_err(|error| self.database.fault(error))
    }

    /// How many accounts have SCRAM keys of how many rounds, fewest rounds first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn scram_rounds(&self) -> Result<Vec<(u32, u64)>, StoreError> {
        let read = (|| {
            // `SCRAM-SHA-256$4096:salt$…`
            let mut select = self.database.connection.prepare_cached(
                "SELECT CAST(substr(scram, 15) AS INTEGER) AS rounds, count(*) FROM credential
                WHERE scram LIKE 'SCRAM-SHA-256$%' GROUP BY rounds ORDER BY rounds",
            )?;
            let rows = select.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
            let counted = |row: rusqlite::Result<(i64, i64)>| {
                row.map(|(rounds, count)| (u32::try_from(rounds).unwrap_or(u32::MAX), count.unsigned_abs()))
            };
            rows.map(counted).collect::<rusqlite::Result<_>>()
        })();
        read.map_err(|error| self.database.fault(error))
    }

    /// Keeps a new app password; false where the account has one of that name already.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Database`].
    pub fn add_app_password(&mut self, account: &Guid, password: &AppPassword) -> Result<bool, StoreError> {
        let add = "INSERT INTO app_password (guid, name, digest, created, last_used, scram)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
        let last_used = password.last_used.map(|time| time.0);
        let values = params![account.0, password.name, password.digest, password.created.0, last_used, password.scram];
        self.execute(add, values).map(|added| added > 0)
    }

    /// The app passwords of an account, by name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn app_passwords(&self, account: &Guid) -> Result<Vec<AppPassword>, StoreError> {
        let read = (|| {
            let mut select = self.database.connection.prepare_cached(
                "SELECT name, digest, created, last_used, scram FROM app_password WHERE guid = ?1 ORDER BY name",
            )?;
            let rows = select.query_map(params![account.0], |row| {
                Ok(AppPassword {
                    name: row.get(0)?,
                    digest: row.get(1)?,
                    created: Time(row.get(2)?),
                    last_used: row.get::<_, Option<i64>>(3)?.map(Time),
                    scram: row.get(4)?,
                })
            })?;
            rows.collect::<rusqlite::Result<_>>()
        })();
        read.map_err(|error| self.database.fault(error))
    }

    /// Notes when an app password was used.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Database`].
    pub fn app_password_used(&mut self, account: &Guid, name: &str, time: Time) -> Result<(), StoreError> {
        let set = "UPDATE app_password SET last_used = ?3 WHERE guid = ?1 AND name = ?2";
        self.execute(set, params![account.0, name, time.0]).map(|_| ())
    }

    /// Removes an app password; whether there was one of that name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn remove_app_password(&mut self, account: &Guid, name: &str) -> Result<bool, StoreError> {
        let remove = "DELETE FROM app_password WHERE guid = ?1 AND name = ?2";
        self.execute(remove, params![account.0, name]).map(|removed| removed > 0)
    }

    /// Removes all passwords of an account; whether it had one of its own.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn remove_credential(&mut self, account: &Guid) -> Result<bool, StoreError> {
        self.execute("DELETE FROM app_password WHERE guid = ?1", params![account.0])?;
        self.execute("DELETE FROM api_token WHERE guid = ?1", params![account.0])?;
        self.execute("DELETE FROM credential WHERE guid = ?1", params![account.0]).map(|removed| removed > 0)
    }

    /// The password hash of an account.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn credential(&self, account: &Guid) -> Result<Option<String>, StoreError> {
        let found = (self.database.connection)
            .query_row("SELECT phc FROM credential WHERE guid = ?1", params![account.0], |row| row.get(0))
            .optional();
        found.map_err(|error| self.database.fault(error))
    }

    /// Every account with a password hash, and the hash.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn credentials(&self) -> Result<Vec<(Guid, String)>, StoreError> {
        let read = (|| {
            let mut select = self.database.connection.prepare_cached("SELECT guid, phc FROM credential")?;
            let rows = select.query_map([], |row| Ok((Guid(row.get::<_, [u8; 16]>(0)?), row.get(1)?)))?;
            rows.collect::<rusqlite::Result<_>>()
        })();
        read.map_err(|error| self.database.fault(error))
    }
}
