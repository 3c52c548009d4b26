//! What a server says about its own disk: where its data folder is, what tablespaces and the
//! write-ahead log weigh, when it started.
//!
//! Each right is looked up before it is used: an unprivileged role gets fewer answers, never an error.

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use super::{column, oid, read_failed};
use crate::problem::Result;
use crate::retention::measured::{DiskFacts, TablespaceFacts};
use crate::retention::model::ByteCount;

const SERVER: &str = "SELECT CASE WHEN pg_catalog.pg_has_role(current_user, 'pg_read_all_settings', 'USAGE') \
       THEN pg_catalog.current_setting('data_directory') END AS data_folder, \
     extract(epoch FROM pg_catalog.pg_postmaster_start_time())::bigint AS started, \
     pg_catalog.pg_is_in_recovery() AS in_recovery, \
     pg_catalog.has_function_privilege('pg_catalog.pg_ls_waldir()', 'EXECUTE') AS sees_wal, \
     pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'EXECUTE') AS sees_checkpoint";

/// A tablespace may be measured by who may write to it, and by everybody where it is the database's own.
const TABLESPACES: &str = "SELECT t.oid, t.spcname::text AS name, \
       nullif(pg_catalog.pg_tablespace_location(t.oid), '') AS path, \
       CASE WHEN pg_catalog.has_tablespace_privilege(t.oid, 'CREATE') \
              OR pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') \
              OR t.oid = (SELECT dattablespace FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
            THEN pg_catalog.pg_tablespace_size(t.oid) END AS bytes \
     FROM pg_catalog.pg_tablespace t ORDER BY t.spcname";

const WAL: &str = "SELECT coalesce(sum(size), 0)::bigint AS bytes FROM pg_catalog.pg_ls_waldir()";

const CHECKPOINT: &str = "SELECT (extract(epoch FROM checkpoint_time) * 1000000)::bigint AS at FROM pg_catalog.pg_control_checkpoint()";

pub async fn facts(connection: &mut PgConnection) -> Result<DiskFacts> {
    let server = one(connection, SERVER).await?;
    let mut facts = DiskFacts {
        data_folder: column(&server, "data_folder")?,
        server_started: column(&server, "started")?,
        in_recovery: column(&server, "in_recovery")?,
        ..DiskFacts::default()
    };
    if column(&server, "sees_checkpoint")? {
        facts.last_checkpoint = one(connection, CHECKPOINT).await?.try_get("at").ok();
    }
    if column(&server, "sees_wal")? {
        facts.wal = bytes(&one(connection, WAL).await?)?;
    }
    add_tablespaces(connection, &mut facts).await?;
    Ok(facts)
}

async fn add_tablespaces(connection: &mut PgConnection, facts: &mut DiskFacts) -> Result<()> {
    let rows = sqlx::query(TABLESPACES).fetch_all(connection).await;
    let mut inside = Vec::new();
    for row in &rows.map_err(|error| read_failed("measure the tablespaces", &error))? {
        let name: String = column(row, "name")?;
        if ["pg_default", "pg_global"].contains(&name.as_str()) {
            inside.push(bytes(row)?);
        } else {
            let path = column(row, "path")?;
            facts.tablespaces.push(TablespaceFacts { oid: oid(row, "oid")?, name, path, bytes: bytes(row)? });
        }
    }
    facts.data = inside.into_iter().sum();
    Ok(())
}

fn bytes(row: &PgRow) -> Result<Option<ByteCount>> {
    let bytes: Option<i64> = column(row, "bytes")?;
    Ok(bytes.and_then(|bytes| u64::try_from(bytes).ok()).map(ByteCount))
}

async fn one(connection: &mut PgConnection, statement: &'static str) -> Result<PgRow> {
    sqlx::query(statement)
        .fetch_one(connection)
        .await
        .map_err(|error| read_failed("ask the server about its disk", &error))
}
