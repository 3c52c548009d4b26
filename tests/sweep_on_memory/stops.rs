//! What ends a run in its middle: a signal, a lost lock, a hold, a worker that dies, a journal that fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use timesweep::report::{ItemOutcome, Verdict};
use timesweep::retention::model::StoreIdentity;
use timesweep::retention::name::RelationName;
use timesweep::state::NewHold;
use timesweep::store::memory::Trouble;
use timesweep::store::{Driver, DropFailure};

use super::meddled::Meddled;
use super::world::{NOW, World, count, table};

fn not_tried(outcome: &ItemOutcome) -> bool {
    matches!(outcome, ItemOutcome::NotTried { .. })
}

/// After the run: what is gone is counted, all else is reported as not tried, nothing is open.
async fn assert_ended_cleanly(world: &World, report: &timesweep::report::Report, planned: u32) {
    let left = world.oids();
    let gone: Vec<u32> = (1..=planned).filter(|oid| !left.contains(oid)).collect();
    assert!(
        !gone.is_empty() && gone.len() < planned as usize,
        "the run was not stopped in its middle: {gone:?}"
    );
    assert_eq!(count(report, |outcome| *outcome == ItemOutcome::Dropped), gone.len());
    assert_eq!(count(report, not_tried), planned as usize - gone.len());
    world.assert_journal_counts(gone).await;
    let recorded = world.state.last_run().await.expect("journal").expect("a run");
    assert!(recorded.end.is_some(), "the run has its end in the journal");
}

#[tokio::test]
async fn a_signal_lets_the_transaction_in_hand_end_and_leaves_the_rest() {
    let world = World::new(vec![table("t", 1, 39)]).await;
    let mut meddled = Meddled::new(&world.memory);
    let stop = world.stop.clone();
    meddled.after_order = Arc::new(move |_| {
        stop.cancel();
        Box::pin(async {})
    });
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!(report.verdict, Verdict::Interrupted);
    assert_eq!(report.stopped.as_deref(), Some("a signal ended the run"));
    assert_ended_cleanly(&world, &report, 35).await;
}

#[tokio::test]
async fn a_signal_while_chunks_wait_for_locks_closes_their_intents() {
    let mut world = World::new(vec![table("t", 1, 9)]).await;
    world.config.execution.attempts = 100;
    let mut meddled = Meddled::new(&world.memory);
    meddled.answer = Arc::new(|_| Some(DropFailure::Waited("lock timeout".into())));
    let stop = world.stop.clone();
    meddled.after_order = Arc::new(move |orders| {
        if orders > 20 {
            stop.cancel();
        }
        Box::pin(async {})
    });
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    let blocked = |outcome: &ItemOutcome| match outcome {
        ItemOutcome::Blocked { tries, why, .. } => {
            *tries > 0 && why == "lock timeout; the run was interrupted"
        }
        _ => false,
    };
    assert_eq!(report.verdict, Verdict::Interrupted);
    assert_eq!(count(&report, not_tried) + count(&report, blocked), 5, "{report:#?}");
    assert!(count(&report, blocked) > 0, "what was tried is not called untried");
    assert_eq!(world.oids().len(), 9);
    world.assert_journal_counts([]).await;
}

#[tokio::test]
async fn a_signal_after_the_last_drop_takes_nothing_back() {
    let world = World::new(vec![table("t", 1, 6)]).await;
    let mut meddled = Meddled::new(&world.memory);
    let (stop, memory) = (world.stop.clone(), world.memory.clone());
    meddled.after_order = Arc::new(move |_| {
        if memory.oids().len() == 4 {
            stop.cancel();
        }
        Box::pin(async {})
    });
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert!(world.stop.is_cancelled(), "the signal came");
    assert_eq!((report.verdict, report.stopped.as_deref()), (Verdict::Done, None));
    assert_eq!(world.oids(), (3..=6).collect());
}

#[tokio::test]
async fn a_lost_lock_stops_the_run() {
    let world = World::new(vec![table("t", 1, 39)]).await;
    let meddled = Meddled { lock_lasts: 2, ..Meddled::new(&world.memory) };
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!(report.verdict, Verdict::Partial);
    assert!(report.stopped.as_deref().expect("stopped").contains("the runner's lock is lost"));
    assert_ended_cleanly(&world, &report, 35).await;
}

#[tokio::test]
async fn a_hold_that_is_set_during_the_run_keeps_what_has_not_gone() {
    let world = World::new(vec![table("t", 1, 39)]).await;
    let mut meddled = Meddled::new(&world.memory);
    let state = Arc::clone(&world.state);
    let store = world.config.name.clone();
    let identity = StoreIdentity { system: "7000".into(), database: "metrics".into(), database_oid: 5 };
    meddled.after_order = Arc::new(move |_| {
        let (state, store, identity) = (Arc::clone(&state), store.clone(), identity.clone());
        Box::pin(async move {
            let hold = NewHold {
                store,
                identity,
                dataset: RelationName::new("public", "t"),
                chunk: None,
                author: "ann".into(),
                reason: "audit".into(),
                created_at: NOW,
                expires_at: None,
            };
            state.add_hold(&hold).await.expect("a hold");
        })
    });
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!(report.verdict, Verdict::Partial);
    let held =
        |outcome: &ItemOutcome| matches!(outcome, ItemOutcome::NotTried { why } if why.contains("hold"));
    assert!(count(&report, held) > 0);
    assert_ended_cleanly(&world, &report, 35).await;
}

#[tokio::test]
async fn a_worker_that_dies_ends_the_run_and_the_next_one_settles_its_chunks() {
    let world = World::new(vec![table("t", 1, 39)]).await;
    let mut meddled = Meddled::new(&world.memory);
    // The first worker to have an order lives, the other dies after its drop and before its journal entry.
    let first = Arc::new(std::sync::OnceLock::new());
    meddled.after_order = Arc::new(move |_| {
        let me = tokio::task::try_id().expect("a worker is a task");
        assert!(*first.get_or_init(|| me) == me, "this worker dies");
        Box::pin(tokio::task::yield_now())
    });
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!(report.verdict, Verdict::Partial);
    assert!(report.stopped.as_deref().expect("stopped").contains("a worker ended unexpectedly"));
    assert!(!world.open_intents().await.is_empty());
    let next = world.sweep().await;
    assert!(!next.settled.is_empty());
    assert!(next.settled.iter().all(|settled| settled.dropped));
    world.assert_journal_counts(1..=35).await;
}

#[tokio::test]
async fn a_run_that_cannot_settle_what_was_left_open_drops_nothing_and_has_its_report() {
    let mut world = World::new(vec![table("t", 1, 12)]).await;
    world.config.execution.parallelism = 1;
    world.memory.expect([Trouble::DoneButLost]);
    let meddled = Meddled::new(&world.memory);
    meddled.mute.store(2, Ordering::SeqCst);
    let driver: Arc<dyn Driver> = Arc::new(meddled);
    world.sweep_on(Arc::clone(&driver)).await.expect("a report");
    let left = world.oids();
    let report = world.sweep_on(driver).await.expect("a report, even of a run that could not settle");
    assert_eq!(report.verdict, Verdict::Partial);
    assert!(report.stopped.as_deref().expect("stopped").contains("the store is away"));
    assert_eq!(world.oids(), left);
    assert_eq!(world.open_intents().await.len(), 8);
    world.sweep().await;
    world.assert_journal_counts(1..=8).await;
}
