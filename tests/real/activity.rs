//! Another drop at work: the run ends as busy and says who it is, however that drop is started.

use std::process::Stdio;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};

use super::support::{Ran, TestDatabase, eventually};

const RULES: &str =
    "[[policies]]\ntable = \"public.*\"\ndrop_after = \"3 days\"\n[caps]\nshare_of_bytes = \"100 %\"\n";
const DROP: &str = "drop_chunks('t', older_than => now() - interval '5 days')";

async fn database() -> TestDatabase {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    database.daily_table("t", 8).await;
    database.daily_table("u", 8).await;
    database
}

async fn pid(session: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(session).await.expect("a pid")
}

/// A session that has dropped two chunks of `t` and has not committed.
async fn open_drop(database: &TestDatabase) -> (PgConnection, i32) {
    let mut session = database.connect().await;
    let pid = pid(&mut session).await;
    session.execute("BEGIN").await.expect("begin");
    session.execute(AssertSqlSafe(format!("SELECT {DROP}"))).await.expect("drop");
    session.execute("SELECT 1").await.expect("the drop is not the last statement");
    (session, pid)
}

fn assert_names(ran: &Ran, pid: i32) {
    let named = format!("another drop is running: process {pid} of role postgres");
    assert!(ran.err.contains(&named) || ran.out.contains(&named), "{ran:?}");
}

#[tokio::test]
async fn a_drop_that_is_not_committed_makes_every_run_busy_and_is_named() {
    let database = database().await;
    let (mut other, pid) = open_drop(&database).await;
    let whole = database.ran(&["run", "--apply"]).with_code(75);
    assert_names(&whole, pid);
    // A table whose chunks are free is left alone as well: two droppers could wait for each other.
    database.configuration(&RULES.replace("public.*", "public.u"));
    let u_only = database.ran(&["run", "--apply"]).with_code(75);
    assert_names(&u_only, pid);
    assert_eq!(database.chunks("u").await, 8);
    other.execute("ROLLBACK").await.expect("rollback");
    database.configuration(RULES);
    database.ran(&["run", "--apply"]).with_code(0);
    assert_eq!((database.chunks("t").await, database.chunks("u").await), (4, 4));
}

#[tokio::test]
async fn a_role_that_sees_no_statements_still_sees_the_drop_by_its_locks() {
    let database = database().await;
    let role = format!("sweeper_{}", uuid::Uuid::now_v7().simple());
    database
        .run(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'secret'; ALTER TABLE t OWNER TO {role}; ALTER TABLE u OWNER TO {role}"
        ))
        .await;
    let (_, host) = database.url.rsplit_once('@').expect("a host");
    let run_as_role = || {
        let output = database
            .timesweep(&["run", "--apply"])
            .env("TEST_DATABASE_URL", format!("postgres://{role}:secret@{host}"))
            .stdin(Stdio::null())
            .output()
            .expect("timesweep starts");
        Ran::from(output)
    };
    let (mut other, pid) = open_drop(&database).await;
    let busy = run_as_role().with_code(75);
    assert_names(&busy, pid);
    other.execute("ROLLBACK").await.expect("rollback");
    let done = run_as_role().with_code(0);
    assert!(
        done.out.contains("cannot see other sessions' statements"),
        "it says that it is half blind: {}",
        done.out
    );
    assert_eq!(database.chunks("t").await, 4);
    database
        .run(&format!("REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"))
        .await;
}

#[tokio::test]
async fn a_procedure_that_drops_is_found_although_its_text_does_not_say_so() {
    let database = database().await;
    let mut gate = database.connect().await;
    gate.execute("SELECT pg_advisory_lock(1)").await.expect("a lock of ours");
    database
        .run(&format!(
            "CREATE PROCEDURE tidy_up() LANGUAGE plpgsql AS $$ BEGIN PERFORM {DROP}; PERFORM pg_advisory_lock(1); END $$"
        ))
        .await;
    let mut other = database.connect().await;
    let pid = pid(&mut other).await;
    let call = tokio::spawn(async move { other.execute("CALL tidy_up()").await.map(|_| ()) });
    let waits =
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'advisory'");
    eventually("the procedure has dropped", async || database.number(&waits).await == 1).await;
    database.configuration(&RULES.replace("public.*", "public.u"));
    let ran = database.ran(&["run", "--apply"]).with_code(75);
    assert_names(&ran, pid);
    assert!(ran.err.contains("CALL tidy_up()"), "{}", ran.err);
    gate.execute("SELECT pg_advisory_unlock(1)").await.expect("unlock");
    call.await.expect("no panic").expect("the procedure ends");
    assert_eq!((database.chunks("t").await, database.chunks("u").await), (6, 8));
}

#[tokio::test]
async fn a_drop_that_only_waits_is_found_by_its_statement() {
    let database = database().await;
    // A reader of an old chunk is what the other drop waits for; it holds no lock of its own yet.
    let mut reader = super::at_work::lock_oldest_chunk(&database, "t").await;
    let mut other = database.connect().await;
    let pid = pid(&mut other).await;
    let waiting =
        tokio::spawn(async move { other.execute(AssertSqlSafe(format!("SELECT {DROP}"))).await.map(|_| ()) });
    let waits =
        format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event_type = 'Lock'");
    eventually("the other drop waits", async || database.number(&waits).await == 1).await;
    database.configuration(&RULES.replace("public.*", "public.u"));
    let ran = database.ran(&["run", "--apply"]).with_code(75);
    assert_names(&ran, pid);
    reader.execute("ROLLBACK").await.expect("rollback");
    waiting.await.expect("no panic").expect("the other drop ends");
    assert_eq!(database.chunks("u").await, 8);
}
