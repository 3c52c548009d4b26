//! Whose sessions a run ends, and when: every mode on the in-memory store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use timesweep::report::sessions::{Ending, SessionsReport};
use timesweep::report::{ItemOutcome, Report, Verdict};
use timesweep::retention::facts::OtherDrop;
use timesweep::retention::sessions::{SessionFacts, SessionMode, SessionRules};
use timesweep::store::DropFailure;

use super::meddled::Meddled;
use super::world::{World, blocker, count, table, the_one_that_stayed};

fn session(pid: i32, role: &str) -> SessionFacts {
    SessionFacts {
        pid,
        started_at: Some(i64::from(pid)),
        role: role.into(),
        backend: Some("client backend".into()),
        in_our_database: true,
        ours: false,
        drops_chunks: false,
        application: "psql".into(),
        address: None,
        state: Some("active".into()),
        statement: "SELECT 1".into(),
        since_seconds: 60,
    }
}

/// Eight of twelve chunks shall go; `app` is listed, and nobody has to be waited for.
async fn world(mode: SessionMode) -> World {
    let mut world = World::new(vec![table("t", 1, 12)]).await;
    let roles = vec!["app".into(), "superuser".into()];
    world.config.sessions = SessionRules { roles, mode, patience: Duration::ZERO };
    world
}

fn sessions(report: &Report) -> &SessionsReport {
    report.sessions.as_ref().expect("a section on sessions")
}

/// Process ids of those who were ended, or were to be.
fn ended(report: &Report, done: bool) -> Vec<i32> {
    sessions(report).ended.iter().filter(|ended| ended.done == done).map(|ended| ended.session.pid).collect()
}

async fn journaled(world: &World) -> Vec<i32> {
    let run = world.state.last_run().await.expect("the journal").expect("a run").run.id;
    world.state.session_endings(run).await.expect("the journal").iter().map(|ending| ending.pid).collect()
}

#[tokio::test]
async fn all_sessions_of_the_listed_roles_are_ended_before_the_first_drop_and_nobody_else() {
    let world = world(SessionMode::TerminateAll).await;
    let server_process = SessionFacts { backend: Some("walsender".into()), ..session(4, "app") };
    let ours = SessionFacts { ours: true, ..session(5, "app") };
    let dropper = SessionFacts { drops_chunks: true, ..session(6, "app") };
    for other in [session(1, "app"), session(2, "other"), session(3, "app"), server_process, ours, dropper] {
        world.memory.connect(other);
    }
    world.memory.connect(session(7, "superuser"));
    world.memory.block(2, blocker(1));
    let report = world.sweep().await;
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
    assert_eq!(world.memory.connected(), [2, 4, 5, 6, 7]);
    assert_eq!((ended(&report, true), ended(&report, false)), (vec![1, 3], vec![7]));
    assert_eq!(sessions(&report).found.len(), 5, "ours is not among those who were found");
    let notes = &sessions(&report).notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(notes[0], "a session of role app was left: it drops chunks itself");
    assert_eq!(
        notes[1],
        "sessions of role superuser could not be ended: permission denied to terminate process"
    );
    assert_eq!(journaled(&world).await, [1, 3, 7]);
    world.assert_journal_counts(1..=8).await;
}

#[tokio::test]
async fn nobody_is_ended_where_nothing_is_to_be_dropped() {
    let world = world(SessionMode::TerminateAll).await;
    world.sweep().await;
    world.memory.connect(session(1, "app"));
    let report = world.sweep().await;
    assert_eq!(report.verdict, Verdict::NothingToDo);
    assert_eq!((world.memory.connected(), sessions(&report).ended.len()), (vec![1], 0));
}

#[tokio::test]
async fn nobody_is_ended_while_another_drop_is_running() {
    let world = world(SessionMode::TerminateAll).await;
    world.memory.connect(session(1, "app"));
    let drop = OtherDrop {
        pid: 9,
        role: "app".into(),
        backend: "client backend".into(),
        statement: "SELECT drop_chunks()".into(),
    };
    world.memory.change(|facts| facts.other_drops.push(drop));
    let report = world.sweep().await;
    assert_eq!(report.verdict, Verdict::Busy);
    assert_eq!((world.memory.connected(), sessions(&report).ended.len()), (vec![1], 0));
    assert!(journaled(&world).await.is_empty());
}

#[tokio::test]
async fn nobody_is_ended_once_the_runners_lock_is_lost() {
    for mode in [SessionMode::TerminateAll, SessionMode::TerminateBlockers] {
        let mut world = world(mode).await;
        world.config.execution.parallelism = 1;
        world.memory.connect(session(1, "app"));
        world.memory.block(8, blocker(1));
        // The blocked chunk is the first one to be tried: its lock was good before that, and not after.
        let lock_lasts = usize::from(mode == SessionMode::TerminateBlockers);
        let meddled = Meddled { lock_lasts, ..Meddled::new(&world.memory) };
        let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
        assert_eq!(report.verdict, Verdict::Partial);
        assert!(report.stopped.as_deref().expect("stopped").contains("the runner's lock is lost"));
        assert_eq!((world.memory.connected(), journaled(&world).await), (vec![1], Vec::new()), "{mode:?}");
        let not_tried = |outcome: &ItemOutcome| matches!(outcome, ItemOutcome::NotTried { .. });
        assert_eq!(count(&report, not_tried), 8);
    }
}

#[tokio::test]
async fn whoever_is_in_the_way_is_ended_and_the_chunk_goes() {
    for (mode, how, left) in [
        (SessionMode::TerminateBlockers, Ending::Terminated, vec![2, 3]),
        (SessionMode::CancelBlockers, Ending::Cancelled, vec![1, 2, 3]),
    ] {
        let world = world(mode).await;
        for other in [session(1, "app"), session(2, "app"), session(3, "other")] {
            world.memory.connect(other);
        }
        world.memory.block(2, blocker(1));
        let report = world.sweep().await;
        assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
        assert_eq!(world.memory.connected(), left);
        let [ended] = sessions(&report).ended.as_slice() else { panic!("{report:#?}") };
        assert_eq!((ended.session.pid, ended.how, ended.done), (1, how, true));
        assert!(ended.in_the_way_of.as_deref().is_some_and(|chunk| chunk.ends_with("_2_chunk")));
        assert_eq!(journaled(&world).await, [1]);
        world.assert_journal_counts(1..=8).await;
    }
}

#[tokio::test]
async fn whoever_may_not_be_ended_is_left_and_the_chunk_is_blocked() {
    let idle = SessionFacts { state: Some("idle in transaction".into()), ..session(1, "app") };
    for (mode, other, note) in [
        (SessionMode::Leave, session(1, "app"), None),
        (SessionMode::TerminateBlockers, session(1, "other"), None),
        (
            SessionMode::TerminateBlockers,
            session(1, "superuser"),
            Some("could not be ended: permission denied"),
        ),
        (SessionMode::CancelBlockers, idle, Some("it runs no statement that could be cancelled")),
    ] {
        let world = world(mode).await;
        world.memory.connect(other);
        world.memory.block(2, blocker(1));
        let report = world.sweep().await;
        assert_eq!(report.verdict, Verdict::Partial);
        assert!(matches!(the_one_that_stayed(&report).outcome, ItemOutcome::Blocked { tries: 3, .. }));
        assert_eq!((world.memory.connected(), ended(&report, true)), (vec![1], vec![]));
        assert!(ended(&report, false).len() <= 1, "nobody is told to end twice");
        assert_eq!(
            sessions(&report).notes.len(),
            usize::from(note.is_some()),
            "{:?}",
            sessions(&report).notes
        );
        assert!(note.is_none_or(|note| sessions(&report).notes[0].contains(note)));
    }
}

#[tokio::test]
async fn a_chunk_is_tried_until_patience_is_over_whatever_the_number_of_tries() {
    let mut world = world(SessionMode::TerminateBlockers).await;
    world.config.sessions.patience = Duration::from_millis(400);
    world.config.execution.attempts = 1;
    world.memory.connect(session(1, "app"));
    world.memory.block(2, blocker(1));
    let began = std::time::Instant::now();
    let report = world.sweep().await;
    assert!(began.elapsed() >= Duration::from_millis(400));
    assert_eq!((report.verdict, ended(&report, true)), (Verdict::Done, vec![1]));
}

#[tokio::test]
async fn whoever_goes_before_patience_is_over_is_not_ended() {
    let mut world = world(SessionMode::TerminateBlockers).await;
    world.config.sessions.patience = Duration::from_hours(1);
    world.config.execution.attempts = 1;
    world.memory.connect(session(1, "app"));
    world.memory.block(2, blocker(1));
    let mut meddled = Meddled::new(&world.memory);
    let memory = world.memory.clone();
    // It goes after a try has failed and before anybody looks who was in the way.
    meddled.after_order = Arc::new(move |orders| {
        if orders > 8 {
            memory.unblock(2);
        }
        Box::pin(async {})
    });
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!(report.verdict, Verdict::Done);
    assert_eq!((world.memory.connected(), sessions(&report).ended.len()), (vec![1], 0));
}

/// The question was lost, so nobody knows whether the session was told: it is told again.
#[tokio::test]
async fn whoever_was_not_told_to_end_is_told_at_the_next_try() {
    let world = world(SessionMode::TerminateBlockers).await;
    world.memory.connect(session(1, "app"));
    world.memory.block(2, blocker(1));
    let meddled = Meddled::new(&world.memory);
    meddled.powerless.store(1, Ordering::SeqCst);
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!(report.verdict, Verdict::Done, "{report:#?}");
    assert_eq!((ended(&report, true), ended(&report, false)), (vec![1], vec![]));
    assert_eq!(
        sessions(&report).notes,
        ["it is not known whether all sessions have ended: the store is away"]
    );
}

/// A look that fails is no look that finds nobody: who was seen has not gone, and is waited for no longer.
#[tokio::test]
async fn a_look_that_fails_does_not_let_patience_begin_anew() {
    let mut world = world(SessionMode::TerminateBlockers).await;
    world.config.sessions.patience = Duration::from_millis(300);
    world.memory.connect(session(1, "app"));
    world.memory.block(2, blocker(1));
    let mut meddled = Meddled::new(&world.memory);
    let (blind, orders) = (Arc::clone(&meddled.blind), Arc::clone(&meddled.orders));
    // Every second look fails.
    meddled.after_order = Arc::new(move |_| {
        blind.store(orders.load(Ordering::SeqCst) % 2, Ordering::SeqCst);
        Box::pin(async {})
    });
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!((report.verdict, ended(&report, true)), (Verdict::Done, vec![1]), "{report:#?}");
}

#[tokio::test]
async fn a_signal_ends_nobody_any_more() {
    let world = world(SessionMode::TerminateBlockers).await;
    world.memory.connect(session(1, "app"));
    world.memory.block(2, blocker(1));
    let mut meddled = Meddled::new(&world.memory);
    meddled.answer = Arc::new(|_| Some(DropFailure::Waited("lock timeout".into())));
    let stop = world.stop.clone();
    meddled.after_order = Arc::new(move |_| {
        stop.cancel();
        Box::pin(async {})
    });
    let report = world.sweep_on(Arc::new(meddled)).await.expect("a report");
    assert_eq!(report.verdict, Verdict::Interrupted);
    assert_eq!(world.memory.connected(), [1]);
}

#[tokio::test]
async fn a_report_lists_five_hundred_sessions_and_counts_the_others() {
    let world = world(SessionMode::Leave).await;
    for pid in 1..=507 {
        world.memory.connect(session(pid, "app"));
    }
    let report = world.sweep().await;
    assert_eq!(sessions(&report).found.len(), 500);
    assert_eq!(sessions(&report).notes, ["7 more sessions of the listed roles were connected"]);
}
