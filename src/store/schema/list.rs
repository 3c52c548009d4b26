//! Every schema that may hold owned data, or one of them, with the write counters of its tables and its
//! bytes, in one snapshot and three queries, however many there are.
//!
//! PostgreSQL keeps no time of a last write, only counters, so each schema has a token of them, and of every
//! moment since which they count. Invariant: counters that the server does not keep make the list an
//! error, and counters that it lost make another token: no dataset looks untouched for that.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};

use crate::problem::{Problem, Result};
use crate::retention::ownership::OwnedName;
use crate::store::owned::ListedDataset;
use crate::store::postgres::{begin_snapshot, column, read_failed, rollback};

/// Of a schema `n`: the server's own, everybody's, and those that extensions made or live in.
pub const RESERVED: &str = "(pg_catalog.left(n.nspname, 3) = 'pg_' OR pg_catalog.left(n.nspname, 13) = '_timescaledb_' \
     OR n.nspname IN ('information_schema', 'public', 'timescaledb_information', 'timescaledb_experimental') \
     OR EXISTS (SELECT 1 FROM pg_catalog.pg_extension e WHERE e.extnamespace = n.oid) \
     OR EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_namespace'::regclass \
       AND d.objid = n.oid AND d.deptype = 'e'))";

/// Since when the counters count: of this database, and of the whole server, which forgets all of them when it
/// recovers from a crash and then begins that one anew as well. A standby that takes over counts for itself.
const SERVER: &str = "SELECT pg_catalog.current_setting('track_counts')::boolean AS counts, \
     pg_catalog.format('started %s reset %s recovered %s', \
       extract(epoch FROM pg_catalog.pg_postmaster_start_time()), \
       coalesce(extract(epoch FROM pg_catalog.pg_stat_get_db_stat_reset_time(d.oid))::text, 'never'), \
       coalesce(extract(epoch FROM pg_catalog.pg_stat_get_bgwriter_stat_reset_time())::text, 'never')) AS since \
     FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

const IDENTITY: &str = "SELECT pg_catalog.format('schemas of database %s (%s) of cluster %s', d.datname, d.oid, \
       (SELECT system_identifier FROM pg_catalog.pg_control_system())) AS identity \
     FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

pub struct Snapshot {
    since: String,
    pub schemas: Vec<OwnedName>,
    counters: HashMap<OwnedName, String>,
    /// `None` where a lock was in the way of measuring.
    bytes: Option<HashMap<OwnedName, u64>>,
}

impl Snapshot {
    pub fn listed(self) -> Vec<ListedDataset> {
        let bytes =
            |name: &OwnedName| self.bytes.as_ref().map(|bytes| bytes.get(name).copied().unwrap_or_default());
        let listed = self.schemas.iter().map(|name| ListedDataset {
            name: name.clone(),
            last_change: None,
            change_token: Some(self.token(name).into()),
            bytes: bytes(name),
        });
        listed.collect()
    }

    fn token(&self, name: &OwnedName) -> String {
        let counters = self.counters.get(name).map_or("no tables", String::as_str);
        format!("{} {counters}", self.since)
    }
}

pub async fn identity(connection: &mut PgConnection) -> Result<String> {
    let row = sqlx::query(IDENTITY).fetch_one(connection).await;
    column(&row.map_err(|error| read_failed("read which database this is", &error))?, "identity")
}

/// All schemas, or only the one of this name.
pub async fn read(connection: &mut PgConnection, only: Option<&OwnedName>) -> Result<Snapshot> {
    begin_snapshot(connection).await?;
    let snapshot = read_in_snapshot(connection, only).await;
    rollback(connection).await;
    snapshot
}

async fn read_in_snapshot(connection: &mut PgConnection, only: Option<&OwnedName>) -> Result<Snapshot> {
    let server = rows(connection, SERVER.into(), None).await?;
    let server =
        server.first().ok_or_else(|| Problem::unreachable("the server does not know its database"))?;
    if !column::<bool>(server, "counts")? {
        return Err(Problem::unreachable(
            "the server counts no writes, so nobody can tell what is still written",
        )
        .hint("set track_counts = on"));
    }
    let since = column(server, "since")?;
    let schemas = names(&rows(connection, schemas_statement(only.is_some()), only).await?)?;
    let counters = counters(&rows(connection, counters_statement(only.is_some()), only).await?)?;
    let bytes = sizes(connection, only).await?;
    Ok(Snapshot { since, schemas, counters, bytes })
}

/// A name that is too long is cut by the cast, for which there is an index, and is then another one as text.
const ONLY: &str = "n.nspname = $1::text::name AND n.nspname::text = $1::text";

fn schemas_statement(only: bool) -> String {
    let only = if only { ONLY } else { "true" };
    format!(
        "SELECT n.nspname::text AS schema FROM pg_catalog.pg_namespace n \
         WHERE {only} AND NOT {RESERVED} ORDER BY n.nspname"
    )
}

/// The relations of one schema are found by what depends on it: no index has them by their schema.
const RELATIONS_OF_ONE: &str = "pg_catalog.pg_namespace n JOIN pg_catalog.pg_depend p \
       ON p.refclassid = 'pg_catalog.pg_namespace'::regclass AND p.refobjid = n.oid \
       AND p.classid = 'pg_catalog.pg_class'::regclass JOIN pg_catalog.pg_class c ON c.oid = p.objid";

const RELATIONS_OF_ALL: &str =
    "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";

/// A hypertable's chunks count for the schema of the hypertable, wherever they lie.
fn tree(only: bool) -> String {
    let (relations, only) = if only { (RELATIONS_OF_ONE, ONLY) } else { (RELATIONS_OF_ALL, "true") };
    format!(
        "WITH RECURSIVE tree (schema, relation) AS (\
           SELECT n.nspname::text, c.oid FROM {relations} \
           WHERE {only} AND c.relkind IN ('r', 'm', 'p') AND NOT {RESERVED} \
           UNION SELECT t.schema, i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.relation)"
    )
}

/// One text for each schema: every relation with its file and its count.
fn counters_statement(only: bool) -> String {
    format!(
        "{} SELECT t.schema, pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.string_agg(\
             pg_catalog.concat_ws(':', t.relation, c.relfilenode, \
               pg_catalog.pg_stat_get_tuples_inserted(t.relation), pg_catalog.pg_stat_get_tuples_updated(t.relation), \
               pg_catalog.pg_stat_get_tuples_deleted(t.relation)), ' ' ORDER BY t.relation), 'UTF8')), 'hex') AS counters \
         FROM tree t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.relation GROUP BY t.schema",
        tree(only)
    )
}

fn sizes_statement(only: bool) -> String {
    format!(
        "{} SELECT schema, pg_catalog.sum(pg_catalog.pg_total_relation_size(relation))::bigint AS bytes \
         FROM tree GROUP BY schema",
        tree(only)
    )
}

async fn rows(
    connection: &mut PgConnection,
    statement: String,
    only: Option<&OwnedName>,
) -> Result<Vec<PgRow>> {
    let query = sqlx::query(AssertSqlSafe(statement));
    let query = only.into_iter().fold(query, |query, name| query.bind(name.0.clone()));
    let rows = query.fetch_all(connection).await;
    rows.map_err(|error| read_failed("list the schemas", &error))
}

fn names(rows: &[PgRow]) -> Result<Vec<OwnedName>> {
    rows.iter().map(name).collect()
}

fn name(row: &PgRow) -> Result<OwnedName> {
    column::<String>(row, "schema").map(|name| OwnedName(name.into()))
}

fn counters(rows: &[PgRow]) -> Result<HashMap<OwnedName, String>> {
    let counters = |row: &PgRow| Ok((name(row)?, column(row, "counters")?));
    rows.iter().map(counters).collect()
}

/// Measuring opens every table, and nobody should wait for the list because somebody rewrites one.
async fn sizes(
    connection: &mut PgConnection,
    only: Option<&OwnedName>,
) -> Result<Option<HashMap<OwnedName, u64>>> {
    let rows = match rows(connection, sizes_statement(only.is_some()), only).await {
        Ok(rows) => rows,
        Err(problem) if problem.kind == crate::problem::Kind::Busy => return Ok(None),
        Err(problem) => return Err(problem),
    };
    let size = |row: &PgRow| {
        let bytes: i64 = column::<Option<i64>>(row, "bytes")?.unwrap_or_default();
        Ok((name(row)?, bytes.cast_unsigned()))
    };
    rows.iter().map(size).collect::<Result<_>>().map(Some)
}

/// Schemas that our role could not drop.
pub async fn advice(connection: &mut PgConnection) -> Result<Vec<String>> {
    let statement = format!(
        "SELECT count(*) AS schemas, coalesce(pg_catalog.string_agg(DISTINCT o.rolname::text, ', '), '') AS owners \
         FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner \
         WHERE NOT {RESERVED} AND NOT pg_catalog.pg_has_role(current_user, n.nspowner, 'USAGE')"
    );
    let rows = rows(connection, statement, None).await?;
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let schemas: i64 = row.try_get("schemas").unwrap_or_default();
    let owners: String = column(row, "owners")?;
    let advice =
        format!("our role cannot drop {schemas} of the schemas; GRANT it the role that owns them ({owners})");
    Ok(if schemas > 0 { vec![advice] } else { Vec::new() })
}
