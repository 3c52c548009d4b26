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
    story.step(0, &["run", "--apply"]);
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
