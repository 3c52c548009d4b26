//! Continuous aggregates, on catalog fixtures: the Apache edition keeps their rows but cannot make them.
//!
//! It does not drop chunks of a table that has one, either. So these tests stop at the server's licence
//! error where the guard lets a chunk go, which shows that it was tried.

use timesweep::store::{Change, DropFailure};

use super::direct;
use super::ledger::items;
use super::support::{Ran, TestDatabase};

const RULES: &str =
    "[[policies]]\ntable = \"public.*\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"\n";
const ALLOW: &str = "[guards]\ncontinuous_aggregates = \"allow\"\n";

/// `t` with ten daily chunks, and `public.t_daily` over it; an ordinary hypertable plays its own table.
async fn table_with_aggregate() -> TestDatabase {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    database.daily_table("t", 10).await;
    database
        .run(
            "CREATE SCHEMA inner_life; CREATE TABLE inner_life.mat (ts timestamptz NOT NULL); \
             SELECT create_hypertable('inner_life.mat', 'ts'); \
             INSERT INTO _timescaledb_catalog.continuous_agg (mat_hypertable_id, raw_hypertable_id, user_view_schema, user_view_name, \
               partial_view_schema, partial_view_name, direct_view_schema, direct_view_name) \
             SELECT m.id, r.id, 'public', 't_daily', 'inner_life', 'partial', 'inner_life', 'direct' \
               FROM _timescaledb_catalog.hypertable m, _timescaledb_catalog.hypertable r WHERE m.table_name = 'mat' AND r.table_name = 't'",
        )
        .await;
    database
}

/// The rows of the day that was so many days ago have changed since they were materialized.
fn changed(log: &str, id: &str, days_ago: u32) -> String {
    format!(
        "INSERT INTO _timescaledb_catalog.{log} SELECT {id}, \
           _timescaledb_functions.to_unix_microseconds(date_trunc('day', now()) - interval '{days_ago} days'), \
           _timescaledb_functions.to_unix_microseconds(date_trunc('day', now()) - interval '{days_ago} days' + interval '1 hour') \
         FROM _timescaledb_catalog.continuous_agg"
    )
}

fn materialization_log(days_ago: u32) -> String {
    changed("continuous_aggs_materialization_invalidation_log", "mat_hypertable_id", days_ago)
}

/// A refresh policy; scheduled never, because the Apache edition cannot run it.
async fn refresh_policy(database: &TestDatabase, start_offset: &str) {
    database
        .run(&format!(
            "DELETE FROM _timescaledb_config.bgw_job WHERE proc_name = 'policy_refresh_continuous_aggregate'; \
             INSERT INTO _timescaledb_config.bgw_job (application_name, schedule_interval, max_runtime, max_retries, retry_period, \
               proc_schema, proc_name, owner, scheduled, hypertable_id, config) \
             SELECT 'Refresh [test]', '1 day', '5 min', -1, '5 min', '_timescaledb_functions', 'policy_refresh_continuous_aggregate', \
               'postgres'::regrole, false, mat_hypertable_id, \
               jsonb_build_object('mat_hypertable_id', mat_hypertable_id, 'start_offset', {start_offset}, 'end_offset', '1 hour') \
             FROM _timescaledb_catalog.continuous_agg"
        ))
        .await;
}

/// How many chunks of `t` the plan drops and refuses.
fn decided(database: &TestDatabase) -> (usize, usize) {
    let plan = database.ran(&["plan", "--output", "json"]).with_code(0).json();
    let table =
        plan["datasets"].as_array().expect("datasets").iter().find(|dataset| dataset["name"]["name"] == "t");
    let chunks = table.expect("t")["chunks"].as_array().expect("chunks");
    let count = |decision: &str| chunks.iter().filter(|chunk| chunk["decision"] == decision).count();
    (count("drop"), count("refuse"))
}

fn assert_says(ran: &Ran, said: &str) {
    assert!(ran.out.contains(said), "{said}: {}", ran.out);
}

#[tokio::test]
async fn a_range_that_is_not_materialized_is_refused_unless_that_is_allowed() {
    let database = table_with_aggregate().await;
    assert_eq!(decided(&database), (6, 0));
    database.run(&materialization_log(7)).await;
    assert_eq!(decided(&database), (5, 1));
    database.run(&changed("continuous_aggs_hypertable_invalidation_log", "raw_hypertable_id", 9)).await;
    assert_eq!(decided(&database), (4, 2), "both logs count");
    assert_says(&database.ran(&["plan", "--all"]).with_code(0), "public.t_daily");
    database.ran(&["check"]).with_code(4);
    // On this edition the others fail for want of a licence; what matters is that it does not end with 0.
    let ran = database.ran(&["run", "--apply"]).with_code(4);
    assert_says(&ran, "and 1 more would go, but a guard keeps them");
    assert_says(&ran, "guards.continuous_aggregates");
    database.configuration(&format!("{RULES}{ALLOW}"));
    assert_eq!(decided(&database), (6, 0));
    let report = database.ran(&["run", "--apply", "--output", "json"]).with_code(3).json();
    let failed = items(&report, "failed");
    assert_eq!(failed.len(), 6, "every chunk was tried");
    assert!(failed[0]["outcome"]["message"].as_str().expect("a message").contains("license"), "{failed:?}");
    assert_eq!(database.chunks("t").await, 10);
}

#[tokio::test]
async fn a_refresh_that_reaches_into_a_chunk_refuses_it() {
    let database = table_with_aggregate().await;
    // The cutoff is at midnight three days ago, the refresh begins on the day before that.
    // Five days, of which 26 hours are what the zones of the job and ours may be apart.
    refresh_policy(&database, "'3 days 22 hours'::text").await;
    let (dropped, refused) = decided(&database);
    assert_eq!(
        (dropped, refused),
        (4, 2),
        "what the refresh still reads is refused, what lies before it is not"
    );
    refresh_policy(&database, "NULL::text").await;
    assert_eq!(decided(&database), (0, 6), "without a start it reads everything");
    refresh_policy(&database, "'1 day'::text").await;
    assert_eq!(decided(&database), (6, 0));
    refresh_policy(&database, "NULL::text").await;
    database.configuration(&format!("{RULES}{ALLOW}"));
    assert_eq!(decided(&database), (6, 0));
}

#[tokio::test]
async fn rows_that_change_between_plan_and_drop_keep_their_chunk() {
    let database = table_with_aggregate().await;
    let table = direct::table(&database, "t").await;
    assert_eq!(table.aggregates.len(), 1);
    assert!(table.aggregates[0].not_materialized.is_empty());
    database.run(&materialization_log(8)).await;
    // Oldest first: nine days ago, eight, seven.
    let answer = direct::drop_them(&database, &table, &table.chunks[0..3]).await;
    let differs = Change::Differs("it now holds rows that are not in public.t_daily yet".into());
    assert_eq!(answer, Err(DropFailure::Changed(vec![(1, differs)])));
    assert_eq!(database.chunks("t").await, 10);
}
