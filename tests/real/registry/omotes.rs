//! A database that OMOTES' own migrations made: adopted untouched, whatever its rows say.

use timesweep::problem::Kind;
use timesweep::registry;
use timesweep::retention::ownership::OwnedName;
use timesweep::retention::ownership::check::{Decision, Wait};

use super::super::support::TestDatabase;
use super::world::{HOUR, Place, SETTINGS, START, id, listed};
use super::{adoption, place};

/// What stands there before a registry is opened.
pub const TABLES: &str = "CREATE TYPE jobstatus AS ENUM ('REGISTERED', 'SUBMITTED', 'RUNNING'); \
     CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); \
     INSERT INTO alembic_version VALUES ('543bc8f6ad87'); \
     CREATE TABLE job (job_id uuid PRIMARY KEY, celery_id varchar, workflow_type varchar NOT NULL, \
       status jobstatus NOT NULL, registered_at timestamptz NOT NULL, submitted_at timestamptz, \
       running_at timestamptz, timeout_after_ms integer, job_reference varchar); \
     CREATE TABLE esdl_time_series_info (row_id uuid PRIMARY KEY, esdl_id varchar UNIQUE, \
       registered_at timestamptz NOT NULL, deactivated_at timestamptz, job_id uuid, job_reference varchar)";

/// Columns, constraints and indexes of a table, as text.
const SHAPE: &str = "SELECT string_agg(line, ' ; ' ORDER BY line) FROM ( \
       SELECT format('%s %s %s', attname, format_type(atttypid, atttypmod), attnotnull) AS line \
         FROM pg_attribute WHERE attrelid = 'esdl_time_series_info'::regclass AND attnum > 0 \
       UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint \
         WHERE conrelid = 'esdl_time_series_info'::regclass \
       UNION ALL SELECT indexdef FROM pg_indexes WHERE tablename = 'esdl_time_series_info' \
       UNION ALL SELECT tgname FROM pg_trigger WHERE tgrelid = 'esdl_time_series_info'::regclass) s";

async fn installation() -> (TestDatabase, Place) {
    let database = TestDatabase::without_extension().await;
    database.run(TABLES).await;
    let place = place(&database);
    (database, place)
}

async fn shape(database: &TestDatabase) -> String {
    sqlx::query_scalar(SHAPE).fetch_one(&mut database.connect().await).await.expect("the shape")
}

#[tokio::test]
async fn an_existing_installation_is_adopted_and_its_table_never_altered() {
    let (database, place) = installation().await;
    let before = shape(&database).await;
    adoption::what_is_there_enters_the_ledger(place).await;
    assert_eq!(shape(&database).await, before);
    let (ours, _place) = (TestDatabase::without_extension().await, ());
    drop(super::place(&ours).open().await);
    assert_eq!(shape(&ours).await, before, "what we make has the same shape");
}

#[tokio::test]
async fn rows_that_others_write_beside_us_are_taken_in() {
    let (_database, place) = installation().await;
    adoption::what_others_change_is_taken_in(place).await;
    let (_database, place) = installation().await;
    adoption::a_deletion_meets_a_row_that_nobody_has_read_yet(place).await;
    let (_database, place) = installation().await;
    adoption::rows_that_mean_nothing_stay(place).await;
}

#[tokio::test]
async fn a_reference_of_a_job_stays_with_its_job() {
    let (database, place) = installation().await;
    place.insert(Some("e"), Some(1), None).await;
    database.run("UPDATE esdl_time_series_info SET job_reference = 'mine'").await;
    let registry = place.open().await;
    let deleted = timesweep::retention::ownership::event::Event::Deleted(id(1));
    registry.record(&[deleted], START + HOUR).await.expect("record");
    let reference = "SELECT count(*) FROM esdl_time_series_info WHERE job_reference = 'mine' AND deactivated_at IS NOT NULL";
    assert_eq!(database.number(reference).await, 1);
    let other = timesweep::retention::ownership::event::Event::Succeeded {
        job: id(2),
        dataset: OwnedName("e".into()),
    };
    registry.record(&[other], START + 2 * HOUR).await.expect("record");
    let reference =
        "SELECT count(*) FROM esdl_time_series_info WHERE job_reference IS NULL AND deactivated_at IS NULL";
    assert_eq!(database.number(reference).await, 1);
}

/// A job that has been running since before its data was written, and that we see in the list only after.
#[tokio::test]
async fn a_running_job_protects_what_it_wrote_before_we_first_saw_it() {
    let (database, place) = installation().await;
    let registry = place.open().await;
    assert!(registry.live_jobs().await.expect("jobs").is_empty());
    database
        .run(&format!(
            "INSERT INTO job (job_id, workflow_type, status, registered_at) VALUES ('{}', 'w', 'RUNNING', \
             timestamptz 'epoch' + {} * interval '1 microsecond')",
            id(1).0,
            START - HOUR
        ))
        .await;
    let mut decisions = Vec::new();
    for hour in [1, 2, 50, 51] {
        let mut inventory = listed(&["e"]);
        inventory.live_jobs = registry.live_jobs().await.expect("jobs");
        let adopts = |_: &OwnedName| true;
        let checked = registry.check(&inventory, &SETTINGS, &adopts, START + hour * HOUR).await;
        decisions.extend(checked.expect("check").expect("plausible").decisions.into_iter().map(|(_, it)| it));
        registry.announce().await.expect("announce");
    }
    assert_eq!(decisions[3], Decision::Wait(Wait::LiveJobs(vec![id(1)])), "{decisions:?}");
}

#[tokio::test]
async fn the_list_of_live_jobs_is_told_and_an_error_of_it_is_one() {
    let database = TestDatabase::without_extension().await;
    let registry = place(&database).open().await;
    assert!(registry.live_jobs().await.expect("no table").is_empty());
    let advice = registry.advice().await.expect("advice").join("\n");
    assert!(advice.contains("there is no table `job`"), "{advice}");
    database.run("CREATE TABLE job (something text)").await;
    assert!(registry.live_jobs().await.is_err(), "a table of that name without our column");
    database.run("DROP TABLE job").await;
    database
        .run(&TABLES.split("; ").filter(|part| !part.contains("esdl_time")).collect::<Vec<_>>().join("; "))
        .await;
    let advice = registry.advice().await.expect("advice").join("\n");
    assert!(advice.contains("says which jobs are at work"), "{advice}");
}

#[tokio::test]
async fn another_table_of_that_name_and_a_newer_registry_are_refused() {
    let database = TestDatabase::without_extension().await;
    database.run("CREATE TABLE esdl_time_series_info (row_id text PRIMARY KEY)").await;
    let settings = place(&database).settings();
    let refused = registry::open(&settings).await.map(|_| ()).expect_err("other columns");
    assert_eq!(refused.kind, Kind::Refused, "{refused}");
    database.run("DROP TABLE esdl_time_series_info").await;
    drop(place(&database).open().await);
    database.run("INSERT INTO timesweep_registry_version (version) VALUES (2)").await;
    let refused = registry::open(&settings).await.map(|_| ()).expect_err("newer");
    assert!(refused.sentence.contains("newer"), "{refused}");
}
