//! Lists hypertables with their time dimension, and says what a name is that is none.

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgRow};

use crate::problem::Result;
use crate::retention::facts::{DatasetFacts, NotADataset};
use crate::retention::name::{DatasetName, RelationName, quote_identifier};
use crate::retention::time_axis::TimeKind;
use crate::store::Wanted;
use crate::store::postgres::{column, in_plain_words, read_failed};

/// The function that tells an integer table's now.
type IntegerNow = RelationName;

/// Where a function makes a time of the column's values, ranges and bounds are of the function's type.
const LIST: &str = "SELECT h.hypertable_schema::text AS schema, h.hypertable_name::text AS name, h.owner::text AS owner, \
       pg_catalog.pg_has_role(current_user, c.relowner, 'USAGE') AS droppable, h.num_dimensions::int4 AS dimensions, \
       pg_catalog.format_type(d.column_type, NULL) \
         || CASE WHEN t.partitioning_func IS NULL THEN '' ELSE ' through a function' END AS time_type, \
       coalesce(d.integer_interval, (extract(epoch FROM d.time_interval) * 1000000)::bigint) AS chunk_interval, \
       t.integer_now_func_schema::text AS now_schema, t.integer_now_func::text AS now_name, \
       (SELECT count(*) FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) AS relations \
     FROM timescaledb_information.hypertables h \
     JOIN pg_catalog.pg_namespace n ON n.nspname = h.hypertable_schema \
     JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = h.hypertable_name \
     JOIN timescaledb_information.dimensions d ON d.hypertable_schema = h.hypertable_schema \
       AND d.hypertable_name = h.hypertable_name AND d.dimension_number = 1 \
     JOIN _timescaledb_catalog.hypertable k ON k.schema_name = h.hypertable_schema AND k.table_name = h.hypertable_name \
     LEFT JOIN _timescaledb_catalog.dimension t ON t.hypertable_id = k.id AND t.column_name = d.column_name \
     WHERE $1::text[] IS NULL OR EXISTS (SELECT 1 FROM unnest($1::text[], $2::text[]) w (schema, name) \
       WHERE w.schema = h.hypertable_schema AND w.name = h.hypertable_name) \
     ORDER BY 1, 2";

/// The two arrays that restrict a listing to `wanted.only`; both NULL for everything.
pub fn restriction(wanted: &Wanted) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let Some(names) = &wanted.only else { return (None, None) };
    let (schemas, tables) = names.iter().map(|n| (n.schema.clone(), n.name.clone())).unzip();
    (Some(schemas), Some(tables))
}

pub async fn list(connection: &mut PgConnection, wanted: &Wanted) -> Result<Vec<DatasetFacts>> {
    let (schemas, names) = restriction(wanted);
    let rows = sqlx::query(LIST)
        .bind(schemas)
        .bind(names)
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| read_failed("list hypertables", &error))?;
    let mut datasets = Vec::with_capacity(rows.len());
    for row in &rows {
        let (dataset, integer_now) = from_row(row)?;
        datasets.push(with_integer_now(connection, dataset, integer_now).await?);
    }
    Ok(datasets)
}

fn from_row(row: &PgRow) -> Result<(DatasetFacts, Option<IntegerNow>)> {
    let dimensions: i32 = column(row, "dimensions")?;
    let now_schema: Option<String> = column(row, "now_schema")?;
    let now_name: Option<String> = column(row, "now_name")?;
    let integer_now = now_schema.zip(now_name).filter(|(_, name)| !name.is_empty());
    let dataset = DatasetFacts {
        name: DatasetName::new(column::<String>(row, "schema")?, column::<String>(row, "name")?),
        owner: column(row, "owner")?,
        droppable_by_us: column(row, "droppable")?,
        kind: TimeKind::from_type_name(&column::<String>(row, "time_type")?),
        integer_now: None,
        integer_now_error: None,
        chunk_interval: column(row, "chunk_interval")?,
        space_dimensions: u32::try_from(dimensions.saturating_sub(1)).unwrap_or(0),
        chunks: Vec::new(),
        relations_in_catalog: u64::try_from(column::<i64>(row, "relations")?).unwrap_or(0),
        native_policies: Vec::new(),
        inbound_foreign_keys: Vec::new(),
        referenced_tables: Vec::new(),
        aggregates: Vec::new(),
    };
    Ok((dataset, integer_now.map(|(schema, name)| RelationName::new(schema, name))))
}

/// Asks the table's integer-now function. A function that fails leaves the table without a now, so that
/// everything in it is kept; the error becomes a warning.
async fn with_integer_now(
    connection: &mut PgConnection,
    mut dataset: DatasetFacts,
    function: Option<IntegerNow>,
) -> Result<DatasetFacts> {
    let Some(function) = function.filter(|_| dataset.kind.is_integer()) else { return Ok(dataset) };
    // The only dynamic parts are two quoted identifiers from the catalog.
    let call = format!(
        "SELECT {}.{}()::bigint",
        quote_identifier(&function.schema),
        quote_identifier(&function.name)
    );
    // A user's function expects the role's own search path; the savepoint takes it back afterwards.
    let failed = |error: sqlx::Error| read_failed("ask an integer-now function", &error);
    sqlx::raw_sql("SAVEPOINT integer_now; SET LOCAL search_path TO DEFAULT")
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let answer = sqlx::query_scalar::<_, Option<i64>>(AssertSqlSafe(call)).fetch_one(&mut *connection).await;
    sqlx::raw_sql("ROLLBACK TO SAVEPOINT integer_now").execute(&mut *connection).await.map_err(failed)?;
    match answer {
        Ok(Some(now)) => dataset.integer_now = Some(now),
        Ok(None) => dataset.integer_now_error = Some("it answers NULL".into()),
        Err(error) => dataset.integer_now_error = Some(in_plain_words(&error)),
    }
    Ok(dataset)
}

const WHAT_IS_IT: &str = "SELECT CASE c.relkind WHEN 'r' THEN coalesce((SELECT 'a chunk of ' || h.table_name \
            FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent \
            JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace \
            JOIN _timescaledb_catalog.hypertable h ON h.schema_name = pn.nspname AND h.table_name = p.relname \
            WHERE i.inhrelid = c.oid), 'a plain table') \
       WHEN 'p' THEN 'a partitioned table' WHEN 'f' THEN 'a foreign table' \
       WHEN 'i' THEN 'an index' WHEN 'S' THEN 'a sequence' \
       WHEN 'v' THEN CASE WHEN EXISTS (SELECT 1 FROM _timescaledb_catalog.continuous_agg a \
            WHERE a.user_view_schema = $1 AND a.user_view_name = $2) THEN 'a continuous aggregate' ELSE 'a view' END \
       WHEN 'm' THEN 'a materialized view' ELSE 'something else' END \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE n.nspname = $1 AND c.relname = $2";

/// For every expected name that is no hypertable: what it is instead.
pub async fn explain_missing(
    connection: &mut PgConnection,
    found: &[DatasetFacts],
    wanted: &Wanted,
) -> Result<Vec<NotADataset>> {
    let mut missing = Vec::new();
    for name in &wanted.expected {
        if found.iter().any(|dataset| dataset.name == *name) {
            continue;
        }
        let what_it_is = sqlx::query_scalar(WHAT_IS_IT)
            .bind(&name.schema)
            .bind(&name.name)
            .fetch_optional(&mut *connection)
            .await
            .map_err(|error| read_failed("look up a table's name", &error))?;
        missing.push(NotADataset { name: name.clone(), what_it_is });
    }
    Ok(missing)
}
