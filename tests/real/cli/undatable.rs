//! What cannot be dated is kept, with the reason and what to do about it.

use super::story::Story;
use crate::real::support::TestDatabase;

const TABLES: &str = "CREATE FUNCTION broken() RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RAISE 'no clock today'; END $$; \
     CREATE FUNCTION ninety() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 90::bigint'; \
     CREATE TABLE no_now (ts bigint NOT NULL); \
     CREATE TABLE no_unit (ts bigint NOT NULL); \
     CREATE TABLE now_fails (ts bigint NOT NULL); \
     SELECT create_hypertable(t, 'ts', chunk_time_interval => 10) FROM unnest('{no_now,no_unit,now_fails}'::regclass[]) t; \
     SELECT set_integer_now_func('no_unit', 'ninety'); SELECT set_integer_now_func('now_fails', 'broken'); \
     INSERT INTO no_now SELECT generate_series(0, 99); \
     INSERT INTO no_unit SELECT generate_series(0, 99); \
     INSERT INTO now_fails SELECT generate_series(0, 99)";

#[tokio::test]
async fn a_table_that_cannot_be_dated_keeps_everything_and_says_why() {
    let database = TestDatabase::new().await;
    database.daily_table("number_for_time", 10).await;
    database.run(TABLES).await;
    let mut story = Story::new(&database);
    story.configure(
        "[[policies]]\ntable = \"number_for_time\"\ndrop_after = 3\n\
         [[policies]]\ntable = \"no_*\"\ndrop_after = \"1 day\"\n\
         [[policies]]\ntable = \"now_*\"\ndrop_after = 20",
    );
    story.step(0, &["plan"]);
    story.step(3, &["run", "--apply"]);
    story.step(0, &["explain", "no_unit"]);
    insta::assert_snapshot!(story.text());
    for table in ["number_for_time", "no_now", "no_unit", "now_fails"] {
        assert_eq!(database.chunks(table).await, 10, "{table}");
    }
}

#[tokio::test]
async fn the_same_table_with_its_unit_is_dated() {
    let database = TestDatabase::new().await;
    database.run(TABLES).await;
    let mut story = Story::new(&database);
    story.configure("[[policies]]\ntable = \"no_unit\"\ndrop_after = \"1 min\"\ninteger_unit = \"seconds\"");
    story.step(0, &["run", "--apply"]);
    assert_eq!(database.chunks("no_unit").await, 7);
    story.configure("[[policies]]\ntable = \"no_unit\"\ndrop_after = 40");
    story.step(0, &["explain", "no_unit"]);
    story.step(0, &["plan"]);
    insta::assert_snapshot!(story.text());
}

/// Ten daily chunks each. Only newer versions know `uuid`; elsewhere `by_uuid` stays a plain table.
const ODD_TIMES: &str = "CREATE FUNCTION of_text(t text) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS 'SELECT to_timestamp(t::float8)'; \
     CREATE FUNCTION of_number(t bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS 'SELECT to_timestamp(t / 1000)'; \
     CREATE TABLE by_text (t text NOT NULL); CREATE TABLE by_number (t bigint NOT NULL); CREATE TABLE by_uuid (t uuid NOT NULL); \
     SELECT create_hypertable('by_text', 't', chunk_time_interval => interval '1 day', time_partitioning_func => 'of_text'); \
     SELECT create_hypertable('by_number', 't', chunk_time_interval => interval '1 day', time_partitioning_func => 'of_number'); \
     DO $$ BEGIN PERFORM create_hypertable('by_uuid', 't', chunk_time_interval => interval '1 day'); EXCEPTION WHEN OTHERS THEN NULL; END $$; \
     CREATE VIEW milliseconds AS SELECT extract(epoch FROM now())::bigint * 1000 - day * 86400000 AS ms FROM generate_series(0, 9) day; \
     INSERT INTO by_text SELECT ms / 1000 FROM milliseconds; INSERT INTO by_number SELECT ms FROM milliseconds; \
     INSERT INTO by_uuid SELECT (lpad(to_hex(ms), 12, '0') || '70008000000000000000')::uuid FROM milliseconds";

#[tokio::test]
async fn a_time_of_a_kind_that_is_not_known_keeps_everything_whatever_the_policy() {
    let database = TestDatabase::new().await;
    database.run(ODD_TIMES).await;
    let all = "SELECT count(*) FROM timescaledb_information.chunks";
    let before = database.number(all).await;
    assert!(before == 20 || before == 30, "{before}");
    for rule in [
        "keep_newest = 3",
        "drop_after = \"3 days\"",
        "drop_after = 1",
        "drop_after = \"1 min\"\ninteger_unit = \"nanoseconds\"",
    ] {
        database.configuration(&format!(
            "[[policies]]\ntable = \"public.*\"\n{rule}\n[caps]\nshare_of_bytes = \"100 %\""
        ));
        let run = database.ran(&["run", "--apply"]).with_code(3);
        assert!(
            run.out.contains("ranges of type text through a function cannot be read exactly"),
            "{}",
            run.out
        );
        assert!(run.out.contains("type bigint through a function"), "{}", run.out);
        assert_eq!(
            run.out.contains("ranges of type uuid cannot be read exactly"),
            before == 30,
            "{}",
            run.out
        );
        assert_eq!(database.number(all).await, before, "{rule}");
    }
}
