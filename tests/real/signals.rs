//! SIGINT and SIGTERM: what is in hand is finished and journaled, the rest is reported as not tried.
//! A second signal ends a run that cannot finish what it has in hand.

use std::time::Duration;

use super::at_work::{AtWork, RULES};
use super::ledger::{self, Ledger, dropped_items, items};
use super::proxy::Proxy;
use super::support::{TestDatabase, eventually};

async fn stopped_by(signal: &str, code: i32) {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    let run = AtWork::start(&database).await;
    run.signal(signal);
    let report = run.ended().with_code(code).json();
    assert_eq!(report["verdict"], "interrupted");
    assert_eq!(report["stopped"], "a signal ended the run");
    assert_eq!(dropped_items(&report), 15);
    assert!(items(&report, "not_tried").is_empty(), "it was tried for as long as the run lasted");
    let stuck = items(&report, "blocked");
    assert_eq!(stuck.len(), 1);
    let said =
        "it waited for a lock on the chunk or its table that another session holds; the run was interrupted";
    assert_eq!(stuck[0]["outcome"]["why"], said);
    let blocker = &stuck[0]["outcome"]["blockers"][0];
    assert_eq!((&blocker["role"], &blocker["address"]), (&"postgres".into(), &"127.0.0.1".into()));
    assert_eq!(database.chunks("t").await, 5);
    assert!(ledger::open_intents(&database).await.is_empty(), "every intent has its outcome");
    let listed = database.ran(&["report", "--list", "--output", "json"]).with_code(0).json();
    assert_eq!(listed["runs"][0]["exit_code"], code, "the journal knows how the run ended: {listed}");

    let next = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    assert!(next["settled"].as_array().expect("settled").is_empty(), "nothing was left to settle");
    assert_eq!(dropped_items(&next), 1);
    assert_eq!(Ledger::read(&database).await.chunks, 16);
}

#[tokio::test]
async fn an_interrupt_ends_the_run_with_130_and_a_whole_journal() {
    stopped_by("INT", 130).await;
}

#[tokio::test]
async fn a_termination_ends_the_run_with_143_and_a_whole_journal() {
    stopped_by("TERM", 143).await;
}

/// The connection hangs, so the first signal cannot end the run, and the second one has to.
async fn ended_at_once_by(first: &str, second: &str, code: i32) {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    let proxy = Proxy::before(&database);
    let mut run = AtWork::start_on(&database, &proxy.url).await;
    proxy.hang();
    eventually("the run waits for an answer", async || proxy.has_swallowed()).await;
    run.signal(first);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(run.is_running(), "one signal lets the run finish what it has in hand");
    run.signal(second);
    eventually("the run ends", async || !run.is_running()).await;
    let ran = run.ended().with_code(code);
    assert_eq!(ran.out, "");
    let said = "error: a second signal ended the run at once; the next run settles what was in hand\n";
    assert_eq!(ran.err, said);
    let others =
        "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    database.run(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")).await;
    let still = format!("SELECT count(*) FROM pg_stat_activity WHERE {others}");
    eventually("no other session is left", async || database.number(&still).await == 0).await;
    database.ran(&["run", "--apply"]).with_code(0);
    let ledger = Ledger::read(&database).await;
    assert_eq!((ledger.chunks, ledger.open), (16, 0));
}

#[tokio::test]
async fn a_second_termination_ends_a_run_that_hangs() {
    ended_at_once_by("TERM", "TERM", 143).await;
}

#[tokio::test]
async fn an_interrupt_after_a_termination_ends_a_run_that_hangs() {
    ended_at_once_by("TERM", "INT", 130).await;
}
