//! Rows to values, and values to what a statement can bind.
//!
//! Lists go into one statement as one JSON text, so that a batch of any length is one prepared statement.
//! Names are only ever bound, never put into a statement, so that they may hold any character.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::retention::model::{ByteCount, StoreIdentity, StoreName};
use crate::retention::name::RelationName;
use crate::retention::time_axis::TimeRange;

use super::record::{Intent, IntentPart, RunId};

/// The database counts in `i64`; what is larger than 8 EiB is kept as 8 EiB.
pub(super) fn stored_bytes(bytes: ByteCount) -> i64 {
    i64::try_from(bytes.0).unwrap_or(i64::MAX)
}

/// One intent as a JSON row: start, end, schema, name, bytes, reason, parts.
pub(super) fn intent_to_json(intent: &Intent) -> Value {
    let parts: Vec<Value> = intent.parts.iter().map(part_to_json).collect();
    json!([
        intent.range.start,
        intent.range.end,
        intent.dataset.schema,
        intent.dataset.name,
        intent.bytes.map(stored_bytes),
        intent.reason,
        parts,
    ])
}

fn part_to_json(part: &IntentPart) -> Value {
    json!([part.oid, part.relation.schema, part.relation.name])
}

/// Reads the columns of the table `intent`.
pub(super) fn intent(row: &SqliteRow) -> sqlx::Result<Intent> {
    Ok(Intent {
        dataset: relation(row, "dataset_schema", "dataset_name")?,
        range: TimeRange::new(row.try_get("range_start")?, row.try_get("range_end")?),
        parts: parts(row.try_get("parts")?)?,
        bytes: bytes(row, "bytes")?,
        reason: row.try_get("reason")?,
    })
}

fn parts(text: &str) -> sqlx::Result<Vec<IntentPart>> {
    let parts: Vec<(u32, String, String)> = serde_json::from_str(text).map_err(unreadable)?;
    let part = |(oid, schema, name)| IntentPart { oid, relation: RelationName { schema, name } };
    Ok(parts.into_iter().map(part).collect())
}

pub(super) fn relation(row: &SqliteRow, schema: &str, name: &str) -> sqlx::Result<RelationName> {
    Ok(RelationName { schema: row.try_get(schema)?, name: row.try_get(name)? })
}

/// Reads the columns `system`, `database` and `database_oid`.
pub(super) fn identity(row: &SqliteRow) -> sqlx::Result<StoreIdentity> {
    Ok(StoreIdentity {
        system: row.try_get("system")?,
        database: row.try_get("database")?,
        database_oid: row.try_get("database_oid")?,
    })
}

pub(super) fn store(row: &SqliteRow) -> sqlx::Result<StoreName> {
    row.try_get("store").map(StoreName)
}

pub(super) fn bytes(row: &SqliteRow, column: &str) -> sqlx::Result<Option<ByteCount>> {
    let stored: Option<u64> = row.try_get(column)?;
    Ok(stored.map(ByteCount))
}

pub(super) fn run_id(row: &SqliteRow, column: &str) -> sqlx::Result<RunId> {
    optional_uuid(row, column)?.map(RunId).ok_or_else(|| sqlx::Error::ColumnNotFound(column.into()))
}

pub(super) fn optional_uuid(row: &SqliteRow, column: &str) -> sqlx::Result<Option<Uuid>> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(Uuid::parse_str).transpose().map_err(unreadable)
}

pub(super) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
