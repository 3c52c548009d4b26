//! What kind of TimescaleDB this is: version, edition, and which catalog layout it has.
//!
//! The layout changed in 2.25, 2.26 and 2.29; it is found by looking for the columns, never by comparing
//! version numbers, so that a build in between works as well.

use sqlx::Row;
use sqlx::postgres::PgConnection;

use crate::problem::{Problem, Result};
use crate::retention::facts::ConnectionFacts;
use crate::retention::model::StoreIdentity;
use crate::store::postgres::{column, oid, read_failed};

const PROBE: &str = "SELECT e.extversion AS version, n.nspname::text AS schema, \
       coalesce(pg_catalog.current_setting('timescaledb.license', true), '?') AS license, \
       EXISTS (SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid = pg_catalog.to_regclass('_timescaledb_catalog.chunk') \
               AND attname = 'relid' AND NOT attisdropped) AS chunk_by_relid, \
       pg_catalog.to_regclass('_timescaledb_catalog.continuous_aggs_materialization_ranges') IS NOT NULL AS has_ranges, \
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()) AS system, \
       pg_catalog.current_database()::text AS database, d.oid AS database_oid, \
       (extract(epoch FROM pg_catalog.now()) * 1000000)::bigint AS now, \
       pg_catalog.pg_is_in_recovery() OR pg_catalog.current_setting('default_transaction_read_only')::boolean AS read_only, \
       pg_catalog.current_setting('server_version') AS server_version, \
       current_user::text AS role, \
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS superuser, \
       pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_sessions, \
       pg_catalog.pg_has_role(current_user, 'pg_signal_backend', 'USAGE') AS may_signal, \
       (SELECT setting::bigint * 1000 FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout') AS deadlock_timeout, \
       (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'max_locks_per_transaction') \
       * (SELECT sum(setting::bigint) FROM pg_catalog.pg_settings \
          WHERE name IN ('max_connections', 'max_prepared_transactions'))::bigint AS lock_slots \
     FROM pg_catalog.pg_database d \
     LEFT JOIN pg_catalog.pg_extension e ON e.extname = 'timescaledb' \
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace \
     WHERE d.datname = pg_catalog.current_database()";

#[derive(Debug, Clone)]
pub struct Catalog {
    pub version: String,
    pub license: String,
    /// Where `drop_chunks` and `show_chunks` live.
    pub schema: String,
    pub layout: Layout,
    pub identity: StoreIdentity,
    pub now: i64,
    pub read_only: bool,
    pub server_version: String,
    pub sees_other_sessions: bool,
    pub connection: ConnectionFacts,
}

/// What moved between versions.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// 2.29 and later: chunks are known by relation instead of schema and name.
    pub chunk_by_relid: bool,
    /// 2.29 and later: pending work of continuous aggregates has a table of its own.
    pub has_materialization_ranges: bool,
}

impl Catalog {
    /// `PostgreSQL 17.11, TimescaleDB 2.19.3 (apache)`.
    pub fn server(&self) -> String {
        let postgres = self.server_version.split(' ').next().unwrap_or_default();
        format!("PostgreSQL {postgres}, TimescaleDB {} ({})", self.version, self.license)
    }

    /// Weaknesses of this server that an administrator should know of.
    pub async fn advice(&self, connection: &mut PgConnection) -> Result<Vec<String>> {
        let exposed: bool = sqlx::query_scalar(EXPOSED_DROP)
            .fetch_one(connection)
            .await
            .map_err(|error| read_failed("check the server's privileges", &error))?;
        let mut advice = Vec::new();
        if exposed && older_than(&self.version, (2, 29, 1)) {
            advice.push(
                "in this version any role can drop any chunk through _timescaledb_functions.drop_chunk (fixed in 2.29.1); \
                 REVOKE EXECUTE ON FUNCTION _timescaledb_functions.drop_chunk(regclass) FROM PUBLIC"
                    .into(),
            );
        }
        Ok(advice)
    }
}

/// The fix is timescaledb pull request 10386, released in 2.29.1.
const EXPOSED_DROP: &str = "SELECT coalesce(pg_catalog.bool_or(pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')), false) \
     FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
     WHERE n.nspname = '_timescaledb_functions' AND p.proname = 'drop_chunk'";

fn older_than(version: &str, limit: (u32, u32, u32)) -> bool {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next()) < limit
}

pub async fn read(connection: &mut PgConnection) -> Result<Catalog> {
    let row = sqlx::query(PROBE)
        .fetch_one(connection)
        .await
        .map_err(|error| read_failed("read what server this is", &error))?;
    let database: String = column(&row, "database")?;
    let Some(version) = column::<Option<String>>(&row, "version")? else {
        return Err(Problem::usage(format!("database {database} has no timescaledb extension"))
            .hint("check the database's name, or run CREATE EXTENSION timescaledb in it"));
    };
    if older_than(&version, (2, 19, 0)) {
        return Err(Problem::usage(format!("TimescaleDB {version} is too old"))
            .hint("2.19 is the oldest version that is supported"));
    }
    Ok(Catalog {
        version,
        license: column(&row, "license")?,
        schema: column(&row, "schema")?,
        layout: Layout {
            chunk_by_relid: column(&row, "chunk_by_relid")?,
            has_materialization_ranges: column(&row, "has_ranges")?,
        },
        identity: StoreIdentity {
            system: column(&row, "system")?,
            database,
            database_oid: oid(&row, "database_oid")?,
        },
        now: column(&row, "now")?,
        read_only: column(&row, "read_only")?,
        server_version: column(&row, "server_version")?,
        sees_other_sessions: column(&row, "sees_sessions")?,
        connection: ConnectionFacts {
            role: column(&row, "role")?,
            superuser: row.try_get("superuser").unwrap_or(false),
            deadlock_timeout: column(&row, "deadlock_timeout")?,
            may_signal_backends: column(&row, "may_signal")?,
            is_member_of_roles: false,
            lock_slots: column(&row, "lock_slots")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, older) in
            [("2.19.3", false), ("2.9.1", true), ("2.18.9", true), ("2.19.0-dev", false), ("3.0", false)]
        {
            assert_eq!(older_than(version, (2, 19, 0)), older, "{version}");
        }
    }
}
