//! The server restarts in the middle of a run: a clear end, nothing lost, and the next run does the rest.

use super::at_work::{AtWork, RULES};
use super::ledger::{self, Ledger, dropped_items, items};
use super::own_server::OwnServer;
use super::support::TestDatabase;

#[tokio::test]
async fn a_server_that_restarts_in_the_middle_of_a_run_costs_nothing() {
    let server = OwnServer::start();
    let database = TestDatabase::on(&server.url).await;
    database.configuration(RULES);
    database.daily_table("u", 4).await;
    let run = AtWork::start(&database).await;
    server.break_off();
    let ran = run.ended().with_code(3);
    let report = ran.json();
    let why = report["stopped"].as_str().expect("stopped");
    let said = ["the connection to the store broke", "the runner's lock is lost"];
    assert!(said.iter().any(|said| why.starts_with(said)) && why.contains("run again"), "{why}");
    assert_eq!(report["verdict"], "partial");
    assert_eq!(dropped_items(&report), 15);
    // The last one: had its turn come before the server broke off, or not.
    assert!(items(&report, "not_tried").len() <= 1, "{report}");
    assert!(report["bytes_after"].is_null(), "what nobody can know is not said");
    let open = ledger::open_intents(&database).await.len();

    let away = database.ran(&["run", "--apply"]).with_code(5);
    assert!(away.err.contains("is the server running, and is the port right?"), "{}", away.err);
    server.start_again();
    let next = database.ran(&["run", "--apply", "--output", "json"]).with_code(0).json();
    assert_eq!(next["settled"].as_array().expect("settled").len(), open);
    assert_eq!(dropped_items(&next), 1);
    assert_eq!((database.chunks("t").await, database.chunks("u").await), (4, 4));
    let ledger = Ledger::read(&database).await;
    assert_eq!((ledger.chunks, ledger.open), (16, 0));
}
