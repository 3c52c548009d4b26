//! A gated run that is killed around its ticket: the next one finds out, and the day ends with `dropped`.

use std::os::unix::process::ExitStatusExt;

use super::launcher_server::open_today;
use super::runs::Gated;

/// What the ticket says after the kill, and what the next run is.
async fn survives(point: &str, word: Option<&str>, next: &str) {
    let gated = Gated::new(&open_today()).await;
    let output = gated
        .command(&["run", "--apply"])
        .env("TIMESWEEP_KILL_AT", point)
        .output()
        .expect("timesweep starts");
    assert_eq!(output.status.signal(), Some(9), "the run never came to {point}: {output:?}");
    assert_eq!(gated.word().as_deref(), word, "{point}");
    let report = gated.run(0);
    assert_eq!(report["verdict"], next, "{point}: {report}");
    assert_eq!((gated.chunks().await, gated.word().as_deref()), (4, Some("dropped")), "{point}");
    assert!(gated.database.runs_that_began() <= 2);
}

#[tokio::test]
async fn a_run_killed_before_its_ticket_is_there_asks_again() {
    survives("ticket-prepared", None, "done").await;
}

#[tokio::test]
async fn a_run_killed_with_its_ticket_goes_on() {
    survives("ticket-written", Some("pending"), "done").await;
    survives("run-begun", Some("pending"), "done").await;
}

#[tokio::test]
async fn a_run_killed_after_its_last_drop_never_says_dropped_before_its_outcome_is_journaled() {
    survives("committed", Some("pending"), "nothing_to_do").await;
    survives("before-outcomes", Some("pending"), "nothing_to_do").await;
}

#[tokio::test]
async fn a_run_killed_between_its_end_and_its_ticket_is_closed_by_the_next() {
    for point in ["run-finished", "before-ticket-close", "note-written", "ticket-close-prepared"] {
        survives(point, Some("pending"), "nothing_to_do").await;
    }
}

#[tokio::test]
async fn a_run_killed_after_its_ticket_was_closed_is_done_for_today() {
    survives("ticket-closed", Some("dropped"), "skipped").await;
}
