//! Sessions under given roles in this database, and the roles themselves. Reads only.

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgRow};

use super::{OURS, STARTED_AT, STATEMENT};
use crate::problem::Result;
use crate::retention::sessions::SessionFacts;
use crate::retention::sessions::privilege::RoleFacts;
use crate::store::postgres::{column, read_failed};

/// Those who are doing something come first, the longest at it before the others.
fn sessions_statement() -> String {
    format!(
        "SELECT a.pid, {STARTED_AT} AS started_at, a.datname = pg_catalog.current_database() AS here, a.usename::text AS role, a.backend_type AS backend, \
           coalesce(a.application_name, '') AS application, pg_catalog.host(a.client_addr) AS address, a.state, coalesce({OURS}, true) AS ours, \
           CASE WHEN a.query = '<insufficient privilege>' THEN '' \
             ELSE coalesce({STATEMENT}, '') END AS statement, \
           coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(a.xact_start, a.query_start, a.backend_start)), 0)::bigint AS since \
         FROM pg_catalog.pg_stat_activity a \
         WHERE a.datname = pg_catalog.current_database() AND a.usename::text = ANY($1) \
         ORDER BY a.state IN ('active', 'idle in transaction', 'idle in transaction (aborted)') DESC NULLS LAST, since DESC, a.pid"
    )
}

/// Every session of these roles in this database, ours among them.
pub async fn of_roles(connection: &mut PgConnection, roles: &[String]) -> Result<Vec<SessionFacts>> {
    let rows = sqlx::query(AssertSqlSafe(sessions_statement()))
        .bind(roles)
        .fetch_all(connection)
        .await
        .map_err(|error| read_failed("list sessions", &error))?;
    rows.iter().map(session).collect()
}

fn session(row: &PgRow) -> Result<SessionFacts> {
    Ok(SessionFacts {
        pid: column(row, "pid")?,
        started_at: column(row, "started_at")?,
        role: column(row, "role")?,
        backend: column(row, "backend")?,
        in_our_database: column(row, "here")?,
        ours: column(row, "ours")?,
        drops_chunks: false,
        application: column(row, "application")?,
        address: column(row, "address")?,
        state: column(row, "state")?,
        statement: column(row, "statement")?,
        since_seconds: column(row, "since")?,
    })
}

const ROLES: &str = "SELECT w.name, r.oid IS NOT NULL AS known, coalesce(r.rolsuper, false) AS superuser, \
       coalesce(pg_catalog.pg_has_role(current_user, r.oid, 'USAGE'), false) AS is_ours \
     FROM unnest($1::text[]) WITH ORDINALITY w (name, n) \
     LEFT JOIN pg_catalog.pg_roles r ON r.rolname::text = w.name ORDER BY w.n";

/// What the server knows of these roles, in their order.
pub async fn roles(connection: &mut PgConnection, names: &[String]) -> Result<Vec<RoleFacts>> {
    let rows = sqlx::query(ROLES)
        .bind(names)
        .fetch_all(connection)
        .await
        .map_err(|error| read_failed("look for the roles of `sessions.roles`", &error))?;
    let role = |row: &PgRow| {
        Ok(RoleFacts {
            name: column(row, "name")?,
            known: column(row, "known")?,
            superuser: column(row, "superuser")?,
            is_ours: column(row, "is_ours")?,
        })
    };
    rows.iter().map(role).collect()
}
