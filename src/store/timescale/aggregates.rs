//! Continuous aggregates over a hypertable: what is not materialized yet, and how far back a refresh reaches.
//!
//! The invalidation logs cover everything that is not materialized, from the beginning of time and
//! from the watermark on, so no other test is needed (verified on 2.19.3 and 2.29.2).

use std::collections::HashMap;

use jiff::tz::TimeZone;
use sqlx::Row;
use sqlx::postgres::types::PgInterval;
use sqlx::postgres::{PgConnection, PgRow};

use crate::problem::Result;
use crate::retention::facts::{AggregateFacts, DatasetFacts, RefreshWindow};
use crate::retention::name::{DatasetName, RelationName};
use crate::retention::policy::{self, DropAfter};
use crate::retention::time_axis::{TimeAxis, TimeRange};
use crate::store::postgres::{column, read_failed};

use super::catalog::Catalog;
use super::native::span_of;

const AGGREGATES: &str = "SELECT h.schema_name::text AS schema, h.table_name::text AS name, \
       a.user_view_schema::text AS view_schema, a.user_view_name::text AS view_name, \
       j.job_id IS NOT NULL AS has_policy, \
       CASE WHEN pg_catalog.jsonb_typeof(j.config->'start_offset') = 'string' THEN (j.config->>'start_offset')::interval END AS span, \
       CASE WHEN pg_catalog.jsonb_typeof(j.config->'start_offset') = 'number' THEN (j.config->>'start_offset')::bigint END AS units \
     FROM _timescaledb_catalog.continuous_agg a \
     JOIN _timescaledb_catalog.hypertable h ON h.id = a.raw_hypertable_id \
     LEFT JOIN timescaledb_information.jobs j ON j.proc_name = 'policy_refresh_continuous_aggregate' \
       AND (j.config->>'mat_hypertable_id')::int4 = a.mat_hypertable_id \
     ORDER BY 1, 2, 3, 4";

macro_rules! not_materialized {
    ($more:literal) => {
        concat!(
            "SELECT h.schema_name::text AS schema, h.table_name::text AS name, \
               a.user_view_schema::text AS view_schema, a.user_view_name::text AS view_name, i.lo, i.hi \
             FROM _timescaledb_catalog.continuous_agg a \
             JOIN _timescaledb_catalog.hypertable h ON h.id = a.raw_hypertable_id \
             JOIN LATERAL (SELECT l.lowest_modified_value AS lo, l.greatest_modified_value AS hi \
                 FROM _timescaledb_catalog.continuous_aggs_materialization_invalidation_log l \
                 WHERE l.materialization_id = a.mat_hypertable_id \
               UNION ALL SELECT l.lowest_modified_value, l.greatest_modified_value \
                 FROM _timescaledb_catalog.continuous_aggs_hypertable_invalidation_log l \
                 WHERE l.hypertable_id = a.raw_hypertable_id",
            $more,
            ") i ON true WHERE $1::text IS NULL OR (h.schema_name = $1 AND h.table_name = $2)"
        )
    };
}

pub const NOT_MATERIALIZED: &str = not_materialized!("");
/// Newer versions keep pending work in a table of its own.
pub const NOT_MATERIALIZED_WITH_RANGES: &str = not_materialized!(
    " UNION ALL SELECT r.lowest_modified_value, r.greatest_modified_value \
       FROM _timescaledb_catalog.continuous_aggs_materialization_ranges r WHERE r.materialization_id = a.mat_hypertable_id"
);

pub async fn attach(
    connection: &mut PgConnection,
    catalog: &Catalog,
    datasets: &mut HashMap<DatasetName, &mut DatasetFacts>,
) -> Result<()> {
    let rows = sqlx::query(AGGREGATES)
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| read_failed("list continuous aggregates", &error))?;
    for row in &rows {
        if let Some(dataset) = datasets.get_mut(&table_of(row)?) {
            let refresh = refresh_window(row, dataset, catalog.now)?;
            dataset.aggregates.push(AggregateFacts {
                view: view_of(row)?,
                not_materialized: Vec::new(),
                refresh,
            });
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let pending = not_materialized(connection, catalog, None)
        .await
        .map_err(|error| read_failed("read what continuous aggregates have not materialized", &error))?;
    for (table, view, range) in pending {
        let Some(dataset) = datasets.get_mut(&table) else { continue };
        for aggregate in dataset.aggregates.iter_mut().filter(|aggregate| aggregate.view == view) {
            aggregate.not_materialized.push(range);
        }
    }
    Ok(())
}

/// Ranges that are not in an aggregate yet, of one hypertable or of all.
pub async fn not_materialized(
    connection: &mut PgConnection,
    catalog: &Catalog,
    table: Option<&DatasetName>,
) -> Result<Vec<(DatasetName, RelationName, TimeRange)>, sqlx::Error> {
    let statement = if catalog.layout.has_materialization_ranges {
        NOT_MATERIALIZED_WITH_RANGES
    } else {
        NOT_MATERIALIZED
    };
    let rows = sqlx::query(statement)
        .bind(table.map(|name| name.schema.as_str()))
        .bind(table.map(|name| name.name.as_str()))
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let table =
                DatasetName::new(row.try_get::<String, _>("schema")?, row.try_get::<String, _>("name")?);
            let view = RelationName::new(
                row.try_get::<String, _>("view_schema")?,
                row.try_get::<String, _>("view_name")?,
            );
            // The catalog's upper value is inside the range, ours is not.
            let end = row.try_get::<i64, _>("hi")?.saturating_add(1);
            Ok((table, view, TimeRange::new(row.try_get("lo")?, end)))
        })
        .collect()
}

fn table_of(row: &PgRow) -> Result<DatasetName> {
    Ok(DatasetName::new(column::<String>(row, "schema")?, column::<String>(row, "name")?))
}

fn view_of(row: &PgRow) -> Result<RelationName> {
    Ok(RelationName::new(column::<String>(row, "view_schema")?, column::<String>(row, "view_name")?))
}

/// The job's worker counts in a zone that we do not know: its midnight, its months and, for a time column
/// without zone, its very now may lie this much earlier than ours.
const ZONES_APART: i64 = 26 * 3_600_000_000;

/// A start offset that cannot be computed is taken as unlimited, which protects everything.
fn refresh_window(row: &PgRow, dataset: &DatasetFacts, now: i64) -> Result<RefreshWindow> {
    if !column::<bool>(row, "has_policy")? {
        return Ok(RefreshWindow::None);
    }
    let span = column::<Option<PgInterval>>(row, "span")?.and_then(|interval| span_of(&interval));
    let units = column::<Option<i64>>(row, "units")?.and_then(|number| DropAfter::units(number).ok());
    let axis = TimeAxis::new(dataset.kind.clone(), None);
    let start = span
        .map(DropAfter::Span)
        .or(units)
        .and_then(|offset| policy::cutoff(offset, &axis, now, dataset.integer_now, &TimeZone::UTC).ok());
    let margin = if dataset.kind.is_integer() { 0 } else { ZONES_APART };
    Ok(start.map_or(RefreshWindow::Unlimited, |start| RefreshWindow::From(start.saturating_sub(margin))))
}
