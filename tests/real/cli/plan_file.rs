//! A saved plan: what is refused, and what of it is done after the world has moved on.

use super::story::Story;
use crate::real::support::{Ran, TestDatabase, eventually};

const THREE_DAYS: &str =
    "[[policies]]\ntable = \"t\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"";

async fn database_with_plan(more: &str) -> TestDatabase {
    let database = TestDatabase::new().await;
    database.daily_table("t", 10).await;
    database.configuration(&format!("{THREE_DAYS}\n{more}"));
    database.ran(&["plan", "--out", "plan.json"]).with_code(0);
    database
}

fn write(database: &TestDatabase, name: &str, text: &str) {
    std::fs::write(database.file(name), text).expect("the file is written");
}

#[tokio::test]
async fn a_file_that_is_not_exactly_our_plan_is_refused_and_nothing_is_touched() {
    let database = database_with_plan("").await;
    let plan = std::fs::read_to_string(database.file("plan.json")).expect("the plan");
    let other = TestDatabase::new().await;
    other.daily_table("t", 10).await;
    other.configuration(THREE_DAYS);
    other.ran(&["plan", "--out", "plan.json"]).with_code(0);
    let foreign = std::fs::read_to_string(other.file("plan.json")).expect("the plan");
    let (half, _) = plan.split_once("\"datasets\"").expect("datasets");
    write(&database, "half.json", half);
    write(&database, "edited.json", &plan.replacen("\"keep\"", "\"drop\"", 1));
    write(&database, "version.json", &plan.replace("\"timesweep_plan\": 1", "\"timesweep_plan\": 2"));
    write(&database, "other.json", "{\"some\": \"thing\"}");
    write(&database, "empty.json", "");
    write(&database, "foreign.json", &foreign);
    let mut story = Story::new(&database);
    for (code, file) in [
        (2, "missing.json"),
        (4, "half.json"),
        (4, "edited.json"),
        (4, "version.json"),
        (4, "other.json"),
        (4, "empty.json"),
        (4, "foreign.json"),
    ] {
        story.step(code, &["apply", file]);
    }
    story.note("the policies have changed since");
    story.configure(&THREE_DAYS.replace("3 days", "2 days")).step(4, &["apply", "plan.json"]);
    story.configure(THREE_DAYS);
    database.make_again().await;
    database.daily_table("t", 10).await;
    story.note("the database was dropped and made again").step(4, &["apply", "plan.json"]);
    insta::assert_snapshot!(story.text());
    assert_eq!(database.chunks("t").await, 10);
    assert_eq!(database.runs_that_began(), 0);
}

#[tokio::test]
async fn a_plan_that_has_expired_is_refused() {
    let database = database_with_plan("[plan]\nlifetime = \"1 s\"").await;
    let plan = std::fs::read_to_string(database.file("plan.json")).expect("the plan");
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    let over = format!(
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000000 > {})::int::bigint",
        plan["plan"]["expires_at"]
    );
    eventually("the plan expires", async || database.number(&over).await == 1).await;
    let ran = database.ran(&["apply", "plan.json"]).with_code(4);
    assert!(ran.err.starts_with("error: the plan expired "), "{}", ran.err);
    assert!(ran.err.contains("`plan.lifetime` says how long one is good"), "{}", ran.err);
    assert_eq!(database.chunks("t").await, 10);
}

/// Chunk 1 is dropped by somebody else, 2 grows, 3 is dropped and made again, and an older one appears.
#[tokio::test]
async fn gone_is_skipped_changed_is_left_out_and_new_is_never_touched() {
    let database = database_with_plan("").await;
    // A vacuum of the rows below, in the midst of the story, would change the sizes that it tells.
    database.run("ALTER TABLE t SET (autovacuum_enabled = false)").await;
    let at = |days: u32| format!("date_trunc('day', now()) - interval '{days} days' + interval '1 hour'");
    database
        .run(&format!(
            "SELECT drop_chunks('t', older_than => {nine} + interval '23 hours'); \
             INSERT INTO t SELECT {eight}, n, n FROM generate_series(1, 50000) n; \
             SELECT drop_chunks('t', newer_than => {seven} - interval '1 hour', older_than => {seven} + interval '23 hours'); \
             INSERT INTO t SELECT {seven}, 1, 1; INSERT INTO t SELECT {twenty}, 1, 1",
            nine = at(9),
            eight = at(8),
            seven = at(7),
            twenty = at(20),
        ))
        .await;
    assert_eq!(database.chunks("t").await, 10);
    let mut story = Story::new(&database);
    story.step(3, &["apply", "plan.json"]);
    assert_eq!(database.chunks("t").await, 7);
    let report = database.ran(&["report", "--output", "json"]).with_code(0).json();
    assert_eq!(report["drifts"].as_array().expect("drifts").len(), 3);
    story.note("a second time there is nothing left to do, and what was left out still is");
    story.step(3, &["apply", "plan.json"]);
    assert_eq!(database.chunks("t").await, 7);
    story.note("a new plan has all of it");
    story.step(0, &["run", "--apply"]);
    assert_eq!(database.chunks("t").await, 4);
    insta::assert_snapshot!(story.text());
}

#[tokio::test]
async fn a_plan_that_was_applied_has_nothing_left_to_do() {
    let database = database_with_plan("").await;
    database.ran(&["apply", "plan.json"]).with_code(0);
    assert_eq!(database.chunks("t").await, 4);
    let again = database.ran(&["apply", "plan.json", "--output", "json"]).with_code(0).json();
    assert_eq!(again["verdict"], "nothing_to_do");
    assert_eq!(database.chunks("t").await, 4);
}

#[tokio::test]
async fn a_hold_that_was_added_after_the_plan_keeps_its_chunk() {
    let database = database_with_plan("").await;
    let chunk = "_timescaledb_internal._hyper_1_2_chunk";
    database.ran(&["hold", "add", chunk, "--reason", "the auditor asked", "--author", "ann"]).with_code(0);
    let ran = database.ran(&["apply", "plan.json"]).with_code(3);
    let said = format!("{chunk} of public.t: left out, hold 1 by ann: the auditor asked\n");
    assert!(ran.out.contains(&said), "{}", ran.out);
    assert_eq!(database.chunks("t").await, 5);
}

/// Nobody waits for a plan that cannot be kept: nothing listens at this address, and nothing is asked.
#[tokio::test]
async fn an_impossible_place_for_a_plan_is_refused_before_anything_is_asked() {
    let database = TestDatabase::without_extension().await;
    std::fs::create_dir(database.file("folder")).expect("a folder");
    for place in ["missing/plan.json", "folder", "/proc/plan.json"] {
        let mut command =
            database.timesweep(&["plan", "--table", "t", "--drop-after", "3 days", "--out", place]);
        command.env("TIMESWEEP_URL", "postgres://nobody@127.0.0.1:1/nothing");
        let ran = Ran::from(command.output().expect("timesweep starts")).with_code(2);
        assert!(
            ran.err.starts_with(&format!("error: the plan cannot be written to {place}\n")),
            "{}",
            ran.err
        );
    }
}
