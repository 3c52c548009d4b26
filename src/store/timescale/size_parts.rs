//! What the bytes of whole tables are made of: one query for all tables, however many chunks they have.
//!
//! It costs twice as much as the plain sizes, so only runs and `check` ask, never `plan`. The sum of the
//! parts is what `sizes.rs` counts: a compressed companion is a part of its own.

use sqlx::postgres::{PgConnection, PgRow};

use crate::problem::Result;
use crate::retention::measured::SizeParts;
use crate::retention::model::ByteCount;
use crate::retention::name::DatasetName;
use crate::store::postgres::{column, read_failed};

const PARTS: &str = "SELECT m.schema, m.name, \
       coalesce(sum(m.with_toast - coalesce(m.toast, 0)), 0)::bigint AS table_bytes, \
       coalesce(sum(m.index), 0)::bigint AS index_bytes, coalesce(sum(m.toast), 0)::bigint AS toast_bytes, \
       coalesce(sum(m.compressed), 0)::bigint AS compressed_bytes \
     FROM (SELECT w.schema, w.name, pg_catalog.pg_table_size(c.oid) AS with_toast, pg_catalog.pg_indexes_size(c.oid) AS index, \
             pg_catalog.pg_total_relation_size(nullif(c.reltoastrelid, 0)) AS toast, \
             pg_catalog.pg_total_relation_size(s.compress_relid) AS compressed \
           FROM unnest($1::text[], $2::text[]) w (schema, name) \
           JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema \
           JOIN pg_catalog.pg_class p ON p.relnamespace = n.oid AND p.relname = w.name \
           JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid \
           JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r' \
           LEFT JOIN _timescaledb_catalog.compression_settings s ON s.relid = c.oid) m \
     GROUP BY m.schema, m.name";

/// One answer for each table; one without chunks weighs nothing.
pub async fn read(
    connection: &mut PgConnection,
    tables: &[DatasetName],
) -> Result<Vec<(DatasetName, SizeParts)>> {
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        tables.iter().map(|table| (table.schema.as_str(), table.name.as_str())).unzip();
    let rows = sqlx::query(PARTS)
        .bind(schemas)
        .bind(names)
        .fetch_all(connection)
        .await
        .map_err(|error| read_failed("measure tables", &error))?;
    let mut found: Vec<(DatasetName, SizeParts)> = rows.iter().map(parts).collect::<Result<_>>()?;
    for table in tables {
        if found.iter().all(|(name, _)| name != table) {
            let nothing = Some(ByteCount(0));
            let parts = SizeParts {
                table: nothing,
                index: nothing,
                toast: nothing,
                compressed: nothing,
                ..SizeParts::default()
            };
            found.push((table.clone(), parts));
        }
    }
    Ok(found)
}

fn parts(row: &PgRow) -> Result<(DatasetName, SizeParts)> {
    let name = DatasetName::new(column::<String>(row, "schema")?, column::<String>(row, "name")?);
    let bytes = |part| column::<i64>(row, part).map(|bytes| ByteCount(u64::try_from(bytes).unwrap_or(0)));
    let (table, index) = (bytes("table_bytes")?, bytes("index_bytes")?);
    let (toast, compressed) = (bytes("toast_bytes")?, bytes("compressed_bytes")?);
    let parts = SizeParts {
        total: [table, index, toast, compressed].into_iter().sum(),
        table: Some(table),
        index: Some(index),
        toast: Some(toast),
        compressed: Some(compressed),
    };
    Ok((name, parts))
}
