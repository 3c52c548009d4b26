//! `timesweep serve`: passes on a schedule and when woken, and the ways in beside them.
//!
//! Invariants: whatever a pass does (an error, a panic), it is shown, counted and tried again with growing
//! pauses; a way in that ends is started again or ends the process; the process never lives on without its
//! loop. A stop lets the drop in hand finish.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::problem::{Kind, Problem, Result, on_one_line};
use crate::report::{Report, Verdict};
use crate::wake::{Status, Wake};

#[cfg(test)]
mod tests;
pub mod ways_in;

pub use ways_in::{Seams, WayIn};

const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(15);
/// Wakes that come within this time are one.
const BURST: Duration = Duration::from_secs(1);
/// Wakes wait for so many times as long as the last pass took: whoever sends many must not make passes follow
/// each other without an end, which would keep the registry from the very messages that wake us.
const REST: u32 = 4;
/// The wall clock is looked at so often: it may be set while we sleep.
const STEP: Duration = Duration::from_secs(15);
/// How long ways in may take to end.
const FAREWELL: Duration = Duration::from_secs(10);

/// One pass over everything.
#[async_trait]
pub trait Work: Send + Sync {
    async fn pass(&self) -> Result<Report>;
}

pub struct Daemon {
    pub work: Arc<dyn Work>,
    pub interval: Duration,
    pub wake: Wake,
    pub status: Status,
    pub stop: CancellationToken,
    /// Our own clock, microseconds since 1970 UTC.
    pub clock: fn() -> i64,
    pub ways_in: Vec<WayIn>,
}

/// How a pass ended.
enum Ended {
    Well,
    /// Another one is at work here.
    Busy,
    Badly,
}

impl Daemon {
    /// Until it is stopped; anything else is an error.
    pub async fn run(mut self) -> Result<()> {
        let (stop, status) = (self.stop.clone(), self.status.clone());
        let mut tasks: JoinSet<Result<()>> = JoinSet::new();
        for way_in in std::mem::take(&mut self.ways_in) {
            tasks.spawn(ways_in::keep_open(way_in, status.clone(), stop.clone()));
        }
        let loop_task = tokio::spawn(self.keep_passing());
        tokio::pin!(loop_task);
        let ended = loop {
            tokio::select! {
                ended = &mut loop_task => break as_result(ended),
                Some(ended) = tasks.join_next() => match as_result(ended) {
                    Ok(()) if stop.is_cancelled() => {}
                    ended => {
                        // The pass in hand is finished, whatever ended beside it.
                        stop.cancel();
                        let _ = loop_task.await;
                        break ended.and(Err(Problem::unreachable("a way in has ended")));
                    }
                },
            }
        };
        let was_asked = stop.is_cancelled();
        stop.cancel();
        let all_gone = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all_gone).await.is_err() {
            tracing::warn!("a way in did not end in {FAREWELL:?}, and is left behind");
        }
        match ended {
            Ok(()) if !was_asked => {
                Err(Problem::unreachable("the loop has ended although nobody stopped it"))
            }
            ended => ended,
        }
    }

    async fn keep_passing(self) -> Result<()> {
        let longest = LONGEST_PAUSE.min(self.interval).max(FIRST_PAUSE);
        let pauses = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(longest)
            .without_max_times();
        let mut pause = pauses.build();
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            // What woke us until now is seen by this pass.
            self.wake.forget();
            match self.one_pass().await {
                Ended::Well => {
                    pause = pauses.build();
                    self.rest(self.interval, Some(BURST.max(began.elapsed() * REST))).await;
                }
                // A wake is remembered and waits for its turn: it must not hammer at a store that is away.
                Ended::Busy | Ended::Badly => self.rest(pause.next().unwrap_or(longest), None).await,
            }
        }
        Ok(())
    }

    async fn one_pass(&self) -> Ended {
        self.status.change(|status| {
            status.at_work = true;
            status.next_pass = None;
        });
        let work = Arc::clone(&self.work);
        // In a task of its own, so that a panic ends the pass and nothing else.
        let ended = tokio::spawn(async move { work.pass().await }).await;
        let outcome = ended.unwrap_or_else(|error| Err(panicked(&error)));
        self.tell(outcome)
    }

    fn tell(&self, outcome: Result<Report>) -> Ended {
        let now = (self.clock)();
        let (verdict, trouble) = match outcome {
            Ok(report) => (Some(report.verdict), trouble_of(&report)),
            Err(problem) if problem.kind == Kind::Busy => (Some(Verdict::Busy), None),
            Err(problem) => (None, Some(problem.to_string())),
        };
        self.status.change(|status| {
            status.at_work = false;
            status.last_pass = Some(now);
            status.last_verdict = Some(verdict.map_or("failed", Verdict::word));
        });
        let Some(trouble) = trouble else {
            let is_busy = verdict == Some(Verdict::Busy);
            tracing::info!(verdict = verdict.map(Verdict::word), "a pass has ended");
            if !is_busy {
                self.status.change(|status| {
                    status.errors_in_a_row = 0;
                    status.last_success = Some(now);
                });
            }
            return if is_busy { Ended::Busy } else { Ended::Well };
        };
        self.status.change(|status| {
            status.errors_in_a_row = status.errors_in_a_row.saturating_add(1);
            status.last_error = Some(trouble.clone());
            status.last_error_at = Some(now);
        });
        let told = on_one_line(&trouble);
        tracing::error!(in_a_row = self.status.get().errors_in_a_row, "a pass went wrong: {told}");
        Ended::Badly
    }

    /// Sleeps by both clocks: a wall clock that is set forward ends it at once, one that is set back does not prolong it.
    /// A wake ends it as well, after the time in which others are gathered.
    async fn rest(&self, pause: Duration, gathering: Option<Duration>) {
        let (began, wall) = (Instant::now(), (self.clock)());
        let length = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
        self.status.change(|status| status.next_pass = Some(wall.saturating_add(length)));
        loop {
            let left = pause.saturating_sub(began.elapsed());
            if left.is_zero() || (self.clock)().saturating_sub(wall) >= length {
                return;
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.wake.woken(), if gathering.is_some() => {
                    return self.gather_wakes(gathering.unwrap_or(BURST).min(left)).await;
                }
                () = tokio::time::sleep(left.min(STEP)) => {}
            }
        }
    }

    async fn gather_wakes(&self, time: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(time) => {}
        }
    }
}

/// Why somebody should look at a pass that has a report.
fn trouble_of(report: &Report) -> Option<String> {
    if !report.verdict.is_trouble() || matches!(report.verdict, Verdict::Busy | Verdict::Interrupted) {
        return None;
    }
    let refusal = report.refusals.first();
    let refusal =
        refusal.map(|refusal| Problem::refused(&refusal.sentence).hint(&refusal.way_out).to_string());
    let undone = || crate::report::closing::not_done(report).join("; ");
    Some(report.stopped.clone().or(refusal).unwrap_or_else(undone))
}

fn panicked(error: &tokio::task::JoinError) -> Problem {
    Problem::unreachable("a pass broke off by a fault in timesweep").because(error)
}

fn as_result(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|error| {
        Err(Problem::unreachable("a task broke off by a fault in timesweep").because(&error))
    })
}
