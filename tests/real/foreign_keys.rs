//! Foreign keys: one that points at a hypertable refuses it, one that points away makes drops lock its target.

use sqlx::Executor;

use super::ledger::{self, Ledger, dropped_items, items};
use super::support::{TestDatabase, eventually};

const RULES: &str =
    "[[policies]]\ntable = \"public.*\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"\n";

#[tokio::test]
async fn a_foreign_key_that_points_at_a_table_refuses_it_and_the_others_go() {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    database.daily_table("t", 8).await;
    database.daily_table("u", 8).await;
    database
        .run(
            "ALTER TABLE t ADD PRIMARY KEY (ts, device); \
             CREATE TABLE child (ts timestamptz, device int, CONSTRAINT points_at_t FOREIGN KEY (ts, device) REFERENCES t (ts, device))",
        )
        .await;
    let ran = database.ran(&["run", "--apply"]).with_code(4);
    for said in [
        "the foreign key points_at_t of public.child points at it, and the server refuses every drop while it does",
        "drop the constraint (points_at_t on public.child), and add it again NOT VALID",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
    assert_eq!((database.chunks("t").await, database.chunks("u").await), (8, 4));
    database.run("ALTER TABLE child DROP CONSTRAINT points_at_t").await;
    database.ran(&["run", "--apply"]).with_code(0);
    assert_eq!(database.chunks("t").await, 4);
}

/// Two hypertables that reference `devices`.
async fn two_tables_that_reference_one(days: u32) -> TestDatabase {
    let database = TestDatabase::new().await;
    database.run("CREATE TABLE devices (id int PRIMARY KEY); INSERT INTO devices VALUES (1)").await;
    for name in ["t", "u"] {
        database.daily_table(name, days).await;
        database.run(&format!("ALTER TABLE {name} ADD FOREIGN KEY (device) REFERENCES devices (id)")).await;
    }
    database
}

#[tokio::test]
async fn four_connections_do_not_lock_each_other_out_of_a_table_that_is_referenced_twice() {
    let database = two_tables_that_reference_one(40).await;
    // So short a wait that drops beside each other would not get their locks.
    database.configuration(&format!("parallelism = 4\nattempts = 1\nlock_timeout = \"1 ms\"\n{RULES}"));
    let weights = ledger::expired(&database).await;
    let plan = database.ran(&["plan"]).with_code(0).out;
    assert!(plan.contains("each drop locks public.devices for a moment, because of a foreign key"), "{plan}");

    // Every lock timeout rolls a transaction back.
    let rolled_back = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()";
    let before = database.number(rolled_back).await;
    let report = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    assert_eq!(dropped_items(&report), weights.len());
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ 'timesweep'";
    eventually("all sessions of the run have ended", async || database.number(ours).await == 0).await;
    let during = database.number(rolled_back).await - before;
    assert!(
        during <= 8,
        "the run reads in a few transactions that it rolls back, and has no other: {during}"
    );
    Ledger::read(&database).await.assert_counts(&weights);
}

#[tokio::test]
async fn a_lock_on_the_referenced_table_is_what_a_blocked_chunk_names() {
    let database = two_tables_that_reference_one(6).await;
    database.configuration(&format!("attempts = 2\n{RULES}"));
    let mut other = database.connect().await;
    other.execute("BEGIN").await.expect("begin");
    other.execute("SELECT * FROM devices").await.expect("read");
    let report = database.ran(&["run", "--apply", "--output", "json"]).with_code(3).json();
    let blocked = items(&report, "blocked");
    assert_eq!(blocked.len(), 4);
    for item in blocked {
        let statement = item["outcome"]["blockers"][0]["statement"].as_str().expect("a blocker");
        assert_eq!(statement, "SELECT * FROM devices");
    }
    other.execute("ROLLBACK").await.expect("rollback");
    database.ran(&["run", "--apply"]).with_code(0);
    assert_eq!((database.chunks("t").await, database.chunks("u").await), (4, 4));
}
