//! How a run works beside users: several connections on one table, and no error for a busy reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::task::JoinHandle;

use super::at_work::{self, AtWork, RULES};
use super::ledger::{Ledger, dropped_items};
use super::support::{Ran, TestDatabase, eventually};

#[tokio::test]
async fn two_connections_work_on_one_hypertable() {
    let database = TestDatabase::new().await;
    database.configuration(&format!("lock_timeout = \"250 ms\"\n{RULES}"));
    database.daily_table("t", 30).await;
    // The newest chunk in the first batch of each connection is locked, which keeps both waiting at the same time.
    let chunks = [8, 16].map(|number| format!("_timescaledb_internal._hyper_1_{number}_chunk"));
    let mut reader = database.connect().await;
    reader.execute("BEGIN").await.expect("begin");
    for chunk in chunks {
        reader.execute(AssertSqlSafe(format!("SELECT count(*) FROM {chunk}"))).await.expect("read");
    }
    let run = at_work::start(&database);
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND application_name = 'timesweep dropper' AND wait_event_type = 'Lock'";
    let mut watcher = database.connect().await;
    eventually("two droppers wait at once", async || {
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watcher).await.expect("activity") == 2
    })
    .await;
    reader.execute("ROLLBACK").await.expect("rollback");
    let report = Ran::from(run.wait_with_output().expect("the run ends")).with_code(0).json();
    assert_eq!(dropped_items(&report), 26);
    assert_eq!(Ledger::read(&database).await.chunks, 26);
}

#[tokio::test]
async fn nobody_queues_for_long_behind_a_drop_that_waits() {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    let mut run = AtWork::start(&database).await;
    let mut user = database.connect().await;
    user.execute("SET statement_timeout = '1s'").await.expect("a setting of the user's own");
    // Each of these wants a lock on the very chunk that the run waits for.
    for _ in 0..100 {
        user.execute("SELECT count(*) FROM t").await.expect("a reader of the whole table is not held up");
    }
    run.unlock().await;
    run.ended().with_code(0);
}

/// One query of the newest row, as dashboards have it.
async fn read_newest(session: &mut PgConnection) -> sqlx::Result<()> {
    session.execute("SELECT * FROM t ORDER BY ts DESC LIMIT 1").await.map(|_| ())
}

/// A transaction that walks back through time: it locks chunks in the other order than a drop does.
async fn walk_back(session: &mut PgConnection) -> sqlx::Result<()> {
    session.execute("BEGIN").await?;
    for day in (4..154).step_by(30) {
        let day = format!("date_trunc('day', now()) - interval '{day} days'");
        let query = format!("SELECT count(*) FROM t WHERE ts >= {day} AND ts < {day} + interval '1 day'");
        session.execute(AssertSqlSafe(query)).await?;
    }
    session.execute("COMMIT").await.map(|_| ())
}

#[tokio::test]
async fn readers_see_no_error_while_chunks_go() {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    database.daily_table("t", 154).await;
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let readers: Vec<JoinHandle<sqlx::Result<()>>> = (0..2)
        .map(|number| {
            let (stop, reads, url) = (Arc::clone(&stop), Arc::clone(&reads), database.url.clone());
            tokio::spawn(async move {
                let mut session = PgConnection::connect(&url).await?;
                while !stop.load(Ordering::SeqCst) {
                    if number == 0 {
                        read_newest(&mut session).await?;
                    } else {
                        walk_back(&mut session).await?;
                    }
                    reads.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            })
        })
        .collect();
    eventually("the readers read", async || reads.load(Ordering::SeqCst) > 5).await;
    let run = at_work::start(&database);
    let ended = tokio::task::spawn_blocking(|| run.wait_with_output().expect("the run ends"));
    let report = Ran::from(ended.await.expect("no panic")).with_code(0).json();
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.expect("no panic").expect("no reader sees an error");
    }
    assert_eq!(dropped_items(&report), 150);
}
