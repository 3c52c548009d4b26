//! Sessions that hold locks on given relations: those that a drop of them waits for.
//!
//! A drop wants ACCESS EXCLUSIVE, which every granted lock conflicts with, so these are exactly the holders
//! that `pg_blocking_pids` names for a waiting drop. Whoever only queues is left out: see decision 0007.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use sqlx::postgres::types::Oid;

use super::STATEMENT;
use crate::problem::Result;
use crate::retention::facts::Blocker;
use crate::store::postgres::{column, read_failed};

fn holders_statement() -> String {
    format!(
        "SELECT DISTINCT ON (a.pid) a.pid, coalesce(a.usename, '?')::text AS role, \
     coalesce(a.application_name, '') AS application, host(a.client_addr) AS address, coalesce(a.backend_type, '?') AS backend, coalesce(a.state, '?') AS state, \
     coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start), 0)::bigint AS age, \
     coalesce({STATEMENT}, '?') AS statement \
     FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
     WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY($1) \
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
       AND a.pid <> pg_catalog.pg_backend_pid() AND a.application_name NOT LIKE 'timesweep%' ORDER BY a.pid"
    )
}

/// Sessions that hold any lock on one of these relations, without our own.
pub async fn holding_locks_on(connection: &mut PgConnection, relations: &[u32]) -> Result<Vec<Blocker>> {
    let oids: Vec<Oid> = relations.iter().copied().map(Oid).collect();
    let rows = sqlx::query(AssertSqlSafe(holders_statement()))
        .bind(oids)
        .fetch_all(connection)
        .await
        .map_err(|error| read_failed("look for blockers", &error))?;
    rows.iter()
        .map(|row| {
            Ok(Blocker {
                pid: column(row, "pid")?,
                role: column(row, "role")?,
                application: column(row, "application")?,
                address: column(row, "address")?,
                backend: column(row, "backend")?,
                state: column(row, "state")?,
                age_seconds: column(row, "age")?,
                statement: column(row, "statement")?,
            })
        })
        .collect()
}
