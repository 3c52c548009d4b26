//! What goes wrong with single transactions: lost answers, locks, errors, sessions that break.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use timesweep::report::{ItemOutcome, Verdict};
use timesweep::store::memory::Trouble;
use timesweep::store::{Change, DropFailure, DropOrder};

use super::meddled::Meddled;
use super::world::{World, blocker, count, table, the_one_that_stayed};

fn waited() -> Trouble {
    Trouble::Fails(DropFailure::Waited("lock timeout".into()))
}

fn broken() -> DropFailure {
    DropFailure::Unknown("the server closed the connection".into())
}

fn has(order: &DropOrder, oid: u32) -> bool {
    order.chunks.iter().any(|chunk| chunk.parts[0].oid == oid)
}

#[tokio::test]
async fn a_lost_answer_is_found_out_and_counted_once() {
    let world = World::new(vec![table("t", 1, 20)]).await;
    world.memory.expect([Trouble::DoneButLost, Trouble::Works, Trouble::DoneButLost]);
    let report = world.sweep().await;
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
    assert_eq!(count(&report, |outcome| *outcome == ItemOutcome::Dropped), 16);
    assert_eq!(world.oids(), (17..=20).collect());
    world.assert_journal_counts(1..=16).await;
}

#[tokio::test]
async fn a_broken_session_that_did_nothing_costs_no_chunk() {
    let world = World::new(vec![table("t", 1, 20)]).await;
    world.memory.expect([Trouble::Fails(broken()), Trouble::Works, Trouble::Fails(broken())]);
    let report = world.sweep().await;
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
    world.assert_journal_counts(1..=16).await;
}

#[tokio::test]
async fn what_nobody_can_know_now_is_settled_by_the_next_run_and_counted_once() {
    let mut world = World::new(vec![table("t", 1, 8)]).await;
    world.config.execution.parallelism = 1;
    world.memory.expect([Trouble::DoneButLost]);
    let meddled = Meddled::new(&world.memory);
    // Once for the start of the run there is nothing to settle, so the first question is the one in its middle.
    meddled.mute.store(1, Ordering::SeqCst);
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!(report.verdict, Verdict::Partial);
    assert!(report.stopped.as_deref().expect("stopped").contains("connection to the store broke"));
    assert_eq!(world.oids(), (5..=8).collect());
    assert_eq!(world.freed().await, (0, 0));
    assert_eq!(world.open_intents().await.len(), 4);
    let next = world.sweep().await;
    assert_eq!(next.settled.iter().filter(|settled| settled.dropped).count(), 4);
    world.assert_journal_counts(1..=4).await;
}

#[tokio::test]
async fn an_intent_that_was_not_carried_out_is_settled_as_not_dropped() {
    let mut world = World::new(vec![table("t", 1, 8)]).await;
    world.config.execution.parallelism = 1;
    world.memory.expect([Trouble::Fails(broken())]);
    let meddled = Meddled::new(&world.memory);
    meddled.mute.store(1, Ordering::SeqCst);
    world.sweep_on(Arc::new(meddled)).await.expect("a report");
    let next = world.sweep().await;
    assert_eq!(next.settled.len(), 4);
    assert!(next.settled.iter().all(|settled| !settled.dropped));
    assert_eq!(count(&next, |outcome| *outcome == ItemOutcome::Dropped), 4);
    world.assert_journal_counts(1..=4).await;
}

#[tokio::test]
async fn a_session_that_always_breaks_at_one_chunk_fails_that_chunk_and_the_run_ends() {
    let world = World::new(vec![table("t", 1, 12)]).await;
    let mut meddled = Meddled::new(&world.memory);
    meddled.answer = Arc::new(|order| has(order, 3).then(broken));
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!(report.verdict, Verdict::Partial);
    let failed = the_one_that_stayed(&report);
    assert!(failed.chunk.ends_with("_3_chunk"), "{failed:?}");
    assert!(matches!(&failed.outcome, ItemOutcome::Failed { message, .. } if message.contains("connection")));
    world.assert_journal_counts((1..=8).filter(|oid| *oid != 3)).await;
}

#[tokio::test]
async fn chunks_that_had_to_wait_are_tried_again_and_go() {
    let world = World::new(vec![table("t", 1, 12), table("u", 101, 12)]).await;
    world.memory.expect(std::iter::repeat_with(waited).take(5));
    let report = world.sweep().await;
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
    world.assert_journal_counts((1..=8).chain(101..=108)).await;
}

#[tokio::test]
async fn a_chunk_that_stays_locked_is_named_with_its_blocker_and_all_others_go() {
    let world = World::new(vec![table("t", 1, 12)]).await;
    world.memory.block(2, blocker(77));
    let report = world.sweep().await;
    assert_eq!(report.verdict, Verdict::Partial);
    let stayed = the_one_that_stayed(&report);
    let ItemOutcome::Blocked { tries, blockers, .. } = &stayed.outcome else { panic!("{stayed:?}") };
    assert_eq!((*tries, blockers.as_slice()), (3, [blocker(77)].as_slice()));
    world.assert_journal_counts((1..=8).filter(|oid| *oid != 2)).await;
}

#[tokio::test]
async fn an_error_that_stays_fails_only_the_chunk_that_has_it() {
    let world = World::new(vec![table("t", 1, 20)]).await;
    let mut meddled = Meddled::new(&world.memory);
    meddled.answer = Arc::new(|order| {
        has(order, 6).then(|| DropFailure::Permanent {
            message: "other objects depend on it".into(),
            hint: Some("drop the view".into()),
        })
    });
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    let failed = the_one_that_stayed(&report);
    assert!(failed.chunk.ends_with("_6_chunk"), "{failed:?}");
    let ItemOutcome::Failed { message, hint } = &failed.outcome else { panic!("{failed:?}") };
    assert_eq!((message.as_str(), hint.as_deref()), ("other objects depend on it", Some("drop the view")));
    world.assert_journal_counts((1..=16).filter(|oid| *oid != 6)).await;
}

#[tokio::test]
async fn a_chunk_that_differs_is_left_alone_and_one_that_is_gone_is_not_counted() {
    let world = World::new(vec![table("t", 1, 8)]).await;
    let (memory, meddled) = (world.memory.clone(), Meddled::new(&world.memory));
    let meddled = Meddled {
        answer: Arc::new(move |_| {
            // Between the plan and the first order: one chunk is dropped, another becomes frozen.
            memory.change(|facts| {
                facts.datasets[0].chunks.retain(|chunk| chunk.parts[0].oid != 1);
                for chunk in facts.datasets[0].chunks.iter_mut().filter(|chunk| chunk.parts[0].oid == 2) {
                    chunk.parts[0].state.frozen = true;
                }
            });
            None
        }),
        ..meddled
    };
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!(count(&report, |outcome| *outcome == ItemOutcome::Gone), 1);
    assert_eq!(count(&report, |outcome| matches!(outcome, ItemOutcome::Changed { .. })), 1);
    assert_eq!(world.oids(), [2, 5, 6, 7, 8].into());
    world.assert_journal_counts(3..=4).await;
}

#[tokio::test]
async fn a_driver_that_names_no_changed_chunk_does_not_keep_the_run_going_for_ever() {
    let world = World::new(vec![table("t", 1, 8)]).await;
    let mut meddled = Meddled::new(&world.memory);
    let nothing = || DropFailure::Changed(vec![(99, Change::Gone)]);
    meddled.answer = Arc::new(move |order| has(order, 3).then(nothing));
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert!(the_one_that_stayed(&report).chunk.ends_with("_3_chunk"));
    world.assert_journal_counts([1, 2, 4]).await;
}
