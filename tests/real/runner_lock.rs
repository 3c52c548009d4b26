//! One runner per database, and sessions that somebody ends in the middle of a run.

use super::at_work::{AtWork, RULES};
use super::ledger::{self, Ledger, dropped_items, items};
use super::support::{TestDatabase, eventually};

const OURS: &str = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE";

#[tokio::test]
async fn a_second_run_is_busy_and_names_the_first() {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    let mut first = AtWork::start(&database).await;
    let pid = database.number(&format!("SELECT pid::bigint {OURS} 'timesweep run %'")).await;

    let second = database.ran(&["run", "--apply"]).with_code(75);
    let named = format!("(process {pid}, role postgres, from 127.0.0.1, since 2");
    assert!(
        second.err.contains("another run holds the lock on this database: timesweep run "),
        "{}",
        second.err
    );
    assert!(second.err.contains(&named), "{}", second.err);
    assert!(second.err.contains("hint: try again when it has ended"), "{}", second.err);
    // The lock is the database's, not the state file's: a run with another journal is kept out as well.
    let other_state = database.file("other.db").display().to_string();
    database.ran(&["--state", &other_state, "run", "--apply"]).with_code(75);

    first.unlock().await;
    let report = first.ended().with_code(0).json();
    assert_eq!(dropped_items(&report), 16);
    assert_eq!(Ledger::read(&database).await.chunks, 16);
}

#[tokio::test]
async fn a_run_whose_lock_is_taken_away_stops_with_a_whole_journal() {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    let run = AtWork::start(&database).await;
    let ended =
        database.number(&format!("SELECT count(pg_terminate_backend(pid)) {OURS} 'timesweep run %'")).await;
    assert_eq!(ended, 1);
    let report = run.ended().with_code(3).json();
    let why = report["stopped"].as_str().expect("stopped");
    assert!(why.starts_with("the runner's lock is lost: its session has ended"), "{why}");
    assert_eq!(dropped_items(&report), 15);
    assert_eq!(items(&report, "not_tried").len(), 1);
    assert!(ledger::open_intents(&database).await.is_empty());
    let next = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    assert!(next["settled"].as_array().expect("settled").is_empty());
    assert_eq!(Ledger::read(&database).await.chunks, 16);
}

#[tokio::test]
async fn a_dropper_that_is_terminated_is_replaced_and_nothing_is_counted_twice() {
    let database = TestDatabase::new().await;
    // Waits long enough to be met in the middle of its transaction.
    database.configuration(&format!("lock_timeout = \"250 ms\"\n{RULES}"));
    let mut run = AtWork::start(&database).await;
    // While it waits for the chunk's lock, with the transaction open.
    let terminate = format!(
        "SELECT count(pg_terminate_backend(pid)) {OURS} 'timesweep dropper' AND wait_event_type = 'Lock'"
    );
    for _ in 0..2 {
        eventually("a dropper is terminated", async || database.number(&terminate).await > 0).await;
    }
    run.unlock().await;
    let report = run.ended().with_code(0).json();
    assert_eq!(report["verdict"], "done");
    assert_eq!(dropped_items(&report), 16);
    let ledger = Ledger::read(&database).await;
    assert_eq!((ledger.chunks, ledger.open), (16, 0));
}
