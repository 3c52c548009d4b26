//! A list of many datasets is read a page at a time, and one dataset alone.

use timesweep::registry::pages::Listed;
use timesweep::retention::ownership::JobId;
use uuid::Uuid;

use super::super::support::TestDatabase;
use super::counter::Counter;
use super::world::{Place, START, name};

const MANY: usize = 100_000;
const PAGE: usize = 100;

/// Claims of a job each; every second job is deleted, and every tenth dataset is held.
async fn fill(database: &TestDatabase) {
    let at = format!("timestamptz 'epoch' + {START} * interval '1 microsecond'");
    database
        .run(&format!(
            "CREATE TEMP TABLE made AS SELECT gen_random_uuid() AS row_id, gen_random_uuid()::text AS dataset, \
               gen_random_uuid() AS job, n % 2 = 0 AS is_deleted, n % 10 = 0 AS is_held \
               FROM generate_series(1, {MANY}) n; \
             INSERT INTO esdl_time_series_info (row_id, esdl_id, registered_at, deactivated_at, job_id) \
               SELECT row_id, dataset, {at}, CASE WHEN is_deleted THEN {at} END, job FROM made; \
             INSERT INTO timesweep_row (row_id, dataset, job, marked_at) \
               SELECT row_id, dataset, job, CASE WHEN is_deleted THEN {START} END FROM made; \
             INSERT INTO timesweep_claim (dataset, job, at) SELECT dataset, job, {START} FROM made; \
             INSERT INTO timesweep_deleted_job (job, at, adopted) \
               SELECT job, {START}, false FROM made WHERE is_deleted; \
             INSERT INTO timesweep_seen_dataset (dataset, first_seen) SELECT dataset, {START} FROM made; \
             INSERT INTO timesweep_hold (dataset) SELECT dataset FROM made WHERE is_held; ANALYZE"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_and_one_dataset_are_read_without_the_rest() {
    let database = TestDatabase::without_extension().await;
    let counter = Counter::before(&database).await;
    let registry = Place::Postgres(counter.url.clone()).open().await;
    fill(&database).await;
    let mut last = None;
    for (listed, several) in [(Listed::Known, 8), (Listed::Marked, 8), (Listed::Held, 8)] {
        let mut after: Option<String> = None;
        for _ in 0..3 {
            let asked = registry.page(listed, after.as_deref(), PAGE, START + 1);
            let (page, rows) = counter.rows_during(asked).await;
            let names = page.expect("a page").names;
            assert_eq!(names.len(), PAGE);
            assert!(names.is_sorted() && after.is_none_or(|after| *names[0].0 > *after), "{listed:?}");
            assert!(rows <= several * PAGE, "{rows} rows for a page of {listed:?}");
            after = names.last().map(|name| name.0.to_string());
            last = names.last().cloned();
        }
    }
    let held = last.expect("a name");
    let (about, rows) = counter.rows_during(registry.about(&[held.clone(), name("nothing")], &[])).await;
    let about = about.expect("a part");
    assert!(about.rows.contains_key(&held) && about.holds.contains_key(&held));
    assert!(rows < 20, "{rows} rows for one dataset");
    let job = about.claims.of(&held)[0].job;
    let (about, rows) = counter.rows_during(registry.about(&[], &[job])).await;
    assert!(about.expect("a part").rows.contains_key(&held));
    assert!(rows < 20, "{rows} rows for one job");
    let (none, rows) = counter.rows_during(registry.about(&[], &[JobId(Uuid::nil())])).await;
    assert!(none.expect("a part").rows.is_empty() && rows < 20);
}
