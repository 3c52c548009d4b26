//! Sizes of all chunks, however many: one query, or two halves at once where there are many.
//!
//! A size counts indexes, TOAST and the compressed companion, which the chunk's own size leaves out. The
//! server opens every relation for it, which costs more than everything else that is read. A chunk that
//! vanishes meanwhile has no size, and the caps refuse what they cannot measure.

use std::collections::HashMap;

use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};

use crate::problem::Result;
use crate::retention::facts::DatasetFacts;
use crate::retention::model::{ByteCount, ChunkPart};
use crate::store::postgres::idle::Idle;
use crate::store::postgres::{BEGIN_SNAPSHOT, begin_snapshot, read_failed, rollback};

const SIZES: &str = "SELECT w.oid, pg_catalog.pg_total_relation_size(w.oid) \
       + coalesce(pg_catalog.pg_total_relation_size(s.compress_relid), 0) AS bytes \
     FROM unnest($1::oid[]) w (oid) LEFT JOIN _timescaledb_catalog.compression_settings s ON s.relid = w.oid";

const DATABASE: &str = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())";

/// From this many relations on a second session is worth its connection.
const MANY: usize = 400;

pub async fn attach(connection: &mut PgConnection, idle: &Idle, datasets: &mut [DatasetFacts]) -> Result<()> {
    let oids: Vec<u32> = parts(datasets).map(|part| part.oid).collect();
    let sizes = if oids.len() < MANY {
        read(connection, &oids).await?
    } else {
        let (ours, others) = oids.split_at(oids.len() / 2);
        let (first, second) =
            futures_util::future::join(read(connection, ours), read_beside(idle, others)).await;
        let mut sizes = first?;
        sizes.extend(second?);
        sizes
    };
    for part in parts(datasets) {
        part.bytes = sizes.get(&part.oid).copied().map(ByteCount);
    }
    Ok(())
}

/// Tiered data lies elsewhere; its size here means nothing.
fn parts(datasets: &mut [DatasetFacts]) -> impl Iterator<Item = &mut ChunkPart> {
    let chunks = datasets.iter_mut().flat_map(|dataset| &mut dataset.chunks);
    chunks.flat_map(|chunk| &mut chunk.parts).filter(|part| !part.state.tiered)
}

/// Bytes of the whole database, without opening a relation; inside a snapshot.
pub async fn of_database(connection: &mut PgConnection) -> Result<Option<ByteCount>> {
    database_bytes(sqlx::raw_sql(DATABASE).fetch_one(connection).await)
}

/// The same in a snapshot of its own, and in one message: it has a time limit at the cost of no round trip.
pub async fn of_database_alone(connection: &mut PgConnection) -> Result<Option<ByteCount>> {
    let statement = format!("{BEGIN_SNAPSHOT}; {DATABASE}; ROLLBACK");
    database_bytes(sqlx::raw_sql(AssertSqlSafe(statement)).fetch_one(connection).await)
}

fn database_bytes(answer: std::result::Result<PgRow, sqlx::Error>) -> Result<Option<ByteCount>> {
    let bytes: i64 =
        answer.and_then(|row| row.try_get(0)).map_err(|error| read_failed("measure the database", &error))?;
    Ok(u64::try_from(bytes).ok().map(ByteCount))
}

async fn read_beside(idle: &Idle, oids: &[u32]) -> Result<HashMap<u32, u64>> {
    let mut session = idle.take("reader").await?;
    begin_snapshot(&mut session).await?;
    let sizes = read(&mut session, oids).await?;
    rollback(&mut session).await;
    idle.give_back(session);
    Ok(sizes)
}

async fn read(connection: &mut PgConnection, oids: &[u32]) -> Result<HashMap<u32, u64>> {
    let failed = |error: sqlx::Error| read_failed("measure chunks", &error);
    let wanted: Vec<Oid> = oids.iter().copied().map(Oid).collect();
    let rows = sqlx::query(SIZES).bind(wanted).fetch_all(connection).await.map_err(failed)?;
    let mut sizes = HashMap::with_capacity(rows.len());
    for row in rows {
        let oid: Oid = row.try_get("oid").map_err(failed)?;
        let bytes: Option<i64> = row.try_get("bytes").map_err(failed)?;
        if let Some(bytes) = bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
            sizes.insert(oid.0, bytes);
        }
    }
    Ok(sizes)
}
