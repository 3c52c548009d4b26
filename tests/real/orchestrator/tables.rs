//! The tables: made where there are none, adopted untouched, refused where they are somebody else's.

use timesweep::omotes::tables;
use timesweep::problem::{Kind, Result};
use timesweep::registry;
use timesweep::registry::beside::Neighbour;

use super::super::support::TestDatabase;
use super::place::settings;

const OBJECTS: &str = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";

/// As OMOTES' own migrations leave them.
const THEIRS: &str = "CREATE TYPE jobstatus AS ENUM ('REGISTERED', 'SUBMITTED', 'RUNNING'); \
     CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); \
     INSERT INTO alembic_version VALUES ('543bc8f6ad87'); \
     CREATE TABLE job (job_id uuid PRIMARY KEY, celery_id varchar, workflow_type varchar NOT NULL, \
       status jobstatus NOT NULL, registered_at timestamptz NOT NULL, submitted_at timestamptz, \
       running_at timestamptz, timeout_after_ms integer, job_reference varchar); \
     CREATE TABLE job_starts (job_id uuid REFERENCES job, started_at timestamptz, \
       PRIMARY KEY (job_id, started_at)); \
     CREATE TABLE esdl_time_series_info (row_id uuid PRIMARY KEY, esdl_id varchar UNIQUE, \
       registered_at timestamptz NOT NULL, deactivated_at timestamptz, job_id uuid, job_reference varchar)";

async fn prepare(database: &TestDatabase) -> Result<()> {
    tables::prepare(&Neighbour::of(&settings(&database.url)).expect("a server")).await
}

#[tokio::test]
async fn tables_are_made_once_whoever_starts_first() {
    for registry_first in [false, true] {
        let database = TestDatabase::without_extension().await;
        if registry_first {
            registry::open(&settings(&database.url)).await.expect("the registry");
        }
        let (one, two, three) = tokio::join!(prepare(&database), prepare(&database), prepare(&database));
        one.and(two).and(three).expect("prepared");
        registry::open(&settings(&database.url)).await.expect("the registry");
        prepare(&database).await.expect("prepared again");
        let heads = "SELECT count(*) FROM alembic_version WHERE version_num = '543bc8f6ad87'";
        assert_eq!(database.number(heads).await, 1);
        assert_eq!(database.number("SELECT count(*) FROM job").await, 0);
    }
}

#[tokio::test]
async fn tables_of_an_earlier_build_get_what_they_lack() {
    let database = TestDatabase::without_extension().await;
    prepare(&database).await.expect("prepared");
    database
        .run(
            "DROP TABLE timesweep_start; ALTER TABLE timesweep_job_over DROP COLUMN by_time; \
             INSERT INTO timesweep_job_over (job) VALUES (gen_random_uuid()); \
             DELETE FROM timesweep_omotes_version WHERE version = 2",
        )
        .await;
    prepare(&database).await.expect("prepared again");
    let lasting = "SELECT count(*) FROM timesweep_job_over WHERE NOT by_time";
    assert_eq!(database.number(lasting).await, 1);
    assert_eq!(database.number("SELECT count(*) FROM timesweep_start").await, 0);
}

#[tokio::test]
async fn tables_of_omotes_are_adopted_untouched() {
    let database = TestDatabase::without_extension().await;
    database.run(THEIRS).await;
    database.run("INSERT INTO job VALUES (gen_random_uuid(), 'x', 'w', 'RUNNING', now())").await;
    let shape = "SELECT string_agg(attrelid::regclass || attname || atttypid || attnotnull, ',' \
           ORDER BY attrelid::regclass::text, attnum) FROM pg_attribute \
         WHERE attnum > 0 AND attrelid IN ('job'::regclass, 'job_starts'::regclass, 'alembic_version'::regclass, \
           'esdl_time_series_info'::regclass)";
    let look = async || -> String {
        sqlx::query_scalar(shape).fetch_one(&mut database.connect().await).await.expect("the shape")
    };
    let before = look().await;
    prepare(&database).await.expect("adopted");
    assert_eq!(look().await, before);
    assert_eq!(database.number("SELECT count(*) FROM job").await, 1);
    let ours = TestDatabase::without_extension().await;
    prepare(&ours).await.expect("made");
    let made: String =
        sqlx::query_scalar(shape).fetch_one(&mut ours.connect().await).await.expect("the shape");
    let without_type = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    assert_eq!(without_type(&made), without_type(&before), "what we make has the same shape");
}

#[tokio::test]
async fn tables_that_are_not_those_of_omotes_are_refused_and_nothing_is_touched() {
    for (change, cause) in [
        ("UPDATE alembic_version SET version_num = 'aaaa'", "alembic_version has aaaa, not 543bc8f6ad87"),
        ("DELETE FROM alembic_version", "alembic_version is empty"),
        ("DROP TABLE alembic_version", "there is job, but no alembic_version that says whose it is"),
        ("ALTER TABLE job DROP celery_id", "job needs a column celery_id of type character varying or text"),
        ("DROP TABLE job_starts", "job_starts needs a column job_id of type uuid"),
        (
            "ALTER TABLE job ALTER timeout_after_ms TYPE text",
            "job needs a column timeout_after_ms of type integer",
        ),
        (
            "ALTER TYPE jobstatus RENAME VALUE 'RUNNING' TO 'running'",
            "the type jobstatus has no label RUNNING",
        ),
    ] {
        let database = TestDatabase::without_extension().await;
        database.run(THEIRS).await;
        database.run(change).await;
        let before = database.number(OBJECTS).await;
        let problem = prepare(&database).await.expect_err(change);
        assert_eq!((problem.kind, problem.causes.as_slice()), (Kind::Refused, &[cause.to_owned()][..]));
        assert!(problem.hint.is_some_and(|hint| hint.contains("543bc8f6ad87")), "{change}");
        assert_eq!(database.number(OBJECTS).await, before, "{change}");
    }
}

#[tokio::test]
async fn a_registry_in_a_file_is_no_place_for_jobs() {
    let problem = Neighbour::of(&settings("/var/lib/timesweep/registry.db")).expect_err("a file");
    assert_eq!(problem.kind, Kind::Usage);
}
