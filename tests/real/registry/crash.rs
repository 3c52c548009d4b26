//! A process that is killed inside of a unit of work leaves all of it or nothing.
//!
//! The test starts itself again with `TIMESWEEP_KILL_AT`; the child does one unit and dies in it.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use timesweep::retention::ownership::event::Event;

use super::super::support::TestDatabase;
use super::place;
use super::world::{Place, START, derived, id, name};

const URL_OF_CHILD: &str = "TIMESWEEP_TEST_REGISTRY_OF_CHILD";

/// Does nothing unless a test below starts it.
#[tokio::test]
async fn child_of_the_registry_that_is_killed() {
    let Ok(url) = std::env::var(URL_OF_CHILD) else { return };
    let registry = Place::Postgres(url).open().await;
    let events = [
        Event::Succeeded { job: id(1), dataset: name("e") },
        Event::Succeeded { job: id(2), dataset: name("x") },
        Event::Deleted(id(2)),
        Event::Deleted(id(3)),
    ];
    registry.record(&events, START).await.expect("record");
}

fn run_child(url: &str, kill_at: &str) {
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["child_of_the_registry_that_is_killed", "--nocapture"])
        .env(URL_OF_CHILD, url)
        .env("TIMESWEEP_KILL_AT", kill_at)
        .output()
        .expect("start the child");
    assert_eq!(child.status.signal(), Some(libc::SIGKILL), "{kill_at}: {child:?}");
}

#[tokio::test]
async fn a_killed_process_leaves_all_of_a_unit_or_nothing() {
    // The first unit takes in what is there when the tables are made, the second records.
    for (kill_at, rows) in [
        ("registry-before-migrated", 0),
        ("registry-before-writes:2", 0),
        ("registry-before-commit:2", 0),
        ("registry-committed:2", 3),
    ] {
        let database = TestDatabase::without_extension().await;
        run_child(&database.url, kill_at);
        let registry = place(&database).open().await;
        let ledger = registry.ledger().await.expect("the ledger");
        assert_eq!(place(&database).rows().await.len(), rows, "{kill_at}");
        assert_eq!(place(&database).rows().await, derived(&ledger), "{kill_at}");
        let again = Event::Succeeded { job: id(1), dataset: name("e") };
        registry.record(&[again], START).await.expect("nobody is in the way");
    }
}
