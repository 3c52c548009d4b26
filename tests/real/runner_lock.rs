//! One runner per database, and sessions that somebody ends in the middle of a run.

use std::time::{Duration, Instant};

use timesweep::problem::Kind;

use super::at_work::{AtWork, RULES};
use super::direct::driver_on;
use super::ledger::{self, Ledger, dropped_items, items};
use super::pooler::Pooler;
use super::proxy::Proxy;
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
    // By the id that it names a run is found.
    let run =
        second.err.split("timesweep run ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an id");
    let report = database.ran(&["report", run]).with_code(2).err;
    assert!(report.contains(&format!("run {run} has no report: it is at work")), "{report}");
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
    assert_eq!(items(&report, "blocked").len(), 1);
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

#[tokio::test]
async fn a_lock_whose_session_does_not_answer_is_lost() {
    let database = TestDatabase::new().await;
    let proxy = Proxy::before(&database);
    let mut lock = driver_on(&database, &proxy.url).lock_runner("run one").await.expect("the lock");
    lock.verify().await.expect("the lock is ours");
    proxy.hang();
    let patience = Duration::from_secs(40);
    let answer = tokio::time::timeout(patience, lock.verify()).await.expect("an answer in time");
    let problem = answer.expect_err("the lock is lost");
    assert_eq!(problem.kind, Kind::Partial);
    let said = "the runner's lock is lost: its session did not answer within 30 s";
    assert!(problem.to_string().starts_with(said), "{problem}");
    let began = Instant::now();
    lock.verify().await.expect_err("it stays lost");
    assert!(began.elapsed() < Duration::from_secs(5), "nobody waits for it again");
}

/// As behind a pooler with one server session: the second transaction is never begun.
#[tokio::test]
async fn a_probe_for_a_pooler_that_gets_no_answer_refuses_the_run() {
    let database = TestDatabase::new().await;
    let proxy = Proxy::before(&database);
    proxy.hang_at("BEGIN\0");
    let driver = driver_on(&database, &proxy.url);
    let patience = Duration::from_secs(20);
    let answer =
        tokio::time::timeout(patience, driver.lock_runner("run one")).await.expect("an answer in time");
    let Err(problem) = answer else { panic!("there was no answer to the probe") };
    assert_eq!(problem.kind, Kind::Refused);
    let said = "a transaction pooler is probably in between: a second session got no answer within 10 s";
    assert!(problem.to_string().starts_with(said), "{problem}");
}

#[tokio::test]
async fn behind_a_transaction_pooler_no_run_begins() {
    let database = TestDatabase::new().await;
    let driver = driver_on(&database, &Pooler::before(&database).url);
    let Err(problem) = driver.lock_runner("run one").await else { panic!("there was no pooler") };
    assert_eq!(problem.kind, Kind::Refused);
    let said = "a transaction pooler is in between, so two runs could drop at the same time";
    assert!(problem.to_string().starts_with(said), "{problem}");
}
