//! Dropping on a real server: exactly the plan, around locks, foreign keys, views and frozen chunks.

use sqlx::Executor;

use super::support::TestDatabase;

const THREE_DAYS: &str =
    "[[policies]]\ntable = \"public.t\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"\n";

#[tokio::test]
async fn a_run_drops_exactly_what_the_plan_says() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 10).await;
    database.configuration(THREE_DAYS);
    let plan = database.ran(&["plan", "--output", "json"]).with_code(0).json();
    assert_eq!(plan["datasets"][0]["chunks"].as_array().expect("chunks").len(), 10);
    let report = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    assert_eq!(report["verdict"], "done");
    assert_eq!(report["datasets"][0]["items"].as_array().expect("items").len(), 6);
    assert_eq!(database.chunks("t").await, 4);
    let again = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    assert_eq!(again["verdict"], "nothing_to_do");
}

#[tokio::test]
async fn a_locked_chunk_is_named_with_its_blocker_and_all_others_go() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 10).await;
    database.configuration(&format!("attempts = 3\n{THREE_DAYS}"));
    let mut reader = database.connect().await;
    let oldest: String = sqlx::query_scalar(
        "SELECT min(c::text) FROM show_chunks('t', older_than => now() - interval '8 days') c",
    )
    .fetch_one(&mut reader)
    .await
    .expect("a chunk");
    reader.execute("BEGIN").await.expect("begin");
    reader.execute(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {oldest}"))).await.expect("read");
    let report = database.ran(&["run", "--apply", "--output", "json"]).with_code(3).json();
    assert_eq!(database.chunks("t").await, 5);
    let items = report["datasets"][0]["items"].as_array().expect("items");
    let blocked: Vec<_> = items.iter().filter(|item| item["outcome"]["outcome"] == "blocked").collect();
    assert_eq!(blocked.len(), 1);
    assert_eq!(blocked[0]["chunk"], oldest.as_str());
    let named = &blocked[0]["outcome"]["blockers"][0];
    assert!(named["statement"].as_str().expect("statement").contains("SELECT count(*)"), "{named}");
    reader.execute("ROLLBACK").await.expect("rollback");
    database.ran(&["run", "--apply"]).with_code(0);
    assert_eq!(database.chunks("t").await, 4);
}

#[tokio::test]
async fn a_view_on_one_chunk_fails_that_chunk_alone() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 10).await;
    database.configuration(THREE_DAYS);
    database
        .run(
            "DO $$ BEGIN EXECUTE format('CREATE VIEW v AS SELECT * FROM %s', \
             (SELECT c FROM show_chunks('t', older_than => now() - interval '5 days') c ORDER BY c LIMIT 1)); END $$",
        )
        .await;
    let ran = database.ran(&["run", "--apply"]).with_code(3);
    assert!(ran.out.contains("because other objects depend on it"), "{}", ran.out);
    assert!(ran.out.contains("hint: drop or change the object that depends on the chunk"), "{}", ran.out);
    assert_eq!(database.chunks("t").await, 5);
}

#[tokio::test]
async fn a_frozen_chunk_stays_and_says_so() {
    let database = TestDatabase::new().await;
    database.daily_table("t", 10).await;
    database.configuration(THREE_DAYS);
    database
        .run("UPDATE _timescaledb_catalog.chunk SET status = status | 4 WHERE id = (SELECT min(id) FROM _timescaledb_catalog.chunk)")
        .await;
    let ran = database.ran(&["plan", "--all"]).with_code(0);
    assert!(ran.out.contains("frozen; the server does not drop it"), "{}", ran.out);
    database.ran(&["run", "--apply"]).with_code(0);
    assert_eq!(database.chunks("t").await, 5);
}
