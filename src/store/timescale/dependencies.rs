//! What else is tied to a hypertable: foreign keys in both directions, and other droppers at work.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use sqlx::postgres::types::Oid;

use crate::problem::Result;
use crate::retention::facts::{DatasetFacts, ForeignKey, OtherDrop};
use crate::retention::name::{DatasetName, RelationName};
use crate::store::postgres::sessions::{DROPS, STATEMENT};
use crate::store::postgres::{column, read_failed};

const FOREIGN_KEYS: &str = "SELECT fn.nspname::text AS from_schema, f.relname::text AS from_name, k.conname::text AS constraint_name, \
       tn.nspname::text AS to_schema, t.relname::text AS to_name \
     FROM pg_catalog.pg_constraint k \
     JOIN pg_catalog.pg_class f ON f.oid = k.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = f.relnamespace \
     JOIN pg_catalog.pg_class t ON t.oid = k.confrelid JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace \
     JOIN _timescaledb_catalog.hypertable h ON (h.schema_name = fn.nspname AND h.table_name = f.relname) \
       OR (h.schema_name = tn.nspname AND h.table_name = t.relname) \
     WHERE k.contype = 'f' ORDER BY 1, 2, 3";

pub async fn attach_foreign_keys(
    connection: &mut PgConnection,
    datasets: &mut HashMap<DatasetName, &mut DatasetFacts>,
) -> Result<()> {
    let rows = sqlx::query(FOREIGN_KEYS)
        .fetch_all(connection)
        .await
        .map_err(|error| read_failed("list foreign keys", &error))?;
    for row in &rows {
        let from =
            RelationName::new(column::<String>(row, "from_schema")?, column::<String>(row, "from_name")?);
        let to = RelationName::new(column::<String>(row, "to_schema")?, column::<String>(row, "to_name")?);
        if let Some(dataset) = datasets.get_mut(&to) {
            let key = ForeignKey { table: from.clone(), constraint: column(row, "constraint_name")? };
            if !dataset.inbound_foreign_keys.contains(&key) {
                dataset.inbound_foreign_keys.push(key);
            }
        }
        if let Some(dataset) = datasets.get_mut(&from)
            && !dataset.referenced_tables.contains(&to)
        {
            dataset.referenced_tables.push(to);
        }
    }
    Ok(())
}

const REFERENCED: &str = "SELECT DISTINCT k.confrelid AS oid FROM pg_catalog.pg_constraint k \
     JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE k.contype = 'f' AND n.nspname = $1 AND c.relname = $2";

/// Object ids of the tables that a drop locks because of foreign keys.
pub async fn referenced_oids(connection: &mut PgConnection, dataset: &DatasetName) -> Result<Vec<u32>> {
    let oids: Vec<Oid> = sqlx::query_scalar(REFERENCED)
        .bind(&dataset.schema)
        .bind(&dataset.name)
        .fetch_all(connection)
        .await
        .map_err(|error| read_failed("list referenced tables", &error))?;
    Ok(oids.into_iter().map(|oid| oid.0).collect())
}

/// Finds drops by their text, by their background worker, and by the locks they hold: a procedure's text
/// does not name `drop_chunks`, and a drop that only waits holds no lock yet.
fn other_drops_statement() -> String {
    format!(
        "WITH hypertables AS MATERIALIZED (SELECT c.oid FROM _timescaledb_catalog.hypertable h \
       JOIN pg_catalog.pg_namespace n ON n.nspname = h.schema_name \
       JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = h.table_name) \
     SELECT a.pid, coalesce(a.usename, '?')::text AS role, coalesce(a.backend_type, '?') AS backend, \
       coalesce({STATEMENT}, '?') AS statement \
     FROM pg_catalog.pg_stat_activity a \
     WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid() AND ( \
       {DROPS} \
       OR a.backend_type ~ '^Retention Policy' \
       OR EXISTS (SELECT 1 FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_inherits i ON i.inhrelid = l.relation \
          WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.granted \
            AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
            AND i.inhparent IN (SELECT oid FROM hypertables))) \
     ORDER BY a.pid"
    )
}

pub async fn other_drops(connection: &mut PgConnection) -> Result<Vec<OtherDrop>> {
    let rows = sqlx::query(AssertSqlSafe(other_drops_statement()))
        .fetch_all(connection)
        .await
        .map_err(|error| read_failed("look for other drops", &error))?;
    rows.iter()
        .map(|row| {
            Ok(OtherDrop {
                pid: column(row, "pid")?,
                role: column(row, "role")?,
                backend: column(row, "backend")?,
                statement: column(row, "statement")?,
            })
        })
        .collect()
}
