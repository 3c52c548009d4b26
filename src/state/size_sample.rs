//! Size samples: how large each dataset was when a run looked, for growth and forecasts.
//!
//! A sample belongs to one physical database (its cluster and object id), so that a re-created database
//! starts a series of its own. At most one sample per dataset and instant: the later one replaces the earlier.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::problem::Result;
use crate::retention::model::{ByteCount, StoreIdentity, StoreName};
use crate::retention::name::DatasetName;

use super::State;
use super::row;

const ADD: &str = "
    INSERT INTO size_sample (store, system, database, database_oid, dataset_schema, dataset_name, at, bytes, chunks)
    SELECT entry.value ->> 0, entry.value ->> 1, entry.value ->> 2, entry.value ->> 3, entry.value ->> 4,
           entry.value ->> 5, entry.value ->> 6, entry.value ->> 7, entry.value ->> 8
    FROM json_each(?1) AS entry
    WHERE true
    ON CONFLICT DO UPDATE SET bytes = excluded.bytes, chunks = excluded.chunks";

const READ: &str = "
    SELECT * FROM size_sample
    WHERE system = ?1 AND database_oid = ?2 AND at >= ?3
    ORDER BY dataset_schema, dataset_name, at";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeSample {
    pub store: StoreName,
    pub identity: StoreIdentity,
    pub dataset: DatasetName,
    /// Microseconds since 1970 UTC.
    pub at: i64,
    pub bytes: ByteCount,
    pub chunks: u64,
}

impl State {
    /// Adds samples, all or nothing.
    pub async fn add_size_samples(&self, samples: &[SizeSample]) -> Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        let batch: Vec<Value> = samples.iter().map(sample_to_json).collect();
        self.file.execute(sqlx::query(ADD).bind(Value::Array(batch).to_string())).await?;
        Ok(())
    }

    /// The samples of a database from `since` on (microseconds since 1970 UTC), by dataset and then by time.
    pub async fn size_samples(&self, identity: &StoreIdentity, since: i64) -> Result<Vec<SizeSample>> {
        let statement = sqlx::query(READ).bind(&identity.system).bind(identity.database_oid).bind(since);
        self.file.read(statement, size_sample).await
    }
}

fn sample_to_json(sample: &SizeSample) -> Value {
    json!([
        sample.store.0,
        sample.identity.system,
        sample.identity.database,
        sample.identity.database_oid,
        sample.dataset.schema,
        sample.dataset.name,
        sample.at,
        row::stored_bytes(sample.bytes),
        sample.chunks,
    ])
}

fn size_sample(row: &SqliteRow) -> sqlx::Result<SizeSample> {
    Ok(SizeSample {
        store: row::store(row)?,
        identity: row::identity(row)?,
        dataset: row::relation(row, "dataset_schema", "dataset_name")?,
        at: row.try_get("at")?,
        bytes: row::bytes(row, "bytes")?.unwrap_or_default(),
        chunks: row.try_get("chunks")?,
    })
}
