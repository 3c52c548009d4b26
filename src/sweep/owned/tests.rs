//! The pass step by step: what it drops, what the second look keeps, what a report says.

mod believed;
mod reading;

use std::sync::Arc;

use super::testing::stepped::Steps;
use super::testing::{Ground, HOUR, START, job, name};
use super::*;
use crate::problem::Kind;
use crate::report::owned::{DatasetOutcome, LISTED, Standing};
use crate::report::text;
use crate::retention::ownership::event::Event;
use crate::state::{Outcome, State};
use crate::store::owned::memory::{DropOutcome, ListTrouble};

fn owned(report: &Report) -> &OwnedReport {
    report.owned.as_ref().expect("a report of owned data")
}

fn outcomes(report: &Report) -> Vec<DatasetOutcome> {
    owned(report).items.iter().map(|item| item.outcome.clone()).collect()
}

#[tokio::test]
async fn what_nobody_owns_goes_after_its_grace_and_what_a_job_owns_stays() {
    let mut ground = Ground::default();
    (1..=3).for_each(|number| ground.write(number));
    ground.succeed(1, 1);
    ground.succeed(2, 2);
    let first = ground.run().await;
    assert_eq!((owned(&first).count(Standing::Owned), owned(&first).count(Standing::Marked)), (2, 1));
    ground.delete(2);
    for _ in 0..48 {
        ground.later(1);
        assert!(ground.run().await.chunks_dropped() == 0, "the grace is not over at hour {}", ground.hour);
    }
    ground.later(1);
    assert_eq!(ground.run().await.verdict, Verdict::Done);
    assert_eq!(ground.store.dropped(), [name(2), name(3)]);
    assert!(ground.store.holds_data_of(&name(1)));
    ground.later(1);
    let after = ground.run().await;
    assert_eq!((after.verdict, owned(&after).listed), (Verdict::NothingToDo, 1));
}

#[tokio::test]
async fn a_cap_lets_the_oldest_go_and_says_what_it_leaves() {
    let mut ground = Ground::with_due(12).await;
    ground.settings.check.cap_count = 5;
    ground.settings.check.cap_share = 2_500;
    let report = ground.run().await;
    assert_eq!(
        ground.store.dropped(),
        (1..=5).map(name).collect::<Vec<_>>(),
        "a quarter of 12 is less than 5"
    );
    assert_eq!((owned(&report).cap, owned(&report).count(Standing::LeftByCap)), (5, 7));
    assert_eq!(report.verdict, Verdict::Done, "the next pass goes on");
    assert!(text::render(&report).contains("not done: 7 datasets left by the cap of 5"));
    ground.later(1);
    ground.run().await;
    ground.later(1);
    ground.run().await;
    assert_eq!(ground.store.dropped().len(), 12);
}

#[tokio::test]
async fn foreign_names_do_not_widen_the_cap_and_are_never_touched() {
    let mut ground = Ground::with_due(12).await;
    for number in 0..100 {
        ground.store.write(&OwnedName(format!("telegraf_{number}").into()), START);
    }
    ground.later(1);
    let report = ground.run().await;
    assert_eq!((owned(&report).cap, owned(&report).count(Standing::Foreign)), (5, 100));
}

/// The calls of the second look, in their order; `marked_row` was called before it, and `live_jobs` by the check.
const SECOND_LOOK: [(&str, usize); 4] =
    [("look", 1), ("live_jobs", 2), ("decide_again", 1), ("marked_row", 2)];

/// A pass that would drop dataset 1, with something happening right before each of these calls in turn.
async fn assert_kept(calls: &[(&'static str, usize)], happen: impl Fn(&Ground) + Clone + Send + 'static) {
    for (call, nth) in calls {
        let ground = Arc::new(Ground::with_due(1).await);
        let (happen, inside) = (happen.clone(), Arc::clone(&ground));
        let steps = Steps::with_happening_before(call, *nth, Box::new(move |_| happen(&inside)));
        let report = ground.pass(&steps).run(&ground.journal).await.expect("a pass");
        assert!(steps.has_happened(), "{call} is not asked a {nth}th time");
        assert!(ground.store.dropped().is_empty(), "before {call} {nth}");
        assert!(matches!(outcomes(&report)[..], [DatasetOutcome::Kept { .. }]), "{:?}", outcomes(&report));
        assert!(matches!(ground.journal.pages().outcomes[&0], Outcome::NotDropped { .. }));
    }
}

#[tokio::test]
async fn a_claim_in_the_middle_of_a_pass_keeps_the_dataset() {
    assert_kept(&SECOND_LOOK, |ground| ground.succeed(7, 1)).await;
}

#[tokio::test]
async fn a_mark_that_a_person_cancels_in_the_middle_of_a_pass_keeps_the_dataset() {
    let hold_until = START + 1_000 * HOUR;
    let cancel = move |ground: &Ground| {
        ground.happen(&Event::CancelMark { dataset: name(1), hold_until });
    };
    assert_kept(&SECOND_LOOK[..3], cancel).await;
}

#[tokio::test]
async fn a_write_in_the_middle_of_a_pass_keeps_the_dataset() {
    assert_kept(&SECOND_LOOK[..1], |ground| ground.write(1)).await;
}

#[tokio::test]
async fn a_dataset_that_is_gone_at_the_second_look_is_nobodys_drop() {
    let ground = Arc::new(Ground::with_due(1).await);
    let inside = Arc::clone(&ground);
    let steps = Steps::with_happening_before("look", 1, Box::new(move |_| inside.store.vanish(&name(1))));
    let report = ground.pass(&steps).run(&ground.journal).await.expect("a pass");
    assert!(matches!(outcomes(&report)[..], [DatasetOutcome::Gone]));
    assert_eq!(
        (report.verdict, ground.journal.pages().outcomes[&0].clone()),
        (Verdict::NothingToDo, Outcome::Gone)
    );
}

#[tokio::test]
async fn a_job_that_comes_in_the_middle_of_a_pass_counts_from_before_the_pass() {
    let ground = Arc::new(Ground::with_due(1).await);
    ground.registry.set_live_jobs(vec![job(9)]);
    ground.run().await;
    let seen = ground.registry.change(|ledger| ledger.jobs[&job(9)]);
    assert!(seen.first_seen <= START + 30 * HOUR, "the check before this one would have seen it");
}

#[tokio::test]
async fn a_refused_drop_is_told_and_tried_again_and_the_others_go() {
    let mut ground = Ground::with_due(3).await;
    ground.store.next_drops([DropOutcome::Refused]);
    let report = ground.run().await;
    assert_eq!(report.verdict, Verdict::Partial);
    assert!(matches!(
        outcomes(&report)[..],
        [DatasetOutcome::Failed { .. }, DatasetOutcome::Dropped, DatasetOutcome::Dropped]
    ));
    ground.later(1);
    assert_eq!(ground.run().await.verdict, Verdict::Done);
    assert_eq!(ground.store.dropped().len(), 3);
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_what_nobody_knows_stays_open() {
    let mut ground = Ground::with_due(2).await;
    ground.store.next_drops([DropOutcome::DoneButLost, DropOutcome::Lost]);
    let report = ground.run().await;
    assert!(matches!(outcomes(&report)[..], [DatasetOutcome::Dropped, DatasetOutcome::Unknown { .. }]));
    assert_eq!((report.verdict, ground.journal.pages().outcomes.len()), (Verdict::Partial, 1));
    ground.later(1);
    let next = ground.run().await;
    assert_eq!(owned(&next).settled.len(), 1);
    assert_eq!(owned(&next).count(Standing::Marked), 1, "its grace starts anew");
    assert!(text::render(&next).contains("it is still there, and its grace starts anew"));
    assert_eq!(ground.store.dropped(), [name(1)]);
}

#[tokio::test]
async fn what_was_dropped_before_a_cut_is_forgotten_by_the_next_pass() {
    let mut found = 0;
    for step in 0..40 {
        let mut ground = Ground::with_due(1).await;
        ground.write(50);
        ground.succeed(50, 50);
        let pass = ground.pass(&Steps::stopping_at(step));
        let stopped = futures_util::FutureExt::now_or_never(pass.run(&ground.journal)).is_none();
        drop(pass);
        let cut_off_after_the_drop = stopped
            && !ground.store.dropped().is_empty()
            && ground.registry.change(|ledger| ledger.rows.contains_key(&name(1)));
        if cut_off_after_the_drop {
            found += 1;
            ground.later(1);
            let next = ground.run().await;
            assert!(owned(&next).settled[0].dropped && !owned(&next).settled.is_empty());
            assert!(!ground.registry.change(|ledger| ledger.rows.contains_key(&name(1))), "step {step}");
            assert!(matches!(ground.journal.pages().outcomes[&0], Outcome::Dropped { .. }));
        }
    }
    assert!(found >= 2, "{found}");
}

#[tokio::test]
async fn a_mark_is_announced_only_after_a_report_with_it_was_journaled() {
    for step in 0..30 {
        let mut ground = Ground::default();
        ground.write(1);
        ground.run().await;
        ground.later(1);
        let reports = ground.journal.pages().reports.len();
        let pass = ground.pass(&Steps::stopping_at(step));
        let _ = futures_util::FutureExt::now_or_never(pass.run(&ground.journal));
        let announced = ground
            .registry
            .change(|ledger| ledger.rows[&name(1)].mark.as_ref().is_some_and(|mark| mark.announced));
        assert!(!announced || ground.journal.pages().reports.len() > reports, "step {step}");
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_true_refuses_the_pass_and_teaches_nothing() {
    let mut ground = Ground::default();
    (1..=9).for_each(|number| ground.write(number));
    (1..=9).for_each(|number| ground.succeed(number, number));
    ground.run().await;
    ground.later(100);
    let before = ground.registry.change(|ledger| ledger.clone());
    for (trouble, verdict, said) in [
        (
            ListTrouble::Nothing,
            Verdict::Refused,
            "the store lists nothing, and 9 registered datasets were there at the last check",
        ),
        (ListTrouble::Unreachable, Verdict::Unreachable, "the store in memory is out of reach"),
    ] {
        ground.store.next_lists([trouble]);
        let report = ground.run().await;
        assert_eq!(report.verdict, verdict);
        assert!(text::render(&report).contains(said), "{}", text::render(&report));
        assert_eq!(ground.registry.change(|ledger| ledger.clone()), before);
    }
}

#[tokio::test]
async fn a_job_on_a_list_that_is_never_tidied_ends_by_its_age() {
    let mut ground = Ground::default();
    ground.registry.set_live_jobs(vec![job(1)]);
    ground.happen(&Event::JobIsLive(job(1)));
    ground.later(1);
    ground.write(1);
    for _ in 0..4 {
        ground.run().await;
        ground.later(100);
    }
    let waits = ground.run().await;
    assert_eq!(owned(&waits).live_jobs.len(), 1);
    ground.later(400);
    let aged = ground.run().await;
    assert_eq!((owned(&aged).jobs_too_old.clone(), aged.verdict), (vec![job(1).0], Verdict::Done));
    assert_eq!(ground.store.dropped(), [name(1)]);
}

#[tokio::test]
async fn a_signal_ends_the_pass_before_the_next_dataset() {
    let ground = Ground::with_due(3).await;
    let pass = ground.pass(&Steps::default());
    pass.stop.cancel();
    let report = pass.run(&ground.journal).await.expect("a report");
    assert_eq!(report.verdict, Verdict::Interrupted);
    assert!(ground.store.dropped().is_empty());
    assert_eq!(owned(&report).items.len(), 3, "each one is told");
}

#[tokio::test]
async fn a_lock_that_is_lost_ends_the_pass_before_the_next_dataset() {
    let ground = Ground::with_due(3).await;
    let steps = Steps::with_a_lock_that_lasts(1);
    let report = ground.pass(&steps).run(&ground.journal).await.expect("a report");
    assert_eq!((report.verdict, ground.store.dropped().len()), (Verdict::Partial, 1));
    assert!(report.stopped.is_some_and(|why| why.contains("lock is lost")));
    assert_eq!(ground.journal.pages().intents.len(), 1, "nothing else was begun");
}

#[tokio::test]
async fn a_second_pass_is_busy_and_clocks_that_are_apart_refuse_it() {
    let ground = Ground::with_due(1).await;
    let lock = ground.registry.lock_runner("run other").await.expect("a lock");
    let busy = ground.pass(&Steps::default()).run(&ground.journal).await.expect_err("busy");
    assert_eq!(busy.kind, Kind::Busy);
    drop(lock);
    let pass = ground.pass(&Steps::default());
    ground.registry.set_now(ground.now() + 2 * HOUR);
    let refused = pass.run(&ground.journal).await.expect_err("refused");
    assert!(refused.sentence.contains("7200 s apart"), "{refused}");
    assert!(ground.store.dropped().is_empty());
}

#[tokio::test]
async fn a_preview_finds_the_same_and_writes_nothing() {
    let ground = Ground::with_due(2).await;
    let before = ground.registry.change(|ledger| ledger.clone());
    let preview = ground.pass(&Steps::default()).preview(false).await.expect("a preview");
    assert_eq!(owned(&preview).count(Standing::Due), 2);
    assert_eq!(ground.registry.change(|ledger| ledger.clone()), before);
    assert!(ground.store.dropped().is_empty() && ground.journal.pages().runs.len() == 2);
}

#[tokio::test]
async fn the_state_file_keeps_what_a_pass_over_owned_data_needs() {
    let state = State::in_memory().await.expect("a state");
    let mut ground = Ground::with_due(2).await;
    ground.store.next_drops([DropOutcome::Lost]);
    let report = ground.pass(&Steps::default()).run(&state).await.expect("a pass");
    assert_eq!(report.verdict, Verdict::Partial);
    let open = state.open_dataset_intents("memory").await.expect("intents");
    assert_eq!(open.len(), 1);
    assert_eq!((&open[0].intent.dataset, open[0].intent.job), (&name(1), None));
    assert_eq!(open[0].intent.last_change, Some(START));
    ground.later(1);
    let next = ground.pass(&Steps::default()).run(&state).await.expect("a pass");
    assert_eq!((owned(&next).settled.len(), next.past_runs.len()), (1, 1));
    assert!(state.open_dataset_intents("memory").await.expect("intents").is_empty());
    let history = state.history_of_dataset("memory", &name(2)).await.expect("a history");
    assert!(matches!(history[0].outcome.as_ref().map(|o| &o.outcome), Some(Outcome::Dropped { .. })));
    let explained = ground.pass(&Steps::default()).explain(&name(2), &history).await.expect("an answer");
    assert!(explained.steps.iter().any(|step| step.contains("meant to drop it: dropped")), "{explained:?}");
}

#[tokio::test]
async fn a_hundred_thousand_datasets_are_counted_and_their_lists_are_cut() {
    let ground = Ground::default();
    (1..=100_000).for_each(|number| ground.write(number));
    let began = Instant::now();
    let mut report = ground.run().await;
    let mut group = owned(&report).group(Standing::Marked).expect("marked").clone();
    assert_eq!((group.count, group.datasets.len()), (100_000, 100_000), "new marks are listed in full");
    let shown = text::render(&report);
    assert!(shown.contains("… and 99980 more") && shown.lines().count() < 60, "{}", shown.lines().count());
    report.owned = ground.pass(&Steps::default()).preview(false).await.expect("a preview").owned;
    group.standing = Standing::Waiting;
    let mut cut = OwnedReport::default();
    group.datasets.into_iter().for_each(|line| cut.add(Standing::Waiting, None, || line));
    assert_eq!(cut.groups[0].datasets.len(), LISTED);
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}
