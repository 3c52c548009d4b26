//! A run that is killed at any step of its journal: the next one settles what was left open, says so,
//! drops what is left, and no byte is counted twice.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use serde_json::Value;
use sqlx::Executor;
use timesweep::retention::model::{ChunkPart, PartState};
use timesweep::retention::name::RelationName;

use super::direct;
use super::ledger::{self, Ledger, dropped_items, items};
use super::support::{Ran, TestDatabase, eventually};

const RULES: &str =
    "[[policies]]\ntable = \"public.*\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"\n";
const TABLES: u32 = 4;
/// Of these days four stay.
const DAYS: u32 = 7;

/// What the next run has to find after a kill with one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeftOpen {
    Nothing,
    NotDropped,
    Dropped,
}

async fn make_tables(database: &TestDatabase, round: u32) {
    for table in 0..TABLES {
        database.daily_table(&format!("r{round}_t{table}"), DAYS).await;
    }
}

fn kill(database: &TestDatabase, point: &str) {
    let output = database
        .timesweep(&["run", "--apply"])
        .env("TIMESWEEP_KILL_AT", point)
        .output()
        .expect("timesweep starts");
    let ran = Ran::from(output.clone());
    assert_eq!(output.status.signal(), Some(9), "the run never came to {point}: {ran:?}");
}

/// The run that was killed last has an end that names the one that settled it, and says what it had dropped.
#[track_caller]
fn assert_settled_run_has_its_report(database: &TestDatabase, next: &Value, point: &str) {
    let listed = database.ran(&["report", "--list", "--output", "json"]).with_code(0).json();
    let killed = listed["runs"][1]["run"].as_str().expect("an id").to_owned();
    let report = database.ran(&["report", &killed, "--output", "json"]).with_code(0).json();
    if point == "run-finished" {
        assert_eq!(next["cut_off"], Value::Null);
        return;
    }
    let by = next["run"].as_str().expect("an id");
    let why = report["stopped"].as_str().expect("why");
    assert!(why.starts_with(&format!("cut off; settled by run {by}")), "{point}: {why}");
    assert_eq!(
        (&report["verdict"], &listed["runs"][1]["outcome"]),
        (&"interrupted".into(), &"interrupted".into())
    );
    let told = &next["cut_off"][0];
    assert_eq!((&told["run"], &told["chunks"]), (&killed.into(), &dropped_items(&report).into()), "{point}");
    let bytes: u64 =
        items(&report, "dropped").iter().map(|item| item["bytes"].as_u64().expect("a size")).sum();
    assert_eq!(told["bytes"], bytes, "{point}");
    assert_eq!(next["past_runs"][0]["chunks"], told["chunks"], "{point}: the runs before know it as well");
}

fn dropped_in_all_reports(database: &TestDatabase) -> usize {
    let listed = database.ran(&["report", "--list", "--output", "json"]).with_code(0).json();
    let ids = listed["runs"].as_array().expect("runs").iter().map(|run| run["run"].as_str().expect("an id"));
    ids.map(|id| dropped_items(&database.ran(&["report", id, "--output", "json"]).with_code(0).json())).sum()
}

/// Kills a run at the N-th time it reaches `point`, for each N; a run after each has to put it right.
async fn survives(point: &str, counts: &[u32], left_open: LeftOpen) {
    let database = TestDatabase::new().await;
    database.configuration(&format!("parallelism = 1\n{RULES}"));
    let mut weights = BTreeMap::new();
    for count in counts {
        make_tables(&database, *count).await;
        let expired = ledger::expired(&database).await;
        let staying = ledger::all(&database).await.len() - expired.len();
        weights.extend(expired);
        kill(&database, &format!("{point}:{count}"));
        let open = ledger::open_intents(&database).await;
        assert_eq!(open.is_empty(), left_open == LeftOpen::Nothing, "{point}:{count}: {open:?}");

        let next = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
        let settled = next["settled"].as_array().expect("settled");
        assert_eq!(settled.len(), open.len(), "{point}:{count}: {settled:?}");
        assert_settled_run_has_its_report(&database, &next, point);
        let dropped = left_open == LeftOpen::Dropped;
        assert!(settled.iter().all(|intent| intent["dropped"] == dropped), "{point}:{count}: {settled:?}");

        let left = ledger::all(&database).await;
        assert_eq!(left.len(), staying, "{point}:{count}: all that should stay is there, and nothing else");
        assert!(weights.keys().all(|chunk| !left.contains_key(chunk)), "{point}:{count}");
        Ledger::read(&database).await.assert_counts(&weights);
        assert_eq!(dropped_in_all_reports(&database), weights.len(), "{point}:{count}: each in one report");
    }
    if left_open != LeftOpen::Nothing {
        let said = database.ran(&["report"]).with_code(0).out;
        assert!(said.contains("was cut off: "), "the report for people says it: {said}");
    }
}

#[tokio::test]
async fn a_run_killed_after_it_began_leaves_nothing_open() {
    survives("run-begun", &[1], LeftOpen::Nothing).await;
}

#[tokio::test]
async fn a_run_killed_before_its_intents_leaves_nothing_open() {
    survives("before-intents", &[1, 2, 3], LeftOpen::Nothing).await;
}

#[tokio::test]
async fn a_run_killed_after_its_intents_has_dropped_nothing_of_them() {
    survives("intents-written", &[1, 2, 3], LeftOpen::NotDropped).await;
}

#[tokio::test]
async fn a_run_killed_before_the_commit_has_dropped_nothing() {
    survives("before-commit", &[1, 2, 3], LeftOpen::NotDropped).await;
}

#[tokio::test]
async fn a_run_killed_after_the_commit_has_its_chunks_counted_by_the_next_one() {
    survives("committed", &[1, 2, 3], LeftOpen::Dropped).await;
}

#[tokio::test]
async fn a_run_killed_before_its_outcomes_has_its_chunks_counted_by_the_next_one() {
    survives("before-outcomes", &[1, 2, 3], LeftOpen::Dropped).await;
}

#[tokio::test]
async fn a_run_killed_after_its_outcomes_leaves_nothing_open() {
    survives("outcomes-written", &[1, 2, 3], LeftOpen::Nothing).await;
}

#[tokio::test]
async fn a_run_killed_after_its_end_leaves_nothing_to_do() {
    survives("run-finished", &[1], LeftOpen::Nothing).await;
}

#[tokio::test]
async fn kills_of_runs_that_settle_kills_lose_and_double_nothing() {
    let database = TestDatabase::new().await;
    database.configuration(&format!("parallelism = 4\n{RULES}"));
    make_tables(&database, 1).await;
    make_tables(&database, 2).await;
    let weights = ledger::expired(&database).await;
    // With four workers; the second run is killed while it settles the first, and so on.
    for point in ["committed:2", "before-outcomes", "outcomes-written", "before-commit:3", "committed"] {
        kill(&database, point);
    }
    let last = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    assert!(!last["settled"].as_array().expect("settled").is_empty());
    assert!(dropped_items(&last) < weights.len());
    assert_eq!(ledger::all(&database).await.len(), (2 * TABLES * 4) as usize);
    Ledger::read(&database).await.assert_counts(&weights);
    assert_eq!(dropped_in_all_reports(&database), weights.len(), "each in one report");
}

/// A killed client's COMMIT may still be on its way through the server when the next run asks.
#[tokio::test]
async fn whether_a_chunk_is_there_is_not_said_while_somebody_is_about_to_drop_it() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 6).await;
    let chunks: Vec<(sqlx::postgres::types::Oid, String)> = sqlx::query_as(
        "SELECT c::oid, relname::text FROM show_chunks('t') c JOIN pg_class p ON p.oid = c ORDER BY 1 LIMIT 2",
    )
    .fetch_all(&mut database.connect().await)
    .await
    .expect("chunks");
    let driver = direct::driver(&database);
    for ((oid, name), (end, still_there)) in chunks.into_iter().zip([("COMMIT", false), ("ROLLBACK", true)]) {
        let relation = RelationName::new("_timescaledb_internal", name);
        let mut dropper = database.connect().await;
        dropper.execute("BEGIN").await.expect("begin");
        let drop = format!("DROP TABLE {relation}");
        dropper.execute(sqlx::AssertSqlSafe(drop)).await.expect("drop");
        let part = ChunkPart { oid: oid.0, relation, bytes: None, rows: None, state: PartState::default() };
        let asking = tokio::spawn({
            let driver = Arc::clone(&driver);
            async move { driver.still_there(&[part]).await }
        });
        let asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND application_name LIKE 'timesweep %' AND query ~ 'pg_locks' AND state = 'idle'";
        eventually("the driver has asked", async || database.number(asked).await == 1).await;
        assert!(!asking.is_finished(), "nobody can know yet");
        dropper.execute(end).await.expect(end);
        assert_eq!(asking.await.expect("no panic").expect("an answer"), [still_there], "{end}");
    }
}
