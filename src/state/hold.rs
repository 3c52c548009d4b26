//! Holds: pins on one chunk or a whole dataset, each with an author, a reason and perhaps an end.
//!
//! Each belongs to one database. A removed or expired hold stays on record, so that one can see later why a chunk was kept.
//! Instants are microseconds since 1970 UTC; a hold ends at `expires_at`, not after it.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::problem::Result;
use crate::retention::facts::Hold;
use crate::retention::model::{StoreIdentity, StoreName};
use crate::retention::name::{DatasetName, RelationName};

use super::State;
use super::row;

const ADD: &str = "
    INSERT INTO hold (store, dataset_schema, dataset_name, chunk_schema, chunk_name,
                      author, reason, created_at, expires_at, system, database_oid, database)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

const REMOVE: &str = "UPDATE hold SET removed_at = ?2 WHERE id = ?1 AND removed_at IS NULL";

const ACTIVE: &str = "
    SELECT *, NOT (system = ?3 AND database_oid = ?4) AS by_name FROM hold
    WHERE ((system = ?3 AND database_oid = ?4) OR (store = ?1 AND database = ?5))
      AND removed_at IS NULL AND (expires_at IS NULL OR expires_at > ?2)
    ORDER BY id";

const ALL: &str = "SELECT *, 0 AS by_name FROM hold ORDER BY id";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    pub store: StoreName,
    pub identity: StoreIdentity,
    pub dataset: DatasetName,
    /// One chunk relation; `None` pins the whole dataset.
    pub chunk: Option<RelationName>,
    pub author: String,
    pub reason: String,
    pub created_at: i64,
    /// `None` never expires.
    pub expires_at: Option<i64>,
}

/// A hold with its whole life, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRecord {
    pub store: StoreName,
    /// The one database that it pins something in.
    pub identity: StoreIdentity,
    pub hold: Hold,
    pub created_at: i64,
    pub removed_at: Option<i64>,
}

impl HoldRecord {
    /// True where it pins something at `now`.
    pub fn is_active(&self, now: i64) -> bool {
        self.removed_at.is_none() && self.hold.expires_at.is_none_or(|end| end > now)
    }
}

impl State {
    /// Adds a hold and answers with its number.
    pub async fn add_hold(&self, hold: &NewHold) -> Result<i64> {
        let statement = sqlx::query(ADD)
            .bind(&hold.store.0)
            .bind(&hold.dataset.schema)
            .bind(&hold.dataset.name)
            .bind(hold.chunk.as_ref().map(|chunk| &chunk.schema))
            .bind(hold.chunk.as_ref().map(|chunk| &chunk.name))
            .bind(&hold.author)
            .bind(&hold.reason)
            .bind(hold.created_at)
            .bind(hold.expires_at)
            .bind(&hold.identity.system)
            .bind(hold.identity.database_oid)
            .bind(&hold.identity.database);
        Ok(self.file.execute(statement).await?.last_insert_rowid())
    }

    /// Ends a hold; false where there is none of that number or it was removed before.
    pub async fn remove_hold(&self, id: i64, at: i64) -> Result<bool> {
        let removed = self.file.execute(sqlx::query(REMOVE).bind(id).bind(at)).await?;
        Ok(removed.rows_affected() == 1)
    }

    /// The holds in force at `now` on one database, by whatever store name they were set. One that was set by this
    /// store's name on a database of the same name counts as well, and says so: an upgrade or a restore gives
    /// a cluster or a database another identity, and a hold too many only keeps.
    pub async fn holds(&self, store: &StoreName, identity: &StoreIdentity, now: i64) -> Result<Vec<Hold>> {
        let statement = sqlx::query(ACTIVE)
            .bind(&store.0)
            .bind(now)
            .bind(&identity.system)
            .bind(identity.database_oid)
            .bind(&identity.database);
        self.file.read(statement, hold).await
    }

    /// Every hold of every store, also those that were removed or have expired.
    pub async fn all_holds(&self) -> Result<Vec<HoldRecord>> {
        self.file.read(sqlx::query(ALL), hold_record).await
    }
}

fn hold(row: &SqliteRow) -> sqlx::Result<Hold> {
    let pins_one_chunk = row.try_get::<Option<&str>, _>("chunk_name")?.is_some();
    Ok(Hold {
        id: row.try_get("id")?,
        dataset: row::relation(row, "dataset_schema", "dataset_name")?,
        chunk: pins_one_chunk.then(|| row::relation(row, "chunk_schema", "chunk_name")).transpose()?,
        author: row.try_get("author")?,
        reason: row.try_get("reason")?,
        expires_at: row.try_get("expires_at")?,
        set_on: row.try_get::<bool, _>("by_name")?.then(|| row::identity(row)).transpose()?,
    })
}

fn hold_record(row: &SqliteRow) -> sqlx::Result<HoldRecord> {
    Ok(HoldRecord {
        store: row::store(row)?,
        identity: row::identity(row)?,
        hold: hold(row)?,
        created_at: row.try_get("created_at")?,
        removed_at: row.try_get("removed_at")?,
    })
}
