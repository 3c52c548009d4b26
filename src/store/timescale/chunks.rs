//! Lists chunks with exact ranges: one query for all of them, however many there are.
//!
//! Ranges are microseconds by the server's own exact conversion, infinities included.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgConnection, PgRow};

use crate::problem::{Problem, Result};
use crate::retention::facts::DatasetFacts;
use crate::retention::model::{Chunk, ChunkPart, PartState};
use crate::retention::name::{DatasetName, RelationName};
use crate::retention::time_axis::TimeRange;
use crate::store::Wanted;
use crate::store::postgres::{column, oid, read_failed};

use super::catalog::Catalog;
use super::hypertables::restriction;

macro_rules! list_chunks {
    ($chunk_is_in_catalog:literal) => {
        concat!(
            "SELECT h.hypertable_schema::text AS table_schema, h.hypertable_name::text AS table_name, c.oid AS oid, \
               h.chunk_schema::text AS schema, h.chunk_name::text AS name, \
               coalesce(h.range_start_integer, _timescaledb_functions.to_unix_microseconds(h.range_start)) AS range_start, \
               coalesce(h.range_end_integer, _timescaledb_functions.to_unix_microseconds(h.range_end)) AS range_end, \
               h.is_compressed AS compressed, coalesce(k.status & 4, 0) <> 0 AS frozen, \
               CASE WHEN c.reltuples < 0 OR h.is_compressed THEN NULL ELSE c.reltuples::bigint END AS rows \
             FROM timescaledb_information.chunks h \
             JOIN pg_catalog.pg_namespace n ON n.nspname = h.chunk_schema \
             JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = h.chunk_name \
             LEFT JOIN _timescaledb_catalog.chunk k ON ",
            $chunk_is_in_catalog,
            " WHERE $1::text[] IS NULL OR EXISTS (SELECT 1 FROM unnest($1::text[], $2::text[]) w (schema, name) \
               WHERE w.schema = h.hypertable_schema AND w.name = h.hypertable_name)"
        )
    };
}

/// Until 2.28 the catalog knows a chunk by schema and name, since 2.29 by its relation.
pub const LIST_BY_NAME: &str = list_chunks!("k.schema_name = h.chunk_schema AND k.table_name = h.chunk_name");
pub const LIST_BY_RELATION: &str = list_chunks!("k.relid = c.oid");

pub async fn attach(
    connection: &mut PgConnection,
    catalog: &Catalog,
    wanted: &Wanted,
    datasets: &mut HashMap<DatasetName, &mut DatasetFacts>,
) -> Result<()> {
    let statement = if catalog.layout.chunk_by_relid { LIST_BY_RELATION } else { LIST_BY_NAME };
    let (schemas, names) = restriction(wanted);
    let failed = |error: sqlx::Error| read_failed("list chunks", &error);
    {
        let mut rows = sqlx::query(statement).bind(schemas).bind(names).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let table = DatasetName::new(
                column::<String>(&row, "table_schema")?,
                column::<String>(&row, "table_name")?,
            );
            // Chunks of continuous aggregates are listed as well; their table is no dataset of ours.
            let Some(dataset) = datasets.get_mut(&table) else { continue };
            dataset.chunks.push(one_part(&row)?);
        }
    }
    attach_tiered(connection, datasets).await?;
    for dataset in datasets.values_mut() {
        dataset.chunks = siblings_together(std::mem::take(&mut dataset.chunks));
    }
    Ok(())
}

fn one_part(row: &PgRow) -> Result<Chunk> {
    let unsigned = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok());
    let part = ChunkPart {
        oid: oid(row, "oid")?,
        relation: RelationName::new(column::<String>(row, "schema")?, column::<String>(row, "name")?),
        bytes: None,
        rows: unsigned(column(row, "rows")?),
        state: PartState {
            compressed: column(row, "compressed")?,
            frozen: column(row, "frozen")?,
            tiered: false,
        },
    };
    Ok(Chunk {
        range: TimeRange::new(column(row, "range_start")?, column(row, "range_end")?),
        parts: vec![part],
    })
}

/// Joins parts of one exact range; sorts by end, inner ranges before those around them.
fn siblings_together(mut parts: Vec<Chunk>) -> Vec<Chunk> {
    parts.sort_by(|a, b| {
        let by_range = |chunk: &Chunk| (chunk.range.end, std::cmp::Reverse(chunk.range.start));
        by_range(a).cmp(&by_range(b)).then_with(|| a.parts[0].oid.cmp(&b.parts[0].oid))
    });
    let mut chunks: Vec<Chunk> = Vec::with_capacity(parts.len());
    for mut next in parts {
        match chunks.last_mut() {
            Some(last) if last.range == next.range => last.parts.append(&mut next.parts),
            _ => chunks.push(next),
        }
    }
    chunks
}

/// Tiered data hangs below the hypertable as foreign tables that the information view leaves out.
const TIERED: &str = "SELECT pn.nspname::text AS table_schema, p.relname::text AS table_name, c.oid AS oid, \
       n.nspname::text AS schema, c.relname::text AS name \
     FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind = 'f' \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace";

async fn attach_tiered(
    connection: &mut PgConnection,
    datasets: &mut HashMap<DatasetName, &mut DatasetFacts>,
) -> Result<()> {
    let rows = sqlx::query(TIERED)
        .fetch_all(connection)
        .await
        .map_err(|error| read_failed("list tiered chunks", &error))?;
    for row in &rows {
        let table =
            DatasetName::new(column::<String>(row, "table_schema")?, column::<String>(row, "table_name")?);
        let Some(dataset) = datasets.get_mut(&table) else { continue };
        let part = ChunkPart {
            oid: oid(row, "oid")?,
            relation: RelationName::new(column::<String>(row, "schema")?, column::<String>(row, "name")?),
            bytes: None,
            rows: None,
            state: PartState { tiered: true, ..PartState::default() },
        };
        let range = TimeRange::new(TimeRange::OPEN_START, TimeRange::OPEN_END);
        dataset.chunks.push(Chunk { range, parts: vec![part] });
    }
    Ok(())
}

const STILL_THERE: &str = "SELECT w.n, EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace \
       WHERE c.oid = w.oid AND c.relname = w.name AND s.nspname = w.schema) AS there \
     FROM unnest($1::oid[], $2::text[], $3::text[]) WITH ORDINALITY w (oid, schema, name, n) ORDER BY w.n";

/// Whether somebody is dropping one of these relations, or has dropped it and not committed yet.
const LOCKED_FOR_GOOD: &str = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' \
       AND l.mode = 'AccessExclusiveLock' AND l.granted AND l.relation = ANY($1) \
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))";

/// How long a drop that is about to be committed may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The COMMIT of a client that is gone may still be on its way through the server. It holds the locks of
/// its chunks until everybody can see that they are gone, so without such a lock the answer is final.
pub async fn still_there(connection: &mut PgConnection, parts: &[ChunkPart]) -> Result<Vec<bool>> {
    let failed = |error: sqlx::Error| read_failed("look whether chunks are still there", &error);
    let oids: Vec<Oid> = parts.iter().map(|part| Oid(part.oid)).collect();
    let schemas: Vec<&str> = parts.iter().map(|part| part.relation.schema.as_str()).collect();
    let names: Vec<&str> = parts.iter().map(|part| part.relation.name.as_str()).collect();
    let began = Instant::now();
    while sqlx::query_scalar(LOCKED_FOR_GOOD).bind(&oids).fetch_one(&mut *connection).await.map_err(failed)? {
        if began.elapsed() > PATIENCE {
            return Err(Problem::busy(
                "nobody can tell yet whether chunks are dropped: somebody holds their locks",
            )
            .hint("try again when the other drop has ended"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rows = sqlx::query(STILL_THERE)
        .bind(oids)
        .bind(schemas)
        .bind(names)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.iter().map(|row| column(row, "there")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::testing::chunk;

    #[test]
    fn siblings_of_one_range_become_one_chunk_and_inner_ranges_come_first() {
        let chunks =
            siblings_together(vec![chunk(4, 0, 4), chunk(2, -2, -1), chunk(1, -2, -1), chunk(3, 2, 4)]);
        let shown: Vec<Vec<u32>> = chunks.iter().map(|c| c.parts.iter().map(|p| p.oid).collect()).collect();
        assert_eq!(shown, [vec![1, 2], vec![3], vec![4]]);
    }
}
