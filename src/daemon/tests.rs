//! The loop under a clock that the tests turn: when it passes, how it comes back, and that it never dies quietly.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use crate::report::early::About;

use super::*;
use crate::retention::model::StoreName;

#[derive(Debug, Clone, Copy)]
enum Does {
    Well,
    Fails,
    Panics,
    IsBusy,
    /// Reports that it was refused.
    IsRefused,
}

/// Passes that go as they are told, and then well.
#[derive(Default)]
struct Script {
    does: Mutex<VecDeque<Does>>,
    passes: AtomicUsize,
}

#[async_trait]
impl Work for Script {
    async fn pass(&self) -> Result<Report> {
        self.passes.fetch_add(1, Ordering::SeqCst);
        let does = self.does.lock().expect("a lock").pop_front().unwrap_or(Does::Well);
        let problem = Problem::unreachable("the store is away");
        let report = |problem: &Problem| {
            let store = StoreName("results".into());
            Report::stopped_early(About { command: "serve", store: &store, now: 0 }, None, problem)
        };
        match does {
            Does::Well => Ok(Report { verdict: Verdict::NothingToDo, stopped: None, ..report(&problem) }),
            Does::Fails => Err(problem),
            Does::Panics => panic!("a fault in a pass"),
            Does::IsBusy => Err(Problem::busy("run 1 is at work")),
            Does::IsRefused => Ok(report(&Problem::refused("the list is empty"))),
        }
    }
}

const INTERVAL: Duration = Duration::from_hours(1);

/// The wall clock follows the paused one, unless a test sets it.
static SET_BY: AtomicI64 = AtomicI64::new(0);

fn clock() -> i64 {
    thread_local!(static BEGAN: Instant = Instant::now());
    let elapsed = BEGAN.with(Instant::elapsed);
    i64::try_from(elapsed.as_micros()).unwrap_or_default() + SET_BY.load(Ordering::SeqCst)
}

struct Running {
    script: Arc<Script>,
    wake: Wake,
    status: Status,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<Result<()>>,
}

impl Running {
    fn start(does: &[Does], ways_in: Vec<WayIn>, clock: fn() -> i64) -> Self {
        let script =
            Arc::new(Script { does: Mutex::new(does.iter().copied().collect()), ..Script::default() });
        let (wake, status, stop) = (Wake::default(), Status::default(), CancellationToken::new());
        let daemon = Daemon {
            work: Arc::clone(&script) as Arc<dyn Work>,
            interval: INTERVAL,
            wake: wake.clone(),
            status: status.clone(),
            stop: stop.clone(),
            clock,
            ways_in,
        };
        Self { script, wake, status, stop, ended: tokio::spawn(daemon.run()) }
    }

    fn passes(&self) -> usize {
        self.script.passes.load(Ordering::SeqCst)
    }

    async fn stopped(self) -> Result<()> {
        self.stop.cancel();
        self.ended.await.expect("the daemon ends")
    }
}

async fn after(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn a_pass_comes_at_once_and_then_every_interval() {
    let running = Running::start(&[], vec![], clock);
    after(Duration::from_secs(1)).await;
    assert_eq!(running.passes(), 1);
    after(INTERVAL * 3).await;
    assert_eq!(running.passes(), 4);
    let status = running.status.get();
    assert_eq!((status.last_verdict, status.errors_in_a_row), (Some("nothing to do"), 0));
    assert!(status.next_pass > status.last_pass);
    assert_eq!(running.stopped().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn wakes_that_come_together_are_one_pass() {
    let running = Running::start(&[], vec![], clock);
    after(Duration::from_mins(1)).await;
    for _ in 0..100 {
        running.wake.wake();
        after(Duration::from_millis(5)).await;
    }
    after(Duration::from_mins(1)).await;
    assert_eq!(running.passes(), 2);
    running.wake.wake();
    after(Duration::from_mins(1)).await;
    assert_eq!(running.passes(), 3);
    assert_eq!(running.stopped().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn errors_and_panics_are_shown_counted_and_tried_again_with_growing_pauses() {
    use Does::{Fails, IsRefused, Panics};
    let running = Running::start(&[Fails, Panics, IsRefused, Fails, Fails], vec![], clock);
    after(Duration::from_secs(1)).await;
    let status = running.status.get();
    assert_eq!((status.errors_in_a_row, status.last_verdict), (1, Some("failed")));
    assert_eq!(status.last_error.as_deref(), Some("the store is away"));
    let mut pauses = Vec::new();
    for passes in 2..=6 {
        let began = Instant::now();
        while running.passes() < passes {
            after(Duration::from_millis(100)).await;
        }
        pauses.push(began.elapsed().as_secs());
        // A wake does not make a store come back.
        running.wake.wake();
        after(Duration::from_millis(10)).await;
        let error = running.status.get().last_error.unwrap_or_default();
        let expected = ["broke off by a fault in timesweep", "the list is empty", "the store is away"];
        assert!(expected.iter().any(|text| error.contains(text)), "{error}");
    }
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1] + 5) && pauses[4] >= 40, "{pauses:?}");
    assert_eq!(running.status.get().errors_in_a_row, 0, "the sixth went well");
    assert!(running.status.get().last_error.is_some(), "and what was wrong is still told");
    assert_eq!(running.stopped().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn another_replica_at_work_is_no_error_and_is_asked_again_soon() {
    let running = Running::start(&[Does::IsBusy], vec![], clock);
    after(Duration::from_secs(1)).await;
    let status = running.status.get();
    assert_eq!((status.errors_in_a_row, status.last_verdict, status.last_success), (0, Some("busy"), None));
    after(Duration::from_secs(30)).await;
    assert_eq!(running.passes(), 2);
    assert_eq!(running.stopped().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_forward_brings_the_pass_and_one_set_back_does_not_delay_it() {
    let running = Running::start(&[], vec![], clock);
    after(Duration::from_mins(1)).await;
    SET_BY.fetch_add(2 * 3_600_000_000, Ordering::SeqCst);
    after(STEP * 2).await;
    assert_eq!(running.passes(), 2);
    SET_BY.fetch_sub(50 * 3_600_000_000, Ordering::SeqCst);
    after(INTERVAL + STEP).await;
    assert_eq!(running.passes(), 3);
    assert_eq!(running.stopped().await, Ok(()));
}

fn way_in(opened: &Arc<AtomicUsize>, how: fn(usize) -> Result<()>) -> WayIn {
    let opened = Arc::clone(opened);
    WayIn {
        name: "REST",
        open: Box::new(move || {
            let count = opened.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                after(Duration::from_millis(100)).await;
                how(count)
            })
        }),
    }
}

#[tokio::test(start_paused = true)]
async fn a_way_in_that_ends_is_shown_and_opened_again() {
    let opened = Arc::new(AtomicUsize::new(0));
    let ends = |count| match count {
        0 => Ok(()),
        1 => panic!("a fault in a way in"),
        _ => Err(Problem::unreachable("the broker is away")),
    };
    let running = Running::start(&[], vec![way_in(&opened, ends)], clock);
    after(Duration::from_millis(200)).await;
    let said = running.status.get().ways_in["REST"].clone().expect("trouble");
    assert_eq!(said, "REST has ended although nobody stopped it");
    after(Duration::from_mins(10)).await;
    let count = opened.load(Ordering::SeqCst);
    assert!((6..40).contains(&count), "{count}: again, with growing pauses");
    assert_eq!(running.passes(), 1, "the loop goes on");
    assert_eq!(running.stopped().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_way_in_that_can_never_open_ends_the_process() {
    let opened = Arc::new(AtomicUsize::new(0));
    let never = way_in(&opened, |_| Err(Problem::usage("port 80 is taken")));
    let running = Running::start(&[], vec![never], clock);
    let ended = running.ended.await.expect("the daemon ends");
    assert_eq!(ended.expect_err("an error").sentence, "port 80 is taken");
}

/// A pass that is asked to stop half way finishes what it has in hand.
struct Slow(CancellationToken, AtomicUsize);

#[async_trait]
impl Work for Slow {
    async fn pass(&self) -> Result<Report> {
        self.0.cancelled().await;
        after(Duration::from_secs(90)).await;
        self.1.fetch_add(1, Ordering::SeqCst);
        Err(Problem::unreachable("interrupted"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_the_drop_in_hand_finish() {
    let stop = CancellationToken::new();
    let slow = Arc::new(Slow(stop.clone(), AtomicUsize::new(0)));
    let daemon = Daemon {
        work: Arc::clone(&slow) as Arc<dyn Work>,
        interval: INTERVAL,
        wake: Wake::default(),
        status: Status::default(),
        stop: stop.clone(),
        clock,
        ways_in: vec![],
    };
    let running = tokio::spawn(daemon.run());
    after(Duration::from_secs(1)).await;
    stop.cancel();
    assert_eq!(running.await.expect("the daemon ends"), Ok(()));
    assert_eq!(slow.1.load(Ordering::SeqCst), 1);
}

#[test]
fn a_pass_that_a_guard_refuses_is_told_with_the_way_out() {
    use crate::retention::guard::{GuardName, Refusal};
    let store = StoreName("results".into());
    let about = About { command: "serve", store: &store, now: 0 };
    let mut report = Report::empty(uuid::Uuid::nil(), about, Verdict::Refused);
    report.refusals.push(Refusal::new(GuardName::Inventory, "much is missing", "say `--accept-empty`"));
    let told = trouble_of(&report).expect("trouble");
    assert_eq!(on_one_line(&told), "much is missing; hint: say `--accept-empty`");
}
