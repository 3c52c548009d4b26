//! SIGINT and SIGTERM: what is in hand is finished and journaled, the rest is reported as not tried.

use super::at_work::{AtWork, RULES};
use super::ledger::{self, Ledger, dropped_items, items};
use super::support::TestDatabase;

async fn stopped_by(signal: &str, code: i32) {
    let database = TestDatabase::new().await;
    database.configuration(RULES);
    let run = AtWork::start(&database).await;
    run.signal(signal);
    let report = run.ended().with_code(code).json();
    assert_eq!(report["verdict"], "interrupted");
    assert_eq!(report["stopped"], "a signal ended the run");
    assert_eq!(dropped_items(&report), 15);
    let not_tried = items(&report, "not_tried");
    assert_eq!(not_tried.len(), 1);
    assert_eq!(not_tried[0]["outcome"]["why"], "the run was interrupted");
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
