//! Disk samples: how full each file system of a store was when a run or a check looked, for forecasts.
//!
//! A series belongs to a cluster and a mount point: two stores on one cluster share it. `freed` only
//! grows; it is what all runs together have freed there until then.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::problem::Result;
use crate::retention::estimate::forecast::Sample;
use crate::retention::model::{ByteCount, StoreName};

use super::State;
use super::row;

const ADD: &str = "
    INSERT INTO disk_sample (system, path, at, store, size, used, freed, after_run)
    SELECT entry.value ->> 0, entry.value ->> 1, entry.value ->> 2, entry.value ->> 3,
           entry.value ->> 4, entry.value ->> 5, entry.value ->> 6, entry.value ->> 7
    FROM json_each(?1) AS entry
    WHERE true
    ON CONFLICT DO UPDATE SET store = excluded.store, size = excluded.size, used = excluded.used,
        freed = excluded.freed, after_run = excluded.after_run";

const READ: &str = "SELECT * FROM disk_sample WHERE system = ?1 AND at >= ?2 ORDER BY path, at";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSample {
    pub store: StoreName,
    /// The cluster's system identifier.
    pub system: String,
    /// Where the file system is mounted.
    pub path: String,
    pub sample: Sample,
}

impl State {
    /// Adds samples, all or nothing.
    pub async fn add_disk_samples(&self, samples: &[DiskSample]) -> Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        let batch: Vec<Value> = samples.iter().map(sample_to_json).collect();
        self.file.execute(sqlx::query(ADD).bind(Value::Array(batch).to_string())).await?;
        Ok(())
    }

    /// The samples of a cluster from `since` on (microseconds since 1970 UTC), by path and then by time.
    pub async fn disk_samples(&self, system: &str, since: i64) -> Result<Vec<DiskSample>> {
        let statement = sqlx::query(READ).bind(system.to_owned()).bind(since);
        self.file.read(statement, disk_sample).await
    }
}

fn sample_to_json(sample: &DiskSample) -> Value {
    let DiskSample { store, system, path, sample } = sample;
    let bytes = |bytes| row::stored_bytes(ByteCount(bytes));
    json!([
        system,
        path,
        sample.at,
        store.0,
        bytes(sample.size),
        bytes(sample.used),
        bytes(sample.freed),
        i64::from(sample.after_run),
    ])
}

fn disk_sample(row: &SqliteRow) -> sqlx::Result<DiskSample> {
    let bytes = |column| row::bytes(row, column).map(|bytes| bytes.unwrap_or_default().0);
    Ok(DiskSample {
        store: row::store(row)?,
        system: row.try_get("system")?,
        path: row.try_get("path")?,
        sample: Sample {
            at: row.try_get("at")?,
            size: bytes("size")?,
            used: bytes("used")?,
            freed: bytes("freed")?,
            after_run: row.try_get("after_run")?,
        },
    })
}
