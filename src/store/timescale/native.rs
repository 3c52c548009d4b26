//! The server's own retention policies, which only the Community edition has.
//!
//! Jobs are found by `proc_name` and resolved by the hypertable id of their configuration: the name in
//! the view is the materialization table's in 2.19 and the view's in 2.29. Job 3, which every server
//! has, carries a `drop_after` as well and is no policy.

use std::collections::HashMap;

use sqlx::postgres::types::PgInterval;
use sqlx::postgres::{PgConnection, PgRow};

use crate::problem::Result;
use crate::retention::facts::{DatasetFacts, NativePolicy, NativeRule};
use crate::retention::name::DatasetName;
use crate::retention::policy::DropAfter;
use crate::retention::span::RetentionSpan;
use crate::store::postgres::{column, read_failed};

const POLICIES: &str = "SELECT j.job_id, h.schema_name::text AS schema, h.table_name::text AS name, j.scheduled, \
       CASE WHEN pg_catalog.jsonb_typeof(j.config->'drop_after') = 'string' THEN (j.config->>'drop_after')::interval END AS span, \
       CASE WHEN pg_catalog.jsonb_typeof(j.config->'drop_after') = 'number' THEN (j.config->>'drop_after')::bigint END AS units, \
       (j.config - 'hypertable_id')::text AS rule, coalesce(s.last_run_status = 'Failed', false) AS failed \
     FROM timescaledb_information.jobs j \
     JOIN _timescaledb_catalog.hypertable h ON h.id = (j.config->>'hypertable_id')::int4 \
     LEFT JOIN timescaledb_information.job_stats s USING (job_id) \
     WHERE j.proc_name = 'policy_retention' ORDER BY j.job_id";

pub async fn attach(
    connection: &mut PgConnection,
    datasets: &mut HashMap<DatasetName, &mut DatasetFacts>,
) -> Result<()> {
    let rows = sqlx::query(POLICIES)
        .fetch_all(connection)
        .await
        .map_err(|error| read_failed("list retention policy jobs", &error))?;
    for row in &rows {
        let table = DatasetName::new(column::<String>(row, "schema")?, column::<String>(row, "name")?);
        if let Some(dataset) = datasets.get_mut(&table) {
            dataset.native_policies.push(from_row(row)?);
        }
    }
    Ok(())
}

fn from_row(row: &PgRow) -> Result<NativePolicy> {
    let span = column::<Option<PgInterval>>(row, "span")?.and_then(|interval| span_of(&interval));
    let units = column::<Option<i64>>(row, "units")?.and_then(|number| DropAfter::units(number).ok());
    let rule = match span.map(DropAfter::Span).or(units) {
        Some(after) => NativeRule::DropAfter(after),
        None => NativeRule::Unsupported(column(row, "rule")?),
    };
    Ok(NativePolicy {
        job: column(row, "job_id")?,
        scheduled: column(row, "scheduled")?,
        rule,
        last_run_failed: column(row, "failed")?,
    })
}

/// PostgreSQL keeps the same three parts apart as we do.
pub fn span_of(interval: &PgInterval) -> Option<RetentionSpan> {
    RetentionSpan::from_parts(interval.months, interval.days, interval.microseconds).ok()
}
